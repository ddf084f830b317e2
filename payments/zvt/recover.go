package zvt

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"storeagent/payments"
	"storeagent/payments/money"
)

// Recovery by the last transaction (06 20 with service byte 03: data only, PA00P015 command 06 20). The terminal has
// no references of ours, so what it shows counts as this payment only by amount, currency, numbers and time.
const serviceDataOnly = 0x03

// lastLimit bounds the query.
const lastLimit = 60 * time.Second

// How far a terminal's time may be from ours: with its clock known, without, and how long after the payment's own
// time limit it may still have ended.
const (
	skewKnown   = 2 * time.Minute
	skewUnknown = 5 * time.Minute
	afterLimit  = 5 * time.Minute
)

// last asks for the last transaction. ok is false where the terminal answers but cannot tell.
func (s *session) last(ctx context.Context) (info statusInfo, ok bool, err error) {
	data := appendBMP(s.t.password(), bmpService, []byte{serviceDataOnly})
	end, err := s.converse(ctx, apdu{cmdRepeat, data}, talk{
		limit: time.Now().Add(lastLimit),
		status: func(a apdu) error {
			var err error
			if info, err = parseStatus(a.data, s.t.charset); err != nil {
				s.t.log.Warn("last payment of the terminal is only partly readable", "err", err)
			}
			ok = info.hasResult
			return nil
		},
	})
	if err == nil && end.cmd == msgAborted {
		err = aborted(end)
	}
	var no *refusedError
	if errors.As(err, &no) && no.code != resultBusy {
		return statusInfo{}, false, nil
	}
	return info, ok, err
}

// baseline asks what the terminal names as its last transaction. It is asked before every payment, also because a
// line that died unnoticed then breaks here, where nothing was sent.
func (s *session) baseline(ctx context.Context) (payments.Baseline, error) {
	info, ok, err := s.last(ctx)
	if err != nil || !ok {
		return payments.Baseline{}, err
	}
	return info.baseline(), nil
}

// Recover implements payments.Terminal.
func (t *Terminal) Recover(ctx context.Context, p payments.Attempt) (payments.Verdict, payments.Outcome, error) {
	var verdict payments.Verdict
	var out payments.Outcome
	_, err := t.owner.Call(ctx, func(ctx context.Context, s *session) (bool, error) {
		code, said, err := s.enquire(ctx)
		if err != nil && !isRefusal(err) {
			return true, err
		}
		if err == nil && said && (code == 0x9C || code == 0xDC) {
			text, _ := statusText(code)
			return false, errors.New(text) // a payment may still be under way
		}
		last, ok, err := s.last(ctx)
		if err != nil {
			return !isRefusal(err), err
		}
		if ok {
			verdict, out, err = judge(p, last, t.clock.get(), t.timeout)
		}
		return false, err
	})
	if err != nil {
		return payments.Unknown, payments.Outcome{}, fmt.Errorf("ask terminal how the payment ended: %w", err)
	}
	return verdict, out, nil
}

