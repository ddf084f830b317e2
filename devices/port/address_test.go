package port

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestParseAddress(t *testing.T) {
	for text, want := range map[string]Address{
		"serial:/dev/ttyUSB0": {Scheme: "serial", Target: "/dev/ttyUSB0"},
		"serial:/dev/serial/by-id/usb-FTDI_FT232R_A50285BI-if00-port0?baud=9600&stop=2": {Scheme: "serial", Target: "/dev/serial/by-id/usb-FTDI_FT232R_A50285BI-if00-port0", Params: map[string][]string{"baud": {"9600"}, "stop": {"2"}}},
		"serial:COM3":                         {Scheme: "serial", Target: "COM3"},
		`serial:\\.\COM10?parity=e&data=7`:    {Scheme: "serial", Target: `\\.\COM10`, Params: map[string][]string{"parity": {"e"}, "data": {"7"}}},
		"serial:11ca:0222":                    {Scheme: "serial", Target: "11ca:0222"},
		"serial:0403:6001:A5 02?flow=xonxoff": {Scheme: "serial", Target: "0403:6001:A5 02", Params: map[string][]string{"flow": {"xonxoff"}}},
		"tcp:10.0.0.5:9100":                   {Scheme: "tcp", Target: "10.0.0.5:9100"},
		"tcp:[fe80::1]:9100":                  {Scheme: "tcp", Target: "[fe80::1]:9100"},
		"tcp:printer.shop:9100":               {Scheme: "tcp", Target: "printer.shop:9100"},
		"file:/dev/usb/lp0":                   {Scheme: "file", Target: "/dev/usb/lp0"},
		"https://10.0.0.5:8443/nexo":          {Scheme: "https", Target: "//10.0.0.5:8443/nexo"},
		"https://[fe80::1]:8443/nexo/":        {Scheme: "https", Target: "//[fe80::1]:8443/nexo/"},
		"printer:front":                       {Scheme: "printer", Target: "front"},
		"printer:front?pin=5":                 {Scheme: "printer", Target: "front", Params: map[string][]string{"pin": {"5"}}},
		"file:04b8:0202:J1":                   {Scheme: "file", Target: "04b8:0202:J1"},
		"hidraw:/dev/hidraw3":                 {Scheme: "hidraw", Target: "/dev/hidraw3"},
		"hidraw:0c2e:0b07:S1":                 {Scheme: "hidraw", Target: "0c2e:0b07:S1"},
		"usb:04b8:0202:A 5?interface=1":       {Scheme: "usb", Target: "04b8:0202:A 5", Params: map[string][]string{"interface": {"1"}}},
		"evdev:/dev/input/event3":             {Scheme: "evdev", Target: "/dev/input/event3"},
		"evdev:05e0:1200":                     {Scheme: "evdev", Target: "05e0:1200"},
		"file:/dev/lp0?":                      {Scheme: "file", Target: "/dev/lp0"},
	} {
		got, err := ParseAddress(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		var through Address
		if err := through.UnmarshalText([]byte(got.String())); err != nil || !reflect.DeepEqual(through, want) {
			t.Errorf("%s: read again as %+v, %v", got, through, err)
		}
	}
}

func TestParseAddressErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                            "is empty",
		"/dev/ttyUSB0":                "begin with serial:, tcp:, file:, hidraw:, evdev:, usb:, https:// or printer:",
		"COM3":                        "begin with",
		"Serial:/dev/ttyUSB0":         "begin with",
		"serial:":                     "nothing stands behind",
		"serial: /dev/ttyUSB0":        "space",
		"serial:/dev/x\n":             "control character",
		"serial:/dev/\xff":            "UTF-8",
		"serial:/dev/x?baud=fast":     "baud=fast",
		"serial:/dev/x?baud=0":        "baud=0",
		"serial:/dev/x?data=9":        "data=9",
		"serial:/dev/x?parity=mark":   "n (none), e (even) or o (odd)",
		"serial:/dev/x?stop=1.5":      "stop=1.5 has to be 1 or 2",
		"serial:/dev/x?flow=hardware": "none, rtscts, dtrdsr or xonxoff",
		"serial:/dev/x?speed=9600":    "not one of baud",
		"serial:/dev/x?baud=1&baud=2": "given 2 times",
		"serial:/dev/x?%zz=1":         "NAME=VALUE",
		"serial:403:6001":             "four hexadecimal digits",
		"tcp:10.0.0.5":                "host and port number",
		"tcp::9100":                   "host and port number",
		"tcp:10.0.0.5:0":              "between 1 and 65535",
		"tcp:10.0.0.5:70000":          "between 1 and 65535",
		"tcp:10.0.0.5:http":           "between 1 and 65535",
		"tcp:10.0.0.5:9100?baud=9600": "nothing behind",
		"file:/dev/usb/lp0?baud=9600": "nothing behind",
		"usb:04b8":                    "four hexadecimal digits",
		"usb:/dev/usb/lp0":            "has to be a USB id",
		"usb:04b8:0202?interface=300": "0 to 255",
		"usb:04b8:0202?interface=":    "0 to 255",
		"usb:04b8:0202?baud=9600":     "is not interface",
		"hidraw:C2E:B07":              "four hexadecimal digits",
		"hidraw:/dev/hidraw0?x=1":     "nothing behind",
		"evdev:":                      "nothing stands behind",
		"https:10.0.0.5:8443":         "host, port number and path",
		"https://10.0.0.5/nexo":       "host, port number and path",
		"https://10.0.0.5:8443":       "host, port number and path",
		"https://10.0.0.5:0/nexo":     "between 1 and 65535",
		"https://u:p@10.0.0.5:1/nexo": "nothing else",
		"https://10.0.0.5:8443/n?a=b": "nothing behind",
		"winspool:Receipt":            "winspool ports are not available",
		"printer:":                    "nothing stands behind",
		"printer:front?pin=3":         "pin has to be 2",
		"printer:front?pin=2&pin=5":   "pin has to be 2",
		"printer:front?baud=9600":     "is not pin",
	} {
		_, err := ParseAddress(text)
		var ae *AddressError
		if !errors.As(err, &ae) {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q in it", text, err, want)
		}
		if _, err := ParseAddress(ae.Example); err != nil {
			t.Errorf("%q: the example is wrong: %v", text, err)
		}
	}
}

