package installer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// system describes this machine: its system, who runs this, the nodes that devices have, and the journal of the
// service where there is one.
func (b *Bundle) system(ctx context.Context) {
	var t strings.Builder
	fmt.Fprintf(&t, "%s/%s, %d processors\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU())
	zone, offset := b.At.Zone()
	fmt.Fprintf(&t, "time %s, zone %s (%+d s)\n", b.At.UTC().Format(time.RFC3339), zone, offset)
	fmt.Fprintf(&t, "user %s, groups %s\n", whoami(), strings.Join(groups(), " "))
	for _, path := range []string{"/proc/version", "/etc/os-release", "/proc/uptime", "/proc/loadavg", "/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name"} {
		if text, err := os.ReadFile(path); err == nil {
			fmt.Fprintf(&t, "\n%s\n%s", path, text)
		}
	}
	if text, err := os.ReadFile("/proc/meminfo"); err == nil {
		lines := slices.Collect(strings.Lines(string(text)))
		fmt.Fprintf(&t, "\n/proc/meminfo\n%s", strings.Join(lines[:min(3, len(lines))], ""))
	}
	b.add("system.txt", t.String())
	b.add("nodes.txt", nodes())
	b.journal(ctx)
}

// groups are the names of the groups of this user.
func groups() []string {
	u, err := user.Current()
	if err != nil {
		return nil
	}
	ids, err := u.GroupIds()
	if err != nil {
		return nil
	}
	for i, id := range ids {
		if g, err := user.LookupGroupId(id); err == nil {
			ids[i] = g.Name
		}
	}
	return ids
}

// nodes lists the device nodes that a counter's devices have, with owners and modes, and USB as the kernel shows it.
func nodes() string {
	var t strings.Builder
	for _, pattern := range []string{
		"/dev/ttyS[0-9]*", "/dev/ttyUSB*", "/dev/ttyACM*", "/dev/usb/lp*", "/dev/usb/hiddev*", "/dev/hidraw*", "/dev/input/event*",
		"/dev/bus/usb/*/*", "/dev/serial/by-id/*",
	} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			continue // the patterns are well-formed
		}
		for _, path := range paths {
			info, err := os.Lstat(path)
			if err != nil {
				continue
			}
			line := fmt.Sprintf("%s %s %s", info.Mode(), owner(info), path)
			if to, err := os.Readlink(path); err == nil {
				line += " -> " + to
			}
			for _, h := range holders(path) {
				line += ", held by " + h.String()
			}
			fmt.Fprintln(&t, line)
		}
	}
	devs, err := filepath.Glob("/sys/bus/usb/devices/*/idVendor")
	if err != nil || len(devs) == 0 {
		t.WriteString("no USB devices under /sys/bus/usb\n")
	}
	for _, id := range devs {
		dir := filepath.Dir(id)
		fmt.Fprintf(&t, "usb %s", filepath.Base(dir))
		for _, name := range []string{"idVendor", "idProduct", "bDeviceClass", "speed", "manufacturer", "product", "serial"} {
			if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
				fmt.Fprintf(&t, " %s", strings.TrimSpace(string(text)))
			}
		}
		fmt.Fprintln(&t)
	}
	return t.String()
}

// journal adds what the service manager says, on machines that have systemd.
func (b *Bundle) journal(ctx context.Context) {
	if _, err := os.Stat("/run/systemd/system"); errors.Is(err, fs.ErrNotExist) {
		return
	}
	var t strings.Builder
	for _, args := range [][]string{
		{"systemctl", "status", program, "--no-pager", "--full", "--lines=0"},
		{"systemctl", "show", program, "-p", "User,ExecMainStatus,NRestarts,ActiveEnterTimestamp,Result"},
		{"journalctl", "-u", program, "-n", "2000", "--no-pager", "-o", "short-iso"},
	} {
		call, cancel := context.WithTimeout(ctx, bundleLimit)
		out, err := exec.CommandContext(call, args[0], args[1:]...).CombinedOutput() //nolint:gosec // fixed commands
		cancel()
		fmt.Fprintf(&t, "$ %s\n%s\n", strings.Join(args, " "), out)
		if err != nil {
			fmt.Fprintf(&t, "(%v)\n", err)
		}
	}
	b.add("journal.txt", t.String())
}
