package receipt

import (
	_ "embed" // locales.json and words.json
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/govalues/decimal"
	"golang.org/x/text/cases"
	"golang.org/x/text/currency"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"storeagent/payments/money"
)

// Numbers, sums and dates in the patterns of Unicode's CLDR; locales.mjs writes the file.
//
//go:embed locales.json
var localesJSON []byte

// The words of a receipt by language; a tag with a region holds what differs there.
//
//go:embed words.json
var wordsJSON []byte

// forms are how a locale writes numbers and times. In sums "¤" is the currency and "#" the number; in dates y, M and d
// are year, month and day, in times H is the hour of 24, h the hour of 12 and a its half of the day, all with as many
// digits as letters.
type forms struct {
	Decimal       string `json:"decimal"`
	Group         string `json:"group"`
	Secondary     int    `json:"secondary"`    // digits of all groups but the last; 0 is 3
	MinimumGroup  int    `json:"minimumGroup"` // digits before the last three from which on there are groups
	Digits        string `json:"digits"`       // from 0 to 9; "" is ASCII
	Sum           string `json:"sum"`
	Negative      string `json:"negative"`
	Coded         string `json:"coded"` // where the code stands for the currency; "" is Sum
	NegativeCoded string `json:"negativeCoded"`
	Date          string `json:"date"`
	Time          string `json:"time"`
	AM            string `json:"am"`
	PM            string `json:"pm"`
}

// locale writes numbers, times and words.
type locale struct {
	forms
	tag   language.Tag
	words map[string]string
	rtl   bool // written from right to left
}

// defaultLocale is that of a store that names none.
const defaultLocale = "en-US"

// knownLocales reads the embedded forms.
func knownLocales() (map[string]forms, error) {
	var file struct {
		Locales map[string]forms `json:"locales"`
	}
	if err := json.Unmarshal(localesJSON, &file); err != nil {
		return nil, fmt.Errorf("read locales.json: %w", err)
	}
	return file.Locales, nil
}

// newLocale finds the nearest known locale to a BCP 47 tag. own replaces words.
func newLocale(name string, own map[string]string) (*locale, error) {
	if name == "" {
		name = defaultLocale
	}
	asked, err := language.Parse(name)
	if err != nil {
		return nil, &OptionError{Option: "locale", Message: fmt.Sprintf("%q is not a locale", name), Hint: `write a language and a country, like "de-DE"`}
	}
	known, err := knownLocales()
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(known))
	names = slices.Insert(slices.DeleteFunc(names, func(n string) bool { return n == defaultLocale }), 0, defaultLocale)
	tags := make([]language.Tag, len(names))
	for i, n := range names {
		tags[i] = language.MustParse(n)
	}
	_, at, _ := language.NewMatcher(tags).Match(asked)
	if languageOf(asked) != languageOf(tags[at]) {
		slices.Sort(names)
		return nil, &OptionError{Option: "locale", Message: fmt.Sprintf("how %q writes numbers is not known", name), Hint: "known are " + strings.Join(names, ", ")}
	}
	l := &locale{forms: known[names[at]], tag: tags[at]}
	if l.words, err = wordsOf(asked, l.tag); err != nil {
		return nil, err
	}
	for key, word := range own {
		if _, ok := l.words[key]; !ok {
			return nil, &OptionError{Option: "words." + key, Message: "is no word of a receipt", Hint: "the words are " + strings.Join(slices.Sorted(maps.Keys(l.words)), ", ")}
		}
		l.words[key] = word
	}
	script, _ := l.tag.Script()
	l.rtl = slices.Contains([]string{"Arab", "Hebr"}, script.String())
	return l, nil
}

// languageOf is the language of a tag without script and region; both forms of Norwegian are one on a receipt.
func languageOf(tag language.Tag) string {
	base, _ := tag.Base()
	if name := base.String(); name != "no" && name != "nn" {
		return name
	}
	return "nb"
}

