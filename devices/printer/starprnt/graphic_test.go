package starprnt_test

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"strings"
	"testing"
	"testing/synctest"

	"storeagent/devices/devicesim"
	"storeagent/devices/printer"
	"storeagent/devices/printer/preview"
	"storeagent/devices/printer/starprnt"
)

// graphicPrinter starts a driver for a printer that takes nothing but dots.
func graphicPrinter(t *testing.T, so devicesim.StarOptions) (*starprnt.Printer, *devicesim.Star, *preview.Renderer) {
	t.Helper()
	paper, err := preview.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	so.GraphicMode = true
	c := &cable{sim: devicesim.NewStar(so), ctx: t.Context()}
	p, err := starprnt.New(starprnt.Config{Name: "front", Open: c.open, Options: starprnt.Options{Profile: "TSP100"}, Paper: paper})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return p, c.sim, paper
}

// TestGraphicMode prints on a printer that takes nothing but dots: what it gets are the dots of the preview, with cut and
// drawer where they belong, and it confirms them.
func TestGraphicMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, sim, paper := graphicPrinter(t, devicesim.StarOptions{})
		first := printer.Document{{Op: "text", Text: "Grüße", Align: "center", Bold: true, Width: 2}, {Op: "columns", Cells: []printer.Cell{{Text: "Coffee"}, {Text: "3 €", Align: "right"}}},
			{Op: "barcode", Symbology: "ean13", Data: "4006381333931"}, {Op: "qrcode", Data: "https://example.com/r/1"}}
		doc := append(first[:len(first):len(first)], printer.Op{Op: "feed", Lines: 3}, printer.Op{Op: "cut"}, printer.Op{Op: "drawer"}, printer.Op{Op: "text", Text: "after"}, printer.Op{Op: "cut", Mode: "full"})
		printed(t, sim, p, doc)
		images, receipts := sim.Images(), sim.Receipts()
		if len(images) != 2 || len(receipts) != 2 || sim.Pulses(2) != 1 || !strings.HasSuffix(receipts[0], "]\n\n\n\n") {
			t.Fatalf("%d pictures, receipts %q, %d pulses", len(images), receipts, sim.Pulses(2))
		}
		want, err := paper.PNG(first, p.Columns())
		if err != nil {
			t.Fatal(err)
		}
		shown, err := png.Decode(bytes.NewReader(want.Data))
		if err != nil || images[0].Bounds() != shown.Bounds() {
			t.Fatalf("%v, %v on paper, %v in the preview", err, images[0].Bounds(), shown.Bounds())
		}
		if n := different(images[0], shown); n > 5 { // dots that were blackened to keep real-time commands out
			t.Errorf("%d dots differ", n)
		}
	})
}

func different(a, b image.Image) int {
	n := 0
	for y := range a.Bounds().Dy() {
		for x := range a.Bounds().Dx() {
			r, _, _, _ := a.At(x, y).RGBA()
			q, _, _, _ := b.At(x, y).RGBA()
			if r != q {
				n++
			}
		}
	}
	return n
}

// TestGraphicModeTroubles: the states are those of every other printer.
func TestGraphicModeTroubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, sim, _ := graphicPrinter(t, devicesim.StarOptions{NoCounter: true})
		ready(t, p)
		sim.RunOutAfter(1)
		doc := printer.Document{{Op: "text", Text: "first"}, {Op: "cut"}, {Op: "text", Text: "second"}, {Op: "cut"}}
		told, got := start(t.Context(), p, 1, doc)
		if r := <-told; r != printer.PaperOut {
			t.Fatalf("blocked for %q", r)
		}
		sim.SetPaper(devicesim.PaperOK)
		if r := <-got; r.state != printer.Printed || len(sim.Receipts()) != 2 || len(sim.Garbage()) > 0 {
			t.Fatalf("%s, %v, %d receipts, garbage %q", r.state, r.err, len(sim.Receipts()), sim.Garbage())
		}
		if err := p.Check(printer.Document{{Op: "text", Text: "ok"}, {Op: "text", Text: "\U0001F600"}}); err == nil || !strings.Contains(err.Error(), "document[1].op") {
			t.Errorf("a character that no font has: %v", err)
		}
		sim.FailAfter(500)
		_, got = start(t.Context(), p, 2, doc)
		if r := <-got; r.state != printer.Unknown {
			t.Fatalf("%s, %v", r.state, r.err)
		}
		printed(t, sim, p, doc)
	})
	q, err := starprnt.New(starprnt.Config{Name: "front", Options: starprnt.Options{Profile: "TSP143III"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Check(printer.Document{{Op: "text", Text: "ok"}}); err == nil {
		t.Error("prints without anything to draw with")
	}
}
