// Package nexo drives card terminals over the nexo Retailer protocol 3.0 as the Adyen Terminal API speaks it in the
// local network: JSON over HTTPS to the terminal itself, its certificate pinned, every message encrypted and signed
// with a shared passphrase.
//
// It is called by cmd, which hands it to payments, and it is tested by payments/terminaltest. It imports payments and
// devices, never register or offline. Sources: Adyen documentation "Terminal API" (protect local communications,
// verify transaction status, timeouts, handle responses) and nexo Retailer 3.0 for the names of messages and fields.
package nexo

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/payments"
)

// Options are the settings of one terminal.
type Options struct {
	POIID         string // model and serial number, like P400Plus-275039202
	SaleID        string // names this register at the terminal
	KeyIdentifier string // the shared key as it is set at the terminal
	KeyVersion    int
	Passphrase    string // never logged
	RootPEM       []byte // the root certificates that may have signed the terminal's
	TimeoutS      int    // longest wait for a result in seconds, 0 for 180; then the terminal is told to stop
	Print         bool   // slips come to us; else the terminal prints them
	Currency      string // ISO 4217, of the totals
	Version       string // of this program, told at login
}

// Config says what a Terminal drives.
type Config struct {
	Name     string
	Port     string // as configured, for people: https://HOST:PORT/PATH
	Options  Options
	Dial     func(ctx context.Context, network, address string) (net.Conn, error) // nil for TCP
	Log      *slog.Logger                                                         // nil logs nothing
	OnChange func(devices.Info)                                                   // may be nil
}

const (
	defaultTimeout = 180 * time.Second
	pollReady      = 15 * time.Second // between two looks at a terminal that answers
	pollFirst      = 250 * time.Millisecond
	pollLast       = 5 * time.Second
)

// Terminal is one terminal. All methods are safe for concurrent use.
type Terminal struct {
	link     *devices.Link // keeps Info; there is no port to serve, messages come and go on connections of their own
	log      *slog.Logger
	url      *url.URL
	connect  func(ctx context.Context, network, address string) (net.Conn, error)
	tls      *tls.Config
	sealer   *sealer
	poiid    string
	saleID   string
	timeout  time.Duration
	prints   bool
	currency string
	version  string

	turn sync.Mutex    // held by a caller for all of its task
	wire chan struct{} // one place: who is in it talks to the terminal
	kick chan struct{} // look at the terminal now

	paying atomic.Bool   // a money message is under way
	abort  chan struct{} // the wish to stop it

	mu       sync.Mutex
	running  context.Context // Run's, nil while it does not run
	ready    bool
	loggedIn bool
	last     payments.Baseline // the newest payment that the terminal surely knows
}

var (
	_ payments.Terminal   = (*Terminal)(nil)
	_ payments.Reconciler = (*Terminal)(nil)
	_ payments.Displayer  = (*Terminal)(nil)
)

var poiidForm = regexp.MustCompile(`^[A-Za-z0-9]+-[A-Za-z0-9]+$`)

