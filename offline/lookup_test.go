package offline_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"storeagent/offline"
)

// finder shows the purchases of the scripted cloud, late where told so.
type finder struct {
	mu    sync.Mutex
	rows  []findable
	lag   time.Duration
	fault *offline.Verdict // instead of an answer
	blind bool             // finds nothing at all, like a query that means something else
	asked int
	ids   int // given out
}

type findable struct {
	offline.CloudPurchase
	transaction string
	at          time.Time
}

func (f *finder) put(transaction, id, amount string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = append(f.rows, findable{offline.CloudPurchase{ID: id, Amount: amount}, transaction, time.Now()})
}

func (f *finder) set(change func(f *finder)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

func (f *finder) questions() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked
}

func (f *finder) FindPurchases(_ context.Context, _, transaction string) ([]offline.CloudPurchase, offline.Verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	if f.fault != nil {
		return nil, *f.fault
	}
	var found []offline.CloudPurchase
	for _, r := range f.rows {
		if !f.blind && r.transaction == transaction && time.Since(r.at) >= f.lag {
			found = append(found, r.CloudPurchase)
		}
	}
	return found, offline.Verdict{Class: offline.ClassDelivered}
}

// seen lets the finder show what the cloud executed.
func (f *finder) seen(next func(op offline.Operation) reply) func(op offline.Operation) reply {
	return func(op offline.Operation) reply {
		r := next(op)
		var id string
		f.set(func(f *finder) {
			f.ids++
			id = fmt.Sprint("P", f.ids)
		})
		if r.execute {
			f.put(op.Ref, id, op.Amount)
		}
		if r.verdict.Class == offline.ClassDelivered {
			r.verdict.CloudID = id
		}
		return r
	}
}

func newLookupShop(t *testing.T, change ...func(*offline.ForwarderConfig)) (*shop, *finder) {
	f := &finder{}
	s := newShop(t, append(change, func(c *offline.ForwarderConfig) { c.Purchases = f })...)
	s.cloud.answers(f.seen(func(offline.Operation) reply { return fine }))
	return s, f
}

// once answers the first attempt with one reply and all others with fine.
func once(first reply) func(offline.Operation) reply {
	n := 0
	return func(offline.Operation) reply {
		if n++; n == 1 {
			return first
		}
		return fine
	}
}

// keepSelling delivers a sale each minute, which shows that the lookup is up to date.
func (s *shop) keepSelling(minutes int) {
	s.Helper()
	for range minutes {
		s.sell("")
		pass(time.Minute)
	}
}

func (s *shop) wantEvidence(text string) {
	s.Helper()
	for _, a := range s.mem.Audits() {
		if string(a.Decision.Action) == offline.ActionEvidence && strings.Contains(a.Decision.Note, text) && a.Actor == offline.AgentActor() {
			return
		}
	}
	s.Errorf("no evidence %q in the audit: %+v", text, s.mem.Audits())
}

func resending(c *offline.ForwarderConfig) {
	c.UnknownOutcome, c.UnknownOutcomeBy, c.Audit = offline.ResendUnknown, "Ana Ruiz", &auditLog{}
}

func TestLookupSettlesALostAnswer(t *testing.T) {
	in(t, func(t *testing.T) {
		s, f := newLookupShop(t)
		s.cloud.answers(f.seen(once(lost)))
		s.run()
		rec := s.sell("")
		pass(time.Minute)
		s.want(rec, offline.Delivered, "")
		if op := s.op(rec); op.CloudID != "P1" || s.cloud.executed(op.ID) != 1 || op.Error != nil {
			t.Errorf("%+v after %d executions", op, s.cloud.executed(op.ID))
		}
		s.wantEvidence("as purchase P1")
		s.stop()
	})
}

