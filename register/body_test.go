package register_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"storeagent/devices/printer"
	"storeagent/offline"
	"storeagent/payments"
	"storeagent/register"
)

func TestBodies(t *testing.T) {
	s := newServer(t, newMemory())
	pairing := func(rest string) string { return `{"name":"lane","role":"register"` + rest + `}` }
	big := `{"name":"` + strings.Repeat("x", 1<<20) + `"}`
	deep := strings.Repeat(`{"name":`, 40) + `1` + strings.Repeat(`}`, 40)
	for _, tt := range []struct {
		what, body, media string
		status            int
		code, location    string
	}{
		{"good", pairing(""), "application/json", 201, "", ""},
		{"charset", pairing(""), "application/json; charset=utf-8", 201, "", ""},
		{"no media type", pairing(""), "", 201, "", ""},
		{"form", pairing(""), "application/x-www-form-urlencoded", 415, "not_json", ""},
		{"text", pairing(""), "text/plain", 415, "not_json", ""},
		{"bad media type", pairing(""), "application/json;;", 415, "not_json", ""},
		{"empty", "", "", 400, "invalid_json", ""},
		{"blank", " \n", "", 400, "invalid_json", ""},
		{"broken", `{"name":`, "", 400, "invalid_json", ""},
		{"two values", pairing("") + pairing(""), "", 400, "invalid_json", ""},
		{"not UTF-8", "{\"name\":\"\xff\"}", "", 400, "invalid_json", ""},
		{"trailing comma", `{"name":"a",}`, "", 400, "invalid_json", ""},
		{"deep", deep, "", 400, "invalid_json", ""},
		{"array", `[]`, "", 422, "validation_failed", "body"},
		{"null", `null`, "", 422, "validation_failed", "body"},
		{"double", pairing(`,"name":"b"`), "", 422, "validation_failed", "body"},
		{"unknown", pairing(`,"zz9MARKER":1`), "", 422, "unknown_field", "body"},
		{"case", `{"Name":"lane","role":"register"}`, "", 422, "unknown_field", "body"},
		{"type", `{"name":7,"role":"register"}`, "", 422, "validation_failed", "name"},
		{"enum", `{"name":"a","role":"zz9MARKER"}`, "", 422, "validation_failed", "role"},
		{"missing", `{"name":"a"}`, "", 422, "validation_failed", "body"},
		{"origin", pairing(`,"origin":"https://zz9MARKER.example/path"`), "", 422, "validation_failed", "origin"},
		{"too large", big, "", 413, "body_too_large", ""},
	} {
		a := ask{method: "POST", path: "/v1/pairings", token: technicianToken, body: tt.body, header: map[string]string{}}
		if tt.media != "" {
			a.header["Content-Type"] = tt.media
		}
		w := a.do(t, s)
		if got := code(t, w); w.Code != tt.status || got != tt.code {
			t.Errorf("%s: %d %s, want %d %s: %.300s", tt.what, w.Code, got, tt.status, tt.code, w.Body)
		}
		if strings.Contains(w.Body.String(), "MARKER") {
			t.Errorf("%s echoes what was sent: %s", tt.what, w.Body)
		}
		if tt.location != "" && !strings.Contains(w.Body.String(), `"location":"`+tt.location) {
			t.Errorf("%s: want location %s: %s", tt.what, tt.location, w.Body)
		}
	}
	if w := (ask{method: "POST", path: "/v1/queue/pause", token: technicianToken, body: `{"force":true}`}).do(t, s); w.Code != 422 {
		t.Errorf("fields where none are taken: %d", w.Code)
	}
	if w := (ask{method: "POST", path: "/v1/queue/pause", token: technicianToken, body: `{}`}).do(t, s); w.Code != 200 {
		t.Errorf("empty object: %d", w.Code)
	}
}

func TestQueries(t *testing.T) {
	s := newServer(t, newMemory())
	for query, want := range map[string]int{
		"": 200, "?state=queued&limit=10": 200, "?limit=0": 422, "?limit=501": 422, "?limit=x": 422, "?state=zz9MARKER": 422, "?zz9MARKER=1": 422,
		"?state=queued&state=parked": 422, "?since=zz9MARKER": 422, "?since=2026-01-01T00:00:00Z": 200, "?State=queued": 422,
	} {
		w := ask{method: "GET", path: "/v1/sales" + query, token: registerToken}.do(t, s)
		if w.Code != want || strings.Contains(w.Body.String(), "MARKER") {
			t.Errorf("%q: %d %s", query, w.Code, w.Body)
		}
		code(t, w)
	}
}

