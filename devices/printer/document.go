package printer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of a document. The receipt of the largest sale there can be (a thousand lines in a body of 1 MiB) is within them.
const (
	MaxOps    = 8000    // operations of a document
	MaxText   = 1 << 20 // bytes of all texts of a document
	MaxFeed   = 100     // lines of one feed
	MaxCopies = 10      // copies of one job
	MaxRaw    = 1 << 20 // bytes of a raw job
)

// ParseDocument decodes a document strictly: names are case-sensitive, a field that its operation does not have is
// refused, and the *DocumentError names it. Beside the field names of Op it takes "text": true or false on a barcode,
// which is how the API spells showText. It checks no values; Check does.
func ParseDocument(raw json.RawMessage) (Document, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil || items == nil {
		return nil, &DocumentError{Field: "document", Message: "must be an array of operations"}
	}
	doc := make(Document, 0, len(items))
	for i, item := range items {
		op, err := parseOp(item, fmt.Sprintf("document[%d]", i))
		if err != nil {
			return nil, err
		}
		doc = append(doc, op)
	}
	return doc, nil
}

func parseOp(raw json.RawMessage, path string) (Op, error) {
	fields, err := object(raw, path)
	if err != nil {
		return Op{}, err
	}
	var op Op
	if fields["op"] == nil {
		return Op{}, &DocumentError{Field: path + ".op", Message: "is missing"}
	}
	if err := json.Unmarshal(fields["op"], &op.Op); err != nil {
		return Op{}, &DocumentError{Field: path + ".op", Message: "must be a string"}
	}
	into, ok := op.fields()
	if !ok {
		return Op{}, unknownOp(path, op.Op)
	}
	for _, name := range sortedKeys(fields) {
		value, field := fields[name], path+"."+name
		switch target := into[name]; {
		case name == "op":
		case target == nil:
			return Op{}, &DocumentError{Field: field, Message: fmt.Sprintf("a %s operation has no such field", op.Op)}
		case name == "cells":
			if op.Cells, err = parseCells(value, field); err != nil {
				return Op{}, err
			}
		default:
			if err := json.Unmarshal(value, target); err != nil {
				return Op{}, &DocumentError{Field: field, Message: "must be " + kindOf(target)}
			}
		}
	}
	return op, nil
}

func parseCells(raw json.RawMessage, path string) ([]Cell, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, &DocumentError{Field: path, Message: "must be an array of cells"}
	}
	cells := make([]Cell, 0, len(items))
	for i, item := range items {
		at := fmt.Sprintf("%s[%d]", path, i)
		fields, err := object(item, at)
		if err != nil {
			return nil, err
		}
		var c Cell
		into := map[string]any{"text": &c.Text, "width": &c.Width, "align": &c.Align, "bold": &c.Bold,
			"underline": &c.Underline, "invert": &c.Invert, "charWidth": &c.CharWidth, "charHeight": &c.CharHeight}
		for _, name := range sortedKeys(fields) {
			target := into[name]
			if target == nil {
				return nil, &DocumentError{Field: at + "." + name, Message: "a cell has no such field"}
			}
			if err := json.Unmarshal(fields[name], target); err != nil {
				return nil, &DocumentError{Field: at + "." + name, Message: "must be " + kindOf(target)}
			}
		}
		cells = append(cells, c)
	}
	return cells, nil
}

// fields are the fields that an operation of this kind has, by their JSON name.
func (o *Op) fields() (map[string]any, bool) {
	switch o.Op {
	case "text":
		return map[string]any{"op": &o.Op, "text": &o.Text, "align": &o.Align, "bold": &o.Bold,
			"underline": &o.Underline, "invert": &o.Invert, "width": &o.Width, "height": &o.Height, "font": &o.Font}, true
	case "columns":
		return map[string]any{"op": &o.Op, "cells": &o.Cells}, true
	case "rule":
		return map[string]any{"op": &o.Op, "char": &o.Char}, true
	case "barcode":
		return map[string]any{"op": &o.Op, "symbology": &o.Symbology, "data": &o.Data, "height": &o.Height,
			"text": &o.ShowText, "showText": &o.ShowText, "align": &o.Align}, true
	case "qrcode":
		return map[string]any{"op": &o.Op, "data": &o.Data, "size": &o.Size, "level": &o.Level, "align": &o.Align}, true
	case "image":
		return map[string]any{"op": &o.Op, "png": &o.PNG, "stored": &o.Stored, "width": &o.Width, "align": &o.Align, "dither": &o.Dither}, true
	case "feed":
		return map[string]any{"op": &o.Op, "lines": &o.Lines}, true
	case "cut":
		return map[string]any{"op": &o.Op, "mode": &o.Mode}, true
	case "drawer":
		return map[string]any{"op": &o.Op, "pin": &o.Pin}, true
	}
	return nil, false
}

