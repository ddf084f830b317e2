package sqlite

import (
	"database/sql"
	"errors"
	"fmt"

	"storeagent/internal/journal"
	"storeagent/offline"
)

// tx is the running transaction as one caller sees it.
type tx struct {
	w      *writer
	fx     *effects
	oldest *ages
}

// effects are what a caller's change means beyond the database once it is committed.
type effects struct {
	records   []record
	moves     []move
	lastEvent int64
}

// move is an operation going from one state to another; from "" it is new.
type move struct {
	from, to         offline.State
	amount, currency string
}

// scanner is a row, or the current row of many.
type scanner interface{ Scan(dest ...any) error }

func (t *tx) exec(query string, args ...any) (sql.Result, error) {
	st, err := t.w.stmt(query) //nolint:sqlclosecheck // kept for the next use
	if err != nil {
		return nil, err
	}
	return st.ExecContext(t.w.ctx, args...)
}

// changed runs a statement and returns how many rows it touched.
func (t *tx) changed(query string, args ...any) (int64, error) {
	res, err := t.exec(query, args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// row runs a query for one row. Scan fails with sql.ErrNoRows where there is none.
func (t *tx) row(query string, args ...any) scanner {
	st, err := t.w.stmt(query) //nolint:sqlclosecheck // kept for the next use
	if err != nil {
		return failed{err}
	}
	return st.QueryRowContext(t.w.ctx, args...)
}

func (t *tx) rows(query string, args ...any) (*sql.Rows, error) {
	st, err := t.w.stmt(query) //nolint:sqlclosecheck // kept for the next use
	if err != nil {
		return nil, err
	}
	return st.QueryContext(t.w.ctx, args...)
}

// failed is a row that could not be asked for.
type failed struct{ err error }

func (f failed) Scan(...any) error { return f.err }

// collect reads and closes rows.
func collect[T any](rows *sql.Rows, read func(scanner) (T, error)) ([]T, error) {
	var list []T
	for rows.Next() {
		v, err := read(rows)
		if err != nil {
			return nil, errors.Join(err, rows.Close())
		}
		list = append(list, v)
	}
	return list, errors.Join(rows.Err(), rows.Close())
}

// notFound turns "no row" into journal.ErrNotFound.
func notFound(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return journal.ErrNotFound
	}
	return err
}

// remember adds a record for the high-water mark.
func (t *tx) remember(r record) { t.fx.records = append(t.fx.records, r) }

// moved notes a change of state for the counts.
func (t *tx) moved(from, to offline.State, amount, currency string) {
	t.fx.moves = append(t.fx.moves, move{from, to, amount, currency})
}

// entry writes the answer under its key and the events; see journal.Entry.
func (t *tx) entry(e journal.Entry) error {
	if e.Key != nil {
		if err := t.key(*e.Key, e.Answer); err != nil {
			return err
		}
	}
	return t.events(e.Events)
}

func (t *tx) key(k journal.Key, a journal.Answer) error {
	n, err := t.changed(qAnswerAdd, k.PairingID, k.Text, k.Fingerprint[:], a.Status, a.Location, blob(a.Body), nowMillis())
	if err != nil {
		return fmt.Errorf("write idempotency record: %w", err)
	}
	if n == 0 {
		return journal.ErrKeyUsed
	}
	return nil
}

func (t *tx) events(list []journal.Event) error {
	for _, e := range list {
		res, err := t.exec(qEventAdd, e.Type, millis(e.At), e.Scanner, e.Owner, blob(e.Data))
		if err != nil {
			return fmt.Errorf("write event: %w", err)
		}
		if t.fx.lastEvent, err = res.LastInsertId(); err != nil {
			return fmt.Errorf("write event: %w", err)
		}
	}
	return nil
}

// blob is nil for nothing, so that an empty text is not read back as an empty JSON document.
func blob(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}
