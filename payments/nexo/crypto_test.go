package nexo

import (
	"bytes"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/terminalsim"
)

// A protected message that other software accepts, with the nonce 00 01 .. 0F.
const (
	vectorPassphrase = "p@ssw0rd123456"
	vectorClear      = `{"SaleToPOIRequest":{"MessageHeader":{"ProtocolVersion":"3.0","MessageClass":"Service","MessageCategory":"Diagnosis","MessageType":"Request","SaleID":"REG01","ServiceID":"0000000042","POIID":"P400Plus-275039202"},"DiagnosisRequest":{"HostDiagnosisFlag":false}}}`
	vectorSealed     = `{"MessageHeader":{"ProtocolVersion":"3.0","MessageClass":"Service","MessageCategory":"Diagnosis","MessageType":"Request","SaleID":"REG01","ServiceID":"0000000042","POIID":"P400Plus-275039202"},"NexoBlob":"bCSdA/21eXKqHofUI2X2/BYxBp1gGkxpZMLgaqPoWEJrBYyJaFwsXhVoh5om2uvCfb9enFUro0oToc136lazSEw9fX/W93iyHFQvUQjTpZK2mV7z84Wj+QNeUWMjjNKdUpVGme/ZSECQTV4Ag7MBNLIclhQopuycO3wz/rH14KIJ0G4zMvAWLD+NuMEGyg7qXZdHmjZ5OH46/mXs9ZrwiVPcePKT2m9yzcnyP7s5nXDG4hKKxzzKpN6RCnLde5suv3UOSxSntGy6I1pqlzbuUGXzxg8ayWm3WcUKzizoDYPuTXX+Q0fhSpuv5/xTOe5os6yyWuHwb0Ne23vtarBXI0mN6hpcXDBJyMi5uV/5wdk=","SecurityTrailer":{"AdyenCryptoVersion":1,"KeyIdentifier":"storekey","KeyVersion":1,"Nonce":"AAECAwQFBgcICQoLDA0ODw==","Hmac":"nmcxDT/MfAFMlRkH8wANvw/mqOJnGY7Imzoc2WtpZLg="}}`
)