// object splits one JSON object into its members; a name that comes twice is refused, since it is a slip of the caller.
func object(raw json.RawMessage, path string) (map[string]json.RawMessage, error) {
	bad := &DocumentError{Field: path, Message: "must be an object"}
	dec := json.NewDecoder(bytes.NewReader(raw))
	if tok, err := dec.Token(); err != nil || tok != json.Delim('{') {
		return nil, bad
	}
	fields := map[string]json.RawMessage{}
	for dec.More() {
		tok, err := dec.Token()
		name, ok := tok.(string)
		if err != nil || !ok {
			return nil, bad
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, bad
		}
		if _, twice := fields[name]; twice {
			return nil, &DocumentError{Field: path + "." + name, Message: "is given twice"}
		}
		fields[name] = value
	}
	if _, err := dec.Token(); err != nil {
		return nil, bad
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, bad
	}
	return fields, nil
}

func sortedKeys(m map[string]json.RawMessage) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func kindOf(target any) string {
	switch target.(type) {
	case *int:
		return "a whole number"
	case *bool, **bool:
		return "true or false"
	case *[]byte:
		return "base64 text"
	}
	return "a string"
}

func unknownOp(path, op string) error {
	return &DocumentError{Field: path + ".op",
		Message: fmt.Sprintf("%q is not one of text, columns, rule, barcode, qrcode, image, feed, cut, drawer", op)}
}

// Check says whether a printer with lines of that many characters (font A) can show the document, whatever its make;
// a driver's own Check adds what only it knows. The error is a *DocumentError that names operation and field.
func Check(doc Document, columns int) error {
	if len(doc) == 0 {
		return &DocumentError{Field: "document", Message: "is empty; give at least one operation"}
	}
	if len(doc) > MaxOps {
		return &DocumentError{Field: "document", Message: fmt.Sprintf("has %d operations, at most %d fit one job", len(doc), MaxOps)}
	}
	size := 0
	for i, op := range doc {
		path := fmt.Sprintf("document[%d]", i)
		size += len(op.Text)
		for _, c := range op.Cells {
			size += len(c.Text)
		}
		if size > MaxText {
			return &DocumentError{Field: path, Message: fmt.Sprintf("the texts up to here are over %d bytes", MaxText)}
		}
		if err := checkOp(op, path, columns); err != nil {
			return err
		}
	}
	return nil
}

func checkOp(op Op, path string, columns int) error {
	c := checker{path: path}
	switch op.Op {
	case "text":
		c.text("text", op.Text)
		c.oneOf("align", op.Align, "", "left", "center", "right")
		c.oneOf("font", op.Font, "", "a", "b")
		c.inRange("width", op.Width, 0, 8)
		c.inRange("height", op.Height, 0, 8)
		if c.err == nil {
			c.fits("text", op.Text, TextColumns(op, columns))
		}
	case "columns":
		c.columns(op.Cells, columns)
	case "rule":
		if op.Char != "" && (utf8.RuneCountInString(norm.NFC.String(op.Char)) != 1 || Width(op.Char) == 0) {
			c.fail("char", "must be one visible character")
		}
		c.text("char", op.Char)
	case "barcode":
		c.oneOf("align", op.Align, "", "left", "center", "right")
		c.inRange("height", op.Height, 0, 255)
		if _, err := ParseBarcode(op.Symbology, op.Data); err != nil {
			c.fail(err.Field, err.Message)
		}
		if c.err == nil && BarcodeModule(op, Dots(columns)) == 0 {
			c.fail("data", "is too long for the width of the paper")
		}
	case "qrcode":
		c.oneOf("align", op.Align, "", "left", "center", "right")
		c.inRange("size", op.Size, 0, 16)
		c.oneOf("level", op.Level, "", "L", "M", "Q", "H")
		c.qrData(op, columns)
	case "image":
		c.oneOf("align", op.Align, "", "left", "center", "right")
		c.image(op, columns)
	case "feed":
		c.inRange("lines", op.Lines, 1, MaxFeed)
	case "cut":
		c.oneOf("mode", op.Mode, "", "partial", "full")
	case "drawer":
		if op.Pin != 0 && op.Pin != 2 && op.Pin != 5 {
			c.fail("pin", "must be 2 or 5, the pin of the drawer socket")
		}
	default:
		return unknownOp(path, op.Op)
	}
	if c.err != nil {
		return c.err
	}
	return nil
}

