package offline

import (
	"context"
	"errors"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline/sale"
	"storeagent/payments/money"
)

// GiftcardState is where a gift card transaction stands; the words of the API contract, section 5.
type GiftcardState string

// The states of a gift card transaction.
const (
	CardQueued     GiftcardState = "queued"
	CardSending    GiftcardState = "sending"
	CardAuthorized GiftcardState = "authorized" // a hold stands and waits for its capture
	CardCompleted  GiftcardState = "completed"
	CardDeclined   GiftcardState = "declined"
	CardInDoubt    GiftcardState = "in_doubt"
	CardParked     GiftcardState = "parked"
	CardCanceled   GiftcardState = "canceled" // withdrawn before it was sent, or a hold that will never be captured
	CardExpired    GiftcardState = "expired"  // the hold lapsed
)

// TransType is which way the money goes.
type TransType string

// The two kinds of transactions a register makes.
const (
	CardUse TransType = "USE" // takes from the card
	CardAdd TransType = "ADD" // puts onto the card
)

// CardMode is whether the money moves at once.
type CardMode string

// The two modes.
const (
	CardAuthorize CardMode = "authorize" // hold now, capture with the sale
	CardImmediate CardMode = "immediate"
)

// Giftcard is a gift card transaction as the store keeps it. Its operation giftcardTrans bears the same id, which is
// also what goes to the cloud as refNo. Code and PIN are sealed; the store cannot read them.
type Giftcard struct {
	ID         string // UUIDv7
	Stream     string // keyed hash of the code: one per card, and no code
	Mask       string // the code with all but the last four characters hidden
	CodeType   string
	TransType  TransType
	Mode       CardMode
	Amount     string // positive decimal text
	Currency   string
	Reference  string // the register's own; stays here
	SourceID   string // store.code/store.register, as sent
	SealedCode []byte
	SealedPIN  []byte // nil where there was none, and once the transaction is through
	CreatedAt  time.Time
	CreatedBy  string // pairing id

	Offline        bool   // accepted by the rules for outages, or sent again by a person: the goods may be gone before the cloud hears of it
	Before         string // balance before the last attempt, "" where it could not be had
	Balance        string // of the card, as the cloud said with the result
	GiftcardID     string // the cloud's id of the card
	ExpiresAt      time.Time
	CanceledAt     time.Time
	Expired        bool
	SaleID         string
	CapturedAmount string

	Trans   Operation
	Capture *Operation // nil where none was asked for
}

// State is where the transaction stands, by its operations.
func (g Giftcard) State(now time.Time) (GiftcardState, Reason, *Fault) {
	t := g.Trans
	switch t.State {
	case Queued:
		return CardQueued, "", t.Error
	case Sending:
		return CardSending, "", nil
	case InDoubt:
		return CardInDoubt, "", t.Error
	case Parked:
		return CardParked, t.Reason, t.Error
	case Discarded:
		if t.Reason == Rejected {
			return CardDeclined, "", t.Error
		}
		return CardCanceled, "", t.Error
	}
	if g.Mode == CardImmediate {
		return CardCompleted, "", nil
	}
	return g.held(now)
}

// held is the state of what was authorized.
func (g Giftcard) held(now time.Time) (GiftcardState, Reason, *Fault) {
	if c := g.Capture; c != nil {
		switch c.State {
		case Delivered:
			return CardCompleted, "", nil
		case InDoubt:
			return CardInDoubt, "", c.Error
		case Parked:
			return CardParked, c.Reason, c.Error
		case Discarded:
			return CardCanceled, "", c.Error
		}
		return CardAuthorized, "", nil
	}
	switch {
	case !g.CanceledAt.IsZero():
		return CardCanceled, "", nil
	case g.Expired, !g.ExpiresAt.IsZero() && !now.Before(g.ExpiresAt):
		return CardExpired, "", nil
	}
	return CardAuthorized, "", nil
}

// Usable tells whether a sale may claim it as a tender now: approved by the cloud, or accepted for an outage.
func (g Giftcard) Usable(now time.Time) bool {
	switch state, _, _ := g.State(now); state {
	case CardAuthorized, CardCompleted:
		return true
	case CardQueued, CardSending:
		return g.Offline
	}
	return false
}

// signed is the amount with the cloud's sign: what a use takes is negative.
func (g Giftcard) signed() string { return signedAmount(g.TransType, g.Amount) }