// TestLookupOfWhatIsNotThere: absence takes time, two questions and a later purchase that is shown; then it is a person's
// word, or the configuration's.
func TestLookupOfWhatIsNotThere(t *testing.T) {
	for _, resend := range []bool{false, true} {
		t.Run(fmt.Sprint("resend ", resend), func(t *testing.T) {
			in(t, func(t *testing.T) {
				var change []func(*offline.ForwarderConfig)
				if resend {
					change = append(change, resending)
				}
				s, f := newLookupShop(t, change...)
				s.cloud.answers(f.seen(once(dropped)))
				s.run()
				rec := s.sell("")
				s.keepSelling(6)
				s.want(rec, offline.InDoubt, "")
				s.keepSelling(12)
				if resend {
					s.want(rec, offline.Delivered, "")
				} else {
					s.want(rec, offline.Parked, offline.Unknown)
					if op := s.op(rec); op.Error == nil || op.Error.Code != offline.CodeNotAtCloud {
						t.Errorf("fault %+v", op.Error)
					}
				}
				if n := s.cloud.executed(s.op(rec).ID); n > 1 || (n == 1) != resend {
					t.Errorf("executed %d times", n)
				}
				s.wantEvidence("does not have it")
				s.stop()
			})
		})
	}
}

// TestAbsenceNeedsProof: without a later purchase that is shown, nobody is told that a purchase is not there.
func TestAbsenceNeedsProof(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(f *finder)
		sales  int
	}{
		"no later sale":                {func(*finder) {}, 0},
		"a query that finds nothing":   {func(f *finder) { f.blind = true }, 40},
		"a query that is far behind":   {func(f *finder) { f.lag = 2 * time.Hour }, 40},
		"the cloud does not answer it": {func(f *finder) { f.fault = &offline.Verdict{Class: offline.ClassDoubt} }, 40},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s, f := newLookupShop(t)
				s.cloud.answers(f.seen(once(dropped)))
				f.set(tc.change)
				s.run()
				rec := s.sell("")
				s.keepSelling(tc.sales)
				pass(time.Hour - time.Duration(tc.sales)*time.Minute)
				s.want(rec, offline.Parked, offline.Unknown)
				if op := s.op(rec); op.Error == nil || op.Error.Code != "no_answer" {
					t.Errorf("fault %+v", op.Error)
				}
				if rows := s.mem.Audits(); len(rows) != 0 {
					t.Errorf("audit %+v", rows)
				}
				if n := f.questions(); n == 0 || n > 100 {
					t.Errorf("asked %d times", n)
				}
				s.stop()
			})
		})
	}
}

// TestLateArrival: an answer that is lost and a purchase that appears minutes later are one delivery.
func TestLateArrival(t *testing.T) {
	in(t, func(t *testing.T) {
		s, f := newLookupShop(t, resending)
		s.cloud.answers(f.seen(once(dropped)))
		s.run()
		rec := s.sell("")
		s.keepSelling(6) // once surely not there
		s.want(rec, offline.InDoubt, "")
		f.put(rec.TransactionID, "LATE", "10.00")
		s.keepSelling(2)
		s.want(rec, offline.Delivered, "")
		if op := s.op(rec); op.CloudID != "LATE" || op.Attempts != 1 {
			t.Errorf("%+v", op)
		}
		s.stop()
	})
}

func TestAmbiguousFindingsWaitForAPerson(t *testing.T) {
	for name, tc := range map[string]struct {
		rows [][2]string // id, amount
		code string
	}{
		"twice":                   {[][2]string{{"A", "10.00"}, {"B", "10"}}, offline.CodeFoundTwice},
		"another amount":          {[][2]string{{"A", "12.00"}}, offline.CodeOtherAmount},
		"an amount that is none":  {[][2]string{{"A", "ten"}}, offline.CodeOtherAmount},
		"the sign is another one": {[][2]string{{"A", "-10.00"}}, offline.CodeOtherAmount},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s, f := newLookupShop(t, resending) // not even then
				s.cloud.answers(f.seen(once(dropped)))
				s.run()
				rec := s.sell("")
				for _, r := range tc.rows {
					f.put(rec.TransactionID, r[0], r[1])
				}
				s.keepSelling(20)
				s.want(rec, offline.Parked, offline.Unknown)
				if op := s.op(rec); op.Error == nil || op.Error.Code != tc.code || op.Attempts != 1 {
					t.Errorf("%+v %+v", op, op.Error)
				}
				s.wantEvidence(rec.TransactionID)
				s.stop()
			})
		})
	}
}

