//go:build unix

package port

import (
	"os"
	"os/user"
	"strconv"
	"syscall"
)

// openNonblock makes the kernel hand out bytes as they come, so that deadlines and Close end a wait.
const openNonblock = syscall.O_NONBLOCK

// groupOf is the name of the group that owns the node, "" where it cannot be told.
func groupOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	g, err := user.LookupGroupId(strconv.FormatUint(uint64(stat.Gid), 10))
	if err != nil {
		return ""
	}
	return g.Name
}
