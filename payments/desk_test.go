package payments_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/internal/journal"
	"storeagent/payments"
	"storeagent/payments/money"
)

// terminal is a scripted Terminal: do runs in place of a protocol, recover answers the queries after a loss. It
// counts what was really charged.
type terminal struct {
	do      func(ctx context.Context, t payments.Txn, ev payments.Events) error
	recover func(p payments.Attempt) (payments.Verdict, payments.Outcome, error)
	aborted chan struct{}
	charged int
	asked   int
}

func (t *terminal) Info() devices.Info {
	return devices.Info{Name: "front", Category: devices.PaymentTerminal, Driver: "scripted", State: devices.Ready}
}
func (t *terminal) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (t *terminal) Caps() payments.Caps           { return payments.Caps{Sale: true, Cancel: true} }
func (t *terminal) Do(ctx context.Context, x payments.Txn, ev payments.Events) error {
	return t.do(ctx, x, ev)
}
func (t *terminal) Abort(context.Context) error { close(t.aborted); return nil }
func (t *terminal) Recover(_ context.Context, p payments.Attempt) (payments.Verdict, payments.Outcome, error) {
	t.asked++
	return t.recover(p)
}
func (t *terminal) Status(context.Context) (devices.Status, error) {
	return devices.Status{Text: "ready"}, nil
}

// approve is the whole exchange of an approved payment; fail is asked at each named step and may cut it short.
func (t *terminal) approve(step func(string) error) func(context.Context, payments.Txn, payments.Events) error {
	return func(_ context.Context, x payments.Txn, ev payments.Events) error {
		if err := ev.Sending(payments.Baseline{Known: true, Receipt: "7"}); err != nil {
			return err
		}
		if err := step("sent"); err != nil {
			return err
		}
		ev.Prompt(payments.Prompt{Code: "insert_card", Text: "Insert card"})
		t.charged++
		if err := step("charged"); err != nil {
			return err
		}
		if err := ev.CommitOutcome(approval(x.Amount)); err != nil {
			t.charged-- // no acknowledgement: this terminal takes it back
			return err
		}
		if err := step("acknowledged"); err != nil {
			return err
		}
		return ev.CommitReceipt(payments.Receipt{Customer: []string{"APPROVED"}})
	}
}

func approval(a money.Amount) payments.Outcome {
	return payments.Outcome{
		State: payments.Approved, ApprovedAmount: a, Last4: "1111", CardBrand: "VISA", TerminalReference: "8",
		Baseline: payments.Baseline{Known: true, Receipt: "8"},
	}
}

func never(string) error { return nil }

func failAt(step string) func(string) error {
	return func(s string) error {
		if s == step {
			return errors.New("line lost after " + s)
		}
		return nil
	}
}

// store is a Desk over a journal, running until stop.
type store struct {
	*payments.Desk
	journal *memory
	stop    func()
}

func open(t *testing.T, m *memory, term *terminal) *store {
	t.Helper()
	if term.aborted == nil {
		term.aborted = make(chan struct{})
	}
	d := payments.NewDesk(payments.DeskConfig{Journal: m, Terminals: []payments.Terminal{term}, Log: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	var stopped bool
	s := &store{Desk: d, journal: m, stop: func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}}
	t.Cleanup(s.stop)
	return s
}

func (s *store) start(t *testing.T) (payments.Payment, error) {
	t.Helper()
	amount, err := money.Parse("12.50", "USD")
	if err != nil {
		t.Fatal(err)
	}
	return s.Start(t.Context(), payments.Request{Type: payments.Sale, Amount: amount}, func(payments.Payment) journal.Entry {
		return journal.Entry{}
	})
}

func (s *store) wait(t *testing.T, id string, d time.Duration) payments.Payment {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	p, err := s.Wait(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestApproved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := &terminal{}
		term.do = term.approve(never)
		s := open(t, newMemory(), term)
		p, err := s.start(t)
		if err != nil || p.State != payments.Created {
			t.Fatalf("start: %v %v", p.State, err)
		}
		p = s.wait(t, p.ID, time.Minute)
		if p.State != payments.Approved || p.ApprovedAmount.String() != "12.50" || p.Last4 != "1111" || p.Prompt != nil || p.FinishedAt == nil {
			t.Fatalf("got %+v", p)
		}
		if got := s.journal.states(p.ID); !slices.Equal(got, []payments.State{payments.Created, payments.Processing, payments.Approved}) {
			t.Errorf("states %v", got)
		}
		s.stop()
	})
}

