package main

import (
	"bufio"
	"context"
	"io"
	"strings"
	"testing"

	"storeagent/offline"
)

// TestKeptStoreOutlivesItsAgent: whoever kills the agent of "demo --keep" is told how to start it again, and finds
// everything where it was.
func TestKeptStoreOutlivesItsAgent(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	ctx, cancel := context.WithCancel(ts.ctx)
	shown, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- ts.keep(&env{ctx: ctx, stdout: out})
		out.Close()
	}()
	lines := bufio.NewScanner(shown)
	find := func(what string) {
		t.Helper()
		for lines.Scan() {
			if strings.Contains(lines.Text(), what) {
				return
			}
		}
		t.Fatalf("not shown: %s", what)
	}
	find("export STOREAGENT_CONFIG=" + ts.shop.config())
	find("kill -9 ")
	sold, err := ts.till.PostSale(ts.ctx, "keep-1", cashSale("KEEP1", "1.99"))
	ts.must(err)
	ts.must(ts.shop.agent.cmd.Process.Kill())
	find("The agent ended")
	find("STOREAGENT_CONFIG=" + ts.shop.config() + " storeagent serve")
	select {
	case err := <-ended:
		t.Fatalf("the store closed with its agent: %v", err)
	default:
	}
	ts.must(ts.shop.start(ts.ctx))
	ts.must(ts.signIn(ts.ctx))
	ts.saleState(sold.ID, offline.Delivered)
	cancel()
	ts.must(<-ended)
}
