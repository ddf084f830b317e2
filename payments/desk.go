package payments

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"storeagent/internal/journal"
	"storeagent/payments/money"
)

// DeskConfig is what a Desk is made of.
type DeskConfig struct {
	Journal   Journal
	Terminals []Terminal
	Log       *slog.Logger
	// OrphanAfter is how long an approval may be claimed by no sale before it is reported; 0 for 15 minutes.
	OrphanAfter time.Duration
}

// Desk runs payments: it writes each one down before its terminal hears of it, keeps one worker per terminal, and
// settles what a crash or a lost line left in doubt by asking the terminal. All methods are safe for concurrent use.
type Desk struct {
	journal Journal
	log     *slog.Logger
	workers []*worker
	ready   chan struct{} // closed once Run has read what earlier runs left open

	orphanAfter time.Duration

	giving chan struct{} // one place; see give

	mu      sync.Mutex
	changed chan struct{} // closed and replaced whenever a payment changed
	orphans []Payment     // approvals that no sale claimed in time, as last looked up
	// payments that ended otherwise than their terminal says
	contradicted []Payment
}

// NewDesk makes a Desk. Nothing happens at a terminal before Run.
func NewDesk(c DeskConfig) *Desk {
	d := &Desk{journal: c.Journal, log: c.Log, ready: make(chan struct{}), changed: make(chan struct{}), giving: make(chan struct{}, 1)}
	if d.orphanAfter = c.OrphanAfter; d.orphanAfter <= 0 {
		d.orphanAfter = defaultOrphanAfter
	}
	for _, t := range c.Terminals {
		d.workers = append(d.workers, newWorker(d, t))
	}
	return d
}

// Run first settles what earlier runs left open, then works off payments until ctx ends. A payment that runs at
// that moment stays processing on disk and is in doubt at the next start.
func (d *Desk) Run(ctx context.Context) error {
	open, err := d.journal.Open(ctx)
	if err != nil {
		return fmt.Errorf("read open payments: %w", err)
	}
	if err := d.watchContradictions(ctx); err != nil {
		return err
	}
	close(d.ready)
	for _, p := range open {
		if d.worker(p.Terminal) == nil {
			if err := d.abandon(ctx, p); err != nil {
				return err
			}
		}
	}
	var wg sync.WaitGroup
	for _, w := range d.workers {
		mine := slices.DeleteFunc(slices.Clone(open), func(p Payment) bool { return p.Terminal != w.name })
		wg.Go(func() { w.run(ctx, mine) })
	}
	wg.Go(func() { d.watchOrphans(ctx) })
	wg.Wait()
	return nil
}

// abandon closes a payment whose terminal is no longer configured, so that nobody can ask it.
func (d *Desk) abandon(ctx context.Context, p Payment) error {
	m, _ := p.pending()
	switch m.State {
	case Created:
		m.fail("the agent stopped before anything was sent to the terminal")
	case Processing, InDoubt:
		m.State = Unresolved
		m.Problem = fmt.Sprintf("terminal %q is not configured any more; look at its slips and resolve the payment", p.Terminal)
	default:
		return nil
	}
	p.put(m)
	return d.update(ctx, p)
}

// Start writes the payment and hands it to its terminal; see register.Payments. Before Run has read what earlier runs
// left open it waits, so that nothing new is taken for something old.
func (d *Desk) Start(ctx context.Context, r Request, entry func(Payment) journal.Entry) (Payment, error) {
	if r.Terminal == "" && r.OriginalPaymentID != "" { // a refund goes back the way the money came
		if p, err := d.journal.Get(ctx, r.OriginalPaymentID); err == nil && d.worker(p.Terminal) != nil {
			r.Terminal = p.Terminal
		}
	}
	w, err := d.pick(r.Terminal)
	if err != nil {
		return Payment{}, err
	}
	if !w.terminal.Caps().Can(Kind(r.Type)) {
		return Payment{}, fmt.Errorf("%s on terminal %s: %w", r.Type, w.name, ErrUnsupported)
	}
	if r.Tip != (money.Amount{}) && (r.Type != Sale || !w.terminal.Caps().TipAtStart) {
		return Payment{}, fmt.Errorf("tip with a %s on terminal %s: %w", r.Type, w.name, ErrUnsupported)
	}
	if w.isClosing() {
		return Payment{}, fmt.Errorf("end of day on terminal %s: %w", w.name, ErrTerminalBusy)
	}
	select {
	case <-d.ready:
	case <-ctx.Done():
		return Payment{}, ctx.Err()
	}
	if r.OriginalPaymentID != "" {
		release, err := d.give(ctx)
		if err != nil {
			return Payment{}, err
		}
		defer release()
	}
	original, err := d.refunds(ctx, w, r)
	if err != nil {
		return Payment{}, err
	}
	if !w.terminal.Caps().Takes(r.Amount.Currency()) {
		return Payment{}, fmt.Errorf("%s on terminal %s: %w", r.Amount.Currency(), w.name, ErrForeign)
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Payment{}, fmt.Errorf("make payment id: %w", err)
	}
	p := Payment{
		ID: id.String(), Ref: NewRef(time.Now()), Type: r.Type, State: Created, Amount: r.Amount, Currency: r.Amount.Currency(), Terminal: w.name,
		Reference: r.Reference, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
		Receipt: Receipt{Customer: []string{}, Merchant: []string{}}, Operations: []Operation{},
		OriginalPaymentID: r.OriginalPaymentID, Original: original,
	}
	if r.Tip != (money.Amount{}) {
		tip := r.Tip
		p.TipAtStart, p.TipAmount = &tip, &tip
	}
	e := entry(p)
	e.Events = append(e.Events, event(p))
	if err := d.journal.Create(ctx, p, e); err != nil {
		return Payment{}, err
	}
	d.signal()
	w.submit(p, p.ID)
	return p, nil
}

