package offline_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
)

func TestSaleIsDelivered(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.wantConnection(offline.Offline)
		s.run()
		pass(time.Second)
		s.wantConnection(offline.Online)
		rec := s.sell("")
		pass(2 * time.Second)
		s.want(rec, offline.Delivered, "")
		if op := s.op(rec); op.CloudID != "P" || op.Attempts != 1 || s.cloud.executed(op.ID) != 1 {
			t.Errorf("delivered as %+v", op)
		}
		if got := saleStates(s, rec); !slices.Equal(got, []string{"queued", "sending", "delivered"}) {
			t.Errorf("sale events say %v", got)
		}
		if st := s.desk.Status(); st.Delivered != 1 || st.Exposure.Count != 0 || st.Exposure.Amount != "0.00" || st.LastError != nil {
			t.Errorf("status is %+v", st)
		}
		s.stop()
	})
}

// An event names the moment of delivery as the sale does when it is read later: in milliseconds, UTC.
func TestSaleEventTellsTheTimeThatIsKept(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.cloud.answers(func(offline.Operation) reply {
			slow := fine
			slow.takes = 1234567 * time.Nanosecond
			return slow
		})
		s.run()
		s.sell("")
		pass(2 * time.Second)
		events, err := s.mem.After(s.Context(), 0, []string{"sale"}, 100)
		if err != nil || len(events) == 0 {
			t.Fatalf("%d events: %v", len(events), err)
		}
		v := decode[offline.SaleView](s, events[len(events)-1].Data)
		if v.DeliveredAt == nil || v.DeliveredAt.Nanosecond()%1e6 != 0 || v.DeliveredAt.Location() != time.UTC {
			t.Errorf("delivered at %v", v.DeliveredAt)
		}
		s.stop()
	})
}

// saleStates lists what the events said about a sale.
func saleStates(s *shop, rec offline.Record) []string {
	var out []string
	events, err := s.mem.After(s.Context(), 0, []string{"sale"}, 100000)
	if err != nil {
		s.Fatal(err)
	}
	for _, e := range events {
		v := decode[offline.SaleView](s, e.Data)
		if v.ID != rec.ID {
			continue
		}
		if v.Sale != nil {
			s.Errorf("the event carries the posted sale: %s", e.Data)
		}
		out = append(out, string(v.State))
	}
	return out
}

func TestTwoHundredSalesInAMinute(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.cloud.probing(offline.ClassNotExecuted)
		s.run()
		for range 200 {
			s.sell("")
		}
		pass(5 * time.Minute)
		s.wantConnection(offline.Offline)
		s.wantProblem("cloud_offline", true)
		if s.cloud.sent() != 0 {
			t.Fatalf("%d sales were risked to find out that the cloud is away", s.cloud.sent())
		}
		s.cloud.probing(offline.ClassDelivered)
		s.cloud.answers(func(offline.Operation) reply { r := fine; r.takes = 50 * time.Millisecond; return r })
		pass(time.Minute) // to notice, to wait a part of the jitter, to start slowly, and to send them all
		if st := s.desk.Status(); st.Delivered != 200 || st.Queued != 0 {
			t.Errorf("after a minute: %+v", st)
		}
		if s.cloud.most > 8 {
			t.Errorf("%d attempts at once", s.cloud.most)
		}
		s.stop()
	})
}

func TestJitterAfterAnOutage(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.cloud.probing(offline.ClassNotExecuted)
		s.run()
		s.sell("")
		pass(10 * time.Minute)
		before := s.cloud.probed()
		if before < 30 || before > 100 {
			t.Errorf("%d probes in ten minutes", before)
		}
		s.cloud.probing(offline.ClassDelivered)
		back := time.Now()
		pass(time.Minute)
		if s.cloud.sent() != 1 {
			t.Fatalf("%d sent", s.cloud.sent())
		}
		if first := s.cloud.began[0].Sub(back); first > 26*time.Second {
			t.Errorf("first sale %v after the cloud came back", first)
		}
		s.stop()
	})
}

