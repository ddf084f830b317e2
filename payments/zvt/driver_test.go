package zvt_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/terminalsim"
	"storeagent/payments/terminaltest"
	"storeagent/payments/zvt"
)

// ledger is the payments.Events of one test payment.
type ledger struct {
	base    payments.Baseline
	sent    bool
	told    []payments.Outcome
	prompts []payments.Prompt
	receipt payments.Receipt
	began   time.Time
	prompt  func()
}

func (l *ledger) Sending(b payments.Baseline) error { l.base, l.sent = b, true; return nil }
func (l *ledger) Prompt(p payments.Prompt) {
	l.prompts = append(l.prompts, p)
	if l.prompt != nil {
		l.prompt()
	}
}
func (l *ledger) CommitOutcome(o payments.Outcome) error { l.told = append(l.told, o); return nil }
func (l *ledger) CommitReceipt(r payments.Receipt) error { l.receipt = r; return nil }
func (l *ledger) payment(a money.Amount) payments.Attempt {
	p := payments.Attempt{Txn: payments.Txn{Kind: payments.DoSale, Amount: a}, StartedAt: l.began, Baseline: l.base}
	if n := len(l.told); n > 0 {
		p.Told = &l.told[n-1]
	}
	return p
}

func cents(t *testing.T, n int64) money.Amount {
	t.Helper()
	a, err := money.FromMinor(n, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func pay(ctx context.Context, t *testing.T, term payments.Terminal, amount money.Amount) (*ledger, error) {
	t.Helper()
	l := &ledger{began: time.Now()}
	return l, term.Do(ctx, payments.Txn{PaymentID: "p", Kind: payments.DoSale, Amount: amount}, l)
}

// inBoth runs f in a bubble over serial and over TCP.
func inBoth(t *testing.T, o terminalsim.Options, f func(t *testing.T, r *rig)) {
	for _, line := range []string{"serial", "tcp"} {
		t.Run(line, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, newRig(t, line == "serial", o)) })
		})
	}
}

func TestScripts(t *testing.T) {
	for _, c := range []struct {
		script  string
		state   payments.State // "": in doubt
		notSent bool
		after   payments.Verdict // of Recover, where in doubt
	}{
		{script: "approve", state: payments.Approved},
		{script: "approve slow=5", state: payments.Approved},
		{script: "partial=500", state: payments.Approved},
		{script: "unknownbmp", state: payments.Approved},
		{script: "bareabort", state: payments.Canceled},
		{script: "decline=33", state: payments.Declined},
		{script: "decline=A3", state: payments.Failed},
		{script: "refuse=9C", notSent: true},
		{script: "noresult", after: payments.Known},
		{script: "approvethenabort", after: payments.NotCharged},
		{script: "nonsense", after: payments.Known},
		{script: "deaf", after: payments.NotCharged},
		{script: "lostack=keeps", after: payments.Known},
		{script: "lostack=reverses", after: payments.NotCharged},
		{script: "lostack=declines", after: payments.NotCharged},
	} {
		t.Run(c.script, func(t *testing.T) {
			inBoth(t, terminalsim.Options{}, func(t *testing.T, r *rig) {
				term := r.driver()
				ctx := terminaltest.Running(t, term)
				if _, err := pay(ctx, t, term, cents(t, 1016)); err != nil {
					t.Fatal(err)
				}
				r.script(c.script)
				l, err := pay(ctx, t, term, cents(t, 1016))
				switch {
				case c.notSent:
					if !errors.Is(err, payments.ErrNotSent) || !l.sent {
						t.Fatalf("Do: %v", err)
					}
				case c.state != "":
					if err != nil || len(l.told) != 1 || l.told[0].State != c.state {
						t.Fatalf("Do: %v, %+v", err, l.told)
					}
				default:
					if err == nil || errors.Is(err, payments.ErrNotSent) {
						t.Fatalf("Do: %v, %+v", err, l.told)
					}
					terminaltest.Ready(t, term)
					v, out, err := term.Recover(ctx, l.payment(cents(t, 1016)))
					if err != nil || v != c.after || v == payments.Known && out.State != payments.Approved {
						t.Fatalf("Recover: %d %+v %v", v, out, err)
					}
				}
			})
		})
	}
}

