package display

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

// passLimit is how long text may wait behind a receipt, and be on its way.
const passLimit = 20 * time.Second

// Printer is what a display needs of the receipt printer that it is plugged into.
type Printer interface {
	Info() devices.Info
	// Print prints job.Raw as it is, between other jobs.
	Print(ctx context.Context, job printer.Job, doc printer.Document, p printer.Progress) (printer.JobState, error)
}

// PassESCPOS wraps bytes for a display behind an ESC/POS printer: ESC = 2 selects the display, ESC = 1 the printer again
// (Epson, ESC/POS command reference, "Select peripheral device").
func PassESCPOS(b []byte) []byte {
	out := append([]byte{0x1B, '=', 2}, b...)
	return append(out, 0x1B, '=', 1)
}

// PassStar wraps bytes for a display behind a Star printer: ESC GS B @ n1 n2 d1 … (Star Micronics, "Customer display
// Commands"). At most 65535 bytes fit.
func PassStar(b []byte) []byte {
	return append([]byte{0x1B, 0x1D, 'B', '@', byte(len(b)), byte(len(b) >> 8)}, b...)
}

// Behind is the way to a display that is plugged into a receipt printer. Its bytes go out between jobs, never in one,
// and only while the printer can print: a printer without paper passes nothing on. All methods are safe for concurrent
// use.
type Behind struct {
	printer Printer
	pass    func([]byte) []byte

	mu      sync.Mutex
	changed chan struct{} // closed when the printer says something new
}

// NewBehind makes the way through a printer; pass wraps bytes in the printer's language.
func NewBehind(p Printer, pass func([]byte) []byte) *Behind {
	return &Behind{printer: p, pass: pass, changed: make(chan struct{})}
}

// PrinterChanged makes an open port look at its printer again.
func (b *Behind) PrinterChanged() {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *Behind) next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// Open is a port.OpenFunc. It fails while the printer can't be reached.
func (b *Behind) Open(context.Context) (port.Port, error) {
	if err := b.reachable("open"); err != nil {
		return nil, err
	}
	return &passage{b: b, closed: make(chan struct{})}, nil
}

func (b *Behind) reachable(op string) error {
	i := b.printer.Info()
	if i.State != devices.Offline {
		return nil
	}
	return &port.Error{Op: op, Address: "display behind " + i.Name, Kind: port.Missing, Err: errors.New("the printer can't be reached"),
		Hint: "see what storeagent devices says of that printer"}
}

// passage is one open port through the printer.
type passage struct {
	b      *Behind
	once   sync.Once
	closed chan struct{}
}

var _ port.Port = (*passage)(nil)

// Read waits until the port is closed or the printer can't be reached: a display behind a printer never answers.
func (p *passage) Read([]byte) (int, error) {
	for {
		changed := p.b.next()
		if err := p.b.reachable("read"); err != nil {
			var pe *port.Error
			errors.As(err, &pe)
			pe.Kind = port.Unplugged
			return 0, pe
		}
		select {
		case <-changed:
		case <-p.closed:
			return 0, os.ErrClosed
		}
	}
}

// Write hands the bytes to the printer as one job, behind those that it has, and returns when they are there.
func (p *passage) Write(b []byte) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), passLimit) // ends with the port, too
	defer cancel()
	go func() {
		select {
		case <-p.closed:
			cancel()
		case <-ctx.Done():
		}
	}()
	state, err := p.b.printer.Print(ctx, printer.Job{Printer: p.b.printer.Info().Name, Copies: 1, Raw: p.b.pass(b)}, nil, quiet{})
	if state == printer.Printed || state == printer.Sent {
		return len(b), nil
	}
	if err == nil {
		err = fmt.Errorf("it is %s", state)
	}
	return 0, &port.Error{Op: "write", Address: "display behind " + p.b.printer.Info().Name, Kind: port.Silent, Err: err,
		Hint: "a display gets its text through the printer: see to the printer"}
}

// Close ends Read and Write.
func (p *passage) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// SetReadDeadline does nothing: nothing is ever read.
func (p *passage) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: a receipt that is being printed goes first, and Write has a bound of its own.
func (p *passage) SetWriteDeadline(time.Time) error { return nil }

// quiet is nobody's progress: text for a display is no print job.
type quiet struct{}

// Sending implements printer.Progress.
func (quiet) Sending() error { return nil }

// Blocked implements printer.Progress.
func (quiet) Blocked(printer.Reason) {}
