package sqlite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/payments/money"
)

// ledgerCloud is a cloud that counts executions by what a person would search for, and never looks for duplicates. All
// machines of a test share it.
type ledgerCloud struct {
	mu     sync.Mutex
	ledger map[string]int
	codes  []string
	cut    map[string]bool // a transaction whose answer is lost
}

// lane is the way of one machine to it.
type lane struct {
	*ledgerCloud
	away *bool
}

func (l lane) Send(_ context.Context, op offline.Operation) offline.Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	var p offline.CardPayload
	ref := op.Ref
	if op.Type == offline.GiftcardTrans {
		if err := json.Unmarshal(op.Payload, &p); err != nil {
			return offline.Verdict{Class: offline.ClassDoubt}
		}
		ref = p.RefNo
		l.codes = append(l.codes, p.Code+"/"+p.PIN)
	}
	l.ledger[ref]++
	if l.cut[ref] {
		return offline.Verdict{Class: offline.ClassDoubt}
	}
	return offline.Verdict{Class: offline.ClassDelivered, CloudID: "P-" + ref, Balance: "30.00"}
}

func (l lane) Probe(context.Context) offline.Verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	if *l.away {
		return offline.Verdict{Class: offline.ClassNotExecuted, Fault: &offline.Fault{Code: "dial"}}
	}
	return offline.Verdict{Class: offline.ClassDelivered}
}

func (l lane) FindGiftcards(context.Context, string, string) ([]offline.CloudCard, bool, offline.Verdict) {
	return []offline.CloudCard{{ID: "C-1", Balance: "10.00"}}, false, offline.Verdict{Class: offline.ClassDelivered}
}

func (l lane) AddGiftcard(context.Context, string, string) (offline.CloudCard, offline.Verdict) {
	return offline.CloudCard{}, offline.Verdict{Class: offline.ClassRejected}
}

// fixedKey is a key of one machine.
type fixedKey byte

func (k fixedKey) Key(context.Context) (key [32]byte, err error) {
	key[0] = byte(k)
	return key, nil
}

// box is one machine with all that handles its queue.
type box struct {
	*testing.T
	s     *Store
	desk  *offline.Desk
	cards *offline.GiftcardDesk
	away  bool
	cloud *ledgerCloud
}

