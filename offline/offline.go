// Package offline keeps the store selling while the cloud is away: it accepts completed sales, keeps them in an
// outbox, and forwards them so that none is lost and none is sent twice without evidence or a person's word.
//
// It is called by register and wired by cmd. It declares the small interfaces it needs; offline/sqlite,
// offline/cloud and offline/signin implement them and are never imported here.
package offline

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"storeagent/offline/sale"
)

// State is where a sale or one of its operations stands; the words of the API contract, section 2.
type State string

// The states of an operation.
const (
	Queued    State = "queued"
	Sending   State = "sending"
	Delivered State = "delivered"
	InDoubt   State = "in_doubt"
	Parked    State = "parked"
	Discarded State = "discarded"
)

// Reason is why an operation is parked.
type Reason string

// The reasons of the API.
const (
	Rejected Reason = "rejected" // the cloud said no
	Unknown  Reason = "unknown"  // sent, and no evidence either way
	Blocked  Reason = "blocked"  // the account lacks a permission
	Expired  Reason = "expired"
	Moved    Reason = "moved" // exported to another machine, never sendable here again
)

// OpType is what an operation does at the cloud.
type OpType string

// The operations of the API.
const (
	Purchase        OpType = "purchase"
	GiftcardTrans   OpType = "giftcardTrans"
	GiftcardCapture OpType = "giftcardCapture"
)

// Fault is what the cloud, or the way to it, said.
type Fault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Operation is one thing to do at the cloud exactly once. Payload, ContentHash, Stream and DependsOn never change.
type Operation struct {
	ID          string // UUIDv7
	Seq         int64  // order of acceptance, given by the store
	Type        OpType
	SaleID      string
	Stream      string   // at most one attempt is in flight per stream, in Seq order
	DependsOn   []string // operations that go first while they are queued or sending
	Payload     json.RawMessage
	ContentHash [32]byte // SHA-256 of Payload
	Ref         string   // what a person searches for: the transaction id, or the refNo
	Amount      string   // signed decimal text; the exposure counts it without its sign
	Currency    string
	Lane        string // who may send it; "" is this agent

	State         State
	Reason        Reason
	Attempts      int
	LastAttemptAt time.Time
	NotBefore     time.Time
	Error         *Fault
	CloudID       string
	CreatedAt     time.Time
	DeliveredAt   time.Time
}

// Tender is how part of a sale was paid.
type Tender struct {
	Type                  string `json:"type" enum:"card,giftcard,cash,other"`
	PaymentID             string `json:"paymentId,omitempty"`
	GiftcardTransactionID string `json:"giftcardTransactionId,omitempty"`
	Amount                string `json:"amount,omitempty"`
}

// Record is an accepted sale as the store keeps it.
type Record struct {
	ID            string
	StoreCode     string
	TransactionID string
	Kind          sale.Kind
	Currency      string
	Amount        string          // payAmount as posted
	Body          json.RawMessage // as posted, plus only the defaults the contract names
	ContentHash   [32]byte        // SHA-256 of the canonical Body: an identical refund is a duplicate
	Warnings      []sale.Warning
	Tenders       []Tender
	AcceptedAt    time.Time
	AcceptedBy    string // pairing id
	State         State  // as accepted: queued, or discarded where purchases are not sent. For the answer; not kept
}

// Acceptance is everything one accepted sale writes in one commit, beside its journal.Entry.
type Acceptance struct {
	Record     Record
	Operations []Operation
	Captures   []CardCapture // of gift card authorizations the tenders name; their operations are among Operations

	waitsFor []string // operations of gift cards that go before the purchase
}

// SaleView is a sale as the API shows it.
type SaleView struct {
	ID            string          `json:"id"`
	TransactionID string          `json:"transactionId"`
	StoreCode     string          `json:"storeCode"`
	Kind          sale.Kind       `json:"kind" enum:"sale,refund"`
	Currency      string          `json:"currency"`
	PayAmount     string          `json:"payAmount"`
	State         State           `json:"state" enum:"queued,sending,delivered,in_doubt,parked,discarded"`
	Reason        Reason          `json:"reason,omitempty"`
	Error         *Fault          `json:"error,omitempty"`
	AcceptedAt    time.Time       `json:"acceptedAt"`
	CloudID       string          `json:"cloudId,omitempty"`
	DeliveredAt   *time.Time      `json:"deliveredAt,omitempty"`
	Warnings      []sale.Warning  `json:"warnings"`
	Tenders       []Tender        `json:"tenders"`
	Sale          json.RawMessage `json:"sale,omitempty" doc:"The sale as posted"`
}

