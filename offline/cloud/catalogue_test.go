package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"storeagent/offline"
	"storeagent/offline/catalogue"
	"storeagent/offline/catalogue/cataloguetest"
	"storeagent/offline/cloudsim"
)

func simAndClient(t *testing.T, o cloudsim.Options) (*cloudsim.Sim, *Client) {
	t.Helper()
	sim := newSim(t, o)
	return sim, newClient(t, serve(t, sim), nil)
}

func someGoods(n int) []cloudsim.Goods {
	var list []cloudsim.Goods
	for i := range n {
		sku, name, bar := fmt.Sprintf("SKU-%04d", i), fmt.Sprintf("Item %d", i), fmt.Sprintf("40063%08d", i)
		price, quantity := cloudsim.Number("1.50"), cloudsim.Number("3")
		list = append(list, cloudsim.Goods{SKU: sku, Name: &name, Barcode: &bar, Warehouses: []cloudsim.Shelf{
			{WarehouseCode: "DALLAS", SKU: sku, BasePrice: &price, QuantityAvailable: &quantity}}})
	}
	return list
}

// TestCatalogueEndToEnd fetches a store's catalogue from the simulated cloud, pages clamped, and follows its changes.
func TestCatalogueEndToEnd(t *testing.T) {
	for name, o := range map[string]cloudsim.Options{
		"with barcodes": {Barcodes: true}, "like the vendor's pages": {}, "without introspection": {NoIntrospection: true},
	} {
		t.Run(name, func(t *testing.T) {
			o.Goods, o.PageRows = someGoods(250), 100
			sim, client := simAndClient(t, o)
			store := cataloguetest.NewMemory()
			c, err := catalogue.New(catalogue.Config{Source: client, Store: store, Log: slog.New(slog.DiscardHandler), StoreCode: "DALLAS", Currency: "USD"})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- c.Run(ctx) }()
			defer func() {
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}()
			waitUntil(t, func() bool {
				for _, s := range c.Status().Items {
					if !s.Complete {
						return false
					}
				}
				return true
			})
			for _, s := range c.Status().Items {
				want := map[catalogue.Feed]int{catalogue.Items: 250, catalogue.Stock: 250, catalogue.Customers: 1, catalogue.Lots: 1, catalogue.Sales: 1}[s.Kind]
				if s.Rows != want || s.Error != nil {
					t.Errorf("%+v, want %d rows", s, want)
				}
			}
			found := func(code string) []catalogue.ItemView {
				list, err := c.FindItems(t.Context(), catalogue.ItemQuery{Code: code})
				if err != nil {
					t.Fatal(err)
				}
				return list
			}
			if list := found("SKU-0042"); len(list) != 1 || list[0].Price != "1.50" || list[0].Warehouse != "DALLAS" || list[0].Quantity != "3" || list[0].Name != "Item 42" {
				t.Errorf("%+v", list)
			}
			if list := found("4006300000042"); (len(list) == 1) != o.Barcodes {
				t.Errorf("by barcode: %+v", list)
			}
			price := cloudsim.Number("1.75")
			sim.SetShelf(cloudsim.Shelf{SKU: "SKU-0042", WarehouseCode: "DALLAS", BasePrice: &price})
			sim.SetGoods(someGoods(251)[250])
			c.SyncNow(false)
			waitUntil(t, func() bool {
				a, b := found("SKU-0042"), found("SKU-0250")
				return len(a) == 1 && a[0].Price == "1.75" && len(b) == 1
			})
		})
	}
}

// waitUntil looks again until it is so; the test's own time limit ends it.
func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-t.Context().Done():
			t.Fatal("the test ended")
		case <-tick.C:
		}
	}
}

