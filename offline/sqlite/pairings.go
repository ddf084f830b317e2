package sqlite

import (
	"context"
	"fmt"
	"time"

	"storeagent/internal/journal"
)

// AddPairing writes a new pairing with an audit row.
func (v Pairings) AddPairing(ctx context.Context, p journal.Pairing, e journal.Entry) error {
	err := v.s.change(ctx, func(t *tx) error {
		if err := t.entry(e); err != nil {
			return err
		}
		_, err := t.exec(qPairingAdd, p.ID, p.Name, string(p.Role), p.Origin, p.TokenHash[:], millis(p.CreatedAt), millis(p.RevokedAt))
		if err != nil {
			return err
		}
		return t.audit(e.Actor, "pairing.add", p.ID, string(p.Role)+" "+p.Name)
	})
	if err != nil {
		return fmt.Errorf("add pairing %s: %w", p.Name, err)
	}
	return nil
}

// Pairings returns all pairings, revoked ones too, oldest first.
func (v Pairings) Pairings(ctx context.Context) ([]journal.Pairing, error) {
	rows, err := v.s.read.QueryContext(ctx, qPairings)
	if err != nil {
		return nil, fmt.Errorf("read pairings: %w", err)
	}
	return collect(rows, func(row scanner) (journal.Pairing, error) {
		var p journal.Pairing
		var hash []byte
		var created, revoked int64
		err := row.Scan(&p.ID, &p.Name, &p.Role, &p.Origin, &hash, &created, &revoked)
		copy(p.TokenHash[:], hash)
		p.CreatedAt, p.RevokedAt = fromMillis(created), fromMillis(revoked)
		return p, err
	})
}

// RevokePairing ends a pairing with an audit row, or fails with journal.ErrNotFound. One that was revoked before keeps
// its first time.
func (v Pairings) RevokePairing(ctx context.Context, id string, at time.Time, e journal.Entry) error {
	err := v.s.change(ctx, func(t *tx) error {
		if err := t.entry(e); err != nil {
			return err
		}
		var name string
		if err := t.row(qPairingName, id).Scan(&name); err != nil {
			return notFound(err)
		}
		n, err := t.changed(qPairingRevoke, id, millis(at))
		if err != nil || n == 0 {
			return err
		}
		return t.audit(e.Actor, "pairing.revoke", id, name)
	})
	if err != nil {
		return fmt.Errorf("revoke pairing %s: %w", id, err)
	}
	return nil
}
