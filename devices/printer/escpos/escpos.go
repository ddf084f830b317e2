// Package escpos drives receipt printers that speak ESC/POS: it encodes documents, reads the printer's answers, and
// says "printed" only when the printer confirmed that the paper is out.
//
// It is wired by cmd and called by printer.Spooler. It imports devices, devices/port, devices/printer and its typesetter,
// never a simulator. Bytes follow Epson's ESC/POS command reference; what differs by model stands in profiles.go.
package escpos

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/printer"
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

// Printer is one ESC/POS printer. It implements printer.Printer.
type Printer struct {
	link    *devices.Link
	log     *slog.Logger
	profile profile
	setter  *typeset.Typesetter
	level   string
	jobs    chan *request
	pulses  chan *pulse

	// answers is set for good once the printer has answered anything: its later silence is a fault, not its nature.
	answers atomic.Bool
	// half is set when a job was lost in its middle: the printer may wait for the rest of a command.
	half atomic.Bool
}

var _ printer.Printer = (*Printer)(nil)

// request is a job on its way to the session, and its result on the way back.
type request struct {
	ctx      context.Context
	progress printer.Progress
	job      printer.Job
	doc      printer.Document
	done     chan result // buffered; the session answers exactly once
}

type result struct {
	state printer.JobState
	err   error
}

// New makes a printer; nothing is opened before Run. It fails on an unknown profile, code page or level.
func New(c Config) (*Printer, error) {
	p, err := newProfile(c.Options)
	if err != nil {
		return nil, fmt.Errorf("printer %s: %w", c.Name, err)
	}
	switch c.Options.DrawerOpenLevel {
	case "", "high", "low":
	default:
		return nil, fmt.Errorf("printer %s: drawer_open_level %q is not high or low", c.Name, c.Options.DrawerOpenLevel)
	}
	switch c.Options.Raster {
	case "", "on":
	case "off":
		c.Typesetter = nil
	default:
		return nil, fmt.Errorf("printer %s: raster %q is not on or off", c.Name, c.Options.Raster)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Printer{
		link: devices.NewLink(devices.LinkConfig{
			Info:     devices.Info{Name: c.Name, Category: devices.POSPrinter, Driver: Driver, Port: c.Port},
			Open:     c.Open,
			Log:      c.Log,
			OnChange: c.OnChange,
		}),
		log:     c.Log.With("printer", c.Name),
		profile: p,
		setter:  c.Typesetter,
		level:   c.Options.DrawerOpenLevel,
		jobs:    make(chan *request),
		pulses:  make(chan *pulse),
	}, nil
}

// Info is the printer as it is now.
func (p *Printer) Info() devices.Info { return p.link.Info() }

// Wake ends the wait before the next attempt to open the port: a device was plugged in.
func (p *Printer) Wake() { p.link.Wake() }

// Run owns the printer's port until ctx ends.
func (p *Printer) Run(ctx context.Context) error {
	return p.link.Serve(ctx, func(ctx context.Context, pt port.Port) error { return newSession(p, pt).run(ctx) })
}

// Columns is the width of a line in characters of font A.
func (p *Printer) Columns() int { return p.profile.columns }

// Check says whether the document can be printed here; it refuses a character that none of the printer's code pages
// and no font has, rather than printing a question mark for it.
func (p *Printer) Check(doc printer.Document) error {
	if err := printer.Check(doc, p.profile.columns); err != nil {
		return err
	}
	_, err := encode(doc, p.profile, p.setter, maxBytes)
	return err
}

// Print prints a job. See printer.Printer; with job.Raw set, doc is printed before the raw bytes.
func (p *Printer) Print(ctx context.Context, job printer.Job, doc printer.Document, progress printer.Progress) (printer.JobState, error) {
	if info := p.link.Info(); info.State == devices.Offline {
		return printer.Queued, notReady(printer.OfflineState, "the printer can't be reached"+because(info.LastError))
	}
	r := &request{ctx: ctx, progress: progress, job: job, doc: doc, done: make(chan result, 1)}
	handing, cancel := context.WithTimeout(ctx, handOverLimit)
	defer cancel()
	select {
	case p.jobs <- r:
	case <-handing.Done():
		return printer.Queued, notReady(printer.OfflineState, "the printer can't be reached"+because(p.link.Info().LastError))
	}
	res := <-r.done // the session answers in any case, also when it or ctx ends
	return res.state, res.err
}

func because(p *devices.Problem) string {
	if p == nil {
		return ""
	}
	return ": " + p.Message
}

func notReady(reason printer.Reason, message string) error {
	return &printer.NotReadyError{Reason: reason, Err: errors.New(message)}
}
