package pax_test

import (
	"testing"

	"storeagent/payments"
	"storeagent/payments/pax"
	"storeagent/payments/terminalsim"
	"storeagent/payments/terminaltest"
)

// rig is a simulated terminal with the drivers that talk to it.
type rig struct {
	*terminaltest.Rig
	t      *testing.T
	sim    *terminalsim.PAX
	opt    pax.Options
	base   terminaltest.Harness // what is told and asked of sim
	script func(text string)
}

func newRig(t *testing.T, serial bool, o terminalsim.Options) *rig {
	r := &rig{Rig: terminaltest.NewRig(serial, terminalsim.StepResultAck), t: t, opt: pax.Options{Currency: "USD"}}
	o.OnStep = r.Step
	r.sim = terminalsim.NewPAX(o)
	r.base, r.script = terminaltest.Scripted(t, r.sim, terminalsim.ParseScript, charge)
	r.Start(t, r.sim.Serve)
	return r
}

func (r *rig) driver() payments.Terminal {
	term, err := pax.New(pax.Config{Name: "front", Port: "pipe", Open: r.Open, Options: r.opt})
	if err != nil {
		r.t.Fatal(err)
	}
	return term
}

func (r *rig) harness() terminaltest.Harness {
	h := r.base
	h.Terminal, h.Restart, h.Currency, h.Steps = r.driver(), r.driver, "USD", terminalsim.PAXSteps()
	h.AskSteps, h.Silent = []string{terminalsim.StepLastReceived, terminalsim.StepLastSent}, true
	return r.Join(h)
}

func charge(c terminalsim.Charge) terminaltest.Charge {
	return terminaltest.Charge{Minor: c.Amount, Tip: c.Tip, Refund: c.Refund, Preauth: c.Preauth, Standing: c.Standing()}
}

func TestSuite(t *testing.T) {
	for _, line := range []string{"serial", "tcp"} {
		t.Run(line, func(t *testing.T) {
			terminaltest.Suite(t, func(t *testing.T) terminaltest.Harness {
				return newRig(t, line == "serial", terminalsim.Options{Currency: "840"}).harness()
			})
		})
	}
}
