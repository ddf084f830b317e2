package scanner

import (
	"fmt"
	"time"
)

// The drivers of this package: three ways in which a scanner sends its codes.
const (
	DriverBytes  = "scanner" // bytes ended by a suffix or a gap
	DriverHIDPOS = "hidpos"  // HID POS reports
	DriverWedge  = "wedge"   // key presses: the last resort
)

// decoder turns what reads bring into codes. It is pure.
type decoder interface {
	// feed takes what one read brought and calls done for each code that ended, and with an error for each lost one.
	// The bytes given to done are the caller's to keep; aim is "" where the data may begin with it.
	feed(chunk []byte, done func(aim string, data []byte, err error))
	// silent is called when nothing came for gap while a code is unfinished.
	silent(done func(aim string, data []byte, err error))
	gap() time.Duration // 0 waits for ever
	partial() int       // bytes of an unfinished code
}

// newDecoder checks the options; an error names the option.
func newDecoder(driver string, o Options) (decoder, error) {
	if o.DupMS < 0 || o.DupMS > 10_000 {
		return nil, fmt.Errorf("dup_ms: %d is not between 0 and 10000", o.DupMS)
	}
	switch driver {
	case DriverBytes:
		f, err := newFramer(o)
		if err != nil {
			return nil, err
		}
		return &byteDecoder{f}, nil
	case DriverHIDPOS:
		return newHIDDecoder(o)
	case DriverWedge:
		return newWedgeDecoder(o)
	}
	return nil, fmt.Errorf("there is no scanner driver %q", driver)
}

// byteDecoder is a framer as a decoder.
type byteDecoder struct{ f *framer }

func (d *byteDecoder) feed(chunk []byte, done func(string, []byte, error)) {
	d.f.feed(chunk, split(done))
}
func (d *byteDecoder) silent(done func(string, []byte, error)) { d.f.flush(split(done)) }
func (d *byteDecoder) gap() time.Duration                      { return d.f.gap }
func (d *byteDecoder) partial() int                            { return d.f.partial() }

// split takes the AIM identifier off each code.
func split(done func(string, []byte, error)) func([]byte, error) {
	return func(code []byte, err error) {
		aim, data := splitAIM(code)
		done(aim, data, err)
	}
}
