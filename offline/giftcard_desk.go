package offline

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"storeagent/internal/journal"
	"storeagent/payments/money"
)

// GiftcardConfig is what a GiftcardDesk needs; all but Rules are required.
type GiftcardConfig struct {
	Store     Store
	Forwarder *Forwarder // made with Giftcards and Keys
	Log       *slog.Logger
	SourceID  string // store.code/store.register, sent with every transaction
	Currency  string // ISO 4217
	Rules     GiftcardRules
}

// GiftcardDesk looks gift cards up, uses and fills them, and issues new ones. Safe for concurrent use.
type GiftcardDesk struct {
	cfg   GiftcardConfig
	f     *Forwarder
	rules sync.Mutex // held from looking at the rules to the commit that they allow

	mu   sync.Mutex
	late []Giftcard // authorizations whose capture will come too late
}

// NewGiftcardDesk checks the configuration.
func NewGiftcardDesk(c GiftcardConfig) (*GiftcardDesk, error) {
	if c.Store == nil || c.Forwarder == nil || c.Forwarder.cards == nil || c.Log == nil || c.Currency == "" {
		return nil, errors.New("make gift card desk: store, forwarder with gift cards, log and currency are needed")
	}
	return &GiftcardDesk{cfg: c, f: c.Forwarder}, nil
}

// Blind is a keyed hash of a text that may hold a code and a PIN, so that it can be compared later and not guessed.
func (d *GiftcardDesk) Blind(ctx context.Context, text []byte) ([32]byte, error) {
	return d.f.cards.seal.blind(ctx, "fingerprint", text)
}

// CardRef names a card by its code.
type CardRef struct {
	Code     string
	CodeType string
	PIN      string
}

// CardBalance is what a lookup found.
type CardBalance struct {
	GiftcardID string     `json:"giftcardId"`
	Balance    string     `json:"balance"`
	Available  string     `json:"available,omitempty" doc:"Without the cloud: the last known balance less our own spends that wait"`
	Currency   string     `json:"currency"`
	Source     string     `json:"source" enum:"cloud,cache"`
	AsOf       time.Time  `json:"asOf"`
	Codes      []CardCode `json:"codes"`
}

// Lookup asks the cloud what a card holds, and where the cloud is away says what it last held. Errors: ErrNoSuchCard,
// ErrAmbiguousCode, ErrCardsHidden, ErrCloudAway where nothing is known either, *CloudError.
func (d *GiftcardDesk) Lookup(ctx context.Context, c CardRef) (CardBalance, error) {
	stream, err := d.f.cards.seal.stream(ctx, c.Code)
	if err != nil {
		return CardBalance{}, err
	}
	if d.f.online() {
		found, err := d.find(ctx, c)
		if err == nil {
			return d.found(ctx, stream, found)
		}
		if !errors.Is(err, ErrCloudAway) {
			return CardBalance{}, err
		}
	}
	k, err := d.cfg.Store.KnownBalance(ctx, stream)
	if errors.Is(err, journal.ErrNotFound) {
		return CardBalance{}, fmt.Errorf("%w, and this card was not seen here before", ErrCloudAway)
	}
	if err != nil {
		return CardBalance{}, err
	}
	w, err := d.waiting(ctx)
	if err != nil {
		return CardBalance{}, err
	}
	left, err := d.available(k, w)
	if err != nil {
		return CardBalance{}, err
	}
	return CardBalance{
		GiftcardID: k.GiftcardID, Balance: k.Balance, Available: left.String(), Currency: d.cfg.Currency, Source: "cache",
		AsOf: k.AsOf, Codes: []CardCode{{CodeType: c.CodeType, Code: MaskCode(c.Code)}},
	}, nil
}

func (d *GiftcardDesk) found(ctx context.Context, stream string, c CloudCard) (CardBalance, error) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	if c.Balance != "" {
		if err := d.cfg.Store.KeepBalance(ctx, KnownBalance{stream, c.ID, c.Balance, now}); err != nil {
			d.cfg.Log.WarnContext(ctx, "a gift card balance was not kept for outages", "err", err)
		}
	}
	out := CardBalance{GiftcardID: c.ID, Balance: c.Balance, Currency: d.cfg.Currency, Source: "cloud", AsOf: now, Codes: []CardCode{}}
	for _, code := range c.Codes {
		code.Code = MaskCode(code.Code)
		out.Codes = append(out.Codes, code)
	}
	return out, nil
}

