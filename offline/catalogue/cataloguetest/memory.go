// Package cataloguetest holds what tests of the catalogue share: a Store in memory, a cloud that pages like the real
// one, and the suite that every Store must pass.
//
// It is used by tests only and never imports offline/sqlite or offline/cloud.
package cataloguetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline/catalogue"
)

// Memory is a catalogue.Store in memory. Set Fail to let the next write fail.
type Memory struct {
	mu        sync.Mutex
	Fail      error
	positions map[catalogue.Feed]catalogue.Position
	items     map[string]stamped[catalogue.Item]
	shelves   map[[2]string]stamped[catalogue.Shelf]
	customers map[string]stamped[catalogue.Customer]
	records   map[[2]string]stamped[catalogue.Record]
	kept      map[[2]string]catalogue.Kept
	largest   int
}

type stamped[T any] struct {
	row T
	at  time.Time
}

var _ catalogue.Store = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{
		positions: map[catalogue.Feed]catalogue.Position{}, items: map[string]stamped[catalogue.Item]{},
		shelves: map[[2]string]stamped[catalogue.Shelf]{}, customers: map[string]stamped[catalogue.Customer]{},
		records: map[[2]string]stamped[catalogue.Record]{}, kept: map[[2]string]catalogue.Kept{},
	}
}

// Largest is how many rows the largest commit had.
func (m *Memory) Largest() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.largest
}

// Position implements catalogue.Store.
func (m *Memory) Position(_ context.Context, f catalogue.Feed) (catalogue.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.positions[f], nil
}

// Put implements catalogue.Store.
func (m *Memory) Put(_ context.Context, f catalogue.Feed, b catalogue.Batch, p *catalogue.Position) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.Fail != nil {
		err := m.Fail
		m.Fail = nil
		return err
	}
	m.largest = max(m.largest, len(b.Items)+len(b.Stock)+len(b.Customers)+len(b.Records))
	for _, i := range b.Items {
		for _, s := range i.Stock {
			s.SKU, s.AsOf = i.SKU, b.AsOf
			m.shelves[[2]string{i.SKU, s.Warehouse}] = stamped[catalogue.Shelf]{s, b.AsOf}
		}
		i.Stock, i.AsOf = nil, b.AsOf
		m.items[i.SKU] = stamped[catalogue.Item]{i, b.AsOf}
	}
	for _, s := range b.Stock {
		s.AsOf = b.AsOf
		m.shelves[[2]string{s.SKU, s.Warehouse}] = stamped[catalogue.Shelf]{s, b.AsOf}
	}
	for _, c := range b.Customers {
		c.AsOf = b.AsOf
		m.customers[c.ID] = stamped[catalogue.Customer]{c, b.AsOf}
	}
	for _, r := range b.Records {
		m.records[[2]string{string(f), r.Key}] = stamped[catalogue.Record]{r, b.AsOf}
	}
	if p != nil {
		m.positions[f] = *p
	}
	return nil
}

// Sweep implements catalogue.Store.
func (m *Memory) Sweep(_ context.Context, f catalogue.Feed, before time.Time, limit int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch f {
	case catalogue.Items:
		return drop(m.items, limit, func(_ string, at time.Time) bool { return at.Before(before) }), nil
	case catalogue.Stock:
		return drop(m.shelves, limit, func(_ [2]string, at time.Time) bool { return at.Before(before) }), nil
	case catalogue.Customers:
		return drop(m.customers, limit, func(_ string, at time.Time) bool { return at.Before(before) }), nil
	}
	return drop(m.records, limit, func(k [2]string, at time.Time) bool { return k[0] == string(f) && at.Before(before) }), nil
}

func drop[K comparable, T any](rows map[K]stamped[T], limit int, old func(K, time.Time) bool) int {
	n := 0
	for k, r := range rows {
		if n < limit && old(k, r.at) {
			delete(rows, k)
			n++
		}
	}
	return n
}

// DropBefore implements catalogue.Store.
func (m *Memory) DropBefore(_ context.Context, f catalogue.Feed, day string, limit int) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return drop(m.records, limit, func(k [2]string, _ time.Time) bool {
		d := m.records[k].row.Day
		return k[0] == string(f) && d != "" && d < day
	}), nil
}

// Counts implements catalogue.Store.
func (m *Memory) Counts(context.Context) (map[catalogue.Feed]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := map[catalogue.Feed]int{catalogue.Items: len(m.items), catalogue.Stock: len(m.shelves), catalogue.Customers: len(m.customers)}
	for k := range m.records {
		c[catalogue.Feed(k[0])]++
	}
	return c, nil
}

