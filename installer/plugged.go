package installer

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"storeagent/devices"
	"storeagent/devices/discovery"
	"storeagent/devices/port"
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

// couldBe adds to a device that is missing what is plugged in and unused and could be it: the same thing on another
// port, a scanner in keyboard mode, a printer that the kernel gave no node.
func (f *Finding) couldBe(category devices.Category, plugged []Plugged) {
	if f.Part != "device" || f.Code != string(port.Missing) {
		return
	}
	for _, p := range plugged {
		if p.Configured != "" || p.Seems != category {
			continue
		}
		name := strings.Join(strings.Fields(p.Manufacturer+" "+p.Product), " ")
		if name == "" {
			name = "a " + string(category)
		}
		if p.ConfigLines == "" { // it cannot be configured as it is, and its note says why
			f.Hint = name + " is plugged in. " + p.Note
		} else {
			f.Hint = name + " is plugged in at " + p.Node + " and not configured: storeagent devices shows its lines"
		}
		return
	}
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
