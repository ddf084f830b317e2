package payments_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/payments"
)

// TestEndIsNotOverwritten: a driver that speaks on after its Do returned changes nothing any more.
func TestEndIsNotOverwritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events payments.Events
		term := &terminal{}
		term.do = func(ctx context.Context, x payments.Txn, ev payments.Events) error {
			events = ev
			return term.approve(never)(ctx, x, ev)
		}
		s := open(t, newMemory(), term)
		p, err := s.start(t)
		if err != nil {
			t.Fatal(err)
		}
		s.wait(t, p.ID, time.Minute)
		events.Prompt(payments.Prompt{Code: "wait", Text: "please wait"})
		if err := events.CommitOutcome(payments.Outcome{State: payments.Declined}); err == nil {
			t.Error("an outcome was taken for a payment that had its end")
		}
		if p, err = s.Payment(t.Context(), p.ID); err != nil || p.State != payments.Approved || p.Prompt != nil {
			t.Errorf("%+v %v", p, err)
		}
		s.stop()
	})
}

// stopping is a terminal whose Abort is scripted.
type stopping struct {
	*terminal
	stop func()
}

func (s stopping) Abort(context.Context) error { s.stop(); return nil }

// TestCancelMeetsTheEnd cancels payments that end by themselves meanwhile: however the two meet, the end stays.
func TestCancelMeetsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := &terminal{}
		term.do = term.approve(never)
		s := openWith(t, newMemory(), stopping{term, func() {}})
		for range 500 {
			p, err := s.start(t)
			if err != nil {
				t.Fatal(err)
			}
			through := make(chan struct{})
			go func() {
				defer close(through)
				_, _ = s.Cancel(t.Context(), p.ID) // refused where it came too late
			}()
			ended := s.wait(t, p.ID, time.Minute)
			<-through
			if p, err = s.Payment(t.Context(), p.ID); err != nil || p.State != ended.State || !p.Settled() {
				t.Fatalf("ended %s, then %s, %v", ended.State, p.State, err)
			}
		}
	})
}

// TestCancelReachesNoLaterPayment holds the wish to stop a payment back until that has ended by itself: the next one
// begins only when the wish is through.
func TestCancelReachesNoLaterPayment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, held, first := make(chan struct{}), make(chan struct{}), make(chan struct{})
		order := make(chan string, 4)
		term := &terminal{}
		term.do = func(ctx context.Context, x payments.Txn, ev payments.Events) error {
			order <- "payment"
			return term.approve(func(step string) error {
				if step == "sent" {
					<-first
				}
				return nil
			})(ctx, x, ev)
		}
		s := openWith(t, newMemory(), stopping{term, func() {
			close(asked)
			<-held
			order <- "stop"
		}})
		p, err := s.start(t)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		canceled := make(chan error, 1)
		go func() {
			_, err := s.Cancel(t.Context(), p.ID)
			canceled <- err
		}()
		<-asked
		close(first)
		if p = s.wait(t, p.ID, time.Minute); p.State != payments.Approved {
			t.Fatalf("ended %s: %s", p.State, p.Problem)
		}
		if p, err = s.start(t); err != nil {
			t.Fatal(err)
		}
		close(held)
		if err := <-canceled; err != nil {
			t.Errorf("cancel: %v", err)
		}
		if p = s.wait(t, p.ID, time.Minute); p.State != payments.Approved {
			t.Errorf("the next payment ended %s: %s", p.State, p.Problem)
		}
		if got := []string{<-order, <-order, <-order}; !slices.Equal(got, []string{"payment", "stop", "payment"}) {
			t.Errorf("order %v", got)
		}
	})
}
