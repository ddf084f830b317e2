package printer

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"reflect"
	"strings"
	"testing"
)

func pngOf(t testing.TB, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParseDocument(t *testing.T) {
	no := false
	got, err := ParseDocument(json.RawMessage(`[
		{"op":"text","text":"Hi","align":"center","bold":true,"width":2,"height":2,"font":"b","underline":true},
		{"op":"columns","cells":[{"text":"a","width":4,"bold":true},{"text":"b","align":"right"}]},
		{"op":"barcode","symbology":"ean8","data":"1234567","text":false},
		{"op":"image","png":"AQI=","width":8,"dither":true},
		{"op":"image","stored":"LG"},
		{"op":"drawer","pin":5}]`))
	want := Document{
		{Op: "text", Text: "Hi", Align: "center", Bold: true, Width: 2, Height: 2, Font: "b", Underline: true},
		{Op: "columns", Cells: []Cell{{Text: "a", Width: 4, Bold: true}, {Text: "b", Align: "right"}}},
		{Op: "barcode", Symbology: "ean8", Data: "1234567", ShowText: &no},
		{Op: "image", PNG: []byte{1, 2}, Width: 8, Dither: true},
		{Op: "image", Stored: "LG"},
		{Op: "drawer", Pin: 5},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v", got, err)
	}
	stored, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := ParseDocument(stored); err != nil || !reflect.DeepEqual(again, want) {
		t.Fatalf("what was stored reads as %+v, %v", again, err)
	}
}

func TestParseDocumentRefuses(t *testing.T) {
	for raw, field := range map[string]string{
		`{}`:                               "document",
		`null`:                             "document",
		`[1]`:                              "document[0]",
		`[{}]`:                             "document[0].op",
		`[{"op":1}]`:                       "document[0].op",
		`[{"op":"beep"}]`:                  "document[0].op",
		`[{"op":"rule"},{"Op":"rule"}]`:    "document[1].op",
		`[{"op":"text","Text":"a"}]`:       "document[0].Text",
		`[{"op":"text","text":1}]`:         "document[0].text",
		`[{"op":"text","text":"a","x":1}]`: "document[0].x",
		`[{"op":"feed","lines":"3"}]`:      "document[0].lines",
		`[{"op":"cut","lines":3}]`:         "document[0].lines",
		`[{"op":"text","op":"text"}]`:      "document[0].op",
		`[{"op":"columns","cells":[{"text":"a"},{"text":"b","wide":2}]}]`: "document[0].cells[1].wide",
		`[{"op":"columns","cells":{}}]`:                                   "document[0].cells",
		`[{"op":"image","png":"***"}]`:                                    "document[0].png",
	} {
		_, err := ParseDocument(json.RawMessage(raw))
		var de *DocumentError
		if !errors.As(err, &de) || de.Field != field || de.Message == "" {
			t.Errorf("%s: %v, want field %s", raw, err, field)
		}
	}
}

func TestCheck(t *testing.T) {
	ok := Op{Op: "text", Text: "ok"}
	for name, c := range map[string]struct {
		doc   Document
		field string // "" is accepted
	}{
		"empty":             {Document{}, "document"},
		"nothing":           {nil, "document"},
		"too many":          {make(Document, MaxOps+1), "document"},
		"empty line":        {Document{{Op: "text"}}, ""},
		"unknown":           {Document{ok, {Op: "beep"}}, "document[1].op"},
		"escape":            {Document{ok, {Op: "text", Text: "a\x1b@"}}, "document[1].text"},
		"tab":               {Document{{Op: "text", Text: "a\tb"}}, "document[0].text"},
		"c1":                {Document{{Op: "text", Text: "a\u0085"}}, "document[0].text"},
		"broken utf-8":      {Document{{Op: "text", Text: "a\xff"}}, "document[0].text"},
		"line feed":         {Document{{Op: "text", Text: "a\nb"}}, ""},
		"align":             {Document{{Op: "text", Align: "middle"}}, "document[0].align"},
		"font":              {Document{{Op: "text", Font: "c"}}, "document[0].font"},
		"wide 9":            {Document{{Op: "text", Width: 9}}, "document[0].width"},
		"high -1":           {Document{{Op: "text", Height: -1}}, "document[0].height"},
		"long text":         {Document{{Op: "text", Text: strings.Repeat("a", MaxText+1)}}, "document[0]"},
		"no cells":          {Document{{Op: "columns"}}, "document[0].cells"},
		"cells fit":         {Document{{Op: "columns", Cells: []Cell{{Width: 20}, {Width: 22}}}}, ""},
		"cells too wide":    {Document{{Op: "columns", Cells: []Cell{{Width: 20}, {Width: 23}}}}, "document[0].cells[1].width"},
		"no room left":      {Document{{Op: "columns", Cells: []Cell{{Width: 42}, {}}}}, "document[0].cells[1].width"},
		"wide in one":       {Document{{Op: "columns", Cells: []Cell{{Text: "界", Width: 1}}}}, "document[0].cells[0].text"},
		"cell width":        {Document{{Op: "columns", Cells: []Cell{{Width: -1}}}}, "document[0].cells[0].width"},
		"cell align":        {Document{{Op: "columns", Cells: []Cell{{Align: "up"}}}}, "document[0].cells[0].align"},
		"cell control":      {Document{{Op: "columns", Cells: []Cell{{}, {Text: "\x00"}}}}, "document[0].cells[1].text"},
		"rule":              {Document{{Op: "rule"}}, ""},
		"rule of two":       {Document{{Op: "rule", Char: "=-"}}, "document[0].char"},
		"rule of a feed":    {Document{{Op: "rule", Char: "\n"}}, "document[0].char"},
		"rule of an accent": {Document{{Op: "rule", Char: "\u0301"}}, "document[0].char"},
		"symbology":         {Document{{Op: "barcode", Symbology: "EAN13", Data: "400638133393"}}, "document[0].symbology"},
		"check digit":       {Document{{Op: "barcode", Symbology: "ean13", Data: "4006381333932"}}, "document[0].data"},
		"short ean":         {Document{{Op: "barcode", Symbology: "ean13", Data: "400638133"}}, "document[0].data"},
		"upca":              {Document{{Op: "barcode", Symbology: "upca", Data: "036000291452"}}, ""},
		"ean8":              {Document{{Op: "barcode", Symbology: "ean8", Data: "96385074"}}, ""},
		"itf odd":           {Document{{Op: "barcode", Symbology: "itf", Data: "123"}}, "document[0].data"},
		"code39 small":      {Document{{Op: "barcode", Symbology: "code39", Data: "abc"}}, "document[0].data"},
		"code128 umlaut":    {Document{{Op: "barcode", Symbology: "code128", Data: "ä"}}, "document[0].data"},
		"code128 wide":      {Document{{Op: "barcode", Symbology: "code128", Data: strings.Repeat("A", 40)}}, "document[0].data"},
		"bar height":        {Document{{Op: "barcode", Symbology: "itf", Data: "12", Height: 256}}, "document[0].height"},
		"qr empty":          {Document{{Op: "qrcode"}}, "document[0].data"},
		"qr lines":          {Document{{Op: "qrcode", Data: "BCD\r\n002\n1"}}, ""},
		"qr control":        {Document{{Op: "qrcode", Data: "a\x10"}}, "document[0].data"},
		"qr long":           {Document{{Op: "qrcode", Data: strings.Repeat("a", 1274), Level: "H"}}, "document[0].data"},
		"qr wide":           {Document{{Op: "qrcode", Data: "https://example.com/r/1", Size: 16}}, ""},
		"qr too wide":       {Document{{Op: "qrcode", Data: strings.Repeat("a", 300), Size: 12}}, "document[0].data"},
		"qr large":          {Document{{Op: "qrcode", Data: strings.Repeat("a", 300)}}, ""},
		"qr level":          {Document{{Op: "qrcode", Data: "a", Level: "X"}}, "document[0].level"},
		"qr size":           {Document{{Op: "qrcode", Data: "a", Size: 17}}, "document[0].size"},
		"image":             {Document{{Op: "image", PNG: pngOf(t, 10, 10)}}, ""},
		"stored":            {Document{{Op: "image", Stored: "LG", Align: "right"}}, ""},
		"stored space":      {Document{{Op: "image", Stored: " ~"}}, ""},
		"stored short":      {Document{{Op: "image", Stored: "L"}}, "document[0].stored"},
		"stored long":       {Document{{Op: "image", Stored: "LOG"}}, "document[0].stored"},
		"stored wide":       {Document{{Op: "image", Stored: "é"}}, "document[0].stored"},
		"stored control":    {Document{{Op: "image", Stored: "L\x7f"}}, "document[0].stored"},
		"stored and png":    {Document{{Op: "image", Stored: "LG", PNG: pngOf(t, 10, 10)}}, "document[0].stored"},
		"stored dither":     {Document{{Op: "image", Stored: "LG", Dither: true}}, "document[0].dither"},
		"stored width":      {Document{{Op: "image", Stored: "LG", Width: 8}}, "document[0].width"},
		"image of nothing":  {Document{{Op: "image"}}, "document[0].png"},
		"image broken":      {Document{{Op: "image", PNG: []byte("GIF89a")}}, "document[0].png"},
		"image cut":         {Document{{Op: "image", PNG: pngOf(t, 100, 100)[:60]}}, "document[0].png"},
		"image wide":        {Document{{Op: "image", PNG: pngOf(t, 10, 10), Width: 505}}, "document[0].width"},
		"image long":        {Document{{Op: "image", PNG: pngOf(t, 1, 5000)}}, "document[0].png"},
		"feed 0":            {Document{{Op: "feed"}}, "document[0].lines"},
		"feed 1000":         {Document{{Op: "feed", Lines: 1000}}, "document[0].lines"},
		"cut":               {Document{{Op: "cut", Mode: "half"}}, "document[0].mode"},
		"pin":               {Document{{Op: "drawer", Pin: 3}}, "document[0].pin"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(c.doc, 42)
			if c.field == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var de *DocumentError
			if !errors.As(err, &de) || de.Field != c.field || de.Message == "" {
				t.Fatalf("%v, want field %s", err, c.field)
			}
		})
	}
}

