package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
)

// Uninstall takes the service, its rules and the program away. The configuration stays, and so do the data folder and
// the user to whom it belongs, unless DeleteData is set. It does not look at what is undelivered: Stop first, then
// the caller looks, then this.
func Uninstall(ctx context.Context, o Options) (Result, error) {
	r := newRunner(o)
	if err := r.mayTakeAway(); err != nil {
		return r.Result, err
	}
	steps := []func(context.Context) error{r.noService, r.noRules, r.noPolicies, r.noProgram, r.noData, r.noUser}
	if runtime.GOOS != "linux" {
		steps = []func(context.Context) error{r.noOtherService, r.noData}
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return r.Result, fmt.Errorf("uninstall: %w", err)
		}
	}
	return r.Result, nil
}

// Allowed says whether Uninstall may begin. The error is ErrAdmin, or says that --root is not for this system.
func Allowed(o Options) error { return newRunner(o).mayTakeAway() }

func (r *runner) mayTakeAway() error {
	switch {
	case !r.here() && runtime.GOOS != "linux":
		return errors.New("--root works on Linux only")
	case !r.DryRun && !r.machine.admin():
		return ErrAdmin
	}
	return nil
}

// Stop ends the running service, so that nothing new is sold while one looks at what is undelivered. ran tells
// whether it ran; Start brings it back.
func Stop(ctx context.Context, o Options) (ran bool, err error) {
	r := newRunner(o)
	if err := r.mayTakeAway(); err != nil || r.DryRun || !r.here() {
		return false, err
	}
	if runtime.GOOS != "linux" {
		return stopOther(ctx)
	}
	if !r.machine.booted() || !r.active(ctx) {
		return false, nil
	}
	return true, r.command(ctx, true, "systemctl", "stop", Name)
}

// Start starts the service that Stop ended.
func Start(ctx context.Context, o Options) error {
	r := newRunner(o)
	if runtime.GOOS != "linux" {
		return startOther()
	}
	return r.command(ctx, true, "systemctl", "start", Name)
}

func (r *runner) noService(ctx context.Context) error {
	_, linkErr := os.Lstat(r.path(unitLink))
	if err := r.step(linkErr == nil, "stop starting storeagent with the machine (systemctl disable --now)", "", func() error {
		if r.here() && r.machine.booted() {
			return r.machine.run(ctx, []string{"systemctl", "disable", "--now", Name})
		}
		return os.Remove(r.path(unitLink))
	}); err != nil {
		return err
	}
	removed, err := r.remove(unitPath)
	if err != nil {
		return err
	}
	return r.command(ctx, removed && r.here() && r.machine.booted(), "systemctl", "daemon-reload")
}

func (r *runner) noRules(ctx context.Context) error {
	removed, err := r.remove(rulesPath)
	if err != nil {
		return err
	}
	return r.applyRules(ctx, removed)
}

func (r *runner) noPolicies(context.Context) error {
	for _, path := range policyPaths() {
		if _, err := r.remove(path); err != nil {
			return err
		}
	}
	return nil
}

func (r *runner) noProgram(context.Context) error {
	_, err := r.remove(programPath)
	return err
}

// noData removes the data folder where that was asked for, and only if it is one.
func (r *runner) noData(context.Context) error {
	dir := r.dataDir()
	if _, err := os.Lstat(r.path(dir)); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if !r.DeleteData {
		r.printf("  stays    %s, with all data; --delete-data removes it\n", dir)
		return nil
	}
	if _, err := holdsData(r.path(dir)); err != nil {
		return err
	}
	return r.step(true, "remove folder "+dir+" with all data in it", "", func() error { return os.RemoveAll(r.path(dir)) })
}

// noUser removes the user, whose data folder is gone then.
func (r *runner) noUser(ctx context.Context) error {
	r.printf("  stays    %s\n", r.ConfigPath)
	if !r.DeleteData {
		return nil
	}
	a, err := r.account()
	if err != nil || !a.found {
		return err
	}
	args := []string{"userdel"}
	if !r.here() && r.Root != "/" {
		args = append(args, "--prefix", r.Root)
	}
	if err := r.command(ctx, true, append(args, Name)...); err != nil {
		return err
	}
	after, err := r.account()
	if err != nil || r.DryRun || !slices.Contains(after.groups, Name) {
		return err
	}
	args[0] = "groupdel" // where useradd's defaults kept it
	return r.command(ctx, true, append(args, Name)...)
}
