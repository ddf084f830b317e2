package telium_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/telium"
	"storeagent/payments/terminalsim"
	"storeagent/payments/terminaltest"
)

func sale(t *testing.T, text string) payments.Txn {
	t.Helper()
	a, err := money.Parse(text, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return payments.Txn{Kind: payments.DoSale, Amount: a}
}

func inBubble(t *testing.T, f func(t *testing.T, r *rig)) {
	synctest.Test(t, func(t *testing.T) { f(t, newRig(t, true, terminalsim.Options{})) })
}

func TestScripts(t *testing.T) {
	for script, state := range map[string]payments.State{
		"approve slow=5": payments.Approved, "badcrc noise": payments.Approved, "stall": payments.Approved,
		"duplicate": payments.Approved, "lostack": payments.Approved, "fullpan": payments.Approved,
		"decline=05": payments.Declined, "cancel": payments.Declined, "late=100": payments.Approved,
		"noresult": "", "nonsense": "", "deaf": "", "late=300": "",
	} {
		t.Run(script, func(t *testing.T) {
			inBubble(t, func(t *testing.T, r *rig) {
				term := r.driver()
				ctx := terminaltest.Running(t, term)
				r.script(script)
				l, err := terminaltest.Do(ctx, term, sale(t, "10.16"))
				if state != "" && (err != nil || len(l.Told) != 1 || l.Told[0].State != state) {
					t.Fatalf("%v %+v", err, l.Told)
				}
				if state == "" {
					if err == nil || errors.Is(err, payments.ErrNotSent) || len(l.Told) != 0 {
						t.Fatalf("Do: %v %+v", err, l.Told)
					}
					terminaltest.Ready(t, term)
					if v, _, err := term.Recover(ctx, l.Attempt); err != nil || (v == payments.Known) != (script == "late=300") || v == payments.NotCharged {
						t.Errorf("verdict %d, %v", v, err)
					}
				}
			})
		})
	}
}

// The answer to an older payment of the same amount comes first in the next one, and is not taken for it.
func TestLateAnswerOfAnOlderPayment(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		term := r.driver()
		ctx := terminaltest.Running(t, term)
		r.Join(terminaltest.Harness{}).CutAt(terminalsim.StepHost) // approved, but nobody hears it
		first, err := terminaltest.Do(ctx, term, sale(t, "10.16"))
		if err == nil || len(first.Told) != 0 {
			t.Fatalf("%v %+v", err, first.Told)
		}
		terminaltest.Ready(t, term)
		if v, _, err := term.Recover(ctx, first.Attempt); err != nil || v != payments.Unknown {
			t.Errorf("before the answer came: verdict %d, %v", v, err)
		}
		r.script("decline=05")
		l, err := terminaltest.Do(ctx, term, sale(t, "10.16"))
		if err != nil || len(l.Told) != 1 || l.Told[0].State != payments.Declined {
			t.Errorf("%v %+v", err, l.Told)
		}
		if n := len(r.sim.Charges()); n != 1 {
			t.Errorf("%d charges", n)
		}
		if v, out, err := term.Recover(ctx, first.Attempt); err != nil || v != payments.Known || out.State != payments.Approved {
			t.Errorf("after the answer came: verdict %d %+v, %v", v, out, err)
		}
		first.Attempt.Ref = "ANOTHER001"
		if v, _, err := term.Recover(ctx, first.Attempt); err != nil || v != payments.Unknown {
			t.Errorf("another attempt: verdict %d, %v", v, err)
		}
	})
}

func TestCaps(t *testing.T) {
	term, err := telium.New(telium.Config{Name: "front"})
	if err != nil {
		t.Fatal(err)
	}
	if c := term.Caps(); !c.Sale || !c.Refund || c.Void || c.Cancel || c.Preauth || c.LastQuery != "none" {
		t.Errorf("%+v", c)
	}
	if _, ok := any(term).(payments.Reconciler); ok {
		t.Error("it has no end of day")
	}
}

// Not even a log at its most talkative holds the card number.
func TestLogHoldsNoSecrets(t *testing.T) {
	inBubble(t, func(t *testing.T, r *rig) {
		var log bytes.Buffer // written by the owner goroutine, read after it ended
		term, err := telium.New(telium.Config{Name: "front", Open: r.Open, Log: slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = term.Run(ctx) })
		terminaltest.Ready(t, term)
		r.script("fullpan duplicate")
		for range 2 {
			if l, err := terminaltest.Do(ctx, term, sale(t, "10.16")); err != nil || l.Told[0].State != payments.Approved {
				t.Fatalf("%v %+v", err, l)
			}
		}
		cancel()
		wg.Wait()
		if !strings.Contains(log.String(), "result 0 amount 1016") {
			t.Fatalf("nothing was logged: %s", log.String())
		}
		if strings.Contains(log.String(), terminaltest.TestPAN) || strings.Contains(log.String(), "411111") {
			t.Error(log.String())
		}
	})
}
