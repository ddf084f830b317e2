package sale

import (
	"fmt"

	"github.com/govalues/decimal"
)

// sums holds the numbers of a sale for the checks. They fit: every text has at most 12 digits before the point, so a
// thousand lines need 15, and decimal has 19.
type sums struct {
	pay, saleDiscount, itemDiscount, subTotal, refund, tax decimal.Decimal
	lines                                                  []lineSums
}

type lineSums struct {
	unitPrice, unitCost, quantity, ext, itemDiscount, saleDiscount decimal.Decimal
}

// signs refuses amounts whose sign contradicts the kind or the line. Zero has both signs. In an exchange (both kinds
// of lines) only payAmount says which way the money went; its sums may come out either way.
func (t *sums) signs(r *reader, s Sale) {
	header := []struct {
		name string
		d    decimal.Decimal
	}{
		{"payAmount", t.pay}, {"subTotal", t.subTotal}, {"taxAmount", t.tax},
		{"saleDiscountAmount", t.saleDiscount}, {"itemDiscountAmount", t.itemDiscount},
	}
	if mixed(s.Lines) {
		header = header[:1]
	}
	for _, f := range header {
		r.sign(f.name, f.d, s.Kind == Refunded, "a "+string(s.Kind))
	}
	r.sign("refundAmount", t.refund, false, "any sale")
	for i, l := range t.lines {
		what, path := "a line that is no refund", fmt.Sprintf("lineItems[%d].", i)
		back := s.Lines[i].IsRefund
		if back {
			what = "a refund line"
		}
		r.sign(path+"unitPrice", l.unitPrice, false, "any line")
		r.sign(path+"unitCost", l.unitCost, false, "any line")
		r.sign(path+"quantity", l.quantity, back, what)
		r.sign(path+"extPrice", l.ext, back, what)
		r.sign(path+"itemDiscountAmount", l.itemDiscount, back, what)
		r.sign(path+"saleDiscountAmount", l.saleDiscount, back, what)
	}
}

func (r *reader) sign(location string, d decimal.Decimal, negative bool, on string) {
	switch {
	case negative && d.IsPos():
		r.fail(location, "must not be positive on %s", on)
	case !negative && d.IsNeg():
		r.fail(location, "must not be negative on %s", on)
	}
}

func mixed(lines []Line) bool {
	refunds := 0
	for _, l := range lines {
		if l.IsRefund {
			refunds++
		}
	}
	return refunds > 0 && refunds < len(lines)
}

// warnings names the sums that disagree. The vendor's own examples do not add up, so none of this is refused.
func (t *sums) warnings(s Sale) []Warning {
	var ext, item, share decimal.Decimal
	numbers := map[int]bool{}
	twice := -1
	for i, l := range t.lines {
		ext, item, share = add(ext, l.ext), add(item, l.itemDiscount), add(share, l.saleDiscount)
		if n := s.Lines[i].LineNumber; numbers[n] && twice < 0 {
			twice = i
		} else {
			numbers[n] = true
		}
	}
	out := []Warning{}
	warn := func(yes bool, code, field, message string) {
		if yes {
			out = append(out, Warning{Code: code, Message: message, Field: field})
		}
	}
	exchange := mixed(s.Lines)
	warn(!t.saleDiscount.Equal(share), "sale_discount_mismatch", "saleDiscountAmount",
		"saleDiscountAmount is not the sum of the lines' saleDiscountAmount")
	warn(!t.itemDiscount.Equal(item), "item_discount_mismatch", "itemDiscountAmount",
		"itemDiscountAmount is not the sum of the lines' itemDiscountAmount")
	due := add(add(add(ext, item.Neg()), share.Neg()), t.tax)
	warn(!t.pay.Equal(due), "pay_amount_mismatch", "payAmount",
		"payAmount is not the lines' extPrice less their discounts plus taxAmount")
	warn(!t.subTotal.Equal(add(t.pay, t.tax.Neg())), "sub_total_mismatch", "subTotal",
		"subTotal is not payAmount less taxAmount")
	back := decimal.Decimal{}
	if s.Kind == Refunded {
		back = t.pay.Neg()
	}
	warn(!exchange && !t.refund.Equal(back), "refund_amount_mismatch", "refundAmount",
		"refundAmount is not what was paid back")
	warn(exchange, "mixed_lines", "lineItems", "the sale has both sold and refunded lines")
	warn(!exchange && onlyRefunds(s.Lines) != (s.Kind == Refunded), "kind_mismatch", "kind",
		"the lines' isRefund says the opposite of the sale's kind")
	if twice >= 0 {
		warn(true, "line_number_twice", fmt.Sprintf("lineItems[%d].lineNumber", twice), "two lines bear the same lineNumber")
	}
	return out
}

// add cannot overflow here (see sums); were it to, the sum would differ and that is a warning.
func add(a, b decimal.Decimal) decimal.Decimal {
	c, err := a.Add(b)
	if err != nil {
		return decimal.Decimal{}
	}
	return c
}
