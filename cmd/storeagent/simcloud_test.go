package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"

	"storeagent/devices"
	"storeagent/payments"
)

// TestSimulatedCloudWithTerminals runs `storeagent simulate cloud --terminal T-1` as a developer would, moves a store to
// it, signs in, and takes payments with the driver poscloud.
func TestSimulatedCloudWithTerminals(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	ctx, cancel := context.WithCancel(ts.ctx)
	out, in := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		code := run(ctx, []string{"simulate", "cloud", "--port", "tcp:127.0.0.1:0", "--terminal", "T-1"}, strings.NewReader(""), in, in, os.Getenv)
		in.CloseWithError(fmt.Errorf("simulate cloud ended with %d", code))
	})
	t.Cleanup(func() { cancel(); out.Close(); wg.Wait() })
	lines := bufio.NewScanner(out)
	var said []string
	for len(said) < 3 && lines.Scan() {
		said = append(said, lines.Text())
	}
	text := strings.Join(said, "\n")
	address := regexp.MustCompile(`issuer (http://\S+)`).FindStringSubmatch(text)
	if address == nil || !strings.Contains(text, "terminal_id): T-1;") {
		t.Fatalf("it says %q, %v", text, lines.Err())
	}
	old, err := os.ReadFile(ts.shop.config())
	ts.must(err)
	moved := regexp.MustCompile(`(endpoint|issuer) = "http://[^/"]+`).ReplaceAll(old, []byte(`$1 = "`+address[1]))
	ts.must(os.WriteFile(ts.shop.config(), moved, 0o600))
	ts.add(poscloudDevice)
	st, err := ts.admin.SignIn(ts.ctx)
	ts.must(err)
	post := func(method, path, kind, body string) {
		t.Helper()
		req, err := http.NewRequestWithContext(ctx, method, address[1]+path, strings.NewReader(body))
		ts.must(err)
		req.Header.Set("Content-Type", kind)
		resp, err := http.DefaultClient.Do(req)
		ts.must(err)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s: %s", method, path, resp.Status)
		}
	}
	post("POST", "/device", "application/x-www-form-urlencoded", url.Values{"user_code": {st.UserCode}, "account": {"ann"}}.Encode())
	ts.terminalIs("lane", devices.Ready)
	if p := ts.payAt("lane", "pay-1", "5.00"); p.State != payments.Approved {
		t.Errorf("%s %s", p.State, p.Problem)
	}
	post("PUT", "/_sim/terminal", "application/json", `{"decline": true}`)
	if p := ts.payAt("lane", "pay-2", "6.00"); p.State != payments.Declined {
		t.Errorf("%s %s", p.State, p.Problem)
	}
}
