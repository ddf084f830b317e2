package pax_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/pax"
	"storeagent/payments/terminalsim"
	"storeagent/payments/terminaltest"
)

func usd(t *testing.T, text string) money.Amount {
	t.Helper()
	a, err := money.Parse(text, "USD")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func sale(t *testing.T, text string) payments.Txn {
	return payments.Txn{Kind: payments.DoSale, Amount: usd(t, text)}
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
		state   payments.State   // "": in doubt
		verdict payments.Verdict // of Recover, where in doubt
	}{
		{script: "approve slow=5", state: payments.Approved},
		{script: "partial=500", state: payments.Approved},
		{script: "unknownbmp", state: payments.Approved},
		{script: "badcrc", state: payments.Approved},
		{script: "decline=05", state: payments.Declined},
		{script: "cancel", state: payments.Canceled},
		{script: "refuse=01", verdict: payments.NotCharged}, // a time-out, which may be the host's
		{script: "noresult", verdict: payments.Known},
		{script: "nonsense", verdict: payments.Known},
		{script: "deaf", verdict: payments.NotCharged},
	} {
		t.Run(c.script, func(t *testing.T) {
			inBoth(t, terminalsim.Options{Currency: "840"}, func(t *testing.T, r *rig) {
				term := r.driver()
				ctx := terminaltest.Running(t, term)
				if _, err := terminaltest.Do(ctx, term, sale(t, "3.00")); err != nil {
					t.Fatal(err)
				}
				r.script(c.script)
				l, err := terminaltest.Do(ctx, term, sale(t, "10.16"))
				if c.state != "" {
					if err != nil || len(l.Told) != 1 || l.Told[0].State != c.state {
						t.Fatalf("%v %+v", err, l.Told)
					}
					if c.script == "partial=500" && l.Told[0].ApprovedAmount.String() != "5.00" {
						t.Errorf("%+v", l.Told)
					}
				} else {
					if err == nil || errors.Is(err, payments.ErrNotSent) || len(l.Told) != 0 || !l.Attempt.Baseline.Known {
						t.Fatalf("Do: %v %+v", err, l)
					}
					terminaltest.Ready(t, term)
					if v, _, err := term.Recover(ctx, l.Attempt); err != nil || v != c.verdict {
						t.Errorf("verdict %d, %v", v, err)
					}
				}
				if n := r.sim.Improper(); n != 0 {
					t.Errorf("%d requests with card data or leave to charge twice", n)
				}
			})
		})
	}
}

// "Not found" means "not charged" only where the report is seen to work on the same batch.
func TestNotFoundNeedsProof(t *testing.T) {
	for name, c := range map[string]struct {
		o      terminalsim.Options
		first  bool // an earlier payment
		closed bool // the batch is closed before the question
		want   payments.Verdict
	}{
		"earlier payment":       {first: true, want: payments.NotCharged},
		"first payment":         {want: payments.Unknown},
		"batch closed meantime": {first: true, closed: true, want: payments.Unknown},
		"no report":             {o: terminalsim.Options{NoLast: true}, first: true, want: payments.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Currency = "840"
			inBoth(t, c.o, func(t *testing.T, r *rig) {
				term := r.driver()
				ctx := terminaltest.Running(t, term)
				if c.first {
					if _, err := terminaltest.Do(ctx, term, sale(t, "7.00")); err != nil {
						t.Fatal(err)
					}
				}
				r.script("deaf")
				l, err := terminaltest.Do(ctx, term, sale(t, "7.00"))
				if err == nil || errors.Is(err, payments.ErrNotSent) {
					t.Fatalf("Do: %v", err)
				}
				if c.closed {
					r.sim.CloseBatch()
				}
				terminaltest.Ready(t, term)
				if v, _, err := term.Recover(ctx, l.Attempt); err != nil || v != c.want {
					t.Errorf("verdict %d, %v", v, err)
				}
			})
		})
	}
}

// After a restart of the agent any transaction of the batch proves that the report works.
func TestBaselineAfterRestart(t *testing.T) {
	inBoth(t, terminalsim.Options{Currency: "840"}, func(t *testing.T, r *rig) {
		term := r.driver()
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = term.Run(ctx) })
		terminaltest.Ready(t, term)
		for range 2 {
			if _, err := terminaltest.Do(ctx, term, sale(t, "7.00")); err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		wg.Wait()
		term = r.driver()
		ctx = terminaltest.Running(t, term)
		if l, err := terminaltest.Do(ctx, term, sale(t, "7.00")); err != nil || !l.Attempt.Baseline.Known {
			t.Errorf("%v %+v", err, l.Attempt.Baseline)
		}
	})
}

