package devicesim

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"io"
	"strings"
	"sync"
)

// Paper is how much paper a simulated printer has.
type Paper int

// The states of the paper sensor.
const (
	PaperOK Paper = iota
	PaperNear
	PaperOut
)

// PrinterOptions is the make of a simulated printer; the zero value is an 80 mm printer with 42 columns.
type PrinterOptions struct {
	Columns   int             // font A characters on a line, 42 where 0
	Model     string          // answer to GS I 67, "SIM-80" where empty
	Serial    string          // answer to GS I 68
	ProcessID bool            // answers GS ( H function 48
	NoConfirm bool            // answers status, but not GS r, as some clones do
	NoASB     bool            // knows no unasked status (GS a), as some clones do
	NoPulse   bool            // knows no pulse in real time (DLE DC4 function 1), as many clones do
	CodePages map[byte]string // names of its code pages by the number of ESC t, Epson's where nil
	Silent    bool            // answers nothing at all
	Buffer    int             // bytes it takes while it can't print, 4096 where 0; then it reads no more, as flow control has it
	Display   *Display        // plugged in behind it (ESC = 2)
	OnPaper   func(text string)
}

// Printer is a simulated ESC/POS receipt printer. It reads the bytes of a cable with its own decoder, keeps what was
// printed as text, and answers as the real ones do: DLE EOT at once, everything else in the order of printing. A
// printer that is open, out of paper or offline keeps its buffer and goes on where it stopped. It outlives its
// connections. All methods are safe for concurrent use.
type Printer struct {
	o PrinterOptions

	mu      sync.Mutex
	buffer  []byte // received, not executed
	room    chan struct{}
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
	asb     byte // mask of GS a
	last    [4]byte

	page     *page
	modes    modes
	line     []rune
	styles   []Style  // of the line's characters
	lines    [][]Span // printed so far
	used     int      // dots of the line
	printed  []string // finished lines since the last cut
	receipts []string
	all      strings.Builder
	images   []*image.Gray
	raster   *raster
	passing  bool               // what comes is for the display
	stored   *image.Gray        // by GS ( L, waiting to be printed
	kept     map[string]picture // by GS ( L under a key; no reset and no power cut takes them
	written  int                // times that memory was written
	pulses   [2]int
	qr       string
	module   int // dots of a barcode's narrowest bar
	garbage  []string
	pending  []string // lines to be told to OnPaper, outside of the lock
}

// modes are what ESC @ sets back.
type modes struct {
	align  byte
	style  Style
	margin int // dots left of the area to print in
	area   int // its width in dots, 0 for all
}

