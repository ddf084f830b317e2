package offlinetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/sale"
)

func acceptedSaleReadsBack(s *suite) {
	a := s.next()
	a.Record.Warnings = []sale.Warning{{Code: "sub_total_mismatch", Message: "does not add up", Field: "subTotal"}}
	a.Record.Tenders = []offline.Tender{{Type: "cash", Amount: "10.00"}}
	s.accept(a)

	v := s.sale(a.Record.ID)
	if v.ID != a.Record.ID || v.TransactionID != a.Record.TransactionID || v.StoreCode != "DALLAS" ||
		v.Kind != sale.Sold || v.Currency != "USD" || v.PayAmount != "10.00" || v.State != offline.Queued ||
		!v.AcceptedAt.Equal(a.Record.AcceptedAt) || v.DeliveredAt != nil || v.CloudID != "" {
		s.Errorf("sale reads back as %+v", v)
	}
	if !bytes.Equal(v.Sale, a.Record.Body) {
		s.Errorf("body reads back as %s, want %s", v.Sale, a.Record.Body)
	}
	if len(v.Warnings) != 1 || v.Warnings[0] != a.Record.Warnings[0] {
		s.Errorf("warnings read back as %+v", v.Warnings)
	}
	if len(v.Tenders) != 1 || v.Tenders[0] != a.Record.Tenders[0] {
		s.Errorf("tenders read back as %+v", v.Tenders)
	}

	want := a.Operations[0]
	got := s.op(want.ID)
	if got.Seq == 0 || got.Type != offline.Purchase || got.SaleID != a.Record.ID || got.Stream != want.Stream ||
		got.Ref != want.Ref || got.Amount != "10.00" || got.Currency != "USD" || got.State != offline.Queued ||
		got.Attempts != 0 || !got.LastAttemptAt.IsZero() || !got.NotBefore.IsZero() || got.Error != nil ||
		!got.CreatedAt.Equal(want.CreatedAt) || !got.DeliveredAt.IsZero() {
		s.Errorf("operation reads back as %+v", got)
	}
	if !bytes.Equal(got.Payload, want.Payload) || got.ContentHash != sha256.Sum256(want.Payload) {
		s.Errorf("payload reads back as %s", got.Payload)
	}

	plain := s.accept(s.next())
	if v := s.sale(plain.Record.ID); v.Warnings == nil || v.Tenders == nil || len(v.Warnings)+len(v.Tenders) != 0 {
		s.Errorf("want empty lists, not null: %+v", v)
	}
	_, err := s.store.Sale(s.ctx, newID())
	s.wantErr("Sale of an unknown id", err, journal.ErrNotFound)
	_, err = s.store.Operation(s.ctx, newID())
	s.wantErr("Operation of an unknown id", err, journal.ErrNotFound)
}

func saleWithoutOperations(s *suite) {
	a := s.next()
	a.Operations = nil
	s.accept(a)
	if v := s.sale(a.Record.ID); v.State != offline.Discarded || v.DeliveredAt != nil {
		s.Errorf("a sale that is not to be sent is %s, want discarded", v.State)
	}
	s.wantHeads(start.Add(time.Hour))
	got, _, err := s.store.Sales(s.ctx, offline.SaleFilter{State: offline.Discarded})
	if err != nil || len(got) != 1 {
		s.Errorf("listing discarded sales: %d, %v", len(got), err)
	}
}

func duplicateSale(s *suite) {
	first := s.accept(s.next())
	again := NewSale(first.Record.TransactionID, "3.00", start)
	var dup *offline.DuplicateError
	if err := s.store.AcceptSale(s.ctx, again, journal.Entry{}); !errors.As(err, &dup) || dup.FirstID != first.Record.ID {
		s.Fatalf("second sale of one transaction id: %v", err)
	}
	_, err := s.store.Sale(s.ctx, again.Record.ID)
	s.wantErr("the refused sale", err, journal.ErrNotFound)
	_, err = s.store.Operation(s.ctx, again.Operations[0].ID)
	s.wantErr("the refused operation", err, journal.ErrNotFound)

	elsewhere := NewSale(first.Record.TransactionID, "3.00", start)
	elsewhere.Record.StoreCode = "AUSTIN"
	s.accept(elsewhere)
}

