package offlinetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/sale"
)

// NewGiftcard makes a well-formed transaction with its operation. Code and PIN stand for what is sealed.
func NewGiftcard(stream string, kind offline.TransType, mode offline.CardMode, amount string, at time.Time) (offline.Giftcard, offline.Operation) {
	id := newID()
	payload := json.RawMessage(`{"giftcardTransactionId":"` + id + `"}`)
	signed := amount
	if kind == offline.CardUse {
		signed = "-" + amount
	}
	op := offline.Operation{
		ID: id, Type: offline.GiftcardTrans, Stream: stream, Payload: payload, Ref: "Ref No " + id, Amount: signed, Currency: "USD",
		State: offline.Queued, CreatedAt: at,
	}
	return offline.Giftcard{
		ID: id, Stream: stream, Mask: "****1234", CodeType: "PHYSICAL", TransType: kind, Mode: mode, Amount: amount, Currency: "USD",
		Reference: "slip 7", SourceID: "DALLAS/LANE-1", SealedCode: []byte("sealed code"), SealedPIN: []byte("sealed pin"),
		CreatedAt: at, CreatedBy: "pairing-1",
	}, op
}

// card adds a transaction to the store.
func (s *suite) card(stream string, mode offline.CardMode) string {
	s.Helper()
	g, op := NewGiftcard(stream, offline.CardUse, mode, "6.49", start)
	if err := s.store.AddGiftcard(s.ctx, g, op, journal.Entry{}); err != nil {
		s.Fatalf("AddGiftcard: %v", err)
	}
	return g.ID
}

func (s *suite) cardOf(id string) offline.Giftcard {
	s.Helper()
	g, err := s.store.Giftcard(s.ctx, id)
	if err != nil {
		s.Fatalf("Giftcard: %v", err)
	}
	return g
}

// wantCard compares a transaction's state.
func (s *suite) wantCard(id string, want offline.GiftcardState) offline.Giftcard {
	s.Helper()
	g := s.cardOf(id)
	if state, reason, _ := g.State(start.Add(time.Minute)); state != want {
		s.Errorf("transaction is %s %s, want %s", state, reason, want)
	}
	return g
}

// deliver ends an operation well.
func (s *suite) deliver(id string, r offline.Result) {
	s.Helper()
	s.begin(id, s.op(id).Attempts+1)
	r.State, r.FinishedAt = offline.Delivered, start.Add(time.Minute)
	if err := s.store.Finish(s.ctx, id, s.op(id).Attempts, r); err != nil {
		s.Fatalf("Finish: %v", err)
	}
}

func (s *suite) open(stream string) int {
	s.Helper()
	list, err := s.store.OpenGiftcards(s.ctx, stream)
	if err != nil {
		s.Fatalf("OpenGiftcards: %v", err)
	}
	return len(list)
}

func cardReadsBack(s *suite) {
	g, op := NewGiftcard("card:1", offline.CardUse, offline.CardAuthorize, "6.49", start)
	k := journal.Key{PairingID: "p", Text: "k"}
	e := journal.Entry{Key: &k, Answer: journal.Answer{Status: 201}, Events: []journal.Event{journal.NewEvent("giftcard", start, 1)}}
	if err := s.store.AddGiftcard(s.ctx, g, op, e); err != nil {
		s.Fatal(err)
	}
	got := s.cardOf(g.ID)
	if got.Trans.ID != op.ID || got.Trans.State != offline.Queued || got.Trans.Amount != "-6.49" || got.Trans.Stream != "card:1" {
		s.Errorf("operation %+v", got.Trans)
	}
	got.Trans = offline.Operation{}
	if !reflect.DeepEqual(got, g) {
		s.Errorf("got  %+v\nwant %+v", got, g)
	}
	if err := s.store.AddGiftcard(s.ctx, g, op, e); !errors.Is(err, journal.ErrKeyUsed) {
		s.Errorf("same key: %v", err)
	}
	if _, err := s.store.Giftcard(s.ctx, "none"); !errors.Is(err, journal.ErrNotFound) {
		s.Errorf("unknown: %v", err)
	}
	if c := s.counts(); c.ByState[offline.Queued] != 1 || c.OpenAmounts["USD"] != "6.49" {
		s.Errorf("counts %+v", c)
	}
}

