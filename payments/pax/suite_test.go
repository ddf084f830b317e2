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
	t   *testing.T
	sim *terminalsim.PAX
	opt pax.Options
}

func newRig(t *testing.T, serial bool, o terminalsim.Options) *rig {
	r := &rig{Rig: terminaltest.NewRig(serial, terminalsim.StepResultAck), t: t, opt: pax.Options{Currency: "USD"}}
	o.OnStep = r.Step
	r.sim = terminalsim.NewPAX(o)
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

func (r *rig) script(text string) {
	b, err := terminalsim.ParseScript(text)
	if err != nil {
		r.t.Fatal(err)
	}
	r.sim.SetScript(b)
}

func (r *rig) harness() terminaltest.Harness {
	return r.Join(terminaltest.Harness{
		Terminal: r.driver(), Restart: r.driver, Currency: "USD", Steps: terminalsim.PAXSteps(), Asked: r.sim.Asked,
		AskSteps: []string{terminalsim.StepLastReceived, terminalsim.StepLastSent}, Silent: true,
		Next: func(b terminaltest.Behaviour) { r.script(terminaltest.Words(b)) },
		Charges: func() []terminaltest.Charge {
			var out []terminaltest.Charge
			for _, c := range r.sim.Charges() {
				out = append(out, terminaltest.Charge{Minor: c.Amount, Tip: c.Tip, Refund: c.Refund, Preauth: c.Preauth, Standing: c.Standing()})
			}
			return out
		},
	})
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