// checker collects the first thing wrong with one operation.
type checker struct {
	path string
	err  *DocumentError
}

func (c *checker) fail(field, message string) {
	if c.err == nil {
		c.err = &DocumentError{Field: c.path + "." + field, Message: message}
	}
}

func (c *checker) oneOf(field, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		c.fail(field, fmt.Sprintf("%q is not one of %s", value, strings.Join(slices.DeleteFunc(allowed, func(s string) bool { return s == "" }), ", ")))
	}
}

func (c *checker) inRange(field string, value, low, high int) {
	if value < low || value > high {
		c.fail(field, fmt.Sprintf("must be from %d to %d", max(low, 1), high))
	}
}

// text refuses what a printer would take for a command, or for nothing at all.
func (c *checker) text(field, s string) {
	if !utf8.ValidString(s) {
		c.fail(field, "is not valid UTF-8")
		return
	}
	for _, r := range s {
		if r != '\n' && unicode.IsControl(r) {
			c.fail(field, fmt.Sprintf("holds the control character U+%04X; only line feeds are allowed, and columns in place of tabs", r))
			return
		}
	}
}

// fits refuses a line so narrow that a single character does not go in.
func (c *checker) fits(field, s string, columns int) {
	widest := 1
	for _, r := range s {
		widest = max(widest, runeWidth(r))
	}
	if widest > columns {
		c.fail(field, fmt.Sprintf("does not fit: a line holds %d characters at this size", columns))
	}
}

func (c *checker) columns(cells []Cell, columns int) {
	if len(cells) == 0 {
		c.fail("cells", "is empty; give at least one cell")
		return
	}
	if len(cells) > columns {
		c.fail("cells", fmt.Sprintf("has %d cells, a line has %d characters", len(cells), columns))
		return
	}
	for i, cell := range cells {
		at := fmt.Sprintf("cells[%d].", i)
		c.inRange(at+"width", cell.Width, 0, columns)
		c.inRange(at+"charWidth", cell.CharWidth, 0, 8)
		c.inRange(at+"charHeight", cell.CharHeight, 0, 8)
		c.oneOf(at+"align", cell.Align, "", "left", "center", "right")
		c.text(at+"text", cell.Text)
	}
	if c.err != nil {
		return
	}
	widths, bad := cellWidths(cells, columns)
	if bad >= 0 {
		c.fail(fmt.Sprintf("cells[%d].width", bad), fmt.Sprintf("does not fit: the line has %d characters, and the cells before it take the rest", columns))
		return
	}
	for i, cell := range cells {
		c.fits(fmt.Sprintf("cells[%d].text", i), cell.Text, widths[i]/max(cell.CharWidth, 1))
	}
}

// qrBytes is the most that any QR code holds (ISO/IEC 18004, version 40-L).
const qrBytes = 2953

func (c *checker) qrData(op Op, columns int) {
	switch {
	case op.Data == "":
		c.fail("data", "is empty")
	case len(op.Data) > qrBytes:
		c.fail("data", fmt.Sprintf("has %d bytes, a QR code holds at most %d", len(op.Data), qrBytes))
	}
	c.text("data", strings.ReplaceAll(op.Data, "\r\n", "\n"))
	if c.err == nil && QRModule(op, Dots(columns)) == 0 {
		c.fail("data", "does not fit the width of the paper at this size and level; make size or data smaller")
	}
}

func (c *checker) image(op Op, columns int) {
	if op.Stored != "" {
		c.stored(op)
		return
	}
	dots := Dots(columns)
	if op.Width < 0 || op.Width > dots {
		c.fail("width", fmt.Sprintf("must be from 1 to %d dots, the width of the paper", dots))
		return
	}
	if _, err := Raster(op, dots); err != nil {
		c.fail("png", err.Error())
	}
}

// stored is an image in the printer's own memory: it is printed as it was stored.
func (c *checker) stored(op Op) {
	switch {
	case !ValidKey(op.Stored):
		c.fail("stored", "must be two characters, from the space to ~: the key code the image was stored under")
	case len(op.PNG) > 0:
		c.fail("stored", "and png are both given; give one of them")
	case op.Width != 0:
		c.fail("width", "does not apply to a stored image")
	case op.Dither:
		c.fail("dither", "does not apply to a stored image")
	}
}

// ValidKey reports whether s can be the key code of an image in a printer's memory: two bytes from 20h to 7Eh (ESC/POS,
// GS ( L function 67).
func ValidKey(s string) bool {
	return len(s) == 2 && s[0] >= ' ' && s[0] <= '~' && s[1] >= ' ' && s[1] <= '~'
}
