package cloud

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"storeagent/devices"
	"storeagent/offline"
	"storeagent/payments"
)

// TerminalDriver is the driver's name in the configuration.
const TerminalDriver = "poscloud"

// TerminalConfig says which card terminal of the POS cloud a Terminal drives.
type TerminalConfig struct {
	Name         string
	Client       *Client
	TerminalID   string   // as the POS cloud calls the terminal
	Currency     string   // ISO 4217 of all amounts: the cloud names none
	TimeoutS     int      // longest wait for a result in seconds, 0 for 180
	DeclineCodes []string // error codes that mean that the bank refused: the vendor does not list them
	Log          *slog.Logger
	OnChange     func(devices.Info) // may be nil
}

const (
	terminalTimeout = 180 * time.Second
	lookReady       = time.Minute // between two looks at a cloud that answers
	lookFirst       = time.Second
	lookLast        = 30 * time.Second
	waitLeast       = 100 * time.Millisecond // between two polls of a payment, whatever the cloud says
	waitMost        = 30 * time.Second
)

// Terminal is a card terminal that the POS cloud talks to, by its terminalPayment mutations. It implements
// payments.Terminal. All methods are safe for concurrent use.
//
// It can be asked about a payment only by the continuation that the cloud gave for it, which is kept in memory: after a
// lost answer to start, or a restart of the agent, a payment is unknown.
type Terminal struct {
	c       TerminalConfig
	link    *devices.Link // keeps Info; there is no port
	log     *slog.Logger
	timeout time.Duration

	turn sync.Mutex    // held by a caller for all of its task
	wire chan struct{} // one place: who is in it talks to the cloud

	mu      sync.Mutex
	running context.Context // Run's, nil while it does not run
	schema  *terminalSchema // nil while the cloud is not usable
	open    []openPayment   // continuations of payments that have not ended here, the newest last
}

// openPayment is what the cloud has to be asked with about an attempt.
type openPayment struct{ ref, continuation string }

const openMax = 4 // one payment at a time is in doubt

var _ payments.Terminal = (*Terminal)(nil)

