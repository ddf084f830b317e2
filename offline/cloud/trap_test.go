package cloud

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
)

// Each test here is about one thing that the library or net/http does of itself and that would double, lose or leak a
// sale if nothing of ours stood before it.

// say answers every request with the same thing and counts them.
type say struct {
	status int
	header map[string]string
	body   string
	n      atomic.Int32
}

func (s *say) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.n.Add(1)
	_, _ = io.Copy(io.Discard, r.Body)
	if _, set := s.header["Content-Type"]; !set {
		w.Header().Set("Content-Type", "application/json")
	}
	for k, v := range s.header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(s.status)
	_, _ = io.WriteString(w, s.body)
}

func send(t *testing.T, h http.Handler) offline.Verdict {
	t.Helper()
	v := newClient(t, serve(t, h), nil).Send(t.Context(), purchase(vendorSale(t, "minimal")))
	if (v.Class == offline.ClassDelivered) != (v.CloudID != "") {
		t.Errorf("delivered and id disagree: %+v", v)
	}
	if v.Class != offline.ClassDelivered && (v.Fault == nil || v.Fault.Code == "" || v.Fault.Message == "") {
		t.Errorf("no word about why: %+v %+v", v, v.Fault)
	}
	return v
}

func TestAnswersWithoutAResultAreInDoubt(t *testing.T) {
	for _, body := range []string{`{}`, `{"data":null}`, `{"data":{}}`, `{"data":{"purchaseAdd":null}}`, `{"data":{"purchaseAdd":{}}}`,
		`{"data":{"purchaseAdd":{"id":null}}}`, `{"data":{"purchaseAdd":{"id":""}}}`, `{"data":{"purchaseAdd":{"id":"  "}}}`,
		`{"data":{"purchaseAdd":{"id":true}}}`, `{"data":{"purchaseAdd":[{"id":"1"}]}}`, `{"data":{"PurchaseAdd":{"id":"1"}}}`,
		`{"Data":{"purchaseAdd":{"id":"1"}}}`, `{"data":{"purchaseAdd":{"ID":"1"}}}`, `{"data":[]}`, `[]`, `null`, `"ok"`, ``,
		`{"data":{"purchaseAdd":{"id":"1","transactionId":"SOMEBODY-ELSES"}}}`} {
		if v := send(t, &say{status: 200, body: body}); v.Class != offline.ClassDoubt {
			t.Errorf("%s: %+v", body, v)
		}
	}
	if v := send(t, &say{status: 200, body: `{"data":{"purchaseAdd":{"id":"9","transactionId":"TRANS00002"}}}`}); v.Class != offline.ClassDelivered {
		t.Errorf("echoed reference: %+v %+v", v, v.Fault)
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, status := range []int{301, 302, 303, 307, 308} {
		h := &say{status: status, header: map[string]string{"Location": "/elsewhere"}}
		if v := send(t, h); v.Class != offline.ClassDoubt || h.n.Load() != 1 || !strings.Contains(v.Fault.Message, "cloud.endpoint") {
			t.Errorf("%d: %+v after %d requests", status, v, h.n.Load())
		}
	}
	sim := newSim(t, cloudsim.Options{})
	sim.FailMutations(cloudsim.Redirect, 1)
	if v := send(t, sim); v.Class != offline.ClassDoubt || len(sim.Ledger()) != 0 {
		t.Errorf("%+v, ledger %v", v, sim.Ledger())
	}
}

func TestRetryAfterIsSeen(t *testing.T) {
	now := time.Now()
	date := func(d time.Duration) string { return now.Add(d).UTC().Format(http.TimeFormat) }
	for _, tt := range []struct {
		status int
		after  string
		class  offline.Class
		wait   time.Duration
	}{
		{429, "7", offline.ClassNotExecuted, 7 * time.Second},
		{429, "", offline.ClassNotExecuted, 0},
		{429, date(90 * time.Second), offline.ClassNotExecuted, 90 * time.Second},
		{429, date(-time.Hour), offline.ClassNotExecuted, 0},
		{429, "99999999999999999999", offline.ClassNotExecuted, time.Hour},
		{503, "0", offline.ClassNotExecuted, 0},
		{503, "30", offline.ClassNotExecuted, 30 * time.Second},
		{503, "", offline.ClassDoubt, 0},
		{503, "soon", offline.ClassDoubt, 0},
		{503, "-5", offline.ClassDoubt, 0},
		{413, "", offline.ClassNotExecuted, 0},
	} {
		h := &say{status: tt.status, header: map[string]string{"Content-Type": "text/html", "Date": date(0)}, body: "<html>"}
		if tt.after != "" {
			h.header["Retry-After"] = tt.after
		}
		v := send(t, h)
		if v.Class != tt.class || !v.PushBack || v.RetryAfter != tt.wait || v.HTTPStatus != tt.status || h.n.Load() != 1 {
			t.Errorf("%d %q: %+v after %d requests", tt.status, tt.after, v, h.n.Load())
		}
	}
}

// TestRetryAfterDateGoesByTheServersClock has a server an hour ahead.
func TestRetryAfterDateGoesByTheServersClock(t *testing.T) {
	ahead := time.Now().Add(time.Hour).UTC()
	h := &say{status: 429, header: map[string]string{"Date": ahead.Format(http.TimeFormat), "Retry-After": ahead.Add(20 * time.Second).Format(http.TimeFormat)}}
	if v := send(t, h); v.RetryAfter != 20*time.Second {
		t.Errorf("%v", v.RetryAfter)
	}
}

func TestErrorsWithStatus400AreReadAlsoPacked(t *testing.T) {
	for _, zip := range []bool{false, true} {
		for _, learned := range []bool{false, true} {
			sim := newSim(t, cloudsim.Options{StoreCodes: []string{"ELSEWHERE"}})
			sim.Gzip(zip)
			c := newClient(t, serve(t, sim), nil)
			if learned {
				c.Probe(t.Context())
			}
			v := c.Send(t.Context(), purchase(vendorSale(t, "minimal")))
			if v.Class != offline.ClassRejected || v.Fault.Code != "VALIDATION" || !strings.Contains(v.Fault.Message, "StoreCode") || v.HTTPStatus != 400 {
				t.Errorf("gzip %v: %+v %+v", zip, v, v.Fault)
			}
			sim.Deny(cloudsim.AddPurchase)
			if v := c.Send(t.Context(), purchase(vendorSale(t, "minimal"))); v.Class != offline.ClassBlocked || v.Fault.Code != "NOT_AUTHORIZED" {
				t.Errorf("gzip %v: %+v %+v", zip, v, v.Fault)
			}
		}
	}
}

func TestPackedAnswersAreRead(t *testing.T) {
	sim := newSim(t, cloudsim.Options{})
	sim.Gzip(true)
	if v := send(t, sim); v.Class != offline.ClassDelivered {
		t.Errorf("%+v %+v", v, v.Fault)
	}
}

func TestTooLargeAnswersAreInDoubt(t *testing.T) {
	sim := newSim(t, cloudsim.Options{})
	sim.FailMutations(cloudsim.ExecuteThenBomb, 1)
	if v := send(t, sim); v.Class != offline.ClassDoubt || len(sim.Ledger()) != 1 {
		t.Errorf("bomb: %+v %+v", v, v.Fault)
	}
	answer := func(pad int) string {
		return `{"data":{"purchaseAdd":{"id":"1"}}` + strings.Repeat(" ", pad) + `}`
	}
	if v := send(t, &say{status: 200, body: answer(bodyLimit)}); v.Class != offline.ClassDoubt {
		t.Errorf("plain: %+v", v)
	}
	if v := send(t, &say{status: 200, body: answer(0) + strings.Repeat(" ", bodyLimit)}); v.Class != offline.ClassDoubt {
		t.Errorf("whole within the limit, more behind it: %+v", v)
	}
	if v := send(t, &say{status: 200, body: answer(bodyLimit - len(answer(0)))}); v.Class != offline.ClassDelivered {
		t.Errorf("just fits: %+v %+v", v, v.Fault)
	}
}

// counted tells how much of it was read.
type counted struct {
	io.Reader
	n int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	return n, err
}

// TestBombsAreNotUnpacked: reading stops at the limit of what comes out.
func TestBombsAreNotUnpacked(t *testing.T) {
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	for range 32 {
		_, _ = zw.Write(bytes.Repeat([]byte{' '}, 1<<20))
	}
	_ = zw.Close()
	whole := packed.Len()
	body := &counted{Reader: &packed}
	resp := respond(200, "application/json", nil)
	resp.Header.Set("Content-Encoding", "gzip")
	resp.Body = io.NopCloser(body)
	if _, err := readBody(resp); err == nil || body.n > whole/2 {
		t.Errorf("%v after %d of %d bytes", err, body.n, whole)
	}
}

func TestNothingIsRepeatedByItself(t *testing.T) {
	for _, status := range []int{400, 403, 404, 408, 425, 429, 500, 502, 503, 504} {
		h := &say{status: status, header: map[string]string{"Retry-After": "0"}, body: `{}`}
		v := send(t, h)
		if h.n.Load() != 1 {
			t.Errorf("%d: %d requests", status, h.n.Load())
		}
		want := offline.ClassDoubt
		if status == 429 || status == 503 {
			want = offline.ClassNotExecuted
		}
		if v.Class != want {
			t.Errorf("%d: %+v", status, v)
		}
	}
}

// TestNoSecretInAFault has a server that repeats the bearer, and one whose error extensions would make the library's
// debug mode panic.
func TestNoSecretInAFault(t *testing.T) {
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(400)
		body, _ := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, `{"data":{"giftcardTransAdd":null},"errors":[{"message":%q,"path":["giftcardTransAdd"],"extensions":{"code":%q,"internal":"x"}}]}`,
			"you said "+r.Header.Get("Authorization")+" and "+string(body), r.Header.Get("Authorization"))
	})
	c := newClient(t, serve(t, echo), nil)
	v := c.Send(t.Context(), offline.Operation{Type: offline.GiftcardTrans, Payload: []byte(`{"code":"6006491234","pin":"4711","transType":"USE","amount":"-1.00"}`)})
	text := v.Fault.Code + v.Fault.Message
	if v.Class != offline.ClassDoubt || len(v.Fault.Message) > 2*messageLimit {
		t.Errorf("%+v %+v", v, v.Fault)
	}
	for _, secret := range []string{"bearer-a", "6006491234", "4711"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %q", secret, text)
		}
	}
	page := &say{status: 502, header: map[string]string{"Content-Type": "text/html"}, body: "<html>internal secret</html>"}
	if v := send(t, page); strings.Contains(v.Fault.Message, "secret") {
		t.Error("a body got into the fault:", v.Fault)
	}
}