// find asks the cloud for the one card with that code.
func (d *GiftcardDesk) find(ctx context.Context, c CardRef) (CloudCard, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	list, limited, v := d.f.cards.cloud.FindGiftcards(ctx, c.Code, c.CodeType)
	if err := cloudSaid(v); err != nil {
		return CloudCard{}, err
	}
	switch {
	case len(list) == 0 && limited:
		return CloudCard{}, ErrCardsHidden
	case len(list) == 0:
		return CloudCard{}, ErrNoSuchCard
	case len(list) > 1:
		return CloudCard{}, ErrAmbiguousCode
	}
	if b := list[0].Balance; b != "" {
		amount, err := money.Parse(b, d.cfg.Currency)
		if err != nil {
			return CloudCard{}, &CloudError{Fault{Code: "unreadable_balance", Message: "The cloud's balance is no amount in the store's currency."}}
		}
		list[0].Balance = amount.String()
	}
	return list[0], nil
}

// cloudSaid turns the verdict on a question into an error, nil where it was answered.
func cloudSaid(v Verdict) error {
	switch v.Class {
	case ClassDelivered:
		return nil
	case ClassBlocked:
		return ErrCardsHidden
	case ClassRejected, ClassUnsupported:
		fault := Fault{Code: v.Class.String()}
		if v.Fault != nil {
			fault = *v.Fault
		}
		return &CloudError{fault}
	}
	return ErrCloudAway
}

// CardRequest is a gift card transaction that a register asks for.
type CardRequest struct {
	CardRef
	TransType TransType
	Mode      CardMode
	Amount    money.Amount // above zero
	Reference string
}

// Transact writes a transaction down and, with the cloud there, makes the attempt while the cashier waits a few seconds;
// what comes back is how it stands then. With the cloud away the rules for outages decide. entry is called with the
// transaction to be written and gives answer and key of the same commit; the answer is what holds at that moment.
// Errors: *OfflineError, ErrCardInDoubt, journal.ErrKeyUsed, journal.ErrStorageFull.
func (d *GiftcardDesk) Transact(ctx context.Context, r CardRequest, by journal.Actor, entry func(GiftcardView) journal.Entry) (GiftcardView, error) {
	g, op, err := d.transaction(ctx, r, by)
	if err != nil {
		return GiftcardView{}, err
	}
	if err := d.free(ctx, g.Stream); err != nil {
		return GiftcardView{}, err
	}
	if !d.f.online() || d.f.stoppedKind(GiftcardTrans) {
		d.rules.Lock()
		defer d.rules.Unlock()
		if err := d.check(ctx, g); err != nil {
			return GiftcardView{}, err
		}
		g.Offline = true
		if err := d.add(ctx, g, op, entry); err != nil {
			return GiftcardView{}, err
		}
		d.f.Wake()
		return g.View(time.Now()), nil
	}
	if err := d.add(ctx, g, op, entry); err != nil {
		return GiftcardView{}, err
	}
	d.f.cashier(op.ID)
	return d.decided(ctx, g.ID)
}

// free refuses a card one of whose transactions waits for evidence or a person: nothing of it is sent before that.
func (d *GiftcardDesk) free(ctx context.Context, stream string) error {
	open, err := d.cfg.Store.OpenGiftcards(ctx, stream)
	if err != nil {
		return err
	}
	for _, g := range open {
		for _, op := range []*Operation{&g.Trans, g.Capture} {
			if op != nil && (op.State == InDoubt || op.State == Parked) {
				return fmt.Errorf("%w: transaction %s", ErrCardInDoubt, g.ID)
			}
		}
	}
	return nil
}

func (d *GiftcardDesk) add(ctx context.Context, g Giftcard, op Operation, entry func(GiftcardView) journal.Entry) error {
	e := entry(g.View(g.CreatedAt))
	e.Events = append(e.Events, giftcardEvent(g.CreatedAt, g))
	if err := d.cfg.Store.AddGiftcard(ctx, g, op, e); err != nil {
		return fmt.Errorf("accept gift card transaction: %w", err)
	}
	d.f.refresh(context.WithoutCancel(ctx))
	return nil
}

