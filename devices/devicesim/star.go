package devicesim

import (
	"context"
	"image"
	"io"
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
	counterPrinter

	held   []byte   // an unfinished command
	raster bool     // raster mode, as the bytes received so far have it
	queue  [][]byte // received commands, not executed
	size   int      // bytes of queue

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
	qr      string
	qrCell  int
	cutMode int // of ESC FF NUL
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
	s := &Star{o: o}
	s.assemble(o.Silent, func() { s.autoStatus(false) }, s.work)
	s.roll = roll{columns: o.Columns, told: o.OnPaper != nil}
	s.reset()
	return s
}

// Serve is one connection: it reads and answers on rw until that fails, the power fails or ctx ends, and returns why.
// Where rw is an io.Closer, it is closed at the end of ctx. One Serve runs at a time; what was buffered stays for the
// next.
func (s *Star) Serve(ctx context.Context, rw io.ReadWriter) error {
	return s.serve(ctx, rw, func() { s.asb, s.died = false, false }, s.listen) // an unasked status is enabled per connection
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
		if err := s.waitForRoom(ctx, func() bool { return s.size+len(s.held) >= s.o.Buffer }); err != nil {
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

// forget loses everything that is not on paper, as a switched off printer does; called under the lock.
func (s *Star) forget() {
	s.held, s.raster, s.queue, s.size, s.dots = nil, false, nil, 0, nil
	s.asb, s.etb, s.etbDone, s.count, s.lostIt = false, 0, false, 0, false
	s.roll.drop()
	s.reset()
}

// SetOverflow makes the printer say, once, that bytes did not fit into its buffer.
func (s *Star) SetOverflow() { s.change(func() { s.lostIt = true }) }

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
