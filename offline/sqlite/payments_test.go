package sqlite

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/payments"
	"storeagent/payments/money"
)

func amount(t *testing.T, text string) money.Amount {
	t.Helper()
	a, err := money.Parse(text, "USD")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func somePayment(t *testing.T, id, terminal string) payments.Payment {
	t.Helper()
	return payments.Payment{
		ID: id, Type: payments.Sale, State: payments.Created, Amount: amount(t, "12.50"), Currency: "USD", Terminal: terminal,
		Reference: "T1", CreatedAt: time.Date(2026, 3, 7, 15, 4, 5, 0, time.UTC), Operations: []payments.Operation{},
	}
}

func TestPaymentReadsBackWhole(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	p := somePayment(t, "pay-1", "front")
	if err := s.Payments().Create(t.Context(), p, someEntry(1)); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 3, 7, 15, 4, 9, 0, time.UTC)
	approved := amount(t, "10.00")
	tip := amount(t, "1.50")
	p.State, p.ApprovedAmount, p.FinishedAt, p.TipAmount, p.TipAtStart = payments.Approved, &approved, &at, &tip, &tip
	p.CardBrand, p.Last4, p.EntryMode, p.ApprovalCode = "visa", "1111", "chip", "A1"
	p.Receipt = payments.Receipt{Customer: []string{"THANK YOU"}, Merchant: []string{"COPY"}}
	p.Baseline = payments.Baseline{Known: true, Receipt: "17", Trace: "99"}
	p.Told = &payments.Outcome{State: payments.Approved, ApprovedAmount: approved, Baseline: payments.Baseline{Known: true, Receipt: "18"}}
	p.Resolution = &payments.Resolution{At: at, By: "Ann", Outcome: payments.Approved, Note: "slip"}
	said := amount(t, "9.00")
	p.Evidence = []payments.Evidence{{At: at, Outcome: payments.Approved, ApprovedAmount: &said, Detail: "with 9.00", Contradicts: true}}
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
	if got := s.Events().Last(); got != 2 {
		t.Errorf("last event %d, want one of each commit", got)
	}
}

func TestTerminalIsBlockedWhileAPaymentIsOpenOrUnknown(t *testing.T) {
	for state, want := range map[payments.State]error{
		payments.Created: payments.ErrTerminalBusy, payments.Processing: payments.ErrTerminalBusy,
		payments.InDoubt: payments.ErrTerminalInDoubt, payments.Unresolved: payments.ErrTerminalInDoubt,
		payments.Approved: nil, payments.Declined: nil, payments.Canceled: nil, payments.Failed: nil,
		payments.Voided: nil, payments.Reversed: nil,
	} {
		t.Run(string(state), func(t *testing.T) {
			s := openTemp(t)
			ctx := t.Context()
			first := somePayment(t, "pay-1", "front")
			if err := s.Payments().Create(ctx, first, journal.Entry{}); err != nil {
				t.Fatal(err)
			}
			first.State = state
			if err := s.Payments().Update(ctx, first); err != nil {
				t.Fatal(err)
			}
			err := s.Payments().Create(ctx, somePayment(t, "pay-2", "front"), someEntry(2))
			if !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("second payment: %v, want %v", err, want)
			}
			_, keyErr := s.Keys().Answer(ctx, "p1", "key-2")
			if left := keyErr == nil; left != (want == nil) {
				t.Errorf("idempotency record of the second payment: %v", keyErr)
			}
			if err := s.Payments().Create(ctx, somePayment(t, "pay-3", "back"), journal.Entry{}); err != nil {
				t.Errorf("another terminal: %v", err)
			}
		})
	}
}

