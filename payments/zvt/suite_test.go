package zvt_test

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"storeagent/devices/port"
	"storeagent/payments"
	"storeagent/payments/terminalsim"
	"storeagent/payments/terminaltest"
	"storeagent/payments/zvt"
)

// rig joins a simulated terminal and drivers over pipes.
type rig struct {
	t   *testing.T
	sim *terminalsim.ZVT
	opt zvt.Options

	serial bool
	cable  *cable

	mu    sync.Mutex
	cutAt string
	at    map[string]func()
	acks  int
	conn  io.Closer // the register's end
	wg    sync.WaitGroup
}

func newRig(t *testing.T, serial bool, o terminalsim.Options) *rig {
	r := &rig{t: t, serial: serial, at: map[string]func(){}}
	r.opt = zvt.Options{Password: "123456", Print: true, Currency: "EUR"}
	o.Password, o.OnStep = "123456", r.step
	r.sim = terminalsim.NewZVT(o)
	if serial {
		r.cable = newCable()
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		r.wg.Go(func() { _ = r.sim.ServeSerial(ctx, r.cable) })
		t.Cleanup(func() { cancel(); r.wg.Wait() })
	} else {
		t.Cleanup(r.wg.Wait)
	}
	return r
}

func (r *rig) step(name string) {
	r.mu.Lock()
	if name == terminalsim.StepResultAck {
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

func (r *rig) open(ctx context.Context) (port.Port, error) {
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
	r.wg.Go(func() { _ = r.sim.ServeTCP(ctx, theirs) })
	return ours, nil
}

func (r *rig) driver() payments.Terminal {
	term, err := zvt.New(zvt.Config{Name: "front", Port: "pipe", Open: r.open, Serial: r.serial, Options: r.opt})
	if err != nil {
		r.t.Fatal(err)
	}
	return term
}

func (r *rig) script(text string) {
	b, err := terminalsim.ParseScript(text)
	if err != nil {
		r.t.Fatal(err)
	}
	r.sim.SetScript(b)
}

func (r *rig) harness() terminaltest.Harness {
	return terminaltest.Harness{
		Terminal: r.driver(), Restart: r.driver, Currency: "EUR", Steps: terminalsim.Steps(), Asked: r.sim.Asked,
		AskSteps: []string{terminalsim.StepLastReceived, terminalsim.StepLastSent},
		Next: func(b terminaltest.Behaviour) {
			r.script(map[terminaltest.Behaviour]string{
				terminaltest.Approve: "approve slow=2", terminaltest.Decline: "decline=05", terminaltest.CancelCard: "cancel",
				terminaltest.WrongPIN: "wrongpin", terminaltest.Wait: "wait", terminaltest.Race: "race",
				terminaltest.Late: "late=400", terminaltest.Unreadable: "nonsense", terminaltest.Leaky: "fullpan",
				terminaltest.Twice: "duplicate", terminaltest.NoisyLine: "badcrc noise\nstall",
				terminaltest.AckIsLost: "lostack",
			}[b])
		},
		CutAt: func(step string) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.cutAt = step
		},
		At: func(step string, f func()) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.at[step] = f
		},
		Charges: func() []terminaltest.Charge {
			var out []terminaltest.Charge
			for _, c := range r.sim.Charges() {
				out = append(out, terminaltest.Charge{Minor: c.Amount, Refund: c.Refund, Preauth: c.Preauth, Standing: c.Standing()})
			}
			return out
		},
		Acknowledged: func() int {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.acks
		},
	}
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

func newCable() *cable { return &cable{in: make(chan []byte), closed: make(chan struct{})} }

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

func (c *cable) Write(b []byte) (int, error) {
	c.mu.Lock()
	end := c.end
	c.mu.Unlock()
	if end != nil {
		_ = end.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = end.Write(b) // nobody there: lost like on a wire
	}
	return len(b), nil
}

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

func TestSuite(t *testing.T) {
	for _, way := range []terminalsim.LostAck{terminalsim.Reverses, terminalsim.Keeps, terminalsim.Declines} {
		for _, line := range []string{"serial", "tcp"} {
			t.Run(line+" "+string(way), func(t *testing.T) {
				terminaltest.Suite(t, func(t *testing.T) terminaltest.Harness {
					return newRig(t, line == "serial", terminalsim.Options{LostAck: way}).harness()
				})
			})
		}
	}
}
