package installer

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/installer/config"
	"storeagent/offline"
	"storeagent/register/wire"
)

func yes() *bool { b := true; return &b }
func no() *bool  { b := false; return &b }

// TestDeviceFindings covers every state a device can be in, for the agent's word and for our own look alike.
func TestDeviceFindings(t *testing.T) {
	problem := func(code string) *devices.Problem {
		return &devices.Problem{Code: code, Message: "what it is", Hint: "what to do"}
	}
	now := time.Now()
	for _, c := range []struct {
		what string
		info devices.Info
		want Finding
	}{
		{"ready", devices.Info{Name: "card", Category: devices.PaymentTerminal, Driver: "zvt", State: devices.Ready, Model: "ZVT 1.0"},
			Finding{"device", "card", OK, "", "ready (zvt) ZVT 1.0", ""}},
		{"busy at work", devices.Info{Name: "card", Driver: "zvt", State: devices.Busy}, Finding{"device", "card", OK, "", "busy (zvt)", ""}},
		{"scanner", devices.Info{Name: "hand", Category: devices.Scanner, Driver: "scanner", State: devices.Claimed},
			Finding{"device", "hand", OK, "", "claimed (scanner); whether it reads shows storeagent scan-test hand", ""}},
		{"missing", devices.Info{Name: "x", State: devices.Offline, LastError: problem("missing")}, Finding{"device", "x", Failure, "missing", "what it is", "what to do"}},
		{"no permission", devices.Info{Name: "x", State: devices.Offline, LastError: problem("no_permission")}, Finding{"device", "x", Failure, "no_permission", "what it is", "what to do"}},
		{"held", devices.Info{Name: "x", State: devices.Offline, LastError: problem("busy")}, Finding{"device", "x", Failure, "busy", "what it is", "what to do"}},
		{"cover", devices.Info{Name: "x", Category: devices.POSPrinter, State: devices.Error, Status: devices.Status{CoverOpen: yes()}, LastError: problem("cover_open")},
			Finding{"device", "x", Failure, "cover_open", "what it is", "what to do"}},
		{"near end", devices.Info{Name: "x", Category: devices.POSPrinter, State: devices.Ready, Status: devices.Status{CoverOpen: no(), RecNearEnd: yes()}},
			Finding{"device", "x", Warning, "paper_low", "the paper is nearly used up", "put a new roll in soon"}},
		{"answers nothing", devices.Info{Name: "x", Category: devices.POSPrinter, Port: "serial:/dev/ttyS0", State: devices.Ready, Status: devices.Status{Text: "one-way: it answers nothing"}},
			Finding{"device", "x", Warning, "silent", "serial:/dev/ttyS0 opens, but the printer answers nothing", "check its power, cable and baud rate; if storeagent print-test x prints, it is a printer that cannot answer"}},
		{"says nothing yet", devices.Info{Name: "x", Port: "tcp:h:1", State: devices.Offline},
			Finding{"device", "x", Failure, "silent", "tcp:h:1 opens, and nothing has answered yet", "check that the device is on, and that cable and port settings match it"}},
		{"just opened", devices.Info{Name: "x", Port: "tcp:h:1", State: devices.Offline, Since: now.Add(-startLimit + time.Second)},
			Finding{"device", "x", Warning, "starting", "tcp:h:1 opens, and the device has not said anything yet", "look again in a few seconds"}},
		{"terminal's own words", devices.Info{Name: "x", State: devices.Error, Status: devices.Status{Text: "end of day needed"}},
			Finding{"device", "x", Failure, "device_error", "end of day needed", "see the device's own display"}},
		{"works with a complaint", devices.Info{Name: "x", Category: devices.Scanner, State: devices.Ready, LastError: problem("card_data_refused")},
			Finding{"device", "x", Warning, "card_data_refused", "works, but what it is", "what to do"}},
	} {
		if got := deviceFinding(c.info, now); got != c.want {
			t.Errorf("%s: got %+v\nwant %+v", c.what, got, c.want)
		}
	}
}

