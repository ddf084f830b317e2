package cataloguetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline/catalogue"
)

var noon = time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC)

// Suite checks the contract of catalogue.Store. open gives an empty store for each test and sees to its closing.
func Suite(t *testing.T, open func(t *testing.T) catalogue.Store) {
	for name, run := range map[string]func(*testing.T, catalogue.Store){
		"Position": position, "Items": items, "Codes": codes, "Words": words, "Shelves": shelves, "Customers": customers,
		"Records": records, "Sweep": sweep, "Kept": kept,
	} {
		t.Run(name, func(t *testing.T) { run(t, open(t)) })
	}
}

func put(t *testing.T, s catalogue.Store, f catalogue.Feed, b catalogue.Batch) {
	t.Helper()
	if b.AsOf.IsZero() {
		b.AsOf = noon
	}
	if err := s.Put(t.Context(), f, b, nil); err != nil {
		t.Fatal(err)
	}
}

func skus(list []catalogue.Item) []string {
	out := []string{}
	for _, i := range list {
		out = append(out, i.SKU)
	}
	return out
}

func position(t *testing.T, s catalogue.Store) {
	if p, err := s.Position(t.Context(), catalogue.Items); err != nil || !reflect.DeepEqual(p, catalogue.Position{}) {
		t.Errorf("before anything: %+v, %v", p, err)
	}
	want := catalogue.Position{Open: true, Since: "\x01opaque \u00e9", Next: 7, Tail: []string{"a", "b"}, Until: "~", StartedAt: noon}
	if err := s.Put(t.Context(), catalogue.Items, catalogue.Batch{AsOf: noon}, &want); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Position(t.Context(), catalogue.Items); err != nil || !reflect.DeepEqual(p, want) {
		t.Errorf("%+v, %v, want %+v", p, err, want)
	}
	if p, err := s.Position(t.Context(), catalogue.Stock); err != nil || p.Open {
		t.Errorf("another feed: %+v, %v", p, err)
	}
}

func items(t *testing.T, s catalogue.Store) {
	put(t, s, catalogue.Items, catalogue.Batch{Items: []catalogue.Item{
		{SKU: "A1", Name: "Tea", LongName: "Green tea", SaleUOM: "EA", StockUOM: "CS", Stock: []catalogue.Shelf{{Warehouse: "W2", Price: "1.50"}, {Warehouse: "W1", Price: "1.40", Quantity: "3"}}},
		{SKU: "A2", Name: "Salt"},
	}})
	want := []catalogue.Item{{SKU: "A1", Name: "Tea", LongName: "Green tea", SaleUOM: "EA", StockUOM: "CS", AsOf: noon, Stock: []catalogue.Shelf{
		{SKU: "A1", Warehouse: "W1", Price: "1.40", Quantity: "3", AsOf: noon}, {SKU: "A1", Warehouse: "W2", Price: "1.50", AsOf: noon}}}}
	got, err := s.ItemsBySKU(t.Context(), []string{"A1", "none"})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	later := noon.Add(time.Hour)
	put(t, s, catalogue.Items, catalogue.Batch{AsOf: later, Items: []catalogue.Item{{SKU: "A1", Name: "Coffee"}}})
	got, err = s.ItemsBySKU(t.Context(), []string{"A1"})
	if err != nil || len(got) != 1 || got[0].Name != "Coffee" || got[0].SaleUOM != "" || !got[0].AsOf.Equal(later) || len(got[0].Stock) != 2 {
		t.Errorf("after the change: %+v, %v", got, err)
	}
	if got, err := s.ItemsBySKU(t.Context(), []string{"a1"}); err != nil || len(got) != 0 {
		t.Errorf("skus are told apart by case: %+v, %v", got, err)
	}
	if n, err := s.Counts(t.Context()); err != nil || n[catalogue.Items] != 2 || n[catalogue.Stock] != 2 {
		t.Errorf("counts %v, %v", n, err)
	}
}

