package terminalsim

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The simulated card: a test number that belongs to nobody.
const testPAN = "4111111111111111"

// sale is one money command on its way.
type sale struct {
	z        *ZVT
	w        wire
	b        Behaviour
	kind     string
	amount   int64
	currency string // "" where the register did not say
	number   int    // receipt number of what this follows up on
	orig     int    // its index in the ledger, -1 for none
	charge   int    // index in the ledger of what this adds to it, -1 for nothing
	entry    Charge // what the bank approved
	approved bool
	result   []byte // the 04 0F
	settled  bool
}

// errCut ends a connection that the script cut.
var errCut = errors.New("line cut by script")

// step tells the hook, then cuts the line if the script says so.
func (s *sale) step(name string) error {
	s.z.o.OnStep(name)
	if s.b.CutAt == name {
		s.w.cut()
		return errCut
	}
	return nil
}

// next takes the behaviour for a payment.
func (z *ZVT) next() Behaviour {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.aborts = 0
	z.asked++
	if len(z.script) == 0 {
		return Behaviour{}
	}
	b := z.script[0]
	if len(z.script) > 1 {
		z.script = z.script[1:]
	}
	return b
}

func (z *ZVT) pay(ctx context.Context, w wire, data []byte, kind string) (err error) {
	s := &sale{z: z, w: w, b: z.next(), kind: kind, charge: -1, orig: -1}
	s.amount, s.currency, s.number = moneyOf(data)
	defer func() { s.settle(err == nil) }()
	if err := s.step(StepReceived); err != nil {
		return err
	}
	switch {
	case s.b.Deaf:
		return nil
	case s.b.Refuse != 0:
		return w.send(ctx, no(s.b.Refuse), hurt{})
	case s.amount <= 0 && s.needsAmount():
		return w.send(ctx, no(0x83), hurt{})
	case s.currency != "" && s.currency != z.o.Currency:
		return w.send(ctx, no(0x6F), hurt{})
	}
	if err := w.send(ctx, yes, hurt{}); err != nil {
		return err
	}
	if err := s.step(StepAccepted); err != nil {
		return err
	}
	if code := s.find(); code != 0 {
		if err := z.ask(ctx, w, message(0x04, 0x0F, z.declined(code))); err != nil {
			return err
		}
		return z.ask(ctx, w, abort(code))
	}
	stop, err := s.card(ctx)
	if err != nil {
		return err
	}
	if err := s.step(StepCard); err != nil {
		return err
	}
	if stop {
		if !s.b.BareAbort && s.b.Cancel {
			if err := z.ask(ctx, w, message(0x04, 0x0F, append(field(0x27, []byte{0x6C}), append(field(0x29, packed(z.o.TerminalID)), llltext("Abbruch durch Kunde")...)...))); err != nil {
				return err
			}
		}
		return z.ask(ctx, w, abort(0x6C))
	}
	return s.host(ctx)
}

// card is the part with the customer: prompts, PIN, waiting. stop means that it ends without asking the bank.
func (s *sale) card(ctx context.Context) (stop bool, err error) {
	prompts := []byte{0x0A}
	if s.b.WrongPIN {
		prompts = append(prompts, 0x02, 0x15, 0x02)
	}
	for range s.b.Slow {
		prompts = append(prompts, 0x0E)
	}
	prompts = append(prompts, 0x04)
	for _, p := range prompts {
		if err := s.prompt(ctx, p); err != nil {
			return false, err
		}
		if p != 0x0E {
			continue
		}
		if stop, err := s.z.pass(ctx, s.w, time.Second); err != nil || stop && !s.b.Race {
			return stop, err
		}
	}
	wait := s.b.Late
	if s.b.Wait || s.b.Race {
		wait = 3 * time.Minute
	}
	stop, err = s.z.pass(ctx, s.w, wait)
	return !s.b.Race && (stop || s.b.Wait || s.b.Cancel || s.b.BareAbort), err
}

// prompt sends 04 FF where the register asked for it.
func (s *sale) prompt(ctx context.Context, code byte) error {
	s.z.mu.Lock()
	wanted := s.z.config&0x08 != 0
	s.z.mu.Unlock()
	if !wanted {
		return nil
	}
	data := []byte{code}
	if s.b.FullPAN { // 04 FF code, minutes, 06 { 24 { 07 text } }
		text := "Karte " + testPAN
		inner := append([]byte{0x07, byte(len(text))}, text...)
		data = append(data, 0x00, 0x06, byte(len(inner)+2), 0x24, byte(len(inner)))
		data = append(data, inner...)
	}
	return s.z.ask(ctx, s.w, message(0x04, 0xFF, data))
}

