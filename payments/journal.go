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
	Since    time.Time
	Limit    int    // 1..500
	Cursor   string // as returned by the previous page
}

// Journal keeps payments on disk. Every method that changes something returns only after its commit is durable
// (fsync); implementations are safe for concurrent use.
type Journal interface {
	// Create writes a new payment in state Created, with the idempotency record and events of e. It fails with
	// ErrTerminalInDoubt or ErrTerminalBusy where another payment of that terminal is Blocks() or not Final().
	Create(ctx context.Context, p Payment, e journal.Entry) error
	// Update replaces the payment's row and writes the events in the same commit. The SaleID is never changed here.
	Update(ctx context.Context, p Payment, events ...journal.Event) error
	// Get returns one payment, or journal.ErrNotFound.
	Get(ctx context.Context, id string) (Payment, error)
	// List returns a page, newest first, and the next cursor ("" at the end).
	List(ctx context.Context, f Filter) ([]Payment, string, error)
	// Open returns, oldest first, all payments that are not Final() plus those Unresolved.
	Open(ctx context.Context) ([]Payment, error)
	// LastKnown returns the newest payment of that terminal whose outcome the terminal reported, or
	// journal.ErrNotFound.
	LastKnown(ctx context.Context, terminal string) (Payment, error)
	// Resolve replaces the payment's row with what a person decided, with an audit row of who (e.Actor) and why (note).
	Resolve(ctx context.Context, p Payment, note string, e journal.Entry) error
}
