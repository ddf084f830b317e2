// Package telium drives card terminals of Ingenico's Telium family over the French register protocol Concert, in its
// form E+: on USB as a serial line or on a serial line, mostly 9600 8N1 (some native serial ports 7E1).
//
// It is called by cmd through payments.Terminal. It imports payments, devices and what lies below, never another
// driver and never a simulator. The protocol's specification is not public; what stands here follows the public
// libraries that speak it.
//
// It is a limited driver: payment and refund, and no question about a payment that is over. An answer that is lost
// stays unknown until a person has looked at the terminal's paper; one that only comes late is known by the attempt's
// reference in its private field.
package telium

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/wireline"
)

// Options are the settings of one terminal.
type Options struct {
	TimeoutS int // longest wait for a result in seconds, 0 for 180; the terminal itself gives up after about 120
}

// Config says what a Terminal drives.
type Config struct {
	Name     string
	Port     string        // as configured, for people
	Open     port.OpenFunc // serial
	Options  Options
	Log      *slog.Logger       // nil logs nothing
	OnChange func(devices.Info) // may be nil
}

const defaultTimeout = 180 * time.Second

// register is our number as the terminal sees it: it has one register on its line.
const register = "01"

// Terminal is one Telium terminal. All methods are safe for concurrent use.
type Terminal struct {
	link    *devices.Link
	owner   *wireline.Owner[*session]
	log     *slog.Logger
	timeout time.Duration

	mu   sync.Mutex
	late []answer // that nobody waited for, oldest first
	told func(ref string)
}

var (
	_ payments.Terminal = (*Terminal)(nil)
	_ payments.Witness  = (*Terminal)(nil)
)

// New makes a Terminal; nothing is opened before Run. An error names the option that cannot work.
func New(c Config) (*Terminal, error) {
	if c.Options.TimeoutS < 0 {
		return nil, fmt.Errorf("telium terminal timeout_s %d: want seconds", c.Options.TimeoutS)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	t := &Terminal{
		link: devices.NewLink(devices.LinkConfig{
			Info: devices.Info{Name: c.Name, Category: devices.PaymentTerminal, Driver: "telium", Port: c.Port, Model: "Telium"},
			Open: c.Open, Log: c.Log, OnChange: c.OnChange,
		}),
		log: c.Log.With("terminal", c.Name), timeout: time.Duration(c.Options.TimeoutS) * time.Second,
	}
	if t.timeout == 0 {
		t.timeout = defaultTimeout
	}
	t.owner = wireline.NewOwner[*session](t.link)
	return t, nil
}

// Info implements devices.Device.
func (t *Terminal) Info() devices.Info { return t.link.Info() }

// Wake ends the wait before the next attempt to open the port: a device was plugged in.
func (t *Terminal) Wake() { t.link.Wake() }

// Run implements devices.Device: it opens the port, waits for a sign of the terminal, and does one thing at a time
// until ctx ends.
func (t *Terminal) Run(ctx context.Context) error {
	return t.link.Serve(ctx, func(ctx context.Context, p port.Port) error {
		u := wireline.StartPump(p)
		defer u.Stop()
		s := &session{t: t, line: wireline.NewFramed(u, longSize, gapLimit)}
		err := s.probe(ctx)
		if err == nil {
			err = t.owner.Serve(ctx, s, s.idle)
		}
		return wireline.Broken(err, t.link.Info().Port,
			"check the cable, that the terminal is on and at rest, that its register protocol is Concert (E+), and that the speed is the same on both sides")
	})
}

// Caps implements payments.Terminal: payment and refund, nothing else.
func (t *Terminal) Caps() payments.Caps {
	return payments.Caps{Sale: true, Refund: true, LastQuery: "none"}
}

// Abort implements payments.Terminal. The protocol cannot stop a payment; the customer can, at the terminal.
func (t *Terminal) Abort(context.Context) error {
	return fmt.Errorf("stop payment: %w", payments.ErrUnsupported)
}

// Status implements payments.Terminal: ENQ, which a terminal at rest answers.
func (t *Terminal) Status(ctx context.Context) (devices.Status, error) {
	ctx = context.WithoutCancel(ctx) // a caller hanging up must not tear an exchange apart
	if _, err := t.owner.Call(ctx, func(ctx context.Context, s *session) (bool, error) {
		err := s.probe(ctx)
		return err != nil, err
	}); err != nil {
		return devices.Status{}, fmt.Errorf("ask terminal for its status: %w", err)
	}
	return devices.Status{Text: "ready"}, nil
}

// Recover implements payments.Terminal. The terminal cannot be asked, so the verdict is Unknown, unless its answer came
// late but since this Terminal was made. Only a terminal at rest is through with the payment, and has its slip ready
// for the person who looks.
func (t *Terminal) Recover(ctx context.Context, at payments.Attempt) (payments.Verdict, payments.Outcome, error) {
	q, err := askFor(at.Txn)
	if err != nil {
		return payments.Unknown, payments.Outcome{}, err
	}
	if _, err := t.Status(ctx); err != nil {
		return payments.Unknown, payments.Outcome{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.late {
		if a.isFor(q) {
			if out, err := a.outcome(at.Txn); err == nil {
				return payments.Known, out, nil
			}
		}
	}
	return payments.Unknown, payments.Outcome{}, nil
}

// lateMax is how many late answers are kept; one payment at a time is in doubt.
const lateMax = 4

// keep remembers an answer that nobody waited for, and says that it came.
func (t *Terminal) keep(a answer) {
	t.mu.Lock()
	if t.late = append(t.late, a); len(t.late) > lateMax {
		t.late = t.late[1:]
	}
	told := t.told
	t.mu.Unlock()
	if told != nil {
		told(strings.TrimRight(a.private, " "))
	}
}

// Heard implements payments.Witness.
func (t *Terminal) Heard(f func(ref string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = f
}

// Do implements payments.Terminal.
func (t *Terminal) Do(ctx context.Context, txn payments.Txn, ev payments.Events) error {
	q, err := askFor(txn)
	if err != nil {
		return wireline.NotSent(err)
	}
	return t.owner.Pay(ctx, func(ctx context.Context, s *session, _ <-chan struct{}) (bool, error) {
		return s.pay(ctx, q, txn, ev)
	})
}

// askFor builds the command. The private field carries the attempt's own reference.
func askFor(txn payments.Txn) (ask, error) {
	q := ask{pos: register, private: txn.Ref}
	switch {
	case txn.Tip != (money.Amount{}):
		return ask{}, fmt.Errorf("tip with the payment: %w", payments.ErrUnsupported)
	case txn.Kind == payments.DoSale:
		q.kind = kindDebit
	case txn.Kind == payments.DoRefund && txn.Original == nil:
		q.kind = kindRefund
	default:
		return ask{}, fmt.Errorf("%s: %w", txn.Kind, payments.ErrUnsupported)
	}
	var err error
	if q.minor, err = wireline.Minor(txn.Amount, maxMinor); err != nil {
		return ask{}, err
	}
	var ok bool
	if q.currency, ok = money.Numeric(txn.Amount.Currency()); !ok {
		return ask{}, fmt.Errorf("%w %s has no number that terminals know", money.ErrCurrency, txn.Amount.Currency())
	}
	if len(q.private) != 10 {
		return ask{}, errors.New("the attempt's reference does not fit the private field")
	}
	return q, nil
}
