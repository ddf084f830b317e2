package devicesim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/charmap"
)

const (
	dotsA = 12 // width of a font A character
	dotsB = 9
)

// page is how bytes from 80h read on one code page.
type page struct{ upper [128]rune }

// pageOf reads the number of ESC t as this printer's make does.
func (p *Printer) pageOf(n byte) (*page, bool) {
	if p.o.CodePages == nil {
		return epsonPage(n)
	}
	name, ok := p.o.CodePages[n]
	if !ok {
		return nil, false
	}
	if text, ok := romPages()[name]; ok {
		return &page{[128]rune([]rune(text))}, true
	}
	return charmapPage(map[string]*charmap.Charmap{
		"437": charmap.CodePage437, "850": charmap.CodePage850, "852": charmap.CodePage852, "855": charmap.CodePage855,
		"858": charmap.CodePage858, "860": charmap.CodePage860, "862": charmap.CodePage862, "863": charmap.CodePage863,
		"865": charmap.CodePage865, "866": charmap.CodePage866, "1250": charmap.Windows1250, "1251": charmap.Windows1251,
		"1252": charmap.Windows1252, "1253": charmap.Windows1253, "1254": charmap.Windows1254, "1255": charmap.Windows1255,
		"1256": charmap.Windows1256, "1257": charmap.Windows1257, "1258": charmap.Windows1258,
		"iso8859-2": charmap.ISO8859_2, "iso8859-7": charmap.ISO8859_7, "iso8859-15": charmap.ISO8859_15,
	}[name])
}

func charmapPage(t *charmap.Charmap) (*page, bool) {
	if t == nil {
		return nil, false
	}
	p := &page{}
	for i := range p.upper {
		p.upper[i] = t.DecodeByte(byte(0x80 + i))
	}
	return p, true
}

// epsonPage reads the number as Epson's TM printers do.
func epsonPage(n byte) (*page, bool) {
	rom := map[byte]string{11: "851", 12: "853", 13: "857", 14: "737", 30: "tcvn-3-1", 31: "tcvn-3-2", 32: "720", 33: "775", 35: "861",
		37: "864", 38: "869", 41: "1098", 44: "1125", 53: "rk1048", 1: "katakana"}
	if text, ok := romPages()[rom[n]]; ok {
		return &page{[128]rune([]rune(text))}, true
	}
	return charmapPage(map[byte]*charmap.Charmap{
		0: charmap.CodePage437, 2: charmap.CodePage850, 3: charmap.CodePage860, 4: charmap.CodePage863,
		5: charmap.CodePage865, 15: charmap.ISO8859_7, 16: charmap.Windows1252, 17: charmap.CodePage866,
		18: charmap.CodePage852, 19: charmap.CodePage858, 34: charmap.CodePage855, 36: charmap.CodePage862,
		39: charmap.ISO8859_2, 40: charmap.ISO8859_15, 45: charmap.Windows1250, 46: charmap.Windows1251,
		47: charmap.Windows1253, 48: charmap.Windows1254, 49: charmap.Windows1255, 50: charmap.Windows1256,
		51: charmap.Windows1257, 52: charmap.Windows1258,
	}[n])
}

// raster is an image that may still grow by further stripes.
type raster struct {
	stride int
	align  byte
	data   []byte
}

func (p *Printer) reset() {
	if p.page, _ = p.pageOf(0); p.page == nil {
		p.page, _ = epsonPage(0)
	}
	p.modes = modes{style: Style{Width: 1, Height: 1}}
	p.module = 3
	p.qr = ""
	p.passing = false
}

// execute runs the first command of b and returns its length; 0 means that its end has not come yet.
func (p *Printer) execute(b []byte) int {
	if len(b) == 0 {
		return 0
	}
	if p.passing {
		return p.pass(b)
	}
	if p.raster != nil { // it grows only by a stripe right behind it
		if b[0] == 0x1D && len(b) < 2 {
			return 0
		}
		if b[0] != 0x1D || b[1] != 'v' {
			p.endImage()
		}
	}
	switch c := b[0]; {
	case c == 0x1B:
		return p.escape(b)
	case c == 0x1D:
		return p.group(b)
	case c == 0x1C:
		return p.fileSep(b)
	case c == '\n':
		p.endLine()
	case c == '\r' || c == 0:
	case c < 0x20 || c == 0x7F:
		p.complain("control character %02X", c)
	case c < 0x7F:
		p.char(rune(c))
	default:
		p.char(p.page.upper[c-0x80])
	}
	return 1
}

