package offline_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/sale"
)

func noEntry(offline.Record) journal.Entry { return journal.Entry{} }

func TestAcceptWritesOneCommit(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		key := &journal.Key{PairingID: "p-1", Text: "k-1"}
		var shown offline.Record
		rec, err := s.desk.Accept(t.Context(), body("T1", "10.00", ""), tech, func(r offline.Record) journal.Entry {
			shown = r
			return journal.Entry{Key: key, Answer: journal.Answer{Status: 201, Body: []byte(`{}`)}}
		})
		if err != nil {
			t.Fatal(err)
		}
		if shown.ID != rec.ID || rec.State != offline.Queued || rec.AcceptedBy != "p-1" || rec.Amount != "10.00" ||
			rec.Kind != sale.Sold || rec.StoreCode != "DALLAS" || rec.Currency != "USD" || len(rec.Warnings) != 0 {
			t.Errorf("record %+v", rec)
		}
		op := s.op(rec)
		if op.Type != offline.Purchase || op.Ref != "T1" || op.Amount != "10.00" || !bytes.Equal(op.Payload, rec.Body) {
			t.Errorf("operation %+v", op)
		}
		if a, err := s.mem.Answer(t.Context(), "p-1", "k-1"); err != nil || a.Status != 201 {
			t.Errorf("answer %+v, %v", a, err)
		}
		if st := s.desk.Status(); st.Queued != 1 || st.OldestQueuedAt == nil || st.Exposure.Amount != "10.00" {
			t.Errorf("status before the forwarder runs: %+v", st)
		}
		items, next, err := s.desk.Items(t.Context(), offline.ItemFilter{})
		if err != nil || next != "" || len(items) != 1 || items[0].SearchFor != "T1" || items[0].SaleID != rec.ID || items[0].LastAttemptAt != nil {
			t.Errorf("items %+v, %q, %v", items, next, err)
		}
		if got := saleStates(s, rec); len(got) != 1 || got[0] != "queued" {
			t.Errorf("sale events say %v", got)
		}
		v, err := s.desk.Sale(t.Context(), rec.ID)
		if err != nil || !bytes.Equal(v.Sale, rec.Body) || v.State != offline.Queued {
			t.Errorf("sale %+v, %v", v, err)
		}
		if list, _, err := s.desk.Sales(t.Context(), offline.SaleFilter{TransactionID: "T1"}); err != nil || len(list) != 1 {
			t.Errorf("listing %+v, %v", list, err)
		}
	})
}

func TestAcceptRefuses(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		first := s.sell("")
		var fields *sale.FieldErrors
		if _, err := s.desk.Accept(t.Context(), []byte(`{"payAmount":1}`), tech, noEntry); !errors.As(err, &fields) || len(fields.List) < 5 {
			t.Errorf("a broken sale: %v", err)
		}
		var dup *offline.DuplicateError
		if _, err := s.desk.Accept(t.Context(), body(first.TransactionID, "3.00", ""), tech, noEntry); !errors.As(err, &dup) || dup.FirstID != first.ID {
			t.Errorf("a second sale of one transaction: %v", err)
		}
		refund := body(first.TransactionID, "4.00", first.TransactionID) // as the vendor's example does
		if _, err := s.desk.Accept(t.Context(), refund, tech, noEntry); err != nil {
			t.Fatal(err)
		}
		if _, err := s.desk.Accept(t.Context(), refund, tech, noEntry); !errors.As(err, &dup) {
			t.Errorf("the same refund again: %v", err)
		}
		withCard := append(bytes.TrimSuffix(body("T9", "1.00", ""), []byte("}")), `,"tenders":[{"type":"card","paymentId":"pay-1"}]}`...)
		var tender *offline.TenderError
		if _, err := s.desk.Accept(t.Context(), withCard, tech, noEntry); !errors.As(err, &tender) || tender.PaymentID != "pay-1" {
			t.Errorf("an unknown payment: %v", err)
		}
		s.mem.Approve("pay-1")
		rec, err := s.desk.Accept(t.Context(), withCard, tech, noEntry)
		if err != nil || len(rec.Tenders) != 1 || bytes.Contains(rec.Body, []byte("tenders")) {
			t.Errorf("a sale paid by card: %+v, %v", rec, err)
		}
	})
}

func TestRefundGoesBehindItsSale(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		sold, other := s.sell(""), s.sell("")
		refund, unknown := s.sell(sold.TransactionID), s.sell("of another lane")
		if s.op(refund).Stream != s.op(sold).Stream {
			t.Error("the refund has a stream of its own")
		}
		if s.op(other).Stream == s.op(sold).Stream || s.op(unknown).Stream == s.op(sold).Stream {
			t.Error("sales share a stream")
		}
	})
}

func TestPurchasesAreNotSentWhereSwitchedOff(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		queued := s.sell("") // before the setting changed
		desk, err := offline.NewDesk(offline.DeskConfig{
			Store: s.mem, Forwarder: s.f, Log: slog.New(slog.DiscardHandler), StoreCode: "DALLAS", Currency: "USD",
		})
		if err != nil {
			t.Fatal(err)
		}
		s.desk = desk
		rec := s.sell("")
		if rec.State != offline.Discarded || len(rec.Warnings) != 1 || rec.Warnings[0].Code != "not_sent" {
			t.Errorf("record %+v", rec)
		}
		if v, err := s.desk.Sale(t.Context(), rec.ID); err != nil || v.State != offline.Discarded || v.DeliveredAt != nil {
			t.Errorf("sale %+v, %v", v, err)
		}
		s.run()
		pass(time.Minute)
		s.want(queued, offline.Delivered, "")
		if s.cloud.sent() != 1 {
			t.Errorf("%d sent", s.cloud.sent())
		}
		s.stop()
	})
}

