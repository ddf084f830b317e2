package main

import (
	"archive/zip"
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"storeagent/installer"
	"storeagent/internal/journal"
	"storeagent/internal/logfile"
	"storeagent/offline"
	"storeagent/offline/sqlite"
	"storeagent/register/wire"
)

// otherPAN is a card number that the simulated terminal never sends.
const otherPAN = "5555555555554444"

// packUp makes a bundle by the command line and reads it.
func (ts *testShop) packUp(name string) map[string]string {
	ts.tb.Helper()
	file := filepath.Join(ts.tb.TempDir(), name)
	var out, errs bytes.Buffer
	if code := run(ts.ctx, []string{"--config", ts.shop.config(), "bundle", "--out", file}, strings.NewReader(""), &out, &errs, os.Getenv); code != exitOK {
		ts.tb.Fatalf("bundle ended with %d: %s", code, errs.String())
	}
	if !strings.Contains(out.String(), file) || !strings.Contains(out.String(), "it can be sent") {
		ts.tb.Errorf("the command says %q", out.String())
	}
	z, err := zip.OpenReader(file)
	ts.must(err)
	defer z.Close()
	list := map[string]string{"(what the command says)": out.String()}
	for _, f := range z.File {
		r, err := f.Open()
		ts.must(err)
		text, err := io.ReadAll(r)
		ts.must(err)
		ts.must(r.Close())
		list[f.Name] = string(text)
	}
	return list
}

// holds looks for texts in a file of a bundle.
func holds(t *testing.T, files map[string]string, name string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(files[name], text) {
			t.Errorf("%s does not hold %q:\n%.2000s", name, text, files[name])
		}
	}
}

