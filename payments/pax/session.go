package pax

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/wireline"
)

// Times. The public sources name none; these are generous for a device that answers within a second.
const (
	gapLimit   = 3 * time.Second  // inside a frame
	ackLimit   = 5 * time.Second  // for ACK or NAK
	endLimit   = 2 * time.Second  // for ACK after EOT
	queryLimit = 15 * time.Second // for the answer to a question
	closeLimit = 5 * time.Minute  // for the end of a batch, which asks the host
	stopGrace  = 15 * time.Second // for the end of a payment that was asked to stop
)

// resends is how often a frame is sent again after NAK, and how many broken frames are answered with NAK.
const resends = 3

// session is one open port with a terminal that answered. Its methods run in the owner goroutine.
type session struct {
	t    *Terminal
	line *wireline.Framed
	held []wireline.Sign // came while deliver waited for its ACK
}

func (s *session) next(ctx context.Context, until time.Time, wake <-chan struct{}) (wireline.Sign, error) {
	if len(s.held) > 0 {
		sign := s.held[0]
		s.held = s.held[1:]
		return sign, nil
	}
	return s.line.Next(ctx, until, wake)
}

// idle acknowledges what the terminal says unasked: the late or repeated answer to something older.
func (s *session) idle(ctx context.Context, wake <-chan struct{}) error {
	for {
		sign, err := s.next(ctx, time.Time{}, wake)
		if err != nil {
			return err
		}
		if err := s.old(ctx, sign); err != nil {
			return err
		}
	}
}

// old answers a sign that nobody waits for. A frame never settles a payment: whoever follows it asks the report.
func (s *session) old(ctx context.Context, sign wireline.Sign) error {
	switch sign.Code {
	case wireline.STX:
		s.t.log.WarnContext(ctx, "terminal sent an answer that nobody waits for", "answer", describe(sign.Text))
		if a, err := parseAnswer(sign.Text); err == nil && a.cmd == answerTo(cmdCredit) {
			s.t.hear(a.ref)
		}
		return s.line.Answer(wireline.ACK)
	case 0:
		return s.line.Answer(wireline.NAK)
	}
	return nil
}

// errRefused is a terminal that sent NAK or EOT instead of taking a frame.
var errRefused = errors.New("terminal does not take the frame")

// deliver sends a frame until the terminal takes it. Only NAK, which says that it did not, brings the frame again:
// silence never does. What is not ACK, NAK or EOT is passed over, an answer counts as ACK.
func (s *session) deliver(ctx context.Context, m message) error {
	wire := wireline.Frame(m.text())
	for range 1 + resends {
		s.trace(ctx, "to terminal", m)
		if err := s.line.Write(wire); err != nil {
			return err
		}
		taken, err := s.taken(ctx, m)
		if err != nil || taken {
			return err
		}
	}
	return errRefused
}

func (s *session) taken(ctx context.Context, m message) (bool, error) {
	until, ended := time.Now().Add(ackLimit), false
	for {
		sign, err := s.line.Next(ctx, until, nil)
		if ended && errors.Is(err, wireline.ErrSilent) {
			return false, errRefused
		}
		if err != nil {
			return false, err
		}
		switch sign.Code {
		case wireline.ACK:
			return true, nil
		case wireline.NAK:
			return false, nil
		case wireline.EOT: // of the exchange before, where ACK follows
			ended, until = true, time.Now().Add(endLimit)
		case wireline.STX:
			if a, err := parseAnswer(sign.Text); err == nil && a.cmd == answerTo(m.field(0, 0)) {
				s.held = append(s.held, sign)
				return true, nil
			}
		}
		if err := s.old(ctx, sign); err != nil {
			return false, err
		}
	}
}

// wait is what a caller expects of await.
type wait struct {
	cmd   string // of the answer
	ref   string // of ours; an approval with another one belongs to something older. "" takes any
	until time.Time
	stop  <-chan struct{} // the wish to stop; nil where nothing can be stopped
	money bool
}

