package devices

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"storeagent/devices/port"
)

// Waiting between two attempts to open a port: full jitter below a bound that doubles from firstWait to lastWait. A
// session that lived for goodSession starts again at firstWait, so that a cable pulled and put back is found at once.
const (
	firstWait   = 100 * time.Millisecond
	lastWait    = 5 * time.Second
	goodSession = time.Second
)

// LinkConfig says what a Link serves.
type LinkConfig struct {
	Info     Info          // Name, Category, Driver and Port; the rest is the Link's own
	Open     port.OpenFunc // opens the port, again and again
	Log      *slog.Logger  // nil logs nothing
	OnChange func(Info)    // may be nil; told of every real change, in order, never under a lock
}

// Link keeps one device's port open and its Info true. A driver embeds one, calls Serve from its Run, and says what
// it learns through SetState, SetModel, Report and Clear. All methods are safe for concurrent use; Serve runs once.
type Link struct {
	open     port.OpenFunc
	log      *slog.Logger
	onChange func(Info)
	woken    chan struct{} // holds at most one token

	mu         sync.Mutex
	info       Info
	ours       bool // info.LastError was set by Serve, so coming back clears it
	pending    []Info
	delivering bool
}

// NewLink makes a Link in state Offline; nothing is opened before Serve.
func NewLink(c LinkConfig) *Link {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Info.State, c.Info.Since = Offline, time.Now()
	return &Link{open: c.Open, log: c.Log.With("device", c.Info.Name), onChange: c.OnChange, info: c.Info,
		woken: make(chan struct{}, 1)}
}

// Wake ends the wait before the next attempt to open the port, since a device was plugged in somewhere. An open port is
// left alone.
func (l *Link) Wake() { nudge(l.woken) }

// Info is the device as it is now, from memory.
func (l *Link) Info() Info {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.info.clone()
}

// SetState replaces state and status. Any state but Offline and Error also clears a problem that Serve had set:
// the device is back.
func (l *Link) SetState(state State, status Status) {
	l.change(func(i *Info) bool {
		changed := i.State != state || !i.Status.equal(status)
		if i.State != state {
			i.State, i.Since = state, time.Now()
		}
		i.Status = status.clone()
		if l.ours && i.LastError != nil && state != Offline && state != Error {
			i.LastError, l.ours = nil, false
			changed = true
		}
		return changed
	})
}

// SetModel sets what the device calls itself; "" means that it did not say.
func (l *Link) SetModel(model, serial string) {
	l.change(func(i *Info) bool {
		changed := i.Model != model || i.Serial != serial
		i.Model, i.Serial = model, serial
		return changed
	})
}

// Report sets the last error without changing the state; it stays until Clear or another Report. A problem without
// At gets the present time, and is no change while the same problem already stands; give At where every occurrence
// counts.
func (l *Link) Report(p Problem) {
	l.change(func(i *Info) bool { return l.setProblem(i, p, false) })
}

// Clear takes the last error away.
func (l *Link) Clear() {
	l.change(func(i *Info) bool {
		changed := i.LastError != nil
		i.LastError, l.ours = nil, false
		return changed
	})
}

// setProblem is called under l.mu.
func (l *Link) setProblem(i *Info, p Problem, ours bool) bool {
	if old := i.LastError; old != nil && p.At.IsZero() {
		same := *old
		same.At = time.Time{}
		if ours {
			same.Message = p.Message // may hold an ephemeral port number
		}
		if same == p {
			return false
		}
	}
	if p.At.IsZero() {
		p.At = time.Now()
	}
	i.LastError, l.ours = &p, ours
	return true
}

// change applies f under the lock and tells OnChange outside of it. Whoever finds nobody telling tells everything
// that is pending, so the order is kept and OnChange may call the Link again.
func (l *Link) change(f func(*Info) bool) bool {
	l.mu.Lock()
	changed := f(&l.info)
	if changed && l.onChange != nil {
		l.pending = append(l.pending, l.info.clone())
	}
	if l.delivering || len(l.pending) == 0 {
		l.mu.Unlock()
		return changed
	}
	l.delivering = true
	for len(l.pending) > 0 {
		next := l.pending[0]
		l.pending = l.pending[1:]
		l.mu.Unlock()
		l.tell(next)
		l.mu.Lock()
	}
	l.delivering = false
	l.mu.Unlock()
	return changed
}

