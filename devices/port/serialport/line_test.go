package serialport

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.bug.st/serial"

	"storeagent/devices/port"
)

// patience is how long a test waits for what must come at once.
const patience = 90 * time.Second

// fake is a port of the library: Read lasts until something is said, and Write takes as many bytes as there is room, then
// hangs until the far end is gone.
type fake struct {
	serial.Port // nil, for what a line does not use
	room        int
	said        chan string
	gone        chan struct{}

	reading sync.Once
	reads   chan struct{} // closed once a Read lasts

	mu     sync.Mutex
	got    []byte
	closed bool
}

func newFake(room int) *fake {
	return &fake{room: room, said: make(chan string), gone: make(chan struct{}), reads: make(chan struct{})}
}

func (f *fake) SetReadTimeout(time.Duration) error { return nil }
func (f *fake) ResetOutputBuffer() error           { return nil }

func (f *fake) GetModemStatusBits() (*serial.ModemStatusBits, error) {
	return &serial.ModemStatusBits{CTS: true, DSR: true}, nil
}

func (f *fake) Read(b []byte) (int, error) {
	f.reading.Do(func() { close(f.reads) })
	return copy(b, <-f.said), nil
}

func (f *fake) Write(b []byte) (int, error) {
	f.mu.Lock()
	n := min(len(b), f.room-len(f.got))
	f.got = append(f.got, b[:n]...)
	f.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	<-f.gone
	return 0, io.ErrClosedPipe
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	return nil
}

func (f *fake) isClosed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed
}

// A Read that waits must not hold up a writer that looks at the modem lines before each chunk.
func TestFlowControlWhileReading(t *testing.T) {
	for _, flow := range []port.Flow{port.FlowRTSCTS, port.FlowDTRDSR} {
		const size = 100 * chunk
		f := newFake(size)
		l := newLine(f, "serial:fake", flow, func(bool) {})
		read := make(chan error, 1)
		go func() { _, err := l.Read(make([]byte, 1)); read <- err }()
		<-f.reads
		wrote := make(chan error, 1)
		go func() { _, err := l.Write(make([]byte, size)); wrote <- err }()
		select {
		case err := <-wrote:
			if err != nil {
				t.Errorf("%s: %v", flow, err)
			}
		case <-time.After(patience):
			t.Fatalf("%s: the writer waits for the reader", flow)
		}
		f.said <- "x"
		if err := <-read; err != nil {
			t.Errorf("%s: read: %v", flow, err)
		}
		closeLine(t, l)
	}
}

// A write that hangs past its deadline ends the line; the descriptor stays open until the kernel lets the write go, so
// that its number cannot become another file's meanwhile.
func TestStuckWriteKeepsItsDescriptor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []bool
		f := newFake(1000)
		l := newLine(f, "serial:fake", port.FlowNone, func(stuck bool) { told = append(told, stuck) })
		_ = l.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		sent := bytes.Repeat([]byte("0123456789"), 200)
		n, err := l.Write(sent)
		if n != 1000/chunk*chunk || port.KindOf(err) != port.Silent || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes, %v", n, err)
		}
		if _, err := l.Read(make([]byte, 1)); port.KindOf(err) != port.Silent {
			t.Errorf("read on a dropped line: %v", err)
		}
		closeLine(t, l)
		if !slices.Equal(told, []bool{true}) || f.isClosed() {
			t.Errorf("while the write hangs: told %v, closed %v", told, f.isClosed())
		}
		close(f.gone)
		synctest.Wait()
		if !slices.Equal(told, []bool{true, false}) || !f.isClosed() || !bytes.Equal(f.got, sent[:1000]) {
			t.Errorf("once it came back: told %v, closed %v, %d bytes", told, f.isClosed(), len(f.got))
		}
	})
}

// A chunk that was written in time counts, however late we look.
func TestLateLook(t *testing.T) {
	for range 100 {
		l := newLine(newFake(0), "serial:fake", port.FlowNone, func(bool) {})
		l.results <- result{n: 3}
		taken := make(chan []byte, 1)
		go func() { taken <- <-l.chunks }()
		if n, err := l.writeChunk([]byte("abc"), time.Now().Add(-time.Second)); n != 3 || err != nil || string(<-taken) != "abc" {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
}

// closeLine closes a line and waits until its node is let go, however long this machine takes.
func closeLine(t *testing.T, p port.Port) {
	t.Helper()
	if err := p.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	<-p.(*line).released
}
