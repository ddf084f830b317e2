// Package typeset draws lines of text as dots, for what no code page of a printer can carry: it orders text from the
// right, joins Arabic letters, places marks, and takes each character from a font that has it.
//
// It is called by printer drivers and by the preview. It imports devices/printer for its bitmaps and widths, and reads
// fonts from the disk; it writes nothing. Order follows the Unicode Bidirectional Algorithm (UAX #9), clusters follow
// UAX #29, shaping is HarfBuzz's (go-text/typesetting).
package typeset

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-text/typesetting/bidi"
	"github.com/go-text/typesetting/segmenter"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/vector"

	"storeagent/devices/printer"
)

// Bounds of one line. A line of 96 columns has at most 192 letters; the rest is room for marks.
const (
	MaxRunes = 2048 // characters of a line, with marks that take no room
	MaxDots  = 2048 // width of a line
)

// Options say where fonts come from.
type Options struct {
	// Builtin are font files that are asked before all others, in this order.
	Builtin [][]byte
	// Folders are searched for fonts, with their folders inside; they go before the system's.
	Folders []string
	// System adds the fonts installed on this machine.
	System bool
}

// Typesetter draws lines. It is safe for concurrent use; one line is drawn at a time. Fonts are looked for when the
// first line is drawn, and again, at most every half minute, when a character is in none of them.
type Typesetter struct {
	log  *slog.Logger
	opts Options

	mu       sync.Mutex
	fonts    []*source // in order of preference before any script is known
	scanned  time.Time
	chosen   map[choice]*source // what pick found
	loaded   []*source          // with their outlines in memory, the latest used last
	shaper   shaping.HarfbuzzShaper
	bidi     bidi.Paragraph
	clusters segmenter.Segmenter
	raster   vector.Rasterizer
}

// New makes a typesetter; nothing is read before its first line. Log may be nil.
func New(log *slog.Logger, opts Options) *Typesetter {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	t := &Typesetter{log: log, opts: opts, chosen: map[choice]*source{}}
	t.forget()
	return t
}

// Direction is the side that a paragraph starts from.
type Direction int

// The directions. Auto takes that of the first letter that has one (UAX #9, P2 and P3), else from the left.
const (
	Auto Direction = iota
	LeftToRight
	RightToLeft
)

// Style is how text looks.
type Style struct {
	// CellWidth and CellHeight are the dots of one character: 12x24 in font A, 9x17 in font B; 0 is font A.
	CellWidth, CellHeight int
	// Width and Height multiply the cell, 1 to 8; 0 is 1.
	Width, Height int
	Bold          bool
	Underline     bool
	Invert        bool // white on black
	// Align is left, center or right; "" is the side that the text starts from.
	Align string
	// Direction is that of the paragraph the line was taken from.
	Direction Direction
}

// Span is a piece of a line that keeps to its own place.
type Span struct {
	Text  string
	X     int // dots to the left of its place
	Dots  int // width of its place; 0 is what is left of the line
	Style Style
}

// NoFontError means that no font has a character that the printer does not have either.
type NoFontError struct {
	Runes   []rune // the characters, in the order of the line, each once
	Script  string // of the first, by its ISO 15924 code such as "Hani"; "Zyyy" for signs of no script
	Package string // the Debian package that has fonts for the first; "" where none is known
}

func (e *NoFontError) Error() string {
	what := fmt.Sprintf("the printer has no character %q (U+%04X), and no installed font has it to draw it", e.Runes[0], e.Runes[0])
	if n := len(e.Runes) - 1; n > 0 {
		what += fmt.Sprintf(" (nor %d others)", n)
	}
	if e.Package == "" {
		return what + "; leave it out"
	}
	return what + "; install the package " + e.Package
}

// LineHeight is the height in dots of a line in that style: that of the printer's own line feed for text of normal
// height, else a quarter more than the characters, so that marks above and below have room.
func (s Style) LineHeight() int {
	s = s.defaults()
	return max(lineFeed, s.cellHeight()*5/4)
}

