package preview

import (
	"bytes"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"storeagent/devices/printer"
	"storeagent/devices/printer/typeset"
)

func newRenderer(t testing.TB, setter Typesetter) *Renderer {
	t.Helper()
	r, err := New(setter)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// drawn is a document as dots, true where black.
type drawn struct{ image.Image }

func (d drawn) black(x, y int) bool {
	return color.GrayModel.Convert(d.At(x, y)).(color.Gray).Y < 128
}

// ink counts the black dots of a rectangle.
func (d drawn) ink(r image.Rectangle) int {
	n := 0
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if d.black(x, y) {
				n++
			}
		}
	}
	return n
}

func drawPNG(t testing.TB, r *Renderer, columns int, doc ...printer.Op) drawn {
	t.Helper()
	if err := printer.Check(doc, columns); err != nil {
		t.Fatal(err)
	}
	p, err := r.PNG(doc, columns)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(p.Data))
	if err != nil {
		t.Fatal(err)
	}
	return drawn{img}
}

func TestWidths(t *testing.T) {
	r := newRenderer(t, nil)
	for columns, want := range map[int]int{48: 576, 42: 512, 32: 384, 96: 1152, 16: 192} {
		d := drawPNG(t, r, columns, printer.Op{Op: "rule"})
		if got := d.Bounds(); got != image.Rect(0, 0, want, 30) {
			t.Errorf("%d columns: %v", columns, got)
		}
		if n := d.ink(image.Rect(0, 0, 12*columns, 30)); n == 0 || n != d.ink(d.Bounds()) {
			t.Errorf("%d columns: %d dots of the rule in its cells, %d in all", columns, n, d.ink(d.Bounds()))
		}
	}
}

// TestPlaces holds that a text is drawn in its cells and nowhere else.
func TestPlaces(t *testing.T) {
	r := newRenderer(t, nil)
	for name, tt := range map[string]struct {
		op     printer.Op
		cells  image.Rectangle
		height int
	}{
		"left":   {printer.Op{Op: "text", Text: "Hg"}, image.Rect(0, 0, 24, 24), 30},
		"center": {printer.Op{Op: "text", Text: "Hg", Align: "center"}, image.Rect(180, 0, 204, 24), 30},
		"right":  {printer.Op{Op: "text", Text: "Hg", Align: "right"}, image.Rect(360, 0, 384, 24), 30},
		"font b": {printer.Op{Op: "text", Text: "Hg", Font: "b", Align: "right"}, image.Rect(366, 0, 384, 17), 30},
		"size":   {printer.Op{Op: "text", Text: "Hg", Width: 3, Height: 2, Align: "right"}, image.Rect(312, 0, 384, 48), 48},
		"column": {printer.Op{Op: "columns", Cells: []printer.Cell{{}, {Text: "Hg", Width: 4, Align: "right"}}}, image.Rect(360, 0, 384, 24), 30},
		"tall cell": {printer.Op{Op: "columns", Cells: []printer.Cell{{Text: "Hg", CharWidth: 2, CharHeight: 2}}},
			image.Rect(0, 0, 48, 48), 48},
	} {
		d := drawPNG(t, r, 32, tt.op)
		if d.Bounds().Dy() != tt.height {
			t.Errorf("%s: %d dots long", name, d.Bounds().Dy())
		}
		half := image.Rect(tt.cells.Min.X, tt.cells.Min.Y, (tt.cells.Min.X+tt.cells.Max.X)/2, tt.cells.Max.Y)
		in, left := d.ink(tt.cells), d.ink(half)
		if left < 20 || in-left < 20 || in != d.ink(d.Bounds()) {
			t.Errorf("%s: %d dots in the cells, %d of them in the first, %d in all", name, in, left, d.ink(d.Bounds()))
		}
	}
}

