package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"storeagent/devices"
	"storeagent/offline"
	"storeagent/offline/cloudsim"
	"storeagent/payments"
	"storeagent/payments/terminalsim"
	"storeagent/register/client"
	"storeagent/register/wire"
)

type demoCmd struct {
	JSON bool `help:"End with one line of JSON and tell nothing else."`
	Keep bool `help:"Leave the store running at the end, with its address and a token."`
}

// tally is the table at the end, and the JSON line of the contract.
type tally struct {
	SalesAccepted    int `json:"salesAccepted"`
	Delivered        int `json:"delivered"`
	Duplicates       int `json:"duplicates"`
	Lost             int `json:"lost"`
	Parked           int `json:"parked"`
	ReceiptsPrinted  int `json:"receiptsPrinted"`
	PaymentsApproved int `json:"paymentsApproved"`
}

// Run plays a day in a simulated store.
func (c demoCmd) Run(e *env) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "storeagent-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &day{out: e.stdout}
	if c.JSON {
		d.out = io.Discard
	}
	d.shop, err = openShop(e.ctx, dir, []string{program}, anyPort, d.terminalStep)
	if err != nil {
		return err
	}
	defer d.shop.close()
	if err := d.play(e.ctx); err != nil {
		return fmt.Errorf("the demo stopped: %w\nlast lines of the agent's log:\n%s", err, d.shop.log())
	}
	t, err := d.count(e.ctx)
	if err != nil {
		return err
	}
	d.table(t)
	if c.JSON {
		if err := e.printJSON(t); err != nil {
			return err
		}
	}
	if c.Keep {
		if err := d.keep(e); err != nil {
			return err
		}
	}
	if t.Lost > 0 || t.Duplicates > 0 {
		return &exitError{code: exitFailed, err: errors.New("something was lost or doubled")}
	}
	return nil
}

// day is the story of the demo: a register that sells, with what it remembers.
type day struct {
	out   io.Writer
	shop  *shop
	admin *client.Client // technician
	till  *client.Client // register software
	token string         // of the till

	heard   int64    // the last scan event that was waited for
	sales   []string // transaction ids that were accepted
	printed int      // receipts the printer confirmed

	killAt  string // step of the card terminal at which the power goes
	power   atomic.Bool
	powered chan struct{}
}

func (d *day) say(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

func (d *day) chapter(title string) { fmt.Fprintf(d.out, "\n── %s\n", title) }

// terminalStep runs in the card terminal: at the chosen step the agent's power goes.
func (d *day) terminalStep(step string) {
	if d.power.Load() && step == d.killAt && d.power.CompareAndSwap(true, false) {
		d.shop.kill()
		close(d.powered)
	}
}

func (d *day) play(ctx context.Context) error {
	for _, scene := range []func(context.Context) error{
		d.open, d.signIn, d.firstCustomer, d.giftcard, d.lineDies, d.sellOffline, d.powerCut, d.comeBack, d.settle,
	} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (d *day) open(ctx context.Context) error {
	d.say("storeagent stands between a till, the devices on its counter and the POS cloud.\nThis is a simulated store: a card terminal (ZVT), a receipt printer (ESC/POS) and a scanner on serial lines,\nand a cloud with sign-in and GraphQL. The bytes, the database and the crashes are real.")
	d.chapter("The shop opens")
	if err := d.shop.start(ctx); err != nil {
		return err
	}
	token, err := os.ReadFile(filepath.Join(d.shop.dir, "data", technicianToken))
	if err != nil {
		return err
	}
	d.admin = client.New(d.shop.url(), strings.TrimSpace(string(token)), nil)
	pairing, err := d.admin.Pair(ctx, wire.PairingRequest{Name: "till", Role: "register"})
	if err != nil {
		return err
	}
	d.token = pairing.Token
	d.till = client.New(d.shop.url(), pairing.Token, nil)
	infos, err := d.devicesReady(ctx)
	if err != nil {
		return err
	}
	d.say("The agent runs as a process of its own at %s. The till was paired and got a token.", d.shop.url())
	for _, i := range infos {
		d.say("  %-6s %-12s %-8s %s %s", i.Name, i.Category, i.Driver, i.State, i.Model)
	}
	return nil
}

// devicesReady waits until every device is ready.
func (d *day) devicesReady(ctx context.Context) (infos []devices.Info, err error) {
	err = d.until(ctx, "the devices are ready", func() (bool, error) {
		infos, err = d.till.Devices(ctx)
		if err != nil {
			return false, err
		}
		for _, i := range infos {
			if i.State != devices.Ready {
				return false, nil
			}
		}
		return true, nil
	})
	return infos, err
}

// until asks again and again, as long as patience lasts.
func (d *day) until(ctx context.Context, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := done()
		if err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("waited in vain until %s: %w", what, ctx.Err())
		}
	}
}

