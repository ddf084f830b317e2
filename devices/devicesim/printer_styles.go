package devicesim

import "slices"

// Style is how characters are printed.
type Style struct {
	FontB, Bold, Underline, Invert bool
	Width, Height                  int // times the normal size
}

// Span is a stretch of a line in one style.
type Span struct {
	Text  string
	Style Style
}

// Lines are the lines of text printed so far, without alignment; what is no text makes no line.
func (p *Printer) Lines() [][]Span {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// spans joins characters of one style.
func spans(line []rune, styles []Style) []Span {
	var out []Span
	for i, r := range line {
		if i == 0 || styles[i] != styles[i-1] {
			out = append(out, Span{Style: styles[i]})
		}
		out[len(out)-1].Text += string(r)
	}
	return out
}
