package starprnt

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"storeagent/devices/printer"
	"storeagent/devices/printer/codepage"
	"storeagent/devices/printer/typeset"
)

// rows prints a text, columns or rule operation: lines that the printer carries as text, the others as dots.
func (e *encoder) rows(op printer.Op) *printer.DocumentError {
	op = op.WithTexts(codepage.Clean)
	setter, carries := e.setter, e.profile.carries
	if e.profile.raster == "" {
		setter = nil
	}
	if field := e.tooLarge(op); field != "" {
		if setter == nil {
			return refuse(field, "this printer prints text at most %d times as wide and high", e.profile.enlarge)
		}
		carries = func(string) bool { return false } // drawn instead
	}
	for row, err := range setter.Rows(op, e.profile.columns, carries) {
		if err == nil {
			err = e.row(op, row)
		}
		var bad *printer.DocumentError
		switch {
		case errors.As(err, &bad) && bad != nil:
			return bad
		case err != nil && bad == nil:
			return refuse("op", "%s", err)
		}
	}
	return nil
}

// tooLarge names the field with a size that the model does not have, "" where there is none.
func (e *encoder) tooLarge(op printer.Op) string {
	switch {
	case op.Op == "text" && op.Width > e.profile.enlarge:
		return "width"
	case op.Op == "text" && op.Height > e.profile.enlarge:
		return "height"
	}
	for i, c := range op.Cells {
		switch {
		case c.CharWidth > e.profile.enlarge:
			return fmt.Sprintf("cells[%d].charWidth", i)
		case c.CharHeight > e.profile.enlarge:
			return fmt.Sprintf("cells[%d].charHeight", i)
		}
	}
	return ""
}

// row prints one line.
func (e *encoder) row(op printer.Op, row typeset.Row) error {
	if row.Image != nil {
		if err := e.raster(row.Image.TrimRight(), "", op.TextField(0)); err != nil {
			return err
		}
		e.cut()
		return nil
	}
	for _, span := range row.Line {
		style := span.Style()
		style.Font = row.Font
		e.modes(styleOf(style), alignCode(row.Align))
		if err := e.text(span.Text, op.TextField(span.Cell)); err != nil {
			return err
		}
	}
	e.put('\n')
	e.cut()
	return nil
}

// carries reports whether the printer itself has all characters of a text.
func (p profile) carries(text string) bool {
	_, missing := codepage.Missing(p.pages, text)
	return !missing || p.inUTF8(text)
}

// inUTF8 reports whether the printer prints a text right that it gets in UTF-8.
func (p profile) inUTF8(text string) bool { return p.utf8 && !strings.ContainsFunc(text, notInUTF8) }

// notInUTF8 reports a character that the fonts of printers with UTF-8 do not have, or print wrong because its script
// needs shaping. They have the scripts of Europe and East Asia.
func notInUTF8(r rune) bool {
	return !unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Han, unicode.Hiragana, unicode.Katakana,
		unicode.Hangul, unicode.Common) || unicode.Is(unicode.Mn, r) || r > 0xFFFF
}

// text sends one stretch of text, changing code pages on the way; where no page has a character, a printer that takes
// UTF-8 gets the whole stretch in that.
func (e *encoder) text(text, field string) *printer.DocumentError {
	if r, missing := codepage.Missing(e.profile.pages, text); missing {
		if !e.profile.inUTF8(text) {
			return refuse(field, "this printer has no character %q (U+%04X); leave it out, or set code pages that have it", r, r)
		}
		if !e.utf8 {
			e.puts(utf8On)
			e.utf8 = true
		}
		e.puts(text)
		return nil
	}
	for i, r := range text {
		if r >= 0x20 && r < 0x7F {
			e.put(byte(r)) // the same on every page, and in UTF-8
			continue
		}
		e.pages()
		if e.page >= 0 {
			if b, ok := e.profile.pages[e.page].Encode(r); ok {
				e.put(b)
				continue
			}
		}
		e.page = codepage.Best(e.profile.pages, text[i:])
		e.put(esc, gs, 't', e.profile.pages[e.page].Number)
		b, _ := e.profile.pages[e.page].Encode(r)
		e.put(b)
	}
	return nil
}

// pages ends UTF-8.
func (e *encoder) pages() {
	if e.utf8 {
		e.puts(utf8Off)
		e.utf8, e.page = false, -1
	}
}
