// Package terminaltest is the suite that every payments.Terminal must pass: what it may commit, acknowledge and claim
// at each step of a payment, with the line cut, the agent stopped or the disk refusing at any of them.
//
// It is called by the tests of the protocol drivers and imports payments and testing, no driver and no simulator.
// Every case runs in a synctest bubble, so a harness may not use real sockets or devices.
package terminaltest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/payments"
	"storeagent/payments/money"
)

// Behaviour is what the simulated terminal does in its next payment.
type Behaviour string

// The behaviours a Harness must know. All of them ask for a card first, where the protocol shows that.
const (
	Approve    Behaviour = "approve"
	Decline    Behaviour = "decline"     // the bank refuses
	CancelCard Behaviour = "cancel"      // the customer presses stop
	WrongPIN   Behaviour = "wrong pin"   // then the right one
	Wait       Behaviour = "wait"        // for a card that never comes; an abort is taken
	Race       Behaviour = "race"        // an abort is taken, but the bank was faster
	Late       Behaviour = "late"        // the approval comes long after every time limit of the driver
	Part       Behaviour = "part"        // approves 7.00 of whatever is asked
	Stalls     Behaviour = "stalls"      // the answer stops in the middle for a second
	Unreadable Behaviour = "unreadable"  // charged, but what should be the result is nonsense
	Leaky      Behaviour = "leaky"       // approves, with card number 4111111111111111 unmasked wherever it fits
	Twice      Behaviour = "twice"       // the result is sent twice
	NoisyLine  Behaviour = "noisy line"  // approves over a line that loses and garbles
	AckIsLost  Behaviour = "ack is lost" // the acknowledgement of the approval does not arrive
)

// TestPAN is the card number that must never be seen.
const TestPAN = "4111111111111111"

// Charge is one entry of the simulated terminal's ledger.
type Charge struct {
	Minor    int64
	Refund   bool
	Tip      int64 // part of Minor
	Preauth  bool  // only reserved
	Standing bool  // the money moved and was not taken back
}

// Harness is a driver with its simulated terminal. All functions are safe for concurrent use.
type Harness struct {
	Terminal     payments.Terminal        // Run was not called
	Restart      func() payments.Terminal // a new driver for the same terminal, as after a restart of the agent
	Currency     string
	Next         func(b Behaviour)           // all payments from now on
	Steps        []string                    // steps of a payment, in order
	FollowSteps  []string                    // steps that a void, capture or tip passes; nil for Steps
	AskSteps     []string                    // steps of a recovery, in order
	CutAt        func(step string)           // cuts the line once, when the terminal gets there
	At           func(step string, f func()) // calls f once, when the terminal gets there
	Charges      func() []Charge
	Asked        func() int // money commands that reached the terminal
	Acknowledged func() int // results the driver acknowledged; nil where the protocol has no acknowledgement
	Silent       bool       // the protocol shows no progress: the driver's one prompt asks for the card
	Bare         bool       // besides, the protocol gives amount and result only: no card, no numbers, and a stop is a refusal
}

