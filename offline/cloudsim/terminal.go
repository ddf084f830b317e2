package cloudsim

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/govalues/decimal"
)

// Permissions about terminal payments. The vendor's page shows the first two; the third is this simulator's guess.
const (
	MakeSaleTerminalPayment      Permission = "MakeSaleTerminalPayment"
	MakeRefundTerminalPayment    Permission = "MakeRefundTerminalPayment"
	MakeAuthorizeTerminalPayment Permission = "MakeAuthorizeTerminalPayment"
)

// Steps of terminal payments, as Options.OnTerminalStep hears them. What is done stays done if the answer is lost.
const (
	StepStartReceived    = "start-received"
	StepStartDone        = "start-done"
	StepContinueReceived = "continue-received"
	StepContinueDone     = "continue-done"
	StepCaptureReceived  = "capture-received"
	StepCaptureDone      = "capture-done"
)

// TerminalPlay is what the terminal, its customer and the bank do in a payment. The zero value approves after one wait.
type TerminalPlay struct {
	Decline    bool          `json:"decline"`    // the bank refuses
	DeclineAs  string        `json:"declineAs"`  // with Decline: as an error of this code, "" as a payment of status Declined
	Cancel     bool          `json:"cancel"`     // the customer presses stop
	Partial    string        `json:"partial"`    // approves this much
	After      time.Duration `json:"-"`          // the payment ends that much later; until then there are continuations
	Garbled    bool          `json:"garbled"`    // charged, but the payment has a status that nobody knows
	FullPAN    bool          `json:"fullPan"`    // the card number stands unmasked, as it never should
	AtOnce     bool          `json:"atOnce"`     // start answers with the payment, without a continuation
	LoseAnswer bool          `json:"loseAnswer"` // the first answer to continue is an error of unknown cause
}

// TerminalPayment is one execution of terminalPayment.start. Two with one refNo are two payments.
type TerminalPayment struct {
	ID       string `json:"id"`
	Terminal string `json:"terminal"`
	Type     string `json:"type"`
	Amount   string `json:"amount"` // what moved, or what is reserved by an AUTH
	RefNo    string `json:"refNo"`
	Status   string `json:"status"` // Running, Approved, Authorized, Captured, Declined or Cancelled
	Asked    int    `json:"asked"`  // executions of continue
}

// terminalPayment is the simulator's own record; its lock guards it.
type terminalPayment struct {
	TerminalPayment
	play TerminalPlay
	due  time.Time
}

// PlayTerminal sets what happens in all payments from now on.
func (s *Sim) PlayTerminal(p TerminalPlay) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.play = p
}

// TerminalLedger returns every terminal payment in the order of execution.
func (s *Sim) TerminalLedger() []TerminalPayment {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]TerminalPayment, 0, len(s.taken))
	for _, p := range s.taken {
		p.advance(s.opts.Now())
		list = append(list, p.TerminalPayment)
	}
	return list
}

// advance ends a payment whose time has come.
func (p *terminalPayment) advance(now time.Time) {
	if p.Status != "Running" || now.Before(p.due) {
		return
	}
	switch {
	case p.play.Decline:
		p.Status = "Declined"
	case p.play.Cancel:
		p.Status = "Cancelled"
	case p.Type == "AUTH":
		p.Status = "Authorized"
	default:
		p.Status = "Approved"
	}
	if p.play.Partial != "" {
		p.Amount = p.play.Partial
	}
}

// terminalInput keeps the arguments of the terminal mutations.
type terminalInput map[string]any

// ImplementsGraphQLType tells the schema which input types are kept this way.
func (terminalInput) ImplementsGraphQLType(name string) bool {
	return strings.HasPrefix(name, "SimLane") && name != "SimLaneKind"
}

// UnmarshalGraphQL takes the argument as the query engine read it.
func (f *terminalInput) UnmarshalGraphQL(input any) error {
	m, ok := input.(map[string]any)
	if !ok {
		return invalid("Payment", "ObjectValidator", "not an object")
	}
	*f = m
	return nil
}

type laneAnswer struct {
	Payment      *lanePayment
	Continuation *laneContinuation
}

type lanePayment struct {
	ID, Status, AuthCode, CardType, MaskedCard *string
	Amount                                     *Number
}

type laneContinuation struct {
	ID     *string
	WaitMs *int32
}

// laneWrites resolves what is below terminalPayment.
type laneWrites struct{ sim *Sim }

// TerminalPayment resolves the group of mutations.
func (w writes) TerminalPayment() *laneWrites { return &laneWrites{w.sim} }

func (s *Sim) step(name string) {
	if s.opts.OnTerminalStep != nil {
		s.opts.OnTerminalStep(name)
	}
}

