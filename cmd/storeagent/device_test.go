package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/devicesim"
	"storeagent/devices/printer"
	"storeagent/payments"
	"storeagent/payments/terminalsim"
	"storeagent/register/wire"
)

// listener keeps every event of a store.
type listener struct {
	mu   sync.Mutex
	list []wire.Event
}

// listen follows all events from the beginning, until the test ends.
func (ts *testShop) listen() *listener {
	l := &listener{}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = ts.admin.Events(ts.ctx, nil, 0, func(ev wire.Event) error { // ends with the test
			l.mu.Lock()
			defer l.mu.Unlock()
			l.list = append(l.list, ev)
			return nil
		})
	}()
	ts.tb.Cleanup(func() {
		for _, ev := range l.all() {
			if strings.Contains(string(ev.Data), simulatedPAN) {
				ts.tb.Errorf("event %d of type %s holds the card number", ev.ID, ev.Type)
			}
		}
	})
	return l
}

func (l *listener) all() []wire.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// device waits for a device event that fits.
func (ts *testShop) device(l *listener, what string, fits func(devices.Info) bool) {
	ts.tb.Helper()
	ts.eventually(what, func() bool {
		return slices.ContainsFunc(l.all(), func(ev wire.Event) bool {
			var i devices.Info
			return ev.Type == "device" && json.Unmarshal(ev.Data, &i) == nil && fits(i)
		})
	})
}

// pull pulls a cable and keeps it in the hand until back is called: the agent need not tell of a device that was away for
// a moment only.
func (ts *testShop) pull(name string) (back func()) {
	ts.tb.Helper()
	cable := ts.shop.cables[name]
	cable.held.Lock()
	back = sync.OnceFunc(cable.held.Unlock)
	ts.tb.Cleanup(back)
	ts.must(cable.Unplug())
	return back
}

// othersGoOn scans and takes a card while the printer is in trouble.
func (ts *testShop) othersGoOn(key string) {
	ts.tb.Helper()
	if _, err := ts.scan(ts.ctx, stock()[0]); err != nil {
		ts.tb.Errorf("scan while the printer is in trouble: %v", err)
	}
	if p, err := ts.pay(ts.ctx, "pay-"+key, "1.99"); err != nil || p.State != payments.Approved {
		ts.tb.Errorf("pay while the printer is in trouble: %s %v", p.State, err)
	}
}

func (ts *testShop) printing(key string) string {
	ts.tb.Helper()
	ops := []wire.Op{}
	for range 12 {
		ops = append(ops, wire.Op{Op: "text", Text: "a line of " + key})
	}
	job, err := ts.till.Print(ts.ctx, "print-"+key, "paper", wire.PrintRequest{Content: wire.Content{Document: append(ops, wire.Op{Op: "cut"})}})
	ts.must(err)
	return job.ID
}

func (ts *testShop) jobIs(id string, want ...printer.JobState) printer.Job {
	ts.tb.Helper()
	var j printer.Job
	ts.must(ts.until(ts.ctx, "the print job is "+string(want[0]), func() (bool, error) {
		var err error
		j, err = ts.till.PrintJob(ts.ctx, id, 0)
		return slices.Contains(want, j.State), err
	}))
	return j
}

// copies counts the pieces of paper that hold the text.
func (ts *testShop) copies(text string) int {
	n := 0
	for _, r := range ts.shop.printer.Receipts() {
		if strings.Contains(r, text) {
			n++
		}
	}
	return n
}