func codes(t *testing.T, s catalogue.Store) {
	put(t, s, catalogue.Items, catalogue.Batch{Items: []catalogue.Item{{SKU: "A", Codes: []string{"4006381333931", "X-1"}}, {SKU: "B", Codes: []string{"X-1"}}}})
	for code, want := range map[string][]string{"4006381333931": {"A"}, "X-1": {"A", "B"}, "A": {}} {
		if got, err := s.ItemsByCode(t.Context(), []string{code, "none"}); err != nil || !reflect.DeepEqual(skus(got), want) {
			t.Errorf("%s: %v, %v", code, skus(got), err)
		}
	}
	put(t, s, catalogue.Items, catalogue.Batch{Items: []catalogue.Item{{SKU: "A", Codes: []string{"X-2"}}}})
	for code, want := range map[string][]string{"4006381333931": {}, "X-1": {"B"}, "X-2": {"A"}} {
		if got, err := s.ItemsByCode(t.Context(), []string{code}); err != nil || !reflect.DeepEqual(skus(got), want) {
			t.Errorf("after the change, %s: %v, %v", code, skus(got), err)
		}
	}
}

func words(t *testing.T, s catalogue.Store) {
	put(t, s, catalogue.Items, catalogue.Batch{Items: []catalogue.Item{
		{SKU: "T-1", Name: "Green Tea 250 g"}, {SKU: "T-2", Name: "Black tea", LongName: `"strong" OR NOT weak`}, {SKU: "T-3", Name: "Teapot", Codes: []string{"4711"}},
	}})
	for _, tc := range []struct {
		words  []string
		prefix bool
		want   []string
	}{
		{[]string{"tea"}, false, []string{"T-1", "T-2"}}, {[]string{"tea"}, true, []string{"T-1", "T-2", "T-3"}},
		{[]string{"gre", "te"}, true, []string{"T-1"}}, {[]string{"gre", "te"}, false, []string{}}, {[]string{"4711"}, false, []string{"T-3"}},
		{[]string{"or"}, false, []string{"T-2"}}, {[]string{"not", "strong"}, true, []string{"T-2"}}, {[]string{"t", "3"}, false, []string{"T-3"}},
		{nil, true, []string{}},
	} {
		if got, err := s.SearchItems(t.Context(), tc.words, tc.prefix, 10); err != nil || !reflect.DeepEqual(skus(got), tc.want) {
			t.Errorf("%q prefix %v: %v, %v, want %v", tc.words, tc.prefix, skus(got), err, tc.want)
		}
	}
	if got, err := s.SearchItems(t.Context(), []string{"tea"}, true, 2); err != nil || len(got) != 2 {
		t.Errorf("limit: %v, %v", skus(got), err)
	}
	put(t, s, catalogue.Items, catalogue.Batch{Items: []catalogue.Item{{SKU: "T-1", Name: "Sugar"}}})
	if got, err := s.SearchItems(t.Context(), []string{"green"}, true, 9); err != nil || len(got) != 0 {
		t.Errorf("a word the item has no more: %v, %v", skus(got), err)
	}
	if got, err := s.SearchItems(t.Context(), []string{"sugar"}, true, 9); err != nil || len(got) != 1 {
		t.Errorf("its new word: %v, %v", skus(got), err)
	}
}

func shelves(t *testing.T, s catalogue.Store) {
	put(t, s, catalogue.Stock, catalogue.Batch{Stock: []catalogue.Shelf{{SKU: "A", Warehouse: "W", Price: "1", Quantity: "2"}, {SKU: "B", Warehouse: "W"}, {SKU: "B", Warehouse: "V"}}})
	put(t, s, catalogue.Stock, catalogue.Batch{Stock: []catalogue.Shelf{{SKU: "A", Warehouse: "W", Price: "1.10", Quantity: "-1"}}})
	got, err := s.Stock(t.Context(), "A", "", 9)
	if want := []catalogue.Shelf{{SKU: "A", Warehouse: "W", Price: "1.10", Quantity: "-1", AsOf: noon}}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	for _, tc := range []struct {
		sku, warehouse string
		limit, want    int
	}{{"", "", 9, 3}, {"B", "", 9, 2}, {"", "W", 9, 2}, {"B", "V", 9, 1}, {"", "", 2, 2}, {"C", "", 9, 0}} {
		if got, err := s.Stock(t.Context(), tc.sku, tc.warehouse, tc.limit); err != nil || len(got) != tc.want {
			t.Errorf("%+v: %+v, %v", tc, got, err)
		}
	}
	put(t, s, catalogue.Items, catalogue.Batch{Items: []catalogue.Item{{SKU: "A"}}}) // the item comes after its price
	if got, err := s.ItemsBySKU(t.Context(), []string{"A"}); err != nil || len(got) != 1 || len(got[0].Stock) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
}

