// Package money is the exact decimal amount with a currency, and the exact decimal number for quantities and unit
// prices, in the strict text form of the API: digits, an optional minus before them, an optional fraction behind a
// point. No exponent, no plus, no blanks, no bare point, no leading zeros. No float appears in it.
//
// It is called by every floor above devices and imports nothing of this module. Values are immutable and safe for
// concurrent use.
package money

import (
	"errors"
	"fmt"

	"github.com/govalues/decimal"
	"golang.org/x/text/currency"
)

// ErrSyntax is wrapped by every refusal of a text that is no strict decimal.
var ErrSyntax = errors.New(`want a decimal text like "12.50"`)

// ErrCurrency is wrapped where a code is not an ISO 4217 currency or two currencies meet.
var ErrCurrency = errors.New("currency")

// MaxDigits is how many digits a text may have before the point; larger sums are typing errors at a till.
const MaxDigits = 12

// Amount is a sum of money. The zero Amount is "0" without a currency.
type Amount struct {
	d   decimal.Decimal
	cur string
}

// Digits gives how many decimals a currency has (ISO 4217), or ErrCurrency for a code that is none.
func Digits(code string) (int, error) {
	if len(code) != 3 || code != upper(code) {
		return 0, fmt.Errorf("%w %q is not an ISO 4217 code like USD", ErrCurrency, code)
	}
	u, err := currency.ParseISO(code)
	if err != nil {
		return 0, fmt.Errorf("%w %q is not an ISO 4217 code like USD", ErrCurrency, code)
	}
	scale, _ := currency.Standard.Rounding(u)
	return scale, nil
}

// Parse reads an amount with at most the currency's decimals.
func Parse(text, code string) (Amount, error) {
	scale, err := Digits(code)
	if err != nil {
		return Amount{}, err
	}
	d, err := ParseDecimal(text, scale)
	if err != nil {
		return Amount{}, err
	}
	return Amount{d.Pad(scale), code}, nil
}

// ParseDecimal reads a strict decimal with at most maxScale digits behind the point.
func ParseDecimal(text string, maxScale int) (decimal.Decimal, error) {
	if err := checkSyntax(text, maxScale); err != nil {
		return decimal.Decimal{}, err
	}
	d, err := decimal.Parse(text)
	if err != nil {
		return decimal.Decimal{}, fmt.Errorf("%q: %w", text, ErrSyntax)
	}
	return d, nil
}

func checkSyntax(text string, maxScale int) error {
	s := text
	if s != "" && s[0] == '-' {
		s = s[1:]
	}
	whole := 0
	for whole < len(s) && isDigit(s[whole]) {
		whole++
	}
	switch {
	case whole == 0, whole > 1 && s[0] == '0':
		return ErrSyntax
	case whole > MaxDigits:
		return fmt.Errorf("at most %d digits before the point: %w", MaxDigits, ErrSyntax)
	case whole == len(s):
		return nil
	case s[whole] != '.' || whole+1 == len(s):
		return ErrSyntax
	}
	for i := whole + 1; i < len(s); i++ {
		if !isDigit(s[i]) {
			return ErrSyntax
		}
	}
	if scale := len(s) - whole - 1; scale > maxScale {
		return fmt.Errorf("at most %d decimals, got %d: %w", maxScale, scale, ErrSyntax)
	}
	return nil
}

// FromMinor makes an amount of minor units (cents).
func FromMinor(minor int64, code string) (Amount, error) {
	scale, err := Digits(code)
	if err != nil {
		return Amount{}, err
	}
	d, err := decimal.New(minor, scale)
	if err != nil {
		return Amount{}, fmt.Errorf("amount of %d minor units: %w", minor, err)
	}
	return Amount{d, code}, nil
}

// Minor gives the amount in minor units. ok is false where the amount has no currency.
func (a Amount) Minor() (minor int64, ok bool) {
	scale, err := Digits(a.cur)
	if err != nil {
		return 0, false
	}
	whole, frac, ok := a.d.Int64(scale)
	if !ok {
		return 0, false
	}
	for range scale {
		whole *= 10
	}
	return whole + frac, true
}

// Currency is the ISO 4217 code, "" for none.
func (a Amount) Currency() string { return a.cur }

// Decimal is the bare number.
func (a Amount) Decimal() decimal.Decimal { return a.d }

// Sign is -1, 0 or 1.
func (a Amount) Sign() int { return a.d.Sign() }

// Add sums two amounts of one currency.
func (a Amount) Add(b Amount) (Amount, error) {
	if a.cur != b.cur {
		return Amount{}, fmt.Errorf("%w %s meets %s", ErrCurrency, a.cur, b.cur)
	}
	d, err := a.d.Add(b.d)
	if err != nil {
		return Amount{}, fmt.Errorf("add %s and %s: %w", a, b, err)
	}
	return Amount{d, a.cur}, nil
}

// Cmp compares two amounts by number: -1, 0 or 1.
func (a Amount) Cmp(b Amount) int { return a.d.Cmp(b.d) }

// String is the number with the currency's decimals: "12.50".
func (a Amount) String() string { return a.d.String() }

// MarshalText makes JSON strings of amounts.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads an amount whose currency is not known (a client reading an answer): any scale up to 6.
func (a *Amount) UnmarshalText(text []byte) error {
	d, err := ParseDecimal(string(text), 6)
	if err != nil {
		return err
	}
	*a = Amount{d: d}
	return nil
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'a' && c <= 'z' {
			b[i] = c - 32
		}
	}
	return string(b)
}
