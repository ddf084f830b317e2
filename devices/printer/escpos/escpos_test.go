package escpos_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/printer"
	"storeagent/devices/printer/escpos"
	"storeagent/devices/printer/printertest"
)

// cable joins the driver with a simulated printer, by a new pipe each time the port is opened.
type cable struct {
	sim *devicesim.Printer
	ctx context.Context

	mu     sync.Mutex
	cut    bool
	end    net.Conn
	served chan struct{}
}

func (c *cable) open(context.Context) (port.Port, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return nil, &port.Error{Op: "open", Address: "pipe", Kind: port.Missing, Err: errors.New("unplugged")}
	}
	if c.served != nil {
		<-c.served
	}
	ours, theirs := net.Pipe()
	c.end, c.served = theirs, make(chan struct{})
	go func(done chan struct{}) {
		defer close(done)
		_ = c.sim.Serve(c.ctx, theirs)
		_ = theirs.Close()
	}(c.served)
	return ours, nil
}

func (c *cable) unplug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = true
	if c.end != nil {
		_ = c.end.Close()
	}
}

func (c *cable) plug() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut = false
}

// join starts a driver with a simulated printer behind it.
func join(t *testing.T, so devicesim.PrinterOptions, o escpos.Options) (*escpos.Printer, *devicesim.Printer, *cable) {
	t.Helper()
	c := &cable{sim: devicesim.NewPrinter(so), ctx: t.Context()}
	p, err := escpos.New(escpos.Config{Name: "front", Open: c.open, Options: o})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return p, c.sim, c
}

func harness(so devicesim.PrinterOptions, o escpos.Options) printertest.Harness {
	return printertest.Harness{New: func(t *testing.T, kind printertest.Kind) printertest.Device {
		so := so
		switch kind {
		case printertest.StatusOnly:
			so.ProcessID, so.NoConfirm = false, true
		case printertest.OneWay:
			so.Silent = true
		}
		p, sim, c := join(t, so, o)
		return printertest.Device{
			Printer:  p,
			Paper:    sim.Paper,
			SetCover: sim.SetCover,
			SetPaper: func(ok bool) {
				if ok {
					sim.SetPaper(devicesim.PaperOK)
				} else {
					sim.SetPaper(devicesim.PaperOut)
				}
			},
			RunOutAfter: sim.RunOutAfter,
			Unplug:      c.unplug,
			Plug:        c.plug,
		}
	}}
}

func TestSuiteWithProcessID(t *testing.T) {
	printertest.Suite(t, harness(devicesim.PrinterOptions{ProcessID: true}, escpos.Options{}))
}

func TestSuiteWithTransmitStatus(t *testing.T) {
	printertest.Suite(t, harness(devicesim.PrinterOptions{Columns: 32}, escpos.Options{Profile: "generic-58mm"}))
}

