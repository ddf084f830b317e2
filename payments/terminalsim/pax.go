package terminalsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// PAX is one simulated terminal with BroadPOS that speaks POSLink. It outlives its connections: batch and ledger stay.
// All methods are safe for concurrent use.
//
// Of a script it knows all words but bareabort (which is cancel), approvethenabort and the three ways of lostack: the
// protocol takes nothing back because of a missing acknowledgement.
type PAX struct {
	counter
	batch   []paxRecord
	ledger  []Charge
	number  int
	refused int // requests with card data or with leave to charge twice
}

// paxRecord is one approval in the open batch.
type paxRecord struct {
	number int
	ref    string
	kind   string
	amount int64
	charge int // in the ledger
	b      Behaviour
}

// NewPAX makes a terminal; Password and LostAck of o do not matter. With NoLast it has no local reports.
func NewPAX(o Options) *PAX {
	if o.Currency == "" {
		o.Currency = "840"
	}
	return &PAX{counter: newCounter(o), number: max(o.FirstReceipt, 1) - 1}
}

// PAXSteps lists the steps of a payment in order.
func PAXSteps() []string { return lineSteps() }

// Charges is a copy of the ledger, oldest first. Authorizations count like sales.
func (p *PAX) Charges() []Charge {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.ledger)
}

// Improper counts the requests that held card data or gave leave to charge twice.
func (p *PAX) Improper() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.refused
}

// CloseBatch empties the batch, as a person at the terminal may at any time.
func (p *PAX) CloseBatch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.batch = nil
}

// Serve serves one line, serial or TCP, until ctx ends or it breaks; then it is closed.
func (p *PAX) Serve(ctx context.Context, rw io.ReadWriteCloser) error {
	return p.serve(ctx, rw, p.command)
}

func (p *PAX) command(ctx context.Context, l *stxLine, t token) error {
	switch t.kind {
	case 0:
		return l.bytes1([]byte{0x15})
	case 2:
	default:
		return nil // stray
	}
	g := strings.Split(t.text, "\x1c")
	at := func(n int) string {
		if n < len(g) {
			return g[n]
		}
		return ""
	}
	ask := strings.HasPrefix(t.text, "R02")
	if ask {
		p.o.OnStep(StepLastReceived)
	}
	if at(0) == "T00" {
		return p.money(ctx, l, g)
	}
	if err := l.bytes1([]byte{6}); err != nil {
		return err
	}
	var answer string
	switch at(0) {
	case "A00":
		answer = paxAnswer("A01", "000000", "OK", p.o.TerminalID, "S300", "1.00")
	case "A14":
		return l.bytes1([]byte{4})
	case "R02":
		answer = p.report(at(5), at(8))
	case "B00":
		answer = p.close()
	default:
		answer = paxAnswer(at(0), "100004", "UNSUPPORTED")
	}
	_, err := l.handover(ctx, answer, hurt{}, func() error {
		if ask {
			p.o.OnStep(StepLastSent)
		}
		return nil
	}, false)
	return err
}

func paxAnswer(cmd, code, text string, groups ...string) string {
	return strings.Join(append([]string{"0", cmd, "1.35", code, text}, groups...), "\x1c")
}

// report answers R02: the record with that reference of the register, else the one at that place.
func (p *PAX) report(place, ref string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.o.NoLast {
		return paxAnswer("R03", "100004", "UNSUPPORTED")
	}
	n, err := strconv.Atoi(place)
	for i := len(p.batch) - 1; i >= 0; i-- {
		r := p.batch[i]
		if ref != "" && r.ref != ref || ref == "" && (err != nil || i != n) {
			continue
		}
		b := r.b
		b.NoResult, b.UnknownBMP = false, false
		return paxAnswer("R03", "000000", "OK", fmt.Sprint(len(p.batch)), fmt.Sprint(i), p.hostGroup(r), "01", r.kind, "",
			fmt.Sprint(r.amount), cardGroup(b), p.traceGroup(r), "", "", "", extGroup(b))
	}
	return paxAnswer("R03", "100023", "NOT FOUND")
}

