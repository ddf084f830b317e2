//go:build linux

package port

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestOpenTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	a := Address{Scheme: SchemeTCP, Target: ln.Addr().String()}
	p, err := OpenTCP(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = p.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	_ = p.SetReadDeadline(time.Time{})
	if _, err := far.Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Read(make([]byte, 8)); n != 2 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	_ = far.(*net.TCPConn).SetLinger(0) // a reset
	_ = far.Close()
	var reset *Error
	if _, err := p.Read(make([]byte, 8)); !errors.As(err, &reset) || reset.Kind != Unplugged || strings.Contains(reset.Hint, "cable") {
		t.Errorf("after a reset: %v, hint %+v", err, reset)
	}
	_ = p.Close()
	if _, err := p.Read(make([]byte, 8)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	var pe *Error
	if _, err := OpenTCP(t.Context(), Address{Scheme: SchemeTCP, Target: deaf(t)}); !errors.As(err, &pe) || pe.Kind != Missing || pe.Hint == "" {
		t.Errorf("nobody listens: %v", err)
	}
}

// deaf is an address where nobody listens, and nobody can begin to until the test ends.
func deaf(t *testing.T) string {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", at.(*unix.SockaddrInet4).Port)
}

func TestOpenPlainFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "paper")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := OpenFile(t.Context(), Address{Scheme: SchemeFile, Target: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("+new")); err != nil {
		t.Fatal(err)
	}
	_ = p.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := p.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a plain file answered: %v", err)
	}
	_ = p.SetReadDeadline(time.Time{})
	done := make(chan error, 1)
	go func() { _, err := p.Read(make([]byte, 8)); done <- err }()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("read ended by Close: %v", err)
	}
	if got, err := os.ReadFile(path); string(got) != "old+new" {
		t.Errorf("%q, %v", got, err)
	}
}

// A named pipe stands for a character device: it can wait.
func TestOpenNode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lp0")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := OpenFile(t.Context(), Address{Scheme: SchemeFile, Target: path})
	if err != nil {
		t.Fatal(err)
	}
	_ = p.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := p.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	_ = p.SetReadDeadline(time.Time{})
	if _, err := p.Write([]byte("hi")); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Read(make([]byte, 8)); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	done := make(chan error, 1)
	go func() { _, err := p.Read(make([]byte, 8)); done <- err }()
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) || KindOf(err) == Unplugged {
		t.Errorf("read ended by Close: %v", err)
	}
}

// An empty packet of a USB printer is not the end.
func TestNodeSurvivesEmptyReads(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = w.Close() // every read is empty now
	path := filepath.Join(t.TempDir(), "lp0")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(r.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	if err := syscall.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	named := os.NewFile(uintptr(fd), path)
	n := &node{File: named, address: "file:" + path, closed: make(chan struct{})}
	n.mu.Lock()
	n.deadline = time.Now().Add(3 * emptyPause)
	n.mu.Unlock()
	if _, err := n.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("with a deadline: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Read(make([]byte, 1)); KindOf(err) != Unplugged || errors.Is(err, io.EOF) {
		t.Errorf("without its node: %v", err)
	}
	_ = n.Close()
}

func TestOpenError(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"lp1", "lp2", "other"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, "lp0")
	_, err := OpenFile(t.Context(), Address{Scheme: SchemeFile, Target: path})
	var pe *Error
	if !errors.As(err, &pe) || pe.Kind != Missing || !strings.Contains(pe.Hint, "lp1, "+dir+"/lp2") || strings.Contains(pe.Hint, "other") {
		t.Errorf("missing: %#v", err)
	}
	for cause, want := range map[error]struct {
		kind Kind
		hint string
	}{
		fs.ErrPermission: {NoPermission, "usermod -aG lp "},
		syscall.EACCES:   {NoPermission, "usermod -aG"},
		syscall.EBUSY:    {InUse, "CUPS"},
		syscall.ENODEV:   {Missing, "cable"},
		syscall.EISDIR:   {BadAddress, "folder"},
		io.ErrShortWrite: {Failed, ""},
	} {
		e := OpenError("file:"+path, path, fmt.Errorf("open: %w", cause))
		if e.Kind != want.kind || !strings.Contains(e.Hint, want.hint) || !errors.Is(e, cause) {
			t.Errorf("%v: %+v", cause, e)
		}
	}
	if e := OpenError("a", "p", &Error{Kind: Silent}); e.Kind != Silent {
		t.Errorf("an *Error was wrapped again: %+v", e)
	}
	if _, err := OpenFile(t.Context(), Address{Scheme: SchemeFile, Target: dir}); KindOf(err) != BadAddress {
		t.Errorf("a folder: %v", err)
	}
	if h := missingHint("/nowhere/at/all/lp0"); !strings.Contains(h, "/nowhere/at/all/lp0") {
		t.Error(h)
	}
}