// host asks the bank and sends the result.
func (s *sale) host(ctx context.Context) error {
	if s.b.Result != 0 {
		if err := s.z.ask(ctx, s.w, message(0x04, 0x0F, s.z.declined(s.b.Result))); err != nil {
			return err
		}
		return s.z.ask(ctx, s.w, abort(s.b.Result))
	}
	s.approve()
	if err := s.step(StepHost); err != nil {
		return err
	}
	if s.b.Nonsense {
		s.book()
		if err := s.z.ask(ctx, s.w, []byte{0x0A, 0x0B, 0x03, 1, 2, 3}); err != nil && !errors.Is(err, errRefused) {
			return err
		}
		return s.z.ask(ctx, s.w, done)
	}
	if err := s.sendResult(ctx); err != nil {
		return err
	}
	if s.b.IgnoreAck {
		return errQuiet
	}
	if err := s.step(StepResultAck); err != nil {
		return err
	}
	if s.b.ApproveThen {
		s.takeBack()
		return s.z.ask(ctx, s.w, abort(0xCC))
	}
	if err := s.print(ctx); err != nil {
		return err
	}
	s.book()
	if err := s.step(StepPrinted); err != nil {
		return err
	}
	if err := s.w.send(ctx, done, hurt{}); err != nil {
		return err
	}
	if err := s.step(StepEndSent); err != nil {
		return err
	}
	return s.z.answered(ctx, s.w)
}

// sendResult sends the 04 0F, hurt as the script says, and waits for its acknowledgement.
func (s *sale) sendResult(ctx context.Context) error {
	times := 1
	if s.b.Duplicate {
		times = 2
	}
	for range times {
		if err := s.w.send(ctx, s.result, hurt{badCRC: s.b.BadCRC, noise: s.b.Noise, stall: s.b.Stall}); err != nil {
			return err
		}
		if err := s.step(StepResultSent); err != nil {
			return err
		}
		if err := s.z.answered(ctx, s.w); err != nil {
			if errors.Is(err, errRefused) {
				s.settle(false)
				if aborted := s.z.ask(ctx, s.w, abort(0x9A)); aborted != nil {
					return aborted
				}
			}
			return err
		}
	}
	return nil
}

// approve writes the ledger and makes the result.
func (s *sale) approve() {
	z := s.z
	z.mu.Lock()
	defer z.mu.Unlock()
	z.receipt, z.trace = z.receipt+1, z.trace+1
	amount := s.amount
	if s.b.Partial > 0 {
		amount = s.b.Partial
	}
	s.entry = Charge{Receipt: z.receipt, Trace: z.trace, Amount: amount, Currency: z.o.Currency, Refund: s.kind == kindRefund, At: z.now()}
	s.approved = true
	if s.orig < 0 {
		s.entry.Preauth = s.kind == kindPreauth
		s.charge = len(z.charges)
		z.charges = append(z.charges, s.entry)
	}
	s.result = message(0x04, 0x0F, s.data(s.b))
}

// approved is the data of a 04 0F for c.
func (z *ZVT) approved(c Charge, sayCurrency bool, b Behaviour) []byte {
	var out []byte
	add := func(id byte, v []byte) { out = append(out, field(id, v)...) }
	if !b.NoResult {
		add(0x27, []byte{0})
	}
	if b.UnknownBMP {
		return append(out, 0xDE, 0xAD)
	}
	add(0x04, packed(fmt.Sprintf("%012d", c.Amount)))
	if sayCurrency {
		add(0x49, packed("0"+c.Currency))
	}
	add(0x0B, packed(fmt.Sprintf("%06d", c.Trace)))
	add(0x0C, packed(c.At.Format("150405")))
	add(0x0D, packed(c.At.Format("0102")))
	add(0x0E, packed("2912"))
	if b.FullPAN {
		out = append(out, z.leaks()...)
	}
	add(0x17, packed("0001"))
	add(0x19, []byte{0x70})
	pan := "eeeeeeeeeeee" + testPAN[12:]
	if b.FullPAN {
		pan = testPAN
	}
	out = append(out, ll(0x22, packed(pan))...)
	add(0x29, packed(z.o.TerminalID))
	add(0x2A, []byte("100461763      "))
	add(0x3B, []byte("611804\x00\x00"))
	add(0x87, packed(fmt.Sprintf("%04d", c.Receipt)))
	add(0x88, packed(fmt.Sprintf("%06d", c.Receipt)))
	add(0x8A, []byte{0x0A})
	out = append(out, ll(0x8B, []byte("VISA\x00"))...)
	// How the card was read: 2F { 1F10 online PIN, 1F12 chip }
	return append(out, 0x06, 0x0A, 0x2F, 0x08, 0x1F, 0x10, 0x01, 0x02, 0x1F, 0x12, 0x01, 0x01)
}

func (z *ZVT) declined(code byte) []byte {
	return append(field(0x27, []byte{code}), field(0x29, packed(z.o.TerminalID))...)
}

