package register_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"storeagent/devices/scanner"
	"storeagent/offline/catalogue"
	"storeagent/offline/catalogue/cataloguetest"
	"storeagent/register"
	"storeagent/register/wire"
)

// counting is a catalogue that notes whether it was told to look for changes.
type counting struct {
	*catalogue.Catalogue
	synced, full int
}

func (c *counting) SyncNow(full bool) {
	c.synced++
	if full {
		c.full++
	}
}

// withCatalogue gives a server a catalogue of a few rows over a scripted cloud.
func withCatalogue(t *testing.T, m *memory) (*register.Server, *cataloguetest.Cloud, *counting) {
	t.Helper()
	store, cloud := cataloguetest.NewMemory(), cataloguetest.NewCloud()
	cloud.Answer = func(kind string, f catalogue.Filter) (json.RawMessage, error) {
		return json.RawMessage(`[{"kind":"` + kind + `","code":"` + f["code"] + `"}]`), nil
	}
	shelf := []catalogue.Shelf{{Warehouse: "DALLAS", Price: "1.99", Quantity: "40"}, {Warehouse: "HOUSTON", Price: "2.09"}}
	err := errors.Join(
		store.Put(t.Context(), catalogue.Items, catalogue.Batch{AsOf: time.Unix(1700000000, 0).UTC(), Items: []catalogue.Item{
			{SKU: "GUM001", Name: "Gum small pack", SaleUOM: "EA", Codes: []string{"036000291452"}, Stock: shelf}, {SKU: "TEA001", Name: "Tea"},
			{SKU: "TWIN-A", Codes: []string{"4006381333931"}}, {SKU: "TWIN-B", Codes: []string{"4006381333931"}},
		}}, nil),
		store.Put(t.Context(), catalogue.Customers, catalogue.Batch{Customers: []catalogue.Customer{{ID: "1", MemberID: "C1", FullName: "Ada Example", Phone: "+1 214 555 0100"}}}, nil),
		store.Put(t.Context(), catalogue.Lots, catalogue.Batch{Records: []catalogue.Record{{Key: "1", Owner: "GUM001", Body: json.RawMessage(`{"lot":"7"}`)}}}, nil))
	if err != nil {
		t.Fatal(err)
	}
	cat, err := catalogue.New(catalogue.Config{Source: cloud, Store: store, Log: slog.New(slog.DiscardHandler), StoreCode: "DALLAS", Currency: "USD"})
	if err != nil {
		t.Fatal(err)
	}
	counts := &counting{Catalogue: cat}
	return newServer(t, m, func(c *register.Config) { c.Catalogue = counts }), cloud, counts
}

func TestCatalogueLookups(t *testing.T) {
	s, _, _ := withCatalogue(t, newMemory())
	for path, want := range map[string]string{
		"/v1/items?code=0036000291452":             `"sku":"GUM001","name":"Gum small pack","price":"1.99","currency":"USD","uom":"EA","quantity":"40","warehouse":"DALLAS"`,
		"/v1/items?sku=GUM001&warehouse=HOUSTON":   `"price":"2.09","currency":"USD","uom":"EA","warehouse":"HOUSTON"`,
		"/v1/items?q=gum+sm":                       `"sku":"GUM001"`,
		"/v1/items?q=nothing":                      `{"items":[],"nextCursor":""}`,
		"/v1/customers?memberId=C1":                `"fullName":"Ada Example"`,
		"/v1/customers?phone=2145550100":           `"id":"1"`,
		"/v1/customers?q=exam":                     `"id":"1"`,
		"/v1/catalog":                              `"complete":false,"items":[{"kind":"item","state":"waiting"`,
		"/v1/catalog/location?code=X":              `"items":[{"kind":"location","code":"X"}],"nextCursor":"","asOf":`,
		"/v1/catalog/environment":                  `"stale":false`,
		"/v1/catalog/itemSerialLot?sku=GUM001":     `"items":[{"lot":"7"}]`,
		"/v1/catalog/itemWarehouse?sku=GUM001":     `"warehouse":"DALLAS","price":"1.99"`,
		"/v1/catalog/sale?fromDate=2026-03-01":     `"items":[{"kind":"sale"`,
		"/v1/catalog/itemWarehouse?warehouse=NONE": `"items":[]`,
	} {
		w := ask{method: "GET", path: path, token: registerToken}.do(t, s)
		if w.Code != http.StatusOK || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s\nwant %s", path, w.Code, w.Body, want)
		}
	}
}

