package wire

import (
	"time"

	"storeagent/offline"
	"storeagent/offline/sale"
)

// Sale is the body of POST /v1/sales: the add object of the POS cloud's purchaseAdd, field for field, and the four
// fields of ours at its end. Amounts and quantities are decimal texts.
type Sale struct {
	TransactionID      string     `json:"transactionId"`
	StoreCode          string     `json:"storeCode,omitempty" doc:"Default: store.code of the configuration"`
	PurchasedOn        string     `json:"purchasedOn" doc:"Local time without offset, or RFC 3339"`
	PayAmount          string     `json:"payAmount"`
	SaleDiscountAmount string     `json:"saleDiscountAmount"`
	ItemDiscountAmount string     `json:"itemDiscountAmount"`
	SubTotal           string     `json:"subTotal"`
	RefundAmount       string     `json:"refundAmount"`
	TaxAmount          string     `json:"taxAmount"`
	Channel            string     `json:"channel,omitempty"`
	MemberID           string     `json:"memberId,omitempty"`
	CustomerID         string     `json:"customerId,omitempty"`
	Email              string     `json:"email,omitempty"`
	OrderType          string     `json:"orderType,omitempty"`
	PayMethod          string     `json:"payMethod,omitempty"`
	LineItems          []SaleLine `json:"lineItems" nullable:"false"`

	Kind     sale.Kind        `json:"kind,omitempty" enum:"sale,refund" doc:"Default: derived from the sign of payAmount"`
	Currency string           `json:"currency,omitempty" doc:"ISO 4217; default: store.currency of the configuration"`
	Tenders  []offline.Tender `json:"tenders,omitempty" nullable:"false" doc:"How it was paid; a card or gift card tender claims its payment"`
}

// SaleLine is one line of a Sale.
type SaleLine struct {
	LineNumber          int     `json:"lineNumber"`
	SKU                 string  `json:"sku"`
	IsRefund            bool    `json:"isRefund"`
	UnitPrice           string  `json:"unitPrice"`
	ExtPrice            string  `json:"extPrice"`
	ItemDiscountAmount  string  `json:"itemDiscountAmount"`
	SaleDiscountAmount  string  `json:"saleDiscountAmount"`
	Quantity            string  `json:"quantity"`
	UOM                 string  `json:"uom"`
	Name                string  `json:"name,omitempty"`
	Vendor              string  `json:"vendor,omitempty"`
	ProductPriceClass   string  `json:"productPriceClass,omitempty"`
	UnitCost            string  `json:"unitCost,omitempty"`
	RefundTransactionID *string `json:"refundTransactionId,omitempty" nullable:"true"`
	RefundLineNumber    *int    `json:"refundLineNumber,omitempty" nullable:"true"`
}

// SaleAccepted answers POST /v1/sales: the sale is on disk.
type SaleAccepted struct {
	ID            string         `json:"id"`
	TransactionID string         `json:"transactionId"`
	State         offline.State  `json:"state" enum:"queued,sending,delivered,in_doubt,parked,discarded"`
	AcceptedAt    time.Time      `json:"acceptedAt"`
	Warnings      []sale.Warning `json:"warnings" nullable:"false"`
}

// Decision is the body of resend and discard.
type Decision struct {
	Note string `json:"note" minLength:"1" maxLength:"500" doc:"Why, for the audit"`
}

// Settle is the body of settle: a person saw the operation in the cloud.
type Settle struct {
	CloudID string `json:"cloudId,omitempty" maxLength:"100" doc:"The cloud's id, where the person saw one"`
	Note    string `json:"note" minLength:"1" maxLength:"500" doc:"Why, for the audit"`
}

// Decided answers resend, settle and discard.
type Decided struct {
	ID     string         `json:"id"`
	Action offline.Action `json:"action" enum:"resend,settle,discard"`
	State  offline.State  `json:"state" enum:"queued,delivered,discarded" doc:"The state the decision led to"`
	At     time.Time      `json:"at"`
}
