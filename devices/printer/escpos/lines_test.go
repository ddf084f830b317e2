package escpos

import (
	"bytes"
	"errors"
	"image"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"

	"golang.org/x/image/font/gofont/gomono"

	"storeagent/devices/devicesim"
	"storeagent/devices/printer"
	"storeagent/devices/printer/typeset"
)

var system = sync.OnceValue(func() *typeset.Typesetter {
	return typeset.New(nil, typeset.Options{Builtin: [][]byte{gomono.TTF}, System: true})
})

// fonts is a typesetter with the fonts of Debian's Noto packages; it fails where they are missing.
func fonts(t testing.TB) *typeset.Typesetter {
	t.Helper()
	for r, pkg := range map[string]string{"ب": "fonts-noto-core", "漢": "fonts-noto-cjk"} {
		if _, err := system().Line(r, typeset.Style{}, 100); err != nil {
			t.Fatalf("these tests need the Debian package %s: %v", pkg, err)
		}
	}
	return system()
}

// onPaper prints a document with drawn lines on a simulated printer of the same numbering.
func onPaper(t testing.TB, doc printer.Document, p profile) *devicesim.Printer {
	t.Helper()
	if err := printer.Check(doc, p.columns); err != nil {
		t.Fatal(err)
	}
	b, err := encode(doc, p, fonts(t), maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	sim := simulated(t, p, b.Data)
	if g := sim.Garbage(); len(g) > 0 {
		t.Errorf("garbage: %q", g)
	}
	return sim
}

// simulated is a printer of that numbering that got those bytes.
func simulated(t testing.TB, p profile, b []byte) *devicesim.Printer {
	pages := map[byte]string{}
	for _, pg := range p.pages {
		pages[pg.Number] = pg.Name
	}
	sim := devicesim.NewPrinter(devicesim.PrinterOptions{Columns: p.columns, CodePages: pages})
	_ = sim.Serve(t.Context(), struct {
		io.Reader
		io.Writer
	}{strings.NewReader(string(append(initialize(p), b...))), io.Discard})
	return sim
}

// ink is the first and last black column of an image.
func ink(img *image.Gray) (left, right int) {
	left, right = -1, -1
	for x := range img.Rect.Dx() {
		for y := range img.Rect.Dy() {
			if img.GrayAt(x, y).Y == 0 {
				if left < 0 {
					left = x
				}
				right = x
				break
			}
		}
	}
	return left, right
}

// TestDrawnLines: only the lines that need it are drawn; the others stay text, in order and in place.
func TestDrawnLines(t *testing.T) {
	sim := onPaper(t, printer.Document{
		{Op: "text", Text: "KOWALSKI Łódź\nشكرا لزيارتكم\nTel. 555"},
		{Op: "columns", Cells: []printer.Cell{{Text: "Milk"}, {Text: "1.99", Width: 8, Align: "right"}}},
		{Op: "columns", Cells: []printer.Cell{{Text: "牛奶 2L"}, {Text: "12.50", Width: 8, Align: "right"}}},
		{Op: "rule"},
		{Op: "text", Text: "תודה", Width: 2, Height: 2, Align: "center"},
		{Op: "rule", Char: "★"},
		{Op: "text", Text: "   "},
	}, testProfile(t, Options{}))
	want := strings.Join([]string{
		"KOWALSKI Łódź", "[IMAGE 504x30]", "Tel. 555", "Milk" + strings.Repeat(" ", 34) + "1.99", "[IMAGE 504x30]",
		strings.Repeat("-", 42), "[IMAGE WIDTHx60]", "[IMAGE 504x30]", "", "",
	}, "\n")
	if got := regexp.MustCompile(`\d+x60`).ReplaceAllString(sim.Paper(), "WIDTHx60"); got != want {
		t.Errorf("paper:\n%s\nwant:\n%s", got, want)
	}
	images := sim.Images()
	if left, right := ink(images[0]); right < 495 || left < 300 {
		t.Errorf("the Arabic line has ink from %d to %d", left, right)
	}
	if left, right := ink(images[1]); left > 10 || right < 490 {
		t.Errorf("the drawn columns have ink from %d to %d", left, right)
	}
	if left, right := ink(images[2]); left+right < 495 || left+right > 511 {
		t.Errorf("the centered line has ink from %d to %d", left, right)
	}
}

// TestFromTheRight: a paragraph that starts from the right is drawn as a whole, so that its lines agree; where the
// options name a page for it, the printer is trusted to do it.
func TestFromTheRight(t *testing.T) {
	doc := printer.Document{{Op: "text", Text: "מכשיר iPhone 15 Pro Max 256GB Titanium Blue Unlocked\nplain"}}
	paper := onPaper(t, doc, testProfile(t, Options{Columns: 20})).Paper()
	if strings.Contains(paper, "iPhone") || strings.Contains(paper, "Titanium") || !strings.HasSuffix(paper, "]\nplain\n") {
		t.Errorf("paper:\n%s", paper)
	}
	paper = onPaper(t, doc, testProfile(t, Options{Columns: 20, Codepages: []string{"437", "862"}})).Paper()
	if !strings.Contains(paper, "מכשיר iPhone") {
		t.Errorf("with page 862:\n%s", paper)
	}
}

// TestMarksAreDrawn: a mark that no letter takes up would be printed beside its letter.
func TestMarksAreDrawn(t *testing.T) {
	p := testProfile(t, Options{Codepages: []string{"437", "1258"}})
	if paper := onPaper(t, printer.Document{{Op: "text", Text: "x\u0301\n."}}, p).Paper(); !strings.HasPrefix(paper, "[IMAGE") {
		t.Errorf("paper: %q", paper)
	}
}

// TestDrawnBytes: white at the right is not sent, and no pair of bytes could be a real-time command.
func TestDrawnBytes(t *testing.T) {
	e, err := encode(printer.Document{{Op: "text", Text: "漢"}}, testProfile(t, Options{}), fonts(t), maxBytes)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{gs, 'v', '0', 0, 3, 0, 30, 0}; !bytes.HasPrefix(e.Data, want) || len(e.Data) != 8+90 {
		t.Errorf("%d bytes: %x", len(e.Data), e.Data)
	}
	risky := 0
	for _, text := range []string{"仮", "凧", "刨", "劁", "勏", "勓", "勧", "勸", "   丝"} { // strokes ten dots apart
		raw, err := fonts(t).Line(text, typeset.Style{}, 504)
		if err != nil {
			t.Fatal(err)
		}
		if holdsRealTime(raw.Bits) {
			risky++
		}
		e, err := encode(printer.Document{{Op: "text", Text: text}}, testProfile(t, Options{}), fonts(t), maxBytes)
		if err != nil || holdsRealTime(e.Data) {
			t.Errorf("%q: %v, %x", text, err, e.Data)
		}
	}
	if risky == 0 {
		t.Error("no line has such a pair by itself, so that nothing was tested")
	}
}

// TestRefusedWithoutFont: field, character and package are named, and nothing is guessed.
func TestRefusedWithoutFont(t *testing.T) {
	latin := typeset.New(nil, typeset.Options{Builtin: [][]byte{gomono.TTF}})
	p, err := New(Config{Name: "front", Typesetter: latin})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		op          printer.Op
		field, what string
	}{
		{printer.Op{Op: "text", Text: "ok 漢"}, "text", "fonts-noto-cjk"},
		{printer.Op{Op: "text", Text: "fine\nשלום"}, "text", "fonts-noto-core"},
		{printer.Op{Op: "columns", Cells: []printer.Cell{{Text: "a"}, {Text: "ขอ"}}}, "cells[1].text", "U+0E02"},
		{printer.Op{Op: "rule", Char: "漢"}, "char", "fonts-noto-cjk"},
	} {
		err := p.Check(printer.Document{{Op: "rule"}, c.op})
		var de *printer.DocumentError
		if !errors.As(err, &de) || de.Field != "document[1]."+c.field || !strings.Contains(de.Message, c.what) {
			t.Errorf("%+v: %v", c.op, err)
		}
	}
	if err := p.Check(printer.Document{{Op: "text", Text: "Ẽ ŵ ŷ"}}); err == nil {
		t.Error("the font of the test has a letter that it should lack")
	}
	for raster, ok := range map[string]bool{"": true, "on": true, "off": false} {
		p, err := New(Config{Name: "front", Typesetter: fonts(t), Options: Options{Raster: raster}})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(printer.Document{{Op: "text", Text: "漢"}}); (err == nil) != ok {
			t.Errorf("raster %q: %v", raster, err)
		}
	}
	if _, err := New(Config{Name: "front", Options: Options{Raster: "sideways"}}); err == nil {
		t.Error("raster sideways is taken")
	}
}