// Item is one operation as the API shows it.
type Item struct {
	ID            string     `json:"id"`
	Type          OpType     `json:"type" enum:"purchase,giftcardTrans,giftcardCapture"`
	SaleID        string     `json:"saleId,omitempty"`
	State         State      `json:"state" enum:"queued,sending,delivered,in_doubt,parked,discarded"`
	Reason        Reason     `json:"reason,omitempty"`
	Attempts      int        `json:"attempts"`
	LastAttemptAt *time.Time `json:"lastAttemptAt,omitempty"`
	CreatedAt     time.Time  `json:"createdAt"`
	Error         *Fault     `json:"error,omitempty"`
	SearchFor     string     `json:"searchFor" doc:"What a person types into the admin console to find it"`
	Amount        string     `json:"amount"`
	Currency      string     `json:"currency"`
	CloudID       string     `json:"cloudId,omitempty"`
}

// Connection is how the way to the cloud stands.
type Connection string

// The words of the API contract, section 3.
const (
	Online     Connection = "online"
	Offline    Connection = "offline"
	SignedOut  Connection = "signed_out"
	PausedConn Connection = "paused"
)

// Exposure is everything undelivered, parked included.
type Exposure struct {
	Amount           string `json:"amount" doc:"Sum of the undelivered amounts in the store's currency, each without its sign: a refund does not make up for a sale, nor a gift card for what it paid"`
	Count            int    `json:"count"`
	OldestAgeSeconds int64  `json:"oldestAgeSeconds"`
}

// QueueStatus is GET /v1/queue. Counts are of operations.
type QueueStatus struct {
	Connection     Connection `json:"connection" enum:"online,offline,signed_out,paused"`
	Queued         int        `json:"queued"`
	Sending        int        `json:"sending"`
	InDoubt        int        `json:"inDoubt"`
	Parked         int        `json:"parked"`
	Moved          int        `json:"moved" doc:"Of the parked ones: handed over to another machine, and no longer owed from here"`
	Delivered      int        `json:"delivered"`
	OldestQueuedAt *time.Time `json:"oldestQueuedAt,omitempty"`
	NextAttemptAt  *time.Time `json:"nextAttemptAt,omitempty"`
	LastError      *Fault     `json:"lastError,omitempty"`
	Exposure       Exposure   `json:"exposure"`
}

// Decision is what a person decided about one parked operation.
type Decision struct {
	OpID    string
	Action  Action
	CloudID string // with Settle, where the person saw one; an authorization of a gift card needs it
	Note    string

	ExpiresAt time.Time // set by Desk: with Settle of an authorization of a gift card, when its hold lapses
}

// Action is the kind of a Decision.
type Action string

// The three decisions of the API.
const (
	Resend  Action = "resend"
	Settle  Action = "settle"
	Discard Action = "discard"
)

// Decisions of callers, by errors.Is.
var (
	// ErrState means that the operation's state does not allow the decision.
	ErrState = errors.New("operation is not in a state for that")
	// ErrStale means that the operation changed between reading and writing; read it again.
	ErrStale = errors.New("operation changed meanwhile")
)

// DuplicateError refuses a sale whose transaction id was accepted before.
type DuplicateError struct{ FirstID string }

func (e *DuplicateError) Error() string {
	return "duplicate transaction, first accepted as " + e.FirstID
}

// TenderError refuses a sale one of whose tenders names a payment that cannot be claimed.
type TenderError struct {
	Index     int    // in the tenders list
	PaymentID string // or gift card transaction id
	Why       string // unknown, not_approved or already_used
}

func (e *TenderError) Error() string {
	return fmt.Sprintf("tender %d names %s, which is %s", e.Index, e.PaymentID, e.Why)
}
