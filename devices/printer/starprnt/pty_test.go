//go:build linux

package starprnt_test

import (
	"context"
	"path/filepath"
	"testing"

	"storeagent/devices/devicesim"
	"storeagent/devices/port/serialport"
	"storeagent/devices/printer"
)

// TestRealPTY runs the driver over the kernel's terminal and the real serial library: a job that waits for paper, and
// the cable pulled in the middle of the next one.
func TestRealPTY(t *testing.T) {
	pty, err := devicesim.OpenPTY(filepath.Join(t.TempDir(), "printer"))
	if err != nil {
		t.Fatal(err)
	}
	sim := devicesim.NewStar(devicesim.StarOptions{Buffer: 512})
	simCtx, stopSim := context.WithCancel(t.Context())
	simEnded := make(chan struct{})
	go func() {
		defer close(simEnded)
		_ = sim.Serve(simCtx, pty)
	}()
	t.Cleanup(func() { stopSim(); _ = pty.Close(); <-simEnded })
	var ports serialport.Ports
	r := runOn(t, "serial:"+pty.Name()+"?baud=115200", ports.Open)
	r.ready(t)
	r.stopsAndGoesOn(t, sim)
	got := r.stop(t, 2, sim)
	if err := pty.Unplug(); err != nil {
		t.Fatal(err)
	}
	if o := <-got; o.state != printer.Unknown {
		t.Fatalf("state %s, %v, after the cable was pulled", o.state, o.err)
	}
	r.offline(t)
}
