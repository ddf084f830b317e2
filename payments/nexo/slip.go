package nexo

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"storeagent/payments"
)

// slipWidth is how many characters a line of a slip may have: paper of 58 mm.
const slipWidth = 32

// Slips list their lines form-encoded, like name=TOTAL&value=10.16&key=totalAmount. Lines with these keys tell more of
// the card than its last four digits.
var hiddenKeys = map[string]bool{
	"expirydate": true, "expiry": true, "cardexpiry": true, "expdate": true, "cardbin": true, "bin": true, "issuerbin": true,
	"pansequence": true, "cardsequencenumber": true, "track2": true,
}

// slips sorts the terminal's receipts, as lines without card data. signature is true where one asks for it.
func slips(list []paymentReceipt) (out payments.Receipt, signature bool) {
	for _, r := range list {
		signature = signature || r.RequiredSignatureFlag
		lines := slipLines(r.OutputContent)
		if r.DocumentQualifier == "CustomerReceipt" {
			out.Customer = append(out.Customer, lines...)
		} else {
			out.Merchant = append(out.Merchant, lines...)
		}
	}
	return out, signature
}

func slipLines(c outputContent) []string {
	var lines []string
	open := false // the last line goes on
	for _, o := range c.OutputText {
		text, ok := slipLine(o.Text)
		if !ok {
			continue
		}
		if open && len(lines) > 0 {
			lines[len(lines)-1] = mask(lines[len(lines)-1] + " " + text)
		} else {
			lines = append(lines, text)
		}
		open = o.EndOfLineFlag != nil && !*o.EndOfLineFlag
	}
	return lines
}

// slipLine words one line: the name at the left, the value at the right. ok is false for what must not be shown.
func slipLine(text string) (line string, ok bool) {
	v, err := url.ParseQuery(text)
	if err != nil || !v.Has("name") && !v.Has("value") && !v.Has("key") {
		return mask(strings.TrimRight(text, " ")), true // plain text
	}
	key, name, value := strings.ToLower(v.Get("key")), mask(v.Get("name")), mask(v.Get("value"))
	if hiddenKeys[key] || strings.Contains(strings.ToLower(name), "expir") {
		return "", false
	}
	if key == "pan" || key == "maskedpan" || key == "cardnumber" {
		if value = lastFour(value); value == "" {
			return "", false
		}
		value = "**** " + value
	}
	gap := slipWidth - utf8.RuneCountInString(name) - utf8.RuneCountInString(value)
	switch {
	case value == "":
		return name, true
	case name == "":
		return value, true
	case gap < 1:
		gap = 1
	}
	return mask(name + strings.Repeat(" ", gap) + value), true // again: the halves could make a whole
}
