// Package gs1 reads what a GS1 symbol carries: element strings, each an application identifier with its value, and GS1
// Digital Link addresses. It judges format, content and the company that identifiers keep.
//
// It is called by devices/scanner and is pure: it imports nothing of this module. It follows the GS1 General
// Specifications (sections 3 and 7.8) and the GS1 Digital Link standard, URI syntax.
package gs1

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// FNC1 ends an element string of variable length; scanners send it as the ASCII group separator.
const FNC1 = '\x1d'

// maxLength bounds what is read; the largest GS1 symbol holds fewer characters.
const maxLength = 8 << 10

// Element is one application identifier with its value.
type Element struct {
	AI    string // two to four digits
	Value string
}

// Fault is something wrong with an element, for a person. It never repeats the value.
type Fault struct {
	AI      string `json:"ai,omitempty"`
	Message string `json:"message"`
}

// Elements are the element strings of one symbol in their order.
type Elements []Element

// Get gives the value of an identifier, "" where it is not there.
func (e Elements) Get(ai string) string {
	for _, x := range e {
		if x.AI == ai {
			return x.Value
		}
	}
	return ""
}

// Map gives the elements by identifier. Of one that stands twice the first counts.
func (e Elements) Map() map[string]string {
	m := make(map[string]string, len(e))
	for _, x := range e {
		if _, twice := m[x.AI]; !twice {
			m[x.AI] = x.Value
		}
	}
	return m
}

// decimal gives the value of an identifier whose last digit counts the implied decimals, like 3103, as a decimal text.
func (e Elements) decimal(prefix string, skip int) (text, head string, ok bool) {
	for _, x := range e {
		if len(x.AI) != len(prefix)+1 || !strings.HasPrefix(x.AI, prefix) || len(x.Value) <= skip {
			continue
		}
		places := int(x.AI[len(prefix)] - '0')
		digits := x.Value[skip:]
		for len(digits) <= places {
			digits = "0" + digits
		}
		whole := strings.TrimLeft(digits[:len(digits)-places], "0")
		if whole == "" {
			whole = "0"
		}
		if places > 0 {
			whole += "." + digits[len(digits)-places:]
		}
		return whole, x.Value[:skip], true
	}
	return "", "", false
}

// Weight is the net weight in kilograms as a decimal text (310n).
func (e Elements) Weight() (kilograms string, ok bool) {
	kilograms, _, ok = e.decimal("310", 0)
	return kilograms, ok
}

// Price is the amount payable for the item as a decimal text (392n, or 393n with its ISO 4217 number).
func (e Elements) Price() (amount, currency string, ok bool) {
	if amount, _, ok = e.decimal("392", 0); ok {
		return amount, "", true
	}
	return e.decimal("393", 3)
}

// row is one line of the table: an identifier or a range, flags ("*" for a length known beforehand, "?" for a Digital
// Link attribute), the components of its value, and its associations.
type row struct{ ais, flags, spec, attrs, title string }

// rule is a row made ready.
type rule struct {
	fixed bool
	link  bool // may be a Digital Link attribute
	size  int  // of a fixed value
	parts []part
	needs [][]string // of each, one alternative must be there; an alternative is a sum like "01+21"
	bars  []string   // none of these may be there; n stands for any digit
	key   bool       // a Digital Link primary key
	paths [][]string // its qualifiers, in order; alternatives
}

// part is one component of a value.
type part struct {
	kind     byte // N, X, Y or Z
	min, max int
	optional bool
	tests    []string
}

// rules gives the rule of every identifier.
var rules = sync.OnceValue(func() map[string]*rule {
	m := map[string]*rule{}
	for _, r := range rows {
		made := r.rule()
		first, last, isRange := strings.Cut(r.ais, "-")
		if !isRange {
			last = first
		}
		from, _ := strconv.Atoi(first)
		to, _ := strconv.Atoi(last)
		for n := from; n <= to; n++ {
			m[fmt.Sprintf("%0*d", len(first), n)] = made
		}
	}
	return m
})

func (r row) rule() *rule {
	u := &rule{fixed: strings.Contains(r.flags, "*"), link: strings.Contains(r.flags, "?")}
	for _, s := range strings.Fields(r.spec) {
		p := readPart(s)
		u.size += p.max
		u.parts = append(u.parts, p)
	}
	for _, a := range strings.Fields(r.attrs) {
		name, list, _ := strings.Cut(a, "=")
		switch name {
		case "req":
			u.needs = append(u.needs, strings.Split(list, ","))
		case "ex":
			u.bars = append(u.bars, strings.Split(list, ",")...)
		case "dlpkey":
			u.key = true
			for path := range strings.SplitSeq(list, "|") {
				if path != "" {
					u.paths = append(u.paths, strings.Split(path, ","))
				}
			}
		}
	}
	return u
}

// readPart reads a component like "N13,csum" or "[X..17]".
func readPart(s string) part {
	fields := strings.Split(s, ",")
	p := part{tests: fields[1:]}
	f := fields[0]
	if f[0] == '[' {
		p.optional = true
		f = strings.Trim(f, "[]")
	}
	p.kind = f[0]
	if size, variable := strings.CutPrefix(f[1:], ".."); variable {
		p.min, p.max = 1, atoi(size)
	} else {
		p.min = atoi(f[1:])
		p.max = p.min
	}
	return p
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic("gs1: table: " + err.Error())
	}
	return n
}

