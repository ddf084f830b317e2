package main

import (
	"sync/atomic"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/payments"
	"storeagent/payments/terminalsim"
	"storeagent/register/wire"
)

// trap kills the agent when the terminal comes to a step.
type trap struct {
	shop   atomic.Pointer[shop]
	armed  atomic.Pointer[string]
	shut   atomic.Bool // it has killed the agent since it was set up last
	sprung chan struct{}
}

// waits is how long the terminal waits for one answer.
func (tr *trap) waits() time.Duration {
	if tr.shut.Load() {
		return killPatience
	}
	return calmPatience
}

// step is called by the terminal, which stands still meanwhile.
func (tr *trap) step(step string) {
	if at := tr.armed.Load(); at != nil && *at == step && tr.armed.CompareAndSwap(at, nil) {
		tr.shut.Store(true)
		tr.shop.Load().kill()
		tr.sprung <- struct{}{}
	}
}

// lane is a shop with one card terminal under test.
type lane struct {
	*testShop
	rig  rig
	sim  simTerminal
	trap *trap
}

func openLane(t *testing.T, r rig) *lane {
	t.Helper()
	ts, sim, tr := openRig(t, r)
	l := &lane{testShop: ts, rig: r, sim: sim, trap: tr}
	l.approved("pay-before", payments.Sale)
	return l
}

const laneAmount = "2.50" // of every payment, so that each follows one of the same amount

// calm waits until the terminal is there, and gives it its patience back.
func (l *lane) calm() {
	l.tb.Helper()
	l.terminalIs("lane", devices.Ready)
	l.trap.shut.Store(false)
}

// approved takes a payment that must be approved.
func (l *lane) approved(key string, typ payments.Type) payments.Payment {
	l.tb.Helper()
	l.calm()
	p, err := l.till.StartPayment(l.ctx, key, wire.PaymentRequest{Type: typ, Amount: laneAmount, Terminal: "lane"})
	l.must(err)
	if p = l.ended(p.ID); p.State != payments.Approved {
		l.tb.Fatalf("%s %s ended %s: %s", typ, key, p.State, p.Problem)
	}
	return p
}

// killed lets begin start something at the terminal and kills the agent when the terminal comes to step; then it
// starts the agent again. The answer to begin may be lost with the agent; answered tells whether it came.
func (l *lane) killed(step string, begin func() error) (answered bool) {
	l.tb.Helper()
	l.calm()
	l.trap.armed.Store(&step)
	err := begin()
	if problemOf(err) != nil {
		l.tb.Fatalf("killed at %s: %v", step, err)
	}
	select {
	case <-l.trap.sprung:
	case <-time.After(patience):
		l.tb.Fatalf("the terminal never came to %s: %v", step, err)
	}
	l.must(l.shop.start(l.ctx))
	return err == nil
}

// TestKillAtEachTerminalStep kills the agent at every step of a payment and of a refund at every kind of terminal, once
// with the line dying too and once with a terminal that goes on alone, and finds journal and terminal of one mind after
// the restart: the same key names the same payment, and it is approved exactly where the card stays charged. Each
// payment follows one of the same amount. A terminal that cannot be asked takes no new money until a person said how
// the payment ended.
func TestKillAtEachTerminalStep(t *testing.T) {
	for _, r := range rigs {
		for _, c := range []struct {
			name     string
			typ      payments.Type
			lineDies bool
		}{
			{"sale, line dies", payments.Sale, true}, {"sale, line stays", payments.Sale, false}, {"refund", payments.Refund, false},
		} {
			t.Run(r.driver+", "+c.name, func(t *testing.T) {
				t.Parallel()
				l := openLane(t, r)
				for _, step := range r.steps {
					l.payKilledAt(step, c.typ, c.lineDies)
				}
			})
		}
	}
}

func (l *lane) payKilledAt(step string, typ payments.Type, lineDies bool) {
	l.tb.Helper()
	if lineDies {
		l.sim.SetScript([]terminalsim.Behaviour{{CutAt: step}, {}})
	}
	before, kept := len(standing(l.sim)), len(l.allPayments())
	request := wire.PaymentRequest{Type: typ, Amount: laneAmount, Terminal: "lane"}
	var started payments.Payment
	answered := l.killed(step, func() (err error) {
		started, err = l.till.StartPayment(l.ctx, "pay-"+step, request)
		return err
	})
	onDisk := l.allPayments() // newest first; it was there before the terminal heard of it
	again, err := l.till.StartPayment(l.ctx, "pay-"+step, request)
	l.must(err)
	if len(onDisk) != kept+1 || again.ID != onDisk[0].ID || answered && again.ID != started.ID {
		l.tb.Fatalf("killed at %s: the same key made payment %s beside %s; %d payments, before %d", step, again.ID, started.ID, len(onDisk), kept)
	}
	p := l.ended(again.ID)
	charged := len(standing(l.sim)) - before
	if p.State == payments.Unresolved && l.rig.forgetful {
		p = l.personLooks(p, charged == 1)
	}
	switch p.State {
	case payments.Approved:
		if charged != 1 {
			l.tb.Errorf("killed at %s: approved, and %d charges stand", step, charged)
		}
	case payments.Failed, payments.Declined, payments.Canceled, payments.Reversed:
		if charged != 0 {
			l.tb.Errorf("killed at %s: %s, and %d charges stand", step, p.State, charged)
		}
	default:
		l.tb.Errorf("killed at %s: ended %s (%s)", step, p.State, p.Problem)
	}
}

