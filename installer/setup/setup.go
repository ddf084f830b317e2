// Package setup makes the agent a service of this machine and takes it away again: a user of its own, folders, a
// configuration to fill in, rules for device nodes and browsers, the service. Every step looks first and does only what
// is missing, so that a second run changes nothing; each can be shown instead of done.
//
// It is called by cmd. It imports installer/config, devices/discovery and offline/sqlite, whose folder it looks after. On Linux it writes the
// systemd unit itself, because kardianos/service neither brings an older unit up to date nor writes below another root;
// Windows services and launchd are that library's, and this package is its only importer. Formats: systemd.service(5),
// systemd.exec(5), udev(7), passwd(5), group(5).
package setup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"storeagent/installer/config"
)

// Name is what the service, its user and its group are called.
const Name = "storeagent"

// Options say what to set up, and where.
type Options struct {
	// Root is a folder that stands for the machine, such as a mounted image. "" is this machine; below any other root
	// (also "/") files and users are made and nothing is started. Linux only.
	Root       string
	ConfigPath string         // as the service sees it
	Config     *config.Config // nil where there is none, or it is wrong; then nothing is started
	Program    string         // the program to install
	DryRun     bool           // show every step, do none
	DeleteData bool           // Uninstall removes the data folder and the user too
	Out        io.Writer
	// RunningSince asks the running agent when it started; nil where nobody can.
	RunningSince func(ctx context.Context) (time.Time, error)
	// MayRestart, unless nil, says whether a running agent may be restarted now.
	MayRestart func(ctx context.Context) error

	machine machine // the zero value is the real thing
}

// machine is the part of the system that tests stand in for.
type machine struct {
	base   string // where the files of this machine lie
	run    func(ctx context.Context, args []string) error
	chown  func(path string, uid, gid int) error
	owned  func(info fs.FileInfo, uid, gid int) bool
	admin  func() bool // whether the caller may change the system
	booted func() bool // whether systemd runs here
}

// Result is how a run ended.
type Result struct {
	Steps   int  // that were due
	Started bool // the service was started, or runs
}

// Errors by errors.Is.
var (
	// ErrAdmin means that the caller may not change the system.
	ErrAdmin = errors.New("this changes the system: run it as root, or as an administrator on Windows")
	// ErrNoSystemd means that this Linux is not run by systemd.
	ErrNoSystemd = errors.New("systemd does not run here; --root / puts everything in its place without starting it")
)

// runner does steps and says what it did.
type runner struct {
	Options
	Result
}

func newRunner(o Options) *runner {
	real := machine{
		run: runCommand, chown: os.Lchown, owned: owned, admin: isAdmin,
		booted: func() bool { _, err := os.Stat("/run/systemd/system"); return err == nil }, // sd_booted(3)
	}
	if o.machine.run != nil {
		real = o.machine
	}
	o.machine = real
	return &runner{Options: o}
}

// runCommand runs a command; what it says is part of its error.
func runCommand(ctx context.Context, args []string) error {
	out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput() //nolint:gosec // all commands are written in this package
	if err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// path is where a path of the machine lies.
func (r *runner) path(p string) string {
	root := r.Root
	if root == "" {
		root = r.machine.base
	}
	if root == "" {
		return p
	}
	return filepath.Join(root, p)
}

// here reports whether this machine itself is set up, and not an image of one.
func (r *runner) here() bool { return r.Root == "" }

func (r *runner) printf(format string, args ...any) { fmt.Fprintf(r.Out, format, args...) }

// step does what is due, or shows it. detail is shown only; it may have many lines.
func (r *runner) step(due bool, what, detail string, do func() error) error {
	if !due {
		r.printf("  is so    %s\n", what)
		return nil
	}
	r.Steps++
	if r.DryRun {
		r.printf("  would    %s\n", what)
		for line := range strings.Lines(detail) {
			r.printf("             | %s\n", strings.TrimRight(line, "\n"))
		}
		return nil
	}
	if err := do(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	r.printf("  done     %s\n", what)
	return nil
}

// command runs a command that is due.
func (r *runner) command(ctx context.Context, due bool, args ...string) error {
	if !due {
		return nil
	}
	return r.step(true, "run "+strings.Join(args, " "), "", func() error { return r.machine.run(ctx, args) })
}

// file brings a file to its content, mode and owner. It is there whole or not at all. changed tells whether that was
// due.
func (r *runner) file(path, content string, mode fs.FileMode, uid, gid int) (changed bool, err error) {
	real := r.path(path)
	have, err := os.ReadFile(real)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	info, statErr := os.Lstat(real)
	changed = err != nil || string(have) != content
	due := changed || statErr != nil || info.Mode().Perm() != mode || !r.machine.owned(info, uid, gid)
	return changed, r.step(due, fmt.Sprintf("write %s (mode %04o)", path, mode), content, func() error {
		return r.put(real, strings.NewReader(content), mode, uid, gid)
	})
}

func (r *runner) put(path string, content io.Reader, mode fs.FileMode, uid, gid int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // folders of the system are open to all
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".storeagent-*")
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = r.machine.chown(f.Name(), uid, gid)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// dir brings a folder to its mode and owner; folders above it are made as they are everywhere.
func (r *runner) dir(path string, mode fs.FileMode, uid, gid int) error {
	real := r.path(path)
	info, err := os.Lstat(real)
	if err == nil && !info.IsDir() {
		return fmt.Errorf("%s is not a folder", path)
	}
	due := err != nil || info.Mode().Perm() != mode || !r.machine.owned(info, uid, gid)
	return r.step(due, fmt.Sprintf("make folder %s (mode %04o)", path, mode), "", func() error {
		if err := os.MkdirAll(filepath.Dir(real), 0o755); err != nil { //nolint:gosec // as above
			return err
		}
		if err := os.Mkdir(real, mode); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		return errors.Join(os.Chmod(real, mode), r.machine.chown(real, uid, gid))
	})
}

// remove takes a file away; removed tells whether that was due.
func (r *runner) remove(path string) (removed bool, err error) {
	_, err = os.Lstat(r.path(path))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return true, r.step(true, "remove "+path, "", func() error { return os.Remove(r.path(path)) })
}
