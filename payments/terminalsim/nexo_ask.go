package terminalsim

import (
	"encoding/json"
	"net/url"
)

// nexoReference is how one message names another.
type nexoReference struct {
	MessageReference struct{ MessageCategory, SaleID, ServiceID string }
}

// find looks a transaction up that a message refers to. n.mu is held.
func (n *Nexo) find(raw json.RawMessage, h nexoHeader) *nexoSale {
	var r nexoReference
	if json.Unmarshal(raw, &r) != nil {
		return nil
	}
	sale := r.MessageReference.SaleID
	if sale == "" {
		sale = h.SaleID
	}
	s := n.past[sale+"/"+r.MessageReference.ServiceID]
	if s == nil || r.MessageReference.MessageCategory != "" && r.MessageReference.MessageCategory != s.h.MessageCategory {
		return nil
	}
	return s
}

// stop is an Abort.
func (n *Nexo) stop(raw json.RawMessage, h nexoHeader) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.find(raw, h); s != nil && s == n.running && !s.aborted {
		s.aborted = true
		close(s.stopped)
	}
}

// tell is a TransactionStatus.
func (n *Nexo) tell(raw json.RawMessage, h nexoHeader) (map[string]any, error) {
	n.o.OnStep(StepLastReceived)
	n.mu.Lock()
	s := n.find(raw, h)
	body := map[string]any{}
	switch s {
	case nil:
		body["Response"] = nexoFailure("NotFound", "")
	case n.running:
		body["Response"] = nexoFailure("InProgress", "")
	default:
		repeated := s.h
		repeated.MessageType = "Response"
		body["Response"] = nexoOK()
		body["MessageReference"] = map[string]any{"MessageCategory": s.h.MessageCategory, "SaleID": s.h.SaleID, "ServiceID": s.h.ServiceID}
		body["RepeatedMessageResponse"] = map[string]any{
			"MessageHeader":               repeated,
			"RepeatedResponseMessageBody": map[string]any{s.h.MessageCategory + "Response": s.answer},
		}
	}
	n.mu.Unlock()
	n.o.OnStep(StepLastSent)
	return map[string]any{"TransactionStatusResponse": body}, nil
}

// totals counts what was charged since the last reconciliation; closing begins anew.
func (n *Nexo) totals(closing bool) map[string]any {
	n.mu.Lock()
	defer n.mu.Unlock()
	sums := map[string]struct{ count, amount int64 }{}
	for _, c := range n.charges[n.counted:] {
		kind := "Debit"
		if c.Refund {
			kind = "Credit"
		}
		kinds := []string{kind}
		if c.Reversed {
			kinds = append(kinds, "Reverse"+kind)
		}
		for _, k := range kinds {
			sum := sums[k]
			sum.count++
			sum.amount += c.Amount
			sums[k] = sum
		}
	}
	list := []any{}
	for _, k := range []string{"Debit", "Credit", "ReverseDebit", "ReverseCredit"} {
		if sum, ok := sums[k]; ok {
			list = append(list, map[string]any{"TransactionType": k, "TransactionCount": sum.count, "TransactionAmount": nexoNumber(sum.amount)})
		}
	}
	out := map[string]any{"Response": nexoOK(), "POIReconciliationID": "1000", "TransactionTotals": []any{map[string]any{
		"PaymentInstrumentType": "Card", "CardBrand": "visa", "PaymentCurrency": n.o.Currency, "PaymentTotals": list,
	}}}
	if closing {
		out["ReconciliationType"] = "SaleReconciliation"
		n.counted = len(n.charges)
	}
	return out
}

// nexoOutput is text to show or print.
type nexoOutput struct {
	OutputContent struct {
		OutputFormat string
		OutputText   []struct{ Text string }
	}
}

func (o nexoOutput) lines() []string {
	var out []string
	for _, t := range o.OutputContent.OutputText {
		text := t.Text
		if v, err := url.ParseQuery(text); err == nil && v.Has("name") {
			text = v.Get("name")
		}
		out = append(out, text)
	}
	return out
}

func (n *Nexo) display(raw json.RawMessage) map[string]any {
	var r struct{ DisplayOutput []nexoOutput }
	if json.Unmarshal(raw, &r) != nil || len(r.DisplayOutput) == 0 || r.DisplayOutput[0].OutputContent.OutputFormat != "Text" {
		return map[string]any{"OutputResult": []any{map[string]any{
			"Device": "CustomerDisplay", "InfoQualify": "Display", "Response": nexoFailure("MessageFormat", "no text"),
		}}}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range r.DisplayOutput {
		n.shown = append(n.shown, o.lines()...)
	}
	return map[string]any{"OutputResult": []any{map[string]any{"Device": "CustomerDisplay", "InfoQualify": "Display", "Response": nexoOK()}}}
}

func (n *Nexo) print(raw json.RawMessage) map[string]any {
	var r struct {
		PrintOutput struct {
			DocumentQualifier string
			nexoOutput
		}
	}
	if json.Unmarshal(raw, &r) != nil || r.PrintOutput.OutputContent.OutputFormat != "Text" {
		return map[string]any{"DocumentQualifier": "Document", "Response": nexoFailure("MessageFormat", "no text")}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.printed = append(n.printed, r.PrintOutput.lines()...)
	return map[string]any{"DocumentQualifier": r.PrintOutput.DocumentQualifier, "Response": nexoOK()}
}
