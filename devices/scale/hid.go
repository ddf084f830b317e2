package scale

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
)

// DriverHID is the driver of scales that are human interface devices.
const DriverHID = "hidscale"

// HIDConfig is what a HID scale needs. Name and Open are required; each Read of the port gives one input report.
type HIDConfig struct {
	Name     string
	Port     string
	Open     port.OpenFunc
	Log      *slog.Logger
	OnChange func(devices.Info)
}

// HID is a scale that is a human interface device. It implements Scale.
//
// Such a scale talks by itself: all the time, or when its weight changes. A weight is only taken from a report that came after
// the call that asks, and where none comes the scale is asked for one.
type HID struct {
	*devices.Link
	requests chan request
}

var _ Scale = (*HID)(nil)

// reportPause is how long a call waits for a report that comes by itself: scales that talk all the time do it several times a
// second.
const reportPause = 300 * time.Millisecond

// NewHID makes a HID scale.
func NewHID(c HIDConfig) *HID {
	return &HID{
		Link: devices.NewLink(devices.LinkConfig{
			Info: devices.Info{Name: c.Name, Category: devices.Scale, Driver: DriverHID, Port: c.Port},
			Open: c.Open, Log: c.Log, OnChange: c.OnChange,
		}),
		requests: make(chan request),
	}
}

// Run owns the port until ctx ends.
func (s *HID) Run(ctx context.Context) error { return s.Serve(ctx, s.session) }

// Read implements Scale.
func (s *HID) Read(ctx context.Context) (Reading, error) {
	return ask(ctx, s.requests, s.Info().Name)
}

// report is what came from the scale, and when.
type report struct {
	data  []byte
	at    time.Time
	asked bool      // it did not come by itself
	call  *weighing // for which it was asked, nil at the beginning
	err   error     // of asking
}

// weighing is one call of Read under way.
type weighing struct {
	request
	since time.Time
	last  error // why there is no weight so far
}

// session reads reports all the time, so that none of them grows old in the kernel, and answers a call with what comes after it.
func (s *HID) session(ctx context.Context, p port.Port) error {
	if err := port.WantHID(p, s.Info().Port, port.PageScale, "set the scale to USB HID (POS scale) mode, or take the driver of what it is"); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	reports, ended := make(chan report), make(chan error, 1)
	var work sync.WaitGroup
	defer func() {
		cancel()
		_ = p.SetReadDeadline(time.Unix(1, 0)) // ends the read
		work.Wait()
	}()
	work.Go(func() { ended <- readReports(ctx, p, reports) })

	v := &visit{scale: s, port: p}
	v.ask = func(w *weighing) { // beside the reading, since it may take seconds
		work.Go(func() { askReport(ctx, p, w, reports) })
	}
	defer v.end()
	v.patience, v.limit = stoppedTimer(), stoppedTimer()
	v.patience.Reset(reportPause)
	for {
		requests := s.requests
		if v.now != nil {
			requests = nil // one at a time
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			v.lost = err
			return err
		case r := <-reports:
			v.came(r)
		case r := <-requests:
			v.begin(r)
		case <-v.patience.C:
			v.impatient()
		case <-v.limit.C:
			v.over()
		}
	}
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

// readReports gives on every report until the port fails or ctx ends.
func readReports(ctx context.Context, p port.Port, to chan<- report) error {
	buf := make([]byte, longest)
	for {
		n, err := p.Read(buf)
		if n > 0 {
			select {
			case to <- report{data: bytes.Clone(buf[:n]), at: time.Now()}:
			case <-ctx.Done():
				return nil
			}
		}
		if err != nil {
			return err
		}
	}
}

// askReport asks the scale for its weight report as it is now, for a call or, nil, at the beginning.
func askReport(ctx context.Context, p port.Port, call *weighing, to chan<- report) {
	r := report{asked: true, call: call, err: errors.ErrUnsupported}
	if hid, ok := p.(port.Reports); ok {
		b := make([]byte, longest)
		b[0] = hidReport
		var n int
		if n, r.err = hid.InputReport(b); r.err == nil {
			r.data = b[:n]
		}
	}
	r.at = time.Now()
	select {
	case to <- r:
	case <-ctx.Done():
	}
}

// visit is one session with the scale. Only its session uses it.
type visit struct {
	scale *HID
	port  port.Port
	ask   func(*weighing)

	now             *weighing // nil between calls
	patience, limit *time.Timer
	asking, heard   bool
	lost            error
}

// begin takes a call.
func (v *visit) begin(r request) {
	v.now = &weighing{request: r, since: time.Now()}
	v.patience.Reset(reportPause)
	v.limit.Reset(answerLimit)
}

// impatient asks the scale that said nothing by itself: at the beginning, to know that it is there, and for a call.
func (v *visit) impatient() {
	if !v.asking && (v.now != nil && v.now.last == nil || !v.heard) {
		v.asking = true
		v.ask(v.now)
	}
}

// came takes a report.
func (v *visit) came(r report) {
	fresh := v.isFresh(r)
	if r.asked {
		v.asking = false
		if v.now != nil && r.call != v.now { // its own question had to wait for this answer
			v.patience.Reset(0)
		}
	}
	if r.err != nil {
		if !v.heard {
			v.silent()
		}
		return
	}
	reading, err := parseHID(r.data)
	if errors.Is(err, errNoReport) {
		return
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	v.heard = true
	v.scale.SetState(devices.Ready, devices.Status{Text: text})
	if p := v.scale.Info().LastError; p != nil && p.Code == string(port.Silent) {
		v.scale.Clear()
	}
	switch {
	case !fresh:
	case errors.Is(err, ErrNotStable): // it may come to rest in time
		v.now.last = err
	default:
		reading.At = r.at
		v.answer(reading, err)
	}
}

// isFresh reports whether a report is from after the call that waits. The first one of a session may be older than the
// session: scales keep one ready for whoever reads next.
func (v *visit) isFresh(r report) bool {
	switch {
	case v.now == nil:
		return false
	case r.asked:
		return r.call == v.now
	}
	return v.heard && !r.at.Before(v.now.since)
}

// over ends a call that has waited for long enough.
func (v *visit) over() {
	if v.now == nil {
		return
	}
	err := v.now.last
	if err == nil {
		err = ErrNoAnswer
		v.silent()
	}
	v.answer(Reading{}, err)
}

// silent shows that the scale says nothing; it may be asleep.
func (v *visit) silent() {
	v.heard = false
	v.scale.Report(devices.Problem{Code: string(port.Silent), Message: "the scale says nothing", At: time.Now(),
		Hint: "switch it on, or wake it by putting something on it; check that it is in USB mode"})
	v.scale.SetState(devices.Offline, devices.Status{})
}

func (v *visit) answer(r Reading, err error) {
	v.now.done <- answer{r, err}
	v.now = nil
	v.limit.Stop()
	v.patience.Stop()
}

// end answers the call that the session left open.
func (v *visit) end() {
	if v.now != nil {
		v.answer(Reading{}, fmt.Errorf("%w: %w", ErrNoAnswer, cmp.Or(v.lost, context.Canceled)))
	}
}
