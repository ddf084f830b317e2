package terminalsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"
)

// stxLine is a line on which texts stand between 02 and 03 with a checksum behind, and single bytes answer them.
type stxLine struct {
	*source
	patience func() time.Duration // how long it waits for one answer
	pending  []byte
	kept     []token
}

// token is one thing on the line: a single byte, or a frame (kind 02), or a broken frame (kind 00).
type token struct {
	kind byte
	text string
}

func seal(text string) []byte {
	sum := byte(3)
	for i := range len(text) {
		sum ^= text[i]
	}
	return append(append([]byte{2}, text...), 3, sum)
}

// token waits for the next thing; 0 waits for ever.
func (l *stxLine) token(ctx context.Context, wait time.Duration) (token, error) {
	if len(l.kept) > 0 {
		t := l.kept[0]
		l.kept = l.kept[1:]
		return t, nil
	}
	until := deadline(wait)
	for {
		t, used := cutToken(l.pending)
		l.pending = l.pending[used:]
		if used > 0 {
			return t, nil
		}
		if len(l.pending) > 100_000 {
			l.pending = nil
		}
		b, err := l.more(ctx, until)
		if err != nil {
			return token{}, err
		}
		l.pending = append(l.pending, b...)
	}
}

// cutToken takes the first thing off b and says how many bytes it used, 0 while it is not whole.
func cutToken(b []byte) (token, int) {
	if len(b) == 0 {
		return token{}, 0
	}
	if b[0] != 2 {
		return token{kind: b[0]}, 1
	}
	end := bytes.IndexByte(b, 3)
	if end < 0 || end+1 >= len(b) {
		return token{}, 0
	}
	text := string(b[1:end])
	if !bytes.Equal(seal(text), b[:end+2]) {
		return token{}, end + 2
	}
	return token{kind: 2, text: text}, end + 2
}

// put sends a frame, hurt as the script says.
func (l *stxLine) put(ctx context.Context, text string, h hurt) error {
	wire := seal(text)
	if h.badCRC {
		wire[len(wire)-1] ^= 0x55
	}
	if h.noise {
		wire = append([]byte{0x00, 0xFF, 0x41, 0x7F}, wire...)
	}
	if h.stall {
		if err := l.bytes1(wire[:len(wire)/2]); err != nil {
			return err
		}
		if err := rest(ctx, time.Second); err != nil {
			return err
		}
		wire = wire[len(wire)/2:]
	}
	return l.bytes1(wire)
}

func (l *stxLine) bytes1(b []byte) error {
	_, err := l.rw.Write(b)
	return err
}

// handover sends a frame up to three times until its ACK is here. deaf ignores every ACK. A frame that comes instead
// is kept, and ends the trying: the other side has gone on.
func (l *stxLine) handover(ctx context.Context, text string, h hurt, sent func() error, deaf bool) (taken bool, err error) {
	for try := range 3 {
		if try > 0 {
			h = hurt{}
		}
		if err := l.put(ctx, text, h); err != nil {
			return false, err
		}
		if try == 0 && sent != nil {
			if err := sent(); err != nil {
				return false, err
			}
		}
		for again := false; !again; {
			t, err := l.token(ctx, l.patience())
			switch {
			case errors.Is(err, errQuiet):
				again = true
			case err != nil:
				return false, err
			case t.kind == 6 && !deaf, t.kind == '6' && !deaf: // some registers acknowledge with the letter
				return true, nil
			case t.kind == 0x15:
				again = true
			case t.kind == 4:
				return false, nil
			case t.kind == 2, t.kind == 5:
				l.kept = append(l.kept, t)
				return false, nil
			}
		}
	}
	return false, nil
}

// counter keeps what a simulated terminal is told to do and what it did.
type counter struct {
	o    Options
	line chan struct{} // one connection at a time: a terminal at work on a payment answers nobody

	mu     sync.Mutex
	script []Behaviour
	asked  int
}

func newCounter(o Options) counter {
	if o.Currency == "" {
		o.Currency = "978"
	}
	if o.TerminalID == "" {
		o.TerminalID = "52523535"
	}
	if o.OnStep == nil {
		o.OnStep = func(string) {}
	}
	if o.Patience == 0 {
		o.Patience = 3 * time.Second
	}
	return counter{o: o, script: o.Script, line: make(chan struct{}, 1)}
}

// SetScript replaces the behaviours of the payments to come.
func (c *counter) SetScript(b []Behaviour) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.script = b
}

// Asked counts the money commands that arrived.
func (c *counter) Asked() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.asked
}

func (c *counter) next() Behaviour {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	if len(c.script) == 0 {
		return Behaviour{}
	}
	b := c.script[0]
	if len(c.script) > 1 {
		c.script = c.script[1:]
	}
	return b
}

// serve lets command deal with one thing on the line after the other until ctx ends or the line breaks.
func (c *counter) serve(ctx context.Context, rw io.ReadWriteCloser, command func(ctx context.Context, l *stxLine, t token) error) error {
	select {
	case c.line <- struct{}{}:
	case <-ctx.Done():
		return rw.Close()
	}
	defer func() { <-c.line }()
	l := &stxLine{source: newSource(rw), patience: c.o.patience}
	defer l.close()
	defer context.AfterFunc(ctx, l.cut)() // ends a write that nobody reads
	for {
		t, err := l.token(ctx, 0)
		if err == nil {
			err = command(ctx, l, t)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errQuiet): // the payment is over, the line stays
		case err != nil:
			return fmt.Errorf("simulated terminal: %w", err)
		}
	}
}

// customer lets the time with the customer go by: slow, waiting, or gone. heard gets what comes in meanwhile and says
// whether it stops the payment. A line that breaks does not stop the customer.
func (b Behaviour) customer(ctx context.Context, l *stxLine, heard func(token) bool) (stopped bool, err error) {
	wait := b.Late + time.Duration(b.Slow)*time.Second
	if b.Wait || b.Race {
		wait = 3 * time.Minute
	}
	until := time.Now().Add(wait)
	for {
		left := time.Until(until)
		if left <= 0 {
			return false, nil
		}
		t, err := l.token(ctx, left)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case errors.Is(err, errQuiet):
			return false, nil
		case err != nil:
			return false, rest(ctx, left)
		case heard(t) && b.Late == 0:
			return true, nil
		}
	}
}

// steps tells the hook, then cuts the line if the script says so.
func (b Behaviour) steps(c *counter, l *stxLine) func(name string) error {
	return func(name string) error {
		c.o.OnStep(name)
		if b.CutAt == name {
			l.cut()
			return errCut
		}
		return nil
	}
}

// lineSteps are the steps of a payment on protocols without slips.
func lineSteps() []string {
	return slices.DeleteFunc(Steps(), func(s string) bool { return s == StepPrinted })
}
