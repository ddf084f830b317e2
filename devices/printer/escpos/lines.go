package escpos

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/unicode/norm"

	"storeagent/devices/printer"
)

// rows prints a text, columns or rule operation: lines that the code pages carry as text, the others as dots.
func (e *encoder) rows(op printer.Op) *printer.DocumentError {
	op = cleaned(op)
	for row, err := range e.setter.Rows(op, e.profile.columns, e.profile.carries) {
		if err != nil {
			return asDocumentError(err)
		}
		if row.Image != nil {
			if err := e.drawn(*row.Image, op.Op); err != nil {
				return err
			}
			continue
		}
		for _, span := range row.Line {
			style := span.Style()
			style.Font = row.Font
			e.modes(style, alignCode(row.Align))
			if err := e.text(span.Text, fieldOf(op.Op, span.Cell)); err != nil {
				return err
			}
		}
		e.put('\n')
		e.cut()
	}
	return nil
}

func asDocumentError(err error) *printer.DocumentError {
	var de *printer.DocumentError
	if errors.As(err, &de) {
		return de
	}
	return &printer.DocumentError{Field: "op", Message: err.Error()}
}

func fieldOf(op string, cell int) string {
	switch op {
	case "columns":
		return fmt.Sprintf("cells[%d].text", cell)
	case "rule":
		return "char"
	}
	return "text"
}

// drawn prints a line as dots. White to its right is not sent: a line of 80 mm paper takes 2 KB, which is two seconds
// at 9600 baud.
func (e *encoder) drawn(img printer.Bitmap, op string) *printer.DocumentError {
	e.modes(printer.Op{}, 0)
	used := 0
	for y := range img.Height {
		row := img.Bits[y*img.Stride : (y+1)*img.Stride]
		for len(row) > used && row[len(row)-1] == 0 {
			row = row[:len(row)-1]
		}
		used = max(used, len(row))
	}
	if used == 0 {
		e.put(esc, 'J', byte(min(img.Height, 255)))
		e.cut()
		return nil
	}
	narrow := printer.Bitmap{Width: used * 8, Height: img.Height, Stride: used}
	for y := range img.Height {
		narrow.Bits = append(narrow.Bits, img.Bits[y*img.Stride:y*img.Stride+used]...)
	}
	return e.raster(narrow, fieldOf(op, 0))
}

// carries reports whether the code pages have all of a text.
func (p profile) carries(text string) bool {
	for i, r := range text {
		if r >= 0x20 && r < 0x7F {
			continue
		}
		if best, _ := p.best(text[i : i+len(string(r))]); best < 0 {
			return false
		}
	}
	return true
}

// best is the page that gets furthest in text, the first of the profile among equals; -1 where none has its first
// character.
func (p profile) best(text string) (index, reach int) {
	index = -1
	for n, pg := range p.pages {
		if got := covered(pg, text); got > reach {
			index, reach = n, got
		}
	}
	return index, reach
}

// text sends one stretch of text, changing code pages on the way: it stays on a page while that has the character,
// else takes the page that gets furthest.
func (e *encoder) text(text, field string) *printer.DocumentError {
	for i, r := range text {
		if r >= 0x20 && r < 0x7F {
			e.put(byte(r)) // the same on every page
			continue
		}
		if e.page >= 0 {
			if b, ok := e.profile.pages[e.page].encode(r); ok {
				e.put(b)
				continue
			}
		}
		best, _ := e.profile.best(text[i:])
		if best < 0 {
			return &printer.DocumentError{Field: field, Message: fmt.Sprintf("this printer has no character %q (U+%04X); leave it out, set code pages that have it, or let such lines be drawn (raster)", r, r)}
		}
		e.page = best
		e.put(esc, 't', e.profile.pages[best].number)
		b, _ := e.profile.pages[best].encode(r)
		e.put(b)
	}
	return nil
}

// covered counts the bytes at the start of text that a page can encode.
func covered(p page, text string) int {
	for i, r := range text {
		if _, ok := p.encode(r); !ok {
			return i
		}
	}
	return len(text)
}

// cleaned is the operation with clean texts.
func cleaned(op printer.Op) printer.Op {
	op.Text, op.Char = clean(op.Text), clean(op.Char)
	cells := make([]printer.Cell, len(op.Cells))
	for i, c := range op.Cells {
		c.Text = clean(c.Text)
		cells[i] = c
	}
	op.Cells = cells
	return op
}

// clean puts text into the form that code pages know: composed characters, and the everyday one for spaces and
// hyphens that only differ in where a line may break. Number formatting of browsers is full of those.
func clean(text string) string {
	return strings.NewReplacer(
		"\u202F", " ", "\u2007", " ", "\u2009", " ", "\u00A0", " ",
		"\u2010", "-", "\u2011", "-", "\u2212", "-",
		"\u0218", "\u015E", "\u0219", "\u015F", "\u021A", "\u0162", "\u021B", "\u0163", // Romanian: no page has the comma, all have the cedilla
		"\u00AD", "", "\u200B", "", "\u2060", "", "\uFEFF", "",
	).Replace(norm.NFC.String(text))
}
