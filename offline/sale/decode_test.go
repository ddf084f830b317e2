package sale

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// The three inputs of the vendor's "Record Purchase" page, without white space.
var minimal, complete, refund = example("minimal"), example("complete"), example("refund")

func example(name string) string {
	posted, err := os.ReadFile("../../testdata/sales/" + name + ".json")
	if err != nil {
		panic(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, posted); err != nil {
		panic(err)
	}
	return b.String()
}

func dallas(t testing.TB) Defaults {
	loc, err := time.LoadLocation("America/Chicago")
	if err != nil {
		t.Fatal(err)
	}
	return Defaults{StoreCode: "DALLAS", Currency: "USD", Location: loc}
}

// edit posts body with changes: dotted paths, "lineItems.0.sku"; a nil value removes the field.
func edit(t testing.TB, body string, changes map[string]any) json.RawMessage {
	var root map[string]any
	if err := json.Unmarshal([]byte(body), &root); err != nil {
		t.Fatal(err)
	}
	for path, value := range changes {
		at := root
		parts := strings.Split(path, ".")
		for len(parts) > 1 {
			switch next := at[parts[0]].(type) {
			case map[string]any:
				at, parts = next, parts[1:]
			case []any:
				var i int
				if _, err := fmt.Sscan(parts[1], &i); err != nil {
					t.Fatal(err)
				}
				at, parts = next[i].(map[string]any), parts[2:]
			default:
				t.Fatalf("no %s in the sale", path)
			}
		}
		if value == nil {
			delete(at, parts[0])
		} else {
			at[parts[0]] = value
		}
	}
	out, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func codes(ws []Warning) []string {
	out := []string{}
	for _, w := range ws {
		out = append(out, w.Code)
	}
	return out
}

func TestVendorExamples(t *testing.T) {
	for name, tc := range map[string]struct {
		body     string
		kind     Kind
		warnings []string
	}{
		"minimal":  {minimal, Sold, []string{}},
		"complete": {complete, Sold, []string{"sub_total_mismatch"}},
		"refund":   {refund, Refunded, []string{"pay_amount_mismatch"}},
	} {
		s, err := Decode(json.RawMessage(tc.body), dallas(t))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.Kind != tc.kind || !slices.Equal(codes(s.Warnings), tc.warnings) || s.Currency != "USD" {
			t.Errorf("%s: %s in %s with warnings %v, want %s with %v", name, s.Kind, s.Currency, codes(s.Warnings), tc.kind, tc.warnings)
		}
		if string(s.Body) != tc.body {
			t.Errorf("%s: forwards\n%s, want\n%s", name, s.Body, tc.body)
		}
	}
}

func TestFields(t *testing.T) {
	s, err := Decode(edit(t, refund, map[string]any{
		"customerId": "00000000000000000042", "email": "a@example.com",
		"tenders": []any{
			map[string]any{"type": "card", "paymentId": "pay-1"}, map[string]any{"type": "cash", "amount": "-1.00"},
			map[string]any{"type": "giftcard", "giftcardTransactionId": "gc-1"},
		},
	}), dallas(t))
	if err != nil {
		t.Fatal(err)
	}
	if s.TransactionID != "TRANS00003" || s.PayAmount != "-3.98" || s.RefundAmount != "3.98" || s.CustomerID == "" ||
		s.Email == "" || s.RefundOf() != "TRANS00003" || s.MemberID != "C000000212" || s.PurchasedOn != "2021-09-15T04:50:00" {
		t.Errorf("sale is %+v", s)
	}
	two := 2
	want := Line{
		LineNumber: 1, SKU: "LAYS002", IsRefund: true, UnitPrice: "3.98", ExtPrice: "-3.98", ItemDiscountAmount: "0",
		SaleDiscountAmount: "-0.06", Quantity: "-1", UOM: "EA", Name: "Lays Chips 13 oz", Vendor: "LAYS",
		ProductPriceClass: "SML", UnitCost: "1.28", RefundTransactionID: "TRANS00003", RefundLineNumber: &two,
	}
	if !reflect.DeepEqual(s.Lines, []Line{want}) {
		t.Errorf("lines are %+v", s.Lines)
	}
	if !reflect.DeepEqual(s.Tenders, []Tender{
		{Type: "card", PaymentID: "pay-1"}, {Type: "cash", Amount: "-1.00"}, {Type: "giftcard", GiftcardTransactionID: "gc-1"},
	}) {
		t.Errorf("tenders are %+v", s.Tenders)
	}
	if strings.Contains(string(s.Body), "tenders") || !strings.Contains(string(s.Body), `"customerId"`) {
		t.Errorf("forwards %s", s.Body)
	}
}

func TestForwardedBody(t *testing.T) {
	posted := `{ "kind":"sale", "purchasedOn":"2021-09-15T09:50:00Z","transactionId":"Caf\u00e9 <1>","payAmount":"0","currency":"USD",
 "saleDiscountAmount":"0","itemDiscountAmount":"0.00","subTotal":"0","refundAmount":"0","taxAmount":"0","memberId":null,
 "lineItems":[{"uom":"EA","lineNumber":10,"sku":"A","isRefund":false,"unitPrice":"0.123456","extPrice":"0","itemDiscountAmount":"0","saleDiscountAmount":"0","quantity":"0.375"}],"tenders":null}`
	s, err := Decode(json.RawMessage(posted), dallas(t))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"purchasedOn":"2021-09-15T04:50:00","transactionId":"Caf\u00e9 <1>","payAmount":"0",` +
		`"saleDiscountAmount":"0","itemDiscountAmount":"0.00","subTotal":"0","refundAmount":"0","taxAmount":"0","memberId":null,` +
		`"lineItems":[{"uom":"EA","lineNumber":10,"sku":"A","isRefund":false,"unitPrice":"0.123456","extPrice":"0",` +
		`"itemDiscountAmount":"0","saleDiscountAmount":"0","quantity":"0.375"}],"storeCode":"DALLAS"}`
	if string(s.Body) != want {
		t.Errorf("forwards\n%s, want\n%s", s.Body, want)
	}
	if s.TransactionID != "Café <1>" || s.StoreCode != "DALLAS" {
		t.Errorf("read %q at %q", s.TransactionID, s.StoreCode)
	}
}

func TestPurchasedOn(t *testing.T) {
	for _, tc := range []struct{ posted, want string }{
		{"2021-09-15T04:50:00", "2021-09-15T04:50:00"},
		{"2021-09-15T04:50:00.500", "2021-09-15T04:50:00.500"}, // as posted
		{"2021-09-15T04:50:00Z", "2021-09-14T23:50:00"},
		{"2021-12-15T04:50:00+01:00", "2021-12-14T21:50:00"},
		{"2021-12-15T04:50:00.25+01:00", "2021-12-14T21:50:00.25"},
		{"2021-03-14T02:30:00", "2021-03-14T02:30:00"}, // the hour that summer time skips: a till's clock said so
	} {
		s, err := Decode(edit(t, minimal, map[string]any{"purchasedOn": tc.posted}), dallas(t))
		if err != nil || s.PurchasedOn != tc.want || !strings.Contains(string(s.Body), `"`+tc.want+`"`) {
			t.Errorf("%s became %s, %v, want %s", tc.posted, s.PurchasedOn, err, tc.want)
		}
	}
	for _, posted := range []string{
		"2021-09-15", "2021-09-15 04:50:00", "2021-9-15T04:50:00", "2021-02-30T04:50:00", "2021-09-15T24:00:00",
		"2021-09-15T04:50:00z", "2021-09-15T04:50:00,5", "0000-01-01T00:00:00+14:00", "now", "2021-09-15T04:50:00+0100",
	} {
		wantErrors(t, edit(t, minimal, map[string]any{"purchasedOn": posted}), "purchasedOn")
	}
}

// wantErrors checks that a body is refused at just these locations, and that no posted value is in the messages.
func wantErrors(t *testing.T, body json.RawMessage, locations ...string) {
	t.Helper()
	_, err := Decode(body, dallas(t))
	var fields *FieldErrors
	if !errors.As(err, &fields) {
		t.Errorf("%s: got %v, want errors at %v", body, err, locations)
		return
	}
	var got []string
	for _, f := range fields.List {
		got = append(got, f.Location)
		if strings.Contains(f.Location+f.Message, "SECRET") {
			t.Errorf("a value is echoed: %+v", f)
		}
	}
	slices.Sort(got)
	slices.Sort(locations)
	if !slices.Equal(got, locations) {
		t.Errorf("%s:\nerrors at %v, want %v: %+v", body, got, locations, fields.List)
	}
}

func TestRefusals(t *testing.T) {
	long := strings.Repeat("é", MaxText+1)
	for _, tc := range []struct {
		changes map[string]any
		at      string
	}{
		{map[string]any{"transactionId": nil}, "transactionId"},
		{map[string]any{"transactionId": ""}, "transactionId"},
		{map[string]any{"transactionId": long}, "transactionId"},
		{map[string]any{"transactionId": 7}, "transactionId"},
		{map[string]any{"transactionId": "a\x00b"}, "transactionId"},
		{map[string]any{"TransactionID": "SECRET"}, "transactionId"},
		{map[string]any{"surprise": "SECRET"}, "surprise"},
		{map[string]any{"SECRET 4711": "x"}, "body"},
		{map[string]any{"storeCode": ""}, "storeCode"},
		{map[string]any{"memberId": 5}, "memberId"},
		{map[string]any{"channel": long}, "channel"},
		{map[string]any{"email": []string{"SECRET"}}, "email"},
		{map[string]any{"payAmount": 1.99}, "payAmount"},
		{map[string]any{"payAmount": "1.999"}, "payAmount"},
		{map[string]any{"payAmount": "SECRET"}, "payAmount"},
		{map[string]any{"payAmount": "1e2"}, "payAmount"},
		{map[string]any{"payAmount": true}, "payAmount"},
		{map[string]any{"taxAmount": "-0.01"}, "taxAmount"},
		{map[string]any{"refundAmount": "-0.01"}, "refundAmount"},
		{map[string]any{"kind": "gift"}, "kind"},
		{map[string]any{"currency": "usd"}, "currency"},
		{map[string]any{"currency": "XQQ"}, "currency"},
		{map[string]any{"lineItems": nil}, "lineItems"},
		{map[string]any{"lineItems": []any{}}, "lineItems"},
		{map[string]any{"lineItems": "SECRET"}, "lineItems"},
		{map[string]any{"lineItems": []any{"SECRET"}}, "lineItems[0]"},
		{map[string]any{"lineItems": make([]struct{}, MaxLines+1)}, "lineItems"},
		{map[string]any{"lineItems.0.lineNumber": "1"}, "lineItems[0].lineNumber"},
		{map[string]any{"lineItems.0.lineNumber": 1.5}, "lineItems[0].lineNumber"},
		{map[string]any{"lineItems.0.lineNumber": -1}, "lineItems[0].lineNumber"},
		{map[string]any{"lineItems.0.lineNumber": 3000000000}, "lineItems[0].lineNumber"},
		{map[string]any{"lineItems.0.isRefund": "false"}, "lineItems[0].isRefund"},
		{map[string]any{"lineItems.0.quantity": 1}, "lineItems[0].quantity"},
		{map[string]any{"lineItems.0.quantity": "0.1234567"}, "lineItems[0].quantity"},
		{map[string]any{"lineItems.0.quantity": "-1"}, "lineItems[0].quantity"},
		{map[string]any{"lineItems.0.extPrice": "1.999"}, "lineItems[0].extPrice"},
		{map[string]any{"lineItems.0.unitPrice": "-1.99"}, "lineItems[0].unitPrice"},
		{map[string]any{"lineItems.0.unitCost": "-1.99"}, "lineItems[0].unitCost"},
		{map[string]any{"lineItems.0.sku": nil}, "lineItems[0].sku"},
		{map[string]any{"lineItems.0.color": "SECRET"}, "lineItems[0].color"},
		{map[string]any{"lineItems.0.refundLineNumber": "2"}, "lineItems[0].refundLineNumber"},
		{map[string]any{"tenders": map[string]any{}}, "tenders"},
		{map[string]any{"tenders": []any{map[string]any{}}}, "tenders[0].type"},
		{map[string]any{"tenders": []any{map[string]any{"type": "barter"}}}, "tenders[0].type"},
		{map[string]any{"tenders": []any{map[string]any{"type": "card"}}}, "tenders[0].paymentId"},
		{map[string]any{"tenders": []any{map[string]any{"type": "cash"}}}, "tenders[0].amount"},
		{map[string]any{"tenders": []any{map[string]any{"type": "cash", "amount": "1", "paymentId": "p"}}}, "tenders[0].paymentId"},
		{map[string]any{"tenders": []any{map[string]any{"type": "giftcard", "giftcardTransactionId": "g", "pin": "SECRET"}}}, "tenders[0].pin"},
	} {
		wantErrors(t, edit(t, minimal, tc.changes), tc.at)
	}
	for body, at := range map[string]string{
		`{`: "body", `null`: "body", `[]`: "body", `"x"`: "body", "\xff": "body", `{} {}`: "body",
		strings.Replace(minimal, `"sku":"GUM001"`, `"sku":"GUM001","sku":"SECRET"`, 1):        "lineItems[0].sku",
		strings.Replace(minimal, `"storeCode":"DALLAS"`, `"storeCode":null`, 1):               "storeCode",
		strings.Replace(minimal, `"taxAmount":"0"`, `"taxAmount":null`, 1):                    "taxAmount",
		strings.Replace(minimal, `"isRefund":false`, `"isRefund":null`, 1):                    "lineItems[0].isRefund",
		strings.Replace(minimal, `"sku":"GUM001"`, `"sku":"\ud800"`, 1):                       "lineItems[0].sku",
		strings.Replace(minimal, `"lineNumber":1`, `"lineNumber":1e0`, 1):                     "lineItems[0].lineNumber",
		strings.Replace(minimal, `"storeCode":"DALLAS"`, `"storeCode":"A","\u0070an":"1"`, 1): "pan",
	} {
		wantErrors(t, json.RawMessage(body), at)
	}
	if _, err := Decode(edit(t, minimal, map[string]any{"storeCode": nil}), Defaults{Currency: "USD"}); err == nil {
		t.Error("a sale without any store code passed")
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	wantErrors(t, edit(t, complete, map[string]any{
		"payAmount": 5.79, "extra": "x", "transactionId": nil, "lineItems.1.quantity": 1, "lineItems.0.uom": "",
	}), "payAmount", "extra", "transactionId", "lineItems[1].quantity", "lineItems[0].uom")
	wantErrors(t, edit(t, refund, map[string]any{"kind": "sale"}), "payAmount", "subTotal", "saleDiscountAmount")
	wantErrors(t, edit(t, refund, map[string]any{"lineItems.0.quantity": "1", "refundAmount": "-3.98"}),
		"refundAmount", "lineItems[0].quantity")
}

func TestKindsAndWarnings(t *testing.T) {
	for _, tc := range []struct {
		body     string
		changes  map[string]any
		kind     Kind
		warnings []string
	}{
		{minimal, map[string]any{"kind": "sale", "currency": "EUR"}, Sold, []string{}},
		{minimal, map[string]any{"taxAmount": "0.10"}, Sold, []string{"pay_amount_mismatch", "sub_total_mismatch"}},
		{minimal, map[string]any{"saleDiscountAmount": "0.10"}, Sold, []string{"sale_discount_mismatch"}},
		{minimal, map[string]any{"itemDiscountAmount": "0.10"}, Sold, []string{"item_discount_mismatch"}},
		{minimal, map[string]any{"refundAmount": "1.99"}, Sold, []string{"refund_amount_mismatch"}},
		{refund, map[string]any{"payAmount": "-3.92", "subTotal": "-3.92", "refundAmount": "3.92"}, Refunded, []string{}},
		{refund, map[string]any{"refundAmount": "0"}, Refunded, []string{"pay_amount_mismatch", "refund_amount_mismatch"}},
		{complete, map[string]any{"subTotal": "5.79", "lineItems.1.lineNumber": 1}, Sold, []string{"line_number_twice"}},
		{minimal, map[string]any{ // nothing to pay: both signs
			"payAmount": "0", "subTotal": "0", "lineItems.0.extPrice": "0", "lineItems.0.isRefund": true, "lineItems.0.quantity": "-1",
		}, Refunded, []string{}},
		{minimal, map[string]any{"payAmount": "-0", "subTotal": "0", "lineItems.0.extPrice": "0"}, Sold, []string{}},
		{complete, map[string]any{ // an exchange: gum bought, chips brought back
			"payAmount": "-2.05", "subTotal": "-2.05", "saleDiscountAmount": "-0.06", "refundAmount": "2.05", "lineItems.1.isRefund": true,
			"lineItems.1.quantity": "-1", "lineItems.1.extPrice": "-3.98", "lineItems.1.saleDiscountAmount": "-0.06",
		}, Refunded, []string{"mixed_lines"}},
		{minimal, map[string]any{ // sold by kind, brought back by its only line
			"lineItems.0.isRefund": true, "lineItems.0.quantity": "-1", "lineItems.0.extPrice": "-1.99",
		}, Sold, []string{"pay_amount_mismatch", "kind_mismatch"}},
	} {
		s, err := Decode(edit(t, tc.body, tc.changes), dallas(t))
		if err != nil {
			t.Errorf("%v: %v", tc.changes, err)
			continue
		}
		if s.Kind != tc.kind || !slices.Equal(codes(s.Warnings), tc.warnings) {
			t.Errorf("%v: %s with warnings %v, want %s with %v", tc.changes, s.Kind, codes(s.Warnings), tc.kind, tc.warnings)
		}
	}
	yen := map[string]any{
		"currency": "JPY", "payAmount": "199", "subTotal": "199", "lineItems.0.extPrice": "199", "lineItems.0.unitPrice": "199.5",
	}
	if _, err := Decode(edit(t, minimal, yen), dallas(t)); err != nil {
		t.Errorf("yen: %v", err)
	}
	wantErrors(t, edit(t, minimal, map[string]any{"currency": "JPY"}), "payAmount", "subTotal", "lineItems[0].extPrice")
}

func TestContentHash(t *testing.T) {
	hash := func(body json.RawMessage) [32]byte {
		s, err := Decode(body, dallas(t))
		if err != nil {
			t.Fatal(err)
		}
		return s.ContentHash
	}
	first := hash(json.RawMessage(refund))
	for name, changes := range map[string]map[string]any{
		"keys in another order": {}, "kind and currency named": {"kind": "refund", "currency": "USD"},
		"store by default": {"storeCode": nil}, "time with offset": {"purchasedOn": "2021-09-15T09:50:00Z"},
	} {
		if hash(edit(t, refund, changes)) != first {
			t.Errorf("%s: another hash", name)
		}
	}
	for name, changes := range map[string]map[string]any{
		"another second": {"purchasedOn": "2021-09-15T04:50:01"}, "another line": {"lineItems.0.refundLineNumber": 1},
		"another writing of the amount": {"taxAmount": "0.00"},
	} {
		if hash(edit(t, refund, changes)) == first {
			t.Errorf("%s: the same hash", name)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{minimal, complete, refund, `{`, `{"kind":null,"tenders":[{"type":"cash","amount":"1"}]}`} {
		f.Add([]byte(s))
	}
	d := dallas(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := Decode(body, d)
		if err != nil {
			var fields *FieldErrors
			if !errors.As(err, &fields) || len(fields.List) == 0 || len(fields.List) > maxErrors {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		if strings.Trim(s.PayAmount, "-0.") == "" {
			return // the kind of a sale of zero may have been posted, and is not forwarded
		}
		again, err := Decode(s.Body, Defaults{Currency: s.Currency})
		if err != nil {
			t.Fatalf("what is forwarded is refused: %v\n%s", err, s.Body)
		}
		if string(again.Body) != string(s.Body) || again.ContentHash != s.ContentHash || !reflect.DeepEqual(again.Lines, s.Lines) {
			t.Fatalf("%s\nbecame\n%s", s.Body, again.Body)
		}
		var posted, sent map[string]any
		if json.Unmarshal(body, &posted) != nil || json.Unmarshal(s.Body, &sent) != nil {
			t.Fatal("no JSON")
		}
		for name, value := range posted {
			switch name {
			case "kind", "currency", "tenders", "purchasedOn":
			default:
				if !reflect.DeepEqual(sent[name], value) {
					t.Fatalf("%s was changed to %v", name, sent[name])
				}
			}
		}
	})
}
