package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/installer"
	"storeagent/payments/terminalsim"
)

// command runs a command of this program on the shop's configuration.
func (ts *testShop) command(args ...string) (code int, out string) {
	ts.tb.Helper()
	var b bytes.Buffer
	code = run(ts.ctx, append([]string{"--config", ts.shop.config()}, args...), strings.NewReader(""), &b, &b, os.Getenv)
	return code, b.String()
}

// checked is the report of check --json.
func (ts *testShop) checked() (installer.Report, int) {
	ts.tb.Helper()
	code, out := ts.command("check", "--json")
	var r installer.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		ts.tb.Fatalf("check says %q: %v", out, err)
	}
	if code != r.ExitCode() {
		ts.tb.Errorf("exit %d for %s", code, r.Worst)
	}
	return r, code
}

func deviceFindings(r installer.Report) []installer.Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f installer.Finding) bool { return f.Part != "device" })
}

// TestCheckIsRightInBothModes breaks devices for real, asks the running agent and then, without one, the devices, and
// wants the same words.
func TestCheckIsRightInBothModes(t *testing.T) {
	ts := openTestShop(t, nil)
	ctx, cancel := context.WithCancel(ts.ctx)
	t.Cleanup(cancel) // before the shop closes, which waits for its devices
	strange := terminalsim.NewZVT(terminalsim.Options{Currency: "840", Password: "999999"})
	ts.must(ts.shop.plugIn(ctx, "strange", func(ctx context.Context, rw io.ReadWriteCloser, serial bool) error {
		return serveTerminal(ctx, strange, rw, serial)
	}))
	ts.must(ts.shop.plugIn(ctx, "mute", func(ctx context.Context, rw io.ReadWriteCloser, _ bool) error {
		_, err := io.Copy(io.Discard, contextReader(ctx, rw))
		return err
	}))
	config, err := os.OpenFile(ts.shop.config(), os.O_APPEND|os.O_WRONLY, 0)
	ts.must(err)
	_, err = fmt.Fprintf(config, `
[[device]]
name = "strange"
driver = "zvt"
port = %q
[device.options]
password = "file:%s"
[[device]]
name = "mute"
driver = "escpos"
port = %q
[[device]]
name = "gone"
driver = "scanner"
port = "serial:%s"
[[device]]
name = "elsewhere"
driver = "escpos"
port = "tcp:127.0.0.1:1"
`, ts.shop.ports["strange"], filepath.ToSlash(filepath.Join(ts.shop.dir, "zvt-password")), ts.shop.ports["mute"], filepath.Join(ts.shop.dir, "tty-gone"))
	ts.must(err)
	ts.must(config.Close())
	ts.shop.printer.SetCover(true)
	ts.restart()

	want := map[string]string{
		"card": "", "paper": "cover_open", "hand": "", "strange": "device_error", "mute": "silent", "gone": "missing", "elsewhere": "missing",
	}
	var agent installer.Report
	ts.eventually("the agent knows what is wrong with each device", func() bool {
		r, code := ts.checked()
		if agent = r; !r.Agent || code != 2 {
			t.Fatalf("agent %v, exit %d", r.Agent, code)
		}
		for _, f := range deviceFindings(r) {
			if f.Code != want[f.Name] {
				return false
			}
		}
		return true
	})
	ts.shop.kill()
	direct, code := ts.checked()
	if direct.Agent || code != 2 {
		t.Errorf("without the agent: agent %v, exit %d", direct.Agent, code)
	}
	a, b := deviceFindings(agent), deviceFindings(direct)
	if len(a) != len(want) || !slices.Equal(a, b) {
		for i := range a {
			if i >= len(b) || a[i] != b[i] {
				t.Errorf("the agent says %+v\nwithout it %+v", a[i], b[i])
			}
		}
		t.Errorf("%d and %d devices, want %d", len(a), len(b), len(want))
	}
	for _, f := range direct.Findings {
		if f.Part == "agent" && f.Code != "not_running" {
			t.Errorf("%+v", f)
		}
	}
	ts.must(ts.shop.start(ts.ctx)) // the shop's end looks for the running agent's files
}

