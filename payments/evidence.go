package payments

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments/money"
)

// Resolution is a person's word on a movement that nobody could settle. Who said it, and why, also stands in the audit.
type Resolution struct {
	At      time.Time `json:"at"`
	By      string    `json:"by" doc:"The pairing that said it"`
	Outcome State     `json:"outcome" enum:"approved,failed"`
	Note    string    `json:"note"`
}

// Evidence is what a terminal said of a movement that had its end already. It changes nothing by itself.
type Evidence struct {
	At             time.Time     `json:"at"`
	OperationID    string        `json:"operationId,omitempty" doc:"The void, capture or tip it speaks of; absent: the payment itself"`
	Outcome        State         `json:"outcome" enum:"approved,declined,canceled,failed,reversed" doc:"failed: not charged"`
	ApprovedAmount *money.Amount `json:"approvedAmount,omitempty"`
	Detail         string        `json:"detail"`
	Contradicts    bool          `json:"contradicts" doc:"It says otherwise than the payment's state"`
	Settled        bool          `json:"settled,omitempty" doc:"A person decided with this before their eyes"`
}

// same is true where both say the same thing of the same movement.
func (e Evidence) same(o Evidence) bool {
	return e.OperationID == o.OperationID && e.Outcome == o.Outcome && e.Detail == o.Detail
}

// Witness is a Terminal whose line may bring the answer to an attempt that is over.
type Witness interface {
	// Heard sets who is told the Ref of such an attempt; Recover knows more of it from then on. It is called before
	// Run, and f never blocks.
	Heard(f func(ref string))
}

// Contradicted is true while the terminal said otherwise than the payment's state and nobody decided what holds.
func (p Payment) Contradicted() bool {
	_, open := p.disputed()
	return open
}

// disputed gives the movement whose end the terminal contradicted last, with what it said.
func (p Payment) disputed() (Evidence, bool) {
	for _, e := range slices.Backward(p.Evidence) {
		if e.Contradicts && !e.Settled {
			return e, true
		}
	}
	return Evidence{}, false
}

// movementOf is what e speaks of.
func (p Payment) movementOf(e Evidence) Operation {
	if e.OperationID == "" {
		return p.own()
	}
	return p.movement(e.OperationID)
}

// evidence words a verdict on movement m, which has its end. ok is false where it says nothing worth keeping: the
// terminal cannot tell, or repeats what it said before and no person has spoken.
func (p Payment) evidence(m Operation, v Verdict, out Outcome) (e Evidence, ok bool) {
	e = Evidence{At: time.Now().UTC().Truncate(time.Millisecond), Outcome: out.State}
	if m.ID != p.ID {
		e.OperationID = m.ID
	}
	switch v {
	case Known:
		e.Detail = fmt.Sprintf("the terminal shows it as %s", out.State)
	case NotCharged:
		e.Outcome, e.Detail = Failed, "the terminal does not know it: nothing was charged"
	default:
		return e, false
	}
	approved := e.Outcome == Approved
	if approved && out.ApprovedAmount != (money.Amount{}) {
		amount := out.ApprovedAmount
		e.ApprovedAmount = &amount
		e.Detail += fmt.Sprintf(" with %s %s", amount, amount.Currency())
	}
	if out.TerminalReference != "" {
		e.Detail += ", its number " + out.TerminalReference
	}
	switch m.State {
	case Approved:
		e.Contradicts = !approved || e.ApprovedAmount != nil && m.ApprovedAmount != nil && e.ApprovedAmount.Cmp(*m.total()) != 0
	case Voided: // charged and taken back: both are true
	default:
		e.Contradicts = approved
	}
	repeated := slices.ContainsFunc(p.Evidence, e.same)
	return e, !repeated && (e.Contradicts || m.Resolution != nil)
}

// keep writes down what the terminal said of a movement that has its end.
func (w *worker) keep(ctx context.Context, p Payment, m Operation, v Verdict, out Outcome) (Payment, error) {
	e, ok := p.evidence(m, v, out)
	if !ok {
		return p, nil
	}
	p.Evidence = append(slices.Clone(p.Evidence), e)
	if err := w.desk.update(ctx, p); err != nil {
		return p, err
	}
	w.desk.log.Warn("late answer for a payment that has its end", "terminal", w.name, "payment", p.ID, "state", m.State,
		"said", e.Outcome, "contradicts", e.Contradicts)
	return p, nil
}

