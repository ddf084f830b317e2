package cloud

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/govalues/decimal"

	"storeagent/devices"
	"storeagent/offline"
	"storeagent/offline/cloudsim"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/payments/terminaltest"
)

// lanes is a simulated cloud with a card terminal, and drivers of it, over pipes that can be cut.
type lanes struct {
	t      *testing.T
	sim    *cloudsim.Sim
	client *Client
	pipes  *pipes
	tokens *tokens
	config TerminalConfig

	mu    sync.Mutex
	conns []net.Conn
	cutAt string
	at    map[string]func()
}

func openLanes(t *testing.T, o cloudsim.Options) *lanes {
	l := &lanes{t: t, at: map[string]func(){}, tokens: &tokens{}}
	o.OnTerminalStep = l.step
	l.sim = newSim(t, o)
	l.pipes = serve(t, l.sim)
	l.client = newClient(t, l.pipes, func(c *Config) { c.Dial, c.Token = l.dial, l.tokens })
	l.config = TerminalConfig{Name: "front", Client: l.client, TerminalID: "T-1", Currency: "USD", DeclineCodes: []string{"SIM_NO_FUNDS"}}
	return l
}

func (l *lanes) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := l.pipes.dial(ctx, network, address)
	if err == nil {
		l.mu.Lock()
		l.conns = append(l.conns, conn)
		l.mu.Unlock()
	}
	return conn, err
}

// step cuts every connection where that was asked for, and calls what waits for the step.
func (l *lanes) step(name string) {
	l.mu.Lock()
	f := l.at[name]
	delete(l.at, name)
	var cut []net.Conn
	if l.cutAt == name {
		cut, l.conns, l.cutAt = l.conns, nil, ""
	}
	l.mu.Unlock()
	for _, c := range cut {
		_ = c.Close()
	}
	if f != nil {
		f()
		<-time.After(time.Millisecond) // of the bubble: what it stops has stopped before the answer goes out
	}
}

func (l *lanes) terminal() payments.Terminal {
	term, err := NewTerminal(l.config)
	if err != nil {
		l.t.Fatal(err)
	}
	return term
}

func (l *lanes) charges() []terminaltest.Charge {
	var out []terminaltest.Charge
	for _, p := range l.sim.TerminalLedger() {
		amount, err := decimal.Parse(p.Amount)
		if err != nil {
			l.t.Error(err)
		}
		whole, frac, _ := amount.Int64(2)
		stands := p.Status == "Approved" || p.Status == "Authorized" || p.Status == "Captured"
		out = append(out, terminaltest.Charge{Minor: whole*100 + frac, Refund: p.Type == "REFUND", Preauth: p.Type == "AUTH" && p.Status != "Captured", Standing: stands})
	}
	return out
}

// plays gives the behaviours of the suite in this simulator's words.
func plays(b terminaltest.Behaviour) cloudsim.TerminalPlay {
	return map[terminaltest.Behaviour]cloudsim.TerminalPlay{
		terminaltest.Decline: {Decline: true}, terminaltest.CancelCard: {Cancel: true},
		terminaltest.Wait: {Cancel: true, After: 170 * time.Second}, terminaltest.Late: {After: 400 * time.Second},
		terminaltest.Unreadable: {Garbled: true}, terminaltest.Leaky: {FullPAN: true}, terminaltest.NoisyLine: {After: 3 * time.Second},
		terminaltest.Twice: {AtOnce: true}, terminaltest.AckIsLost: {LoseAnswer: true},
		terminaltest.Part: {Partial: "7.00"},
	}[b]
}

func (l *lanes) harness() terminaltest.Harness {
	locked := func(f func()) { l.mu.Lock(); defer l.mu.Unlock(); f() }
	return terminaltest.Harness{
		Terminal: l.terminal(), Restart: l.terminal, Currency: "USD", Silent: true,
		Next: func(b terminaltest.Behaviour) {
			l.sim.PlayTerminal(plays(b))
			if b == terminaltest.NoisyLine {
				locked(func() { l.cutAt = cloudsim.StepContinueDone })
			}
		},
		Steps:       []string{cloudsim.StepStartReceived, cloudsim.StepStartDone, cloudsim.StepContinueReceived, cloudsim.StepContinueDone},
		FollowSteps: []string{cloudsim.StepCaptureReceived, cloudsim.StepCaptureDone},
		CutAt:       func(step string) { locked(func() { l.cutAt = step }) },
		At:          func(step string, f func()) { locked(func() { l.at[step] = f }) },
		Charges:     l.charges,
		Asked:       func() int { return len(l.sim.TerminalLedger()) },
	}
}