func TestStyles(t *testing.T) {
	r := newRenderer(t, nil)
	cells := image.Rect(0, 0, 24, 24)
	plain := drawPNG(t, r, 32, printer.Op{Op: "text", Text: "Hé"})
	if bold := drawPNG(t, r, 32, printer.Op{Op: "text", Text: "Hé", Bold: true}); bold.ink(cells) < plain.ink(cells)*5/4 {
		t.Errorf("bold has %d dots, regular %d", bold.ink(cells), plain.ink(cells))
	}
	inverted := drawPNG(t, r, 32, printer.Op{Op: "text", Text: "Hé", Invert: true})
	lined := drawPNG(t, r, 32, printer.Op{Op: "text", Text: "Hé", Underline: true})
	big := drawPNG(t, r, 32, printer.Op{Op: "text", Text: "Hé", Width: 2, Height: 3})
	for y := range 24 {
		for x := range 24 {
			is := plain.black(x, y)
			if inverted.black(x, y) == is {
				t.Fatalf("inverted text is not inverted at %d,%d", x, y)
			}
			if lined.black(x, y) != (is || y == 23) {
				t.Fatalf("underlined text is wrong at %d,%d", x, y)
			}
			if n := big.ink(image.Rect(2*x, 3*y, 2*x+2, 3*y+3)); n != 0 && !is || n != 6 && is {
				t.Fatalf("larger text does not repeat the dot at %d,%d", x, y)
			}
		}
	}
	mixed := drawPNG(t, r, 32, printer.Op{Op: "columns", Cells: []printer.Cell{{Text: "Hé", Width: 4}, {Text: "H", CharHeight: 2}}})
	for y := range 24 {
		for x := range 24 {
			if mixed.black(x, y+24) != plain.black(x, y) {
				t.Fatal("small characters do not stand beside tall ones")
			}
		}
	}
}

func TestImage(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 50, 7))
	for i := range img.Pix {
		img.Pix[i] = byte(i * 37)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, img); err != nil {
		t.Fatal(err)
	}
	for _, op := range []printer.Op{{Op: "image", PNG: file.Bytes(), Align: "center"}, {Op: "image", PNG: file.Bytes(), Dither: true, Width: 100}} {
		want, err := printer.Raster(op, 384)
		if err != nil {
			t.Fatal(err)
		}
		left := 0
		if op.Align == "center" {
			left = (384 - 56) / 2 // 50 dots in whole bytes
		}
		d := drawPNG(t, newRenderer(t, nil), 32, op)
		dots := 0
		for y := range want.Height {
			for x := range want.Width {
				is := want.Bits[y*want.Stride+x/8]>>(7-x%8)&1 == 1
				if d.black(left+x, y) != is {
					t.Fatalf("%+v: dot %d,%d", op.Align, x, y)
				}
				if is {
					dots++
				}
			}
		}
		if dots == 0 || d.ink(d.Bounds()) != dots {
			t.Errorf("%d dots of %d", dots, d.ink(d.Bounds()))
		}
	}
}

// TestBarcode compares with the bars of the EAN-13 in section 5.2.1 of the GS1 General Specifications' method, written
// out by hand: 4 leads to the parity LGLLGG.
// TestStoredImage: what only the printer has is a box with its name.
func TestStoredImage(t *testing.T) {
	r := newRenderer(t, nil)
	doc := printer.Document{{Op: "image", Stored: "<&", Align: "center"}, {Op: "text", Text: "A"}}
	d := drawPNG(t, r, 42, doc...)
	if d.Bounds().Dy() != 24+2*12+lineFeed { // the name with space around it, and a line
		t.Errorf("%d dots high", d.Bounds().Dy())
	}
	left := 0
	for left < 511 && !d.black(left, 24) {
		left++
	}
	right := 511 - left
	if left != (512-(15*12+24))/2 || !d.black(right, 24) || d.black(left-1, 24) || d.black(right+1, 24) || d.ink(image.Rect(left, 0, right, 48)) < 4*(right-left) {
		t.Errorf("box from %d to %d", left, right)
	}
	svg, err := r.SVG(doc, 42)
	if err != nil || !strings.Contains(string(svg.Data), "stored image &lt;&amp;") {
		t.Errorf("%v in\n%s", err, svg.Data)
	}
	if text := printer.PreviewText(doc[:1], 32); text != strings.Repeat(" ", 7)+"[STORED IMAGE <&]\n" {
		t.Errorf("text %q", text)
	}
}