// TestPrinterTroubleStaysAtThePrinter opens the cover, lets the paper run out and pulls the cable in the middle of
// jobs: the job says what it waits for, every other device goes on, nothing is printed twice, and printed is only said
// of paper that came out.
func TestPrinterTroubleStaysAtThePrinter(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	events := ts.listen()

	ts.shop.printer.SetCover(true)
	ts.device(events, "the cover is open", func(i devices.Info) bool {
		return i.Name == "paper" && i.Status.CoverOpen != nil && *i.Status.CoverOpen
	})
	id := ts.printing("cover")
	if j := ts.jobIs(id, printer.Blocked); j.Reason != printer.CoverOpen {
		t.Errorf("blocked because of %q, want the cover", j.Reason)
	}
	ts.othersGoOn("cover")
	ts.shop.printer.SetCover(false)
	ts.jobIs(id, printer.Printed)
	if n := ts.copies("a line of cover"); n != 1 {
		t.Errorf("the receipt behind the cover came out %d times", n)
	}

	ts.shop.printer.RunOutAfter(4)
	id = ts.printing("roll")
	if j := ts.jobIs(id, printer.Blocked); j.Reason != printer.PaperOut {
		t.Errorf("blocked because of %q, want the paper", j.Reason)
	}
	if n := ts.copies("a line of roll"); n != 0 {
		t.Errorf("there was no paper for %d receipts", n)
	}
	ts.othersGoOn("roll")
	ts.shop.printer.SetPaper(devicesim.PaperOK)
	ts.jobIs(id, printer.Printed)
	if n := ts.copies("a line of roll"); n != 1 {
		t.Errorf("the receipt on two rolls came out %d times", n)
	}

	ts.shop.printer.RunOutAfter(4)
	id = ts.printing("cable")
	ts.jobIs(id, printer.Blocked)
	back := ts.pull("paper")
	ts.device(events, "the printer is gone", func(i devices.Info) bool { return i.Name == "paper" && i.State == devices.Offline })
	ts.othersGoOn("cable")
	ts.shop.printer.SetPaper(devicesim.PaperOK)
	back()
	j := ts.jobIs(id, printer.Printed, printer.Unknown, printer.Failed)
	if n := ts.copies("a line of cable"); n > 1 || n == 0 && j.State == printer.Printed {
		t.Errorf("the job ended %s, and the receipt came out %d times", j.State, n)
	}
	_, err := ts.devicesReady(ts.ctx)
	ts.must(err)
	ts.jobIs(ts.printing("after"), printer.Printed)
}

// TestEveryCableComesBack pulls each cable once; the device goes offline alone and is ready again by itself.
func TestEveryCableComesBack(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	events := ts.listen()
	for _, name := range []string{"card", "paper", "hand"} {
		back := ts.pull(name)
		ts.device(events, name+" is offline", func(i devices.Info) bool { return i.Name == name && i.State == devices.Offline })
		back()
		_, err := ts.devicesReady(ts.ctx)
		ts.must(err)
	}
	for _, ev := range events.all() {
		var i devices.Info
		if ev.Type == "device" && json.Unmarshal(ev.Data, &i) == nil && i.LastError != nil && i.State == devices.Offline && i.LastError.Hint == "" {
			t.Errorf("device %s went offline without a hint: %s", i.Name, i.LastError.Message)
		}
	}
	ts.othersGoOn("after")
	ts.jobIs(ts.printing("after"), printer.Printed)
}

// TestNoCardDataAnywhere brings a card number in by every door: a careless terminal, the scanner, a request. The end of
// every test of a store searches its files for it.
func TestNoCardDataAnywhere(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	events := ts.listen()

	ts.shop.terminal.SetScript([]terminalsim.Behaviour{{FullPAN: true}})
	p, err := ts.pay(ts.ctx, "pay-pan", "7.77")
	ts.must(err)
	if p.State != payments.Approved || p.Last4 != simulatedPAN[12:] {
		t.Errorf("payment: %s, last four %q", p.State, p.Last4)
	}
	if text, err := json.Marshal(p); err != nil || strings.Contains(string(text), simulatedPAN) {
		t.Errorf("the payment's answer: %v %s", err, text)
	}
	if len(p.Receipt.Customer)+len(p.Receipt.Merchant) == 0 {
		t.Error("the terminal's slips did not arrive, so nothing was masked in them")
	}

	ts.must(ts.shop.scanner.Scan("]C0", simulatedPAN))
	ts.device(events, "the scan is refused", func(i devices.Info) bool {
		return i.Name == "hand" && i.LastError != nil && i.LastError.Code == "card_data_refused" && i.LastError.Length == len(simulatedPAN)
	})
	ts.must(ts.shop.scanner.Scan("]E0", stock()[0].code)) // scans come in order: once this one is here, the other would be
	ts.eventually("the next scan is heard", func() bool {
		return slices.ContainsFunc(events.all(), func(ev wire.Event) bool { return ev.Type == "scan" })
	})
	scans := 0
	for _, ev := range events.all() {
		if ev.Type == "scan" {
			scans++
		}
	}
	if scans != 1 {
		t.Errorf("%d scan events, want the one that is no card", scans)
	}

	sale := cashSale("P1", "1.99")
	sale.LineItems[0].Name = "card 4111 1111 1111 1111"
	_, err = ts.till.PostSale(ts.ctx, "sale-pan", sale)
	if no := problemOf(err); no == nil || no.Status != http.StatusUnprocessableEntity || no.Code != "card_data_refused" || strings.Contains(err.Error(), "1111") {
		t.Errorf("a sale with a card number in it: %v", err)
	}
	_, err = ts.till.StartPayment(ts.ctx, "pay-ref", wire.PaymentRequest{Type: payments.Sale, Amount: "1.00", Reference: simulatedPAN})
	if no := problemOf(err); no == nil || no.Code != "card_data_refused" {
		t.Errorf("a payment with a card number as reference: %v", err)
	}
}

