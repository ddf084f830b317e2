package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/installer/config"
)

type zvtOptions struct {
	Password config.Secret `toml:"password"`
	TimeoutS int           `toml:"timeout_s"`
}

func drivers() []config.Driver {
	return []config.Driver{
		{Name: "zvt", Category: devices.PaymentTerminal, Schemes: []string{"serial", "tcp"}, Options: func() any { return &zvtOptions{TimeoutS: 180} }},
		{Name: "escpos", Category: devices.POSPrinter, Schemes: []string{"serial", "tcp", "file"}, Options: func() any { return &struct{}{} }},
	}
}

const good = `[store]
code = "DALLAS"
register = "LANE-3"
timezone = "America/Chicago"
currency = "USD"
[data]
dir = "/var/lib/storeagent"
[cloud]
endpoint = "https://pos.example.com/api/graphql"
issuer = "https://pos.example.com/"
client_id = "storeagent"
[giftcard.offline]
max_amount_per_transaction = "25.00"
[[device]]
name = "front"
driver = "zvt"
port = "serial:/dev/ttyUSB0?baud=9600&stop=2"
[device.options]
password = "env:ZVT_PASSWORD"
[[device]]
name = "paper"
driver = "escpos"
port = "tcp:10.0.0.5:9100"
`

func TestGood(t *testing.T) {
	c, err := config.Parse("storeagent.toml", []byte(good), drivers())
	if err != nil {
		t.Fatal(err)
	}
	if c.Store.Location.String() != "America/Chicago" || c.Server.Listen != "127.0.0.1:8787" || c.Cloud.MaxInFlight != 8 ||
		c.Cloud.ResumeJitter.Duration != 10*time.Second || !c.Cloud.SendPurchases || c.Devices[0].Category != devices.PaymentTerminal {
		t.Errorf("defaults or values are wrong: %+v", c)
	}
	o, ok := c.Devices[0].Decoded.(*zvtOptions)
	if !ok || o.TimeoutS != 180 {
		t.Fatalf("options: %#v", c.Devices[0].Decoded)
	}
	secret, err := o.Password.Resolve(func(name string) string { return map[string]string{"ZVT_PASSWORD": "000000"}[name] })
	if err != nil || secret != "000000" {
		t.Errorf("secret: %q %v", secret, err)
	}
	if _, err := o.Password.Resolve(func(string) string { return "" }); err == nil {
		t.Error("a missing secret was taken for an empty one")
	}
}

