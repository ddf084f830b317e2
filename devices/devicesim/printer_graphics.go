package devicesim

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
)

// graphics runs GS ( L and GS 8 L, whose data begins with 30h and the number of a function: 112 stores a raster, 2 or 50
// prints what is stored; 67 keeps a raster under a key for good, 69 prints it.
func (p *Printer) graphics(data []byte) {
	if len(data) < 2 || data[0] != '0' {
		p.complain("graphics % X", data[:min(len(data), 8)])
		return
	}
	switch fn := data[1]; fn {
	case 112:
		p.store(data[2:])
	case 2, 50:
		if p.stored == nil {
			p.complain("graphics to print, but none are stored")
			return
		}
		p.flush()
		p.show(p.stored)
		p.stored = nil
	case 67:
		p.keep(data[2:])
	case 69:
		p.showKept(data[2:])
	default:
		p.complain("graphics function %d", fn)
	}
}

// store takes a raster of one colour: 30h, scale across and down, colour 31h, width and height in dots, and the dots.
func (p *Printer) store(b []byte) {
	if len(b) < 8 || b[0] != '0' || b[1] < 1 || b[1] > 2 || b[2] < 1 || b[2] > 2 || b[3] != '1' {
		p.complain("graphics raster % X", b[:min(len(b), 8)])
		return
	}
	w, h := int(b[4])+int(b[5])<<8, int(b[6])+int(b[7])<<8
	stride := (w + 7) / 8
	if bits := b[8:]; w == 0 || h == 0 || len(bits) != stride*h {
		p.complain("graphics of %dx%d dots in %d bytes", w, h, len(bits))
		return
	}
	p.stored = dots(b[8:], stride, w, int(b[1]), int(b[2]))
}

// picture is a raster in the printer's memory.
type picture struct {
	width int // dots
	bits  []byte
}

// keep takes a raster of one colour into the memory that outlasts power: 30h, the two characters of its key, one colour,
// width and height in dots, colour 31h, and the dots. An image that was there under the key is gone.
func (p *Printer) keep(b []byte) {
	if len(b) < 9 || b[0] != '0' || !isKey(b[1:3]) || b[3] != 1 || b[8] != '1' {
		p.complain("graphics to keep % X", b[:min(len(b), 9)])
		return
	}
	w, h := int(b[4])+int(b[5])<<8, int(b[6])+int(b[7])<<8
	if bits := b[9:]; w == 0 || h == 0 || len(bits) != (w+7)/8*h {
		p.complain("graphics to keep of %dx%d dots in %d bytes", w, h, len(bits))
		return
	}
	if p.kept == nil {
		p.kept = map[string]picture{}
	}
	p.kept[string(b[1:3])] = picture{w, bytes.Clone(b[9:])}
	p.written++
}

// showKept prints what is kept under a key, or nothing where nothing is: the key, scale across and down. It counts at the
// start of a line only.
func (p *Printer) showKept(b []byte) {
	if len(b) != 4 || !isKey(b[:2]) || b[2] < 1 || b[2] > 2 || b[3] < 1 || b[3] > 2 || p.used > 0 {
		p.complain("kept graphics % X", b[:min(len(b), 8)])
		return
	}
	if pic, ok := p.kept[string(b[:2])]; ok {
		p.show(dots(pic.bits, (pic.width+7)/8, pic.width, int(b[2]), int(b[3])))
	}
}

func isKey(b []byte) bool { return b[0] >= ' ' && b[0] <= '~' && b[1] >= ' ' && b[1] <= '~' }

// dots turns rows of bits into an image, each bit as many dots wide and high as given.
func dots(bits []byte, stride, w, scaleX, scaleY int) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w*scaleX, len(bits)/stride*scaleY))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			if at := x / scaleX; bits[y/scaleY*stride+at/8]>>(7-at%8)&1 == 0 {
				img.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	return img
}

// show puts an image on the paper.
func (p *Printer) show(img *image.Gray) {
	p.images = append(p.images, img)
	p.label(fmt.Sprintf("[IMAGE %dx%d]", img.Rect.Dx(), img.Rect.Dy()))
}

// move goes to a place on the line, in dots from its beginning; blanks stand for what is left out. Going back is for
// printing over what stands there.
func (p *Printer) move(to int) {
	to = max(0, min(to, p.width()))
	for len(p.line) < to/dotsA {
		p.line, p.styles = append(p.line, ' '), append(p.styles, Style{Width: 1, Height: 1})
	}
	p.used = to
}
