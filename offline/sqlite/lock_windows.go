package sqlite

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockFile takes an exclusive lock that Windows drops when the process ends. held tells that somebody else has it.
func lockFile(f *os.File) (held bool, err error) {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err = windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{})
	return errors.Is(err, windows.ERROR_LOCK_VIOLATION), err
}

// syncDir does nothing: NTFS journals names by itself and has no call for it.
func syncDir(string) error { return nil }

// Space gives the bytes that are free for this user on the volume that holds dir, and its size.
func Space(dir string) (free, total int64, err error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	var avail, size, unused uint64
	if err := windows.GetDiskFreeSpaceEx(name, &avail, &size, &unused); err != nil {
		return 0, 0, err
	}
	return int64(avail), int64(size), nil
}
