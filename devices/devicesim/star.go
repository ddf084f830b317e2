package devicesim

import (
	"context"
	"fmt"
	"image"
	"io"
	"sync"
)

// StarOptions is the make of a simulated Star printer; the zero value speaks StarPRNT on 80 mm paper with 48 columns.
type StarOptions struct {
	Columns     int             // font A characters on a line, 48 where 0
	Model       string          // answer to ESC # *, "SIM-STAR Ver1.0" where empty
	LineMode    bool            // speaks Star Line Mode: pictures in raster mode, none by ESC GS S
	GraphicMode bool            // takes nothing but dots in raster mode, as the TSP100 up to III
	UTF8        bool            // knows ESC GS ) U
	CodePages   map[byte]string // names of its code pages by the number of ESC GS t, Star's where nil
	NoASB       bool            // knows no unasked status (ESC RS a)
	AskOff      bool            // ignores ESC ACK SOH while unasked status is on, as the manual allows
	NoCounter   bool            // knows no document counter (ESC GS ETX)
	ShortStatus bool            // its status has seven bytes, so that it has no ETB counter
	Ethernet    bool            // what it sends follows the form for networks: a length behind each status
	Silent      bool            // answers nothing at all
	Buffer      int             // bytes it takes while it can't print, 4096 where 0; then it reads no more
	Display     *Display        // plugged in behind it (ESC GS B @)
	OnPaper     func(text string)
}

// Star is a simulated Star receipt printer. It reads the bytes of a cable with its own decoder, keeps what was printed
// as text, and answers as the real ones do: real-time commands on receipt, everything else in the order of printing. A
// printer that is open, out of paper or offline keeps its buffer and goes on where it stopped. It outlives its
// connections. All methods are safe for concurrent use.
type Star struct {
	o StarOptions

	mu      sync.Mutex
	held    []byte   // an unfinished command
	raster  bool     // raster mode, as the bytes received so far have it
	queue   [][]byte // received commands, not executed
	size    int      // bytes of queue
	room    chan struct{}
	out     []byte        // answers on their way
	outBell chan struct{} // rung when out grows
	linked  bool

	off     bool
	cover   bool
	paper   Paper
	offline bool
	fault   bool
	drawer  bool // open, which closes its switch
	runOut  int  // lines until the paper is out, 0 for never
	asb     bool
	last    string // status last sent or due
	etb     int    // counter, 0 to 31
	etbDone bool
	lostIt  bool // bytes were lost
	count   byte // document counter
	dieAt   int  // bytes until the power fails, 0 for never
	died    bool

	page    *page
	utf8    bool
	pending []byte // the beginning of a character in UTF-8
	roll    roll
	dots    *dotRows
	pulses  [2]int
	qr      string
	qrCell  int
	cutMode int // of ESC FF NUL
	garbage []string
}

// NewStar makes a printer with paper, closed cover and an empty buffer.
func NewStar(o StarOptions) *Star {
	if o.Columns == 0 {
		o.Columns = 48
	}
	if o.Model == "" {
		o.Model = "SIM-STAR Ver1.0"
	}
	if o.Buffer == 0 {
		o.Buffer = 4096
	}
	s := &Star{o: o, outBell: make(chan struct{}, 1), room: make(chan struct{}, 1)}
	s.roll = roll{columns: o.Columns, told: o.OnPaper != nil}
	s.reset()
	return s
}

// Serve is one connection: it reads and answers on rw until that fails, the power fails or ctx ends, and returns why.
// Where rw is an io.Closer, it is closed at the end of ctx. One Serve runs at a time; what was buffered stays for the
// next.
func (s *Star) Serve(ctx context.Context, rw io.ReadWriter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if c, ok := rw.(io.Closer); ok {
		defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	}
	s.mu.Lock()
	s.out, s.asb, s.linked, s.died = nil, false, true, false // an unasked status is enabled per connection
	s.mu.Unlock()
	var writer sync.WaitGroup
	writer.Go(func() { s.answer(ctx, rw) })
	err := s.listen(ctx, rw)
	s.mu.Lock()
	s.linked, s.out = false, nil
	s.mu.Unlock()
	cancel()
	writer.Wait()
	return err
}

