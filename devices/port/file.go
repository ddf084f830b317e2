package port

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"
)

// OpenFile opens a kernel node such as /dev/usb/lp0, the node of a USB printer by VID:PID[:SERIAL], or a plain file that
// collects what is written. A plain file has to exist, is appended to, and never answers: a Read waits for its deadline or for
// Close.
func OpenFile(_ context.Context, a Address) (Port, error) {
	path, err := usblp{}.path(a)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|openNonblock, 0)
	if err != nil {
		return nil, OpenError(a.String(), path, err)
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, OpenError(a.String(), path, err)
	}
	canWait := f.SetReadDeadline(time.Time{}) == nil
	if info.Mode().IsRegular() || !canWait { // what cannot wait cannot answer
		near, _ := net.Pipe() // the far end is never closed, so that only our own Close ends a read
		return &sink{Conn: near, file: f, address: a.String()}, nil
	}
	return &node{File: f, address: a.String(), closed: make(chan struct{})}, nil
}

// sink is a plain file: writes go to the file, reads come from a pipe that nobody ever writes to.
type sink struct {
	net.Conn
	file    *os.File
	address string
}

func (s *sink) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if errors.Is(err, io.ErrClosedPipe) {
		err = os.ErrClosed
	}
	return n, err
}

func (s *sink) Write(b []byte) (int, error) {
	n, err := s.file.Write(b)
	if err != nil && !errors.Is(err, os.ErrClosed) {
		err = &Error{Op: "write", Address: s.address, Kind: Failed, Hint: "check the free space and the rights of the file", Err: err}
	}
	return n, err
}

func (s *sink) Close() error {
	_ = s.Conn.Close()
	return s.file.Close()
}

// emptyPause is the wait after a read that brought nothing. A USB printer may answer a read with an empty packet,
// which looks like the end of the file and is none (kernel, drivers/usb/class/usblp.c).
const emptyPause = 20 * time.Millisecond

// node is a character device with deadlines.
type node struct {
	*os.File
	address string
	once    sync.Once
	closed  chan struct{}

	mu       sync.Mutex
	deadline time.Time // of reads
}

func (n *node) SetReadDeadline(t time.Time) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deadline = t
	return n.File.SetReadDeadline(t)
}

func (n *node) Read(b []byte) (int, error) {
	for {
		got, err := n.File.Read(b)
		if err != io.EOF || len(b) == 0 {
			return got, n.gone("read", err)
		}
		if _, err := os.Stat(n.Name()); errors.Is(err, fs.ErrNotExist) {
			return 0, n.gone("read", io.ErrUnexpectedEOF)
		}
		n.mu.Lock()
		wait, limited := time.Until(n.deadline), !n.deadline.IsZero()
		n.mu.Unlock()
		if limited && wait <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
		select {
		case <-n.closed:
			return 0, os.ErrClosed
		case <-time.After(emptyPause):
		}
	}
}

func (n *node) Write(b []byte) (int, error) {
	put, err := n.File.Write(b)
	return put, n.gone("write", err)
}

func (n *node) Close() error {
	n.once.Do(func() { close(n.closed) })
	return n.File.Close()
}

// gone marks everything but a deadline and our own Close as an unplugged device: ENODEV, EIO and ENXIO are what
// Linux gives for one.
func (n *node) gone(op string, err error) error {
	if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, os.ErrClosed) {
		return err
	}
	return &Error{Op: op, Address: n.address, Kind: Unplugged, Hint: "check the cable and the power of the device", Err: err}
}
