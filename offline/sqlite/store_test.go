package sqlite

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/offlinetest"
	"storeagent/offline/sale"
)

// openIn opens the store in dir without a disk reserve.
func openIn(tb testing.TB, dir string) *Store {
	tb.Helper()
	s, err := Open(context.Background(), Options{Dir: dir, ReserveBytes: -1})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func closeIt(tb testing.TB, s *Store) {
	tb.Helper()
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}

func openTemp(tb testing.TB) *Store {
	tb.Helper()
	s := openIn(tb, tb.TempDir())
	tb.Cleanup(func() { closeIt(tb, s) })
	return s
}

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// someSale is a sale with one purchase.
func someSale(n int) offline.Acceptance {
	id := newID()
	body := fmt.Appendf(nil, `{"transactionId":"T%d","payAmount":"12.50"}`, n)
	return offline.Acceptance{
		Record: offline.Record{
			ID: id, StoreCode: "DALLAS", TransactionID: fmt.Sprintf("T%d", n), Kind: sale.Sold, Currency: "USD", Amount: "12.50",
			Body: body, ContentHash: sha256.Sum256(body), AcceptedAt: time.Now(), AcceptedBy: "lane-3",
		},
		Operations: []offline.Operation{{
			ID: newID(), Type: offline.Purchase, SaleID: id, Stream: "sale:" + id, Payload: body, ContentHash: sha256.Sum256(body),
			Ref: fmt.Sprintf("T%d", n), Amount: "12.50", Currency: "USD", CreatedAt: time.Now(),
		}},
	}
}

func someEntry(n int) journal.Entry {
	k := journal.Key{PairingID: "p1", Text: fmt.Sprintf("key-%d", n), Fingerprint: sha256.Sum256(fmt.Append(nil, n))}
	return journal.Entry{
		Key: &k, Answer: journal.Answer{Status: 201, Location: fmt.Sprintf("/v1/sales/%d", n), Body: []byte(`{"ok":true}`)},
		Events: []journal.Event{journal.NewEvent("sale", time.Now(), map[string]int{"n": n})},
		Actor:  journal.Actor{PairingID: "p1", Name: "Ann", Role: journal.RoleTechnician},
	}
}

func mustAccept(tb testing.TB, s *Store, n int) offline.Acceptance {
	tb.Helper()
	a := someSale(n)
	if err := s.Outbox().AcceptSale(context.Background(), a, someEntry(n)); err != nil {
		tb.Fatal(err)
	}
	return a
}

// readable is the outbox with the readers that let the suite look at events and keys.
type readable struct {
	Outbox
	Events
	Keys
}

func TestOutboxConformance(t *testing.T) {
	offlinetest.Suite(t, func(t *testing.T) offline.Store {
		s := openTemp(t)
		return readable{s.Outbox(), s.Events(), s.Keys()}
	})
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	_, err := Open(t.Context(), Options{Dir: dir, ReserveBytes: -1})
	if !errors.Is(err, ErrLocked) {
		t.Fatalf("second open: %v, want ErrLocked", err)
	}
	closeIt(t, s)
	closeIt(t, openIn(t, dir))
}

func TestFilesAreOurs(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "da ta%3F?#&") // a name that must not be read as part of an address
	s := openIn(t, dir)
	defer closeIt(t, s)
	mustAccept(t, s, 1)
	for _, name := range []string{"", DatabaseFile, DatabaseFile + "-wal", highwaterFile, LockFile} {
		fi, err := os.Stat(dir + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v, want nobody else to read it", name, fi.Mode())
		}
	}
}

func TestClosedStore(t *testing.T) {
	s := openIn(t, t.TempDir())
	closeIt(t, s)
	if err := s.Outbox().AcceptSale(t.Context(), someSale(1), journal.Entry{}); !errors.Is(err, ErrClosed) {
		t.Errorf("accept after close: %v, want ErrClosed", err)
	}
	if err := s.Close(); !errors.Is(err, ErrClosed) {
		t.Errorf("second close: %v, want ErrClosed", err)
	}
	if err := s.Writable(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("writable after close: %v, want ErrClosed", err)
	}
}

func TestNewerFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	closeIt(t, openIn(t, dir))
	db, err := openWriter(dir + "/" + DatabaseFile)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)`)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir, ReserveBytes: -1}); !errors.Is(err, ErrNewer) {
		t.Errorf("open: %v, want ErrNewer", err)
	}
}
