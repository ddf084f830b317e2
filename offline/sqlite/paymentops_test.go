package sqlite

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/payments"
)

// approvedPayment is a preauth that its terminal approved, on disk.
func approvedPayment(t *testing.T, s *Store, id, terminal string) payments.Payment {
	t.Helper()
	p := somePayment(t, id, terminal)
	p.Type, p.Ref = payments.Preauth, "0123456789"
	if err := s.Payments().Create(t.Context(), p, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	approved := amount(t, "12.50")
	p.State, p.ApprovedAmount = payments.Approved, &approved
	p.Told = &payments.Outcome{State: payments.Approved, ApprovedAmount: approved, Baseline: payments.Baseline{Known: true, Receipt: "17"}}
	if err := s.Payments().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func someOperation(t *testing.T, id string, typ payments.OperationType, text string) payments.Operation {
	return payments.Operation{
		ID: id, Type: typ, State: payments.Created, Amount: amount(t, text), Ref: "REF" + id,
		CreatedAt: time.Date(2026, 3, 7, 16, 0, 0, 0, time.UTC),
	}
}

func TestOperationReadsBackWhole(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	p := approvedPayment(t, s, "pay-1", "front")
	p.Operations = append(p.Operations, someOperation(t, "op-1", payments.OpCapture, "9.00"))
	if err := s.Payments().AddOperation(t.Context(), p, someEntry(1)); err != nil {
		t.Fatal(err)
	}
	o := &p.Operations[0]
	at := time.Date(2026, 3, 7, 16, 0, 9, 0, time.UTC)
	captured := amount(t, "9.00")
	o.State, o.ApprovedAmount, o.FinishedAt, o.Receipt = payments.Approved, &captured, &at, &payments.Receipt{Customer: []string{"CAPTURE"}}
	o.Baseline = payments.Baseline{Known: true, Receipt: "17"}
	o.Told = &payments.Outcome{State: payments.Approved, ApprovedAmount: captured, Reference: "opaque", Baseline: payments.Baseline{Known: true, Receipt: "18"}}
	p.CapturedAmount, p.AlarmedAt = &captured, &at
	if err := s.Payments().Update(t.Context(), p, journal.NewEvent("payment", at, p)); err != nil {
		t.Fatal(err)
	}
	closeIt(t, s)
	s = openIn(t, dir)
	defer closeIt(t, s)
	got, err := s.Payments().Get(t.Context(), "pay-1")
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("read back\n%+v, %v, want\n%+v", got, err, p)
	}
	if b, err := s.Payments().LastKnown(t.Context(), "front"); err != nil || b.Receipt != "18" {
		t.Errorf("last known %+v, %v", b, err)
	}
	if _, err := s.Keys().Answer(t.Context(), "p1", "key-1"); err != nil {
		t.Errorf("idempotency record of the operation: %v", err)
	}
}

func TestTerminalIsBlockedWhileAnOperationIsOpenOrUnknown(t *testing.T) {
	for state, want := range map[payments.State]error{
		payments.Created: payments.ErrTerminalBusy, payments.Processing: payments.ErrTerminalBusy,
		payments.InDoubt: payments.ErrTerminalInDoubt, payments.Unresolved: payments.ErrTerminalInDoubt,
		payments.Approved: nil, payments.Declined: nil, payments.Failed: nil, payments.Reversed: nil,
	} {
		t.Run(string(state), func(t *testing.T) {
			s := openTemp(t)
			ctx := t.Context()
			p := approvedPayment(t, s, "pay-1", "front")
			p.Operations = append(p.Operations, someOperation(t, "op-1", payments.OpTip, "1.00"))
			if err := s.Payments().AddOperation(ctx, p, journal.Entry{}); err != nil {
				t.Fatal(err)
			}
			p.Operations[0].State = state
			if err := s.Payments().Update(ctx, p); err != nil {
				t.Fatal(err)
			}
			open, err := s.Payments().Open(ctx)
			if err != nil || (len(open) == 1) != (want != nil) {
				t.Errorf("open payments %+v, %v", open, err)
			}
			if err := s.Payments().Create(ctx, somePayment(t, "pay-2", "front"), someEntry(2)); !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("second payment: %v, want %v", err, want)
			}
			if want == nil { // pay-2 is open now
				want = payments.ErrTerminalBusy
			}
			p.Operations = append(p.Operations, someOperation(t, "op-2", payments.OpVoid, "1.00"))
			if err := s.Payments().AddOperation(ctx, p, someEntry(3)); !errors.Is(err, want) {
				t.Errorf("second operation: %v, want %v", err, want)
			}
			if _, err := s.Keys().Answer(ctx, "p1", "key-3"); !errors.Is(err, journal.ErrNotFound) {
				t.Errorf("refused operation left its key: %v", err)
			}
		})
	}
}