// Start begins a payment.
func (w laneWrites) Start(_ context.Context, args struct{ Payment terminalInput }) (*laneAnswer, error) {
	s, in := w.sim, fields(args.Payment)
	s.step(StepStartReceived)
	defer s.step(StepStartDone)
	kind := text(in, "type")
	need := map[string]Permission{"SALE": MakeSaleTerminalPayment, "REFUND": MakeRefundTerminalPayment, "AUTH": MakeAuthorizeTerminalPayment}[kind]
	if err := s.need(need); err != nil {
		return nil, err
	}
	amount, err := decimal.Parse(text(in, "amount"))
	if err != nil || !amount.IsPos() {
		return nil, invalid("Amount", "RangeValidator", "'Amount' must be greater than zero.")
	}
	if !slices.Contains(s.opts.Terminals, text(in, "terminalId")) {
		return nil, invalid("TerminalId", "ExistsValidator", "There is no such terminal.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &terminalPayment{play: s.play, due: s.opts.Now().Add(s.play.After), TerminalPayment: TerminalPayment{
		ID: "TP" + strconv.Itoa(len(s.taken)+1), Terminal: text(in, "terminalId"), Type: kind, Amount: money(amount),
		RefNo: text(in, "refNo"), Status: "Running",
	}}
	s.taken = append(s.taken, p)
	p.advance(s.opts.Now())
	if p.play.AtOnce {
		return s.result(p)
	}
	return p.wait(), nil
}

// wait asks to come back.
func (p *terminalPayment) wait() *laneAnswer {
	id, ms := "c-"+p.ID, int32(750)
	return &laneAnswer{Continuation: &laneContinuation{ID: &id, WaitMs: &ms}}
}

// result is what a payment has come to. The lock is held.
func (s *Sim) result(p *terminalPayment) (*laneAnswer, error) {
	p.advance(s.opts.Now())
	if p.Status == "Running" {
		return p.wait(), nil
	}
	if p.Status == "Declined" && p.play.DeclineAs != "" {
		return nil, &refusal{p.play.DeclineAs, "The payment was declined.", nil}
	}
	const pan = "4111111111111111"
	id, status, amount := p.ID, p.Status, Number(p.Amount)
	code, brand, card := "A0"+strings.TrimPrefix(p.ID, "TP"), "VISA", "************"+pan[12:]
	if p.play.FullPAN {
		card, code, brand = pan, code+" "+pan, brand+" "+pan
	}
	if p.play.Garbled {
		status = "Flurble"
	}
	return &laneAnswer{Payment: &lanePayment{ID: &id, Status: &status, AuthCode: &code, CardType: &brand, MaskedCard: &card, Amount: &amount}}, nil
}

// Continue tells how a payment stands. It may be asked again and again.
func (w laneWrites) Continue(_ context.Context, args struct{ Payment terminalInput }) (*laneAnswer, error) {
	s := w.sim
	s.step(StepContinueReceived)
	defer s.step(StepContinueDone)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.taken, func(p *terminalPayment) bool { return "c-"+p.ID == text(fields(args.Payment), "continuationId") })
	if i < 0 {
		return nil, invalid("ContinuationId", "ExistsValidator", "There is no such payment.")
	}
	p := s.taken[i]
	p.Asked++
	if p.play.LoseAnswer && p.Asked == 1 {
		return nil, &refusal{"FUSION_ERROR", "Something went wrong.", nil}
	}
	return s.result(p)
}

// Capture collects what was authorized, or part of it, once.
func (w laneWrites) Capture(_ context.Context, args struct{ Payment terminalInput }) (*laneAnswer, error) {
	s, in := w.sim, fields(args.Payment)
	s.step(StepCaptureReceived)
	defer s.step(StepCaptureDone)
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.taken, func(p *terminalPayment) bool { return p.ID == text(in, "paymentId") })
	if i < 0 {
		return nil, invalid("PaymentId", "ExistsValidator", "There is no such payment.")
	}
	p := s.taken[i]
	if p.Status != "Authorized" {
		return nil, invalid("PaymentId", "StateValidator", "The payment is not authorized.")
	}
	held, err := decimal.Parse(p.Amount)
	if err != nil {
		return nil, err
	}
	amount, err := decimal.Parse(text(in, "amount"))
	if err != nil || !amount.IsPos() || amount.Cmp(held) > 0 {
		return nil, invalid("Amount", "RangeValidator", "'Amount' is not within what is held.")
	}
	if s.play.Decline {
		p.play = s.play
		id, status, no := p.ID, "Declined", Number(money(amount))
		return &laneAnswer{Payment: &lanePayment{ID: &id, Status: &status, Amount: &no}}, nil
	}
	p.Status, p.Amount, p.play = "Captured", money(amount), s.play
	return s.result(p)
}
