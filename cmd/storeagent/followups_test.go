package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"storeagent/payments"
)

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
