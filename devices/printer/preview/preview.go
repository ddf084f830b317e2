// Package preview draws what the paper will show of a document, as PNG and as SVG, without a printer.
//
// It is called by register for POST /v1/receipts/preview, and imports no driver: the picture follows the document, its
// layout in package printer, and the cells, dots and feeds that ESC/POS printers have in common (Epson's command
// reference: font A 12x24, font B 9x17 dots, 30 dots from line to line). A printer's own letters look different, and
// barcode symbols may choose other code sets; size, place and content are the same.
package preview

import (
	"fmt"

	"storeagent/devices/printer"
)

// MaxDots is the longest paper that is drawn: two metres at 203 dots an inch.
const MaxDots = 16000

// TooLongError refuses a document whose picture would be longer than MaxDots.
type TooLongError struct {
	Dots int // length of the paper up to the operation that went too far
}

func (e *TooLongError) Error() string {
	return fmt.Sprintf("the paper would be at least %d dots long, at most %d are drawn", e.Dots, MaxDots)
}

// Picture is a drawn document.
type Picture struct {
	Data []byte
	// Missing are the characters that no font here has, sorted; each is drawn as an empty box. A printer may have them.
	Missing []rune
}

// PNG draws the paper in the printer's dots, black and white: 576 wide at 48 columns, 512 at 42, 384 at 32. The
// document must have passed printer.Check. The error is a *TooLongError.
func (r *Renderer) PNG(doc printer.Document, columns int) (Picture, error) {
	s, err := r.layOut(doc, columns)
	if err != nil {
		return Picture{}, err
	}
	data, err := s.png(r)
	return Picture{data, s.missing}, err
}

// SVG draws the same layout as vectors: text as text in a monospaced font of the viewer, codes as paths, images as
// embedded PNG. It holds no script and no reference to anything outside. The document must have passed printer.Check.
// The error is a *TooLongError.
func (r *Renderer) SVG(doc printer.Document, columns int) (Picture, error) {
	s, err := r.layOut(doc, columns)
	if err != nil {
		return Picture{}, err
	}
	data, err := s.svg()
	return Picture{data, s.missing}, err
}
