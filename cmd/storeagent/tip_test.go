package main

import (
	"testing"

	"storeagent/payments"
	"storeagent/register/wire"
)

// TestTipOverTheCounter charges a sale with its tip at each terminal that takes one along, across a restart, and is
// refused by those that do not.
func TestTipOverTheCounter(t *testing.T) {
	for _, r := range rigs {
		t.Run(r.driver, func(t *testing.T) {
			t.Parallel()
			ts, sim, _ := openRig(t, r)
			request := wire.PaymentRequest{Type: payments.Sale, Amount: "20.00", TipAmount: "3.00", Terminal: "lane"}
			p, err := ts.till.StartPayment(ts.ctx, "tip", request)
			if r.driver == "zvt" || r.driver == "telium" {
				if no := problemOf(err); no == nil || no.Status != 422 || no.Code != "unsupported_by_terminal" {
					t.Errorf("%v", err)
				}
				if n := len(sim.Charges()); n != 0 {
					t.Errorf("%d charges", n)
				}
				return
			}
			ts.must(err)
			p = ts.ended(p.ID)
			if p.State != payments.Approved || p.Amount.String() != "20.00" || p.ApprovedAmount.String() != "20.00" || p.TipAmount.String() != "3.00" {
				t.Errorf("%+v", p)
			}
			if c := sim.Charges(); len(c) != 1 || c[0].Amount != 2300 || c[0].Tip != 300 {
				t.Errorf("%+v", c)
			}
			ts.restart()
			if now, err := ts.till.Payment(ts.ctx, p.ID, 0); err != nil || now.TipAmount.String() != "3.00" || now.TipAtStart.String() != "3.00" {
				t.Errorf("%+v %v", now, err)
			}
			_, err = ts.till.PostSale(ts.ctx, "sale", cardSale("TIP-1", "20.00", p.ID))
			ts.must(err)
		})
	}
}
