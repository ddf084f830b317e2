package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
)

func scanOp(row scanner) (offline.Operation, error) {
	var op offline.Operation
	var last, notBefore, created, delivered int64
	var payload, hash, needs []byte
	var code, message sql.NullString
	err := row.Scan(&op.Seq, &op.ID, &op.Type, &op.SaleID, &op.Stream, &payload, &hash, &op.Ref, &op.Amount, &op.Currency,
		&op.Lane, &op.State, &op.Reason, &op.Attempts, &last, &notBefore, &code, &message, &op.CloudID, &created, &delivered, &needs)
	if err != nil {
		return op, err
	}
	if err := json.Unmarshal(needs, &op.DependsOn); err != nil {
		return op, fmt.Errorf("dependencies: %w", err)
	}
	if len(op.DependsOn) == 0 {
		op.DependsOn = nil
	}
	op.Payload = payload
	copy(op.ContentHash[:], hash)
	op.LastAttemptAt, op.NotBefore = fromMillis(last), fromMillis(notBefore)
	op.CreatedAt, op.DeliveredAt = fromMillis(created), fromMillis(delivered)
	if code.Valid {
		op.Error = &offline.Fault{Code: code.String, Message: message.String}
	}
	return op, nil
}

func (v Outbox) ops(ctx context.Context, query string, args ...any) ([]offline.Operation, error) {
	rows, err := v.s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scanOp)
}

// Operation implements offline.Store.
func (v Outbox) Operation(ctx context.Context, id string) (offline.Operation, error) {
	op, err := scanOp(v.s.read.QueryRowContext(ctx, qOp, id))
	if err != nil {
		return op, fmt.Errorf("read operation %s: %w", id, notFound(err))
	}
	return op, nil
}

// Operations implements offline.Store, in Seq order.
func (v Outbox) Operations(ctx context.Context, f offline.ItemFilter) ([]offline.Operation, string, error) {
	var c conditions
	if f.State != "" {
		c.add("state = ?", string(f.State))
	}
	if f.State != "" && f.State != offline.Delivered {
		c.add("state <> 'delivered'") // takes the partial index
	}
	if f.Type != "" {
		c.add("type = ?", string(f.Type))
	}
	if f.SaleID != "" {
		c.add("sale_id = ? AND sale_id <> ''", f.SaleID)
	}
	if err := c.after(f.Cursor); err != nil {
		return nil, "", fmt.Errorf("list operations: %w", err)
	}
	limit := pageSize(f.Limit)
	ops, err := v.ops(ctx, qOps+c.where()+` ORDER BY seq LIMIT ?`, append(c.args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("list operations: %w", err)
	}
	seqs := make([]int64, len(ops))
	for i, op := range ops {
		seqs[i] = op.Seq
	}
	ops, next := cut(ops, seqs, limit)
	return ops, next, nil
}

// Heads implements offline.Store. Operations of other lanes are never among them.
func (v Outbox) Heads(ctx context.Context, now time.Time, limit int, skip []offline.OpType) ([]offline.Operation, error) {
	skipped, err := list(skip)
	if err != nil {
		return nil, fmt.Errorf("read heads: %w", err)
	}
	ops, err := v.ops(ctx, qHeads, millis(now), skipped, limit)
	if err != nil {
		return nil, fmt.Errorf("read heads: %w", err)
	}
	return ops, nil
}

// NextDue implements offline.Store.
func (v Outbox) NextDue(ctx context.Context, now time.Time) (time.Time, error) {
	var due int64
	err := v.s.read.QueryRowContext(ctx, qNextDue, millis(now)).Scan(&due)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, fmt.Errorf("read when the next operation is due: %w", err)
	}
	return fromMillis(due), nil
}

// op reads an operation inside the transaction.
func (t *tx) op(id string) (offline.Operation, error) {
	op, err := scanOp(t.row(qOp, id))
	if err != nil {
		return op, fmt.Errorf("read operation %s: %w", id, notFound(err))
	}
	return op, nil
}

