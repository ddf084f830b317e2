package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
)

// tokens is a source whose token is numbered, so that a refresh shows.
type tokens struct {
	mu      sync.Mutex
	n       int
	refused int
	err     error
	after   error // from Refused
}

func (s *tokens) AccessToken(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return "", s.err
	}
	return "bearer-" + string(rune('a'+s.n)), nil
}

func (s *tokens) Refused(context.Context, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused++
	if s.after != nil {
		return s.after
	}
	s.n++
	return nil
}

// good takes every bearer from the n-th on.
type good struct{ from string }

func (g good) Valid(access string) (string, bool) { return "store", access >= g.from }

// pipes is a listener without a network.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

func (p *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	here, there := net.Pipe()
	select {
	case p.conns <- there:
		return here, nil
	case <-p.done:
		return nil, errors.New("connection refused")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve runs a handler behind a pipe until the test ends.
func serve(t *testing.T, h http.Handler) *pipes {
	t.Helper()
	p := newPipes()
	srv := &http.Server{Handler: h, ErrorLog: nil}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = srv.Serve(p) }()
	t.Cleanup(func() { _ = srv.Close(); <-ended })
	return p
}

func newClient(t *testing.T, p *pipes, change func(*Config)) *Client {
	t.Helper()
	c := Config{Endpoint: "http://127.0.0.1:1" + cloudsim.Path, Token: &tokens{}}
	if p != nil {
		c.Dial = p.dial
	}
	if change != nil {
		change(&c)
	}
	cl, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func newSim(t *testing.T, o cloudsim.Options) *cloudsim.Sim {
	t.Helper()
	if o.Tokens == nil {
		o.Tokens = good{}
	}
	s, err := cloudsim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func vendorSale(t testing.TB, name string) json.RawMessage {
	t.Helper()
	raw, err := os.ReadFile("../../testdata/sales/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func purchase(payload json.RawMessage) offline.Operation {
	return offline.Operation{ID: "op-1", Type: offline.Purchase, Payload: payload}
}

func decode(t *testing.T, raw []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// TestVendorSalesArriveValueForValue sends before introspection (literals) and after it (variables).
func TestVendorSalesArriveValueForValue(t *testing.T) {
	for _, learned := range []bool{false, true} {
		sim := newSim(t, cloudsim.Options{NoIntrospection: !learned})
		c := newClient(t, serve(t, sim), nil)
		if v := c.Probe(t.Context()); v.Class != offline.ClassDelivered {
			t.Fatalf("probe: %+v %+v", v, v.Fault)
		}
		if (c.Schema() != nil) != learned {
			t.Fatalf("learned: %v, want %v", c.Schema(), learned)
		}
		for _, name := range []string{"minimal", "complete", "refund"} {
			raw := vendorSale(t, name)
			v := c.Send(t.Context(), purchase(raw))
			if v.Class != offline.ClassDelivered || v.CloudID == "" {
				t.Fatalf("%s, learned %v: %+v %+v", name, learned, v, v.Fault)
			}
			last := sim.Ledger()[len(sim.Ledger())-1]
			kept, err := json.Marshal(last.Input)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := decode(t, kept), decode(t, raw); !reflect.DeepEqual(got, want) {
				t.Errorf("%s, learned %v:\n got %v\nwant %v", name, learned, got, want)
			}
			if last.ID != v.CloudID {
				t.Errorf("id %s, ledger has %s", v.CloudID, last.ID)
			}
		}
		if n := len(sim.Ledger()); n != 3 {
			t.Errorf("%d executions of 3 sales", n)
		}
	}
}

// TestAwkwardTextsArriveAsTheyAre is about the escaping of literals.
func TestAwkwardTextsArriveAsTheyAre(t *testing.T) {
	sim := newSim(t, cloudsim.Options{NoIntrospection: true})
	c := newClient(t, serve(t, sim), nil)
	for _, text := range []string{`say "hi"`, `back\slash`, "tab\tline\nreturn\r", "\x1d(GS)\x00", "ümläut €", "smile 😀", `") { id } }`, "\u2028", "#no comment", `$add`, "\"\"\"", "<&>"} {
		var m map[string]any
		if err := json.Unmarshal(vendorSale(t, "minimal"), &m); err != nil {
			t.Fatal(err)
		}
		m["channel"] = text
		raw, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if v := c.Send(t.Context(), purchase(raw)); v.Class != offline.ClassDelivered {
			t.Fatalf("%q: %+v %+v", text, v, v.Fault)
		}
		if got := sim.Ledger()[len(sim.Ledger())-1].Input["channel"]; got != text {
			t.Errorf("sent %q, kept %q", text, got)
		}
	}
}

// TestLearnedNamesOutliveARestart also covers a name that changed meanwhile: one attempt is refused before it runs,
// the next goes as a literal, the next probe learns the new name.
func TestLearnedNamesOutliveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet")
	sim := newSim(t, cloudsim.Options{})
	p := serve(t, sim)
	first := newClient(t, p, func(c *Config) { c.SchemaDir = dir })
	first.Probe(t.Context())
	if first.Schema() == nil || len(first.SchemaProblems()) != 0 {
		t.Fatal(first.Schema(), first.SchemaProblems())
	}
	asked := sim.Requests()
	second := newClient(t, p, func(c *Config) { c.SchemaDir = dir })
	second.Probe(t.Context())
	if got := sim.Requests() - asked; got != 1 {
		t.Errorf("%d requests by a probe that knows the names", got)
	}
	if got := second.names.typeOf(purchaseAdd()); got != "SimReportedPurchase!" {
		t.Errorf("type %q", got)
	}
	file := filepath.Join(dir, schemaFile)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stale := strings.ReplaceAll(string(raw), "SimReportedPurchase", "OldName")
	if err := os.WriteFile(file, []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	third := newClient(t, p, func(c *Config) { c.SchemaDir = dir })
	op := purchase(vendorSale(t, "minimal"))
	if v := third.Send(t.Context(), op); v.Class != offline.ClassNotExecuted {
		t.Fatalf("stale name: %+v %+v", v, v.Fault)
	}
	if v := third.Send(t.Context(), op); v.Class != offline.ClassDelivered {
		t.Fatalf("after the stale name: %+v %+v", v, v.Fault)
	}
	third.Probe(t.Context())
	if got := third.names.typeOf(purchaseAdd()); got != "SimReportedPurchase!" {
		t.Errorf("learned again: %q", got)
	}
	other := newClient(t, p, func(c *Config) { c.SchemaDir = dir; c.Endpoint = "http://localhost/other" })
	if other.Schema() != nil {
		t.Error("names of one endpoint used for another")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".cloud-schema-*")); len(left) != 0 {
		t.Error("temporary files left:", left)
	}
}

func TestUnreadableSchemaFileIsLearnedAgain(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, schemaFile), []byte(`{"endp`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newClient(t, serve(t, newSim(t, cloudsim.Options{})), func(c *Config) { c.SchemaDir = dir })
	c.Probe(t.Context())
	if c.Schema() == nil {
		t.Error("not learned")
	}
}

func TestSchemaProblemsNameWhatIsMissing(t *testing.T) {
	c := newClient(t, nil, nil)
	field := func(name string, required bool) Field { return Field{Name: name, Type: "X", Required: required} }
	op := Operation{Argument: "add", Type: "X!", HasID: true}
	for _, name := range purchaseAdd().fields {
		if name != "channel" {
			op.Fields = append(op.Fields, field(name, true))
		}
	}
	op.Fields = append(op.Fields, field("tillNumber", true), field("note", false))
	if err := c.names.learned(&Schema{Operations: map[string]Operation{"purchaseAdd": op}}); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(c.SchemaProblems(), "\n")
	for _, want := range []string{"add.channel", "add.tillNumber"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q not named in %q", want, got)
		}
	}
	if strings.Contains(got, "note") || len(c.SchemaProblems()) != 2 {
		t.Error(got)
	}
	if err := c.names.learned(&Schema{}); err != nil {
		t.Fatal(err)
	}
	if got := c.SchemaProblems(); len(got) != 1 || !strings.Contains(got[0], "purchaseAdd") {
		t.Error(got)
	}
}

func TestCheckSchemaAsksNow(t *testing.T) {
	sim := newSim(t, cloudsim.Options{})
	c := newClient(t, serve(t, sim), nil)
	if list, err := c.CheckSchema(t.Context()); err != nil || len(list) != 0 || c.Schema() == nil {
		t.Error(list, err)
	}
	known := c.Schema()
	sim.Fail(cloudsim.HTML, 0)
	if _, err := c.CheckSchema(t.Context()); err == nil || c.Schema().LearnedAt != known.LearnedAt {
		t.Error("learned from a page:", err)
	}
	closed := newClient(t, serve(t, newSim(t, cloudsim.Options{NoIntrospection: true})), nil)
	if _, err := closed.CheckSchema(t.Context()); err == nil {
		t.Error("learned where introspection is off")
	}
}

func TestOverridesReplaceDocuments(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("purchaseAdd.graphql", "# ours\nmutation Ours($add: SimReportedPurchase!) { purchaseAdd(add: $add) { id } }")
	sim := newSim(t, cloudsim.Options{NoIntrospection: true})
	c := newClient(t, serve(t, sim), func(c *Config) { c.OverrideDir = dir })
	if v := c.Send(t.Context(), purchase(vendorSale(t, "complete"))); v.Class != offline.ClassDelivered {
		t.Fatalf("%+v %+v", v, v.Fault)
	}
	for text, want := range map[string]string{
		"{ purchaseAdd }": "must begin with", "query Q { purchaseAdd(add: $add) { id } }": "must be a mutation",
		"mutation M { purchaseAdd { id } }": "must use $add",
	} {
		write("purchaseAdd.graphql", text)
		_, err := New(Config{Endpoint: "https://pos.example.com/", Token: &tokens{}, OverrideDir: dir})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	write("purchaseAdd.graphql", "mutation Ours { purchaseAdd(add: $add) { id } }")
	write("purchaseAd.graphql", "query Q { a }")
	if _, err := New(Config{Endpoint: "https://pos.example.com/", Token: &tokens{}, OverrideDir: dir}); err == nil {
		t.Error("a misspelled override went unnoticed")
	}
}

func TestEndpoints(t *testing.T) {
	for endpoint, ok := range map[string]bool{
		"https://pos.example.com/api/graphql": true, "http://127.0.0.1:9/x": true, "http://[::1]:9/x": true, "http://localhost/x": true,
		"http://pos.example.com/": false, "http://10.0.0.1/": false, "ftp://x/": false, "pos.example.com": false,
		"https://u:p@pos.example.com/": false, "": false, "https://": false, "http://127.0.0.1.example.com/": false,
	} {
		_, err := New(Config{Endpoint: endpoint, Token: &tokens{}})
		if (err == nil) != ok {
			t.Errorf("%s: %v", endpoint, err)
		}
		if err != nil && strings.Contains(err.Error(), "u:p") {
			t.Error("the error repeats a password:", err)
		}
	}
	if _, err := New(Config{Endpoint: "https://pos.example.com/", Token: &tokens{}, CAFile: "cloud.go"}); err == nil {
		t.Error("a CA file without a certificate was taken")
	}
}

// TestRefusedBearer is about 401 and NOT_AUTHENTICATED: one refresh, one more request, never a loop.
func TestRefusedBearer(t *testing.T) {
	tests := []struct {
		name     string
		valid    string // first good bearer
		fail     cloudsim.Mode
		times    int
		source   *tokens
		class    offline.Class
		requests int
		refused  int
	}{
		{name: "stale once", valid: "bearer-b", class: offline.ClassDelivered, requests: 2, refused: 1},
		{name: "always refused", valid: "bearer-z", class: offline.ClassSignedOut, requests: 2, refused: 1},
		{name: "code once", fail: cloudsim.NotAuthenticated, times: 1, class: offline.ClassDelivered, requests: 2, refused: 1},
		{name: "code always", fail: cloudsim.NotAuthenticated, class: offline.ClassSignedOut, requests: 2, refused: 1},
		{name: "refresh refused", valid: "bearer-b", source: &tokens{after: offline.ErrSignedOut}, class: offline.ClassSignedOut, requests: 1, refused: 1},
		{name: "refresh out of reach", valid: "bearer-b", source: &tokens{after: errors.New("no network")}, class: offline.ClassNotExecuted, requests: 1, refused: 1},
		{name: "signed out", source: &tokens{err: offline.ErrSignedOut}, class: offline.ClassSignedOut},
		{name: "no token now", source: &tokens{err: errors.New("no network")}, class: offline.ClassNotExecuted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim := newSim(t, cloudsim.Options{Tokens: good{tt.valid}})
			sim.Fail(tt.fail, tt.times)
			if tt.source == nil {
				tt.source = &tokens{}
			}
			c := newClient(t, serve(t, sim), func(c *Config) { c.Token = tt.source })
			v := c.Send(t.Context(), purchase(vendorSale(t, "minimal")))
			if v.Class != tt.class || sim.Requests() != tt.requests || tt.source.refused != tt.refused {
				t.Errorf("%+v %+v after %d requests, %d refusals", v, v.Fault, sim.Requests(), tt.source.refused)
			}
			if v.Class != offline.ClassDelivered && (v.Fault == nil || len(sim.Ledger()) != 0) {
				t.Errorf("fault %+v, ledger %v", v.Fault, sim.Ledger())
			}
		})
	}
}

// TestBareAndTold401 tells a missing permission that Orchard Core answers with 401 from a bearer problem.
func TestBareAndTold401(t *testing.T) {
	sim := newSim(t, cloudsim.Options{})
	sim.Deny(cloudsim.ExecuteGraphQLMutations)
	c := newClient(t, serve(t, sim), nil)
	if v := c.Send(t.Context(), purchase(vendorSale(t, "minimal"))); v.Class != offline.ClassBlocked || sim.Requests() != 2 {
		t.Errorf("%+v %+v after %d requests", v, v.Fault, sim.Requests())
	}
}

func TestProbe(t *testing.T) {
	tests := []struct {
		name  string
		setup func(*cloudsim.Sim)
		class offline.Class
	}{
		{"well", func(*cloudsim.Sim) {}, offline.ClassDelivered},
		{"environment forbidden", func(s *cloudsim.Sim) { s.Deny(cloudsim.ViewEnvironment) }, offline.ClassDelivered},
		{"environment unknown", func(s *cloudsim.Sim) {
			s.Say(cloudsim.Answer{Status: 400, Header: map[string]string{"Content-Type": "application/json"},
				Body: `{"errors":[{"message":"No such thing","extensions":{"code":"WHATEVER"}}]}`}, false, 1)
		}, offline.ClassDelivered},
		{"broken inside", func(s *cloudsim.Sim) {
			s.Say(cloudsim.Answer{Status: 400, Header: map[string]string{"Content-Type": "application/json"},
				Body: `{"data":{"environment":null},"errors":[{"message":"x","path":["environment"],"extensions":{"code":"FUSION_ERROR"}}]}`}, false, 1)
		}, offline.ClassDoubt},
		{"down", func(s *cloudsim.Sim) { s.Fail(cloudsim.Down, 0) }, offline.ClassDoubt},
		{"page of a portal", func(s *cloudsim.Sim) { s.Fail(cloudsim.HTML, 0) }, offline.ClassDoubt},
		{"redirect", func(s *cloudsim.Sim) { s.Fail(cloudsim.Redirect, 0) }, offline.ClassDoubt},
		{"empty object", func(s *cloudsim.Sim) { s.Fail(cloudsim.EmptyObject, 0) }, offline.ClassDoubt},
		{"pushed back", func(s *cloudsim.Sim) { s.Push("5", 0) }, offline.ClassNotExecuted},
		{"refused", func(s *cloudsim.Sim) { s.RefuseTokens(true) }, offline.ClassSignedOut},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim := newSim(t, cloudsim.Options{})
			tt.setup(sim)
			c := newClient(t, serve(t, sim), nil)
			if v := c.Probe(t.Context()); v.Class != tt.class || (v.Fault == nil) != (tt.class == offline.ClassDelivered) {
				t.Errorf("%+v %+v", v, v.Fault)
			}
			if len(sim.Ledger()) != 0 {
				t.Error("a probe wrote")
			}
		})
	}
}

func TestSkewComesFromTheDateHeader(t *testing.T) {
	sim := newSim(t, cloudsim.Options{})
	sim.Skew(10 * time.Minute)
	c := newClient(t, serve(t, sim), nil)
	if _, at := c.Skew(); !at.IsZero() {
		t.Error("heard a clock before the first answer")
	}
	c.Probe(t.Context())
	got, at := c.Skew()
	if (got-10*time.Minute).Abs() > 5*time.Second || at.IsZero() {
		t.Errorf("skew %v at %v", got, at)
	}
}

// TestSkewGetsCloser by answers from different parts of a second, and follows a clock that is set.
func TestSkewGetsCloser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var theirs atomic.Int64 // how far ahead
		sim := newSim(t, cloudsim.Options{Now: func() time.Time { return time.Now().Add(time.Duration(theirs.Load())) }})
		sim.Delay(20*time.Millisecond, 20*time.Millisecond)
		c := newClient(t, serve(t, sim), nil)
		hear := func(ahead, within time.Duration, times int) {
			t.Helper()
			theirs.Store(int64(ahead))
			for range times {
				time.Sleep(1130 * time.Millisecond) // fake: synctest's clock
				c.Probe(t.Context())
			}
			if got, _ := c.Skew(); (got - ahead).Abs() > within {
				t.Errorf("after %d answers %v, want %v to %v", times, got, ahead, within)
			}
		}
		hear(1700*time.Millisecond, 600*time.Millisecond, 1)
		hear(1700*time.Millisecond, 80*time.Millisecond, 30)
		hear(-90*time.Second, 600*time.Millisecond, 1)
		hear(-90*time.Second, 80*time.Millisecond, 30)
	})
}

