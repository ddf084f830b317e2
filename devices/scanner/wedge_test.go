package scanner

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
)

// event is one input event as the kernel gives it.
func event(kind, code uint16, value uint32) []byte {
	b := make([]byte, eventTime, eventSize)
	for n := range b {
		b[n] = 0xA5 // a time, of no interest
	}
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, code)
	return binary.NativeEndian.AppendUint32(b, value)
}

// press is a key going down and up, each with the report that ends a packet.
func press(codes ...uint16) []byte {
	var b []byte
	for _, code := range codes {
		b = append(b, event(typeKey, code, 1)...)
		b = append(b, event(typeSync, 0, 0)...)
		b = append(b, event(typeKey, code, 0)...)
		b = append(b, event(typeSync, 0, 0)...)
	}
	return b
}

// with holds a modifier around keys.
func with(modifier uint16, codes ...uint16) []byte {
	b := event(typeKey, modifier, 1)
	b = append(b, event(typeKey, modifier, 2)...) // auto-repeat
	b = append(b, press(codes...)...)
	return append(b, event(typeKey, modifier, 0)...)
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

type heard struct {
	aim, data string
	err       error
}

func (h heard) String() string { return fmt.Sprintf("%s %q %v", h.aim, h.data, h.err) }

func decodeKeys(t testing.TB, o Options, stream []byte, size int) []heard {
	t.Helper()
	d, err := newWedgeDecoder(o)
	if err != nil {
		t.Fatal(err)
	}
	var all []heard
	done := func(aim string, data []byte, err error) { all = append(all, heard{aim, string(data), err}) }
	for len(stream) > 0 {
		n := min(size, len(stream))
		d.feed(stream[:n], done)
		stream = stream[n:]
	}
	if d.partial() > 0 {
		d.silent(done)
	}
	if d.partial() != 0 {
		t.Errorf("%d left", d.partial())
	}
	return all
}

func TestWedgeDecoder(t *testing.T) {
	four, enter := press(5, 11, 11, 7), press(keyEnter) // 4006
	for name, c := range map[string]struct {
		o    Options
		in   []byte
		want []heard
	}{
		"digits":            {in: join(four, enter), want: []heard{{data: "4006"}}},
		"two codes":         {in: join(four, enter, press(2), enter), want: []heard{{data: "4006"}, {data: "1"}}},
		"number pad":        {in: join(press(79, 80, 81, 75, 82, 83, keyPadEnter)), want: []heard{{data: "12340."}}},
		"no enter":          {in: four, want: []heard{{data: "4006"}}},
		"shift":             {in: join(with(keyLeftShift, 30, 12), with(keyRightShift, 44), press(30), enter), want: []heard{{data: "A_Za"}}},
		"both shifts":       {in: join(event(typeKey, 42, 1), event(typeKey, 54, 1), event(typeKey, 42, 0), press(30), event(typeKey, 54, 0), press(30), enter), want: []heard{{data: "Aa"}}},
		"aim and GS":        {in: join(press(27), with(42, 46), press(2, 2, 11, 30, keyF8, 3, 2), with(29, 27), press(3), enter), want: []heard{{"]C1", "10a\x1d21\x1d2", nil}}},
		"caps and num lock": {in: join(press(58), four, press(58, 69), enter), want: []heard{{data: "4006"}}},
		"auto-repeat":       {in: join(event(typeKey, 2, 1), event(typeKey, 2, 2), event(typeKey, 2, 2), event(typeKey, 2, 0), enter), want: []heard{{data: "1"}}},
		"prefix, suffix":    {o: Options{Prefix: "*", Suffix: "/"}, in: join(press(55), four, press(53), four), want: []heard{{data: "4006"}, {data: "4006"}}},
		"unknown key":       {in: join(press(2, 86, 3), enter, four, enter), want: []heard{{err: errKeyUnknown}, {data: "4006"}}},
		"only unknown":      {in: join(press(86), enter, four, enter), want: []heard{{err: errKeyUnknown}, {data: "4006"}}},
		"alt codes":         {in: join(with(56, 79, 80), enter, four, enter), want: []heard{{err: errKeyUnknown}, {data: "4006"}}},
		"ctrl digit":        {in: join(with(29, 2), four), want: []heard{{err: errKeyUnknown}}},
		"dropped":           {in: join(press(2), event(typeSync, 3, 0), press(3), enter, four, enter), want: []heard{{err: errKeysDropped}, {data: "4006"}}},
		"dropped shift":     {in: join(event(typeKey, 42, 1), event(typeSync, 3, 0), press(3), enter, press(30), enter), want: []heard{{err: errKeysDropped}, {data: "a"}}},
		"dropped but enter": {in: join(event(typeSync, 3, 0), enter, four, enter), want: []heard{{err: errKeysDropped}, {data: "4006"}}},
		"dropped at rest":   {in: event(typeSync, 3, 0), want: []heard{{err: errKeysDropped}}},
		"enters only":       {in: join(enter, enter), want: nil},
		"too long":          {in: join(bytes.Repeat(press(2), maxCode+2), enter, four, enter), want: []heard{{err: errTooLong}, {data: "4006"}}},
		"mouse":             {in: join(event(2, 0, 5), four, event(4, 4, 458756), enter), want: []heard{{data: "4006"}}},
	} {
		for _, size := range []int{1, eventSize - 1, eventSize, 1000, len(c.in)} {
			got := decodeKeys(t, c.o, c.in, size)
			if len(got) != len(c.want) {
				t.Errorf("%s by %d: %v, want %v", name, size, got, c.want)
				continue
			}
			for n := range got {
				if got[n].aim != c.want[n].aim || got[n].data != c.want[n].data || !errors.Is(got[n].err, c.want[n].err) {
					t.Errorf("%s by %d: %v, want %v", name, size, got[n], c.want[n])
				}
			}
		}
	}
}

// Every character that a US keyboard types comes back as itself.
func TestEveryKey(t *testing.T) {
	typed := map[byte]bool{}
	for code := uint16(0); code < 256; code++ {
		for _, shift := range []bool{false, true} {
			if c, ok := keyByte(code, shift); ok {
				typed[c] = true
			}
		}
	}
	for c := byte(' '); c <= '~'; c++ {
		if !typed[c] {
			t.Errorf("%q cannot be typed", c)
		}
	}
	if len(typed) != '~'-' '+1+3 { // and Enter, Tab, GS
		t.Errorf("%d characters", len(typed))
	}
}

func FuzzWedge(f *testing.F) {
	f.Add(join(press(2, 3), with(42, 30), press(28)), byte(7))
	f.Add(join(event(typeSync, 3, 0), press(86, 28, 2)), byte(1))
	f.Fuzz(func(t *testing.T, stream []byte, size byte) {
		whole := decodeKeys(t, Options{}, stream, len(stream)+1)
		parts := decodeKeys(t, Options{}, stream, int(size)+1)
		if len(whole) != len(parts) {
			t.Fatalf("%v, split %v", whole, parts)
		}
		for n := range whole {
			if whole[n] != parts[n] || whole[n].err == nil && whole[n].data == "" && whole[n].aim == "" {
				t.Fatalf("%v, split %v", whole[n], parts[n])
			}
		}
	})
}

func TestWedgeDriver(t *testing.T) {
	runDriver(t, DriverWedge, Options{}, func(l *lab) {
		if i := l.Info(); i.State != devices.Ready || i.Driver != "wedge" {
			t.Errorf("%+v", i)
		}
		l.send(t, string(press(2, 3, 4, keyEnter)))
		l.want(t, "123")
		l.send(t, string(press(2, 3)))
		time.Sleep(wedgeGap - time.Millisecond) // fake time
		l.send(t, string(press(4)))
		l.want(t, "")
		time.Sleep(wedgeGap + time.Millisecond)
		synctest.Wait()
		l.want(t, "123")
		l.send(t, string(join(press(2, 86), press(keyEnter))))
		if p := l.Info().LastError; p == nil || !strings.Contains(p.Hint, "US keyboard") {
			t.Errorf("%+v", p)
		}
		card := make([]uint16, 0, 17)
		for _, c := range "4111111111111111" {
			card = append(card, uint16(c-'0')+1)
		}
		l.send(t, string(press(append(card, keyEnter)...)))
		if r := <-l.refusals; r.length != 16 {
			t.Errorf("%+v", r)
		}
		l.want(t, "")
	})
	if _, err := New(Config{Name: "x", Driver: DriverWedge, Options: Options{GapMS: -1}}); err == nil || !strings.Contains(err.Error(), "gap_ms") {
		t.Error(err)
	}
}
