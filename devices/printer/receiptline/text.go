package receiptline

import (
	"errors"
	"strconv"
	"unicode"

	"storeagent/devices/printer"
)

// style is how a character looks.
type style struct {
	bold, underline, invert bool
	size                    int // number of carets
}

// sizes are width and height by the number of carets.
var sizes = [...][2]int{{1, 1}, {2, 1}, {1, 2}, {2, 2}, {3, 3}, {4, 4}, {5, 5}, {6, 6}}

func (s style) width() int  { return sizes[s.size][0] }
func (s style) height() int { return sizes[s.size][1] }

// unit is one character with the marks that combine with it, or a line end.
type unit struct {
	text  string // "\n" ends a line
	style style
}

func (u unit) columns() int { return printer.Width(u.text) * u.style.width() }

// units reads the text of a column: decorations, escapes, and characters. Control characters are left out.
func units(raw string) ([]unit, error) {
	var out []unit
	var now style
	runes := []rune(raw)
	for i := 0; i < len(runes); i++ {
		r := runes[i]
		switch r {
		case '\\':
			got, used, err := escaped(runes[i+1:])
			if err != nil {
				return nil, err
			}
			i += used
			if r = got; r == ignored {
				continue
			}
		case '~':
			r = ' '
		case '"':
			now.bold = !now.bold
			continue
		case '_':
			now.underline = !now.underline
			continue
		case '`':
			now.invert = !now.invert
			continue
		case '^':
			n := 1
			for i+1 < len(runes) && runes[i+1] == '^' {
				i++
				n++
			}
			if n = min(n, len(sizes)-1); now.size == n {
				n = 0
			}
			now.size = n
			continue
		}
		out = appendUnit(out, r, now)
	}
	return out, nil
}

func appendUnit(out []unit, r rune, now style) []unit {
	switch {
	case r == '\n':
		return append(out, unit{text: "\n"})
	case unicode.IsControl(r):
		return out
	case printer.Width(string(r)) > 0:
		return append(out, unit{string(r), now})
	case len(out) > 0 && out[len(out)-1].text != "\n": // it combines with the character before
		out[len(out)-1].text += string(r)
	}
	return out
}

// ignored is what an escape stands for that means nothing.
const ignored = rune(-1)

// escaped reads what follows a backslash in text, and says how many characters that were.
func escaped(rest []rune) (r rune, used int, err error) {
	if len(rest) == 0 {
		return ignored, 0, nil
	}
	switch rest[0] {
	case '\\', '|', '{', '}', '-', '=', '~', '_', '"', '`', '^':
		return rest[0], 1, nil
	case 'n':
		return '\n', 1, nil
	case 'x':
		return hexadecimal(rest)
	}
	return ignored, 1, nil
}

// hexadecimal reads x and two digits: a character below U+0100, none for a control character.
func hexadecimal(rest []rune) (r rune, used int, err error) {
	if len(rest) >= 3 {
		if n, err := strconv.ParseUint(string(rest[1:3]), 16, 8); err == nil {
			if r = rune(n); unicode.IsControl(r) {
				r = ignored
			}
			return r, 3, nil
		}
	}
	return 0, 0, errors.New(`has \x without two hexadecimal digits`)
}

// row is one printed line of a column.
type row []unit

func (r row) columns() int {
	n := 0
	for _, u := range r {
		n += u.columns()
	}
	return n
}

func (r row) height() int {
	n := 1
	for _, u := range r {
		n = max(n, u.style.height())
	}
	return n
}

// wrapRows breaks the text of a column into rows of that width. A character wider than the column is an error.
func wrapRows(text []unit, width int, how wrapping) ([]row, error) {
	var rows []row
	var now row
	used, space := 0, -1 // space is the index in now behind which a word begins
	end := func(next row) {
		rows = append(rows, now)
		now, used, space = next, next.columns(), -1
	}
	for _, u := range text {
		if u.text == "\n" {
			end(nil)
			continue
		}
		w := u.columns()
		if w > width {
			return nil, errors.New("has a character that is wider than its column; make the column wider or the text smaller")
		}
		if used+w > width {
			switch {
			case how == wrapNot:
				return append(rows, now), nil
			case how == wrapWords && u.text == " ":
				end(nil)
				continue
			case how == wrapWords && space >= 0:
				word := append(row(nil), now[space:]...)
				now = trimRight(now[:space])
				end(word)
			default:
				end(nil)
			}
		}
		if how == wrapWords && u.text == " " && len(now) == 0 && len(rows) > 0 {
			continue // blanks at a break
		}
		now = append(now, u)
		used += w
		if u.text == " " {
			space = len(now)
		}
	}
	if len(now) > 0 || len(rows) == 0 {
		rows = append(rows, now)
	}
	if how == wrapNot {
		rows = rows[:1]
	}
	return rows, nil
}

func trimRight(r row) row {
	for len(r) > 0 && r[len(r)-1].text == " " {
		r = r[:len(r)-1]
	}
	return r
}
