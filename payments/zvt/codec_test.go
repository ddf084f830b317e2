package zvt

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"storeagent/payments/terminaltest"
	"storeagent/payments/wireline"
)

// Frames of other people's registers and terminals, and computed ones with a DLE in every kind of place.
var frames = []struct{ name, apdu, wire string }{
	{"register BA", "060006123456ba0978", "10 02 06 00 06 12 34 56 BA 09 78 10 03 24 C3"},
	{"register BE", "060006123456be0978", "10 02 06 00 06 12 34 56 BE 09 78 10 03 C8 B1"},
	{"pay 110.00", "06010a04000000011000490978", "10 02 06 01 0A 04 00 00 00 01 10 10 00 49 09 78 10 03 F2 FF"},
	{"pay 10.16", "06010a04000000001016490978", "100206010a04000000001010164909781003ffef"},
	{"ok", "800000", "10 02 80 00 00 10 03 F5 1F"},
	{"reset", "061800", "10 02 06 18 00 10 03 56 3A"},
	{"status enquiry", "050103123456", "10 02 05 01 03 12 34 56 10 03 E0 43"},
	{"diagnosis", "067000", "10 02 06 70 00 10 03 D9 F9"},
	{"version", "060f0bf0f0f7322e31342e313500", "10 02 06 0F 0B F0 F0 F7 32 2E 31 34 2E 31 35 00 10 03 B1 11"},
	{"totals", "061003123456", "100206101003123456100315ad"},
	{"result", "040f262700040000000010164909780b0009750c2255580d040522f0f4eeee80748702312952523535", "1002040f26270004000000001010164909780b0009750c2255580d040522f0f4eeee807487023129525235351003be5f"},
	{"repeat receipt", "0620051234560303", "1002062005123456030310037038"},
	{"last line", "06d10181", "100206d1018110030822"},
	{"completion", "060f00", "10 02 06 0F 00 10 03 C6 33"},
	{"aborted", "061e016c", "10 02 06 1E 01 6C 10 03 C9 F2"},
	{"abort", "06b000", "10 02 06 B0 00 10 03 43 F3"},
	{"cannot print", "84cc00", "10 02 84 CC 00 10 03 20 C2"},
	{"end of day", "065003123456", "10 02 06 50 03 12 34 56 10 03 C4 AF"},
	{"pay 12.50, last receipt known", "06011304000000001250490978194006051f1f020231", "10 02 06 01 13 04 00 00 00 00 12 50 49 09 78 19 40 06 05 1F 1F 02 02 31 10 03 36 7A"},
}

// APDUs captured from terminals, and longer ones.
var apdus = []string{
	"060006123456de0978", "060f0a19102952523535490978", "04ff0117",
	"040f5a2700040000000025004909780c2255580d040522f0f8559883eeeeee80748702313b37353030373100000b000975196029525235350e24058a068c018bf1f14d617374657243617264002a383034303131393236202020202020",
	"060f00", "065003123456",
	"040f4d2700040000000009580b0009820d04060c08170660f0f5f30233023400000000000000000000000000000200000000095800000000000000000000000000000000000000000000000000000000",
	"040f1e276c29280048693cf0f1f941626272756368206475726368204b756e6465",
	"040f772700040000000020400b0004700c2239530d10060e2512170001197022f0f8eeeeeeeeeeee477129280048692a3130303436313736332020202020203b36313138303400003cf0f1f447454e2e4e522e3a363131383034490978870470880004708a2e8bf1f74465626974204d61737465726361726400",
	"06221e1940490978040000000025000610e90e1f620241431f6306333834484832",
	"06d114402a2a204b415353454e5343484e495454202a2a", "06d10e405445535420506f7274616c756d", "06d109405249454447203530",
	"06d10e403638353020444f524e4249524e", "06d10140", "06d1020020", "06d119005465726d696e616c2d49443a202020203238303034383639",
}

