package gs1

import (
	"strings"
	"time"

	"golang.org/x/text/language"
)

// tests judge a component beyond its character set and say what is wrong, "" for nothing. Their names and meanings are
// those of the GS1 syntax tests. Whether a company prefix was ever given out (gcppos1, gcppos2) needs GS1's member list
// and is not judged, only that it can be one.
var tests = map[string]func(string) string{
	"csum":          wantsCheckDigit,
	"csumalpha":     wantsCheckPair,
	"gcppos1":       func(s string) string { return wantsPrefix(s, 0) },
	"gcppos2":       func(s string) string { return wantsPrefix(s, 1) },
	"yymmdd":        func(s string) string { return wantsDate("20"+s, false) },
	"yymmd0":        func(s string) string { return wantsDate("20"+s, true) },
	"yyyymmdd":      func(s string) string { return wantsDate(s, false) },
	"hhmi":          func(s string) string { return first(below(s[:2], 24, "hour"), below(s[2:], 60, "minute")) },
	"hh":            func(s string) string { return below(s, 24, "hour") },
	"mi":            func(s string) string { return below(s, 60, "minute") },
	"ss":            func(s string) string { return below(s, 60, "second") },
	"iso3166":       wantsCountry,
	"iso3166999":    func(s string) string { return unless(s == "999", wantsCountry(s)) },
	"iso3166alpha2": wantsRegion,
	"iso4217":       wantsCurrency,
	"iso5218":       oneOf("0129", "is not a code for a sex"),
	"yesno":         oneOf("01", "is neither 0 nor 1"),
	"zero":          oneOf("0", "must be 0"),
	"winding":       oneOf("019", "is not a winding direction"),
	"nonzero":       func(s string) string { return unless(strings.Trim(s, "0") != "", "must not be zero") },
	"nozeroprefix":  func(s string) string { return unless(s == "0" || s[0] != '0', "must not begin with 0") },
	"hasnondigit": func(s string) string {
		return unless(strings.Trim(s, "0123456789") != "", "needs a character that is no digit")
	},
	"hyphen":         oneOf("-", "must be a minus"),
	"pieceoftotal":   wantsPieceOfTotal,
	"posinseqslash":  wantsPlaceInSequence,
	"pcenc":          wantsPercent,
	"latitude":       func(s string) string { return atMost(s, "1800000000", "latitude") },
	"longitude":      func(s string) string { return atMost(s, "3600000000", "longitude") },
	"mediatype":      wantsMediaType,
	"packagetype":    func(s string) string { return unless(s == strings.ToUpper(s), "is not a package type") },
	"importeridx":    func(string) string { return "" }, // every character of the set is one
	"iban":           wantsIBAN,
	"couponcode":     wantsDigits,
	"couponposoffer": wantsDigits,
}

func unless(ok bool, wrong string) string {
	if ok {
		return ""
	}
	return wrong
}

func first(list ...string) string {
	for _, s := range list {
		if s != "" {
			return s
		}
	}
	return ""
}

func oneOf(set, wrong string) func(string) string {
	return func(s string) string { return unless(len(s) == 1 && strings.Contains(set, s), wrong) }
}

// wantsCheckDigit: weights 3 and 1 from the right (GS1 General Specifications, section 7.9.1).
func wantsCheckDigit(s string) string {
	sum := 0
	for i := range len(s) {
		d := int(s[len(s)-1-i] - '0')
		if i%2 == 1 {
			d *= 3
		}
		sum += d
	}
	return unless(sum%10 == 0, "has a wrong check digit")
}

// The characters whose place counts in a check pair, and the characters of the pair (section 7.9.5).
const (
	pairSet   = "!\"%&'()*+,-./0123456789:;<=>?ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
	pairCheck = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
)

// wantsCheckPair: the places of the characters, weighted with the primes from the right, modulo 1021 (section 7.9.5).
func wantsCheckPair(s string) string {
	if len(s) < 3 {
		return "is too short for its check characters"
	}
	body := s[:len(s)-2]
	sum, prime := 0, 1
	for i := len(body) - 1; i >= 0; i-- {
		prime = nextPrime(prime)
		sum += prime * strings.IndexByte(pairSet, body[i])
	}
	sum %= 1021
	return unless(s[len(s)-2] == pairCheck[sum>>5] && s[len(s)-1] == pairCheck[sum&31], "has wrong check characters")
}

