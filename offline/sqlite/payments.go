package sqlite

import (
	"context"
	"encoding/json"
	"fmt"

	"storeagent/internal/journal"
	"storeagent/payments"
	"storeagent/payments/money"
)

// memo is what recovery needs of a payment and the API does not show.
type memo struct {
	Ref      string            `json:"ref,omitempty"`
	Baseline payments.Baseline `json:"baseline"`
	Told     *payments.Outcome `json:"told,omitempty"`

	Original *payments.Original `json:"original,omitempty"` // of a linked refund
}

// flat is a payment as its row has it.
type flat struct {
	told       bool
	body, memo string
}

func flatten(p payments.Payment) (flat, error) {
	p.SaleID, p.Operations = "", nil // have columns and rows of their own
	return flattened(p, memo{Ref: p.Ref, Baseline: p.Baseline, Told: p.Told, Original: p.Original})
}

func flattened(body any, m memo) (flat, error) {
	f := flat{told: m.Told != nil}
	extra, err := json.Marshal(m)
	if err != nil {
		return f, err
	}
	text, err := json.Marshal(body)
	f.body, f.memo = string(text), string(extra)
	return f, err
}

func scanPayment(row scanner) (seq int64, p payments.Payment, err error) {
	var state, saleID string
	var body, extra, ops []byte
	if err := row.Scan(&seq, &state, &saleID, &body, &extra, &ops); err != nil {
		return 0, p, err
	}
	var m memo
	if err := json.Unmarshal(body, &p); err != nil {
		return 0, p, fmt.Errorf("payment body: %w", err)
	}
	if err := json.Unmarshal(extra, &m); err != nil {
		return 0, p, fmt.Errorf("payment memo: %w", err)
	}
	p.State, p.SaleID = payments.State(state), saleID // the columns are what counts
	p.Ref, p.Baseline, p.Told, p.Original = m.Ref, m.Baseline, m.Told, m.Original
	amounts := []*money.Amount{&p.Amount}
	for _, a := range []*money.Amount{p.ApprovedAmount, p.CapturedAmount, p.TipAmount, p.TipAtStart} {
		if a != nil {
			amounts = append(amounts, a)
		}
	}
	for _, e := range p.Evidence {
		if e.ApprovedAmount != nil {
			amounts = append(amounts, e.ApprovedAmount)
		}
	}
	if p.Original != nil {
		amounts = append(amounts, &p.Original.Amount)
	}
	if p.Told != nil {
		amounts = append(amounts, &p.Told.ApprovedAmount)
	}
	if p.Operations, err = readOperations(ops); err != nil {
		return 0, p, err
	}
	for i := range p.Operations {
		o := &p.Operations[i]
		amounts = append(amounts, &o.Amount)
		if o.ApprovedAmount != nil {
			amounts = append(amounts, o.ApprovedAmount)
		}
		if o.Told != nil {
			amounts = append(amounts, &o.Told.ApprovedAmount)
		}
	}
	for _, a := range amounts {
		if err := inCurrency(a, p.Currency); err != nil {
			return 0, p, fmt.Errorf("payment amount: %w", err)
		}
	}
	return seq, p, nil
}

// inCurrency gives an amount read from text its currency back. The zero Amount has none and keeps none.
func inCurrency(a *money.Amount, currency string) error {
	if *a == (money.Amount{}) || currency == "" {
		return nil
	}
	full, err := money.Parse(a.String(), currency)
	if err == nil {
		*a = full
	}
	return err
}

// Create implements payments.Journal.
func (v Payments) Create(ctx context.Context, p payments.Payment, e journal.Entry) error {
	f, err := flatten(p)
	if err != nil {
		return fmt.Errorf("create payment %s: %w", p.ID, err)
	}
	err = v.s.create(ctx, func(t *tx) error {
		if err := t.entry(e); err != nil {
			return err
		}
		if err := t.terminalFree(p.Terminal); err != nil {
			return err
		}
		res, err := t.exec(qPaymentAdd, p.ID, p.Terminal, string(p.State), f.told, millis(p.CreatedAt), f.body, f.memo)
		if err != nil {
			return err
		}
		seq, err := res.LastInsertId()
		t.remember(newRecord(kindPayment, seq, p.ID, nil))
		return err
	})
	if err != nil {
		return fmt.Errorf("create payment %s: %w", p.ID, err)
	}
	return nil
}

