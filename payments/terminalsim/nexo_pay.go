package terminalsim

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// nexoGivesUp is how long a nexo terminal waits for a card.
const nexoGivesUp = 2 * time.Minute

// nexoSale is one money message and what became of it.
type nexoSale struct {
	h       nexoHeader
	b       Behaviour
	refund  bool
	amount  int64 // with the tip
	tip     int64
	of      string // a reversal: the transaction id of the original
	whole   bool   // a reversal of all of it
	stopped chan struct{}
	aborted bool           // stopped is closed
	cut     chan struct{}  // closed when the script cuts the line
	done    chan struct{}  // closed when answer is there
	answer  map[string]any // the body of the response
}

func (n *Nexo) serial() string {
	_, serial, _ := strings.Cut(n.o.POIID, "-")
	return serial
}

func nexoOK() map[string]any { return map[string]any{"Result": "Success"} }

func nexoFailure(condition, message string) map[string]any {
	f := map[string]any{"Result": "Failure", "ErrorCondition": condition}
	if message != "" {
		f["AdditionalResponse"] = "message=" + formText(message)
	}
	return f
}

func formText(s string) string { return url.QueryEscape(s) }

func nexoTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// nexoMoney is what a money message says, as far as it counts here.
type nexoMoney struct {
	PaymentTransaction struct {
		AmountsReq struct {
			Currency        string
			RequestedAmount json.Number
			TipAmount       json.Number // part of RequestedAmount
		}
	}
	PaymentData struct{ PaymentType string }
	SaleData    struct {
		SaleTransactionID struct{ TransactionID, TimeStamp string }
	}
	OriginalPOITransaction struct {
		POITransactionID struct{ TransactionID, TimeStamp string }
	}
	ReversalReason string
	ReversedAmount json.Number
}

// money begins a payment or reversal and waits for its end as long as the register does.
func (n *Nexo) money(ctx context.Context, h nexoHeader, raw json.RawMessage) (map[string]any, error) {
	var m nexoMoney
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("%s request: %w", h.MessageCategory, err)
	}
	s, refusal := n.begin(h, m)
	if refusal != nil {
		return map[string]any{h.MessageCategory + "Response": refusal}, nil
	}
	if s.b.Deaf {
		select {
		case <-ctx.Done():
		case <-n.end:
		}
		return nil, errCut
	}
	select {
	case <-s.done:
	case <-s.cut:
		return nil, errCut
	case <-ctx.Done():
		return nil, errCut
	case <-n.end:
		return nil, errCut
	}
	switch {
	case s.b.IgnoreAck:
		return nil, errCut
	case s.b.Nonsense:
		return map[string]any{"garbled": true}, nil
	}
	n.o.OnStep(StepResultSent)
	if s.b.CutAt == StepResultSent {
		return nil, errCut
	}
	answer := map[string]any{h.MessageCategory + "Response": s.answer}
	if s.b.Stall {
		answer["stalled"] = true
	}
	return answer, nil
}

// begin writes the message down and starts it; refusal is the body of the answer where it does not begin.
func (n *Nexo) begin(h nexoHeader, m nexoMoney) (*nexoSale, map[string]any) {
	n.o.OnStep(StepReceived)
	n.mu.Lock()
	defer n.mu.Unlock()
	key := h.SaleID + "/" + h.ServiceID
	refuse := func(condition, message string) (*nexoSale, map[string]any) {
		return nil, map[string]any{"Response": nexoFailure(condition, message)}
	}
	if n.past[key] != nil {
		return refuse("NotAllowed", "ServiceID was used before")
	}
	if n.running != nil {
		return refuse("Busy", "another transaction is under way")
	}
	s := &nexoSale{
		h: h, refund: m.PaymentData.PaymentType == "Refund",
		stopped: make(chan struct{}), cut: make(chan struct{}), done: make(chan struct{}),
	}
	if len(n.script) > 0 {
		s.b = n.script[0]
		if len(n.script) > 1 {
			n.script = n.script[1:]
		}
	}
	n.asked++
	if s.b.Deaf {
		return s, nil
	}
	if s.b.Refuse != 0 {
		return refuse("NotAllowed", "refused by script")
	}
	var ok bool
	if h.MessageCategory == "Reversal" {
		s.of = m.OriginalPOITransaction.POITransactionID.TransactionID
		s.amount, ok = nexoMinor(m.ReversedAmount)
		s.whole = m.ReversedAmount == ""
		if !ok && !s.whole || m.ReversalReason == "" || m.OriginalPOITransaction.POITransactionID.TimeStamp == "" {
			return refuse("MessageFormat", "original, reason or amount is wrong")
		}
	} else {
		a := m.PaymentTransaction.AmountsReq
		if s.amount, ok = nexoMinor(a.RequestedAmount); !ok || s.amount == 0 || m.SaleData.SaleTransactionID.TransactionID == "" || m.SaleData.SaleTransactionID.TimeStamp == "" {
			return refuse("MessageFormat", "amount or sale transaction is wrong")
		}
		if a.TipAmount != "" {
			if s.tip, ok = nexoMinor(a.TipAmount); !ok || s.tip >= s.amount || s.refund {
				return refuse("MessageFormat", "tip is wrong")
			}
		}
		if a.Currency != n.o.Currency {
			return refuse("NotAllowed", "currency "+a.Currency+" is not set up")
		}
	}
	n.past[key], n.running = s, s
	n.wg.Go(func() { n.run(s) })
	return s, nil
}

