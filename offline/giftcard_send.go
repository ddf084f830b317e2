package offline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments/money"
)

// Times of gift card operations.
const (
	lookupTimeout  = 5 * time.Second  // a cashier waits
	recheckDoubt   = 10 * time.Second // between looks at a balance that says nothing yet
	doubtFor       = 2 * time.Minute  // after the attempt; then a person decides
	captureRepeats = 8                // of a capture whose answer was lost; it cannot spend twice
	captureTries   = 3                // of a capture that the cloud answers with an error nobody knows
)

// CodeUnconfirmed marks a capture whose answer was lost and that is sent again.
const CodeUnconfirmed = "capture_unconfirmed"

// CardPayload is what an operation of a gift card says to Cloud.Send, and, without Code and PIN, how it is kept.
type CardPayload struct {
	TransactionID string `json:"giftcardTransactionId"`
	Code          string `json:"code,omitempty"`
	PIN           string `json:"pin,omitempty"`
	CodeType      string `json:"codeType,omitempty"`
	TransType     string `json:"transType,omitempty"`
	Amount        string `json:"amount"` // the cloud's sign is on
	SourceID      string `json:"sourceId,omitempty"`
	RefNo         string `json:"refNo,omitempty"`
	Authorize     bool   `json:"authorize,omitempty"`
	CloudID       string `json:"cloudId,omitempty"` // with a capture: of what it captures
	Partial       bool   `json:"partial,omitempty"` // with a capture: less than was authorized
}

// cards is the forwarder's part of gift cards.
type cards struct {
	store  Store
	cloud  GiftcardCloud
	seal   sealer
	hold   time.Duration // after which the cloud drops an authorization
	useBy  time.Duration // how long a cashier waits
	began  time.Time     // of this run: who waited before it waits no more
	doubts map[string]doubt
}

// doubt is what this run knows of an operation in doubt.
type doubt struct {
	answered bool   // the cloud answered with an error; otherwise the answer was lost
	prior    string // code of the error before the attempt
}

// cardPayload reads what an operation of a gift card says.
func cardPayload(op Operation) (p CardPayload, ok bool) {
	err := json.Unmarshal(op.Payload, &p)
	return p, err == nil && p.TransactionID != ""
}

// prepared is an operation ready to be sent, or why it is not.
type prepared struct {
	op   Operation
	card *Giftcard
	stop *Verdict // instead of sending
}

// prepare completes an operation of a gift card: it takes the balance before, and puts in what is sealed. What it
// returns may hold a code and a PIN and goes nowhere but to Cloud.Send.
func (f *Forwarder) prepare(ctx context.Context, op Operation) (prepared, error) {
	if op.Type == Purchase || f.cards == nil {
		return prepared{op: op}, nil
	}
	c := f.cards
	p, ok := cardPayload(op)
	if !ok {
		return prepared{op: op, stop: refusal("invalid_payload", "The operation cannot be read.")}, nil
	}
	g, err := c.store.Giftcard(ctx, p.TransactionID)
	if err != nil {
		return prepared{}, fmt.Errorf("read gift card transaction of %s: %w", op.ID, err)
	}
	out := prepared{op: op, card: &g}
	if op.Type == GiftcardCapture {
		p.CloudID = g.Trans.CloudID
		if g.Trans.State != Delivered || p.CloudID == "" {
			out.stop = refusal("no_authorization", "There is no authorization at the cloud that could be captured.")
			return out, nil
		}
		out.op.Payload, err = json.Marshal(p)
		return out, err
	}
	if !g.Offline && (time.Since(g.CreatedAt) > 3*c.useBy || g.CreatedAt.Before(f.startedAt())) {
		out.stop = refusal("not_sent_in_time", "Nobody waits for it any more; it was never sent.")
		return out, nil
	}
	if p.Code, err = c.seal.open(ctx, g.ID, "code", g.SealedCode); err == nil {
		p.PIN, err = c.seal.open(ctx, g.ID, "pin", g.SealedPIN)
	}
	if err != nil {
		f.log.ErrorContext(ctx, "a gift card code cannot be opened", "operation", op.ID, "err", err)
		out.stop = refusal("code_unreadable", "The sealed code does not open: the key file is not the one it was sealed with.")
		return out, nil
	}
	if out.stop, err = f.before(ctx, g, p.Code); err != nil || out.stop != nil {
		return out, err
	}
	out.op.Payload, err = json.Marshal(p)
	return out, err
}

