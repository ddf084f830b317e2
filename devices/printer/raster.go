package printer

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
)

// Bounds of an image operation: what a PNG may unfold to, and how much paper it may take.
const (
	maxPixels = 4 << 20
	maxRows   = 4000 // half a metre at 203 dots an inch
)

// Bitmap is an image in dots, one bit each, rows padded to whole bytes, most significant bit leftmost, 1 is black.
type Bitmap struct {
	Width, Height int // dots
	Stride        int // bytes a row
	Bits          []byte
}

// TrimRight is the image without whole bytes of white at its right, but one byte wide at least.
func (b Bitmap) TrimRight() Bitmap {
	used := 1
	for y := range b.Height {
		row := bytes.TrimRight(b.Bits[y*b.Stride:(y+1)*b.Stride], "\x00")
		used = max(used, len(row))
	}
	narrow := Bitmap{Width: min(b.Width, used*8), Height: b.Height, Stride: used, Bits: make([]byte, 0, used*b.Height)}
	for y := range b.Height {
		narrow.Bits = append(narrow.Bits, b.Bits[y*b.Stride:y*b.Stride+used]...)
	}
	return narrow
}

// Raster decodes the PNG of an image operation and turns it into dots: scaled to the operation's width, or to the
// paper (dots) where it is wider; black below half brightness, or with Floyd-Steinberg dithering. Transparent is white.
func Raster(op Op, dots int) (Bitmap, error) {
	conf, err := png.DecodeConfig(bytes.NewReader(op.PNG))
	if err != nil {
		return Bitmap{}, errors.New("is not a PNG image")
	}
	if conf.Width <= 0 || conf.Height <= 0 || conf.Width > maxPixels/conf.Height {
		return Bitmap{}, fmt.Errorf("has %dx%d pixels, at most %d are taken; make it smaller", conf.Width, conf.Height, maxPixels)
	}
	w := op.Width
	if w <= 0 {
		w = min(conf.Width, dots)
	}
	h := max(conf.Height*w/conf.Width, 1)
	if h > maxRows {
		return Bitmap{}, fmt.Errorf("would be %d dots long, at most %d are printed", h, maxRows)
	}
	img, err := png.Decode(bytes.NewReader(op.PNG))
	if err != nil {
		return Bitmap{}, errors.New("is a damaged PNG image")
	}
	gray := scale(img, w, h)
	if op.Dither {
		dither(gray, w, h)
	}
	out := Bitmap{Width: w, Height: h, Stride: (w + 7) / 8}
	out.Bits = make([]byte, out.Stride*h)
	for y := range h {
		for x := range w {
			if gray[y*w+x] < 128 {
				out.Bits[y*out.Stride+x/8] |= 0x80 >> (x % 8)
			}
		}
	}
	return out, nil
}

// scale averages the pixels behind each dot, on white paper, to 0 (black) .. 255.
func scale(img image.Image, w, h int) []int {
	source := image.NewRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
	draw.Draw(source, source.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(source, source.Rect, img, img.Bounds().Min, draw.Over)
	out := make([]int, w*h)
	for y := range h {
		y0, y1 := span(y, h, source.Rect.Dy())
		for x := range w {
			x0, x1 := span(x, w, source.Rect.Dx())
			sum := 0
			for sy := y0; sy < y1; sy++ {
				row := source.Pix[source.PixOffset(x0, sy):source.PixOffset(x1, sy)]
				for i := 0; i+3 < len(row); i += 4 {
					sum += 299*int(row[i]) + 587*int(row[i+1]) + 114*int(row[i+2])
				}
			}
			out[y*w+x] = sum / (1000 * (y1 - y0) * (x1 - x0))
		}
	}
	return out
}

// span is the range of source pixels behind destination pixel i of n.
func span(i, n, source int) (from, to int) {
	from = i * source / n
	return from, max((i+1)*source/n, from+1)
}

// dither spreads the error of each dot over its neighbours (Floyd and Steinberg, 1976).
func dither(gray []int, w, h int) {
	spread := func(x, y, e, share int) {
		if x >= 0 && x < w && y < h {
			gray[y*w+x] += e * share / 16
		}
	}
	for y := range h {
		for x := range w {
			old, now := gray[y*w+x], 0
			if old >= 128 {
				now = 255
			}
			gray[y*w+x] = now
			e := old - now
			spread(x+1, y, e, 7)
			spread(x-1, y+1, e, 3)
			spread(x, y+1, e, 5)
			spread(x+1, y+1, e, 1)
		}
	}
}
