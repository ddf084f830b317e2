package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
	"storeagent/register/wire"
)

// cardTx asks for a transaction of the store's one gift card.
func cardTx(kind offline.TransType, mode offline.CardMode, amount string) wire.GiftcardTransaction {
	return wire.GiftcardTransaction{
		CardRef:   wire.CardRef{Code: giftcardCode, CodeType: "PHYSICAL", PIN: giftcardPIN},
		TransType: kind, Mode: mode, Amount: amount, Reference: "slip",
	}
}

// cardIs waits until a transaction is in that state.
func (ts *testShop) cardIs(id string, want offline.GiftcardState) offline.GiftcardView {
	ts.tb.Helper()
	var v offline.GiftcardView
	ts.must(ts.until(ts.ctx, "gift card transaction "+id+" is "+string(want), func() (bool, error) {
		var err error
		v, err = ts.till.GiftcardTransaction(ts.ctx, id)
		return v.State == want, err
	}))
	return v
}

// balanceIs compares what the cloud's card holds.
func (ts *testShop) balanceIs(want string) {
	ts.tb.Helper()
	if got := ts.shop.cloud.Balance(giftcardID); got != want {
		ts.tb.Errorf("the card holds %s, want %s", got, want)
	}
}

// TestGiftcardDay uses a gift card in every way that a day brings, with real processes: scanned, held and captured with
// the sale, refused, through lost answers, an outage and a kill. Code and PIN are in no file, event or answer of it.
func TestGiftcardDay(t *testing.T) {
	t.Parallel()
	ts := openOnlineShop(t, nil)
	heard := ts.listen()

	// A scan stands for the code.
	ts.must(ts.shop.scanner.Scan("]C0", giftcardCode))
	var scan wire.Scan
	ts.eventually("the card is scanned", func() bool {
		for _, ev := range heard.all() {
			if ev.Type == "scan" && json.Unmarshal(ev.Data, &scan) == nil && scan.CodeRef != "" {
				return true
			}
		}
		return false
	})
	found, err := ts.till.LookupGiftcard(ts.ctx, wire.CardRef{CodeRef: scan.CodeRef})
	ts.must(err)
	if found.Balance != "25.00" || found.Source != "cloud" || found.GiftcardID != giftcardID {
		t.Errorf("lookup: %+v", found)
	}

	// Held, then captured with the sale.
	r := cardTx(offline.CardUse, offline.CardAuthorize, "6.49")
	r.Code, r.CodeRef = "", scan.CodeRef
	held, err := ts.till.GiftcardTransact(ts.ctx, "card-1", r)
	ts.must(err)
	held = ts.cardIs(held.ID, offline.CardAuthorized) // a slow machine may take longer than a cashier waits
	if held.State != offline.CardAuthorized || held.Balance != "18.51" {
		t.Fatalf("hold: %+v %+v", held, held.Error)
	}
	sold := cashSale("G0001", "6.49")
	sold.Tenders = []offline.Tender{{Type: "giftcard", GiftcardTransactionID: held.ID}}
	accepted, err := ts.till.PostSale(ts.ctx, "sale-G0001", sold)
	ts.must(err)
	ts.saleState(accepted.ID, offline.Delivered)
	ts.cardIs(held.ID, offline.CardCompleted)
	ts.balanceIs("18.51")

	// Refused by codes nobody knows, and by lost answers that the balance settles.
	wrong := cardTx(offline.CardUse, offline.CardImmediate, "1.00")
	wrong.PIN = "00000000"
	v, err := ts.till.GiftcardTransact(ts.ctx, "card-2", wrong)
	ts.must(err)
	v = ts.cardIs(v.ID, offline.CardDeclined)
	if v.State != offline.CardDeclined || v.Error == nil {
		t.Errorf("wrong PIN: %+v", v)
	}
	for i, mode := range []cloudsim.Mode{cloudsim.ExecuteThenError, cloudsim.ExecuteThenClose} {
		ts.shop.cloud.FailMutations(mode, 1)
		v, err = ts.till.GiftcardTransact(ts.ctx, "card-lost-"+string(mode), cardTx(offline.CardUse, offline.CardImmediate, "1.00"))
		ts.must(err)
		v = ts.cardIs(v.ID, offline.CardCompleted)
		if v.State != offline.CardCompleted {
			t.Errorf("%s: %+v %+v", mode, v, v.Error)
		}
		ts.balanceIs([]string{"17.51", "16.51"}[i])
	}
	ts.online()

	// An outage: within the limits, and beyond them.
	ts.shop.line.cut()
	ts.until(ts.ctx, "the outage shows", func() (bool, error) {
		away, err := ts.till.GiftcardTransact(ts.ctx, "card-probe", cardTx(offline.CardUse, offline.CardImmediate, "25.01"))
		if p := problemOf(err); p != nil {
			return p.Code == "offline_not_allowed" && p.Rule == "max_amount_per_transaction", nil
		}
		return away.State == offline.CardCanceled, err
	})
	waits, err := ts.till.GiftcardTransact(ts.ctx, "card-away", cardTx(offline.CardUse, offline.CardImmediate, "5.00"))
	ts.must(err)
	if waits.State != offline.CardQueued || !waits.Offline {
		t.Fatalf("during the outage: %+v %+v", waits, waits.Error)
	}
	if _, err := ts.till.GiftcardTransact(ts.ctx, "card-over", cardTx(offline.CardUse, offline.CardImmediate, "11.52")); problemOf(err) == nil || problemOf(err).Rule != "balance" {
		t.Errorf("more than the card was known to hold: %v", err)
	}
	sold = cashSale("G0002", "5.00")
	sold.Tenders = []offline.Tender{{Type: "giftcard", GiftcardTransactionID: waits.ID}}
	second, err := ts.till.PostSale(ts.ctx, "sale-G0002", sold)
	ts.must(err)
	ts.restart()
	again, err := ts.till.GiftcardTransact(ts.ctx, "card-away", cardTx(offline.CardUse, offline.CardImmediate, "5.00"))
	ts.must(err)
	if again.ID != waits.ID {
		t.Errorf("a repeat after the kill is another transaction: %+v", again)
	}
	ts.must(ts.shop.line.mend(ts.ctx))
	ts.cardIs(waits.ID, offline.CardCompleted)
	ts.saleState(second.ID, offline.Delivered)
	ts.balanceIs("11.51")
	refs := map[string]int{}
	for _, tr := range ts.shop.cloud.CardLedger() {
		refs[tr.RefNo]++
		if refs[tr.RefNo] > 1 || tr.Captures > 1 || tr.SourceID != "DALLAS/LANE-3" {
			t.Errorf("executed twice, or under another name: %+v", tr)
		}
	}

	// A new card, filled.
	fresh, err := ts.till.IssueGiftcard(ts.ctx, "issue-1", wire.NewGiftcard{PhysicalCode: "6006492000000009", PhysicalPIN: "55667788"})
	ts.must(err)
	fill := cardTx(offline.CardAdd, offline.CardImmediate, "50.00")
	fill.CardRef = wire.CardRef{Code: "6006492000000009", PIN: "55667788"}
	filled, err := ts.till.GiftcardTransact(ts.ctx, "fill-1", fill)
	ts.must(err)
	filled = ts.cardIs(filled.ID, offline.CardCompleted)
	if filled.State != offline.CardCompleted || filled.Balance != "50.00" || filled.GiftcardID != fresh.GiftcardID {
		t.Errorf("filled: %+v %+v, issued %+v", filled, filled.Error, fresh)
	}

	ts.shop.kill()
	for _, ev := range heard.all() {
		ts.noCodes("event of type "+ev.Type, ev.Data)
	}
	ts.must(filepath.WalkDir(ts.shop.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		ts.noCodes(path, data)
		return err
	}))
}

func (ts *testShop) noCodes(where string, data []byte) {
	ts.tb.Helper()
	for _, secret := range []string{giftcardCode, giftcardPIN, "6006492000000009", "55667788"} {
		if bytes.Contains(data, []byte(secret)) {
			ts.tb.Errorf("%s holds a code or PIN", where)
		}
	}
}
