//go:build oracle

package nexo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/terminalsim"
)

// The oracle is the npm package @adyen/api-library; scripts/nexo-oracle installs it and names its folder.

const oraclePassphrase = "p@ssw0rd123456"

var oracleKey = map[string]any{"AdyenCryptoVersion": 1, "KeyIdentifier": "storekey", "KeyVersion": 1, "Passphrase": oraclePassphrase}

// node runs a script of testdata/nexo with a question and reads its answer.
func node(t *testing.T, script string, question, answer any) {
	t.Helper()
	in, err := json.Marshal(question)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", script)
	cmd.Dir = oracleDir(t)
	cmd.Stdin = bytes.NewReader(in)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node %s: %v\n%s", script, err, complaint.String())
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatalf("node %s: %v\n%s", script, err, out)
	}
}

func oracleDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("NEXO_ORACLE")
	if dir == "" {
		t.Fatal("run scripts/nexo-oracle, it installs the oracle and names its folder")
	}
	return dir
}

// texts are clear texts of all lengths around a cipher block, and with letters of all widths.
func texts() []string {
	out := []string{vectorClear, `{"a":"Größe £ € 漢字 🧾 <&>"}`}
	for n := range 34 {
		out = append(out, `{"`+strings.Repeat("x", n)+`":1}`)
	}
	return out
}

func TestOracleOpensOurs(t *testing.T) {
	s := vectorSealer(t)
	var ask []any
	for _, clear := range texts() {
		ask = append(ask, map[string]any{"op": "open", "sealed": s.seal(vectorHeader(), []byte(clear)), "key": oracleKey})
	}
	forged := s.seal(vectorHeader(), []byte(vectorClear))
	forged.SecurityTrailer.Hmac[0] ^= 1
	ask = append(ask, map[string]any{"op": "open", "sealed": forged, "key": oracleKey})
	var got []struct{ Clear, Error string }
	node(t, "oracle.js", ask, &got)
	for i, clear := range texts() {
		if got[i].Clear != clear {
			t.Errorf("oracle opened %q as %q (%s)", clear, got[i].Clear, got[i].Error)
		}
	}
	if last := got[len(got)-1]; last.Error == "" {
		t.Errorf("oracle opened a forged message as %q", last.Clear)
	}
}

func TestOracleSealsForUs(t *testing.T) {
	var ask []any
	for _, clear := range texts() {
		ask = append(ask, map[string]any{"op": "seal", "header": vectorHeader(), "clear": clear, "key": oracleKey})
	}
	var got []struct{ Sealed sealed }
	node(t, "oracle.js", ask, &got)
	for i, clear := range texts() {
		back, err := vectorSealer(t).open(got[i].Sealed)
		if err != nil || string(back) != clear || got[i].Sealed.MessageHeader != vectorHeader() {
			t.Errorf("%q opened as %q, %v", clear, back, err)
		}
	}
}

