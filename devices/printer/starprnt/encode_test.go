package starprnt_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/image/font/gofont/gomono"
	"pgregory.net/rapid"

	"storeagent/devices/devicesim"
	"storeagent/devices/printer"
	"storeagent/devices/printer/starprnt"
	"storeagent/devices/printer/typeset"
)

// pattern is a picture with a dot here and there.
func pattern(w, h int) *image.Gray {
	src := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			src.SetGray(x, y, color.Gray{Y: uint8(255 * ((x*x + y*7) / 5 % 2))})
		}
	}
	return src
}

// dots is such a picture as PNG.
func dots(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, pattern(w, h)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sent is what a document becomes on a line that only goes one way.
func sent(t *testing.T, o starprnt.Options, doc printer.Document) []byte {
	t.Helper()
	var b []byte
	synctest.Test(t, func(t *testing.T) {
		p, line := listen(t, o)
		ready(t, p)
		line.take()
		state, err := p.Print(t.Context(), printer.Job{Seq: 1, Copies: 1}, doc, make(tell, 10))
		if state != printer.Sent || err != nil {
			t.Fatalf("%s, %v", state, err)
		}
		synctest.Wait()
		b = line.take()
	})
	return b
}

func TestBytes(t *testing.T) {
	// ESC ACK SOH of the driver, ESC @, font A, no space, the American set, 4 mm lines.
	const head = "1b0601" + "1b40" + "1b1e4600" + "1b2000" + "1b5200" + "1b7a01"
	for name, c := range map[string]struct {
		op   printer.Op
		want string
	}{
		"text":       {printer.Op{Op: "text", Text: "A"}, "410a"},
		"bold":       {printer.Op{Op: "text", Text: "A", Bold: true}, "1b45410a1b46"},
		"big center": {printer.Op{Op: "text", Text: "A", Align: "center", Width: 2, Height: 3}, "1b1d61011b690201410a1b1d61001b690000"},
		"font b":     {printer.Op{Op: "text", Text: "A", Font: "b", Underline: true}, "1b1e46011b2d01410a1b1e46001b2d00"},
		"inverted":   {printer.Op{Op: "text", Text: "A", Invert: true}, "1b34410a1b35"},
		"umlaut":     {printer.Op{Op: "text", Text: "ä"}, "1b1d7401840a"},
		"euro":       {printer.Op{Op: "text", Text: "3 €"}, "33201b1d7404d50a"},
		"feed":       {printer.Op{Op: "feed", Lines: 3}, "1b6103"},
		"cut":        {printer.Op{Op: "cut"}, "1b6403"},
		"full cut":   {printer.Op{Op: "cut", Mode: "full"}, "1b6402"},
		"drawer":     {printer.Op{Op: "drawer"}, "1b07141407"},
		"drawer 2":   {printer.Op{Op: "drawer", Pin: 5}, "1a"},
		"ean13":      {printer.Op{Op: "barcode", Symbology: "ean13", Data: "4006381333931"}, "1b62333232403430303633383133333339333" + "11e"},
		"code128":    {printer.Op{Op: "barcode", Symbology: "code128", Data: "A%1", Height: 80}, "1b62363232504125303" + "11e"},
		"itf":        {printer.Op{Op: "barcode", Symbology: "itf", Data: "1234"}, "1b6235323840313233341e"},
		"qr":         {printer.Op{Op: "qrcode", Data: "AB", Level: "H", Size: 5}, "1b1d79533002" + "1b1d79533103" + "1b1d79533205" + "1b1d7944310002004142" + "1b1d7950"},
		"picture":    {printer.Op{Op: "image", PNG: dots(t, 16, 2)}, "1b1d530102000200" + "00"},
	} {
		got := hex.EncodeToString(sent(t, starprnt.Options{}, printer.Document{c.op}))
		if rest, ok := strings.CutPrefix(got, head); !ok || !strings.HasPrefix(rest, c.want) || name != "picture" && rest != c.want {
			t.Errorf("%s: %s, want %s%s", name, got, head, c.want)
		}
	}
	got := string(sent(t, starprnt.Options{Profile: "TSP650II"}, printer.Document{{Op: "image", PNG: dots(t, 16, 2), Align: "right"}}))
	if !strings.Contains(got, "\x1b*rA\x1b*rP0\x00\x1b*rE1\x00b\x48\x00") || !strings.HasSuffix(got, "\x1b*rB") {
		t.Errorf("line mode: %q", got)
	}
	if utf := string(sent(t, starprnt.Options{Profile: "TSP143IV"}, printer.Document{{Op: "text", Text: "言語 ä"}, {Op: "text", Text: "ä"}})); !strings.Contains(utf,
		"\x1b\x1d)U\x02\x000\x01\x1b\x1d)U\x02\x00@\x00言語 ä\n\x1b\x1d)U\x02\x000\x00\x1b\x1dt\x01\x84\n") {
		t.Errorf("UTF-8: %q", utf)
	}
}

// TestPaperIsThePreview holds the preview, the encoder and the simulator's own decoder against each other: for any
// document that passes Check, the paper shows what the preview shows.
func TestPaperIsThePreview(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		columns := rapid.SampledFrom([]int{32, 42, 48}).Draw(rt, "columns")
		doc := document(rt, columns)
		if err := printer.Check(doc, columns); err != nil {
			rt.Skip(err)
		}
		so := devicesim.StarOptions{Columns: columns, UTF8: true, LineMode: rapid.Bool().Draw(rt, "line mode"), Ethernet: rapid.Bool().Draw(rt, "network")}
		o := starprnt.Options{Profile: "TSP143IV", Columns: columns}
		if so.LineMode {
			o.Profile = "TSP650II"
		}
		synctest.Test(t, func(t *testing.T) {
			p, sim, _ := join(t, so, o)
			if err := p.Check(doc); err != nil {
				return
			}
			printed(t, sim, p, doc)
			if got, want := sim.Paper(), printer.PreviewText(doc, columns); got != want {
				t.Fatalf("paper\n%q\npreview\n%q\ndocument %+v", got, want, doc)
			}
		})
	})
}

