package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"storeagent/internal/journal"
	"storeagent/offline"
)

// Files of queues that were moved away, one a move. A file has its last name only once the commit that parked its
// operations here is on disk.
const (
	moveDir    = "moves"
	moveEnding = ".queue"
)

// settingExported is the seq of the newest undelivered operation at the last export.
const settingExported = "queue.exported"

var _ offline.Mover = Outbox{}

// Undelivered implements offline.Mover.
func (v Outbox) Undelivered(ctx context.Context, after int64, limit int) ([]offline.Carried, error) {
	ops, err := v.ops(ctx, qOpsOpen, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read what is undelivered: %w", err)
	}
	return carry(ops, func(query, id string) scanner { return v.s.read.QueryRowContext(ctx, query, id) })
}

// carry joins operations with their sales and gift cards.
func carry(ops []offline.Operation, row func(query, id string) scanner) ([]offline.Carried, error) {
	list := make([]offline.Carried, 0, len(ops))
	for _, op := range ops {
		c := offline.Carried{Operation: op}
		if op.SaleID != "" {
			r, err := scanRecord(row(qSaleMoved, op.SaleID))
			if err != nil {
				return nil, fmt.Errorf("read sale %s: %w", op.SaleID, notFound(err))
			}
			r.ID = op.SaleID
			c.Sale = &r
		}
		if op.Type != offline.Purchase {
			g, err := scanCard(row(qCardByOp, op.ID))
			if err == nil {
				err = join(&g, func(id string) (offline.Operation, error) { return scanOp(row(qOp, id)) })
			}
			if err != nil {
				return nil, fmt.Errorf("read gift card transaction of %s: %w", op.ID, notFound(err))
			}
			c.Card = &g
		}
		list = append(list, c)
	}
	return list, nil
}

func scanRecord(row scanner) (offline.Record, error) {
	var r offline.Record
	var at int64
	var body, hash, warnings, tenders []byte
	err := row.Scan(&r.StoreCode, &r.TransactionID, &r.Kind, &r.Currency, &r.Amount, &body, &hash, &warnings, &tenders, &at, &r.AcceptedBy)
	if err != nil {
		return r, err
	}
	r.Body, r.AcceptedAt = body, fromMillis(at)
	copy(r.ContentHash[:], hash)
	return r, errors.Join(json.Unmarshal(warnings, &r.Warnings), json.Unmarshal(tenders, &r.Tenders))
}

// MoveOut implements offline.Mover.
func (v Outbox) MoveOut(ctx context.Context, id string, seal func([]offline.Carried) ([]byte, error), e journal.Entry, note string) (int, error) {
	if _, err := uuid.Parse(id); err != nil {
		return 0, fmt.Errorf("move the queue: %w", err)
	}
	if err := os.MkdirAll(v.s.path(moveDir), 0o700); err != nil {
		return 0, fmt.Errorf("move the queue: %w", err)
	}
	file := filepath.Join(v.s.path(moveDir), id+moveEnding)
	n := 0
	err := v.s.change(ctx, func(t *tx) error {
		list, err := t.undelivered()
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return offline.ErrNothing
		}
		data, err := seal(list)
		if err != nil {
			return err
		}
		if err := writeWhole(file+partEnding, data); err != nil {
			return err
		}
		n = len(list)
		return t.park(id, list, e, note)
	})
	if err != nil {
		// Whether the commit reached the disk is looked up at the next start, which names the file or drops it.
		return 0, fmt.Errorf("move the queue: %w", err)
	}
	if err := errors.Join(os.Rename(file+partEnding, file), syncDir(v.s.path(moveDir))); err != nil {
		return n, fmt.Errorf("move the queue: the operations are in %s and no longer sent here: %w", file+partEnding, err)
	}
	return n, nil
}

// undelivered reads all that moves; it is refused while an answer may still come for one of them.
func (t *tx) undelivered() ([]offline.Carried, error) {
	ops, err := t.ops(qOpsOpen, 0, -1)
	if err != nil {
		return nil, err
	}
	for _, op := range ops {
		if op.State == offline.Sending {
			return nil, fmt.Errorf("%w: %s is being sent", offline.ErrState, op.ID)
		}
	}
	return carry(ops, func(query, id string) scanner { return t.row(query, id) })
}

