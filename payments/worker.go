package payments

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"time"
)

// worker owns one terminal: it runs its payments one at a time and recovers the ones in doubt.
type worker struct {
	desk     *Desk
	terminal Terminal
	name     string
	jobs     chan *attempt // the journal admits one open payment per terminal, so one place is enough
	woken    chan struct{} // a person resolved something

	use    sync.Mutex // held while the terminal is talked to
	settle sync.Mutex // held while a payment in doubt is settled, by recovery or by a person

	mu       sync.Mutex
	attempt  *attempt // the running payment
	blocking string   // id of the payment that keeps new money off
}

func newWorker(d *Desk, t Terminal) *worker {
	return &worker{desk: d, terminal: t, name: t.Info().Name, jobs: make(chan *attempt, 1), woken: make(chan struct{}, 1)}
}

// run settles the open payments, then takes new ones until ctx ends.
func (w *worker) run(ctx context.Context, open []Payment) {
	for _, p := range open {
		switch p.State {
		case Created:
			p.fail("the agent stopped before anything was sent to the terminal")
			w.commit(ctx, p)
		case Processing:
			p.State, p.Problem = InDoubt, "the agent stopped while the terminal was working"
			w.commit(ctx, p)
			w.recover(ctx, p)
		default:
			w.recover(ctx, p)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-w.jobs:
			w.pay(ctx, a)
		case <-w.woken:
		}
	}
}

// pay runs one payment to its end.
func (w *worker) pay(ctx context.Context, a *attempt) {
	a.ctx = ctx
	err := w.do(ctx, a)
	w.mu.Lock()
	if w.attempt == a {
		w.attempt = nil
	}
	w.mu.Unlock()
	if ctx.Err() != nil && err != nil {
		return // stopping: what is on disk decides at the next start
	}
	p := a.ended(err)
	w.commit(ctx, p)
	if p.State == InDoubt {
		w.desk.log.Warn("payment in doubt", "terminal", w.name, "payment", p.ID, "err", err)
		w.recover(ctx, p)
	}
}

func (w *worker) do(ctx context.Context, a *attempt) (err error) {
	w.use.Lock()
	defer w.use.Unlock()
	defer func() {
		if r := recover(); r != nil {
			w.desk.log.Error("terminal driver panicked", "terminal", w.name, "panic", r, "stack", string(debug.Stack()))
			err = fmt.Errorf("terminal driver panicked: %v", r)
		}
	}()
	return w.terminal.Do(ctx, a.txn, a)
}

// errCanceledEarly ends a payment that was canceled before its terminal heard of it.
var errCanceledEarly = errors.New("canceled before the terminal heard of it")

// recover asks the terminal about a payment in doubt until it answers, a person resolves it, or ctx ends. An
// unresolved payment only waits for the person.
func (w *worker) recover(ctx context.Context, p Payment) {
	w.setBlocking(p.ID)
	defer w.setBlocking("")
	wait := 500 * time.Millisecond
	for ctx.Err() == nil {
		if p.State == InDoubt {
			var err error
			if p, err = w.ask(ctx, p); err != nil {
				w.desk.log.Warn("cannot recover payment yet", "terminal", w.name, "payment", p.ID, "err", err)
			}
		}
		if !p.State.Blocks() {
			return
		}
		var retry <-chan time.Time
		if p.State == InDoubt {
			retry = time.After(wait/2 + rand.N(wait/2))
			wait = min(2*wait, 30*time.Second)
		}
		select {
		case <-ctx.Done():
		case <-retry:
		case <-w.woken:
		}
		if now, err := w.desk.journal.Get(ctx, p.ID); err == nil {
			p = now
		}
	}
}

// ask makes one recovery query and commits what it found. It gives back the payment as it now is.
func (w *worker) ask(ctx context.Context, p Payment) (Payment, error) {
	w.use.Lock()
	verdict, out, err := w.terminal.Recover(ctx, p.Attempt())
	w.use.Unlock()
	if err != nil {
		return p, err
	}
	w.settle.Lock()
	defer w.settle.Unlock()
	now, err := w.desk.journal.Get(ctx, p.ID)
	if err != nil {
		return p, err
	}
	if now.State != InDoubt { // a person was faster; their word stands
		w.desk.log.Warn("late answer for a resolved payment", "terminal", w.name, "payment", p.ID, "verdict", verdict, "said", out.State)
		return now, nil
	}
	settled := now
	settled.apply(verdict, out)
	if err := w.desk.update(ctx, settled); err != nil {
		return now, err
	}
	return settled, nil
}

// apply writes a recovery verdict into the payment.
func (p *Payment) apply(v Verdict, out Outcome) {
	switch {
	case v == Known && out.State == Approved:
		p.Told = &out
		p.approve(out)
	case v == Known:
		p.Told = &out
		p.end(out)
	case v == NotCharged && p.Told != nil && p.Told.State == Approved:
		p.end(Outcome{State: Reversed})
		p.Problem = "the terminal approved and then took it back because it heard no acknowledgement"
	case v == NotCharged:
		p.fail("the terminal does not know this payment: nothing was charged")
	default:
		p.State = Unresolved
		p.Problem = "the terminal cannot tell how this payment ended; look at its display or slips and resolve it"
	}
}