func newBox(t *testing.T, cloud *ledgerCloud, key byte, away bool) *box {
	b := &box{T: t, s: openTemp(t), away: away, cloud: cloud}
	way := lane{cloud, &b.away}
	f, err := offline.NewForwarder(offline.ForwarderConfig{
		Store: b.s.Outbox(), Cloud: way, Settings: b.s.Settings(), Events: b.s.Events(), Log: slog.New(slog.DiscardHandler),
		Currency: "USD", StartRate: 100, Giftcards: way, Keys: fixedKey(key),
	})
	if err != nil {
		t.Fatal(err)
	}
	b.desk, err = offline.NewDesk(offline.DeskConfig{
		Store: b.s.Outbox(), Forwarder: f, Moves: b.s.Outbox(), Log: slog.New(slog.DiscardHandler), StoreCode: "DALLAS",
		Register: fmt.Sprint("LANE-", key), Currency: "USD", SendPurchases: true, MoveIterations: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.cards, err = offline.NewGiftcardDesk(offline.GiftcardConfig{
		Store: b.s.Outbox(), Forwarder: f, Log: slog.New(slog.DiscardHandler), SourceID: "DALLAS/LANE", Currency: "USD",
		Rules: offline.GiftcardRules{AllowAdd: true},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

func (b *box) sell(transaction string) {
	b.Helper()
	body := fmt.Sprintf(`{"transactionId":%q,"purchasedOn":"2026-03-07T09:00:00","payAmount":"10.00","saleDiscountAmount":"0",
"itemDiscountAmount":"0","subTotal":"10.00","refundAmount":"0","taxAmount":"0","lineItems":[{"lineNumber":1,"sku":"A","isRefund":false,
"unitPrice":"10.00","extPrice":"10.00","itemDiscountAmount":"0","saleDiscountAmount":"0","quantity":"1","uom":"EA"}]}`, transaction)
	_, err := b.desk.Accept(b.Context(), json.RawMessage(body), mover.Actor, func(offline.Record) journal.Entry { return journal.Entry{} })
	if err != nil {
		b.Fatal(err)
	}
}

// drain delivers what can be delivered.
func (b *box) drain() offline.QueueStatus {
	b.Helper()
	b.cloud.mu.Lock()
	b.away = false
	b.cloud.mu.Unlock()
	ctx, cancel := context.WithTimeout(b.Context(), 90*time.Second)
	defer cancel()
	return b.desk.Drain(ctx)
}

const passphrase = "correct horse battery"

// cardPIN is long enough to stand in no random id and in no encrypted file by chance.
const cardPIN = "47119283"

// parts splits a file as a person's command does.
func parts(file []byte, passphrase string) []offline.MovePart {
	lines := strings.Split(strings.TrimSpace(string(file)), "\n")
	var list []offline.MovePart
	for i, line := range lines[1:] {
		list = append(list, offline.MovePart{Head: lines[0], Part: line, Index: i, Last: i == len(lines)-2, Passphrase: passphrase})
	}
	return list
}

// TestMovedQueueIsExecutedOnceOverall moves sales and a gift card with its PIN, takes them in twice, lets both machines
// deliver what they have, and counts at the cloud.
func TestMovedQueueIsExecutedOnceOverall(t *testing.T) {
	cloud := &ledgerCloud{ledger: map[string]int{}}
	from, to := newBox(t, cloud, 1, true), newBox(t, cloud, 2, true)
	from.sell("T-1")
	from.sell("T-2")
	amount, err := money.Parse("20.00", "USD")
	if err != nil {
		t.Fatal(err)
	}
	card, err := from.cards.Transact(t.Context(), offline.CardRequest{
		CardRef: offline.CardRef{Code: "6006491234567890", PIN: cardPIN}, TransType: offline.CardAdd, Mode: offline.CardImmediate, Amount: amount,
	}, mover.Actor, func(offline.GiftcardView) journal.Entry { return journal.Entry{} })
	if err != nil {
		t.Fatal(err)
	}
	m, err := from.desk.MoveOut(t.Context(), passphrase, "new box", mover.Actor)
	if err != nil || m.Operations != 3 {
		t.Fatalf("%+v, %v", m, err)
	}
	file, err := from.desk.MoveFile(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"6006491234567890", cardPIN, "T-1", passphrase} {
		if strings.Contains(string(file), secret) {
			t.Errorf("the file shows %q", secret)
		}
	}
	if e := from.desk.Status().Exposure; e.Count != 0 || e.Amount != "0.00" || from.desk.Status().Moved != 3 {
		t.Errorf("left behind: %+v", from.desk.Status())
	}
	for range 2 {
		for _, p := range parts(file, passphrase) {
			if _, err := to.desk.MoveIn(t.Context(), p, mover.Actor); err != nil {
				t.Fatal(err)
			}
		}
	}
	if e := to.desk.Status().Exposure; e.Count != 3 || e.Amount != "40.00" {
		t.Errorf("arrived: %+v", e)
	}
	from.sell("T-3")
	from.drain()
	if st := to.drain(); st.Delivered != 3 || st.InDoubt+st.Parked > 0 {
		t.Errorf("delivered there: %+v", st)
	}
	cloud.mu.Lock()
	defer cloud.mu.Unlock()
	for _, ref := range []string{"T-1", "T-2", "T-3", card.ID} {
		if n := cloud.ledger[ref]; n != 1 {
			t.Errorf("%s was executed %d times", ref, n)
		}
	}
	if len(cloud.codes) != 1 || cloud.codes[0] != "6006491234567890/"+cardPIN {
		t.Errorf("cards sent: %v", cloud.codes)
	}
	if v, err := to.cards.Transaction(t.Context(), card.ID); err != nil || v.State != offline.CardCompleted {
		t.Errorf("the card there is %s, %v", v.State, err)
	}
}

func TestMovedFileOpensOnlyWholeAndWithItsPassphrase(t *testing.T) {
	cloud := &ledgerCloud{ledger: map[string]int{}}
	from, to := newBox(t, cloud, 1, true), newBox(t, cloud, 2, true)
	from.sell("T-1")
	from.sell("T-2")
	m, err := from.desk.MoveOut(t.Context(), passphrase, "new box", mover.Actor)
	if err != nil {
		t.Fatal(err)
	}
	file, err := from.desk.MoveFile(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	good := parts(file, passphrase)[0]
	for name, tc := range map[string]struct {
		change func(p *offline.MovePart)
		want   error
	}{
		"passphrase": {func(p *offline.MovePart) { p.Passphrase = "another one altogether" }, offline.ErrPassphrase},
		"cut off":    {func(p *offline.MovePart) { p.Last = false }, offline.ErrPassphrase},
		"reordered":  {func(p *offline.MovePart) { p.Index = 1 }, offline.ErrPassphrase},
		"head":       {func(p *offline.MovePart) { p.Head = strings.Replace(p.Head, `"operations":2`, `"operations":1`, 1) }, offline.ErrPassphrase},
		"one letter": {func(p *offline.MovePart) {
			b := []byte(p.Part)
			if i := len(b) / 2; b[i] == 'A' {
				b[i] = 'B'
			} else {
				b[i] = 'A'
			}
			p.Part = string(b)
		}, offline.ErrPassphrase},
		"no file":   {func(p *offline.MovePart) { p.Head = `{"id":"x"}` }, offline.ErrMoveFile},
		"an export": {func(p *offline.MovePart) { p.Head, p.Part = `{"id":"x","type":"purchase"}`, "{}" }, offline.ErrMoveFile},
		"no base64": {func(p *offline.MovePart) { p.Part = "{}" }, offline.ErrMoveFile},
		"iterations": {func(p *offline.MovePart) {
			p.Head = strings.Replace(p.Head, "\"iterations\":1000", "\"iterations\":999999999", 1)
		}, offline.ErrMoveFile},
	} {
		p := good
		tc.change(&p)
		if _, err := to.desk.MoveIn(t.Context(), p, mover.Actor); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
	if st := to.desk.Status(); st.Exposure.Count != 0 {
		t.Errorf("something came in: %+v", st)
	}
	if _, err := from.desk.MoveOut(t.Context(), passphrase, "again", mover.Actor); !errors.Is(err, offline.ErrNothing) {
		t.Errorf("moved twice: %v", err)
	}
}

// TestBigQueueIsMovedInParts: what does not fit one part arrives whole, and a part that is missing is noticed.
func TestBigQueueIsMovedInParts(t *testing.T) {
	cloud := &ledgerCloud{ledger: map[string]int{}}
	from, to := newBox(t, cloud, 1, true), newBox(t, cloud, 2, true)
	const sales = 600
	for i := range sales {
		from.sell(fmt.Sprintf("T-%04d", i))
	}
	m, err := from.desk.MoveOut(t.Context(), passphrase, "new box", mover.Actor)
	if err != nil {
		t.Fatal(err)
	}
	file, err := from.desk.MoveFile(t.Context(), m.ID)
	if err != nil {
		t.Fatal(err)
	}
	list := parts(file, passphrase)
	if len(list) < 2 {
		t.Fatalf("%d parts of %d bytes", len(list), len(file))
	}
	if _, total, _, err := offline.OpenMove(list[0]); err != nil || total != sales {
		t.Errorf("the file says %d, %v", total, err)
	}
	taken := 0
	for _, p := range list {
		in, err := to.desk.MoveIn(t.Context(), p, mover.Actor)
		if err != nil {
			t.Fatal(err)
		}
		taken += in.Taken
	}
	if st := to.desk.Status(); taken != sales || st.Exposure.Count != sales || st.Exposure.Amount != "6000.00" {
		t.Errorf("%d taken: %+v", taken, st)
	}
}

func TestExportShowsNoSecretsAndIsRemembered(t *testing.T) {
	cloud := &ledgerCloud{ledger: map[string]int{}}
	b := newBox(t, cloud, 1, true)
	for i := range 250 { // more than one page
		b.sell(fmt.Sprintf("T-%04d", i))
	}
	amount, err := money.Parse("20.00", "USD")
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.cards.Transact(t.Context(), offline.CardRequest{
		CardRef: offline.CardRef{Code: "6006491234567890", PIN: cardPIN}, TransType: offline.CardAdd, Mode: offline.CardImmediate, Amount: amount,
	}, mover.Actor, func(offline.GiftcardView) journal.Entry { return journal.Entry{} })
	if err != nil {
		t.Fatal(err)
	}
	if left, exported, err := b.desk.Leaving(t.Context()); err != nil || exported || left.Count != 251 || left.Amount != "2520.00" {
		t.Errorf("before: %+v, %v, %v", left, exported, err)
	}
	var list []offline.Exported
	stop := errors.New("pipe")
	err = b.desk.Export(t.Context(), mover.Actor, func(x offline.Exported) error {
		if list = append(list, x); len(list) == 120 {
			return stop
		}
		return nil
	})
	if _, exported, lerr := b.desk.Leaving(t.Context()); !errors.Is(err, stop) || lerr != nil || exported {
		t.Errorf("a broken export counts: %v, %v", err, lerr)
	}
	list = nil
	if err := b.desk.Export(t.Context(), mover.Actor, func(x offline.Exported) error { list = append(list, x); return nil }); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 251 || strings.Contains(string(text), "600649123456") || strings.Contains(string(text), cardPIN) || !strings.Contains(string(text), `"T-0249"`) {
		t.Errorf("%d exported", len(list))
	}
	if _, exported, err := b.desk.Leaving(t.Context()); err != nil || !exported {
		t.Errorf("after: %v, %v", exported, err)
	}
	b.sell("T-late")
	if _, exported, err := b.desk.Leaving(t.Context()); err != nil || exported {
		t.Errorf("after another sale: %v, %v", exported, err)
	}
}