func cardForgetsItsPIN(s *suite) {
	for name, end := range map[string]offline.Result{
		"delivered": {State: offline.Delivered, CloudID: "H1", Balance: "18.51", GiftcardID: "30004", ExpiresAt: start.Add(time.Hour)},
		"declined":  {State: offline.Discarded, Reason: offline.Rejected, Error: &offline.Fault{Code: "X"}},
	} {
		id := s.card("card:"+name, offline.CardAuthorize)
		s.begin(id, 1)
		if g := s.cardOf(id); !bytes.Equal(g.SealedPIN, []byte("sealed pin")) {
			s.Errorf("%s: the PIN is gone before the end", name)
		}
		end.FinishedAt = start.Add(time.Minute)
		if err := s.store.Finish(s.ctx, id, 1, end); err != nil {
			s.Fatal(err)
		}
		g := s.cardOf(id)
		if len(g.SealedPIN) != 0 || len(g.SealedCode) == 0 {
			s.Errorf("%s: pin %q code %q", name, g.SealedPIN, g.SealedCode)
		}
		if g.Balance != end.Balance || g.GiftcardID != end.GiftcardID || !g.ExpiresAt.Equal(end.ExpiresAt) {
			s.Errorf("%s: %+v", name, g)
		}
	}
	id := s.card("card:parked", offline.CardImmediate)
	s.begin(id, 1)
	if err := s.store.Finish(s.ctx, id, 1, offline.Result{State: offline.Parked, Reason: offline.Unknown, FinishedAt: start}); err != nil {
		s.Fatal(err)
	}
	if len(s.cardOf(id).SealedPIN) == 0 {
		s.Error("a parked transaction may be sent again and has lost its PIN")
	}
	d := offline.Decision{OpID: id, Action: offline.Discard, Note: "n"}
	if _, err := s.store.Decide(s.ctx, d, journal.Entry{Actor: journal.Actor{Name: "Ana", Role: journal.RoleTechnician}}); err != nil {
		s.Fatal(err)
	}
	if g := s.wantCard(id, offline.CardCanceled); len(g.SealedPIN) != 0 {
		s.Error("a discarded transaction keeps its PIN")
	}
	b, err := s.store.KnownBalance(s.ctx, "card:delivered")
	if err != nil || b.Balance != "18.51" || !b.AsOf.Equal(start.Add(time.Minute)) {
		s.Errorf("balance %+v %v", b, err)
	}
}

func cardOpenList(s *suite) {
	now, held, other := s.card("card:1", offline.CardImmediate), s.card("card:1", offline.CardAuthorize), s.card("card:2", offline.CardAuthorize)
	if a, b, c := s.open(""), s.open("card:1"), s.open("card:9"); a != 3 || b != 2 || c != 0 {
		s.Errorf("open: %d %d %d", a, b, c)
	}
	s.deliver(now, offline.Result{})
	s.deliver(held, offline.Result{CloudID: "H1"})
	s.wantCard(now, offline.CardCompleted)
	s.wantCard(held, offline.CardAuthorized)
	if n := s.open("card:1"); n != 1 {
		s.Errorf("open after one is completed: %d", n)
	}
	if err := s.store.WithdrawGiftcard(s.ctx, other, &offline.Fault{Code: "late"}, start, journal.Entry{}); err != nil {
		s.Fatal(err)
	}
	if g := s.wantCard(other, offline.CardCanceled); len(g.SealedPIN) != 0 || g.Trans.Error == nil || g.Trans.Error.Code != "late" {
		s.Errorf("withdrawn: %+v", g)
	}
	if err := s.store.WithdrawGiftcard(s.ctx, held, nil, start, journal.Entry{}); !errors.Is(err, offline.ErrState) {
		s.Errorf("withdraw what was sent: %v", err)
	}
	if n := s.open(""); n != 1 {
		s.Errorf("open at the end: %d", n)
	}
}

