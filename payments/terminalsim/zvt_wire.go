package terminalsim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"
)

// errQuiet means that nothing came in time.
var errQuiet = errors.New("register is silent")

// hurt is what happens to one message on its way out.
type hurt struct {
	badCRC, noise, stall bool
}

// wire carries messages; it is the part that differs between serial and TCP.
type wire interface {
	send(ctx context.Context, msg []byte, h hurt) error
	recv(ctx context.Context, wait time.Duration) ([]byte, error) // 0 waits for ever
	cut()
}

// source hands over what a reading goroutine gets.
type source struct {
	rw    io.ReadWriteCloser
	bytes chan []byte
	stop  chan struct{}
}

func newSource(rw io.ReadWriteCloser) *source {
	s := &source{rw: rw, bytes: make(chan []byte), stop: make(chan struct{})}
	go func() {
		defer close(s.bytes)
		for {
			b := make([]byte, 512)
			n, err := rw.Read(b)
			if n > 0 {
				select {
				case s.bytes <- b[:n]:
				case <-s.stop:
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return s
}

// close ends the reader and waits for it.
func (s *source) close() {
	close(s.stop)
	s.cut()
	for range s.bytes {
	}
}

func (s *source) cut() { _ = s.rw.Close() } // whoever reads finds out

func (s *source) more(ctx context.Context, until time.Time) ([]byte, error) {
	var alarm <-chan time.Time
	if !until.IsZero() {
		t := time.NewTimer(time.Until(until))
		defer t.Stop()
		alarm = t.C
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-alarm:
		return nil, errQuiet
	case b, ok := <-s.bytes:
		if !ok {
			return nil, io.EOF
		}
		return b, nil
	}
}

// rest lets simulated time go by.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func deadline(wait time.Duration) time.Time {
	if wait == 0 {
		return time.Time{}
	}
	return time.Now().Add(wait)
}

// socket is TCP: bare messages.
type socket struct {
	*source
	pending []byte
}

func (s *socket) send(ctx context.Context, msg []byte, h hurt) error {
	if h.stall {
		half := len(msg) / 2
		if _, err := s.rw.Write(msg[:half]); err != nil {
			return err
		}
		if err := rest(ctx, time.Second); err != nil {
			return err
		}
		msg = msg[half:]
	}
	_, err := s.rw.Write(msg)
	return err
}

func (s *socket) recv(ctx context.Context, wait time.Duration) ([]byte, error) {
	until := deadline(wait)
	for {
		if n := wholeMessage(s.pending); n > 0 {
			msg := bytes.Clone(s.pending[:n])
			s.pending = s.pending[n:]
			return msg, nil
		}
		b, err := s.more(ctx, until)
		if err != nil {
			return nil, err
		}
		s.pending = append(s.pending, b...)
	}
}

// wholeMessage is the length of the message that b begins with, 0 while it is not whole.
func wholeMessage(b []byte) int {
	if len(b) < 3 {
		return 0
	}
	n := 3 + int(b[2])
	if b[2] == 0xFF {
		if len(b) < 5 {
			return 0
		}
		n = 5 + int(b[3]) + 256*int(b[4])
	}
	if len(b) < n {
		return 0
	}
	return n
}

// cable is RS232: frames with ACK, NAK and CRC.
type cable struct {
	*source
	patience func() time.Duration
	pending  []byte
	inbox    [][]byte
	previous []byte // last frame taken; the same again before we went on is a repeat
}

// Signs of the line besides frames.
const (
	signNone = iota
	signAck
	signNak
	signFrame
	signBroken
)

// send writes a frame and waits for ACK, three times in all.
func (c *cable) send(ctx context.Context, msg []byte, h hurt) error {
	for try := range 3 {
		if err := c.put(ctx, msg, h, try == 0); err != nil {
			return err
		}
		until := time.Now().Add(c.patience())
		for {
			sign, frame, err := c.sign(ctx, until)
			if errors.Is(err, errQuiet) || sign == signNak {
				break
			}
			if err != nil {
				return err
			}
			if sign == signAck {
				c.previous = nil
				return nil
			}
			if sign == signFrame && c.take(frame) {
				c.inbox = append(c.inbox, frame)
			}
		}
	}
	return errQuiet
}

func (c *cable) put(ctx context.Context, msg []byte, h hurt, first bool) error {
	wire := serialFrame(msg)
	if first && h.badCRC {
		wire[len(wire)-1] ^= 0xFF
	}
	if first && h.noise {
		wire = append([]byte{0x00, 0xFF, 0x41, 0x10, 0x10, 0x7F}, wire...)
	}
	if first && h.stall {
		if _, err := c.rw.Write(wire[:len(wire)/2]); err != nil {
			return err
		}
		return rest(ctx, time.Second) // the other half never comes; NAK brings the frame again
	}
	_, err := c.rw.Write(wire)
	return err
}

// take answers a frame with ACK and says whether it is new.
func (c *cable) take(frame []byte) bool {
	if _, err := c.rw.Write([]byte{0x06}); err != nil {
		return false
	}
	if bytes.Equal(frame, c.previous) {
		return false
	}
	c.previous = frame
	return true
}

func (c *cable) recv(ctx context.Context, wait time.Duration) ([]byte, error) {
	if len(c.inbox) > 0 {
		msg := c.inbox[0]
		c.inbox = c.inbox[1:]
		return msg, nil
	}
	until := deadline(wait)
	for {
		sign, frame, err := c.sign(ctx, until)
		if err != nil {
			return nil, err
		}
		switch sign {
		case signFrame:
			if c.take(frame) {
				return frame, nil
			}
		case signBroken:
			if _, err := c.rw.Write([]byte{0x15}); err != nil {
				return nil, err
			}
		}
	}
}

// sign gives the next thing on the line.
func (c *cable) sign(ctx context.Context, until time.Time) (int, []byte, error) {
	for {
		sign, frame, used := scan(c.pending)
		c.pending = c.pending[used:]
		if sign != signNone {
			return sign, frame, nil
		}
		if len(c.pending) > 140_000 { // twice the longest frame: noise
			c.pending = nil
		}
		b, err := c.more(ctx, until)
		if err != nil {
			return signNone, nil, err
		}
		c.pending = append(c.pending, b...)
	}
}

// scan looks for the first sign in b and says how many bytes it used up.
func scan(b []byte) (sign int, frame []byte, used int) {
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == 0x06:
			return signAck, nil, i + 1
		case b[i] == 0x15:
			return signNak, nil, i + 1
		case b[i] == 0x10 && i+1 == len(b):
			return signNone, nil, i
		case b[i] == 0x10 && b[i+1] == 0x02:
			return scanFrame(b, i)
		}
	}
	return signNone, nil, len(b)
}

func scanFrame(b []byte, start int) (sign int, frame []byte, used int) {
	for i := start + 2; i < len(b); i++ {
		if b[i] != 0x10 {
			frame = append(frame, b[i])
			continue
		}
		if i+1 == len(b) {
			break
		}
		i++
		switch b[i] {
		case 0x10:
			frame = append(frame, 0x10)
		case 0x03:
			if i+2 >= len(b) {
				return signNone, nil, start
			}
			sum := kermit(append(bytes.Clone(frame), 0x03))
			if b[i+1] != byte(sum) || b[i+2] != byte(sum>>8) || wholeMessage(frame) != len(frame) {
				return signBroken, nil, i + 3
			}
			return signFrame, frame, i + 3
		default:
			return signBroken, nil, i + 1
		}
	}
	return signNone, nil, start
}

// serialFrame wraps a message for the cable.
func serialFrame(msg []byte) []byte {
	body := bytes.ReplaceAll(msg, []byte{0x10}, []byte{0x10, 0x10})
	sum := kermit(append(bytes.Clone(msg), 0x03))
	out := append([]byte{0x10, 0x02}, body...)
	return append(out, 0x10, 0x03, byte(sum%256), byte(sum/256))
}

// kermit is the CRC of the cable, worked in nibbles.
func kermit(b []byte) uint16 {
	var sum uint16
	for _, c := range b {
		q := (sum ^ uint16(c)) & 0x0F
		sum = sum>>4 ^ q*0x1081
		q = (sum ^ uint16(c>>4)) & 0x0F
		sum = sum>>4 ^ q*0x1081
	}
	return sum
}
