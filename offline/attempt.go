package offline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"storeagent/internal/journal"
)

// shyAfter is how many attempts in doubt in a row make the forwarder wait.
const shyAfter = 3

// attempt makes one attempt at op: the commit that says so, the request, the commit of what came of it.
func (f *Forwarder) attempt(r *run, op Operation) {
	defer f.landed(r.commit, op)
	answered := sync.OnceFunc(f.answered)
	defer answered()
	ready, err := f.prepare(r.send, op)
	if err != nil {
		f.storeFailed(r.commit, "prepare an attempt", err)
		return
	}
	now, prior := time.Now(), op.Error
	op.State, op.Attempts, op.LastAttemptAt, op.NotBefore = Sending, op.Attempts+1, now, time.Time{}
	sale, err := saleOf(r.commit, f.cfg.Store, op)
	var events []journal.Event
	if err == nil {
		events, err = eventsWith(r.commit, f.cfg.Store, now, op, Result{}, sale)
	}
	if err != nil {
		f.storeFailed(r.commit, "read the sale of an operation", err)
		return
	}
	if err := f.cfg.Store.Begin(r.commit, op.ID, op.Attempts, now, events...); err != nil {
		f.notBegun(r, op, err)
		return
	}
	v := f.send(r.send, op, ready)
	if v.Class == ClassDoubt && v.Fault == nil {
		v.Fault = &Fault{Code: "no_answer", Message: "It was sent, and no answer came that can be trusted."}
	}
	now = time.Now()
	f.learn(r.commit, now, op, v)
	answered()
	if f.finish(r.commit, op, sale, f.cardResult(r.commit, ready.card, op, v, f.result(op, v, now))) && v.Class == ClassDoubt {
		op.State, op.Error = InDoubt, v.Fault
		f.doubt(op, v, prior)
		if err := f.settle(r.commit, op, true); err != nil {
			f.storeFailed(r.commit, "settle an operation in doubt", err)
			f.lookAgain(0)
		}
	}
}

// send makes the request, unless it is known by now that it makes no sense.
func (f *Forwarder) send(ctx context.Context, op Operation, ready prepared) Verdict {
	if ready.stop != nil {
		return *ready.stop
	}
	op.Payload = ready.op.Payload // may hold a code and a PIN, which go no further
	return f.cfg.Cloud.Send(ctx, op)
}

// lookAgain lets Run settle what stands in doubt after a while.
func (f *Forwarder) lookAgain(after time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.unsure, f.unsureAt = true, time.Now().Add(after)
}

// landed frees the place of an attempt.
func (f *Forwarder) landed(ctx context.Context, op Operation) {
	f.mu.Lock()
	delete(f.flying, op.Stream)
	f.mu.Unlock()
	f.refresh(ctx)
	f.Wake()
}

// notBegun deals with an attempt whose first commit failed. No byte left; should the commit have reached the disk
// all the same, it is closed as not executed.
func (f *Forwarder) notBegun(r *run, op Operation, err error) {
	if errors.Is(err, ErrStale) || errors.Is(err, journal.ErrNotFound) {
		f.log.DebugContext(r.commit, "operation was not begun", "operation", op.ID, "err", err)
		f.mu.Lock() // it is not the first of its stream, so it waits in the backlog
		f.live = slices.DeleteFunc(slices.Clone(f.live), func(id string) bool { return id == op.ID })
		f.mu.Unlock()
		return
	}
	f.storeFailed(r.commit, "begin an attempt", err)
	never := Result{State: Queued, Class: "not_begun", FinishedAt: time.Now()}
	err = f.cfg.Store.Finish(r.commit, op.ID, op.Attempts, never)
	if err != nil && !errors.Is(err, ErrStale) {
		f.log.ErrorContext(r.commit, "an attempt that never began stays in doubt until the next start", "operation", op.ID, "err", err)
	}
}

