package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/govalues/decimal"

	"storeagent/offline"
	"storeagent/payments/money"
)

// tally is the queue in numbers, brought up to date by the writer after each commit.
type tally struct {
	mu    sync.Mutex
	count map[offline.State]int
	sums  map[string]sum // by currency, of what is undelivered
	ages  ages
}

type sum struct {
	n     int
	total decimal.Decimal
}

// ages are the times of acceptance of the first operation in each open state, 0 for none.
type ages struct{ queued, sending, inDoubt, parked int64 }

func (a *ages) scan(row scanner) error { return row.Scan(&a.queued, &a.sending, &a.inDoubt, &a.parked) }

// oldest is the earliest of all, zero where nothing is open.
func (a ages) oldest() time.Time {
	var first int64
	for _, at := range []int64{a.queued, a.sending, a.inDoubt, a.parked} {
		if at != 0 && (first == 0 || at < first) {
			first = at
		}
	}
	return fromMillis(first)
}

// readOldest looks up the ages inside the transaction, when a state has changed.
func (t *tx) readOldest() error {
	t.oldest = &ages{}
	return t.oldest.scan(t.row(qOldest))
}

// loadTally counts once, at the start.
func loadTally(ctx context.Context, db *sql.DB) (*tally, error) {
	t := &tally{count: map[offline.State]int{}, sums: map[string]sum{}}
	var all int
	if err := db.QueryRowContext(ctx, qCountAll).Scan(&all); err != nil {
		return nil, fmt.Errorf("count operations: %w", err)
	}
	rows, err := db.QueryContext(ctx, qCountOpen)
	if err != nil {
		return nil, fmt.Errorf("count operations: %w", err)
	}
	moves, err := collect(rows, func(row scanner) (move, error) {
		var m move
		var reason offline.Reason
		err := row.Scan(&m.to, &reason, &m.currency, &m.amount)
		m.to = counted(m.to, reason)
		return m, err
	})
	if err != nil {
		return nil, fmt.Errorf("count operations: %w", err)
	}
	for _, m := range moves {
		t.move(m)
	}
	if n := all - len(moves); n > 0 {
		t.count[offline.Delivered] = n
	}
	if err := t.ages.scan(db.QueryRowContext(ctx, qOldest)); err != nil {
		return nil, fmt.Errorf("read the oldest operation: %w", err)
	}
	return t, nil
}

func (t *tally) apply(batch []*request, oldest *ages) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range batch {
		for _, m := range r.fx.moves {
			t.move(m)
		}
	}
	if oldest != nil {
		t.ages = *oldest
	}
}

func (t *tally) move(m move) {
	if m.from != "" {
		if t.count[m.from]--; t.count[m.from] == 0 {
			delete(t.count, m.from)
		}
	}
	t.count[m.to]++
	switch was, is := isOpen(m.from), isOpen(m.to); {
	case !was && is:
		t.add(m, 1)
	case was && !is:
		t.add(m, -1)
	}
}

// movedOut is how the tally calls what another machine took over: parked, but nothing that is owed from here.
const movedOut offline.State = "moved"

// counted is the state that the tally knows an operation by.
func counted(state offline.State, reason offline.Reason) offline.State {
	if state == offline.Parked && reason == offline.Moved {
		return movedOut
	}
	return state
}

func isOpen(s offline.State) bool {
	switch s {
	case offline.Queued, offline.Sending, offline.InDoubt, offline.Parked:
		return true
	}
	return false
}

// add takes an amount in (by 1) or out (by -1), without its sign: a refund that waits does not make up for a sale that
// waits. A text that is no amount counts as nothing: acceptance refused such texts long before.
func (t *tally) add(m move, by int) {
	amount, err := money.ParseDecimal(m.amount, 6)
	if err != nil {
		amount = decimal.Zero
	}
	amount = amount.Abs()
	if by < 0 {
		amount = amount.Neg()
	}
	s := t.sums[m.currency]
	total, err := s.total.Add(amount)
	if err != nil {
		total = s.total // beyond 19 digits; no store owes that much
	}
	s.n, s.total = s.n+by, total
	if s.n == 0 {
		delete(t.sums, m.currency)
		return
	}
	t.sums[m.currency] = s
}

// Counts implements offline.Store, from memory.
func (v Outbox) Counts(context.Context) (offline.Counts, error) { return v.s.w.tally.counts(), nil }

// counts is the tally in the words of offline.Counts.
func (t *tally) counts() offline.Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := offline.Counts{
		ByState:        maps.Clone(t.count),
		OldestQueuedAt: fromMillis(t.ages.queued),
		OldestOpenAt:   t.ages.oldest(),
		OpenAmounts:    map[string]string{},
	}
	if c.Moved = c.ByState[movedOut]; c.Moved > 0 {
		c.ByState[offline.Parked] += c.Moved
		delete(c.ByState, movedOut)
	}
	for currency, s := range t.sums {
		total := s.total
		if digits, err := money.Digits(currency); err == nil {
			total = total.Trim(digits).Pad(digits)
		}
		c.OpenAmounts[currency] = total.String()
	}
	return c
}
