package driver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/devices/printer"
)

const (
	pulseHandOver = 3 * time.Second  // for the printer's session to take a pulse; a big picture on a slow line takes longer
	pulseLimit    = 15 * time.Second // from there to the answer
	drawerSettles = time.Second      // for the drawer to spring open
)

// pulse is a request to open a drawer on its way to the session.
type pulse struct {
	pin  int
	done chan error // buffered; the session answers exactly once
}

// Pulse opens the drawer on pin 2 or 5 of the printer's drawer socket: at once between jobs, and in the middle of one
// as soon as no command is under way. While paper or cover block the printer it uses a command that is obeyed at once,
// where the model is known to have it. It returns nil once the printer took the pulse, which the printer confirms where
// it can. Every error says why the drawer did not open; none is made good later: a pulse that was refused never opens
// the drawer afterwards. It takes a few seconds at most.
func (p *Printer) Pulse(ctx context.Context, pin int) error {
	if pin != 2 && pin != 5 {
		return fmt.Errorf("open drawer: pin is %d, must be 2 or 5", pin)
	}
	if info := p.link.Info(); info.State == devices.Offline && info.LastError != nil && info.LastError.Code != string(port.Failed) {
		return closed(printer.OfflineState, "the printer can't be reached"+because(info.LastError))
	}
	q := &pulse{pin: pin, done: make(chan error, 1)}
	handing, cancel := context.WithTimeout(ctx, pulseHandOver)
	defer cancel()
	select {
	case p.pulses <- q:
		return q.wait()
	case <-handing.Done():
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("open drawer: %w", err)
	}
	if info := p.link.Info(); info.State == devices.Busy {
		return closed("", "the printer is in the middle of a command, such as a big picture; try again")
	}
	return closed(printer.OfflineState, "the printer can't be reached"+because(p.link.Info().LastError))
}

// wait waits for the session's answer, which is due within the bounds of a write and a question.
func (q *pulse) wait() error {
	t := time.NewTimer(pulseLimit)
	defer t.Stop()
	select {
	case err := <-q.done:
		return err
	case <-t.C: // only a fault of the driver itself leaves it unanswered
		return &printer.NotReadyError{Reason: printer.OfflineState, Err: errors.New("the printer did not take the pulse for the drawer in time: look whether the drawer is open")}
	}
}

// closed says why a drawer stays closed.
func closed(reason printer.Reason, why string) error {
	return &printer.NotReadyError{Reason: reason, Err: errors.New("the drawer did not open: " + why)}
}

// open gives a pulse to a printer that is not printing, and answers it. The error ends the session.
func (s *Session) open(ctx context.Context, q *pulse) error {
	if err := s.refresh(ctx); err != nil { // what the printer said last may be seconds old
		q.done <- closed(printer.OfflineState, err.Error())
		return err
	}
	command := s.talk.Pulse(q.pin)
	if s.oneWay || s.Reason() != "" || command.Confirm == nil {
		err := s.inJob(q)
		if err == nil {
			err = s.settleDrawer(ctx)
		}
		return err
	}
	if err := s.Send(ctx, append(command.Queued[:len(command.Queued):len(command.Queued)], command.Confirm...)); err != nil {
		q.done <- closed(printer.OfflineState, err.Error())
		return err
	}
	confirmed, err := s.Until(ctx, confirmLimit, command.Confirmed)
	switch {
	case err != nil:
		q.done <- closed(printer.OfflineState, err.Error())
	case !confirmed:
		q.done <- &printer.NotReadyError{Reason: s.Reason(), Err: errors.New("the printer took the pulse for the drawer and did not confirm it: look whether the drawer is open")}
	default:
		q.done <- nil
	}
	if err == nil {
		err = s.settleDrawer(ctx)
	}
	return err
}

// settleDrawer asks for the switch of the drawer after a pulse, for printers that do not report its change.
func (s *Session) settleDrawer(ctx context.Context) error {
	if s.oneWay || s.p.level == "" {
		return nil
	}
	opened, err := s.Until(ctx, drawerSettles, func() bool {
		open := s.talk.Status(s.p.level).DrawerOpened
		return open != nil && *open
	})
	if err != nil || opened {
		return err
	}
	_, err = s.talk.Ask(ctx, s)
	return err
}

// inJob gives the printer a pulse without waiting for anything, and answers it. It is called where a job waits, too;
// s.amid says that a command is under way there, which a pulse would spoil. The error ends the session.
func (s *Session) inJob(q *pulse) error {
	s.mu.Lock()
	reason := s.talk.Reason()
	s.mu.Unlock()
	message, _ := words(reason)
	pulse := s.talk.Pulse(q.pin)
	command := pulse.Queued
	switch {
	case s.amid:
		q.done <- closed(reason, "the printer stopped in the middle of a command, such as a picture"+also(message))
		return nil
	case reason == printer.ErrorState:
		q.done <- closed(reason, message+", and gives no pulse until that is cleared")
		return nil
	case !s.oneWay && pulse.Now != nil:
		command = pulse.Now
	case reason != "": // in the order of printing the drawer would spring open later, with nobody there
		q.done <- closed(reason, message+", and this model opens the drawer only when it can print")
		return nil
	}
	if err := s.port.SetWriteDeadline(time.Now().Add(writeLimit)); err != nil {
		q.done <- closed(printer.OfflineState, err.Error())
		return fmt.Errorf("write to printer: %w", err)
	}
	n, err := s.port.Write(command)
	if err == nil && n == len(command) {
		q.done <- nil
		return nil
	}
	if err == nil {
		err = fmt.Errorf("%d of %d bytes", n, len(command))
	}
	q.done <- closed(printer.OfflineState, "the printer takes no data: "+err.Error())
	var broken *port.Error
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) && !errors.As(err, &broken) {
		return nil // nothing of it left; the job goes on
	}
	return fmt.Errorf("write to printer: %w", err)
}

func also(message string) string {
	if message == "" {
		return ""
	}
	return " (" + message + ")"
}