// TestTimeouts runs on fake time: what left is in doubt, what did not is not.
func TestTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := newSim(t, cloudsim.Options{})
		c := newClient(t, serve(t, sim), nil)
		op := purchase(vendorSale(t, "minimal"))
		sim.Delay(0, 10*time.Minute)
		began := time.Now()
		v := c.Send(t.Context(), op)
		if v.Class != offline.ClassDoubt || v.Fault.Code != "timeout" || time.Since(began) != headerTimeout {
			t.Errorf("%+v %+v after %v", v, v.Fault, time.Since(began))
		}
		sim.Delay(10*time.Minute, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if v := c.Send(ctx, op); v.Class != offline.ClassDoubt {
			t.Errorf("cancelled after the request left: %+v %+v", v, v.Fault)
		}
		synctest.Wait()
		if n := len(sim.Ledger()); n != 2 {
			t.Errorf("%d executions: the cloud ran both, whatever we heard", n)
		}
		hung := newClient(t, nil, func(c *Config) {
			c.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		})
		began = time.Now()
		if v := hung.Send(t.Context(), op); v.Class != offline.ClassNotExecuted || time.Since(began) != dialTimeout {
			t.Errorf("dial: %+v %+v after %v", v, v.Fault, time.Since(began))
		}
		silent := newClient(t, nil, func(c *Config) {
			c.Endpoint = "https://pos.example.com/"
			c.Dial = func(context.Context, string, string) (net.Conn, error) {
				here, there := net.Pipe()
				go func() { _, _ = io.Copy(io.Discard, there) }()
				return here, nil
			}
		})
		if v := silent.Send(t.Context(), op); v.Class != offline.ClassNotExecuted {
			t.Errorf("TLS: %+v %+v", v, v.Fault)
		}
		c.Close()
	})
}

