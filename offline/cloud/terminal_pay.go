package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	graphql "github.com/hasura/go-graphql-client"

	"storeagent/internal/carddata"
	"storeagent/offline"
	"storeagent/payments"
	"storeagent/payments/money"
)

func notCharged(err error) error { return fmt.Errorf("%w: %w", payments.ErrNotSent, err) }

// Do implements payments.Terminal.
func (t *Terminal) Do(ctx context.Context, txn payments.Txn, ev payments.Events) error {
	ran, err := t.task(ctx, func(ctx context.Context, s *terminalSchema) error { return t.pay(ctx, s, txn, ev) })
	if !ran && err != nil {
		return notCharged(err)
	}
	return err
}

func (t *Terminal) pay(ctx context.Context, s *terminalSchema, txn payments.Txn, ev payments.Events) error {
	l, values, err := t.command(s, txn)
	if err != nil {
		return notCharged(err)
	}
	if err := ev.Sending(payments.Baseline{}); err != nil {
		return notCharged(err)
	}
	if txn.Kind != payments.DoCapture {
		ev.Prompt(payments.Prompt{Code: "insert_card", Text: "the terminal asks for the card; see its display"})
	}
	r := t.ask(ctx, s, l, values)
	switch {
	case r.declined != nil:
	case r.verdict.Class == offline.ClassDoubt:
		return fmt.Errorf("ask the POS cloud to %s: %w", txn.Kind, verdictError(r.verdict))
	case r.verdict.Class != offline.ClassDelivered:
		return notCharged(verdictError(r.verdict))
	}
	for end := time.Now().Add(t.timeout); r.continuation != ""; {
		t.keep(txn.Ref, r.continuation)
		if time.Now().Add(r.wait).After(end) {
			return fmt.Errorf("the POS cloud has no result after %s", t.timeout)
		}
		if r, err = t.again(ctx, s, r); err != nil {
			return err
		}
	}
	out, err := t.outcome(s, r, txn)
	if err != nil {
		return err
	}
	if err := ev.CommitOutcome(out); err != nil {
		return fmt.Errorf("write down the outcome: %w", err)
	}
	t.forget(txn.Ref)
	return nil
}

// again waits as long as the cloud wants and asks how the payment stands. Where the answer is lost, the next question
// is the same one: it moves no money.
func (t *Terminal) again(ctx context.Context, s *terminalSchema, r reply) (reply, error) {
	timer := time.NewTimer(r.wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return r, fmt.Errorf("stopped waiting for the POS cloud: %w", ctx.Err())
	case <-timer.C:
	}
	now := t.ask(ctx, s, s.next, map[role]string{roleContinuation: r.continuation})
	switch {
	case now.declined != nil, now.verdict.Class == offline.ClassDelivered:
		return now, nil
	case ctx.Err() != nil:
		return r, fmt.Errorf("stopped waiting for the POS cloud: %w", ctx.Err())
	case now.lost:
		r.wait = min(max(2*r.wait, time.Second), waitMost)
		return r, nil
	}
	return r, fmt.Errorf("ask the POS cloud for the result: %w", verdictError(now.verdict))
}

// Recover implements payments.Terminal. Only the continuation that the cloud gave tells of a payment; without one, or
// with an answer that says neither yes nor no, a person must look.
func (t *Terminal) Recover(ctx context.Context, at payments.Attempt) (payments.Verdict, payments.Outcome, error) {
	var r reply
	var known *terminalSchema
	_, err := t.task(ctx, func(ctx context.Context, s *terminalSchema) error {
		known = s
		continuation := t.kept(at.Ref)
		if continuation == "" {
			return t.c.Client.alive(ctx)
		}
		r = t.ask(ctx, s, s.next, map[role]string{roleContinuation: continuation})
		switch {
		case r.lost:
			return verdictError(r.verdict)
		case r.continuation != "":
			t.keep(at.Ref, r.continuation)
			return errors.New("the payment is still running")
		}
		return nil
	})
	if err != nil {
		return payments.Unknown, payments.Outcome{}, fmt.Errorf("ask the POS cloud about a payment: %w", err)
	}
	if r.declined == nil && r.payment == nil {
		return payments.Unknown, payments.Outcome{}, nil
	}
	out, err := t.outcome(known, r, at.Txn)
	if err != nil {
		return payments.Unknown, payments.Outcome{}, nil //nolint:nilerr // an answer that tells nothing is no failure to ask
	}
	return payments.Known, out, nil
}

