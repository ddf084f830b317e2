package main

import (
	"context"
	"log/slog"
	"time"

	"storeagent/devices"
	"storeagent/devices/discovery"
	"storeagent/devices/scanner"
	"storeagent/installer"
	"storeagent/installer/config"
	"storeagent/offline/signin"
)

// exitCheckUsage is check's code for wrong usage, since 2 says that something is broken.
const exitCheckUsage = 64

type checkCmd struct {
	JSON bool `help:"As JSON."`
}

// Run looks at everything that can be wrong.
func (c checkCmd) Run(e *env) error {
	r := installer.Check(e.ctx, installer.Options{
		ConfigPath: e.configPath, Drivers: driverTable(),
		Connect: func(ctx context.Context, cfg *config.Config) installer.Agent {
			a, err := connect(cfg)
			if err != nil {
				return nil
			}
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			if _, err := a.Healthy(ctx); err != nil {
				return nil
			}
			return a
		},
		SignIn: func(cfg *config.Config) (signin.Config, error) {
			return signInConfig(cfg, e.getenv, slog.New(slog.DiscardHandler))
		},
		Build: func(cfg *config.Config) ([]devices.Device, error) {
			return buildDevices(parts{
				opener: newOpener(), log: slog.New(slog.DiscardHandler), getenv: e.getenv,
				onChange: func(devices.Info) {}, sink: deaf{}, currency: cfg.Store.Currency,
			}, cfg.Devices)
		},
	})
	var err error
	if c.JSON {
		err = e.printJSON(struct {
			*installer.Report
			Worst installer.Level `json:"worst"`
		}{r, r.Worst()})
	} else {
		err = r.Text(e.stdout)
	}
	if err != nil {
		return err
	}
	if code := r.ExitCode(); code != exitOK {
		return &exitError{code: code}
	}
	return nil
}

// deaf takes scans that come while a technician checks without an agent; nobody sells then.
type deaf struct{}

// Scanned implements scanner.Sink.
func (deaf) Scanned(context.Context, scanner.Scan) error { return nil }

// Refused implements scanner.Sink.
func (deaf) Refused(context.Context, string, int, time.Time) {}

type devicesCmd struct {
	JSON bool `help:"As JSON."`
}

// Run lists what is plugged in.
func (c devicesCmd) Run(e *env) error {
	found, err := discovery.Scan(e.ctx, discovery.Roots{})
	if err != nil {
		return err
	}
	if c.JSON {
		return e.printJSON(found)
	}
	if len(found) == 0 {
		e.printf("Nothing is plugged in that this machine shows: no serial port, no USB device of a known kind.\nCheck the cable and the device's power, then look again.\n")
		return nil
	}
	for _, f := range found {
		showFound(e, f)
	}
	return nil
}

func showFound(e *env, f discovery.Found) {
	e.printf("%s", f.Kind)
	for _, s := range []string{f.Node, orNothing("", joinID(f.VID, f.PID)), f.Manufacturer, f.Product, orNothing("serial ", f.Serial)} {
		e.printf("%s", orNothing("  ", s))
	}
	if f.Seems != "" {
		e.printf("  (seems to be a %s)", f.Seems)
	}
	e.printf("\n")
	if f.Note != "" {
		e.printf("  %s\n", f.Note)
	}
	if f.ConfigLines != "" {
		e.printf("\n%s\n", f.ConfigLines)
	}
}

func joinID(vid, pid string) string {
	if vid == "" {
		return ""
	}
	return vid + ":" + pid
}
