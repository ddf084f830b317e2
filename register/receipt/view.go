package receipt

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/govalues/decimal"

	"storeagent/devices/printer"
	"storeagent/offline"
	"storeagent/payments"
)

// Text is text of a sale in a template. Put out it has the escapes of ReceiptLine, so that nothing in a sale is taken for
// layout; compared and given to functions it is as posted.
type Text string

// String is the text with escapes that mean the same in ReceiptLine's text and property values.
func (t Text) String() string {
	s := strings.TrimRight(plain(string(t)), " ")
	bare := strings.TrimLeft(s, " ")
	var b strings.Builder
	b.WriteString(strings.Repeat("~", len(s)-len(bare)))
	rule := strings.Trim(bare, "-") == "" || strings.Trim(bare, "=") == ""
	for _, r := range bare {
		if strings.ContainsRune("\\|{}~_\"`^;", r) || rule {
			fmt.Fprintf(&b, `\x%02x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// plain keeps text from being taken for printer commands.
func plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
}

func texts(lines []string) []Text {
	var out []Text
	for _, l := range lines {
		out = append(out, Text(l))
	}
	return out
}

// Number is an amount or a quantity in a template; a field without one is nil. Put out without a function it is as posted.
type Number struct {
	value    decimal.Decimal
	currency string
}

// String is the number with a decimal point.
func (n *Number) String() string { return n.value.String() }

// Negative reports whether it is below zero.
func (n *Number) Negative() bool { return n.value.IsNeg() }

// Moment is a time in a template. Put out without a function it is as posted.
type Moment struct {
	at     time.Time
	posted string // of what is no time
}

// String is the moment as posted where it is no time, else in the form of RFC 3339 without an offset.
func (m *Moment) String() string {
	if m.posted != "" {
		return Text(m.posted).String()
	}
	return m.at.Format("2006-01-02T15:04:05")
}

func (m *Moment) show(form func(time.Time) string) Text {
	if m.posted != "" {
		return Text(m.posted)
	}
	return Text(form(m.at))
}

func (m *Moment) clock(form func(time.Time) string) Text {
	if m.posted != "" {
		return ""
	}
	return Text(form(m.at))
}

// Data is what a template is run on; docs/receipt.md describes it for those who write one.
type Data struct {
	Store      StoreData
	Logo       string // base64 of a PNG
	Columns    int    // of a line
	PriceWidth int    // columns that the widest amount takes

	ID        Text
	Barcode   Text // the id where it fits the paper as a barcode
	At        *Moment
	Currency  Text
	Refund    bool // of the whole sale
	Duplicate bool
	Channel   Text
	Member    Text
	Lines     []LineData

	ItemDiscount *Number // what lines were reduced by, with the sign it changes the total by; nil for none
	SaleDiscount *Number // the same for the whole sale
	Subtotal     *Number
	Tax          *Number
	Total        *Number

	PaidBy     Text // where the sale names no tenders
	Tenders    []TenderData
	Change     *Number
	Slips      []SlipData // for the customer
	Signatures []SlipData // slips that the customer must sign, for the shop
}

// StoreData is the head and foot of a receipt.
type StoreData struct {
	Name    Text
	Address []Text
	TaxID   Text
	Footer  []Text
}

// LineData is one line of a sale.
type LineData struct {
	SKU       Text
	Name      Text // the SKU where there is none
	Refund    bool
	Original  Text // the transaction that a refund refers to
	Single    bool // one piece, whose price is the amount
	Quantity  *Number
	Unit      Text // "" for pieces
	UnitPrice *Number
	Amount    *Number
	Discount  *Number // nil for none
}

// TenderData is one way a sale was paid.
type TenderData struct {
	Type    string // card, giftcard, cash or other
	Name    Text   // in words, with the last digits
	Brand   Text
	Last4   Text
	Code    Text // of a gift card, masked
	Amount  *Number
	Tip     *Number // part of the amount
	Balance *Number // left on a gift card
	Offline bool    // taken while the cloud was away
}

// SlipData is what a card terminal gave to be printed.
type SlipData struct {
	Lines  []Text
	Card   Text
	Amount *Number
}

// Fits reports whether a text goes on one line with characters that many times as wide.
func (d *Data) Fits(t Text, times int) bool {
	return times*printer.Width(plain(string(t))) <= d.Columns
}

// minColumns leaves room for a sum and a few words beside it.
const minColumns = 20

// view makes the data of a template.
func (f *Form) view(in Input) (*Data, error) {
	if in.Columns < minColumns {
		return nil, fmt.Errorf("lay out receipt: %d columns, at least %d are needed", in.Columns, minColumns)
	}
	s, err := read(in.Sale)
	if err != nil {
		return nil, fmt.Errorf("lay out receipt: read sale: %w", err)
	}
	number := func(a amount) *Number {
		if !a.given {
			return nil
		}
		return &Number{a.value, in.Currency}
	}
	taken := func(a amount) *Number {
		if !a.given || a.value.IsZero() {
			return nil
		}
		return &Number{a.value.Neg(), in.Currency}
	}
	store := f.options.Store
	d := &Data{
		Store: StoreData{Text(store.Name), texts(store.Address), Text(store.TaxID), texts(store.Footer)},
		Logo:  f.logo, Columns: in.Columns, ID: Text(in.TransactionID), At: f.moment(string(s.PurchasedOn)), Currency: Text(in.Currency),
		Refund: in.Kind == "refund" || in.Kind == "" && (s.Kind == "refund" || s.Kind == "" && s.PayAmount.value.IsNeg()), Duplicate: in.Duplicate,
		Channel: s.Channel, Member: s.MemberID, ItemDiscount: taken(s.ItemDiscountAmount), SaleDiscount: taken(s.SaleDiscountAmount),
		Subtotal: number(s.SubTotal), Tax: number(s.TaxAmount), Total: number(s.PayAmount),
	}
	if d.ID == "" {
		d.ID = s.TransactionID
	}
	if d.Total == nil {
		d.Total = &Number{currency: in.Currency}
	}
	code := printer.Op{Op: "barcode", Symbology: "code128", Data: string(d.ID)}
	if printer.BarcodeModule(code, printer.Dots(in.Columns)) > 0 && strings.Trim(string(d.ID), " ") == string(d.ID) {
		d.Barcode = d.ID
	}
	for _, l := range s.LineItems {
		line := LineData{
			SKU: l.SKU, Name: l.Name, Refund: l.IsRefund, Original: l.RefundTransactionID,
			Single: !l.Quantity.given || l.Quantity.value.Abs().IsOne(), Quantity: number(l.Quantity), UnitPrice: number(l.UnitPrice),
			Amount: number(l.ExtPrice), Discount: taken(l.ItemDiscountAmount),
		}
		if line.Name == "" {
			line.Name = l.SKU
		}
		if l.UOM != "EA" {
			line.Unit = l.UOM
		}
		d.Lines = append(d.Lines, line)
	}
	f.tenders(d, in, s)
	d.PriceWidth = f.priceWidth(d)
	return d, nil
}

// moment reads a time as it was posted; one without an offset is the store's own.
func (f *Form) moment(posted string) *Moment {
	if posted == "" {
		return nil
	}
	if t, err := time.Parse(time.RFC3339, posted); err == nil {
		return &Moment{at: t.In(f.options.Location)}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if t, err := time.Parse(layout, posted); err == nil {
			return &Moment{at: t}
		}
	}
	return &Moment{posted: posted}
}

// tenders tells how the sale was paid, and what change was given where cash was more than the rest.
func (f *Form) tenders(d *Data, in Input, s posted) {
	pays := map[string]payments.Payment{}
	for _, p := range in.Payments {
		pays[p.ID] = p
	}
	cards := map[string]offline.GiftcardView{}
	for _, g := range in.Giftcards {
		cards[g.ID] = g
	}
	if len(in.Tenders) == 0 {
		d.PaidBy = s.PayMethod
	}
	over, known := s.PayAmount.value.Neg(), !d.Refund
	cash := false
	for _, t := range in.Tenders {
		var out TenderData
		pay, isCard := pays[t.PaymentID]
		if gift, ok := cards[t.GiftcardTransactionID]; ok && t.Type == "giftcard" {
			out = f.giftcard(gift, d)
		} else if isCard && t.Type == "card" {
			out = f.card(pay, d)
		} else {
			out = TenderData{Type: t.Type, Name: Text(f.locale.words[tenderWord(t.Type)])}
		}
		if out.Amount == nil {
			if v, err := decimal.Parse(t.Amount); err == nil {
				out.Amount = &Number{v, in.Currency}
			}
		}
		if out.Amount == nil {
			known = false
		} else if sum, err := over.Add(out.Amount.value); err == nil {
			over = sum
		}
		cash = cash || t.Type == "cash"
		d.Tenders = append(d.Tenders, out)
	}
	if known && cash && over.IsPos() {
		d.Change = &Number{over, in.Currency}
	}
}

// tenderWord is the word for a kind of tender.
func tenderWord(kind string) string {
	switch kind {
	case "card", "cash":
		return kind
	case "giftcard":
		return "gift_card"
	}
	return "other"
}

func (f *Form) giftcard(g offline.GiftcardView, d *Data) TenderData {
	out := TenderData{Type: "giftcard", Code: Text(g.Code), Offline: g.Offline}
	last := []rune(g.Code)
	out.Name = Text(strings.TrimSpace(f.locale.words["gift_card"] + " " + hidden(string(last[max(len(last)-4, 0):]))))
	text := g.Amount
	if g.CapturedAmount != "" {
		text = g.CapturedAmount
	}
	if v, err := decimal.Parse(text); err == nil {
		if d.Refund {
			v = v.Neg()
		}
		out.Amount = &Number{v, string(d.Currency)}
	}
	if v, err := decimal.Parse(g.Balance); err == nil {
		out.Balance = &Number{v, string(d.Currency)}
	}
	return out
}

// hidden stands for all of a number but its last digits.
func hidden(last string) string {
	if last == "" {
		return ""
	}
	return "****" + last
}

// card tells of a card payment, and puts its slips on the receipt: the terminal's own words, or what must be on it where
// the terminal gave none.
func (f *Form) card(p payments.Payment, d *Data) TenderData {
	name := p.CardBrand
	if name == "" {
		name = f.locale.words["card"]
	}
	out := TenderData{Type: "card", Brand: Text(p.CardBrand), Last4: Text(p.Last4), Name: Text(strings.TrimSpace(name + " " + hidden(p.Last4)))}
	sum := p.Amount
	if p.ApprovedAmount != nil {
		sum = *p.ApprovedAmount
	}
	if p.CapturedAmount != nil {
		sum = *p.CapturedAmount
	}
	if p.TipAmount != nil {
		if with, err := sum.Add(*p.TipAmount); err == nil {
			sum = with
		}
		out.Tip = &Number{p.TipAmount.Decimal(), string(d.Currency)}
	}
	value := sum.Decimal()
	if p.Type == payments.Refund {
		value = value.Neg()
	}
	out.Amount = &Number{value, string(d.Currency)}

	var own []string
	for _, field := range []struct{ word, value string }{
		{"approval", p.ApprovalCode}, {"reference", p.TerminalReference}, {"entry", p.EntryMode},
	} {
		if field.value != "" {
			own = append(own, f.locale.words[field.word]+" "+field.value)
		}
	}
	if lines := slip(p.Receipt.Customer, own); len(lines) > 0 {
		d.Slips = append(d.Slips, SlipData{lines, out.Name, out.Amount})
	}
	if p.SignatureRequired && !d.Duplicate {
		d.Signatures = append(d.Signatures, SlipData{slip(p.Receipt.Merchant, own), out.Name, out.Amount})
	}
	return out
}

func slip(lines, own []string) []Text {
	if len(lines) == 0 {
		lines = own
	}
	return texts(lines)
}

// priceWidth is the room for the amounts, at most what leaves room for words.
func (f *Form) priceWidth(d *Data) int {
	widest := 8
	see := func(numbers ...*Number) {
		for _, n := range numbers {
			if n != nil {
				widest = max(widest, printer.Width(f.locale.number(n.value, decimals(n.currency))))
			}
		}
	}
	for _, l := range d.Lines {
		see(l.Amount, l.Discount)
	}
	for _, t := range d.Tenders {
		see(t.Amount, t.Tip, t.Balance)
	}
	see(d.SaleDiscount, d.Subtotal, d.Tax, d.Change)
	if d.Total != nil {
		widest = max(widest, printer.Width(f.locale.sum(d.Total.value, d.Total.currency)))
	}
	return min(widest+1, d.Columns-10)
}
