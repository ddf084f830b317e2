package preview

import (
	"image"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/code128"
	"github.com/boombuler/barcode/code39"
	"github.com/boombuler/barcode/ean"
	"github.com/boombuler/barcode/qr"
	"github.com/boombuler/barcode/twooffive"

	"storeagent/devices/printer"
)

// barcode draws bars of the module that the printer is told, and the data below them.
func (l *layout) barcode(op printer.Op) {
	code, refused := printer.ParseBarcode(op.Symbology, op.Data)
	if refused != nil {
		return // Check did not let it through
	}
	name := code.Symbology + " " + code.Data
	bars, modules := bars(code)
	module := printer.BarcodeModule(op, printer.Dots(l.columns))
	for module > 1 && modules*module > l.width { // code sets chosen here may take a symbol more than the printer's
		module--
	}
	if len(bars) == 0 || module == 0 {
		l.rows(printer.Op{Op: "text", Text: "[" + name + "]", Align: op.Align})
		return
	}
	height := op.Height
	if height == 0 {
		height = barcodeHeight
	}
	for i := range bars {
		bars[i] = image.Rect(bars[i].Min.X*module, 0, bars[i].Max.X*module, height)
	}
	x := l.before(modules*module, op.Align)
	l.add(item{at: image.Pt(x, l.height), rects: bars, label: name}, height)
	if op.ShowText != nil && !*op.ShowText {
		return
	}
	below := text{cell: image.Pt(cellA, heightA), w: 1, h: 1, glyphs: glyphs(code.Data)}
	wide := below.box().Dx()
	x = max(min(x+(modules*module-wide)/2, l.width-wide), 0)
	l.add(item{at: image.Pt(x, l.height), text: &below}, lineFeed)
}

// bars are the bars of a symbol, in modules, and how many modules it is wide; none where the library cannot draw it
// (CODE128 over 80 characters).
func bars(code printer.Barcode) (bars []image.Rectangle, modules int) {
	var symbol barcode.Barcode
	var err error
	switch code.Symbology {
	case "upca": // is an EAN-13 that begins with 0
		symbol, err = ean.Encode("0" + code.Data)
	case "ean13", "ean8":
		symbol, err = ean.Encode(code.Data)
	case "code39":
		symbol, err = code39.Encode(code.Data, false, false)
	case "itf":
		symbol, err = twooffive.Encode(code.Data, true)
	default:
		symbol, err = code128.Encode(code.Data)
	}
	if err != nil {
		return nil, 0
	}
	for x, end := 0, symbol.Bounds().Dx(); x < end; {
		from, black := x, isBlack(symbol, x, 0)
		for x < end && isBlack(symbol, x, 0) == black {
			x++
		}
		wide := x - from
		if code.Symbology == "code39" && wide == 2 { // printers draw the wide ones three times the narrow ones
			wide = 3
		}
		if black {
			bars = append(bars, image.Rect(modules, 0, modules+wide, 1))
		}
		modules += wide
	}
	return bars, modules
}

// qrcode draws a symbol with modules of the size that the printer is told.
func (l *layout) qrcode(op printer.Op) {
	level := map[string]qr.ErrorCorrectionLevel{"": qr.M, "L": qr.L, "M": qr.M, "Q": qr.Q, "H": qr.H}[op.Level]
	symbol, err := qr.Encode(op.Data, level, qr.Auto)
	module := printer.QRModule(op, printer.Dots(l.columns))
	if err != nil || module == 0 {
		return // Check did not let it through
	}
	size := symbol.Bounds().Dx()
	var rects []image.Rectangle
	for y := range size {
		for x := 0; x < size; x++ {
			from := x
			for x < size && isBlack(symbol, x, y) {
				x++
			}
			if x > from {
				rects = append(rects, image.Rect(from*module, y*module, x*module, (y+1)*module))
			}
		}
	}
	l.add(item{at: image.Pt(l.before(size*module, op.Align), l.height), rects: rects, label: "QR " + op.Data}, size*module)
}

func isBlack(symbol image.Image, x, y int) bool {
	r, _, _, _ := symbol.At(x, y).RGBA()
	return r < 0x8000
}

// stored draws a box with the name of an image that only the printer has, since its size is not known here.
func (l *layout) stored(op printer.Op) {
	const border, padding = 2, 12
	name := "stored image " + op.Stored
	t := text{cell: image.Pt(cellA, heightA), w: 1, h: 1, glyphs: glyphs(name)}
	inner := t.box().Max
	box := image.Rect(0, 0, inner.X+2*padding, inner.Y+2*padding)
	x := l.before(box.Dx(), op.Align)
	l.add(item{at: image.Pt(x, l.height), rects: []image.Rectangle{
		image.Rect(0, 0, box.Max.X, border), image.Rect(0, box.Max.Y-border, box.Max.X, box.Max.Y),
		image.Rect(0, 0, border, box.Max.Y), image.Rect(box.Max.X-border, 0, box.Max.X, box.Max.Y),
	}, label: name}, 0)
	l.add(item{at: image.Pt(x+padding, l.height+padding), text: &t}, box.Dy())
}
