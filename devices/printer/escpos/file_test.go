package escpos_test

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/printer"
	"storeagent/devices/printer/escpos"
)

// patience is how long a real port may take before a test gives up.
const patience = 90 * time.Second

// TestPlainFile prints into a file, which never answers: the job is sent, and the file holds what a printer prints.
func TestPlainFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "paper")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	addr, err := port.ParseAddress("file:" + path)
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan devices.Info, 100)
	p, err := escpos.New(escpos.Config{Name: "front", OnChange: func(i devices.Info) { ready <- i },
		Open: func(ctx context.Context) (port.Port, error) { return port.OpenFile(ctx, addr) }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	select {
	case i := <-ready:
		if i.State != devices.Ready || !strings.Contains(i.Status.Text, "one-way") {
			t.Errorf("shows %+v", i)
		}
	case <-time.After(patience):
		t.Fatal("never ready")
	}
	doc := printer.Document{{Op: "text", Text: "Grüße €", Align: "center"}, {Op: "rule"}, {Op: "cut"}}
	state, err := p.Print(t.Context(), printer.Job{Seq: 1}, doc, make(tell, 10))
	if state != printer.Sent || err != nil {
		t.Fatalf("state %s, %v", state, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sim := devicesim.NewPrinter(devicesim.PrinterOptions{})
	_ = sim.Serve(t.Context(), struct {
		io.Reader
		io.Writer
	}{f, io.Discard})
	if got, want := sim.Paper(), printer.PreviewText(doc, p.Columns()); got != want {
		t.Fatalf("paper %q, want %q", got, want)
	}
}
