// Package payments takes card payments: the payment attempt and its state machine, the Terminal interface that
// every protocol driver implements, the journal it insists on, and the recovery that asks a terminal instead of
// guessing.
//
// It is called by register (use cases) and wired by cmd. It imports devices and money below it, never a protocol
// driver, never offline. A tender link is seen only as a read-only sale id.
package payments

import (
	"errors"
	"fmt"
	"time"

	"storeagent/devices"
	"storeagent/payments/money"
)

// Type is what a payment does.
type Type string

// The types of POST /v1/payments.
const (
	Sale    Type = "sale"
	Refund  Type = "refund"
	Preauth Type = "preauth"
)

// State is where a payment stands. The words are those of the API contract, section 4.
type State string

// The states. Created means on disk and nothing sent; Processing is committed before the first byte leaves and
// lasts until the outcome is committed and acknowledged to the terminal; InDoubt is what a crash, a lost port or nonsense leaves behind; Unresolved waits for a person.
const (
	Created    State = "created"
	Processing State = "processing"
	Approved   State = "approved"
	Declined   State = "declined"
	Canceled   State = "canceled"
	Failed     State = "failed" // certainly not charged
	InDoubt    State = "in_doubt"
	Unresolved State = "unresolved"
	Voided     State = "voided"
	Reversed   State = "reversed"
)

// Final reports whether a long poll may end: the outcome is known or a person must look.
func (s State) Final() bool {
	switch s {
	case Created, Processing, InDoubt:
		return false
	}
	return true
}

// Blocks reports whether a payment in this state keeps new money off its terminal.
func (s State) Blocks() bool { return s == InDoubt || s == Unresolved }

// Decline says why the terminal or its host refused.
type Decline struct {
	Code    string `json:"code" doc:"The terminal's own result code"`
	Message string `json:"message" doc:"What the code means, for a person"`
}

// Receipt is the terminal's slips as lines of text, already free of card data.
type Receipt struct {
	Customer []string `json:"customer"`
	Merchant []string `json:"merchant"`
}

func (r Receipt) empty() bool { return len(r.Customer) == 0 && len(r.Merchant) == 0 }

// Prompt is what the terminal currently asks of customer or cashier.
type Prompt struct {
	Code string `json:"code" doc:"insert_card, remove_card, enter_pin, wait, wrong_pin, declined or other"`
	Text string `json:"text"`
}

// Payment is one attempt as the API shows it and as the journal keeps it.
type Payment struct {
	ID                string        `json:"id"`
	Type              Type          `json:"type" enum:"sale,refund,preauth"`
	State             State         `json:"state" enum:"created,processing,approved,declined,canceled,failed,in_doubt,unresolved,voided,reversed"`
	Amount            money.Amount  `json:"amount"`
	ApprovedAmount    *money.Amount `json:"approvedAmount,omitempty"`
	Currency          string        `json:"currency" doc:"ISO 4217"`
	Terminal          string        `json:"terminal"`
	Reference         string        `json:"reference,omitempty"`
	OriginalPaymentID string        `json:"originalPaymentId,omitempty" doc:"Of a refund: the payment it gives back"`
	CapturedAmount    *money.Amount `json:"capturedAmount,omitempty" doc:"Of a preauth: what was collected"`
	TipAmount         *money.Amount `json:"tipAmount,omitempty" doc:"All tips, on top of amount and approvedAmount"`
	TipAtStart        *money.Amount `json:"tipAtStart,omitempty" doc:"The part of tipAmount that the payment brought along: as asked for, once approved as approved"`
	CreatedAt         time.Time     `json:"createdAt"`
	FinishedAt        *time.Time    `json:"finishedAt,omitempty"`
	CardBrand         string        `json:"cardBrand,omitempty"`
	Last4             string        `json:"last4,omitempty"`
	EntryMode         string        `json:"entryMode,omitempty"`
	ApprovalCode      string        `json:"approvalCode,omitempty"`
	TerminalReference string        `json:"terminalReference,omitempty" doc:"Receipt or trace number of the terminal"`
	SignatureRequired bool          `json:"signatureRequired"`
	Receipt           Receipt       `json:"receipt"`
	Prompt            *Prompt       `json:"prompt,omitempty"`
	Decline           *Decline      `json:"decline,omitempty"`
	SaleID            string        `json:"saleId,omitempty" doc:"The sale that claimed this payment"`
	CancelRequested   bool          `json:"cancelRequested,omitempty"`
	Problem           string        `json:"problem,omitempty" doc:"Why it is in doubt, unresolved or failed"`
	Operations        []Operation   `json:"operations" nullable:"false" doc:"Voids, captures and tips, oldest first"`
	AlarmedAt         *time.Time    `json:"alarmedAt,omitempty" doc:"When it was reported as approved and claimed by no sale"`
	Resolution        *Resolution   `json:"resolution,omitempty" doc:"A person's word on how it ended"`
	Evidence          []Evidence    `json:"evidence,omitempty" doc:"What the terminal said after the payment had its end, oldest first"`

	// Ref names the attempt at the terminal; see Txn.
	Ref string `json:"-"`
	// Original is what a linked refund gives back.
	Original *Original `json:"-"`
	// Baseline is what the terminal named as its last transaction before this one; recovery compares with it.
	Baseline Baseline `json:"-"`
	// Told is the outcome the terminal reported, committed before it was acknowledged. While the payment is still
	// processing nobody knows whether the acknowledgement arrived; the journal keeps it with the payment.
	Told *Outcome `json:"-"`
}

