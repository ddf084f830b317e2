package zvt

import (
	"fmt"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"

	"storeagent/payments/wireline"
)

// Charset is how a terminal writes text. The protocol says CP437, but many terminals send Latin-1 without saying so.
type Charset string

// The charsets. The empty one is CP437.
const (
	CP437  Charset = "cp437"
	Latin1 Charset = "latin1"
	Latin9 Charset = "latin9" // ISO 8859-15, has the euro sign
	UTF8   Charset = "utf8"
)

func (c Charset) valid() bool {
	switch c {
	case "", CP437, Latin1, Latin9, UTF8:
		return true
	}
	return false
}

// text decodes b, leaves out control characters and masks card numbers.
func (c Charset) text(b []byte) string {
	var s string
	switch c {
	case UTF8:
		s = strings.ToValidUTF8(string(b), "?")
	case Latin1:
		s = decode(charmap.ISO8859_1, b)
	case Latin9:
		s = decode(charmap.ISO8859_15, b)
	default:
		s = decode(charmap.CodePage437, b)
	}
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return -1
		}
		return r
	}, s)
	return wireline.MaskCards(s)
}

func decode(m encoding.Encoding, b []byte) string {
	out, err := m.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "?")
	}
	return string(out)
}

// charsetTag gives the charset that TLV tag 14 names, or the one in use where it names none we know.
func charsetTag(value []byte, now Charset) Charset {
	if len(value) != 1 {
		return now
	}
	switch value[0] {
	case 0x01:
		return Latin1
	case 0x0F:
		return Latin9
	case 0xFE:
		return UTF8
	case 0xFF:
		return CP437
	}
	return now
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// describe is an APDU as it may stand in a log: what it is and how long, and of its BMPs only those that can hold
// neither card data nor a password nor text of the terminal.
func describe(a apdu) string {
	out := fmt.Sprintf("%s (%d bytes)", a, len(a.data))
	switch a.cmd {
	case msgStatusInfo, msgAborted:
	case msgIntermediate:
		if len(a.data) > 0 {
			out += fmt.Sprintf(" code %02X", a.data[0])
		}
		return out
	default:
		return out
	}
	data := a.data
	if a.cmd == msgAborted && len(data) > 0 {
		out += fmt.Sprintf(" code %02X", data[0])
		data = data[1:]
	}
	if err := walk(data, func(id byte, v []byte) {
		switch id {
		case bmpResult, bmpAmount, bmpCurrency, bmpReceipt, bmpTrace, bmpTime, bmpDate, bmpPayType, bmpTID, bmpOrigTrace:
			out += fmt.Sprintf(" %02X=%X", id, v)
		default:
			out += fmt.Sprintf(" %02X=(%d)", id, len(v))
		}
	}); err != nil {
		out += " then " + err.Error()
	}
	return out
}
