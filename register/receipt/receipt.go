// Package receipt lays an accepted sale out as a printable document, the way the store wants it: its head and foot, its
// language and country, and a layout of its own where it has one.
//
// It is called by register, and by installer/config to check what is configured. It is pure: it reads a sale as it was
// posted and the payments that belong to it, and imports devices/printer for the document, devices/printer/receiptline
// for the language that layouts are written in, offline and payments for their types; never a driver or a store. Field
// names of the sale are those of the vendor's "Record Purchase" page.
package receipt

import (
	"encoding/json"
	"fmt"

	"github.com/govalues/decimal"

	"storeagent/offline"
	"storeagent/payments"
)

// Input is everything a receipt is made of, beside the store's Form.
type Input struct {
	Sale          json.RawMessage // the sale as posted (offline.Record.Body)
	TransactionID string          // "" takes the sale's
	Kind          string          // sale or refund; "" is derived from the sale
	Currency      string          // ISO 4217; "" leaves it out
	Tenders       []offline.Tender
	Payments      []payments.Payment     // those that the tenders name; others are left out
	Giftcards     []offline.GiftcardView // the same
	Duplicate     bool                   // marks the paper as a further one
	Columns       int                    // line width of the printer in font A characters
}

// posted is what a receipt shows of a sale. Everything else in it is of no concern here.
type posted struct {
	TransactionID      Text   `json:"transactionId"`
	PurchasedOn        Text   `json:"purchasedOn"`
	Kind               Text   `json:"kind"`
	Channel            Text   `json:"channel"`
	MemberID           Text   `json:"memberId"`
	PayMethod          Text   `json:"payMethod"`
	PayAmount          amount `json:"payAmount"`
	SubTotal           amount `json:"subTotal"`
	TaxAmount          amount `json:"taxAmount"`
	ItemDiscountAmount amount `json:"itemDiscountAmount"`
	SaleDiscountAmount amount `json:"saleDiscountAmount"`
	LineItems          []struct {
		SKU                 Text   `json:"sku"`
		Name                Text   `json:"name"`
		IsRefund            bool   `json:"isRefund"`
		RefundTransactionID Text   `json:"refundTransactionId"`
		Quantity            amount `json:"quantity"`
		UOM                 Text   `json:"uom"`
		UnitPrice           amount `json:"unitPrice"`
		ExtPrice            amount `json:"extPrice"`
		ItemDiscountAmount  amount `json:"itemDiscountAmount"`
	} `json:"lineItems"`
}

func read(sale json.RawMessage) (posted, error) {
	var s posted
	err := json.Unmarshal(sale, &s)
	return s, err
}

// amount is a decimal as it was posted, or absent.
type amount struct {
	given bool
	value decimal.Decimal
}

// UnmarshalJSON implements json.Unmarshaler.
func (a *amount) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*a = amount{}
	if s == nil || *s == "" {
		return nil
	}
	d, err := decimal.Parse(*s)
	if err != nil {
		return fmt.Errorf("%q is not a decimal", *s)
	}
	*a = amount{given: true, value: d}
	return nil
}
