package devicesim

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// starLength is the length of the command at the start of b; 0 where that is not known yet. Lengths follow the command
// tables of StarPRNT and Star Line Mode.
func starLength(b []byte, raster bool) int {
	has := func(n int) bool { return len(b) >= n }
	switch {
	case raster && b[0] == 'b':
		if !has(3) {
			return 0
		}
		return 3 + int(b[1]) + int(b[2])<<8
	case b[0] != 0x1B:
		return 1
	case !has(2):
		return 0
	}
	switch b[1] {
	case 0x1D:
		return starGroup(b)
	case 0x1E:
		return 4
	case 0x0C:
		return min(3, len(b)/3*3)
	case 0x07, 'i', 's':
		return 4
	case 0x06, '-', 'R', 'z', ' ', 'a', 'd', 'J', 'W', 'h', 'l', 'Q', '$':
		return 3
	case 'b': // until RS, behind four parameters
		if i := bytes.IndexByte(b[min(len(b), 6):], 0x1E); i >= 0 {
			return 7 + i
		}
		return 0
	case '#', '?':
		if bytes.HasSuffix(b, []byte("\n\x00")) {
			return len(b)
		}
		return 0
	case '*':
		if !has(4) {
			return 0
		}
		if b[2] != 'r' || strings.IndexByte("ABCR", b[3]) >= 0 {
			return 4
		}
		if i := bytes.IndexByte(b[4:], 0); i >= 0 {
			return 5 + i
		}
		return 0
	}
	return 2
}

// starGroup is the length of a command that begins with ESC GS.
func starGroup(b []byte) int {
	if len(b) < 3 {
		return 0
	}
	header := 4
	switch b[2] {
	case 0x03:
		return 6
	case 'A', 'R':
		return 5
	case 'S':
		header = 9
	case ')', 'B':
		header = 6
	case 'y':
		if len(b) < 4 {
			return 0
		}
		header = map[byte]int{'S': 6, 'D': 8, 'P': 4, 'I': 4}[b[3]]
	}
	if len(b) < header {
		return 0
	}
	switch {
	case b[2] == 'S':
		return header + (int(b[4])+int(b[5])<<8)*(int(b[6])+int(b[7])<<8)
	case b[2] == ')' || b[2] == 'B':
		return header + int(b[4]) + int(b[5])<<8
	case b[2] == 'y' && b[3] == 'D':
		return header + int(b[6]) + int(b[7])<<8
	}
	return max(header, 4)
}

// starRaster follows the raster mode, in which 'b' begins a row.
func starRaster(command []byte, raster bool) bool {
	if bytes.HasPrefix(command, []byte("\x1b*r")) {
		switch command[3] {
		case 'A':
			return true
		case 'B':
			return false
		}
	}
	return raster
}

// atOnce obeys a real-time command: ESC ACK SOH, ESC ACK CAN, ENQ, EOT, FS, EM.
func (s *Star) atOnce(c []byte) bool {
	switch {
	case bytes.Equal(c, []byte{0x1B, 0x06, 0x01}):
		if !s.asb || !s.o.AskOff {
			s.sendStatus()
		}
	case bytes.Equal(c, []byte{0x1B, 0x06, 0x18}):
		s.forget()
	case len(c) != 1:
		return false
	case c[0] == 0x05 || c[0] == 0x04:
		b := byte(0x10)
		if s.paper == PaperOut {
			b |= 0x08
		}
		if c[0] == 0x05 {
			b = 0x20
		}
		s.say(b)
	case c[0] == 0x1C:
		s.now(1)
	case c[0] == 0x19:
		s.now(2)
	default:
		return false
	}
	return true
}

// now is a pulse in real time, which a printer in error ignores.
func (s *Star) now(device int) {
	if !s.fault {
		s.pulse(device)
	}
}

func (s *Star) reset() {
	s.page, _ = s.pageOf(1)
	if s.page == nil {
		s.page, _ = epsonPage(0)
	}
	s.utf8, s.pending = false, nil
	s.roll.align, s.roll.font, s.roll.w, s.roll.h = 0, 0, 1, 1
	s.qr, s.qrCell = "", 3
}

// pageOf reads the number of ESC GS t as this printer's make does.
func (s *Star) pageOf(n byte) (*page, bool) {
	names := s.o.CodePages
	if names == nil {
		names = map[byte]string{0: "437", 1: "437", 2: "katakana", 3: "437", 4: "858", 5: "852", 6: "860", 7: "861", 8: "863", 9: "865",
			10: "866", 11: "855", 12: "857", 13: "862", 14: "864", 15: "737", 16: "851", 17: "869", 32: "1252", 33: "1250", 34: "1251"}
	}
	return (&Printer{o: PrinterOptions{CodePages: names}}).pageOf(n)
}