func (p *PAX) hostGroup(r paxRecord) string {
	host := "00"
	if r.b.Partial > 0 {
		host = "10"
	}
	return strings.Join([]string{host, "APPROVAL", fmt.Sprintf("%06d", 611800+r.number), fmt.Sprintf("%012d", r.number), fmt.Sprint(r.number), "1"}, "\x1f")
}

func (p *PAX) traceGroup(r paxRecord) string {
	return strings.Join([]string{fmt.Sprint(r.number), r.ref, p.time().Format("20060102150405")}, "\x1f")
}

func cardGroup(b Behaviour) string {
	account := testPAN[12:]
	if b.FullPAN {
		account = testPAN
	}
	return strings.Join([]string{account, "4", "1229", "", "", "", "01", "CARDHOLDER/TEST"}, "\x1f")
}

func extGroup(b Behaviour) string {
	ext := "TC=A1B2C3D4\x1fAID=A0000000031010"
	if b.FullPAN {
		ext += "\x1fTRACK=;" + testPAN + "=29121010000000000?"
	}
	return ext
}

func (p *PAX) time() time.Time { return time.Now().Add(p.o.ClockOffset) }

// close answers B00.
func (p *PAX) close() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var count, sum int64
	for _, r := range p.batch {
		c := p.ledger[r.charge]
		switch {
		case c.Reversed: // counts as neither
		case r.kind == "02":
			count, sum = count+1, sum-c.Amount
		case r.kind == "01" || r.kind == "04":
			count, sum = count+1, sum+c.Amount
		}
	}
	p.batch = nil
	none := strings.Repeat("\x1f0", 5)
	return paxAnswer("B01", "000000", "OK", "00\x1fCLOSED", fmt.Sprint(count)+none, fmt.Sprint(sum)+none, p.time().Format("20060102150405"), p.o.TerminalID, "000000100461763")
}

// paxSale is one money command on its way.
type paxSale struct {
	p    *PAX
	l    *stxLine
	b    Behaviour
	step func(string) error
	kind string
	ask  int64 // with the tip
	tip  int64 // that a sale brings along
	ref  string
	orig string
}

func (p *PAX) money(ctx context.Context, l *stxLine, g []string) error {
	b := p.next()
	s := &paxSale{p: p, l: l, b: b, step: b.steps(&p.counter, l)}
	field := func(group, n int) string {
		if group >= len(g) {
			return ""
		}
		if f := strings.Split(g[group], "\x1f"); n < len(f) {
			return f[n]
		}
		return ""
	}
	s.kind, s.ref, s.orig = field(2, 0), field(5, 0), field(5, 3)
	s.ask, _ = strconv.ParseInt(field(3, 0), 10, 64) // none: a void
	if s.kind == "01" {
		s.tip, _ = strconv.ParseInt(field(3, 1), 10, 64) // none: no tip
		s.ask += s.tip
	}
	if len(g) > 4 && strings.Trim(g[4], "\x1f") != "" {
		p.mu.Lock()
		p.refused++
		p.mu.Unlock()
	}
	if err := s.step(StepReceived); err != nil {
		return err
	}
	if b.Deaf {
		return nil
	}
	if err := l.bytes1([]byte{6}); err != nil {
		return err
	}
	if err := s.step(StepAccepted); err != nil {
		return err
	}
	if b.Refuse != 0 {
		return s.answer(ctx, paxAnswer("T01", fmt.Sprintf("1000%02d", b.Refuse%100), "REFUSED"))
	}
	stopped, err := b.customer(ctx, l, s.heard)
	if err != nil {
		return err
	}
	if err := s.step(StepCard); err != nil && !errors.Is(err, errCut) {
		return err
	}
	switch {
	case (stopped || b.Cancel || b.BareAbort) && !b.Race:
		return s.answer(ctx, paxAnswer("T01", "100002", "ABORTED"))
	case b.Wait:
		return s.answer(ctx, paxAnswer("T01", "100001", "TIMEOUT"))
	case b.Result != 0:
		return s.answer(ctx, paxAnswer("T01", "000100", "DECLINE", fmt.Sprintf("%02X\x1fDO NOT HONOR", b.Result), s.kind, "", cardGroup(Behaviour{}), "\x1f"+s.ref))
	}
	return s.host(ctx)
}

