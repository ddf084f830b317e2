package scanner

import (
	"context"
	"io"
	"os"
	"testing"
	"time"

	"storeagent/devices/port"
)

// starved is a port on a machine that is too busy: every other read meets its deadline though bytes lie there.
type starved struct {
	port.Port
	chunks   []string
	deadline time.Time
	missed   bool
}

func (p *starved) SetReadDeadline(t time.Time) error { p.deadline = t; return nil }

func (p *starved) Read(b []byte) (int, error) {
	if !p.deadline.IsZero() && !p.missed {
		p.missed = true
		return 0, os.ErrDeadlineExceeded
	}
	p.missed = false
	switch {
	case len(p.chunks) > 0:
	case p.deadline.IsZero():
		return 0, io.EOF
	default:
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, p.chunks[0])
	p.chunks = p.chunks[1:]
	return n, nil
}

// A deadline that passes while the rest of a code lies there does not cut the code.
func TestBusyMachineCutsNoCode(t *testing.T) {
	out := newSink()
	s, err := New(Config{Name: "till", Options: Options{GapMS: 50}, Sink: out})
	if err != nil {
		t.Fatal(err)
	}
	_ = s.session(context.Background(), &starved{chunks: []string{"400", "638133", "3931"}})
	select {
	case scan := <-out.scans:
		if string(scan.Data) != "4006381333931" {
			t.Errorf("%q", scan.Data)
		}
	default:
		t.Error("nothing came")
	}
}