// run executes one command.
func (s *Star) run(c []byte) {
	if s.dots != nil && !bytes.HasPrefix(c, []byte("\x1b\x1dS")) && c[0] != 'b' && !bytes.Equal(c, []byte("\x1b*rB")) {
		s.roll.picture(s.dots) // it grows only by rows right behind it
		s.dots = nil
	}
	switch {
	case c[0] == 'b' && len(c) > 1:
		s.row(c[3:])
	case c[0] == 0x1B:
		s.escape(c)
	case c[0] == '\n':
		s.roll.end()
	case c[0] == 0x07:
		s.pulse(1)
	case c[0] == 0x1A:
		s.pulse(2)
	case c[0] == 0x17: // ETB
		s.roll.flush()
		s.etb, s.etbDone = (s.etb+1)%32, true
		s.autoStatus(true)
	case c[0] == 0x18: // CAN
		s.roll.drop()
		s.etb, s.etbDone = 0, false
		s.reset()
	case bytes.IndexByte([]byte{0x00, 0x01, 0x02, 0x03, 0x06, 0x0D, 0x0F, 0x10, 0x12, 0x15, 0x16, 0x1E, 0x1F}, c[0]) >= 0: // no commands, or not for text
	case c[0] < 0x20 || c[0] == 0x7F:
		s.complain("control character %02X", c[0])
	case s.o.GraphicMode:
		s.complain("text in graphic mode: %q", c)
	default:
		s.char(c[0])
	}
}

// char puts a byte of text on the line.
func (s *Star) char(c byte) {
	if !s.utf8 {
		r := rune(c)
		if c >= 0x80 {
			r = s.page.upper[c-0x80]
		}
		s.roll.char(r)
		return
	}
	s.pending = append(s.pending, c)
	if r, _ := utf8.DecodeRune(s.pending); utf8.FullRune(s.pending) {
		if r == utf8.RuneError {
			s.complain("not UTF-8: % X", s.pending)
		}
		s.roll.char(r)
		s.pending = nil
	}
}

// row is one row of a picture in raster mode.
func (s *Star) row(data []byte) {
	if s.dots != nil && s.dots.stride != len(data) {
		s.roll.picture(s.dots)
		s.dots = nil
	}
	if s.dots == nil {
		s.dots = &dotRows{stride: len(data)}
	}
	s.dots.data = append(s.dots.data, data...)
}

// escape runs commands that begin with ESC.
func (s *Star) escape(c []byte) {
	switch c[1] {
	case 0x1D:
		s.group(c)
	case 0x1E:
		s.record(c)
	case '@':
		s.roll.drop()
		s.reset()
	case 0x07: // pulse width
		if c[2] < 1 || c[2] > 127 || c[3] < 1 || c[3] > 127 {
			s.complain("pulse %d %d", c[2], c[3])
		}
	case 'i':
		h, w := int(c[2])+1, int(c[3])+1
		if h > 6 || w > 6 {
			s.complain("size %dx%d", w, h)
			return
		}
		s.roll.w, s.roll.h = w, h
	case 'E', 'F', '4', '5', '-', 'z', '0', '1', ' ', 's', 'l', 'Q', '$', 'R': // what text does not show
	case 'a':
		lines := int(c[2])
		if s.roll.used > 0 {
			s.roll.end()
			lines--
		}
		for range lines {
			s.roll.end()
		}
	case 'd':
		if c[2] > 3 && (c[2] < '0' || c[2] > '3') {
			s.complain("cut %02X", c[2])
			return
		}
		s.roll.cut()
	case 'b':
		s.barcode(c[2:6], c[6:len(c)-1])
	case '#':
		if string(c) != "\x1b#*\n\x00" {
			s.complain("ESC # %q", c[2:])
			return
		}
		s.transmit("11", []byte("\x1b#*,"+s.o.Model+"\n\x00"))
	case '*':
		if !s.o.LineMode && !s.o.GraphicMode || c[2] != 'r' {
			s.complain("raster mode %q", c[2:])
			return
		}
		s.rasterCommand(c)
	case 0x0C: // ESC FF: EOT and FF mode
		if s.cutMode >= 8 {
			s.roll.cut()
		}
	default:
		s.complain("ESC %02X", c[1])
	}
}

// rasterCommand runs what belongs to raster mode.
func (s *Star) rasterCommand(c []byte) {
	switch n, _ := strconv.Atoi(strings.Trim(string(c[4:]), "\x00")); c[3] {
	case 'A':
		s.cutMode = 13
	case 'B':
		s.roll.align = 0
		s.roll.picture(s.dots)
		s.dots = nil
	case 'F':
		s.cutMode = n
	case 'Y':
		for range n / 30 {
			s.roll.end()
		}
	}
}

// record runs ESC RS commands.
func (s *Star) record(c []byte) {
	switch c[2] {
	case 'a':
		s.asb = c[3]&1 == 1
		s.autoStatus(true)
	case 'F':
		if c[3] > 1 {
			s.complain("font %d", c[3])
			return
		}
		s.roll.font = c[3]
	case 'E':
		s.etb, s.etbDone = 0, false
	default:
		s.complain("ESC RS %02X", c[2])
	}
}

