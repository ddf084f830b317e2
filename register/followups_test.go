package register_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments"
	"storeagent/payments/money"
)

func (t till) follow(id string, typ payments.OperationType, amount *money.Amount, entry func(payments.Payment) journal.Entry) (payments.Payment, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, err := t.find(id)
	switch {
	case err != nil:
		return payments.Payment{}, err
	case p.Blocks():
		return *p, payments.ErrTerminalInDoubt
	case p.State != payments.Approved:
		return *p, payments.ErrState
	case typ == payments.OpTip:
		return *p, payments.ErrUnsupported
	case amount != nil && amount.Cmp(p.Amount) > 0:
		return *p, payments.ErrAmount
	}
	if amount == nil {
		amount = &p.Amount
	}
	after := *p
	after.Operations = append(after.Operations, payments.Operation{ID: fmt.Sprintf("op-%d", len(after.Operations)+1), Type: typ, State: payments.Created, Amount: *amount})
	if err := t.commit(entry(after)); err != nil {
		return *p, err
	}
	*p = after
	return after, nil
}

func (t till) Void(_ context.Context, id string, e func(payments.Payment) journal.Entry) (payments.Payment, error) {
	return t.follow(id, payments.OpVoid, nil, e)
}

func (t till) Capture(_ context.Context, id string, amount *money.Amount, e func(payments.Payment) journal.Entry) (payments.Payment, error) {
	return t.follow(id, payments.OpCapture, amount, e)
}

func (t till) Tip(_ context.Context, id string, amount money.Amount, e func(payments.Payment) journal.Entry) (payments.Payment, error) {
	return t.follow(id, payments.OpTip, &amount, e)
}

func (t till) EndOfDay(ctx context.Context, terminal, currency string, e func(payments.Closing) journal.Entry) (payments.Closing, error) {
	c, err := t.Totals(ctx, terminal, currency)
	if err != nil {
		return c, err
	}
	c.ID = "closing-1"
	t.mu.Lock()
	defer t.mu.Unlock()
	return c, t.commit(e(c))
}

func (t till) Totals(_ context.Context, terminal, currency string) (payments.Closing, error) {
	if terminal != "card" {
		return payments.Closing{}, payments.ErrNoTerminal
	}
	return payments.Closing{Terminal: terminal, Currency: currency, Differences: []payments.Difference{{What: "count", Terminal: "2", Journal: "1"}}}, nil
}

func (t till) Display(_ context.Context, terminal string, lines []string, _ time.Duration) error {
	switch {
	case terminal != "card":
		return payments.ErrNoTerminal
	case len(lines) == 0:
		return fmt.Errorf("display: %w", context.DeadlineExceeded)
	}
	return nil
}

func (t till) Contradicted() []payments.Payment {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []payments.Payment
	for _, p := range t.payments {
		if p.Contradicted() {
			list = append(list, p)
		}
	}
	return list
}

func (t till) Orphans() []payments.Payment {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []payments.Payment
	for _, p := range t.payments {
		if p.AlarmedAt != nil {
			list = append(list, p)
		}
	}
	return list
}

func approved(t *testing.T) payments.Payment {
	return payments.Payment{ID: "pay-1", Type: payments.Preauth, State: payments.Approved, Amount: mustAmount(t, "5.00"), Currency: "USD", Terminal: "card"}
}

func TestFollowUps(t *testing.T) {
	for _, tt := range []struct {
		path, body string
		status     int
		has        string
	}{
		{"pay-1/void", "", 202, `"operations":[{"id":"op-1","type":"void","state":"created","amount":"5.00"`},
		{"pay-1/capture", "", 202, `"type":"capture","state":"created","amount":"5.00"`},
		{"pay-1/capture", `{"amount":"3.20"}`, 202, `"amount":"3.20"`},
		{"pay-1/capture", `{"amount":"5.01"}`, 422, "more than was authorized"},
		{"pay-1/capture", `{"amount":1}`, 422, "decimal text"},
		{"pay-1/tip", `{"amount":"1.00"}`, 422, "unsupported_by_terminal"},
		{"pay-1/tip", `{"amount":"0"}`, 422, "above zero"},
		{"pay-1/tip", `{}`, 422, "is required"},
		{"pay-2/void", "", 409, "wrong_state"},
		{"pay-9/void", "", 404, "not_found"},
		{"pay-9/tip", `{"amount":"1.00"}`, 404, "not_found"},
	} {
		m := newMemory()
		m.payments = []payments.Payment{approved(t), {ID: "pay-2", State: payments.Declined, Amount: mustAmount(t, "5.00"), Currency: "USD"}}
		s := newServer(t, m)
		a := ask{method: "POST", path: "/v1/payments/" + tt.path, token: registerToken, key: "k", body: tt.body}
		w := a.do(t, s)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.has) {
			t.Errorf("%s %s: %d %s, want %d with %s", tt.path, tt.body, w.Code, w.Body, tt.status, tt.has)
		}
		if tt.status != 202 {
			if len(m.answers) != 0 {
				t.Errorf("%s %s: a refusal was recorded", tt.path, tt.body)
			}
			continue
		}
		if got := w.Header().Get("Location"); got != "/v1/payments/pay-1" {
			t.Errorf("%s: Location %q", tt.path, got)
		}
		again := a.do(t, s)
		if again.Code != 202 || again.Body.String() != w.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" || len(m.payments[0].Operations) != 1 {
			t.Errorf("%s again: %d %s, %d operations", tt.path, again.Code, again.Body, len(m.payments[0].Operations))
		}
	}
}

