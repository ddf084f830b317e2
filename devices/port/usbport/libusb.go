//go:build cgo && !nolibusb

package usbport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/gousb"

	"storeagent/devices/port"
)

// Open claims the device that a usb address names, whatever driver of the kernel has it; that driver gets it back at
// Close. Each Open looks at the bus afresh, since libusb's own list grows old where no udev runs.
func Open(ctx context.Context, a port.Address) (port.Port, error) {
	t, err := parse(a)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	usb, err := newContext()
	if err != nil {
		return nil, t.fail(port.Missing, "this machine has no USB that libusb can use", err)
	}
	dev, err := t.find(usb)
	if err != nil {
		_ = usb.Close()
		return nil, err
	}
	p, setting, err := t.claim(usb, dev)
	if err != nil {
		_, _ = dev.Close(), usb.Close()
		return nil, err
	}
	if setting.Class == gousb.ClassHID {
		return p.asReports(setting), nil
	}
	p.start()
	return p, nil
}

// newContext turns the panic of gousb on machines without USB into an error.
func newContext() (usb *gousb.Context, err error) {
	defer func() {
		if r := recover(); r != nil {
			usb, err = nil, fmt.Errorf("start libusb: %v", r)
		}
	}()
	return gousb.NewContext(), nil
}

// find opens the one device that fits.
func (t target) find(usb *gousb.Context) (*gousb.Device, error) {
	var others []string
	fits := 0
	devs, err := usb.OpenDevices(func(d *gousb.DeviceDesc) bool {
		if uint16(d.Vendor) == t.vid && uint16(d.Product) == t.pid {
			fits++
			return true
		}
		if d.Class != gousb.ClassHub {
			others = append(others, strings.ToUpper(d.Vendor.String()+":"+d.Product.String()))
		}
		return false
	})
	var found []*gousb.Device
	for _, d := range devs {
		serial, serialErr := d.SerialNumber() // asks the device
		if t.serial == "" || serialErr == nil && serial == t.serial {
			found = append(found, d)
			continue
		}
		others = append(others, strings.ToUpper(d.Desc.Vendor.String()+":"+d.Desc.Product.String())+":"+serial)
		_ = d.Close()
	}
	if len(found) == 1 && (fits == 1 || t.serial != "") {
		return found[0], nil
	}
	for _, d := range found {
		_ = d.Close()
	}
	switch {
	case len(found) > 0:
		return nil, t.fail(port.InUse, "add the serial number of the one you mean", fmt.Errorf("that USB id fits %d devices", fits))
	case isUSB(err, gousb.ErrorAccess):
		return nil, t.noPermission(err)
	case fits > len(devs) && err != nil && !isUSB(err, gousb.ErrorNoDevice): // pulled out meanwhile is missing
		return nil, t.fail(port.Failed, "pull the plug of the device and put it back", err)
	}
	return nil, t.missing(others)
}

// isUSB reports whether err is, or was made of, that error of libusb; gousb wraps some as text only.
func isUSB(err error, code gousb.Error) bool {
	return err != nil && (errors.Is(err, code) || strings.Contains(err.Error(), code.Error()))
}

// claim takes the interface and finds its pipes.
func (t target) claim(usb *gousb.Context, dev *gousb.Device) (p *pipes, setting gousb.InterfaceSetting, err error) {
	p = &pipes{address: t.address, usb: usb, dev: dev}
	failed := func(err error) (*pipes, gousb.InterfaceSetting, error) {
		if p.intf != nil {
			p.intf.Close()
		}
		if p.config != nil {
			_ = p.config.Close()
		}
		switch node := fmt.Sprintf("/dev/bus/usb/%03d/%03d", dev.Desc.Bus, dev.Desc.Address); {
		case isUSB(err, gousb.ErrorBusy):
			return nil, setting, t.busy(node, err)
		case isUSB(err, gousb.ErrorAccess):
			return nil, setting, t.noPermission(err)
		case isUSB(err, gousb.ErrorNoDevice):
			return nil, setting, t.missing(nil)
		}
		return nil, setting, t.fail(port.Failed, "pull the plug of the device and put it back", err)
	}
	if err := dev.SetAutoDetach(true); err != nil {
		return failed(err)
	}
	number, err := dev.ActiveConfigNum()
	if err != nil {
		return failed(err)
	}
	config, found := dev.Desc.Configs[number]
	if !found {
		return failed(fmt.Errorf("configuration %d is not described", number))
	}
	setting, found = t.choose(config)
	if !found {
		return nil, setting, t.fail(port.BadAddress, "this device is no printer, scanner or scale: look at its interfaces with lsusb -v, or use its serial port", errors.New("no interface that takes bytes or gives reports"))
	}
	if p.config, err = dev.Config(number); err != nil {
		return failed(err)
	}
	if p.intf, err = p.config.Interface(setting.Number, setting.Alternate); err != nil {
		return failed(err)
	}
	for _, e := range streams(setting) {
		switch {
		case e.Direction == gousb.EndpointDirectionOut && p.out == nil:
			p.out, err = p.intf.OutEndpoint(e.Number)
		case e.Direction == gousb.EndpointDirectionIn && p.in == nil:
			p.in, err = p.intf.InEndpoint(e.Number)
		}
		if err != nil {
			return failed(err)
		}
	}
	return p, setting, nil
}

// choose finds the interface: the one asked for, else the first printer, else the first that takes bytes, else the first
// human interface device, best one that is no keyboard or mouse.
func (t target) choose(c gousb.ConfigDesc) (gousb.InterfaceSetting, bool) {
	var fit []gousb.InterfaceSetting
	for _, i := range c.Interfaces {
		for _, s := range i.AltSettings {
			if rank(s) < unusable && (t.number < 0 || t.number == s.Number) {
				fit = append(fit, s)
			}
		}
	}
	// A printer may have a one-way and a two-way setting: the most pipes win.
	slices.SortStableFunc(fit, func(a, b gousb.InterfaceSetting) int {
		return cmp.Or(rank(a)-rank(b), a.Number-b.Number, len(streams(b))-len(streams(a)))
	})
	if len(fit) == 0 {
		return gousb.InterfaceSetting{}, false
	}
	return fit[0], true
}

const unusable = 4

// rank is the place of a setting in the order of choice.
func rank(s gousb.InterfaceSetting) int {
	is := func(d gousb.EndpointDirection) func(gousb.EndpointDesc) bool {
		return func(e gousb.EndpointDesc) bool { return e.Direction == d }
	}
	switch {
	case s.Class == gousb.ClassHID && !slices.ContainsFunc(streams(s), is(gousb.EndpointDirectionIn)):
		return unusable
	case s.Class == gousb.ClassHID && s.Protocol == 0:
		return 2
	case s.Class == gousb.ClassHID:
		return 3
	case !slices.ContainsFunc(streams(s), is(gousb.EndpointDirectionOut)):
		return unusable
	case s.Class == gousb.ClassPrinter:
		return 0
	}
	return 1
}

// streams are the endpoints of a setting that carry its data, by number: interrupt IN for a human interface device, else
// bulk.
func streams(s gousb.InterfaceSetting) []gousb.EndpointDesc {
	var out []gousb.EndpointDesc
	for _, e := range s.Endpoints {
		switch {
		case s.Class != gousb.ClassHID && e.TransferType == gousb.TransferTypeBulk,
			s.Class == gousb.ClassHID && e.TransferType == gousb.TransferTypeInterrupt && e.Direction == gousb.EndpointDirectionIn:
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b gousb.EndpointDesc) int { return int(a.Address) - int(b.Address) })
	return out
}
