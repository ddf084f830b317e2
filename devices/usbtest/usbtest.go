// Package usbtest helps tests that plug simulated devices into a real kernel, in the virtual machine of "make usb".
//
// It is called by tests with the build tag usbguest; its own are those of drivers and kernel together. It imports no
// driver. Devices are plugged in through vhci-hcd (kernel, Documentation/usb/usbip_protocol.rst).
package usbtest

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Limit is how long the kernel of an emulated machine may take for anything; a test that meets it has failed.
const Limit = 3 * time.Minute

// Cable is the plug of a simulated device.
type Cable interface {
	Replug() error
	Unplug() error
	Close() error
}

// Guest fails a test that runs without a kernel that takes simulated devices.
func Guest(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/sys/devices/platform/vhci_hcd.0"); err != nil {
		t.Fatalf("this test needs the virtual machine of \"make usb\": %v", err)
	}
}

// Await waits until the kernel, or whatever else, has done something.
func Await(t testing.TB, what string, done func() bool) {
	t.Helper()
	end := time.NewTimer(Limit)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("never: %s", what)
		}
	}
}

// Exists tells whether a path that fits the pattern is there.
func Exists(pattern string) func() bool {
	return func() bool { paths, err := filepath.Glob(pattern); return err == nil && len(paths) > 0 }
}

// Gone tells whether none is.
func Gone(pattern string) func() bool { return func() bool { return !Exists(pattern)() } }

// Plug plugs the device in and waits for its node; at the end of the test it waits until the node is gone.
func Plug(t testing.TB, d Cable, node string) {
	t.Helper()
	Guest(t)
	Replug(t, d, node)
	t.Cleanup(func() {
		_ = d.Close()
		Await(t, node+" goes", Gone(node))
	})
}

// Replug plugs it in again.
func Replug(t testing.TB, d Cable, node string) {
	t.Helper()
	if err := d.Replug(); err != nil {
		t.Fatal(err)
	}
	Await(t, node+" comes", Exists(node))
}

// Unplug pulls it out and waits until the node is gone.
func Unplug(t testing.TB, d Cable, node string) {
	t.Helper()
	if err := d.Unplug(); err != nil {
		t.Fatal(err)
	}
	Await(t, node+" goes", Gone(node))
}
