package register_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"storeagent/offline"
	"storeagent/register"
	"storeagent/register/receipt"
)

// TestSaleReceipt holds what the receipt of a sale is made of: its gift card, the mark of a duplicate, and the built-in
// layout with a word in the status where the store's own template fails.
func TestSaleReceipt(t *testing.T) {
	m := newMemory()
	cards := &cardDesk{memory: m, list: []offline.GiftcardView{{ID: "gt-1", Code: "************0001", Amount: "1.99", Balance: "23.01"}}}
	var log bytes.Buffer
	form, err := receipt.NewForm(receipt.Options{Currency: "USD", TemplateName: "own.tmpl",
		Template: "Own layout\n{{if eq .ID \"T-2\"}}\n{{index .Lines 7}}{{end}}\n{{range .Tenders}}|{{.Name}} | {{amount .Amount}}\n|balance | {{amount .Balance}}\n{{end}}{{if .Duplicate}}again{{end}}\n"})
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, m, func(c *register.Config) {
		c.Giftcards, c.Receipts, c.Log = cards, form, slog.New(slog.NewTextHandler(&log, nil))
	})
	for key, body := range map[string]string{"a": minimalSale, "b": strings.Replace(minimalSale, `"T-1"`, `"T-2"`, 1)} {
		if w := (ask{method: "POST", path: "/v1/sales", token: registerToken, key: key, body: body}).do(t, s); w.Code != 201 {
			t.Fatal(w.Body)
		}
	}
	ids := map[string]string{}
	for i := range m.sales {
		ids[m.sales[i].TransactionID] = m.sales[i].ID
		m.sales[i].Tenders = []offline.Tender{{Type: "giftcard", GiftcardTransactionID: "gt-1"}, {Type: "card", PaymentID: "long-gone"}}
	}
	preview := func(body string) string {
		t.Helper()
		w := ask{method: "POST", path: "/v1/receipts/preview", token: registerToken, body: body}.do(t, s)
		if w.Code != 200 {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
		return w.Body.String()
	}
	problem := func() bool {
		w := ask{method: "GET", path: "/v1/status", token: registerToken}.do(t, s)
		return strings.Contains(w.Body.String(), `"receipt_template"`)
	}
	got := preview(`{"saleId":"` + ids["T-1"] + `"}`)
	if want := "\nGift card ****0001                    1.99\nbalance                              23.01\nCard\n"; !strings.Contains(got, want) {
		t.Errorf("got\n%s", got)
	}
	if strings.Contains(got, "again") || problem() {
		t.Errorf("got\n%s", got)
	}
	if got := preview(`{"saleId":"` + ids["T-1"] + `","duplicate":true}`); !strings.Contains(got, "again") {
		t.Errorf("got\n%s", got)
	}
	for range 2 {
		if got := preview(`{"saleId":"` + ids["T-2"] + `"}`); !strings.Contains(got, "Transaction T-2") || !strings.Contains(got, "TOTAL") {
			t.Errorf("got\n%s", got)
		}
	}
	if n := strings.Count(log.String(), "receipt template failed"); n != 1 || !strings.Contains(log.String(), "line 3") || !problem() {
		t.Errorf("%d log lines, problem %t: %s", n, problem(), &log)
	}
	preview(`{"saleId":"` + ids["T-1"] + `"}`)
	if problem() {
		t.Error("the problem stayed")
	}
	if w := (ask{method: "POST", path: "/v1/receipts/preview", token: registerToken, body: `{"receiptLine":"a","duplicate":true}`}).do(t, s); w.Code != 422 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
