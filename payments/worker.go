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
	heard    chan string   // refs of attempts whose answer came when nobody waited for it
	owed     *unheard      // what to ask when the terminal is there again; run's goroutine alone uses it

	use    sync.Mutex // held while the terminal is talked to
	settle sync.Mutex // held while a payment in doubt is settled, by recovery or by a person
	abort  sync.Mutex // held while the terminal is asked to stop, so that this meets no later payment

	mu       sync.Mutex
	attempt  *attempt // the running payment or operation
	blocking string   // id of the payment that keeps new money off
	closing  bool     // an end of day runs
}

func newWorker(d *Desk, t Terminal) *worker {
	w := &worker{
		desk: d, terminal: t, name: t.Info().Name, jobs: make(chan *attempt, 1), woken: make(chan struct{}, 1), heard: make(chan string, 8),
	}
	if t, ok := t.(Witness); ok {
		t.Heard(func(ref string) {
			select {
			case w.heard <- ref:
			default: // nobody listens; the terminal may say it again
			}
		})
	}
	return w
}

// run settles the open payments, then takes new ones until ctx ends.
func (w *worker) run(ctx context.Context, open []Payment) {
	for _, p := range open {
		m, ok := p.pending()
		if !ok {
			continue
		}
		switch m.State {
		case Created:
			m.fail("the agent stopped before anything was sent to the terminal")
		case Processing:
			m.State, m.Prompt, m.Problem = InDoubt, nil, "the agent stopped while the terminal was working"
		}
		if m.State != p.movement(m.ID).State {
			p.put(m)
			w.commit(ctx, p)
		}
		if p.Blocks() {
			w.recover(ctx, p)
		}
	}
	for {
		var again <-chan time.Time
		if w.owed != nil {
			again = time.After(hearEvery)
		}
		select {
		case <-ctx.Done():
			return
		case a := <-w.jobs:
			if w.terminal.Caps().LastQuery == "lastOnly" {
				w.owed = nil // covered up by this one
			}
			w.pay(ctx, a)
		case ref := <-w.heard:
			w.hear(ctx, ref)
		case <-again:
			w.hearOut(ctx)
		case <-w.woken:
		}
	}
}

// pay runs one payment or operation to its end.
func (w *worker) pay(ctx context.Context, a *attempt) {
	a.ctx = ctx
	w.abort.Lock() // a wish to stop the payment before is through by now
	a.refresh()
	w.abort.Unlock()
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
	if p.Blocks() {
		w.desk.log.Warn("payment in doubt", "terminal", w.name, "payment", p.ID, "what", a.txn.Kind, "err", err)
		w.recover(ctx, p)
	}
}

