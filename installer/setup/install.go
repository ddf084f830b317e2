package setup

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"storeagent/offline/sqlite"
)

// Install makes the agent a service of this machine. It ends with a running service where the configuration is right
// and this machine itself was set up.
func Install(ctx context.Context, o Options) (Result, error) {
	r := newRunner(o)
	if err := r.mayChange(); err != nil {
		return r.Result, err
	}
	steps := []func(context.Context) error{r.user, r.program, r.configuration, r.data, r.udev, r.browsers, r.service}
	if runtime.GOOS != "linux" {
		steps = []func(context.Context) error{r.folders, r.otherService}
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return r.Result, err
		}
		if err := step(ctx); err != nil {
			return r.Result, fmt.Errorf("install: %w", err)
		}
	}
	return r.Result, nil
}

// mayChange refuses before anything is touched.
func (r *runner) mayChange() error {
	switch {
	case !r.here() && runtime.GOOS != "linux":
		return errors.New("--root works on Linux only")
	case !r.DryRun && !r.machine.admin():
		return ErrAdmin
	case runtime.GOOS == "linux" && r.here() && !r.DryRun && !r.machine.booted():
		return ErrNoSystemd
	}
	if runtime.GOOS != "linux" {
		return nil
	}
	for _, p := range []string{r.ConfigPath, r.dataDir()} {
		for _, closed := range []string{"/home", "/root", "/run/user", "/tmp", "/var/tmp"} { // ProtectHome= and PrivateTmp= of the unit
			if strings.HasPrefix(p, closed+"/") && r.here() {
				return fmt.Errorf("the service cannot see %s, because %s is closed to it; use /etc/storeagent and /var/lib/storeagent", p, closed)
			}
		}
	}
	return nil
}

// DataDir is where the agent keeps everything, as the service sees it.
func DataDir(o Options) string {
	switch {
	case o.Config != nil:
		return o.Config.Data.Dir
	case runtime.GOOS != "linux":
		return filepath.Join(filepath.Dir(o.ConfigPath), "data")
	}
	return defaultData
}

func (r *runner) dataDir() string { return DataDir(r.Options) }

// program puts the program where the service finds it, also after whoever ran this has tidied up.
func (r *runner) program(context.Context) error {
	own, err := os.ReadFile(r.Program)
	if err != nil {
		return fmt.Errorf("read this program: %w", err)
	}
	there, err := os.ReadFile(r.path(programPath))
	due := err != nil || !bytes.Equal(own, there)
	return r.step(due, fmt.Sprintf("copy %s to %s (mode 0755)", r.Program, programPath), "", func() error {
		return r.put(r.path(programPath), bytes.NewReader(own), 0o755, 0, 0)
	})
}

// configuration puts a file to fill in where there is none, and never touches one that is there.
func (r *runner) configuration(context.Context) error {
	a, err := r.account()
	if err != nil {
		return err
	}
	if filepath.Dir(r.ConfigPath) == configDir {
		if err := r.dir(configDir, 0o750, 0, a.gid); err != nil {
			return err
		}
	}
	if _, err := os.Stat(r.path(r.ConfigPath)); err == nil {
		r.printf("  is so    %s is there and stays as it is\n", r.ConfigPath)
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return r.step(true, fmt.Sprintf("write %s (mode 0640), to be filled in", r.ConfigPath), sample, func() error {
		return r.put(r.path(r.ConfigPath), strings.NewReader(sample), 0o640, 0, a.gid)
	})
}

// data makes the data folder, and takes over one in which somebody tried the agent as another user.
func (r *runner) data(context.Context) error {
	a, err := r.account()
	if err != nil {
		return err
	}
	dir := r.dataDir()
	ours, err := holdsData(r.path(dir))
	if err != nil {
		return err
	}
	if err := r.dir(dir, 0o700, a.uid, a.gid); err != nil || !ours {
		return err
	}
	var strangers []string
	err = filepath.WalkDir(r.path(dir), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && path != r.path(dir) && !r.machine.owned(info, a.uid, a.gid) {
			strangers = append(strangers, path)
		}
		return err
	})
	if err != nil || len(strangers) == 0 {
		return err
	}
	return r.step(true, fmt.Sprintf("give %d files in %s to user %s", len(strangers), dir, Name), strings.Join(strangers, "\n"), func() error {
		for _, path := range strangers {
			if err := r.machine.chown(path, a.uid, a.gid); err != nil {
				return err
			}
		}
		return nil
	})
}

// holdsData tells the agent's data folder from one that is missing or empty. Anything else is an error: it must not be
// given to a service, let alone be removed.
func holdsData(dir string) (bool, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if name := e.Name(); name == sqlite.LockFile || name == sqlite.DatabaseFile {
			return true, nil
		}
	}
	if len(entries) > 0 {
		return false, fmt.Errorf("%s holds other things than storeagent's: name a folder of its own in data.dir", dir)
	}
	return false, nil
}

