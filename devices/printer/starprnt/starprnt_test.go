package starprnt_test

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
	"storeagent/devices/port"
	"storeagent/devices/printer"
	"storeagent/devices/printer/escpos"
	"storeagent/devices/printer/printertest"
	"storeagent/devices/printer/starprnt"
)

// cable joins the driver with a simulated printer, by a new pipe each time the port is opened.
type cable struct {
	sim *devicesim.Star
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
func join(t *testing.T, so devicesim.StarOptions, o starprnt.Options) (*starprnt.Printer, *devicesim.Star, *cable) {
	t.Helper()
	c := &cable{sim: devicesim.NewStar(so), ctx: t.Context()}
	p, err := starprnt.New(starprnt.Config{Name: "front", Open: c.open, Options: o})
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

func harness(so devicesim.StarOptions, o starprnt.Options) printertest.Harness {
	return printertest.Harness{New: func(t *testing.T, kind printertest.Kind) printertest.Device {
		so := so
		switch kind {
		case printertest.StatusOnly:
			so.NoCounter, so.ShortStatus = true, true
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

// TestSuite runs the suite of all printers on each way that a Star printer talks.
func TestSuite(t *testing.T) {
	for name, so := range map[string]devicesim.StarOptions{
		"document counter":          {},
		"document counter, network": {Ethernet: true},
		"ETB counter":               {NoCounter: true},
		"ETB counter, network":      {NoCounter: true, Ethernet: true},
	} {
		t.Run(name, func(t *testing.T) {
			printertest.Suite(t, harness(so, starprnt.Options{}))
		})
	}
}

// TestSuiteLineMode runs it on a printer of Star Line Mode with small paper.
func TestSuiteLineMode(t *testing.T) {
	printertest.Suite(t, harness(devicesim.StarOptions{LineMode: true, Columns: 32}, starprnt.Options{Profile: "TSP650II", Columns: 32}))
}

// tell passes on what a job is blocked for.
type tell chan printer.Reason

func (tell) Sending() error             { return nil }
func (t tell) Blocked(r printer.Reason) { t <- r }

// ready waits for the printer to be ready.
func ready(t *testing.T, p printer.Printer) {
	t.Helper()
	synctest.Wait()
	for range 6000 {
		if p.Info().State == devices.Ready {
			return
		}
		<-time.After(100 * time.Millisecond)
		synctest.Wait()
	}
	t.Fatalf("never ready: %+v", p.Info())
}

// printed sends a document through the driver to a simulated printer.
func printed(t *testing.T, sim *devicesim.Star, p printer.Printer, doc printer.Document) {
	t.Helper()
	ready(t, p)
	state, err := p.Print(t.Context(), printer.Job{Seq: 7, Copies: 1}, doc, make(tell, 100))
	if state != printer.Printed || err != nil {
		t.Fatalf("state %s, %v", state, err)
	}
	if g := sim.Garbage(); len(g) > 0 {
		t.Fatalf("the printer did not understand: %q", g)
	}
}

// lines is a document of n equal lines.
func lines(n int) printer.Document {
	doc := make(printer.Document, n)
	for i := range doc {
		doc[i] = printer.Op{Op: "text", Text: "a line of the job"}
	}
	return doc
}

// print starts a job.
func start(ctx context.Context, p printer.Printer, seq int64, doc printer.Document) (tell, <-chan result) {
	told, got := make(tell, 1000), make(chan result, 1)
	go func() {
		s, err := p.Print(ctx, printer.Job{Seq: seq, Copies: 1}, doc, told)
		got <- result{s, err}
	}()
	return told, got
}

type result struct {
	state printer.JobState
	err   error
}

// TestOnlyAsked: a printer that only speaks when asked, or that cannot be asked while it speaks by itself, is asked while
// a job waits for its end, and what it does not take is not sent twice.
func TestOnlyAsked(t *testing.T) {
	for name, so := range map[string]devicesim.StarOptions{
		"knows no unasked status":     {NoASB: true},
		"the same, with ETB":          {NoASB: true, NoCounter: true},
		"ignores questions meanwhile": {AskOff: true},
	} {
		for size, n := range map[string]int{"small": 5, "larger than the buffer": 1000} {
			t.Run(name+", "+size, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p, sim, _ := join(t, so, starprnt.Options{})
					printed(t, sim, p, lines(1))
					sim.RunOutAfter(2)
					told, got := start(t.Context(), p, 9, lines(n))
					if r := <-told; r != printer.PaperOut && r != printer.OfflineState {
						t.Fatalf("blocked for %q", r)
					}
					sim.SetPaper(devicesim.PaperOK)
					if r := <-got; r.state != printer.Printed {
						t.Fatalf("state %s, %v", r.state, r.err)
					}
					if got := strings.Count(sim.Paper(), "a line of the job\n"); got != n+1 {
						t.Fatalf("%d lines on paper, want %d", got, n+1)
					}
				})
			})
		}
	}
}

// TestUnplugAtEveryByte pulls the cable after each byte of a job: the job is never called printed unless all of it is
// on paper, and the next one is whole whatever was cut off.
func TestUnplugAtEveryByte(t *testing.T) {
	doc := printer.Document{{Op: "text", Text: "Grüße, 3 €", Bold: true, Width: 2}, {Op: "barcode", Symbology: "code128", Data: "A1%B2"},
		{Op: "qrcode", Data: "https://example.com/r/1"}, {Op: "image", PNG: dots(t, 32, 20)}, {Op: "cut"}}
	for _, so := range []devicesim.StarOptions{{}, {NoCounter: true}, {Ethernet: true}, {Silent: true}} {
		whole := 0
		for at := 1; whole < 3 && at < 2000; at++ {
			synctest.Test(t, func(t *testing.T) {
				p, sim, _ := join(t, so, starprnt.Options{})
				ready(t, p)
				sim.FailAfter(at)
				_, got := start(t.Context(), p, 1, doc)
				r := <-got
				paper := printer.PreviewText(doc, p.Columns())
				switch r.state {
				case printer.Printed:
					if sim.Paper() != paper {
						t.Fatalf("printed, cut off after %d bytes, and on paper is %q", at, sim.Paper())
					}
					whole++
				case printer.Sent:
					if !so.Silent {
						t.Fatalf("sent, cut off after %d bytes", at)
					}
					whole++
				case printer.Unknown, printer.Queued:
				default:
					t.Fatalf("state %s, %v, cut off after %d bytes", r.state, r.err, at)
				}
				if r.state == printer.Queued && strings.Contains(sim.Paper(), "Gr") {
					t.Fatalf("not begun, cut off after %d bytes, and on paper is %q", at, sim.Paper())
				}
				synctest.Wait()
				sim.FailAfter(0)
				before := sim.Paper()
				_, got = start(t.Context(), p, 2, lines(2))
				for r = <-got; r.state == printer.Queued; r = <-got { // as the spooler does
					<-time.After(time.Second)
					_, got = start(t.Context(), p, 2, lines(2))
				}
				synctest.Wait()
				if after := strings.TrimPrefix(sim.Paper(), before); after != "a line of the job\na line of the job\n" || len(sim.Garbage()) > 0 {
					t.Fatalf("cut off after %d bytes, the next job is %s (%v) and shows %q, garbage %q", at, r.state, r.err, after, sim.Garbage())
				}
			})
		}
		if whole < 3 {
			t.Errorf("%+v: the job never came through", so)
		}
	}
}

// TestCutInMidCommand pulls only the cable, so that the printer keeps the beginning of a command: the next job must not
// be taken for its rest.
func TestCutInMidCommand(t *testing.T) {
	big := printer.Document{{Op: "text", Text: "lost"}, {Op: "image", PNG: dots(t, 400, 1000)}}
	for _, o := range []struct {
		so devicesim.StarOptions
		o  starprnt.Options
	}{{}, {so: devicesim.StarOptions{LineMode: true}, o: starprnt.Options{Profile: "TSP650II"}}} {
		synctest.Test(t, func(t *testing.T) {
			p, sim, c := join(t, o.so, o.o)
			printed(t, sim, p, lines(1))
			sim.RunOutAfter(1)
			told, got := start(t.Context(), p, 8, big)
			if r := <-told; r != printer.PaperOut {
				t.Fatalf("blocked for %q", r)
			}
			c.unplug()
			if r := <-got; r.state != printer.Unknown {
				t.Fatalf("state %s", r.state)
			}
			c.plug()
			sim.SetPaper(devicesim.PaperOK)
			printed(t, sim, p, printer.Document{{Op: "text", Text: "next"}})
			if got := sim.Paper(); !strings.HasPrefix(got, "a line of the job\nlost\n") || !strings.HasSuffix(got, "\nnext\n") || strings.Count(got, "next") != 1 {
				t.Fatalf("paper %q", got)
			}
		})
	}
}

// TestSwitchedOffAndOn: behind a cable that does not tell, the printer is off for a moment in the middle of a job. What
// is left of it comes out, and its counter is what tells that this is not all.
func TestSwitchedOffAndOn(t *testing.T) {
	for _, so := range []devicesim.StarOptions{{}, {NoCounter: true}} {
		synctest.Test(t, func(t *testing.T) {
			p, sim, _ := join(t, so, starprnt.Options{})
			printed(t, sim, p, lines(1))
			sim.RunOutAfter(10)
			told, got := start(t.Context(), p, 9, lines(600))
			if r := <-told; r != printer.PaperOut {
				t.Fatalf("blocked for %q", r)
			}
			sim.SetPower(false)
			sim.SetPower(true)
			sim.SetPaper(devicesim.PaperOK)
			if r := <-got; r.state != printer.Unknown || !strings.Contains(r.err.Error(), "switched off") {
				t.Fatalf("state %s, %v", r.state, r.err)
			}
			printed(t, sim, p, lines(1))
		})
	}
}

// TestStaysOff: it is not switched on again; the job must not wait for ever, though a printer without paper may.
func TestStaysOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, sim, _ := join(t, devicesim.StarOptions{Buffer: 64 << 10}, starprnt.Options{})
		printed(t, sim, p, lines(1))
		sim.RunOutAfter(2)
		told, got := start(t.Context(), p, 9, lines(5))
		if r := <-told; r != printer.PaperOut {
			t.Fatalf("blocked for %q", r)
		}
		<-time.After(2 * time.Hour)
		select {
		case r := <-got:
			t.Fatalf("state %s while the printer waits for paper", r.state)
		default:
		}
		sim.SetPower(false)
		if r := <-got; r.state != printer.Unknown {
			t.Fatalf("state %s", r.state)
		}
		sim.SetPaper(devicesim.PaperOK)
		sim.SetPower(true)
		printed(t, sim, p, lines(1))
	})
}

