package scanner

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
)

// readText reads a code whose identifier stands before its data.
func (s *Scanner) readText(code []byte) (Scan, bool) {
	aim, data := splitAIM(code)
	return s.read(aim, data, testTime)
}

// report is one 64 byte input report.
func report(aim, data string, maker byte, more bool) []byte {
	r := make([]byte, hidFull)
	r[0], r[1], r[61] = hidReport, byte(len(data)), maker
	copy(r[2:5], aim)
	copy(r[5:61], data)
	if more {
		r[63] = 1
	}
	return r
}

// reports is a whole code.
func reports(aim, data string, maker byte) [][]byte {
	var all [][]byte
	for len(data) > hidMaxData {
		all = append(all, report(aim, data[:hidMaxData], maker, true))
		data = data[hidMaxData:]
	}
	return append(all, report(aim, data, maker, false))
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, make([]byte, max(0, hidFull-len(b)))...)
}

func TestAssembler(t *testing.T) {
	ean := unhex(t, "020d5d453034303036333831333333393331")
	ean[61] = 'd'
	qr1 := unhex(t, "02385d513168747470733a2f2f69642e6773312e6f72672f30312f30393532313233343534333231332f31302f4142433132333f31373d323531323331730001")
	qr2 := unhex(t, "020c5d513126333130333d303031373530")
	qr2[61] = 's'
	shifted := append([]byte{hidReport, 13, 0}, report("]E0", "4006381333931", 0, false)[2:]...) // 65 bytes
	shiftedFull := shifted[:hidFull]
	short := make([]byte, hidShort)
	short[0], short[1] = hidReport, 13
	copy(short[2:], "4006381333931")
	copy(short[58:], "]E0")
	shortNameless := bytes.Clone(short)
	copy(shortNameless[58:], []byte{0, 0, 0})
	for name, c := range map[string]struct {
		in        [][]byte
		aim, code string
	}{
		"identifier nowhere":     {[][]byte{shortNameless}, "", "4006381333931"},
		"ean13":                  {[][]byte{ean}, "]E0", "4006381333931"},
		"two part qr":            {[][]byte{qr1, qr2}, "]Q1", "https://id.gs1.org/01/09521234543213/10/ABC123?17=251231&3103=001750"},
		"a byte more in front":   {[][]byte{shifted}, "]E0", "4006381333931"},
		"the same in 64":         {[][]byte{shiftedFull}, "]E0", "4006381333931"},
		"identifier behind":      {[][]byte{short}, "]E0", "4006381333931"},
		"maker's letter":         {[][]byte{report("", "96385074", 'D', false)}, "]E4", "96385074"},
		"AIM before maker":       {[][]byte{report("]C1", "10ABC", 'j', false)}, "]C1", "10ABC"},
		"neither":                {[][]byte{report("", "ABC", 0, false)}, "", "ABC"},
		"one CR":                 {[][]byte{report("]C0", "ABC\r\r", 0, false)}, "]C0", "ABC\r"},
		"other report between":   {[][]byte{qr1, {0x04, 1, 2}, qr2}, "]Q1", "https://id.gs1.org/01/09521234543213/10/ABC123?17=251231&3103=001750"},
		"rest without an AIM id": {[][]byte{report("]Q1", "AB", 0, true), report("", "CD", 0, false)}, "]Q1", "ABCD"},
	} {
		var a Assembler
		for n, r := range c.in {
			code, aim, done, err := a.Feed(r)
			if last := n == len(c.in)-1; err != nil || done != last || last && (aim != c.aim || string(code) != c.code) {
				t.Errorf("%s, report %d: %q %q %v %v", name, n, aim, code, done, err)
			}
		}
		if a.Partial() != 0 {
			t.Errorf("%s: %d bytes are left", name, a.Partial())
		}
	}
}

