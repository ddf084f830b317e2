package devicesim

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
)

// kernel is the other end of a simulated device's cable.
type kernel struct {
	t    *testing.T
	conn net.Conn
	seq  uint32
}

// plugIn connects d; what the device's end was ended with comes on the channel.
func plugIn(t *testing.T, d *USBDevice) (*kernel, <-chan error) {
	t.Helper()
	near, far := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- d.ServeURBs(far) }()
	t.Cleanup(func() { _ = near.Close() })
	return &kernel{t: t, conn: near}, done
}

func (k *kernel) submit(in bool, endpoint, length uint32, setup []byte, out []byte) uint32 {
	k.t.Helper()
	k.seq++
	h := make([]byte, 48)
	binary.BigEndian.PutUint32(h, 1)
	binary.BigEndian.PutUint32(h[4:], k.seq)
	if in {
		binary.BigEndian.PutUint32(h[12:], 1)
	}
	binary.BigEndian.PutUint32(h[16:], endpoint)
	binary.BigEndian.PutUint32(h[24:], length)
	copy(h[40:], setup)
	if _, err := k.conn.Write(slices.Concat(h, out)); err != nil {
		k.t.Fatal(err)
	}
	return k.seq
}

func (k *kernel) unlink(victim uint32) uint32 {
	k.t.Helper()
	k.seq++
	h := make([]byte, 48)
	binary.BigEndian.PutUint32(h, 2)
	binary.BigEndian.PutUint32(h[4:], k.seq)
	binary.BigEndian.PutUint32(h[20:], victim)
	if _, err := k.conn.Write(h); err != nil {
		k.t.Fatal(err)
	}
	return k.seq
}

// answer reads one answer; data follows only an IN request.
func (k *kernel) answer(in bool) (command, seq uint32, status int32, actual uint32, data []byte) {
	k.t.Helper()
	var h [48]byte
	if _, err := io.ReadFull(k.conn, h[:]); err != nil {
		k.t.Fatal(err)
	}
	be := binary.BigEndian
	command, seq, status, actual = be.Uint32(h[:]), be.Uint32(h[4:]), int32(be.Uint32(h[20:])), be.Uint32(h[24:])
	if in && command == 3 {
		data = make([]byte, actual)
		if _, err := io.ReadFull(k.conn, data); err != nil {
			k.t.Fatal(err)
		}
	}
	return
}

// control is an IN control transfer; the answer of a refused one is nil.
func (k *kernel) control(setup string, length uint32) []byte {
	k.t.Helper()
	b, err := hex.DecodeString(setup)
	if err != nil {
		k.t.Fatal(err)
	}
	want := k.submit(true, 0, length, b, nil)
	_, seq, status, _, data := k.answer(true)
	if seq != want {
		k.t.Fatalf("answer %d to request %d", seq, want)
	}
	if status == -32 {
		return nil
	}
	return data
}

func TestUSBDescriptors(t *testing.T) {
	p := NewPrinter(PrinterOptions{})
	k, _ := plugIn(t, NewUSBPrinter(p, USBIdentity{}))
	for _, c := range []struct {
		name, setup string
		length      uint32
		want        string
	}{
		{"device, its first bytes", "8006000100000800", 8, "1201000200000040"},
		{"device", "8006000100004000", 64, "1201000200000040b8040202000101020301"},
		{"configuration header", "8006000200000900", 9, "09022000010100c032"},
		{"languages", "800600030000ff00", 255, "04030904"},
		{"manufacturer", "800601030904ff00", 255, "0803530049004d00"},
		{"no qualifier", "8006000600000a00", 10, ""},
		{"status", "8000000000000200", 2, "0000"},
		{"configuration number", "8008000000000100", 1, "01"},
		{"port status", "a101000000000100", 1, "18"},
		{"vendor request", "c001000000000100", 1, ""},
	} {
		if got := hex.EncodeToString(k.control(c.setup, c.length)); got != c.want {
			t.Errorf("%s: %s; want %s", c.name, got, c.want)
		}
	}
	id := k.control("a100000000000004", 1024)
	if len(id) < 2 || int(binary.BigEndian.Uint16(id)) != len(id) || !bytes.Contains(id, []byte("CMD:ESC/POS;")) {
		t.Errorf("device id %q", id)
	}
	p.SetPaper(PaperOut)
	if got := k.control("a101000000000100", 1); len(got) != 1 || got[0] != 0x38 {
		t.Errorf("port status without paper: %x", got)
	}
}

// The printer behind the cable answers on the IN pipe what was asked on the OUT pipe.
func TestUSBPrinterAnswers(t *testing.T) {
	p := NewPrinter(PrinterOptions{})
	d := NewUSBPrinter(p, USBIdentity{})
	k, done := plugIn(t, d)
	if k.control("8008000000000100", 1) == nil { // plugged in by now
		t.Fatal("no answer")
	}
	served := make(chan error, 1)
	go func() { served <- p.Serve(context.Background(), d) }()
	in := k.submit(true, 2, 64, nil, nil)
	out := k.submit(false, 1, 3, nil, []byte{0x10, 4, 1})
	for range 2 {
		_, seq, status, actual, data := k.answerOf(in)
		switch {
		case seq == out && (status != 0 || actual != 3):
			t.Errorf("OUT: status %d, %d bytes", status, actual)
		case seq == in && (status != 0 || !bytes.Equal(data, []byte{0x12})):
			t.Errorf("IN: status %d, %x", status, data)
		}
	}
	_ = k.conn.Close()
	if err := <-served; !errors.Is(err, os.ErrClosed) {
		t.Errorf("served until %v", err)
	}
	if err := <-done; err == nil {
		t.Error("the cable ended without a reason")
	}
}

