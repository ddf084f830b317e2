package payments_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/terminalsim"
	"storeagent/payments/terminaltest"
	"storeagent/payments/zvt"
)

// mortal is a journal as one run of the agent sees it: after its kill nothing reaches the disk any more.
type mortal struct {
	*memory
	dead atomic.Bool
}

var errDead = errors.New("the process is dead")

func (m *mortal) Update(ctx context.Context, p payments.Payment, e ...journal.Event) error {
	if m.dead.Load() {
		return errDead
	}
	return m.memory.Update(ctx, p, e...)
}

// shop is Desk, ZVT driver and simulated terminal together.
type shop struct {
	*testing.T
	sim *terminalsim.ZVT
	rig *terminaltest.Rig
	h   terminaltest.Harness // the rig's hooks
	m   *memory
	log *bytes.Buffer

	run  *mortal
	desk *payments.Desk
	stop func()
}

func newShop(t *testing.T, o terminalsim.Options) *shop {
	s := &shop{T: t, m: newMemory(), rig: terminaltest.NewRig(false, terminalsim.StepResultAck), log: &bytes.Buffer{}}
	o.Password, o.OnStep = "123456", s.rig.Step
	s.sim = terminalsim.NewZVT(o)
	s.rig.Start(t, func(ctx context.Context, rw io.ReadWriteCloser) error { return s.sim.ServeTCP(ctx, rw.(net.Conn)) })
	s.h = s.rig.Join(terminaltest.Harness{})
	s.open()
	return s
}