// result is what a verdict makes of an operation. What is not listed is in doubt.
func (f *Forwarder) result(op Operation, v Verdict, now time.Time) Result {
	r := Result{State: InDoubt, Error: v.Fault, HTTPStatus: v.HTTPStatus, Class: v.Class.String(), FinishedAt: now.UTC().Truncate(time.Millisecond)}
	switch v.Class {
	case ClassDelivered:
		r.State, r.CloudID, r.Error = Delivered, v.CloudID, nil
	case ClassNotExecuted:
		r.State = Queued
		r.NotBefore = now.Add(max(backoff(op.Attempts), min(v.RetryAfter, maxRetryAfter)))
	case ClassSignedOut, ClassUnsupported:
		r.State = Queued
	case ClassBlocked:
		r.State, r.Reason = Parked, Blocked
	case ClassRejected:
		r.State, r.Reason = Parked, Rejected
	}
	return r
}

// learn takes from an answer what it says about the way, the pace and the kind, before the answer is written down.
func (f *Forwarder) learn(ctx context.Context, now time.Time, op Operation, v Verdict) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastErr = v.Fault
	f.ended[v.Class.String()]++
	if v.PushBack {
		f.pace.push(now, v.RetryAfter)
	}
	switch v.Class {
	case ClassDelivered:
		f.lastErr, f.doubts = nil, 0
		f.way.works(now)
		f.pace.clean(now)
		f.goes(now, op.Type)
	case ClassRejected:
		f.pace.clean(now)
		f.log.WarnContext(ctx, "the cloud refused an operation", "operation", op.ID, "ref", op.Ref, "fault", faultText(v.Fault))
	case ClassBlocked, ClassUnsupported:
		f.stopped(now, op.Type, v.Class == ClassBlocked, v.Fault)
		f.log.ErrorContext(ctx, "the cloud does not take a kind of operation", "type", op.Type, "class", v.Class, "fault", faultText(v.Fault))
	case ClassSignedOut:
		f.signedOut(ctx, now, v.Fault)
	case ClassNotExecuted:
		if !v.PushBack { // the way is at fault: ask before the next sale goes
			f.way.close(now)
		}
	default:
		f.way.close(now)
		f.doubts++
		if f.doubts >= shyAfter { // the cloud answers probes but swallows sales: few of them shall stand in doubt
			f.shyUntil = now.Add(backoff(f.doubts))
		}
		f.log.WarnContext(ctx, "an operation is in doubt", "operation", op.ID, "ref", op.Ref, "status", v.HTTPStatus, "fault", faultText(v.Fault))
	}
}

// finish commits how an attempt ended, as often as the disk refuses. Where that does not succeed before the agent
// ends, the operation stays sending and is in doubt after the restart.
func (f *Forwarder) finish(ctx context.Context, op Operation, sale *SaleView, r Result) bool {
	n := op.Attempts
	op.State, op.Reason, op.Error, op.NotBefore = r.State, r.Reason, r.Error, r.NotBefore
	op.CloudID, op.DeliveredAt = r.CloudID, r.FinishedAt
	for {
		events, err := eventsWith(ctx, f.cfg.Store, r.FinishedAt, op, r, sale)
		if err == nil {
			err = f.cfg.Store.Finish(ctx, op.ID, n, r, events...)
		}
		switch {
		case err == nil:
			f.storeWorks(true)
			return true
		case errors.Is(err, ErrStale), errors.Is(err, journal.ErrNotFound):
			f.log.ErrorContext(ctx, "the end of an attempt was not wanted", "operation", op.ID, "attempt", n, "class", r.Class, "err", err)
			return false
		}
		if !pause(ctx, f.storeFailed(ctx, "finish an attempt", err)) {
			f.log.ErrorContext(ctx, "the end of an attempt could not be written", "operation", op.ID, "attempt", n, "class", r.Class, "err", err)
			return false
		}
	}
}

