package payments

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"storeagent/internal/journal"
	"storeagent/payments/money"
)

// Closing is one end of day, or a look at the counters: what the terminal counted held against our own journal.
type Closing struct {
	ID          string       `json:"id,omitempty" doc:"Absent where nothing was closed"`
	Terminal    string       `json:"terminal"`
	At          time.Time    `json:"at"`
	Since       *time.Time   `json:"since,omitempty" doc:"The end of day before; absent for the first one"`
	Currency    string       `json:"currency"`
	Counted     *Totals      `json:"counted,omitempty" doc:"What the terminal says; absent where it told no figures"`
	Journal     Sum          `json:"journal" doc:"What this agent wrote down in the same time"`
	Differences []Difference `json:"differences" nullable:"false"`
}

// Sum is a number of transactions and their net amount.
type Sum struct {
	Count  int          `json:"count"`
	Amount money.Amount `json:"amount"`
}

// Difference is one figure on which terminal and journal disagree.
type Difference struct {
	What     string `json:"what" enum:"totals,count,amount"`
	Terminal string `json:"terminal" doc:"Empty where the terminal told nothing"`
	Journal  string `json:"journal"`
}

// lookBack bounds how long before the last end of day a payment may have begun that moved money after it, and how
// far the first end of day looks.
const lookBack = 31 * 24 * time.Hour

// EndOfDay closes the terminal's day and writes down how it compares with the journal. ErrTerminalBusy while a
// payment runs, ErrTerminalInDoubt while one is unknown (it could never be asked for again), ErrUnsupported where
// the driver is no Reconciler. It may take minutes and goes on when ctx ends.
func (d *Desk) EndOfDay(ctx context.Context, terminal, currency string, entry func(Closing) journal.Entry) (Closing, error) {
	ctx = context.WithoutCancel(ctx) // half an end of day helps nobody
	r, release, err := d.reconciler(ctx, terminal)
	if err != nil {
		return Closing{}, err
	}
	defer release()
	totals, err := r.EndOfDay(ctx)
	counted := &totals
	if errors.Is(err, ErrNoTotals) { // the day is closed all the same
		counted, err = nil, nil
	}
	if err != nil {
		return Closing{}, fmt.Errorf("end of day on terminal %s: %w", terminal, err)
	}
	c, err := d.compare(ctx, terminal, currency, counted)
	if err != nil {
		return Closing{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Closing{}, fmt.Errorf("make closing id: %w", err)
	}
	c.ID = id.String()
	if err := d.journal.AddClosing(ctx, c, entry(c)); err != nil {
		return c, err
	}
	for _, x := range c.Differences {
		d.log.Warn("terminal and journal differ", "terminal", terminal, "what", x.What, "counted", x.Terminal, "journal", x.Journal)
	}
	return c, nil
}

// Totals compares the terminal's counters with the journal and closes nothing. Errors are those of EndOfDay.
func (d *Desk) Totals(ctx context.Context, terminal, currency string) (Closing, error) {
	ctx = context.WithoutCancel(ctx)
	r, release, err := d.reconciler(ctx, terminal)
	if err != nil {
		return Closing{}, err
	}
	defer release()
	totals, err := r.Totals(ctx)
	if err != nil {
		return Closing{}, fmt.Errorf("totals of terminal %s: %w", terminal, err)
	}
	return d.compare(ctx, terminal, currency, &totals)
}

// Display shows lines to the customer. ErrTerminalBusy while a payment runs: its prompts must not be painted over.
func (d *Desk) Display(ctx context.Context, terminal string, lines []string, dur time.Duration) error {
	w := d.worker(terminal)
	if w == nil {
		return fmt.Errorf("%q: %w", terminal, ErrNoTerminal)
	}
	shows, ok := w.terminal.(Displayer)
	if !ok || !w.terminal.Caps().DisplayText {
		return fmt.Errorf("display on terminal %s: %w", terminal, ErrUnsupported)
	}
	if !w.use.TryLock() {
		return ErrTerminalBusy
	}
	defer w.use.Unlock()
	if err := shows.Display(context.WithoutCancel(ctx), lines, dur); err != nil {
		return fmt.Errorf("display on terminal %s: %w", terminal, err)
	}
	return nil
}

// reconciler gives the terminal for its figures; no money moves there until release.
func (d *Desk) reconciler(ctx context.Context, terminal string) (r Reconciler, release func(), err error) {
	w := d.worker(terminal)
	if w == nil {
		return nil, nil, fmt.Errorf("%q: %w", terminal, ErrNoTerminal)
	}
	r, ok := w.terminal.(Reconciler)
	if !ok || !w.terminal.Caps().EndOfDay {
		return nil, nil, fmt.Errorf("end of day on terminal %s: %w", terminal, ErrUnsupported)
	}
	release, err = w.closeDoor(ctx)
	return r, release, err
}

// closeDoor takes the terminal while no money moves or is unknown there, and keeps new money off until release.
func (w *worker) closeDoor(ctx context.Context) (release func(), err error) {
	select {
	case <-w.desk.ready:
	default:
		return nil, ErrTerminalBusy
	}
	w.mu.Lock()
	if w.closing || w.attempt != nil {
		w.mu.Unlock()
		return nil, ErrTerminalBusy
	}
	w.closing = true
	w.mu.Unlock()
	reopen := func() {
		w.mu.Lock()
		w.closing = false
		w.mu.Unlock()
	}
	// What was written before the door closed counts, however far its worker is with it.
	open, err := w.desk.journal.Open(ctx)
	if err == nil {
		for _, p := range open {
			if p.Terminal != w.name {
				continue
			}
			if err = ErrTerminalBusy; p.Blocks() {
				err = ErrTerminalInDoubt
			}
		}
	}
	if err != nil {
		reopen()
		return nil, err
	}
	w.use.Lock()
	return func() { w.use.Unlock(); reopen() }, nil
}

func (w *worker) isClosing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closing
}

