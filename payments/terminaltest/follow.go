package terminaltest

import (
	"errors"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"storeagent/payments"
	"storeagent/payments/money"
)

// followUps are the kinds that work on an earlier payment.
var followUps = []payments.Kind{payments.DoVoid, payments.DoCapture, payments.DoCancelPreauth, payments.DoTip}

// original is what an approved attempt is called by when something follows up on it.
func (a *attempt) original(kind payments.Kind) *payments.Original {
	told := a.p.Told
	return &payments.Original{
		Kind: kind, Ref: a.p.Ref, Amount: told.ApprovedAmount, At: a.p.CreatedAt, Receipt: told.Baseline.Receipt,
		Trace: told.Baseline.Trace, ApprovalCode: told.ApprovalCode, Reference: told.Reference,
	}
}

// follow makes an attempt that works on an earlier one. What it does to the ledger is known beforehand.
func (b *bench) follow(kind payments.Kind, o *payments.Original, amount string, effect func(c *Charge)) *attempt {
	b.Helper()
	a := b.attempt(payments.Type(kind), amount)
	a.p.Original = o
	before := b.h.Charges()
	after := slices.Clone(before)
	effect(&after[len(after)-1])
	a.changed = func() bool {
		switch now := b.h.Charges(); {
		case slices.Equal(now, before):
			return false
		case slices.Equal(now, after):
			return true
		default:
			b.Fatalf("%s left the ledger as %+v; before it was %+v", kind, now, before)
			return false
		}
	}
	return a
}

// begin makes what kind works on, and the attempt that does it.
func (b *bench) begin(kind payments.Kind) *attempt {
	b.Helper()
	switch kind {
	case payments.DoCapture:
		return b.follow(kind, b.reserve("20.00").original(payments.DoPreauth), "13.70", func(c *Charge) { c.Minor, c.Preauth = 1370, false })
	case payments.DoCancelPreauth:
		return b.follow(kind, b.reserve("20.00").original(payments.DoPreauth), "20.00", func(c *Charge) { c.Standing = false })
	case payments.DoTip:
		return b.follow(kind, b.pay("20.00").original(payments.DoSale), "2.00", func(c *Charge) { c.Minor, c.Tip = c.Minor+200, c.Tip+200 })
	}
	return b.follow(kind, b.pay("20.00").original(payments.DoSale), "20.00", func(c *Charge) { c.Standing = false })
}

// reserve makes a preauth that must be approved.
func (b *bench) reserve(amount string) *attempt {
	b.Helper()
	a := b.attempt(payments.Preauth, amount)
	if state := a.settle(a.do(), false); state != payments.Approved {
		b.Fatalf("preauth of %s: %s", amount, state)
	}
	if c := b.h.Charges(); !c[len(c)-1].Preauth {
		b.Fatalf("a preauth was booked at once: %+v", c)
	}
	return a
}

// offers is true where the driver claims to do kind and what it works on.
func (b *bench) offers(kind payments.Kind) bool {
	caps := b.term.Caps()
	switch kind {
	case payments.DoCapture, payments.DoCancelPreauth:
		return caps.Can(kind) && caps.Preauth
	}
	return caps.Can(kind)
}

func follows(b *bench, kind payments.Kind) {
	if !b.offers(kind) {
		asked := b.h.Asked()
		a := b.attempt(payments.Type(kind), "1.00")
		amount, err := money.Parse("1.00", b.h.Currency)
		if err != nil {
			b.Fatal(err)
		}
		a.p.Original = &payments.Original{Kind: payments.DoSale, Amount: amount, Receipt: "0001", Trace: "000001", Reference: "x"}
		if err := a.do(); !errors.Is(err, payments.ErrNotSent) || !errors.Is(err, payments.ErrUnsupported) {
			b.Errorf("%s without the capability: %v", kind, err)
		}
		if b.h.Asked() != asked || len(a.order) != 0 {
			b.Error("something was sent all the same")
		}
		return
	}
	a := b.begin(kind)
	if state := a.settle(a.do(), false); state != payments.Approved {
		b.Fatalf("state %s, %+v", state, a.p.Told)
	}
	if got := a.p.Told.ApprovedAmount; got != (money.Amount{}) && got.Cmp(a.p.Amount) != 0 {
		b.Errorf("approved %s of %s", got, a.p.Amount)
	}
	if strings.Contains(a.seen(), TestPAN) {
		b.Errorf("card number seen: %s", a.seen())
	}
	b.pay("20.00")
}