// startedAt is when this run began, to the millisecond that transactions are dated by.
func (f *Forwarder) startedAt() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cards.began
}

// refusal is a verdict of our own: it was not sent and never will be.
func refusal(code, message string) *Verdict {
	return &Verdict{Class: ClassRejected, Fault: &Fault{Code: code, Message: message}}
}

// before writes down what the card holds before the attempt. Without it there is no evidence later, but a card that
// may not be looked at may still be used.
func (f *Forwarder) before(ctx context.Context, g Giftcard, code string) (*Verdict, error) {
	balance, v := f.cards.balance(ctx, code, g.CodeType)
	switch v.Class {
	case ClassDoubt, ClassNotExecuted, ClassSignedOut:
		if v.Class == ClassDoubt { // a question moves nothing
			v.Class = ClassNotExecuted
		}
		if v.Fault != nil {
			v.Fault = &Fault{Code: v.Fault.Code, Message: "Nothing was sent; the question for the balance failed: " + v.Fault.Message}
		}
		return &v, nil
	}
	if balance == g.Before {
		return nil, nil
	}
	err := f.cfg.Store.ChangeGiftcard(ctx, g.ID, GiftcardChange{Before: &balance}, journal.Entry{})
	if err != nil {
		return nil, fmt.Errorf("keep the balance before %s: %w", g.ID, err)
	}
	return nil, nil
}

// balance asks what the one card with that code holds, "" where the cloud does not say.
func (c *cards) balance(ctx context.Context, code, codeType string) (string, Verdict) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, _, v := c.cloud.FindGiftcards(ctx, code, codeType)
	if v.Class == ClassDelivered && len(found) == 1 {
		return found[0].Balance, v
	}
	return "", v
}

// cardResult bends the result of an attempt at a gift card transaction to who relies on it. What a cashier waits for
// and surely was not done is declined; what was accepted while the cloud was away stays for a person.
func (f *Forwarder) cardResult(ctx context.Context, before *Giftcard, op Operation, v Verdict, r Result) Result {
	if before == nil {
		return r
	}
	// While it is being sent nothing can be accepted on it any more, so what is read now holds.
	g, err := f.cfg.Store.Giftcard(ctx, before.ID)
	if err != nil {
		g, g.Offline = *before, true // keep it for a person rather than drop it
	}
	r.Balance, r.GiftcardID = v.Balance, v.GiftcardID
	if op.Type == GiftcardCapture {
		if v.Class == ClassRejected && !g.ExpiresAt.IsZero() && r.FinishedAt.After(g.ExpiresAt) {
			r.Reason = Expired
		}
		return r
	}
	switch {
	case v.Class == ClassDelivered && g.Mode == CardAuthorize:
		r.ExpiresAt = r.FinishedAt.Add(f.cards.hold)
	case g.Offline:
	case v.Class == ClassRejected, v.Class == ClassBlocked, v.Class == ClassUnsupported:
		r.State, r.Reason = Discarded, Rejected
	case r.State == Queued && time.Since(g.CreatedAt) > f.cards.useBy:
		r.State, r.Reason = Discarded, ""
	}
	return r
}

// seen is about a person who saw an operation in the cloud: of an authorization it says when its hold lapses, counted
// from the last attempt, since nobody knows which one made it. ErrCloudID without the id that a capture has to name.
func (f *Forwarder) seen(op Operation, d Decision) (lapses time.Time, err error) {
	p, ok := cardPayload(op)
	if op.Type != GiftcardTrans || !ok || !p.Authorize || f.cards == nil {
		return time.Time{}, nil
	}
	if d.CloudID == "" {
		return time.Time{}, ErrCloudID
	}
	from := op.LastAttemptAt
	if from.IsZero() {
		from = op.CreatedAt
	}
	return from.Add(f.cards.hold), nil
}