func TestLostAnswerIsParked(t *testing.T) {
	for name, r := range map[string]reply{"executed": lost, "not executed": dropped} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := newShop(t)
				s.cloud.answers(func(offline.Operation) reply { return r })
				s.run()
				rec := s.sell("")
				pass(time.Hour)
				s.want(rec, offline.Parked, offline.Unknown)
				if s.cloud.sent() != 1 {
					t.Errorf("sent %d times", s.cloud.sent())
				}
				if got := saleStates(s, rec); !slices.Equal(got, []string{"queued", "sending", "in_doubt", "parked"}) {
					t.Errorf("sale events say %v", got)
				}
				s.wantProblem("operations_parked", true)
				if st := s.desk.Status(); st.Exposure.Count != 1 || st.Exposure.Amount != "10.00" || st.Exposure.OldestAgeSeconds < 3600 {
					t.Errorf("exposure %+v", st.Exposure)
				}

				s.cloud.answers(func(offline.Operation) reply { return fine })
				item, err := s.desk.Decide(t.Context(), offline.Decision{OpID: s.op(rec).ID, Action: offline.Resend, Note: "not there"}, journal.Entry{Actor: tech})
				if err != nil || item.State != offline.Queued {
					t.Fatalf("resend: %+v, %v", item, err)
				}
				pass(10 * time.Second)
				s.want(rec, offline.Delivered, "")
				s.stop()
			})
		})
	}
}

func TestFewSalesInDoubtWhileTheCloudSwallowsThem(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.cloud.answers(func(offline.Operation) reply { return dropped })
		s.run()
		for range 150 {
			s.sell("")
		}
		pass(10 * time.Minute)
		if st := s.desk.Status(); st.Parked < 1 || st.Parked > 30 || st.Queued != 150-st.Parked {
			t.Errorf("a cloud that answers probes and swallows sales: %+v", st)
		}
		s.cloud.answers(func(offline.Operation) reply { return fine })
		pass(10 * time.Minute)
		if st := s.desk.Status(); st.Queued != 0 {
			t.Errorf("after it works again: %+v", st)
		}
		s.stop()
	})
}

func TestNotExecutedIsSentAgain(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		tries := 0
		s.cloud.answers(func(offline.Operation) reply {
			if tries++; tries < 5 {
				return unsent
			}
			return fine
		})
		s.run()
		rec := s.sell("")
		pass(5 * time.Minute)
		s.want(rec, offline.Delivered, "")
		if op := s.op(rec); op.Attempts != 5 || s.cloud.executed(op.ID) != 1 {
			t.Errorf("%d attempts, %d executions", op.Attempts, s.cloud.executed(op.ID))
		}
		if s.cloud.probed() < 5 {
			t.Errorf("%d probes: each failure must be followed by one", s.cloud.probed())
		}
		s.stop()
	})
}

func TestRetryAfterIsKept(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		first := true
		s.cloud.answers(func(offline.Operation) reply {
			if first {
				first = false
				r := busy
				r.verdict.RetryAfter = 20 * time.Minute
				return r
			}
			return fine
		})
		s.run()
		rec, other := s.sell(""), s.sell("")
		pass(19 * time.Minute)
		if s.cloud.sent() != 1 {
			t.Errorf("%d sent before the time the cloud named", s.cloud.sent())
		}
		s.want(rec, offline.Queued, "")
		if at := s.desk.Status().NextAttemptAt; at == nil {
			t.Error("no next attempt named")
		}
		pass(5 * time.Minute)
		s.want(rec, offline.Delivered, "")
		s.want(other, offline.Delivered, "")
		s.stop()
	})
}

func TestPushBackSlowsDown(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t, func(c *offline.ForwarderConfig) { c.StartRate, c.MaxRate = 64, 64 })
		n := 0
		s.cloud.answers(func(offline.Operation) reply {
			if n++; n == 100 {
				return busy
			}
			return fine
		})
		s.run()
		for range 400 {
			s.sell("")
		}
		pass(30 * time.Second)
		if st := s.desk.Status(); st.Delivered != 400 {
			t.Fatalf("status %+v", st)
		}
		gap := func(from, to int) time.Duration { return s.cloud.began[to].Sub(s.cloud.began[from]) }
		before, after := gap(10, 60), gap(150, 200)
		if after < before*3/2 || after > before*3 {
			t.Errorf("50 sales took %v before the push-back and %v after it", before, after)
		}
		if late := gap(340, 390); late >= after {
			t.Errorf("50 sales took %v after the push-back and %v later: it does not recover", after, late)
		}
		if pause := gap(99, 100); pause < 3*time.Second {
			t.Errorf("Retry-After of 3 s was answered by %v", pause)
		}
		s.stop()
	})
}