// park marks the operations as moved, each with its sale.
func (t *tx) park(id string, list []offline.Carried, e journal.Entry, note string) error {
	for _, c := range list {
		if _, err := t.exec(qOpMoved, c.Operation.ID); err != nil {
			return err
		}
		after := c
		after.Operation.State, after.Operation.Reason, after.Operation.NotBefore = offline.Parked, offline.Moved, time.Time{}
		if err := t.went(c.Operation, movedOut, told(after)); err != nil {
			return err
		}
	}
	if _, err := t.exec(qMoveAdd, id, "out", nowMillis(), len(list)); err != nil {
		return err
	}
	if err := t.audit(e.Actor, "queue.move", id, strconv.Itoa(len(list))+" operations: "+note); err != nil {
		return err
	}
	return t.entry(e)
}

// told is what listeners hear of an operation that came or went.
func told(c offline.Carried) []journal.Event {
	if e, ok := c.Event(time.Now()); ok {
		return []journal.Event{e}
	}
	return nil
}

// writeWhole writes and flushes a file.
func writeWhole(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(path)))
}

// MoveFile implements offline.Mover.
func (v Outbox) MoveFile(id string) ([]byte, error) {
	if _, err := uuid.Parse(id); err != nil {
		return nil, fmt.Errorf("read move: %w", journal.ErrNotFound)
	}
	data, err := os.ReadFile(filepath.Join(v.s.path(moveDir), id+moveEnding))
	if errors.Is(err, os.ErrNotExist) {
		err = journal.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("read move %s: %w", id, err)
	}
	return data, nil
}

// endMoves gives files of moves that were cut short their last name, where the commit is on disk, and drops the
// others: their operations are still sent from here.
func (s *Store) endMoves(ctx context.Context) error {
	parts, err := filepath.Glob(filepath.Join(s.path(moveDir), "*"+moveEnding+partEnding))
	if err != nil || len(parts) == 0 {
		return err
	}
	for _, part := range parts {
		id := strings.TrimSuffix(filepath.Base(part), moveEnding+partEnding)
		var n int
		if err := s.write.QueryRowContext(ctx, qMoveThere, id, "out").Scan(&n); err != nil {
			return fmt.Errorf("look up move %s: %w", id, err)
		}
		if n > 0 {
			err = os.Rename(part, strings.TrimSuffix(part, partEnding))
		} else {
			err = os.Remove(part)
		}
		if err != nil {
			return fmt.Errorf("end move %s: %w", id, err)
		}
	}
	return syncDir(s.path(moveDir))
}

// MoveIn implements offline.Mover.
func (v Outbox) MoveIn(ctx context.Context, id string, list []offline.Carried, e journal.Entry) (offline.MovedIn, error) {
	var out offline.MovedIn
	err := v.s.create(ctx, func(t *tx) error {
		out = offline.MovedIn{}
		for _, c := range list {
			if err := t.moveIn(c, &out); err != nil {
				return fmt.Errorf("take in operation %s: %w", c.Operation.ID, err)
			}
		}
		if out.Taken == 0 {
			return t.entry(e)
		}
		if _, err := t.exec(qMoveAdd, id, "in", nowMillis(), out.Taken); err != nil {
			return err
		}
		if err := t.audit(e.Actor, "queue.import", id, strconv.Itoa(out.Taken)+" operations"); err != nil {
			return err
		}
		return t.entry(e)
	})
	if err != nil {
		return offline.MovedIn{}, fmt.Errorf("take in a moved queue: %w", err)
	}
	return out, nil
}

// moveIn takes one operation in, unless it is here already.
func (t *tx) moveIn(c offline.Carried, out *offline.MovedIn) error {
	var n int
	if err := t.row(qOpThere, c.Operation.ID).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		out.Present++
		here, err := t.op(c.Operation.ID)
		if here.Reason == offline.Moved {
			out.MovedAway++
		}
		return err
	}
	r := offline.Record{}
	if c.Sale != nil {
		r = *c.Sale
		taken, err := t.moveSaleIn(r)
		if _, twice := errors.AsType[*offline.DuplicateError](err); twice {
			out.Refused = append(out.Refused, r.TransactionID)
			return nil
		}
		if err != nil {
			return err
		}
		if taken {
			out.Sales++
		}
	}
	if c.Card != nil {
		if err := t.moveCardIn(*c.Card, c.Operation, r); err != nil {
			return err
		}
	}
	out.Taken++
	return t.moveOpIn(c.Operation, r, told(c))
}

