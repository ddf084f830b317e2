//go:build linux

package serialport

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"storeagent/devices/devicesim"
	"storeagent/devices/port"
)

func open(t *testing.T, params string) (port.Port, *devicesim.PTY, *Ports, port.Address) {
	t.Helper()
	pty, err := devicesim.OpenPTY(filepath.Join(t.TempDir(), "port"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pty.Close() })
	a, err := port.ParseAddress("serial:" + pty.Name() + params)
	if err != nil {
		t.Fatal(err)
	}
	ports := new(Ports)
	p, err := ports.Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p, pty, ports, a
}

func TestBinaryBothWays(t *testing.T) {
	p, pty, _, _ := open(t, "?baud=115200&parity=e&data=7&stop=2")
	all := make([]byte, 1024)
	for n := range all {
		all[n] = byte(n)
	}
	got := make([]byte, len(all))
	for _, way := range []struct {
		from io.Writer
		to   io.Reader
	}{{p, pty}, {pty, p}} {
		sent := make(chan error, 1)
		go func() { _, err := way.from.Write(all); sent <- err }()
		if _, err := io.ReadFull(way.to, got); err != nil || !bytes.Equal(got, all) {
			t.Fatalf("read: %v, equal %v", err, bytes.Equal(got, all))
		}
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
}

func TestReadDeadline(t *testing.T) {
	p, pty, _, _ := open(t, "")
	for _, wait := range []time.Duration{-time.Second, time.Millisecond, 150 * time.Millisecond} {
		if err := p.SetReadDeadline(time.Now().Add(wait)); err != nil {
			t.Fatal(err)
		}
		if n, err := p.Read(make([]byte, 8)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("deadline in %v: %d, %v", wait, n, err)
		}
	}
	if err := p.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := pty.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Read(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("after the deadline: %d, %v", n, err)
	}
}

// An unplugged device and our own Close look the same to the library; to our caller they do not.
func TestUnplugIsNotClose(t *testing.T) {
	blockedRead := func(p port.Port) <-chan error {
		done := make(chan error, 1)
		go func() { _, err := p.Read(make([]byte, 1)); done <- err }()
		return done
	}
	t.Run("unplug", func(t *testing.T) {
		p, pty, ports, a := open(t, "")
		done := blockedRead(p)
		if err := pty.Unplug(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; port.KindOf(err) != port.Unplugged || errors.Is(err, os.ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if _, err := p.Write([]byte("x")); port.KindOf(err) != port.Unplugged {
			t.Errorf("write: %v", err)
		}
		closeLine(t, p)
		if _, err := ports.Open(t.Context(), a); port.KindOf(err) != port.Missing {
			t.Errorf("open while unplugged: %v", err)
		}
		if err := pty.Replug(); err != nil {
			t.Fatal(err)
		}
		reopen(t, ports, a)
	})
	t.Run("close", func(t *testing.T) {
		p, _, ports, a := open(t, "")
		done := blockedRead(p)
		closeLine(t, p)
		if err := <-done; !errors.Is(err, os.ErrClosed) || port.KindOf(err) == port.Unplugged {
			t.Errorf("read: %v", err)
		}
		if _, err := p.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("write: %v", err)
		}
		if err := p.SetReadDeadline(time.Now()); !errors.Is(err, os.ErrClosed) {
			t.Errorf("deadline: %v", err)
		}
		if err := p.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		reopen(t, ports, a)
	})
}

// A far end that takes nothing must not hang the writer, nor its Close, nor leave a goroutine behind once it is gone.
func TestStuckWriter(t *testing.T) {
	t.Parallel() // it waits for stuckAfter
	p, pty, ports, a := open(t, "")
	n, err := p.Write(make([]byte, 1<<20))
	if port.KindOf(err) != port.Silent || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("write: %v", err)
	}
	if n == 0 || n >= 1<<20 {
		t.Errorf("%d bytes written", n)
	}
	if _, err := p.Read(make([]byte, 1)); port.KindOf(err) != port.Silent {
		t.Errorf("read on a dropped port: %v", err)
	}
	closeLine(t, p)
	if _, err := ports.Open(t.Context(), a); port.KindOf(err) != port.Silent {
		t.Errorf("open while the write hangs: %v", err)
	}
	if err := pty.Unplug(); err != nil {
		t.Fatal(err)
	}
	<-p.(*line).ended
	if err := pty.Replug(); err != nil {
		t.Fatal(err)
	}
	reopen(t, ports, a)
}

// reopen opens a port again. The new pty may have the same number as the old one, whose writer is still on its way out.
func reopen(t *testing.T, ports *Ports, a port.Address) {
	t.Helper()
	again, err := ports.Open(t.Context(), a)
	for port.KindOf(err) == port.Silent {
		runtime.Gosched()
		again, err = ports.Open(t.Context(), a)
	}
	if err != nil {
		t.Fatalf("open again: %v", err)
	}
	_ = again.Close()
}

func TestCloseEndsStuckWrite(t *testing.T) {
	p, pty, _, _ := open(t, "")
	done := make(chan error, 1)
	go func() { _, err := p.Write(make([]byte, 1<<20)); done <- err }()
	if err := p.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	_, _ = p.Read(make([]byte, 1)) // gives the write time to fill the pty; nothing depends on it
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("write: %v", err)
	}
	_ = pty.Unplug()
	<-p.(*line).ended
}

