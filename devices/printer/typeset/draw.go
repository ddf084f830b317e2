package typeset

import (
	"fmt"
	"image"
	"image/draw"
	"math"
	"slices"
	"unicode"

	"github.com/go-text/typesetting/bidi"
	"github.com/go-text/typesetting/di"
	"github.com/go-text/typesetting/font"
	"github.com/go-text/typesetting/font/opentype"
	"github.com/go-text/typesetting/language"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/width"

	"storeagent/devices/printer"
)

// emUnits is the size that text is shaped at; it is scaled to dots when it is drawn.
const emUnits = 1000

// ink is the coverage, of 255, from which on a dot is black: thin strokes must not fall between two dots.
const ink = 112

// piece is text of one direction, script and font.
type piece struct {
	start, end int
	level      bidi.Level
	script     language.Script
	font       *source
	shaped     shaping.Output
	em         float64 // dots of an em across
}

// placed is a span with its glyphs, ready to be drawn.
type placed struct {
	style    Style
	pieces   []piece // from the left
	x        float64 // dots to the left of it
	width    float64 // dots
	squeeze  float64 // factor across, 1 where it fits
	up, down float64 // of its ink above and below the base line, in dots
}

// place shapes a span and finds its place on the line.
func (t *Typesetter) place(span Span, dots int) (placed, error) {
	room := float64(dots - span.X)
	if span.Dots > 0 {
		room = min(room, float64(span.Dots))
	}
	s, text := span.Style, []rune(span.Text)
	d := direction(text, s.Direction)
	p := placed{style: s, x: float64(span.X), squeeze: 1}
	if room <= 0 || span.X < 0 || len(text) == 0 {
		return p, nil
	}
	pieces, err := t.glyphs(text, d, float64(s.cellWidth()))
	if err != nil {
		return p, err
	}
	for _, q := range pieces {
		p.width += units(q.shaped.Advance) * q.em
		yem := float64(s.cellHeight())
		p.up = max(p.up, units(q.shaped.GlyphBounds.Ascent)*yem)
		p.down = max(p.down, -units(q.shaped.GlyphBounds.Descent)*yem)
	}
	reorder(pieces, func(p piece) bidi.Level { return p.level })
	p.pieces = pieces
	if p.width > room {
		p.squeeze = room / p.width
		p.width = room
	}
	switch align := s.Align; {
	case align == "center":
		p.x += math.Floor((room - p.width) / 2)
	case align == "right" || align == "" && d == RightToLeft:
		p.x += room - p.width
	}
	return p, nil
}

// units is a length in ems.
func units(v fixed.Int26_6) float64 { return float64(v) / 64 / emUnits }

// glyphs cuts text into pieces and shapes them. A font that can't be read in the end is dropped, and others are tried.
func (t *Typesetter) glyphs(text []rune, d Direction, cellDots float64) ([]piece, error) {
	for {
		pieces, err := t.split(text, d)
		if err != nil {
			return nil, err
		}
		bad, err := t.shapeAll(pieces, text, cellDots)
		if err == nil {
			return pieces, nil
		}
		t.drop(bad, err)
	}
}

// shapeAll shapes the pieces, those of one font after each other, so that none is loaded twice for a line. Where a font
// can't be read it returns that with the error.
func (t *Typesetter) shapeAll(pieces []piece, text []rune, cellDots float64) (*source, error) {
	done := map[*source]bool{}
	for i := range pieces {
		f := pieces[i].font
		if done[f] {
			continue
		}
		done[f] = true
		for j := i; j < len(pieces); j++ {
			if pieces[j].font != f {
				continue
			}
			if err := t.shape(&pieces[j], text, cellDots); err != nil {
				return f, err
			}
		}
	}
	return nil, nil
}

// split cuts text where direction, script or font change, never inside a cluster.
func (t *Typesetter) split(text []rune, d Direction) ([]piece, error) {
	if t.scanned.IsZero() {
		t.scan()
	}
	pieces, lacking := t.itemize(text, d)
	if len(lacking) > 0 && t.stale() {
		t.scan()
		pieces, lacking = t.itemize(text, d)
	}
	if len(lacking) > 0 {
		return nil, t.missing(lacking)
	}
	return pieces, nil
}

