package payments_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/internal/journal"
	"storeagent/payments"
	"storeagent/payments/terminalsim"
)

// TestFollowUpsAreRefused names each thing that cannot be done to a payment.
func TestFollowUpsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, terminalsim.Options{})
		defer func() { s.stop() }()
		sale, refund, preauth := s.pay(payments.Sale, "20.00"), s.pay(payments.Refund, "5.00"), s.pay(payments.Preauth, "20.00")
		s.script("decline\napprove")
		declined := s.wait(s.begin(payments.Sale, "1.00").ID)
		more, usd := eur(t, "20.01"), eur(t, "1.00")
		ctx := t.Context()
		for name, tt := range map[string]struct {
			do   func() (payments.Payment, error)
			want error
		}{
			"capture of a sale":        {func() (payments.Payment, error) { return s.desk.Capture(ctx, sale.ID, nil, nothing) }, payments.ErrState},
			"capture of too much":      {func() (payments.Payment, error) { return s.desk.Capture(ctx, preauth.ID, &more, nothing) }, payments.ErrAmount},
			"tip on a refund":          {func() (payments.Payment, error) { return s.desk.Tip(ctx, refund.ID, usd, nothing) }, payments.ErrState},
			"tip on a preauth":         {func() (payments.Payment, error) { return s.desk.Tip(ctx, preauth.ID, usd, nothing) }, payments.ErrState},
			"void of a declined sale":  {func() (payments.Payment, error) { return s.desk.Void(ctx, declined.ID, nothing) }, payments.ErrState},
			"void of nothing":          {func() (payments.Payment, error) { return s.desk.Void(ctx, "x", nothing) }, journal.ErrNotFound},
			"refund of nothing":        {func() (payments.Payment, error) { return s.refund("x", "1.00") }, payments.ErrOriginal},
			"refund of a preauth":      {func() (payments.Payment, error) { return s.refund(preauth.ID, "1.00") }, payments.ErrOriginal},
			"refund of a refund":       {func() (payments.Payment, error) { return s.refund(refund.ID, "1.00") }, payments.ErrOriginal},
			"refund of more than paid": {func() (payments.Payment, error) { return s.refund(sale.ID, "20.01") }, payments.ErrAmount},
		} {
			if _, err := tt.do(); !errors.Is(err, tt.want) {
				t.Errorf("%s: %v, want %v", name, err, tt.want)
			}
		}
		if n := s.sim.Asked(); n != 4 {
			t.Errorf("the terminal was asked %d times", n)
		}
		for _, part := range []string{"15.00", "5.00"} {
			p, err := s.refund(sale.ID, part)
			if err != nil || p.OriginalPaymentID != sale.ID {
				t.Fatalf("refund of a sale: %+v, %v", p, err)
			}
			if p = s.wait(p.ID); p.State != payments.Approved {
				t.Errorf("refund ended %s", p.State)
			}
			if _, err := s.refund(sale.ID, "5.01"); !errors.Is(err, payments.ErrAmount) {
				t.Errorf("more than the whole sale was given back: %v", err)
			}
		}
		s.m.rows[sale.ID] = func(p payments.Payment) payments.Payment { p.Terminal = "sold"; return p }(s.m.rows[sale.ID])
		if _, err := s.desk.Void(ctx, sale.ID, nothing); !errors.Is(err, payments.ErrNoTerminal) {
			t.Errorf("void at a terminal that is gone: %v", err)
		}
	})
}

func (s *shop) refund(id, amount string) (payments.Payment, error) {
	return s.desk.Start(s.Context(), payments.Request{Type: payments.Refund, Amount: eur(s, amount), OriginalPaymentID: id}, nothing)
}

