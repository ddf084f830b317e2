package escpos_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/printer"
	"storeagent/devices/printer/escpos"
)

// drawer is a driver with a simulated printer that has come up.
func drawer(t *testing.T, so devicesim.PrinterOptions, o escpos.Options) (*escpos.Printer, *devicesim.Printer, *cable) {
	t.Helper()
	p, sim, c := join(t, so, o)
	synctest.Wait()
	for p.Info().State != devices.Ready {
		<-time.After(100 * time.Millisecond)
		synctest.Wait()
	}
	return p, sim, c
}

func TestPulseBetweenJobs(t *testing.T) {
	for name, so := range map[string]devicesim.PrinterOptions{
		"process id":  {ProcessID: true},
		"GS r":        {NoPulse: true},
		"status only": {NoPulse: true, NoConfirm: true},
		"one way":     {NoPulse: true, Silent: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, sim, _ := drawer(t, so, escpos.Options{})
				for _, pin := range []int{2, 5, 5} {
					if err := p.Pulse(t.Context(), pin); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if sim.Pulses(2) != 1 || sim.Pulses(5) != 2 || len(sim.Garbage()) > 0 || sim.Paper() != "" {
					t.Errorf("%d and %d pulses, garbage %q, paper %q", sim.Pulses(2), sim.Pulses(5), sim.Garbage(), sim.Paper())
				}
				if err := p.Pulse(t.Context(), 3); err == nil || sim.Pulses(2)+sim.Pulses(5) != 3 {
					t.Errorf("pin 3: %v", err)
				}
			})
		})
	}
}

func TestPulseShowsTheDrawer(t *testing.T) {
	for _, noASB := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p, sim, _ := drawer(t, devicesim.PrinterOptions{ProcessID: true, NoASB: noASB}, escpos.Options{DrawerOpenLevel: "high"})
			if s := p.Info().Status; s.DrawerOpened == nil || *s.DrawerOpened {
				t.Fatalf("drawer is open before: %+v", s)
			}
			if err := p.Pulse(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			<-time.After(2 * time.Second)
			if s := p.Info().Status; s.DrawerOpened == nil || !*s.DrawerOpened {
				t.Errorf("noASB %v: drawer is closed: %+v", noASB, s)
			}
			_ = sim
		})
	}
}

// TestPulseWhileBlocked: a model with the real-time pulse opens the drawer whatever blocks it, but for an error; the
// others say what is in the way, and do not open the drawer when that is gone.
func TestPulseWhileBlocked(t *testing.T) {
	block := map[string]func(*devicesim.Printer, bool){
		"the cover is open": func(s *devicesim.Printer, on bool) { s.SetCover(on) },
		"the paper is out": func(s *devicesim.Printer, on bool) {
			s.SetPaper(map[bool]devicesim.Paper{true: devicesim.PaperOut}[on])
		},
		"the printer is offline":       func(s *devicesim.Printer, on bool) { s.SetOffline(on) },
		"the printer reports an error": func(s *devicesim.Printer, on bool) { s.SetFault(on) },
	}
	for what, set := range block {
		for _, able := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				p, sim, _ := drawer(t, devicesim.PrinterOptions{ProcessID: able, NoPulse: !able}, escpos.Options{})
				set(sim, true)
				synctest.Wait()
				err := p.Pulse(t.Context(), 2)
				synctest.Wait() // in real time it is taken, and not yet obeyed
				opens := able && what != "the printer reports an error"
				if (err == nil) != opens || sim.Pulses(2) != map[bool]int{true: 1}[opens] {
					t.Errorf("%s, real time %v: %v, %d pulses", what, able, err, sim.Pulses(2))
				}
				if !opens && !strings.Contains(err.Error(), "did not open: "+what) {
					t.Errorf("%s, real time %v: %v", what, able, err)
				}
				set(sim, false)
				<-time.After(time.Minute)
				if !opens && sim.Pulses(2) != 0 {
					t.Errorf("%s: the drawer opened afterwards", what)
				}
				if g := sim.Garbage(); len(g) > 0 {
					t.Errorf("%s: garbage %q", what, g)
				}
			})
		}
	}
}

