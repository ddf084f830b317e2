package wireline

import (
	"fmt"

	"storeagent/payments/money"
)

// Minor gives a positive amount in minor units, of at most limit; the error says which amount does not fit.
func Minor(a money.Amount, limit int64) (int64, error) {
	n, ok := a.Minor()
	if !ok || n <= 0 {
		return 0, fmt.Errorf("amount %s: want a positive amount with a currency", a)
	}
	if n > limit {
		return 0, fmt.Errorf("amount %s is too high for the terminal", a)
	}
	return n, nil
}

// Digits reads one to twelve ASCII digits and nothing else.
func Digits(s string) (n int64, ok bool) {
	if len(s) == 0 || len(s) > 12 {
		return 0, false
	}
	for _, c := range []byte(s) {
		if !isDigit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
