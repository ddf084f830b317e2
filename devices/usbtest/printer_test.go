//go:build linux && usbguest

package usbtest_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/printer"
	"storeagent/devices/printer/escpos"
	"storeagent/devices/usbtest"
)

const lp = "/dev/usb/lp0"

// told is a printer.Progress.
type told chan printer.Reason

func (t told) Sending() error           { return nil }
func (t told) Blocked(r printer.Reason) { t <- r }

// outcome is how a job ended.
type outcome struct {
	state printer.JobState
	err   error
}

func receipt(title string, lines int) printer.Document {
	doc := printer.Document{{Op: "text", Text: title}}
	for n := range lines {
		doc = append(doc, printer.Op{Op: "text", Text: fmt.Sprintf("line %04d of many", n)})
	}
	return append(doc, printer.Op{Op: "cut"})
}

// simPrinter is a simulated printer on its USB cable.
type simPrinter struct {
	*devicesim.Printer
	cable   *devicesim.USBDevice
	serving sync.WaitGroup
}

func newSimPrinter(t *testing.T, serial string) *simPrinter {
	p := devicesim.NewPrinter(devicesim.PrinterOptions{ProcessID: true, Buffer: 512})
	id := devicesim.USBIdentity{VID: 0x04B8, PID: 0x0202, Manufacturer: "SIM", Product: "Receipt printer", Serial: serial}
	s := &simPrinter{Printer: p, cable: devicesim.NewUSBPrinter(p, id)}
	t.Cleanup(s.serving.Wait)
	return s
}

// replug puts the cable back once the printer has noticed that it was out: it serves one at a time.
func (s *simPrinter) replug(t *testing.T) {
	t.Helper()
	s.serving.Wait()
	if err := s.cable.Replug(); err != nil {
		t.Fatal(err)
	}
	s.serve()
}

// serve lets it answer until the cable is pulled. A test ends its drivers before that: a node that is closed while its device is
// on its way out may hang in vhci-hcd.
func (s *simPrinter) serve() {
	s.serving.Go(func() { _ = s.Serve(context.Background(), struct{ io.ReadWriter }{s.cable}) })
}

func printAsync(t *testing.T, p *escpos.Printer, seq int64, doc printer.Document) (told, <-chan outcome) {
	progress, done := make(told, 100), make(chan outcome, 1)
	go func() {
		state, err := p.Print(t.Context(), printer.Job{Seq: seq}, doc, progress)
		done <- outcome{state, err}
	}()
	return progress, done
}

// The printer driver on both kinds of USB port: a job is printed with proof, waits for the cover, and is unknown and not
// doubled when the cable is pulled in its middle.
func TestGuestPrinterDriver(t *testing.T) {
	for _, address := range []string{"usb:04B8:0202:A1", "file:" + lp} {
		t.Run(address, func(t *testing.T) {
			sim := newSimPrinter(t, "A1")
			usbtest.Plug(t, sim.cable, lp)
			sim.serve()
			p, err := escpos.New(escpos.Config{Name: "front", Port: address, Open: opener(t, address)})
			if err != nil {
				t.Fatal(err)
			}
			run(t, p)
			ready(t, p)

			_, done := printAsync(t, p, 1, receipt("one", 20))
			if o := next(t, "the first job", done); o.state != printer.Printed || o.err != nil {
				t.Fatalf("the first job: %+v", o)
			}

			sim.RunOutAfter(100)
			blocked, done := printAsync(t, p, 2, receipt("two", 300))
			wait := func(want printer.Reason) {
				t.Helper()
				for next(t, "the job is blocked by "+string(want), blocked) != want {
				}
			}
			wait(printer.PaperOut)
			sim.SetCover(true) // for a new roll
			wait(printer.CoverOpen)
			sim.SetPaper(devicesim.PaperOK)
			sim.SetCover(false)
			wait("")
			if o := next(t, "the second job", done); o.state != printer.Printed || o.err != nil {
				t.Fatalf("the second job: %+v", o)
			}
			if n := strings.Count(sim.Paper(), "line 0299 of many"); n != 1 || strings.Count(sim.Paper(), "two\n") != 1 {
				t.Errorf("the second job is on the paper %d times", n)
			}

			sim.RunOutAfter(40)
			blocked, done = printAsync(t, p, 3, receipt("three", 300))
			next(t, "the job runs out of paper", blocked)
			if err := sim.cable.Unplug(); err != nil {
				t.Fatal(err)
			}
			if o := next(t, "the third job", done); o.state != printer.Unknown || o.err == nil {
				t.Errorf("a job whose cable was pulled: %+v", o)
			}
			usbtest.Await(t, lp+" goes", usbtest.Gone("/dev/usb/lp*"))
			trouble(t, p, port.Missing)

			sim.SetPower(false) // its buffer is lost
			sim.SetPower(true)
			sim.SetPaper(devicesim.PaperOK)
			sim.replug(t)
			ready(t, p)
			_, done = printAsync(t, p, 4, receipt("four", 5))
			if o := next(t, "the fourth job", done); o.state != printer.Printed || o.err != nil {
				t.Fatalf("the fourth job: %+v", o)
			}
			if paper := sim.Paper(); strings.Count(paper, "three\n") != 1 || strings.Count(paper, "four\n") != 1 {
				t.Errorf("on the paper: three %d times, four %d times", strings.Count(paper, "three\n"), strings.Count(paper, "four\n"))
			}
		})
	}
}

