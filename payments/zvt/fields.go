package zvt

import (
	"errors"
	"fmt"
)

// Lengths of BMP values: a positive number is a fixed length in bytes (PA00P015, chapter on data elements).
const (
	lenLL  = -2 // LLVAR: two length digits in the low nibbles of F. F.
	lenLLL = -3 // LLLVAR
	lenTLV = -1 // BER length, then the container
)

// BMPs that this package reads or writes.
const (
	bmpService   = 0x03
	bmpAmount    = 0x04
	bmpTLV       = 0x06
	bmpTrace     = 0x0B
	bmpTime      = 0x0C
	bmpDate      = 0x0D
	bmpPayType   = 0x19
	bmpPAN       = 0x22
	bmpResult    = 0x27
	bmpTID       = 0x29
	bmpOrigTrace = 0x37
	bmpApproval  = 0x3B
	bmpText      = 0x3C
	bmpCurrency  = 0x49
	bmpTotals    = 0x60
	bmpReceipt   = 0x87
	bmpCardName  = 0x8B
	bmpFullDate  = 0xAA
	bmpShowFor   = 0xF0 // 06 E0: seconds
	bmpLine1     = 0xF1 // 06 E0: up to bmpLine1+7
)

// bmpLen gives the length of a BMP's value; ok is false for one we do not know, which cannot be skipped because its
// length is not known.
func bmpLen(id byte) (n int, ok bool) {
	switch id {
	case 0x01, 0x02, bmpService, 0x05, bmpPayType, bmpResult, 0x8A, 0x8C, 0xA0, 0xD0, 0xD2, 0xD3, 0xE0, 0xE9, 0xEA, bmpShowFor,
		0xF9, 0xFA, 0xFB, 0xFC, 0xFD:
		return 1, true
	case bmpDate, 0x0E, 0x17, 0x3A, bmpCurrency, bmpReceipt:
		return 2, true
	case bmpTrace, bmpTime, bmpOrigTrace, 0x3D, 0x88, bmpFullDate:
		return 3, true
	case bmpTID:
		return 4, true
	case 0xBA:
		return 5, true
	case bmpAmount:
		return 6, true
	case bmpApproval, 0xEB:
		return 8, true
	case 0x2A:
		return 15, true
	case bmpPAN, 0x23, 0x2D, 0x4C, bmpCardName, 0xA7, 0xE1, 0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, bmpLine1, 0xF2,
		0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8:
		return lenLL, true
	case 0x24, 0x2E, bmpText, bmpTotals, 0x9A, 0xAF:
		return lenLLL, true
	case bmpTLV:
		return lenTLV, true
	}
	return 0, false
}

// errField is wrapped by every complaint about data that is no sequence of BMPs.
var errField = errors.New("protocol error")

// walk calls visit for every BMP in order and stops at the first that cannot be read. What was visited before holds.
func walk(data []byte, visit func(id byte, value []byte)) error {
	for len(data) > 0 {
		id := data[0]
		n, ok := bmpLen(id)
		if !ok {
			return fmt.Errorf("%w: unknown BMP %02X", errField, id)
		}
		rest := data[1:]
		var err error
		switch n {
		case lenLL, lenLLL:
			n, rest, err = varLength(rest, -n)
		case lenTLV:
			n, rest, err = berLength(rest)
		}
		if err == nil && len(rest) < n {
			err = fmt.Errorf("%w: value is cut off", errField)
		}
		if err != nil {
			return fmt.Errorf("BMP %02X: %w", id, err)
		}
		visit(id, rest[:n])
		data = rest[n:]
	}
	return nil
}

// varLength reads the decimal length digits of LLVAR and LLLVAR.
func varLength(b []byte, digits int) (n int, rest []byte, err error) {
	if len(b) < digits {
		return 0, nil, fmt.Errorf("%w: length is cut off", errField)
	}
	for _, c := range b[:digits] {
		if c&0x0F > 9 {
			return 0, nil, fmt.Errorf("%w: length digit %02X", errField, c)
		}
		n = n*10 + int(c&0x0F)
	}
	return n, b[digits:], nil
}

// berLength reads 00-7F, 81 n, or 82 hi lo.
func berLength(b []byte) (n int, rest []byte, err error) {
	switch {
	case len(b) >= 1 && b[0] < 0x80:
		return int(b[0]), b[1:], nil
	case len(b) >= 2 && b[0] == 0x81:
		return int(b[1]), b[2:], nil
	case len(b) >= 3 && b[0] == 0x82:
		return int(b[1])<<8 | int(b[2]), b[3:], nil
	}
	return 0, nil, fmt.Errorf("%w: container length", errField)
}