func TestWrap(t *testing.T) {
	for _, c := range []struct {
		in      string
		columns int
		want    []string
	}{
		{"", 5, []string{""}},
		{"abc", 5, []string{"abc"}},
		{"  a  b", 6, []string{"  a  b"}},
		{"one two three", 7, []string{"one two", "three"}},
		{"one two three", 8, []string{"one two", "three"}},
		{"abcdefgh ij", 3, []string{"abc", "def", "gh", "ij"}},
		{"a\n\nb", 3, []string{"a", "", "b"}},
		{"界界界", 4, []string{"界界", "界"}},
		{"界界界", 5, []string{"界界", "界"}},
		{"e\u0301e\u0301e\u0301", 2, []string{"éé", "é"}},
		{"x\u0323\u0301y", 1, []string{"x\u0323\u0301", "y"}},
		{"界", 1, []string{"界"}},
		{"abc   ", 3, []string{"abc"}},
		{"     abc", 4, []string{"    ", " abc"}},
	} {
		if got := Wrap(c.in, c.columns); !reflect.DeepEqual(got, c.want) {
			t.Errorf("Wrap(%q, %d) = %q, want %q", c.in, c.columns, got, c.want)
		}
	}
}

func TestPreviewText(t *testing.T) {
	doc := Document{
		{Op: "text", Text: "Shop", Align: "center", Bold: true},
		{Op: "text", Text: "right", Align: "right"},
		{Op: "text", Text: "big", Align: "center", Width: 2},
		{Op: "rule"}, {Op: "rule", Char: "界"},
		{Op: "columns", Cells: []Cell{{Text: "Coffee beans, dark"}, {Text: "7.00", Width: 6, Align: "right"}}},
		{Op: "columns", Cells: []Cell{{Text: "界界"}, {Text: "|"}, {Text: "mid", Align: "center"}}},
		{Op: "barcode", Symbology: "ean8", Data: "9638507", Align: "center"},
		{Op: "qrcode", Data: "hi"}, {Op: "image", PNG: pngOf(t, 9, 4)}, {Op: "feed", Lines: 1}, {Op: "drawer"}, {Op: "cut"},
	}
	want := `        Shop
               right
       big
--------------------
界界界界界界界界界界
Coffee beans,   7.00
dark
界界   |       mid
  [EAN8 96385074]
[QR hi]
[IMAGE 9x4]

- - - - - - - - - -
`
	if err := Check(doc, 20); err != nil {
		t.Fatal(err)
	}
	if got := PreviewText(doc, 20); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestStyledCells holds that each cell has its own style, that padding has none, and that wide characters keep the
// columns beside them in place.
func TestStyledCells(t *testing.T) {
	cells := []Cell{
		{Text: "TOTAL", CharWidth: 2, CharHeight: 2, Bold: true},
		{Text: "5.97", Width: 10, Align: "right", CharWidth: 2, Underline: true},
		{Text: "!", Width: 3, Align: "center", Invert: true},
	}
	if err := Check(Document{{Op: "columns", Cells: cells}}, 30); err != nil {
		t.Fatal(err)
	}
	want := []Line{{
		{Text: "TOTAL", Bold: true, Width: 2, Height: 2}, {Text: strings.Repeat(" ", 7)},
		{Text: "  ", Cell: 1}, {Text: "5.97", Underline: true, Width: 2, Cell: 1, lead: 4},
		{Text: " ", Cell: 2}, {Text: "!", Invert: true, Cell: 2}, {Cell: 2},
	}}
	got := ColumnLines(cells, 30)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := got[0].String(), "TOTAL                  5.97 !"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := Check(Document{{Op: "columns", Cells: []Cell{{Text: "界", Width: 3, CharWidth: 2}}}}, 30); err == nil {
		t.Error("a character wider than its cell was taken")
	}
	if err := Check(Document{{Op: "columns", Cells: []Cell{{Text: "a", CharHeight: 9}}}}, 30); err == nil {
		t.Error("a height of 9 was taken")
	}
}

// FuzzDocument holds that whatever passes Check can be laid out on its columns.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(`[{"op":"text","text":"a b 界","width":3,"align":"right"},{"op":"columns","cells":[{"text":"a"},{"text":"b","width":3,"charWidth":2,"invert":true}]}]`), 20)
	f.Add([]byte(`[{"op":"barcode","symbology":"code128","data":"AB123456"},{"op":"rule","char":"界"},{"op":"cut"}]`), 3)
	f.Fuzz(func(t *testing.T, raw []byte, columns int) {
		doc, err := ParseDocument(raw)
		if err != nil || columns < 1 || columns > 200 || Check(doc, columns) != nil {
			return
		}
		for _, op := range doc {
			switch op.Op {
			case "text":
				for _, l := range Wrap(op.Text, TextColumns(op, columns)) {
					if Width(l) > TextColumns(op, columns) {
						t.Fatalf("%q is wider than %d", l, TextColumns(op, columns))
					}
				}
			case "columns":
				lines := ColumnLines(op.Cells, columns)
				if len(lines) == 0 {
					t.Fatal("cells that passed the check have no lines")
				}
				for _, l := range lines {
					if Width(l.String()) > columns {
						t.Fatalf("%q is wider than %d", l.String(), columns)
					}
				}
			}
		}
		PreviewText(doc, columns)
	})
}