// TestPulseInMidJob: the paper ends in the middle of a job; the drawer opens, and the job is finished as it was.
func TestPulseInMidJob(t *testing.T) {
	for _, able := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			p, sim, _ := drawer(t, devicesim.PrinterOptions{ProcessID: able, NoPulse: !able}, escpos.Options{})
			var doc printer.Document
			for range 60 {
				doc = append(doc, printer.Op{Op: "text", Text: "one line of a long receipt"})
			}
			sim.RunOutAfter(20)
			ended := make(chan printer.JobState, 1)
			go func() {
				state, err := p.Print(t.Context(), printer.Job{Seq: 7, Copies: 1}, doc, make(tell, 100))
				if err != nil {
					t.Errorf("print: %v", err)
				}
				ended <- state
			}()
			<-time.After(5 * time.Second)
			err := p.Pulse(t.Context(), 2)
			synctest.Wait()
			if (err == nil) != able || sim.Pulses(2) != map[bool]int{true: 1}[able] {
				t.Errorf("real time %v: %v, %d pulses", able, err, sim.Pulses(2))
			}
			if !able && (err == nil || !strings.Contains(err.Error(), "the paper is out")) {
				t.Errorf("says %v", err)
			}
			sim.SetPaper(devicesim.PaperOK)
			if state := <-ended; state != printer.Printed {
				t.Errorf("job ended %s", state)
			}
			if n := strings.Count(sim.Paper(), "one line of a long receipt\n"); n != 60 || len(sim.Garbage()) > 0 {
				t.Errorf("%d lines, garbage %q", n, sim.Garbage())
			}
		})
	}
}

// TestPulseAmidACommand: bytes in the middle of a command would spoil it, so the drawer stays closed, with a reason.
func TestPulseAmidACommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, sim, _ := drawer(t, devicesim.PrinterOptions{ProcessID: true, Buffer: 256}, escpos.Options{})
		sim.RunOutAfter(1)
		raw := append([]byte("first line\n"), bytes.Repeat([]byte("raw bytes "), 200)...)
		ended := make(chan printer.JobState, 1)
		go func() {
			state, _ := p.Print(t.Context(), printer.Job{Seq: 7, Copies: 1, Raw: raw}, nil, make(tell, 100))
			ended <- state
		}()
		<-time.After(5 * time.Second)
		err := p.Pulse(t.Context(), 2)
		synctest.Wait()
		var no *printer.NotReadyError
		if !errors.As(err, &no) || no.Reason != printer.PaperOut || !strings.Contains(err.Error(), "in the middle of a command") || sim.Pulses(2) != 0 {
			t.Errorf("%v, %d pulses", err, sim.Pulses(2))
		}
		sim.SetPaper(devicesim.PaperOK)
		if state := <-ended; state != printer.Printed {
			t.Errorf("job ended %s", state)
		}
	})
}

// TestPulseBound: an unplugged printer, or one that nobody runs, holds the till for seconds only.
func TestPulseBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, sim, c := drawer(t, devicesim.PrinterOptions{ProcessID: true}, escpos.Options{})
		c.unplug()
		synctest.Wait()
		bound, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := p.Pulse(bound, 2); err == nil || bound.Err() != nil || !strings.Contains(err.Error(), "can't be reached") {
			t.Errorf("unplugged: %v", err)
		}
		c.plug()
		<-time.After(time.Minute)
		if sim.Pulses(2) != 0 {
			t.Error("the drawer opened when the printer came back")
		}
		idle, err := escpos.New(escpos.Config{Name: "idle", Open: c.open})
		if err != nil {
			t.Fatal(err)
		}
		again, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := idle.Pulse(again, 2); err == nil || again.Err() != nil {
			t.Errorf("not running: %v", err)
		}
	})
}

// TestPulsesWhilePrinting: pulses that come while a job is printed leave its paper as it is without them.
func TestPulsesWhilePrinting(t *testing.T) {
	var doc printer.Document
	for range 30 {
		doc = append(doc, printer.Op{Op: "text", Text: "Grüße, Łódź, 3 €", Bold: true}, printer.Op{Op: "barcode", Symbology: "ean13", Data: "4006381333931"},
			printer.Op{Op: "qrcode", Data: "https://example.com/r/1"}, printer.Op{Op: "rule"})
	}
	for _, so := range []devicesim.PrinterOptions{{ProcessID: true}, {NoPulse: true}, {NoPulse: true, NoConfirm: true}, {NoPulse: true, Silent: true}} {
		var papers []string
		for _, pulses := range []int{0, 25} {
			synctest.Test(t, func(t *testing.T) {
				p, sim, _ := drawer(t, so, escpos.Options{})
				ended := make(chan error, pulses)
				for range pulses {
					go func() { ended <- p.Pulse(t.Context(), 2) }()
				}
				if state, err := p.Print(t.Context(), printer.Job{Seq: 7, Copies: 1}, doc, make(tell, 100)); err != nil || state != printer.Printed && state != printer.Sent {
					t.Fatalf("%s, %v", state, err)
				}
				opened := 0
				for range pulses {
					if err := <-ended; err == nil {
						opened++
					}
				}
				synctest.Wait()
				if sim.Pulses(2) != opened || pulses > 0 && opened == 0 || len(sim.Garbage()) > 0 {
					t.Errorf("%+v: %d said open, %d pulses, garbage %q", so, opened, sim.Pulses(2), sim.Garbage())
				}
				papers = append(papers, sim.Paper())
			})
		}
		if len(papers) != 2 || papers[0] != papers[1] {
			t.Errorf("%+v: the paper differs", so)
		}
	}
}
