package escpos

import (
	"bytes"
	"encoding/hex"
	"errors"
	"image"
	"image/color"
	"image/png"
	"strings"
	"testing"

	"storeagent/devices/printer"
	"storeagent/devices/printer/codepage"
)

func testProfile(t testing.TB, o Options) profile {
	t.Helper()
	p, err := newProfile(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func bytesOf(doc printer.Document, p profile) ([]byte, error) {
	e, err := encode(doc, p, nil, maxBytes)
	return e.Data, err
}

func TestEncodeBytes(t *testing.T) {
	no := false
	for name, c := range map[string]struct {
		op   printer.Op
		want string // hex
	}{
		"plain":       {printer.Op{Op: "text", Text: "Hi"}, "48690a"},
		"two lines":   {printer.Op{Op: "text", Text: "a\nb"}, "610a620a"},
		"bold":        {printer.Op{Op: "text", Text: "A", Bold: true}, "1b4501410a1b4500"},
		"big center":  {printer.Op{Op: "text", Text: "A", Align: "center", Width: 2, Height: 3}, "1b61011d2112410a1b61001d2100"},
		"font b":      {printer.Op{Op: "text", Text: "A", Font: "b", Underline: true}, "1b4d011b2d01410a1b4d001b2d00"},
		"inverted":    {printer.Op{Op: "text", Text: "A", Invert: true}, "1d4201410a1d4200"},
		"umlaut":      {printer.Op{Op: "text", Text: "ä"}, "1b7400840a"},
		"decomposed":  {printer.Op{Op: "text", Text: "a\u0308"}, "1b7400840a"},
		"narrow nbsp": {printer.Op{Op: "text", Text: "1\u202f000"}, "31203030300a"},
		"euro by 858": {printer.Op{Op: "text", Text: "€"}, "1b7413d50a"},
		"polish":      {printer.Op{Op: "text", Text: "Łódź"}, "1b74129da264ab0a"},
		"cyrillic":    {printer.Op{Op: "text", Text: "Жук"}, "1b741186e3aa0a"},
		"columns":     {printer.Op{Op: "columns", Cells: []printer.Cell{{Text: "a", Width: 3}, {Text: "b", Width: 3, Align: "right", Bold: true}}}, "6120201b45012020620a1b4500"},
		"rule":        {printer.Op{Op: "rule", Char: "="}, strings.Repeat("3d", 42) + "0a"},
		"feed":        {printer.Op{Op: "feed", Lines: 3}, "1b6403"},
		"cut":         {printer.Op{Op: "cut"}, "1d564200"},
		"full cut":    {printer.Op{Op: "cut", Mode: "full"}, "1d564100"},
		"drawer":      {printer.Op{Op: "drawer"}, "1b700032fa"},
		"drawer 5":    {printer.Op{Op: "drawer", Pin: 5}, "1b700132fa"},
		"ean13":       {printer.Op{Op: "barcode", Symbology: "ean13", Data: "400638133393", Height: 60}, "1d683c1d77031d48021d66001d6b430d34303036333831333333393331"},
		"code128":     {printer.Op{Op: "barcode", Symbology: "code128", Data: "A{1", ShowText: &no}, "1d68401d77031d48001d66001d6b49067b42417b7b31"},
		"code128 c":   {printer.Op{Op: "barcode", Symbology: "code128", Data: "12345678"}, "1d68401d77031d48021d66001d6b49067b430c22384e"},
		"code128 dle": {printer.Op{Op: "barcode", Symbology: "code128", Data: "1604"}, "1d68401d77031d48021d66001d6b49067b4231363034"},
		"qr": {printer.Op{Op: "qrcode", Data: "https://example.com/r/1"}, "1d286b0400314132001d286b03003143061d286b03003145311d286b1a0031503068" +
			"747470733a2f2f6578616d706c652e636f6d2f722f311d286b0300315130"},
		"large qr": {printer.Op{Op: "qrcode", Data: strings.Repeat("1", 2000)}, "1d286b0400314132001d286b03003143041d286b03003145311d286bd307315030" +
			strings.Repeat("31", 2000) + "1d286b0300315130"},
	} {
		t.Run(name, func(t *testing.T) {
			doc := printer.Document{c.op}
			if err := printer.Check(doc, 42); err != nil {
				t.Fatal(err)
			}
			got, err := bytesOf(doc, testProfile(t, Options{}))
			if err != nil {
				t.Fatal(err)
			}
			if hex.EncodeToString(got) != c.want {
				t.Errorf("got  %x\nwant %s", got, c.want)
			}
		})
	}
}

// dots is a PNG of black dots on white.
func dots(t testing.TB, w, h int, black ...image.Point) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			img.SetGray(x, y, color.Gray{Y: 255})
		}
	}
	for _, p := range black {
		img.SetGray(p.X, p.Y, color.Gray{})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestEncodeRaster(t *testing.T) {
	op := printer.Op{Op: "image", PNG: dots(t, 16, 4, image.Pt(0, 0), image.Pt(5, 1), image.Pt(10, 2), image.Pt(15, 3))}
	got, err := bytesOf(printer.Document{op}, testProfile(t, Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if want := "1d763000020004008000040000200001"; hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
	tall, err := bytesOf(printer.Document{{Op: "image", PNG: dots(t, 8, 300)}}, testProfile(t, Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(tall, []byte{0x1D, 'v', '0'}); n != 3 {
		t.Errorf("300 rows in %d stripes", n)
	}
	// 10h 04h in the image would be a status question to some printers.
	risky, err := bytesOf(printer.Document{{Op: "image", PNG: dots(t, 16, 1, image.Pt(3, 0), image.Pt(13, 0))}}, testProfile(t, Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if want := "1d763000020001001104"; hex.EncodeToString(risky) != want {
		t.Errorf("got %x, want %s", risky, want)
	}
}

func TestNoCharacterIsGuessed(t *testing.T) {
	p, err := New(Config{Name: "front"})
	if err != nil {
		t.Fatal(err)
	}
	for text, field := range map[string]string{"ok 漢": "document[1].text", "שלום": "document[1].text", "\uFFFD": "document[1].text"} {
		err := p.Check(printer.Document{{Op: "rule"}, {Op: "text", Text: text}})
		var de *printer.DocumentError
		if !errors.As(err, &de) || de.Field != field || !strings.Contains(de.Message, "U+") {
			t.Errorf("%q: %v", text, err)
		}
	}
	err = p.Check(printer.Document{{Op: "columns", Cells: []printer.Cell{{Text: "a"}, {Text: "漢"}}}})
	var de *printer.DocumentError
	if !errors.As(err, &de) || de.Field != "document[0].cells[1].text" {
		t.Errorf("cell: %v", err)
	}
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"profile": {Profile: "star"}, "columns": {Columns: 300}, "page": {Codepages: []string{"932"}},
		"number": {Codepages: []string{"858=400"}}, "level": {DrawerOpenLevel: "up"},
	} {
		if _, err := New(Config{Name: "front", Options: o}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	p := testProfile(t, Options{Columns: 48, Codepages: []string{"CP858=5"}})
	got, err := bytesOf(printer.Document{{Op: "text", Text: "€"}}, p)
	if err != nil || hex.EncodeToString(got) != "1b7405d50a" {
		t.Errorf("got %x, %v", got, err)
	}
	for _, name := range Profiles() {
		if _, err := New(Config{Name: "front", Options: Options{Profile: name}}); err != nil {
			t.Error(err)
		}
	}
}

func TestPageStaysWhileItCan(t *testing.T) {
	// 858 has the euro sign and ä, so after the euro there is no way back to 437.
	got, err := bytesOf(printer.Document{{Op: "text", Text: "ä€ä"}}, testProfile(t, Options{}))
	if err != nil {
		t.Fatal(err)
	}
	if want := "1b7413" + "84d584" + "0a"; hex.EncodeToString(got) != want {
		t.Errorf("got %x, want %s", got, want)
	}
}

// FuzzText prints on the simulator, whose tables come from elsewhere, and wants the same text back.
func FuzzText(f *testing.F) {
	f.Add("Grüße € Łódź Жук Ωμέγα ½")
	f.Fuzz(func(t *testing.T, text string) {
		p := testProfile(t, Options{})
		doc := printer.Document{{Op: "text", Text: text}}
		if printer.Check(doc, p.columns) != nil {
			return
		}
		b, err := bytesOf(doc, p)
		if err != nil {
			return
		}
		squeeze := func(s string) string { return strings.NewReplacer(" ", "", "\n", "").Replace(s) }
		if got, want := squeeze(simulated(t, p, b).Paper()), squeeze(codepage.Clean(text)); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
