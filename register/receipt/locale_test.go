package receipt

import (
	"bytes"
	"encoding/json"
	"errors"
	"image"
	"image/png"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/govalues/decimal"
	"golang.org/x/text/language"

	"storeagent/devices/printer"
)

// TestNumbers holds sums, numbers and times of locales against what their speakers write. "_" is a blank that does not
// break.
func TestNumbers(t *testing.T) {
	at := time.Date(2026, 3, 4, 15, 7, 0, 0, time.UTC)
	for _, c := range []struct{ locale, currency, amount, sum, number, when string }{
		{"", "USD", "1234567.5", "$1,234,567.50", "1,234,567.50", "3/4/2026 3:07 PM"},
		{"en-US", "EUR", "-0.5", "-€0.50", "-0.50", "3/4/2026 3:07 PM"},
		{"en-US", "CHF", "-12", "-CHF_12.00", "-12.00", "3/4/2026 3:07 PM"},
		{"en-GB", "GBP", "1000", "£1,000.00", "1,000.00", "04/03/2026 15:07"},
		{"en-IN", "INR", "1234567.5", "₹12,34,567.50", "12,34,567.50", "04/03/2026 3:07_pm"},
		{"de", "EUR", "-1234.5", "-1.234,50_€", "-1.234,50", "04.03.2026 15:07"},
		{"de-CH", "CHF", "-1234.5", "CHF-1'234.50", "-1'234.50", "04.03.2026 15:07"},
		{"fr-FR", "EUR", "1234.5", "1_234,50_€", "1_234,50", "04/03/2026 15:07"},
		{"fr-CA", "CAD", "1234.5", "1_234,50_$", "1_234,50", "2026-03-04 15 h 07"},
		{"es-ES", "EUR", "1234.5", "1234,50_€", "1234,50", "4/3/2026 15:07"},
		{"es-ES", "EUR", "12345.5", "12.345,50_€", "12.345,50", "4/3/2026 15:07"},
		{"it-IT", "EUR", "12345.5", "12.345,50_€", "12.345,50", "04/03/2026 15:07"},
		{"nl-NL", "EUR", "-1234.5", "€_-1.234,50", "-1.234,50", "04-03-2026 15:07"},
		{"pt-BR", "BRL", "1234.5", "R$_1.234,50", "1.234,50", "04/03/2026 15:07"},
		{"pl-PL", "PLN", "12345.5", "12_345,50_zł", "12_345,50", "4.03.2026 15:07"},
		{"sv-SE", "SEK", "-1234.5", "-1_234,50_kr", "-1_234,50", "2026-03-04 15:07"},
		{"da-DK", "DKK", "1234.5", "1.234,50_kr.", "1.234,50", "04.03.2026 15.07"},
		{"nn-NO", "NOK", "1234.5", "1_234,50_kr", "1_234,50", "04.03.2026 15:07"},
		{"cs-CZ", "CZK", "1234.5", "1_234,50_Kč", "1_234,50", "04.03.2026 15:07"},
		{"ja-JP", "JPY", "1234", "￥1,234", "1,234", "2026/03/04 15:07"},
		{"he-IL", "ILS", "1234.5", "1,234.50_₪", "1,234.50", "4.3.2026 15:07"},
		{"ar-EG", "EGP", "-1234.5", "-١٬٢٣٤٫٥٠_ج.م.", "-١٬٢٣٤٫٥٠", "٤/٣/٢٠٢٦ ٣:٠٧ م"},
		{"en-US", "KWD", "1.5", "KWD_1.500", "1.500", "3/4/2026 3:07 PM"},
	} {
		l, err := newLocale(c.locale, nil)
		if err != nil {
			t.Errorf("%s: %v", c.locale, err)
			continue
		}
		d := decimal.MustParse(c.amount)
		for _, pair := range [][2]string{
			{l.sum(d, c.currency), c.sum}, {l.number(d, decimals(c.currency)), c.number}, {l.date(at) + " " + l.time(at), c.when},
		} {
			if got, want := strings.ReplaceAll(pair[0], "\u00a0", "_"), pair[1]; strings.ReplaceAll(got, "_AM", " AM") != want && strings.ReplaceAll(got, "_PM", " PM") != want {
				t.Errorf("%s: got %q, want %q", c.locale, got, want)
			}
		}
	}
}

