package main

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"storeagent/devices"
	"storeagent/devices/printer"
)

// TestStoreLogo: nothing is written by a printer that cannot print just now, nor later, and one command writes once.
func TestStoreLogo(t *testing.T) {
	ts := openTestShop(t, nil)
	text, err := os.ReadFile(ts.shop.config())
	ts.must(err)
	var b bytes.Buffer
	ts.must(png.Encode(&b, image.NewGray(image.Rect(0, 0, 100, 50))))
	logo := filepath.Join(t.TempDir(), "logo.png")
	ts.must(os.WriteFile(logo, b.Bytes(), 0o600))
	profiled := strings.Replace(string(text), "driver = \"escpos\"\n", "driver = \"escpos\"\noptions = { profile = \"TM-T88V\" }\n", 1)
	ts.must(os.WriteFile(ts.shop.config(), []byte(profiled), 0o600))
	ts.restart()
	_, err = ts.devicesReady(ts.ctx)
	ts.must(err)

	ts.shop.printer.SetCover(true)
	ts.eventually("the agent sees the cover", func() bool {
		list, err := ts.till.Devices(ts.ctx)
		return err == nil && list[1].State == devices.Error
	})
	code, out := ts.command("print-test", "--store-logo", logo, "--key", "LG", "--wait", "10s") // long enough for the job to be taken up
	if code != 1 || !strings.Contains(out, "nothing was written: the print job is blocked, cover_open") || !strings.Contains(out, "→ close the cover") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	ts.shop.printer.SetCover(false)
	ts.eventually("the waiting line comes", func() bool { return strings.Contains(ts.shop.printer.Paper(), "Before, stored as LG:") })
	if n := ts.shop.printer.MemoryWrites(); n != 0 {
		t.Errorf("%d images were written", n)
	}

	code, out = ts.command("print-test", "--store-logo", logo, "--key", "LG", "--wait", "90s", "--json")
	var job printer.Job
	if err := json.Unmarshal([]byte(out), &job); err != nil || code != 0 || job.State != printer.Printed {
		t.Fatalf("exit %d, %v:\n%s", code, err, out)
	}
	images := ts.shop.printer.Images()
	if len(images) != 1 || images[0].Rect != image.Rect(0, 0, 100, 50) || ts.shop.printer.MemoryWrites() != 1 {
		t.Errorf("%d images on paper, %d written", len(images), ts.shop.printer.MemoryWrites())
	}
	if g := ts.shop.printer.Garbage(); len(g) > 0 {
		t.Errorf("garbage: %q", g)
	}
	if code, out = ts.command("print-test", "--store-logo", filepath.Join(t.TempDir(), "none.png"), "--key", "LG"); code != 2 || !strings.Contains(out, "none.png") {
		t.Errorf("no file: exit %d:\n%s", code, out)
	}
}