// transaction makes the record and its operation.
func (d *GiftcardDesk) transaction(ctx context.Context, r CardRequest, by journal.Actor) (g Giftcard, op Operation, err error) {
	id, err := uuid.NewV7()
	if err != nil {
		return g, op, fmt.Errorf("make transaction id: %w", err)
	}
	seal := d.f.cards.seal
	g = Giftcard{
		ID: id.String(), Mask: MaskCode(r.Code), CodeType: r.CodeType, TransType: r.TransType, Mode: r.Mode, Amount: r.Amount.String(),
		Currency: d.cfg.Currency, Reference: r.Reference, SourceID: d.cfg.SourceID, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
		CreatedBy: by.PairingID,
	}
	if g.Stream, err = seal.stream(ctx, r.Code); err != nil {
		return g, op, err
	}
	if g.SealedCode, err = seal.seal(ctx, g.ID, "code", r.Code); err == nil {
		g.SealedPIN, err = seal.seal(ctx, g.ID, "pin", r.PIN)
	}
	if err != nil {
		return g, op, fmt.Errorf("seal the code: %w", err)
	}
	payload, err := json.Marshal(CardPayload{
		TransactionID: g.ID, CodeType: r.CodeType, TransType: string(r.TransType), Amount: g.signed(), SourceID: g.SourceID,
		RefNo: g.ID, Authorize: r.Mode == CardAuthorize,
	})
	if err != nil {
		return g, op, err
	}
	op = Operation{
		ID: g.ID, Type: GiftcardTrans, Stream: g.Stream, Payload: payload, ContentHash: sha256.Sum256(payload),
		Ref:    "Ref No " + g.ID + ", Source " + g.SourceID + ", Code " + g.Mask,
		Amount: g.signed(), Currency: g.Currency, State: Queued, CreatedAt: g.CreatedAt,
	}
	g.Trans = op
	return g, op, nil
}

// decided waits until the transaction is, or the cashier's patience ends. What is still unsent then is accepted by the
// rules for outages, or withdrawn.
func (d *GiftcardDesk) decided(ctx context.Context, id string) (GiftcardView, error) {
	wait, cancel := context.WithTimeout(ctx, d.f.cfg.Patience)
	defer cancel()
	for {
		changed := d.f.change()
		g, err := d.cfg.Store.Giftcard(ctx, id)
		if err != nil {
			return GiftcardView{}, err
		}
		now := time.Now()
		state, _, _ := g.State(now)
		open := state == CardQueued || state == CardSending || state == CardInDoubt && d.f.flies(g.Stream)
		if !open {
			return g.View(now), nil
		}
		if state == CardQueued && !d.f.online() {
			return d.unsent(ctx, g) // waiting would not help
		}
		select {
		case <-changed:
		case <-wait.Done():
			if state == CardQueued {
				return d.unsent(ctx, g)
			}
			return g.View(now), nil
		}
	}
}

// unsent decides about a transaction that could not be sent while its cashier waited.
func (d *GiftcardDesk) unsent(ctx context.Context, g Giftcard) (GiftcardView, error) {
	ctx = context.WithoutCancel(ctx)
	d.rules.Lock()
	defer d.rules.Unlock()
	now := time.Now()
	var no *OfflineError
	err := d.check(ctx, g)
	switch {
	case err == nil:
		g.Offline = true
		err = d.cfg.Store.ChangeGiftcard(ctx, g.ID, GiftcardChange{Offline: true}, journal.Entry{Events: []journal.Event{giftcardEvent(now, g)}})
		d.f.Wake()
	case errors.As(err, &no):
		err = d.withdraw(ctx, g, &Fault{Code: "offline_not_allowed", Message: no.Detail + " (rule " + no.Rule + "). Nothing was sent; take another tender."}, journal.Entry{})
	}
	if err != nil && !errors.Is(err, ErrState) { // with that, an attempt began in this very moment: how it stands counts
		return GiftcardView{}, err
	}
	return d.Transaction(ctx, g.ID)
}

func (d *GiftcardDesk) withdraw(ctx context.Context, g Giftcard, fault *Fault, e journal.Entry) error {
	now := time.Now()
	g.Trans.State, g.Trans.Reason, g.Trans.Error = Discarded, "", fault
	e.Events = append(e.Events, giftcardEvent(now, g))
	if err := d.cfg.Store.WithdrawGiftcard(ctx, g.ID, fault, now, e); err != nil {
		return err
	}
	d.f.refresh(ctx)
	d.f.Wake()
	return nil
}