// itemize is split without a second look at the disk; lacking are the characters that no font has. Where no font has all
// of a cluster, its marks come from another one than its letter.
func (t *Typesetter) itemize(text []rune, d Direction) (pieces []piece, lacking []rune) {
	levels, scripts, reg := t.levels(text, d), scriptsOf(text), region(text)
	add := func(start, end int, f *source) {
		if n := len(pieces) - 1; n >= 0 {
			if last := &pieces[n]; last.level == levels[start] && last.script == scripts[start] && last.font == f {
				last.end = end
				return
			}
		}
		pieces = append(pieces, piece{start: start, end: end, level: levels[start], script: scripts[start], font: f})
	}
	t.clusters.Init(text)
	for it := t.clusters.GraphemeIterator(); it.Next(); {
		g := it.Grapheme()
		at := g.Offset
		if n := len(pieces) - 1; n >= 0 && blank(g.Text) && pieces[n].font.covers(g.Text) {
			add(at, at+len(g.Text), pieces[n].font) // a space does not need a font of its own
			continue
		}
		if f := t.pick(g.Text, scripts[at], reg); f != nil {
			add(at, at+len(g.Text), f)
			continue
		}
		for i, r := range g.Text {
			if f := t.pick([]rune{r}, scripts[at], reg); f != nil {
				add(at+i, at+i+1, f)
			} else if !slices.Contains(lacking, r) {
				lacking = append(lacking, r)
			}
		}
	}
	return pieces, lacking
}

func blank(runes []rune) bool {
	for _, r := range runes {
		if !unicode.IsSpace(r) && !ignorable(r) {
			return false
		}
	}
	return true
}

// scriptsOf gives each character its script; those of none take that of the letters before, else behind them.
func scriptsOf(text []rune) []language.Script {
	out := make([]language.Script, len(text))
	now := language.Common
	for i, r := range text {
		if s := language.LookupScript(r); s.Strong() {
			if now == language.Common {
				for j := range i {
					out[j] = s
				}
			}
			now = s
		}
		out[i] = now
	}
	return out
}

// shape turns the characters of a piece into glyphs.
func (t *Typesetter) shape(p *piece, text []rune, cellDots float64) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("shape with font %s: it is damaged: %v", p.font.path, v)
		}
	}()
	face, err := t.load(p.font)
	if err != nil {
		return err
	}
	dir := di.DirectionLTR
	if p.level%2 == 1 {
		dir = di.DirectionRTL
	}
	p.shaped = t.shaper.Shape(shaping.Input{
		Text: text, RunStart: p.start, RunEnd: p.end, Direction: dir, Face: face,
		Size: fixed.I(emUnits), Script: p.script, Language: "und",
	})
	switch {
	case slices.ContainsFunc(text[p.start:p.end], isWide):
		p.em = 2 * cellDots
	case p.font.width > 0:
		p.em = cellDots / p.font.width
	default:
		p.em = 1.8 * cellDots
	}
	return nil
}

func isWide(r rune) bool {
	k := width.LookupRune(r).Kind()
	return k == width.EastAsianWide || k == width.EastAsianFullwidth
}

// draw puts the spans on one line of paper.
func (t *Typesetter) draw(spans []placed, dots, height int) printer.Bitmap {
	out := printer.Bitmap{Width: dots, Height: height, Stride: (dots + 7) / 8}
	out.Bits = make([]byte, out.Stride*height)
	base := baseline(spans, float64(height))
	mask := image.NewAlpha(image.Rect(0, 0, dots, height))
	for _, p := range spans {
		if len(p.pieces) == 0 {
			continue
		}
		t.raster.Reset(dots, height)
		t.raster.DrawOp = draw.Src
		x := p.x
		for i := range p.pieces {
			x = t.outline(&p.pieces[i], x, p, base, float64(height))
		}
		t.raster.Draw(mask, mask.Rect, image.Opaque, image.Point{})
		smear := 0
		if p.style.Bold {
			smear = p.style.Width
		}
		copyInk(out, mask, smear)
		from, to := int(math.Round(p.x)), int(math.Round(p.x+p.width))
		if n := p.style.Height; p.style.Underline {
			top := min(int(base)+2*n, height-n)
			flip(out, from, to, top, top+n, func(old, bit byte) byte { return old | bit })
		}
		if cell := p.style.cellHeight(); p.style.Invert {
			bottom := min(int(base)+cell/4, height)
			flip(out, from, to, max(bottom-cell, 0), bottom, func(old, bit byte) byte { return old ^ bit })
		}
	}
	return out
}

