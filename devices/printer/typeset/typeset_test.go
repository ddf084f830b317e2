package typeset

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-text/typesetting/bidi"
	"github.com/go-text/typesetting/shaping"
	"golang.org/x/image/font/gofont/gomono"
	"golang.org/x/image/math/fixed"

	"storeagent/devices/printer"
)

// shared is a typesetter for all tests: looking for fonts takes a while.
var shared = sync.OnceValue(func() *Typesetter {
	return New(nil, Options{Builtin: [][]byte{gomono.TTF}, System: true})
})

// fonts is the shared typesetter. The fonts it needs are never passed over in silence.
func fonts(t testing.TB) *Typesetter {
	t.Helper()
	for r, pkg := range map[string]string{"ب": "fonts-noto-core", "漢": "fonts-noto-cjk"} {
		if _, err := shared().Line(r, Style{}, 100); err != nil {
			t.Fatalf("these tests need the Debian package %s: %v", pkg, err)
		}
	}
	return shared()
}

func line(t testing.TB, text string, s Style) printer.Bitmap {
	t.Helper()
	b, err := fonts(t).Line(text, s, 576)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return b
}

func black(b printer.Bitmap, x, y int) bool { return b.Bits[y*b.Stride+x/8]>>(7-x%8)&1 == 1 }

// count is the number of black dots in a rectangle.
func count(b printer.Bitmap, left, right, top, bottom int) int {
	n := 0
	for y := top; y < bottom; y++ {
		for x := left; x < right; x++ {
			if black(b, x, y) {
				n++
			}
		}
	}
	return n
}

func all(b printer.Bitmap) int { return count(b, 0, b.Width, 0, b.Height) }

// extent is the first and last column with ink; -1, -1 without.
func extent(b printer.Bitmap) (left, right int) {
	left, right = -1, -1
	for x := range b.Width {
		if count(b, x, x+1, 0, b.Height) > 0 {
			if left < 0 {
				left = x
			}
			right = x
		}
	}
	return left, right
}

// gaps counts the stretches of white columns between the first and the last column with ink.
func gaps(b printer.Bitmap) int {
	left, right := extent(b)
	n := 0
	for x := left + 1; x < right; x++ {
		if count(b, x, x+1, 0, b.Height) == 0 && count(b, x-1, x, 0, b.Height) > 0 {
			n++
		}
	}
	return n
}

// thanks is a line of a receipt in scripts that few printers have.
var thanks = map[string]string{
	"Arabic": "شكرا لزيارتكم", "Persian": "از خرید شما سپاسگزاریم", "Urdu": "آپ کا شکریہ", "Hebrew": "תודה רבה", "Yiddish": "אַ שיינעם דאַנק",
	"Thai": "ขอบคุณที่ใช้บริการ น้ำปั่น", "Lao": "ຂອບໃຈຫຼາຍໆ", "Khmer": "អរគុណ", "Burmese": "ကျေးဇူးတင်ပါတယ်", "Hindi": "धन्यवाद क्षत्रिय",
	"Nepali": "धन्यवाद", "Bengali": "ধন্যবাদ", "Tamil": "நன்றி", "Telugu": "ధన్యవాదాలు", "Kannada": "ಧನ್ಯವಾದಗಳು", "Malayalam": "നന്ദി",
	"Gujarati": "આભાર", "Punjabi": "ਧੰਨਵਾਦ", "Odia": "ଧନ୍ୟବାଦ", "Sinhala": "ස්තුතියි", "Georgian": "გმადლობთ", "Armenian": "Շնորհակալություն",
	"Amharic": "አመሰግናለሁ", "Chinese": "谢谢光临", "Taiwanese": "謝謝惠顧 ㄅㄆㄇ", "Japanese": "ありがとうございます 合計", "Korean": "감사합니다",
	"Cherokee": "ᏩᏙ", "Tibetan": "ཐུགས་རྗེ་ཆེ།", "Mongolian": "Баярлалаа", "Vietnamese": "Cảm ơn quý khách", "Yoruba": "Ẹ ṣé", "Dhivehi": "ޝުކުރިއްޔާ",
}

