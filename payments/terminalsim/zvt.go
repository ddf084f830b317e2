// Package terminalsim imitates card terminals so well that a driver cannot tell: it speaks their bytes, keeps a ledger
// of what was really charged, and misbehaves on demand.
//
// It is called by tests and by cmd's simulators. It imports nothing of this module, above all not the drivers it is
// there to test: its encoder and decoder are its own, written from PA00P015 and PA00P016 a second time.
package terminalsim

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Charge is one approval in the terminal's ledger.
type Charge struct {
	Receipt  int
	Trace    int
	Amount   int64  // minor units
	Currency string // ISO 4217 number, like 978
	Refund   bool
	Preauth  bool  // only reserved so far
	Tip      int64 // part of Amount that is a tip, minor units
	Booked   bool  // the money stays moved
	Reversed bool  // it was taken back
	At       time.Time
}

// Standing is true for money that moved and was not taken back.
func (c Charge) Standing() bool { return c.Booked && !c.Reversed }

// Options say what kind of terminal is imitated.
type Options struct {
	Password      string      // six digits; "" takes any
	TerminalID    string      // eight digits; "" for 52523535
	Currency      string      // ISO 4217 number; "" for 978. Another one is refused with 6F
	Script        []Behaviour // nil approves everything
	LostAck       LostAck     // "" for Reverses
	FirstReceipt  int         // 0 for 1
	NoLast        bool        // answers 06 20 with nothing but the completion, as some terminals do
	ShowReversals bool        // a reversal becomes the last transaction, naming the trace it took back
	// ReverseLastOnly refuses to reverse any but the newest payment, as some terminals do.
	ReverseLastOnly bool
	ClockOffset     time.Duration
	TellTime        bool // sends 04 01 after registration
	NoBlocks        bool // refuses a registration that brings a list of commands along
	// Patience is how long it waits for one answer of the register before it repeats itself or gives up; 0 for what its
	// protocol says: five seconds with ZVT, three with the others. Nexo waits for nothing.
	Patience time.Duration
	Waits    func() time.Duration // takes the place of Patience: asked before each wait; nil for none
	OnStep   func(step string)    // called in the terminal's goroutine, may block; nil for none
}

// patience is how long one answer is waited for from now.
func (o Options) patience() time.Duration {
	if o.Waits != nil {
		return o.Waits()
	}
	return o.Patience
}

// ZVT is one simulated terminal. It outlives its connections: ledger and registration stay. It serves one connection
// at a time; all methods are safe for concurrent use.
type ZVT struct {
	o    Options
	line sync.Mutex // one connection at a time

	mu       sync.Mutex
	script   []Behaviour
	charges  []Charge
	last     []byte // 04 0F of the last transaction, nil for none
	lastSlip slipOf
	receipt  int
	trace    int
	config   byte
	blocks   bool // the register takes slips as text blocks
	aborts   int
	asked    int // money commands received

	byReceipt map[int]int // receipt number, also of captures and tips, to the ledger's index
	closed    int         // charges before the last end of day
	status    byte        // what 05 01 answers
	shown     []string    // lines of the last 06 E0
}

// NewZVT makes a terminal.
func NewZVT(o Options) *ZVT {
	if o.TerminalID == "" {
		o.TerminalID = "52523535"
	}
	if o.Currency == "" {
		o.Currency = "978"
	}
	if o.LostAck == "" {
		o.LostAck = Reverses
	}
	if o.OnStep == nil {
		o.OnStep = func(string) {}
	}
	if o.Patience == 0 {
		o.Patience = 5 * time.Second
	}
	return &ZVT{
		o: o, script: o.Script, receipt: max(o.FirstReceipt, 1) - 1, trace: 100, config: 0x86, byReceipt: map[int]int{},
	}
}

// SetScript replaces the behaviours of the payments to come.
func (z *ZVT) SetScript(b []Behaviour) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.script = b
}

// Charges is a copy of the ledger, oldest first.
func (z *ZVT) Charges() []Charge {
	z.mu.Lock()
	defer z.mu.Unlock()
	return append([]Charge(nil), z.charges...)
}

// Asked counts the money commands that arrived.
func (z *ZVT) Asked() int {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.asked
}

