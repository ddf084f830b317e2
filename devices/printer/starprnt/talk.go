package starprnt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"storeagent/devices"
	"storeagent/devices/printer"
	"storeagent/devices/printer/driver"
)

const (
	replyLimit    = 500 * time.Millisecond // for one answer to a status question
	identifyLimit = time.Second            // for a question that is answered in the order of printing
	sealLimit     = 5 * time.Second        // the same, right before a job
	probes        = 2                      // unanswered questions that make a printer one-way
	identifyTries = 3                      // to find out how a printer confirms
	flushChunk    = 256
)

// Commands without parameters of their own.
const (
	askStatus  = "\x1b\x06\x01"     // ESC ACK SOH: status in real time (3.3.14)
	askVersion = "\x1b#*\n\x00"     // ESC # * LF NUL: model and version (3.3.16)
	asbOn      = "\x1b\x1ea\x01"    // ESC RS a 1: unasked status
	asbOff     = "\x1b\x1ea\x00"    // ESC RS a 0
	etb        = "\x17"             // ETB: raise the counter in the status once printing before it is done
	leave      = "\x1e\x18"         // RS ends a barcode, CAN drops what is on the line
	leaveDots  = "\x1b*rB"          // ESC * r B ends raster mode
	drawer1    = "\x1b\x07\x14\x14" // ESC BEL n1 n2: pulse of 200 ms, pause of 200 ms (3.3.12); BEL sends it
)

// talk is the conversation with a printer over one open port.
type talk struct {
	profile profile

	// heard by the session's listener, under its lock
	split    replies
	status   status
	known    bool // a status came
	paused   bool // XOFF
	overflow bool // the printer lost bytes since the seal
	version  string
	counts   []count // answers of the document counter since they were last looked at

	// used by the session's goroutine alone
	lost   int  // bytes that bring the printer out of a command that was cut off; 0 where there is none
	speaks bool // unasked status is on
	named  bool // asked for its model
	tries  int  // to find out how it confirms
	marks  bool // ESC GS ETX is answered
	fives  bool // the status has an ETB counter of five bits, and ETB raises it
}

// count is an answer of the document counter: the parameters that asked, and the counter.
type count struct {
	s, n1, n2, counter byte
}

var _ driver.Talk = (*talk)(nil)

// Hear implements driver.Talk.
func (t *talk) Hear(chunk []byte) bool {
	answers := t.split.feed(chunk)
	for _, a := range answers {
		switch a.kind {
		case autoStatus:
			t.status, t.known = parseStatus(a.data), true
			t.overflow = t.overflow || t.status.overflow
		case document:
			if len(t.counts) < 64 { // nobody asks for more at a time
				t.counts = append(t.counts, count{a.data[0], a.data[1], a.data[2], a.data[3]})
			}
		case version:
			t.version = string(a.data)
		case flowOff, flowOn:
			t.paused = a.kind == flowOff
		}
	}
	return len(answers) > 0
}

// Overdue implements driver.Talk.
func (t *talk) Overdue() { t.split.reset() }

// Reason implements driver.Talk.
func (t *talk) Reason() printer.Reason { return t.status.reason() }

// Status implements driver.Talk.
func (t *talk) Status(openLevel string) devices.Status { return t.status.show(openLevel) }

// Paused implements driver.Talk.
func (t *talk) Paused() bool { return t.paused }

// ask sends a question and waits for any answer; false means silence.
func (t *talk) ask(ctx context.Context, s *driver.Session, question string, limit time.Duration) (bool, error) {
	before := 0
	s.Locked(func() { before = s.Answers() })
	if err := s.Send(ctx, []byte(question)); err != nil {
		return false, err
	}
	return s.Until(ctx, limit, func() bool { return s.Answers() > before })
}

// Ask implements driver.Talk.
func (t *talk) Ask(ctx context.Context, s *driver.Session) (bool, error) {
	return t.ask(ctx, s, askStatus, replyLimit)
}

// Hello implements driver.Talk. A printer may be in the middle of a command of a job that was lost, and then takes the
// first questions for its rest.
func (t *talk) Hello(ctx context.Context, s *driver.Session, lost int) (bool, error) {
	t.lost = lost
	for range probes {
		ok, err := t.Ask(ctx, s)
		if err != nil || ok {
			return ok, t.greet(ctx, s, err)
		}
	}
	if t.lost > 0 {
		if err := t.flush(ctx, s); err != nil {
			return false, err
		}
		if ok, err := t.Ask(ctx, s); err != nil || ok {
			return ok, t.greet(ctx, s, err)
		}
	}
	return false, s.TryESCPOS(ctx)
}

