package preview

import (
	"image"

	"storeagent/devices/printer"
	"storeagent/devices/printer/typeset"
)

// Measures of ESC/POS printers, in dots.
const (
	cellA, heightA = 12, 24 // a character of font A
	cellB, heightB = 9, 17  // and of font B
	lineFeed       = 30     // from line to line; a taller line takes its own height
	barcodeHeight  = 64     // of bars, where the document does not say
	dash, gap      = 8, 8   // of the mark of a cut
)

// sheet is a document laid out in dots.
type sheet struct {
	width, height int
	items         []item
	missing       []rune
}

// item is one thing on the paper; exactly one of text, bitmap and rects is set.
type item struct {
	at     image.Point // top left
	text   *text
	bitmap *printer.Bitmap
	rects  []image.Rectangle // black, relative to at
	label  string            // what it is, for those who cannot see it
}

// text is a stretch of characters in one style, each in its cells.
type text struct {
	glyphs    []glyph
	cell      image.Point // a cell in dots, before scaling
	w, h      int         // scale
	bold      bool
	underline bool
	invert    bool
}

type glyph struct {
	r     rune
	cells int
}

// box is the text's cells in dots.
func (t *text) box() image.Rectangle {
	n := 0
	for _, g := range t.glyphs {
		n += g.cells
	}
	return image.Rect(0, 0, n*t.cell.X*t.w, t.cell.Y*t.h)
}

// underlining is the dots of the underline, which takes the lowest row of the cells whatever their size. Inverted text
// has none.
func (t *text) underlining() image.Rectangle {
	b := t.box()
	if !t.underline || t.invert {
		return image.Rectangle{}
	}
	return image.Rect(0, b.Max.Y-1, b.Max.X, b.Max.Y)
}

// paperDots is the width of the print head. Heads with lines of 42 characters have 512 dots, the last 8 of which no
// character reaches; others are as wide as their line.
func paperDots(columns int) int {
	if columns == 42 {
		return 512
	}
	return printer.Dots(columns)
}

// layout places a document on the paper, one operation below the other.
type layout struct {
	sheet
	r       *Renderer
	columns int
}

func (r *Renderer) layOut(doc printer.Document, columns int) (*sheet, error) {
	l := &layout{r: r, columns: columns, sheet: sheet{width: paperDots(columns)}}
	for _, op := range doc {
		l.op(op)
		if l.height > MaxDots {
			return nil, &TooLongError{l.height}
		}
	}
	if l.height == 0 { // a document that only opens a drawer
		l.height = lineFeed
	}
	return &l.sheet, nil
}

func (l *layout) op(op printer.Op) {
	switch op.Op {
	case "text", "columns", "rule":
		l.rows(op)
	case "barcode":
		l.barcode(op)
	case "qrcode":
		l.qrcode(op)
	case "image":
		if op.Stored != "" {
			l.stored(op)
			return
		}
		// The printer is sent whole bytes, and aligns those.
		if img, err := printer.Raster(op, printer.Dots(l.columns)); err == nil {
			l.add(item{at: image.Pt(l.before(img.Stride*8, op.Align), l.height), bitmap: &img, label: "image"}, img.Height)
		}
	case "feed":
		l.height += op.Lines * lineFeed
	case "cut":
		l.cut()
	}
}

// add puts an item on the paper and moves on by that many dots.
func (l *layout) add(it item, feed int) {
	l.items = append(l.items, it)
	l.height += feed
}

// before is the space before something that wide.
func (l *layout) before(dots int, align string) int {
	free := max(l.width-dots, 0)
	switch align {
	case "center":
		return free / 2
	case "right":
		return free
	}
	return 0
}

// line puts one line of text on the paper: spans side by side, each in its style, standing on one row.
func (l *layout) line(r typeset.Row) {
	cell := image.Pt(cellA, heightA)
	if r.Font == "b" {
		cell = image.Pt(cellB, heightB)
	}
	wide, tallest := 0, 1
	for _, span := range r.Line {
		wide += span.Columns() * cell.X
		tallest = max(tallest, span.Height)
	}
	x := l.before(wide, r.Align)
	for _, span := range r.Line {
		t := text{
			glyphs: glyphs(span.Text), cell: cell, w: max(span.Width, 1), h: max(span.Height, 1),
			bold: span.Bold, underline: span.Underline, invert: span.Invert,
		}
		l.add(item{at: image.Pt(x, l.height+(tallest-t.h)*cell.Y), text: &t}, 0)
		x += t.box().Dx()
	}
	l.height += max(cell.Y*tallest, lineFeed)
}

func (l *layout) cut() {
	var rects []image.Rectangle
	for x := 0; x < l.width; x += dash + gap {
		rects = append(rects, image.Rect(x, lineFeed/2-1, min(x+dash, l.width), lineFeed/2+1))
	}
	l.add(item{at: image.Pt(0, l.height), rects: rects, label: "cut"}, lineFeed)
}
