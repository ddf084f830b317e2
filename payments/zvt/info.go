package zvt

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"storeagent/payments"
	"storeagent/payments/money"
)

// statusInfo is what we keep of a 04 0F. The card's number, tracks, expiry, check value and chip data never leave
// parseStatus: of the number it keeps the last four digits.
type statusInfo struct {
	result    byte
	hasResult bool
	amount    int64 // minor units
	hasAmount bool
	currency  string // three digits as in ISO 4217; "" for not said
	receipt   string
	trace     string
	origTrace string // set on a reversal: the trace of what was reversed
	clock     stamp
	tid       string
	last4     string
	brand     string
	approval  string
	text      string
	entry     string
	signature bool
	totals    string // bytes of BMP 60 of an end of day
}

// stamp is a terminal's date and time, without a year: 04 0F has none, so a year from elsewhere could only disagree.
type stamp struct {
	month, day           int
	hour, minute, second int
	hasDate, hasTime     bool
}

// parseStatus reads a 04 0F. With an error what stood before the fault is still filled in: the result code comes
// first and must be honoured whatever follows.
func parseStatus(data []byte, cs Charset) (statusInfo, error) {
	var s statusInfo
	err := walk(data, func(id byte, v []byte) { s.take(id, v, cs) })
	if err != nil {
		return s, fmt.Errorf("read status information: %w", err)
	}
	return s, nil
}

func (s *statusInfo) take(id byte, v []byte, cs Charset) {
	switch id {
	case bmpResult:
		if !s.hasResult {
			s.result, s.hasResult = v[0], true
		}
	case bmpAmount:
		s.amount, s.hasAmount = getBCD(v)
	case bmpCurrency:
		if d, ok := digits(v); ok {
			s.currency = d[1:]
		}
	case bmpReceipt:
		if !bytes.Equal(v, []byte{0xFF, 0xFF}) {
			s.receipt, _ = digits(v)
		}
	case bmpTrace:
		s.trace, _ = digits(v)
	case bmpOrigTrace:
		s.origTrace, _ = digits(v)
	case bmpTime:
		s.clock.setTime(v)
	case bmpDate:
		s.clock.setDate(v)
	case bmpTID:
		s.tid, _ = digits(v)
	case bmpPAN:
		s.last4 = last4(v)
	case bmpCardName:
		s.brand = strings.TrimSpace(cs.text(bytes.TrimRight(v, "\x00")))
	case bmpApproval:
		s.approval = strings.TrimSpace(cs.text(bytes.TrimRight(v, "\x00")))
	case bmpText:
		s.text = strings.TrimSpace(cs.text(v))
	case bmpTotals:
		s.totals = string(v)
	case bmpTLV:
		s.container(v)
	}
}

// container reads the tags about how the card was read. A broken container costs only what it would have told.
func (s *statusInfo) container(v []byte) {
	_ = walkTLV(v, func(tag int, v []byte) {
		if len(v) != 1 {
			return
		}
		switch tag {
		case tagCVM: // 0 none, 1 signature, 2 online PIN, ..
			s.signature = s.signature || v[0] == 1
		case tagReceiptInfo: // bit 02: the slip has a signature line
			s.signature = s.signature || v[0]&0x02 != 0
		case tagTechnology:
			s.entry = entryModes(v[0])
		}
	})
}

// entryModes names the technology of tag 1F12.
func entryModes(code byte) string {
	switch code {
	case 0:
		return "magstripe"
	case 1:
		return "chip"
	case 2:
		return "contactless"
	}
	return ""
}

// last4 takes the end of a packed card number: E is a masked digit, F fills an odd length. "" where the terminal
// masks even the last four.
func last4(bcd []byte) string {
	tail := make([]byte, 0, 4)
	for i := 2*len(bcd) - 1; i >= 0 && len(tail) < 4; i-- {
		n := bcd[i/2]
		if i%2 == 0 {
			n >>= 4
		}
		n &= 0x0F
		switch {
		case n == 0x0F && len(tail) == 0:
		case n > 9:
			return ""
		default:
			tail = append(tail, '0'+n)
		}
	}
	if len(tail) < 4 || len(bcd) < 5 { // a number this short would be shown whole
		return ""
	}
	for i, j := 0, len(tail)-1; i < j; i, j = i+1, j-1 {
		tail[i], tail[j] = tail[j], tail[i]
	}
	return string(tail)
}

func (t *stamp) setTime(v []byte) {
	n, ok := getBCD(v)
	h, m, s := int(n/10000), int(n/100%100), int(n%100)
	if ok && len(v) == 3 && h < 24 && m < 60 && s < 60 {
		t.hour, t.minute, t.second, t.hasTime = h, m, s, true
	}
}

// setDate reads MMDD, YYMMDD or YYYYMMDD.
func (t *stamp) setDate(v []byte) {
	n, ok := getBCD(v)
	if !ok {
		return
	}
	if m, d := int(n/100%100), int(n%100); m >= 1 && m <= 12 && d >= 1 && d <= 31 {
		t.month, t.day, t.hasDate = m, d, true
	}
}

// near gives the moment on a clock of our time zone, in the year that brings it nearest to ref.
func (t stamp) near(ref time.Time) (time.Time, bool) {
	if !t.hasDate || !t.hasTime {
		return time.Time{}, false
	}
	ref = ref.Local()
	in := func(year int) time.Time {
		return time.Date(year, time.Month(t.month), t.day, t.hour, t.minute, t.second, 0, time.Local)
	}
	best := in(ref.Year())
	for _, y := range []int{ref.Year() - 1, ref.Year() + 1} {
		if in(y).Sub(ref).Abs() < best.Sub(ref).Abs() {
			best = in(y)
		}
	}
	return best, true
}

// baseline names the transaction for later comparison.
func (s statusInfo) baseline() payments.Baseline {
	return payments.Baseline{Known: s.receipt != "" || s.trace != "", Receipt: s.receipt, Trace: s.trace}
}

// outcome turns a status with a result code into what the payment keeps. The amount that was asked for stands where
// an approval names none, and where what it names is not ours to tell: of a void it is the voided amount, or nothing,
// and of a tip some terminals name the whole sum.
func (s statusInfo) outcome(asked payments.Txn) (payments.Outcome, error) {
	out := payments.Outcome{
		State: resultState(s.result), CardBrand: s.brand, Last4: s.last4, EntryMode: s.entry,
		TerminalReference: s.receipt, Baseline: s.baseline(),
	}
	if out.TerminalReference == "" {
		out.TerminalReference = s.trace
	}
	if out.State != payments.Approved {
		out.Decline = decline(s.result, s.text)
		return out, nil
	}
	out.ApprovalCode, out.SignatureRequired, out.ApprovedAmount = s.approval, s.signature, asked.Amount
	switch asked.Kind {
	case payments.DoVoid, payments.DoCancelPreauth, payments.DoTip:
		return out, nil
	}
	if s.hasAmount {
		a, err := money.FromMinor(s.amount, asked.Amount.Currency())
		if err != nil {
			return out, fmt.Errorf("approved amount: %w", err)
		}
		out.ApprovedAmount = a
	}
	return out, nil
}
