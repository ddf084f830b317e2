package offline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/payments/money"
)

// Codes of the scripted cloud's cards.
const (
	cardCode  = "6006491234567897"
	otherCode = "6006499876543210"
	cardPIN   = "83519274" // long enough to stand in no random id
)

// cardReply is what the card cloud does with one attempt.
type cardReply struct {
	skip    bool             // do not execute
	lose    bool             // execute, and lose the answer
	verdict *offline.Verdict // instead of executing
	partly  string           // move the balance by this instead
	takes   time.Duration
}

// hold is a transaction at the card cloud.
type hold struct {
	id, ref, amount, code string
	authorized, captured  bool
	lapsed                bool
	captures              int // that spent
}

// cardCloud keeps cards and a ledger that does not look for duplicates, over the purchases of cloud.
type cardCloud struct {
	*cloud
	t testing.TB

	mu      sync.Mutex
	reply   func(op offline.Operation, p offline.CardPayload) cardReply
	find    func() *offline.Verdict // for lookups, nil is well
	balance map[string]string
	trans   []*hold
	lookups int
	issued  []string
}

func newCardCloud(t testing.TB, c *cloud) *cardCloud {
	return &cardCloud{cloud: c, t: t, balance: map[string]string{cardCode: "25.00", otherCode: "5.00"}}
}

func (c *cardCloud) replies(f func(op offline.Operation, p offline.CardPayload) cardReply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reply = f
}

func (c *cardCloud) finds(v *offline.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.find = func() *offline.Verdict { return v }
}

func add(t testing.TB, a, b string) string {
	t.Helper()
	x, err1 := money.Parse(a, "USD")
	y, err2 := money.Parse(b, "USD")
	if err1 != nil || err2 != nil {
		t.Fatalf("add %q and %q", a, b)
	}
	sum, err := x.Add(y)
	if err != nil {
		t.Fatal(err)
	}
	return sum.String()
}

func less(t testing.TB, a, b string) bool {
	t.Helper()
	x, err1 := money.Parse(a, "USD")
	y, err2 := money.Parse(b, "USD")
	if err1 != nil || err2 != nil {
		t.Fatalf("compare %q and %q", a, b)
	}
	return x.Cmp(y) < 0
}

func (c *cardCloud) Send(ctx context.Context, op offline.Operation) offline.Verdict {
	if op.Type == offline.Purchase {
		return c.cloud.Send(ctx, op)
	}
	var p offline.CardPayload
	if err := json.Unmarshal(op.Payload, &p); err != nil {
		c.t.Error(err)
	}
	c.mu.Lock()
	var r cardReply
	if c.reply != nil {
		r = c.reply(op, p)
	}
	v := c.execute(op, p, r)
	c.mu.Unlock()
	select {
	case <-time.After(r.takes):
	case <-ctx.Done():
		return dropped.verdict
	}
	return v
}

func unknown(code string) offline.Verdict {
	return offline.Verdict{Class: offline.ClassDoubt, Answered: true, HTTPStatus: 400, Fault: &offline.Fault{Code: code, Message: "no"}}
}

func (c *cardCloud) execute(op offline.Operation, p offline.CardPayload, r cardReply) offline.Verdict {
	switch {
	case r.verdict != nil:
		if r.partly != "" {
			c.balance[p.Code] = add(c.t, c.balance[p.Code], r.partly)
		}
		return *r.verdict
	case r.skip:
		return dropped.verdict
	}
	v := c.apply(op, p)
	if r.lose {
		return lost.verdict
	}
	return v
}

func (c *cardCloud) apply(op offline.Operation, p offline.CardPayload) offline.Verdict {
	if op.Type == offline.GiftcardCapture {
		for _, h := range c.trans {
			if h.id != p.CloudID {
				continue
			}
			if h.captured || h.lapsed {
				return unknown("NOT_HELD")
			}
			h.captured = true
			h.captures++
			if p.TransType == "ADD" {
				c.balance[h.code] = add(c.t, c.balance[h.code], h.amount)
			}
			return offline.Verdict{Class: offline.ClassDelivered, CloudID: h.id, Balance: c.balance[h.code]}
		}
		return unknown("NO_TRANS")
	}
	if p.Code == cardCode && p.PIN != cardPIN && p.TransType == "USE" {
		return unknown("WRONG_PIN")
	}
	after := add(c.t, c.balance[p.Code], p.Amount)
	if less(c.t, after, "0") {
		return unknown("NO_FUNDS")
	}
	h := &hold{id: fmt.Sprintf("H%d", len(c.trans)+1), ref: p.RefNo, amount: p.Amount, code: p.Code, authorized: p.Authorize, captured: !p.Authorize}
	c.trans = append(c.trans, h)
	if !p.Authorize || p.TransType == "USE" {
		c.balance[p.Code] = after
	}
	return offline.Verdict{Class: offline.ClassDelivered, CloudID: h.id, Balance: c.balance[p.Code], GiftcardID: "30004"}
}

// lapse ends the holds that nobody captured.
func (c *cardCloud) lapse() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range c.trans {
		if h.authorized && !h.captured && !h.lapsed {
			h.lapsed = true
			c.balance[h.code] = add(c.t, c.balance[h.code], h.amount[1:])
		}
	}
}

func (c *cardCloud) FindGiftcards(_ context.Context, code, _ string) ([]offline.CloudCard, bool, offline.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lookups++
	if c.find != nil {
		if v := c.find(); v != nil {
			return nil, false, *v
		}
	}
	b, ok := c.balance[code]
	if !ok {
		return nil, false, offline.Verdict{Class: offline.ClassDelivered}
	}
	return []offline.CloudCard{{ID: "30004", Balance: b, Codes: []offline.CardCode{{CodeType: "PHYSICAL", Code: code}}}}, false,
		offline.Verdict{Class: offline.ClassDelivered}
}