func TestCardDataIsRefused(t *testing.T) {
	m := newMemory()
	s := newServer(t, m)
	const pan = "4111111111111111"
	add := func(extra string) string { return strings.TrimSuffix(minimalSale, "}") + extra + "}" }
	for i, tt := range []struct {
		path, body string
		status     int
	}{
		{"/v1/sales", add(`,"pan":"x"`), 422}, {"/v1/sales", add(`,"cardNumber":"x"`), 422}, {"/v1/sales", add(`,"card_number":"x"`), 422}, {"/v1/sales", add(`,"CVV":"1"`), 422},
		{"/v1/sales", add(`,"cvc":"1"`), 422}, {"/v1/sales", add(`,"track1":"x"`), 422}, {"/v1/sales", add(`,"track2":"x"`), 422}, {"/v1/sales", add(`,"track3":"x"`), 422},
		{"/v1/sales", add(`,"pin":"1234"`), 422}, {"/v1/sales", add(`,"a":[{"b":{"pan":"x"}}]`), 422}, {"/v1/sales", add(`,"memberId":"` + pan + `"`), 422},
		{"/v1/sales", add(`,"channel":"card ` + pan + ` ok"`), 422}, {"/v1/sales", add(`,"channel":"4111 1111 1111 1111"`), 422}, {"/v1/sales", add(`,"n":` + pan), 422},
		{"/v1/sales", add(`,"` + pan + `":1`), 422}, {"/v1/payments", `{"type":"sale","amount":"5.00","reference":"` + pan + `"}`, 422},
		{"/v1/printers/front/jobs", `{"document":[{"op":"text","text":"` + pan + `"}]}`, 422},
		{"/v1/printers/front/jobs", `{"raw":"NDExMTExMTExMTExMTExMQ=="}`, 422}, // the same number in base64
		{"/v1/printers/front/jobs", `{"document":[{"op":"drawer","pin":2}]}`, 202},
		{"/v1/printers/front/jobs", `{"document":[{"op":"drawer","pin":1234}]}`, 422},
		{"/v1/printers/front/jobs", `{"document":[{"op":"text","pin":2}]}`, 422},
	} {
		w := ask{method: "POST", path: tt.path, token: registerToken, key: fmt.Sprint(i), body: tt.body}.do(t, s)
		if w.Code != tt.status || tt.status == 422 && code(t, w) != "card_data_refused" {
			t.Errorf("%s: %d %s", tt.body, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), pan) {
			t.Errorf("the answer holds the number: %s", w.Body)
		}
	}
	if m.accepted != 0 || len(m.answers) != 1 {
		t.Errorf("%d accepted, %d records", m.accepted, len(m.answers))
	}
	ean := add(`,"channel":"4006381333931"`) // an EAN-13
	if w := (ask{method: "POST", path: "/v1/sales", token: registerToken, key: "ean", body: ean}).do(t, s); w.Code != 201 {
		t.Errorf("an EAN is no card: %d %s", w.Code, w.Body)
	}
}