// Suite runs every case against harnesses made by open, which may register cleanups.
func Suite(t *testing.T, open func(t *testing.T) Harness) {
	cases := []struct {
		name string
		run  func(b *bench)
	}{
		{"approve", approve}, {"decline", decline}, {"customer cancels", customerCancels}, {"prompts", prompts},
		{"slips are masked", masked}, {"result sent twice", twice}, {"noisy line", noisy},
		{"partial approval", part}, {"answer stops in the middle", stalls}, {"refund", refund},
		{"abort", abort}, {"abort loses the race", race}, {"abort without payment", abortIdle}, {"status", status},
		{"commit before acknowledge", commitFirst}, {"sending refused", sendingRefused},
		{"outcome not committed", outcomeRefused}, {"receipt not committed", receiptRefused},
		{"tip with the payment", tipAtStart},
		{"busy", busy}, {"offline", offline}, {"preauth unsupported", unsupported},
		{"late answer", late}, {"unreadable answer", unreadable}, {"lost acknowledgement", ackLost},
		{"recover before anything", recoverFirst},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { inBubble(t, open, c.run) })
	}
	h := open(t)
	followSuite(func(name string, f func(*bench)) {
		t.Run(name, func(t *testing.T) { inBubble(t, open, f) })
	}, h.Steps, h.FollowSteps)
	for _, step := range h.AskSteps {
		t.Run("line cut in recovery at "+step, func(t *testing.T) {
			inBubble(t, open, func(b *bench) { cutRecovery(b, step) })
		})
	}
	for _, step := range h.Steps {
		t.Run("line cut at "+step, func(t *testing.T) { inBubble(t, open, func(b *bench) { cut(b, step, false) }) })
		t.Run("line cut at "+step+" after an equal payment", func(t *testing.T) {
			inBubble(t, open, func(b *bench) { cut(b, step, true) })
		})
		t.Run("agent stops at "+step, func(t *testing.T) { inBubble(t, open, func(b *bench) { stop(b, step) }) })
	}
}

// bench is one running driver.
type bench struct {
	*testing.T
	h    Harness
	term payments.Terminal
	ctx  context.Context
	end  func() // stops the driver and waits for it
	n    int
}

func inBubble(t *testing.T, open func(t *testing.T) Harness, f func(*bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, h: open(t)}
		b.start(b.h.Terminal)
		defer func() { b.end() }()
		f(b)
	})
}

func (b *bench) start(term payments.Terminal) {
	ctx, cancel := context.WithCancel(b.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := term.Run(ctx); err != nil {
			b.Errorf("Run: %v", err)
		}
	})
	b.term, b.ctx = term, ctx
	b.end = func() { cancel(); wg.Wait() }
	b.ready()
}

// ready waits for the driver to reach its terminal.
func (b *bench) ready() {
	b.Helper()
	for range 10_000 {
		if b.term.Info().State == devices.Ready {
			return
		}
		<-time.After(100 * time.Millisecond)
	}
	b.Fatalf("terminal does not become ready: %+v", b.term.Info())
}

// tellsNothing is true for a terminal that cannot be asked how a payment ended.
func (b *bench) tellsNothing() bool { return b.term.Caps().LastQuery == "none" }

// attempt is one payment with what the driver reported of it.
type attempt struct {
	b *bench
	p payments.Payment

	mu       sync.Mutex
	order    []string
	prompts  []payments.Prompt
	onPrompt func()
	fail     string      // the event that the disk refuses: sending, outcome or receipt
	standing int         // charges that stood before
	changed  func() bool // of a follow-up: whether the ledger shows it
	ackedAt  int         // acknowledged results when the outcome was committed
}

var errDisk = errors.New("disk refuses")

func (b *bench) attempt(typ payments.Type, amount string) *attempt {
	a, err := money.Parse(amount, b.h.Currency)
	if err != nil {
		b.Fatal(err)
	}
	b.n++
	return &attempt{b: b, standing: b.standing(), p: payments.Payment{
		ID: fmt.Sprint("p", b.n), Ref: NewRef(), Type: typ, Amount: a, Currency: b.h.Currency, Terminal: b.term.Info().Name,
		CreatedAt: time.Now(), State: payments.Created,
	}}
}

func (b *bench) standing() int {
	n := 0
	for _, c := range b.h.Charges() {
		if c.Standing {
			n++
		}
	}
	return n
}

func (a *attempt) note(event string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.order = append(a.order, event)
	if a.fail == event {
		return errDisk
	}
	return nil
}

// Sending implements payments.Events.
func (a *attempt) Sending(base payments.Baseline) error {
	if err := a.note("sending"); err != nil {
		return err
	}
	a.p.State, a.p.Baseline = payments.Processing, base
	return nil
}

