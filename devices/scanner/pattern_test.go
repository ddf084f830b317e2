package scanner

import (
	"fmt"
	"strings"
	"testing"
)

func pattern(t testing.TB, text string) Pattern {
	t.Helper()
	p, err := ParsePattern(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

func TestMeasureCheck(t *testing.T) {
	for digits, want := range map[string]byte{"2875": '9', "1234": '9', "0123": '6', "12345": '8', "14685": '6'} {
		if got := measureCheck(digits); got != want {
			t.Errorf("%s: %c, want %c", digits, got, want)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		patterns, data string
		fits, ok       bool
		want           Measured
	}{
		{"20IIIIICPPPPK", "2012345928756", true, true, Measured{Item: "12345", Blank: "2012345000001", HasPrice: true, Minor: 2875}},
		{"20IIIIICPPPPK", "2012345828759", true, false, Measured{}}, // price check digit
		{"20IIIIICPPPPK", "2012345928757", true, false, Measured{}}, // check digit of the whole
		{"20IIIIICPPPPK", "2112345928756", false, false, Measured{}},
		{"20IIIIICPPPPK", "201234592875", false, false, Measured{}},
		{"20IIIIICPPPPK", "20123459287a6", false, false, Measured{}},
		{"2IIIIICPPPPK", "0212345804995", true, true, Measured{Item: "12345", Blank: "212345000007", HasPrice: true, Minor: 499}},
		{"2IIIIICPPPPK", "212345804995", true, true, Measured{Item: "12345", Blank: "212345000007", HasPrice: true, Minor: 499}},
		{"02IIIIICPPPPK", "212345804995", true, true, Measured{Item: "12345", Blank: "0212345000007", HasPrice: true, Minor: 499}},
		{"2[5-9]IIIIIWWWWW", "280012301250", true, true, Measured{Item: "00123", HasGrams: true, Grams: 1250}},
		{"2[5-9]IIIIIWWWWW", "240012301250", false, false, Measured{}},
		{"20IIIIICPPPPK 20IIIIIPPPPPK", "2012345828758", true, false, Measured{}}, // both have a wrong digit
		{"20IIIIICPPPPK 20IIIIIPPPPPK", "2012345028753", true, true, Measured{Item: "12345", Blank: "2012345000001", HasPrice: true, Minor: 2875}},
		{"", "2012345928756", false, false, Measured{}},
		{"20IIIIICPPPPK", "", false, false, Measured{}},
	} {
		var list []Pattern
		for text := range strings.FieldsSeq(c.patterns) {
			list = append(list, pattern(t, text))
		}
		got, fits, ok := MatchPatterns(list, c.data)
		if got != c.want || fits != c.fits || ok != c.ok {
			t.Errorf("%s by %s: %+v %v %v, want %+v %v %v", c.data, c.patterns, got, fits, ok, c.want, c.fits, c.ok)
		}
	}
	if got := pattern(t, "2[0-9]IIIIICPPPPK").String(); got != "2[0-9]IIIIICPPPPK" {
		t.Error(got)
	}
	if _, fits, _ := MatchPatterns([]Pattern{{}}, ""); fits {
		t.Error("the zero pattern fits")
	}
}

func TestPatternErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                       "no article number",
		"20PPPPK":                "no article number",
		"20IIIIIK":               "neither price nor weight",
		"20IIPPWW":               "both",
		"IIIIIPPPPPK":            "fits every code",
		"20IIPPIIK":              "stand together",
		"20IIIICCPPPPK":          "one C",
		"20IIIIICPPPK":           "4 or 5",
		"20KIIIIIPPPPP":          "last",
		"20IIIIIPPPPPKK":         "one K",
		"20IIIIIXPPPPK":          "neither I, C",
		"2[9-0]IIIIPPPPK":        "neither I, C",
		"2[0-9":                  "neither I, C",
		"20iiiiiPPPPK":           "neither I, C",
		"20IIIIPPPPPPPPPPPP":     "more than 9",
		"2P" + rep("I", 47):      "longer than 48",
		"20IIIIICPPPPK\u00e9IIK": "neither I, C",
	} {
		if _, err := ParsePattern(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %q in it", text, err, want)
		}
	}
}

func rep(s string, n int) string { return strings.Repeat(s, n) }

// Whatever label is printed by a pattern is read back, and any one wrong digit of the code is noticed.
func FuzzPattern(f *testing.F) {
	f.Add(uint32(12345), uint32(2875), byte(3))
	f.Fuzz(func(t *testing.T, item, price uint32, wrong byte) {
		p := pattern(t, "20IIIIICPPPPK")
		digits := fmt.Sprintf("%04d", price%10_000)
		body := fmt.Sprintf("20%05d%c%s", item%100_000, measureCheck(digits), digits)
		code := ""
		for c := '0'; c <= '9'; c++ {
			if checked(body + string(c)) {
				code = body + string(c)
			}
		}
		m, _, ok := MatchPatterns([]Pattern{p}, code)
		if !ok || m.Item != code[2:7] || m.Minor != int64(price%10_000) || !checked(m.Blank) || m.Blank[:7] != code[:7] {
			t.Fatalf("%s: %+v %v", code, m, ok)
		}
		b := []byte(code)
		n := int(wrong) % len(b)
		b[n] = '0' + (b[n]-'0'+1+wrong/13%9)%10
		if _, _, ok := MatchPatterns([]Pattern{p}, string(b)); ok {
			t.Fatalf("%s for %s was taken", b, code)
		}
	})
}
