package printer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"storeagent/internal/journal"
)

const (
	retryEvery  = time.Second     // between two attempts to start a job, or to commit
	commitLimit = 5 * time.Second // for the last commit of a job while the program ends

	// notStarted begins the error of a job that is blocked before its first byte. Any other blocked job had begun, so
	// after a crash nobody knows how far it got.
	notStarted = "not started: "

	eventType = "printJob"
)

// copyMark begins the paper of a reprint, so that it can't pass for the first one.
var copyMark = Op{Op: "text", Text: "*** COPY ***", Align: "center", Bold: true}

// NotReadyError is what a driver returns together with Queued: the job was not begun, for this reason.
type NotReadyError struct {
	Reason Reason
	Err    error // in words
}

func (e *NotReadyError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *NotReadyError) Unwrap() error { return e.Err }

// SpoolerConfig is what a Spooler needs.
type SpoolerConfig struct {
	Jobs     Jobs
	Printers []Printer
	Log      *slog.Logger // nil logs nothing
}

// Spooler works print jobs off, one at a time per printer, in the order of their Seq. Its methods are safe for
// concurrent use, before and after Run too. It does not run the printers themselves.
type Spooler struct {
	jobs   Jobs
	log    *slog.Logger
	queues map[string]*queue

	mu      sync.Mutex
	changed chan struct{} // closed at the next change of any job
}

// queue is one printer with the bell that wakes its worker.
type queue struct {
	printer Printer
	wake    chan struct{}
}

// NewSpooler makes a spooler; nothing is printed before Run.
func NewSpooler(c SpoolerConfig) *Spooler {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Spooler{jobs: c.Jobs, log: c.Log, queues: map[string]*queue{}, changed: make(chan struct{})}
	for _, p := range c.Printers {
		s.queues[p.Info().Name] = &queue{printer: p, wake: make(chan struct{}, 1)}
	}
	return s
}

// Run prints until ctx ends, one worker per printer. Jobs that an earlier run left in mid-print become Unknown.
func (s *Spooler) Run(ctx context.Context) error {
	var g errgroup.Group
	for name, q := range s.queues {
		g.Go(func() error {
			s.work(ctx, name, q)
			return nil
		})
	}
	return g.Wait()
}

// Submit checks and writes a job and hands it to its printer. entry is called with the job to be written and gives
// the answer and key of the same commit; it may be nil. Errors: ErrNoPrinter, *DocumentError, those of Jobs.
func (s *Spooler) Submit(ctx context.Context, r Request, entry func(Job) journal.Entry) (Job, error) {
	q := s.queues[r.Printer]
	if q == nil {
		return Job{}, fmt.Errorf("printer %q: %w", r.Printer, ErrNoPrinter)
	}
	if r.Copies < 1 || r.Copies > MaxCopies {
		return Job{}, &DocumentError{Field: "copies", Message: fmt.Sprintf("must be from 1 to %d", MaxCopies)}
	}
	job := Job{Printer: r.Printer, Copies: r.Copies, SaleID: r.SaleID}
	switch {
	case len(r.Raw) > 0 && len(r.Document) > 0:
		return Job{}, &DocumentError{Field: "raw", Message: "can't be given together with a document"}
	case len(r.Raw) > MaxRaw:
		return Job{}, &DocumentError{Field: "raw", Message: fmt.Sprintf("has %d bytes, at most %d fit one job", len(r.Raw), MaxRaw)}
	case len(r.Raw) > 0:
		job.Raw = bytes.Clone(r.Raw)
	default:
		if err := q.printer.Check(r.Document); err != nil {
			return Job{}, err
		}
		doc, err := json.Marshal(r.Document)
		if err != nil {
			return Job{}, fmt.Errorf("write document: %w", err)
		}
		job.Document = doc
	}
	return s.create(ctx, q, job, entry)
}

// Reprint submits a copy of an earlier job, whose paper says that it is one. It opens no drawer.
func (s *Spooler) Reprint(ctx context.Context, id string, entry func(Job) journal.Entry) (Job, error) {
	first, err := s.jobs.Get(ctx, id)
	if err != nil {
		return Job{}, err
	}
	q := s.queues[first.Printer]
	if q == nil {
		return Job{}, fmt.Errorf("printer %q: %w", first.Printer, ErrNoPrinter)
	}
	job := Job{Printer: first.Printer, Copies: 1, SaleID: first.SaleID, ReprintOf: first.ID, Document: first.Document, Raw: first.Raw}
	return s.create(ctx, q, job, entry)
}