func duplicateRefund(s *suite) {
	sold := s.accept(s.next())
	refund := func(amount string) offline.Acceptance {
		a := NewSale(sold.Record.TransactionID, amount, start)
		a.Record.Kind = sale.Refunded
		return a
	}
	first := s.accept(refund("-4.00")) // a refund may bear its sale's transaction id
	var dup *offline.DuplicateError
	if err := s.store.AcceptSale(s.ctx, refund("-4.00"), journal.Entry{}); !errors.As(err, &dup) || dup.FirstID != first.Record.ID {
		s.Fatalf("identical refund: %v", err)
	}
	s.accept(refund("-3.00")) // another refund of the same sale
}

func keyUsedOnce(s *suite) {
	e := journal.Entry{
		Key:    &journal.Key{PairingID: "pairing-1", Text: "key-1", Fingerprint: [32]byte{7}},
		Answer: journal.Answer{Status: 201, Location: "/v1/sales/x", Body: []byte(`{"id":"x"}`)},
	}
	first := s.next()
	if err := s.store.AcceptSale(s.ctx, first, e); err != nil {
		s.Fatal(err)
	}
	second := s.next()
	s.wantErr("AcceptSale under a used key", s.store.AcceptSale(s.ctx, second, e), journal.ErrKeyUsed)
	_, err := s.store.Sale(s.ctx, second.Record.ID)
	s.wantErr("the refused sale", err, journal.ErrNotFound)
	s.wantErr("a repeat is a used key before it is a duplicate", s.store.AcceptSale(s.ctx, first, e), journal.ErrKeyUsed)

	other := e
	other.Key = &journal.Key{PairingID: "pairing-2", Text: "key-1"}
	if err := s.store.AcceptSale(s.ctx, second, other); err != nil {
		s.Errorf("the same key of another pairing: %v", err)
	}
	if r, ok := s.store.(interface {
		Answer(ctx context.Context, pairingID, key string) (journal.Answer, error)
	}); ok {
		a, err := r.Answer(s.ctx, "pairing-1", "key-1")
		if err != nil || a.Status != 201 || a.Location != "/v1/sales/x" || string(a.Body) != `{"id":"x"}` || a.Fingerprint != [32]byte{7} {
			s.Errorf("answer reads back as %+v, %v", a, err)
		}
	}
}

func unknownTender(s *suite) {
	a := s.next()
	a.Record.Tenders = []offline.Tender{{Type: "cash", Amount: "1.00"}, {Type: "card", PaymentID: newID()}}
	e := journal.Entry{Key: &journal.Key{PairingID: "pairing-1", Text: "key-t"}}
	var te *offline.TenderError
	if err := s.store.AcceptSale(s.ctx, a, e); !errors.As(err, &te) || te.Index != 1 || te.Why != "unknown" {
		s.Fatalf("a card payment nobody knows: %v", err)
	}
	_, err := s.store.Sale(s.ctx, a.Record.ID)
	s.wantErr("the refused sale", err, journal.ErrNotFound)
	a.Record.Tenders = a.Record.Tenders[:1]
	if err := s.store.AcceptSale(s.ctx, a, e); err != nil {
		s.Errorf("the same sale and key after a refusal: %v", err)
	}
}

func racingAccepts(s *suite) {
	won, lost := race(8, func(int) error {
		return s.store.AcceptSale(s.ctx, NewSale("ONCE", "1.00", start), journal.Entry{})
	})
	var dup *offline.DuplicateError
	for _, err := range lost {
		if !errors.As(err, &dup) {
			s.Errorf("losing accept: %v", err)
		}
	}
	if won != 1 || s.counts().ByState[offline.Queued] != 1 {
		s.Errorf("%d of 8 accepts won, %d queued", won, s.counts().ByState[offline.Queued])
	}
}

func saleStream(s *suite) {
	a := s.accept(s.next())
	refund := NewSale("R1", "-1.00", start)
	refund.Record.Kind = sale.Refunded
	s.accept(refund)
	for _, tc := range []struct{ store, transaction, want string }{
		{"DALLAS", a.Record.TransactionID, a.Operations[0].Stream},
		{"AUSTIN", a.Record.TransactionID, ""},
		{"DALLAS", "nobody", ""},
		{"DALLAS", "R1", ""}, // no sale, a refund
	} {
		got, err := s.store.SaleStream(s.ctx, tc.store, tc.transaction)
		if err != nil || got != tc.want {
			s.Errorf("SaleStream(%s, %s) = %q, %v, want %q", tc.store, tc.transaction, got, err, tc.want)
		}
	}
}