func document(rt *rapid.T, columns int) printer.Document {
	text := rapid.StringOf(rapid.RuneFrom([]rune("abc XYZ 0123456789 äöüß€ŁódźЖукΩμέ½-.言語,\n")))
	align := rapid.SampledFrom([]string{"", "left", "center", "right"})
	times := rapid.IntRange(0, 6)
	op := rapid.Custom(func(rt *rapid.T) printer.Op {
		switch rapid.SampledFrom([]string{"text", "text", "columns", "rule", "barcode", "qrcode", "feed", "cut", "drawer"}).Draw(rt, "op") {
		case "text":
			return printer.Op{Op: "text", Text: text.Draw(rt, "text"), Align: align.Draw(rt, "align"), Bold: rapid.Bool().Draw(rt, "bold"),
				Underline: rapid.Bool().Draw(rt, "underline"), Invert: rapid.Bool().Draw(rt, "invert"), Width: times.Draw(rt, "width"),
				Height: times.Draw(rt, "height"), Font: rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "font")}
		case "columns":
			return printer.Op{Op: "columns", Cells: rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) printer.Cell {
				return printer.Cell{Text: text.Draw(rt, "text"), Width: rapid.IntRange(0, columns).Draw(rt, "width"), Align: align.Draw(rt, "align"), Bold: rapid.Bool().Draw(rt, "bold")}
			}), 1, 4).Draw(rt, "cells")}
		case "rule":
			return printer.Op{Op: "rule", Char: rapid.SampledFrom([]string{"", "=", "─", "*"}).Draw(rt, "char")}
		case "barcode":
			symbology := rapid.SampledFrom([]string{"ean13", "ean8", "upca", "code39", "itf", "code128"}).Draw(rt, "symbology")
			digits := map[string]string{"ean13": `[0-9]{12}`, "ean8": `[0-9]{7}`, "upca": `[0-9]{11}`, "code39": `[A-Z0-9 .$/+%-]{1,12}`,
				"itf": `([0-9]{2}){1,8}`, "code128": `[ -~]{0,4}[0-9]{0,12}[ -~]{1,3}`}[symbology]
			return printer.Op{Op: "barcode", Symbology: symbology, Data: rapid.StringMatching(digits).Draw(rt, "data"), Align: align.Draw(rt, "align")}
		case "qrcode":
			return printer.Op{Op: "qrcode", Data: rapid.StringMatching(`[!-~]{1,30}`).Draw(rt, "data"), Align: align.Draw(rt, "align")}
		case "feed":
			return printer.Op{Op: "feed", Lines: rapid.IntRange(1, 5).Draw(rt, "lines")}
		case "cut":
			return printer.Op{Op: "cut"}
		}
		return printer.Op{Op: "drawer"}
	})
	return rapid.SliceOfN(op, 1, 8).Draw(rt, "document")
}