func (m *Memory) find(fits func(catalogue.Item) bool, limit int) []catalogue.Item {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []catalogue.Item
	for _, s := range m.items {
		if i := s.row; fits(i) {
			for k, shelf := range m.shelves {
				if k[0] == i.SKU {
					i.Stock = append(i.Stock, shelf.row)
				}
			}
			slices.SortFunc(i.Stock, func(a, b catalogue.Shelf) int { return strings.Compare(a.Warehouse, b.Warehouse) })
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(a, b catalogue.Item) int { return strings.Compare(a.SKU, b.SKU) })
	return out[:min(len(out), limit)]
}

const all = 1 << 30

// ItemsBySKU implements catalogue.Store.
func (m *Memory) ItemsBySKU(_ context.Context, skus []string) ([]catalogue.Item, error) {
	return m.find(func(i catalogue.Item) bool { return slices.Contains(skus, i.SKU) }, all), nil
}

// ItemsByCode implements catalogue.Store.
func (m *Memory) ItemsByCode(_ context.Context, codes []string) ([]catalogue.Item, error) {
	return m.find(func(i catalogue.Item) bool {
		return slices.ContainsFunc(i.Codes, func(c string) bool { return slices.Contains(codes, c) })
	}, all), nil
}

func hasWords(text string, words []string, prefix bool) bool {
	have := catalogue.AllWords(text)
	for _, w := range words {
		if !slices.ContainsFunc(have, func(h string) bool { return h == w || prefix && strings.HasPrefix(h, w) }) {
			return false
		}
	}
	return len(words) > 0
}

// SearchItems implements catalogue.Store.
func (m *Memory) SearchItems(_ context.Context, words []string, prefix bool, limit int) ([]catalogue.Item, error) {
	return m.find(func(i catalogue.Item) bool {
		return hasWords(i.SKU+" "+i.Name+" "+i.LongName+" "+strings.Join(i.Codes, " "), words, prefix)
	}, limit), nil
}

func (m *Memory) people(fits func(catalogue.Customer) bool, limit int) []catalogue.Customer {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []catalogue.Customer
	for _, s := range m.customers {
		if fits(s.row) {
			out = append(out, s.row)
		}
	}
	slices.SortFunc(out, func(a, b catalogue.Customer) int { return strings.Compare(a.ID, b.ID) })
	return out[:min(len(out), limit)]
}

// SearchCustomers implements catalogue.Store.
func (m *Memory) SearchCustomers(_ context.Context, words []string, prefix bool, limit int) ([]catalogue.Customer, error) {
	return m.people(func(c catalogue.Customer) bool {
		return hasWords(c.FullName+" "+c.MemberID+" "+c.Email+" "+c.Phone, words, prefix)
	}, limit), nil
}

// CustomersByMember implements catalogue.Store.
func (m *Memory) CustomersByMember(_ context.Context, id string) ([]catalogue.Customer, error) {
	return m.people(func(c catalogue.Customer) bool { return c.MemberID == id && id != "" }, all), nil
}

// CustomersByPhone implements catalogue.Store.
func (m *Memory) CustomersByPhone(_ context.Context, digits string) ([]catalogue.Customer, error) {
	tail := catalogue.PhoneTail(digits)
	return m.people(func(c catalogue.Customer) bool {
		return tail != "" && catalogue.PhoneTail(catalogue.PhoneDigits(c.Phone)) == tail
	}, all), nil
}

// Records implements catalogue.Store.
func (m *Memory) Records(_ context.Context, f catalogue.Feed, q catalogue.RecordFilter) ([]catalogue.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []catalogue.Record
	for k, s := range m.records {
		r := s.row
		if k[0] == string(f) && (q.Key == "" || r.Key == q.Key) && (q.Owner == "" || r.Owner == q.Owner) &&
			(q.From == "" || r.Day >= q.From) && (q.To == "" || r.Day < q.To) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b catalogue.Record) int {
		if c := strings.Compare(b.Day, a.Day); c != 0 {
			return c
		}
		return strings.Compare(a.Key, b.Key)
	})
	return out[:min(len(out), q.Limit)], nil
}

// Stock implements catalogue.Store.
func (m *Memory) Stock(_ context.Context, sku, warehouse string, limit int) ([]catalogue.Shelf, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []catalogue.Shelf
	for _, s := range m.shelves {
		if (sku == "" || s.row.SKU == sku) && (warehouse == "" || s.row.Warehouse == warehouse) {
			out = append(out, s.row)
		}
	}
	slices.SortFunc(out, func(a, b catalogue.Shelf) int {
		return strings.Compare(a.SKU+"\x00"+a.Warehouse, b.SKU+"\x00"+b.Warehouse)
	})
	return out[:min(len(out), limit)], nil
}

// Kept implements catalogue.Store.
func (m *Memory) Kept(_ context.Context, kind, query string) (catalogue.Kept, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.kept[[2]string{kind, query}]
	if !ok {
		return k, journal.ErrNotFound
	}
	return k, nil
}

// Keep implements catalogue.Store.
func (m *Memory) Keep(_ context.Context, k catalogue.Kept) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[[2]string{k.Kind, k.Query}] = k
	return nil
}
