package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"storeagent/installer/config"
)

// tryoutHead is a store whose cloud is away; devices follow from line 9 on.
const tryoutHead = `[store]
code = "DALLAS"
register = "LANE-3"
timezone = "America/Chicago"
currency = "USD"
[cloud]
issuer = "http://127.0.0.1:1"
endpoint = "http://127.0.0.1:1/api/graphql"
client_id = "storeagent"
`

// TestConfigCheckRefusesWhatTheAgentRefuses tries options that only their driver can judge: "config check" says no with
// the device's line, and so does check, or the agent would not come up again after the restart that follows.
func TestConfigCheckRefusesWhatTheAgentRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, say string }{
		{"profile", "[[device]]\nname = \"paper\"\ndriver = \"escpos\"\nport = \"tcp:127.0.0.1:1\"\n[device.options]\nprofile = \"TM-X99\"\n", ":10: device paper: "},
		{"columns", "[[device]]\nname = \"paper\"\ndriver = \"escpos\"\nport = \"tcp:127.0.0.1:1\"\n[device.options]\ncolumns = 5\n", "columns is 5"},
		{"no such printer", "[[device]]\nname = \"till\"\ndriver = \"drawer\"\nport = \"printer:paper\"\n", "names no configured printer"},
		{"no terminal id", "[[device]]\nname = \"lane\"\ndriver = \"poscloud\"\n", "terminal_id"},
		{"no password file", "[[device]]\nname = \"card\"\ndriver = \"zvt\"\nport = \"tcp:127.0.0.1:1\"\n[device.options]\npassword = \"file:/nowhere/zvt-password\"\n", "/nowhere/zvt-password"},
		{"no roots", "ca_file = \"/nowhere/roots.pem\"\n", "cloud.ca_file: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, command := range [][]string{{"config", "check"}, {"check"}} {
				code, out := tryout(t, c.text, nil, command...)
				want := c.say
				if command[0] == "check" {
					want = strings.TrimPrefix(want, ":10: ") // its arrow names the line
				}
				if code != 2 || !strings.Contains(out, want) {
					t.Errorf("%v: exit %d\n%s", command, code, out)
				}
			}
		})
	}
}

// TestConfigCheckLooksPastSecretsOfOthers does not call a file wrong for a secret that only the service can see.
func TestConfigCheckLooksPastSecretsOfOthers(t *testing.T) {
	const card = "[[device]]\nname = \"card\"\ndriver = \"zvt\"\nport = \"tcp:127.0.0.1:1\"\n[device.options]\npassword = \"env:ZVT_PASSWORD\"\n"
	code, out := tryout(t, card, nil, "config", "check")
	if code != 0 || !strings.Contains(out, "Not looked at: device card: read secret env:ZVT_PASSWORD") || !strings.Contains(out, "is right") {
		t.Errorf("exit %d\n%s", code, out)
	}
	code, out = tryout(t, card, map[string]string{"ZVT_PASSWORD": "12"}, "config", "check")
	if code != 2 || !strings.Contains(out, "six digits") {
		t.Errorf("a password of two digits: exit %d\n%s", code, out)
	}
}

// TestCheckBlamesThePrinterOnce says what is wrong with a printer once, and of what is behind it only where to look.
func TestCheckBlamesThePrinterOnce(t *testing.T) {
	_, out := tryout(t, "[[device]]\nname = \"till\"\ndriver = \"drawer\"\nport = \"printer:paper\"\n"+
		"[[device]]\nname = \"paper\"\ndriver = \"escpos\"\nport = \"tcp:127.0.0.1:1\"\n[device.options]\ncolumns = 5\n", nil, "check")
	if strings.Count(out, "columns is 5") != 1 || !strings.Contains(out, "till: behind paper, which cannot be used") {
		t.Error(out)
	}
}

// tryout runs a command on a configuration of its own.
func tryout(t *testing.T, text string, env map[string]string, args ...string) (code int, out string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "storeagent.toml")
	text = tryoutHead + text + fmt.Sprintf("[data]\ndir = %q\n[server]\nlisten = \"127.0.0.1:%d\"\n", dir, ownPort())
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	code = run(t.Context(), append([]string{"--config", path}, args...), strings.NewReader(""), &b, &b, func(k string) string { return env[k] })
	return code, b.String()
}

// TestTableKeepsItsColumns puts every cell below its head, though the last cells of a row are empty.
func TestTableKeepsItsColumns(t *testing.T) {
	var b bytes.Buffer
	e := &env{stdout: &b}
	if err := e.table([][]string{{"NAME", "PORT", "TROUBLE"}, {"paper", "tcp:127.0.0.1:9100", ""}, {"lane", "", "signed_out"}}); err != nil {
		t.Fatal(err)
	}
	want := "NAME   PORT                TROUBLE\npaper  tcp:127.0.0.1:9100\nlane                       signed_out\n"
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

// TestEverySettingIsDocumented looks for each key of the configuration and of every driver's options in README and docs.
func TestEverySettingIsDocumented(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, page := range append(pages, "../../README.md") {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	keys := map[string]bool{}
	keysOf(reflect.TypeFor[config.Config](), keys)
	for _, d := range driverTable() {
		keysOf(reflect.TypeOf(d.Options()), keys)
	}
	for key := range keys {
		if !regexp.MustCompile(`\b` + key + `\b`).MatchString(text.String()) {
			t.Errorf("neither README.md nor docs name the setting %s", key)
		}
	}
	if len(keys) < 50 {
		t.Errorf("only %d settings were found", len(keys))
	}
}

// keysOf gathers the TOML keys of a struct and of those in it. Those of webhooks are left out: none is sent.
func keysOf(t reflect.Type, into map[string]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || t == reflect.TypeFor[config.Webhook]() {
		return
	}
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("toml"); key != "" && key != "-" {
			into[key] = true
			keysOf(t.Field(i).Type, into)
		}
	}
}
