//go:build linux && usbguest

package usbtest_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/scale"
	"storeagent/devices/usbtest"
)

// plugScale plugs a scale in; it talks whenever it is.
func plugScale(t *testing.T) (*devicesim.Scale, devicesim.USBScale) {
	t.Helper()
	sim := devicesim.NewScale(devicesim.ScaleOptions{})
	cable := devicesim.NewUSBScale(sim, devicesim.USBIdentity{VID: 0x0EB8, PID: 0xF000, Manufacturer: "SIM", Product: "Scale", Serial: "W1"})
	usbtest.Plug(t, cable, "/dev/hidraw0")
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			_ = cable.Serve(ctx) // until it is unplugged
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return sim, cable
}

// weigh asks again where an emulated machine takes longer than a scale may.
func weigh(t *testing.T, s *scale.HID, want string, unwanted error) {
	t.Helper()
	var r scale.Reading
	var err error
	usbtest.Await(t, "the scale answers", func() bool {
		r, err = s.Read(t.Context())
		return !errors.Is(err, scale.ErrNoAnswer) || errors.Is(unwanted, scale.ErrNoAnswer)
	})
	if !errors.Is(err, unwanted) || unwanted == nil && err != nil || r.Weight != want {
		t.Errorf("%+v, %v; want %q, %v", r, err, want, unwanted)
	}
}

// The scale driver on both kinds of USB port: it weighs a scale that talks by itself, asks one that does not, and finds it again
// after its cable was pulled.
func TestGuestScaleDriver(t *testing.T) {
	for _, address := range []string{"hidraw:0EB8:F000:W1", "usb:0EB8:F000:W1"} {
		t.Run(address, func(t *testing.T) {
			sim, cable := plugScale(t)
			sim.Put("01.250")
			s := scale.NewHID(scale.HIDConfig{Name: "deli", Port: address, Open: opener(t, address)})
			run(t, s)
			ready(t, s)
			weigh(t, s, "1.250", nil)
			for _, fault := range []struct {
				set  func(bool)
				want error
			}{{sim.SetMotion, scale.ErrNotStable}, {sim.SetOverload, scale.ErrOverload}, {sim.SetBelowZero, scale.ErrBelowZero}} {
				fault.set(true) // a report may be on its way
				usbtest.Await(t, "it shows "+fault.want.Error(), func() bool { return s.Info().Status.Text == fault.want.Error() })
				weigh(t, s, "", fault.want)
				fault.set(false)
				usbtest.Await(t, "it shows no more", func() bool { return s.Info().Status.Text == "" })
			}
			sim.SetOnChange(true)
			sim.Put("02.500")
			usbtest.Await(t, "the new weight", func() bool { r, err := s.Read(t.Context()); return err == nil && r.Weight == "2.500" })
			for range 2 { // it says nothing more by itself and is asked
				weigh(t, s, "2.500", nil)
			}
			sim.SetDeaf(true)
			usbtest.Await(t, "it is silent", func() bool { _, err := s.Read(t.Context()); return errors.Is(err, scale.ErrNoAnswer) })
			trouble(t, s, port.Silent)
			sim.SetDeaf(false)
			sim.SetOnChange(false)
			ready(t, s)
			if err := cable.Unplug(); err != nil {
				t.Fatal(err)
			}
			usbtest.Await(t, "its node goes", usbtest.Gone("/dev/hidraw0"))
			trouble(t, s, port.Missing)
			weigh(t, s, "", scale.ErrNoAnswer)
			sim.Put("00.005")
			if err := cable.Replug(); err != nil {
				t.Fatal(err)
			}
			ready(t, s)
			weigh(t, s, "0.005", nil)
		})
	}
}
