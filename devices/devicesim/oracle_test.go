//go:build oracle

package devicesim_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"storeagent/devices/devicesim"
	"storeagent/devices/oracletest"
	"storeagent/devices/printer"
)

// paper is what a simulated printer shows.
type paper interface {
	Serve(ctx context.Context, rw io.ReadWriter) error
	Paper() string
	Receipts() []string
	Images() []*image.Gray
	Pulses(pin int) int
	Garbage() []string
}

// decode has a fresh printer print bytes, and refuses any that it does not understand.
func decode(t *testing.T, p paper, data []byte) {
	t.Helper()
	ours, theirs := net.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- p.Serve(t.Context(), theirs) }()
	go func() { // what it answers is of no interest
		for buf := make([]byte, 256); ; {
			if _, err := ours.Read(buf); err != nil {
				return
			}
		}
	}()
	if _, err := ours.Write(data); err != nil {
		t.Fatal(err)
	}
	_ = ours.Close()
	<-ended
	if g := p.Garbage(); len(g) > 0 {
		t.Errorf("not understood: %q", g)
	}
}

// qrData reads the QR code of an image with zbarimg.
func qrData(t *testing.T, p paper, number int) string {
	t.Helper()
	if len(p.Images()) <= number {
		t.Fatalf("%d images", len(p.Images()))
	}
	var file bytes.Buffer
	if err := png.Encode(&file, p.Images()[number]); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "qr.png")
	if err := os.WriteFile(name, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", name).Output()
	if err != nil {
		t.Fatalf("zbarimg: %v", err)
	}
	return strings.TrimSuffix(string(out), "\n")
}

