package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Look is what support needs to know of a database: how it is, and the latest of what happened in it. Nothing in it was
// posted by a register or sealed: no lines of sales, no receipts, no codes, no PINs, no tokens.
type Look struct {
	Version   int64            `json:"version"`   // of the tables, as goose numbers them
	Integrity string           `json:"integrity"` // "ok", or the first damage found
	Counts    map[string]int64 `json:"counts"`    // rows by table
	Troubles  []string         `json:"troubles,omitempty"`

	Listings map[string][]Row `json:"-"` // by name: operations, attempts, payments, …
}

// Row is a row by its columns; times are RFC 3339 texts, JSON is JSON.
type Row map[string]any

// lookTables are counted, in this order.
func lookTables() []string {
	return []string{"sales", "operations", "attempts", "payments", "payment_operations", "print_jobs", "giftcards", "events", "audit", "answers", "pairings", "items", "customers", "closings"}
}

// listing is one query of a Look. Columns are chosen one by one: what is not named here does not leave the store.
type listing struct{ name, query string }

func listings() []listing {
	return []listing{
		{"operations", `SELECT id, type, sale_id, ref AS search_for, state, reason, attempts, last_attempt_at, not_before AS not_before_at,
			error_code, error_message, amount, currency, cloud_id, created_at FROM operations WHERE ` + openStates + ` ORDER BY seq LIMIT 1000`},
		{"attempts", `SELECT op_id, n, boot, started_at, finished_at, class, http_status, code, message FROM attempts ORDER BY started_at DESC LIMIT 300`},
		{"payments", `SELECT id, terminal, state, sale_id, told, created_at FROM payments ORDER BY seq DESC LIMIT 100`},
		{"payment_operations", `SELECT id, payment_id, terminal, type, state, amount, told, created_at FROM payment_operations ORDER BY seq DESC LIMIT 100`},
		{"print_jobs", `SELECT id, printer, state, reason, sale_id, reprint_of, copies, created_at, finished_at, error FROM print_jobs ORDER BY seq DESC LIMIT 100`},
		{"giftcards", `SELECT id, mask, trans_type, mode, amount, currency, created_at, offline, expires_at, canceled_at, expired, sale_id, done FROM giftcards ORDER BY seq DESC LIMIT 100`},
		{"findings", `SELECT at, code, message, hint, severity, noted_at FROM findings ORDER BY seq DESC LIMIT 100`},
		{"audit", `SELECT seq, at, actor_name, actor_role, action, subject, note FROM audit ORDER BY seq DESC LIMIT 200`},
		{"moves", `SELECT id, direction, at, operations FROM moves ORDER BY at DESC LIMIT 50`},
		{"events", `SELECT id, type, at, scanner, data FROM events ORDER BY id DESC LIMIT 500`},
	}
}

// LookInto looks into a data folder without changing anything, beside a running agent or without one. A folder without
// a database is fs.ErrNotExist. What cannot be read of a damaged or older database is named in Troubles.
func LookInto(ctx context.Context, dir string) (Look, error) {
	l := Look{Counts: map[string]int64{}, Listings: map[string][]Row{}}
	path := filepath.Join(dir, DatabaseFile)
	if _, err := os.Stat(path); err != nil {
		return l, fmt.Errorf("look into %s: %w", dir, err)
	}
	db, err := openLook(path)
	if err != nil {
		return l, fmt.Errorf("look into %s: %w", dir, err)
	}
	trouble := func(what string, err error) {
		if err != nil {
			l.Troubles = append(l.Troubles, what+": "+err.Error())
		}
	}
	trouble("version", db.QueryRowContext(ctx, qVersion).Scan(&l.Version))
	trouble("integrity", db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&l.Integrity))
	for _, table := range lookTables() {
		var n int64
		err := db.QueryRowContext(ctx, `SELECT count(*) FROM `+table).Scan(&n)
		trouble(table, err)
		if err == nil {
			l.Counts[table] = n
		}
	}
	for _, want := range listings() {
		rows, err := readRows(ctx, db, want.query)
		trouble(want.name, err)
		if err == nil {
			l.Listings[want.name] = rows
		}
	}
	if err := db.Close(); err != nil {
		return l, fmt.Errorf("look into %s: %w", dir, err)
	}
	return l, ctx.Err()
}

// openLook opens a database of somebody else for reading. Where nobody has it open and nothing is left in its log, it is
// read as a file that does not change, because SQLite would leave an empty log and its index behind.
func openLook(path string) (*sql.DB, error) {
	query := url.Values{"mode": {"ro"}}
	if missing(path + "-wal") {
		query.Set("immutable", "1")
	}
	return sql.Open(driverName, dsn(path, query, "query_only(1)", "busy_timeout(5000)", "trusted_schema(0)"))
}

func readRows(ctx context.Context, db *sql.DB, query string) ([]Row, error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	names, err := rows.Columns()
	if err != nil {
		return nil, errors.Join(err, rows.Close()) //nolint:sqlclosecheck // collect does it otherwise
	}
	return collect(rows, func(s scanner) (Row, error) {
		cells, into := make([]any, len(names)), make([]any, len(names))
		for i := range cells {
			into[i] = &cells[i]
		}
		if err := s.Scan(into...); err != nil {
			return nil, err
		}
		row := Row{}
		for i, name := range names {
			if v := cell(name, cells[i]); v != nil {
				row[name] = v
			}
		}
		return row, nil
	})
}

// cell gives a value as people read it; nil for one that says nothing.
func cell(column string, v any) any {
	switch v := v.(type) {
	case int64:
		if column != "at" && !strings.HasSuffix(column, "_at") {
			return v
		}
		if v == 0 {
			return nil
		}
		return fromMillis(v).Format(time.RFC3339Nano)
	case []byte:
		if json.Valid(v) {
			return json.RawMessage(v)
		}
		return nil
	case string:
		if v == "" {
			return nil
		}
	}
	return v
}

// missing reports whether there is no file of that name.
func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}
