package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"storeagent/devices"
	"storeagent/offline/cloudsim"
	"storeagent/payments"
	"storeagent/register/wire"
)

// add writes further devices into the configuration and restarts the agent.
func (ts *testShop) add(text string) {
	ts.tb.Helper()
	path := filepath.Join(ts.shop.dir, "storeagent.toml")
	old, err := os.ReadFile(path)
	ts.must(err)
	ts.must(os.WriteFile(path, append(old, []byte(text)...), 0o600))
	ts.restart()
}

// terminalIs waits for a terminal to be in that state.
func (ts *testShop) terminalIs(name string, want devices.State) (now devices.Info) {
	ts.tb.Helper()
	ts.eventually(fmt.Sprintf("terminal %s is %s", name, want), func() bool {
		list, err := ts.till.Devices(ts.ctx)
		if err != nil {
			return false
		}
		for _, d := range list {
			if d.Name == name {
				now = d
			}
		}
		return now.State == want
	})
	return now
}

// payAt makes one payment at a named terminal.
func (ts *testShop) payAt(terminal, key, amount string) payments.Payment {
	ts.tb.Helper()
	p, err := ts.till.StartPayment(ts.ctx, key, wire.PaymentRequest{Type: payments.Sale, Amount: amount, Terminal: terminal})
	ts.must(err)
	p, err = ts.till.Payment(ts.ctx, p.ID, patience)
	ts.must(err)
	return p
}

// listenSim serves a simulated terminal on the loopback address until the test ends.
func (ts *testShop) listenSim(serve func(ctx context.Context, l net.Listener) error) string {
	ts.tb.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(ts.ctx, "tcp", "127.0.0.1:0")
	ts.must(err)
	ctx, cancel := context.WithCancel(ts.ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := serve(ctx, l); err != nil && !errors.Is(err, context.Canceled) {
			ts.tb.Errorf("simulated terminal: %v", err)
		}
	})
	ts.tb.Cleanup(func() { cancel(); wg.Wait() })
	return l.Addr().String()
}

const poscloudDevice = `
[[device]]
name = "lane"
driver = "poscloud"
[device.options]
terminal_id = "T-1"
`

// TestCardTerminalOfTheCloud: off without a device, an error where the tenant has no such thing.
func TestCardTerminalOfTheCloud(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	ts.must(ts.signIn(ts.ctx))
	ts.add(poscloudDevice)
	ts.terminalIs("card", devices.Ready)
	i := ts.terminalIs("lane", devices.Error)
	if i.LastError == nil || i.LastError.Code != "unsupported" || !strings.Contains(i.LastError.Message, "offers no terminalPayment") || i.LastError.Hint == "" {
		t.Errorf("%+v", i.LastError)
	}
	if p := ts.payAt("lane", "pay-lane", "5.00"); p.State != payments.Failed {
		t.Errorf("a payment without the mutation is %s", p.State)
	}
	if p := ts.payAt("card", "pay-card", "5.00"); p.State != payments.Approved {
		t.Errorf("the terminal beside it: %s", p.State)
	}
}

// withTerminals puts a cloud in place that has the card terminal T-1.
func (ts *testShop) withTerminals() *cloudsim.Sim {
	ts.tb.Helper()
	sim, err := cloudsim.New(cloudsim.Options{SignIn: ts.shop.cloud.SignIn(), Terminals: []string{"T-1"}})
	ts.must(err)
	address := ts.listenSim(func(ctx context.Context, l net.Listener) error { return serveHTTP(ctx, l, sim) })
	path := filepath.Join(ts.shop.dir, "storeagent.toml")
	old, err := os.ReadFile(path)
	ts.must(err)
	moved := regexp.MustCompile(`endpoint = "http://[^/]+/`).ReplaceAll(old, []byte(`endpoint = "http://`+address+`/`))
	if bytes.Equal(moved, old) {
		ts.tb.Fatal("the configuration names no endpoint")
	}
	ts.must(os.WriteFile(path, moved, 0o600))
	return sim
}

// TestCardTerminalOfTheCloudPays: a payment by the cloud, and one whose answer is lost, which waits for a person and
// keeps new money off.
func TestCardTerminalOfTheCloudPays(t *testing.T) {
	t.Parallel()
	ts := openTestShop(t, nil)
	ts.must(ts.signIn(ts.ctx))
	sim := ts.withTerminals()
	ts.add(poscloudDevice)
	ts.terminalIs("lane", devices.Ready)
	if code, out := ts.command("terminal-test", "lane"); code != 0 || !strings.Contains(out, "terminal id T-1") || !strings.Contains(out, "round trip") {
		t.Errorf("terminal-test: exit %d:\n%s", code, out)
	}
	p := ts.payAt("lane", "pay-1", "5.00")
	if p.State != payments.Approved || p.Last4 != simulatedPAN[12:] {
		t.Fatalf("%+v", p)
	}
	sim.FailMutations(cloudsim.ExecuteThenClose, 1)
	p = ts.payAt("lane", "pay-2", "6.00")
	if p.State == payments.InDoubt {
		ts.eventually("the payment waits for a person", func() bool {
			now, err := ts.till.Payment(ts.ctx, p.ID, 0)
			p = now
			return err == nil && p.State == payments.Unresolved
		})
	}
	if p.State != payments.Unresolved {
		t.Fatalf("a payment with a lost answer is %s", p.State)
	}
	_, err := ts.till.StartPayment(ts.ctx, "pay-3", wire.PaymentRequest{Type: payments.Sale, Amount: "1.00", Terminal: "lane"})
	if no := problemOf(err); no == nil || no.Code != "terminal_in_doubt" {
		t.Errorf("new money beside doubt: %v", err)
	}
	if list := sim.TerminalLedger(); len(list) != 2 {
		t.Errorf("the cloud started %+v", list)
	}
}
