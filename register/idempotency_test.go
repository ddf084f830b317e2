package register_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"storeagent/offline"
	"storeagent/payments"
)

func TestIdempotency(t *testing.T) {
	m := newMemory()
	s := newServer(t, m)
	post := func(srv http.Handler, token, key, body string) *httptest.ResponseRecorder {
		return ask{method: "POST", path: "/v1/sales", token: token, key: key, body: body}.do(t, srv)
	}
	first := post(s, registerToken, "k1", minimalSale)
	if first.Code != 201 || first.Header().Get("Location") != "/v1/sales/sale-1" || first.Header().Get("Idempotent-Replayed") != "" {
		t.Fatalf("first: %d %v %s", first.Code, first.Header(), first.Body)
	}
	restarted := newServer(t, m)
	// Key order and white space do not count.
	reordered := strings.Replace(minimalSale, `"transactionId":"T-1",`, "", 1)
	reordered = strings.TrimSuffix(reordered, "}") + `,` + "\n  " + `"transactionId" : "T-1" }`
	for _, srv := range []http.Handler{s, restarted} {
		for _, body := range []string{minimalSale, reordered} {
			again := post(srv, registerToken, "k1", body)
			if again.Code != 201 || again.Header().Get("Idempotent-Replayed") != "true" || again.Body.String() != first.Body.String() ||
				again.Header().Get("Location") != first.Header().Get("Location") || again.Header().Get("Content-Type") != first.Header().Get("Content-Type") {
				t.Errorf("repeat: %d %v\n%s\n%s", again.Code, again.Header(), again.Body, first.Body)
			}
		}
		other := post(srv, registerToken, "k1", strings.Replace(minimalSale, `"taxAmount":"0"`, `"taxAmount":"0.00"`, 1))
		if other.Code != 422 || code(t, other) != "idempotency_key_reused" {
			t.Errorf("other body: %d %s", other.Code, other.Body)
		}
		if w := (ask{method: "POST", path: "/v1/payments", token: registerToken, key: "k1", body: minimalPayment}).do(t, srv); code(t, w) != "idempotency_key_reused" {
			t.Errorf("other path: %d %s", w.Code, w.Body)
		}
	}
	if w := post(s, secondToken, "k1", minimalSale); w.Code != 409 || code(t, w) != "duplicate_transaction" || !strings.Contains(w.Body.String(), `"firstId":"sale-1"`) {
		t.Errorf("another pairing's key is its own: %d %s", w.Code, w.Body)
	}
	if m.accepted != 1 {
		t.Errorf("%d sales accepted", m.accepted)
	}
}

func TestIdempotencyKeyForm(t *testing.T) {
	s := newServer(t, newMemory())
	for key, want := range map[string]string{
		"": "idempotency_key_required", strings.Repeat("k", 256): "idempotency_key_invalid", "a b": "idempotency_key_invalid", "ä": "idempotency_key_invalid",
		"4111111111111111": "card_data_refused",
	} {
		w := ask{method: "POST", path: "/v1/sales", token: registerToken, key: key, body: minimalSale}.do(t, s)
		if got := code(t, w); got != want {
			t.Errorf("key of %d bytes: %s, want %s", len(key), got, want)
		}
	}
	if w := (ask{method: "POST", path: "/v1/sales", token: registerToken, key: strings.Repeat("k", 255), body: minimalSale}).do(t, s); w.Code != 201 {
		t.Errorf("255 characters: %d %s", w.Code, w.Body)
	}
}