// TestSlowBodyEndsWithTheWholeTime has a server that answers at once and then dribbles.
func TestSlowBodyEndsWithTheWholeTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			flush := http.NewResponseController(w)
			for _, err := io.WriteString(w, `{"data":`); err == nil; _, err = io.WriteString(w, " ") {
				if flush.Flush() != nil {
					return
				}
				select {
				case <-time.After(time.Second):
				case <-r.Context().Done():
					return
				}
			}
		})), nil)
		began := time.Now()
		v := c.Send(t.Context(), purchase(vendorSale(t, "minimal")))
		if v.Class != offline.ClassDoubt || v.Fault.Code != "timeout" || time.Since(began) != totalTimeout {
			t.Errorf("%+v %+v after %v", v, v.Fault, time.Since(began))
		}
	})
}

// stuck never has another token.
type stuck struct{ tokens }

func (s *stuck) Refused(context.Context, string) error { return nil }

func TestTheSameBearerIsNotSentTwice(t *testing.T) {
	sim := newSim(t, cloudsim.Options{})
	sim.RefuseTokens(true)
	c := newClient(t, serve(t, sim), func(c *Config) { c.Token = &stuck{} })
	if v := c.Send(t.Context(), purchase(vendorSale(t, "minimal"))); v.Class != offline.ClassSignedOut || sim.Requests() != 1 {
		t.Errorf("%+v after %d requests", v, sim.Requests())
	}
}

