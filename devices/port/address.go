package port

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Address is a configured port: "serial:/dev/ttyUSB0?baud=9600", "tcp:10.0.0.5:9100", "file:/dev/usb/lp0". It is a
// struct so that a strict decoder calls UnmarshalText. ParseAddress makes one.
type Address struct {
	Scheme string     // serial, tcp, file, hidraw, evdev, usb, https or printer
	Target string     // path, by-id link, COM name, VID:PID[:SERIAL], HOST:PORT, //HOST:PORT/PATH, or a device's name
	Params url.Values // what stood behind "?", nil where there was none
}

// The schemes of this build.
const (
	SchemeSerial = "serial"
	SchemeTCP    = "tcp"
	SchemeFile   = "file"
	SchemeHIDRaw = "hidraw"
	SchemeEvdev  = "evdev"
	SchemeUSB    = "usb"   // VID:PID[:SERIAL][?interface=N]: the pipes of a printer, HID scanner or scale, through libusb
	SchemeHTTPS  = "https" // https://HOST:PORT/PATH, for drivers that speak HTTP themselves: no Opener opens it
	// SchemePrinter is printer:NAME?pin=2, for what is plugged into a configured printer: no Opener opens it.
	SchemePrinter = "printer"
)

// examples shows one right address of each scheme.
var examples = map[string]string{
	SchemeSerial:  "serial:/dev/ttyUSB0?baud=9600",
	SchemeTCP:     "tcp:10.0.0.5:9100",
	SchemeFile:    "file:/dev/usb/lp0",
	SchemeHIDRaw:  "hidraw:0C2E:0B07",
	SchemeUSB:     "usb:04B8:0202",
	SchemeEvdev:   "evdev:/dev/input/by-id/usb-Symbol_Scanner-event-kbd",
	SchemeHTTPS:   "https://10.0.0.5:8443/nexo",
	SchemePrinter: "printer:front?pin=2",
}

// absent are schemes that the configuration knows and this build does not have, with what to use instead.
var absent = map[string]string{
	"winspool": SchemeTCP,
}

// AddressError says what is wrong with an address and shows a right one.
type AddressError struct {
	Text    string
	Reason  string
	Example string
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("port %q: %s; write it like %s", e.Text, e.Reason, e.Example)
}

// ParseAddress reads SCHEME:TARGET[?NAME=VALUE&…]. Every error is an *AddressError.
func ParseAddress(text string) (Address, error) {
	bad := func(example, format string, args ...any) (Address, error) {
		return Address{}, &AddressError{Text: text, Reason: fmt.Sprintf(format, args...), Example: example}
	}
	scheme, rest, found := strings.Cut(text, ":")
	example, known := examples[scheme]
	switch {
	case text == "":
		return bad(examples[SchemeSerial], "it is empty")
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl):
		return bad(examples[SchemeSerial], "it holds a control character or is not UTF-8")
	case absent[scheme] != "" && found:
		return bad(examples[absent[scheme]], "%s ports are not available in this build", scheme)
	case !found || !known:
		return bad(examples[SchemeSerial], "it has to begin with serial:, tcp:, file:, hidraw:, evdev:, usb:, https:// or printer:")
	}
	target, query, hasQuery := strings.Cut(rest, "?")
	a := Address{Scheme: scheme, Target: target}
	if hasQuery && query != "" {
		params, err := url.ParseQuery(query)
		if err != nil {
			return bad(example, "what stands behind \"?\" is not NAME=VALUE")
		}
		a.Params = params
	}
	if err := a.check(); err != nil {
		return bad(example, "%v", err)
	}
	return a, nil
}

