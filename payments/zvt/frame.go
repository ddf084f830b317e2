package zvt

// Serial framing (PA00P016, chapter on RS232): DLE STX, the APDU with every DLE doubled, DLE ETX, CRC low, CRC high.
// The doubled bytes count neither for the APDU's length nor for the CRC.
const (
	ack = 0x06
	nak = 0x15
	dle = 0x10
	stx = 0x02
	etx = 0x03
)

// maxFrame bounds what a deframer keeps: the longest APDU there is.
const maxFrame = 5 + maxData

// crc16 is CRC-16/KERMIT (0x1021 reflected, start 0, check value 0x2189) over the APDU and the ETX.
func crc16(crc uint16, b byte) uint16 {
	crc ^= uint16(b)
	for range 8 {
		if crc&1 != 0 {
			crc = crc>>1 ^ 0x8408
		} else {
			crc >>= 1
		}
	}
	return crc
}

// frame wraps an encoded APDU for the serial line.
func frame(raw []byte) []byte {
	out := make([]byte, 0, len(raw)+len(raw)/8+6)
	out = append(out, dle, stx)
	var crc uint16
	for _, b := range raw {
		if b == dle {
			out = append(out, dle)
		}
		out = append(out, b)
		crc = crc16(crc, b)
	}
	crc = crc16(crc, etx)
	return append(out, dle, etx, byte(crc), byte(crc>>8))
}

// eventKind is what a deframer found in the bytes.
type eventKind int

const (
	gotAck eventKind = iota
	gotNak
	gotFrame // raw is an APDU whose CRC and length are right
	gotBad   // a frame that must be refused with NAK
)

type event struct {
	kind eventKind
	raw  []byte
}

// where a deframer stands
type frameState int

const (
	outside frameState = iota
	outsideDLE
	inside
	insideDLE
	crcLow
	crcHigh
)

// deframer finds frames, ACK and NAK in bytes that arrive in any chunks. Noise between frames is dropped.
type deframer struct {
	state frameState
	buf   []byte
	crc   uint16 // computed
	want  uint16 // received
	over  bool   // longer than any APDU: keep nothing more, refuse at the end
}

// partial is true inside a frame, where T1 limits the gap between two bytes.
func (d *deframer) partial() bool { return d.state != outside }

func (d *deframer) reset() { *d = deframer{} }

// feed takes the next bytes and gives what they completed.
func (d *deframer) feed(chunk []byte) []event {
	var out []event
	for _, b := range chunk {
		if e, ok := d.step(b); ok {
			out = append(out, e)
		}
	}
	return out
}

func (d *deframer) step(b byte) (event, bool) {
	switch d.state {
	case outside:
		switch b {
		case ack:
			return event{kind: gotAck}, true
		case nak:
			return event{kind: gotNak}, true
		case dle:
			d.state = outsideDLE
		}
	case outsideDLE:
		switch b {
		case stx:
			d.begin()
		case dle: // noise: the second one may be the real start
		default:
			d.state = outside
		}
	case inside:
		if b == dle {
			d.state = insideDLE
		} else {
			d.take(b)
		}
	case insideDLE:
		return d.afterDLE(b)
	case crcLow:
		d.want, d.state = uint16(b), crcHigh
	case crcHigh:
		d.want |= uint16(b) << 8
		return d.end(), true
	}
	return event{}, false
}

func (d *deframer) afterDLE(b byte) (event, bool) {
	switch b {
	case dle:
		d.state = inside
		d.take(dle)
	case etx:
		d.crc = crc16(d.crc, etx)
		d.state = crcLow
	case stx: // the sender began again
		d.begin()
	default:
		d.reset()
		return event{kind: gotBad}, true
	}
	return event{}, false
}

func (d *deframer) begin() {
	d.reset()
	d.state = inside
}

func (d *deframer) take(b byte) {
	d.crc = crc16(d.crc, b)
	if len(d.buf) >= maxFrame {
		d.over, d.buf = true, nil
	}
	if !d.over {
		d.buf = append(d.buf, b)
	}
}

func (d *deframer) end() event {
	raw, good := d.buf, d.crc == d.want && !d.over
	d.reset()
	if good {
		if _, err := parseWhole(raw); err == nil {
			return event{kind: gotFrame, raw: raw}
		}
	}
	return event{kind: gotBad}
}
