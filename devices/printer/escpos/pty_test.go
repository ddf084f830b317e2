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
	changes := make(chan devices.Info, 100)
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
	state := func(want devices.State) {
		t.Helper()
		for {
			select {
			case i := <-changes:
				if i.State == want {
					return
				}
			case <-time.After(30 * time.Second):
				t.Fatalf("never became %s: %+v", want, p.Info())
			}
		}
	}
	state(devices.Ready)

	var doc printer.Document
	for range 300 {
		doc = append(doc, printer.Op{Op: "text", Text: strings.Repeat("x", 30)})
	}
	doc = append(doc, printer.Op{Op: "cut"})
	sim.RunOutAfter(100)
	told := make(tell, 10)
	got := make(chan printer.JobState, 1)
	go func() {
		s, err := p.Print(t.Context(), printer.Job{Seq: 1}, doc, told)
		if err != nil {
			t.Log(err)
		}
		got <- s
	}()
	if r := <-told; r != printer.PaperOut {
		t.Fatalf("blocked for %q", r)
	}
	sim.SetPaper(devicesim.PaperOK)
	if s := <-got; s != printer.Printed {
		t.Fatalf("state %s, want printed", s)
	}
	if n := strings.Count(sim.Paper(), strings.Repeat("x", 30)+"\n"); n != 300 {
		t.Fatalf("%d of 300 lines on paper", n)
	}
	if g := sim.Garbage(); len(g) > 0 {
		t.Fatalf("garbage: %q", g)
	}

	sim.RunOutAfter(100)
	<-told // the first job goes on
	go func() {
		s, _ := p.Print(t.Context(), printer.Job{Seq: 2}, doc, told)
		got <- s
	}()
	if r := <-told; r != printer.PaperOut {
		t.Fatalf("blocked for %q", r)
	}
	if err := pty.Unplug(); err != nil {
		t.Fatal(err)
	}
	if s := <-got; s != printer.Unknown {
		t.Fatalf("state %s after the cable was pulled, want unknown", s)
	}
	state(devices.Offline)
}