func TestOrderWithinAStream(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		sold := s.sell("")
		var want []string
		want = append(want, s.op(sold).ID)
		for range 5 {
			want = append(want, s.op(s.sell(sold.TransactionID)).ID)
		}
		n := 0
		s.cloud.answers(func(offline.Operation) reply {
			if n++; n%2 == 0 {
				return unsent
			}
			r := fine
			r.takes = 3 * time.Second
			return r
		})
		s.run()
		pass(30 * time.Minute)
		if got := slices.Compact(slices.Clone(s.cloud.order)); !slices.Equal(got, want) {
			t.Errorf("sent in order %v, want %v", got, want)
		}
		s.stop()
	})
}

func TestParkedSaleHoldsItsRefundAlone(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		sold := s.sell("")
		id := s.op(sold).ID
		s.cloud.answers(func(op offline.Operation) reply {
			if op.ID == id {
				return refused
			}
			return fine
		})
		refund, other := s.sell(sold.TransactionID), s.sell("")
		s.run()
		pass(time.Minute)
		s.want(sold, offline.Parked, offline.Rejected)
		s.want(refund, offline.Queued, "")
		s.want(other, offline.Delivered, "")
		if _, err := s.desk.Decide(t.Context(), offline.Decision{OpID: id, Action: offline.Discard, Note: "no"}, journal.Entry{Actor: tech}); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		s.want(refund, offline.Delivered, "")
		s.stop()
	})
}

func TestLiveSaleGoesAheadOfTheBacklog(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t, func(c *offline.ForwarderConfig) { c.MaxRate = 1 })
		for range 100 {
			s.sell("")
		}
		s.run()
		pass(5500 * time.Millisecond)
		rec := s.sell("")
		pass(3 * time.Second)
		s.want(rec, offline.Delivered, "")
		if st := s.desk.Status(); st.Queued < 85 {
			t.Errorf("status %+v", st)
		}
		s.stop()
	})
}

func TestSignedOut(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.run()
		pass(time.Second)
		s.cloud.answers(func(offline.Operation) reply { return who })
		s.cloud.probing(offline.ClassSignedOut)
		rec, second := s.sell(""), s.sell("")
		pass(10 * time.Minute)
		s.wantConnection(offline.SignedOut)
		s.wantProblem("cloud_signed_out", true)
		s.want(rec, offline.Queued, "")
		if s.cloud.sent() > 2 {
			t.Errorf("%d attempts while signed out", s.cloud.sent())
		}
		s.cloud.answers(func(offline.Operation) reply { return fine })
		s.cloud.probing(offline.ClassDelivered)
		s.f.SignedIn()
		pass(5 * time.Second)
		s.want(rec, offline.Delivered, "")
		s.want(second, offline.Delivered, "")
		s.wantConnection(offline.Online)
		s.stop()
	})
}

// A sign-in is not forgotten because a probe that began before it is answered after it.
func TestSignInDuringAProbe(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.cloud.mu.Lock()
		s.cloud.probe = func() offline.Verdict {
			s.cloud.probe = func() offline.Verdict { return offline.Verdict{Class: offline.ClassDelivered} }
			s.f.SignedIn()
			return offline.Verdict{Class: offline.ClassSignedOut, Fault: &offline.Fault{Code: "signed_out"}}
		}
		s.cloud.mu.Unlock()
		rec := s.sell("")
		s.run()
		pass(5 * time.Second)
		s.want(rec, offline.Delivered, "")
		s.stop()
	})
}

// The status follows a sign-out at once, not only after the minute that the last delivery vouches for.
func TestSignOutIsSeenAtOnce(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.run()
		sold := s.sell("")
		pass(5 * time.Second)
		s.want(sold, offline.Delivered, "")
		s.wantConnection(offline.Online)
		s.cloud.probing(offline.ClassSignedOut)
		s.cloud.answers(func(offline.Operation) reply { return who })
		s.f.SignedOut()
		s.wantConnection(offline.SignedOut)
		s.wantProblem("cloud_signed_out", true)
		before := s.cloud.sent()
		rec := s.sell("")
		pass(time.Second)
		if s.cloud.sent() != before {
			t.Error("sent right after a sign-out")
		}
		s.cloud.answers(func(offline.Operation) reply { return fine })
		s.cloud.probing(offline.ClassDelivered)
		s.f.SignedIn()
		pass(5 * time.Second)
		s.want(rec, offline.Delivered, "")
		s.wantConnection(offline.Online)
		s.stop()
	})
}