// await gives the answer, not acknowledged yet. Once stop fires or the time is over the terminal is asked to stop,
// and its own end is waited for a little longer.
func (s *session) await(ctx context.Context, w wait) (answer, error) {
	broken, overdue := 0, false
	for {
		sign, err := s.next(ctx, w.until, w.stop)
		late := errors.Is(err, wireline.ErrSilent) && w.money && !overdue
		if late {
			overdue, w.until = true, time.Now().Add(stopGrace)
		}
		if late || errors.Is(err, wireline.ErrWoken) {
			if err := s.stop(ctx); err != nil {
				return answer{}, err
			}
			continue
		}
		if err != nil {
			return answer{}, err
		}
		switch sign.Code {
		case wireline.STX:
			a, err := parseAnswer(sign.Text)
			s.t.log.DebugContext(ctx, "from terminal", "answer", describe(sign.Text))
			switch {
			case err != nil && w.money:
				return answer{}, fmt.Errorf("%w: %w", errContradiction, err)
			case err == nil && a.cmd == w.cmd && (w.ref == "" || a.ref == w.ref || a.ref == "" && a.code != codeOK):
				return a, nil
			case err == nil && a.cmd == w.cmd && a.ref == "":
				return answer{}, fmt.Errorf("%w: an approval without our reference", errContradiction)
			}
		case wireline.EOT: // the terminal ends the session; its answer, if any, comes at once
			overdue, w.until = true, wireline.Earlier(w.until, time.Now().Add(stopGrace))
		case 0:
			if err := s.line.Broken(&broken, resends); err != nil {
				return answer{}, err
			}
		}
		if err := s.old(ctx, sign); err != nil {
			return answer{}, err
		}
	}
}

// stop sends A14. Whether the terminal takes it shows in the answer to the payment.
func (s *session) stop(ctx context.Context) error {
	m := command(cmdCancel)
	s.trace(ctx, "to terminal", m)
	return s.line.Write(wireline.Frame(m.text()))
}

// ask sends a question and gives the acknowledged answer. An error means that the line is not to be trusted.
func (s *session) ask(ctx context.Context, m message, limit time.Duration) (answer, error) {
	if err := s.deliver(ctx, m); err != nil {
		return answer{}, err
	}
	a, err := s.await(ctx, wait{cmd: answerTo(m.field(0, 0)), until: time.Now().Add(limit)})
	if err != nil {
		return answer{}, err
	}
	return a, s.line.Answer(wireline.ACK)
}

// greet sends A00. Its answer also shows that the terminal is idle, and that everything it had to say before is said.
func (s *session) greet(ctx context.Context) (answer, error) {
	a, err := s.ask(ctx, command(cmdInit), queryLimit)
	if err == nil && a.code == codeOK {
		model := "PAX"
		if a.model != "" {
			model += " " + a.model
		}
		s.t.link.SetModel(model, a.serial)
	}
	return a, err
}

func (s *session) trace(ctx context.Context, way string, m message) {
	if s.t.log.Enabled(ctx, slog.LevelDebug) {
		s.t.log.DebugContext(ctx, way, "command", m.field(0, 0), "type", m.field(2, 0), "groups", len(m))
	}
}

// describe is an answer as it may stand in a log: what it is, its code and our reference, never account, holder or
// extended data.
func describe(text []byte) string {
	a, err := parseAnswer(text)
	if err != nil {
		return fmt.Sprintf("not readable (%d bytes)", len(text))
	}
	return fmt.Sprintf("%s code %s reference %s (%d bytes)", a.cmd, a.code, a.ref, len(text))
}

// The EDC types in the order in which a batch counts them.
var edcNames = []string{"credit", "debit", "EBT", "gift", "loyalty", "cash", "check"}

// totals of a B01. A terminal counts per EDC type, not per card scheme.
func (a answer) totals(currency string) (payments.Totals, error) {
	totals := payments.Totals{Cards: []payments.CardTotal{}}
	var sum int64
	for i, name := range edcNames {
		var count, minor int64
		if i < len(a.counts) {
			count, _ = wireline.Digits(a.counts[i])
		}
		if i < len(a.sums) {
			minor = signed(a.sums[i])
		}
		if count == 0 && minor == 0 {
			continue
		}
		amount, err := money.FromMinor(minor, currency)
		if err != nil {
			return payments.Totals{}, fmt.Errorf("totals of the batch: %w", err)
		}
		totals.Cards = append(totals.Cards, payments.CardTotal{Brand: name, Count: int(count), Amount: amount})
		totals.Count += int(count)
		sum += minor
	}
	var err error
	if totals.Amount, err = money.FromMinor(sum, currency); err != nil {
		return payments.Totals{}, fmt.Errorf("totals of the batch: %w", err)
	}
	return totals, nil
}

// signed reads cents with an optional minus; nothing readable is 0.
func signed(s string) int64 {
	rest, minus := strings.CutPrefix(s, "-")
	n, _ := wireline.Digits(rest)
	if minus {
		return -n
	}
	return n
}
