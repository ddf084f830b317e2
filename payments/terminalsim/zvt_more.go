package terminalsim

import (
	"context"
	"fmt"
	"strings"
)

// What the money commands do.
const (
	kindSale    = "sale"
	kindRefund  = "refund"
	kindPreauth = "preauth"
	kindCapture = "capture"
	kindFree    = "free" // gives a preauth free
	kindVoid    = "void"
	kindTip     = "tip"
)

// kinds are the instructions of class 06 that move money. 06 23, which books a preauth by the amount that was NOT
// used, is refused: a register that means 06 24 shall notice.
var kinds = [256]string{
	0x01: kindSale, 0x31: kindRefund, 0x22: kindPreauth, 0x24: kindCapture, 0x25: kindFree, 0x30: kindVoid, 0x0C: kindTip,
}

func (s *sale) needsAmount() bool { return s.kind != kindFree && s.kind != kindVoid }

// find looks up what a follow-up names; a code other than 0 refuses it.
func (s *sale) find() byte {
	z := s.z
	z.mu.Lock()
	defer z.mu.Unlock()
	switch s.kind {
	case kindSale, kindRefund, kindPreauth:
		return 0
	}
	i, ok := z.byReceipt[s.number]
	if !ok {
		return 0x83
	}
	c := z.charges[i]
	switch {
	case c.Reversed:
		return 0xB4
	case s.kind == kindVoid && (c.Preauth || z.o.ReverseLastOnly && i != len(z.charges)-1):
		return 0xB5
	case (s.kind == kindCapture || s.kind == kindFree) && !c.Preauth:
		return 0xB8
	case s.kind == kindCapture && s.amount > c.Amount:
		return 0xC3
	case s.kind == kindTip && (c.Preauth || c.Refund):
		return 0x83
	}
	if !s.needsAmount() {
		s.amount = c.Amount
	}
	s.orig = i
	return 0
}

// takeEffect does to the ledger what a follow-up is for. The lock is held.
func (s *sale) takeEffect() {
	c := &s.z.charges[s.orig]
	switch s.kind {
	case kindCapture:
		c.Preauth, c.Amount = false, s.entry.Amount
		s.z.byReceipt[s.entry.Receipt] = s.orig
	case kindTip:
		c.Tip, c.Amount = c.Tip+s.entry.Amount, c.Amount+s.entry.Amount
	case kindFree, kindVoid:
		c.Reversed = true
	}
}

// data is the 04 0F of what was approved; a reversal names the trace it takes back. The lock is held.
func (s *sale) data(b Behaviour) []byte {
	out := s.z.approved(s.entry, s.currency != "", b)
	if s.orig >= 0 && (s.kind == kindVoid || s.kind == kindFree) && !b.UnknownBMP {
		out = append(out, field(0x37, packed(fmt.Sprintf("%06d", s.z.charges[s.orig].Trace)))...)
	}
	return out
}

// leaks is a card number in every field that has room for one, as a result never should have it.
func (z *ZVT) leaks() []byte {
	spaced := testPAN[:4] + " " + testPAN[4:8] + " " + testPAN[8:12] + " " + testPAN[12:]
	var out []byte
	out = append(out, ll(0x23, packed(testPAN+"d2912201000000000f"))...) // track 2
	out = append(out, lll(0x24, packed("01"+testPAN+"00"))...)           // track 3
	out = append(out, ll(0x2D, []byte("B"+testPAN+"^DOE/JANE^2912201"))...)
	out = append(out, lll(0x2E, append([]byte{0x5A, 0x08}, packed(testPAN)...))...) // chip: tag 5A
	out = append(out, lll(0x3C, []byte("KARTE "+spaced+" OK"))...)
	out = append(out, ll(0xA7, packed(testPAN))...)
	return append(out, lll(0x9A, []byte(testPAN))...)
}