func TestFramesRoundTrip(t *testing.T) {
	if got := func() (c uint16) {
		for _, b := range []byte("123456789") {
			c = crc16(c, b)
		}
		return
	}(); got != 0x2189 {
		t.Errorf("CRC check value %04X", got)
	}
	for _, f := range frames {
		raw, wire := terminaltest.Unhex(t, f.apdu), terminaltest.Unhex(t, f.wire)
		if got := frame(raw); !bytes.Equal(got, wire) {
			t.Errorf("%s: frame %X, want %X", f.name, got, wire)
		}
		for cut := range len(wire) + 1 {
			var d deframer
			got := append(d.feed(wire[:cut]), d.feed(wire[cut:])...)
			if len(got) != 1 || got[0].kind != gotFrame || !bytes.Equal(got[0].raw, raw) || d.partial() {
				t.Fatalf("%s cut at %d: %+v", f.name, cut, got)
			}
		}
	}
}

// Every captured APDU, framed and cut in two at every place.
func TestCapturedAPDUsInPieces(t *testing.T) {
	for _, text := range apdus {
		raw := terminaltest.Unhex(t, text)
		wire := frame(raw)
		for cut := range len(wire) + 1 {
			var d deframer
			got := append(d.feed(wire[:cut]), d.feed(wire[cut:])...)
			if len(got) != 1 || got[0].kind != gotFrame || !bytes.Equal(got[0].raw, raw) || d.partial() {
				t.Fatalf("%s cut at %d: %+v", text, cut, got)
			}
		}
	}
}

func TestAPDURoundTrip(t *testing.T) {
	all := append([]string{}, apdus...)
	for _, f := range frames {
		all = append(all, f.apdu)
	}
	for n := 253; n <= 258; n++ { // around the extended length
		all = append(all, hex.EncodeToString(apdu{0x06D3, make([]byte, n)}.encode()))
	}
	for _, text := range all {
		raw := terminaltest.Unhex(t, text)
		for cut := range raw {
			if _, _, err := parseAPDU(raw[:cut]); !errors.Is(err, errShort) {
				t.Fatalf("%s cut at %d: %v", text, cut, err)
			}
		}
		a, n, err := parseAPDU(append(bytes.Clone(raw), 0x99))
		if err != nil || n != len(raw) || !bytes.Equal(a.encode(), raw) {
			t.Errorf("%s: %v, %d bytes, again %X", text, err, n, a.encode())
		}
	}
	if got := (apdu{0x06D3, make([]byte, 255)}).encode()[:5]; !bytes.Equal(got, []byte{0x06, 0xD3, 0xFF, 0xFF, 0x00}) {
		t.Errorf("extended length %X, want low byte first", got)
	}
}

func TestDeframerSurvives(t *testing.T) {
	good := frame(terminaltest.Unhex(t, "060f00"))
	bad := append(bytes.Clone(good[:len(good)-1]), good[len(good)-1]^1)
	for _, c := range []struct {
		name  string
		bytes []byte
		kinds []eventKind
	}{
		{"noise before", append([]byte{0, 0xFF, dle, 'x', dle}, good...), []eventKind{gotFrame}},
		{"wrong CRC, then right", append(bad, good...), []eventKind{gotBad, gotFrame}},
		{"begun again", append(bytes.Clone(good[:4]), good...), []eventKind{gotFrame}},
		{"DLE and nonsense inside", append([]byte{dle, stx, 1, dle, 9}, good...), []eventKind{gotBad, gotFrame}},
		{"length does not fit", frame([]byte{6, 0x0F, 5, 1}), []eventKind{gotBad}},
		{"signs", []byte{ack, nak, 'z', ack}, []eventKind{gotAck, gotNak, gotAck}},
		{"too long", frame(make([]byte, maxFrame+10)), []eventKind{gotBad}},
	} {
		var d deframer
		var kinds []eventKind
		for _, e := range d.feed(c.bytes) {
			kinds = append(kinds, e.kind)
		}
		if !reflect.DeepEqual(kinds, c.kinds) || d.partial() {
			t.Errorf("%s: %v, want %v", c.name, kinds, c.kinds)
		}
	}
}

