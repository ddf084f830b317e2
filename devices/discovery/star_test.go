package discovery

import (
	"path/filepath"
	"strings"
	"testing"

	"storeagent/devices/port/serialport"
)

// TestStarPrinter: a Star printer is offered the driver of its own language, and told of the other one.
func TestStarPrinter(t *testing.T) {
	root := t.TempDir()
	tree(t, root, map[string]string{
		"usb/1-1/idVendor": "0519", "usb/1-1/idProduct": "0003", "usb/1-1/bDeviceClass": "00",
		"usb/1-1:1.0/bInterfaceClass": "07", "usb/1-1:1.0/usbmisc/lp0/dev": "180:0",
	})
	found, err := Scan(t.Context(), Roots{USB: filepath.Join(root, "usb"), Dev: filepath.Join(root, "dev"),
		List: func() ([]serialport.Found, error) { return nil, nil }})
	if err != nil || len(found) != 1 {
		t.Fatalf("%+v, %v", found, err)
	}
	if f := found[0]; f.Driver != "starprnt" || !strings.Contains(f.ConfigLines, `driver = "starprnt"`) || !strings.Contains(f.Note, "escpos") {
		t.Errorf("%+v", f)
	}
}
