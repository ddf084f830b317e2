package installer

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"storeagent/devices"
	"storeagent/devices/discovery"
	"storeagent/devices/port"
	"storeagent/installer/config"
)

// TestMatch finds the configured device of a thing, however the configuration names it.
func TestMatch(t *testing.T) {
	dir := t.TempDir()
	node, byID := filepath.Join(dir, "ttyUSB0"), filepath.Join(dir, "usb-Maker_Thing-if00")
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{byID, filepath.Join(dir, "by-path")} {
		if err := os.Symlink(node, link); err != nil {
			t.Fatal(err)
		}
	}
	found := discovery.Found{Kind: discovery.Serial, Node: node, ByID: byID, VID: "0C2E", PID: "0720", Serial: "A1"}
	file := writeConfig(t, head+`name = "hand"
[[ device ]]
driver = "scanner"
  name = 'hand'
`)
	for _, c := range []struct {
		port string
		uses bool
	}{
		{"serial:" + node, true}, {"serial:" + node + "?baud=9600", true}, {"serial:" + byID, true}, {"serial:" + dir + "/by-path", true},
		{"serial:0c2e:0720", true}, {"serial:0C2E:0720:A1", true}, {"serial:0C2E:0720:B2", false}, {"serial:0C2E:0721", false},
		{"serial:" + dir + "/ttyUSB1", false}, {"tcp:127.0.0.1:9100", false},
	} {
		a, err := port.ParseAddress(c.port)
		if err != nil {
			t.Fatal(err)
		}
		cfg := &config.Config{Path: file, Devices: []config.Device{{Name: "hand", Port: a}}}
		got := Match([]discovery.Found{found}, cfg)[0]
		if (got.Configured == "hand") != c.uses || c.uses && got.ConfigLine != file+":9" {
			t.Errorf("%s: %q at %q", c.port, got.Configured, got.ConfigLine)
		}
	}
	if got := Match([]discovery.Found{found}, nil); len(got) != 1 || got[0].Configured != "" {
		t.Errorf("without a configuration: %+v", got)
	}
	if got := Match([]discovery.Found{{Kind: discovery.USB, VID: "0C2E", PID: "0720"}}, &config.Config{}); got[0].Configured != "" {
		t.Errorf("%+v", got)
	}
}

// TestCouldBe points from a missing device to what is plugged in elsewhere.
func TestCouldBe(t *testing.T) {
	scanner := discovery.Found{Kind: discovery.HID, Node: "/dev/hidraw0", Manufacturer: "Honeywell", Product: "Voyager", Seems: devices.Scanner, Note: "The scanner is in keyboard mode. Scan its code."}
	printer := discovery.Found{Kind: discovery.Printer, Node: "/dev/usb/lp1", Seems: devices.POSPrinter, ConfigLines: "[[device]]"}
	missing := Finding{Part: "device", Name: "x", Level: Failure, Code: "missing", Message: "m", Hint: "check the cable"}
	silent := missing
	silent.Code = "silent"
	for _, c := range []struct {
		what     string
		finding  Finding
		category devices.Category
		plugged  []Plugged
		hint     string
	}{
		{"keyboard mode", missing, devices.Scanner, []Plugged{{Found: printer}, {Found: scanner}}, "Honeywell Voyager is plugged in. The scanner is in keyboard mode. Scan its code."},
		{"other port", missing, devices.POSPrinter, []Plugged{{Found: scanner}, {Found: printer}}, "a posPrinter is plugged in at /dev/usb/lp1 and not configured: storeagent devices shows its lines"},
		{"that one is another device's", missing, devices.POSPrinter, []Plugged{{Found: printer, Configured: "kitchen"}}, "check the cable"},
		{"nothing of the kind", missing, devices.PaymentTerminal, []Plugged{{Found: scanner}, {Found: printer}}, "check the cable"},
		{"not missing", silent, devices.Scanner, []Plugged{{Found: scanner}}, "check the cable"},
	} {
		f := c.finding
		f.couldBe(c.category, c.plugged)
		if f.Hint != c.hint || f.Message != "m" || f.Code != c.finding.Code {
			t.Errorf("%s: %+v", c.what, f)
		}
	}
}

// TestMissingScannerInKeyboardMode goes the whole way, from the bus to the report.
func TestMissingScannerInKeyboardMode(t *testing.T) {
	a, err := port.ParseAddress("serial:/dev/ttyACM77")
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Path: "x", Devices: []config.Device{{Name: "hand", Category: devices.Scanner, Port: a}}}
	list := []Finding{{Part: "data", Name: "hand", Code: "missing", Hint: "h"}, {Part: "device", Name: "hand", Code: "missing", Hint: "h"}}
	findMissing(t.Context(), list, cfg, func(context.Context) ([]discovery.Found, error) {
		return []discovery.Found{{Kind: discovery.HID, Product: "Voyager", Seems: devices.Scanner, Note: "Scan its code."}}, nil
	})
	if list[0].Hint != "h" || list[1].Hint != "Voyager is plugged in. Scan its code." {
		t.Errorf("%+v", list)
	}
	findMissing(t.Context(), list, cfg, func(context.Context) ([]discovery.Found, error) { return nil, os.ErrPermission })
	findMissing(t.Context(), list, cfg, nil)
}
