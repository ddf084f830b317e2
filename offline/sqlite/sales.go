package sqlite

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/sale"
)

// How many rows a page of a listing has where the caller names no number, and at most.
const (
	pageDefault = 100
	pageLimit   = 500
)

// AcceptSale implements offline.Store.
func (v Outbox) AcceptSale(ctx context.Context, a offline.Acceptance, e journal.Entry) error {
	warnings, err := list(a.Record.Warnings)
	if err != nil {
		return fmt.Errorf("accept sale %s: warnings: %w", a.Record.ID, err)
	}
	tenders, err := list(a.Record.Tenders)
	if err != nil {
		return fmt.Errorf("accept sale %s: tenders: %w", a.Record.ID, err)
	}
	err = v.s.create(ctx, func(t *tx) error {
		// The key first: a repeat must hear that it is one, not that its sale is a duplicate. The events last: they
		// tell of what is written by then.
		if e.Key != nil {
			if err := t.key(*e.Key, e.Answer); err != nil {
				return err
			}
		}
		if err := t.addSale(a, warnings, tenders); err != nil {
			return err
		}
		for i := range a.Operations {
			if err := t.addOperation(a.Operations[i], a.Record); err != nil {
				return err
			}
		}
		if err := t.claimTenders(a.Record); err != nil {
			return err
		}
		if err := t.addCaptures(a.Captures, a.Record.Tenders); err != nil {
			return err
		}
		return t.events(e.Events)
	})
	if err != nil {
		return fmt.Errorf("accept sale %s: %w", a.Record.ID, err)
	}
	return nil
}

