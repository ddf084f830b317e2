package printer

import (
	"strings"
	"testing"

	"github.com/boombuler/barcode/qr"
)

// TestQRSize compares with the symbols that a library draws, at the last data that each of a few versions holds and the
// first that it does not.
func TestQRSize(t *testing.T) {
	levels := map[string]qr.ErrorCorrectionLevel{"L": qr.L, "M": qr.M, "Q": qr.Q, "H": qr.H}
	drawn := func(data, level string) int {
		code, err := qr.Encode(data, levels[level], qr.Auto)
		if err != nil {
			return 0
		}
		return code.Bounds().Dx()
	}
	for level := range levels {
		for mode, letters := range map[string]string{"numeric": "0123456789", "alphanumeric": "AB $%*+-./:", "bytes": "https://a", "text": "é漢"} {
			data := strings.Repeat(letters, 8000/len(letters))
			last, version := 0, 0
			for n := 1; version < 40; n++ {
				size := qrSize(data[:n], level)
				if size < last || size != 0 && size != last && size != last+4 && last != 0 {
					t.Fatalf("%s %s: %d bytes make %d modules, one less %d", mode, level, n, size, last)
				}
				if size == last {
					continue
				}
				version++
				if version == 2 || version == 10 || version == 27 && level == "H" || size == 0 { // where the length gets more bits
					if want := drawn(data[:n], level); size != want {
						t.Errorf("%s %s: %d bytes make %d modules, want %d", mode, level, n, size, want)
					}
					if size != 0 && last != drawn(data[:n-1], level) {
						t.Errorf("%s %s: %d bytes make %d modules", mode, level, n-1, last)
					}
				}
				if size == 0 {
					break
				}
				last = size
			}
		}
	}
	if qrSize("x", "Z") != 0 || qrSize("x", "") != qrSize("x", "M") {
		t.Error("levels")
	}
}
