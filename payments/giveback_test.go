package payments_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/internal/journal"
	"storeagent/payments"
)

// till is one of two terminals; what one took either gives back.
type till struct {
	*terminal
	name string
}

func (c till) Info() devices.Info {
	return devices.Info{Name: c.name, Category: devices.PaymentTerminal, Driver: "scripted", State: devices.Ready}
}

func (till) Caps() payments.Caps { return payments.Caps{Sale: true, Refund: true, Void: true} }

// meeting is a journal whose listings wait a moment for each other, so that two callers who look before either writes
// see the same.
type meeting struct {
	*memory
	mu      sync.Mutex
	waiting chan struct{}
}

func (m *meeting) List(ctx context.Context, f payments.Filter) ([]payments.Payment, string, error) {
	list, next, err := m.memory.List(ctx, f)
	if f.Attached != nil || f.Contradicted { // the watches
		return list, next, err
	}
	m.mu.Lock()
	first := m.waiting
	if first == nil {
		m.waiting = make(chan struct{})
		mine := m.waiting
		m.mu.Unlock()
		select {
		case <-mine:
		case <-time.After(time.Second):
		}
		m.mu.Lock()
		m.waiting = nil
	} else {
		close(first)
	}
	m.mu.Unlock()
	return list, next, err
}

// TestGivenBackOnce: a payment is given back once, whatever comes between the ways to do it.
func TestGivenBackOnce(t *testing.T) {
	type counter struct {
		*payments.Desk
		m           *meeting
		front, back *terminal
		paid        payments.Payment
	}
	refund := func(c counter, at string) (payments.Payment, error) {
		return c.Start(context.Background(), payments.Request{Type: payments.Refund, Amount: c.paid.Amount, Terminal: at, OriginalPaymentID: c.paid.ID}, noEntry)
	}
	ended := func(t *testing.T, c counter, p payments.Payment, err error) payments.Payment {
		t.Helper()
		if err == nil {
			p, err = c.Wait(t.Context(), p.ID)
		}
		if err != nil || !p.Settled() {
			t.Fatalf("%+v %v", p, err)
		}
		return p
	}
	for name, try := range map[string]func(t *testing.T, c counter){
		"void after a refund": func(t *testing.T, c counter) {
			p, err := refund(c, "back")
			ended(t, c, p, err)
			if _, err := c.Void(t.Context(), c.paid.ID, noEntry); !errors.Is(err, payments.ErrState) {
				t.Errorf("void: %v", err)
			}
		},
		"void after a refund in doubt": func(t *testing.T, c counter) {
			c.back.do = c.back.approve(failAt("charged"))
			c.back.recover = func(payments.Attempt) (payments.Verdict, payments.Outcome, error) {
				return payments.Unknown, payments.Outcome{}, nil
			}
			p, err := refund(c, "back")
			ended(t, c, p, err)
			if _, err := c.Void(t.Context(), c.paid.ID, noEntry); !errors.Is(err, payments.ErrState) {
				t.Errorf("void: %v", err)
			}
		},
		"refund while a void runs": func(t *testing.T, c counter) {
			gate := make(chan struct{})
			c.front.do = func(ctx context.Context, x payments.Txn, ev payments.Events) error {
				<-gate
				return c.front.approve(never)(ctx, x, ev)
			}
			p, verr := c.Void(t.Context(), c.paid.ID, noEntry)
			if _, err := refund(c, "back"); !errors.Is(err, payments.ErrTerminalBusy) {
				t.Errorf("refund: %v", err)
			}
			close(gate)
			if p = ended(t, c, p, verr); p.State != payments.Voided {
				t.Errorf("ended %s", p.State)
			}
		},
		"refund after a void in doubt": func(t *testing.T, c counter) {
			c.front.do = c.front.approve(failAt("charged"))
			c.front.recover = func(payments.Attempt) (payments.Verdict, payments.Outcome, error) {
				return payments.Unknown, payments.Outcome{}, nil
			}
			p, err := c.Void(t.Context(), c.paid.ID, noEntry)
			ended(t, c, p, err)
			if _, err := refund(c, "back"); !errors.Is(err, payments.ErrTerminalInDoubt) {
				t.Errorf("refund: %v", err)
			}
		},
		"two refunds at once": func(t *testing.T, c counter) {
			errs := make(chan error, 2)
			for _, at := range []string{"front", "back"} {
				go func() {
					_, err := refund(c, at)
					errs <- err
				}()
			}
			a, b := <-errs, <-errs
			if (a == nil) == (b == nil) || !errors.Is(errors.Join(a, b), payments.ErrAmount) {
				t.Errorf("%v, %v", a, b)
			}
			<-time.After(time.Minute)
		},
		"refund and void at once": func(t *testing.T, c counter) {
			errs := make(chan error, 2)
			go func() {
				_, err := refund(c, "back")
				errs <- err
			}()
			go func() {
				_, err := c.Void(context.Background(), c.paid.ID, noEntry)
				errs <- err
			}()
			if a, b := <-errs, <-errs; (a == nil) == (b == nil) {
				t.Errorf("%v, %v", a, b)
			}
			<-time.After(time.Minute)
		},
		"the clock was set back since": func(t *testing.T, c counter) {
			c.m.memory.mu.Lock()
			p := c.m.rows[c.paid.ID]
			p.CreatedAt = p.CreatedAt.Add(24 * time.Hour)
			c.m.rows[p.ID] = p
			c.m.memory.mu.Unlock()
			p, err := refund(c, "back")
			ended(t, c, p, err)
			if _, err := refund(c, "back"); !errors.Is(err, payments.ErrAmount) {
				t.Errorf("second refund: %v", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := counter{m: &meeting{memory: newMemory()}, front: &terminal{}, back: &terminal{}}
				c.front.do, c.back.do = c.front.approve(never), c.back.approve(never)
				c.Desk = payments.NewDesk(payments.DeskConfig{
					Journal: c.m, Terminals: []payments.Terminal{till{c.front, "front"}, till{c.back, "back"}}, Log: discard(),
				})
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				go func() { done <- c.Run(ctx) }()
				defer func() {
					cancel()
					if err := <-done; err != nil {
						t.Errorf("Run: %v", err)
					}
				}()
				p, err := c.Start(t.Context(), payments.Request{Type: payments.Sale, Amount: dollars(t, "12.50"), Terminal: "front"},
					func(payments.Payment) journal.Entry { return journal.Entry{} })
				if c.paid = ended(t, c, p, err); c.paid.State != payments.Approved {
					t.Fatalf("ended %s", c.paid.State)
				}
				try(t, c)
			})
		})
	}
}
