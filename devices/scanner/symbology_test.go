package scanner

import (
	"testing"
)

func TestRead(t *testing.T) {
	s, err := New(Config{Name: "s", GiftcardPrefixes: []string{"600649"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code, symbology, aim, data, gtin string
		refused                          bool
	}{
		{"]E04006381333931", "ean13", "]E0", "4006381333931", "04006381333931", false},
		{"]E04006381333932", "ean13", "]E0", "4006381333932", "", false},
		{"]E0012345000065", "upca", "]E0", "012345000065", "00012345000065", false},
		{"]E00012345000065", "ean13", "]E0", "0012345000065", "00012345000065", false},
		{"]E001234565", "upce", "]E0", "01234565", "00012345000065", false},
		{"]E004252614", "upce", "]E0", "04252614", "00042100005264", false},
		{"]E006543217", "upce", "]E0", "06543217", "00065100004327", false},
		{"]E001112223", "upce", "]E0", "01112223", "00011200001223", false},
		{"]E096385074", "ean8", "]E0", "96385074", "00000096385074", false},
		{"]E496385074", "ean8", "]E4", "96385074", "00000096385074", false},
		{"]E401234565", "ean8", "]E4", "01234565", "00000001234565", false},
		{"]E3978020137962451234", "ean13", "]E3", "978020137962451234", "09780201379624", false},
		{"]E151234", "unknown", "]E1", "51234", "", false},
		{"]C0ABC", "code128", "]C0", "ABC", "", false},
		{"]C2ABC", "code128", "]C2", "ABC", "", false},
		{"]C1010952123454321310ABC", "gs1-128", "]C1", "010952123454321310ABC", "09521234543213", false},
		{"]e00109521234543213", "databar", "]e0", "0109521234543213", "09521234543213", false},
		{"]d1x", "datamatrix", "]d1", "x", "", false},
		{"]d2x", "gs1-datamatrix", "]d2", "x", "", false},
		{"]Q1x", "qr", "]Q1", "x", "", false},
		{"]Q3x", "gs1-qr", "]Q3", "x", "", false},
		{"]J1x", "dotcode", "]J1", "x", "", false},
		{"]A0x", "code39", "]A0", "x", "", false},
		{"]F0x", "codabar", "]F0", "x", "", false},
		{"]G0x", "code93", "]G0", "x", "", false},
		{"]I109521234543213", "itf", "]I1", "09521234543213", "09521234543213", false},
		{"]L0x", "pdf417", "]L0", "x", "", false},
		{"]z0x", "aztec", "]z0", "x", "", false},
		{"]X0x", "unknown", "]X0", "x", "", false},
		{"]1x", "unknown", "", "]1x", "", false},
		{"]", "unknown", "", "]", "", false},
		{"4006381333931", "unknown", "", "4006381333931", "04006381333931", false},
		{"012345000065", "unknown", "", "012345000065", "00012345000065", false},
		{"96385074", "unknown", "", "96385074", "00000096385074", false},
		{"01234565", "unknown", "", "01234565", "", false}, // a UPC-E and an EAN-8: nobody can tell
		{"04252614", "unknown", "", "04252614", "00042100005264", false},
		{"09521234543213", "unknown", "", "09521234543213", "09521234543213", false},
		{"\xff\xfe\x1d", "unknown", "", "\xff\xfe\x1d", "", false},
		{"4006381300063", "unknown", "", "4006381300063", "04006381300063", false}, // passes Luhn by chance
		{"4111111111111111", "", "", "", "", true},
		{"]C04111111111111111", "", "", "", "", true},
		{"]Q14111 1111 1111 1111", "", "", "", "", true},
		{";4111111111111111=3012101?", "", "", "", "", true},
		{"%B4111111111111111^DOE/J^3012101?", "", "", "", "", true},
		{"4222222222222", "", "", "", "", true},
		{"]E04222222222222", "ean13", "]E0", "4222222222222", "", false}, // the scanner says that the bars are an EAN
		{"]E04111111111111111", "", "", "", "", true},                    // no EAN has 16 digits
		{"6006491111111110", "unknown", "", "6006491111111110", "", false},
	} {
		scan, ok := s.readText([]byte(c.code))
		if ok == c.refused {
			t.Errorf("%q: refused %v", c.code, !ok)
			continue
		}
		if ok && (scan.Symbology != c.symbology || scan.AIM != c.aim || string(scan.Data) != c.data || scan.GTIN != c.gtin) {
			t.Errorf("%q: %s %q %q %q, want %s %q %q %q", c.code, scan.Symbology, scan.AIM, scan.Data, scan.GTIN, c.symbology, c.aim, c.data, c.gtin)
		}
	}
}

func TestCheckDigit(t *testing.T) {
	for _, right := range []string{"4006381333931", "96385074", "9521234543213", "09521234543213", "036000291452"} {
		if !checked(right) {
			t.Errorf("%s is right", right)
		}
		for n := range 10 {
			wrong := right[:len(right)-1] + string(rune('0'+n))
			if wrong != right && checked(wrong) {
				t.Errorf("%s is wrong", wrong)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("]E04006381333931"))
	f.Add([]byte("]"))
	f.Add([]byte("01234565"))
	s, err := New(Config{Name: "s"})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, code []byte) {
		scan, _ := s.readText(code)
		if scan.AIM+string(scan.Data) != string(code) {
			t.Fatalf("%q became %q and %q", code, scan.AIM, scan.Data)
		}
		if scan.Symbology == "" || scan.GTIN != "" && (len(scan.GTIN) != 14 || !checked(scan.GTIN)) {
			t.Fatalf("%+v", scan)
		}
	})
}
