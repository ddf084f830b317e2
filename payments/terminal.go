package payments

import (
	"context"
	"errors"

	"storeagent/devices"
	"storeagent/payments/money"
)

// Caps is what a driver can do. The API answers "unsupported_by_terminal" from here, not from a device error.
type Caps struct {
	Sale        bool   `json:"sale"`
	Refund      bool   `json:"refund"`
	Preauth     bool   `json:"preauth"`
	Void        bool   `json:"void"`
	Tip         bool   `json:"tip"`
	Cancel      bool   `json:"cancel"`    // Abort may be asked while a payment runs
	LastQuery   string `json:"lastQuery"` // byReference, lastOnly or none: how a lost answer is recovered
	Partial     bool   `json:"partial"`   // approves less than asked
	EndOfDay    bool   `json:"endOfDay"`
	DisplayText bool   `json:"displayText"`
	PrintsByUs  bool   `json:"printsByUs"` // slips come to us
}

// Txn is one money movement for a terminal.
type Txn struct {
	PaymentID string
	Type      Type
	Amount    money.Amount
}

// Outcome is what a terminal said of a transaction. It holds no card data beyond brand and last four digits.
type Outcome struct {
	State             State // Approved, Declined, Canceled, Failed or Reversed
	ApprovedAmount    money.Amount
	CardBrand         string
	Last4             string
	EntryMode         string
	ApprovalCode      string
	TerminalReference string
	SignatureRequired bool
	Decline           *Decline
	Baseline          Baseline // identifies this transaction at the terminal
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
	// Recover asks the terminal how the payment ended. It never moves money. An error means that the terminal
	// could not be asked (not reachable, busy): ask again later. p.Told is what the terminal reported before the
	// line was lost, p.Baseline what it named as its last transaction before this payment.
	Recover(ctx context.Context, p Payment) (Verdict, Outcome, error)
	// Status asks the terminal whether it is ready. It never moves money.
	Status(ctx context.Context) (devices.Status, error)
}

// ErrNotSent means that certainly nothing was charged: no byte of the money command left, or the terminal refused
// the command before it began.
var ErrNotSent = errors.New("nothing was charged")
