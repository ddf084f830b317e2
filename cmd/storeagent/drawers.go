package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"storeagent/devices"
	"storeagent/devices/display"
	"storeagent/devices/drawer"
	"storeagent/devices/port"
	"storeagent/devices/printer/starprnt"
	"storeagent/installer/config"
	"storeagent/register"
)

// drawerOptions is the shape of [device.options].
type drawerOptions struct {
	OpenLevel string `toml:"open_level"` // high or low: the level of pin 3 while it is open
}

// sockets joins drawers and displays with the printers that they are plugged into. It is filled while devices are built,
// and only read once they run.
type sockets struct {
	drawers   []config.Device // and displays
	languages map[string]string
	printers  map[string]drawer.Printer
	passers   map[string]display.Printer
	behind    map[string][]follower // by the printer's name
	waiting   []*late
	displays  []*lateDisplay
}

// follower is a drawer or a display, which is told of its printer's changes.
type follower interface{ PrinterChanged() }

// late is a drawer's way to its printer, which may stand further down in the configuration.
type late struct {
	drawer.Printer
	name string
}

// newSockets checks that each drawer and display behind a printer names one.
func newSockets(list []config.Device) (*sockets, error) {
	s := &sockets{languages: map[string]string{}, printers: map[string]drawer.Printer{}, passers: map[string]display.Printer{}, behind: map[string][]follower{}}
	for _, d := range list {
		s.languages[d.Name] = d.Driver
		if d.Port.Scheme != port.SchemePrinter {
			continue
		}
		if !slices.ContainsFunc(list, func(p config.Device) bool { return p.Name == d.Port.Target && p.Category == devices.POSPrinter }) {
			return nil, fmt.Errorf("device %s: port %s names no configured printer", d.Name, d.Port)
		}
		s.drawers = append(s.drawers, d)
	}
	return s, nil
}

// level is the open level of a printer's drawer socket: its own option or that of the drawers behind it, which share
// the one switch line.
func (s *sockets) level(printer, own string) (string, error) {
	for _, d := range s.drawers {
		o, ok := d.Decoded.(*drawerOptions)
		if !ok || d.Port.Target != printer || o.OpenLevel == "" {
			continue
		}
		if o.OpenLevel != "high" && o.OpenLevel != "low" {
			return "", fmt.Errorf("option open_level of drawer %s: want high or low, not %q", d.Name, o.OpenLevel)
		}
		if own != "" && own != o.OpenLevel {
			return "", fmt.Errorf("option open_level of drawer %s is %s, and elsewhere on this printer it is %s; both drawers of a printer share one switch line", d.Name, o.OpenLevel, own)
		}
		own = o.OpenLevel
	}
	return own, nil
}

// follow tells a printer's changes to what is plugged into it, too.
func (s *sockets) follow(printer string, to func(devices.Info)) func(devices.Info) {
	return func(i devices.Info) {
		to(i)
		for _, d := range s.behind[printer] {
			d.PrinterChanged()
		}
	}
}

// join takes a device that was built.
func (s *sockets) join(d devices.Device) {
	name := d.Info().Name
	if p, ok := d.(drawer.Printer); ok && d.Info().Category == devices.POSPrinter {
		s.printers[name] = p
	}
	for _, l := range s.waiting {
		if p, ok := s.printers[l.name]; ok {
			l.Printer = p
		}
	}
	if p, ok := d.(display.Printer); ok && d.Info().Category == devices.POSPrinter {
		s.passers[name] = p
	}
	for _, l := range s.displays {
		if p, ok := s.passers[l.name]; ok {
			l.Printer = p
		}
	}
}

// check makes sure that every drawer and display found a printer that serves it.
func (s *sockets) check() error {
	for _, l := range s.waiting {
		if l.Printer == nil {
			return fmt.Errorf("printer %s cannot open a drawer", l.name)
		}
	}
	for _, l := range s.displays {
		if l.Printer == nil {
			return fmt.Errorf("printer %s cannot pass text on to a display", l.name)
		}
	}
	return nil
}

func buildDrawer(p parts, d config.Device) (devices.Device, error) {
	pin, err := d.Port.Pin()
	if err != nil {
		return nil, err
	}
	l := &late{name: d.Port.Target, Printer: p.sockets.printers[d.Port.Target]}
	dr, err := drawer.New(drawer.Config{Name: d.Name, Port: d.Port.String(), Printer: l, Pin: pin, OnChange: p.onChange})
	if err != nil {
		return nil, err
	}
	p.sockets.waiting = append(p.sockets.waiting, l)
	p.sockets.behind[l.name] = append(p.sockets.behind[l.name], dr)
	return dr, nil
}

// lateDisplay is a display's way to its printer, which may stand further down in the configuration.
type lateDisplay struct {
	display.Printer
	name string
}

// passage is the way to a display behind a printer, in the printer's language.
func (s *sockets) passage(d config.Device) (*display.Behind, error) {
	if len(d.Port.Params) > 0 {
		return nil, errors.New("port: a display behind a printer has no pin")
	}
	pass := display.PassESCPOS
	if s.languages[d.Port.Target] == starprnt.Driver {
		pass = display.PassStar
	}
	l := &lateDisplay{name: d.Port.Target}
	b := display.NewBehind(l, pass)
	s.displays = append(s.displays, l)
	s.behind[l.name] = append(s.behind[l.name], b)
	return b, nil
}

// withPrinter is a device alone, or behind the printer that it is plugged into.
func withPrinter(all []config.Device, d config.Device) []config.Device {
	var list []config.Device
	if i := slices.IndexFunc(all, func(p config.Device) bool { return d.Port.Scheme == port.SchemePrinter && p.Name == d.Port.Target }); i >= 0 {
		list = append(list, all[i])
	}
	return append(list, d)
}

// drawers finds drawers by name; it is register.Drawers.
type drawers map[string]*drawer.Drawer

var _ register.Drawers = drawers{}

func drawersOf(devs []devices.Device) drawers {
	all := drawers{}
	for _, d := range devs {
		if d, ok := d.(*drawer.Drawer); ok {
			all[d.Info().Name] = d
		}
	}
	return all
}

// Open implements register.Drawers.
func (all drawers) Open(ctx context.Context, name string) (*bool, error) {
	d, ok := all[name]
	if !ok {
		return nil, fmt.Errorf("drawer %q: %w", name, register.ErrNoDevice)
	}
	return d.Open(ctx)
}
