package starprnt

import "slices"

// flow control characters, which may come between any two bytes of a status.
const (
	xon  = 0x11
	xoff = 0x13
)

const (
	minStatus = 7   // bytes of the shortest automatic status (version 1)
	maxExtra  = 512 // bytes that may follow a status on Ethernet
	maxReply  = 128 // the longest answers that begin with ESC are model names
)

// kind tells the printer's answers apart. They share the wire; Star Line Mode, Appendix 2, "Status identification
// method" gives the masks.
type kind int

const (
	autoStatus kind = iota + 1 // with its two header bytes
	document                   // s n1 n2 counter, of ESC GS ETX
	version                    // the text of ESC # *
	flowOff                    // XOFF
	flowOn                     // XON
)

// reply is one answer of the printer.
type reply struct {
	kind kind
	data []byte
}

// replies splits the printer's byte stream into answers. It is pure: it takes any chunks and keeps only what is
// unfinished; bytes that belong to nothing are dropped.
type replies struct {
	part []byte // an unfinished answer
	want int    // bytes of it in all, 0 where that is not known yet
}

// reset drops an unfinished answer.
func (r *replies) reset() { r.part, r.want = r.part[:0], 0 }

// feed takes the next bytes and returns the answers they complete, in order.
func (r *replies) feed(chunk []byte) []reply {
	var out []reply
	for _, b := range chunk {
		out = r.one(out, b)
	}
	return out
}

func (r *replies) one(out []reply, b byte) []reply {
	switch {
	case len(r.part) == 0:
		return r.first(out, b)
	case r.part[0] == 0x1B:
		return r.escape(out, b)
	}
	size := statusSize(r.part[0])
	if len(r.part) >= size {
		return r.extra(out, b, size)
	}
	if b == xon || b == xoff {
		return r.first(out, b)
	}
	mask := byte(0x91)
	if len(r.part) == 1 { // bit 7 of the second header says that more follows
		mask = 0x11
	}
	if b&mask != 0 { // not the rest of a status: drop that and start again here
		r.reset()
		return r.first(out, b)
	}
	if r.part = append(r.part, b); len(r.part) == size && r.part[1]&0x80 == 0 {
		return r.take(out, autoStatus, 0, size)
	}
	return out
}

// first judges a byte that begins an answer.
func (r *replies) first(out []reply, b byte) []reply {
	switch {
	case b == xon:
		return append(out, reply{kind: flowOn})
	case b == xoff:
		return append(out, reply{kind: flowOff})
	case b&0x91 == 0x01 && statusSize(b) >= minStatus, b == 0x1B:
		r.part = append(r.part[:0], b)
	}
	return out
}

// statusSize is the length of an automatic status by its first byte: bits 1 to 3, and 5 and 6 above them.
func statusSize(header byte) int { return int(header>>1&0x07 | header>>2&0x18) }

// escape collects the answers that begin with ESC: they repeat the command that asked.
func (r *replies) escape(out []reply, b byte) []reply {
	r.part = append(r.part, b)
	n := len(r.part)
	switch {
	case n == 2 && b != 0x1D && b != '#', n == 3 && r.part[1] == 0x1D && b != 0x03, n > maxReply:
	case n == 8 && r.part[1] == 0x1D: // ESC GS ETX s n1 n2 counter NUL
		if b == 0 {
			return r.take(out, document, 3, 7)
		}
	case r.part[1] == '#' && b == 0 && r.part[n-2] == '\n': // ESC # *, text LF NUL
		if n >= 6 && r.part[2] == '*' && r.part[3] == ',' {
			return r.take(out, version, 4, n-2)
		}
	default:
		return out
	}
	r.reset()
	if n == 2 || n == 3 || n == 8 {
		return r.first(out, b)
	}
	return out
}

// extra takes what follows a status on Ethernet and wireless LAN ("Printer Status Transmission Specification"): two
// bytes of length, and so many bytes that hold another answer.
func (r *replies) extra(out []reply, b byte, size int) []reply {
	r.part = append(r.part, b)
	n := len(r.part) - size
	if n < 2 {
		return out
	}
	if n == 2 {
		length := int(r.part[size]) | int(r.part[size+1])<<8 // low byte first, as printers send it
		if length > maxExtra {
			length = int(r.part[size])<<8 | int(r.part[size+1])
		}
		if length > maxExtra { // the status is sound, what follows is not
			length = 0
		}
		r.want = size + 2 + length
	}
	if len(r.part) < r.want {
		return out
	}
	inner := slices.Clone(r.part[size+2:])
	out = r.take(out, autoStatus, 0, size)
	return append(out, unwrap(inner)...)
}

// unwrap takes the answer out of status data: two or four characters of kind, ':', 'B', two bytes of length, the answer
// as it is sent elsewhere, ';'.
func unwrap(data []byte) []reply {
	for _, at := range []int{2, 4} {
		if len(data) < at+5 || data[at] != ':' || data[at+1] != 'B' || data[len(data)-1] != ';' {
			continue
		}
		inner := replies{}
		return slices.DeleteFunc(inner.feed(data[at+4:len(data)-1]), func(a reply) bool { return a.kind == autoStatus })
	}
	return nil
}

// take finishes an answer with a part of the collected bytes.
func (r *replies) take(out []reply, k kind, from, to int) []reply {
	data := slices.Clone(r.part[from:to])
	r.reset()
	return append(out, reply{kind: k, data: data})
}
