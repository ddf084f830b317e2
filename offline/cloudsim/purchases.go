package cloudsim

import (
	"cmp"
	"slices"
	"strings"
)

// ViewPurchases is asked for by the queries that find purchases.
const ViewPurchases Permission = "ViewPurchases"

// Queries that find purchases, for Options.PurchaseQuery. The vendor documents none.
const (
	// QueryPurchase answers with a page.
	QueryPurchase = "purchase"
	// QueryPurchases answers with a list, takes no store and calls the amount total.
	QueryPurchases = "purchases"
	// QueryPurchaseByTransaction answers with one purchase or null.
	QueryPurchaseByTransaction = "purchaseByTransaction"
	// QueryPurchaseSearch ignores what it is asked for and shows all there are.
	QueryPurchaseSearch = "purchaseSearch"
	// QueryPurchaseReport finds nothing by a transaction id: it wants a number of its own.
	QueryPurchaseReport = "purchaseReport"
)

// Bought is a purchase as these queries show it.
type Bought struct {
	ID, TransactionID, StoreCode string
	PayAmount, Total             *Number
}

type boughtPage struct {
	HasMoreResults, LimitedByPermission bool
	Results                             []Bought
}

// bought lists what the ledger shows by now: purchases appear Options.PurchaseLag after their execution.
func (s *Sim) bought(transactionID, storeCode *string) []Bought {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []Bought{}
	for _, p := range s.ledger {
		if transactionID != nil && *transactionID != p.TransactionID || storeCode != nil && *storeCode != p.StoreCode ||
			s.opts.Now().Sub(p.At) < s.opts.PurchaseLag {
			continue
		}
		amount := Number(cmp.Or(text(p.Input, "payAmount"), "0"))
		list = append(list, Bought{p.ID, p.TransactionID, p.StoreCode, &amount, &amount})
	}
	return list
}

// Purchase finds purchases, a page at a time.
func (r reads) Purchase(args struct {
	First, Skip              *int32
	TransactionID, StoreCode *string
}) *boughtPage {
	if !r.sim.granted(ViewPurchases) {
		return &boughtPage{LimitedByPermission: true, Results: []Bought{}}
	}
	rows, more := page(r.sim.bought(args.TransactionID, args.StoreCode), args.First, args.Skip)
	return &boughtPage{HasMoreResults: more, Results: rows}
}

// Purchases finds purchases of all stores.
func (r reads) Purchases(args struct{ TransactionID string }) (*[]Bought, error) {
	if err := r.sim.need(ViewPurchases); err != nil {
		return nil, err
	}
	list := r.sim.bought(&args.TransactionID, nil)
	return &list, nil
}

// PurchaseByTransaction finds the first purchase.
func (r reads) PurchaseByTransaction(args struct{ TransactionID, StoreCode string }) (*Bought, error) {
	if err := r.sim.need(ViewPurchases); err != nil {
		return nil, err
	}
	if list := r.sim.bought(&args.TransactionID, &args.StoreCode); len(list) > 0 {
		return &list[0], nil
	}
	return nil, nil
}

// PurchaseSearch shows all purchases, whatever is asked for.
func (r reads) PurchaseSearch(struct{ TransactionID, StoreCode *string }) *boughtPage {
	return &boughtPage{Results: r.sim.bought(nil, nil)}
}

// PurchaseReport shows nothing by a transaction id.
func (r reads) PurchaseReport(struct{ TransactionID, StoreCode *string }) *boughtPage {
	return &boughtPage{Results: []Bought{}}
}

// withPurchases leaves in the schema only the query for purchases that the options name.
func withPurchases(schema, name string) string {
	return strings.Join(slices.DeleteFunc(strings.SplitAfter(schema, "\n"), func(line string) bool {
		field, _, hasArgs := strings.Cut(strings.TrimSpace(line), "(")
		return hasArgs && strings.HasPrefix(field, "purchase") && field != "purchaseAdd" && field != name
	}), "")
}