func (d *day) signIn(ctx context.Context) error {
	d.chapter("Signing in to the cloud")
	st, err := d.admin.SignIn(ctx)
	if err != nil {
		return err
	}
	d.say("storeagent sign-in shows a code: %s, to be typed at %s.\nThe manager approves it on a phone. No password ever touches this machine.", st.UserCode, st.VerificationURI)
	if err := d.shop.cloud.SignIn().Approve(st.UserCode, "lane-3@corner-shop.example"); err != nil {
		return err
	}
	if err := d.until(ctx, "the sign-in is done", func() (bool, error) {
		st, err = d.admin.SignInStatus(ctx)
		return st.State == "signed_in", err
	}); err != nil {
		return err
	}
	d.say("Signed in as %s.", st.Account)
	return d.until(ctx, "the way to the cloud is open", func() (bool, error) {
		q, err := d.till.Queue(ctx)
		return q.Connection == offline.Online, err
	})
}

// goods is what this store sells.
type goods struct{ code, sku, name, price string }

func stock() []goods {
	return []goods{
		{"4006381333931", "PEN001", "Highlighter yellow", "1.99"},
		{"0036000291452", "TIS001", "Tissues", "3.98"},
		{"5012345678900", "TEA001", "Tea, 80 bags", "4.50"},
	}
}

// scan reads a code with the scanner and waits for the event, beyond those that were heard before.
func (d *day) scan(ctx context.Context, g goods) (wire.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var got wire.Event
	found := errors.New("found")
	listening := make(chan error, 1)
	go func() {
		listening <- d.till.Events(ctx, []string{"scan"}, d.heard, func(ev wire.Event) error {
			if !strings.Contains(string(ev.Data), g.code) {
				return nil
			}
			got = ev
			return found
		})
	}()
	if err := d.shop.scanner.Scan("]E0", g.code); err != nil {
		return got, err
	}
	if err := <-listening; !errors.Is(err, found) {
		return got, fmt.Errorf("wait for the scan: %w", err)
	}
	d.heard = got.ID
	return got, nil
}

// pay takes a card payment and waits for its end.
func (d *day) pay(ctx context.Context, key, amount string) (payments.Payment, error) {
	p, err := d.till.StartPayment(ctx, key, wire.PaymentRequest{Type: payments.Sale, Amount: amount})
	if err != nil {
		return p, err
	}
	return d.till.Payment(ctx, p.ID, patience)
}

// sell hands in a completed sale, paid in cash or by a card payment.
func (d *day) sell(ctx context.Context, g goods, paymentID string) (wire.SaleAccepted, error) {
	if paymentID != "" {
		return d.sellFor(ctx, g, offline.Tender{Type: "card", PaymentID: paymentID})
	}
	return d.sellFor(ctx, g, offline.Tender{Type: "cash", Amount: g.price})
}

func (d *day) sellFor(ctx context.Context, g goods, tender offline.Tender) (wire.SaleAccepted, error) {
	id := fmt.Sprintf("T%04d", 1001+len(d.sales))
	sale := wire.Sale{
		TransactionID: id, PurchasedOn: time.Now().Format(time.RFC3339), PayAmount: g.price, SaleDiscountAmount: "0",
		ItemDiscountAmount: "0", SubTotal: g.price, RefundAmount: "0", TaxAmount: "0",
		LineItems: []wire.SaleLine{{
			LineNumber: 1, SKU: g.sku, UnitPrice: g.price, ExtPrice: g.price, ItemDiscountAmount: "0", SaleDiscountAmount: "0",
			Quantity: "1", UOM: "EA", Name: g.name,
		}},
		Tenders: []offline.Tender{tender},
	}
	got, err := d.till.PostSale(ctx, "sale-"+id, sale)
	if err != nil {
		return got, fmt.Errorf("post sale %s: %w", id, err)
	}
	d.sales = append(d.sales, id)
	return got, nil
}

// print prints the receipt of a sale and waits for the printer's word.
func (d *day) print(ctx context.Context, saleID string) error {
	job, err := d.till.Print(ctx, "print-"+saleID, "paper", wire.PrintRequest{Content: wire.Content{SaleID: saleID}})
	if err != nil {
		return err
	}
	done, err := d.till.PrintJob(ctx, job.ID, patience)
	if err != nil {
		return err
	}
	if done.State != "printed" {
		return fmt.Errorf("receipt ended %s %s", done.State, done.Error)
	}
	d.printed++
	return nil
}