func TestRequiredKeys(t *testing.T) {
	m := newMemory()
	m.payments = []payments.Payment{{ID: "pay-1", State: payments.Approved, Amount: mustAmount(t, "5.00"), Currency: "USD"}}
	s := newServer(t, m)
	for path, body := range map[string]string{
		"/v1/sales": minimalSale, "/v1/payments": minimalPayment, "/v1/payments/pay-1/void": "", "/v1/payments/pay-1/capture": "",
		"/v1/payments/pay-1/tip": `{"amount":"1.00"}`, "/v1/printers/front/jobs": `{"document":[{"op":"cut"}]}`, "/v1/print-jobs/job-1/reprint": "",
	} {
		if w := (ask{method: "POST", path: path, token: registerToken, body: body}).do(t, s); w.Code != 400 || code(t, w) != "idempotency_key_required" {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if len(m.answers) != 0 || m.accepted != 0 {
		t.Error("something happened without a key")
	}
}

func TestRefusedLeavesNoRecord(t *testing.T) {
	m := newMemory()
	s := newServer(t, m)
	send := func(body string) *httptest.ResponseRecorder {
		return ask{method: "POST", path: "/v1/sales", token: registerToken, key: "k", body: body}.do(t, s)
	}
	for _, body := range []string{`{`, `{"a":1,"a":2}`, `{"payAmount":"1"}`, `{"transactionId":"T","cvv":"123"}`, `{"transactionId":"T","tenders":[{"type":"card","paymentId":"p"}]}`} {
		if w := send(body); w.Code < 400 || len(m.answers) != 0 {
			t.Fatalf("%s: %d, %d records", body, w.Code, len(m.answers))
		}
	}
	m.full = true
	if w := send(minimalSale); w.Code != 503 || code(t, w) != "storage_full" {
		t.Errorf("full disk: %d %s", w.Code, w.Body)
	}
	m.full = false
	if w := send(minimalSale); w.Code != 201 || w.Header().Get("Idempotent-Replayed") != "" {
		t.Errorf("after refusals: %d %s", w.Code, w.Body)
	}
}

func TestInProgress(t *testing.T) {
	m := newMemory()
	m.gate, m.entered = make(chan struct{}), make(chan struct{}, 1)
	s := newServer(t, m)
	send := func(key string) *httptest.ResponseRecorder {
		return ask{method: "POST", path: "/v1/sales", token: registerToken, key: key, body: minimalSale}.do(t, s)
	}
	done := make(chan *httptest.ResponseRecorder)
	go func() { done <- send("k") }()
	<-m.entered
	if w := send("k"); w.Code != 409 || code(t, w) != "in_progress" {
		t.Errorf("while the first is worked on: %d %s", w.Code, w.Body)
	}
	close(m.gate)
	if w := <-done; w.Code != 201 {
		t.Errorf("first: %d %s", w.Code, w.Body)
	}
	if w := send("k"); w.Code != 201 || w.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("afterwards: %d %v", w.Code, w.Header())
	}
}

// TestRaceForOneKey sends one sale from many goroutines over two servers that share their store: the in-memory set of
// one cannot see the other, so the store's own word has to decide.
func TestRaceForOneKey(t *testing.T) {
	m := newMemory()
	servers := []http.Handler{newServer(t, m), newServer(t, m)}
	const n = 40
	codes := make([]int, n)
	var wg sync.WaitGroup
	for i := range n {
		r := ask{method: "POST", path: "/v1/sales", token: registerToken, key: "k", body: minimalSale}.request(t)
		wg.Go(func() {
			w := httptest.NewRecorder()
			servers[i%2].ServeHTTP(w, r)
			codes[i] = w.Code
		})
	}
	wg.Wait()
	if m.accepted != 1 {
		t.Errorf("accepted %d times", m.accepted)
	}
	for i, c := range codes {
		if c != 201 && c != 409 {
			t.Errorf("request %d: %d", i, c)
		}
	}
}

// TestKeyUsedMeanwhile lets the store say that the key was taken between the look-up and the commit.
func TestKeyUsedMeanwhile(t *testing.T) {
	m := newMemory()
	m.gate, m.entered = make(chan struct{}), make(chan struct{}, 2)
	first, second := newServer(t, m), newServer(t, m)
	answers := make(chan *httptest.ResponseRecorder, 2)
	for _, s := range []http.Handler{first, second} {
		r := ask{method: "POST", path: "/v1/sales", token: registerToken, key: "k", body: minimalSale}.request(t)
		go func() {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			answers <- w
		}()
		<-m.entered
	}
	close(m.gate)
	a, b := <-answers, <-answers
	if m.accepted != 1 {
		t.Fatalf("accepted %d times", m.accepted)
	}
	if a.Code != 201 || b.Code != 201 || a.Body.String() != b.Body.String() {
		t.Errorf("two answers:\n%d %s\n%d %s", a.Code, a.Body, b.Code, b.Body)
	}
	if (a.Header().Get("Idempotent-Replayed") == "") == (b.Header().Get("Idempotent-Replayed") == "") {
		t.Error("want one first answer and one replay")
	}
}

func TestKeyHonouredElsewhere(t *testing.T) {
	m := newMemory()
	m.items = []offline.Item{{ID: "op-1", State: offline.Parked}}
	m.payments = []payments.Payment{{ID: "pay-1", State: payments.Processing, Amount: mustAmount(t, "5.00"), Currency: "USD"}}
	s := newServer(t, m)
	for _, tt := range []struct{ method, path, body string }{
		{"POST", "/v1/queue/items/op-1/resend", `{"note":"seen nothing in the cloud"}`}, {"POST", "/v1/payments/pay-1/cancel", ""}, {"POST", "/v1/queue/pause", ""},
		{"POST", "/v1/sign-in", ""}, {"DELETE", "/v1/sign-in", ""}, {"POST", "/v1/scanners/gun/claim", ""}, {"DELETE", "/v1/pairings/p-second", ""},
	} {
		a := ask{method: tt.method, path: tt.path, body: tt.body, token: technicianToken, key: "key-" + tt.method + tt.path}
		first := a.do(t, s)
		again := a.do(t, s)
		if first.Code/100 != 2 || again.Code != first.Code || again.Header().Get("Idempotent-Replayed") != "true" || first.Body.String() != again.Body.String() {
			t.Errorf("%s %s: %d then %d\n%s\n%s", tt.method, tt.path, first.Code, again.Code, first.Body, again.Body)
		}
	}
}

func TestPairingTokenIsNotKept(t *testing.T) {
	m := newMemory()
	s := newServer(t, m)
	a := ask{method: "POST", path: "/v1/pairings", token: technicianToken, key: "k", body: `{"name":"lane 4","role":"register"}`}
	first, again := a.do(t, s), a.do(t, s)
	var made, repeated struct{ ID, Token string }
	decode(t, first.Body, &made)
	decode(t, again.Body, &repeated)
	if first.Code != 201 || !strings.HasPrefix(made.Token, "sa_") || len(made.Token) != 3+43 {
		t.Fatalf("%d %s", first.Code, first.Body)
	}
	if repeated.ID != made.ID || repeated.Token != "" {
		t.Errorf("repeat: %s", again.Body)
	}
	if stored := fmt.Sprintf("%v", m.answers); strings.Contains(stored, made.Token) {
		t.Error("the token is stored")
	}
	if w := (ask{method: "GET", path: "/v1/status", token: made.Token}).do(t, s); w.Code != 200 {
		t.Errorf("new token: %d", w.Code)
	}
}

var errDisk = errors.New("disk on fire at /dev/secret")

const minimalPayment = `{"type":"sale","amount":"5.00"}`
