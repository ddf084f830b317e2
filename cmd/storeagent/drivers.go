package main

import (
	"context"
	"fmt"
	"log/slog"

	"storeagent/devices"
	"storeagent/devices/drawer"
	"storeagent/devices/port"
	"storeagent/devices/port/serialport"
	"storeagent/devices/port/usbport"
	"storeagent/devices/printer/escpos"
	"storeagent/devices/printer/starprnt"
	"storeagent/devices/printer/typeset"
	"storeagent/devices/scale"
	"storeagent/devices/scanner"
	"storeagent/installer/config"
	"storeagent/offline/cloud"
	"storeagent/payments/zvt"
)

// zvtOptions, escposOptions (of both printer drivers) and scannerOptions are the shapes of [device.options].
type zvtOptions struct {
	Password   config.Secret `toml:"password"`
	TimeoutS   int           `toml:"timeout_s"`   // longest wait for a result
	Print      string        `toml:"print"`       // register: slips come through us; terminal: it prints them
	Charset    string        `toml:"charset"`     // cp437, latin1, latin9 or utf8
	LostAck    string        `toml:"lost_ack"`    // reverses, keeps or declines
	ConfigByte uint8         `toml:"config_byte"` // of the registration; 0 is chosen by print
}

type escposOptions struct {
	Profile   string   `toml:"profile"`
	Columns   int      `toml:"columns"`
	Codepages []string `toml:"codepages"`
	OpenLevel string   `toml:"open_level"`
	Raster    string   `toml:"raster"` // off refuses what no code page has; else it is drawn
}

type scannerOptions = scanner.Options

// parts is what a driver is built from.
type parts struct {
	opener   port.Opener
	log      *slog.Logger
	getenv   func(string) string
	onChange func(devices.Info)
	sink     scanner.Sink
	prefixes []string // of gift cards
	currency string   // of the store
	cloud    *cloud.Client
	sockets  *sockets // of the printers, for drawers
	fonts    *typeset.Typesetter
}

func (p parts) open(a port.Address) port.OpenFunc {
	return func(ctx context.Context) (port.Port, error) { return p.opener.Open(ctx, a) }
}

// driver is one row of the driver table.
type driver struct {
	config.Driver
	build func(p parts, d config.Device) (devices.Device, error)
}

// drivers is the table. Adding a driver is one row here.
func drivers() []driver {
	return []driver{
		{config.Driver{
			Name: "zvt", Category: devices.PaymentTerminal, Schemes: []string{port.SchemeSerial, port.SchemeTCP},
			Options: func() any { return &zvtOptions{TimeoutS: 180, Print: "register"} },
		}, buildZVT},
		{config.Driver{
			Name: "nexo", Category: devices.PaymentTerminal, Schemes: []string{port.SchemeHTTPS},
			Options: func() any { return &nexoOptions{KeyVersion: 1, TimeoutS: 180, Print: "register"} },
		}, buildNexo},
		{config.Driver{
			Name: "pax", Category: devices.PaymentTerminal, Schemes: []string{port.SchemeSerial, port.SchemeTCP},
			Options: func() any { return &timedOptions{TimeoutS: 180} },
		}, buildPAX},
		{config.Driver{
			Name: "telium", Category: devices.PaymentTerminal, Schemes: []string{port.SchemeSerial, port.SchemeTCP},
			Options: func() any { return &timedOptions{TimeoutS: 180} },
		}, buildTelium},
		{config.Driver{
			Name: cloud.TerminalDriver, Category: devices.PaymentTerminal, // no port: the cloud talks to it
			Options: func() any { return &poscloudOptions{TimeoutS: 180} },
		}, buildPOSCloud},
		{config.Driver{
			Name: "escpos", Category: devices.POSPrinter, Schemes: []string{port.SchemeSerial, port.SchemeTCP, port.SchemeFile, port.SchemeUSB},
			Options: func() any { return &escposOptions{} },
		}, buildESCPOS},
		{config.Driver{
			Name: starprnt.Driver, Category: devices.POSPrinter, Schemes: []string{port.SchemeSerial, port.SchemeTCP, port.SchemeFile, port.SchemeUSB},
			Options: func() any { return &escposOptions{} },
		}, buildStarPRNT},
		{config.Driver{
			Name: "scanner", Category: devices.Scanner, Schemes: []string{port.SchemeSerial, port.SchemeTCP},
			Options: func() any { return &scannerOptions{} },
		}, buildScanner},
		{config.Driver{
			Name: scanner.DriverHIDPOS, Category: devices.Scanner, Schemes: []string{port.SchemeHIDRaw, port.SchemeUSB},
			Options: func() any { return &scannerOptions{} },
		}, buildScanner},
		{config.Driver{
			Name: scanner.DriverWedge, Category: devices.Scanner, Schemes: []string{port.SchemeEvdev},
			Options: func() any { return &scannerOptions{} },
		}, buildScanner},
		{config.Driver{
			Name: "display", Category: devices.LineDisplay, Schemes: []string{port.SchemeSerial, port.SchemeTCP, port.SchemeFile, port.SchemePrinter},
			Options: func() any { return &displayOptions{} },
		}, buildDisplay},
		{config.Driver{
			Name: drawer.Driver, Category: devices.CashDrawer, Schemes: []string{port.SchemePrinter},
			Options: func() any { return &drawerOptions{} },
		}, buildDrawer},
		{config.Driver{
			Name: "nci", Category: devices.Scale, Schemes: []string{port.SchemeSerial, port.SchemeTCP},
			Options: func() any { return &scaleOptions{} },
		}, buildScale},
		{config.Driver{
			Name: "toledo", Category: devices.Scale, Schemes: []string{port.SchemeSerial, port.SchemeTCP},
			Options: func() any { return &scaleOptions{} },
		}, buildScale},
		{config.Driver{
			Name: scale.DriverHID, Category: devices.Scale, Schemes: []string{port.SchemeHIDRaw, port.SchemeUSB},
			Options: func() any { return &struct{}{} },
		}, buildHIDScale},
	}
}

