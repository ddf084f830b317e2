package printer

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"
)

// dotsPerColumn is the width of a font A character on receipt printers: 42 columns on 504 (of 512) dots, 48 on 576,
// 32 on 384.
const dotsPerColumn = 12

// Dots is the printable width, in dots, of a paper with lines of that many font A characters.
func Dots(columns int) int { return columns * dotsPerColumn }

// FontBColumns is the line width in font B characters (9 dots) where font A (12 dots) has columns.
func FontBColumns(columns int) int { return columns * dotsPerColumn / 9 }

// TextColumns is how many display cells a line of a text operation holds, after its font and its width.
func TextColumns(op Op, columns int) int {
	if op.Font == "b" {
		columns = FontBColumns(columns)
	}
	return columns / max(op.Width, 1)
}

// Width is the number of display cells of s: two for East Asian wide characters (UAX #11), none for combining ones.
func Width(s string) int {
	n := 0
	for _, r := range norm.NFC.String(s) {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	if unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf) || unicode.IsControl(r) {
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// Wrap breaks text into lines of at most columns display cells: at line feeds, else between words, else inside a
// word that is longer than a line. A line that fits stays as it is, spaces and all. Columns is at least the width of
// the widest character.
func Wrap(text string, columns int) []string {
	var lines []string
	for para := range strings.SplitSeq(norm.NFC.String(text), "\n") {
		for {
			if Width(para) <= columns {
				lines = append(lines, para)
				break
			}
			head, rest := split(para, columns)
			lines = append(lines, head)
			if rest == "" { // only spaces were left
				break
			}
			para = rest
		}
	}
	return lines
}

// split takes the first line off a paragraph that is wider than columns.
func split(para string, columns int) (head, rest string) {
	cells, cut, space, started := 0, 0, -1, false
	for i, r := range para {
		w := runeWidth(r)
		if cells+w > columns {
			if r == ' ' && started {
				space = i
			}
			break
		}
		if r == ' ' && started {
			space = i
		}
		if r != ' ' {
			started = true
		}
		cells += w
		cut = i + len(string(r))
	}
	if space >= 0 {
		return strings.TrimRight(para[:space], " "), strings.TrimLeft(para[space:], " ")
	}
	if cut == 0 { // one character wider than the line: give it a line of its own rather than loop
		for i := range para {
			if i > 0 {
				return para[:i], para[i:]
			}
		}
		return para, ""
	}
	return para[:cut], para[cut:]
}

// Span is a piece of a line in one style.
type Span struct {
	Text          string
	Bold          bool
	Underline     bool
	Invert        bool
	Width, Height int // times the normal character; 0 is 1
	Cell          int // the cell it belongs to

	lead int // of the blanks that stand for its extra width in String, those before it
}

// Style is how the span is printed, in the fields of a text operation.
func (s Span) Style() Op {
	return Op{Bold: s.Bold, Underline: s.Underline, Invert: s.Invert, Width: s.Width, Height: s.Height}
}

// Columns is how many characters of normal size the span is wide.
func (s Span) Columns() int { return Width(s.Text) * max(s.Width, 1) }

// Line is one line of the paper.
type Line []Span

// String is the line without its styles. What stands beside wider characters keeps its place: blanks stand for their
// extra width.
func (l Line) String() string {
	var b strings.Builder
	for _, s := range l {
		extra := s.Columns() - Width(s.Text)
		b.WriteString(strings.Repeat(" ", s.lead) + s.Text + strings.Repeat(" ", extra-s.lead))
	}
	return b.String()
}

// ColumnLines lays the cells of a columns operation side by side on lines of columns display cells; a text longer
// than its cell goes on in the same cell of the next line. The cells must have passed Check.
func ColumnLines(cells []Cell, columns int) []Line {
	widths, bad := cellWidths(cells, columns)
	if bad >= 0 {
		return nil
	}
	wrapped := make([][]string, len(cells))
	rows := 0
	for i, c := range cells {
		wrapped[i] = Wrap(c.Text, widths[i]/max(c.CharWidth, 1))
		rows = max(rows, len(wrapped[i]))
	}
	lines := make([]Line, rows)
	for row := range lines {
		for i, c := range cells {
			text := ""
			if row < len(wrapped[i]) {
				text = wrapped[i][row]
			}
			lines[row] = append(lines[row], spans(c, i, text, widths[i])...)
		}
		trimEnd(lines[row])
	}
	return lines
}

// CellWidths gives each cell of a columns operation its width in characters of normal size; nil where they do not fit.
func CellWidths(cells []Cell, columns int) []int {
	widths, _ := cellWidths(cells, columns)
	return widths
}

// cellWidths gives each cell its width: its own, or an equal share of what the others leave. bad is the first cell
// that does not fit, or -1.
func cellWidths(cells []Cell, columns int) (widths []int, bad int) {
	left, sharers := columns, 0
	for i, c := range cells {
		left -= c.Width
		if left < 0 {
			return nil, i
		}
		if c.Width == 0 {
			sharers++
		}
	}
	widths = make([]int, len(cells))
	for i, c := range cells {
		widths[i] = c.Width
		if c.Width == 0 {
			widths[i] = (left + sharers - 1) / sharers
			left -= widths[i]
			sharers--
			if widths[i] == 0 {
				return nil, i
			}
		}
	}
	return widths, -1
}

// spans are one line of a cell, padded to its width. What is only bold is one span; the other styles would show on
// the padding.
func spans(c Cell, i int, text string, columns int) []Span {
	s := Span{Text: text, Bold: c.Bold, Underline: c.Underline, Invert: c.Invert, Width: c.CharWidth, Height: c.CharHeight, Cell: i}
	space := max(columns-s.Columns(), 0)
	before := indent(space, c.Align)
	left, right := strings.Repeat(" ", before), strings.Repeat(" ", space-before)
	if !c.Underline && !c.Invert && c.CharWidth <= 1 && c.CharHeight <= 1 {
		s.Text = left + text + right
		return []Span{s}
	}
	s.lead = indent(s.Columns()-Width(text), c.Align)
	var out []Span
	for _, piece := range []Span{{Text: left, Cell: i}, s, {Text: right, Cell: i}} {
		if piece.Text != "" {
			out = append(out, piece)
		}
	}
	return out
}

// indent is how much of the free space goes before an aligned text.
func indent(space int, align string) int {
	switch align {
	case "right":
		return space
	case "center":
		return space / 2
	}
	return 0
}

// trimEnd drops the spaces that end a line; they would only cost time on a slow line.
func trimEnd(l Line) {
	for i := len(l) - 1; i >= 0 && !l[i].Underline && !l[i].Invert; i-- {
		l[i].Text = strings.TrimRight(l[i].Text, " ")
		if l[i].Text != "" {
			return
		}
	}
}

// RuleText is the line that a rule operation prints.
func RuleText(op Op, columns int) string {
	char := op.Char
	if char == "" {
		char = "-"
	}
	return strings.Repeat(char, columns/max(Width(char), 1))
}

// PreviewText is what the paper will show, as lines of text: without bold and sizes, with barcodes, QR codes and
// images as a line that names them, and a cut as a dashed line. The document must have passed Check.
func PreviewText(doc Document, columns int) string {
	var b strings.Builder
	line := func(s string) { b.WriteString(strings.TrimRight(s, " ") + "\n") }
	label := func(s, align string) { line(strings.Repeat(" ", indent(max(columns-Width(s), 0), align)) + s) }
	for _, op := range doc {
		switch op.Op {
		case "text":
			for _, l := range Wrap(op.Text, max(TextColumns(op, columns), 1)) {
				line(strings.Repeat(" ", textIndent(op, l, columns)) + l)
			}
		case "columns":
			for _, l := range ColumnLines(op.Cells, columns) {
				line(l.String())
			}
		case "rule":
			line(RuleText(op, columns))
		case "barcode":
			data := op.Data
			if code, err := ParseBarcode(op.Symbology, op.Data); err == nil {
				data = code.Data
			}
			label("["+strings.ToUpper(op.Symbology)+" "+data+"]", op.Align)
		case "qrcode":
			label("[QR "+op.Data+"]", op.Align)
		case "image":
			if op.Stored != "" {
				label("[STORED IMAGE "+op.Stored+"]", op.Align)
			} else if img, err := Raster(op, Dots(columns)); err == nil {
				label(fmt.Sprintf("[IMAGE %dx%d]", img.Width, img.Height), op.Align)
			}
		case "feed":
			b.WriteString(strings.Repeat("\n", op.Lines))
		case "cut":
			line(strings.Repeat("- ", (columns+1)/2))
		}
	}
	return b.String()
}

// textIndent is the space, in font A characters, before an aligned line of text in its font and size.
func textIndent(op Op, line string, columns int) int {
	dots := dotsPerColumn
	if op.Font == "b" {
		dots = 9
	}
	used := Width(line) * max(op.Width, 1) * dots
	return indent(max(Dots(columns)-used, 0), op.Align) / dotsPerColumn
}