// TestLostBytes: a printer that says that its buffer overflowed did not print everything.
func TestLostBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, sim, _ := join(t, devicesim.StarOptions{}, starprnt.Options{})
		ready(t, p)
		sim.RunOutAfter(1)
		told, got := start(t.Context(), p, 9, lines(3))
		<-told
		sim.SetOverflow()
		sim.SetPaper(devicesim.PaperOK)
		if r := <-got; r.state != printer.Unknown || !strings.Contains(r.err.Error(), "flow control") {
			t.Fatalf("state %s, %v", r.state, r.err)
		}
	})
}

// TestReasons: each trouble of the printer is told as what it is, and the job goes on by itself afterwards.
func TestReasons(t *testing.T) {
	for reason, set := range map[printer.Reason]func(*devicesim.Star, bool){
		printer.CoverOpen:    func(s *devicesim.Star, on bool) { s.SetCover(on) },
		printer.ErrorState:   func(s *devicesim.Star, on bool) { s.SetFault(on) },
		printer.OfflineState: func(s *devicesim.Star, on bool) { s.SetOffline(on) },
	} {
		synctest.Test(t, func(t *testing.T) {
			p, sim, _ := join(t, devicesim.StarOptions{}, starprnt.Options{})
			ready(t, p)
			sim.RunOutAfter(2)
			told, got := start(t.Context(), p, 9, lines(5))
			<-told
			set(sim, true)
			sim.SetPaper(devicesim.PaperOK)
			for r := range told {
				if r == reason {
					break
				}
			}
			set(sim, false)
			if r := <-got; r.state != printer.Printed {
				t.Fatalf("%s: state %s, %v", reason, r.state, r.err)
			}
			if n := strings.Count(sim.Paper(), "a line of the job\n"); n != 5 {
				t.Fatalf("%s: %d lines", reason, n)
			}
		})
	}
}