// nexoMinor reads a JSON number of at most two decimals into minor units.
func nexoMinor(number json.Number) (int64, bool) {
	whole, part, _ := strings.Cut(number.String(), ".")
	if len(part) > 2 {
		return 0, false
	}
	minor, err := strconv.ParseInt(whole+(part + "00")[:2], 10, 64)
	return minor, err == nil && minor >= 0
}

func nexoNumber(minor int64) json.Number {
	return json.Number(fmt.Sprintf("%d.%02d", minor/100, minor%100))
}

// step tells the hook and cuts the register's line where the script says so; the transaction goes on.
func (n *Nexo) step(s *nexoSale, name string) {
	n.o.OnStep(name)
	if s.b.CutAt == name {
		close(s.cut)
	}
}

// run is the transaction at the counter.
func (n *Nexo) run(s *nexoSale) {
	if s.b.CutAt == StepReceived {
		close(s.cut)
	}
	answer := n.transact(s)
	n.mu.Lock()
	s.answer, n.running = answer, nil
	n.mu.Unlock()
	close(s.done)
}

func (n *Nexo) transact(s *nexoSale) map[string]any {
	if s.h.MessageCategory == "Reversal" {
		n.step(s, StepCard) // no card is needed, but it takes its time here too
		if s.b.Result != 0 {
			return map[string]any{"Response": nexoFailure("Refusal", "refused by the bank")}
		}
		answer := n.reverse(s)
		n.step(s, StepHost)
		return answer
	}
	wait := time.Duration(s.b.Slow) * time.Second
	if s.b.WrongPIN {
		wait += 5 * time.Second
	}
	if s.b.Wait || s.b.Race {
		wait = nexoGivesUp
	}
	stopped := n.pass(s, wait)
	n.step(s, StepCard)
	switch {
	case s.b.Race:
	case s.b.Cancel, s.b.BareAbort:
		return n.failed(s, "Cancel", "stopped by the shopper")
	case stopped, s.b.Wait:
		return n.failed(s, "Aborted", "no card was presented")
	case s.b.Result != 0:
		return n.failed(s, "Refusal", "not enough balance")
	}
	if s.b.Late > 0 { // the bank is slow, and it is too late to stop
		select {
		case <-time.After(s.b.Late):
		case <-n.end:
		}
	}
	return n.approve(s)
}

// pass waits; true if the register asked to stop.
func (n *Nexo) pass(s *nexoSale, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-s.stopped:
		return true
	case <-timer.C:
	case <-n.end:
	}
	return false
}

// failed is the body of a payment that did not happen.
func (n *Nexo) failed(s *nexoSale, condition, message string) map[string]any {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.number++
	return map[string]any{
		"Response": nexoFailure(condition, message), "POIData": n.poiData(time.Now()), "SaleData": s.saleData(),
		"PaymentReceipt": []any{},
	}
}

func (s *nexoSale) saleData() map[string]any {
	return map[string]any{"SaleTransactionID": map[string]any{"TransactionID": s.h.ServiceID, "TimeStamp": nexoTime(time.Now())}}
}

// poiData names the transaction. n.mu is held.
func (n *Nexo) poiData(at time.Time) map[string]any {
	return map[string]any{"POITransactionID": map[string]any{"TransactionID": n.id(), "TimeStamp": nexoTime(at)}}
}

func (n *Nexo) id() string { return fmt.Sprintf("BV0q0016%08d.%016d", n.number, n.number) }

