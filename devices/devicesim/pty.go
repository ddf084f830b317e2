package devicesim

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
)

// PTY is a pseudo terminal that a program opens like a serial port, by a link with a lasting name. Read and Write are
// the device's end of the cable. Methods are safe for concurrent use.
type PTY struct {
	link string

	mu     sync.Mutex
	master *os.File // nil while unplugged
	slave  *os.File // kept open, so that the master can be read before a program opens the port
	closed bool
}

// OpenPTY makes a raw pty and points link at it, replacing an older link; with an empty link only Name leads to it.
// It works on Linux.
func OpenPTY(link string) (*PTY, error) {
	p := &PTY{link: link}
	if err := p.Replug(); err != nil {
		return nil, err
	}
	return p, nil
}

// Name is the path to open: the link, or the pty itself where there is none.
func (p *PTY) Name() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.link != "" || p.slave == nil {
		return p.link
	}
	return p.slave.Name()
}

// Replug plugs the device in again, as a fresh pty behind the same link. While it is plugged in, it does nothing.
func (p *PTY) Replug() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("replug pty %s: %w", p.link, os.ErrClosed)
	}
	if p.master != nil {
		return nil
	}
	master, slave, err := openRaw()
	if err != nil {
		return fmt.Errorf("open pty: %w", err)
	}
	if p.link != "" {
		if err := relink(slave.Name(), p.link); err != nil {
			_, _ = slave.Close(), master.Close()
			return fmt.Errorf("open pty: %w", err)
		}
	}
	p.master, p.slave = master, slave
	return nil
}

// relink points link at target; anything but a link in its place is an error, not replaced.
func relink(target, link string) error {
	info, err := os.Lstat(link)
	switch {
	case err == nil && info.Mode()&fs.ModeSymlink == 0:
		return fmt.Errorf("%s exists and is no link", link)
	case err == nil:
		if err := os.Remove(link); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return os.Symlink(target, link)
}

// Unplug pulls the cable: the link goes, and who has the port open sees the device vanish.
func (p *PTY) Unplug() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unplug()
}

func (p *PTY) unplug() error {
	if p.master == nil {
		return nil
	}
	var linkErr error
	if p.link != "" {
		if at, err := os.Readlink(p.link); err == nil && at == p.slave.Name() { // else it is another pty's by now
			linkErr = os.Remove(p.link)
		}
	}
	err := errors.Join(linkErr, p.master.Close(), p.slave.Close())
	p.master, p.slave = nil, nil
	return err
}

// Close unplugs for good.
func (p *PTY) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.unplug()
}

// Read gives what the program has written; after Unplug and Close it fails with os.ErrClosed.
func (p *PTY) Read(b []byte) (int, error) {
	f, err := p.end()
	if err != nil {
		return 0, err
	}
	return f.Read(b)
}

// Write sends bytes to the program. While no program has the port open they wait in the pty, which holds some 4 KB.
func (p *PTY) Write(b []byte) (int, error) {
	f, err := p.end()
	if err != nil {
		return 0, err
	}
	return f.Write(b)
}

func (p *PTY) end() (*os.File, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.master == nil {
		return nil, fmt.Errorf("pty %s is unplugged: %w", p.link, os.ErrClosed)
	}
	return p.master, nil
}
