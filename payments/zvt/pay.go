package zvt

import (
	"context"
	"errors"
	"fmt"
	"time"

	"storeagent/devices"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/wireline"
)

// Do implements payments.Terminal.
func (t *Terminal) Do(ctx context.Context, txn payments.Txn, ev payments.Events) error {
	cmd, err := t.moneyCommand(txn)
	if err != nil {
		return wireline.NotSent(err)
	}
	return t.owner.Pay(ctx, func(ctx context.Context, s *session, stop <-chan struct{}) (bool, error) {
		return s.pay(ctx, cmd, txn, ev, stop)
	})
}

// moneyCommand builds the command. Amounts have twelve digits on the wire (BMP 04). What follows up on an earlier
// transaction names its receipt number (BMP 87).
func (t *Terminal) moneyCommand(txn payments.Txn) (apdu, error) {
	var cmd apdu
	if txn.Tip != (money.Amount{}) { // 06 0C adds one afterwards
		return apdu{}, fmt.Errorf("tip with the payment: %w", payments.ErrUnsupported)
	}
	amount, receipt, currency := true, true, false
	switch txn.Kind {
	case payments.DoSale:
		cmd.cmd, receipt, currency = cmdPay, false, true
	case payments.DoPreauth:
		cmd.cmd, receipt, currency = cmdPreauth, false, true
	case payments.DoRefund:
		cmd.cmd, cmd.data, receipt, currency = cmdRefund, t.password(), false, true
	case payments.DoCapture:
		cmd.cmd = cmdCapture
	case payments.DoTip:
		cmd.cmd = cmdTip
	case payments.DoCancelPreauth:
		cmd.cmd, amount = cmdFree, false
	case payments.DoVoid:
		cmd.cmd, cmd.data, amount = cmdReverse, t.password(), false
	default:
		return apdu{}, fmt.Errorf("%s: %w", txn.Kind, payments.ErrUnsupported)
	}
	if receipt {
		number, err := receiptNumber(txn.Original)
		if err != nil {
			return apdu{}, err
		}
		cmd.data = appendBMP(cmd.data, bmpReceipt, number)
	}
	minor, ok := txn.Amount.Minor()
	if !ok || minor <= 0 {
		return apdu{}, fmt.Errorf("amount %s: want a positive amount with a currency", txn.Amount)
	}
	value, ok := putBCD(minor, 6)
	if !ok {
		return apdu{}, fmt.Errorf("amount %s is too high for the terminal", txn.Amount)
	}
	code, err := currencyCode(txn.Amount.Currency())
	if err != nil {
		return apdu{}, err
	}
	if amount {
		cmd.data = appendBMP(cmd.data, bmpAmount, value)
	}
	if currency {
		cmd.data = appendBMP(cmd.data, bmpCurrency, code)
	}
	return cmd, nil
}

// receiptNumber packs the receipt number that the terminal gave to o.
func receiptNumber(o *payments.Original) ([]byte, error) {
	if o == nil || len(o.Receipt) != 4 {
		return nil, errors.New("the terminal's receipt number of the earlier payment is not known")
	}
	var n int64
	for _, c := range []byte(o.Receipt) {
		if !isDigit(c) {
			return nil, errors.New("the terminal's receipt number of the earlier payment is no number")
		}
		n = n*10 + int64(c-'0')
	}
	out, _ := putBCD(n, 2)
	return out, nil
}

// payment is what one running money command knows.
type payment struct {
	s         *session
	txn       payments.Txn
	ev        payments.Events
	slips     slips
	printed   bool // lines came that are not committed yet
	told      bool
	outcome   payments.Outcome
	confusion error // the terminal contradicted itself
}

