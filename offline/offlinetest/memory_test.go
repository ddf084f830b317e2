package offlinetest

import (
	"errors"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
)

func TestMemory(t *testing.T) {
	Suite(t, func(*testing.T) offline.Store { return NewMemory() })
}

func TestMemoryClaimsTendersOnce(t *testing.T) {
	m := NewMemory()
	m.Approve("pay-1")
	first := NewSale("T1", "1.00", time.Now())
	first.Record.Tenders = []offline.Tender{{Type: "card", PaymentID: "pay-1"}}
	if err := m.AcceptSale(t.Context(), first, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	second := NewSale("T2", "1.00", time.Now())
	second.Record.Tenders = first.Record.Tenders
	var te *offline.TenderError
	if err := m.AcceptSale(t.Context(), second, journal.Entry{}); !errors.As(err, &te) || te.Why != "already_used" {
		t.Fatalf("second claim: %v", err)
	}
}
