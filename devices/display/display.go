// Package display is the LineDisplay category: customer displays of two lines of twenty characters, on a serial line of
// their own or behind a receipt printer.
//
// It is called by register and wired by cmd. It imports devices, devices/port and devices/printer. Command sets: Epson
// ESC/POS display mode (DM-D series) and CD5220.
package display

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/unicode/norm"
	"golang.org/x/text/width"

	"storeagent/devices"
	"storeagent/devices/port"
)

// Size of the display.
const (
	Rows    = 2
	Columns = 20
)

// ErrOffline means that the display cannot be reached now.
var ErrOffline = errors.New("the display does not take text now")

// TextError refuses lines; Field is a path like "lines[1]".
type TextError struct{ Field, Message string }

func (e *TextError) Error() string { return e.Field + ": " + e.Message }

// Commands is the language of a display.
type Commands string

// The command sets; the words are those of the option "commands".
const (
	ESCPOS Commands = "escpos"
	CD5220 Commands = "cd5220"
)

// Config is what a display needs. Name and Open are required.
type Config struct {
	Name     string
	Port     string
	Open     port.OpenFunc
	Commands Commands // "" is ESCPOS
	Log      *slog.Logger
	OnChange func(devices.Info)
}

// Display is one customer display. It is a devices.Device. All methods are safe for concurrent use.
type Display struct {
	*devices.Link
	commands Commands
	requests chan request
}

type request struct {
	text []byte
	done chan<- error // holds one
}

// writeLimit is how long a display may take for its forty characters.
const writeLimit = 3 * time.Second

// New makes a display. What is wrong with its options is found here.
func New(c Config) (*Display, error) {
	switch c.Commands {
	case "":
		c.Commands = ESCPOS
	case ESCPOS, CD5220:
	default:
		return nil, fmt.Errorf("display %s: option commands: want escpos or cd5220, not %q", c.Name, c.Commands)
	}
	return &Display{
		Link: devices.NewLink(devices.LinkConfig{
			Info: devices.Info{Name: c.Name, Category: devices.LineDisplay, Driver: "display", Port: c.Port},
			Open: c.Open, Log: c.Log, OnChange: c.OnChange,
		}),
		commands: c.Commands, requests: make(chan request),
	}, nil
}

// Run owns the port until ctx ends. A display that was unplugged shows its last text again when it is back.
func (d *Display) Run(ctx context.Context) error {
	var last []byte
	return d.Serve(ctx, func(ctx context.Context, p port.Port) error {
		gone := make(chan error, 1)
		go func() {
			defer close(gone)
			gone <- drain(p)
		}()
		defer func() {
			_ = p.Close() // wakes the reader; the error that matters is returned
			for range gone {
			}
		}()
		if err := d.write(p, append(d.begin(), last...)); err != nil {
			return err
		}
		d.SetState(devices.Ready, devices.Status{})
		for {
			select {
			case <-ctx.Done():
				return nil
			case err := <-gone:
				return err
			case r := <-d.requests:
				err := d.write(p, r.text)
				if err != nil {
					r.done <- fmt.Errorf("%w: %w", ErrOffline, err)
					return err
				}
				last = r.text
				r.done <- nil
			}
		}
	})
}

// drain reads what nobody wants, which tells when the display is unplugged.
func drain(p port.Port) error {
	buf := make([]byte, 64)
	for {
		if _, err := p.Read(buf); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
}

func (d *Display) write(p port.Port, b []byte) error {
	if err := p.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		return err
	}
	_, err := p.Write(b)
	return err
}

// Show writes up to two lines; what is missing is blank. It returns once the bytes are at the display's port. A line
// that is too long or has a character the display has not is refused with *TextError before anything is sent.
func (d *Display) Show(ctx context.Context, lines []string) error {
	text, err := d.encode(lines)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	done := make(chan error, 1)
	select {
	case d.requests <- request{text, done}:
	case <-ctx.Done():
		return fmt.Errorf("show on display %s: %w", d.Info().Name, ErrOffline)
	}
	if err := <-done; err != nil {
		return fmt.Errorf("show on display %s: %w", d.Info().Name, err)
	}
	return nil
}

// begin is what a display gets when its port was opened: initialise (1B 40) and, in ESC/POS, code page 858 (1B 74 13).
func (d *Display) begin() []byte {
	if d.commands == CD5220 {
		return []byte{0x1b, '@', 0x0c}
	}
	return []byte{0x1b, '@', 0x1b, 't', 19, 0x0c}
}

// encode makes the bytes of both rows, each padded to its width so that nothing of an older text stays. ESC/POS: 1F 24 x
// y moves the cursor, from 1. CD5220: 1B 51 41 (upper) and 1B 51 42 (lower), the row, 0D.
func (d *Display) encode(lines []string) ([]byte, error) {
	if len(lines) > Rows {
		return nil, &TextError{"lines", fmt.Sprintf("the display has %d lines", Rows)}
	}
	var out []byte
	for row := range Rows {
		text := ""
		if row < len(lines) {
			text = lines[row]
		}
		cells, err := encodeRow(text)
		if err != nil {
			return nil, &TextError{fmt.Sprintf("lines[%d]", row), err.Error()}
		}
		if d.commands == CD5220 {
			out = append(out, 0x1b, 'Q', byte('A'+row))
			out = append(out, cells...)
			out = append(out, '\r')
			continue
		}
		out = append(out, 0x1f, '$', 1, byte(row+1))
		out = append(out, cells...)
	}
	return out, nil
}

// encodeRow makes exactly one row of cells in code page 858.
func encodeRow(text string) ([]byte, error) {
	text = norm.NFC.String(text)
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return nil, errors.New("has a control character")
	}
	var cells []byte
	enc := charmap.CodePage858.NewEncoder()
	for _, r := range text {
		if k := width.LookupRune(r).Kind(); k == width.EastAsianWide || k == width.EastAsianFullwidth {
			return nil, fmt.Errorf("has %q, which this display cannot show", r)
		}
		b, err := enc.Bytes([]byte(string(r)))
		if err != nil {
			return nil, fmt.Errorf("has %q, which this display cannot show", r)
		}
		cells = append(cells, b...)
	}
	if len(cells) > Columns {
		return nil, fmt.Errorf("is %d characters long; a line has %d", len(cells), Columns)
	}
	for len(cells) < Columns {
		cells = append(cells, ' ')
	}
	return cells, nil
}
