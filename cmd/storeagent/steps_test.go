package main

import (
	"sync/atomic"
	"testing"
	"time"

	"storeagent/payments"
	"storeagent/payments/terminalsim"
	"storeagent/register/wire"
)

// trap kills the agent when the terminal comes to a step.
type trap struct {
	shop   atomic.Pointer[shop]
	armed  atomic.Pointer[string]
	sprung chan struct{}
}

// step is called by the terminal, which stands still meanwhile.
func (tr *trap) step(step string) {
	if at := tr.armed.Load(); at != nil && *at == step && tr.armed.CompareAndSwap(at, nil) {
		tr.shop.Load().kill()
		tr.sprung <- struct{}{}
	}
}

// TestKillAtEachTerminalStep kills the agent at every step of a card payment, once with the line dying too and once
// with a terminal that goes on alone, and finds journal and terminal of one mind after the restart: the same key names
// the same payment, and it is approved exactly where the card stays charged.
func TestKillAtEachTerminalStep(t *testing.T) {
	for _, lineDies := range []bool{true, false} {
		name := "line stays"
		if lineDies {
			name = "line dies"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := &trap{sprung: make(chan struct{}, 1)}
			ts := openTestShop(t, tr.step)
			tr.shop.Store(ts.shop)
			if p, err := ts.pay(ts.ctx, "pay-before", "1.00"); err != nil || p.State != payments.Approved {
				t.Fatalf("first payment: %s %v", p.State, err)
			}
			for _, step := range terminalsim.Steps() {
				ts.killAt(tr, step, lineDies)
			}
		})
	}
}

func (ts *testShop) killAt(tr *trap, step string, lineDies bool) {
	ts.tb.Helper()
	_, err := ts.devicesReady(ts.ctx)
	ts.must(err)
	if lineDies {
		ts.shop.terminal.SetScript([]terminalsim.Behaviour{{CutAt: step}, {}})
	}
	before := len(standing(ts.shop.terminal))
	tr.armed.Store(&step)
	request := wire.PaymentRequest{Type: payments.Sale, Amount: "2.50"}
	started, err := ts.till.StartPayment(ts.ctx, "pay-"+step, request)
	ts.must(err) // it is on disk before the terminal hears of it, so the answer came before the kill
	select {
	case <-tr.sprung:
	case <-time.After(patience):
		ts.tb.Fatalf("the terminal never came to %s", step)
	}
	ts.must(ts.shop.start(ts.ctx))
	again, err := ts.till.StartPayment(ts.ctx, "pay-"+step, request)
	ts.must(err)
	if again.ID != started.ID {
		ts.tb.Fatalf("killed at %s: the same key made payment %s beside %s", step, again.ID, started.ID)
	}
	var p payments.Payment
	ts.must(ts.until(ts.ctx, "the payment cut at "+step+" has an end", func() (bool, error) {
		p, err = ts.till.Payment(ts.ctx, started.ID, 20*time.Second)
		return p.State.Final(), err
	}))
	charged := len(standing(ts.shop.terminal)) - before
	switch p.State {
	case payments.Approved:
		if charged != 1 {
			ts.tb.Errorf("killed at %s: approved, and %d charges stand", step, charged)
		}
	case payments.Failed, payments.Declined, payments.Canceled, payments.Reversed:
		if charged != 0 {
			ts.tb.Errorf("killed at %s: %s, and %d charges stand", step, p.State, charged)
		}
	default:
		ts.tb.Errorf("killed at %s: ended %s (%s)", step, p.State, p.Problem)
	}
}