// pay runs a money command. broken means that the line must be opened anew.
func (s *session) pay(ctx context.Context, cmd apdu, txn payments.Txn, ev payments.Events, stop <-chan struct{}) (broken bool, err error) {
	base, err := s.baseline(ctx)
	if err != nil {
		return !isRefusal(err), fmt.Errorf("%w: ask terminal for its last payment: %w", payments.ErrNotSent, err)
	}
	if err := ev.Sending(base); err != nil {
		return false, fmt.Errorf("%w: commit before sending: %w", payments.ErrNotSent, err)
	}
	p := &payment{s: s, txn: txn, ev: ev, slips: slips{charset: s.t.charset}}
	began := time.Now()
	_, err = s.converse(ctx, cmd, talk{
		limit: began.Add(s.t.timeout), wake: stop,
		status: p.status, print: p.print, end: p.end,
		progress: func(code byte, text string) { ev.Prompt(prompt(code, text)) },
	})
	var no *refusedError
	if errors.As(err, &no) && !p.told {
		if no.sure {
			return false, wireline.NotSent(err)
		}
		return true, fmt.Errorf("payment sent more than once: %w", err)
	}
	if err != nil {
		return true, fmt.Errorf("payment at terminal: %w%s", err, s.t.lostAck.hint(p.told))
	}
	if p.confusion != nil {
		return false, p.confusion
	}
	if !p.told {
		return false, errors.New("terminal ended the payment without a result")
	}
	if p.outcome.State == payments.Approved {
		s.t.owner.SetHealth(devices.Ready, devices.Status{})
	}
	return false, nil
}

// hint words the vendor's profile for the person who may have to look.
func (l LostAck) hint(told bool) string {
	if !told {
		return ""
	}
	switch l {
	case Reverses:
		return " (this terminal takes back what was not acknowledged)"
	case Keeps:
		return " (this terminal keeps what was not acknowledged)"
	case Declines:
		return " (this terminal counts what was not acknowledged as declined)"
	}
	return ""
}

// status takes a 04 0F: the outcome is on disk before the caller acknowledges it (PA00P015, 2.2.8).
func (p *payment) status(a apdu) error {
	info, err := parseStatus(a.data, p.s.t.charset)
	if err != nil {
		p.s.t.log.Warn("result of the terminal is only partly readable", "err", err)
	}
	if !info.hasResult {
		return nil // how it ended comes with 06 0F or 06 1E, or is asked for
	}
	p.s.t.clock.learn(info.clock, time.Now(), false)
	out, err := info.outcome(p.txn)
	if err != nil {
		return err
	}
	if out.State == payments.Approved && !sameCurrency(p.txn.Amount.Currency(), info) {
		return fmt.Errorf("terminal approved in currency %s instead of %s", info.currency, p.txn.Amount.Currency())
	}
	if p.told && sameEnd(out, p.outcome) {
		return nil // said twice
	}
	return p.commit(out)
}

// sameEnd compares what decides; Decline is a pointer.
func sameEnd(a, b payments.Outcome) bool {
	return a.State == b.State && a.Baseline == b.Baseline && a.ApprovedAmount == b.ApprovedAmount
}

func (p *payment) commit(out payments.Outcome) error {
	if p.told && out.State != p.outcome.State {
		p.confusion = fmt.Errorf("terminal first said %s, then %s", p.outcome.State, out.State)
		if out.State != payments.Approved {
			return nil // an approval on record is the one that must be asked about
		}
	}
	if err := p.ev.CommitOutcome(out); err != nil {
		return fmt.Errorf("commit outcome: %w", err)
	}
	p.told, p.outcome = true, out
	return nil
}

// print takes slip lines; a slip is on disk before its last line is acknowledged, because the terminal books only
// what was printed (PA00P015, 2.2.9). Paper comes later.
func (p *payment) print(a apdu) error {
	if a.cmd == msgPrintLine {
		p.slips.line(a.data)
	} else if err := p.slips.block(a.data); err != nil {
		p.s.t.log.Warn("slip of the terminal is only partly readable", "err", err)
	}
	p.printed = true
	if p.slips.open {
		return nil
	}
	return p.commitSlips()
}

func (p *payment) commitSlips() error {
	if !p.printed {
		return nil
	}
	if err := p.ev.CommitReceipt(p.slips.receipt()); err != nil {
		return fmt.Errorf("commit receipt: %w", err)
	}
	p.printed = false
	return nil
}

// end takes 06 0F or 06 1E.
func (p *payment) end(a apdu) error {
	if err := p.commitSlips(); err != nil {
		return err
	}
	if a.cmd == msgCompletion {
		if p.told || len(a.data) == 0 {
			return nil
		}
		return p.status(a) // some terminals give the result only here
	}
	var no *refusedError
	errors.As(aborted(a), &no)
	switch {
	case p.told && p.outcome.State != payments.Approved:
		return nil
	case p.told:
		p.confusion = fmt.Errorf("terminal approved and then broke off: %w", no)
		return nil
	case len(a.data) == 0 || no.code == resultOK:
		return nil // no result: it is asked for
	}
	return p.commit(payments.Outcome{State: resultState(no.code), Decline: decline(no.code, "")})
}