// tell keeps a panic in OnChange from leaving the Link mute.
func (l *Link) tell(i Info) {
	defer func() {
		if v := recover(); v != nil {
			l.log.Error("listener of device changes panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	l.onChange(i)
}

// Serve opens the port and runs session with it until ctx ends, then returns nil. When opening or the session fails,
// the state becomes Offline with a Problem that says why, and after a wait the port is opened again. The port is
// closed when ctx ends, so that a blocked Read or Write returns, and always after a session; session's own context
// ends with it. A panic in session is an error like any other. The session says itself when the device is Ready.
// Serve returns an error only for a port that can never work as configured.
func (l *Link) Serve(ctx context.Context, session func(ctx context.Context, p port.Port) error) error {
	bound := firstWait
	for {
		select {
		case <-l.woken: // before this attempt
		default:
		}
		opened, err := l.attempt(ctx, session)
		if ctx.Err() != nil { // the way to end, whatever the session said
			l.SetState(Offline, Status{})
			return nil //nolint:nilerr // err is the closed port
		}
		if opened.IsZero() && port.KindOf(err) == port.BadAddress {
			l.failed(ctx, Error, err)
			return err
		}
		l.failed(ctx, Offline, err)
		if !opened.IsZero() && time.Since(opened) >= goodSession {
			bound = firstWait
		}
		wait := time.NewTimer(rand.N(bound) + time.Millisecond)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil
		case <-wait.C:
			bound = min(2*bound, lastWait)
		case <-l.woken: // and if its rights are not yet there, again soon
			wait.Stop()
			bound = firstWait
		}
	}
}

// attempt is one open and one session; opened is when the port was, zero if it was not.
func (l *Link) attempt(ctx context.Context, session func(context.Context, port.Port) error) (opened time.Time, err error) {
	defer func() {
		if v := recover(); v != nil {
			l.log.Error("device driver panicked", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			err = fmt.Errorf("device driver panicked: %v", v)
		}
	}()
	p, err := l.open(ctx)
	if err != nil {
		return time.Time{}, err
	}
	opened = time.Now()
	ctx, cancel := context.WithCancel(ctx)
	closed := make(chan struct{})
	context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = p.Close() // the session has the error that matters
	})
	defer func() { cancel(); <-closed }()
	if err = session(ctx, p); err == nil {
		err = errors.New("the session with the device ended")
	}
	return opened, err
}

// failed sets the state and the problem of a broken port in one change, and logs what is new.
func (l *Link) failed(ctx context.Context, state State, err error) {
	p := ProblemOf(err)
	changed := l.change(func(i *Info) bool {
		changed := l.setProblem(i, p, true)
		if i.State != state {
			i.State, i.Since, changed = state, time.Now(), true
		}
		if !i.Status.equal(Status{}) {
			i.Status, changed = Status{}, true
		}
		return changed
	})
	level := slog.LevelDebug // the same trouble as at the last attempt
	if changed {
		level = slog.LevelWarn
	}
	l.log.Log(ctx, level, "device is not usable", "code", p.Code, "error", p.Message, "hint", p.Hint)
}

// ProblemOf puts a failed port into a Problem without a time: its code is the port.Kind, its hint the port's own or
// the general one for that kind.
func ProblemOf(err error) Problem {
	kind := port.KindOf(err)
	var pe *port.Error
	if !errors.As(err, &pe) {
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
			kind = port.Unplugged
		case errors.Is(err, os.ErrDeadlineExceeded):
			kind = port.Silent
		}
	}
	p := Problem{Code: string(kind), Message: err.Error()}
	if text, ok := strings.CutSuffix(p.Message, io.EOF.Error()); ok && errors.Is(err, io.EOF) {
		p.Message = text + "the line was closed at the other end"
	}
	if pe != nil {
		p.Hint = pe.Hint
	}
	if p.Hint == "" {
		p.Hint = hints(kind)
	}
	return p
}

func hints(kind port.Kind) string {
	switch kind {
	case port.Missing:
		return "check the cable and the power of the device, and the port in the configuration"
	case port.NoPermission:
		return "let the service's user open the port"
	case port.InUse:
		return "end the other program that holds the port"
	case port.Silent:
		return "check that the device is on, and that cable and port settings match it"
	case port.Unplugged:
		return "plug the device in and switch it on; it is found again by itself"
	case port.WrongMode:
		return "set the device to the mode of its driver, or take the driver of its mode"
	case port.BadAddress:
		return "correct the port in the configuration"
	default:
		return "switch the device off and on; if that does not help, see the log"
	}
}

func (i Info) clone() Info {
	i.Status = i.Status.clone()
	if i.LastError != nil {
		p := *i.LastError
		i.LastError = &p
	}
	return i
}

func (s Status) clone() Status {
	for _, f := range s.flags() {
		if *f != nil {
			v := **f
			*f = &v
		}
	}
	return s
}

func (s Status) equal(o Status) bool {
	of := o.flags()
	for n, f := range s.flags() {
		g := of[n]
		if (*f == nil) != (*g == nil) || *f != nil && **f != **g {
			return false
		}
	}
	return s.Text == o.Text
}

func (s *Status) flags() []**bool {
	return []**bool{&s.CoverOpen, &s.RecEmpty, &s.RecNearEnd, &s.DrawerOpened}
}
