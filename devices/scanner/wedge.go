package scanner

import (
	"cmp"
	"encoding/binary"
	"errors"
	"strconv"
	"time"
)

// An input event of Linux (include/uapi/linux/input.h): a time of two machine words, then type, code and value.
const (
	eventTime = 2 * strconv.IntSize / 8
	eventSize = eventTime + 8

	typeSync    = 0x00
	codeDropped = 3 // SYN_DROPPED: the kernel's buffer ran over
	typeKey     = 0x01
	valueUp     = 0
	valueDown   = 1 // 2 is auto-repeat, which no scanner means
)

// Key codes of include/uapi/linux/input-event-codes.h.
const (
	keyLeftCtrl, keyRightCtrl   = 29, 97
	keyLeftShift, keyRightShift = 42, 54
	keyLeftAlt, keyRightAlt     = 56, 100
	keyCapsLock, keyNumLock     = 58, 69
	keyF8                       = 66
	keyEnter, keyPadEnter       = 28, 96
	keyTab                      = 15
)

// wedgeGap is the silence that ends a code without Enter.
const wedgeGap = 50 * time.Millisecond

const groupSeparator = 0x1D // GS, which ends a variable GS1 element

var (
	errKeyUnknown  = errors.New("a key came that no US keyboard types; the code was dropped")
	errKeysDropped = errors.New("the kernel dropped keys; the code was dropped")
)

// keyRows are the keys of a US keyboard from a code on, unshifted and shifted. The last ones are those of the number
// pad with NumLock on.
var keyRows = []struct {
	first          uint16
	plain, shifted string
}{
	{2, "1234567890-=", "!@#$%^&*()_+"},
	{16, "qwertyuiop[]", "QWERTYUIOP{}"},
	{30, "asdfghjkl;'`", `ASDFGHJKL:"~`},
	{43, `\zxcvbnm,./`, "|ZXCVBNM<>?"},
	{55, "*", "*"},
	{57, " ", " "},
	{71, "789-456+1230.", "789-456+1230."},
	{98, "/", "/"},
}

// keyByte gives what a key types.
func keyByte(code uint16, shift bool) (byte, bool) {
	switch code {
	case keyEnter, keyPadEnter:
		return '\r', true
	case keyTab:
		return '\t', true
	case keyF8: // what scanners are told to type for a GS
		return groupSeparator, true
	}
	for _, row := range keyRows {
		if n := int(code) - int(row.first); n >= 0 && n < len(row.plain) {
			if shift {
				return row.shifted[n], true
			}
			return row.plain[n], true
		}
	}
	return 0, false
}

// wedgeDecoder turns the key presses of a keyboard wedge into codes. It is pure: how the stream is split makes no
// difference. A code with a key that it cannot tell is dropped whole, since a code with a hole is a wrong code.
type wedgeDecoder struct {
	f       *framer
	silence time.Duration
	rest    []byte          // of a cut event
	held    map[uint16]bool // Shift, Ctrl and Alt
	bad     error           // why the present code is dropped
}

func newWedgeDecoder(o Options) (*wedgeDecoder, error) {
	pause, err := newFramer(Options{GapMS: o.GapMS}) // here a gap may end what a suffix does not
	if err != nil {
		return nil, err
	}
	f, err := newFramer(Options{Prefix: o.Prefix, Suffix: o.Suffix})
	if err != nil {
		return nil, err
	}
	d := &wedgeDecoder{f: f, silence: wedgeGap, held: make(map[uint16]bool)}
	if pause.gap > 0 {
		d.silence = pause.gap
	}
	return d, nil
}

func (d *wedgeDecoder) feed(chunk []byte, done func(aim string, data []byte, err error)) {
	d.rest = append(d.rest, chunk...)
	for len(d.rest) >= eventSize {
		event := d.rest[eventTime:eventSize]
		d.event(binary.NativeEndian.Uint16(event), binary.NativeEndian.Uint16(event[2:]), binary.NativeEndian.Uint32(event[4:]), done)
		d.rest = d.rest[eventSize:]
	}
	d.rest = append([]byte(nil), d.rest...)
}

func (d *wedgeDecoder) event(kind, code uint16, value uint32, done func(string, []byte, error)) {
	switch {
	case kind == typeSync && code == codeDropped:
		clear(d.held)
		d.bad = errKeysDropped
		return
	case kind != typeKey:
		return
	}
	switch code {
	case keyLeftShift, keyRightShift, keyLeftCtrl, keyRightCtrl, keyLeftAlt, keyRightAlt:
		d.held[code] = value != valueUp
		return
	case keyCapsLock, keyNumLock: // scanners press them to be sure of their state
		return
	}
	if value == valueDown {
		d.key(code, done)
	}
}

func (d *wedgeDecoder) key(code uint16, done func(string, []byte, error)) {
	c, ok := keyByte(code, d.held[keyLeftShift] || d.held[keyRightShift])
	if d.held[keyLeftCtrl] || d.held[keyRightCtrl] { // Ctrl and a letter or bracket is a control character
		ok = ok && (letter(c) || c >= '[' && c <= '_')
		c &= 0x1F
	}
	if d.held[keyLeftAlt] || d.held[keyRightAlt] || !ok {
		c, d.bad = 0, cmp.Or(d.bad, errKeyUnknown)
	}
	d.f.feed([]byte{c}, d.end(done))
	d.told(done)
}

// end gives a code on, or tells why it was dropped.
func (d *wedgeDecoder) end(done func(string, []byte, error)) func([]byte, error) {
	return func(code []byte, err error) {
		if d.bad == nil {
			split(done)(code, err)
		}
	}
}

// told tells of a dropped code once its end has come.
func (d *wedgeDecoder) told(done func(string, []byte, error)) {
	if d.bad != nil && d.f.partial() == 0 {
		done("", nil, d.bad)
		d.bad = nil
	}
}

func (d *wedgeDecoder) silent(done func(string, []byte, error)) {
	d.f.flush(d.end(done))
	d.told(done)
}

func (d *wedgeDecoder) gap() time.Duration { return d.silence }

func (d *wedgeDecoder) partial() int {
	if n := d.f.partial(); n > 0 || d.bad == nil {
		return n
	}
	return 1
}