// open starts an agent over the journal.
func (s *shop) open() {
	s.Helper()
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(locked{&mu, s.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	term, err := zvt.New(zvt.Config{Name: "front", Port: "pipe", Open: s.rig.Open, Log: log, Options: zvt.Options{Password: "123456", Print: true, Currency: "EUR"}})
	if err != nil {
		s.Fatal(err)
	}
	run := &mortal{memory: s.m}
	s.run = run
	s.desk = payments.NewDesk(payments.DeskConfig{Journal: run, Terminals: []payments.Terminal{term}, Log: log})
	ctx, cancel := context.WithCancel(s.Context())
	var wg sync.WaitGroup
	for _, f := range []func(context.Context) error{term.Run, s.desk.Run} {
		wg.Go(func() {
			if err := f(ctx); err != nil && !run.dead.Load() {
				s.Errorf("Run: %v", err)
			}
		})
	}
	s.stop = func() { cancel(); wg.Wait() }
	<-time.After(10 * time.Second) // registered by now
}

type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}

// kill ends the agent as SIGKILL does: from now on nothing is written.
func (s *shop) kill() { s.run.dead.Store(true) }

func (s *shop) script(text string) {
	s.Helper()
	b, err := terminalsim.ParseScript(text)
	if err != nil {
		s.Fatal(err)
	}
	s.sim.SetScript(b)
}

func eur(t testing.TB, text string) money.Amount {
	t.Helper()
	a, err := money.Parse(text, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func nothing(payments.Payment) journal.Entry { return journal.Entry{} }

func (s *shop) begin(typ payments.Type, amount string) payments.Payment {
	s.Helper()
	p, err := s.desk.Start(s.Context(), payments.Request{Type: typ, Amount: eur(s, amount)}, nothing)
	if err != nil {
		s.Fatalf("start %s of %s: %v", typ, amount, err)
	}
	return p
}

func (s *shop) wait(id string) payments.Payment {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Hour)
	defer cancel()
	p, err := s.desk.Wait(ctx, id)
	if err != nil {
		s.Fatal(err)
	}
	return p
}

// pay makes a payment that must be approved.
func (s *shop) pay(typ payments.Type, amount string) payments.Payment {
	s.Helper()
	p := s.wait(s.begin(typ, amount).ID)
	if p.State != payments.Approved {
		s.Fatalf("%s of %s ended %s: %s", typ, amount, p.State, p.Problem)
	}
	return p
}

// movement is one thing that can be done, and how the ledger's last charge shows that it happened.
type movement struct {
	name string
	// begin does it and gives the payment; before it ran, prepare made what it works on.
	prepare func(s *shop) payments.Payment
	begin   func(s *shop, p payments.Payment) (payments.Payment, error)
	done    func(c terminalsim.Charge) bool
}

func starts(typ payments.Type, done func(terminalsim.Charge) bool) movement {
	return movement{name: string(typ), done: done,
		prepare: func(s *shop) payments.Payment { return s.pay(typ, "20.00") }, // an equal one before
		begin: func(s *shop, _ payments.Payment) (payments.Payment, error) {
			return s.desk.Start(s.Context(), payments.Request{Type: typ, Amount: eur(s, "20.00")}, nothing)
		}}
}

func void(s *shop, p payments.Payment) (payments.Payment, error) {
	return s.desk.Void(s.Context(), p.ID, nothing)
}

var movements = []movement{
	starts(payments.Sale, func(c terminalsim.Charge) bool { return c.Standing() && !c.Refund && !c.Preauth }),
	starts(payments.Refund, func(c terminalsim.Charge) bool { return c.Standing() && c.Refund }),
	starts(payments.Preauth, func(c terminalsim.Charge) bool { return c.Standing() && c.Preauth }),
	{name: "void", begin: void,
		prepare: func(s *shop) payments.Payment { return s.pay(payments.Sale, "20.00") },
		done:    func(c terminalsim.Charge) bool { return c.Reversed }},
	{name: "cancel preauth", begin: void,
		prepare: func(s *shop) payments.Payment { return s.pay(payments.Preauth, "20.00") },
		done:    func(c terminalsim.Charge) bool { return c.Reversed }},
	{name: "capture",
		prepare: func(s *shop) payments.Payment { return s.pay(payments.Preauth, "20.00") },
		begin: func(s *shop, p payments.Payment) (payments.Payment, error) {
			used := eur(s, "13.70")
			return s.desk.Capture(s.Context(), p.ID, &used, nothing)
		},
		done: func(c terminalsim.Charge) bool { return !c.Preauth && c.Amount == 1370 }},
	{name: "tip",
		prepare: func(s *shop) payments.Payment { return s.pay(payments.Sale, "20.00") },
		begin: func(s *shop, p payments.Payment) (payments.Payment, error) {
			return s.desk.Tip(s.Context(), p.ID, eur(s, "2.00"), nothing)
		},
		done: func(c terminalsim.Charge) bool { return c.Tip == 200 && c.Amount == 2200 }},
}

// outcome is how the last movement of p ended.
func outcome(p payments.Payment) payments.State {
	if n := len(p.Operations); n > 0 {
		return p.Operations[n-1].State
	}
	return p.State
}

// agree holds the journal's word against the terminal's ledger.
func (s *shop) agree(mv movement, charges int, p payments.Payment) {
	s.Helper()
	state := outcome(p)
	if !slices.Contains([]payments.State{payments.Approved, payments.Failed, payments.Reversed, payments.Canceled, payments.Declined}, state) {
		s.Fatalf("ended %s: %+v", state, p)
	}
	all := s.sim.Charges()
	if len(p.Operations) > 0 && len(all) != charges || len(all) > charges+1 {
		s.Fatalf("%d charges before, now %+v", charges, all)
	}
	happened := len(all) > 0 && mv.done(all[len(all)-1]) && (len(p.Operations) > 0 || len(all) == charges+1)
	if happened != (state == payments.Approved) {
		s.Errorf("journal says %s, terminal %v: %+v", state, happened, all)
	}
	switch {
	case state == payments.Approved && slices.Contains([]string{"void", "cancel preauth"}, mv.name) != (p.State == payments.Voided):
		s.Errorf("after an approved %s the payment is %s", mv.name, p.State)
	case state == payments.Approved && mv.name == "capture" && (p.CapturedAmount == nil || p.CapturedAmount.String() != "13.70" || p.State != payments.Approved):
		s.Errorf("captured %v, %s", p.CapturedAmount, p.State)
	case state == payments.Approved && mv.name == "tip" && (p.TipAmount == nil || p.TipAmount.String() != "2.00"):
		s.Errorf("tip %v", p.TipAmount)
	case len(p.Operations) > 0 && state != payments.Approved && p.State != payments.Approved:
		s.Errorf("after a %s %s the payment is %s", state, mv.name, p.State)
	}
}

// TestJournalAgreesWithTheTerminal loses the line, stops the agent, or kills it, at every step of every movement, with
// terminals of every manner.
func TestJournalAgreesWithTheTerminal(t *testing.T) {
	for _, way := range []terminalsim.LostAck{terminalsim.Reverses, terminalsim.Keeps, terminalsim.Declines} {
		for _, shows := range []bool{false, true} {
			if shows && way != terminalsim.Reverses {
				continue // there is no reversal to show
			}
			for _, mv := range movements {
				for _, step := range append(terminalsim.Steps(), terminalsim.StepLastReceived, terminalsim.StepLastSent) {
					for _, how := range []string{"cut", "stop", "kill"} {
						t.Run(fmt.Sprintf("%s/%v/%s/%s/%s", way, shows, mv.name, step, how), func(t *testing.T) {
							synctest.Test(t, func(t *testing.T) {
								s := newShop(t, terminalsim.Options{LostAck: way, ShowReversals: shows})
								defer func() { s.stop() }()
								hurt(s, mv, step, how)
							})
						})
					}
				}
			}
		}
	}
}

func hurt(s *shop, mv movement, step, how string) {
	before := mv.prepare(s)
	charges := len(s.sim.Charges())
	synctest.Wait()
	switch how {
	case "cut":
		s.h.CutAt(step)
	case "stop":
		stop := s.stop
		s.h.At(step, func() { go stop() })
	default:
		stop, kill := s.stop, s.kill
		s.h.At(step, func() { kill(); go stop() })
	}
	p, err := mv.begin(s, before)
	if err != nil {
		s.Fatal(err)
	}
	<-time.After(20 * time.Minute)
	if how != "cut" {
		s.stop()
		s.open()
	}
	p = s.wait(p.ID)
	s.agree(mv, charges, p)
	s.h.CutAt("")
	s.pay(payments.Sale, "20.00")
}

// TestDeclinedFollowUpLeavesThePayment shows that a refused void, capture or tip changes nothing.
func TestDeclinedFollowUpLeavesThePayment(t *testing.T) {
	for _, mv := range movements[3:] {
		for _, script := range []string{"decline=05", "cancel", "refuse=83", "bareabort"} {
			t.Run(mv.name+" "+script, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newShop(t, terminalsim.Options{})
					defer func() { s.stop() }()
					before := mv.prepare(s)
					s.script(script)
					p, err := mv.begin(s, before)
					if err != nil {
						t.Fatal(err)
					}
					p = s.wait(p.ID)
					if state := outcome(p); state == payments.Approved || p.State != payments.Approved {
						t.Errorf("operation %s, payment %s", state, p.State)
					}
					s.agree(mv, 1, p)
					s.script("approve")
					p, err = mv.begin(s, p)
					if err != nil {
						t.Fatal(err)
					}
					if p = s.wait(p.ID); outcome(p) != payments.Approved || len(p.Operations) != 2 {
						t.Errorf("second try: %+v", p)
					}
				})
			})
		}
	}
}

