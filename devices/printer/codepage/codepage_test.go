package codepage_test

import (
	"slices"
	"strings"
	"testing"

	"storeagent/devices/printer/codepage"
)

func TestEncode(t *testing.T) {
	for _, c := range []struct {
		page string
		r    rune
		want byte
		ok   bool
	}{
		{"858", '€', 0xD5, true}, {"1252", '€', 0x80, true}, {"852", 'Ł', 0x9D, true}, {"866", 'Ж', 0x86, true}, {"437", '€', 0, false},
		{"737", 'Ω', 0x97, true}, {"857", 'ş', 0x9F, true}, {"437", '\uFFFD', 0, false}, {"869", '\uFFFD', 0, false},
	} {
		pages, err := codepage.Parse([]string{c.page}, map[string]byte{c.page: 7})
		if err != nil {
			t.Fatal(err)
		}
		if b, ok := pages[0].Encode(c.r); ok != c.ok || ok && b != c.want || pages[0].Number != 7 {
			t.Errorf("%s has %q as %X, %v", c.page, c.r, b, ok)
		}
	}
}

func TestChoice(t *testing.T) {
	pages, err := codepage.Numbered(map[string]byte{"866": 10, "437": 1, "858": 4, "862": 13})
	if err != nil || len(pages) != 3 || pages[0].Name != "437" || pages[1].Name != "858" {
		t.Fatalf("%v, %v", pages, err)
	}
	for text, want := range map[string]int{"é": 0, "é €": 1, "Жук": 2, "שלום": -1, "": -1} {
		if got := codepage.Best(pages, text); got != want {
			t.Errorf("%q: page %d, want %d", text, got, want)
		}
	}
	if r, missing := codepage.Missing(pages, "Жук é €"); missing {
		t.Errorf("%q is missing", r)
	}
	if r, missing := codepage.Missing(pages, "a€ę"); !missing || r != 'ę' {
		t.Errorf("%q, %v", r, missing)
	}
	if _, err := codepage.Numbered(map[string]byte{"klingon": 1}); err == nil {
		t.Error("an unknown name passes")
	}
}

func TestParse(t *testing.T) {
	pages, err := codepage.Parse([]string{"CP1252", " 862=13 "}, map[string]byte{"1252": 32})
	if err != nil || len(pages) != 2 || pages[0].Number != 32 || pages[1].Number != 13 || !pages[1].Shaped() {
		t.Errorf("%v, %v", pages, err)
	}
	for spec, want := range map[string]string{"klingon": "not known", "858=900": "from 0 to 255", "858": "858=10"} {
		if _, err := codepage.Parse([]string{spec}, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", spec, err)
		}
	}
	if names := codepage.Names(); !slices.Contains(names, "iso8859-15") || names[0] != "437" {
		t.Errorf("names %q", names)
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{"a\u0308": "ä", "1\u202F000": "1 000", "a\u00ADb": "ab", "\u021B": "\u0163", "x\u2011y": "x-y"} {
		if got := codepage.Clean(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
