package devicesim_test

import (
	"context"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"storeagent/devices/devicesim"
)

// capture is one receipt as @point-of-sale/receipt-printer-encoder 4.0.1 makes it for an Epson TM-T88V: seven code
// pages, a table, a bar code, a QR code, a cut and a drawer pulse.
const capture = `1b401c2e1b4d002020202020202020202020201d21111b45011b740043414690201b74129da264ab1b45001d21000a0d1b45011d21111b45001d2100
1b74108e6c751b74129c6f759f6bec2031322c3530201b740dd5201b741097201b7400ea1b740be69dd8d6201b741097201b74118fe0a8a2a5e20a0d
1b7400c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c40a0d436f6666656520327820202020
2020202020202020202020202020202020202020202020372e30300a0d43726f697373616e7420202020202020202020202020202020202020202020
2020202020332e35300a0dc4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c4c40a0d1d683c1d77
031d48021d6b0234303036333831333333393331000a0d0a0d1d286b0400314132001d286b03003143061d286b03003145311d286b1a003150306874
7470733a2f2f6578616d706c652e636f6d2f722f311d286b03003151300a0d0a0d0a0d0a0d0a0d0a0d0a0d0a0d1d56010a0d1b700032fa`

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, "\n", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// feed prints bytes as one connection and returns at its end.
func feed(t testing.TB, p *devicesim.Printer, b []byte) {
	t.Helper()
	_ = p.Serve(t.Context(), struct {
		io.Reader
		io.Writer
	}{strings.NewReader(string(b)), io.Discard})
}

func TestPrinterReadsACapture(t *testing.T) {
	p := devicesim.NewPrinter(devicesim.PrinterOptions{})
	feed(t, p, unhex(t, capture))
	paper := p.Paper()
	for _, want := range []string{"CAFÉ Łódź\n", "Žluťoučký 12,50 ", " Привет\n", strings.Repeat("─", 42) + "\n",
		"Coffee 2x" + strings.Repeat(" ", 27) + "7.00\n", "[EAN13 4006381333931]\n", "[QR https://example.com/r/1]\n"} {
		if !strings.Contains(paper, want) {
			t.Errorf("paper has no %q:\n%s", want, paper)
		}
	}
	// It takes the euro sign from page 13, which has none by the published tables.
	if !strings.Contains(paper, "12,50 \uFFFD ") || len(p.Garbage()) > 0 {
		t.Errorf("garbage %q on\n%s", p.Garbage(), paper)
	}
	if len(p.Receipts()) != 1 || p.Pulses(2) != 1 || p.Pulses(5) != 0 {
		t.Errorf("%d receipts, %d pulses", len(p.Receipts()), p.Pulses(2))
	}
}

// plug joins a printer with a cable inside a synctest bubble; ask writes and returns what is answered.
func plug(t *testing.T, p *devicesim.Printer) (ask func(hexBytes string) string, unplug func()) {
	t.Helper()
	near, far := net.Pipe()
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer close(ended)
		_ = p.Serve(ctx, far)
	}()
	answers := make(chan string, 1000)
	go func() {
		buf := make([]byte, 256)
		for {
			n, err := near.Read(buf)
			if n > 0 {
				answers <- hex.EncodeToString(buf[:n])
			}
			if err != nil {
				return
			}
		}
	}()
	unplug = func() {
		cancel()
		_ = near.Close()
		<-ended
	}
	t.Cleanup(unplug)
	return func(hexBytes string) string {
		t.Helper()
		if len(hexBytes) > 0 {
			if _, err := near.Write(unhex(t, hexBytes)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		all := ""
		for len(answers) > 0 {
			all += <-answers
		}
		return all
	}, unplug
}

func TestPrinterAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := devicesim.NewPrinter(devicesim.PrinterOptions{ProcessID: true, Model: "TM-T88V", Serial: "S1"})
		ask, _ := plug(t, p)
		for _, c := range []struct {
			what string
			do   func()
			ask  string
			want string
		}{
			{"online", nil, "100401", "12"},
			{"no trouble", nil, "100402", "12"},
			{"no error", nil, "100403", "12"},
			{"paper", nil, "100404", "12"},
			{"asb on", nil, "1d61ff", "1000000f"},
			{"model", nil, "1d4943", "5f544d2d5438385600"},
			{"serial", nil, "1d4944", "5f533100"},
			{"transmit paper", nil, "1d7201", "00"},
			{"process id", nil, "1d28480600303041303031", "37224130303100"},
			{"near end", func() { p.SetPaper(devicesim.PaperNear) }, "", "1000030f"},
			{"near end asked", nil, "1004041d7201", "1e03"},
			{"paper out", func() { p.SetPaper(devicesim.PaperOut) }, "", "18000f0f"},
			{"paper out asked", nil, "100401100402100404", "1a327e"},
			{"waits with the rest", nil, "411d7201", ""},
			{"new roll", func() { p.SetPaper(devicesim.PaperOK) }, "", "1000000f00"},
			{"cover", func() { p.SetCover(true) }, "100402", "3800000f16"},
			{"closed", func() { p.SetCover(false) }, "", "1000000f"},
			{"fault", func() { p.SetFault(true) }, "100402100403", "1808000f521a"},
			{"mended", func() { p.SetFault(false) }, "", "1000000f"},
			{"feed button", func() { p.SetOffline(true) }, "100401", "1800000f1a"},
			{"online again", func() { p.SetOffline(false) }, "", "1000000f"},
			{"drawer", nil, "1b700032fa", "1400000f"},
			{"drawer asked", nil, "1004011d7202", "1601"},
			{"drawer shut", func() { p.SetDrawer(false) }, "", "1000000f"},
			{"real-time pulse", nil, "1014010101", "1400000f"},
		} {
			if c.do != nil {
				c.do()
			}
			if got := ask(c.ask); got != c.want {
				t.Errorf("%s: answered %s, want %s", c.what, got, c.want)
			}
		}
		if p.Pulses(2) != 1 || p.Pulses(5) != 1 {
			t.Errorf("pulses %d, %d", p.Pulses(2), p.Pulses(5))
		}
		if g := p.Garbage(); len(g) > 0 {
			t.Errorf("garbage %q", g)
		}
	})
}

func TestPrinterKeepsItsBuffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := devicesim.NewPrinter(devicesim.PrinterOptions{})
		ask, unplug := plug(t, p)
		p.RunOutAfter(2)
		ask("610a620a630a640a")
		if got := p.Paper(); got != "a\nb\n" {
			t.Fatalf("paper %q", got)
		}
		unplug()
		p.SetPaper(devicesim.PaperOK)
		if got := p.Paper(); got != "a\nb\nc\nd\n" {
			t.Fatalf("paper %q", got)
		}
		ask, _ = plug(t, p)
		p.SetCover(true)
		ask("650a")
		p.SetPower(false)
		if got := ask("100401670a"); got != "" {
			t.Fatalf("answered %s while off", got)
		}
		p.SetPower(true)
		p.SetCover(false)
		ask("660a")
		if got := p.Paper(); got != "a\nb\nc\nd\nf\n" {
			t.Fatalf("paper %q", got)
		}
	})
}

func TestPrinterSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := devicesim.NewPrinter(devicesim.PrinterOptions{Silent: true, ProcessID: true})
		ask, _ := plug(t, p)
		if got := ask("1004011d61ff1d72011d28480600303041303031410a"); got != "" || p.Paper() != "A\n" {
			t.Fatalf("answered %s, paper %q", got, p.Paper())
		}
	})
}

func TestPrinterText(t *testing.T) {
	for name, c := range map[string]struct{ bytes, want string }{
		"wraps":            {strings.Repeat("61", 12) + "0a", "aaaaaaaaaa\naa\n"},
		"wraps wide":       {"1d2110" + strings.Repeat("61", 6) + "0a", "aaaaa\na\n"},
		"font b":           {"1b4d01" + strings.Repeat("61", 13) + "0a", "aaaaaaaaaaaaa\n"},
		"center":           {"1b61016162630a", "   abc\n"},
		"right":            {"1b6102610a1b6100620a", "         a\nb\n"},
		"late align":       {"611b6102620a", "ab\n"},
		"euro":             {"1b7413d51b7410800a", "€€\n"},
		"init":             {"1b7413611b4080 0a", "Ç\n"},
		"feed":             {"611b6402", "a\n\n"},
		"full cut":         {"610a1d5600", "a\n- - - - -\n"},
		"ean wrong":        {"1d6b0234303036333831333333393332000a", "\n"},
		"code128 too wide": {"1d77061d6b49067b42414141" + "41" + "0a", "\n"},
		"code128":          {"1d77021d6b49047b430c22", "[CODE128 1234]\n"},
		"image":            {"1d76300001000200800f" + "610a", "[IMAGE 8x2]\na\n"},
		"graphics":         {"1d284c0e003070300201311000020080010001" + "1d284c02003032" + "610a", "[IMAGE 32x2]\na\n"},
		"long graphics":    {"1d384c0b000000307030010131080001008f" + "1d384c02000000303261" + "0a", "[IMAGE 8x1]\na\n"},
		"graphics short":   {"1d284c0d0030703002013110000200800100" + "0a", "\n"},
		"no graphics":      {"1d284c020030320a", "\n"},
		"too long":         {"1d384cffffffff0a", "\n"},
		"moves":            {"1b241800611b2448001b5c0c0062" + "0a", "  a    b\n"},
		"moves back":       {"6161611b5cf4ff620a", "aaab\n"},
		"moves too far":    {"1b24ffff0a", "\n"},
		"area":             {"1d4c18001d5730001b61026162630a", "   abc\n"},
		"area wraps":       {"1d4c18001d57240061626364650a", "  abc\n  de\n"},
		"multi-byte modes": {"1c2d011c5300001c43011c28410200300061" + "0a", "a\n"},
		"image stripes":    {"1d7630000100010080" + "1d763000010001000f" + "0a", "[IMAGE 8x2]\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := devicesim.NewPrinter(devicesim.PrinterOptions{Columns: 10})
			feed(t, p, unhex(t, strings.ReplaceAll(c.bytes, " ", "")))
			if got := p.Paper(); got != c.want {
				t.Errorf("paper %q, want %q; garbage %q", got, c.want, p.Garbage())
			}
		})
	}
}