func vectorSealer(t testing.TB) *sealer {
	t.Helper()
	s, err := newSealer("storekey", 1, vectorPassphrase)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var vectorTime = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

func vectorHeader() header {
	return header{"3.0", "Service", catDiagnosis, "Request", "REG01", "0000000042", "P400Plus-275039202"}
}

func TestDerivedKeys(t *testing.T) {
	s := vectorSealer(t)
	if got := hex.EncodeToString(s.macKey); got != "733636253b5b98f9a483b1a678d73a58dab2accafbc029ecbe12d60eaa909e32" {
		t.Errorf("HMAC key %s", got)
	}
	if got := hex.EncodeToString(s.iv); got != "bb9ba8092e6027c735398dc65977c051" {
		t.Errorf("IV %s", got)
	}
}

func TestSealVector(t *testing.T) {
	clear, err := json.Marshal(map[string]request{"SaleToPOIRequest": {MessageHeader: vectorHeader(), DiagnosisRequest: &diagnosisRequest{}}})
	if err != nil || string(clear) != vectorClear {
		t.Fatalf("clear text %s, %v", clear, err)
	}
	nonce := []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	got, err := json.Marshal(vectorSealer(t).sealWith(vectorHeader(), clear, nonce))
	if err != nil || string(got) != vectorSealed {
		t.Errorf("sealed\n%s\nwant\n%s\n%v", got, vectorSealed, err)
	}
}

func TestOpenVector(t *testing.T) {
	var m sealed
	if err := json.Unmarshal([]byte(vectorSealed), &m); err != nil {
		t.Fatal(err)
	}
	if clear, err := vectorSealer(t).open(m); err != nil || string(clear) != vectorClear {
		t.Errorf("%s, %v", clear, err)
	}
}

// TestOpenRefuses flips every bit of blob, nonce and MAC once.
func TestOpenRefuses(t *testing.T) {
	s := vectorSealer(t)
	m := s.seal(vectorHeader(), []byte(vectorClear))
	for name, b := range map[string][]byte{"blob": m.NexoBlob, "nonce": m.SecurityTrailer.Nonce, "MAC": m.SecurityTrailer.Hmac} {
		for i := range 8 * len(b) {
			b[i/8] ^= 1 << (i % 8)
			if _, err := s.open(m); !errors.Is(err, errForged) {
				t.Errorf("%s, bit %d turned: %v", name, i, err)
			}
			b[i/8] ^= 1 << (i % 8)
		}
	}
	if _, err := s.open(m); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*sealed){
		"no blob":      func(m *sealed) { m.NexoBlob = nil },
		"odd blob":     func(m *sealed) { m.NexoBlob = m.NexoBlob[1:] },
		"no nonce":     func(m *sealed) { m.SecurityTrailer.Nonce = nil },
		"no MAC":       func(m *sealed) { m.SecurityTrailer.Hmac = nil },
		"short MAC":    func(m *sealed) { m.SecurityTrailer.Hmac = m.SecurityTrailer.Hmac[:16] },
		"crypto 2":     func(m *sealed) { m.SecurityTrailer.AdyenCryptoVersion = 2 },
		"other key":    func(m *sealed) { m.SecurityTrailer.KeyIdentifier = "x" },
		"next version": func(m *sealed) { m.SecurityTrailer.KeyVersion++ },
	} {
		hurt := m
		edit(&hurt)
		if _, err := s.open(hurt); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
}

func TestReadAnswer(t *testing.T) {
	s := vectorSealer(t)
	ask := vectorHeader()
	answer := func(outer, inner header) []byte {
		clear, err := json.Marshal(map[string]response{"SaleToPOIResponse": {MessageHeader: inner, DiagnosisResponse: &diagnosisResponse{}}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(map[string]sealed{"SaleToPOIResponse": s.seal(outer, clear)})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	good := ask
	good.MessageType = "Response"
	if r, err := s.readAnswer(answer(good, good), ask); err != nil || r.DiagnosisResponse == nil {
		t.Errorf("good answer: %v", err)
	}
	for want, edit := range map[string]func(h *header){
		"is for":           func(h *header) { h.ServiceID = "0000000041" },
		"is for REG02":     func(h *header) { h.SaleID = "REG02" },
		"is from":          func(h *header) { h.POIID = "P400Plus-1" },
		"is a Payment":     func(h *header) { h.MessageCategory = catPayment },
		"Diagnosis Reques": func(h *header) { h.MessageType = "Request" },
	} {
		h := good
		edit(&h)
		if _, err := s.readAnswer(answer(h, h), ask); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
		if _, err := s.readAnswer(answer(good, h), ask); err == nil || !strings.Contains(err.Error(), "differs") {
			t.Errorf("%s inside only: %v", want, err)
		}
	}
	for text, want := range map[string]string{
		"": "nothing", " \n": "nothing", "{}": "no protected message", "<html>": "no protected message", `"ok"`: "no protected message",
	} {
		if _, err := s.readAnswer([]byte(text), ask); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, clear := range []string{"", "[]", `{"SaleToPOIRequest":{}}`} {
		b, err := json.Marshal(map[string]sealed{"SaleToPOIResponse": s.seal(good, []byte(clear))})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.readAnswer(b, ask); err == nil {
			t.Errorf("clear text %q taken for an answer", clear)
		}
	}
}

func TestAmounts(t *testing.T) {
	for _, c := range []struct{ text, currency, want string }{
		{"10.16", "EUR", "10.16"}, {"10", "EUR", "10.00"}, {"10.1", "EUR", "10.10"}, {"10.160", "EUR", "10.16"}, {"100", "JPY", "100"},
		{"0.005", "EUR", ""}, {"1e3", "EUR", ""}, {"-0", "EUR", "0.00"}, {"100.0", "JPY", "100"}, {"", "EUR", ""}, {"10.16", "XXZ", ""},
	} {
		a, err := readNumber(json.Number(c.text), c.currency)
		if (err != nil) != (c.want == "") || err == nil && a.String() != c.want {
			t.Errorf("%s %s: %s, %v", c.text, c.currency, a, err)
		}
	}
	term := &Terminal{saleID: "S", poiid: "P-1"}
	for text, want := range map[string]string{"0.01": "0.01", "10.10": "10.10", "999999999999.99": "999999999999.99"} {
		a, err := money.Parse(text, "EUR")
		if err != nil {
			t.Fatal(err)
		}
		m, err := term.moneyMessage(payments.Txn{Kind: payments.DoSale, Ref: "R", Amount: a}, vectorTime)
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(m.PaymentRequest)
		if err != nil || !bytes.Contains(b, []byte(`"RequestedAmount":`+want+`}`)) {
			t.Errorf("%s: %s, %v", text, b, err)
		}
	}
}

func TestOutcomeOfConditions(t *testing.T) {
	txn := payments.Txn{Kind: payments.DoSale, Ref: "R"}
	for condition, want := range map[string]payments.State{
		"Refusal": payments.Declined, "WrongPIN": payments.Declined, "InvalidCard": payments.Declined, "PaymentRestriction": payments.Declined,
		"Cancel": payments.Canceled, "Aborted": payments.Canceled, "UnreachableHost": payments.Failed, "DeviceOut": payments.Failed,
		"InProgress": "", "": "", "Sunshine": "",
	} {
		p := paymentResponse{Response: result{Result: "Failure", ErrorCondition: condition}}
		out, err := p.outcome(txn)
		if (err != nil) != (want == "") || err == nil && (out.State != want || out.Decline.Code != condition || out.Decline.Message == "") {
			t.Errorf("%s: %+v, %v", condition, out, err)
		}
	}
	for _, r := range []string{"", "Maybe", "success"} {
		if _, err := (&paymentResponse{Response: result{Result: r}}).outcome(txn); err == nil {
			t.Errorf("result %q taken for an end", r)
		}
	}
	if _, _, err := (body{}).outcome(txn); err == nil {
		t.Error("an empty answer taken for an end")
	}
}

func TestApprovedInAnotherCurrency(t *testing.T) {
	a, err := money.Parse("10.16", "EUR")
	if err != nil {
		t.Fatal(err)
	}
	p := paymentResponse{Response: result{Result: "Success"}}
	p.PaymentResult.AmountsResp = amountsResp{Currency: "USD", AuthorizedAmount: "10.16"}
	if _, err := p.outcome(payments.Txn{Kind: payments.DoSale, Amount: a}); err == nil {
		t.Error("USD taken for EUR")
	}
	for _, n := range []json.Number{"0", "-10.16", "0.00"} {
		p.PaymentResult.AmountsResp = amountsResp{Currency: "EUR", AuthorizedAmount: n}
		if _, err := p.outcome(payments.Txn{Kind: payments.DoSale, Amount: a}); err == nil {
			t.Errorf("%s taken for an approval", n)
		}
	}
	p = paymentResponse{Response: result{Result: "Partial"}}
	if _, err := p.outcome(payments.Txn{Kind: payments.DoSale, Amount: a}); err == nil {
		t.Error("a part of unknown size taken for something")
	}
}

func TestRepeats(t *testing.T) {
	read := func(text string) *transactionStatusResponse {
		var s transactionStatusResponse
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		return &s
	}
	const good = `{"RepeatedMessageResponse":{"MessageHeader":{"SaleID":"REG01","ServiceID":"S1"},"RepeatedResponseMessageBody":{"PaymentResponse":{"Response":{"Result":"Success"}}}}}`
	if b, ok := read(good).repeats(catPayment, "REG01", "S1"); !ok || b.payment == nil {
		t.Error("the answer to our message is not taken")
	}
	for name, text := range map[string]string{
		"nothing":        `{}`,
		"another":        strings.Replace(good, "S1", "S2", 1),
		"other register": strings.Replace(good, "REG01", "REG02", 1),
		"other kind":     strings.Replace(good, "PaymentResponse", "ReversalResponse", 1),
	} {
		if _, ok := read(text).repeats(catPayment, "REG01", "S1"); ok {
			t.Errorf("%s is taken for ours", name)
		}
	}
	if _, ok := read(good).repeats(catReversal, "REG01", "S1"); ok {
		t.Error("a payment is taken for a reversal")
	}
}

func TestVerify(t *testing.T) {
	const poiid = "P400Plus-275039202"
	show := func(name string) ([]*x509.Certificate, *x509.CertPool) {
		cert, root, err := terminalsim.NexoCertificate(name)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		pool, err := rootPool(root)
		if err != nil {
			t.Fatal(err)
		}
		return []*x509.Certificate{leaf}, pool
	}
	good, root := show(poiid)
	_, otherRoot := show(poiid)
	if err := verify(good, root, poiid); err != nil {
		t.Errorf("good: %v", err)
	}
	if legacy, root := show("legacy-terminal-certificate"); verify(legacy, root, poiid) != nil {
		t.Error("older terminals are refused")
	}
	for want, err := range map[string]error{
		"unknown authority": verify(good, otherRoot, poiid),
		"no certificate":    verify(nil, root, poiid),
		"not for":           verify(good, root, "P400Plus-1"),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	for _, name := range []string{"shop.example.com", "P400Plus-1.evil", "P400Plus", ""} {
		chain, root := show(name)
		if err := verify(chain, root, poiid); err == nil || !strings.Contains(err.Error(), "no terminal") {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestSlipLine(t *testing.T) {
	for text, want := range map[string]string{
		"name=TOTAL&value=10.16&key=totalAmount": "TOTAL" + strings.Repeat(" ", 22) + "10.16",
		"key=filler":                             "",
		"name=A%20shop&key=header1":              "A shop",
		"value=only&key=x":                       "only",
		"name=A+very+long+name+of+a+line&value=and+a+long+value&key=x": "A very long name of a line and a long value",
		"name=Card&value=541333+****+0010&key=pan":                     "Card" + strings.Repeat(" ", 19) + "**** 0010",
		"name=Number&value=4111111111111111&key=other":                 "Number" + strings.Repeat(" ", 17) + "**** 1111",
		"name=Number&value=4111+1111+1111+1111&key=other":              "Number" + strings.Repeat(" ", 17) + "**** 1111",
		"name=Ref&value=541333xxxxxx0010&key=other":                    "Ref" + strings.Repeat(" ", 20) + "**** 0010",
		"name=Ref&value=4111+11**+****+1111&key=other":                 "Ref" + strings.Repeat(" ", 20) + "**** 1111",
		"just text":                                                 "just text",
		"name=Expiry&value=03%2F30&key=whatever":                    "-",
		"name=Valid&value=03%2F30&key=expiryDate":                   "-",
		"name=BIN&value=541333&key=cardBin":                         "-",
		"name=Card&value=unknown&key=pan":                           "-",
		"name=%41uth&value=611804&key=authCode":                     "Auth" + strings.Repeat(" ", 22) + "611804",
		"name=Tender+reference&value=OqCW001432808270003&key=txRef": "Tender reference OqCW001432808270003",
		"name=Terminal&value=P400Plus-275039202&key=terminalId":     "Terminal      P400Plus-275039202",
		"name=bad%zz":        "name=bad%zz",
		"name=Bell%07&key=x": "Bell",
	} {
		got, ok := slipLine(text)
		if !ok {
			got = "-"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestSlipsJoinOpenLines(t *testing.T) {
	open := false
	got := slipLines(outputContent{OutputText: []outputText{{Text: "4111 1111", EndOfLineFlag: &open}, {Text: "1111 1111"}, {Text: "next"}}})
	if strings.Join(got, "|") != "**** 1111|next" {
		t.Errorf("%q", got)
	}
}

func FuzzReadAnswer(f *testing.F) {
	s := vectorSealer(f)
	h := vectorHeader()
	h.MessageType = "Response"
	for _, clear := range []string{vectorClear, `{"SaleToPOIResponse":{}}`, ""} {
		b, err := json.Marshal(map[string]sealed{"SaleToPOIResponse": s.seal(h, []byte(clear))})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, []byte(clear))
	}
	f.Add([]byte(`{"SaleToPOIRequest":{"EventNotification":{"EventToNotify":"Reject","EventDetails":"message=x"}}}`), []byte(`{"SaleToPOIResponse":{"PaymentResponse":{"Response":{"Result":"Success"}}}}`))
	f.Fuzz(func(t *testing.T, answer, clear []byte) {
		if r, err := s.readAnswer(answer, vectorHeader()); err == nil && r.MessageHeader.ServiceID != "0000000042" {
			t.Errorf("took %+v", r)
		}
		_ = rejection(answer)
		sealedClear := s.seal(h, clear)
		if back, err := s.open(sealedClear); err != nil || !bytes.Equal(back, clear) {
			t.Fatalf("%q came back as %q, %v", clear, back, err)
		}
		b, err := json.Marshal(map[string]sealed{"SaleToPOIResponse": sealedClear})
		if err != nil {
			t.Fatal(err)
		}
		r, err := s.readAnswer(b, vectorHeader())
		if err != nil {
			return
		}
		_, _, _ = body{r.PaymentResponse, r.ReversalResponse}.outcome(payments.Txn{}) // must not panic
		if r.PaymentResponse != nil {
			_, _ = slips(r.PaymentResponse.PaymentReceipt)
		}
	})
}

func FuzzSlipLine(f *testing.F) {
	f.Add("name=Card&value=4111111111111111&key=pan")
	f.Add("name=4111111111111111")
	f.Add("4111-1111-1111-1111 541333 **** 0010")
	f.Fuzz(func(t *testing.T, text string) {
		line, ok := slipLine(text)
		if ok && mask(line) != line {
			t.Errorf("%q gives %q, which still needs masking", text, line)
		}
	})
}
