package escpos

import (
	"bytes"
	_ "embed" // profiles.json
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode"
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

// encode gives the byte of a character on the page. U+FFFD stands for the holes of the tables, never for itself; a mark
// would be printed beside its letter.
func (p page) encode(r rune) (byte, bool) {
	if r == utf8.RuneError || unicode.Is(unicode.Mn, r) && !p.shaped() {
		return 0, false
	}
	return p.table.EncodeRune(r)
}

// model is one profile of profiles.json, and the form of a profile that a technician keeps in a file.
type model struct {
	ID            string          `json:"id"`
	Name          string          `json:"name"`
	Columns       int             `json:"columns"`
	ProcessID     bool            `json:"processId"`
	RealTimePulse bool            `json:"realTimePulse"`
	CodePages     map[string]byte `json:"codePages"` // number of ESC t by the page's name
}

//go:embed profiles.json
var models []byte // names and code pages from escpos-printer-db, see tables.py

// generic are profiles of no model: 58 and 80 mm paper with the code pages that nearly every clone has.
func generic(name string) (model, bool) {
	few := map[string]byte{"437": 0, "858": 19, "1252": 16, "852": 18, "866": 17}
	switch name {
	case "generic-80mm":
		return model{ID: name, Columns: 48, CodePages: few}, true
	case "generic-58mm":
		return model{ID: name, Columns: 32, CodePages: few}, true
	}
	return model{}, false
}

// alias is the name in lower case that a profile is looked up by.
func alias(name string) string {
	switch name = strings.ToLower(name); name {
	case "":
		return "default"
	case "epson-tm-t88v":
		return "TM-T88V"
	}
	return name
}

func embedded() ([]model, error) {
	var all []model
	if err := json.Unmarshal(models, &all); err != nil {
		return nil, fmt.Errorf("read profiles: %w", err)
	}
	return all, nil
}

// Profiles are the names that Options.Profile takes besides the path of a file.
func Profiles() []string {
	names := []string{"epson-tm-t88v", "generic-58mm", "generic-80mm"}
	all, _ := embedded() // a test reads it
	for _, m := range all {
		names = append(names, m.ID)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return names
}

// named gives a profile by name, in any case, or from a file whose path ends in .json.
func named(name string) (profile, error) {
	if strings.HasSuffix(name, ".json") {
		return fromFile(name)
	}
	name = alias(name)
	if m, ok := generic(name); ok {
		return m.profile()
	}
	all, err := embedded()
	if err != nil {
		return profile{}, err
	}
	for _, m := range all {
		if strings.EqualFold(m.ID, name) {
			return m.profile()
		}
	}
	return profile{}, fmt.Errorf("profile %q is neither the path of a .json file nor one of %s", name, strings.Join(Profiles(), ", "))
}

// fromFile reads one profile in the form of profiles.json.
func fromFile(path string) (profile, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the technician names it
	if err != nil {
		return profile{}, fmt.Errorf("read profile: %w", err)
	}
	var m model
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&m); err != nil {
		return profile{}, fmt.Errorf("read profile %s: %w", path, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return profile{}, fmt.Errorf("read profile %s: it holds more than one profile", path)
	}
	p, err := m.profile()
	if err != nil {
		return profile{}, fmt.Errorf("read profile %s: %w", path, err)
	}
	return p, nil
}

// profile checks a model and puts its pages in order.
func (m model) profile() (profile, error) {
	if err := checkColumns(m.Columns); err != nil {
		return profile{}, err
	}
	if len(m.CodePages) == 0 {
		return profile{}, errors.New("codePages names no code page")
	}
	p := profile{columns: m.Columns, processID: m.ProcessID, pulse: m.RealTimePulse, kanji: true}
	left := len(m.CodePages)
	for _, t := range tables() {
		number, ok := m.CodePages[t.name]
		if !ok {
			continue
		}
		left--
		if t.number = number; !t.shaped() {
			p.pages = append(p.pages, t)
		}
	}
	if left > 0 {
		return profile{}, fmt.Errorf("codePages holds a name that is none of %s", pageNames(tables()))
	}
	return p, nil
}

// shaped reports whether text of a page's script comes out wrong without reordering or joining letters, which no
// printer of this kind does: those pages are used only where the options name them.
func (p page) shaped() bool {
	return slices.Contains([]string{"720", "862", "864", "1098", "1255", "1256"}, p.name)
}

// tables are the code pages with Epson's numbers (ESC t in its command reference). The order is the order of preference: 437
// as the printers start in it, then 858 and 1252, which hold the euro sign.
func tables() []page {
	return []page{
		{"437", 0, charmap.CodePage437}, {"858", 19, charmap.CodePage858}, {"1252", 16, charmap.Windows1252},
		{"852", 18, charmap.CodePage852}, {"866", 17, charmap.CodePage866}, {"1253", 47, charmap.Windows1253},
		{"1254", 48, charmap.Windows1254}, {"1257", 51, charmap.Windows1257}, {"865", 5, charmap.CodePage865},
		{"863", 4, charmap.CodePage863}, {"860", 3, charmap.CodePage860}, {"1251", 46, charmap.Windows1251},
		{"1250", 45, charmap.Windows1250}, {"850", 2, charmap.CodePage850}, {"737", 14, upper(upper737)},
		{"775", 33, upper(upper775)}, {"857", 13, upper(upper857)}, {"861", 35, upper(upper861)},
		{"869", 38, upper(upper869)}, {"855", 34, charmap.CodePage855}, {"1125", 44, upper(upper1125)},
		{"iso8859-2", 39, charmap.ISO8859_2}, {"iso8859-15", 40, charmap.ISO8859_15}, {"iso8859-7", 15, charmap.ISO8859_7},
		{"rk1048", 53, upper(upperrk1048)}, {"tcvn-3-1", 30, upper(uppertcvn31)}, {"tcvn-3-2", 31, upper(uppertcvn32)},
		{"1258", 52, charmap.Windows1258}, {"katakana", 1, upper(upperkatakana)}, {"851", 11, upper(upper851)},
		{"853", 12, upper(upper853)}, {"1098", 41, upper(upper1098)}, {"720", 32, upper(upper720)}, {"862", 36, charmap.CodePage862}, {"864", 37, upper(upper864)},
		{"1255", 49, charmap.Windows1255}, {"1256", 50, charmap.Windows1256},
	}
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

func checkColumns(n int) error {
	if n < 16 || n > 96 {
		return fmt.Errorf("columns is %d, must be from 16 to 96", n)
	}
	return nil
}

// newProfile is the profile of the options, with their changes.
func newProfile(o Options) (profile, error) {
	p, err := named(o.Profile)
	if err != nil {
		return profile{}, err
	}
	if o.Columns != 0 {
		if err := checkColumns(o.Columns); err != nil {
			return profile{}, err
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
