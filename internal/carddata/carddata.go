// Package carddata finds payment card numbers and magnetic stripe tracks in text, so that they can be refused before
// anybody sees, logs or stores them.
//
// It is called by devices/scanner and register, and imports nothing of this module. A card number is what ISO/IEC 7812
// describes: 13 to 19 digits with the check digit of its annex B (Luhn), in the range of an issuer of payment cards.
// Tracks are those of ISO/IEC 7813. A valid GTIN (GS1 General Specifications, 7.9) is no card number, though one EAN-13
// in ten passes Luhn. Nor are there any in a UUID (RFC 9562), whose groups are digits often enough to look like one.
package carddata

import "strings"

// LooksLikeCard reports whether the whole text, spaces and dashes between its digits aside, is a card number, or
// whether it holds track data or a card number among other text. A number that begins with one of allow (gift card
// prefixes) is none, nor is anything on a track that begins so.
func LooksLikeCard(text string, allow []string) bool {
	for from := 0; from < len(text); {
		start, end, ok := FindCard(text[from:])
		if !ok {
			return false
		}
		if !allowed(number(text[from+start:from+end]), allow) {
			return true
		}
		from += end
	}
	return false
}

// FindCard finds the first card number or track in a text: the bytes from start to end.
func FindCard(text string) (start, end int, ok bool) {
	text = withoutUUIDs(text)
	for at := 0; at < len(text); {
		if end, ok := track(text, at); ok {
			return at, end, true
		}
		if !digit(text[at]) {
			at++
			continue
		}
		begin, over := run(text, at)
		if start, end, ok := card(text, begin, over); ok {
			return start, end, true
		}
		at = over
	}
	return 0, 0, false
}

// uuidSize is the length of a UUID's text: 8, 4, 4, 4 and 12 hexadecimal digits with dashes between (RFC 9562, section 4).
const uuidSize = 36

// withoutUUIDs puts as many letters in the place of each UUID that stands by itself.
func withoutUUIDs(text string) string {
	var out []byte
	for at := 0; at+uuidSize <= len(text); at++ {
		if text[at+8] != '-' || !isUUID(text[at:at+uuidSize]) || at > 0 && alphanumeric(text[at-1]) ||
			at+uuidSize < len(text) && alphanumeric(text[at+uuidSize]) {
			continue
		}
		if out == nil {
			out = []byte(text)
		}
		for i := range uuidSize {
			out[at+i] = 'x'
		}
		at += uuidSize - 1
	}
	if out == nil {
		return text
	}
	return string(out)
}

// isUUID checks 36 bytes: dashes, hexadecimal digits, a version from 1 to 8 and the variant of RFC 9562.
func isUUID(s string) bool {
	for i := range len(s) {
		if dash := i == 8 || i == 13 || i == 18 || i == 23; dash && s[i] != '-' || !dash && !hexadecimal(s[i]) {
			return false
		}
	}
	return '1' <= s[14] && s[14] <= '8' && strings.IndexByte("89abAB", s[19]) >= 0
}

func hexadecimal(c byte) bool { return digit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func alphanumeric(c byte) bool { return digit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' }

// The bounds of a primary account number.
const (
	minPAN = 13
	maxPAN = 19
)

func digit(c byte) bool { return '0' <= c && c <= '9' }

// separator is what people and forms put between groups of a card number.
func separator(c byte) bool { return c == ' ' || c == '-' }

// run is the stretch of digits from at on, single separators between digits included.
func run(text string, at int) (begin, end int) {
	begin, end = at, at+1
	for end < len(text) {
		switch {
		case digit(text[end]):
			end++
		case separator(text[end]) && end+1 < len(text) && digit(text[end+1]):
			end += 2
		default:
			return begin, end
		}
	}
	return begin, end
}

// card looks for a card number in a run: the whole run, else whole groups of it, since a number may stand beside
// others ("1 4111 1111 1111 1111"). Digits in the middle of a group are not looked at: every long number holds some
// that fit.
func card(text string, begin, end int) (int, int, bool) {
	if isCard(number(text[begin:end])) {
		return begin, end, true
	}
	for from := begin; from < end; from++ {
		if !digit(text[from]) || from > begin && digit(text[from-1]) {
			continue // no group starts here
		}
		count := 0
		for to := from; to < end && count <= maxPAN; to++ {
			if !digit(text[to]) {
				continue
			}
			count++
			if count < minPAN || to+1 < end && digit(text[to+1]) {
				continue // no group ends here
			}
			if isCard(number(text[from : to+1])) {
				return from, to + 1, true
			}
		}
	}
	return 0, 0, false
}

// track looks for the start of a magnetic stripe track at a place: "%B" and "^", or ";" (track 3: "+") and "=", with a number of 12
// to 19 digits between, which need not pass Luhn. It ends at its sentinel "?", a line end, or with the text.
func track(text string, at int) (end int, ok bool) {
	i := at
	var field byte
	switch {
	case text[i] == '%' && i+1 < len(text) && (text[i+1] == 'B' || text[i+1] == 'b'):
		i, field = i+2, '^'
	case text[i] == ';', text[i] == '+':
		i, field = i+1, '='
	default:
		return 0, false
	}
	digits := 0
	for i < len(text) && (digit(text[i]) || text[i] == ' ' && field == '^') { // track 1 may group the number
		if digit(text[i]) {
			digits++
		}
		i++
	}
	if digits < 12 || digits > maxPAN || i == len(text) || text[i] != field {
		return 0, false
	}
	for i < len(text) && text[i] != '?' && text[i] != '\r' && text[i] != '\n' {
		i++
	}
	if i < len(text) && text[i] == '?' {
		i++
	}
	return i, true
}

// number is the digits of a card number, or of the account number that a track begins with.
func number(found string) string {
	digits := make([]byte, 0, maxPAN)
	for i := 0; i < len(found); i++ {
		switch c := found[i]; {
		case digit(c):
			digits = append(digits, c)
		case c == '^' || c == '=':
			return string(digits)
		}
	}
	return string(digits)
}

func allowed(number string, allow []string) bool {
	for _, prefix := range allow {
		if prefix != "" && len(number) > len(prefix) && number[:len(prefix)] == prefix {
			return true
		}
	}
	return false
}

func isCard(n string) bool {
	return len(n) >= minPAN && len(n) <= maxPAN && issued(n) && luhn(n) && !gtin(n)
}

// issued reports whether a number lies in the range of a payment card issuer: the networks' published ranges of
// leading digits (Mastercard 2221-2720 and 51-55, American Express, Diners and JCB 3, Visa 4, Discover 6011, 64 and
// 65, UnionPay 62, Maestro 50 and 56-69).
func issued(n string) bool {
	first4 := 0
	for i := range 4 {
		first4 = first4*10 + int(n[i]-'0')
	}
	two := first4 / 100
	return first4 >= 2221 && first4 <= 2720 || two/10 == 3 || two/10 == 4 || two >= 50 && two <= 69
}

// luhn is the check of ISO/IEC 7812-1, annex B.
func luhn(n string) bool {
	sum := 0
	for i := range len(n) {
		d := int(n[len(n)-1-i] - '0')
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// gtin reports whether n is a GTIN-8, -12, -13 or -14 with the right check digit (weights 3 and 1 from the right).
func gtin(n string) bool {
	if len(n) != 8 && (len(n) < 12 || len(n) > 14) {
		return false
	}
	sum := 0
	for i := range len(n) {
		d := int(n[len(n)-1-i] - '0')
		if i%2 == 1 {
			d *= 3
		}
		sum += d
	}
	return sum%10 == 0
}