func TestTerminalSuite(t *testing.T) {
	terminaltest.Suite(t, func(t *testing.T) terminaltest.Harness {
		return openLanes(t, cloudsim.Options{Terminals: []string{"T-1"}}).harness()
	})
}

func txnOf(t *testing.T, kind payments.Kind, amount string) payments.Txn {
	t.Helper()
	a, err := money.Parse(amount, "USD")
	if err != nil {
		t.Fatal(err)
	}
	return payments.Txn{PaymentID: "p", Kind: kind, Amount: a}
}

// TestTerminalIsOnlyThereIfSeen: a tenant without the mutation, one that hides its schema, and one with another
// terminal take no money, and say what to do.
func TestTerminalIsOnlyThereIfSeen(t *testing.T) {
	for name, c := range map[string]struct {
		options   cloudsim.Options
		signedOut bool
		state     devices.State
		code      string
	}{
		"no mutation":   {options: cloudsim.Options{}, state: devices.Error, code: "unsupported"},
		"hidden schema": {options: cloudsim.Options{Terminals: []string{"T-1"}, NoIntrospection: true}, state: devices.Error, code: "unsupported"},
		"signed out":    {options: cloudsim.Options{Terminals: []string{"T-1"}}, signedOut: true, state: devices.Offline, code: "signed_out"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := openLanes(t, c.options)
				if c.signedOut {
					l.tokens.err = offline.ErrSignedOut
				}
				term := l.terminal()
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() { _ = term.Run(ctx) })
				defer wg.Wait()
				defer cancel()
				<-time.After(time.Minute)
				if i := term.Info(); i.State != c.state || i.LastError == nil || i.LastError.Code != c.code || i.LastError.Hint == "" {
					t.Errorf("%+v, %+v", i, i.LastError)
				}
				led, err := terminaltest.Do(ctx, term, txnOf(t, payments.DoSale, "5.00"))
				if !errors.Is(err, payments.ErrNotSent) || led.Sent || len(l.sim.TerminalLedger()) != 0 {
					t.Errorf("Do: %v", err)
				}
			})
		})
	}
}

