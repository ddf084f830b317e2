package telium

import (
	"context"
	"errors"
	"fmt"
	"time"

	"storeagent/devices"
	"storeagent/payments"
	"storeagent/payments/wireline"
)

// Times. The public sources give three seconds for a frame, and a second before ENQ is repeated.
const (
	gapLimit  = 3 * time.Second
	ackLimit  = 3 * time.Second
	enqPause  = time.Second
	endLimit  = 3 * time.Second // for EOT, which only ends the exchange
	tries     = 3
	brokenMax = 3 // broken frames in a row, then the exchange is given up
)

// session is one open port with a terminal that answered. Its methods run in the owner goroutine.
type session struct {
	t    *Terminal
	line *wireline.Framed
}

// errNotTaken means that the terminal does not listen: it is busy, or does not take what was sent.
var errNotTaken = errors.New("terminal does not listen; it may be busy with a menu or a card")

// probe asks with ENQ whether somebody listens, and leaves it at that.
func (s *session) probe(ctx context.Context) error {
	if err := s.enquire(ctx); err != nil {
		return err
	}
	return s.line.Answer(wireline.EOT)
}

// enquire sends ENQ until ACK comes, three times in all. Nothing has been asked yet, so trying again is safe. A late
// answer that the terminal wants to be rid of is taken first.
func (s *session) enquire(ctx context.Context) error {
	for try := range tries {
		if try > 0 {
			if err := s.pause(ctx); err != nil {
				return err
			}
		}
		if err := s.line.Answer(wireline.ENQ); err != nil {
			return err
		}
		taken, err := s.taken(ctx)
		switch {
		case err == nil && taken:
			return nil
		case err != nil && !errors.Is(err, wireline.ErrSilent):
			return err
		}
		if err := s.line.Answer(wireline.EOT); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: %w", errNotTaken, wireline.ErrSilent)
}

// pause lets a second go by, and deals with what the terminal says in it.
func (s *session) pause(ctx context.Context) error {
	until := time.Now().Add(enqPause)
	for {
		sign, err := s.line.Next(ctx, until, nil)
		if errors.Is(err, wireline.ErrSilent) {
			return nil
		}
		if err == nil {
			err = s.old(ctx, sign)
		}
		if err != nil {
			return err
		}
	}
}

// taken waits for ACK (true) or NAK (false); ErrSilent where neither comes.
func (s *session) taken(ctx context.Context) (bool, error) {
	until := time.Now().Add(ackLimit)
	for {
		sign, err := s.line.Next(ctx, until, nil)
		if err != nil {
			return false, err
		}
		switch sign.Code {
		case wireline.ACK:
			return true, nil
		case wireline.NAK:
			return false, nil
		}
		if err := s.old(ctx, sign); err != nil {
			return false, err
		}
		if sign.Code == wireline.ENQ || sign.Code == wireline.STX {
			until = time.Now().Add(ackLimit)
		}
	}
}

// idle takes what the terminal says unasked: the answer to something older.
func (s *session) idle(ctx context.Context, wake <-chan struct{}) error {
	for {
		sign, err := s.line.Next(ctx, time.Time{}, wake)
		if err != nil {
			return err
		}
		if err := s.old(ctx, sign); err != nil {
			return err
		}
	}
}

// old answers a sign that nobody waits for. An answer is kept for the attempt whose reference it bears, and is never
// taken for another one.
func (s *session) old(ctx context.Context, sign wireline.Sign) error {
	switch sign.Code {
	case wireline.ENQ:
		return s.line.Answer(wireline.ACK)
	case wireline.STX:
		s.t.log.WarnContext(ctx, "terminal sent an answer that belongs to no running payment", "answer", describe(sign.Text))
		if a, err := parseAnswer(sign.Text); err == nil {
			s.t.keep(a)
		}
		return s.line.Answer(wireline.ACK)
	case 0:
		return s.line.Answer(wireline.NAK)
	}
	return nil
}

// pay runs one ask to its answer. broken means that the line must be opened anew.
func (s *session) pay(ctx context.Context, q ask, txn payments.Txn, ev payments.Events) (broken bool, err error) {
	if err := s.probe(ctx); err != nil { // a dead line breaks here, where nothing was sent
		return true, wireline.NotSent(err)
	}
	if err := ev.Sending(payments.Baseline{}); err != nil {
		return false, wireline.NotSent(fmt.Errorf("commit before sending: %w", err))
	}
	if err := s.enquire(ctx); err != nil {
		return true, wireline.NotSent(err)
	}
	if err := s.deliver(ctx, q); err != nil {
		return true, fmt.Errorf("payment at terminal: %w", err)
	}
	ev.Prompt(payments.Prompt{Code: "insert_card", Text: "the terminal asks for the card; see its display"})
	a, err := s.await(ctx, q)
	if err != nil {
		return true, fmt.Errorf("payment at terminal: %w", err)
	}
	out, err := a.outcome(txn)
	if err != nil {
		_ = s.line.Answer(wireline.ACK) // the terminal's part is over; what it meant must a person find out
		return true, fmt.Errorf("payment at terminal: %w", err)
	}
	if err := ev.CommitOutcome(out); err != nil {
		return true, fmt.Errorf("commit outcome: %w", err)
	}
	s.t.owner.SetHealth(devices.Ready, devices.Status{})
	// The terminal has decided, whether it hears this or not: a line that breaks now leaves nothing in doubt.
	return s.finish(ctx) != nil, nil
}

// deliver sends the ask until the terminal takes it. Only NAK, which says that it did not, brings it again.
func (s *session) deliver(ctx context.Context, q ask) error {
	wire := wireline.Frame(q.text())
	for range tries {
		s.t.log.DebugContext(ctx, "to terminal", "kind", string(q.kind), "amount", q.minor, "private", q.private)
		if err := s.line.Write(wire); err != nil {
			return err
		}
		taken, err := s.taken(ctx)
		if err != nil {
			return err
		}
		if taken {
			return s.line.Answer(wireline.EOT)
		}
	}
	_ = s.line.Answer(wireline.EOT) // errNotTaken is the error that matters
	return errNotTaken
}

// await gives the answer to q, not acknowledged yet. An answer to anything else is acknowledged and left.
func (s *session) await(ctx context.Context, q ask) (answer, error) {
	until, broken := time.Now().Add(s.t.timeout), 0
	for {
		sign, err := s.line.Next(ctx, until, nil)
		if err != nil {
			return answer{}, err
		}
		switch sign.Code {
		case wireline.STX:
			a, err := parseAnswer(sign.Text)
			if err != nil {
				_ = s.line.Answer(wireline.ACK) // so that it does not come again; err is the one that matters
				return answer{}, err
			}
			s.t.log.DebugContext(ctx, "from terminal", "answer", describe(sign.Text))
			if a.isFor(q) {
				return a, nil
			}
			broken = 0
		case 0:
			if err := s.line.Broken(&broken, brokenMax); err != nil {
				return answer{}, err
			}
		}
		if err := s.old(ctx, sign); err != nil {
			return answer{}, err
		}
	}
}

// finish acknowledges the answer and waits a little for the EOT that ends the exchange. The answer may come again
// where the acknowledgement was lost.
func (s *session) finish(ctx context.Context) error {
	if err := s.line.Answer(wireline.ACK); err != nil {
		return err
	}
	until := time.Now().Add(endLimit)
	for {
		sign, err := s.line.Next(ctx, until, nil)
		switch {
		case errors.Is(err, wireline.ErrSilent):
			return nil
		case err != nil:
			return err
		case sign.Code == wireline.EOT:
			return nil
		case sign.Code == wireline.STX:
			err = s.line.Answer(wireline.ACK)
		default:
			err = s.old(ctx, sign)
		}
		if err != nil {
			return err
		}
	}
}

// outcome turns the answer into what the payment keeps. An error means that it settles nothing.
func (a answer) outcome(txn payments.Txn) (payments.Outcome, error) {
	switch a.result {
	case resultOK:
		return payments.Outcome{State: payments.Approved, ApprovedAmount: txn.Amount}, nil
	case resultRefused:
		return payments.Outcome{
			State:   payments.Declined,
			Decline: &payments.Decline{Code: string(a.result), Message: "refused or stopped; see the terminal's display or slip"},
		}, nil
	}
	return payments.Outcome{}, fmt.Errorf("terminal says result %q, which settles nothing", a.result)
}