// TestScripts draws each script in each size: ink is there, and none of it is cut off at an edge of the line.
func TestScripts(t *testing.T) {
	ts := fonts(t)
	for name, text := range thanks {
		for _, s := range []Style{{}, {CellWidth: 9, CellHeight: 17}, {Width: 2, Height: 2}, {Height: 3, Bold: true}} {
			b := line(t, text, s)
			if b.Width != 576 || b.Height != s.LineHeight() || b.Stride != 72 || len(b.Bits) != b.Stride*b.Height {
				t.Fatalf("%s: %dx%d, stride %d, %d bytes", name, b.Width, b.Height, b.Stride, len(b.Bits))
			}
			left, right := extent(b)
			if all(b) < 60 || right-left < 20 {
				t.Errorf("%s: %d black dots from %d to %d", name, all(b), left, right)
			}
			p, err := place(ts, text, s)
			if err != nil || p.squeeze != 1 || p.up+p.down > float64(b.Height)*1.3 {
				t.Errorf("%s in %+v: %v, squeezed %v, ink %v up, %v down", name, s, err, p.squeeze, p.up, p.down)
			}
			if cells := float64(printer.Width(text) * max(s.Width, 1) * max(s.CellWidth, 12)); p.width > cells*1.75 {
				t.Errorf("%s is %v dots wide, its cells %v", name, p.width, cells)
			}
		}
	}
}

func place(ts *Typesetter, text string, s Style) (placed, error) {
	ts.mu.Lock()
	defer ts.mu.Unlock()
	return ts.place(Span{Text: text, Style: s.defaults()}, 1152)
}

// TestArabicJoins: joined letters are one stroke and narrower than letters that a joiner keeps apart.
func TestArabicJoins(t *testing.T) {
	joined, apart := line(t, "سمسم", Style{}), line(t, "س\u200cم\u200cس\u200cم", Style{})
	if n := gaps(joined); n != 0 {
		t.Errorf("the joined word has %d gaps", n)
	}
	if n := gaps(apart); n != 3 {
		t.Errorf("four separate letters have %d gaps", n)
	}
	width := func(b printer.Bitmap) int { l, r := extent(b); return r - l }
	if width(joined) >= width(apart) {
		t.Errorf("joined %d dots wide, apart %d", width(joined), width(apart))
	}
}

// TestRightToLeft: the first letter stands on the right. Shin is wide, yod a tick.
func TestRightToLeft(t *testing.T) {
	heavier := func(text string) string {
		b := line(t, text, Style{Align: "left"})
		left, right := extent(b)
		mid := (left + right + 1) / 2
		if count(b, left, mid, 0, b.Height) > count(b, mid, right+1, 0, b.Height) {
			return "left"
		}
		return "right"
	}
	if heavier("שי") != "right" || heavier("יש") != "left" {
		t.Errorf("shin yod is heavier on the %s, yod shin on the %s", heavier("שי"), heavier("יש"))
	}
	if heavier("MI") != "left" || heavier("IM") != "right" {
		t.Error("Latin letters are turned")
	}
}

// TestLevels holds the order against what fribidi 1.0.8 says (fribidi --levels).
func TestLevels(t *testing.T) {
	for text, want := range map[string]string{
		"Milk حليب 500 ml":        "0000011111222000",
		"حليب 500 ml":             "11111222122",
		"חלב 3% 12.50 ₪":          "11112212222211",
		"abc אבג 12,5% def":       "00001111222220000",
		"(אבג) [abc] דהו":         "111111122211111",
		"total: אב 10-12 x":       "00000001112222200",
		"Total ١٢ ريال":           "0000002211111",
		"a٢جb":                    "0210",
		"abc אבג 123 456 def":     "0000111122212220000",
		"COLA قهوة (2) 3.50":      "000001111112112222",
		"12,50":                   "00000",
		"\u2067אב abc גד\u2069 x": "0111222111000",
	} {
		ts := New(nil, Options{})
		var got strings.Builder
		for _, l := range ts.levels([]rune(text), DirectionOf(text)) {
			got.WriteByte('0' + byte(l))
		}
		if got.String() != want {
			t.Errorf("%q\n got %s\nwant %s", text, got.String(), want)
		}
	}
}