// terminalFree refuses new money while the terminal has a payment that is under way or unknown; unknown is worse.
func (t *tx) terminalFree(terminal string) error {
	rows, err := t.rows(qPaymentBusy, terminal)
	if err != nil {
		return err
	}
	states, err := collect(rows, func(row scanner) (payments.State, error) {
		var s payments.State
		return s, row.Scan(&s)
	})
	if err != nil {
		return err
	}
	for _, s := range states {
		if s.Blocks() {
			return payments.ErrTerminalInDoubt
		}
	}
	if len(states) > 0 {
		return payments.ErrTerminalBusy
	}
	return nil
}

// set replaces a payment's row.
func (t *tx) setPayment(p payments.Payment, f flat) error {
	var seq int64
	if err := t.row(qPaymentSeq, p.ID).Scan(&seq); err != nil {
		return notFound(err)
	}
	if _, err := t.exec(qPaymentSet, p.ID, string(p.State), f.told, f.body, f.memo, p.Contradicted()); err != nil {
		return err
	}
	t.remember(newRecord(kindPayment, seq, p.ID, nil))
	for _, o := range p.Operations {
		if err := t.setOperation(o); err != nil {
			return err
		}
	}
	return nil
}

// Update implements payments.Journal.
func (v Payments) Update(ctx context.Context, p payments.Payment, events ...journal.Event) error {
	f, err := flatten(p)
	if err != nil {
		return fmt.Errorf("update payment %s: %w", p.ID, err)
	}
	err = v.s.change(ctx, func(t *tx) error {
		if err := t.setPayment(p, f); err != nil {
			return err
		}
		return t.events(events)
	})
	if err != nil {
		return fmt.Errorf("update payment %s: %w", p.ID, err)
	}
	return nil
}

// Resolve implements payments.Journal.
func (v Payments) Resolve(ctx context.Context, p payments.Payment, note string, e journal.Entry) error {
	f, err := flatten(p)
	if err != nil {
		return fmt.Errorf("resolve payment %s: %w", p.ID, err)
	}
	err = v.s.change(ctx, func(t *tx) error {
		var state, saleID string
		if err := t.row(qPaymentClaimable, p.ID).Scan(&state, &saleID); err != nil {
			return notFound(err)
		}
		if saleID != p.SaleID { // the person decided about one that was free
			return fmt.Errorf("sale %s has claimed it meanwhile: %w", saleID, payments.ErrState)
		}
		if err := t.setPayment(p, f); err != nil {
			return err
		}
		if err := t.audit(e.Actor, "payment.resolve", p.ID, string(p.State)+": "+note); err != nil {
			return err
		}
		return t.entry(e)
	})
	if err != nil {
		return fmt.Errorf("resolve payment %s: %w", p.ID, err)
	}
	return nil
}

// Get implements payments.Journal.
func (v Payments) Get(ctx context.Context, id string) (payments.Payment, error) {
	_, p, err := scanPayment(v.s.read.QueryRowContext(ctx, qPayment, id))
	if err != nil {
		return payments.Payment{}, fmt.Errorf("read payment %s: %w", id, notFound(err))
	}
	return p, nil
}

// List implements payments.Journal.
func (v Payments) List(ctx context.Context, f payments.Filter) ([]payments.Payment, string, error) {
	var c conditions
	if f.State != "" {
		c.add("state = ?", string(f.State))
	}
	switch {
	case f.Attached == nil:
	case *f.Attached:
		c.add("sale_id <> ''")
	default:
		c.add("state = 'approved' AND sale_id = ''")
	}
	if f.Contradicted {
		c.add("contradicted = 1")
	}
	if !f.Since.IsZero() {
		c.add(paymentsSince, millis(f.Since), millis(f.Since))
	}
	if err := c.before(f.Cursor); err != nil {
		return nil, "", fmt.Errorf("list payments: %w", err)
	}
	limit := pageSize(f.Limit)
	page, seqs, err := v.page(ctx, qPayments+c.where()+` ORDER BY seq DESC LIMIT ?`, append(c.args, limit+1)...)
	if err != nil {
		return nil, "", fmt.Errorf("list payments: %w", err)
	}
	page, next := cut(page, seqs, limit)
	return page, next, nil
}

func (v Payments) page(ctx context.Context, query string, args ...any) ([]payments.Payment, []int64, error) {
	rows, err := v.s.read.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, nil, err
	}
	var seqs []int64
	page, err := collect(rows, func(row scanner) (payments.Payment, error) {
		seq, p, err := scanPayment(row)
		seqs = append(seqs, seq)
		return p, err
	})
	return page, seqs, err
}

// Open implements payments.Journal.
func (v Payments) Open(ctx context.Context) ([]payments.Payment, error) {
	page, _, err := v.page(ctx, qPaymentOpen)
	if err != nil {
		return nil, fmt.Errorf("read open payments: %w", err)
	}
	return page, nil
}
