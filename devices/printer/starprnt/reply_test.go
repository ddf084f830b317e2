package starprnt

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"testing"

	"storeagent/devices/printer"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func show(list []reply) string {
	var b bytes.Buffer
	for _, a := range list {
		fmt.Fprintf(&b, "%d:%x ", a.kind, a.data)
	}
	return b.String()
}

func TestReplies(t *testing.T) {
	const asb = "230600000000000000"
	for name, c := range map[string]struct{ in, want string }{
		"status":                    {asb, "1:" + asb + " "},
		"short status":              {"0f020000000000", "1:0f020000000000 "},
		"flow control in a status":  {"2306" + "13" + "00" + "11" + "000000000000", "4: 5: 1:" + asb + " "},
		"garbage before":            {"ff80c0" + asb, "1:" + asb + " "},
		"a status cut off":          {"230600" + asb, "1:" + asb + " "},
		"a bit that cannot be":      {"230600900000" + asb, "1:" + asb + " "},
		"document counter":          {"1b1d030101000500", "2:01010005 "},
		"counter with header value": {"1b1d030101002300" + asb, "2:01010023 1:" + asb + " "},
		"version":                   {"1b232a2c54535031343349562056657231" + "0a00", "3:54535031343349562056657231 "},
		"unknown answer":            {"1b1d790000" + asb, "1:" + asb + " "},
		"network, status alone":     {"2386000000000000000000" + "00", "1:238600000000000000 "},
		"network, with a counter":   {"238600000000000000" + "0f00" + "31343a420800" + "1b1d030101000500" + "3b", "1:238600000000000000 2:01010005 "},
		"network, nonsense":         {"238600000000000000" + "0300" + "414243" + asb, "1:238600000000000000 1:" + asb + " "},
		"network, impossible":       {"238600000000000000" + "ffff" + asb, "1:238600000000000000 1:" + asb + " "},
	} {
		var whole replies
		got := show(whole.feed(unhex(t, c.in)))
		if got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	// The manual does not say which byte of the length comes first; a length that is too long one way is read the other.
	var r replies
	if got := show(r.feed(unhex(t, "238600000000000000"+"000f"+"31343a420008"+"1b1d030101000500"+"3b"))); got != "1:238600000000000000 2:01010005 " {
		t.Errorf("high byte first: %s", got)
	}
	// An answer that lost its last byte takes what follows with it, and no more than that.
	r = replies{}
	if got := show(r.feed(unhex(t, "1b1d0301010005"+asb+asb))); got != "1:"+asb+" " && got != "1:"+asb+" 1:"+asb+" " {
		t.Errorf("cut off: %s", got)
	}
}

func TestStatusBits(t *testing.T) {
	for in, want := range map[string]struct {
		reason  printer.Reason
		near    bool
		drawer  bool
		counter int
	}{
		"230600000000000000":      {"", false, false, 0},
		"230608000000000000":      {printer.OfflineState, false, false, 0},
		"230628000000000000":      {printer.CoverOpen, false, false, 0},
		"230608000008000000":      {printer.PaperOut, false, false, 0},
		"23060000000c000000":      {printer.PaperOut, true, false, 0},
		"230600000004000000":      {"", true, false, 0},
		"230608080000000000":      {printer.ErrorState, false, false, 0},
		"230608200000000000":      {printer.ErrorState, false, false, 0},
		"230600400000000000":      {printer.ErrorState, false, false, 0},
		"230608000800000000":      {printer.ErrorState, false, false, 0},
		"230604000000000000":      {"", false, true, 0},
		"23060000000000" + "6e00": {"", false, false, 31},
		"23060000000000" + "2200": {"", false, false, 9},
		"0f020000000000":          {"", false, false, -1},
	} {
		s := parseStatus(unhex(t, in))
		if s.reason() != want.reason || s.nearEnd != want.near || s.drawer != want.drawer || s.counter != want.counter {
			t.Errorf("%s: %+v", in, s)
		}
	}
}

// FuzzReplies feeds the same bytes whole and in chunks of any size.
func FuzzReplies(f *testing.F) {
	for _, s := range []string{"230600000000000000", "1b1d030101000500", "1b232a2c4150330a00", "238600000000000000000012",
		"2386000000000000000f0031343a4208001b1d0301010005003b", "0f02130000110000001b1b1d0323"} {
		f.Add(unhex(f, s), []byte{1, 3, 2})
	}
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		var whole, pieces replies
		want := show(whole.feed(in))
		var got []reply
		for i, left := 0, in; len(left) > 0; i++ {
			n := len(left)
			if len(cuts) > 0 {
				n = min(n, 1+int(cuts[i%len(cuts)])%7)
			}
			got = append(got, pieces.feed(left[:n])...)
			left = left[n:]
		}
		if show(got) != want {
			t.Fatalf("in pieces %s, whole %s", show(got), want)
		}
		for _, a := range got {
			if a.kind == autoStatus {
				parseStatus(a.data)
			}
		}
		// Whatever came before, a printer that goes on is understood again.
		again := pieces.feed(bytes.Repeat([]byte{0x23, 6, 0, 0, 0, 0, 0, 0, 0}, 80))
		if len(again) == 0 || again[len(again)-1].kind != autoStatus {
			t.Fatalf("deaf after %x: %s", in, show(again))
		}
	})
}
