package zvt

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"

	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/wireline"
)

var (
	_ payments.Reconciler = (*Terminal)(nil)
	_ payments.Displayer  = (*Terminal)(nil)
	_ payments.Reprinter  = (*Terminal)(nil)
)

// What the service calls may take. An end of day talks to every host of the terminal.
const (
	serviceLimit  = 2 * time.Minute
	endOfDayLimit = 15 * time.Minute
	logOffLimit   = 2 * time.Second
)

// Status bytes that a service call cures (PA00P015, command 05 01).
const (
	needsInit      = 0x51
	needsDiagnosis = 0xC2
)

// cure does what the status byte asks for and enquires again.
func (s *session) cure(ctx context.Context, code byte) (byte, bool, error) {
	cmd := apdu{cmd: cmdDiagnosis}
	switch code {
	case needsInit:
		cmd = apdu{cmdInitialise, s.t.password()}
	case needsDiagnosis:
	default:
		return code, true, nil
	}
	if _, _, err := s.service(ctx, cmd, serviceLimit); err != nil && !isRefusal(err) {
		return code, true, err
	}
	return s.enquire(ctx)
}

// service runs a command that moves no money and gathers what the terminal prints and says meanwhile.
func (s *session) service(ctx context.Context, cmd apdu, limit time.Duration) (info statusInfo, slip slips, err error) {
	slip = slips{charset: s.t.charset}
	end, err := s.converse(ctx, cmd, talk{
		limit: time.Now().Add(limit),
		status: func(a apdu) error {
			got, err := parseStatus(a.data, s.t.charset)
			if err != nil {
				s.t.log.Warn("status information is only partly readable", "err", err)
			}
			if got.hasResult || got.totals != "" {
				info = got
			}
			return nil
		},
		print: func(a apdu) error {
			if a.cmd == msgPrintLine {
				slip.line(a.data)
			} else if err := slip.block(a.data); err != nil {
				s.t.log.Warn("slip of the terminal is only partly readable", "err", err)
			}
			return nil
		},
	})
	if err == nil && end.cmd == msgAborted {
		err = aborted(end)
	}
	return info, slip, err
}

// EndOfDay implements payments.Reconciler: 06 50.
func (t *Terminal) EndOfDay(ctx context.Context) (payments.Totals, error) {
	return t.count(ctx, apdu{cmdEndOfDay, t.password()}, endOfDayLimit)
}

// Totals implements payments.Reconciler: 06 10.
func (t *Terminal) Totals(ctx context.Context) (payments.Totals, error) {
	return t.count(ctx, apdu{cmdTotals, t.password()}, serviceLimit)
}

func (t *Terminal) count(ctx context.Context, cmd apdu, limit time.Duration) (payments.Totals, error) {
	var out payments.Totals
	if t.currency == "" {
		return out, wireline.NotSent(errors.New("the terminal's currency is not configured"))
	}
	ran, err := t.owner.Call(ctx, func(ctx context.Context, s *session) (bool, error) {
		info, slip, err := s.service(ctx, cmd, limit)
		if err != nil {
			if isRefusal(err) {
				return false, wireline.NotSent(err)
			}
			return true, err
		}
		if info.hasResult && info.result != resultOK {
			return false, wireline.NotSent(&refusedError{code: info.result})
		}
		out, err = info.sums(t.currency)
		for _, sl := range slip.all {
			out.Slip = append(out.Slip, sl.lines...)
		}
		return false, err
	})
	if !ran && err != nil {
		err = wireline.NotSent(err)
	}
	return out, err
}

// schemes are the card schemes whose counts and sums BMP 60 holds, in its order, one byte and six bytes each, after
// the first and the last receipt number (PA00P015, command 06 50).
var schemes = [...]string{"girocard", "JCB", "Mastercard", "American Express", "VISA", "Diners", "other"}

const schemesAt, schemeSize = 4, 7

