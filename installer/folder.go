package installer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"storeagent/offline/sqlite"
)

// Limits of the free space that is taken for healthy, in bytes.
const (
	lowSpace = 500 << 20 // below it a warning is due
	noSpace  = 50 << 20  // and a failure
)

// folderMode lets nobody but the service's user look into the data folder.
const folderMode = 0o700

// dataFolder looks at where everything is kept, and with fix repairs what is safe to repair.
func dataFolder(dir string, fix bool) []Finding {
	f := Finding{Part: "data", Name: dir, Level: OK, Message: "is there, writable and closed to others"}
	info, err := os.Stat(dir)
	var done []string
	if fix {
		if done, err = repair(dir, info, err); err == nil {
			info, err = os.Stat(dir)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Level, f.Code, f.Message = Warning, "missing", "does not exist yet"
		f.Hint = "storeagent check --fix makes it, run as the user that runs storeagent; so does the first storeagent serve"
	case err != nil:
		f.unwritable(err, err.Error(), "run this as the user that runs storeagent")
	case !info.IsDir():
		f.Level, f.Code, f.Message, f.Hint = Failure, "bad_address", "is not a folder", "correct data.dir"
	case writable(dir) != nil:
		f.unwritable(writable(dir), "belongs to "+owner(info)+", and user "+whoami()+" may not write there",
			"run this as "+owner(info)+", or if storeagent runs as "+whoami()+": sudo chown -R "+whoami()+" "+dir)
	case tooOpen(info):
		f.Level, f.Code, f.Message = Warning, "open", fmt.Sprintf("other users may look into it (mode %04o)", info.Mode().Perm())
		f.Hint = "storeagent check --fix, or chmod 700 " + dir
	}
	if len(done) > 0 && f.Level == OK {
		f.Code, f.Message = "fixed", strings.Join(done, " and ")
	}
	out := []Finding{f}
	if err != nil || !info.IsDir() {
		return out
	}
	return append(append(out, strangers(dir, info)...), space(sqlite.Space(dir)))
}

// unwritable says that nothing can be written. Where that is no matter of rights, message and hint are not for it.
func (f *Finding) unwritable(err error, message, hint string) {
	f.Level, f.Code, f.Message, f.Hint = Failure, "no_permission", message, hint
	if errors.Is(err, syscall.EROFS) {
		f.Code, f.Message = "read_only", "is on a disk that can only be read"
		f.Hint = "Linux makes a disk read-only when it has errors: look with sudo dmesg, restart the machine, and replace the disk if it comes again"
	}
}

// repair does the two repairs that cannot hurt and says what it did.
func repair(dir string, info fs.FileInfo, err error) ([]string, error) {
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(dir, folderMode); err != nil {
			return nil, err
		}
		return []string{"made, for " + whoami() + " alone (mode 0700)"}, nil
	}
	if err != nil || !info.IsDir() || !tooOpen(info) {
		return nil, err
	}
	if err := os.Chmod(dir, folderMode); err != nil {
		return nil, err
	}
	return []string{fmt.Sprintf("closed to other users (mode was %04o, is 0700)", info.Mode().Perm())}, nil
}

// strangers finds files that belong to somebody else than the folder: what one run of storeagent as root leaves
// behind, and what the service then cannot open.
func strangers(dir string, info fs.FileInfo) []Finding {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // not readable for us, which dataFolder has said
	}
	var names []string
	by := ""
	for _, e := range entries {
		if i, err := e.Info(); err == nil && !sameOwner(i, info) {
			names, by = append(names, e.Name()), owner(i)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return []Finding{{
		Part: "data", Name: filepath.Join(dir, names[0]), Level: Failure, Code: "owner",
		Message: fmt.Sprintf("%d of the files belong to %s, the folder to %s: somebody ran storeagent as %s", len(names), by, owner(info), by),
		Hint:    "stop storeagent, then: sudo chown -R " + owner(info) + " " + dir,
	}}
}

// space judges the free bytes.
func space(free, _ int64, err error) Finding {
	f := Finding{Part: "data", Name: "free space", Level: OK, Message: fmt.Sprintf("%d MiB", free>>20)}
	switch {
	case err != nil:
		f.Level, f.Code, f.Message = Warning, "unknown", err.Error()
	case free < noSpace:
		f.Level, f.Code, f.Hint = Failure, "storage_full", "free space on that disk now: soon no sale can be kept"
	case free < lowSpace:
		f.Level, f.Code, f.Hint = Warning, "storage_low", "free space on that disk"
	}
	return f
}
