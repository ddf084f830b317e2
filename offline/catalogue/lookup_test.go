package catalogue_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/offline/catalogue"
	"storeagent/offline/catalogue/cataloguetest"
)

func TestForms(t *testing.T) {
	for code, want := range map[string]string{
		"": "", "GUM001": "GUM001", " GUM001 ": "GUM001", "12345": "12345", "00000000": "00000000",
		"4006381333931":  "4006381333931 04006381333931",
		"04006381333931": "04006381333931 4006381333931",
		"036000291452":   "036000291452 0036000291452 00036000291452 36000291452",
		"0036000291452":  "0036000291452 036000291452 00036000291452 36000291452",
		"96385074":       "96385074 0000096385074 000096385074 00000096385074",
		"00000096385074": "00000096385074 0000096385074 000096385074 96385074",
		"00012345":       "00012345 0000000012345 000000012345 00000000012345",
	} {
		if got := strings.Join(catalogue.Forms(code), " "); got != want {
			t.Errorf("%q: %q, want %q", code, got, want)
		}
	}
}

func lookups(t *testing.T) *catalogue.Catalogue {
	t.Helper()
	store := cataloguetest.NewMemory()
	shelf := func(warehouse, price string) catalogue.Shelf {
		return catalogue.Shelf{Warehouse: warehouse, Price: price, Quantity: "4"}
	}
	err := store.Put(t.Context(), catalogue.Items, catalogue.Batch{AsOf: time.Unix(1700000000, 0).UTC(), Items: []catalogue.Item{
		{SKU: "GUM001", Name: "Gum small pack", SaleUOM: "EA", StockUOM: "BX", Codes: []string{"036000291452"}, Stock: []catalogue.Shelf{shelf("DALLAS", "1.99"), shelf("HOUSTON", "2.09")}},
		{SKU: "4006381333931", Name: "Pen", StockUOM: "EA", Stock: []catalogue.Shelf{shelf("OTHER", "3.00")}},
		{SKU: "PENCIL", Name: "Pencil", Codes: []string{"4006381333931"}, Stock: []catalogue.Shelf{shelf("A", "1"), shelf("B", "2")}},
		{SKU: "78901234567", Name: "Kept as a number"},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = store.Put(t.Context(), catalogue.Customers, catalogue.Batch{Customers: []catalogue.Customer{
		{ID: "1", MemberID: "C000000212", FullName: "Ada Example", Phone: "+1 214 555 0100"}, {ID: "2", FullName: "Bob Example", Phone: "(713) 555-0100"},
		{ID: "3", FullName: "Eva Beispiel", Phone: "030 5550100"},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return newCatalogue(t, cataloguetest.NewCloud(), store)
}

func TestFindItems(t *testing.T) {
	c := lookups(t)
	for _, tc := range []struct {
		q    catalogue.ItemQuery
		want string
	}{
		{catalogue.ItemQuery{Code: "00036000291452"}, "GUM001"}, {catalogue.ItemQuery{Code: "GUM001"}, "GUM001"}, {catalogue.ItemQuery{Code: "gum001"}, ""},
		{catalogue.ItemQuery{Code: "04006381333931"}, "4006381333931 PENCIL"}, {catalogue.ItemQuery{Code: "078901234567"}, "78901234567"},
		{catalogue.ItemQuery{Code: "  "}, ""}, {catalogue.ItemQuery{SKU: "PENCIL"}, "PENCIL"}, {catalogue.ItemQuery{SKU: "036000291452"}, ""},
		{catalogue.ItemQuery{Text: "pen"}, "4006381333931 PENCIL"}, {catalogue.ItemQuery{Text: "SMALL gum"}, "GUM001"}, {catalogue.ItemQuery{Text: "!?"}, ""},
		{catalogue.ItemQuery{Text: "pen", Limit: 1}, "4006381333931"},
	} {
		list, err := c.FindItems(t.Context(), tc.q)
		got := []string{}
		for _, i := range list {
			got = append(got, i.SKU)
		}
		if err != nil || list == nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%+v: %q, %v, want %q", tc.q, got, err, tc.want)
		}
	}
}

func TestWhichWarehouse(t *testing.T) {
	c := lookups(t)
	for _, tc := range []struct{ sku, warehouse, shows, price, uom string }{
		{"GUM001", "", "DALLAS", "1.99", "EA"}, {"GUM001", "HOUSTON", "HOUSTON", "2.09", "EA"}, {"GUM001", "NOWHERE", "", "", "EA"},
		{"4006381333931", "", "OTHER", "3.00", "EA"}, {"PENCIL", "", "", "", ""}, {"PENCIL", "B", "B", "2", ""}, {"78901234567", "", "", "", ""},
	} {
		list, err := c.FindItems(t.Context(), catalogue.ItemQuery{SKU: tc.sku, Warehouse: tc.warehouse})
		if err != nil || len(list) != 1 {
			t.Fatalf("%s: %v, %v", tc.sku, list, err)
		}
		i := list[0]
		if i.Warehouse != tc.shows || i.Price != tc.price || i.UOM != tc.uom || (i.Currency == "USD") != (tc.price != "") || i.Warehouses == nil {
			t.Errorf("%+v: %+v", tc, i)
		}
	}
}

func TestFindCustomers(t *testing.T) {
	c := lookups(t)
	for _, tc := range []struct {
		q    catalogue.CustomerQuery
		want string
	}{
		{catalogue.CustomerQuery{MemberID: "C000000212"}, "1"}, {catalogue.CustomerQuery{Phone: "214-555-0100"}, "1"}, {catalogue.CustomerQuery{Phone: "5550100"}, "1 2 3"},
		{catalogue.CustomerQuery{Phone: "+49 30 5550100"}, "3"}, {catalogue.CustomerQuery{Phone: "0100"}, ""}, {catalogue.CustomerQuery{Text: "exam"}, "1 2"},
		{catalogue.CustomerQuery{Text: "exam", Limit: 1}, "1"}, {catalogue.CustomerQuery{}, ""},
	} {
		list, err := c.FindCustomers(t.Context(), tc.q)
		got := []string{}
		for _, p := range list {
			got = append(got, p.ID)
		}
		if err != nil || list == nil || strings.Join(got, " ") != tc.want {
			t.Errorf("%+v: %q, %v, want %q", tc.q, got, err, tc.want)
		}
	}
}

// TestLook: young answers are kept, old ones are good while the cloud is away, and recent sales come from the copy.
func TestLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cloud, store := cataloguetest.NewCloud(), cataloguetest.NewMemory()
		var fails error
		asked := 0
		cloud.Answer = func(kind string, f catalogue.Filter) (json.RawMessage, error) {
			asked++
			return json.RawMessage(`[{"kind":"` + kind + `","code":"` + f["code"] + `"}]`), fails
		}
		online := true
		c := newCatalogue(t, cloud, store, func(cfg *catalogue.Config) { cfg.Online = func() bool { return online } })
		look := func(kind string, f catalogue.Filter) (catalogue.Listing, error) { return c.Look(t.Context(), kind, f) }
		for range 3 {
			l, err := look("location", catalogue.Filter{"code": "X"})
			if err != nil || string(l.Rows) != `[{"kind":"location","code":"X"}]` || l.Stale || l.AsOf.IsZero() {
				t.Errorf("%+v, %v", l, err)
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		if _, err := look("location", nil); err != nil || asked != 2 {
			t.Errorf("another filter: asked %d times, %v", asked, err)
		}
		time.Sleep(11 * time.Minute)
		if _, err := look("location", nil); err != nil || asked != 3 {
			t.Errorf("an old answer: asked %d times, %v", asked, err)
		}
		time.Sleep(time.Hour)
		for _, is := range []error{errors.New("broken"), catalogue.ErrNotAllowed} {
			fails = is
			if l, err := look("location", nil); err != nil || !l.Stale || l.Why == nil || string(l.Rows) == "" {
				t.Errorf("%v: %+v, %v", is, l, err)
			}
		}
		if _, err := look("product", nil); !errors.Is(err, catalogue.ErrNotAllowed) {
			t.Errorf("nothing kept, not allowed: %v", err)
		}
		fails, online = nil, false
		if _, err := look("product", nil); !errors.Is(err, catalogue.ErrAway) {
			t.Errorf("nothing kept, offline: %v", err)
		}
		if _, err := look("sale", nil); !errors.Is(err, catalogue.ErrAway) {
			t.Errorf("no sales, offline: %v", err)
		}
		err := store.Put(t.Context(), catalogue.Sales, catalogue.Batch{Records: []catalogue.Record{{Key: "1", Owner: "ada", Day: "2026-03-01", Body: json.RawMessage(`{"id":"1"}`)}}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if l, err := look("sale", catalogue.Filter{"customerId": "ada", "fromDate": "2026-01-01"}); err != nil || string(l.Rows) != `[{"id":"1"}]` || !l.Stale {
			t.Errorf("sales of the copy: %+v, %v", l, err)
		}
		if _, err := look("giftcard", nil); !errors.Is(err, catalogue.ErrKind) {
			t.Errorf("gift cards are no part of it: %v", err)
		}
	})
}

func TestLookAtTheCopy(t *testing.T) {
	store := cataloguetest.NewMemory()
	err := errors.Join(
		store.Put(t.Context(), catalogue.Stock, catalogue.Batch{Stock: []catalogue.Shelf{{SKU: "A", Warehouse: "W", Price: "1.50"}, {SKU: "B", Warehouse: "W"}}}, nil),
		store.Put(t.Context(), catalogue.Lots, catalogue.Batch{Records: []catalogue.Record{{Key: "1", Owner: "A", Body: json.RawMessage(`{"lot":"x"}`)}}}, nil))
	if err != nil {
		t.Fatal(err)
	}
	c := newCatalogue(t, cataloguetest.NewCloud(), store)
	for _, tc := range []struct {
		kind string
		f    catalogue.Filter
		want string
	}{
		{"itemWarehouse", catalogue.Filter{"sku": "A"}, `[{"sku":"A","warehouse":"W","price":"1.50","asOf":"0001-01-01T00:00:00Z"}]`},
		{"itemSerialLot", catalogue.Filter{"sku": "A"}, `[{"lot":"x"}]`}, {"itemSerialLot", catalogue.Filter{"sku": "B"}, `[]`},
	} {
		if l, err := c.Look(t.Context(), tc.kind, tc.f); err != nil || !reflect.DeepEqual(string(l.Rows), tc.want) {
			t.Errorf("%s: %s, %v", tc.kind, l.Rows, err)
		}
	}
}
