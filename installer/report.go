// Package installer is what a technician needs in the shop: one check of everything that can be wrong, each finding
// with its cause and the next step, and a list of what is plugged in with the configuration lines it wants.
//
// It is called by cmd. It imports the floors below to look at them and changes nothing unless asked to repair: ports
// are opened, asked and closed, files are only read.
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

func levels() []Level { return []Level{OK, Warning, Failure} }

// Finding is one thing that was looked at.
type Finding struct {
	Part    string `json:"part"` // configuration, data, cloud, agent, sign-in, queue or device
	Name    string `json:"name"` // what was looked at: a file and line, a folder, an address, a device's name
	Level   Level  `json:"level"`
	Code    string `json:"code,omitempty"` // stable word for the kind of trouble, such as no_permission; none where all is well
	Message string `json:"message"`        // what was seen
	Hint    string `json:"hint,omitempty"` // what to do next
}

// Report is everything that was looked at, in the order of looking. As JSON it keeps this shape:
//
//	{"agentRunning": true, "worst": "ok|warning|failure",
//	 "findings": [{"part", "name", "level": "ok|warning|failure", "code"?, "message", "hint"?}]}
type Report struct {
	Agent    bool      `json:"agentRunning"` // whether the running agent answered, or ports were opened directly
	Worst    Level     `json:"worst"`        // the worst level of all findings
	Findings []Finding `json:"findings"`
}

func newReport() *Report { return &Report{Worst: OK, Findings: []Finding{}} }

func (r *Report) add(list ...Finding) {
	for _, f := range list {
		r.Findings = append(r.Findings, f)
		if slices.Index(levels(), f.Level) > slices.Index(levels(), r.Worst) {
			r.Worst = f.Level
		}
	}
}

// ExitCode is 0 for all well, 1 for warnings, 2 for failures.
func (r *Report) ExitCode() int { return slices.Index(levels(), r.Worst) }

// Text writes the report for a person: by part, with an arrow before each next step.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	part := ""
	for _, f := range r.Findings {
		if f.Part != part {
			part = f.Part
			fmt.Fprintf(&b, "%s\n", part)
		}
		label := map[Level]string{OK: "ok", Warning: "WARNING", Failure: "FAILED"}[f.Level]
		fmt.Fprintf(&b, "  %-7s %s: %s\n", label, f.Name, f.Message)
		if f.Hint != "" {
			fmt.Fprintf(&b, "          → %s\n", f.Hint)
		}
	}
	b.WriteString(map[Level]string{
		OK: "All well.\n", Warning: "It works, with warnings.\n", Failure: "Something is broken; the arrows say what to do.\n",
	}[r.Worst])
	_, err := io.WriteString(w, b.String())
	return err
}
