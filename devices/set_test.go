package devices

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
)

type device struct {
	*Link
	run func(ctx context.Context) error
}

func (d device) Run(ctx context.Context) error { return d.run(ctx) }

func TestSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		newDevice := func(name string, run func(context.Context) error) Device {
			return device{NewLink(LinkConfig{Info: Info{Name: name}}), run}
		}
		s := NewSet(
			newDevice("panics", func(context.Context) error { panic("boom") }),
			newDevice("fails", func(context.Context) error { return errors.New("cannot work") }),
			newDevice("lives", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }),
		)
		ended := make(chan string, 3)
		s.Ended = func(i Info, _ error) { ended <- i.Name + " " + string(i.State) }
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		a, b := <-ended, <-ended
		if a > b {
			a, b = b, a
		}
		if a != "fails error" || b != "panics error" {
			t.Errorf("ended: %q, %q", a, b)
		}
		synctest.Wait()
		list := s.List()
		if list[0].State != Error || list[0].LastError == nil || list[2].State != Offline || list[2].LastError != nil {
			t.Errorf("%+v", list)
		}
		if _, ok := s.ByName("lives"); !ok {
			t.Error("lives not found")
		}
		if _, ok := s.ByName("nobody"); ok {
			t.Error("nobody found")
		}
		cancel()
		err := <-done
		if p := new(PanicError); !errors.As(err, &p) || len(p.Stack) == 0 {
			t.Errorf("no stack in %v", err)
		}
		if !strings.Contains(err.Error(), "device fails: cannot work") || strings.Contains(err.Error(), "lives") {
			t.Errorf("Run: %v", err)
		}
	})
}
