package scanner

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// maxCode is the longest code in bytes, prefix included: more than any symbology holds (QR: 7,089 digits).
const maxCode = 8 << 10

// errTooLong means that more than maxCode bytes came without an end; they are dropped up to the next end.
var errTooLong = errors.New("more than 8 KiB came without the end of a code")

// framer cuts the byte stream of a scanner into codes. It is pure: how the stream is split makes no difference.
type framer struct {
	prefix  []byte
	suffix  []byte // nil: any of CR, LF and TAB ends a code
	gap     time.Duration
	buf     []byte
	dropped int // bytes dropped so far of a code that is too long
}

// newFramer checks the options; an error names the option.
func newFramer(o Options) (*framer, error) {
	prefix, err := unescape(o.Prefix)
	if err != nil {
		return nil, fmt.Errorf("prefix: %w", err)
	}
	suffix, err := unescape(o.Suffix)
	if err != nil {
		return nil, fmt.Errorf("suffix: %w", err)
	}
	switch {
	case len(prefix) > 64:
		return nil, errors.New("prefix: longer than 64 bytes")
	case len(suffix) > 64:
		return nil, errors.New("suffix: longer than 64 bytes")
	case o.GapMS < 0 || o.GapMS > 10_000:
		return nil, fmt.Errorf("gap_ms: %d is not between 0 and 10000", o.GapMS)
	case o.GapMS > 0 && len(suffix) > 0:
		return nil, errors.New("gap_ms: a code ends by its suffix or by a gap, not by both")
	}
	return &framer{prefix: prefix, suffix: suffix, gap: time.Duration(o.GapMS) * time.Millisecond}, nil
}

// unescape reads the escapes of Go and TOML texts ("\r", "\t", "\x02", "\u001d"), so that both a real carriage
// return and a backslash with an r will do.
func unescape(text string) ([]byte, error) {
	var out []byte
	for rest := text; rest != ""; {
		c, multibyte, tail, err := strconv.UnquoteChar(rest, 0)
		if err != nil {
			return nil, fmt.Errorf("%q has a wrong escape; write CR as \\r, STX as \\x02", text)
		}
		if multibyte {
			out = append(out, string(c)...)
		} else {
			out = append(out, byte(c))
		}
		rest = tail
	}
	return out, nil
}

// feed takes the next bytes and calls done for each code that ended, and with errTooLong where one got too
// long. The
// bytes given to done are the caller's to keep.
func (f *framer) feed(chunk []byte, done func(code []byte, err error)) {
	for _, c := range chunk {
		if f.dropped > 0 {
			f.dropped++
			f.buf = append(f.buf[:0], f.buf[max(0, len(f.buf)-len(f.suffix)):]...) // enough to see the suffix
		}
		f.buf = append(f.buf, c)
		if n := f.end(); n > 0 {
			f.finish(f.buf[:len(f.buf)-n], done)
		} else if len(f.buf) > maxCode+len(f.suffix) {
			f.dropped = len(f.buf)
			done(nil, errTooLong)
		}
	}
}

// end is the length of the suffix that buf ends in; in gap mode nothing does.
func (f *framer) end() int {
	switch {
	case len(f.suffix) > 0:
		if bytes.HasSuffix(f.buf, f.suffix) {
			return len(f.suffix)
		}
	case f.gap == 0:
		if c := f.buf[len(f.buf)-1]; c == '\r' || c == '\n' || c == '\t' {
			return 1
		}
	}
	return 0
}

// flush ends the code that is being received: the gap is over.
func (f *framer) flush(done func(code []byte, err error)) {
	if len(f.buf) > 0 {
		f.finish(bytes.TrimRight(f.buf, "\r\n\t"), done) // many scanners send a suffix nobody asked for
	}
}

func (f *framer) finish(code []byte, done func([]byte, error)) {
	dropped := f.dropped
	code = bytes.Clone(bytes.TrimPrefix(code, f.prefix))
	f.buf, f.dropped = f.buf[:0], 0
	switch {
	case dropped > 0: // told when it got too long
	case len(code) > maxCode:
		done(nil, errTooLong)
	case len(code) > 0:
		done(code, nil)
	}
}

// partial is how many bytes of an unfinished code are held.
func (f *framer) partial() int { return max(len(f.buf), f.dropped) }

// reset forgets them: the cable was out.
func (f *framer) reset() { f.buf, f.dropped = nil, 0 }
