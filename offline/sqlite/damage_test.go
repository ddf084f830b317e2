package sqlite

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/payments"
)

// crashed makes a folder as a power cut leaves it: sales 1 to 10 in the database file, 11 to 20 in its log, sale 20
// being sent, and a payment under way.
func crashed(t *testing.T) (dir string, sales []offline.Acceptance) {
	t.Helper()
	live := t.TempDir()
	s := openIn(t, live)
	for n := 1; n <= 10; n++ {
		sales = append(sales, mustAccept(t, s, n))
	}
	closeIt(t, s) // folds the log into the file
	s = openIn(t, live)
	for n := 11; n <= 20; n++ {
		sales = append(sales, mustAccept(t, s, n))
	}
	err := errors.Join(
		s.Payments().Create(t.Context(), somePayment(t, "pay-1", "front"), journal.Entry{}),
		s.Outbox().Begin(t.Context(), sales[19].Operations[0].ID, 1, time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, name := range []string{DatabaseFile, DatabaseFile + "-wal", highwaterFile} {
		copyFile(t, filepath.Join(live, name), filepath.Join(dir, name))
	}
	closeIt(t, s)
	return dir, sales
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// edit rewrites a file.
func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(data), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func zero(b []byte) {
	for i := range b {
		b[i] = 0
	}
}

const walFrame = 4096 + 24

var damages = []struct {
	name  string
	do    func(t *testing.T, db, wal, mark string)
	codes string // of the findings
	lost  string // sales named as missing
	moved bool   // the database was put aside
	first string // state of sale 1's operation afterwards, "" where it is gone with the file
}{
	{"nothing", func(*testing.T, string, string, string) {}, "", "", false, "queued"},
	{"log deleted", func(t *testing.T, _, wal, _ string) { remove(t, wal) },
		"commits_lost sales_missing", "sales 11 to 20 are", false, "in_doubt"},
	{"log emptied", func(t *testing.T, _, wal, _ string) { edit(t, wal, func([]byte) []byte { return nil }) },
		"commits_lost sales_missing", "sales 11 to 20 are", false, "in_doubt"},
	{"last 100 bytes of the log cut", func(t *testing.T, _, wal, _ string) {
		edit(t, wal, func(b []byte) []byte { return b[:len(b)-100] })
	}, "commits_lost", "", false, "in_doubt"}, // loses the last commit, which began sale 20
	{"byte flipped in the middle of the log", func(t *testing.T, _, wal, _ string) {
		edit(t, wal, func(b []byte) []byte { b[len(b)/walFrame/2*walFrame+2000] ^= 1; return b })
	}, "commits_lost sales_missing", "to 20 are", false, "in_doubt"},
	{"pages zeroed", func(t *testing.T, db, _, _ string) { // many: newer copies of some are in the log
		edit(t, db, func(b []byte) []byte { zero(b[4096:]); return b })
	}, "database_damaged sales_missing", "sales 1 to 20 are", true, ""},
	{"file truncated", func(t *testing.T, db, wal, _ string) {
		remove(t, wal)
		edit(t, db, func(b []byte) []byte { return b[:len(b)/2] })
	}, "database_damaged sales_missing", "sales 1 to 20 are", true, ""},
	{"bad header", func(t *testing.T, db, wal, _ string) {
		remove(t, wal)
		edit(t, db, func(b []byte) []byte { copy(b, "garbage garbage "); return b })
	}, "database_damaged sales_missing", "sales 1 to 20 are", true, ""},
	{"database deleted, log left", func(t *testing.T, db, _, _ string) { remove(t, db) },
		"database_damaged sales_missing", "sales 1 to 20 are", true, ""},
	{"database deleted", func(t *testing.T, db, wal, _ string) { remove(t, db); remove(t, wal) },
		"queue_replaced sales_missing", "sales 1 to 20 are", false, ""},
	{"high-water mark deleted", func(t *testing.T, _, _, mark string) { remove(t, mark) },
		"highwater_missing", "", false, "in_doubt"},
	{"head of the high-water mark gone", func(t *testing.T, _, _, mark string) {
		edit(t, mark, func(b []byte) []byte { b[3] ^= 1; return b })
	}, "highwater_damaged", "", false, "in_doubt"},
	{"record in the middle of the high-water mark broken", func(t *testing.T, _, _, mark string) {
		edit(t, mark, func(b []byte) []byte { b[5*slotSize+3] ^= 1; return b })
	}, "highwater_damaged", "", false, "queued"},
	{"torn last record", func(t *testing.T, _, _, mark string) {
		edit(t, mark, func(b []byte) []byte {
			next := parseHighwater(b).next
			b[next*slotSize+9] = 7
			return b
		})
	}, "", "", false, "queued"},
	{"high-water mark of another database", func(t *testing.T, _, _, mark string) {
		other := t.TempDir()
		s := openIn(t, other)
		mustAccept(t, s, 1)
		closeIt(t, s)
		copyFile(t, filepath.Join(other, highwaterFile), mark)
	}, "queue_replaced sales_missing", "sale 1 is", false, "in_doubt"},
}

func TestDamageIsFoundAtStart(t *testing.T) {
	for _, tc := range damages {
		t.Run(tc.name, func(t *testing.T) {
			dir, sales := crashed(t)
			db := filepath.Join(dir, DatabaseFile)
			tc.do(t, db, db+"-wal", filepath.Join(dir, highwaterFile))
			before := contents(t, dir)
			s := openIn(t, dir)
			checkFindings(t, s, tc.codes, tc.lost)
			if tc.moved {
				checkKept(t, dir, before)
			}
			checkFirst(t, s, sales[0], tc.first)
			checkNumbers(t, s, 20)
			told := len(s.Findings())
			closeIt(t, s)

			s = openIn(t, dir)
			defer closeIt(t, s)
			if got := len(s.Findings()); got != told {
				t.Errorf("%d findings after another start, want the same %d until somebody takes note", got, told)
			}
			if err := s.NoteFindings(t.Context(), journal.Actor{Name: "Tom"}, "seen"); err != nil {
				t.Fatal(err)
			}
			if list := s.Findings(); len(list) > 0 {
				t.Errorf("findings after they were noted: %v", list)
			}
		})
	}
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{DatabaseFile, DatabaseFile + "-wal"} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			files[name] = data
		} else if !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return files
}

func checkFindings(t *testing.T, s *Store, codes, lost string) {
	t.Helper()
	var got []string
	message := ""
	for _, f := range s.Findings() {
		got = append(got, f.Code)
		if f.Hint == "" {
			t.Errorf("finding %s has no hint", f.Code)
		}
		if f.Code == "sales_missing" {
			message = f.Message
		}
		older := slices.Contains([]string{"database_damaged", "highwater_missing", "queue_replaced", "commits_lost"}, f.Code)
		if older != strings.Contains(f.Hint, "Idempotency keys") {
			t.Errorf("finding %s says of the keys that came after: %s", f.Code, f.Hint)
		}
	}
	if strings.Join(got, " ") != codes {
		t.Errorf("findings %v, want %s", s.Findings(), codes)
	}
	if !strings.Contains(message, lost) {
		t.Errorf("missing sales: %q, want %q", message, lost)
	}
}

// checkKept looks for the files as they were before, byte by byte.
func checkKept(t *testing.T, dir string, before map[string][]byte) {
	t.Helper()
	for name, want := range before {
		found, err := filepath.Glob(filepath.Join(dir, "damaged-*", name))
		if err != nil || len(found) != 1 {
			t.Fatalf("kept copies of %s: %v, %v", name, found, err)
		}
		got, err := os.ReadFile(found[0])
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s was changed on its way aside: %v", name, err)
		}
	}
}

func checkFirst(t *testing.T, s *Store, a offline.Acceptance, want string) {
	t.Helper()
	op, err := s.Outbox().Operation(t.Context(), a.Operations[0].ID)
	if want == "" {
		if !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("first operation: %v, want it gone", err)
		}
		return
	}
	if err != nil || string(op.State) != want {
		t.Errorf("first operation is %s, %v, want %s", op.State, err, want)
	}
	if view, err := s.Outbox().Sale(t.Context(), op.SaleID); err != nil || view.State != op.State {
		t.Errorf("its sale is %s, %v", view.State, err)
	}
	if heads, err := s.Outbox().Heads(t.Context(), time.Now(), 100, nil); err != nil || (want == "in_doubt") != (len(heads) == 0) {
		t.Errorf("%d heads, %v, first operation %s", len(heads), err, want)
	}
}

