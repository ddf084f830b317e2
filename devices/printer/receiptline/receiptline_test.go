package receiptline_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"image"
	"image/png"
	"reflect"
	"strings"
	"testing"

	"storeagent/devices/printer"
	"storeagent/devices/printer/receiptline"
)

func onePixel(t testing.TB) string {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 16, 4))); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// TestLooks holds what the paper shows, as text, on 24 columns.
func TestLooks(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"columns", "Broccoli | 1.99\nCarrot | 2.99\n---\n^TOTAL | ^4.98", "" +
			"Broccoli            1.99\nCarrot              2.99\n------------------------\nTOTAL               4.98\n"},
		{"drawn to the pipe", "middle\n|left\nleft |\nright|\n| right\n|middle|\n| middle |\n|left |\n| right|", "" +
			"         middle\nleft\nleft\n                   right\n                   right\n         middle\n         middle\nleft\n                   right\n"},
		{"three columns", "|a|b|c|\na |b | c\n|a | b|c|", "   a       b       c\na       b              c\na             b    c\n"},
		{"one pipe touched on both sides", "left|right", "       left right\n"},
		{"pipes alone", "|\n||\n", "\n\n"},
		{"escapes", `|\\ \| \{ \} \- \= \~ \_ \" \^ \x41\xe4`, "\\ | { } - = ~ _ \" ^ Aä\n"},
		{"escaped rule and unknown escapes", `\---` + "\n" + `|a\qb\` + "\n|\\`", "          ---\nab\n`\n"},
		{"spaces and line breaks", `|a~~b\nc`, "a  b\nc\n"},
		{"control characters", "|a\x01\tb\\x07c", "abc\n"},
		{"marks that combine", "|e\u0301\u0323", "ẹ́\n"},
		{"wraps rows of two styles", "{align:left;width:4}\n|abc\"defgh\"i", "abcd\nefgh\ni\n"},
		{"wraps anywhere", "{width:6 6}\n|abcdefghij kl|\n", "     abcdef\n     ghij k\n       l\n"},
		{"wraps between words", "{width:9;align:left;text:word}\n|one two  three abcdefghijkl\n", "one two\nthree\nabcdefghi\njkl\n"},
		{"does not wrap", "{width:6;text:nowrap;align:left}\n|abcdefgh\n{text:wrap}\n|abcdefgh", "abcdef\nabcdef\ngh\n"},
		{"widths", "{width:*,3,6}\nBEER | 2| 13.00\nA|", "BEER            2  13.00\n            A\n"},
		{"hidden column", "{width:*,,6}\nBEER | 2| 13.00", "BEER               13.00\n"},
		{"border none and 2", "{width:4,4;border:none;align:left}\n|abcd|efgh|\n{border:2}\n|abcd|efgh|", "abcdefgh\nabcd  efgh\n"},
		{"aligned area", "{width:6;align:right}\n|ab\n---", "                  ab\n                  ------\n"},
		{"too many columns", strings.Repeat("|a", 30) + "|", strings.TrimSuffix(strings.Repeat("a ", 12), " ") + "\n"},
		{"table", "{width:*,6;border:line}\n|a | 1|\n---\n|b | 2|\n{width:4,4}\n---\n|c|d|\n{border:space}\nend", "" +
			"┌───────────────┬──────┐\n│a              │     1│\n├───────────────┼──────┤\n│b              │     2│\n" +
			"└─────┬────┬────┼──────┘\n      │ c  │ d  │\n      └────┴────┘\n       end\n"},
		{"table cut", "{width:2;border:line;align:left}\n|a\n===\n|b\n", "┌──┐\n│a │\n└──┘\n- - - - - - - - - - - -\n┌──┐\n│b │\n└──┘\n"},
		{"mixed styles", "|a\"b\"_c_ d", "abc d\n"},
		{"centred mixed styles", "a^b", "          ab\n"},
		{"codes", "{code:12345670;option:ean,hri}\n{option:code128,4,100}\n|{code:AB-1}\n{option:qrcode,4,q}\n{code:https\\x3a//x.example/\\;a}|", "" +
			"    [EAN8 12345670]\n[CODE128 AB-1]\n[QR https://x.example/;a]\n"},
		{"upc, itf, code39", "{c:012345678905;o:upc}\n{c:1234;o:itf}\n{c:AB;o:code39}", "  [UPCA 012345678905]\n       [ITF 1234]\n      [CODE39 AB]\n"},
		{"image", "|{image:" + onePixel(t) + "}", "[IMAGE 16x4]\n"},
		{"comment", "{comment:nothing; a:left}\n{}\n|a", "a\n"},
		{"byte order mark, line ends", "\ufeff|a\r\n|b\r|c\n", "a\nb\nc\n"},
		{"wide characters", "界|界界\n", "         界 界界\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := receiptline.Parse(c.text, 24)
			if err != nil {
				t.Fatal(err)
			}
			want := c.want + "- - - - - - - - - - - -\n"
			if got := printer.PreviewText(r.Document, 24); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestDocument holds the operations behind the looks: styles, sizes, options.
func TestDocument(t *testing.T) {
	no, yes := false, true
	for text, want := range map[string]printer.Document{
		"^^^\"Shop":  {{Op: "text", Text: "Shop", Align: "center", Bold: true, Width: 2, Height: 2}},
		"^^^^^^^^^a": {{Op: "text", Text: "a", Align: "center", Width: 6, Height: 6}},
		"`~x~`":      {{Op: "text", Text: " x ", Align: "center", Invert: true}},
		"|_x":        {{Op: "text", Text: "x", Align: "left", Underline: true}},
		"^TOTAL | ^^5": {{Op: "columns", Cells: []printer.Cell{{Text: "TOTAL", Width: 11, Align: "left", CharWidth: 2}, {Width: 1},
			{Text: "5", Width: 12, Align: "right", CharHeight: 2}}}},
		"a^b^ |":                   {{Op: "columns", Cells: []printer.Cell{{Text: "a", Width: 1, Align: "left"}, {Text: "b", Width: 2, Align: "left", CharWidth: 2}, {Width: 21}}}},
		"{code:1;option:30}":       {{Op: "barcode", Symbology: "code128", Data: "1", Height: 30, ShowText: &no, Align: "center"}},
		"{option:hri,3}\n{code:1}": {{Op: "barcode", Symbology: "code128", Data: "1", Height: 72, ShowText: &yes, Align: "center"}},
		"{code:1;option:qrcode}":   {{Op: "qrcode", Data: "1", Size: 3, Level: "L", Align: "center"}},
		"{width:8;align:right}\n|{code:1;option:qrcode,h,8}": {{Op: "qrcode", Data: "1", Size: 8, Level: "H", Align: "right"}},
		"-":      {{Op: "rule"}},
		"|a\n==": {{Op: "text", Text: "a", Align: "left"}},
	} {
		r, err := receiptline.Parse(text, 24)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		if want = append(want, printer.Op{Op: "cut"}); !reflect.DeepEqual(r.Document, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", text, r.Document, want)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		text, words string
		line        int
	}{
		{"a\n{codee:1}", "none of", 2},
		{"{code:}", "no value", 1},
		{"{code}", "no value", 1},
		{"{a:left;align:left}", "twice", 1},
		{"{align:middle}", "left, center or right", 1},
		{"{border:3}", "border", 1},
		{"{text:maybe}", "wrap", 1},
		{"{width:a}", "width", 1},
		{"{option:aztec}", "option", 1},
		{"{option:codabar}", "codabar", 1},
		{"{code:1234567;option:upc}", "UPC-E", 1},
		{"a\n\n{command:\\x1bp}", "device command", 3},
		{"{code:12345;option:ean}", "the code ean8", 1},
		{"a\nb\n{code:" + strings.Repeat("A", 80) + "}", "the code is too long", 3},
		{"{image:!}", "base64", 1},
		{"{image:AAAA}", "the image is not a PNG", 1},
		{"a {b} c", "among text", 1},
		{"a | {align:left}", "alone on its line", 1},
		{"{align:left", "does not end", 1},
		{"align:left}", "belongs to no property", 1},
		{`a\x4`, "hexadecimal", 1},
		{`{code:\xzz}`, "hexadecimal", 1},
		{"a\xff", "UTF-8", 1},
		{"{width:1}\n^a", "wider than its column", 2},
		{strings.Repeat("a\n", printer.MaxOps+100), "more than fit", printer.MaxOps + 1},
		{strings.Repeat("a\"b\"", 100000), "more than fit", 1},
	} {
		r, err := receiptline.Parse(c.text, 24)
		var bad *receiptline.Error
		if !errors.As(err, &bad) || bad.Line != c.line || !strings.Contains(bad.Message, c.words) {
			t.Errorf("%.40q: got %v (%d operations), want line %d: %s", c.text, err, len(r.Document), c.line, c.words)
		}
	}
	if _, err := receiptline.Parse("a", 7); err == nil {
		t.Error("paper of 7 columns was taken")
	}
}

func TestExplain(t *testing.T) {
	r, err := receiptline.Parse("{comment:x}\nab\n|a | b|\n", 24)
	if err != nil {
		t.Fatal(err)
	}
	var bad *receiptline.Error
	if err := r.Explain(&printer.DocumentError{Field: "document[1].cells[0].text", Message: "has no such letter"}); !errors.As(err, &bad) || bad.Line != 3 {
		t.Errorf("got %v", err)
	}
	other := errors.New("other")
	if !errors.Is(r.Explain(other), other) {
		t.Error("another error was changed")
	}
	if r.Line(0) != 2 || r.Line(1) != 3 {
		t.Errorf("lines %d %d", r.Line(0), r.Line(1))
	}
}

// FuzzParse holds that whatever is accepted can be printed on any paper, and that what is refused names its line.
func FuzzParse(f *testing.F) {
	for _, text := range []string{
		"^^^\"a\"|`b_\\x41~\\|\n{width:*,3;border:line}\n|a|b|\n---\n{width:3,*}\n|界|\\nc\n===\nd\n{border:0}",
		"{code:4006381333931;option:ean,hri,3,50}\n{option:qrcode,4,l}\n{c:x}\n{text:word}\n|one two three four",
		"{text:nowrap;width:0,5;align:right}\na | b | c\n----\n{image:" + "iVBORw0KGgo" + "}",
	} {
		f.Add(text, 24)
	}
	f.Fuzz(func(t *testing.T, text string, columns int) {
		if columns > 100 || len(text) > 5000 {
			return
		}
		r, err := receiptline.Parse(text, columns)
		if err != nil {
			var bad *receiptline.Error
			var doc *printer.DocumentError
			switch {
			case errors.As(err, &bad) && bad.Line >= 1 && bad.Message != "":
			case errors.As(err, &doc):
			default:
				t.Fatalf("refused without a line: %v", err)
			}
			return
		}
		if err := printer.Check(r.Document, columns); err != nil {
			t.Fatal(err)
		}
		for i, op := range r.Document {
			if n := r.Line(i); n < 1 {
				t.Fatalf("operation %d is from line %d", i, n)
			}
			if op.Op != "text" && op.Op != "columns" {
				continue
			}
			for l := range strings.SplitSeq(strings.TrimSuffix(printer.PreviewText(printer.Document{op}, columns), "\n"), "\n") {
				if printer.Width(l) > columns {
					t.Fatalf("line of %d on %d columns: %q", printer.Width(l), columns, l)
				}
			}
			lines := strings.Count(op.Text, "\n") + 1
			if op.Op == "text" && len(printer.Wrap(op.Text, printer.TextColumns(op, columns))) != lines {
				t.Fatalf("%q wraps once more", op.Text)
			}
			for _, c := range op.Cells {
				lines = max(lines, strings.Count(c.Text, "\n")+1)
			}
			if op.Op == "columns" && len(printer.ColumnLines(op.Cells, columns)) != lines {
				t.Fatalf("%+v wraps once more", op.Cells)
			}
		}
	})
}
