package receipt

import (
	"encoding/json"
	"fmt"

	"storeagent/offline"
	"storeagent/payments"
	"storeagent/payments/money"
)

// Kind is a kind of sample receipt.
type Kind string

// The samples: together they show every field of a template.
const (
	SampleSale      Kind = "sale"      // paid by card with a signature, gift card and cash
	SampleRefund    Kind = "refund"    // to a card
	SampleDuplicate Kind = "duplicate" // of an exchange
	SampleBare      Kind = "bare"      // no more than a sale must have
)

// SampleKinds lists them.
func SampleKinds() []Kind { return []Kind{SampleSale, SampleRefund, SampleDuplicate, SampleBare} }

const (
	sampleSale = `{"transactionId":"L3-000417","storeCode":"DALLAS","purchasedOn":"2026-11-21T18:05:09","payAmount":"%[1]s","saleDiscountAmount":"%[2]s",
"itemDiscountAmount":"%[3]s","subTotal":"%[4]s","refundAmount":"0","taxAmount":"%[5]s","channel":"STORE","memberId":"C000000212","lineItems":[
{"lineNumber":1,"sku":"BEAN1","name":"Coffee beans, roasted slowly over a wood fire","isRefund":false,"unitPrice":"1450.5","extPrice":"2901","itemDiscountAmount":"%[3]s","saleDiscountAmount":"%[2]s","quantity":"2","uom":"EA"},
{"lineNumber":2,"sku":"APPLE","name":"Apples","isRefund":false,"unitPrice":"3.25","extPrice":"1","itemDiscountAmount":"0","saleDiscountAmount":"0","quantity":"0.375","uom":"KG"},
{"lineNumber":3,"sku":"GUM001","isRefund":false,"unitPrice":"2","extPrice":"2","itemDiscountAmount":"0","saleDiscountAmount":"0","quantity":"1","uom":"EA"}%[6]s]}`
	sampleBack   = `,{"lineNumber":4,"sku":"BOTTLE","name":"Bottle","isRefund":true,"unitPrice":"1","extPrice":"-1","itemDiscountAmount":"0","saleDiscountAmount":"0","quantity":"-1","uom":"EA","refundTransactionId":"L3-000398","refundLineNumber":1}`
	sampleRefund = `{"transactionId":"L3-000418","storeCode":"DALLAS","purchasedOn":"2026-11-21T18:07:30","payAmount":"-4","saleDiscountAmount":"0",
"itemDiscountAmount":"0","subTotal":"-4","refundAmount":"4","taxAmount":"0","payMethod":"CARD","lineItems":[
{"lineNumber":1,"sku":"GUM001","name":"Gum","isRefund":true,"unitPrice":"2","extPrice":"-4","itemDiscountAmount":"0","saleDiscountAmount":"0","quantity":"-2","uom":"EA","refundTransactionId":"L3-000417","refundLineNumber":3}]}`
	sampleBare = `{"transactionId":"1","storeCode":"DALLAS","purchasedOn":"2026-11-21T08:05:09","payAmount":"2","saleDiscountAmount":"0",
"itemDiscountAmount":"0","subTotal":"2","refundAmount":"0","taxAmount":"0","payMethod":"CASH","lineItems":[
{"lineNumber":1,"sku":"GUM001","isRefund":false,"unitPrice":"2","extPrice":"2","itemDiscountAmount":"0","saleDiscountAmount":"0","quantity":"1","uom":"EA"}]}`
)

// Sample is a made-up sale, in whole units so that it suits every currency.
func Sample(kind Kind, currency string, columns int) Input {
	whole := func(n int64) money.Amount {
		scale, err := money.Digits(currency)
		if err != nil {
			return money.Amount{}
		}
		for range scale {
			n *= 10
		}
		a, err := money.FromMinor(n, currency)
		if err != nil {
			return money.Amount{}
		}
		return a
	}
	in := Input{Currency: currency, Columns: columns}
	tip := whole(3)
	card := payments.Payment{
		ID: "sample-card", Type: payments.Sale, Amount: whole(2800), TipAmount: &tip, CardBrand: "VISA", Last4: "1111", EntryMode: "chip",
		ApprovalCode: "A1B2C3", TerminalReference: "000123", SignatureRequired: true,
	}
	card.Receipt.Customer = []string{"   ** CUSTOMER COPY **", "VISA CREDIT ****1111", "AID A0000000031010", "TVR 0000008000  APPROVED"}
	gift := offline.GiftcardView{ID: "sample-gift", Code: "************0001", Amount: "50", Balance: "12", Offline: true}
	switch kind {
	case SampleRefund:
		in.Sale = json.RawMessage(sampleRefund)
		back := payments.Payment{ID: "sample-back", Type: payments.Refund, Amount: whole(4), CardBrand: "VISA", Last4: "1111", ApprovalCode: "D4E5F6"}
		in.Tenders, in.Payments = []offline.Tender{{Type: "card", PaymentID: back.ID}}, []payments.Payment{back}
	case SampleDuplicate:
		in.Duplicate = true
		in.Sale = fmt.Appendf(nil, sampleSale, "2900", "2", "1", "2900", "0", sampleBack)
		in.Tenders = []offline.Tender{{Type: "cash", Amount: "2900"}, {Type: "other", Amount: "0"}}
	case SampleBare:
		in.Sale = json.RawMessage(sampleBare)
	default:
		in.Sale = fmt.Appendf(nil, sampleSale, "3143", "2", "1", "2901", "242", "")
		in.Tenders = []offline.Tender{{Type: "card", PaymentID: card.ID}, {Type: "giftcard", GiftcardTransactionID: gift.ID}, {Type: "cash", Amount: "300"}}
		in.Payments, in.Giftcards = []payments.Payment{card}, []offline.GiftcardView{gift}
	}
	return in
}
