package port

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUSBPrinterByID(t *testing.T) {
	dir := t.TempDir()
	u := usblp{sys: filepath.Join(dir, "class"), dev: "/dev/usb"}
	if _, err := u.path(Address{Scheme: SchemeFile, Target: "04B8:0202"}); KindOf(err) != Missing {
		t.Errorf("a machine without printers: %v", err)
	}
	for name, ids := range map[string][3]string{"lp0": {"04b8", "0202", "A"}, "lp1": {"04b8", "0202", "B"}, "lp3": {"0519", "0003", ""}, "hiddev0": {"0922", "8003", ""}} {
		device := filepath.Join(dir, "devices", name)
		node := filepath.Join(u.sys, name)
		for _, d := range []string{filepath.Join(device, "interface"), node} {
			if err := os.MkdirAll(d, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(filepath.Join(device, "interface"), filepath.Join(node, "device")); err != nil {
			t.Fatal(err)
		}
		for n, file := range []string{"idVendor", "idProduct", "serial"} {
			if err := os.WriteFile(filepath.Join(device, file), []byte(ids[n]+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for target, want := range map[string]string{"04b8:0202:A": "/dev/usb/lp0", "04B8:0202:B": "/dev/usb/lp1", "0519:0003": "/dev/usb/lp3", "/dev/usb/lp7": "/dev/usb/lp7"} {
		if got, err := u.path(Address{Scheme: SchemeFile, Target: target}); got != want || err != nil {
			t.Errorf("%s: %s, %v", target, got, err)
		}
	}
	for target, want := range map[string]Kind{"04B8:0202": InUse, "04B8:0202:C": Missing, "0922:8003": Missing} {
		if _, err := u.path(Address{Scheme: SchemeFile, Target: target}); KindOf(err) != want {
			t.Errorf("%s: %v", target, err)
		}
	}
}
