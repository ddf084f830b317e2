package starprnt_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/printer"
	"storeagent/devices/printer/starprnt"
)

// patience is how long a real port may take before a test gives up.
const patience = 60 * time.Second

// runOn runs a driver on an address of this machine, and gives its changes.
func runOn(t *testing.T, address string, open func(context.Context, port.Address) (port.Port, error)) (*starprnt.Printer, func(devices.State)) {
	t.Helper()
	addr, err := port.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	changes := make(chan devices.Info, 1000)
	p, err := starprnt.New(starprnt.Config{Name: "front", OnChange: func(i devices.Info) { changes <- i },
		Open: func(ctx context.Context) (port.Port, error) { return open(ctx, addr) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return p, func(want devices.State) {
		t.Helper()
		for {
			select {
			case i := <-changes:
				if i.State == want {
					return
				}
			case <-time.After(patience):
				t.Fatalf("never became %s: %+v", want, p.Info())
			}
		}
	}
}

// stopsAndGoesOn prints a long job that runs out of paper in its middle.
func stopsAndGoesOn(t *testing.T, p *starprnt.Printer, sim *devicesim.Star) {
	t.Helper()
	sim.RunOutAfter(100)
	told, got := start(t.Context(), p, 1, append(lines(300), printer.Op{Op: "cut"}))
	if r := <-told; r != printer.PaperOut {
		t.Fatalf("blocked for %q", r)
	}
	sim.SetPaper(devicesim.PaperOK)
	if r := <-got; r.state != printer.Printed {
		t.Fatalf("state %s, %v", r.state, r.err)
	}
	if n := strings.Count(sim.Paper(), "a line of the job\n"); n != 300 || len(sim.Garbage()) > 0 {
		t.Fatalf("%d of 300 lines on paper, garbage %q", n, sim.Garbage())
	}
}

// TestTCP runs the driver over a real network connection that the printer breaks off.
func TestTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sim := devicesim.NewStar(devicesim.StarOptions{Ethernet: true, Buffer: 512})
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = sim.Serve(t.Context(), c)
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-served })
	p, state := runOn(t, "tcp:"+l.Addr().String(), port.OpenTCP)
	state(devices.Ready)
	stopsAndGoesOn(t, p, sim)
	sim.FailAfter(300)
	_, got := start(t.Context(), p, 2, lines(300))
	if r := <-got; r.state != printer.Unknown {
		t.Fatalf("state %s, %v, after the printer lost its power", r.state, r.err)
	}
	state(devices.Offline)
	state(devices.Ready)
	_, got = start(t.Context(), p, 3, lines(1))
	if r := <-got; r.state != printer.Printed {
		t.Fatalf("state %s, %v", r.state, r.err)
	}
}

// TestPlainFile prints into a file, which never answers: the job is sent, and the file holds what a printer prints.
func TestPlainFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "paper")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, state := runOn(t, "file:"+path, port.OpenFile)
	state(devices.Ready)
	if text := p.Info().Status.Text; !strings.Contains(text, "one-way") {
		t.Errorf("status %q", text)
	}
	doc := printer.Document{{Op: "text", Text: "Grüße €", Align: "center"}, {Op: "rule"}, {Op: "cut"}}
	_, got := start(t.Context(), p, 1, doc)
	if r := <-got; r.state != printer.Sent || r.err != nil {
		t.Fatalf("state %s, %v", r.state, r.err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sim := devicesim.NewStar(devicesim.StarOptions{})
	_ = sim.Serve(t.Context(), struct {
		io.Reader
		io.Writer
	}{f, io.Discard})
	if got, want := sim.Paper(), printer.PreviewText(doc, p.Columns()); got != want || len(sim.Garbage()) > 0 {
		t.Fatalf("paper %q, want %q, garbage %q", got, want, sim.Garbage())
	}
}