// TestBundleHoldsNoSecrets plants secrets and card numbers wherever texts lie about, sells with a gift card, and finds
// none of them in a bundle, with a running agent and without one, while what support needs is there.
func TestBundleHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	ts := openOnlineShop(t, nil)
	data := filepath.Join(ts.shop.dir, "data")
	planted := map[string]string{
		giftcardCode: "a gift card's code", giftcardPIN: "a gift card's PIN", otherPAN: "a card number", "5555 5555 5555 4444": "a card number in groups",
		"planted-hook-secret": "a webhook's secret", "planted-hook-path": "a webhook's path", "planted-comment": "a password in a comment",
		"planted-password": "a password in the log", "planted-passphrase": "a passphrase in the log", "planted-bearer": "a bearer token in the log",
		"MHcCAQEEplanted": "a private key in the log", "7731840265": "a PIN in the log", "planted-scan": "what was scanned", "planted-customer": "a customer",
		"WDJB-MJHT": "a code of a sign-in",
	}
	for secret, what := range ts.secrets() {
		planted[secret] = what
	}

	config, err := os.ReadFile(ts.shop.config())
	ts.must(err)
	hook := filepath.Join(ts.shop.dir, "hook")
	ts.must(os.WriteFile(hook, []byte("planted-hook-secret\n"), 0o600))
	config = append(config, "\n# the manager's password is planted-comment\n[[webhook]]\nurl = \"http://127.0.0.1:9/planted-hook-path\"\nsecret = \"file:"+filepath.ToSlash(hook)+"\"\ntypes = [\"sale\"]\n"...)
	ts.must(os.WriteFile(ts.shop.config(), config, 0o600))
	log := strings.Join([]string{
		`level=INFO msg="kept line"`, `card="` + otherPAN + `" other="5555 5555 5555 4444"`, `body="{\"pin\":\"7731840265\",\"code\":\"` + giftcardCode + `\"}"`,
		`msg="the PIN is 7731840265" password=planted-password passphrase: planted-passphrase`, `header="Authorization: Bearer planted-bearer"`,
		"-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEplanted\n-----END EC PRIVATE KEY-----", `msg="sent planted-hook-secret" user_code=WDJB-MJHT`, "",
	}, "\n")
	ts.must(os.WriteFile(filepath.Join(data, installer.LogName+logfile.Older), []byte(log), 0o600))
	ts.restart()
	ts.online()
	_, err = ts.devicesReady(ts.ctx)
	ts.must(err)
	heard := ts.listen()
	ts.must(ts.shop.scanner.Scan("]C0", giftcardCode))
	ts.eventually("the card is scanned", func() bool {
		return slices.ContainsFunc(heard.all(), func(ev wire.Event) bool { return ev.Type == "scan" })
	})
	spent, err := ts.till.GiftcardTransact(ts.ctx, "bundle-card", cardTx(offline.CardUse, offline.CardImmediate, "1.00"))
	ts.must(err)
	ts.cardIs(spent.ID, offline.CardCompleted)
	accepted, err := ts.till.PostSale(ts.ctx, "bundle-sale", cashSale("BUNDLE-1", "1.99"))
	ts.must(err)
	ts.saleState(accepted.ID, offline.Delivered)

	search := func(files map[string]string) {
		t.Helper()
		for name, text := range files {
			for secret, what := range planted {
				if strings.Contains(text, secret) {
					t.Errorf("%s holds %s (%s)", name, what, secret)
				}
			}
		}
	}
	files := ts.packUp("running.zip")
	search(files)
	holds(t, files, "README.txt", "The agent runs and was asked", "events.ndjson")
	holds(t, files, "config.toml", `code = "DALLAS"`, `secret = "file:`, `url = "http://127.0.0.1:9/[removed]"`, `port = "serial:`)
	holds(t, files, "log/"+installer.LogName+logfile.Older, `msg="kept line"`)
	holds(t, files, "log/"+installer.LogName, "storeagent serves")
	holds(t, files, "status.json", `"version"`, `"can"`)
	holds(t, files, "queue.json", `"delivered": 2`)
	holds(t, files, "devices.json", `"escpos"`)
	holds(t, files, "metrics.txt", "# HELP")
	holds(t, files, "schema.json", `"ok": true`)
	holds(t, files, "check.txt", "WARNING webhooks_not_sent", "It works, with warnings")
	holds(t, files, "check.json", `"agentRunning": true`)
	holds(t, files, "database/database.json", `"integrity": "ok"`)
	holds(t, files, "database/giftcards.ndjson", "0001")
	holds(t, files, "database/events.ndjson", `"type":"scan"`, `"kind":"giftcard"`, accepted.ID)
	holds(t, files, "system.txt", "processors")

	// Without the agent, and with texts in the database that its own doors would have refused.
	ts.shop.kill()
	store, err := sqlite.Open(ts.ctx, sqlite.Options{Dir: data, Log: slog.New(slog.DiscardHandler)})
	ts.must(err)
	ts.must(store.Audit().Add(ts.ctx, journal.Actor{Name: "technician"}, "queue.settle", "kept-subject", "seen; card "+otherPAN+", the pin is 7731840265"))
	ts.must(store.Events().Append(ts.ctx, journal.NewEvent("device", time.Now(), map[string]any{
		"name": "kept-device", "data": "planted-scan", "customer": map[string]string{"fullName": "planted-customer"},
		"lastError": map[string]string{"code": "kept_code", "message": "password=planted-password " + otherPAN},
	})))
	ts.must(store.Close())
	files = ts.packUp("stopped.zip")
	search(files)
	holds(t, files, "README.txt", "The agent was not asked", "no agent answers")
	holds(t, files, "check.json", `"agentRunning": false`)
	holds(t, files, "database/audit.ndjson", "kept-subject", "seen; card [removed], the pin is [removed]")
	holds(t, files, "database/events.ndjson", "kept-device", "kept_code")
	holds(t, files, "log/"+installer.LogName, "storeagent serves")
	if _, ok := files["status.json"]; ok {
		t.Error("an agent that does not run has a status")
	}
}