// TestOperationInDoubtBlocks keeps new money off the terminal while a void is unknown, until a person decides.
func TestOperationInDoubtBlocks(t *testing.T) {
	for outcome, want := range map[payments.State]struct{ op, payment payments.State }{
		payments.Approved: {payments.Approved, payments.Voided}, payments.Failed: {payments.Failed, payments.Approved},
	} {
		t.Run(string(outcome), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newShop(t, terminalsim.Options{NoLast: true}) // it cannot tell
				defer func() { s.stop() }()
				p := s.pay(payments.Sale, "20.00")
				s.h.CutAt(terminalsim.StepHost)
				if _, err := s.desk.Void(t.Context(), p.ID, nothing); err != nil {
					t.Fatal(err)
				}
				p = s.wait(p.ID)
				if o := p.Operations[0]; o.State != payments.Unresolved || p.State != payments.Approved {
					t.Fatalf("void %s, payment %s", o.State, p.State)
				}
				_, err := s.desk.Start(t.Context(), payments.Request{Type: payments.Sale, Amount: eur(t, "1.00")}, nothing)
				_, again := s.desk.Void(t.Context(), p.ID, nothing)
				_, closing := s.desk.EndOfDay(t.Context(), "front", "EUR", nil)
				for what, err := range map[string]error{"new money": err, "second void": again, "end of day": closing} {
					if !errors.Is(err, payments.ErrTerminalInDoubt) {
						t.Errorf("%s: %v", what, err)
					}
				}
				s.stop()
				s.open() // still so after a restart
				if got := s.desk.Terminals()[0].Blocking; got != p.ID {
					t.Errorf("blocked by %q", got)
				}
				p, err = s.desk.Resolve(t.Context(), p.ID, outcome, "slip says so", nothing)
				if err != nil || p.Operations[0].State != want.op || p.State != want.payment {
					t.Fatalf("resolved: %+v, %v", p, err)
				}
				<-time.After(time.Second)
				s.pay(payments.Sale, "3.00")
			})
		})
	}
}

// TestDiskFailsAtEveryWriteOfAVoid makes the Nth write fail until a void runs through.
func TestDiskFailsAtEveryWriteOfAVoid(t *testing.T) {
	for n := 1; ; n++ {
		var clean bool
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, terminalsim.Options{})
			defer func() { s.stop() }()
			p := s.pay(payments.Sale, "20.00")
			s.m.mu.Lock()
			s.m.writes, s.m.failAt = 0, n
			s.m.mu.Unlock()
			_, err := s.desk.Void(t.Context(), p.ID, nothing)
			if n == 1 {
				if !errors.Is(err, errDisk) || s.sim.Asked() != 1 {
					t.Errorf("void on a refusing disk: %v, %d commands", err, s.sim.Asked())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p = s.wait(p.ID)
			s.agree(movements[3], 1, p)
			s.m.mu.Lock()
			clean = s.m.writes < n
			s.m.mu.Unlock()
		})
		if clean || t.Failed() {
			if n < 6 {
				t.Errorf("only %d writes were made to fail", n)
			}
			return
		}
	}
}

// TestSlipsOfARecoveredPayment shows that a payment whose slips were lost with the line gets them afterwards.
func TestSlipsOfARecoveredPayment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, terminalsim.Options{LostAck: terminalsim.Keeps})
		defer func() { s.stop() }()
		s.pay(payments.Sale, "20.00")
		s.h.CutAt(terminalsim.StepResultSent)
		p := s.wait(s.begin(payments.Sale, "20.00").ID)
		if p.State != payments.Approved || len(p.Receipt.Customer) == 0 || len(p.Receipt.Merchant) == 0 {
			t.Errorf("%s with slips %+v", p.State, p.Receipt)
		}
	})
}