func cardChanges(s *suite) {
	id, before := s.card("card:1", offline.CardAuthorize), "25.00"
	if err := s.store.ChangeGiftcard(s.ctx, id, offline.GiftcardChange{Before: &before, Offline: true}, journal.Entry{}); err != nil {
		s.Fatal(err)
	}
	if g := s.cardOf(id); g.Before != before || !g.Offline || !g.CanceledAt.IsZero() || g.Expired {
		s.Errorf("%+v", g)
	}
	s.deliver(id, offline.Result{CloudID: "H1"})
	if err := s.store.ChangeGiftcard(s.ctx, id, offline.GiftcardChange{Offline: true}, journal.Entry{}); !errors.Is(err, offline.ErrState) {
		s.Errorf("accepted for an outage after it was sent: %v", err)
	}
	if err := s.store.ChangeGiftcard(s.ctx, id, offline.GiftcardChange{CanceledAt: start}, journal.Entry{}); err != nil {
		s.Fatal(err)
	}
	s.wantCard(id, offline.CardCanceled)
	lapsed := s.card("card:2", offline.CardAuthorize)
	s.deliver(lapsed, offline.Result{CloudID: "H2"})
	if err := s.store.ChangeGiftcard(s.ctx, lapsed, offline.GiftcardChange{Expired: true}, journal.Entry{}); err != nil {
		s.Fatal(err)
	}
	s.wantCard(lapsed, offline.CardExpired)
	if n := s.open(""); n != 0 {
		s.Errorf("%d are open", n)
	}
	if err := s.store.ChangeGiftcard(s.ctx, "none", offline.GiftcardChange{Before: &before}, journal.Entry{}); !errors.Is(err, journal.ErrNotFound) {
		s.Errorf("unknown: %v", err)
	}
}

// capture makes the operation that captures a transaction.
// cardSentAgain: what a person sends again is relied on, as if it had been accepted for an outage; what they end is not.
func cardSentAgain(s *suite) {
	for action, relied := range map[offline.Action]bool{offline.Resend: true, offline.Discard: false} {
		id := s.card("card:"+string(action), offline.CardImmediate)
		s.bring(id, offline.Result{State: offline.Parked, Reason: offline.Unknown})
		s.decide(id, action)
		if g := s.cardOf(id); g.Offline != relied {
			s.Errorf("after %s: %+v", action, g)
		}
	}
}

func capture(g offline.Giftcard, saleID string) (offline.CardCapture, offline.Operation) {
	op := offline.Operation{
		ID: newID(), Type: offline.GiftcardCapture, SaleID: saleID, Stream: g.Stream, DependsOn: []string{g.ID},
		Payload: json.RawMessage(`{"giftcardTransactionId":"` + g.ID + `"}`), Ref: "r", Amount: "-6.49", Currency: "USD",
		State: offline.Queued, CreatedAt: start,
	}
	return offline.CardCapture{TransactionID: g.ID, OpID: op.ID, Amount: "6.49"}, op
}

func cardCapture(s *suite) {
	id := s.card("card:1", offline.CardAuthorize)
	c, op := capture(s.cardOf(id), "")
	if err := s.store.CaptureGiftcard(s.ctx, c, op, journal.Entry{}); err != nil {
		s.Fatal(err)
	}
	if got := s.heads(start.Add(time.Hour)); len(got) != 1 || got[0] != id {
		s.Errorf("a capture is a head before its transaction: %v", got)
	}
	s.deliver(id, offline.Result{CloudID: "H1", Balance: "18.51"})
	if got := s.heads(start.Add(time.Hour)); len(got) != 1 || got[0] != op.ID {
		s.Errorf("heads %v", got)
	}
	if g := s.wantCard(id, offline.CardAuthorized); g.CapturedAmount != "6.49" || g.Capture == nil || g.Capture.ID != op.ID {
		s.Errorf("%+v", g)
	}
	c2, op2 := capture(s.cardOf(id), "")
	if err := s.store.CaptureGiftcard(s.ctx, c2, op2, journal.Entry{}); !errors.Is(err, offline.ErrState) {
		s.Errorf("second capture: %v", err)
	}
	if _, err := s.store.Operation(s.ctx, op2.ID); !errors.Is(err, journal.ErrNotFound) {
		s.Errorf("a refused capture left its operation: %v", err)
	}
	if err := s.store.ChangeGiftcard(s.ctx, id, offline.GiftcardChange{CanceledAt: start}, journal.Entry{}); !errors.Is(err, offline.ErrState) {
		s.Errorf("cancel of a captured one: %v", err)
	}
	s.deliver(op.ID, offline.Result{CloudID: "H1", Balance: "18.00"})
	if g := s.wantCard(id, offline.CardCompleted); g.Balance != "18.00" {
		s.Errorf("balance %s", g.Balance)
	}
	if n := s.open(""); n != 0 {
		s.Errorf("%d are open", n)
	}
	immediate := s.card("card:2", offline.CardImmediate)
	c3, op3 := capture(s.cardOf(immediate), "")
	if err := s.store.CaptureGiftcard(s.ctx, c3, op3, journal.Entry{}); !errors.Is(err, offline.ErrState) {
		s.Errorf("capture of an immediate one: %v", err)
	}
}

