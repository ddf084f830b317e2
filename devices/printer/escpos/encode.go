package escpos

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

	stripeRows = 128 // rows of one raster command; small buffers stall on more

	maxBytes = 4 << 20 // of a document; seven metres of 80 mm paper, all of it dots

	cutFeed = 0 // GS V 65/66: feed to the cutter, and no further

	pulseOn, pulseOff = 0x32, 0xFA // drawer: 100 ms on, 500 ms off, in units of 2 ms
)

// encoder turns a document into the bytes of one job. It starts from ESC @, so it knows the printer's modes.
type encoder struct {
	profile profile
	setter  *typeset.Typesetter // nil draws nothing
	limit   int                 // bytes of out
	out     []byte
	cuts    []int // lengths of out at which no command is under way

	page      int // index of the selected code page; -1 before the first
	align     byte
	size      byte
	font      byte
	bold      bool
	underline bool
	invert    bool
}

// encode gives a document that passed printer.Check, without start, proof and end of a job, in at most limit bytes.
// The error is a *printer.DocumentError that names the character that no code page and no font has.
func encode(doc printer.Document, p profile, setter *typeset.Typesetter, limit int) (driver.Encoded, error) {
	e := &encoder{profile: p, setter: setter, limit: limit, page: -1}
	for i, op := range doc {
		if err := e.op(op); err != nil {
			err.Field = fmt.Sprintf("document[%d].%s", i, err.Field)
			return driver.Encoded{}, err
		}
		e.cut()
	}
	e.modes(printer.Op{}, 0)
	e.cut()
	return driver.Encoded{Data: e.out, Cuts: e.cuts}, nil
}

// selectPrinter is ESC = 1: what follows is for the printer and not for a display behind it, which text for the display that was
// cut off may have left selected (Epson, ESC/POS command reference, "Select peripheral device").
const selectPrinter = "\x1b=\x01"

// initialize is how every document starts: known modes, whatever the job before left behind.
func initialize(p profile) []byte {
	out := append([]byte(selectPrinter), esc, '@')
	if p.kanji {
		out = append(out, 0x1C, '.')
	}
	return out
}

func (e *encoder) put(b ...byte) { e.out = append(e.out, b...) }
func (e *encoder) cut()          { e.cuts = append(e.cuts, len(e.out)) }

func (e *encoder) op(op printer.Op) *printer.DocumentError {
	switch op.Op {
	case "text", "columns", "rule":
		return e.rows(op)
	case "barcode":
		return e.barcode(op)
	case "qrcode":
		e.qrcode(op)
	case "image":
		return e.image(op)
	case "feed":
		e.put(esc, 'd', byte(op.Lines))
	case "cut":
		mode := byte('B') // partial
		if op.Mode == "full" {
			mode = 'A'
		}
		e.put(gs, 'V', mode, cutFeed)
	case "drawer":
		e.put(pulseCommand(max(op.Pin, 2))...)
	}
	return nil
}

