package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"storeagent/payments"
	"storeagent/payments/terminalsim"
	"storeagent/register/wire"
)

// followUp is one operation on an approved payment, and how the terminal's newest charge shows that it was done.
type followUp struct {
	name string
	on   payments.Type
	ask  func(ts *testShop, key, id string) (payments.Payment, error)
	done func(c terminalsim.Charge) bool
}

var followUps = []followUp{
	{"void", payments.Sale, func(ts *testShop, key, id string) (payments.Payment, error) {
		return ts.till.VoidPayment(ts.ctx, key, id)
	}, func(c terminalsim.Charge) bool { return c.Reversed }},
	{"capture", payments.Preauth, func(ts *testShop, key, id string) (payments.Payment, error) {
		return ts.till.CapturePayment(ts.ctx, key, id, "1.50")
	}, func(c terminalsim.Charge) bool { return !c.Preauth && c.Amount == 150 }},
	{"tip", payments.Sale, func(ts *testShop, key, id string) (payments.Payment, error) {
		return ts.till.TipPayment(ts.ctx, key, id, "0.50")
	}, func(c terminalsim.Charge) bool { return c.Tip == 50 }},
}

// ended waits until the payment and its operations are through.
func (ts *testShop) ended(id string) (p payments.Payment) {
	ts.tb.Helper()
	ts.must(ts.until(ts.ctx, "payment "+id+" and its operations have an end", func() (bool, error) {
		var err error
		p, err = ts.till.Payment(ts.ctx, id, 20*time.Second)
		return p.Settled(), err
	}))
	return p
}

// TestKillDuringAFollowUp kills the agent while the terminal voids, captures or adds a tip. The same key then
// names the same operation, and it is approved exactly where the terminal did it.
func TestKillDuringAFollowUp(t *testing.T) {
	for _, f := range followUps {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			tr := &trap{sprung: make(chan struct{}, 1)}
			ts := openTestShop(t, tr.step)
			tr.shop.Store(ts.shop)
			// Every step is tried in payments, where time is fake; here a killed process costs real seconds.
			for _, step := range []string{terminalsim.StepHost, terminalsim.StepResultAck} {
				_, err := ts.devicesReady(ts.ctx)
				ts.must(err)
				p, err := ts.till.StartPayment(ts.ctx, "pay-"+step, wire.PaymentRequest{Type: f.on, Amount: "2.50"})
				ts.must(err)
				if p = ts.ended(p.ID); p.State != payments.Approved {
					t.Fatalf("%s ended %s: %s", f.on, p.State, p.Problem)
				}
				tr.armed.Store(&step)
				first, err := f.ask(ts, f.name+"-"+step, p.ID)
				ts.must(err)
				select {
				case <-tr.sprung:
				case <-time.After(patience):
					t.Fatalf("the terminal never came to %s", step)
				}
				ts.must(ts.shop.start(ts.ctx))
				again, err := f.ask(ts, f.name+"-"+step, p.ID)
				ts.must(err)
				if len(again.Operations) != 1 || again.Operations[0].ID != first.Operations[0].ID {
					t.Fatalf("killed at %s: the same key answered %+v, before %+v", step, again.Operations, first.Operations)
				}
				p = ts.ended(p.ID)
				charges := ts.shop.terminal.Charges()
				did := f.done(charges[len(charges)-1])
				if o := p.Operations[0]; len(p.Operations) != 1 || did != (o.State == payments.Approved) || o.State.Blocks() {
					t.Errorf("killed at %s: operation %s (%s), terminal did it: %v", step, o.State, o.Problem, did)
				}
				if voided := p.State == payments.Voided; voided != (did && f.name == "void") {
					t.Errorf("killed at %s: payment %s", step, p.State)
				}
			}
		})
	}
}

// TestOrphanIsAlarmedAndVoided waits for the alarm of a payment that no sale claims, takes it back with one call, and
// closes the day: terminal and journal agree.
func TestOrphanIsAlarmedAndVoided(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	text, err := os.ReadFile(ts.shop.config())
	ts.must(err)
	ts.must(os.WriteFile(ts.shop.config(), []byte("[payments]\norphan_after = \"1s\"\n"+string(text)), 0o600))
	ts.restart()
	_, err = ts.devicesReady(ts.ctx)
	ts.must(err)
	kept, err := ts.pay(ts.ctx, "pay-kept", "4.00")
	ts.must(err)
	_, err = ts.till.PostSale(ts.ctx, "sale-kept", cardSale("K1", "4.00", kept.ID))
	ts.must(err)
	p, err := ts.pay(ts.ctx, "pay-orphan", "1.99")
	ts.must(err)
	named := func() (bool, error) {
		st, err := ts.till.Status(ts.ctx)
		return strings.Contains(fmt.Sprint(st.Problems), "payment_without_sale") && strings.Contains(fmt.Sprint(st.Problems), p.ID), err
	}
	ts.must(ts.until(ts.ctx, "the status names the payment without a sale", named))
	if p, err = ts.till.Payment(ts.ctx, p.ID, 0); err != nil || p.AlarmedAt == nil {
		t.Errorf("the payment bears no alarm: %+v, %v", p, err)
	}
	_, err = ts.till.VoidPayment(ts.ctx, "void-orphan", p.ID)
	ts.must(err)
	if p = ts.ended(p.ID); p.State != payments.Voided {
		t.Fatalf("ended %s", p.State)
	}
	ts.must(ts.until(ts.ctx, "the status forgets it", func() (bool, error) {
		still, err := named()
		return !still, err
	}))
	closing, err := ts.till.EndOfDay(ts.ctx, "eod", "card")
	if err != nil || len(closing.Differences) != 0 || closing.Journal.Count != 1 || closing.Journal.Amount.String() != "4.00" {
		t.Errorf("end of day %+v, %v", closing, err)
	}
}
