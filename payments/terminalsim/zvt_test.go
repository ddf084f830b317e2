package terminalsim

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Frames whose CRC other people's registers computed.
var frames = []struct{ msg, wire string }{
	{"060006123456ba0978", "10 02 06 00 06 12 34 56 BA 09 78 10 03 24 C3"},
	{"06010a04000000011000490978", "10 02 06 01 0A 04 00 00 00 01 10 10 00 49 09 78 10 03 F2 FF"},
	{"800000", "10 02 80 00 00 10 03 F5 1F"},
	{"061003123456", "100206101003123456100315ad"},
	{"060f0bf0f0f7322e31342e313500", "10 02 06 0F 0B F0 F0 F7 32 2E 31 34 2E 31 35 00 10 03 B1 11"},
}

func TestCable(t *testing.T) {
	if sum := kermit([]byte("123456789")); sum != 0x2189 {
		t.Errorf("check value %04X", sum)
	}
	for _, f := range frames {
		msg, wire := unhex(t, f.msg), unhex(t, f.wire)
		if got := serialFrame(msg); !bytes.Equal(got, wire) {
			t.Errorf("%s: %X", f.msg, got)
		}
		for n := range wire {
			if sign, _, _ := scan(wire[:n]); sign != signNone {
				t.Errorf("%s: sign %d after %d bytes", f.msg, sign, n)
			}
		}
		sign, got, used := scan(append([]byte{'x', 0x10, 'y'}, wire...))
		if sign != signFrame || !bytes.Equal(got, msg) || used != len(wire)+3 {
			t.Errorf("%s: sign %d, %X, %d bytes", f.msg, sign, got, used)
		}
		wire[len(wire)-1]++
		if sign, _, _ := scan(wire); sign != signBroken {
			t.Errorf("%s with a wrong CRC: sign %d", f.msg, sign)
		}
	}
}

func FuzzScan(f *testing.F) {
	for _, x := range frames {
		f.Add(unhex(f, x.wire))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			sign, frame, used := scan(b)
			if used < 0 || used > len(b) {
				t.Fatalf("%d bytes used of %d", used, len(b))
			}
			if sign == signFrame {
				if s, again, _ := scan(serialFrame(frame)); s != signFrame || !bytes.Equal(again, frame) {
					t.Fatalf("%X is not read again", frame)
				}
			}
			if sign == signNone {
				return
			}
			b = b[used:]
		}
	})
}

func TestParseScript(t *testing.T) {
	got, err := ParseScript("approve # first\n\n decline=33 wrongpin slow=2\nlostack=keeps cut=result-sent\nlate=5 partial=100 refuse=9c")
	if err != nil || len(got) != 4 {
		t.Fatalf("%+v %v", got, err)
	}
	want := []Behaviour{
		{}, {Result: 0x33, WrongPIN: true, Slow: 2}, {IgnoreAck: true, LostAck: Keeps, CutAt: StepResultSent},
		{Late: 5 * time.Second, Partial: 100, Refuse: 0x9C},
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d: %+v", i, got[i])
		}
	}
	for _, bad := range []string{"aprove", "decline=zz", "slow=x", "cut=never", "lostack=maybe", "wait=5", "late=", "partial=1.5", "refuse=100"} {
		if _, err := ParseScript("approve\n" + bad); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// register is the other side, byte by byte over TCP.
type register struct {
	t    *testing.T
	conn net.Conn
}

func (r register) say(text string, want ...string) {
	r.t.Helper()
	if _, err := r.conn.Write(unhex(r.t, text)); err != nil {
		r.t.Fatal(err)
	}
	for _, w := range want {
		r.hear(w)
	}
}

func (r register) hear(text string) {
	r.t.Helper()
	want := unhex(r.t, text)
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r.conn, got); err != nil || !bytes.Equal(got, want) {
		r.t.Fatalf("heard %X, want %X (%v)", got, want, err)
	}
}

// result reads a 04 0F and gives its data.
func (r register) result() []byte {
	r.t.Helper()
	head := make([]byte, 3)
	if _, err := io.ReadFull(r.conn, head); err != nil || head[0] != 0x04 || head[1] != 0x0F {
		r.t.Fatalf("heard %X (%v)", head, err)
	}
	data := make([]byte, head[2])
	if _, err := io.ReadFull(r.conn, data); err != nil {
		r.t.Fatal(err)
	}
	return data
}

func withRegister(t *testing.T, o Options, f func(z *ZVT, dial func() register)) {
	synctest.Test(t, func(t *testing.T) {
		z := NewZVT(o)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		var open []net.Conn
		f(z, func() register {
			ours, theirs := net.Pipe()
			open = append(open, ours)
			wg.Go(func() { _ = z.ServeTCP(ctx, theirs) })
			return register{t, ours}
		})
		cancel()
		wg.Wait()
		for _, c := range open {
			_ = c.Close()
		}
	})
}

const (
	ok         = "800000"
	register06 = "060006123456380978"
	registered = "060f0a19002952523535490978"
	pay        = "06010a04000000001016490978"
	last       = "0620051234560303"
	end        = "060f00"
)

