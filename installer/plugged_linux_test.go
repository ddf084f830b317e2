package installer

import (
	"os"
	"path/filepath"
	"testing"

	"storeagent/devices/discovery"
	"storeagent/devices/port"
	"storeagent/installer/config"
)

// TestMatch finds the configured device of a thing, however the configuration names it.
func TestMatch(t *testing.T) {
	dir := t.TempDir()
	node, byID := filepath.Join(dir, "ttyUSB0"), filepath.Join(dir, "usb-Maker_Thing-if00")
	if err := os.WriteFile(node, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{byID, filepath.Join(dir, "by-path")} {
		if err := os.Symlink(node, link); err != nil {
			t.Fatal(err)
		}
	}
	found := discovery.Found{Kind: discovery.Serial, Node: node, ByID: byID, VID: "0C2E", PID: "0720", Serial: "A1"}
	file := writeConfig(t, head+`name = "hand"
[[ device ]]
driver = "scanner"
  name = 'hand'
`)
	for _, c := range []struct {
		port string
		uses bool
	}{
		{"serial:" + node, true}, {"serial:" + node + "?baud=9600", true}, {"serial:" + byID, true}, {"serial:" + dir + "/by-path", true},
		{"serial:0c2e:0720", true}, {"serial:0C2E:0720:A1", true}, {"serial:0C2E:0720:B2", false}, {"serial:0C2E:0721", false},
		{"serial:" + dir + "/ttyUSB1", false}, {"tcp:127.0.0.1:9100", false},
	} {
		a, err := port.ParseAddress(c.port)
		if err != nil {
			t.Fatal(err)
		}
		cfg := &config.Config{Path: file, Devices: []config.Device{{Name: "hand", Port: a}}}
		got := Match([]discovery.Found{found}, cfg)[0]
		if (got.Configured == "hand") != c.uses || c.uses && got.ConfigLine != file+":9" {
			t.Errorf("%s: %q at %q", c.port, got.Configured, got.ConfigLine)
		}
	}
	if got := Match([]discovery.Found{found}, nil); len(got) != 1 || got[0].Configured != "" {
		t.Errorf("without a configuration: %+v", got)
	}
	if got := Match([]discovery.Found{{Kind: discovery.USB, VID: "0C2E", PID: "0720"}}, &config.Config{}); got[0].Configured != "" {
		t.Errorf("%+v", got)
	}
}
