package port

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fakeHID lays out a machine with hidraw nodes; they are FIFOs, and far is what the device writes to.
type fakeHID struct{ HIDRaw }

func newFakeHID(t *testing.T) fakeHID {
	dir := t.TempDir()
	return fakeHID{HIDRaw{Sys: filepath.Join(dir, "sys"), Dev: filepath.Join(dir, "dev")}}
}

func (f fakeHID) plug(t *testing.T, name, id, serial string) (far *os.File) {
	t.Helper()
	dir := filepath.Join(f.Sys, name, "device")
	for _, d := range []string{dir, f.Dev} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	uevent := "DRIVER=hid-generic\nHID_ID=" + id + "\nHID_NAME=Some Scanner\nHID_PHYS=usb-1/input0\nHID_UNIQ=" + serial + "\n"
	if err := os.WriteFile(filepath.Join(dir, "uevent"), []byte(uevent), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(f.Dev, name)
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	far, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return far
}

func TestHIDRawByID(t *testing.T) {
	f := newFakeHID(t)
	one := f.plug(t, "hidraw0", "0003:00000C2E:00000B07", "S1")
	f.plug(t, "hidraw1", "0003:00000C2E:00000B07", "S2")
	f.plug(t, "hidraw2", "0003:0000046D:0000C31C", "")
	for target, want := range map[string]string{
		"0c2e:0b07":                        "fits hidraw0 and hidraw1",
		"0C2E:0B07:S3":                     "no device of that USB id",
		"046D:C31D":                        "no device of that USB id",
		filepath.Join(f.Dev, "hidraw9"):    "no such file",
		f.Dev:                              "",
		filepath.Join(f.Sys, "hidraw0/de"): "no such file",
	} {
		_, err := f.Open(t.Context(), Address{Scheme: SchemeHIDRaw, Target: target})
		var pe *Error
		if !errors.As(err, &pe) || pe.Hint == "" || pe.Address == "" || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", target, err)
		}
	}
	var pe *Error
	if _, err := f.Open(t.Context(), Address{Scheme: SchemeHIDRaw, Target: "0C2E:0B08"}); !errors.As(err, &pe) || pe.Kind != Missing || !strings.Contains(pe.Hint, "0C2E:0B07:S1") {
		t.Errorf("the hint names what is there: %+v", pe)
	}
	p, err := f.Open(t.Context(), Address{Scheme: SchemeHIDRaw, Target: "0c2e:0b07:S1"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	if _, err := one.Write([]byte{2, 0}); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := p.Read(buf); err != nil || !bytes.Equal(buf[:n], []byte{2, 0}) {
		t.Errorf("% x, %v", buf[:n], err)
	}
	if _, err := f.Open(t.Context(), Address{Scheme: SchemeHIDRaw, Target: filepath.Join(f.Dev, "hidraw0")}); KindOf(err) != InUse {
		t.Errorf("opened twice: %v", err)
	}
	if _, err := p.Write([]byte{1}); KindOf(err) != Failed {
		t.Errorf("write: %v", err)
	}
}

// Of a scanner that is a keyboard too, the node with the codes counts; and the port tells what the device is.
func TestHIDRawTakesThePointOfSale(t *testing.T) {
	f := newFakeHID(t)
	describe := func(name, descriptor string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(f.Sys, name, "device", "report_descriptor"), unhex(t, descriptor), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f.plug(t, "hidraw0", "0003:00000C2E:00000B07", "S1")
	far := f.plug(t, "hidraw1", "0003:00000C2E:00000B07", "S1")
	f.plug(t, "hidraw2", "0003:000005E0:00001200", "")
	describe("hidraw0", hexKeyboard)
	describe("hidraw1", hexScanner)
	describe("hidraw2", hexKeyboard)
	p, err := f.Open(t.Context(), Address{Scheme: SchemeHIDRaw, Target: "0C2E:0B07"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := far.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Read(make([]byte, 64)); n != 1 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
	if err := WantHID(p, "hidraw:0C2E:0B07", PageScanner, ""); err != nil {
		t.Error(err)
	}
	if _, err := p.(Reports).InputReport(make([]byte, 6)); !errors.Is(err, unix.ENOTTY) && !errors.Is(err, unix.EINVAL) {
		t.Errorf("a FIFO was asked for a report: %v", err)
	}
	p, err = f.Open(t.Context(), Address{Scheme: SchemeHIDRaw, Target: filepath.Join(f.Dev, "hidraw2")})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := WantHID(p, "hidraw:/dev/hidraw2", PageScanner, "switch it"); KindOf(err) != WrongMode {
		t.Errorf("a keyboard: %v", err)
	}
}

func TestHIDRawLife(t *testing.T) {
	f := newFakeHID(t)
	far := f.plug(t, "hidraw0", "0003:00000C2E:00000B07", "")
	a := Address{Scheme: SchemeHIDRaw, Target: "0C2E:0B07"}
	p, err := f.Open(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	_ = p.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := p.Read(make([]byte, 64)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	_ = p.SetReadDeadline(time.Time{})
	done := make(chan error, 1)
	go func() { _, err := p.Read(make([]byte, 64)); done <- err }()
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if p, err = f.Open(t.Context(), a); err != nil {
		t.Fatalf("again: %v", err)
	}
	if err := os.Remove(filepath.Join(f.Dev, "hidraw0")); err != nil { // pulled out
		t.Fatal(err)
	}
	_ = far.Close()
	if _, err := p.Read(make([]byte, 64)); KindOf(err) != Unplugged {
		t.Errorf("pulled out: %v", err)
	}
	_ = p.Close()
	if _, err = f.Open(t.Context(), a); KindOf(err) != Missing {
		t.Errorf("gone: %v", err)
	}
}

// The kernel gives EIO to a reader whose device was pulled out.
func TestInputNodeFaults(t *testing.T) {
	n := &node{address: "hidraw:x"}
	for _, err := range []error{unix.EIO, unix.ENODEV, io.ErrUnexpectedEOF} {
		if KindOf(n.gone("read", err)) != Unplugged {
			t.Errorf("%v is no unplugged device", err)
		}
	}
	for _, a := range []Address{{Scheme: SchemeHIDRaw, Target: "/dev/hidraw0"}, {Scheme: SchemeEvdev, Target: "/dev/input/event0"}} {
		inputErrors(t, a)
	}
}

func inputErrors(t *testing.T, a Address) {
	t.Helper()
	for err, want := range map[error]Kind{unix.EACCES: NoPermission, unix.EBUSY: InUse, unix.ENODEV: Missing, unix.ENOTTY: Failed} {
		var pe *Error
		if e := inputError(a, a.Target, err); !errors.As(e, &pe) || pe.Kind != want || pe.Hint == "" {
			t.Errorf("%v: %v", err, e)
		}
	}
}

func TestEvdev(t *testing.T) {
	dir := t.TempDir()
	grabbed := map[uintptr]bool{}
	e := Evdev{Sys: filepath.Join(dir, "sys"), Dev: filepath.Join(dir, "dev"), Grab: func(fd uintptr) error { grabbed[fd] = true; return nil }}
	for name, keys := range map[string]string{
		"event3": "402000000 3803078f800d001 feffffdfffefffff fffffffffffffffe", // a keyboard
		"event4": "1f 0 0 0 0 0 0 fff 0 0",                                      // its media keys
		"event5": "",                                                            // a power button gone
		"mouse0": "fffffffffffffffe",
	} {
		device := filepath.Join(e.Sys, name, "device")
		for file, text := range map[string]string{"capabilities/key": keys, "id/vendor": "05e0", "id/product": "1200", "uniq": "S7"} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(device, file)), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(device, file), []byte(text+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.MkdirAll(e.Dev, 0o700); err != nil {
		t.Fatal(err)
	}
	node := filepath.Join(e.Dev, "event3")
	if err := unix.Mkfifo(node, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"05e0:1200", "05E0:1200:S7", node} {
		p, err := e.Open(t.Context(), Address{Scheme: SchemeEvdev, Target: target})
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		if len(grabbed) != 1 {
			t.Errorf("%s: grabbed %d nodes", target, len(grabbed))
		}
		clear(grabbed)
		_ = p.Close()
	}
	if _, err := e.Open(t.Context(), Address{Scheme: SchemeEvdev, Target: "05E0:1200:S8"}); KindOf(err) != Missing {
		t.Errorf("another serial number: %v", err)
	}
	e.Grab = func(uintptr) error { return unix.EBUSY }
	if _, err := e.Open(t.Context(), Address{Scheme: SchemeEvdev, Target: node}); KindOf(err) != InUse {
		t.Errorf("grabbed by another: %v", err)
	}
	e.Grab = nil // the kernel's word: a FIFO types nothing
	var pe *Error
	if _, err := e.Open(t.Context(), Address{Scheme: SchemeEvdev, Target: node}); !errors.As(err, &pe) || pe.Kind != Failed || pe.Hint == "" || !strings.Contains(err.Error(), "no input device") {
		t.Errorf("a FIFO: %v", err)
	}
}