// baseline is the row that letters stand on: where Latin letters sit well, moved where marks need the room.
func baseline(spans []placed, room float64) float64 {
	var up, down, cell float64
	for _, p := range spans {
		up, down, cell = max(up, p.up), max(down, p.down), max(cell, float64(p.style.cellHeight()))
	}
	up, down = min(up, room), min(down, room/2) // a pile of marks leaves room for the letters beside it
	if up+down > room {
		return math.Floor(room * up / (up + down)) // never so low that what is below has no room at all
	}
	// A capital is 0.72 em high, and stands in the middle of its cell, which stands in the middle of the line.
	return math.Round(min(max(room/2+0.36*cell, up), room-down))
}

// outline adds the outlines of a piece from x on, and returns where it ends.
func (t *Typesetter) outline(p *piece, x float64, in placed, base, height float64) float64 {
	xem, upem := p.em*in.squeeze, float64(p.shaped.Face.Upem())
	for _, letters := range lower(p.shaped.Glyphs, float64(in.style.cellHeight()), base, height-base) {
		for _, g := range letters.glyphs {
			gx, gy := x+units(g.XOffset)*xem, base-units(g.YOffset)*letters.yem
			if o, ok := p.shaped.Face.GlyphDataOutline(g.GlyphID); ok {
				t.path(o, gx, gy, xem/upem, letters.yem/upem)
			}
			x += units(g.Advance) * xem
		}
	}
	return x
}

// letter is a letter with its marks, and the dots of an em upwards that it is drawn with.
type letter struct {
	glyphs []shaping.Glyph
	yem    float64
}

// lower finds how high letters may be drawn that have so many dots above and below the base line. What is higher is
// drawn lower together with the words that it stands in, so that these look alike; the words beside them stay as they are.
// Only a pile of marks, more than twice as high as the line, is lowered by itself.
func lower(glyphs []shaping.Glyph, yem, above, below float64) []letter {
	var all []letter
	for len(glyphs) > 0 {
		n := 1
		for n < len(glyphs) && glyphs[n].TextIndex() == glyphs[0].TextIndex() {
			n++
		}
		l := letter{glyphs[:n], yem}
		for _, g := range l.glyphs {
			top := units(g.YOffset+g.YBearing) * yem
			bottom := -units(g.YOffset+g.YBearing+g.Height) * yem
			if top > above {
				l.yem = min(l.yem, yem*above/top)
			}
			if bottom > below {
				l.yem = min(l.yem, yem*below/bottom)
			}
		}
		all, glyphs = append(all, l), glyphs[n:]
	}
	together := yem
	for _, l := range all {
		if l.yem >= yem/2 {
			together = min(together, l.yem)
		}
	}
	for i := range all {
		all[i].yem = min(all[i].yem, together)
	}
	return all
}

// path adds one outline; sx and sy are dots a font unit.
func (t *Typesetter) path(o font.GlyphOutline, x, y, sx, sy float64) {
	at := func(p opentype.SegmentPoint) (float32, float32) {
		return float32(x + float64(p.X)*sx), float32(y - float64(p.Y)*sy)
	}
	open := false
	for _, seg := range o.Segments {
		ax, ay := at(seg.Args[0])
		switch seg.Op {
		case opentype.SegmentOpMoveTo:
			if open {
				t.raster.ClosePath()
			}
			t.raster.MoveTo(ax, ay)
			open = true
		case opentype.SegmentOpLineTo:
			t.raster.LineTo(ax, ay)
		case opentype.SegmentOpQuadTo:
			bx, by := at(seg.Args[1])
			t.raster.QuadTo(ax, ay, bx, by)
		case opentype.SegmentOpCubeTo:
			bx, by := at(seg.Args[1])
			cx, cy := at(seg.Args[2])
			t.raster.CubeTo(ax, ay, bx, by, cx, cy)
		}
	}
	if open {
		t.raster.ClosePath()
	}
}

// copyInk blackens the dots that the mask covers, and for bold text as many to their right.
func copyInk(out printer.Bitmap, mask *image.Alpha, smear int) {
	for y := range out.Height {
		row := mask.Pix[y*mask.Stride : y*mask.Stride+out.Width]
		for x, a := range row {
			if a < ink {
				continue
			}
			for i := x; i <= min(x+smear, out.Width-1); i++ {
				out.Bits[y*out.Stride+i/8] |= 0x80 >> (i % 8)
			}
		}
	}
}

// flip changes the dots of a rectangle; f gives the new byte from the old one and the dot's bit in it.
func flip(out printer.Bitmap, left, right, top, bottom int, f func(old, bit byte) byte) {
	for y := top; y < bottom; y++ {
		for x := max(left, 0); x < min(right, out.Width); x++ {
			b := &out.Bits[y*out.Stride+x/8]
			*b = f(*b, 0x80>>(x%8))
		}
	}
}