func TestXonXoff(t *testing.T) {
	p, pty, _, _ := open(t, "?flow=xonxoff")
	b := make([]byte, 8)
	if _, err := pty.Write([]byte{'a', xoff, 'b'}); err != nil {
		t.Fatal(err)
	}
	got := ""
	for got != "ab" {
		n, err := p.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got += string(b[:n])
	}
	_ = p.SetWriteDeadline(time.Now().Add(30 * time.Millisecond))
	if n, err := p.Write([]byte("held")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || port.KindOf(err) == port.Silent {
		t.Errorf("write while stopped: %d, %v", n, err)
	}
	_ = p.SetWriteDeadline(time.Time{})
	sent := make(chan error, 1)
	go func() { _, err := p.Write([]byte("go")); sent <- err }()
	if _, err := pty.Write([]byte{xon, 'c'}); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Read(b); err != nil || string(b[:n]) != "c" {
		t.Errorf("read %q, %v", b[:n], err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if n, err := pty.Read(b); err != nil || string(b[:n]) != "go" {
		t.Errorf("device got %q, %v", b[:n], err)
	}
}

// A pty has no modem lines: flow control by them cannot say stop and must not hang.
func TestModemLinesMissing(t *testing.T) {
	for _, flow := range []string{"rtscts", "dtrdsr"} {
		p, pty, _, _ := open(t, "?flow="+flow)
		if _, err := p.Write([]byte("x")); err != nil {
			t.Errorf("%s: %v", flow, err)
		}
		if n, err := pty.Read(make([]byte, 4)); n != 1 || err != nil {
			t.Errorf("%s: device got %d, %v", flow, n, err)
		}
	}
}

func TestOneOwner(t *testing.T) {
	_, pty, ports, a := open(t, "")
	other := filepath.Join(t.TempDir(), "other-name")
	target, err := os.Readlink(pty.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, other); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{a.Target, other, target} {
		_, err := ports.Open(t.Context(), port.Address{Scheme: port.SchemeSerial, Target: path})
		if port.KindOf(err) != port.InUse || !strings.Contains(err.Error(), a.String()) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]port.Kind{
		"/dev/null":                        port.Failed,
		filepath.Join(dir, "ttyUSB7"):      port.Missing,
		"FFFE:FFFF":                        port.Missing,
		"FFFE:FFFF:nobody has this number": port.Missing,
	} {
		_, err := new(Ports).Open(t.Context(), port.Address{Scheme: port.SchemeSerial, Target: name})
		var pe *port.Error
		if !errors.As(err, &pe) || pe.Kind != want || pe.Hint == "" || !strings.Contains(pe.Address, name) {
			t.Errorf("%s: %#v", name, err)
		}
	}
}

func TestResolve(t *testing.T) {
	found := []Found{
		{Name: "/dev/ttyS0"},
		{Name: "/dev/ttyUSB0", VID: "0403", PID: "6001", Serial: "A1"},
		{Name: "/dev/ttyUSB1", VID: "0403", PID: "6001", Serial: "B2"},
		{Name: "/dev/ttyACM0", VID: "11CA", PID: "0222"},
	}
	for _, c := range []struct {
		vid, pid, serial, want string
		kind                   port.Kind
	}{
		{"0403", "6001", "B2", "/dev/ttyUSB1", ""},
		{"11CA", "0222", "", "/dev/ttyACM0", ""},
		{"0403", "6001", "", "", port.InUse},
		{"0403", "6001", "C3", "", port.Missing},
		{"1234", "5678", "", "", port.Missing},
	} {
		got, err := resolve(found, c.vid, c.pid, c.serial)
		if got != c.want || (err == nil) != (c.kind == "") || err != nil && err.Kind != c.kind {
			t.Errorf("%s:%s:%s: %q, %v", c.vid, c.pid, c.serial, got, err)
		}
	}
}

func TestListHasNoEmptyNames(t *testing.T) {
	found, err := List()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Name == "" {
			t.Errorf("empty name in %+v", found)
		}
	}
}