// checkNumbers wants new sales and events behind every number that was ever given and that anything still knows of.
func checkNumbers(t *testing.T, s *Store, events int64) {
	t.Helper()
	if got := s.Events().Last(); got != events {
		t.Errorf("last event %d, want %d", got, events)
	}
	a := mustAccept(t, s, 99)
	var seq int64
	if err := s.read.db.QueryRow(`SELECT seq FROM sales WHERE id = ?`, a.Record.ID).Scan(&seq); err != nil || seq != 21 {
		t.Errorf("new sale has number %d, %v, want 21", seq, err)
	}
}

func TestLostPaymentIsNamedAndOpenOnesAreInDoubt(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	ctx := t.Context()
	kept := somePayment(t, newID(), "front")
	if err := s.Payments().Create(ctx, kept, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	closeIt(t, s)
	old := t.TempDir()
	copyFile(t, filepath.Join(dir, DatabaseFile), filepath.Join(old, DatabaseFile))
	s = openIn(t, dir)
	lost := somePayment(t, newID(), "back")
	if err := s.Payments().Create(ctx, lost, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	closeIt(t, s)
	copyFile(t, filepath.Join(old, DatabaseFile), filepath.Join(dir, DatabaseFile)) // an old copy is put back

	s = openIn(t, dir)
	defer closeIt(t, s)
	list := s.Findings()
	if len(list) != 2 || list[1].Code != "payments_missing" || !strings.Contains(list[1].Message, lost.ID) || strings.Contains(list[1].Message, kept.ID) {
		t.Errorf("findings %v", list)
	}
	p, err := s.Payments().Get(ctx, kept.ID)
	if err != nil || p.State != payments.InDoubt {
		t.Errorf("open payment is %s, %v, want in_doubt: it may have been sent", p.State, err)
	}
}

func TestHighwaterRotates(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	for n := range 3 {
		mustAccept(t, s, n)
	}
	many := make([]record, slots)
	for i := range many {
		many[i] = record{kind: kindCommit, commit: 1}
	}
	for range 3 { // the writer is idle
		if err := s.w.hw.append(many[:slots/2]); err != nil {
			t.Fatal(err)
		}
	}
	mustAccept(t, s, 3)
	closeIt(t, s)
	fi, err := os.Stat(filepath.Join(dir, highwaterFile))
	if err != nil || fi.Size() != slots*slotSize {
		t.Errorf("file has %d bytes, %v", fi.Size(), err)
	}
	m, err := readHighwater(filepath.Join(dir, highwaterFile))
	if err != nil || !m.headOK || m.holes || m.lastCommit() != 4 || m.lastSale() != 4 {
		t.Errorf("after rotation: head %v, holes %v, commit %d, sale %d, %v", m.headOK, m.holes, m.lastCommit(), m.lastSale(), err)
	}
	s = openIn(t, dir)
	if list := s.Findings(); len(list) > 0 {
		t.Errorf("findings %v", list)
	}
	closeIt(t, s)
}

// FuzzParseHighwater: no content makes reading fail, and what is read is what was written.
func FuzzParseHighwater(f *testing.F) {
	good := encodeAll([]record{{kind: kindHead}, {kind: kindSale, commit: 1, seq: 1}, {kind: kindCommit, commit: 2}})
	f.Add(good, 70)
	f.Add(good[:100], 3)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, data []byte, flip int) {
		m := parseHighwater(data)
		if m.next < 1 || m.next > slots || len(m.records) >= m.next {
			t.Fatalf("%d records, next slot %d", len(m.records), m.next)
		}
		again := parseHighwater(append(encodeAll([]record{{kind: kindHead, id: m.epoch}}), encodeAll(m.records)...))
		if len(again.records) != len(m.records) || again.holes || again.torn != 0 {
			t.Fatalf("written again: %d records, holes %v", len(again.records), again.holes)
		}
		if len(data) == 0 || flip < 0 {
			return
		}
		changed := bytes.Clone(data)
		changed[flip%len(data)] ^= 0x10
		if n := len(parseHighwater(changed).records); n > len(m.records)+1 {
			t.Fatalf("one changed byte made %d records of %d", n, len(m.records))
		}
	})
}

