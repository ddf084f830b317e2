// Package sale is the Sale record of the POS cloud as a register posts it: header, lines, tenders, sums and
// signs. It is pure: it decodes and judges, it stores and sends nothing.
//
// It is called by offline and register and imports only money. Field names follow the vendor's "Record
// Purchase" page (the add argument of purchaseAdd).
package sale

import "fmt"

// Kind tells a sale from a refund.
type Kind string

// The kinds of the API.
const (
	Sold     Kind = "sale"
	Refunded Kind = "refund"
)

// Warning is something odd about an accepted sale: sums that disagree, mixed lines. It never changes the sale.
type Warning struct {
	Code    string `json:"code" doc:"Stable, snake_case: pay_amount_mismatch, sub_total_mismatch, sale_discount_mismatch, item_discount_mismatch, refund_amount_mismatch, mixed_lines, …"`
	Message string `json:"message"`
	Field   string `json:"field,omitempty"`
}

// FieldError is one thing wrong with a posted sale; Location is a path like "lineItems[2].quantity".
type FieldError struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// FieldErrors refuses a posted sale with everything that is wrong with it. It never holds the offending values.
type FieldErrors struct { //nolint:errname // it is many errors in one
	List []FieldError
}

func (e *FieldErrors) Error() string {
	if len(e.List) == 1 {
		return e.List[0].Location + ": " + e.List[0].Message
	}
	return fmt.Sprintf("%d fields are wrong, first %s: %s", len(e.List), e.List[0].Location, e.List[0].Message)
}