// ServeSerial serves one serial line with frames until ctx ends or the line breaks; then the line is closed.
func (z *ZVT) ServeSerial(ctx context.Context, rw io.ReadWriteCloser) error {
	src := newSource(rw)
	return z.serve(ctx, &cable{source: src, patience: z.o.patience}, src)
}

// ServeTCP serves one connection until ctx ends or the connection breaks; then it is closed.
func (z *ZVT) ServeTCP(ctx context.Context, conn net.Conn) error {
	src := newSource(conn)
	return z.serve(ctx, &socket{source: src}, src)
}

func (z *ZVT) serve(ctx context.Context, w wire, src *source) error {
	z.line.Lock()
	defer z.line.Unlock()
	defer src.close()
	defer context.AfterFunc(ctx, src.cut)() // ends a write that nobody reads
	for {
		msg, err := w.recv(ctx, 0)
		if err == nil {
			err = z.command(ctx, w, msg)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, errQuiet), errors.Is(err, errRefused): // the payment is over, the line stays
		case err != nil:
			return fmt.Errorf("simulated terminal: %w", err)
		}
	}
}

var (
	yes  = []byte{0x80, 0x00, 0x00}
	done = []byte{0x06, 0x0F, 0x00}
)

func no(code byte) []byte { return []byte{0x84, code, 0x00} }

func abort(code byte) []byte { return []byte{0x06, 0x1E, 0x01, code} }

// message puts class, instruction and length before data.
func message(class, instr byte, data []byte) []byte {
	out := []byte{class, instr}
	if len(data) < 255 {
		out = append(out, byte(len(data)))
	} else {
		out = binary.LittleEndian.AppendUint16(append(out, 255), uint16(len(data)))
	}
	return append(out, data...)
}

// body is what stands behind the length.
func body(msg []byte) []byte {
	if msg[2] == 255 {
		return msg[5:]
	}
	return msg[3:]
}

func (z *ZVT) command(ctx context.Context, w wire, msg []byte) error {
	data := body(msg)
	switch {
	case msg[0] == 0x80 || msg[0] == 0x84:
		return nil // stray
	case msg[0] == 0x06 && msg[1] == 0x00:
		return z.register(ctx, w, data)
	case msg[0] == 0x06 && kinds[msg[1]] != "":
		kind := kinds[msg[1]]
		if kind == kindRefund || kind == kindVoid {
			if !z.knows(data) {
				return w.send(ctx, no(0x85), hurt{})
			}
			data = data[3:]
		}
		return z.pay(ctx, w, data, kind)
	case msg[0] == 0x06 && msg[1] == 0x20:
		return z.repeat(ctx, w, data)
	case msg[0] == 0x06 && (msg[1] == 0x10 || msg[1] == 0x50):
		return z.count(ctx, w, data, msg[1] == 0x50)
	case msg[0] == 0x06 && msg[1] == 0xE0:
		return z.display(ctx, w, data)
	case msg[0] == 0x05 && msg[1] == 0x01:
		if err := w.send(ctx, yes, hurt{}); err != nil {
			return err
		}
		z.mu.Lock()
		status := z.status
		z.mu.Unlock()
		return z.ask(ctx, w, message(0x06, 0x0F, append(append([]byte{0xF0, 0xF0, 0xF5}, "1.0.0"...), status)))
	case msg[0] == 0x06 && (msg[1] == 0x70 || msg[1] == 0x93):
		if msg[1] == 0x93 && !z.knows(data) {
			return w.send(ctx, no(0x85), hurt{})
		}
		if err := w.send(ctx, yes, hurt{}); err != nil {
			return err
		}
		z.cure(msg[1])
		return z.ask(ctx, w, done)
	case msg[0] == 0x06 && (msg[1] == 0x18 || msg[1] == 0x02):
		z.mu.Lock()
		z.config = 0x86
		z.mu.Unlock()
		return w.send(ctx, yes, hurt{})
	}
	return w.send(ctx, no(0x83), hurt{})
}

// knows checks the password before other data.
func (z *ZVT) knows(data []byte) bool {
	return len(data) >= 3 && (z.o.Password == "" || fmt.Sprintf("%x", data[:3]) == z.o.Password)
}

