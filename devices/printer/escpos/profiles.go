package escpos

import (
	"cmp"
	_ "embed" // profiles.json
	"errors"
	"fmt"

	"storeagent/devices/printer/codepage"
	"storeagent/devices/printer/driver"
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

// known are the models that profiles.json names, another name of one of them, and two of no model: 58 and 80 mm paper
// with the code pages that nearly every clone has.
func known() ([]model, error) {
	all, err := driver.ParseModels[model](models)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		if m.ID == "TM-T88V" {
			m.ID = "epson-tm-t88v"
			all = append(all, m)
			break
		}
	}
	few := map[string]byte{"437": 0, "858": 19, "1252": 16, "852": 18, "866": 17}
	return append(all, model{ID: "generic-58mm", Columns: 32, CodePages: few}, model{ID: "generic-80mm", Columns: 48, CodePages: few}), nil
}

// Profiles are the names that Options.Profile takes besides the path of a file.
func Profiles() []string {
	all, _ := known() // a test reads it
	return driver.ProfileNames(all)
}

// Called implements driver.Model.
func (m model) Called() string { return m.ID }

// Profile implements driver.Model: it checks the model and puts its pages in order.
func (m model) Profile() (profile, error) {
	if err := driver.CheckColumns(m.Columns); err != nil {
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

// newProfile is the profile of the options, with their changes.
func newProfile(o Options) (profile, error) {
	all, err := known()
	if err != nil {
		return profile{}, err
	}
	p, err := driver.NamedProfile(cmp.Or(o.Profile, "default"), all)
	if err != nil {
		return profile{}, err
	}
	if o.Columns != 0 {
		if err := driver.CheckColumns(o.Columns); err != nil {
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
