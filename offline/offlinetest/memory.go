// Package offlinetest holds the conformance suite that every offline.Store passes, and a Store in memory for tests
// that need no disk.
//
// It is called by tests alone. It imports offline, sale, money and journal, never a driver or a database.
package offlinetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/sale"
	"storeagent/payments/money"
)

// Memory is an offline.Store in memory, with the settings, events and answers that a disk would keep beside it. What
// it holds lives as long as the value, so a test restarts a forwarder by making a new one on the same Memory. Safe
// for concurrent use.
type Memory struct {
	mu       sync.Mutex
	sales    []*memSale
	ops      []*offline.Operation // in Seq order
	keys     map[memKey]journal.Answer
	events   []journal.Event
	settings map[string]string
	payments map[string]bool // approved and not yet claimed
	audit    []Audit
	cards    []*memCard
	balances map[string]offline.KnownBalance // by stream
}

type memKey struct{ pairing, text string }

type memSale struct {
	rec offline.Record
	ops []*offline.Operation
}

// Audit is one decision as Memory wrote it down.
type Audit struct {
	Decision offline.Decision
	Actor    journal.Actor
}

var _ offline.Store = (*Memory)(nil)

// NewMemory makes an empty store.
func NewMemory() *Memory {
	return &Memory{keys: map[memKey]journal.Answer{}, settings: map[string]string{}, payments: map[string]bool{}, balances: map[string]offline.KnownBalance{}}
}

// Approve makes a payment that one tender may claim.
func (m *Memory) Approve(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.payments[id] = true
}

// Audits returns the decisions so far.
func (m *Memory) Audits() []Audit {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.audit)
}

// Get reads a setting, or fails with journal.ErrNotFound.
func (m *Memory) Get(_ context.Context, name string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.settings[name]
	if !ok {
		return "", fmt.Errorf("setting %s: %w", name, journal.ErrNotFound)
	}
	return v, nil
}

// Set writes a setting.
func (m *Memory) Set(_ context.Context, name, value string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.settings[name] = value
	return nil
}

// Append commits events that belong to no other state change.
func (m *Memory) Append(_ context.Context, events ...journal.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.append(events)
	return nil
}

// After returns up to limit events newer than after, oldest first. No types means all.
func (m *Memory) After(_ context.Context, after int64, types []string, limit int) ([]journal.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []journal.Event
	for _, e := range m.events {
		if e.ID > after && len(out) < limit && (len(types) == 0 || slices.Contains(types, e.Type)) {
			out = append(out, e)
		}
	}
	return out, nil
}

// Answer returns what the request with that key was told, or journal.ErrNotFound.
func (m *Memory) Answer(_ context.Context, pairingID, key string) (journal.Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.keys[memKey{pairingID, key}]
	if !ok {
		return journal.Answer{}, fmt.Errorf("key: %w", journal.ErrNotFound)
	}
	return a, nil
}

// AcceptSale implements offline.Store.
func (m *Memory) AcceptSale(_ context.Context, a offline.Acceptance, e journal.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.keyFree(e); err != nil {
		return err
	}
	for _, s := range m.sales {
		if duplicates(s.rec, a.Record) {
			return &offline.DuplicateError{FirstID: s.rec.ID}
		}
	}
	if err := m.claimCards(a.Record); err != nil {
		return err
	}
	for _, c := range a.Captures {
		if err := m.mayCapture(c); err != nil {
			return err
		}
	}
	if err := m.claim(a.Record.Tenders); err != nil {
		return err
	}
	rec := a.Record
	rec.Body = bytes.Clone(rec.Body)
	rec.Warnings, rec.Tenders = slices.Clone(rec.Warnings), slices.Clone(rec.Tenders)
	s := &memSale{rec: rec}
	for _, op := range a.Operations {
		s.ops = append(s.ops, m.addOp(op))
	}
	m.take(s)
	for _, c := range a.Captures {
		m.link(c)
	}
	m.sales = append(m.sales, s)
	m.commit(e)
	return nil
}

// duplicates tells whether next repeats first: a sale by its transaction id, a refund by its whole content.
func duplicates(first, next offline.Record) bool {
	if first.Kind != next.Kind || first.StoreCode != next.StoreCode || first.TransactionID != next.TransactionID {
		return false
	}
	return next.Kind == sale.Sold || first.ContentHash == next.ContentHash
}

// claim takes the payments of all tenders, or none of them.
func (m *Memory) claim(tenders []offline.Tender) error {
	claimed := map[string]bool{}
	for i, t := range tenders {
		id := t.PaymentID
		if id == "" {
			continue
		}
		free, known := m.payments[id]
		switch {
		case !known:
			return &offline.TenderError{Index: i, PaymentID: id, Why: "unknown"}
		case !free || claimed[id]:
			return &offline.TenderError{Index: i, PaymentID: id, Why: "already_used"}
		}
		claimed[id] = true
	}
	for id := range claimed {
		m.payments[id] = false
	}
	return nil
}

// Sale implements offline.Store.
func (m *Memory) Sale(_ context.Context, id string) (offline.SaleView, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sales {
		if s.rec.ID == id {
			return s.view(), nil
		}
	}
	return offline.SaleView{}, fmt.Errorf("sale %s: %w", id, journal.ErrNotFound)
}

