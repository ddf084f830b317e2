// Package porttest is ports for tests: pipes, scripted conversations, and faults on demand.
//
// It is called by tests only, imports devices/port and testing, and never a driver.
package porttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"storeagent/devices/port"
)

// Pipe gives the two ends of a cable: near for the driver, far for the test. Both end with the test. They work with
// the fake time of testing/synctest.
func Pipe(t testing.TB) (near, far port.Port) {
	t.Helper()
	a, b := net.Pipe()
	t.Cleanup(func() { _, _ = a.Close(), b.Close() })
	return a, b
}

// Opener hands out the near ends of fresh pipes and gives the far ends on a channel, one for each open.
func Opener(t testing.TB) (port.OpenFunc, <-chan port.Port) {
	t.Helper()
	fars := make(chan port.Port)
	return func(ctx context.Context) (port.Port, error) {
		near, far := Pipe(t)
		select {
		case fars <- far:
			return near, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, fars
}

// Op is one step of a recorded conversation, as the driver sees it. Where both are set, Write comes first.
type Op struct {
	Write []byte // the driver writes exactly this, in any number of pieces
	Read  []byte // the driver reads this, in any number of pieces
	Err   error  // what the driver's next Read or Write fails with, once
}

// Recorder writes down a conversation while it passes it on.
type Recorder struct {
	port.Port
	mu  sync.Mutex
	ops []Op
}

// Record puts a recorder before p.
func Record(p port.Port) *Recorder { return &Recorder{Port: p} }

// Ops is what passed so far; pieces that went the same way in a row are one step.
func (r *Recorder) Ops() []Op {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := make([]Op, len(r.ops))
	for n, op := range r.ops {
		ops[n] = Op{Write: bytes.Clone(op.Write), Read: bytes.Clone(op.Read)}
	}
	return ops
}

func (r *Recorder) Read(b []byte) (int, error) {
	n, err := r.Port.Read(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	if n > 0 {
		last := r.last(func(op *Op) bool { return op.Read != nil })
		last.Read = append(last.Read, b[:n]...)
	}
	return n, err
}

func (r *Recorder) Write(b []byte) (int, error) {
	r.mu.Lock() // before the far end can answer
	last := r.last(func(op *Op) bool { return op.Write != nil })
	last.Write = append(last.Write, b...)
	r.mu.Unlock()
	return r.Port.Write(b)
}

func (r *Recorder) last(same func(*Op) bool) *Op {
	if len(r.ops) == 0 || !same(&r.ops[len(r.ops)-1]) {
		r.ops = append(r.ops, Op{})
	}
	return &r.ops[len(r.ops)-1]
}

// Playback is the device of a recorded conversation.
type Playback struct {
	mu     sync.Mutex
	cond   *sync.Cond
	ops    []Op
	step   int
	done   int // bytes of the step that have passed
	err    error
	closed bool
	readBy time.Time
}

// Play makes a port that follows ops. Closing it fails if the driver wrote something else or steps remain.
func Play(ops []Op) *Playback {
	p := &Playback{ops: ops}
	p.cond = sync.NewCond(&p.mu)
	return p
}

// now skips finished steps and returns the present one, nil at the end. Called under p.mu.
func (p *Playback) now() *Op {
	for p.step < len(p.ops) {
		op := &p.ops[p.step]
		if op.Err != nil || p.done < len(op.Write)+len(op.Read) {
			return op
		}
		p.step, p.done = p.step+1, 0
		p.cond.Broadcast()
	}
	return nil
}

// Read gives the bytes of the present step, or waits until the driver has written what comes before them.
func (p *Playback) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		op := p.now()
		switch {
		case p.closed:
			return 0, net.ErrClosed
		case op != nil && op.Err != nil:
			p.step++
			return 0, op.Err
		case op != nil && len(op.Read) > 0 && p.done >= len(op.Write):
			n := copy(b, op.Read[p.done-len(op.Write):])
			p.done += n
			p.now()
			return n, nil
		case !p.readBy.IsZero() && !time.Now().Before(p.readBy):
			return 0, os.ErrDeadlineExceeded
		}
		p.cond.Wait()
	}
}

// Write checks b against the present step.
func (p *Playback) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := 0; ; {
		if n == len(b) {
			p.now()
			return n, nil
		}
		op := p.now()
		if p.closed {
			return n, net.ErrClosed
		}
		if op != nil && op.Err != nil {
			p.step++
			return n, op.Err
		}
		var want []byte
		if op != nil {
			want = op.Write[min(p.done, len(op.Write)):]
		}
		m := min(len(want), len(b)-n)
		if m == 0 || !bytes.Equal(b[n:n+m], want[:m]) {
			p.err = fmt.Errorf("step %d: driver wrote %x, recorded is %x", p.step, b[n:], want)
			return n, p.err
		}
		p.done += m
		n += m
	}
}

