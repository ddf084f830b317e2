package driver

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/port/porttest"
	"storeagent/devices/printer"
)

// TestChunks: a job leaves in pieces that end between commands where they can, and whatever piece the line breaks in,
// the command that may have been cut off is known.
func TestChunks(t *testing.T) {
	var e Encoded
	for _, n := range []int{10, 40, 300, 5, 700, 1, 1, 256, 3} {
		e.Add(bytes.Repeat([]byte{'x'}, n)...)
	}
	for sent := 0; sent < len(e.Data); {
		next := e.next(sent)
		if next <= sent || next > sent+chunk {
			t.Fatalf("from %d to %d", sent, next)
		}
		_, ends := slices.BinarySearch(e.Cuts, next)
		within := slices.ContainsFunc(e.Cuts, func(c int) bool { return c > sent && c <= sent+chunk })
		if within && !ends {
			t.Errorf("the piece from %d to %d ends in a command, though one ends in it", sent, next)
		}
		from := 0
		for _, cut := range e.Cuts { // every command of which a byte is in the piece
			if from < next && cut > sent && e.around(sent) < cut-from {
				t.Errorf("cut off in %d to %d, the command from %d to %d is longer than %d", sent, next, from, cut, e.around(sent))
			}
			from = cut
		}
		sent = next
	}
	e.addBehindFirst([]byte("head"))
	if string(e.Data[10:14]) != "head" || !slices.Equal(e.Cuts[:3], []int{10, 14, 54}) || !slices.IsSorted(e.Cuts) || e.Cuts[len(e.Cuts)-1] != len(e.Data) {
		t.Errorf("cuts %v", e.Cuts)
	}
}

func TestLanguagesAreToldApart(t *testing.T) {
	for in, want := range map[string][2]bool{
		"":                         {false, false},
		"230600000000000000":       {true, false},
		"ff23860000000000000000":   {true, false},
		"2306000000000000":         {false, false}, // one byte short
		"230600000100000000":       {false, false}, // a bit that is never set
		"0f020000000000":           {true, false},
		"12":                       {false, true},
		"16":                       {false, true},
		"1400000f":                 {false, false}, // unasked status of an ESC/POS printer
		"48656c6c6f20776f726c6421": {false, false},
	} {
		b, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{hasStarStatus(b), hasRealTimeStatus(b)}; got != want {
			t.Errorf("%s: Star, ESC/POS %v, want %v", in, got, want)
		}
	}
}

// mute is a language in which the printer never answers.
type mute struct{}

func (mute) Columns() int                                              { return 42 }
func (mute) Encode(printer.Document) (Encoded, error)                  { var e Encoded; e.Add('x'); return e, nil }
func (mute) Begin() Talk                                               { return mute{} }
func (mute) Hear([]byte) bool                                          { return false }
func (mute) Overdue()                                                  {}
func (mute) Reason() printer.Reason                                    { return "" }
func (mute) Status(string) devices.Status                              { return devices.Status{} }
func (mute) Paused() bool                                              { return false }
func (mute) Hello(context.Context, *Session, int) (bool, error)        { return false, nil }
func (mute) Refresh(context.Context, *Session) error                   { return nil }
func (mute) Ask(context.Context, *Session) (bool, error)               { return false, nil }
func (mute) Seal(context.Context, *Session, printer.Job) (Seal, error) { return Seal{}, nil }
func (mute) Pulse(int) Pulse                                           { return Pulse{Queued: []byte{7}} }

type untold struct{}

func (untold) Sending() error         { return nil }
func (untold) Blocked(printer.Reason) {}

// TestNobodyRuns: a printer that nobody runs, and one whose port never opens, hold no caller for long.
func TestNobodyRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := New(Config{Name: "front", Language: mute{}, Open: func(context.Context) (port.Port, error) {
			return nil, &port.Error{Op: "open", Kind: port.Missing, Err: errors.New("no such port")}
		}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		state, err := p.Print(t.Context(), printer.Job{}, printer.Document{{Op: "text", Text: "x"}}, untold{})
		var nr *printer.NotReadyError
		if state != printer.Queued || !errors.As(err, &nr) || time.Since(began) > handOverLimit {
			t.Errorf("%s, %v", state, err)
		}
		if err := p.Pulse(t.Context(), 2); err == nil {
			t.Error("a drawer opened")
		}
	})
	if _, err := New(Config{Language: mute{}, DrawerOpenLevel: "up"}); err == nil {
		t.Error("an unknown level passes")
	}
}

// TestStoredImages: a driver without a Check of its own refuses images that only a printer's memory has.
func TestStoredImages(t *testing.T) {
	p, err := New(Config{Name: "front", Language: mute{}})
	if err != nil {
		t.Fatal(err)
	}
	err = p.Check(printer.Document{{Op: "rule"}, {Op: "image", Stored: "LG"}})
	var refused *printer.DocumentError
	if !errors.As(err, &refused) || refused.Field != "document[1].stored" {
		t.Errorf("%v", err)
	}
}

// TestTakesNothing: a printer that takes no bytes and says nothing is blocked for being offline, and given up on after
// its time; not one byte left, so the job is not lost.
func TestTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, _ := porttest.Pipe(t) // nobody reads the far end
		opened := false
		p, err := New(Config{Name: "front", Language: mute{}, Open: func(context.Context) (port.Port, error) {
			if opened {
				return nil, &port.Error{Op: "open", Kind: port.Missing, Err: errors.New("no such port")}
			}
			opened = true
			return near, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- p.Run(ctx) }()
		synctest.Wait()
		told := &reasons{}
		state, err := p.Print(t.Context(), printer.Job{}, printer.Document{{Op: "text", Text: "x"}}, told)
		if state != printer.Queued || err == nil || !slices.Contains(*told, printer.OfflineState) {
			t.Errorf("%s, %v, told %q", state, err, *told)
		}
		cancel()
		<-ended
	})
}

type reasons []printer.Reason

func (*reasons) Sending() error             { return nil }
func (r *reasons) Blocked(p printer.Reason) { *r = append(*r, p) }
