package zvt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"storeagent/devices/port"
	"storeagent/payments/money"
	"storeagent/payments/wireline"
)

// graceAfterLimit is how long a terminal that was told to stop may take to say how it ended.
const graceAfterLimit = 15 * time.Second

// session is one open port with a registered terminal behind it. Its methods run in the owner goroutine.
type session struct {
	t    *Terminal
	line line
}

// serve registers and then does what callers ask, until ctx ends or the line breaks. inner outlives ctx for the
// farewell.
func (t *Terminal) serve(ctx, inner context.Context, p port.Port) error {
	u := wireline.StartPump(p)
	defer u.Stop()
	s := &session{t: t}
	if t.serial {
		s.line = &serialLine{pump: u, answered: true}
	} else {
		s.line = &tcpLine{pump: u}
	}
	if err := s.register(ctx); err != nil {
		return t.broken(fmt.Errorf("register: %w", err))
	}
	defer t.rouse() // after the farewell: until then the port stays open
	err := t.owner.Serve(ctx, s, s.idle)
	if !errors.Is(err, errAtRest) {
		return t.broken(err)
	}
	s.logOff(inner)
	return ctx.Err()
}

// errAtRest ends a session between two things, because the agent stops; it never leaves this package.
var errAtRest = errors.New("the agent stops")

// idle answers what the terminal says unasked.
func (s *session) idle(ctx context.Context, wake <-chan struct{}) error {
	for s.t.rest(ctx) {
		a, err := s.line.next(ctx, time.Time{}, wake)
		if ctx.Err() != nil && !errors.Is(err, wireline.ErrWoken) {
			break
		}
		s.t.rouse()
		if err == nil {
			err = s.unasked(ctx, a)
		}
		if err != nil {
			return err
		}
	}
	return errAtRest
}

// broken words a line on which nobody answers for the technician.
func (t *Terminal) broken(err error) error {
	if !errors.Is(err, wireline.ErrSilent) && !errors.Is(err, errNoAck) {
		return err
	}
	hint := "check that the terminal is on, set to ZVT over TCP, and that address and port are right"
	if t.serial {
		hint = "check the cable, that the terminal is on and set to ZVT, and that the speed is the same on both sides"
	}
	return &port.Error{Op: "talk to terminal at", Address: t.link.Info().Port, Kind: port.Silent, Hint: hint, Err: err}
}

// refusedError is an 84 xx 00, or a 06 1E, instead of what was asked for.
type refusedError struct {
	code byte
	sure bool // the command went out once and was refused before anything began
}

func (e *refusedError) Error() string {
	return fmt.Sprintf("terminal refused: %s (%02X)", resultText(e.code), e.code)
}

// talk is what one command does with what the terminal sends until its end.
type talk struct {
	limit    time.Time                    // the whole may take that long; then the terminal is told to stop
	wake     <-chan struct{}              // the wish to stop; nil for commands that cannot be stopped
	status   func(a apdu) error           // 04 0F, before it is acknowledged; an error refuses it and ends the talk
	print    func(a apdu) error           // 06 D1 and 06 D3 likewise; nil: we cannot print
	progress func(code byte, text string) // 04 FF; may be nil
	end      func(a apdu) error           // 06 0F or 06 1E, before it is acknowledged; may be nil
}

// command sends a command and waits T3 for its answer; nil means that it was taken. Only 80 and 84 are taken for an
// answer: anything else that comes first belongs to something older.
func (s *session) command(ctx context.Context, cmd apdu) error {
	s.trace(ctx, "to terminal", cmd)
	copies, err := s.line.send(ctx, cmd)
	if err != nil {
		return err
	}
	until := time.Now().Add(timeT3)
	for {
		a, err := s.line.next(ctx, until, nil)
		if err != nil {
			return err
		}
		s.trace(ctx, "from terminal", a)
		switch a.class() {
		case classOK:
			return nil
		case classRefuse:
			return &refusedError{code: byte(a.cmd), sure: copies == 1}
		}
		if err := s.unasked(ctx, a); err != nil {
			return err
		}
	}
}

