package zvt

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

// LostAck is what a terminal's vendor says of a result that the register did not acknowledge. It only words the hint
// for a person; what happened is always asked of the terminal.
type LostAck string

// The three ways. PA00P015 says reverses, newer revisions keeps, Austrian terminals declines.
const (
	Reverses LostAck = "reverses"
	Keeps    LostAck = "keeps"
	Declines LostAck = "declines"
)

// Options are the settings of one terminal.
type Options struct {
	Password   string  // six digits, as set in the terminal; never logged
	TimeoutS   int     // the whole payment in seconds, 0 for 300; then the terminal is told to stop
	Print      bool    // slips come to us; else the terminal prints them
	Charset    Charset // "" for CP437
	LostAck    LostAck // "" for not known
	ConfigByte byte    // of 06 00; 0 for BE with Print and 38 without
	Currency   string  // ISO 4217, sent with 06 00; "" leaves it to the terminal
}

// Config says what a Terminal drives.
type Config struct {
	Name     string
	Port     string        // as configured, for people
	Open     port.OpenFunc // serial 8N2 or TCP
	Serial   bool          // frames with ACK and CRC; false: bare APDUs as on TCP
	Options  Options
	Log      *slog.Logger       // nil logs nothing
	OnChange func(devices.Info) // may be nil
}

// Config bytes of 06 00 (PA00P015, command 06 00): 80 slips come as 06 D1, 20 no administration started at the
// terminal, 10 no amount typed at the terminal, 08 wants 04 FF, 04 the register prints slips of administration, 02 of
// payments. Without 10 and
// 20 some terminals answer 06 20 without a result.
const (
	configPrint   = 0xBE
	configNoPrint = 0x38
)

const defaultTimeout = 300 * time.Second

// Terminal is one ZVT terminal. All methods are safe for concurrent use.
type Terminal struct {
	link     *devices.Link
	owner    *wireline.Owner[*session]
	log      *slog.Logger
	serial   bool
	charset  Charset
	lostAck  LostAck
	prints   bool
	config   byte
	currency string
	secret   []byte // password, packed
	timeout  time.Duration
	clock    clock

	mu   sync.Mutex
	idle bool // nothing is under way
}

var _ payments.Terminal = (*Terminal)(nil)

// New makes a Terminal; nothing is opened before Run. An error names the option that cannot work.
func New(c Config) (*Terminal, error) {
	o := c.Options
	if len(o.Password) != 6 {
		return nil, errors.New("zvt terminal password: want six digits")
	}
	var secret []byte
	for i := 0; i < 6; i += 2 {
		if !isDigit(o.Password[i]) || !isDigit(o.Password[i+1]) {
			return nil, errors.New("zvt terminal password: want six digits")
		}
		secret = append(secret, (o.Password[i]-'0')<<4|(o.Password[i+1]-'0'))
	}
	if !o.Charset.valid() {
		return nil, fmt.Errorf("zvt terminal charset %q: want cp437, latin1, latin9 or utf8", o.Charset)
	}
	switch o.LostAck {
	case "", Reverses, Keeps, Declines:
	default:
		return nil, fmt.Errorf("zvt terminal lost_ack %q: want reverses, keeps or declines", o.LostAck)
	}
	if o.Currency != "" {
		if _, err := currencyCode(o.Currency); err != nil {
			return nil, fmt.Errorf("zvt terminal: %w", err)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	t := &Terminal{
		link: devices.NewLink(devices.LinkConfig{
			Info: devices.Info{Name: c.Name, Category: devices.PaymentTerminal, Driver: "zvt", Port: c.Port},
			Open: c.Open, Log: c.Log, OnChange: c.OnChange,
		}),
		log: c.Log.With("terminal", c.Name), serial: c.Serial, charset: o.Charset, lostAck: o.LostAck, prints: o.Print,
		config: o.ConfigByte, currency: o.Currency, secret: secret, timeout: time.Duration(o.TimeoutS) * time.Second,
	}
	t.owner = wireline.NewOwner[*session](t.link)
	if t.timeout <= 0 {
		t.timeout = defaultTimeout
	}
	if t.config == 0 {
		t.config = configNoPrint
		if o.Print {
			t.config = configPrint
		}
	}
	return t, nil
}

// Info implements devices.Device. Serial is the terminal's own number (TID).
func (t *Terminal) Info() devices.Info { return t.link.Info() }

// Wake ends the wait before the next attempt to open the port: a device was plugged in.
func (t *Terminal) Wake() { t.link.Wake() }

// Run implements devices.Device: it opens the port, registers, and does one thing at a time until ctx ends. Between
// two things it then logs off first; in the middle of one the port is closed at once.
func (t *Terminal) Run(ctx context.Context) error {
	inner, end := context.WithCancel(context.WithoutCancel(ctx)) // the port lives a little longer than ctx
	defer end()
	defer context.AfterFunc(ctx, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.idle {
			end()
		}
	})()
	return t.link.Serve(inner, func(inner context.Context, p port.Port) error {
		both, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(inner, cancel)()
		err := t.serve(both, inner, p)
		if ctx.Err() != nil { // both may hear of it a little later
			end()
		}
		return err
	})
}

// rest notes that nothing is under way; false means that the agent stops.
func (t *Terminal) rest(ctx context.Context) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle = true // also when stopping: the farewell still needs the port
	return ctx.Err() == nil
}

