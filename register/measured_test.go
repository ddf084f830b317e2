package register_test

import (
	"encoding/json"
	"log/slog"
	"testing"
	"time"

	"storeagent/devices/scanner"
	"storeagent/offline/catalogue"
	"storeagent/offline/catalogue/cataloguetest"
	"storeagent/register"
	"storeagent/register/wire"
)

// TestScansOfMeasuredCodes: a label of a scale names price or weight and its item; one with a wrong check digit names
// nothing, though the shop has an item under its number.
func TestScansOfMeasuredCodes(t *testing.T) {
	store := cataloguetest.NewMemory()
	shelf := []catalogue.Shelf{{Warehouse: "DALLAS", Price: "3.50"}}
	if err := store.Put(t.Context(), catalogue.Items, catalogue.Batch{AsOf: time.Unix(1700000000, 0).UTC(), Items: []catalogue.Item{
		{SKU: "12345", Stock: shelf}, {SKU: "77", Stock: shelf}, {SKU: "HAM", Codes: []string{"2054321000001"}, Stock: shelf},
		{SKU: "WRONG", Codes: []string{"2012345828759"}, Stock: shelf},
	}}, nil); err != nil {
		t.Fatal(err)
	}
	cat, err := catalogue.New(catalogue.Config{Source: cataloguetest.NewCloud(), Store: store, Log: slog.New(slog.DiscardHandler), StoreCode: "DALLAS", Currency: "USD"})
	if err != nil {
		t.Fatal(err)
	}
	var patterns []scanner.Pattern
	for _, text := range []string{"20IIIIICPPPPK", "28IIIIIWWWWWK", "2IIIIICPPPPK"} {
		p, err := scanner.ParsePattern(text)
		if err != nil {
			t.Fatal(err)
		}
		patterns = append(patterns, p)
	}
	for _, c := range []struct {
		name, data               string
		sku, price, weight, kind string
	}{
		{"price", "2012345928756", "12345", "28.75", "", "item"},
		{"item without its zeros", "2000077928755", "77", "28.75", "", "item"},
		{"item by the code with zeros", "2054321400047", "HAM", "0.04", "", "item"},
		{"no such item", "2099999400043", "", "0.04", "", "item"},
		{"weight", "2812345012505", "12345", "3.50", "1.250", "item"},
		{"UPC-A of 13 digits", "0212345804995", "12345", "4.99", "", "item"},
		{"wrong price check digit", "2012345828759", "", "", "", "unknown"},
		{"another code", "12345", "12345", "3.50", "", "item"},
	} {
		m := newMemory()
		s := newServer(t, m, func(c *register.Config) { c.Catalogue, c.Patterns = cat, patterns })
		scan := scanner.Scan{Scanner: "gun", Symbology: "ean13", AIM: "]E0", Data: []byte(c.data), At: time.Now()}
		if len(c.data) == 13 {
			scan.GTIN = "0" + c.data
		}
		if err := s.Scanned(t.Context(), scan); err != nil {
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
		if sku != c.sku || got.Price != c.price || got.Weight != c.weight || got.Kind != c.kind || got.GTIN != "" || got.Data != c.data {
			t.Errorf("%s: item %q price %q weight %q kind %q in %+v", c.name, sku, got.Price, got.Weight, got.Kind, got)
		}
	}
}