func TestBarcode(t *testing.T) {
	const bars = "101" + "0001101" + "0100111" + "0101111" + "0111101" + "0001001" + "0110011" + "01010" +
		"1000010" + "1000010" + "1000010" + "1110100" + "1000010" + "1100110" + "101"
	d := drawPNG(t, newRenderer(t, nil), 42, printer.Op{Op: "barcode", Symbology: "ean13", Data: "4006381333931", Align: "right", Height: 50})
	if d.Bounds() != image.Rect(0, 0, 512, 80) {
		t.Fatal(d.Bounds())
	}
	for i, bar := range bars {
		if n := d.ink(image.Rect(512-95*3+3*i, 0, 512-95*3+3*i+3, 50)); n != map[rune]int{'0': 0, '1': 150}[bar] {
			t.Fatalf("module %d: %d dots", i, n)
		}
	}
	if n := d.ink(image.Rect(0, 50, 512, 80)); n < 200 {
		t.Errorf("%d dots of digits", n)
	}
	no := false
	bare := drawPNG(t, newRenderer(t, nil), 42, printer.Op{Op: "barcode", Symbology: "code128", Data: strings.Repeat("12", 8), ShowText: &no})
	if bare.Bounds().Dy() != 64 || bare.ink(image.Rect(0, 63, 512, 64)) == 0 {
		t.Errorf("%v", bare.Bounds())
	}
}

// TestEverySymbolFits draws all lengths of data that Check takes; only a CODE128 of over 80 digits becomes a name.
func TestEverySymbolFits(t *testing.T) {
	r := newRenderer(t, nil)
	for _, columns := range []int{32, 42, 48, 96} {
		for _, symbology := range []string{"code39", "itf", "code128"} {
			for n := 2; ; n += 2 {
				data := strings.Repeat("4711", n)[:n]
				if symbology == "code39" {
					data = "A" + data[1:]
				}
				op := printer.Op{Op: "barcode", Symbology: symbology, Data: data, Height: 20}
				if printer.Check(printer.Document{op}, columns) != nil {
					break
				}
				s, err := r.layOut(printer.Document{op}, columns)
				if err != nil {
					t.Fatal(err)
				}
				first := s.items[0]
				if first.text != nil != (n > 80) {
					t.Fatalf("%s of %d characters: %+v", symbology, n, first.label)
				}
				if n <= 80 && (first.rects[len(first.rects)-1].Max.X+first.at.X > s.width || first.rects[0].Dx() < 2) {
					t.Errorf("%s of %d characters does not fit %d columns", symbology, n, columns)
				}
			}
		}
	}
}

func TestQR(t *testing.T) {
	d := drawPNG(t, newRenderer(t, nil), 32, printer.Op{Op: "qrcode", Data: "https://example.com/r/1", Size: 5, Align: "center"})
	if d.Bounds().Dy() != 25*5 { // version 2
		t.Fatal(d.Bounds())
	}
	left := (384 - 125) / 2
	for _, corner := range []image.Point{{0, 0}, {18, 0}, {0, 18}} { // a finder pattern: a frame of 7 around a core of 3
		at := corner.Mul(5).Add(image.Pt(left, 0))
		if n := d.ink(image.Rect(0, 0, 35, 35).Add(at)); n != (49-16)*25 {
			t.Errorf("finder at %v: %d dots", corner, n)
		}
	}
}

func TestFeedAndCut(t *testing.T) {
	d := drawPNG(t, newRenderer(t, nil), 32, printer.Op{Op: "feed", Lines: 3}, printer.Op{Op: "cut"}, printer.Op{Op: "drawer"})
	if d.Bounds().Dy() != 120 || d.ink(d.Bounds()) != 384/2*2 || !d.black(0, 105) || d.black(8, 105) {
		t.Errorf("%v, %d dots", d.Bounds(), d.ink(d.Bounds()))
	}
	if d := drawPNG(t, newRenderer(t, nil), 32, printer.Op{Op: "drawer"}); d.ink(d.Bounds()) != 0 {
		t.Error("a drawer shows on the paper")
	}
}

func TestTooLong(t *testing.T) {
	r := newRenderer(t, nil)
	doc := printer.Document{}
	for range 5 {
		doc = append(doc, printer.Op{Op: "feed", Lines: 100})
	}
	if _, err := r.PNG(doc, 42); err != nil {
		t.Errorf("15000 dots: %v", err)
	}
	doc = append(doc, printer.Op{Op: "text", Text: strings.Repeat("\n", 100)})
	var long *TooLongError
	if _, err := r.PNG(doc, 42); !errors.As(err, &long) || long.Dots <= MaxDots || long.Dots > MaxDots+30 {
		t.Errorf("PNG: %v", err)
	}
	if _, err := r.SVG(doc, 42); !errors.As(err, &long) {
		t.Errorf("SVG: %v", err)
	}
}

// setter is a typesetter that has all letters but those given, and draws a black bar for a line.
type setter struct {
	lacks string
	drawn []string
}

