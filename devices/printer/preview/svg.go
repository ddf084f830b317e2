package preview

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"image"
	"strings"

	"storeagent/devices/printer"
)

// svgFonts are monospaced fonts that look much like the one of the PNG, the last being whatever the viewer has.
const svgFonts = "Go Mono, DejaVu Sans Mono, Menlo, Consolas, monospace"

// svg writes the sheet for a viewer: one user unit a dot.
func (s *sheet) svg() ([]byte, error) {
	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %[1]d %[2]d" role="img" font-family="%s">`+"\n",
		s.width, s.height, svgFonts)
	fmt.Fprintf(&out, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", s.width, s.height)
	for _, it := range s.items {
		switch {
		case it.text != nil:
			it.text.svg(&out, it.at)
		case it.bitmap != nil:
			if err := svgImage(&out, it); err != nil {
				return nil, err
			}
		default:
			fmt.Fprintf(&out, `<path transform="translate(%d %d)" d="%s">%s</path>`+"\n", it.at.X, it.at.Y, path(it.rects), title(it.label))
		}
	}
	out.WriteString("</svg>\n")
	return out.Bytes(), nil
}

// svg writes a text in pieces between wide gaps, each told where to begin and how wide to be, so that columns stand
// below each other whatever font the viewer has.
func (t *text) svg(out *bytes.Buffer, at image.Point) {
	size, base := sizeA, baseA
	if t.cell.X == cellB {
		size, base = sizeB, baseB
	}
	weight := ""
	if t.bold {
		weight = ` font-weight="bold"`
	}
	fill := ""
	if t.invert {
		fill = ` fill="#fff"`
		fmt.Fprintf(out, `<path d="%s"/>`+"\n", path([]image.Rectangle{t.box().Add(at)}))
	}
	for _, p := range t.pieces() {
		fmt.Fprintf(out, `<text transform="translate(%d %d) scale(%d %d)" font-size="%d"%s%s textLength="%d" lengthAdjust="spacingAndGlyphs" xml:space="preserve">%s</text>`+"\n",
			at.X+p.cell*t.cell.X*t.w, at.Y+base*t.h, t.w, t.h, size, weight, fill, p.cells*t.cell.X, escape(p.text))
	}
	if line := t.underlining(); !line.Empty() {
		fmt.Fprintf(out, `<path d="%s"/>`+"\n", path([]image.Rectangle{line.Add(at)}))
	}
}

// piece is a stretch of a text without two spaces in a row.
type piece struct {
	cell, cells int // where it begins, and its width
	text        string
}

func (t *text) pieces() []piece {
	var out []piece
	var now piece
	var b strings.Builder
	end := func() {
		if now.text = strings.TrimRight(b.String(), " "); now.text != "" {
			now.cells = printer.Width(now.text)
			out = append(out, now)
		}
		b.Reset()
	}
	cell := 0
	for i, g := range t.glyphs {
		if g.r == ' ' && (b.Len() == 0 || i+1 < len(t.glyphs) && t.glyphs[i+1].r == ' ') {
			end()
		} else {
			if b.Len() == 0 {
				now = piece{cell: cell}
			}
			b.WriteRune(g.r)
		}
		cell += g.cells
	}
	end()
	return out
}

func svgImage(out *bytes.Buffer, it item) error {
	data, err := encode((*canvas)(it.bitmap))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, `<image x="%d" y="%d" width="%d" height="%d" href="data:image/png;base64,%s">%s</image>`+"\n",
		it.at.X, it.at.Y, it.bitmap.Width, it.bitmap.Height, base64.StdEncoding.EncodeToString(data), title(it.label))
	return nil
}

func path(rects []image.Rectangle) string {
	var b strings.Builder
	for _, r := range rects {
		fmt.Fprintf(&b, "M%d %dh%dv%dh%dz", r.Min.X, r.Min.Y, r.Dx(), r.Dy(), -r.Dx())
	}
	return b.String()
}

func title(label string) string { return "<title>" + escape(label) + "</title>" }

// escape makes any text harmless between tags; what XML cannot hold becomes U+FFFD.
func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}
