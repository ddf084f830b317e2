//go:build unix

package pax_test

import (
	"testing"

	"storeagent/payments/pax"
	"storeagent/payments/terminalsim"
	"storeagent/payments/terminaltest"
)

func TestOverPty(t *testing.T) {
	sim := terminalsim.NewPAX(terminalsim.Options{Patience: terminaltest.RealPatience})
	open := terminaltest.PTY(t, sim.Serve)
	term, err := pax.New(pax.Config{Name: "pty", Open: open, Options: pax.Options{Currency: "USD"}})
	if err != nil {
		t.Fatal(err)
	}
	exercise(t, sim, term)
}