// lll is one value whose length stands before it in three digits.
func lll(id byte, value []byte) []byte {
	n := byte(len(value))
	return append([]byte{id, 0xF0 + n/100, 0xF0 + n/10%10, 0xF0 + n%10}, value...)
}

// count answers 06 10 and 06 50: totals of all cards, which are VISA here. An end of day forgets the last transaction.
func (z *ZVT) count(ctx context.Context, w wire, data []byte, closes bool) error {
	if !z.knows(data) {
		return w.send(ctx, no(0x85), hurt{})
	}
	if err := w.send(ctx, yes, hurt{}); err != nil {
		return err
	}
	z.mu.Lock()
	var net int64
	n, first := 0, z.receipt
	for _, c := range z.charges[z.closed:] {
		if !c.Standing() || c.Preauth {
			continue
		}
		if n++; c.Refund {
			net -= c.Amount
		} else {
			net += c.Amount
		}
		first = min(first, c.Receipt)
	}
	leak := len(z.script) > 0 && z.script[0].FullPAN
	printed := z.config&0x84 == 0x84
	status := append(field(0x27, []byte{0}), field(0x04, packed(fmt.Sprintf("%012d", net)))...)
	status = append(status, field(0x0B, packed(fmt.Sprintf("%06d", z.trace)))...)
	sums := packed(fmt.Sprintf("%04d%04d", first, z.receipt))
	for scheme := range 7 {
		part := make([]byte, 7)
		if scheme == 4 {
			part = append([]byte{byte(n)}, packed(fmt.Sprintf("%012d", net))...)
		}
		sums = append(sums, part...)
	}
	status = append(status, lll(0x60, sums)...)
	if closes {
		z.closed, z.last = len(z.charges), nil
	}
	z.mu.Unlock()
	if err := z.ask(ctx, w, message(0x04, 0x0F, status)); err != nil {
		return err
	}
	if closes && printed {
		lines := []string{"@** KASSENSCHNITT **", fmt.Sprintf("\x00VISA %d", n), fmt.Sprintf("\x00SUMME %d.%02d", net/100, net%100), "\x81"}
		if leak {
			lines = append([]string{"\x00" + testPAN}, lines...)
		}
		if err := z.printSlip(ctx, w, 3, lines); err != nil {
			return err
		}
	}
	return z.ask(ctx, w, done)
}

// display takes 06 E0: F0 seconds, F1 to F8 lines. It has no completion.
func (z *ZVT) display(ctx context.Context, w wire, data []byte) error {
	var lines []string
	for len(data) > 0 {
		switch id := data[0]; {
		case (id == 0xF0 || id == 0xF9) && len(data) >= 2:
			data = data[2:]
		case id >= 0xF1 && id <= 0xF8 && len(data) >= 3 && len(data) >= 3+int(data[1]&15)*10+int(data[2]&15):
			n := int(data[1]&15)*10 + int(data[2]&15)
			lines, data = append(lines, string(data[3:3+n])), data[3+n:]
		default:
			return w.send(ctx, no(0x83), hurt{})
		}
	}
	z.mu.Lock()
	z.shown = lines
	z.mu.Unlock()
	return w.send(ctx, yes, hurt{})
}

// Shown is what the register displayed last, lines parted by line feeds, in the terminal's charset.
func (z *ZVT) Shown() string {
	z.mu.Lock()
	defer z.mu.Unlock()
	return strings.Join(z.shown, "\n")
}

// Registered is true while a register is logged on: after 06 00 and until 06 02.
func (z *ZVT) Registered() bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.config != 0x86
}

// SetStatus sets what 05 01 answers: 00 ready, 51 until an initialisation (06 93), C2 until a diagnosis (06 70).
func (z *ZVT) SetStatus(code byte) {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.status = code
}

// cure is what initialisation and diagnosis do.
func (z *ZVT) cure(instr byte) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if instr == 0x93 && z.status == 0x51 || instr == 0x70 && z.status == 0xC2 {
		z.status = 0
	}
}