// TestNoPictures: models without pictures refuse them, and what would have to be drawn.
func TestNoPictures(t *testing.T) {
	p, err := New(Config{Name: "front", Typesetter: fonts(t), Options: Options{Profile: "TM-U220"}})
	if err != nil {
		t.Fatal(err)
	}
	for field, op := range map[string]printer.Op{
		"document[0].text": {Op: "text", Text: "漢"}, "document[0].op": {Op: "image", PNG: dots(t, 8, 8)},
	} {
		var de *printer.DocumentError
		if err := p.Check(printer.Document{op}); !errors.As(err, &de) || de.Field != field || strings.Contains(de.Message, "raster") {
			t.Errorf("%s: %v", op.Op, err)
		}
	}
	if err := p.Check(printer.Document{{Op: "text", Text: "Grüße"}}); err != nil {
		t.Error(err)
	}
}

// TestEveryLanguagePrints: with fonts no printer refuses a language, however few pages it has.
func TestEveryLanguagePrints(t *testing.T) {
	for _, name := range []string{"default", "KR-306", "simple", "TM-T88IV-SA"} {
		p := testProfile(t, Options{Profile: name})
		for _, texts := range []map[string]string{corpus, drawn} {
			for language, text := range texts {
				if _, err := encode(printer.Document{{Op: "text", Text: text}}, p, fonts(t), maxBytes); err != nil {
					t.Errorf("%s, %s: %v", name, language, err)
				}
			}
		}
	}
}

