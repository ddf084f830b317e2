// Package receipt lays an accepted sale out as a printable document.
//
// It is called by register. It is pure: it reads a sale as it was posted and the payments that belong to it, and
// imports devices/printer for the document, offline and payments for their types; never a driver or a store. Field
// names of the sale are those of the vendor's "Record Purchase" page.
package receipt

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/govalues/decimal"

	"storeagent/devices/printer"
	"storeagent/offline"
	"storeagent/payments"
)

// Store is what heads and ends a receipt.
type Store struct {
	Name    string
	Address []string // lines
	TaxID   string
	Footer  []string // lines
}

// Input is everything a receipt is made of.
type Input struct {
	Store         Store
	Sale          json.RawMessage // the sale as posted (offline.Record.Body)
	TransactionID string          // "" takes the sale's
	Currency      string          // ISO 4217; "" leaves it out
	Tenders       []offline.Tender
	Payments      []payments.Payment // those that the tenders name; others are left out
	Duplicate     bool               // marks the paper as a further one
	Columns       int                // line width of the printer in font A characters
}

// posted is what a receipt shows of a sale. Everything else in it is of no concern here.
type posted struct {
	TransactionID      text   `json:"transactionId"`
	PurchasedOn        text   `json:"purchasedOn"`
	Kind               text   `json:"kind"`
	PayMethod          text   `json:"payMethod"`
	PayAmount          amount `json:"payAmount"`
	SubTotal           amount `json:"subTotal"`
	TaxAmount          amount `json:"taxAmount"`
	SaleDiscountAmount amount `json:"saleDiscountAmount"`
	LineItems          []line `json:"lineItems"`
}

type line struct {
	SKU                text   `json:"sku"`
	Name               text   `json:"name"`
	IsRefund           bool   `json:"isRefund"`
	Quantity           amount `json:"quantity"`
	UOM                text   `json:"uom"`
	UnitPrice          amount `json:"unitPrice"`
	ExtPrice           amount `json:"extPrice"`
	ItemDiscountAmount amount `json:"itemDiscountAmount"`
}

// text is a string fit for paper: control characters become spaces; null is "".
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	var s *string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*t = ""
	if s != nil {
		*t = text(plain(*s))
	}
	return nil
}

// amount is a decimal as it was posted, or absent.
type amount struct {
	given bool
	text  string
	value decimal.Decimal
}

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
	*a = amount{given: true, text: *s, value: d}
	return nil
}

func (a amount) zero() bool { return !a.given || a.value.IsZero() }

// taken is a discount as it is shown: with the sign with which it changes the sum.
func (a amount) taken() string { return a.value.Neg().String() }

// plain keeps text from being taken for printer commands.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

// Layout makes the document. It fails only on a sale that can't be read, or on paper too narrow for a sum.
func Layout(in Input) (printer.Document, error) {
	if in.Columns < minColumns {
		return nil, fmt.Errorf("lay out receipt: %d columns, at least %d are needed", in.Columns, minColumns)
	}
	var s posted
	if err := json.Unmarshal(in.Sale, &s); err != nil {
		return nil, fmt.Errorf("lay out receipt: read sale: %w", err)
	}
	if in.TransactionID == "" {
		in.TransactionID = string(s.TransactionID)
	}
	p := &paper{columns: in.Columns}
	refund := s.Kind == "refund" || s.Kind == "" && s.PayAmount.value.IsNeg()
	p.head(in, s, refund)
	for _, l := range s.LineItems {
		p.item(l, refund)
	}
	p.rule()
	p.sums(in, s)
	p.tenders(in, s)
	p.foot(in)
	return p.doc, nil
}

// minColumns leaves room for a sum and a few words beside it.
const minColumns = 20

// paper collects the operations of a receipt.
type paper struct {
	columns int
	doc     printer.Document
}

func (p *paper) add(op printer.Op) { p.doc = append(p.doc, op) }
func (p *paper) rule()             { p.add(printer.Op{Op: "rule"}) }
func (p *paper) line(s string)     { p.add(printer.Op{Op: "text", Text: s}) }
func (p *paper) center(s string, bold bool) {
	p.add(printer.Op{Op: "text", Text: s, Align: "center", Bold: bold})
}

// pair is words on the left and a sum on the right.
func (p *paper) pair(left, right string, bold bool) {
	room := max(printer.Width(right)+1, 10)
	if room > p.columns-8 { // a sum that leaves no room for words gets a line of its own
		p.line(left)
		p.add(printer.Op{Op: "text", Text: right, Align: "right", Bold: bold})
		return
	}
	p.add(printer.Op{Op: "columns", Cells: []printer.Cell{
		{Text: left, Bold: bold},
		{Text: right, Width: room, Align: "right", Bold: bold},
	}})
}