// check says what ParseAddress would refuse.
func (a Address) check() error {
	if a.Target == "" {
		return fmt.Errorf("nothing stands behind %q", a.Scheme+":")
	}
	if strings.TrimSpace(a.Target) != a.Target {
		return errors.New("there is a space at its beginning or end")
	}
	if takesID(a.Scheme) && looksLikeID(a.Target) && !isID(a.Target) {
		return errors.New("a USB id is four hexadecimal digits, a colon, four more, and if need be a colon and the serial number, like 0403:6001:A50285BI")
	}
	if a.Scheme == SchemeSerial {
		_, err := a.Line()
		return err
	}
	if a.Scheme == SchemePrinter {
		_, err := a.Pin()
		return err
	}
	if a.Scheme == SchemeUSB {
		if !isID(a.Target) {
			return errors.New("it has to be a USB id: four hexadecimal digits, a colon, four more, and if need be a colon and the serial number")
		}
		_, err := a.Interface()
		return err
	}
	if len(a.Params) > 0 {
		return fmt.Errorf("%s ports take nothing behind \"?\"", a.Scheme)
	}
	if a.Scheme == SchemeHTTPS {
		return checkHTTPS(a.String())
	}
	if a.Scheme == SchemeTCP {
		host, number, err := net.SplitHostPort(a.Target)
		if err != nil || host == "" {
			return errors.New("it has to name host and port number")
		}
		if n, err := strconv.ParseUint(number, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("port number %q is not between 1 and 65535", number)
		}
	}
	return nil
}

// checkHTTPS wants host, port number and path, and nothing that could hide a secret or another host.
func checkHTTPS(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Port() == "":
		return errors.New("it has to name host, port number and path")
	case u.User != nil || u.Fragment != "" || u.Path == "":
		return errors.New("it has to be host, port number and path, nothing else")
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); err != nil || n == 0 {
		return fmt.Errorf("port number %q is not between 1 and 65535", u.Port())
	}
	return nil
}

// String is the text that ParseAddress reads as the same address.
func (a Address) String() string {
	if a.Scheme == "" {
		return ""
	}
	s := a.Scheme + ":" + a.Target
	if len(a.Params) > 0 {
		s += "?" + a.Params.Encode()
	}
	return s
}

// UnmarshalText is ParseAddress for decoders.
func (a *Address) UnmarshalText(text []byte) error {
	parsed, err := ParseAddress(string(text))
	if err == nil {
		*a = parsed
	}
	return err
}

// MarshalText is String for encoders.
func (a Address) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// WithDefaults adds parameters of a serial line that the address does not set: what a driver's device is shipped
// with. Other schemes come back unchanged.
func (a Address) WithDefaults(params map[string]string) Address {
	if a.Scheme != SchemeSerial {
		return a
	}
	merged := url.Values{}
	maps.Copy(merged, a.Params)
	for name, value := range params {
		if !merged.Has(name) {
			merged.Set(name, value)
		}
	}
	a.Params = merged
	return a
}

// USBID takes a VID:PID[:SERIAL] target apart, VID and PID in upper case.
func (a Address) USBID() (vid, pid, serial string, ok bool) {
	if !takesID(a.Scheme) || !isID(a.Target) {
		return "", "", "", false
	}
	return strings.ToUpper(a.Target[:4]), strings.ToUpper(a.Target[5:9]), strings.TrimPrefix(a.Target[9:], ":"), true
}

// Interface reads the number of the interface from a usb address; -1 where none is given.
func (a Address) Interface() (int, error) {
	for name := range a.Params {
		if name != "interface" {
			return 0, fmt.Errorf("%q is not interface", name)
		}
	}
	values := a.Params["interface"]
	if len(values) == 0 {
		return -1, nil
	}
	number, err := strconv.ParseUint(values[0], 10, 8)
	if err != nil || len(values) != 1 {
		return 0, errors.New("interface has to be one number from 0 to 255")
	}
	return int(number), nil
}

// Pin reads the pin of the drawer socket from a printer address: 2, also where none is given, or 5.
func (a Address) Pin() (int, error) {
	for name := range a.Params {
		if name != "pin" {
			return 0, fmt.Errorf("%q is not pin", name)
		}
	}
	switch pin := a.Params["pin"]; {
	case len(pin) == 0 || len(pin) == 1 && pin[0] == "2":
		return 2, nil
	case len(pin) == 1 && pin[0] == "5":
		return 5, nil
	}
	return 0, errors.New("pin has to be 2 (the usual one) or 5 (of a second drawer)")
}

