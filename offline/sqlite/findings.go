package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"time"

	"storeagent/internal/journal"
)

// findings are those that nobody has taken note of yet.
type findings struct {
	mu   sync.Mutex
	list []Finding
}

func (f *findings) load(ctx context.Context, db *sql.DB) error {
	rows, err := db.QueryContext(ctx, qFindings)
	if err != nil {
		return fmt.Errorf("read findings: %w", err)
	}
	f.list, err = collect(rows, func(row scanner) (Finding, error) {
		var x Finding
		return x, row.Scan(&x.Code, &x.Message, &x.Hint, &x.Severity)
	})
	return err
}

// Findings returns what starts found wrong with the files and nobody has taken note of, oldest first, and what is
// wrong with the disk now.
func (s *Store) Findings() []Finding {
	s.found.mu.Lock()
	list := slices.Clone(s.found.list)
	s.found.mu.Unlock()
	return append(append(list, s.disk.findings()...), s.backupFindings()...)
}

// NoteFindings records, with an audit row, that a person has taken note of all findings so far.
func (s *Store) NoteFindings(ctx context.Context, by journal.Actor, note string) error {
	err := s.change(ctx, func(t *tx) error {
		if _, err := t.exec(qFindingsNoted, millis(time.Now())); err != nil {
			return err
		}
		return t.audit(by, "findings.note", "", note)
	})
	if err != nil {
		return fmt.Errorf("note findings: %w", err)
	}
	s.found.mu.Lock()
	defer s.found.mu.Unlock()
	s.found.list = nil
	return nil
}