// commit writes the payment and insists: while the disk refuses it tries again, because what the terminal did is
// done. It gives up only when ctx ends; the row on disk then leads to recovery at the next start.
func (w *worker) commit(ctx context.Context, p Payment) {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 10*time.Second) {
		err := w.desk.update(ctx, p)
		if err == nil {
			return
		}
		w.desk.log.Error("cannot write payment, trying again", "terminal", w.name, "payment", p.ID, "err", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// submit hands a payment that is on disk to the worker.
func (w *worker) submit(p Payment) {
	a := &attempt{worker: w, txn: p.Attempt().Txn, p: p}
	w.mu.Lock()
	w.attempt = a
	w.mu.Unlock()
	w.jobs <- a
}

func (w *worker) wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// cancel notes the wish and, once the terminal works on the payment, passes it on. A payment the terminal has not
// heard of yet ends canceled by itself.
func (w *worker) cancel(ctx context.Context, p Payment) (Payment, error) {
	w.mu.Lock()
	a := w.attempt
	w.mu.Unlock()
	if a == nil || a.txn.PaymentID != p.ID { // it has just ended
		return p, fmt.Errorf("cancel payment in state %s: %w", p.State, ErrState)
	}
	p, err := a.change(context.WithoutCancel(ctx), func(p *Payment) error {
		p.CancelRequested = true
		return nil
	})
	if err != nil || p.State != Processing {
		return p, err
	}
	if err := w.terminal.Abort(ctx); err != nil {
		return p, fmt.Errorf("ask terminal %s to stop: %w", w.name, err)
	}
	return p, nil
}

func (w *worker) setBlocking(id string) {
	w.mu.Lock()
	w.blocking = id
	w.mu.Unlock()
}

func (w *worker) info() TerminalInfo {
	i := w.terminal.Info()
	w.mu.Lock()
	defer w.mu.Unlock()
	return TerminalInfo{
		Name: w.name, Driver: i.Driver, State: i.State, Capabilities: w.terminal.Caps(), Model: i.Model,
		TerminalID: i.Serial, Status: i.Status, Blocking: w.blocking,
	}
}

// attempt is the running payment; it is the Events its terminal reports to.
type attempt struct {
	ctx    context.Context // the worker's: a commit must not die with a request
	worker *worker
	txn    Txn

	mu sync.Mutex
	p  Payment
}

var _ Events = (*attempt)(nil)

// change edits the payment and commits it. On an error the payment keeps its old form.
func (a *attempt) change(ctx context.Context, edit func(*Payment) error) (Payment, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := a.p
	if err := edit(&next); err != nil {
		return a.p, err
	}
	if err := a.worker.desk.update(ctx, next); err != nil {
		return a.p, err
	}
	a.p = next
	return next, nil
}

// Sending implements Events.
func (a *attempt) Sending(b Baseline) error {
	if !b.Known { // fall back on what the journal knows of this terminal
		last, err := a.worker.desk.journal.LastKnown(a.ctx, a.worker.name)
		if err == nil && last.Told != nil {
			b = last.Told.Baseline
		}
	}
	_, err := a.change(a.ctx, func(p *Payment) error {
		if p.CancelRequested {
			return errCanceledEarly
		}
		p.State, p.Baseline = Processing, b
		return nil
	})
	return err
}

// Prompt implements Events.
func (a *attempt) Prompt(pr Prompt) {
	_, err := a.change(a.ctx, func(p *Payment) error {
		p.Prompt = &pr
		return nil
	})
	if err != nil {
		a.worker.desk.log.Warn("cannot write prompt", "terminal", a.worker.name, "err", err)
	}
}

// CommitOutcome implements Events.
func (a *attempt) CommitOutcome(o Outcome) error {
	_, err := a.change(a.ctx, func(p *Payment) error {
		p.Told = &o
		return nil
	})
	return err
}

// CommitReceipt implements Events.
func (a *attempt) CommitReceipt(r Receipt) error {
	_, err := a.change(a.ctx, func(p *Payment) error {
		p.Receipt = r
		return nil
	})
	return err
}

// ended gives the payment as the driver's return leaves it.
func (a *attempt) ended(err error) Payment {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := a.p
	told := p.Told
	switch {
	case told != nil && told.State != Approved: // declined and the like move no money, acknowledged or not
		p.end(*told)
	case told != nil && err == nil:
		p.approve(*told)
	case told == nil && p.CancelRequested && p.State == Created:
		p.end(Outcome{State: Canceled})
	case told == nil && (errors.Is(err, ErrNotSent) || p.State == Created):
		p.fail(reason(err))
	default:
		p.State, p.Prompt, p.Problem = InDoubt, nil, reason(err)
	}
	return p
}

func reason(err error) string {
	if err == nil {
		return "the terminal ended the exchange without an outcome"
	}
	return err.Error()
}
