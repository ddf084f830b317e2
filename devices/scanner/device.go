package scanner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/internal/carddata"
)

// Config is what a scanner needs. Name, Open and Sink are required.
type Config struct {
	Name     string
	Driver   string // "" means scanner; see DriverBytes and its kin
	Port     string // the configured port, for Info
	Open     port.OpenFunc
	Options  Options
	Log      *slog.Logger
	OnChange func(devices.Info)
	Sink     Sink
	// GiftcardPrefixes are leading digits of numbers that are gift cards, though they look like payment cards.
	GiftcardPrefixes []string
}

// Scanner is a bar code scanner on a byte pipe. It is a devices.Device.
type Scanner struct {
	*devices.Link
	c Config

	last Scan // the one that was delivered last; of Run alone
}

var _ devices.Device = (*Scanner)(nil)

// readBuffer is how much one read takes; a scanner sends less between two reads.
const readBuffer = 1024

// New makes a scanner. What is wrong with its options is found here.
func New(c Config) (*Scanner, error) {
	if c.Driver == "" {
		c.Driver = DriverBytes
	}
	if _, err := newDecoder(c.Driver, c.Options); err != nil {
		return nil, fmt.Errorf("scanner %s: %w", c.Name, err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	info := devices.Info{Name: c.Name, Category: devices.Scanner, Driver: c.Driver, Port: c.Port}
	return &Scanner{
		Link: devices.NewLink(devices.LinkConfig{Info: info, Open: c.Open, Log: c.Log, OnChange: c.OnChange}),
		c:    c,
	}, nil
}

// Run reads codes until ctx ends. A code that is not complete when the cable goes is dropped and reported.
func (s *Scanner) Run(ctx context.Context) error { return s.Serve(ctx, s.session) }

func (s *Scanner) session(ctx context.Context, p port.Port) (err error) {
	d, err := newDecoder(s.c.Driver, s.c.Options)
	if err != nil {
		return err
	}
	if s.c.Driver == DriverHIDPOS {
		if err := port.WantHID(p, s.c.Port, port.PageScanner, hidposHint); err != nil {
			return err
		}
	}
	s.SetState(devices.Ready, devices.Status{})
	defer func() {
		if n := d.partial(); n > 0 && ctx.Err() == nil {
			err = &partialError{bytes: n, err: err}
		}
	}()
	done := func(aim string, data []byte, err error) { s.code(ctx, aim, data, err) }
	buf := make([]byte, readBuffer)
	for late := false; ; {
		by := time.Time{}
		switch {
		case d.gap() > 0 && d.partial() > 0 && late:
			by = time.Now().Add(lastLook)
		case d.gap() > 0 && d.partial() > 0:
			by = time.Now().Add(d.gap())
		}
		if err := p.SetReadDeadline(by); err != nil {
			return err
		}
		n, err := p.Read(buf)
		d.feed(buf[:n], done)
		switch {
		case err == nil:
			late = false
		case d.gap() == 0 || !errors.Is(err, os.ErrDeadlineExceeded):
			return err
		case n == 0 && d.partial() > 0 && late:
			d.silent(done)
			late = false
		default:
			late = n == 0
		}
	}
}

// lastLook is one more read after the gap: on a busy machine the deadline may pass while bytes lie there.
const lastLook = time.Millisecond

const hidposHint = "scan the programming code for USB HID POS in the scanner's manual; Linux may then see it under another product id: storeagent devices shows it"

// partialError is a lost port that took part of a code with it.
type partialError struct {
	bytes int
	err   error
}

func (e *partialError) Error() string {
	return fmt.Sprintf("%v; %d bytes of an unfinished code were dropped", e.err, e.bytes)
}

func (e *partialError) Unwrap() error { return e.err }

// code handles one complete code, or the loss of one.
func (s *Scanner) code(ctx context.Context, aim string, data []byte, err error) {
	now := time.Now()
	if err != nil {
		s.lost(now, err.Error(), s.lossHint())
		return
	}
	scan, ok := s.read(aim, data, now)
	if !ok {
		s.Report(devices.Problem{Code: "card_data_refused", Length: len(scan.Data), At: now,
			Message: fmt.Sprintf("a read of %d characters looked like a payment card and was dropped", len(scan.Data)),
			Hint:    "payment cards are read by the terminal only; for gift cards set giftcard.prefixes"})
		s.c.Sink.Refused(ctx, s.c.Name, len(scan.Data), now)
		return
	}
	if s.again(scan) {
		s.c.Log.Debug("the same code came again within dup_ms", "device", s.c.Name, "length", len(scan.Data))
		return
	}
	if err := s.c.Sink.Scanned(ctx, scan); err != nil {
		s.c.Log.Warn("scan was lost", "device", s.c.Name, "error", err)
		s.lost(now, "a scan could not be recorded", "scan the code again")
		return
	}
	s.last = scan
	if p := s.Info().LastError; p != nil {
		s.Clear() // it reads and delivers
	}
}

// again reports whether a scan repeats the last delivered one within dup_ms of it, as a scanner does that is left on a
// code. The time runs from the delivered one, so a code that stays in the beam comes again after it.
func (s *Scanner) again(scan Scan) bool {
	window := time.Duration(s.c.Options.DupMS) * time.Millisecond
	return window > 0 && scan.AIM == s.last.AIM && bytes.Equal(scan.Data, s.last.Data) && scan.At.Sub(s.last.At) < window
}

func (s *Scanner) lossHint() string {
	switch s.c.Driver {
	case DriverBytes:
		return "check prefix, suffix and gap_ms against the scanner's settings"
	case DriverWedge:
		return "set the scanner to a US keyboard, without Alt codes; better, set it to USB serial or HID POS"
	}
	return "scan the code again; check the cable if it comes often"
}

func (s *Scanner) lost(at time.Time, message, hint string) {
	s.Report(devices.Problem{Code: string(port.Failed), Message: message, Hint: hint, At: at})
}

// read makes a Scan of a code; false means that it looks like a payment card. Only a code that the scanner itself
// named an EAN or UPC is exempt, and only as the digits that those have: cards have no such bars.
func (s *Scanner) read(aim string, data []byte, at time.Time) (Scan, bool) {
	scan := Scan{Scanner: s.c.Name, AIM: aim, Data: data, At: at}
	scan.Symbology, scan.GTIN = identify(aim, data)
	readGS1(&scan)
	exempt := aim == "]E0" && len(data) <= 13 && digits(data)
	if !exempt && carddata.LooksLikeCard(string(data), s.c.GiftcardPrefixes) {
		return scan, false
	}
	return scan, true
}

func digits(data []byte) bool {
	for _, c := range data {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}
