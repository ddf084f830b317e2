// Package oracletest asks programs that are not ours, for tests that hold our own against them. It is called by tests
// behind the build tag oracle, which scripts/printing-oracle runs after installing the programs.
package oracletest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
)

// Ask runs testdata/printing/oracle.js with questions and decodes its answers, one each.
func Ask(tb testing.TB, questions, answers any) {
	tb.Helper()
	dir := os.Getenv("PRINTING_ORACLE")
	if dir == "" {
		tb.Fatal("run scripts/printing-oracle, it installs the npm packages and names their folder")
	}
	in, err := json.Marshal(questions)
	if err != nil {
		tb.Fatal(err)
	}
	cmd := exec.CommandContext(tb.Context(), "node", "oracle.js")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("node oracle.js: %v\n%s", err, complaint.String())
	}
	if err := json.Unmarshal(out, answers); err != nil {
		tb.Fatalf("node oracle.js: %v\n%s", err, out)
	}
}
