package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"storeagent/payments/terminalsim"
)

// TestScriptWordsAreDocumented: every word in the table and every line of the example is understood, and every step can
// be cut at.
func TestScriptWordsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/simulated-terminals.md")
	if err != nil {
		t.Fatal(err)
	}
	words := 0
	for line := range strings.Lines(string(text)) {
		row, ok := strings.CutPrefix(line, "| `")
		if !ok {
			continue
		}
		row, _, _ = strings.Cut("`"+row, "|")
		for _, w := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row, -1) {
			word := strings.NewReplacer("=HEX", "=05", "=MINOR", "=700", "=N", "=2", "=SECONDS", "=3", "=STEP", "=pay-received").Replace(w[1])
			if strings.HasPrefix(word, "=") {
				word = "lostack" + word
			}
			if _, err := terminalsim.ParseScript(word); err != nil {
				t.Errorf("%s: %v", w[1], err)
			}
			words++
		}
	}
	if words < 25 {
		t.Errorf("only %d words in the table", words)
	}
	example := regexp.MustCompile("(?s)## The script.*?```\n(.*?)```").FindStringSubmatch(string(text))
	if example == nil {
		t.Fatal("no example")
	}
	if list, err := terminalsim.ParseScript(example[1]); err != nil || len(list) != 6 {
		t.Errorf("the example: %d behaviours, %v", len(list), err)
	}
	for _, step := range terminalsim.Steps() {
		if !strings.Contains(string(text), "`"+step+"`") {
			t.Errorf("step %s is not documented", step)
		}
	}
}