func parse(t *testing.T, text string) (statusInfo, error) {
	t.Helper()
	a, err := parseWhole(terminaltest.Unhex(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return parseStatus(a.data, CP437)
}

func TestParseStatus(t *testing.T) {
	for _, c := range []struct {
		apdu string
		want statusInfo
	}{
		{apdus[3], statusInfo{hasResult: true, amount: 2500, hasAmount: true, currency: "978", receipt: "0231",
			trace: "000975", tid: "52523535", last4: "8074", brand: "MasterCard", approval: "750071",
			clock: stamp{month: 4, day: 5, hour: 22, minute: 55, second: 58, hasDate: true, hasTime: true}}},
		{apdus[7], statusInfo{hasResult: true, result: 0x6C, tid: "28004869", text: "Abbruch durch Kunde"}},
		{apdus[8], statusInfo{hasResult: true, amount: 2040, hasAmount: true, currency: "978", receipt: "0470",
			trace: "000470", tid: "28004869", last4: "4771", brand: "Debit Mastercard", approval: "611804",
			text:  "GEN.NR.:611804",
			clock: stamp{month: 10, day: 6, hour: 22, minute: 39, second: 53, hasDate: true, hasTime: true}}},
	} {
		got, err := parse(t, c.apdu)
		if err != nil || got != c.want {
			t.Errorf("%s: %v\n got %+v\nwant %+v", c.apdu, err, got, c.want)
		}
	}
}

func TestParseStatusContainer(t *testing.T) {
	inner := appendTLV(appendTLV(nil, tagCVM, []byte{1}), tagTechnology, []byte{2})
	data := appendBMP([]byte{bmpResult, 0}, bmpTLV, appendTLV(appendTLV(nil, 0x1F5A, []byte("x")), 0x2F, inner))
	got, err := parseStatus(data, CP437)
	if err != nil || !got.signature || got.entry != "contactless" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = parseStatus(appendBMP(nil, bmpTLV, appendTLV(nil, tagReceiptInfo, []byte{0x83})), CP437)
	if err != nil || !got.signature {
		t.Errorf("signature on the slip: %+v, %v", got, err)
	}
}

func TestUnknownBMPKeepsTheResult(t *testing.T) {
	got, err := parseStatus(terminaltest.Unhex(t, "27 05 DE AD 04 00 00 00 00 10 16"), CP437)
	if !errors.Is(err, errField) || !got.hasResult || got.result != 5 || got.hasAmount {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"27", "04 00 00", "22 F0", "22 FA F0 00", "3C F0 F0 F9 41", "06 82 00", "06 83 00 00 01 00", "06 05 01"} {
		if _, err := parseStatus(terminaltest.Unhex(t, text), CP437); !errors.Is(err, errField) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestLast4(t *testing.T) {
	for in, want := range map[string]string{
		"4111111111111111": "1111", "eeeeeeeeeeee4771": "4771", "378282246310005f": "0005", "eeeeeeeeeeeeeeee": "",
		"1234": "", "": "", "4111111111111eee": "", "ffff": "",
	} {
		if got := last4(terminaltest.Unhex(t, in)); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func TestEchoOfLastReceipt(t *testing.T) { // the longest money command the protocol's newer revisions describe
	data := appendBMP(nil, bmpAmount, terminaltest.Unhex(t, "000000001250"))
	data = appendBMP(appendBMP(data, bmpCurrency, terminaltest.Unhex(t, "0978")), bmpPayType, []byte{0x40})
	data = appendBMP(data, bmpTLV, appendTLV(nil, 0x1F1F, terminaltest.Unhex(t, "0231")))
	if got := (apdu{cmdPay, data}).encode(); !bytes.Equal(got, terminaltest.Unhex(t, "06 01 13 04 00 00 00 00 12 50 49 09 78 19 40 06 05 1F 1F 02 02 31")) {
		t.Errorf("%X", got)
	}
}

func TestBCD(t *testing.T) {
	if b, ok := putBCD(1016, 6); !ok || !bytes.Equal(b, terminaltest.Unhex(t, "000000001016")) {
		t.Errorf("%X %v", b, ok)
	}
	for _, n := range []int64{-1, 1_000_000_000_000} {
		if _, ok := putBCD(n, 6); ok {
			t.Errorf("%d fits six bytes", n)
		}
	}
	if _, ok := getBCD([]byte{0x1A}); ok {
		t.Error("1A is no BCD")
	}
}

func TestMaskCards(t *testing.T) {
	for in, want := range map[string]string{
		"4111111111111111":                     "************1111",
		"Karte 4111 1111 1111 1111 ok":         "Karte **** **** **** 1111 ok",
		"4111-1111-1111-1111":                  "****-****-****-1111",
		"3782 822463 10005":                    "**** ****** *0005",
		"0231 4111 1111 1111 1111 05":          "0231 **** **** **** 1111 05",
		"4111111111111112":                     "4111111111111112", // Luhn is wrong: a reference
		"Terminal-ID:    28004869":             "Terminal-ID:    28004869",
		"0000000000000":                        "0000000000000",
		"################1111":                 "################1111",
		"12345678941111111111111110":           "", // any window in a long number: see below
		"22.11.2026 22:04":                     "22.11.2026 22:04",
		"GEN.NR.:611804 VU-Nr. 100461763":      "GEN.NR.:611804 VU-Nr. 100461763",
		"größer 4111111111111111 bezahlt €":    "größer ************1111 bezahlt €",
		"a4111111111111111b 5500000000000004c": "a************1111b ************0004c",
	} {
		got := wireline.MaskCards(in)
		if want == "" {
			if strings.Contains(got, "411111111111111") {
				t.Errorf("%q: %q", in, got)
			}
			continue
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestDescribeHidesSecrets(t *testing.T) {
	pan := appendBMP([]byte{bmpResult, 0}, bmpPAN, terminaltest.Unhex(t, "4111111111111111"))
	pan = appendBMP(pan, 0x23, terminaltest.Unhex(t, "4111111111111111d291"))
	for _, a := range []apdu{
		{cmdRegister, terminaltest.Unhex(t, "123456BA0978")}, {cmdRepeat, terminaltest.Unhex(t, "1234560303")}, {cmdRefund, terminaltest.Unhex(t, "123456")},
		{cmdStatus, terminaltest.Unhex(t, "123456")}, {msgStatusInfo, pan}, {msgPrintLine, []byte("\x004111111111111111")},
		{msgAborted, pan}, {0x06C0, pan},
	} {
		got := describe(a)
		for _, secret := range []string{"123456", "41111", "3431313131"} {
			if strings.Contains(got, secret) {
				t.Errorf("%s: %s", a, got)
			}
		}
		if !strings.Contains(got, a.String()) {
			t.Errorf("%q does not name the message", got)
		}
	}
	if got := describe(apdu{msgStatusInfo, terminaltest.Unhex(t, "2705870231")}); !strings.Contains(got, "27=05 87=0231") {
		t.Errorf("%q lacks what helps", got)
	}
}

func TestStatusReply(t *testing.T) {
	for _, c := range []struct {
		data, version string
		code          byte
		said          bool
	}{
		{"f0f0f7322e31342e313500", "2.14.15", 0, true}, {"9c", "", 0x9C, true}, {"", "", 0, false}, {"f0", "", 0xF0, true},
		{"f0f0f5", "", 0xF0, true},
	} {
		version, code, _, said := statusReply(terminaltest.Unhex(t, c.data))
		if version != c.version || code != c.code || said != c.said {
			t.Errorf("%s: %q %02X %v", c.data, version, code, said)
		}
	}
}

func TestStatusText(t *testing.T) {
	for code, want := range map[byte]bool{0: true, 0xDC: true, 0x51: false, 0x9C: false, 0xB1: false, 0xC2: false, 0xCC: false, 0xF0: false, 0x77: false} {
		if text, ready := statusText(code); ready != want || text == "" {
			t.Errorf("%02X: %q, ready %v", code, text, ready)
		}
	}
}

func FuzzAPDU(f *testing.F) {
	for _, a := range apdus {
		f.Add(terminaltest.Unhex(f, a))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		a, n, err := parseAPDU(b)
		if err != nil {
			return
		}
		again := a.encode()
		if len(a.data) >= 0xFF || b[2] != 0xFF { // a short length may also come in the long form
			if !bytes.Equal(again, b[:n]) {
				t.Fatalf("%X became %X", b[:n], again)
			}
		}
		back, err := parseWhole(again)
		if err != nil || back.cmd != a.cmd || !bytes.Equal(back.data, a.data) {
			t.Fatalf("%X: %v", again, err)
		}
		_ = describe(a)
	})
}

func FuzzDeframer(f *testing.F) {
	for _, x := range frames {
		f.Add(terminaltest.Unhex(f, x.wire), []byte{1, 3})
	}
	f.Add([]byte{dle, stx, dle, dle, dle, etx, 0, 0, ack, nak}, []byte{2})
	f.Fuzz(func(t *testing.T, b, cuts []byte) {
		var whole, pieces deframer
		want := whole.feed(b)
		var got []event
		rest := b
		for _, c := range cuts {
			n := min(int(c), len(rest))
			got = append(got, pieces.feed(rest[:n])...)
			rest = rest[n:]
		}
		got = append(got, pieces.feed(rest)...)
		if !reflect.DeepEqual(got, want) || whole.partial() != pieces.partial() {
			t.Fatalf("chunks change what is read: %v, %v", got, want)
		}
		for _, e := range want {
			if e.kind != gotFrame {
				continue
			}
			var d deframer
			if again := d.feed(frame(e.raw)); len(again) != 1 || !bytes.Equal(again[0].raw, e.raw) {
				t.Fatalf("%X is not read again", e.raw)
			}
		}
	})
}

func FuzzStatus(f *testing.F) {
	for _, a := range apdus {
		f.Add(terminaltest.Unhex(f, a)[3:], byte(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, cs byte) {
		charset := []Charset{CP437, Latin1, Latin9, UTF8}[cs%4]
		info, err := parseStatus(data, charset)
		for _, text := range []string{info.brand, info.text, info.approval} {
			if wireline.MaskCards(text) != text {
				t.Fatalf("%q holds a card number", text)
			}
		}
		if len(info.last4) != 0 && len(info.last4) != 4 {
			t.Fatalf("last4 %q", info.last4)
		}
		if err != nil {
			return
		}
		var again []byte
		if err := walk(data, func(id byte, v []byte) { again = appendBMP(again, id, v) }); err != nil {
			t.Fatal(err)
		}
		if back, err := parseStatus(again, charset); err != nil || back != info {
			t.Fatalf("%X became %X: %v", data, again, err)
		}
	})
}

func FuzzSlips(f *testing.F) {
	f.Add([]byte("@Kundenbeleg"), []byte{0x81}, false)
	f.Add(terminaltest.Unhex(f, "06121f0701022509090140070548616c6c6f090181"), []byte{}, true)
	f.Fuzz(func(t *testing.T, a, b []byte, block bool) {
		var s slips
		for _, data := range [][]byte{a, b, a} {
			if block {
				_ = s.block(data) // what was read before a fault stays
			} else {
				s.line(data)
			}
		}
		r := s.receipt()
		for _, l := range append(r.Customer, r.Merchant...) {
			if wireline.MaskCards(l) != l {
				t.Fatalf("%q holds a card number", l)
			}
		}
	})
}
