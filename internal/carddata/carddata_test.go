package carddata

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

func TestLooksLikeCard(t *testing.T) {
	gift := []string{"600649"}
	for _, c := range []struct {
		text  string
		allow []string
		want  bool
	}{
		{"4111111111111111", nil, true},
		{"4111 1111 1111 1111", nil, true},
		{"4111-1111-1111-1111", nil, true},
		{"378282246310005", nil, true},       // American Express, 15 digits
		{"5555555555554444", nil, true},      // Mastercard
		{"2223003122003222", nil, true},      // Mastercard, 2-series
		{"6011111111111117", nil, true},      // Discover
		{"30569309025904", nil, true},        // Diners, 14 digits
		{"6759649826438453", nil, true},      // Maestro
		{"4222222222222", nil, true},         // Visa, 13 digits
		{"4111111111111112", nil, false},     // Luhn
		{"7111111111111114", nil, false},     // nobody's range
		{"411111111111", nil, false},         // 12 digits
		{"41111111111111111111", nil, false}, // 20 digits
		{"4006381333931", nil, false},        // an EAN-13
		{"4006381300063", nil, false},        // an EAN-13 that passes Luhn
		{"1 4111111111111111", nil, true},    // beside another number
		{"card: 4111111111111111.", nil, true},
		{"x4111111111111111y", nil, true},
		{"41111111111111112345678", nil, false}, // inside a longer number
		{"%B4111111111111111^DOE/J^3012101?", nil, true},
		{";4111111111111111=3012101?", nil, true},
		{";4111111111111112=3012101?", nil, true}, // a track needs no Luhn
		{"%b4111111111111111^x", nil, true},
		{"+4111111111111111=1", nil, true},
		{"a;b=c", nil, false},
		{"https://id.gs1.org/01/09521234543213/10/ABC?17=251231", nil, false},
		{"6006491111111110", gift, false},
		{";6006491111111110=3012?", gift, false},
		{"6006491111111110 4111111111111111", gift, true},
		{"", nil, false},
	} {
		if got := LooksLikeCard(c.text, c.allow); got != c.want {
			t.Errorf("%q with %v: %v", c.text, c.allow, got)
		}
	}
	if !luhn("4006381300063") || !luhn("6006491111111110") {
		t.Error("the table's numbers do not test what they say")
	}
}

func TestIssuerRanges(t *testing.T) {
	for prefix, want := range map[string]bool{
		"2220": false, "2221": true, "2720": true, "2721": false, "3000": true, "3999": true, "4000": true,
		"4999": true, "5000": true, "5100": true, "5599": true, "5600": true, "6999": true, "7000": false,
		"1999": false, "0000": false, "9999": false,
	} {
		if got := issued(prefix + "000000000"); got != want {
			t.Errorf("%s: %v", prefix, got)
		}
	}
}

func TestFindCard(t *testing.T) {
	for text, want := range map[string]string{
		`{"note":"paid 4111 1111 1111 1111 today"}`: "4111 1111 1111 1111",
		"tel 555 12345 card 378282246310005":        "378282246310005",
		"before %B4111111111111111^DOE^3012? after": "%B4111111111111111^DOE^3012?",
		"\xff4111111111111111\xfe":                  "4111111111111111",
		"12:00 4111-1111-1111-1111":                 "4111-1111-1111-1111",
		"4111  1111  1111  1111":                    "",
		"1234567890":                                "",
	} {
		start, end, ok := FindCard(text)
		if got := text[start:end]; got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", text, got, ok)
		}
	}
}

func FuzzFindCard(f *testing.F) {
	for _, s := range []string{"4111111111111111", ";4111111111111111=1?", "%B4 1^", "1-1 1--1", "\xff;"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		start, end, ok := FindCard(text)
		if start < 0 || end > len(text) || ok != (start < end) {
			t.Fatalf("%d..%d, %v", start, end, ok)
		}
		if ok != LooksLikeCard(text, nil) {
			t.Fatal("the two functions disagree")
		}
		if strings.ContainsAny(text, "0123456789;%") {
			return
		}
		const card = "4111111111111111"
		if start, end, ok := FindCard(text + "," + card + "," + text); !ok || (text + "," + card + "," + text)[start:end] != card {
			t.Fatalf("%q not found between %q", card, text)
		}
	})
}

// TestUUIDsAreNoCards holds that an id never is taken for a card number, in whatever text it stands; all of these are
// digits, so that many hold a number that would pass.
func TestUUIDsAreNoCards(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	broken := 0
	for range 20000 {
		id := []byte("00000000-0000-7000-8000-000000000000")
		for i := range id {
			if id[i] == '0' {
				id[i] = '0' + byte(rnd.IntN(10))
			}
		}
		if LooksLikeCard("x"+string(id), nil) { // no UUID
			broken++
		}
		for _, text := range []string{"%s", "sale-%s", `{"paymentId":"%s"}`, "5 %s 4111", "id %[1]s and %[1]s"} {
			if text = fmt.Sprintf(text, id); LooksLikeCard(text, nil) {
				t.Fatalf("%q is taken for a card", text)
			}
		}
		if text := string(id) + " 4111111111111111"; !LooksLikeCard(text, nil) {
			t.Fatalf("%q is not taken for a card", text)
		}
	}
	if broken == 0 {
		t.Error("none of them would have been taken for a card")
	}
	for _, text := range []string{
		"4111-1111-1111-1111-000000000000", "41111111-1111-1111-0111-111111111111", "41111111-1111-1111-8111-1111111111111",
		"%B4111111111111111^A/B^01a20134-1111-7111-8111-111111111111?",
	} {
		if !LooksLikeCard(text, nil) {
			t.Errorf("%q is not taken for a card", text)
		}
	}
}