// TestNearEndAndModel: what the status shows besides.
func TestNearEndAndModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, sim, _ := join(t, devicesim.StarOptions{Model: "TSP143IV Ver2.1", Ethernet: true}, starprnt.Options{})
		ready(t, p)
		sim.SetPaper(devicesim.PaperNear)
		synctest.Wait()
		info := p.Info()
		if info.Model != "TSP143IV" || info.Status.RecNearEnd == nil || !*info.Status.RecNearEnd || *info.Status.RecEmpty || info.State != devices.Ready {
			t.Errorf("%+v", info)
		}
	})
}

// TestOtherLanguage: an ESC/POS printer is told from one that cannot answer, with the name of its driver.
func TestOtherLanguage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := devicesim.NewPrinter(devicesim.PrinterOptions{ProcessID: true})
		p, err := starprnt.New(starprnt.Config{Name: "front", Open: func(context.Context) (port.Port, error) {
			ours, theirs := net.Pipe()
			go func() { _ = sim.Serve(t.Context(), theirs); _ = theirs.Close() }()
			return ours, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { ended <- p.Run(ctx) }()
		<-time.After(time.Minute)
		synctest.Wait()
		info := p.Info()
		if info.State != devices.Offline || info.LastError == nil || !strings.Contains(info.LastError.Hint, `"escpos"`) || !strings.Contains(info.LastError.Message, "ESC/POS") {
			t.Errorf("%+v, %+v", info, info.LastError)
		}
		if sim.Paper() != "" {
			t.Errorf("it printed %q", sim.Paper())
		}
		cancel()
		<-ended
	})
}

