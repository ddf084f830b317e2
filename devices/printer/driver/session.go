package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/printer"
)

// Every wait has a bound; these are they.
const (
	pollEvery     = 5 * time.Second      // status while idle
	watchEvery    = 2 * time.Second      // status while waiting for the end of a job
	riskyEvery    = time.Minute          // status in the middle of a command
	silenceLimit  = 10 * time.Minute     // without any answer from a printer that stopped in mid-job
	writeLimit    = 5 * time.Second      // for one chunk; then the rest is tried again
	stallLimit    = 2 * time.Minute      // without a byte taken and without a reason for it
	proofLimit    = 30 * time.Second     // for the end of a short job, while the printer is not blocked
	proofPerByte  = 2 * time.Millisecond // more for long jobs: 9600 baud is about one byte a millisecond
	confirmLimit  = time.Second          // for the answer to a pulse
	unfinishedFor = time.Second          // what is unfinished for so long is no answer
	handOverLimit = 10 * time.Second     // for the session to take a job

	chunk = 256 // bytes of one write: a quarter of a second at 9600 baud
)

// Session is one open port. Its own goroutine asks and prints; a second one only listens, so that an answer is heard
// even while a write is stuck.
type Session struct {
	p    *Printer
	port port.Port
	talk Talk

	notify chan struct{} // rung by the listener whenever something came, and at its end

	mu      sync.Mutex // guards talk's listening side and what follows
	heard   time.Time  // last answer of any kind
	answers int        // answers so far
	readErr error
	trying  bool   // another language
	tried   []byte // what came since

	// used by the session's own goroutine alone
	oneWay bool
	pulses chan *pulse // taken while a job waits; nil where nothing may come between
	amid   bool        // a command is under way, so that a pulse would spoil it
}

func newSession(p *Printer, pt port.Port) *Session {
	return &Session{p: p, port: pt, talk: p.lang.Begin(), notify: make(chan struct{}, 1)}
}

// run works until the port fails or ctx ends. The Link closes the port then, which ends the listener.
func (s *Session) run(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.listen()
	}()
	defer func() {
		_ = s.port.Close() // wakes the listener; the error that matters is returned
		<-ended
	}()
	if err := s.hello(ctx); err != nil {
		return err
	}
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		s.show(devices.Ready)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r := <-s.p.jobs:
			if err := s.serve(ctx, r); err != nil {
				return err
			}
		case q := <-s.p.pulses:
			if err := s.open(ctx, q); err != nil {
				return err
			}
		case <-poll.C:
			if err := s.refresh(ctx); err != nil {
				return err
			}
		case <-s.notify:
			if err := s.failed(); err != nil {
				return err
			}
			if s.oneWay && s.p.answers.Load() { // it was only late
				if err := s.hello(ctx); err != nil {
					return err
				}
			}
		}
	}
}

// hello finds out whether the printer answers. One that did before and does not now is not one-way, but off.
func (s *Session) hello(ctx context.Context) error {
	answers, err := s.talk.Hello(ctx, s, int(s.p.lost.Load()))
	switch {
	case err != nil:
		return err
	case !answers && s.p.answers.Load():
		return Silent()
	}
	s.oneWay = !answers
	return nil
}

// Recovered tells that the printer was brought out of the command that was cut off when a job was lost.
func (s *Session) Recovered() { s.p.lost.Store(0) }

// Silent is the error of a printer that answered before, and does not any more.
func Silent() error {
	return &port.Error{Op: "read", Address: "printer", Kind: port.Silent, Err: errors.New("it answered before, and does not any more"),
		Hint: "check that the printer is on and its cable is in; it is found again by itself"}
}

// listen hears the printer until the port ends.
func (s *Session) listen() {
	buf := make([]byte, 256)
	last := time.Now()
	for {
		n, err := s.port.Read(buf)
		if n > 0 {
			s.mu.Lock()
			if time.Since(last) > unfinishedFor {
				s.talk.Overdue()
			}
			last = time.Now()
			answered := s.talk.Hear(buf[:n])
			if s.trying && len(s.tried) < maxTried {
				s.tried = append(s.tried, buf[:n]...)
			}
			if answered {
				s.heard = last
				s.answers++
			}
			s.mu.Unlock()
			if answered {
				s.p.answers.Store(true)
			}
			s.ring()
		}
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			s.mu.Lock()
			s.readErr = err
			s.mu.Unlock()
			s.ring()
			return
		}
	}
}

func (s *Session) ring() {
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

// Locked calls f while the session is locked, for a Talk to look at what it heard.
func (s *Session) Locked(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// Until waits until f, called locked, is true: true; or limit is over: false. The error is the port's or ctx's.
func (s *Session) Until(ctx context.Context, limit time.Duration, f func() bool) (bool, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	for {
		s.mu.Lock()
		ok, err := f(), s.readErr
		s.mu.Unlock()
		if ok {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		select {
		case <-s.notify:
		case q := <-s.pulses:
			if err := s.inJob(q); err != nil {
				return false, err
			}
		case <-t.C:
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// Answers counts the answers so far. To be called locked.
func (s *Session) Answers() int { return s.answers }

// SetModel tells what the printer calls itself; "" means that it did not say.
func (s *Session) SetModel(model, serial string) { s.p.link.SetModel(model, serial) }

// ErrFull means that the port took not one byte of a question in time.
var ErrFull = errors.New("its buffer is full")

// Send writes everything of a question, at most five seconds long: a printer that takes no bytes is silent.
func (s *Session) Send(ctx context.Context, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.port.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return fmt.Errorf("write to printer: %w", err)
	}
	n, err := s.port.Write(b)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		if n == 0 {
			err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		return &port.Error{Op: "write", Address: "printer", Kind: port.Silent, Err: err, Hint: "the printer takes no data; check that it is on and not paused"}
	}
	if err == nil && n < len(b) {
		err = fmt.Errorf("write to printer: %d of %d bytes", n, len(b))
	}
	return err
}

func (s *Session) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readErr
}

// Reason is why the printer says it can't print now.
func (s *Session) Reason() printer.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.talk.Reason()
}

// refresh brings the status up to date while idle. A one-way printer is left in peace.
func (s *Session) refresh(ctx context.Context) error {
	if s.oneWay {
		return nil
	}
	return s.talk.Refresh(ctx, s)
}

// show publishes the status; state is what the device is in unless the printer has a problem.
func (s *Session) show(state devices.State) {
	if s.oneWay {
		s.p.link.SetState(state, devices.Status{Text: "one-way: the printer answers nothing, so jobs end as sent, not as printed"})
		return
	}
	s.mu.Lock()
	reason, status := s.talk.Reason(), s.talk.Status(s.p.level)
	s.mu.Unlock()
	if reason != "" {
		state = devices.Error
	}
	if reason == printer.OfflineState {
		state = devices.Offline
	}
	s.p.link.SetState(state, status)
	if reason == "" {
		s.p.link.Clear()
		return
	}
	message, hint := words(reason)
	code := string(reason)
	if reason != printer.CoverOpen && reason != printer.PaperOut {
		code = string(port.Failed)
	}
	s.p.link.Report(devices.Problem{Code: code, Message: message, Hint: hint})
}