func (s *Star) listen(ctx context.Context, r io.Reader) error {
	buf := make([]byte, 256)
	for {
		n, err := r.Read(buf)
		s.receive(buf[:n])
		s.work()
		if err != nil {
			return err
		}
		if s.powerFailed() {
			return io.ErrUnexpectedEOF
		}
		if err := s.waitForRoom(ctx); err != nil {
			return err
		}
	}
}

func (s *Star) powerFailed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.died
}

// receive splits what came into commands. Those that are obeyed at once are, wherever a command may begin; the others
// wait in the buffer.
func (s *Star) receive(b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range b {
		if s.off || s.died {
			return
		}
		s.held = append(s.held, c)
		if starLength(s.held, s.raster) == len(s.held) {
			command := s.held
			s.held = nil
			s.raster = starRaster(command, s.raster)
			if !s.atOnce(command) {
				s.queue = append(s.queue, command)
				s.size += len(command)
			}
		}
		if s.dieAt > 0 {
			if s.dieAt--; s.dieAt == 0 {
				s.execute()
				s.forget()
				s.died = true
			}
		}
	}
}

// waitForRoom holds the line, as flow control does, while the buffer of a stopped printer is full.
func (s *Star) waitForRoom(ctx context.Context) error {
	for {
		s.mu.Lock()
		full := s.size+len(s.held) >= s.o.Buffer && !s.ready()
		s.mu.Unlock()
		if !full {
			return nil
		}
		select {
		case <-s.room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer writes what the printer has to say.
func (s *Star) answer(ctx context.Context, w io.Writer) {
	for {
		s.mu.Lock()
		out := s.out
		s.out = nil
		s.mu.Unlock()
		if len(out) > 0 {
			if _, err := w.Write(out); err != nil {
				return // the reading side meets the same end
			}
			continue
		}
		select {
		case <-s.outBell:
		case <-ctx.Done():
			return
		}
	}
}

// say queues bytes; called under the lock.
func (s *Star) say(b ...byte) {
	if s.o.Silent || !s.linked || s.off {
		return
	}
	s.out = append(s.out, b...)
	select {
	case s.outBell <- struct{}{}:
	default:
	}
}

// ready reports, under the lock, whether the printer executes its buffer.
func (s *Star) ready() bool { return !s.cover && !s.offline && !s.fault && s.paper != PaperOut }

// execute runs as much of the buffer as it can; called under the lock.
func (s *Star) execute() {
	for s.ready() && len(s.queue) > 0 {
		command := s.queue[0]
		s.queue = s.queue[1:]
		s.size -= len(command)
		s.run(command)
		if s.roll.moved > 0 {
			s.feel()
		}
	}
}

// feel is the paper sensor: it notices how far the paper moved.
func (s *Star) feel() {
	moved := s.roll.moved
	s.roll.moved = 0
	if s.runOut > 0 {
		if s.runOut -= moved; s.runOut <= 0 {
			s.runOut, s.paper = 0, PaperOut
			s.autoStatus(false)
		}
	}
}

// work executes what is buffered and shows what came on paper.
func (s *Star) work() {
	s.mu.Lock()
	s.execute()
	told := s.roll.fresh
	s.roll.fresh = nil
	s.mu.Unlock()
	for _, line := range told {
		s.o.OnPaper(line)
	}
}

// change alters what the printer feels, says so if it was asked to, and goes on printing where it can.
func (s *Star) change(f func()) {
	s.mu.Lock()
	f()
	s.autoStatus(false)
	s.mu.Unlock()
	s.work()
	select {
	case s.room <- struct{}{}:
	default:
	}
}

// forget loses everything that is not on paper, as a switched off printer does; called under the lock.
func (s *Star) forget() {
	s.held, s.raster, s.queue, s.size, s.dots = nil, false, nil, 0, nil
	s.asb, s.etb, s.etbDone, s.count, s.lostIt = false, 0, false, 0, false
	s.roll.drop()
	s.reset()
}

// SetCover opens or closes the cover.
func (s *Star) SetCover(open bool) { s.change(func() { s.cover = open }) }

// SetPaper sets the paper sensor; a new roll ends RunOutAfter.
func (s *Star) SetPaper(paper Paper) { s.change(func() { s.paper, s.runOut = paper, 0 }) }

// SetOffline switches the printer offline, as its feed button does, or online.
func (s *Star) SetOffline(offline bool) { s.change(func() { s.offline = offline }) }

// SetFault jams the cutter, or clears it.
func (s *Star) SetFault(fault bool) { s.change(func() { s.fault = fault }) }

// SetDrawer opens or closes the drawer by hand; while it is open, its switch is closed.
func (s *Star) SetDrawer(open bool) { s.change(func() { s.drawer = open }) }

// SetOverflow makes the printer say, once, that bytes did not fit into its buffer.
func (s *Star) SetOverflow() { s.change(func() { s.lostIt = true }) }

// RunOutAfter makes the paper end after that many more lines.
func (s *Star) RunOutAfter(lines int) { s.change(func() { s.runOut = lines }) }

// SetPower switches the printer off or on: what was buffered is lost, what was printed is not. While it is off it hears
// nothing, though its cable is in.
func (s *Star) SetPower(on bool) { s.change(func() { s.off = !on; s.forget() }) }

// FailAfter cuts the power, and with it the connection, after that many more bytes; the printer is back at once.
func (s *Star) FailAfter(bytes int) { s.change(func() { s.dieAt = bytes }) }

// Paper is everything printed so far, line by line; a cut is a dashed line.
func (s *Star) Paper() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.roll.all.String()
}

// Receipts are the pieces of paper cut off so far.
func (s *Star) Receipts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.roll.receipts...)
}

