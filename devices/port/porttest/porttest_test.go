package porttest

import (
	"errors"
	"io"
	"os"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices/port"
)

var conversation = []Op{
	{Write: []byte("hello")},
	{Read: []byte("hi there")},
	{Write: []byte("bye")},
}

// driver is the near side of the conversation above.
func driver(p port.Port) error {
	if _, err := io.WriteString(p, "hello"); err != nil {
		return err
	}
	if _, err := io.ReadFull(p, make([]byte, 8)); err != nil {
		return err
	}
	_, err := io.WriteString(p, "bye")
	return err
}

func TestRecordAndPlay(t *testing.T) {
	near, far := Pipe(t)
	go func() {
		_, _ = io.ReadFull(far, make([]byte, 5))
		_, _ = io.WriteString(far, "hi ")
		_, _ = io.WriteString(far, "there")
		_, _ = io.ReadFull(far, make([]byte, 3))
	}()
	r := Record(near)
	if err := driver(r); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r.Ops(), conversation) {
		t.Errorf("recorded %+v", r.Ops())
	}
	p := Play(r.Ops())
	if err := driver(p); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestPlayCatches(t *testing.T) {
	p := Play(conversation)
	if _, err := io.WriteString(p, "help"); err == nil {
		t.Error("a wrong byte passed")
	}
	if p.Close() == nil {
		t.Error("Close forgot the wrong byte")
	}
	p = Play(conversation)
	if _, err := io.WriteString(p, "hello"); err != nil {
		t.Error(err)
	}
	if p.Close() == nil {
		t.Error("Close is content although steps remain")
	}
	p = Play([]Op{{Write: []byte("hello"), Read: []byte("hi there")}, {Write: []byte("bye")}})
	if err := errors.Join(driver(p), p.Close()); err != nil {
		t.Error(err)
	}
	p = Play(nil)
	if _, err := io.WriteString(p, "x"); err == nil {
		t.Error("wrote behind the end")
	}
	want := errors.New("out of paper")
	p = Play([]Op{{Write: []byte("a")}, {Err: want}, {Read: []byte("b")}})
	_, _ = io.WriteString(p, "a")
	if _, err := io.WriteString(p, "x"); !errors.Is(err, want) {
		t.Errorf("%v", err)
	}
	if _, err := io.ReadFull(p, make([]byte, 1)); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestPlayDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Play(conversation)
		_ = p.SetReadDeadline(time.Now().Add(time.Minute))
		if _, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v", err)
		}
		_ = p.SetReadDeadline(time.Time{})
		done := make(chan error, 1)
		go func() { _, err := p.Read(make([]byte, 1)); done <- err }()
		synctest.Wait()
		_ = p.Close()
		if err := <-done; err == nil {
			t.Error("Close did not end the read")
		}
	})
}

func TestFaulty(t *testing.T) {
	play := func(f Faults) port.Port { return Faulty(Play(conversation), f) }
	if err := driver(play(Faults{})); err != nil {
		t.Errorf("no faults: %v", err)
	}
	if err := driver(play(Faults{ShortReads: true})); err != nil {
		t.Errorf("short reads: %v", err)
	}
	for name, f := range map[string]Faults{"read": {FailRead: 1}, "write": {FailWrite: 2}} {
		if err := driver(play(f)); port.KindOf(err) != port.Unplugged {
			t.Errorf("%s: %v", name, err)
		}
	}
	want := errors.New("special")
	if err := driver(play(Faults{FailWrite: 1, Err: want})); !errors.Is(err, want) {
		t.Errorf("own error: %v", err)
	}
	for cut := 1; cut < 16; cut++ {
		if err := driver(play(Faults{CutAfter: cut})); port.KindOf(err) != port.Unplugged {
			t.Errorf("cut after %d: %v", cut, err)
		}
	}
	if err := driver(play(Faults{CutAfter: 16})); err != nil {
		t.Errorf("cut behind the end: %v", err)
	}
}
