package zvt

import (
	"bytes"
	"strings"

	"storeagent/payments"
)

// Kinds of slip in TLV tag 1F07.
const (
	slipUnknown  = 0
	slipMerchant = 1
	slipCustomer = 2
	slipAdmin    = 3
)

// A terminal could print for ever; a slip has a few dozen lines.
const (
	maxSlips     = 8
	maxSlipLines = 400
	maxFeed      = 9
)

// Attributes of printed lines (PA00P015, command 06 D1): with bit 80 the line is the last one, FF feeds lines.
const (
	attrLast = 0x80
	attrFeed = 0xFF
)

// slips gathers what a terminal prints during one transaction.
type slips struct {
	charset Charset
	all     []slip
	open    bool // the last one waits for more lines
}

type slip struct {
	kind  byte
	lines []string
}

// current is the slip that takes the next line.
func (s *slips) current() *slip {
	if !s.open && len(s.all) < maxSlips {
		s.all = append(s.all, slip{})
	}
	s.open = true
	return &s.all[len(s.all)-1]
}

func (s *slips) add(line string) {
	c := s.current()
	if len(c.lines) < maxSlipLines {
		c.lines = append(c.lines, strings.TrimRight(line, " "))
	}
}

func (s *slips) setKind(kind byte) {
	if kind != slipUnknown {
		s.current().kind = kind
	}
}

// attributed adds one line with its attribute; lines with nothing to say besides "last" add nothing.
func (s *slips) attributed(attr byte, text []byte, cs Charset) {
	if attr == attrFeed {
		n := 1
		if len(text) == 1 {
			n = min(int(text[0]), maxFeed)
		}
		for range n {
			s.add("")
		}
		return
	}
	if attr&attrLast == 0 || len(text) > 0 {
		s.add(cs.text(text))
	}
	if attr&attrLast != 0 {
		s.end()
	}
}

func (s *slips) end() { s.open = false }

// line takes a 06 D1: attribute, text, and on some terminals a container behind the text that names the kind.
func (s *slips) line(data []byte) {
	if len(data) == 0 {
		return
	}
	attr, text := data[0], data[1:]
	if attr != attrFeed {
		var kind byte
		text, kind = cutContainer(text)
		s.setKind(kind)
	}
	s.attributed(attr, text, s.charset)
}

// cutContainer parts text from a container that ends with it.
func cutContainer(text []byte) (line []byte, kind byte) {
	at := bytes.IndexByte(text, bmpTLV)
	if at < 0 {
		return text, slipUnknown
	}
	n, rest, err := berLength(text[at+1:])
	if err != nil || n != len(rest) {
		return text, slipUnknown
	}
	if walkTLV(rest, func(tag int, v []byte) {
		if tag == tagReceiptType && len(v) == 1 {
			kind = v[0]
		}
	}) != nil {
		return text, slipUnknown
	}
	return text[:at], kind
}

// block takes a 06 D3: a container with the kind of slip and its lines, attributes before texts.
func (s *slips) block(data []byte) error {
	if len(data) > 0 && data[0] == bmpTLV {
		if n, rest, err := berLength(data[1:]); err == nil && n == len(rest) {
			data = rest
		}
	}
	cs, attr, last := s.charset, byte(0), false
	err := walkTLV(data, func(tag int, v []byte) {
		switch {
		case tag == tagReceiptType && len(v) == 1:
			s.setKind(v[0])
		case tag == tagCharset:
			cs = charsetTag(v, cs)
		case tag == tagAttribute && len(v) == 1:
			attr = v[0] &^ attrLast
			last = last || v[0]&attrLast != 0 // here FF means "end and feed"
		case tag == tagText:
			s.attributed(attr, v, cs)
		}
	})
	if last {
		s.end()
	}
	return err
}

// receipt sorts the slips. Where the terminal does not name their kind, the words on them do; then the merchant's
// copy comes first, and a slip alone is the customer's.
func (s *slips) receipt() payments.Receipt {
	var out payments.Receipt
	var unknown [][]string
	for _, sl := range s.all {
		kind := sl.kind
		if kind == slipUnknown {
			kind = kindByWords(sl.lines)
		}
		switch kind {
		case slipMerchant:
			out.Merchant = append(out.Merchant, sl.lines...)
		case slipCustomer:
			out.Customer = append(out.Customer, sl.lines...)
		case slipUnknown:
			unknown = append(unknown, sl.lines)
		}
	}
	for i, lines := range unknown {
		if len(unknown) > 1 && i == 0 || len(out.Customer) > 0 && len(out.Merchant) == 0 {
			out.Merchant = append(out.Merchant, lines...)
		} else {
			out.Customer = append(out.Customer, lines...)
		}
	}
	return out
}

// kindByWords knows the titles that terminals print over the copies.
func kindByWords(lines []string) byte {
	for _, l := range lines {
		l = strings.ToLower(l)
		switch {
		case strings.Contains(l, "kundenbeleg"), strings.Contains(l, "customer copy"), strings.Contains(l, "cardholder copy"):
			return slipCustomer
		case strings.Contains(l, "händlerbeleg"), strings.Contains(l, "haendlerbeleg"), strings.Contains(l, "merchant copy"):
			return slipMerchant
		}
	}
	return slipUnknown
}
