package scanner

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Pattern is a store's own code with a price or a weight in it, such as the labels of a counter scale: which numbers those
// are is agreed in each country or store (GS1 General Specifications, 2.1.11 on restricted circulation numbers), so
// nothing is built in. The zero value fits nothing. ParsePattern makes one.
type Pattern struct {
	text   string
	places []place
}

// place is one character of a code.
type place struct {
	kind   byte // one of "ICPWK", or '0' for a digit between low and high
	lo, hi byte
}

// Measured is what a code with a price or a weight says.
type Measured struct {
	Item     string // digits of the article number
	Blank    string // the whole code with zeros for the measure, check digits made anew; "" where it ends in none
	HasPrice bool
	Minor    int64 // price in minor units of the currency
	HasGrams bool
	Grams    int64
}

// String is the pattern as it was written.
func (p Pattern) String() string { return p.text }

// maxMeasure is the most digits of a price or weight; maxPattern is that of a code.
const (
	maxMeasure = 9
	maxPattern = 48
)

// ParsePattern reads a pattern: I article number, P price in minor units or W weight in grams, C check digit of that
// price or weight, K check digit of the whole code at its end, digits that are there as they are, and ranges like [0-9]
// for one of several. The error says what is wrong.
func ParsePattern(text string) (Pattern, error) {
	p := Pattern{text: text}
	for rest := text; rest != ""; {
		c := rest[0]
		switch {
		case strings.IndexByte("ICPWK", c) >= 0:
			p.places, rest = append(p.places, place{kind: c}), rest[1:]
		case '0' <= c && c <= '9':
			p.places, rest = append(p.places, place{'0', c, c}), rest[1:]
		case len(rest) >= 5 && c == '[' && rest[2] == '-' && rest[4] == ']' && '0' <= rest[1] && rest[1] <= rest[3] && rest[3] <= '9':
			p.places, rest = append(p.places, place{'0', rest[1], rest[3]}), rest[5:]
		default:
			return Pattern{}, fmt.Errorf("%q is neither I, C, P, W, K, a digit nor a range like [0-9]", rest[:1])
		}
	}
	if err := p.check(); err != nil {
		return Pattern{}, err
	}
	return p, nil
}

func (p Pattern) check() error {
	count := map[byte]int{}
	for n, at := range p.places {
		if at.kind != '0' && count[at.kind] > 0 && p.places[n-1].kind != at.kind {
			return fmt.Errorf("the places of %c have to stand together", at.kind)
		}
		count[at.kind]++
	}
	measure := count['P'] + count['W']
	switch {
	case len(p.places) > maxPattern:
		return fmt.Errorf("it is longer than %d digits", maxPattern)
	case count['I'] == 0:
		return errors.New("it has no article number: I")
	case measure == 0:
		return errors.New("it has neither price nor weight: P or W")
	case count['P'] > 0 && count['W'] > 0:
		return errors.New("it has both price and weight: leave P or W")
	case measure > maxMeasure:
		return fmt.Errorf("its price or weight has more than %d digits", maxMeasure)
	case count['0'] == 0:
		return errors.New("it fits every code of that length: begin with the digits of these codes, like 20")
	case count['C'] > 1 || count['K'] > 1:
		return errors.New("there can be one C and one K")
	case count['C'] == 1 && measure != 4 && measure != 5:
		return errors.New("a C belongs to a price or weight of 4 or 5 digits")
	case count['K'] == 1 && p.places[len(p.places)-1].kind != 'K':
		return errors.New("the K has to be the last")
	}
	return nil
}

// MatchPatterns reads a code by the first pattern that fits. fits says that one does; with ok false no fitting one has
// right check digits. Of a UPC-A the leading zero may be there or not, in the code and in the pattern.
func MatchPatterns(patterns []Pattern, data string) (m Measured, fits, ok bool) {
	for _, p := range patterns {
		for _, form := range forms(data) {
			if !p.fits(form) {
				continue
			}
			if m, ok = p.read(form); ok {
				return m, true, true
			}
			fits = true
		}
	}
	return Measured{}, fits, false
}

// forms are the ways to write a number: UPC-A is EAN-13 with a leading zero.
func forms(data string) []string {
	switch {
	case len(data) == 13 && data[0] == '0':
		return []string{data, data[1:]}
	case len(data) == 12:
		return []string{data, "0" + data}
	}
	return []string{data}
}

func (p Pattern) fits(data string) bool {
	if len(p.places) == 0 || len(data) != len(p.places) {
		return false
	}
	for n, at := range p.places {
		c := data[n]
		if c < '0' || c > '9' || at.kind == '0' && (c < at.lo || c > at.hi) {
			return false
		}
	}
	return true
}

// digitsOf are the digits at the places of a kind.
func (p Pattern) digitsOf(kind byte, data string) string {
	var b strings.Builder
	for n, at := range p.places {
		if at.kind == kind {
			b.WriteByte(data[n])
		}
	}
	return b.String()
}

// read takes a code apart that fits; false means a wrong check digit.
func (p Pattern) read(data string) (Measured, bool) {
	price, grams := p.digitsOf('P', data), p.digitsOf('W', data)
	check, whole := p.digitsOf('C', data), p.digitsOf('K', data)
	if check != "" && check[0] != measureCheck(price+grams) || whole != "" && !checked(data) {
		return Measured{}, false
	}
	m := Measured{Item: p.digitsOf('I', data), HasPrice: price != "", HasGrams: grams != ""}
	n, err := strconv.ParseInt(price+grams, 10, 64)
	if err != nil {
		return Measured{}, false
	}
	if m.HasPrice {
		m.Minor = n
	} else {
		m.Grams = n
	}
	if whole != "" {
		m.Blank = p.blank(data)
	}
	return m, true
}

// blank is the code as catalogues keep it: zeros for the measure and its check digit.
func (p Pattern) blank(data string) string {
	b := []byte(data)
	for n, at := range p.places {
		switch at.kind {
		case 'P', 'W', 'C':
			b[n] = '0'
		}
	}
	for c := byte('0'); c <= '9'; c++ {
		if b[len(b)-1] = c; checked(string(b)) {
			break
		}
	}
	return string(b)
}

// The weighting factors of the check digit of prices: each digit stands for another (GS1 General Specifications, 7.9.2).
const (
	minus2 = "0246891357"
	minus5 = "0594837261"
	plus5  = "0516273849"
)

// measureCheck is the check digit of a price of four or five digits (GS1 General Specifications, 7.9.3 and 7.9.4).
func measureCheck(digits string) byte {
	weigh := func(factor string, n int) int { return int(factor[digits[n]-'0'] - '0') }
	if len(digits) == 4 {
		sum := weigh(minus2, 0) + weigh(minus2, 1) + 3*int(digits[2]-'0') + weigh(minus5, 3)
		return byte('0' + 3*sum%10)
	}
	sum := weigh(plus5, 0) + weigh(minus2, 1) + weigh(minus5, 2) + weigh(plus5, 3) + weigh(minus2, 4)
	return byte('0' + strings.IndexByte(minus5, byte('0'+(10-sum%10)%10)))
}
