package catalogue

import (
	"strings"
	"unicode"
)

// Forms lists the spellings of one scanned code under which an item may be filed, the likeliest first: the code as it
// is; for a GTIN of 8, 12, 13 or 14 digits also its other lengths, which differ by leading zeros only (GS1 General
// Specifications, section 3.3.2), and the number without them, as systems keep it that store it as one. No public page
// says how the cloud's items carry barcodes, so all of these are compared with the sku, and with the item's barcodes
// where the tenant has such a field.
func Forms(code string) []string {
	code = strings.TrimSpace(code)
	if code == "" {
		return nil
	}
	forms := []string{code}
	if !digits(code) || len(code) != 8 && len(code) != 12 && len(code) != 13 && len(code) != 14 {
		return forms
	}
	bare := strings.TrimLeft(code, "0")
	if bare == "" {
		return forms
	}
	add := func(f string) {
		for _, have := range forms {
			if have == f {
				return
			}
		}
		forms = append(forms, f)
	}
	for _, n := range []int{13, 12, 14, 8} {
		if len(bare) <= n {
			add(strings.Repeat("0", n-len(bare)) + bare)
		}
	}
	if len(bare) > 8 { // shorter numbers are more likely a store's own
		add(bare)
	}
	return forms
}

func digits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// maxWords bounds a search.
const maxWords = 8

// Words takes a search apart into its first eight words.
func Words(q string) []string {
	words := AllWords(q)
	return words[:min(len(words), maxWords)]
}

// AllWords takes a text apart into lower-case words of letters and digits.
func AllWords(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsMark(r) })
}

// PhoneDigits keeps the digits of a telephone number.
func PhoneDigits(phone string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, phone)
}

// PhoneTail is the part of a number's digits that is compared: numbers are written with and without country and area
// code. "" where there are too few digits to tell people apart.
func PhoneTail(digits string) string {
	if len(digits) < 7 {
		return ""
	}
	return digits[len(digits)-7:]
}
