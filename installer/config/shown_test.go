package config

import (
	"slices"
	"strings"
	"testing"
)

func TestShown(t *testing.T) {
	in := `# the terminal's password is 123456
[store]
code = "DALLAS" # call 555-0100

[cloud]
client_secret = "env:CLIENT_SECRET"
max_rate = 2.5
scopes = ["openid", # no secret
  "offline_access"]

[[webhook]]
url = "https://hooks.example.com/services/T000/B000/abcdef"
secret = "file:/etc/storeagent/hook"

[[device]]
name = "paper"
port = "file:/dev/usb/lp0"
pinning = true
[device.options]
password = "tops3cret"
pin = 1234
key_version = 1
passphrase = 'horse'
inline = {secret = "nested", path = "env:NESTED"}
`
	want := `
[store]
code = "DALLAS"

[cloud]
client_secret = "env:CLIENT_SECRET"
max_rate = 2.5
scopes = ["openid", "offline_access"]


[[webhook]]
url = "https://hooks.example.com/[removed]"
secret = "file:/etc/storeagent/hook"

[[device]]
name = "paper"
port = "file:/dev/usb/lp0"
pinning = true
[device.options]
password = "[removed]"
pin = "[removed]"
key_version = 1
passphrase = "[removed]"
inline = {secret = "[removed]", path = "env:NESTED"}
`
	got, refs := Shown([]byte(in))
	if got != want {
		t.Errorf("shown is\n%s\nwant\n%s", got, want)
	}
	var names []string
	for _, r := range refs {
		names = append(names, r.String())
	}
	if w := []string{"env:CLIENT_SECRET", "file:/etc/storeagent/hook", "env:NESTED"}; !slices.Equal(names, w) {
		t.Errorf("references %v, want %v", names, w)
	}
	if again, _ := Shown([]byte(got)); again != got {
		t.Errorf("shown twice is\n%s\nwant\n%s", again, got)
	}
}

func TestShownOfNoTOML(t *testing.T) {
	got, _ := Shown([]byte("[store]\ncode = \"DALLAS\"\npassword tops3cret\n"))
	if want := "[store]\ncode = \"DALLAS\"\n# not shown from here on: no TOML\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, _ := Shown(nil); got != "" {
		t.Errorf("nothing is shown as %q", got)
	}
}

func FuzzShown(f *testing.F) {
	f.Add("[a]\nb = 1\n")
	f.Add("a = {b = [1, 'x'], c.d = 1979-05-27}\n# x")
	f.Fuzz(func(t *testing.T, before string) {
		got, _ := Shown([]byte(before + "\n[device.options]\npassword = \"tops3cret\"\n# tops3cret\n"))
		if strings.Contains(got, "tops3cret") && !strings.Contains(before, "tops3cret") {
			t.Errorf("a secret is shown: %q", got)
		}
	})
}