// TestImageOnPaper: the dots arrive, in both ways of sending them, where the operation puts them.
func TestImageOnPaper(t *testing.T) {
	src := pattern(40, 300)
	for _, lineMode := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			profile := map[bool]string{false: "star-80mm", true: "star-line-80mm"}[lineMode]
			p, sim, _ := join(t, devicesim.StarOptions{LineMode: lineMode}, starprnt.Options{Profile: profile})
			printed(t, sim, p, printer.Document{{Op: "image", PNG: dots(t, 40, 300), Align: "center"}})
			images := sim.Images()
			left := map[bool]int{true: (576 - 40) / 16 * 8}[lineMode]
			if len(images) != 1 || images[0].Rect.Dx() != left+40 || images[0].Rect.Dy() != 300 {
				t.Fatalf("line mode %v: %d images on paper", lineMode, len(images))
			}
			wrong := 0
			for y := range 300 {
				for x := range 40 {
					if images[0].GrayAt(left+x, y) != src.GrayAt(x, y) {
						wrong++
					}
				}
			}
			if wrong > 5 { // dots that were blackened to keep real-time commands out
				t.Errorf("%d dots differ", wrong)
			}
		})
	}
}

// TestRefused: what a model cannot print is refused by field, before anything is on paper.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct {
		profile string
		op      printer.Op
		field   string
		words   string
	}{
		"too big":          {"", printer.Op{Op: "text", Text: "A", Width: 7}, "document[0].width", "6 times"},
		"impact too big":   {"SP700", printer.Op{Op: "text", Text: "A", Height: 3}, "document[0].height", "2 times"},
		"big cell":         {"", printer.Op{Op: "columns", Cells: []printer.Cell{{Text: "A", CharHeight: 8}}}, "document[0].cells[0].charHeight", "6 times"},
		"impact QR":        {"SP700", printer.Op{Op: "qrcode", Data: "A"}, "document[0].op", "no QR codes"},
		"impact barcode":   {"SP700", printer.Op{Op: "barcode", Symbology: "ean8", Data: "96385074"}, "document[0].op", "no barcodes"},
		"impact picture":   {"SP700", printer.Op{Op: "image", PNG: dots(t, 8, 8)}, "document[0].op", "no pictures"},
		"big QR":           {"", printer.Op{Op: "qrcode", Data: "A", Size: 12}, "document[0].size", "at most 8"},
		"unknown letter":   {"", printer.Op{Op: "text", Text: "語"}, "document[0].text", "U+8A9E"},
		"unknown in cell":  {"", printer.Op{Op: "columns", Cells: []printer.Cell{{Text: "a"}, {Text: "語"}}}, "document[0].cells[1].text", "U+8A9E"},
		"shaped, in UTF-8": {"TSP143IV", printer.Op{Op: "text", Text: "नम"}, "document[0].text", "U+0928"},
	} {
		p, err := starprnt.New(starprnt.Config{Name: "front", Options: starprnt.Options{Profile: c.profile}})
		if err != nil {
			t.Fatal(err)
		}
		var bad *printer.DocumentError
		if err := p.Check(printer.Document{c.op}); !errors.As(err, &bad) || bad.Field != c.field || !strings.Contains(bad.Message, c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLetters prints the letters of Europe on a simulated printer whose tables come from elsewhere.
func TestLetters(t *testing.T) {
	for language, text := range map[string]string{
		"German": "Grüße aus Köln: Käse, weiß 12,50 €", "French": "Crème brûlée, œuf, 3,50 €", "Spanish": "¿Qué tal? ¡Señor, piña!",
		"Polish": "Dziękuję! ĄĆĘŁŃÓŚŹŻ ąćęłńóśźż", "Czech": "Příliš žluťoučký kůň", "Hungarian": "Árvíztűrő tükörfúrógép",
		"Turkish": "Teşekkürler! İşçi, ığdır ĞÜŞİÖÇ", "Icelandic": "Þakka þér fyrir! brauð, Ðð ÁÉÍÓÚÝÞÆÖ", "Danish": "Smørrebrød, æble, ål ÆØÅ",
		"Greek": "Ευχαριστούμε! Καφές, ψωμί", "Russian": "Спасибо за покупку! ЁЖЩЪЫЭЮЯ", "Bulgarian": "Благодарим! Кафе, хляб",
		"Romanian": "Mulţumim! Pâine, brânză ĂÂÎŞŢ", "Katakana": "ｱﾘｶﾞﾄｳ",
	} {
		synctest.Test(t, func(t *testing.T) {
			p, sim, _ := join(t, devicesim.StarOptions{}, starprnt.Options{})
			printed(t, sim, p, printer.Document{{Op: "text", Text: text}})
			if got := strings.TrimSpace(sim.Paper()); got != text {
				t.Errorf("%s: the paper shows %q", language, got)
			}
		})
	}
}

func TestProfiles(t *testing.T) {
	names := starprnt.Profiles()
	if len(names) < 20 || !slices.Contains(names, "mC-Print3") {
		t.Fatalf("profiles %q", names)
	}
	for _, name := range names {
		if _, err := starprnt.New(starprnt.Config{Name: "front", Options: starprnt.Options{Profile: strings.ToUpper(name)}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, columns := range map[string]int{"mPOP": 32, "TSP143IV": 48, "TSP800II": 69, "SP700": 42} {
		p, err := starprnt.New(starprnt.Config{Name: "front", Options: starprnt.Options{Profile: name}})
		if err != nil || p.Columns() != columns {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptions(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "p.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		o     starprnt.Options
		wrong string
	}{
		{starprnt.Options{Columns: 40, Codepages: []string{"858", "1252=32"}, DrawerOpenLevel: "low"}, ""},
		{starprnt.Options{Profile: write(`{"columns": 46, "raster": "mode", "codePages": {"437": 0}, "enlarge": 4}`)}, ""},
		{starprnt.Options{Profile: "TM-T88V"}, "TSP650II"},
		{starprnt.Options{Columns: 7}, "from 16 to 96"},
		{starprnt.Options{Codepages: []string{"klingon"}}, "is not known"},
		{starprnt.Options{Codepages: []string{"858=900"}}, "from 0 to 255"},
		{starprnt.Options{Codepages: []string{"1125"}}, "1125=10"},
		{starprnt.Options{DrawerOpenLevel: "up"}, "high or low"},
		{starprnt.Options{Profile: filepath.Join(dir, "none.json")}, "none.json"},
	} {
		p, err := starprnt.New(starprnt.Config{Name: "front", Options: c.o})
		if c.wrong == "" && (err != nil || p == nil) || c.wrong != "" && (err == nil || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("%+v: %v", c.o, err)
		}
	}
	for text, wrong := range map[string]string{
		`{"columns": 5}`: "columns is 5", `{"columns": 46, "codePages": {"klingon": 1}}`: "none of", `{"columns": 46, "colunms": 1}`: "colunms",
		`{"columns": 46} {}`: "more than one", `{"columns": 46, "enlarge": 9}`: "enlarge", `{"columns": 46, "raster": "ink"}`: "raster",
	} {
		if _, err := starprnt.New(starprnt.Config{Name: "front", Options: starprnt.Options{Profile: write(text)}}); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestDrawn: what the printer's characters do not carry is drawn, unless the options or the model say otherwise.
func TestDrawn(t *testing.T) {
	fonts := typeset.New(nil, typeset.Options{Builtin: [][]byte{gomono.TTF}})
	for name, op := range map[string]printer.Op{
		"a letter on no page": {Op: "text", Text: "one line with Ŧ"},
		"too large":           {Op: "text", Text: "A", Width: 8, Height: 8},
		"a cell":              {Op: "columns", Cells: []printer.Cell{{Text: "a"}, {Text: "Ŧ", Align: "right"}}},
	} {
		synctest.Test(t, func(t *testing.T) {
			doc := printer.Document{{Op: "text", Text: "before"}, op, {Op: "text", Text: "after"}}
			for _, o := range []starprnt.Options{{Profile: "TSP650II"}, {}} {
				c := &cable{sim: devicesim.NewStar(devicesim.StarOptions{LineMode: o.Profile != ""}), ctx: t.Context()}
				p, err := starprnt.New(starprnt.Config{Name: "front", Open: c.open, Options: o, Typesetter: fonts})
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- p.Run(ctx) }()
				printed(t, c.sim, p, doc)
				if paper := c.sim.Paper(); len(c.sim.Images()) != 1 || !strings.HasPrefix(paper, "before\n[IMAGE ") || !strings.HasSuffix(paper, "]\nafter\n") {
					t.Errorf("%s: paper %q", name, paper)
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			}
			for _, o := range []starprnt.Options{{Raster: "off"}, {Profile: "SP700"}} {
				p, err := starprnt.New(starprnt.Config{Name: "front", Options: o, Typesetter: fonts})
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Check(doc); err == nil {
					t.Errorf("%s: %+v passes", name, o)
				}
			}
		})
	}
	if _, err := starprnt.New(starprnt.Config{Options: starprnt.Options{Raster: "maybe"}}); err == nil {
		t.Error("an unknown option passes")
	}
}
