package escpos

import (
	"encoding/binary"
	"fmt"

	"storeagent/devices/printer"
)

// maxLogoRows is the least that a model's specification allows for one image in its memory (Epson TM-P60: 1200 rows).
const maxLogoRows = 1200

// storedImage prints an image from the printer's memory at its own size: GS ( L, function 69. It is obeyed at the start
// of a line, where every operation begins.
func (e *encoder) storedImage(op printer.Op) *printer.DocumentError {
	if !e.profile.stored {
		return &printer.DocumentError{Field: "stored", Message: "this model is not known to keep images in its memory; give png, or set its profile; a profile file says it with stored"}
	}
	e.modes(printer.Op{}, alignCode(op.Align))
	e.put(gs, '(', 'L', 6, 0, '0', 'E', op.Stored[0], op.Stored[1], 1, 1)
	return nil
}

// StoreImage gives the bytes that write a PNG into the memory of a printer with that many columns, in place of what was
// there under key: GS ( L, or GS 8 L where it is long, function 67, one colour. They print nothing. That memory wears out
// (Epson: no more than ten times a day), so no job does this by itself. The error says what is wrong with PNG or key.
func StoreImage(png []byte, key string, columns int) ([]byte, error) {
	if !printer.ValidKey(key) {
		return nil, fmt.Errorf("key %q is not two characters from the space to ~", key)
	}
	img, err := printer.Raster(printer.Op{PNG: png}, printer.Dots(columns))
	if err != nil {
		return nil, fmt.Errorf("the file %w", err)
	}
	if img.Height > maxLogoRows {
		return nil, fmt.Errorf("the image would be %d dots long, at most %d are stored", img.Height, maxLogoRows)
	}
	breakRealTime(img.Bits)
	out := []byte{esc, '@', gs}
	if n := len(img.Bits) + 11; n <= 0xFFFF {
		out = append(out, '(', 'L')
		out = binary.LittleEndian.AppendUint16(out, uint16(n)) //nolint:gosec // in range
	} else {
		out = append(out, '8', 'L')
		out = binary.LittleEndian.AppendUint32(out, uint32(n)) //nolint:gosec // in range
	}
	out = append(out, '0', 'C', '0', key[0], key[1], 1)
	out = binary.LittleEndian.AppendUint16(out, uint16(img.Width))  //nolint:gosec // of a paper's width
	out = binary.LittleEndian.AppendUint16(out, uint16(img.Height)) //nolint:gosec // at most maxLogoRows
	return append(append(out, '1'), img.Bits...), nil
}
