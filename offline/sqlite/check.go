package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// damage is what the check of the file found: why it cannot be used, and where it was put.
type damage struct {
	why      string
	kept     string // folder with the untouched files
	restored string // backup that was put in its place, "" for none
}

// checkFile looks for damage before anything is written: a damaged page lets inserts succeed, so waiting for an
// error would lose sales. A damaged file is moved aside with its -wal and -shm, and the newest sound backup takes its
// place; nil means that the file is sound or that there is none.
func (s *Store) checkFile(ctx context.Context) (*damage, error) {
	why, err := inspect(ctx, s.path(DatabaseFile))
	if err != nil || why == "" {
		return nil, err
	}
	kept, err := s.moveAside()
	if err != nil {
		return nil, fmt.Errorf("move the damaged database aside: %w", err)
	}
	s.log.Error("database is damaged and was moved aside", "why", why, "kept", kept)
	restored, err := s.restore(ctx)
	if err != nil {
		return nil, fmt.Errorf("put a backup in place of the damaged database: %w", err)
	}
	return &damage{why, kept, restored}, nil
}

// inspect returns what is wrong with the file, "" for nothing.
func inspect(ctx context.Context, path string) (string, error) {
	size, err := fileSize(path)
	if err != nil {
		return "", err
	}
	wal, err := fileSize(path + "-wal")
	if err != nil {
		return "", err
	}
	if size == 0 {
		if wal > 0 { // SQLite would delete that log
			return "its file is empty or gone while its log is there", nil
		}
		return "", nil
	}
	// Read-only: closing a writing connection would fold the log into the file.
	db, err := sql.Open(driverName, dsn(path, url.Values{"mode": {"ro"}}, "busy_timeout(5000)", "cell_size_check(1)", "trusted_schema(0)"))
	if err != nil {
		return "", fmt.Errorf("check database: %w", err)
	}
	var verdict string
	err = db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&verdict)
	if cerr := db.Close(); err == nil && cerr != nil {
		return "", fmt.Errorf("check database: %w", cerr)
	}
	switch code := primary(err); {
	case code == codeCorrupt, code == codeNotADB:
		return err.Error(), nil
	case err != nil:
		return "", fmt.Errorf("check database: %w", err)
	case verdict != "ok":
		return verdict, nil
	}
	return "", nil
}

func fileSize(path string) (int64, error) {
	fi, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// moveAside puts the database files as they are into a fresh folder and returns it.
func (s *Store) moveAside() (string, error) {
	kept, err := s.freshFolder()
	if err != nil {
		return "", err
	}
	for _, name := range []string{DatabaseFile, DatabaseFile + "-wal", DatabaseFile + "-shm"} {
		err := os.Rename(s.path(name), filepath.Join(kept, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return kept, errors.Join(syncDir(kept), syncDir(s.dir))
}

// freshFolder makes a folder for things that must be kept for a person to look at.
func (s *Store) freshFolder() (string, error) {
	base := s.path("damaged-" + time.Now().UTC().Format("20060102T150405Z"))
	for n := 1; ; n++ {
		name := base
		if n > 1 {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		err := os.Mkdir(name, 0o700)
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return name, err
		}
	}
}