// NewPrinter makes a printer with paper, closed cover and an empty buffer.
func NewPrinter(o PrinterOptions) *Printer {
	if o.Columns == 0 {
		o.Columns = 42
	}
	if o.Model == "" {
		o.Model = "SIM-80"
	}
	if o.Buffer == 0 {
		o.Buffer = 4096
	}
	p := &Printer{o: o, outBell: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	p.reset()
	return p
}

// Serve is one connection: it reads and answers on rw until that fails or ctx ends, and returns why. Where rw is an
// io.Closer, it is closed at the end of ctx. One Serve runs at a time; what was buffered stays for the next.
func (p *Printer) Serve(ctx context.Context, rw io.ReadWriter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if c, ok := rw.(io.Closer); ok {
		defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	}
	p.mu.Lock()
	p.out, p.asb, p.linked = nil, 0, true // an unasked status is enabled per connection
	p.mu.Unlock()
	var writer sync.WaitGroup
	writer.Go(func() { p.answer(ctx, rw) })
	err := p.listen(ctx, rw)
	p.mu.Lock()
	p.linked, p.out = false, nil
	p.mu.Unlock()
	cancel()
	writer.Wait()
	return err
}

func (p *Printer) listen(ctx context.Context, r io.Reader) error {
	var realTime []byte // an unfinished DLE sequence
	buf := make([]byte, 512)
	for {
		n, err := r.Read(buf)
		for _, b := range buf[:n] {
			realTime = p.receive(append(realTime, b))
		}
		p.work()
		if err != nil {
			return err
		}
		if err := p.waitForRoom(ctx); err != nil {
			return err
		}
	}
}

// receive takes the bytes since the last finished one: real-time commands are obeyed on receipt, wherever they stand,
// everything else goes to the buffer. It returns what may be the beginning of a real-time command.
func (p *Printer) receive(b []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.off {
		return nil
	}
	const dle, eot, dc4 = 0x10, 0x04, 0x14
	switch {
	case b[0] != dle:
	case len(b) == 1:
		return b
	case b[1] == eot && len(b) == 2:
		return b
	case b[1] == eot && b[2] >= 1 && b[2] <= 4:
		p.statusByte(b[2])
		return nil
	case b[1] == dc4 && len(b) < 5:
		return b
	case b[1] == dc4 && b[2] == 8 && len(b) < 10:
		return b
	case bytes.Equal(b, []byte{dle, dc4, 8, 1, 3, 20, 1, 6, 2, 8}): // clear the buffers
		p.run() // what came before is printed by now, in however many pieces it came
		p.buffer, p.line, p.styles, p.used, p.raster = nil, nil, nil, 0, nil
		p.reset()
		p.say(0x37, 0x25, 0)
		return nil
	case b[1] == dc4 && b[2] == 1 && b[3] <= 1 && b[4] >= 1 && b[4] <= 8 && !p.o.NoPulse:
		if !p.fault { // a printer in error ignores it; one that is merely offline does not
			p.pulse(b[3])
		}
		return nil
	}
	if n := len(b); n > 1 && b[n-1] == dle {
		p.buffer = append(p.buffer, b[:n-1]...)
		return b[n-1:]
	}
	p.buffer = append(p.buffer, b...)
	return nil
}

// waitForRoom holds the line, as flow control does, while the buffer of a stopped printer is full.
func (p *Printer) waitForRoom(ctx context.Context) error {
	for {
		p.mu.Lock()
		full := len(p.buffer) >= p.o.Buffer && !p.ready()
		p.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-p.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer writes what the printer has to say.
func (p *Printer) answer(ctx context.Context, w io.Writer) {
	for {
		p.mu.Lock()
		out := p.out
		p.out = nil
		p.mu.Unlock()
		if len(out) > 0 {
			if _, err := w.Write(out); err != nil {
				return // the reading side meets the same end
			}
			continue
		}
		select {
		case <-p.outBell:
		case <-ctx.Done():
			return
		}
	}
}

// say queues an answer; called under the lock.
func (p *Printer) say(b ...byte) {
	if p.o.Silent || !p.linked || p.off {
		return
	}
	p.out = append(p.out, b...)
	select {
	case p.outBell <- struct{}{}:
	default:
	}
}

// ready reports, under the lock, whether the printer executes its buffer.
func (p *Printer) ready() bool { return !p.cover && !p.offline && !p.fault && p.paper != PaperOut }

// run executes as much of the buffer as it can; called under the lock.
func (p *Printer) run() {
	for p.ready() {
		n := p.execute(p.buffer)
		if n == 0 {
			return
		}
		p.buffer = p.buffer[n:]
	}
}

// work executes what is buffered and shows what came on paper.
func (p *Printer) work() {
	p.mu.Lock()
	p.run()
	told := p.pending
	p.pending = nil
	p.mu.Unlock()
	if p.o.OnPaper != nil {
		for _, line := range told {
			p.o.OnPaper(line)
		}
	}
}

// change alters what the printer feels, says so if it was asked to, and goes on printing where it can.
func (p *Printer) change(f func()) {
	p.mu.Lock()
	f()
	p.autoStatus(false)
	p.mu.Unlock()
	p.work()
	select {
	case p.room <- struct{}{}:
	default:
	}
}

// SetCover opens or closes the cover.
func (p *Printer) SetCover(open bool) { p.change(func() { p.cover = open }) }

// SetPaper sets the paper sensor; a new roll ends RunOutAfter.
func (p *Printer) SetPaper(paper Paper) { p.change(func() { p.paper, p.runOut = paper, 0 }) }

// SetOffline switches the printer offline, as its feed button does, or online.
func (p *Printer) SetOffline(offline bool) { p.change(func() { p.offline = offline }) }

// SetFault jams the cutter, or clears it.
func (p *Printer) SetFault(fault bool) { p.change(func() { p.fault = fault }) }

// SetDrawer opens or closes the drawer by hand; while it is open, pin 3 of its socket is high.
func (p *Printer) SetDrawer(open bool) { p.change(func() { p.drawer = open }) }

// RunOutAfter makes the paper end after that many more lines.
func (p *Printer) RunOutAfter(lines int) { p.change(func() { p.runOut = lines }) }

// SetPower switches the printer off or on: what was buffered is lost, what was printed is not. While it is off it
// hears nothing, though its cable is in.
func (p *Printer) SetPower(on bool) {
	p.change(func() {
		p.off = !on
		p.buffer, p.line, p.styles, p.used, p.raster, p.asb = nil, nil, nil, 0, nil, 0
		p.reset()
	})
}

// Paper is everything printed so far, line by line; a cut is a dashed line.
func (p *Printer) Paper() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all.String()
}

// Receipts are the pieces of paper cut off so far.
func (p *Printer) Receipts() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.receipts...)
}

