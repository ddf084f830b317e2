// Package wireline is what the protocols of card terminals have in common on the wire: a goroutine that reads a port,
// frames of STX, text, ETX and a checksum with their one-byte answers, the one goroutine that owns a terminal's line
// while callers queue for it, and the masking of card numbers.
//
// It is called by the protocol drivers beside it. It imports payments, devices and devices/port, never a driver.
package wireline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"storeagent/devices/port"
)

// writeLimit bounds one write; a serial line at 9600 baud takes the longest command in a second.
const writeLimit = 5 * time.Second

// A time limit that is noticed so much too late says that this computer stood still, not that the terminal was silent:
// what came meanwhile gets a little time to be read.
const (
	stoodStill = 250 * time.Millisecond
	catchUp    = time.Second
)

var (
	// ErrSilent means that nothing came in time.
	ErrSilent = errors.New("terminal does not answer")
	// ErrWoken means that wake fired first; a driver keeps it to itself.
	ErrWoken = errors.New("woken")
)

// Pump reads a port in its own goroutine, so that the owner can wait for bytes, time and wishes at once. Only the
// owner's goroutine calls its methods.
type Pump struct {
	port   port.Port
	chunks chan []byte // closed when reading ended
	err    error       // why, set before chunks is closed
	quit   chan struct{}

	missed, instead time.Time // the limit that was noticed too late, and the one that counts in its place
}

// StartPump begins to read p.
func StartPump(p port.Port) *Pump {
	u := &Pump{port: p, chunks: make(chan []byte), quit: make(chan struct{})}
	go u.read()
	return u
}

func (u *Pump) read() {
	defer close(u.chunks)
	buf := make([]byte, 4096)
	for {
		n, err := u.port.Read(buf)
		if n > 0 {
			select {
			case u.chunks <- bytes.Clone(buf[:n]):
			case <-u.quit:
				u.err = io.ErrClosedPipe
				return
			}
		}
		if err != nil {
			u.err = err
			return
		}
	}
}

// Stop closes the port and returns when the reader ended.
func (u *Pump) Stop() {
	close(u.quit)
	_ = u.port.Close() // devices.Link closes it again and has the error that matters
	for range u.chunks {
	}
}

// Chunk waits for bytes until then (zero: for ever), for wake (ErrWoken), or for ctx.
func (u *Pump) Chunk(ctx context.Context, until time.Time, wake <-chan struct{}) ([]byte, error) {
	if until.IsZero() || !until.Equal(u.missed) {
		b, err := u.wait(ctx, until, wake)
		if !errors.Is(err, ErrSilent) || time.Since(until) < stoodStill {
			return b, err
		}
		u.missed, u.instead = until, time.Now().Add(catchUp)
	}
	return u.wait(ctx, u.instead, wake)
}

func (u *Pump) wait(ctx context.Context, until time.Time, wake <-chan struct{}) ([]byte, error) {
	var expired <-chan time.Time
	if !until.IsZero() {
		timer := time.NewTimer(time.Until(until))
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-wake:
		return nil, ErrWoken
	case <-expired:
		return nil, ErrSilent
	case b, ok := <-u.chunks:
		if !ok {
			return nil, fmt.Errorf("read from terminal: %w", u.err)
		}
		return b, nil
	}
}

// Write hands b to the port within five seconds.
func (u *Pump) Write(b []byte) error {
	if err := u.port.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return fmt.Errorf("write to terminal: %w", err)
	}
	if _, err := u.port.Write(b); err != nil {
		return fmt.Errorf("write to terminal: %w", err)
	}
	return nil
}
