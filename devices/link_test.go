package devices

import (
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices/port"
)

func pipeOpener() port.OpenFunc {
	return func(context.Context) (port.Port, error) {
		near, far := net.Pipe()
		_ = far.Close() // the cable is out at once
		return near, nil
	}
}

// A port that always fails is opened again ten thousand times, and the waits keep their bounds. A goroutine left
// behind would be one of the bubble, and synctest.Test panics over those.
func TestServeReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var opens []time.Time
		changes := 0
		open := pipeOpener()
		l := NewLink(LinkConfig{
			Info: Info{Name: "s"},
			Open: func(ctx context.Context) (port.Port, error) {
				opens = append(opens, time.Now())
				return open(ctx)
			},
			OnChange: func(Info) { changes++ },
		})
		err := l.Serve(ctx, func(_ context.Context, p port.Port) error {
			if len(opens) == 10_000 {
				cancel()
			}
			_, err := p.Read(make([]byte, 1))
			return err
		})
		if err != nil {
			t.Fatalf("Serve: %v", err)
		}
		var sum time.Duration
		for n := range opens[1:] {
			d := opens[n+1].Sub(opens[n])
			sum += d
			if bound := min(firstWait<<min(n, 10), lastWait); d <= 0 || d > bound+time.Millisecond {
				t.Fatalf("wait %d was %v, bound %v", n, d, bound)
			}
		}
		if mean := sum / 9999; mean < 2*time.Second || mean > 3*time.Second {
			t.Errorf("mean wait %v, want about %v", mean, lastWait/2)
		}
		if changes != 1 {
			t.Errorf("%d changes told of one lasting problem", changes)
		}
		if p := l.Info().LastError; p == nil || p.Code != "unplugged" || p.Hint == "" {
			t.Errorf("problem %+v", p)
		}
	})
}

func TestServeQuickRetryAfterGoodSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var n int
		var ended time.Time
		l := NewLink(LinkConfig{Open: func(context.Context) (port.Port, error) {
			n++
			switch {
			case n < 8:
				return nil, &port.Error{Op: "open", Address: "x", Kind: port.Missing, Err: errors.New("gone")}
			case n == 9:
				if d := time.Since(ended); d > firstWait+time.Millisecond {
					t.Errorf("reopened after %v", d)
				}
				cancel()
			}
			near, _ := net.Pipe()
			return near, nil
		}})
		_ = l.Serve(ctx, func(ctx context.Context, p port.Port) error {
			if n == 9 {
				return nil
			}
			_ = p.SetReadDeadline(time.Now().Add(time.Minute))
			_, err := p.Read(make([]byte, 1))
			ended = time.Now()
			return err
		})
		if n != 9 {
			t.Errorf("%d opens", n)
		}
	})
}

func TestServeEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		near, far := net.Pipe()
		defer func() { _ = far.Close() }()
		l := NewLink(LinkConfig{Open: func(context.Context) (port.Port, error) { return near, nil }})
		returned := false
		done := make(chan error)
		go func() {
			done <- l.Serve(ctx, func(_ context.Context, p port.Port) error {
				l.SetState(Ready, Status{})
				_, err := p.Read(make([]byte, 1)) // no deadline: only Close ends it
				returned = true
				return err
			})
		}()
		synctest.Wait()
		if s := l.Info().State; s != Ready {
			t.Fatalf("state %s", s)
		}
		cancel()
		if err := <-done; err != nil || !returned {
			t.Errorf("Serve: %v, session returned %v", err, returned)
		}
		if i := l.Info(); i.State != Offline || i.LastError != nil {
			t.Errorf("after the end: %+v", i)
		}
	})
}

func TestServePanicAndBadAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		l := NewLink(LinkConfig{Open: func(context.Context) (port.Port, error) {
			if n++; n == 3 {
				return nil, &port.Error{Op: "open", Address: "x", Kind: port.BadAddress, Err: errors.New("nonsense")}
			}
			near, _ := net.Pipe()
			return near, nil
		}})
		err := l.Serve(t.Context(), func(_ context.Context, p port.Port) error {
			if n == 2 {
				if c := l.Info().LastError; c == nil || c.Code != "device_error" {
					t.Errorf("after the panic: %+v", c)
				}
			}
			panic("boom")
		})
		if port.KindOf(err) != port.BadAddress {
			t.Errorf("Serve: %v", err)
		}
		if i := l.Info(); i.State != Error || i.LastError.Code != "bad_address" {
			t.Errorf("%+v", i)
		}
	})
}

func TestChangesAreRealAndOrdered(t *testing.T) {
	var got []State
	var l *Link
	l = NewLink(LinkConfig{OnChange: func(i Info) {
		got = append(got, i.State)
		if i.State == Ready {
			l.SetState(Busy, Status{}) // from inside: told after this call
		}
		if i.State != l.Info().State && i.State != Ready {
			t.Errorf("told %s, is %s", i.State, l.Info().State)
		}
	}})
	open := true
	l.SetState(Ready, Status{})
	l.SetState(Busy, Status{})
	l.SetState(Busy, Status{CoverOpen: &open})
	open2 := true
	l.SetState(Busy, Status{CoverOpen: &open2})
	l.Clear()
	l.SetModel("", "")
	l.Report(Problem{Code: "paper_out"})
	l.Report(Problem{Code: "paper_out"})
	l.Report(Problem{Code: "card_data_refused", Length: 16, At: time.Unix(1, 0)})
	l.Report(Problem{Code: "card_data_refused", Length: 16, At: time.Unix(2, 0)})
	l.Clear()
	l.Clear()
	want := []State{Ready, Busy, Busy, Busy, Busy, Busy, Busy}
	if !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	open = false
	if i := l.Info(); !*i.Status.CoverOpen {
		t.Error("the caller's pointer reaches into the link")
	}
}

// Many writers, one order: what OnChange hears last is what Info says.
func TestChangesConcurrent(t *testing.T) {
	var mu sync.Mutex
	var last Info
	inside := false
	l := NewLink(LinkConfig{OnChange: func(i Info) {
		mu.Lock()
		if inside {
			t.Error("two calls at once")
		}
		inside = true
		mu.Unlock()
		runtime.Gosched()
		mu.Lock()
		inside, last = false, i
		mu.Unlock()
	}})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for n := range 200 {
				l.SetState([]State{Ready, Busy, Claimed}[(n+w)%3], Status{})
			}
		})
	}
	wg.Wait()
	if last.State != l.Info().State {
		t.Errorf("told %s, is %s", last.State, l.Info().State)
	}
}

func TestComingBackClearsOnlyItsOwnProblem(t *testing.T) {
	l := NewLink(LinkConfig{})
	l.failed(t.Context(), Offline, io.EOF)
	if p := l.Info().LastError; p == nil || p.Code != "unplugged" || p.Message != "the line was closed at the other end" {
		t.Fatalf("%+v", p)
	}
	l.SetState(Ready, Status{})
	if p := l.Info().LastError; p != nil {
		t.Errorf("still %+v", p)
	}
	l.Report(Problem{Code: "paper_out"})
	l.SetState(Busy, Status{})
	if p := l.Info().LastError; p == nil {
		t.Error("the driver's problem was cleared")
	}
}
