package devicesim

import (
	"fmt"
	"image"
	"image/color"
	"strings"
)

// roll is the paper of a simulated Star printer, with the line that is being filled.
type roll struct {
	columns int
	told    bool // collects fresh

	align  byte
	font   byte
	w, h   int
	line   []rune
	used   int // dots of the line
	moved  int // lines since the sensor looked
	fresh  []string
	piece  []string // lines since the last cut
	all    strings.Builder
	images []*image.Gray

	receipts []string
}

// drop loses the line that is being filled.
func (r *roll) drop() { r.line, r.used = nil, 0 }

// char puts one character on the line, which wraps when it is full.
func (r *roll) char(c rune) {
	dots := dotsA
	if r.font == 1 {
		dots = dotsB
	}
	dots *= r.w
	if c >= 0x1100 && (c <= 0x115F || c >= 0x2E80 && c <= 0xD7A3 || c >= 0xF900 && c <= 0xFAFF || c >= 0xFF01 && c <= 0xFF60) {
		dots *= 2 // East Asian characters
	}
	if r.used+dots > r.columns*dotsA {
		r.end()
	}
	r.line = append(r.line, c)
	r.used += dots
}

// move puts the next character that many dots from the left, where that is to the right of what stands there.
func (r *roll) move(dots int) {
	for r.used+dotsA <= min(dots, r.columns*dotsA) {
		r.line = append(r.line, ' ')
		r.used += dotsA
	}
}

// end prints the line, also an empty one.
func (r *roll) end() {
	text := strings.Repeat(" ", r.before(r.columns*dotsA-r.used)/dotsA) + string(r.line)
	r.drop()
	r.emit(strings.TrimRight(text, " "))
}

// flush prints what stands unfinished on the line.
func (r *roll) flush() {
	if r.used > 0 {
		r.end()
	}
}

// before is the part of the free space that alignment puts before the text.
func (r *roll) before(free int) int {
	switch {
	case free <= 0 || r.align == 0:
		return 0
	case r.align == 1:
		return free / 2
	}
	return free
}

// label stands on the paper for what is no text.
func (r *roll) label(text string) {
	r.flush()
	r.emit(strings.Repeat(" ", r.before(r.columns-len([]rune(text)))) + text)
}

// emit moves the paper by one line.
func (r *roll) emit(text string) {
	r.piece = append(r.piece, text+"\n")
	r.all.WriteString(text + "\n")
	if r.told {
		r.fresh = append(r.fresh, text)
	}
	r.moved++
}

// cut ends a receipt.
func (r *roll) cut() {
	r.flush()
	r.receipts = append(r.receipts, strings.Join(r.piece, ""))
	r.emit(strings.TrimRight(strings.Repeat("- ", (r.columns+1)/2), " "))
	r.piece = nil
}

// dotRows is a picture that may still grow by further rows.
type dotRows struct {
	stride int
	data   []byte
}

// picture puts a finished picture on the paper.
func (r *roll) picture(d *dotRows) {
	if d == nil || d.stride == 0 || len(d.data) == 0 {
		return
	}
	img := image.NewGray(image.Rect(0, 0, d.stride*8, len(d.data)/d.stride))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			if d.data[y*d.stride+x/8]>>(7-x%8)&1 == 0 {
				img.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	r.images = append(r.images, img)
	r.label(fmt.Sprintf("[IMAGE %dx%d]", img.Rect.Dx(), img.Rect.Dy()))
}