// escape runs ESC commands.
func (p *Printer) escape(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	// ESC ACK is a command of Star printers, which does nothing here.
	n, known := map[byte]int{0x06: 3, '@': 2, '2': 2, '3': 3, 't': 3, 'R': 3, 'M': 3, 'E': 3, 'G': 3, '-': 3, '{': 3, 'a': 3,
		'd': 3, 'J': 3, ' ': 3, '!': 3, '=': 3, 'p': 5, '$': 4, '\\': 4}[b[1]]
	if !known {
		p.complain("ESC %02X", b[1])
		return 2
	}
	if len(b) < n {
		return 0
	}
	switch b[1] {
	case '@':
		p.line, p.styles, p.used = nil, nil, 0 // the print buffer is cleared
		p.asb = 0
		p.reset()
	case 't':
		if pg, ok := p.pageOf(b[2]); ok {
			p.page = pg
		} else {
			p.complain("code page %d", b[2])
		}
	case 'M':
		p.modes.style.FontB = b[2]&1 == 1
	case '!':
		p.modes.style = Style{
			FontB: b[2]&1 == 1, Bold: b[2]&8 != 0, Underline: b[2]&0x80 != 0, Invert: p.modes.style.Invert,
			Height: 1 + int(b[2]>>4&1), Width: 1 + int(b[2]>>5&1),
		}
	case 'E':
		p.modes.style.Bold = b[2]&1 == 1
	case '-':
		p.modes.style.Underline = b[2] != 0 && b[2] != '0'
	case 'a':
		if p.used == 0 { // counts at the start of a line only
			p.modes.align = (b[2] & 3) % 3
		}
	case 'd':
		lines := int(b[2])
		if p.used > 0 {
			p.endLine()
			lines--
		}
		for range lines {
			p.endLine()
		}
	case 'J':
		p.flush()
	case '=': // printer, display or both
		p.passing = b[2]&1 == 0
	case '$':
		p.move(int(b[2]) + int(b[3])<<8)
	case '\\':
		p.move(p.used + int(int16(uint16(b[2])|uint16(b[3])<<8))) //nolint:gosec // a signed number
	case 'p':
		if b[2] > 1 || b[3] > b[4] {
			p.complain("drawer pulse %d %d %d", b[2], b[3], b[4])
			break
		}
		p.pulse(b[2])
	}
	return n
}

// fileSep runs FS commands: the styles of multi-byte characters, which this printer does not have and so ignores.
func (p *Printer) fileSep(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	n, known := map[byte]int{'.': 2, 'C': 3, '-': 3, '!': 3, 'W': 3, 'S': 4, '(': 5}[b[1]]
	if !known {
		p.complain("FS %02X", b[1])
		return 2
	}
	if b[1] == '(' && len(b) >= n {
		n += int(b[3]) + int(b[4])<<8
	}
	if len(b) < n {
		return 0
	}
	return n
}

// group runs GS commands.
func (p *Printer) group(b []byte) int {
	if len(b) < 3 {
		return 0
	}
	switch b[1] {
	case '!':
		p.modes.style.Width, p.modes.style.Height = int(b[2]>>4&7)+1, int(b[2]&7)+1
	case 'B':
		p.modes.style.Invert = b[2]&1 == 1
	case 'h', 'H', 'f':
	case 'w':
		p.module = int(b[2])
	case 'a':
		p.asb = b[2]
		p.autoStatus(true)
	case 'I':
		p.identify(b[2])
	case 'r':
		p.transmit(b[2])
	case 'V':
		return p.cut(b)
	case 'k':
		return p.barcode(b)
	case 'v':
		return p.stripe(b)
	case '(':
		return p.extended(b)
	case '8':
		return p.long(b)
	case 'L', 'W':
		if len(b) < 4 {
			return 0
		}
		if n := int(b[2]) + int(b[3])<<8; p.used > 0 { // counts at the start of a line only
		} else if b[1] == 'L' {
			p.modes.margin = n
		} else {
			p.modes.area = n
		}
		return 4
	default:
		p.complain("GS %02X", b[1])
		return 2
	}
	return 3
}

func (p *Printer) identify(n byte) {
	texts := map[byte]string{'A': "1.00", 'B': "SIM", 'C': p.o.Model, 'D': p.o.Serial}
	if text, ok := texts[n]; ok {
		p.say(append(append([]byte{0x5F}, text...), 0)...)
	} else if n >= 1 && n <= 3 {
		p.say(0x20)
	}
}

func (p *Printer) transmit(n byte) {
	var b byte
	switch n {
	case 1, '1':
		if p.paper == PaperNear {
			b = 0x03
		}
	case 2, '2':
		if p.drawer {
			b = 0x01
		}
	default:
		p.complain("GS r %02X", n)
		return
	}
	if !p.o.NoConfirm {
		p.say(b)
	}
}

