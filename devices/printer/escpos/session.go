package escpos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/printer"
)

// Every wait of the driver has a bound; these are they.
const (
	replyLimit    = 500 * time.Millisecond // for one answer to a status question
	identifyLimit = time.Second            // for a question that is answered in the order of printing
	pollEvery     = 5 * time.Second        // status while idle
	watchEvery    = 2 * time.Second        // status while waiting for the end of a job
	riskyEvery    = time.Minute            // status in the middle of a command
	silenceLimit  = 10 * time.Minute       // without any answer from a printer that stopped in mid-job
	writeLimit    = 5 * time.Second        // for one chunk; then the rest is tried again
	stallLimit    = 2 * time.Minute        // without a byte taken and without a reason for it
	proofLimit    = 30 * time.Second       // for the end of a short job, while the printer is not blocked
	proofPerByte  = 2 * time.Millisecond   // more for long jobs: 9600 baud is about one byte a millisecond
	identifyTries = 3                      // to find out how a printer confirms
	probes        = 2                      // unanswered questions that make a printer one-way
	handOverLimit = 10 * time.Second       // for the session to take a job

	chunk = 256 // bytes of one write: a quarter of a second at 9600 baud
)

// session is one open port. Its run goroutine asks and prints; its reader goroutine only listens, so that an answer
// is heard even while a write is stuck.
type session struct {
	p    *Printer
	port port.Port

	notify chan struct{} // rung by the reader at each answer, and at its end

	mu       sync.Mutex // guards what the reader writes
	status   status
	asked    byte      // n of the DLE EOT that waits for its answer, or 0
	answered bool      // asked was answered
	paused   bool      // XOFF
	heard    time.Time // last answer of any kind
	singles  int       // one-byte answers (GS r) so far
	blocks   []string
	readErr  error

	// used by run alone
	oneWay   bool
	named    bool        // asked for model and serial number
	tries    int         // to find out how it confirms
	marks    bool        // GS ( H, the process id, is answered
	confirms bool        // GS r is answered
	pulses   chan *pulse // taken while a job waits; nil where nothing may come between
	amid     bool        // a command is under way, so that a pulse would spoil it
}

func newSession(p *Printer, pt port.Port) *session {
	return &session{p: p, port: pt, notify: make(chan struct{}, 1)}
}

// run works until the port fails or ctx ends. The Link closes the port then, which ends the reader.
func (s *session) run(ctx context.Context) error {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.read()
	}()
	defer func() {
		_ = s.port.Close() // wakes the reader; the error that matters is returned
		<-ended
	}()
	if err := s.connect(ctx); err != nil {
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
				if err := s.greet(ctx); err != nil {
					return err
				}
			}
		}
	}
}