// wordsOf are the words of a language, with what its region says otherwise; English where there are none.
func wordsOf(tags ...language.Tag) (map[string]string, error) {
	var all map[string]map[string]string
	if err := json.Unmarshal(wordsJSON, &all); err != nil {
		return nil, fmt.Errorf("read words.json: %w", err)
	}
	words := maps.Clone(all["en"])
	for _, tag := range tags {
		name := languageOf(tag)
		if all[name] == nil {
			continue
		}
		region, _ := tag.Region()
		maps.Copy(words, all[name])
		maps.Copy(words, all[name+"-"+region.String()])
		break
	}
	return words, nil
}

// upper is text in capital letters.
func (l *locale) upper(s string) string { return cases.Upper(l.tag).String(s) }

// number writes a decimal with at least that many digits behind the point, and as many as it was posted with.
func (l *locale) number(d decimal.Decimal, least int) string {
	whole, fraction, _ := strings.Cut(d.Abs().String(), ".")
	fraction += strings.Repeat("0", max(least-len(fraction), 0))
	text := l.grouped(whole)
	if fraction != "" {
		text += l.Decimal + l.digits(fraction)
	}
	if d.IsNeg() {
		text = "-" + text
	}
	return text
}

func (l *locale) grouped(whole string) string {
	if l.Group == "" || len(whole) < 3+max(l.MinimumGroup, 1) {
		return l.digits(whole)
	}
	text := l.digits(whole[len(whole)-3:])
	size := l.Secondary
	if size == 0 {
		size = 3
	}
	for whole = whole[:len(whole)-3]; whole != ""; {
		cut := max(len(whole)-size, 0)
		text = l.digits(whole[cut:]) + l.Group + text
		whole = whole[:cut]
	}
	return text
}

// digits are ASCII digits in the digits of the locale.
func (l *locale) digits(s string) string {
	if l.Digits == "" {
		return s
	}
	own := []rune(l.Digits)
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return own[r-'0']
		}
		return r
	}, s)
}

// sum writes an amount with its currency, by its symbol where the locale has one.
func (l *locale) sum(d decimal.Decimal, code string) string {
	if code == "" {
		return l.number(d, 0)
	}
	symbol := code
	if unit, err := currency.ParseISO(code); err == nil {
		symbol = unmarked(message.NewPrinter(l.tag).Sprint(currency.Symbol(unit)))
	}
	pattern, negative := l.Sum, l.Negative
	if symbol == code && l.Coded != "" {
		pattern, negative = l.Coded, l.NegativeCoded
	}
	if d.IsNeg() {
		pattern = negative
	}
	return strings.NewReplacer("#", l.number(d.Abs(), decimals(code)), "¤", symbol).Replace(pattern)
}

// decimals of a currency, 0 for none.
func decimals(code string) int {
	n, err := money.Digits(code)
	if err != nil {
		return 0
	}
	return n
}

// unmarked leaves out marks of direction, which are for mixed text on screens.
func unmarked(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
}

func (l *locale) date(t time.Time) string { return l.at(t, l.Date) }
func (l *locale) time(t time.Time) string { return l.at(t, l.Time) }

// at fills a pattern of dates or times.
func (l *locale) at(t time.Time, pattern string) string {
	var b strings.Builder
	for i := 0; i < len(pattern); {
		n := 1
		for i+n < len(pattern) && pattern[i+n] == pattern[i] {
			n++
		}
		switch pattern[i] {
		case '\'': // letters that stand for themselves
			end := strings.IndexByte(pattern[i+1:], '\'')
			b.WriteString(pattern[i+1 : i+1+end])
			n = end + 2
		case 'y':
			b.WriteString(l.digits(fmt.Sprintf("%04d", t.Year())))
		case 'M':
			b.WriteString(l.digits(fmt.Sprintf("%0*d", n, int(t.Month()))))
		case 'd':
			b.WriteString(l.digits(fmt.Sprintf("%0*d", n, t.Day())))
		case 'H':
			b.WriteString(l.digits(fmt.Sprintf("%0*d", n, t.Hour())))
		case 'h':
			b.WriteString(l.digits(fmt.Sprintf("%0*d", n, (t.Hour()+11)%12+1)))
		case 'm':
			b.WriteString(l.digits(fmt.Sprintf("%0*d", n, t.Minute())))
		case 'a':
			b.WriteString(map[bool]string{true: l.AM, false: l.PM}[t.Hour() < 12])
		default:
			b.WriteString(pattern[i : i+n])
		}
		i += n
	}
	return b.String()
}
