package terminalsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"
)

// Telium is one simulated terminal that speaks Concert E+. It outlives its connections: its ledger stays, and an
// answer that nobody acknowledged is handed over before the next one. All methods are safe for concurrent use.
//
// Of a script it knows approve, decline, cancel (a refusal here), slow, wait, duplicate, badcrc, noise, stall,
// noresult (result 9), nonsense, deaf, late, fullpan, cut and lostack; the other words change nothing.
type Telium struct {
	counter
	ledger []Charge
	owed   []string // answers that nobody acknowledged
}

// NewTelium makes a terminal; of o it uses Currency, Script, FirstReceipt, Patience, Waits and OnStep.
func NewTelium(o Options) *Telium { return &Telium{counter: newCounter(o)} }

// TeliumSteps lists the steps of a payment in order.
func TeliumSteps() []string { return lineSteps() }

// Charges is a copy of the ledger, oldest first.
func (t *Telium) Charges() []Charge {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.ledger)
}

// Serve serves one line until ctx ends or it breaks; then it is closed.
func (t *Telium) Serve(ctx context.Context, rw io.ReadWriteCloser) error {
	return t.serve(ctx, rw, t.command)
}

// command takes an ENQ and the frame that may follow, up to EOT.
func (t *Telium) command(ctx context.Context, l *stxLine, first token) error {
	if first.kind != 5 {
		return nil // stray
	}
	if err := l.bytes1([]byte{6}); err != nil {
		return err
	}
	for {
		got, err := l.token(ctx, l.patience())
		switch {
		case errors.Is(err, errQuiet), err == nil && got.kind == 4:
			return nil
		case err != nil:
			return err
		case got.kind == 5:
			err = l.bytes1([]byte{6})
		case got.kind == 2 && len(got.text) == 34:
			return t.money(ctx, l, got.text)
		case got.kind == 0 || got.kind == 2:
			err = l.bytes1([]byte{0x15})
		}
		if err != nil {
			return err
		}
	}
}

// money works on one ask: register 2, amount 8, report wanted 1, mode 1, kind 1, currency 3, private 10, delay 4,
// authorization 4.
func (t *Telium) money(ctx context.Context, l *stxLine, ask string) error {
	b := t.next()
	step := b.steps(&t.counter, l)
	if err := step(StepReceived); err != nil {
		return err
	}
	if b.Deaf {
		return nil
	}
	if err := l.bytes1([]byte{6}); err != nil {
		return err
	}
	if err := step(StepAccepted); err != nil {
		return err
	}
	b.Race = false
	if _, err := b.customer(ctx, l, func(token) bool { return false }); err != nil {
		return err
	}
	if err := step(StepCard); err != nil {
		return err
	}
	amount, err := strconv.ParseInt(ask[2:10], 10, 64)
	result, charged := byte('0'), false
	switch {
	case err != nil, ask[13:16] != t.o.Currency, b.Result != 0, b.Cancel, b.BareAbort, b.Wait:
		result = '7'
	default:
		t.mu.Lock()
		n := max(t.o.FirstReceipt, 1) + len(t.ledger)
		t.ledger = append(t.ledger, Charge{Receipt: n, Trace: n, Amount: amount, Currency: t.o.Currency, Refund: ask[12] == '2', Booked: true, At: time.Now()})
		t.mu.Unlock()
		charged = true
	}
	if b.NoResult {
		result = '9'
	}
	report := ""
	if ask[10] == '1' || b.FullPAN {
		report = fmt.Sprintf("%-55s", "CB EMV 0001"+testPAN+" 611804")
	}
	text := ask[:2] + string(result) + ask[2:10] + ask[11:12] + report + ask[13:16] + ask[16:26]
	if b.Nonsense {
		text = "what?"
	}
	if charged {
		if err := step(StepHost); err != nil {
			t.owe(text)
			return err
		}
	}
	return t.answers(ctx, l, text, b, step)
}

// answers hands over what is owed and then the answer.
func (t *Telium) answers(ctx context.Context, l *stxLine, text string, b Behaviour, step func(string) error) error {
	t.mu.Lock()
	owed := append(t.owed, text)
	t.owed = nil
	t.mu.Unlock()
	for i, text := range owed {
		own := i == len(owed)-1
		taken, err := t.answer(ctx, l, text, b, own, step)
		if !taken {
			t.owe(text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (t *Telium) owe(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owed = append(t.owed, text)
}

// answer is one exchange from the terminal's side: ENQ, the frame, EOT. own is false for an answer that was owed.
func (t *Telium) answer(ctx context.Context, l *stxLine, text string, b Behaviour, own bool, step func(string) error) (taken bool, err error) {
	if !own {
		b, step = Behaviour{}, func(string) error { return nil }
	}
	heard, err := t.enquire(ctx, l)
	if err != nil || !heard {
		return false, err
	}
	h := hurt{badCRC: b.BadCRC, noise: b.Noise, stall: b.Stall}
	taken, err = l.handover(ctx, text, h, func() error { return step(StepResultSent) }, b.IgnoreAck)
	if err != nil || !taken {
		return taken, err
	}
	if err := step(StepResultAck); err != nil {
		return true, err
	}
	if b.Duplicate {
		if _, err := l.handover(ctx, text, hurt{}, nil, false); err != nil {
			return true, err
		}
	}
	if err := l.bytes1([]byte{4}); err != nil {
		return true, err
	}
	return true, step(StepEndSent)
}

// enquire sends ENQ until the register answers, three times in all.
func (t *Telium) enquire(ctx context.Context, l *stxLine) (bool, error) {
	for range 3 {
		if err := l.bytes1([]byte{5}); err != nil {
			return false, err
		}
		for quiet := false; !quiet; {
			got, err := l.token(ctx, l.patience())
			switch {
			case errors.Is(err, errQuiet):
				quiet = true
			case err != nil:
				return false, err
			case got.kind == 6:
				return true, nil
			case got.kind == 5: // the register has gone on
				l.kept = append(l.kept, got)
				return false, nil
			}
		}
	}
	return false, nil
}