// Prompt implements payments.Events.
func (a *attempt) Prompt(p payments.Prompt) {
	a.mu.Lock()
	a.prompts = append(a.prompts, p)
	f := a.onPrompt
	a.onPrompt = nil
	a.mu.Unlock()
	if f != nil {
		f()
	}
}

// CommitOutcome implements payments.Events.
func (a *attempt) CommitOutcome(o payments.Outcome) error {
	if a.b.h.Acknowledged != nil {
		a.ackedAt = a.b.h.Acknowledged()
	}
	if err := a.note("outcome"); err != nil {
		return err
	}
	a.p.Told = &o
	return nil
}

// CommitReceipt implements payments.Events.
func (a *attempt) CommitReceipt(r payments.Receipt) error {
	if err := a.note("receipt"); err != nil {
		return err
	}
	a.p.Receipt = r
	return nil
}

func (a *attempt) do() error {
	return a.b.term.Do(a.b.ctx, a.p.Attempt().Txn, a)
}

// moved is true where this payment's money stands in the ledger.
func (a *attempt) moved() bool {
	if a.changed != nil {
		return a.changed()
	}
	switch n := a.b.standing() - a.standing; n {
	case 0, 1:
		return n == 1
	default:
		a.b.Fatalf("one payment moved money %d times: %+v", n, a.b.h.Charges())
		return false
	}
}

// settle finishes a payment as the worker of payments does, and holds what comes out against the ledger. mayBeUnknown
// allows that a person must look. It gives the end state.
func (a *attempt) settle(err error, mayBeUnknown bool) payments.State {
	a.b.Helper()
	told := a.p.Told
	mayBeUnknown = mayBeUnknown || a.b.tellsNothing()
	var state payments.State
	switch {
	case told != nil && told.State != payments.Approved:
		state = told.State
	case told != nil && err == nil:
		state = payments.Approved
	case told == nil && errors.Is(err, payments.ErrNotSent):
		state = payments.Failed
	case err == nil:
		a.b.Fatal("Do returned nil without an outcome")
	default:
		state = a.recover()
	}
	moved := a.moved()
	switch {
	case state == payments.Unresolved && mayBeUnknown:
	case state == payments.Unresolved:
		a.b.Fatalf("terminal could tell, but recovery does not know (Do: %v)", err)
	case moved != (state == payments.Approved):
		a.b.Fatalf("state %s, but the terminal's money moved: %v (Do: %v, ledger %+v)", state, moved, err, a.b.h.Charges())
	}
	return state
}

// recover asks until the terminal answers.
func (a *attempt) recover() payments.State {
	a.b.Helper()
	var err error
	for range 1000 {
		var v payments.Verdict
		var out payments.Outcome
		v, out, err = a.b.term.Recover(a.b.ctx, a.p.Attempt())
		switch {
		case err != nil:
			<-time.After(time.Second)
		case v == payments.Known:
			return out.State
		case v == payments.NotCharged && a.p.Told != nil:
			return payments.Reversed
		case v == payments.NotCharged:
			return payments.Failed
		default:
			return payments.Unresolved
		}
	}
	a.b.Fatalf("cannot recover: %v", err)
	return ""
}

// seen is everything the driver said, to look for what it must not say.
func (a *attempt) seen() string {
	return fmt.Sprintf("%+v %+v %+v %+v", a.p, a.p.Told, a.prompts, a.b.term.Info())
}

// pay makes one payment that must be approved.
func (b *bench) pay(amount string) *attempt {
	b.Helper()
	a := b.attempt(payments.Sale, amount)
	if err := a.do(); err != nil || a.p.Told == nil || a.p.Told.State != payments.Approved {
		b.Fatalf("payment of %s: %v, %+v", amount, err, a.p.Told)
	}
	if a.settle(nil, false); strings.Contains(a.seen(), TestPAN) {
		b.Fatalf("card number seen: %s", a.seen())
	}
	return a
}