func salesFilter(s *suite) {
	first, second, third := s.accept(s.next()), s.accept(s.next()), s.accept(s.next())
	s.bring(second.Operations[0].ID, offline.Result{State: offline.Delivered, CloudID: "P2"})
	for _, tc := range []struct {
		f    offline.SaleFilter
		want []string
	}{
		{offline.SaleFilter{}, []string{first.Record.ID, second.Record.ID, third.Record.ID}},
		{offline.SaleFilter{State: offline.Delivered}, []string{second.Record.ID}},
		{offline.SaleFilter{State: offline.Queued}, []string{first.Record.ID, third.Record.ID}},
		{offline.SaleFilter{State: offline.Parked}, nil},
		{offline.SaleFilter{TransactionID: third.Record.TransactionID}, []string{third.Record.ID}},
		{offline.SaleFilter{TransactionID: "nobody"}, nil},
		{offline.SaleFilter{Since: second.Record.AcceptedAt}, []string{second.Record.ID, third.Record.ID}},
		{offline.SaleFilter{Since: start.Add(time.Hour)}, nil},
	} {
		got, cursor, err := s.store.Sales(s.ctx, tc.f)
		if err != nil || cursor != "" || len(got) != len(tc.want) {
			s.Errorf("Sales(%+v): %d sales, cursor %q, %v, want %d", tc.f, len(got), cursor, err, len(tc.want))
			continue
		}
		have := map[string]bool{}
		for _, v := range got {
			have[v.ID] = true
		}
		for _, id := range tc.want {
			if !have[id] {
				s.Errorf("Sales(%+v) lacks %s", tc.f, id)
			}
		}
	}
}

func salesCursor(s *suite) {
	for range 7 {
		s.accept(s.next())
	}
	whole, _, err := s.store.Sales(s.ctx, offline.SaleFilter{Limit: 50})
	if err != nil || len(whole) != 7 {
		s.Fatalf("whole listing: %d, %v", len(whole), err)
	}
	var paged []string
	f := offline.SaleFilter{Limit: 3}
	for range 10 {
		items, next, err := s.store.Sales(s.ctx, f)
		if err != nil || len(items) > 3 {
			s.Fatalf("page: %d, %v", len(items), err)
		}
		for _, v := range items {
			paged = append(paged, v.ID)
		}
		if f.Cursor = next; next == "" {
			break
		}
		if len(paged) == 3 {
			s.accept(s.next()) // a sale accepted between pages moves nothing
		}
	}
	have := map[string]int{}
	for _, id := range paged {
		have[id]++
	}
	for _, v := range whole {
		if have[v.ID] != 1 {
			s.Errorf("paging showed %s %d times", v.ID, have[v.ID])
		}
	}
}

func operationsFilter(s *suite) {
	a, b := s.acceptOp(), s.acceptOp()
	s.bring(b, offline.Result{State: offline.Parked, Reason: offline.Rejected, Error: &offline.Fault{Code: "VALIDATION", Message: "no"}})
	for _, tc := range []struct {
		f    offline.ItemFilter
		want string
	}{
		{offline.ItemFilter{}, fmt.Sprint([]string{a, b})},
		{offline.ItemFilter{State: offline.Queued}, fmt.Sprint([]string{a})},
		{offline.ItemFilter{State: offline.Parked, Type: offline.Purchase}, fmt.Sprint([]string{b})},
		{offline.ItemFilter{Type: offline.GiftcardTrans}, "[]"},
		{offline.ItemFilter{SaleID: s.op(a).SaleID}, fmt.Sprint([]string{a})},
		{offline.ItemFilter{SaleID: newID()}, "[]"},
	} {
		ops, _, err := s.store.Operations(s.ctx, tc.f)
		got := []string{}
		for _, op := range ops {
			got = append(got, op.ID)
		}
		if err != nil || fmt.Sprint(got) != tc.want {
			s.Errorf("Operations(%+v) = %v, %v, want %s", tc.f, got, err, tc.want)
		}
	}
}

func operationsCursor(s *suite) {
	var want []string
	for range 7 {
		want = append(want, s.acceptOp())
	}
	var paged []string
	f := offline.ItemFilter{Limit: 3}
	for range 10 {
		items, next, err := s.store.Operations(s.ctx, f)
		if err != nil || len(items) > 3 {
			s.Fatalf("page: %d, %v", len(items), err)
		}
		for _, op := range items {
			paged = append(paged, op.ID)
		}
		if f.Cursor = next; next == "" {
			break
		}
	}
	if fmt.Sprint(paged) != fmt.Sprint(want) {
		s.Errorf("pages give %v, want %v", paged, want)
	}
}
