package sqlite

import "testing"

// TestEveryCommitIsFlushed: no killed process shows a missing flush, only a power cut would; so what SQLite says of
// itself is held to.
func TestEveryCommitIsFlushed(t *testing.T) {
	s := openTemp(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "trusted_schema": "0"} {
		var got string
		if err := s.change(t.Context(), func(tx *tx) error { return tx.row("PRAGMA " + pragma).Scan(&got) }); err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s is %s on the writing connection, want %s", pragma, got, want)
		}
	}
}
