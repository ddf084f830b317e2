package installer

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"storeagent/devices"
	"storeagent/devices/port"
	"storeagent/installer/config"
	"storeagent/register/wire"
)

func drivers() []config.Driver {
	return []config.Driver{{
		Name: "escpos", Category: devices.POSPrinter, Schemes: []string{port.SchemeSerial, port.SchemeTCP},
		Options: func() any { return &struct{}{} },
	}}
}

const head = `[store]
code = "DALLAS"
register = "LANE-3"
timezone = "America/Chicago"
currency = "USD"
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "storeagent.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestBrokenConfiguration wants file and line of everything that is wrong, and nothing looked at beyond it.
func TestBrokenConfiguration(t *testing.T) {
	path := writeConfig(t, head+`[cloud]
endpoint = "http://pos.example.com/graphql"
issuer = "https://pos.example.com/"
client_id = "storeagent"
colour = "red"
[[device]]
name = "Paper"
driver = "escpos"
port = "serial:/dev/ttyS0?baud=fast"
`)
	r := Check(t.Context(), Options{ConfigPath: path, Drivers: drivers()})
	if r.ExitCode() != 2 || len(r.Findings) == 0 {
		t.Fatalf("%+v", r)
	}
	lines := map[string]bool{}
	for _, f := range r.Findings {
		if f.Part != "configuration" || f.Level != Failure || f.Code != "config" || f.Message == "" {
			t.Errorf("%+v", f)
		}
		lines[strings.TrimPrefix(f.Name, path+":")] = true
	}
	if !lines["14"] { // the port's own reader stops at the first thing wrong
		t.Errorf("%+v", r.Findings)
	}

	missing := filepath.Join(t.TempDir(), "none.toml")
	r = Check(t.Context(), Options{ConfigPath: missing, Drivers: drivers()})
	if f := find(t, r.Findings, missing); f.Level != Failure || f.Hint == "" || r.ExitCode() != 2 {
		t.Errorf("%+v", f)
	}
}

// TestWhomCheckAsks holds the rule that a running agent is asked, one that is deaf is never gone behind, and only
// where there is none the devices are opened.
func TestWhomCheckAsks(t *testing.T) {
	url := closedPort(t)
	dir := filepath.Join(t.TempDir(), "data")
	path := writeConfig(t, head+`[data]
dir = `+strconv.Quote(dir)+`
[cloud]
endpoint = "http://`+url+`/graphql"
issuer = "http://`+url+`"
client_id = "storeagent"
[[device]]
name = "paper"
driver = "escpos"
port = "tcp:`+url+`"
`)
	for _, c := range []struct {
		what    string
		agent   Agent
		err     error
		asked   bool
		running bool
		level   Level
		code    string
	}{
		{"runs", fakeAgent{st: wire.Status{Devices: []devices.Info{{Name: "paper", State: devices.Ready}}}}, nil, false, true, OK, ""},
		{"runs, status fails", fakeAgent{err: errors.New("500 internal")}, nil, false, false, Failure, "agent_error"},
		{"runs, token not known", fakeAgent{err: &wire.Problem{Status: 401}}, nil, false, false, Failure, "no_permission"},
		{"something else runs", nil, fmt.Errorf("%w: status 404", ErrNotOurs), true, false, Failure, "port_taken"},
		{"runs, token not readable", nil, os.ErrPermission, false, false, Failure, "no_permission"},
		{"does not run", nil, ErrNoAgent, true, false, Warning, "not_running"},
	} {
		t.Run(c.what, func(t *testing.T) {
			opened := false
			r := Check(t.Context(), Options{
				ConfigPath: path, Drivers: drivers(), SignIn: settings,
				Connect: func(context.Context, *config.Config) (Agent, error) { return c.agent, c.err },
				Build: func(*config.Config, config.Device) (devices.Device, error) {
					opened = true
					return nil, errors.New("option columns: too many")
				},
			})
			if r.Agent != c.running || opened != c.asked {
				t.Errorf("agent %v, opened %v", r.Agent, opened)
			}
			if f := find(t, r.Findings, "service"); f.Level != c.level || f.Code != c.code || c.level != OK && f.Hint == "" {
				t.Errorf("%+v", f)
			}
			if c.asked {
				if f := find(t, r.Findings, "paper"); f.Code != "config" || !strings.Contains(f.Message, "too many") || !strings.Contains(f.Hint, path) {
					t.Errorf("%+v", f)
				}
			}
			if _, err := os.Stat(dir); err == nil {
				t.Error("check made the data folder without being asked to")
			}
		})
	}
}
