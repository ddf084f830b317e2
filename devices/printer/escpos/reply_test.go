package escpos

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"storeagent/devices/printer"
)

func show(rs []reply) string {
	names := map[kind]string{realTimeStatus: "dle", autoStatus: "asb", block: "block", transmitted: "gs", flowOff: "xoff", flowOn: "xon"}
	var out []string
	for _, r := range rs {
		out = append(out, fmt.Sprintf("%s:%x", names[r.kind], r.data))
	}
	return strings.Join(out, " ")
}

func TestReplies(t *testing.T) {
	for name, c := range map[string]struct{ bytes, want string }{
		"status":           {"12163252", "dle:12 dle:16 dle:32 dle:52"},
		"asb":              {"1400000f", "asb:1400000f"},
		"asb with xoff":    {"14001300110f", "xoff: xon: asb:1400000f"},
		"asb cut short":    {"140012", "dle:12"},
		"two asb, one cut": {"14001400030f", "asb:1400030f"},
		"process id":       {"37224130303100", "block:3722" + "41303031"},
		"model":            {"5f544d2d5438385600", "block:5f544d2d54383856"},
		"block cut short":  {"5f544d120e", "dle:12 gs:0e"},
		"transmit status":  {"000c", "gs:00 gs:0c"},
		"noise":            {"ff9981" + "12", "dle:12"},
		"mixed":            {"123722303030300014000c0f00", "dle:12 block:372230303030 asb:14000c0f gs:00"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := hex.DecodeString(c.bytes)
			if err != nil {
				t.Fatal(err)
			}
			var r replies
			if got := show(r.feed(b)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func FuzzReplies(f *testing.F) {
	f.Add([]byte{0x12, 0x37, 0x22, 0x30, 0x31, 0x32, 0x33, 0x00, 0x14, 0, 0x13, 0, 0x0F}, uint64(1))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		var whole, parts replies
		want := show(whole.feed(b))
		rnd := rand.New(rand.NewPCG(seed, 1))
		var got []reply
		for rest := b; len(rest) > 0; {
			n := 1 + rnd.IntN(len(rest))
			got = append(got, parts.feed(bytes.Clone(rest[:n]))...)
			rest = rest[n:]
		}
		if show(got) != want {
			t.Fatalf("in pieces %s\nat once %s", show(got), want)
		}
		if len(whole.part) > maxBlock {
			t.Fatalf("keeps %d bytes", len(whole.part))
		}
		whole.feed(bytes.Repeat([]byte{0}, 4)) // whatever stands unfinished ends, and then it is in step again
		if out := show(whole.feed([]byte{0x16})); out != "dle:16" {
			t.Fatalf("not in step after noise: %s", out)
		}
	})
}

func TestStatusReasons(t *testing.T) {
	asb := func(b ...byte) status {
		var s status
		s.auto(b)
		return s
	}
	dle := func(n, b byte) status {
		var s status
		s.realTime(n, b)
		return s
	}
	for name, c := range map[string]struct {
		s    status
		want printer.Reason
		near bool
	}{
		"ok":          {asb(0x14, 0, 0, 0x0F), "", false},
		"near end":    {asb(0x14, 0, 0x03, 0x0F), "", true},
		"paper end":   {asb(0x1C, 0, 0x0C, 0x0F), printer.PaperOut, false},
		"cover":       {asb(0x3C, 0, 0, 0x0F), printer.CoverOpen, false},
		"cutter":      {asb(0x18, 0x08, 0, 0x0F), printer.ErrorState, false},
		"offline":     {asb(0x18, 0, 0, 0x0F), printer.OfflineState, false},
		"dle online":  {dle(2, 0x12), "", false},
		"dle cover":   {dle(2, 0x16), printer.CoverOpen, false},
		"dle stopped": {dle(2, 0x32), printer.PaperOut, false},
		"dle error":   {dle(2, 0x52), printer.ErrorState, false},
		"dle offline": {dle(1, 0x1A), printer.OfflineState, false},
		"dle near":    {dle(4, 0x1E), "", true},
		"dle end":     {dle(4, 0x72), printer.PaperOut, false},
		"dle cutter":  {dle(3, 0x1A), printer.ErrorState, false},
	} {
		if got := c.s.reason(); got != c.want || c.s.nearEnd != c.near {
			t.Errorf("%s: %q near %v", name, got, c.s.nearEnd)
		}
	}
	high := asb(0x14, 0, 0, 0x0F)
	if s := high.show("high"); s.DrawerOpened == nil || !*s.DrawerOpened {
		t.Error("pin 3 high is not an open drawer")
	}
	if s := high.show("low"); s.DrawerOpened == nil || *s.DrawerOpened {
		t.Error("pin 3 high is not a closed drawer")
	}
	if s := high.show(""); s.DrawerOpened != nil {
		t.Error("says something of a drawer nobody described")
	}
}

func TestProcessIDs(t *testing.T) {
	seen := map[[4]byte]int64{}
	for seq := range int64(20000) {
		id := processID(seq)
		if other, twice := seen[id]; twice {
			t.Fatalf("jobs %d and %d share %q", other, seq, id)
		}
		seen[id] = seq
		for _, c := range id {
			if c < 0x20 || c > 0x7E {
				t.Fatalf("id of %d holds %02x", seq, c)
			}
		}
	}
}
