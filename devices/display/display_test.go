package display_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/display"
	"storeagent/devices/port"
	"storeagent/devices/port/porttest"
)

// pole is a display driver joined to a simulated display. unplug pulls the cable until plug puts it back.
type pole struct {
	*display.Display
	sim          *devicesim.Display
	plug, unplug func()
	stop         func()
}

func plugIn(t *testing.T, commands display.Commands) *pole {
	t.Helper()
	cable, fars := porttest.Opener(t)
	var pulled atomic.Bool
	open := func(ctx context.Context) (port.Port, error) {
		if pulled.Load() {
			return nil, &port.Error{Op: "open", Address: "pipe", Kind: port.Missing, Err: errors.New("pulled")}
		}
		return cable(ctx)
	}
	drv, err := display.New(display.Config{Name: "pole", Open: open, Commands: commands})
	if err != nil {
		t.Fatal(err)
	}
	p := &pole{Display: drv, sim: devicesim.NewDisplay(commands == display.CD5220)}
	ctx, cancel := context.WithCancel(t.Context())
	var far port.Port
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case far = <-fars:
				_ = p.sim.Serve(ctx, far)
			case <-ctx.Done():
				return
			}
		}
	}()
	ran := make(chan error, 1)
	go func() { ran <- drv.Run(ctx) }()
	synctest.Wait()
	p.plug = func() { pulled.Store(false) }
	p.unplug = func() {
		pulled.Store(true)
		_ = far.Close()
	}
	p.stop = func() {
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		<-done
	}
	return p
}

func TestShows(t *testing.T) {
	for _, commands := range []display.Commands{display.ESCPOS, display.CD5220} {
		t.Run(string(commands), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := plugIn(t, commands)
				defer p.stop()
				for _, lines := range [][]string{
					{"Highlighter   1.99 €", "TOTAL         1.99 €"}, {"Grüße"}, {}, {"", "12345678901234567890"}, {"cafe\u0301"},
				} {
					if err := p.Show(t.Context(), lines); err != nil {
						t.Fatalf("%q: %v", lines, err)
					}
					synctest.Wait()
					want := [2]string{}
					copy(want[:], lines)
					if want[0] == "cafe\u0301" {
						want[0] = "café"
					}
					if got := p.sim.Lines(); got != want || p.sim.Garbage() != 0 {
						t.Errorf("%q: shows %q, %d bytes of garbage", lines, got, p.sim.Garbage())
					}
				}
			})
		})
	}
}

func TestRefusesWhatItCannotShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plugIn(t, display.ESCPOS)
		defer p.stop()
		if err := p.Show(t.Context(), []string{"kept"}); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			lines []string
			field string
		}{
			{[]string{"123456789012345678901"}, "lines[0]"}, {[]string{"a", "日本"}, "lines[1]"}, {[]string{"a\x1b@"}, "lines[0]"},
			{[]string{"a", "b", "c"}, "lines"},
		} {
			var bad *display.TextError
			if err := p.Show(t.Context(), tc.lines); !errors.As(err, &bad) || bad.Field != tc.field {
				t.Errorf("%q: %v", tc.lines, err)
			}
		}
		synctest.Wait()
		if got := p.sim.Lines(); got[0] != "kept" {
			t.Errorf("a refused text changed the display: %q", got)
		}
	})
}

func TestComesBackWithItsText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := plugIn(t, display.ESCPOS)
		defer p.stop()
		if err := p.Show(t.Context(), []string{"Thank you"}); err != nil {
			t.Fatal(err)
		}
		p.unplug()
		if err := p.Show(t.Context(), []string{"lost"}); !errors.Is(err, display.ErrOffline) {
			t.Fatalf("show on a pulled cable: %v", err)
		}
		p.plug()
		<-time.After(10 * time.Second)
		synctest.Wait()
		if got := p.sim.Lines(); got[0] != "Thank you" || p.Info().State != devices.Ready {
			t.Errorf("came back %s with %q", p.Info().State, got)
		}
	})
}

func TestOptions(t *testing.T) {
	if _, err := display.New(display.Config{Name: "pole", Commands: "vfd"}); err == nil {
		t.Error("an unknown command set was taken")
	}
}
