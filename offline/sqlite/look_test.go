package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"storeagent/internal/journal"
)

// files lists a folder with the sizes of what is in it.
func files(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]int64{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		list[e.Name()] = info.Size()
	}
	return list
}

func TestLookInto(t *testing.T) {
	ctx, dir := t.Context(), t.TempDir()
	if _, err := LookInto(ctx, dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("an empty folder: %v", err)
	}
	s := openIn(t, dir)
	if err := s.Outbox().AcceptSale(ctx, someSale(1), journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Events().Append(ctx, journal.NewEvent("device", time.Now(), map[string]string{"name": "paper"})); err != nil {
		t.Fatal(err)
	}
	for _, running := range []bool{true, false} {
		if !running {
			closeIt(t, s)
		}
		before := files(t, dir)
		l, err := LookInto(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		if l.Version < 5 || l.Integrity != "ok" || l.Troubles != nil || l.Counts["sales"] != 1 || l.Counts["operations"] != 1 || l.Counts["payments"] != 0 {
			t.Errorf("agent runs: %v: %+v", running, l)
		}
		for _, want := range listings() {
			if _, ok := l.Listings[want.name]; !ok {
				t.Errorf("no listing of %s", want.name)
			}
		}
		if ops := l.Listings["operations"]; len(ops) != 1 || ops[0]["search_for"] != "T1" || ops[0]["state"] != "queued" || ops[0]["last_attempt_at"] != nil {
			t.Errorf("operations: %v", ops)
		}
		text, err := json.Marshal(l.Listings)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "payAmount") || !strings.Contains(string(text), `"data":{"name":"paper"}`) {
			t.Errorf("what was posted is shown, or an event's data is not JSON: %s", text)
		}
		if after := files(t, dir); !running && !reflect.DeepEqual(before, after) {
			t.Errorf("the folder changed from %v to %v", before, after)
		}
	}
}

// TestLookIntoDamage tells of a database that is damaged or unreadable, and does not stop at the first trouble.
func TestLookIntoDamage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, DatabaseFile), []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := LookInto(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := len(lookTables()) + len(listings()) + 2; len(l.Troubles) != want {
		t.Errorf("%d troubles, want %d: %v", len(l.Troubles), want, l.Troubles)
	}
	if !slices.ContainsFunc(l.Troubles, func(s string) bool { return strings.HasPrefix(s, "integrity: ") }) {
		t.Errorf("the damage is not named: %v", l.Troubles)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := LookInto(ended, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
}

// TestLookShowsNoContent holds the listings to columns that are no content: what a column with content is called must
// not stand in any of them.
func TestLookShowsNoContent(t *testing.T) {
	for _, want := range listings() {
		for word := range strings.FieldsFuncSeq(want.query, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }) {
			if slices.Contains([]string{"body", "payload", "memo", "document", "raw", "pin", "value", "key", "token_hash", "fingerprint", "stream", "tenders"}, word) {
				t.Errorf("%s shows %s", want.name, word)
			}
		}
	}
}
