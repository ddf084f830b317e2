package sale

import (
	"encoding/json"
	"time"
)

// Defaults are what a posted sale may leave to the agent's configuration.
type Defaults struct {
	StoreCode string         // for a missing storeCode
	Currency  string         // ISO 4217, for a missing currency
	Location  *time.Location // the store's timezone, for a purchasedOn with an offset; nil is UTC
}

// Sale is a posted sale that passed every check. All texts stand as posted, amounts and quantities too: they are
// strict decimals, so that money.Parse and money.ParseDecimal (up to 6 decimals) take them.
type Sale struct {
	TransactionID      string
	StoreCode          string
	PurchasedOn        string // local time of the store without offset
	Kind               Kind
	Currency           string
	PayAmount          string
	SaleDiscountAmount string
	ItemDiscountAmount string
	SubTotal           string
	RefundAmount       string
	TaxAmount          string
	Channel            string // this and the following are "" for none
	MemberID           string
	CustomerID         string
	Email              string
	OrderType          string
	PayMethod          string
	Lines              []Line
	Tenders            []Tender
	Warnings           []Warning

	// Body is what goes to the cloud: what was posted, field for field and value for value in the posted order, less
	// kind, currency and tenders, plus a missing storeCode, and with purchasedOn in the store's time.
	Body json.RawMessage
	// ContentHash is the SHA-256 of Body with its keys sorted, the same for every way to write one content.
	ContentHash [32]byte
}

// RefundOf is the first transaction id that a refund line refers to, "" for none.
func (s Sale) RefundOf() string {
	for _, l := range s.Lines {
		if l.IsRefund && l.RefundTransactionID != "" {
			return l.RefundTransactionID
		}
	}
	return ""
}

// Line is one line of a sale. Optional texts are "" for none.
type Line struct {
	LineNumber          int
	SKU                 string
	IsRefund            bool
	UnitPrice           string // not negative, up to 6 decimals
	ExtPrice            string // before discounts; negative on a refund line
	ItemDiscountAmount  string
	SaleDiscountAmount  string // this line's share of the discount on the whole sale
	Quantity            string // up to 6 decimals; negative on a refund line
	UOM                 string
	Name                string
	Vendor              string
	ProductPriceClass   string
	UnitCost            string // not negative, up to 6 decimals
	RefundTransactionID string
	RefundLineNumber    *int
}

// Tender is how part of a sale was paid: a card payment or a gift card transaction by its id at this agent, cash and
// other by their amount.
type Tender struct {
	Type                  string // card, giftcard, cash or other
	PaymentID             string
	GiftcardTransactionID string
	Amount                string
}
