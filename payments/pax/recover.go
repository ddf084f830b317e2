package pax

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"storeagent/payments"
	"storeagent/payments/wireline"
)

// show asks the terminal's report for the transaction with that reference of ours.
func (s *session) show(ctx context.Context, ref string) (a answer, found bool, err error) {
	a, err = s.ask(ctx, detail(ref, ""), queryLimit)
	return a, err == nil && a.code == codeOK && a.ref == ref, err
}

// absent is true where the report says clearly that it has no such transaction.
func (a answer) absent() bool {
	return a.code == codeNotFound || a.code != codeOK && strings.Contains(strings.ToUpper(a.text), "NOT FOUND") ||
		a.code == codeOK && a.ref == "" && a.number == ""
}

// baseline finds an earlier transaction that the report shows by its reference. If it still does so after a lost
// answer, the report works here and the batch is the same; only then "not found" means "did not happen". The
// questions also break a line that died unnoticed, where nothing was sent yet, and clear it of older answers.
func (s *session) baseline(ctx context.Context) (payments.Baseline, error) {
	ref := s.t.reference()
	if ref == "" && s.t.records(false) { // after a start: any transaction of the batch will do
		a, err := s.ask(ctx, detail("", "1"), queryLimit)
		if errors.Is(err, wireline.ErrSilent) {
			s.t.records(true)
		}
		if err != nil {
			return payments.Baseline{}, err
		}
		if a.code == codeOK {
			ref = a.ref
		}
	}
	if ref == "" {
		_, err := s.greet(ctx)
		return payments.Baseline{}, err
	}
	a, found, err := s.show(ctx, ref)
	if err != nil {
		return payments.Baseline{}, err
	}
	if !found {
		s.t.remember("")
		return payments.Baseline{}, nil
	}
	s.t.remember(ref)
	return payments.Baseline{Known: true, Receipt: a.number, Trace: a.ref}, nil
}

// Recover implements payments.Terminal: is the terminal idle, what does its report say of our reference, and can the
// report be trusted.
func (t *Terminal) Recover(ctx context.Context, at payments.Attempt) (payments.Verdict, payments.Outcome, error) {
	var verdict payments.Verdict
	var out payments.Outcome
	_, err := t.owner.Call(ctx, func(ctx context.Context, s *session) (bool, error) {
		a, err := s.greet(ctx) // a terminal at work on the payment does not answer
		if err != nil {
			return true, err
		}
		if a.code != codeOK {
			return false, fmt.Errorf("terminal is not idle: %s", a.decline().Message)
		}
		a, found, err := s.show(ctx, at.Ref)
		if err != nil {
			return true, err
		}
		if found {
			t.remember(at.Ref)
			verdict, out = judge(at, a)
			return false, nil
		}
		if !a.absent() || !at.Baseline.Known || at.Baseline.Trace == "" || at.Told != nil && at.Told.State == payments.Approved {
			return false, nil
		}
		if _, found, err = s.show(ctx, at.Baseline.Trace); err != nil {
			return true, err
		}
		if found {
			verdict = payments.NotCharged
		}
		return false, nil
	})
	if err != nil {
		return payments.Unknown, payments.Outcome{}, fmt.Errorf("ask terminal how the payment ended: %w", err)
	}
	return verdict, out, nil
}

// judge decides what the report's record with our reference says: it must be of the kind that was asked for, or the
// void of it.
func judge(at payments.Attempt, a answer) (payments.Verdict, payments.Outcome) {
	out, err := a.outcome(at.Txn)
	if err != nil || out.State != payments.Approved {
		return payments.Unknown, payments.Outcome{}
	}
	switch kind := kindTypes[at.Kind]; {
	case a.kind == kind:
		return payments.Known, out
	case a.kind == typeVoid && kind != "":
		out.State = payments.Reversed
		return payments.Known, out
	}
	return payments.Unknown, payments.Outcome{}
}

// kindTypes are the transaction types of T00.
var kindTypes = map[payments.Kind]string{
	payments.DoSale: typeSale, payments.DoRefund: typeReturn, payments.DoPreauth: typeAuth, payments.DoCapture: typePostAuth,
	payments.DoTip: typeAdjust, payments.DoVoid: typeVoid, payments.DoCancelPreauth: typeVoid,
}
