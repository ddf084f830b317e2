package register_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/payments"
	"storeagent/register"
	"storeagent/register/wire"
)

func TestSales(t *testing.T) {
	m := newMemory()
	s := newServer(t, m)
	w := ask{method: "POST", path: "/v1/sales", token: registerToken, key: "k", body: minimalSale}.do(t, s)
	var got wire.SaleAccepted
	decode(t, w.Body, &got)
	if w.Code != 201 || got.ID != "sale-1" || got.TransactionID != "T-1" || got.State != offline.Queued || got.AcceptedAt.IsZero() || got.Warnings == nil {
		t.Errorf("%d %+v", w.Code, got)
	}
	// What was posted arrives below byte for byte.
	if string(m.sales[0].Sale) != minimalSale {
		t.Errorf("handed on: %s", m.sales[0].Sale)
	}
	var one offline.SaleView
	w = ask{method: "GET", path: "/v1/sales/sale-1", token: registerToken}.do(t, s)
	decode(t, w.Body, &one)
	if w.Code != 200 || one.PayAmount != "1.99" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := (ask{method: "GET", path: "/v1/sales/sale-9", token: registerToken}).do(t, s); w.Code != 404 || code(t, w) != "not_found" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	for query, want := range map[string]int{"": 1, "?transactionId=T-1": 1, "?transactionId=T-2": 0} {
		w := ask{method: "GET", path: "/v1/sales" + query, token: registerToken}.do(t, s)
		var page map[string]json.RawMessage
		decode(t, w.Body, &page)
		var items []offline.SaleView
		if err := json.Unmarshal(page["items"], &items); err != nil || items == nil || len(items) != want || page["nextCursor"] == nil {
			t.Errorf("%q: %s", query, w.Body)
		}
	}
	bad := strings.TrimSuffix(minimalSale, "}") + `,"tenders":[{"type":"cash"},{"type":"card","paymentId":"zz9MARKER"}]}`
	w = ask{method: "POST", path: "/v1/sales", token: registerToken, key: "k2", body: strings.Replace(bad, "T-1", "T-2", 1)}.do(t, s)
	if w.Code != 422 || code(t, w) != "tender_not_usable" || !strings.Contains(w.Body.String(), `tenders[1]`) || strings.Contains(w.Body.String(), "MARKER") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestQueue(t *testing.T) {
	m := newMemory()
	m.items = []offline.Item{{ID: "op-1", State: offline.Parked}, {ID: "op-2", State: offline.Delivered}}
	s := newServer(t, m)
	for _, tt := range []struct {
		path, body string
		status     int
		has        string
	}{
		{"/v1/queue/items/op-2/resend", `{"note":"x"}`, 409, "wrong_state"}, {"/v1/queue/items/op-9/discard", `{"note":"x"}`, 404, "not_found"},
		{"/v1/queue/items/op-1/settle", `{"cloudId":"77"}`, 422, "note"}, {"/v1/queue/items/op-1/settle", `{"note":""}`, 422, "note"}, {"/v1/queue/items/op-1/resend", ``, 400, "invalid_json"},
		{"/v1/queue/items/op-1/settle", `{"cloudId":"77","note":"seen"}`, 200, `"state":"delivered"`},
		{"/v1/queue/pause", ``, 200, `"connection":"paused"`}, {"/v1/queue/resume", ``, 200, `"connection":"online"`},
	} {
		w := ask{method: "POST", path: tt.path, token: technicianToken, body: tt.body}.do(t, s)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.has) {
			t.Errorf("%s %s: %d %s", tt.path, tt.body, w.Code, w.Body)
		}
	}
	if w := (ask{method: "GET", path: "/v1/queue/items", token: observerToken}).do(t, s); w.Code != 200 || !strings.Contains(w.Body.String(), `"nextCursor":"next"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, newMemory())
		began := time.Now()
		w := ask{method: "POST", path: "/v1/queue/drain?wait=7", token: technicianToken}.do(t, s)
		if w.Code != 200 || time.Since(began) != 7*time.Second {
			t.Errorf("drain: %d after %s", w.Code, time.Since(began))
		}
		if w := (ask{method: "POST", path: "/v1/queue/drain?wait=121", token: technicianToken}).do(t, s); w.Code != 422 {
			t.Errorf("wait of 121: %d", w.Code)
		}
	})
}

func TestPayments(t *testing.T) {
	m := newMemory()
	s := newServer(t, m)
	start := func(key, body string) (int, string, payments.Payment) {
		w := ask{method: "POST", path: "/v1/payments", token: registerToken, key: key, body: body}.do(t, s)
		var p payments.Payment
		if w.Code < 300 {
			decode(t, w.Body, &p)
			if w.Header().Get("Location") != "/v1/payments/"+p.ID {
				t.Errorf("Location %q", w.Header().Get("Location"))
			}
		} else {
			code(t, w)
		}
		return w.Code, w.Body.String(), p
	}
	for i, tt := range []struct{ body, has string }{
		{`{"type":"sale","amount":5}`, "decimal text"}, {`{"type":"sale","amount":5.00}`, "decimal text"}, {`{"type":"sale","amount":"-5.00"}`, "above zero"},
		{`{"type":"sale","amount":"0.00"}`, "above zero"}, {`{"type":"sale","amount":"5.001"}`, "2 digits"}, {`{"type":"sale","amount":"5.5","currency":"JPY"}`, "0 digits"},
		{`{"type":"sale","amount":"1e3"}`, "amount"}, {`{"type":"sale","amount":"+5"}`, "amount"}, {`{"type":"sale","amount":"5.00","currency":"usd"}`, "currency"},
		{`{"type":"gift","amount":"5.00"}`, "type"}, {`{"amount":"5.00"}`, "type"}, {`{"type":"sale","amount":"5.00","terminal":"other"}`, "unknown_terminal"},
		{`{"type":"sale","amount":"5.00","tipAmount":"1.00"}`, "unsupported_by_terminal"}, {`{"type":"preauth","amount":"5.00","tipAmount":"1.00","terminal":"card"}`, "sales only"},
		{`{"type":"sale","amount":"5.00","originalPaymentId":"pay-0"}`, "originalPaymentId"},
	} {
		if status, body, _ := start(fmt.Sprint("bad", i), tt.body); status != 422 || !strings.Contains(body, tt.has) {
			t.Errorf("%s: %d %s", tt.body, status, body)
		}
	}
	if len(m.payments) != 0 {
		t.Fatalf("%d payments started", len(m.payments))
	}
	if status, body, p := start("k0", `{"type":"sale","amount":"12.50","tipAmount":"2.00","terminal":"card"}`); status != 202 || p.TipAmount == nil || p.TipAmount.String() != "2.00" {
		t.Errorf("with a tip: %d %s", status, body)
	}
	m.payments = nil
	status, body, p := start("k1", `{"type":"sale","amount":"12.50","reference":"T-1"}`)
	if status != 202 || p.State != payments.Created || p.Amount.String() != "12.50" || p.Currency != "USD" || !strings.Contains(body, `"customer":[]`) {
		t.Errorf("%d %s", status, body)
	}
	if status, body, _ := start("k2", minimalPayment); status != 409 || !strings.Contains(body, "terminal_busy") {
		t.Errorf("%d %s", status, body)
	}
	m.payments[0].State = payments.InDoubt
	if status, body, _ := start("k3", minimalPayment); status != 409 || !strings.Contains(body, "terminal_in_doubt") {
		t.Errorf("%d %s", status, body)
	}
	for _, tt := range []struct {
		method, path, body string
		status             int
		has                string
	}{
		{"GET", "/v1/payments/pay-1", "", 200, `"in_doubt"`}, {"GET", "/v1/payments/pay-9", "", 404, "not_found"}, {"GET", "/v1/payments/pay-9?wait=5", "", 404, "not_found"},
		{"GET", "/v1/payments?attached=false&state=approved", "", 200, `"items"`}, {"GET", "/v1/payments?attached=maybe", "", 422, "attached"},
		{"POST", "/v1/payments/pay-1/resolve", `{"outcome":"declined","note":"x"}`, 422, "outcome"}, {"POST", "/v1/payments/pay-1/resolve", `{"outcome":"not_charged"}`, 422, "note"},
		{"POST", "/v1/payments/pay-1/resolve", `{"outcome":"not_charged","note":"slip says no"}`, 200, `"state":"failed"`},
		{"POST", "/v1/payments/pay-1/resolve", `{"outcome":"approved","note":"again"}`, 409, "wrong_state"},
		{"POST", "/v1/payments/pay-1/cancel", "", 409, "wrong_state"}, {"POST", "/v1/payments/pay-1/void", "", 409, "wrong_state"},
		{"POST", "/v1/payments/pay-1/capture", `{"amount":1}`, 422, "decimal text"}, {"POST", "/v1/payments/pay-1/tip", `{"amount":"0"}`, 422, "above zero"}, {"POST", "/v1/payments/pay-9/void", "", 404, "not_found"},
		{"GET", "/v1/terminals", "", 200, `"lastQuery":"lastOnly"`}, {"POST", "/v1/terminals/card/status", "", 200, `"name":"card"`}, {"POST", "/v1/terminals/x/status", "", 404, "not_found"},
	} {
		a := ask{method: tt.method, path: tt.path, token: technicianToken, body: tt.body}
		if tt.method == "POST" {
			a.key = strings.ReplaceAll(tt.path+tt.body, " ", "")
		}
		w := a.do(t, s)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.has) {
			t.Errorf("%s %s %s: %d %s", tt.method, tt.path, tt.body, w.Code, w.Body)
		}
	}
}

func TestPaymentLongPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.payments = []payments.Payment{{ID: "pay-1", State: payments.Processing, Amount: mustAmount(t, "5.00"), Currency: "USD"}}
		s := newServer(t, m)
		began := time.Now()
		w := ask{method: "GET", path: "/v1/payments/pay-1?wait=30", token: registerToken}.do(t, s)
		if w.Code != 200 || time.Since(began) != 30*time.Second || !strings.Contains(w.Body.String(), "processing") {
			t.Errorf("%d after %s: %s", w.Code, time.Since(began), w.Body)
		}
	})
}

func TestPrinting(t *testing.T) {
	m := newMemory()
	s := newServer(t, m)
	if w := (ask{method: "POST", path: "/v1/sales", token: registerToken, key: "sale", body: minimalSale}).do(t, s); w.Code != 201 {
		t.Fatal(w.Body)
	}
	for i, tt := range []struct {
		path, body string
		status     int
		has        string
	}{
		{"/v1/printers/front/jobs", `{"document":[{"op":"text","text":"Hello"},{"op":"cut"}],"copies":2}`, 202, `"state":"queued"`},
		{"/v1/printers/front/jobs", `{"document":[{"op":"barcode","symbology":"code128","data":"ABC","text":true}]}`, 202, `"id"`},
		{"/v1/printers/front/jobs", `{"saleId":"sale-1","openDrawer":true}`, 202, `"id"`},
		{"/v1/printers/front/jobs", `{"raw":"G0A="}`, 202, `"id"`},
		{"/v1/printers/other/jobs", `{"raw":"G0A="}`, 404, "not_found"},
		{"/v1/printers/front/jobs", `{}`, 422, "exactly one"}, {"/v1/printers/front/jobs", `{"raw":"G0A=","saleId":"sale-1"}`, 422, "exactly one"},
		{"/v1/printers/front/jobs", `{"raw":"not base64!"}`, 422, "raw"}, {"/v1/printers/front/jobs", `{"raw":"G0A=","openDrawer":true}`, 422, "openDrawer"},
		{"/v1/printers/front/jobs", `{"saleId":"sale-9"}`, 422, "saleId"}, {"/v1/printers/front/jobs", `{"receiptLine":"a\n{b:1"}`, 422, "line 2: has a property"},
		{"/v1/printers/front/jobs", `{"document":[]}`, 422, "document"}, {"/v1/printers/front/jobs", `{"document":[{"op":"cut"}],"copies":11}`, 422, "copies"},
		{"/v1/printers/front/jobs", `{"document":[{"op":"cut","lines":3}]}`, 422, "document[0].lines"},
		{"/v1/printers/front/jobs", `{"document":[{"op":"text","text":true}]}`, 422, "document[0]"},
		{"/v1/print-jobs/job-1/reprint", ``, 202, `"id":"job-5"`}, {"/v1/print-jobs/job-9/reprint", ``, 404, "not_found"},
	} {
		w := ask{method: "POST", path: tt.path, token: registerToken, key: fmt.Sprint(i), body: tt.body}.do(t, s)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.has) {
			t.Errorf("%s: %d %s", tt.body, w.Code, w.Body)
		}
		if w.Code == 202 && !strings.HasPrefix(w.Header().Get("Location"), "/v1/print-jobs/job-") {
			t.Errorf("Location %q", w.Header().Get("Location"))
		}
	}
	if m.jobs[0].Copies != 2 || m.jobs[2].SaleID != "sale-1" || string(m.jobs[3].Raw) != "\x1b@" || m.jobs[4].ReprintOf != "job-1" {
		t.Errorf("%+v", m.jobs)
	}
	if doc := string(m.jobs[2].Document); !strings.HasPrefix(doc, `[{"op":"drawer"}`) || !strings.Contains(doc, "Corner Shop") || !strings.Contains(doc, "1.99") {
		t.Errorf("receipt: %s", doc)
	}
	if doc := string(m.jobs[1].Document); !strings.Contains(doc, `"showText":true`) {
		t.Errorf("bar code: %s", doc)
	}
	if w := (ask{method: "GET", path: "/v1/print-jobs/job-1?wait=5", token: registerToken}).do(t, s); w.Code != 200 || !strings.Contains(w.Body.String(), `"printer":"front"`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestSignIn(t *testing.T) {
	s := newServer(t, newMemory())
	for _, tt := range []struct {
		method string
		status int
		has    string
	}{{"GET", 200, "signed_out"}, {"POST", 200, "ABCD-EFGH"}, {"GET", 200, "pending"}, {"DELETE", 204, ""}, {"GET", 200, "signed_out"}} {
		w := ask{method: tt.method, path: "/v1/sign-in", token: technicianToken}.do(t, s)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.has) || tt.status == 204 && w.Body.Len() != 0 {
			t.Errorf("%s: %d %s", tt.method, w.Code, w.Body)
		}
	}
}

func TestStatus(t *testing.T) {
	m := newMemory()
	m.devs[0].State, m.devs[0].LastError = devices.Offline, &devices.Problem{Code: "unplugged", Message: "it was unplugged", Hint: "Plug the printer in."}
	m.ready = journal.ErrStorageFull
	m.paused = true
	skew := int64(-1200)
	s := newServer(t, m, func(c *register.Config) {
		c.Status = func() register.Extra {
			return register.Extra{FreeBytes: 5, ClockSkewMS: &skew, Problems: []wire.StatusProblem{{Code: "clock_wrong", Severity: "warning", Message: "m", Hint: "h"}}}
		}
	})
	var st wire.Status
	w := ask{method: "GET", path: "/v1/status", token: observerToken}.do(t, s)
	decode(t, w.Body, &st)
	if st.Version != "1.2.3" || st.Store != "DALLAS" || st.Register != "LANE-3" || st.Disk.FreeBytes != 5 || st.ClockSkewMS == nil || *st.ClockSkewMS != -1200 ||
		st.Can != (wire.Can{Card: true, Scan: true}) || st.Connection != offline.PausedConn || len(st.Devices) != 3 || st.SignIn.State != "signed_out" {
		t.Errorf("%s", w.Body)
	}
	var codes []string
	for _, p := range st.Problems {
		codes = append(codes, p.Code)
		if p.Hint == "" || p.Message == "" {
			t.Errorf("%+v", p)
		}
	}
	for _, want := range []string{"clock_wrong", "cannot_sell", "device_offline"} {
		if !slices.Contains(codes, want) {
			t.Errorf("problems %v lack %s", codes, want)
		}
	}
	if w := (ask{method: "GET", path: "/readyz"}).do(t, s); w.Code != 503 || code(t, w) != "storage_full" {
		t.Errorf("readyz: %d %s", w.Code, w.Body)
	}
	m.ready = errDisk
	if w := (ask{method: "GET", path: "/readyz"}).do(t, s); w.Code != 503 || code(t, w) != "not_ready" {
		t.Errorf("readyz: %d %s", w.Code, w.Body)
	}
	if w := (ask{method: "GET", path: "/healthz"}).do(t, s); w.Code != 200 {
		t.Errorf("healthz: %d", w.Code)
	}
	w = ask{method: "GET", path: "/metrics", token: observerToken}.do(t, s)
	for _, want := range []string{`storeagent_queue_operations{state="queued"} 0`, `storeagent_device_ready{category="posPrinter",name="front"} 0`, `storeagent_cloud_connection{connection="paused"} 1`,
		`storeagent_api_requests_total{method="GET",route="/v1/status",status="200"} 1`, `storeagent_disk_free_bytes 5`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

func TestEnsureTechnician(t *testing.T) {
	m := newMemory()
	path := filepath.Join(t.TempDir(), "technician.token")
	ensure := func() (http.Handler, string) {
		t.Helper()
		s := newServer(t, m)
		if err := s.EnsureTechnician(t.Context(), path); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path) //nolint:gosec // a temporary folder
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Fatalf("mode %v %v", info.Mode(), err)
		}
		return s, strings.TrimSpace(string(data))
	}
	works := func(s http.Handler, token string) bool {
		return ask{method: "GET", path: "/v1/pairings", token: token}.do(t, s).Code == 200
	}
	s, first := ensure()
	if !strings.HasPrefix(first, "sa_") || !works(s, first) {
		t.Fatal("no valid token")
	}
	if s, again := ensure(); again != first || !works(s, first) {
		t.Error("the file was not kept")
	}
	if err := os.Chmod(path, 0o644); err != nil { //nolint:gosec // what is to be corrected
		t.Fatal(err)
	}
	ensure()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s, second := ensure()
	if second == first || !works(s, second) || works(s, first) {
		t.Error("a removed file's token lives on")
	}
	m.pairings = m.pairings[:5] // another database, the same file
	if s, third := ensure(); third != second || !works(s, second) {
		t.Error("the file's token was not let in again")
	}
	for i := range m.pairings {
		if m.pairings[i].Name == "technician.token" {
			m.pairings[i].RevokedAt = time.Now()
		}
	}
	if s, fourth := ensure(); fourth == second || !works(s, fourth) || works(s, second) {
		t.Error("a revoked token came back")
	}
}

// TestSalesThroughTheRealDesk posts the examples of the cloud vendor's page as they stand, and fields that are wrong,
// through offline's own judgement.
func TestSalesThroughTheRealDesk(t *testing.T) {
	m := newMemory()
	s := newServer(t, m, func(c *register.Config) { c.Sales = judging{desk{m}} })
	for i, name := range []string{"minimal", "complete", "refund"} {
		body, err := os.ReadFile(filepath.Join("..", "testdata", "sales", name+".json")) //nolint:gosec // our own
		if err != nil {
			t.Fatal(err)
		}
		a := ask{method: "POST", path: "/v1/sales", token: registerToken, key: fmt.Sprint(i), body: string(body)}
		if w := a.do(t, s); w.Code != 201 {
			t.Errorf("%s: %d %s", name, w.Code, w.Body)
		}
	}
	for i, tt := range []struct{ body, location string }{
		{strings.Replace(minimalSale, `"T-1"`, `7`, 1), "transactionId"}, {strings.Replace(minimalSale, `"quantity":"1"`, `"quantity":1`, 1), "lineItems[0].quantity"},
		{strings.Replace(minimalSale, `"sku"`, `"SKU"`, 1), "lineItems[0]"}, {strings.Replace(minimalSale, `{`, `{"zz9MARKER":1,`, 1), ""}, {`{}`, "transactionId"},
	} {
		w := ask{method: "POST", path: "/v1/sales", token: registerToken, key: fmt.Sprint("bad", i), body: tt.body}.do(t, s)
		if w.Code != 422 || !strings.Contains(w.Body.String(), `"location":"`+tt.location) || strings.Contains(w.Body.String(), "MARKER") {
			t.Errorf("%s: %d %s", tt.body, w.Code, w.Body)
		}
	}
}
