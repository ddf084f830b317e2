//go:build linux

package scanner_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/port/serialport"
	"storeagent/devices/scanner"
)

type channel chan scanner.Scan

func (c channel) Scanned(_ context.Context, s scanner.Scan) error { c <- s; return nil }
func (c channel) Refused(context.Context, string, int, time.Time) {}

// plugIn runs a scanner on a pty, as it would on /dev/ttyACM0; states carries each change of state.
func plugIn(t testing.TB) (pty *devicesim.PTY, scans channel, states <-chan devices.State) {
	t.Helper()
	pty, err := devicesim.OpenPTY(filepath.Join(t.TempDir(), "scanner"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := port.ParseAddress("serial:" + pty.Name() + "?baud=115200")
	if err != nil {
		t.Fatal(err)
	}
	scans = make(channel, 16)
	changed := make(chan devices.State, 16)
	table := port.Table{port.SchemeSerial: new(serialport.Ports).Open}
	s, err := scanner.New(scanner.Config{
		Name: "till", Open: port.Bind(table, a), Port: a.String(), Sink: scans,
		OnChange: func(i devices.Info) { changed <- i.State },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = pty.Close()
	})
	return pty, scans, changed
}

func wait(t *testing.T, states <-chan devices.State, want devices.State) {
	t.Helper()
	for s := range states {
		if s == want {
			return
		}
	}
}

func TestScannerOnPTY(t *testing.T) {
	pty, scans, states := plugIn(t)
	sim := devicesim.NewScanner(pty, devicesim.ScannerOptions{AIM: true, Suffix: "\r\n"})
	wait(t, states, devices.Ready)
	for range 3 {
		if err := sim.Scan("]E0", "4006381333931"); err != nil {
			t.Fatal(err)
		}
		if s := <-scans; s.Symbology != "ean13" || s.GTIN != "04006381333931" || s.AIM != "]E0" {
			t.Errorf("%+v", s)
		}
		if err := pty.Unplug(); err != nil {
			t.Fatal(err)
		}
		if err := sim.Scan("]E0", "4006381333931"); err == nil {
			t.Error("an unplugged scanner sent")
		}
		wait(t, states, devices.Offline)
		if err := pty.Replug(); err != nil {
			t.Fatal(err)
		}
		wait(t, states, devices.Ready)
	}
	if err := sim.Scan("]d2", "01\x1d\xff"); err != nil {
		t.Fatal(err)
	}
	if s := <-scans; s.Symbology != "gs1-datamatrix" || string(s.Data) != "01\x1d\xff" {
		t.Errorf("%+v", s)
	}
}

// BenchmarkScan is the time from the scanner's last byte to the Sink, over a pty.
func BenchmarkScan(b *testing.B) {
	pty, scans, states := plugIn(b)
	sim := devicesim.NewScanner(pty, devicesim.ScannerOptions{AIM: true})
	for s := range states {
		if s == devices.Ready {
			break
		}
	}
	for b.Loop() {
		if err := sim.Scan("]E0", "4006381333931"); err != nil {
			b.Fatal(err)
		}
		<-scans
	}
}
