// Package sqlite is the one database file: what was promised to a register, to a terminal or to a printer is on
// disk here before anybody hears of it. It implements offline.Store, payments.Journal, printer.Jobs and the reading
// interfaces of the API (keys, events, pairings), each as a small view on one Store.
//
// It is opened by cmd; everybody else sees the interfaces. It never imports register. It is the only importer of
// modernc.org/sqlite. File format and pragmas follow the SQLite documentation (WAL mode, synchronous=FULL, STRICT
// tables).
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"

	"storeagent/devices/printer"
	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/payments"
)

// Errors of Open and of every method after Close, by errors.Is.
var (
	// ErrLocked means that another process uses the folder.
	ErrLocked = errors.New("folder is in use by another storeagent")
	// ErrNewer means that the file was written by a newer version of this program.
	ErrNewer = errors.New("database was made by a newer version")
	// ErrClosed means that the store was closed.
	ErrClosed = errors.New("store is closed")
)

// Files in the folder by which others know it: the database, and what a running agent holds a lock on.
const (
	DatabaseFile = "storeagent.db"
	LockFile     = "storeagent.lock"
)

// Names of further files in the folder.
const (
	highwaterFile = "highwater.log"
	reserveFile   = "reserve"
)

// DefaultReserve is the size of the reserve file where Options names none: 32 MiB.
const DefaultReserve = 32 << 20

// Options says where the files are and how much space is held back.
type Options struct {
	Dir string       // folder of the files; made with mode 0700 where it is missing
	Log *slog.Logger // nil for none
	// ReserveBytes is held back in a file and given up once when the disk is full, so that what is under way can
	// still be written down. 0 takes DefaultReserve, negative none.
	ReserveBytes int64
	// Machine is what this machine is known by, see machine.go; nil asks the operating system. Tests pretend.
	Machine []string
}

// Severity is how bad a Finding is.
type Severity string

// The severities.
const (
	Warning Severity = "warning"
	Error   Severity = "error"
)

// Finding is something wrong that a start found out about the files, for a person.
type Finding struct {
	Code     string // stable, snake_case
	Message  string
	Hint     string // what to do next
	Severity Severity
}

// Store is the open database. All methods are safe for concurrent use.
type Store struct {
	dir   string
	log   *slog.Logger
	boot  string // this run, in the attempt log
	lock  *os.File
	write *sql.DB
	read  *readers
	disk  *disk
	w     *writer
	found findings

	copies  backups
	machine []string
}