// settleCard ends the doubt about a gift card operation by evidence, or leaves it for another look.
func (f *Forwarder) settleCard(ctx context.Context, op Operation, atOnce bool) (settled bool, err error) {
	c, now := f.cards, time.Now()
	p, ok := cardPayload(op)
	if !ok {
		return true, f.settleAs(ctx, op, Result{State: Parked, Reason: Unknown, Error: unknownFault(op), Class: "no_evidence", FinishedAt: now})
	}
	g, err := c.store.Giftcard(ctx, p.TransactionID)
	if errors.Is(err, journal.ErrNotFound) {
		return true, f.settleAs(ctx, op, Result{State: Parked, Reason: Unknown, Error: unknownFault(op), Class: "no_evidence", FinishedAt: now})
	}
	if err != nil {
		return false, err
	}
	f.mu.Lock()
	d, open := c.doubts[op.ID], f.way.open(now)
	f.mu.Unlock()
	balance := ""
	replaced := op.Error != nil && op.Error.Code == CodeReplaced
	if !replaced && needsBalance(g, op, d) {
		if !open && !atOnce {
			return false, nil
		}
		code, err := c.seal.open(ctx, g.ID, "code", g.SealedCode)
		if err == nil {
			var v Verdict
			if balance, v = c.balance(ctx, code, g.CodeType); v.Class == ClassDoubt || v.Class == ClassNotExecuted || v.Class == ClassSignedOut {
				return false, nil // the cloud cannot be asked now
			}
		}
	}
	r := Result{State: Parked, Reason: Unknown, Error: unknownFault(op), Class: "no_evidence", FinishedAt: now, Balance: balance}
	if !replaced {
		late := now.Sub(op.LastAttemptAt) >= doubtFor || now.Before(op.LastAttemptAt)
		var ok bool
		if op.Type == GiftcardTrans {
			r, ok = judgeTrans(g, op, d, r, late)
		} else {
			r, ok = judgeCapture(g, op, d, r)
		}
		if !ok {
			return false, nil
		}
	}
	if err := f.settleAs(ctx, op, r); err != nil {
		return true, err
	}
	if d.answered && r.State != Queued && r.Class != "no_evidence" {
		f.explained()
	}
	return true, nil
}

// explained takes an attempt out of the doubts in a row: the cloud answered it, in a code that is not known here, and
// nothing stands in doubt any more. Customers who mistype their PIN hold up neither the next card nor the sales.
func (f *Forwarder) explained() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.doubts = max(0, f.doubts-1); f.doubts < shyAfter {
		f.shyUntil = time.Time{}
	}
}

// needsBalance tells whether the card's balance can say anything: an authorization without an answer spends nothing,
// and a capture without one is repeated.
func needsBalance(g Giftcard, op Operation, d doubt) bool {
	if op.Type == GiftcardTrans {
		return g.Mode == CardImmediate || d.answered
	}
	return d.answered
}

// judgeTrans is the evidence about a transaction: the balance before against the balance now.
func judgeTrans(g Giftcard, op Operation, d doubt, r Result, late bool) (Result, bool) {
	unmoved := sameMoney(g.Before, r.Balance, "0", g.Currency)
	if g.Mode == CardAuthorize {
		return judgeHold(g, op, d, r, unmoved), true
	}
	switch {
	case sameMoney(g.Before, r.Balance, g.signed(), g.Currency):
		r.State, r.Reason, r.Error, r.Class = Delivered, "", nil, "balance_moved"
	case unmoved && d.answered:
		r.Class = "balance_unmoved"
		r = refused(g, r)
	default:
		return r, late
	}
	return r, true
}

// judgeHold is about an authorization in doubt. Nothing is spent by it: the hold, if there is one, lapses.
func judgeHold(g Giftcard, op Operation, d doubt, r Result, unmoved bool) Result {
	switch {
	case d.answered && unmoved:
		r.Class = "balance_unmoved"
		return refused(g, r)
	case g.Offline && op.Attempts < captureRepeats: // a second hold spends nothing either
		r.State, r.Reason, r.Class = Queued, "", "hold_repeated"
		r.NotBefore = r.FinishedAt.Add(backoff(op.Attempts))
	case !g.Offline:
		r.Class = "hold_dropped"
		r.Error = &Fault{Code: "no_authorization", Message: "The cloud gave no authorization that can be captured. If it holds the amount, the hold lapses by itself. Cause: " + faultText(r.Error)}
		return refused(g, r)
	}
	return r
}

// refused is the end of a transaction that was surely not done.
func refused(g Giftcard, r Result) Result {
	r.State, r.Reason = Discarded, Rejected
	if g.Offline {
		r.State = Parked
	}
	return r
}

