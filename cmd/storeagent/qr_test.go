package main

import (
	"strings"
	"testing"

	"github.com/boombuler/barcode/qr"
)

// TestQRTextEveryModule reads the drawing back, module by module, and compares it with the encoder's matrix: one wrong
// half block can make a code unreadable.
func TestQRTextEveryModule(t *testing.T) {
	for _, content := range []string{
		"x", "https://pos.example.com/device?user_code=WDJB-MJHT", "http://127.0.0.1:23456/device?user_code=ABCD-EFGH",
		strings.Repeat("https://pos.example.com/", 12),
	} {
		text, err := qrText(content)
		if err != nil {
			t.Fatal(err)
		}
		code, err := qr.Encode(content, qr.M, qr.Auto)
		if err != nil {
			t.Fatal(err)
		}
		light := readHalfBlocks(t, text)
		size := code.Bounds().Dx()
		quiet := (len(light[0]) - size) / 2
		if quiet < 2 || len(light[0]) != size+2*quiet || len(light) < size+2*quiet {
			t.Fatalf("%q: %d by %d modules drawn for a code of %d", content, len(light[0]), len(light), size)
		}
		dark, wrong := 0, 0
		for y, row := range light {
			for x, isLight := range row {
				want := true // the quiet zone
				if cx, cy := x-quiet, y-quiet; cx >= 0 && cy >= 0 && cx < size && cy < size {
					r, _, _, _ := code.At(cx, cy).RGBA()
					want = r != 0
				}
				if !isLight {
					dark++
				}
				if isLight != want {
					wrong++
				}
			}
		}
		if wrong > 0 || dark < size {
			t.Errorf("%q: %d modules are wrong, %d are dark", content, wrong, dark)
		}
	}
}

// readHalfBlocks turns the drawing into rows of modules; true is light.
func readHalfBlocks(t *testing.T, text string) [][]bool {
	t.Helper()
	var rows [][]bool
	for line := range strings.Lines(text) {
		var top, bottom []bool
		for _, r := range strings.TrimSuffix(line, "\n") {
			var up, down bool
			switch r {
			case '█':
				up, down = true, true
			case '▀':
				up = true
			case '▄':
				down = true
			case ' ':
			default:
				t.Fatalf("%q is no half block", r)
			}
			top, bottom = append(top, up), append(bottom, down)
		}
		if len(rows) > 0 && len(top) != len(rows[0]) {
			t.Fatalf("line %d has %d modules, the first %d", len(rows)/2, len(top), len(rows[0]))
		}
		rows = append(rows, top, bottom)
	}
	if len(rows) == 0 {
		t.Fatal("nothing was drawn")
	}
	return rows
}
