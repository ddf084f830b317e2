package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments"
)

// readOperations reads what qPayments gathers of a payment's operations: arrays of state, body and memo.
func readOperations(text []byte) ([]payments.Operation, error) {
	var rows [][3]json.RawMessage
	if err := json.Unmarshal(text, &rows); err != nil {
		return nil, fmt.Errorf("payment operations: %w", err)
	}
	list := []payments.Operation{}
	for _, row := range rows {
		var o payments.Operation
		var m memo
		if err := json.Unmarshal(row[1], &o); err != nil {
			return nil, fmt.Errorf("payment operation body: %w", err)
		}
		if err := json.Unmarshal(row[2], &m); err != nil {
			return nil, fmt.Errorf("payment operation memo: %w", err)
		}
		if err := json.Unmarshal(row[0], &o.State); err != nil { // the column is what counts
			return nil, fmt.Errorf("payment operation state: %w", err)
		}
		o.Ref, o.Baseline, o.Told = m.Ref, m.Baseline, m.Told
		list = append(list, o)
	}
	return list, nil
}

func flattenOperation(o payments.Operation) (flat, error) {
	return flattened(o, memo{Ref: o.Ref, Baseline: o.Baseline, Told: o.Told})
}

func (t *tx) setOperation(o payments.Operation) error {
	f, err := flattenOperation(o)
	if err != nil {
		return err
	}
	n, err := t.changed(qPaymentOpSet, o.ID, string(o.State), f.told, f.body, f.memo)
	if err == nil && n == 0 {
		err = journal.ErrNotFound
	}
	return err
}

// AddOperation implements payments.Journal.
func (v Payments) AddOperation(ctx context.Context, p payments.Payment, e journal.Entry) error {
	if len(p.Operations) == 0 {
		return fmt.Errorf("add operation to payment %s: it brings none", p.ID)
	}
	o := p.Operations[len(p.Operations)-1]
	f, err := flattenOperation(o)
	if err != nil {
		return fmt.Errorf("add operation %s: %w", o.ID, err)
	}
	err = v.s.create(ctx, func(t *tx) error {
		if err := t.entry(e); err != nil {
			return err
		}
		if err := t.terminalFree(p.Terminal); err != nil {
			return err
		}
		var state, saleID string
		if err := t.row(qPaymentClaimable, p.ID).Scan(&state, &saleID); err != nil {
			return notFound(err)
		}
		if payments.State(state) != payments.Approved {
			return fmt.Errorf("payment is %s: %w", state, payments.ErrState)
		}
		if o.Type == payments.OpVoid && saleID != p.SaleID { // whoever asked saw one that was free, and so says the answer
			return fmt.Errorf("sale %s has claimed it meanwhile: %w", saleID, payments.ErrState)
		}
		res, err := t.exec(qPaymentOpAdd, o.ID, p.ID, p.Terminal, string(o.Type), string(o.State), o.Amount.String(), f.told,
			millis(o.CreatedAt), f.body, f.memo)
		if err != nil {
			return err
		}
		seq, err := res.LastInsertId()
		t.remember(newRecord(kindPayment, seq, o.ID, nil))
		return err
	})
	if err != nil {
		return fmt.Errorf("add operation %s: %w", o.ID, err)
	}
	return nil
}

// LastKnown implements payments.Journal.
func (v Payments) LastKnown(ctx context.Context, terminal string) (payments.Baseline, error) {
	var newest int64
	var found *payments.Outcome
	for _, query := range []string{qPaymentLast, qPaymentOpLast} {
		var at int64
		var extra []byte
		err := v.s.read.QueryRowContext(ctx, query, terminal).Scan(&at, &extra)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		var m memo
		if err == nil {
			err = json.Unmarshal(extra, &m)
		}
		if err != nil {
			return payments.Baseline{}, fmt.Errorf("read what terminal %s told last: %w", terminal, err)
		}
		if at >= newest {
			newest, found = at, m.Told
		}
	}
	if found == nil {
		return payments.Baseline{}, fmt.Errorf("read what terminal %s told last: %w", terminal, journal.ErrNotFound)
	}
	return found.Baseline, nil
}

// Taken implements payments.Journal.
func (v Payments) Taken(ctx context.Context, terminal string, since time.Time) ([]payments.Payment, error) {
	list, _, err := v.page(ctx, qPaymentsOf, terminal, millis(since))
	if err != nil {
		return nil, fmt.Errorf("read the payments of terminal %s: %w", terminal, err)
	}
	return list, nil
}

// LastClosing implements payments.Journal.
func (v Payments) LastClosing(ctx context.Context, terminal string) (payments.Closing, error) {
	var c payments.Closing
	var body []byte
	err := notFound(v.s.read.QueryRowContext(ctx, qClosingLast, terminal).Scan(&body))
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil {
		return payments.Closing{}, fmt.Errorf("read the last end of day of terminal %s: %w", terminal, err)
	}
	return c, nil
}

// AddClosing implements payments.Journal.
func (v Payments) AddClosing(ctx context.Context, c payments.Closing, e journal.Entry) error {
	body, err := json.Marshal(c)
	if err == nil {
		err = v.s.change(ctx, func(t *tx) error {
			if err := t.entry(e); err != nil {
				return err
			}
			_, err := t.exec(qClosingAdd, c.ID, c.Terminal, millis(c.At), string(body))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("write end of day %s: %w", c.ID, err)
	}
	return nil
}
