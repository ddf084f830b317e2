package register_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"storeagent/devices/printer"
	"storeagent/offline"
	"storeagent/payments"
	"storeagent/register"
	"storeagent/register/client"
	"storeagent/register/wire"
)

// agent is a Server on loopback.
type agent struct {
	url  string
	addr string
	port int
	stop func()
}

// serve starts an agent on a free port; port is the one that its callers name, 0 for its own.
func serve(t *testing.T, m *memory, port int) agent {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(t, m, func(c *register.Config) { c.Port = port })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, l) }()
	a := agent{url: "http://" + l.Addr().String(), addr: l.Addr().String(), port: l.Addr().(*net.TCPAddr).Port}
	a.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return a
}

// TestClientDay goes through every method of the client against a served agent.
func TestClientDay(t *testing.T) {
	m := newMemory()
	a := serve(t, m, 0)
	defer a.stop()
	ctx := t.Context()
	c, tech := client.New(a.url, registerToken, nil), client.New(a.url+"/", technicianToken, nil)
	check := func(what string, ok bool, err error) {
		t.Helper()
		if err != nil || !ok {
			t.Errorf("%s: %v %v", what, ok, err)
		}
	}
	health, err := client.New(a.url, "", nil).Healthy(ctx)
	check("healthy", health.OK, err)
	health, err = c.Ready(ctx)
	check("ready", health.OK, err)
	sold, err := c.PostSale(ctx, "k1", json.RawMessage(minimalSale))
	check("sale", sold.ID == "sale-1", err)
	view, err := c.Sale(ctx, sold.ID)
	check("read sale", view.TransactionID == "T-1", err)
	sales, err := c.Sales(ctx, url.Values{"transactionId": {"T-1"}})
	check("list sales", len(sales.Items) == 1, err)
	queue, err := c.Queue(ctx)
	check("queue", queue.Queued == 1, err)
	m.items = []offline.Item{{ID: "op/1", State: offline.Parked}}
	items, err := c.QueueItems(ctx, nil)
	check("items", len(items.Items) == 1 && items.NextCursor == "next", err)
	decided, err := tech.Decide(ctx, offline.Decision{OpID: "op/1", Action: offline.Settle, CloudID: "9", Note: "seen"})
	check("settle", decided.State == offline.Delivered, err)
	queue, err = tech.PauseQueue(ctx)
	check("pause", queue.Connection == offline.PausedConn, err)
	queue, err = tech.ResumeQueue(ctx)
	check("resume", queue.Connection == offline.Online, err)
	queue, err = tech.DrainQueue(ctx, time.Millisecond)
	check("drain", queue.Connection == offline.Online, err)
	pay, err := c.StartPayment(ctx, "k2", wire.PaymentRequest{Type: payments.Sale, Amount: "5.00"})
	check("pay", pay.State == payments.Created && pay.Amount.String() == "5.00", err)
	pay, err = c.Payment(ctx, pay.ID, 0)
	check("read payment", pay.ID == "pay-1", err)
	list, err := c.Payments(ctx, url.Values{"attached": {"false"}})
	check("list payments", len(list.Items) == 1, err)
	pay, err = c.CancelPayment(ctx, pay.ID)
	check("cancel", pay.State == payments.Canceled, err)
	m.payments[0].State = payments.Unresolved
	pay, err = tech.ResolvePayment(ctx, pay.ID, wire.Resolve{Outcome: wire.OutcomeApproved, Note: "slip"})
	check("resolve", pay.State == payments.Approved, err)
	terminals, err := c.Terminals(ctx)
	check("terminals", len(terminals) == 1, err)
	terminal, err := c.TerminalStatus(ctx, "card")
	check("terminal", terminal.Name == "card", err)
	devs, err := c.Devices(ctx)
	check("devices", len(devs) == 3, err)
	yes := true
	job, err := c.Print(ctx, "k3", "front", wire.PrintRequest{Content: wire.Content{Document: []wire.Op{
		{Op: "text", Text: "Hi"}, {Op: "barcode", Symbology: "code128", Data: "A", ShowText: &yes}, {Op: "cut"}}}})
	check("print", job.State == printer.Queued, err)
	done, err := c.PrintJob(ctx, job.ID, time.Second)
	check("print job", done.Printer == "front", err)
	copied, err := c.Reprint(ctx, "k4", job.ID)
	check("reprint", copied.ID == "job-2", err)
	text, err := c.Preview(ctx, wire.PreviewRequest{PrintRequest: wire.PrintRequest{Content: wire.Content{SaleID: sold.ID}}})
	check("preview", strings.Contains(text, "Corner Shop"), err)
	picture, err := c.Picture(ctx, wire.PreviewRequest{PrintRequest: wire.PrintRequest{Content: wire.Content{SaleID: sold.ID}}}, "image/png")
	check("picture", strings.HasPrefix(string(picture), "\x89PNG"), err)
	claim, err := c.ClaimScanner(ctx, "gun")
	check("claim", claim.ClaimID != "", err)
	held, err := c.ScannerClaim(ctx, "gun")
	check("claim state", held.Mine, err)
	check("release", true, c.ReleaseScanner(ctx, "gun"))
	in, err := tech.SignIn(ctx)
	check("sign in", in.State == "pending", err)
	in, err = tech.SignInStatus(ctx)
	check("sign-in", in.State == "pending", err)
	check("sign out", true, tech.SignOut(ctx))
	paired, err := tech.Pair(ctx, wire.PairingRequest{Name: "lane 4", Role: "observer"})
	check("pair", paired.Token != "", err)
	pairings, err := tech.Pairings(ctx)
	check("pairings", len(pairings) == 6, err)
	status, err := client.New(a.url, paired.Token, nil).Status(ctx)
	check("status", status.Can.Sell, err)
	metrics, err := client.New(a.url, paired.Token, nil).Metrics(ctx)
	check("metrics", strings.Contains(metrics, "storeagent_agent_info"), err)
	check("unpair", true, tech.Unpair(ctx, paired.ID))

	_, err = client.New(a.url, paired.Token, nil).Status(ctx)
	var p *client.Problem
	if !errors.As(err, &p) || p.Code != "token_unknown" || p.Hint == "" || p.Status != 401 {
		t.Errorf("problem: %v", err)
	}
}