func appendBER(out []byte, n int) []byte {
	switch {
	case n < 0x80:
		return append(out, byte(n))
	case n < 0x100:
		return append(out, 0x81, byte(n))
	}
	return append(out, 0x82, byte(n>>8), byte(n))
}

// appendBMP writes one BMP. The value must fit the BMP's length; a misfit is a programming error.
func appendBMP(out []byte, id byte, value []byte) []byte {
	n, ok := bmpLen(id)
	out = append(out, id)
	size := len(value)
	switch {
	case !ok, n >= 0 && n != size, n == lenLL && size > 99, n == lenLLL && size > 999, size > maxData:
		panic(fmt.Sprintf("zvt: %d bytes in BMP %02X", size, id))
	case n == lenLL:
		out = append(out, 0xF0|byte(size/10), 0xF0|byte(size%10))
	case n == lenLLL:
		out = append(out, 0xF0|byte(size/100), 0xF0|byte(size/10%10), 0xF0|byte(size%10))
	case n == lenTLV:
		out = appendBER(out, size)
	}
	return append(out, value...)
}

// Tags of TLV containers that this package reads or writes.
const (
	tagText        = 0x07
	tagAttribute   = 0x09
	tagCommand     = 0x0A
	tagCharset     = 0x14
	tagCommands    = 0x26
	tagDate        = 0x34
	tagTime        = 0x35
	tagReceiptType = 0x1F07
	tagCVM         = 0x1F10
	tagTechnology  = 0x1F12
	tagReceiptInfo = 0x1F37
)

// maxDepth bounds how deep containers may nest; real ones nest three deep.
const maxDepth = 8

// walkTLV calls visit for every primitive tag in order, also inside constructed ones. What was visited before an
// error holds.
func walkTLV(data []byte, visit func(tag int, value []byte)) error { return walkTLVs(data, visit, 0) }

func walkTLVs(data []byte, visit func(tag int, value []byte), depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: containers nest too deep", errField)
	}
	for len(data) > 0 {
		first := data[0]
		tag, rest, err := tlvTag(data)
		if err != nil {
			return err
		}
		n, rest, err := berLength(rest)
		if err == nil && len(rest) < n {
			err = fmt.Errorf("%w: value is cut off", errField)
		}
		if err != nil {
			return fmt.Errorf("tag %X: %w", tag, err)
		}
		if first&0x20 != 0 {
			err = walkTLVs(rest[:n], visit, depth+1)
		} else {
			visit(tag, rest[:n])
		}
		if err != nil {
			return err
		}
		data = rest[n:]
	}
	return nil
}

// tlvTag reads a tag of one to three bytes.
func tlvTag(b []byte) (tag int, rest []byte, err error) {
	tag, rest = int(b[0]), b[1:]
	if b[0]&0x1F != 0x1F {
		return tag, rest, nil
	}
	for range 2 {
		if len(rest) == 0 {
			break
		}
		next := rest[0]
		tag, rest = tag<<8|int(next), rest[1:]
		if next&0x80 == 0 {
			return tag, rest, nil
		}
	}
	return 0, nil, fmt.Errorf("%w: tag %X has no end", errField, tag)
}

// appendTLV writes one tag of one or two bytes.
func appendTLV(out []byte, tag int, value []byte) []byte {
	if tag > 0xFF {
		out = append(out, byte(tag>>8))
	}
	return append(appendBER(append(out, byte(tag)), len(value)), value...)
}

// putBCD writes n into size bytes of packed decimal digits; ok is false where it does not fit.
func putBCD(n int64, size int) (out []byte, ok bool) {
	if n < 0 {
		return nil, false
	}
	out = make([]byte, size)
	for i := size - 1; i >= 0; i-- {
		out[i] = byte(n%10) | byte(n/10%10)<<4
		n /= 100
	}
	return out, n == 0
}

// digits writes packed decimal as text; ok is false where a nibble is no digit.
func digits(b []byte) (text string, ok bool) {
	out := make([]byte, 0, 2*len(b))
	for _, c := range b {
		if c>>4 > 9 || c&0x0F > 9 {
			return "", false
		}
		out = append(out, '0'+c>>4, '0'+c&0x0F)
	}
	return string(out), true
}

// getBCD reads at most nine bytes of packed decimal digits.
func getBCD(b []byte) (n int64, ok bool) {
	if len(b) > 9 {
		return 0, false
	}
	for _, c := range b {
		if c>>4 > 9 || c&0x0F > 9 {
			return 0, false
		}
		n = n*100 + int64(c>>4)*10 + int64(c&0x0F)
	}
	return n, true
}
