package receipt_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/govalues/decimal"

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

// paper is a store's form and a sale.
type paper struct {
	options receipt.Options
	in      receipt.Input
}

func form(t testing.TB, o receipt.Options) *receipt.Form {
	t.Helper()
	f, err := receipt.NewForm(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func shop(locale string) receipt.Options {
	return receipt.Options{Locale: locale, Currency: "USD",
		Store: receipt.Store{Name: "Corner Shop", Address: []string{"1 Main Street", "Dallas, TX 75201"}, TaxID: "75-1234567", Footer: []string{"Thank you!"}}}
}

func papers(t *testing.T) map[string]paper {
	card := payments.Payment{ID: "p1", Type: payments.Sale, Amount: usd(t, "30.00"), CardBrand: "VISA", Last4: "1111", ApprovalCode: "A1B2C3",
		TerminalReference: "000123", EntryMode: "contactless"}
	slip := card
	slip.Receipt.Customer = []string{"** CUSTOMER COPY **", "VISA ************1111", "AID A0000000031010", "APPROVED"}
	signed := slip
	tip := usd(t, "5.00")
	signed.SignatureRequired, signed.TipAmount, signed.Receipt.Merchant = true, &tip, []string{"** MERCHANT COPY **", "AID A0000000031010"}
	back := payments.Payment{ID: "p2", Type: payments.Refund, Amount: usd(t, "3.98"), CardBrand: "VISA", Last4: "1111"}
	gift := offline.GiftcardView{ID: "g1", Code: "************0001", Amount: "2.00", Balance: "23.00"}
	late := offline.GiftcardView{ID: "g1", Code: "************0001", Amount: "2.00", CapturedAmount: "1.50", Offline: true}
	mixed := []offline.Tender{{Type: "card", PaymentID: "p1"}, {Type: "giftcard", GiftcardTransactionID: "g1"}, {Type: "cash", Amount: "2.62"}}
	over := []offline.Tender{{Type: "giftcard", GiftcardTransactionID: "g1"}, {Type: "cash", Amount: "50.00"}}
	us := shop("")
	out := map[string]paper{
		"simple-42":    {us, receipt.Input{Sale: json.RawMessage(simpleSale), Columns: 42, Currency: "USD"}},
		"bare-32":      {receipt.Options{}, receipt.Input{Sale: json.RawMessage(simpleSale), Columns: 32}},
		"full-42":      {us, receipt.Input{Sale: json.RawMessage(fullSale), Columns: 42, Currency: "USD", Tenders: mixed, Payments: []payments.Payment{card}, Giftcards: []offline.GiftcardView{gift}}},
		"full-32":      {us, receipt.Input{Sale: json.RawMessage(fullSale), Columns: 32, Currency: "USD", Tenders: mixed, Payments: []payments.Payment{slip}, Giftcards: []offline.GiftcardView{late}}},
		"signed-42":    {us, receipt.Input{Sale: json.RawMessage(fullSale), Columns: 42, Currency: "USD", Tenders: mixed[:1], Payments: []payments.Payment{signed}}},
		"change-48":    {us, receipt.Input{Sale: json.RawMessage(fullSale), Columns: 48, Currency: "USD", Tenders: over, Giftcards: []offline.GiftcardView{gift}}},
		"refund-42":    {us, receipt.Input{Sale: json.RawMessage(refundSale), Columns: 42, Currency: "USD", Tenders: []offline.Tender{{Type: "card", PaymentID: "p2"}}, Payments: []payments.Payment{back}}},
		"duplicate-48": {us, receipt.Input{Sale: json.RawMessage(refundSale), Columns: 48, Currency: "USD", Duplicate: true}},
		"uuid-42":      {receipt.Options{}, receipt.Input{Sale: json.RawMessage(simpleSale), Columns: 42, TransactionID: "01976f2e-8a4b-7c3d-9e5f-a1b2c3d4e5f6"}},
	}
	for _, locale := range []string{"en-US", "de-DE", "ar-EG"} {
		for name, body := range vendorSales(t) {
			o := shop(locale)
			o.Location = time.UTC
			currency := map[string]string{"en-US": "USD", "de-DE": "EUR", "ar-EG": "EGP"}[locale]
			out["vendor-"+name+"-"+locale] = paper{o, receipt.Input{Sale: body, Columns: 42, Currency: currency}}
		}
	}
	return out
}

// vendorSales are the three sales of the vendor's page.
func vendorSales(t testing.TB) map[string]json.RawMessage {
	t.Helper()
	out := map[string]json.RawMessage{}
	for _, name := range []string{"minimal", "complete", "refund"} {
		body, err := os.ReadFile(filepath.Join("..", "..", "testdata", "sales", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = body
	}
	return out
}

func TestGolden(t *testing.T) {
	for name, p := range papers(t) {
		t.Run(name, func(t *testing.T) {
			r, err := form(t, p.options).Layout(p.in)
			if err != nil || r.Problem != nil {
				t.Fatal(err, r.Problem)
			}
			if err := printer.Check(r.Document, p.in.Columns); err != nil {
				t.Fatal(err)
			}
			got := printer.PreviewText(r.Document, p.in.Columns)
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
		if r, err := form(t, receipt.Options{}).Layout(in); err == nil {
			t.Errorf("%s: laid out as %v", name, r.Document)
		}
	}
}

// FuzzLayout holds that whatever sale is accepted by the layout can be printed, on any paper and in any locale, and that
// nothing in a sale is taken for layout.
func FuzzLayout(f *testing.F) {
	f.Add("Gum", "1.99", "2", "TRANS1", 42, uint8(0))
	f.Add("\x1b@\x00|{code:1}", "-123456789012.123456", "0.000001", "{B{C", 20, uint8(1))
	f.Add(strings.Repeat("界", 50), "0", "1", "", 33, uint8(2))
	f.Add("---", "1234567.5", "10", "===", 48, uint8(3))
	var forms []*receipt.Form
	for _, locale := range []string{"en-US", "de-CH", "ar-EG", "hi-Latn-IN"} {
		if locale == "hi-Latn-IN" {
			locale = "en-IN"
		}
		forms = append(forms, form(f, receipt.Options{Locale: locale}))
	}
	f.Fuzz(func(t *testing.T, name, sum, quantity, id string, columns int, locale uint8) {
		if columns > 200 || strings.IndexFunc(name, func(r rune) bool { return unicode.Is(unicode.Cf, r) }) >= 0 {
			return
		}
		body, err := json.Marshal(map[string]any{"payAmount": sum, "subTotal": sum, "saleDiscountAmount": sum, "purchasedOn": name, "transactionId": id,
			"lineItems": []map[string]any{{"name": name, "sku": id, "quantity": quantity, "extPrice": sum, "unitPrice": sum, "itemDiscountAmount": sum, "uom": name, "refundTransactionId": name}}})
		if err != nil {
			return
		}
		in := receipt.Input{Sale: body, Columns: columns, Currency: "EUR", Duplicate: locale&16 > 0, Tenders: []offline.Tender{{Type: "card", PaymentID: "p"}, {Type: "cash", Amount: sum}},
			Payments: []payments.Payment{{ID: "p", CardBrand: name, Last4: id, SignatureRequired: true, Receipt: payments.Receipt{Customer: []string{name, id}}}}}
		r, err := forms[int(locale)%len(forms)].Layout(in)
		if err != nil {
			if _, decimalErr := decimal.Parse(sum); decimalErr == nil && sum != "" && columns >= 20 {
				if _, decimalErr := decimal.Parse(quantity); decimalErr == nil {
					t.Fatalf("%v\n%s", err, body)
				}
			}
			return
		}
		if err := printer.Check(r.Document, columns); err != nil {
			t.Fatalf("%v\n%s", err, body)
		}
		cuts := 0
		for _, op := range r.Document {
			if op.Op == "cut" {
				cuts++
			}
			if op.Op == "image" || op.Op == "qrcode" {
				t.Fatalf("a sale made a %s", op.Op)
			}
			for l := range strings.SplitSeq(printer.PreviewText(printer.Document{op}, columns), "\n") {
				if printer.Width(l) > columns && op.Op != "barcode" {
					t.Fatalf("line of %d on %d columns: %q", printer.Width(l), columns, l)
				}
			}
		}
		if want := 2 - int(locale&16)/16; cuts != want {
			t.Fatalf("%d cuts, want %d", cuts, want)
		}
	})
}