// TestOracleKnowsOurFields sends every kind of message through the library's data model, which drops what it does not
// know.
func TestOracleKnowsOurFields(t *testing.T) {
	term := &Terminal{saleID: "REG01", poiid: "P400Plus-275039202"}
	amount := oracleAmount(t, "10.16")
	original := &payments.Original{Kind: payments.DoSale, Amount: amount, Reference: "id 2026-03-14T15:09:26.000Z"}
	var ask []any
	var sent []any
	add := func(r request, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(map[string]request{"SaleToPOIRequest": r})
		if err != nil {
			t.Fatal(err)
		}
		var m any
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		if r.ReversalRequest != nil && r.ReversalRequest.ReversedAmount != "" { // a text for the processor, which the library writes and cannot read back
			m.(map[string]any)["SaleToPOIRequest"].(map[string]any)["ReversalRequest"].(map[string]any)["SaleData"].(map[string]any)["SaleToAcquirerData"] = "e30="
		}
		sent = append(sent, m)
		ask = append(ask, map[string]any{"op": "model", "message": m})
	}
	add(term.moneyMessage(payments.Txn{Kind: payments.DoSale, Ref: "0000000042", Amount: amount}, vectorTime))
	add(term.moneyMessage(payments.Txn{Kind: payments.DoSale, Ref: "0000000046", Amount: amount, Tip: oracleAmount(t, "1.50")}, vectorTime))
	add(term.moneyMessage(payments.Txn{Kind: payments.DoRefund, Ref: "0000000043", Amount: amount}, vectorTime))
	add(term.moneyMessage(payments.Txn{Kind: payments.DoRefund, Ref: "0000000044", Amount: amount, Original: original}, vectorTime))
	add(term.moneyMessage(payments.Txn{Kind: payments.DoVoid, Ref: "0000000045", Amount: amount, Original: original}, vectorTime))
	for _, r := range []request{
		{DiagnosisRequest: &diagnosisRequest{}},
		{AbortRequest: &abortRequest{AbortReason: "MerchantAbort", MessageReference: messageReference{catPayment, "REG01", "0000000042"}}},
		{TransactionStatusRequest: &transactionStatusRequest{MessageReference: messageReference{catPayment, "REG01", "0000000042"}}},
		{DisplayRequest: &displayRequest{[]displayOutput{{"CustomerDisplay", "Display", 5, textOutput([]string{"Gum"})}}}},
		{PrintRequest: &printRequest{printOutput{"CustomerReceipt", "PrintEnd", textOutput([]string{"Gum"})}}},
		{ReconciliationRequest: &reconciliationRequest{"SaleReconciliation"}},
		{LoginRequest: term.loginRequest(vectorTime)},
	} {
		r.MessageHeader = term.newHeader(catDiagnosis, "0000000042")
		if r.DisplayRequest != nil {
			r.MessageHeader = term.newHeader(catDisplay, "0000000042")
		}
		add(r, nil)
	}
	var got []struct{ Message any }
	node(t, "oracle.js", ask, &got)
	for i := range sent {
		if !reflect.DeepEqual(got[i].Message, sent[i]) {
			t.Errorf("the library reads\n%v\nof\n%v", got[i].Message, sent[i])
		}
	}
}

func oracleAmount(t *testing.T, text string) money.Amount {
	t.Helper()
	a, err := money.Parse(text, "EUR")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestOracleDrivesOurTerminal lets the library be the register of our simulated terminal.
func TestOracleDrivesOurTerminal(t *testing.T) {
	const poiid = "P400Plus-275039202"
	cert, root, err := terminalsim.NexoCertificate(poiid)
	if err != nil {
		t.Fatal(err)
	}
	rootFile := filepath.Join(t.TempDir(), "root.pem")
	if err := os.WriteFile(rootFile, root, 0o600); err != nil {
		t.Fatal(err)
	}
	sim := terminalsim.NewNexo(terminalsim.NexoOptions{KeyVersion: 1, Passphrase: oraclePassphrase})
	l, err := net.Listen("tcp", "127.0.0.1:8443")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := sim.Serve(ctx, l, cert); err != nil {
			t.Errorf("simulated terminal: %v", err)
		}
	})
	defer func() { cancel(); wg.Wait() }()

	message := func(category, service string, body map[string]any) map[string]any {
		h := vectorHeader()
		h.MessageCategory, h.ServiceID = category, service
		return map[string]any{"MessageHeader": h, category + "Request": body}
	}
	sale := map[string]any{"SaleTransactionID": map[string]any{"TransactionID": "27908", "TimeStamp": "2026-03-14T15:09:26.000Z"}}
	pay := func(service, kind string, amount float64) map[string]any {
		return message("Payment", service, map[string]any{
			"SaleData": sale, "PaymentData": map[string]any{"PaymentType": kind},
			"PaymentTransaction": map[string]any{"AmountsReq": map[string]any{"Currency": "EUR", "RequestedAmount": json.Number(fmt.Sprint(amount))}},
		})
	}
	reference := map[string]any{"MessageReference": map[string]any{"MessageCategory": "Payment", "SaleID": "REG01", "ServiceID": "0000000042"}}
	ask := map[string]any{"root": rootFile, "key": oracleKey, "messages": []any{
		message("Diagnosis", "0000000001", map[string]any{"HostDiagnosisFlag": false}),
		pay("0000000042", "Normal", 10.16),
		pay("0000000043", "Refund", 3.2),
		message("TransactionStatus", "0000000044", reference),
		message("Abort", "0000000045", map[string]any{"AbortReason": "MerchantAbort", "MessageReference": reference["MessageReference"]}),
		message("Reconciliation", "0000000046", map[string]any{"ReconciliationType": "SaleReconciliation"}),
	}}
	var got []struct {
		Error             string
		SaleToPOIResponse *response
	}
	node(t, "register.js", ask, &got)
	for i, g := range got {
		if g.Error != "" || g.SaleToPOIResponse == nil && i != 4 {
			t.Fatalf("message %d: %+v", i, g)
		}
	}
	if p := got[1].SaleToPOIResponse.PaymentResponse; p.Response.Result != resultSuccess || p.PaymentResult.AmountsResp.AuthorizedAmount != "10.16" {
		t.Errorf("payment: %+v", p)
	}
	if got[4].SaleToPOIResponse != nil {
		t.Errorf("abort was answered: %+v", got[4])
	}
	repeated := got[3].SaleToPOIResponse.TransactionStatusResponse.RepeatedMessageResponse
	if repeated == nil || repeated.MessageHeader.ServiceID != "0000000042" || repeated.RepeatedResponseMessageBody.PaymentResponse == nil {
		t.Errorf("status: %+v", got[3].SaleToPOIResponse)
	}
	c := sim.Charges()
	if len(c) != 2 || c[0].Amount != 1016 || c[0].Refund || c[1].Amount != 320 || !c[1].Refund {
		t.Errorf("ledger: %+v", c)
	}
}