// extended runs the commands GS ( X, which give their own length.
func (p *Printer) extended(b []byte) int {
	if len(b) < 5 {
		return 0
	}
	n := 5 + int(b[3]) + int(b[4])<<8
	if len(b) < n {
		return 0
	}
	data := b[5:n]
	switch {
	case b[2] == 'H' && len(data) == 6 && data[0] == '0' && data[1] == '0':
		p.flush()
		if p.o.ProcessID {
			p.say(append(append([]byte{0x37, 0x22}, data[2:]...), 0)...)
		}
	case b[2] == 'k' && len(data) >= 3 && data[0] == '1':
		p.qrCode(data[1], data[2:])
	case b[2] == 'L':
		p.graphics(data)
	default:
		p.complain("GS ( %c % X", b[2], data[:min(len(data), 8)])
	}
	return n
}

// long runs GS 8 L, which is GS ( L with a length of four bytes.
func (p *Printer) long(b []byte) int {
	if b[2] != 'L' {
		p.complain("GS 8 %02X", b[2])
		return 3
	}
	if len(b) < 7 {
		return 0
	}
	size := binary.LittleEndian.Uint32(b[3:])
	if size > maxGraphics {
		p.complain("GS 8 L of %d bytes", size)
		return 7
	}
	n := 7 + int(size)
	if len(b) < n {
		return 0
	}
	p.graphics(b[7:n])
	return n
}

// maxGraphics is the most that the printer holds of one image; more is a slip of the length.
const maxGraphics = 1 << 20

// qrCode runs the functions of the QR symbol: model, size, level, store, print.
func (p *Printer) qrCode(fn byte, data []byte) {
	switch fn {
	case 'A', 'C', 'E':
	case 'P':
		p.qr = string(data[1:])
	case 'Q':
		if p.qr == "" {
			p.complain("QR code without data")
			return
		}
		p.flush()
		p.label("[QR " + p.qr + "]")
	default:
		p.complain("QR function %02X", fn)
	}
}

// cut ends a receipt; forms A and B feed first.
func (p *Printer) cut(b []byte) int {
	n := 3
	if b[2] == 'A' || b[2] == 'B' {
		n = 4
	} else if b[2] > 1 && b[2] != '0' && b[2] != '1' {
		p.complain("cut %02X", b[2])
		return n
	}
	if len(b) < n {
		return 0
	}
	p.flush()
	p.receipts = append(p.receipts, strings.Join(p.printed, ""))
	p.emit(strings.TrimRight(strings.Repeat("- ", (p.o.Columns+1)/2), " "))
	p.printed = nil
	return n
}

// stripe takes GS v 0. Stripes that follow each other without anything between are one image.
func (p *Printer) stripe(b []byte) int {
	if len(b) < 8 {
		return 0
	}
	stride, rows := int(b[4])+int(b[5])<<8, int(b[6])+int(b[7])<<8
	n := 8 + stride*rows
	if len(b) < n {
		return 0
	}
	if p.used > 0 {
		p.endLine()
	}
	if p.raster != nil && p.raster.stride != stride {
		p.endImage()
	}
	if p.raster == nil {
		p.raster = &raster{stride: stride, align: p.modes.align}
	}
	p.raster.data = append(p.raster.data, b[8:n]...)
	return n
}

// endImage puts a finished image on the paper.
func (p *Printer) endImage() {
	r := p.raster
	if r == nil {
		return
	}
	p.raster = nil
	if r.stride == 0 || len(r.data) == 0 {
		return
	}
	p.show(dots(r.data, r.stride, r.stride*8, 1, 1))
}

// flush ends whatever stands unfinished on the line.
func (p *Printer) flush() {
	if p.used > 0 {
		p.endLine()
	}
}

// char puts one character on the line, which wraps when it is full.
func (p *Printer) char(r rune) {
	dots := dotsA
	if p.modes.style.FontB {
		dots = dotsB
	}
	dots *= p.modes.style.Width
	if p.used+dots > p.width() {
		p.endLine()
	}
	p.line = append(p.line, r)
	p.styles = append(p.styles, p.modes.style)
	p.used += dots
}

func (p *Printer) endLine() {
	text := p.indented(p.used, string(p.line))
	p.lines = append(p.lines, spans(p.line, p.styles))
	p.line, p.styles, p.used = nil, nil, 0
	p.emit(strings.TrimRight(text, " "))
}

// before is the part of the free space that alignment puts before the text.
func (p *Printer) before(free int) int {
	switch {
	case free <= 0 || p.modes.align == 0:
		return 0
	case p.modes.align == 1:
		return free / 2
	}
	return free
}