func TestReorder(t *testing.T) {
	for levels, want := range map[string]string{
		"000": "abc", "111": "cba", "0110": "acbd", "1221": "dbca", "01210": "adcbe", "2": "a", "": "", "12": "ba", "20102": "abcde",
	} {
		pieces := []byte("abcdefgh")[:len(levels)]
		reorder(pieces, func(b byte) bidi.Level { return bidi.Level(levels[b-'a'] - '0') })
		if string(pieces) != want {
			t.Errorf("%s: %s, want %s", levels, pieces, want)
		}
	}
}

func TestAlign(t *testing.T) {
	for _, c := range []struct {
		text, align string
		d           Direction
		from, to    int // where the ink must be
	}{
		{"abc", "", Auto, 0, 40}, {"abc", "right", Auto, 536, 576}, {"abc", "center", Auto, 265, 310},
		{"אבג", "", Auto, 520, 576}, {"אבג", "left", Auto, 0, 60}, {"אבג", "center", Auto, 250, 326},
		{"iPhone 15", "", RightToLeft, 460, 576}, {"12.50", "", Auto, 0, 62},
	} {
		left, right := extent(line(t, c.text, Style{Align: c.align, Direction: c.d}))
		if left < c.from || right >= c.to {
			t.Errorf("%q %s: ink from %d to %d, want it within %d to %d", c.text, c.align, left, right, c.from, c.to)
		}
	}
}

// TestColumnsKeepTheirCells: a price stands right in its cell, with the same dots, whatever is in the cell beside it.
func TestColumnsKeepTheirCells(t *testing.T) {
	for _, name := range []string{"Milk", "حليب كامل الدسم 500", "חלב", "แชมพูสระผม", "脱脂牛奶", strings.Repeat("मक्खन ", 5)} {
		lines := ColumnSpans([]printer.Cell{{Text: name}, {Text: "2", Width: 4, Align: "right"}, {Text: "12.50", Width: 9, Align: "right", Bold: true}}, 48)
		b, err := fonts(t).Spans(lines[0], 576)
		if err != nil {
			t.Fatal(err)
		}
		alone, err := fonts(t).Spans(lines[0][2:], 576)
		if err != nil {
			t.Fatal(err)
		}
		if n := count(b, 35*12, 38*12, 0, b.Height); n != 0 {
			t.Errorf("%s: %d dots in the room before the second cell's digit", name, n)
		}
		if all(alone) == 0 || count(b, 39*12, 576, 0, b.Height) != all(alone) {
			t.Errorf("%s: %d dots in the cell of the price, %d alone", name, count(b, 39*12, 576, 0, b.Height), all(alone))
		}
		if _, right := extent(b); right < 564 {
			t.Errorf("%s: the price ends at dot %d", name, right)
		}
	}
}

// TestColumnSpansAgree: the lines are those of printer.ColumnLines.
func TestColumnSpansAgree(t *testing.T) {
	cells := []printer.Cell{{Text: "a long name that goes on\nand on"}, {Text: "1", Width: 5, Align: "right"}, {Text: "wide enough", Width: 12, CharWidth: 2}}
	spans, lines := ColumnSpans(cells, 32), printer.ColumnLines(cells, 32)
	if len(spans) != len(lines) {
		t.Fatalf("%d and %d lines", len(spans), len(lines))
	}
	for i, l := range lines {
		for _, s := range spans[i] {
			if !strings.Contains(l.String(), s.Text) || s.X+s.Dots > 32*12 {
				t.Errorf("line %d %q lacks %q at %d", i, l.String(), s.Text, s.X)
			}
		}
	}
}