// Begin implements offline.Store. It also refuses, with offline.ErrStale, an operation that is not the first of its
// stream, or that waits for another: the order holds even where the caller asked by an old list.
func (v Outbox) Begin(ctx context.Context, opID string, n int, at time.Time, events ...journal.Event) error {
	err := v.s.change(ctx, func(t *tx) error {
		op, err := t.op(opID)
		if err != nil {
			return err
		}
		if op.State != offline.Queued || op.Attempts != n-1 {
			return fmt.Errorf("%w: it is %s after %d attempts", offline.ErrStale, op.State, op.Attempts)
		}
		var taken bool
		if err := t.row(qStreamTaken, op.Stream, op.ID, op.Seq).Scan(&taken); err != nil {
			return err
		}
		if taken {
			return fmt.Errorf("%w: its stream is taken", offline.ErrStale)
		}
		if _, err := t.exec(qOpBegin, op.ID, n, millis(at)); err != nil {
			return err
		}
		if _, err := t.exec(qAttemptAdd, op.ID, n, v.s.boot, millis(at)); err != nil {
			return err
		}
		r := newRecord(kindAttempt, op.Seq, op.ID, op.ContentHash[:])
		r.n = uint32(n)
		t.remember(r)
		return t.went(op, offline.Sending, events)
	})
	return act("begin", opID, err)
}

// went joins what follows from a new state, as the tally calls it: the sale's state, the counts and the events.
func (t *tx) went(op offline.Operation, to offline.State, events []journal.Event) error {
	if op.SaleID != "" {
		if _, err := t.exec(qSaleState, op.SaleID); err != nil {
			return err
		}
	}
	t.moved(counted(op.State, op.Reason), to, op.Amount, op.Currency)
	return t.events(events)
}

// end writes how an operation stands after an attempt, a settlement or a decision.
func (t *tx) end(op offline.Operation, r offline.Result, events []journal.Event) error {
	var code, message any
	if r.Error != nil {
		code, message = r.Error.Code, r.Error.Message
	}
	cloudID, delivered := op.CloudID, int64(0)
	if r.State == offline.Delivered {
		cloudID, delivered = r.CloudID, millis(r.FinishedAt)
	}
	_, err := t.exec(qOpEnd, op.ID, string(r.State), string(r.Reason), millis(r.NotBefore), code, message, cloudID, delivered)
	if err != nil {
		return err
	}
	if err := t.cardEnds(op, r); err != nil {
		return err
	}
	return t.went(op, counted(r.State, r.Reason), events)
}

// Finish implements offline.Store.
func (v Outbox) Finish(ctx context.Context, opID string, n int, r offline.Result, events ...journal.Event) error {
	err := endsIn(r.State, offline.Queued, offline.Delivered, offline.Parked, offline.InDoubt, offline.Discarded)
	if err != nil {
		return act("finish", opID, err)
	}
	err = v.s.change(ctx, func(t *tx) error {
		op, err := t.op(opID)
		if err != nil {
			return err
		}
		if op.State != offline.Sending || op.Attempts != n {
			return fmt.Errorf("%w: it is %s after %d attempts", offline.ErrStale, op.State, op.Attempts)
		}
		if err := t.endAttempt(op, r); err != nil {
			return err
		}
		return t.end(op, r, events)
	})
	return act("finish", opID, err)
}

func (t *tx) endAttempt(op offline.Operation, r offline.Result) error {
	var fault offline.Fault
	if r.Error != nil {
		fault = *r.Error
	}
	_, err := t.exec(qAttemptEnd, op.ID, op.Attempts, millis(r.FinishedAt), r.Class, r.HTTPStatus, fault.Code, fault.Message, r.CloudID)
	return err
}

// Settle implements offline.Store. An operation that is not in doubt is offline.ErrStale.
func (v Outbox) Settle(ctx context.Context, opID string, r offline.Result, events ...journal.Event) error {
	err := endsIn(r.State, offline.Queued, offline.Delivered, offline.Parked, offline.Discarded)
	if err != nil {
		return act("settle", opID, err)
	}
	err = v.s.change(ctx, func(t *tx) error {
		op, err := t.op(opID)
		if err != nil {
			return err
		}
		if op.State != offline.InDoubt {
			return fmt.Errorf("%w: it is %s", offline.ErrStale, op.State)
		}
		if err := t.evidence(op, r); err != nil {
			return err
		}
		return t.end(op, r, events)
	})
	return act("settle", opID, err)
}

