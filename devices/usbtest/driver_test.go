//go:build linux && usbguest

package usbtest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/port/serialport"
	"storeagent/devices/port/usbport"
	"storeagent/devices/usbtest"
)

func table() port.Table {
	return port.Table{port.SchemeUSB: usbport.Open, port.SchemeFile: port.OpenFile, port.SchemeHIDRaw: port.HIDRaw{}.Open,
		port.SchemeEvdev: port.Evdev{}.Open, port.SchemeSerial: new(serialport.Ports).Open}
}

func opener(t *testing.T, text string) port.OpenFunc {
	t.Helper()
	a, err := port.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	return port.Bind(table(), a)
}

// device is a driver with a Link.
type device interface {
	devices.Device
	Wake()
}

// run runs a driver until the end of the test, and wakes it by the kernel's own word when something is plugged in.
func run(t *testing.T, d device) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.Run(ctx); err != nil {
			t.Errorf("%s: %v", d.Info().Name, err)
		}
	})
	wg.Go(func() {
		if err := devices.WatchHotplug(ctx, d.Wake); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func ready(t *testing.T, d device) {
	t.Helper()
	usbtest.Await(t, d.Info().Name+" is ready", func() bool { return d.Info().State == devices.Ready })
}

// trouble waits until a device has that problem.
func trouble(t *testing.T, d device, kind port.Kind) devices.Problem {
	t.Helper()
	var p devices.Problem
	usbtest.Await(t, d.Info().Name+" is "+string(kind), func() bool {
		if e := d.Info().LastError; e != nil {
			p = *e
		}
		return p.Code == string(kind)
	})
	if p.Hint == "" {
		t.Errorf("%s says no next step: %+v", d.Info().Name, p)
	}
	return p
}

// refused opens an address and expects that kind of failure.
func refused(t *testing.T, text string, want port.Kind) *port.Error {
	t.Helper()
	p, err := opener(t, text)(t.Context())
	if err == nil {
		_ = p.Close()
		t.Fatalf("%s opened", text)
	}
	var pe *port.Error
	if !errors.As(err, &pe) || pe.Kind != want || pe.Hint == "" {
		t.Fatalf("%s: %+v; want %s", text, err, want)
	}
	return pe
}

func next[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	limit := time.NewTimer(usbtest.Limit)
	defer limit.Stop()
	select {
	case v := <-from:
		return v
	case <-limit.C:
		t.Fatalf("never: %s", what)
		panic("unreachable")
	}
}
