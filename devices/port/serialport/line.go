package serialport

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"go.bug.st/serial"

	"storeagent/devices/port"
)

const (
	// readSlice is the longest single wait in the library's Read. Reads are sliced so that Close can wait until no
	// system call uses the descriptor: its number may belong to another file right after the close.
	readSlice = 100 * time.Millisecond
	// chunk is how much goes into one write: what a slow printer takes between two looks at the flow control, and
	// 67 ms at 9600 bits per second.
	chunk = 64
	// stuckAfter is how long one chunk may hang in the kernel, or flow control may hold it, if the caller set no
	// deadline of its own.
	stuckAfter = 10 * time.Second
	// flowPoll is the pause between two looks at a modem line that says stop.
	flowPoll = 5 * time.Millisecond
	// closeWait bounds Close when the kernel will not let go; it ends in the background then.
	closeWait = 2 * time.Second
)

// The two flow control characters of ASCII (DC1 and DC3).
const (
	xon  = 0x11
	xoff = 0x13
)

var (
	errStuck = errors.New("the far end takes no bytes")
	errGone  = errors.New("the device went away")
)

// line is an open serial line as a port.Port.
type line struct {
	raw     serial.Port
	address string
	flow    port.Flow
	release func(stuck bool) // false: the node is free again

	inUse   sync.RWMutex // read-locked around every use of the descriptor but the writer's; Close takes the lock
	chunks  chan []byte
	results chan result
	writer  sync.Once
	ended   chan struct{} // the writer goroutine is gone
	closing chan struct{} // closed by Close or by a stuck write

	mu       sync.Mutex
	readBy   time.Time
	writeBy  time.Time
	closed   bool
	dropped  error         // why the line is dead although nobody closed it
	paused   bool          // an XOFF was read
	resumed  chan struct{} // closed when an XON follows
	released chan struct{} // raw is closed and the node free or marked as stuck
}

type result struct {
	n   int
	err error
}

func newLine(raw serial.Port, address string, flow port.Flow, release func(stuck bool)) *line {
	l := &line{
		raw: raw, address: address, flow: flow, release: release,
		chunks: make(chan []byte), results: make(chan result, 1), ended: make(chan struct{}),
		closing: make(chan struct{}), resumed: make(chan struct{}), released: make(chan struct{}),
	}
	return l
}

func (l *line) SetReadDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.readBy = t
	return l.dead()
}

func (l *line) SetWriteDeadline(t time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writeBy = t
	return l.dead()
}

// dead is called under l.mu.
func (l *line) dead() error {
	if l.dropped != nil {
		return l.dropped
	}
	if l.closed {
		return os.ErrClosed
	}
	return nil
}

// Read gives what has come, at least one byte, or waits for the deadline. With flow=xonxoff, XON and XOFF are taken
// out; somebody has to read while a Write runs.
func (l *line) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, err := l.readSlice(b)
		if n > 0 && l.flow == port.FlowXONXOFF {
			n = l.filter(b[:n])
		}
		if n > 0 {
			return n, nil
		}
		if err != nil {
			return 0, err
		}
	}
}

func (l *line) readSlice(b []byte) (int, error) {
	l.inUse.RLock()
	defer l.inUse.RUnlock()
	l.mu.Lock()
	err, wait, by := l.dead(), readSlice, l.readBy
	l.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if !by.IsZero() {
		wait = min(wait, time.Until(by))
		if wait <= 0 {
			return 0, os.ErrDeadlineExceeded
		}
	}
	if err := l.raw.SetReadTimeout(wait); err != nil {
		return 0, l.failed("read", err)
	}
	n, err := l.raw.Read(b)
	if err != nil && n == 0 {
		return 0, l.failed("read", err)
	}
	return n, nil // n is 0 when the slice is over
}

// filter takes the flow control characters out of b.
func (l *line) filter(b []byte) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	kept := b[:0]
	for _, c := range b {
		switch {
		case c == xoff:
			l.paused = true
		case c == xon && l.paused:
			l.paused = false
			close(l.resumed)
			l.resumed = make(chan struct{})
		case c == xon:
		default:
			kept = append(kept, c)
		}
	}
	return len(kept)
}

// Write sends b in small chunks and returns how many bytes the kernel took. A deadline that passes while flow control
// holds us back leaves the line usable. A chunk that hangs in the kernel ends the line with an *port.Error of kind
// Silent: how much of it left is not known.
func (l *line) Write(b []byte) (int, error) {
	l.writer.Do(func() { go l.write() })
	l.mu.Lock()
	by := l.writeBy
	l.mu.Unlock()
	for sent := 0; ; {
		if sent == len(b) {
			return sent, nil
		}
		limit := time.Now().Add(stuckAfter)
		if !by.IsZero() {
			limit = by
		}
		if err := l.mayWrite(limit); err != nil {
			if by.IsZero() && errors.Is(err, os.ErrDeadlineExceeded) {
				err = l.silent(err)
			}
			return sent, err
		}
		n, err := l.writeChunk(b[sent:min(sent+chunk, len(b))], limit)
		sent += n
		if err != nil {
			return sent, err
		}
	}
}

