package pax

import (
	"fmt"
	"strings"

	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/wireline"
)

// Result codes of the terminal (third parties' sources; the ones not named here are failures of some kind, and after
// a money command they settle nothing).
const (
	codeOK       = "000000"
	codeDeclined = "000100"
	codeTimeout  = "100001"
	codeAborted  = "100002"
	codeNotFound = "100023"
)

// answer is what an answer says, free of card data: the account group and the extended data never leave parseAnswer.
type answer struct {
	cmd      string
	version  string
	code     string
	text     string
	model    string // of an A01
	serial   string // of an A01
	hostCode string
	auth     string
	hostRef  string
	kind     string // transaction type
	approved int64  // cents
	hasMoney bool
	tip      int64
	last4    string
	entry    string
	brand    string
	number   string // the terminal's transaction number
	ref      string // our reference
	counts   []string
	sums     []string
}

// layout says which group holds what; 0 where the answer has none.
type layout struct{ host, kind, amount, account, trace, counts, sums, device int }

var layouts = map[string]layout{
	"A01": {device: 5},
	"T01": {host: 5, kind: 6, amount: 7, account: 8, trace: 9},
	"R03": {host: 7, kind: 9, amount: 11, account: 12, trace: 13},
	"B01": {host: 5, counts: 6, sums: 7},
}

// parseAnswer reads status, command, version, code and text, and of the rest what its layout knows.
func parseAnswer(text []byte) (answer, error) {
	m, err := parseMessage(text)
	if err != nil {
		return answer{}, err
	}
	if len(m) < 4 {
		return answer{}, errShort
	}
	a := answer{cmd: m.field(1, 0), version: m.field(2, 0), code: m.field(3, 0), text: wireline.Text(m.field(4, 0))}
	if !isCommand(a.cmd) || len(a.code) != 6 {
		return answer{}, fmt.Errorf("answer of the terminal: no command and code in it")
	}
	if _, ok := wireline.Digits(a.code); !ok {
		return answer{}, fmt.Errorf("answer of the terminal: its code is no number")
	}
	l := layouts[a.cmd]
	if l.device > 0 {
		a.serial, a.model = wireline.Text(m.field(l.device, 0)), wireline.Text(m.field(l.device+1, 0))
	}
	if l.host > 0 {
		a.hostCode, a.auth, a.hostRef = wireline.Text(m.field(l.host, 0)), wireline.Text(m.field(l.host, 2)), wireline.Text(m.field(l.host, 3))
	}
	if l.kind > 0 {
		a.kind = wireline.Text(m.field(l.kind, 0))
	}
	if l.amount > 0 {
		a.approved, a.hasMoney = wireline.Digits(m.field(l.amount, 0))
		a.tip, _ = wireline.Digits(m.field(l.amount, 2))
	}
	if l.account > 0 {
		a.last4 = lastFour(m.field(l.account, 0))
		a.entry = entryModes[m.field(l.account, 1)]
		a.brand = brands[strings.TrimLeft(m.field(l.account, 6), "0")]
	}
	if l.trace > 0 {
		a.number, a.ref = wireline.Text(m.field(l.trace, 0)), wireline.Text(m.field(l.trace, 1))
	}
	if l.sums > 0 && l.sums < len(m) {
		a.counts, a.sums = m[l.counts], m[l.sums]
	}
	return a, nil
}

func isCommand(s string) bool {
	if len(s) != 3 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	_, ok := wireline.Digits(s[1:])
	return ok
}

// lastFour keeps the last four digits of an account field, which should be all that it holds.
func lastFour(account string) string {
	if len(account) < 4 {
		return ""
	}
	tail := account[len(account)-4:]
	if _, ok := wireline.Digits(tail); !ok {
		return ""
	}
	return tail
}

// entryModes are the entry modes of the account group.
var entryModes = map[string]string{"0": "manual", "1": "magstripe", "2": "contactless", "4": "chip", "5": "fallback"}

// brands are the card types of the account group.
var brands = map[string]string{
	"1": "Visa", "2": "Mastercard", "3": "American Express", "4": "Discover", "5": "Diners Club", "6": "enRoute",
	"7": "JCB", "8": "Revolution", "9": "other",
}

// approvedByHost are the host codes that go with an approval: nothing, zeros, 10 (a part of the amount), and 08, 11
// and 85, which ISO 8583 counts as approvals.
func approvedByHost(code string) bool {
	switch strings.TrimLeft(code, "0") {
	case "", "8", "10", "11", "85":
		return true
	}
	return false
}

// outcome turns a T01, or the R03 that shows the same transaction, into what the payment keeps. An error means that
// the code settles nothing.
func (a answer) outcome(txn payments.Txn) (payments.Outcome, error) {
	out := payments.Outcome{
		CardBrand: a.brand, Last4: a.last4, EntryMode: a.entry, TerminalReference: a.number,
		Baseline: payments.Baseline{Known: a.ref != "" || a.number != "", Receipt: a.number, Trace: a.ref},
	}
	switch a.code {
	case codeOK:
	case codeDeclined:
		out.State, out.Decline = payments.Declined, a.decline()
		return out, nil
	case codeAborted:
		out.State, out.Decline = payments.Canceled, a.decline()
		return out, nil
	default:
		return out, fmt.Errorf("terminal says %s (%s), which settles nothing", codeText(a.code), a.code)
	}
	if !approvedByHost(a.hostCode) {
		return out, fmt.Errorf("terminal says ok, but its host says %q", a.hostCode)
	}
	out.State, out.ApprovalCode, out.ApprovedAmount, out.Reference = payments.Approved, a.auth, txn.Amount, a.number
	asked, ok := txn.Amount.Minor()
	if !ok {
		return out, fmt.Errorf("amount %s has no currency", txn.Amount)
	}
	if !a.hasMoney || txn.Kind == payments.DoTip || txn.Kind == payments.DoVoid || txn.Kind == payments.DoCancelPreauth {
		return out, nil // these name the sum of the whole transaction, or none
	}
	if a.approved > asked || a.approved == 0 {
		return out, fmt.Errorf("terminal approved %d instead of %d cents", a.approved, asked)
	}
	var err error
	if out.ApprovedAmount, err = money.FromMinor(a.approved, txn.Amount.Currency()); err != nil {
		return out, fmt.Errorf("approved amount: %w", err)
	}
	return out, nil
}

func (a answer) decline() *payments.Decline {
	d := &payments.Decline{Code: a.code, Message: codeText(a.code)}
	if a.hostCode != "" && !approvedByHost(a.hostCode) {
		d.Code = a.hostCode
	}
	if a.text != "" {
		d.Message += ": " + a.text
	}
	return d
}

// codeText puts a result code into words.
func codeText(code string) string {
	switch code {
	case codeOK:
		return "ok"
	case codeDeclined:
		return "declined"
	case codeTimeout:
		return "time-out"
	case codeAborted:
		return "stopped at the terminal"
	case codeNotFound:
		return "no such transaction"
	}
	return "an error"
}
