package telium

import (
	"errors"
	"fmt"
	"strings"

	"storeagent/payments/wireline"
)

// Sizes of the texts (Concert E+): what is asked, and the answer without and with the report of the bank.
const (
	askSize    = 34
	shortSize  = 25
	reportSize = 55
	longSize   = shortSize + reportSize
)

// maxMinor is the most that the eight digits of an amount hold.
const maxMinor = 99_999_999

// ask is the one command of the protocol.
type ask struct {
	pos      string // two digits: the register
	minor    int64
	kind     byte   // kindDebit or kindRefund
	currency string // ISO 4217 number
	private  string // up to ten characters that come back with the answer
}

// Kinds of an ask.
const (
	kindDebit  = '0'
	kindRefund = '2'
)

// text is the ask on the wire: register, amount, answer without the report (it may hold the card number), by card,
// kind, currency, private field, answer at the end, ordinary authorization.
func (a ask) text() []byte {
	return fmt.Appendf(nil, "%2s%08d01%c%3s%-10sA010B010", a.pos, a.minor, a.kind, a.currency, a.private)
}

// Results of an answer.
const (
	resultOK      = '0'
	resultRefused = '7'
)

// answer is what the terminal says at the end. report is masked.
type answer struct {
	pos      string
	result   byte
	minor    int64
	mode     byte
	report   string // "" without
	currency string
	private  string
}

var errAnswer = errors.New("answer of the terminal is not readable")

// parseAnswer takes the text of a frame apart. No digit of the report survives.
func parseAnswer(text []byte) (answer, error) {
	if len(text) != shortSize && len(text) != longSize {
		return answer{}, fmt.Errorf("%w: %d bytes", errAnswer, len(text))
	}
	for _, c := range text {
		if c < ' ' || c > '~' {
			return answer{}, fmt.Errorf("%w: it holds other than text", errAnswer)
		}
	}
	s := string(text)
	a := answer{pos: s[:2], result: s[2], mode: s[11]}
	var ok bool
	if a.minor, ok = wireline.Digits(s[3:11]); !ok {
		return answer{}, fmt.Errorf("%w: its amount is no number", errAnswer)
	}
	rest := s[12:]
	if len(s) == longSize {
		a.report = maskReport(rest[:reportSize])
		rest = rest[reportSize:]
	}
	a.currency, a.private = rest[:3], rest[3:]
	return a, nil
}

// text is the answer as it came, but for the report.
func (a answer) text() []byte {
	return fmt.Appendf(nil, "%s%c%08d%c%s%s%s", a.pos, a.result, a.minor, a.mode, a.report, a.currency, a.private)
}

// maskReport hides every digit: where in the report a card number stands is not published.
func maskReport(report string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return '*'
		}
		return r
	}, report)
}

// isFor reports whether the answer belongs to the ask: register, amount, currency and private field are its own.
func (a answer) isFor(q ask) bool {
	return a.pos == q.pos && a.minor == q.minor && a.currency == q.currency && strings.TrimRight(a.private, " ") == strings.TrimRight(q.private, " ")
}

// describe is an answer as it may stand in a log.
func describe(text []byte) string {
	a, err := parseAnswer(text)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("result %c amount %d currency %s private %s", a.result, a.minor, wireline.Text(a.currency), wireline.Text(a.private))
}
