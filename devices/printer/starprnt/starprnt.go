// Package starprnt drives Star receipt printers in their own language, StarPRNT or Star Line Mode: it encodes documents,
// reads the printer's automatic status, and says "printed" only when the printer's document counter says so.
//
// It is wired by cmd and called by printer.Spooler. It imports devices, devices/port, devices/printer and its rooms
// codepage, driver, preview and typeset, never a simulator. Bytes follow "StarPRNT Command Specifications" (Star Micronics, Rev.
// 2.25) and "STAR Line Mode Command Specifications" (Rev. 1.12), whose section numbers stand behind the commands.
package starprnt

import (
	"fmt"
	"log/slog"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/printer/driver"
	"storeagent/devices/printer/preview"
	"storeagent/devices/printer/typeset"
)

// Driver is the name of this driver in the configuration.
const Driver = "starprnt"

// Config is one printer.
type Config struct {
	Name    string
	Port    string        // the configured address, for people
	Open    port.OpenFunc // opens it
	Options Options
	// Typesetter draws the lines that the printer's own characters do not carry; nil, like Options.Raster off, refuses them.
	Typesetter *typeset.Typesetter
	// Paper draws whole documents for models that print nothing but dots, which cannot be used without it.
	Paper    *preview.Renderer
	Log      *slog.Logger       // nil logs nothing
	OnChange func(devices.Info) // may be nil
}

// Options are what a technician may set; the zero value suits an 80 mm printer that speaks StarPRNT.
type Options struct {
	// Profile is a name of Profiles(), or the path of a .json file in the form of profiles.json; "" is "star-80mm".
	Profile string
	// Columns is the line width in font A characters, 16 to 96; 0 is the profile's.
	Columns int
	// Codepages is the ordered list of code pages to use in place of the profile's, as "858" or, where the printer
	// numbers differently, "858=4".
	Codepages []string
	// DrawerOpenLevel is the level of the drawer switch while the drawer is open: "high" where the status shows the switch
	// as closed then, or "low". It is a property of the drawer; with "" the printer says nothing about the drawer.
	DrawerOpenLevel string
	// Raster off refuses a document with a character that the printer does not have, instead of drawing its line as dots;
	// "" and on draw it.
	Raster string
}

// Printer is one Star printer. It implements printer.Printer, and drawer.Printer by Pulse.
type Printer struct{ *driver.Printer }

// New makes a printer; nothing is opened before Run. It fails on an unknown profile, code page or level.
func New(c Config) (*Printer, error) {
	p, err := newProfile(c.Options)
	if err != nil {
		return nil, fmt.Errorf("printer %s: %w", c.Name, err)
	}
	l := &language{profile: p, setter: c.Typesetter, paper: c.Paper}
	switch c.Options.Raster {
	case "", "on":
	case "off":
		l.setter, l.paper = nil, nil
	default:
		return nil, fmt.Errorf("printer %s: raster %q is not on or off", c.Name, c.Options.Raster)
	}
	d, err := driver.New(driver.Config{
		Name: c.Name, Driver: Driver, Port: c.Port, Open: c.Open, Language: l,
		DrawerOpenLevel: c.Options.DrawerOpenLevel, Log: c.Log, OnChange: c.OnChange,
	})
	if err != nil {
		return nil, err
	}
	return &Printer{d}, nil
}

// language is Star's, as one model speaks it.
type language struct {
	profile profile
	setter  *typeset.Typesetter
	paper   *preview.Renderer
}

var _ driver.Language = (*language)(nil)

// Columns implements driver.Language.
func (l *language) Columns() int { return l.profile.columns }

// Begin implements driver.Language.
func (l *language) Begin() driver.Talk { return &talk{profile: l.profile} }