// converse runs one command to its 06 0F or 06 1E and gives that last message.
func (s *session) converse(ctx context.Context, cmd apdu, t talk) (apdu, error) {
	if err := s.command(ctx, cmd); err != nil {
		return apdu{}, err
	}
	t4, stopped := timeT4, false
	until := time.Now().Add(t4)
	for {
		a, err := s.line.next(ctx, earlier(until, t.limit), t.wake)
		if overdue := errors.Is(err, wireline.ErrSilent) && !t.limit.After(time.Now()); errors.Is(err, wireline.ErrWoken) || overdue && !stopped {
			if overdue {
				stopped, t.limit = true, time.Now().Add(graceAfterLimit)
				until = t.limit
			}
			if err := s.send(ctx, apdu{cmd: cmdAbort}); err != nil {
				return apdu{}, err
			}
			continue
		}
		if err != nil {
			return apdu{}, err
		}
		s.trace(ctx, "from terminal", a)
		if a.cmd == msgIntermediate && len(a.data) > 1 {
			if m, ok := getBCD(a.data[1:2]); ok && m > 0 {
				t4 = time.Duration(m) * time.Minute
			}
		}
		if a.cmd == msgIntermediate || a.cmd == msgStatusInfo {
			until = time.Now().Add(t4)
		}
		ended, err := s.handle(ctx, a, t)
		if err != nil || ended {
			return a, err
		}
	}
}

// handle processes one message of the terminal and then answers it.
func (s *session) handle(ctx context.Context, a apdu, t talk) (ended bool, err error) {
	switch {
	case a.isAnswer(): // to our wish to stop; the end comes by itself
		return false, nil
	case a.cmd == msgStatusInfo && t.status != nil:
		return false, s.answerAfter(ctx, a, t.status)
	case (a.cmd == msgPrintLine || a.cmd == msgPrintBlock) && t.print != nil:
		return false, s.answerAfter(ctx, a, t.print)
	case a.cmd == msgIntermediate:
		if t.progress != nil && len(a.data) > 0 {
			t.progress(a.data[0], s.ownText(a.data))
		}
		return false, s.send(ctx, answerOK())
	case a.cmd == msgCompletion, a.cmd == msgAborted:
		if t.end == nil {
			return true, s.send(ctx, answerOK())
		}
		return true, s.answerAfter(ctx, a, t.end)
	}
	return false, s.unasked(ctx, a)
}

// answerAfter acknowledges a once f made it durable; else it refuses a, so that the terminal takes it back.
func (s *session) answerAfter(ctx context.Context, a apdu, f func(apdu) error) error {
	if err := f(a); err != nil {
		if sent := s.send(ctx, refuse(codeImpossible)); sent != nil {
			return fmt.Errorf("%w; then %w", err, sent)
		}
		return err
	}
	return s.send(ctx, answerOK())
}

// ownText is the text that a 04 FF brings along in its container 24 {07}.
func (s *session) ownText(data []byte) string {
	if len(data) < 3 {
		return ""
	}
	var own string
	_ = walk(data[2:], func(id byte, v []byte) { // a fault costs only the text
		if id != bmpTLV {
			return
		}
		_ = walkTLV(v, func(tag int, v []byte) {
			if tag == tagText && own == "" {
				own = s.t.charset.text(v)
			}
		})
	})
	return own
}

// unasked answers what comes outside of its place. A result that nobody can commit is refused: what the terminal
// makes of that is found out by asking it.
func (s *session) unasked(ctx context.Context, a apdu) error {
	switch a.cmd {
	case msgTime:
		s.learnTime(a.data)
		return s.send(ctx, answerOK())
	case msgIntermediate, msgCompletion, msgAborted:
		return s.send(ctx, answerOK())
	case msgPrintLine, msgPrintBlock:
		return s.send(ctx, refuse(codeNoPrinter))
	}
	if a.isAnswer() {
		return nil
	}
	s.t.log.Warn("terminal sent something unasked", "message", describe(a))
	return s.send(ctx, refuse(codeImpossible))
}

