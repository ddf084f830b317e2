package scale

import (
	"errors"
	"testing"
)

func TestParse(t *testing.T) {
	toledo := func(b []byte) (int, Reading, error) { return parseToledo(b, "lb") }
	tests := []struct {
		parse  func([]byte) (int, Reading, error)
		in     string
		weight string
		unit   string
		err    error
	}{
		{parseNCI, "\n01.250KG\r\nS00\r\x03", "1.250", "kg", nil},
		{parseNCI, "\n 12.34LB\r\nS00\r\x03", "12.34", "lb", nil},
		{parseNCI, "\n0000.0OZ\r\nS20\r\x03", "0.0", "oz", nil},
		{parseNCI, "\nS10\r\x03", "", "", ErrNotStable},
		{parseNCI, "\nS02\r\x03", "", "", ErrOverload},
		{parseNCI, "\nS01\r\x03", "", "", ErrBelowZero},
		{parseNCI, "\n01.250KG\r\nS10\r\x03", "", "", ErrNotStable}, // a weight in motion is no weight
		{parseNCI, "\n01.250KG\r", "", "", errIncomplete},
		{toledo, "\x02001.25\r", "1.25", "lb", nil},
		{toledo, "late\x02012.00\r", "12.00", "lb", nil},
		{toledo, "\x02?\x61\r", "", "", ErrNotStable},
		{toledo, "\x02?\x62\r", "", "", ErrOverload},
		{toledo, "\x02?\x64\r", "", "", ErrBelowZero},
		{toledo, "\x02001.2", "", "", errIncomplete},
	}
	for _, tc := range tests {
		_, r, err := tc.parse([]byte(tc.in))
		if r.Weight != tc.weight || r.Unit != tc.unit || !errors.Is(err, tc.err) {
			t.Errorf("%q: %+v, %v", tc.in, r, err)
		}
	}
	for _, bad := range []string{"\n01.2x0KG\r\nS00\r\x03", "\n01.250XX\r\nS00\r\x03", "\n\r\nS00\r\x03", "\nKG\r\nS00\r\x03", "\n-1.250KG\r\nS00\r\x03", "\x03"} {
		if _, r, err := parseNCI([]byte(bad)); err == nil || r != (Reading{}) {
			t.Errorf("%q was taken as %+v", bad, r)
		}
	}
}

// FuzzParse: nothing panics, a reading is a decimal text, and nothing beyond the input is used.
func FuzzParse(f *testing.F) {
	f.Add([]byte("\n01.250KG\r\nS00\r\x03"), false)
	f.Add([]byte("\x02001.25\r"), true)
	f.Fuzz(func(t *testing.T, b []byte, toledo bool) {
		parse := parseNCI
		if toledo {
			parse = func(b []byte) (int, Reading, error) { return parseToledo(b, "kg") }
		}
		n, r, err := parse(b)
		if n > len(b) {
			t.Fatalf("used %d of %d bytes", n, len(b))
		}
		if err != nil {
			return
		}
		if again, perr := plain([]byte(r.Weight)); perr != nil || again != r.Weight {
			t.Fatalf("%q gave the weight %q", b, r.Weight)
		}
	})
}
