package terminalsim

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// NexoOptions say what kind of nexo terminal is imitated.
type NexoOptions struct {
	POIID         string // "" for P400Plus-275039202
	KeyIdentifier string // "" for storekey
	KeyVersion    int
	Passphrase    string      // the shared secret
	Currency      string      // ISO 4217 code, "" for EUR. Another one is refused
	Script        []Behaviour // nil approves everything
	OnStep        func(step string)
}

// Nexo is one simulated terminal of the Adyen Terminal API in the local network: an HTTPS server that takes one
// encrypted message per request. Of a script the words badcrc, noise, duplicate, noresult, unknownbmp, bareabort (which is
// cancel) and approvethenabort do nothing here, nor do the three ways of lostack: the answer gets lost, and the terminal
// remembers it.
//
// A payment goes on when its register hangs up, as at the counter. Methods are safe for concurrent use.
type Nexo struct {
	o   NexoOptions
	box nexoBox
	end chan struct{} // closed by Close
	wg  sync.WaitGroup

	once sync.Once

	mu      sync.Mutex
	script  []Behaviour
	past    map[string]*nexoSale // by SaleID/ServiceID
	running *nexoSale
	charges []Charge
	ids     map[string]int // transaction id → index in charges
	counted int            // charges before it are reconciled
	asked   int
	number  int
	shown   []string
	printed []string
}

// NewNexo makes a terminal.
func NewNexo(o NexoOptions) *Nexo {
	if o.POIID == "" {
		o.POIID = "P400Plus-275039202"
	}
	if o.KeyIdentifier == "" {
		o.KeyIdentifier = "storekey"
	}
	if o.Currency == "" {
		o.Currency = "EUR"
	}
	if o.OnStep == nil {
		o.OnStep = func(string) {}
	}
	return &Nexo{
		o: o, box: newNexoBox(o.Passphrase), end: make(chan struct{}), script: o.Script,
		past: map[string]*nexoSale{}, ids: map[string]int{},
	}
}

// NexoSteps lists the steps of a payment in order. The last one is when the answer is about to leave.
func NexoSteps() []string {
	return []string{StepReceived, StepCard, StepHost, StepResultSent}
}

// SetScript replaces the behaviours of the payments to come.
func (n *Nexo) SetScript(b []Behaviour) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.script = b
}

// Charges is a copy of the ledger, oldest first. Currency is the ISO 4217 code here.
func (n *Nexo) Charges() []Charge {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Charge(nil), n.charges...)
}

// Asked counts the money messages that arrived.
func (n *Nexo) Asked() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked
}

// Shown is every text that was to be displayed, Printed every line that was to be printed.
func (n *Nexo) Shown() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.shown...)
}

// Printed is every line that a register let the terminal print.
func (n *Nexo) Printed() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string(nil), n.printed...)
}

// Reset makes the terminal forget all transactions, like a factory reset or a new device under the old name. The
// ledger stays: it is the bank's.
func (n *Nexo) Reset() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.past)
}

// Close ends the payments under way and waits for them.
func (n *Nexo) Close() {
	n.once.Do(func() { close(n.end) })
	n.wg.Wait()
}

