package scale

import (
	"errors"
	"testing"
)

func TestParseHID(t *testing.T) {
	for name, c := range map[string]struct {
		report []byte
		weight string
		unit   string
		err    error
	}{
		"1.250 kg":           {[]byte{3, 4, 3, 0xFD, 0xE2, 0x04}, "1.250", "kg", nil},
		"20 g":               {[]byte{3, 4, 2, 0, 20, 0}, "20", "g", nil},
		"645.2 oz":           {[]byte{3, 4, 11, 0xFF, 0x34, 0x19}, "645.2", "oz", nil},
		"0.05 lb":            {[]byte{3, 4, 12, 0xFE, 5, 0}, "0.05", "lb", nil},
		"50 g in tens":       {[]byte{3, 4, 2, 1, 5, 0}, "50", "g", nil},
		"the most":           {[]byte{3, 4, 2, 0, 0xFF, 0xFF}, "65535", "g", nil},
		"another report id":  {[]byte{4, 4, 2, 0, 20, 0}, "20", "g", nil},
		"padded":             {[]byte{3, 4, 2, 0, 20, 0, 0, 0}, "20", "g", nil},
		"empty":              {[]byte{3, 2, 3, 0xFD, 0, 0}, "0.000", "kg", nil},
		"empty, in tens":     {[]byte{3, 2, 2, 1, 0, 0}, "0", "g", nil},
		"zero and a weight":  {[]byte{3, 2, 3, 0xFD, 1, 0}, "", "", ErrFault},
		"in motion":          {[]byte{3, 3, 3, 0xFD, 0xE2, 0x04}, "", "", ErrNotStable},
		"below zero":         {[]byte{3, 5, 3, 0xFD, 0xE2, 0x04}, "", "", ErrBelowZero},
		"too much":           {[]byte{3, 6, 3, 0xFD, 0, 0}, "", "", ErrOverload},
		"wants its zero key": {[]byte{3, 8, 3, 0xFD, 0, 0}, "", "", ErrBelowZero},
		"fault":              {[]byte{3, 1, 3, 0xFD, 0, 0}, "", "", ErrFault},
		"wants calibration":  {[]byte{3, 7, 3, 0xFD, 0, 0}, "", "", ErrFault},
		"no status":          {[]byte{3, 0, 3, 0xFD, 1, 0}, "", "", ErrFault},
		"status unknown":     {[]byte{3, 9, 3, 0xFD, 1, 0}, "", "", ErrFault},
		"troy ounces":        {[]byte{3, 4, 10, 0xFD, 1, 0}, "", "", ErrFault},
		"unit unknown":       {[]byte{3, 4, 13, 0xFD, 1, 0}, "", "", ErrFault},
		"exponent too low":   {[]byte{3, 4, 3, 0xF9, 1, 0}, "", "", ErrFault},
		"exponent too high":  {[]byte{3, 4, 3, 4, 1, 0}, "", "", ErrFault},
		"about itself":       {[]byte{1, 0x23, 3, 0xFD, 1, 0}, "", "", errNoReport},
		"its status alone":   {[]byte{4, 4}, "", "", errNoReport},
		"cut":                {[]byte{3, 4, 3, 0xFD, 1}, "", "", errNoReport},
		"nothing":            {nil, "", "", errNoReport},
	} {
		r, err := parseHID(c.report)
		if r.Weight != c.weight || r.Unit != c.unit || !errors.Is(err, c.err) || c.err == nil && err != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// FuzzParseHID: nothing panics, a weight is a decimal text at rest, and an error comes without a weight.
func FuzzParseHID(f *testing.F) {
	f.Add([]byte{3, 4, 3, 0xFD, 0xE2, 0x04})
	f.Add([]byte{3, 2, 11, 0xFF, 0, 0})
	f.Add([]byte{4, 4})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseHID(b)
		if err != nil {
			if r != (Reading{}) {
				t.Fatalf("%x gave %+v and %v", b, r, err)
			}
			return
		}
		if again, perr := plain([]byte(r.Weight)); perr != nil || again != r.Weight || r.Unit == "" {
			t.Fatalf("%x gave %+v", b, r)
		}
		if b[1] != hidStable && b[1] != hidAtZero {
			t.Fatalf("%x is not at rest and gave %+v", b, r)
		}
	})
}
