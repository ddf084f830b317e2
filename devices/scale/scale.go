// Package scale is the Scale category: counter scales that give the weight on them. Only a stable weight is ever given, and
// only one that came after the call that asks.
//
// It is called by register and wired by cmd. It imports devices and devices/port. Protocols: NCI (also called ECR, NCR
// or Weigh-Tronix; NCI Standard Continuous protocols, "SCP-01"), Mettler Toledo 8213/8217, and HID scales (USB-IF, HID Point of
// Sale Usage Tables 1.02).
package scale

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
)

// Why there is no weight, by errors.Is.
var (
	// ErrNotStable means that something moves on the scale: ask again in a moment.
	ErrNotStable = errors.New("the scale is not at rest")
	// ErrOverload means that there is too much on it.
	ErrOverload = errors.New("there is too much on the scale")
	// ErrBelowZero means that the empty scale was not at zero: take everything off and press its zero key.
	ErrBelowZero = errors.New("the scale is below zero")
	// ErrFault means that the scale can give no weight until somebody sees to it.
	ErrFault = errors.New("the scale reports a fault")
	// ErrNoAnswer means that the scale cannot be reached now.
	ErrNoAnswer = errors.New("the scale does not answer")
)

// Reading is a stable weight.
type Reading struct {
	Weight string // decimal text as the scale shows it
	Unit   string // kg, g, lb or oz
	At     time.Time
}

// Scale is one scale.
type Scale interface {
	devices.Device
	// Read asks the scale and waits for its answer, at most a second. It never gives an old weight. Safe for
	// concurrent use.
	Read(ctx context.Context) (Reading, error)
}

// Protocol is the language a serial scale speaks.
type Protocol string

// The protocols; the words are those of the driver table.
const (
	NCI    Protocol = "nci"
	Toledo Protocol = "toledo"
)

// Config is what a serial scale needs. Name, Protocol and Open are required.
type Config struct {
	Name     string
	Protocol Protocol
	Port     string
	Open     port.OpenFunc
	Unit     string // what a Toledo scale weighs in, since it does not say: kg (default), g, lb or oz
	Log      *slog.Logger
	OnChange func(devices.Info)
}

// Serial is a scale on a byte pipe. It implements Scale.
type Serial struct {
	*devices.Link
	ask      []byte
	parse    func(answer []byte) (n int, r Reading, err error)
	requests chan request
}

var _ Scale = (*Serial)(nil)

type request struct {
	done chan<- answer // holds one
}

type answer struct {
	reading Reading
	err     error
}

// Limits: an answer is a few bytes and comes at once; an idle scale is asked now and then, so that a pulled plug
// shows before the next customer.
const (
	answerLimit = time.Second
	idlePeriod  = 5 * time.Second
	longest     = 64
)

// errIncomplete says that more bytes must come.
var errIncomplete = errors.New("incomplete")

// New makes a serial scale. What is wrong with its options is found here.
func New(c Config) (*Serial, error) {
	if c.Unit == "" {
		c.Unit = "kg"
	}
	switch c.Unit {
	case "kg", "g", "lb", "oz":
	default:
		return nil, fmt.Errorf("scale %s: option unit: want kg, g, lb or oz, not %q", c.Name, c.Unit)
	}
	s := &Serial{requests: make(chan request)}
	switch c.Protocol {
	case NCI:
		s.ask, s.parse = []byte("W\r"), parseNCI
	case Toledo:
		s.ask, s.parse = []byte("W"), func(b []byte) (int, Reading, error) { return parseToledo(b, c.Unit) }
	default:
		return nil, fmt.Errorf("scale %s: there is no protocol %q", c.Name, c.Protocol)
	}
	s.Link = devices.NewLink(devices.LinkConfig{
		Info: devices.Info{Name: c.Name, Category: devices.Scale, Driver: string(c.Protocol), Port: c.Port},
		Open: c.Open, Log: c.Log, OnChange: c.OnChange,
	})
	return s, nil
}

// Run owns the port until ctx ends.
func (s *Serial) Run(ctx context.Context) error { return s.Serve(ctx, s.session) }

// Read implements Scale.
func (s *Serial) Read(ctx context.Context) (Reading, error) {
	return ask(ctx, s.requests, s.Info().Name)
}

// ask hands a call to the session and waits for its answer.
func ask(ctx context.Context, requests chan<- request, name string) (Reading, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*answerLimit)
	defer cancel()
	done := make(chan answer, 1)
	select {
	case requests <- request{done}:
	case <-ctx.Done():
		return Reading{}, fmt.Errorf("read scale %s: %w", name, ErrNoAnswer)
	}
	a := <-done
	if a.err != nil {
		return Reading{}, fmt.Errorf("read scale %s: %w", name, a.err)
	}
	return a.reading, nil
}

// session answers requests, one at a time, each with an exchange of its own.
func (s *Serial) session(ctx context.Context, p port.Port) error {
	tick := time.NewTicker(idlePeriod)
	defer tick.Stop()
	if _, err := s.weigh(p); isBroken(err) {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if _, err := s.weigh(p); isBroken(err) {
				return err
			}
		case r := <-s.requests:
			reading, err := s.weigh(p)
			if isBroken(err) {
				r.done <- answer{err: fmt.Errorf("%w: %w", ErrNoAnswer, err)}
				return err
			}
			r.done <- answer{reading, err}
		}
	}
}

// isBroken tells a broken line from a scale that has no weight to give.
func isBroken(err error) bool {
	return err != nil && !errors.Is(err, ErrNotStable) && !errors.Is(err, ErrOverload) && !errors.Is(err, ErrBelowZero)
}