// drawn is receipt text that no page of the default profile has.
var drawn = map[string]string{
	"Arabic": "شكرا لزيارتكم ١٢٫٥٠", "Persian": "از خرید شما سپاسگزاریم", "Hebrew": "תודה רבה, להתראות", "Thai": "ขอบคุณที่ใช้บริการ", "Hindi": "धन्यवाद",
	"Bengali": "ধন্যবাদ", "Tamil": "நன்றி", "Chinese": "谢谢光临", "Taiwanese": "謝謝惠顧", "Japanese": "ありがとうございます", "Korean": "감사합니다",
	"Georgian": "გმადლობთ", "Armenian": "Շնորհակալություն", "Amharic": "አመሰግናለሁ", "Khmer": "អរគុណ", "Lao": "ຂອບໃຈ", "Burmese": "ကျေးဇူး",
	"Welsh": "Diolch: tŵr, ŷd", "Yoruba": "Ẹ ṣé", "Sinhala": "ස්තුතියි",
}

// TestTooMuchIsDrawn: a document whose pictures would take metres of paper is refused before it takes memory.
func TestTooMuchIsDrawn(t *testing.T) {
	p, err := New(Config{Name: "front", Typesetter: fonts(t)})
	if err != nil {
		t.Fatal(err)
	}
	doc := printer.Document{{Op: "text", Text: strings.TrimSuffix(strings.Repeat("שלום\n", 150), "\n"), Width: 8, Height: 8}}
	if err := p.Check(doc); err != nil {
		t.Errorf("150 large lines: %v", err)
	}
	err = p.Check(append(doc, doc...))
	var de *printer.DocumentError
	if !errors.As(err, &de) || de.Field != "document[1].text" || !strings.Contains(de.Message, "4 MiB") {
		t.Errorf("300 large lines: %v", err)
	}
}

// BenchmarkDrawn encodes lines that are drawn, beside one that is not.
func BenchmarkDrawn(b *testing.B) {
	for name, text := range map[string]string{"text": "Grüße aus Köln 12,50 €", "Arabic": "شكرا لزيارتكم 12.50", "Chinese": "谢谢光临 合计 12.50"} {
		b.Run(name, func(b *testing.B) {
			p, doc := testProfile(b, Options{}), printer.Document{{Op: "text", Text: text}}
			size := 0
			for b.Loop() {
				e, err := encode(doc, p, fonts(b), maxBytes)
				if err != nil {
					b.Fatal(err)
				}
				size = len(e.Data)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
			b.ReportMetric(float64(size), "bytes/line")
		})
	}
}

// FuzzDrawn prints whatever text, drawn where it must be: the simulator understands every byte of it.
func FuzzDrawn(f *testing.F) {
	for _, text := range drawn {
		f.Add(text, "12.50", 3, 1, "right")
	}
	f.Add("a\u0301\u0301 ب", "\u202E12", 1, 8, "center")
	f.Fuzz(func(t *testing.T, text, cell string, width, height int, align string) {
		p := testProfile(t, Options{Columns: 24})
		doc := printer.Document{
			{Op: "text", Text: text, Width: width % 9, Height: height % 9, Align: align, Bold: width%2 == 0},
			{Op: "columns", Cells: []printer.Cell{{Text: text, CharHeight: height % 9}, {Text: cell, Width: 8, Align: align, Invert: height%2 == 0}}},
			{Op: "text", Text: "end"},
		}
		if printer.Check(doc, p.columns) != nil {
			return
		}
		b, err := encode(doc, p, system(), maxBytes)
		if err != nil {
			var de *printer.DocumentError
			if !errors.As(err, &de) || !strings.HasPrefix(de.Field, "document[") {
				t.Fatal(err)
			}
			return
		}
		sim := simulated(t, p, b.Data)
		if g := sim.Garbage(); len(g) > 0 {
			t.Fatalf("garbage: %q", g)
		}
		for _, img := range sim.Images() {
			if img.Rect.Dx() > 24*12 {
				t.Fatalf("an image of %d dots", img.Rect.Dx())
			}
		}
		if !strings.HasSuffix(sim.Paper(), "end\n") {
			t.Fatalf("paper: %q", sim.Paper())
		}
	})
}