// New makes a Terminal; nothing is opened before Run. An error names the option that cannot work.
func New(c Config) (*Terminal, error) {
	o := c.Options
	u, err := url.Parse(c.Port)
	switch {
	case err != nil || u.Scheme != port.SchemeHTTPS || u.Host == "":
		return nil, errors.New("nexo terminal port: want https://HOST:PORT/PATH, like https://10.0.0.5:8443/nexo")
	case !poiidForm.MatchString(o.POIID):
		return nil, fmt.Errorf("nexo terminal poiid %q: want model and serial number, like P400Plus-275039202", o.POIID)
	case o.SaleID == "":
		return nil, errors.New("nexo terminal sale_id: name this register, like REG01")
	case o.KeyIdentifier == "":
		return nil, errors.New("nexo terminal key_identifier: write it as it is set at the terminal")
	case o.KeyVersion < 0:
		return nil, fmt.Errorf("nexo terminal key_version %d: want the number that is set at the terminal", o.KeyVersion)
	case o.Passphrase == "":
		return nil, errors.New("nexo terminal passphrase: it is missing; messages are only ever sent encrypted")
	}
	roots, err := rootPool(o.RootPEM)
	if err != nil {
		return nil, err
	}
	s, err := newSealer(o.KeyIdentifier, o.KeyVersion, o.Passphrase)
	if err != nil {
		return nil, fmt.Errorf("nexo terminal: %w", err)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	t := &Terminal{
		link: devices.NewLink(devices.LinkConfig{
			Info: devices.Info{Name: c.Name, Category: devices.PaymentTerminal, Driver: "nexo", Port: c.Port},
			Log:  c.Log, OnChange: c.OnChange,
		}),
		log: c.Log.With("terminal", c.Name), url: u, connect: c.Dial, tls: tlsConfig(roots, o.POIID), sealer: s,
		poiid: o.POIID, saleID: o.SaleID, timeout: time.Duration(o.TimeoutS) * time.Second, prints: o.Print,
		currency: o.Currency, version: o.Version,
		wire: make(chan struct{}, 1), kick: make(chan struct{}, 1), abort: make(chan struct{}, 1),
	}
	if t.timeout <= 0 {
		t.timeout = defaultTimeout
	}
	return t, nil
}

// Info implements devices.Device. Serial is the terminal's serial number.
func (t *Terminal) Info() devices.Info { return t.link.Info() }

// Caps implements payments.Terminal. A preauth cannot be captured through a terminal of this kind, only at the
// processor, so none is offered.
func (t *Terminal) Caps() payments.Caps {
	return payments.Caps{
		Sale: true, Refund: true, LinkedRefund: true, Void: true, Cancel: true, LastQuery: "byReference", Partial: true,
		EndOfDay: true, DisplayText: true, PrintsByUs: t.prints, Offline: true, TipAtStart: true,
	}
}

// Run implements devices.Device: it logs in, and asks the terminal from time to time how it is, until ctx ends.
func (t *Terminal) Run(ctx context.Context) error {
	t.mu.Lock()
	t.running = ctx
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.running, t.ready, t.loggedIn = nil, false, false
		t.mu.Unlock()
		t.link.SetState(devices.Offline, devices.Status{})
		t.wire <- struct{}{} // whoever still talks is through after this
		<-t.wire
	}()
	wait := pollFirst
	for ctx.Err() == nil {
		if err := t.look(ctx); err != nil && ctx.Err() == nil {
			t.lost(err)
			wait = min(2*wait, pollLast)
		} else {
			wait = pollReady
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-t.kick:
			wait = pollFirst
		}
		timer.Stop()
	}
	return nil
}

// look asks the terminal how it is, unless a task talks to it.
func (t *Terminal) look(ctx context.Context) error {
	select {
	case t.wire <- struct{}{}:
	default:
		return nil
	}
	defer func() { <-t.wire }()
	_, err := t.health(ctx)
	return err
}

// health logs in where that is still to do and asks for a diagnosis.
func (t *Terminal) health(ctx context.Context) (devices.Status, error) {
	t.mu.Lock()
	in := t.loggedIn
	t.mu.Unlock()
	if !in {
		if err := t.login(ctx); err != nil {
			return devices.Status{}, err
		}
	}
	r, err := t.ask(ctx, request{MessageHeader: t.newHeader(catDiagnosis, payments.NewRef(time.Now())), DiagnosisRequest: &diagnosisRequest{}})
	if err != nil {
		return devices.Status{}, err
	}
	if r.DiagnosisResponse == nil {
		return devices.Status{}, errors.New("answer to Diagnosis is empty")
	}
	d := r.DiagnosisResponse
	if d.Response.Result == resultFailure && d.Response.ErrorCondition == condLoggedOut {
		t.setLoggedIn(false)
	}
	state, text := devices.Ready, "ready"
	switch {
	case d.Response.Result == resultFailure:
		state, text = devices.Error, d.Response.text()
	case d.POIStatus.GlobalStatus == "Maintenance":
		state, text = devices.Error, "terminal is in maintenance"
	case d.POIStatus.GlobalStatus == "Unreachable":
		state, text = devices.Error, "terminal cannot be reached by its own service"
	case d.POIStatus.GlobalStatus == "Busy":
		state, text = devices.Busy, "terminal is busy"
	}
	st := devices.Status{Text: text}
	t.setReady(true)
	t.link.SetState(state, st)
	t.link.Clear()
	return st, nil
}

