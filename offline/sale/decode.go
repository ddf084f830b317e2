package sale

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"

	"github.com/govalues/decimal"

	"storeagent/payments/money"
)

// Field names of the vendor's "Record Purchase" page (required: those of its minimal example), and the three the
// agent adds.
var (
	headerRequired = []string{
		"transactionId", "purchasedOn", "payAmount", "saleDiscountAmount", "itemDiscountAmount", "subTotal",
		"refundAmount", "taxAmount", "lineItems",
	}
	headerOptional = []string{
		"storeCode", "channel", "memberId", "customerId", "email", "orderType", "payMethod",
		"kind", "currency", "tenders",
	}
	lineRequired = []string{
		"lineNumber", "sku", "isRefund", "unitPrice", "extPrice", "itemDiscountAmount", "saleDiscountAmount", "quantity", "uom",
	}
	lineOptional = []string{
		"name", "vendor", "productPriceClass", "unitCost", "refundTransactionId", "refundLineNumber",
	}
	tenderOptional = []string{"paymentId", "giftcardTransactionId", "amount"}
)

// Decode reads a posted sale strictly. Everything that is wrong with it comes back in one *FieldErrors; sums that
// disagree are warnings of the Sale. Nothing of the posted values is in the errors.
func Decode(body json.RawMessage, defaults Defaults) (Sale, error) {
	if !json.Valid(body) || !utf8.Valid(body) {
		return Sale{}, &FieldErrors{[]FieldError{{"body", "is not valid JSON in UTF-8"}}}
	}
	r := &reader{digits: fineScale}
	o, ok := r.readObject(trim(body), "", headerRequired, headerOptional)
	if !ok {
		return Sale{}, &FieldErrors{r.errs}
	}
	s := Sale{StoreCode: defaults.StoreCode, Currency: defaults.Currency}
	r.currency(o, &s)
	sums := r.header(o, &s)
	r.lines(o, &s, sums)
	r.tenders(o, &s)
	r.kind(o, &s, sums)
	local := r.purchasedOn(o, defaults.Location)
	s.PurchasedOn = local
	if len(r.errs) == 0 {
		sums.signs(r, s)
	}
	if len(r.errs) > 0 {
		return Sale{}, &FieldErrors{r.errs}
	}
	s.Warnings = sums.warnings(s)
	var err error
	if s.Body, err = forwarded(o, s); err != nil {
		return Sale{}, err
	}
	s.ContentHash, err = contentHash(s.Body)
	return s, err
}

func (r *reader) currency(o object, s *Sale) {
	if code := r.text(o, "currency", 1); code != "" {
		s.Currency = code
	}
	digits, err := money.Digits(s.Currency)
	if err != nil {
		r.fail("currency", "want an ISO 4217 code like USD")
		return
	}
	r.digits = digits
}

// header reads the header but for kind, currency and purchasedOn.
func (r *reader) header(o object, s *Sale) *sums {
	s.TransactionID = r.text(o, "transactionId", 1)
	if o.has("storeCode") {
		s.StoreCode = r.text(o, "storeCode", 1)
		if _, ok := o.get("storeCode"); !ok {
			r.fail("storeCode", "must not be null; leave it out for the store's own code")
		}
	} else if s.StoreCode == "" {
		r.fail("storeCode", "is missing")
	}
	s.Channel = r.text(o, "channel", 0)
	s.MemberID = r.text(o, "memberId", 0)
	s.CustomerID = r.text(o, "customerId", 0)
	s.Email = r.text(o, "email", 0)
	s.OrderType = r.text(o, "orderType", 0)
	s.PayMethod = r.text(o, "payMethod", 0)
	t := &sums{}
	for _, f := range []struct {
		name string
		text *string
		d    *decimal.Decimal
	}{
		{"payAmount", &s.PayAmount, &t.pay},
		{"saleDiscountAmount", &s.SaleDiscountAmount, &t.saleDiscount},
		{"itemDiscountAmount", &s.ItemDiscountAmount, &t.itemDiscount},
		{"subTotal", &s.SubTotal, &t.subTotal},
		{"refundAmount", &s.RefundAmount, &t.refund},
		{"taxAmount", &s.TaxAmount, &t.tax},
	} {
		*f.text, *f.d, _ = r.amount(o, f.name, r.digits)
	}
	return t
}

func (r *reader) lines(o object, s *Sale, t *sums) {
	for i, raw := range r.list(o, "lineItems", 1, MaxLines) {
		path := fmt.Sprintf("lineItems[%d]", i)
		lo, ok := r.readObject(raw, path, lineRequired, lineOptional)
		if !ok {
			continue
		}
		l := Line{
			SKU:                 r.text(lo, "sku", 1),
			IsRefund:            r.yesNo(lo, "isRefund"),
			UOM:                 r.text(lo, "uom", 1),
			Name:                r.text(lo, "name", 0),
			Vendor:              r.text(lo, "vendor", 0),
			ProductPriceClass:   r.text(lo, "productPriceClass", 0),
			RefundTransactionID: r.text(lo, "refundTransactionId", 0),
		}
		l.LineNumber, _ = r.whole(lo, "lineNumber")
		if n, ok := r.whole(lo, "refundLineNumber"); ok {
			l.RefundLineNumber = &n
		}
		var d lineSums
		l.UnitPrice, d.unitPrice, _ = r.amount(lo, "unitPrice", fineScale)
		l.UnitCost, d.unitCost, _ = r.amount(lo, "unitCost", fineScale)
		l.Quantity, d.quantity, _ = r.amount(lo, "quantity", fineScale)
		l.ExtPrice, d.ext, _ = r.amount(lo, "extPrice", r.digits)
		l.ItemDiscountAmount, d.itemDiscount, _ = r.amount(lo, "itemDiscountAmount", r.digits)
		l.SaleDiscountAmount, d.saleDiscount, _ = r.amount(lo, "saleDiscountAmount", r.digits)
		s.Lines = append(s.Lines, l)
		t.lines = append(t.lines, d)
	}
}