// again asks twice for the same follow-up: the second one must not move money.
func again(b *bench, kind payments.Kind) {
	if !b.offers(kind) || kind == payments.DoTip { // a second tip is a tip
		return
	}
	a := b.begin(kind)
	if state := a.settle(a.do(), false); state != payments.Approved {
		b.Fatalf("state %s", state)
	}
	second := b.follow(kind, a.p.Original, a.p.Amount.String(), func(c *Charge) { c.Minor, c.Standing = 1, !c.Standing })
	if state := second.settle(second.do(), false); state == payments.Approved {
		b.Errorf("approved twice")
	}
}

func captureTooMuch(b *bench) {
	if !b.offers(payments.DoCapture) {
		return
	}
	o := b.reserve("5.00").original(payments.DoPreauth)
	a := b.follow(payments.DoCapture, o, "500.00", func(c *Charge) { c.Minor, c.Preauth = 50000, false })
	if state := a.settle(a.do(), false); state == payments.Approved {
		b.Error("captured a hundred times of what was reserved")
	}
}

func voidOfCapture(b *bench) {
	if !b.offers(payments.DoCapture) || !b.offers(payments.DoVoid) {
		return
	}
	a := b.begin(payments.DoCapture)
	if state := a.settle(a.do(), false); state != payments.Approved {
		b.Fatalf("state %s", state)
	}
	v := b.follow(payments.DoVoid, a.original(payments.DoCapture), a.p.Amount.String(), func(c *Charge) { c.Standing = false })
	if state := v.settle(v.do(), false); state != payments.Approved {
		b.Errorf("void of a captured preauth: %s, %+v", state, v.p.Told)
	}
}

// followCut breaks the line at one step of a follow-up.
func followCut(b *bench, kind payments.Kind, step string) {
	if !b.offers(kind) {
		return
	}
	a := b.begin(kind)
	synctest.Wait() // the terminal too is through with what came before
	b.h.CutAt(step)
	err := a.do()
	synctest.Wait()
	if errors.Is(err, payments.ErrNotSent) {
		b.Fatalf("line cut at %s, yet certainly not sent: %v", step, err)
	}
	b.ready()
	a.settle(err, false)
	b.ready()
	b.pay("20.00")
}

// followStop ends the agent at one step of a follow-up and asks after its restart.
func followStop(b *bench, kind payments.Kind, step string) {
	if !b.offers(kind) {
		return
	}
	a := b.begin(kind)
	synctest.Wait()
	end := b.end
	b.h.At(step, func() { go end() })
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
	b.pay("20.00")
}

// followUnacknowledged loses the acknowledgement of a follow-up's result, and then its commit.
func followUnacknowledged(b *bench, kind payments.Kind) {
	if !b.offers(kind) {
		return
	}
	a := b.begin(kind)
	b.h.Next(AckIsLost)
	a.settle(a.do(), false)
	b.h.Next(Approve)
	b.ready()
	a = b.begin(kind)
	a.fail = "outcome"
	err := a.do()
	if err == nil || errors.Is(err, payments.ErrNotSent) || !errors.Is(err, errDisk) {
		b.Fatalf("Do: %v", err)
	}
	b.ready()
	a.settle(err, false)
	b.pay("20.00")
}

func followDeclined(b *bench, kind payments.Kind) {
	if !b.offers(kind) {
		return
	}
	a := b.begin(kind)
	b.h.Next(Decline)
	// Some hosts take every void; the ledger tells whether what the driver says is true.
	if state := a.settle(a.do(), false); state != payments.Declined && state != payments.Approved {
		b.Errorf("state %s", state)
	}
}