func TestLineAndDefaults(t *testing.T) {
	a, err := ParseAddress("serial:/dev/x?parity=o")
	if err != nil {
		t.Fatal(err)
	}
	if l, err := a.Line(); err != nil || l != (Line{Baud: 9600, Data: 8, Parity: "o", Stop: 1, Flow: FlowNone}) {
		t.Errorf("%+v, %v", l, err)
	}
	b := a.WithDefaults(map[string]string{"baud": "19200", "parity": "e", "data": "7"})
	if l, err := b.Line(); err != nil || l != (Line{Baud: 19200, Data: 7, Parity: "o", Stop: 1, Flow: FlowNone}) {
		t.Errorf("%+v, %v", l, err)
	}
	if a.String() != "serial:/dev/x?parity=o" {
		t.Errorf("WithDefaults changed its receiver: %s", a)
	}
	if c := (Address{Scheme: "tcp", Target: "a:1"}); c.WithDefaults(map[string]string{"baud": "1"}).Params != nil {
		t.Error("tcp got parameters")
	}
	if vid, pid, serial, ok := (Address{Scheme: "serial", Target: "11ca:02ab:X:1"}).USBID(); vid != "11CA" || pid != "02AB" || serial != "X:1" || !ok {
		t.Error(vid, pid, serial, ok)
	}
}

func TestTable(t *testing.T) {
	table := Table{"tcp": OpenTCP}
	for _, a := range []Address{{}, {Scheme: "serial", Target: "/dev/x"}, {Scheme: "tcp", Target: "nonsense"}} {
		_, err := Bind(table, a)(context.Background())
		var pe *Error
		if !errors.As(err, &pe) || pe.Kind != BadAddress || pe.Hint == "" {
			t.Errorf("%+v: %v", a, err)
		}
	}
}

// What is read is written as a text that reads the same.
func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"serial:/dev/ttyUSB0?baud=9600&flow=none", "tcp:[::1]:9100", "file:/dev/usb/lp0", "serial:04b8:0202:A?stop=2", "usb:1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			if ae := new(AddressError); !errors.As(err, &ae) || ae.Reason == "" || ae.Example == "" {
				t.Fatalf("%#v", err)
			}
			return
		}
		again, err := ParseAddress(a.String())
		if err != nil || !reflect.DeepEqual(a, again) {
			t.Fatalf("%q → %+v → %q → %+v, %v", text, a, a.String(), again, err)
		}
	})
}