// TestRefundUnderTheNumberOfItsSale: the vendor's own refund bears its sale's transaction id, so that the sale is found
// when the refund is looked for.
func TestRefundUnderTheNumberOfItsSale(t *testing.T) {
	in(t, func(t *testing.T) {
		s, f := newLookupShop(t)
		s.run()
		rec := s.sell("")
		pass(time.Minute)
		s.want(rec, offline.Delivered, "")
		s.cloud.answers(f.seen(once(lost)))
		s.n-- // the same number again
		refund := s.sell(rec.TransactionID)
		pass(2 * time.Minute)
		s.want(refund, offline.Delivered, "")
		if a, b := s.op(rec).CloudID, s.op(refund).CloudID; a == "" || b == "" {
			t.Errorf("sale %q, refund %q", a, b)
		}
		s.stop()
	})
}

// TestLookupWaitsForTheCloud: what is in doubt stays so while the cloud is away, over a restart too.
func TestLookupWaitsForTheCloud(t *testing.T) {
	in(t, func(t *testing.T) {
		s, f := newLookupShop(t)
		answer := f.seen(once(lost))
		away := offline.Verdict{Class: offline.ClassNotExecuted, Fault: &offline.Fault{Code: "dial"}}
		s.cloud.answers(func(op offline.Operation) reply { // the answer is lost because the line goes
			s.cloud.probe = func() offline.Verdict { return away } // the cloud's lock is held
			return answer(op)
		})
		s.run()
		rec := s.sell("")
		pass(3 * time.Hour)
		s.restart()
		pass(3 * time.Hour)
		s.want(rec, offline.InDoubt, "")
		s.cloud.answers(answer)
		s.cloud.probing(offline.ClassDelivered)
		pass(2 * time.Minute)
		s.want(rec, offline.Delivered, "")
		s.stop()
	})
}

// TestTenantWithoutLookup: then it is as if none had been configured, at once.
func TestTenantWithoutLookup(t *testing.T) {
	for _, class := range []offline.Class{offline.ClassUnsupported, offline.ClassBlocked} {
		in(t, func(t *testing.T) {
			s, f := newLookupShop(t)
			s.cloud.answers(f.seen(once(lost)))
			f.set(func(f *finder) { f.fault = &offline.Verdict{Class: class} })
			s.run()
			rec := s.sell("")
			pass(time.Minute)
			s.want(rec, offline.Parked, offline.Unknown)
			s.stop()
		})
	}
}

// TestReplacedDatabaseIsLookedUp: what a restored database left in doubt is found where it is there, and is never sent
// again by itself.
func TestReplacedDatabaseIsLookedUp(t *testing.T) {
	in(t, func(t *testing.T) {
		s, f := newLookupShop(t, resending)
		there, gone := s.sell(""), s.sell("")
		s.replace(there)
		s.replace(gone)
		f.put(there.TransactionID, "OLD", "10.00")
		s.run()
		s.keepSelling(20)
		s.want(there, offline.Delivered, "")
		s.want(gone, offline.Parked, offline.Unknown)
		if op := s.op(gone); op.Error.Code != offline.CodeNotAtCloud || s.cloud.executed(op.ID) != 0 {
			t.Errorf("%+v", op)
		}
		s.stop()
	})
}

// TestManyDoubtsLeaveRoomForSales: a restored database may leave hundreds.
func TestManyDoubtsLeaveRoomForSales(t *testing.T) {
	in(t, func(t *testing.T) {
		s, f := newLookupShop(t)
		for range 200 {
			rec := s.sell("")
			s.replace(rec)
			f.put(rec.TransactionID, "P-"+rec.TransactionID, "10.00")
		}
		s.run()
		pass(2 * time.Minute)
		if st := s.desk.Status(); st.Delivered != 200 {
			t.Errorf("after two minutes: %+v", st)
		}
		s.stop()
	})
}
