// Package escpos drives receipt printers that speak ESC/POS: it encodes documents, reads the printer's answers, and
// says "printed" only when the printer confirmed that the paper is out.
//
// It is wired by cmd and called by printer.Spooler. It imports devices, devices/port, devices/printer and its
// rooms codepage, driver and typeset, never a simulator. Bytes follow Epson's ESC/POS command reference; what differs by model stands in profiles.go.
package escpos

import (
	"fmt"
	"log/slog"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/printer"
	"storeagent/devices/printer/driver"
	"storeagent/devices/printer/typeset"
)

// Driver is the name of this driver in the configuration.
const Driver = "escpos"

// Config is one printer.
type Config struct {
	Name    string
	Port    string        // the configured address, for people
	Open    port.OpenFunc // opens it
	Options Options
	// Typesetter draws the lines that the printer's code pages do not carry; nil, like Options.Raster off, refuses them.
	Typesetter *typeset.Typesetter
	Log        *slog.Logger       // nil logs nothing
	OnChange   func(devices.Info) // may be nil
}

// Options are what a technician may set; the zero value suits an 80 mm Epson TM.
type Options struct {
	// Profile is a name of Profiles(), or the path of a .json file in the form of profiles.json; "" is "default".
	Profile string
	// Columns is the line width in font A characters, 16 to 96; 0 is the profile's.
	Columns int
	// Codepages is the ordered list of code pages to use in place of the profile's, as "858" or, where the printer
	// numbers differently, "858=19".
	Codepages []string
	// DrawerOpenLevel is the level of the drawer socket's pin 3 while the drawer is open: "high" or "low". It is a
	// property of the drawer; with "" the printer says nothing about the drawer.
	DrawerOpenLevel string
	// Raster off refuses a document with a character that no code page has, instead of drawing its line as dots; "" and
	// on draw it.
	Raster string
}

// Printer is one ESC/POS printer. It implements printer.Printer, and drawer.Printer by Pulse.
type Printer struct {
	*driver.Printer
	lang *language
}

var _ printer.Printer = (*Printer)(nil)

// New makes a printer; nothing is opened before Run. It fails on an unknown profile, code page or level.
func New(c Config) (*Printer, error) {
	p, err := newProfile(c.Options)
	if err != nil {
		return nil, fmt.Errorf("printer %s: %w", c.Name, err)
	}
	l := &language{profile: p, setter: c.Typesetter}
	if !p.pictures {
		l.setter = nil
	}
	switch c.Options.Raster {
	case "", "on":
	case "off":
		l.setter = nil
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
	return &Printer{Printer: d, lang: l}, nil
}

// Check says whether the document can be printed here; it refuses a character that none of the printer's code pages
// and no font has, rather than printing a question mark for it.
func (p *Printer) Check(doc printer.Document) error {
	if err := printer.Check(doc, p.Columns()); err != nil {
		return err
	}
	_, err := encode(doc, p.lang.profile, p.lang.setter, maxBytes)
	return err
}

// language is ESC/POS, as one model speaks it.
type language struct {
	profile profile
	setter  *typeset.Typesetter
}

var _ driver.Language = (*language)(nil)

// Columns implements driver.Language.
func (l *language) Columns() int { return l.profile.columns }

// Encode implements driver.Language.
func (l *language) Encode(doc printer.Document) (driver.Encoded, error) {
	var out driver.Encoded
	out.Add(initialize(l.profile)...)
	e, err := encode(doc, l.profile, l.setter, maxBytes*(printer.MaxCopies+1)) // copies and the mark of a reprint are in doc
	if err != nil {
		return driver.Encoded{}, err
	}
	before := len(out.Data)
	out.Data = append(out.Data, e.Data...)
	for _, cut := range e.Cuts {
		out.Cuts = append(out.Cuts, before+cut)
	}
	return out, nil
}

// Begin implements driver.Language.
func (l *language) Begin() driver.Talk { return &talk{profile: l.profile} }