func (d *day) firstCustomer(ctx context.Context) error {
	d.chapter("The first customer: scan, card, receipt, sale")
	g := stock()[0]
	ev, err := d.scan(ctx, g)
	if err != nil {
		return err
	}
	var scan struct{ Scanner, Symbology, GTIN string }
	if err := json.Unmarshal(ev.Data, &scan); err != nil {
		return err
	}
	d.say("Scanned with %q: %s, GTIN %s. The till knows it as %s, %s USD.", scan.Scanner, scan.Symbology, scan.GTIN, g.name, g.price)
	p, err := d.pay(ctx, "pay-1", g.price)
	if err != nil {
		return err
	}
	d.say("Card payment: %s, %s %s, %s ending in %s. It was on disk before the terminal heard of it.", p.State, p.ApprovedAmount, p.Currency, p.CardBrand, p.Last4)
	sale, err := d.sell(ctx, g, p.ID)
	if err != nil {
		return err
	}
	d.say("Sale handed in: 201, on disk, state %s.", sale.State)
	if err := d.print(ctx, sale.ID); err != nil {
		return err
	}
	d.say("The printer confirmed the receipt:")
	if r := d.shop.printer.Receipts(); len(r) > 0 {
		d.say("%s", boxed(r[len(r)-1]))
	}
	if err := d.until(ctx, "the sale is delivered", func() (bool, error) {
		s, err := d.till.Sale(ctx, sale.ID)
		return s.State == offline.Delivered, err
	}); err != nil {
		return err
	}
	d.say("The cloud has it: delivered.")
	return nil
}

// giftcard issues and fills a card, and pays a sale with it.
func (d *day) giftcard(ctx context.Context) error {
	d.chapter("A gift card is sold, and pays for tissues")
	const code, pin = "6006491000000018", "40718265"
	if _, err := d.till.IssueGiftcard(ctx, "card-issue", wire.NewGiftcard{PhysicalCode: code, PhysicalPIN: pin}); err != nil {
		return err
	}
	move := func(key string, kind offline.TransType, mode offline.CardMode, amount string, want offline.GiftcardState) (offline.GiftcardView, error) {
		v, err := d.till.GiftcardTransact(ctx, key, wire.GiftcardTransaction{
			CardRef: wire.CardRef{Code: code, PIN: pin}, TransType: kind, Mode: mode, Amount: amount,
		})
		if err != nil || v.State == want {
			return v, err
		}
		err = d.until(ctx, "gift card transaction "+v.ID+" is "+string(want), func() (bool, error) { // a slow machine
			v, err = d.till.GiftcardTransaction(ctx, v.ID)
			return v.State == want, err
		})
		return v, err
	}
	v, err := move("card-fill", offline.CardAdd, offline.CardImmediate, "20.00", offline.CardCompleted)
	if err != nil {
		return err
	}
	d.say("Card %s was issued and filled: %s %s on it.", v.Code, v.Balance, v.Currency)
	g := stock()[1]
	held, err := move("card-hold", offline.CardUse, offline.CardAuthorize, g.price, offline.CardAuthorized)
	if err != nil {
		return err
	}
	d.say("%s %s are held on it for this sale: %s, %s left.", g.price, held.Currency, held.State, held.Balance)
	sale, err := d.sellFor(ctx, g, offline.Tender{Type: "giftcard", GiftcardTransactionID: held.ID})
	if err != nil {
		return err
	}
	if err := d.print(ctx, sale.ID); err != nil {
		return err
	}
	if err := d.until(ctx, "the gift card sale is delivered", func() (bool, error) {
		s, err := d.till.Sale(ctx, sale.ID)
		return s.State == offline.Delivered, err
	}); err != nil {
		return err
	}
	if v, err = d.till.GiftcardTransaction(ctx, held.ID); err != nil {
		return err
	}
	captures := 0
	for _, c := range d.shop.cloud.CardLedger() {
		if c.RefNo == held.ID {
			captures += c.Captures
		}
	}
	if v.State != offline.CardCompleted || captures != 1 {
		return fmt.Errorf("the gift card transaction is %s and was captured %d times, want completed and once", v.State, captures)
	}
	d.say("Captured with its sale, which went after it: %s, once in the cloud's ledger too.", v.State)
	return nil
}

// boxed draws a strip of paper around a receipt.
func boxed(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimRight(text, "\n") + "\n") {
		fmt.Fprintf(&b, "    │ %-42s │\n", strings.TrimRight(line, "\n"))
	}
	return strings.TrimRight(b.String(), "\n")
}