func TestAssemblerLosses(t *testing.T) {
	for name, bad := range map[string][]byte{
		"only an id":     {hidReport},
		"length beyond":  append([]byte{hidReport, 57}, make([]byte, 62)...),
		"cut report":     {hidReport, 13, ']', 'E', '0', '4'},
		"length 255":     append([]byte{hidReport, 255}, make([]byte, 62)...),
		"short and full": append([]byte{hidReport, 56, 0, ']', 'E', '0'}, make([]byte, 50)...),
	} {
		var a Assembler
		if _, _, done, err := a.Feed(bad); done || !errors.Is(err, errHIDShort) {
			t.Errorf("%s: %v %v", name, done, err)
		}
		if code, _, done, err := a.Feed(report("]C0", "next", 0, false)); string(code) != "next" || !done || err != nil {
			t.Errorf("%s: then %q %v %v", name, code, done, err)
		}
	}
	var a Assembler
	_, _, _, _ = a.Feed(report("]Q1", "lost", 0, true))
	if code, aim, done, err := a.Feed(report("]E0", "4006381333931", 0, false)); !errors.Is(err, errHIDCut) || !done || aim != "]E0" || string(code) != "4006381333931" {
		t.Errorf("another code in between: %q %q %v %v", aim, code, done, err)
	}
	told := 0
	for range maxCode { // it never ends
		if _, _, done, err := a.Feed(report("]Q1", strings.Repeat("x", hidMaxData), 0, true)); done {
			t.Fatal("done")
		} else if errors.Is(err, errTooLong) {
			told++
		}
	}
	if told != 1 || cap(a.buf) > 2*(maxCode+hidMaxData) {
		t.Errorf("told %d times, holds %d bytes", told, cap(a.buf))
	}
	if _, _, done, err := a.Feed(report("]Q1", "end", 0, false)); done || err != nil {
		t.Errorf("its end: %v %v", done, err)
	}
	if code, _, done, _ := a.Feed(report("]Q1", "next", 0, false)); !done || string(code) != "next" {
		t.Errorf("then %q %v", code, done)
	}
}

// Whatever comes, nothing breaks, memory stays bounded, and once noise has ended a code is read whole.
func FuzzAssembler(f *testing.F) {
	f.Add([]byte("020d5d4530"), []byte("4006381333931"), byte('d'))
	f.Add(report("]Q1", "abc", 0, true), []byte(strings.Repeat("long", 50)), byte(0))
	f.Fuzz(func(t *testing.T, noise, data []byte, maker byte) {
		var a Assembler
		for at := 0; at < len(noise); at += hidFull {
			code, aim, done, _ := a.Feed(noise[at:min(at+hidFull, len(noise))])
			if done && len(code) == 0 || aim != "" && symbologyOf(aim) == "" || len(a.buf) > maxCode+hidMaxData {
				t.Fatalf("%q %q, %d held", aim, code, len(a.buf))
			}
		}
		a.Reset()
		if data = bytes.TrimRight(data, "\r"); len(data) == 0 || len(data) > maxCode {
			return
		}
		all := reports("]X0", string(data), maker)
		for n, r := range all {
			code, aim, done, err := a.Feed(r)
			if err != nil || done != (n == len(all)-1) || done && (aim != "]X0" || !bytes.Equal(code, data)) {
				t.Fatalf("report %d: %q %q %v %v", n, aim, code, done, err)
			}
		}
	})
}

func TestHIDPOSDriver(t *testing.T) {
	runDriver(t, DriverHIDPOS, Options{Prefix: "<", Suffix: ">"}, func(l *lab) {
		if i := l.Info(); i.State != devices.Ready || i.Driver != "hidpos" {
			t.Errorf("%+v", i)
		}
		for _, r := range reports("]Q1", "<"+strings.Repeat("q", 100)+">", 0) {
			l.send(t, string(r))
		}
		l.want(t, strings.Repeat("q", 100))
		l.send(t, string(report("]E0", "4006381333931", 0, false)))
		if s := <-l.scans; s.Symbology != ean13 || s.AIM != "]E0" || s.GTIN != "04006381333931" {
			t.Errorf("%+v", s)
		}
		l.send(t, string(report("", "01234565", 'E', false)))
		if s := <-l.scans; s.Symbology != upce || s.GTIN != "00012345000065" {
			t.Errorf("%+v", s)
		}
		l.send(t, string(report("]C1", "0109521234543213", 0, false)))
		if s := <-l.scans; s.GS1["01"] != "09521234543213" {
			t.Errorf("%+v", s)
		}
		l.send(t, string(report("]C0", "4111111111111111", 0, false)))
		if r := <-l.refusals; r.length != 16 {
			t.Errorf("%+v", r)
		}
		l.send(t, string(report("]Q1", "its rest is lost", 0, true)))
		time.Sleep(restPatience + time.Millisecond)
		synctest.Wait()
		if p := l.Info().LastError; p == nil || p.Message != errHIDRestLost.Error() || p.Hint == "" {
			t.Errorf("%+v", p)
		}
		l.send(t, string(report("]C0", "next", 0, false)))
		l.want(t, "next")
		if p := l.Info().LastError; p != nil {
			t.Errorf("still %+v", p)
		}
	})
	if _, err := New(Config{Name: "x", Driver: DriverHIDPOS, Options: Options{GapMS: 50}}); err == nil || !strings.Contains(err.Error(), "gap_ms") {
		t.Error(err)
	}
	if _, err := New(Config{Name: "x", Driver: "camera"}); err == nil {
		t.Error("there is a driver camera")
	}
}
