package scanner

import "strings"

// The symbology words that this package gives, of the API contract, section 8.
const (
	unknown       = "unknown"
	ean13         = "ean13"
	ean8          = "ean8"
	upca          = "upca"
	upce          = "upce"
	code128       = "code128"
	gs1128        = "gs1-128"
	code39        = "code39"
	code93        = "code93"
	itf           = "itf"
	codabar       = "codabar"
	qr            = "qr"
	gs1QR         = "gs1-qr"
	dataMatrix    = "datamatrix"
	gs1DataMatrix = "gs1-datamatrix"
	dataBar       = "databar"
	pdf417        = "pdf417"
	aztec         = "aztec"
	dotCode       = "dotcode"
)

// splitAIM takes the AIM identifier off: "]", a letter and a modifier (ISO/IEC 15424). Data that only looks alike,
// with a letter that no symbology has, stays whole.
func splitAIM(code []byte) (aim string, data []byte) {
	if len(code) < 3 || code[0] != ']' || symbologyOf(string(code[:3])) == "" {
		return "", code
	}
	return string(code[:3]), code[3:]
}

// symbologyOf gives the word of an AIM identifier, unknown where the contract has none for it, and "" for what is no
// identifier (ISO/IEC 15424, table of code characters).
func symbologyOf(aim string) string {
	if modifier := aim[2]; !letter(modifier) && (modifier < '0' || modifier > '9') {
		return ""
	}
	switch modifier := aim[2]; aim[1] {
	case 'E':
		switch modifier {
		case '4':
			return ean8
		case '1', '2': // an add-on alone
			return unknown
		}
		return ean13
	case 'C':
		if modifier == '1' {
			return gs1128
		}
		return code128
	case 'e':
		return dataBar
	case 'd':
		if modifier == '2' {
			return gs1DataMatrix
		}
		return dataMatrix
	case 'Q':
		if modifier == '3' {
			return gs1QR
		}
		return qr
	case 'J':
		return dotCode
	case 'A':
		return code39
	case 'F':
		return codabar
	case 'G':
		return code93
	case 'I':
		return itf
	case 'L':
		return pdf417
	case 'z':
		return aztec
	}
	if letter(aim[1]) {
		return unknown
	}
	return ""
}

func letter(c byte) bool { return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' }

// identify gives the symbology word and the GTIN in its 14 digit form, "" where there is none.
func identify(aim string, data []byte) (symbology, gtin string) {
	text := string(data)
	if aim == "" {
		return unknown, bareGTIN(text)
	}
	symbology = symbologyOf(aim)
	switch symbology {
	case ean13, ean8:
		return identifyEAN(aim, symbology, text)
	case itf:
		if len(text) == 14 && checked(text) { // ITF-14, the carton's code
			gtin = text
		}
	}
	return symbology, gtin
}

// identifyEAN knows what scanners send under the EAN/UPC identifiers: 13 digits, a UPC-A without its leading zero, an
// EAN-8 or a UPC-E in eight digits, and with "]E3" an add-on of 2 or 5 digits behind.
func identifyEAN(aim, symbology, text string) (string, string) {
	if aim == "]E3" && (len(text) == 15 || len(text) == 18) {
		text = text[:13]
	}
	switch {
	case len(text) == 13 && checked(text):
		return symbology, pad(text)
	case len(text) == 12 && checked(text):
		return upca, pad(text)
	case len(text) == 8 && aim != "]E4":
		// The check digits tell the two apart; where both fit, EAN-8 is never in the ranges 0 and 1 of a UPC-E
		// (those EAN-8 are for use inside a company: GS1 General Specifications 1.4.3).
		if a, ok := expandUPCE(text); ok {
			return upce, pad(a)
		}
		if checked(text) {
			return ean8, pad(text)
		}
	case len(text) == 8 && checked(text):
		return ean8, pad(text)
	}
	return symbology, ""
}

// bareGTIN is the GTIN of a code without an AIM identifier, told by length and check digit alone. Eight digits are an
// EAN-8, or a UPC-E whose check digit fits; where both fit they name two articles, and we name none.
func bareGTIN(text string) string {
	switch len(text) {
	case 12, 13, 14:
		if checked(text) {
			return pad(text)
		}
	case 8:
		a, isUPCE := expandUPCE(text)
		isEAN := checked(text)
		switch {
		case isEAN && !isUPCE:
			return pad(text)
		case isUPCE && !isEAN:
			return pad(a)
		}
	}
	return ""
}

// pad is the 14 digit form of a GTIN.
func pad(gtin string) string { return strings.Repeat("0", 14-len(gtin)) + gtin }

// checked reports whether text is digits that end in the GS1 check digit: weights 3 and 1 from the right (GS1 General
// Specifications, 7.9.1).
func checked(text string) bool {
	sum := 0
	for i := range len(text) {
		c := text[len(text)-1-i]
		if c < '0' || c > '9' {
			return false
		}
		if i%2 == 1 {
			sum += 3 * int(c-'0')
		} else {
			sum += int(c - '0')
		}
	}
	return len(text) > 1 && sum%10 == 0
}

// expandUPCE gives the UPC-A of eight digits of a UPC-E, number system 0 or 1; its check digit is the UPC-A's
// (GS1 General Specifications, 5.2.2.4.2).
func expandUPCE(text string) (string, bool) {
	if len(text) != 8 || text[0] != '0' && text[0] != '1' {
		return "", false
	}
	n, x, check := text[:1], text[1:7], text[7:]
	var a string
	switch x[5] {
	case '0', '1', '2':
		a = n + x[:2] + x[5:] + "0000" + x[2:5] + check
	case '3':
		a = n + x[:3] + "00000" + x[3:5] + check
	case '4':
		a = n + x[:4] + "00000" + x[4:5] + check
	default:
		a = n + x[:5] + "0000" + x[5:] + check
	}
	return a, checked(a)
}
