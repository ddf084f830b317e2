package pax

import (
	"bytes"
	"strings"
	"testing"

	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/terminaltest"
	"storeagent/payments/wireline"
)

// Frames that a register library of Global Payments put on the wire.
const (
	vectorInit   = "024130301c312e33351c035b"
	vectorCancel = "024131341c312e33351c035e"
	vectorSale   = "025430301c312e33351c30311c313030301c1f1f1f1f1f311c371c1c1c1c1c5449505245513d310350"
)

func TestVectors(t *testing.T) {
	for want, m := range map[string]message{
		vectorInit:   command(cmdInit),
		vectorCancel: command(cmdCancel),
		vectorSale: command(cmdCredit, []string{typeSale}, []string{"1000", "", "", "", "", ""},
			[]string{"", "", "", "", "", "1"}, []string{"7", "", ""}, nil, nil, nil, nil, []string{"TIPREQ=1"}),
	} {
		if got := wireline.Frame(m.text()); !bytes.Equal(got, terminaltest.Unhex(t, want)) {
			t.Errorf("%x, want %s", got, want)
		}
		wire := terminaltest.Unhex(t, want)
		terminaltest.Split(t, wire, maxText, func(text []byte) {
			again, err := parseMessage(text)
			if err != nil || !bytes.Equal(wireline.Frame(again.raw()), wire) {
				t.Fatalf("%q, %v", again, err)
			}
		})
	}
}

