package escpos

// flow control characters, which may come between any two bytes.
const (
	xon  = 0x11
	xoff = 0x13
)

// maxBlock bounds a block reply; the longest real ones (GS I) are model names.
const maxBlock = 96

// kind tells the printer's answers apart. They share the wire; the masks are those of Epson's appendix on
// identifying transmitted status.
type kind int

const (
	realTimeStatus kind = iota + 1 // DLE EOT: one byte
	autoStatus                     // ASB: four bytes
	block                          // header .. NUL: process id, GS I text
	transmitted                    // GS r and others: one byte
	flowOff                        // XOFF
	flowOn                         // XON
)

// reply is one answer of the printer; data holds it without the NUL that ends a block.
type reply struct {
	kind kind
	data []byte
}

// replies splits the printer's byte stream into answers. It is pure: it takes any chunks and keeps only what is
// unfinished; bytes that belong to nothing are dropped.
type replies struct {
	part []byte // an unfinished ASB or block
}

// reset drops an unfinished answer; called when its rest is overdue.
func (r *replies) reset() { r.part = r.part[:0] }

// feed takes the next bytes and returns the answers they complete, in order.
func (r *replies) feed(chunk []byte) []reply {
	var out []reply
	for _, b := range chunk {
		out = r.one(out, b)
	}
	return out
}

func (r *replies) one(out []reply, b byte) []reply {
	switch b {
	case xon:
		return append(out, reply{kind: flowOn})
	case xoff:
		return append(out, reply{kind: flowOff})
	}
	if len(r.part) == 0 {
		return r.first(out, b)
	}
	if isASB(r.part[0]) {
		if b&0x90 != 0 { // not the rest of an ASB: drop that and start again here
			r.reset()
			return r.first(out, b)
		}
		if r.part = append(r.part, b); len(r.part) == 4 {
			return r.take(out, autoStatus)
		}
		return out
	}
	if b == 0 {
		return r.take(out, block)
	}
	if b < 0x20 || b > 0x7E || len(r.part) == maxBlock { // blocks hold visible characters only
		r.reset()
		return r.first(out, b)
	}
	r.part = append(r.part, b)
	return out
}

// first judges a byte that begins an answer.
func (r *replies) first(out []reply, b byte) []reply {
	switch {
	case b&0x93 == 0x12:
		return append(out, reply{kind: realTimeStatus, data: []byte{b}})
	case isASB(b), b == 0x35, b == 0x37, b == 0x3B, b == 0x3D, b == 0x5F:
		r.part = append(r.part, b)
		return out
	case b&0x90 == 0:
		return append(out, reply{kind: transmitted, data: []byte{b}})
	}
	return out
}

func isASB(b byte) bool { return b&0x93 == 0x10 }

func (r *replies) take(out []reply, k kind) []reply {
	data := make([]byte, len(r.part))
	copy(data, r.part)
	r.reset()
	return append(out, reply{kind: k, data: data})
}
