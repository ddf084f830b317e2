package terminalsim

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A protected message that other software accepts.
const (
	nexoVectorPass  = "p@ssw0rd123456"
	nexoVectorClear = `{"SaleToPOIRequest":{"MessageHeader":{"ProtocolVersion":"3.0","MessageClass":"Service","MessageCategory":"Diagnosis","MessageType":"Request","SaleID":"REG01","ServiceID":"0000000042","POIID":"P400Plus-275039202"},"DiagnosisRequest":{"HostDiagnosisFlag":false}}}`
	nexoVector      = `{"SaleToPOIRequest":{"MessageHeader":{"ProtocolVersion":"3.0","MessageClass":"Service","MessageCategory":"Diagnosis","MessageType":"Request","SaleID":"REG01","ServiceID":"0000000042","POIID":"P400Plus-275039202"},"NexoBlob":"bCSdA/21eXKqHofUI2X2/BYxBp1gGkxpZMLgaqPoWEJrBYyJaFwsXhVoh5om2uvCfb9enFUro0oToc136lazSEw9fX/W93iyHFQvUQjTpZK2mV7z84Wj+QNeUWMjjNKdUpVGme/ZSECQTV4Ag7MBNLIclhQopuycO3wz/rH14KIJ0G4zMvAWLD+NuMEGyg7qXZdHmjZ5OH46/mXs9ZrwiVPcePKT2m9yzcnyP7s5nXDG4hKKxzzKpN6RCnLde5suv3UOSxSntGy6I1pqlzbuUGXzxg8ayWm3WcUKzizoDYPuTXX+Q0fhSpuv5/xTOe5os6yyWuHwb0Ne23vtarBXI0mN6hpcXDBJyMi5uV/5wdk=","SecurityTrailer":{"AdyenCryptoVersion":1,"KeyIdentifier":"storekey","KeyVersion":1,"Nonce":"AAECAwQFBgcICQoLDA0ODw==","Hmac":"nmcxDT/MfAFMlRkH8wANvw/mqOJnGY7Imzoc2WtpZLg="}}}`
)

func TestNexoKeys(t *testing.T) {
	b := newNexoBox(nexoVectorPass)
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"HMAC key":   {b.mac, "733636253b5b98f9a483b1a678d73a58dab2accafbc029ecbe12d60eaa909e32"},
		"cipher key": {b.key, "cf2c822761b9f5305bf69970bfa7b659a6724a119db21f8b0e949779f2ea022c"},
		"IV":         {b.iv, "bb9ba8092e6027c735398dc65977c051"},
	} {
		if hex.EncodeToString(c.got) != c.want {
			t.Errorf("%s is %x", name, c.got)
		}
	}
}

// nexoPost sends a body and gives status and answer.
func nexoPost(n *Nexo, body string) (int, string) {
	w := httptest.NewRecorder()
	n.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/nexo", strings.NewReader(body)))
	return w.Code, w.Body.String()
}

// nexoAsk seals a clear message and opens its answer.
func nexoAsk(t *testing.T, n *Nexo, category, service, request string) map[string]any {
	t.Helper()
	h := nexoHeader{"3.0", "Service", category, "Request", "REG01", service, "P400Plus-275039202"}
	head, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	blob, trailer := n.box.seal([]byte(`{"SaleToPOIRequest":{"MessageHeader":` + string(head) + `,"` + category + `Request":` + request + `}}`))
	trailer.KeyIdentifier, trailer.KeyVersion = "storekey", 1
	body, err := json.Marshal(map[string]any{"SaleToPOIRequest": map[string]any{"MessageHeader": h, "NexoBlob": blob, "SecurityTrailer": trailer}})
	if err != nil {
		t.Fatal(err)
	}
	status, text := nexoPost(n, string(body))
	if status != http.StatusOK || text == "" {
		return nil
	}
	var outer struct {
		SaleToPOIResponse struct {
			MessageHeader   nexoHeader
			NexoBlob        string
			SecurityTrailer nexoTrailer
		}
	}
	if err := json.Unmarshal([]byte(text), &outer); err != nil {
		t.Fatal(err)
	}
	clear, err := n.box.open(outer.SaleToPOIResponse.NexoBlob, outer.SaleToPOIResponse.SecurityTrailer)
	if err != nil {
		t.Fatal(err)
	}
	var inner struct{ SaleToPOIResponse map[string]map[string]any }
	if err := json.Unmarshal(clear, &inner); err != nil {
		t.Fatal(err)
	}
	return inner.SaleToPOIResponse[category+"Response"]
}

func newTestNexo() *Nexo {
	return NewNexo(NexoOptions{KeyVersion: 1, Passphrase: nexoVectorPass})
}

func TestNexoForeignMessage(t *testing.T) {
	n := newTestNexo()
	h, body, err := n.read([]byte(nexoVector))
	if err != nil || h.ServiceID != "0000000042" || body["DiagnosisRequest"] == nil {
		t.Fatalf("%+v %v %v", h, body, err)
	}
	if status, text := nexoPost(n, nexoVector); status != http.StatusOK || !strings.Contains(text, "NexoBlob") {
		t.Errorf("%d %s", status, text)
	}
}