// driverTable is what the configuration needs to know of the drivers.
func driverTable() []config.Driver {
	var list []config.Driver
	for _, d := range drivers() {
		list = append(list, d.Driver)
	}
	return list
}

// newOpener opens every kind of port this build knows.
func newOpener() port.Opener {
	serial := &serialport.Ports{}
	return port.Table{port.SchemeSerial: serial.Open, port.SchemeTCP: port.OpenTCP, port.SchemeFile: port.OpenFile, port.SchemeUSB: usbport.Open,
		port.SchemeHIDRaw: port.HIDRaw{}.Open, port.SchemeEvdev: port.Evdev{}.Open}
}

// buildDevices makes the configured devices, in their order. What is wrong with one names it.
func buildDevices(p parts, list []config.Device) ([]devices.Device, error) {
	var err error
	if p.sockets, err = newSockets(list); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	devs := make([]devices.Device, 0, len(list))
	for _, d := range list {
		for _, row := range drivers() {
			if row.Name != d.Driver {
				continue
			}
			dev, err := row.build(p, d)
			if err != nil {
				return nil, &exitError{exitUsage, fmt.Errorf("device %s: %w", d.Name, err)}
			}
			p.sockets.join(dev)
			devs = append(devs, dev)
		}
	}
	if err := p.sockets.check(); err != nil {
		return nil, &exitError{exitUsage, err}
	}
	return devs, nil
}

func buildZVT(p parts, d config.Device) (devices.Device, error) {
	o := d.Decoded.(*zvtOptions)
	password, err := o.Password.Resolve(p.getenv)
	if err != nil {
		return nil, err
	}
	if o.Print != "register" && o.Print != "terminal" {
		return nil, fmt.Errorf("option print: want register or terminal, not %q", o.Print)
	}
	return zvt.New(zvt.Config{
		Name: d.Name, Port: d.Port.String(), Open: p.open(d.Port), Serial: d.Port.Scheme == port.SchemeSerial,
		Options: zvt.Options{
			Password: password, TimeoutS: o.TimeoutS, Print: o.Print == "register", Charset: zvt.Charset(o.Charset),
			LostAck: zvt.LostAck(o.LostAck), ConfigByte: o.ConfigByte, Currency: p.currency,
		},
		Log: p.log, OnChange: p.onChange,
	})
}

func buildESCPOS(p parts, d config.Device) (devices.Device, error) {
	o := d.Decoded.(*escposOptions)
	level, err := p.sockets.level(d.Name, o.OpenLevel)
	if err != nil {
		return nil, err
	}
	return escpos.New(escpos.Config{
		Name: d.Name, Port: d.Port.String(), Open: p.open(d.Port),
		Options:    escpos.Options{Profile: o.Profile, Columns: o.Columns, Codepages: o.Codepages, DrawerOpenLevel: level, Raster: o.Raster},
		Typesetter: p.fonts,
		Log:        p.log, OnChange: p.sockets.follow(d.Name, p.onChange),
	})
}

func buildStarPRNT(p parts, d config.Device) (devices.Device, error) {
	o := d.Decoded.(*escposOptions)
	level, err := p.sockets.level(d.Name, o.OpenLevel)
	if err != nil {
		return nil, err
	}
	paper, err := newPaper(p.fonts)
	if err != nil {
		return nil, err
	}
	return starprnt.New(starprnt.Config{
		Name: d.Name, Port: d.Port.String(), Open: p.open(d.Port),
		Options:    starprnt.Options{Profile: o.Profile, Columns: o.Columns, Codepages: o.Codepages, DrawerOpenLevel: level, Raster: o.Raster},
		Typesetter: p.fonts, Paper: paper,
		Log: p.log, OnChange: p.sockets.follow(d.Name, p.onChange),
	})
}

func buildScanner(p parts, d config.Device) (devices.Device, error) {
	return scanner.New(scanner.Config{
		Name: d.Name, Driver: d.Driver, Port: d.Port.String(), Open: p.open(d.Port), Options: *d.Decoded.(*scannerOptions),
		Log: p.log, OnChange: p.onChange, Sink: p.sink, GiftcardPrefixes: p.prefixes,
	})
}