func (w *worker) do(ctx context.Context, a *attempt) (err error) {
	w.use.Lock()
	defer w.use.Unlock()
	defer func() {
		if r := recover(); r != nil {
			err = w.panicked(r)
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
	var silent string // the movement that the terminal could not be asked about
	for ctx.Err() == nil {
		m, _ := p.pending()
		if m.State == InDoubt {
			var err error
			if p, err = w.ask(ctx, p, m.ID); err != nil {
				w.desk.log.Warn("cannot recover payment yet", "terminal", w.name, "payment", p.ID, "err", err)
				silent = m.ID
			}
		}
		if !p.Blocks() {
			if silent != "" && p.movement(silent).Resolution != nil {
				w.owed = &unheard{p.ID, silent}
			}
			return
		}
		var retry <-chan time.Time
		if m, _ := p.pending(); m.State == InDoubt {
			retry = time.After(wait/2 + rand.N(wait/2))
			wait = min(2*wait, 30*time.Second)
		}
		select {
		case <-ctx.Done():
		case <-retry:
		case ref := <-w.heard:
			w.hear(ctx, ref)
		case <-w.woken:
		}
		if now, err := w.desk.journal.Get(ctx, p.ID); err == nil {
			p = now
		}
	}
}

// ask makes one recovery query about a movement and commits what it found: its end, or, where it has one already,
// evidence. It gives back the payment as it now is.
func (w *worker) ask(ctx context.Context, p Payment, id string) (Payment, error) {
	m := p.movement(id)
	verdict, out, slip, err := w.query(ctx, p.attempt(m), m.Receipt == nil || m.Receipt.empty())
	if err != nil {
		return p, err
	}
	w.settle.Lock()
	defer w.settle.Unlock()
	now, err := w.desk.journal.Get(ctx, p.ID)
	if err != nil {
		return p, err
	}
	switch m = now.movement(id); {
	case m.State == Unresolved && verdict == Unknown:
		return now, nil
	case !m.State.Blocks(): // a person was faster; their word stands
		return w.keep(ctx, now, m, verdict, out)
	}
	settled := now
	m.apply(verdict, out)
	if slip != nil {
		m.Receipt = slip
	}
	settled.put(m)
	if err := w.desk.update(ctx, settled); err != nil {
		return now, err
	}
	return settled, nil
}

// query asks the terminal about an attempt, and for its slips where those are wanted and it was approved. A driver that
// panics over what its terminal says breaks this one terminal.
func (w *worker) query(ctx context.Context, a Attempt, slips bool) (verdict Verdict, out Outcome, slip *Receipt, err error) {
	w.use.Lock()
	defer w.use.Unlock()
	defer func() {
		if r := recover(); r != nil {
			err = w.panicked(r)
		}
	}()
	verdict, out, err = w.terminal.Recover(ctx, a)
	if err == nil && verdict == Known && out.State == Approved && slips {
		slip = w.reprint(ctx, out)
	}
	return verdict, out, slip, err
}

// panicked is what a driver's panic comes to.
func (w *worker) panicked(r any) error {
	w.desk.log.Error("terminal driver panicked", "terminal", w.name, "panic", r, "stack", string(debug.Stack()))
	return fmt.Errorf("terminal driver panicked: %v", r)
}

// reprint fetches the slips of an approval that recovery found; nil where the terminal does not give them.
func (w *worker) reprint(ctx context.Context, out Outcome) *Receipt {
	r, ok := w.terminal.(Reprinter)
	if !ok || !w.terminal.Caps().PrintsByUs {
		return nil
	}
	slip, of, err := r.Reprint(ctx)
	if err != nil {
		w.desk.log.Warn("cannot fetch the slips of a recovered payment", "terminal", w.name, "err", err)
		return nil
	}
	if slip.empty() || of != out.Baseline {
		return nil
	}
	return &slip
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

// submit hands a movement that is on disk to the worker.
func (w *worker) submit(p Payment, id string) {
	a := &attempt{worker: w, id: id, txn: p.attempt(p.movement(id)).Txn, p: p}
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
	p, err := a.change(context.WithoutCancel(ctx), func(m *Operation) error {
		m.CancelRequested = true
		return nil
	})
	if err != nil || p.movement(a.id).State != Processing {
		return p, err
	}
	w.abort.Lock()
	defer w.abort.Unlock()
	if !w.runs(a) {
		return p, fmt.Errorf("cancel a payment that has just ended: %w", ErrState)
	}
	if err := w.terminal.Abort(ctx); err != nil {
		return p, fmt.Errorf("ask terminal %s to stop: %w", w.name, err)
	}
	return p, nil
}

// runs is true while a is the movement under way, or the next one.
func (w *worker) runs(a *attempt) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.attempt == a
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

// attempt is the running payment or operation; it is the Events its terminal reports to.
type attempt struct {
	ctx    context.Context // the worker's: a commit must not die with a request
	worker *worker
	txn    Txn
	id     string // of the movement in p

	mu   sync.Mutex
	p    Payment
	over bool // its end is worked out from p, which stays as it is
}

var _ Events = (*attempt)(nil)

// change edits the running movement and commits its payment. On an error the payment keeps its old form.
func (a *attempt) change(ctx context.Context, edit func(*Operation) error) (Payment, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	next, m := a.p, a.p.movement(a.id)
	if a.over { // what it was would be written over its end
		return a.p, fmt.Errorf("change a payment that has just ended: %w", ErrState)
	}
	if err := edit(&m); err != nil {
		return a.p, err
	}
	next.put(m)
	if err := a.worker.desk.update(ctx, next); err != nil {
		return a.p, err
	}
	a.p = next
	return next, nil
}

// refresh reads the payment again: since the operation was written down, evidence may have come.
func (a *attempt) refresh() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now, err := a.worker.desk.journal.Get(a.ctx, a.p.ID); err == nil {
		a.p = now
	}
}

// Sending implements Events.
func (a *attempt) Sending(b Baseline) error {
	if !b.Known { // fall back on what the journal knows of this terminal
		if last, err := a.worker.desk.journal.LastKnown(a.ctx, a.worker.name); err == nil {
			b = last
		}
	}
	_, err := a.change(a.ctx, func(m *Operation) error {
		if m.CancelRequested {
			return errCanceledEarly
		}
		m.State, m.Baseline = Processing, b
		return nil
	})
	return err
}

// Prompt implements Events.
func (a *attempt) Prompt(pr Prompt) {
	_, err := a.change(a.ctx, func(m *Operation) error {
		m.Prompt = &pr
		return nil
	})
	if err != nil {
		a.worker.desk.log.Warn("cannot write prompt", "terminal", a.worker.name, "err", err)
	}
}

// CommitOutcome implements Events.
func (a *attempt) CommitOutcome(o Outcome) error {
	_, err := a.change(a.ctx, func(m *Operation) error {
		m.Told = &o
		return nil
	})
	return err
}

// CommitReceipt implements Events.
func (a *attempt) CommitReceipt(r Receipt) error {
	_, err := a.change(a.ctx, func(m *Operation) error {
		m.Receipt = &r
		return nil
	})
	return err
}

// ended gives the payment as the driver's return leaves it.
func (a *attempt) ended(err error) Payment {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	p, m := a.p, a.p.movement(a.id)
	told := m.Told
	switch {
	case told != nil && told.State != Approved: // declined and the like move no money, acknowledged or not
		m.end(*told)
	case told != nil && err == nil:
		m.approve(*told)
	case told == nil && m.CancelRequested && m.State == Created:
		m.end(Outcome{State: Canceled})
	case told == nil && (errors.Is(err, ErrNotSent) || m.State == Created):
		m.fail(reason(err))
	default:
		m.State, m.Prompt, m.Problem = InDoubt, nil, reason(err)
	}
	p.put(m)
	return p
}

func reason(err error) string {
	if err == nil {
		return "the terminal ended the exchange without an outcome"
	}
	return err.Error()
}