func (p *paper) head(in Input, s posted, refund bool) {
	if name := plain(in.Store.Name); name != "" {
		op := printer.Op{Op: "text", Text: name, Align: "center", Bold: true}
		if 2*printer.Width(name) <= p.columns {
			op.Width, op.Height = 2, 2
		}
		p.add(op)
	}
	for _, l := range in.Store.Address {
		p.center(plain(l), false)
	}
	if in.Store.TaxID != "" {
		p.center("Tax ID "+plain(in.Store.TaxID), false)
	}
	if len(p.doc) > 0 {
		p.add(printer.Op{Op: "feed", Lines: 1})
	}
	if in.Duplicate {
		p.center("*** DUPLICATE ***", true)
	}
	if refund {
		p.center("*** REFUND ***", true)
	}
	if s.PurchasedOn != "" {
		p.line(when(string(s.PurchasedOn)))
	}
	if in.TransactionID != "" {
		p.line("Transaction " + plain(in.TransactionID))
	}
	p.rule()
}

// when shows a time as it was posted, to the minute; what is no time stays as it is.
func when(s string) string {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.Format("2006-01-02 15:04")
		}
	}
	return s
}

func (p *paper) item(l line, refund bool) {
	name := string(l.Name)
	if name == "" {
		name = string(l.SKU)
	}
	if l.IsRefund && !refund {
		name += " (refund)"
	}
	one := !l.Quantity.given || l.Quantity.value.Abs().IsOne()
	if one {
		p.pair(name, l.ExtPrice.text, false)
	} else {
		p.line(name)
		count := l.Quantity.text
		if l.UOM != "" && l.UOM != "EA" {
			count += " " + string(l.UOM)
		}
		p.pair("  "+count+" x "+l.UnitPrice.text, l.ExtPrice.text, false)
	}
	if !l.ItemDiscountAmount.zero() {
		p.pair("  Discount", l.ItemDiscountAmount.taken(), false)
	}
}

// sums follow the vendor's arithmetic: the sub total is what is left after all discounts, before tax.
func (p *paper) sums(in Input, s posted) {
	if !s.SaleDiscountAmount.zero() {
		p.pair("Discount on the sale", s.SaleDiscountAmount.taken(), false)
	}
	if s.SubTotal.given {
		p.pair("Subtotal", s.SubTotal.text, false)
	}
	if s.TaxAmount.given {
		p.pair("Tax", s.TaxAmount.text, false)
	}
	p.pair(strings.TrimSpace("TOTAL "+in.Currency), s.PayAmount.text, true)
}

func (p *paper) tenders(in Input, s posted) {
	byID := map[string]payments.Payment{}
	for _, pay := range in.Payments {
		byID[pay.ID] = pay
	}
	if len(in.Tenders) == 0 && s.PayMethod != "" {
		p.line("Paid by " + string(s.PayMethod))
	}
	for _, t := range in.Tenders {
		switch t.Type {
		case "card":
			pay, known := byID[t.PaymentID]
			if !known {
				p.pair("Card", plain(t.Amount), false)
				continue
			}
			p.pair(card(pay), paid(pay), false)
		case "giftcard":
			p.pair("Gift card", plain(t.Amount), false)
		case "cash":
			p.pair("Cash", plain(t.Amount), false)
		default:
			p.pair("Other", plain(t.Amount), false)
		}
	}
	for _, t := range in.Tenders {
		if pay, known := byID[t.PaymentID]; known && t.Type == "card" {
			p.slip(pay)
		}
	}
}

// card names a card by its brand and last digits, as far as the terminal gave them.
func card(pay payments.Payment) string {
	name := plain(pay.CardBrand)
	if name == "" {
		name = "Card"
	}
	if pay.Last4 != "" {
		name += " ****" + plain(pay.Last4)
	}
	return name
}

func paid(pay payments.Payment) string {
	sum := pay.Amount
	if pay.ApprovedAmount != nil {
		sum = *pay.ApprovedAmount
	}
	if pay.Type == payments.Refund {
		return "-" + sum.String()
	}
	return sum.String()
}

// slip is the card holder's part: the terminal's own words, or what must be on it where the terminal gave none.
func (p *paper) slip(pay payments.Payment) {
	lines := pay.Receipt.Customer
	if len(lines) == 0 {
		for _, field := range []struct{ name, value string }{
			{"Approval", pay.ApprovalCode}, {"Reference", pay.TerminalReference}, {"Entry", pay.EntryMode},
		} {
			if field.value != "" {
				lines = append(lines, field.name+" "+field.value)
			}
		}
	}
	if len(lines) == 0 {
		return
	}
	p.rule()
	for _, l := range lines {
		p.line(plain(l))
	}
}

func (p *paper) foot(in Input) {
	p.rule()
	for _, l := range in.Store.Footer {
		p.center(plain(l), false)
	}
	code := printer.Op{Op: "barcode", Symbology: "code128", Data: in.TransactionID, Align: "center"}
	if in.TransactionID != "" && printer.BarcodeModule(code, printer.Dots(p.columns)) > 0 {
		p.add(code)
	}
	p.add(printer.Op{Op: "feed", Lines: 1})
	p.add(printer.Op{Op: "cut"})
}
