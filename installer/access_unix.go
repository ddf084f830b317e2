//go:build unix

package installer

import (
	"io/fs"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// writable says why this user may not write to the folder, without writing.
func writable(dir string) error { return unix.Access(dir, unix.W_OK|unix.X_OK) }

// tooOpen says whether other users may look into the folder.
func tooOpen(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }

// owner is the name of the user a file belongs to, or the number where it has no name.
func owner(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "somebody"
	}
	id := strconv.FormatUint(uint64(st.Uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return "user " + id
}

func sameOwner(a, b fs.FileInfo) bool {
	x, ok := a.Sys().(*syscall.Stat_t)
	y, also := b.Sys().(*syscall.Stat_t)
	return !ok || !also || x.Uid == y.Uid
}
