package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/printer"
)

// serve prints one job and answers it in any case. Its error ends the session: the port, or the printer behind it,
// is no longer what it was.
func (s *Session) serve(ctx context.Context, r *request) error {
	jobCtx, cancel := context.WithCancel(ctx) // the job ends with its caller too
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	res, err := s.begin(jobCtx, r)
	r.done <- res
	if res.state == printer.Queued && r.ctx.Err() != nil && ctx.Err() == nil {
		return s.failed() // only the caller gave up, before the first byte
	}
	return err
}

// begin prints a job if the printer is ready for it.
func (s *Session) begin(ctx context.Context, r *request) (res result, err error) {
	defer func() {
		if v := recover(); v != nil { // the caller waits for its answer whatever happens
			err = fmt.Errorf("printer driver panicked: %v", v)
			res = result{printer.Unknown, err}
		}
	}()
	out, err := s.encode(r)
	if err != nil {
		return result{printer.Failed, err}, nil
	}
	if err := s.prepare(ctx); err != nil {
		return result{printer.Queued, notReady(printer.OfflineState, err.Error())}, err
	}
	if reason := s.Reason(); reason != "" {
		message, _ := words(reason)
		return result{printer.Queued, notReady(reason, message)}, nil
	}
	j := &job{s: s, r: r}
	if !s.oneWay {
		if j.seal, err = s.talk.Seal(ctx, s, r.job); err != nil {
			return result{printer.Queued, notReady(printer.OfflineState, err.Error())}, err
		}
	}
	if err := r.progress.Sending(); err != nil {
		return result{printer.Queued, fmt.Errorf("record that the job is being sent: %w", err)}, nil
	}
	s.show(devices.Busy)
	s.pulses = s.p.pulses
	defer func() { s.pulses, s.amid = nil, false }()
	return j.print(ctx, out)
}

// encode gives the whole of a job but for its seal.
func (s *Session) encode(r *request) (Encoded, error) {
	var out Encoded
	if len(r.doc) > 0 {
		var err error
		if out, err = s.p.lang.Encode(r.doc); err != nil {
			return Encoded{}, err
		}
	}
	if len(r.job.Raw) > 0 {
		out.Add(r.job.Raw...)
	}
	return out, nil
}

// prepare asks for the status of now, and gives a one-way printer another chance to answer.
func (s *Session) prepare(ctx context.Context) error {
	if s.oneWay {
		ok, err := s.talk.Ask(ctx, s)
		if err != nil || !ok {
			return err
		}
		return s.hello(ctx)
	}
	return s.refresh(ctx)
}

// job is one job on its way.
type job struct {
	s       *Session
	r       *request
	seal    Seal
	begun   bool // bytes of it may have left
	sent    int  // bytes that surely left
	blocked printer.Reason
}

// print writes the job and waits for its proof. The error ends the session.
func (j *job) print(ctx context.Context, out Encoded) (result, error) {
	s := j.s
	if len(j.r.doc) > 0 {
		out.addBehindFirst(j.seal.Head)
	}
	if len(j.seal.Tail) > 0 {
		out.Add(j.seal.Tail...)
	}
	err := j.write(ctx, out)
	s.amid = false
	switch {
	case err != nil:
		return j.lost(err, out), err
	case s.oneWay:
		return result{printer.Sent, nil}, nil
	case j.seal.Proved == nil:
		return j.settle(ctx, out)
	}
	proved, err := j.prove(ctx, len(out.Data))
	switch {
	case err != nil:
		return j.lost(err, out), err
	case proved:
		return result{printer.Printed, nil}, nil
	}
	err = j.silent("it did not confirm the job in time")
	return j.lost(err, out), err
}

func (j *job) silent(what string) error {
	return &port.Error{Op: "print on", Address: j.s.p.link.Info().Name, Kind: port.Silent, Err: errors.New(what),
		Hint: "check that the printer is on, its cable, and the flow control of its port"}
}

// lost is the result of a job whose end is not known; where no byte left it is as good as not begun.
func (j *job) lost(err error, out Encoded) result {
	if !j.begun {
		return result{printer.Queued, notReady(printer.OfflineState, err.Error())}
	}
	j.s.p.lost.Store(int64(out.around(j.sent)))
	if errors.Is(err, context.Canceled) {
		err = errors.New("the program ended while this was printing")
	}
	return result{printer.Unknown, fmt.Errorf("%w; look at the paper, and reprint if it is not there", err)}
}

// around is the length of the longest command that may have been cut off by a loss at sent: any that was under way
// between the last chunk that surely left and the one after it.
func (e *Encoded) around(sent int) int {
	longest, from := 0, 0
	for _, cut := range append(slices.Clone(e.Cuts), len(e.Data)) {
		if cut >= sent && from <= sent+chunk {
			longest = max(longest, cut-from)
		}
		from = cut
	}
	return longest
}

