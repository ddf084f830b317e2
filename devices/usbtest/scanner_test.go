//go:build linux && usbguest

package usbtest_test

import (
	"context"
	"testing"
	"time"

	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/scanner"
	"storeagent/devices/usbtest"
)

// sink is a scanner.Sink.
type sink chan scanner.Scan

func (s sink) Scanned(_ context.Context, scan scanner.Scan) error { s <- scan; return nil }

func (s sink) Refused(_ context.Context, name string, length int, at time.Time) {
	s <- scanner.Scan{Scanner: name, Symbology: "refused", At: at, Data: make([]byte, length)}
}

func newScanner(t *testing.T, driver, address string) (*scanner.Scanner, sink) {
	t.Helper()
	scans := make(sink, 100)
	var options scanner.Options
	if driver == scanner.DriverWedge {
		options.GapMS = 500 // an emulated machine types slowly
	}
	s, err := scanner.New(scanner.Config{Name: "hand", Driver: driver, Port: address, Open: opener(t, address), Sink: scans, Options: options})
	if err != nil {
		t.Fatal(err)
	}
	return s, scans
}

// heard scans until that comes: the kernel drops what a device says while its own driver is still starting.
func heard(t *testing.T, scans sink, scan func() error, is func(scanner.Scan) bool) scanner.Scan {
	t.Helper()
	limit, again := time.NewTimer(usbtest.Limit), time.NewTicker(time.Second)
	defer limit.Stop()
	defer again.Stop()
	for {
		if err := scan(); err != nil {
			t.Fatal(err)
		}
		for waiting := true; waiting; {
			select {
			case s := <-scans:
				if is(s) {
					return s
				}
			case <-again.C:
				waiting = false
			case <-limit.C:
				t.Fatal("never: the scan")
			}
		}
	}
}

// Each kind of scanner on its kind of port: a code arrives as what it is, a card is refused, and after the cable was pulled and
// put back the next code arrives.
func TestGuestScannerDrivers(t *testing.T) {
	pos := func() (usbtest.Cable, func(aim, data string) error) {
		s := devicesim.NewUSBScanner(devicesim.USBIdentity{VID: 0x0C2E, PID: 0x0B07, Manufacturer: "SIM", Product: "POS scanner", Serial: "P1"})
		return s, s.Scan
	}
	keyboard := func() (usbtest.Cable, func(aim, data string) error) {
		k := devicesim.NewUSBKeyboard(devicesim.USBIdentity{VID: 0x05E0, PID: 0x1200, Manufacturer: "SIM", Product: "Keyboard scanner", Serial: "K1"})
		return k, func(_, data string) error { return k.Scan(data) }
	}
	serial := func() (usbtest.Cable, func(aim, data string) error) {
		d := devicesim.NewUSBSerial(devicesim.USBIdentity{VID: 0x0C2E, PID: 0x0720, Manufacturer: "SIM", Product: "Serial scanner", Serial: "S1"})
		return d, devicesim.NewScanner(d, devicesim.ScannerOptions{AIM: true}).Scan
	}
	for _, c := range []struct {
		driver, address, node string
		device                func() (usbtest.Cable, func(aim, data string) error)
		aim, symbology        string // of an EAN-13 as it arrives
	}{
		{scanner.DriverHIDPOS, "hidraw:0C2E:0B07:P1", "/dev/hidraw0", pos, "]E0", "ean13"},
		{scanner.DriverHIDPOS, "usb:0C2E:0B07:P1", "/dev/hidraw0", pos, "]E0", "ean13"},
		{scanner.DriverWedge, "evdev:05E0:1200:K1", "/dev/hidraw0", keyboard, "", "unknown"},
		{scanner.DriverBytes, "serial:0C2E:0720:S1", "/dev/ttyACM*", serial, "]E0", "ean13"},
	} {
		t.Run(c.driver+" "+c.address, func(t *testing.T) {
			cable, scan := c.device()
			usbtest.Plug(t, cable, c.node)
			s, scans := newScanner(t, c.driver, c.address)
			run(t, s)
			ready(t, s)
			reads := func(code string) {
				t.Helper()
				got := heard(t, scans, func() error { return scan("]E0", code) }, func(s scanner.Scan) bool { return string(s.Data) == code })
				if got.Scanner != "hand" || got.AIM != c.aim || got.Symbology != c.symbology || got.GTIN != "0"+code {
					t.Errorf("%+v with data %q", got, got.Data)
				}
			}
			reads("4006381333931")
			got := heard(t, scans, func() error { return scan("]C0", "4111111111111111") }, func(s scanner.Scan) bool { return s.Symbology == "refused" })
			if len(got.Data) != 16 {
				t.Errorf("a card: %+v", got)
			}
			for n := range 2 {
				if err := cable.Unplug(); err != nil {
					t.Fatal(err)
				}
				usbtest.Await(t, c.node+" goes", usbtest.Gone(c.node))
				trouble(t, s, port.Missing)
				if err := cable.Replug(); err != nil {
					t.Fatal(err)
				}
				ready(t, s)
				reads([]string{"9780201379624", "4006381333931"}[n])
			}
		})
	}
}

// A scanner that is held is held for one, and one that is set to be a keyboard is no HID POS scanner, whichever way it is
// opened.
func TestGuestScannerFaults(t *testing.T) {
	refused(t, "hidraw:05E0:1200", port.Missing)
	refused(t, "evdev:05E0:1200", port.Missing)
	k := devicesim.NewUSBKeyboard(devicesim.USBIdentity{})
	usbtest.Plug(t, k, "/dev/hidraw0")
	for _, address := range []string{"hidraw:05E0:1200", "usb:05E0:1200"} {
		s, _ := newScanner(t, scanner.DriverHIDPOS, address)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		trouble(t, s, port.WrongMode)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	usbtest.Await(t, "the kernel's driver has it again", usbtest.Exists("/dev/hidraw0"))
	for _, address := range []string{"hidraw:05E0:1200", "evdev:05E0:1200"} {
		var p port.Port
		usbtest.Await(t, address+" opens", func() bool {
			var err error
			p, err = opener(t, address)(t.Context())
			return err == nil
		})
		refused(t, address, port.InUse)
		_ = p.Close()
	}
}
