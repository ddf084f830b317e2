package sqlite

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncData flushes the file's bytes; its size and place are known to be on disk already or are flushed with them.
func syncData(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// claim makes the file size bytes long and reserves the space for them.
func claim(f *os.File, size int64) error {
	err := unix.Fallocate(int(f.Fd()), 0, 0, size)
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		return fillZeros(f, size)
	}
	return err
}