func TestCheckOfAWholeShop(t *testing.T) {
	ts := openOnlineShop(t, nil)
	ts.eventually("all is well", func() bool { _, code := ts.checked(); return code == 0 })
	code, out := ts.command("check")
	if code != 0 || !strings.HasSuffix(out, "All well.\n") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	for _, wrong := range [][]string{{"check", "--jsn"}, {"check", "everything"}} {
		if code, _ := ts.command(wrong...); code != 64 {
			t.Errorf("%v: exit %d", wrong, code)
		}
	}
	data := filepath.Join(ts.shop.dir, "data")
	ts.must(os.Chmod(data, 0o755))
	if r, code := ts.checked(); code != 1 || r.Worst != installer.Warning {
		t.Errorf("open folder: exit %d, %+v", code, r)
	}
	if code, out := ts.command("check", "--fix"); code != 0 || !strings.Contains(out, "closed to other users") {
		t.Errorf("--fix: exit %d:\n%s", code, out)
	}
	ts.must(os.WriteFile(ts.shop.config(), []byte("[store]\ncolour = 1\n"), 0o600))
	if code, out := ts.command("check"); code != 2 || !strings.Contains(out, ts.shop.config()+":2: ") {
		t.Errorf("broken configuration: exit %d:\n%s", code, out)
	}
}

// TestCheckWithAStranger has something else listen where the agent should.
func TestCheckWithAStranger(t *testing.T) {
	ts := openTestShop(t, nil)
	text, err := os.ReadFile(ts.shop.config())
	ts.must(err)
	cloud := strings.Replace(string(text), ts.shop.listen, ts.shop.line.address(), 1) // the simulated cloud is no agent
	other := strings.Replace(string(text), filepath.Join(ts.shop.dir, "data"), t.TempDir(), 1)
	for what, text := range map[string]string{"not an agent": cloud, "another store's agent": other} {
		path := filepath.Join(t.TempDir(), "storeagent.toml")
		ts.must(os.WriteFile(path, []byte(text), 0o600))
		var out bytes.Buffer
		code := run(ts.ctx, []string{"--config", path, "check", "--json"}, nil, &out, &out, os.Getenv)
		want := `"code":"port_taken"`
		if what == "not an agent" {
			want = `"code":"locked"` // our own agent still holds the database
		}
		if code != 2 || !strings.Contains(out.String(), want) || !strings.Contains(out.String(), `"agentRunning":false`) {
			t.Errorf("%s: exit %d: %s", what, code, out.String())
		}
	}
}

