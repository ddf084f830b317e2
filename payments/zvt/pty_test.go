//go:build unix

package zvt_test

import (
	"context"
	"os"
	"sync"
	"testing"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"storeagent/devices/port"
	"storeagent/payments/terminalsim"
	"storeagent/payments/zvt"
)

func TestOverPty(t *testing.T) {
	master, slave, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = slave.Close() }()
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil {
		t.Fatal(err)
	}
	sim := terminalsim.NewZVT(terminalsim.Options{Password: "123456"})
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	wg.Go(func() { _ = sim.ServeSerial(ctx, master) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	// Without O_NONBLOCK the runtime could not end a Read by Close.
	open := func(context.Context) (port.Port, error) {
		return os.OpenFile(slave.Name(), os.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	}
	driver, err := zvt.New(zvt.Config{Name: "pty", Open: open, Serial: true, Options: zvt.Options{Password: "123456", Print: true}})
	if err != nil {
		t.Fatal(err)
	}
	exercise(t, sim, driver)
}
