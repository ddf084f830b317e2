package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"storeagent/internal/journal"
)

// What the event log keeps at least, whichever is more, and how many older ones one pruning takes.
const (
	eventsKept    = 10_000
	eventsKeptFor = 24 * time.Hour
	pruneStep     = 500
)

// eventLog is the newest id, and the channel that is closed when there is a newer one.
type eventLog struct {
	mu      sync.Mutex
	id      int64
	changed chan struct{}
}

func loadEventLog(ctx context.Context, db *sql.DB) (*eventLog, error) {
	l := &eventLog{changed: make(chan struct{})}
	if err := db.QueryRowContext(ctx, qSequence, "events").Scan(&l.id); err != nil {
		return nil, fmt.Errorf("read the newest event: %w", err)
	}
	return l, nil
}

func (l *eventLog) last() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id
}

func (l *eventLog) advance(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id <= l.id {
		return
	}
	l.id = id
	close(l.changed)
	l.changed = make(chan struct{})
}

// Append commits events that belong to no other state change.
func (v Events) Append(ctx context.Context, events ...journal.Event) error {
	if len(events) == 0 {
		return nil
	}
	return v.s.change(ctx, func(t *tx) error { return t.events(events) })
}

// After returns up to limit events with an id above after, oldest first. No types means all.
func (v Events) After(ctx context.Context, after int64, types []string, limit int) ([]journal.Event, error) {
	wanted := ""
	if len(types) > 0 {
		b, err := json.Marshal(types)
		if err != nil {
			return nil, fmt.Errorf("read events: %w", err)
		}
		wanted = string(b)
	}
	rows, err := v.s.read.QueryContext(ctx, qEventsAfter, after, wanted, limit)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return collect(rows, func(row scanner) (journal.Event, error) {
		var e journal.Event
		var at int64
		var data []byte
		err := row.Scan(&e.ID, &e.Type, &at, &e.Scanner, &e.Owner, &data)
		e.At, e.Data = fromMillis(at), data
		return e, err
	})
}

// Last is the id of the newest committed event, from memory.
func (v Events) Last() int64 { return v.s.w.log.last() }

// Changed returns a channel that is closed when an event newer than Last is committed.
func (v Events) Changed() <-chan struct{} {
	v.s.w.log.mu.Lock()
	defer v.s.w.log.mu.Unlock()
	return v.s.w.log.changed
}

// prune drops a few events that nobody may ask for any more. It runs on the writer between batches, each time as
// many events have come in as one pruning takes.
func (w *writer) prune() {
	last := w.log.last()
	if last-w.pruned < pruneStep || last <= eventsKept {
		return
	}
	w.pruned = last
	r := &request{ctx: w.ctx, done: make(chan error, 1), do: func(t *tx) error {
		_, err := t.exec(qEventsPrune, last-eventsKept, time.Now().Add(-eventsKeptFor).UnixMilli(), 2*pruneStep)
		return err
	}}
	if err := w.commit([]*request{r}); err != nil || r.err != nil {
		w.s.log.Warn("cannot prune events", "err", err, "why", r.err)
	}
}
