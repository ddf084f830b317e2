package nexo_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/nexo"
	"storeagent/payments/terminalsim"
	"storeagent/payments/terminaltest"
)

const (
	poiid      = "P400Plus-275039202"
	passphrase = "correct horse battery staple"
)

// rig joins a simulated terminal and drivers over TLS on pipes.
type rig struct {
	t      *testing.T
	sim    *terminalsim.Nexo
	base   terminaltest.Harness // what is told and asked of sim
	script func(text string)
	opt    nexo.Options
	port   string
	log    bytes.Buffer
	logger *slog.Logger // into log, for all drivers

	accept chan net.Conn
	closed chan struct{}

	mu     sync.Mutex
	noisy  bool
	refuse bool // nobody listens
	cutAt  string
	at     map[string]func()
	conns  []net.Conn // the terminal's ends
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, at: map[string]func(){}, accept: make(chan net.Conn), closed: make(chan struct{}), port: "https://10.0.0.5:8443/nexo"}
	r.logger = slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cert, root, err := terminalsim.NexoCertificate(poiid)
	if err != nil {
		t.Fatal(err)
	}
	r.opt = nexo.Options{POIID: poiid, SaleID: "LANE-3", KeyIdentifier: "storekey", KeyVersion: 1, Passphrase: passphrase, RootPEM: root, Print: true, Currency: "EUR"}
	r.sim = terminalsim.NewNexo(terminalsim.NexoOptions{POIID: poiid, KeyVersion: 1, Passphrase: passphrase, OnStep: r.step})
	r.base, r.script = terminaltest.Scripted(t, r.sim, terminalsim.ParseScript, charge)
	r.serve(cert)
	return r
}

func (r *rig) serve(cert tls.Certificate) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.sim.Serve(ctx, r, cert); err != nil {
			r.t.Errorf("simulated terminal: %v", err)
		}
	})
	r.t.Cleanup(func() { cancel(); wg.Wait() })
}

// Accept, Close and Addr make the rig a net.Listener.
func (r *rig) Accept() (net.Conn, error) {
	select {
	case c := <-r.accept:
		return c, nil
	case <-r.closed:
		return nil, net.ErrClosed
	}
}

func (r *rig) Close() error   { close(r.closed); return nil }
func (r *rig) Addr() net.Addr { return &net.TCPAddr{} }

func (r *rig) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse {
		return nil, errors.New("connection refused")
	}
	ours, theirs := wire()
	r.conns = append(r.conns, theirs)
	if r.noisy {
		ours = chunks{ours}
	}
	select {
	case r.accept <- theirs:
		return ours, nil
	case <-ctx.Done():
		_ = ours.Close()
		return nil, ctx.Err()
	}
}

// wire is a pipe whose ends may both write before the other reads, as on a network.
func wire() (ours, theirs net.Conn) {
	ours, far := net.Pipe()
	theirs, near := net.Pipe()
	carry := func(from, to net.Conn) {
		way := make(chan []byte, 1024)
		go func() {
			defer close(way)
			for {
				b := make([]byte, 4096)
				n, err := from.Read(b)
				if n > 0 {
					way <- b[:n]
				}
				if err != nil {
					return
				}
			}
		}()
		go func() {
			for b := range way {
				_, _ = to.Write(b) // the far side left: lost
			}
			_ = to.Close()
			_ = from.Close()
		}()
	}
	carry(far, near)
	carry(near, far)
	return ours, theirs
}

// chunks gives what comes in a few bytes at a time.
type chunks struct{ net.Conn }

func (c chunks) Read(b []byte) (int, error) { return c.Conn.Read(b[:min(len(b), 1+rand.N(7))]) }

func (r *rig) step(name string) {
	r.mu.Lock()
	f := r.at[name]
	delete(r.at, name)
	var cut []net.Conn
	if r.cutAt == name {
		cut, r.cutAt = r.conns, ""
	}
	r.mu.Unlock()
	for _, c := range cut {
		_ = c.Close()
	}
	if f != nil {
		f()
	}
}

func (r *rig) driver() payments.Terminal { return r.terminal() }

