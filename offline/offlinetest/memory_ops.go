package offlinetest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/sale"
)

// Heads implements offline.Store.
func (m *Memory) Heads(_ context.Context, now time.Time, limit int, skip []offline.OpType) ([]offline.Operation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []offline.Operation
	for _, op := range m.heads() {
		if len(out) < limit && !op.NotBefore.After(now) && !slices.Contains(skip, op.Type) {
			out = append(out, cloneOp(*op))
		}
	}
	return out, nil
}

// NextDue implements offline.Store.
func (m *Memory) NextDue(_ context.Context, now time.Time) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var due time.Time
	for _, op := range m.heads() {
		if op.NotBefore.After(now) {
			due = earlier(due, op.NotBefore)
		}
	}
	return due, nil
}

// heads returns the queued first operations of their streams whose dependencies are through, whatever their time.
func (m *Memory) heads() []*offline.Operation {
	var out []*offline.Operation
	taken := map[string]bool{}
	for _, op := range m.ops {
		if op.State == offline.Delivered || op.State == offline.Discarded || taken[op.Stream] {
			continue
		}
		taken[op.Stream] = true
		if op.State == offline.Queued && !m.waits(op) {
			out = append(out, op)
		}
	}
	return out
}

func (m *Memory) waits(op *offline.Operation) bool {
	for _, other := range m.ops {
		if slices.Contains(op.DependsOn, other.ID) &&
			(other.State == offline.Queued || other.State == offline.Sending) {
			return true
		}
	}
	return false
}

// Begin implements offline.Store.
func (m *Memory) Begin(_ context.Context, opID string, n int, at time.Time, events ...journal.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	op, err := m.find(opID)
	if err != nil {
		return err
	}
	if op.State != offline.Queued || op.Attempts != n-1 {
		return fmt.Errorf("begin attempt %d of %s, which is %s after %d: %w", n, opID, op.State, op.Attempts, offline.ErrStale)
	}
	for _, other := range m.ops {
		if other.Stream == op.Stream && (other.State == offline.Sending || other.State == offline.InDoubt) {
			return fmt.Errorf("begin %s while %s is %s: %w", opID, other.ID, other.State, offline.ErrStale)
		}
	}
	op.State, op.Attempts, op.LastAttemptAt, op.NotBefore = offline.Sending, n, at, time.Time{}
	m.append(events)
	return nil
}

// Finish implements offline.Store.
func (m *Memory) Finish(_ context.Context, opID string, n int, r offline.Result, events ...journal.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	op, err := m.find(opID)
	if err != nil {
		return err
	}
	if op.State != offline.Sending || op.Attempts != n {
		return fmt.Errorf("finish attempt %d of %s, which is %s after %d: %w", n, opID, op.State, op.Attempts, offline.ErrStale)
	}
	m.end(op, r)
	m.append(events)
	return nil
}

// Settle implements offline.Store.
func (m *Memory) Settle(_ context.Context, opID string, r offline.Result, events ...journal.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	op, err := m.find(opID)
	if err != nil {
		return err
	}
	if op.State != offline.InDoubt {
		return fmt.Errorf("settle %s, which is %s: %w", opID, op.State, offline.ErrStale)
	}
	if r.Evidence != "" {
		m.audit = append(m.audit, Audit{offline.Decision{OpID: opID, Action: offline.ActionEvidence, Note: r.Evidence}, offline.AgentActor()})
	}
	m.end(op, r)
	m.append(events)
	return nil
}

func end(op *offline.Operation, r offline.Result) {
	op.State, op.Reason, op.NotBefore = r.State, r.Reason, r.NotBefore
	op.Error = nil
	if r.Error != nil {
		f := *r.Error
		op.Error = &f
	}
	if r.State == offline.Delivered {
		op.CloudID, op.DeliveredAt = r.CloudID, r.FinishedAt
	}
}

// Doubt implements offline.Store.
func (m *Memory) Doubt(context.Context, time.Time) ([]offline.Operation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []offline.Operation
	for _, op := range m.ops {
		if op.State == offline.Sending {
			op.State = offline.InDoubt
			out = append(out, cloneOp(*op))
		}
	}
	return out, nil
}

// Decide implements offline.Store.
func (m *Memory) Decide(_ context.Context, d offline.Decision, e journal.Entry) (offline.Operation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	op, err := m.find(d.OpID)
	if err != nil {
		return offline.Operation{}, err
	}
	if err := m.keyFree(e); err != nil {
		return offline.Operation{}, err
	}
	allowed := op.State == offline.Parked || op.State == offline.Queued && d.Action == offline.Discard
	if op.Reason == offline.Moved && d.Action == offline.Resend {
		allowed = false
	}
	if !allowed {
		return offline.Operation{}, fmt.Errorf("%s %s, which is %s: %w", d.Action, d.OpID, op.State, offline.ErrState)
	}
	r := offline.Result{Error: op.Error, FinishedAt: time.Now()}
	switch d.Action {
	case offline.Resend:
		r.State = offline.Queued
	case offline.Settle:
		r = offline.Result{State: offline.Delivered, CloudID: d.CloudID, ExpiresAt: d.ExpiresAt, FinishedAt: time.Now()}
	case offline.Discard:
		r.State = offline.Discarded
	default:
		return offline.Operation{}, fmt.Errorf("decide on %s: no action %q", d.OpID, d.Action)
	}
	m.end(op, r)
	if c, err := m.card(op.ID); err == nil && d.Action == offline.Resend {
		c.Offline = true
	}
	m.audit = append(m.audit, Audit{d, e.Actor})
	m.commit(e)
	return cloneOp(*op), nil
}

// Unblock implements offline.Store.
func (m *Memory) Unblock(_ context.Context, t offline.OpType, _ time.Time, events ...journal.Event) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for _, op := range m.ops {
		if op.Type == t && op.State == offline.Parked && op.Reason == offline.Blocked {
			op.State, op.Reason, op.NotBefore = offline.Queued, "", time.Time{}
			n++
		}
	}
	m.append(events)
	return n, nil
}

func (s *memSale) view() offline.SaleView {
	v := offline.SaleView{
		ID: s.rec.ID, TransactionID: s.rec.TransactionID, StoreCode: s.rec.StoreCode, Kind: s.rec.Kind,
		Currency: s.rec.Currency, PayAmount: s.rec.Amount, AcceptedAt: s.rec.AcceptedAt,
		Warnings: append([]sale.Warning{}, s.rec.Warnings...), Tenders: append([]offline.Tender{}, s.rec.Tenders...),
		Sale: bytes.Clone(s.rec.Body),
	}
	ops := make([]offline.Operation, 0, len(s.ops))
	for _, op := range s.ops {
		ops = append(ops, cloneOp(*op))
	}
	v.Judge(ops)
	return v
}