func TestPaymentLists(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	states := []payments.State{payments.Approved, payments.Declined, payments.Approved, payments.Unresolved, payments.Processing}
	ids := []string{"p0", "p1", "p2", "p3", "p4"}
	for i, state := range states {
		p := somePayment(t, ids[i], ids[i]) // a terminal each
		p.CreatedAt = p.CreatedAt.Add(time.Duration(i) * time.Minute)
		if err := s.Payments().Create(ctx, p, journal.Entry{}); err != nil {
			t.Fatal(err)
		}
		p.State = state
		if ids[i] == "p2" {
			p.Evidence = []payments.Evidence{{Outcome: payments.Failed, Contradicts: true}}
		}
		if ids[i] == "p0" {
			p.Evidence = []payments.Evidence{{Outcome: payments.Failed, Contradicts: true, Settled: true}}
		}
		if err := s.Payments().Update(ctx, p); err != nil {
			t.Fatal(err)
		}
	}
	a := someSale(1)
	a.Record.Tenders = []offline.Tender{{Type: "card", PaymentID: "p0"}}
	if err := s.Outbox().AcceptSale(ctx, a, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	for _, tc := range []struct {
		name string
		f    payments.Filter
		want []string
		next string
	}{
		{"contradicted", payments.Filter{Contradicted: true}, []string{"p2"}, ""},
		{"all, newest first", payments.Filter{}, []string{"p4", "p3", "p2", "p1", "p0"}, ""},
		{"by state", payments.Filter{State: payments.Approved}, []string{"p2", "p0"}, ""},
		{"attached", payments.Filter{Attached: &yes}, []string{"p0"}, ""},
		{"approved and not attached", payments.Filter{Attached: &no}, []string{"p2"}, ""},
		{"since", payments.Filter{Since: somePayment(t, "", "").CreatedAt.Add(3 * time.Minute)}, []string{"p4", "p3"}, ""},
		{"first page", payments.Filter{Limit: 2}, []string{"p4", "p3"}, "4"},
		{"second page", payments.Filter{Limit: 2, Cursor: "4"}, []string{"p2", "p1"}, "2"},
		{"last page", payments.Filter{Limit: 2, Cursor: "2"}, []string{"p0"}, ""},
	} {
		list, next, err := s.Payments().List(ctx, tc.f)
		var got []string
		for _, p := range list {
			got = append(got, p.ID)
		}
		if err != nil || !reflect.DeepEqual(got, tc.want) || next != tc.next {
			t.Errorf("%s: %v next %q, %v, want %v next %q", tc.name, got, next, err, tc.want, tc.next)
		}
	}
	if _, _, err := s.Payments().List(ctx, payments.Filter{Cursor: "x"}); !errors.Is(err, journal.ErrCursor) {
		t.Errorf("made-up cursor: %v", err)
	}
	list, err := s.Payments().Open(ctx)
	if err != nil || len(list) != 2 || list[0].ID != "p3" || list[1].ID != "p4" {
		t.Errorf("open payments %v, %v", list, err)
	}
}

func TestLastKnownIsWhatTheTerminalTold(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	if _, err := s.Payments().LastKnown(ctx, "front"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("empty journal: %v", err)
	}
	told := somePayment(t, "told", "front")
	told.State, told.Told = payments.Approved, &payments.Outcome{State: payments.Approved, ApprovedAmount: told.Amount, Baseline: payments.Baseline{Known: true, Receipt: "7"}}
	silent := somePayment(t, "silent", "front")
	silent.State = payments.Failed
	for _, p := range []payments.Payment{told, silent} {
		if err := s.Payments().Create(ctx, p, journal.Entry{}); err != nil {
			t.Fatal(err)
		}
	}
	if b, err := s.Payments().LastKnown(ctx, "front"); err != nil || b.Receipt != "7" {
		t.Errorf("last known %+v, %v", b, err)
	}
}

func TestTendersClaimEachPaymentOnce(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	for _, p := range []payments.Payment{somePayment(t, "good", "a"), somePayment(t, "other", "b"), somePayment(t, "declined", "c")} {
		p.State = payments.Approved
		if p.ID == "declined" {
			p.State = payments.Declined
		}
		if err := s.Payments().Create(ctx, p, journal.Entry{}); err != nil {
			t.Fatal(err)
		}
	}
	accept := func(n int, tenders ...offline.Tender) (string, error) {
		a := someSale(n)
		a.Record.Tenders = tenders
		return a.Record.ID, s.Outbox().AcceptSale(ctx, a, someEntry(n))
	}
	card := func(id string) offline.Tender { return offline.Tender{Type: "card", PaymentID: id} }
	first, err := accept(1, offline.Tender{Type: "cash", Amount: "2.00"}, card("good"))
	if err != nil {
		t.Fatal(err)
	}
	for i, tc := range []struct {
		tenders []offline.Tender
		want    offline.TenderError
	}{
		{[]offline.Tender{card("other"), card("good")}, offline.TenderError{Index: 1, PaymentID: "good", Why: "already_used"}},
		{[]offline.Tender{card("other"), card("other")}, offline.TenderError{Index: 1, PaymentID: "other", Why: "already_used"}},
		{[]offline.Tender{card("declined")}, offline.TenderError{Index: 0, PaymentID: "declined", Why: "not_approved"}},
		{[]offline.Tender{card("nobody")}, offline.TenderError{Index: 0, PaymentID: "nobody", Why: "unknown"}},
		{[]offline.Tender{{Type: "giftcard", GiftcardTransactionID: "g1"}}, offline.TenderError{Index: 0, PaymentID: "g1", Why: "unknown"}},
	} {
		id, err := accept(10+i, tc.tenders...)
		te, ok := errors.AsType[*offline.TenderError](err)
		if !ok || *te != tc.want {
			t.Errorf("tenders %v: %v, want %v", tc.tenders, err, &tc.want)
		}
		if _, err := s.Outbox().Sale(ctx, id); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("the refused sale is there: %v", err)
		}
	}
	p, err := s.Payments().Get(ctx, "other")
	if err != nil || p.SaleID != "" {
		t.Errorf("a refused sale kept its claim: %q, %v", p.SaleID, err)
	}
	p, err = s.Payments().Get(ctx, "good")
	if err != nil || p.SaleID != first {
		t.Errorf("claimed by %q, %v, want %s", p.SaleID, err, first)
	}
	p.SaleID, p.State = "", payments.Voided // an update never touches the claim
	if err := s.Payments().Update(ctx, p); err != nil {
		t.Fatal(err)
	}
	if p, err = s.Payments().Get(ctx, "good"); err != nil || p.SaleID != first || p.State != payments.Voided {
		t.Errorf("after update: %+v, %v", p, err)
	}
}

