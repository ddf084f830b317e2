package devicesim

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// counterPrinter is what the simulated receipt printers have in common, whatever they speak: their end of the cable, what
// they feel of paper, cover and drawer, and what they could not understand.
type counterPrinter struct {
	silent bool
	tell   func() // says unasked what changed, where that was asked for; called under the lock
	goOn   func() // prints what it can

	mu      sync.Mutex
	room    chan struct{} // rung when there may be room for more
	out     []byte        // answers on their way
	outBell chan struct{} // rung when out grows
	linked  bool

	off     bool
	cover   bool
	paper   Paper
	offline bool
	fault   bool
	drawer  bool // open
	runOut  int  // lines until the paper is out, 0 for never
	pulses  [2]int
	garbage []string
}

func (c *counterPrinter) assemble(silent bool, tell, goOn func()) {
	c.silent, c.tell, c.goOn = silent, tell, goOn
	c.outBell, c.room = make(chan struct{}, 1), make(chan struct{}, 1)
}

// serve is one connection; begin is called under the lock at its start. See Printer.Serve.
func (c *counterPrinter) serve(ctx context.Context, rw io.ReadWriter, begin func(), listen func(context.Context, io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if closer, ok := rw.(io.Closer); ok {
		defer context.AfterFunc(ctx, func() { _ = closer.Close() })()
	}
	c.mu.Lock()
	c.out, c.linked = nil, true
	begin()
	c.mu.Unlock()
	var writer sync.WaitGroup
	writer.Go(func() { c.answer(ctx, rw) })
	err := listen(ctx, rw)
	c.mu.Lock()
	c.linked, c.out = false, nil
	c.mu.Unlock()
	cancel()
	writer.Wait()
	return err
}

// answer writes what the printer has to say.
func (c *counterPrinter) answer(ctx context.Context, w io.Writer) {
	for {
		c.mu.Lock()
		out := c.out
		c.out = nil
		c.mu.Unlock()
		if len(out) > 0 {
			if _, err := w.Write(out); err != nil {
				return // the reading side meets the same end
			}
			continue
		}
		select {
		case <-c.outBell:
		case <-ctx.Done():
			return
		}
	}
}

// say queues an answer; called under the lock.
func (c *counterPrinter) say(b ...byte) {
	if c.silent || !c.linked || c.off {
		return
	}
	c.out = append(c.out, b...)
	select {
	case c.outBell <- struct{}{}:
	default:
	}
}

// waitForRoom holds the line, as flow control does, while a stopped printer is full; full is called under the lock.
func (c *counterPrinter) waitForRoom(ctx context.Context, full func() bool) error {
	for {
		c.mu.Lock()
		hold := full() && !c.ready()
		c.mu.Unlock()
		if !hold {
			return nil
		}
		select {
		case <-c.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// ready reports, under the lock, whether the printer executes its buffer.
func (c *counterPrinter) ready() bool {
	return !c.cover && !c.offline && !c.fault && c.paper != PaperOut
}

// change alters what the printer feels, says so if it was asked to, and goes on printing where it can.
func (c *counterPrinter) change(f func()) {
	c.mu.Lock()
	f()
	c.tell()
	c.mu.Unlock()
	c.goOn()
	select {
	case c.room <- struct{}{}:
	default:
	}
}

// SetCover opens or closes the cover.
func (c *counterPrinter) SetCover(open bool) { c.change(func() { c.cover = open }) }

// SetPaper sets the paper sensor; a new roll ends RunOutAfter.
func (c *counterPrinter) SetPaper(paper Paper) { c.change(func() { c.paper, c.runOut = paper, 0 }) }

// SetOffline switches the printer offline, as its feed button does, or online.
func (c *counterPrinter) SetOffline(offline bool) { c.change(func() { c.offline = offline }) }

// SetFault jams the cutter, or clears it.
func (c *counterPrinter) SetFault(fault bool) { c.change(func() { c.fault = fault }) }

// SetDrawer opens or closes the drawer by hand: while it is open, pin 3 of an ESC/POS printer's socket is high, and the
// switch at a Star is closed.
func (c *counterPrinter) SetDrawer(open bool) { c.change(func() { c.drawer = open }) }

// RunOutAfter makes the paper end after that many more lines.
func (c *counterPrinter) RunOutAfter(lines int) { c.change(func() { c.runOut = lines }) }

// Pulses counts the drawer pulses on pin 2 or pin 5.
func (c *counterPrinter) Pulses(pin int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch pin {
	case 2:
		return c.pulses[0]
	case 5:
		return c.pulses[1]
	}
	return 0
}

// Garbage are the bytes that the printer could not understand, each with what was wrong.
func (c *counterPrinter) Garbage() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.garbage...)
}

func (c *counterPrinter) complain(format string, args ...any) {
	c.garbage = append(c.garbage, fmt.Sprintf(format, args...))
}

// portStatus is the printer's state as the USB printer class tells it: bit 3 no error, 4 selected, 5 paper out.
func (c *counterPrinter) portStatus() byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b byte
	if !c.cover && !c.fault {
		b |= 0x08
	}
	if !c.offline {
		b |= 0x10
	}
	if c.paper == PaperOut {
		b |= 0x20
	}
	return b
}
