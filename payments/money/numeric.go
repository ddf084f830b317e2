package money

// numeric holds the ISO 4217 numeric codes (list one, "Current currency & funds") that card terminals use on the
// wire.
var numeric = map[string]string{
	"AED": "784", "ARS": "032", "AUD": "036", "BGN": "975", "BRL": "986", "CAD": "124", "CHF": "756", "CLP": "152",
	"CNY": "156", "COP": "170", "CZK": "203", "DKK": "208", "EGP": "818", "EUR": "978", "GBP": "826", "HKD": "344",
	"HUF": "348", "IDR": "360", "ILS": "376", "INR": "356", "ISK": "352", "JPY": "392", "KRW": "410", "KWD": "414",
	"MAD": "504", "MXN": "484", "MYR": "458", "NOK": "578", "NZD": "554", "PEN": "604", "PHP": "608", "PLN": "985",
	"QAR": "634", "RON": "946", "RSD": "941", "SAR": "682", "SEK": "752", "SGD": "702", "THB": "764", "TND": "788",
	"TRY": "949", "TWD": "901", "UAH": "980", "USD": "840", "VND": "704", "ZAR": "710",
}

// Numeric gives the three-digit ISO 4217 number of a currency; ok is false for one no terminal driver knows.
func Numeric(code string) (number string, ok bool) {
	number, ok = numeric[code]
	return number, ok
}

// ByNumeric gives the currency of a three-digit ISO 4217 number.
func ByNumeric(number string) (code string, ok bool) {
	for c, n := range numeric {
		if n == number {
			return c, true
		}
	}
	return "", false
}
