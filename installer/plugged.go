package installer

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"storeagent/devices/discovery"
	"storeagent/installer/config"
)

// Plugged is a thing that is plugged in, and the configured device that uses it.
type Plugged struct {
	discovery.Found
	Configured string `json:"configured,omitempty"` // name of the device that uses it
	ConfigLine string `json:"configLine,omitempty"` // file and line of that device
}

// Match finds for each thing the configured device that uses it: by its node, whichever link names it, or by its USB
// id. cfg nil means that there is no configuration to compare with.
func Match(found []discovery.Found, cfg *config.Config) []Plugged {
	out := make([]Plugged, 0, len(found))
	for _, f := range found {
		p := Plugged{Found: f}
		if cfg != nil {
			for _, d := range cfg.Devices {
				if uses(d, f) {
					p.Configured, p.ConfigLine = d.Name, lineOf(cfg.Path, d.Name)
					break
				}
			}
		}
		out = append(out, p)
	}
	return out
}

func uses(d config.Device, f discovery.Found) bool {
	if vid, pid, serial, ok := d.Port.USBID(); ok {
		return vid == strings.ToUpper(f.VID) && pid == strings.ToUpper(f.PID) && (serial == "" || serial == f.Serial)
	}
	if f.Node == "" {
		return false
	}
	if d.Port.Target == f.Node || f.ByID != "" && d.Port.Target == f.ByID {
		return true
	}
	node := nodeOf(d.Port)
	if node == "" {
		return false
	}
	same, err := filepath.EvalSymlinks(f.Node)
	return err == nil && same == node
}

var nameLine = regexp.MustCompile(`^\s*name\s*=\s*["']([^"']*)["']`)

// lineOf is "file:line" of a device's name in the configuration, or the file where it cannot be found.
func lineOf(path, name string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return path
	}
	inDevice, n := false, 0
	for line := range strings.Lines(string(data)) {
		n++
		if head := strings.TrimSpace(line); strings.HasPrefix(head, "[") {
			inDevice = strings.HasPrefix(strings.ReplaceAll(head, " ", ""), "[[device]]")
		}
		if m := nameLine.FindStringSubmatch(line); inDevice && m != nil && m[1] == name {
			return fmt.Sprintf("%s:%d", path, n)
		}
	}
	return path
}