// judge decides what the terminal's last transaction says of p. Charged means: this very transaction is shown, by
// the numbers that the terminal gave it (p.Told), or by amount, currency, numbers newer than the baseline, and time.
// (Sale or refund is not in the terminal's answer; a reversal is, by the trace that it took back.)
// Not charged means: the last transaction is the one before p. Everything else is unknown.
func judge(p payments.Attempt, last statusInfo, c clockOffset, timeout time.Duration) (payments.Verdict, payments.Outcome, error) {
	asked := p.Amount
	out, err := last.outcome(p.Txn)
	if err != nil {
		return payments.Unknown, payments.Outcome{}, err
	}
	now := last.baseline()
	if !now.Known {
		return payments.Unknown, payments.Outcome{}, nil
	}
	switch p.Kind {
	case payments.DoVoid, payments.DoCancelPreauth:
		v, out := judgeVoid(p, last, out, c, timeout)
		return v, out, nil
	case payments.DoTip:
		v, out := judgeTip(p, last, out, c, timeout)
		return v, out, nil
	}
	if last.origTrace != "" {
		return judgeReversal(p, last, out, asked)
	}
	if p.Told != nil && p.Told.State == payments.Approved && p.Told.Baseline.Known {
		switch order(p.Told.Baseline, now) {
		case same:
			if out.State != payments.Approved {
				out.State = payments.Reversed
			} else if !last.hasAmount {
				out.ApprovedAmount = p.Told.ApprovedAmount
			}
			return payments.Known, out, nil
		default:
			if p.Baseline.Known && order(p.Baseline, now) == same {
				return payments.NotCharged, payments.Outcome{}, nil
			}
			return payments.Unknown, payments.Outcome{}, nil
		}
	}
	minor, _ := asked.Minor()
	ours := last.hasAmount && last.amount == minor && sameCurrency(asked.Currency(), last)
	if !p.Baseline.Known {
		// Only a clock that is known exactly can tell this payment from an equal one before it.
		if ours && c.exact && inTime(p, last, c, 5*time.Second, timeout) {
			return payments.Known, out, nil
		}
		return payments.Unknown, payments.Outcome{}, nil
	}
	switch order(p.Baseline, now) {
	case same:
		return payments.NotCharged, payments.Outcome{}, nil
	case newer:
		if ours && inTime(p, last, c, c.skew(), timeout) {
			return payments.Known, out, nil
		}
	}
	return payments.Unknown, payments.Outcome{}, nil
}

// judgeReversal looks at a reversal that stands as the last transaction: BMP 37 names the trace it took back.
func judgeReversal(p payments.Attempt, last statusInfo, out payments.Outcome, asked money.Amount) (payments.Verdict, payments.Outcome, error) {
	var ours bool
	if p.Told != nil && p.Told.Baseline.Trace != "" {
		ours = p.Told.Baseline.Trace == last.origTrace
	} else if p.Baseline.Trace != "" {
		minor, _ := asked.Minor()
		ours = compare(p.Baseline.Trace, last.origTrace) == newer && last.hasAmount && last.amount == minor && sameCurrency(asked.Currency(), last)
	}
	if !ours || out.State != payments.Approved {
		return payments.Unknown, payments.Outcome{}, nil
	}
	out.State, out.ApprovalCode = payments.Reversed, ""
	return payments.Known, out, nil
}

// judgeVoid looks for a reversal that was asked for. It names the trace that it took back (BMP 37); where a terminal
// does not say that, amount, numbers and time must do.
func judgeVoid(p payments.Attempt, last statusInfo, out payments.Outcome, c clockOffset, timeout time.Duration) (payments.Verdict, payments.Outcome) {
	now := last.baseline()
	told := p.Told != nil && p.Told.State == payments.Approved && p.Told.Baseline.Known
	switch {
	case p.Original == nil:
		return payments.Unknown, payments.Outcome{}
	case told && order(p.Told.Baseline, now) == same:
		if out.State != payments.Approved {
			out.State = payments.Reversed
		}
		return payments.Known, out
	case p.Baseline.Known && order(p.Baseline, now) == same:
		return payments.NotCharged, payments.Outcome{}
	case last.origTrace != "" && last.origTrace == p.Original.Trace:
		return payments.Known, out
	case p.Baseline.Known && order(p.Baseline, now) != newer:
		return payments.Unknown, payments.Outcome{}
	case last.origTrace != "" && told && last.origTrace == p.Told.Baseline.Trace,
		last.origTrace != "" && p.Baseline.Trace != "" && compare(p.Baseline.Trace, last.origTrace) == newer:
		out.State, out.ApprovalCode = payments.Reversed, "" // the void itself was taken back
		return payments.Known, out
	}
	minor, _ := p.Amount.Minor()
	if p.Baseline.Known && last.origTrace == "" && last.hasAmount && last.amount == minor && sameCurrency(p.Amount.Currency(), last) &&
		inTime(p, last, c, c.skew(), timeout) {
		return payments.Known, out
	}
	return payments.Unknown, payments.Outcome{}
}