// An approval on record that the report does not show is a contradiction for a person, never "not charged".
func TestApprovalThatVanished(t *testing.T) {
	inBoth(t, terminalsim.Options{Currency: "840"}, func(t *testing.T, r *rig) {
		term := r.driver()
		ctx := terminaltest.Running(t, term)
		base, err := terminaltest.Do(ctx, term, sale(t, "7.00"))
		if err != nil {
			t.Fatal(err)
		}
		at := payments.Attempt{
			Txn:      payments.Txn{Kind: payments.DoSale, Ref: "NEVERSEEN0", Amount: usd(t, "7.00")},
			Baseline: payments.Baseline{Known: true, Trace: base.Attempt.Ref}, Told: &payments.Outcome{State: payments.Approved},
		}
		if v, _, err := term.Recover(ctx, at); err != nil || v != payments.Unknown {
			t.Errorf("verdict %d, %v", v, err)
		}
		at.Told = nil
		if v, _, err := term.Recover(ctx, at); err != nil || v != payments.NotCharged {
			t.Errorf("verdict %d, %v", v, err)
		}
	})
}

func TestFollowUps(t *testing.T) {
	inBoth(t, terminalsim.Options{Currency: "840"}, func(t *testing.T, r *rig) {
		term := r.driver()
		ctx := terminaltest.Running(t, term)
		do := func(kind payments.Kind, amount string, orig *terminaltest.Ledger) *terminaltest.Ledger {
			t.Helper()
			txn := payments.Txn{Kind: kind, Amount: usd(t, amount)}
			if orig != nil {
				o := orig.Told[0]
				txn.Original = &payments.Original{
					Kind: orig.Attempt.Kind, Ref: orig.Attempt.Ref, Amount: o.ApprovedAmount, Receipt: o.Baseline.Receipt,
					ApprovalCode: o.ApprovalCode, Reference: o.Reference,
				}
			}
			l, err := terminaltest.Do(ctx, term, txn)
			if err != nil || len(l.Told) != 1 || l.Told[0].State != payments.Approved || l.Told[0].ApprovedAmount.Cmp(txn.Amount) != 0 {
				t.Fatalf("%s: %v %+v", kind, err, l.Told)
			}
			if v, out, err := term.Recover(ctx, l.Attempt); err != nil || v != payments.Known || out.State != payments.Approved {
				t.Errorf("%s: verdict %d %+v, %v", kind, v, out, err)
			}
			return l
		}
		dinner := do(payments.DoSale, "20.00", nil)
		do(payments.DoTip, "3.00", dinner)
		hotel := do(payments.DoPreauth, "100.00", nil)
		do(payments.DoCapture, "80.00", hotel)
		wrong := do(payments.DoSale, "5.00", nil)
		do(payments.DoVoid, "5.00", wrong)
		car := do(payments.DoPreauth, "50.00", nil)
		do(payments.DoCancelPreauth, "50.00", car)
		do(payments.DoRefund, "2.00", nil)
		var got []int64
		for _, c := range r.sim.Charges() {
			switch {
			case !c.Standing():
				got = append(got, 0)
			case c.Refund:
				got = append(got, -c.Amount)
			default:
				got = append(got, c.Amount)
			}
		}
		if want := []int64{2300, 8000, 0, 0, -200}; len(got) != len(want) || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] || got[3] != want[3] || got[4] != want[4] {
			t.Errorf("ledger %v, want %v", got, want)
		}
		totals, err := term.(payments.Reconciler).EndOfDay(ctx)
		if err != nil || totals.Amount.String() != "101.00" {
			t.Errorf("end of day: %+v, %v", totals, err)
		}
		if _, err := term.(payments.Reconciler).Totals(ctx); !errors.Is(err, payments.ErrUnsupported) {
			t.Errorf("Totals: %v", err)
		}
		if l, err := terminaltest.Do(ctx, term, sale(t, "1.00")); err != nil || l.Attempt.Baseline.Known {
			t.Errorf("after the end of day: %v %+v", err, l.Attempt.Baseline)
		}
	})
}