func (t *Terminal) rouse() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.idle = false
}

// Caps implements payments.Terminal.
func (t *Terminal) Caps() payments.Caps {
	caps := payments.Caps{
		Sale: true, Refund: true, Preauth: true, Capture: true, CancelPreauth: true, Void: true, Tip: true, Cancel: true,
		LastQuery: "lastOnly", EndOfDay: t.currency != "", DisplayText: true, PrintsByUs: t.prints,
	}
	if t.currency != "" {
		caps.Currencies = []string{t.currency}
	}
	return caps
}

// Abort implements payments.Terminal: 06 B0. Without a running payment it is payments.ErrState.
func (t *Terminal) Abort(context.Context) error { return t.owner.Abort() }

// statusLimit bounds a status enquiry.
const statusLimit = 15 * time.Second

// Status implements payments.Terminal: 05 01. The terminal's text says whether it is ready. One that asks for an
// initialisation or a diagnosis gets it first.
func (t *Terminal) Status(ctx context.Context) (devices.Status, error) {
	var st devices.Status
	ctx = context.WithoutCancel(ctx) // a caller hanging up must not tear an exchange apart; statusLimit ends it
	_, err := t.owner.Call(ctx, func(ctx context.Context, s *session) (bool, error) {
		code, said, err := s.enquire(ctx)
		if err != nil {
			return !isRefusal(err), err
		}
		if said {
			if code, said, err = s.cure(ctx, code); err != nil {
				return !isRefusal(err), err
			}
		}
		state := devices.Ready
		st.Text = "ready"
		if said {
			var ready bool
			if st.Text, ready = statusText(code); !ready {
				state = devices.Error
			}
		}
		t.owner.SetHealth(state, st)
		return false, nil
	})
	if err != nil {
		return devices.Status{}, fmt.Errorf("ask terminal for its status: %w", err)
	}
	return st, nil
}

// enquire sends 05 01. said is false where the terminal gave no status byte.
func (s *session) enquire(ctx context.Context) (code byte, said bool, err error) {
	end, err := s.converse(ctx, apdu{cmdStatus, s.t.password()}, talk{limit: time.Now().Add(statusLimit)})
	if err != nil {
		return 0, false, err
	}
	if end.cmd == msgAborted {
		return 0, false, aborted(end)
	}
	version, code, rest, said := statusReply(end.data)
	if version != "" {
		s.t.link.SetModel("ZVT "+version, s.t.link.Info().Serial)
	}
	s.learnTime(rest)
	return code, said, nil
}

// statusReply takes the completion of 05 01 apart: [LLLVAR version] status byte [container].
func statusReply(data []byte) (version string, code byte, rest []byte, said bool) {
	if len(data) >= 3 && data[0]&data[1]&data[2]&0xF0 == 0xF0 {
		if n, after, err := varLength(data, 3); err == nil && n <= len(after) {
			version, data = CP437.text(after[:n]), after[n:]
		}
	}
	if len(data) == 0 {
		return version, 0, nil, false
	}
	return version, data[0], data[1:], true
}

func isRefusal(err error) bool {
	var no *refusedError
	return errors.As(err, &no)
}

// password gives a fresh copy of the packed password, to append to.
func (t *Terminal) password() []byte { return append([]byte(nil), t.secret...) }
