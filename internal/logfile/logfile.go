// Package logfile keeps the newest part of a log on disk, in two files of bounded size, so that a support bundle has
// it also when the agent does not run any more.
//
// It is called by cmd. It imports nothing of this module.
package logfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// Older is the ending of the file that was full before.
const Older = ".1"

// File is an io.WriteCloser over two files: when the one in use is full it becomes the older one, and the older one
// before it goes. It is safe for concurrent use.
type File struct {
	path   string
	limit  int64
	opened func(*os.File)

	mu   sync.Mutex
	f    *os.File
	size int64
}

// Open appends to the file at path, made with mode 0600, and starts a new one whenever it would grow over limit bytes.
// opened, unless nil, is called with each file that is begun or taken up.
func Open(path string, limit int64, opened func(*os.File)) (*File, error) {
	l := &File{path: path, limit: limit, opened: opened}
	if err := l.begin(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *File) begin() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(fmt.Errorf("open log: %w", err), f.Close())
	}
	l.f, l.size = f, info.Size()
	if l.opened != nil {
		l.opened(f)
	}
	return nil
}

// Write implements io.Writer. One write is never split over two files.
func (l *File) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return 0, fmt.Errorf("write log: %w", fs.ErrClosed)
	}
	if l.size > 0 && l.size+int64(len(p)) > l.limit {
		if err := l.turn(); err != nil {
			return 0, err
		}
	}
	n, err := l.f.Write(p)
	l.size += int64(n)
	return n, err
}

// turn begins the next file. Where the old one cannot be put aside it goes on in it.
func (l *File) turn() error {
	old := l.f
	if err := os.Rename(l.path, l.path+Older); err != nil {
		l.size = 0 // try again after another limit's worth, not at every line
		return nil //nolint:nilerr // a log over its size is better than none
	}
	if err := l.begin(); err != nil {
		l.f = nil
		return errors.Join(err, old.Close())
	}
	return old.Close()
}

// Close implements io.Closer. Later writes fail.
func (l *File) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	return f.Close()
}
