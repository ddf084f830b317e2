package sqlite

import (
	"context"
	"fmt"

	"storeagent/internal/journal"
)

// Answer returns what the first request with that pairing and key was told, or journal.ErrNotFound.
func (v Keys) Answer(ctx context.Context, pairingID, key string) (journal.Answer, error) {
	var a journal.Answer
	var body, fingerprint []byte
	err := v.s.read.QueryRowContext(ctx, qAnswer, pairingID, key).Scan(&a.Status, &a.Location, &body, &fingerprint)
	if err != nil {
		return journal.Answer{}, fmt.Errorf("read idempotency record: %w", notFound(err))
	}
	a.Body = body
	copy(a.Fingerprint[:], fingerprint)
	return a, nil
}

// Record writes an answer for a request whose state change is not in the database. journal.ErrKeyUsed where the key
// has one.
func (v Keys) Record(ctx context.Context, k journal.Key, a journal.Answer) error {
	return v.s.change(ctx, func(t *tx) error { return t.key(k, a) })
}
