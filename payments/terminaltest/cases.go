package terminaltest

import (
	"errors"
	"slices"
	"strings"
	"testing/synctest"

	"storeagent/payments"
	"storeagent/payments/money"
)

func approve(b *bench) {
	a := b.pay("10.16")
	o := a.p.Told
	if o.ApprovedAmount.Cmp(a.p.Amount) != 0 || o.ApprovedAmount.Currency() != b.h.Currency {
		b.Errorf("approved %s %s", o.ApprovedAmount, o.ApprovedAmount.Currency())
	}
	if !b.h.Bare && (o.Last4 != TestPAN[12:] || o.CardBrand == "" || o.TerminalReference == "" || o.ApprovalCode == "") {
		b.Errorf("outcome lacks something: %+v", o)
	}
	if a.order[0] != "sending" || slices.Index(a.order, "outcome") < 0 {
		b.Errorf("order of events: %v", a.order)
	}
	if b.term.Caps().PrintsByUs && (len(a.p.Receipt.Customer) == 0 || len(a.p.Receipt.Merchant) == 0) {
		b.Errorf("receipt: %+v", a.p.Receipt)
	}
	if c := b.h.Charges(); len(c) != 1 || c[0].Minor != 1016 || c[0].Refund {
		b.Errorf("ledger: %+v", c)
	}
}

func decline(b *bench) {
	b.h.Next(Decline)
	a := b.attempt(payments.Sale, "5.00")
	if state := a.settle(a.do(), false); state != payments.Declined {
		b.Errorf("state %s", state)
	}
	if d := a.p.Told; d == nil || d.Decline == nil || d.Decline.Code == "" || d.Decline.Message == "" {
		b.Errorf("no reason: %+v", a.p.Told)
	}
	b.h.Next(Approve)
	b.pay("5.00")
}

func customerCancels(b *bench) {
	b.h.Next(CancelCard)
	a := b.attempt(payments.Sale, "5.00")
	want := payments.Canceled
	if b.h.Bare {
		want = payments.Declined
	}
	if state := a.settle(a.do(), false); state != want {
		b.Errorf("state %s", state)
	}
}

func prompts(b *bench) {
	b.h.Next(WrongPIN)
	a := b.pay("7.00")
	at := slices.IndexFunc(a.prompts, func(p payments.Prompt) bool { return p.Code == "wrong_pin" })
	if b.h.Silent && len(a.prompts) > 0 {
		at = 0
	}
	if at < 0 || a.prompts[0].Code != "insert_card" || a.prompts[at].Text == "" {
		b.Errorf("prompts: %+v", a.prompts)
	}
}

func masked(b *bench) {
	b.h.Next(Leaky)
	a := b.pay("7.00")
	if a.p.Told.Last4 != TestPAN[12:] && !b.h.Bare {
		b.Errorf("last4 %q", a.p.Told.Last4)
	}
	if all := strings.Join(append(a.p.Receipt.Customer, a.p.Receipt.Merchant...), "\n"); b.term.Caps().PrintsByUs && !strings.Contains(all, TestPAN[12:]) {
		b.Errorf("slip lost the last four digits:\n%s", all)
	}
}

func twice(b *bench) {
	b.h.Next(Twice)
	if a := b.pay("7.00"); strings.Count(strings.Join(a.order, " "), "outcome") != 1 {
		b.Errorf("order of events: %v", a.order)
	}
}

func noisy(b *bench) {
	b.h.Next(NoisyLine)
	b.pay("7.00")
	b.pay("8.00")
}

// part: what was approved is said, and nothing else stands.
func part(b *bench) {
	if b.h.Bare {
		return // the protocol answers with the amount that was asked for
	}
	b.h.Next(Part)
	a := b.pay("20.00")
	if got := a.p.Told.ApprovedAmount; got.String() != "7.00" {
		b.Errorf("approved %s", got)
	}
	if c := b.h.Charges(); len(c) != 1 || c[0].Minor != 700 {
		b.Errorf("ledger: %+v", c)
	}
}

func stalls(b *bench) {
	b.h.Next(Stalls)
	b.pay("7.00")
	b.h.Next(Approve)
	b.pay("7.00")
}

func refund(b *bench) {
	a := b.attempt(payments.Refund, "3.20")
	if !b.term.Caps().Refund {
		if err := a.do(); !errors.Is(err, payments.ErrNotSent) || !errors.Is(err, payments.ErrUnsupported) {
			b.Errorf("refund without the capability: %v", err)
		}
		return
	}
	if state := a.settle(a.do(), false); state != payments.Approved {
		b.Errorf("state %s", state)
	}
	if c := b.h.Charges(); len(c) != 1 || !c[0].Refund || c[0].Minor != 320 {
		b.Errorf("ledger: %+v", c)
	}
}