func (z *ZVT) register(ctx context.Context, w wire, data []byte) error {
	if !z.knows(data) || len(data) < 4 {
		return w.send(ctx, no(0x85), hurt{})
	}
	if len(data) >= 6 && fmt.Sprintf("%x", data[4:6]) != "0"+z.o.Currency {
		return w.send(ctx, no(0x6F), hurt{})
	}
	blocks := wantsBlocks(data)
	if blocks && z.o.NoBlocks {
		return w.send(ctx, no(0x83), hurt{})
	}
	z.mu.Lock()
	z.config, z.blocks = data[3], blocks
	z.mu.Unlock()
	if err := w.send(ctx, yes, hurt{}); err != nil {
		return err
	}
	if z.o.TellTime {
		now := z.now()
		if err := z.ask(ctx, w, message(0x04, 0x01, append(field(0xAA, packed(now.Format("060102"))), field(0x0C, packed(now.Format("150405")))...))); err != nil {
			return err
		}
	}
	answer := append(field(0x19, []byte{0x00}), field(0x29, packed(z.o.TerminalID))...)
	answer = append(answer, field(0x49, packed("0"+z.o.Currency))...)
	return z.ask(ctx, w, message(0x06, 0x0F, answer))
}

// repeat answers 06 20 with the last transaction; service bytes 02 and 03 leave the slips out.
func (z *ZVT) repeat(ctx context.Context, w wire, data []byte) error {
	z.o.OnStep(StepLastReceived)
	if !z.knows(data) {
		return w.send(ctx, no(0x85), hurt{})
	}
	z.mu.Lock()
	last, slip := bytes.Clone(z.last), z.lastSlip
	z.mu.Unlock()
	if err := w.send(ctx, yes, hurt{}); err != nil {
		return err
	}
	switch {
	case z.o.NoLast:
		return z.ask(ctx, w, done)
	case last == nil:
		return z.ask(ctx, w, abort(0x83))
	}
	if err := z.ask(ctx, w, last); err != nil {
		return err
	}
	z.o.OnStep(StepLastSent)
	if len(data) == 5 && data[3] == 0x03 && data[4]&0x02 == 0 {
		if err := z.printSlips(ctx, w, slip); err != nil {
			return err
		}
	}
	return z.ask(ctx, w, done)
}

// errRefused means that the register answered 84.
var errRefused = errors.New("register refused")

// ask sends a message and waits for the register's 80 00 00.
func (z *ZVT) ask(ctx context.Context, w wire, msg []byte) error {
	return z.askHurt(ctx, w, msg, hurt{})
}

func (z *ZVT) askHurt(ctx context.Context, w wire, msg []byte, h hurt) error {
	if err := w.send(ctx, msg, h); err != nil {
		return err
	}
	return z.answered(ctx, w)
}

func (z *ZVT) answered(ctx context.Context, w wire) error {
	until := time.Now().Add(z.o.patience())
	for {
		left := time.Until(until)
		if left <= 0 {
			return errQuiet
		}
		reply, err := w.recv(ctx, left)
		switch {
		case err != nil:
			return err
		case reply[0] == 0x80:
			return nil
		case reply[0] == 0x84:
			return errRefused
		}
		if err := z.meanwhile(ctx, w, reply); err != nil {
			return err
		}
	}
}

// meanwhile answers a command that comes while another runs: an abort is noted, the rest is told to wait.
func (z *ZVT) meanwhile(ctx context.Context, w wire, msg []byte) error {
	if msg[0] == 0x06 && msg[1] == 0xB0 {
		z.mu.Lock()
		z.aborts++
		z.mu.Unlock()
		return w.send(ctx, yes, hurt{})
	}
	return w.send(ctx, no(0x9C), hurt{})
}

// pass lets time go by, answering what comes in. It ends early when an abort came.
func (z *ZVT) pass(ctx context.Context, w wire, d time.Duration) (aborted bool, err error) {
	until := time.Now().Add(d)
	for {
		z.mu.Lock()
		aborted = z.aborts > 0
		z.mu.Unlock()
		left := time.Until(until)
		if aborted || left <= 0 {
			return aborted, nil
		}
		msg, err := w.recv(ctx, left)
		if errors.Is(err, errQuiet) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if msg[0] == 0x80 || msg[0] == 0x84 {
			continue
		}
		if err := z.meanwhile(ctx, w, msg); err != nil {
			return false, err
		}
	}
}

func (z *ZVT) now() time.Time { return time.Now().Add(z.o.ClockOffset) }