// Transaction shows one transaction, or fails with journal.ErrNotFound.
func (d *GiftcardDesk) Transaction(ctx context.Context, id string) (GiftcardView, error) {
	g, err := d.cfg.Store.Giftcard(ctx, id)
	if err != nil {
		return GiftcardView{}, err
	}
	return g.View(time.Now()), nil
}

// Capture queues the capture of an authorization, of its whole amount where none is named, and waits a few seconds for
// it where the cloud is there. Errors: ErrState, *AmountError, journal errors.
func (d *GiftcardDesk) Capture(ctx context.Context, id, amount string, entry func(GiftcardView) journal.Entry) (GiftcardView, error) {
	g, err := d.cfg.Store.Giftcard(ctx, id)
	if err != nil {
		return GiftcardView{}, err
	}
	now := time.Now()
	if state, _, _ := g.State(now); g.Mode != CardAuthorize || g.Capture != nil || state != CardAuthorized && state != CardExpired && !g.Usable(now) {
		return GiftcardView{}, fmt.Errorf("capture gift card transaction %s, which is %s: %w", id, state, ErrState)
	}
	if amount, err = g.capturable(amount); err != nil {
		return GiftcardView{}, err
	}
	c, op, err := captureOf(g, amount, g.SaleID, now)
	if err != nil {
		return GiftcardView{}, err
	}
	g.Capture, g.CapturedAmount = &op, amount
	e := entry(g.View(now))
	e.Events = append(e.Events, giftcardEvent(now, g))
	if err := d.cfg.Store.CaptureGiftcard(ctx, c, op, e); err != nil {
		return GiftcardView{}, err
	}
	d.f.refresh(context.WithoutCancel(ctx))
	if !d.f.online() || g.Trans.State != Delivered {
		d.f.Wake()
		return g.View(now), nil
	}
	d.f.cashier(op.ID)
	return d.captured(ctx, id)
}

// captured waits for a capture.
func (d *GiftcardDesk) captured(ctx context.Context, id string) (GiftcardView, error) {
	wait, cancel := context.WithTimeout(ctx, d.f.cfg.Patience)
	defer cancel()
	for {
		changed := d.f.change()
		g, err := d.cfg.Store.Giftcard(ctx, id)
		if err != nil {
			return GiftcardView{}, err
		}
		s := g.Capture.State
		open := s == Queued && g.Capture.Attempts == 0 || s == Sending || s == InDoubt && d.f.flies(g.Stream)
		if !open {
			return g.View(time.Now()), nil
		}
		select {
		case <-changed:
		case <-wait.Done():
			return g.View(time.Now()), nil
		}
	}
}

// AmountError refuses the amount of a capture.
type AmountError struct{ Held string }

func (e *AmountError) Error() string { return "amount is not between zero and the " + e.Held + " held" }

// capturable is the amount to capture, in full where none is named.
func (g Giftcard) capturable(amount string) (string, error) {
	if amount == "" {
		return g.Amount, nil
	}
	held, err := money.Parse(g.Amount, g.Currency)
	if err != nil {
		return "", err
	}
	a, err := money.Parse(amount, g.Currency)
	if err != nil || a.Sign() <= 0 || a.Cmp(held) > 0 {
		return "", &AmountError{Held: g.Amount}
	}
	return a.String(), nil
}

// captureOf makes the operation that captures an authorization.
func captureOf(g Giftcard, amount, saleID string, now time.Time) (CardCapture, Operation, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return CardCapture{}, Operation{}, fmt.Errorf("make operation id: %w", err)
	}
	p := CardPayload{TransactionID: g.ID, TransType: string(g.TransType), Amount: signedAmount(g.TransType, amount), Partial: amount != g.Amount}
	payload, err := json.Marshal(p)
	if err != nil {
		return CardCapture{}, Operation{}, err
	}
	op := Operation{
		ID: id.String(), Type: GiftcardCapture, SaleID: saleID, Stream: g.Stream, DependsOn: []string{g.ID}, Payload: payload,
		ContentHash: sha256.Sum256(payload), Ref: g.Trans.Ref, Amount: p.Amount, Currency: g.Currency, State: Queued, CreatedAt: now,
	}
	return CardCapture{TransactionID: g.ID, OpID: op.ID, Amount: amount}, op, nil
}

