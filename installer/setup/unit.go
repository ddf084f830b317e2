package setup

import (
	_ "embed"
	"fmt"
	"strings"
)

// Where things go on Linux.
const (
	programPath = "/usr/local/bin/storeagent"
	unitPath    = "/etc/systemd/system/storeagent.service"
	unitLink    = "/etc/systemd/system/multi-user.target.wants/storeagent.service"
	rulesPath   = "/etc/udev/rules.d/70-storeagent.rules"
	configDir   = "/etc/storeagent"
	defaultData = "/var/lib/storeagent"
)

// sample is the configuration to fill in.
//
//go:embed storeagent.toml
var sample string

//go:embed storeagent.service
var unitText string

// unit is the systemd unit.
func (r *runner) unit() string {
	return strings.NewReplacer(
		"@PROGRAM@", programPath, "@CONFIG@", quote(r.ConfigPath), "@DATA@", quote(r.dataDir()), "@USER@", Name,
	).Replace(unitText)
}

// quote spells a path for a unit: specifiers begin with a percent sign there (systemd.unit(5)).
func quote(path string) string {
	path = strings.ReplaceAll(path, "%", "%%")
	if strings.ContainsAny(path, " \t\"'\\$;") {
		return fmt.Sprintf("%q", strings.ReplaceAll(path, "$", "$$"))
	}
	return path
}