// lineDies cuts the line while a sale is on its way: the cloud has run it, and its answer never comes.
func (d *day) lineDies(ctx context.Context) error {
	d.chapter("The internet dies while a sale is on its way")
	before := len(d.shop.cloud.Ledger())
	if err := d.shop.cloud.SetFaults(cloudsim.Faults{Gzip: true, MutationsOnly: true, DelayAfterMs: 3_600_000}); err != nil {
		return err
	}
	if _, err := d.sell(ctx, stock()[1], ""); err != nil {
		return err
	}
	if err := d.until(ctx, "the cloud works on the sale", func() (bool, error) {
		return len(d.shop.cloud.Ledger()) > before, nil
	}); err != nil {
		return err
	}
	d.shop.line.cut()
	d.shop.cloud.Heal()
	d.shop.cloud.Gzip(true)
	// The next sale shall find the outage known: one sent into a dying line would be a second one in doubt.
	if err := d.until(ctx, "the agent knows that the cloud is away", func() (bool, error) {
		q, err := d.till.Queue(ctx)
		return q.Connection == offline.Offline, err
	}); err != nil {
		return err
	}
	d.say("Sale %s was sent and its answer will never come. Nobody on this side can know whether the cloud took it.", d.sales[len(d.sales)-1])
	return nil
}

func (d *day) sellOffline(ctx context.Context) error {
	d.chapter("The shop sells on")
	for i, g := range append(stock(), stock()...) {
		paymentID := ""
		if i%2 == 0 {
			p, err := d.pay(ctx, fmt.Sprintf("pay-off-%d", i), g.price)
			if err != nil {
				return err
			}
			paymentID = p.ID
		}
		sale, err := d.sell(ctx, g, paymentID)
		if err != nil {
			return err
		}
		if err := d.print(ctx, sale.ID); err != nil {
			return err
		}
	}
	q, err := d.till.Queue(ctx)
	if err != nil {
		return err
	}
	d.say("Six more customers, by card and cash, each with a receipt. The till never waited for the cloud.\nQueue: %s, %d queued, %d on its way, %s USD not delivered yet.", q.Connection, q.Queued, q.Sending, q.Exposure.Amount)
	return nil
}

// powerCut kills the agent when the money has moved and the terminal has been answered, but the till does not know yet.
func (d *day) powerCut(ctx context.Context) error {
	d.chapter("kill -9 in the middle of a card payment")
	g := stock()[2]
	d.powered = make(chan struct{})
	d.killAt = terminalsim.StepPrinted
	d.shop.terminal.SetScript([]terminalsim.Behaviour{{CutAt: terminalsim.StepPrinted}, {}})
	d.power.Store(true)
	charges := len(d.shop.terminal.Charges())
	// The power may go before the till has its answer; then it is the repeated call that tells.
	p, lost := d.till.StartPayment(ctx, "pay-cut", wire.PaymentRequest{Type: payments.Sale, Amount: g.price})
	if refused := (*client.Problem)(nil); errors.As(lost, &refused) {
		return lost
	}
	cutting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case <-d.powered:
	case <-cutting.Done():
		return errors.Join(lost, fmt.Errorf("the terminal never came to %s: %w", d.killAt, cutting.Err()))
	}
	d.say("The customer's card was charged, and in that moment the agent was killed. Starting it again …")
	if err := d.shop.start(ctx); err != nil {
		return err
	}
	again, err := d.till.StartPayment(ctx, "pay-cut", wire.PaymentRequest{Type: payments.Sale, Amount: g.price})
	if err != nil {
		return err
	}
	if lost == nil && again.ID != p.ID {
		return errors.New("the repeated call made a second payment")
	}
	d.say("The till repeats its call with the same Idempotency-Key and gets the same payment back, not a second one.")
	if p, err = d.till.Payment(ctx, again.ID, patience); err != nil {
		return err
	}
	if p.State != payments.Approved {
		return fmt.Errorf("the payment ended %s %s", p.State, p.Problem)
	}
	made := len(d.shop.terminal.Charges()) - charges
	d.say("The agent asked the terminal how it ended: %s. The terminal charged the card %d time.", p.State, made)
	sale, err := d.sell(ctx, g, p.ID)
	if err != nil {
		return err
	}
	if _, err := d.devicesReady(ctx); err != nil {
		return err
	}
	return d.print(ctx, sale.ID)
}