// Two alike that come back in the other order are still told apart by their serial numbers.
func TestGuestPrintersChangePlaces(t *testing.T) {
	sims := []*simPrinter{newSimPrinter(t, "B0"), newSimPrinter(t, "B1")}
	for n, s := range sims {
		usbtest.Plug(t, s.cable, fmt.Sprintf("/dev/usb/lp%d", n))
		s.serve()
	}
	t.Cleanup(func() { // together, as they may have changed places
		for _, s := range sims {
			_ = s.cable.Close()
		}
	})
	var drivers []*escpos.Printer
	for n, scheme := range []string{"usb", "file"} {
		address := fmt.Sprintf("%s:04B8:0202:B%d", scheme, n)
		p, err := escpos.New(escpos.Config{Name: scheme, Port: address, Open: opener(t, address)})
		if err != nil {
			t.Fatal(err)
		}
		run(t, p)
		ready(t, p)
		drivers = append(drivers, p)
	}
	for _, s := range sims {
		if err := s.cable.Unplug(); err != nil {
			t.Fatal(err)
		}
	}
	usbtest.Await(t, "both nodes go", usbtest.Gone("/dev/usb/lp*"))
	for _, p := range drivers {
		trouble(t, p, port.Missing)
	}
	sims[1].replug(t)
	usbtest.Await(t, "it is the first now", usbtest.Exists("/dev/usb/lp0"))
	ready(t, drivers[1])
	sims[0].replug(t)
	ready(t, drivers[0])
	for n, p := range drivers {
		_, done := printAsync(t, p, 1, receipt(fmt.Sprintf("for B%d", n), 3))
		if o := next(t, "the job", done); o.state != printer.Printed || o.err != nil {
			t.Errorf("B%d: %+v", n, o)
		}
		if paper := sims[n].Paper(); !strings.Contains(paper, fmt.Sprintf("for B%d\n", n)) || strings.Contains(paper, fmt.Sprintf("for B%d\n", 1-n)) {
			t.Errorf("B%d printed %q", n, paper)
		}
	}
}

// A second user of a printer is told who the first one is.
func TestGuestPrinterBusy(t *testing.T) {
	sim := newSimPrinter(t, "C1")
	usbtest.Plug(t, sim.cable, lp)
	sim.serve()
	first, err := opener(t, "file:"+lp)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for _, address := range []string{"file:" + lp, "file:04B8:0202:C1"} {
		if e := refused(t, address, port.InUse); !strings.Contains(e.Hint, fmt.Sprintf("(process %d)", os.Getpid())) {
			t.Errorf("%s: %s", address, e.Hint)
		}
	}
	refused(t, "file:04B8:0202:C2", port.Missing)
}