// TestLateAnswerOfAnEarlierPayment lets an approval come when the payment is long settled and the next one runs.
func TestLateAnswerOfAnEarlierPayment(t *testing.T) {
	for _, late := range []int{310, 330, 400, 700} {
		synctest.Test(t, func(t *testing.T) {
			s := newShop(t, terminalsim.Options{})
			defer func() { s.stop() }()
			s.pay(payments.Sale, "8.00")
			s.script(fmt.Sprintf("late=%d\napprove", late))
			first := s.wait(s.begin(payments.Sale, "8.00").ID)
			second := s.wait(s.begin(payments.Sale, "8.00").ID)
			standing := 0
			for _, c := range s.sim.Charges() {
				if c.Standing() {
					standing++
				}
			}
			approved := 1
			for _, p := range []payments.Payment{first, second} {
				if p.State == payments.Unresolved {
					t.Fatalf("late by %d s: %+v", late, p)
				}
				if p.State == payments.Approved {
					approved++
				}
			}
			if approved != standing || second.State != payments.Approved {
				t.Errorf("late by %d s: first %s, second %s, %d charges stand", late, first.State, second.State, standing)
			}
		})
	}
}

// TestClockSkew lets the terminal's clock be wrong: recovery must not take another payment for ours, nor miss ours
// where the skew is known.
func TestClockSkew(t *testing.T) {
	for _, skew := range []time.Duration{-26 * time.Hour, -3 * time.Hour, -4 * time.Minute, 4 * time.Minute, 3 * time.Hour, 30 * 24 * time.Hour} {
		for _, tells := range []bool{false, true} {
			t.Run(fmt.Sprint(skew, tells), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s := newShop(t, terminalsim.Options{LostAck: terminalsim.Keeps, ClockOffset: skew, TellTime: tells})
					defer func() { s.stop() }()
					s.pay(payments.Sale, "8.00")
					s.h.CutAt(terminalsim.StepResultSent)
					p := s.wait(s.begin(payments.Sale, "8.00").ID)
					if p.State != payments.Approved {
						t.Errorf("ended %s: %s", p.State, p.Problem)
					}
				})
			})
		}
	}
}