func TestSignInFindings(t *testing.T) {
	fault := &offline.Fault{Code: "refresh_lost", Message: "the server does not take it; sign in again"}
	for _, c := range []struct {
		st      offline.SignInStatus
		level   Level
		code    string
		message string
	}{
		{offline.SignInStatus{State: "signed_in", Account: "a@b.example"}, OK, "", "as a@b.example"},
		{offline.SignInStatus{State: "signed_in"}, OK, "", "as an account without a name"},
		{offline.SignInStatus{State: "signed_in", Problem: fault}, Warning, "refresh_lost", fault.Message},
		{offline.SignInStatus{State: "signed_out"}, Failure, "signed_out", "nobody is signed in to the cloud"},
		{offline.SignInStatus{State: "signed_out", Problem: fault}, Failure, "signed_out", fault.Message},
		{offline.SignInStatus{State: "expired"}, Failure, "expired", "nobody approved the sign-in in time"},
		{offline.SignInStatus{State: "denied"}, Failure, "denied", "the sign-in was denied"},
		{offline.SignInStatus{State: "pending", UserCode: "ABCD"}, Warning, "pending", "waits for somebody to approve code ABCD"},
	} {
		f := signInFinding(c.st)
		if f.Level != c.level || f.Code != c.code || f.Message != c.message || (f.Hint == "") != (f.Level == OK) {
			t.Errorf("%+v: %+v", c.st, f)
		}
	}
}

// TestAgentSaysItOnce gives everything that the agent's status says twice, and wants it once, in the agent's words.
func TestAgentSaysItOnce(t *testing.T) {
	skew := int64(-600_000)
	p := func(code, severity, message string) wire.StatusProblem {
		return wire.StatusProblem{Code: code, Severity: severity, Message: message, Hint: "next: " + code}
	}
	st := wire.Status{
		Version: "1", StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local), ClockSkewMS: &skew,
		SignIn: offline.SignInStatus{State: "signed_out", Problem: &offline.Fault{Code: "x", Message: "sign in again"}},
		Queue:  offline.QueueStatus{Connection: offline.SignedOut, Queued: 3, Parked: 2},
		Devices: []devices.Info{{Name: "paper", Category: devices.POSPrinter, State: devices.Error, LastError: &devices.Problem{Code: "paper_out", Message: "the paper is out", Hint: "put in a new roll"}},
			{Name: "card", Driver: "zvt", State: devices.Ready}},
		Problems: []wire.StatusProblem{
			p("storage_full", "error", "disk"), p("storage_full", "error", "the disk takes no new sales: disk"),
			p("cloud_signed_out", "error", "The cloud wants a sign-in."), p("operations_parked", "warning", "2 operations wait."),
			p("sign_in", "error", "sign in again"), p("terminal_in_doubt", "error", "Terminal card takes no new money."),
			p("device_error", "error", "Device paper is error: the paper is out."),
		},
	}
	r := newReport()
	r.add(agentFindings(st)...)
	var b strings.Builder
	if err := r.Text(&b); err != nil {
		t.Fatal(err)
	}
	const want = `agent
  ok      service: runs since 2026-01-02 03:04:05, version 1
  FAILED  storage_full: disk
          → next: storage_full
  FAILED  terminal_in_doubt: Terminal card takes no new money.
          → next: terminal_in_doubt
sign-in
  FAILED  signed_out: sign in again
          → storeagent sign-in; selling goes on without it, delivering does not
queue
  ok      signed_out: 3 queued, 0 sending, 0 in doubt, 2 parked, 0 delivered
  WARNING operations_parked: 2 operations wait.
          → next: operations_parked
cloud
  WARNING clock: this machine's clock is 10m0s behind the cloud's
          → set the clock and the time zone, and turn on time synchronisation
device
  FAILED  paper: the paper is out
          → put in a new roll
  ok      card: ready (zvt)
Something is broken; the arrows say what to do.
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

// fakeAgent answers for the running agent.
type fakeAgent struct {
	st  wire.Status
	err error
}

func (a fakeAgent) Status(context.Context) (wire.Status, error) { return a.st, a.err }

func TestAgentThatCannotBeAsked(t *testing.T) {
	for what, connect := range map[string]func(context.Context, *config.Config) (Agent, error){
		"token": func(context.Context, *config.Config) (Agent, error) {
			return nil, errors.New("read the token: permission denied")
		},
		"status": func(context.Context, *config.Config) (Agent, error) { return fakeAgent{err: errors.New("500")}, nil },
	} {
		_, running, err := ask(t.Context(), &config.Config{}, connect)
		if !running || err == nil {
			t.Errorf("%s: running %v, %v", what, running, err)
		}
	}
	_, running, err := ask(t.Context(), &config.Config{}, func(context.Context, *config.Config) (Agent, error) { return nil, ErrNoAgent })
	if running || !errors.Is(err, ErrNoAgent) {
		t.Errorf("no agent: running %v, %v", running, err)
	}
}