func signedAmount(t TransType, amount string) string {
	if t == CardUse {
		return "-" + amount
	}
	return amount
}

// GiftcardView is a gift card transaction as the API shows it.
type GiftcardView struct {
	ID             string        `json:"id"`
	TransType      TransType     `json:"transType" enum:"USE,ADD"`
	Mode           CardMode      `json:"mode" enum:"authorize,immediate"`
	State          GiftcardState `json:"state" enum:"queued,sending,authorized,completed,declined,in_doubt,parked,canceled,expired"`
	Reason         Reason        `json:"reason,omitempty"`
	Amount         string        `json:"amount" doc:"Positive; the agent puts the cloud's sign on"`
	CapturedAmount string        `json:"capturedAmount,omitempty" doc:"Asked to be captured"`
	Currency       string        `json:"currency"`
	Balance        string        `json:"balance,omitempty" doc:"Of the card after the transaction, as the cloud said"`
	GiftcardID     string        `json:"giftcardId,omitempty"`
	Code           string        `json:"code" doc:"Masked"`
	CodeType       string        `json:"codeType,omitempty"`
	Reference      string        `json:"reference,omitempty"`
	SaleID         string        `json:"saleId,omitempty"`
	Offline        bool          `json:"offline" doc:"Accepted by the rules for outages, before the cloud heard of it, or sent again by a person"`
	CreatedAt      time.Time     `json:"createdAt"`
	ExpiresAt      *time.Time    `json:"expiresAt,omitempty" doc:"When the hold of an authorization lapses"`
	Error          *Fault        `json:"error,omitempty"`
	SearchFor      string        `json:"searchFor" doc:"What a person types into the admin console to find it"`
}

// View is the transaction as the API shows it at that time.
func (g Giftcard) View(now time.Time) GiftcardView {
	v := GiftcardView{
		ID: g.ID, TransType: g.TransType, Mode: g.Mode, Amount: g.Amount, CapturedAmount: g.CapturedAmount, Currency: g.Currency,
		Balance: g.Balance, GiftcardID: g.GiftcardID, Code: g.Mask, CodeType: g.CodeType, Reference: g.Reference,
		SaleID: g.SaleID, Offline: g.Offline, CreatedAt: g.CreatedAt, SearchFor: g.Trans.Ref,
	}
	v.State, v.Reason, v.Error = g.State(now)
	if at := g.ExpiresAt; !at.IsZero() {
		v.ExpiresAt = &at
	}
	return v
}

func giftcardEvent(at time.Time, g Giftcard) journal.Event {
	return journal.NewEvent("giftcard", at, g.View(at))
}

// KnownBalance is what a card was last known to hold.
type KnownBalance struct {
	Stream     string
	GiftcardID string
	Balance    string
	AsOf       time.Time
}

// GiftcardChange is what becomes known of a transaction beside its operations; zero fields change nothing.
type GiftcardChange struct {
	Before     *string // balance before the attempt that follows, "" for not known
	Offline    bool    // accepted by the rules for outages
	CanceledAt time.Time
	Expired    bool
}

// CardCapture is a capture that goes into a commit with its operation.
type CardCapture struct {
	TransactionID string
	OpID          string
	Amount        string // positive
}

// GiftcardStore is the durable side of gift cards, part of Store.
//
// Finish, Settle and Decide of Store do their part: a delivered giftcardTrans takes Balance, GiftcardID and ExpiresAt
// of the Result, a known Balance of any gift card operation is kept as the card's, and a giftcardTrans that is
// delivered or discarded loses its PIN in the same commit.
type GiftcardStore interface {
	// AddGiftcard writes a transaction and its operation. journal.ErrKeyUsed where the entry's key was used.
	AddGiftcard(ctx context.Context, g Giftcard, op Operation, e journal.Entry) error
	// Giftcard reads one, or fails with journal.ErrNotFound.
	Giftcard(ctx context.Context, id string) (Giftcard, error)
	// OpenGiftcards lists transactions that are not through (not completed, declined, canceled or expired), oldest
	// first: of one stream, or of all cards with "".
	OpenGiftcards(ctx context.Context, stream string) ([]Giftcard, error)
	// ChangeGiftcard commits a change. ErrState where the transaction cannot be canceled or expire any more because
	// it has a capture, and where it cannot be accepted for an outage any more because it is not queued.
	ChangeGiftcard(ctx context.Context, id string, c GiftcardChange, e journal.Entry) error
	// CaptureGiftcard adds the operation that captures a transaction. ErrState where it is canceled, or has one already.
	CaptureGiftcard(ctx context.Context, c CardCapture, op Operation, e journal.Entry) error
	// WithdrawGiftcard discards a transaction that is still queued. ErrState where it is not, or a sale relies on it.
	WithdrawGiftcard(ctx context.Context, id string, fault *Fault, at time.Time, e journal.Entry) error
	// KnownBalance reads what a card was last known to hold, or fails with journal.ErrNotFound.
	KnownBalance(ctx context.Context, stream string) (KnownBalance, error)
	// KeepBalance writes it.
	KeepBalance(ctx context.Context, b KnownBalance) error
}

