package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"

	"storeagent/internal/journal"
)

//go:embed schema/*.sql
var schema embed.FS

// driverName is what modernc.org/sqlite registers itself as.
const driverName = "sqlite"

// SQLite's primary result codes that are told apart here (sqlite.org/rescode.html).
const (
	codeError      = 1
	codeReadonly   = 8
	codeIOErr      = 10
	codeCorrupt    = 11
	codeFull       = 13
	codeTooBig     = 18
	codeConstraint = 19
	codeMismatch   = 20
	codeRange      = 25
	codeNotADB     = 26
)

// primary gives the primary result code of an SQLite error, 0 for any other error.
func primary(err error) int {
	if se, ok := errors.AsType[*sqlite.Error](err); ok {
		return se.Code() & 0xff
	}
	return 0
}

// refused tells that the disk would not take the write: full, failing, or mounted read-only.
func refused(err error) bool {
	switch primary(err) {
	case codeFull, codeIOErr, codeReadonly:
		return true
	}
	return errors.Is(err, journal.ErrStorageFull)
}

// fatal tells that err ends the whole transaction, not just the statement or the caller that met it. Errors that are
// not the database's own are the caller's refusals.
func fatal(err error) bool {
	if errors.Is(err, sql.ErrConnDone) || errors.Is(err, journal.ErrStorageFull) {
		return true
	}
	switch primary(err) {
	case 0, codeError, codeTooBig, codeConstraint, codeMismatch, codeRange:
		return false
	}
	return true
}

// dsn is the connection string of the file with pragmas that every connection of a pool gets.
func dsn(path string, query url.Values, pragmas ...string) string {
	for _, p := range pragmas {
		query.Add("_pragma", p)
	}
	p := filepath.ToSlash(path)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a drive letter
	}
	return (&url.URL{Scheme: "file", Path: p, RawQuery: query.Encode()}).String()
}

// openWriter opens the one connection that writes. The file is made first, so that its mode is ours: SQLite gives
// the -wal and -shm files the same.
func openWriter(path string) (*sql.DB, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make database file: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("make database file: %w", err)
	}
	pragmas := []string{
		"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(5000)", "foreign_keys(1)", "cell_size_check(1)",
		"trusted_schema(0)", "wal_autocheckpoint(1000)", "journal_size_limit(16777216)",
		"temp_store(MEMORY)", // the undo log of savepoints: in a file it takes half of a batch's time
	}
	if runtime.GOOS == "darwin" { // elsewhere fsync means it
		pragmas = append(pragmas, "fullfsync(1)", "checkpoint_fullfsync(1)")
	}
	db, err := sql.Open(driverName, dsn(path, url.Values{"_txlock": {"immediate"}}, pragmas...))
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db.SetMaxOpenConns(1)
	db.SetMaxIdleConns(1)
	db.SetConnMaxLifetime(0)
	return db, nil
}

// openReaders opens the pool that can only read.
func openReaders(path string) (*sql.DB, error) {
	db, err := sql.Open(driverName, dsn(path, url.Values{"mode": {"ro"}},
		"query_only(1)", "busy_timeout(5000)", "cell_size_check(1)", "trusted_schema(0)"))
	if err != nil {
		return nil, fmt.Errorf("open database for reading: %w", err)
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	return db, nil
}

// migrate brings the tables up to date.
func migrate(ctx context.Context, db *sql.DB) error {
	steps, err := fs.Sub(schema, "schema")
	if err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, steps, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("read schema: %w", err)
	}
	have, want, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read schema version: %w", err)
	}
	if have > want {
		return fmt.Errorf("%w: its tables are version %d, this program knows %d", ErrNewer, have, want)
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("bring tables up to date: %w", err)
	}
	return nil
}
