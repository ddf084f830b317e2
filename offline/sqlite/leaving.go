package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
)

// Left is what a data folder holds that the cloud has not got.
type Left struct {
	Count    int
	Amounts  map[string]string // sums by currency
	Exported bool              // a person has a copy of all of it
}

// Undelivered looks into a data folder that no agent uses, without changing anything, so that nobody removes sales by
// removing the folder. A folder without a database holds nothing. An unreadable database is an error: then nobody knows.
func Undelivered(ctx context.Context, dir string) (Left, error) {
	left := Left{Amounts: map[string]string{}, Exported: true}
	path := filepath.Join(dir, DatabaseFile)
	if missing(path) {
		return left, nil
	}
	db, err := openLook(path)
	if err != nil {
		return Left{}, fmt.Errorf("look into %s: %w", dir, err)
	}
	err = left.read(ctx, db)
	if err := errors.Join(err, db.Close()); err != nil {
		return Left{}, fmt.Errorf("look into %s: %w", dir, err)
	}
	return left, nil
}

func (l *Left) read(ctx context.Context, db *sql.DB) error {
	t, err := loadTally(ctx, db)
	if err != nil {
		return err
	}
	c := t.counts()
	l.Amounts = c.OpenAmounts
	for state, n := range c.ByState {
		if isOpen(state) {
			l.Count += n
		}
	}
	if l.Count -= c.Moved; l.Count == 0 {
		return nil
	}
	var last int64
	if err := db.QueryRowContext(ctx, qOpenLast).Scan(&last); err != nil {
		return err
	}
	var text string
	err = db.QueryRowContext(ctx, qSettingGet, settingExported).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		l.Exported = false
		return nil
	}
	if err != nil {
		return err
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	l.Exported = last <= seq
	return err
}
