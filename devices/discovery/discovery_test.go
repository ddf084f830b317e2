package discovery

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/port/serialport"
)

// tree writes files and folders below dir; a value that begins with "→" is a link.
func tree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, isLink := strings.CutPrefix(content, "→"); isLink {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content+"\n"), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// keyboard is how a keyboard describes itself.
const keyboard = "\x05\x01\x09\x06\xA1\x01\xC0"

func counter(t *testing.T) Roots {
	t.Helper()
	root := t.TempDir()
	tree(t, root, map[string]string{
		// a hub, a receipt printer, one without usblp, a wedge scanner, a CDC-ACM terminal, a mouse, an unknown printer
		"usb/usb1/idVendor": "1d6b", "usb/usb1/idProduct": "0002", "usb/usb1/bDeviceClass": "09",
		"usb/1-1/idVendor": "04b8", "usb/1-1/idProduct": "0202", "usb/1-1/bDeviceClass": "00", "usb/1-1/serial": "J1",
		"usb/1-1/manufacturer": "EPSON", "usb/1-1/product": "TM-T88V",
		"usb/1-1:1.0/bInterfaceClass": "07", "usb/1-1:1.0/usbmisc/lp0/dev": "180:0",
		"usb/1-2/idVendor": "0416", "usb/1-2/idProduct": "5011", "usb/1-2/bDeviceClass": "00",
		"usb/1-2:1.0/bInterfaceClass": "07",
		"usb/1-3/idVendor":            "05e0", "usb/1-3/idProduct": "1200", "usb/1-3/bDeviceClass": "00",
		"usb/1-3:1.0/bInterfaceClass": "03", "usb/1-3:1.0/0003:05E0:1200.0001/hidraw/hidraw0/dev": "1",
		"usb/1-3:1.0/0003:05E0:1200.0001/report_descriptor": keyboard,
		"usb/1-4/idVendor": "11ca", "usb/1-4/idProduct": "0222", "usb/1-4/bDeviceClass": "02",
		"usb/1-4:1.0/bInterfaceClass": "02", "usb/1-4:1.0/tty/ttyACM0/dev": "1",
		"usb/1-5/idVendor": "046d", "usb/1-5/idProduct": "c077", "usb/1-5/bDeviceClass": "00",
		"usb/1-5:1.0/bInterfaceClass": "03",
		"usb/1-6/idVendor":            "ffff", "usb/1-6/idProduct": "0001", "usb/1-6/bDeviceClass": "00",
		"usb/1-6:1.0/bInterfaceClass": "07", "usb/1-6:1.0/usbmisc/lp1/dev": "180:1",
		// a scanner in HID POS mode that is a keyboard too, a scanner of a maker's own kind, a HID scale, two unknown keyboards that
		// type codes and are alike, a keyboard that does not, a second unknown printer that is like the first
		"usb/1-8/idVendor": "0c2e", "usb/1-8/idProduct": "0b07", "usb/1-8/bDeviceClass": "00", "usb/1-8/serial": "H1",
		"usb/1-8:1.0/bInterfaceClass": "03", "usb/1-8:1.0/0003:0C2E:0B07.0001/hidraw/hidraw1/dev": "1",
		"usb/1-8:1.0/0003:0C2E:0B07.0001/report_descriptor": keyboard,
		"usb/1-8:1.1/bInterfaceClass":                       "03", "usb/1-8:1.1/0003:0C2E:0B07.0002/hidraw/hidraw2/dev": "1",
		"usb/1-8:1.1/0003:0C2E:0B07.0002/report_descriptor": "\x05\x8C\x09\x02\xA1\x01\xC0",
		"usb/1-9/idVendor": "0c2e", "usb/1-9/idProduct": "0c00", "usb/1-9/bDeviceClass": "00",
		"usb/1-9:1.0/bInterfaceClass": "03", "usb/1-9:1.0/0003:0C2E:0C00.0001/report_descriptor": "\x06\x00\xFF\x09\x01\xA1\x01\xC0",
		"usb/2-1/idVendor": "fffe", "usb/2-1/idProduct": "0009", "usb/2-1/bDeviceClass": "00",
		"usb/2-1:1.0/bInterfaceClass": "03", "usb/2-1:1.0/0003:FFFE:0009.0001/hidraw/hidraw3/dev": "1",
		"usb/2-1:1.0/0003:FFFE:0009.0001/report_descriptor": "\x05\x8D\x09\x20\xA1\x01\xC0",
		"usb/2-2/idVendor": "fffd", "usb/2-2/idProduct": "0001", "usb/2-2/bDeviceClass": "00", "usb/2-2/product": "USB Barcode Reader",
		"usb/2-2:1.0/bInterfaceClass": "03", "usb/2-2:1.0/0003:FFFD:0001.0001/hidraw/hidraw4/dev": "1",
		"usb/2-2:1.0/0003:FFFD:0001.0001/report_descriptor": keyboard,
		"usb/2-3/idVendor": "fffd", "usb/2-3/idProduct": "0001", "usb/2-3/bDeviceClass": "00", "usb/2-3/product": "USB Barcode Reader",
		"usb/2-3:1.0/bInterfaceClass": "03", "usb/2-3:1.0/0003:FFFD:0001.0002/hidraw/hidraw5/dev": "1",
		"usb/2-3:1.0/0003:FFFD:0001.0002/report_descriptor": keyboard,
		"usb/2-4/idVendor": "046d", "usb/2-4/idProduct": "c31c", "usb/2-4/bDeviceClass": "00", "usb/2-4/product": "USB Keyboard",
		"usb/2-4:1.0/bInterfaceClass": "03", "usb/2-4:1.0/0003:046D:C31C.0001/report_descriptor": keyboard,
		"usb/2-5/idVendor": "ffff", "usb/2-5/idProduct": "0001", "usb/2-5/bDeviceClass": "00",
		"usb/2-5:1.0/bInterfaceClass": "07", "usb/2-5:1.0/usbmisc/lp2/dev": "180:2",

		"usb/1-7/idVendor": "ffff", "usb/1-7/idProduct": "0002", "usb/1-7/bDeviceClass": "00",
		"usb/1-7:1.0/bInterfaceClass":               "07",
		"dev/serial/by-id/usb-Verifone_Vx_123-if00": "→../../ttyACM0",
		"dev/serial/by-id/usb-Zebra_Scanner-if00":   "→../../ttyACM1",
	})
	return Roots{
		USB: filepath.Join(root, "usb"), Dev: filepath.Join(root, "dev"),
		List: func() ([]serialport.Found, error) {
			return []serialport.Found{
				{Name: "/dev/ttyS0"},
				{Name: "/dev/ttyUSB0", VID: "0403", PID: "6001", Serial: "A1"},
				{Name: "/dev/ttyACM1", VID: "05E0", PID: "1701", Product: "CDC Scanner"},
				{Name: "/dev/ttyACM0", VID: "11CA", PID: "0222"},
				{Name: "/dev/ttyACM2", VID: "0EB8", PID: "2200", Serial: "W7"},
			}, nil
		},
	}
}

