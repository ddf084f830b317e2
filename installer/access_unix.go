//go:build unix

package installer

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// writable says whether this user may write to the folder, without writing.
func writable(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }

// tooOpen says whether other users may look into the folder.
func tooOpen(info fs.FileInfo) bool { return info.Mode().Perm()&0o077 != 0 }