func (r *rig) terminal() *nexo.Terminal {
	term, err := nexo.New(nexo.Config{
		Name: "front", Port: r.port, Options: r.opt, Dial: r.dial, Log: r.logger,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return term
}

func (r *rig) harness() terminaltest.Harness {
	h := r.base
	h.Terminal, h.Restart, h.Currency, h.Steps, h.Silent = r.driver(), r.driver, "EUR", terminalsim.NexoSteps(), true
	h.AskSteps = []string{terminalsim.StepLastReceived, terminalsim.StepLastSent}
	h.Next = func(b terminaltest.Behaviour) {
		r.mu.Lock()
		r.noisy = b == terminaltest.NoisyLine
		r.mu.Unlock()
		r.script(map[terminaltest.Behaviour]string{
			terminaltest.Approve: "approve slow=2", terminaltest.Decline: "decline", terminaltest.CancelCard: "cancel",
			terminaltest.WrongPIN: "wrongpin", terminaltest.Wait: "wait", terminaltest.Race: "race",
			terminaltest.Late: "late=400", terminaltest.Unreadable: "nonsense", terminaltest.Leaky: "fullpan",
			terminaltest.Twice:     "approve", // one request has one answer
			terminaltest.NoisyLine: "approve", terminaltest.AckIsLost: "lostack", terminaltest.Part: "partial=700",
			terminaltest.Stalls: "stall",
		}[b])
	}
	h.CutAt = func(step string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.cutAt = step
	}
	h.At = func(step string, f func()) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.at[step] = f
	}
	return h
}

func charge(c terminalsim.Charge) terminaltest.Charge {
	return terminaltest.Charge{Minor: c.Amount, Tip: c.Tip, Refund: c.Refund, Preauth: c.Preauth, Standing: c.Standing()}
}

func TestSuite(t *testing.T) {
	for _, print := range []bool{true, false} {
		terminaltest.Suite(t, func(t *testing.T) terminaltest.Harness {
			r := newRig(t)
			r.opt.Print = print
			t.Cleanup(func() {
				for _, secret := range []string{terminaltest.TestPAN, passphrase, "411111"} {
					if strings.Contains(r.log.String(), secret) {
						t.Errorf("%q is in the log:\n%s", secret, r.log.String())
					}
				}
			})
			return r.harness()
		})
	}
}

// events is what a driver reports of one transaction.
type events struct {
	payments.Attempt
	receipt payments.Receipt
	sent    bool
}

func (e *events) Sending(b payments.Baseline) error { e.sent, e.Baseline = true, b; return nil }
func (e *events) Prompt(payments.Prompt)            {}
func (e *events) CommitOutcome(o payments.Outcome) error {
	e.Told = &o
	return nil
}
func (e *events) CommitReceipt(r payments.Receipt) error { e.receipt = r; return nil }

// counter is a running driver.
type counter struct {
	*rig
	term *nexo.Terminal
	ctx  context.Context
}

func atCounter(t *testing.T, edit func(*rig), f func(t *testing.T, c *counter)) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if edit != nil {
			edit(r)
		}
		c := &counter{rig: r}
		ctx, cancel := context.WithCancel(t.Context())
		c.ctx, c.term = ctx, r.terminal()
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := c.term.Run(ctx); err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		defer func() { cancel(); wg.Wait() }()
		synctest.Wait()
		f(t, c)
	})
}

