package payments_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments"
	"storeagent/payments/money"
)

// witness is a terminal that can bring a late answer.
type witness struct {
	*terminal
	heard func(ref string)
}

func (w *witness) Heard(f func(ref string)) { w.heard = f }

func byAnn(payments.Payment) journal.Entry { return journal.Entry{Actor: journal.Actor{Name: "Ann"}} }

// late is how a terminal's word reaches a payment that a person resolved.
type late struct {
	verdict payments.Verdict
	out     payments.Outcome
}

func dollars(t *testing.T, text string) money.Amount {
	t.Helper()
	a, err := money.Parse(text, "USD")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestTerminalComesBackAfterThePerson: a person resolved while the terminal was away; what it says when it is there
// again stands beside their word and changes nothing.
func TestTerminalComesBackAfterThePerson(t *testing.T) {
	all := approval(dollars(t, "12.50"))
	part := approval(dollars(t, "10.00"))
	for _, c := range []struct {
		name        string
		word        payments.State
		terminal    late
		outcome     payments.State
		contradicts bool
	}{
		{"yes, approved", payments.Approved, late{payments.Known, all}, payments.Approved, false},
		{"yes, a part", payments.Approved, late{payments.Known, part}, payments.Approved, true},
		{"yes, not charged", payments.Approved, late{verdict: payments.NotCharged}, payments.Failed, true},
		{"yes, declined", payments.Approved, late{payments.Known, payments.Outcome{State: payments.Declined}}, payments.Declined, true},
		{"no, approved", payments.Failed, late{payments.Known, all}, payments.Approved, true},
		{"no, not charged", payments.Failed, late{verdict: payments.NotCharged}, payments.Failed, false},
		{"no, cannot tell", payments.Failed, late{}, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var there atomic.Bool
				term := &terminal{recover: func(payments.Attempt) (payments.Verdict, payments.Outcome, error) {
					if !there.Load() {
						return payments.Unknown, payments.Outcome{}, errors.New("terminal is not reachable")
					}
					return c.terminal.verdict, c.terminal.out, nil
				}}
				term.do = term.approve(failAt("sent"))
				m := newMemory()
				s := open(t, m, term)
				p, err := s.start(t)
				if err != nil {
					t.Fatal(err)
				}
				s.settled(t, p.ID, payments.InDoubt)
				if p, err = s.Resolve(t.Context(), p.ID, c.word, "slip says so", byAnn); err != nil || p.State != c.word {
					t.Fatalf("resolve: %s %v", p.State, err)
				}
				if r := p.Resolution; r == nil || r.By != "Ann" || r.Note != "slip says so" || r.Outcome != c.word {
					t.Errorf("resolution %+v", r)
				}
				there.Store(true)
				<-time.After(time.Minute)
				got, err := s.Payment(t.Context(), p.ID)
				if err != nil || got.State != c.word {
					t.Fatalf("the terminal's word turned it into %s, %v", got.State, err)
				}
				if c.outcome == "" {
					if len(got.Evidence) != 0 {
						t.Errorf("evidence of nothing: %+v", got.Evidence)
					}
					return
				}
				if len(got.Evidence) != 1 {
					t.Fatalf("evidence %+v", got.Evidence)
				}
				e := got.Evidence[0]
				if e.Outcome != c.outcome || e.Contradicts != c.contradicts || e.Detail == "" || got.Contradicted() != c.contradicts {
					t.Errorf("%+v", e)
				}
				if listed := s.Contradicted(); (len(listed) == 1) != c.contradicts {
					t.Errorf("listed: %+v", listed)
				}
				if !strings.Contains(string(m.events[len(m.events)-1].Data), `"evidence"`) {
					t.Error("no event tells it")
				}
				term.do = term.approve(never)
				if _, err := s.start(t); err != nil {
					t.Errorf("evidence blocks the terminal: %v", err)
				}
				synctest.Wait()
				s.stop()
				s = open(t, m, term) // and after a restart
				synctest.Wait()
				if listed := s.Contradicted(); (len(listed) == 1) != c.contradicts {
					t.Errorf("after a restart: %+v", listed)
				}
				s.stop()
			})
		})
	}
}