func TestStyles(t *testing.T) {
	width := func(b printer.Bitmap) int { l, r := extent(b); return r - l + 1 }
	plain := line(t, "שלום", Style{Align: "left"})
	wide := line(t, "שלום", Style{Align: "left", Width: 2})
	if w := width(wide); w < 2*width(plain)-4 || w > 2*width(plain)+4 || wide.Height != plain.Height {
		t.Errorf("double width: %d dots, normal %d", w, width(plain))
	}
	tall := line(t, "שלום", Style{Align: "left", Height: 4})
	if w := width(tall); w < width(plain)-2 || w > width(plain)+2 || tall.Height != 120 || all(tall) < 3*all(plain) {
		t.Errorf("four times as high: %dx%d, %d dots of ink, normal %d", w, tall.Height, all(tall), all(plain))
	}
	bold := line(t, "שלום", Style{Align: "left", Bold: true})
	if all(bold) < all(plain)*5/4 || width(bold) > width(plain)+1 {
		t.Errorf("bold: %d dots of ink, normal %d", all(bold), all(plain))
	}
	under := line(t, "שלום", Style{Align: "left", Underline: true})
	full := slices.ContainsFunc([]int{24, 25, 26}, func(y int) bool { return count(under, 0, width(plain), y, y+1) == width(plain) })
	if !full {
		t.Error("no line under the text")
	}
	white := line(t, "שלום", Style{Align: "left", Invert: true})
	if n := all(white); n < 24*width(plain)-all(plain)-200 || black(white, 1, 8) == black(plain, 1, 8) {
		t.Errorf("inverted: %d black dots", n)
	}
	b := line(t, strings.Repeat("שלום ", 40), Style{})
	if left, right := extent(b); left > 4 || right < 560 {
		t.Errorf("text wider than the line is drawn from %d to %d", left, right)
	}
}

