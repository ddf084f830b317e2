package devices

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// Set is all configured devices, in configured order.
type Set struct {
	// Ended, if set before Run, is told when a device's Run returned an error or panicked. Calls may overlap.
	Ended func(Info, error)

	devs []Device
	mu   sync.Mutex
	dead map[int]Problem // by place in devs
}

// NewSet makes a set. Names are expected to be unique; ByName finds the first.
func NewSet(devs ...Device) *Set {
	return &Set{devs: slices.Clone(devs), dead: make(map[int]Problem)}
}

// List is every device as it is now, in configured order. A device whose Run ended with an error shows state Error.
func (s *Set) List() []Info {
	infos := make([]Info, 0, len(s.devs))
	for n := range s.devs {
		infos = append(infos, s.info(n))
	}
	return infos
}

func (s *Set) info(n int) Info {
	i := s.devs[n].Info()
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.dead[n]; ok && i.State != Error {
		i.State, i.Since, i.LastError = Error, p.At, &p
	}
	return i
}

// ByName finds a device.
func (s *Set) ByName(name string) (Device, bool) {
	for _, d := range s.devs {
		if d.Info().Name == name {
			return d, true
		}
	}
	return nil, false
}

// Wake makes every device that waits for its port try it now.
func (s *Set) Wake() {
	for _, d := range s.devs {
		if w, ok := d.(interface{ Wake() }); ok {
			w.Wake()
		}
	}
}

// PanicError is a panic in a device's Run.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("device driver panicked: %v", e.Value) }

// Run runs all devices side by side and returns when all have ended. An error or a panic of one ends only that one;
// all errors come back joined, each with the name of its device.
func (s *Set) Run(ctx context.Context) error {
	errs := make([]error, len(s.devs))
	var wg sync.WaitGroup
	for n, d := range s.devs {
		wg.Go(func() {
			err := runOne(ctx, d)
			if err == nil || ctx.Err() != nil && errors.Is(err, ctx.Err()) {
				return
			}
			errs[n] = fmt.Errorf("device %s: %w", d.Info().Name, err)
			p := ProblemOf(err)
			p.At = time.Now()
			s.mu.Lock()
			s.dead[n] = p
			s.mu.Unlock()
			if s.Ended != nil {
				s.Ended(s.info(n), err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func runOne(ctx context.Context, d Device) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return d.Run(ctx)
}
