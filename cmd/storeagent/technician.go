package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"storeagent/devices"
	"storeagent/devices/discovery"
	"storeagent/devices/scanner"
	"storeagent/installer"
	"storeagent/installer/config"
	"storeagent/offline/signin"
	"storeagent/register/client"
)

// exitCheckUsage is check's code for wrong usage, since 2 says that something is broken.
const exitCheckUsage = 64

type checkCmd struct {
	JSON bool `help:"As one line of JSON: {agentRunning, worst, findings: [{part, name, level, code, message, hint}]}."`
	Fix  bool `help:"Repair what is surely safe: make a missing data folder, close an open one to other users. Says what it did."`
}

// Run looks at everything that can be wrong.
func (c checkCmd) Run(e *env) error {
	o := e.checkOptions()
	o.Fix = c.Fix
	r := installer.Check(e.ctx, o)
	show := func() error { return r.Text(e.stdout) }
	if c.JSON {
		show = func() error { return e.printJSON(r) }
	}
	if err := show(); err != nil {
		return err
	}
	if code := r.ExitCode(); code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

// checkOptions say how everything is looked at, without repairing.
func (e *env) checkOptions() installer.Options {
	return installer.Options{
		ConfigPath: e.configPath, Drivers: driverTable(),
		Plugged: func(ctx context.Context) ([]discovery.Found, error) { return discovery.Scan(ctx, discovery.Roots{}) },
		Connect: func(ctx context.Context, cfg *config.Config) (installer.Agent, error) { return findAgent(ctx, cfg) },
		SignIn: func(cfg *config.Config) (signin.Config, error) {
			return signInConfig(cfg, e.getenv, slog.New(slog.DiscardHandler))
		},
		Build: e.tryDevice,
	}
}

// findAgent connects to the running agent of the configuration. The error is installer.ErrNoAgent where nobody
// listens, installer.ErrNotOurs where somebody else does, else it says why the agent cannot be asked.
func findAgent(ctx context.Context, cfg *config.Config) (*client.Client, error) {
	_, err := client.New("http://"+cfg.Server.ListenAddresses()[0], "", nil).Healthy(ctx)
	var network *url.Error
	if errors.As(err, &network) {
		return nil, installer.ErrNoAgent
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", installer.ErrNotOurs, err)
	}
	if _, err := os.Stat(filepath.Join(cfg.Data.Dir, technicianToken)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", installer.ErrNotOurs, err)
	}
	return connect(cfg)
}

// deaf takes scans that come while a technician checks without an agent; nobody sells then.
type deaf struct{}

// Scanned implements scanner.Sink.
func (deaf) Scanned(context.Context, scanner.Scan) error { return nil }

// Refused implements scanner.Sink.
func (deaf) Refused(context.Context, string, int, time.Time) {}

type devicesCmd struct {
	JSON bool `help:"As one line of JSON: {agentRunning, found: [{kind, node, …, configLines, configured, configLine}], configured: [device]}."`
}

// pluggedIn is the JSON of devices.
type pluggedIn struct {
	Agent      bool                `json:"agentRunning"`
	Found      []installer.Plugged `json:"found"`
	Configured []devices.Info      `json:"configured"` // as the running agent sees them; empty without one
}

// Run lists what is plugged in, and how the configured devices are where an agent runs.
func (c devicesCmd) Run(e *env) error {
	found, err := discovery.Scan(e.ctx, discovery.Roots{})
	if err != nil {
		return err
	}
	out := pluggedIn{Configured: []devices.Info{}}
	cfg, err := config.Load(e.configPath, driverTable())
	out.Found = installer.Match(found, cfg) // a configuration that is missing or wrong is check's business
	why := ""
	if err == nil {
		ctx, cancel := context.WithTimeout(e.ctx, 5*time.Second)
		defer cancel()
		if a, err := findAgent(ctx, cfg); err == nil {
			if out.Configured, err = a.Devices(ctx); err != nil {
				return err
			}
			out.Agent = true
		} else if !errors.Is(err, installer.ErrNoAgent) {
			why = err.Error()
		}
	}
	if c.JSON {
		return e.printJSON(out)
	}
	if len(out.Found) == 0 {
		e.printf("Nothing is plugged in that this machine shows: no serial port, no USB device of a known kind.\nCheck the cable and the device's power, then look again. Devices in the network are not looked for: they are\nconfigured by their address, like port = \"tcp:10.0.0.5:9100\".\n")
	}
	for _, f := range out.Found {
		showFound(e, f)
	}
	if why != "" {
		e.printf("\nThe agent could not be asked how its devices are: %s\n", why)
	}
	if len(out.Configured) == 0 {
		return nil
	}
	e.printf("\nConfigured, as the running agent sees them:\n")
	rows := [][]string{{"NAME", "KIND", "DRIVER", "STATE", "PORT", "MODEL", "TROUBLE"}}
	for _, i := range out.Configured {
		trouble := ""
		if i.LastError != nil {
			trouble = i.LastError.Code
		}
		rows = append(rows, []string{i.Name, string(i.Category), i.Driver, string(i.State), i.Port, i.Model, trouble})
	}
	return e.table(rows)
}

// showFound shows one thing: what it is, then what to do with it.
func showFound(e *env, f installer.Plugged) {
	words := []string{string(f.Kind)}
	for _, s := range []string{f.Node, joinID(f.VID, f.PID), f.Manufacturer, f.Product, orNothing("serial ", f.Serial)} {
		if s != "" {
			words = append(words, s)
		}
	}
	e.printf("%s\n", strings.Join(words, "  "))
	if f.Seems != "" {
		e.printf("  seems to be a %s\n", f.Seems)
	}
	if f.Note != "" {
		e.printf("  %s\n", f.Note)
	}
	switch {
	case f.Configured != "":
		e.printf("  configured as %q (%s)\n", f.Configured, f.ConfigLine)
	case f.ConfigLines != "":
		e.printf("  put into %s:\n\n", e.configPath)
		for line := range strings.Lines(f.ConfigLines) {
			e.printf("    %s", line)
		}
		e.printf("\n")
	}
}

func joinID(vid, pid string) string {
	if vid == "" {
		return ""
	}
	return vid + ":" + pid
}
