// Package driver is what the drivers of receipt printers have in common: one session for each time the port is open,
// jobs with honest states, and pulses for the drawer between them. What a make of printers speaks comes as a Language.
//
// It is called by the drivers below devices/printer. It imports devices, devices/port and devices/printer.
package driver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/printer"
)

// Language is what one make of printers speaks. Its methods are safe for concurrent use.
type Language interface {
	// Columns is the width of a line in characters of font A.
	Columns() int
	// Encode gives the bytes of a document from the start of a job on, whatever modes the job before left behind. The
	// error is a *printer.DocumentError.
	Encode(doc printer.Document) (Encoded, error)
	// Begin starts a conversation over a port that was just opened.
	Begin() Talk
}

// Talk is the conversation over one open port. Hear, Overdue, Reason, Status and Paused are called while the session is
// locked and return at once. The others are called by the session's own goroutine, unlocked.
type Talk interface {
	// Hear takes what the printer sent, in any chunks, and reports whether that completed an answer.
	Hear(chunk []byte) bool
	// Overdue drops an unfinished answer, whose rest will not come any more.
	Overdue()
	// Reason is why the printer can't print now, or "".
	Reason() printer.Reason
	// Status is what the printer last said of itself; openLevel is Config.DrawerOpenLevel.
	Status(openLevel string) devices.Status
	// Paused reports whether the printer stopped us by XOFF.
	Paused() bool

	// Hello finds out whether the printer answers, who it is and how it confirms jobs. lost is the length of the command
	// that may have been cut off when the job before was lost, or 0; once the printer is brought out of it,
	// Session.Recovered is to be called.
	Hello(ctx context.Context, s *Session, lost int) (answers bool, err error)
	// Refresh brings the status up to date before a job and while idle. Its error says that the printer, which did answer,
	// is silent.
	Refresh(ctx context.Context, s *Session) error
	// Ask asks for the status while the printer works, and reports whether any answer came.
	Ask(ctx context.Context, s *Session) (bool, error)
	// Seal says how the end of this job is proved. It is called right before the job's first byte.
	Seal(ctx context.Context, s *Session, job printer.Job) (Seal, error)
	// Pulse gives the commands that open the drawer on pin 2 or 5.
	Pulse(pin int) Pulse
}

// Seal is what makes the end of a job known.
type Seal struct {
	Head   []byte               // goes behind the first command of a document, which puts the printer into known modes
	Tail   []byte               // goes behind the job
	Proved func() (bool, error) // called locked; nil where this printer cannot confirm. Its error says why it never will
}

// Pulse are the commands that open a drawer.
type Pulse struct {
	Queued    []byte      // obeyed in the order of printing
	Now       []byte      // obeyed at once, whatever the printer is doing; nil where it does not know that
	Confirm   []byte      // goes behind Queued while idle and is answered; nil where nothing is
	Confirmed func() bool // called locked: whether Confirm was answered
}

// Encoded are the bytes of a job. At its cuts no command is under way, so that a question to the printer is safe.
type Encoded struct {
	Data []byte
	Cuts []int // ascending lengths of Data
}

// Add appends whole commands, and makes a cut behind them.
func (e *Encoded) Add(b ...byte) {
	e.Data = append(e.Data, b...)
	e.Cuts = append(e.Cuts, len(e.Data))
}

// addBehindFirst adds a whole command behind the first one.
func (e *Encoded) addBehindFirst(b []byte) {
	if len(b) == 0 || len(e.Cuts) == 0 {
		return
	}
	first := e.Cuts[0]
	e.Data = slices.Insert(e.Data, first, b...)
	e.Cuts = slices.Insert(e.Cuts, 0, first)
	for i := range e.Cuts[1:] {
		e.Cuts[i+1] += len(b)
	}
}

// Config is one printer.
type Config struct {
	Name     string
	Driver   string        // name of the driver in the configuration
	Port     string        // the configured address, for people
	Open     port.OpenFunc // opens it
	Language Language
	// DrawerOpenLevel is the level of the drawer socket's switch line while the drawer is open: "high" or "low". It is a
	// property of the drawer; with "" the printer says nothing about the drawer.
	DrawerOpenLevel string
	Log             *slog.Logger       // nil logs nothing
	OnChange        func(devices.Info) // may be nil
}

// Printer is one receipt printer. It implements printer.Printer.
type Printer struct {
	link   *devices.Link
	lang   Language
	level  string
	jobs   chan *request
	pulses chan *pulse

	// answers is set for good once the printer has answered anything: its later silence is a fault, not its nature.
	answers atomic.Bool
	// lost is the length of the command that was cut off when a job was lost: the printer may wait for its rest.
	lost atomic.Int64
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

// New makes a printer; nothing is opened before Run. It fails on an unknown level.
func New(c Config) (*Printer, error) {
	switch c.DrawerOpenLevel {
	case "", "high", "low":
	default:
		return nil, fmt.Errorf("printer %s: open_level %q is not high or low", c.Name, c.DrawerOpenLevel)
	}
	return &Printer{
		link: devices.NewLink(devices.LinkConfig{
			Info: devices.Info{Name: c.Name, Category: devices.POSPrinter, Driver: c.Driver, Port: c.Port},
			Open: c.Open, Log: c.Log, OnChange: c.OnChange,
		}),
		lang: c.Language, level: c.DrawerOpenLevel, jobs: make(chan *request), pulses: make(chan *pulse),
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
func (p *Printer) Columns() int { return p.lang.Columns() }

// Check says whether the document can be printed here; a *printer.DocumentError names operation and field.
func (p *Printer) Check(doc printer.Document) error {
	if err := printer.Check(doc, p.lang.Columns()); err != nil {
		return err
	}
	for i, op := range doc {
		if op.Stored != "" { // only escpos knows them, by a Check of its own
			return &printer.DocumentError{Field: fmt.Sprintf("document[%d].stored", i),
				Message: "this driver prints no images from the printer's memory; give png"}
		}
	}
	_, err := p.lang.Encode(doc)
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

// words are a reason for people, with the next step.
func words(r printer.Reason) (message, hint string) {
	switch r {
	case printer.CoverOpen:
		return "the cover is open", "close the cover; printing goes on by itself"
	case printer.PaperOut:
		return "the paper is out", "put in a new roll; printing goes on by itself"
	case printer.ErrorState:
		return "the printer reports an error", "clear a paper jam at the cutter and let a hot head cool; else switch the printer off and on"
	case printer.OfflineState:
		return "the printer is offline", "check that it is on and that nobody holds its feed button"
	}
	return "", ""
}
