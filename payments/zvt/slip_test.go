package zvt

import (
	"reflect"
	"testing"

	"storeagent/payments"
	"storeagent/payments/terminaltest"
)

func TestSlipLines(t *testing.T) {
	type lines = []string
	for _, c := range []struct {
		name    string
		charset Charset
		data    []string
		want    payments.Receipt
	}{
		{"head of a real slip", CP437, lines{
			"40" + "2a2a204b415353454e5343484e495454202a2a", "40" + "5445535420506f7274616c756d", "40", "0020",
			"00" + "5465726d696e616c2d49443a202020203238303034383639", "81",
		}, payments.Receipt{Customer: lines{"** KASSENSCHNITT **", "TEST Portalum", "", "", "Terminal-ID:    28004869"}}},
		{"two copies without names: merchant first", CP437, lines{"0041", "81", "0042", "8143"},
			payments.Receipt{Merchant: lines{"A"}, Customer: lines{"B", "C"}}},
		{"kind behind the text", CP437, lines{"0041" + "06041f070102", "81", "0042" + "06041f070101", "81"},
			payments.Receipt{Customer: lines{"A"}, Merchant: lines{"B"}}},
		{"kind by words", Latin1, lines{"40" + "4be46e646c657220", "00" + "48e46e646c657262656c6567", "81", "004b756e64656e62656c6567", "81"},
			payments.Receipt{Merchant: lines{"Kändler", "Händlerbeleg"}, Customer: lines{"Kundenbeleg"}}},
		{"administration slips are nobody's", CP437, lines{"0041" + "06041f070103", "81"}, payments.Receipt{}},
		{"feeds", CP437, lines{"0041", "ff02", "0042", "81"}, payments.Receipt{Customer: lines{"A", "", "", "B"}}},
		{"card number", CP437, lines{"00" + "34313131313131313131313131313131", "81"}, payments.Receipt{Customer: lines{"************1111"}}},
		{"umlaut and euro", Latin9, lines{"00" + "fca4", "81"}, payments.Receipt{Customer: lines{"ü€"}}},
		{"umlaut in CP437", "", lines{"00" + "81", "81"}, payments.Receipt{Customer: lines{"ü"}}},
		{"broken UTF-8 and control characters", UTF8, lines{"00" + "c3bc0aff", "81"}, payments.Receipt{Customer: lines{"ü?"}}},
	} {
		s := slips{charset: c.charset}
		for _, d := range c.data {
			s.line(terminaltest.Unhex(t, d))
		}
		if got := s.receipt(); !reflect.DeepEqual(got, c.want) || s.open {
			t.Errorf("%s: %q, open %v", c.name, got, s.open)
		}
	}
}

func TestSlipBlock(t *testing.T) {
	inner := appendTLV(appendTLV(nil, tagAttribute, []byte{0x40}), tagText, []byte("Hallo"))
	inner = appendTLV(appendTLV(inner, tagText, []byte{0xFC}), tagAttribute, []byte{0x81})
	tlv := appendTLV(appendTLV(appendTLV(nil, tagReceiptType, []byte{slipMerchant}), tagCharset, []byte{0x01}), 0x25, inner)
	for _, data := range [][]byte{tlv, appendBMP(nil, bmpTLV, tlv)} {
		var s slips
		if err := s.block(data); err != nil {
			t.Fatal(err)
		}
		if got, want := s.receipt(), (payments.Receipt{Merchant: []string{"Hallo", "ü"}}); !reflect.DeepEqual(got, want) || s.open {
			t.Errorf("%q, open %v", got, s.open)
		}
	}
	var s slips
	if err := s.block(terminaltest.Unhex(t, "25050703414243")); err != nil || !s.open {
		t.Errorf("a block without an end: %v, open %v", err, s.open)
	}
}

func TestSlipsAreBounded(t *testing.T) {
	var s slips
	for range 3 * maxSlips {
		for range 2 * maxSlipLines {
			s.line([]byte("\x00x"))
		}
		s.line([]byte{0x81})
	}
	n := 0
	for _, sl := range s.all {
		n += len(sl.lines)
	}
	if len(s.all) > maxSlips || n > maxSlips*maxSlipLines {
		t.Errorf("%d slips, %d lines", len(s.all), n)
	}
}

func TestPrompts(t *testing.T) {
	for code, want := range map[byte]payments.Prompt{
		0x0A: {Code: "insert_card", Text: "insert or present the card"},
		0x0B: {Code: "remove_card", Text: "remove the card"},
		0x17: {Code: "wait", Text: "please wait"},
		0x15: {Code: "wrong_pin", Text: "wrong PIN, try again"},
		0x55: {Code: "wrong_pin", Text: "wrong PIN, try again; remove the card"},
		0x1D: {Code: "declined", Text: "declined"},
		0xE7: {Code: "other", Text: "the terminal is working (code E7)"},
	} {
		if got := prompt(code, ""); got != want {
			t.Errorf("%02X: %+v", code, got)
		}
	}
	if got := prompt(0x0A, "Karte bitte"); got.Text != "Karte bitte" || got.Code != "insert_card" {
		t.Errorf("own text: %+v", got)
	}
}

func TestResults(t *testing.T) {
	for code, want := range map[byte]payments.State{
		0x00: payments.Approved, 0x05: payments.Declined, 0x63: payments.Declined, 0x64: payments.Failed, 0x6C: payments.Canceled,
		0x6F: payments.Failed, 0x78: payments.Declined, 0x9A: payments.Failed, 0xA3: payments.Failed, 0xC3: payments.Declined,
		0xF0: payments.Failed, 0xFF: payments.Failed,
	} {
		if got := resultState(code); got != want {
			t.Errorf("%02X: %s, want %s", code, got, want)
		}
		if d := decline(code, "own"); d.Message == "own" || d.Message == ": own" {
			t.Errorf("%02X has no text", code)
		}
	}
}
