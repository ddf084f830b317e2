package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
)

// Statements about gift cards.
const (
	qCardAdd = `INSERT INTO giftcards (id, stream, mask, code_type, trans_type, mode, amount, currency, reference, source_id, code,
		pin, created_at, created_by, offline) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	qCards = `SELECT id, stream, mask, code_type, trans_type, mode, amount, currency, reference, source_id, code, pin, created_at,
		created_by, offline, before, balance, giftcard_id, expires_at, canceled_at, expired, sale_id, capture_op, captured_amount
		FROM giftcards`
	qCard       = qCards + ` WHERE id = ?`
	qCardsOpen  = qCards + ` WHERE done = 0 AND (?1 = '' OR stream = ?1) ORDER BY seq`
	qCardBefore = `UPDATE giftcards SET before = ?2 WHERE id = ?1`
	qCardTaken  = `UPDATE giftcards SET offline = 1 WHERE id = ?1 AND (SELECT state FROM operations WHERE id = ?1) = 'queued'`
	qCardRelied = `UPDATE giftcards SET offline = 1 WHERE id = ?`
	qCardCancel = `UPDATE giftcards SET canceled_at = ?2, done = 1 WHERE id = ?1 AND capture_op = '' AND sale_id = ''`
	qCardExpire = `UPDATE giftcards SET expired = 1, done = 1 WHERE id = ?1 AND capture_op = ''`

	qCardCapture = `UPDATE giftcards SET capture_op = ?2, captured_amount = ?3
		WHERE id = ?1 AND capture_op = '' AND canceled_at = 0 AND mode = 'authorize'`
	qCardThrough = `UPDATE giftcards SET pin = NULL, balance = CASE WHEN ?2 = '' THEN balance ELSE ?2 END,
		giftcard_id = CASE WHEN ?3 = '' THEN giftcard_id ELSE ?3 END, expires_at = CASE WHEN ?4 = 0 THEN expires_at ELSE ?4 END,
		done = CASE WHEN ?5 = 'discarded' OR mode = 'immediate' THEN 1 ELSE done END WHERE id = ?1`
	qCardCaptured = `UPDATE giftcards SET done = 1, balance = CASE WHEN ?2 = '' THEN balance ELSE ?2 END
		WHERE capture_op = ?1 AND capture_op <> ''`
	qCardOf   = `SELECT stream, giftcard_id FROM giftcards WHERE id = ?1 OR (capture_op = ?1 AND capture_op <> '')`
	qCardSale = `UPDATE giftcards SET sale_id = ?2 WHERE id = ?1 AND sale_id = ''`
	qOpSale   = `UPDATE operations SET sale_id = ?2 WHERE sale_id = '' AND state <> 'delivered'
		AND (id = ?1 OR id = (SELECT capture_op FROM giftcards WHERE id = ?1))`

	qBalance    = `SELECT giftcard_id, balance, as_of FROM giftcard_balances WHERE stream = ?`
	qBalanceSet = `INSERT INTO giftcard_balances (stream, giftcard_id, balance, as_of) VALUES (?, ?, ?, ?)
		ON CONFLICT (stream) DO UPDATE SET giftcard_id = CASE WHEN excluded.giftcard_id = '' THEN giftcard_id ELSE excluded.giftcard_id END,
		balance = excluded.balance, as_of = excluded.as_of`
)

func scanCard(row scanner) (offline.Giftcard, error) {
	var g offline.Giftcard
	var created, expires, canceled int64
	var capture string
	err := row.Scan(&g.ID, &g.Stream, &g.Mask, &g.CodeType, &g.TransType, &g.Mode, &g.Amount, &g.Currency, &g.Reference, &g.SourceID,
		&g.SealedCode, &g.SealedPIN, &created, &g.CreatedBy, &g.Offline, &g.Before, &g.Balance, &g.GiftcardID, &expires, &canceled,
		&g.Expired, &g.SaleID, &capture, &g.CapturedAmount)
	g.CreatedAt, g.ExpiresAt, g.CanceledAt = fromMillis(created), fromMillis(expires), fromMillis(canceled)
	if capture != "" {
		g.Capture = &offline.Operation{ID: capture}
	}
	return g, err
}

// join reads the operations of a transaction.
func join(g *offline.Giftcard, read func(id string) (offline.Operation, error)) error {
	var err error
	if g.Trans, err = read(g.ID); err != nil || g.Capture == nil {
		return err
	}
	c, err := read(g.Capture.ID)
	g.Capture = &c
	return err
}

// AddGiftcard implements offline.GiftcardStore.
func (v Outbox) AddGiftcard(ctx context.Context, g offline.Giftcard, op offline.Operation, e journal.Entry) error {
	err := v.s.create(ctx, func(t *tx) error {
		if e.Key != nil {
			if err := t.key(*e.Key, e.Answer); err != nil {
				return err
			}
		}
		if err := t.addOperation(op, offline.Record{AcceptedAt: g.CreatedAt}); err != nil {
			return err
		}
		_, err := t.exec(qCardAdd, g.ID, g.Stream, g.Mask, g.CodeType, string(g.TransType), string(g.Mode), g.Amount, g.Currency,
			g.Reference, g.SourceID, blob(g.SealedCode), blob(g.SealedPIN), millis(g.CreatedAt), g.CreatedBy, g.Offline)
		if err != nil {
			return fmt.Errorf("write gift card transaction: %w", err)
		}
		return t.events(e.Events)
	})
	if err != nil {
		return fmt.Errorf("add gift card transaction %s: %w", g.ID, err)
	}
	return nil
}

// Giftcard implements offline.GiftcardStore.
func (v Outbox) Giftcard(ctx context.Context, id string) (g offline.Giftcard, err error) {
	err = v.s.read.at(ctx, func(m moment) error {
		if g, err = scanCard(m.tx.QueryRowContext(ctx, qCard, id)); err != nil {
			return notFound(err)
		}
		return join(&g, m.op)
	})
	if err != nil {
		return g, fmt.Errorf("read gift card transaction %s: %w", id, err)
	}
	return g, nil
}

// OpenGiftcards implements offline.GiftcardStore.
func (v Outbox) OpenGiftcards(ctx context.Context, stream string) ([]offline.Giftcard, error) {
	var list []offline.Giftcard
	err := v.s.read.at(ctx, func(m moment) error {
		rows, err := m.tx.QueryContext(ctx, qCardsOpen, stream)
		if err != nil {
			return err
		}
		list, err = collect(rows, scanCard)
		for i := range list {
			if err == nil {
				err = join(&list[i], m.op)
			}
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list gift card transactions: %w", err)
	}
	return list, nil
}

// card reads a transaction inside the database's transaction.
func (t *tx) card(id string) (offline.Giftcard, error) {
	g, err := scanCard(t.row(qCard, id))
	if err != nil {
		return g, notFound(err)
	}
	return g, join(&g, t.op)
}

// ChangeGiftcard implements offline.GiftcardStore.
func (v Outbox) ChangeGiftcard(ctx context.Context, id string, c offline.GiftcardChange, e journal.Entry) error {
	err := v.s.change(ctx, func(t *tx) error {
		if e.Key != nil {
			if err := t.key(*e.Key, e.Answer); err != nil {
				return err
			}
		}
		if c.Before != nil {
			if err := t.touch(qCardBefore, journal.ErrNotFound, id, *c.Before); err != nil {
				return err
			}
		}
		if c.Offline {
			if err := t.touch(qCardTaken, offline.ErrState, id); err != nil {
				return err
			}
		}
		if !c.CanceledAt.IsZero() {
			if err := t.touch(qCardCancel, offline.ErrState, id, millis(c.CanceledAt)); err != nil {
				return err
			}
		}
		if c.Expired {
			if err := t.touch(qCardExpire, offline.ErrState, id); err != nil {
				return err
			}
		}
		return t.events(e.Events)
	})
	if err != nil {
		return fmt.Errorf("change gift card transaction %s: %w", id, err)
	}
	return nil
}

// touch runs a statement that must hit a row.
func (t *tx) touch(query string, otherwise error, args ...any) error {
	n, err := t.changed(query, args...)
	if err == nil && n == 0 {
		return otherwise
	}
	return err
}

// CaptureGiftcard implements offline.GiftcardStore.
func (v Outbox) CaptureGiftcard(ctx context.Context, c offline.CardCapture, op offline.Operation, e journal.Entry) error {
	err := v.s.create(ctx, func(t *tx) error {
		if e.Key != nil {
			if err := t.key(*e.Key, e.Answer); err != nil {
				return err
			}
		}
		if err := t.addOperation(op, offline.Record{ID: op.SaleID, AcceptedAt: op.CreatedAt}); err != nil {
			return err
		}
		if err := t.touch(qCardCapture, offline.ErrState, c.TransactionID, op.ID, c.Amount); err != nil {
			return err
		}
		if op.SaleID != "" {
			if _, err := t.exec(qSaleState, op.SaleID); err != nil {
				return err
			}
		}
		return t.events(e.Events)
	})
	if err != nil {
		return fmt.Errorf("capture gift card transaction %s: %w", c.TransactionID, err)
	}
	return nil
}

// WithdrawGiftcard implements offline.GiftcardStore.
func (v Outbox) WithdrawGiftcard(ctx context.Context, id string, fault *offline.Fault, at time.Time, e journal.Entry) error {
	err := v.s.change(ctx, func(t *tx) error {
		if e.Key != nil {
			if err := t.key(*e.Key, e.Answer); err != nil {
				return err
			}
		}
		g, err := t.card(id)
		if err != nil {
			return err
		}
		if g.Trans.State != offline.Queued || g.SaleID != "" || g.Capture != nil {
			return fmt.Errorf("%w: it is %s", offline.ErrState, g.Trans.State)
		}
		if err := t.touch(qCardCancel, offline.ErrState, id, millis(at)); err != nil {
			return err
		}
		return t.end(g.Trans, offline.Result{State: offline.Discarded, Error: fault, FinishedAt: at}, e.Events)
	})
	if err != nil {
		return fmt.Errorf("withdraw gift card transaction %s: %w", id, err)
	}
	return nil
}

// KnownBalance implements offline.GiftcardStore.
func (v Outbox) KnownBalance(ctx context.Context, stream string) (offline.KnownBalance, error) {
	b := offline.KnownBalance{Stream: stream}
	var at int64
	if err := v.s.read.QueryRowContext(ctx, qBalance, stream).Scan(&b.GiftcardID, &b.Balance, &at); err != nil {
		return b, fmt.Errorf("read a known balance: %w", notFound(err))
	}
	b.AsOf = fromMillis(at)
	return b, nil
}

// KeepBalance implements offline.GiftcardStore.
func (v Outbox) KeepBalance(ctx context.Context, b offline.KnownBalance) error {
	err := v.s.change(ctx, func(t *tx) error {
		_, err := t.exec(qBalanceSet, b.Stream, b.GiftcardID, b.Balance, millis(b.AsOf))
		return err
	})
	if err != nil {
		return fmt.Errorf("keep a known balance: %w", err)
	}
	return nil
}

// cardEnds joins to the end of a gift card operation what it means for its transaction and its card.
func (t *tx) cardEnds(op offline.Operation, r offline.Result) error {
	if op.Type == offline.Purchase {
		return nil
	}
	through := r.State == offline.Delivered || r.State == offline.Discarded
	var err error
	switch {
	case through && op.Type == offline.GiftcardTrans:
		_, err = t.exec(qCardThrough, op.ID, r.Balance, r.GiftcardID, millis(r.ExpiresAt), string(r.State))
	case through:
		_, err = t.exec(qCardCaptured, op.ID, r.Balance)
	}
	if err != nil || r.Balance == "" {
		return err
	}
	var stream, id string
	err = notFound(t.row(qCardOf, op.ID).Scan(&stream, &id))
	if errors.Is(err, journal.ErrNotFound) {
		return nil
	}
	if err == nil {
		_, err = t.exec(qBalanceSet, stream, id, r.Balance, millis(r.FinishedAt))
	}
	return err
}

// claimCard ties a gift card transaction to the sale that it pays part of.
func (t *tx) claimCard(index int, id string, r offline.Record) error {
	g, err := t.card(id)
	if errors.Is(err, journal.ErrNotFound) {
		return &offline.TenderError{Index: index, PaymentID: id, Why: "unknown"}
	}
	if err != nil {
		return fmt.Errorf("claim gift card transaction: %w", err)
	}
	why := offline.Claimable(g, r)
	if why == "" {
		var n int64
		if n, err = t.changed(qCardSale, id, r.ID); err == nil && n == 0 {
			why = "already_used"
		}
	}
	if err == nil && why == "" {
		_, err = t.exec(qOpSale, id, r.ID)
	}
	if err != nil {
		return fmt.Errorf("claim gift card transaction: %w", err)
	}
	if why != "" {
		return &offline.TenderError{Index: index, PaymentID: id, Why: why}
	}
	return nil
}

// addCaptures links the captures that a sale queues to their transactions.
func (t *tx) addCaptures(list []offline.CardCapture, tenders []offline.Tender) error {
	for _, c := range list {
		err := t.touch(qCardCapture, offline.ErrState, c.TransactionID, c.OpID, c.Amount)
		if errors.Is(err, offline.ErrState) { // another call was faster
			for i, td := range tenders {
				if td.GiftcardTransactionID == c.TransactionID {
					return &offline.TenderError{Index: i, PaymentID: c.TransactionID, Why: "not_approved"}
				}
			}
		}
		if err != nil {
			return fmt.Errorf("link a capture: %w", err)
		}
	}
	return nil
}
