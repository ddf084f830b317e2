package printer_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/printer"
	"storeagent/internal/journal"
)

// memory is a Jobs in memory, which refuses the Nth write on demand.
type memory struct {
	mu     sync.Mutex
	jobs   []printer.Job
	events []string // state of each printJob event
	writes int
	refuse func(write int) error
}

func (m *memory) write(e ...journal.Event) error {
	m.writes++
	if m.refuse != nil {
		if err := m.refuse(m.writes); err != nil {
			return err
		}
	}
	for _, ev := range e {
		var j printer.Job
		if err := json.Unmarshal(ev.Data, &j); err != nil || ev.Type != "printJob" {
			return errors.New("event is no print job")
		}
		text := string(j.State)
		if j.Reason != "" {
			text += ":" + string(j.Reason)
		}
		m.events = append(m.events, text)
	}
	return nil
}

func (m *memory) Create(_ context.Context, j printer.Job, e journal.Entry) (printer.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.write(e.Events...); err != nil {
		return printer.Job{}, err
	}
	j.Seq = int64(len(m.jobs) + 1)
	m.jobs = append(m.jobs, j)
	return j, nil
}

func (m *memory) Update(ctx context.Context, j printer.Job, e ...journal.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.write(e...); err != nil {
		return err
	}
	for i := range m.jobs {
		if m.jobs[i].ID == j.ID {
			o := &m.jobs[i]
			o.State, o.Reason, o.Error, o.FinishedAt = j.State, j.Reason, j.Error, j.FinishedAt
			return nil
		}
	}
	return journal.ErrNotFound
}

func (m *memory) Get(_ context.Context, id string) (printer.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.jobs {
		if j.ID == id {
			return j, nil
		}
	}
	return printer.Job{}, journal.ErrNotFound
}

func (m *memory) Open(_ context.Context, name string) ([]printer.Job, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var open []printer.Job
	for _, j := range m.jobs {
		if j.Printer == name && !j.State.Final() {
			open = append(open, j)
		}
	}
	return open, nil
}

func (m *memory) heard() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.events, " ")
}

// device is a printer whose Print is a function of the test.
type device struct {
	name  string
	print func(ctx context.Context, j printer.Job, doc printer.Document, p printer.Progress) (printer.JobState, error)

	mu    sync.Mutex
	paper []string
}

func (d *device) Info() devices.Info               { return devices.Info{Name: d.name} }
func (d *device) Run(context.Context) error        { return nil }
func (d *device) Columns() int                     { return 42 }
func (d *device) Check(doc printer.Document) error { return printer.Check(doc, 42) }
func (d *device) lines() []string                  { d.mu.Lock(); defer d.mu.Unlock(); return slices.Clone(d.paper) }
func (d *device) onPaper(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.paper = append(d.paper, text)
}

func (d *device) Print(ctx context.Context, j printer.Job, doc printer.Document, p printer.Progress) (printer.JobState, error) {
	if d.print != nil {
		return d.print(ctx, j, doc, p)
	}
	if err := p.Sending(); err != nil {
		return printer.Queued, err
	}
	for _, op := range doc {
		switch op.Op {
		case "text":
			d.onPaper(op.Text)
		default:
			d.onPaper("<" + op.Op + ">")
		}
	}
	if len(j.Raw) > 0 {
		d.onPaper("raw:" + string(j.Raw))
	}
	return printer.Printed, nil
}

func request(text string) printer.Request {
	return printer.Request{Printer: "front", Copies: 1, Document: printer.Document{{Op: "text", Text: text}, {Op: "drawer"}}}
}

// run starts a spooler inside a synctest bubble; it ends with the test.
func run(t *testing.T, m *memory, ds ...printer.Printer) (*printer.Spooler, func()) {
	t.Helper()
	s := printer.NewSpooler(printer.SpoolerConfig{Jobs: m, Printers: ds})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return s, stop
}

func submit(t *testing.T, s *printer.Spooler, r printer.Request) printer.Job {
	t.Helper()
	j, err := s.Submit(t.Context(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func final(t *testing.T, s *printer.Spooler, id string) printer.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	j, err := s.Wait(ctx, id)
	if err != nil || !j.State.Final() || j.FinishedAt == nil {
		t.Fatalf("job %+v, %v", j, err)
	}
	return j
}

func TestSpoolerPrintsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, d := &memory{}, &device{name: "front"}
		s, _ := run(t, m, d)
		var last printer.Job
		for _, text := range []string{"a", "b", "c"} {
			last = submit(t, s, request(text))
		}
		if j := final(t, s, last.ID); j.State != printer.Printed {
			t.Fatalf("%+v", j)
		}
		if got := d.lines(); !reflect.DeepEqual(got, []string{"a", "<drawer>", "b", "<drawer>", "c", "<drawer>"}) {
			t.Fatalf("paper %q", got)
		}
		if j, err := s.Job(t.Context(), last.ID); err != nil || j.State != printer.Printed {
			t.Fatalf("%+v, %v", j, err)
		}
	})
}

