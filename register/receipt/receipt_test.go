package receipt_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"storeagent/devices/printer"
	"storeagent/offline"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/register/receipt"
)

var update = flag.Bool("update", false, "write the golden receipts anew")

func usd(t *testing.T, s string) money.Amount {
	t.Helper()
	a, err := money.Parse(s, "USD")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const (
	simpleSale = `{"transactionId":"TRANS00002","storeCode":"DALLAS","purchasedOn":"2021-09-15T04:50:00","payAmount":"1.99",
	"saleDiscountAmount":"0","itemDiscountAmount":"0","subTotal":"1.99","refundAmount":"0","taxAmount":"0","lineItems":[
	{"lineNumber":1,"sku":"GUM001","isRefund":false,"unitPrice":"1.99","extPrice":"1.99","itemDiscountAmount":"0","saleDiscountAmount":"0","quantity":"1","uom":"EA"}]}`
	fullSale = `{"transactionId":"L3-000417","purchasedOn":"2026-11-21T18:05:09-06:00","payAmount":"34.62","saleDiscountAmount":"1.00",
	"itemDiscountAmount":"0.50","subTotal":"32.00","taxAmount":"2.62","payMethod":"MIXED","lineItems":[
	{"sku":"A1","name":"Coffee beans, roasted slowly over a wood fire, 1 kg","unitPrice":"14.50","extPrice":"29.00","itemDiscountAmount":"0.50","quantity":"2","uom":"EA"},
	{"sku":"A2","name":"Äpfel","unitPrice":"3.00","extPrice":"1.125","itemDiscountAmount":"0","quantity":"0.375","uom":"KG"},
	{"sku":"A3","name":null,"unitPrice":"3.375","extPrice":"3.375","itemDiscountAmount":null,"quantity":"1","uom":"EA"},
	{"sku":"A4","name":"Bottle\u001b@ back","isRefund":true,"unitPrice":"0.25","extPrice":"-0.25","quantity":"-1","uom":"EA"}]}`
	refundSale = `{"transactionId":"TRANS00003","purchasedOn":"2021-09-15T04:50:00","payAmount":"-3.98","saleDiscountAmount":"-0.06",
	"itemDiscountAmount":"0","subTotal":"-3.98","refundAmount":"3.98","taxAmount":"0","payMethod":"CASH","lineItems":[
	{"sku":"LAYS002","isRefund":true,"unitPrice":"3.98","extPrice":"-3.98","itemDiscountAmount":"0","saleDiscountAmount":"-0.06","quantity":"-1","uom":"EA","name":"Lays Chips 13 oz"}]}`
)

func inputs(t *testing.T) map[string]receipt.Input {
	store := receipt.Store{Name: "Corner Shop", Address: []string{"1 Main Street", "Dallas, TX 75201"}, TaxID: "75-1234567", Footer: []string{"Thank you!"}}
	card := payments.Payment{ID: "p1", Type: payments.Sale, Amount: usd(t, "30.00"), CardBrand: "VISA", Last4: "1111", ApprovalCode: "A1B2C3",
		TerminalReference: "000123", EntryMode: "contactless"}
	slip := card
	slip.Receipt.Customer = []string{"** CUSTOMER COPY **", "VISA ************1111", "AID A0000000031010", "APPROVED"}
	back := payments.Payment{ID: "p2", Type: payments.Refund, Amount: usd(t, "3.98"), CardBrand: "VISA", Last4: "1111"}
	mixed := []offline.Tender{{Type: "card", PaymentID: "p1"}, {Type: "giftcard", Amount: "2.00"}, {Type: "cash", Amount: "2.62"}}
	return map[string]receipt.Input{
		"simple-42":    {Store: store, Sale: json.RawMessage(simpleSale), Columns: 42, Currency: "USD"},
		"bare-32":      {Sale: json.RawMessage(simpleSale), Columns: 32},
		"full-42":      {Store: store, Sale: json.RawMessage(fullSale), Columns: 42, Currency: "USD", Tenders: mixed, Payments: []payments.Payment{card}},
		"full-32":      {Store: store, Sale: json.RawMessage(fullSale), Columns: 32, Currency: "USD", Tenders: mixed, Payments: []payments.Payment{slip}},
		"refund-42":    {Store: store, Sale: json.RawMessage(refundSale), Columns: 42, Currency: "USD", Tenders: []offline.Tender{{Type: "card", PaymentID: "p2"}}, Payments: []payments.Payment{back}},
		"duplicate-48": {Store: store, Sale: json.RawMessage(refundSale), Columns: 48, Currency: "USD", Duplicate: true},
		"uuid-42":      {Sale: json.RawMessage(simpleSale), Columns: 42, TransactionID: "01976f2e-8a4b-7c3d-9e5f-a1b2c3d4e5f6"},
	}
}

func TestGolden(t *testing.T) {
	for name, in := range inputs(t) {
		t.Run(name, func(t *testing.T) {
			doc, err := receipt.Layout(in)
			if err != nil {
				t.Fatal(err)
			}
			if err := printer.Check(doc, in.Columns); err != nil {
				t.Fatal(err)
			}
			got := printer.PreviewText(doc, in.Columns)
			path := filepath.Join("..", "..", "testdata", "receipts", name+".txt")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func TestRefuses(t *testing.T) {
	for name, in := range map[string]receipt.Input{
		"no sale":    {Columns: 42},
		"no object":  {Columns: 42, Sale: json.RawMessage(`[]`)},
		"bad amount": {Columns: 42, Sale: json.RawMessage(`{"payAmount":"ten"}`)},
		"no paper":   {Columns: 8, Sale: json.RawMessage(simpleSale)},
	} {
		if doc, err := receipt.Layout(in); err == nil {
			t.Errorf("%s: laid out as %v", name, doc)
		}
	}
}

// FuzzLayout holds that whatever sale is accepted by the layout can be printed, on any paper.
func FuzzLayout(f *testing.F) {
	f.Add("Gum", "1.99", "2", "TRANS1", 42)
	f.Add("\x1b@\x00", "-123456789012.123456", "0.000001", "{B{C", 20)
	f.Add(strings.Repeat("界", 50), "0", "1", "", 33)
	f.Fuzz(func(t *testing.T, name, sum, quantity, id string, columns int) {
		if columns > 200 || strings.IndexFunc(name, func(r rune) bool { return unicode.Is(unicode.Cf, r) }) >= 0 {
			return
		}
		body, err := json.Marshal(map[string]any{"payAmount": sum, "subTotal": sum, "saleDiscountAmount": sum, "purchasedOn": name, "transactionId": id,
			"lineItems": []map[string]any{{"name": name, "sku": id, "quantity": quantity, "extPrice": sum, "unitPrice": sum, "itemDiscountAmount": sum}}})
		if err != nil {
			return
		}
		doc, err := receipt.Layout(receipt.Input{Sale: body, Columns: columns, Store: receipt.Store{Name: name}})
		if err != nil {
			return
		}
		if err := printer.Check(doc, columns); err != nil {
			t.Fatalf("%v\n%s", err, body)
		}
		for l := range strings.SplitSeq(printer.PreviewText(doc, columns), "\n") {
			if printer.Width(l) > columns && !strings.Contains(l, "[CODE128") {
				t.Fatalf("line of %d on %d columns: %q", printer.Width(l), columns, l)
			}
		}
	})
}