func (s *setter) Rows(op printer.Op, columns int, carries func(string) bool) iter.Seq2[typeset.Row, error] {
	return func(yield func(typeset.Row, error) bool) {
		for row := range (*typeset.Typesetter)(nil).Rows(op, columns, func(string) bool { return true }) {
			var err error
			if text := row.Line.String(); !carries(text) {
				img, no := s.Line(text, typeset.Style{}, printer.Dots(columns))
				row.Image, err = &img, no
				s.drawn = append(s.drawn, text)
			}
			if !yield(row, err) || err != nil {
				return
			}
		}
	}
}

func (s *setter) Line(text string, _ typeset.Style, dots int) (printer.Bitmap, error) {
	if i := strings.IndexAny(text, s.lacks); i >= 0 {
		return printer.Bitmap{}, &printer.DocumentError{Field: "text", Message: "no font"}
	}
	b := printer.Bitmap{Width: dots, Height: 40, Stride: (dots + 7) / 8}
	b.Bits = bytes.Repeat([]byte{0xFF}, b.Stride*b.Height)
	return b, nil
}

func TestScripts(t *testing.T) {
	s := &setter{lacks: "ไ\u4e2d"}
	r := newRenderer(t, s)
	doc := printer.Document{
		{Op: "text", Text: "Größe Ωμέγα Жук 1\u00A0000\u202F€ box─│"},
		{Op: "text", Text: "first\nשלום", Align: "center", Bold: true, Font: "b"},
		{Op: "columns", Cells: []printer.Cell{{Text: "a"}, {Text: "ไ漢", Width: 10}}},
	}
	p, err := r.PNG(doc, 32)
	if err != nil {
		t.Fatal(err)
	}
	if string(p.Missing) != "ไ" {
		t.Errorf("missing %q", string(p.Missing))
	}
	if got := strings.Join(s.drawn, "|"); got != "שלום|a                     ไ漢|a                     □漢" {
		t.Errorf("%q", got)
	}
	d := drawPNG(t, r, 32, doc...)
	if d.Bounds().Dy() != 60+40+40 || d.ink(image.Rect(0, 60, 384, 140)) != 384*80 {
		t.Errorf("%v", d.Bounds())
	}
	if svg, err := r.SVG(doc, 32); err != nil || strings.Count(string(svg.Data), "<image") != 2 || string(svg.Missing) != "ไ" {
		t.Errorf("%v\n%s", err, svg.Data)
	}
}

// TestCombination draws what fonts have each, but not together, as boxes rather than not at all.
func TestCombination(t *testing.T) {
	r := newRenderer(t, refusing{&setter{}})
	p, err := r.PNG(printer.Document{{Op: "text", Text: "a漢字"}}, 32)
	if err != nil || string(p.Missing) != "字漢" {
		t.Errorf("%q %v", string(p.Missing), err)
	}
}

// refusing draws single characters only.
type refusing struct{ *setter }

func (refusing) Rows(op printer.Op, columns int, carries func(string) bool) iter.Seq2[typeset.Row, error] {
	return (&setter{lacks: op.Text}).Rows(op, columns, carries)
}

// TestNoFont draws what no font has as boxes, as wide as it would be.
func TestNoFont(t *testing.T) {
	doc := printer.Document{{Op: "text", Text: "a\u4e2d\u0e01\u0e34\u200d"}}
	for name, s := range map[string]Typesetter{"no typesetter": nil, "no fonts": &setter{lacks: "\u4e2d\u0e01\u0e34\u200d"}, "not even boxes": &setter{lacks: "\u4e2d\u0e01\u0e34\u200d□"}} {
		r := newRenderer(t, s)
		p, err := r.PNG(doc, 32)
		if err != nil || string(p.Missing) != "\u0e01\u0e34\u4e2d" {
			t.Errorf("%s: missing %q %v", name, string(p.Missing), err)
		}
		boxes := drawPNG(t, r, 32, printer.Op{Op: "text", Text: "a□□□"})
		got := drawPNG(t, r, 32, doc...)
		if n := got.ink(image.Rect(12, 0, 48, 24)); n == 0 || n != boxes.ink(image.Rect(12, 0, 48, 24)) || got.ink(got.Bounds()) != boxes.ink(boxes.Bounds()) {
			t.Errorf("%s: %d dots of boxes", name, n)
		}
	}
}