// twin is two equal payments in a row, the second one in doubt: the first one's answer must not settle it.
func twin(b *bench, step string) {
	first := b.pay("8.00")
	synctest.Wait()
	b.h.CutAt(step)
	second := b.attempt(payments.Sale, "8.00")
	err := second.do()
	synctest.Wait()
	b.ready()
	if state := second.settle(err, false); state == payments.Approved && second.p.Told != nil && second.p.Told.Baseline == first.p.Told.Baseline && first.p.Told.Baseline.Known {
		b.Errorf("the second payment was told what the first one was: %+v", second.p.Told)
	}
}

// counts reads totals and closes a day: the terminal's figures must be the ledger's.
func counts(b *bench) {
	r, ok := b.term.(payments.Reconciler)
	if ok != b.term.Caps().EndOfDay && !ok {
		b.Fatal("EndOfDay without a Reconciler")
	}
	if !b.term.Caps().EndOfDay {
		return
	}
	b.pay("8.00")
	b.pay("2.50")
	if b.offers(payments.DoVoid) {
		a := b.begin(payments.DoVoid)
		if state := a.settle(a.do(), false); state != payments.Approved {
			b.Fatalf("void: %s", state)
		}
	}
	check := func(what string, got payments.Totals, err error, count int, amount string) {
		b.Helper()
		if errors.Is(err, payments.ErrNoTotals) || errors.Is(err, payments.ErrUnsupported) { // it closes, or reads, only
			return
		}
		if err != nil || got.Count != count || got.Amount.String() != amount {
			b.Errorf("%s: %+v, %v, want %d and %s", what, got, err, count, amount)
		}
	}
	before := b.h.Asked()
	got, err := r.Totals(b.ctx)
	check("totals", got, err, 2, "10.50")
	got, err = r.EndOfDay(b.ctx)
	check("end of day", got, err, 2, "10.50")
	got, err = r.Totals(b.ctx)
	check("totals of a new day", got, err, 0, "0.00")
	if b.h.Asked() != before {
		b.Error("an end of day moved money")
	}
	b.pay("3.00")
}

// closedBetween makes an end of day, which may erase what the terminal calls its last transaction, before a payment
// that ends in doubt.
func closedBetween(b *bench, step string) {
	r, ok := b.term.(payments.Reconciler)
	if !ok || !b.term.Caps().EndOfDay {
		return
	}
	b.pay("12.00")
	if _, err := r.EndOfDay(b.ctx); err != nil && !errors.Is(err, payments.ErrNoTotals) {
		b.Fatal(err)
	}
	b.h.CutAt(step)
	a := b.attempt(payments.Sale, "12.00")
	err := a.do()
	synctest.Wait()
	b.ready()
	a.settle(err, true)
}

func display(b *bench) {
	d, ok := b.term.(payments.Displayer)
	if b.term.Caps().DisplayText != ok {
		b.Fatalf("DisplayText %v, Displayer %v", b.term.Caps().DisplayText, ok)
	}
	if !ok {
		return
	}
	if err := d.Display(b.ctx, []string{"Guten Tag", "Summe 3,00"}, 5*time.Second); err != nil {
		b.Errorf("Display: %v", err)
	}
	if b.h.Asked() != 0 {
		b.Error("display moved money")
	}
	b.pay("3.00")
}

// followSuite runs the cases of what follows up on a payment, and of counting and showing.
func followSuite(run func(name string, f func(b *bench)), steps, ofFollowUps []string) {
	if ofFollowUps == nil {
		ofFollowUps = steps
	}
	run("totals and end of day", counts)
	run("display", display)
	run("capture of too much", captureTooMuch)
	run("void of a captured preauth", voidOfCapture)
	for _, step := range steps {
		run("equal payments, the second cut at "+step, func(b *bench) { twin(b, step) })
		run("end of day before a payment cut at "+step, func(b *bench) { closedBetween(b, step) })
	}
	for _, kind := range followUps {
		name := string(kind)
		run(name, func(b *bench) { follows(b, kind) })
		run(name+" twice", func(b *bench) { again(b, kind) })
		run(name+" declined", func(b *bench) { followDeclined(b, kind) })
		run(name+" not acknowledged", func(b *bench) { followUnacknowledged(b, kind) })
		for _, step := range ofFollowUps {
			run(name+", line cut at "+step, func(b *bench) { followCut(b, kind, step) })
			run(name+", agent stops at "+step, func(b *bench) { followStop(b, kind, step) })
		}
	}
}
