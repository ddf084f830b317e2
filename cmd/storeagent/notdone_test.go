package main

import (
	"strings"
	"testing"
)

func TestConfigCheckNamesWhatIsNotDone(t *testing.T) {
	const hook = "[[webhook]]\nurl = \"https://example.com/hook\"\ntypes = [\"sale\"]\n"
	for device, want := range map[string]bool{hook: true, "": false} {
		code, out := tryout(t, device, nil, "config", "check")
		if code != exitOK || strings.Contains(out, "sends no webhooks") != want {
			t.Errorf("%q: exit %d, %s", device, code, out)
		}
	}
}