// NewTerminal makes a Terminal; nothing is asked before Run. An error names the option that cannot work.
func NewTerminal(c TerminalConfig) (*Terminal, error) {
	switch {
	case c.Client == nil:
		return nil, errors.New("poscloud terminal: it is reached through the sign-in of the running agent only")
	case strings.TrimSpace(c.TerminalID) == "":
		return nil, errors.New("poscloud terminal terminal_id: write the terminal's id as the POS cloud has it")
	case c.TimeoutS < 0:
		return nil, fmt.Errorf("poscloud terminal timeout_s %d: want seconds", c.TimeoutS)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	t := &Terminal{
		c: c, log: c.Log.With("terminal", c.Name), timeout: time.Duration(c.TimeoutS) * time.Second, wire: make(chan struct{}, 1),
		link: devices.NewLink(devices.LinkConfig{
			Info: devices.Info{Name: c.Name, Category: devices.PaymentTerminal, Driver: TerminalDriver, Model: "by the POS cloud", Serial: c.TerminalID},
			Log:  c.Log, OnChange: c.OnChange,
		}),
	}
	if t.timeout == 0 {
		t.timeout = terminalTimeout
	}
	return t, nil
}

// Info implements devices.Device. Serial is the terminal's id.
func (t *Terminal) Info() devices.Info { return t.link.Info() }

// Caps implements payments.Terminal. The page of the vendor names neither a way to cancel, nor to void, nor to ask for
// an earlier payment. Preauth and capture are refused where the tenant turns out to lack them.
func (t *Terminal) Caps() payments.Caps {
	caps := payments.Caps{Sale: true, Refund: true, Preauth: true, Capture: true, Partial: true, LastQuery: "none"}
	if t.c.Currency != "" {
		caps.Currencies = []string{t.c.Currency}
	}
	return caps
}

// Run implements devices.Device: it asks the cloud for its schema, and from time to time whether it is there, until ctx
// ends.
func (t *Terminal) Run(ctx context.Context) error {
	t.mu.Lock()
	t.running = ctx
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.running, t.schema = nil, nil
		t.mu.Unlock()
		t.link.SetState(devices.Offline, devices.Status{})
		t.wire <- struct{}{} // whoever still asks is through after this
		<-t.wire
	}()
	learned, failures := time.Time{}, 0
	for ctx.Err() == nil {
		wait := lookReady
		switch err := t.look(ctx, &learned); {
		case err == nil:
			failures = 0
		case ctx.Err() == nil:
			t.lost(err)
			wait = min(lookFirst<<min(failures, 5), lookLast)
			failures++
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// look asks the cloud how it is, unless a task talks to it.
func (t *Terminal) look(ctx context.Context, learned *time.Time) error {
	select {
	case t.wire <- struct{}{}:
	default:
		return nil
	}
	defer func() { <-t.wire }()
	if t.known() == nil || time.Since(*learned) >= schemaFresh {
		s, err := t.c.Client.terminalSchema(ctx)
		if err != nil {
			return err
		}
		*learned = time.Now()
		t.mu.Lock()
		t.schema = s
		t.mu.Unlock()
	} else if err := t.c.Client.alive(ctx); err != nil {
		return err
	}
	t.link.SetState(devices.Ready, devices.Status{Text: "ready"})
	t.link.Clear()
	return nil
}

// alive asks the cheapest of questions.
func (c *Client) alive(ctx context.Context) error {
	req := request{document: c.docs["alive"].text, name: c.docs["alive"].name}
	v := c.exchange(ctx, req, func(a answer) offline.Verdict { return judgeQuery(a, "__typename") })
	if v.Class == offline.ClassDelivered {
		return nil
	}
	return verdictError(v)
}

// verdictError words a verdict that is not a result. No card number that the cloud might repeat gets through.
func verdictError(v offline.Verdict) error {
	if v.Fault == nil {
		return errors.New("the cloud gave no result")
	}
	err := errors.New(scrub(v.Fault.Message) + " (" + scrub(v.Fault.Code) + ")")
	if v.Class == offline.ClassSignedOut {
		err = fmt.Errorf("%w: %w", offline.ErrSignedOut, err)
	}
	return err
}

func (t *Terminal) known() *terminalSchema {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.schema
}

// lost notes why the cloud's terminals are not usable.
func (t *Terminal) lost(err error) {
	t.mu.Lock()
	t.schema = nil
	t.mu.Unlock()
	p := devices.Problem{Code: "unreachable", Message: scrub(err.Error()), Hint: "this terminal works only while the POS cloud can be reached; storeagent check says what is in the way"}
	state := devices.Offline
	var missing *missingTerminalError
	switch {
	case errors.As(err, &missing):
		state, p.Code = devices.Error, "unsupported"
		p.Hint = "ask the vendor to enable terminal payments for this tenant and account, or remove this [[device]] and drive the terminal itself"
	case errors.Is(err, offline.ErrSignedOut):
		p.Code, p.Hint = "signed_out", "run: storeagent sign-in"
	}
	if old := t.link.Info().LastError; old == nil || old.Code != p.Code {
		t.log.Warn("terminal is not usable", "code", p.Code, "error", p.Message, "hint", p.Hint)
	}
	t.link.SetState(state, devices.Status{})
	t.link.Report(p)
}

// errNoCloud refuses what needs the cloud.
var errNoCloud = errors.New("the POS cloud's terminal is not reachable")

// task does one thing at a time. Its context ends with the caller's and with Run's. ran is false where f did not run.
func (t *Terminal) task(ctx context.Context, f func(context.Context, *terminalSchema) error) (ran bool, err error) {
	if !t.turn.TryLock() {
		return false, payments.ErrTerminalBusy
	}
	defer t.turn.Unlock()
	t.mu.Lock()
	running, schema := t.running, t.schema
	t.mu.Unlock()
	if running == nil || schema == nil {
		if p := t.link.Info().LastError; p != nil {
			return false, fmt.Errorf("%w: %s", errNoCloud, p.Message)
		}
		return false, errNoCloud
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(running, cancel)()
	select {
	case t.wire <- struct{}{}: // after a look that is under way
	case <-ctx.Done():
		return false, errNoCloud
	}
	defer func() { <-t.wire }()
	return true, f(ctx, schema)
}

// Status implements payments.Terminal: whether the cloud is there. How the terminal itself is cannot be asked.
func (t *Terminal) Status(ctx context.Context) (devices.Status, error) {
	if _, err := t.task(ctx, func(ctx context.Context, _ *terminalSchema) error { return t.c.Client.alive(ctx) }); err != nil {
		return devices.Status{}, fmt.Errorf("ask the POS cloud: %w", err)
	}
	return devices.Status{Text: "the POS cloud answers; it does not tell how its terminal is"}, nil
}

// Abort implements payments.Terminal. Only the customer can stop a payment, at the terminal.
func (t *Terminal) Abort(context.Context) error {
	return fmt.Errorf("stop payment: %w", payments.ErrUnsupported)
}