// approve writes the ledger and makes the answer.
func (n *Nexo) approve(s *nexoSale) map[string]any {
	now := time.Now()
	n.mu.Lock()
	n.number++
	amount := s.amount
	if s.b.Partial > 0 {
		amount = s.b.Partial
	}
	n.ids[n.id()] = len(n.charges)
	n.charges = append(n.charges, Charge{
		Receipt: n.number, Trace: n.number, Amount: amount, Tip: s.tip, Currency: n.o.Currency, Refund: s.refund, Booked: true, At: now,
	})
	poi := n.poiData(now)
	n.mu.Unlock()
	pan, additional := "411111 **** "+testPAN[12:], "cardBin=411111&expiryYear=2030&expiryMonth=3"
	if s.b.FullPAN {
		pan, additional = testPAN, "cardNumber="+testPAN+"&message="+testPAN
	}
	response := map[string]any{"Result": "Success", "AdditionalResponse": additional}
	if s.b.Partial > 0 {
		response["Result"] = "Partial"
	}
	n.step(s, StepHost)
	return map[string]any{
		"Response": response, "POIData": poi, "SaleData": s.saleData(),
		"PaymentResult": map[string]any{
			"OnlineFlag": true, "AuthenticationMethod": []string{"OnlinePIN"},
			"AmountsResp":         map[string]any{"Currency": n.o.Currency, "AuthorizedAmount": nexoNumber(amount)},
			"PaymentAcquirerData": map[string]any{"MerchantID": "Shop", "AcquirerPOIID": n.o.POIID, "ApprovalCode": "611804"},
			"PaymentInstrumentData": map[string]any{"PaymentInstrumentType": "Card", "CardData": map[string]any{
				"PaymentBrand": "visa", "MaskedPan": pan, "EntryMode": []string{"ICC"},
				"SensitiveCardData": map[string]any{"ExpiryDate": "0330", "CardSeqNumb": "01"},
			}},
		},
		"PaymentReceipt": []any{n.receipt("CashierReceipt", "MERCHANT COPY", pan, amount), n.receipt("CustomerReceipt", "CARDHOLDER COPY", pan, amount)},
	}
}

func (n *Nexo) receipt(qualifier, title, pan string, amount int64) map[string]any {
	var lines []any
	line := func(key, name, value string) {
		text := "key=" + key
		if name != "" {
			text = "name=" + formText(name) + "&" + text
		}
		if value != "" {
			text += "&value=" + formText(value)
		}
		lines = append(lines, map[string]any{"Text": text, "EndOfLineFlag": true})
	}
	line("header1", "Simulated shop", "")
	line("merchantTitle", title, "")
	line("filler", "", "")
	line("cardType", "Card type", "visa")
	line("pan", "Card", pan)
	line("expiryDate", "Card expiry", "03/30")
	line("totalAmount", "TOTAL", n.o.Currency+" "+nexoNumber(amount).String())
	line("approved", "APPROVED", "")
	return map[string]any{
		"DocumentQualifier": qualifier, "RequiredSignatureFlag": false,
		"OutputContent": map[string]any{"OutputFormat": "Text", "OutputText": lines},
	}
}

// reverse takes a charge back, or a part of it.
func (n *Nexo) reverse(s *nexoSale) map[string]any {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.number++
	at, ok := n.ids[s.of]
	if !ok {
		return map[string]any{"Response": nexoFailure("NotFound", "original transaction is not known")}
	}
	c := &n.charges[at]
	back := s.amount
	if s.whole {
		back = c.Amount
	}
	if c.Reversed || back > c.Amount {
		return map[string]any{"Response": nexoFailure("NotAllowed", "original transaction was reversed, or for less")}
	}
	if back == c.Amount {
		c.Reversed = true
	} else {
		n.ids[n.id()] = len(n.charges)
		n.charges = append(n.charges, Charge{
			Receipt: n.number, Trace: n.number, Amount: back, Currency: n.o.Currency, Refund: true, Booked: true, At: time.Now(),
		})
	}
	return map[string]any{
		"Response": nexoOK(), "POIData": n.poiData(time.Now()), "ReversedAmount": nexoNumber(back),
		"OriginalPOITransaction": map[string]any{"POITransactionID": map[string]any{"TransactionID": s.of, "TimeStamp": nexoTime(time.Now())}},
		"PaymentReceipt":         []any{n.receipt("CashierReceipt", "MERCHANT COPY", "**** "+testPAN[12:], back)},
	}
}