// TestPulse opens drawers: between jobs, while paper or cover block, and not where an error stops the printer.
func TestPulse(t *testing.T) {
	for _, able := range []bool{true, false} {
		for what, set := range map[string]func(*devicesim.Star, bool){
			"":                             func(*devicesim.Star, bool) {},
			"the cover is open":            func(s *devicesim.Star, on bool) { s.SetCover(on) },
			"the printer reports an error": func(s *devicesim.Star, on bool) { s.SetFault(on) },
		} {
			synctest.Test(t, func(t *testing.T) {
				profile := map[bool]string{true: "star-80mm", false: "SM-L300"}[able]
				p, sim, _ := join(t, devicesim.StarOptions{}, starprnt.Options{Profile: profile, DrawerOpenLevel: "high"})
				ready(t, p)
				set(sim, true)
				synctest.Wait()
				for _, pin := range []int{2, 5} {
					err := p.Pulse(t.Context(), pin)
					synctest.Wait() // at once it is taken, and not yet obeyed
					opens := what == "" || able && what == "the cover is open"
					if (err == nil) != opens || sim.Pulses(pin) != map[bool]int{true: 1}[opens] {
						t.Errorf("%q, at once %v: %v, %d pulses", what, able, err, sim.Pulses(pin))
					}
					if !opens && !strings.Contains(err.Error(), "did not open: "+what) {
						t.Errorf("%q: %v", what, err)
					}
				}
				set(sim, false)
				<-time.After(time.Minute)
				synctest.Wait()
				if open := p.Info().Status.DrawerOpened; open == nil || *open != (sim.Pulses(2) > 0) || sim.Pulses(2) > 1 {
					t.Errorf("%q: opened %v, %d pulses", what, open, sim.Pulses(2))
				}
				if g := sim.Garbage(); len(g) > 0 {
					t.Errorf("garbage %q", g)
				}
			})
		}
	}
}

// line keeps what came over it.
type line struct {
	mu  sync.Mutex
	got []byte
}

func (l *line) add(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.got = append(l.got, b...)
}

// take gives what came since the last time.
func (l *line) take() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	got := l.got
	l.got = nil
	return got
}

// listen starts a driver on a line that only goes one way.
func listen(t *testing.T, o starprnt.Options) (*starprnt.Printer, *line) {
	t.Helper()
	line := &line{}
	p, err := starprnt.New(starprnt.Config{Name: "front", Options: o, Open: func(context.Context) (port.Port, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			buf := make([]byte, 512)
			for {
				n, err := theirs.Read(buf)
				line.add(buf[:n])
				if err != nil {
					return
				}
			}
		}()
		return ours, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return p, line
}

// TestStarWithTheOtherDriver: the ESC/POS driver tells a Star printer from one that cannot answer, also where that speaks
// unasked from the start, and prints nothing on it.
func TestStarWithTheOtherDriver(t *testing.T) {
	for _, so := range []devicesim.StarOptions{{}, {Ethernet: true}, {LineMode: true, ShortStatus: true}} {
		synctest.Test(t, func(t *testing.T) {
			c := &cable{sim: devicesim.NewStar(so), ctx: t.Context()}
			p, err := escpos.New(escpos.Config{Name: "front", Open: c.open})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { ended <- p.Run(ctx) }()
			<-time.After(time.Minute)
			synctest.Wait()
			info := p.Info()
			if info.State != devices.Offline || info.LastError == nil || !strings.Contains(info.LastError.Hint, `"starprnt"`) || !strings.Contains(info.LastError.Message, "language of Star") {
				t.Errorf("%+v, %+v", info, info.LastError)
			}
			if c.sim.Paper() != "" || len(c.sim.Garbage()) > 0 {
				t.Errorf("it printed %q, garbage %q", c.sim.Paper(), c.sim.Garbage())
			}
			cancel()
			<-ended
		})
	}
}