// TestOutcomeIsNeverGuessed runs the exchange with a line lost at every step, and every answer recovery can give.
func TestOutcomeIsNeverGuessed(t *testing.T) {
	usd, _ := money.Parse("12.50", "USD")
	tests := []struct {
		step    string
		verdict payments.Verdict
		out     payments.Outcome
		want    payments.State
		asked   int
	}{
		{"sent", payments.NotCharged, payments.Outcome{}, payments.Failed, 1},
		{"sent", payments.Unknown, payments.Outcome{}, payments.Unresolved, 1},
		{"charged", payments.Known, approval(usd), payments.Approved, 1},
		{"charged", payments.Known, payments.Outcome{State: payments.Declined, Decline: &payments.Decline{Code: "05"}}, payments.Declined, 1},
		{"charged", payments.Unknown, payments.Outcome{}, payments.Unresolved, 1},
		{"acknowledged", payments.Known, approval(usd), payments.Approved, 1},
		{"acknowledged", payments.NotCharged, payments.Outcome{}, payments.Reversed, 1},
		{"acknowledged", payments.Known, payments.Outcome{State: payments.Reversed}, payments.Reversed, 1},
	}
	for _, tc := range tests {
		t.Run(fmt.Sprintf("%s %d %s", tc.step, tc.verdict, tc.want), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				term := &terminal{recover: func(payments.Attempt) (payments.Verdict, payments.Outcome, error) {
					return tc.verdict, tc.out, nil
				}}
				term.do = term.approve(failAt(tc.step))
				s := open(t, newMemory(), term)
				p, err := s.start(t)
				if err != nil {
					t.Fatal(err)
				}
				p = s.wait(t, p.ID, time.Hour)
				if p.State != tc.want || term.asked != tc.asked {
					t.Errorf("ended %s (%s) after %d queries, want %s after %d", p.State, p.Problem, term.asked, tc.want, tc.asked)
				}
				if !slices.Contains(s.journal.states(p.ID), payments.InDoubt) {
					t.Errorf("was never in doubt: %v", s.journal.states(p.ID))
				}
				s.stop()
			})
		})
	}
}

func TestInDoubtBlocksUntilTheTerminalAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reachable atomic.Bool
		term := &terminal{recover: func(payments.Attempt) (payments.Verdict, payments.Outcome, error) {
			if !reachable.Load() {
				return payments.Unknown, payments.Outcome{}, errors.New("no answer")
			}
			return payments.NotCharged, payments.Outcome{}, nil
		}}
		term.do = term.approve(failAt("sent"))
		s := open(t, newMemory(), term)
		p, err := s.start(t)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.wait(t, p.ID, 10*time.Minute); got.State != payments.InDoubt {
			t.Fatalf("state %s: %s", got.State, got.Problem)
		}
		if _, err := s.start(t); !errors.Is(err, payments.ErrTerminalInDoubt) {
			t.Fatalf("new money was let through: %v", err)
		}
		if s.Terminals()[0].Blocking != p.ID {
			t.Errorf("terminal does not name what blocks it: %+v", s.Terminals()[0])
		}
		reachable.Store(true)
		if got := s.wait(t, p.ID, 10*time.Minute); got.State != payments.Failed {
			t.Fatalf("state %s: %s", got.State, got.Problem)
		}
		term.do = term.approve(never)
		q, err := s.start(t)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.wait(t, q.ID, time.Minute); got.State != payments.Approved {
			t.Fatalf("next payment %s: %s", got.State, got.Problem)
		}
		s.stop()
	})
}

func TestPersonResolves(t *testing.T) {
	for _, outcome := range []payments.State{payments.Approved, payments.Failed} {
		synctest.Test(t, func(t *testing.T) {
			term := &terminal{recover: func(payments.Attempt) (payments.Verdict, payments.Outcome, error) {
				return payments.Unknown, payments.Outcome{}, nil
			}}
			term.do = term.approve(failAt("sent"))
			m := newMemory()
			s := open(t, m, term)
			p, err := s.start(t)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.wait(t, p.ID, time.Minute); got.State != payments.Unresolved {
				t.Fatalf("state %s: %s", got.State, got.Problem)
			}
			s.stop()
			s = open(t, m, term) // an unresolved payment blocks across a restart
			synctest.Wait()
			if _, err := s.start(t); !errors.Is(err, payments.ErrTerminalInDoubt) {
				t.Fatalf("after restart: %v", err)
			}
			p, err = s.Resolve(t.Context(), p.ID, outcome, "slip says so", func(payments.Payment) journal.Entry {
				return journal.Entry{Actor: journal.Actor{Name: "Ann"}}
			})
			if err != nil || p.State != outcome || !slices.Equal(m.audit, []string{"Ann: slip says so"}) {
				t.Fatalf("resolve: %s %v %v", p.State, err, m.audit)
			}
			if _, err := s.Resolve(t.Context(), p.ID, payments.Failed, "again", func(payments.Payment) journal.Entry { return journal.Entry{} }); !errors.Is(err, payments.ErrState) {
				t.Fatalf("resolved twice: %v", err)
			}
			term.do = term.approve(never)
			if _, err := s.start(t); err != nil {
				t.Fatalf("still blocked: %v", err)
			}
			synctest.Wait()
			s.stop()
		})
	}
}

