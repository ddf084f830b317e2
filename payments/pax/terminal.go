// Package pax drives card terminals of PAX that run BroadPOS, over their register protocol POSLink: the same frames on
// a serial line, on USB as a serial line, and on TCP (usually port 10009).
//
// It is called by cmd through payments.Terminal. It imports payments, devices and what lies below, never another
// driver and never a simulator. The specification is under a partner agreement; what stands here follows the message
// layout that Global Payments' public register libraries read and write (version 1.35), and says where that is silent.
//
// A transaction is found again by our own reference (R02), never sent a second time: the field that would let the
// terminal accept a duplicate stays empty, and so do all fields for card data.
package pax

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/payments"
	"storeagent/payments/wireline"
)

// Options are the settings of one terminal.
type Options struct {
	TimeoutS int    // longest wait for a result in seconds, 0 for 180; then the terminal is asked to stop
	Currency string // ISO 4217; what the terminal's amounts are in, which it does not say itself
}

// Config says what a Terminal drives.
type Config struct {
	Name     string
	Port     string        // as configured, for people
	Open     port.OpenFunc // serial, mostly 115200 8N1, or TCP
	Options  Options
	Log      *slog.Logger       // nil logs nothing
	OnChange func(devices.Info) // may be nil
}

const defaultTimeout = 180 * time.Second

// Terminal is one PAX terminal. All methods are safe for concurrent use.
type Terminal struct {
	link     *devices.Link
	owner    *wireline.Owner[*session]
	log      *slog.Logger
	currency string
	timeout  time.Duration

	mu        sync.Mutex
	shown     string // reference of a transaction that the terminal's report showed
	noRecords bool   // it does not answer the question for a record by number
	told      func(ref string)
}

var (
	_ payments.Terminal   = (*Terminal)(nil)
	_ payments.Reconciler = (*Terminal)(nil)
	_ payments.Witness    = (*Terminal)(nil)
)

// New makes a Terminal; nothing is opened before Run. An error names the option that cannot work.
func New(c Config) (*Terminal, error) {
	if c.Options.TimeoutS < 0 {
		return nil, fmt.Errorf("pax terminal timeout_s %d: want seconds", c.Options.TimeoutS)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	t := &Terminal{
		link: devices.NewLink(devices.LinkConfig{
			Info: devices.Info{Name: c.Name, Category: devices.PaymentTerminal, Driver: "pax", Port: c.Port},
			Open: c.Open, Log: c.Log, OnChange: c.OnChange,
		}),
		log: c.Log.With("terminal", c.Name), currency: c.Options.Currency,
		timeout: time.Duration(c.Options.TimeoutS) * time.Second,
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

// Run implements devices.Device: it opens the port, greets the terminal, and does one thing at a time until ctx ends.
func (t *Terminal) Run(ctx context.Context) error { return t.link.Serve(ctx, t.serve) }

// Caps implements payments.Terminal.
func (t *Terminal) Caps() payments.Caps {
	c := payments.Caps{
		Sale: true, Refund: true, Preauth: true, Capture: true, CancelPreauth: true, Void: true, Tip: true, TipAtStart: true,
		Cancel: true, LastQuery: "byReference", Partial: true, EndOfDay: true,
	}
	if t.currency != "" {
		c.Currencies = []string{t.currency}
	}
	return c
}

// Abort implements payments.Terminal: A14.
func (t *Terminal) Abort(context.Context) error { return t.owner.Abort() }

// Status implements payments.Terminal: A00, which also names model and serial number.
func (t *Terminal) Status(ctx context.Context) (devices.Status, error) {
	var st devices.Status
	ctx = context.WithoutCancel(ctx) // a caller hanging up must not tear an exchange apart; queryLimit ends it
	_, err := t.owner.Call(ctx, func(ctx context.Context, s *session) (bool, error) {
		a, err := s.greet(ctx)
		if err != nil {
			return true, err
		}
		state := devices.Ready
		st.Text = "ready"
		if a.code != codeOK {
			state, st.Text = devices.Error, a.decline().Message
		}
		t.owner.SetHealth(state, st)
		return false, nil
	})
	if err != nil {
		return devices.Status{}, fmt.Errorf("ask terminal for its status: %w", err)
	}
	return st, nil
}

// reference of a transaction that the terminal shows, "" for none known.
func (t *Terminal) reference() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.shown
}

func (t *Terminal) remember(ref string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.shown = ref
}

// Heard implements payments.Witness.
func (t *Terminal) Heard(f func(ref string)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.told = f
}

// hear passes on that an answer to an attempt came unasked. The repeat of the one just taken is none.
func (t *Terminal) hear(ref string) {
	t.mu.Lock()
	told, known := t.told, ref == "" || ref == t.shown
	t.mu.Unlock()
	if told != nil && !known {
		told(ref)
	}
}

// records reports whether the terminal may be asked for a record by number; never ends that.
func (t *Terminal) records(never bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.noRecords = t.noRecords || never
	return !t.noRecords
}

func (t *Terminal) serve(ctx context.Context, p port.Port) error {
	u := wireline.StartPump(p)
	defer u.Stop()
	s := &session{t: t, line: wireline.NewFramed(u, maxText, gapLimit)}
	const hint = "check the cable or the network, that the terminal is on with BroadPOS at its main screen, and that its communication setting (speed, or port number) is the same"
	if _, err := s.greet(ctx); err != nil {
		return wireline.Broken(fmt.Errorf("greet terminal: %w", err), t.link.Info().Port, hint)
	}
	return wireline.Broken(t.owner.Serve(ctx, s, s.idle), t.link.Info().Port, hint)
}

// EndOfDay implements payments.Reconciler: B00 closes the batch with the host.
func (t *Terminal) EndOfDay(ctx context.Context) (payments.Totals, error) {
	var totals payments.Totals
	sent := false
	ran, err := t.owner.Call(ctx, func(ctx context.Context, s *session) (bool, error) {
		if _, err := s.greet(ctx); err != nil { // a dead line breaks here, where nothing was sent
			return true, err
		}
		sent = true
		t.remember("") // the report may be empty from here on
		a, err := s.ask(ctx, command(cmdClose, []string{time.Now().Format("20060102150405")}), closeLimit)
		if err != nil {
			return true, err
		}
		if a.code != codeOK {
			return false, fmt.Errorf("terminal says %s", a.decline().Message)
		}
		totals, err = a.totals(t.currency)
		return false, err
	})
	if err != nil {
		err = fmt.Errorf("close the terminal's batch: %w", err)
		if !ran || !sent {
			err = wireline.NotSent(err)
		}
		return payments.Totals{}, err
	}
	return totals, nil
}

// Totals implements payments.Reconciler. The public sources do not give the layout of the totals report (R01).
func (t *Terminal) Totals(context.Context) (payments.Totals, error) {
	return payments.Totals{}, fmt.Errorf("totals without closing the batch: %w", payments.ErrUnsupported)
}

// errContradiction is an answer that settles nothing, so that the terminal's report is asked.
var errContradiction = errors.New("answer settles nothing")