// Open takes the folder, checks the file, brings its tables up to date, compares it with the high-water mark and
// starts the writer. A damaged file is moved aside, never deleted, and reported by Findings. ctx bounds only Open.
// Errors: ErrLocked, ErrNewer, journal.ErrStorageFull where the disk has no room for even that.
func Open(ctx context.Context, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.ReserveBytes == 0 {
		o.ReserveBytes = DefaultReserve
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open store: make folder: %w", err)
	}
	boot, err := uuid.NewV7()
	if err != nil {
		return nil, fmt.Errorf("open store: make an id of this run: %w", err)
	}
	s := &Store{dir: dir, log: o.Log, boot: boot.String(), machine: o.Machine}
	if s.machine == nil {
		s.machine = machineMarks()
	}
	err = s.open(ctx, o)
	if err != nil && !errors.Is(err, ErrLocked) && cramped(dir) {
		// Not even room to start: better without the reserve than not at all.
		o.Log.Error("disk is full, starting without the reserve", "err", err)
		err = errors.Join(s.release(), os.Remove(s.path(reserveFile)))
		s.read, s.write, s.lock = nil, nil, nil
		if err == nil {
			err = s.open(ctx, o)
		}
	}
	if refused(err) {
		err = fmt.Errorf("%w: %w", journal.ErrStorageFull, err)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open store in %s: %w", dir, err), s.release())
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, o Options) error {
	var err error
	if s.lock, err = takeLock(s.dir); err != nil {
		return err
	}
	mark, err := readHighwater(s.path(highwaterFile))
	if err != nil {
		return err
	}
	damage, err := s.checkFile(ctx)
	if err != nil {
		return err
	}
	if s.write, err = openWriter(s.path(DatabaseFile)); err != nil {
		return err
	}
	if err := migrate(ctx, s.write); err != nil {
		return err
	}
	if err := syncDir(s.dir); err != nil {
		return fmt.Errorf("sync folder: %w", err)
	}
	if err := s.loadBackups(); err != nil {
		return fmt.Errorf("list backups: %w", err)
	}
	if err := s.endMoves(ctx); err != nil {
		return err
	}
	start, err := s.compare(ctx, mark, damage)
	if err != nil {
		return err
	}
	hw, err := openHighwater(s.path(highwaterFile), start, mark)
	if err != nil {
		return err
	}
	s.disk = newDisk(s.dir, o.ReserveBytes, s.log, Space)
	read, err := openReaders(s.path(DatabaseFile))
	if err != nil {
		return errors.Join(err, hw.close())
	}
	s.read = newReaders(read)
	// The writer lives as long as the store, not as long as the call that opened it.
	s.w, err = startWriter(context.WithoutCancel(ctx), s, hw, start.commits)
	if err != nil {
		return errors.Join(err, hw.close())
	}
	return nil
}

// Close commits what was handed over, ends the writer and closes all files. Further calls fail with ErrClosed.
func (s *Store) Close() error {
	// Readers first: who closes last folds the log into the file, and a reader cannot.
	err := s.closeReaders()
	if !s.w.stop() {
		return ErrClosed
	}
	return errors.Join(err, s.release())
}

// closeReaders may be called again.
func (s *Store) closeReaders() error {
	if s.read == nil {
		return nil
	}
	return s.read.Close()
}

// release closes what open got hold of.
func (s *Store) release() error {
	errs := []error{s.closeReaders()}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

// takeLock makes sure that no other process uses the folder.
func takeLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, LockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	held, err := lockFile(f)
	switch {
	case held:
		return nil, errors.Join(ErrLocked, f.Close()) // Open names the folder
	case err != nil:
		return nil, errors.Join(fmt.Errorf("lock: %w", err), f.Close())
	}
	return f, nil
}

// millis and fromMillis are how every time is stored: milliseconds since 1970 in UTC, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Outbox is the durable side of the queue.
type Outbox struct{ s *Store }

// Payments is the journal of card payments.
type Payments struct{ s *Store }

// PrintJobs is the store of print jobs.
type PrintJobs struct{ s *Store }

// Keys reads idempotency records.
type Keys struct{ s *Store }

// Events is the event log.
type Events struct{ s *Store }

// Pairings keeps who was let in.
type Pairings struct{ s *Store }

// Settings keeps small durable facts by name.
type Settings struct{ s *Store }

// Audit is the append-only, hash-chained record of what people decided.
type Audit struct{ s *Store }

var (
	_ offline.Store    = Outbox{}
	_ payments.Journal = Payments{}
	_ printer.Jobs     = PrintJobs{}
)

// Outbox implements offline.Store.
func (s *Store) Outbox() Outbox { return Outbox{s} }

// Payments implements payments.Journal.
func (s *Store) Payments() Payments { return Payments{s} }

// PrintJobs implements printer.Jobs.
func (s *Store) PrintJobs() PrintJobs { return PrintJobs{s} }

// Keys reads the idempotency records.
func (s *Store) Keys() Keys { return Keys{s} }

// Events reads and appends to the event log.
func (s *Store) Events() Events { return Events{s} }

// Pairings keeps the callers that were let in.
func (s *Store) Pairings() Pairings { return Pairings{s} }

// Settings keeps small durable facts.
func (s *Store) Settings() Settings { return Settings{s} }

// Audit reads and appends to the audit.
func (s *Store) Audit() Audit { return Audit{s} }
