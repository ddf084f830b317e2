package preview

import (
	"errors"
	"image"
	"slices"
	"strings"
	"unicode"

	"storeagent/devices/printer"
	"storeagent/devices/printer/typeset"
)

// row is a line of text in two forms: cells as printers fill them, and spans for the typesetter, which takes it where
// Go Mono has not all its characters.
type row struct {
	cell  image.Point // of font A or B
	align string
	cells printer.Line
	spans []typeset.Span
}

// textRows are the lines of a text operation.
func textRows(op printer.Op, columns, dots int) []row {
	cell := image.Pt(cellA, heightA)
	if op.Font == "b" {
		cell = image.Pt(cellB, heightB)
	}
	var rows []row
	for para := range strings.SplitSeq(op.Text, "\n") {
		style := typeset.Style{CellWidth: cell.X, CellHeight: cell.Y, Width: op.Width, Height: op.Height, Bold: op.Bold,
			Underline: op.Underline, Invert: op.Invert, Align: op.Align, Direction: typeset.DirectionOf(para)}
		for _, line := range printer.Wrap(para, max(printer.TextColumns(op, columns), 1)) {
			rows = append(rows, row{
				cell: cell, align: op.Align,
				cells: printer.Line{{Text: line, Bold: op.Bold, Underline: op.Underline, Invert: op.Invert, Width: op.Width, Height: op.Height}},
				spans: []typeset.Span{{Text: line, Dots: dots, Style: style}},
			})
		}
	}
	return rows
}

// columnRows are the lines of a columns operation.
func columnRows(cells []printer.Cell, columns int) []row {
	spans := typeset.ColumnSpans(cells, columns)
	var rows []row
	for i, line := range printer.ColumnLines(cells, columns) {
		rows = append(rows, row{cell: image.Pt(cellA, heightA), cells: line, spans: spans[i]})
	}
	return rows
}

// row puts a line of text on the paper. Characters that no font has become boxes, and are noted.
func (l *layout) row(r row) {
	for {
		var foreign []rune
		for _, s := range r.cells {
			foreign = append(foreign, l.r.foreign(s.Text)...)
		}
		if len(foreign) == 0 {
			l.line(r)
			return
		}
		drawn, err := l.typeset(r.spans)
		if err == nil {
			l.add(item{at: image.Pt(0, l.height), bitmap: &drawn, label: strings.TrimSpace(r.cells.String())}, drawn.Height)
			return
		}
		lacking := foreign
		var none *typeset.NoFontError
		if errors.As(err, &none) {
			lacking = slices.DeleteFunc(slices.Clone(foreign), func(c rune) bool { return !slices.Contains(none.Runes, c) })
			if len(lacking) == 0 { // it lacks what Go Mono has
				lacking = foreign
			}
		}
		for i := range r.cells {
			r.cells[i].Text = l.replace(r.cells[i].Text, lacking)
		}
		for i := range r.spans {
			r.spans[i].Text = l.replace(r.spans[i].Text, lacking)
		}
	}
}

var errNoTypesetter = errors.New("no typesetter")

func (l *layout) typeset(spans []typeset.Span) (printer.Bitmap, error) {
	if l.r.setter == nil {
		return printer.Bitmap{}, errNoTypesetter
	}
	return l.r.setter.Spans(spans, l.width)
}

// replace puts boxes in the place of characters without a font, and notes them. What has no width vanishes.
func (l *layout) replace(text string, lacking []rune) string {
	var b strings.Builder
	for _, c := range plain(text) {
		if !slices.Contains(lacking, c) {
			b.WriteRune(c)
			continue
		}
		b.WriteString(strings.Repeat(string(noGlyph), printer.Width(string(c))))
		if at, there := slices.BinarySearch(l.missing, c); !there && !unicode.Is(unicode.Cf, c) {
			l.missing = slices.Insert(l.missing, at, c)
		}
	}
	return b.String()
}
