package cloudsim

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// anyone takes one bearer.
type anyone struct{}

func (anyone) Valid(access string) (string, bool) { return "register", access == "good" }

func newSim(t *testing.T, o Options) *Sim {
	t.Helper()
	o.Tokens = anyone{}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask posts one operation and returns status and decoded answer.
func ask(t *testing.T, s *Sim, query string, variables any) (int, map[string]any) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, Path, bytes.NewReader(body))
	r.Header.Set("Authorization", "Bearer good")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var out map[string]any
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatalf("answer %q: %v", w.Body, err)
		}
	}
	return w.Code, out
}

const add = `mutation M($a: SimReportedPurchase!) { purchaseAdd(add: $a) { id } }`

func vendorSale(t *testing.T, name string) map[string]any {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/sales/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLedgerKeepsValueForValueAndCountsEveryExecution(t *testing.T) {
	s := newSim(t, Options{})
	for _, name := range []string{"minimal", "complete", "refund"} {
		in := vendorSale(t, name)
		status, out := ask(t, s, add, map[string]any{"a": in})
		if status != 200 || out["data"].(map[string]any)["purchaseAdd"].(map[string]any)["id"] == "" {
			t.Fatalf("%s: %d %v", name, status, out)
		}
		got := s.Ledger()[len(s.Ledger())-1]
		if !reflect.DeepEqual(got.Input, in) {
			t.Errorf("%s kept as %v, sent %v", name, got.Input, in)
		}
		if got.Account != "register" {
			t.Errorf("account %q", got.Account)
		}
	}
	if n := s.Executions()["TRANS00003"]; n != 2 {
		t.Errorf("TRANS00003 executed %d times, want sale and refund", n)
	}
}

func TestRefusals(t *testing.T) {
	without := func(key string, v any) func(map[string]any) {
		return func(m map[string]any) { m[key] = v }
	}
	tests := []struct {
		name   string
		change func(map[string]any)
		code   string // "" is a request error
		deny   Permission
	}{
		{"empty sku", func(m map[string]any) { m["lineItems"].([]any)[0].(map[string]any)["sku"] = "" }, "VALIDATION", ""},
		{"no lines", without("lineItems", []any{}), "VALIDATION", ""},
		{"unknown store", without("storeCode", "NOWHERE"), "VALIDATION", ""},
		{"not allowed", func(map[string]any) {}, "NOT_AUTHORIZED", AddPurchase},
		{"number not quoted", without("payAmount", 1.99), "", ""},
		{"missing field", func(m map[string]any) { delete(m, "subTotal") }, "", ""},
		{"unknown field", without("colour", "red"), "", ""},
		{"no such date", without("purchasedOn", "yesterday"), "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newSim(t, Options{StoreCodes: []string{"DALLAS"}})
			if tt.deny != "" {
				s.Deny(tt.deny)
			}
			in := vendorSale(t, "minimal")
			tt.change(in)
			status, out := ask(t, s, add, map[string]any{"a": in})
			errs, _ := out["errors"].([]any)
			if status != http.StatusBadRequest || len(errs) == 0 {
				t.Fatalf("%d %v", status, out)
			}
			if _, hasData := out["data"]; hasData != (tt.code != "") {
				t.Errorf("data key there: %v in %v", hasData, out)
			}
			ext, _ := errs[0].(map[string]any)["extensions"].(map[string]any)
			if got, _ := ext["code"].(string); got != tt.code {
				t.Errorf("code %q, want %q in %v", got, tt.code, out)
			}
			if len(s.Ledger()) != 0 {
				t.Error("executed all the same")
			}
		})
	}
}

func TestQueries(t *testing.T) {
	s := newSim(t, Options{})
	for query, want := range map[string]string{
		`{ environment { name } }`: `"name":"Simulated POS cloud"`,
		`{ item(first: 1) { hasMoreResults results { sku warehouses { basePrice } } } }`:     `"basePrice":"1.99"`,
		`{ item(skip: 1, since: "") { hasMoreResults until results { sku } } }`:              `"until":"~`,
		`{ customer(memberId: "C000000212") { results { fullName phone { raw } } } }`:        `"fullName":"Ada Example"`,
		`{ giftcard(code: "6006491000000001", codeType: PHYSICAL) { results { balance } } }`: `"balance":"25.00"`,
		`{ __typename }`: `"__typename":"SimReads"`,
	} {
		status, out := ask(t, s, query, nil)
		raw, _ := json.Marshal(out)
		if status != 200 || !strings.Contains(string(raw), want) {
			t.Errorf("%s: %d %s", query, status, raw)
		}
	}
}

func TestAdminSetsFaultsAndShowsLedger(t *testing.T) {
	s := newSim(t, Options{})
	call := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
		b, _ := io.ReadAll(w.Body)
		return w.Code, string(b)
	}
	if code, body := call("PUT", "/_sim/faults", `{"mode":"rate_limited","times":1,"retryAfter":"7"}`); code != 200 {
		t.Fatal(code, body)
	}
	r := httptest.NewRequest(http.MethodPost, Path, strings.NewReader(`{"query":"{__typename}"}`))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code != 429 || w.Header().Get("Retry-After") != "7" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	if code, out := ask(t, s, `{ __typename }`, nil); code != 200 {
		t.Error("fault outlived its times:", code, out)
	}
	for _, bad := range []string{`{"mode":"sulk"}`, `{"moood":""}`, `{"mode":"custom"}`, `{"times":-1}`} {
		if code, _ := call("PUT", "/_sim/faults", bad); code != 400 {
			t.Errorf("%s taken with %d", bad, code)
		}
	}
	if code, body := call("PUT", "/_sim/terminal", `{"decline":true,"declineAs":"DO_NOT_HONOR","after":"5s"}`); code != 200 || s.play.DeclineAs != "DO_NOT_HONOR" || s.play.After != 5*time.Second {
		t.Error(code, body, s.play)
	}
	for _, bad := range []string{`{"dance":true}`, `{"after":"soon"}`, `{`} {
		if code, _ := call("PUT", "/_sim/terminal", bad); code != 400 {
			t.Errorf("%s taken with %d", bad, code)
		}
	}
	ask(t, s, add, map[string]any{"a": vendorSale(t, "minimal")})
	if _, body := call("GET", "/_sim/ledger", ""); !strings.Contains(body, `"TRANS00002":1`) {
		t.Error("ledger:", body)
	}
}

func TestBearer(t *testing.T) {
	s := newSim(t, Options{})
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, Path, strings.NewReader(`{"query":"{__typename}"}`)))
	if w.Code != 401 || w.Body.Len() != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestServesSignInBeside(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", "/.well-known/openid-configuration", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "token_endpoint") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}
