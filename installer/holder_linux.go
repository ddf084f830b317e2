package installer

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// holders are the other processes that have the file open, as far as this user may see them: all for root, else only
// one's own (proc(5), /proc/pid/fd). Of a pty the process at its other end is no holder: simulators keep both ends.
func holders(path string) []holder {
	var out []holder
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	for _, dir := range procs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == os.Getpid() {
			continue
		}
		open := openFiles(dir)
		if !slices.Contains(open, path) {
			continue
		}
		if strings.HasPrefix(path, "/dev/pts/") && slices.ContainsFunc(open, func(f string) bool { return filepath.Base(f) == "ptmx" }) {
			continue
		}
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			continue // it ended meanwhile
		}
		out = append(out, holder{pid, strings.TrimSpace(string(name))})
	}
	return out
}

func openFiles(proc string) []string {
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return nil // another user's process, or one that ended
	}
	var names []string
	for _, fd := range fds {
		if name, err := os.Readlink(filepath.Join(proc, "fd", fd.Name())); err == nil {
			names = append(names, name)
		}
	}
	return names
}
