package devicesim

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFreePorts(t *testing.T) {
	status := filepath.Join(t.TempDir(), "status")
	if _, err := freePorts(status); err == nil || !strings.Contains(err.Error(), "modprobe vhci-hcd") {
		t.Errorf("a kernel without the controller: %v", err)
	}
	const header = "hub port sta spd dev      sockfd local_busid\n"
	for text, want := range map[string][]int{
		header + "hs  0000 004 000 00000000 000000 0-0\nhs  0001 006 002 00010002 000003 1-2\nhs  0002 004 000 00000000 000000 0-0\nss  0008 004 000 00000000 000000 0-0\n": {0, 2},
		header + "hs  0000 006 002 00010002 000003 1-2\n": nil,
		"": nil,
	} {
		if err := os.WriteFile(status, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := freePorts(status); !slices.Equal(got, want) || (err == nil) != (len(want) > 0) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}