// TestCancelRacesApproval cancels at every step: what the terminal says in the end counts.
func TestCancelRacesApproval(t *testing.T) {
	for _, mv := range []movement{movements[0], movements[3], movements[5]} {
		for _, script := range []string{"approve slow=1", "race", "wait"} {
			for _, step := range terminalsim.Steps() {
				t.Run(mv.name+"/"+script+"/"+step, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						s := newShop(t, terminalsim.Options{})
						defer func() { s.stop() }()
						before := mv.prepare(s)
						charges := len(s.sim.Charges())
						s.script(script)
						asked := make(chan error, 1)
						reached := make(chan struct{})
						s.h.At(step, func() { close(reached) })
						p, err := mv.begin(s, before)
						if err != nil {
							t.Fatal(err)
						}
						id := p.ID
						go func() {
							select {
							case <-reached:
							case <-time.After(time.Minute): // a card that never comes
							}
							_, err := s.desk.Cancel(t.Context(), id)
							asked <- err
						}()
						p = s.wait(p.ID)
						if err := <-asked; err != nil && !errors.Is(err, payments.ErrState) {
							t.Errorf("cancel: %v", err)
						}
						s.agree(mv, charges, p)
					})
				})
			}
		}
	}
}

// TestNoCardNumberSurvives puts a whole card number into every place of the protocol that has room for one, and
// looks for it in all that leaves the driver: journal, events, log and devices.
func TestNoCardNumberSurvives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t, terminalsim.Options{})
		s.script("fullpan wrongpin slow=1")
		p := s.pay(payments.Sale, "20.00")
		for _, do := range []func() (payments.Payment, error){
			func() (payments.Payment, error) { return s.desk.Tip(t.Context(), p.ID, eur(t, "2.00"), nothing) },
			func() (payments.Payment, error) { return s.desk.Void(t.Context(), p.ID, nothing) },
		} {
			if _, err := do(); err != nil {
				t.Fatal(err)
			}
			if p := s.wait(p.ID); outcome(p) != payments.Approved {
				t.Fatalf("%+v", p)
			}
		}
		s.script("fullpan cut=" + terminalsim.StepPrinted)
		recovered := s.wait(s.begin(payments.Sale, "20.00").ID)
		closing, err := s.desk.EndOfDay(t.Context(), "front", "EUR", func(payments.Closing) journal.Entry { return journal.Entry{} })
		if err != nil || len(closing.Counted.Slip) == 0 {
			t.Fatalf("end of day: %+v, %v", closing, err)
		}
		s.stop()
		var all bytes.Buffer
		all.Write(s.log.Bytes())
		for _, e := range s.m.events {
			all.Write(e.Data)
		}
		fmt.Fprintf(&all, "%+v %+v %+v %+v %+v", s.m.rows, closing, closing.Counted, recovered, s.desk.Terminals())
		for _, row := range s.m.rows {
			fmt.Fprintf(&all, "%+v", row.Told)
			for _, o := range row.Operations {
				fmt.Fprintf(&all, "%+v %+v", o.Told, o.Receipt)
			}
		}
		text := all.String()
		packed := "\x41\x11\x11\x11\x11\x11\x11\x11"
		for _, form := range []string{terminaltest.TestPAN, "4111 1111 1111 1111", packed, "A" + strings.Repeat("\x11", 7)} {
			if at := strings.Index(text, form); at >= 0 {
				t.Errorf("%q found: …%s", form, text[max(0, at-80):at+len(form)])
			}
		}
		if !strings.Contains(text, "************1111") || !strings.Contains(text, "from terminal") {
			t.Error("the search looked at nothing")
		}
		if strings.Contains(text, "123456") {
			t.Error("the terminal's password is there")
		}
	})
}
