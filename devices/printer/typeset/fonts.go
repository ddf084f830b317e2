package typeset

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
	"github.com/go-text/typesetting/font/opentype/tables"
	"github.com/go-text/typesetting/fontscan"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/shaping"
)

// Bounds of the search for fonts, and of what is held in memory of them.
const (
	maxFiles    = 4000        // font files looked at
	maxFileSize = 64 << 20    // bytes; larger files are passed over
	scanLimit   = time.Minute // of one search: a slow machine may need most of it, and each search begins anew
	rescanAfter = 30 * time.Second
	maxLoaded   = 32       // fonts with their outlines in memory
	maxBytes    = 64 << 20 // of their files; one with all of Chinese has 20 MB
	maxChosen   = 8192     // characters whose font is remembered
)

// source is one font, known by what it covers; its outlines are read when they are needed.
type source struct {
	data   []byte // of a built-in font
	path   string
	size   int64 // of the file
	index  int   // in a collection
	family string
	group  int // built-in, own folder, system
	cmap   font.Cmap
	face   *font.Face // nil while not loaded
	width  float64    // of a cell, in ems, where all letters are equally wide; else 0
}

// covers reports whether the font has all those characters.
func (s *source) covers(runes []rune) bool {
	for _, r := range runes {
		if ignorable(r) {
			continue
		}
		if g, ok := s.cmap.Lookup(r); !ok || g == 0 {
			return false
		}
	}
	return true
}

// ignorable characters are not drawn: joiners, marks of direction, variation selectors.
func ignorable(r rune) bool {
	return unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Variation_Selector, r) || r == 0x034F
}

// scan finds the fonts, in a fixed order whatever the order of the disk.
func (t *Typesetter) scan() {
	began := time.Now()
	defer func() { t.scanned = time.Now() }()
	t.fonts, t.loaded = nil, nil
	t.forget()
	clear(t.chosen)
	for i, data := range t.opts.Builtin {
		t.add(source{data: data, path: fmt.Sprintf("built-in %d", i), size: int64(len(data))}, bytes.NewReader(data))
	}
	files := 0
	look := func(folder string, group int) {
		err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil || e.IsDir():
				return nil //nolint:nilerr // a folder that can't be read has no fonts for us
			case files >= maxFiles || time.Since(began) > scanLimit:
				return errTooMany
			case !isFont(path):
				return nil
			}
			files++
			t.addFile(path, group)
			return nil
		})
		if err != nil {
			t.log.Warn("not all fonts are used", "folder", folder, "files", files, "error", err)
		}
	}
	for _, folder := range t.opts.Folders {
		look(folder, 1)
	}
	if t.opts.System {
		folders, err := fontscan.DefaultFontDirectories(log.New(io.Discard, "", 0))
		if err != nil {
			t.log.Warn("no font folders of the system", "error", err)
		}
		for _, folder := range folders {
			look(folder, 2)
		}
	}
	slices.SortStableFunc(t.fonts, func(a, b *source) int {
		if a.group == 0 || b.group == 0 {
			return cmp.Compare(a.group, b.group) // built-in fonts stay as they are
		}
		return cmp.Or(cmp.Compare(a.group, b.group), cmp.Compare(a.family, b.family), cmp.Compare(a.path, b.path), cmp.Compare(a.index, b.index))
	})
	t.log.Debug("fonts", "count", len(t.fonts), "took", time.Since(began))
}

var errTooMany = errors.New("there are too many, or the disk is too slow")

func isFont(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".ttf", ".otf", ".ttc", ".otc":
		return true
	}
	return false
}

func (t *Typesetter) addFile(path string, group int) {
	f, err := os.Open(path) //nolint:gosec // a font folder of the system or of the configuration
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() || st.Size() > maxFileSize {
		return
	}
	t.add(source{path: path, group: group, size: st.Size()}, f)
}