// Serve answers on l with TLS and the certificate cert until ctx ends, then closes the terminal.
func (n *Nexo) Serve(ctx context.Context, l net.Listener, cert tls.Certificate) error {
	srv := &http.Server{
		Handler: n, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // it has nothing to say
	defer stop()
	err := srv.ServeTLS(l, "", "")
	n.Close()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// nexoHeader is the header of a message, in the order of the specification.
type nexoHeader struct {
	ProtocolVersion string `json:"ProtocolVersion"`
	MessageClass    string `json:"MessageClass"`
	MessageCategory string `json:"MessageCategory"`
	MessageType     string `json:"MessageType"`
	SaleID          string `json:"SaleID"`
	ServiceID       string `json:"ServiceID"`
	POIID           string `json:"POIID"`
}

// ServeHTTP takes one message.
func (n *Nexo) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != "/nexo" && r.URL.Path != "/nexo/" {
		http.NotFound(w, r)
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		return // the register went away
	}
	h, body, err := n.read(raw)
	if err != nil {
		n.reject(w, err)
		return
	}
	answer, err := n.handle(r.Context(), h, body)
	switch {
	case errors.Is(err, errCut):
		panic(http.ErrAbortHandler) // closes the connection without a word
	case err != nil:
		n.reject(w, err)
	case answer == nil:
		w.WriteHeader(http.StatusOK) // an abort is answered with nothing
	default:
		h.MessageType = "Response"
		n.write(r.Context(), w, h, answer)
	}
}

// read opens a message: its header, and its bodies by name.
func (n *Nexo) read(raw []byte) (nexoHeader, map[string]json.RawMessage, error) {
	var outer struct {
		SaleToPOIRequest struct {
			MessageHeader   nexoHeader
			NexoBlob        string
			SecurityTrailer nexoTrailer
		}
	}
	if err := json.Unmarshal(raw, &outer); err != nil {
		return nexoHeader{}, nil, fmt.Errorf("not JSON: %w", err)
	}
	m := outer.SaleToPOIRequest
	if m.SecurityTrailer.KeyIdentifier != n.o.KeyIdentifier || m.SecurityTrailer.KeyVersion != n.o.KeyVersion {
		return nexoHeader{}, nil, errors.New("unknown key")
	}
	text, err := n.box.open(m.NexoBlob, m.SecurityTrailer)
	if err != nil {
		return nexoHeader{}, nil, err
	}
	var inner struct {
		SaleToPOIRequest map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &inner); err != nil {
		return nexoHeader{}, nil, errors.New("clear text is not JSON")
	}
	var h nexoHeader
	if err := json.Unmarshal(inner.SaleToPOIRequest["MessageHeader"], &h); err != nil {
		return nexoHeader{}, nil, errors.New("no header")
	}
	switch {
	case h != m.MessageHeader:
		return nexoHeader{}, nil, errors.New("headers differ")
	case h.POIID != n.o.POIID:
		return nexoHeader{}, nil, errors.New("not for this terminal")
	case h.ProtocolVersion != "3.0" || h.MessageType != "Request" || h.ServiceID == "" || len(h.ServiceID) > 10 || h.SaleID == "":
		return nexoHeader{}, nil, errors.New("header is wrong")
	case (h.MessageClass == "Device") != (h.MessageCategory == "Display" || h.MessageCategory == "Print"):
		return nexoHeader{}, nil, errors.New("message class is wrong")
	}
	return h, inner.SaleToPOIRequest, nil
}

// write seals an answer. One that is "stalled" stops in the middle for a second.
func (n *Nexo) write(ctx context.Context, w http.ResponseWriter, h nexoHeader, answer map[string]any) {
	_, stalled := answer["stalled"]
	delete(answer, "stalled")
	answer["MessageHeader"] = h
	text, err := json.Marshal(map[string]any{"SaleToPOIResponse": answer})
	if err != nil {
		panic(err) // our own maps
	}
	blob, trailer := n.box.seal(text)
	trailer.KeyIdentifier, trailer.KeyVersion = n.o.KeyIdentifier, n.o.KeyVersion
	if _, bad := answer["garbled"]; bad {
		trailer.Hmac = trailer.Nonce
	}
	w.Header().Set("Content-Type", "application/json")
	wire, err := json.Marshal(map[string]any{"SaleToPOIResponse": map[string]any{"MessageHeader": h, "NexoBlob": blob, "SecurityTrailer": trailer}})
	if err != nil {
		panic(err) // our own maps
	}
	if stalled {
		_, _ = w.Write(wire[:len(wire)/2]) // a register that went away asks again, here and below
		_ = http.NewResponseController(w).Flush()
		if rest(ctx, time.Second) != nil {
			return
		}
		wire = wire[len(wire)/2:]
	}
	_, _ = w.Write(wire)
}

// reject says in clear that a message could not be read.
func (n *Nexo) reject(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]any{"SaleToPOIRequest": map[string]any{ // as above
		"MessageHeader": map[string]any{
			"ProtocolVersion": "3.0", "MessageClass": "Event", "MessageCategory": "Event", "MessageType": "Notification", "POIID": n.o.POIID,
		},
		"EventNotification": map[string]any{
			"EventToNotify": "Reject", "EventDetails": "message=" + formText(err.Error()), "TimeStamp": nexoTime(time.Now()),
		},
	}})
}

// handle does what a message asks for and gives the bodies of the answer; nil for none.
func (n *Nexo) handle(ctx context.Context, h nexoHeader, body map[string]json.RawMessage) (map[string]any, error) {
	request, ok := body[h.MessageCategory+"Request"]
	if !ok {
		return nil, errors.New("no " + h.MessageCategory + "Request")
	}
	one := func(inner map[string]any) map[string]any {
		return map[string]any{h.MessageCategory + "Response": inner}
	}
	switch h.MessageCategory {
	case "Login":
		return one(map[string]any{"Response": nexoOK(), "POISystemData": map[string]any{
			"DateTime":        nexoTime(time.Now()),
			"POISoftware":     map[string]any{"ManufacturerID": "Sim", "ApplicationName": "Simulated terminal", "SoftwareVersion": "1.0.0", "CertificationCode": "none"},
			"POITerminalData": map[string]any{"POISerialNumber": n.serial(), "TerminalEnvironment": "Attended", "POICapabilities": []string{"ICC", "MagStripe"}},
		}}), nil
	case "Logout":
		return one(map[string]any{"Response": nexoOK()}), nil
	case "Diagnosis":
		n.mu.Lock()
		status := "OK"
		if n.running != nil {
			status = "Busy"
		}
		n.mu.Unlock()
		return one(map[string]any{"Response": nexoOK(), "POIStatus": map[string]any{"GlobalStatus": status}}), nil
	case "Payment", "Reversal":
		return n.money(ctx, h, request)
	case "Abort":
		n.stop(request, h)
		return nil, nil
	case "TransactionStatus":
		return n.tell(request, h)
	case "Reconciliation", "GetTotals":
		return one(n.totals(h.MessageCategory == "Reconciliation")), nil
	case "Display":
		return one(n.display(request)), nil
	case "Print":
		return one(n.print(request)), nil
	}
	return one(map[string]any{"Response": nexoFailure("UnavailableService", "")}), nil
}
