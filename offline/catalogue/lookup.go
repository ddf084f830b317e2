package catalogue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// candidates is how many rows of a search are looked at before the best are taken: a word that half the shop has in
// its name must not cost more than one that few have.
const candidates = 200

// ItemQuery asks for items by one of Code, SKU and Text.
type ItemQuery struct {
	Code, SKU, Text string
	Warehouse       string // "" takes the store's
	Limit           int
}

// ItemView is an item as the API shows it, with the price and stock of one warehouse.
type ItemView struct {
	SKU        string    `json:"sku"`
	Name       string    `json:"name,omitempty"`
	LongName   string    `json:"longName,omitempty"`
	Price      string    `json:"price,omitempty" doc:"Base price in warehouse, a decimal text; absent where no warehouse could be chosen"`
	Currency   string    `json:"currency,omitempty" doc:"Of the price: the store's"`
	UOM        string    `json:"uom,omitempty" doc:"Sale unit, else stock unit"`
	Quantity   string    `json:"quantity,omitempty" doc:"Available in warehouse, a decimal text"`
	Warehouse  string    `json:"warehouse,omitempty"`
	Codes      []string  `json:"codes,omitempty" doc:"Barcodes, where the cloud's items have such a field"`
	Warehouses []Shelf   `json:"warehouses" nullable:"false" doc:"Price and stock in each warehouse"`
	AsOf       time.Time `json:"asOf" doc:"When the cloud last told"`
}

// FindItems looks items up in the copy. A code is compared in all its Forms; the first form that any item has decides.
func (c *Catalogue) FindItems(ctx context.Context, q ItemQuery) ([]ItemView, error) {
	var list []Item
	var err error
	switch {
	case q.Code != "":
		list, err = c.byCode(ctx, q.Code)
	case q.SKU != "":
		list, err = c.cfg.Store.ItemsBySKU(ctx, []string{q.SKU})
	default:
		list, err = c.search(ctx, q.Text)
	}
	if err != nil {
		return nil, fmt.Errorf("look up items: %w", err)
	}
	views := make([]ItemView, 0, len(list))
	for _, i := range list[:min(len(list), limit(q.Limit))] {
		views = append(views, c.view(i, q.Warehouse))
	}
	return views, nil
}

// limit is how many rows a lookup gives.
func limit(asked int) int {
	if asked <= 0 {
		return 20
	}
	return min(asked, candidates)
}

func (c *Catalogue) byCode(ctx context.Context, code string) ([]Item, error) {
	forms := Forms(code)
	if len(forms) == 0 {
		return nil, nil
	}
	list, err := c.cfg.Store.ItemsBySKU(ctx, forms)
	if err != nil {
		return nil, err
	}
	more, err := c.cfg.Store.ItemsByCode(ctx, forms)
	if err != nil {
		return nil, err
	}
	for _, i := range more {
		if !slices.ContainsFunc(list, func(have Item) bool { return have.SKU == i.SKU }) {
			list = append(list, i)
		}
	}
	for _, form := range forms {
		var found []Item
		for _, i := range list {
			if i.SKU == form || slices.Contains(i.Codes, form) {
				found = append(found, i)
			}
		}
		if found != nil {
			return found, nil
		}
	}
	return nil, nil
}

// search takes whole words before beginnings of words, and shorter names before longer ones.
func (c *Catalogue) search(ctx context.Context, text string) ([]Item, error) {
	words := Words(text)
	if len(words) == 0 {
		return nil, nil
	}
	list, err := c.cfg.Store.SearchItems(ctx, words, false, candidates)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b Item) int { return len(a.Name) - len(b.Name) })
	if len(list) == candidates {
		return list, nil
	}
	more, err := c.cfg.Store.SearchItems(ctx, words, true, candidates)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(more, func(a, b Item) int { return len(a.Name) - len(b.Name) })
	have := map[string]bool{}
	for _, i := range list {
		have[i.SKU] = true
	}
	for _, i := range more {
		if !have[i.SKU] {
			list = append(list, i)
		}
	}
	return list, nil
}

// view shows an item in one warehouse: the one asked for, else the one named like the store, else the only one.
func (c *Catalogue) view(i Item, warehouse string) ItemView {
	v := ItemView{SKU: i.SKU, Name: i.Name, LongName: i.LongName, UOM: i.SaleUOM, Codes: i.Codes, Warehouses: i.Stock, AsOf: i.AsOf}
	if v.UOM == "" {
		v.UOM = i.StockUOM
	}
	if v.Warehouses == nil {
		v.Warehouses = []Shelf{}
	}
	at := -1
	for n, s := range i.Stock {
		if warehouse != "" && s.Warehouse == warehouse || warehouse == "" && strings.EqualFold(s.Warehouse, c.cfg.StoreCode) {
			at = n
		}
	}
	if at < 0 && warehouse == "" && len(i.Stock) == 1 {
		at = 0
	}
	if at < 0 {
		return v
	}
	s := i.Stock[at]
	v.Warehouse, v.Price, v.Quantity, v.AsOf = s.Warehouse, s.Price, s.Quantity, s.AsOf
	if v.Price != "" {
		v.Currency = c.cfg.Currency
	}
	return v
}

// CustomerQuery asks for customers by one of its fields.
type CustomerQuery struct {
	MemberID, Phone, Text string
	Limit                 int
}

// FindCustomers looks customers up in the copy. A phone number matches where one of the two, digits only, ends with
// the other; it needs seven digits.
func (c *Catalogue) FindCustomers(ctx context.Context, q CustomerQuery) ([]Customer, error) {
	var list []Customer
	var err error
	switch {
	case q.MemberID != "":
		list, err = c.cfg.Store.CustomersByMember(ctx, q.MemberID)
	case q.Phone != "":
		list, err = c.byPhone(ctx, PhoneDigits(q.Phone))
	default:
		list, err = c.searchCustomers(ctx, Words(q.Text))
	}
	if err != nil {
		return nil, fmt.Errorf("look up customers: %w", err)
	}
	return append([]Customer{}, list[:min(len(list), limit(q.Limit))]...), nil
}

func (c *Catalogue) byPhone(ctx context.Context, asked string) ([]Customer, error) {
	if PhoneTail(asked) == "" {
		return nil, nil
	}
	list, err := c.cfg.Store.CustomersByPhone(ctx, asked)
	if err != nil {
		return nil, err
	}
	asked = strings.TrimLeft(asked, "0") // a national number begins with a zero that the international one lacks
	return slices.DeleteFunc(list, func(p Customer) bool {
		have := strings.TrimLeft(PhoneDigits(p.Phone), "0")
		return !strings.HasSuffix(have, asked) && !strings.HasSuffix(asked, have)
	}), nil
}

func (c *Catalogue) searchCustomers(ctx context.Context, words []string) ([]Customer, error) {
	if len(words) == 0 {
		return nil, nil
	}
	return c.cfg.Store.SearchCustomers(ctx, words, true, candidates)
}
