package zvt_test

import (
	"context"
	"io"
	"net"
	"testing"

	"storeagent/payments"
	"storeagent/payments/terminalsim"
	"storeagent/payments/terminaltest"
	"storeagent/payments/zvt"
)

// rig joins a simulated terminal and drivers over pipes.
type rig struct {
	*terminaltest.Rig
	t      *testing.T
	sim    *terminalsim.ZVT
	opt    zvt.Options
	base   terminaltest.Harness // what is told and asked of sim
	script func(text string)
	serial bool
}

func newRig(t *testing.T, serial bool, o terminalsim.Options) *rig {
	r := &rig{Rig: terminaltest.NewRig(serial, terminalsim.StepResultAck), t: t, serial: serial}
	r.opt = zvt.Options{Password: "123456", Print: true, Currency: "EUR"}
	o.Password, o.OnStep = "123456", r.Step
	r.sim = terminalsim.NewZVT(o)
	r.base, r.script = terminaltest.Scripted(t, r.sim, terminalsim.ParseScript, charge)
	if serial {
		r.Start(t, r.sim.ServeSerial)
	} else {
		r.Start(t, func(ctx context.Context, rw io.ReadWriteCloser) error { return r.sim.ServeTCP(ctx, rw.(net.Conn)) })
	}
	return r
}

func (r *rig) driver() payments.Terminal {
	term, err := zvt.New(zvt.Config{Name: "front", Port: "pipe", Open: r.Open, Serial: r.serial, Options: r.opt})
	if err != nil {
		r.t.Fatal(err)
	}
	return term
}

func (r *rig) harness() terminaltest.Harness {
	h := r.base
	h.Terminal, h.Restart, h.Currency, h.Steps = r.driver(), r.driver, "EUR", terminalsim.Steps()
	h.AskSteps = []string{terminalsim.StepLastReceived, terminalsim.StepLastSent}
	return r.Join(h)
}

func charge(c terminalsim.Charge) terminaltest.Charge {
	return terminaltest.Charge{Minor: c.Amount, Tip: c.Tip, Refund: c.Refund, Preauth: c.Preauth, Standing: c.Standing()}
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
