// Package port is a byte pipe with deadlines behind a configured address: what every driver reads and writes.
//
// It is called by the drivers and by devices; it imports nothing of this module. net.Conn satisfies Port, so
// net.Pipe serves in tests with fake time.
package port

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Port is an open byte pipe. A Read that meets its deadline fails with os.ErrDeadlineExceeded, never with (0, nil).
// Read and Write may run at the same time; two Reads, or two Writes, may not. Close ends both; a Read ended by our
// own Close fails with os.ErrClosed or net.ErrClosed, one ended by the far side with an *Error of kind Unplugged or io.EOF.
type Port interface {
	io.ReadWriteCloser
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
}

// Kind is why a port failed, in the words of a technician.
type Kind string

// The kinds; they are also the codes of devices.Problem.
const (
	Missing      Kind = "missing"       // no such node, nobody listens there
	NoPermission Kind = "no_permission" // the service's user may not open it
	InUse        Kind = "busy"          // another process holds it
	Silent       Kind = "silent"        // open, but nothing answers or takes bytes
	Unplugged    Kind = "unplugged"     // the far side went away
	WrongMode    Kind = "wrong_mode"    // it is there and set to be something else, such as a keyboard
	BadAddress   Kind = "bad_address"   // can never work as configured
	Failed       Kind = "device_error"  // anything else
)

// Error is a failed port operation with the technician's next step.
type Error struct {
	Op      string // open, read, write
	Address string
	Kind    Kind
	Hint    string
	Err     error
}

func (e *Error) Error() string { return fmt.Sprintf("%s %s: %v", e.Op, e.Address, e.Err) }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// KindOf gives the kind of the first *Error in err's chain, or Failed.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Failed
}

// OpenFunc opens a port. It honours ctx and never blocks for longer than a few seconds.
type OpenFunc func(ctx context.Context) (Port, error)

// Opener opens any address whose scheme it knows.
type Opener interface {
	Open(ctx context.Context, a Address) (Port, error)
}