func TestEndOfDayIsCompared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, terminalsim.Options{})
		defer func() { s.stop() }()
		closing := func() payments.Closing {
			t.Helper()
			c, err := s.desk.EndOfDay(t.Context(), "front", "EUR", func(payments.Closing) journal.Entry { return journal.Entry{} })
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		follow := func(p payments.Payment, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			if p = s.wait(p.ID); outcome(p) != payments.Approved {
				t.Fatalf("%+v", p)
			}
		}
		first := s.pay(payments.Sale, "20.00")
		s.pay(payments.Refund, "5.00")
		follow(s.desk.Tip(t.Context(), first.ID, eur(t, "2.00"), nothing))
		voided := s.pay(payments.Sale, "7.00")
		follow(s.desk.Void(t.Context(), voided.ID, nothing))
		reserved := s.pay(payments.Preauth, "50.00")
		used := eur(t, "30.00")
		captured := s.pay(payments.Preauth, "40.00")
		follow(s.desk.Capture(t.Context(), captured.ID, &used, nothing))
		freed := s.pay(payments.Preauth, "9.00")
		follow(s.desk.Void(t.Context(), freed.ID, nothing))

		look, err := s.desk.Totals(t.Context(), "front", "EUR")
		if err != nil || look.ID != "" || len(look.Differences) != 0 {
			t.Errorf("totals: %+v, %v", look, err)
		}
		c := closing()
		if len(c.Differences) != 0 || c.Journal.Count != 3 || c.Journal.Amount.String() != "47.00" || c.Counted.Amount.String() != "47.00" || c.Since != nil || len(c.Counted.Slip) == 0 {
			t.Errorf("first day: %+v, counted %+v", c, c.Counted)
		}
		if c := closing(); len(c.Differences) != 0 || c.Journal.Count != 0 || c.Since == nil {
			t.Errorf("empty day: %+v, counted %+v", c, c.Counted)
		}
		if reserved.CapturedAmount != nil {
			t.Errorf("captured %v", reserved.CapturedAmount)
		}
		<-time.After(time.Second) // the terminal here needs no time at all
		p := s.pay(payments.Sale, "11.00")
		s.m.mu.Lock()
		delete(s.m.rows, p.ID) // the journal lost one
		s.m.order = slices.DeleteFunc(s.m.order, func(id string) bool { return id == p.ID })
		s.m.mu.Unlock()
		s.pay(payments.Sale, "4.00")
		want := []payments.Difference{{What: "count", Terminal: "2", Journal: "1"}, {What: "amount", Terminal: "15.00", Journal: "4.00"}}
		if c := closing(); !slices.Equal(c.Differences, want) {
			t.Errorf("differences %+v, want %+v", c.Differences, want)
		}
	})
}

// TestNoEndOfDayBesideAPayment keeps the two apart in both orders.
func TestNoEndOfDayBesideAPayment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, terminalsim.Options{})
		defer func() { s.stop() }()
		s.script("wait\napprove")
		p := s.begin(payments.Sale, "20.00")
		<-time.After(time.Second)
		if _, err := s.desk.EndOfDay(t.Context(), "front", "EUR", nil); !errors.Is(err, payments.ErrTerminalBusy) {
			t.Errorf("end of day during a payment: %v", err)
		}
		if err := s.desk.Display(t.Context(), "front", []string{"a"}, 0); !errors.Is(err, payments.ErrTerminalBusy) {
			t.Errorf("display during a payment: %v", err)
		}
		if _, err := s.desk.Cancel(t.Context(), p.ID); err != nil {
			t.Errorf("cancel: %v", err)
		}
		if p = s.wait(p.ID); p.State != payments.Canceled {
			t.Errorf("ended %s", p.State)
		}
		if err := s.desk.Display(t.Context(), "front", []string{"Grüße", "12,50"}, 5*time.Second); err != nil || s.sim.Shown() != "Gr\x81\xe1e\n12,50" {
			t.Errorf("display shows %q, %v", s.sim.Shown(), err)
		}
		for _, err := range []error{s.desk.Display(t.Context(), "x", nil, 0), func() error { _, err := s.desk.Totals(t.Context(), "x", "EUR"); return err }()} {
			if !errors.Is(err, payments.ErrNoTerminal) {
				t.Errorf("unknown terminal: %v", err)
			}
		}
	})
}

// plain is a terminal that can only take payments.
type plain struct{ *terminal }

func (plain) Caps() payments.Caps { return payments.Caps{Sale: true} }

