package nexo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"storeagent/payments"
)

// askAgain parts two questions for a transaction that the terminal does not know: its message may still have been on
// the way when the first was asked.
const askAgain = 5 * time.Second

// found is what a terminal says of one of our transactions.
type found int

const (
	foundUnclear found = iota // it cannot tell
	foundIt
	foundNothing
)

// Recover implements payments.Terminal: a TransactionStatus with the attempt's own ServiceID, which was on disk before
// the terminal heard of it.
//
// A terminal that was replaced or reset knows nothing and says the same "not found" as one that never got the message.
// So that counts as not charged only if the terminal still knows the payment before this one.
func (t *Terminal) Recover(ctx context.Context, a payments.Attempt) (payments.Verdict, payments.Outcome, error) {
	verdict, out := payments.Unknown, payments.Outcome{}
	err := t.task(ctx, func(ctx context.Context) (err error) {
		verdict, out, err = t.judge(ctx, a)
		return err
	})
	if err != nil {
		return payments.Unknown, payments.Outcome{}, fmt.Errorf("ask terminal how the payment ended: %w", err)
	}
	return verdict, out, nil
}

func (t *Terminal) judge(ctx context.Context, a payments.Attempt) (payments.Verdict, payments.Outcome, error) {
	category := catPayment
	if a.Original != nil {
		category = catReversal
	}
	for range 2 {
		what, b, err := t.lookUp(ctx, category, a.Ref)
		switch {
		case err != nil || what == foundUnclear:
			return payments.Unknown, payments.Outcome{}, err
		case what == foundIt:
			return t.ended(b, a.Txn)
		}
		select {
		case <-ctx.Done():
			return payments.Unknown, payments.Outcome{}, ctx.Err()
		case <-time.After(askAgain):
		}
	}
	if a.Told != nil && a.Told.State == payments.Approved {
		return payments.Unknown, payments.Outcome{}, nil // it told us once, so it forgot
	}
	if !a.Baseline.Known || a.Baseline.Trace == "" || a.Baseline.Trace == a.Ref {
		return payments.Unknown, payments.Outcome{}, nil
	}
	what, _, err := t.lookUp(ctx, catPayment, a.Baseline.Trace)
	if err != nil || what != foundIt {
		return payments.Unknown, payments.Outcome{}, err
	}
	return payments.NotCharged, payments.Outcome{}, nil
}

// ended reads the answer that the terminal repeats.
func (t *Terminal) ended(b body, txn payments.Txn) (payments.Verdict, payments.Outcome, error) {
	if b.payment != nil && b.payment.Response.Result == resultFailure && b.payment.Response.ErrorCondition == condBusy {
		return payments.NotCharged, payments.Outcome{}, nil // it never began
	}
	out, _, err := b.outcome(txn)
	if err != nil {
		t.log.Warn("terminal repeats an answer that says nothing certain", "err", err)
		return payments.Unknown, payments.Outcome{}, nil
	}
	t.remember(out.Baseline)
	return payments.Known, out, nil
}

// lookUp asks for the transaction with a ServiceID of ours. An error means: ask again later.
func (t *Terminal) lookUp(ctx context.Context, category, ref string) (found, body, error) {
	r, err := t.ask(ctx, request{
		MessageHeader: t.newHeader(catStatus, payments.NewRef(time.Now())),
		TransactionStatusRequest: &transactionStatusRequest{MessageReference: messageReference{
			MessageCategory: category, SaleID: t.saleID, ServiceID: ref,
		}},
	})
	if err != nil {
		return foundUnclear, body{}, err
	}
	s := r.TransactionStatusResponse
	if s == nil {
		return foundUnclear, body{}, errors.New("answer to TransactionStatus is empty")
	}
	if s.Response.Result != resultSuccess {
		return t.missing(s.Response)
	}
	b, ok := s.repeats(category, t.saleID, ref)
	if !ok {
		t.log.Warn("terminal repeats no answer to the message it was asked for", "asked", ref)
		return foundUnclear, body{}, nil
	}
	return foundIt, b, nil
}

// repeats gives the repeated answer if it is the one to our message.
func (s *transactionStatusResponse) repeats(category, saleID, ref string) (body, bool) {
	m := s.RepeatedMessageResponse
	if m == nil || m.MessageHeader.ServiceID != ref || m.MessageHeader.SaleID != saleID {
		return body{}, false
	}
	b := body{m.RepeatedResponseMessageBody.PaymentResponse, m.RepeatedResponseMessageBody.ReversalResponse}
	if category == catPayment {
		return b, b.payment != nil
	}
	return b, b.reversal != nil
}

// missing reads why there is nothing to repeat.
func (t *Terminal) missing(r result) (found, body, error) {
	switch r.ErrorCondition {
	case condNotFound:
		return foundNothing, body{}, nil
	case "MessageFormat", "NotAllowed", "UnavailableService":
		return foundUnclear, body{}, nil // asking again would not help
	case condLoggedOut:
		t.setLoggedIn(false) // the next look logs in
		t.wake()
	}
	return foundUnclear, body{}, fmt.Errorf("terminal cannot say yet: %s %s", mask(r.ErrorCondition), r.text())
}
