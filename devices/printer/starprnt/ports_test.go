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
const patience = 90 * time.Second

// rig is a driver on an address of this machine.
type rig struct {
	*starprnt.Printer
	ctx     context.Context // until the end of the test
	changes chan devices.Info
}

func runOn(t *testing.T, address string, open func(context.Context, port.Address) (port.Port, error)) *rig {
	t.Helper()
	addr, err := port.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{changes: make(chan devices.Info, 1000)}
	r.Printer, err = starprnt.New(starprnt.Config{Name: "front", OnChange: func(i devices.Info) { r.changes <- i },
		Open: func(ctx context.Context) (port.Port, error) { return open(ctx, addr) }})
	if err != nil {
		t.Fatal(err)
	}
	var cancel context.CancelFunc
	r.ctx, cancel = context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(r.ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// await waits for a change.
func (r *rig) await(t *testing.T, what string, is func(devices.Info) bool) {
	t.Helper()
	for {
		select {
		case i := <-r.changes:
			if is(i) {
				return
			}
		case <-time.After(patience):
			t.Fatalf("never %s: %+v", what, r.Info())
		}
	}
}

// ready waits for a printer that answers. One that was too slow at first is taken for one that cannot; once it is heard
// it is asked again.
func (r *rig) ready(t *testing.T) {
	t.Helper()
	r.await(t, "ready", func(i devices.Info) bool { return i.State == devices.Ready && i.Status.CoverOpen != nil })
}

func (r *rig) offline(t *testing.T) {
	t.Helper()
	r.await(t, "offline", func(i devices.Info) bool { return i.State == devices.Offline })
}

// job starts a job, again and again while the printer is too slow to answer, as the spooler does.
func (r *rig) job(seq int64, doc printer.Document) (tell, <-chan result) {
	told, got := make(tell, 1000), make(chan result, 1)
	go func() {
		o := result{state: printer.Queued}
		for o.state == printer.Queued && r.ctx.Err() == nil {
			if o.state, o.err = r.Print(r.ctx, printer.Job{Seq: seq, Copies: 1}, doc, told); o.state == printer.Queued {
				select {
				case <-time.After(100 * time.Millisecond):
				case <-r.ctx.Done():
				}
			}
		}
		got <- o
	}()
	return told, got
}

// stop starts a job of 300 lines that runs out of paper in its middle.
func (r *rig) stop(t *testing.T, seq int64, sim *devicesim.Star) <-chan result {
	t.Helper()
	sim.RunOutAfter(100)
	told, got := r.job(seq, append(lines(300), printer.Op{Op: "cut"}))
	select {
	case why := <-told:
		if why != printer.PaperOut {
			t.Fatalf("blocked for %q", why)
		}
	case o := <-got:
		t.Fatalf("%s, %v, before the paper ended", o.state, o.err)
	}
	return got
}

// stopsAndGoesOn prints a long job that runs out of paper in its middle.
func (r *rig) stopsAndGoesOn(t *testing.T, sim *devicesim.Star) {
	t.Helper()
	got := r.stop(t, 1, sim)
	sim.SetPaper(devicesim.PaperOK)
	if o := <-got; o.state != printer.Printed {
		t.Fatalf("state %s, %v", o.state, o.err)
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
	r := runOn(t, "tcp:"+l.Addr().String(), port.OpenTCP)
	r.ready(t)
	r.stopsAndGoesOn(t, sim)
	sim.FailAfter(1000)
	_, got := r.job(2, lines(300))
	if o := <-got; o.state != printer.Unknown {
		t.Fatalf("state %s, %v, after the printer lost its power", o.state, o.err)
	}
	r.offline(t)
	r.ready(t)
	_, got = r.job(3, lines(1))
	if o := <-got; o.state != printer.Printed {
		t.Fatalf("state %s, %v", o.state, o.err)
	}
}

// TestPlainFile prints into a file, which never answers: the job is sent, and the file holds what a printer prints.
func TestPlainFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "paper")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := runOn(t, "file:"+path, port.OpenFile)
	r.await(t, "ready", func(i devices.Info) bool { return i.State == devices.Ready })
	if text := r.Info().Status.Text; !strings.Contains(text, "one-way") {
		t.Errorf("status %q", text)
	}
	doc := printer.Document{{Op: "text", Text: "Grüße €", Align: "center"}, {Op: "rule"}, {Op: "cut"}}
	_, got := r.job(1, doc)
	if o := <-got; o.state != printer.Sent || o.err != nil {
		t.Fatalf("state %s, %v", o.state, o.err)
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
	if got, want := sim.Paper(), printer.PreviewText(doc, r.Columns()); got != want || len(sim.Garbage()) > 0 {
		t.Fatalf("paper %q, want %q, garbage %q", got, want, sim.Garbage())
	}
}