// add takes the upright, regular fonts of a file that have outlines in one colour. A file that is damaged is passed over.
func (t *Typesetter) add(s source, file font.Resource) {
	defer func() {
		if v := recover(); v != nil { // a parser stumbled over a damaged file
			t.log.Warn("font can't be read", "file", s.path, "error", v)
		}
	}()
	loaders, err := opentype.NewLoaders(file)
	if err != nil {
		t.log.Debug("font can't be read", "file", s.path, "error", err)
		return
	}
	for i, ld := range loaders {
		if !drawable(ld) {
			continue
		}
		desc, _ := font.Describe(ld, nil)
		variable := ld.HasTable(opentype.MustNewTag("fvar"))
		if s.group > 0 && (desc.Aspect.Style == font.StyleItalic || !variable && (desc.Aspect.Weight < 350 || desc.Aspect.Weight > 550)) {
			continue
		}
		raw, err := ld.RawTable(opentype.MustNewTag("cmap"))
		if err != nil {
			continue
		}
		table, _, err := tables.ParseCmap(raw)
		if err != nil {
			continue
		}
		cmap, _, err := font.ProcessCmap(table, tables.FPNone)
		if err != nil {
			continue
		}
		one := s
		one.index, one.family, one.cmap = i, font.NormalizeFamily(desc.Family), cmap
		t.fonts = append(t.fonts, &one)
	}
}

// drawable reports whether a font has plain outlines.
func drawable(ld *opentype.Loader) bool {
	has := func(tag string) bool { return ld.HasTable(opentype.MustNewTag(tag)) }
	return (has("glyf") || has("CFF ") || has("CFF2")) && !has("COLR") && !has("SVG ") && !has("sbix") && !has("CBDT")
}

// load gives the face of a font, and lets go of the one that was not used for longest where there are too many.
func (t *Typesetter) load(s *source) (*font.Face, error) {
	if s.face != nil {
		i := slices.Index(t.loaded, s)
		t.loaded = append(slices.Delete(t.loaded, i, i+1), s)
		return s.face, nil
	}
	face, err := s.open()
	if err != nil {
		return nil, fmt.Errorf("read font %s: %w", s.path, err)
	}
	s.face, s.width = face, cell(face)
	t.loaded = append(t.loaded, s)
	bytes := int64(0)
	for _, other := range t.loaded {
		bytes += other.size
	}
	for len(t.loaded) > 1 && (len(t.loaded) > maxLoaded || bytes > maxBytes) {
		bytes -= t.loaded[0].size
		t.loaded[0].face = nil
		t.loaded = slices.Delete(t.loaded, 0, 1)
		t.forget()
	}
	return face, nil
}

// forget makes the shaper let go of all fonts: it keeps them on its own account.
func (t *Typesetter) forget() {
	t.shaper = shaping.HarfbuzzShaper{}
	t.shaper.SetFontCacheSize(maxLoaded)
}

// open reads all of a font that the search has seen only parts of: it may turn out to be damaged, or be gone.
func (s *source) open() (face *font.Face, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("it is damaged: %v", v)
		}
	}()
	var file font.Resource = bytes.NewReader(s.data)
	if s.data == nil {
		f, err := os.Open(s.path)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }()
		file = f
	}
	loaders, err := opentype.NewLoaders(file)
	if err != nil {
		return nil, err
	}
	if s.index >= len(loaders) {
		return nil, errors.New("it has changed")
	}
	f, err := font.NewFont(loaders[s.index])
	if err != nil {
		return nil, err
	}
	face = font.NewFace(f)
	if loaders[s.index].HasTable(opentype.MustNewTag("fvar")) {
		face.SetVariations([]font.Variation{{Tag: opentype.MustNewTag("wght"), Value: 400}})
	}
	return face, nil
}

// drop forgets a font that can't be used.
func (t *Typesetter) drop(s *source, err error) {
	t.log.Warn("font is not used", "error", err)
	t.fonts = slices.DeleteFunc(t.fonts, func(other *source) bool { return other == s })
	clear(t.chosen)
}

// cell is the width of a letter, in ems, in a font whose letters are all equally wide; else 0.
func cell(f *font.Face) float64 {
	var all float32
	for _, r := range "iMW0" {
		g, ok := f.NominalGlyph(r)
		w := f.HorizontalAdvance(g)
		if !ok || w <= 0 || all != 0 && w != all {
			return 0
		}
		all = w
	}
	return float64(all) / float64(f.Upem())
}