func TestTerminalWithoutServices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		term := &terminal{aborted: make(chan struct{})}
		term.do = term.approve(never)
		m := newMemory()
		d := payments.NewDesk(payments.DeskConfig{Journal: m, Terminals: []payments.Terminal{plain{term}}, Log: discard()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- d.Run(ctx) }()
		s := &store{Desk: d, journal: m}
		p, err := s.start(t)
		if err != nil {
			t.Fatal(err)
		}
		p = s.wait(t, p.ID, time.Minute)
		_, voided := d.Void(ctx, p.ID, nothing)
		_, closed := d.EndOfDay(ctx, "front", "USD", nil)
		for what, err := range map[string]error{"void": voided, "end of day": closed, "display": d.Display(ctx, "front", []string{"a"}, 0)} {
			if !errors.Is(err, payments.ErrUnsupported) {
				t.Errorf("%s: %v", what, err)
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestOrphans reports an approval once that no sale claims, and forgets it when one does or it is voided.
func TestOrphans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, terminalsim.Options{})
		defer func() { s.stop() }()
		a, b, c := s.pay(payments.Sale, "1.00"), s.pay(payments.Sale, "2.00"), s.pay(payments.Sale, "3.00")
		s.m.claim(c.ID, "sale-1")
		<-time.After(14 * time.Minute)
		if got := s.desk.Orphans(); len(got) != 0 {
			t.Fatalf("too early: %+v", got)
		}
		<-time.After(2 * time.Minute)
		got := s.desk.Orphans()
		if len(got) != 2 || got[0].ID != b.ID || got[1].ID != a.ID || got[0].AlarmedAt == nil {
			t.Fatalf("orphans %+v", got)
		}
		s.m.claim(a.ID, "sale-2")
		if _, err := s.desk.Void(t.Context(), b.ID, nothing); err != nil {
			t.Fatal(err)
		}
		if p := s.wait(b.ID); p.State != payments.Voided {
			t.Fatalf("void: %+v", p)
		}
		<-time.After(time.Minute)
		if got := s.desk.Orphans(); len(got) != 0 {
			t.Errorf("still there: %+v", got)
		}
		s.stop()
		s.open()
		<-time.After(time.Hour)
		if n := s.m.alarms(a.ID) + s.m.alarms(b.ID) + s.m.alarms(c.ID); n != 2 {
			t.Errorf("%d alarms", n)
		}
	})
}

// TestOrphanOfAnotherClock: an approval that bears a time to come, because the clock was set back, is not kept quiet until
// then.
func TestOrphanOfAnotherClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, terminalsim.Options{})
		defer func() { s.stop() }()
		p := s.pay(payments.Sale, "1.00")
		s.m.mu.Lock()
		row := s.m.rows[p.ID]
		at := row.FinishedAt.Add(365 * 24 * time.Hour)
		row.FinishedAt = &at
		s.m.rows[p.ID] = row
		s.m.mu.Unlock()
		<-time.After(time.Minute)
		if got := s.desk.Orphans(); len(got) != 1 || got[0].ID != p.ID || got[0].AlarmedAt == nil {
			t.Errorf("orphans %+v", got)
		}
	})
}

// TestTerminalIsCured makes a terminal ready that wants an initialisation or a diagnosis.
func TestTerminalIsCured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, terminalsim.Options{})
		defer func() { s.stop() }()
		for _, code := range []byte{0x51, 0xC2, 0x00} {
			s.sim.SetStatus(code)
			info, err := s.desk.TerminalStatus(t.Context(), "front")
			if err != nil || info.Status.Text != "ready" || info.State != devices.Ready {
				t.Errorf("status %02X: %+v, %v", code, info, err)
			}
		}
		s.sim.SetStatus(0xCC)
		if info, err := s.desk.TerminalStatus(t.Context(), "front"); err != nil || info.State != devices.Error {
			t.Errorf("status CC: %+v, %v", info, err)
		}
	})
}

// TestLogOff leaves a terminal free for use by hand when the agent stops, and as it is when it is killed at work.
func TestLogOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, terminalsim.Options{})
		s.pay(payments.Sale, "1.00")
		if !s.sim.Registered() {
			t.Error("not registered")
		}
		synctest.Wait() // the driver too is through with it
		s.stop()
		if s.sim.Registered() {
			t.Error("still logged on after the agent stopped")
		}
		s.open()
		s.script("wait")
		p := s.begin(payments.Sale, "1.00")
		<-time.After(time.Second)
		began := time.Now()
		s.stop()
		if d := time.Since(began); d != 0 || !s.sim.Registered() { // time is fake: nothing may wait
			t.Errorf("stopping during a payment took %v; registered: %v", d, s.sim.Registered())
		}
		s.open()
		if p = s.wait(p.ID); p.State != payments.Failed {
			t.Errorf("ended %s", p.State)
		}
		s.stop()
	})
}