func TestSpoolerCommitsEachState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		d := &device{name: "front", print: func(_ context.Context, _ printer.Job, _ printer.Document, p printer.Progress) (printer.JobState, error) {
			if err := p.Sending(); err != nil {
				return printer.Queued, err
			}
			p.Blocked(printer.PaperOut)
			p.Blocked("")
			return printer.Sent, nil
		}}
		s, _ := run(t, m, d)
		final(t, s, submit(t, s, request("a")).ID)
		if got, want := m.heard(), "queued sending blocked:paper_out sending sent"; got != want {
			t.Fatalf("events %q, want %q", got, want)
		}
	})
}

func TestSpoolerEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		s, _ := run(t, m, &device{name: "front"})
		var shown printer.Job
		j, err := s.Submit(t.Context(), request("a"), func(j printer.Job) journal.Entry {
			shown = j
			return journal.Entry{Events: []journal.Event{journal.NewEvent("printJob", j.CreatedAt, j)}}
		})
		if err != nil || shown.ID != j.ID || shown.State != printer.Queued || shown.ID == "" {
			t.Fatalf("entry saw %+v, job %+v, %v", shown, j, err)
		}
		final(t, s, j.ID)
		if got := m.heard(); got != "queued sending printed" {
			t.Fatalf("events %q: the caller's own event must not be doubled", got)
		}
	})
}

func TestSpoolerRefuses(t *testing.T) {
	s := printer.NewSpooler(printer.SpoolerConfig{Jobs: &memory{}, Printers: []printer.Printer{&device{name: "front"}}})
	if _, err := s.Submit(t.Context(), printer.Request{Printer: "back", Copies: 1}, nil); !errors.Is(err, printer.ErrNoPrinter) {
		t.Error(err)
	}
	if _, err := s.Columns("back"); !errors.Is(err, printer.ErrNoPrinter) {
		t.Error(err)
	}
	if n, err := s.Columns("front"); n != 42 || err != nil {
		t.Error(n, err)
	}
	if _, err := s.Reprint(t.Context(), "nothing", nil); !errors.Is(err, journal.ErrNotFound) {
		t.Error(err)
	}
	for field, r := range map[string]printer.Request{
		"copies":         {Printer: "front", Copies: 11, Raw: []byte("a")},
		"raw":            {Printer: "front", Copies: 1, Raw: []byte("a"), Document: request("a").Document},
		"document":       {Printer: "front", Copies: 1},
		"document[0].op": {Printer: "front", Copies: 1, Document: printer.Document{{Op: "beep"}}},
	} {
		var de *printer.DocumentError
		if _, err := s.Submit(t.Context(), r, nil); !errors.As(err, &de) || de.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestSpoolerRetriesUntilReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, tries := &memory{}, 0
		d := &device{name: "front"}
		plain := &device{name: "front"}
		d.print = func(ctx context.Context, j printer.Job, doc printer.Document, p printer.Progress) (printer.JobState, error) {
			switch tries++; {
			case tries <= 3:
				return printer.Queued, &printer.NotReadyError{Reason: printer.CoverOpen, Err: errors.New("the cover is open")}
			case tries <= 5:
				return printer.Queued, errors.New("not there")
			}
			return plain.Print(ctx, j, doc, p)
		}
		s, _ := run(t, m, d)
		first := submit(t, s, request("a"))
		synctest.Wait()
		second := submit(t, s, request("b"))
		if j, err := s.Job(t.Context(), first.ID); err != nil || j.State != printer.Blocked || j.Reason != printer.CoverOpen || !strings.Contains(j.Error, "cover is open") {
			t.Fatalf("%+v, %v", j, err)
		}
		if j := final(t, s, second.ID); j.State != printer.Printed || j.Reason != "" || j.Error != "" {
			t.Fatalf("%+v", j)
		}
		if got, want := m.heard(), "queued blocked:cover_open queued blocked:offline sending printed sending printed"; got != want {
			t.Fatalf("events %q, want %q", got, want)
		}
		if got := plain.lines(); !reflect.DeepEqual(got, []string{"a", "<drawer>", "b", "<drawer>"}) {
			t.Fatalf("paper %q", got)
		}
	})
}

func TestSpoolerRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		doc := json.RawMessage(`[{"op":"text","text":"again"}]`)
		m := &memory{jobs: []printer.Job{
			{ID: "sending", Printer: "front", State: printer.Sending, Seq: 1, Copies: 1, Document: doc},
			{ID: "stopped", Printer: "front", State: printer.Blocked, Reason: printer.PaperOut, Error: "the printer stopped in mid-job; it goes on by itself", Seq: 2, Copies: 1, Document: doc},
			{ID: "silent", Printer: "front", State: printer.Blocked, Reason: printer.PaperOut, Seq: 3, Copies: 1, Document: doc},
			{ID: "waiting", Printer: "front", State: printer.Blocked, Reason: printer.OfflineState, Error: "not started: the printer is off", Seq: 4, Copies: 1, Document: doc},
			{ID: "queued", Printer: "front", State: printer.Queued, Seq: 5, Copies: 1, Document: doc},
			{ID: "broken", Printer: "front", State: printer.Queued, Seq: 6, Copies: 1, Document: json.RawMessage(`{}`)},
			{ID: "other", Printer: "kitchen", State: printer.Sending, Seq: 7, Copies: 1, Document: doc},
		}}
		d := &device{name: "front"}
		s, _ := run(t, m, d)
		for id, want := range map[string]printer.JobState{"sending": printer.Unknown, "stopped": printer.Unknown, "silent": printer.Unknown,
			"waiting": printer.Printed, "queued": printer.Printed, "broken": printer.Failed} {
			if j := final(t, s, id); j.State != want || (want != printer.Printed) != (j.Error != "") {
				t.Errorf("%s: %+v, want %s", id, j, want)
			}
		}
		if got := d.lines(); len(got) != 2 {
			t.Errorf("paper %q", got)
		}
		if j, err := s.Job(t.Context(), "other"); err != nil || j.State != printer.Sending {
			t.Errorf("touched the job of another printer: %+v, %v", j, err)
		}
	})
}

func TestSpoolerStopInMidJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		d := &device{name: "front", print: func(ctx context.Context, _ printer.Job, _ printer.Document, p printer.Progress) (printer.JobState, error) {
			if err := p.Sending(); err != nil {
				return printer.Queued, err
			}
			<-ctx.Done()
			return printer.Unknown, ctx.Err()
		}}
		s, stop := run(t, m, d)
		j := submit(t, s, request("a"))
		synctest.Wait()
		stop()
		if j, err := s.Job(t.Context(), j.ID); err != nil || j.State != printer.Unknown || j.FinishedAt == nil {
			t.Fatalf("%+v, %v", j, err)
		}
	})
}

func TestSpoolerCopiesAndReprint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, d := &memory{}, &device{name: "front"}
		s, _ := run(t, m, d)
		r := request("a")
		r.Copies, r.SaleID = 3, "sale-1"
		j := submit(t, s, r)
		final(t, s, j.ID)
		if got, want := d.lines(), []string{"a", "<drawer>", "<cut>", "a", "<cut>", "a"}; !reflect.DeepEqual(got, want) {
			t.Fatalf("paper %q, want %q", got, want)
		}
		again, err := s.Reprint(t.Context(), j.ID, nil)
		if err != nil || again.ReprintOf != j.ID || again.SaleID != "sale-1" || again.Copies != 1 || again.ID == j.ID {
			t.Fatalf("%+v, %v", again, err)
		}
		final(t, s, again.ID)
		if got := d.lines()[6:]; !reflect.DeepEqual(got, []string{"*** COPY ***", "a"}) {
			t.Fatalf("reprint %q", got)
		}
		raw := submit(t, s, printer.Request{Printer: "front", Copies: 2, Raw: []byte("xy")})
		final(t, s, raw.ID)
		again, err = s.Reprint(t.Context(), raw.ID, nil)
		if err != nil {
			t.Fatal(err)
		}
		final(t, s, again.ID)
		if got := d.lines()[8:]; !reflect.DeepEqual(got, []string{"raw:xyxy", "*** COPY ***", "raw:xy"}) {
			t.Fatalf("raw %q", got)
		}
	})
}

// TestSpoolerFailsNthWrite refuses every write of a job's life in turn: the paper comes out once, or the job was
// never accepted, and nothing is said to be printed before it is.
func TestSpoolerFailsNthWrite(t *testing.T) {
	for nth := 1; nth <= 4; nth++ {
		for _, times := range []int{1, 5} {
			synctest.Test(t, func(t *testing.T) {
				m := &memory{refuse: func(w int) error {
					if w >= nth && w < nth+times {
						return journal.ErrStorageFull
					}
					return nil
				}}
				d := &device{name: "front"}
				s, _ := run(t, m, d)
				j, err := s.Submit(t.Context(), request("a"), nil)
				if nth == 1 {
					if !errors.Is(err, journal.ErrStorageFull) || len(d.lines()) > 0 {
						t.Fatalf("%v, paper %q", err, d.lines())
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if j := final(t, s, j.ID); j.State != printer.Printed {
					t.Fatalf("write %d: %+v", nth, j)
				}
				if got := d.lines(); !reflect.DeepEqual(got, []string{"a", "<drawer>"}) {
					t.Fatalf("write %d refused %d times: paper %q", nth, times, got)
				}
			})
		}
	}
}

func TestSpoolerWaitEndsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{}
		s := printer.NewSpooler(printer.SpoolerConfig{Jobs: m, Printers: []printer.Printer{&device{name: "front"}}}) // not running
		j := submit(t, s, request("a"))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got, err := s.Wait(ctx, j.ID)
		if err != nil || got.State != printer.Queued {
			t.Fatalf("%+v, %v", got, err)
		}
		if _, err := s.Wait(ctx, "nothing"); !errors.Is(err, journal.ErrNotFound) {
			t.Fatal(err)
		}
	})
}