func TestNexoRejects(t *testing.T) {
	n := newTestNexo()
	for name, body := range map[string]string{
		"nothing":          "",
		"clear text":       nexoVectorClear,
		"other key":        strings.Replace(nexoVector, "storekey", "other", 1),
		"other version":    strings.Replace(nexoVector, `"KeyVersion":1`, `"KeyVersion":2`, 1),
		"hurt MAC":         strings.Replace(nexoVector, `"Hmac":"nm`, `"Hmac":"mm`, 1),
		"hurt nonce":       strings.Replace(nexoVector, `"Nonce":"AA`, `"Nonce":"BA`, 1),
		"hurt blob":        strings.Replace(nexoVector, `"NexoBlob":"bC`, `"NexoBlob":"cC`, 1),
		"headers differ":   strings.Replace(nexoVector, "0000000042", "0000000043", 1),
		"no base64":        strings.Replace(nexoVector, `"Nonce":"AA`, `"Nonce":"!!`, 1),
		"other crypto":     strings.Replace(nexoVector, `"AdyenCryptoVersion":1`, `"AdyenCryptoVersion":9`, 1),
		"other passphrase": strings.Replace(nexoVector, `Blob":"`, `Blob":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","X":"`, 1),
	} {
		if status, text := nexoPost(n, body); status != http.StatusBadRequest || !strings.Contains(text, "Reject") {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	w := httptest.NewRecorder()
	n.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/nexo", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("GET: %d", w.Code)
	}
}

const nexoPay = `{"SaleData":{"SaleTransactionID":{"TransactionID":"1","TimeStamp":"2026-03-14T15:09:26Z"}},"PaymentTransaction":{"AmountsReq":{"Currency":"EUR","RequestedAmount":10.16}}}`

func nexoResult(m map[string]any) string {
	r, _ := m["Response"].(map[string]any)
	result, _ := r["Result"].(string)
	if c, ok := r["ErrorCondition"].(string); ok {
		result += "/" + c
	}
	return result
}

func TestNexoRefusesPayments(t *testing.T) {
	n := newTestNexo()
	defer n.Close()
	service := 0
	for request, want := range map[string]string{
		nexoPay: "Success",
		strings.Replace(nexoPay, "EUR", "USD", 1):                           "Failure/NotAllowed",
		strings.Replace(nexoPay, "10.16", "10.165", 1):                      "Failure/MessageFormat",
		strings.Replace(nexoPay, "10.16", "0", 1):                           "Failure/MessageFormat",
		strings.Replace(nexoPay, `"TransactionID":"1"`, `"Other":"1"`, 1):   "Failure/MessageFormat",
		strings.Replace(nexoPay, `"RequestedAmount":10.16`, `"Other":1`, 1): "Failure/MessageFormat",
	} {
		service++
		if got := nexoResult(nexoAsk(t, n, "Payment", fmt.Sprint("S", service), request)); got != want {
			t.Errorf("%s: %s, want %s", request, got, want)
		}
	}
	if c := n.Charges(); len(c) != 1 || c[0].Amount != 1016 {
		t.Errorf("ledger: %+v", c)
	}
}

// TestNexoRemembers holds the terminal to what recovery is built on.
func TestNexoRemembers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNexo()
		defer n.Close()
		n.SetScript([]Behaviour{{Late: time.Minute}, {}})
		status := `{"MessageReference":{"MessageCategory":"Payment","SaleID":"REG01","ServiceID":"S1"}}`
		ask := func() string { return nexoResult(nexoAsk(t, n, "TransactionStatus", "Q", status)) }
		if got := ask(); got != "Failure/NotFound" {
			t.Errorf("before: %s", got)
		}
		first := make(chan string)
		go func() { first <- nexoResult(nexoAsk(t, n, "Payment", "S1", nexoPay)) }()
		synctest.Wait()
		if got := ask(); got != "Failure/InProgress" {
			t.Errorf("meanwhile: %s", got)
		}
		if got := nexoResult(nexoAsk(t, n, "Payment", "S2", nexoPay)); got != "Failure/Busy" {
			t.Errorf("second payment: %s", got)
		}
		if got := <-first; got != "Success" {
			t.Errorf("payment: %s", got)
		}
		if got := ask(); got != "Success" {
			t.Errorf("afterwards: %s", got)
		}
		if got := nexoResult(nexoAsk(t, n, "Payment", "S1", nexoPay)); got != "Failure/NotAllowed" {
			t.Errorf("the same ServiceID again: %s", got)
		}
		n.Reset()
		if got := ask(); got != "Failure/NotFound" || len(n.Charges()) != 1 {
			t.Errorf("after a reset: %s, %+v", got, n.Charges())
		}
	})
}

func FuzzNexoRead(f *testing.F) {
	f.Add([]byte(nexoVector), []byte(nexoVectorClear))
	f.Add([]byte(`{"SaleToPOIRequest":{}}`), []byte(`{"SaleToPOIRequest":{"MessageHeader":1}}`))
	n := newTestNexo()
	f.Fuzz(func(t *testing.T, raw, clear []byte) {
		if h, _, err := n.read(raw); err == nil && h.POIID != n.o.POIID {
			t.Errorf("took a message for %s", h.POIID)
		}
		blob, trailer := n.box.seal(clear)
		if back, err := n.box.open(blob, trailer); err != nil || !bytes.Equal(back, clear) {
			t.Errorf("%q came back as %q, %v", clear, back, err)
		}
	})
}