// TestEveryLocale holds that each locale is whole: it writes every number and time, and reads right.
func TestEveryLocale(t *testing.T) {
	known, err := knownLocales()
	if err != nil || len(known) < 50 {
		t.Fatal(len(known), err)
	}
	for name := range known {
		l, err := newLocale(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if l.tag.String() != name {
			t.Errorf("%s is laid out as %s", name, l.tag)
		}
		for hour := range 24 {
			at := time.Date(2026, 12, 31, hour, 59, 0, 0, time.UTC)
			for _, s := range []string{l.date(at), l.time(at)} {
				if s == "" || strings.ContainsAny(s, "yMdHm'") && !strings.ContainsAny(s, "0123456789٠١٢٣٤٥٦٧٨٩") {
					t.Errorf("%s: %q", name, s)
				}
			}
		}
		if strings.Count(l.Sum, "#") != 1 || strings.Count(l.Negative, "¤") != 1 || !strings.Contains(l.Negative, "-") || l.Decimal == "" {
			t.Errorf("%s: %+v", name, l.forms)
		}
		if _, script := language.MustParse(name).Script(); script == language.No {
			t.Errorf("%s has no script", name)
		}
		if want := strings.HasPrefix(name, "ar") || strings.HasPrefix(name, "he"); l.rtl != want {
			t.Errorf("%s: from right to left: %t", name, l.rtl)
		}
	}
}

// TestWords holds that each language has every word, and its own.
func TestWords(t *testing.T) {
	var all map[string]map[string]string
	if err := json.Unmarshal(wordsJSON, &all); err != nil {
		t.Fatal(err)
	}
	english := slices.Sorted(maps.Keys(all["en"]))
	for _, name := range []string{"en", "de", "fr", "es", "it", "nl", "pt", "pl", "sv", "da", "nb", "fi", "cs", "he", "ar"} {
		if got := slices.Sorted(maps.Keys(all[name])); !slices.Equal(got, english) {
			t.Errorf("%s has the words %v", name, got)
		}
	}
	for name, words := range all {
		for key, word := range words {
			if all["en"][key] == "" || strings.TrimSpace(word) == "" {
				t.Errorf("%s: %s is %q", name, key, word)
			}
		}
	}
	for locale, want := range map[string]string{"": "Total", "de-AT": "Summe", "pt-BR": "Tributos", "nn-NO": "Totalt", "ja-JP": "Total", "fr-CA": "Comptant", "es-MX": "RFC"} {
		l, err := newLocale(locale, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(slices.Collect(maps.Values(l.words)), want) {
			t.Errorf("%s has no %q: %v", locale, want, l.words)
		}
	}
}

// TestStoredLogo heads every receipt, in place of a logo of the template's, also on paper read from right to left.
func TestStoredLogo(t *testing.T) {
	for _, locale := range []string{"en-US", "ar-EG"} {
		for _, kind := range SampleKinds() {
			f, err := NewForm(Options{Locale: locale, StoredLogo: "L1", Currency: "USD"})
			if err != nil {
				t.Fatal(err)
			}
			got, err := f.Layout(Sample(kind, "USD", 42))
			if err != nil || got.Problem != nil {
				t.Fatal(err, got.Problem)
			}
			first := got.Document[0]
			if first.Op != "image" || first.Stored != "L1" || first.PNG != nil || first.Align != "center" || len(got.Document) < 5 {
				t.Errorf("%s, %s begins with %+v", locale, kind, first)
			}
			if err := printer.Check(got.Document, 42); err != nil {
				t.Errorf("%s, %s: %v", locale, kind, err)
			}
		}
	}
}

func TestRefusedOptions(t *testing.T) {
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 1, 1))); err != nil {
		t.Fatal(err)
	}
	dot := b.Bytes()
	for _, c := range []struct {
		o      Options
		option string
		words  string
	}{
		{Options{Locale: "deutsch-"}, "locale", "is not a locale"},
		{Options{Locale: "sw-KE"}, "locale", "is not known"},
		{Options{Locale: "tlh"}, "locale", "is not known"},
		{Options{Words: map[string]string{"totl": "x"}}, "words.totl", "is no word"},
		{Options{Logo: []byte("GIF89a")}, "logo", "no image"},
		{Options{Logo: make([]byte, MaxLogo+1)}, "logo", "at most"},
		{Options{StoredLogo: "LOGO"}, "stored_logo", "two characters"},
		{Options{StoredLogo: "LG", Logo: dot}, "stored_logo", "both"},
	} {
		_, err := NewForm(c.o)
		var bad *OptionError
		if !errors.As(err, &bad) || bad.Option != c.option || !strings.Contains(bad.Message, c.words) || bad.Hint == "" {
			t.Errorf("%+v: %v", c.option, err)
		}
	}
}
