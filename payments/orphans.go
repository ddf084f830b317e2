package payments

import (
	"context"
	"slices"
	"time"
)

const (
	defaultOrphanAfter = 15 * time.Minute
	orphanEvery        = 30 * time.Second // how often approvals without a sale are looked for
)

// watchOrphans looks for approvals that no sale has claimed in time until ctx ends. Each is reported once, as an
// event of the payment with alarmedAt set, and listed by Orphans until a sale claims it or it is voided.
func (d *Desk) watchOrphans(ctx context.Context) {
	tick := time.NewTicker(min(orphanEvery, d.orphanAfter))
	defer tick.Stop()
	for {
		if err := d.findOrphans(ctx); err != nil && ctx.Err() == nil {
			d.log.Warn("cannot look for payments without a sale", "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (d *Desk) findOrphans(ctx context.Context) error {
	unclaimed, f := false, Filter{Limit: 500}
	f.Attached = &unclaimed
	var found []Payment
	for {
		page, next, err := d.journal.List(ctx, f)
		if err != nil {
			return err
		}
		for _, p := range page {
			if !d.isOrphan(p) {
				continue
			}
			if p.AlarmedAt == nil {
				if p, err = d.alarm(ctx, p.ID); err != nil {
					return err
				}
			}
			if d.isOrphan(p) {
				found = append(found, p)
			}
		}
		if f.Cursor = next; next == "" {
			break
		}
	}
	d.mu.Lock()
	d.orphans = found
	d.mu.Unlock()
	return nil
}

// clockSlack is how far in the future a time may lie that was written down under the present clock.
const clockSlack = time.Minute

// isOrphan is true for an approval without a sale whose last movement ended long enough ago, or under a clock that was
// set back since: nobody knows how long ago that is.
func (d *Desk) isOrphan(p Payment) bool {
	if p.State != Approved || p.SaleID != "" || !p.Settled() || p.FinishedAt == nil {
		return false
	}
	last := *p.FinishedAt
	for _, o := range p.Operations {
		if o.FinishedAt != nil && o.FinishedAt.After(last) {
			last = *o.FinishedAt
		}
	}
	age := time.Since(last)
	return age >= d.orphanAfter || age < -clockSlack
}

// alarm marks and reports one orphan, unless it changed meanwhile.
func (d *Desk) alarm(ctx context.Context, id string) (Payment, error) {
	if w := d.workerOf(ctx, id); w != nil {
		w.settle.Lock()
		defer w.settle.Unlock()
	}
	p, err := d.journal.Get(ctx, id)
	if err != nil || p.AlarmedAt != nil || !d.isOrphan(p) {
		return p, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	p.AlarmedAt = &now
	if err := d.update(ctx, p); err != nil {
		return p, err
	}
	d.log.Warn("approved payment without a sale", "terminal", p.Terminal, "payment", p.ID, "amount", p.stands().String(), "currency", p.Currency)
	return p, nil
}

func (d *Desk) workerOf(ctx context.Context, id string) *worker {
	p, err := d.journal.Get(ctx, id)
	if err != nil {
		return nil
	}
	return d.worker(p.Terminal)
}

// Orphans lists, from memory, the approvals that no sale claimed in time, newest first. It lags the journal by up to
// half a minute.
func (d *Desk) Orphans() []Payment {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.orphans)
}