// TestOracleIsDrivenByUs pays with our driver at a terminal made of Node's TLS and the library's crypto.
func TestOracleIsDrivenByUs(t *testing.T) {
	const poiid = "P400Plus-275039202"
	cert, root, err := terminalsim.NexoCertificate(poiid)
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := func(kind string, der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	setup, err := json.Marshal(map[string]any{
		"cert": text("CERTIFICATE", cert.Certificate[0]), "key": text("PRIVATE KEY", key), "securityKey": oracleKey,
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "terminal.js")
	cmd.Dir, cmd.Stderr = oracleDir(t), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, string(setup)+"\n"); err != nil {
		t.Fatal(err)
	}
	number, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{}, 100)
	term, err := New(Config{
		Name: "front", Port: "https://127.0.0.1:" + strings.TrimSpace(number) + "/nexo",
		Options: Options{POIID: poiid, SaleID: "REG01", KeyIdentifier: "storekey", KeyVersion: 1, Passphrase: oraclePassphrase, RootPEM: root, Currency: "EUR"},
		OnChange: func(i devices.Info) {
			if i.State == devices.Ready {
				ready <- struct{}{}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := term.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	defer func() {
		cancel()
		wg.Wait()
		_ = in.Close() // ends the terminal
		_ = cmd.Wait()
	}()
	select {
	case <-ready:
	case <-ctx.Done():
		t.Fatalf("terminal does not become ready: %+v", term.Info().LastError)
	}
	var e noted
	if err := term.Do(ctx, payments.Txn{Kind: payments.DoSale, Ref: payments.NewRef(time.Now()), Amount: oracleAmount(t, "10.16")}, &e); err != nil {
		t.Fatal(err)
	}
	if o := e.told; o.State != payments.Approved || o.ApprovedAmount.String() != "10.16" || o.Last4 != "0010" || o.EntryMode != "contactless" || o.ApprovalCode != "123456" {
		t.Errorf("%+v", o)
	}
}

// noted takes a driver's reports.
type noted struct{ told payments.Outcome }

func (n *noted) Sending(payments.Baseline) error        { return nil }
func (n *noted) Prompt(payments.Prompt)                 {}
func (n *noted) CommitOutcome(o payments.Outcome) error { n.told = o; return nil }
func (n *noted) CommitReceipt(payments.Receipt) error   { return nil }