func eur(t *testing.T, text string) money.Amount {
	t.Helper()
	a, err := money.Parse(text, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (c *counter) txn(t *testing.T, kind payments.Kind, amount string, original *events) *events {
	t.Helper()
	e := &events{Attempt: payments.Attempt{Txn: payments.Txn{PaymentID: "p", Kind: kind, Ref: terminaltest.NewRef(), Amount: eur(t, amount)}, StartedAt: time.Now()}}
	if original != nil {
		e.Original = &payments.Original{Kind: original.Kind, Ref: original.Ref, Amount: original.Told.ApprovedAmount, At: original.StartedAt, Reference: original.Told.Reference}
	}
	return e
}

func (c *counter) do(t *testing.T, kind payments.Kind, amount string, original *events) *events {
	t.Helper()
	e := c.txn(t, kind, amount, original)
	if err := c.term.Do(c.ctx, e.Txn, e); err != nil || e.Told == nil {
		t.Fatalf("%s of %s: %v", kind, amount, err)
	}
	return e
}

func TestVoidAndLinkedRefund(t *testing.T) {
	atCounter(t, nil, func(t *testing.T, c *counter) {
		sale := c.do(t, payments.DoSale, "10.16", nil)
		void := c.do(t, payments.DoVoid, "10.16", sale)
		if void.Told.State != payments.Approved || c.sim.Charges()[0].Standing() {
			t.Errorf("void: %+v, %+v", void.Told, c.sim.Charges())
		}
		if again := c.do(t, payments.DoVoid, "10.16", sale); again.Told.State != payments.Failed || again.Told.Decline.Code != "NotAllowed" {
			t.Errorf("second void: %+v", again.Told)
		}
		sale = c.do(t, payments.DoSale, "20.00", nil)
		refund := c.do(t, payments.DoRefund, "5.50", sale)
		last := c.sim.Charges()[len(c.sim.Charges())-1]
		if refund.Told.State != payments.Approved || refund.Told.ApprovedAmount.String() != "5.50" || !last.Refund || last.Amount != 550 {
			t.Errorf("refund: %+v, %+v", refund.Told, last)
		}
		e := c.txn(t, payments.DoVoid, "1.00", sale)
		e.Original.Reference = ""
		if err := c.term.Do(c.ctx, e.Txn, e); !errors.Is(err, payments.ErrNotSent) || e.sent {
			t.Errorf("void of something without a name: %v", err)
		}
		for _, kind := range []payments.Kind{payments.DoPreauth, payments.DoCapture, payments.DoTip, payments.DoCancelPreauth} {
			e := c.txn(t, kind, "1.00", sale)
			if err := c.term.Do(c.ctx, e.Txn, e); !errors.Is(err, payments.ErrUnsupported) || !errors.Is(err, payments.ErrNotSent) {
				t.Errorf("%s: %v", kind, err)
			}
			if c.term.Caps().Can(kind) {
				t.Errorf("%s is promised", kind)
			}
		}
	})
}

func TestRecoverReversal(t *testing.T) {
	atCounter(t, nil, func(t *testing.T, c *counter) {
		sale := c.do(t, payments.DoSale, "10.16", nil)
		c.script("lostack")
		void := c.txn(t, payments.DoVoid, "10.16", sale)
		if err := c.term.Do(c.ctx, void.Txn, void); err == nil || errors.Is(err, payments.ErrNotSent) {
			t.Fatalf("lost answer: %v", err)
		}
		<-time.After(time.Second)
		v, out, err := c.term.Recover(c.ctx, void.Attempt)
		if err != nil || v != payments.Known || out.State != payments.Approved {
			t.Errorf("%d %+v %v", v, out, err)
		}
	})
}

// TestNotFound: a terminal that does not know a payment is believed only if it knows the one before.
func TestNotFound(t *testing.T) {
	recover := func(t *testing.T, c *counter, e *events) payments.Verdict {
		t.Helper()
		if err := c.term.Do(c.ctx, e.Txn, e); err == nil || errors.Is(err, payments.ErrNotSent) {
			t.Fatalf("Do: %v", err)
		}
		for range 100 {
			v, _, err := c.term.Recover(c.ctx, e.Attempt)
			if err == nil {
				return v
			}
			<-time.After(time.Second)
		}
		t.Fatal("cannot recover")
		return payments.Unknown
	}
	t.Run("never arrived", func(t *testing.T) {
		atCounter(t, nil, func(t *testing.T, c *counter) {
			c.do(t, payments.DoSale, "10.16", nil)
			c.script("deaf")
			if v := recover(t, c, c.txn(t, payments.DoSale, "10.16", nil)); v != payments.NotCharged {
				t.Errorf("verdict %d", v)
			}
		})
	})
	t.Run("terminal was reset", func(t *testing.T) {
		atCounter(t, nil, func(t *testing.T, c *counter) {
			c.do(t, payments.DoSale, "10.16", nil)
			c.script("lostack")
			c.at[terminalsim.StepHost] = func() { go func() { <-time.After(time.Minute / 4); c.sim.Reset() }() }
			e := c.txn(t, payments.DoSale, "10.16", nil)
			if err := c.term.Do(c.ctx, e.Txn, e); err == nil {
				t.Fatal("answer came")
			}
			<-time.After(time.Minute)
			if v, _, err := c.term.Recover(c.ctx, e.Attempt); v != payments.Unknown || err != nil {
				t.Errorf("verdict %d, %v", v, err)
			}
		})
	})
	t.Run("forgot what it told", func(t *testing.T) {
		atCounter(t, nil, func(t *testing.T, c *counter) {
			c.do(t, payments.DoSale, "10.16", nil)
			e := c.txn(t, payments.DoSale, "10.16", nil)
			e.Baseline = payments.Baseline{Known: true, Trace: c.do(t, payments.DoSale, "1.00", nil).Ref}
			e.Told = &payments.Outcome{State: payments.Approved}
			if v, _, err := c.term.Recover(c.ctx, e.Attempt); v != payments.Unknown || err != nil {
				t.Errorf("verdict %d, %v", v, err)
			}
			e.Told = nil
			if v, _, err := c.term.Recover(c.ctx, e.Attempt); v != payments.NotCharged || err != nil {
				t.Errorf("verdict %d, %v for a payment it never had", v, err)
			}
		})
	})
	t.Run("nothing to compare with", func(t *testing.T) {
		atCounter(t, func(r *rig) { r.script("deaf") }, func(t *testing.T, c *counter) {
			if v := recover(t, c, c.txn(t, payments.DoSale, "10.16", nil)); v != payments.Unknown {
				t.Errorf("verdict %d", v)
			}
		})
	})
}

// TestBusyWithAnother: a terminal that works for another register has not charged ours.
func TestBusyWithAnother(t *testing.T) {
	atCounter(t, func(r *rig) { r.script("slow=60") }, func(t *testing.T, c *counter) {
		c.opt.SaleID = "LANE-4"
		other := &counter{rig: c.rig, term: c.terminal(), ctx: c.ctx}
		var wg sync.WaitGroup
		defer wg.Wait()
		ctx, cancel := context.WithCancel(c.ctx)
		defer cancel()
		wg.Go(func() { _ = other.term.Run(ctx) })
		synctest.Wait()
		long := other.txn(t, payments.DoSale, "2.00", nil)
		done := make(chan error)
		go func() { done <- other.term.Do(ctx, long.Txn, long) }()
		synctest.Wait()
		e := c.txn(t, payments.DoSale, "1.00", nil)
		if err := c.term.Do(c.ctx, e.Txn, e); !errors.Is(err, payments.ErrNotSent) || !errors.Is(err, payments.ErrTerminalBusy) {
			t.Errorf("Do: %v", err)
		}
		if err := <-done; err != nil || long.Told.State != payments.Approved {
			t.Errorf("the other register: %v", err)
		}
	})
}

// TestTimeLimit: nobody presents a card, so the terminal is told to stop.
func TestTimeLimit(t *testing.T) {
	atCounter(t, func(r *rig) { r.opt.TimeoutS = 30; r.script("wait") }, func(t *testing.T, c *counter) {
		e := c.do(t, payments.DoSale, "1.00", nil)
		if e.Told.State != payments.Canceled || e.Told.Decline.Code != "Aborted" {
			t.Errorf("%+v", e.Told)
		}
	})
}

// lateAbort asks for an abort when the payment has just ended.
type lateAbort struct {
	*events
	c *counter
}

func (l lateAbort) CommitOutcome(o payments.Outcome) error {
	if err := l.c.term.Abort(l.c.ctx); err != nil {
		l.c.t.Errorf("Abort: %v", err)
	}
	return l.events.CommitOutcome(o)
}

func TestAbortTooLate(t *testing.T) {
	atCounter(t, nil, func(t *testing.T, c *counter) {
		e := c.txn(t, payments.DoSale, "1.00", nil)
		if err := c.term.Do(c.ctx, e.Txn, lateAbort{e, c}); err != nil {
			t.Fatal(err)
		}
		c.script("slow=5")
		if e := c.do(t, payments.DoSale, "1.00", nil); e.Told.State != payments.Approved {
			t.Errorf("an old abort stopped the next payment: %+v", e.Told)
		}
	})
}

func TestPartialApproval(t *testing.T) {
	atCounter(t, func(r *rig) { r.script("partial=700") }, func(t *testing.T, c *counter) {
		if e := c.do(t, payments.DoSale, "10.16", nil); e.Told.State != payments.Approved || e.Told.ApprovedAmount.String() != "7.00" {
			t.Errorf("%+v", e.Told)
		}
	})
}

func TestOutcomeAndSlips(t *testing.T) {
	atCounter(t, nil, func(t *testing.T, c *counter) {
		e := c.do(t, payments.DoSale, "10.16", nil)
		o := *e.Told
		if o.EntryMode != "chip" || o.CardBrand != "visa" || o.Last4 != "1111" || o.ApprovalCode != "611804" || o.Baseline.Trace != e.Ref {
			t.Errorf("%+v", o)
		}
		slip := strings.Join(e.receipt.Customer, "\n")
		for _, want := range []string{"Simulated shop", "CARDHOLDER COPY\n\nCard type", "Card                   **** 1111", "TOTAL                  EUR 10.16"} {
			if !strings.Contains(slip, want) {
				t.Errorf("slip lacks %q:\n%s", want, slip)
			}
		}
		if strings.Contains(slip, "411111") || strings.Contains(slip, "03/30") {
			t.Errorf("slip tells too much of the card:\n%s", slip)
		}
	})
}

func TestTerminalPrints(t *testing.T) {
	atCounter(t, func(r *rig) { r.opt.Print = false }, func(t *testing.T, c *counter) {
		e := c.do(t, payments.DoSale, "10.16", nil)
		printed := strings.Join(c.sim.Printed(), "\n")
		if len(e.receipt.Customer) != 0 || !strings.Contains(printed, "MERCHANT COPY") || !strings.Contains(printed, "**** 1111") {
			t.Errorf("printed:\n%s", printed)
		}
	})
}

func TestEndOfDayTotalsDisplay(t *testing.T) {
	atCounter(t, nil, func(t *testing.T, c *counter) {
		c.do(t, payments.DoVoid, "4.00", c.do(t, payments.DoSale, "4.00", nil))
		c.do(t, payments.DoSale, "10.16", nil)
		c.do(t, payments.DoRefund, "3.00", nil)
		for _, ask := range []func(context.Context) (payments.Totals, error){c.term.Totals, c.term.EndOfDay} {
			got, err := ask(c.ctx)
			if err != nil || got.Count != 2 || got.Amount.String() != "7.16" || got.Amount.Currency() != "EUR" || len(got.Cards) != 1 || got.Cards[0].Brand != "visa" {
				t.Errorf("totals: %+v, %v", got, err)
			}
		}
		if got, err := c.term.Totals(c.ctx); err != nil || got.Count != 0 || got.Amount.Sign() != 0 {
			t.Errorf("totals after the end of day: %+v, %v", got, err)
		}
		if err := c.term.Display(c.ctx, []string{"Gum", "1.99"}, 3*time.Second); err != nil || strings.Join(c.sim.Shown(), "|") != "Gum|1.99" {
			t.Errorf("display: %q, %v", c.sim.Shown(), err)
		}
		if i := c.term.Info(); i.Serial != "275039202" || !strings.Contains(i.Model, "Simulated terminal") {
			t.Errorf("info: %+v", i)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		if _, err := newRig(t).terminal().EndOfDay(t.Context()); !errors.Is(err, payments.ErrNotSent) {
			t.Errorf("end of day without a terminal: %v", err)
		}
	})
}

// TestStrangers: whoever is not the configured terminal with the configured key gets no payment, and the technician
// learns why.
func TestStrangers(t *testing.T) {
	otherRoot := func(r *rig) {
		_, root, err := terminalsim.NexoCertificate(poiid)
		if err != nil {
			r.t.Fatal(err)
		}
		r.opt.RootPEM = root
	}
	for name, c := range map[string]struct {
		edit func(*rig)
		want string // in the problem
	}{
		"other root":       {otherRoot, "unknown authority"},
		"other terminal":   {func(r *rig) { r.opt.POIID = "P400Plus-111111111" }, "certificate is for terminal"},
		"other passphrase": {func(r *rig) { r.opt.Passphrase = "guess" }, "cannot decrypt"},
		"other key":        {func(r *rig) { r.opt.KeyVersion = 2 }, "unknown key"},
		"other path":       {func(r *rig) { r.port = "https://10.0.0.5:8443/other" }, "404"},
		"nobody there":     {func(r *rig) { r.refuse = true }, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			atCounter(t, c.edit, func(t *testing.T, k *counter) {
				<-time.After(20 * time.Second)
				i := k.term.Info()
				if i.State != devices.Offline || i.LastError == nil || i.LastError.Hint == "" || !strings.Contains(i.LastError.Message, c.want) {
					t.Errorf("%+v, %+v", i, i.LastError)
				}
				e := k.txn(t, payments.DoSale, "1.00", nil)
				if err := k.term.Do(k.ctx, e.Txn, e); !errors.Is(err, payments.ErrNotSent) || e.sent || k.sim.Asked() != 0 {
					t.Errorf("Do: %v", err)
				}
			})
		})
	}
}

// TestBackAtOnce: a question that the line broke under is followed by a look at the terminal, not by a wait for the next
// one.
func TestBackAtOnce(t *testing.T) {
	atCounter(t, nil, func(t *testing.T, c *counter) {
		for range 50 {
			c.mu.Lock()
			c.cutAt = terminalsim.StepLastReceived
			c.mu.Unlock()
			if _, _, err := c.term.Recover(c.ctx, c.txn(t, payments.DoSale, "1.00", nil).Attempt); err == nil {
				t.Fatal("an answer over a cut line")
			}
			synctest.Wait()
			if i := c.term.Info(); i.State != devices.Ready {
				t.Fatalf("%+v, %+v", i, i.LastError)
			}
		}
	})
}

func TestComesBack(t *testing.T) {
	atCounter(t, nil, func(t *testing.T, c *counter) {
		set := func(refuse bool) { c.mu.Lock(); defer c.mu.Unlock(); c.refuse = refuse }
		set(true)
		<-time.After(time.Minute)
		if i := c.term.Info(); i.State != devices.Offline || i.LastError == nil {
			t.Errorf("%+v", i)
		}
		set(false)
		<-time.After(time.Minute)
		if i := c.term.Info(); i.State != devices.Ready || i.LastError != nil {
			t.Errorf("%+v", i)
		}
		c.do(t, payments.DoSale, "1.00", nil)
	})
}

func TestNewRefuses(t *testing.T) {
	_, root, err := terminalsim.NexoCertificate(poiid)
	if err != nil {
		t.Fatal(err)
	}
	good := func() nexo.Config {
		return nexo.Config{Name: "front", Port: "https://10.0.0.5:8443/nexo", Options: nexo.Options{
			POIID: poiid, SaleID: "LANE-3", KeyIdentifier: "k", KeyVersion: 1, Passphrase: "p", RootPEM: root,
		}}
	}
	if _, err := nexo.New(good()); err != nil {
		t.Fatal(err)
	}
	for want, edit := range map[string]func(*nexo.Config){
		"port":           func(c *nexo.Config) { c.Port = "tcp:10.0.0.5:8443" },
		"poiid":          func(c *nexo.Config) { c.Options.POIID = "" },
		"sale_id":        func(c *nexo.Config) { c.Options.SaleID = "" },
		"key_identifier": func(c *nexo.Config) { c.Options.KeyIdentifier = "" },
		"key_version":    func(c *nexo.Config) { c.Options.KeyVersion = -1 },
		"passphrase":     func(c *nexo.Config) { c.Options.Passphrase = "" },
		"root":           func(c *nexo.Config) { c.Options.RootPEM = nil },
		"no PEM":         func(c *nexo.Config) { c.Options.RootPEM = []byte("x") },
	} {
		c := good()
		edit(&c)
		if _, err := nexo.New(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