// sums reads what an end of day counted.
func (s statusInfo) sums(currency string) (payments.Totals, error) {
	out := payments.Totals{Cards: []payments.CardTotal{}}
	if !s.hasAmount && len(s.totals) < schemesAt+schemeSize {
		return out, payments.ErrNoTotals
	}
	var sum int64
	if len(s.totals) >= schemesAt {
		all := []byte(s.totals)
		out.FirstReceipt, _ = digits(all[:2])
		out.LastReceipt, _ = digits(all[2:schemesAt])
		for i, rest := 0, all[schemesAt:]; i < len(schemes) && len(rest) >= schemeSize; i, rest = i+1, rest[schemeSize:] {
			minor, ok := getBCD(rest[1:schemeSize])
			amount, err := money.FromMinor(minor, currency)
			if !ok || err != nil {
				return out, fmt.Errorf("totals of %s: %w", schemes[i], errField)
			}
			sum += minor
			out.Count += int(rest[0])
			if rest[0] > 0 {
				out.Cards = append(out.Cards, payments.CardTotal{Brand: schemes[i], Count: int(rest[0]), Amount: amount})
			}
		}
	}
	if s.hasAmount {
		sum = s.amount
	}
	var err error
	out.Amount, err = money.FromMinor(sum, currency)
	return out, err
}

// maxShow is what fits into BMP F0.
const maxShow = 255 * time.Second

// Display implements payments.Displayer: 06 E0, up to eight lines. It has no completion.
func (t *Terminal) Display(ctx context.Context, lines []string, d time.Duration) error {
	if len(lines) > 8 {
		return fmt.Errorf("display %d lines: the terminal shows eight", len(lines))
	}
	data := appendBMP(nil, bmpShowFor, []byte{byte(min(max(d, 0), maxShow) / time.Second)})
	for i, l := range lines {
		b := t.charset.bytes(wireline.MaskCards(l))
		data = appendBMP(data, bmpLine1+byte(i), b[:min(len(b), 99)])
	}
	_, err := t.owner.Call(ctx, func(ctx context.Context, s *session) (bool, error) {
		err := s.command(ctx, apdu{cmdDisplay, data})
		return err != nil && !isRefusal(err), err
	})
	return err
}

// bytes writes text for the terminal; what its charset lacks becomes a question mark.
func (c Charset) bytes(text string) []byte {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7F {
			return -1
		}
		return r
	}, text)
	var m *charmap.Charmap
	switch c {
	case UTF8:
		return []byte(strings.ToValidUTF8(text, "?"))
	case Latin1:
		m = charmap.ISO8859_1
	case Latin9:
		m = charmap.ISO8859_15
	default:
		m = charmap.CodePage437
	}
	out, err := encoding.ReplaceUnsupported(m.NewEncoder()).Bytes([]byte(text))
	if err != nil {
		return []byte("?")
	}
	for i, b := range out {
		if b == encoding.ASCIISub {
			out[i] = '?'
		}
	}
	return out
}

// serviceAgain makes 06 20 send the result again and print (PA00P015, command 06 20).
const serviceAgain = 0x01

// Reprint implements payments.Reprinter: 06 20. Where slips go to the register, the terminal sends them again.
func (t *Terminal) Reprint(ctx context.Context) (payments.Receipt, payments.Baseline, error) {
	var out payments.Receipt
	var of payments.Baseline
	_, err := t.owner.Call(ctx, func(ctx context.Context, s *session) (bool, error) {
		info, slip, err := s.service(ctx, apdu{cmdRepeat, appendBMP(t.password(), bmpService, []byte{serviceAgain})}, lastLimit)
		if err != nil {
			return !isRefusal(err), err
		}
		out, of = slip.receipt(), info.baseline()
		return false, nil
	})
	return out, of, err
}

// logOff tells the terminal that the register goes (06 02, no completion), so that it can be used by hand. Nothing
// hangs on it: the next registration works without.
func (s *session) logOff(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, logOffLimit)
	defer cancel()
	if err := s.command(ctx, apdu{cmd: cmdLogOff}); err != nil {
		s.t.log.Debug("log off", "err", err)
	}
}
