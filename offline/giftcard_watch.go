package offline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"storeagent/internal/journal"
)

// Times of the watch over holds.
const (
	watchEvery = 30 * time.Second
	warnAhead  = 15 * time.Minute // a capture that has not gone by then is in danger
)

// Run watches authorizations until ctx ends: what lapses becomes expired, a capture that would come too late is told
// of while there is still time, and what nobody waits for any more is withdrawn.
func (d *GiftcardDesk) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := d.watch(ctx); err != nil && ctx.Err() == nil {
			d.cfg.Log.WarnContext(ctx, "gift card holds could not be watched", "err", err)
		}
		if !pause(ctx, watchEvery) {
			break
		}
	}
	return nil
}

func (d *GiftcardDesk) watch(ctx context.Context) error {
	open, err := d.cfg.Store.OpenGiftcards(ctx, "")
	if err != nil {
		return err
	}
	now := time.Now()
	var late []Giftcard
	for _, g := range open {
		if g.inDanger(now) {
			late = append(late, g)
			err = errors.Join(err, d.tell(ctx, now, g))
		}
		switch state, _, _ := g.State(now); {
		case state == CardQueued && !g.Offline && (now.Sub(g.CreatedAt) > 3*d.f.cfg.Patience || g.CreatedAt.Before(d.f.startedAt())):
			err = errors.Join(err, d.forgotten(ctx, g.ID))
		case state == CardExpired && g.SaleID == "":
			g.Expired = true
			gone := d.cfg.Store.ChangeGiftcard(ctx, g.ID, GiftcardChange{Expired: true}, journal.Entry{Events: []journal.Event{giftcardEvent(now, g)}})
			if !errors.Is(gone, ErrState) {
				err = errors.Join(err, gone)
			}
		}
	}
	d.mu.Lock()
	d.late = late
	d.mu.Unlock()
	return err
}

// forgotten withdraws a transaction that nobody waits for, unless it was accepted for the outage since it was listed.
func (d *GiftcardDesk) forgotten(ctx context.Context, id string) error {
	d.rules.Lock()
	defer d.rules.Unlock()
	g, err := d.cfg.Store.Giftcard(ctx, id)
	if err != nil || g.Offline {
		return err
	}
	err = d.withdraw(ctx, g, &Fault{Code: "not_sent_in_time", Message: "The agent stopped before it was sent; nothing was sent."}, journal.Entry{})
	if errors.Is(err, ErrState) { // an attempt began meanwhile, or it has its end
		return nil
	}
	return err
}

// inDanger tells whether a capture that was asked for may find no hold any more.
func (g Giftcard) inDanger(now time.Time) bool {
	return g.Capture != nil && badness(g.Capture.State) > 0 && !g.ExpiresAt.IsZero() && !now.Before(g.ExpiresAt.Add(-warnAhead))
}

// tell makes an event of a capture in danger, once.
func (d *GiftcardDesk) tell(ctx context.Context, now time.Time, g Giftcard) error {
	d.mu.Lock()
	told := slices.ContainsFunc(d.late, func(l Giftcard) bool { return l.ID == g.ID })
	d.mu.Unlock()
	if told || d.f.cfg.Events == nil {
		return nil
	}
	v := g.View(now)
	v.Error = &Fault{Code: "giftcard_capture_late", Message: lateText(g)}
	return d.f.cfg.Events.Append(ctx, journal.NewEvent("giftcard", now, v))
}

func lateText(g Giftcard) string {
	return fmt.Sprintf("The hold of %s %s on gift card %s lapses at %s, and its capture has not gone through.",
		g.Amount, g.Currency, g.Mask, g.ExpiresAt.UTC().Format(time.RFC3339))
}

// Problems lists captures that come too late, from memory.
func (d *GiftcardDesk) Problems() []Problem {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []Problem{}
	for _, g := range d.late {
		out = append(out, Problem{
			Code: "giftcard_capture_late", Severity: "error", Message: lateText(g),
			Hint: "Get the cloud reached before then (storeagent check); after it, charge the amount at the admin console. Search for: " + g.Trans.Ref,
		})
	}
	return out
}

// online tells whether an attempt would go out now.
func (f *Forwarder) online() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.connection() == Online
}

// stoppedKind tells whether no attempt of a kind goes out now.
func (f *Forwarder) stoppedKind(t OpType) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stops[t]
	return s != nil && !s.trial && time.Now().Before(s.tryAt)
}

// cashier puts an operation that somebody waits for ahead of the backlog and ends the delay after an outage.
func (f *Forwarder) cashier(id string) {
	f.mu.Lock()
	f.way.jitterUntil = time.Time{}
	f.mu.Unlock()
	f.accepted(id)
}

// change is closed when something about the queue changes.
func (f *Forwarder) change() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// flies tells whether an attempt of a stream is under way.
func (f *Forwarder) flies(stream string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, busy := f.flying[stream]
	return busy
}