func TestUpdateOfNothing(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	p := somePayment(t, "nobody", "front")
	if err := s.Payments().Update(ctx, p); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("update: %v", err)
	}
	if err := s.Payments().Resolve(ctx, p, "", someEntry(1)); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("resolve: %v", err)
	}
	if _, err := s.Keys().Answer(ctx, "p1", "key-1"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("refused resolve left its key: %v", err)
	}
}

func TestResolveIsAudited(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	p := somePayment(t, "pay-1", "front")
	if err := s.Payments().Create(ctx, p, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	p.State = payments.Failed
	if err := s.Payments().Resolve(ctx, p, "host report shows nothing", someEntry(1)); err != nil {
		t.Fatal(err)
	}
	rows, _, err := s.Audit().List(ctx, 10, "")
	if err != nil || len(rows) != 1 || rows[0].Action != "payment.resolve" || rows[0].Subject != "pay-1" ||
		rows[0].Actor.Name != "Ann" || rows[0].Note != "failed: host report shows nothing" {
		t.Errorf("audit %+v, %v", rows, err)
	}
}

// TestResolveMeetsASale: between a person's look at a payment and their word a sale claims it; what the sale relies on
// stands.
func TestResolveMeetsASale(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	p := somePayment(t, "pay-1", "front")
	p.State = payments.Approved
	if err := s.Payments().Create(ctx, p, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	seen, err := s.Payments().Get(ctx, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	a := someSale(1)
	a.Record.Tenders = []offline.Tender{{Type: "card", PaymentID: p.ID}}
	if err := s.Outbox().AcceptSale(ctx, a, someEntry(1)); err != nil {
		t.Fatal(err)
	}
	seen.State = payments.Failed
	if err := s.Payments().Resolve(ctx, seen, "host report shows nothing", someEntry(2)); !errors.Is(err, payments.ErrState) {
		t.Errorf("resolve: %v", err)
	}
	if p, err = s.Payments().Get(ctx, p.ID); err != nil || p.State != payments.Approved || p.SaleID != a.Record.ID {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestVoidMeetsASale: the same for a void, which may be asked for again by who knows of the sale.
func TestVoidMeetsASale(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	p := somePayment(t, "pay-1", "front")
	p.State = payments.Approved
	if err := s.Payments().Create(ctx, p, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	void := func(n int) (payments.Payment, error) {
		seen, err := s.Payments().Get(ctx, p.ID)
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			a := someSale(1)
			a.Record.Tenders = []offline.Tender{{Type: "card", PaymentID: p.ID}}
			if err := s.Outbox().AcceptSale(ctx, a, someEntry(1)); err != nil {
				t.Fatal(err)
			}
		}
		seen.Operations = []payments.Operation{{ID: newID(), Type: payments.OpVoid, State: payments.Created, Amount: p.Amount, CreatedAt: p.CreatedAt}}
		return seen, s.Payments().AddOperation(ctx, seen, someEntry(n+1))
	}
	if _, err := void(1); !errors.Is(err, payments.ErrState) {
		t.Errorf("void of what a sale has just claimed: %v", err)
	}
	if seen, err := void(2); err != nil || seen.SaleID == "" {
		t.Errorf("void of the sale's payment: %+v, %v", seen, err)
	}
}