func TestFetchEveryKind(t *testing.T) {
	_, client := simAndClient(t, cloudsim.Options{PageRows: 1})
	for kind, want := range map[string]string{
		"location": `[{"code":"DALLAS","name":"Dallas"},{"code":"HOUSTON","name":"Houston"}]`, "product": `"name":"Chips"`, "productGroup": `SNACKS`,
		"productSection": `"NEW"`, "productBanner": `SUMMER`, "productNotice": `CLOSED`, "productSortOption": `BY-PRICE`,
		"environment": `[{"name":"Simulated POS cloud","version":"sim"}]`, "sale": `"lines":[{"sku":"GUM001","quantity":"12"}]`,
	} {
		rows, err := client.Fetch(t.Context(), kind, nil)
		if err != nil || !strings.Contains(string(rows), want) {
			t.Errorf("%s: %s, %v", kind, rows, err)
		}
	}
	for _, tc := range []struct {
		kind string
		f    catalogue.Filter
		want int
	}{
		{"location", catalogue.Filter{"code": "DALLAS"}, 1}, {"location", catalogue.Filter{"code": `"}) { x } #`}, 0},
		{"sale", catalogue.Filter{"customerId": "00000000000000000212"}, 1}, {"sale", catalogue.Filter{"customerId": "1"}, 0}, {"sale", catalogue.Filter{"id": "90001"}, 1},
		{"sale", catalogue.Filter{"fromDate": "2100-01-01"}, 0}, {"sale", catalogue.Filter{"toDate": "2100-01-01"}, 1},
	} {
		rows, err := client.Fetch(t.Context(), tc.kind, tc.f)
		var list []any
		if err != nil || json.Unmarshal(rows, &list) != nil || list == nil || len(list) != tc.want {
			t.Errorf("%s %v: %s, %v", tc.kind, tc.f, rows, err)
		}
	}
	if _, err := client.Fetch(t.Context(), "giftcard", nil); !errors.Is(err, catalogue.ErrKind) {
		t.Errorf("gift cards: %v", err)
	}
}

func TestFetchWithoutIntrospection(t *testing.T) {
	_, client := simAndClient(t, cloudsim.Options{NoIntrospection: true})
	if _, err := client.Fetch(t.Context(), "location", nil); !errors.Is(err, catalogue.ErrUnsupported) {
		t.Errorf("no field of a location is known: %v", err)
	}
	if rows, err := client.Fetch(t.Context(), "sale", nil); err != nil || !strings.Contains(string(rows), `"registerCode":"LANE-1"`) {
		t.Errorf("the documented fields of a sale: %s, %v", rows, err)
	}
}

func TestCatalogueRefusals(t *testing.T) {
	sim, client := simAndClient(t, cloudsim.Options{})
	sim.Deny(cloudsim.ViewInventory, cloudsim.ViewCustomers, cloudsim.ViewSales, cloudsim.ViewProducts)
	for _, f := range catalogue.Feeds() {
		if _, err := client.Page(t.Context(), catalogue.Query{Feed: f, First: 10}); !errors.Is(err, catalogue.ErrNotAllowed) {
			t.Errorf("%s: %v", f, err)
		}
	}
	if _, err := client.Fetch(t.Context(), "product", nil); !errors.Is(err, catalogue.ErrNotAllowed) {
		t.Errorf("product: %v", err)
	}
	sim.Grant(cloudsim.ViewInventory)
	if p, err := client.Page(t.Context(), catalogue.Query{Feed: catalogue.Items, First: 10}); err != nil || len(p.Keys) != 2 || p.Until == "" || p.More {
		t.Errorf("granted: %+v, %v", p, err)
	}
	if _, err := client.Page(t.Context(), catalogue.Query{Feed: catalogue.Items, First: 10, Since: "made up"}); err == nil {
		t.Error("a mark nobody gave was taken")
	}
	client.tokens.(*tokens).err = offline.ErrSignedOut
	if _, err := client.Page(t.Context(), catalogue.Query{Feed: catalogue.Items, First: 10}); !errors.Is(err, offline.ErrSignedOut) {
		t.Errorf("signed out: %v", err)
	}
}

// TestSinceIsNeverLeftOut: a null or missing since switches changes off, a blank one starts them.
func TestSinceIsNeverLeftOut(t *testing.T) {
	var asked []string
	answers := func(schema string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			var q struct{ Query string }
			if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
				t.Error(err)
			}
			w.Header().Set("Content-Type", "application/json")
			switch {
			case strings.Contains(q.Query, "__schema"):
				fmt.Fprint(w, schema)
			case strings.Contains(q.Query, "__type"):
				fmt.Fprint(w, `{"data":{"__type":null}}`)
			default:
				asked = append(asked, strings.Join(strings.Fields(q.Query), " "))
				fmt.Fprint(w, `{"data":{"item":{"hasMoreResults":false,"until":"u","results":[]},"customer":{"hasMoreResults":false,"results":[]}}}`)
			}
		})
	}
	for _, tc := range []struct {
		schema, want string
		feed         catalogue.Feed
	}{
		{`{"errors":[{"message":"no introspection"}]}`, `item(first: 5, skip: 0, since: "")`, catalogue.Items},
		{`{"errors":[{"message":"no introspection"}]}`, `customer(first: 5, skip: 0)`, catalogue.Customers},
		{`{"data":{"__schema":{"queryType":{"fields":[{"name":"item","args":[{"name":"first"},{"name":"since"}],"type":{"kind":"OBJECT","name":"P"}}]}}}}`, `item(first: 5, since: "")`, catalogue.Items},
		{`{"data":{"__schema":{"queryType":{"fields":[{"name":"customer","args":[{"name":"first"},{"name":"skip"},{"name":"since"}],"type":{"kind":"OBJECT","name":"P"}}]}}}}`, `customer(first: 5, skip: 0, since: "")`, catalogue.Customers},
	} {
		asked = nil
		client := newClient(t, serve(t, answers(tc.schema)), nil)
		if _, err := client.Page(t.Context(), catalogue.Query{Feed: tc.feed, First: 5}); err != nil || len(asked) != 1 || !strings.Contains(asked[0], tc.want) || strings.Contains(asked[0], "@") {
			t.Errorf("asked %q, %v, want %s", asked, err, tc.want)
		}
	}
	client := newClient(t, serve(t, answers(`{"data":{"__schema":{"queryType":{"fields":[]}}}}`)), nil)
	if _, err := client.Page(t.Context(), catalogue.Query{Feed: catalogue.Items}); !errors.Is(err, catalogue.ErrUnsupported) {
		t.Errorf("a tenant without the query: %v", err)
	}
}