// write gives the port everything, but feeds no printer that says it is stopped: that one goes on by itself with what
// it has, once it has paper again.
func (j *job) write(ctx context.Context, out Encoded) error {
	s := j.s
	moved := time.Now()
	for j.sent < len(out.Data) {
		if err := ctx.Err(); err != nil {
			return err
		}
		_, between := slices.BinarySearch(out.Cuts, j.sent)
		if s.amid = !between && j.sent > 0; !s.amid {
			if err := j.pulse(); err != nil {
				return err
			}
		}
		reason := s.Reason()
		j.tell(reason)
		if reason != "" {
			every := watchEvery
			if s.amid {
				every = riskyEvery // the question may spoil the command that is under way
			}
			if err := j.stopped(ctx, every); err != nil {
				return err
			}
			moved = time.Now()
			continue
		}
		n, err := j.writeSome(ctx, out.Data[j.sent:out.next(j.sent)])
		if err != nil {
			return err
		}
		if j.sent += n; n > 0 {
			moved = time.Now()
			continue
		}
		switch stalled := time.Since(moved); {
		case stalled > stallLimit:
			return j.silent("it takes no more data")
		case stalled > stallLimit/8:
			j.tellOnly(printer.OfflineState)
		}
	}
	return nil
}

// pulse opens the drawer if somebody waits for that.
func (j *job) pulse() error {
	select {
	case q := <-j.s.pulses:
		return j.s.inJob(q)
	default:
		return nil
	}
}

// next is where the chunk that begins at sent ends: at the last cut that is near enough.
func (e *Encoded) next(sent int) int {
	end := min(sent+chunk, len(e.Data))
	i, exact := slices.BinarySearch(e.Cuts, end)
	if !exact && i > 0 && e.Cuts[i-1] > sent {
		return e.Cuts[i-1]
	}
	return end
}

// stopped waits for a stopped printer to say something else, and asks it every so often whether it is still there. A
// printer that was switched off in the meantime, behind a cable that does not tell, never goes on.
func (j *job) stopped(ctx context.Context, every time.Duration) error {
	s := j.s
	reason := s.Reason()
	changed, err := s.Until(ctx, every, func() bool { return s.talk.Reason() != reason })
	if changed || err != nil {
		return err
	}
	if err := j.watch(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	last := s.heard
	s.mu.Unlock()
	if time.Since(last) > silenceLimit {
		return j.silent("it stopped in mid-job and has not answered since")
	}
	return nil
}

// writeSome writes one chunk; 0 without an error means that the printer takes nothing just now.
func (j *job) writeSome(ctx context.Context, b []byte) (int, error) {
	s := j.s
	if err := s.failed(); err != nil {
		return 0, err
	}
	if j.paused(ctx) {
		return 0, nil
	}
	if err := s.port.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return 0, fmt.Errorf("write to printer: %w", err)
	}
	n, err := s.port.Write(b)
	var broken *port.Error // a port that broke may have let through more than it says
	if errors.As(err, &broken) || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		j.begun = true
		return n, fmt.Errorf("write to printer: %w", err)
	}
	j.begun = j.begun || n > 0
	return n, nil
}

// paused waits up to writeLimit for the end of an XOFF; true means that it still holds.
func (j *job) paused(ctx context.Context) bool {
	on, err := j.s.Until(ctx, writeLimit, func() bool { return !j.s.talk.Paused() })
	return !on && err == nil
}

// tell passes on that the printer stopped, or goes on, once each.
func (j *job) tell(reason printer.Reason) {
	if j.s.show(devices.Busy); reason != j.blocked {
		j.tellOnly(reason)
	}
}

func (j *job) tellOnly(reason printer.Reason) {
	if reason != j.blocked {
		j.blocked = reason
		j.r.progress.Blocked(reason)
	}
}

// prove waits for the answer that the printing is done. While the printer is blocked it waits for people; else for a
// bounded time.
func (j *job) prove(ctx context.Context, size int) (bool, error) {
	s := j.s
	limit := proofLimit + time.Duration(size)*proofPerByte
	for waited := time.Duration(0); waited < limit; {
		reason := s.Reason()
		j.tell(reason)
		var done bool
		var never error
		began := time.Now()
		some, err := s.Until(ctx, watchEvery, func() bool {
			done, never = j.seal.Proved()
			return done || never != nil || s.talk.Reason() != reason
		})
		switch {
		case done:
			j.tell("")
			return true, nil
		case never != nil:
			return false, never
		case err != nil:
			return false, err
		case reason == "":
			waited += time.Since(began)
		}
		if some {
			continue
		}
		if reason == "" {
			err = j.watch(ctx)
		} else {
			err = j.stopped(ctx, 0)
		}
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

// watch asks for the status while the printer works; a printer may be too busy to answer every time, and one whose
// buffer is full takes no question either. How long that may last is judged by who calls.
func (j *job) watch(ctx context.Context) error {
	_, err := j.s.talk.Ask(ctx, j.s)
	if errors.Is(err, ErrFull) {
		return nil
	}
	return err
}

// settle is the end of a job on a printer that tells its status but can't confirm: sent, once it is not blocked.
func (j *job) settle(ctx context.Context, out Encoded) (result, error) {
	for {
		if err := j.watch(ctx); err != nil {
			return j.lost(err, out), err
		}
		reason := j.s.Reason()
		j.tell(reason)
		if reason == "" {
			return result{printer.Sent, nil}, nil
		}
		if err := j.stopped(ctx, watchEvery); err != nil {
			return j.lost(err, out), err
		}
	}
}
