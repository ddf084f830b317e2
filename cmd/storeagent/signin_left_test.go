package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// TestSignInLeftAlone: whoever stops waiting for a sign-in is told that the agent goes on, and an approval after that
// still counts.
func TestSignInLeftAlone(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	ctx, cancel := context.WithCancel(ts.ctx)
	shown, out := io.Pipe()
	var complaint bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		args := []string{"--config", ts.shop.config(), "sign-in"}
		ended <- run(ctx, args, strings.NewReader(""), out, &complaint, func(string) string { return "" })
		out.Close()
	}()
	lines := bufio.NewScanner(shown)
	for lines.Scan() && !strings.Contains(lines.Text(), "Waiting") {
	}
	cancel()
	go func() { _, _ = io.Copy(io.Discard, shown) }() // whatever else it says
	if code := <-ended; code != exitFailed || !strings.Contains(complaint.String(), "interrupted; the code stays good") {
		t.Errorf("exit %d: %s", code, complaint.String())
	}
	st, err := ts.admin.SignInStatus(ts.ctx)
	ts.must(err)
	ts.must(ts.shop.cloud.SignIn().Approve(st.UserCode, "lane-3@corner-shop.example"))
	ts.must(ts.until(ts.ctx, "the agent is signed in", func() (bool, error) {
		st, err := ts.admin.SignInStatus(ts.ctx)
		return st.State == "signed_in", err
	}))
}