// unheard is a movement that has its end, and that the terminal is still to be asked about.
type unheard struct{ payment, movement string }

const (
	hearEvery = 10 * time.Second   // how often a terminal is asked that was not there when a person resolved a payment
	hearBack  = 8 * 24 * time.Hour // how old an attempt may be that a late answer belongs to
)

// hearOut asks about the unheard movement.
func (w *worker) hearOut(ctx context.Context) {
	p, err := w.desk.journal.Get(ctx, w.owed.payment)
	if err == nil {
		_, err = w.ask(ctx, p, w.owed.movement)
	}
	if err == nil || errors.Is(err, journal.ErrNotFound) {
		w.owed = nil
	}
}

// hear deals with an answer that came when nobody waited for it.
func (w *worker) hear(ctx context.Context, ref string) {
	taken, err := w.desk.journal.Taken(ctx, w.name, time.Now().Add(-hearBack))
	if err != nil {
		w.desk.log.Warn("cannot look up a late answer", "terminal", w.name, "err", err)
		return
	}
	for _, p := range taken {
		for _, m := range append([]Operation{p.own()}, p.Operations...) {
			if m.Ref != ref || !m.State.Final() && !m.State.Blocks() {
				continue
			}
			if _, err := w.ask(ctx, p, m.ID); err != nil {
				w.desk.log.Warn("cannot ask about a late answer yet", "terminal", w.name, "payment", p.ID, "err", err)
				w.owed = &unheard{p.ID, m.ID}
			}
		}
	}
}

// redecide is a person's word on a payment that the terminal contradicted. Where they stay with its state only the
// contradiction ends; a payment that a sale has claimed, and what was built upon, stays as it is.
func (p Payment) redecide(r Resolution) (Payment, Operation, error) {
	e, open := p.disputed()
	m := p.movementOf(e)
	approved := r.Outcome == Approved
	switch {
	case !open, !p.Settled():
		return p, m, fmt.Errorf("resolve payment in state %s: %w", p.State, ErrState)
	case approved == (m.State == Approved):
	case m.ID == p.ID && (p.SaleID != "" || len(p.Operations) > 0), m.ID != p.ID && (!approved || p.State != Approved || p.SaleID != ""):
		return p, m, fmt.Errorf("turn a payment round that a sale or an operation builds upon: %w", ErrState)
	case approved:
		out := Outcome{State: Approved}
		if e.ApprovedAmount != nil {
			out.ApprovedAmount = *e.ApprovedAmount
		}
		m.approve(out)
	default:
		m.ApprovedAmount = nil
		m.fail("resolved as not charged by a person")
	}
	m.Resolution = &r
	p.put(m)
	p.Evidence = slices.Clone(p.Evidence)
	for i := range p.Evidence {
		p.Evidence[i].Settled = p.Evidence[i].Settled || p.Evidence[i].OperationID == e.OperationID
	}
	return p, m, nil
}

// watchContradictions reads what earlier runs left contradicted.
func (d *Desk) watchContradictions(ctx context.Context) error {
	f := Filter{Contradicted: true, Limit: 500}
	for {
		page, next, err := d.journal.List(ctx, f)
		if err != nil {
			return fmt.Errorf("read contradicted payments: %w", err)
		}
		for _, p := range page {
			d.noteContradiction(p)
		}
		if f.Cursor = next; next == "" {
			return nil
		}
	}
}

// noteContradiction keeps the list of contradicted payments true.
func (d *Desk) noteContradiction(p Payment) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.contradicted = slices.DeleteFunc(d.contradicted, func(o Payment) bool { return o.ID == p.ID })
	if p.Contradicted() {
		d.contradicted = append(d.contradicted, p)
	}
}

// Contradicted lists, from memory, the payments that ended otherwise than their terminal says, and of which nobody
// decided yet what holds.
func (d *Desk) Contradicted() []Payment {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.contradicted)
}