func TestOnePayment(t *testing.T) {
	var steps []string
	withRegister(t, Options{Password: "123456", OnStep: func(s string) { steps = append(steps, s) }}, func(z *ZVT, dial func() register) {
		r := dial()
		r.say(register06, ok, registered)
		r.say(ok)
		r.say(last, ok, "061e0183") // nothing yet
		r.say(ok)
		r.say(pay, ok, "04ff010a")
		r.say(ok, "04ff0104")
		r.say(ok)
		first := r.result()
		if c := z.Charges(); len(c) != 1 || c[0].Booked {
			t.Errorf("booked before the acknowledgement: %+v", c)
		}
		r.say(ok, end)
		if c := z.Charges(); len(c) != 1 || !c[0].Standing() || c[0].Amount != 1016 || c[0].Currency != "978" {
			t.Errorf("%+v", c)
		}
		r.say(ok)
		r.say(last, ok)
		if again := r.result(); !bytes.Equal(again, first) {
			t.Errorf("last transaction %X, was %X", again, first)
		}
		r.say(ok, end)
		r.say(ok)
	})
	if got := strings.Join(steps, " "); got != "last-received "+strings.Join(Steps(), " ")+" last-received last-sent" {
		t.Errorf("steps: %s", got)
	}
}

func TestLostAcknowledgement(t *testing.T) {
	for way, want := range map[LostAck][]bool{Reverses: {false}, Keeps: {true}, Declines: nil} {
		withRegister(t, Options{LostAck: way}, func(z *ZVT, dial func() register) {
			r := dial()
			r.say(pay, ok)
			r.result()
			_ = r.conn.Close()
			synctest.Wait()
			var got []bool
			for _, c := range z.Charges() {
				got = append(got, c.Standing())
			}
			if len(got) != len(want) || len(got) == 1 && got[0] != want[0] {
				t.Errorf("%s: %+v", way, z.Charges())
			}
			r = dial() // the terminal and its ledger are still there
			if way == Keeps {
				r.say(last, ok)
				r.result()
				r.say(ok, end)
			} else {
				r.say(last, ok, "061e0183")
			}
			r.say(ok)
		})
	}
}

func TestCutAtEachStep(t *testing.T) {
	for _, step := range Steps() {
		script, err := ParseScript("cut=" + step)
		if err != nil {
			t.Fatal(err)
		}
		withRegister(t, Options{Script: script}, func(z *ZVT, dial func() register) {
			r := dial()
			r.say(register06, ok, registered)
			r.say(ok)
			r.say(pay)
			go func() { // takes everything
				for err := error(nil); err == nil; {
					_, err = r.conn.Write(unhex(t, ok))
				}
			}()
			_, _ = io.Copy(io.Discard, r.conn) // ends with the cut
			synctest.Wait()
			booked := step == StepPrinted || step == StepEndSent
			approved := booked || step == StepHost || step == StepResultSent || step == StepResultAck
			if c := z.Charges(); (len(c) == 1) != approved || approved && c[0].Standing() != booked {
				t.Errorf("%s: %+v", step, c)
			}
		})
	}
}

func TestRefusedResultIsTakenBack(t *testing.T) {
	withRegister(t, Options{}, func(z *ZVT, dial func() register) {
		r := dial()
		r.say(pay, ok)
		r.result()
		r.say("848300", "061e019a")
		r.say(ok)
		if c := z.Charges(); len(c) != 1 || c[0].Standing() || !c[0].Reversed {
			t.Errorf("%+v", c)
		}
	})
}

func TestAbortWhileWaiting(t *testing.T) {
	withRegister(t, Options{Script: []Behaviour{{Wait: true}}}, func(z *ZVT, dial func() register) {
		r := dial()
		r.say(pay, ok)
		r.say("050100", "849c00") // busy
		r.say("06b000", ok, "061e016c")
		r.say(ok)
		if len(z.Charges()) != 0 || z.Asked() != 1 {
			t.Errorf("%+v, asked %d", z.Charges(), z.Asked())
		}
	})
}

func TestRefusals(t *testing.T) {
	withRegister(t, Options{Password: "123456"}, func(z *ZVT, dial func() register) {
		r := dial()
		r.say("060006000000380978", "848500")               // password
		r.say("060006123456380756", "846f00")               // currency
		r.say("06010a04000000001016490756", "846f00")       // currency
		r.say("06310d00000004000000001016490978", "848500") // password
		r.say("06c000", "848300")
		if len(z.Charges()) != 0 {
			t.Errorf("%+v", z.Charges())
		}
	})
}

func TestRefund(t *testing.T) {
	withRegister(t, Options{Password: "123456"}, func(z *ZVT, dial func() register) {
		r := dial()
		r.say(register06, ok, registered)
		r.say(ok)
		r.say("06310d12345604000000001016490978", ok)
		r.hear("04ff010a")
		r.say(ok, "04ff0104")
		r.say(ok)
		r.result()
		r.say(ok, end)
		r.say(ok)
		if c := z.Charges(); len(c) != 1 || !c[0].Refund || !c[0].Standing() {
			t.Errorf("%+v", c)
		}
	})
}
