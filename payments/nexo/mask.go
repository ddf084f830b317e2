package nexo

import (
	"encoding/json"
	"regexp"
	"strings"

	"storeagent/internal/carddata"
)

// maskedPAN keeps the last four digits of a card number while it is read; nothing else of it enters our memory's
// structures. "" where there are none.
type maskedPAN string

// UnmarshalJSON implements json.Unmarshaler.
func (m *maskedPAN) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*m = maskedPAN(lastFour(s))
	return nil
}

// lastFour gives the last four digits where the text ends with them.
func lastFour(s string) string {
	s = strings.TrimSpace(s)
	if len(s) < 4 {
		return ""
	}
	s = s[len(s)-4:]
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return ""
		}
	}
	return s
}

// halfMasked is a card number with its middle hidden, as terminals write it: 541333 **** 0010.
var halfMasked = regexp.MustCompile(`[0-9]{4}[ -]?[0-9]{2,4}[ -]?(?:[*xX#•]|\.\.)[*xX#•. -]*([0-9]{4})\b`)

// mask hides all but the last four digits of card numbers, whole or with a hidden middle, and leaves out control
// characters.
func mask(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	for { // each round has fewer digits
		for halfMasked.MatchString(s) { // also what hiding a whole number brought about
			s = halfMasked.ReplaceAllString(s, "**** $1")
		}
		start, end, ok := carddata.FindCard(s)
		if !ok {
			return s
		}
		hidden := "****"
		if four := lastFour(s[start:end]); four != "" {
			hidden += " " + four
		}
		s = s[:start] + hidden + s[end:]
	}
}
