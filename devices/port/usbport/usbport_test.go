package usbport

import (
	"errors"
	"strings"
	"testing"

	"storeagent/devices/port"
)

func address(t *testing.T, text string) port.Address {
	t.Helper()
	a, err := port.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestParse(t *testing.T) {
	for text, want := range map[string]target{
		"usb:04b8:0202":                 {vid: 0x04B8, pid: 0x0202, number: -1},
		"usb:1A86:1a86":                 {vid: 0x1A86, pid: 0x1A86, number: -1},
		"usb:04b8:0202:X:1?interface=0": {vid: 0x04B8, pid: 0x0202, serial: "X:1"},
		"usb:04b8:0202?interface=2":     {vid: 0x04B8, pid: 0x0202, number: 2},
	} {
		want.address = text
		if got, err := parse(address(t, text)); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", text, got, err, want)
		}
	}
	for _, a := range []port.Address{{Scheme: port.SchemeUSB, Target: "printer"}, {Scheme: port.SchemeSerial, Target: "/dev/x"},
		{Scheme: port.SchemeUSB, Target: "04b8:0202", Params: map[string][]string{"interface": {"x"}}}} {
		if _, err := Open(t.Context(), a); port.KindOf(err) != port.BadAddress {
			t.Errorf("%s: %v", a, err)
		}
	}
}

// A device that is nowhere is missing, or cannot be looked for; either way the next step is named.
func TestOpenWithoutDevice(t *testing.T) {
	_, err := Open(t.Context(), address(t, "usb:FFFE:FFFE"))
	var pe *port.Error
	if !errors.As(err, &pe) || pe.Hint == "" || pe.Op != "open" {
		t.Fatalf("%v", err)
	}
	switch {
	case errors.Is(err, ErrNoLibusb):
		if pe.Kind != port.BadAddress || !strings.Contains(pe.Hint, "/dev/usb/lp0") {
			t.Errorf("%v, %s", pe.Kind, pe.Hint)
		}
	case pe.Kind != port.Missing:
		t.Errorf("%v: %v", pe.Kind, err)
	}
}

func TestMissingNamesWhatIsThere(t *testing.T) {
	var pe *port.Error
	err := target{address: "usb:04B8:0202"}.missing([]string{"11CA:0222", "0C2E:0B07", "11CA:0222"})
	if !errors.As(err, &pe) || !strings.HasSuffix(pe.Hint, "plugged in are 0C2E:0B07, 11CA:0222") {
		t.Errorf("%+v", pe)
	}
}
