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
	"strings"

	"storeagent/devices/printer/codepage"
)

// profile is what the driver must know of a model.
type profile struct {
	columns   int  // font A characters on a line
	processID bool // confirms jobs by GS ( H fn 48
	pulse     bool // opens a drawer in real time (DLE DC4 fn 1), also where it does not confirm jobs
	pictures  bool // knows GS v 0
	stored    bool // keeps images in its own memory (GS ( L fn 67 and 69)
	kanji     bool // starts in a multi-byte mode that must be left (FS .)
	pages     []codepage.Page
}

// model is one profile of profiles.json, and the form of a profile that a technician keeps in a file.
type model struct {
	ID            string          `json:"id"`
	Name          string          `json:"name"`
	Columns       int             `json:"columns"`
	ProcessID     bool            `json:"processId"`
	RealTimePulse bool            `json:"realTimePulse"`
	CodePages     map[string]byte `json:"codePages"`          // number of ESC t by the page's name
	Pictures      *bool           `json:"pictures,omitempty"` // false where it has no GS v 0
	Stored        bool            `json:"stored,omitempty"`   // keeps images in its own memory (GS ( L, functions 67 and 69)
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
	pages, err := codepage.Numbered(m.CodePages)
	if err != nil {
		return profile{}, fmt.Errorf("codePages: %w", err)
	}
	return profile{columns: m.Columns, processID: m.ProcessID, pulse: m.RealTimePulse, kanji: true, pages: pages,
		pictures: m.Pictures == nil || *m.Pictures, stored: m.Stored}, nil
}

// numbers are those that Epson's command reference gives to ESC t.
func numbers() map[string]byte {
	return map[string]byte{
		"437": 0, "katakana": 1, "850": 2, "860": 3, "863": 4, "865": 5, "851": 11, "853": 12, "857": 13, "737": 14, "iso8859-7": 15,
		"1252": 16, "866": 17, "852": 18, "858": 19, "tcvn-3-1": 30, "tcvn-3-2": 31, "720": 32, "775": 33, "855": 34, "861": 35,
		"862": 36, "864": 37, "869": 38, "iso8859-2": 39, "iso8859-15": 40, "1098": 41, "1125": 44, "1250": 45, "1251": 46,
		"1253": 47, "1254": 48, "1255": 49, "1256": 50, "1257": 51, "1258": 52, "rk1048": 53,
	}
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
		pages, err := codepage.Parse(o.Codepages, numbers())
		if err != nil {
			return profile{}, err
		}
		p.pages = pages
	}
	return p, nil
}