// identifier gives the application identifier that data begins with, "" where none does. No identifier is the
// beginning of another one.
func identifier(data string) string {
	for n := 2; n <= 4 && n <= len(data); n++ {
		if _, ok := rules()[data[:n]]; ok {
			return data[:n]
		}
	}
	return ""
}

// Parse reads the element strings of a symbol whose AIM identifier, and with it the first FNC1, was taken off. Where
// anything is wrong there are faults, and the elements are those read so far.
func Parse(data string) (Elements, []Fault) {
	if data == "" {
		return nil, []Fault{{Message: "there is no element string"}}
	}
	if len(data) > maxLength {
		return nil, []Fault{{Message: "is longer than any GS1 symbol"}}
	}
	var out Elements
	var faults []Fault
	for data != "" {
		ai := identifier(data)
		if ai == "" {
			return out, append(faults, unknown(data))
		}
		u := rules()[ai]
		value := data[len(ai):]
		end := strings.IndexByte(value, FNC1)
		if end < 0 {
			end = len(value)
		}
		if u.fixed {
			end = min(end, u.size)
		}
		value, data = value[:end], value[end:]
		if fault := u.check(value); fault != "" {
			faults = append(faults, Fault{ai, fault})
		}
		out = append(out, Element{ai, value})
		data = strings.TrimPrefix(data, string(FNC1)) // behind a fixed length it is superfluous, and harmless
	}
	return out, faults
}

// unknown says that no identifier begins here, naming the digits that are there.
func unknown(data string) Fault {
	n := 0
	for n < len(data) && n < 4 && data[n] >= '0' && data[n] <= '9' {
		n++
	}
	if n < 2 {
		return Fault{Message: "no application identifier where one should begin"}
	}
	return Fault{data[:n], "is not an application identifier"}
}

// check judges a value and says what is wrong with it, "" for nothing.
func (u *rule) check(value string) string {
	if value == "" {
		return "has no value"
	}
	rest := value
	for _, p := range u.parts {
		if rest == "" {
			if p.optional {
				return ""
			}
			return "is too short"
		}
		n := min(p.max, len(rest))
		if n < p.min {
			return "is too short"
		}
		piece := rest[:n]
		rest = rest[n:]
		if !p.holds(piece) {
			return "has a character that does not belong there"
		}
		for _, name := range p.tests {
			if wrong := tests[name](piece); wrong != "" {
				return wrong
			}
		}
	}
	if rest != "" {
		return "is too long"
	}
	return ""
}

// holds says whether a piece keeps to its character set (GS1 General Specifications, section 7.11).
func (p part) holds(piece string) bool {
	for i := range len(piece) {
		c := piece[i]
		digit := c >= '0' && c <= '9'
		upper := c >= 'A' && c <= 'Z'
		lower := c >= 'a' && c <= 'z'
		ok := false
		switch p.kind {
		case 'N':
			ok = digit
		case 'X': // character set 82
			ok = digit || upper || lower || strings.IndexByte("!\"%&'()*+,-./:;<=>?_", c) >= 0
		case 'Y': // character set 39
			ok = digit || upper || strings.IndexByte("#-/", c) >= 0
		case 'Z': // base64url
			ok = digit || upper || lower || strings.IndexByte("-_=", c) >= 0
		}
		if !ok {
			return false
		}
	}
	return true
}

// Associations says which identifiers miss the company they need, keep company they must not, or stand twice with
// different values. At a till these are warnings: other symbols on the same item may hold what is missing here.
func (e Elements) Associations() []Fault {
	var out []Fault
	seen := map[string]string{}
	for _, x := range e {
		if first, twice := seen[x.AI]; twice && first != x.Value {
			out = append(out, Fault{x.AI, "stands twice with different values"})
		}
		seen[x.AI] = x.Value
	}
	for _, x := range e {
		u := rules()[x.AI]
		for _, alternatives := range u.needs {
			if !e.any(alternatives, x.AI) {
				out = append(out, Fault{x.AI, "needs one of " + strings.Join(alternatives, ", ") + " beside it"})
			}
		}
		for _, bar := range u.bars {
			if e.has(bar, x.AI) {
				out = append(out, Fault{x.AI, "must not stand beside " + bar})
			}
		}
	}
	return out
}

// any says whether one of the alternatives is there; an alternative is a sum of patterns.
func (e Elements) any(alternatives []string, self string) bool {
	for _, a := range alternatives {
		all := true
		for pattern := range strings.SplitSeq(a, "+") {
			all = all && e.has(pattern, self)
		}
		if all {
			return true
		}
	}
	return false
}

// has says whether an identifier other than self matches a pattern in which n is any digit.
func (e Elements) has(pattern, self string) bool {
	for _, x := range e {
		if x.AI == self || len(x.AI) != len(pattern) {
			continue
		}
		same := true
		for i := range len(pattern) {
			same = same && (pattern[i] == 'n' || pattern[i] == x.AI[i])
		}
		if same {
			return true
		}
	}
	return false
}
