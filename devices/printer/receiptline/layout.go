package receiptline

import (
	"slices"
	"strings"

	"storeagent/devices/printer"
)

// cell is one column of a line of text.
type cell struct {
	units []unit
	align int
	width int
}

// ruled is a border of a drawn line.
const ruled = -1

// gap is how many characters stand between columns.
func (p *page) gap() int {
	if p.border == ruled {
		return 1
	}
	return p.border
}

// frame is how many characters the borders of n columns take.
func (p *page) frame(n int) int {
	if p.border == ruled {
		return n + 1
	}
	return max(n-1, 0) * p.border
}

// area is where a rule, a code or an image goes: its first character, its width, and what is free behind it.
func (p *page) area() (first, width, free int) {
	if len(p.widths) == 0 || slices.Contains(p.widths, star) {
		return 0, p.columns, 0
	}
	n := 0
	for _, w := range p.widths {
		if w > 0 {
			width += w
			n++
		}
	}
	width = min(width+p.frame(n), p.columns)
	free = p.columns - width
	first = free * p.align / 2
	return first, width, free - first
}

// fit gives the columns of a line their widths, and leaves out those of width 0 and those the paper has no room for.
func (p *page) fit(cells []cell) []cell {
	for i := range cells {
		switch {
		case len(p.widths) == 0:
			cells[i].width = star
		case i < len(p.widths):
			cells[i].width = p.widths[i]
		}
	}
	for i := len(cells); i < len(p.widths); i++ {
		cells = append(cells, cell{align: center, width: p.widths[i]})
	}
	cells = slices.DeleteFunc(cells, func(c cell) bool { return c.width == 0 })
	most := (p.columns + p.gap()) / (p.gap() + 1)
	if p.border == ruled {
		most = (p.columns - 1) / 2
	}
	cells = cells[:min(len(cells), most)]
	free, stars := p.columns-p.frame(len(cells)), 0
	for _, c := range cells {
		if c.width == star {
			stars++
		} else {
			free -= c.width
		}
	}
	for ; free < stars; free++ { // too wide: the widest gives way
		widest := 0
		for i, c := range cells {
			if c.width >= cells[widest].width {
				widest = i
			}
		}
		cells[widest].width--
	}
	nth := 0
	for i := range cells {
		if cells[i].width == star {
			cells[i].width = (free + nth) / stars
			nth++
		}
	}
	return cells
}

// text prints a line of text columns.
func (p *page) text(cells []cell) error {
	cells = p.fit(cells)
	if len(cells) == 0 {
		p.add(printer.Op{Op: "text"})
		return nil
	}
	widths := make([]int, len(cells))
	rows := make([][]row, len(cells))
	count := 1
	for i, c := range cells {
		widths[i] = c.width
		var err error
		if rows[i], err = wrapRows(c.units, c.width, p.wrap); err != nil {
			return err
		}
		count = max(count, len(rows[i]))
	}
	first := (p.columns - p.total(cells)) * p.align / 2
	p.ruleBefore(first, widths)
	if len(p.doc)+count > printer.MaxOps+1 {
		count = max(printer.MaxOps+1-len(p.doc), 0) // the caller refuses it
	}
	if p.whole(cells, rows, count) {
		return nil
	}
	for n := range count {
		line := make([]row, len(cells))
		for i := range cells {
			if n < len(rows[i]) {
				line[i] = rows[i][n]
			}
		}
		p.row(first, cells, line, 1)
	}
	return nil
}

// whole prints all rows of a line of text at once, where each column has one style and one size.
func (p *page) whole(cells []cell, rows [][]row, count int) bool {
	line := make([]row, len(cells))
	for i := range cells {
		for n, r := range rows[i] {
			segments := inStyles(r)
			if len(segments) > 1 || len(segments) == 1 && len(line[i]) > 0 && segments[0].style != line[i][0].style ||
				p.border == ruled && count > 1 && r.height() > 1 {
				return false
			}
			text := strings.Repeat("\n", min(n, 1))
			if len(segments) == 1 {
				text += segments[0].text
			}
			switch {
			case len(line[i]) > 0:
				line[i][0].text += text
			case len(segments) == 1:
				line[i] = row{{strings.Repeat("\n", n) + segments[0].text, segments[0].style}}
			}
		}
	}
	p.row((p.columns-p.total(cells))*p.align/2, cells, line, count)
	return true
}

// total is the width of a line with those columns.
func (p *page) total(cells []cell) int {
	width := p.frame(len(cells))
	for _, c := range cells {
		width += c.width
	}
	return width
}

// row prints a line of the paper, or several where the rows are of one style and hold line ends.
func (p *page) row(first int, cells []cell, line []row, count int) {
	if len(cells) == 1 && cells[0].width == p.columns && p.border != ruled {
		if segments := inStyles(line[0]); len(segments) <= 1 {
			op := printer.Op{Op: "text", Align: alignNames[cells[0].align]}
			if len(segments) == 1 {
				s := segments[0].style
				op.Text, op.Bold, op.Underline, op.Invert = segments[0].text, s.bold, s.underline, s.invert
				op.Width, op.Height = scale(s.width()), scale(s.height())
			}
			p.add(op)
			return
		}
	}
	height := 1
	for _, r := range line {
		height = max(height, r.height())
	}
	bar := printer.Cell{Text: strings.TrimSuffix(strings.Repeat("│\n", count), "\n"), Width: 1, CharHeight: scale(height)}
	var l lineOf
	l.blank(first)
	for i, c := range cells {
		switch {
		case p.border == ruled:
			l.add(bar)
		case i > 0:
			l.blank(p.border)
		}
		l.cell(c, line[i])
	}
	if p.border == ruled {
		l.add(bar)
	}
	p.add(printer.Op{Op: "columns", Cells: l.cells})
}