// printed sends a document through the driver to a simulated printer.
func printed(t *testing.T, sim *devicesim.Printer, p printer.Printer, doc printer.Document) {
	t.Helper()
	synctest.Wait()
	for p.Info().State != devices.Ready {
		<-time.After(100 * time.Millisecond)
		synctest.Wait()
	}
	state, err := p.Print(t.Context(), printer.Job{Seq: 7, Copies: 1}, doc, make(tell, 100))
	if state != printer.Printed || err != nil {
		t.Fatalf("state %s, %v", state, err)
	}
	if g := sim.Garbage(); len(g) > 0 {
		t.Fatalf("the printer did not understand: %q", g)
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
		synctest.Test(t, func(t *testing.T) {
			p, sim, _ := join(t, devicesim.PrinterOptions{Columns: columns, ProcessID: true}, escpos.Options{Columns: columns})
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
	text := rapid.StringOf(rapid.RuneFrom([]rune("abc XYZ 0123456789 äöüß€ŁódźЖукΩμέ½-.,\n")))
	align := rapid.SampledFrom([]string{"", "left", "center", "right"})
	op := rapid.Custom(func(rt *rapid.T) printer.Op {
		switch rapid.SampledFrom([]string{"text", "text", "columns", "rule", "barcode", "qrcode", "feed", "cut", "drawer"}).Draw(rt, "op") {
		case "text":
			return printer.Op{Op: "text", Text: text.Draw(rt, "text"), Align: align.Draw(rt, "align"), Bold: rapid.Bool().Draw(rt, "bold"),
				Underline: rapid.Bool().Draw(rt, "underline"), Width: rapid.IntRange(0, 8).Draw(rt, "width"), Height: rapid.IntRange(0, 8).Draw(rt, "height"),
				Font: rapid.SampledFrom([]string{"", "a", "b"}).Draw(rt, "font")}
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

func TestImageOnPaper(t *testing.T) {
	src := image.NewGray(image.Rect(0, 0, 40, 300))
	for y := range 300 {
		for x := range 40 {
			src.SetGray(x, y, color.Gray{Y: uint8(255 * ((x*x + y*7) / 5 % 2))})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, src); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p, sim, _ := join(t, devicesim.PrinterOptions{ProcessID: true}, escpos.Options{})
		printed(t, sim, p, printer.Document{{Op: "image", PNG: b.Bytes(), Align: "center"}, {Op: "drawer", Pin: 5}})
		images := sim.Images()
		if len(images) != 1 || images[0].Rect != src.Rect {
			t.Fatalf("%d images on paper", len(images))
		}
		wrong := 0
		for i, v := range images[0].Pix {
			if v != src.Pix[i] {
				wrong++
			}
		}
		if wrong > 20 { // dots that were blackened to keep real-time commands out
			t.Errorf("%d dots differ", wrong)
		}
		if sim.Pulses(5) != 1 || sim.Pulses(2) != 0 {
			t.Errorf("%d pulses on pin 5, %d on pin 2", sim.Pulses(5), sim.Pulses(2))
		}
		if info := p.Info(); info.Model != "SIM-80" {
			t.Errorf("model %q", info.Model)
		}
	})
}

// TestSilentAfterAnswering: a printer that answered once and is silent now is switched off, not one-way.
func TestSilentAfterAnswering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loud := devicesim.NewPrinter(devicesim.PrinterOptions{})
		mute := devicesim.NewPrinter(devicesim.PrinterOptions{Silent: true})
		c := &cable{sim: loud, ctx: t.Context()}
		p, err := escpos.New(escpos.Config{Name: "front", Open: c.open})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		until := func(s devices.State) {
			t.Helper()
			for range 1000 {
				synctest.Wait()
				if p.Info().State == s {
					return
				}
				<-time.After(100 * time.Millisecond)
			}
			t.Fatalf("never %s: %+v", s, p.Info())
		}
		until(devices.Ready)
		c.unplug()
		until(devices.Offline)
		c.sim = mute
		c.plug()
		<-time.After(time.Minute)
		synctest.Wait()
		info := p.Info()
		if info.State != devices.Offline || info.LastError == nil || info.LastError.Code != string(port.Silent) {
			t.Fatalf("shows %+v", info)
		}
	})
}

// tell passes on what a job is blocked for.
type tell chan printer.Reason

func (tell) Sending() error             { return nil }
func (t tell) Blocked(r printer.Reason) { t <- r }

// TestHalfACommand: a job is lost in the middle of an image; the next one must not be taken for the rest of it.
func TestHalfACommand(t *testing.T) {
	img := image.NewGray(image.Rect(0, 0, 400, 1000))
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		p, sim, c := join(t, devicesim.PrinterOptions{ProcessID: true}, escpos.Options{})
		printed(t, sim, p, printer.Document{{Op: "text", Text: "first"}})
		sim.RunOutAfter(1)
		told, got := make(tell, 10), make(chan printer.JobState, 1)
		go func() {
			s, _ := p.Print(t.Context(), printer.Job{Seq: 8}, printer.Document{{Op: "text", Text: "lost"}, {Op: "image", PNG: b.Bytes()}}, told)
			got <- s
		}()
		if r := <-told; r != printer.PaperOut {
			t.Fatalf("blocked for %q", r)
		}
		c.unplug()
		if s := <-got; s != printer.Unknown {
			t.Fatalf("state %s", s)
		}
		c.plug()
		sim.SetPaper(devicesim.PaperOK)
		for p.Info().State == devices.Offline {
			<-time.After(100 * time.Millisecond)
			synctest.Wait()
		}
		printed(t, sim, p, printer.Document{{Op: "text", Text: "next"}})
		if got := sim.Paper(); got != "first\nlost\nnext\n" {
			t.Fatalf("paper %q", got)
		}
	})
}

// TestWithoutUnaskedStatus: a printer that only speaks when asked is asked while a job waits for its end, and what it
// does not take is not sent twice.
func TestWithoutUnaskedStatus(t *testing.T) {
	for name, lines := range map[string]int{"small": 5, "larger than the buffer": 1000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, sim, _ := join(t, devicesim.PrinterOptions{NoASB: true}, escpos.Options{Profile: "generic-80mm"})
				printed(t, sim, p, printer.Document{{Op: "text", Text: "first"}})
				sim.RunOutAfter(2)
				var doc printer.Document
				want := "first\n"
				for i := range lines {
					line := fmt.Sprintf("line %d of the job", i)
					doc, want = append(doc, printer.Op{Op: "text", Text: line}), want+line+"\n"
				}
				told, got := make(tell, 10), make(chan printer.JobState, 1)
				go func() {
					s, _ := p.Print(t.Context(), printer.Job{Seq: 9}, doc, told)
					got <- s
				}()
				if r := <-told; r != printer.PaperOut && r != printer.OfflineState {
					t.Fatalf("blocked for %q", r)
				}
				sim.SetPaper(devicesim.PaperOK)
				if s := <-got; s != printer.Printed {
					t.Fatalf("state %s", s)
				}
				if sim.Paper() != want {
					t.Fatalf("paper %q", sim.Paper())
				}
			})
		})
	}
}