// tipAtStart: the terminal charges amount and tip in one, and knows which is which.
func tipAtStart(b *bench) {
	a := b.attempt(payments.Sale, "20.00")
	tip, err := money.Parse("3.00", b.h.Currency)
	if err != nil {
		b.Fatal(err)
	}
	a.p.TipAtStart = &tip
	if !b.term.Caps().TipAtStart {
		if err := a.do(); !errors.Is(err, payments.ErrNotSent) || !errors.Is(err, payments.ErrUnsupported) || b.h.Asked() != 0 {
			b.Errorf("tip without the capability: %v, asked %d times", err, b.h.Asked())
		}
		return
	}
	if state := a.settle(a.do(), false); state != payments.Approved {
		b.Fatalf("state %s", state)
	}
	if got := a.p.Told.ApprovedAmount; got.String() != "23.00" {
		b.Errorf("approved %s of 20.00 and a tip of 3.00", got)
	}
	if c := b.h.Charges(); len(c) != 1 || c[0].Minor != 2300 || c[0].Tip != 300 {
		b.Errorf("ledger: %+v", c)
	}
}

// abortOnPrompt asks for the abort from another goroutine as soon as the terminal shows life.
func abortOnPrompt(b *bench, a *attempt) chan error {
	asked := make(chan error, 1)
	a.onPrompt = func() { go func() { asked <- b.term.Abort(b.ctx) }() }
	return asked
}

func abort(b *bench) {
	if !b.term.Caps().Cancel {
		return
	}
	b.h.Next(Wait)
	a := b.attempt(payments.Sale, "5.00")
	asked := abortOnPrompt(b, a)
	if state := a.settle(a.do(), false); state != payments.Canceled {
		b.Errorf("state %s", state)
	}
	if err := <-asked; err != nil {
		b.Errorf("Abort: %v", err)
	}
	b.h.Next(Approve)
	b.pay("5.00") // the abort must not reach into the next payment
}

func race(b *bench) {
	if !b.term.Caps().Cancel {
		return
	}
	b.h.Next(Race)
	a := b.attempt(payments.Sale, "5.00")
	asked := abortOnPrompt(b, a)
	if state := a.settle(a.do(), false); state != payments.Approved {
		b.Errorf("state %s", state)
	}
	if err := <-asked; err != nil {
		b.Errorf("Abort: %v", err)
	}
}

func abortIdle(b *bench) {
	want := payments.ErrState
	if !b.term.Caps().Cancel {
		want = payments.ErrUnsupported
	}
	if err := b.term.Abort(b.ctx); !errors.Is(err, want) {
		b.Errorf("Abort without a payment: %v", err)
	}
	b.pay("1.00")
}

func status(b *bench) {
	st, err := b.term.Status(b.ctx)
	if err != nil || st.Text == "" {
		b.Errorf("Status: %+v, %v", st, err)
	}
	if b.h.Asked() != 0 {
		b.Error("status moved money")
	}
}

func commitFirst(b *bench) {
	if b.h.Acknowledged == nil {
		return
	}
	a := b.pay("9.00")
	synctest.Wait() // until the terminal too has read it
	if a.ackedAt != 0 || b.h.Acknowledged() != 1 {
		b.Errorf("acknowledged results: %d at the commit, %d at the end", a.ackedAt, b.h.Acknowledged())
	}
}

func sendingRefused(b *bench) {
	a := b.attempt(payments.Sale, "9.00")
	a.fail = "sending"
	if err := a.do(); !errors.Is(err, payments.ErrNotSent) || !errors.Is(err, errDisk) {
		b.Errorf("Do: %v", err)
	}
	if b.h.Asked() != 0 {
		b.Error("the money command left before it was committed")
	}
	b.pay("9.00")
}

func outcomeRefused(b *bench) {
	b.pay("9.00")
	synctest.Wait() // until the terminal too has read it
	acked := 0
	if b.h.Acknowledged != nil {
		acked = b.h.Acknowledged()
	}
	a := b.attempt(payments.Sale, "9.00")
	a.fail = "outcome"
	err := a.do()
	if err == nil || errors.Is(err, payments.ErrNotSent) || !errors.Is(err, errDisk) {
		b.Fatalf("Do: %v", err)
	}
	b.ready()
	a.settle(err, false)
	if b.h.Acknowledged != nil && b.h.Acknowledged() != acked {
		b.Error("acknowledged an outcome that is not on disk")
	}
	b.pay("9.00")
}

func receiptRefused(b *bench) {
	if !b.term.Caps().PrintsByUs {
		return
	}
	b.pay("9.00")
	a := b.attempt(payments.Sale, "9.00")
	a.fail = "receipt"
	err := a.do()
	if err == nil || errors.Is(err, payments.ErrNotSent) {
		b.Fatalf("Do: %v", err)
	}
	b.ready()
	a.settle(err, false)
}