func TestOddStatuses(t *testing.T) {
	ok := `{"data":{"purchaseAdd":{"id":"7"}}}`
	for status, want := range map[int]offline.Class{200: offline.ClassDelivered, 201: offline.ClassDelivered, 202: offline.ClassDoubt,
		203: offline.ClassDoubt, 206: offline.ClassDoubt, 400: offline.ClassDelivered, 500: offline.ClassDoubt, 502: offline.ClassDoubt, 599: offline.ClassDoubt} {
		if v := send(t, &say{status: status, body: ok}); v.Class != want {
			t.Errorf("%d: %+v %+v", status, v, v.Fault)
		}
	}
	if v := send(t, &say{status: 204}); v.Class != offline.ClassDoubt {
		t.Errorf("204: %+v", v)
	}
}

func TestOnlyCleanJSONCounts(t *testing.T) {
	ok := `{"data":{"purchaseAdd":{"id":"7"}}}`
	var packed bytes.Buffer
	zw := gzip.NewWriter(&packed)
	_, _ = zw.Write([]byte(ok))
	_ = zw.Close()
	for _, tt := range []struct {
		name, kind, encoding, body string
		class                      offline.Class
	}{
		{"graphql media type", "application/graphql-response+json; charset=UTF-8", "", ok, offline.ClassDelivered},
		{"byte order mark", "application/json", "", "\ufeff" + ok, offline.ClassDelivered},
		{"more fields than asked for", "application/json", "", `{"extensions":{},"data":{"purchaseAdd":{"id":"7","total":"1"},"x":1}}`, offline.ClassDelivered},
		{"number as id", "application/json", "", `{"data":{"purchaseAdd":{"id":70001}}}`, offline.ClassDelivered},
		{"html", "text/html", "", ok, offline.ClassDoubt},
		{"text", "text/plain", "", ok, offline.ClassDoubt},
		{"no media type", "", "", ok, offline.ClassDoubt},
		{"latin1", "application/json; charset=iso-8859-1", "", ok, offline.ClassDoubt},
		{"second value", "application/json", "", ok + ok, offline.ClassDoubt},
		{"garbage behind", "application/json", "", ok + "<!-- proxy -->", offline.ClassDoubt},
		{"cut", "application/json", "", ok[:len(ok)-1], offline.ClassDoubt},
		{"data twice", "application/json", "", `{"data":{"purchaseAdd":{"id":"7"}},"data":null}`, offline.ClassDoubt},
		{"field twice", "application/json", "", `{"data":{"purchaseAdd":null,"purchaseAdd":{"id":"7"}}}`, offline.ClassDoubt},
		{"not UTF-8", "application/json", "", "{\"data\":{\"purchaseAdd\":{\"id\":\"\xff\"}}}", offline.ClassDoubt},
		{"errors not a list", "application/json", "", `{"data":null,"errors":{"message":"x"}}`, offline.ClassDoubt},
		{"errors of texts", "application/json", "", `{"errors":["no"]}`, offline.ClassDoubt},
		{"empty errors", "application/json", "", `{"errors":[]}`, offline.ClassDoubt},
		{"code is the library's word", "application/json", "", `{"errors":[{"message":"m","path":["purchaseAdd"],"extensions":{"code":"request_error"}}]}`, offline.ClassDoubt},
		{"gzip", "application/json", "gzip", packed.String(), offline.ClassDelivered},
		{"half gzip", "application/json", "gzip", packed.String()[:packed.Len()-9], offline.ClassDoubt},
		{"no gzip", "application/json", "gzip", ok, offline.ClassDoubt},
		{"gzip and garbage", "application/json", "gzip", packed.String() + "x", offline.ClassDoubt},
		{"unknown encoding", "application/json", "br", ok, offline.ClassDoubt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &say{status: 200, header: map[string]string{"Content-Type": tt.kind}, body: tt.body}
			if tt.encoding != "" {
				h.header["Content-Encoding"] = tt.encoding
			}
			v := send(t, h)
			if v.Class != tt.class {
				t.Errorf("%+v %+v", v, v.Fault)
			}
			if strings.HasPrefix(tt.name, "errors ") && v.Fault.Code != "unreadable_answer" {
				t.Errorf("a word of the library in %+v", v.Fault)
			}
		})
	}
}