// TestLinesAndBlocksAreOneSlip: slips are asked for as text blocks, and a terminal that only prints line by line gives
// the same receipt, the end of day too.
func TestLinesAndBlocksAreOneSlip(t *testing.T) {
	var slips []payments.Receipt
	var closing [][]string
	for _, lines := range []bool{false, true} {
		var log strings.Builder // written by the owner goroutine, read after it ended
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, true, terminalsim.Options{NoBlocks: lines})
			term, err := zvt.New(zvt.Config{
				Name: "front", Open: r.Open, Serial: true, Options: r.opt,
				Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { defer close(ended); _ = term.Run(ctx) }()
			terminaltest.Ready(t, term)
			l, err := pay(ctx, t, term, cents(t, 1016))
			if err != nil || len(l.receipt.Merchant) < 5 || len(l.receipt.Customer) < 5 {
				t.Fatalf("%v %+v", err, l.receipt)
			}
			slips = append(slips, l.receipt)
			day, err := term.EndOfDay(ctx)
			if err != nil || len(day.Slip) == 0 {
				t.Fatalf("%v %+v", err, day)
			}
			closing = append(closing, day.Slip)
			cancel()
			<-ended
		})
		if blocks := strings.Contains(log.String(), "06 D3"); blocks == lines {
			t.Errorf("terminal that only prints lines: %v, text blocks on the wire: %v\n%s", lines, blocks, log.String())
		}
	}
	if !reflect.DeepEqual(slips[0], slips[1]) || !reflect.DeepEqual(closing[0], closing[1]) {
		t.Errorf("blocks %q %q\n lines %q %q", slips[0], closing[0], slips[1], closing[1])
	}
}

func TestPartialApproval(t *testing.T) {
	inBoth(t, terminalsim.Options{}, func(t *testing.T, r *rig) {
		term := r.driver()
		ctx := terminaltest.Running(t, term)
		r.script("partial=500")
		l, err := pay(ctx, t, term, cents(t, 1016))
		if err != nil || l.told[0].ApprovedAmount.String() != "5.00" {
			t.Errorf("%v %+v", err, l.told)
		}
	})
}

// Some terminals answer the query with nothing: then a person must look.
func TestTerminalThatCannotTell(t *testing.T) {
	inBoth(t, terminalsim.Options{NoLast: true}, func(t *testing.T, r *rig) {
		term := r.driver()
		ctx := terminaltest.Running(t, term)
		r.script("deaf")
		l, err := pay(ctx, t, term, cents(t, 700))
		if err == nil || errors.Is(err, payments.ErrNotSent) || l.base.Known {
			t.Fatalf("Do: %v, baseline %+v", err, l.base)
		}
		terminaltest.Ready(t, term)
		if v, _, err := term.Recover(ctx, l.payment(cents(t, 700))); err != nil || v != payments.Unknown {
			t.Errorf("Recover: %d %v", v, err)
		}
	})
}

// A terminal that makes its reversal the last transaction must not make it look like the payment.
func TestReversalIsNotTheCharge(t *testing.T) {
	inBoth(t, terminalsim.Options{ShowReversals: true}, func(t *testing.T, r *rig) {
		term := r.driver()
		ctx := terminaltest.Running(t, term)
		if _, err := pay(ctx, t, term, cents(t, 700)); err != nil {
			t.Fatal(err)
		}
		r.script("lostack=reverses")
		l, err := pay(ctx, t, term, cents(t, 700))
		if err == nil {
			t.Fatal("Do returned nil")
		}
		terminaltest.Ready(t, term)
		for _, forget := range []bool{false, true} {
			if forget {
				l.told = nil
			}
			v, out, err := term.Recover(ctx, l.payment(cents(t, 700)))
			if err != nil || v != payments.Known || out.State != payments.Reversed {
				t.Errorf("forget %v: %d %+v %v", forget, v, out, err)
			}
		}
	})
}

// A clock that is far off is learnt from 04 01 and does not stand in the way.
func TestWrongClock(t *testing.T) {
	inBoth(t, terminalsim.Options{ClockOffset: -26 * time.Hour, TellTime: true}, func(t *testing.T, r *rig) {
		term := r.driver()
		ctx := terminaltest.Running(t, term)
		r.script("nonsense")
		l, _ := pay(ctx, t, term, cents(t, 700))
		if v, out, err := term.Recover(ctx, l.payment(cents(t, 700))); err != nil || v != payments.Known || out.State != payments.Approved {
			t.Errorf("Recover: %d %+v %v", v, out, err)
		}
	})
}

func TestOverallTimeLimit(t *testing.T) {
	inBoth(t, terminalsim.Options{}, func(t *testing.T, r *rig) {
		r.opt.TimeoutS = 60
		term := r.driver()
		ctx := terminaltest.Running(t, term)
		r.script("wait") // the terminal itself would wait three minutes
		l, err := pay(ctx, t, term, cents(t, 700))
		if err != nil || len(l.told) != 1 || l.told[0].State != payments.Canceled {
			t.Errorf("%v %+v", err, l.told)
		}
	})
}

func TestRegistrationRefused(t *testing.T) {
	for name, edit := range map[string]func(*zvt.Options){
		"password": func(o *zvt.Options) { o.Password = "000000" },
		"currency": func(o *zvt.Options) { o.Currency = "CHF" },
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, terminalsim.Options{}, func(t *testing.T, r *rig) {
				edit(&r.opt)
				term := r.driver()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if err := term.Run(ctx); err != nil {
					t.Fatal(err)
				}
				i := term.Info()
				if i.State != devices.Offline || i.LastError == nil || !strings.Contains(i.LastError.Hint, name) {
					t.Errorf("%+v", i)
				}
				if strings.Contains(i.LastError.Message, "123456") || strings.Contains(i.LastError.Message, "000000") {
					t.Errorf("password in %q", i.LastError.Message)
				}
			})
		})
	}
}

