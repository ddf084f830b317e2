package escpos

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"storeagent/devices"
	"storeagent/devices/printer"
	"storeagent/devices/printer/driver"
)

const (
	replyLimit    = 500 * time.Millisecond // for one answer to a status question
	identifyLimit = time.Second            // for a question that is answered in the order of printing
	identifyTries = 3                      // to find out how a printer confirms
	probes        = 2                      // unanswered questions that make a printer one-way

	realTimePulse = 2 // x 100 ms, as in DLE DC4 function 1
)

// talk is the conversation with a printer over one open port.
type talk struct {
	profile profile

	// heard by the session's listener, under its lock
	split    replies
	status   status
	asked    byte // n of the DLE EOT that waits for its answer, or 0
	answered bool // asked was answered
	paused   bool // XOFF
	blocks   []string

	singles atomic.Int64 // one-byte answers (GS r) so far

	// used by the session's own goroutine alone
	named    bool // asked for model and serial number
	tries    int  // to find out how it confirms
	marks    bool // GS ( H, the process id, is answered
	confirms bool // GS r is answered
}

var _ driver.Talk = (*talk)(nil)

// Hear implements driver.Talk.
func (t *talk) Hear(chunk []byte) bool {
	answers := t.split.feed(chunk)
	for _, a := range answers {
		switch a.kind {
		case realTimeStatus:
			if t.asked != 0 {
				t.status.realTime(t.asked, a.data[0])
				t.asked, t.answered = 0, true
			}
		case autoStatus:
			t.status.auto(a.data)
		case block:
			if len(t.blocks) < 16 { // nobody asks for more at a time
				t.blocks = append(t.blocks, string(a.data))
			}
		case transmitted:
			t.singles.Add(1)
		case flowOff:
			t.paused = true
		case flowOn:
			t.paused = false
		}
	}
	return len(answers) > 0
}

// Overdue implements driver.Talk.
func (t *talk) Overdue() { t.split.reset() }

// Reason implements driver.Talk.
func (t *talk) Reason() printer.Reason { return t.status.reason() }

// Status implements driver.Talk.
func (t *talk) Status(openLevel string) devices.Status {
	now := t.status // what is shown must not change later
	return now.show(openLevel)
}

// Paused implements driver.Talk.
func (t *talk) Paused() bool { return t.paused }

// Hello implements driver.Talk.
func (t *talk) Hello(ctx context.Context, s *driver.Session, lost int) (bool, error) {
	for range probes {
		ok, err := t.ask(ctx, s, 1)
		if err != nil {
			return false, err
		}
		if ok {
			return true, t.greet(ctx, s, lost > 0)
		}
	}
	return false, s.TryStar(ctx)
}

// greet selects the printer, turns on unasked status and asks who it is.
func (t *talk) greet(ctx context.Context, s *driver.Session, lost bool) error {
	if t.profile.processID && lost {
		s.Recovered()
		if err := t.clear(ctx, s); err != nil {
			return err
		}
	}
	if err := s.Send(ctx, append([]byte(selectPrinter), gs, 'a', 0xFF)); err != nil {
		return err
	}
	return t.Refresh(ctx, s)
}

// clear empties the printer's buffers in real time (DLE DC4, function 8, answered by '7', '%'), so that what is left
// of a lost job does not swallow the beginning of the next one. Only Epson's own printers know it.
func (t *talk) clear(ctx context.Context, s *driver.Session) error {
	t.expect(s)
	if err := s.Send(ctx, []byte{0x10, 0x14, 8, 1, 3, 20, 1, 6, 2, 8}); err != nil {
		return err
	}
	_, err := s.Until(ctx, replyLimit, func() bool { return slices.Contains(t.blocks, "7%") })
	return err
}

// identify asks for model and serial number, and how the printer confirms a job. These questions are answered in the
// order of printing, so only a printer that is ready is asked.
func (t *talk) identify(ctx context.Context, s *driver.Session) error {
	if t.marks || t.confirms || t.tries == identifyTries || s.Reason() != "" {
		return nil
	}
	t.tries++
	if !t.named {
		t.named = true
		model, err := t.text(ctx, s, 'C')
		if err != nil {
			return err
		}
		serial, err := t.text(ctx, s, 'D')
		if err != nil {
			return err
		}
		s.SetModel(model, serial)
	}
	singles := t.expect(s)
	if err := s.Send(ctx, []byte{gs, 'r', 1}); err != nil {
		return err
	}
	var err error
	if t.confirms, err = s.Until(ctx, identifyLimit, func() bool { return t.singles.Load() > singles }); err != nil {
		return err
	}
	if t.profile.processID {
		id := processID(0)
		t.expect(s)
		if err := s.Send(ctx, askProcessID(id)); err != nil {
			return err
		}
		t.marks, err = s.Until(ctx, identifyLimit, func() bool { return t.marked(id) })
	}
	return err
}