func nextPrime(n int) int {
	for n++; ; n++ {
		prime := true
		for d := 2; d*d <= n; d++ {
			prime = prime && n%d != 0
		}
		if prime && n > 1 {
			return n
		}
	}
}

// wantsPrefix: a GS1 company prefix has four digits or more.
func wantsPrefix(s string, at int) string {
	if len(s) < at+4 {
		return "is too short for a company prefix"
	}
	return unless(strings.Trim(s[at:at+4], "0123456789") == "", "does not begin with a company prefix")
}

// wantsDate reads YYYYMMDD; with wholeMonth day 00 stands for the last day of the month. The century does not matter
// but for 29 February, and every year that two digits can mean within the sliding window agrees on that.
func wantsDate(s string, wholeMonth bool) string {
	month, day := s[4:6], s[6:8]
	if month < "01" || month > "12" {
		return "has a month that does not exist"
	}
	if wholeMonth && day == "00" {
		return ""
	}
	_, err := time.Parse("20060102", s)
	return unless(err == nil, "has a day that does not exist")
}

func below(s string, limit int, what string) string {
	return unless(len(s) == 2 && int(s[0]-'0')*10+int(s[1]-'0') < limit, "has a "+what+" that does not exist")
}

func atMost(s, limit, what string) string { return unless(s <= limit, "is not a "+what) }

// wantsCountry: ISO 3166 numeric, as Unicode knows them.
func wantsCountry(s string) string {
	n := int(s[0]-'0')*100 + int(s[1]-'0')*10 + int(s[2]-'0')
	r, err := language.EncodeM49(n)
	return unless(err == nil && r.IsCountry(), "is not a country number of ISO 3166")
}

func wantsRegion(s string) string {
	r, err := language.ParseRegion(s)
	return unless(err == nil && r.IsCountry() && r.String() == s, "is not a country code of ISO 3166")
}

// wantsCurrency: any three digits but 000; the numbers themselves change, and the till compares with its own.
func wantsCurrency(s string) string {
	return unless(s != "000", "is not a currency number of ISO 4217")
}

func wantsPieceOfTotal(s string) string {
	piece, total := s[:len(s)/2], s[len(s)/2:]
	return unless(strings.Trim(piece, "0") != "" && strings.Trim(total, "0") != "" && piece <= total, "is not a piece of a total")
}

func wantsPlaceInSequence(s string) string {
	at, of, ok := strings.Cut(s, "/")
	return unless(ok && len(at) == 1 && len(of) == 1 && wantsDigits(at+of) == "" && at != "0" && at <= of, "is not a place in a sequence like 1/3")
}

// wantsPercent: a percent sign is followed by two hexadecimal digits.
func wantsPercent(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		if i+2 >= len(s) || strings.Trim(s[i+1:i+3], "0123456789ABCDEFabcdef") != "" {
			return "has a percent sign without two hexadecimal digits"
		}
		i += 2
	}
	return ""
}

// wantsMediaType: 01 to 10, and 80 to 99 for use inside a company.
func wantsMediaType(s string) string {
	return unless(s >= "01" && s <= "10" || s >= "80" && s <= "99", "is not a media type")
}

// wantsIBAN: country, check digits, and the remainder 1 modulo 97 (ISO 13616).
func wantsIBAN(s string) string {
	if len(s) < 5 || strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return "is not an IBAN"
	}
	if wantsRegion(s[:2]) != "" {
		return "is not an IBAN: its country does not exist"
	}
	rest := 0
	for _, c := range s[4:] + s[:4] {
		if c >= 'A' {
			rest = rest*100 + int(c-'A') + 10
		} else {
			rest = rest*10 + int(c-'0')
		}
		rest %= 97
	}
	return unless(rest == 1, "is not an IBAN: its check digits are wrong")
}

func wantsDigits(s string) string {
	return unless(strings.Trim(s, "0123456789") == "", "has a character that is no digit")
}
