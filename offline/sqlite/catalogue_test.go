package sqlite

import (
	"context"
	"fmt"
	"testing"
	"time"

	"storeagent/offline/catalogue"
	"storeagent/offline/catalogue/cataloguetest"
)

func TestCatalogueStore(t *testing.T) {
	cataloguetest.Suite(t, func(t *testing.T) catalogue.Store {
		s := openIn(t, t.TempDir())
		t.Cleanup(func() { closeIt(t, s) })
		return s.Catalogue()
	})
}

func TestKeptAnswersAreBounded(t *testing.T) {
	s := openIn(t, t.TempDir())
	defer closeIt(t, s)
	v := s.Catalogue()
	for n := range keptAtMost + 3 {
		if err := v.Keep(t.Context(), catalogue.Kept{Kind: "sale", Query: fmt.Sprint(n), At: noon.Add(time.Duration(n) * time.Second), Rows: []byte(`[]`)}); err != nil {
			t.Fatal(err)
		}
	}
	var n int
	if err := s.read.db.QueryRow(`SELECT count(*) FROM catalogue_kept`).Scan(&n); err != nil || n != keptAtMost {
		t.Errorf("%d kept, %v", n, err)
	}
	if _, err := v.Kept(t.Context(), "sale", "2"); err == nil {
		t.Error("the oldest is still there")
	}
}

// TestCatalogueReadsUseIndexes keeps lookups fast whatever the number of items.
func TestCatalogueReadsUseIndexes(t *testing.T) {
	s := openTemp(t)
	for _, q := range []struct {
		text string
		args []any
	}{
		{qItemsBySKU, []any{`["a"]`}}, {qItemsByCode, []any{`["a"]`}}, {qItemsByWord, []any{`"a" *`, 9}}, {qItemHave, []any{"a"}},
		{qCustomersByMember, []any{"a"}}, {qCustomersByPhone, []any{"1234567"}}, {qCustomersByWord, []any{`"a" *`, 9}},
		{qItemsOld, []any{1, 9}}, {qCustomersOld, []any{1, 9}}, {qShelvesSweep, []any{1, 9}}, {qRecordsSweep, []any{"item", 1, 9}},
		{qRecordsDrop, []any{"sale", "2026", 9}}, {qKept, []any{"a", "b"}},
	} {
		plan := explain(t, s, q.text, q.args...)
		for _, step := range plan {
			if scansTable(step) {
				t.Errorf("%s\nis answered by %q", q.text, step)
			}
		}
	}
}

func explain(t *testing.T, s *Store, query string, args ...any) []string {
	t.Helper()
	rows, err := s.read.db.Query("EXPLAIN QUERY PLAN "+query, args...)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := collect(rows, func(row scanner) (string, error) {
		var id, parent, unused int
		var detail string
		return detail, row.Scan(&id, &parent, &unused, &detail)
	})
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func scansTable(step string) bool {
	switch {
	case len(step) < 5 || step[:5] != "SCAN ":
		return false
	case step == "SCAN json_each VIRTUAL TABLE INDEX 1:":
		return false
	}
	for _, words := range []string{"items_words", "customers_words"} { // an FTS5 match is called a scan
		if len(step) > 5+len(words) && step[5:5+len(words)] == words {
			return false
		}
	}
	return true
}

// fill writes n items, each with a barcode and a price.
func fill(tb testing.TB, v Catalogue, n int) {
	tb.Helper()
	kinds := []string{"Green tea", "Black coffee", "Orange juice", "Rye bread", "Oat biscuits", "Tomato soup", "Olive oil", "Sea salt"}
	for from := 0; from < n; from += 200 {
		b := catalogue.Batch{AsOf: noon}
		for i := from; i < min(n, from+200); i++ {
			b.Items = append(b.Items, catalogue.Item{
				SKU: fmt.Sprintf("SKU-%06d", i), Name: fmt.Sprintf("%s number %d", kinds[i%len(kinds)], i), LongName: "Sold by the piece",
				SaleUOM: "EA", Codes: []string{fmt.Sprintf("40063%08d", i)}, Stock: []catalogue.Shelf{{Warehouse: "DALLAS", Price: "1.99", Quantity: "10"}},
			})
		}
		if err := v.Put(context.Background(), catalogue.Items, b, nil); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkCatalogue looks up among 200,000 items.
func BenchmarkCatalogue(b *testing.B) {
	s := openTemp(b)
	v := s.Catalogue()
	const n = 200_000
	began := time.Now()
	fill(b, v, n)
	b.Logf("%d items written, %.0f rows a second", n, n/time.Since(began).Seconds())
	ctx := context.Background()
	cat, err := catalogue.New(catalogue.Config{Source: cataloguetest.NewCloud(), Store: v, Log: s.log, StoreCode: "DALLAS", Currency: "USD"})
	if err != nil {
		b.Fatal(err)
	}
	for name, q := range map[string]func(i int) catalogue.ItemQuery{
		"code":         func(i int) catalogue.ItemQuery { return catalogue.ItemQuery{Code: fmt.Sprintf("040063%08d", i%n)} },
		"sku":          func(i int) catalogue.ItemQuery { return catalogue.ItemQuery{SKU: fmt.Sprintf("SKU-%06d", i%n)} },
		"q=two-words":  func(i int) catalogue.ItemQuery { return catalogue.ItemQuery{Text: fmt.Sprintf("coffee %d", i%n/8*8+1)} },
		"q=common":     func(int) catalogue.ItemQuery { return catalogue.ItemQuery{Text: "tea"} },
		"q=one-letter": func(int) catalogue.ItemQuery { return catalogue.ItemQuery{Text: "n"} },
	} {
		b.Run(name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				i += 7919
				found, err := cat.FindItems(ctx, q(i))
				if err != nil || len(found) == 0 {
					b.Fatal(found, err)
				}
			}
		})
	}
}