// command chooses the mutation and its members.
func (t *Terminal) command(s *terminalSchema, txn payments.Txn) (*lane, map[role]string, error) {
	if _, ok := txn.Amount.Minor(); !ok || txn.Amount.Sign() <= 0 {
		return nil, nil, fmt.Errorf("amount %s: want a positive amount with a currency", txn.Amount)
	}
	if t.c.Currency != "" && txn.Amount.Currency() != t.c.Currency {
		return nil, nil, fmt.Errorf("%w: the POS cloud takes %s, not %s", money.ErrCurrency, t.c.Currency, txn.Amount.Currency())
	}
	unsupported := fmt.Errorf("%s: %w", txn.Kind, payments.ErrUnsupported)
	if txn.Tip != (money.Amount{}) { // one sum, and no word for the part that is a tip
		return nil, nil, fmt.Errorf("tip with the payment: %w", payments.ErrUnsupported)
	}
	if txn.Kind == payments.DoCapture {
		if s.capture == nil || txn.Original == nil || txn.Original.Reference == "" {
			return nil, nil, unsupported
		}
		if s.capture.members[roleAmount] == "" && txn.Amount.Cmp(txn.Original.Amount) != 0 {
			return nil, nil, fmt.Errorf("capture of a part: %w", payments.ErrUnsupported)
		}
		return s.capture, map[role]string{rolePayment: txn.Original.Reference, roleAmount: txn.Amount.String()}, nil
	}
	word := s.words[txn.Kind]
	if word == "" || txn.Original != nil {
		return nil, nil, unsupported
	}
	return s.start, map[role]string{roleTerminal: t.c.TerminalID, roleType: word, roleAmount: txn.Amount.String(), roleRef: txn.Ref}, nil
}

// reply is an answer to one of the mutations: a payment, a continuation, a refusal by the bank, or none of them.
type reply struct {
	verdict      offline.Verdict
	lost         bool // the question may be asked again: nobody answered it
	declined     *payments.Decline
	payment      map[string]json.RawMessage
	continuation string
	wait         time.Duration
}

// ask makes one exchange.
func (t *Terminal) ask(ctx context.Context, s *terminalSchema, l *lane, values map[role]string) reply {
	req, err := l.request(values)
	if err != nil {
		return reply{verdict: cardRejected("invalid_payload", err.Error())}
	}
	var r reply
	r.verdict = t.c.Client.exchange(ctx, req, func(a answer) offline.Verdict {
		r = t.judge(a, s, l.name)
		return r.verdict
	})
	r.lost = r.lost || r.verdict.Class == offline.ClassNotExecuted || r.verdict.Class == offline.ClassSignedOut
	return r
}

// judge says what an answer means. Only what certainly did not run is anything but a result or doubt.
func (t *Terminal) judge(a answer, s *terminalSchema, name string) reply {
	r := reply{verdict: begin(a)}
	if a.broken != nil {
		r.verdict.Class, r.verdict.Fault, r.lost = judgeBroken(a), brokenFault(a), true
		return r
	}
	group, state := resultAt(a.data, terminalField)
	result := json.RawMessage(nil)
	if state == present {
		result, state = resultAt(group, name)
	}
	switch {
	case state == present && len(a.errors) == 0:
		r.read(result, s)
	case state == absent && len(a.errors) > 0:
		if r.declined = t.refusal(a, name); r.declined != nil {
			return r
		}
		b := a
		b.errors = atTheRoot(a.errors, name)
		r.verdict.Class, r.verdict.Fault = judgeErrors(b, terminalField, name), faultOf(a)
	default:
		r.verdict.Class, r.verdict.Fault = offline.ClassDoubt, emptyAnswer()
		if state == absent {
			r.verdict.Class = judgeStatus(a)
		}
	}
	return r
}

// atTheRoot shortens the path of errors that stand exactly at the mutation, so that they are judged like others.
func atTheRoot(list []graphql.Error, name string) []graphql.Error {
	out := slices.Clone(list)
	for i, e := range out {
		if len(e.Path) == 2 && e.Path[0] == any(terminalField) && e.Path[1] == any(name) {
			out[i].Path = e.Path[:1]
		}
	}
	return out
}

// refusal is a decline by an error code that the configuration knows. It counts only at the mutation itself.
func (t *Terminal) refusal(a answer, name string) *payments.Decline {
	for _, e := range a.errors {
		if len(e.Path) != 2 || e.Path[1] != any(name) || !slices.Contains(t.c.DeclineCodes, codeOf(e)) {
			return nil
		}
	}
	f := faultOf(a)
	return &payments.Decline{Code: scrub(f.Code), Message: scrub(f.Message)}
}

// read takes a result apart: exactly one of payment and continuation.
func (r *reply) read(result json.RawMessage, s *terminalSchema) {
	r.verdict.Class = offline.ClassDoubt
	r.verdict.Fault = &offline.Fault{Code: "unreadable_answer", Message: "The cloud's answer is neither a payment nor a continuation."}
	payment, isPayment := resultAt(result, "payment")
	more, isMore := resultAt(result, "continuation")
	switch {
	case isPayment == present && isMore == absent:
		if fields, err := splitObject(payment); err == nil {
			r.payment = fields
		}
	case isMore == present && isPayment == absent:
		if fields, err := splitObject(more); err == nil {
			r.continuation, _ = idText(fields[s.wait[roleContinuation]])
			r.wait = waitOf(s.wait[roleWait], fields[s.wait[roleWait]])
		}
	}
	if r.payment != nil || r.continuation != "" {
		r.verdict.Class, r.verdict.Fault = offline.ClassDelivered, nil
	}
}