// endsIn refuses a result whose state is none of those allowed: a programming error that must not reach the disk.
func endsIn(state offline.State, allowed ...offline.State) error {
	for _, s := range allowed {
		if s == state {
			return nil
		}
	}
	return fmt.Errorf("%w: it cannot become %q", offline.ErrState, state)
}

// Doubt implements offline.Store.
func (v Outbox) Doubt(ctx context.Context, at time.Time) ([]offline.Operation, error) {
	var list []offline.Operation
	err := v.s.change(ctx, func(t *tx) error {
		ops, err := t.ops(qOpsSending)
		if err != nil {
			return err
		}
		r := offline.Result{State: offline.InDoubt, Class: "interrupted", FinishedAt: at}
		for i, op := range ops {
			r.Error = op.Error
			if err := t.endAttempt(op, r); err != nil {
				return err
			}
			if err := t.end(op, r, nil); err != nil {
				return err
			}
			ops[i].State, ops[i].NotBefore = offline.InDoubt, time.Time{}
		}
		list = ops
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("put interrupted operations in doubt: %w", err)
	}
	return list, nil
}

func (t *tx) ops(query string, args ...any) ([]offline.Operation, error) {
	rows, err := t.rows(query, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, scanOp)
}

// Unblock implements offline.Store.
func (v Outbox) Unblock(ctx context.Context, kind offline.OpType, _ time.Time, events ...journal.Event) (int, error) {
	n := 0
	err := v.s.change(ctx, func(t *tx) error {
		ops, err := t.ops(qOpsBlocked, string(kind))
		if err != nil {
			return err
		}
		for _, op := range ops {
			if err := t.end(op, offline.Result{State: offline.Queued, Error: op.Error}, nil); err != nil {
				return err
			}
		}
		n = len(ops)
		return t.events(events)
	})
	if err != nil {
		return 0, fmt.Errorf("unblock %s: %w", kind, err)
	}
	return n, nil
}

// Decide implements offline.Store. What was moved to another machine is never sent here again.
func (v Outbox) Decide(ctx context.Context, d offline.Decision, e journal.Entry) (offline.Operation, error) {
	var after offline.Operation
	err := v.s.change(ctx, func(t *tx) error {
		if e.Key != nil {
			if err := t.key(*e.Key, e.Answer); err != nil {
				return err
			}
		}
		op, err := t.op(d.OpID)
		if err != nil {
			return err
		}
		r, err := decided(op, d)
		if err != nil {
			return err
		}
		if err := t.audit(e.Actor, "queue."+string(d.Action), op.ID, d.Note); err != nil {
			return err
		}
		if err := t.end(op, r, e.Events); err != nil {
			return err
		}
		if d.Action == offline.Resend && op.Type == offline.GiftcardTrans {
			if _, err := t.exec(qCardRelied, op.ID); err != nil {
				return err
			}
		}
		after, err = t.op(op.ID)
		return err
	})
	return after, act("decide on", d.OpID, err)
}

// decided turns a decision into a result, or refuses it.
func decided(op offline.Operation, d offline.Decision) (offline.Result, error) {
	refusal := fmt.Errorf("%w: it is %s %s", offline.ErrState, op.State, op.Reason)
	if op.State != offline.Parked && (op.State != offline.Queued || d.Action != offline.Discard) {
		return offline.Result{}, refusal
	}
	switch d.Action {
	case offline.Resend:
		if op.Reason == offline.Moved {
			return offline.Result{}, refusal
		}
		return offline.Result{State: offline.Queued, Error: op.Error}, nil
	case offline.Settle:
		return offline.Result{State: offline.Delivered, CloudID: d.CloudID, ExpiresAt: d.ExpiresAt, FinishedAt: time.Now()}, nil
	case offline.Discard:
		return offline.Result{State: offline.Discarded, Error: op.Error}, nil
	}
	return offline.Result{}, fmt.Errorf("no action %q", d.Action)
}

// act names what was asked of which operation.
func act(verb, id string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s operation %s: %w", verb, id, err)
}
