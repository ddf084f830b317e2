// Package printer is the POSPrinter category: the document a printer is asked to print, what a printer says of
// itself, print jobs with honest states, and the spooler that works them off one printer at a time.
//
// It is called by register and wired by cmd; drivers (escpos) implement Printer. It imports devices, and
// internal/journal for its store. "Printed" is only ever said because the printer said so.
package printer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"storeagent/devices"
	"storeagent/internal/journal"
)

// Op is one operation of a document; see the API contract, section 6. Which fields count depends on Op; Check names
// the field that is wrong.
type Op struct {
	Op        string `json:"op" enum:"text,columns,rule,barcode,qrcode,image,feed,cut,drawer"`
	Text      string `json:"text,omitempty"`
	Align     string `json:"align,omitempty" enum:"left,center,right"`
	Bold      bool   `json:"bold,omitempty"`
	Underline bool   `json:"underline,omitempty"`
	Invert    bool   `json:"invert,omitempty" doc:"White on black (text)"`
	Width     int    `json:"width,omitempty" doc:"1 to 8 times the normal width (text); dots (image)"`
	Height    int    `json:"height,omitempty" doc:"1 to 8 times the normal height (text); dots (barcode)"`
	Font      string `json:"font,omitempty" enum:"a,b"`
	Cells     []Cell `json:"cells,omitempty"`
	Char      string `json:"char,omitempty"`
	Symbology string `json:"symbology,omitempty"`
	Data      string `json:"data,omitempty"`
	ShowText  *bool  `json:"showText,omitempty" doc:"Barcode: digits below the bars"`
	Size      int    `json:"size,omitempty" doc:"QR code: 1 to 16 dots a module"`
	Level     string `json:"level,omitempty" enum:"L,M,Q,H"`
	PNG       []byte `json:"png,omitempty"`
	Stored    string `json:"stored,omitempty" doc:"Key code of an image in the printer's own memory, two characters, in place of png"`
	Dither    bool   `json:"dither,omitempty"`
	Lines     int    `json:"lines,omitempty"`
	Mode      string `json:"mode,omitempty" enum:"partial,full"`
	Pin       int    `json:"pin,omitempty" enum:"2,5"`
}

// WithTexts is the operation with each text of its own and of its cells put through f.
func (o Op) WithTexts(f func(string) string) Op {
	o.Text, o.Char = f(o.Text), f(o.Char)
	o.Cells = slices.Clone(o.Cells)
	for i := range o.Cells {
		o.Cells[i].Text = f(o.Cells[i].Text)
	}
	return o
}

// TextField names the field that the text of a text, columns or rule operation, or of one cell of it, stands in.
func (o Op) TextField(cell int) string {
	switch o.Op {
	case "columns":
		return fmt.Sprintf("cells[%d].text", cell)
	case "rule":
		return "char"
	}
	return "text"
}

// Cell is one column of a columns operation; Width counts characters of normal size, 0 shares what is left.
type Cell struct {
	Text       string `json:"text"`
	Width      int    `json:"width,omitempty"`
	Align      string `json:"align,omitempty" enum:"left,center,right"`
	Bold       bool   `json:"bold,omitempty"`
	Underline  bool   `json:"underline,omitempty"`
	Invert     bool   `json:"invert,omitempty" doc:"White on black"`
	CharWidth  int    `json:"charWidth,omitempty" doc:"Characters are 1 to 8 times as wide as normal"`
	CharHeight int    `json:"charHeight,omitempty" doc:"Characters are 1 to 8 times as high as normal"`
}

// Document is what to print, in order.
type Document []Op

// JobState is where a print job stands; the words of the API contract, section 6.
type JobState string

// The states. Printed only if the printer confirmed, Sent where it cannot, Unknown where the line was lost after
// bytes had left.
const (
	Queued  JobState = "queued"
	Sending JobState = "sending"
	Printed JobState = "printed"
	Sent    JobState = "sent"
	Blocked JobState = "blocked"
	Failed  JobState = "failed"
	Unknown JobState = "unknown"
)

// Final reports whether the job will not change by itself any more.
func (s JobState) Final() bool {
	switch s {
	case Queued, Sending, Blocked:
		return false
	}
	return true
}

// Reason is why a job is blocked.
type Reason string

// The reasons of the API.
const (
	CoverOpen    Reason = "cover_open"
	PaperOut     Reason = "paper_out"
	OfflineState Reason = "offline"
	ErrorState   Reason = "error"
)

// Job is one print job as the API shows it and as the store keeps it.
type Job struct {
	ID         string     `json:"id"`
	Printer    string     `json:"printer"`
	State      JobState   `json:"state" enum:"queued,sending,printed,sent,blocked,failed,unknown"`
	Reason     Reason     `json:"reason,omitempty" enum:"cover_open,paper_out,offline,error"`
	SaleID     string     `json:"saleId,omitempty"`
	ReprintOf  string     `json:"reprintOf,omitempty" doc:"The job this one repeats; its paper says so"`
	Copies     int        `json:"copies"`
	CreatedAt  time.Time  `json:"createdAt"`
	FinishedAt *time.Time `json:"finishedAt,omitempty"`
	Error      string     `json:"error,omitempty"`

	Seq      int64           `json:"-"` // order of printing, given by the store at Create
	Document json.RawMessage `json:"-"` // the Document as JSON; empty with Raw
	Raw      []byte          `json:"-"` // printer bytes sent as they are
}

// Request asks for a job: a document or raw printer bytes.
type Request struct {
	Printer  string
	Document Document
	Raw      []byte
	Copies   int // 1..10
	SaleID   string
}

// ErrNoPrinter means that no printer has that name.
var ErrNoPrinter = errors.New("no such printer")

// DocumentError refuses a document; Field is a path like "document[3].cells[0].width".
type DocumentError struct {
	Field   string
	Message string
}

func (e *DocumentError) Error() string { return e.Field + ": " + e.Message }

// Jobs keeps print jobs on disk. Methods return after their commit is durable and are safe for concurrent use.
type Jobs interface {
	// Create writes a queued job with the idempotency record and events of e, and returns it with its Seq.
	Create(ctx context.Context, j Job, e journal.Entry) (Job, error)
	// Update replaces the job's state, reason, error and finish time, and writes the events in the same commit.
	Update(ctx context.Context, j Job, events ...journal.Event) error
	// Get returns a job, or journal.ErrNotFound.
	Get(ctx context.Context, id string) (Job, error)
	// Open returns the jobs of that printer that are not Final(), by Seq.
	Open(ctx context.Context, printer string) ([]Job, error)
}

// Progress is told by a driver while it prints. Sending is called before the first byte of the job; the driver must
// get nil before it writes. Blocked is called when the printer stops for a reason and with "" when it goes on.
type Progress interface {
	Sending() error
	Blocked(Reason)
}

// Printer is one receipt printer.
type Printer interface {
	devices.Device
	// Columns is the width of a line in characters of font A.
	Columns() int
	// Check says whether the document can be printed on this printer; a *DocumentError names operation and field.
	Check(doc Document) error
	// Print prints the document, then job.Raw as it is, and returns the final state: Printed, Sent, Failed or Unknown,
	// with an error that says why for the last two. It waits while the printer is blocked. As long as no byte left it
	// may also return Queued with an error (a *NotReadyError where the reason is known): try again later. Copies and
	// the mark of a reprint are already in doc and Raw.
	Print(ctx context.Context, job Job, doc Document, p Progress) (JobState, error)
}