// group runs ESC GS commands.
func (s *Star) group(c []byte) {
	switch c[2] {
	case 't':
		if pg, ok := s.pageOf(c[3]); ok {
			s.page = pg
		} else {
			s.complain("code page %d", c[3])
		}
	case 'a':
		s.roll.align = c[3] & 3 % 3
	case 'A':
		s.roll.move(int(c[3]) + int(c[4])<<8)
	case 'R':
		s.roll.move(s.roll.used + int(int16(uint16(c[3])|uint16(c[4])<<8))) //nolint:gosec // a signed number
	case 0x03:
		s.counter(c[3], c[4], c[5])
	case 'S':
		s.graphics(c)
	case 'y':
		s.qrCode(c[3:])
	case ')':
		if !s.o.UTF8 || c[3] != 'U' || len(c) < 7 {
			s.complain("ESC GS ) % X", c[3:])
			return
		}
		if c[6] == '0' {
			s.utf8, s.pending = c[7] == 1, nil
		}
	case 'B':
		if s.o.Display == nil || c[3] != '@' {
			s.complain("ESC GS B % X", c[3:])
			return
		}
		s.o.Display.Pass(c[6:])
	default:
		s.complain("ESC GS %02X", c[2])
	}
}

// counter runs ESC GS ETX: 0 tells the document counter, 1 raises it once everything is printed, 2 clears it.
func (s *Star) counter(what, n1, n2 byte) {
	if s.o.NoCounter {
		return
	}
	switch what {
	case 0:
	case 1:
		s.roll.flush()
		s.count++
	case 2:
		s.count = 0
		return
	default:
		s.complain("ESC GS ETX %d", what)
		return
	}
	s.transmit("14", []byte{0x1B, 0x1D, 0x03, what, n1, n2, s.count, 0})
}

// graphics takes a picture of StarPRNT. Stripes that follow each other without anything between are one picture.
func (s *Star) graphics(c []byte) {
	stride := int(c[4]) + int(c[5])<<8
	if s.o.LineMode || c[3] != 1 || stride > s.o.Columns*dotsA/8+1 {
		s.complain("picture of %d bytes a row", stride)
		return
	}
	s.roll.flush()
	if s.dots != nil && s.dots.stride != stride {
		s.roll.picture(s.dots)
		s.dots = nil
	}
	if s.dots == nil {
		s.dots = &dotRows{stride: stride}
	}
	s.dots.data = append(s.dots.data, c[9:]...)
}

// qrCode runs ESC GS y: settings, data, print.
func (s *Star) qrCode(c []byte) {
	switch {
	case c[0] == 'S' && c[1] == '0' && (c[2] == 1 || c[2] == 2), c[0] == 'S' && c[1] == '1' && c[2] <= 3:
	case c[0] == 'S' && c[1] == '2' && c[2] >= 1 && c[2] <= 8:
		s.qrCell = int(c[2])
	case c[0] == 'D' && c[1] == '1' && len(c) > 5:
		s.qr = string(c[5:])
	case c[0] == 'P' && s.qr != "":
		s.roll.label("[QR " + s.qr + "]")
	default:
		s.complain("ESC GS y % X", c[:min(len(c), 8)])
	}
}

// barcode runs ESC b: kind, with or without text, bars, height; a symbol wider than the paper, or with data that its
// kind does not have, is not printed.
func (s *Star) barcode(p, data []byte) {
	name, text, modules := starSymbol(p[0]&0x0F, data)
	module := int(p[2]&0x0F) + 1
	if name == "ITF" || name == "CODE39" { // wide bars of three narrow ones
		module = map[byte]int{1: 2, 2: 3, 7: 2, 8: 3}[p[2]&0x0F]
		if name == "ITF" && p[2]&0x0F < 7 || name == "CODE39" && p[2]&0x0F > 2 {
			module = 0
		}
	}
	switch {
	case name == "" || p[1]&0x0F < 1 || p[1]&0x0F > 4 || p[3] == 0:
		s.complain("barcode % X with data %q", p, data)
	case module < 2 || module > 4 || modules*module > s.o.Columns*dotsA:
		s.complain("barcode %s is wider than the paper: %d modules of %d dots", name, modules, module)
	default:
		s.roll.label("[" + name + " " + text + "]")
	}
}

// starSymbol reads barcode data: its name, its text and its width in modules; no name where the data is wrong.
func starSymbol(kind byte, data []byte) (name, text string, modules int) {
	if kind == 6 {
		text := strings.ReplaceAll(string(data), "%0", "%")
		if strings.Contains(strings.ReplaceAll(string(data), "%0", ""), "%") || text == "" {
			return "", "", 0
		}
		symbols := len(text)
		if len(text) >= 4 && len(text)%2 == 0 && strings.Trim(text, "0123456789") == "" {
			symbols /= 2
		}
		return "CODE128", text, (symbols+2)*11 + 13
	}
	other, known := map[byte]byte{1: 'A', 2: 'D', 3: 'C', 4: 'E', 5: 'F'}[kind]
	if !known {
		return "", "", 0
	}
	return symbol(other, data)
}