func TestCatalogueRefusesQuestions(t *testing.T) {
	s, cloud, _ := withCatalogue(t, newMemory())
	for path, want := range map[string]string{
		"/v1/items": "validation_failed", "/v1/items?code=1&q=2": "validation_failed", "/v1/items?code=%20": "validation_failed", "/v1/items?barcode=1": "validation_failed",
		"/v1/items?q=x&limit=1000": "validation_failed", "/v1/customers": "validation_failed", "/v1/customers?phone=12": "validation_failed",
		"/v1/items?code=4111111111111111": "card_data_refused", "/v1/customers?q=4111+1111+1111+1111": "card_data_refused",
		"/v1/catalog/giftcard": "not_found", "/v1/catalog/item": "not_found", "/v1/catalog/environment?code=1": "validation_failed",
		"/v1/catalog/sale?fromDate=yesterday": "validation_failed", "/v1/catalog/location?sku=1": "validation_failed",
	} {
		if w := (ask{method: "GET", path: path, token: registerToken}).do(t, s); code(t, w) != want || strings.Contains(words(w), "411111") {
			t.Errorf("%s: %d %s, want %s", path, w.Code, w.Body, want)
		}
	}
	for fault, want := range map[error]string{
		catalogue.ErrNotAllowed: "cloud_not_allowed", catalogue.ErrUnsupported: "cloud_not_offered", errors.New("secret text"): "cloud_away",
	} {
		cloud.Answer = func(string, catalogue.Filter) (json.RawMessage, error) { return nil, fault }
		if w := (ask{method: "GET", path: "/v1/catalog/product", token: registerToken}).do(t, s); w.Code != 503 || code(t, w) != want || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%v: %d %s, want %s", fault, w.Code, w.Body, want)
		}
	}
	without := newServer(t, newMemory())
	for _, path := range []string{"/v1/items?q=x", "/v1/customers?q=x", "/v1/catalog", "/v1/catalog/sale"} {
		if w := (ask{method: "GET", path: path, token: registerToken}).do(t, without); code(t, w) != "not_found" {
			t.Errorf("%s without a catalogue: %d", path, w.Code)
		}
	}
}

func TestSyncNow(t *testing.T) {
	s, _, counts := withCatalogue(t, newMemory())
	w := ask{method: "POST", path: "/v1/catalog/sync", token: technicianToken}.do(t, s)
	if w.Code != http.StatusOK || counts.synced != 1 || counts.full != 0 {
		t.Errorf("%d %s, synced %d times", w.Code, w.Body, counts.synced)
	}
	if w := (ask{method: "POST", path: "/v1/catalog/sync?full=true", token: technicianToken}).do(t, s); w.Code != http.StatusOK || counts.full != 1 {
		t.Errorf("%d %s, in full %d times", w.Code, w.Body, counts.full)
	}
}

// TestScansNameTheirItem: exactly one item is named; the price in the code wins over the item's; a gift card is never
// looked up.
func TestScansNameTheirItem(t *testing.T) {
	for _, tc := range []struct {
		name, data, gtin, price string
		sku, wantPrice, kind    string
	}{
		{"by gtin", "036000291452", "00036000291452", "", "GUM001", "1.99", "item"},
		{"by sku", "GUM001", "", "", "GUM001", "1.99", "item"},
		{"price in the code", "036000291452", "00036000291452", "0.75", "GUM001", "0.75", "item"},
		{"without a price", "TEA001", "", "", "TEA001", "", "item"},
		{"two of a kind", "4006381333931", "04006381333931", "", "", "", "item"},
		{"unknown", "NOTHING", "", "", "", "", "unknown"},
		{"gift card", "6006491000000001", "", "", "", "", "giftcard"},
	} {
		m := newMemory()
		s, _, _ := withCatalogue(t, m)
		err := s.Scanned(context.Background(), scanner.Scan{Scanner: "gun", Symbology: "code128", Data: []byte(tc.data), GTIN: tc.gtin, Price: tc.price, At: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		var got wire.Scan
		if err := json.Unmarshal(m.log[len(m.log)-1].Data, &got); err != nil {
			t.Fatal(err)
		}
		sku := ""
		if got.Item != nil {
			sku = got.Item.SKU
		}
		if sku != tc.sku || got.Price != tc.wantPrice || got.Kind != tc.kind {
			t.Errorf("%s: item %q price %q kind %q in %+v", tc.name, sku, got.Price, got.Kind, got)
		}
	}
}