// udev writes the rules for device nodes and has them applied.
func (r *runner) udev(ctx context.Context) error {
	changed, err := r.file(rulesPath, r.rules(), 0o644, 0, 0)
	if err != nil {
		return err
	}
	return r.applyRules(ctx, changed)
}

// applyRules has changed rules applied to what is plugged in.
func (r *runner) applyRules(ctx context.Context, changed bool) error {
	if !changed || !r.here() {
		return nil
	}
	_, err := os.Stat(r.path("/run/udev/control"))
	if err == nil {
		err = errors.Join(
			r.command(ctx, true, "udevadm", "control", "--reload"),
			r.command(ctx, true, "udevadm", "trigger", "--action=change", "--subsystem-match=usb", "--subsystem-match=hidraw", "--subsystem-match=input", "--subsystem-match=tty"),
		)
	}
	if err != nil { // in a container, for instance; nothing else depends on it
		r.printf("  note     udev could not be told; what changed holds from the next time on that a device is plugged in\n")
	}
	return nil
}

// policyPaths are where browsers of the Chromium family read what an administrator decided.
func policyPaths() []string {
	return []string{
		"/etc/opt/chrome/policies/managed/storeagent.json", "/etc/opt/edge/policies/managed/storeagent.json", "/etc/chromium/policies/managed/storeagent.json",
	}
}

// browsers lets the configured register pages call this machine without a question to the cashier: from version 142 on
// Chrome and Edge ask before a page of the internet may reach a loopback address. The policies are
// LocalNetworkAccessAllowedForUrls (139 and later) and LoopbackNetworkAllowedForUrls (146 and later). Without configured
// pages there is no policy, and one of ours goes.
func (r *runner) browsers(context.Context) error {
	var origins []string
	if r.Config != nil {
		origins = r.Config.Server.AllowedOrigins
	}
	for _, path := range policyPaths() {
		var err error
		if len(origins) == 0 {
			_, err = r.remove(path)
		} else {
			var text []byte
			if text, err = json.MarshalIndent(map[string][]string{"LocalNetworkAccessAllowedForUrls": origins, "LoopbackNetworkAllowedForUrls": origins}, "", "  "); err == nil {
				_, err = r.file(path, string(text)+"\n", 0o644, 0, 0)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// service writes the unit, enables it, and starts or restarts the agent.
func (r *runner) service(ctx context.Context) error {
	changed, err := r.file(unitPath, r.unit(), 0o644, 0, 0)
	if err != nil {
		return err
	}
	if err := r.command(ctx, changed && r.here(), "systemctl", "daemon-reload"); err != nil {
		return err
	}
	_, err = os.Lstat(r.path(unitLink))
	if err := r.step(err != nil, "start storeagent with the machine (systemctl enable)", "", func() error {
		if r.here() {
			return r.machine.run(ctx, []string{"systemctl", "enable", Name})
		}
		// What systemctl enable does, without a systemd that fits the image.
		return errors.Join(os.MkdirAll(filepath.Dir(r.path(unitLink)), 0o755), os.Symlink(unitPath, r.path(unitLink))) //nolint:gosec // a folder of the system
	}); err != nil {
		return err
	}
	if !r.here() || r.Config == nil {
		return nil
	}
	running := r.active(ctx)
	switch {
	case running && !r.outdated(ctx):
		r.printf("  is so    storeagent runs\n")
	case running:
		if r.MayRestart != nil && !r.DryRun {
			if err := r.MayRestart(ctx); err != nil {
				return fmt.Errorf("not restarted: %w; the new program and settings are in place, run install again later", err)
			}
		}
		err = r.command(ctx, true, "systemctl", "restart", Name)
	default:
		err = r.command(ctx, true, "systemctl", "start", Name)
	}
	r.Started = err == nil && !r.DryRun
	return err
}

// active tells whether the service runs.
func (r *runner) active(ctx context.Context) bool {
	return r.machine.run(ctx, []string{"systemctl", "is-active", "--quiet", Name}) == nil
}

// outdated tells whether program, unit or configuration are newer than the agent that runs. One that cannot be asked
// since when it runs counts as old.
func (r *runner) outdated(ctx context.Context) bool {
	if r.RunningSince == nil {
		return true
	}
	since, err := r.RunningSince(ctx)
	if err != nil {
		return true
	}
	for _, path := range []string{programPath, unitPath, r.ConfigPath} {
		if info, err := os.Stat(r.path(path)); err != nil || info.ModTime().After(since) {
			return true
		}
	}
	return false
}
