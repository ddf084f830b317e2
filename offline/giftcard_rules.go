package offline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments/money"
)

// waitingUses is what was accepted here for an outage and not yet confirmed by the cloud.
type waitingUses struct {
	list   []Giftcard
	total  money.Amount
	oldest time.Time
}

// waiting gathers the uses that the cloud has not confirmed.
func (d *GiftcardDesk) waiting(ctx context.Context) (waitingUses, error) {
	var w waitingUses
	zero, err := money.Parse("0", d.cfg.Currency)
	if err != nil {
		return w, err
	}
	w.total = zero
	all, err := d.cfg.Store.OpenGiftcards(ctx, "")
	if err != nil {
		return w, err
	}
	for _, g := range all {
		if g.TransType != CardUse || !g.unconfirmed() {
			continue
		}
		amount, err := money.Parse(g.Amount, d.cfg.Currency)
		if err != nil {
			return w, fmt.Errorf("amount of gift card transaction %s: %w", g.ID, err)
		}
		if w.total, err = w.total.Add(amount); err != nil {
			return w, err
		}
		w.list = append(w.list, g)
		w.oldest = earliest(w.oldest, g.CreatedAt)
	}
	return w, nil
}

// unconfirmed tells whether the cloud has not said how it ended.
func (g Giftcard) unconfirmed() bool { return badness(g.Trans.State) > 0 }

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// available is what a card was last known to hold, less what we took from it that the balance cannot know of.
func (d *GiftcardDesk) available(k KnownBalance, w waitingUses) (money.Amount, error) {
	left, err := money.Parse(k.Balance, d.cfg.Currency)
	if err != nil {
		return left, fmt.Errorf("known balance: %w", err)
	}
	for _, g := range w.list {
		if g.Stream != k.Stream {
			continue
		}
		amount, err := money.Parse("-"+g.Amount, d.cfg.Currency)
		if err == nil {
			left, err = left.Add(amount)
		}
		if err != nil {
			return left, err
		}
	}
	return left, nil
}

// check holds a transaction against the rules for outages; *OfflineError names the one that refuses it. The caller
// holds the rules lock until the commit. The transaction itself may be in the store already.
func (d *GiftcardDesk) check(ctx context.Context, g Giftcard) error {
	r := d.cfg.Rules
	if g.TransType == CardAdd {
		if !r.AllowAdd {
			return &OfflineError{"allow_add", "The cloud does not answer, and gift cards are not filled without it"}
		}
		return nil
	}
	if !r.AllowUse {
		return &OfflineError{"allow_use", "The cloud does not answer, and gift cards are not taken without it"}
	}
	amount, err := money.Parse(g.Amount, d.cfg.Currency)
	if err != nil {
		return err
	}
	if amount.Cmp(r.MaxAmount) > 0 {
		return &OfflineError{"max_amount_per_transaction", "The cloud does not answer; without it at most " + r.MaxAmount.String() + " may be taken at a time"}
	}
	w, err := d.waiting(ctx)
	if err != nil {
		return err
	}
	if w, err = w.without(g.ID); err != nil {
		return err
	}
	total, err := w.total.Add(amount)
	if err != nil {
		return err
	}
	switch {
	case len(w.list)+1 > r.MaxCount:
		return &OfflineError{"max_stored_count", fmt.Sprintf("The cloud does not answer, and %d gift card payments wait for it already", len(w.list))}
	case total.Cmp(r.MaxTotal) > 0:
		return &OfflineError{"max_total_stored_amount", "The cloud does not answer, and with this more than " + r.MaxTotal.String() + " would wait for it"}
	case !w.oldest.IsZero() && time.Since(w.oldest) > r.MaxAge:
		return &OfflineError{"max_age_hours", "The cloud does not answer, and the oldest gift card payment waits for it too long"}
	}
	return d.covered(ctx, g, amount, w)
}

// covered holds an amount against the last known balance.
func (d *GiftcardDesk) covered(ctx context.Context, g Giftcard, amount money.Amount, w waitingUses) error {
	k, err := d.cfg.Store.KnownBalance(ctx, g.Stream)
	if errors.Is(err, journal.ErrNotFound) {
		return &OfflineError{"known_balance", "The cloud does not answer, and what this card holds was never seen here"}
	}
	if err != nil {
		return err
	}
	if time.Since(k.AsOf) > d.cfg.Rules.MaxAge {
		return &OfflineError{"max_age_hours", "The cloud does not answer, and what this card holds was seen here too long ago"}
	}
	left, err := d.available(k, w)
	if err != nil {
		return err
	}
	if left.Cmp(amount) < 0 {
		return &OfflineError{"balance", "The cloud does not answer, and the card was last known to have " + left.String() + " left"}
	}
	return nil
}

// without leaves one transaction out.
func (w waitingUses) without(id string) (waitingUses, error) {
	out := waitingUses{total: w.total}
	for _, g := range w.list {
		if g.ID == id {
			back, err := money.Parse("-"+g.Amount, g.Currency)
			if err == nil {
				out.total, err = out.total.Add(back)
			}
			if err != nil {
				return out, err
			}
			continue
		}
		out.list = append(out.list, g)
		out.oldest = earliest(out.oldest, g.CreatedAt)
	}
	return out, nil
}
