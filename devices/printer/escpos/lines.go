package escpos

import (
	"errors"
	"fmt"

	"storeagent/devices/printer"
	"storeagent/devices/printer/codepage"
)

// rows prints a text, columns or rule operation: lines that the code pages carry as text, the others as dots.
func (e *encoder) rows(op printer.Op) *printer.DocumentError {
	op = op.WithTexts(codepage.Clean)
	for row, err := range e.setter.Rows(op, e.profile.columns, e.profile.carries) {
		if err != nil {
			return asDocumentError(err)
		}
		if row.Image != nil {
			// White to the right is not sent: a line of 80 mm paper takes 2 KB, which is two seconds at 9600 baud.
			e.modes(printer.Op{}, 0)
			if err := e.raster(row.Image.TrimRight(), op.TextField(0)); err != nil {
				return err
			}
			continue
		}
		for _, span := range row.Line {
			style := span.Style()
			style.Font = row.Font
			e.modes(style, alignCode(row.Align))
			if err := e.text(span.Text, op.TextField(span.Cell)); err != nil {
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

// carries reports whether the code pages have all of a text.
func (p profile) carries(text string) bool {
	_, missing := codepage.Missing(p.pages, text)
	return !missing
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
			if b, ok := e.profile.pages[e.page].Encode(r); ok {
				e.put(b)
				continue
			}
		}
		best := codepage.Best(e.profile.pages, text[i:])
		if best < 0 {
			message := fmt.Sprintf("this printer has no character %q (U+%04X); leave it out, or set code pages that have it", r, r)
			if e.profile.pictures {
				message += ", or let such lines be drawn (raster)"
			}
			return &printer.DocumentError{Field: field, Message: message}
		}
		e.page = best
		e.put(esc, 't', e.profile.pages[best].Number)
		b, _ := e.profile.pages[best].Encode(r)
		e.put(b)
	}
	return nil
}
