package scanner

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// The input report of a HID POS scanner (USB-IF, HID Point of Sale Usage Tables 1.02, usage page 8Ch, usage 02h; the
// places are those that scanner makers document):
//
//	0      report id 02h
//	1      length of the data, at most 56
//	2..4   AIM identifier "]cm"; some devices put one byte more before it
//	5..60  data
//	61     the maker's own letter for the symbology
//	63     bit 0: the code goes on in the next report
//
// A shorter form of 61 bytes has the data from 2 on and the identifier, if any, behind it, from 58 on.
const (
	hidReport    = 0x02
	hidMaxData   = 56
	hidFull      = 64
	hidShort     = 61
	hidShortAIM  = 58
	hidContinued = 0x01
)

// restPatience is how long the next report of a code may take; a scanner sends them back to back.
const restPatience = time.Second

var (
	errHIDShort    = errors.New("a report holds less than it says")
	errHIDCut      = errors.New("a code was cut: another began before its last report")
	errHIDRestLost = errors.New("the rest of a code did not come")
)

// makerIDs are the letters of makers for symbologies, as the AIM identifiers that say the same (Honeywell's code id
// list, which others follow). They count only where the AIM identifier is missing.
var makerIDs = map[byte]string{
	'd': "]E0", 'c': "]E0", 'E': "]E0", 'D': "]E4", // EAN-13, UPC-A, UPC-E, EAN-8
	'j': "]C0", 'I': "]C1", 'b': "]A0", 'i': "]G0", 'a': "]F0", 'e': "]I0", // Code 128, GS1-128, 39, 93, Codabar, ITF
	's': "]Q1", 'w': "]d1", 'r': "]L0", 'z': "]z0", 'y': "]e0", // QR, Data Matrix, PDF417, Aztec, DataBar
}

// Assembler puts the reports of a HID POS scanner together to codes. It is pure; the zero value is ready. It is not
// safe for concurrent use.
type Assembler struct {
	aim     string
	buf     []byte
	open    bool // a code has begun
	dropped bool // it is too long: wait for its end
}

// Feed takes one input report with its id. done says that code and aim are complete; they are the caller's to keep. aim
// is "" where neither the device nor its maker's letter tells. One trailing CR is taken off. An err tells of a code
// that was lost; a new code may be done in the same call. Reports of other ids are no codes and change nothing.
func (a *Assembler) Feed(report []byte) (code []byte, aim string, done bool, err error) {
	if len(report) == 0 || report[0] != hidReport {
		return nil, "", false, nil
	}
	data, aim, more, err := readReport(report)
	if err != nil {
		a.Reset()
		return nil, "", false, err
	}
	if a.open && aim != "" && aim != a.aim {
		a.Reset()
		err = errHIDCut
	}
	if !a.open {
		a.aim, a.open = aim, true
	}
	if a.buf = append(a.buf, data...); len(a.buf) > maxCode && !a.dropped {
		a.dropped, err = true, errTooLong
	}
	if a.dropped {
		a.buf = a.buf[:0]
	}
	if more {
		return nil, "", false, err
	}
	code, aim, done = bytes.Clone(bytes.TrimSuffix(a.buf, []byte{'\r'})), a.aim, !a.dropped
	a.Reset()
	if len(code) == 0 {
		return nil, "", false, err
	}
	return code, aim, done, err
}

// Partial is how many bytes of an unfinished code are held.
func (a *Assembler) Partial() int {
	if a.open {
		return max(len(a.buf), 1)
	}
	return 0
}

// Reset forgets them.
func (a *Assembler) Reset() { *a = Assembler{} }

// readReport takes one report apart.
func readReport(report []byte) (data []byte, aim string, more bool, err error) {
	if len(report) < 2 {
		return nil, "", false, errHIDShort
	}
	n, at := int(report[1]), 5
	var maker byte
	if len(report) >= hidFull { // the last three bytes, also behind a byte more in front
		tail := report[len(report)-3:]
		maker, more = tail[0], tail[2]&hidContinued != 0
	}
	switch {
	case isAIM(report, 2):
		aim = string(report[2:5])
	case isAIM(report, 3):
		aim, at = string(report[3:6]), 6
	case len(report) == hidShort:
		at = 2
		if isAIM(report, hidShortAIM) {
			aim = string(report[hidShortAIM : hidShortAIM+3])
		}
	default:
		aim = makerIDs[maker]
	}
	if n > hidMaxData || at+n > len(report) {
		return nil, "", false, fmt.Errorf("%w: %d bytes of data in %d", errHIDShort, n, len(report))
	}
	return report[at : at+n], aim, more, nil
}

func isAIM(report []byte, at int) bool {
	return len(report) >= at+3 && report[at] == ']' && symbologyOf(string(report[at:at+3])) != ""
}

// hidDecoder is an Assembler as a decoder. A read of a hidraw node gives exactly one report.
type hidDecoder struct {
	a              Assembler
	prefix, suffix []byte
}

func newHIDDecoder(o Options) (*hidDecoder, error) {
	f, err := newFramer(o)
	if err != nil {
		return nil, err
	}
	if o.GapMS != 0 {
		return nil, errors.New("gap_ms: a HID POS scanner says itself where a code ends; leave it out")
	}
	return &hidDecoder{prefix: f.prefix, suffix: f.suffix}, nil
}

func (d *hidDecoder) feed(report []byte, done func(aim string, data []byte, err error)) {
	code, aim, complete, err := d.a.Feed(report)
	if err != nil {
		done("", nil, err)
	}
	if complete {
		if code = bytes.TrimSuffix(bytes.TrimPrefix(code, d.prefix), d.suffix); len(code) > 0 {
			done(aim, code, nil)
		}
	}
}

func (d *hidDecoder) silent(done func(string, []byte, error)) {
	d.a.Reset()
	done("", nil, errHIDRestLost)
}

func (d *hidDecoder) gap() time.Duration { return restPatience }
func (d *hidDecoder) partial() int       { return d.a.Partial() }