func TestTimeLimit(t *testing.T) {
	inBoth(t, terminalsim.Options{Currency: "840"}, func(t *testing.T, r *rig) {
		r.opt.TimeoutS = 60
		term := r.driver()
		ctx := terminaltest.Running(t, term)
		r.script("wait") // the terminal itself would wait three minutes
		if l, err := terminaltest.Do(ctx, term, sale(t, "7.00")); err != nil || len(l.Told) != 1 || l.Told[0].State != payments.Canceled {
			t.Errorf("%v %+v", err, l.Told)
		}
	})
}

func TestInfoAndStatus(t *testing.T) {
	inBoth(t, terminalsim.Options{TerminalID: "28004869"}, func(t *testing.T, r *rig) {
		term := r.driver()
		ctx := terminaltest.Running(t, term)
		if st, err := term.Status(ctx); err != nil || st.Text != "ready" {
			t.Errorf("%+v %v", st, err)
		}
		if i := term.Info(); i.Serial != "28004869" || i.Model != "PAX S300" || i.Category != devices.PaymentTerminal {
			t.Errorf("%+v", i)
		}
	})
}

// Not even a log at its most talkative holds the card number.
func TestLogHoldsNoSecrets(t *testing.T) {
	inBoth(t, terminalsim.Options{Currency: "840"}, func(t *testing.T, r *rig) {
		var log bytes.Buffer // written by the owner goroutine, read after it ended
		term, err := pax.New(pax.Config{
			Name: "front", Open: r.Open, Options: r.opt,
			Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = term.Run(ctx) })
		terminaltest.Ready(t, term)
		r.script("fullpan duplicate")
		if l, err := terminaltest.Do(ctx, term, sale(t, "10.16")); err != nil || l.Told[0].Last4 != "1111" {
			t.Fatalf("%v %+v", err, l)
		}
		if _, err := terminaltest.Do(ctx, term, sale(t, "10.17")); err != nil {
			t.Error(err)
		}
		cancel()
		wg.Wait()
		if !strings.Contains(log.String(), "T01 code 000000") {
			t.Fatalf("nothing was logged: %s", log.String())
		}
		for _, secret := range []string{terminaltest.TestPAN, "411111", "1229", "2912", "CARDHOLDER"} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%s in the log:\n%s", secret, log.String())
			}
		}
	})
}

// exercise pays, loses a result and recovers, in real time.
func exercise(t *testing.T, sim *terminalsim.PAX, term payments.Terminal) {
	t.Helper()
	ctx := terminaltest.Running(t, term)
	if l, err := terminaltest.Do(ctx, term, sale(t, "10.16")); err != nil || l.Told[0].State != payments.Approved {
		t.Fatalf("%v %+v", err, l.Told)
	}
	sim.SetScript([]terminalsim.Behaviour{{Nonsense: true}})
	l, err := terminaltest.Do(ctx, term, sale(t, "10.16"))
	if err == nil || errors.Is(err, payments.ErrNotSent) {
		t.Fatalf("Do: %v", err)
	}
	terminaltest.Ready(t, term)
	v, out, err := term.Recover(ctx, l.Attempt)
	if err != nil || v != payments.Known || out.State != payments.Approved {
		t.Errorf("Recover: %d %+v %v", v, out, err)
	}
}

func TestOverLoopback(t *testing.T) {
	sim := terminalsim.NewPAX(terminalsim.Options{Patience: terminaltest.RealPatience})
	open := terminaltest.Listen(t, func(ctx context.Context, conn net.Conn) { _ = sim.Serve(ctx, conn) })
	term, err := pax.New(pax.Config{Name: "lan", Open: open, Options: pax.Options{Currency: "USD"}})
	if err != nil {
		t.Fatal(err)
	}
	exercise(t, sim, term)
}

// A terminal that says nothing is offline with a hint, and its payments are certainly not sent.
func TestSilentTerminal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := func(context.Context) (port.Port, error) {
			ours, theirs := net.Pipe()
			go func() { // takes everything, says nothing
				for b := make([]byte, 64); ; {
					if _, err := theirs.Read(b); err != nil {
						return
					}
				}
			}()
			return ours, nil
		}
		term, err := pax.New(pax.Config{Name: "front", Open: open})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := term.Run(ctx); err != nil {
			t.Fatal(err)
		}
		if i := term.Info(); i.State != devices.Offline || i.LastError == nil || i.LastError.Code != string(port.Silent) || !strings.Contains(i.LastError.Hint, "BroadPOS") {
			t.Errorf("%+v", i)
		}
		if l, err := terminaltest.Do(t.Context(), term, sale(t, "1.00")); !errors.Is(err, payments.ErrNotSent) || l.Sent {
			t.Errorf("Do: %v", err)
		}
	})
}