var (
	usbID     = regexp.MustCompile(`^[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}(:.+)?$`)
	almostID  = regexp.MustCompile(`^[0-9A-Fa-fXx]{3,}:[^/\\]`)
	baudRange = [2]int{50, 4_000_000}
)

func takesID(scheme string) bool {
	return slices.Contains([]string{SchemeSerial, SchemeFile, SchemeHIDRaw, SchemeEvdev, SchemeUSB}, scheme)
}

func isID(target string) bool        { return usbID.MatchString(target) }
func looksLikeID(target string) bool { return isID(target) || almostID.MatchString(target) }

// Flow is who may stop the sender of a serial line.
type Flow string

// The kinds of flow control. All but FlowNone are kept by our own writer, in small steps: it waits while the line
// (CTS or DSR) is down, or from an XOFF until the XON.
const (
	FlowNone    Flow = "none"
	FlowRTSCTS  Flow = "rtscts"
	FlowDTRDSR  Flow = "dtrdsr"
	FlowXONXOFF Flow = "xonxoff"
)

// Line is how a serial line is set.
type Line struct {
	Baud   int    // bits per second, default 9600
	Data   int    // data bits 5 to 8, default 8
	Parity string // "n", "e" or "o", default n
	Stop   int    // stop bits 1 or 2, default 1
	Flow   Flow   // default none
}

// Line reads the parameters of a serial address; the error names the parameter that is wrong.
func (a Address) Line() (Line, error) {
	l := Line{Baud: 9600, Data: 8, Parity: "n", Stop: 1, Flow: FlowNone}
	for _, name := range slices.Sorted(maps.Keys(a.Params)) {
		values := a.Params[name]
		if len(values) != 1 {
			return Line{}, fmt.Errorf("%q is given %d times", name, len(values))
		}
		value := values[0]
		number, _ := strconv.Atoi(value) // 0 is out of every range below
		var wrong string
		switch name {
		case "baud":
			if l.Baud = number; number < baudRange[0] || number > baudRange[1] {
				wrong = fmt.Sprintf("a number from %d to %d", baudRange[0], baudRange[1])
			}
		case "data":
			if l.Data = number; number < 5 || number > 8 {
				wrong = "5, 6, 7 or 8"
			}
		case "parity":
			if l.Parity = value; !slices.Contains([]string{"n", "e", "o"}, value) {
				wrong = "n (none), e (even) or o (odd)"
			}
		case "stop":
			if l.Stop = number; number != 1 && number != 2 {
				wrong = "1 or 2"
			}
		case "flow":
			l.Flow = Flow(value)
			if !slices.Contains([]Flow{FlowNone, FlowRTSCTS, FlowDTRDSR, FlowXONXOFF}, l.Flow) {
				wrong = "none, rtscts, dtrdsr or xonxoff"
			}
		default:
			return Line{}, fmt.Errorf("%q is not one of baud, data, parity, stop and flow", name)
		}
		if wrong != "" {
			return Line{}, fmt.Errorf("%s=%s has to be %s", name, value, wrong)
		}
	}
	return l, nil
}

// Table is the explicit list of schemes that a program can open. It is an Opener.
type Table map[string]func(ctx context.Context, a Address) (Port, error)

// Open opens a with the function of its scheme; every error is an *Error.
func (t Table) Open(ctx context.Context, a Address) (Port, error) {
	open, ok := t[a.Scheme]
	if !ok {
		return nil, &Error{Op: "open", Address: a.String(), Kind: BadAddress, Hint: "use one of " + strings.Join(slices.Sorted(maps.Keys(t)), ", "),
			Err: fmt.Errorf("%q ports are not available here", a.Scheme)}
	}
	if err := a.check(); err != nil {
		return nil, &Error{Op: "open", Address: a.String(), Kind: BadAddress, Hint: "write it like " + examples[a.Scheme], Err: err}
	}
	return open(ctx, a)
}

// Bind makes an OpenFunc of an opener and an address.
func Bind(o Opener, a Address) OpenFunc {
	return func(ctx context.Context) (Port, error) { return o.Open(ctx, a) }
}