// TestCrash stops the agent at every step and starts a new one over the same journal.
func TestCrash(t *testing.T) {
	for _, step := range []string{"sent", "charged", "acknowledged"} {
		t.Run(step, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				usd, _ := money.Parse("12.50", "USD")
				hang := make(chan struct{})
				term := &terminal{}
				term.recover = func(p payments.Attempt) (payments.Verdict, payments.Outcome, error) {
					if term.charged > 0 {
						return payments.Known, approval(usd), nil
					}
					return payments.NotCharged, payments.Outcome{}, nil
				}
				s := open(t, m, term)
				term.do = func(ctx context.Context, x payments.Txn, ev payments.Events) error {
					return term.approve(func(at string) error {
						if at == step {
							close(hang)
							<-ctx.Done()
							return ctx.Err()
						}
						return nil
					})(ctx, x, ev)
				}
				p, err := s.start(t)
				if err != nil {
					t.Fatal(err)
				}
				<-hang
				s.stop()
				if got, _ := m.Get(t.Context(), p.ID); got.State != payments.Processing {
					t.Fatalf("on disk after the crash: %s", got.State)
				}
				s = open(t, m, term)
				got := s.wait(t, p.ID, time.Hour)
				want := payments.Approved
				if step == "sent" {
					want = payments.Failed
				}
				if got.State != want || term.charged > 1 {
					t.Errorf("ended %s with %d charges, want %s", got.State, term.charged, want)
				}
				s.stop()
			})
		})
	}
}

func TestCrashBeforeTheTerminalHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.rows["p1"] = payments.Payment{ID: "p1", State: payments.Created, Terminal: "front"}
		m.rows["p2"] = payments.Payment{ID: "p2", State: payments.Processing, Terminal: "sold"}
		m.order = []string{"p1", "p2"}
		term := &terminal{}
		s := open(t, m, term)
		synctest.Wait()
		if p := s.wait(t, "p1", time.Second); p.State != payments.Failed || term.asked != 0 {
			t.Errorf("created payment: %s after %d queries", p.State, term.asked)
		}
		if p := s.wait(t, "p2", time.Second); p.State != payments.Unresolved || !strings.Contains(p.Problem, "not configured") {
			t.Errorf("payment of a removed terminal: %s %q", p.State, p.Problem)
		}
		s.stop()
	})
}

// TestDiskFailsAtEveryWrite makes the Nth write fail, N = 1, 2, …, until a payment runs through. Whatever fails, the
// journal and the terminal agree in the end.
func TestDiskFailsAtEveryWrite(t *testing.T) {
	for n := 1; ; n++ {
		var clean bool
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			m.failAt = n
			usd, _ := money.Parse("12.50", "USD")
			term := &terminal{}
			term.do = term.approve(never)
			term.recover = func(payments.Attempt) (payments.Verdict, payments.Outcome, error) {
				if term.charged > 0 {
					return payments.Known, approval(usd), nil
				}
				return payments.NotCharged, payments.Outcome{}, nil
			}
			s := open(t, m, term)
			p, err := s.start(t)
			if n == 1 {
				if !errors.Is(err, errDisk) || len(m.rows) != 0 {
					t.Fatalf("start on a refusing disk: %v", err)
				}
				s.stop()
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p = s.wait(t, p.ID, time.Hour)
			if charged := p.State == payments.Approved; charged != (term.charged == 1) {
				t.Errorf("write %d failed: journal says %s, terminal charged %d times", n, p.State, term.charged)
			}
			clean = m.writes < n
			s.stop()
		})
		if clean || t.Failed() {
			if n < 7 {
				t.Errorf("only %d writes were made to fail", n)
			}
			return
		}
	}
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := &terminal{}
		term.do = func(_ context.Context, _ payments.Txn, ev payments.Events) error {
			if err := ev.Sending(payments.Baseline{}); err != nil {
				return err
			}
			<-term.aborted
			return ev.CommitOutcome(payments.Outcome{State: payments.Canceled})
		}
		s := open(t, newMemory(), term)
		p, err := s.start(t)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, err := s.start(t); !errors.Is(err, payments.ErrTerminalBusy) {
			t.Fatalf("second payment: %v", err)
		}
		if got, err := s.Cancel(t.Context(), p.ID); err != nil || !got.CancelRequested {
			t.Fatalf("cancel: %+v %v", got, err)
		}
		if got := s.wait(t, p.ID, time.Minute); got.State != payments.Canceled {
			t.Errorf("ended %s", got.State)
		}
		if _, err := s.Cancel(t.Context(), p.ID); !errors.Is(err, payments.ErrState) {
			t.Errorf("cancel of a finished payment: %v", err)
		}
		s.stop()
	})
}

