package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/kardianos/service"
)

// otherService is the service on Windows and macOS.
func otherService(program, configPath string, run service.Interface) (service.Service, error) {
	return service.New(run, &service.Config{
		Name: Name, DisplayName: "storeagent", Description: "Sells, prints and takes cards on this register, with or without the internet.",
		Executable: program, Arguments: []string{"serve", "--config", configPath},
		Option: service.KeyValue{
			"StartType": "automatic", "OnFailure": "restart", "OnFailureDelayDuration": "2s", "OnFailureResetPeriod": 60, // Windows
			"RunAtLoad": true, "KeepAlive": true, // launchd
		},
	})
}

// idle is a service that is only looked at.
type idle struct{}

func (idle) Start(service.Service) error { return nil }
func (idle) Stop(service.Service) error  { return nil }

// folders makes the folders and the configuration to fill in. On Windows only the system and its administrators may
// look into them: modes mean nothing there, access lists do.
func (r *runner) folders(ctx context.Context) error {
	dirs := []string{filepath.Dir(r.ConfigPath), r.dataDir()}
	for _, dir := range dirs {
		_, err := os.Stat(dir)
		if err := r.step(errors.Is(err, fs.ErrNotExist), "make folder "+dir, "", func() error { return os.MkdirAll(dir, 0o700) }); err != nil {
			return err
		}
		if runtime.GOOS == "windows" && errors.Is(err, fs.ErrNotExist) {
			// S-1-5-18 is the local system, S-1-5-32-544 the administrators (Microsoft, "Well-known SIDs").
			if err := r.command(ctx, true, "icacls", dir, "/inheritance:r", "/grant:r", "*S-1-5-18:(OI)(CI)F", "*S-1-5-32-544:(OI)(CI)F"); err != nil {
				return err
			}
		}
	}
	_, err := os.Stat(r.ConfigPath)
	return r.step(errors.Is(err, fs.ErrNotExist), "write "+r.ConfigPath+", to be filled in", sample, func() error {
		return os.WriteFile(r.ConfigPath, []byte(strings.ReplaceAll(sample, "/etc/storeagent", filepath.ToSlash(filepath.Dir(r.ConfigPath)))), 0o600)
	})
}

// otherService registers the service and starts it where the configuration is right.
func (r *runner) otherService(ctx context.Context) error {
	s, err := otherService(r.Program, r.ConfigPath, idle{})
	if err != nil {
		return err
	}
	status, err := s.Status()
	missing := errors.Is(err, service.ErrNotInstalled)
	if err != nil && !missing {
		return fmt.Errorf("ask for the service: %w", err)
	}
	if err := r.step(missing, "register the service "+Name+" with "+service.Platform(), r.Program+" serve --config "+r.ConfigPath, s.Install); err != nil || r.Config == nil {
		return err
	}
	if status == service.StatusRunning && r.MayRestart != nil && !r.DryRun {
		if err := r.MayRestart(ctx); err != nil {
			return fmt.Errorf("not restarted: %w; run install again later", err)
		}
	}
	start := s.Start
	if status == service.StatusRunning {
		start = s.Restart // the program file may be another
	}
	err = r.step(true, "start the service "+Name, "", start)
	r.Started = err == nil && !r.DryRun
	return err
}

func (r *runner) noOtherService(context.Context) error {
	s, err := otherService(r.Program, r.ConfigPath, idle{})
	if err != nil {
		return err
	}
	_, err = s.Status()
	return r.step(!errors.Is(err, service.ErrNotInstalled), "take the service "+Name+" off "+service.Platform(), "", s.Uninstall)
}

func stopOther(context.Context) (ran bool, err error) {
	s, err := otherService("", "", idle{})
	if err != nil {
		return false, err
	}
	if status, err := s.Status(); err != nil || status != service.StatusRunning {
		return false, nil //nolint:nilerr // what is not installed does not run
	}
	return true, s.Stop()
}

func startOther() error {
	s, err := otherService("", "", idle{})
	if err != nil {
		return err
	}
	return s.Start()
}

// Interactive reports whether a person started this program, and not the service manager.
func Interactive() bool { return service.Interactive() }

// RunService runs work under the service manager of Windows until that says stop, which ends work's context. Elsewhere
// services are ordinary programs and need no such thing.
func RunService(ctx context.Context, work func(context.Context) error) error {
	p := &program{ctx: ctx, work: work}
	s, err := otherService("", "", p)
	if err != nil {
		return err
	}
	return errors.Join(s.Run(), p.err)
}

// program is work as kardianos/service wants it: Start returns at once, Stop when it is over.
type program struct {
	ctx  context.Context //nolint:containedctx // the library's methods have none
	work func(context.Context) error

	stop context.CancelFunc
	done chan struct{}
	err  error
}

// Start implements service.Interface.
func (p *program) Start(s service.Service) error {
	ctx, stop := context.WithCancel(p.ctx)
	p.stop, p.done = stop, make(chan struct{})
	go func() {
		defer close(p.done)
		if p.err = p.work(ctx); ctx.Err() == nil { // it ended by itself: so does the process, and the manager starts it again
			os.Exit(1) //nolint:gocritic // nothing is left to be closed; work has ended
		}
	}()
	return nil
}

// Stop implements service.Interface.
func (p *program) Stop(service.Service) error {
	p.stop()
	<-p.done
	return nil
}