// choice is what a font is picked for.
type choice struct {
	script language.Script
	region string
	r      rune
}

// pick finds the font for a cluster: the best that has all its characters, nil where none has.
func (t *Typesetter) pick(runes []rune, script language.Script, region string) *source {
	key := choice{script, region, runes[0]}
	if len(runes) == 1 {
		if s, ok := t.chosen[key]; ok {
			return s
		}
	}
	var best *source
	bestRank := 0
	for _, s := range t.fonts {
		if rank := s.rank(script, region); (best == nil || rank < bestRank) && s.covers(runes) {
			best, bestRank = s, rank
		}
	}
	if len(runes) == 1 && best != nil {
		if len(t.chosen) > maxChosen {
			clear(t.chosen)
		}
		t.chosen[key] = best
	}
	return best
}

// rank orders fonts that have the same characters: lower is better. Letters of one width suit the grid of a printer,
// but not scripts whose letters join or differ much; there the font made for the script is better.
func (s *source) rank(script language.Script, region string) int {
	if s.group == 0 {
		return 0
	}
	base := s.group * 100
	mono, noto := strings.Contains(s.family, "mono"), strings.HasPrefix(s.family, "notosans")
	switch {
	case isCJK(script):
		switch {
		case strings.Contains(s.family, "cjk"+region) && !mono:
			return base + 1
		case strings.Contains(s.family, "cjk") && strings.HasPrefix(s.family, "notosans"):
			return base + 2
		}
	case plain(script) && noto && mono && !strings.Contains(s.family, "cjk"):
		return base + 3
	case plain(script) && mono && !strings.Contains(s.family, "cjk"):
		return base + 4
	}
	switch {
	case noto && !mono && len(s.family) == len("notosans"):
		return base + 5
	case noto && !mono && !strings.Contains(s.family, "cjk"):
		return base + 6
	case strings.Contains(s.family, "sans") && !mono:
		return base + 7
	case strings.Contains(s.family, "serif") || strings.Contains(s.family, "nastaliq"):
		return base + 9
	}
	return base + 8
}

// plain scripts are drawn letter by letter, each about as wide as the others.
func plain(s language.Script) bool {
	switch s {
	case language.Latin, language.Greek, language.Cyrillic, language.Common, language.Inherited:
		return true
	}
	return false
}

func isCJK(s language.Script) bool {
	switch s {
	case language.Han, language.Hiragana, language.Katakana, language.Hangul, language.Bopomofo:
		return true
	}
	return false
}

// region is whose shapes the Chinese characters of a line take: Japanese beside kana, Korean beside Hangul, Taiwanese
// beside Bopomofo, else those of the mainland.
func region(text []rune) string {
	for _, r := range text {
		switch language.LookupScript(r) {
		case language.Hiragana, language.Katakana:
			return "jp"
		case language.Hangul:
			return "kr"
		case language.Bopomofo:
			return "tc"
		}
	}
	return "sc"
}

// missing is the error for characters that no font has.
func (t *Typesetter) missing(runes []rune) error {
	script := language.LookupScript(runes[0])
	e := &NoFontError{Runes: runes, Script: script.String(), Package: "fonts-noto-core"}
	core := slices.ContainsFunc(t.fonts, func(s *source) bool { return s.group > 0 && s.family == "notosans" })
	switch r := runes[0]; {
	case unicode.In(r, unicode.Co, unicode.Noncharacter_Code_Point) || r == unicode.ReplacementChar:
		e.Package = ""
	case isCJK(script) || r >= 0x3000 && r < 0x3400 || r >= 0xFF00 && r < 0xFFF0:
		e.Package = "fonts-noto-cjk"
	case unicode.In(r, unicode.So, unicode.Sk):
		e.Package = "fonts-symbola"
	case core:
		e.Package = "fonts-unifont"
	}
	return e
}

// stale reports whether fonts may have been installed since they were looked for.
func (t *Typesetter) stale() bool { return time.Since(t.scanned) > rescanAfter }
