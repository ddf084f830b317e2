package devicesim

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
)

// descriptorInterface is an interface descriptor (USB 2.0, table 9-12).
func descriptorInterface(number, endpoints, class, sub, protocol byte) []byte {
	return []byte{9, 4, number, 0, endpoints, class, sub, protocol, 0}
}

// descriptorEndpoint is an endpoint descriptor (USB 2.0, table 9-13).
func descriptorEndpoint(address, attributes, size, interval byte) []byte {
	return []byte{7, 5, address, attributes, size, 0, interval}
}

const (
	bulk      = 2
	interrupt = 3
)

func join(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// NewUSBPrinter is the cable of a simulated printer with USB printer class (USB-IF, Printing Devices 1.1); an id of zero
// is that of Epson's interface card UB-U05. p has to Serve it; p's paper is also seen in GET_PORT_STATUS.
func NewUSBPrinter(p *Printer, id USBIdentity) *USBDevice {
	if id.VID == 0 {
		id.VID, id.PID, id.Manufacturer, id.Product = 0x04B8, 0x0202, "SIM", "Receipt printer"
	}
	return newUSBPrinterClass(id, p.o.Model, "ESC/POS", p.portStatus)
}

// newUSBPrinterClass is a device with one interface of the printer class.
func newUSBPrinterClass(id USBIdentity, model, language string, status func() byte) *USBDevice {
	d := newUSBDevice(id, 0, join(descriptorInterface(0, 2, 7, 1, 2), descriptorEndpoint(0x01, bulk, 64, 0), descriptorEndpoint(0x82, bulk, 64, 0)))
	d.streamIn = 2
	text := "MFG:" + id.Manufacturer + ";MDL:" + model + ";CMD:" + language + ";CLS:PRINTER;" // IEEE 1284
	d.control = func(s usbSetup, _ []byte) ([]byte, bool) {
		switch {
		case s.kind == 0xA1 && s.request == 0: // GET_DEVICE_ID
			return append(binary.BigEndian.AppendUint16(nil, uint16(2+len(text))), text...), true
		case s.kind == 0xA1 && s.request == 1: // GET_PORT_STATUS
			return []byte{status()}, true
		case s.kind == 0x21 && s.request == 2: // SOFT_RESET
			return nil, true
		}
		return nil, false
	}
	return d
}

// USBScanner is a bar code scanner in HID POS mode (USB-IF, HID Point of Sale Usage Tables 1.02).
type USBScanner struct{ *USBDevice }

// posReport describes an input report of 61 bytes: id 2, length, 56 bytes of data, 3 of the AIM identifier.
var posReport = []byte{
	0x05, 0x8C, 0x09, 0x02, 0xA1, 0x01, 0x09, 0x12, 0xA1, 0x02, 0x85, 0x02, 0x15, 0x00, 0x26, 0xFF, 0x00, 0x75, 0x08, 0x95, 0x01, 0x05, 0x01, 0x09,
	0x3B, 0x81, 0x02, 0x95, 0x38, 0x05, 0x8C, 0x09, 0xFE, 0x82, 0x02, 0x01, 0x95, 0x03, 0x06, 0x66, 0xFF, 0x09, 0x04, 0x81, 0x02, 0xC0, 0xC0,
}

// posData is how much of a code fits in one report.
const posData = 56

// NewUSBScanner is a HID POS scanner; an id of zero is one of Honeywell's.
func NewUSBScanner(id USBIdentity) USBScanner {
	if id.VID == 0 {
		id.VID, id.PID, id.Manufacturer, id.Product = 0x0C2E, 0x0B07, "SIM", "POS scanner"
	}
	return USBScanner{newHID(id, 0, 0, 64, posReport)}
}

// newHID is a device with one HID interface (USB-IF, HID 1.11, section 6.2.1).
func newHID(id USBIdentity, sub, protocol, size byte, report []byte) *USBDevice {
	hid := []byte{9, 0x21, 0x11, 1, 0, 1, 0x22, byte(len(report)), 0}
	d := newUSBDevice(id, 0, join(descriptorInterface(0, 1, 3, sub, protocol), hid, descriptorEndpoint(0x81, interrupt, size, 4)))
	d.others[0x2100], d.others[0x2200] = hid, report
	d.control = func(s usbSetup, _ []byte) ([]byte, bool) { return nil, s.kind == 0x21 } // SET_IDLE, SET_PROTOCOL, SET_REPORT
	return d
}

// Scan reads one code; a long one goes out in several reports. aim has three characters, like "]E0".
func (s USBScanner) Scan(aim, data string) error {
	for first := true; first || data != ""; first = false {
		report := make([]byte, 61)
		report[0] = 2
		n := copy(report[2:2+posData], data)
		report[1] = byte(n)
		data = data[n:]
		copy(report[2+posData:], aim)
		if err := s.sendIn(1, report); err != nil {
			return fmt.Errorf("scan: %w", err)
		}
	}
	return nil
}

// scaleReport describes a scale with one report, 3: status, unit, exponent, and a weight of two bytes (USB-IF, HID Point of
// Sale Usage Tables 1.02, usage page 8Dh).
var scaleReport = []byte{
	0x05, 0x8D, 0x09, 0x20, 0xA1, 0x01, 0x09, 0x32, 0xA1, 0x02, 0x85, 0x03, 0x75, 0x08, 0x95, 0x01,
	0x15, 0x01, 0x25, 0x08, 0x09, 0x70, 0xA1, 0x02, 0x19, 0x71, 0x29, 0x78, 0x81, 0x00, 0xC0, // status
	0x15, 0x01, 0x25, 0x0C, 0x09, 0x50, 0xA1, 0x02, 0x19, 0x51, 0x29, 0x5C, 0x81, 0x00, 0xC0, // unit
	0x09, 0x41, 0x15, 0x81, 0x25, 0x7F, 0x81, 0x02, // exponent
	0x09, 0x40, 0x15, 0x00, 0x27, 0xFF, 0xFF, 0x00, 0x00, 0x75, 0x10, 0x81, 0x02, 0xC0, 0xC0, // weight
}

// USBScale is a scale that is a human interface device.
type USBScale struct {
	*USBDevice
	scale *Scale
}

// NewUSBScale is the cable of a simulated HID scale; an id of zero is one of Mettler Toledo's. Serve lets it talk.
func NewUSBScale(s *Scale, id USBIdentity) USBScale {
	if id.VID == 0 {
		id.VID, id.PID, id.Manufacturer, id.Product = 0x0EB8, 0xF000, "SIM", "POS scale"
	}
	d := newHID(id, 0, 0, 8, scaleReport)
	d.control = func(setup usbSetup, _ []byte) ([]byte, bool) {
		if setup.kind == 0xA1 && setup.request == 1 && setup.value == 0x0103 { // GET_REPORT, input, 3
			return s.HIDReport()
		}
		return nil, setup.kind == 0x21
	}
	return USBScale{d, s}
}

// Serve lets the scale talk until it is unplugged or ctx ends.
func (s USBScale) Serve(ctx context.Context) error {
	return s.scale.ServeReports(ctx, func(report []byte) error { return s.sendNewest(1, report) })
}

// USBKeyboard is a bar code scanner in keyboard mode.
type USBKeyboard struct{ *USBDevice }

// keyboardReport is that of a boot keyboard (HID 1.11, appendix B.1) without its lights.
var keyboardReport = []byte{
	0x05, 0x01, 0x09, 0x06, 0xA1, 0x01, 0x05, 0x07, 0x19, 0xE0, 0x29, 0xE7, 0x15, 0x00, 0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02, 0x95,
	0x01, 0x75, 0x08, 0x81, 0x01, 0x95, 0x06, 0x75, 0x08, 0x15, 0x00, 0x25, 0x65, 0x05, 0x07, 0x19, 0x00, 0x29, 0x65, 0x81, 0x00, 0xC0,
}

// NewUSBKeyboard is a scanner in keyboard mode; an id of zero is Zebra's.
func NewUSBKeyboard(id USBIdentity) USBKeyboard {
	if id.VID == 0 {
		id.VID, id.PID, id.Manufacturer, id.Product = 0x05E0, 0x1200, "SIM", "Keyboard scanner"
	}
	return USBKeyboard{newHID(id, 1, 1, 8, keyboardReport)}
}

// Scan types a code of digits and capital or small letters, then Enter (HID Usage Tables, page 7).
func (k USBKeyboard) Scan(data string) error {
	for _, c := range []byte(data + "\n") {
		var key, shift byte
		switch {
		case c >= '1' && c <= '9':
			key = 0x1E + c - '1'
		case c == '0':
			key = 0x27
		case c == '\n':
			key = 0x28
		case c >= 'a' && c <= 'z':
			key = 0x04 + c - 'a'
		case c >= 'A' && c <= 'Z':
			key, shift = 0x04+c-'A', 0x02
		default:
			return fmt.Errorf("scan: there is no key for %q here", c)
		}
		for _, report := range [][]byte{{shift, 0, key, 0, 0, 0, 0, 0}, make([]byte, 8)} {
			if err := k.sendIn(1, report); err != nil {
				return fmt.Errorf("scan: %w", err)
			}
		}
	}
	return nil
}

// USBSerial is a device with a serial port of its own (USB-IF, CDC PSTN 1.2, abstract control model): the kernel makes it
// /dev/ttyACM. What Serves a pty can serve it.
type USBSerial struct {
	*USBDevice

	lines  sync.Mutex
	coding LineCoding
	dtr    bool
	rts    bool
}

// LineCoding is how the program set the line (CDC PSTN 1.2, section 6.3.11).
type LineCoding struct {
	Baud   uint32
	Stop   byte // 0 one, 1 one and a half, 2 two
	Parity byte // 0 none, 1 odd, 2 even, 3 mark, 4 space
	Data   byte
}

// NewUSBSerial is a device with a serial port; an id of zero is a terminal of Verifone's.
func NewUSBSerial(id USBIdentity) *USBSerial {
	if id.VID == 0 {
		id.VID, id.PID, id.Manufacturer, id.Product = 0x11CA, 0x0222, "SIM", "Card terminal"
	}
	functional := []byte{5, 0x24, 0, 0x10, 1, 5, 0x24, 1, 0, 1, 4, 0x24, 2, 6, 5, 0x24, 6, 0, 1}
	s := &USBSerial{coding: LineCoding{Baud: 9600, Data: 8}}
	s.USBDevice = newUSBDevice(id, 2,
		join(descriptorInterface(0, 1, 2, 2, 1), functional, descriptorEndpoint(0x83, interrupt, 16, 8)),
		join(descriptorInterface(1, 2, 0x0A, 0, 0), descriptorEndpoint(0x01, bulk, 64, 0), descriptorEndpoint(0x82, bulk, 64, 0)))
	s.streamIn = 2
	s.control = s.request
	return s
}

func (s *USBSerial) request(setup usbSetup, data []byte) ([]byte, bool) {
	s.lines.Lock()
	defer s.lines.Unlock()
	switch {
	case setup.kind == 0x21 && setup.request == 0x20 && len(data) == 7: // SET_LINE_CODING
		s.coding = LineCoding{Baud: binary.LittleEndian.Uint32(data), Stop: data[4], Parity: data[5], Data: data[6]}
		return nil, true
	case setup.kind == 0xA1 && setup.request == 0x21: // GET_LINE_CODING
		return append(binary.LittleEndian.AppendUint32(nil, s.coding.Baud), s.coding.Stop, s.coding.Parity, s.coding.Data), true
	case setup.kind == 0x21 && setup.request == 0x22: // SET_CONTROL_LINE_STATE
		s.dtr, s.rts = setup.value&1 != 0, setup.value&2 != 0
		return nil, true
	case setup.kind == 0x21 && setup.request == 0x23: // SEND_BREAK
		return nil, true
	}
	return nil, false
}

// Line is how the program has set the line.
func (s *USBSerial) Line() LineCoding {
	s.lines.Lock()
	defer s.lines.Unlock()
	return s.coding
}

// ControlLines are the two lines that the program drives.
func (s *USBSerial) ControlLines() (dtr, rts bool) {
	s.lines.Lock()
	defer s.lines.Unlock()
	return s.dtr, s.rts
}
