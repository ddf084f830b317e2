//go:build linux && cgo && !nolibusb && usbguest

package usbport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/port/serialport"
	"storeagent/devices/usbtest"
)

// asNobody makes this program the other user of TestGuestPermissions: its value are addresses to open.
const asNobody = "USB_OPEN_AS_NOBODY"

func TestMain(m *testing.M) {
	if text := os.Getenv(asNobody); text != "" {
		for _, one := range strings.Fields(text) {
			fmt.Println(one, openKind(one))
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func table() port.Table {
	return port.Table{port.SchemeUSB: Open, port.SchemeFile: port.OpenFile, port.SchemeHIDRaw: port.HIDRaw{}.Open,
		port.SchemeEvdev: port.Evdev{}.Open, port.SchemeSerial: new(serialport.Ports).Open}
}

func openKind(text string) port.Kind {
	a, err := port.ParseAddress(text)
	if err != nil {
		return port.BadAddress
	}
	p, err := table().Open(context.Background(), a)
	if err != nil {
		return port.KindOf(err)
	}
	_ = p.Close()
	return "opened"
}

// servePrinter lets the printer serve its cable until that is pulled, at the latest at the end of the test.
func servePrinter(t *testing.T, p *devicesim.Printer, d *devicesim.USBDevice) {
	ended := make(chan struct{})
	go func() { defer close(ended); _ = p.Serve(context.Background(), keepOpen{d}) }()
	t.Cleanup(func() { _ = d.Close(); <-ended })
}

// keepOpen hides Close, which Serve would call.
type keepOpen struct{ io.ReadWriter }

func open(t *testing.T, text string) port.Port {
	t.Helper()
	a, err := port.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	p, err := table().Open(t.Context(), a)
	if err != nil {
		var pe *port.Error
		if errors.As(err, &pe) {
			t.Fatalf("%v (%s)", err, pe.Hint)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

// ask writes and reads an answer of that many bytes.
func ask(t *testing.T, p port.Port, question string, n int) []byte {
	t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(usbtest.Limit))
	defer func() { _ = p.SetReadDeadline(time.Time{}) }()
	if _, err := io.WriteString(p, question); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(p, b); err != nil {
		t.Fatalf("no answer to %x: %v", question, err)
	}
	return b
}

func printer(t *testing.T, serial string) (*devicesim.Printer, *devicesim.USBDevice) {
	p := devicesim.NewPrinter(devicesim.PrinterOptions{})
	d := devicesim.NewUSBPrinter(p, devicesim.USBIdentity{VID: 0x04B8, PID: 0x0202, Manufacturer: "SIM", Product: "Receipt printer", Serial: serial})
	return p, d
}

const lp = "/dev/usb/lp0"

func TestGuestPrinter(t *testing.T) {
	sim, d := printer(t, "A1")
	usbtest.Plug(t, d, lp)
	servePrinter(t, sim, d)
	p := open(t, "usb:04B8:0202:A1")
	usbtest.Await(t, "the kernel's driver lets go", usbtest.Gone(lp))
	if got := ask(t, p, "\x1b@Hello\n\x10\x04\x04", 1); got[0] != 0x12 {
		t.Errorf("paper status %x", got)
	}
	long := strings.Repeat("0123456789abcdef\n", 3600) // 60 kB
	if got := ask(t, p, long+"\x10\x04\x01", 1); got[0] != 0x12 {
		t.Errorf("status %x", got)
	}
	usbtest.Await(t, "everything is printed", func() bool { return strings.Count(sim.Paper(), "0123456789abcdef") == 3600 })
	if !strings.HasPrefix(sim.Paper(), "Hello\n") {
		t.Errorf("paper begins with %.20q", sim.Paper())
	}
	sim.SetPaper(devicesim.PaperOut)
	if got := ask(t, p, "\x10\x04\x04", 1); got[0] != 0x7E {
		t.Errorf("paper status without paper: %x", got)
	}
	_ = p.SetReadDeadline(time.Now().Add(time.Millisecond))
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nothing to read: %v", err)
	}
	_ = p.SetReadDeadline(time.Time{})

	// Who else wants it is told who has it.
	_, err := Open(t.Context(), address(t, "usb:04B8:0202"))
	var pe *port.Error
	if !errors.As(err, &pe) || pe.Kind != port.InUse || !strings.Contains(pe.Hint, fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("second open: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
	usbtest.Await(t, "the kernel's driver has it again", usbtest.Exists(lp))
}

// A printer that takes nothing more is silent, not gone, and goes on once it has paper.
func TestGuestPrinterTakesNothing(t *testing.T) {
	sim, d := printer(t, "A2")
	usbtest.Plug(t, d, lp)
	servePrinter(t, sim, d)
	p := open(t, "usb:04B8:0202")
	sim.SetPaper(devicesim.PaperOut)
	lines := []byte(strings.Repeat("0123456789abcdef\n", 6000))
	_ = p.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	first, err := p.Write(lines)
	if !errors.Is(err, os.ErrDeadlineExceeded) || first >= len(lines) {
		t.Fatalf("%d bytes, %v", first, err)
	}
	_ = p.SetWriteDeadline(time.Time{})
	p.(*pipes).stuckAfter = 100 * time.Millisecond
	second, err := p.Write(lines[first:])
	var pe *port.Error
	if !errors.As(err, &pe) || pe.Kind != port.Silent || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("%d bytes, %v", second, err)
	}
	sim.SetPaper(devicesim.PaperOK)
	_ = p.SetWriteDeadline(time.Now().Add(usbtest.Limit))
	if _, err := p.Write(lines[first+second:]); err != nil {
		t.Fatal(err)
	}
	usbtest.Await(t, "nothing is lost or doubled", func() bool { return strings.Count(sim.Paper(), "0123456789abcdef\n") == 6000 })
}

func TestGuestUnplug(t *testing.T) {
	_, d := printer(t, "A3")
	usbtest.Plug(t, d, lp)
	for range 3 {
		p := open(t, "usb:04B8:0202:A3")
		done := make(chan error, 1)
		go func() { _, err := p.Read(make([]byte, 8)); done <- err }()
		if err := d.Unplug(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; port.KindOf(err) != port.Unplugged {
			t.Errorf("read: %v", err)
		}
		if _, err := p.Write([]byte("x")); port.KindOf(err) != port.Unplugged {
			t.Errorf("write: %v", err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		if kind := openKind("usb:04B8:0202:A3"); kind != port.Missing {
			t.Errorf("open: %v", kind)
		}
		usbtest.Await(t, "the node goes", usbtest.Gone(lp))
		usbtest.Replug(t, d, lp)
	}
	p := open(t, "usb:04B8:0202:A3")
	done := make(chan error, 1)
	go func() { _, err := p.Read(make([]byte, 8)); done <- err }()
	_ = p.Close()
	if err := <-done; !errors.Is(err, os.ErrClosed) {
		t.Errorf("a read ended by Close: %v", err)
	}
	usbtest.Await(t, "the kernel's driver has it again", usbtest.Exists(lp))
}

func TestGuestTwoAlike(t *testing.T) {
	one, d1 := printer(t, "B1")
	usbtest.Plug(t, d1, lp)
	servePrinter(t, one, d1)
	two, d2 := printer(t, "B2")
	usbtest.Plug(t, d2, "/dev/usb/lp1")
	servePrinter(t, two, d2)
	_, err := Open(t.Context(), address(t, "usb:04B8:0202"))
	var pe *port.Error
	if !errors.As(err, &pe) || pe.Kind != port.InUse || !strings.Contains(pe.Hint, "serial number") {
		t.Errorf("which of two: %v", err)
	}
	_, err = Open(t.Context(), address(t, "usb:04B8:0202:B3"))
	if !errors.As(err, &pe) || pe.Kind != port.Missing || !strings.Contains(pe.Hint, "04B8:0202:B1, 04B8:0202:B2") {
		t.Errorf("a third: %v", err)
	}
	p := open(t, "usb:04B8:0202:B2")
	ask(t, p, "\x1b@two\n\x10\x04\x01", 1)
	usbtest.Await(t, "the second prints", func() bool { return two.Paper() == "two\n" })
	if one.Paper() != "" {
		t.Errorf("the first printed %q", one.Paper())
	}
	_ = p.Close()
	usbtest.Await(t, "the kernel's driver has it again", usbtest.Exists("/dev/usb/lp1"))
}

func TestGuestPrinterNode(t *testing.T) {
	sim, d := printer(t, "C1")
	usbtest.Plug(t, d, lp)
	servePrinter(t, sim, d)
	p := open(t, "file:"+lp)
	if got := ask(t, p, "\x1b@Hello\n\x10\x04\x01", 1); got[0] != 0x12 {
		t.Errorf("status %x", got)
	}
	usbtest.Await(t, "it is printed", func() bool { return sim.Paper() == "Hello\n" })
	if err := d.Unplug(); err != nil {
		t.Fatal(err)
	}
	_ = p.SetReadDeadline(time.Now().Add(usbtest.Limit))
	if _, err := p.Read(make([]byte, 1)); port.KindOf(err) != port.Unplugged {
		t.Errorf("read: %v", err)
	}
	usbtest.Await(t, lp+" goes", usbtest.Gone(lp))
	if kind := openKind("file:" + lp); kind != port.Missing {
		t.Errorf("open: %v", kind)
	}
}

func TestGuestSerial(t *testing.T) {
	const tty = "/dev/ttyACM*" // the kernel takes another number while the old one is still open
	d := devicesim.NewUSBSerial(devicesim.USBIdentity{VID: 0x11CA, PID: 0x0222, Manufacturer: "SIM", Product: "Card terminal", Serial: "T1"})
	usbtest.Plug(t, d, tty)
	for range 2 {
		p := open(t, "serial:11CA:0222:T1?baud=19200&data=7&parity=e")
		if got, want := d.Line(), (devicesim.LineCoding{Baud: 19200, Parity: 2, Data: 7}); got != want {
			t.Errorf("line %+v; want %+v", got, want)
		}
		if dtr, rts := d.ControlLines(); !dtr || !rts {
			t.Errorf("DTR %v, RTS %v", dtr, rts)
		}
		all := make([]byte, 256)
		for n := range all {
			all[n] = byte(n)
		}
		got := make([]byte, len(all))
		if _, err := p.Write(all); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(d, got); err != nil || !bytes.Equal(got, all) {
			t.Errorf("out: %v, %x", err, got)
		}
		if _, err := d.Write(all); err != nil {
			t.Fatal(err)
		}
		_ = p.SetReadDeadline(time.Now().Add(usbtest.Limit))
		if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, all) {
			t.Errorf("in: %v, %x", err, got)
		}
		_ = p.SetReadDeadline(time.Time{})
		done := make(chan error, 1)
		go func() { _, err := p.Read(make([]byte, 1)); done <- err }()
		if err := d.Unplug(); err != nil {
			t.Fatal(err)
		}
		if err := <-done; port.KindOf(err) != port.Unplugged {
			t.Errorf("read: %v", err)
		}
		_ = p.Close()
		usbtest.Await(t, tty+" goes", usbtest.Gone(tty))
		if kind := openKind("serial:11CA:0222:T1"); kind != port.Missing {
			t.Errorf("open: %v", kind)
		}
		usbtest.Replug(t, d, tty)
	}
}

// Without rights each kind of port says so, and with them who holds a serial port. No udev runs in the guest: all nodes are
// root's.
func TestGuestPermissions(t *testing.T) {
	_, d := printer(t, "D1")
	usbtest.Plug(t, d, lp)
	const ttys = "/dev/ttyACM*"
	usbtest.Plug(t, devicesim.NewUSBSerial(devicesim.USBIdentity{}), ttys)
	found, err := filepath.Glob(ttys)
	if err != nil || len(found) != 1 {
		t.Fatalf("%q, %v", found, err)
	}
	tty := found[0]
	usbtest.Plug(t, devicesim.NewUSBScanner(devicesim.USBIdentity{}), "/dev/hidraw0")
	usbtest.Plug(t, devicesim.NewUSBKeyboard(devicesim.USBIdentity{}), "/dev/hidraw1")
	addresses := []string{"usb:04B8:0202:D1", "usb:04B8:0202", "usb:0C2E:0B07", "file:" + lp, "file:04B8:0202:D1", "serial:" + tty, "hidraw:0C2E:0B07", "evdev:05E0:1200"}
	for n, kind := range openAsNobody(t, addresses...) {
		if kind != string(port.NoPermission) {
			t.Errorf("%s: %s", addresses[n], kind)
		}
	}
	open(t, "serial:"+tty)
	if err := os.Chmod(tty, 0o666); err != nil {
		t.Fatal(err)
	}
	if kind := openAsNobody(t, "serial:"+tty)[0]; kind != string(port.InUse) {
		t.Errorf("a serial port that root holds: %s", kind)
	}
}

// openAsNobody opens addresses as another user and gives the kind of each failure.
func openAsNobody(t *testing.T, addresses ...string) []string {
	t.Helper()
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join("/run", "usbport.test")
	if err := os.WriteFile(own, program, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(own) }()
	cmd := exec.CommandContext(t.Context(), own)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), asNobody+"="+strings.Join(addresses, " "))
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var kinds []string
	for n, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		kind, found := strings.CutPrefix(line, addresses[n]+" ")
		if !found {
			t.Fatalf("%q is not about %s", line, addresses[n])
		}
		kinds = append(kinds, kind)
	}
	if len(kinds) != len(addresses) {
		t.Fatalf("%d of %d opened", len(kinds), len(addresses))
	}
	return kinds
}
