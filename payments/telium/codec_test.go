package telium

import (
	"bytes"
	"strings"
	"testing"

	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/terminaltest"
	"storeagent/payments/wireline"
)

// Frames that a public Python library makes: 10.16 EUR, the checksum of the ask is 00.
const (
	vectorAsk    = "02303130303030313031363031303937382020202020202020202041303130423031300300"
	vectorAnswer = "02303130303030303130313631393738313233343536373839300332"
)

func TestVectors(t *testing.T) {
	q := ask{pos: "01", minor: 1016, kind: kindDebit, currency: "978"}
	if got := wireline.Frame(q.text()); !bytes.Equal(got, terminaltest.Unhex(t, vectorAsk)) || len(q.text()) != askSize {
		t.Errorf("%x", got)
	}
	terminaltest.Split(t, terminaltest.Unhex(t, vectorAsk), longSize, func(text []byte) {
		if !bytes.Equal(text, q.text()) {
			t.Fatalf("%q", text)
		}
	})
	q.private = "1234567890"
	terminaltest.Split(t, terminaltest.Unhex(t, vectorAnswer), longSize, func(text []byte) {
		a, err := parseAnswer(text)
		if err != nil || a.result != resultOK || !a.isFor(q) || !bytes.Equal(a.text(), text) {
			t.Fatalf("%+v, %v", a, err)
		}
	})
}

func TestAnswerIsForItsAskOnly(t *testing.T) {
	q := ask{pos: "01", minor: 1016, kind: kindDebit, currency: "978", private: "ATTEMPT001"}
	for text, want := range map[string]bool{
		"010000010161978ATTEMPT001": true,
		"020000010161978ATTEMPT001": false,
		"010000010171978ATTEMPT001": false,
		"010000010161840ATTEMPT001": false,
		"010000010161978ATTEMPT000": false,
		"010000010161978          ": false,
	} {
		a, err := parseAnswer([]byte(text))
		if err != nil || a.isFor(q) != want {
			t.Errorf("%q: %v, %v", text, a.isFor(q), err)
		}
	}
}

func TestReportIsMasked(t *testing.T) {
	for _, report := range []string{
		"CB EMV 4111111111111111 611804", "41111111111111110012290611804", "4111 1111 1111 1111", "************1111", "nothing",
	} {
		text := "01" + "0" + "00001016" + "1" + report + strings.Repeat(" ", reportSize-len(report)) + "978" + "ATTEMPT001"
		a, err := parseAnswer([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", report, err)
			continue
		}
		if strings.ContainsAny(a.report, "0123456789") || len(a.report) != reportSize {
			t.Errorf("%q becomes %q", report, a.report)
		}
		if again, err := parseAnswer(a.text()); err != nil || again.report != a.report {
			t.Errorf("%q: %+v, %v", report, again, err)
		}
		if strings.Contains(describe([]byte(text)), "1111") {
			t.Error(describe([]byte(text)))
		}
	}
}

func TestUnreadableAnswers(t *testing.T) {
	for _, text := range []string{"", "what?", "010000O10161978ATTEMPT001", "0100000101619781234567890x", "01000001016197\xFF1234567890"} {
		if a, err := parseAnswer([]byte(text)); err == nil {
			t.Errorf("%q read as %+v", text, a)
		}
	}
}

func TestAsks(t *testing.T) {
	amount := func(text, currency string) money.Amount {
		a, err := money.Parse(text, currency)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	good := payments.Txn{Kind: payments.DoSale, Ref: "ATTEMPT001", Amount: amount("999999.99", "EUR")}
	if q, err := askFor(good); err != nil || string(q.text()) != "019999999901"+"0978"+"ATTEMPT001A010B010" {
		t.Errorf("%s, %v", q.text(), err)
	}
	good.Kind = payments.DoRefund
	if q, err := askFor(good); err != nil || q.kind != kindRefund {
		t.Errorf("%s, %v", q.text(), err)
	}
	for name, change := range map[string]func(*payments.Txn){
		"too much":      func(x *payments.Txn) { x.Amount = amount("1000000.00", "EUR") },
		"nothing":       func(x *payments.Txn) { x.Amount = amount("0.00", "EUR") },
		"no currency":   func(x *payments.Txn) { x.Amount = money.Amount{} },
		"reference":     func(x *payments.Txn) { x.Ref = "SHORT" },
		"preauth":       func(x *payments.Txn) { x.Kind = payments.DoPreauth },
		"void":          func(x *payments.Txn) { x.Kind = payments.DoVoid },
		"linked refund": func(x *payments.Txn) { x.Original = &payments.Original{} },
	} {
		txn := good
		change(&txn)
		if q, err := askFor(txn); err == nil {
			t.Errorf("%s: taken as %s", name, q.text())
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte("010000010161978ATTEMPT001"))
	f.Add([]byte("01000001016" + "1" + "CB EMV 4111111111111111 611804" + strings.Repeat(" ", 25) + "978" + "ATTEMPT001"))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parseAnswer(text)
		if err != nil {
			return
		}
		again := a.text()
		if len(text) == shortSize && !bytes.Equal(again, text) {
			t.Fatalf("%q comes back as %q", text, again)
		}
		if len(again) != len(text) {
			t.Fatalf("%q comes back as %q", text, again)
		}
		if len(text) == longSize {
			if !bytes.Equal(again[:12], text[:12]) || !bytes.Equal(again[12+reportSize:], text[12+reportSize:]) {
				t.Fatalf("%q comes back as %q", text, again)
			}
			if strings.ContainsAny(a.report, "0123456789") {
				t.Fatalf("report %q", a.report)
			}
		}
	})
}
