package zvt

import (
	"bytes"
	"context"
	"errors"
	"time"

	"storeagent/payments/wireline"
)

// Times of the protocol (PA00P016, chapters on RS232 and on time-outs).
const (
	timeT1 = 200 * time.Millisecond // between two bytes of a frame
	timeT2 = 5 * time.Second        // for ACK or NAK
	timeT3 = 5 * time.Second        // for 80 00 00 or 84 xx 00
	timeT4 = 180 * time.Second      // from 80 00 00 to the end, begun anew by 04 FF and 04 0F
)

// repeats is how often a frame is sent again after NAK or T2.
const repeats = 2

var errNoAck = errors.New("terminal does not acknowledge the frame")

// line carries APDUs over a port. Only the owner goroutine uses it.
type line interface {
	// send hands one APDU over. copies counts how often its bytes left, also with an error.
	send(ctx context.Context, a apdu) (copies int, err error)
	// next gives the next APDU, wireline.ErrSilent at until (zero: never), or wireline.ErrWoken when wake fires.
	next(ctx context.Context, until time.Time, wake <-chan struct{}) (apdu, error)
}

// tcpLine is the TCP form: APDUs one behind the other, cut into any pieces on the way.
type tcpLine struct {
	pump *wireline.Pump
	buf  []byte
}

func (l *tcpLine) send(_ context.Context, a apdu) (int, error) { return 1, l.pump.Write(a.encode()) }

func (l *tcpLine) next(ctx context.Context, until time.Time, wake <-chan struct{}) (apdu, error) {
	for {
		a, n, err := parseAPDU(l.buf)
		if err == nil {
			l.buf = append(l.buf[:0], l.buf[n:]...)
			return a, nil
		}
		chunk, err := l.pump.Chunk(ctx, until, wake)
		if err != nil {
			return apdu{}, err
		}
		l.buf = append(l.buf, chunk...)
	}
}

// maxQueue bounds the APDUs kept while an ACK is waited for; a terminal sends at most one or two.
const maxQueue = 8

// serialLine is the RS232 form: frames, each answered at once with a bare ACK or NAK.
type serialLine struct {
	pump   *wireline.Pump
	def    deframer
	events []event
	queue  []apdu // came while send waited for its ACK

	// A frame equal to the last one is its repeat (our ACK was lost) until a frame of ours was acknowledged.
	last     []byte
	answered bool
}

func (l *serialLine) send(ctx context.Context, a apdu) (copies int, err error) {
	wire := frame(a.encode())
	for copies = 1; copies <= 1+repeats; copies++ {
		if err := l.pump.Write(wire); err != nil {
			return copies, err
		}
		taken, err := l.acknowledged(ctx, a)
		if err != nil || taken {
			return copies, err
		}
	}
	return copies - 1, errNoAck
}

// acknowledged waits T2 for ACK. A message that can only follow ours counts like one: the answer to our command, or
// whatever the terminal sends next after our answer.
func (l *serialLine) acknowledged(ctx context.Context, sent apdu) (bool, error) {
	until := time.Now().Add(timeT2)
	for {
		e, err := l.event(ctx, until, nil)
		switch {
		case errors.Is(err, wireline.ErrSilent):
			return false, nil
		case err != nil:
			return false, err
		}
		switch e.kind {
		case gotAck:
			l.answered = true
			return true, nil
		case gotNak:
			return false, nil
		case gotFrame:
			a, fresh, err := l.accept(e.raw)
			if err != nil {
				return false, err
			}
			if !fresh {
				continue
			}
			if len(l.queue) >= maxQueue {
				return false, errors.New("terminal sends without waiting for answers")
			}
			l.queue = append(l.queue, a)
			if sent.isAnswer() != a.isAnswer() {
				return true, nil
			}
		case gotBad:
			if err := l.pump.Write([]byte{nak}); err != nil {
				return false, err
			}
		}
	}
}

func (l *serialLine) next(ctx context.Context, until time.Time, wake <-chan struct{}) (apdu, error) {
	if len(l.queue) > 0 {
		a := l.queue[0]
		l.queue = l.queue[1:]
		return a, nil
	}
	for {
		e, err := l.event(ctx, until, wake)
		if err != nil {
			return apdu{}, err
		}
		switch e.kind {
		case gotFrame:
			if a, fresh, err := l.accept(e.raw); err != nil || fresh {
				return a, err
			}
		case gotBad:
			if err := l.pump.Write([]byte{nak}); err != nil {
				return apdu{}, err
			}
		}
	}
}

// accept acknowledges a good frame and tells a new message from a repeat.
func (l *serialLine) accept(raw []byte) (a apdu, fresh bool, err error) {
	if err := l.pump.Write([]byte{ack}); err != nil {
		return apdu{}, false, err
	}
	if !l.answered && bytes.Equal(raw, l.last) {
		return apdu{}, false, nil
	}
	l.last, l.answered = raw, false
	a, err = parseWhole(raw)
	return a, true, err
}

// event gives the next thing on the line. A gap longer than T1 inside a frame makes the frame bad.
func (l *serialLine) event(ctx context.Context, until time.Time, wake <-chan struct{}) (event, error) {
	for len(l.events) == 0 {
		limit, inFrame := until, l.def.partial()
		if t1 := time.Now().Add(timeT1); inFrame && (until.IsZero() || t1.Before(until)) {
			limit = t1
		}
		chunk, err := l.pump.Chunk(ctx, limit, wake)
		if errors.Is(err, wireline.ErrSilent) && inFrame {
			l.def.reset()
			return event{kind: gotBad}, nil
		}
		if err != nil {
			return event{}, err
		}
		l.events = l.def.feed(chunk)
	}
	e := l.events[0]
	l.events = l.events[1:]
	return e, nil
}