// Request asks for a payment, already checked for syntax.
type Request struct {
	Type              Type
	Amount            money.Amount // positive
	Tip               money.Amount // of a sale, on top of Amount; the zero Amount for none
	Terminal          string       // "" picks the only terminal
	Reference         string
	OriginalPaymentID string
}

// TerminalInfo is one terminal as GET /v1/terminals shows it.
type TerminalInfo struct {
	Name         string         `json:"name"`
	Driver       string         `json:"driver"`
	State        devices.State  `json:"state" enum:"ready,busy,offline,error,claimed"`
	Capabilities Caps           `json:"capabilities"`
	Model        string         `json:"model,omitempty"`
	TerminalID   string         `json:"terminalId,omitempty"`
	Status       devices.Status `json:"status"`
	RoundTripMS  *int64         `json:"roundTripMs,omitempty" doc:"How long the terminal took to say its status; only where it was just asked"`
	Blocking     string         `json:"blockingPaymentId,omitempty" doc:"The payment in doubt that keeps new money off"`
}

// Baseline identifies the last transaction a terminal knew before an attempt. Known is false where the terminal
// could not tell.
type Baseline struct {
	Known   bool   `json:"known"`
	Receipt string `json:"receipt,omitempty"`
	Trace   string `json:"trace,omitempty"`
}

// Decisions of callers, by errors.Is.
var (
	// ErrTerminalInDoubt refuses new money while an earlier payment of that terminal is unknown.
	ErrTerminalInDoubt = errors.New("terminal has a payment in doubt")
	// ErrTerminalBusy refuses a second payment while one is under way.
	ErrTerminalBusy = errors.New("terminal is busy")
	// ErrNoTerminal means that no terminal has that name, or none is configured.
	ErrNoTerminal = errors.New("no such terminal")
	// ErrUnsupported means that the terminal's driver cannot do that; see Caps.
	ErrUnsupported = errors.New("not supported by this terminal")

	// ErrForeign means that the terminal does not work in the currency of the payment; see Caps.Currencies.
	ErrForeign = fmt.Errorf("currency %w", ErrUnsupported)
	// ErrAmount means that more was asked for than the earlier payment has.
	ErrAmount = errors.New("amount is too high")
	// ErrOriginal means that a refund names a payment that cannot be given back.
	ErrOriginal = errors.New("original payment cannot be refunded")
	// ErrState means that the payment's state does not allow the request.
	ErrState = errors.New("payment is not in a state for that")
)
