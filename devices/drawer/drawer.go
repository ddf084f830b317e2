// Package drawer is the CashDrawer category: drawers plugged into the drawer socket of a receipt printer.
//
// It is called by register and wired by cmd, which joins it with its printer. It imports devices and devices/port,
// never a printer driver. Words follow UnifiedPOS.
package drawer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
)

// Driver is the name of this driver in the configuration.
const Driver = "drawer"

// springs is how long a drawer may take from its pulse to be seen open.
const springs = time.Second

// Printer is what a drawer needs of the printer that it is plugged into.
type Printer interface {
	Info() devices.Info
	// Pulse opens the drawer on pin 2 or 5, within seconds, or says why it did not.
	Pulse(ctx context.Context, pin int) error
}

// Config is one drawer.
type Config struct {
	Name     string
	Port     string // the configured address, for people
	Printer  Printer
	Pin      int                // 2 or 5
	OnChange func(devices.Info) // may be nil; it must not call the drawer but for Info
}

// Drawer is one cash drawer. It implements devices.Device. Whether it is open is known only where its printer shows
// that, which needs the level that its switch gives.
type Drawer struct {
	printer Printer
	pin     int
	link    *devices.Link

	mu      sync.Mutex
	changed chan struct{} // closed when the printer says something new
}

var _ devices.Device = (*Drawer)(nil)

// New makes a drawer. It follows its printer through PrinterChanged.
func New(c Config) (*Drawer, error) {
	if c.Pin != 2 && c.Pin != 5 {
		return nil, fmt.Errorf("drawer %s: pin is %d, must be 2 or 5", c.Name, c.Pin)
	}
	d := &Drawer{printer: c.Printer, pin: c.Pin, changed: make(chan struct{})}
	d.link = devices.NewLink(devices.LinkConfig{
		Info:     devices.Info{Name: c.Name, Category: devices.CashDrawer, Driver: Driver, Port: c.Port},
		OnChange: c.OnChange,
	})
	return d, nil
}

// Info is the drawer as it is now: offline where its printer can't be reached, and open or closed where that shows.
func (d *Drawer) Info() devices.Info { return d.link.Info() }

// Run follows the printer until ctx ends. The drawer has no port of its own.
func (d *Drawer) Run(ctx context.Context) error {
	d.PrinterChanged()
	<-ctx.Done()
	return nil
}

// PrinterChanged makes the drawer look at its printer again.
func (d *Drawer) PrinterChanged() {
	d.mu.Lock() // so that what was read last counts
	defer d.mu.Unlock()
	p := d.printer.Info()
	if p.State == devices.Offline {
		problem := devices.Problem{Code: string(port.Missing), Message: "the printer " + p.Name + " that it is plugged into can't be reached",
			Hint: "see what storeagent devices says of that printer"}
		d.link.SetState(devices.Offline, devices.Status{})
		d.link.Report(problem)
	} else {
		d.link.SetState(devices.Ready, devices.Status{DrawerOpened: p.Status.DrawerOpened})
		d.link.Clear()
	}
	close(d.changed)
	d.changed = make(chan struct{})
}

// Open opens the drawer. opened says whether it was seen open within a second, nil where that does not show. The error
// says why it did not open; it is not opened later either. Open takes a few seconds at most.
func (d *Drawer) Open(ctx context.Context) (opened *bool, err error) {
	if err := d.printer.Pulse(ctx, d.pin); err != nil {
		return nil, err
	}
	t := time.NewTimer(springs)
	defer t.Stop()
	for {
		d.mu.Lock()
		changed := d.changed
		d.mu.Unlock()
		opened = d.Info().Status.DrawerOpened
		if opened == nil || *opened {
			return opened, nil
		}
		select {
		case <-changed:
		case <-t.C:
			return opened, nil
		case <-ctx.Done():
			return opened, nil // the pulse is out, whoever still wants to know
		}
	}
}
