package escpos_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/printer"
	"storeagent/devices/printer/escpos"
)

// scissors cut the cable after so many more bytes to the printer; below zero they are away.
type scissors struct {
	port.Port
	c    *cable
	left *atomic.Int64
}

func (s scissors) Write(b []byte) (int, error) {
	left := s.left.Load()
	if left < 0 {
		return s.Port.Write(b)
	}
	n, err := s.Port.Write(b[:min(int64(len(b)), left)])
	if s.left.Store(left - int64(n)); n == len(b) || err != nil {
		return n, err
	}
	s.c.unplug()
	return n, &port.Error{Op: "write", Address: "pipe", Kind: port.Unplugged, Err: errors.New("cut")}
}

// TestUnplugAtEveryByte cuts the cable after each byte to the printer while a job is printed: the job is never called printed
// unless all of it is on paper, never called unbegun when some of it is, and the next one is whole whatever was cut off.
func TestUnplugAtEveryByte(t *testing.T) {
	var img bytes.Buffer
	if err := png.Encode(&img, image.NewGray(image.Rect(0, 0, 32, 20))); err != nil {
		t.Fatal(err)
	}
	doc := printer.Document{{Op: "text", Text: "Grüße, 3 €", Bold: true, Width: 2}, {Op: "barcode", Symbology: "code128", Data: "A1%B2"},
		{Op: "qrcode", Data: "https://example.com/r/1"}, {Op: "image", PNG: img.Bytes()}, {Op: "cut"}}
	next := printer.Document{{Op: "text", Text: "the next job"}}
	display := []byte("\x1b=\x02\x0cTOTAL 1.99\x1b=\x01")
	for name, c := range map[string]struct {
		so      devicesim.PrinterOptions
		profile string
		doc     printer.Document
		raw     []byte
	}{
		"process id": {so: devicesim.PrinterOptions{ProcessID: true}, doc: doc}, "transmit status": {doc: doc},
		"display, process id":      {so: devicesim.PrinterOptions{ProcessID: true, Display: devicesim.NewDisplay(false)}, raw: display},
		"display, transmit status": {so: devicesim.PrinterOptions{Display: devicesim.NewDisplay(false)}, profile: "generic-80mm", raw: display},
	} {
		so, o, doc, raw := c.so, escpos.Options{Profile: c.profile}, c.doc, c.raw
		t.Run(name, func(t *testing.T) {
			whole := 0
			for at := 0; whole < 3 && at < 3000; at++ {
				synctest.Test(t, func(t *testing.T) {
					left := new(atomic.Int64)
					left.Store(-1)
					c := &cable{sim: devicesim.NewPrinter(so), ctx: t.Context()}
					p, err := escpos.New(escpos.Config{Name: "front", Options: o, Open: func(ctx context.Context) (port.Port, error) {
						near, err := c.open(ctx)
						if err != nil {
							return nil, err
						}
						return scissors{near, c, left}, nil
					}})
					if err != nil {
						t.Fatal(err)
					}
					ctx, cancel := context.WithCancel(t.Context())
					ended := make(chan error, 1)
					go func() { ended <- p.Run(ctx) }()
					defer func() {
						cancel()
						if err := <-ended; err != nil {
							t.Errorf("Run: %v", err)
						}
					}()
					printed(t, c.sim, p, printer.Document{{Op: "text", Text: "before"}})
					before := c.sim.Paper()

					left.Store(int64(at))
					state, err := p.Print(t.Context(), printer.Job{Seq: 8, Copies: 1, Raw: raw}, doc, make(tell, 100))
					synctest.Wait()
					paper := strings.TrimPrefix(c.sim.Paper(), before)
					switch {
					case state == printer.Printed && paper == printer.PreviewText(doc, p.Columns()):
						whole++
					case state == printer.Unknown && err != nil:
					case state == printer.Queued && err != nil && paper == "":
					default:
						t.Fatalf("cut after %d bytes: %s, %v, and on paper is %q", at, state, err, paper)
					}

					left.Store(-1)
					c.plug()
					before = c.sim.Paper()
					for state = printer.Queued; state == printer.Queued; { // as the spooler does
						<-time.After(time.Second)
						state, err = p.Print(t.Context(), printer.Job{Seq: 9, Copies: 1}, next, make(tell, 100))
					}
					synctest.Wait()
					after := strings.TrimPrefix(c.sim.Paper(), before)
					if state != printer.Printed || !strings.HasSuffix(after, "the next job\n") || strings.Count(after, "the next job") != 1 {
						t.Fatalf("cut after %d bytes, the next job is %s (%v) and shows %q, garbage %q", at, state, err, after, c.sim.Garbage())
					}
				})
			}
			if whole < 3 {
				t.Error("the job never came through")
			}
		})
	}
}

// TestDisplayLeftSelected: text for a display behind the printer was cut off, and what comes next is for the printer all the
// same, also where it answers nothing.
func TestDisplayLeftSelected(t *testing.T) {
	for _, so := range []devicesim.PrinterOptions{{ProcessID: true}, {NoConfirm: true}, {Silent: true}} {
		synctest.Test(t, func(t *testing.T) {
			so.Display = devicesim.NewDisplay(false)
			p, sim, _ := join(t, so, escpos.Options{Profile: "generic-80mm"})
			synctest.Wait()
			for p.Info().State != devices.Ready {
				<-time.After(100 * time.Millisecond)
				synctest.Wait()
			}
			_, _ = p.Print(t.Context(), printer.Job{Seq: 1, Copies: 1, Raw: []byte("\x1b=\x02TOTAL")}, nil, make(tell, 100)) // and no more
			doc := printer.Document{{Op: "text", Text: "the receipt"}}
			state, err := printer.Queued, error(nil)
			for state == printer.Queued { // as the spooler does
				<-time.After(time.Second)
				state, err = p.Print(t.Context(), printer.Job{Seq: 2, Copies: 1}, doc, make(tell, 100))
			}
			synctest.Wait()
			if sim.Paper() != "the receipt\n" {
				t.Errorf("%+v: %s, %v, and on paper is %q", so, state, err, sim.Paper())
			}
		})
	}
}
