package installer

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestDataFolder(t *testing.T) {
	made := func(mode fs.FileMode) func(t *testing.T) string {
		return func(t *testing.T) string {
			dir := filepath.Join(t.TempDir(), "data")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
			return dir
		}
	}
	missing := func(t *testing.T) string { return filepath.Join(t.TempDir(), "a", "b") }
	file := func(t *testing.T) string {
		path := filepath.Join(t.TempDir(), "data")
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		what          string
		make          func(t *testing.T) string
		fix           bool
		level         Level
		code, message string
		mode          fs.FileMode // afterwards; 0 where it does not exist
	}{
		{"right", made(0o700), false, OK, "", "is there", 0o700},
		{"right, nothing to fix", made(0o700), true, OK, "", "is there", 0o700},
		{"open", made(0o755), false, Warning, "open", "mode 0755", 0o755},
		{"open, fixed", made(0o755), true, OK, "fixed", "closed to other users (mode was 0755, is 0700)", 0o700},
		{"missing", missing, false, Warning, "missing", "does not exist yet", 0},
		{"missing, fixed", missing, true, OK, "fixed", "made, for ", 0o700},
		{"a file", file, false, Failure, "bad_address", "is not a folder", 0o644},
		{"a file, left alone", file, true, Failure, "bad_address", "is not a folder", 0o644},
	} {
		t.Run(c.what, func(t *testing.T) {
			dir := c.make(t)
			list := dataFolder(dir, c.fix)
			f := find(t, list, dir)
			if f.Level != c.level || f.Code != c.code || !strings.Contains(f.Message, c.message) || (f.Hint == "") != (c.level == OK) {
				t.Errorf("%+v", f)
			}
			info, err := os.Stat(dir)
			switch {
			case c.mode == 0 && err == nil:
				t.Error("it exists")
			case c.mode != 0 && (err != nil || info.Mode().Perm() != c.mode):
				t.Errorf("%v, %v", info, err)
			}
		})
	}
}

func TestSpace(t *testing.T) {
	for _, c := range []struct {
		free  int64
		err   error
		level Level
		code  string
	}{
		{10 << 30, nil, OK, ""}, {lowSpace, nil, OK, ""}, {lowSpace - 1, nil, Warning, "storage_low"},
		{noSpace, nil, Warning, "storage_low"}, {noSpace - 1, nil, Failure, "storage_full"}, {0, nil, Failure, "storage_full"},
		{0, fs.ErrPermission, Warning, "unknown"},
	} {
		if f := space(c.free, 1<<40, c.err); f.Level != c.level || f.Code != c.code {
			t.Errorf("%d, %v: %+v", c.free, c.err, f)
		}
	}
}

// TestReadOnlyDiskIsNoMatterOfRights keeps a technician from changing owners when the disk is at fault.
func TestReadOnlyDiskIsNoMatterOfRights(t *testing.T) {
	var f Finding
	f.unwritable(&fs.PathError{Op: "mkdir", Path: "/x", Err: syscall.EROFS}, "belongs to root", "chown")
	if f.Level != Failure || f.Code != "read_only" || strings.Contains(f.Message+f.Hint, "root") || !strings.Contains(f.Hint, "dmesg") {
		t.Errorf("%+v", f)
	}
	f = Finding{}
	f.unwritable(syscall.EACCES, "belongs to root", "chown")
	if f.Level != Failure || f.Code != "no_permission" || f.Hint != "chown" {
		t.Errorf("%+v", f)
	}
}
