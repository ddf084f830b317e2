package sqlite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"storeagent/internal/journal"
)

// spare is what must be free beyond the reserve before the reserve is built again: 8 MiB.
const spare = 8 << 20

var errNoReserve = errors.New("no room for the disk reserve")

// DiskStatus is how much room is left where the files are.
type DiskStatus struct {
	FreeBytes    int64 // beside the reserve
	TotalBytes   int64
	ReserveBytes int64 // held back, 0 once it was given up
	Full         bool  // new work is refused
	Problem      string
}

// disk knows whether the disk takes writes, and holds the reserve file.
type disk struct {
	dir     string
	want    int64 // size of the reserve, 0 for none
	log     *slog.Logger
	room    func(dir string) (free, total int64, err error)
	mu      sync.Mutex
	held    bool // the reserve file is there
	full    bool
	problem error // why the disk refused last
	markErr error // why the high-water mark is behind
}

// newDisk builds the reserve. A disk too full for it is no reason not to start, but where next to nothing is left no
// new work is taken.
func newDisk(dir string, reserve int64, log *slog.Logger, room func(string) (int64, int64, error)) *disk {
	d := &disk{dir: dir, want: max(reserve, 0), log: log, room: room}
	d.held = d.want > 0 && d.present()
	if d.rebuild() {
		return d
	}
	free, _, err := room(dir)
	if err != nil || free < spare {
		d.full, d.problem = true, errors.Join(errNoReserve, err)
	}
	return d
}

// cramped tells that the disk is full and that there is a reserve to give up.
func cramped(dir string) bool {
	free, _, err := Space(dir)
	if err != nil || free >= spare {
		return false
	}
	_, err = os.Stat(filepath.Join(dir, reserveFile))
	return err == nil
}

func (d *disk) path() string { return filepath.Join(d.dir, reserveFile) }

func (d *disk) present() bool {
	fi, err := os.Stat(d.path())
	return err == nil && fi.Size() == d.want
}

// rebuild makes the reserve where there is room for it and says whether it is there, or none is wanted.
func (d *disk) rebuild() bool {
	if d.want == 0 || d.held {
		return true
	}
	free, _, err := d.room(d.dir)
	if err != nil || free < d.want+spare {
		return false
	}
	if err := makeReserve(d.path(), d.want); err != nil {
		d.log.Warn("cannot build the disk reserve", "err", errors.Join(err, os.Remove(d.path())))
		return false
	}
	d.held = true
	return true
}

func makeReserve(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(claim(f, size), f.Sync(), f.Close())
}

// fillZeros is claim for file systems that cannot set space aside.
func fillZeros(f *os.File, size int64) error {
	zeros := make([]byte, 1<<20)
	for at := int64(0); at < size; at += int64(len(zeros)) {
		if _, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at); err != nil {
			return err
		}
	}
	return nil
}

// refusedWrite notes that the disk took no more, and gives up the reserve. It says whether there was one to give.
func (d *disk) refusedWrite(cause error) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.full {
		d.log.Error("disk refuses writes, no new work is taken", "err", cause)
	}
	d.full, d.problem = true, cause
	if !d.held {
		return false
	}
	d.held = false
	if err := os.Remove(d.path()); err != nil {
		d.log.Error("cannot give up the disk reserve", "err", err)
		return false
	}
	return true
}

// marked notes whether the high-water mark could be written.
func (d *disk) marked(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && d.markErr == nil {
		d.log.Error("high-water mark is behind, no new work is taken", "err", err)
	}
	d.markErr = err
}

// behind tells that the high-water mark lacks records of commits.
func (d *disk) behind() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.markErr != nil
}

// admit says whether new work may be written now; journal.ErrStorageFull where it may not. After a refusal it looks
// whether there is room again, and lets work through once the reserve is back.
func (d *disk) admit() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full && d.rebuild() {
		d.full = false
		d.log.Info("disk has room again")
	}
	switch {
	case d.full:
		return fmt.Errorf("%w: %w", journal.ErrStorageFull, d.problem)
	case d.markErr != nil:
		return fmt.Errorf("%w: %w", journal.ErrStorageFull, d.markErr)
	}
	return nil
}

func (d *disk) findings() []Finding {
	err := d.admit()
	if err == nil {
		return nil
	}
	return []Finding{{Code: "storage_full", Message: err.Error(), Severity: Error,
		Hint: "Free space on the disk that holds " + d.dir + ". What is queued is kept and goes on being sent."}}
}

// Disk tells how much room is left.
func (s *Store) Disk() DiskStatus {
	err := s.disk.admit()
	d := DiskStatus{Full: err != nil}
	if err != nil {
		d.Problem = err.Error()
	}
	s.disk.mu.Lock()
	if s.disk.held {
		d.ReserveBytes = s.disk.want
	}
	s.disk.mu.Unlock()
	free, total, err := s.disk.room(s.dir)
	if err != nil {
		d.Problem = err.Error()
	}
	d.FreeBytes, d.TotalBytes = free, total
	return d
}

// Writable is nil where a sale could be written now. It writes at most what an earlier refusal left unwritten.
func (s *Store) Writable(ctx context.Context) error {
	if s.disk.behind() { // an empty change tries again to bring it up to date
		if err := s.change(ctx, func(*tx) error { return nil }); err != nil {
			return fmt.Errorf("check storage: %w", err)
		}
	}
	if s.w.closed() {
		return ErrClosed
	}
	return s.disk.admit()
}
