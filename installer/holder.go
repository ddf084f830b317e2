package installer

import (
	"fmt"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"storeagent/devices/port"
	"storeagent/installer/config"
)

// holder is another process that has a file open.
type holder struct {
	pid  int
	name string // as the kernel shows it: cupsd, ModemManager
}

func (h holder) String() string { return fmt.Sprintf("%s (process %d)", h.name, h.pid) }

// program is the name under which the agent runs.
const program = "storeagent"

// whoami is the user that runs this.
func whoami() string {
	u, err := user.Current()
	if err != nil || u.Username == "" {
		return "this user"
	}
	return u.Username
}

// nodeOf is the device node that an address names by its path, with links followed; "" where it names none.
func nodeOf(a port.Address) string {
	if !slices.Contains([]string{port.SchemeSerial, port.SchemeFile, "hidraw", "evdev"}, a.Scheme) || !filepath.IsAbs(a.Target) {
		return ""
	}
	node, err := filepath.EvalSymlinks(a.Target)
	if err != nil {
		return ""
	}
	return node
}

// busyHint says how to make that process let go.
func busyHint(h holder, node string) string {
	base := filepath.Base(node)
	switch {
	case h.name == "ModemManager":
		return "sudo storeagent install keeps it off the configured ports; on a machine without a modem: sudo systemctl disable --now ModemManager"
	case h.name == "cupsd" || h.name == "usb" && strings.HasPrefix(base, "lp"):
		return "remove this printer from CUPS: lpstat -v shows its name, sudo lpadmin -x NAME removes it"
	case strings.HasSuffix(h.name, "getty"):
		return "a login runs on this port: sudo systemctl disable --now serial-getty@" + base
	case strings.HasPrefix(h.name, "brltty"):
		return "it takes the port for a Braille display: sudo apt remove brltty"
	case h.name == program:
		return "another storeagent runs: stop it with sudo systemctl stop storeagent, or end process " + fmt.Sprint(h.pid)
	}
	return fmt.Sprintf("end %s, or take the port away from it in its own settings", h)
}

// held is the finding for a port that somebody else holds.
func held(name, node string, h holder) Finding {
	return Finding{Part: "device", Name: name, Level: Failure, Code: string(port.InUse), Message: node + " is held by " + h.String(), Hint: busyHint(h, node)}
}

// nameHolder adds to a busy device who holds its port, where this user may see that.
func (f *Finding) nameHolder(d config.Device) {
	node := nodeOf(d.Port)
	if f.Code != string(port.InUse) || node == "" {
		return
	}
	for _, h := range holders(node) {
		if h.name != program { // that would be the agent: two of its devices share a port, and its own message says so
			*f = held(f.Name, node, h)
			return
		}
	}
}