// waitOf reads the wait value: milliseconds, as the vendor's Poll Interval is, unless its name says seconds.
func waitOf(name string, raw json.RawMessage) time.Duration {
	n, err := strconv.ParseInt(strings.Trim(string(raw), `"`), 10, 64)
	unit := time.Millisecond
	if strings.HasSuffix(strings.ToLower(name), "seconds") && !strings.HasSuffix(strings.ToLower(name), "milliseconds") {
		unit = time.Second
	}
	if err != nil || n < 0 || n > int64(waitMost/unit) {
		return time.Second
	}
	return min(max(time.Duration(n)*unit, waitLeast), waitMost)
}

// outcome reads a payment. Words that are on neither list leave it unknown.
func (t *Terminal) outcome(s *terminalSchema, r reply, txn payments.Txn) (payments.Outcome, error) {
	if r.declined != nil {
		return payments.Outcome{State: payments.Declined, Decline: r.declined}, nil
	}
	field := func(k role) string {
		var text string
		if json.Unmarshal(r.payment[s.payment[k]], &text) != nil {
			return ""
		}
		return text
	}
	status := strings.ToLower(strings.Join(strings.FieldsFunc(field(roleStatus), func(r rune) bool { return !unicode.IsLetter(r) }), ""))
	if s.payment[roleStatus] == "" { // by the vendor's page a refusal is an error, so a payment is one that was made
		status = "approved"
	}
	state, ok := stateOf(status, txn.Kind)
	if !ok {
		return payments.Outcome{}, fmt.Errorf("the POS cloud calls the payment %q, which tells nothing", scrub(field(roleStatus)))
	}
	if state != payments.Approved {
		return payments.Outcome{State: state, Decline: &payments.Decline{Code: scrub(field(roleStatus)), Message: "the POS cloud says " + scrub(field(roleStatus))}}, nil
	}
	approved := txn.Amount
	if name := s.payment[roleAmount]; name != "" {
		text, ok := decimalText(r.payment[name])
		got, err := money.Parse(strings.TrimPrefix(text, "-"), txn.Amount.Currency()) // refunds may bear a sign
		if !ok || err != nil || got.Sign() <= 0 || got.Cmp(txn.Amount) > 0 {
			return payments.Outcome{}, fmt.Errorf("the POS cloud approved another amount than %s", txn.Amount)
		}
		approved = got
	}
	id, _ := idText(r.payment[s.payment[rolePayment]])
	if id != scrub(id) {
		id = ""
	}
	out := payments.Outcome{
		State: payments.Approved, ApprovedAmount: approved, CardBrand: scrub(field(roleBrand)), Last4: lastFour(field(roleCard)),
		ApprovalCode: scrub(field(roleApproval)), TerminalReference: id, Reference: id,
	}
	return out, nil
}

// stateOf knows the words that leave no doubt. What is only authorized is no sale.
func stateOf(status string, kind payments.Kind) (payments.State, bool) {
	switch status {
	case "approved", "completed", "complete", "success", "succeeded", "successful":
		return payments.Approved, true
	case "authorized", "authorised":
		return payments.Approved, kind == payments.DoPreauth
	case "captured", "paid", "settled":
		return payments.Approved, kind != payments.DoPreauth && kind != payments.DoRefund
	case "refunded":
		return payments.Approved, kind == payments.DoRefund
	case "declined", "denied", "rejected":
		return payments.Declined, true
	case "canceled", "cancelled", "aborted":
		return payments.Canceled, true
	}
	return "", false
}

// lastFour keeps the four digits at the end and nothing else.
func lastFour(card string) string {
	if len(card) < 4 {
		return ""
	}
	last := card[len(card)-4:]
	if strings.Trim(last, "0123456789") != "" {
		return ""
	}
	return last
}

// scrub takes card numbers out of a text of the cloud.
func scrub(text string) string {
	for {
		start, end, ok := carddata.FindCard(text)
		if !ok {
			return text
		}
		text = text[:start] + "****" + text[end:]
	}
}

// keep remembers how to ask about an attempt.
func (t *Terminal) keep(ref, continuation string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open = slices.DeleteFunc(t.open, func(o openPayment) bool { return o.ref == ref })
	if t.open = append(t.open, openPayment{ref, continuation}); len(t.open) > openMax {
		t.open = t.open[1:]
	}
}

func (t *Terminal) kept(ref string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, o := range t.open {
		if o.ref == ref {
			return o.continuation
		}
	}
	return ""
}

func (t *Terminal) forget(ref string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open = slices.DeleteFunc(t.open, func(o openPayment) bool { return o.ref == ref })
}
