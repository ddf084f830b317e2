package offline_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"storeagent/offline"
)

// TestCloudReturnsToAWholeChain lets the cloud come back to 50,000 registers, each with a backlog. What one forwarder
// asks and sends in its first twenty minutes, the refresh of its token among it, is recorded for many registers that differ
// by their luck alone; the load of the chain is as many of these, drawn at random. With the slower start that a chain configures, the cloud's limit is never
// reached; with the defaults it is, so the setting matters.
func TestCloudReturnsToAWholeChain(t *testing.T) {
	const (
		registers = 50_000
		samples   = 100
		limit     = 2500 // requests a second that the cloud takes
		seconds   = 1200
		window    = 20 // seconds that the load is averaged over, as there are fewer samples than registers
	)
	slow := func(c *offline.ForwarderConfig) {
		c.StartRate, c.MaxRate, c.ResumeJitter = 0.02, 0.04, 10*time.Minute
	}
	peak := func(change ...func(*offline.ForwarderConfig)) int {
		var traces [][]int
		for range samples {
			in(t, func(t *testing.T) { traces = append(traces, comeback(t, seconds, change...)) })
		}
		var load [seconds / window]int
		rnd := rand.New(rand.NewPCG(1, 2))
		for range registers {
			for at, n := range traces[rnd.IntN(samples)] {
				load[at/window] += n
			}
		}
		return slices.Max(load[:]) / window
	}
	if worst := peak(slow); worst > limit {
		t.Errorf("a chain with a slower start sends %d requests a second at worst, more than %d", worst, limit)
	} else if worst == 0 {
		t.Error("a chain with a slower start sends nothing at all")
	}
	if worst := peak(); worst <= limit {
		t.Errorf("with the defaults %d registers stay at %d requests a second: the setting would not be needed", registers, worst)
	}
}

// comeback records what one register asks and sends per second once the cloud is back after an hour.
func comeback(t *testing.T, seconds int, change ...func(*offline.ForwarderConfig)) []int {
	s := newShop(t, change...)
	s.cloud.probing(offline.ClassNotExecuted)
	s.run()
	for range 20 {
		s.sell("")
	}
	pass(time.Hour + rand.N(2*time.Minute)) // registers do not ask in step
	back := time.Now()
	s.cloud.probing(offline.ClassDelivered)
	pass(time.Duration(seconds) * time.Second)
	s.stop()
	out := make([]int, seconds)
	s.cloud.mu.Lock()
	defer s.cloud.mu.Unlock()
	asked := slices.Clone(s.cloud.probes)
	for _, at := range s.cloud.probes {
		if at.After(back) { // its token was too old by then: a refresh goes ahead of it
			asked = append(asked, at)
			break
		}
	}
	for _, at := range append(asked, s.cloud.began...) {
		if i := int(at.Sub(back) / time.Second); i >= 0 && i < seconds {
			out[i]++
		}
	}
	return out
}

// TestChainIsEmptyInTheEnd: the slower start costs time, not sales.
func TestChainIsEmptyInTheEnd(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t, func(c *offline.ForwarderConfig) { c.StartRate, c.MaxRate, c.ResumeJitter = 0.02, 0.04, 10*time.Minute })
		s.cloud.probing(offline.ClassNotExecuted)
		s.run()
		for range 50 {
			s.sell("")
		}
		pass(time.Hour)
		s.cloud.probing(offline.ClassDelivered)
		pass(time.Hour)
		if st := s.desk.Status(); st.Delivered != 50 {
			t.Errorf("after an hour: %+v", st)
		}
		s.stop()
	})
}

// TestResendUnknownIsAPersonsRisk: with unknown_outcome = "resend" a purchase whose answer was lost is executed twice,
// in the name of who asked for it; without, or after the database was replaced, it waits for a person.
func TestResendUnknownIsAPersonsRisk(t *testing.T) {
	for _, tc := range []struct {
		name     string
		resend   bool
		replaced bool
		want     offline.State
		times    int
	}{
		{"parked by default", false, false, offline.Parked, 1},
		{"sent again by name", true, false, offline.Delivered, 2},
		{"never after the database was replaced", true, true, offline.Parked, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				audit := &auditLog{}
				s := newShop(t, func(c *offline.ForwarderConfig) {
					if tc.resend {
						c.UnknownOutcome, c.UnknownOutcomeBy, c.Audit = offline.ResendUnknown, "Ana Ruiz", audit
					}
				})
				tries := 0
				s.cloud.answers(func(offline.Operation) reply {
					if tries++; tries == 1 {
						return lost
					}
					return fine
				})
				rec := s.sell("")
				if tc.replaced {
					s.replace(rec)
				}
				s.run()
				pass(30 * time.Minute)
				if op := s.op(rec); op.State != tc.want || s.cloud.executed(op.ID) != tc.times {
					t.Errorf("%s %s after %d executions, want %s after %d", op.State, op.Reason, s.cloud.executed(op.ID), tc.want, tc.times)
				}
				s.wantProblem("unknown_outcome_resend", tc.resend)
				if tc.resend && !slices.Contains(audit.rows, "Ana Ruiz queue.resend_unknown purchase") {
					t.Errorf("audit %v", audit.rows)
				}
				s.stop()
			})
		})
	}
}

// replace puts an operation in doubt as a restored database does.
func (s *shop) replace(rec offline.Record) {
	s.Helper()
	id := s.op(rec).ID
	if err := s.mem.Begin(s.Context(), id, 1, time.Now()); err != nil {
		s.Fatal(err)
	}
	r := offline.Result{State: offline.InDoubt, Error: &offline.Fault{Code: offline.CodeReplaced}, FinishedAt: time.Now()}
	if err := s.mem.Finish(s.Context(), id, 1, r); err != nil {
		s.Fatal(err)
	}
}