// Cancel withdraws a transaction that is still queued, and gives up the hold of an authorization: at the cloud where that is
// possible, otherwise it lapses uncaptured. Errors:
// ErrState where it is sent, captured or claimed by a sale, journal errors.
func (d *GiftcardDesk) Cancel(ctx context.Context, id string, entry func(GiftcardView) journal.Entry) (GiftcardView, error) {
	g, err := d.cfg.Store.Giftcard(ctx, id)
	if err != nil {
		return GiftcardView{}, err
	}
	now := time.Now().UTC()
	after := g
	after.CanceledAt = now
	state, _, _ := g.State(now)
	switch {
	case state == CardQueued && g.SaleID == "":
		after.Trans.State, after.Trans.Error = Discarded, nil
		err = d.withdraw(ctx, g, nil, entry(after.View(now)))
	case state == CardAuthorized && g.Capture == nil && g.SaleID == "":
		e := entry(after.View(now))
		e.Events = append(e.Events, giftcardEvent(now, after))
		err = d.cfg.Store.ChangeGiftcard(ctx, id, GiftcardChange{CanceledAt: now}, e)
		if err == nil {
			d.letGo(ctx, g)
		}
	default:
		err = fmt.Errorf("cancel gift card transaction %s, which is %s: %w", id, state, ErrState)
	}
	if err != nil {
		return GiftcardView{}, err
	}
	return after.View(now), nil
}

// Issue makes an unfunded card at the cloud; online only. A lost answer is settled by looking for the card. Errors:
// ErrCloudAway, ErrCardExists, ErrCardsHidden, *CloudError.
func (d *GiftcardDesk) Issue(ctx context.Context, c CardRef) (CardBalance, error) {
	if !d.f.online() {
		return CardBalance{}, ErrCloudAway
	}
	stream, err := d.f.cards.seal.stream(ctx, c.Code)
	if err != nil {
		return CardBalance{}, err
	}
	switch _, err := d.find(ctx, c); {
	case err == nil, errors.Is(err, ErrAmbiguousCode):
		return CardBalance{}, ErrCardExists
	case !errors.Is(err, ErrNoSuchCard) && !errors.Is(err, ErrCardsHidden):
		return CardBalance{}, err
	}
	card, v := d.f.cards.cloud.AddGiftcard(ctx, c.Code, c.PIN)
	if v.Class == ClassDoubt {
		if card, err = d.find(ctx, c); err != nil {
			if v.Fault != nil && v.Answered {
				return CardBalance{}, &CloudError{*v.Fault}
			}
			return CardBalance{}, ErrCloudAway
		}
	} else if err := cloudSaid(v); err != nil {
		return CardBalance{}, err
	}
	if card.Balance == "" {
		card.Balance = d.f.zero // a fresh card is unfunded
	}
	return d.found(ctx, stream, card)
}

// captures adds to an acceptance what its gift card tenders need: each authorization gets its capture, and the
// purchase waits for what is not through.
func (d *Desk) captures(ctx context.Context, a *Acceptance) error {
	for i, t := range a.Record.Tenders {
		if t.GiftcardTransactionID == "" {
			continue
		}
		g, err := d.cfg.Store.Giftcard(ctx, t.GiftcardTransactionID)
		if errors.Is(err, journal.ErrNotFound) {
			return &TenderError{Index: i, PaymentID: t.GiftcardTransactionID, Why: "unknown"}
		}
		if err != nil {
			return err
		}
		if why := Claimable(g, a.Record); why != "" {
			return &TenderError{Index: i, PaymentID: t.GiftcardTransactionID, Why: why}
		}
		if g.Trans.State != Delivered {
			a.waitsFor = append(a.waitsFor, g.ID)
		}
		if g.Capture != nil {
			a.waitsFor = append(a.waitsFor, g.Capture.ID)
		}
		if g.Mode != CardAuthorize || g.Capture != nil {
			continue
		}
		c, op, err := captureOf(g, g.Amount, a.Record.ID, a.Record.AcceptedAt)
		if err != nil {
			return err
		}
		a.Captures, a.Operations = append(a.Captures, c), append(a.Operations, op)
		a.waitsFor = append(a.waitsFor, op.ID)
	}
	return nil
}
