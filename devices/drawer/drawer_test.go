package drawer_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/drawer"
)

// printer springs a drawer open after a while.
type printer struct {
	mu     sync.Mutex
	info   devices.Info
	d      *drawer.Drawer
	pins   []int
	err    error
	after  time.Duration
	sticks bool
}

func (p *printer) Info() devices.Info {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.info
}

func (p *printer) say(state devices.State, opened *bool) {
	p.mu.Lock()
	p.info.State, p.info.Status.DrawerOpened = state, opened
	p.mu.Unlock()
	p.d.PrinterChanged()
}

func (p *printer) Pulse(_ context.Context, pin int) error {
	if p.err != nil {
		return p.err
	}
	p.pins = append(p.pins, pin)
	if p.Info().Status.DrawerOpened != nil && !p.sticks {
		time.AfterFunc(p.after, func() { p.say(devices.Ready, new(true)) })
	}
	return nil
}

func TestOpen(t *testing.T) {
	no, yes := new(false), new(true)
	for _, tt := range []struct {
		name        string
		before, end *bool
		sticks      bool
		err         error
	}{
		{name: "no switch"},
		{name: "springs open", before: no, end: yes},
		{name: "is open already", before: yes, end: yes},
		{name: "sticks", before: no, end: no, sticks: true},
		{name: "refused", before: no, err: errors.New("the cover is open")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &printer{info: devices.Info{Name: "front"}, err: tt.err, after: 200 * time.Millisecond, sticks: tt.sticks}
				var err error
				if p.d, err = drawer.New(drawer.Config{Name: "till", Port: "printer:front?pin=5", Printer: p, Pin: 5}); err != nil {
					t.Fatal(err)
				}
				p.say(devices.Ready, tt.before)
				opened, err := p.d.Open(t.Context())
				if !errors.Is(err, tt.err) || !reflect.DeepEqual(opened, tt.end) {
					t.Errorf("%v, %v", opened, err)
				}
				if want := []int{5}; tt.err == nil && !reflect.DeepEqual(p.pins, want) {
					t.Errorf("pins %v", p.pins)
				}
				synctest.Wait()
			})
		})
	}
}

func TestFollowsItsPrinter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &printer{info: devices.Info{Name: "front", State: devices.Offline}}
		var told []devices.Info
		var err error
		if p.d, err = drawer.New(drawer.Config{Name: "till", Port: "printer:front", Printer: p, Pin: 2, OnChange: func(i devices.Info) { told = append(told, i) }}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.d.Run(ctx) }()
		synctest.Wait()
		if i := p.d.Info(); i.State != devices.Offline || i.LastError == nil || i.Category != devices.CashDrawer {
			t.Errorf("with its printer offline: %+v", i)
		}
		p.say(devices.Error, new(true)) // no paper: the drawer itself is well
		if i := p.d.Info(); i.State != devices.Ready || i.LastError != nil || i.Status.DrawerOpened == nil || !*i.Status.DrawerOpened {
			t.Errorf("with its printer out of paper: %+v", i)
		}
		n := len(told)
		p.say(devices.Busy, new(true))
		if len(told) != n || n == 0 {
			t.Errorf("told %d changes, then %d", n, len(told))
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	if _, err := drawer.New(drawer.Config{Name: "till", Pin: 3}); err == nil {
		t.Error("pin 3 passes")
	}
}