// A cloud that answers probes and swallows sales is left alone longer and longer; a person who drains ends that wait.
func TestDrainEndsProtectiveWait(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.cloud.answers(func(offline.Operation) reply { return dropped })
		s.run()
		const sold = 60
		for range sold {
			s.sell("")
		}
		for {
			pass(time.Second)
			st := s.desk.Status()
			if st.Queued < 5 {
				t.Fatalf("no long wait came: %+v", st)
			}
			if st.Parked >= 3 && st.NextAttemptAt != nil && time.Until(*st.NextAttemptAt) > 30*time.Second {
				break
			}
		}
		parked := s.desk.Status().Parked
		s.cloud.answers(func(offline.Operation) reply { return fine })
		ctx, cancel := contextFor(t, 2*time.Second)
		defer cancel()
		if st := s.desk.Drain(ctx); st.Parked != parked || st.Delivered == 0 {
			t.Errorf("drain within two seconds: %+v", st)
		}
		pass(5 * time.Minute)
		if st := s.desk.Status(); st.Delivered != sold-parked || st.Parked != parked {
			t.Errorf("at the end: %+v", st)
		}
		s.stop()
	})
}

// What the cloud itself asked to wait is pacing, which a drain does not end.
func TestDrainKeepsRetryAfter(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.cloud.answers(func(offline.Operation) reply {
			v := busy.verdict
			v.RetryAfter = 10 * time.Minute
			return reply{verdict: v}
		})
		s.run()
		rec := s.sell("")
		pass(5 * time.Second)
		s.cloud.answers(func(offline.Operation) reply { return fine })
		ctx, cancel := contextFor(t, 5*time.Minute)
		defer cancel()
		if st := s.desk.Drain(ctx); st.Queued != 1 || s.cloud.sent() != 1 {
			t.Errorf("drain before the cloud wants to hear of us: %+v, %d attempts", st, s.cloud.sent())
		}
		pass(15 * time.Minute)
		s.want(rec, offline.Delivered, "")
		s.stop()
	})
}

func TestBlockedKindGoesOnByItself(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := newShop(t)
				s.cloud.answers(func(offline.Operation) reply { return barred })
				s.run()
				var recs []offline.Record
				for range 50 {
					recs = append(recs, s.sell(""))
				}
				pass(20 * time.Minute)
				s.wantProblem("permission_missing", true)
				if st := s.desk.Status(); st.Parked == 0 || st.Parked+st.Queued != 50 || st.Connection != offline.Online {
					t.Errorf("status %+v", st)
				}
				if s.cloud.sent() > 20 {
					t.Errorf("%d attempts without the permission", s.cloud.sent())
				}
				if restart {
					s.restart()
				}
				s.cloud.answers(func(offline.Operation) reply { return fine })
				pass(2 * time.Hour)
				for _, rec := range recs {
					s.want(rec, offline.Delivered, "")
				}
				s.wantProblem("permission_missing", false)
				s.stop()
			})
		})
	}
}

func TestUnsupportedKindIsPaused(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.cloud.answers(func(offline.Operation) reply { return absent })
		s.run()
		rec := s.sell("")
		pass(time.Hour)
		s.want(rec, offline.Queued, "")
		s.wantProblem("operation_unsupported", true)
		if s.cloud.sent() > 10 {
			t.Errorf("%d attempts in an hour", s.cloud.sent())
		}
		s.cloud.answers(func(offline.Operation) reply { return fine })
		ctx, cancel := contextFor(t, 30*time.Second)
		defer cancel()
		if st := s.desk.Drain(ctx); st.Delivered != 1 {
			t.Errorf("after drain: %+v", st)
		}
		s.stop()
	})
}

func TestPauseIsKeptOverARestart(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.run()
		pass(time.Second)
		if err := s.desk.Pause(t.Context(), tech); err != nil {
			t.Fatal(err)
		}
		rec := s.sell("")
		pass(time.Minute)
		s.restart()
		pass(time.Hour)
		s.wantConnection(offline.PausedConn)
		s.wantProblem("queue_paused", true)
		s.want(rec, offline.Queued, "")
		if err := s.desk.Resume(t.Context(), tech); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second)
		s.want(rec, offline.Delivered, "")
		s.restart()
		pass(time.Second)
		s.wantConnection(offline.Online)
		s.stop()
	})
}