// door leads every call to the agent that runs just now; while none does, nobody answers. An agent that starts anew at
// the port it had before could find it taken by any other program.
type door struct {
	mu   sync.Mutex
	addr string
}

func (d *door) lead(addr string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.addr = addr
}

func (d *door) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	d.mu.Lock()
	addr := d.addr
	d.mu.Unlock()
	if addr == "" {
		return nil, syscall.ECONNREFUSED
	}
	return new(net.Dialer).DialContext(ctx, network, addr)
}

// TestEventsGoOnAcrossRestarts stops the agent between events and starts it again at the same address.
func TestEventsGoOnAcrossRestarts(t *testing.T) {
	m := newMemory()
	a := serve(t, m, 0)
	base, port, way := a.url, a.port, &door{addr: a.addr}
	hc := &http.Client{Transport: &http.Transport{DialContext: way.dial}}
	c := client.New(base, registerToken, hc)
	got := make(chan wire.Event)
	errStop := errors.New("enough")
	ended := make(chan error, 1)
	go func() {
		ended <- c.Events(t.Context(), []string{"sale"}, 0, func(e wire.Event) error {
			if e.ID == 7 {
				return errStop
			}
			got <- e
			return nil
		})
	}()
	next := int64(1)
	for range 3 {
		put(t, m, event("sale", int(next)), event("queue", 0))
		if e := <-got; e.ID != next || e.Type != "sale" || string(e.Data) != fmt.Sprintf(`{"n":%d}`, next) {
			t.Errorf("got %+v, want %d", e, next)
		}
		next += 2
		way.lead("")
		a.stop()
		a = serve(t, m, port)
		way.lead(a.addr)
	}
	put(t, m, event("sale", 7))
	if err := <-ended; !errors.Is(err, errStop) {
		t.Errorf("ended with %v", err)
	}
	if err := client.New(base, "sa_wrong", hc).Events(t.Context(), nil, 0, nil); err == nil || !strings.Contains(err.Error(), "token_unknown") {
		t.Errorf("refused stream: %v", err)
	}
	a.stop()
}

// TestServeEndsStreamsAndPolls stops the agent under an open stream and a long poll: both end at once, and Serve
// returns although their callers would have waited on.
func TestServeEndsStreamsAndPolls(t *testing.T) {
	m := newMemory()
	m.payments = []payments.Payment{{ID: "pay-1", State: payments.Processing, Amount: mustAmount(t, "5.00"), Currency: "USD"}}
	m.entered = make(chan struct{}, 1)
	a := serve(t, m, 0)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+"/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+registerToken)
	stream, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Body.Close()
	in := bufio.NewReader(stream.Body)
	if line, err := in.ReadString('\n'); err != nil || line != "retry: 2000\n" {
		t.Fatalf("%q %v", line, err)
	}
	polled := make(chan payments.Payment, 1)
	go func() {
		p, err := client.New(a.url, registerToken, nil).Payment(context.WithoutCancel(t.Context()), "pay-1", 2*time.Minute)
		if err != nil {
			t.Error(err)
		}
		polled <- p
	}()
	<-m.entered
	a.stop()
	if p := <-polled; p.State != payments.Processing {
		t.Errorf("polled %s", p.State)
	}
	for {
		if _, err := in.ReadString('\n'); err != nil {
			break
		}
	}
}

// TestServedAnswers looks at what only a real connection shows: methods without a body, HEAD, and a half-sent body.
func TestServedAnswers(t *testing.T) {
	a := serve(t, newMemory(), 0)
	defer a.stop()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodHead, a.url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Body.Close(); err != nil || w.StatusCode != 200 || w.Header.Get("X-Request-Id") == "" {
		t.Errorf("HEAD: %d %v", w.StatusCode, err)
	}
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", a.addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /healthz HTTP/1.1\r\nHost: %s\r\nX-Pad: %s\r\n\r\n", a.addr, strings.Repeat("x", 64<<10)); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(line, "431") {
		t.Errorf("huge header: %q %v", line, err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}
