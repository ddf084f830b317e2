package offline

import (
	"context"
	"time"

	"storeagent/internal/journal"
)

// stop is a kind of operation that is not sent for now: the account lacks its permission, or the tenant has no such
// operation. After a while one single operation of the kind is tried; its success lets the others go.
type stop struct {
	blocked bool // a permission is missing; otherwise the tenant has no such operation
	fault   *Fault
	tries   int
	tryAt   time.Time
	trial   bool // one operation may be under way
}

// stopped notes that the cloud does not take a kind. The lock is held.
func (f *Forwarder) stopped(now time.Time, t OpType, blocked bool, fault *Fault) {
	s := f.stops[t]
	if s == nil {
		s = &stop{}
		f.stops[t] = s
	} else if s.trial {
		s.tries++
	}
	s.blocked, s.fault, s.trial = blocked, fault, false
	s.tryAt = now.Add(min(time.Minute<<min(s.tries, 6), time.Hour))
}

// goes notes a delivery of a kind. The lock is held.
func (f *Forwarder) goes(now time.Time, t OpType) {
	switch s := f.stops[t]; {
	case s == nil:
	case s.trial:
		delete(f.stops, t)
	default: // sent before the stop: some may be parked as blocked, so have a trial at once
		s.tryAt = now
	}
}

// retryStopped makes the stopped kinds due for a trial.
func (f *Forwarder) retryStopped() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.stops {
		s.tryAt, s.tries = time.Time{}, 0
	}
}

// skipped lists the kinds that may not be sent. The lock is held.
func (f *Forwarder) skipped() []OpType {
	var out []OpType
	for t := range f.stops {
		if f.held(t) {
			out = append(out, t)
		}
	}
	return out
}

// held tells whether no attempt of a kind may start. The lock is held.
func (f *Forwarder) held(t OpType) bool {
	s := f.stops[t]
	return s != nil && (!s.trial || f.flyingOf(t))
}

func (f *Forwarder) flyingOf(t OpType) bool {
	for _, kind := range f.flying {
		if kind == t {
			return true
		}
	}
	return false
}

// tryStopped begins the trials that are due: what was parked as blocked goes back to the queue, and one goes out.
func (f *Forwarder) tryStopped(ctx context.Context) error {
	now := time.Now()
	var due []OpType
	f.mu.Lock()
	for t, s := range f.stops {
		if !s.trial && !s.tryAt.After(now) && !f.flyingOf(t) {
			due = append(due, t)
		}
	}
	f.mu.Unlock()
	for _, t := range due {
		if err := f.unblock(ctx, now, t); err != nil {
			return err
		}
		f.mu.Lock()
		if s := f.stops[t]; s != nil {
			s.trial = true
		}
		f.mu.Unlock()
	}
	return nil
}

// unblock turns what is parked as blocked back into queued. Nothing of the kind is under way, so that the events
// name just what changes.
func (f *Forwarder) unblock(ctx context.Context, now time.Time, t OpType) error {
	select {
	case f.deciding <- struct{}{}:
		defer func() { <-f.deciding }()
	case <-ctx.Done():
		return ctx.Err()
	}
	blocked, err := f.blocked(ctx, t)
	if err != nil || len(blocked) == 0 {
		return err
	}
	var events []journal.Event
	for _, op := range blocked {
		op.State, op.Reason, op.NotBefore = Queued, "", time.Time{}
		e, err := f.saleEvents(ctx, now, op)
		if err != nil {
			return err
		}
		events = append(events, e...)
	}
	_, err = f.cfg.Store.Unblock(ctx, t, now, events...)
	return err
}

// blocked lists the operations parked for want of a permission, of one kind or, with "", of all.
func (f *Forwarder) blocked(ctx context.Context, t OpType) ([]Operation, error) {
	var out []Operation
	err := f.each(ctx, ItemFilter{State: Parked, Type: t}, func(op Operation) {
		if op.Reason == Blocked {
			out = append(out, op)
		}
	})
	return out, err
}

// blockedKinds finds the kinds that were stopped when the agent last ended; their trial is due at once.
func (f *Forwarder) blockedKinds(ctx context.Context) (map[OpType]*stop, error) {
	stops := map[OpType]*stop{}
	ops, err := f.blocked(ctx, "")
	for _, op := range ops {
		stops[op.Type] = &stop{blocked: true, fault: op.Error}
	}
	return stops, err
}

// each calls do for all operations of a listing, page by page.
func (f *Forwarder) each(ctx context.Context, filter ItemFilter, do func(Operation)) error {
	filter.Limit = 200
	for {
		ops, next, err := f.cfg.Store.Operations(ctx, filter)
		if err != nil {
			return err
		}
		for _, op := range ops {
			do(op)
		}
		if next == "" {
			return nil
		}
		filter.Cursor = next
	}
}
