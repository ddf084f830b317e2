package sqlite

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
)

// deliver takes an operation to its end.
func deliver(t *testing.T, s *Store, a offline.Acceptance) {
	t.Helper()
	id := a.Operations[0].ID
	err := errors.Join(s.Outbox().Begin(t.Context(), id, 1, time.Now()),
		s.Outbox().Finish(t.Context(), id, 1, offline.Result{State: offline.Delivered, CloudID: "P-" + id, FinishedAt: time.Now()}))
	if err != nil {
		t.Fatal(err)
	}
}

func TestPruningTakesTheContentAndNothingElse(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	done, open := mustAccept(t, s, 1), mustAccept(t, s, 2)
	dropped := mustAccept(t, s, 3)
	deliver(t, s, done)
	drop := offline.Decision{OpID: dropped.Operations[0].ID, Action: offline.Discard, Note: "no"}
	if _, err := s.Outbox().Decide(ctx, drop, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Prune(ctx, time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Fatalf("young sales: %d rows pruned, %v", n, err)
	}
	old := time.Now().Add(time.Hour)
	if n, err := s.Prune(ctx, old); n != 4 || err != nil {
		t.Fatalf("%d rows pruned, %v, want two sales and two operations", n, err)
	}
	if n, err := s.Prune(ctx, old); n != 0 || err != nil {
		t.Fatalf("%d rows pruned twice, %v", n, err)
	}
	for _, tc := range []struct {
		a    offline.Acceptance
		has  bool
		want offline.State
	}{{done, false, offline.Delivered}, {open, true, offline.Queued}, {dropped, false, offline.Discarded}} {
		v, err := s.Outbox().Sale(ctx, tc.a.Record.ID)
		if err != nil || v.State != tc.want || (len(v.Sale) > 0) != tc.has || v.TransactionID != tc.a.Record.TransactionID || v.PayAmount != "12.50" {
			t.Errorf("sale after pruning: %+v, %v", v, err)
		}
		op, err := s.Outbox().Operation(ctx, tc.a.Operations[0].ID)
		if err != nil || (len(op.Payload) > 0) != tc.has || op.ContentHash != tc.a.Operations[0].ContentHash {
			t.Errorf("operation after pruning: %+v, %v", op, err)
		}
	}
	if got, err := s.Keys().Answer(ctx, "p1", "key-1"); err != nil || got.Status != 201 || len(got.Body) == 0 {
		t.Errorf("first answer after pruning: %+v, %v", got, err)
	}
	again := someSale(1) // under another key
	again.Record.ContentHash = done.Record.ContentHash
	twice, is := errors.AsType[*offline.DuplicateError](s.Outbox().AcceptSale(ctx, again, someEntry(77)))
	if !is || twice.FirstID != done.Record.ID {
		t.Errorf("a repeat after pruning: %v, want the first sale named", twice)
	}
}

func TestBackupIsWholeCheckedAndRotated(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	for n := range 2 * backupsKept {
		mustAccept(t, s, n)
		if err := s.Backup(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	names, err := s.backupNames()
	if err != nil || len(names) != backupsKept {
		t.Fatalf("backups %v, %v, want %d", names, err, backupsKept)
	}
	for i, name := range names {
		path := filepath.Join(dir, backupDir, name)
		_, commits, err := verifyCopy(t.Context(), path)
		if want := int64(2*backupsKept - i); err != nil || commits != want {
			t.Errorf("%s holds commit %d, %v, want %d", name, commits, err, want)
		}
		if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", name, fi.Mode(), err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, backupDir, "*"+partEnding+"*")); err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
	if b := s.Backups(); b.At.IsZero() || b.Bytes == 0 || b.Problem != "" {
		t.Errorf("status %+v", b)
	}
	newest, err := os.Stat(filepath.Join(dir, backupDir, names[0]))
	if err != nil {
		t.Fatal(err)
	}
	closeIt(t, s)
	s = openIn(t, dir)
	defer closeIt(t, s)
	if b := s.Backups(); !b.At.Equal(newest.ModTime()) || b.Bytes != newest.Size() {
		t.Errorf("status after a restart %+v, want that of %s", b, names[0])
	}
}

func TestBackupIsDueOnceADay(t *testing.T) {
	s := openTemp(t)
	mustAccept(t, s, 1)
	count := func() int {
		s.Upkeep(t.Context(), 30*24*time.Hour)
		names, err := s.backupNames()
		if err != nil {
			t.Fatal(err)
		}
		return len(names)
	}
	if n := count(); n != 1 {
		t.Fatalf("%d backups at first", n)
	}
	mustAccept(t, s, 2)
	if n := count(); n != 1 {
		t.Errorf("%d backups a moment later", n)
	}
	for i, age := range []time.Duration{-25 * time.Hour, 48 * time.Hour} { // the second: the clock was set back
		mustAccept(t, s, 10+i)
		s.copies.last.At = time.Now().Add(age)
		if n := count(); n != 2+i {
			t.Errorf("the newest is %v old: %d backups, want %d", -age, n, 2+i)
		}
	}
}

func TestBackupFailsLoudlyAndLeavesTheDiskAlone(t *testing.T) {
	s := openTemp(t)
	mustAccept(t, s, 1)
	s.disk.room = func(string) (int64, int64, error) { return spare, 1 << 40, nil }
	if err := s.Backup(t.Context()); err == nil {
		t.Fatal("backup was made on a disk without room")
	}
	list := s.Findings()
	if len(list) != 1 || list[0].Code != "backup_failed" || list[0].Hint == "" {
		t.Errorf("findings %v", list)
	}
	s.disk.room = Space
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Backup(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("backup with an ended context: %v", err)
	}
	if err := s.Backup(t.Context()); err != nil || len(s.Findings()) > 0 {
		t.Errorf("backup with room again: %v, %v", err, s.Findings())
	}
}

// TestDamagedFileIsReplacedByTheNewestSoundBackup: what was delivered since the backup may not go out again.
func TestDamagedFileIsReplacedByTheNewestSoundBackup(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	through, open := mustAccept(t, s, 1), mustAccept(t, s, 2)
	blocked := mustAccept(t, s, 3)
	id := blocked.Operations[0].ID
	err := errors.Join(s.Outbox().Begin(t.Context(), id, 1, time.Now()),
		s.Outbox().Finish(t.Context(), id, 1, offline.Result{State: offline.Parked, Reason: offline.Blocked, FinishedAt: time.Now()}),
		s.Backup(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	deliver(t, s, through)
	if _, err := s.Outbox().Unblock(t.Context(), offline.Purchase, time.Now()); err != nil {
		t.Fatal(err)
	}
	late := mustAccept(t, s, 4)
	if err := s.Backup(t.Context()); err != nil {
		t.Fatal(err)
	}
	names, err := s.backupNames()
	if err != nil || len(names) != 2 {
		t.Fatal(names, err)
	}
	closeIt(t, s)
	ruin := func(path string) {
		edit(t, path, func(b []byte) []byte { zero(b[4096:]); return b })
	}
	ruin(filepath.Join(dir, DatabaseFile))
	ruin(filepath.Join(dir, backupDir, names[0])) // the newest copy is no good either

	s = openIn(t, dir)
	defer closeIt(t, s)
	var codes []string
	for _, f := range s.Findings() {
		codes = append(codes, f.Code)
	}
	if got := strings.Join(codes, " "); got != "database_damaged commits_lost sales_missing" && got != "database_damaged sales_missing" {
		t.Errorf("findings %v", s.Findings())
	}
	if !strings.Contains(s.Findings()[0].Message, names[1]) {
		t.Errorf("the backup is not named: %v", s.Findings()[0])
	}
	for _, a := range []offline.Acceptance{through, open, blocked} {
		op, err := s.Outbox().Operation(t.Context(), a.Operations[0].ID)
		if err != nil || op.State != offline.InDoubt || op.Error == nil || op.Error.Code != offline.CodeReplaced {
			t.Errorf("%s is %s %s %+v, %v, want in_doubt", a.Record.TransactionID, op.State, op.Reason, op.Error, err)
		}
	}
	if _, err := s.Outbox().Sale(t.Context(), late.Record.ID); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("the sale behind the backup: %v", err)
	}
	if heads, err := s.Outbox().Heads(t.Context(), time.Now(), 10, nil); err != nil || len(heads) > 0 {
		t.Errorf("%d operations would be sent, %v", len(heads), err)
	}
}

func TestCopiedFolderIsFoundOut(t *testing.T) {
	dir := t.TempDir()
	open := func(marks ...string) *Store {
		t.Helper()
		s, err := Open(t.Context(), Options{Dir: dir, ReserveBytes: -1, Machine: marks})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open("card:aa", "card:bb", "id:1")
	a := mustAccept(t, s, 1)
	closeIt(t, s)
	for _, same := range [][]string{{"card:aa", "card:bb", "id:1"}, {"card:bb", "card:cc", "id:1"}, {"id:1"}, {"card:cc", "id:1"}} {
		s = open(same...)
		if list := s.Findings(); len(list) > 0 {
			t.Errorf("%v: findings %v", same, list)
		}
		closeIt(t, s)
	}
	s = open("card:dd", "id:1") // a cloned disk in another box
	defer closeIt(t, s)
	list := s.Findings()
	if len(list) != 1 || list[0].Code != "machine_changed" {
		t.Fatalf("findings %v", list)
	}
	if op, err := s.Outbox().Operation(t.Context(), a.Operations[0].ID); err != nil || op.State != offline.InDoubt {
		t.Errorf("operation is %s, %v", op.State, err)
	}
}

func TestMachineMarksAreStable(t *testing.T) {
	a, b := machineMarks(), machineMarks()
	if !sameMachine(a, b) || len(a) != len(b) {
		t.Errorf("marks %v and %v", a, b)
	}
	for _, m := range a {
		if len(m) > 30 || !strings.Contains(m, ":") {
			t.Errorf("mark %q", m)
		}
	}
}

// packed is a seal that keeps what it was given.
func packed(got *[]offline.Carried) func([]offline.Carried) ([]byte, error) {
	return func(list []offline.Carried) ([]byte, error) {
		*got = list
		return []byte("sealed"), nil
	}
}

var mover = journal.Entry{Actor: journal.Actor{PairingID: "p1", Name: "Ann", Role: journal.RoleTechnician}}

func TestMovedQueueIsOnOneMachineOnly(t *testing.T) {
	from, to := openTemp(t), openTemp(t)
	ctx := t.Context()
	first, flying, doubt := mustAccept(t, from, 1), mustAccept(t, from, 2), mustAccept(t, from, 3)
	done := mustAccept(t, from, 4)
	deliver(t, from, done)
	for _, a := range []offline.Acceptance{flying, doubt} {
		if err := from.Outbox().Begin(ctx, a.Operations[0].ID, 1, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	inDoubt := offline.Result{State: offline.InDoubt, Error: &offline.Fault{Code: "no_answer"}, FinishedAt: time.Now()}
	if err := from.Outbox().Finish(ctx, doubt.Operations[0].ID, 1, inDoubt); err != nil {
		t.Fatal(err)
	}
	var list []offline.Carried
	id := newID()
	if _, err := from.Outbox().MoveOut(ctx, id, packed(&list), mover, "new box"); !errors.Is(err, offline.ErrState) {
		t.Fatalf("while one is being sent: %v, want ErrState", err)
	}
	if err := from.Outbox().Finish(ctx, flying.Operations[0].ID, 1, offline.Result{State: offline.Queued, FinishedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	n, err := from.Outbox().MoveOut(ctx, id, packed(&list), mover, "new box")
	if err != nil || n != 3 || len(list) != 3 {
		t.Fatalf("moved %d, %v", n, err)
	}
	if data, err := from.Outbox().MoveFile(id); err != nil || string(data) != "sealed" {
		t.Errorf("file %q, %v", data, err)
	}
	checkMovedAway(t, from, first, flying, doubt)
	if _, err := from.Outbox().MoveOut(ctx, newID(), packed(&list), mover, ""); !errors.Is(err, offline.ErrNothing) {
		t.Errorf("moved twice: %v, want ErrNothing", err)
	}

	for round, want := range []offline.MovedIn{{Taken: 3, Sales: 3}, {Present: 3}} {
		in, err := to.Outbox().MoveIn(ctx, id, list, mover)
		if err != nil || in.Taken != want.Taken || in.Present != want.Present || in.MovedAway != 0 || in.Sales != want.Sales || len(in.Refused) > 0 {
			t.Fatalf("round %d: %+v, %v, want %+v", round, in, err, want)
		}
	}
	for _, tc := range []struct {
		a offline.Acceptance
		s offline.State
		n int
	}{{first, offline.Queued, 0}, {flying, offline.Queued, 1}, {doubt, offline.InDoubt, 1}} {
		op, err := to.Outbox().Operation(ctx, tc.a.Operations[0].ID)
		if err != nil || op.State != tc.s || op.Attempts != tc.n || sha256.Sum256(op.Payload) != op.ContentHash {
			t.Errorf("%s arrived as %s after %d attempts, %v", tc.a.Record.TransactionID, op.State, op.Attempts, err)
		}
		if v, err := to.Outbox().Sale(ctx, tc.a.Record.ID); err != nil || v.State != tc.s || string(v.Sale) != string(tc.a.Record.Body) {
			t.Errorf("sale %+v, %v", v, err)
		}
	}
	counts, err := to.Outbox().Counts(ctx)
	if err != nil || counts.OpenAmounts["USD"] != "37.50" || counts.ByState[offline.Queued] != 2 || counts.ByState[offline.InDoubt] != 1 {
		t.Errorf("counts there %+v, %v", counts, err)
	}
	if in, err := from.Outbox().MoveIn(ctx, id, list, mover); err != nil || in.Present != 3 || in.MovedAway != 3 || in.Taken != 0 {
		t.Errorf("taken back: %+v, %v", in, err)
	}
	checkMovedAway(t, from, first, flying, doubt)
	if err := errors.Join(from.Audit().Verify(ctx), to.Audit().Verify(ctx)); err != nil {
		t.Error(err)
	}
}

func checkMovedAway(t *testing.T, s *Store, list ...offline.Acceptance) {
	t.Helper()
	ctx := t.Context()
	for _, a := range list {
		op, err := s.Outbox().Operation(ctx, a.Operations[0].ID)
		if err != nil || op.State != offline.Parked || op.Reason != offline.Moved {
			t.Errorf("%s is %s %s here, %v", a.Record.TransactionID, op.State, op.Reason, err)
		}
		d := offline.Decision{OpID: op.ID, Action: offline.Resend, Note: "please"}
		if _, err := s.Outbox().Decide(ctx, d, journal.Entry{}); !errors.Is(err, offline.ErrState) {
			t.Errorf("resend of what was moved: %v", err)
		}
	}
	counts, err := s.Outbox().Counts(ctx)
	if err != nil || counts.Moved != len(list) || counts.ByState[offline.Parked] != len(list) || len(counts.OpenAmounts) > 0 || !counts.OldestOpenAt.IsZero() {
		t.Errorf("counts here %+v, %v", counts, err)
	}
	if heads, err := s.Outbox().Heads(ctx, time.Now(), 10, nil); err != nil || len(heads) > 0 {
		t.Errorf("%d heads here, %v", len(heads), err)
	}
}

func TestMoveThatWasCutShortIsEndedAtTheNextStart(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	a := mustAccept(t, s, 1)
	var list []offline.Carried
	done, cut := newID(), newID()
	if _, err := s.Outbox().MoveOut(t.Context(), done, packed(&list), mover, ""); err != nil {
		t.Fatal(err)
	}
	b := mustAccept(t, s, 2)
	closeIt(t, s)
	file := func(id, ending string) string { return filepath.Join(dir, moveDir, id+ending) }
	err := errors.Join(
		os.Rename(file(done, moveEnding), file(done, moveEnding+partEnding)),        // died behind the commit
		os.WriteFile(file(cut, moveEnding+partEnding), []byte("never true"), 0o600)) // died before it
	if err != nil {
		t.Fatal(err)
	}
	s = openIn(t, dir)
	defer closeIt(t, s)
	if data, err := s.Outbox().MoveFile(done); err != nil || string(data) != "sealed" {
		t.Errorf("the file of the move that is on disk: %q, %v", data, err)
	}
	if _, err := os.Stat(file(cut, moveEnding+partEnding)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file of a move that never was: %v", err)
	}
	if _, err := s.Outbox().MoveFile(cut); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("a move that never was: %v", err)
	}
	moved, err := s.Outbox().Operation(t.Context(), a.Operations[0].ID)
	kept, kerr := s.Outbox().Operation(t.Context(), b.Operations[0].ID)
	if err := errors.Join(err, kerr); err != nil || moved.Reason != offline.Moved || kept.State != offline.Queued {
		t.Errorf("moved is %s %s, kept is %s, %v", moved.State, moved.Reason, kept.State, err)
	}
}

func TestMoveInRefusesWhatWasSoldHereToo(t *testing.T) {
	from, to := openTemp(t), openTemp(t)
	mustAccept(t, from, 1)
	other := mustAccept(t, from, 2)
	mustAccept(t, to, 1) // the same transaction id, another sale
	var list []offline.Carried
	if _, err := from.Outbox().MoveOut(t.Context(), newID(), packed(&list), mover, ""); err != nil {
		t.Fatal(err)
	}
	in, err := to.Outbox().MoveIn(t.Context(), newID(), list, mover)
	if err != nil || in.Taken != 1 || len(in.Refused) != 1 || in.Refused[0] != "T1" {
		t.Errorf("%+v, %v", in, err)
	}
	if op, err := to.Outbox().Operation(t.Context(), other.Operations[0].ID); err != nil || op.State != offline.Queued {
		t.Errorf("the other is %s, %v", op.State, err)
	}
}

func TestExportedUpTo(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	want := func(yes bool, when string) {
		t.Helper()
		if got, err := s.Outbox().Exported(ctx); err != nil || got != yes {
			t.Errorf("%s: exported %v, %v", when, got, err)
		}
	}
	want(true, "nothing there")
	mustAccept(t, s, 1)
	want(false, "never exported")
	page, err := s.Outbox().Undelivered(ctx, 0, 10)
	if err != nil || len(page) != 1 {
		t.Fatal(page, err)
	}
	if err := s.Outbox().NoteExported(ctx, page[0].Operation.Seq, mover.Actor); err != nil {
		t.Fatal(err)
	}
	want(true, "exported")
	mustAccept(t, s, 2)
	want(false, "another sale since")
}

func TestUndeliveredIsSeenWithoutAnAgent(t *testing.T) {
	dir := t.TempDir()
	look := func() Left {
		t.Helper()
		left, err := Undelivered(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		return left
	}
	if left := look(); left.Count != 0 || !left.Exported {
		t.Errorf("an empty folder: %+v", left)
	}
	s := openIn(t, dir)
	deliver(t, s, mustAccept(t, s, 1))
	mustAccept(t, s, 2)
	mustAccept(t, s, 3)
	if left := look(); left.Count != 2 || left.Amounts["USD"] != "25.00" || left.Exported {
		t.Errorf("two undelivered: %+v", left)
	}
	page, err := s.Outbox().Undelivered(t.Context(), 0, 10)
	if err == nil {
		err = s.Outbox().NoteExported(t.Context(), page[len(page)-1].Operation.Seq, mover.Actor)
	}
	if err != nil {
		t.Fatal(err)
	}
	if left := look(); left.Count != 2 || !left.Exported {
		t.Errorf("exported: %+v", left)
	}
	var list []offline.Carried
	if _, err := s.Outbox().MoveOut(t.Context(), newID(), packed(&list), mover, ""); err != nil {
		t.Fatal(err)
	}
	closeIt(t, s)
	if left := look(); left.Count != 0 {
		t.Errorf("moved away: %+v", left)
	}
	edit(t, filepath.Join(dir, DatabaseFile), func(b []byte) []byte { zero(b); return b })
	if _, err := Undelivered(t.Context(), dir); err == nil {
		t.Error("an unreadable database looks like an empty one")
	}
}
