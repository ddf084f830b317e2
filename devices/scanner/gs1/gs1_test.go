package gs1

import (
	"maps"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		data string
		want map[string]string
	}{
		{"010952123454321310ABC123\x1d17251231", map[string]string{"01": "09521234543213", "10": "ABC123", "17": "251231"}},
		{"010952123454321331030017503922999", map[string]string{"01": "09521234543213", "3103": "001750", "3922": "999"}},
		{"010952123454321321SER1\x1d10LOT1", map[string]string{"01": "09521234543213", "21": "SER1", "10": "LOT1"}},
		{"0109521234543213\x1d10A\x1d", map[string]string{"01": "09521234543213", "10": "A"}}, // superfluous and trailing FNC1
		{"17251200", map[string]string{"17": "251200"}},                                       // the whole month
		{"17240229", map[string]string{"17": "240229"}},
		{"421276ABC", map[string]string{"421": "276ABC"}},
		{"253952123454321A", nil},
		{"9912345678901234567890", map[string]string{"99": "12345678901234567890"}},
		{"8008250101123045", map[string]string{"8008": "250101123045"}},
		{"80131987654Ad4X4bL5ttr2310c2K", map[string]string{"8013": "1987654Ad4X4bL5ttr2310c2K"}}, // example of GS1 General Specifications 7.9.5
	}
	for _, tc := range tests {
		got, faults := Parse(tc.data)
		switch {
		case tc.want == nil && len(faults) == 0:
			t.Errorf("%q: taken as %v", tc.data, got)
		case tc.want != nil && (len(faults) > 0 || !maps.Equal(got.Map(), tc.want)):
			t.Errorf("%q: %v, faults %v", tc.data, got, faults)
		}
	}
}

func TestFaults(t *testing.T) {
	tests := []struct{ data, ai, words string }{
		{"0109521234543214", "01", "check digit"},
		{"010952123454321317251301", "17", "month"},
		{"010952123454321310", "10", "no value"},
		{"01095212345432138999ABC", "8999", "not an application identifier"},
		{"", "", "no element string"},
		{"1", "", "no application identifier"},
		{"]", "", "no application identifier"},
		{"01095212345", "01", "too short"},
		{"17250230", "17", "day"},
		{"7003250101250010", "7003", "hour"},
		{"10ABC\x01", "10", "character"},
		{"30123456789", "30", "too long"},
		{"421999AB", "421", "ISO 3166"},
		{"8006095212345432130302", "8006", "piece"},
		{"8007DE00500105175407324931", "8007", "IBAN"},
		{"80131987654Ad4X4bL5ttr2310c2L", "8013", "check characters"},
		{"00" + strings.Repeat("1", maxLength), "", "longer"},
	}
	for _, tc := range tests {
		got, faults := Parse(tc.data)
		if len(faults) == 0 || faults[0].AI != tc.ai || !strings.Contains(faults[0].Message, tc.words) {
			t.Errorf("%.40q: %v, faults %v, want %q on %s", tc.data, got, faults, tc.words, tc.ai)
		}
	}
	// Shorter than two digits a number is no identifier, and "1234" begins with one that wants six digits.
	if _, faults := Parse("1234"); len(faults) == 0 {
		t.Error("1234 was taken")
	}
}

func TestMeasuresAndPrices(t *testing.T) {
	tests := []struct{ data, weight, price, currency string }{
		{"01095212345432133103001750", "1.750", "", ""},
		{"3100000012", "12", "", ""},
		{"3105000001", "0.00001", "", ""},
		{"3922999", "", "9.99", ""},
		{"39229", "", "0.09", ""},
		{"3932978999", "", "9.99", "978"},
		{"10ABC", "", "", ""},
	}
	for _, tc := range tests {
		e, _ := Parse(tc.data)
		weight, _ := e.Weight()
		price, currency, _ := e.Price()
		if weight != tc.weight || price != tc.price || currency != tc.currency {
			t.Errorf("%s: weight %q price %q %q, want %q %q %q", tc.data, weight, price, currency, tc.weight, tc.price, tc.currency)
		}
	}
}