// trimmed drops the empty lines that encoders put around cuts and codes.
func trimmed(paper string) string {
	var out []string
	for line := range strings.Lines(paper) {
		if strings.TrimSpace(line) != "" {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

type call []any

// TestOracleEncoder decodes what @point-of-sale/receipt-printer-encoder makes of a document, and expects what our preview
// shows of the same document.
func TestOracleEncoder(t *testing.T) {
	pixels := make([]byte, 16*8*4)
	for i := range 16 * 8 {
		pixels[4*i+3] = 0xFF // opaque
		if i%16 == i/16 || i%16 == 15 {
			continue
		}
		copy(pixels[4*i:], []byte{0xFF, 0xFF, 0xFF})
	}
	picture := map[string]any{"data": pixels, "width": 16, "height": 8}
	columns := []any{map[string]any{"width": 30, "align": "left"}, map[string]any{"width": 12, "align": "right"}}
	no := false
	doc := printer.Document{
		{Op: "text", Text: "Café Zürich", Align: "center", Bold: true, Width: 2, Height: 2},
		{Op: "text", Text: "Zażółć gęślą jaźń"},
		{Op: "text", Text: "Ελληνικά, Кириллица"},
		{Op: "text", Text: "underlined", Underline: true, Align: "right"},
		{Op: "text", Text: "inverted", Invert: true},
		{Op: "text", Text: "small print", Font: "b"},
		{Op: "columns", Cells: []printer.Cell{{Text: "Green tea", Width: 30}, {Text: "12.50", Width: 12, Align: "right"}}},
		{Op: "barcode", Symbology: "ean13", Data: "4006381333931", Align: "center"},
		{Op: "barcode", Symbology: "code128", Data: "L3-000481", ShowText: &no},
		{Op: "barcode", Symbology: "code39", Data: "STORE42"},
		{Op: "barcode", Symbology: "itf", Data: "123456789012"},
		{Op: "barcode", Symbology: "upca", Data: "012345000065"},
		{Op: "barcode", Symbology: "ean8", Data: "96385074"},
		{Op: "qrcode", Data: "https://example.com/r/1", Size: 6, Align: "center"},
		{Op: "cut"}, {Op: "drawer"},
	}
	if err := printer.Check(doc, 42); err != nil {
		t.Fatal(err)
	}
	for _, language := range []string{"esc-pos", "star-prnt", "star-line"} {
		calls := []call{
			{"initialize"}, {"codepage", "auto"},
			{"align", "center"}, {"bold", true}, {"size", 2, 2}, {"line", "Café Zürich"}, {"size", 1, 1}, {"bold", false}, {"align", "left"},
			{"line", "Zażółć gęślą jaźń"}, {"line", "Ελληνικά, Кириллица"},
			{"align", "right"}, {"underline", true}, {"line", "underlined"}, {"underline", false}, {"align", "left"},
			{"invert", true}, {"line", "inverted"}, {"invert", false},
			{"font", "B"}, {"line", "small print"}, {"font", "A"},
			{"table", columns, [][]string{{"Green tea", "12.50"}}},
			{"align", "center"}, {"barcode", "4006381333931", "ean13", map[string]any{"height": 64}}, {"align", "left"},
			{"barcode", "L3-000481", "code128", map[string]any{"height": 64, "width": 2}},
			{"barcode", "STORE42", "code39", map[string]any{"height": 64, "width": 2}},
			{"barcode", "123456789012", "itf", map[string]any{"height": 64, "width": 2}},
			{"barcode", "012345000065", "upca", map[string]any{"height": 64}},
			{"barcode", "96385074", "ean8", map[string]any{"height": 64}},
			{"align", "center"}, {"qrcode", "https://example.com/r/1", map[string]any{"size": 6}}, {"align", "left"},
			{"image", picture, 16, 8, "threshold", 128}, {"cut", "partial"}, {"pulse"},
		}
		doc := slices.Clone(doc)
		if language != "esc-pos" { // it asks Stars for ITF with bars of 4 and 10 dots and for images by column, which the simulator does not know
			calls = slices.DeleteFunc(calls, func(c call) bool { return c[0] == "image" || c[0] == "barcode" && c[2] == "itf" })
			doc = slices.DeleteFunc(doc, func(op printer.Op) bool { return op.Symbology == "itf" })
		}
		var got []struct{ Bytes []byte }
		oracletest.Ask(t, []any{map[string]any{"op": "encode", "calls": calls, "options": map[string]any{
			"language": language, "columns": 42, "imageMode": "raster",
			"codepageCandidates": []string{"cp437", "cp852", "cp737", "cp866"}, // none of a Star's own
		}}}, &got)
		epson := devicesim.NewPrinter(devicesim.PrinterOptions{})
		var p paper = epson
		if language != "esc-pos" {
			p = devicesim.NewStar(devicesim.StarOptions{Columns: 42, LineMode: language == "star-line"})
		}
		decode(t, p, got[0].Bytes)
		want := printer.PreviewText(doc, 42)
		if language == "esc-pos" {
			want = strings.Replace(want, "- -", "[IMAGE 16x8]\n- -", 1)
			if len(p.Images()) != 1 {
				t.Fatalf("%d images", len(p.Images()))
			}
			for i, y := range p.Images()[0].Pix {
				if black := i%16 == i/16 || i%16 == 15; (y == 0) != black {
					t.Fatalf("dot %d,%d of the image is %d", i%16, i/16, y)
				}
			}
		}
		if got := trimmed(p.Paper()); got != want {
			t.Errorf("%s: paper\n%s\npreview\n%s", language, got, want)
		}
		if len(p.Receipts()) != 1 || p.Pulses(2) != 1 || p.Pulses(5) != 0 {
			t.Errorf("%d cuts, %d and %d pulses", len(p.Receipts()), p.Pulses(2), p.Pulses(5))
		}
		if language != "esc-pos" {
			continue // its simulator tells no styles
		}
		normal := devicesim.Style{Width: 1, Height: 1}
		styled := func(change func(*devicesim.Style)) devicesim.Style { s := normal; change(&s); return s }
		for text, style := range map[string]devicesim.Style{
			"Café Zürich": {Bold: true, Width: 2, Height: 2}, "Zażółć gęślą jaźń": normal,
			"underlined":  styled(func(s *devicesim.Style) { s.Underline = true }),
			"inverted":    styled(func(s *devicesim.Style) { s.Invert = true }),
			"small print": styled(func(s *devicesim.Style) { s.FontB = true }),
		} {
			if !slices.ContainsFunc(epson.Lines(), func(l []devicesim.Span) bool { return slices.Contains(l, devicesim.Span{Text: text, Style: style}) }) {
				t.Errorf("no %q in style %+v among %+v", text, style, epson.Lines())
			}
		}
	}
}

// slip is a receipt in ReceiptLine, and what is on the paper.
const slip = `^^^Corner Shop

1 High Street | Café 12
---
Tea | 2 | 9.00
"Total" | _9.00_
{code:4006381333931;option:ean,2,72,hri}
{code:https://example.com;option:qrcode,4,m}
` + "`paid`" + `
`

const slipPaper = `          Corner Shop
1 High Street                      Café 12
──────────────────────────────────────────
Tea                 2                 9.00
Total                                 9.00
          [EAN13 4006381333931]
             [IMAGE 100x100]
                   paid
- - - - - - - - - - - - - - - - - - - - -
`

func checkSlip(t *testing.T, p *devicesim.Printer) {
	t.Helper()
	if got := trimmed(p.Paper()); got != slipPaper {
		t.Errorf("got\n%s\nwant\n%s", got, slipPaper)
	}
	if got := qrData(t, p, 0); got != "https://example.com" {
		t.Errorf("QR %q", got)
	}
	for _, want := range []devicesim.Span{
		{Text: "Corner Shop", Style: devicesim.Style{Width: 2, Height: 2}}, {Text: "Total", Style: devicesim.Style{Bold: true, Width: 1, Height: 1}},
		{Text: "9.00", Style: devicesim.Style{Underline: true, Width: 1, Height: 1}}, {Text: "paid", Style: devicesim.Style{Invert: true, Width: 1, Height: 1}},
	} {
		if !slices.ContainsFunc(p.Lines(), func(l []devicesim.Span) bool { return slices.Contains(l, want) }) {
			t.Errorf("no %+v among %+v", want, p.Lines())
		}
	}
}

// TestOracleReceiptLine decodes the bytes that receiptline makes for Epson printers.
func TestOracleReceiptLine(t *testing.T) {
	var got []struct{ Bytes []byte }
	oracletest.Ask(t, []any{map[string]any{"op": "transform", "text": slip, "printer": map[string]any{
		"cpl": 42, "encoding": "multilingual", "command": "escpos", "cutting": true,
	}}}, &got)
	p := devicesim.NewPrinter(devicesim.PrinterOptions{})
	decode(t, p, got[0].Bytes)
	checkSlip(t, p)
}

// listenAt9100 takes an address of this machine where the port of network printers is free: receiptio knows no other.
func listenAt9100(t *testing.T) (l net.Listener, host string) {
	t.Helper()
	var err error
	for n := 2; n < 255; n++ {
		host = fmt.Sprintf("127.0.0.%d", n)
		if l, err = net.Listen("tcp", host+":9100"); err == nil {
			return l, host
		}
	}
	t.Fatal(err)
	return nil, ""
}

// TestOracleReceiptIO lets receiptio print over the network: it asks our printer for its make and its status, prints, and
// waits for the confirmation.
func TestOracleReceiptIO(t *testing.T) {
	l, host := listenAt9100(t)
	sim := devicesim.NewPrinter(devicesim.PrinterOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = sim.Serve(ctx, conn)
			_ = conn.Close()
		}
	})
	defer func() { cancel(); _ = l.Close(); wg.Wait() }()
	ask := func(question ...any) []string {
		t.Helper()
		var got []struct{ State string }
		oracletest.Ask(t, question, &got)
		var states []string
		for _, g := range got {
			states = append(states, g.State)
		}
		return states
	}
	to := "-d " + host + " -t 120 "
	status := map[string]any{"op": "print", "text": "", "options": to + "-q"}
	if got := ask(map[string]any{"op": "print", "text": slip, "options": to + "-p escpos -c 42 -l en"}); got[0] != "success" {
		t.Fatalf("print: %s", got)
	}
	checkSlip(t, sim)
	if g := sim.Garbage(); len(g) > 0 {
		t.Errorf("not understood: %q", g)
	}
	if got := ask(status); got[0] != "online" {
		t.Errorf("status: %s", got)
	}
	for want, turn := range map[string]func(bool){
		"coveropen": sim.SetCover, "error": sim.SetFault,
		"paperempty": func(on bool) {
			sim.SetPaper(map[bool]devicesim.Paper{true: devicesim.PaperOut, false: devicesim.PaperOK}[on])
		},
	} {
		turn(true)
		if got := ask(status); got[0] != want {
			t.Errorf("status: %s, want %s", got, want)
		}
		turn(false)
	}
	drawer := map[string]any{"op": "print", "text": "", "options": to + "-q drawer"}
	shut := ask(drawer)
	sim.SetDrawer(true)
	if open := ask(drawer); !slices.Contains([]string{"drawerclosed", "draweropen"}, shut[0]) || !slices.Contains([]string{"drawerclosed", "draweropen"}, open[0]) || open[0] == shut[0] {
		t.Errorf("drawer: %s, then %s", shut, open) // which is which depends on the drawer
	}
}