// print sends the merchant's and the customer's slip line by line where the register prints.
func (s *sale) print(ctx context.Context) error {
	return s.z.printSlips(ctx, s.w, slipOf{s.entry, s.b.FullPAN})
}

// slipOf is what the slips of a transaction tell.
type slipOf struct {
	c    Charge
	leak bool
}

func (z *ZVT) printSlips(ctx context.Context, w wire, of slipOf) error {
	z.mu.Lock()
	wanted, c := z.config&0x82 == 0x82, of.c
	z.mu.Unlock()
	if !wanted {
		return nil
	}
	pan := "############" + testPAN[12:]
	if of.leak {
		pan = testPAN
	}
	for i, title := range []string{"H\x84ndlerbeleg", "Kundenbeleg"} {
		lines := []string{"@" + title, "\x00", fmt.Sprintf("\x00Terminal-ID:%20s", z.o.TerminalID), fmt.Sprintf("\x00Beleg-Nr.  %04d", c.Receipt), "\x00VISA", "\x00" + pan, fmt.Sprintf("@%d.%02d", c.Amount/100, c.Amount%100), "\x81"}
		if err := z.printSlip(ctx, w, byte(i+1), lines); err != nil {
			return err
		}
	}
	return nil
}

// book makes the charge stand, or the follow-up take effect, and it the last transaction.
func (s *sale) book() {
	z := s.z
	z.mu.Lock()
	defer z.mu.Unlock()
	if s.charge >= 0 {
		z.charges[s.charge].Booked = true
		z.byReceipt[s.entry.Receipt] = s.charge
	} else {
		s.takeEffect()
	}
	b := s.b
	b.NoResult, b.UnknownBMP = false, false // 06 20 tells it well
	z.last, z.lastSlip = message(0x04, 0x0F, s.data(b)), slipOf{s.entry, b.FullPAN}
	s.settled = true
}

// takeBack reverses the charge, or leaves the follow-up without effect.
func (s *sale) takeBack() {
	z := s.z
	z.mu.Lock()
	defer z.mu.Unlock()
	s.settled = true
	if s.charge >= 0 {
		z.charges[s.charge].Reversed = true
	}
	if !z.o.ShowReversals {
		return
	}
	back := s.entry
	z.receipt, z.trace = z.receipt+1, z.trace+1
	back.Receipt, back.Trace, back.At = z.receipt, z.trace, z.now()
	data := z.approved(back, s.currency != "", Behaviour{})
	z.last = message(0x04, 0x0F, append(data, field(0x37, packed(fmt.Sprintf("%06d", s.entry.Trace)))...))
}

// settle decides about an approval whose result or slips were not acknowledged.
func (s *sale) settle(good bool) {
	if s.settled || !s.approved || good {
		return
	}
	way := s.z.o.LostAck
	if s.b.LostAck != "" {
		way = s.b.LostAck
	}
	switch way {
	case Keeps:
		s.book()
	case Declines:
		s.z.mu.Lock()
		if s.charge >= 0 { // the newest one
			s.z.charges = s.z.charges[:s.charge]
		}
		s.z.mu.Unlock()
		s.settled = true
	default:
		s.takeBack()
	}
}

// moneyOf finds amount (04), currency (49) and receipt number (87) in a money command; payment type (19) is passed over.
func moneyOf(data []byte) (amount int64, currency string, receipt int) {
	for len(data) > 0 {
		switch {
		case data[0] == 0x04 && len(data) >= 7:
			for _, c := range data[1:7] {
				amount = amount*100 + int64(c>>4)*10 + int64(c&15)
			}
			data = data[7:]
		case data[0] == 0x49 && len(data) >= 3:
			currency = fmt.Sprintf("%x", data[1:3])[1:]
			data = data[3:]
		case data[0] == 0x87 && len(data) >= 3:
			for _, c := range data[1:3] {
				receipt = receipt*100 + int(c>>4)*10 + int(c&15)
			}
			data = data[3:]
		case data[0] == 0x19 && len(data) >= 2:
			data = data[2:]
		default:
			return amount, currency, receipt
		}
	}
	return amount, currency, receipt
}

// field is one value of fixed length.
func field(id byte, value []byte) []byte { return append([]byte{id}, value...) }

// ll is one value whose length stands before it in two digits.
func ll(id byte, value []byte) []byte {
	return append([]byte{id, 0xF0 + byte(len(value)/10), 0xF0 + byte(len(value)%10)}, value...)
}

// llltext is an additional text (3C).
func llltext(text string) []byte {
	n := byte(len(text))
	return append([]byte{0x3C, 0xF0 + n/100, 0xF0 + n/10%10, 0xF0 + n%10}, text...)
}

// packed puts two hexadecimal digits into each byte.
func packed(text string) []byte {
	out := make([]byte, len(text)/2)
	for i := range out {
		_, _ = fmt.Sscanf(text[2*i:2*i+2], "%2x", &out[i]) // only digits of our own
	}
	return out
}