// CardCode is one code of a card, masked before it leaves this package.
type CardCode struct {
	CodeType  string `json:"codeType"`
	Code      string `json:"code" doc:"Masked"`
	ExpiresOn string `json:"expiresOn,omitempty" doc:"Of the code, not of the funds"`
}

// CloudCard is a gift card as the cloud shows it.
type CloudCard struct {
	ID      string
	Balance string // decimal text, "" where the cloud named none
	Codes   []CardCode
}

// GiftcardCloud asks the cloud about gift cards. Transactions and captures go through Cloud.Send.
type GiftcardCloud interface {
	// FindGiftcards lists the cards with that code; it moves nothing. limited tells that the account may not see
	// cards, so that none found means nothing.
	FindGiftcards(ctx context.Context, code, codeType string) (cards []CloudCard, limited bool, v Verdict)
	// AddGiftcard makes an unfunded card.
	AddGiftcard(ctx context.Context, code, pin string) (CloudCard, Verdict)
}

// KeyProvider holds the 256-bit key that seals codes and PINs, making it at first use. Safe for concurrent use.
type KeyProvider interface {
	Key(ctx context.Context) ([32]byte, error)
}

// GiftcardRules say what may be accepted while the cloud is away. The zero value allows nothing.
type GiftcardRules struct {
	AllowUse  bool
	AllowAdd  bool
	MaxAmount money.Amount  // of one use
	MaxTotal  money.Amount  // of all uses that wait
	MaxCount  int           // of uses that wait
	MaxAge    time.Duration // of the last known balance, and of the oldest use that waits
}

// OfflineError refuses a gift card transaction while the cloud is away.
type OfflineError struct {
	Rule   string // allow_use, allow_add, max_amount_per_transaction, max_total_stored_amount, max_stored_count, max_age_hours, known_balance or balance
	Detail string // for a person
}

func (e *OfflineError) Error() string { return "gift card not accepted offline by rule " + e.Rule }

// Refusals of callers, by errors.Is.
var (
	// ErrAmbiguousCode means that several cards have that code; a code type tells them apart.
	ErrAmbiguousCode = errors.New("several gift cards have this code")
	// ErrNoSuchCard means that the cloud knows no card with that code.
	ErrNoSuchCard = errors.New("no gift card has this code")
	// ErrCardsHidden means that the cloud's account may not look at gift cards.
	ErrCardsHidden = errors.New("the account may not look up gift cards")
	// ErrCloudAway means that the cloud has to be asked and does not answer.
	ErrCloudAway = errors.New("the cloud does not answer")
	// ErrCardInDoubt means that an earlier transaction of the card waits for evidence or a person.
	ErrCardInDoubt = errors.New("an earlier transaction of this card is in doubt")
	// ErrCloudID means that an authorization was settled without the cloud's id of it, by which it is captured.
	ErrCloudID = errors.New("the cloud's id of the authorization is missing")
	// ErrCardExists means that a card with the code to be issued is there already.
	ErrCardExists = errors.New("a gift card with this code exists")
)

// CloudError is a refusal by the cloud that is handed on.
type CloudError struct{ Fault Fault }

func (e *CloudError) Error() string { return "the cloud refused: " + e.Fault.Code }

// Claimable says why a sale cannot be paid by a transaction, in the words of TenderError; "" where it can: a use pays
// for a sale, and a refund goes onto a card by an add.
func Claimable(g Giftcard, r Record) string {
	wants := CardUse
	if r.Kind == sale.Refunded {
		wants = CardAdd
	}
	switch {
	case g.SaleID != "":
		return "already_used"
	case !g.Usable(r.AcceptedAt), g.TransType != wants:
		return "not_approved"
	}
	return ""
}
