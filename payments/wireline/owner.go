package wireline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/payments"
)

// errOffline refuses what needs a terminal on the line.
var errOffline = errors.New("terminal is not reachable")

// Owner lets callers run tasks, one at a time, on the goroutine that owns a terminal's line. S is the driver's
// session. Its exported methods are safe for concurrent use, but for Serve and Money, which the owner calls.
type Owner[S any] struct {
	link *devices.Link
	turn sync.Mutex // held by the caller whose task the owner does

	mu     sync.Mutex
	seat   *seat[S]      // nil while there is no terminal
	state  devices.State // what the last status enquiry or payment left
	status devices.Status
}

// NewOwner makes an Owner that tells link of its state.
func NewOwner[S any](link *devices.Link) *Owner[S] { return &Owner[S]{link: link} }

// seat is one session and the ways to reach its goroutine.
type seat[S any] struct {
	session S
	work    chan *task[S] // one place: turn admits one caller at a time
	wake    chan struct{} // tells the owner to look into work
	abort   chan struct{} // the wish to stop the running payment
	done    chan struct{} // closed when the owner left
	paying  atomic.Bool   // a money command is under way
}

type task[S any] struct {
	run     func(ctx context.Context, s S) (broken bool, err error)
	ctx     context.Context
	started bool // read after done or seat.done only
	err     error
	done    chan struct{}
}

// Serve offers session to callers until ctx ends or the line breaks. idle deals with what the terminal sends unasked
// and returns ErrWoken when wake fires, or an error that breaks the line.
func (o *Owner[S]) Serve(ctx context.Context, session S, idle func(ctx context.Context, wake <-chan struct{}) error) error {
	s := &seat[S]{
		session: session, work: make(chan *task[S], 1), wake: make(chan struct{}, 1), abort: make(chan struct{}, 1),
		done: make(chan struct{}),
	}
	defer close(s.done)
	o.sit(s)
	defer o.sit(nil)
	o.link.SetState(devices.Ready, devices.Status{})
	for {
		err := idle(ctx, s.wake)
		if errors.Is(err, ErrWoken) {
			err = o.runTask(ctx, s)
		}
		if err != nil {
			return err
		}
	}
}

// runTask does what a caller asked. An error means that the line is not to be trusted any more.
func (o *Owner[S]) runTask(ctx context.Context, s *seat[S]) error {
	var k *task[S]
	select {
	case k = <-s.work:
	default:
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(k.ctx, cancel)()
	k.started = true
	o.link.SetState(devices.Busy, devices.Status{})
	broken, err := k.run(ctx, s.session)
	k.err = err
	if !broken {
		o.link.SetState(o.health())
		close(k.done)
		return nil
	}
	o.sit(nil) // before the caller learns of it, so that it does not meet this session again
	close(k.done)
	if err == nil {
		err = errors.New("the line is opened anew")
	}
	return err
}

// Call lets the owner run f. ran is false where f surely did not run; then the error is payments.ErrTerminalBusy or
// says why there is no terminal. f says whether the line is broken and must be opened anew.
func (o *Owner[S]) Call(ctx context.Context, f func(ctx context.Context, s S) (broken bool, err error)) (ran bool, err error) {
	if !o.turn.TryLock() {
		return false, payments.ErrTerminalBusy
	}
	defer o.turn.Unlock()
	s := o.current()
	if s == nil {
		return false, o.offline()
	}
	k := &task[S]{run: f, ctx: ctx, done: make(chan struct{})}
	s.work <- k
	s.wake <- struct{}{}
	select {
	case <-k.done:
		return true, k.err
	case <-s.done:
	}
	select {
	case <-k.done:
		return true, k.err
	default:
	}
	if k.started { // it panicked
		return true, errors.New("terminal driver broke off")
	}
	return false, o.offline()
}

// Pay is Call for a money command: f hears the wish to stop, and what surely did not run is payments.ErrNotSent.
func (o *Owner[S]) Pay(ctx context.Context, f func(ctx context.Context, s S, stop <-chan struct{}) (broken bool, err error)) error {
	ran, err := o.Call(ctx, func(ctx context.Context, session S) (bool, error) {
		s := o.current()
		select {
		case <-s.abort: // meant for an earlier payment
		default:
		}
		s.paying.Store(true)
		defer s.paying.Store(false)
		return f(ctx, session, s.abort)
	})
	if !ran && err != nil {
		err = NotSent(err)
	}
	return err
}

// Abort passes the wish to stop on to the running payment; without one it is payments.ErrState.
func (o *Owner[S]) Abort() error {
	s := o.current()
	if s == nil {
		return o.offline()
	}
	if !s.paying.Load() {
		return fmt.Errorf("stop payment: %w", payments.ErrState)
	}
	select {
	case s.abort <- struct{}{}:
	default: // already asked
	}
	return nil
}

// SetHealth is the state that the terminal has between tasks.
func (o *Owner[S]) SetHealth(state devices.State, st devices.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state, o.status = state, st
}

func (o *Owner[S]) health() (devices.State, devices.Status) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.state, o.status
}

func (o *Owner[S]) current() *seat[S] {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.seat
}

func (o *Owner[S]) sit(s *seat[S]) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seat, o.state, o.status = s, devices.Ready, devices.Status{}
}

// offline says why there is no terminal, in the words of its last problem.
func (o *Owner[S]) offline() error {
	if p := o.link.Info().LastError; p != nil {
		return fmt.Errorf("%w: %s", errOffline, p.Message)
	}
	return errOffline
}

// NotSent says that err left nothing charged.
func NotSent(err error) error { return fmt.Errorf("%w: %w", payments.ErrNotSent, err) }

// Broken words a line on which nobody answers (ErrSilent) for the technician.
func Broken(err error, address, hint string) error {
	if !errors.Is(err, ErrSilent) {
		return err
	}
	return &port.Error{Op: "talk to terminal at", Address: address, Kind: port.Silent, Hint: hint, Err: err}
}

// Earlier is the first of two times; a zero one is none.
func Earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