// heard answers what comes while a payment runs: A14 is taken, anything else gets no answer.
func (s *paxSale) heard(t token) bool {
	if t.kind != 2 || !strings.HasPrefix(t.text, "A14") {
		return false
	}
	_ = s.l.bytes1([]byte{6, 4}) // a broken line shows with the answer
	return true
}

// host asks the bank and sends the result.
func (s *paxSale) host(ctx context.Context) error {
	r, code := s.record()
	if code != "" {
		return s.answer(ctx, paxAnswer("T01", code, "REFUSED"))
	}
	if err := s.step(StepHost); err != nil {
		return err
	}
	if s.b.Nonsense {
		return s.answer(ctx, "0\x1cT01\x1cwhat\x1c?")
	}
	groups := []string{s.p.hostGroup(r), r.kind, fmt.Sprintf("%d\x1f%d", r.amount, s.ask-r.amount), cardGroup(s.b), s.p.traceGroup(r), "", "", "", extGroup(s.b)}
	code = "000000"
	if s.b.NoResult {
		code = ""
	}
	if s.b.UnknownBMP {
		groups = append(groups, "something\x1fnew", "", "more")
	}
	return s.answer(ctx, paxAnswer("T01", code, "OK", groups...))
}

// answer sends the result until it is acknowledged, three times in all.
func (s *paxSale) answer(ctx context.Context, text string) error {
	h := hurt{badCRC: s.b.BadCRC, noise: s.b.Noise, stall: s.b.Stall}
	taken, err := s.l.handover(ctx, text, h, func() error { return s.step(StepResultSent) }, s.b.IgnoreAck)
	if err != nil || !taken {
		return err
	}
	if err := s.step(StepResultAck); err != nil {
		return err
	}
	if s.b.Duplicate {
		if taken, err = s.l.handover(ctx, text, hurt{}, nil, false); err != nil || !taken {
			return err
		}
	}
	if err := s.l.bytes1([]byte{4}); err != nil {
		return err
	}
	return s.step(StepEndSent)
}

// record writes batch and ledger. A code says why not.
func (s *paxSale) record() (r paxRecord, code string) {
	p := s.p
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.ContainsFunc(p.batch, func(r paxRecord) bool { return r.ref == s.ref }) {
		return r, "100011" // a duplicate
	}
	r = paxRecord{number: p.number + 1, ref: s.ref, kind: s.kind, amount: s.ask, b: s.b}
	if s.b.Partial > 0 {
		r.amount = s.b.Partial
	}
	i := slices.IndexFunc(p.batch, func(o paxRecord) bool { return fmt.Sprint(o.number) == s.orig })
	switch s.kind {
	case "01", "02", "03":
		if s.ask <= 0 {
			return r, "100003"
		}
		r.charge = len(p.ledger)
		p.ledger = append(p.ledger, Charge{Receipt: r.number, Trace: r.number, Amount: r.amount, Tip: s.tip, Currency: p.o.Currency, Refund: s.kind == "02", Preauth: s.kind == "03", Booked: true, At: p.time()})
	case "04", "06", "16":
		if i < 0 || p.ledger[p.batch[i].charge].Reversed {
			return r, "100023"
		}
		r.charge = p.batch[i].charge
		c := &p.ledger[r.charge]
		switch {
		case s.kind == "16":
			c.Reversed, r.amount = true, c.Amount
		case s.kind == "06":
			c.Amount, c.Tip = c.Amount+r.amount, c.Tip+r.amount
		case r.amount > c.Amount || !c.Preauth:
			return r, "100003"
		default:
			c.Amount, c.Preauth = r.amount, false
		}
	default:
		return r, "100004"
	}
	p.number = r.number
	p.batch = append(p.batch, r)
	return r, ""
}
