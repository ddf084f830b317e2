package scale_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/port"
	"storeagent/devices/port/porttest"
	"storeagent/devices/scale"
)

// reportPort is a pipe whose device can be asked, as hidraw nodes are.
type reportPort struct {
	net.Conn
	descriptor []byte
	sim        *devicesim.Scale
	asked      *atomic.Int64
	slow       *atomic.Bool // an answer takes two seconds
}

func (p reportPort) Descriptor() []byte { return p.descriptor }

func (p reportPort) InputReport(b []byte) (int, error) {
	p.asked.Add(1)
	report, ok := p.sim.HIDReport()
	if p.slow.Load() {
		time.Sleep(2 * time.Second)
	}
	if !ok {
		return 0, errors.New("stall")
	}
	return copy(b, report), nil
}

// hidCounter is a HID scale driver joined to a simulated scale.
type hidCounter struct {
	*scale.HID
	sim    *devicesim.Scale
	asked  atomic.Int64
	slow   atomic.Bool
	unplug func()
	stop   func()
}

func plugInHID(t *testing.T, descriptor []byte) *hidCounter {
	t.Helper()
	open, fars := porttest.Opener(t)
	c := &hidCounter{sim: devicesim.NewScale(devicesim.ScaleOptions{})}
	c.HID = scale.NewHID(scale.HIDConfig{Name: "deli", Port: "hidraw:0EB8:F000", Open: func(ctx context.Context) (port.Port, error) {
		p, err := open(ctx)
		if err != nil {
			return nil, err
		}
		return reportPort{p.(net.Conn), descriptor, c.sim, &c.asked, &c.slow}, nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	pull := make(chan struct{})
	c.unplug = func() { pull <- struct{}{} }
	go func() {
		defer close(done)
		for {
			select {
			case far := <-fars:
				plugged, gone := context.WithCancel(ctx)
				served := make(chan struct{})
				go func() {
					defer close(served)
					_ = c.sim.ServeReports(plugged, func(b []byte) error { _, err := far.Write(b); return err })
				}()
				select {
				case <-pull:
				case <-served:
				}
				gone()
				_ = far.Close()
				<-served
			case <-ctx.Done():
				return
			}
		}
	}()
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	c.stop = func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		<-done
	}
	return c
}

func TestHIDWeighs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plugInHID(t, nil)
		defer c.stop()
		c.sim.Put("01.250")
		r, err := c.Read(t.Context())
		if err != nil || r.Weight != "1.250" || r.Unit != "kg" || time.Since(r.At) > time.Second {
			t.Fatalf("got %+v, %v", r, err)
		}
		if c.Info().State != devices.Ready || c.asked.Load() != 0 {
			t.Errorf("%+v, asked %d times though it talks by itself", c.Info(), c.asked.Load())
		}
		for _, fault := range []struct {
			set  func(bool)
			want error
		}{
			{c.sim.SetMotion, scale.ErrNotStable}, {c.sim.SetOverload, scale.ErrOverload}, {c.sim.SetBelowZero, scale.ErrBelowZero},
			{func(on bool) { c.sim.SetHIDStatus(map[bool]byte{true: 7}[on]) }, scale.ErrFault},
		} {
			fault.set(true)
			if r, err := c.Read(t.Context()); !errors.Is(err, fault.want) || r != (scale.Reading{}) {
				t.Errorf("got %+v, %v, want %v", r, err, fault.want)
			}
			if i := c.Info(); i.State != devices.Ready || i.Status.Text == "" {
				t.Errorf("with %v it shows %+v", fault.want, i)
			}
			fault.set(false)
		}
		c.sim.Put("00.000")
		if r, err := c.Read(t.Context()); err != nil || r.Weight != "0.000" {
			t.Errorf("empty: %+v, %v", r, err)
		}
	})
}

// A call waits for rest: what is laid on while it waits is weighed.
func TestHIDWaitsForRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plugInHID(t, nil)
		defer c.stop()
		c.sim.Put("00.900")
		c.sim.SetMotion(true)
		go func() {
			<-time.After(500 * time.Millisecond)
			c.sim.Put("01.000")
			c.sim.SetMotion(false)
		}()
		if r, err := c.Read(t.Context()); err != nil || r.Weight != "1.000" {
			t.Errorf("got %+v, %v", r, err)
		}
	})
}

// A scale that talks only when its weight changes is asked, and what it said before the call is never given.
func TestHIDNeverAnOldWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plugInHID(t, nil)
		defer c.stop()
		c.sim.SetOnChange(true)
		c.sim.Put("02.000")
		<-time.After(10 * time.Second)
		before := c.asked.Load()
		if r, err := c.Read(t.Context()); err != nil || r.Weight != "2.000" || c.asked.Load() != before+1 {
			t.Fatalf("%+v, %v, asked %d times", r, err, c.asked.Load()-before)
		}
		c.sim.SetDeaf(true)
		if r, err := c.Read(t.Context()); !errors.Is(err, scale.ErrNoAnswer) || r != (scale.Reading{}) {
			t.Fatalf("a silent scale gave %+v, %v", r, err)
		}
		if i := c.Info(); i.State != devices.Offline || i.LastError == nil || i.LastError.Code != "silent" || i.LastError.Hint == "" {
			t.Errorf("info %+v", i)
		}
		c.sim.Put("03.000")
		c.sim.SetDeaf(false)
		<-time.After(time.Second)
		if i := c.Info(); i.State != devices.Ready || i.LastError != nil {
			t.Errorf("it talks again: %+v", i)
		}
		if r, err := c.Read(t.Context()); err != nil || r.Weight != "3.000" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

// An answer that comes after its call has ended answers no later call.
func TestHIDLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plugInHID(t, nil)
		defer c.stop()
		c.sim.SetOnChange(true)
		c.sim.Put("01.000")
		<-time.After(10 * time.Second)
		c.slow.Store(true)
		if _, err := c.Read(t.Context()); !errors.Is(err, scale.ErrNoAnswer) {
			t.Fatalf("%v", err)
		}
		c.sim.SetDeaf(true) // what is on the way now is the old weight
		c.sim.Put("02.000")
		if r, err := c.Read(t.Context()); !errors.Is(err, scale.ErrNoAnswer) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestHIDUnplug(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plugInHID(t, nil)
		defer c.stop()
		if _, err := c.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.sim.SetMotion(true) // so that the call waits
		done := make(chan error)
		go func() { _, err := c.Read(t.Context()); done <- err }()
		<-time.After(200 * time.Millisecond)
		c.unplug()
		if err := <-done; !errors.Is(err, scale.ErrNoAnswer) {
			t.Errorf("the call under way: %v", err)
		}
		c.sim.SetMotion(false)
		<-time.After(10 * time.Second)
		if r, err := c.Read(t.Context()); err != nil || r.Weight != "0.000" {
			t.Errorf("plugged in again: %+v, %v", r, err)
		}
	})
}

// A scanner or keyboard is no scale, and is told so.
func TestHIDWrongMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plugInHID(t, []byte{0x05, 0x01, 0x09, 0x06, 0xA1, 0x01, 0xC0})
		defer c.stop()
		<-time.After(time.Second)
		if i := c.Info(); i.State == devices.Ready || i.LastError == nil || i.LastError.Code != "wrong_mode" {
			t.Errorf("%+v", i)
		}
		if _, err := c.Read(t.Context()); !errors.Is(err, scale.ErrNoAnswer) {
			t.Errorf("%v", err)
		}
	})
}