// moveOpIn writes an operation as it stood where it came from.
func (t *tx) moveOpIn(op offline.Operation, r offline.Record, events []journal.Event) error {
	op.NotBefore = fromMillis(0)
	if err := t.addOperation(op, r); err != nil {
		return err
	}
	var code, message any
	if op.Error != nil {
		code, message = op.Error.Code, op.Error.Message
	}
	_, err := t.exec(qOpState, op.ID, string(op.State), string(op.Reason), op.Attempts, millis(op.LastAttemptAt), code, message,
		op.CloudID, millis(op.DeliveredAt))
	if err != nil {
		return err
	}
	before := op
	before.State, before.Reason = offline.Queued, "" // as addOperation counted it
	return t.went(before, counted(op.State, op.Reason), events)
}

// moveCardIn writes the transaction that a gift card operation belongs to, with the authorization that a capture needs.
func (t *tx) moveCardIn(g offline.Giftcard, op offline.Operation, r offline.Record) error {
	var n int
	if err := t.row(qCardThere, g.ID).Scan(&n); err != nil || n > 0 {
		return err
	}
	_, err := t.exec(qCardAdd, g.ID, g.Stream, g.Mask, g.CodeType, string(g.TransType), string(g.Mode), g.Amount, g.Currency,
		g.Reference, g.SourceID, blob(g.SealedCode), blob(g.SealedPIN), millis(g.CreatedAt), g.CreatedBy, g.Offline)
	if err != nil {
		return err
	}
	capture := ""
	if g.Capture != nil {
		capture = g.Capture.ID
	}
	_, err = t.exec(qCardMoved, g.ID, g.Before, g.Balance, g.GiftcardID, millis(g.ExpiresAt), millis(g.CanceledAt), g.Expired, g.SaleID,
		capture, g.CapturedAmount)
	if err != nil || g.Trans.ID == op.ID {
		return err
	}
	if err := t.row(qOpThere, g.Trans.ID).Scan(&n); err != nil || n > 0 {
		return err
	}
	return t.moveOpIn(g.Trans, r, nil)
}

// moveSaleIn writes a sale that came from another machine, unless an operation of it came before.
func (t *tx) moveSaleIn(r offline.Record) (bool, error) {
	var n int
	if err := t.row(qSaleThere, r.ID).Scan(&n); err != nil || n > 0 {
		return false, err
	}
	warnings, err := list(r.Warnings)
	if err != nil {
		return false, err
	}
	tenders, err := list(r.Tenders)
	if err != nil {
		return false, err
	}
	return true, t.addSale(offline.Acceptance{Record: r, Operations: make([]offline.Operation, 1)}, warnings, tenders)
}

// NoteExported implements offline.Mover.
func (v Outbox) NoteExported(ctx context.Context, seq int64, by journal.Actor) error {
	err := v.s.change(ctx, func(t *tx) error {
		if _, err := t.exec(qSettingSet, settingExported, strconv.FormatInt(seq, 10)); err != nil {
			return err
		}
		return t.audit(by, "queue.export", "", "up to operation "+strconv.FormatInt(seq, 10))
	})
	if err != nil {
		return fmt.Errorf("note the export: %w", err)
	}
	return nil
}

// Exported implements offline.Mover.
func (v Outbox) Exported(ctx context.Context) (bool, error) {
	var last int64
	if err := v.s.read.QueryRowContext(ctx, qOpenLast).Scan(&last); err != nil {
		return false, fmt.Errorf("read what is undelivered: %w", err)
	}
	text, err := v.s.Settings().Get(ctx, settingExported)
	if errors.Is(err, journal.ErrNotFound) {
		return last == 0, nil
	}
	if err != nil {
		return false, err
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return false, fmt.Errorf("read setting %s: %w", settingExported, err)
	}
	return last <= seq, nil
}
