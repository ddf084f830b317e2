package sqlite

import (
	"context"
	"fmt"
)

// Get reads a setting, or fails with journal.ErrNotFound where it was never set.
func (v Settings) Get(ctx context.Context, name string) (string, error) {
	var value string
	if err := v.s.read.QueryRowContext(ctx, qSettingGet, name).Scan(&value); err != nil {
		return "", fmt.Errorf("read setting %s: %w", name, notFound(err))
	}
	return value, nil
}

// Set writes a setting and returns when it is on disk.
func (v Settings) Set(ctx context.Context, name, value string) error {
	err := v.s.change(ctx, func(t *tx) error {
		_, err := t.exec(qSettingSet, name, value)
		return err
	})
	if err != nil {
		return fmt.Errorf("write setting %s: %w", name, err)
	}
	return nil
}