func TestNoFont(t *testing.T) {
	ts := New(nil, Options{Builtin: [][]byte{gomono.TTF}})
	for text, want := range map[string]string{"ok 漢字": "fonts-noto-cjk", "あ": "fonts-noto-cjk", "한": "fonts-noto-cjk", "。": "fonts-noto-cjk",
		"السعر": "fonts-noto-core", "x ก": "fonts-noto-core", "☕": "fonts-symbola", "\uE123": "", "\uFFFF": ""} {
		_, err := ts.Line(text, Style{}, 576)
		var none *NoFontError
		if !errors.As(err, &none) || none.Package != want || none.Script == "" {
			t.Errorf("%q: %v, %+v", text, err, none)
			continue
		}
		if !strings.Contains(none.Error(), string(none.Runes[0])) && want != "" || !strings.Contains(none.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := ts.Line("Żółw Ωμέγα Жук", Style{}, 576); err != nil {
		t.Error(err)
	}
	if _, err := fonts(t).Line("\uE123", Style{}, 576); err == nil {
		t.Error("a character for private use is drawn")
	}
}

func TestBounds(t *testing.T) {
	ts := fonts(t)
	for name, err := range map[string]error{
		"no dots":      second(ts.Line("a", Style{}, 0)),
		"too wide":     second(ts.Line("a", Style{}, MaxDots+1)),
		"too long":     second(ts.Line(strings.Repeat("a\u0301", MaxRunes/2+1), Style{}, 576)),
		"not UTF-8":    second(ts.Line("\xff", Style{}, 576)),
		"9 times":      second(ts.Line("a", Style{Width: 9}, 576)),
		"a tiny cell":  second(ts.Line("a", Style{CellWidth: 1}, 576)),
		"a large cell": second(ts.Line("a", Style{CellHeight: 100}, 576)),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	// A pile of marks stays on its line, and leaves the letters beside it readable.
	pile := line(t, "abc "+"e"+strings.Repeat("\u0301", 300), Style{})
	if n := count(pile, 0, 36, 0, 30); n < 100 {
		t.Errorf("beside a pile of marks, abc has %d dots", n)
	}
}

// TestPilesOfMarks: whatever fonts there are, a pile is lowered by itself, and neither it nor its place takes the letters' room.
func TestPilesOfMarks(t *testing.T) {
	em := func(f float64) fixed.Int26_6 { return fixed.Int26_6(f * 64 * emUnits) }
	abc, err := fonts(t).place(Span{Text: "abc"}, 576)
	if err != nil || len(abc.pieces) != 1 {
		t.Fatal(abc, err)
	}
	glyph := func(i int, top, bottom float64) shaping.Glyph {
		g := abc.pieces[0].shaped.Glyphs[i]
		g.YBearing, g.Height = em(top), em(bottom-top)
		return g
	}
	got := lower([]shaping.Glyph{glyph(0, 0.75, 0), glyph(1, 0.75, -0.25), glyph(1, 1.5, 0.75), glyph(2, 0.75, 0), glyph(2, 60, 0)}, 24, 24, 6)
	if len(got) != 3 || len(got[1].glyphs) != 2 || got[0].yem != 16 || got[1].yem != 16 || got[2].yem != 24./60 {
		t.Errorf("%+v", got)
	}
	if got := lower([]shaping.Glyph{glyph(0, 0.75, -0.25), glyph(1, 0, -100)}, 24, 24, 6); got[0].yem != 24 || got[1].yem != 6./100 {
		t.Errorf("%+v", got)
	}
	for _, c := range []struct{ up, down, from, to float64 }{
		{1000, 0.3, 20, 29}, {1000, 6, 20, 26}, {18, 1000, 14, 20}, {1000, 1000, 15, 25}, {18, 6, 18, 24},
	} {
		if base := baseline([]placed{{up: c.up, down: c.down, style: Style{}.defaults()}}, 30); base < c.from || base > c.to {
			t.Errorf("up %v, down %v: base line at %v", c.up, c.down, base)
		}
	}
}

func second(_ printer.Bitmap, err error) error { return err }

// TestFonts: what is damaged is passed over, what is installed later is found, and few are held in memory.
func TestFonts(t *testing.T) {
	thai, err := os.ReadFile("/usr/share/fonts/truetype/noto/NotoSansThai-Regular.ttf")
	if err != nil {
		t.Fatalf("this test needs the Debian package fonts-noto-core: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for name, data := range map[string][]byte{"a.ttf": []byte("no font"), "b.ttf": thai[:len(thai)/3], "c.otf": nil, "d.ttf": bytes.Repeat([]byte{0, 1, 0, 0, 0, 9}, 500)} {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Mkdir(filepath.Join(dir, "e.ttf"), 0o700), os.Symlink(dir, filepath.Join(dir, "loop.ttf"))); err != nil {
			t.Fatal(err)
		}
		ts := New(nil, Options{Folders: []string{dir, filepath.Join(dir, "none")}})
		if _, err := ts.Line("ขอบคุณ", Style{}, 576); err == nil {
			t.Fatal("drawn without a font")
		}
		if err := os.WriteFile(filepath.Join(dir, "z.ttf"), thai, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(rescanAfter + time.Second) // fake time
		if b, err := ts.Line("ขอบคุณ", Style{}, 576); err != nil || all(b) < 60 {
			t.Errorf("a font that was installed later is not used: %v", err)
		}
		if err := os.Remove(filepath.Join(dir, "z.ttf")); err != nil {
			t.Fatal(err)
		}
		for _, s := range ts.fonts {
			s.face = nil
		}
		ts.loaded = nil
		if _, err := ts.Line("ขอบคุณ", Style{}, 576); err == nil {
			t.Error("drawn with a font that is gone")
		}
	})
	ts := fonts(t)
	for _, text := range thanks {
		line(t, text, Style{})
	}
	bytes := int64(0)
	for _, s := range ts.loaded {
		bytes += s.size
	}
	if bytes > maxBytes || len(ts.loaded) > maxLoaded || len(ts.loaded) < 5 {
		t.Errorf("%d fonts of %d bytes are loaded", len(ts.loaded), bytes)
	}
	held := 0
	for _, s := range ts.fonts {
		if s.face != nil {
			held++
		}
	}
	if held != len(ts.loaded) {
		t.Errorf("%d fonts are held, %d listed", held, len(ts.loaded))
	}
}

// TestMarkFromAnotherFont: a letter and its mark may come from different fonts; neither is shown as a box.
func TestMarkFromAnotherFont(t *testing.T) {
	ts := fonts(t)
	ts.mu.Lock()
	pieces, lacking := ts.itemize([]rune("W\u0E49 ب\u0302"), LeftToRight)
	ts.mu.Unlock()
	if len(lacking) > 0 || len(pieces) < 3 {
		t.Fatalf("%d pieces, %q lacking", len(pieces), lacking)
	}
	for _, p := range pieces {
		for _, r := range []rune("W\u0E49 ب\u0302")[p.start:p.end] {
			if !p.font.covers([]rune{r}) {
				t.Errorf("%U is drawn with %s, which lacks it", r, p.font.path)
			}
		}
	}
	if b := line(t, "W\u0E49", Style{}); all(b) < 40 {
		t.Errorf("%d dots", all(b))
	}
}

// TestSameEverywhere: many at once get the same dots, and so does another typesetter that met the lines in another order.
func TestSameEverywhere(t *testing.T) {
	texts := []string{"شكرا 12.50", "谢谢 12.50", "ありがとう 合計", "ขอบคุณ", "תודה (3)", "→ ★ ½"}
	other := New(nil, Options{Builtin: [][]byte{gomono.TTF}, System: true})
	slices.Reverse(texts)
	want := map[string][]byte{}
	for _, text := range texts {
		b, err := other.Line(text, Style{}, 384)
		if err != nil {
			t.Fatal(err)
		}
		want[text] = b.Bits
	}
	var wg sync.WaitGroup
	for _, text := range texts {
		for range 3 {
			wg.Go(func() {
				b, err := fonts(t).Line(text, Style{}, 384)
				if err != nil || !bytes.Equal(b.Bits, want[text]) {
					t.Errorf("%q differs: %v", text, err)
				}
			})
		}
	}
	wg.Wait()
}

// FuzzLine: whatever the text, a line has its size, or the error says why not.
func FuzzLine(f *testing.F) {
	for _, text := range thanks {
		f.Add(text, 0, 0, "")
	}
	f.Add("a\u202Eb\u2067ג\u0301\u200D", 8, 3, "right")
	f.Fuzz(func(t *testing.T, text string, width, height int, align string) {
		s := Style{Width: width % 9, Height: height % 9, Align: align, Bold: width%2 == 0, Underline: height%2 == 0, Invert: len(text)%2 == 0}
		dots := 1 + len(text)%700
		b, err := shared().Line(text, s, dots)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		if b.Width != dots || b.Height != s.LineHeight() || len(b.Bits) != (dots+7)/8*b.Height {
			t.Fatalf("%dx%d of %d, %d bytes", b.Width, b.Height, dots, len(b.Bits))
		}
		for y := range b.Height {
			for x := dots; x < b.Stride*8; x++ {
				if black(b, x, y) {
					t.Fatal("ink beyond the line")
				}
			}
		}
	})
}

// BenchmarkLine draws lines of 80 mm paper.
func BenchmarkLine(b *testing.B) {
	for _, name := range []string{"Arabic", "Chinese", "Thai", "Hindi"} {
		b.Run(name, func(b *testing.B) {
			ts := fonts(b)
			text := thanks[name] + " 12.50"
			for b.Loop() {
				if _, err := ts.Line(text, Style{}, 576); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