// answerOf is answer where the request may have been the IN request in.
func (k *kernel) answerOf(in uint32) (command, seq uint32, status int32, actual uint32, data []byte) {
	k.t.Helper()
	var h [48]byte
	if _, err := io.ReadFull(k.conn, h[:]); err != nil {
		k.t.Fatal(err)
	}
	be := binary.BigEndian
	command, seq, status, actual = be.Uint32(h[:]), be.Uint32(h[4:]), int32(be.Uint32(h[20:])), be.Uint32(h[24:])
	if seq == in {
		data = make([]byte, actual)
		if _, err := io.ReadFull(k.conn, data); err != nil {
			k.t.Fatal(err)
		}
	}
	return
}

// What the device has not read is not taken, and an unlinked request is never answered.
func TestUSBUnlink(t *testing.T) {
	d := NewUSBSerial(USBIdentity{})
	k, _ := plugIn(t, d.USBDevice)
	dropped := k.submit(false, 1, 4, nil, []byte("drop"))
	kept := k.submit(false, 1, 4, nil, []byte("keep"))
	un := k.unlink(dropped)
	if command, seq, status, _, _ := k.answer(false); command != 4 || seq != un || status != -104 {
		t.Errorf("unlink: command %d, request %d, status %d", command, seq, status)
	}
	got := make(chan string, 1)
	go func() {
		b := make([]byte, 8)
		n, _ := d.Read(b)
		got <- string(b[:n])
	}()
	if _, seq, status, actual, _ := k.answer(false); seq != kept || status != 0 || actual != 4 {
		t.Errorf("answer to %d, status %d, %d bytes", seq, status, actual)
	}
	if g := <-got; g != "keep" {
		t.Errorf("the device read %q", g)
	}
	un = k.unlink(kept)
	if command, seq, status, _, _ := k.answer(false); command != 4 || seq != un || status != 0 {
		t.Errorf("unlink of an answered request: command %d, request %d, status %d", command, seq, status)
	}
}

func TestUSBLongMessageIsSplit(t *testing.T) {
	d := NewUSBSerial(USBIdentity{})
	k, _ := plugIn(t, d.USBDevice)
	k.submit(true, 2, 4, nil, nil)
	k.submit(true, 2, 4, nil, nil)
	k.unlinkNothing()
	go func() { _, _ = d.Write([]byte("sixsix")) }()
	var all []byte
	for range 2 {
		_, _, _, _, data := k.answer(true)
		all = append(all, data...)
	}
	if string(all) != "sixsix" {
		t.Errorf("%q", all)
	}
}

// unlinkNothing waits until the device has taken everything sent so far.
func (k *kernel) unlinkNothing() {
	k.t.Helper()
	k.unlink(0)
	k.answer(false)
}

func TestUSBSerialLine(t *testing.T) {
	d := NewUSBSerial(USBIdentity{})
	k, _ := plugIn(t, d.USBDevice)
	k.submit(false, 0, 7, []byte{0x21, 0x20, 0, 0, 0, 0, 7, 0}, []byte{0, 0x4B, 0, 0, 0, 2, 7})
	k.answer(false)
	k.submit(false, 0, 0, []byte{0x21, 0x22, 3, 0, 0, 0, 0, 0}, nil)
	k.answer(false)
	if got := d.Line(); got != (LineCoding{Baud: 19200, Parity: 2, Data: 7}) {
		t.Errorf("%+v", got)
	}
	if dtr, rts := d.ControlLines(); !dtr || !rts {
		t.Error(dtr, rts)
	}
	if got := k.control("a121000000000700", 7); !bytes.Equal(got, []byte{0, 0x4B, 0, 0, 0, 2, 7}) {
		t.Errorf("%x", got)
	}
}

func TestUSBReports(t *testing.T) {
	s := NewUSBScanner(USBIdentity{})
	k, _ := plugIn(t, s.USBDevice)
	if got := k.control("8106002200002f00", 47); !bytes.Equal(got, posReport) {
		t.Errorf("report descriptor %x", got)
	}
	k.submit(true, 1, 64, nil, nil)
	k.unlinkNothing()
	go func() { _ = s.Scan("]E0", "4006381333931") }()
	_, _, _, _, report := k.answer(true)
	if len(report) != 61 || report[0] != 2 || report[1] != 13 || string(report[2:15]) != "4006381333931" || string(report[58:]) != "]E0" {
		t.Errorf("report %x", report)
	}
	if err := NewUSBKeyboard(USBIdentity{}).Scan("1"); !errors.Is(err, os.ErrClosed) {
		t.Errorf("scan while unplugged: %v", err)
	}
}

// Whatever the kernel's end sends, the device ends with an error and not otherwise.
func FuzzUSBRequests(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1})
	f.Add(append([]byte{0, 0, 0, 2}, make([]byte, 44)...))
	f.Add(append([]byte{0, 0, 0, 1}, make([]byte, 92)...))
	f.Fuzz(func(t *testing.T, sent []byte) {
		d := NewUSBSerial(USBIdentity{})
		if err := d.ServeURBs(recorded{bytes.NewReader(sent)}); err == nil {
			t.Error("it never ended")
		}
		if _, err := d.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("read after the end: %v", err)
		}
	})
}

// recorded reads what was sent and drops the answers.
type recorded struct{ *bytes.Reader }

func (recorded) Write(b []byte) (int, error) { return len(b), nil }
func (recorded) Close() error                { return nil }
