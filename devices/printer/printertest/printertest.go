// Package printertest is the suite that every receipt printer driver must pass: what it prints and confirms, what it
// does when paper or cover stop it, and what it admits when the line is lost.
//
// It is called by the tests of the drivers. It imports devices and devices/printer, never a driver nor a simulator.
package printertest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/printer"
)

// Kind is what a printer can say.
type Kind int

// The kinds that a Harness makes.
const (
	Confirming Kind = iota // says when a job is printed
	StatusOnly             // says whether it is ready, never that a job is printed
	OneWay                 // says nothing
)

// Device is a printer of the driver with the device behind it. Its port is open as long as it is plugged in.
type Device struct {
	Printer     printer.Printer
	Paper       func() string // what is on the paper, as text
	SetCover    func(open bool)
	SetPaper    func(ok bool)
	RunOutAfter func(lines int) // the paper ends after so many more lines
	Unplug      func()
	Plug        func()
}

// Harness makes devices. New is called inside a testing/synctest bubble; it starts the driver's Run, and everything
// it starts ends with t.Context().
type Harness struct {
	New func(t *testing.T, kind Kind) Device
}

// limit is, in fake time, far longer than any bound of a driver but for waiting on people.
const limit = 10 * time.Minute

// Suite runs every case on a device of its own.
func Suite(t *testing.T, h Harness) {
	cases := []struct {
		name string
		kind Kind
		run  func(t *testing.T, d Device)
	}{
		{"prints and confirms", Confirming, printsAndConfirms},
		{"prints raw bytes", Confirming, printsRaw},
		{"prints in order", Confirming, printsInOrder},
		{"is not begun while the cover is open", Confirming, notBegunCover},
		{"is not begun without paper", Confirming, notBegunPaper},
		{"is not begun while unplugged", Confirming, notBegunUnplugged},
		{"is not begun where it can't be recorded", Confirming, notBegunUnrecorded},
		{"goes on after a new roll without doubling", Confirming, goesOn},
		{"tells when the reason changes", Confirming, reasonChanges},
		{"goes on with a job far larger than the buffer", Confirming, largeJobGoesOn},
		{"is unknown when unplugged in mid-job", Confirming, unplugged},
		{"is unknown when stopped in mid-job", Confirming, stopped},
		{"shows its state", Confirming, showsState},
		{"is sent where it can't be confirmed", StatusOnly, sentStatusOnly},
		{"is sent where nothing answers", OneWay, sentOneWay},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := h.New(t, c.kind)
				ready(t, d)
				c.run(t, d)
			})
		})
	}
}

// ready waits until the printer is ready.
func ready(t *testing.T, d Device) {
	t.Helper()
	await(t, "the printer to be ready", func() bool { return d.Printer.Info().State == devices.Ready })
}

// await lets fake time pass until f is true.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); ; <-tick.C {
		synctest.Wait()
		if f() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited %s for %s", limit, what)
		}
	}
}

// lines is a document of n numbered lines and a cut.
func lines(word string, n int) printer.Document {
	var doc printer.Document
	for i := range n {
		doc = append(doc, printer.Op{Op: "text", Text: fmt.Sprintf("%s %d.", word, i)})
	}
	return append(doc, printer.Op{Op: "cut"})
}

// onceEach checks that each line is on the paper once, in order.
func onceEach(t *testing.T, paper, word string, n int) {
	t.Helper()
	at := -1
	for i := range n {
		line := fmt.Sprintf("%s %d.\n", word, i)
		if got := strings.Count(paper, line); got != 1 {
			t.Fatalf("line %q is on the paper %d times:\n%s", line, got, paper)
		}
		if next := strings.Index(paper, line); next < at {
			t.Fatalf("line %q is out of order:\n%s", line, paper)
		} else {
			at = next
		}
	}
}

// run is a job under way, and what its driver told.
type run struct {
	mu    sync.Mutex
	told  []string
	sendE error
	done  chan struct{}
	state printer.JobState
	err   error
}

func (r *run) Sending() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, "sending")
	return r.sendE
}

func (r *run) Blocked(reason printer.Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = append(r.told, "blocked:"+string(reason))
}

func (r *run) heard() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.told, " ")
}

func (r *run) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

func start(ctx context.Context, d Device, seq int64, doc printer.Document, sendE error) *run {
	r := &run{done: make(chan struct{}), sendE: sendE}
	go func() {
		defer close(r.done)
		r.state, r.err = d.Printer.Print(ctx, printer.Job{ID: fmt.Sprint(seq), Seq: seq, Copies: 1}, doc, r)
	}()
	return r
}