func (d *day) comeBack(ctx context.Context) error {
	d.chapter("The internet is back")
	if err := d.shop.line.mend(ctx); err != nil {
		return err
	}
	var q offline.QueueStatus
	if err := d.until(ctx, "the queue is empty", func() (bool, error) {
		var err error
		q, err = d.admin.DrainQueue(ctx, 5*time.Second)
		return q.Queued+q.Sending+q.InDoubt == 0, err
	}); err != nil {
		return err
	}
	d.say("Queue drained: nothing waits, %d parked for a person.", q.Parked)
	return nil
}

// settle is the technician's part: what the kill left in doubt.
func (d *day) settle(ctx context.Context) error {
	d.chapter("A person settles what nobody can know")
	page, err := d.admin.QueueItems(ctx, map[string][]string{"state": {"parked"}})
	if err != nil {
		return err
	}
	for _, i := range page.Items {
		d.say("storeagent queue list:  %s %s  parked/%s  %s %s  search for %q", i.ID, i.Type, i.Reason, i.Amount, i.Currency, i.SearchFor)
		for _, l := range d.shop.cloud.Ledger() {
			if l.TransactionID != i.SearchFor {
				continue
			}
			d.say("The manager searches for %s in the cloud's console and finds it as %s: it had arrived.\nSending it again would have counted it twice.", i.SearchFor, l.ID)
			done, err := d.admin.Decide(ctx, offline.Decision{OpID: i.ID, Action: offline.Settle, CloudID: l.ID, Note: "seen in the console"})
			if err != nil {
				return err
			}
			d.say("storeagent queue settle --note \"seen in the console\":  %s. Name, time and note are in the audit.", done.State)
		}
	}
	return nil
}

// count compares what the till was told with what the cloud's ledger and the devices really did.
func (d *day) count(ctx context.Context) (tally, error) {
	t := tally{SalesAccepted: len(d.sales), ReceiptsPrinted: len(d.shop.printer.Receipts())}
	executed := d.shop.cloud.Executions()
	for _, id := range d.sales {
		switch n := executed[id]; {
		case n == 0:
			t.Lost++
		case n > 1:
			t.Duplicates++
		}
	}
	q, err := d.admin.Queue(ctx)
	if err != nil {
		return t, err
	}
	t.Parked = q.Parked
	delivered, err := d.admin.Sales(ctx, map[string][]string{"state": {"delivered"}, "limit": {"100"}})
	if err != nil {
		return t, err
	}
	t.Delivered = len(delivered.Items)
	page, err := d.admin.Payments(ctx, map[string][]string{"state": {"approved"}, "limit": {"100"}})
	if err != nil {
		return t, err
	}
	t.PaymentsApproved = len(page.Items)
	standing := 0
	for _, c := range d.shop.terminal.Charges() {
		if c.Standing() {
			standing++
		}
	}
	if standing != t.PaymentsApproved {
		return t, fmt.Errorf("the terminal charged %d cards, the agent says %d", standing, t.PaymentsApproved)
	}
	return t, nil
}

func (d *day) table(t tally) {
	d.chapter("The books at closing time, ours against the cloud's and the terminal's ledgers")
	for _, row := range []struct {
		name string
		n    int
	}{
		{"sales accepted", t.SalesAccepted}, {"delivered", t.Delivered}, {"lost", t.Lost}, {"doubled", t.Duplicates},
		{"parked", t.Parked}, {"receipts printed", t.ReceiptsPrinted}, {"card payments approved", t.PaymentsApproved},
	} {
		d.say("  %-24s %3d", row.name, row.n)
	}
}

// keep tells how to play with the store and waits for the end. The devices, the cloud and the data outlive the agent, so
// that anybody can pull its plug and see what a restart makes of it.
func (d *day) keep(e *env) error {
	e.printf("\nThe store stays open. In another terminal:\n\n  export AGENT=%s TOKEN=%s\n  curl -s $AGENT/v1/status -H \"Authorization: Bearer $TOKEN\"\n  export STOREAGENT_CONFIG=%s    # for storeagent check, queue, pair, …\n  kill -9 %d    # the agent's power fails; storeagent serve starts it again\n\nConsole: %s/   API: %s/openapi.json\nCtrl-C closes it.\n",
		d.shop.url(), d.token, d.shop.config(), d.shop.agent.cmd.Process.Pid, d.shop.url(), d.shop.url())
	select {
	case <-e.ctx.Done():
		return nil
	case <-d.shop.agent.done:
	}
	e.printf("\nThe agent ended (%s); the devices, the cloud and its data are still there. Start it again with:\n\n  STOREAGENT_CONFIG=%s storeagent serve\n",
		d.shop.agent.cmd.ProcessState, d.shop.config())
	<-e.ctx.Done()
	return nil
}
