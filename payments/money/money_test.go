package money

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	tests := []struct {
		text, cur, want string
		minor           int64
	}{
		{"12.50", "USD", "12.50", 1250},
		{"12.5", "USD", "12.50", 1250},
		{"0", "USD", "0.00", 0},
		{"-0.06", "EUR", "-0.06", -6},
		{"100", "JPY", "100", 100},
		{"1.234", "KWD", "1.234", 1234},
		{"999999999999.99", "USD", "999999999999.99", 99999999999999},
	}
	for _, tc := range tests {
		a, err := Parse(tc.text, tc.cur)
		if err != nil {
			t.Errorf("Parse(%q, %s): %v", tc.text, tc.cur, err)
			continue
		}
		minor, ok := a.Minor()
		if a.String() != tc.want || minor != tc.minor || !ok {
			t.Errorf("Parse(%q, %s) = %s, %d minor (%v), want %s, %d", tc.text, tc.cur, a, minor, ok, tc.want, tc.minor)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "-", ".", ".5", "5.", "+5", "1e5", "1E5", " 1", "1 ", "01", "00", "--1", "1.2.3", "1,5", "NaN", "Infinity",
		"12.505", "0x1", "١", "1234567890123", "null", "1_000",
	} {
		if a, err := Parse(text, "USD"); !errors.Is(err, ErrSyntax) {
			t.Errorf("Parse(%q) = %v, %v, want ErrSyntax", text, a, err)
		}
	}
	for _, cur := range []string{"", "US", "usd", "XQQ", "USDX", "840"} {
		if a, err := Parse("1", cur); !errors.Is(err, ErrCurrency) {
			t.Errorf("Parse(1, %q) = %v, %v, want ErrCurrency", cur, a, err)
		}
	}
	if _, err := Parse("1.5", "JPY"); !errors.Is(err, ErrSyntax) {
		t.Errorf("yen with decimals: %v", err)
	}
}

func TestAddNeedsOneCurrency(t *testing.T) {
	usd, _ := Parse("1.00", "USD")
	eur, _ := Parse("1.00", "EUR")
	if _, err := usd.Add(eur); !errors.Is(err, ErrCurrency) {
		t.Errorf("adding dollars and euros: %v", err)
	}
	sum, err := usd.Add(usd)
	if err != nil || sum.String() != "2.00" {
		t.Errorf("1.00 + 1.00 = %v, %v", sum, err)
	}
}

func TestJSONForm(t *testing.T) {
	a, _ := Parse("12.5", "USD")
	out, err := json.Marshal(struct{ A Amount }{a})
	if err != nil || string(out) != `{"A":"12.50"}` {
		t.Fatalf("got %s, %v", out, err)
	}
	var back struct{ A Amount }
	if err := json.Unmarshal(out, &back); err != nil || back.A.String() != "12.50" {
		t.Fatalf("back: %v, %v", back.A, err)
	}
	if err := json.Unmarshal([]byte(`{"A":12.5}`), &back); err == nil {
		t.Fatal("a JSON number was taken for an amount")
	}
}

func TestMinorRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		minor := rapid.Int64Range(-99999999999999, 99999999999999).Draw(t, "minor")
		a, err := FromMinor(minor, "EUR")
		if err != nil {
			t.Fatal(err)
		}
		b, err := Parse(a.String(), "EUR")
		if err != nil {
			t.Fatalf("%s does not parse: %v", a, err)
		}
		if back, ok := b.Minor(); back != minor || !ok {
			t.Fatalf("%d became %d", minor, back)
		}
	})
	if _, err := FromMinor(math.MaxInt64, "EUR"); err != nil {
		t.Fatalf("largest int64: %v", err)
	}
}

func TestNumericRoundTrip(t *testing.T) {
	for code, number := range numeric {
		if len(number) != 3 {
			t.Errorf("%s has number %q", code, number)
		}
		if back, ok := ByNumeric(number); !ok || back != code {
			t.Errorf("%s → %s → %s", code, number, back)
		}
		if _, err := Digits(code); err != nil {
			t.Errorf("%s: %v", code, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"12.50", "-0.06", "1e5", "", "00.1", "999999999999.99"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s, "USD")
		if err != nil {
			return
		}
		b, err := Parse(a.String(), "USD")
		if err != nil || a.Cmp(b) != 0 {
			t.Fatalf("%q parsed as %s, which reads back as %s, %v", s, a, b, err)
		}
	})
}