// greet turns on unasked status, where the printer can still be asked then, and finds out who it is.
func (t *talk) greet(ctx context.Context, s *driver.Session, err error) error {
	if err != nil {
		return err
	}
	if _, err := t.ask(ctx, s, asbOn, replyLimit); err != nil { // many say their status at once
		return err
	}
	if t.speaks, err = t.Ask(ctx, s); err != nil {
		return err
	}
	if !t.speaks { // the manual allows it to ignore the question while it speaks by itself; then it is only asked
		if _, err := t.ask(ctx, s, asbOff+askStatus, replyLimit); err != nil {
			return err
		}
	}
	return t.identify(ctx, s)
}

// flush brings the printer out of a command whose end never came: white dots for a picture, nothing for a text.
func (t *talk) flush(ctx context.Context, s *driver.Session) error {
	for left := t.lost; left > 0; left -= flushChunk {
		if err := s.Send(ctx, make([]byte, min(left, flushChunk))); err != nil {
			return err
		}
	}
	end := leave
	if t.profile.raster == rasterMode || t.profile.raster == rasterOnly {
		end = leaveDots + leave
	}
	if err := s.Send(ctx, []byte(end)); err != nil {
		return err
	}
	t.lost = 0
	s.Recovered()
	return nil
}

// identify asks for the model and how the printer confirms a job. These questions are answered in the order of
// printing, so only a printer that is ready is asked.
func (t *talk) identify(ctx context.Context, s *driver.Session) error {
	if s.Reason() != "" {
		return nil
	}
	if t.lost > 0 {
		if err := t.flush(ctx, s); err != nil {
			return err
		}
	}
	if t.marks || t.fives || t.tries == identifyTries {
		return nil
	}
	t.tries++
	if !t.named {
		t.named = true
		if err := s.Send(ctx, []byte(askVersion)); err != nil {
			return err
		}
		if _, err := s.Until(ctx, identifyLimit, func() bool { return t.version != "" }); err != nil {
			return err
		}
		model := ""
		s.Locked(func() { model, _, _ = strings.Cut(t.version, "Ver") })
		s.SetModel(strings.TrimSpace(model), "")
	}
	if t.profile.counter {
		var err error
		if _, t.marks, err = t.counter(ctx, s, identifyLimit); err != nil || t.marks {
			return err
		}
	}
	now, err := t.raise(ctx, s)
	t.fives = now >= 0
	return err
}

// Refresh implements driver.Talk.
func (t *talk) Refresh(ctx context.Context, s *driver.Session) error {
	question := askStatus
	if t.speaks { // again: raw bytes may have ended it, or a switch
		question = asbOn + askStatus
	}
	for range probes {
		ok, err := t.ask(ctx, s, question, replyLimit)
		if err != nil {
			return err
		}
		if ok {
			return t.identify(ctx, s)
		}
	}
	return driver.Silent()
}

// counter asks for the document counter (ESC GS ETX 0) without raising it; false means silence.
func (t *talk) counter(ctx context.Context, s *driver.Session, limit time.Duration) (now byte, ok bool, err error) {
	return t.countOf(ctx, s, 0, limit)
}

func (t *talk) countOf(ctx context.Context, s *driver.Session, what byte, limit time.Duration) (now byte, ok bool, err error) {
	n1, n2 := documentID(-1)
	s.Locked(func() { t.counts = nil })
	if err := s.Send(ctx, documentCounter(what, n1, n2)); err != nil {
		return 0, false, err
	}
	ok, err = s.Until(ctx, limit, func() bool {
		for _, c := range t.counts {
			if c.s == what && c.n1 == n1 && c.n2 == n2 {
				now, ok = c.counter, true
			}
		}
		return ok
	})
	return now, ok, err
}

// raise raises the ETB counter of a printer that has nothing to print, and gives its new value; -1 where the status
// has no such counter, or it does not move.
func (t *talk) raise(ctx context.Context, s *driver.Session) (int, error) {
	before := -1
	s.Locked(func() { before = t.status.counter })
	if before < 0 {
		return -1, nil
	}
	if _, err := t.ask(ctx, s, etb+askStatus, replyLimit); err != nil {
		return -1, err
	}
	now := -1
	for range probes {
		raised, err := s.Until(ctx, replyLimit, func() bool { now = t.status.counter; return now == (before+1)%32 })
		if err != nil || raised {
			return now, err
		}
		if _, err := t.Ask(ctx, s); err != nil {
			return -1, err
		}
	}
	return -1, nil
}

