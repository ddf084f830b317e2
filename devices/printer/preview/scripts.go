package preview

import (
	"image"
	"iter"
	"slices"
	"strings"
	"unicode"

	"storeagent/devices/printer"
	"storeagent/devices/printer/typeset"
)

// Typesetter draws lines in scripts that need more than a cell a character, as the drivers have them drawn;
// *typeset.Typesetter is one.
type Typesetter interface {
	Rows(op printer.Op, columns int, carries func(text string) bool) iter.Seq2[typeset.Row, error]
	Line(text string, s typeset.Style, dots int) (printer.Bitmap, error)
}

// rows puts the lines of a text, columns or rule operation on the paper: in cells where Go Mono has all characters of a
// line, else as the typesetter draws them. Characters that no font has become boxes, and are noted.
func (l *layout) rows(op printer.Op) {
	setter := l.r.setter
	if setter == nil {
		op, setter = l.boxed(op), (*typeset.Typesetter)(nil)
	}
	items, height := len(l.items), l.height
	for !l.tryRows(setter, op) {
		l.items, l.height = l.items[:items], height
		op = l.boxed(op)
	}
}

// tryRows reports whether fonts had all characters.
func (l *layout) tryRows(setter Typesetter, op printer.Op) bool {
	carries := func(text string) bool { return len(l.r.foreign(text)) == 0 }
	for row, err := range setter.Rows(op, l.columns, carries) {
		switch {
		case err != nil:
			return false
		case row.Image != nil:
			l.add(item{at: image.Pt(0, l.height), bitmap: row.Image, label: strings.TrimSpace(row.Line.String())}, row.Image.Height)
		default:
			l.line(row)
		}
		if l.height > MaxDots {
			break // too long already; the rest of it is not drawn
		}
	}
	return true
}

// boxed is the operation with boxes in the place of characters that no font has, or of all that Go Mono has not where
// fonts have each, but not their combination.
func (l *layout) boxed(op printer.Op) printer.Op {
	foreign := l.r.foreign(op.Text + op.Char)
	for _, c := range op.Cells {
		foreign = append(foreign, l.r.foreign(c.Text)...)
	}
	slices.Sort(foreign)
	foreign = slices.Compact(foreign)
	lacking := slices.DeleteFunc(slices.Clone(foreign), func(c rune) bool {
		if l.r.setter == nil {
			return false
		}
		_, err := l.r.setter.Line(string(c), typeset.Style{}, printer.Dots(l.columns))
		return err == nil
	})
	if len(lacking) == 0 {
		lacking = foreign
	}
	op.Text, op.Char, op.Cells = l.replace(op.Text, lacking), l.replace(op.Char, lacking), slices.Clone(op.Cells)
	for i := range op.Cells {
		op.Cells[i].Text = l.replace(op.Cells[i].Text, lacking)
	}
	return op
}

// replace puts boxes in the place of characters, given in order, and notes them. What has no width vanishes.
func (l *layout) replace(text string, lacking []rune) string {
	var b strings.Builder
	for _, c := range plain(text) {
		if _, is := slices.BinarySearch(lacking, c); !is {
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
