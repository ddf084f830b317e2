package payments

import (
	"context"
	"errors"
	"slices"
	"time"

	"storeagent/devices"
	"storeagent/payments/money"
)

// Caps is what a driver can do. The API answers "unsupported_by_terminal" from here, not from a device error.
type Caps struct {
	Sale          bool     `json:"sale"`
	Refund        bool     `json:"refund"`
	LinkedRefund  bool     `json:"linkedRefund"` // a refund may name the payment it gives back
	Preauth       bool     `json:"preauth"`
	Capture       bool     `json:"capture"`       // of a preauth, also for less than was authorized
	CancelPreauth bool     `json:"cancelPreauth"` // void of a preauth that was not captured
	Void          bool     `json:"void"`
	PartialVoid   bool     `json:"partialVoid"`
	Tip           bool     `json:"tip"`                  // added to an approved payment
	TipAtStart    bool     `json:"tipAtStart"`           // a sale may bring its tip along (tipAmount)
	Cancel        bool     `json:"cancel"`               // Abort may be asked while a payment runs
	LastQuery     string   `json:"lastQuery"`            // byReference, lastOnly or none: how a lost answer is recovered
	Partial       bool     `json:"partial"`              // approves less than asked
	EndOfDay      bool     `json:"endOfDay"`             // the driver is a Reconciler
	DisplayText   bool     `json:"displayText"`          // the driver is a Displayer
	PrintsByUs    bool     `json:"printsByUs"`           // slips come to us
	Offline       bool     `json:"offline"`              // the terminal itself may approve without its host
	Currencies    []string `json:"currencies,omitempty"` // ISO 4217; none named: whatever the terminal is set to
}

// Can says whether the driver does what kind asks for.
func (c Caps) Can(kind Kind) bool {
	switch kind {
	case DoSale:
		return c.Sale
	case DoRefund:
		return c.Refund
	case DoPreauth:
		return c.Preauth
	case DoCapture:
		return c.Capture
	case DoCancelPreauth:
		return c.CancelPreauth
	case DoVoid:
		return c.Void
	case DoTip:
		return c.Tip
	}
	return false
}

// Takes says whether amounts in a currency can be sent; where the driver names none, the terminal decides.
func (c Caps) Takes(currency string) bool {
	return len(c.Currencies) == 0 || slices.Contains(c.Currencies, currency)
}

// Kind is what a terminal is asked to do.
type Kind string

// The kinds. The first three are payments; the others work on an earlier one, which Txn.Original names.
const (
	DoSale          Kind = "sale"
	DoRefund        Kind = "refund"        // with an Original where it gives back a known payment
	DoPreauth       Kind = "preauth"       // reserves money
	DoCapture       Kind = "capture"       // collects of a preauth the amount really used, up to all of it
	DoCancelPreauth Kind = "cancelPreauth" // gives a preauth free that was not captured
	DoVoid          Kind = "void"          // takes an approved sale, refund or captured preauth back as a whole
	DoTip           Kind = "tip"           // adds Amount to an approved sale
)

// FollowsUp is true for the kinds that need an Original.
func (k Kind) FollowsUp() bool {
	switch k {
	case DoCapture, DoCancelPreauth, DoVoid, DoTip:
		return true
	}
	return false
}

// Original is the earlier transaction that a follow-up works on, as the terminal named it then.
type Original struct {
	Kind         Kind         // what stands: DoSale, DoRefund, DoPreauth, or DoCapture for a captured preauth
	Ref          string       // our reference of its attempt
	Amount       money.Amount // what was approved
	At           time.Time    // when its attempt began, UTC
	Receipt      string       // the terminal's receipt number, "" for none
	Trace        string       // the terminal's trace or transaction number, "" for none
	ApprovalCode string
	Reference    string // Outcome.Reference of it
}

// Txn is one money movement for a terminal. It is on disk, with its Ref, before Do is called.
type Txn struct {
	PaymentID string
	Kind      Kind
	// Ref names this attempt and no other, also across restarts: ten characters of 0-9 and A-Z. A driver that can
	// names it to the terminal (PAX ECR reference, nexo ServiceID, Telium private field) and asks for it afterwards.
	Ref      string
	Amount   money.Amount // positive; of a capture what was used, of a tip the tip, of a void what is taken back
	Tip      money.Amount // of a sale: the part of Amount that is a tip; the zero Amount for none
	Original *Original    // nil for a sale, a preauth and an unlinked refund
}

// Attempt is a Txn whose end is not known, with all that is known of it.
type Attempt struct {
	Txn
	StartedAt time.Time // UTC
	Baseline  Baseline  // what the terminal named as its last transaction before this one
	Told      *Outcome  // what the terminal reported before the line was lost, nil for nothing
}

