package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"storeagent/installer/config"
	"storeagent/installer/setup"
	"storeagent/offline"
	"storeagent/offline/sqlite"
	"storeagent/register/client"
)

// startLimit is how long a service that was started may take until it accepts sales.
const startLimit = 60 * time.Second

type installCmd struct {
	DryRun bool   `help:"Show every file and command, do nothing. Needs no rights."`
	Root   string `help:"Put everything below this folder, such as a mounted image, and start nothing." type:"existingdir" placeholder:"DIR"`
}

// Run makes the agent a service of this machine. A second run changes nothing but what is out of date.
func (c installCmd) Run(e *env) error {
	o, bad, err := e.setupOptions(c.Root, c.DryRun)
	if err != nil {
		return err
	}
	o.MayRestart = func(ctx context.Context) error { return noPayment(ctx, o.Config) }
	o.RunningSince = func(ctx context.Context) (time.Time, error) { return runningSince(ctx, o.Config) }
	if o.Program, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if o.Program, err = filepath.EvalSymlinks(o.Program); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	r, err := setup.Install(e.ctx, o)
	if err != nil {
		return explainSetup(err)
	}
	e.sumUp(c.DryRun, r.Steps, "everything is in place", "Installed")
	if bad != nil && !c.DryRun { // there may be a file by now
		_, bad = config.Load(filepath.Join(c.Root, o.ConfigPath), driverTable())
	}
	if bad != nil {
		e.printf("\nThe agent is not started yet: %s is not right. Correct it, then run storeagent install again:\n\n", o.ConfigPath)
		for line := range strings.Lines(bad.Error()) {
			e.printf("  %s\n", strings.TrimRight(line, "\n"))
		}
		if wasThere := r.Steps == 0; wasThere {
			return &exitError{code: exitUsage}
		}
		return nil
	}
	if !r.Started {
		return nil
	}
	return c.verify(e, o.Config)
}

// sumUp says how many steps were done or are due.
func (e *env) sumUp(dryRun bool, n int, nothing, done string) {
	steps := fmt.Sprintf("%d steps", n)
	if n == 1 {
		steps = "1 step"
	}
	switch {
	case dryRun:
		e.printf("\nNothing was done; due: %s.\n", steps)
	case n == 0:
		e.printf("\nNothing to do: %s.\n", nothing)
	default:
		e.printf("\n%s, in %s.\n", done, steps)
	}
}

// verify waits until the agent that was started accepts sales, and looks at everything.
func (c installCmd) verify(e *env, cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(e.ctx, startLimit)
	defer cancel()
	a := client.New("http://"+cfg.Server.ListenAddresses()[0], "", nil)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := a.Ready(ctx)
		if err == nil {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the service was started and does not accept sales: %w; journalctl -u storeagent says why", err)
		}
	}
	e.printf("\n")
	err := checkCmd{}.Run(e)
	if a, found := findAgent(ctx, cfg); found == nil {
		if st, asked := a.Status(ctx); asked == nil && st.SignIn.State == "signed_out" {
			e.printf("\nNext: storeagent sign-in, then storeagent pair --role register --name LANE for the register software.\n")
		}
	}
	var x *exitError
	if errors.As(err, &x) && x.err == nil { // what is not well was shown; installed it is
		return nil
	}
	return err
}

// setupOptions are those that install and uninstall share. bad is what is wrong with the configuration, nil for
// nothing.
func (e *env) setupOptions(root string, dryRun bool) (o setup.Options, bad, err error) {
	path, err := filepath.Abs(e.configPath)
	if err != nil {
		return o, nil, err
	}
	o = setup.Options{Root: root, ConfigPath: path, DryRun: dryRun, Out: e.stdout}
	o.Config, bad = config.Load(filepath.Join(root, path), driverTable())
	if root != "" && o.Config != nil {
		o.Config.Path = path
	}
	return o, bad, nil
}

// explainSetup gives errors of the set-up their next step.
func explainSetup(err error) error {
	if errors.Is(err, setup.ErrAdmin) {
		return fmt.Errorf("%w: sudo storeagent …; with --dry-run it only shows what it would do", err)
	}
	return err
}

// runningSince asks the running agent.
func runningSince(ctx context.Context, cfg *config.Config) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	a, err := findAgent(ctx, cfg)
	if err != nil {
		return time.Time{}, err
	}
	st, err := a.Status(ctx)
	return st.StartedAt, err
}

// noPayment refuses a restart in the middle of a card payment. The agent would recover from it, but a customer stands
// there.
func noPayment(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	a, err := findAgent(ctx, cfg)
	if err != nil {
		return nil // what does not answer takes no payments
	}
	for _, state := range []string{"created", "processing"} {
		page, err := a.Payments(ctx, map[string][]string{"state": {state}, "limit": {"1"}})
		if err != nil {
			return fmt.Errorf("ask the running agent for payments: %w", err)
		}
		if len(page.Items) > 0 {
			return fmt.Errorf("card payment %s at terminal %s is under way", page.Items[0].ID, page.Items[0].Terminal)
		}
	}
	return nil
}

type uninstallCmd struct {
	DryRun     bool   `help:"Show every step, do nothing."`
	Root       string `help:"Take everything away below this folder." type:"existingdir" placeholder:"DIR"`
	Force      bool   `help:"Although something is undelivered; take a copy of it before: storeagent queue export."`
	DeleteData bool   `help:"Remove the data folder and the user too: everything that was sold, and the sign-in."`
}

// Run takes the agent off this machine, unless something would be left behind undelivered.
func (c uninstallCmd) Run(e *env) error {
	o, bad, err := e.setupOptions(c.Root, c.DryRun)
	if err != nil {
		return err
	}
	if bad != nil {
		if _, err := os.Stat(filepath.Join(c.Root, o.ConfigPath)); err == nil {
			return &exitError{exitUsage, fmt.Errorf("where the data lies is not known, so nothing is taken away; correct the configuration first:\n%w", bad)}
		}
	}
	o.DeleteData = c.DeleteData
	if err := setup.Allowed(o); err != nil {
		return explainSetup(err)
	}
	dir := filepath.Join(c.Root, setup.DataDir(o))
	if err := mayLeave(e.ctx, dir, c.Force); err != nil {
		return err
	}
	ran, err := setup.Stop(e.ctx, o)
	if err != nil {
		return explainSetup(err)
	}
	if err := mayLeave(e.ctx, dir, c.Force); err != nil { // sold in the meantime
		if ran {
			err = errors.Join(err, setup.Start(e.ctx, o))
		}
		return err
	}
	r, err := setup.Uninstall(e.ctx, o)
	if err != nil {
		return explainSetup(err)
	}
	e.sumUp(c.DryRun, r.Steps, "storeagent is not installed", "Taken away")
	return nil
}

// mayLeave looks into a data folder and refuses by the same rule as a sign-out.
func mayLeave(ctx context.Context, dir string, force bool) error {
	left, err := sqlite.Undelivered(ctx, dir)
	if err != nil {
		return fmt.Errorf("whether something is undelivered cannot be told: %w", err)
	}
	var amounts []string
	for _, currency := range slices.Sorted(maps.Keys(left.Amounts)) {
		amounts = append(amounts, left.Amounts[currency]+" "+currency)
	}
	err = offline.MayLeave(left.Count, strings.Join(amounts, " and "), left.Exported, force)
	var owed *offline.UndeliveredError
	if errors.As(err, &owed) {
		return fmt.Errorf("%w\n%s", err, owed.Hint())
	}
	return err
}
