package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
)

// TestPurchaseLookupSettlesLostAnswers runs an agent against a tenant that can be asked for purchases: answers that are
// lost after the cloud executed leave nothing for a person to do.
func TestPurchaseLookupSettlesLostAnswers(t *testing.T) {
	t.Parallel()
	ts := openOnlineShop(t, nil)
	sim, err := cloudsim.New(cloudsim.Options{SignIn: ts.shop.cloud.SignIn(), PurchaseQuery: cloudsim.QueryPurchase})
	ts.must(err)
	address := ts.listenSim(func(ctx context.Context, l net.Listener) error { return serveHTTP(ctx, l, sim) })
	path := filepath.Join(ts.shop.dir, "storeagent.toml")
	old, err := os.ReadFile(path)
	ts.must(err)
	changed := regexp.MustCompile(`endpoint = "http://[^/]+/`).ReplaceAllString(string(old), "purchase_lookup = true\nendpoint = \"http://"+address+"/")
	if changed == string(old) {
		t.Fatal("the configuration names no endpoint")
	}
	ts.must(os.WriteFile(path, []byte(changed), 0o600))
	ts.restart()
	for _, mode := range []cloudsim.Mode{cloudsim.ExecuteThenClose, cloudsim.ExecuteThen502, cloudsim.ExecuteThenHalfBody, cloudsim.ExecuteThenNull} {
		sim.FailMutations(mode, 1)
		got, err := ts.till.PostSale(ts.ctx, "sale-"+string(mode), cashSale("L-"+string(mode), "1.99"))
		ts.must(err)
		v := ts.endOf(got.ID)
		if v.State != offline.Delivered || v.CloudID == "" {
			t.Errorf("%s: the sale is %s %s %+v", mode, v.State, v.Reason, v.Error)
		}
	}
	for txn, n := range sim.Executions() {
		if n != 1 {
			t.Errorf("%s ran %d times", txn, n)
		}
	}
	if code, out := ts.command("schema", "check"); code != 0 || !strings.Contains(out, "the query purchase;") {
		t.Errorf("schema check: exit %d:\n%s", code, out)
	}
}
