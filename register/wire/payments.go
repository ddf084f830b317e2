package wire

import "storeagent/payments"

// PaymentRequest is the body of POST /v1/payments.
type PaymentRequest struct {
	Type              payments.Type `json:"type" enum:"sale,refund,preauth"`
	Amount            string        `json:"amount" doc:"Positive decimal text like \"12.50\""`
	Currency          string        `json:"currency,omitempty" doc:"ISO 4217; default: store.currency of the configuration"`
	Terminal          string        `json:"terminal,omitempty" maxLength:"100" doc:"Default: the only terminal"`
	Reference         string        `json:"reference,omitempty" maxLength:"255"`
	TipAmount         string        `json:"tipAmount,omitempty" doc:"Of a sale: charged on top of amount, where the terminal can (tipAtStart)"`
	OriginalPaymentID string        `json:"originalPaymentId,omitempty" maxLength:"100" doc:"With a refund: the payment it gives back"`
}

// AmountRequest is the body of capture and tip.
type AmountRequest struct {
	Amount string `json:"amount,omitempty" doc:"Positive decimal text like \"12.50\""`
}

// TerminalDisplay is the body of POST /v1/terminals/{name}/display.
type TerminalDisplay struct {
	Lines   []string `json:"lines" nullable:"false" maxItems:"8" doc:"What the customer shall read; what does not fit is cut off"`
	Seconds int      `json:"seconds,omitempty" minimum:"0" maximum:"255" doc:"0: until the terminal shows something else"`
}

// The words of Resolve.Outcome.
const (
	OutcomeApproved   = "approved"
	OutcomeNotCharged = "not_charged"
)

// Resolve is a person's word on a payment nobody could ask the terminal about.
type Resolve struct {
	Outcome string `json:"outcome" enum:"approved,not_charged"`
	Note    string `json:"note" minLength:"1" maxLength:"500" doc:"What the person saw, for the audit"`
}
