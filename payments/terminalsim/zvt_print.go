package terminalsim

import (
	"bytes"
	"context"
)

// wantsBlocks looks into a registration for tag 26 { 0A 06D3 } in the container behind password, config byte and
// currency: the register takes slips as text blocks.
func wantsBlocks(data []byte) bool {
	if len(data) < 7 || data[6] != 0x06 {
		return false
	}
	list := bytes.Index(data[7:], []byte{0x26})
	return list >= 0 && bytes.Contains(data[7+list:], []byte{0x0A, 0x02, 0x06, 0xD3})
}

// printSlip lets the register print lines, each an attribute and its text: one by one (06 D1), or, where the register
// asked for that, all in one (06 D3). kind is 1 for the merchant's slip, 2 for the customer's, 3 for one of the
// administration.
func (z *ZVT) printSlip(ctx context.Context, w wire, kind byte, lines []string) error {
	z.mu.Lock()
	blocks := z.blocks
	z.mu.Unlock()
	if blocks {
		return z.ask(ctx, w, textBlock(kind, lines))
	}
	for _, l := range lines {
		if err := z.ask(ctx, w, message(0x06, 0xD1, []byte(l))); err != nil {
			return err
		}
	}
	return nil
}

// textBlock is a 06 D3: 06 { 1F07 kind, 25 { 09 attribute, 07 text, .. } }. An attribute is said where it changes; the
// last one, with bit 80, ends the slip.
func textBlock(kind byte, lines []string) []byte {
	var texts []byte
	said := -1
	for _, l := range lines {
		if attribute := l[0]; int(attribute) != said {
			texts = append(texts, 0x09, 0x01, attribute)
			said = int(attribute)
		}
		if said&0x80 == 0 {
			texts = append(append(texts, 0x07, byte(len(l)-1)), l[1:]...)
		}
	}
	inner := append([]byte{0x1F, 0x07, 0x01, kind, 0x25}, sized(texts)...)
	return message(0x06, 0xD3, append([]byte{0x06}, sized(inner)...))
}

// sized puts a container's length before it.
func sized(b []byte) []byte {
	switch n := len(b); {
	case n < 0x80:
		return append([]byte{byte(n)}, b...)
	case n < 0x100:
		return append([]byte{0x81, byte(n)}, b...)
	default:
		return append([]byte{0x82, byte(n >> 8), byte(n)}, b...)
	}
}