func (r *reader) tenders(o object, s *Sale) {
	for i, raw := range r.list(o, "tenders", 0, MaxTenders) {
		to, ok := r.readObject(raw, fmt.Sprintf("tenders[%d]", i), []string{"type"}, tenderOptional)
		if !ok {
			continue
		}
		t := Tender{
			Type:                  r.text(to, "type", 1),
			PaymentID:             r.text(to, "paymentId", 1),
			GiftcardTransactionID: r.text(to, "giftcardTransactionId", 1),
		}
		t.Amount, _, _ = r.amount(to, "amount", r.digits)
		needs := ""
		switch t.Type {
		case "card":
			needs = "paymentId"
		case "giftcard":
			needs = "giftcardTransactionId"
		case "cash", "other":
			needs = "amount"
		case "":
			continue // said already
		default:
			r.fail(to.at("type"), "want card, giftcard, cash or other")
			continue
		}
		for _, name := range tenderOptional {
			switch _, given := to.get(name); {
			case name == needs && !given:
				r.fail(to.at(name), "is missing on a tender of type %s", t.Type)
			case name != needs && given:
				r.fail(to.at(name), "does not belong on a tender of type %s", t.Type)
			}
		}
		s.Tenders = append(s.Tenders, t)
	}
}

// kind reads or derives the kind. A payAmount of zero has both signs: such a sale is a refund where all its lines are.
func (r *reader) kind(o object, s *Sale, t *sums) {
	switch k := Kind(r.text(o, "kind", 1)); k {
	case Sold, Refunded:
		s.Kind = k
		return
	case "":
	default:
		r.fail("kind", "want sale or refund")
		return
	}
	s.Kind = Sold
	if t.pay.IsNeg() || t.pay.IsZero() && onlyRefunds(s.Lines) {
		s.Kind = Refunded
	}
}

func onlyRefunds(lines []Line) bool {
	for _, l := range lines {
		if !l.IsRefund {
			return false
		}
	}
	return len(lines) > 0
}

// timeForm is RFC 3339 with the offset left to choice.
var timeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)?$`)

// localForm is how the cloud wants times: local, without offset.
const localForm = "2006-01-02T15:04:05.999999999"

// purchasedOn gives the local time of the sale: as posted, or converted where it came with an offset.
func (r *reader) purchasedOn(o object, loc *time.Location) string {
	if loc == nil {
		loc = time.UTC
	}
	text := r.text(o, "purchasedOn", 1)
	if text == "" {
		return ""
	}
	const hint = "want a time like 2021-09-15T04:50:00, or the same with an offset"
	form := timeForm.FindStringSubmatch(text)
	if form == nil {
		r.fail("purchasedOn", hint)
		return ""
	}
	if form[2] == "" {
		if at, err := time.Parse(localForm, text); err != nil || oddYear(at) {
			r.fail("purchasedOn", hint)
		}
		return text
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || oddYear(at) {
		r.fail("purchasedOn", hint)
		return ""
	}
	return at.In(loc).Format(localForm)
}

// oddYear tells a time that no till ever had, and keeps the converted one within four digits.
func oddYear(at time.Time) bool { return at.Year() < 1970 || at.Year() > 9998 }

// forwarded builds what goes to the cloud.
func forwarded(o object, s Sale) (json.RawMessage, error) {
	var b bytes.Buffer
	put := func(name string, raw json.RawMessage) {
		if b.Len() > 0 {
			b.WriteByte(',')
		} else {
			b.WriteByte('{')
		}
		fmt.Fprintf(&b, "%q:", name) // one of our own names
		b.Write(raw)
	}
	for _, m := range o.members {
		switch m.name {
		case "kind", "currency", "tenders":
			continue
		case "purchasedOn":
			var posted string
			if json.Unmarshal(m.raw, &posted) == nil && posted != s.PurchasedOn {
				m.raw = json.RawMessage(`"` + s.PurchasedOn + `"`)
			}
		}
		put(m.name, m.raw)
	}
	if !o.has("storeCode") {
		code, err := json.Marshal(s.StoreCode)
		if err != nil {
			return nil, fmt.Errorf("write store code: %w", err)
		}
		put("storeCode", code)
	}
	b.WriteByte('}')
	var out bytes.Buffer
	if err := json.Compact(&out, b.Bytes()); err != nil {
		return nil, fmt.Errorf("compact sale: %w", err)
	}
	return out.Bytes(), nil
}

// contentHash is the same for every order of keys and every way to write a text.
func contentHash(body json.RawMessage) ([32]byte, error) {
	var b bytes.Buffer
	if err := canonical(&b, body); err != nil {
		return [32]byte{}, fmt.Errorf("write canonical sale: %w", err)
	}
	return sha256.Sum256(b.Bytes()), nil
}
