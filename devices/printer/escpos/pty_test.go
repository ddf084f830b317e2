//go:build linux

package escpos_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/port/serialport"
	"storeagent/devices/printer"
	"storeagent/devices/printer/escpos"
)

// TestRealPTY runs the driver over the kernel's terminal and the real serial library: a job that waits for paper,
// and the cable pulled in the middle of the next one.
func TestRealPTY(t *testing.T) {
	pty, err := devicesim.OpenPTY(filepath.Join(t.TempDir(), "printer"))
	if err != nil {
		t.Fatal(err)
	}
	sim := devicesim.NewPrinter(devicesim.PrinterOptions{ProcessID: true, Buffer: 512})
	simCtx, stopSim := context.WithCancel(t.Context())
	simEnded := make(chan struct{})
	go func() {
		defer close(simEnded)
		_ = sim.Serve(simCtx, pty)
	}()
	defer func() { stopSim(); _ = pty.Close(); <-simEnded }()

	addr, err := port.ParseAddress("serial:" + pty.Name() + "?baud=115200")
	if err != nil {
		t.Fatal(err)
	}
	var ports serialport.Ports
	changes := make(chan devices.Info, 1000)
	p, err := escpos.New(escpos.Config{Name: "front", Open: func(ctx context.Context) (port.Port, error) { return ports.Open(ctx, addr) },
		OnChange: func(i devices.Info) { changes <- i }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	state := func(what string, is func(devices.Info) bool) {
		t.Helper()
		for {
			select {
			case i := <-changes:
				if is(i) {
					return
				}
			case <-time.After(patience):
				t.Fatalf("never %s: %+v", what, p.Info())
			}
		}
	}
	// A printer that was too slow to answer at first is taken for one that cannot; once it is heard it is asked again.
	state("ready", func(i devices.Info) bool { return i.State == devices.Ready && i.Status.CoverOpen != nil })

	var doc printer.Document
	for range 300 {
		doc = append(doc, printer.Op{Op: "text", Text: strings.Repeat("x", 30)})
	}
	doc = append(doc, printer.Op{Op: "cut"})
	sim.RunOutAfter(100)
	told := make(tell, 10)
	got := make(chan outcome, 1)
	start := func(seq int64) {
		go func() {
			o := outcome{state: printer.Queued}
			for o.state == printer.Queued && ctx.Err() == nil { // as the spooler does, on a printer that was too slow to answer
				if o.state, o.err = p.Print(ctx, printer.Job{Seq: seq}, doc, told); o.state == printer.Queued {
					select {
					case <-time.After(100 * time.Millisecond):
					case <-ctx.Done():
					}
				}
			}
			got <- o
		}()
	}
	blocked := func() {
		t.Helper()
		select {
		case r := <-told:
			if r != printer.PaperOut {
				t.Fatalf("blocked for %q", r)
			}
		case o := <-got:
			t.Fatalf("%s, %v, before the paper ended", o.state, o.err)
		}
	}
	start(1)
	blocked()
	sim.SetPaper(devicesim.PaperOK)
	if o := <-got; o.state != printer.Printed {
		t.Fatalf("%s, %v, want printed", o.state, o.err)
	}
	if n := strings.Count(sim.Paper(), strings.Repeat("x", 30)+"\n"); n != 300 {
		t.Fatalf("%d of 300 lines on paper", n)
	}
	if g := sim.Garbage(); len(g) > 0 {
		t.Fatalf("garbage: %q", g)
	}

	sim.RunOutAfter(100)
	<-told // the first job goes on
	start(2)
	blocked()
	if err := pty.Unplug(); err != nil {
		t.Fatal(err)
	}
	if o := <-got; o.state != printer.Unknown {
		t.Fatalf("%s, %v, after the cable was pulled, want unknown", o.state, o.err)
	}
	state("offline", func(i devices.Info) bool { return i.State == devices.Offline })
}

// outcome is how a job ended.
type outcome struct {
	state printer.JobState
	err   error
}