// compare holds totals against what the journal has since the last end of day.
func (d *Desk) compare(ctx context.Context, terminal, currency string, counted *Totals) (Closing, error) {
	c := Closing{Terminal: terminal, At: time.Now().UTC().Truncate(time.Millisecond), Currency: currency, Counted: counted, Differences: []Difference{}}
	since := c.At.Add(-lookBack)
	last, err := d.journal.LastClosing(ctx, terminal)
	switch {
	case err == nil:
		c.Since, since = &last.At, last.At
	case !errors.Is(err, journal.ErrNotFound):
		return c, err
	}
	taken, err := d.journal.Taken(ctx, terminal, since.Add(-lookBack))
	if err != nil {
		return c, err
	}
	if c.Journal, err = sum(taken, currency, since); err != nil {
		return c, err
	}
	if counted == nil {
		c.Differences = append(c.Differences, Difference{What: "totals", Journal: c.Journal.Amount.String()})
		return c, nil
	}
	if counted.Count != c.Journal.Count {
		c.Differences = append(c.Differences, Difference{"count", strconv.Itoa(counted.Count), strconv.Itoa(c.Journal.Count)})
	}
	if counted.Amount.Cmp(c.Journal.Amount) != 0 {
		c.Differences = append(c.Differences, Difference{"amount", counted.Amount.String(), c.Journal.Amount.String()})
	}
	return c, nil
}

// sum adds up what moved after since: sales, captures and tips, less refunds. What was taken back inside that time
// counts as nothing; of what was taken back later, the void counts.
func sum(taken []Payment, currency string, since time.Time) (Sum, error) {
	var minor int64
	s := Sum{}
	for _, p := range taken {
		if p.Currency != currency {
			continue
		}
		var own int64
		moves := 0
		for _, m := range append([]Operation{p.own()}, p.Operations...) {
			n, counts := m.moves(p)
			if !counts || m.FinishedAt == nil || !m.FinishedAt.After(since) {
				continue
			}
			own += n
			if m.Type != OpTip {
				moves++
			}
			if m.Type == OpVoid && own == 0 {
				moves = 0
			}
		}
		minor += own
		s.Count += moves
	}
	var err error
	s.Amount, err = money.FromMinor(minor, currency)
	return s, err
}

// moves is what a movement added to the terminal's day, in minor units.
func (o Operation) moves(p Payment) (minor int64, counts bool) {
	if o.State != Approved && (o.ID != p.ID || o.State != Voided) || o.ApprovedAmount == nil {
		return 0, false
	}
	n, ok := o.total().Minor()
	switch {
	case !ok, o.ID == p.ID && p.Type == Preauth:
		return 0, false
	case o.ID == p.ID && p.Type == Refund:
		return -n, true
	case o.Type != OpVoid:
		return n, true
	case p.Type == Preauth && !slices.ContainsFunc(p.Operations, func(x Operation) bool { return x.Type == OpCapture && x.State == Approved }):
		return 0, false
	case p.Type == Refund:
		return n, true
	}
	return -n, true
}
