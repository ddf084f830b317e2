package scale_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/port/porttest"
	"storeagent/devices/scale"
)

// counter is a scale driver joined to a simulated scale by a cable.
type counter struct {
	*scale.Serial
	sim  *devicesim.Scale
	stop func()
}

func plugIn(t *testing.T, p scale.Protocol) *counter {
	t.Helper()
	open, fars := porttest.Opener(t)
	drv, err := scale.New(scale.Config{Name: "deli", Protocol: p, Open: open})
	if err != nil {
		t.Fatal(err)
	}
	sim := devicesim.NewScale(devicesim.ScaleOptions{Toledo: p == scale.Toledo})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		for {
			select {
			case far := <-fars:
				_ = sim.Serve(ctx, far)
			case <-ctx.Done():
				close(done)
				return
			}
		}
	}()
	ran := make(chan error, 1)
	go func() { ran <- drv.Run(ctx) }()
	return &counter{drv, sim, func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		<-done
	}}
}

func TestWeighs(t *testing.T) {
	for _, p := range []scale.Protocol{scale.NCI, scale.Toledo} {
		t.Run(string(p), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := plugIn(t, p)
				defer c.stop()
				c.sim.Put("01.250")
				r, err := c.Read(t.Context())
				if err != nil || r.Weight != "1.250" || r.Unit != "kg" || time.Since(r.At) > time.Second {
					t.Fatalf("got %+v, %v", r, err)
				}
				if c.Info().State != devices.Ready {
					t.Errorf("state %s", c.Info().State)
				}
				for _, fault := range []struct {
					set  func(bool)
					want error
				}{{c.sim.SetMotion, scale.ErrNotStable}, {c.sim.SetOverload, scale.ErrOverload}, {c.sim.SetBelowZero, scale.ErrBelowZero}} {
					fault.set(true)
					if r, err := c.Read(t.Context()); !errors.Is(err, fault.want) || r != (scale.Reading{}) {
						t.Errorf("got %+v, %v, want %v", r, err, fault.want)
					}
					fault.set(false)
				}
				c.sim.Put("00.000")
				if r, err := c.Read(t.Context()); err != nil || r.Weight != "0.000" {
					t.Errorf("empty: %+v, %v", r, err)
				}
			})
		})
	}
}

// TestNeverAnOldWeight: each call makes an exchange of its own, and a scale that fell silent gives nothing.
func TestNeverAnOldWeight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plugIn(t, scale.NCI)
		defer c.stop()
		c.sim.Put("02.000")
		if _, err := c.Read(t.Context()); err != nil {
			t.Fatal(err)
		}
		asked := c.sim.Asked()
		if _, err := c.Read(t.Context()); err != nil || c.sim.Asked() != asked+1 {
			t.Fatalf("%d questions for one call, %v", c.sim.Asked()-asked, err)
		}
		c.sim.SetDeaf(true)
		if r, err := c.Read(t.Context()); !errors.Is(err, scale.ErrNoAnswer) {
			t.Fatalf("a silent scale gave %+v, %v", r, err)
		}
		synctest.Wait()
		if i := c.Info(); i.State != devices.Offline || i.LastError == nil || i.LastError.Code != "silent" {
			t.Errorf("info %+v", i)
		}
		c.sim.SetDeaf(false)
		<-time.After(10 * time.Second) // fake time: the link opens again by itself
		if r, err := c.Read(t.Context()); err != nil || r.Weight != "2.000" {
			t.Errorf("after it came back: %+v, %v", r, err)
		}
	})
}

func TestIdleScaleIsMissedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := plugIn(t, scale.Toledo)
		defer c.stop()
		<-time.After(time.Second)
		if c.Info().State != devices.Ready {
			t.Fatalf("state %s", c.Info().State)
		}
		c.sim.SetDeaf(true)
		<-time.After(10 * time.Second)
		if c.Info().State != devices.Offline {
			t.Errorf("state %s after ten silent seconds", c.Info().State)
		}
	})
}

func TestOptions(t *testing.T) {
	if _, err := scale.New(scale.Config{Name: "deli", Protocol: "dialog"}); err == nil {
		t.Error("an unknown protocol was taken")
	}
	if _, err := scale.New(scale.Config{Name: "deli", Protocol: scale.NCI, Unit: "stone"}); err == nil {
		t.Error("an unknown unit was taken")
	}
}