// judgeTip looks for a tip. Terminals name the tip or the whole sum, under new numbers or under those of the sale.
func judgeTip(p payments.Attempt, last statusInfo, out payments.Outcome, c clockOffset, timeout time.Duration) (payments.Verdict, payments.Outcome) {
	unknown := payments.Outcome{}
	if p.Original == nil || !p.Baseline.Known || !last.hasAmount || !sameCurrency(p.Amount.Currency(), last) {
		return payments.Unknown, unknown
	}
	tip, _ := p.Amount.Minor()
	before, _ := p.Original.Amount.Minor()
	ofTip := last.amount == tip || last.amount == before+tip
	if p.Told != nil && p.Told.State == payments.Approved && order(p.Told.Baseline, last.baseline()) == same && order(p.Told.Baseline, p.Baseline) != same {
		if out.State != payments.Approved {
			out.State = payments.Reversed
		}
		return payments.Known, out
	}
	switch order(p.Baseline, last.baseline()) {
	case same:
		original := payments.Baseline{Receipt: p.Original.Receipt, Trace: p.Original.Trace}
		switch {
		case order(original, last.baseline()) != same: // the last one is neither the sale nor a tip
		case last.amount == before:
			return payments.NotCharged, unknown
		case last.amount == before+tip:
			return payments.Known, out
		}
	case newer:
		switch {
		case last.origTrace != "" && p.Baseline.Trace != "" && compare(p.Baseline.Trace, last.origTrace) == newer:
			out.State, out.ApprovalCode = payments.Reversed, ""
			return payments.Known, out
		case last.origTrace == "" && ofTip && inTime(p, last, c, c.skew(), timeout):
			return payments.Known, out
		}
	}
	return payments.Unknown, unknown
}

// sameCurrency is true also where the terminal does not say: it names the currency only if we sent one, and we do.
func sameCurrency(code string, last statusInfo) bool {
	want, err := currencyCode(code)
	if err != nil {
		return false
	}
	text, _ := digits(want)
	return last.currency == "" || last.currency == text[1:]
}

// inTime checks that the terminal's time of the transaction lies in the life of the payment.
func inTime(p payments.Attempt, last statusInfo, c clockOffset, skew, timeout time.Duration) bool {
	at, ok := last.clock.near(p.StartedAt)
	if !ok || p.StartedAt.IsZero() {
		return false
	}
	at = at.Add(-c.offset)
	return !at.Before(p.StartedAt.Add(-skew)) && !at.After(p.StartedAt.Add(timeout+afterLimit+skew))
}

// relation of two transactions by their numbers.
type relation int

const (
	unclear relation = iota
	same
	newer // the second came after the first
)

// order compares receipt and trace where both name them; they must agree.
func order(base, now payments.Baseline) relation {
	var found []relation
	if base.Receipt != "" && now.Receipt != "" {
		found = append(found, compare(base.Receipt, now.Receipt))
	}
	if base.Trace != "" && now.Trace != "" {
		found = append(found, compare(base.Trace, now.Trace))
	}
	if len(found) == 0 || len(found) == 2 && found[0] != found[1] {
		return unclear
	}
	return found[0]
}

// compare orders two counters of equal width. They wrap: up to half the range ahead is newer, the rest unclear.
func compare(base, now string) relation {
	a, err1 := strconv.ParseInt(base, 10, 64)
	b, err2 := strconv.ParseInt(now, 10, 64)
	if err1 != nil || err2 != nil || len(base) != len(now) || len(base) > 9 {
		return unclear
	}
	size := int64(1)
	for range base {
		size *= 10
	}
	switch ahead := ((b-a)%size + size) % size; {
	case ahead == 0:
		return same
	case ahead < size/2:
		return newer
	}
	return unclear
}

// clock keeps how far the terminal's clock is ahead of ours.
type clock struct {
	mu sync.Mutex
	o  clockOffset
}

type clockOffset struct {
	offset time.Duration
	known  bool // also from the time of a payment that ended just now
	exact  bool // the terminal told the time itself
}

func (o clockOffset) skew() time.Duration {
	if o.known {
		return skewKnown
	}
	return skewUnknown
}

// learn takes a time that the terminal named just now: exactly, or as the time of a payment that has just ended.
func (c *clock) learn(at stamp, now time.Time, exact bool) {
	t, ok := at.near(now)
	c.mu.Lock()
	defer c.mu.Unlock()
	if ok && (exact || !c.o.exact) {
		c.o = clockOffset{offset: t.Sub(now), known: true, exact: exact}
	}
}

func (c *clock) get() clockOffset {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.o
}