func TestCancelBeforeTheTerminalHears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := &terminal{}
		gate := make(chan struct{})
		term.do = func(ctx context.Context, x payments.Txn, ev payments.Events) error {
			<-gate
			return term.approve(never)(ctx, x, ev)
		}
		s := open(t, newMemory(), term)
		p, err := s.start(t)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Cancel(t.Context(), p.ID); err != nil {
			t.Fatal(err)
		}
		close(gate)
		if got := s.wait(t, p.ID, time.Minute); got.State != payments.Canceled || term.charged != 0 {
			t.Errorf("ended %s with %d charges", got.State, term.charged)
		}
		s.stop()
	})
}

func TestRefusedBeforeItBegan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := &terminal{}
		term.do = func(_ context.Context, _ payments.Txn, ev payments.Events) error {
			if err := ev.Sending(payments.Baseline{}); err != nil {
				return err
			}
			return fmt.Errorf("terminal answered 84 83: %w", payments.ErrNotSent)
		}
		s := open(t, newMemory(), term)
		p, err := s.start(t)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.wait(t, p.ID, time.Minute); got.State != payments.Failed || got.Problem == "" {
			t.Errorf("ended %s %q", got.State, got.Problem)
		}
		s.stop()
	})
}

func TestDriverPanicLeavesDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := &terminal{recover: func(payments.Attempt) (payments.Verdict, payments.Outcome, error) {
			return payments.NotCharged, payments.Outcome{}, nil
		}}
		term.do = func(_ context.Context, _ payments.Txn, ev payments.Events) error {
			if err := ev.Sending(payments.Baseline{}); err != nil {
				return err
			}
			panic("nonsense")
		}
		s := open(t, newMemory(), term)
		p, err := s.start(t)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.wait(t, p.ID, time.Minute); got.State != payments.Failed || term.asked != 1 {
			t.Errorf("ended %s after %d queries", got.State, term.asked)
		}
		s.stop()
	})
}

// TestRecoveryPanics: a driver that cannot read what its terminal says leaves the agent alive and the payment to the next
// question, or to a person.
func TestRecoveryPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := &terminal{}
		term.recover = func(payments.Attempt) (payments.Verdict, payments.Outcome, error) {
			if term.asked < 3 {
				panic("nonsense")
			}
			return payments.NotCharged, payments.Outcome{}, nil
		}
		term.do = term.approve(failAt("sent"))
		s := open(t, newMemory(), term)
		p, err := s.start(t)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.wait(t, p.ID, time.Minute); got.State != payments.Failed || term.asked != 3 {
			t.Errorf("ended %s after %d queries", got.State, term.asked)
		}
		s.stop()
	})
}

func TestStartRefuses(t *testing.T) {
	s := open(t, newMemory(), &terminal{})
	usd, _ := money.Parse("1.00", "USD")
	none := func(payments.Payment) journal.Entry { return journal.Entry{} }
	if _, err := s.Start(t.Context(), payments.Request{Type: payments.Refund, Amount: usd}, none); !errors.Is(err, payments.ErrUnsupported) {
		t.Errorf("refund: %v", err)
	}
	if _, err := s.Start(t.Context(), payments.Request{Type: payments.Sale, Amount: usd, Terminal: "back"}, none); !errors.Is(err, payments.ErrNoTerminal) {
		t.Errorf("unknown terminal: %v", err)
	}
	if _, err := s.TerminalStatus(t.Context(), "back"); !errors.Is(err, payments.ErrNoTerminal) {
		t.Errorf("status of an unknown terminal: %v", err)
	}
	if i, err := s.TerminalStatus(t.Context(), "front"); err != nil || i.Status.Text != "ready" {
		t.Errorf("status: %+v %v", i, err)
	}
}