// FuzzNoEcho sends bodies, queries and ids that hold a marker and looks for it in every refusal.
func FuzzNoEcho(f *testing.F) {
	for _, body := range []string{
		`{"zz9MARKER":1}`, `{"transactionId":"zz9MARKER"`, `{"type":"zz9MARKER","amount":"1.00"}`, `{"type":"sale","amount":"zz9MARKER"}`, `{"type":"sale","amount":1.5}`,
		`{"document":[{"op":"zz9MARKER"}]}`, `{"document":[{"op":"text","zz9MARKER":1}]}`, `{"document":[{"op":"barcode","symbology":"zz9MARKER","data":"x"}]}`,
		`{"document":[{"op":"image","png":"zz9MARKER"}]}`, `{"raw":"zz9MARKER"}`, `{"saleId":"zz9MARKER"}`, `{"note":["zz9MARKER"]}`, `{"note":1e999}`, `{"outcome":"zz9MARKER","note":"x"}`,
		`{"name":"a","role":"zz9MARKER"}`, `{"name":"a","role":"register","origin":"zz9MARKER"}`, `"zz9MARKER"`, `{"receiptLine":"zz9MARKER"}`, `{"copies":1e2,"document":[]}`,
		`{"document":[{"op":"columns","cells":[{"text":"zz9MARKER","width":-1}]}]}`, `{"document":[{"op":"rule","char":"zz9MARKER"}]}`, `{"document":[{"op":"qrcode","level":"zz9MARKER"}]}`,
	} {
		f.Add(body, "zz9MARKER")
	}
	m := newMemory()
	m.items = []offline.Item{{ID: "op-1", State: offline.Delivered}}
	m.payments = []payments.Payment{{ID: "pay-1", State: payments.Approved, Amount: mustAmount(f, "5.00"), Currency: "USD"}}
	m.full = true // nothing is kept, so every answer is a refusal or changes nothing
	s := newServer(f, m)
	f.Fuzz(func(t *testing.T, body, id string) {
		for _, route := range register.Routes() {
			method, path, _ := strings.Cut(route, " ")
			if path == "/v1/events" || path == "/v1/queue/drain" || strings.Contains(path, "console") {
				continue
			}
			segment := "zz9MARKER"
			for _, c := range id {
				if c > ' ' && c < 0x7f && !strings.ContainsRune(`/?#%"\<>^{|}`+"`", c) {
					segment += string(c)
				}
			}
			if method == "POST" && strings.HasPrefix(path, "/v1/printers") {
				segment = "front"
			}
			path = strings.NewReplacer("{id}", segment, "{name}", segment).Replace(path)
			for _, query := range []string{"", "?state=zz9MARKER", "?zz9MARKER=1"} {
				w := ask{method: method, path: path + query, token: technicianToken, key: "k", body: body}.do(t, s)
				if w.Code < 400 {
					continue
				}
				if code(t, w); strings.Contains(w.Body.String(), "MARKER") {
					t.Errorf("%s %s with %s: %s", method, path, body, w.Body)
				}
				for name, values := range w.Header() {
					if strings.Contains(strings.Join(values, " "), "MARKER") {
						t.Errorf("%s %s: header %s", method, path, name)
					}
				}
			}
		}
	})
}

// TestEveryErrorHasOneAnswer walks the table from the floors' errors to what a caller is told.
func TestEveryErrorHasOneAnswer(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		code   string
	}{
		{payments.ErrTerminalBusy, 409, "terminal_busy"}, {payments.ErrTerminalInDoubt, 409, "terminal_in_doubt"}, {payments.ErrUnsupported, 422, "unsupported_by_terminal"},
		{payments.ErrForeign, 422, "unsupported_by_terminal"},
		{payments.ErrState, 409, "wrong_state"}, {offline.ErrState, 409, "wrong_state"}, {offline.ErrStale, 409, "changed_meanwhile"}, {printer.ErrNoPrinter, 404, "not_found"},
		{errDisk, 500, "internal"},
	} {
		m := newMemory()
		m.ready = fmt.Errorf("wrapped: %w", tt.err)
		s := newServer(t, m, func(c *register.Config) { c.SignIn = failing{cloudDoor{m}, m.ready} })
		w := ask{method: "DELETE", path: "/v1/sign-in", token: technicianToken}.do(t, s)
		if w.Code != tt.status || code(t, w) != tt.code {
			t.Errorf("%v: %d %s", tt.err, w.Code, w.Body)
		}
		if strings.Contains(w.Body.String(), "wrapped") || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("inner words leak: %s", w.Body)
		}
	}
}

func TestPanicIsAProblem(t *testing.T) {
	m := newMemory()
	s := newServer(t, m, func(c *register.Config) { c.SignIn = failing{cloudDoor{m}, nil} })
	w := ask{method: "DELETE", path: "/v1/sign-in", token: technicianToken}.do(t, s)
	if w.Code != http.StatusInternalServerError || code(t, w) != "internal" || strings.Contains(w.Body.String(), "goroutine") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	w = ask{method: "DELETE", path: "/v1/sign-in", token: technicianToken, key: "k"}.do(t, s)
	if w.Code != http.StatusInternalServerError || len(m.answers) != 0 {
		t.Errorf("with a key: %d, %d records", w.Code, len(m.answers))
	}
}

// TestProblemIsJSON checks that hints and details survive the trip as they are.
func TestProblemIsJSON(t *testing.T) {
	w := ask{method: "GET", path: "/v1/status"}.do(t, newServer(t, newMemory()))
	var p map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p["type"] != "urn:storeagent:problem:token_missing" {
		t.Errorf("%v %s", err, w.Body)
	}
}