// Images are the pictures printed so far, a byte a dot, 0 is black.
func (s *Star) Images() []*image.Gray {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*image.Gray(nil), s.roll.images...)
}

// Pulses counts the drawer pulses of external device 1 (pin 2) or 2 (pin 5).
func (s *Star) Pulses(pin int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch pin {
	case 2:
		return s.pulses[0]
	case 5:
		return s.pulses[1]
	}
	return 0
}

// Garbage are the bytes that the printer could not understand, each with what was wrong.
func (s *Star) Garbage() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.garbage...)
}

func (s *Star) complain(format string, args ...any) {
	s.garbage = append(s.garbage, fmt.Sprintf(format, args...))
}

// status is the automatic status: version 3 with nine bytes, or version 1 with seven (Star Line Mode, Appendix 2).
func (s *Star) status() []byte {
	b := []byte{0x23, 0x06, 0, 0, 0, 0, 0, 0, 0}
	if s.o.ShortStatus {
		b = []byte{0x0F, 0x02, 0, 0, 0, 0, 0}
	}
	set := func(on bool, i int, bits byte) {
		if on {
			b[i] |= bits
		}
	}
	set(s.cover, 2, 0x20)
	set(!s.ready(), 2, 0x08)
	set(s.drawer, 2, 0x04)
	set(s.etbDone, 2, 0x02)
	set(s.fault, 3, 0x08)
	set(s.lostIt, 4, 0x40)
	set(s.paper == PaperOut, 5, 0x08)
	set(s.paper != PaperOK, 5, 0x04)
	if !s.o.ShortStatus {
		b[7] = byte(s.etb)<<1&0x0E | byte(s.etb)<<2&0x60
	}
	return b
}

// sendStatus says the status; some of its bits are told once only.
func (s *Star) sendStatus() {
	s.transmit("", nil)
	s.etbDone, s.lostIt = false, false
}

// transmit sends an answer: as it is, or on a network behind the status, with lengths and a kind of two characters.
func (s *Star) transmit(kind string, answer []byte) {
	if !s.o.Ethernet {
		if kind == "" {
			answer = s.status()
		}
		s.say(answer...)
		return
	}
	b := s.status()
	b[1] |= 0x80
	var data []byte
	if kind != "" {
		data = append([]byte(kind+":B"), byte(len(answer)), byte(len(answer)>>8))
		data = append(append(data, answer...), ';')
	}
	s.say(append(append(b, byte(len(data)), byte(len(data)>>8)), data...)...)
}

// autoStatus says the status if it changed, or always, to who wants it unasked.
func (s *Star) autoStatus(always bool) {
	now := string(s.status())
	if s.asb && !s.o.NoASB && (always || now != s.last) {
		s.sendStatus()
	}
	s.last = string(s.status())
}

// pulse drives external device 1 or 2.
func (s *Star) pulse(device int) {
	s.pulses[device-1]++
	s.drawer = true
	s.autoStatus(false)
}