func TestFullDiskTakesNoFollowUp(t *testing.T) {
	m := newMemory()
	m.payments = []payments.Payment{approved(t)}
	m.full = true
	w := ask{method: "POST", path: "/v1/payments/pay-1/void", token: registerToken, key: "k"}.do(t, newServer(t, m))
	if w.Code != 503 || code(t, w) != "storage_full" || len(m.payments[0].Operations) != 0 {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTerminalService(t *testing.T) {
	s := newServer(t, newMemory())
	for _, tt := range []struct {
		path, body string
		status     int
		has        string
	}{
		{"card/end-of-day", "", 200, `"id":"closing-1"`}, {"x/end-of-day", "", 404, "not_found"},
		{"card/totals", "", 200, `"differences":[{"what":"count","terminal":"2","journal":"1"}]`}, {"x/totals", "", 404, "not_found"},
		{"card/display", `{"lines":["Guten Tag"],"seconds":5}`, 200, `"Guten Tag"`}, {"x/display", `{"lines":["a"]}`, 404, "not_found"},
		{"card/display", `{"lines":[]}`, 503, "terminal_unreachable"}, {"card/display", `{"lines":["4111 1111 1111 1111"]}`, 422, "card_data_refused"},
		{"card/display", `{"lines":["a"],"seconds":900}`, 422, "seconds"}, {"card/display", `{}`, 422, "lines"},
	} {
		w := ask{method: "POST", path: "/v1/terminals/" + tt.path, token: registerToken, body: tt.body}.do(t, s)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.has) {
			t.Errorf("%s %s: %d %s, want %d with %s", tt.path, tt.body, w.Code, w.Body, tt.status, tt.has)
		}
	}
}

func TestEndOfDayIsReplayed(t *testing.T) {
	m := newMemory()
	s := newServer(t, m)
	a := ask{method: "POST", path: "/v1/terminals/card/end-of-day", token: registerToken, key: "eod"}
	first, again := a.do(t, s), a.do(t, s)
	if first.Code != 200 || again.Body.String() != first.Body.String() || again.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("%d %s, again %d %s", first.Code, first.Body, again.Code, again.Body)
	}
}

func TestStatusNamesPaymentsWithoutSale(t *testing.T) {
	m := newMemory()
	p := approved(t)
	at := time.Date(2026, 3, 7, 15, 0, 0, 0, time.UTC)
	p.AlarmedAt = &at
	m.payments = []payments.Payment{p}
	w := ask{method: "GET", path: "/v1/status", token: registerToken}.do(t, newServer(t, m))
	if body := w.Body.String(); !strings.Contains(body, "payment_without_sale") || !strings.Contains(body, "pay-1") || !strings.Contains(body, "/void") {
		t.Errorf("%d %s", w.Code, body)
	}
}

func TestStatusNamesContradictedPayments(t *testing.T) {
	m := newMemory()
	p := approved(t)
	p.Evidence = []payments.Evidence{{Outcome: payments.Failed, Detail: "the terminal does not know it: nothing was charged", Contradicts: true}}
	m.payments = []payments.Payment{p}
	s := newServer(t, m)
	w := ask{method: "GET", path: "/v1/status", token: registerToken}.do(t, s)
	if body := w.Body.String(); !strings.Contains(body, "payment_contradicted") || !strings.Contains(body, "pay-1") || !strings.Contains(body, "nothing was charged") {
		t.Errorf("%d %s", w.Code, body)
	}
	p.Evidence[0].Settled = true
	w = ask{method: "GET", path: "/v1/status", token: registerToken}.do(t, s)
	if strings.Contains(w.Body.String(), "payment_contradicted") {
		t.Errorf("a person decided: %s", w.Body)
	}
}
