package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Backups are whole copies of the database beside it. Their names begin with the number of the commit they hold, so
// that their order does not hang on a clock.
const (
	backupDir   = "backups"
	backupsKept = 7
	backupEvery = 24 * time.Hour
	partEnding  = ".new"
)

// BackupStatus is how the last backup went.
type BackupStatus struct {
	At      time.Time // of the newest good copy, zero for none
	Bytes   int64
	Problem string // why the last try failed, "" where it did not
}

// backups knows how the copies stand.
type backups struct {
	mu   sync.Mutex
	last BackupStatus
}

// Backups tells how the last backup went, from memory.
func (s *Store) Backups() BackupStatus {
	s.copies.mu.Lock()
	defer s.copies.mu.Unlock()
	return s.copies.last
}

// Backup writes a copy of the database, checks the copy, puts it in place, and drops all but the newest copies. Work
// goes on meanwhile; the log of the database grows until the copy is done.
func (s *Store) Backup(ctx context.Context) error {
	at := time.Now()
	size, err := s.backup(ctx, at)
	s.copies.mu.Lock()
	defer s.copies.mu.Unlock()
	if err != nil {
		s.copies.last.Problem = err.Error()
		return fmt.Errorf("back up the database: %w", err)
	}
	s.copies.last = BackupStatus{At: at, Bytes: size}
	return nil
}

func (s *Store) backup(ctx context.Context, at time.Time) (int64, error) {
	dir := s.path(backupDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	if err := s.roomForBackup(); err != nil {
		return 0, err
	}
	temp := filepath.Join(dir, "storeagent.db"+partEnding)
	if err := errors.Join(gone(os.Remove(temp)), gone(os.Remove(temp+"-journal"))); err != nil { // left by a crash
		return 0, err
	}
	commits, size, err := s.copyTo(ctx, temp)
	if err != nil {
		return 0, errors.Join(err, gone(os.Remove(temp)))
	}
	name := fmt.Sprintf("%012d-%s.db", commits, at.UTC().Format("20060102T150405Z"))
	if err := errors.Join(os.Rename(temp, filepath.Join(dir, name)), syncDir(dir)); err != nil {
		return 0, err
	}
	return size, s.rotateBackups(name)
}

// roomForBackup leaves a disk alone that would be full after it: room for sales goes first.
func (s *Store) roomForBackup() error {
	size, err := fileSize(s.path(DatabaseFile))
	if err != nil {
		return err
	}
	wal, err := fileSize(s.path(DatabaseFile + "-wal"))
	if err != nil {
		return err
	}
	free, _, err := s.disk.room(s.dir)
	if err != nil {
		return err
	}
	if need := size + wal + spare; free < need {
		return fmt.Errorf("the disk has %d bytes free and a copy needs %d", free, need)
	}
	return nil
}

// copyTo writes, flushes and checks one copy.
func (s *Store) copyTo(ctx context.Context, temp string) (commits, size int64, err error) {
	db, err := sql.Open(driverName, dsn(s.path(DatabaseFile), url.Values{"mode": {"ro"}}, "busy_timeout(5000)", "trusted_schema(0)"))
	if err != nil {
		return 0, 0, err
	}
	_, err = db.ExecContext(ctx, `VACUUM INTO ?`, temp)
	if err := errors.Join(err, db.Close()); err != nil {
		return 0, 0, err
	}
	if err := errors.Join(os.Chmod(temp, 0o600), syncFile(temp)); err != nil {
		return 0, 0, err
	}
	epoch, commits, err := verifyCopy(ctx, temp)
	if err != nil {
		return 0, 0, err
	}
	if want := s.w.hw.epoch.String(); epoch != want {
		return 0, 0, fmt.Errorf("the copy is of generation %s, want %s", epoch, want)
	}
	size, err = fileSize(temp)
	return commits, size, err
}

// verifyCopy reads a whole copy and says which generation and commit it holds.
func verifyCopy(ctx context.Context, path string) (epoch string, commits int64, err error) {
	db, err := sql.Open(driverName, dsn(path, url.Values{"mode": {"ro"}, "immutable": {"1"}}, "cell_size_check(1)", "trusted_schema(0)"))
	if err != nil {
		return "", 0, err
	}
	var verdict string
	err = db.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&verdict)
	if err == nil && verdict != "ok" {
		err = fmt.Errorf("the copy is damaged: %s", verdict)
	}
	if err == nil {
		err = db.QueryRowContext(ctx, qMeta).Scan(&epoch, &commits)
	}
	return epoch, commits, errors.Join(err, db.Close())
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// backupNames lists the copies, newest first.
func (s *Store) backupNames() ([]string, error) {
	entries, err := os.ReadDir(s.path(backupDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasSuffix(e.Name(), ".db") {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	slices.Reverse(names)
	return names, nil
}

// rotateBackups drops the oldest copies, but never the one just made.
func (s *Store) rotateBackups(fresh string) error {
	names, err := s.backupNames()
	if err != nil {
		return err
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == fresh })
	for _, name := range names[min(len(names), backupsKept-1):] {
		if err := os.Remove(filepath.Join(s.path(backupDir), name)); err != nil {
			return err
		}
	}
	return nil
}

// loadBackups finds out when the newest copy was made.
func (s *Store) loadBackups() error {
	names, err := s.backupNames()
	if err != nil || len(names) == 0 {
		return err
	}
	fi, err := os.Stat(filepath.Join(s.path(backupDir), names[0]))
	if err != nil {
		return err
	}
	s.copies.last = BackupStatus{At: fi.ModTime(), Bytes: fi.Size()}
	return nil
}

// restore puts the newest sound copy in the place of a damaged database that was moved aside. It returns the copy's
// name, "" where there is none. What that copy calls undelivered is put in doubt afterwards, see compare.
func (s *Store) restore(ctx context.Context) (string, error) {
	names, err := s.backupNames()
	if err != nil {
		return "", err
	}
	for _, name := range names {
		path := filepath.Join(s.path(backupDir), name)
		if _, _, err := verifyCopy(ctx, path); err != nil {
			if ctx.Err() != nil {
				return "", err
			}
			s.log.Error("backup cannot be used", "file", path, "err", err)
			continue
		}
		temp := s.path(DatabaseFile + partEnding)
		if err := copyWhole(path, temp); err != nil {
			return "", errors.Join(err, gone(os.Remove(temp)))
		}
		return name, errors.Join(os.Rename(temp, s.path(DatabaseFile)), syncDir(s.dir))
	}
	return "", nil
}

// copyWhole copies a file and flushes the copy.
func copyWhole(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return errors.Join(err, in.Close())
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close(), in.Close())
}

// gone makes nothing of a file that was not there.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// backupFindings is what a person should know about the copies.
func (s *Store) backupFindings() []Finding {
	b := s.Backups()
	if b.Problem == "" {
		return nil
	}
	since := "there is none"
	if !b.At.IsZero() {
		since = "the newest is of " + b.At.UTC().Format(time.RFC3339)
	}
	return []Finding{{Code: "backup_failed", Severity: Warning, Message: "the daily backup of the queue failed, " + since + ": " + b.Problem,
		Hint: "Make room on the disk that holds " + s.dir + " and check its health; it is tried again every hour."}}
}