// TestNamesCannotBreakOut: what a server or a file calls a type gets into the document only if it is one.
func TestNamesCannotBreakOut(t *testing.T) {
	c := newClient(t, nil, nil)
	for name, want := range map[string]string{"A!": "A!", "[A_1!]!": "[A_1!]!", "": "", "[!]": "", "A!){a}": "", "A!, $b: B": ""} {
		op := Operation{Argument: "add", Type: name}
		if err := c.names.learned(&Schema{Operations: map[string]Operation{"purchaseAdd": op}}); err != nil {
			t.Fatal(err)
		}
		if got := c.names.typeOf(purchaseAdd()); got != want {
			t.Errorf("%q used as %q", name, got)
		}
	}
}

func TestUnsupported(t *testing.T) {
	c := newClient(t, newPipes(), nil)
	if v := c.Send(t.Context(), offline.Operation{Type: offline.GiftcardCapture, Payload: json.RawMessage(`{}`)}); v.Class != offline.ClassRejected {
		t.Errorf("capture of nothing: %+v", v)
	}
	if v := c.Send(t.Context(), purchase(json.RawMessage(`[1]`))); v.Class != offline.ClassRejected || v.Fault.Code != "invalid_payload" {
		t.Errorf("no object: %+v", v)
	}
	if v := c.Send(t.Context(), purchase(json.RawMessage(`{"a b":1}`))); v.Class != offline.ClassRejected {
		t.Errorf("bad name: %+v", v)
	}
	// A tenant without gift cards.
	sim := newSim(t, cloudsim.Options{NoGiftcards: true})
	c = newClient(t, serve(t, sim), nil)
	v := c.Send(t.Context(), offline.Operation{Type: offline.GiftcardTrans, Payload: json.RawMessage(`{"code":"600649999","pin":"4711","transType":"USE","amount":"-6.49"}`)})
	if v.Class != offline.ClassUnsupported || strings.Contains(v.Fault.Message, "4711") {
		t.Errorf("%+v %+v", v, v.Fault)
	}
	// A field of ours that the tenant's argument lacks.
	v = c.Send(t.Context(), purchase(json.RawMessage(strings.Replace(string(vendorSale(t, "minimal")), `"uom"`, `"unit"`, 1))))
	if v.Class != offline.ClassUnsupported {
		t.Errorf("unknown member: %+v %+v", v, v.Fault)
	}
}