// TestOrphanIsListed takes a payment that no sale claims: it is shown until one does, over a power cut, and no second
// sale can have it.
func TestOrphanIsListed(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	p, err := ts.pay(ts.ctx, "pay-orphan", "1.99")
	ts.must(err)
	orphans := func() []string {
		page, err := ts.till.Payments(ts.ctx, map[string][]string{"attached": {"false"}})
		ts.must(err)
		var ids []string
		for _, each := range page.Items {
			ids = append(ids, each.ID)
		}
		return ids
	}
	ts.restart()
	if got := orphans(); !slices.Equal(got, []string{p.ID}) {
		t.Fatalf("unattached approvals %v, want %s", got, p.ID)
	}
	_, err = ts.till.PostSale(ts.ctx, "sale-o1", cardSale("O1", "1.99", p.ID))
	ts.must(err)
	if got := orphans(); len(got) != 0 {
		t.Errorf("unattached approvals %v after the sale claimed it", got)
	}
	_, err = ts.till.PostSale(ts.ctx, "sale-o2", cardSale("O2", "1.99", p.ID))
	if no := problemOf(err); no == nil || no.Status != http.StatusUnprocessableEntity {
		t.Errorf("a second sale with the same payment: %v", err)
	}
}

// TestDoubtBlocksTheTerminal leaves a payment that a terminal cannot tell of: no new money there until a person has
// looked, and then again.
func TestDoubtBlocksTheTerminal(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	// The very first payment of a terminal, lost after the bank approved: there is nothing to tell it from.
	ts.shop.terminal.SetScript([]terminalsim.Behaviour{{CutAt: terminalsim.StepHost}, {}})
	p, err := ts.pay(ts.ctx, "pay-lost", "3.00")
	ts.must(err)
	if p.State == payments.Approved || p.State == payments.Failed {
		t.Fatalf("a payment that nobody can know of is %s", p.State)
	}
	_, err = ts.till.StartPayment(ts.ctx, "pay-next", wire.PaymentRequest{Type: payments.Sale, Amount: "1.00"})
	if no := problemOf(err); no == nil || no.Code != "terminal_in_doubt" {
		t.Errorf("new money beside doubt: %v", err)
	}
	ts.must(ts.until(ts.ctx, "the payment waits for a person", func() (bool, error) {
		p, err = ts.till.Payment(ts.ctx, p.ID, 10*time.Second)
		return p.State == payments.Unresolved, err
	}))
	outcome := wire.OutcomeNotCharged
	if len(standing(ts.shop.terminal)) > 0 {
		outcome = wire.OutcomeApproved
	}
	_, err = ts.admin.ResolvePayment(ts.ctx, p.ID, wire.Resolve{Outcome: outcome, Note: "seen on the terminal's slip"})
	ts.must(err)
	ts.must(ts.until(ts.ctx, "the terminal takes money again", func() (bool, error) {
		p, err := ts.pay(ts.ctx, "pay-next", "1.00")
		if no := problemOf(err); no != nil && no.Status == http.StatusConflict {
			return false, nil
		}
		return p.State == payments.Approved, err
	}))
}
