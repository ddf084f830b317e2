package escpos

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
)

// profile is what the driver must know of a model.
type profile struct {
	columns   int  // font A characters on a line
	processID bool // confirms jobs by GS ( H fn 48
	pulse     bool // opens a drawer in real time (DLE DC4 fn 1), also where it does not confirm jobs
	kanji     bool // starts in a multi-byte mode that must be left (FS .)
	pages     []page
}

// page is a code page under the number that ESC t selects it with.
type page struct {
	name   string
	number byte
	table  *charmap.Charmap
}

// encode gives the byte of a character on the page. U+FFFD stands for the holes of the tables, never for itself.
func (p page) encode(r rune) (byte, bool) {
	if r == utf8.RuneError {
		return 0, false
	}
	return p.table.EncodeRune(r)
}

// Profiles are the names that Options.Profile takes.
func Profiles() []string { return []string{"default", "epson-tm-t88v", "generic-58mm", "generic-80mm"} }

// named gives a profile by name. Numbers of code pages are Epson's (ESC t in its command reference); the order is the
// order of preference: 437 as the printers start in it, then 858 and 1252, which hold the euro sign.
func named(name string) (profile, bool) {
	few := []string{"437", "858", "1252", "852", "866"}
	many := slices.Concat(few, []string{"1253", "1254", "1257", "865", "863", "860", "1251", "1250"})
	switch name {
	case "", "default", "epson-tm-t88v":
		return profile{columns: 42, processID: true, kanji: true, pages: mustPages(many)}, true
	case "generic-80mm":
		return profile{columns: 48, kanji: true, pages: mustPages(few)}, true
	case "generic-58mm":
		return profile{columns: 32, kanji: true, pages: mustPages(few)}, true
	}
	return profile{}, false
}

// tables are the code pages that golang.org/x/text has and that ESC/POS printers hold, with Epson's numbers.
func tables() []page {
	return []page{
		{"437", 0, charmap.CodePage437}, {"850", 2, charmap.CodePage850}, {"860", 3, charmap.CodePage860},
		{"863", 4, charmap.CodePage863}, {"865", 5, charmap.CodePage865}, {"iso8859-7", 15, charmap.ISO8859_7},
		{"1252", 16, charmap.Windows1252}, {"866", 17, charmap.CodePage866}, {"852", 18, charmap.CodePage852},
		{"858", 19, charmap.CodePage858}, {"855", 34, charmap.CodePage855},
		{"iso8859-2", 39, charmap.ISO8859_2}, {"iso8859-15", 40, charmap.ISO8859_15},
		{"1250", 45, charmap.Windows1250}, {"1251", 46, charmap.Windows1251}, {"1253", 47, charmap.Windows1253},
		{"1254", 48, charmap.Windows1254}, {"1257", 51, charmap.Windows1257}, {"1258", 52, charmap.Windows1258},
	}
}

func mustPages(names []string) []page {
	pages, err := parsePages(names)
	if err != nil {
		panic(err) // a wrong name in this file
	}
	return pages
}

func parsePages(names []string) ([]page, error) {
	var pages []page
	for _, spec := range names {
		name, number, numbered := strings.Cut(spec, "=")
		name = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "cp")
		all := tables()
		i := slices.IndexFunc(all, func(p page) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("code page %q is not known; known are %s", spec, pageNames(all))
		}
		if numbered {
			n, err := strconv.ParseUint(strings.TrimSpace(number), 10, 8)
			if err != nil {
				return nil, fmt.Errorf("code page %q: the number must be from 0 to 255", spec)
			}
			all[i].number = byte(n)
		}
		pages = append(pages, all[i])
	}
	return pages, nil
}

func pageNames(pages []page) string {
	var names []string
	for _, p := range pages {
		names = append(names, p.name)
	}
	return strings.Join(names, ", ")
}

// newProfile is the profile of the options, with their changes.
func newProfile(o Options) (profile, error) {
	p, ok := named(o.Profile)
	if !ok {
		return profile{}, fmt.Errorf("profile %q is not one of %s", o.Profile, strings.Join(Profiles(), ", "))
	}
	if o.Columns != 0 {
		if o.Columns < 16 || o.Columns > 96 {
			return profile{}, fmt.Errorf("columns is %d, must be from 16 to 96", o.Columns)
		}
		p.columns = o.Columns
	}
	if len(o.Codepages) > 0 {
		pages, err := parsePages(o.Codepages)
		if err != nil {
			return profile{}, err
		}
		p.pages = pages
	}
	return p, nil
}
