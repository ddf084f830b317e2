package pax

import (
	"context"
	"fmt"
	"time"

	"storeagent/devices"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/wireline"
)

// maxCents bounds an amount: the field has at most nine digits in the public sources' tests.
const maxCents = 999_999_999

// Do implements payments.Terminal with T00, credit.
func (t *Terminal) Do(ctx context.Context, txn payments.Txn, ev payments.Events) error {
	r, err := t.request(txn)
	if err != nil {
		return wireline.NotSent(err)
	}
	return t.owner.Pay(ctx, func(ctx context.Context, s *session, stop <-chan struct{}) (bool, error) {
		return s.pay(ctx, r, txn, ev, stop)
	})
}

// request builds the command. A tip's amount is the tip; a void names no amount.
func (t *Terminal) request(txn payments.Txn) (request, error) {
	if txn.Ref == "" {
		return request{}, fmt.Errorf("%s without a reference", txn.Kind)
	}
	cents, err := wireline.Minor(txn.Amount, maxCents)
	if err != nil {
		return request{}, err
	}
	if t.currency != "" && txn.Amount.Currency() != t.currency {
		return request{}, fmt.Errorf("amount in %s on a terminal that works in %s", txn.Amount.Currency(), t.currency)
	}
	r := request{kind: kindTypes[txn.Kind], amount: cents, ref: txn.Ref}
	if txn.Tip != (money.Amount{}) {
		if r.gratuity, err = wireline.Minor(txn.Tip, cents-1); err != nil {
			return request{}, fmt.Errorf("tip: %w", err)
		}
		r.amount -= r.gratuity
	}
	switch txn.Kind {
	case payments.DoRefund:
		if txn.Original != nil {
			return request{}, fmt.Errorf("refund of a named payment: %w", payments.ErrUnsupported)
		}
	case payments.DoTip:
		r.tip = true
	case payments.DoVoid, payments.DoCancelPreauth:
		r.amount = 0
	}
	if r.kind == "" {
		return request{}, fmt.Errorf("%s: %w", txn.Kind, payments.ErrUnsupported)
	}
	if !txn.Kind.FollowsUp() {
		return r, nil
	}
	if o := txn.Original; o != nil {
		if r.transaction = o.Reference; r.transaction == "" {
			r.transaction = o.Receipt
		}
		if txn.Kind == payments.DoCapture {
			r.auth = o.ApprovalCode
		}
	}
	if r.transaction == "" {
		return request{}, fmt.Errorf("%s of a payment whose number at the terminal is not known", txn.Kind)
	}
	return r, nil
}

// pay runs a money command. broken means that the line must be opened anew.
func (s *session) pay(ctx context.Context, r request, txn payments.Txn, ev payments.Events, stop <-chan struct{}) (broken bool, err error) {
	base, err := s.baseline(ctx)
	if err != nil {
		return true, wireline.NotSent(fmt.Errorf("ask terminal for an earlier payment: %w", err))
	}
	if err := ev.Sending(base); err != nil {
		return false, wireline.NotSent(fmt.Errorf("commit before sending: %w", err))
	}
	limit := time.Now().Add(s.t.timeout)
	if err := s.deliver(ctx, r.message()); err != nil {
		return true, fmt.Errorf("payment at terminal: %w", err)
	}
	// The protocol shows no progress; once the command is taken the terminal asks for the card itself.
	if txn.Kind.FollowsUp() {
		ev.Prompt(payments.Prompt{Code: "wait", Text: "the terminal is at work"})
	} else {
		ev.Prompt(payments.Prompt{Code: "insert_card", Text: "the terminal asks for the card; see its display"})
	}
	a, err := s.await(ctx, wait{cmd: answerTo(cmdCredit), ref: r.ref, until: limit, stop: stop, money: true})
	if err != nil {
		return true, fmt.Errorf("payment at terminal: %w", err)
	}
	out, err := a.outcome(txn)
	if err != nil { // acknowledged nowhere: the report is asked instead
		return true, fmt.Errorf("payment at terminal: %w", err)
	}
	if err := ev.CommitOutcome(out); err != nil {
		return true, fmt.Errorf("commit outcome: %w", err)
	}
	if err := s.line.Answer(wireline.ACK); err != nil {
		return true, fmt.Errorf("acknowledge the outcome: %w", err)
	}
	if out.State == payments.Approved {
		s.t.remember(r.ref)
		s.t.owner.SetHealth(devices.Ready, devices.Status{})
	}
	return false, nil
}