func usd(t testing.TB, text string) money.Amount {
	t.Helper()
	a, err := money.Parse(text, "USD")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// What a request must never hold: card data, and leave to charge twice.
func TestRequests(t *testing.T) {
	term, err := New(Config{Options: Options{Currency: "USD"}})
	if err != nil {
		t.Fatal(err)
	}
	first := &payments.Original{Kind: payments.DoSale, Ref: "0123456789", Receipt: "12", Reference: "12", ApprovalCode: "A1B2C3"}
	for kind, want := range map[payments.Kind]string{
		payments.DoSale:          "T00|1.35|01|1250||REF0000001|||||",
		payments.DoRefund:        "T00|1.35|02|1250||REF0000001|||||",
		payments.DoPreauth:       "T00|1.35|03|1250||REF0000001|||||",
		payments.DoCapture:       "T00|1.35|04|1250||REF0000001,,A1B2C3,12|||||",
		payments.DoTip:           "T00|1.35|06|1250||REF0000001,,,12|||||TIPREQ=1",
		payments.DoVoid:          "T00|1.35|16|||REF0000001,,,12|||||",
		payments.DoCancelPreauth: "T00|1.35|16|||REF0000001,,,12|||||",
	} {
		txn := payments.Txn{Kind: kind, Ref: "REF0000001", Amount: usd(t, "12.50")}
		if kind.FollowsUp() {
			txn.Original = first
		}
		r, err := term.request(txn)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		m := r.message()
		if got := strings.NewReplacer(fs, "|", us, ",").Replace(string(m.text())); got != want {
			t.Errorf("%s: %s, want %s", kind, got, want)
		}
		if account := m[4]; len(account) != 0 {
			t.Errorf("%s: account group %q", kind, account)
		}
	}
	tipped, err := term.request(payments.Txn{Kind: payments.DoSale, Ref: "REF0000001", Amount: usd(t, "14.50"), Tip: usd(t, "2.00")})
	if got := strings.NewReplacer(fs, "|", us, ",").Replace(string(tipped.message().text())); err != nil || got != "T00|1.35|01|1250,200||REF0000001|||||" {
		t.Errorf("with a tip: %s, %v", got, err)
	}
	for name, txn := range map[string]payments.Txn{
		"only a tip":    {Kind: payments.DoSale, Ref: "R", Amount: usd(t, "1.00"), Tip: usd(t, "1.00")},
		"currency":      {Kind: payments.DoSale, Ref: "R", Amount: eur(t)},
		"nothing":       {Kind: payments.DoSale, Ref: "R", Amount: usd(t, "0.00")},
		"too much":      {Kind: payments.DoSale, Ref: "R", Amount: usd(t, "10000000.00")},
		"no reference":  {Kind: payments.DoSale, Amount: usd(t, "1.00")},
		"no number":     {Kind: payments.DoVoid, Ref: "R", Amount: usd(t, "1.00"), Original: &payments.Original{}},
		"no original":   {Kind: payments.DoTip, Ref: "R", Amount: usd(t, "1.00")},
		"linked refund": {Kind: payments.DoRefund, Ref: "R", Amount: usd(t, "1.00"), Original: first},
		"no such kind":  {Kind: "dance", Ref: "R", Amount: usd(t, "1.00")},
	} {
		if r, err := term.request(txn); err == nil {
			t.Errorf("%s: taken as %+v", name, r)
		}
	}
}

func eur(t testing.TB) money.Amount {
	t.Helper()
	a, err := money.Parse("1.00", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// result makes a T01.
func result(code, host, amount, account, ref string) []byte {
	return []byte(strings.NewReplacer("|", fs, ",", us).Replace(
		"0|T01|1.35|" + code + "|TEXT|" + host + ",MSG,611804,000000000012,12,1|01|" + amount + "|" + account + "|12," + ref + ",20260101120000|||"))
}

func TestOutcomes(t *testing.T) {
	txn := payments.Txn{Kind: payments.DoSale, Ref: "R", Amount: usd(t, "10.00")}
	for _, c := range []struct {
		name, code, host, amount string
		state                    payments.State // "": settles nothing
		approved                 string
	}{
		{"approved", "000000", "00", "1000", payments.Approved, "10.00"},
		{"approved without amount", "000000", "", "", payments.Approved, "10.00"},
		{"a part", "000000", "10", "400,600", payments.Approved, "4.00"},
		{"too much", "000000", "00", "1001", "", ""},
		{"nothing", "000000", "00", "0", "", ""},
		{"host says no", "000000", "05", "1000", "", ""},
		{"declined", "000100", "05", "", payments.Declined, ""},
		{"stopped", "100002", "", "", payments.Canceled, ""},
		{"time-out", "100001", "", "", "", ""},
		{"duplicate", "100011", "", "", "", ""},
		{"unknown", "000002", "", "", "", ""},
	} {
		a, err := parseAnswer(result(c.code, c.host, c.amount, "1111,4,1229,,,,01,HOLDER", "R"))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		out, err := a.outcome(txn)
		if (err == nil) != (c.state != "") || err == nil && out.State != c.state {
			t.Errorf("%s: %+v, %v", c.name, out, err)
		}
		if c.state == payments.Approved && (out.ApprovedAmount.String() != c.approved || out.CardBrand != "Visa" || out.Last4 != "1111" ||
			out.EntryMode != "chip" || out.ApprovalCode != "611804" || out.TerminalReference != "12" || out.Reference != "12" || out.Baseline.Trace != "R") {
			t.Errorf("%s: %+v", c.name, out)
		}
		if c.state == payments.Declined && (out.Decline == nil || out.Decline.Code != "05") {
			t.Errorf("%s: %+v", c.name, out.Decline)
		}
	}
}

func TestAnswerHoldsNoCardNumber(t *testing.T) {
	const pan = "4111111111111111"
	text := bytes.ReplaceAll(result("000000", "00", "1000", pan+",1,1229,,,,01,HOLDER/"+pan, pan), []byte("MSG"), []byte(pan))
	text = append(text, fs+"TRACK=;"+pan+"=2912?"...)
	a, err := parseAnswer(text)
	if err != nil || a.last4 != "1111" {
		t.Fatalf("%+v, %v", a, err)
	}
	out, err := a.outcome(payments.Txn{Kind: payments.DoSale, Amount: usd(t, "10.00")})
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join([]string{a.text, a.ref, a.number, a.auth, a.hostRef, out.Baseline.Trace, describe(text)}, " "); strings.Contains(all, pan) {
		t.Error(all)
	}
}

func TestTotals(t *testing.T) {
	text := strings.NewReplacer("|", fs, ",", us).Replace("0|B01|1.35|000000|OK|00,CLOSED|3,1,0,0,0,0|2500,-500,0,0,0,0|20260101120000|TID|MID")
	a, err := parseAnswer([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	totals, err := a.totals("USD")
	if err != nil || totals.Count != 4 || totals.Amount.String() != "20.00" || len(totals.Cards) != 2 || totals.Cards[1].Amount.String() != "-5.00" {
		t.Errorf("%+v, %v", totals, err)
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add(result("000000", "00", "1000", "1111,4,1229,,,,01,HOLDER", "R"))
	f.Add([]byte("0\x1cA01\x1c1.35\x1c000000\x1cOK\x1c52523535\x1cS300"))
	f.Add([]byte("0\x1cR03\x1c1.35\x1c100023\x1cNOT FOUND"))
	f.Add([]byte("\x1c\x1c\x1c"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if m, err := parseMessage(text); err == nil && !bytes.Equal(m.raw(), text) {
			t.Fatalf("%q comes back as %q", text, m.raw())
		}
		a, err := parseAnswer(text)
		if err != nil {
			return
		}
		for _, s := range []string{a.text, a.ref, a.number, a.auth, a.hostRef, a.serial, a.model} {
			if wireline.MaskCards(s) != s {
				t.Fatalf("a card number in %q", s)
			}
		}
		for _, c := range []byte(a.last4) {
			if c < '0' || c > '9' || len(a.last4) != 4 {
				t.Fatalf("last four %q", a.last4)
			}
		}
		out, err := a.outcome(payments.Txn{Kind: payments.DoSale, Amount: usd(t, "10.00")})
		if err == nil && out.State == payments.Approved && (a.code != codeOK || out.ApprovedAmount.Sign() <= 0 || out.ApprovedAmount.Cmp(usd(t, "10.00")) > 0) {
			t.Fatalf("approved %s of 10.00", out.ApprovedAmount)
		}
		_, _ = a.totals("USD") // must not panic
	})
}