// expect forgets the block answers so far and counts the one-byte answers.
func (t *talk) expect(s *driver.Session) (singles int64) {
	s.Locked(func() { t.blocks = nil })
	return t.singles.Load()
}

// marked reports, under the lock, whether the printer answered that process id: '7', '"', id.
func (t *talk) marked(id [4]byte) bool { return slices.Contains(t.blocks, "7\""+string(id[:])) }

// text asks GS I n, whose answer is '_', text, NUL; "" without an answer.
func (t *talk) text(ctx context.Context, s *driver.Session, n byte) (string, error) {
	before := t.expect(s)
	if err := s.Send(ctx, []byte{gs, 'I', n}); err != nil {
		return "", err
	}
	got := ""
	_, err := s.Until(ctx, identifyLimit, func() bool {
		for _, b := range t.blocks {
			if text, ok := strings.CutPrefix(b, "_"); ok {
				got = strings.TrimSpace(text)
				return true
			}
		}
		return t.singles.Load() > before // some clones answer with a type number
	})
	return got, err
}

// ask sends DLE EOT n and waits for its answer; false means silence.
func (t *talk) ask(ctx context.Context, s *driver.Session, n byte) (bool, error) {
	s.Locked(func() { t.asked, t.answered = n, false })
	if err := s.Send(ctx, []byte{0x10, 0x04, n}); err != nil {
		return false, err
	}
	ok, err := s.Until(ctx, replyLimit, func() bool { return t.answered })
	s.Locked(func() { t.asked = 0 })
	return ok, err
}

// Refresh implements driver.Talk. It asks all four status bytes; a printer that knows only some of them is answered by
// those.
func (t *talk) Refresh(ctx context.Context, s *driver.Session) error {
	any := false
	for n := byte(1); n <= 4; n++ {
		ok, err := t.ask(ctx, s, n)
		if err != nil {
			return err
		}
		if any = any || ok; !any && n == probes {
			return driver.Silent()
		}
	}
	return t.identify(ctx, s)
}

// Ask implements driver.Talk. A printer that leaves one question unanswered is too busy for the others.
func (t *talk) Ask(ctx context.Context, s *driver.Session) (bool, error) {
	for n := byte(1); n <= 4; n++ {
		if ok, err := t.ask(ctx, s, n); err != nil || !ok {
			return n > 1, err
		}
	}
	return true, nil
}

// Seal implements driver.Talk. A plain GS r proves less than the process id: that the buffer was worked off up to there.
func (t *talk) Seal(_ context.Context, s *driver.Session, job printer.Job) (driver.Seal, error) {
	singles := t.expect(s)
	asb := []byte{gs, 'a', 0xFF} // ESC @ may have ended unasked status, and raw bytes too
	out := driver.Seal{Head: asb, Tail: slices.Clone(asb)}
	switch {
	case t.marks:
		id := processID(job.Seq)
		out.Tail = append(out.Tail, askProcessID(id)...)
		out.Proved = func() (bool, error) { return t.marked(id), nil }
	case t.confirms:
		out.Tail = append(out.Tail, gs, 'r', 1)
		out.Proved = func() (bool, error) { return t.singles.Load() > singles, nil }
	}
	return out, nil
}

// Pulse implements driver.Talk. A pulse in real time is obeyed at once, whatever the printer is doing: where its profile
// says so, or where it confirms jobs by the process id, which only models do that know both.
func (t *talk) Pulse(pin int) driver.Pulse {
	out := driver.Pulse{Queued: pulseCommand(pin)}
	if t.profile.pulse || t.marks {
		out.Now = []byte{0x10, 0x14, 1, byte(pin / 5), realTimePulse}
	}
	if t.confirms {
		singles := t.singles.Load()
		out.Confirm = []byte{gs, 'r', 1}
		out.Confirmed = func() bool { return t.singles.Load() > singles }
	}
	return out
}

// pulseCommand is ESC p, obeyed in the order of printing. Its pins are 0 and 1, not '0' and '1': clones ignore those.
func pulseCommand(pin int) []byte { return []byte{esc, 'p', byte(pin / 5), pulseOn, pulseOff} }

// processID is the mark of a job in GS ( H: four characters from 20h to 7Eh, so that a late answer to another job is
// not taken for the answer to this one.
func processID(seq int64) [4]byte {
	var id [4]byte
	n := uint64(seq)
	for i := 3; i >= 0; i-- {
		id[i] = byte(0x20 + n%95)
		n /= 95
	}
	return id
}

// askProcessID is GS ( H, function 48.
func askProcessID(id [4]byte) []byte {
	return append([]byte{gs, '(', 'H', 6, 0, '0', '0'}, id[:]...)
}