func (s *Spooler) create(ctx context.Context, q *queue, job Job, entry func(Job) journal.Entry) (Job, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Job{}, fmt.Errorf("name print job: %w", err)
	}
	job.ID, job.State, job.CreatedAt = id.String(), Queued, time.Now().UTC()
	var e journal.Entry
	if entry != nil {
		e = entry(job)
	}
	told := false
	for _, ev := range e.Events {
		told = told || ev.Type == eventType
	}
	if !told {
		e.Events = append(e.Events[:len(e.Events):len(e.Events)], journal.NewEvent(eventType, job.CreatedAt, job))
	}
	job, err = s.jobs.Create(ctx, job, e)
	if err != nil {
		return Job{}, err
	}
	s.broadcast()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return job, nil
}

// Job returns a job, or journal.ErrNotFound.
func (s *Spooler) Job(ctx context.Context, id string) (Job, error) { return s.jobs.Get(ctx, id) }

// Wait returns the job once it is Final(), or as it is when ctx ends.
func (s *Spooler) Wait(ctx context.Context, id string) (Job, error) {
	for {
		changed := s.next()
		// The caller's wait may be over before the job was read at all; reading it is short and must not fail for that.
		job, err := s.jobs.Get(context.WithoutCancel(ctx), id)
		if err != nil || job.State.Final() {
			return job, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return job, nil
		}
	}
}

// Columns is the line width of a printer in characters of font A; ErrNoPrinter where there is none of that name.
func (s *Spooler) Columns(name string) (int, error) {
	q := s.queues[name]
	if q == nil {
		return 0, fmt.Errorf("printer %q: %w", name, ErrNoPrinter)
	}
	return q.printer.Columns(), nil
}

func (s *Spooler) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *Spooler) broadcast() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.changed)
	s.changed = make(chan struct{})
}

// work prints what is open on one printer, until ctx ends.
func (s *Spooler) work(ctx context.Context, name string, q *queue) {
	w := &worker{s: s, q: q, log: s.log.With("printer", name)}
	for first := true; ctx.Err() == nil; {
		open, err := s.jobs.Open(ctx, name)
		if err != nil {
			w.complain("read print jobs", err)
			wait(ctx, retryEvery)
			continue
		}
		w.complained = ""
		for _, job := range open {
			if ctx.Err() != nil {
				return
			}
			if first && begun(job) {
				job.State, job.Reason = Unknown, ""
				job.Error = "the program ended while this was printing; look at the paper, and reprint if it is not there"
				w.finish(ctx, job)
				continue
			}
			w.print(ctx, job)
		}
		if first = false; len(open) > 0 {
			continue
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
		}
	}
}

// begun reports whether bytes of a job that an earlier run left open may have reached the printer.
func begun(j Job) bool {
	return j.State == Sending || j.State == Blocked && !strings.HasPrefix(j.Error, notStarted)
}

// wait sleeps for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// worker is one printer's goroutine.
type worker struct {
	s          *Spooler
	q          *queue
	log        *slog.Logger
	complained string
}

// complain logs a trouble once, however often it is met in a row.
func (w *worker) complain(act string, err error) {
	if msg := act + ": " + err.Error(); msg != w.complained {
		w.complained = msg
		w.log.Error("print spooler is held up", "error", msg)
	}
}

// print brings one job to its end, trying to start it until the printer is ready or ctx ends.
func (w *worker) print(ctx context.Context, job Job) {
	doc, err := paper(&job)
	if err != nil {
		job.State, job.Reason, job.Error = Failed, "", err.Error()
		w.finish(ctx, job)
		return
	}
	for ctx.Err() == nil {
		p := &progress{ctx: ctx, w: w, job: job}
		state, err := w.q.printer.Print(ctx, job, doc, p)
		job = p.now()
		if state != Queued {
			job.State, job.Reason, job.Error = state, "", ""
			if err != nil {
				job.Error = err.Error()
			}
			w.finish(ctx, job)
			return
		}
		if ctx.Err() != nil {
			return
		}
		w.blocked(ctx, &job, err)
		wait(ctx, retryEvery)
	}
}

