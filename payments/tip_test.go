package payments_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments"
)

// tipper is a terminal that takes tips along with a sale.
type tipper struct{ *witness }

func (tipper) Caps() payments.Caps {
	return payments.Caps{Sale: true, Refund: true, Tip: true, TipAtStart: true}
}

// TestTipWithThePayment: the terminal hears the sum and what of it is tip; what it approves covers the amount first.
func TestTipWithThePayment(t *testing.T) {
	for _, c := range []struct {
		name, approves       string
		approved, tip, total string
	}{
		{"all", "14.50", "12.50", "2.00", "14.50"},
		{"nothing said", "", "12.50", "2.00", "14.50"},
		{"a part of the tip", "13.00", "12.50", "0.50", "13.00"},
		{"no tip", "12.50", "12.50", "", "12.50"},
		{"a part of the amount", "7.00", "7.00", "", "7.00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				term := tipper{&witness{terminal: &terminal{}}}
				term.do = func(_ context.Context, x payments.Txn, ev payments.Events) error {
					if x.Amount.String() != "14.50" || x.Tip.String() != "2.00" {
						t.Errorf("asked for %s with a tip of %s", x.Amount, x.Tip)
					}
					if err := ev.Sending(payments.Baseline{}); err != nil {
						return err
					}
					out := payments.Outcome{State: payments.Approved}
					if c.approves != "" {
						out.ApprovedAmount = dollars(t, c.approves)
					}
					return ev.CommitOutcome(out)
				}
				s := openWith(t, newMemory(), term)
				p, err := s.Start(t.Context(), payments.Request{Type: payments.Sale, Amount: dollars(t, "12.50"), Tip: dollars(t, "2.00")}, noEntry)
				if err != nil || p.TipAmount.String() != "2.00" || p.Amount.String() != "12.50" {
					t.Fatalf("%+v %v", p, err)
				}
				p = s.wait(t, p.ID, time.Minute)
				tip := ""
				if p.TipAmount != nil {
					tip = p.TipAmount.String()
				}
				if p.State != payments.Approved || p.Amount.String() != "12.50" || p.ApprovedAmount.String() != c.approved || tip != c.tip {
					t.Errorf("state %s, approved %s, tip %q", p.State, p.ApprovedAmount, tip)
				}
				if c.tip == "" {
					return
				}
				term.do = term.approve(never) // a tip more, afterwards
				if p, err = s.Tip(t.Context(), p.ID, dollars(t, "1.00"), noEntry); err != nil {
					t.Fatal(err)
				}
				p = s.wait(t, p.ID, time.Minute)
				both, _ := dollars(t, c.tip).Add(dollars(t, "1.00"))
				if p.TipAmount.Cmp(both) != 0 || p.TipAtStart.String() != c.tip {
					t.Errorf("tips %s, at the start %s", p.TipAmount, p.TipAtStart)
				}
				if _, err := s.Start(t.Context(), payments.Request{Type: payments.Refund, Amount: dollars(t, c.total), OriginalPaymentID: p.ID}, noEntry); err != nil {
					t.Errorf("the whole of it cannot be refunded: %v", err)
				}
				synctest.Wait()
			})
		})
	}
}

func noEntry(payments.Payment) journal.Entry { return journal.Entry{} }

// TestTipThatNobodySettled: a person's yes means amount and tip.
func TestTipThatNobodySettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := tipper{&witness{terminal: &terminal{recover: func(payments.Attempt) (payments.Verdict, payments.Outcome, error) {
			return payments.Unknown, payments.Outcome{}, nil
		}}}}
		term.do = term.approve(failAt("sent"))
		s := openWith(t, newMemory(), term)
		p, err := s.Start(t.Context(), payments.Request{Type: payments.Sale, Amount: dollars(t, "12.50"), Tip: dollars(t, "2.00")}, noEntry)
		if err != nil {
			t.Fatal(err)
		}
		s.settled(t, p.ID, payments.Unresolved)
		p, err = s.Resolve(t.Context(), p.ID, payments.Approved, "the slip says 14.50", byAnn)
		if err != nil || p.ApprovedAmount.String() != "12.50" || p.TipAmount.String() != "2.00" {
			t.Errorf("%+v %v", p, err)
		}
	})
}

// local is a terminal that works in some currencies only; none is any.
type local struct {
	*terminal
	takes []string
}

func (t local) Caps() payments.Caps { return payments.Caps{Sale: true, Currencies: t.takes} }

// TestForeignCurrencyIsRefused before anything is written down or sent, where the driver names the currencies.
func TestForeignCurrencyIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			takes []string
			want  error
		}{{[]string{"EUR", "CHF"}, payments.ErrForeign}, {[]string{"EUR", "USD"}, nil}, {nil, nil}} {
			term := local{&terminal{}, c.takes}
			term.do = term.approve(never)
			s := openWith(t, newMemory(), term)
			p, err := s.Start(t.Context(), payments.Request{Type: payments.Sale, Amount: dollars(t, "12.50")}, noEntry)
			if !errors.Is(err, c.want) || errors.Is(err, payments.ErrUnsupported) != (c.want != nil) {
				t.Errorf("takes %v: %v", c.takes, err)
			}
			if err == nil {
				s.wait(t, p.ID, time.Minute)
			}
		}
	})
}

// TestTipIsRefused where the terminal cannot, and with anything but a sale.
func TestTipIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for typ, term := range map[payments.Type]payments.Terminal{
			payments.Sale: &terminal{}, payments.Refund: tipper{&witness{terminal: &terminal{}}},
		} {
			s := openWith(t, newMemory(), term)
			_, err := s.Start(t.Context(), payments.Request{Type: typ, Amount: dollars(t, "12.50"), Tip: dollars(t, "2.00")}, noEntry)
			if !errors.Is(err, payments.ErrUnsupported) {
				t.Errorf("%s: %v", typ, err)
			}
		}
	})
}