// scale leaves the normal size out of the document.
func scale(n int) int {
	if n == 1 {
		return 0
	}
	return n
}

// inStyles joins the characters of a row that look alike.
func inStyles(r row) []unit {
	var out []unit
	for _, u := range r {
		if n := len(out); n > 0 && out[n-1].style == u.style {
			out[n-1].text += u.text
		} else {
			out = append(out, u)
		}
	}
	return out
}

// lineOf gathers the cells of a line.
type lineOf struct{ cells []printer.Cell }

func (l *lineOf) add(c printer.Cell) { l.cells = append(l.cells, c) }

func (l *lineOf) blank(width int) {
	switch n := len(l.cells); {
	case width <= 0:
	case n > 0 && l.cells[n-1].Text == "":
		l.cells[n-1].Width += width
	default:
		l.add(printer.Cell{Width: width})
	}
}

// cell puts the row of a column on the line: as one cell where it is of one style, else with a cell for each style.
func (l *lineOf) cell(c cell, r row) {
	segments := inStyles(r)
	switch len(segments) {
	case 0:
		l.blank(c.width)
		return
	case 1:
		l.add(styled(segments[0], c.width, c.align))
		return
	}
	free := c.width - r.columns()
	l.blank(free * c.align / 2)
	for _, s := range segments {
		l.add(styled(s, s.columns(), left))
	}
	l.blank(free - free*c.align/2)
}

func styled(u unit, width, align int) printer.Cell {
	s := u.style
	return printer.Cell{Text: u.text, Width: width, Align: alignNames[align], Bold: s.bold, Underline: s.underline, Invert: s.invert,
		CharWidth: scale(s.width()), CharHeight: scale(s.height())}
}

// rule prints a horizontal rule, or one of the table.
func (p *page) rule() {
	switch p.rules.state {
	case rulesOff:
		first, width, _ := p.area()
		if width == p.columns {
			p.add(printer.Op{Op: "rule"})
		} else {
			p.add(printer.Op{Op: "text", Text: strings.Repeat(" ", first) + strings.Repeat("-", width)})
		}
	case rulesOn:
		p.rules.state = rulesBetween
	}
}

// cut cuts the paper. A table ends before it and begins anew behind it.
func (p *page) cut() {
	again := p.rules.state != rulesOff
	p.endRules()
	p.add(printer.Op{Op: "cut"})
	if again {
		p.rules.state = rulesReady
	}
}

// rulesState is where a table with drawn borders stands.
type rulesState int

const (
	rulesOff     rulesState = iota
	rulesReady              // the next line of text opens the table
	rulesOn                 // in the table
	rulesBetween            // a rule waits for the next line, whose columns it must meet
)

// ruling is the table being drawn: its state, and the last line's first character and columns.
type ruling struct {
	state  rulesState
	first  int
	widths []int
}

// ruleBefore prints the border above a line of text where there is one to print.
func (p *page) ruleBefore(first int, widths []int) {
	switch p.rules.state {
	case rulesOff:
		return
	case rulesReady:
		p.drawBorder(nil, 0, widths, first)
	case rulesBetween:
		p.drawBorder(p.rules.widths, p.rules.first, widths, first)
	}
	p.rules = ruling{rulesOn, first, widths}
}

// endRules closes the table.
func (p *page) endRules() {
	if p.rules.state == rulesOn || p.rules.state == rulesBetween {
		p.drawBorder(p.rules.widths, p.rules.first, nil, 0)
	}
	p.rules = ruling{}
}

// The arms of a box drawing character.
const (
	armUp = 1 << iota
	armDown
	armLeft
	armRight
)

// boxes are the characters by their arms; what a border has none of is a blank.
var boxes = [16]rune{0: ' ', armLeft | armRight: '─',
	armDown | armRight: '┌', armDown | armLeft: '┐', armUp | armRight: '└', armUp | armLeft: '┘',
	armUp | armDown | armRight: '├', armUp | armDown | armLeft: '┤', armDown | armLeft | armRight: '┬', armUp | armLeft | armRight: '┴',
	armUp | armDown | armLeft | armRight: '┼'}

// drawBorder prints one horizontal border between the columns above and those below; either may be missing.
func (p *page) drawBorder(above []int, aboveAt int, below []int, belowAt int) {
	arms := make([]int, p.columns)
	draw := func(widths []int, at, arm int) {
		if len(widths) == 0 {
			return
		}
		x := at
		arms[x] |= arm
		for _, w := range widths {
			for range w + 1 {
				arms[x] |= armRight
				x++
				arms[x] |= armLeft
			}
			arms[x] |= arm
		}
	}
	draw(above, aboveAt, armUp)
	draw(below, belowAt, armDown)
	var b strings.Builder
	for _, a := range arms {
		b.WriteRune(boxes[a])
	}
	p.add(printer.Op{Op: "text", Text: strings.TrimRight(b.String(), " ")})
}
