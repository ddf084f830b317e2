package starprnt

import (
	"fmt"
	"strings"

	"storeagent/devices/printer"
	"storeagent/devices/printer/driver"
	"storeagent/devices/printer/typeset"
)

const (
	esc = 0x1B
	gs  = 0x1D
	rs  = 0x1E

	stripeRows = 128 // rows of one picture command; small buffers stall on more
	maxFeed    = 127 // lines of one ESC a
	maxQRCell  = 8   // dots
	maxRow     = 128 // bytes of one row of a picture (ESC GS S)

	maxBytes = 4 << 20 // of a document; seven metres of 80 mm paper, all of it dots
)

// start is how every job begins (sections of StarPRNT): ESC @ 2.3.18; font A and no space between characters 2.3.1; the
// American set of ESC R, in which ASCII is ASCII; lines 4 mm apart 2.3.6.
func start(p profile) []byte {
	out := []byte("\x1b@" + "\x1b\x1eF\x00" + "\x1b \x00" + "\x1bR\x00" + "\x1bz\x01")
	if p.utf8 {
		out = append(out, utf8Off...)
	}
	return out
}

// Text in UTF-8, and in code pages again (ESC GS ) U, function 48, StarPRNT 2.3.23); characters of ambiguous width are
// narrow there (function 64).
const (
	utf8On  = "\x1b\x1d)U\x02\x000\x01" + "\x1b\x1d)U\x02\x00@\x00"
	utf8Off = "\x1b\x1d)U\x02\x000\x00"
)

// encoder turns a document into the bytes of one job. It begins with start, so it knows the printer's modes.
type encoder struct {
	profile profile
	setter  *typeset.Typesetter // nil draws nothing
	out     driver.Encoded

	page  int // index of the selected code page; -1 before the first
	utf8  bool
	align byte
	style style
}

// style is the look of characters.
type style struct {
	font                    byte
	width, height           int // times
	bold, underline, invert bool
}

// Encode implements driver.Language. The error names a character that no code page and no font has, and what the model
// cannot do.
func (l *language) Encode(doc printer.Document) (driver.Encoded, error) {
	if l.profile.raster == rasterOnly {
		return l.graphic(doc)
	}
	e := &encoder{profile: l.profile, setter: l.setter, page: -1, style: plain()}
	e.out.Add(start(l.profile)...)
	for i, op := range doc {
		if err := e.op(op); err != nil {
			err.Field = fmt.Sprintf("document[%d].%s", i, err.Field)
			return driver.Encoded{}, err
		}
		e.cut()
	}
	e.modes(plain(), 0)
	e.pages()
	e.cut()
	return e.out, nil
}

func plain() style { return style{width: 1, height: 1} }

func styleOf(op printer.Op) style {
	s := style{width: max(op.Width, 1), height: max(op.Height, 1), bold: op.Bold, underline: op.Underline, invert: op.Invert}
	if op.Font == "b" {
		s.font = 1
	}
	return s
}

func (e *encoder) put(b ...byte)    { e.out.Data = append(e.out.Data, b...) }
func (e *encoder) puts(text string) { e.out.Data = append(e.out.Data, text...) }
func (e *encoder) cut()             { e.out.Cuts = append(e.out.Cuts, len(e.out.Data)) }
func (e *encoder) dots() int        { return printer.Dots(e.profile.columns) }
func refuse(field, format string, args ...any) *printer.DocumentError {
	return &printer.DocumentError{Field: field, Message: fmt.Sprintf(format, args...)}
}

func (e *encoder) op(op printer.Op) *printer.DocumentError {
	switch op.Op {
	case "text", "columns", "rule":
		return e.rows(op)
	case "barcode":
		return e.barcode(op)
	case "qrcode":
		return e.qrcode(op)
	case "image":
		return e.image(op)
	case "feed":
		for left := op.Lines; left > 0; left -= maxFeed {
			e.put(esc, 'a', byte(min(left, maxFeed)))
		}
	case "cut": // with the feed to the cutter; models with one kind of cut take the other for it
		mode := byte(3)
		if op.Mode == "full" {
			mode = 2
		}
		e.put(esc, 'd', mode)
	case "drawer":
		if op.Pin == 5 {
			e.put(0x1A)
		} else {
			e.puts(drawer1 + "\x07")
		}
	}
	return nil
}

// modes sends what differs from the modes the printer is in: ESC GS a, ESC RS F, ESC i height width, ESC E and F, ESC -,
// ESC 4 and 5.
func (e *encoder) modes(s style, align byte) {
	if e.align != align {
		e.put(esc, gs, 'a', align)
		e.align = align
	}
	old := e.style
	e.style = s
	if old.font != s.font {
		e.put(esc, rs, 'F', s.font)
	}
	if old.width != s.width || old.height != s.height {
		e.put(esc, 'i', byte(s.height-1), byte(s.width-1))
	}
	if old.bold != s.bold {
		e.put(esc, choose(s.bold, 'E', 'F'))
	}
	if old.underline != s.underline {
		e.put(esc, '-', choose(s.underline, 1, 0))
	}
	if old.invert != s.invert {
		e.put(esc, choose(s.invert, '4', '5'))
	}
}

func choose(on bool, yes, no byte) byte {
	if on {
		return yes
	}
	return no
}

func alignCode(align string) byte {
	switch align {
	case "center":
		return 1
	case "right":
		return 2
	}
	return 0
}