func TestDrainEndsBackOff(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.cloud.answers(func(offline.Operation) reply { return unsent })
		s.run()
		rec := s.sell("")
		pass(2 * time.Hour)
		s.wantProblem("queue_late", true)
		s.cloud.probing(offline.ClassNotExecuted)
		pass(10 * time.Minute)
		s.want(rec, offline.Queued, "")
		s.wantConnection(offline.Offline)
		s.cloud.answers(func(offline.Operation) reply { return fine })
		s.cloud.probing(offline.ClassDelivered)
		ctx, cancel := contextFor(t, time.Second)
		defer cancel()
		if st := s.desk.Drain(ctx); st.Delivered != 1 || st.Connection != offline.Online {
			t.Errorf("drain within a second: %+v", st)
		}
		s.want(rec, offline.Delivered, "")
		s.stop()
	})
}

func TestClockSetBack(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		rec := s.sell("")
		op := s.op(rec)
		ahead := time.Now().Add(365 * 24 * time.Hour) // the clock was a year ahead when the attempt failed
		if err := s.mem.Begin(t.Context(), op.ID, 1, ahead); err != nil {
			t.Fatal(err)
		}
		err := s.mem.Finish(t.Context(), op.ID, 1, offline.Result{State: offline.Queued, NotBefore: ahead.Add(time.Second), FinishedAt: ahead})
		if err != nil {
			t.Fatal(err)
		}
		s.run()
		pass(5 * time.Second)
		s.want(rec, offline.Delivered, "")
		s.stop()
	})
}

func TestStopLetsAnswersComeIn(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		quick, slow := s.sell(""), s.sell("")
		id := s.op(slow).ID
		s.cloud.answers(func(op offline.Operation) reply {
			r := fine
			if r.takes = 3 * time.Second; op.ID == id {
				r.takes = time.Hour
			}
			return r
		})
		s.run()
		pass(1500 * time.Millisecond)
		s.stop()
		s.want(quick, offline.Delivered, "")
		s.want(slow, offline.Parked, offline.Unknown)
	})
}

// hung is a cloud that takes probes and never answers them.
type hung struct{ *cloud }

func (h hung) Probe(ctx context.Context) offline.Verdict {
	h.cloud.Probe(ctx)
	<-ctx.Done()
	return offline.Verdict{Class: offline.ClassDoubt}
}

func TestHungCloudIsAway(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t, func(c *offline.ForwarderConfig) { c.Cloud = hung{c.Cloud.(*cloud)} })
		s.run()
		rec := s.sell("")
		pass(10*time.Minute + 10*time.Second)
		s.want(rec, offline.Queued, "")
		s.wantConnection(offline.Offline)
		if n := s.cloud.probed(); n < 10 || n > 25 {
			t.Errorf("%d probes of half a minute each in ten minutes", n)
		}
		began := time.Now()
		s.stop() // in the middle of a probe
		if time.Since(began) > time.Second {
			t.Errorf("stopping took %v of fake time", time.Since(began))
		}
	})
}

func TestResendPolicy(t *testing.T) {
	in(t, func(t *testing.T) {
		audit := &auditLog{}
		s := newShop(t, func(c *offline.ForwarderConfig) {
			c.UnknownOutcome, c.UnknownOutcomeBy, c.Audit = offline.ResendUnknown, "Ana", audit
		})
		n := 0
		s.cloud.answers(func(offline.Operation) reply {
			if n++; n == 1 {
				return lost
			}
			return fine
		})
		s.run()
		rec := s.sell("")
		pass(time.Minute)
		s.want(rec, offline.Delivered, "")
		if got := s.cloud.executed(s.op(rec).ID); got != 2 {
			t.Errorf("%d executions; this policy doubles", got)
		}
		s.wantProblem("unknown_outcome_resend", true)
		s.restart()
		pass(time.Second)
		s.stop()
		if len(audit.rows) != 2 || audit.rows[0] != "Ana queue.resend_unknown purchase" {
			t.Errorf("audited %q, want a row for each start", audit.rows)
		}
		s.cfg.UnknownOutcomeBy = ""
		if _, err := offline.NewForwarder(s.cfg); err == nil {
			t.Error("resend without a name was taken")
		}
	})
}

func TestQueueEvents(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.run()
		for range 300 {
			s.sell("")
		}
		pass(10 * time.Minute)
		s.stop()
		events, err := s.mem.After(t.Context(), 0, []string{"queue"}, 10000)
		if err != nil || len(events) == 0 || len(events) > 30 {
			t.Fatalf("%d queue events, %v", len(events), err)
		}
		last := decode[offline.QueueStatus](s, events[len(events)-1].Data)
		if last.Delivered != 300 || last.Queued != 0 || last.Connection != offline.Online {
			t.Errorf("the last event says %+v", last)
		}
	})
}
