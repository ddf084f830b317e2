package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
	"storeagent/payments"
	"storeagent/payments/terminalsim"
	"storeagent/register/client"
	"storeagent/register/wire"
)

// killsFlag is how often the power goes in TestKillsUnderLoad; make test also runs it with 300, without the race detector.
var killsFlag = flag.Int("kills", 25, "how often TestKillsUnderLoad kills the agent")

// seller is one till that sells until told to stop. It repeats every call under its key until it gets an answer.
type seller struct {
	ts    *testShop
	name  string
	card  bool
	stop  *atomic.Bool
	calls *client.Client

	accepted map[string]string // transaction id → sale id
	payments map[string]string // key → payment id
	approved int
}

func newSeller(ts *testShop, name string, card bool, stop *atomic.Bool) *seller {
	return &seller{
		ts: ts, name: name, card: card, stop: stop, calls: client.New(ts.shop.url(), ts.token, nil),
		accepted: map[string]string{}, payments: map[string]string{},
	}
}

// again repeats call until it has an answer that stays: done, or refused for good.
func (s *seller) again(ctx context.Context, call func() error) error {
	tick := time.NewTicker(15 * time.Millisecond)
	defer tick.Stop()
	for {
		err := call()
		if err == nil {
			return nil
		}
		if p := problemOf(err); p != nil && p.Status < 500 && p.Status != http.StatusConflict {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

func (s *seller) sell(ctx context.Context) error {
	for n := 0; !s.stop.Load() || s.card && s.approved < 3; n++ {
		txn := fmt.Sprintf("%s-%04d", s.name, n)
		sale := cashSale(txn, "1.99")
		if s.card {
			id, err := s.pay(ctx, "pay-"+txn)
			if err != nil {
				return err
			}
			if id == "" {
				continue // not charged: the customer leaves
			}
			sale = cardSale(txn, "1.99", id)
		}
		for repeat := range 2 { // a till that missed the answer asks once more
			var got wire.SaleAccepted
			if err := s.again(ctx, func() (err error) { got, err = s.calls.PostSale(ctx, "sale-"+txn, sale); return err }); err != nil {
				return fmt.Errorf("sale %s: %w", txn, err)
			}
			if repeat > 0 && got.ID != s.accepted[txn] {
				return fmt.Errorf("sale %s was accepted as %s and, under the same key, as %s", txn, s.accepted[txn], got.ID)
			}
			s.accepted[txn] = got.ID
			if n%3 != 0 {
				break
			}
		}
	}
	return nil
}

// pay takes one card payment and returns its id, "" where the card was not charged.
func (s *seller) pay(ctx context.Context, key string) (string, error) {
	var p payments.Payment
	err := s.again(ctx, func() (err error) {
		p, err = s.calls.StartPayment(ctx, key, wire.PaymentRequest{Type: payments.Sale, Amount: "1.99", Reference: key})
		return err
	})
	if err != nil {
		return "", fmt.Errorf("payment %s: %w", key, err)
	}
	s.payments[key] = p.ID
	for id := p.ID; !p.State.Final(); {
		if err := s.again(ctx, func() (err error) { p, err = s.calls.Payment(ctx, id, 30*time.Second); return err }); err != nil {
			return "", fmt.Errorf("payment %s: %w", key, err)
		}
	}
	switch p.State {
	case payments.Approved:
		s.approved++
		return p.ID, nil
	case payments.Unresolved:
		return "", fmt.Errorf("payment %s: a terminal that remembers was not understood: %s", key, p.Problem)
	}
	return "", nil
}

// TestKillsUnderLoad sells by cash and card from several tills, kills the agent at random moments, lets the cloud lose
// answers, and then compares every answer that a till got with what cloud and terminal really did.
func TestKillsUnderLoad(t *testing.T) {
	t.Parallel()
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("again with: go test ./cmd/storeagent -run TestKillsUnderLoad -seed %d", seed)
	lots := rand.New(rand.NewPCG(seed, 1))
	ts := openOnlineShop(t, nil)
	ts.reconfigure(`resume_jitter = "1s"`, `resume_jitter = "50ms"`) // few of its lives last a second
	// A terminal that has never taken a payment cannot tell whether the first one is the one in doubt: a person would
	// have to look. So this shop has sold before.
	first, err := ts.pay(ts.ctx, "pay-before", "1.99")
	if err != nil || first.State != payments.Approved {
		t.Fatalf("first payment: %s %v", first.State, err)
	}

	var stop atomic.Bool
	ctx, cancel := context.WithTimeout(t.Context(), patience+time.Duration(*killsFlag)*20*time.Second)
	defer cancel()
	var sellers []*seller
	var tills sync.WaitGroup
	for i := range 5 {
		s := newSeller(ts, fmt.Sprintf("T%d", i), i == 0, &stop)
		sellers = append(sellers, s)
		tills.Go(func() {
			if err := s.sell(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	longest := min(700, 25*700 / *killsFlag) // many kills come close together
	for range *killsFlag {
		if lots.IntN(3) == 0 {
			ts.shop.cloud.FailMutations(cloudsim.ExecuteThenClose, 1+lots.IntN(2))
		}
		select {
		case <-time.After(time.Duration(lots.IntN(longest)) * time.Millisecond): // the power goes when it likes
		case <-ctx.Done():
		}
		ts.shop.kill()
		if lots.IntN(2) == 0 { // the terminal hangs on the same power strip as the register, or sees its line die
			_ = ts.shop.cables["card"].Unplug() // it may be unplugged already, by the terminal
		}
		ts.must(ts.shop.start(ts.ctx))
	}
	stop.Store(true)
	tills.Wait()
	ts.shop.cloud.Heal()
	if t.Failed() {
		return
	}
	ts.compareBooks(sellers)
}

// compareBooks settles what is left as a person would and compares all books.
func (ts *testShop) compareBooks(sellers []*seller) {
	ts.tb.Helper()
	began := time.Now()
	ts.drain()
	ts.tb.Logf("the queue was empty after %v", time.Since(began))
	accepted := map[string]string{}
	keys, approved := 1, 1 // of the day before
	for _, s := range sellers {
		for txn, id := range s.accepted {
			accepted[txn] = id
		}
		keys += len(s.payments)
		approved += s.approved
	}
	// Without a person nothing runs twice, and nothing is missing from delivered and parked together.
	parked := ts.allItems(offline.Parked)
	waiting := map[string]bool{}
	for _, i := range parked {
		waiting[i.SearchFor] = true
	}
	ran := ts.shop.cloud.Executions()
	for txn := range accepted {
		if ran[txn] > 1 {
			ts.tb.Errorf("sale %s ran %d times at the cloud", txn, ran[txn])
		}
		if ran[txn] == 0 && !waiting[txn] {
			ts.tb.Errorf("sale %s was accepted and is neither in the cloud nor parked", txn)
		}
	}
	for txn := range ran {
		if accepted[txn] == "" {
			ts.tb.Errorf("the cloud has sale %s that no till was told of", txn)
		}
	}
	ts.settleAll(parked)
	ran = ts.shop.cloud.Executions()
	for txn, id := range accepted {
		if ran[txn] != 1 {
			ts.tb.Errorf("sale %s (%s) ran %d times in the end", txn, id, ran[txn])
		}
	}
	ts.comparePayments(keys, approved)
	ts.tb.Logf("%d sales, %d of them settled by a person, %d payments, %d approved", len(accepted), len(parked), keys, approved)
	if len(accepted) < *killsFlag || approved < 4 {
		ts.tb.Errorf("only %d sales and %d approvals: too little to mean anything", len(accepted), approved)
	}
}

// comparePayments holds the agent's journal against the terminal's ledger.
func (ts *testShop) comparePayments(keys, approved int) {
	ts.tb.Helper()
	list := ts.allPayments()
	if len(list) != keys {
		ts.tb.Errorf("%d payments under %d keys", len(list), keys)
	}
	inJournal := 0
	for _, p := range list {
		switch {
		case p.State == payments.Approved:
			inJournal++
		case !p.State.Final():
			ts.tb.Errorf("payment %s is still %s", p.ID, p.State)
		}
	}
	if standing := len(standing(ts.shop.terminal)); standing != inJournal || inJournal != approved {
		ts.tb.Errorf("the terminal holds %d charges, the journal %d approvals, the tills were told of %d", standing, inJournal, approved)
	}
}

// standing are the charges that were not taken back.
func standing(t interface{ Charges() []terminalsim.Charge }) []terminalsim.Charge {
	var list []terminalsim.Charge
	for _, c := range t.Charges() {
		if c.Standing() {
			list = append(list, c)
		}
	}
	return list
}

// reconfigure changes a line of the configuration for the agent's next start.
func (ts *testShop) reconfigure(line, by string) {
	ts.tb.Helper()
	text, err := os.ReadFile(ts.shop.config())
	ts.must(err)
	if !strings.Contains(string(text), line+"\n") {
		ts.tb.Fatalf("no line %s in the configuration", line)
	}
	ts.must(os.WriteFile(ts.shop.config(), []byte(strings.Replace(string(text), line, by, 1)), 0o600))
}

// drain waits until nothing is on its way. How fast a long queue empties is for the machine and the pacer to say; it
// gives up when nothing has moved for longer than any wait after a fault.
func (ts *testShop) drain() {
	ts.tb.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	left, moved := -1, time.Now()
	for ; ; <-tick.C {
		q, err := ts.admin.DrainQueue(ts.ctx, 5*time.Second)
		ts.must(err)
		now := q.Queued + q.Sending + q.InDoubt
		if now == 0 {
			return
		}
		if now != left {
			left, moved = now, time.Now()
		}
		if time.Since(moved) > 6*time.Minute {
			ts.tb.Fatalf("the queue does not empty: %d queued, %d sending, %d in doubt", q.Queued, q.Sending, q.InDoubt)
		}
	}
}

// settleAll is the person: what is in the cloud is settled, what is not is sent again.
func (ts *testShop) settleAll(parked []offline.Item) {
	ts.tb.Helper()
	inCloud := map[string]string{}
	for _, p := range ts.shop.cloud.Ledger() {
		inCloud[p.TransactionID] = p.ID
	}
	for _, i := range parked {
		d := offline.Decision{OpID: i.ID, Action: offline.Resend, Note: "not found in the console"}
		if id := inCloud[i.SearchFor]; id != "" {
			d = offline.Decision{OpID: i.ID, Action: offline.Settle, CloudID: id, Note: "seen in the console"}
		}
		_, err := ts.admin.Decide(ts.ctx, d)
		ts.must(err)
	}
	ts.drain()
}

func (ts *testShop) allItems(state offline.State) []offline.Item {
	ts.tb.Helper()
	var items []offline.Item
	for cursor := ""; ; {
		page, err := ts.admin.QueueItems(ts.ctx, url.Values{"state": {string(state)}, "limit": {"500"}, "cursor": {cursor}})
		ts.must(err)
		items = append(items, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return items
		}
	}
}

func (ts *testShop) allPayments() []payments.Payment {
	ts.tb.Helper()
	var list []payments.Payment
	for cursor := ""; ; {
		page, err := ts.admin.Payments(ts.ctx, url.Values{"limit": {"500"}, "cursor": {cursor}})
		ts.must(err)
		list = append(list, page.Items...)
		if cursor = page.NextCursor; cursor == "" {
			return list
		}
	}
}