// barcode is ESC b n1 n2 n3 n4 data RS (StarPRNT 2.3.8): kind, with or without the text below, bars, height.
func (e *encoder) barcode(op printer.Op) *printer.DocumentError {
	if !e.profile.barcodes {
		return refuse("op", "this printer prints no barcodes")
	}
	code, err := printer.ParseBarcode(op.Symbology, op.Data)
	if err != nil {
		return err
	}
	module := printer.BarcodeModule(op, e.dots())
	kind := map[string]byte{"upca": '1', "ean8": '2', "ean13": '3', "code39": '4', "itf": '5', "code128": '6'}[code.Symbology]
	data := code.Data
	if code.Symbology == "code128" {
		if module = e.code128Module(data); module == 0 {
			return refuse("data", "is too long for a barcode of this printer")
		}
		data = strings.ReplaceAll(data, "%", "%0")
	}
	bars := byte('1' + module - 2) // 2 or 3 dots
	if code.Symbology == "itf" {   // modes 7 and 8: wide bars of three times 2 or 3 dots (appendix 1)
		bars += 6
	}
	height := op.Height
	if height == 0 {
		height = 64
	}
	below := byte('2')
	if op.ShowText != nil && !*op.ShowText {
		below = '1'
	}
	e.modes(plain(), alignCode(op.Align))
	e.put(esc, 'b', kind, below, bars, byte(height))
	e.puts(data)
	e.put(rs)
	return nil
}

// code128Module is the width of the narrowest bar at which the symbol surely fits: the printer itself chooses the code
// sets, so that only digits alone are counted on to be narrow.
func (e *encoder) code128Module(data string) int {
	symbols := len(data)
	if len(data) >= 4 && len(data)%2 == 0 && !strings.ContainsFunc(data, func(r rune) bool { return r < '0' || r > '9' }) {
		symbols /= 2
	}
	for module := 3; module >= 2; module-- {
		if ((symbols+2)*11+13)*module <= e.dots() {
			return module
		}
	}
	return 0
}

// qrcode is ESC GS y (StarPRNT 2.3.21): model 2, level, size, data, print.
func (e *encoder) qrcode(op printer.Op) *printer.DocumentError {
	cell := printer.QRModule(op, e.dots())
	switch {
	case !e.profile.qr:
		return refuse("op", "this printer prints no QR codes")
	case cell > maxQRCell:
		return refuse("size", "is %d dots a module, this printer has at most %d", cell, maxQRCell)
	}
	e.modes(plain(), alignCode(op.Align))
	level := byte(strings.Index("LMQH", op.Level))
	if op.Level == "" {
		level = 1
	}
	e.put(esc, gs, 'y', 'S', '0', 2)
	e.put(esc, gs, 'y', 'S', '1', level)
	e.put(esc, gs, 'y', 'S', '2', byte(cell))
	e.put(esc, gs, 'y', 'D', '1', 0, byte(len(op.Data)), byte(len(op.Data)>>8))
	e.puts(op.Data)
	e.put(esc, gs, 'y', 'P')
	return nil
}

// image prints a picture.
func (e *encoder) image(op printer.Op) *printer.DocumentError {
	img, err := printer.Raster(op, e.dots())
	if err != nil {
		return refuse("png", "%s", err)
	}
	return e.raster(img, op.Align, "png")
}

// raster prints dots: by ESC GS S m xL xH yL yH n (StarPRNT 2.3.12), in stripes, or in raster mode (Star Line Mode 3.4),
// which knows no alignment.
func (e *encoder) raster(img printer.Bitmap, align, field string) *printer.DocumentError {
	if len(e.out.Data)+len(img.Bits) > maxBytes {
		return refuse(field, "makes the document too large: what is sent as dots, up to here, is over %d MiB", maxBytes>>20)
	}
	breakRealTime(img.Bits)
	switch e.profile.raster {
	case rasterGraphics:
		if img.Stride > maxRow {
			return refuse(field, "is %d dots wide, this printer takes at most %d", img.Width, maxRow*8)
		}
		e.modes(plain(), alignCode(align))
		for y := 0; y < img.Height; y += stripeRows {
			rows := min(stripeRows, img.Height-y)
			e.put(esc, gs, 'S', 1, byte(img.Stride), byte(img.Stride>>8), byte(rows), byte(rows>>8), 0)
			e.put(img.Bits[y*img.Stride : (y+rows)*img.Stride]...)
			e.cut()
		}
	case rasterMode:
		e.modes(plain(), 0)
		left := max(e.dots()/8-img.Stride, 0) * int(alignCode(align)) / 2 // whole bytes
		e.puts("\x1b*rA" + "\x1b*rP0\x00" + "\x1b*rE1\x00")               // endless page, no cut at its end
		for y := range img.Height {
			n := left + img.Stride
			e.put('b', byte(n), byte(n>>8))
			e.put(make([]byte, left)...)
			e.put(img.Bits[y*img.Stride : (y+1)*img.Stride]...)
		}
		e.puts("\x1b*rB")
	default:
		return refuse("op", "this printer prints no pictures")
	}
	return nil
}

// breakRealTime blackens a dot wherever a picture holds the beginning of a real-time command (ESC ACK).
func breakRealTime(bits []byte) {
	for i := 1; i < len(bits); i++ {
		if bits[i-1] == esc && bits[i] == 0x06 {
			bits[i] |= 0x01
		}
	}
}
