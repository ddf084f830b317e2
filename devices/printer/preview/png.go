package preview

import (
	"bytes"
	"image"
	"image/color"
	"image/png"

	"storeagent/devices/printer"
)

// ink is the coverage from which a dot is black. It is below one half because thin strokes would break else.
const ink = 0x60

// canvas is the paper in dots, which package png writes with one bit each.
type canvas printer.Bitmap

func newCanvas(width, height int) *canvas {
	stride := (width + 7) / 8
	return &canvas{Width: width, Height: height, Stride: stride, Bits: make([]byte, stride*height)}
}

func (c *canvas) ColorModel() color.Model { return color.Palette{color.White, color.Black} }
func (c *canvas) Bounds() image.Rectangle { return image.Rect(0, 0, c.Width, c.Height) }
func (c *canvas) At(x, y int) color.Color {
	return []color.Color{color.White, color.Black}[c.ColorIndexAt(x, y)]
}
func (c *canvas) ColorIndexAt(x, y int) byte { return c.Bits[y*c.Stride+x/8] >> (7 - x%8) & 1 }

// fill blackens what of a rectangle is on the paper, or whitens it.
func (c *canvas) fill(r image.Rectangle, white bool) {
	r = r.Intersect(c.Bounds())
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if bit := byte(0x80) >> (x % 8); white {
				c.Bits[y*c.Stride+x/8] &^= bit
			} else {
				c.Bits[y*c.Stride+x/8] |= bit
			}
		}
	}
}

func (c *canvas) bitmap(at image.Point, b *printer.Bitmap) {
	for y := range b.Height {
		for x := range b.Width {
			if b.Bits[y*b.Stride+x/8]>>(7-x%8)&1 == 1 {
				c.fill(image.Rect(x, y, x+1, y+1).Add(at), false)
			}
		}
	}
}

// text draws each character in its cells; a size repeats its dots, as printers do.
func (c *canvas) text(at image.Point, t *text, p *pen) error {
	if t.invert {
		c.fill(t.box().Add(at), false)
	}
	x := at.X
	for _, g := range t.glyphs {
		mask, err := p.mask(penKey{t.cell, t.bold}, g)
		if err != nil {
			return err
		}
		b := mask.Bounds()
		for dy := range b.Dy() {
			for dx := range b.Dx() {
				if mask.AlphaAt(dx, dy).A >= ink {
					c.fill(image.Rect(dx*t.w, dy*t.h, (dx+1)*t.w, (dy+1)*t.h).Add(image.Pt(x, at.Y)), t.invert)
				}
			}
		}
		x += g.cells * t.cell.X * t.w
	}
	c.fill(t.underlining().Add(at), false)
	return nil
}

func (s *sheet) png(r *Renderer) ([]byte, error) {
	c, p := newCanvas(s.width, s.height), newPen(r)
	for _, it := range s.items {
		switch {
		case it.text != nil:
			if err := c.text(it.at, it.text, p); err != nil {
				return nil, err
			}
		case it.bitmap != nil:
			c.bitmap(it.at, it.bitmap)
		default:
			for _, rect := range it.rects {
				c.fill(rect.Add(it.at), false)
			}
		}
	}
	return encode(c)
}

func encode(m image.Image) ([]byte, error) {
	var out bytes.Buffer
	err := png.Encode(&out, m)
	return out.Bytes(), err
}
