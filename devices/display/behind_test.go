package display_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/display"
	"storeagent/devices/port"
	"storeagent/devices/printer"
	"storeagent/devices/printer/escpos"
	"storeagent/devices/printer/starprnt"
)

// counterTop is a printer with a display plugged into it, both simulated, and their drivers.
type counterTop struct {
	printer interface {
		printer.Printer
		display.Printer
	}
	display  *display.Display
	shows    *devicesim.Display
	paper    func() string
	garbage  func() []string
	setCover func(bool)
	setPaper func(devicesim.Paper)
	unplug   func(bool)
}

func setUp(t *testing.T, star bool) *counterTop {
	t.Helper()
	c := &counterTop{shows: devicesim.NewDisplay(false)}
	var serve func(ctx context.Context, rw net.Conn) error
	if star {
		sim := devicesim.NewStar(devicesim.StarOptions{Display: c.shows})
		serve = func(ctx context.Context, rw net.Conn) error { return sim.Serve(ctx, rw) }
		c.paper, c.garbage, c.setCover, c.setPaper = sim.Paper, sim.Garbage, sim.SetCover, sim.SetPaper
	} else {
		sim := devicesim.NewPrinter(devicesim.PrinterOptions{ProcessID: true, Display: c.shows})
		serve = func(ctx context.Context, rw net.Conn) error { return sim.Serve(ctx, rw) }
		c.paper, c.garbage, c.setCover, c.setPaper = sim.Paper, sim.Garbage, sim.SetCover, sim.SetPaper
	}
	var mu sync.Mutex
	var end net.Conn
	pulled := false
	var served sync.WaitGroup
	open := func(context.Context) (port.Port, error) {
		mu.Lock()
		defer mu.Unlock()
		if pulled {
			return nil, &port.Error{Op: "open", Address: "pipe", Kind: port.Missing, Err: errors.New("unplugged")}
		}
		served.Wait()
		ours, theirs := net.Pipe()
		end = theirs
		served.Go(func() { _ = serve(t.Context(), theirs); _ = theirs.Close() })
		return ours, nil
	}
	c.unplug = func(on bool) {
		mu.Lock()
		defer mu.Unlock()
		if pulled = on; on {
			_ = end.Close()
		}
	}
	var behind *display.Behind
	changed := func(devices.Info) {
		if behind != nil {
			behind.PrinterChanged()
		}
	}
	pass := display.PassESCPOS
	if star {
		p, err := starprnt.New(starprnt.Config{Name: "front", Open: open, OnChange: changed})
		if err != nil {
			t.Fatal(err)
		}
		c.printer, pass = p, display.PassStar
	} else {
		p, err := escpos.New(escpos.Config{Name: "front", Open: open, OnChange: changed})
		if err != nil {
			t.Fatal(err)
		}
		c.printer = p
	}
	behind = display.NewBehind(c.printer, pass)
	var err error
	if c.display, err = display.New(display.Config{Name: "pole", Port: "printer:front", Open: behind.Open}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- c.printer.Run(ctx) }()
	go func() { ended <- c.display.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
	})
	return c
}

// until lets fake time pass until f is true.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for range 3000 {
		synctest.Wait()
		if f() {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	t.Fatalf("never %s", what)
}

type untold struct{}

func (untold) Sending() error         { return nil }
func (untold) Blocked(printer.Reason) {}

func TestBehindPrinter(t *testing.T) {
	for name, star := range map[string]bool{"ESC/POS": false, "Star": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { behindPrinter(t, setUp(t, star)) })
		})
	}
}

// behindPrinter shows text before, while and after receipts are printed: both are whole, and neither shows up in the
// other. A printer that cannot print passes nothing on, and the last text is there again when it can.
func behindPrinter(t *testing.T, c *counterTop) {
	until(t, "ready", func() bool { return c.display.Info().State == devices.Ready })
	if err := c.display.Show(t.Context(), []string{"Grüße", "TOTAL    1.99 €"}); err != nil || c.shows.Lines() != [2]string{"Grüße", "TOTAL    1.99 €"} {
		t.Fatalf("%v, shows %q", err, c.shows.Lines())
	}
	doc := make(printer.Document, 100)
	for i := range doc {
		doc[i] = printer.Op{Op: "text", Text: "a line of the receipt"}
	}
	got := make(chan error, 6)
	for i := range 5 {
		go func() {
			state, err := c.printer.Print(t.Context(), printer.Job{Seq: int64(i + 1)}, doc, untold{})
			if err == nil && state != printer.Printed {
				err = errors.New(string(state))
			}
			got <- err
		}()
	}
	go func() { got <- c.display.Show(t.Context(), []string{"while it prints"}) }()
	for range 6 {
		if err := <-got; err != nil {
			t.Error(err)
		}
	}
	if n := strings.Count(c.paper(), "a line of the receipt\n"); n != 500 || len(c.paper()) != 500*22 || c.shows.Lines()[0] != "while it prints" {
		t.Errorf("%d lines on paper, shows %q", n, c.shows.Lines())
	}
	c.setCover(true)
	synctest.Wait()
	if err := c.display.Show(t.Context(), []string{"not now"}); !errors.Is(err, display.ErrOffline) || !strings.Contains(err.Error(), "cover is open") {
		t.Errorf("with an open cover: %v", err)
	}
	c.setCover(false)
	until(t, "ready again", func() bool { return c.display.Info().State == devices.Ready })
	c.unplug(true)
	until(t, "offline", func() bool { return c.display.Info().State == devices.Offline })
	if err := c.display.Show(t.Context(), []string{"not now"}); !errors.Is(err, display.ErrOffline) {
		t.Errorf("unplugged: %v", err)
	}
	c.shows.Pass([]byte{0x0C})
	c.unplug(false)
	until(t, "shown again", func() bool { return c.shows.Lines()[0] == "while it prints" })
	if g := c.garbage(); len(g) > 0 || c.shows.Garbage() > 0 {
		t.Errorf("garbage %q, %d on the display", g, c.shows.Garbage())
	}
	if n := len(c.paper()); n != 500*22 {
		t.Errorf("%d bytes on paper", n)
	}
}