// lineFeed is the line spacing that printers start with: a sixth of an inch at 180 dots (ESC 2).
const lineFeed = 30

func (s Style) defaults() Style {
	if s.CellWidth == 0 {
		s.CellWidth = 12
	}
	if s.CellHeight == 0 {
		s.CellHeight = 24
	}
	s.Width, s.Height = max(s.Width, 1), max(s.Height, 1)
	return s
}

func (s Style) cellWidth() int  { return s.CellWidth * s.Width }
func (s Style) cellHeight() int { return s.CellHeight * s.Height }

func (s Style) check() error {
	switch {
	case s.CellWidth < 4 || s.CellWidth > 64 || s.CellHeight < 8 || s.CellHeight > 64:
		return fmt.Errorf("draw line: a cell of %dx%d dots is not from 4x8 to 64x64", s.CellWidth, s.CellHeight)
	case s.Width > 8 || s.Height > 8:
		return fmt.Errorf("draw line: %dx%d times the normal size is more than 8", s.Width, s.Height)
	}
	return nil
}

// Line draws one line of text, dots wide and s.LineHeight() high. Text wider than that is drawn narrower. The error is
// a *NoFontError where a font is missing.
func (t *Typesetter) Line(text string, s Style, dots int) (printer.Bitmap, error) {
	return t.Spans([]Span{{Text: text, Style: s}}, dots)
}

// Spans draws pieces of text, each into its place on one line of that many dots; text wider than its place is drawn
// narrower. The line is as high as the highest of them, and they stand on the same base line. The error is a
// *NoFontError where a font is missing.
func (t *Typesetter) Spans(spans []Span, dots int) (b printer.Bitmap, err error) {
	if dots < 1 || dots > MaxDots {
		return printer.Bitmap{}, fmt.Errorf("draw line: a width of %d dots is not from 1 to %d", dots, MaxDots)
	}
	height, n := lineFeed, 0
	for _, span := range spans {
		if err := span.Style.defaults().check(); err != nil {
			return printer.Bitmap{}, err
		}
		if !utf8.ValidString(span.Text) {
			return printer.Bitmap{}, errors.New("draw line: the text is not valid UTF-8")
		}
		if n += utf8.RuneCountInString(span.Text); n > MaxRunes {
			return printer.Bitmap{}, fmt.Errorf("draw line: more than %d characters", MaxRunes)
		}
		height = max(height, span.Style.LineHeight())
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	defer func() {
		if v := recover(); v != nil { // the outlines of a damaged font
			b, err = printer.Bitmap{}, fmt.Errorf("draw line: a font is damaged: %v", v)
		}
	}()
	all := make([]placed, 0, len(spans))
	for _, span := range spans {
		span.Style = span.Style.defaults()
		p, err := t.place(span, dots)
		if err != nil {
			return printer.Bitmap{}, err
		}
		all = append(all, p)
	}
	return t.draw(all, dots, height), nil
}

// ColumnSpans lays the cells of a columns operation on lines, as printer.ColumnLines does, for Spans to draw. The cells
// must have passed printer.Check.
func ColumnSpans(cells []printer.Cell, columns int) [][]Span {
	widths := printer.CellWidths(cells, columns)
	var lines [][]Span
	x := 0
	for i, c := range cells {
		if i >= len(widths) {
			return nil
		}
		style := Style{Width: c.CharWidth, Height: c.CharHeight, Bold: c.Bold, Underline: c.Underline, Invert: c.Invert,
			Align: c.Align, Direction: DirectionOf(c.Text)}
		dots := printer.Dots(widths[i])
		for row, text := range printer.Wrap(c.Text, max(widths[i]/max(c.CharWidth, 1), 1)) {
			if row == len(lines) {
				lines = append(lines, nil)
			}
			lines[row] = append(lines[row], Span{Text: text, X: x, Dots: dots, Style: style})
		}
		x += dots
	}
	return lines
}