// read listens until the port ends.
func (s *session) read() {
	var split replies
	buf := make([]byte, 256)
	last := time.Now()
	for {
		n, err := s.port.Read(buf)
		if n > 0 {
			if time.Since(last) > identifyLimit {
				split.reset() // what is unfinished for so long is not an answer
			}
			last = time.Now()
			s.hear(split.feed(buf[:n]))
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

func (s *session) ring() {
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

func (s *session) hear(answers []reply) {
	s.mu.Lock()
	for _, a := range answers {
		s.heard = time.Now()
		switch a.kind {
		case realTimeStatus:
			if s.asked != 0 {
				s.status.realTime(s.asked, a.data[0])
				s.asked, s.answered = 0, true
			}
		case autoStatus:
			s.status.auto(a.data)
		case block:
			if len(s.blocks) < 16 { // nobody asks for more at a time
				s.blocks = append(s.blocks, string(a.data))
			}
		case transmitted:
			s.singles++
		case flowOff:
			s.paused = true
		case flowOn:
			s.paused = false
		}
	}
	s.mu.Unlock()
	if len(answers) > 0 {
		s.p.answers.Store(true)
		s.ring()
	}
}

// until waits until f, called under the lock, is true: true; or limit is over: false. The error is the port's or ctx's.
func (s *session) until(ctx context.Context, limit time.Duration, f func() bool) (bool, error) {
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

func (s *session) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readErr
}

// reason is why the printer says it can't print now.
func (s *session) reason() printer.Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status.reason()
}

// connect finds out whether the printer answers at all, and what it is.
func (s *session) connect(ctx context.Context) error {
	for range probes {
		ok, err := s.ask(ctx, 1)
		if err != nil {
			return err
		}
		if ok {
			return s.greet(ctx)
		}
	}
	if s.p.answers.Load() {
		return silent()
	}
	s.oneWay = true
	return nil
}

// greet turns on unasked status and asks who the printer is.
func (s *session) greet(ctx context.Context) error {
	s.oneWay = false
	if s.p.profile.processID && s.p.half.Swap(false) {
		if err := s.clear(ctx); err != nil {
			return err
		}
	}
	if err := s.send(ctx, []byte{gs, 'a', 0xFF}); err != nil {
		return err
	}
	if err := s.askAll(ctx); err != nil {
		return err
	}
	return s.identify(ctx)
}

// clear empties the printer's buffers in real time (DLE DC4, function 8, answered by '7', '%'), so that what is left
// of a lost job does not swallow the beginning of the next one. Only Epson's own printers know it.
func (s *session) clear(ctx context.Context) error {
	s.expect()
	if err := s.send(ctx, []byte{0x10, 0x14, 8, 1, 3, 20, 1, 6, 2, 8}); err != nil {
		return err
	}
	_, err := s.until(ctx, replyLimit, func() bool { return slices.Contains(s.blocks, "7%") })
	return err
}

// identify asks for model and serial number, and how the printer confirms a job. These questions are answered in the
// order of printing, so only a printer that is ready is asked.
func (s *session) identify(ctx context.Context) error {
	if s.oneWay || s.marks || s.confirms || s.tries == identifyTries || s.reason() != "" {
		return nil
	}
	s.tries++
	if !s.named {
		s.named = true
		model, err := s.text(ctx, 'C')
		if err != nil {
			return err
		}
		serial, err := s.text(ctx, 'D')
		if err != nil {
			return err
		}
		s.p.link.SetModel(model, serial)
	}
	singles := s.expect()
	if err := s.send(ctx, []byte{gs, 'r', 1}); err != nil {
		return err
	}
	var err error
	if s.confirms, err = s.until(ctx, identifyLimit, func() bool { return s.singles > singles }); err != nil {
		return err
	}
	if s.p.profile.processID {
		id := processID(0)
		s.expect()
		if err := s.send(ctx, askProcessID(id)); err != nil {
			return err
		}
		s.marks, err = s.until(ctx, identifyLimit, func() bool { return s.marked(id) })
	}
	return err
}

// expect forgets the block answers so far and counts the one-byte answers.
func (s *session) expect() (singles int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocks = nil
	return s.singles
}

// marked reports, under the lock, whether the printer answered that process id: '7', '"', id.
func (s *session) marked(id [4]byte) bool { return slices.Contains(s.blocks, "7\""+string(id[:])) }

// text asks GS I n, whose answer is '_', text, NUL; "" without an answer.
func (s *session) text(ctx context.Context, n byte) (string, error) {
	before := s.expect()
	if err := s.send(ctx, []byte{gs, 'I', n}); err != nil {
		return "", err
	}
	got := ""
	_, err := s.until(ctx, identifyLimit, func() bool {
		for _, b := range s.blocks {
			if text, ok := strings.CutPrefix(b, "_"); ok {
				got = strings.TrimSpace(text)
				return true
			}
		}
		return s.singles > before // some clones answer with a type number
	})
	return got, err
}

// ask sends DLE EOT n and waits for its answer; false means silence.
func (s *session) ask(ctx context.Context, n byte) (bool, error) {
	s.mu.Lock()
	s.asked, s.answered = n, false
	s.mu.Unlock()
	if err := s.send(ctx, []byte{0x10, 0x04, n}); err != nil {
		return false, err
	}
	ok, err := s.until(ctx, replyLimit, func() bool { return s.answered })
	s.mu.Lock()
	s.asked = 0
	s.mu.Unlock()
	return ok, err
}

// askAll asks all four status bytes; a printer that knows only some of them is answered by those.
func (s *session) askAll(ctx context.Context) error {
	any := false
	for n := byte(1); n <= 4; n++ {
		ok, err := s.ask(ctx, n)
		if err != nil {
			return err
		}
		if any = any || ok; !any && n == probes {
			return silent()
		}
	}
	return nil
}

func silent() error {
	return &port.Error{Op: "read", Address: "printer", Kind: port.Silent, Err: errors.New("it answered before, and does not any more"),
		Hint: "check that the printer is on and its cable is in; it is found again by itself"}
}

// refresh brings the status up to date while idle. A one-way printer is left in peace.
func (s *session) refresh(ctx context.Context) error {
	if s.oneWay {
		return nil
	}
	if err := s.askAll(ctx); err != nil {
		return err
	}
	return s.identify(ctx)
}

// errFull means that the port took not one byte of a question in time.
var errFull = errors.New("its buffer is full")

// send writes everything of a question, at most writeLimit long: a printer that takes no bytes is silent.
func (s *session) send(ctx context.Context, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.port.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return fmt.Errorf("write to printer: %w", err)
	}
	n, err := s.port.Write(b)
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		if n == 0 {
			err = fmt.Errorf("%w: %w", errFull, err)
		}
		return &port.Error{Op: "write", Address: "printer", Kind: port.Silent, Err: err, Hint: "the printer takes no data; check that it is on and not paused"}
	}
	if err == nil && n < len(b) {
		err = fmt.Errorf("write to printer: %d of %d bytes", n, len(b))
	}
	return err
}

// show publishes the status; state is what the device is in unless the printer has a problem.
func (s *session) show(state devices.State) {
	s.mu.Lock()
	st := s.status
	s.mu.Unlock()
	if s.oneWay {
		s.p.link.SetState(state, devices.Status{Text: "one-way: the printer answers nothing, so jobs end as sent, not as printed"})
		return
	}
	reason := st.reason()
	if reason != "" {
		state = devices.Error
	}
	if reason == printer.OfflineState {
		state = devices.Offline
	}
	s.p.link.SetState(state, st.show(s.p.level))
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
