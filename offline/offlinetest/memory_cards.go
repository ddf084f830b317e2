package offlinetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
)

// memCard is a gift card transaction with what is told by no field of it.
type memCard struct {
	offline.Giftcard
	capture string
	done    bool
}

func (m *Memory) card(id string) (*memCard, error) {
	for _, c := range m.cards {
		if c.ID == id {
			return c, nil
		}
	}
	return nil, fmt.Errorf("gift card transaction %s: %w", id, journal.ErrNotFound)
}

// joined is the transaction with its operations.
func (m *Memory) joined(c *memCard) offline.Giftcard {
	g := c.Giftcard
	if op, err := m.find(g.ID); err == nil {
		g.Trans = cloneOp(*op)
	}
	if op, err := m.find(c.capture); err == nil {
		o := cloneOp(*op)
		g.Capture = &o
	}
	return g
}

func (m *Memory) addOp(op offline.Operation) *offline.Operation {
	op = cloneOp(op)
	op.Seq, op.State = int64(len(m.ops)+1), offline.Queued
	m.ops = append(m.ops, &op)
	return &op
}

// AddGiftcard implements offline.GiftcardStore.
func (m *Memory) AddGiftcard(_ context.Context, g offline.Giftcard, op offline.Operation, e journal.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.keyFree(e); err != nil {
		return err
	}
	m.addOp(op)
	m.cards = append(m.cards, &memCard{Giftcard: g})
	m.commit(e)
	return nil
}

// Giftcard implements offline.GiftcardStore.
func (m *Memory) Giftcard(_ context.Context, id string) (offline.Giftcard, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, err := m.card(id)
	if err != nil {
		return offline.Giftcard{}, err
	}
	return m.joined(c), nil
}

// OpenGiftcards implements offline.GiftcardStore.
func (m *Memory) OpenGiftcards(_ context.Context, stream string) ([]offline.Giftcard, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []offline.Giftcard
	for _, c := range m.cards {
		if !c.done && (stream == "" || stream == c.Stream) {
			list = append(list, m.joined(c))
		}
	}
	return list, nil
}

// ChangeGiftcard implements offline.GiftcardStore.
func (m *Memory) ChangeGiftcard(_ context.Context, id string, ch offline.GiftcardChange, e journal.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.keyFree(e); err != nil {
		return err
	}
	c, err := m.card(id)
	if err != nil {
		return err
	}
	if op, err := m.find(id); ch.Offline && (err != nil || op.State != offline.Queued) {
		return fmt.Errorf("accept gift card transaction %s: %w", id, offline.ErrState)
	}
	if c.capture != "" && (!ch.CanceledAt.IsZero() || ch.Expired) || c.SaleID != "" && !ch.CanceledAt.IsZero() {
		return fmt.Errorf("change gift card transaction %s: %w", id, offline.ErrState)
	}
	if ch.Before != nil {
		c.Before = *ch.Before
	}
	c.Offline = c.Offline || ch.Offline
	if !ch.CanceledAt.IsZero() {
		c.CanceledAt, c.done = ch.CanceledAt, true
	}
	if ch.Expired {
		c.Expired, c.done = true, true
	}
	m.commit(e)
	return nil
}

// CaptureGiftcard implements offline.GiftcardStore.
func (m *Memory) CaptureGiftcard(_ context.Context, c offline.CardCapture, op offline.Operation, e journal.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.keyFree(e); err != nil {
		return err
	}
	if err := m.mayCapture(c); err != nil {
		return err
	}
	added := m.addOp(op)
	for _, s := range m.sales {
		if op.SaleID != "" && s.rec.ID == op.SaleID {
			s.ops = append(s.ops, added)
		}
	}
	m.link(c)
	m.commit(e)
	return nil
}

func (m *Memory) mayCapture(c offline.CardCapture) error {
	card, err := m.card(c.TransactionID)
	if err != nil {
		return err
	}
	if card.capture != "" || !card.CanceledAt.IsZero() || card.Mode != offline.CardAuthorize {
		return fmt.Errorf("capture gift card transaction %s: %w", c.TransactionID, offline.ErrState)
	}
	return nil
}