// login tells the terminal who we are and learns who it is. Terminals that want no login say so, which is fine.
func (t *Terminal) login(ctx context.Context) error {
	r, err := t.ask(ctx, request{MessageHeader: t.newHeader(catLogin, payments.NewRef(time.Now())), LoginRequest: t.loginRequest(time.Now())})
	if err != nil {
		return err
	}
	if r.LoginResponse == nil {
		return errors.New("answer to Login is empty")
	}
	l := r.LoginResponse
	if l.Response.Result == resultFailure {
		t.log.Info("terminal wants no login", "condition", l.Response.ErrorCondition)
	}
	model := l.POISystemData.POISoftware.ApplicationName
	if v := l.POISystemData.POISoftware.SoftwareVersion; v != "" {
		model += " " + v
	}
	t.link.SetModel(mask(model), mask(l.POISystemData.POITerminalData.POISerialNumber))
	t.setLoggedIn(true)
	return nil
}

func (t *Terminal) loginRequest(now time.Time) *loginRequest {
	return &loginRequest{
		DateTime:         now.UTC().Format(time.RFC3339),
		SaleSoftware:     software{ManufacturerID: "storeagent", ApplicationName: "storeagent", SoftwareVersion: t.version, CertificationCode: "none"},
		SaleTerminalData: saleTerminalData{TerminalEnvironment: "Attended", SaleCapabilities: []string{"CashierStatus", "CashierError", "PrinterReceipt"}},
		OperatorLanguage: "en",
	}
}

// Status implements payments.Terminal: a Diagnosis. Its text says whether the terminal is ready.
func (t *Terminal) Status(ctx context.Context) (devices.Status, error) {
	var st devices.Status
	err := t.task(ctx, func(ctx context.Context) (err error) {
		st, err = t.health(ctx)
		return err
	})
	if err != nil {
		return devices.Status{}, fmt.Errorf("ask terminal for its status: %w", err)
	}
	return st, nil
}

// Abort implements payments.Terminal. Without a running payment it is payments.ErrState.
func (t *Terminal) Abort(context.Context) error {
	if !t.paying.Load() {
		return fmt.Errorf("stop payment: %w", payments.ErrState)
	}
	select {
	case t.abort <- struct{}{}:
	default: // already asked
	}
	return nil
}

// errOffline refuses what needs a terminal that answers.
var errOffline = errors.New("terminal is not reachable")

// task does one thing at the terminal at a time. Its context ends with the caller's and with Run's.
func (t *Terminal) task(ctx context.Context, f func(context.Context) error) error {
	if !t.turn.TryLock() {
		return payments.ErrTerminalBusy
	}
	defer t.turn.Unlock()
	t.mu.Lock()
	running, ready := t.running, t.ready
	t.mu.Unlock()
	if running == nil || !ready {
		if p := t.link.Info().LastError; p != nil {
			return fmt.Errorf("%w: %s", errOffline, p.Message)
		}
		return errOffline
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(running, cancel)()
	select {
	case t.wire <- struct{}{}: // after a look that is under way
	case <-ctx.Done():
		return errOffline
	}
	lost := false
	defer func() {
		<-t.wire
		if lost {
			t.wake() // only now: a look that finds the wire in use takes it for a good sign
		}
	}()
	err := f(ctx)
	var pe *port.Error
	if lost = errors.As(err, &pe) && running.Err() == nil; lost {
		t.lost(err)
	}
	return err
}

// lost notes that the terminal does not answer.
func (t *Terminal) lost(err error) {
	t.mu.Lock()
	was := t.ready
	t.ready, t.loggedIn = false, false
	t.mu.Unlock()
	p := devices.ProblemOf(err)
	if old := t.link.Info().LastError; was || old == nil || old.Code != p.Code {
		t.log.Warn("terminal is not usable", "code", p.Code, "error", p.Message, "hint", p.Hint)
	}
	t.link.SetState(devices.Offline, devices.Status{})
	t.link.Report(p)
}

// wake makes Run look at the terminal now.
func (t *Terminal) wake() {
	select {
	case t.kick <- struct{}{}:
	default:
	}
}

func (t *Terminal) setReady(ready bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ready = ready
}

func (t *Terminal) setLoggedIn(in bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.loggedIn = in
}