// TestRefused replaces one line of the good file and looks for the line number and the words of the refusal.
func TestRefused(t *testing.T) {
	tests := []struct {
		name, old, new string
		line           int
		words          []string
	}{
		{"unknown key", `register = "LANE-3"`, `register = "LANE-3"` + "\nregistre = 1", 4, []string{"store.registre", "unknown key", `did you mean "register"`}},
		{"unknown table", `[data]`, "[dat]", 6, []string{"dat", "unknown", `did you mean "data"`}},
		{"wrong type", `code = "DALLAS"`, `code = 5`, 2, []string{"store.code", "quotes"}},
		{"wrong type in the words of the file", `code = "DALLAS"`, `code = 5`, 2, []string{"wrong kind (integer)"}},
		{"wrong type of an option", `password = "env:ZVT_PASSWORD"`, `timeout_s = "180"`, 19, []string{"device[0].options.timeout_s: is of the wrong kind (string) ("}},
		{"no quotes", `code = "DALLAS"`, `code = DALLAS`, 2, []string{"quotes"}},
		{"quote missing", `code = "DALLAS"`, `code = "DALLAS`, 2, []string{"quote at the end"}},
		{"backslash", `code = "DALLAS"`, `code = "C:\Temp"`, 2, []string{"twice"}},
		{"single brackets", `name = "paper"`, "name = \"paper\"\n[device]\nname = \"x\"", 22, []string{"double brackets"}},
		{"missing", `code = "DALLAS"`, ``, 1, []string{"store.code", "is missing"}},
		{"timezone", "America/Chicago", "Chicago", 4, []string{"store.timezone"}},
		{"currency", `"USD"`, `"usd"`, 5, []string{"store.currency", "USD"}},
		{"plain http", "https://pos.example.com/api", "http://pos.example.com/api", 9, []string{"cloud.endpoint", "https"}},
		{"bad address", "serial:/dev/ttyUSB0?baud=9600&stop=2", "serial:/dev/ttyUSB0?bauds=9600", 17, []string{"device.port"}},
		{"scheme", "tcp:10.0.0.5:9100", "usb:04b8:0202", 23, []string{"port"}},
		{"driver", `driver = "escpos"`, `driver = "epson"`, 22, []string{"device[1].driver", "escpos"}},
		{"name twice", `name = "paper"`, `name = "front"`, 21, []string{"device[1].name", "line 14"}},
		{"name", `name = "paper"`, `name = "Front Printer"`, 21, []string{"device[1].name"}},
		{"unknown option", `password = "env:ZVT_PASSWORD"`, `pasword = "env:ZVT_PASSWORD"`, 19, []string{"device[0].options.pasword", `did you mean "password"`}},
		{"secret in the open", `"env:ZVT_PASSWORD"`, `"000000"`, 19, []string{"never written here"}},
		{"amount", `"25.00"`, `"25,00"`, 13, []string{"max_amount_per_transaction"}},
		{"amount as number", `"25.00"`, `25.00`, 13, []string{"quotes"}},
		{"listen", "[data]", "[server]\nlisten = \"0.0.0.0:8787\"\n[data]", 7, []string{"server.listen", "127.0.0.1:8787"}},
		{"listen where no caller may ask", "[data]", "[server]\nlisten = \"127.0.0.2:8787\"\n[data]", 7, []string{"server.listen", "localhost", "127.0.0.1:8787"}},
		{"origin", "[data]", "[server]\nallowed_origins = [\"*\"]\n[data]", 7, []string{"allowed_origins[0]"}},
		{"resend without a name", `client_id = "storeagent"`, "client_id = \"storeagent\"\nunknown_outcome = \"resend\"", 8, []string{"unknown_outcome_by"}},
		{"pattern", "[data]", "[scan]\npatterns = [\"20IIIIICPPPPK\", \"20IIIICPPPK\"]\n[data]", 7, []string{"scan.patterns[1]", "4 or 5 digits", "20IIIIICPPPPK"}},
		{"locale", `currency = "USD"`, "currency = \"USD\"\nlocale = \"klingon\"", 6, []string{"store.locale", "de-DE"}},
		{"receipt word", "[data]", "[receipt.words]\ntotl = \"x\"\n[data]", 7, []string{"receipt.words.totl", "no word", "total"}},
		{"receipt template", "[data]", "[receipt]\ntemplate = \"receipt.tmpl\"\n[data]", 7, []string{"receipt.template", "absolute"}},
		{"receipt logo", "[data]", "[receipt]\nlogo = \"/nonexistent.png\"\n[data]", 7, []string{"receipt.logo", "cannot be read"}},
		{"receipt footer", "[data]", "[receipt]\nfooter = \"Thank you\"\n[data]", 7, []string{"receipt.footer"}},
		{"flow", `client_id = "storeagent"`, "client_id = \"storeagent\"\nflow = \"password\"", 12, []string{"cloud.flow", "client_credentials"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			text := strings.Replace(good, tc.old, tc.new, 1)
			if text == good {
				t.Fatal("the replacement did not happen")
			}
			_, err := config.Parse("storeagent.toml", []byte(text), drivers())
			var e *config.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v", err)
			}
			if !slices.ContainsFunc(e.Problems, func(p config.Problem) bool { return p.Line == tc.line }) {
				t.Errorf("no problem in line %d:\n%v", tc.line, err)
			}
			for _, w := range tc.words {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("does not say %q:\n%v", w, err)
				}
			}
		})
	}
}

func TestEverythingWrongAtOnce(t *testing.T) {
	text := strings.NewReplacer("USD", "usd", "escpos", "epson", `dir = "/var`, `dir = "var`).Replace(good)
	_, err := config.Parse("storeagent.toml", []byte(text), drivers())
	var e *config.Error
	if !errors.As(err, &e) || len(e.Problems) < 3 {
		t.Fatalf("got %v", err)
	}
	if !slices.IsSortedFunc(e.Problems, func(a, b config.Problem) int { return a.Line - b.Line }) {
		t.Errorf("not in the order of the file:\n%v", err)
	}
}

func TestLoadMissingFile(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "none.toml"), drivers())
	var e *config.Error
	if !errors.As(err, &e) || !strings.Contains(err.Error(), "STOREAGENT_CONFIG") {
		t.Fatalf("got %v", err)
	}
}

func TestSecretFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pw")
	if err := os.WriteFile(path, []byte("123456\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var s config.Secret
	if err := s.UnmarshalText([]byte("file:" + path)); err != nil {
		t.Fatal(err)
	}
	if v, err := s.Resolve(os.Getenv); err != nil || v != "123456" {
		t.Errorf("got %q, %v", v, err)
	}
}

func TestListenAddresses(t *testing.T) {
	got := config.Server{Listen: "localhost:8787"}.ListenAddresses()
	if !slices.Equal(got, []string{"127.0.0.1:8787", "[::1]:8787"}) {
		t.Errorf("got %v", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("[[device]]\nname = 1\n[device.options]\nx = {y = 1}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := config.Parse("f.toml", text, drivers())
		if (c == nil) == (err == nil) {
			t.Fatalf("config %v and error %v", c, err)
		}
	})
}
