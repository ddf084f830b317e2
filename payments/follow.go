package payments

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"storeagent/internal/journal"
	"storeagent/payments/money"
)

// Void takes an approved payment back as a whole; an uncaptured preauth is given free. Like Start it writes the
// operation first; its end comes as the payment's. Errors are those of Start, and ErrState.
func (d *Desk) Void(ctx context.Context, id string, entry func(Payment) journal.Entry) (Payment, error) {
	release, err := d.give(ctx)
	if err != nil {
		return Payment{}, err
	}
	defer release()
	return d.follow(ctx, id, entry, func(p Payment) (Operation, error) {
		return Operation{Type: OpVoid, Amount: p.stands()}, d.notGivenBack(ctx, p)
	})
}

// Capture collects an approved preauth: amount is what was used, nil for all of it. ErrAmount where it is more than
// was approved.
func (d *Desk) Capture(ctx context.Context, id string, amount *money.Amount, entry func(Payment) journal.Entry) (Payment, error) {
	return d.follow(ctx, id, entry, func(p Payment) (Operation, error) {
		switch {
		case p.Type != Preauth || p.CapturedAmount != nil:
			return Operation{}, fmt.Errorf("capture %s payment: %w", p.Type, ErrState)
		case amount == nil:
			return Operation{Type: OpCapture, Amount: p.stands()}, nil
		}
		return Operation{Type: OpCapture, Amount: *amount}, within(*amount, p.stands())
	})
}

// Tip adds amount to an approved sale.
func (d *Desk) Tip(ctx context.Context, id string, amount money.Amount, entry func(Payment) journal.Entry) (Payment, error) {
	return d.follow(ctx, id, entry, func(p Payment) (Operation, error) {
		if p.Type != Sale {
			return Operation{}, fmt.Errorf("tip on %s payment: %w", p.Type, ErrState)
		}
		if amount.Currency() != p.Currency {
			return Operation{}, fmt.Errorf("tip in %s: %w", amount.Currency(), money.ErrCurrency)
		}
		return Operation{Type: OpTip, Amount: amount}, nil
	})
}

// follow writes the operation that plan makes of the payment and hands it to the payment's terminal.
func (d *Desk) follow(ctx context.Context, id string, entry func(Payment) journal.Entry, plan func(Payment) (Operation, error)) (Payment, error) {
	p, err := d.journal.Get(ctx, id)
	if err != nil {
		return Payment{}, err
	}
	w := d.worker(p.Terminal)
	if w == nil {
		return p, fmt.Errorf("%q: %w", p.Terminal, ErrNoTerminal)
	}
	select {
	case <-d.ready:
	case <-ctx.Done():
		return Payment{}, ctx.Err()
	}
	w.settle.Lock() // the payment must not change between its reading and its writing
	defer w.settle.Unlock()
	if p, err = d.journal.Get(ctx, id); err != nil {
		return Payment{}, err
	}
	if m, open := p.pending(); open {
		if m.State.Blocks() {
			return p, ErrTerminalInDoubt
		}
		return p, ErrTerminalBusy
	}
	if p.State != Approved {
		return p, fmt.Errorf("follow-up of a payment in state %s: %w", p.State, ErrState)
	}
	o, err := plan(p)
	if err != nil {
		return p, err
	}
	opID, err := uuid.NewV7()
	if err != nil {
		return Payment{}, fmt.Errorf("make operation id: %w", err)
	}
	now := time.Now()
	o.ID, o.Ref, o.State, o.CreatedAt = opID.String(), NewRef(now), Created, now.UTC().Truncate(time.Millisecond)
	p.put(o)
	if kind := p.attempt(o).Kind; !w.terminal.Caps().Can(kind) {
		return p, fmt.Errorf("%s on terminal %s: %w", kind, w.name, ErrUnsupported)
	}
	if w.isClosing() {
		return p, fmt.Errorf("end of day on terminal %s: %w", w.name, ErrTerminalBusy)
	}
	e := entry(p)
	e.Events = append(e.Events, event(p))
	if err := d.journal.AddOperation(ctx, p, e); err != nil {
		return Payment{}, err
	}
	d.signal()
	w.submit(p, o.ID)
	return p, nil
}

// refunds checks what a refund gives back and, where its terminal can link the two, names it.
func (d *Desk) refunds(ctx context.Context, w *worker, r Request) (*Original, error) {
	if r.OriginalPaymentID == "" {
		return nil, nil
	}
	p, err := d.journal.Get(ctx, r.OriginalPaymentID)
	if errors.Is(err, journal.ErrNotFound) {
		return nil, ErrOriginal
	}
	if err != nil {
		return nil, err
	}
	if p.State != Approved || p.Type == Refund || p.Type == Preauth && p.CapturedAmount == nil {
		return nil, fmt.Errorf("refund of a %s in state %s: %w", p.Type, p.State, ErrOriginal)
	}
	if m, open := p.pending(); open { // a void of it, say
		if m.State.Blocks() {
			return nil, fmt.Errorf("refund of a payment with a %s in doubt: %w", m.Type, ErrTerminalInDoubt)
		}
		return nil, fmt.Errorf("refund of a payment with a %s under way: %w", m.Type, ErrTerminalBusy)
	}
	total, err := d.givenBack(ctx, p, r.Amount)
	if err != nil {
		return nil, err
	}
	if err := within(total, p.stands()); err != nil {
		return nil, err
	}
	if !w.terminal.Caps().LinkedRefund || p.Terminal != w.name {
		return nil, nil
	}
	return p.original(), nil
}

// give is held from looking at what was given back of a payment to the commit of a refund or void of it: its terminals
// may be two.
func (d *Desk) give(ctx context.Context) (release func(), err error) {
	select {
	case d.giving <- struct{}{}:
		return func() { <-d.giving }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// notGivenBack refuses to void what a refund gave back, or may have.
func (d *Desk) notGivenBack(ctx context.Context, p Payment) error {
	none, err := money.FromMinor(0, p.Currency)
	if err != nil {
		return err
	}
	given, err := d.givenBack(ctx, p, none)
	if err == nil && given.Sign() > 0 {
		err = fmt.Errorf("void of a payment of which %s %s is refunded: %w", given, p.Currency, ErrState)
	}
	return err
}

// givenBack adds to amount what earlier refunds of p gave back or, as far as is known, may have. It looks at all that came
// after p in the journal: by the clock, which may have been set back since, a refund could have come before.
func (d *Desk) givenBack(ctx context.Context, p Payment, amount money.Amount) (money.Amount, error) {
	f := Filter{Limit: 500}
	for {
		page, next, err := d.journal.List(ctx, f)
		if err != nil {
			return amount, err
		}
		for _, other := range page {
			if other.ID == p.ID {
				return amount, nil
			}
			if other.OriginalPaymentID != p.ID || other.State != Approved && other.State.Final() && !other.State.Blocks() {
				continue
			}
			if amount, err = amount.Add(other.stands()); err != nil {
				return amount, err
			}
		}
		if f.Cursor = next; next == "" {
			return amount, nil
		}
	}
}

func within(amount, most money.Amount) error {
	if amount.Currency() != most.Currency() {
		return fmt.Errorf("%s instead of %s: %w", amount.Currency(), most.Currency(), money.ErrCurrency)
	}
	if amount.Cmp(most) > 0 {
		return fmt.Errorf("%s of %s: %w", amount, most, ErrAmount)
	}
	return nil
}
