package devicesim_test

import (
	"context"
	"encoding/hex"
	"io"
	"math/rand/v2"
	"net"
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
