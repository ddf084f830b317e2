package offline

import (
	"context"
	"time"

	"storeagent/internal/journal"
)

// SaleFilter selects sales for a listing; zero fields do not filter.
type SaleFilter struct {
	State         State
	TransactionID string
	Since         time.Time
	Limit         int
	Cursor        string
}

// ItemFilter selects operations for a listing; zero fields do not filter.
type ItemFilter struct {
	State  State
	Type   OpType
	SaleID string
	Limit  int
	Cursor string
}

// CodeReplaced is the fault of operations whose database was lost, replaced or copied: nobody knows whether they were
// sent since. They are never sent again without a person's word, whatever the configuration says.
const CodeReplaced = "database_replaced"

// Counts is the queue in numbers, kept by the store in memory so that reading it costs nothing.
type Counts struct {
	ByState        map[State]int
	OldestQueuedAt time.Time         // zero when nothing is queued
	OldestOpenAt   time.Time         // oldest undelivered operation
	OpenAmounts    map[string]string // currency → sum of undelivered amounts, each without its sign
	Moved          int               // of the parked: another machine has them, so they are in neither of the three above
}

// Result is how an attempt ended, as the forwarder classified it.
type Result struct {
	State      State // Queued (surely not executed), Delivered, Parked, InDoubt, or of gift cards Discarded (declined)
	Reason     Reason
	Error      *Fault
	CloudID    string
	NotBefore  time.Time // with Queued
	HTTPStatus int
	Class      string // word for the attempt log: delivered, rejected, not_executed, …
	FinishedAt time.Time
	Evidence   string // with Settle: what the cloud showed, for the audit; "" for none

	// Of gift cards: what the cloud said with the result, "" and zero where it said nothing.
	Balance    string
	GiftcardID string
	ExpiresAt  time.Time // when the hold of an authorization lapses
}

// Store is the durable side of the outbox. Every method that changes something returns only after its commit is on
// disk (WAL, synchronous=FULL). All methods are safe for concurrent use. When the disk refuses they fail with
// journal.ErrStorageFull and change nothing.
type Store interface {
	// AcceptSale writes the sale, its operations, the claim of its tenders, the idempotency record and the events in
	// one commit. It fails with *DuplicateError, *TenderError or journal.ErrKeyUsed and then writes nothing; a
	// used key goes before a duplicate. A sale without operations is not to be sent and shows as discarded.
	AcceptSale(ctx context.Context, a Acceptance, e journal.Entry) error
	Sale(ctx context.Context, id string) (SaleView, error)
	Sales(ctx context.Context, f SaleFilter) ([]SaleView, string, error)
	// SaleStream gives the stream of the accepted sale with that store code and transaction id, so that a refund
	// that refers to it goes behind it; "" where there is none.
	SaleStream(ctx context.Context, storeCode, transactionID string) (string, error)

	Operation(ctx context.Context, id string) (Operation, error)
	Operations(ctx context.Context, f ItemFilter) ([]Operation, string, error)
	// Heads returns up to limit operations that may be sent at now: queued, not before their time, first of their
	// stream among those not delivered or discarded, no dependency queued or sending, in Seq order. Types in skip
	// are left out (paused kinds).
	Heads(ctx context.Context, now time.Time, limit int, skip []OpType) ([]Operation, error)
	// NextDue returns the earliest NotBefore of a queued head later than now, zero where there is none.
	NextDue(ctx context.Context, now time.Time) (time.Time, error)
	// Begin commits state sending and attempt number n (1-based, op.Attempts+1). ErrStale where the operation is
	// not queued with n-1 attempts, or its stream already has one in flight or in doubt. No byte may leave before
	// it returned nil.
	Begin(ctx context.Context, opID string, n int, at time.Time, events ...journal.Event) error
	// Finish commits how attempt n ended. ErrStale where the operation is not sending attempt n.
	Finish(ctx context.Context, opID string, n int, r Result, events ...journal.Event) error
	// Doubt turns every operation still sending into in_doubt: the agent stopped in the middle. Called once, before
	// the forwarder starts. It returns those it changed.
	Doubt(ctx context.Context, at time.Time) ([]Operation, error)
	// Settle commits the end of an operation in doubt by evidence or for lack of it (Delivered, Queued, Parked, Discarded),
	// with an audit row of the agent's own (AgentActor, ActionEvidence) where the result names evidence.
	Settle(ctx context.Context, opID string, r Result, events ...journal.Event) error
	// Decide commits a person's decision about a parked operation with an audit row. ErrState where the operation
	// is not parked (Discard also takes queued). A giftcardTrans that is sent again becomes Offline: somebody relies on
	// it, though no cashier waits any more.
	Decide(ctx context.Context, d Decision, e journal.Entry) (Operation, error)
	// Unblock turns operations parked as Blocked of that type back into queued and returns how many.
	Unblock(ctx context.Context, t OpType, at time.Time, events ...journal.Event) (int, error)
	Counts(ctx context.Context) (Counts, error)

	GiftcardStore
}

// Class is what an attempt's answer means for the operation.
type Class int

// The classes; ARCHITECTURE.md has the table. The zero value is ClassDoubt: what nobody classified is in doubt.
const (
	ClassDoubt       Class = iota // anything not listed below
	ClassDelivered                // the cloud said so
	ClassNotExecuted              // surely not executed: send again later
	ClassSignedOut                // NOT_AUTHENTICATED: sign in, then send again
	ClassBlocked                  // NOT_AUTHORIZED: the kind is parked until the permission is there
	ClassRejected                 // the cloud refused this very operation
	ClassUnsupported              // the tenant has no such operation: the kind is paused
)

// classWords are the attempt log's words.
var classWords = [...]string{
	ClassDoubt: "doubt", ClassDelivered: "delivered", ClassNotExecuted: "not_executed", ClassSignedOut: "signed_out",
	ClassBlocked: "blocked", ClassRejected: "rejected", ClassUnsupported: "unsupported",
}

// String is the word of the attempt log.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classWords) {
		return classWords[ClassDoubt]
	}
	return classWords[c]
}

// Verdict is a classified answer.
type Verdict struct {
	Class      Class
	CloudID    string
	Fault      *Fault
	RetryAfter time.Duration // 0 where the cloud named none
	PushBack   bool          // 429 or 503: slow down
	HTTPStatus int
	Answered   bool   // with ClassDoubt: the cloud answered with an error at our field, whose meaning is not known
	Balance    string // of a gift card after the operation, "" where the cloud named none
	GiftcardID string
}

// Cloud sends. Implementations never resend by themselves, follow no redirects and honour ctx.
type Cloud interface {
	// Send makes one attempt at op. It does not return an error: every fault is classified.
	Send(ctx context.Context, op Operation) Verdict
	// Probe asks a read-only question. ClassDelivered means that the way to the cloud is open: it answered a signed-in
	// caller. ClassBlocked, ClassRejected and ClassUnsupported mean so too, but for the question.
	Probe(ctx context.Context) Verdict
}
