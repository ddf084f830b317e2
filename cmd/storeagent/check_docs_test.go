package main

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"storeagent/devices"
	"storeagent/installer/config"
	"storeagent/offline"
	"storeagent/offline/cloud"
	"storeagent/payments/terminalsim"
	"storeagent/register/receipt"
)

// tomlBlocks are the TOML examples of a page, in order.
func tomlBlocks(page string) []string {
	var list []string
	for {
		_, rest, found := strings.Cut(page, "```toml\n")
		if !found {
			return list
		}
		block, after, _ := strings.Cut(rest, "```")
		list, page = append(list, block), after
	}
}

// TestDocsCanBeCopied configures and builds what the pages for technicians tell them to copy.
func TestDocsCanBeCopied(t *testing.T) {
	const head = `[cloud]
endpoint = "https://pos.example.com/api/graphql"
issuer = "https://pos.example.com/"
client_id = "storeagent"
[store]
code = "DALLAS"
register = "LANE-3"
timezone = "America/Chicago"
currency = "USD"
`
	dir := t.TempDir()
	_, root, err := terminalsim.NexoCertificate("P400Plus-275039202")
	if err != nil {
		t.Fatal(err)
	}
	var logo bytes.Buffer
	if err := png.Encode(&logo, image.NewGray(image.Rect(0, 0, 400, 100))); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"zvt-password": "000000\n", "nexo-passphrase": "secret\n", "nexo-root.pem": string(root),
		"logo.png": logo.String(), "receipt.tmpl": receipt.BuiltinTemplate(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pos, err := cloud.New(cloud.Config{Endpoint: "https://pos.example.com/api/graphql", Token: nobody{}})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(pages) < 4 {
		t.Fatalf("%d pages, %v", len(pages), err)
	}
	blocks := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		device := ""
		for _, block := range tomlBlocks(string(text)) {
			blocks++
			if strings.HasPrefix(block, "[device.options]") {
				block = device + block
			} else {
				device = block
			}
			block = strings.ReplaceAll(block, "/etc/storeagent/", filepath.ToSlash(dir)+"/")
			block = strings.TrimPrefix(block, "[store]\n") // goes on with that of head
			cfg, err := config.Parse(page, []byte(head+block), driverTable())
			if err != nil {
				t.Errorf("%s:\n%s\n%v", page, block, err)
				continue
			}
			devs, err := buildDevices(parts{
				opener: newOpener(), log: slog.New(slog.DiscardHandler), getenv: os.Getenv, onChange: func(devices.Info) {}, sink: deaf{},
				currency: cfg.Store.Currency, cloud: pos,
			}, cfg.Devices)
			if err != nil || len(devs) != strings.Count(block, "[[device]]") {
				t.Errorf("%s:\n%s\n%d devices, %v", page, block, len(devs), err)
			}
		}
	}
	if blocks < 5 {
		t.Errorf("only %d blocks were found", blocks)
	}
}

// nobody is a sign-in that never was.
type nobody struct{}

func (nobody) AccessToken(context.Context) (string, error) { return "", offline.ErrSignedOut }
func (nobody) Refused(context.Context, string) error       { return offline.ErrSignedOut }

// TestDocsPorts reads every port that the pages show, also those in tables.
func TestDocsPorts(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	ports := 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, word := range strings.Split(string(text), "`") {
			if i%2 == 0 || !strings.HasPrefix(word, "serial:") && !strings.HasPrefix(word, "tcp:") && !strings.HasPrefix(word, "file:") {
				continue
			}
			ports++
			block := "[store]\ncode = \"S\"\nregister = \"R\"\ntimezone = \"UTC\"\ncurrency = \"USD\"\n[cloud]\nendpoint = \"https://h/\"\nissuer = \"https://h/\"\nclient_id = \"c\"\n" +
				"[[device]]\nname = \"x\"\ndriver = \"escpos\"\nport = \"" + word + "\"\n"
			if _, err := config.Parse(page, []byte(block), driverTable()); err != nil {
				t.Errorf("%s: %s: %v", page, word, err)
			}
		}
	}
	if ports < 10 {
		t.Errorf("only %d ports were found", ports)
	}
}
