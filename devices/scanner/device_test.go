package scanner

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/port/porttest"
)

var testTime = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

type refusal struct {
	scanner string
	length  int
}

// sink keeps what it hears in a channel; fail makes the next Scanned fail.
type sink struct {
	scans    chan Scan
	refusals chan refusal
	mu       sync.Mutex
	fail     error
}

func newSink() *sink { return &sink{scans: make(chan Scan, 64), refusals: make(chan refusal, 64)} }

func (s *sink) Scanned(_ context.Context, scan Scan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.fail; err != nil {
		s.fail = nil
		return err
	}
	s.scans <- scan
	return nil
}

func (s *sink) Refused(_ context.Context, scanner string, length int, _ time.Time) {
	s.refusals <- refusal{scanner, length}
}

// lab is a running scanner on pipes, inside synctest.
type lab struct {
	*Scanner
	*sink
	far     port.Port // the cable that is plugged in
	fars    <-chan port.Port
	changes []devices.Info
	log     bytes.Buffer
}

func run(t *testing.T, o Options, test func(l *lab)) { runDriver(t, "", o, test) }

func runDriver(t *testing.T, driver string, o Options, test func(l *lab)) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := &lab{sink: newSink()}
		open, fars := porttest.Opener(t)
		l.fars = fars
		var mu sync.Mutex
		s, err := New(Config{
			Name: "till", Driver: driver, Open: open, Options: o, Sink: l.sink, Log: slog.New(slog.NewTextHandler(&l.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
			OnChange: func(i devices.Info) { mu.Lock(); l.changes = append(l.changes, i); mu.Unlock() },
		})
		if err != nil {
			t.Fatal(err)
		}
		l.Scanner = s
		done := make(chan error)
		go func() { done <- s.Run(ctx) }()
		l.far = <-fars
		synctest.Wait()
		test(l)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func (l *lab) send(t *testing.T, text string) {
	t.Helper()
	if _, err := l.far.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func (l *lab) want(t *testing.T, want string) {
	t.Helper()
	select {
	case s := <-l.scans:
		if string(s.Data) != want || s.Scanner != "till" || s.At.IsZero() {
			t.Errorf("scan %+v, want %q", s, want)
		}
	default:
		if want != "" {
			t.Errorf("no scan, want %q", want)
		}
	}
}

func TestScansInOrder(t *testing.T) {
	run(t, Options{}, func(l *lab) {
		if i := l.Info(); i.State != devices.Ready || i.Category != devices.Scanner || i.Driver != "scanner" {
			t.Errorf("%+v", i)
		}
		l.send(t, "one\rtwo\r\nth")
		l.want(t, "one")
		l.want(t, "two")
		l.want(t, "")
		l.send(t, "ree\r")
		l.want(t, "three")
	})
}

func TestGap(t *testing.T) {
	run(t, Options{GapMS: 80}, func(l *lab) {
		l.send(t, "12")
		time.Sleep(79 * time.Millisecond) // fake time
		l.send(t, "34")
		time.Sleep(79 * time.Millisecond)
		synctest.Wait()
		l.want(t, "")
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		l.want(t, "1234")
	})
}

func TestCardIsRefusedAndNowhere(t *testing.T) {
	run(t, Options{}, func(l *lab) {
		for n := range 2 {
			l.send(t, "4111111111111111\r")
			if r := <-l.refusals; r != (refusal{"till", 16}) {
				t.Errorf("%+v", r)
			}
			p := l.Info().LastError
			if p == nil || p.Code != "card_data_refused" || p.Length != 16 || strings.Contains(p.Message+p.Hint, "1111") {
				t.Errorf("%+v", p)
			}
			if len(l.changes) != 2+n { // ready, and one for each refusal
				t.Errorf("%d changes", len(l.changes))
			}
			time.Sleep(time.Second)
		}
		l.want(t, "")
		if strings.Contains(l.log.String(), "1111") {
			t.Errorf("in the log: %s", &l.log)
		}
		l.send(t, "ok\r")
		l.want(t, "ok")
		if p := l.Info().LastError; p != nil {
			t.Errorf("still %+v", p)
		}
	})
}

func TestLostScans(t *testing.T) {
	run(t, Options{}, func(l *lab) {
		l.mu.Lock()
		l.fail = errors.New("disk full")
		l.mu.Unlock()
		l.send(t, "one\r")
		if p := l.Info().LastError; p == nil || p.Code != "device_error" || p.Hint == "" {
			t.Errorf("%+v", p)
		}
		l.send(t, strings.Repeat("9", maxCode+1))
		if p := l.Info().LastError; p == nil || !strings.Contains(p.Message, "8 KiB") {
			t.Errorf("%+v", p)
		}
		l.send(t, "\rnext\r")
		l.want(t, "next")
	})
}

// Whichever operation fails first, the scanner comes back and reads on.
func TestComesBackFromAnyFault(t *testing.T) {
	for nth := 1; nth <= 4; nth++ {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			hear := newSink()
			pipes, fars := porttest.Opener(t)
			opens := 0
			open := func(ctx context.Context) (port.Port, error) {
				if opens++; opens == 1 && nth == 4 {
					return nil, errors.New("no such port")
				}
				p, err := pipes(ctx)
				if err == nil && opens == 1 {
					p = porttest.Faulty(p, porttest.Faults{FailRead: nth, ShortReads: true})
				}
				return p, err
			}
			s, err := New(Config{Name: "till", Open: open, Sink: hear})
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() { done <- s.Run(ctx) }()
			if nth < 4 {
				far := <-fars
				_ = far.SetWriteDeadline(time.Now().Add(time.Millisecond)) // nobody reads on behind the fault
				_, _ = far.Write([]byte("abcd\r"))
			}
			far := <-fars
			if _, err := far.Write([]byte("next\r")); err != nil {
				t.Error(err)
			}
			if got := <-hear.scans; string(got.Data) != "next" {
				t.Errorf("fault at %d: %q", nth, got.Data)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestUnplugDropsPartial(t *testing.T) {
	run(t, Options{}, func(l *lab) {
		l.send(t, "123")
		_ = l.far.Close()
		synctest.Wait()
		i := l.Info()
		if i.State != devices.Offline || i.LastError == nil || i.LastError.Code != "unplugged" || !strings.Contains(i.LastError.Message, "3 bytes") {
			t.Errorf("%+v %+v", i, i.LastError)
		}
		l.far = <-l.fars
		l.send(t, "456\r")
		l.want(t, "456")
		if i := l.Info(); i.State != devices.Ready || i.LastError != nil {
			t.Errorf("%+v", i)
		}
	})
}

func TestDuplicateWindow(t *testing.T) {
	run(t, Options{DupMS: 500}, func(l *lab) {
		l.send(t, "one\rone\r")
		l.want(t, "one")
		l.want(t, "")
		time.Sleep(499 * time.Millisecond) // fake time
		l.send(t, "one\r")
		l.want(t, "")
		time.Sleep(time.Millisecond)
		l.send(t, "one\r") // the time runs from the scan that was delivered
		l.want(t, "one")
		l.send(t, "two\rone\r") // another code in between is another article
		l.want(t, "two")
		l.want(t, "one")
		l.mu.Lock()
		l.fail = errors.New("disk full")
		l.mu.Unlock()
		l.send(t, "three\r") // lost, so it is read again
		l.want(t, "")
		l.send(t, "three\r")
		l.want(t, "three")
		l.send(t, "]C0three\r") // another symbology
		l.want(t, "three")
		if strings.Contains(l.log.String(), "three") {
			t.Errorf("codes in the log: %s", &l.log)
		}
	})
	run(t, Options{}, func(l *lab) {
		l.send(t, "one\rone\r")
		l.want(t, "one")
		l.want(t, "one")
	})
	for _, ms := range []int{-1, 10_001} {
		if _, err := New(Config{Name: "x", Options: Options{DupMS: ms}}); err == nil || !strings.Contains(err.Error(), "dup_ms") {
			t.Errorf("%d: %v", ms, err)
		}
	}
}