// want waits for the end of a job and compares its state and what was told.
func (r *run) want(t *testing.T, state printer.JobState, told string) {
	t.Helper()
	await(t, "the end of the job", r.ended)
	if r.state != state {
		t.Fatalf("state %s (%v), want %s", r.state, r.err, state)
	}
	if got := r.heard(); got != told {
		t.Fatalf("told %q, want %q", got, told)
	}
	if bad := state == printer.Unknown || state == printer.Queued || state == printer.Failed; bad != (r.err != nil) {
		t.Fatalf("state %s with error %v", state, r.err)
	}
}

func (r *run) wantNotReady(t *testing.T, reason printer.Reason) {
	t.Helper()
	r.want(t, printer.Queued, "")
	var nr *printer.NotReadyError
	if !errors.As(r.err, &nr) || nr.Reason != reason {
		t.Fatalf("error %v, want a NotReadyError for %s", r.err, reason)
	}
}

func printsAndConfirms(t *testing.T, d Device) {
	start(t.Context(), d, 1, lines("line", 3), nil).want(t, printer.Printed, "sending")
	onceEach(t, d.Paper(), "line", 3)
}

func printsRaw(t *testing.T, d Device) {
	r := &run{}
	state, err := d.Printer.Print(t.Context(), printer.Job{ID: "raw", Seq: 1, Raw: []byte("raw words\n")}, nil, r)
	if state != printer.Printed || err != nil {
		t.Fatalf("state %s, %v", state, err)
	}
	if d.Paper() != "raw words\n" {
		t.Fatalf("paper %q", d.Paper())
	}
}

func printsInOrder(t *testing.T, d Device) {
	for i := range int64(5) {
		start(t.Context(), d, i+1, lines(fmt.Sprintf("job%d line", i), 2), nil).want(t, printer.Printed, "sending")
	}
	at := -1
	for i := range 5 {
		onceEach(t, d.Paper(), fmt.Sprintf("job%d line", i), 2)
		next := strings.Index(d.Paper(), fmt.Sprintf("job%d line", i))
		if next < at {
			t.Fatalf("job %d is out of order:\n%s", i, d.Paper())
		}
		at = next
	}
}

func notBegunCover(t *testing.T, d Device) {
	d.SetCover(true)
	start(t.Context(), d, 1, lines("line", 2), nil).wantNotReady(t, printer.CoverOpen)
	if d.Paper() != "" {
		t.Fatalf("printed with an open cover: %q", d.Paper())
	}
	d.SetCover(false)
	start(t.Context(), d, 1, lines("line", 2), nil).want(t, printer.Printed, "sending")
	onceEach(t, d.Paper(), "line", 2)
}

func notBegunPaper(t *testing.T, d Device) {
	d.SetPaper(false)
	start(t.Context(), d, 1, lines("line", 2), nil).wantNotReady(t, printer.PaperOut)
	d.SetPaper(true)
	start(t.Context(), d, 1, lines("line", 2), nil).want(t, printer.Printed, "sending")
	onceEach(t, d.Paper(), "line", 2)
}

func notBegunUnplugged(t *testing.T, d Device) {
	d.Unplug()
	await(t, "the state offline", func() bool { return d.Printer.Info().State == devices.Offline })
	start(t.Context(), d, 1, lines("line", 2), nil).wantNotReady(t, printer.OfflineState)
	d.Plug()
	ready(t, d)
	start(t.Context(), d, 1, lines("line", 2), nil).want(t, printer.Printed, "sending")
	onceEach(t, d.Paper(), "line", 2)
}

func notBegunUnrecorded(t *testing.T, d Device) {
	full := errors.New("disk is full")
	r := start(t.Context(), d, 1, lines("line", 2), full)
	r.want(t, printer.Queued, "sending")
	if !errors.Is(r.err, full) {
		t.Fatalf("error %v", r.err)
	}
	if d.Paper() != "" {
		t.Fatalf("printed what could not be recorded: %q", d.Paper())
	}
}