func TestScan(t *testing.T) {
	r := counter(t)
	found, err := Scan(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	type row struct {
		kind   Kind
		node   string
		seems  devices.Category
		driver string
		config string // the port of the block, "" where there is none
		note   string
	}
	want := []row{
		{Serial, "/dev/ttyACM0", devices.PaymentTerminal, "", "serial:" + r.Dev + "/serial/by-id/usb-Verifone_Vx_123-if00", "payment provider"},
		{Serial, "/dev/ttyACM1", devices.Scanner, "scanner", "serial:" + r.Dev + "/serial/by-id/usb-Zebra_Scanner-if00", ""},
		{Serial, "/dev/ttyACM2", devices.Scale, "toledo", "serial:0EB8:2200:W7", "nci"},
		{Serial, "/dev/ttyS0", "", "", "serial:/dev/ttyS0", "built-in"},
		{Serial, "/dev/ttyUSB0", "", "", "serial:0403:6001:A1", "converter"},
		{Printer, r.Dev + "/usb/lp0", devices.POSPrinter, "escpos", "file:04B8:0202:J1", ""},
		{USB, "", devices.POSPrinter, "escpos", "", "opens it as usb:0416:5011."},
		{HID, r.Dev + "/hidraw0", devices.Scanner, "wedge", "evdev:05E0:1200", "keyboard mode, the last resort. Scan the code for USB HID POS or CDC COM port emulation under USB Device Type"},
		{Printer, r.Dev + "/usb/lp1", devices.POSPrinter, "escpos", "file:" + r.Dev + "/usb/lp1", "unknown make"},
		{USB, "", devices.POSPrinter, "escpos", "", "usblp"},
		{HID, r.Dev + "/hidraw2", devices.Scanner, "hidpos", "hidraw:0C2E:0B07:H1", ""},
		{HID, "", devices.Scanner, "", "", "maker's own or in keyboard mode. Scan the code for USB HID POS (HID bar code scanner)"},
		{HID, r.Dev + "/hidraw3", devices.Scale, "hidscale", "hidraw:FFFE:0009", ""},
		{HID, r.Dev + "/hidraw4", devices.Scanner, "wedge", "", "Another one is alike"},
		{HID, r.Dev + "/hidraw5", devices.Scanner, "wedge", "", "Another one is alike"},
		{Printer, r.Dev + "/usb/lp2", devices.POSPrinter, "escpos", "file:" + r.Dev + "/usb/lp2", "unknown make"},
	}
	if len(found) != len(want) {
		t.Fatalf("%d found: %+v", len(found), found)
	}
	names := make(map[string]bool)
	for n, w := range want {
		f := found[n]
		if f.Kind != w.kind || f.Node != w.node || f.Seems != w.seems || f.Driver != w.driver || !strings.Contains(f.Note, w.note) || w.note == "" && f.Note != "" {
			t.Errorf("%d: %+v\nwant %+v", n, f, w)
		}
		if f.Node != "/dev/ttyS0" && f.Kind != Printer && f.Manufacturer == "" && f.VID != "0416" && f.VID < "FFFD" {
			t.Errorf("%d: no manufacturer: %+v", n, f)
		}
		if w.config == "" {
			if f.ConfigLines != "" {
				t.Errorf("%d: %s", n, f.ConfigLines)
			}
			continue
		}
		// The block is what the configuration's own decoder takes.
		var c struct {
			Device []struct {
				Name, Driver string
				Port         port.Address
			}
		}
		if err := toml.Unmarshal([]byte(f.ConfigLines), &c); err != nil || len(c.Device) != 1 {
			t.Errorf("%d: %v in\n%s", n, err, f.ConfigLines)
			continue
		}
		if d := c.Device[0]; d.Port.String() != w.config || d.Driver != w.driver || names[d.Name] {
			t.Errorf("%d: %+v", n, d)
		}
		names[c.Device[0].Name] = true
	}
}

func TestScanWithoutUSB(t *testing.T) {
	none := func() ([]serialport.Found, error) { return nil, nil }
	dir := t.TempDir()
	if found, err := Scan(t.Context(), Roots{USB: dir + "/none", Dev: dir, List: none}); err != nil || len(found) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
	want := errors.New("registry locked")
	if _, err := Scan(t.Context(), Roots{USB: dir, Dev: dir, List: func() ([]serialport.Found, error) { return nil, want }}); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Scan(ctx, Roots{USB: dir, Dev: dir, List: none}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// This machine, whatever it has, can be looked at.
func TestScanThisMachine(t *testing.T) {
	found, err := Scan(t.Context(), Roots{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		if f.Kind == "" || f.Kind == Serial && f.Node == "" {
			t.Errorf("%+v", f)
		}
	}
}

func TestIDs(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range ids {
		if seen[k.vid+k.pid] || seen[k.vid] {
			t.Errorf("%s:%s can never be found", k.vid, k.pid)
		}
		seen[k.vid+k.pid] = true
		if len(k.vid) != 4 || len(k.pid) != 0 && len(k.pid) != 4 || k.vid != strings.ToUpper(k.vid) || k.pid != strings.ToUpper(k.pid) {
			t.Errorf("%s:%s is written wrong", k.vid, k.pid)
		}
		if k.driver == "" && k.note == "" {
			t.Errorf("%s:%s says nothing", k.vid, k.pid)
		}
	}
	if _, ok := lookUp("", ""); ok {
		t.Error("a thing without ids was found")
	}
}