// pause waits, and tells whether ctx still runs.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// settle ends the doubt about one operation. About a gift card the balance may tell, about a purchase a query of the
// tenant's own. The documented API has none that finds a purchase, so without it a person decides, or the configuration.
// atOnce asks for the balance although the answer in doubt has closed the way.
func (f *Forwarder) settle(ctx context.Context, op Operation, atOnce bool) error {
	if op.Type != Purchase && f.cards != nil {
		settled, err := f.settleCard(ctx, op, atOnce)
		if err == nil && !settled {
			f.lookAgain(recheckDoubt)
		}
		return err
	}
	if op.Type == Purchase && f.lookups != nil {
		return f.settlePurchase(ctx, op, atOnce)
	}
	return f.settleBlind(ctx, op)
}

// settleBlind ends a doubt about which nobody can be asked.
func (f *Forwarder) settleBlind(ctx context.Context, op Operation) error {
	now := time.Now()
	r := Result{State: Parked, Reason: Unknown, Error: unknownFault(op), Class: "no_evidence", FinishedAt: now}
	if f.resends() && op.Type == Purchase && (op.Error == nil || op.Error.Code != CodeReplaced) {
		r.State, r.Reason, r.Class = Queued, "", "resend_unknown"
		r.NotBefore = now.Add(backoff(op.Attempts))
	}
	return f.settleAs(ctx, op, r)
}

// settleLeft settles what stands in doubt: after a start, and where the disk refused before.
func (f *Forwarder) settleLeft(ctx context.Context) error {
	f.mu.Lock()
	unsure := f.unsure && !time.Now().Before(f.unsureAt)
	if unsure {
		f.unsure = false
	}
	f.mu.Unlock()
	if !unsure {
		return nil
	}
	if f.lookups != nil {
		f.lookups.round = 0
	}
	var left []Operation
	err := f.each(ctx, ItemFilter{State: InDoubt}, func(op Operation) { left = append(left, op) })
	for _, op := range left {
		if err == nil {
			err = f.settle(ctx, op, false)
		}
	}
	if err != nil {
		f.lookAgain(0)
	}
	return err
}

// saleEvents makes the events of the sale and of the gift card transaction that op belongs to, as they stand once op
// does.
func (f *Forwarder) saleEvents(ctx context.Context, at time.Time, op Operation) ([]journal.Event, error) {
	return saleEvents(ctx, f.cfg.Store, at, op)
}

// resultEvents is the same with what the result says of the card.
func (f *Forwarder) resultEvents(ctx context.Context, op Operation, r Result) ([]journal.Event, error) {
	return opEvents(ctx, f.cfg.Store, r.FinishedAt, op, r)
}

func saleEvents(ctx context.Context, store Store, at time.Time, op Operation) ([]journal.Event, error) {
	return opEvents(ctx, store, at, op, Result{})
}

func opEvents(ctx context.Context, store Store, at time.Time, op Operation, r Result) ([]journal.Event, error) {
	sale, err := saleOf(ctx, store, op)
	if err != nil {
		return nil, err
	}
	return eventsWith(ctx, store, at, op, r, sale)
}

// saleOf reads the sale that op belongs to, nil where there is none, or it was pruned. What of it depends on its operations
// is for eventsWith to judge.
func saleOf(ctx context.Context, store Store, op Operation) (*SaleView, error) {
	if op.SaleID == "" {
		return nil, nil
	}
	v, err := store.Sale(ctx, op.SaleID)
	if errors.Is(err, journal.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read sale of %s: %w", op.ID, err)
	}
	return &v, nil
}

func eventsWith(ctx context.Context, store Store, at time.Time, op Operation, r Result, sale *SaleView) ([]journal.Event, error) {
	events, err := cardEvents(ctx, store, at, op, r)
	if err != nil {
		return nil, fmt.Errorf("read gift card transaction of %s: %w", op.ID, err)
	}
	if sale == nil {
		return events, nil
	}
	ops, _, err := store.Operations(ctx, ItemFilter{SaleID: op.SaleID, Limit: 200})
	if err != nil {
		return nil, fmt.Errorf("read operations of sale %s: %w", op.SaleID, err)
	}
	ops = slices.DeleteFunc(slices.Clone(ops), func(o Operation) bool { return o.ID == op.ID })
	v := *sale
	v.Judge(append(ops, op))
	return append(events, saleEvent(at, v)), nil
}
