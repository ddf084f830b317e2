package payments_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments"
)

// memory is a Journal in memory. It can refuse the Nth write, and it survives its Desk: a new Desk over it is a
// restart. Payments go through JSON-free copies, so nothing is shared with the caller.
type memory struct {
	mu     sync.Mutex
	rows   map[string]payments.Payment
	order  []string
	events []journal.Event
	writes int
	failAt int // refuse this write (1-based), 0 for none
	audit  []string

	closings []payments.Closing
}

var errDisk = errors.New("disk refuses")

func newMemory() *memory { return &memory{rows: map[string]payments.Payment{}} }

func (m *memory) write() error {
	m.writes++
	if m.writes == m.failAt {
		return errDisk
	}
	return nil
}

func (m *memory) free(terminal string) error {
	for _, other := range m.rows {
		switch {
		case other.Terminal != terminal:
		case other.Blocks():
			return payments.ErrTerminalInDoubt
		case !other.Settled():
			return payments.ErrTerminalBusy
		}
	}
	return nil
}

func (m *memory) Create(_ context.Context, p payments.Payment, e journal.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.free(p.Terminal); err != nil {
		return err
	}
	if err := m.write(); err != nil {
		return err
	}
	m.rows[p.ID] = p
	m.order = append(m.order, p.ID)
	m.events = append(m.events, e.Events...)
	return nil
}

func (m *memory) AddOperation(_ context.Context, p payments.Payment, e journal.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.free(p.Terminal); err != nil {
		return err
	}
	if m.rows[p.ID].State != payments.Approved {
		return payments.ErrState
	}
	if err := m.write(); err != nil {
		return err
	}
	m.rows[p.ID] = p
	m.events = append(m.events, e.Events...)
	return nil
}

func (m *memory) Taken(_ context.Context, terminal string, since time.Time) ([]payments.Payment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []payments.Payment
	for _, id := range m.order {
		if p := m.rows[id]; p.Terminal == terminal && !p.CreatedAt.Before(since) {
			list = append(list, p)
		}
	}
	return list, nil
}

func (m *memory) LastClosing(_ context.Context, terminal string) (payments.Closing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.closings) - 1; i >= 0; i-- {
		if m.closings[i].Terminal == terminal {
			return m.closings[i], nil
		}
	}
	return payments.Closing{}, journal.ErrNotFound
}

func (m *memory) AddClosing(_ context.Context, c payments.Closing, e journal.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.write(); err != nil {
		return err
	}
	m.closings = append(m.closings, c)
	m.events = append(m.events, e.Events...)
	return nil
}

func (m *memory) Update(ctx context.Context, p payments.Payment, events ...journal.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.write(); err != nil {
		return err
	}
	m.rows[p.ID] = p
	m.events = append(m.events, events...)
	return nil
}

func (m *memory) Resolve(ctx context.Context, p payments.Payment, note string, e journal.Entry) error {
	if err := m.Update(ctx, p, e.Events...); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.audit = append(m.audit, e.Actor.Name+": "+note)
	return nil
}

func (m *memory) Get(_ context.Context, id string) (payments.Payment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, ok := m.rows[id]
	if !ok {
		return p, journal.ErrNotFound
	}
	return p, nil
}

func (m *memory) List(_ context.Context, f payments.Filter) ([]payments.Payment, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []payments.Payment
	for i := len(m.order) - 1; i >= 0; i-- {
		p := m.rows[m.order[i]]
		if f.Attached != nil && !*f.Attached && (p.State != payments.Approved || p.SaleID != "") {
			continue
		}
		if f.Contradicted && !p.Contradicted() || p.CreatedAt.Before(f.Since) {
			continue
		}
		list = append(list, p)
	}
	return list, "", nil
}

func (m *memory) Open(_ context.Context) ([]payments.Payment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []payments.Payment
	for _, id := range m.order {
		if p := m.rows[id]; !p.Settled() || p.Blocks() {
			list = append(list, p)
		}
	}
	return list, nil
}

func (m *memory) LastKnown(_ context.Context, terminal string) (payments.Baseline, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var newest time.Time
	var found *payments.Outcome
	see := func(at time.Time, told *payments.Outcome) {
		if told != nil && !at.Before(newest) {
			newest, found = at, told
		}
	}
	for _, id := range m.order {
		if p := m.rows[id]; p.Terminal == terminal {
			see(p.CreatedAt, p.Told)
			for _, o := range p.Operations {
				see(o.CreatedAt, o.Told)
			}
		}
	}
	if found == nil {
		return payments.Baseline{}, journal.ErrNotFound
	}
	return found.Baseline, nil
}

// states gives the states a payment's events went through.
func (m *memory) states(id string) []payments.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []payments.State
	for _, e := range m.events {
		var p payments.Payment
		if err := json.Unmarshal(e.Data, &p); err != nil {
			panic(err)
		}
		if p.ID == id && (len(list) == 0 || list[len(list)-1] != p.State) {
			list = append(list, p.State)
		}
	}
	return list
}

// claim attaches a payment to a sale, as accepting the sale does.
func (m *memory) claim(id, sale string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.rows[id]
	p.SaleID = sale
	m.rows[id] = p
}

// alarms counts the events that first bear the payment's alarm.
func (m *memory) alarms(id string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, before := 0, ""
	for _, e := range m.events {
		var p payments.Payment
		if err := json.Unmarshal(e.Data, &p); err != nil {
			panic(err)
		}
		if p.ID != id || p.AlarmedAt == nil {
			continue
		}
		if at := p.AlarmedAt.String(); at != before {
			n, before = n+1, at
		}
	}
	return n
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