func TestInfoAndStatus(t *testing.T) {
	inBoth(t, terminalsim.Options{TerminalID: "28004869"}, func(t *testing.T, r *rig) {
		term := r.driver()
		ctx := terminaltest.Running(t, term)
		st, err := term.Status(ctx)
		if err != nil || st.Text != "ready" {
			t.Errorf("%+v %v", st, err)
		}
		if i := term.Info(); i.Serial != "28004869" || i.Model != "ZVT 1.0.0" || i.Category != devices.PaymentTerminal {
			t.Errorf("%+v", i)
		}
	})
}

// Not even a log at its most talkative holds the password or the card number.
func TestLogHoldsNoSecrets(t *testing.T) {
	inBoth(t, terminalsim.Options{}, func(t *testing.T, r *rig) {
		var log bytes.Buffer // written by the owner goroutine, read after it ended
		term, err := zvt.New(zvt.Config{
			Name: "front", Open: r.Open, Serial: r.serial, Options: r.opt,
			Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = term.Run(ctx) }()
		terminaltest.Ready(t, term)
		r.script("fullpan")
		l, err := pay(ctx, t, term, cents(t, 1016))
		if err != nil || len(l.receipt.Merchant) == 0 {
			t.Fatalf("%v %+v", err, l)
		}
		if _, err := term.Status(ctx); err != nil {
			t.Error(err)
		}
		refund := &ledger{}
		if err := term.Do(ctx, payments.Txn{Kind: payments.DoRefund, Amount: cents(t, 5)}, refund); err != nil {
			t.Error(err)
		}
		cancel()
		<-ended
		if !strings.Contains(log.String(), "04 0F") {
			t.Fatalf("nothing was logged: %s", log.String())
		}
		for _, secret := range []string{"123456", "EjRW", "4111111111111111", "2912", "34313131"} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%s in the log:\n%s", secret, log.String())
			}
		}
	})
}

func TestNewRefusesOptions(t *testing.T) {
	for name, o := range map[string]zvt.Options{
		"short password": {Password: "12345"}, "letters": {Password: "12345a"}, "charset": {Password: "123456", Charset: "ebcdic"},
		"lost ack": {Password: "123456", LostAck: "maybe"}, "currency": {Password: "123456", Currency: "XXX"},
	} {
		if _, err := zvt.New(zvt.Config{Options: o}); err == nil {
			t.Errorf("%s: taken", name)
		} else if strings.Contains(err.Error(), "12345") {
			t.Errorf("%s: password in %q", name, err)
		}
	}
}

func TestAmountsThatDoNotFit(t *testing.T) {
	inBoth(t, terminalsim.Options{}, func(t *testing.T, r *rig) {
		term := r.driver()
		ctx := terminaltest.Running(t, term)
		for _, a := range []money.Amount{{}, cents(t, 0), cents(t, -5), cents(t, 1_000_000_000_000)} {
			if _, err := pay(ctx, t, term, a); !errors.Is(err, payments.ErrNotSent) {
				t.Errorf("%s: %v", a, err)
			}
		}
		if r.sim.Asked() != 0 {
			t.Error("something was sent")
		}
	})
}

// exercise pays, loses a result and recovers, in real time.
func exercise(t *testing.T, sim *terminalsim.ZVT, term payments.Terminal) {
	ctx := terminaltest.Running(t, term)
	l, err := pay(ctx, t, term, cents(t, 1016))
	if err != nil || l.told[0].State != payments.Approved || len(l.receipt.Customer) == 0 {
		t.Fatalf("%v %+v", err, l.told)
	}
	sim.SetScript([]terminalsim.Behaviour{{Nonsense: true}})
	if l, err = pay(ctx, t, term, cents(t, 1016)); err == nil || errors.Is(err, payments.ErrNotSent) {
		t.Fatalf("Do: %v", err)
	}
	v, out, err := term.Recover(ctx, l.payment(cents(t, 1016)))
	if err != nil || v != payments.Known || out.State != payments.Approved {
		t.Errorf("Recover: %d %+v %v", v, out, err)
	}
}

func TestOverLoopback(t *testing.T) {
	sim := terminalsim.NewZVT(terminalsim.Options{Password: "123456", Patience: terminaltest.RealPatience})
	open := terminaltest.Listen(t, func(ctx context.Context, conn net.Conn) { _ = sim.ServeTCP(ctx, conn) })
	term, err := zvt.New(zvt.Config{Name: "lan", Open: open, Options: zvt.Options{Password: "123456", Print: true}})
	if err != nil {
		t.Fatal(err)
	}
	exercise(t, sim, term)
}