// Sales implements offline.Store, newest first.
func (m *Memory) Sales(_ context.Context, f offline.SaleFilter) ([]offline.SaleView, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []offline.SaleView
	var at []int
	for i, s := range slices.Backward(m.sales) {
		v := s.view()
		if (f.State == "" || v.State == f.State) && (f.TransactionID == "" || v.TransactionID == f.TransactionID) &&
			!v.AcceptedAt.Before(f.Since) {
			all, at = append(all, v), append(at, -i)
		}
	}
	return page(all, at, f.Limit, f.Cursor)
}

// SaleStream implements offline.Store.
func (m *Memory) SaleStream(_ context.Context, storeCode, transactionID string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sales {
		if s.rec.Kind != sale.Sold || s.rec.StoreCode != storeCode || s.rec.TransactionID != transactionID {
			continue
		}
		for _, op := range s.ops {
			if op.Type == offline.Purchase {
				return op.Stream, nil
			}
		}
	}
	return "", nil
}

// Operation implements offline.Store.
func (m *Memory) Operation(_ context.Context, id string) (offline.Operation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	op, err := m.find(id)
	if err != nil {
		return offline.Operation{}, err
	}
	return cloneOp(*op), nil
}

// Operations implements offline.Store, in Seq order.
func (m *Memory) Operations(_ context.Context, f offline.ItemFilter) ([]offline.Operation, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []offline.Operation
	var at []int
	for _, op := range m.ops {
		if (f.State == "" || op.State == f.State) && (f.Type == "" || op.Type == f.Type) &&
			(f.SaleID == "" || op.SaleID == f.SaleID) {
			all, at = append(all, cloneOp(*op)), append(at, int(op.Seq))
		}
	}
	return page(all, at, f.Limit, f.Cursor)
}

// page cuts a listing behind the cursor, which is the position of the last entry shown; positions rise.
func page[T any](all []T, at []int, limit int, cursor string) ([]T, string, error) {
	from := 0
	if cursor != "" {
		last, err := strconv.Atoi(cursor)
		if err != nil {
			return nil, "", fmt.Errorf("read cursor: %w", err)
		}
		for from < len(at) && at[from] <= last {
			from++
		}
	}
	if limit <= 0 {
		limit = 100
	}
	if from+limit >= len(all) {
		return all[from:], "", nil
	}
	return all[from : from+limit], strconv.Itoa(at[from+limit-1]), nil
}

// Counts implements offline.Store.
func (m *Memory) Counts(context.Context) (offline.Counts, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := offline.Counts{ByState: map[offline.State]int{}, OpenAmounts: map[string]string{}}
	for _, op := range m.ops {
		c.ByState[op.State]++
		if op.State == offline.Queued {
			c.OldestQueuedAt = earlier(c.OldestQueuedAt, op.CreatedAt)
		}
		if op.State == offline.Delivered || op.State == offline.Discarded {
			continue
		}
		c.OldestOpenAt = earlier(c.OldestOpenAt, op.CreatedAt)
		sum, err := money.Parse(strings.TrimPrefix(op.Amount, "-"), op.Currency)
		if err != nil {
			return c, fmt.Errorf("amount of operation %s: %w", op.ID, err)
		}
		if before, ok := c.OpenAmounts[op.Currency]; ok {
			b, err := money.Parse(before, op.Currency)
			if err != nil {
				return c, fmt.Errorf("sum of open amounts: %w", err)
			}
			if sum, err = sum.Add(b); err != nil {
				return c, err
			}
		}
		c.OpenAmounts[op.Currency] = sum.String()
	}
	return c, nil
}

func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

func (m *Memory) find(id string) (*offline.Operation, error) {
	for _, op := range m.ops {
		if op.ID == id {
			return op, nil
		}
	}
	return nil, fmt.Errorf("operation %s: %w", id, journal.ErrNotFound)
}

func (m *Memory) keyFree(e journal.Entry) error {
	if e.Key == nil {
		return nil
	}
	if _, used := m.keys[memKey{e.Key.PairingID, e.Key.Text}]; used {
		return journal.ErrKeyUsed
	}
	return nil
}

func (m *Memory) commit(e journal.Entry) {
	if e.Key != nil {
		a := e.Answer
		a.Fingerprint = e.Key.Fingerprint
		m.keys[memKey{e.Key.PairingID, e.Key.Text}] = a
	}
	m.append(e.Events)
}

func (m *Memory) append(events []journal.Event) {
	for _, e := range events {
		e.ID = int64(len(m.events) + 1)
		m.events = append(m.events, e)
	}
}

func cloneOp(op offline.Operation) offline.Operation {
	op.DependsOn = slices.Clone(op.DependsOn)
	op.Payload = bytes.Clone(op.Payload)
	if op.Error != nil {
		f := *op.Error
		op.Error = &f
	}
	return op
}

// SetClockBack shifts every time that operations were tried or wait for into the future, which is how old rows look
// once this computer's clock was set back by d.
func (m *Memory) SetClockBack(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, op := range m.ops {
		for _, at := range []*time.Time{&op.LastAttemptAt, &op.NotBefore} {
			if !at.IsZero() {
				*at = at.Add(d)
			}
		}
	}
}
