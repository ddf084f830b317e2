package escpos_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/printer/escpos"
	"storeagent/devices/printer/printertest"
)

// cable joins the driver with a simulated printer, by a new pipe each time the port is opened.
type cable struct {
	sim *devicesim.Printer
	ctx context.Context

	mu     sync.Mutex
	cut    bool
	end    net.Conn
	served chan struct{}
}

func (c *cable) open(context.Context) (port.Port, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return nil, &port.Error{Op: "open", Address: "pipe", Kind: port.Missing, Err: errors.New("unplugged")}
	}
	if c.served != nil {
		<-c.served
	}
	ours, theirs := net.Pipe()
	c.end, c.served = theirs, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		_ = c.sim.Serve(c.ctx, theirs)
		_ = theirs.Close()
	}(c.served)
	return ours, nil
}

func (c *cable) unplug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	if c.end != nil {
		_ = c.end.Close()
	}
}

func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = false
}

// join starts a driver with a simulated printer behind it.
func join(t *testing.T, so devicesim.PrinterOptions, o escpos.Options) (*escpos.Printer, *devicesim.Printer, *cable) {
	t.Helper()
	c := &cable{sim: devicesim.NewPrinter(so), ctx: t.Context()}
	p, err := escpos.New(escpos.Config{Name: "front", Open: c.open, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return p, c.sim, c
}

func harness(so devicesim.PrinterOptions, o escpos.Options) printertest.Harness {
	return printertest.Harness{New: func(t *testing.T, kind printertest.Kind) printertest.Device {
		so := so
		switch kind {
		case printertest.StatusOnly:
			so.ProcessID, so.NoConfirm = false, true
		case printertest.OneWay:
			so.Silent = true
		}
		p, sim, c := join(t, so, o)
		return printertest.Device{
			Printer:  p,
			Paper:    sim.Paper,
			SetCover: sim.SetCover,
			SetPaper: func(ok bool) {
				if ok {
					sim.SetPaper(devicesim.PaperOK)
				} else {
					sim.SetPaper(devicesim.PaperOut)
				}
			},
			RunOutAfter: sim.RunOutAfter,
			Unplug:      c.unplug,
			Plug:        c.plug,
		}
	}}
}

func TestSuiteWithProcessID(t *testing.T) {
	printertest.Suite(t, harness(devicesim.PrinterOptions{ProcessID: true}, escpos.Options{}))
}

func TestSuiteWithTransmitStatus(t *testing.T) {
	printertest.Suite(t, harness(devicesim.PrinterOptions{Columns: 32}, escpos.Options{Profile: "generic-58mm"}))
}