func goesOn(t *testing.T, d Device) {
	d.RunOutAfter(2)
	r := start(t.Context(), d, 1, lines("line", 6), nil)
	await(t, "the block", func() bool { return strings.HasSuffix(r.heard(), "blocked:paper_out") })
	if info := d.Printer.Info(); info.State != devices.Error || info.LastError == nil || info.LastError.Code != "paper_out" {
		t.Fatalf("shows %+v", info)
	}
	wait := time.NewTimer(time.Hour) // people take their time
	<-wait.C
	if r.ended() {
		t.Fatalf("ended %s (%v) while out of paper", r.state, r.err)
	}
	d.SetPaper(true)
	r.want(t, printer.Printed, "sending blocked:paper_out blocked:")
	onceEach(t, d.Paper(), "line", 6)
	ready(t, d)
}

func reasonChanges(t *testing.T, d Device) {
	d.RunOutAfter(1)
	r := start(t.Context(), d, 1, lines("line", 4), nil)
	await(t, "the block", func() bool { return strings.HasSuffix(r.heard(), "blocked:paper_out") })
	d.SetCover(true)
	await(t, "the other reason", func() bool { return strings.HasSuffix(r.heard(), "blocked:cover_open") })
	d.SetPaper(true)
	d.SetCover(false)
	r.want(t, printer.Printed, "sending blocked:paper_out blocked:cover_open blocked:")
	onceEach(t, d.Paper(), "line", 4)
}

func largeJobGoesOn(t *testing.T, d Device) {
	const n = 1500
	d.RunOutAfter(700)
	r := start(t.Context(), d, 1, lines("for the buffer", n), nil)
	await(t, "the block", func() bool { return strings.HasSuffix(r.heard(), "blocked:paper_out") })
	d.SetPaper(true)
	r.want(t, printer.Printed, "sending blocked:paper_out blocked:")
	onceEach(t, d.Paper(), "for the buffer", n)
}

func unplugged(t *testing.T, d Device) {
	d.RunOutAfter(2)
	r := start(t.Context(), d, 1, lines("line", 6), nil)
	await(t, "the block", func() bool { return strings.HasSuffix(r.heard(), "blocked:paper_out") })
	d.Unplug()
	r.want(t, printer.Unknown, "sending blocked:paper_out")
	d.SetPaper(true)
	d.Plug()
	ready(t, d)
	start(t.Context(), d, 2, lines("next", 2), nil).want(t, printer.Printed, "sending")
	onceEach(t, d.Paper(), "next", 2)
}

func stopped(t *testing.T, d Device) {
	ctx, cancel := context.WithCancel(t.Context())
	d.RunOutAfter(2)
	r := start(ctx, d, 1, lines("line", 6), nil)
	await(t, "the block", func() bool { return strings.HasSuffix(r.heard(), "blocked:paper_out") })
	cancel()
	r.want(t, printer.Unknown, "sending blocked:paper_out")
}

func showsState(t *testing.T, d Device) {
	d.SetCover(true)
	await(t, "the open cover", func() bool {
		i := d.Printer.Info()
		return i.State == devices.Error && i.LastError != nil && i.LastError.Code == "cover_open" && i.LastError.Hint != "" &&
			i.Status.CoverOpen != nil && *i.Status.CoverOpen
	})
	d.SetCover(false)
	await(t, "the closed cover", func() bool {
		i := d.Printer.Info()
		return i.State == devices.Ready && i.LastError == nil && i.Status.CoverOpen != nil && !*i.Status.CoverOpen
	})
	d.Unplug()
	await(t, "the state offline", func() bool {
		i := d.Printer.Info()
		return i.State == devices.Offline && i.LastError != nil
	})
	d.Plug()
	ready(t, d)
}

func sentStatusOnly(t *testing.T, d Device) {
	start(t.Context(), d, 1, lines("line", 3), nil).want(t, printer.Sent, "sending")
	await(t, "the paper", func() bool { return strings.Count(d.Paper(), "\n") == 4 })
	onceEach(t, d.Paper(), "line", 3)
	d.SetCover(true)
	start(t.Context(), d, 2, lines("more", 1), nil).wantNotReady(t, printer.CoverOpen)
}

func sentOneWay(t *testing.T, d Device) {
	if text := d.Printer.Info().Status.Text; !strings.Contains(text, "one-way") {
		t.Fatalf("status text %q does not say that the printer is one-way", text)
	}
	start(t.Context(), d, 1, lines("line", 3), nil).want(t, printer.Sent, "sending")
	await(t, "the paper", func() bool { return strings.Count(d.Paper(), "\n") == 4 })
	onceEach(t, d.Paper(), "line", 3)
}