func TestPrinterCompletesCheckDigits(t *testing.T) {
	p := devicesim.NewPrinter(devicesim.PrinterOptions{})
	feed(t, p, []byte("\x1dkC\x0c400638133393\x1dkA\x0b01234500006\x1dkD\x079638507"))
	if got, want := p.Paper(), "[EAN13 4006381333931]\n[UPCA 012345000065]\n[EAN8 96385074]\n"; got != want {
		t.Errorf("%q, garbage %q", got, p.Garbage())
	}
}

// TestPrinterGraphics prints a raster as escpos-php sends it and escpos-tools reads it.
func TestPrinterGraphics(t *testing.T) {
	p := devicesim.NewPrinter(devicesim.PrinterOptions{})
	feed(t, p, unhex(t, "1d284c1200307030010131100004008000040000200001"+"1d284c02003032"))
	if len(p.Images()) != 1 || p.Images()[0].Rect.Dx() != 16 || p.Images()[0].Rect.Dy() != 4 {
		t.Fatalf("%v, garbage %q", p.Images(), p.Garbage())
	}
	for i, y := range p.Images()[0].Pix {
		if black := i%16 == i/16*5; (y == 0) != black {
			t.Errorf("dot %d,%d is %d", i%16, i/16, y)
		}
	}
}

func TestPrinterStyles(t *testing.T) {
	p := devicesim.NewPrinter(devicesim.PrinterOptions{})
	feed(t, p, unhex(t, "1b4501611b450062"+"1b2d02631b2d30"+"1d420164"+"1d42000a"+"1b4d011d2112650a"+"1b21b866"+"1b40"+"670a"))
	one := devicesim.Style{Width: 1, Height: 1}
	bold, under, white := one, one, one
	bold.Bold, under.Underline, white.Invert = true, true, true
	want := [][]devicesim.Span{
		{{Text: "a", Style: bold}, {Text: "b", Style: one}, {Text: "c", Style: under}, {Text: "d", Style: white}},
		{{Text: "e", Style: devicesim.Style{FontB: true, Width: 2, Height: 3}}},
		{{Text: "g", Style: one}}, // ESC @ threw away what stood on the line
	}
	if got := p.Lines(); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
}

func TestPrinterTellsEachLine(t *testing.T) {
	var told []string
	p := devicesim.NewPrinter(devicesim.PrinterOptions{Columns: 8, OnPaper: func(s string) { told = append(told, s) }})
	feed(t, p, []byte("a\nb\n\x1dV\x00"))
	if !slices.Equal(told, []string{"a", "b", "- - - -"}) {
		t.Errorf("told %q", told)
	}
}

// FuzzPrinter feeds noise in random chunks: never a panic, and the same paper however it was cut.
func FuzzPrinter(f *testing.F) {
	f.Add(unhex(f, capture), uint64(1))
	f.Add([]byte("\x1b@\x1ba\x01abc\n\x10\x04\x01\x1dV\x41\x03\x1dk\x49\x04{B12\x1d(k\x03\x0001Q0"), uint64(2))
	f.Add([]byte("before\nlost\x10\x14\x08\x01\x03\x14\x01\x06\x02\x08behind\n"), uint64(4)) // clears the buffers
	f.Add([]byte("\x1dL\x18\x00\x1dW\x30\x00\x1b$\x20\x00a\x1b\\\x10\x00b\x1d8L\x0b\x00\x00\x000p0\x01\x011\x08\x00\x01\x00\xff\x1d(L\x02\x0002"), uint64(3))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		whole, parts := devicesim.NewPrinter(devicesim.PrinterOptions{}), devicesim.NewPrinter(devicesim.PrinterOptions{})
		feed(t, whole, b)
		_ = parts.Serve(t.Context(), struct {
			io.Reader
			io.Writer
		}{&pieces{rest: b, rnd: rand.New(rand.NewPCG(seed, 1))}, io.Discard})
		if whole.Paper() != parts.Paper() {
			t.Fatalf("at once %q\nin pieces %q", whole.Paper(), parts.Paper())
		}
	})
}

// pieces is a reader that gives random amounts.
type pieces struct {
	rest []byte
	rnd  *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:1+p.rnd.IntN(len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}