func TestExecutedAndLostIsInDoubt(t *testing.T) {
	for _, mode := range []cloudsim.Mode{cloudsim.ExecuteThenClose, cloudsim.ExecuteThen502, cloudsim.ExecuteThenHalfBody,
		cloudsim.ExecuteThenEmpty, cloudsim.ExecuteThenNull, cloudsim.ExecuteThenError} {
		sim := newSim(t, cloudsim.Options{})
		sim.FailMutations(mode, 1)
		if v := send(t, sim); v.Class != offline.ClassDoubt || len(sim.Ledger()) != 1 {
			t.Errorf("%s: %+v %+v, %d executions", mode, v, v.Fault, len(sim.Ledger()))
		}
	}
}

// TestHeaders: what we must send, and what would make net/http repeat a POST.
func TestHeaders(t *testing.T) {
	sim := newSim(t, cloudsim.Options{})
	send(t, sim)
	h := sim.Headers()[0]
	for name, want := range map[string]string{"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "gzip", "User-Agent": "storeagent",
		"Idempotency-Key": "", "X-Idempotency-Key": "", "Cookie": ""} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestNoHeaderThatMakesNetHTTPRepeat: whoever adds one to a request, it does not get out.
func TestNoHeaderThatMakesNetHTTPRepeat(t *testing.T) {
	var got http.Header
	d := &doer{client: &http.Client{Transport: direct(func(r *http.Request) *http.Response {
		got = r.Header
		return respond(200, "application/json", []byte(goodBody))
	})}}
	ctx := context.WithValue(t.Context(), exchangeKey{}, &exchange{token: "t"})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1/", strings.NewReader(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Idempotency-Key", "k")
	req.Header.Set("X-Idempotency-Key", "k")
	resp, err := d.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if got.Get("Idempotency-Key") != "" || got.Get("X-Idempotency-Key") != "" || got.Get("Authorization") != "Bearer t" {
		t.Error(got)
	}
}

// TestNoProxyFromTheEnvironment: a variable must not lead sales and bearers elsewhere.
func TestNoProxyFromTheEnvironment(t *testing.T) {
	if c := newClient(t, nil, nil); c.transport.Proxy != nil {
		t.Error("a proxy function is set")
	}
}
