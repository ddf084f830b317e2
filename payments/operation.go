package payments

import (
	"slices"
	"time"

	"storeagent/payments/money"
)

// OperationType is what is done to an approved payment.
type OperationType string

// The operation types, as the API names them.
const (
	OpVoid    OperationType = "void" // also gives an uncaptured preauth free
	OpCapture OperationType = "capture"
	OpTip     OperationType = "tip"
)

// Operation is one void, capture or tip of a payment: an attempt of its own, with the states of a payment. Voided
// does not occur: an approved void makes its payment voided.
type Operation struct {
	ID                string        `json:"id"`
	Type              OperationType `json:"type" enum:"void,capture,tip"`
	State             State         `json:"state" enum:"created,processing,approved,declined,canceled,failed,in_doubt,unresolved,reversed"`
	Amount            money.Amount  `json:"amount"`
	ApprovedAmount    *money.Amount `json:"approvedAmount,omitempty"`
	CreatedAt         time.Time     `json:"createdAt"`
	FinishedAt        *time.Time    `json:"finishedAt,omitempty"`
	CardBrand         string        `json:"cardBrand,omitempty"`
	Last4             string        `json:"last4,omitempty"`
	EntryMode         string        `json:"entryMode,omitempty"`
	ApprovalCode      string        `json:"approvalCode,omitempty"`
	TerminalReference string        `json:"terminalReference,omitempty"`
	SignatureRequired bool          `json:"signatureRequired,omitempty"`
	Receipt           *Receipt      `json:"receipt,omitempty"`
	Prompt            *Prompt       `json:"prompt,omitempty"`
	Decline           *Decline      `json:"decline,omitempty"`
	CancelRequested   bool          `json:"cancelRequested,omitempty"`
	Problem           string        `json:"problem,omitempty"`
	Resolution        *Resolution   `json:"resolution,omitempty"`

	// As in Payment.
	Ref      string   `json:"-"`
	Baseline Baseline `json:"-"`
	Told     *Outcome `json:"-"`

	tip *money.Amount // of the payment's own movement: its TipAtStart
}

// Settled is true once the payment and all its operations are Final.
func (p Payment) Settled() bool {
	return p.State.Final() && !slices.ContainsFunc(p.Operations, func(o Operation) bool { return !o.State.Final() })
}

// Blocks is true while the payment or one of its operations keeps new money off the terminal.
func (p Payment) Blocks() bool {
	return p.State.Blocks() || slices.ContainsFunc(p.Operations, func(o Operation) bool { return o.State.Blocks() })
}

// own is the payment's own money movement in the form that operations have, under the payment's id.
func (p Payment) own() Operation {
	r := p.Receipt
	return Operation{
		ID: p.ID, Type: OperationType(p.Type), State: p.State, Amount: p.Amount, ApprovedAmount: p.ApprovedAmount,
		CreatedAt: p.CreatedAt, FinishedAt: p.FinishedAt, CardBrand: p.CardBrand, Last4: p.Last4, EntryMode: p.EntryMode,
		ApprovalCode: p.ApprovalCode, TerminalReference: p.TerminalReference, SignatureRequired: p.SignatureRequired,
		Receipt: &r, Prompt: p.Prompt, Decline: p.Decline, CancelRequested: p.CancelRequested, Problem: p.Problem, Resolution: p.Resolution,
		Ref: p.Ref, Baseline: p.Baseline, Told: p.Told, tip: p.TipAtStart,
	}
}

// movement gives the payment's own movement, or the operation of that id.
func (p Payment) movement(id string) Operation {
	if i := slices.IndexFunc(p.Operations, func(o Operation) bool { return o.ID == id }); i >= 0 {
		return p.Operations[i]
	}
	return p.own()
}

// pending gives the movement that is under way or unknown. Its terminal has no other one.
func (p Payment) pending() (Operation, bool) {
	open := func(o Operation) bool { return !o.State.Final() || o.State.Blocks() }
	if o := p.own(); open(o) {
		return o, true
	}
	if i := slices.IndexFunc(p.Operations, open); i >= 0 {
		return p.Operations[i], true
	}
	return Operation{}, false
}

// put writes a movement back and draws its consequences for the payment. The payment's slices are not shared with
// copies of it that were made before.
func (p *Payment) put(o Operation) {
	if o.ID == p.ID {
		p.State, p.ApprovedAmount, p.FinishedAt = o.State, o.ApprovedAmount, o.FinishedAt
		p.CardBrand, p.Last4, p.EntryMode = o.CardBrand, o.Last4, o.EntryMode
		p.ApprovalCode, p.TerminalReference, p.SignatureRequired = o.ApprovalCode, o.TerminalReference, o.SignatureRequired
		p.Prompt, p.Decline, p.CancelRequested, p.Problem = o.Prompt, o.Decline, o.CancelRequested, o.Problem
		p.Baseline, p.Told, p.Resolution = o.Baseline, o.Told, o.Resolution
		if o.Receipt != nil {
			p.Receipt = *o.Receipt
		}
		if p.TipAtStart = o.tip; o.State == Approved {
			p.TipAmount = p.tips()
		}
		return
	}
	p.Operations = slices.Clone(p.Operations)
	i := slices.IndexFunc(p.Operations, func(x Operation) bool { return x.ID == o.ID })
	if i < 0 {
		p.Operations = append(p.Operations, o)
	} else {
		p.Operations[i] = o
	}
	if o.State != Approved {
		return
	}
	switch o.Type {
	case OpVoid:
		p.State = Voided
	case OpCapture:
		p.CapturedAmount = o.ApprovedAmount
	case OpTip:
		p.TipAmount = p.tips()
	}
}

