//go:build cgo && !nolibusb

package usbport

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/google/gousb"

	"storeagent/devices/port"
)

const (
	// chunk is how much goes into one transfer; libusb would split longer ones itself.
	chunk = 16 << 10
	// stuckAfter is how long one chunk may stay in the pipe where the caller set no deadline.
	stuckAfter = 10 * time.Second
	// emptyPause is the wait after an empty packet: some printers send them for as long as they have nothing to say.
	emptyPause = 20 * time.Millisecond
)

// pipes is a claimed interface as a port.Port.
type pipes struct {
	address string
	usb     *gousb.Context
	dev     *gousb.Device
	config  *gousb.Config
	intf    *gousb.Interface
	out     *gousb.OutEndpoint
	in      *gousb.InEndpoint // nil where the device never answers

	open  context.Context // until Close
	end   context.CancelFunc
	inUse sync.RWMutex // read-locked around transfers; Close waits for them

	readBy, writeBy deadline
	stuckAfter      time.Duration
	rest            []byte // of the last IN transfer, for the next Read
	packet          []byte
	once            sync.Once
}

func (p *pipes) start() {
	// A port outlives the call that opens it: Close ends it.
	p.open, p.end = context.WithCancel(context.Background())
	p.stuckAfter = stuckAfter
	p.readBy.changed, p.writeBy.changed = make(chan struct{}), make(chan struct{})
	if p.in != nil {
		p.packet = make([]byte, 8*max(p.in.Desc.MaxPacketSize, 64)) // whole packets, or libusb reports an overflow
	}
}

// deadline is a point in time that can be moved while somebody waits for it.
type deadline struct {
	mu      sync.Mutex
	at      time.Time
	changed chan struct{} // closed when at moves
}

func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at = t
	close(d.changed)
	d.changed = make(chan struct{})
}

func (d *deadline) get() (time.Time, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at, d.changed
}

// during gives a context that ends with the port, at the deadline wherever it moves, and after limit where there is no
// deadline and limit is not zero. stop frees it.
func (d *deadline) during(parent context.Context, limit time.Duration) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(parent)
	var watch sync.WaitGroup
	begun := time.Now()
	watch.Go(func() {
		for {
			at, changed := d.get()
			cause := os.ErrDeadlineExceeded
			if at.IsZero() && limit > 0 {
				at, cause = begun.Add(limit), errStuck
			}
			var over <-chan time.Time
			var timer *time.Timer
			if !at.IsZero() {
				timer = time.NewTimer(time.Until(at))
				over = timer.C
			}
			select {
			case <-over:
				cancel(cause)
			case <-changed:
			case <-ctx.Done():
			}
			if timer != nil {
				timer.Stop()
			}
			if ctx.Err() != nil {
				return
			}
		}
	})
	return ctx, func() { cancel(context.Canceled); watch.Wait() }
}

var (
	errStuck        = errors.New("the device takes no bytes")
	errTakesNothing = errors.New("this device can only be read")
)

func (p *pipes) SetReadDeadline(t time.Time) error {
	p.readBy.set(t)
	return p.dead()
}

func (p *pipes) SetWriteDeadline(t time.Time) error {
	p.writeBy.set(t)
	return p.dead()
}

func (p *pipes) dead() error {
	if p.open.Err() != nil {
		return os.ErrClosed
	}
	return nil
}

// Read gives what the device says, at least one byte. A device without a way to answer stays silent.
func (p *pipes) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	p.inUse.RLock()
	defer p.inUse.RUnlock()
	ctx, stop := p.readBy.during(p.open, 0)
	defer stop()
	for len(p.rest) == 0 {
		if err := p.over(ctx); err != nil {
			return 0, err
		}
		if at, _ := p.readBy.get(); !at.IsZero() && !time.Now().Before(at) { // passed before the watch could see it
			return 0, os.ErrDeadlineExceeded
		}
		if p.in == nil {
			<-ctx.Done()
			continue
		}
		n, err := p.in.ReadContext(ctx, p.packet)
		p.rest = p.packet[:max(n, 0)]
		switch {
		case n > 0: // what came before the end is kept
		case err != nil && ctx.Err() == nil:
			return 0, p.gone("read", err)
		case err == nil:
			pause(ctx)
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func pause(ctx context.Context) {
	timer := time.NewTimer(emptyPause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// Write returns how many bytes the device took. A device that takes none, as without paper, is found silent after ten
// seconds where there is no deadline; the port stays usable.
func (p *pipes) Write(b []byte) (int, error) {
	p.inUse.RLock()
	defer p.inUse.RUnlock()
	if p.out == nil {
		return 0, &port.Error{Op: "write", Address: p.address, Kind: port.Failed, Hint: "it is a scanner or scale: take the driver of what it is", Err: errTakesNothing}
	}
	for sent := 0; ; {
		if sent == len(b) {
			return sent, p.dead()
		}
		n, err := p.writeChunk(b[sent:min(sent+chunk, len(b))])
		sent += n
		if err != nil {
			return sent, err
		}
	}
}

func (p *pipes) writeChunk(b []byte) (int, error) {
	if at, _ := p.writeBy.get(); !at.IsZero() && !time.Now().Before(at) {
		return 0, os.ErrDeadlineExceeded
	}
	ctx, stop := p.writeBy.during(p.open, p.stuckAfter)
	defer stop()
	if err := p.over(ctx); err != nil {
		return 0, err
	}
	n, err := p.out.WriteContext(ctx, b)
	switch {
	case err == nil || n == len(b):
		return n, nil
	case ctx.Err() != nil:
		return n, p.over(ctx)
	}
	return n, p.gone("write", err)
}

// over says why ctx has ended, nil while it has not.
func (p *pipes) over(ctx context.Context) error {
	switch cause := context.Cause(ctx); {
	case p.open.Err() != nil:
		return os.ErrClosed
	case cause == nil:
		return nil
	case errors.Is(cause, errStuck):
		return &port.Error{Op: "write", Address: p.address, Kind: port.Silent, Hint: "check that the device is on, its paper and its cover",
			Err: errors.Join(cause, os.ErrDeadlineExceeded)}
	default:
		return cause
	}
}

// gone is the error of a transfer: nearly always the device was pulled out.
func (p *pipes) gone(op string, err error) error {
	kind, hint := port.Unplugged, "check the cable and the power of the device"
	if errors.Is(err, gousb.TransferStall) {
		kind, hint = port.Failed, "the device refuses: switch it off and on"
	}
	return &port.Error{Op: op, Address: p.address, Kind: kind, Hint: hint, Err: err}
}

// Close ends a blocked Read or Write and gives the device back to the kernel.
func (p *pipes) Close() error {
	p.once.Do(func() {
		p.end()
		p.inUse.Lock()
		defer p.inUse.Unlock()
		p.intf.Close()
		_, _, _ = p.config.Close(), p.dev.Close(), p.usb.Close() // of a device that is gone all fail, and nobody could act on it
	})
	return nil
}
