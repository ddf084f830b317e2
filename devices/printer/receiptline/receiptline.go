// Package receiptline reads ReceiptLine, the receipt description language of OpenReceipt (formerly of the Open
// Foodservice System Consortium), and lays it out as a printer.Document for paper of a given width.
//
// It is called by register for print jobs and by register/receipt for templates, and imports devices/printer alone.
// It is strict where the language is lenient: what cannot be printed, and a property that is misspelt, is refused with
// the number of its line. One word is added to the language: {text:word} wraps between words.
package receiptline

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"storeagent/devices/printer"
)

// Error says what is wrong with a text and where. Its message holds nothing of the text.
type Error struct {
	Line    int // from 1
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Message) }

// Receipt is a text that was laid out.
type Receipt struct {
	Document printer.Document
	lines    []int // of each operation, from 1
}

// Line is the line of the text that an operation of the document came from.
func (r Receipt) Line(op int) int {
	if op < 0 || op >= len(r.lines) {
		return len(r.lines)
	}
	return r.lines[op]
}

// Explain turns a *printer.DocumentError about the document, a driver's too, into an *Error that names the line. Other
// errors stay as they are.
func (r Receipt) Explain(err error) error {
	var bad *printer.DocumentError
	if !errors.As(err, &bad) {
		return err
	}
	rest, found := strings.CutPrefix(bad.Field, "document[")
	number, _, closed := strings.Cut(rest, "]")
	op, convErr := strconv.Atoi(number)
	if !found || !closed || convErr != nil || op >= len(r.lines) {
		return err
	}
	message := bad.Message
	if _, field, _ := strings.Cut(bad.Field, "]."); field == "data" || field == "png" {
		message = map[string]string{"data": "the code ", "png": "the image "}[field] + message
	}
	return &Error{r.lines[op], message}
}

// MinColumns is the narrowest paper that a text is laid out for.
const MinColumns = 8

// Parse lays a text out on lines of that many characters of font A. The paper is cut at the end, unless the text ends
// with a cut. The document has passed printer.Check. Errors are *Error, and *printer.DocumentError where no single line
// is to blame.
func Parse(text string, columns int) (Receipt, error) {
	if columns < MinColumns {
		return Receipt{}, &printer.DocumentError{Field: "document", Message: fmt.Sprintf("a line has %d characters, at least %d are needed", columns, MinColumns)}
	}
	p := &page{columns: columns, border: 1, align: center, option: defaultOption()}
	text = strings.TrimPrefix(text, "\ufeff")
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	text = strings.TrimSuffix(text, "\n")
	for line := range strings.SplitSeq(text, "\n") {
		p.number++
		if err := p.line(line); err != nil {
			return Receipt{}, &Error{p.number, err.Error()}
		}
		if len(p.doc) > printer.MaxOps {
			return Receipt{}, &Error{p.number, fmt.Sprintf("the receipt has over %d lines, more than fit one job", printer.MaxOps)}
		}
	}
	p.endRules()
	if n := len(p.doc); n > 0 && p.doc[n-1].Op != "cut" {
		p.add(printer.Op{Op: "cut"})
	}
	out := Receipt{p.doc, p.lines}
	if err := printer.Check(p.doc, columns); err != nil {
		return Receipt{}, out.Explain(err)
	}
	return out, nil
}

// Alignments, in halves of the free space.
const (
	left   = 0
	center = 1
	right  = 2
)

// alignNames are the alignments in the document. Left is said too: without a word text from the right would begin there.
var alignNames = [...]string{"left", "center", "right"}

// wrapping is what is done with text that is wider than its column.
type wrapping int

const (
	wrapAnywhere wrapping = iota
	wrapWords
	wrapNot
)

// page is the state that lines leave to the lines after them, and the document so far.
type page struct {
	columns int
	number  int // of the line being read
	doc     printer.Document
	lines   []int

	wrap   wrapping
	border int   // characters between columns; ruled for a line
	widths []int // of columns; star shares what is left; none is all star
	align  int   // of lines narrower than the paper
	option option

	rules ruling
}

func (p *page) add(op printer.Op) {
	p.doc = append(p.doc, op)
	p.lines = append(p.lines, p.number)
}

// line reads one line. Errors are messages about it.
func (p *page) line(raw string) error {
	if !utf8.ValidString(raw) {
		return errors.New("is not valid UTF-8")
	}
	columns, err := split(norm.NFC.String(raw))
	if err != nil {
		return err
	}
	if len(columns) == 1 {
		only := columns[0]
		switch {
		case strings.HasPrefix(only.raw, "{"):
			return p.property(only)
		case only.raw != "" && strings.Trim(only.raw, "-") == "":
			p.rule()
			return nil
		case only.raw != "" && strings.Trim(only.raw, "=") == "":
			p.cut()
			return nil
		}
	}
	cells := make([]cell, len(columns))
	for i, c := range columns {
		if strings.HasPrefix(c.raw, "{") {
			return errors.New(`a property stands alone on its line; write \{ for a brace in text`)
		}
		if cells[i].units, err = units(c.raw); err != nil {
			return err
		}
		cells[i].align = c.align
	}
	return p.text(cells)
}

// column is one column as written, without the blanks around it.
type column struct {
	raw   string
	align int
}

const blanks = " \t"

// split takes a line apart at its pipes. The blanks around a column say where it goes: it is drawn to the pipe it
// touches.
func split(line string) ([]column, error) {
	line = strings.Trim(line, blanks)
	var parts []string
	start, braces := 0, 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '|':
			parts = append(parts, line[start:i])
			start = i + 1
		case '{':
			braces++
		case '}':
			braces--
		}
		if braces < 0 || braces > 1 {
			return nil, errors.New(`has a brace that belongs to no property; write \{ and \} for braces in text`)
		}
	}
	if braces != 0 {
		return nil, errors.New(`has a property that does not end; write \{ for a brace in text`)
	}
	parts = append(parts, line[start:])
	piped := func(part string) bool { return len(parts) > 1 && part == "" }
	before := piped(parts[0])
	if before {
		parts = parts[1:]
	}
	after := piped(parts[len(parts)-1])
	if after {
		parts = parts[:len(parts)-1]
	}
	out := make([]column, len(parts))
	for i, part := range parts {
		first, last := i == 0 && !before, i == len(parts)-1 && !after // no pipe on that side
		lead, trail := part != strings.TrimLeft(part, blanks), part != strings.TrimRight(part, blanks)
		switch {
		case first && last: // no pipe at all
		case first:
			lead = !trail
		case last:
			trail = !lead
		}
		out[i] = column{strings.Trim(part, blanks), center}
		switch {
		case lead && !trail:
			out[i].align = right
		case trail && !lead:
			out[i].align = left
		}
		if err := wholeProperty(out[i].raw); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// wholeProperty refuses a column that holds a property among other text.
func wholeProperty(raw string) error {
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case '\\':
			i++
		case '{', '}':
			if i != 0 && i != len(raw)-1 || raw[0] != '{' || raw[len(raw)-1] != '}' {
				return errors.New(`has a property among text; put it on a line of its own, or write \{ and \} for braces`)
			}
		}
	}
	return nil
}