// settled waits until the payment is in that state.
func (s *store) settled(t *testing.T, id string, want payments.State) {
	t.Helper()
	for range 100 {
		p, err := s.Payment(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if p.State == want {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Fatalf("payment is not %s", want)
}

// TestPersonDecidesAgain: with the evidence before their eyes a person says what holds, and that is what ends the
// contradiction.
func TestPersonDecidesAgain(t *testing.T) {
	for _, c := range []struct {
		name        string
		first, then payments.State
		claimed     bool
		refused     bool
	}{
		{"stays", payments.Failed, payments.Failed, false, false},
		{"turns to approved", payments.Failed, payments.Approved, false, false},
		{"turns to not charged", payments.Approved, payments.Failed, false, false},
		{"a sale has it", payments.Approved, payments.Failed, true, true},
		{"a sale has it, stays", payments.Approved, payments.Approved, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				part := approval(dollars(t, "10.00"))
				asked := 0
				term := &witness{terminal: &terminal{}}
				term.recover = func(payments.Attempt) (payments.Verdict, payments.Outcome, error) {
					switch asked++; {
					case asked == 1:
						return payments.Unknown, payments.Outcome{}, nil
					case c.first == payments.Approved:
						return payments.NotCharged, payments.Outcome{}, nil
					}
					return payments.Known, part, nil
				}
				term.do = term.approve(failAt("sent"))
				m := newMemory()
				s := openWith(t, m, term)
				p, err := s.start(t)
				if err != nil {
					t.Fatal(err)
				}
				s.settled(t, p.ID, payments.Unresolved)
				if p, err = s.Resolve(t.Context(), p.ID, c.first, "no slip", byAnn); err != nil {
					t.Fatal(err)
				}
				term.heard(p.Ref)
				synctest.Wait()
				if p, err = s.Payment(t.Context(), p.ID); err != nil || !p.Contradicted() || p.State != c.first {
					t.Fatalf("%+v %v", p, err)
				}
				if c.claimed {
					m.claim(p.ID, "sale-1")
				}
				p, err = s.Resolve(t.Context(), p.ID, c.then, "asked the bank", byAnn)
				if c.refused {
					if !errors.Is(err, payments.ErrState) || len(s.Contradicted()) != 1 {
						t.Errorf("%v, listed %+v", err, s.Contradicted())
					}
					return
				}
				if err != nil || p.State != c.then || p.Contradicted() || len(s.Contradicted()) != 0 || p.Resolution.Note != "asked the bank" {
					t.Fatalf("%+v %v", p, err)
				}
				if c.then == payments.Approved && c.first != c.then && p.ApprovedAmount.String() != "10.00" {
					t.Errorf("approved %s, the terminal said 10.00", p.ApprovedAmount)
				}
				if c.then == payments.Failed && c.first != c.then && p.ApprovedAmount != nil {
					t.Errorf("not charged, and approved %s", p.ApprovedAmount)
				}
				term.heard(p.Ref) // the same once more is no news
				synctest.Wait()
				if p, err = s.Payment(t.Context(), p.ID); err != nil || len(p.Evidence) != 1 {
					t.Errorf("%+v %v", p.Evidence, err)
				}
				if _, err := s.Resolve(t.Context(), p.ID, payments.Failed, "again", byAnn); !errors.Is(err, payments.ErrState) {
					t.Errorf("resolved without need: %v", err)
				}
			})
		})
	}
}

// TestLateAnswerSettlesTheUnresolved: the terminal's own word about this very attempt ends the wait for a person.
func TestLateAnswerSettlesTheUnresolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var late atomic.Bool
		usd := dollars(t, "12.50")
		term := &witness{terminal: &terminal{}}
		term.recover = func(payments.Attempt) (payments.Verdict, payments.Outcome, error) {
			if late.Load() {
				return payments.Known, approval(usd), nil
			}
			return payments.Unknown, payments.Outcome{}, nil
		}
		term.do = term.approve(failAt("sent"))
		s := openWith(t, newMemory(), term)
		p, err := s.start(t)
		if err != nil {
			t.Fatal(err)
		}
		s.settled(t, p.ID, payments.Unresolved)
		term.heard("ANOTHER001")
		synctest.Wait()
		s.settled(t, p.ID, payments.Unresolved)
		late.Store(true)
		term.heard(p.Ref)
		synctest.Wait()
		if p, err = s.Payment(t.Context(), p.ID); err != nil || p.State != payments.Approved || len(p.Evidence) != 0 {
			t.Errorf("%+v %v", p, err)
		}
		if i := s.Terminals()[0]; i.Blocking != "" {
			t.Errorf("still blocked: %+v", i)
		}
	})
}

// TestEvidenceOfAnOperation: a void that a person called undone, and that the terminal did.
func TestEvidenceOfAnOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done atomic.Bool
		term := &witness{terminal: &terminal{}}
		term.recover = func(a payments.Attempt) (payments.Verdict, payments.Outcome, error) {
			if done.Load() {
				return payments.Known, payments.Outcome{State: payments.Approved}, nil
			}
			return payments.Unknown, payments.Outcome{}, nil
		}
		term.do = term.approve(never)
		s := openWith(t, newMemory(), voids{term})
		p, err := s.start(t)
		if err != nil {
			t.Fatal(err)
		}
		s.settled(t, p.ID, payments.Approved)
		term.do = term.approve(failAt("sent"))
		if p, err = s.Void(t.Context(), p.ID, byAnn); err != nil {
			t.Fatal(err)
		}
		if p, err = s.Wait(t.Context(), p.ID); err != nil || p.Operations[0].State != payments.Unresolved {
			t.Fatalf("%+v %v", p, err)
		}
		if p, err = s.Resolve(t.Context(), p.ID, payments.Failed, "no slip of a void", byAnn); err != nil || p.State != payments.Approved {
			t.Fatalf("%+v %v", p, err)
		}
		done.Store(true)
		term.heard(p.Operations[0].Ref)
		synctest.Wait()
		if p, err = s.Payment(t.Context(), p.ID); err != nil || p.State != payments.Approved || len(p.Evidence) != 1 || p.Evidence[0].OperationID != p.Operations[0].ID || !p.Contradicted() {
			t.Fatalf("%+v %v", p, err)
		}
		if p, err = s.Resolve(t.Context(), p.ID, payments.Approved, "the bank has the void", byAnn); err != nil || p.State != payments.Voided || p.Contradicted() {
			t.Errorf("%+v %v", p, err)
		}
	})
}

// voids is a witness that also takes payments back.
type voids struct{ *witness }

func (voids) Caps() payments.Caps { return payments.Caps{Sale: true, Void: true} }

// openWith is open for any terminal; the store ends with the test.
func openWith(t *testing.T, m *memory, term payments.Terminal) *store {
	t.Helper()
	d := payments.NewDesk(payments.DeskConfig{Journal: m, Terminals: []payments.Terminal{term}, Log: discard()})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return &store{Desk: d, journal: m}
}
