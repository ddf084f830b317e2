//go:build unix

package setup

import (
	"io/fs"
	"os"
	"syscall"
)

func isAdmin() bool { return os.Geteuid() == 0 }

// owned reports whether a file belongs to that user and group.
func owned(info fs.FileInfo, uid, gid int) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && uid >= 0 && gid >= 0 && int64(st.Uid) == int64(uid) && int64(st.Gid) == int64(gid)
}
