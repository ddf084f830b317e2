package register_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestReceiptLine holds that ReceiptLine text is printed and previewed, and that what is wrong names its line.
func TestReceiptLine(t *testing.T) {
	m := newMemory()
	s := newServer(t, m)
	const text = "^^^Corner Shop\n---\nGum | 1.99\n^TOTAL | ^1.99\n{code:TRANS1;option:code128,hri}"
	body := func(fields map[string]any) string {
		b, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	w := ask{method: "POST", path: "/v1/printers/front/jobs", token: registerToken, key: "rl", body: body(map[string]any{"receiptLine": text, "openDrawer": true})}.do(t, s)
	if w.Code != 202 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if doc := string(m.jobs[0].Document); !strings.HasPrefix(doc, `[{"op":"drawer"},{"op":"text","text":"Corner Shop","align":"center","width":2,"height":2}`) || !strings.HasSuffix(doc, `{"op":"cut"}]`) {
		t.Errorf("document: %s", doc)
	}
	w = ask{method: "POST", path: "/v1/receipts/preview", token: registerToken, body: body(map[string]any{"receiptLine": text, "columns": 24})}.do(t, s)
	if want := " Corner Shop\n------------------------\nGum                 1.99\nTOTAL               1.99\n    [CODE128 TRANS1]\n- - - - - - - - - - - -\n"; w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for i, c := range []struct{ text, code, words string }{
		{"a\nb\n{x:\\x1bp}", "invalid_receipt_line", "line 3: has a device command"},
		{"a\n{code:12;option:ean}", "invalid_receipt_line", "line 2: the code ean8"},
		{"Visa 4111111111111111", "card_data_refused", "receiptLine"},
		{"a\nVisa 4111~1111~1111~1111", "card_data_refused", "line 2"},
		{"a\n41\"1111111111\"1111 | 1", "card_data_refused", "line 2"},
		{"a\n{code:4\\x3111111111111111}", "card_data_refused", "line 2"},
	} {
		for _, path := range []string{"/v1/printers/front/jobs", "/v1/receipts/preview"} {
			w := ask{method: "POST", path: path, token: registerToken, key: path + fmt.Sprint(i), body: body(map[string]any{"receiptLine": c.text})}.do(t, s)
			if got := words(w); w.Code != 422 || !strings.Contains(got, c.words) || !strings.Contains(got, c.code) || strings.Contains(got, "1111") {
				t.Errorf("%q: %d %s", c.text, w.Code, got)
			}
		}
	}
}
