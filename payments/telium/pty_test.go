//go:build unix

package telium_test

import (
	"errors"
	"testing"

	"storeagent/payments"
	"storeagent/payments/telium"
	"storeagent/payments/terminalsim"
	"storeagent/payments/terminaltest"
)

func TestOverPty(t *testing.T) {
	sim := terminalsim.NewTelium(terminalsim.Options{Patience: terminaltest.RealPatience})
	term, err := telium.New(telium.Config{Name: "pty", Open: terminaltest.PTY(t, sim.Serve)})
	if err != nil {
		t.Fatal(err)
	}
	ctx := terminaltest.Running(t, term)
	if l, err := terminaltest.Do(ctx, term, sale(t, "10.16")); err != nil || l.Told[0].State != payments.Approved {
		t.Fatalf("%v %+v", err, l.Told)
	}
	sim.SetScript([]terminalsim.Behaviour{{Nonsense: true}, {}})
	l, err := terminaltest.Do(ctx, term, sale(t, "10.16"))
	if err == nil || errors.Is(err, payments.ErrNotSent) {
		t.Fatalf("Do: %v", err)
	}
	terminaltest.Ready(t, term)
	if v, _, err := term.Recover(ctx, l.Attempt); err != nil || v != payments.Unknown {
		t.Errorf("verdict %d, %v", v, err)
	}
	if l, err := terminaltest.Do(ctx, term, sale(t, "2.00")); err != nil || l.Told[0].State != payments.Approved {
		t.Fatalf("%v %+v", err, l.Told)
	}
}