// elements reads an SVG strictly, and counts its elements. It refuses all that could run or load anything.
func elements(t testing.TB, svg []byte) map[string]int {
	t.Helper()
	count := map[string]int{}
	for dec := xml.NewDecoder(bytes.NewReader(svg)); ; {
		tok, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return count
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, svg)
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			continue
		}
		count[start.Name.Local]++
		if !slices.Contains([]string{"svg", "rect", "path", "text", "image", "title"}, start.Name.Local) {
			t.Fatalf("element %s", start.Name.Local)
		}
		for _, a := range start.Attr {
			if strings.HasPrefix(strings.ToLower(a.Name.Local), "on") || a.Name.Local == "style" ||
				a.Name.Local == "href" && !strings.HasPrefix(a.Value, "data:image/png;base64,") {
				t.Fatalf("attribute %s=%s", a.Name.Local, a.Value)
			}
		}
	}
}

func TestSVG(t *testing.T) {
	const evil = `</text><script>alert(1)</script>"'&]]><!--`
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		t.Fatal(err)
	}
	doc := printer.Document{
		{Op: "text", Text: evil, Bold: true},
		{Op: "text", Text: "A  B\uFFFE", Width: 2, Height: 3, Invert: true, Align: "right"},
		{Op: "columns", Cells: []printer.Cell{{Text: evil, Underline: true}, {Text: "9.00", Width: 6, Align: "right"}}},
		{Op: "qrcode", Data: evil}, {Op: "image", PNG: file.Bytes()}, {Op: "cut"},
	}
	if err := printer.Check(doc, 48); err != nil {
		t.Fatal(err)
	}
	p, err := newRenderer(t, nil).SVG(doc, 48)
	if err != nil {
		t.Fatal(err)
	}
	got := elements(t, p.Data)
	if got["text"] != 5 || got["image"] != 1 || got["path"] != 4 { // inverted, underlined, QR, cut
		t.Errorf("%v\n%s", got, p.Data)
	}
	for _, part := range []string{
		`width="576"`, `&lt;script&gt;alert(1)&lt;/script&gt;`, `font-weight="bold"`, `fill="#fff" textLength="12"`, `scale(2 3)`,
		`textLength="48" lengthAdjust="spacingAndGlyphs" xml:space="preserve">9.00</text>`, `<title>QR &lt;/text`,
	} {
		if !bytes.Contains(p.Data, []byte(part)) {
			t.Errorf("no %s in\n%s", part, p.Data)
		}
	}
	_, data, _ := strings.Cut(string(p.Data), "base64,")
	data, _, _ = strings.Cut(data, `"`)
	raw, err := base64.StdEncoding.DecodeString(data)
	if err != nil {
		t.Fatal(err)
	}
	if conf, err := png.DecodeConfig(bytes.NewReader(raw)); err != nil || conf.Width != 8 || conf.Height != 8 {
		t.Errorf("%+v %v", conf, err)
	}
}

// FuzzPreview holds that whatever passes Check is drawn, at the right width, as an SVG that is well-formed and harmless.
func FuzzPreview(f *testing.F) {
	f.Add([]byte(`[{"op":"text","text":"a <b> & 界 ไ","width":3,"align":"right","invert":true},{"op":"columns","cells":[{"text":"a  b"},{"text":"b","width":3,"charWidth":2,"underline":true}]}]`), 20)
	f.Add([]byte(`[{"op":"barcode","symbology":"code128","data":"AB123456"},{"op":"rule","char":"界"},{"op":"cut"},{"op":"qrcode","data":"x","level":"H"}]`), 42)
	r := newRenderer(f, nil)
	s := newRenderer(f, &setter{lacks: "ไ□"})
	f.Fuzz(func(t *testing.T, raw []byte, columns int) {
		doc, err := printer.ParseDocument(raw)
		if err != nil || columns < 1 || columns > 96 || printer.Check(doc, columns) != nil {
			return
		}
		for _, r := range []*Renderer{r, s} {
			picture, err := r.PNG(doc, columns)
			var long *TooLongError
			if errors.As(err, &long) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			conf, err := png.DecodeConfig(bytes.NewReader(picture.Data))
			if err != nil || conf.Width != paperDots(columns) || conf.Height < 1 {
				t.Fatalf("%+v %v", conf, err)
			}
			if picture, err = r.SVG(doc, columns); err != nil {
				t.Fatal(err)
			}
			elements(t, picture.Data)
		}
	})
}
