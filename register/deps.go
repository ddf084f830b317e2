package register

import (
	"context"
	"encoding/json"
	"time"

	"storeagent/devices"
	"storeagent/devices/printer"
	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/payments"
	"storeagent/payments/money"
)

// Keys reads the idempotency records that commits left behind.
type Keys interface {
	// Answer returns what the first request with that pairing and key was told, with its fingerprint, or
	// journal.ErrNotFound.
	Answer(ctx context.Context, pairingID, key string) (journal.Answer, error)
	// Record writes an answer for a request whose state change is not in the database (a cancel, a sign-in).
	Record(ctx context.Context, k journal.Key, a journal.Answer) error
}

// Events is the event log on disk.
type Events interface {
	// Append commits events that belong to no other state change.
	Append(ctx context.Context, events ...journal.Event) error
	// After returns up to limit events with an id above after, oldest first. No types means all.
	After(ctx context.Context, after int64, types []string, limit int) ([]journal.Event, error)
	// Last is the id of the newest committed event, from memory.
	Last() int64
	// Changed returns a channel that is closed when an event newer than Last() is committed. Take the channel
	// first, then read, then wait.
	Changed() <-chan struct{}
}

// Pairings keeps who was let in.
type Pairings interface {
	AddPairing(ctx context.Context, p journal.Pairing, e journal.Entry) error
	Pairings(ctx context.Context) ([]journal.Pairing, error)
	RevokePairing(ctx context.Context, id string, at time.Time, e journal.Entry) error
}

// Sales accepts and shows sales; *offline.Desk is one.
type Sales interface {
	// Accept decodes, checks and commits a posted sale. entry is called with the record to be written and gives the
	// answer and key of the same commit. Errors: *sale.FieldErrors, *offline.DuplicateError, *offline.TenderError,
	// journal.ErrStorageFull, journal.ErrKeyUsed.
	Accept(ctx context.Context, body json.RawMessage, by journal.Actor, entry func(offline.Record) journal.Entry) (offline.Record, error)
	Sale(ctx context.Context, id string) (offline.SaleView, error)
	Sales(ctx context.Context, f offline.SaleFilter) ([]offline.SaleView, string, error)
}

// Queue shows and steers the outbox; *offline.Desk is one.
type Queue interface {
	Status() offline.QueueStatus // from memory
	Items(ctx context.Context, f offline.ItemFilter) ([]offline.Item, string, error)
	Decide(ctx context.Context, d offline.Decision, e journal.Entry) (offline.Item, error)
	Pause(ctx context.Context, by journal.Actor) error // kept across restarts
	Resume(ctx context.Context, by journal.Actor) error
	// Drain ends back-off and post-outage delay, probes at once, and waits until nothing is queued or sending, or
	// ctx ends; it returns the status then.
	Drain(ctx context.Context) offline.QueueStatus
}

// Payments runs card payments; *payments.Desk is one.
type Payments interface {
	// Start writes the payment and hands it to its terminal. entry is called with the payment to be written.
	// Errors: payments.ErrNoTerminal, ErrTerminalBusy, ErrTerminalInDoubt, ErrUnsupported, journal errors.
	Start(ctx context.Context, r payments.Request, entry func(payments.Payment) journal.Entry) (payments.Payment, error)
	Payment(ctx context.Context, id string) (payments.Payment, error)
	// Wait returns the payment once it is Final(), or as it is when ctx ends.
	Wait(ctx context.Context, id string) (payments.Payment, error)
	Payments(ctx context.Context, f payments.Filter) ([]payments.Payment, string, error)
	Cancel(ctx context.Context, id string) (payments.Payment, error)
	// Resolve is a person's word on an unresolved or doubtful payment: Approved or Failed (not charged).
	Resolve(ctx context.Context, id string, outcome payments.State, note string, e func(payments.Payment) journal.Entry) (payments.Payment, error)
	// Void, Capture and Tip write an operation of an approved payment and hand it to the payment's terminal. Errors are
	// those of Start, payments.ErrState, and of Capture payments.ErrAmount; a nil amount captures all.
	Void(ctx context.Context, id string, entry func(payments.Payment) journal.Entry) (payments.Payment, error)
	Capture(ctx context.Context, id string, amount *money.Amount, entry func(payments.Payment) journal.Entry) (payments.Payment, error)
	Tip(ctx context.Context, id string, amount money.Amount, entry func(payments.Payment) journal.Entry) (payments.Payment, error)
	// EndOfDay closes the terminal's day and compares its figures with the journal; Totals only compares.
	EndOfDay(ctx context.Context, terminal, currency string, entry func(payments.Closing) journal.Entry) (payments.Closing, error)
	Totals(ctx context.Context, terminal, currency string) (payments.Closing, error)
	Display(ctx context.Context, terminal string, lines []string, d time.Duration) error
	// Orphans lists, from memory, approvals that no sale claimed in time.
	Orphans() []payments.Payment
	// Contradicted lists, from memory, the payments that ended otherwise than their terminal says.
	Contradicted() []payments.Payment
	Terminals() []payments.TerminalInfo
	// TerminalStatus asks the terminal itself; it never moves money.
	TerminalStatus(ctx context.Context, name string) (payments.TerminalInfo, error)
}

// Printing runs print jobs; *printer.Spooler is one.
type Printing interface {
	// Submit writes the job and hands it to its printer. Errors: printer.ErrNoPrinter, *printer.DocumentError,
	// journal errors.
	Submit(ctx context.Context, r printer.Request, entry func(printer.Job) journal.Entry) (printer.Job, error)
	Job(ctx context.Context, id string) (printer.Job, error)
	// Wait returns the job once it is Final(), or as it is when ctx ends.
	Wait(ctx context.Context, id string) (printer.Job, error)
	// Reprint submits a marked copy of an earlier job.
	Reprint(ctx context.Context, id string, entry func(printer.Job) journal.Entry) (printer.Job, error)
	// Columns is the line width of a printer; printer.ErrNoPrinter where there is none of that name.
	Columns(name string) (int, error)
}

// Devices lists what is configured; *devices.Set is one.
type Devices interface {
	List() []devices.Info
}
