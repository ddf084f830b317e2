package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/payments/terminalsim"
)

// simTerminal is what the simulated terminals have in common.
type simTerminal interface {
	SetScript([]terminalsim.Behaviour)
	Charges() []terminalsim.Charge
}

// rig is one kind of card terminal as it can be plugged into a shop, beside what is there already.
type rig struct {
	driver    string
	steps     []string // of a payment
	follows   []string // what it can do to an approved payment
	forgetful bool     // it cannot be asked how a payment ended: a person looks at its slip
	plug      func(ts *testShop, o terminalsim.Options) (simTerminal, string)
}

var rigs = []rig{
	{driver: "zvt", steps: terminalsim.Steps(), follows: []string{"void", "capture", "tip"}, plug: func(ts *testShop, o terminalsim.Options) (simTerminal, string) {
		o.Password = "000000"
		z := terminalsim.NewZVT(o)
		return z, ts.cable("zvt", func(ctx context.Context, rw io.ReadWriteCloser, serial bool) error {
			return serveTerminal(ctx, z, rw, serial)
		}) +
			fmt.Sprintf("[device.options]\npassword = \"file:%s\"\n", filepath.ToSlash(filepath.Join(ts.shop.dir, "zvt-password")))
	}},
	{driver: "pax", steps: terminalsim.PAXSteps(), follows: []string{"void", "capture", "tip"}, plug: func(ts *testShop, o terminalsim.Options) (simTerminal, string) {
		p := terminalsim.NewPAX(o)
		return p, ts.cable("pax", anyLine(p.Serve))
	}},
	{driver: "telium", steps: terminalsim.TeliumSteps(), forgetful: true, plug: func(ts *testShop, o terminalsim.Options) (simTerminal, string) {
		t := terminalsim.NewTelium(o)
		return t, ts.cable("telium", anyLine(t.Serve))
	}},
	{driver: "nexo", steps: terminalsim.NexoSteps(), follows: []string{"void"}, plug: plugNexo},
}

// cable puts a terminal on a cable of its own and gives its lines of the configuration.
func (ts *testShop) cable(driver string, serve func(ctx context.Context, rw io.ReadWriteCloser, serial bool) error) string {
	ts.tb.Helper()
	ctx, cancel := context.WithCancel(ts.ctx)
	ts.tb.Cleanup(cancel)
	ts.must(ts.shop.plugIn(ctx, driver, serve))
	return fmt.Sprintf("\n[[device]]\nname = \"lane\"\ndriver = %q\nport = %q\n", driver, ts.shop.ports[driver])
}

func plugNexo(ts *testShop, o terminalsim.Options) (simTerminal, string) {
	ts.tb.Helper()
	cert, root, err := terminalsim.NexoCertificate(simPOIID)
	ts.must(err)
	const passphrase = "correct horse battery staple"
	n := terminalsim.NewNexo(terminalsim.NexoOptions{
		POIID: simPOIID, KeyIdentifier: simKey, KeyVersion: 1, Passphrase: passphrase, Currency: "USD", Script: o.Script, OnStep: o.OnStep,
	})
	rootFile, passFile := filepath.Join(ts.shop.dir, "root.pem"), filepath.Join(ts.shop.dir, "passphrase")
	ts.must(errors.Join(os.WriteFile(rootFile, root, 0o600), os.WriteFile(passFile, []byte(passphrase), 0o600)))
	address := ts.listenSim(func(ctx context.Context, l net.Listener) error { return n.Serve(ctx, l, cert) })
	return n, fmt.Sprintf(`
[[device]]
name = "lane"
driver = "nexo"
port = "https://%s/nexo"
[device.options]
poiid = %q
sale_id = "LANE-1"
key_identifier = %q
key_version = 1
passphrase = "file:%s"
root = "file:%s"
`, address, simPOIID, simKey, filepath.ToSlash(passFile), filepath.ToSlash(rootFile))
}

// How long terminals wait for one answer of an agent that lives, however slow the machine is, and of one that was
// killed. That they soon give up on the latter only keeps the tests short: a terminal that waits longer is found at work
// after the restart, which every driver is tested with in fake time.
const (
	calmPatience = 20 * time.Second
	killPatience = 1500 * time.Millisecond
)

// openRig opens a shop with one more card terminal, named lane, whose steps spring a trap.
func openRig(t *testing.T, r rig) (*testShop, simTerminal, *trap) {
	t.Helper()
	tr := &trap{sprung: make(chan struct{}, 1)}
	ts := openTestShop(t, nil)
	tr.shop.Store(ts.shop)
	sim, text := r.plug(ts, terminalsim.Options{Currency: "840", Waits: tr.waits, OnStep: tr.step})
	ts.add(text)
	ts.terminalIs("lane", devices.Ready)
	return ts, sim, tr
}