// TestTerminalAnswers: what the cloud says and what becomes of the payment.
func TestTerminalAnswers(t *testing.T) {
	say := func(status int, body string) func(l *lanes) {
		return func(l *lanes) {
			l.sim.Say(cloudsim.Answer{Status: status, Header: map[string]string{"Content-Type": "application/json"}, Body: body}, false, 1)
		}
	}
	for name, c := range map[string]struct {
		play    cloudsim.TerminalPlay
		arrange func(l *lanes)
		want    payments.State // "" for an error
		notSent bool
		amount  string
	}{
		"approved at once":             {play: cloudsim.TerminalPlay{AtOnce: true}, want: payments.Approved, amount: "5.00"},
		"partly approved":              {play: cloudsim.TerminalPlay{Partial: "3.50"}, want: payments.Approved, amount: "3.50"},
		"more than asked":              {play: cloudsim.TerminalPlay{Partial: "50.00"}},
		"declined by a known code":     {play: cloudsim.TerminalPlay{Decline: true, DeclineAs: "SIM_NO_FUNDS"}, want: payments.Declined},
		"an unknown code":              {play: cloudsim.TerminalPlay{Decline: true, DeclineAs: "SIM_NEW"}},
		"no permission":                {arrange: func(l *lanes) { l.sim.Deny(cloudsim.MakeSaleTerminalPayment) }, notSent: true},
		"pushed back":                  {arrange: func(l *lanes) { l.sim.Push("1", 1) }, notSent: true},
		"bad gateway after it":         {arrange: func(l *lanes) { l.sim.FailMutations(cloudsim.ExecuteThen502, 1) }},
		"half an answer":               {arrange: func(l *lanes) { l.sim.FailMutations(cloudsim.ExecuteThenHalfBody, 1) }},
		"another field's error":        {arrange: func(l *lanes) { l.sim.FailMutations(cloudsim.ExecuteThenError, 1) }},
		"refused before it ran":        {arrange: say(400, `{"errors":[{"message":"Variable wrong.","extensions":{"code":"INVALID_VALUE"}}]}`), notSent: true},
		"validation below the field":   {arrange: say(400, `{"data":{"terminalPayment":{"start":null}},"errors":[{"message":"m","path":["terminalPayment","start","payment"],"extensions":{"code":"VALIDATION"}}]}`)},
		"payment and continuation":     {arrange: say(200, `{"data":{"terminalPayment":{"start":{"payment":{"id":"1"},"continuation":{"id":"2"}}}}}`)},
		"only authorized":              {arrange: say(200, `{"data":{"terminalPayment":{"start":{"payment":{"id":"1","status":"Authorized","amount":"5.00"}}}}}`)},
		"neither":                      {arrange: say(200, `{"data":{"terminalPayment":{"start":{}}}}`)},
		"result with an error":         {arrange: say(200, `{"data":{"terminalPayment":{"start":{"payment":{"id":"1","status":"Approved","amount":"5.00"}}}},"errors":[{"message":"m"}]}`)},
		"another terminal than theirs": {arrange: func(l *lanes) { l.config.TerminalID = "T-9" }, notSent: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := openLanes(t, cloudsim.Options{Terminals: []string{"T-1"}})
				if name == "another terminal than theirs" {
					c.arrange(l)
				}
				term := l.terminal()
				ctx := terminaltest.Running(t, term)
				l.sim.PlayTerminal(c.play)
				if c.arrange != nil {
					c.arrange(l)
				}
				led, err := terminaltest.Do(ctx, term, txnOf(t, payments.DoSale, "5.00"))
				switch {
				case c.want == "":
					if err == nil || errors.Is(err, payments.ErrNotSent) != c.notSent || len(led.Told) != 0 {
						t.Fatalf("%v, %+v", err, led.Told)
					}
				case err != nil || len(led.Told) != 1 || led.Told[0].State != c.want:
					t.Fatalf("%v, %+v", err, led.Told)
				case c.amount != "" && led.Told[0].ApprovedAmount.String() != c.amount:
					t.Errorf("approved %s", led.Told[0].ApprovedAmount)
				}
				if n := len(l.sim.TerminalLedger()); n > 1 || c.notSent && n != 0 {
					t.Errorf("the cloud started %d payments", n)
				}
			})
		})
	}
}

// TestTerminalWaitsAsTold: the cloud is asked again after its own wait value, not by a timer of ours.
func TestTerminalWaitsAsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openLanes(t, cloudsim.Options{Terminals: []string{"T-1"}})
		term := l.terminal()
		ctx := terminaltest.Running(t, term)
		l.sim.PlayTerminal(cloudsim.TerminalPlay{After: 3 * time.Second})
		if _, err := terminaltest.Do(ctx, term, txnOf(t, payments.DoSale, "5.00")); err != nil {
			t.Fatal(err)
		}
		if p := l.sim.TerminalLedger()[0]; p.Asked != 4 { // 3 s by 750 ms
			t.Errorf("asked %d times", p.Asked)
		}
	})
	for raw, want := range map[string]time.Duration{`750`: 750 * time.Millisecond, `"1500"`: 1500 * time.Millisecond, `0`: waitLeast, `-1`: time.Second,
		`null`: time.Second, `99999999999`: time.Second, `1e3`: time.Second} {
		if got := waitOf("waitMs", []byte(raw)); got != want {
			t.Errorf("wait %s: %s", raw, got)
		}
	}
	if got := waitOf("waitSeconds", []byte(`2`)); got != 2*time.Second {
		t.Errorf("seconds: %s", got)
	}
}

func TestNewTerminalRefuses(t *testing.T) {
	c := newClient(t, nil, nil)
	for want, config := range map[string]TerminalConfig{
		"running agent": {TerminalID: "T-1"}, "terminal_id": {Client: c}, "timeout_s": {Client: c, TerminalID: "T-1", TimeoutS: -1},
	} {
		if _, err := NewTerminal(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
