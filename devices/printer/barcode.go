package printer

import (
	"fmt"
	"strings"
)

// Barcode is a linear barcode whose data passed the rules of its symbology.
type Barcode struct {
	Symbology string // ean13, ean8, upca, code39, itf, code128
	Data      string // with its check digit
	Runs      []Run  // CODE128 only: the data split by code set
	modules   int    // width of the symbol, without quiet zones
}

// Run is a piece of CODE128 data in one code set: 'B' (printable ASCII) or 'C' (pairs of digits).
type Run struct {
	Set  byte
	Text string
}

// ParseBarcode checks data against the rules of its symbology (GS1 General Specifications section 7.9 for the check
// digit, ISO/IEC 15417, 16388 and 16390 for the rest) and completes a missing check digit.
// The error's Field is "symbology" or "data".
func ParseBarcode(symbology, data string) (Barcode, *DocumentError) {
	bad := func(format string, args ...any) (Barcode, *DocumentError) {
		return Barcode{}, &DocumentError{Field: "data", Message: fmt.Sprintf(format, args...)}
	}
	code := Barcode{Symbology: symbology, Data: data}
	n := len(data)
	switch symbology {
	case "ean13", "ean8", "upca":
		size := map[string]int{"ean13": 13, "ean8": 8, "upca": 12}[symbology]
		if !allDigits(data) || n != size && n != size-1 {
			return bad("%s needs %d digits, or %d without the check digit", symbology, size, size-1)
		}
		check := checkDigit(data[:size-1])
		if n == size && data[n-1] != check {
			return bad("the check digit of %s must be %c", data[:size-1], check)
		}
		code.Data = data[:size-1] + string(check)
		code.modules = map[string]int{"ean13": 95, "ean8": 67, "upca": 95}[symbology]
	case "itf":
		if !allDigits(data) || n == 0 || n%2 != 0 {
			return bad("itf needs an even number of digits")
		}
		code.modules = n*9 + 9 // wide bars of 3: 18 modules a pair, start 4, stop 5
	case "code39":
		if n == 0 || strings.IndexFunc(data, notCode39) >= 0 {
			return bad("code39 takes capital letters, digits, space and - . $ / + %%")
		}
		code.modules = (n + 2) * 16 // wide bars of 3: 15 modules a character and a gap, with start and stop
	case "code128":
		if n == 0 || strings.IndexFunc(data, func(r rune) bool { return r < 0x20 || r > 0x7E }) >= 0 {
			return bad("code128 takes printable ASCII, at least one character")
		}
		code.Runs = code128Runs(data)
		code.modules = code128Modules(code.Runs)
	default:
		return Barcode{}, &DocumentError{Field: "symbology",
			Message: fmt.Sprintf("%q is not one of ean13, ean8, upca, code39, itf, code128", symbology)}
	}
	return code, nil
}

// BarcodeModule is the width of the narrowest bar, in dots, at which the barcode fits a line of that many dots: 3 where
// it goes, else 2 (the least that ESC/POS printers offer), 0 where it does not fit.
func BarcodeModule(op Op, dots int) int {
	code, err := ParseBarcode(op.Symbology, op.Data)
	if err != nil {
		return 0
	}
	for module := 3; module >= 2; module-- {
		if code.modules*module <= dots {
			return module
		}
	}
	return 0
}

// qrModule is what a QR code has for dots a module where the document does not say.
const qrModule = 6

// QRModule is the size of a QR code's modules, in dots, on a line of that many dots: what the operation asks for, else 6
// or the most that fits. It is 0 where the symbol does not fit, or its data no symbol (ISO/IEC 18004: at most version
// 40).
func QRModule(op Op, dots int) int {
	size := qrSize(op.Data, op.Level)
	if size == 0 {
		return 0
	}
	fits := dots / size
	switch {
	case op.Size == 0:
		return min(qrModule, fits)
	case op.Size > fits:
		return 0
	}
	return op.Size
}

func notCode39(r rune) bool {
	return !strings.ContainsRune("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ -.$/+%", r)
}

func allDigits(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// checkDigit is the GS1 modulo 10 check digit of digits, as a character.
func checkDigit(digits string) byte {
	sum := 0
	for i := range len(digits) {
		d := int(digits[len(digits)-1-i] - '0')
		if i%2 == 0 {
			d *= 3
		}
		sum += d
	}
	return byte('0' + (10-sum%10)%10)
}

// code128Runs puts stretches of at least six digits, or a whole code of at least four, into code set C (half the
// width) and the rest into B.
func code128Runs(data string) []Run {
	var runs []Run
	add := func(set byte, text string) {
		if text == "" {
			return
		}
		if n := len(runs); n > 0 && runs[n-1].Set == set {
			runs[n-1].Text += text
			return
		}
		runs = append(runs, Run{set, text})
	}
	for data != "" {
		n := 0
		for n < len(data) && data[n] >= '0' && data[n] <= '9' {
			n++
		}
		if n >= 6 || n >= 4 && n == len(data) && len(runs) == 0 {
			if n%2 == 1 {
				add('B', data[:1])
				data, n = data[1:], n-1
			}
			add('C', data[:n])
			data = data[n:]
			continue
		}
		n = max(n, 1)
		add('B', data[:n])
		data = data[n:]
	}
	return runs
}

// code128Modules counts 11 modules for start, each symbol, each change of set and the check symbol, 13 for stop.
func code128Modules(runs []Run) int {
	symbols := 1 + len(runs) // check symbol; start, and a change for each further run
	for _, r := range runs {
		if r.Set == 'C' {
			symbols += len(r.Text) / 2
		} else {
			symbols += len(r.Text)
		}
	}
	return symbols*11 + 13
}