func busy(b *bench) {
	b.h.Next(Wait)
	a := b.attempt(payments.Sale, "5.00")
	second := make(chan error, 1)
	a.onPrompt = func() {
		go func() {
			second <- b.attempt(payments.Sale, "6.00").do()
			_ = b.term.Abort(b.ctx) // ends the first one soon; else its own time limit does
		}()
	}
	first := a.do()
	if err := <-second; !errors.Is(err, payments.ErrTerminalBusy) || !errors.Is(err, payments.ErrNotSent) {
		b.Errorf("second payment: %v", err)
	}
	a.settle(first, false)
	if b.h.Asked() != 1 {
		b.Errorf("%d money commands", b.h.Asked())
	}
}

func offline(b *bench) {
	b.end()
	a := b.attempt(payments.Sale, "5.00")
	a.b = &bench{T: b.T, h: b.h, term: b.h.Restart(), ctx: b.Context()}
	if err := a.do(); !errors.Is(err, payments.ErrNotSent) {
		b.Errorf("Do without a line: %v", err)
	}
	if v, _, err := a.b.term.Recover(b.Context(), a.p.Attempt()); err == nil || v != payments.Unknown {
		b.Errorf("Recover without a line: %v, %v", v, err)
	}
	if len(a.order) != 0 || b.h.Asked() != 0 {
		b.Errorf("events without a line: %v", a.order)
	}
}

func unsupported(b *bench) {
	a := b.attempt(payments.Preauth, "5.00")
	if b.term.Caps().Preauth {
		if state := a.settle(a.do(), false); state != payments.Approved {
			b.Errorf("state %s", state)
		}
		return
	}
	if err := a.do(); !errors.Is(err, payments.ErrNotSent) || !errors.Is(err, payments.ErrUnsupported) {
		b.Errorf("Do: %v", err)
	}
}

func late(b *bench) {
	b.pay("4.00")
	b.h.Next(Late)
	a := b.attempt(payments.Sale, "4.00")
	err := a.do()
	if err == nil || errors.Is(err, payments.ErrNotSent) {
		b.Fatalf("Do: %v, %+v", err, a.p.Told)
	}
	a.settle(err, false)
	b.h.Next(Approve)
	b.ready()
	b.pay("4.00")
}

func unreadable(b *bench) {
	b.pay("4.00")
	b.h.Next(Unreadable)
	a := b.attempt(payments.Sale, "4.00")
	err := a.do()
	if err == nil || errors.Is(err, payments.ErrNotSent) {
		b.Fatalf("Do: %v, %+v", err, a.p.Told)
	}
	if state := a.settle(err, false); state != payments.Approved && !b.tellsNothing() {
		b.Errorf("state %s", state)
	}
}

func ackLost(b *bench) {
	b.pay("4.00")
	b.h.Next(AckIsLost)
	a := b.attempt(payments.Sale, "4.00")
	a.settle(a.do(), false)
	b.h.Next(Approve)
	b.ready()
	b.pay("4.00")
}

// recoverFirst asks about a payment that never reached a terminal without any history.
func recoverFirst(b *bench) {
	a := b.attempt(payments.Sale, "4.00")
	if state := a.recover(); state != payments.Unresolved && state != payments.Failed {
		b.Errorf("state %s", state)
	}
}

// cut breaks the line at one step. Without history a driver may not know; with it, it must.
func cut(b *bench, step string, history bool) {
	if history {
		b.pay("12.00")
		synctest.Wait() // the terminal too is through with it
	}
	b.h.CutAt(step)
	a := b.attempt(payments.Sale, "12.00")
	err := a.do()
	synctest.Wait()
	if errors.Is(err, payments.ErrNotSent) {
		b.Fatalf("line cut at %s, yet certainly not sent: %v", step, err)
	}
	b.ready()
	a.settle(err, !history)
	b.ready()
	b.pay("12.00")
}

// cutRecovery breaks the line while the terminal is asked: an error, never a verdict, and the next question works.
func cutRecovery(b *bench, step string) {
	b.pay("12.00")
	b.h.Next(Unreadable)
	a := b.attempt(payments.Sale, "12.00")
	err := a.do()
	synctest.Wait()
	b.h.CutAt(step)
	if v, _, err := b.term.Recover(b.ctx, a.p.Attempt()); err == nil || v != payments.Unknown {
		b.Errorf("verdict %d over a cut line (%v)", v, err)
	}
	if state := a.settle(err, false); state != payments.Approved {
		b.Errorf("state %s", state)
	}
}

// stop ends the agent at one step and asks after its restart.
func stop(b *bench, step string) {
	b.pay("12.00")
	synctest.Wait() // the terminal too is through with it
	end := b.end
	b.h.At(step, func() { go end() })
	a := b.attempt(payments.Sale, "12.00")
	err := a.do()
	if errors.Is(err, payments.ErrNotSent) {
		b.Fatalf("agent stopped at %s, yet certainly not sent: %v", step, err)
	}
	end()
	synctest.Wait()
	b.start(b.h.Restart())
	a.b = b
	a.settle(err, false)
	b.ready()
	b.pay("12.00")
}
