package starprnt

import (
	"fmt"

	"storeagent/devices/printer"
	"storeagent/devices/printer/driver"
)

// Star Graphic Mode is the language of the TSP100 up to III, which take nothing but dots: "STAR Graphic Mode Command
// Specifications" (Star Micronics, Rev. 2.31), section 3-2. A document is drawn as its preview shows it and sent in
// raster mode.
const (
	graphicStart = "\x1b*rR" + "\x1b*rA" + "\x1b*rP0\x00" + "\x1b*rE1\x00" // initialise, enter, endless page, no cut at the end
	graphicEnd   = "\x1b*rB"
	cutPartial   = "\x1b*rF13\x00" // what ESC FF NUL does: feed to the cutter, and cut
	cutFull      = "\x1b*rF9\x00"
	cutNow       = "\x1b\x0c\x00" // ESC FF NUL

	lineDots = 30 // from line to line
)

// graphic gives the bytes of a document for a printer of Star Graphic Mode.
func (l *language) graphic(doc printer.Document) (driver.Encoded, error) {
	if l.paper == nil {
		return driver.Encoded{}, refuse("document", "this printer prints only dots, and raster is off")
	}
	var out driver.Encoded
	out.Add([]byte(graphicStart)...)
	for i, op := range doc {
		if i == 0 || doc[i-1].Op == "cut" {
			out.Add([]byte(nextCut(doc[i:]))...)
		}
		switch op.Op {
		case "cut":
			out.Add([]byte(cutNow)...)
		case "drawer":
			command := drawer1 + "\x07"
			if op.Pin == 5 {
				command = "\x1a"
			}
			out.Add([]byte(command)...)
		case "feed":
			out.Add(fmt.Appendf(nil, "\x1b*rY%d\x00", op.Lines*lineDots)...)
		default:
			if err := l.draw(&out, op); err != nil {
				err.Field = fmt.Sprintf("document[%d].%s", i, err.Field)
				return driver.Encoded{}, err
			}
		}
	}
	out.Add([]byte(graphicEnd)...)
	return out, nil
}

// nextCut sets how the next cut is made, which counts only while no dots wait to be printed.
func nextCut(doc printer.Document) string {
	for _, op := range doc {
		switch {
		case op.Op == "cut" && op.Mode == "full":
			return cutFull
		case op.Op == "cut":
			return cutPartial
		}
	}
	return ""
}

// draw sends one operation as rows of dots.
func (l *language) draw(out *driver.Encoded, op printer.Op) *printer.DocumentError {
	picture, err := l.paper.PNG(printer.Document{op}, l.profile.columns)
	if err != nil {
		return refuse("op", "%s", err)
	}
	if len(picture.Missing) > 0 {
		return refuse("op", "no installed font has the character %q (U+%04X)", picture.Missing[0], picture.Missing[0])
	}
	img, err := printer.Raster(printer.Op{PNG: picture.Data}, printer.Dots(l.profile.columns))
	if err != nil {
		return refuse("op", "%s", err)
	}
	if len(out.Data)+len(img.Bits) > maxBytes {
		return refuse("op", "makes the document too large: what is sent as dots, up to here, is over %d MiB", maxBytes>>20)
	}
	breakRealTime(img.Bits)
	for y := range img.Height {
		row := append([]byte{'b', byte(img.Stride), byte(img.Stride >> 8)}, img.Bits[y*img.Stride:(y+1)*img.Stride]...)
		out.Add(row...)
	}
	return nil
}