// tips sums the approved tips; nil for none. All have the payment's currency.
func (p Payment) tips() *money.Amount {
	sum := p.TipAtStart
	for _, o := range p.Operations {
		if o.Type != OpTip || o.State != Approved || o.ApprovedAmount == nil {
			continue
		}
		total := *o.ApprovedAmount
		if sum != nil {
			total = plus(*sum, total)
		}
		sum = &total
	}
	return sum
}

// stands is the amount that stands at the terminal: approved, or captured of a preauth, with its tips.
func (p Payment) stands() money.Amount {
	amount := p.Amount
	switch {
	case p.CapturedAmount != nil:
		amount = *p.CapturedAmount
	case p.ApprovedAmount != nil:
		amount = *p.ApprovedAmount
	}
	if p.TipAmount != nil {
		amount = plus(amount, *p.TipAmount)
	}
	return amount
}

// plus adds two amounts of one payment, which have one currency and passed the check for what is too high.
func plus(a, b money.Amount) money.Amount {
	if sum, err := a.Add(b); err == nil {
		return sum
	}
	return a
}

// attempt gives a movement of the payment as its terminal sees it.
func (p Payment) attempt(o Operation) Attempt {
	if o.ID == p.ID {
		return p.Attempt()
	}
	kind := map[OperationType]Kind{OpVoid: DoVoid, OpCapture: DoCapture, OpTip: DoTip}[o.Type]
	if o.Type == OpVoid && p.Type == Preauth && p.CapturedAmount == nil {
		kind = DoCancelPreauth
	}
	return Attempt{
		Txn:       Txn{PaymentID: p.ID, Kind: kind, Ref: o.Ref, Amount: o.Amount, Original: p.original()},
		StartedAt: o.CreatedAt, Baseline: o.Baseline, Told: o.Told,
	}
}

// original names what stands of the payment: its capture where there is one, else the payment itself.
func (p Payment) original() *Original {
	from, kind := p.own(), Kind(p.Type)
	for _, o := range p.Operations {
		if o.Type == OpCapture && o.State == Approved {
			from, kind = o, DoCapture
		}
	}
	out := &Original{Kind: kind, Ref: from.Ref, Amount: p.stands(), At: from.CreatedAt, ApprovalCode: from.ApprovalCode}
	if from.Told != nil {
		out.Receipt, out.Trace, out.Reference = from.Told.Baseline.Receipt, from.Told.Baseline.Trace, from.Told.Reference
	}
	return out
}

// approve, fail and end write an outcome into a movement; they are the only places that end one.
func (o *Operation) approve(out Outcome) {
	amount := out.ApprovedAmount
	switch {
	case amount == (money.Amount{}):
		amount = o.Amount // a terminal need not repeat what it takes back
	case o.tip != nil:
		amount, o.tip = o.apart(amount)
	}
	o.end(out)
	o.ApprovedAmount = &amount
}

// apart parts what a terminal approved of a payment with its tip: it covers the amount first, and what is left is tip.
func (o Operation) apart(approved money.Amount) (amount money.Amount, tip *money.Amount) {
	all, ok1 := approved.Minor()
	asked, ok2 := o.Amount.Minor()
	if !ok1 || !ok2 || all <= asked {
		return approved, nil
	}
	rest, err := money.FromMinor(all-asked, approved.Currency())
	if err != nil {
		return approved, nil
	}
	return o.Amount, &rest
}

// total is what was approved of a movement with its tip; nil for nothing.
func (o Operation) total() *money.Amount {
	if o.ApprovedAmount == nil || o.tip == nil {
		return o.ApprovedAmount
	}
	sum := plus(*o.ApprovedAmount, *o.tip)
	return &sum
}

func (o *Operation) fail(why string) {
	o.end(Outcome{State: Failed})
	o.Problem = why
}

func (o *Operation) end(out Outcome) {
	now := time.Now().UTC().Truncate(time.Millisecond)
	o.State, o.FinishedAt, o.Prompt, o.Problem = out.State, &now, nil, ""
	o.Decline = out.Decline
	for _, f := range []struct {
		into *string
		from string
	}{
		{&o.CardBrand, out.CardBrand}, {&o.Last4, out.Last4}, {&o.EntryMode, out.EntryMode},
		{&o.ApprovalCode, out.ApprovalCode}, {&o.TerminalReference, out.TerminalReference},
	} {
		if f.from != "" {
			*f.into = f.from
		}
	}
	o.SignatureRequired = out.SignatureRequired
}

// apply writes a recovery verdict into a movement.
func (o *Operation) apply(v Verdict, out Outcome) {
	switch {
	case v == Known && out.State == Approved:
		o.Told = &out
		o.approve(out)
	case v == Known:
		o.Told = &out
		o.end(out)
	case v == NotCharged && o.Told != nil && o.Told.State == Approved:
		o.end(Outcome{State: Reversed})
		o.Problem = "the terminal approved and then took it back because it heard no acknowledgement"
	case v == NotCharged:
		o.fail("the terminal does not know this payment: nothing was charged")
	default:
		o.State = Unresolved
		o.Problem = "the terminal cannot tell how this ended; look at its display or slips and resolve it"
	}
}
