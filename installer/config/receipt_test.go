package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"storeagent/devices/printer"
	"storeagent/installer/config"
	"storeagent/register/receipt"
)

// TestReceipt holds that what is configured is what receipts look like.
func TestReceipt(t *testing.T) {
	dir := t.TempDir()
	template, logo := filepath.Join(dir, "receipt.tmpl"), filepath.Join(dir, "logo.png")
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewGray(image.Rect(0, 0, 40, 20))); err != nil {
		t.Fatal(err)
	}
	write(t, logo, b.String())
	write(t, template, "{image:{{.Logo}}}\n{{.Store.Name}}\n{{range .Store.Address}}{{.}}\n{{end}}{{word \"total\"}} | {{money .Total}}\n{{range .Store.Footer}}{{.}}\n{{end}}")
	text := strings.Replace(good, "[data]", fmt.Sprintf("locale = \"de-DE\"\nname = \"Laden\"\naddress = \"Hauptstr. 1\\n10115 Berlin\"\n[receipt]\ntemplate = %q\nlogo = %q\nfooter = [\"Danke!\", \"Bis bald\"]\n[receipt.words]\ntotal = \"Endbetrag\"\n[data]", template, logo), 1)
	c, err := config.Parse("storeagent.toml", []byte(text), drivers())
	if err != nil {
		t.Fatal(err)
	}
	r, err := c.Receipt.Form.Layout(receipt.Sample(receipt.SampleBare, "USD", 32))
	if err != nil || r.Problem != nil {
		t.Fatal(err, r.Problem)
	}
	want := "         [IMAGE 40x20]\n             Laden\n          Hauptstr. 1\n          10115 Berlin\nEndbetrag                 2,00\u00a0$\n             Danke!\n            Bis bald\n- - - - - - - - - - - - - - - -\n"
	if got := printer.PreviewText(r.Document, 32); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	for _, tt := range []struct {
		template, logo string
		file           string
		line           int
		words          string
	}{
		{"a\n{{.Nothing}}\n", b.String(), template, 2, "Nothing"},
		{" \n", b.String(), "storeagent.toml", 10, "empty file"},
		{"a", "", "storeagent.toml", 11, "empty file"},
		{"a", "GIF89a", "storeagent.toml", 11, "no image"},
		{strings.Repeat("a", receipt.MaxTemplate+1), b.String(), "storeagent.toml", 10, "over"},
	} {
		write(t, template, tt.template)
		write(t, logo, tt.logo)
		_, err := config.Parse("storeagent.toml", []byte(text), drivers())
		var bad *config.Error
		if !errors.As(err, &bad) || len(bad.Problems) != 1 || bad.Problems[0].File != tt.file || bad.Problems[0].Line != tt.line || !strings.Contains(bad.Problems[0].Message, tt.words) {
			t.Errorf("%.20q %.6q: %v", tt.template, tt.logo, err)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