func (c *cardCloud) AddGiftcard(_ context.Context, code, _ string) (offline.CloudCard, offline.Verdict) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issued = append(c.issued, code)
	c.balance[code] = "0.00"
	return offline.CloudCard{ID: "30009"}, offline.Verdict{Class: offline.ClassDelivered, CloudID: "30009"}
}

// spent counts by reference how often the cloud moved money for good.
func (c *cardCloud) spent(ref string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, h := range c.trans {
		if h.ref == ref && h.captured {
			n++
		}
	}
	return n
}

func (c *cardCloud) holds(code string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.balance[code]
}

// oneKey is a key provider.
type oneKey [32]byte

func (k oneKey) Key(context.Context) ([32]byte, error) { return k, nil }

// cardShop is a shop that takes gift cards.
type cardShop struct {
	*shop
	cards *cardCloud
	rules offline.GiftcardRules
	gc    *offline.GiftcardDesk
}

func usd(t testing.TB, text string) money.Amount {
	t.Helper()
	a, err := money.Parse(text, "USD")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func newCardShop(t *testing.T, change ...func(*offline.ForwarderConfig)) *cardShop {
	s := &cardShop{shop: &shop{T: t}}
	s.shop = newShop(t, append([]func(*offline.ForwarderConfig){func(c *offline.ForwarderConfig) {
		s.cards = newCardCloud(t, c.Cloud.(*cloud))
		c.Cloud, c.Giftcards, c.Keys, c.GiftcardHold = s.cards, s.cards, oneKey{1, 2, 3}, time.Hour
		c.StartRate, c.ResumeJitter = 50, 0
	}}, change...)...)
	s.rules = offline.GiftcardRules{
		AllowUse: true, AllowAdd: true, MaxAmount: usd(t, "20"), MaxTotal: usd(t, "40"), MaxCount: 3, MaxAge: 24 * time.Hour,
	}
	s.openCards()
	return s
}

func (s *cardShop) openCards() {
	s.Helper()
	var err error
	s.gc, err = offline.NewGiftcardDesk(offline.GiftcardConfig{
		Store: s.cfg.Store, Forwarder: s.f, Log: slog.New(slog.DiscardHandler), SourceID: "DALLAS/LANE-1", Currency: "USD", Rules: s.rules,
	})
	if err != nil {
		s.Fatal(err)
	}
}

// start lets the agent run, and waits until the way is open.
func (s *cardShop) start() {
	s.Helper()
	s.run()
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan error, 1)
	gc := s.gc
	go func() { done <- gc.Run(ctx) }()
	stop := s.stop
	s.stop = func() {
		s.Helper()
		stop()
		cancel()
		if err := <-done; err != nil {
			s.Error(err)
		}
	}
	pass(time.Second)
}

// again is a stop and a start on the same store.
func (s *cardShop) again() {
	s.Helper()
	s.stop()
	s.open()
	s.openCards()
	s.start()
}

// away cuts the line and waits until it is known.
func (s *cardShop) away() {
	s.cloud.probing(offline.ClassNotExecuted)
	s.cards.finds(&unsent.verdict)
	s.cards.replies(func(offline.Operation, offline.CardPayload) cardReply { return cardReply{verdict: &unsent.verdict} })
	pass(2 * time.Minute)
}

func (s *cardShop) back() {
	s.cloud.probing(offline.ClassDelivered)
	s.cards.finds(nil)
	s.cards.replies(nil)
	pass(time.Minute)
}

func (s *cardShop) request(kind offline.TransType, mode offline.CardMode, amount string) offline.CardRequest {
	return offline.CardRequest{
		CardRef: offline.CardRef{Code: cardCode, CodeType: "PHYSICAL", PIN: cardPIN}, TransType: kind, Mode: mode, Amount: usd(s, amount),
	}
}

func noCardEntry(offline.GiftcardView) journal.Entry { return journal.Entry{} }

func (s *cardShop) do(r offline.CardRequest) offline.GiftcardView {
	s.Helper()
	v, err := s.gc.Transact(s.Context(), r, tech, noCardEntry)
	if err != nil {
		s.Fatalf("transact: %v", err)
	}
	return v
}

func (s *cardShop) use(mode offline.CardMode, amount string) offline.GiftcardView {
	s.Helper()
	return s.do(s.request(offline.CardUse, mode, amount))
}

func (s *cardShop) tx(id string) offline.GiftcardView {
	s.Helper()
	v, err := s.gc.Transaction(s.Context(), id)
	if err != nil {
		s.Fatal(err)
	}
	return v
}

func (s *cardShop) wantCard(id string, state offline.GiftcardState, reason offline.Reason) offline.GiftcardView {
	s.Helper()
	v := s.tx(id)
	if v.State != state || v.Reason != reason {
		s.Errorf("transaction is %s %q (%+v), want %s %q", v.State, v.Reason, v.Error, state, reason)
	}
	return v
}

// pay sells something paid by a gift card transaction.
func (s *cardShop) pay(id string) (offline.Record, error) {
	s.n++
	raw := body(fmt.Sprintf("T%05d", s.n), "10.00", "")
	raw = append(raw[:len(raw)-1], fmt.Sprintf(`,"tenders":[{"type":"giftcard","giftcardTransactionId":%q}]}`, id)...)
	return s.desk.Accept(s.Context(), raw, tech, func(offline.Record) journal.Entry { return journal.Entry{} })
}
