// Package installer is what a technician needs in the shop: one check of everything that can be wrong, each finding
// with its cause and the next step, and a list of what is plugged in with the configuration lines it wants.
//
// It is called by cmd. It imports the floors below to look at them and never changes anything: ports are opened, asked
// and closed, files are only read.
package installer

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Level is how bad a finding is.
type Level string

// The levels, best first.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Failure Level = "failure"
)

// Finding is one thing that was looked at.
type Finding struct {
	Part    string `json:"part"` // configuration, data, cloud, sign-in, queue or device
	Name    string `json:"name"` // what was looked at: data.dir, discovery, a device's name
	Level   Level  `json:"level"`
	Code    string `json:"code,omitempty"` // stable word for the kind of trouble, such as no_permission
	Message string `json:"message"`        // what was seen
	Hint    string `json:"hint,omitempty"` // what to do next
}

// Report is everything that was looked at, in the order of looking.
type Report struct {
	Agent    bool      `json:"agentRunning"` // whether the running agent answered, or ports were opened directly
	Findings []Finding `json:"findings"`
}

func (r *Report) add(f Finding) { r.Findings = append(r.Findings, f) }

// Worst is the worst level of the report.
func (r *Report) Worst() Level {
	order := []Level{OK, Warning, Failure}
	worst := OK
	for _, f := range r.Findings {
		if slices.Index(order, f.Level) > slices.Index(order, worst) {
			worst = f.Level
		}
	}
	return worst
}

// ExitCode is 0 for all well, 1 for warnings, 2 for failures.
func (r *Report) ExitCode() int {
	return map[Level]int{OK: 0, Warning: 1, Failure: 2}[r.Worst()]
}

// Text writes the report for a person.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	part := ""
	for _, f := range r.Findings {
		if f.Part != part {
			part = f.Part
			fmt.Fprintf(&b, "%s\n", part)
		}
		fmt.Fprintf(&b, "  %-7s %s: %s\n", map[Level]string{OK: "ok", Warning: "WARNING", Failure: "FAILED"}[f.Level], f.Name, f.Message)
		if f.Hint != "" && f.Level != OK {
			fmt.Fprintf(&b, "          → %s\n", f.Hint)
		}
	}
	switch r.Worst() {
	case OK:
		b.WriteString("All well.\n")
	case Warning:
		b.WriteString("It works, with warnings.\n")
	case Failure:
		b.WriteString("Something is broken; the arrows say what to do.\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