func TestDecide(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.cloud.answers(func(offline.Operation) reply { return lost })
		a, b := s.sell(""), s.sell("")
		s.run()
		pass(time.Minute)
		s.want(a, offline.Parked, offline.Unknown)
		id := s.op(a).ID
		item, err := s.desk.Decide(t.Context(), offline.Decision{OpID: id, Action: offline.Settle, CloudID: "P-77", Note: "seen"}, journal.Entry{Actor: tech})
		if err != nil || item.State != offline.Delivered || item.CloudID != "P-77" || item.Reason != "" {
			t.Errorf("settled: %+v, %v", item, err)
		}
		if got := saleStates(s, a); got[len(got)-1] != "delivered" {
			t.Errorf("sale events say %v", got)
		}
		if _, err := s.desk.Decide(t.Context(), offline.Decision{OpID: id, Action: offline.Resend}, journal.Entry{Actor: tech}); !errors.Is(err, offline.ErrState) {
			t.Errorf("resend of what is delivered: %v", err)
		}
		if _, err := s.desk.Decide(t.Context(), offline.Decision{OpID: "nobody", Action: offline.Resend}, journal.Entry{Actor: tech}); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("resend of what is not there: %v", err)
		}
		if _, err := s.desk.Decide(t.Context(), offline.Decision{OpID: s.op(b).ID, Action: "shred"}, journal.Entry{Actor: tech}); err == nil {
			t.Error("an unknown action was taken")
		}
		if _, err := s.desk.Decide(t.Context(), offline.Decision{OpID: s.op(b).ID, Action: offline.Discard, Note: "test sale"}, journal.Entry{Actor: tech}); err != nil {
			t.Error(err)
		}
		if rows := s.mem.Audits(); len(rows) != 2 || rows[0].Actor != tech || rows[1].Decision.Note != "test sale" {
			t.Errorf("audit %+v", rows)
		}
		s.stop()
	})
}

// heldUp stops the forwarder between its look at what is parked and its commit.
type heldUp struct {
	*disk
	before func() // called once
}

func (h *heldUp) Unblock(ctx context.Context, t offline.OpType, at time.Time, e ...journal.Event) (int, error) {
	if f := h.before; f != nil {
		h.before = nil
		f()
	}
	return h.disk.Unblock(ctx, t, at, e...)
}

// TestDecisionBesideARelease: whoever is first, listeners hear last how the sale stands.
func TestDecisionBesideARelease(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.cloud.answers(func(offline.Operation) reply { return barred })
		rec := s.sell("")
		held := &heldUp{disk: &disk{Memory: s.mem}}
		held.before = func() {
			go func() {
				d := offline.Decision{OpID: s.op(rec).ID, Action: offline.Discard, Note: "rung up again"}
				if _, err := s.desk.Decide(t.Context(), d, journal.Entry{Actor: tech}); err != nil {
					t.Errorf("discard: %v", err)
				}
			}()
			synctest.Wait()
		}
		s.cfg.Store = held
		s.open()
		s.run()
		pass(2 * time.Minute)
		s.want(rec, offline.Discarded, "")
		if got := saleStates(s, rec); got[len(got)-1] != "discarded" {
			t.Errorf("sale events say %v", got)
		}
		s.stop()
	})
}

func TestPersonResendsABlockedSale(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		s.cloud.answers(func(offline.Operation) reply { return barred })
		rec := s.sell("")
		s.run()
		pass(30 * time.Second)
		s.want(rec, offline.Parked, offline.Blocked)
		s.cloud.answers(func(offline.Operation) reply { return fine })
		if _, err := s.desk.Decide(t.Context(), offline.Decision{OpID: s.op(rec).ID, Action: offline.Resend, Note: "allowed now"}, journal.Entry{Actor: tech}); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second)
		s.want(rec, offline.Delivered, "")
		s.stop()
	})
}

func TestConfigurationIsChecked(t *testing.T) {
	s := newShop(t)
	for name, change := range map[string]func(*offline.ForwarderConfig){
		"no store": func(c *offline.ForwarderConfig) { c.Store = nil }, "no cloud": func(c *offline.ForwarderConfig) { c.Cloud = nil },
		"no settings": func(c *offline.ForwarderConfig) { c.Settings = nil }, "no log": func(c *offline.ForwarderConfig) { c.Log = nil },
		"currency": func(c *offline.ForwarderConfig) { c.Currency = "dollars" },
		"policy":   func(c *offline.ForwarderConfig) { c.UnknownOutcome = "retry" },
		"no audit": func(c *offline.ForwarderConfig) { c.UnknownOutcome, c.UnknownOutcomeBy = offline.ResendUnknown, "Ana" },
	} {
		cfg := s.cfg
		change(&cfg)
		if _, err := offline.NewForwarder(cfg); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := offline.NewDesk(offline.DeskConfig{Store: s.mem, Forwarder: s.f, Log: s.cfg.Log}); err == nil {
		t.Error("a desk without a store code")
	}
}