// judgeCapture is about a capture in doubt. Repeating it cannot spend twice; an error of unknown meaning may say that
// it was captured before, which the balance has to confirm.
func judgeCapture(g Giftcard, op Operation, d doubt, r Result) (Result, bool) {
	if !d.answered {
		if op.Attempts < captureRepeats {
			r.State, r.Reason, r.Class = Queued, "", "capture_repeated"
			r.Error = &Fault{Code: CodeUnconfirmed, Message: "The answer to the capture was lost; it is sent again, which cannot spend twice."}
			r.NotBefore = r.FinishedAt.Add(backoff(op.Attempts))
		}
		return r, true
	}
	standing := sameMoney(g.Balance, r.Balance, "0", g.Currency)
	// An add moves the balance only when it is captured. A use took it with the authorization already, so that the
	// balance looks alike whether it was captured or is still held: it can only show that the hold is gone.
	captured := g.TransType == CardAdd && sameMoney(g.Balance, r.Balance, g.CapturedAmount, g.Currency)
	restored := g.TransType == CardUse && sameMoney(g.Balance, r.Balance, g.Amount, g.Currency)
	switch {
	case captured && d.prior == CodeUnconfirmed:
		r.State, r.Reason, r.Error, r.Class = Delivered, "", nil, "balance_agrees"
		r.CloudID = g.Trans.CloudID
	case restored:
		r.Reason, r.Class = Expired, "hold_lapsed"
	case op.Attempts < captureTries:
		r.State, r.Reason, r.Class = Queued, "", "capture_repeated"
		r.NotBefore = r.FinishedAt.Add(backoff(op.Attempts))
		if d.prior == CodeUnconfirmed {
			r.Error = &Fault{Code: CodeUnconfirmed, Message: "A capture whose answer was lost is sent again, which cannot spend twice."}
		}
	case d.prior == CodeUnconfirmed:
		r.Error = &Fault{Code: CodeUnconfirmed, Message: "One answer to the capture was lost, and now the cloud refuses it: " +
			"it may be captured already. Completed in the cloud: settle. Still authorized there: resend. The last refusal: " + faultText(op.Error)}
	}
	if r.State == Parked && !standing && d.prior != CodeUnconfirmed && !g.ExpiresAt.IsZero() && r.FinishedAt.After(g.ExpiresAt) {
		r.Reason = Expired
	}
	return r, true
}

// sameMoney tells whether after is before moved by an amount. Texts that are no amounts agree with nothing.
func sameMoney(before, after, by, currency string) bool {
	b, err1 := money.Parse(before, currency)
	a, err2 := money.Parse(after, currency)
	m, err3 := money.Parse(by, currency)
	if err := errors.Join(err1, err2, err3); err != nil {
		return false
	}
	sum, err := b.Add(m)
	return err == nil && sum.Cmp(a) == 0
}

// settleAs commits the end of a doubt.
func (f *Forwarder) settleAs(ctx context.Context, op Operation, r Result) error {
	op.State, op.Reason, op.Error, op.NotBefore = r.State, r.Reason, r.Error, r.NotBefore
	op.CloudID, op.DeliveredAt = r.CloudID, r.FinishedAt
	events, err := f.resultEvents(ctx, op, r)
	if err != nil {
		return err
	}
	err = f.cfg.Store.Settle(ctx, op.ID, r, events...)
	if errors.Is(err, ErrStale) || errors.Is(err, ErrState) {
		return nil // settled meanwhile
	}
	if err == nil && op.Type != Purchase && f.cards != nil {
		f.mu.Lock()
		delete(f.cards.doubts, op.ID)
		f.mu.Unlock()
	}
	return err
}

// cardEvents makes the event of the gift card transaction that op belongs to, as it stands once op does.
func cardEvents(ctx context.Context, store Store, at time.Time, op Operation, r Result) ([]journal.Event, error) {
	if op.Type == Purchase {
		return nil, nil
	}
	p, ok := cardPayload(op)
	if !ok {
		return nil, nil
	}
	g, err := store.Giftcard(ctx, p.TransactionID)
	if errors.Is(err, journal.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if op.Type == GiftcardTrans {
		g.Trans = op
	} else {
		g.Capture = &op
	}
	if r.State == Delivered && r.Balance != "" {
		g.Balance = r.Balance
	}
	if r.GiftcardID != "" {
		g.GiftcardID = r.GiftcardID
	}
	if !r.ExpiresAt.IsZero() {
		g.ExpiresAt = r.ExpiresAt
	}
	return []journal.Event{giftcardEvent(at, g)}, nil
}

// doubt remembers what an answer in doubt was like.
func (f *Forwarder) doubt(op Operation, v Verdict, prior *Fault) {
	if op.Type == Purchase || f.cards == nil {
		return
	}
	d := doubt{answered: v.Answered}
	if prior != nil {
		d.prior = prior.Code
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cards.doubts[op.ID] = d
}