// modes sends what differs from the modes the printer is in. Alignment only counts at the start of a line.
func (e *encoder) modes(op printer.Op, align byte) {
	if e.align != align {
		e.put(esc, 'a', align)
		e.align = align
	}
	font := byte(0)
	if op.Font == "b" {
		font = 1
	}
	if e.font != font {
		e.put(esc, 'M', font)
		e.font = font
	}
	if size := byte(max(op.Width, 1)-1)<<4 | byte(max(op.Height, 1)-1); e.size != size {
		e.put(gs, '!', size)
		e.size = size
	}
	if e.bold != op.Bold {
		e.put(esc, 'E', flag(op.Bold))
		e.bold = op.Bold
	}
	if e.underline != op.Underline {
		e.put(esc, '-', flag(op.Underline))
		e.underline = op.Underline
	}
	if e.invert != op.Invert {
		e.put(gs, 'B', flag(op.Invert))
		e.invert = op.Invert
	}
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
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

// barcode uses function B of GS k, which gives the length first.
func (e *encoder) barcode(op printer.Op) *printer.DocumentError {
	code, err := printer.ParseBarcode(op.Symbology, op.Data)
	if err != nil {
		return err
	}
	e.modes(printer.Op{}, alignCode(op.Align))
	height := op.Height
	if height == 0 {
		height = 64
	}
	below := byte(2)
	if op.ShowText != nil && !*op.ShowText {
		below = 0
	}
	dots := printer.Dots(e.profile.columns)
	data, module := []byte(code.Data), printer.BarcodeModule(op, dots)
	if code.Symbology == "code128" {
		data, module = code128(code, module, dots)
	}
	e.put(gs, 'h', byte(height), gs, 'w', byte(module), gs, 'H', below, gs, 'f', 0)
	if module == 0 || len(data) > 255 {
		return &printer.DocumentError{Field: "data", Message: "is too long for a barcode"}
	}
	kind := map[string]byte{"upca": 'A', "ean13": 'C', "ean8": 'D', "code39": 'E', "itf": 'F', "code128": 'I'}[code.Symbology]
	e.put(gs, 'k', kind, byte(len(data)))
	e.put(data...)
	return nil
}

// code128 writes the code set before each run; a brace in set B is doubled, digits of set C go as a byte a pair. Where
// such bytes could be taken for a real-time command all goes in set B, which is wider.
func code128(code printer.Barcode, module, dots int) ([]byte, int) {
	var out []byte
	for _, run := range code.Runs {
		out = append(out, '{', run.Set)
		if run.Set == 'B' {
			out = append(out, strings.ReplaceAll(run.Text, "{", "{{")...)
			continue
		}
		for i := 0; i+1 < len(run.Text); i += 2 {
			out = append(out, (run.Text[i]-'0')*10+run.Text[i+1]-'0')
		}
	}
	if !holdsRealTime(out) {
		return out, module
	}
	for modules := (len(code.Data)+2)*11 + 13; module*modules > dots; {
		if module--; module < 2 {
			return nil, 0
		}
	}
	return append([]byte("{B"), strings.ReplaceAll(code.Data, "{", "{{")...), module
}

// qrcode stores and prints a model 2 symbol: GS ( k, functions 165, 167, 169, 180, 181.
func (e *encoder) qrcode(op printer.Op) {
	e.modes(printer.Op{}, alignCode(op.Align))
	level := byte('0' + strings.Index("LMQH", op.Level))
	if op.Level == "" {
		level = '1' // M
	}
	e.put(gs, '(', 'k', 4, 0, '1', 'A', '2', 0)
	e.put(gs, '(', 'k', 3, 0, '1', 'C', byte(printer.QRModule(op, printer.Dots(e.profile.columns))))
	e.put(gs, '(', 'k', 3, 0, '1', 'E', level)
	n := len(op.Data) + 3
	e.put(gs, '(', 'k', byte(n), byte(n>>8), '1', 'P', '0')
	e.put([]byte(op.Data)...)
	e.put(gs, '(', 'k', 3, 0, '1', 'Q', '0')
}

// image sends GS v 0 rasters, in stripes.
func (e *encoder) image(op printer.Op) *printer.DocumentError {
	if !e.profile.pictures && op.Stored == "" {
		return &printer.DocumentError{Field: "op", Message: "this model prints no pictures; leave it out"}
	}
	if op.Stored != "" {
		return e.storedImage(op)
	}
	img, err := printer.Raster(op, printer.Dots(e.profile.columns))
	if err != nil {
		return &printer.DocumentError{Field: "png", Message: err.Error()}
	}
	e.modes(printer.Op{}, alignCode(op.Align))
	return e.raster(img, "png")
}

// raster sends dots in stripes of GS v 0, without bytes that could be taken for a real-time command.
func (e *encoder) raster(img printer.Bitmap, field string) *printer.DocumentError {
	if len(e.out)+len(img.Bits) > e.limit {
		return &printer.DocumentError{Field: field, Message: fmt.Sprintf("makes the document too large: what is sent as dots, up to here, is over %d MiB", e.limit>>20)}
	}
	breakRealTime(img.Bits)
	for y := 0; y < img.Height; y += stripeRows {
		rows := min(stripeRows, img.Height-y)
		e.put(gs, 'v', '0', 0, byte(img.Stride), byte(img.Stride>>8), byte(rows), byte(rows>>8))
		e.put(img.Bits[y*img.Stride : (y+rows)*img.Stride]...)
		e.cut()
	}
	return nil
}

// isRealTime reports whether some models take a pair of bytes for the start of a real-time command (DLE EOT, DLE ENQ,
// DLE DC4) even among data.
func isRealTime(a, b byte) bool { return a == 0x10 && (b == 0x04 || b == 0x05 || b == 0x14) }

func holdsRealTime(data []byte) bool {
	for i := 1; i < len(data); i++ {
		if isRealTime(data[i-1], data[i]) {
			return true
		}
	}
	return false
}

// breakRealTime blackens one dot in each such pair of an image.
func breakRealTime(bits []byte) {
	for i := 1; i < len(bits); i++ {
		if isRealTime(bits[i-1], bits[i]) {
			bits[i-1] |= 0x01
		}
	}
}