// mayWrite waits until flow control lets us write.
func (l *line) mayWrite(limit time.Time) error {
	for {
		l.mu.Lock()
		err, paused, resumed := l.dead(), l.paused, l.resumed
		l.mu.Unlock()
		if err != nil {
			return err
		}
		left := time.Until(limit)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		switch l.flow {
		case port.FlowRTSCTS, port.FlowDTRDSR:
			if l.lineUp() {
				return nil
			}
			left, resumed = min(left, flowPoll), nil
		case port.FlowXONXOFF:
			if !paused {
				return nil
			}
		default:
			return nil
		}
		timer := time.NewTimer(left)
		select {
		case <-timer.C:
		case <-resumed:
		case <-l.closing:
		}
		timer.Stop()
	}
}

// lineUp reports whether the modem line of our flow control says go. A port without modem lines cannot say stop.
func (l *line) lineUp() bool {
	l.inUse.RLock()
	defer l.inUse.RUnlock()
	l.mu.Lock()
	err := l.dead()
	l.mu.Unlock()
	if err != nil {
		return true // mayWrite looks again
	}
	bits, err := l.raw.GetModemStatusBits()
	if err != nil {
		return true
	}
	if l.flow == port.FlowRTSCTS {
		return bits.CTS
	}
	return bits.DSR
}

func (l *line) writeChunk(b []byte, limit time.Time) (int, error) {
	own := append([]byte(nil), b...) // the caller may reuse b while a stuck chunk still hangs
	timer := time.NewTimer(time.Until(limit))
	defer timer.Stop()
	select {
	case l.chunks <- own:
	case <-l.closing:
		return 0, l.failed("write", os.ErrClosed)
	}
	select {
	case r := <-l.results:
		return l.wrote(r)
	case <-l.closing:
		return 0, l.failed("write", os.ErrClosed)
	case <-timer.C:
		select {
		case r := <-l.results: // it was in time, and we are late
			return l.wrote(r)
		default:
		}
		err := l.silent(errStuck)
		l.shut(err)
		return 0, err
	}
}

func (l *line) wrote(r result) (int, error) {
	if r.err != nil {
		return r.n, l.failed("write", r.err)
	}
	return r.n, nil
}

// write is the goroutine that writes; only it can hang in the kernel.
func (l *line) write() {
	defer close(l.ended)
	for {
		select {
		case b := <-l.chunks:
			var r result
			for r.n < len(b) && r.err == nil {
				var n int
				n, r.err = l.raw.Write(b[r.n:])
				if r.n += n; n == 0 && r.err == nil {
					r.err = io.ErrNoProgress
				}
				select {
				case <-l.closing: // nobody waits for the rest
					if r.n < len(b) {
						return
					}
				default:
				}
			}
			l.results <- r
		case <-l.closing:
			return
		}
	}
}

func (l *line) silent(cause error) error {
	return &port.Error{Op: "write", Address: l.address, Kind: port.Silent, Err: errors.Join(cause, os.ErrDeadlineExceeded),
		Hint: "check that the device is on, its paper, and the flow control of the port"}
}

// failed tells an unplugged device from our own Close: the library gives the same error for both.
func (l *line) failed(op string, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if dead := l.dead(); dead != nil {
		return dead
	}
	var pe *serial.PortError
	if errors.As(err, &pe) && pe.Code() == serial.PortClosed {
		err = errGone
	}
	return &port.Error{Op: op, Address: l.address, Kind: port.Unplugged, Hint: "check the cable and the power of the device", Err: err}
}

// Close ends a blocked Read or Write and frees the port.
func (l *line) Close() error {
	l.shut(nil)
	timer := time.NewTimer(closeWait)
	defer timer.Stop()
	select {
	case <-l.released:
	case <-timer.C: // the port stays held until the kernel lets go
	}
	return nil
}

// shut ends the line once, for a reason or because Close was called.
func (l *line) shut(why error) {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed, l.dropped = true, why
	close(l.closing)
	l.mu.Unlock()
	go func() {
		defer close(l.released)
		l.writer.Do(func() { close(l.ended) }) // never written: no goroutine to wait for
		l.freeWriter()
		l.inUse.Lock()
		defer l.inUse.Unlock()
		free := func() {
			_ = l.raw.Close() // nobody could act on it
			l.release(false)
		}
		select {
		case <-l.ended:
			free()
		default: // hangs until the far end takes bytes or goes away: the kernel has no way out of that write
			l.release(true)
			go func() { <-l.ended; free() }()
		}
	}()
}

// freeWriter waits for the writer goroutine; one that hangs is freed by throwing the unsent bytes away, and given up
// if even that does not help (on a pty it does not). Descriptor and node stay held until it comes back: there is never
// more than one of them for a node, and none that writes into another file that got the number of its descriptor.
func (l *line) freeWriter() {
	timer := time.NewTimer(readSlice)
	defer timer.Stop()
	select {
	case <-l.ended:
		return
	case <-timer.C:
	}
	_ = l.raw.ResetOutputBuffer()
	timer.Reset(readSlice)
	select {
	case <-l.ended:
	case <-timer.C:
	}
}
