//go:build unix

package zvt_test

import (
	"testing"

	"storeagent/payments/terminalsim"
	"storeagent/payments/terminaltest"
	"storeagent/payments/zvt"
)

func TestOverPty(t *testing.T) {
	sim := terminalsim.NewZVT(terminalsim.Options{Password: "123456", Patience: terminaltest.RealPatience})
	open := terminaltest.PTY(t, sim.ServeSerial)
	driver, err := zvt.New(zvt.Config{Name: "pty", Open: open, Serial: true, Options: zvt.Options{Password: "123456", Print: true}})
	if err != nil {
		t.Fatal(err)
	}
	exercise(t, sim, driver)
}