// corruption gives the error that SQLite answers with for a damaged page.
func corruption(t *testing.T) error {
	t.Helper()
	dir := t.TempDir()
	closeIt(t, openIn(t, dir))
	path := filepath.Join(dir, DatabaseFile)
	edit(t, path, func(b []byte) []byte { zero(b[4096:]); return b })
	db, err := openReaders(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n int
	if err = db.QueryRow(`SELECT count(*) FROM sales`).Scan(&n); primary(err) != codeCorrupt {
		t.Fatalf("damaged file: %v, want code 11", err)
	}
	return err
}

func TestDamageMetWhileRunningHurtsOnlyItsCaller(t *testing.T) {
	broken := corruption(t)
	s := openTemp(t)
	release := hold(t, s)
	set := func(name string) *request {
		return &request{ctx: t.Context(), do: func(tx *tx) error { _, err := tx.exec(qSettingSet, name, "x"); return err }}
	}
	first := handOver(s, set("first"))
	bad := handOver(s, &request{ctx: t.Context(), do: func(*tx) error { return broken }})
	last := handOver(s, set("last"))
	release()
	if err := <-bad; primary(err) != codeCorrupt || errors.Is(err, journal.ErrStorageFull) {
		t.Errorf("who met the damage heard %v", err)
	}
	if err := errors.Join(<-first, <-last); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"first", "last"} {
		if _, err := s.Settings().Get(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
}