// Payment returns one payment, or journal.ErrNotFound.
func (d *Desk) Payment(ctx context.Context, id string) (Payment, error) {
	return d.journal.Get(ctx, id)
}

// Payments lists payments, newest first.
func (d *Desk) Payments(ctx context.Context, f Filter) ([]Payment, string, error) {
	return d.journal.List(ctx, f)
}

// Wait returns the payment once it is Settled, or as it is when ctx ends.
func (d *Desk) Wait(ctx context.Context, id string) (Payment, error) {
	for {
		d.mu.Lock()
		changed := d.changed
		d.mu.Unlock()
		p, err := d.journal.Get(context.WithoutCancel(ctx), id)
		if err != nil || p.Settled() {
			return p, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return p, nil
		}
	}
}

// Cancel asks the terminal to stop the payment. It is a request: the terminal decides, and the end comes as the
// payment's state. ErrState where the payment is not under way.
func (d *Desk) Cancel(ctx context.Context, id string) (Payment, error) {
	p, err := d.journal.Get(ctx, id)
	if err != nil {
		return Payment{}, err
	}
	w := d.worker(p.Terminal)
	m, _ := p.pending()
	if w == nil || m.State != Created && m.State != Processing {
		return p, fmt.Errorf("cancel payment in state %s: %w", p.State, ErrState)
	}
	if !w.terminal.Caps().Cancel {
		return p, fmt.Errorf("cancel on terminal %s: %w", w.name, ErrUnsupported)
	}
	return w.cancel(ctx, p)
}

// Resolve is a person's word on a payment, or an operation of it, that nobody could settle: Approved, or Failed for
// "not charged".
func (d *Desk) Resolve(ctx context.Context, id string, outcome State, note string, entry func(Payment) journal.Entry) (Payment, error) {
	if outcome != Approved && outcome != Failed {
		return Payment{}, fmt.Errorf("resolve as %s: %w", outcome, ErrState)
	}
	p, err := d.journal.Get(ctx, id)
	if err != nil {
		return Payment{}, err
	}
	w := d.worker(p.Terminal)
	if w != nil {
		w.settle.Lock()
		defer w.settle.Unlock()
		if p, err = d.journal.Get(ctx, id); err != nil {
			return Payment{}, err
		}
	}
	r := Resolution{
		At: time.Now().UTC().Truncate(time.Millisecond), By: entry(p).Actor.Name, Outcome: outcome, Note: note,
	}
	m, _ := p.pending()
	if m.State.Blocks() {
		p, m = p.decide(m, r)
	} else if p, m, err = p.redecide(r); err != nil {
		return p, err
	}
	if m.ID != p.ID { // the audit names the payment's state, which is not what was decided here
		note = fmt.Sprintf("%s %s: %s", m.Type, m.State, note)
	}
	e := entry(p)
	e.Events = append(e.Events, event(p))
	if err := d.journal.Resolve(ctx, p, note, e); err != nil {
		return Payment{}, err
	}
	d.noteContradiction(p)
	d.signal()
	if w != nil {
		w.wake()
	}
	return p, nil
}

// decide ends a blocking movement as a person said.
func (p Payment) decide(m Operation, r Resolution) (Payment, Operation) {
	if r.Outcome == Approved {
		m.approve(Outcome{State: Approved})
	} else {
		m.fail("resolved as not charged by a person")
	}
	m.Resolution = &r
	p.put(m)
	return p, m
}

// Terminals lists the configured terminals from memory.
func (d *Desk) Terminals() []TerminalInfo {
	list := make([]TerminalInfo, 0, len(d.workers))
	for _, w := range d.workers {
		list = append(list, w.info())
	}
	return list
}

// TerminalStatus asks the terminal itself, unless a payment or a recovery is running there: then it answers from
// memory. It never moves money.
func (d *Desk) TerminalStatus(ctx context.Context, name string) (TerminalInfo, error) {
	w := d.worker(name)
	if w == nil {
		return TerminalInfo{}, fmt.Errorf("%q: %w", name, ErrNoTerminal)
	}
	if !w.use.TryLock() {
		return w.info(), nil
	}
	defer w.use.Unlock()
	asked := time.Now()
	st, err := w.terminal.Status(ctx)
	took := time.Since(asked).Milliseconds()
	info := w.info()
	if err != nil {
		return info, fmt.Errorf("status of terminal %s: %w", name, err)
	}
	info.Status, info.RoundTripMS = st, &took
	return info, nil
}

func (d *Desk) worker(name string) *worker {
	for _, w := range d.workers {
		if w.name == name {
			return w
		}
	}
	return nil
}

func (d *Desk) pick(name string) (*worker, error) {
	if name == "" && len(d.workers) == 1 {
		return d.workers[0], nil
	}
	if w := d.worker(name); w != nil {
		return w, nil
	}
	if name == "" && len(d.workers) > 1 {
		return nil, fmt.Errorf("%d terminals are configured, name one: %w", len(d.workers), ErrNoTerminal)
	}
	return nil, fmt.Errorf("%q: %w", name, ErrNoTerminal)
}

// update commits the payment with its event and wakes whoever waits for it.
func (d *Desk) update(ctx context.Context, p Payment) error {
	if err := d.journal.Update(ctx, p, event(p)); err != nil {
		return fmt.Errorf("write payment %s: %w", p.ID, err)
	}
	d.noteContradiction(p)
	d.signal()
	return nil
}

func (d *Desk) signal() {
	d.mu.Lock()
	close(d.changed)
	d.changed = make(chan struct{})
	d.mu.Unlock()
}

func event(p Payment) journal.Event { return journal.NewEvent("payment", time.Now(), p) }
