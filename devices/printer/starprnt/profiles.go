package starprnt

import (
	"cmp"
	_ "embed" // profiles.json
	"fmt"
	"slices"

	"storeagent/devices/printer/codepage"
	"storeagent/devices/printer/driver"
)

// profile is what the driver must know of a model.
type profile struct {
	columns  int    // font A characters on a line
	raster   string // one of the words below, "" for no pictures
	enlarge  int    // times that text can be as wide and high
	barcodes bool   // ESC b
	qr       bool   // ESC GS y
	utf8     bool   // ESC GS ) U
	counter  bool   // ESC GS ETX
	pulse    bool   // FS and EM open a drawer at once
	pages    []codepage.Page
}

// The ways to print a picture.
const (
	rasterGraphics = "graphics" // ESC GS S, StarPRNT
	rasterMode     = "mode"     // ESC * r, Star Line Mode
	rasterOnly     = "only"     // nothing but dots, Star Graphic Mode
)

// model is one profile of profiles.json, and the form of a profile that a technician keeps in a file.
type model struct {
	ID        string          `json:"id"`
	Name      string          `json:"name"`
	Columns   int             `json:"columns"` // of 12 dots; the paper is so many dots wide at the most
	Raster    string          `json:"raster"`
	Enlarge   int             `json:"enlarge"` // 6 where 0
	Barcodes  bool            `json:"barcodes"`
	QR        bool            `json:"qr"`
	UTF8      bool            `json:"utf8"`
	Counter   bool            `json:"documentCounter"`
	Pulse     bool            `json:"realTimePulse"`
	CodePages map[string]byte `json:"codePages"` // number of ESC GS t by the page's name; Star's own where empty
	Source    string          `json:"source"`    // where these facts are from
}

//go:embed profiles.json
var models []byte

// numbers are Star's numbers of the code pages (ESC GS t n, StarPRNT 2.3.1; the list is the one of escpos-printer-db).
func numbers() map[string]byte {
	return map[string]byte{
		"437": 1, "katakana": 2, "858": 4, "852": 5, "860": 6, "861": 7, "863": 8, "865": 9, "866": 10, "855": 11, "857": 12,
		"862": 13, "864": 14, "737": 15, "869": 17, "1252": 32, "1250": 33, "1251": 34,
	}
}

// Profiles are the names that Options.Profile takes besides the path of a file.
func Profiles() []string {
	all, _ := driver.ParseModels[model](models) // a test reads it
	return driver.ProfileNames(all)
}

// Called implements driver.Model.
func (m model) Called() string { return m.ID }

// Profile implements driver.Model: it checks the model and puts its pages in order.
func (m model) Profile() (profile, error) {
	p := profile{columns: m.Columns, raster: m.Raster, enlarge: m.Enlarge, barcodes: m.Barcodes, qr: m.QR, utf8: m.UTF8,
		counter: m.Counter, pulse: m.Pulse}
	if p.enlarge == 0 {
		p.enlarge = 6
	}
	switch {
	case p.enlarge < 1 || p.enlarge > 6:
		return profile{}, fmt.Errorf("enlarge is %d, must be from 1 to 6", p.enlarge)
	case !slices.Contains([]string{"", rasterGraphics, rasterMode, rasterOnly}, p.raster):
		return profile{}, fmt.Errorf("raster is %q, must be %s, %s, %s or empty", p.raster, rasterGraphics, rasterMode, rasterOnly)
	}
	if err := driver.CheckColumns(m.Columns); err != nil {
		return profile{}, err
	}
	if len(m.CodePages) == 0 {
		m.CodePages = numbers()
	}
	var err error
	if p.pages, err = codepage.Numbered(m.CodePages); err != nil {
		return profile{}, fmt.Errorf("codePages: %w", err)
	}
	return p, nil
}

// newProfile is the profile of the options, with their changes.
func newProfile(o Options) (profile, error) {
	all, err := driver.ParseModels[model](models)
	if err != nil {
		return profile{}, err
	}
	p, err := driver.NamedProfile(cmp.Or(o.Profile, "star-80mm"), all)
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
		known := numbers()
		for _, page := range p.pages {
			known[page.Name] = page.Number
		}
		if p.pages, err = codepage.Parse(o.Codepages, known); err != nil {
			return profile{}, err
		}
	}
	return p, nil
}