func (s *session) send(ctx context.Context, a apdu) error {
	s.trace(ctx, "to terminal", a)
	_, err := s.line.send(ctx, a)
	return err
}

func (s *session) trace(ctx context.Context, way string, a apdu) {
	if s.t.log.Enabled(ctx, slog.LevelDebug) {
		s.t.log.DebugContext(ctx, way, "apdu", describe(a))
	}
}

// register sends 06 00; without it a terminal sends neither 04 FF nor slips. Slips that come through us are asked for as
// text blocks; a terminal that does not understand how that is asked sends them line by line.
func (s *session) register(ctx context.Context) error {
	end, err := s.registerAs(ctx, s.t.prints)
	var no *refusedError
	if s.t.prints && errors.As(err, &no) && (no.code == codeImpossible || no.code == codeProtocol) {
		s.t.log.Info("terminal takes no list of commands with its registration: slips come line by line", "code", no.code)
		end, err = s.registerAs(ctx, false)
	}
	if errors.As(err, &no) {
		return &port.Error{
			Op: "register at", Address: s.t.link.Info().Port, Kind: port.Failed, Err: err,
			Hint: "compare password, currency and config byte with the terminal's settings, and see its display",
		}
	}
	if err != nil {
		return err
	}
	info, err := parseStatus(end.data, s.t.charset)
	if err != nil { // only the terminal's number is lost
		s.t.log.Warn("cannot read the answer to the registration", "err", err)
	}
	s.t.link.SetModel(s.t.link.Info().Model, info.tid)
	return nil
}

// registerAs sends 06 00 with or without the wish for text blocks and gives the completion.
func (s *session) registerAs(ctx context.Context, blocks bool) (apdu, error) {
	data, err := s.t.registration(blocks)
	if err != nil {
		return apdu{}, err
	}
	end, err := s.converse(ctx, apdu{cmdRegister, data}, talk{limit: time.Now().Add(timeT4)})
	if err == nil && end.cmd == msgAborted {
		err = aborted(end)
	}
	return end, err
}

// registration is the data of 06 00: password, config byte, currency, and with blocks the list of commands that the
// register permits (tag 26 with 0A): 06 D3 in it asks for slips as text blocks (PA00P015, command 06 00). The container
// has its place behind the currency only.
func (t *Terminal) registration(blocks bool) ([]byte, error) {
	data := append(t.password(), t.config)
	if t.currency == "" {
		return data, nil
	}
	cc, err := currencyCode(t.currency)
	if err != nil {
		return nil, err
	}
	data = append(data, cc...)
	if !blocks {
		return data, nil
	}
	block := appendTLV(nil, tagCommand, []byte{byte(msgPrintBlock >> 8), byte(msgPrintBlock & 0xFF)})
	return appendBMP(data, bmpTLV, appendTLV(nil, tagCommands, block)), nil
}

// aborted is a 06 1E as an error.
func aborted(a apdu) error {
	e := &refusedError{code: 0xFF}
	if len(a.data) > 0 {
		e.code = a.data[0]
	}
	return e
}

// learnTime keeps how far the terminal's clock is from ours (04 01); the PC's clock is never set.
func (s *session) learnTime(data []byte) {
	var at stamp
	_ = walk(data, func(id byte, v []byte) { // what could be read is enough
		switch id {
		case bmpFullDate:
			at.setDate(v)
		case bmpTime:
			at.setTime(v)
		case bmpTLV:
			_ = walkTLV(v, func(tag int, v []byte) {
				switch tag {
				case tagDate:
					at.setDate(v)
				case tagTime:
					at.setTime(v)
				}
			})
		}
	})
	s.t.clock.learn(at, time.Now(), true)
}

// currencyCode packs a currency as BMP 49 has it: 09 78 for EUR.
func currencyCode(code string) ([]byte, error) {
	number, ok := money.Numeric(code)
	if !ok {
		return nil, fmt.Errorf("%w %s has no number that terminals know", money.ErrCurrency, code)
	}
	var n int64
	for _, c := range []byte(number) {
		n = n*10 + int64(c-'0')
	}
	out, _ := putBCD(n, 2)
	return out, nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