// weigh makes one exchange and keeps the state true.
func (s *Serial) weigh(p port.Port) (Reading, error) {
	r, err := s.exchange(p)
	if isBroken(err) {
		return r, err
	}
	text := ""
	if err != nil {
		text = err.Error()
	}
	s.SetState(devices.Ready, devices.Status{Text: text})
	return r, err
}

func (s *Serial) exchange(p port.Port) (Reading, error) {
	if err := drain(p); err != nil {
		return Reading{}, err
	}
	limit := time.Now().Add(answerLimit)
	if err := p.SetWriteDeadline(limit); err != nil {
		return Reading{}, err
	}
	if _, err := p.Write(s.ask); err != nil {
		return Reading{}, err
	}
	if err := p.SetReadDeadline(limit); err != nil {
		return Reading{}, err
	}
	var got []byte
	buf := make([]byte, longest)
	for {
		n, err := p.Read(buf)
		got = append(got, buf[:n]...)
		_, reading, perr := s.parse(got)
		switch {
		case !errors.Is(perr, errIncomplete) && perr != nil, perr == nil:
			reading.At = time.Now()
			return reading, perr
		case err != nil && errors.Is(err, os.ErrDeadlineExceeded):
			return Reading{}, &port.Error{
				Op: "read", Address: s.Info().Port, Kind: port.Silent, Err: fmt.Errorf("no whole answer within %s, %d bytes came", answerLimit, len(got)),
				Hint: "check the scale's power, cable, and that its protocol and speed are those of the configuration",
			}
		case err != nil:
			return Reading{}, err
		case len(got) > longest:
			return Reading{}, &port.Error{
				Op: "read", Address: s.Info().Port, Kind: port.Failed, Err: errors.New("the answer is none of this protocol"),
				Hint: "choose the scale's own protocol as driver, and set its speed and parity",
			}
		}
	}
}

// drain throws away what came unasked, such as a late answer to an earlier question.
func drain(p port.Port) error {
	buf := make([]byte, longest)
	for {
		if err := p.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			return err
		}
		if _, err := p.Read(buf); errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// Control characters of both protocols.
const (
	stx = 0x02
	etx = 0x03
	lf  = '\n'
	cr  = '\r'
)

// parseNCI reads an answer of the NCI protocol: <LF>weight and unit<CR>, then <LF>S and two status characters<CR><ETX>.
// The weight is left out where there is none to give. Bits of the status characters: first, 1 in motion, 2 at zero;
// second, 1 below zero, 2 over capacity. n is how many bytes were used.
func parseNCI(b []byte) (n int, r Reading, err error) {
	end := bytes.IndexByte(b, etx)
	if end < 0 {
		return 0, r, errIncomplete
	}
	var weight, status []byte
	for _, line := range bytes.Split(b[:end], []byte{cr}) {
		line = bytes.Trim(line, " \n")
		switch {
		case len(line) >= 3 && line[0] == 'S':
			status = line[1:3]
		case len(line) > 0:
			weight = line
		}
	}
	switch {
	case status == nil:
		return end + 1, r, errors.New("the answer has no status")
	case status[1]&2 != 0:
		return end + 1, r, ErrOverload
	case status[1]&1 != 0:
		return end + 1, r, ErrBelowZero
	case status[0]&1 != 0:
		return end + 1, r, ErrNotStable
	}
	at := 0
	for at < len(weight) && (weight[at] >= '0' && weight[at] <= '9' || weight[at] == '.' || weight[at] == ' ' || weight[at] == '-') {
		at++
	}
	unit := map[string]string{"KG": "kg", "LB": "lb", "OZ": "oz", "G": "g"}[string(bytes.ToUpper(bytes.TrimSpace(weight[at:])))]
	r.Weight, err = plain(weight[:at])
	if err != nil || unit == "" {
		return end + 1, Reading{}, errors.New("the answer has no weight with a unit")
	}
	r.Unit = unit
	return end + 1, r, nil
}

// parseToledo reads an answer of a Mettler Toledo 8213 or 8217: <STX>weight<CR>, or <STX>?status<CR> with bits 1 in
// motion, 2 over capacity, 4 below zero.
func parseToledo(b []byte, unit string) (n int, r Reading, err error) {
	start := bytes.IndexByte(b, stx)
	if start < 0 {
		return 0, r, errIncomplete
	}
	size := bytes.IndexByte(b[start:], cr)
	if size < 0 {
		return 0, r, errIncomplete
	}
	body := b[start+1 : start+size]
	n = start + size + 1
	if len(body) >= 2 && body[0] == '?' {
		switch status := body[1]; {
		case status&2 != 0:
			return n, r, ErrOverload
		case status&4 != 0:
			return n, r, ErrBelowZero
		default:
			return n, r, ErrNotStable
		}
	}
	if r.Weight, err = plain(body); err != nil {
		return n, Reading{}, err
	}
	r.Unit = unit
	return n, r, nil
}

// plain makes a decimal text of what a scale prints: no leading blanks or zeros, one digit before the point.
func plain(b []byte) (string, error) {
	s := bytes.TrimSpace(b)
	whole, fraction, point := bytes.Cut(s, []byte{'.'})
	if len(whole)+len(fraction) == 0 || len(s) > 12 || point && len(fraction) == 0 {
		return "", errors.New("the answer has no weight")
	}
	for _, c := range append(bytes.Clone(whole), fraction...) {
		if c < '0' || c > '9' {
			return "", errors.New("the answer has no weight")
		}
	}
	whole = bytes.TrimLeft(whole, "0")
	if len(whole) == 0 {
		whole = []byte("0")
	}
	if point {
		return string(whole) + "." + string(fraction), nil
	}
	return string(whole), nil
}
