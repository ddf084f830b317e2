package main

import (
	"bytes"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// command runs the program.
func command(t *testing.T, config string, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), append([]string{"--config", config}, args...), strings.NewReader(""), &stdout, &stderr, os.Getenv)
	return code, stdout.String(), stderr.String()
}

// TestReceiptCommand holds that the command shows what is configured, and that the template in the documentation works.
func TestReceiptCommand(t *testing.T) {
	dir := t.TempDir()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "receipt.md"))
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)A whole one:\n\n```\n(.*?)```").FindSubmatch(page)
	if example == nil {
		t.Fatal("docs/receipt.md has no example")
	}
	own := filepath.Join(dir, "receipt.tmpl")
	config := filepath.Join(dir, "storeagent.toml")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(own, string(example[1]))
	write(config, `[store]
code = "DALLAS"
register = "LANE-3"
timezone = "Europe/Berlin"
currency = "EUR"
locale = "de-DE"
name = "Eckladen"
[receipt]
template = '`+own+`'
[cloud]
endpoint = "https://pos.example.com/api/graphql"
issuer = "https://pos.example.com/"
client_id = "storeagent"
`)
	storeagent := func(args ...string) (code int, out, errs string) { return command(t, config, args...) }
	if code, out, errs := storeagent("receipt", "--columns", "32"); code != 0 || !strings.Contains(out, "Eckladen") || !strings.Contains(out, "Summe                 3.143,00\u00a0€\n") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	picture := filepath.Join(dir, "receipt.png")
	if code, _, errs := storeagent("receipt", "--kind", "refund", "--png", picture); code != 0 {
		t.Errorf("%d %s", code, errs)
	}
	data, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := png.DecodeConfig(bytes.NewReader(data)); err != nil || c.Width != 512 || c.Height < 300 {
		t.Errorf("%+v %v", c, err)
	}
	code, builtin, _ := storeagent("receipt", "--template")
	if code != 0 || !strings.Contains(builtin, "{{range .Lines -}}") {
		t.Errorf("%d %s", code, builtin)
	}
	write(own, builtin)
	if code, out, errs := storeagent("receipt"); code != 0 || !strings.Contains(out, "Zwischensumme                     2.901,00\n") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	write(own, "a\n{{.Nothing}}\n")
	for _, args := range [][]string{{"receipt"}, {"config", "check"}, {"serve"}} {
		if code, _, errs := storeagent(args...); code != 2 || !strings.Contains(errs, own+":2: ") {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
	if code, _, _ := storeagent("receipt", "--columns", "10"); code != 2 {
		t.Errorf("10 columns: %d", code)
	}
}

// TestReceiptOnPaper prints a receipt of a store with a locale, a logo and a template of its own: what the printer shows is
// what the preview said, down to the letters.
func TestReceiptOnPaper(t *testing.T) {
	ts := openTestShop(t, nil)
	text, err := os.ReadFile(ts.shop.config())
	ts.must(err)
	logo, own := filepath.Join(t.TempDir(), "logo.png"), filepath.Join(t.TempDir(), "own.tmpl")
	var b bytes.Buffer
	ts.must(png.Encode(&b, image.NewGray(image.Rect(0, 0, 80, 40))))
	ts.must(os.WriteFile(logo, b.Bytes(), 0o600))
	_, builtin, _ := command(t, ts.shop.config(), "receipt", "--template")
	ts.must(os.WriteFile(own, []byte(builtin+"`~own~layout~`\n"), 0o600))
	with := strings.Replace(string(text), "currency = \"USD\"\n", "currency = \"USD\"\nlocale = \"cs-CZ\"\n", 1)
	ts.must(os.WriteFile(ts.shop.config(), []byte(with+"\n[receipt]\nfooter = [\"Děkujeme\"]\nlogo = '"+logo+"'\ntemplate = '"+own+"'\n"), 0o600))
	ts.restart()
	_, err = ts.devicesReady(ts.ctx)
	ts.must(err)
	code, out := ts.command("print-test", "--receipt", "sale", "--wait", "90s")
	if code != 0 || !strings.Contains(out, "printed: the printer confirmed it") {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	_, shown, _ := command(t, ts.shop.config(), "receipt")
	cut := strings.TrimSpace(strings.Repeat("- ", 21)) // a line of the preview alone
	clean := func(s string) string { return strings.Join(strings.Fields(strings.ReplaceAll(s, cut, "")), " ") }
	paper := clean(strings.Join(ts.shop.printer.Receipts(), ""))
	if want := clean(shown); paper != want || !strings.Contains(paper, "Mezisoučet 2 901,00") || !strings.Contains(paper, "own layout") {
		t.Errorf("paper\n%s\nshown\n%s", paper, want)
	}
	if g := ts.shop.printer.Garbage(); len(g) > 0 {
		t.Errorf("garbage: %q", g)
	}
}
