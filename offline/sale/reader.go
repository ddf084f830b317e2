package sale

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/govalues/decimal"

	"storeagent/payments/money"
)

// Bounds of a posted sale. They are far above what a till makes and keep one sale within one request.
const (
	MaxText    = 500  // characters of one text
	MaxLines   = 1000 // lineItems
	MaxTenders = 50
	maxErrors  = 100 // more help nobody
)

// fineScale is how many decimals quantities, unit prices and unit costs may have.
const fineScale = 6

// reader reads one posted sale and gathers what is wrong with it.
type reader struct {
	errs   []FieldError
	digits int // decimals of the sale's currency
}

func (r *reader) fail(location, format string, args ...any) {
	if len(r.errs) < maxErrors {
		r.errs = append(r.errs, FieldError{location, fmt.Sprintf(format, args...)})
	}
}

// member is one field as it was posted.
type member struct {
	name string
	raw  json.RawMessage
}

// object is a JSON object in the order it was posted. Missing fields and those that were refused are absent.
type object struct {
	path    string // "" for the sale itself
	members []member
}

func (o object) at(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

// get gives the value of a field; ok is false for one that is missing or null.
func (o object) get(name string) (raw json.RawMessage, ok bool) {
	for _, m := range o.members {
		if m.name == name {
			return m.raw, string(m.raw) != "null"
		}
	}
	return nil, false
}

func (o object) has(name string) bool {
	return slices.ContainsFunc(o.members, func(m member) bool { return m.name == name })
}

// readObject splits a JSON object, refusing fields that are none of names, fields that come twice, required ones that
// are missing, and null where a value is required.
func (r *reader) readObject(raw json.RawMessage, path string, required, optional []string) (object, bool) {
	o := object{path: path}
	where := path
	if where == "" {
		where = "body"
	}
	if raw[0] != '{' {
		r.fail(where, "want a JSON object")
		return o, false
	}
	parts := split(raw)
	for i := 0; i < len(parts); i += 2 {
		name, value := unquote(parts[i]), parts[i+1]
		isRequired := slices.Contains(required, name)
		switch {
		case !isRequired && !slices.Contains(optional, name):
			r.unknown(o, where, name, slices.Concat(required, optional))
		case o.has(name):
			r.fail(o.at(name), "comes twice")
		case isRequired && string(value) == "null":
			r.fail(o.at(name), "must not be null")
			o.members = append(o.members, member{name, value})
		default:
			o.members = append(o.members, member{name, value})
		}
	}
	for _, name := range required {
		if !o.has(name) {
			r.fail(o.at(name), "is missing")
		}
	}
	return o, true
}

// unknown refuses a field nobody knows. Its name is shown only where it looks like a name, not like data.
func (r *reader) unknown(o object, where, name string, known []string) {
	for _, k := range known {
		if strings.EqualFold(k, name) {
			r.fail(o.at(k), "is spelled with other capitals; names are matched exactly")
			return
		}
	}
	plain := name != "" && len(name) <= 40
	for _, c := range name {
		plain = plain && (c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
	}
	if !plain {
		r.fail(where, "has a field nobody knows")
		return
	}
	r.fail(o.at(name), "is no field of a sale")
}

// text reads a string of at most MaxText characters; "" where it is missing or null.
func (r *reader) text(o object, name string, min int) string {
	raw, ok := o.get(name)
	if !ok {
		return ""
	}
	if raw[0] != '"' {
		r.fail(o.at(name), "want a text in quotes")
		return ""
	}
	s := unquote(raw)
	if halfCharacters(raw, s) || strings.ContainsRune(s, 0) {
		r.fail(o.at(name), "holds a character that is none")
		return ""
	}
	switch n := utf8.RuneCountInString(s); {
	case n < min:
		r.fail(o.at(name), "must not be empty")
	case n > MaxText:
		r.fail(o.at(name), "has %d characters, at most %d are taken", n, MaxText)
	}
	return s
}

// halfCharacters tells whether decoding put U+FFFD where the JSON text has half a surrogate pair.
func halfCharacters(raw json.RawMessage, s string) bool {
	const mark = "\uFFFD"
	return strings.Count(s, mark) >
		bytes.Count(raw, []byte(mark))+bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`))
}

// amount reads a decimal text; ok is false where there is none or it was refused.
func (r *reader) amount(o object, name string, scale int) (text string, d decimal.Decimal, ok bool) {
	raw, ok := o.get(name)
	if !ok {
		return "", d, false
	}
	switch c := raw[0]; {
	case c == '-' || c >= '0' && c <= '9':
		r.fail(o.at(name), `want a text like "12.50"; amounts and quantities are texts, never JSON numbers`)
		return "", d, false
	case c != '"':
		r.fail(o.at(name), `want a decimal text like "12.50"`)
		return "", d, false
	}
	text = unquote(raw)
	d, err := money.ParseDecimal(text, scale)
	if err != nil {
		r.fail(o.at(name), `want a decimal text like "12.50" with at most %d digits before the point and %d behind it`, money.MaxDigits, scale)
		return "", d, false
	}
	return text, d, true
}

// wholeMax is the largest GraphQL Int.
const wholeMax = 1<<31 - 1

// whole reads a JSON number without fraction or exponent.
func (r *reader) whole(o object, name string) (n int, ok bool) {
	raw, ok := o.get(name)
	if !ok {
		return 0, false
	}
	v, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || v < 0 || v > wholeMax {
		r.fail(o.at(name), "want a whole JSON number from 0 to %d, without quotes", wholeMax)
		return 0, false
	}
	return int(v), true
}

func (r *reader) yesNo(o object, name string) bool {
	raw, ok := o.get(name)
	if !ok {
		return false
	}
	if s := string(raw); s != "true" && s != "false" {
		r.fail(o.at(name), "want true or false, without quotes")
	}
	return string(raw) == "true"
}

// list splits a JSON array of min to max elements.
func (r *reader) list(o object, name string, min, max int) []json.RawMessage {
	raw, ok := o.get(name)
	if !ok {
		return nil
	}
	if raw[0] != '[' {
		r.fail(o.at(name), "want a JSON array")
		return nil
	}
	all := split(raw)
	if len(all) < min || len(all) > max {
		r.fail(o.at(name), "has %d entries, want %d to %d", len(all), min, max)
		return nil
	}
	return all
}