// TestFullLineWaitsForPaper: a printer without paper whose buffer is full takes no question either, and goes on when it
// has paper again. Nothing is printed twice.
func TestFullLineWaitsForPaper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, sim, _ := join(t, devicesim.PrinterOptions{ProcessID: true, Buffer: 64}, escpos.Options{})
		printed(t, sim, p, printer.Document{{Op: "text", Text: "first"}})
		before := strings.Count(sim.Paper(), "a line of the job")
		sim.RunOutAfter(2)
		doc := make(printer.Document, 300)
		for i := range doc {
			doc[i] = printer.Op{Op: "text", Text: "a line of the job"}
		}
		told, got := make(tell, 100), make(chan printer.JobState, 1)
		go func() {
			s, _ := p.Print(t.Context(), printer.Job{Seq: 9}, doc, told)
			got <- s
		}()
		<-told
		<-time.After(5 * time.Minute)
		select {
		case s := <-got:
			t.Fatalf("state %s while the printer waits for paper", s)
		default:
		}
		sim.SetPaper(devicesim.PaperOK)
		if s := <-got; s != printer.Printed {
			t.Fatalf("state %s", s)
		}
		if n := strings.Count(sim.Paper(), "a line of the job") - before; n != len(doc) {
			t.Errorf("%d lines were printed, want %d", n, len(doc))
		}
	})
}

// TestSwitchedOffInMidJob: behind a serial cable nothing tells that the printer was switched off while it waited for
// paper; the job must not wait for ever.
func TestSwitchedOffInMidJob(t *testing.T) {
	for name, lines := range map[string]int{"all sent": 5, "half sent": 1000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, sim, _ := join(t, devicesim.PrinterOptions{ProcessID: true, Buffer: 64 << 10}, escpos.Options{}) // room for questions at any time
				printed(t, sim, p, printer.Document{{Op: "text", Text: "first"}})
				sim.RunOutAfter(2)
				doc := make(printer.Document, lines)
				for i := range doc {
					doc[i] = printer.Op{Op: "text", Text: "a line of the job"}
				}
				told, got := make(tell, 10), make(chan printer.JobState, 1)
				go func() {
					s, _ := p.Print(t.Context(), printer.Job{Seq: 9}, doc, told)
					got <- s
				}()
				if r := <-told; r != printer.PaperOut {
					t.Fatalf("blocked for %q", r)
				}
				<-time.After(2 * time.Hour) // a printer without paper may wait for people
				select {
				case s := <-got:
					t.Fatalf("state %s while the printer waits for paper", s)
				default:
				}
				sim.SetPower(false)
				if s := <-got; s != printer.Unknown {
					t.Fatalf("state %s", s)
				}
				sim.SetPaper(devicesim.PaperOK)
				sim.SetPower(true)
				printed(t, sim, p, printer.Document{{Op: "text", Text: "next"}})
			})
		})
	}
}
