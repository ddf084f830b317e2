package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"storeagent/internal/journal"
)

// AuditRow is one thing that a person decided.
type AuditRow struct {
	Seq     int64
	At      time.Time
	Actor   journal.Actor
	Action  string // like queue.resend, payment.resolve, pairing.add
	Subject string // the id of what it was about
	Note    string
}

// ErrAudit means that the chain is broken: a row was changed, taken out or put in behind the agent's back.
var ErrAudit = errors.New("audit chain is broken")

// chained is a row with its place in the chain.
type chained struct {
	AuditRow
	at         int64
	prev, hash []byte
}

// sum is SHA-256 over the hash before and the fields, each with its length before it.
func (c chained) sum() []byte {
	h := sha256.New()
	field := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	field(c.prev)
	field(binary.BigEndian.AppendUint64(nil, uint64(c.at)))
	for _, s := range []string{c.Actor.PairingID, c.Actor.Name, string(c.Actor.Role), c.Action, c.Subject, c.Note} {
		field([]byte(s))
	}
	return h.Sum(nil)
}

// audit appends a row to the chain inside the transaction.
func (t *tx) audit(by journal.Actor, action, subject, note string) error {
	c := chained{AuditRow: AuditRow{Actor: by, Action: action, Subject: subject, Note: note}, at: nowMillis(), prev: []byte{}}
	if err := t.row(qAuditLast).Scan(&c.prev); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("write audit: %w", err)
	}
	_, err := t.exec(qAuditAdd, c.at, by.PairingID, by.Name, string(by.Role), action, subject, note, c.prev, c.sum())
	if err != nil {
		return fmt.Errorf("write audit: %w", err)
	}
	return nil
}

// Add implements offline.Auditor: a row for a decision that changes nothing else in the database.
func (v Audit) Add(ctx context.Context, by journal.Actor, action, subject, note string) error {
	return v.s.change(ctx, func(t *tx) error { return t.audit(by, action, subject, note) })
}

// List returns a page, newest first, and the next cursor ("" at the end).
func (v Audit) List(ctx context.Context, limit int, cursor string) ([]AuditRow, string, error) {
	c := conditions{}
	if err := c.before(cursor); err != nil {
		return nil, "", fmt.Errorf("list audit: %w", err)
	}
	before := any(int64(1<<63 - 1))
	if len(c.args) > 0 {
		before = c.args[0]
	}
	limit = pageSize(limit)
	links, err := v.links(ctx, qAuditDown, before, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list audit: %w", err)
	}
	rows, seqs := make([]AuditRow, len(links)), make([]int64, len(links))
	for i, l := range links {
		rows[i], seqs[i] = l.AuditRow, l.Seq
	}
	rows, next := cut(rows, seqs, limit)
	return rows, next, nil
}

// Verify walks the whole chain and fails with ErrAudit, naming the first row that does not fit.
func (v Audit) Verify(ctx context.Context) error {
	prev, last := []byte{}, int64(0)
	for {
		page, err := v.links(ctx, qAuditUp, last, pageLimit)
		if err != nil {
			return fmt.Errorf("verify audit: %w", err)
		}
		for _, l := range page {
			if l.Seq != last+1 || !bytes.Equal(l.prev, prev) || !bytes.Equal(l.hash, l.sum()) {
				return fmt.Errorf("%w at row %d", ErrAudit, last+1)
			}
			prev, last = l.hash, l.Seq
		}
		if len(page) < pageLimit {
			break
		}
	}
	var given int64
	if err := v.s.read.QueryRowContext(ctx, qSequence, "audit").Scan(&given); err != nil {
		return fmt.Errorf("verify audit: %w", err)
	}
	if given > last {
		return fmt.Errorf("%w: rows %d to %d are gone", ErrAudit, last+1, given)
	}
	return nil
}

func (v Audit) links(ctx context.Context, query string, args ...any) ([]chained, error) {
	rows, err := v.s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return collect(rows, func(row scanner) (chained, error) {
		var c chained
		err := row.Scan(&c.Seq, &c.at, &c.Actor.PairingID, &c.Actor.Name, &c.Actor.Role, &c.Action, &c.Subject, &c.Note, &c.prev, &c.hash)
		c.At = fromMillis(c.at)
		return c, err
	})
}
