package preview

import (
	"image"
	"image/draw"
	"strings"
	"unicode"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/font/gofont/gomonobold"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/font/sfnt"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/unicode/norm"

	"storeagent/devices/printer"
)

// Go Mono is 0.6 em wide: 20 dots a character of font A, 15 one of font B. Its baseline is that far below the top.
const (
	sizeA, baseA = 20, 19
	sizeB, baseB = 15, 14
)

// noGlyph stands for a character that no font has.
const noGlyph = '\u25A1'

// Renderer draws documents. It is safe for concurrent use.
type Renderer struct {
	regular, bold *sfnt.Font
	setter        Typesetter
}

// New loads Go Mono, which is part of the program and has Latin, Greek and Cyrillic letters. The setter draws lines
// with others; where it is nil they become boxes. It must be safe for concurrent use.
func New(setter Typesetter) (*Renderer, error) {
	regular, err := opentype.Parse(gomono.TTF)
	if err != nil {
		return nil, err
	}
	bold, err := opentype.Parse(gomonobold.TTF)
	if err != nil {
		return nil, err
	}
	return &Renderer{regular: regular, bold: bold, setter: setter}, nil
}

// glyphs are the characters of a text and the cells they take; what has neither width nor shape is left out.
func glyphs(s string) []glyph {
	var out []glyph
	for _, c := range plain(s) {
		if n := printer.Width(string(c)); n > 0 {
			out = append(out, glyph{c, n})
		}
	}
	return out
}

// plain makes spaces and hyphens that differ in breaking only alike, and drops what only says where to break.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case unicode.Is(unicode.Zs, c) && printer.Width(string(c)) == 1:
			return ' '
		case c == '\u2010' || c == '\u2011':
			return '-'
		case c == '\u00AD' || c == '\u200B' || c == '\u2060' || c == '\uFEFF':
			return -1
		}
		return c
	}, norm.NFC.String(s))
}

// foreign are the characters of a text that Go Mono does not have.
func (r *Renderer) foreign(s string) []rune {
	var buf sfnt.Buffer
	var out []rune
	for _, c := range plain(s) {
		if index, err := r.regular.GlyphIndex(&buf, c); c != '\n' && (err != nil || index == 0) {
			out = append(out, c)
		}
	}
	return out
}

// pen draws characters as dots of one size, and keeps them for the next time. One picture is drawn with each.
type pen struct {
	r     *Renderer
	faces map[penKey]font.Face
	masks map[maskKey]*image.Alpha
}

type penKey struct {
	cell image.Point
	bold bool
}

type maskKey struct {
	penKey
	r rune
}

func newPen(r *Renderer) *pen {
	return &pen{r: r, faces: map[penKey]font.Face{}, masks: map[maskKey]*image.Alpha{}}
}

// mask is a character in its cells, unscaled.
func (p *pen) mask(k penKey, g glyph) (*image.Alpha, error) {
	key := maskKey{k, g.r}
	if m, ok := p.masks[key]; ok {
		return m, nil
	}
	m := image.NewAlpha(image.Rect(0, 0, k.cell.X*g.cells, k.cell.Y))
	face, err := p.face(k)
	if err != nil {
		return nil, err
	}
	base := baseA
	if k.cell.X == cellB {
		base = baseB
	}
	if at, mask, mp, _, ok := face.Glyph(fixed.P(0, base), g.r); ok {
		draw.DrawMask(m, at, image.Opaque, image.Point{}, mask, mp, draw.Over)
	}
	p.masks[key] = m
	return m, nil
}

func (p *pen) face(k penKey) (font.Face, error) {
	if f, ok := p.faces[k]; ok {
		return f, nil
	}
	from, size := p.r.regular, float64(sizeA)
	if k.bold {
		from = p.r.bold
	}
	if k.cell.X == cellB {
		size = sizeB
	}
	f, err := opentype.NewFace(from, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
	if err == nil {
		p.faces[k] = f
	}
	return f, err
}