func TestAssociations(t *testing.T) {
	tests := []struct{ data, ai, words string }{
		{"010952123454321310ABC", "", ""},
		{"10ABC", "10", "needs one of 01"},
		{"01095212345432130209521234543213\x1d3712", "02", "must not stand beside 01"},
		{"010952123454321331030017503102000100", "3103", "must not stand beside 310n"},
		{"010952123454321310A\x1d10B", "10", "twice"},
		{"010952123454321310A\x1d10A", "", ""},
		{"70040012", "7004", "01+10"},
		{"010952123454321310A\x1d70040012", "", ""},
	}
	for _, tc := range tests {
		e, faults := Parse(tc.data)
		if len(faults) > 0 {
			t.Errorf("%s: %v", tc.data, faults)
			continue
		}
		got := e.Associations()
		switch {
		case tc.ai == "" && len(got) > 0:
			t.Errorf("%s: warned %v", tc.data, got)
		case tc.ai != "" && !containsFault(got, tc.ai, tc.words):
			t.Errorf("%s: warned %v, want %q on %s", tc.data, got, tc.words, tc.ai)
		}
	}
}

func containsFault(list []Fault, ai, words string) bool {
	for _, f := range list {
		if f.AI == ai && strings.Contains(f.Message, words) {
			return true
		}
	}
	return false
}

func TestParseLink(t *testing.T) {
	tests := []struct {
		address string
		ok      bool
		faults  int
		want    map[string]string
	}{
		{"https://id.gs1.org/01/09521234543213/10/ABC?17=251231", true, 0, map[string]string{"01": "09521234543213", "10": "ABC", "17": "251231"}},
		{"https://example.com/some/shop/01/09521234543213/22/2A/10/A%2FB/21/S1", true, 0, map[string]string{"01": "09521234543213", "22": "2A", "10": "A/B", "21": "S1"}},
		{"http://id.gs1.org/01/09521234543213?linkType=gs1:pip&3103=001750", true, 0, map[string]string{"01": "09521234543213", "3103": "001750"}},
		{"https://id.gs1.org/00/095212345432132115", true, 1, nil}, // wrong check digit
		{"https://id.gs1.org/01/9521234543213", true, 1, nil},      // 13 digits
		{"https://id.gs1.org/01/09521234543213/10/A/22/B", true, 1, nil},
		{"https://id.gs1.org/01/09521234543213?21=S1", true, 1, nil}, // a serial number belongs into the path
		{"https://example.com/menu", false, 0, nil},
		{"https://example.com/01", false, 0, nil},
		{"ftp://id.gs1.org/01/09521234543213", false, 0, nil},
		{"09521234543213", false, 0, nil},
		{"https://id.gs1.org/10/ABC", false, 0, nil}, // no primary key
	}
	for _, tc := range tests {
		e, faults, ok := ParseLink(tc.address)
		if ok != tc.ok || len(faults) != tc.faults || tc.want != nil && !maps.Equal(e.Map(), tc.want) {
			t.Errorf("%s: %v %v %v", tc.address, e, faults, ok)
		}
	}
}

// TestTable holds every rule of the table to what the reader expects of it.
func TestTable(t *testing.T) {
	all := rules()
	if len(all) < 500 {
		t.Fatalf("only %d identifiers", len(all))
	}
	for ai, r := range all {
		for n := 2; n < len(ai); n++ {
			if _, ok := all[ai[:n]]; ok {
				t.Errorf("%s begins like another identifier", ai)
			}
		}
		if len(r.parts) == 0 {
			t.Errorf("%s has no format", ai)
		}
		for i, p := range r.parts {
			if p.max < p.min || p.max == 0 || r.fixed && (p.min != p.max || p.optional) || p.min != p.max && i != len(r.parts)-1 {
				t.Errorf("%s has a format that cannot be read: %+v", ai, p)
			}
			for _, name := range p.tests {
				if tests[name] == nil {
					t.Errorf("%s wants the test %s, which is not here", ai, name)
				}
			}
		}
	}
}

// FuzzParse: nothing panics, and what was read without a fault is read the same when written again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"010952123454321310ABC123\x1d17251231", "8013", "7003250101250010", "8008", "4309", "\x1d", "8007DE"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		e, faults := Parse(data)
		e.Associations()
		e.Weight()
		e.Price()
		if len(faults) > 0 {
			return
		}
		var b strings.Builder
		for _, x := range e {
			b.WriteString(x.AI + x.Value + string(FNC1))
		}
		again, faults := Parse(b.String())
		if len(faults) > 0 || !maps.Equal(again.Map(), e.Map()) {
			t.Fatalf("%q read as %v, written again as %q, read as %v %v", data, e, b.String(), again, faults)
		}
	})
}

func FuzzParseLink(f *testing.F) {
	f.Add("https://id.gs1.org/01/09521234543213/10/ABC?17=251231")
	f.Add("https://x/8006/%")
	f.Fuzz(func(_ *testing.T, address string) {
		e, _, _ := ParseLink(address)
		e.Associations()
		e.Weight()
		e.Price()
	})
}
