package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"storeagent/offline"
)

// readers is the pool of connections that can only read. It prepares each query once: to read one row, SQLite spends more
// time on the text than on the row. The texts are few: constants, and what listings put together of a few conditions.
type readers struct {
	db *sql.DB

	mu    sync.Mutex
	stmts map[string]*sql.Stmt
}

func newReaders(db *sql.DB) *readers { return &readers{db: db, stmts: map[string]*sql.Stmt{}} }

// stmt prepares a query. The lock is not held meanwhile: a second statement for the same text does no harm.
func (r *readers) stmt(ctx context.Context, query string) (*sql.Stmt, error) {
	r.mu.Lock()
	st, ok := r.stmts[query]
	r.mu.Unlock()
	if ok {
		return st, nil
	}
	st, err := r.db.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if first, ok := r.stmts[query]; ok {
		return first, st.Close() //nolint:sqlclosecheck // somebody was faster
	}
	r.stmts[query] = st
	return st, nil
}

// QueryContext reads rows, which the caller closes.
func (r *readers) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	st, err := r.stmt(ctx, query) //nolint:sqlclosecheck // kept for the next use
	if err != nil {
		return nil, err
	}
	return st.QueryContext(ctx, args...)
}

// QueryRowContext reads one row. Scan fails with sql.ErrNoRows where there is none.
func (r *readers) QueryRowContext(ctx context.Context, query string, args ...any) scanner {
	st, err := r.stmt(ctx, query) //nolint:sqlclosecheck // kept for the next use
	if err != nil {
		return failed{err}
	}
	return st.QueryRowContext(ctx, args...)
}

// moment is the database as it stands at one moment, for what takes more than one query.
type moment struct {
	ctx context.Context
	tx  *sql.Tx
}

// at lets read see one moment.
func (r *readers) at(ctx context.Context, read func(moment) error) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	return read(moment{ctx, tx})
}

// op reads an operation.
func (m moment) op(id string) (offline.Operation, error) {
	op, err := scanOp(m.tx.QueryRowContext(m.ctx, qOp, id))
	return op, notFound(err)
}

// Close ends the pool, and with it the statements.
func (r *readers) Close() error { return r.db.Close() }
