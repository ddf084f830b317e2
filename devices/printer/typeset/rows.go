package typeset

import (
	"errors"
	"fmt"
	"iter"
	"strings"

	"storeagent/devices/printer"
)

// Row is one line of a text, columns or rule operation as it goes to a printer: in the printer's own characters or,
// where Image is set, as dots as wide as the paper.
type Row struct {
	Line  printer.Line
	Font  string // of the operation
	Align string // of the operation
	Image *printer.Bitmap
}

// Rows gives the lines of a text, columns or rule operation that passed printer.Check, for a printer with lines of that
// many characters of font A. A line with anything that the printer does not carry is drawn, as is the whole of a
// paragraph from the right of which a part is drawn; a nil Typesetter draws nothing. The error, a
// *printer.DocumentError without the path of the operation, ends the rows.
func (t *Typesetter) Rows(op printer.Op, columns int, carries func(text string) bool) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		switch op.Op {
		case "text":
			for para := range strings.SplitSeq(op.Text, "\n") {
				if !t.paragraph(op, para, columns, carries, yield) {
					return
				}
			}
		case "columns":
			t.columns(op.Cells, columns, carries, yield)
		case "rule":
			text := printer.RuleText(op, columns)
			row := Row{Line: printer.Line{{Text: text}}}
			if t == nil || carries(text) {
				yield(row, nil)
				return
			}
			yield(t.drawn(row, []Span{{Text: text}}, columns, func(rune) string { return "char" }))
		}
	}
}

// paragraph yields the lines of one paragraph of a text operation, and reports whether more is wanted.
func (t *Typesetter) paragraph(op printer.Op, para string, columns int, carries func(string) bool, yield func(Row, error) bool) bool {
	lines := printer.Wrap(para, max(printer.TextColumns(op, columns), 1))
	style := Style{Width: op.Width, Height: op.Height, Bold: op.Bold, Underline: op.Underline, Invert: op.Invert,
		Align: op.Align, Direction: DirectionOf(para)}
	if op.Font == "b" {
		style.CellWidth, style.CellHeight = 9, 17
	}
	all := style.Direction == RightToLeft && !carries(para)
	for _, line := range lines {
		row := Row{Font: op.Font, Align: op.Align, Line: printer.Line{{Text: line, Bold: op.Bold, Underline: op.Underline,
			Invert: op.Invert, Width: op.Width, Height: op.Height}}}
		var err error
		if t != nil && (all || !carries(line)) {
			row, err = t.drawn(row, []Span{{Text: line, Style: style}}, columns, func(rune) string { return "text" })
		}
		if !yield(row, err) || err != nil {
			return false
		}
	}
	return true
}

// columns yields the lines of a columns operation.
func (t *Typesetter) columns(cells []printer.Cell, columns int, carries func(string) bool, yield func(Row, error) bool) {
	lines := printer.ColumnLines(cells, columns)
	var spans [][]Span // laid out only where a line is drawn
	for i, line := range lines {
		row := Row{Line: line}
		var err error
		if t != nil && !carries(line.String()) {
			if spans == nil {
				spans = ColumnSpans(cells, columns)
			}
			row, err = t.drawn(row, spans[i], columns, func(r rune) string {
				for n, c := range cells {
					if strings.ContainsRune(c.Text, r) {
						return fmt.Sprintf("cells[%d].text", n)
					}
				}
				return "cells"
			})
		}
		if !yield(row, err) || err != nil {
			return
		}
	}
}

// drawn is the row with its spans as an image; field names the field that a character is in.
func (t *Typesetter) drawn(row Row, spans []Span, columns int, field func(rune) string) (Row, error) {
	img, err := t.Spans(spans, printer.Dots(columns))
	var none *NoFontError
	switch {
	case errors.As(err, &none):
		return Row{}, &printer.DocumentError{Field: field(none.Runes[0]), Message: none.Error()}
	case err != nil:
		return Row{}, &printer.DocumentError{Field: field(0), Message: err.Error()}
	}
	row.Image = &img
	return row, nil
}
