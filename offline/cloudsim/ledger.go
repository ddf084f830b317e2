package cloudsim

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// Purchase is one execution of purchaseAdd. Two executions with one transaction id are two purchases: like the real
// cloud, the ledger does not deduplicate.
type Purchase struct {
	ID            string         `json:"id"`
	TransactionID string         `json:"transactionId"`
	StoreCode     string         `json:"storeCode"`
	Account       string         `json:"account"`
	At            time.Time      `json:"at"`
	Input         map[string]any `json:"input"` // the add argument exactly as it came: absent, null and text stay what they were
}

// Ledger returns every purchase in the order of execution.
func (s *Sim) Ledger() []Purchase {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Purchase(nil), s.ledger...)
}

// Executions returns how often purchaseAdd ran for each transaction id.
func (s *Sim) Executions() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := make(map[string]int, len(s.ledger))
	for _, p := range s.ledger {
		n[p.TransactionID]++
	}
	return n
}

// refusal is an error the API documents: only the code is stable, the message is for logs.
type refusal struct {
	code    string
	message string
	data    map[string]any
}

func (r *refusal) Error() string { return r.message }

// Extensions is where GraphQL carries the code (vendor page "Handling Errors").
func (r *refusal) Extensions() map[string]any {
	ext := map[string]any{"code": r.code}
	if r.data != nil {
		ext["data"] = r.data
	}
	return ext
}

func invalid(property, validator, message string) *refusal {
	return &refusal{"VALIDATION", message, map[string]any{"ValidationType": validator, "Property": property}}
}

// writes resolves the mutations.
type writes struct{ sim *Sim }

// receipt is what purchaseAdd answers: an id and nothing else.
type receipt struct{ ID *string }

// PurchaseAdd keeps one reported purchase. Transaction ids are not checked for duplicates.
func (w writes) PurchaseAdd(ctx context.Context, args struct{ Add reported }) (*receipt, error) {
	account, _ := ctx.Value(accountKey{}).(string)
	if !w.sim.granted(AddPurchase) {
		return nil, &refusal{"NOT_AUTHORIZED", "The account may not add purchases.", nil}
	}
	if err := w.sim.check(args.Add); err != nil {
		return nil, err
	}
	id := w.sim.record(account, args.Add)
	return &receipt{ID: &id}, nil
}

// check refuses what the cloud's validators would.
func (s *Sim) check(in reported) error {
	if text(in, "transactionId") == "" {
		return invalid("TransactionId", "NotEmptyValidator", "'Transaction Id' must not be empty.")
	}
	store := text(in, "storeCode")
	if known := s.opts.StoreCodes; len(known) > 0 {
		found := false
		for _, code := range known {
			found = found || code == store
		}
		if !found {
			return invalid("StoreCode", "LocationExistsValidator", "There is no location with this code.")
		}
	}
	lines, _ := in["lineItems"].([]any)
	if len(lines) == 0 {
		return invalid("LineItems", "NotEmptyValidator", "'Line Items' must not be empty.")
	}
	for _, line := range lines {
		if m, _ := line.(map[string]any); text(m, "sku") == "" {
			return invalid("Sku", "NotEmptyValidator", "'Sku' must not be empty.")
		}
	}
	return nil
}

func (s *Sim) record(account string, in reported) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := strconv.Itoa(70001 + len(s.ledger))
	s.ledger = append(s.ledger, Purchase{
		ID: id, TransactionID: text(in, "transactionId"), StoreCode: text(in, "storeCode"),
		Account: account, At: s.opts.Now().UTC(), Input: in,
	})
	return id
}

func text(m map[string]any, key string) string {
	t, _ := m[key].(string)
	return t
}

// reported is the add argument with everything that came, checked value by value against the schema's own scalars.
type reported map[string]any

// ImplementsGraphQLType tells the schema which input type is kept this way.
func (reported) ImplementsGraphQLType(name string) bool { return name == "SimReportedPurchase" }

// UnmarshalGraphQL takes the argument as the query engine read it, from a literal or from variables.
func (r *reported) UnmarshalGraphQL(input any) error {
	m, ok := input.(map[string]any)
	if !ok {
		return fmt.Errorf("add must be an object, not %T", input)
	}
	if err := checkScalars(m, headerScalars()); err != nil {
		return err
	}
	lines, ok := m["lineItems"].([]any)
	if !ok {
		return fmt.Errorf("lineItems must be a list, not %T", m["lineItems"])
	}
	for i, line := range lines {
		fields, ok := line.(map[string]any)
		if !ok {
			return fmt.Errorf("lineItems[%d] must be an object, not %T", i, line)
		}
		if err := checkScalars(fields, lineScalars()); err != nil {
			return fmt.Errorf("lineItems[%d]: %w", i, err)
		}
	}
	*r = m
	return nil
}

var (
	number = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)
	moment = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?$`)
)

func headerScalars() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"purchasedOn": moment, "payAmount": number, "saleDiscountAmount": number, "itemDiscountAmount": number,
		"subTotal": number, "refundAmount": number, "taxAmount": number,
	}
}

func lineScalars() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"unitPrice": number, "extPrice": number, "itemDiscountAmount": number, "saleDiscountAmount": number,
		"quantity": number, "unitCost": number,
	}
}

// checkScalars demands quoted texts of the right form where the vendor's examples quote them.
func checkScalars(m map[string]any, forms map[string]*regexp.Regexp) error {
	for name, form := range forms {
		v, ok := m[name]
		if !ok || v == nil {
			continue // required fields are the schema's to demand
		}
		t, ok := v.(string)
		if !ok || !form.MatchString(t) {
			return fmt.Errorf("%s has an invalid value", name)
		}
	}
	return nil
}
