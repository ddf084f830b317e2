package zvt

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"storeagent/payments"
	"storeagent/payments/terminaltest"
)

// TestFieldLengths is the table of BMPs once more, in the form of the specification's list of data elements.
func TestFieldLengths(t *testing.T) {
	want := map[byte]int{}
	for length, ids := range map[int]string{
		1: "01 02 03 05 19 27 8A 8C A0 D0 D2 D3 E0 E9 EA F0 F9 FA FB FC FD", 2: "0D 0E 17 3A 49 87", 3: "0B 0C 37 3D 88 AA",
		4: "29", 5: "BA", 6: "04", 8: "3B EB", 15: "2A",
		lenLL:  "22 23 2D 4C 8B A7 E1 E2 E3 E4 E5 E6 E7 E8 F1 F2 F3 F4 F5 F6 F7 F8",
		lenLLL: "24 2E 3C 60 9A AF", lenTLV: "06",
	} {
		for _, id := range strings.Fields(ids) {
			b, err := hex.DecodeString(id)
			if err != nil {
				t.Fatal(err)
			}
			want[b[0]] = length
		}
	}
	for id := range 256 {
		n, ok := bmpLen(byte(id))
		if w, known := want[byte(id)]; ok != known || ok && n != w {
			t.Errorf("BMP %02X: length %d, %v, want %d, %v", id, n, ok, w, known)
		}
	}
}

// TestSums reads the end of day of a real terminal: two Mastercard payments, 9.58 together.
func TestSums(t *testing.T) {
	const end = "2700040000000009580b0009820d04060c08170660f0f5f30233023400000000000000000000000000000200000000095800000000000000000000000000000000000000000000000000000000"
	data, err := hex.DecodeString(end)
	if err != nil {
		t.Fatal(err)
	}
	s, err := parseStatus(data, CP437)
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.sums("EUR")
	if err != nil || got.Count != 2 || got.Amount.String() != "9.58" || got.FirstReceipt != "0233" || got.LastReceipt != "0234" ||
		len(got.Cards) != 1 || got.Cards[0].Brand != "Mastercard" || got.Cards[0].Count != 2 || got.Cards[0].Amount.String() != "9.58" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := (statusInfo{}).sums("EUR"); err == nil {
		t.Error("no figures are no totals")
	}
	s.totals = s.totals[:5] + "\xff" + s.totals[6:]
	if _, err := s.sums("EUR"); err == nil {
		t.Error("nonsense is a sum")
	}
}

// TestMoneyCommands holds the bytes of each command against the list of commands.
func TestMoneyCommands(t *testing.T) {
	term, err := New(Config{Name: "x", Options: Options{Password: "123456", Currency: "EUR"}})
	if err != nil {
		t.Fatal(err)
	}
	original := &payments.Original{Receipt: "0231"}
	for kind, want := range map[payments.Kind]string{
		payments.DoSale:          "06010a040000000010164909" + "78",
		payments.DoPreauth:       "06220a04000000001016490978",
		payments.DoRefund:        "06310d12345604000000001016490978",
		payments.DoCapture:       "06240a870231040000000010" + "16", // the amount used, never 06 23
		payments.DoCancelPreauth: "062503870231",
		payments.DoVoid:          "063006123456870231",
		payments.DoTip:           "060c0a87023104000000001016",
	} {
		cmd, err := term.moneyCommand(payments.Txn{Kind: kind, Amount: eur(t, "10.16"), Original: original})
		if got := hex.EncodeToString(cmd.encode()); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", kind, got, err, want)
		}
		if kind.FollowsUp() {
			for _, o := range []*payments.Original{nil, {}, {Receipt: "23x1"}, {Receipt: "00231"}} {
				if _, err := term.moneyCommand(payments.Txn{Kind: kind, Amount: eur(t, "10.16"), Original: o}); err == nil {
					t.Errorf("%s of an unknown receipt %+v", kind, o)
				}
			}
		}
	}
}

func TestDisplayBytes(t *testing.T) {
	for cs, want := range map[Charset]string{
		CP437: "Gr\x81\xe1e ? 5", Latin1: "Gr\xfc\xdfe ? 5", Latin9: "Gr\xfc\xdfe \xa4 5", UTF8: "Grüße € 5",
	} {
		if got := string(cs.bytes("Grüße\n € 5")); got != want {
			t.Errorf("%s: %q, want %q", cs, got, want)
		}
	}
}

// FuzzSums feeds an end of day with anything: it must neither panic nor tell a sum that does not fit.
func FuzzSums(f *testing.F) {
	f.Add([]byte("\x02\x33\x02\x34\x00\x00\x00\x00\x00\x00\x01"), int64(100), true)
	f.Fuzz(func(t *testing.T, totals []byte, amount int64, has bool) {
		got, err := statusInfo{totals: string(totals), amount: amount, hasAmount: has}.sums("EUR")
		if err == nil && got.Amount.Currency() != "EUR" {
			t.Errorf("%+v", got)
		}
	})
}

// The bytes of 06 00: password, config byte, currency, and the wish for text blocks where slips come through us.
func TestRegistrationBytes(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Print: true, Currency: "EUR"}, "123456 be 0978 06 06 26 04 0a 02 06d3"},
		{Options{Print: true}, "123456 be"},
		{Options{Currency: "USD"}, "123456 38 0840"},
		{Options{Print: true, Currency: "EUR", ConfigByte: 0x9E}, "123456 9e 0978 06 06 26 04 0a 02 06d3"},
	} {
		c.o.Password = "123456"
		term, err := New(Config{Name: "front", Options: c.o})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := term.registration(term.prints); err != nil || !bytes.Equal(got, terminaltest.Unhex(t, c.want)) {
			t.Errorf("%+v: %X, %v, want %s", c.o, got, err, c.want)
		}
	}
}
