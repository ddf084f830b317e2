package terminaltest

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/payments"
)

// Rig joins a simulated terminal with drivers over pipes. All methods are safe for concurrent use.
type Rig struct {
	serial bool
	cable  *cable
	serve  func(ctx context.Context, rw io.ReadWriteCloser) error
	ack    string // the step at which a result is acknowledged

	mu    sync.Mutex
	cutAt string
	at    map[string]func()
	acks  int
	conn  io.Closer // the line, as Step cuts it
	wg    sync.WaitGroup
}

// NewRig makes a Rig over a serial cable, which the terminal serves all the time, or over connections. ackStep is the
// terminal's step at which the driver acknowledged a result.
func NewRig(serial bool, ackStep string) *Rig {
	return &Rig{serial: serial, ack: ackStep, at: map[string]func(){}}
}

// Start lets the terminal serve; the test's end stops it.
func (r *Rig) Start(t testing.TB, serve func(ctx context.Context, rw io.ReadWriteCloser) error) {
	r.serve = serve
	if !r.serial {
		t.Cleanup(r.wg.Wait)
		return
	}
	r.cable = &cable{in: make(chan []byte), closed: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	r.wg.Go(func() { _ = serve(ctx, r.cable) })
	t.Cleanup(func() { cancel(); r.wg.Wait() })
}

// Step is what the terminal calls at each of its steps.
func (r *Rig) Step(name string) {
	r.mu.Lock()
	if name == r.ack {
		r.acks++
	}
	f := r.at[name]
	delete(r.at, name)
	var c io.Closer
	if r.cutAt == name {
		c, r.cutAt = r.conn, ""
	}
	r.mu.Unlock()
	if c != nil {
		_ = c.Close()
	}
	if f != nil {
		f()
	}
}

// Open is the driver's port.OpenFunc.
func (r *Rig) Open(ctx context.Context) (port.Port, error) {
	ours, theirs := net.Pipe()
	r.mu.Lock()
	r.conn = theirs
	if r.serial {
		r.conn = ours
	}
	r.mu.Unlock()
	if r.serial {
		r.cable.plug(theirs)
		return ours, nil
	}
	ctx = context.WithoutCancel(ctx) // the terminal outlives the register; closing ends it
	r.wg.Go(func() { _ = r.serve(ctx, theirs) })
	return ours, nil
}

// Join puts the rig's own part into a harness.
func (r *Rig) Join(h Harness) Harness {
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
	h.Acknowledged = func() int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.acks
	}
	return h
}

// cable is a serial cable whose terminal end stays while the register opens and closes its own: bytes written while
// nobody listens are lost.
type cable struct {
	mu     sync.Mutex
	end    net.Conn
	in     chan []byte
	rest   []byte
	closed chan struct{}
	once   sync.Once
	wg     sync.WaitGroup
}

func (c *cable) plug(end net.Conn) {
	c.mu.Lock()
	if c.end != nil {
		_ = c.end.Close()
	}
	c.end = end
	c.mu.Unlock()
	c.wg.Go(func() {
		for {
			b := make([]byte, 100)
			n, err := end.Read(b)
			if err != nil {
				return
			}
			select {
			case c.in <- b[:n]:
			case <-c.closed:
				return
			}
		}
	})
}

// Read gives what the register wrote.
func (c *cable) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		select {
		case c.rest = <-c.in:
		case <-c.closed:
			return 0, io.EOF
		}
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Write loses what nobody reads, like a wire.
func (c *cable) Write(b []byte) (int, error) {
	c.mu.Lock()
	end := c.end
	c.mu.Unlock()
	if end != nil {
		_ = end.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = end.Write(b)
	}
	return len(b), nil
}

// Close pulls the cable for good.
func (c *cable) Close() error {
	c.once.Do(func() { close(c.closed) })
	c.mu.Lock()
	end := c.end
	c.mu.Unlock()
	if end != nil {
		_ = end.Close()
	}
	c.wg.Wait()
	return nil
}

// Ledger is the payments.Events of one attempt: it keeps what the driver reports.
type Ledger struct {
	Attempt  payments.Attempt
	Sent     bool
	Told     []payments.Outcome
	Prompts  []payments.Prompt
	OnPrompt func()
}

// Sending implements payments.Events.
func (l *Ledger) Sending(b payments.Baseline) error {
	l.Attempt.Baseline, l.Sent = b, true
	return nil
}

// Prompt implements payments.Events.
func (l *Ledger) Prompt(p payments.Prompt) {
	l.Prompts = append(l.Prompts, p)
	if l.OnPrompt != nil {
		l.OnPrompt()
	}
}

// CommitOutcome implements payments.Events.
func (l *Ledger) CommitOutcome(o payments.Outcome) error {
	l.Told = append(l.Told, o)
	l.Attempt.Told = &o
	return nil
}

// CommitReceipt implements payments.Events.
func (l *Ledger) CommitReceipt(payments.Receipt) error { return nil }

// NewRef makes the reference of an attempt. Here many attempts begin in one second of fake time, which payments.NewRef
// tells apart by 18 bits only.
func NewRef() string { return rand.Text()[:10] }

// Do runs one attempt on a driver.
func Do(ctx context.Context, term payments.Terminal, txn payments.Txn) (*Ledger, error) {
	if txn.Ref == "" {
		txn.Ref = NewRef()
	}
	l := &Ledger{Attempt: payments.Attempt{Txn: txn, StartedAt: time.Now()}}
	return l, term.Do(ctx, txn, l)
}

// Running starts a driver and waits until it is ready; the test's end stops it.
func Running(t testing.TB, term payments.Terminal) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() { _ = term.Run(ctx) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	Ready(t, term)
	return ctx
}

// Ready waits until the driver has reached its terminal.
func Ready(t testing.TB, term payments.Terminal) {
	t.Helper()
	for range 100_000 {
		if term.Info().State == devices.Ready {
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	t.Fatalf("terminal does not become ready: %+v", term.Info())
}

// Words gives a behaviour in the script words that the simulated terminals share.
func Words(b Behaviour) string {
	return map[Behaviour]string{
		Approve: "approve slow=2", Decline: "decline=05", CancelCard: "cancel", WrongPIN: "wrongpin", Wait: "wait",
		Race: "race", Late: "late=400", Unreadable: "nonsense", Leaky: "fullpan", Twice: "duplicate", Part: "partial=700", Stalls: "stall",
		NoisyLine: "badcrc noise\nstall", AckIsLost: "lostack",
	}[b]
}

// RealPatience is how long a simulated terminal waits for one answer where time is real: this machine may be slow, and
// what is proven is not how fast it is.
const RealPatience = time.Minute

// Listen lets a simulated terminal serve connections on the loopback address until the test ends, and opens them for
// the driver.
func Listen(t testing.TB, serve func(ctx context.Context, conn net.Conn)) port.OpenFunc {
	t.Helper()
	var lc net.ListenConfig
	lis, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	wg.Go(func() {
		for {
			conn, err := lis.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serve(ctx, conn) })
		}
	})
	t.Cleanup(func() { cancel(); _ = lis.Close(); wg.Wait() })
	return func(ctx context.Context) (port.Port, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", lis.Addr().String())
	}
}