func TestCheckSchemaNamesMissingQueries(t *testing.T) {
	sim := newSim(t, cloudsim.Options{})
	cut := false
	client := newClient(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		if cut && strings.Contains(string(body), "AgentQueries") {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"data":{"__schema":{"queryType":{"fields":[{"name":"item"},{"name":"sale"}]}}}}`)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		sim.ServeHTTP(w, r)
	})), nil)
	if list, err := client.CheckSchema(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("a whole schema: %q, %v", list, err)
	}
	cut = true
	list, err := client.CheckSchema(t.Context())
	if text := strings.Join(list, " "); err != nil || len(list) != 12 || !strings.Contains(text, "no query giftcard,") || !strings.Contains(text, "no query customer,") || strings.Contains(text, "no query item,") {
		t.Errorf("%q, %v", list, err)
	}
}

// TestSchemaUnansweredIsNoRefusal: a cloud that stumbles over introspection is asked again; to go on without would lose
// what only the schema shows.
func TestSchemaUnansweredIsNoRefusal(t *testing.T) {
	for _, doc := range []string{"AgentQueries", "AgentObject"} {
		sim := newSim(t, cloudsim.Options{Barcodes: true})
		stumbles := 1
		client := newClient(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			if strings.Contains(string(body), doc) && stumbles > 0 {
				stumbles--
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			sim.ServeHTTP(w, r)
		})), nil)
		q := catalogue.Query{Feed: catalogue.Items, First: 10}
		if p, err := client.Page(t.Context(), q); err == nil {
			t.Errorf("%s failed, and yet %+v", doc, p)
		}
		if p, err := client.Page(t.Context(), q); err != nil || len(p.Items) != 2 || len(p.Items[0].Codes) != 1 {
			t.Errorf("after %s: %+v, %v", doc, p, err)
		}
	}
}

func TestFitDropsWhatTheTenantLacks(t *testing.T) {
	docs, err := readDocuments("")
	if err != nil {
		t.Fatal(err)
	}
	q, err := parseReading(docs["item"].text)
	if err != nil {
		t.Fatal(err)
	}
	types := map[string]*objectType{
		"P": {fields: []objectField{{name: "hasMoreResults"}, {name: "results", typ: "I", object: true, list: true}}},
		"I": {fields: []objectField{{name: "sku"}, {name: "name"}, {name: "upc"}, {name: "barcodes", typ: "B", object: true}, {name: "warehouses", typ: "W", object: true}, {name: "stockUom", hard: true}}},
		"B": {fields: []objectField{{name: "code"}, {name: "item", typ: "I", object: true}}},
		"W": {fields: []objectField{{name: "warehouseCode"}, {name: "basePrice"}}},
	}
	got, err := q.fit(&objectField{typ: "P", args: []string{"first", "since"}}, map[string]string{"first": "5", "skip": "0", "since": `""`}, func(n string) *objectType { return types[n] })
	want := `query AgentItems { item(first: 5, since: "") { hasMoreResults results { sku name barcodes { code } upc warehouses { warehouseCode basePrice } } } }`
	if err != nil || strings.Join(strings.Fields(got.text), " ") != want {
		t.Errorf("%s, %v\nwant %s", got.text, err, want)
	}
}

func TestParseReadingRefuses(t *testing.T) {
	for _, text := range []string{"", "query", "mutation A { b }", "query A { b c }", "query A { b ", "query A { b } x", "query A($x: Int) { b }", "query A { b(c: 5) { d } }",
		"query A { ... on B { c } }", "query A { ... @all }", "query A { " + strings.Repeat("a { ", 20) + strings.Repeat("} ", 20) + "}"} {
		if _, err := parseReading(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func TestDecodeRows(t *testing.T) {
	page, err := decodePage(catalogue.Items, json.RawMessage(`{"hasMoreResults":true,"until":"x","limitedByPermission":true,"results":[
		{"sku":"A","name":"Tea","longName":null,"saleUom":"EA","upc":"036000291452","barcodes":[{"code":"4006381333931"},"X",null,7],"warehouses":[
			{"warehouseCode":"W","sku":"other","basePrice":1.990000,"quantityAvailable":"-3.5"},{"warehouseCode":"V","basePrice":1.5e1,"quantityAvailable":"many"},{"warehouseCode":""},null]},
		null, {"name":"no sku"}, {"sku":12}, "text"]}`))
	want := catalogue.Page{More: true, Until: "x", Limited: true, Keys: []string{"A", "", "", "12", ""}, Batch: catalogue.Batch{Items: []catalogue.Item{
		{SKU: "A", Name: "Tea", SaleUOM: "EA", Codes: []string{"4006381333931", "X", "7", "036000291452"}, Stock: []catalogue.Shelf{
			{SKU: "A", Warehouse: "W", Price: "1.990000", Quantity: "-3.5"}, {SKU: "A", Warehouse: "V", Price: "15"}}},
		{SKU: "12"}}}}
	if err != nil || !reflect.DeepEqual(page, want) {
		t.Errorf("got  %+v, %v\nwant %+v", page, err, want)
	}
	page, err = decodePage(catalogue.Customers, json.RawMessage(`{"results":[{"id":"007","fullName":"Ada","phone":{"raw":"1"}},{"id":"8","phone":"2"}]}`))
	if err != nil || len(page.Customers) != 2 || page.Customers[0].Phone != "1" || page.Customers[1].Phone != "2" || page.Customers[0].ID != "007" {
		t.Errorf("%+v, %v", page, err)
	}
	page, err = decodePage(catalogue.Lots, json.RawMessage(`{"results":[{"sku":"A","lot":"1","quantityAvailable":"3"},{"sku":"A","lot":"1","quantityAvailable":"2"},{"sku":"A","lot":"2"},{"lot":"3"}]}`))
	if err != nil || len(page.Records) != 3 || page.Records[0].Key != page.Records[1].Key || page.Records[0].Key == page.Records[2].Key || page.Records[0].Owner != "A" {
		t.Errorf("%+v, %v", page, err)
	}
	page, err = decodePage(catalogue.Sales, json.RawMessage(`{"results":[{"id":"1","customerId":"c","saleDate":"2026-03-01T23:30:00Z"},{"id":2,"saleDate":"yesterday"}]}`))
	if err != nil || len(page.Records) != 2 || page.Records[0].Day != "2026-03-01" || page.Records[1].Day != "" || page.Records[1].Key != "2" {
		t.Errorf("%+v, %v", page, err)
	}
	for _, bad := range []string{`null`, `5`, `{"results":5}`, `{"results":{}}`, `"x"`, `{`} {
		if p, err := decodePage(catalogue.Items, json.RawMessage(bad)); err == nil {
			t.Errorf("%s: %+v", bad, p)
		}
	}
}

// FuzzDecodePage: no answer makes it panic or lose its place, and prices are decimals or nothing.
func FuzzDecodePage(f *testing.F) {
	f.Add(`{"hasMoreResults":true,"until":"x","results":[{"sku":"A","barcodes":["1"],"warehouses":[{"warehouseCode":"W","basePrice":1e9}]}]}`)
	f.Add(`[{"sku":"A","warehouseCode":"W","basePrice":"1.5","quantityAvailable":-0}]`)
	f.Add(`{"results":[null,{"id":"1","saleDate":"2026-01-01"},{"id":{}},[[]]]}`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, feed := range catalogue.Feeds() {
			page, err := decodePage(feed, json.RawMessage(text))
			if err != nil {
				continue
			}
			rows := len(page.Items) + len(page.Stock) + len(page.Customers) + len(page.Records)
			if rows > len(page.Keys) {
				t.Errorf("%d rows of %d", rows, len(page.Keys))
			}
			shelves := slices.Clone(page.Stock)
			for _, i := range page.Items {
				shelves = append(shelves, i.Stock...)
				if i.SKU == "" || !slices.Contains(page.Keys, i.SKU) {
					t.Errorf("item %+v of keys %q", i, page.Keys)
				}
			}
			for _, s := range shelves {
				for _, d := range []string{s.Price, s.Quantity} {
					if d != "" && !plainDecimal.MatchString(d) {
						t.Errorf("%q is no decimal", d)
					}
				}
			}
		}
	})
}