func TestCode128Runs(t *testing.T) {
	for data, want := range map[string][]Run{
		"ABC":       {{'B', "ABC"}},
		"1234":      {{'C', "1234"}},
		"12345":     {{'B', "1"}, {'C', "2345"}},
		"123":       {{'B', "123"}},
		"A1234":     {{'B', "A1234"}},
		"A123456":   {{'B', "A"}, {'C', "123456"}},
		"A1234567B": {{'B', "A1"}, {'C', "234567"}, {'B', "B"}},
	} {
		if got := code128Runs(data); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q", data, got)
		}
	}
}

func TestRaster(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 4, 2)) // transparent, which is white paper
	img.Pix[3] = 255                              // the first pixel is black
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	got, err := Raster(Op{PNG: b.Bytes(), Width: 12}, 504)
	if err != nil {
		t.Fatal(err)
	}
	want := Bitmap{Width: 12, Height: 6, Stride: 2, Bits: []byte{0xE0, 0, 0xE0, 0, 0xE0, 0, 0, 0, 0, 0, 0, 0}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	gray := image.NewGray(image.Rect(0, 0, 64, 64))
	for i := range gray.Pix {
		gray.Pix[i] = 64 // three quarters black
	}
	b.Reset()
	if err := png.Encode(&b, gray); err != nil {
		t.Fatal(err)
	}
	dithered, err := Raster(Op{PNG: b.Bytes(), Dither: true}, 504)
	if err != nil {
		t.Fatal(err)
	}
	black := 0
	for _, v := range dithered.Bits {
		for ; v != 0; v &= v - 1 {
			black++
		}
	}
	if black < 64*64*7/10 || black > 64*64*8/10 {
		t.Errorf("%d of %d dots are black, want about three quarters", black, 64*64)
	}
}
