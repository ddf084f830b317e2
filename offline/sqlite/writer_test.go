package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"storeagent/internal/journal"
	"storeagent/offline"
)

// hold keeps the writer busy in a batch of its own until release is called, so that everything handed over meanwhile
// forms one batch.
func hold(t *testing.T, s *Store) (release func()) {
	t.Helper()
	in, out := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- s.change(context.Background(), func(*tx) error {
			close(in)
			<-out
			return nil
		})
	}()
	<-in
	return func() {
		close(out)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// handOver queues a request without waiting for its answer.
func handOver(s *Store, r *request) <-chan error {
	r.done = make(chan error, 1)
	s.w.queue <- r
	return r.done
}

func TestOneBadRowFailsAlone(t *testing.T) {
	s := openTemp(t)
	mustAccept(t, s, 1)
	before := s.w.commits
	release := hold(t, s)
	const callers = 20
	var answers []<-chan error
	for i := range callers {
		answers = append(answers, handOver(s, &request{ctx: t.Context(), do: func(tx *tx) error {
			name := fmt.Sprintf("s%d", i)
			if i == 7 { // fails after having written
				if _, err := tx.exec(qSettingSet, "seven", "x"); err != nil {
					return err
				}
				_, err := tx.exec(qEventAdd, nil, 1, "", "", nil) // NOT NULL
				return err
			}
			if err := tx.events([]journal.Event{{Type: "sale"}}); err != nil {
				return err
			}
			_, err := tx.exec(qSettingSet, name, "x")
			return err
		}}))
	}
	release()
	for i, answer := range answers {
		err := <-answer
		if i == 7 && primary(err) != codeConstraint {
			t.Errorf("caller 7: %v, want a constraint error", err)
		}
		if i != 7 && err != nil {
			t.Errorf("caller %d: %v", i, err)
		}
		_, err = s.Settings().Get(t.Context(), fmt.Sprintf("s%d", i))
		if written := err == nil; written != (i != 7) {
			t.Errorf("setting of caller %d: %v", i, err)
		}
	}
	if _, err := s.Settings().Get(t.Context(), "seven"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("the failed caller's write stayed: %v", err)
	}
	closedAt := s.w.commits // the writer is idle: everybody was answered
	if got := closedAt - before; got != 2 {
		t.Errorf("%d commits, want one for the holder and one for all %d callers", got, callers)
	}
	if got, want := s.Events().Last(), int64(1+callers-1); got != want {
		t.Errorf("last event %d, want %d without gaps", got, want)
	}
}

func TestWhoGaveUpIsDropped(t *testing.T) {
	s := openTemp(t)
	release := hold(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	set := func(name string) func(*tx) error {
		return func(tx *tx) error { _, err := tx.exec(qSettingSet, name, "x"); return err }
	}
	gone := handOver(s, &request{ctx: ctx, do: set("gone")})
	stays := handOver(s, &request{ctx: t.Context(), do: set("stays")})
	cancel()
	release()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up heard %v, want context.Canceled", err)
	}
	if err := <-stays; err != nil {
		t.Error(err)
	}
	if _, err := s.Settings().Get(t.Context(), "gone"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("who gave up has written: %v", err)
	}
}

func TestOnceInABatchTheTruthIsTold(t *testing.T) {
	s := openTemp(t)
	ctx, cancel := context.WithCancel(t.Context())
	err := s.change(ctx, func(tx *tx) error {
		cancel()
		_, err := tx.exec(qSettingSet, "name", "x")
		return err
	})
	if err != nil {
		t.Errorf("got %v, want nil: the change was committed", err)
	}
	if _, err := s.Settings().Get(t.Context(), "name"); err != nil {
		t.Error(err)
	}
}

func TestCloseCommitsWhatWasHandedOver(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	release := hold(t, s)
	var answers []<-chan error
	for i := range 50 {
		answers = append(answers, handOver(s, &request{ctx: t.Context(), do: func(tx *tx) error {
			_, err := tx.exec(qSettingSet, fmt.Sprintf("s%d", i), "x")
			return err
		}}))
	}
	release()
	closeIt(t, s)
	s = openIn(t, dir)
	defer closeIt(t, s)
	for i, answer := range answers {
		if err := <-answer; err != nil {
			t.Error(err)
		}
		if _, err := s.Settings().Get(t.Context(), fmt.Sprintf("s%d", i)); err != nil {
			t.Error(err)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	var wg sync.WaitGroup
	for c := range 16 {
		wg.Go(func() {
			for i := range 20 {
				a := someSale(c*100 + i)
				if err := s.Outbox().AcceptSale(ctx, a, someEntry(c*100+i)); err != nil {
					t.Error(err)
					return
				}
				op := a.Operations[0].ID
				if err := s.Outbox().Begin(ctx, op, 1, a.Record.AcceptedAt); err != nil {
					t.Error(err)
				}
				r := offline.Result{State: offline.Delivered, CloudID: "c", FinishedAt: a.Record.AcceptedAt}
				if err := s.Outbox().Finish(ctx, op, 1, r); err != nil {
					t.Error(err)
				}
				if view, err := s.Outbox().Sale(ctx, a.Record.ID); err != nil || view.State != offline.Delivered {
					t.Errorf("sale is %s, %v", view.State, err)
				}
			}
		})
	}
	wg.Wait()
	counts, err := s.Outbox().Counts(ctx)
	if err != nil || counts.ByState[offline.Delivered] != 320 || len(counts.ByState) != 1 || len(counts.OpenAmounts) != 0 {
		t.Errorf("counts %+v, %v", counts, err)
	}
}

// setPages limits the file, which makes SQLite answer as on a full disk.
func setPages(t *testing.T, s *Store, limit int) {
	t.Helper()
	err := s.change(t.Context(), func(tx *tx) error {
		var got int
		return tx.row(fmt.Sprintf("PRAGMA max_page_count=%d", limit)).Scan(&got)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestFullDiskRecordsNothing(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	ctx := t.Context()
	setPages(t, s, 120)
	var accepted []string
	var refusal error
	for i := 0; refusal == nil && i < 5000; i++ {
		a := someSale(i)
		if refusal = s.Outbox().AcceptSale(ctx, a, someEntry(i)); refusal == nil {
			accepted = append(accepted, a.Record.ID)
		}
	}
	if !errors.Is(refusal, journal.ErrStorageFull) {
		t.Fatalf("full disk: %v, want ErrStorageFull", refusal)
	}
	if len(accepted) == 0 {
		t.Fatal("nothing was accepted before the disk was full")
	}
	n := len(accepted)
	if _, err := s.Keys().Answer(ctx, "p1", fmt.Sprintf("key-%d", n)); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("the refused sale left its key: %v", err)
	}
	counts, err := s.Outbox().Counts(ctx)
	if err != nil || counts.ByState[offline.Queued] != n {
		t.Errorf("counts %+v, %v, want %d queued", counts, err, n)
	}
	if got := s.Events().Last(); got != int64(n) {
		t.Errorf("last event %d, want %d", got, n)
	}
	setPages(t, s, 1<<30)
	if err := s.Outbox().AcceptSale(ctx, someSale(n), someEntry(n)); err != nil {
		t.Errorf("after room was made: %v", err)
	}
	closeIt(t, s)
	s = openIn(t, dir)
	defer closeIt(t, s)
	for _, id := range accepted {
		if _, err := s.Outbox().Sale(ctx, id); err != nil {
			t.Error(err)
		}
	}
	if list := s.Findings(); len(list) > 0 {
		t.Errorf("findings %v", list)
	}
}

func TestFullDiskGivesUpTheReserveForWhatIsUnderWay(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), Options{Dir: dir, ReserveBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt(t, s)
	if d := s.Disk(); d.ReserveBytes != 1<<20 || d.Full || d.FreeBytes <= 0 || d.TotalBytes < d.FreeBytes {
		t.Errorf("disk %+v", d)
	}
	full := fmt.Errorf("write: %w", journal.ErrStorageFull)
	tries := 0
	release := hold(t, s)
	update := handOver(s, &request{ctx: t.Context(), do: func(tx *tx) error {
		if tries++; tries == 1 {
			return full
		}
		_, err := tx.exec(qSettingSet, "update", "x")
		return err
	}})
	sale := handOver(s, &request{ctx: t.Context(), newWork: true, do: func(tx *tx) error {
		_, err := tx.exec(qSettingSet, "sale", "x")
		return err
	}})
	release()
	if err := <-update; err != nil {
		t.Errorf("state change: %v, want it to go through with the reserve's room", err)
	}
	if err := <-sale; !errors.Is(err, journal.ErrStorageFull) {
		t.Errorf("new work: %v, want ErrStorageFull", err)
	}
	if _, err := s.Settings().Get(t.Context(), "sale"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("refused work was recorded: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, reserveFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("reserve: %v, want it gone", err)
	}
	// There is room on this disk, so the next look builds the reserve again and lets work through.
	if err := s.Writable(t.Context()); err != nil {
		t.Error(err)
	}
	if d := s.Disk(); d.ReserveBytes != 1<<20 || d.Full {
		t.Errorf("disk %+v", d)
	}
}

func TestNoRoomForTheReserveKeepsNewWorkOut(t *testing.T) {
	s := openTemp(t)
	s.disk.mu.Lock()
	s.disk.want = 1 << 60 // no disk has that much
	s.disk.full, s.disk.problem = true, errors.New("database or disk is full")
	s.disk.mu.Unlock()
	if err := s.Outbox().AcceptSale(t.Context(), someSale(1), someEntry(1)); !errors.Is(err, journal.ErrStorageFull) {
		t.Errorf("accept: %v, want ErrStorageFull", err)
	}
	if err := s.Writable(t.Context()); !errors.Is(err, journal.ErrStorageFull) {
		t.Errorf("writable: %v, want ErrStorageFull", err)
	}
	if err := s.Settings().Set(t.Context(), "queue", "paused"); err != nil {
		t.Errorf("state change: %v, want it to go on", err)
	}
	if list := s.Findings(); len(list) != 1 || list[0].Code != "storage_full" {
		t.Errorf("findings %v", list)
	}
}

// brokenSlots fails writes or flushes while broken.
type brokenSlots struct {
	slotFile
	mu     sync.Mutex
	broken string
}

func (f *brokenSlots) set(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.broken = what
}

func (f *brokenSlots) fails(what string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken == what {
		return errors.New(what + " refused")
	}
	return nil
}

func (f *brokenSlots) WriteAt(b []byte, at int64) (int, error) {
	if err := f.fails("write"); err != nil {
		return 0, err
	}
	return f.slotFile.WriteAt(b, at)
}

func (f *brokenSlots) Sync() error {
	if err := f.fails("sync"); err != nil {
		return err
	}
	return f.slotFile.Sync()
}

func TestFaultyHighwaterFile(t *testing.T) {
	for _, what := range []string{"write", "sync"} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			s := openIn(t, dir)
			ctx := t.Context()
			f := &brokenSlots{slotFile: s.w.hw.f} // the writer sees it with the next request
			s.w.hw.f = f
			mustAccept(t, s, 1)
			f.set(what)
			second := someSale(2)
			if err := s.Outbox().AcceptSale(ctx, second, someEntry(2)); err != nil {
				t.Errorf("the sale is on disk, but its caller heard %v", err)
			}
			if err := s.Outbox().AcceptSale(ctx, someSale(3), someEntry(3)); !errors.Is(err, journal.ErrStorageFull) {
				t.Errorf("next sale: %v, want ErrStorageFull", err)
			}
			if err := s.Outbox().Begin(ctx, second.Operations[0].ID, 1, second.Record.AcceptedAt); err != nil {
				t.Errorf("state change: %v", err)
			}
			if err := s.Writable(ctx); !errors.Is(err, journal.ErrStorageFull) {
				t.Errorf("writable: %v, want ErrStorageFull", err)
			}
			f.set("")
			if err := s.Writable(ctx); err != nil {
				t.Errorf("writable after repair: %v", err)
			}
			mustAccept(t, s, 3)
			closeIt(t, s)
			m, err := readHighwater(filepath.Join(dir, highwaterFile))
			if err != nil || m.lastSale() != 3 || m.holes {
				t.Errorf("high-water mark after repair: last sale %d, holes %v, %v", m.lastSale(), m.holes, err)
			}
			s = openIn(t, dir)
			defer closeIt(t, s)
			if list := s.Findings(); len(list) > 0 {
				t.Errorf("findings %v", list)
			}
		})
	}
}
