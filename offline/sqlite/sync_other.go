//go:build !linux

package sqlite

import "os"

func syncData(f *os.File) error { return f.Sync() }

// claim makes the file size bytes long and reserves the space for them.
func claim(f *os.File, size int64) error { return fillZeros(f, size) }
