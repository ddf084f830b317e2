package sqlite

import (
	"context"
	"fmt"
	"time"
)

// How upkeep goes about its work: in small steps, and out of the way of those who sell.
const (
	pruneRows    = 200                    // of each table in one commit
	prunePause   = 200 * time.Millisecond // between commits
	upkeepEvery  = time.Hour
	upkeepDelay  = 5 * time.Minute // after a start there is more important work
	clockSlack   = 5 * time.Minute // a copy from further in the future was made under another clock
	upkeepBudget = 10 * time.Minute
)

// Run makes the daily backup, and takes the posted content out of sales and operations that were delivered or
// discarded and are older than keep. It blocks until ctx ends. What it cannot do is a Finding, not an error.
func (s *Store) Run(ctx context.Context, keep time.Duration) error {
	for wait := upkeepDelay; sleep(ctx, wait); wait = upkeepEvery {
		s.Upkeep(ctx, keep)
	}
	return nil
}

// Upkeep does what is due now, once. Run calls it.
func (s *Store) Upkeep(ctx context.Context, keep time.Duration) {
	last := s.Backups().At
	if age := time.Since(last); age >= backupEvery || age < -clockSlack {
		if err := s.Backup(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("backup failed", "err", err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, upkeepBudget)
	defer cancel()
	total := 0
	for {
		n, err := s.Prune(ctx, time.Now().Add(-keep))
		total += n
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("cannot prune", "err", err)
			}
			break
		}
		if n == 0 || !sleep(ctx, prunePause) {
			break
		}
	}
	if total > 0 {
		s.log.Info("old content pruned", "rows", total)
	}
}

// Prune takes the posted content out of a few sales and operations that were accepted before that time and are
// delivered or discarded, and returns how many rows it changed. Ids, amounts, hashes, states, attempts, answers under
// idempotency keys and the audit stay, so that a repeat is still known.
func (s *Store) Prune(ctx context.Context, before time.Time) (int, error) {
	n := int64(0)
	err := s.change(ctx, func(t *tx) error {
		sales, err := t.changed(qPruneSales, nowMillis(), millis(before), pruneRows)
		if err != nil {
			return err
		}
		ops, err := t.changed(qPruneOps, nowMillis(), millis(before), pruneRows)
		n = sales + ops
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("prune: %w", err)
	}
	return int(n), nil
}

// sleep waits, and tells whether ctx still runs.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