// blocked records why a job could not be begun, once per reason.
func (w *worker) blocked(ctx context.Context, job *Job, err error) {
	reason := OfflineState
	var nr *NotReadyError
	if errors.As(err, &nr) {
		reason = nr.Reason
	}
	if err == nil {
		err = errors.New("the printer is not ready")
	}
	text := notStarted + err.Error()
	if job.State == Blocked && job.Reason == reason && job.Error == text {
		return
	}
	next := *job
	next.State, next.Reason, next.Error = Blocked, reason, text
	if err := w.update(ctx, next); err != nil {
		w.complain("commit print job", err)
		return
	}
	*job = next
}

// finish commits the end of a job, and goes on trying while the disk refuses: a job must not be printed again because
// its end was not written.
func (w *worker) finish(ctx context.Context, job Job) {
	now := time.Now().UTC().Truncate(time.Millisecond) // as it is kept: events say the same as later reads
	job.FinishedAt = &now
	for {
		// The paper is out, so the end is worth writing even when the program is just asked to stop.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitLimit)
		err := w.update(last, job)
		cancel()
		if err == nil {
			w.complained = ""
			return
		}
		w.complain("commit the end of print job "+job.ID, err)
		if errors.Is(err, journal.ErrNotFound) {
			return // somebody took the record away
		}
		if ctx.Err() != nil {
			return // it is found in Sending at the next start, and becomes Unknown
		}
		wait(ctx, retryEvery)
	}
}

func (w *worker) update(ctx context.Context, job Job) error {
	if err := w.s.jobs.Update(ctx, job, journal.NewEvent(eventType, time.Now(), job)); err != nil {
		return err
	}
	w.s.broadcast()
	return nil
}

// paper is what a job puts on paper in all: its copies, and the mark of a reprint on each. With a raw job it repeats
// job.Raw in place, and the document is only what comes before it. The drawer opens once, and never for a reprint.
func paper(job *Job) (Document, error) {
	var mark Document
	if job.ReprintOf != "" {
		mark = Document{copyMark}
	}
	if len(job.Raw) > 0 {
		job.Raw = bytes.Repeat(job.Raw, max(job.Copies, 1))
		return mark, nil
	}
	doc, err := ParseDocument(job.Document)
	if err != nil {
		return nil, fmt.Errorf("read document of print job: %w", err)
	}
	if len(doc) == 0 {
		return nil, errors.New("read document of print job: it is empty")
	}
	all := mark
	for _, op := range doc {
		if op.Op != "drawer" || job.ReprintOf == "" {
			all = append(all, op)
		}
	}
	for range job.Copies - 1 {
		if doc[len(doc)-1].Op != "cut" {
			all = append(all, Op{Op: "cut"})
		}
		all = append(all, mark...)
		for _, op := range doc {
			if op.Op != "drawer" {
				all = append(all, op)
			}
		}
	}
	return all, nil
}

// progress commits what the driver tells while it prints.
type progress struct {
	ctx context.Context
	w   *worker

	mu  sync.Mutex
	job Job
}

// Sending commits that the job is about to leave. Its error keeps the driver from writing.
func (p *progress) Sending() error { return p.set(Sending, "", "") }

// Blocked commits that the printer stopped in mid-job, or with "" that it goes on. An error here is only logged: the
// job is on its way whatever the disk says, and after a crash both states mean the same.
func (p *progress) Blocked(r Reason) {
	var err error
	if r == "" {
		err = p.set(Sending, "", "")
	} else {
		err = p.set(Blocked, r, "the printer stopped in mid-job; it goes on by itself")
	}
	if err != nil {
		p.w.complain("commit print job", err)
	}
}

func (p *progress) set(state JobState, r Reason, text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := p.job
	next.State, next.Reason, next.Error = state, r, text
	if err := p.w.update(p.ctx, next); err != nil {
		return err
	}
	p.job = next
	return nil
}

func (p *progress) now() Job {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.job
}