func customers(t *testing.T, s catalogue.Store) {
	ada := catalogue.Customer{ID: "00000000000000000212", MemberID: "C000000212", Status: "ACTIVE", FullName: "Ada Example", Phone: "+1 (214) 555-0100", Email: "ada@example.com"}
	bob := catalogue.Customer{ID: "2", FullName: "Bob Example"}
	put(t, s, catalogue.Customers, catalogue.Batch{Customers: []catalogue.Customer{ada, bob}})
	ada.AsOf, bob.AsOf = noon, noon
	for name, tc := range map[string]struct {
		get  func() ([]catalogue.Customer, error)
		want []catalogue.Customer
	}{
		"member":     {func() ([]catalogue.Customer, error) { return s.CustomersByMember(t.Context(), "C000000212") }, []catalogue.Customer{ada}},
		"no member":  {func() ([]catalogue.Customer, error) { return s.CustomersByMember(t.Context(), "") }, nil},
		"phone":      {func() ([]catalogue.Customer, error) { return s.CustomersByPhone(t.Context(), "2145550100") }, []catalogue.Customer{ada}},
		"few digits": {func() ([]catalogue.Customer, error) { return s.CustomersByPhone(t.Context(), "0100") }, nil},
		"word":       {func() ([]catalogue.Customer, error) { return s.SearchCustomers(t.Context(), []string{"exam"}, true, 9) }, []catalogue.Customer{ada, bob}},
		"words": {func() ([]catalogue.Customer, error) {
			return s.SearchCustomers(t.Context(), []string{"ada", "ex"}, true, 9)
		}, []catalogue.Customer{ada}},
		"no such word": {func() ([]catalogue.Customer, error) {
			return s.SearchCustomers(t.Context(), []string{"exam"}, false, 9)
		}, nil},
	} {
		if got, err := tc.get(); err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	put(t, s, catalogue.Customers, catalogue.Batch{Customers: []catalogue.Customer{{ID: ada.ID, FullName: "Ada Other"}}})
	if got, err := s.SearchCustomers(t.Context(), []string{"ada", "example"}, true, 9); err != nil || len(got) != 0 {
		t.Errorf("after the change: %+v, %v", got, err)
	}
	if got, err := s.CustomersByMember(t.Context(), "C000000212"); err != nil || len(got) != 0 {
		t.Errorf("after the change: %+v, %v", got, err)
	}
}

func records(t *testing.T, s catalogue.Store) {
	body := func(n int) json.RawMessage { return fmt.Appendf(nil, `{"id":"%d","x":[1.50]}`, n) }
	put(t, s, catalogue.Sales, catalogue.Batch{Records: []catalogue.Record{
		{Key: "1", Owner: "ada", Day: "2026-03-01", Body: body(1)}, {Key: "2", Owner: "bob", Day: "2026-03-02", Body: body(2)}, {Key: "3", Owner: "ada", Day: "2026-03-03", Body: body(3)}, {Key: "4", Body: body(4)},
	}})
	put(t, s, catalogue.Lots, catalogue.Batch{Records: []catalogue.Record{{Key: "1", Owner: "A1", Body: body(9)}}})
	for _, tc := range []struct {
		f    catalogue.RecordFilter
		want string
	}{
		{catalogue.RecordFilter{}, "3 2 1 4 "}, {catalogue.RecordFilter{Limit: 2}, "3 2 "}, {catalogue.RecordFilter{Owner: "ada"}, "3 1 "}, {catalogue.RecordFilter{Key: "2"}, "2 "},
		{catalogue.RecordFilter{From: "2026-03-02"}, "3 2 "}, {catalogue.RecordFilter{From: "2026-03-01", To: "2026-03-03"}, "2 1 "}, {catalogue.RecordFilter{Owner: "ada", To: "2026-03-03"}, "1 "},
	} {
		if tc.f.Limit == 0 {
			tc.f.Limit = 10
		}
		list, err := s.Records(t.Context(), catalogue.Sales, tc.f)
		got := ""
		for _, r := range list {
			got += r.Key + " "
		}
		if err != nil || got != tc.want {
			t.Errorf("%+v: %s, %v, want %s", tc.f, got, err, tc.want)
		}
	}
	if n, err := s.DropBefore(t.Context(), catalogue.Sales, "2026-03-03", 1); err != nil || n != 1 {
		t.Errorf("dropped %d, %v", n, err)
	}
	if n, err := s.DropBefore(t.Context(), catalogue.Sales, "2026-03-03", 9); err != nil || n != 1 {
		t.Errorf("dropped %d, %v", n, err)
	}
	left, err := s.Records(t.Context(), catalogue.Sales, catalogue.RecordFilter{Limit: 9})
	if err != nil || len(left) != 2 || left[0].Key != "3" || left[1].Key != "4" || string(left[0].Body) != string(body(3)) {
		t.Errorf("left %+v, %v", left, err)
	}
	if n, err := s.Counts(t.Context()); err != nil || n[catalogue.Sales] != 2 || n[catalogue.Lots] != 1 {
		t.Errorf("counts %v, %v", n, err)
	}
}

func sweep(t *testing.T, s catalogue.Store) {
	batch := func(n int) catalogue.Batch {
		id := fmt.Sprint(n)
		return catalogue.Batch{AsOf: noon.Add(time.Duration(n) * time.Minute),
			Items: []catalogue.Item{{SKU: id, Name: "word " + id, Codes: []string{"C" + id}}}, Stock: []catalogue.Shelf{{SKU: id, Warehouse: "W"}},
			Customers: []catalogue.Customer{{ID: id, FullName: "word " + id}}, Records: []catalogue.Record{{Key: id, Body: json.RawMessage(`{}`)}}}
	}
	for n := range 5 {
		put(t, s, catalogue.Lots, batch(n))
	}
	for _, f := range []catalogue.Feed{catalogue.Items, catalogue.Stock, catalogue.Customers, catalogue.Lots} {
		if n, err := s.Sweep(t.Context(), f, noon.Add(3*time.Minute), 2); err != nil || n != 2 {
			t.Errorf("%s: first %d, %v", f, n, err)
		}
		if n, err := s.Sweep(t.Context(), f, noon.Add(3*time.Minute), 2); err != nil || n != 1 {
			t.Errorf("%s: then %d, %v", f, n, err)
		}
	}
	if n, err := s.Counts(t.Context()); err != nil || !reflect.DeepEqual(n, map[catalogue.Feed]int{catalogue.Items: 2, catalogue.Stock: 2, catalogue.Customers: 2, catalogue.Lots: 2}) {
		t.Errorf("counts %v, %v", n, err)
	}
	if got, err := s.SearchItems(t.Context(), []string{"word"}, false, 9); err != nil || !reflect.DeepEqual(skus(got), []string{"3", "4"}) {
		t.Errorf("words of what is gone: %v, %v", skus(got), err)
	}
	if got, err := s.ItemsByCode(t.Context(), []string{"C1", "C4"}); err != nil || !reflect.DeepEqual(skus(got), []string{"4"}) {
		t.Errorf("codes of what is gone: %v, %v", skus(got), err)
	}
	if got, err := s.SearchCustomers(t.Context(), []string{"word"}, false, 9); err != nil || len(got) != 2 {
		t.Errorf("words of who is gone: %v, %v", got, err)
	}
}

func kept(t *testing.T, s catalogue.Store) {
	if _, err := s.Kept(t.Context(), "location", ""); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("before anything: %v", err)
	}
	for n := range 3 {
		k := catalogue.Kept{Kind: "location", Query: "code=X", At: noon.Add(time.Duration(n) * time.Second), Rows: fmt.Appendf(nil, `[%d]`, n)}
		if err := s.Keep(t.Context(), k); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Kept(t.Context(), "location", "code=X"); err != nil || !reflect.DeepEqual(got, k) {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if _, err := s.Kept(t.Context(), "product", "code=X"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("another kind: %v", err)
	}
}