func TestDevicesNamesTheAgentsDevices(t *testing.T) {
	ts := openTestShop(t, nil)
	code, out := ts.command("devices", "--json")
	var got pluggedIn
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 {
		t.Fatalf("exit %d, %v: %s", code, err, out)
	}
	if !got.Agent || len(got.Configured) != 3 || got.Found == nil || got.Configured[1].State != devices.Ready {
		t.Errorf("%+v", got)
	}
	if code, out := ts.command("devices"); code != 0 || !strings.Contains(out, "as the running agent sees them") || !strings.Contains(out, "posPrinter") {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

func TestPrintTest(t *testing.T) {
	ts := openTestShop(t, nil)
	code, out := ts.command("print-test", "--wait", "90s")
	if code != 0 || !strings.Contains(out, "42 columns): printed: the printer confirmed it") {
		t.Fatalf("exit %d:\n%s", code, out)
	}
	pages := ts.shop.printer.Receipts()
	if len(pages) != 1 {
		t.Fatalf("%d pages", len(pages))
	}
	for _, want := range []string{"Test page of paper", "123456789012345678901234567890123456789012\n", "ÄÖÜäöüß éèàç ñ € £", "4006381333931", "storeagent test page"} {
		if !strings.Contains(pages[0], want) {
			t.Errorf("no %q on\n%s", want, pages[0])
		}
	}
	if g := ts.shop.printer.Garbage(); len(g) > 0 {
		t.Errorf("garbage: %q", g)
	}

	ts.shop.printer.SetCover(true)
	ts.eventually("the agent sees the cover", func() bool {
		list, err := ts.till.Devices(ts.ctx)
		return err == nil && list[1].State == devices.Error
	})
	code, out = ts.command("print-test", "paper", "--wait", "10s") // long enough for the job to be taken up
	if code != 1 || !strings.Contains(out, "blocked, cover open") || !strings.Contains(out, "→ close the cover") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	ts.shop.printer.SetCover(false)
	ts.eventually("the page comes", func() bool { return len(ts.shop.printer.Receipts()) == 2 })
	if code, out := ts.command("print-test", "hand"); code != 2 || !strings.Contains(out, "name one of these: paper") {
		t.Errorf("a scanner: exit %d:\n%s", code, out)
	}
	ts.shop.kill()
	if code, out := ts.command("print-test"); code != 1 || !strings.Contains(out, "storeagent serve") {
		t.Errorf("no agent: exit %d:\n%s", code, out)
	}
}

func TestScanTest(t *testing.T) {
	ts := openTestShop(t, nil)
	type result struct {
		code int
		out  string
	}
	done := make(chan result, 1)
	go func() {
		code, out := ts.command("scan-test", "--wait", "60s")
		done <- result{code, out}
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for ended := false; !ended; { // the stream may not listen yet
		select {
		case <-tick.C:
			ts.must(ts.shop.scanner.Scan("]E0", "4006381333931"))
		case r := <-done:
			if r.code != 0 || !strings.Contains(r.out, "ean13") || !strings.Contains(r.out, `"4006381333931"  GTIN 04006381333931  item, 13 bytes`) {
				t.Errorf("exit %d:\n%s", r.code, r.out)
			}
			ended = true
		}
	}
	claim, err := ts.admin.ScannerClaim(ts.ctx, "hand")
	ts.must(err)
	ts.scannedOut()
	if claim.Claimed {
		t.Error("the scanner is still claimed")
	}
	ts.scansRefused()
	ts.scannedOut()
	if code, out := ts.command("scan-test", "hand", "--wait", "1s"); code != 1 || !strings.Contains(out, "nothing came within 1s") || !strings.Contains(out, "keyboard mode") {
		t.Errorf("no scan: exit %d:\n%s", code, out)
	}
	_, err = ts.till.ClaimScanner(ts.ctx, "hand")
	ts.must(err)
	if code, out := ts.command("scan-test", "--wait", "1s"); code != 1 || !strings.Contains(out, "claimed") {
		t.Errorf("claimed by the till: exit %d:\n%s", code, out)
	}
}

// scannedOut waits until all that was scanned so far is dealt with: scans come in order.
func (ts *testShop) scannedOut() {
	ts.tb.Helper()
	_, err := ts.scan(ts.ctx, stock()[1])
	ts.must(err)
}

// scansRefused has a card number scanned while scan-test listens: it is no scan, and the reason is shown.
func (ts *testShop) scansRefused() {
	ts.tb.Helper()
	type result struct {
		code int
		out  string
	}
	done := make(chan result, 1)
	go func() {
		code, out := ts.command("scan-test", "--wait", "8s")
		done <- result{code, out}
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			ts.must(ts.shop.scanner.Scan("]C0", simulatedPAN))
		case r := <-done:
			if r.code != 1 || !strings.Contains(r.out, "card_data_refused: ") || strings.Contains(r.out, simulatedPAN) {
				ts.tb.Errorf("exit %d:\n%s", r.code, r.out)
			}
			return
		}
	}
}

func TestTerminalTest(t *testing.T) {
	ts := openTestShop(t, nil)
	code, out := ts.command("terminal-test")
	if code != 0 || !strings.Contains(out, "terminal id 52523535") || !strings.Contains(out, "No money was moved") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	if n := ts.shop.terminal.Asked(); n != 0 {
		t.Errorf("it was asked for %d payments", n)
	}
	if code, out := ts.command("terminal-test", "--json"); code != 0 || !strings.Contains(out, `"terminalId":"52523535"`) {
		t.Errorf("--json: exit %d:\n%s", code, out)
	}
	ts.must(os.WriteFile(filepath.Join(ts.shop.dir, "zvt-password"), []byte("111111\n"), 0o600))
	ts.restart()
	ts.eventually("the terminal has refused the password", func() bool {
		list, err := ts.till.Devices(ts.ctx)
		return err == nil && list[0].LastError != nil && strings.Contains(list[0].LastError.Message, "the password is wrong")
	})
	if code, out := ts.command("terminal-test"); code != 1 || !strings.Contains(out, "the password is wrong") || !strings.Contains(out, "→ compare password") {
		t.Errorf("wrong password: exit %d:\n%s", code, out)
	}
	if code, out := ts.command("terminal-test", "nobody"); code != 2 || !strings.Contains(out, "card") {
		t.Errorf("unknown name: exit %d:\n%s", code, out)
	}
}

// TestPrintTestWithoutTheLetters prints the page also where no code page of the printer has the euro sign, and it may
// not be drawn.
func TestPrintTestWithoutTheLetters(t *testing.T) {
	ts := openTestShop(t, nil)
	text, err := os.ReadFile(ts.shop.config())
	ts.must(err)
	portLine := fmt.Sprintf("port = %q\n", ts.shop.ports["paper"])
	with := strings.Replace(string(text), portLine, portLine+"[device.options]\ncodepages = [\"437\"]\nraster = \"off\"\n", 1)
	ts.must(os.WriteFile(ts.shop.config(), []byte(with), 0o600))
	ts.restart()
	_, err = ts.devicesReady(ts.ctx)
	ts.must(err)
	code, out := ts.command("print-test", "--wait", "90s")
	if code != 0 || !strings.Contains(out, "printed: the printer confirmed it") || !strings.Contains(out, "Without the line of letters: ") || !strings.Contains(out, "€") {
		t.Errorf("exit %d:\n%s", code, out)
	}
	if pages := ts.shop.printer.Receipts(); len(pages) != 1 || strings.Contains(pages[0], "Letters") {
		t.Errorf("%q", pages)
	}
}