// SetReadDeadline works also for a Read that waits.
func (p *Playback) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.readBy = t
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() {
			p.mu.Lock() // not between a reader's look at the time and its wait
			defer p.mu.Unlock()
			p.cond.Broadcast()
		})
	}
	p.cond.Broadcast()
	return nil
}

// SetWriteDeadline does nothing: a Write never waits.
func (p *Playback) SetWriteDeadline(time.Time) error { return nil }

// Close ends a waiting Read and says whether the conversation was the recorded one.
func (p *Playback) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.cond.Broadcast()
	if p.err != nil {
		return p.err
	}
	if p.now() != nil {
		return fmt.Errorf("%d recorded steps remain, from step %d on", len(p.ops)-p.step, p.step)
	}
	return nil
}

// Faults says what goes wrong on a port; 0 means nothing.
type Faults struct {
	FailRead   int   // the Nth Read fails, counted from 1
	FailWrite  int   // the Nth Write fails, counted from 1
	CutAfter   int   // after N bytes in both directions together the cable is out
	Err        error // what FailRead and FailWrite give; nil is an Unplugged error
	ShortReads bool  // every Read brings one byte
}

// Faulty puts faults before p.
func Faulty(p port.Port, f Faults) port.Port { return &faulty{Port: p, f: f} }

type faulty struct {
	port.Port
	f             Faults
	mu            sync.Mutex
	reads, writes int
	bytes         int
}

func (f *faulty) fault(op string, count *int, nth int) (budget int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*count++
	unplugged := &port.Error{Op: op, Address: "faulty", Kind: port.Unplugged, Err: errors.New("injected fault")}
	if f.f.CutAfter > 0 {
		if budget = f.f.CutAfter - f.bytes; budget <= 0 {
			_ = f.Close()
			return 0, unplugged
		}
	}
	if nth > 0 && *count == nth {
		if f.f.Err != nil {
			return 0, f.f.Err
		}
		return 0, unplugged
	}
	return budget, nil
}

func (f *faulty) Read(b []byte) (int, error) {
	budget, err := f.fault("read", &f.reads, f.f.FailRead)
	if err != nil {
		return 0, err
	}
	if budget > 0 {
		b = b[:min(len(b), budget)]
	}
	if f.f.ShortReads {
		b = b[:min(len(b), 1)]
	}
	n, err := f.Port.Read(b)
	f.passed(n)
	return n, err
}

func (f *faulty) Write(b []byte) (int, error) {
	budget, err := f.fault("write", &f.writes, f.f.FailWrite)
	if err != nil {
		return 0, err
	}
	whole := len(b)
	if budget > 0 {
		b = b[:min(len(b), budget)]
	}
	n, err := f.Port.Write(b)
	f.passed(n)
	if err == nil && n < whole {
		_ = f.Close()
		err = &port.Error{Op: "write", Address: "faulty", Kind: port.Unplugged, Err: io.ErrShortWrite}
	}
	return n, err
}

func (f *faulty) passed(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bytes += n
}
