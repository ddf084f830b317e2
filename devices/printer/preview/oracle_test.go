//go:build oracle

package preview

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"storeagent/devices/printer"
)

// The oracles are zbarimg, which reads codes out of pictures, and rsvg-convert, which draws SVG; scripts/printing-oracle
// installs them.

// run runs a program and gives what it wrote. A program that is not there fails the test.
func run(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, complaint.String())
	}
	return out
}

// onPaper puts a picture into the margins that paper has beside the print head, because readers want white there.
func onPaper(t *testing.T, data []byte) string {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	const margin = 32
	b := img.Bounds()
	paper := image.NewGray(image.Rect(0, 0, b.Dx()+2*margin, b.Dy()+2*margin))
	draw.Draw(paper, paper.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(paper, b.Add(image.Pt(margin, margin)), img, b.Min, draw.Src)
	var out bytes.Buffer
	if err := png.Encode(&out, paper); err != nil {
		t.Fatal(err)
	}
	return write(t, out.Bytes())
}

func write(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "picture")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// symbologies of zbarimg: its names, and what to switch on. It takes an EAN-13 that begins with 0 for a UPC-A where both
// are on.
var symbologies = map[string]struct {
	name   string
	enable []string
}{
	"ean13": {"EAN-13", []string{"ean13"}}, "ean8": {"EAN-8", []string{"ean8"}}, "upca": {"UPC-A", []string{"ean13", "upca"}},
	"code39": {"CODE-39", []string{"code39"}}, "code128": {"CODE-128", []string{"code128"}}, "itf": {"I2/5", []string{"i25"}},
	"qr": {"QR-Code", []string{"qrcode"}},
}

// readCode gives what zbarimg reads of one symbology in a picture, as NAME:DATA lines.
func readCode(t *testing.T, symbology string, data []byte) string {
	t.Helper()
	args := []string{"-q", "-Sdisable"}
	for _, name := range symbologies[symbology].enable {
		args = append(args, "-S"+name+".enable")
		if symbology == "itf" || symbology == "code39" { // it reads the shortest ones only when asked to
			args = append(args, "-S"+name+".min-length=2")
		}
	}
	return strings.TrimSuffix(string(run(t, "zbarimg", append(args, onPaper(t, data))...)), "\n")
}

// TestOracleReadsCodes has all codes read out of pictures of the paper by a program that is not ours.
func TestOracleReadsCodes(t *testing.T) {
	r := newRenderer(t, nil)
	no := false
	for _, tt := range []struct{ symbology, data, want string }{
		{"ean13", "4006381333931", ""}, {"ean13", "978020137962", "9780201379624"}, {"ean13", "0000000000000", ""},
		{"ean8", "96385074", ""}, {"ean8", "0123456", "01234565"},
		{"upca", "012345000065", ""}, {"upca", "21234580499", "212345804995"},
		{"code39", "STORE-42", ""}, {"code39", "A+B/C%.$ 9", ""}, {"code39", "AB", ""},
		{"code128", "L3-000481", ""}, {"code128", "123456789012", ""}, {"code128", "a1234567b {~}", ""}, {"code128", "12345", ""},
		{"code128", "ABC123456XYZ", ""}, {"code128", "0", ""},
		{"itf", "123456789012", ""}, {"itf", "00", ""}, {"itf", "15400141288763", ""},
	} {
		for _, columns := range []int{32, 42, 48} {
			for _, align := range []string{"", "center", "right"} {
				op := printer.Op{Op: "barcode", Symbology: tt.symbology, Data: tt.data, Align: align}
				if align == "right" {
					op.ShowText = &no
				}
				if printer.Check(printer.Document{op}, columns) != nil {
					if columns > 32 {
						t.Fatalf("%s %q does not fit %d columns", tt.symbology, tt.data, columns)
					}
					continue
				}
				p, err := r.PNG(printer.Document{{Op: "text", Text: "above"}, op, {Op: "rule"}}, columns)
				if err != nil {
					t.Fatal(err)
				}
				want := tt.want
				if want == "" {
					want = tt.data
				}
				if got := readCode(t, tt.symbology, p.Data); got != symbologies[tt.symbology].name+":"+want {
					t.Errorf("%s %q at %d columns %s was read as %q", tt.symbology, tt.data, columns, align, got)
				}
			}
		}
	}
}

func TestOracleReadsQR(t *testing.T) {
	r := newRenderer(t, nil)
	long := strings.Repeat("https://example.com/r/1?x=", 12)
	for _, data := range []string{"https://example.com/r/1", "0123456789", "ABC $%*+-./:", "Größe 漢字 €", "two\nlines", long} {
		for _, level := range []string{"", "L", "M", "Q", "H"} {
			for _, size := range []int{0, 3} {
				op := printer.Op{Op: "qrcode", Data: data, Level: level, Size: size, Align: "center"}
				if err := printer.Check(printer.Document{op}, 42); err != nil {
					t.Fatal(err)
				}
				p, err := r.PNG(printer.Document{op}, 42)
				if err != nil {
					t.Fatal(err)
				}
				if got := readCode(t, "qr", p.Data); got != "QR-Code:"+data {
					t.Errorf("%q at level %q, size %d was read as %q", data, level, size, got)
				}
			}
		}
	}
}

// TestOracleDrawsSVG has our SVG drawn by a program that is not ours, in a font that is not ours, and compares where ink
// is with the PNG: cell by cell for text, dot by dot for codes and images.
func TestOracleDrawsSVG(t *testing.T) {
	r := newRenderer(t, &setter{})
	gradient := image.NewGray(image.Rect(0, 0, 160, 48))
	for i := range gradient.Pix {
		gradient.Pix[i] = byte(i % 160 * 256 / 160)
	}
	var file bytes.Buffer
	if err := png.Encode(&file, gradient); err != nil {
		t.Fatal(err)
	}
	text := printer.Document{
		{Op: "text", Text: "Corner Shop & Söhne <1>", Align: "center", Bold: true, Width: 2, Height: 2},
		{Op: "text", Text: "1 High Street, Größe Ωμέγα Жук €", Align: "right", Underline: true},
		{Op: "rule"},
		{Op: "columns", Cells: []printer.Cell{{Text: "Green tea 250 g"}, {Text: "2", Width: 4, Align: "right"}, {Text: "9.00", Width: 10, Align: "right", Bold: true}}},
		{Op: "columns", Cells: []printer.Cell{{Text: "TOTAL", CharWidth: 2, CharHeight: 2}, {Text: "9.00", Width: 20, Align: "right", CharWidth: 3, CharHeight: 3}}},
		{Op: "text", Text: "small print in font B, the quick brown fox", Font: "b"},
		{Op: "text", Text: "white on black", Invert: true, Align: "center"},
	}
	dots := printer.Document{
		{Op: "barcode", Symbology: "ean13", Data: "4006381333931", ShowText: new(bool), Align: "center"},
		{Op: "qrcode", Data: "https://example.com/r/1", Align: "right"},
		{Op: "image", PNG: file.Bytes(), Dither: true, Align: "center"},
		{Op: "text", Text: "漢字"}, // a bar of the test's own typesetter
		{Op: "cut"},
	}
	ours, theirs := bothWays(t, r, dots)
	if n := differing(ours, theirs, 1, 1, 128, 128); n != 0 {
		t.Errorf("%d dots of codes and images differ", n)
	}
	ours, theirs = bothWays(t, r, text)
	// Cells of font A: where one has ink, so has the other. Single cells may differ, as letters do at their edges.
	cells := (ours.Bounds().Dx() / 12) * (ours.Bounds().Dy() / 30)
	if n := differing(ours, theirs, 12, 30, 250, 250); n > cells/50 {
		t.Errorf("%d of %d cells have ink in one picture only", n, cells)
	}
	overlap := inkOverlap(ours, theirs)
	t.Logf("%.0f%% of the ink of text overlaps", overlap*100)
	if overlap < 0.5 {
		t.Errorf("only %.0f%% of the ink of text overlaps", overlap*100)
	}
}

// bothWays draws a document as PNG, and as SVG by rsvg-convert.
func bothWays(t *testing.T, r *Renderer, doc printer.Document) (ours, theirs image.Image) {
	t.Helper()
	if err := printer.Check(doc, 48); err != nil {
		t.Fatal(err)
	}
	p, err := r.PNG(doc, 48)
	if err != nil {
		t.Fatal(err)
	}
	v, err := r.SVG(doc, 48)
	if err != nil {
		t.Fatal(err)
	}
	if ours, err = png.Decode(bytes.NewReader(p.Data)); err != nil {
		t.Fatal(err)
	}
	if theirs, err = png.Decode(bytes.NewReader(run(t, "rsvg-convert", write(t, v.Data)))); err != nil {
		t.Fatal(err)
	}
	if ours.Bounds() != theirs.Bounds() {
		t.Fatalf("the PNG has %v dots, the SVG %v", ours.Bounds(), theirs.Bounds())
	}
	return ours, theirs
}

func dark(m image.Image, x, y int, below byte) bool {
	return color.GrayModel.Convert(m.At(x, y)).(color.Gray).Y < below
}

// differing counts the cells of that size where one picture has a dot darker than its limit and the other has none.
func differing(a, b image.Image, w, h int, belowA, belowB byte) int {
	n := 0
	for y := 0; y+h <= a.Bounds().Dy(); y += h {
		for x := 0; x+w <= a.Bounds().Dx(); x += w {
			inA, inB := false, false
			for i := range w * h {
				inA = inA || dark(a, x+i%w, y+i/w, belowA)
				inB = inB || dark(b, x+i%w, y+i/w, belowB)
			}
			if inA != inB {
				n++
			}
		}
	}
	return n
}

// inkOverlap is the part of both pictures' ink that they share, each spread by a dot.
func inkOverlap(a, b image.Image) float64 {
	near := func(m image.Image, x, y int) bool {
		return slices.ContainsFunc([]image.Point{{0, 0}, {1, 0}, {-1, 0}, {0, 1}, {0, -1}}, func(p image.Point) bool {
			q := p.Add(image.Pt(x, y))
			return q.In(m.Bounds()) && dark(m, q.X, q.Y, 128)
		})
	}
	ink, shared := 0, 0
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			for _, pair := range [][2]image.Image{{a, b}, {b, a}} {
				if dark(pair[0], x, y, 128) {
					ink++
					if near(pair[1], x, y) {
						shared++
					}
				}
			}
		}
	}
	if ink == 0 {
		return 0
	}
	return float64(shared) / float64(ink)
}
