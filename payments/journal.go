package payments

import (
	"context"
	"time"

	"storeagent/internal/journal"
)

// Filter selects payments for a listing; zero fields do not filter.
type Filter struct {
	State    State
	Attached *bool // false: approvals that no sale has claimed
	// Contradicted selects the payments that are Contradicted().
	Contradicted bool
	Since        time.Time
	Limit        int    // 1..500
	Cursor       string // as returned by the previous page
}

// Journal keeps payments on disk. Every method that changes something returns only after its commit is durable
// (fsync); implementations are safe for concurrent use.
type Journal interface {
	// Create writes a new payment in state Created, with the idempotency record and events of e. It fails with
	// ErrTerminalInDoubt or ErrTerminalBusy where another payment of that terminal is Blocks() or not Final().
	Create(ctx context.Context, p Payment, e journal.Entry) error
	// AddOperation writes a new operation, which p.Operations ends with, with the idempotency record and events of e.
	// It fails as Create does where the terminal is not free, and with ErrState where the payment is not approved,
	// or is to be voided and a sale has claimed it since p was read.
	AddOperation(ctx context.Context, p Payment, e journal.Entry) error
	// Update replaces the rows of the payment and its operations and writes the events in the same commit. The SaleID
	// is never changed here.
	Update(ctx context.Context, p Payment, events ...journal.Event) error
	// Get returns one payment, or journal.ErrNotFound.
	Get(ctx context.Context, id string) (Payment, error)
	// List returns a page, newest first, and the next cursor ("" at the end).
	List(ctx context.Context, f Filter) ([]Payment, string, error)
	// Open returns, oldest first, all payments that are not Settled() plus those that block.
	Open(ctx context.Context) ([]Payment, error)
	// LastKnown returns what that terminal reported last, of payments and operations, as it named that transaction;
	// or journal.ErrNotFound.
	LastKnown(ctx context.Context, terminal string) (Baseline, error)
	// Taken returns, oldest first, the payments of that terminal that were created at or after since.
	Taken(ctx context.Context, terminal string, since time.Time) ([]Payment, error)
	// LastClosing returns the newest end of day of that terminal, or journal.ErrNotFound.
	LastClosing(ctx context.Context, terminal string) (Closing, error)
	// AddClosing writes an end of day, with the idempotency record and events of e.
	AddClosing(ctx context.Context, c Closing, e journal.Entry) error
	// Resolve replaces the rows of the payment and its operations with what a person decided, with an audit row of who (e.Actor) and why (note).
	// It fails with ErrState where a sale has claimed the payment since p was read.
	Resolve(ctx context.Context, p Payment, note string, e journal.Entry) error
}
