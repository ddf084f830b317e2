package receiptline

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"storeagent/devices/printer"
)

// names are the keys of properties by their abbreviations.
var names = map[string]string{"a": "align", "b": "border", "c": "code", "i": "image", "o": "option", "t": "text", "w": "width", "x": "command", "_": "comment"}

// order is how the members of one property count, whatever the order they are written in.
var order = []string{"text", "border", "width", "align", "option", "code", "image", "command", "comment"}

// property reads {key:value; …} and does what it says.
func (p *page) property(c column) error {
	members, err := membersOf(c.raw)
	if err != nil {
		return err
	}
	for _, key := range order {
		value, given := members[key]
		if !given {
			continue
		}
		switch key {
		case "text":
			err = p.setText(value)
		case "border":
			err = p.setBorder(value)
		case "width":
			err = p.setWidths(value)
		case "align":
			p.align = slices.Index([]string{"left", "center", "right"}, strings.ToLower(value))
			if p.align < 0 {
				err = errors.New("align is left, center or right")
			}
		case "option":
			p.option, err = parseOption(value)
		case "code":
			err = p.code(value, c.align)
		case "image":
			err = p.image(value, c.align)
		case "command":
			err = errors.New("has a device command; only ReceiptLine's own words are taken, printer bytes go as a raw job")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// membersOf takes a property apart. Values have their escapes resolved.
func membersOf(raw string) (map[string]string, error) {
	members := map[string]string{}
	for _, member := range cutAt(raw[1:len(raw)-1], ';') {
		if strings.Trim(member, blanks) == "" {
			continue
		}
		key, value, ok := strings.Cut(member, ":")
		key, value = strings.Trim(key, blanks), strings.Trim(value, blanks)
		if long := names[key]; long != "" {
			key = long
		}
		switch _, twice := members[key]; {
		case !slices.Contains(order, key):
			return nil, errors.New("has a property that is none of " + strings.Join(order, ", "))
		case !ok || value == "":
			return nil, fmt.Errorf("%s has no value; write {%s:value}", key, key)
		case twice:
			return nil, fmt.Errorf("gives %s twice", key)
		}
		text, err := valueText(value)
		if err != nil {
			return nil, err
		}
		members[key] = text
	}
	return members, nil
}

// cutAt splits at a separator that no backslash precedes.
func cutAt(s string, sep byte) []string {
	var parts []string
	start := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case sep:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}

// valueText resolves the escapes of a value.
func valueText(value string) (string, error) {
	var b strings.Builder
	runes := []rune(value)
	for i := 0; i < len(runes); i++ {
		if runes[i] != '\\' {
			b.WriteRune(runes[i])
			continue
		}
		rest := runes[i+1:]
		if len(rest) == 0 {
			break
		}
		switch rest[0] {
		case '\\', '|', '{', '}', ';':
			b.WriteRune(rest[0])
		case 'n':
			b.WriteRune('\n')
		case 'x':
			r, used, err := hexadecimal(rest)
			if err != nil {
				return "", err
			}
			if r != ignored {
				b.WriteRune(r)
			}
			i += used
			continue
		}
		i++
	}
	return b.String(), nil
}

func words(value string) []string {
	return strings.FieldsFunc(strings.ToLower(value), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

func (p *page) setText(value string) error {
	n := slices.Index([]string{"wrap", "word", "nowrap"}, strings.ToLower(value))
	if n < 0 {
		return errors.New("text is wrap, word or nowrap")
	}
	p.wrap = wrapping(n)
	return nil
}

func (p *page) setBorder(value string) error {
	before := p.border
	switch value = strings.ToLower(value); value {
	case "line":
		p.border = ruled
	case "space", "1":
		p.border = 1
	case "none", "0":
		p.border = 0
	case "2":
		p.border = 2
	default:
		return errors.New("border is line, space, none, or 0 to 2")
	}
	switch {
	case before != ruled && p.border == ruled:
		p.rules.state = rulesReady
	case before == ruled && p.border != ruled:
		p.endRules()
	}
	return nil
}

// widthList is what stands between widths.
var widthList = regexp.MustCompile(`[\t ]*,[\t ]*|[\t ]+`)

// star is the width of a column that shares what the others leave.
const star = -1

func (p *page) setWidths(value string) error {
	var widths []int
	for _, w := range widthList.Split(strings.ToLower(value), -1) {
		n, err := strconv.Atoi(w)
		switch {
		case w == "auto":
			p.widths = nil
			return nil
		case w == "*":
			n = star
		case w == "":
			n = 0 // between two commas: not shown
		case err != nil || n < 0 || n > 1000:
			return errors.New("width is auto, or for each column * or its number of characters")
		}
		widths = append(widths, n)
	}
	p.widths = widths
	return nil
}

// option is how codes are printed.
type option struct {
	kind   string
	height int
	hri    bool
	cell   int
	level  string
}

func defaultOption() option { return option{kind: "code128", height: 72, cell: 3, level: "L"} }

// kinds are the codes of the language, by the symbology of the document; "" has none.
var kinds = map[string]string{"upc": "upca", "ean": "ean", "jan": "ean", "code39": "code39", "itf": "itf", "code128": "code128", "qrcode": "qrcode",
	"codabar": "", "nw7": "", "code93": ""}

// parseOption reads the words of an option. A number is what its size makes it: bars of 2 to 4 dots, which the paper
// decides here, a height of 24 to 240, QR cells of 3 to 8.
func parseOption(value string) (option, error) {
	o := defaultOption()
	for _, w := range words(value) {
		n, err := strconv.Atoi(w)
		kind, known := kinds[w]
		switch {
		case known && kind == "":
			return o, errors.New("codabar and code93 are not printed; use code39, code128 or itf")
		case known:
			o.kind = kind
		case w == "hri", w == "nohri":
			o.hri = w == "hri"
		case slices.Contains([]string{"l", "m", "q", "h"}, w):
			o.level = strings.ToUpper(w)
		case err == nil && n >= 24 && n <= 240:
			o.height = n
		case err == nil && n >= 2 && n <= 8:
			if n >= 3 {
				o.cell = n
			}
		default:
			return o, errors.New("option is a code (upc, ean, jan, code39, itf, code128, qrcode), 2 to 4 dots a bar, 24 to 240 dots high, 3 to 8 dots a QR cell, hri, nohri, l, m, q or h")
		}
	}
	return o, nil
}

// code prints a barcode or QR code.
func (p *page) code(data string, align int) error {
	o := p.option
	where := alignNames[p.objectAlign(align)]
	if o.kind == "qrcode" {
		p.add(printer.Op{Op: "qrcode", Data: data, Size: o.cell, Level: o.level, Align: where})
		return nil
	}
	kind := o.kind
	switch n := len(data); {
	case kind == "ean" && n <= 8:
		kind = "ean8"
	case kind == "ean":
		kind = "ean13"
	case kind == "upca" && n < 11:
		return errors.New("UPC-E is not printed; give the 11 or 12 digits of the UPC-A")
	}
	p.add(printer.Op{Op: "barcode", Symbology: kind, Data: data, Height: o.height, ShowText: &o.hri, Align: where})
	return nil
}

// image prints a PNG.
func (p *page) image(data string, align int) error {
	data = strings.TrimRight(strings.Map(func(r rune) rune {
		if strings.ContainsRune(" \t\n", r) {
			return -1
		}
		return r
	}, data), "=")
	png, err := base64.RawStdEncoding.DecodeString(data)
	if err != nil {
		return errors.New("image is no base64 text")
	}
	p.add(printer.Op{Op: "image", PNG: png, Align: alignNames[p.objectAlign(align)]})
	return nil
}

// objectAlign is where codes and images go: as their column says on the whole paper, else as the narrower line does.
func (p *page) objectAlign(align int) int {
	if _, width, _ := p.area(); width < p.columns {
		return p.align
	}
	return align
}
