package devicesim

import (
	"bytes"
	"context"
	"image"
	"io"
	"strings"
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
	counterPrinter

	buffer []byte // received, not executed
	asb    byte   // mask of GS a
	last   [4]byte

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
	qr       string
	module   int      // dots of a barcode's narrowest bar
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
	p := &Printer{o: o}
	p.assemble(o.Silent, func() { p.autoStatus(false) }, p.work)
	p.reset()
	return p
}

// Serve is one connection: it reads and answers on rw until that fails or ctx ends, and returns why. Where rw is an
// io.Closer, it is closed at the end of ctx. One Serve runs at a time; what was buffered stays for the next.
func (p *Printer) Serve(ctx context.Context, rw io.ReadWriter) error {
	return p.serve(ctx, rw, func() { p.asb = 0 }, p.listen) // an unasked status is enabled per connection
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
		if err := p.waitForRoom(ctx, func() bool { return len(p.buffer) >= p.o.Buffer }); err != nil {
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
