package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/display"
	"storeagent/devices/port"
	"storeagent/devices/scale"
	"storeagent/installer/config"
	"storeagent/register"
)

// scaleOptions and displayOptions are shapes of [device.options].
type scaleOptions struct {
	Unit string `toml:"unit"` // toledo: what the scale weighs in, kg, g, lb or oz
}

type displayOptions struct {
	Commands string `toml:"commands"` // escpos or cd5220
}

func buildScale(p parts, d config.Device) (devices.Device, error) {
	return scale.New(scale.Config{
		Name: d.Name, Protocol: scale.Protocol(d.Driver), Port: d.Port.String(), Open: p.open(d.Port),
		Unit: d.Decoded.(*scaleOptions).Unit, Log: p.log, OnChange: p.onChange,
	})
}

// buildHIDScale has no options: such a scale says its unit.
func buildHIDScale(p parts, d config.Device) (devices.Device, error) {
	return scale.NewHID(scale.HIDConfig{Name: d.Name, Port: d.Port.String(), Open: p.open(d.Port), Log: p.log, OnChange: p.onChange}), nil
}

func buildDisplay(p parts, d config.Device) (devices.Device, error) {
	open := p.open(d.Port)
	if d.Port.Scheme == port.SchemePrinter {
		behind, err := p.sockets.passage(d)
		if err != nil {
			return nil, err
		}
		open = behind.Open
	}
	return display.New(display.Config{
		Name: d.Name, Port: d.Port.String(), Open: open, Commands: display.Commands(d.Decoded.(*displayOptions).Commands),
		Log: p.log, OnChange: p.onChange,
	})
}

// counter finds scales and displays by name; it is register.Counter.
type counter struct {
	scales   map[string]scale.Scale
	displays map[string]*display.Display
}

var _ register.Counter = (*counter)(nil)

func newCounter(devs []devices.Device) *counter {
	c := &counter{scales: map[string]scale.Scale{}, displays: map[string]*display.Display{}}
	for _, d := range devs {
		switch d := d.(type) {
		case scale.Scale:
			c.scales[d.Info().Name] = d
		case *display.Display:
			c.displays[d.Info().Name] = d
		}
	}
	return c
}

// Weigh implements register.Counter.
func (c *counter) Weigh(ctx context.Context, name string) (scale.Reading, error) {
	s, ok := c.scales[name]
	if !ok {
		return scale.Reading{}, fmt.Errorf("scale %q: %w", name, register.ErrNoDevice)
	}
	return s.Read(ctx)
}

// Show implements register.Counter.
func (c *counter) Show(ctx context.Context, name string, lines []string) error {
	d, ok := c.displays[name]
	if !ok {
		return fmt.Errorf("display %q: %w", name, register.ErrNoDevice)
	}
	return d.Show(ctx, lines)
}

type simScaleCmd struct {
	simPort
	Protocol string `help:"nci, toledo, or hid, which takes --port usb." default:"nci" enum:"nci,toledo,hid"`
	Weight   string `help:"What lies on it, as its display shows it." default:"01.250"`
}

// Run runs a simulated scale.
func (c simScaleCmd) Run(e *env) error {
	s := devicesim.NewScale(devicesim.ScaleOptions{Toledo: c.Protocol == string(scale.Toledo)})
	s.Put(c.Weight)
	ready := func(a string) { e.printf("scale (%s) at %s with %s on it\n", c.Protocol, a, c.Weight) }
	id := devicesim.USBIdentity{VID: 0x0EB8, PID: 0xF000, Manufacturer: "SIM", Product: "Counter scale", Serial: usbSerial}
	serve := func(ctx context.Context, rw io.ReadWriteCloser, _ bool) error { return s.Serve(ctx, rw) }
	switch {
	case c.Protocol == "hid" && c.Port == "usb":
		d := devicesim.NewUSBScale(s, id)
		return serveUSB(e.ctx, d.USBDevice, func() { ready("hidraw:0EB8:F000:" + usbSerial) },
			func(ctx context.Context, _ io.ReadWriteCloser, _ bool) error { return d.Serve(ctx) })
	case c.Protocol == "hid":
		return &exitError{exitUsage, errors.New("--protocol hid is USB: use --port usb, or --protocol nci|toledo")}
	case c.Port == "usb":
		return serveUSB(e.ctx, devicesim.NewUSBSerial(id).USBDevice, func() { ready("serial:0EB8:F000:" + usbSerial) }, serve)
	}
	return c.serve(e.ctx, ready, serve)
}