// Images are the raster images printed so far, a byte a dot, 0 is black.
func (p *Printer) Images() []*image.Gray {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*image.Gray(nil), p.images...)
}

// MemoryWrites counts how often an image was written into the memory that outlasts power. Real ones wear out by it.
func (p *Printer) MemoryWrites() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.written
}

// Pulses counts the drawer pulses on pin 2 or pin 5.
func (p *Printer) Pulses(pin int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch pin {
	case 2:
		return p.pulses[0]
	case 5:
		return p.pulses[1]
	}
	return 0
}

// Garbage are the bytes that the printer could not understand, each with what was wrong.
func (p *Printer) Garbage() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.garbage...)
}

func (p *Printer) complain(format string, args ...any) {
	p.garbage = append(p.garbage, fmt.Sprintf(format, args...))
}

// statusByte answers DLE EOT n: 12h and the bits of that n.
func (p *Printer) statusByte(n byte) {
	b := byte(0x12)
	set := func(on bool, bits byte) {
		if on {
			b |= bits
		}
	}
	switch n {
	case 1:
		set(p.drawer, 0x04)
		set(!p.ready(), 0x08)
	case 2:
		set(p.cover, 0x04)
		set(p.paper == PaperOut, 0x20)
		set(p.fault, 0x40)
	case 3:
		set(p.fault, 0x08)
	case 4:
		set(p.paper != PaperOK, 0x0C)
		set(p.paper == PaperOut, 0x60)
	}
	p.say(b)
}

// autoStatus sends the four bytes of GS a when they changed, or always.
func (p *Printer) autoStatus(always bool) {
	s := [4]byte{0x10, 0, 0, 0x0F}
	set := func(on bool, i int, bits byte) {
		if on {
			s[i] |= bits
		}
	}
	set(p.drawer, 0, 0x04)
	set(!p.ready(), 0, 0x08)
	set(p.cover, 0, 0x20)
	set(p.fault, 1, 0x08)
	set(p.paper != PaperOK, 2, 0x03)
	set(p.paper == PaperOut, 2, 0x0C)
	if p.asb != 0 && !p.o.NoASB && (always || s != p.last) {
		p.say(s[:]...)
	}
	p.last = s
}

// pulse opens the drawer through pin 2 (m 0) or 5 (m 1).
func (p *Printer) pulse(m byte) {
	p.pulses[m]++
	p.drawer = true
	p.autoStatus(false)
}