// width is that of the area to print in, in dots.
func (p *Printer) width() int {
	free := max(p.o.Columns*dotsA-p.modes.margin, 0)
	if p.modes.area > 0 {
		return min(p.modes.area, free)
	}
	return free
}

// indented puts blanks before a text of that many dots, after margin and alignment.
func (p *Printer) indented(dots int, text string) string {
	return strings.Repeat(" ", (p.modes.margin+p.before(p.width()-dots))/dotsA) + text
}

// label stands on the paper for what is no text.
func (p *Printer) label(text string) {
	p.emit(p.indented(len([]rune(text))*dotsA, text))
}

// emit moves the paper by one line.
func (p *Printer) emit(text string) {
	p.printed = append(p.printed, text+"\n")
	p.all.WriteString(text + "\n")
	if p.o.OnPaper != nil {
		p.pending = append(p.pending, text)
	}
	if p.runOut > 0 {
		if p.runOut--; p.runOut == 0 {
			p.paper = PaperOut
			p.autoStatus(false)
		}
	}
}

// barcode runs GS k: function A ends at NUL, function B gives its length. A symbol wider than the paper, or with data
// that its symbology does not have, is not printed.
func (p *Printer) barcode(b []byte) int {
	var data []byte
	var n int
	kind := b[2]
	if kind <= 6 {
		end := bytes.IndexByte(b[3:], 0)
		if end < 0 {
			return 0
		}
		data, n, kind = b[3:3+end], 4+end, kind+'A'
	} else {
		if len(b) < 4 || len(b) < 4+int(b[3]) {
			return 0
		}
		data, n = b[4:4+int(b[3])], 4+int(b[3])
	}
	p.flush()
	name, text, modules := symbol(kind, data)
	switch {
	case name == "":
		p.complain("barcode %02X with data %q", kind, data)
	case p.module < 2 || p.module > 6 || modules*p.module > p.o.Columns*dotsA:
		p.complain("barcode %s is wider than the paper: %d modules of %d dots", name, modules, p.module)
	default:
		p.label("[" + name + " " + text + "]")
	}
	return n
}

// symbol reads barcode data: its name, its text and its width in modules; no name where the data is wrong.
func symbol(kind byte, data []byte) (name, text string, modules int) {
	text = string(data)
	switch kind {
	case 'A', 'C', 'D':
		size := map[byte]int{'A': 12, 'C': 13, 'D': 8}[kind]
		if len(data) == size-1 { // the printer adds the check digit
			for d := byte('0'); d <= '9' && len(data) < size; d++ {
				if full := append(bytes.Clone(data), d); eanSum(full) {
					data, text = full, string(full)
				}
			}
		}
		if len(data) != size || !eanSum(data) {
			return "", "", 0
		}
		return map[byte]string{'A': "UPCA", 'C': "EAN13", 'D': "EAN8"}[kind], text, size*7 + 11
	case 'E':
		for _, c := range text {
			if !strings.ContainsRune("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-. $/+%", c) {
				return "", "", 0
			}
		}
		return "CODE39", text, 16*len(data) + 31
	case 'F':
		if len(data)%2 != 0 || len(data) == 0 {
			return "", "", 0
		}
		return "ITF", text, 9*len(data) + 9
	case 'I':
		text, symbols := code128Text(data)
		if symbols == 0 {
			return "", "", 0
		}
		return "CODE128", text, 11*(symbols+1) + 13
	}
	return "", "", 0
}

// eanSum checks that the digits, weighted 3 and 1 from the right, add up to a multiple of ten.
func eanSum(digits []byte) bool {
	sum, weight := 0, 1
	for i := len(digits) - 1; i >= 0; i-- {
		if digits[i] < '0' || digits[i] > '9' {
			return false
		}
		sum += int(digits[i]-'0') * weight
		weight = 4 - weight
	}
	return sum%10 == 0
}

// code128Text reads data with its code set marks; symbols counts start, changes and characters.
func code128Text(data []byte) (text string, symbols int) {
	set := byte(0)
	for i := 0; i < len(data); i++ {
		c := data[i]
		if c == '{' {
			if i++; i == len(data) {
				return "", 0
			}
			switch m := data[i]; {
			case m >= 'A' && m <= 'C':
				set = m
				symbols++
				continue
			case m == '{' && set == 'B':
			default:
				return "", 0
			}
		}
		switch {
		case set == 'C' && c < 100:
			text += fmt.Sprintf("%02d", c)
		case set == 'A' && c < 0x60, set == 'B' && c >= 0x20 && c < 0x80:
			text += string(rune(c))
		default:
			return "", 0
		}
		symbols++
	}
	return text, symbols
}