// Outcome is what a terminal said of a transaction. It holds no card data beyond brand and last four digits.
type Outcome struct {
	State             State        // Approved, Declined, Canceled, Failed or Reversed
	ApprovedAmount    money.Amount // of a tip the tip alone
	CardBrand         string
	Last4             string
	EntryMode         string
	ApprovalCode      string
	TerminalReference string
	SignatureRequired bool
	Decline           *Decline
	Baseline          Baseline // identifies this transaction at the terminal
	// Reference is whatever else the driver needs to name this transaction later (for a void, say), in a form of its
	// own. It comes back as Original.Reference; nobody else reads it, and it never holds card data.
	Reference string
}

// Events is how a running transaction reports. Methods are called from the driver's goroutine, one at a time.
type Events interface {
	// Sending is called before the first byte of the money command with what the terminal named as its last
	// transaction. The driver must get nil before it writes; an error means nothing was sent and nothing may be.
	Sending(Baseline) error
	// Prompt shows progress; it never fails the payment.
	Prompt(Prompt)
	// CommitOutcome makes the outcome durable. The driver must get nil before it acknowledges the result to the
	// terminal; on an error it must not acknowledge.
	CommitOutcome(Outcome) error
	// CommitReceipt makes slip lines durable before they are acknowledged. It may be called several times; each
	// call brings the lines gathered so far.
	CommitReceipt(Receipt) error
}

// Verdict is what recovery found out.
type Verdict int

// The verdicts. Unknown is the zero value, so that a forgotten answer never means "not charged".
const (
	Unknown    Verdict = iota // the terminal could not tell: a person must look
	Known                     // the terminal showed this very transaction; the Outcome says how it ended
	NotCharged                // the terminal can tell, and it did not happen
)

// Terminal is one card terminal. Do, Recover and Status run one at a time, on the worker that owns the terminal;
// Abort may be called at any time.
type Terminal interface {
	devices.Device
	// Caps is constant for the life of the Terminal.
	Caps() Caps
	// Do moves money. It returns nil once CommitOutcome got an outcome and the exchange ended as it should. An
	// error that is ErrNotSent means that certainly nothing was charged. After any other error the payment is in
	// doubt and Recover is called, even where an approval was committed: whether the terminal heard the
	// acknowledgement is not known. ctx ends only when the agent stops.
	Do(ctx context.Context, t Txn, ev Events) error
	// Abort asks the terminal to stop the running transaction. It is a request: the end still comes from Do.
	Abort(ctx context.Context) error
	// Recover asks the terminal how an attempt ended. It never moves money. An error means that the terminal could
	// not be asked (not reachable, busy): ask again later.
	Recover(ctx context.Context, a Attempt) (Verdict, Outcome, error)
	// Status asks the terminal whether it is ready. It never moves money.
	Status(ctx context.Context) (devices.Status, error)
}

// Reconciler is a Terminal that counts what it took since its last end of day. Both calls run on the worker that owns
// the terminal, never while money moves or is in doubt there: an end of day may erase what recovery asks for.
type Reconciler interface {
	// EndOfDay closes the terminal's day with its host. It may take minutes. An error that is ErrNotSent means that
	// nothing was closed; after any other error it is not known.
	EndOfDay(ctx context.Context) (Totals, error)
	// Totals reads the counters and closes nothing.
	Totals(ctx context.Context) (Totals, error)
}

// Totals are a terminal's sums since its last end of day, in its own words.
type Totals struct {
	Count        int          `json:"count" doc:"Transactions, as the terminal counts them"`
	Amount       money.Amount `json:"amount" doc:"Sales less refunds; voided ones count as neither"`
	Cards        []CardTotal  `json:"cards"`
	FirstReceipt string       `json:"firstReceipt,omitempty"`
	LastReceipt  string       `json:"lastReceipt,omitempty"`
	Slip         []string     `json:"slip,omitempty" doc:"Lines the terminal wants printed"`
}

// CardTotal is the part of one card scheme.
type CardTotal struct {
	Brand  string       `json:"brand"`
	Count  int          `json:"count"`
	Amount money.Amount `json:"amount"`
}

// Displayer is a Terminal that shows lines of ours to the customer.
type Displayer interface {
	// Display shows the lines for that long; 0 leaves them until something else is shown.
	Display(ctx context.Context, lines []string, d time.Duration) error
}

// Reprinter is a Terminal that gives the slips of its last transaction again, and says which one that is.
type Reprinter interface {
	Reprint(ctx context.Context) (Receipt, Baseline, error)
}

// ErrNoTotals means that the terminal did what was asked and told no figures.
var ErrNoTotals = errors.New("the terminal told no totals")

// ErrNotSent means that certainly nothing was charged: no byte of the money command left, or the terminal refused
// the command before it began.
var ErrNotSent = errors.New("nothing was charged")
