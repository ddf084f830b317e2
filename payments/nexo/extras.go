package nexo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"storeagent/payments"
	"storeagent/payments/money"
)

// EndOfDay implements payments.Reconciler: a Reconciliation of the sale system, which starts a new period.
func (t *Terminal) EndOfDay(ctx context.Context) (payments.Totals, error) {
	r := request{
		MessageHeader:         t.newHeader(catReconciliation, payments.NewRef(time.Now())),
		ReconciliationRequest: &reconciliationRequest{ReconciliationType: "SaleReconciliation"},
	}
	var out payments.Totals
	sent := false
	err := t.task(ctx, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, t.timeout)
		defer cancel()
		conn, err := t.dial(ctx)
		if err != nil {
			return err
		}
		sent = true
		a, err := t.exchange(ctx, conn, r, nil)
		if err != nil {
			return err
		}
		out, err = t.totals(a.ReconciliationResponse)
		return err
	})
	if err != nil {
		err = fmt.Errorf("end of day at terminal: %w", err)
		if !sent {
			err = notSent(err)
		}
		return payments.Totals{}, err
	}
	return out, nil
}

// Totals implements payments.Reconciler: GetTotals.
func (t *Terminal) Totals(ctx context.Context) (payments.Totals, error) {
	var out payments.Totals
	err := t.task(ctx, func(ctx context.Context) error {
		a, err := t.ask(ctx, request{MessageHeader: t.newHeader(catGetTotals, payments.NewRef(time.Now())), GetTotalsRequest: &getTotalsRequest{}})
		if err != nil {
			return err
		}
		out, err = t.totals(a.GetTotalsResponse)
		return err
	})
	if err != nil {
		return payments.Totals{}, fmt.Errorf("read totals of terminal: %w", err)
	}
	return out, nil
}

// signs says how a kind of transaction counts in the sum and in the number (nexo Retailer 3.0, TransactionType): a
// debit is a sale, a credit a refund.
var signs = map[string]struct{ amount, count int }{
	"Debit": {1, 1}, "Credit": {-1, 1}, "ReverseDebit": {-1, -1}, "ReverseCredit": {1, -1},
}

// totals adds up per card scheme. Sums in another currency than the store's stand with their scheme only.
func (t *Terminal) totals(r *totalsResponse) (payments.Totals, error) {
	if r == nil {
		return payments.Totals{}, errors.New("answer of the terminal holds no totals")
	}
	if r.Response.Result == resultFailure {
		return payments.Totals{}, errors.New(r.Response.text())
	}
	zero, err := money.FromMinor(0, t.currency)
	if err != nil {
		return payments.Totals{}, err
	}
	out := payments.Totals{Amount: zero}
	cards := map[string]payments.CardTotal{}
	for _, tt := range r.TransactionTotals {
		currency := tt.PaymentCurrency
		if currency == "" {
			currency = t.currency
		}
		key := tt.CardBrand + "/" + currency
		c, ok := cards[key]
		if !ok {
			if c.Amount, err = money.FromMinor(0, currency); err != nil {
				return payments.Totals{}, err
			}
			c.Brand = mask(tt.CardBrand)
		}
		for _, p := range tt.PaymentTotals {
			sign, ok := signs[p.TransactionType]
			if !ok {
				continue // declined, failed: no money
			}
			n, err := signed(p.TransactionAmount, sign.amount, currency)
			if err != nil {
				return payments.Totals{}, err
			}
			if c.Amount, err = c.Amount.Add(n); err != nil {
				return payments.Totals{}, err
			}
			c.Count += sign.count * p.TransactionCount
		}
		cards[key] = c
	}
	for _, key := range slices.Sorted(maps.Keys(cards)) {
		c := cards[key]
		out.Cards = append(out.Cards, c)
		out.Count += c.Count
		if c.Amount.Currency() != t.currency {
			continue
		}
		if out.Amount, err = out.Amount.Add(c.Amount); err != nil {
			return payments.Totals{}, err
		}
	}
	return out, nil
}

// Display implements payments.Displayer. A terminal that shows no texts of the register says so, and that is the error.
func (t *Terminal) Display(ctx context.Context, lines []string, d time.Duration) error {
	o := displayOutput{Device: "CustomerDisplay", InfoQualify: "Display", OutputContent: textOutput(lines)}
	if d > 0 {
		o.MinimumDisplayTime = max(1, int(d/time.Second))
	}
	err := t.task(ctx, func(ctx context.Context) error {
		r, err := t.ask(ctx, request{
			MessageHeader:  t.newHeader(catDisplay, payments.NewRef(time.Now())),
			DisplayRequest: &displayRequest{DisplayOutput: []displayOutput{o}},
		})
		if err != nil {
			return err
		}
		if r.DisplayResponse == nil {
			return errors.New("answer to Display is empty")
		}
		for _, o := range r.DisplayResponse.OutputResult {
			if o.Response.Result == resultFailure {
				return errors.New(o.Response.text())
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("show lines on terminal: %w", err)
	}
	return nil
}

// printAll lets the terminal print the slips. The payment stands whatever becomes of the paper.
func (t *Terminal) printAll(ctx context.Context, r payments.Receipt) {
	for _, s := range []struct {
		qualifier string
		lines     []string
	}{{"CashierReceipt", r.Merchant}, {"CustomerReceipt", r.Customer}} {
		if len(s.lines) == 0 {
			continue
		}
		if err := t.print(ctx, s.qualifier, s.lines); err != nil {
			t.log.Warn("terminal did not print a slip", "slip", s.qualifier, "err", err)
		}
	}
}

func (t *Terminal) print(ctx context.Context, qualifier string, lines []string) error {
	r, err := t.ask(ctx, request{
		MessageHeader: t.newHeader(catPrint, payments.NewRef(time.Now())),
		PrintRequest: &printRequest{PrintOutput: printOutput{
			DocumentQualifier: qualifier, ResponseMode: "PrintEnd", OutputContent: textOutput(lines),
		}},
	})
	if err != nil {
		return err
	}
	if r.PrintResponse == nil {
		return errors.New("answer to Print is empty")
	}
	if r.PrintResponse.Response.Result == resultFailure {
		return errors.New(r.PrintResponse.Response.text())
	}
	return nil
}

func textOutput(lines []string) outputContent {
	c := outputContent{OutputFormat: "Text", OutputText: []outputText{}}
	end := true
	for _, l := range lines {
		c.OutputText = append(c.OutputText, outputText{Text: l, EndOfLineFlag: &end})
	}
	return c
}

// signed reads a JSON number with a sign put on it.
func signed(number json.Number, sign int, currency string) (money.Amount, error) {
	a, err := readNumber(number, currency)
	if err != nil || sign > 0 {
		return a, err
	}
	minor, ok := a.Minor()
	if !ok {
		return money.Amount{}, fmt.Errorf("amount %s of the terminal is too high", a)
	}
	return money.FromMinor(-minor, currency)
}