func TestOnlyApprovedPaymentsHaveOperations(t *testing.T) {
	s := openTemp(t)
	p := approvedPayment(t, s, "pay-1", "front")
	p.State = payments.Voided
	if err := s.Payments().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p.State = payments.Approved // a caller that did not look again
	p.Operations = append(p.Operations, someOperation(t, "op-1", payments.OpVoid, "12.50"))
	if err := s.Payments().AddOperation(t.Context(), p, someEntry(1)); !errors.Is(err, payments.ErrState) {
		t.Errorf("void of a voided payment: %v", err)
	}
}

func TestSaleCannotClaimWhatIsBeingVoided(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	p := approvedPayment(t, s, "pay-1", "front")
	p.Operations = append(p.Operations, someOperation(t, "op-1", payments.OpVoid, "12.50"))
	if err := s.Payments().AddOperation(ctx, p, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	claim := func(n int) error {
		a := someSale(n)
		a.Record.Tenders = []offline.Tender{{Type: "card", PaymentID: "pay-1"}}
		return s.Outbox().AcceptSale(ctx, a, someEntry(n))
	}
	if te, ok := errors.AsType[*offline.TenderError](claim(1)); !ok || te.PaymentID != "pay-1" {
		t.Errorf("claim during the void: %v", te)
	}
	p.Operations[0].State = payments.Declined
	if err := s.Payments().Update(ctx, p); err != nil {
		t.Fatal(err)
	}
	if err := claim(2); err != nil {
		t.Errorf("claim after the void was refused: %v", err)
	}
}

func TestClosings(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	if _, err := s.Payments().LastClosing(ctx, "front"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("no end of day yet: %v", err)
	}
	at := time.Date(2026, 3, 7, 22, 0, 0, 0, time.UTC)
	for i, terminal := range []string{"front", "front", "back"} {
		c := payments.Closing{
			ID: string(rune('a' + i)), Terminal: terminal, At: at.Add(time.Duration(i) * time.Hour), Currency: "USD",
			Counted: &payments.Totals{Count: i, Amount: amount(t, "1.00")}, Differences: []payments.Difference{{What: "count", Terminal: "1", Journal: "2"}},
		}
		if err := s.Payments().AddClosing(ctx, c, someEntry(i)); err != nil {
			t.Fatal(err)
		}
	}
	if c, err := s.Payments().LastClosing(ctx, "front"); err != nil || c.ID != "b" || !c.At.Equal(at.Add(time.Hour)) || c.Counted.Amount.String() != "1.00" || len(c.Differences) != 1 {
		t.Errorf("last end of day %+v, %v", c, err)
	}
	for i, day := range []int{1, 5, 9} {
		p := somePayment(t, string(rune('x'+i)), "front")
		p.CreatedAt, p.State = time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC), payments.Approved
		if err := s.Payments().Create(ctx, p, journal.Entry{}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Payments().Taken(ctx, "front", time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC))
	if err != nil || len(list) != 2 || list[0].ID != "y" || list[1].ID != "z" {
		t.Errorf("taken %+v, %v", list, err)
	}
}