// personLooks finds the terminal closed for new money, and opens it with what its slips say.
func (l *lane) personLooks(p payments.Payment, charged bool) payments.Payment {
	l.tb.Helper()
	_, err := l.till.StartPayment(l.ctx, "beside-"+p.ID, wire.PaymentRequest{Type: payments.Sale, Amount: laneAmount, Terminal: "lane"})
	if no := problemOf(err); no == nil || no.Code != "terminal_in_doubt" {
		l.tb.Errorf("new money beside payment %s, which nobody knows: %v", p.ID, err)
	}
	said := wire.Resolve{Outcome: "not_charged", Note: "the terminal has no slip"}
	if charged {
		said = wire.Resolve{Outcome: wire.OutcomeApproved, Note: "the terminal printed a slip"}
	}
	p, err = l.admin.ResolvePayment(l.ctx, p.ID, said)
	l.must(err)
	return p
}

// followUp is one operation on an approved payment, and how the terminal's newest charge shows that it was done.
type followUp struct {
	on   payments.Type
	ask  func(ts *testShop, key, id string) (payments.Payment, error)
	done func(c terminalsim.Charge) bool
}

var followUps = map[string]followUp{
	"void": {payments.Sale, func(ts *testShop, key, id string) (payments.Payment, error) {
		return ts.till.VoidPayment(ts.ctx, key, id)
	}, func(c terminalsim.Charge) bool { return c.Reversed }},
	"capture": {payments.Preauth, func(ts *testShop, key, id string) (payments.Payment, error) {
		return ts.till.CapturePayment(ts.ctx, key, id, "1.50")
	}, func(c terminalsim.Charge) bool { return !c.Preauth && c.Amount == 150 }},
	"tip": {payments.Sale, func(ts *testShop, key, id string) (payments.Payment, error) {
		return ts.till.TipPayment(ts.ctx, key, id, "0.50")
	}, func(c terminalsim.Charge) bool { return c.Tip == 50 }},
}

// TestKillDuringAFollowUp kills the agent at every step of a void, a capture and a tip, wherever the terminal has
// them. The same key then names the same operation, and it is approved exactly where the terminal did it.
func TestKillDuringAFollowUp(t *testing.T) {
	for _, r := range rigs {
		for _, name := range r.follows {
			t.Run(r.driver+", "+name, func(t *testing.T) {
				t.Parallel()
				l := openLane(t, r)
				for _, step := range r.steps {
					l.followKilledAt(step, name)
				}
			})
		}
	}
}

func (l *lane) followKilledAt(step, name string) {
	l.tb.Helper()
	f := followUps[name]
	p := l.approved("pay-"+step, f.on)
	var first payments.Payment
	answered := l.killed(step, func() (err error) {
		first, err = f.ask(l.testShop, name+"-"+step, p.ID)
		return err
	})
	onDisk, err := l.till.Payment(l.ctx, p.ID, 0) // the operation was there before the terminal heard of it
	l.must(err)
	again, err := f.ask(l.testShop, name+"-"+step, p.ID)
	l.must(err)
	if len(onDisk.Operations) != 1 || len(again.Operations) != 1 || again.Operations[0].ID != onDisk.Operations[0].ID ||
		answered && again.Operations[0].ID != first.Operations[0].ID {
		l.tb.Fatalf("killed at %s: the same key answered %+v, on disk is %+v, before %+v", step, again.Operations, onDisk.Operations, first.Operations)
	}
	p = l.ended(p.ID)
	charges := l.sim.Charges()
	did := f.done(charges[len(charges)-1])
	if o := p.Operations[0]; len(p.Operations) != 1 || did != (o.State == payments.Approved) || o.State.Blocks() {
		l.tb.Errorf("killed at %s: operation %s (%s), terminal did it: %v", step, o.State, o.Problem, did)
	}
	if voided := p.State == payments.Voided; voided != (did && name == "void") {
		l.tb.Errorf("killed at %s: payment %s", step, p.State)
	}
}
