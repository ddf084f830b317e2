package wireline

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

// feed gives b in pieces of random size.
func feed(d *Deframer, b []byte, seed uint64) []Sign {
	r := rand.New(rand.NewPCG(seed, 1))
	var out []Sign
	for len(b) > 0 {
		n := min(len(b), 1+r.IntN(5))
		out = append(out, d.Feed(b[:n])...)
		b = b[n:]
	}
	return out
}

func same(a, b []Sign) bool {
	return slices.EqualFunc(a, b, func(a, b Sign) bool { return a.Code == b.Code && bytes.Equal(a.Text, b.Text) })
}

func TestDeframer(t *testing.T) {
	lrcNUL := []byte{0x03} // its checksum is 00
	for _, c := range []struct {
		name string
		in   []byte
		want []Sign
	}{
		{"controls", []byte{ENQ, ACK, NAK, EOT}, []Sign{{Code: ENQ}, {Code: ACK}, {Code: NAK}, {Code: EOT}}},
		{"noise", []byte{'6', 0xFF, 0x00, ACK}, []Sign{{Code: ACK}}},
		{"frame", Frame([]byte("hello")), []Sign{{Code: STX, Text: []byte("hello")}}},
		{"empty frame", []byte{STX, ETX, 3}, []Sign{{Code: STX}}},
		{"wrong checksum", []byte{STX, 'a', ETX, 0}, []Sign{{}}},
		{"begun anew", append([]byte{STX, 'a', 'b'}, Frame([]byte("c"))...), []Sign{{Code: STX, Text: []byte("c")}}},
		{"checksum looks like ACK", Frame([]byte{ETX ^ ACK}), []Sign{{Code: STX, Text: []byte{ETX ^ ACK}}}},
		{"control inside", Frame([]byte{'a', ACK, EOT}), []Sign{{Code: STX, Text: []byte{'a', ACK, EOT}}}},
		{"too long", append(append([]byte{STX}, bytes.Repeat([]byte("x"), 41)...), ACK), []Sign{{}, {Code: ACK}}},
		{"behind a frame", append(Frame([]byte("x")), EOT), []Sign{{Code: STX, Text: []byte("x")}, {Code: EOT}}},
	} {
		for seed := range uint64(20) {
			d := &Deframer{Max: 40}
			if got := feed(d, c.in, seed); !same(got, c.want) {
				t.Errorf("%s: %+v", c.name, got)
			}
			if d.Partial() {
				t.Errorf("%s: still inside a frame", c.name)
			}
		}
	}
	if checksum(lrcNUL) != 0 {
		t.Errorf("checksum %02X", checksum(lrcNUL))
	}
}

func FuzzDeframer(f *testing.F) {
	f.Add([]byte{STX, 'a', ETX, 'b', ACK}, uint64(1))
	f.Add(append(Frame([]byte("sale")), EOT, STX, STX, ETX, ETX), uint64(2))
	f.Fuzz(func(t *testing.T, b []byte, seed uint64) {
		const limit = 64
		whole, pieces := &Deframer{Max: limit}, &Deframer{Max: limit}
		signs := whole.Feed(b)
		if got := feed(pieces, b, seed); !same(got, signs) {
			t.Fatalf("in pieces %+v, whole %+v", got, signs)
		}
		if len(whole.text) > limit {
			t.Fatalf("keeps %d bytes", len(whole.text))
		}
		for _, s := range signs {
			if s.Code != STX {
				continue
			}
			if len(s.Text) > limit {
				t.Fatalf("text of %d bytes", len(s.Text))
			}
			if again := new(Deframer); !same(again.feedWhole(Frame(s.Text)), []Sign{s}) {
				t.Fatalf("%q does not come back", s.Text)
			}
		}
	})
}

func (d *Deframer) feedWhole(b []byte) []Sign {
	d.Max = len(b)
	return d.Feed(b)
}

func TestMaskCards(t *testing.T) {
	for in, want := range map[string]string{
		"4111111111111111":          "************1111",
		"4111 1111-1111.1111":       "**** ****-****.1111",
		"no 0004111111111111111 ok": "no ***************1111 ok",
		"receipt 123456":            "receipt 123456",
		"4111111111111112":          "4111111111111112",
	} {
		if got := MaskCards(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
	if got := Text("\x1f a\u00e9\x00 "); got != "? a??" {
		t.Errorf("%q", got)
	}
}

func TestDigits(t *testing.T) {
	for in, want := range map[string]int64{"0": 0, "00001016": 1016, "999999999999": 999999999999} {
		if n, ok := Digits(in); !ok || n != want {
			t.Errorf("%q: %d %v", in, n, ok)
		}
	}
	for _, in := range []string{"", "-1", "1a", " 1", "1234567890123"} {
		if _, ok := Digits(in); ok {
			t.Errorf("%q was taken", in)
		}
	}
}
