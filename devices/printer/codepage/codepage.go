// Package codepage has the code pages of receipt printers: which byte prints a character, and which page to select for
// a stretch of text.
//
// It is called by the printer drivers, which know under which number a model selects a page. It imports nothing of this
// program. Tables are those of golang.org/x/text and, in pages.go, of the sources that ../escpos/tables.py names.
package codepage

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
)

// Page is a code page under the number that selects it.
type Page struct {
	Name   string // such as "858", "1252" or "iso8859-15"
	Number byte
	table  table
}

// table gives the byte of a character; *charmap.Charmap is one.
type table interface {
	EncodeRune(r rune) (byte, bool)
}

// upper is a table by its characters from 80h to FFh.
type upper string

// EncodeRune implements table.
func (u upper) EncodeRune(r rune) (byte, bool) {
	b := 0x80
	for _, c := range string(u) {
		if c == r {
			return byte(b), true
		}
		b++
	}
	return 0, false
}

// Encode gives the byte of a character on the page. U+FFFD stands for the holes of the tables, never for itself; a mark
// would be printed beside its letter.
func (p Page) Encode(r rune) (byte, bool) {
	if r == utf8.RuneError || unicode.Is(unicode.Mn, r) && !p.Shaped() {
		return 0, false
	}
	return p.table.EncodeRune(r)
}

// Shaped reports whether text of the page's script comes out wrong without reordering or joining its letters, which no
// printer of this kind does.
func (p Page) Shaped() bool {
	return slices.Contains([]string{"720", "862", "864", "1098", "1255", "1256"}, p.Name)
}

// tables are all pages, in the order of preference: 437 as printers start in it, then 858 and 1252, which hold the euro
// sign.
func tables() []Page {
	return []Page{
		{"437", 0, charmap.CodePage437}, {"858", 0, charmap.CodePage858}, {"1252", 0, charmap.Windows1252},
		{"852", 0, charmap.CodePage852}, {"866", 0, charmap.CodePage866}, {"1253", 0, charmap.Windows1253},
		{"1254", 0, charmap.Windows1254}, {"1257", 0, charmap.Windows1257}, {"865", 0, charmap.CodePage865},
		{"863", 0, charmap.CodePage863}, {"860", 0, charmap.CodePage860}, {"1251", 0, charmap.Windows1251},
		{"1250", 0, charmap.Windows1250}, {"850", 0, charmap.CodePage850}, {"737", 0, upper(upper737)},
		{"775", 0, upper(upper775)}, {"857", 0, upper(upper857)}, {"861", 0, upper(upper861)},
		{"869", 0, upper(upper869)}, {"855", 0, charmap.CodePage855}, {"1125", 0, upper(upper1125)},
		{"iso8859-2", 0, charmap.ISO8859_2}, {"iso8859-15", 0, charmap.ISO8859_15}, {"iso8859-7", 0, charmap.ISO8859_7},
		{"rk1048", 0, upper(upperrk1048)}, {"tcvn-3-1", 0, upper(uppertcvn31)}, {"tcvn-3-2", 0, upper(uppertcvn32)},
		{"1258", 0, charmap.Windows1258}, {"katakana", 0, upper(upperkatakana)}, {"851", 0, upper(upper851)},
		{"853", 0, upper(upper853)}, {"1098", 0, upper(upper1098)}, {"720", 0, upper(upper720)}, {"862", 0, charmap.CodePage862}, {"864", 0, upper(upper864)},
		{"1255", 0, charmap.Windows1255}, {"1256", 0, charmap.Windows1256},
	}
}

// Names are the names of all pages, in the order of preference.
func Names() []string {
	var names []string
	for _, p := range tables() {
		names = append(names, p.Name)
	}
	return names
}

// Numbered gives the pages of a model, in the order of preference, but for those that need Shaped text. It fails on a
// name that is none of Names.
func Numbered(numbers map[string]byte) ([]Page, error) {
	var pages []Page
	left := len(numbers)
	for _, p := range tables() {
		number, ok := numbers[p.Name]
		if !ok {
			continue
		}
		left--
		if p.Number = number; !p.Shaped() {
			pages = append(pages, p)
		}
	}
	if left > 0 {
		return nil, fmt.Errorf("a code page is none of %s", strings.Join(Names(), ", "))
	}
	return pages, nil
}

// Parse reads a technician's ordered list of pages: names, each with "=N" where the printer numbers it otherwise than
// numbers says.
func Parse(specs []string, numbers map[string]byte) ([]Page, error) {
	var pages []Page
	all := tables()
	for _, spec := range specs {
		name, number, numbered := strings.Cut(spec, "=")
		name = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "cp")
		i := slices.IndexFunc(all, func(p Page) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("code page %q is not known; known are %s", spec, strings.Join(Names(), ", "))
		}
		p := all[i]
		var known bool
		if p.Number, known = numbers[name]; numbered {
			n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 8)
			if err != nil {
				return nil, fmt.Errorf("code page %q: the number must be from 0 to 255", spec)
			}
			p.Number = byte(n)
		} else if !known {
			return nil, fmt.Errorf("code page %q has no number on this model; give it as in \"%s=10\"", spec, name)
		}
		pages = append(pages, p)
	}
	return pages, nil
}

// Best is the index of the page that encodes the longest beginning of text, the first among equals; -1 where no page
// has its first character.
func Best(pages []Page, text string) int {
	best, reach := -1, 0
	for n, p := range pages {
		if got := covered(p, text); got > reach {
			best, reach = n, got
		}
	}
	return best
}

// covered counts the bytes at the start of text that a page can encode.
func covered(p Page, text string) int {
	for i, r := range text {
		if _, ok := p.Encode(r); !ok {
			return i
		}
	}
	return len(text)
}

// Missing is the first character of text that is neither ASCII nor on any of the pages; false where there is none.
func Missing(pages []Page, text string) (rune, bool) {
	for _, r := range text {
		if r >= 0x20 && r < 0x7F {
			continue
		}
		if !slices.ContainsFunc(pages, func(p Page) bool { _, ok := p.Encode(r); return ok }) {
			return r, true
		}
	}
	return 0, false
}

// everyday replaces what only differs in where a line may break, and what no page has though a letter like it is on all.
var everyday = strings.NewReplacer(
	"\u202F", " ", "\u2007", " ", "\u2009", " ", "\u00A0", " ",
	"\u2010", "-", "\u2011", "-", "\u2212", "-",
	"\u0218", "\u015E", "\u0219", "\u015F", "\u021A", "\u0162", "\u021B", "\u0163",
	"\u00AD", "", "\u200B", "", "\u2060", "", "\uFEFF", "",
)

// Clean puts text into the form that code pages know: composed characters, the everyday one for spaces and hyphens that
// only differ in where a line may break (number formatting of browsers is full of those), and Romanian letters with the
// cedilla that all pages have in place of the comma that none has.
func Clean(text string) string { return everyday.Replace(norm.NFC.String(text)) }
