package wireline

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// The control characters of the line (ISO/IEC 646); PAX POSLink and Concert use them alike.
const (
	STX = 0x02
	ETX = 0x03
	EOT = 0x04
	ENQ = 0x05
	ACK = 0x06
	NAK = 0x15
)

// Frame wraps text: STX, text, ETX, and the exclusive or of all bytes behind STX through ETX. The text must not hold
// STX or ETX.
func Frame(text []byte) []byte {
	out := make([]byte, 0, len(text)+3)
	out = append(append(append(out, STX), text...), ETX)
	return append(out, checksum(text))
}

func checksum(text []byte) byte {
	sum := byte(ETX)
	for _, b := range text {
		sum ^= b
	}
	return sum
}

// Sign is one thing on the line: ACK, NAK, EOT, ENQ, a frame, or a broken frame.
type Sign struct {
	Code byte   // ACK, NAK, EOT, ENQ; STX for a frame whose checksum is right; 0 for a broken one
	Text []byte // of a frame
}

// Deframer finds signs in bytes that come in any pieces. Bytes between frames that mean nothing are passed over. The
// checksum may be any byte, ETX and NUL too: exactly one byte behind ETX belongs to the frame.
type Deframer struct {
	Max  int // the longest text; a longer one is a broken frame
	text []byte
	in   bool // inside a frame
	over bool // ETX was seen
}

// Feed takes bytes and gives the signs that they complete.
func (d *Deframer) Feed(chunk []byte) []Sign {
	var out []Sign
	for _, b := range chunk {
		switch {
		case d.over:
			s := Sign{}
			if b == checksum(d.text) {
				s = Sign{Code: STX, Text: bytes.Clone(d.text)}
			}
			d.Reset()
			out = append(out, s)
		case b == STX: // also inside a frame whose end got lost
			d.Reset()
			d.in = true
		case d.in && b == ETX:
			d.over = true
		case d.in && len(d.text) >= d.Max:
			d.Reset()
			out = append(out, Sign{})
		case d.in:
			d.text = append(d.text, b)
		case b == ACK, b == NAK, b == EOT, b == ENQ:
			out = append(out, Sign{Code: b})
		}
	}
	return out
}

// Partial is true while a frame has begun and not ended.
func (d *Deframer) Partial() bool { return d.in }

// Reset forgets a frame that has begun.
func (d *Deframer) Reset() { d.text, d.in, d.over = d.text[:0], false, false }

// Framed carries frames over a port. Only the owner's goroutine uses it.
type Framed struct {
	*Pump
	Gap   time.Duration // the longest pause inside a frame; after it the frame is broken
	def   Deframer
	signs []Sign
}

// NewFramed makes a Framed whose frames hold up to limit bytes of text.
func NewFramed(u *Pump, limit int, gap time.Duration) *Framed {
	return &Framed{Pump: u, Gap: gap, def: Deframer{Max: limit}}
}

// Next gives the next sign, ErrSilent at until (zero: never), or ErrWoken when wake fires.
func (f *Framed) Next(ctx context.Context, until time.Time, wake <-chan struct{}) (Sign, error) {
	for len(f.signs) == 0 {
		limit, inFrame := until, f.def.Partial()
		if gap := time.Now().Add(f.Gap); inFrame && (until.IsZero() || gap.Before(until)) {
			limit = gap
		}
		chunk, err := f.Chunk(ctx, limit, wake)
		if errors.Is(err, ErrSilent) && inFrame {
			f.def.Reset()
			return Sign{}, nil
		}
		if err != nil {
			return Sign{}, err
		}
		f.signs = f.def.Feed(chunk)
	}
	s := f.signs[0]
	f.signs = f.signs[1:]
	return s, nil
}

// errBroken gives up an exchange.
var errBroken = errors.New("the terminal's answer is broken each time it comes")

// Broken counts a broken frame of an exchange. The most-th ends the exchange with EOT and gives an error; until then the
// caller asks for the frame again with NAK.
func (f *Framed) Broken(count *int, most int) error {
	if *count++; *count < most {
		return nil
	}
	_ = f.Answer(EOT) // the broken frames are the error that matters
	return errBroken
}

// Answer sends one control character.
func (f *Framed) Answer(code byte) error { return f.Write([]byte{code}) }
