package payments_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"

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

func (m *memory) Create(_ context.Context, p payments.Payment, e journal.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, other := range m.rows {
		switch {
		case other.Terminal != p.Terminal:
		case other.State.Blocks():
			return payments.ErrTerminalInDoubt
		case !other.State.Final():
			return payments.ErrTerminalBusy
		}
	}
	if err := m.write(); err != nil {
		return err
	}
	m.rows[p.ID] = p
	m.order = append(m.order, p.ID)
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

func (m *memory) List(_ context.Context, _ payments.Filter) ([]payments.Payment, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []payments.Payment
	for i := len(m.order) - 1; i >= 0; i-- {
		list = append(list, m.rows[m.order[i]])
	}
	return list, "", nil
}

func (m *memory) Open(_ context.Context) ([]payments.Payment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []payments.Payment
	for _, id := range m.order {
		if p := m.rows[id]; !p.State.Final() || p.State == payments.Unresolved {
			list = append(list, p)
		}
	}
	return list, nil
}

func (m *memory) LastKnown(_ context.Context, terminal string) (payments.Payment, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.order) - 1; i >= 0; i-- {
		if p := m.rows[m.order[i]]; p.Terminal == terminal && p.Told != nil {
			return p, nil
		}
	}
	return payments.Payment{}, journal.ErrNotFound
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
