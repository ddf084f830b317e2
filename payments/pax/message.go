package pax

import (
	"errors"
	"fmt"
	"strings"
)

// The separators: FS between groups, US between the fields of a group (POSLink, message layout).
const (
	fs = "\x1C"
	us = "\x1F"
)

// version is the protocol version that requests name. Terminals answer requests of older versions.
const version = "1.35"

// maxText bounds a message; the longest answers, of a sale with all its extended data, have two thousand bytes.
const maxText = 16 << 10

// Commands, and the answers that end them.
const (
	cmdInit   = "A00"
	cmdCancel = "A14" // has no answer
	cmdCredit = "T00"
	cmdClose  = "B00"
	cmdDetail = "R02"
)

// answerTo gives the command of the answer: the number is one higher.
func answerTo(cmd string) string { return cmd[:2] + string(cmd[2]+1) }

// Transaction types of T00.
const (
	typeSale     = "01"
	typeReturn   = "02"
	typeAuth     = "03"
	typePostAuth = "04"
	typeAdjust   = "06"
	typeVoid     = "16"
)

// message is the groups of a message, in order; each group is its fields.
type message [][]string

// text is the message as it stands in a frame. Empty fields at the end of a group are left out.
func (m message) text() []byte {
	groups := make([]string, len(m))
	for i, g := range m {
		groups[i] = strings.TrimRight(strings.Join(g, us), us)
	}
	return []byte(strings.Join(groups, fs))
}

// command makes a request; an administrative one without data ends with a separator, as terminals expect it.
func command(cmd string, groups ...[]string) message {
	if len(groups) == 0 {
		groups = [][]string{nil}
	}
	return append(message{{cmd}, {version}}, groups...)
}

// request is what a T00 says. Card data is never among it: the account group stays empty, its fields for card number,
// expiry, security code and for allowing a duplicate too.
type request struct {
	kind        string
	amount      int64  // cents, without gratuity; 0 leaves it out
	gratuity    int64  // cents of a tip that a sale brings along
	ref         string // our reference, by which the terminal finds the transaction again
	auth        string // approval code of the authorization that a 04 collects
	transaction string // the terminal's number of the transaction that a follow-up works on
	tip         bool   // the amount is a tip
}

func (r request) message() message {
	var amount string
	if r.amount > 0 {
		amount = fmt.Sprint(r.amount)
	}
	var gratuity string
	if r.gratuity > 0 {
		gratuity = fmt.Sprint(r.gratuity)
	}
	var ext []string
	if r.tip {
		ext = []string{"TIPREQ=1"}
	}
	return command(cmdCredit,
		[]string{r.kind},
		[]string{amount, gratuity},
		nil, // account
		[]string{r.ref, "", r.auth, r.transaction},
		nil, nil, nil, nil, // avs, cashier, commercial, ecom
		ext,
	)
}

// detail asks for one transaction: by our reference, or by its place in the batch.
func detail(ref, record string) message {
	return command(cmdDetail, []string{"00"}, nil, nil, []string{record}, nil, nil, []string{ref}, nil)
}

var errShort = errors.New("answer of the terminal is cut short")

// parseMessage takes the text of a frame apart.
func parseMessage(text []byte) (message, error) {
	if len(text) == 0 {
		return nil, errShort
	}
	groups := strings.Split(string(text), fs)
	m := make(message, len(groups))
	for i, g := range groups {
		m[i] = strings.Split(g, us)
	}
	return m, nil
}

// raw is the message byte for byte, empty fields and all.
func (m message) raw() []byte {
	groups := make([]string, len(m))
	for i, g := range m {
		groups[i] = strings.Join(g, us)
	}
	return []byte(strings.Join(groups, fs))
}

// field is one field of a group, "" where the message has none.
func (m message) field(group, n int) string {
	if group >= len(m) || n >= len(m[group]) {
		return ""
	}
	return m[group][n]
}
