package zvt

import (
	"fmt"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
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
	return maskCards(s)
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

// Card numbers have 13 to 19 digits (ISO/IEC 7812) and a check digit by Luhn.
const (
	panMin = 13
	panMax = 19
)

// maskCards replaces all but the last four digits of whatever looks like a card number: 13 to 19 digits with a right
// Luhn digit, written in one piece or in groups parted by one blank, dash or dot. Groups are tried in all
// combinations, so that a number printed beside another is found too.
func maskCards(s string) string {
	b := []byte(s)
	for i := 0; i < len(b); {
		if !isDigit(b[i]) {
			i++
			continue
		}
		run := digitRun(b, i)
		maskRun(b, run)
		i = run[len(run)-1] + 1
	}
	return string(b)
}

// digitRun gives the positions of the digits that begin at i and go on over single separators.
func digitRun(b []byte, i int) []int {
	var run []int
	for i < len(b) {
		switch {
		case isDigit(b[i]):
			run = append(run, i)
			i++
		case (b[i] == ' ' || b[i] == '-' || b[i] == '.') && i+1 < len(b) && isDigit(b[i+1]):
			i++
		default:
			return run
		}
	}
	return run
}

// maskRun masks each window of 13 to 19 digits that passes Luhn and starts and ends with a group; inside a group
// longer than any card number every window counts.
func maskRun(b []byte, run []int) {
	hide := make([]bool, len(run))
	edge := func(n int) bool { return n == 0 || n == len(run) || run[n] != run[n-1]+1 }
	start, end := 0, 0 // the unbroken group around from
	for from := range run {
		if from == end {
			for start, end = from, from+1; !edge(end); end++ {
			}
		}
		long := end-start > panMax
		if !long && !edge(from) {
			continue
		}
		for n := panMin; n <= panMax && from+n <= len(run); n++ {
			if (long || edge(from+n)) && luhn(b, run[from:from+n]) {
				for k := from; k < from+n-4; k++ {
					hide[k] = true
				}
			}
		}
	}
	for k, h := range hide {
		if h {
			b[run[k]] = '*'
		}
	}
}

func luhn(b []byte, at []int) bool {
	sum := 0
	for i := range at {
		d := int(b[at[len(at)-1-i]] - '0')
		if i%2 == 1 {
			d *= 2
			if d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0 && sum > 0
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