func cardTenders(s *suite) {
	waits, held := s.card("card:1", offline.CardImmediate), s.card("card:2", offline.CardAuthorize)
	sell := func(tx string, refund bool, captures ...string) (offline.Acceptance, error) {
		a := s.next()
		a.Record.Tenders = []offline.Tender{{Type: "cash", Amount: "1.00"}, {Type: "giftcard", GiftcardTransactionID: tx}}
		if refund {
			a.Record.Kind = sale.Refunded
		}
		for _, id := range captures {
			c, op := capture(s.cardOf(id), a.Record.ID)
			a.Captures, a.Operations = append(a.Captures, c), append([]offline.Operation{op}, a.Operations...)
		}
		return a, s.store.AcceptSale(s.ctx, a, journal.Entry{})
	}
	refused := func(err error, why string) {
		s.Helper()
		var e *offline.TenderError
		if !errors.As(err, &e) || e.Why != why || e.Index != 1 {
			s.Errorf("%v, want tender 1 %s", err, why)
		}
	}
	_, err := sell("none", false)
	refused(err, "unknown")
	_, err = sell(waits, false)
	refused(err, "not_approved")
	if err := s.store.ChangeGiftcard(s.ctx, waits, offline.GiftcardChange{Offline: true}, journal.Entry{}); err != nil {
		s.Fatal(err)
	}
	_, err = sell(waits, true)
	refused(err, "not_approved")
	a, err := sell(waits, false)
	if err != nil {
		s.Fatal(err)
	}
	if g := s.cardOf(waits); g.SaleID != a.Record.ID || g.Trans.SaleID != a.Record.ID {
		s.Errorf("claimed: %+v", g)
	}
	_, err = sell(waits, false)
	refused(err, "already_used")
	if err := s.store.WithdrawGiftcard(s.ctx, waits, nil, start, journal.Entry{}); !errors.Is(err, offline.ErrState) {
		s.Errorf("withdraw what a sale relies on: %v", err)
	}
	s.begin(waits, 1)
	if err := s.store.Finish(s.ctx, waits, 1, offline.Result{State: offline.Parked, Reason: offline.Rejected, FinishedAt: start}); err != nil {
		s.Fatal(err)
	}
	if v := s.sale(a.Record.ID); v.State != offline.Parked {
		s.Errorf("sale is %s although its gift card is parked", v.State)
	}
	s.deliver(held, offline.Result{CloudID: "H1"})
	b, err := sell(held, false, held)
	if err != nil {
		s.Fatal(err)
	}
	if g := s.cardOf(held); g.Capture == nil || g.Capture.SaleID != b.Record.ID || g.CapturedAmount != "6.49" {
		s.Errorf("captured with its sale: %+v", g)
	}
	if v := s.sale(b.Record.ID); v.State != offline.Queued {
		s.Errorf("sale is %s", v.State)
	}
	s.deliver(b.Operations[0].ID, offline.Result{CloudID: "H1"})
	s.deliver(b.Operations[1].ID, offline.Result{CloudID: "P1"})
	if v := s.sale(b.Record.ID); v.State != offline.Delivered || v.CloudID != "P1" {
		s.Errorf("sale is %s %s", v.State, v.CloudID)
	}
	s.wantCard(held, offline.CardCompleted)
}

func cardBalances(s *suite) {
	if _, err := s.store.KnownBalance(s.ctx, "card:1"); !errors.Is(err, journal.ErrNotFound) {
		s.Errorf("unknown: %v", err)
	}
	for _, b := range []offline.KnownBalance{
		{Stream: "card:1", GiftcardID: "30004", Balance: "25.00", AsOf: start}, {Stream: "card:1", Balance: "24.00", AsOf: start.Add(time.Second)},
	} {
		if err := s.store.KeepBalance(s.ctx, b); err != nil {
			s.Fatal(err)
		}
	}
	got, err := s.store.KnownBalance(s.ctx, "card:1")
	if want := (offline.KnownBalance{Stream: "card:1", GiftcardID: "30004", Balance: "24.00", AsOf: start.Add(time.Second)}); err != nil || got != want {
		s.Errorf("%+v %v", got, err)
	}
}