func (t *tx) addSale(a offline.Acceptance, warnings, tenders string) error {
	r := a.Record
	state := offline.Queued
	if len(a.Operations) == 0 { // nothing will ever be sent
		state = offline.Discarded
	}
	res, err := t.exec(qSaleAdd, r.ID, r.StoreCode, r.TransactionID, string(r.Kind), r.Currency, r.Amount, []byte(r.Body),
		r.ContentHash[:], warnings, tenders, millis(r.AcceptedAt), r.AcceptedBy, string(state))
	if err != nil {
		return fmt.Errorf("write sale: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return t.duplicate(r, err)
	}
	seq, err := res.LastInsertId()
	if err != nil {
		return fmt.Errorf("write sale: %w", err)
	}
	t.remember(newRecord(kindSale, seq, r.ID, r.ContentHash[:]))
	return nil
}

// duplicate says which earlier sale kept this one out.
func (t *tx) duplicate(r offline.Record, err error) error {
	var first string
	if err == nil {
		err = t.row(qSaleFirst, r.StoreCode, r.TransactionID, string(r.Kind), r.ContentHash[:]).Scan(&first)
	}
	if err != nil {
		return fmt.Errorf("write sale: the id is taken: %w", err)
	}
	return &offline.DuplicateError{FirstID: first}
}

func (t *tx) addOperation(op offline.Operation, r offline.Record) error {
	if op.ContentHash == ([32]byte{}) {
		op.ContentHash = sha256.Sum256(op.Payload)
	}
	if op.CreatedAt.IsZero() {
		op.CreatedAt = r.AcceptedAt
	}
	_, err := t.exec(qOpAdd, op.ID, string(op.Type), r.ID, op.Stream, []byte(op.Payload), op.ContentHash[:], op.Ref, op.Amount,
		op.Currency, op.Lane, millis(op.NotBefore), millis(op.CreatedAt))
	if err != nil {
		return fmt.Errorf("write operation: %w", err)
	}
	for i, needs := range op.DependsOn {
		if _, err := t.exec(qDependencyAdd, op.ID, i, needs); err != nil {
			return fmt.Errorf("write dependency: %w", err)
		}
	}
	t.moved("", offline.Queued, op.Amount, op.Currency)
	return nil
}

// claimTenders ties the payments that the tenders name to the sale, each to one sale only.
func (t *tx) claimTenders(r offline.Record) error {
	for i, td := range r.Tenders {
		if td.GiftcardTransactionID != "" {
			if err := t.claimCard(i, td.GiftcardTransactionID, r); err != nil {
				return err
			}
			continue
		}
		if td.PaymentID == "" {
			continue
		}
		n, err := t.changed(qPaymentClaim, td.PaymentID, r.ID)
		if err != nil {
			return fmt.Errorf("claim payment: %w", err)
		}
		if n == 0 {
			return t.unclaimable(i, td.PaymentID)
		}
	}
	return nil
}

func (t *tx) unclaimable(index int, id string) error {
	var state, taken string
	err := notFound(t.row(qPaymentClaimable, id).Scan(&state, &taken))
	why := "not_approved"
	switch {
	case errors.Is(err, journal.ErrNotFound):
		why = "unknown"
	case err != nil:
		return fmt.Errorf("claim payment: %w", err)
	case taken != "":
		why = "already_used"
	}
	return &offline.TenderError{Index: index, PaymentID: id, Why: why}
}

// list is a JSON array, never null.
func list[T any](items []T) (string, error) {
	if len(items) == 0 {
		return "[]", nil
	}
	b, err := json.Marshal(items)
	return string(b), err
}

// Sale implements offline.Store.
func (v Outbox) Sale(ctx context.Context, id string) (offline.SaleView, error) {
	_, view, err := scanSale(v.s.read.QueryRowContext(ctx, qSale, id))
	if err != nil {
		return offline.SaleView{}, fmt.Errorf("read sale %s: %w", id, notFound(err))
	}
	views := []offline.SaleView{view}
	if err := v.addEnds(ctx, views); err != nil {
		return offline.SaleView{}, fmt.Errorf("read sale %s: %w", id, err)
	}
	return views[0], nil
}

// Sales implements offline.Store: newest first, without the posted bodies.
func (v Outbox) Sales(ctx context.Context, f offline.SaleFilter) ([]offline.SaleView, string, error) {
	var c conditions
	if f.State != "" {
		c.add("state = ?", string(f.State))
	}
	if f.State != "" && f.State != offline.Delivered {
		c.add("state <> 'delivered'") // takes the partial index
	}
	if f.TransactionID != "" {
		c.add("transaction_id = ?", f.TransactionID)
	}
	if !f.Since.IsZero() {
		c.add(salesSince, millis(f.Since), millis(f.Since))
	}
	if err := c.before(f.Cursor); err != nil {
		return nil, "", fmt.Errorf("list sales: %w", err)
	}
	limit := pageSize(f.Limit)
	rows, err := v.s.read.QueryContext(ctx, qSales+c.where()+` ORDER BY seq DESC LIMIT ?`, append(c.args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("list sales: %w", err)
	}
	var seqs []int64
	views, err := collect(rows, func(row scanner) (offline.SaleView, error) {
		seq, view, err := scanSale(row)
		seqs = append(seqs, seq)
		return view, err
	})
	if err != nil {
		return nil, "", fmt.Errorf("list sales: %w", err)
	}
	views, next := cut(views, seqs, limit)
	if err := v.addEnds(ctx, views); err != nil {
		return nil, "", fmt.Errorf("list sales: %w", err)
	}
	return views, next, nil
}

func scanSale(row scanner) (int64, offline.SaleView, error) {
	var s offline.SaleView
	var seq, at int64
	var warnings, tenders, body []byte
	err := row.Scan(&seq, &s.ID, &s.StoreCode, &s.TransactionID, &s.Kind, &s.Currency, &s.PayAmount, &warnings, &tenders, &at,
		&s.State, &body)
	if err != nil {
		return 0, s, err
	}
	s.AcceptedAt, s.Sale = fromMillis(at), body
	s.Warnings, s.Tenders = []sale.Warning{}, []offline.Tender{}
	if err := json.Unmarshal(warnings, &s.Warnings); err != nil {
		return 0, s, fmt.Errorf("warnings: %w", err)
	}
	if err := json.Unmarshal(tenders, &s.Tenders); err != nil {
		return 0, s, fmt.Errorf("tenders: %w", err)
	}
	return seq, s, nil
}

// addEnds puts into each view what its operations say: why the worst of them stands, and what the cloud called it.
func (v Outbox) addEnds(ctx context.Context, views []offline.SaleView) error {
	at := make(map[string]int, len(views))
	ids := make([]string, len(views))
	for i, s := range views {
		at[s.ID], ids[i] = i, s.ID
	}
	in, err := list(ids)
	if err != nil {
		return err
	}
	ops, err := v.ops(ctx, qSaleOps, in)
	if err != nil {
		return err
	}
	told := map[string]bool{}
	for _, op := range ops {
		s := &views[at[op.SaleID]]
		if op.State == s.State && isOpen(op.State) && !told[op.SaleID] {
			told[op.SaleID] = true
			s.Reason, s.Error = op.Reason, op.Error
		}
		if op.Type == offline.Purchase && op.State == offline.Delivered {
			when := op.DeliveredAt
			s.CloudID, s.DeliveredAt = op.CloudID, &when
		}
	}
	return nil
}

// SaleStream implements offline.Store.
func (v Outbox) SaleStream(ctx context.Context, storeCode, transactionID string) (string, error) {
	var stream string
	err := notFound(v.s.read.QueryRowContext(ctx, qSaleStream, storeCode, transactionID).Scan(&stream))
	if errors.Is(err, journal.ErrNotFound) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the stream of sale %s: %w", transactionID, err)
	}
	return stream, nil
}

// conditions put a WHERE clause together.
type conditions struct {
	parts []string
	args  []any
}

func (c *conditions) add(part string, args ...any) {
	c.parts, c.args = append(c.parts, part), append(c.args, args...)
}

func (c *conditions) where() string {
	if len(c.parts) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(c.parts, " AND ")
}

// before and after go on behind a cursor, which is the seq of the last row shown.
func (c *conditions) before(cursor string) error { return c.from("seq < ?", cursor) }
func (c *conditions) after(cursor string) error  { return c.from("seq > ?", cursor) }

func (c *conditions) from(part, cursor string) error {
	if cursor == "" {
		return nil
	}
	seq, err := strconv.ParseInt(cursor, 10, 64)
	if err != nil {
		return journal.ErrCursor
	}
	c.add(part, seq)
	return nil
}

func pageSize(limit int) int {
	if limit <= 0 {
		return pageDefault
	}
	return min(limit, pageLimit)
}

// cut takes off the row that was read only to see whether there is a next page.
func cut[T any](page []T, seqs []int64, limit int) ([]T, string) {
	if len(page) <= limit {
		return page, ""
	}
	return page[:limit], strconv.FormatInt(seqs[limit-1], 10)
}

func nowMillis() int64 { return time.Now().UnixMilli() }