func (m *Memory) link(c offline.CardCapture) {
	if card, err := m.card(c.TransactionID); err == nil {
		card.capture, card.CapturedAmount = c.OpID, c.Amount
	}
}

// WithdrawGiftcard implements offline.GiftcardStore.
func (m *Memory) WithdrawGiftcard(_ context.Context, id string, fault *offline.Fault, at time.Time, e journal.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.keyFree(e); err != nil {
		return err
	}
	c, err := m.card(id)
	if err != nil {
		return err
	}
	op, err := m.find(id)
	if err != nil {
		return err
	}
	if op.State != offline.Queued || c.SaleID != "" || c.capture != "" {
		return fmt.Errorf("withdraw gift card transaction %s, which is %s: %w", id, op.State, offline.ErrState)
	}
	c.CanceledAt = at
	m.end(op, offline.Result{State: offline.Discarded, Error: fault})
	m.commit(e)
	return nil
}

// KnownBalance implements offline.GiftcardStore.
func (m *Memory) KnownBalance(_ context.Context, stream string) (offline.KnownBalance, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.balances[stream]
	if !ok {
		return b, fmt.Errorf("known balance: %w", journal.ErrNotFound)
	}
	return b, nil
}

// KeepBalance implements offline.GiftcardStore.
func (m *Memory) KeepBalance(_ context.Context, b offline.KnownBalance) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(b)
	return nil
}

func (m *Memory) keep(b offline.KnownBalance) {
	if b.GiftcardID == "" {
		b.GiftcardID = m.balances[b.Stream].GiftcardID
	}
	m.balances[b.Stream] = b
}

// end writes how an operation stands, and of a gift card what follows from it.
func (m *Memory) end(op *offline.Operation, r offline.Result) {
	end(op, r)
	through := r.State == offline.Delivered || r.State == offline.Discarded
	for _, c := range m.cards {
		trans, capture := c.ID == op.ID, c.capture != "" && c.capture == op.ID
		if !trans && !capture {
			continue
		}
		if through && r.Balance != "" {
			c.Balance = r.Balance
		}
		if r.Balance != "" {
			m.keep(offline.KnownBalance{Stream: c.Stream, GiftcardID: c.GiftcardID, Balance: r.Balance, AsOf: r.FinishedAt})
		}
		if through && capture {
			c.done = true
		}
		if through && trans {
			c.SealedPIN = nil
			if r.GiftcardID != "" {
				c.GiftcardID = r.GiftcardID
			}
			if !r.ExpiresAt.IsZero() {
				c.ExpiresAt = r.ExpiresAt
			}
			c.done = c.done || r.State == offline.Discarded || c.Mode == offline.CardImmediate
		}
	}
}

// claimCards checks the gift card transactions that tenders name; claimed ones are tied to the sale by take.
func (m *Memory) claimCards(r offline.Record) error {
	seen := map[string]bool{}
	for i, t := range r.Tenders {
		id := t.GiftcardTransactionID
		if id == "" {
			continue
		}
		c, err := m.card(id)
		if err != nil {
			return &offline.TenderError{Index: i, PaymentID: id, Why: "unknown"}
		}
		why := offline.Claimable(m.joined(c), r)
		if seen[id] {
			why = "already_used"
		}
		if why != "" {
			return &offline.TenderError{Index: i, PaymentID: id, Why: why}
		}
		seen[id] = true
	}
	return nil
}

// take ties claimed transactions and what is not through of them to the sale.
func (m *Memory) take(s *memSale) {
	for _, t := range s.rec.Tenders {
		c, err := m.card(t.GiftcardTransactionID)
		if err != nil {
			continue
		}
		c.SaleID = s.rec.ID
		for _, op := range m.ops {
			if (op.ID == c.ID || op.ID == c.capture) && op.SaleID == "" && op.State != offline.Delivered {
				op.SaleID = s.rec.ID
				if !slices.Contains(s.ops, op) {
					s.ops = append(s.ops, op)
				}
			}
		}
	}
}