// documentCounter is ESC GS ETX s n1 n2 (StarPRNT 2.3.13): s 0 tells the counter at once, s 1 raises it when everything
// before has been printed. The answer repeats n1 and n2.
func documentCounter(s, n1, n2 byte) []byte { return []byte{0x1B, 0x1D, 0x03, s, n1, n2} }

// documentID are n1 and n2 of a job; -1 is nobody's. They are control characters that no printer obeys, so that one
// without the command does nothing either.
func documentID(seq int64) (n1, n2 byte) {
	safe := [8]byte{0x00, 0x01, 0x02, 0x03, 0x06, 0x15, 0x16, 0x1F}
	if seq < 0 {
		return safe[1], safe[0]
	}
	return safe[1+uint64(seq)/7%7], safe[1+uint64(seq)%7]
}

// Seal implements driver.Talk. The counters stand at one or more before a job, so that one that starts again at zero,
// because the printer was switched off and on in the middle, is found out.
func (t *talk) Seal(ctx context.Context, s *driver.Session, job printer.Job) (driver.Seal, error) {
	switch {
	case t.marks:
		return t.sealDocument(ctx, s, job)
	case t.fives && !bytes.ContainsAny(job.Raw, etb): // a counter that raw bytes raise too proves nothing
		return t.sealETB(ctx, s)
	}
	s.Locked(func() { t.overflow = false })
	return driver.Seal{}, nil
}

// sealDocument proves a job by the document counter.
func (t *talk) sealDocument(ctx context.Context, s *driver.Session, job printer.Job) (driver.Seal, error) {
	start, ok, err := t.counter(ctx, s, sealLimit)
	if ok && start == 0 {
		start, ok, err = t.countOf(ctx, s, 1, sealLimit)
	}
	if err == nil && !ok {
		err = driver.Silent()
	}
	if err != nil {
		return driver.Seal{}, err
	}
	n1, n2 := documentID(job.Seq)
	s.Locked(func() { t.counts, t.overflow = nil, false })
	return driver.Seal{Tail: documentCounter(1, n1, n2), Proved: func() (bool, error) {
		raised := byte(0) // raw bytes may raise it on their own account
		for _, c := range t.counts {
			if c.s != 1 {
				continue
			}
			raised++
			switch {
			case c.n1 != n1 || c.n2 != n2:
			case c.counter == start+raised:
				return t.whole()
			default:
				return false, fmt.Errorf("the printer counts %d documents after %d: it was switched off in mid-job, or another computer prints on it", c.counter, start)
			}
		}
		return false, nil
	}}, nil
}

// sealETB proves a job by the counter in the status.
func (t *talk) sealETB(ctx context.Context, s *driver.Session) (driver.Seal, error) {
	start := 0
	s.Locked(func() { start = t.status.counter })
	if start <= 0 {
		var err error
		if start, err = t.raise(ctx, s); err != nil {
			return driver.Seal{}, err
		}
		if start < 0 {
			return driver.Seal{}, driver.Silent()
		}
	}
	s.Locked(func() { t.overflow = false })
	return driver.Seal{Tail: []byte(etb), Proved: func() (bool, error) {
		switch t.status.counter {
		case start:
			return false, nil
		case (start + 1) % 32:
			return t.whole()
		}
		return false, fmt.Errorf("the printer's counter went from %d to %d: it was switched off in mid-job, or another computer prints on it", start, t.status.counter)
	}}, nil
}

// whole is the end of a job that was printed as far as it arrived.
func (t *talk) whole() (bool, error) {
	if t.overflow {
		return false, errors.New("the printer lost bytes because its buffer was full: set the flow control of its port")
	}
	return true, nil
}

// Pulse implements driver.Talk: BEL and SUB in the order of printing, FS and EM at once (StarPRNT 2.3.10).
func (t *talk) Pulse(pin int) driver.Pulse {
	p := driver.Pulse{Queued: []byte(drawer1 + "\x07")}
	if t.profile.pulse {
		p.Now = []byte{0x1C}
	}
	if pin == 5 {
		p.Queued = []byte{0x1A}
		if t.profile.pulse {
			p.Now = []byte{0x19}
		}
	}
	if t.marks {
		n1, n2 := documentID(-1)
		p.Confirm = documentCounter(0, n1, n2)
		t.counts = nil
		p.Confirmed = func() bool { return len(t.counts) > 0 }
	}
	return p
}
