package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
)

// TestCloudAnswersNonsense gives every kind of useless answer to one sale each. Selling goes on; what surely did not
// run is sent again, what may have run waits for a person, and nothing runs twice.
func TestCloudAnswersNonsense(t *testing.T) {
	t.Parallel()
	ts := openOnlineShop(t, nil)
	for i, c := range []struct {
		mode cloudsim.Mode
		want offline.State
	}{
		{cloudsim.RateLimited, offline.Delivered},
		{cloudsim.Unavailable, offline.Delivered},
		{cloudsim.TooLarge, offline.Delivered},
		{cloudsim.HTML, offline.Parked},
		{cloudsim.EmptyObject, offline.Parked},
		{cloudsim.Redirect, offline.Parked},
		{cloudsim.ExecuteThen502, offline.Parked},
		{cloudsim.ExecuteThenClose, offline.Parked},
		{cloudsim.ExecuteThenHalfBody, offline.Parked},
		{cloudsim.ExecuteThenEmpty, offline.Parked},
		{cloudsim.ExecuteThenNull, offline.Parked},
		{cloudsim.ExecuteThenError, offline.Parked},
		{cloudsim.ExecuteThenBomb, offline.Parked},
	} {
		f := cloudsim.Faults{Gzip: true, Mode: c.mode, Times: 1, MutationsOnly: true, RetryAfter: "1"}
		ts.must(ts.shop.cloud.SetFaults(f))
		txn := fmt.Sprintf("N%02d", i)
		got, err := ts.till.PostSale(ts.ctx, "sale-"+txn, cashSale(txn, "1.99"))
		if err != nil {
			t.Fatalf("%s: selling stopped: %v", c.mode, err)
		}
		v := ts.endOf(got.ID)
		if v.State != c.want || v.State == offline.Parked && v.Reason != offline.Unknown {
			t.Errorf("%s: the sale is %s %s, want %s", c.mode, v.State, v.Reason, c.want)
		}
		got, err = ts.till.PostSale(ts.ctx, "sale-after-"+txn, cashSale("after-"+txn, "1.99"))
		ts.must(err)
		if v := ts.endOf(got.ID); v.State != offline.Delivered {
			t.Errorf("the sale after %s is %s %s", c.mode, v.State, v.Reason)
		}
	}
	ts.settleAll(ts.allItems(offline.Parked))
	for txn, n := range ts.shop.cloud.Executions() {
		if n != 1 {
			t.Errorf("%s ran %d times", txn, n)
		}
	}
	if n := len(ts.shop.cloud.Executions()); n != 26 {
		t.Errorf("%d of 26 sales are in the cloud", n)
	}
}

// endOf drains until a sale is delivered or parked.
func (ts *testShop) endOf(id string) (v offline.SaleView) {
	ts.tb.Helper()
	ts.must(ts.until(ts.ctx, "sale "+id+" has an end", func() (bool, error) {
		if _, err := ts.admin.DrainQueue(ts.ctx, time.Second); err != nil {
			return false, err
		}
		var err error
		v, err = ts.till.Sale(ts.ctx, id)
		return v.State == offline.Delivered || v.State == offline.Parked, err
	}))
	return v
}

// TestSellingNeverWaitsForTheCloud holds the cloud's answers back altogether, signed in, and sells, pays, scans and
// prints; then the agent starts while the line is dead and does it again.
func TestSellingNeverWaitsForTheCloud(t *testing.T) {
	t.Parallel()
	ts := openOnlineShop(t, nil)
	held := make(chan struct{})
	t.Cleanup(func() { close(held) })
	ts.shop.line.insert(func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { // an answer never comes
			select {
			case <-held:
			case <-r.Context().Done():
			}
		})
	})
	workday := func(name string) {
		if _, err := ts.scan(ts.ctx, stock()[1]); err != nil {
			t.Errorf("%s: scan: %v", name, err)
		}
		p, err := ts.pay(ts.ctx, "pay-"+name, stock()[1].price)
		ts.must(err)
		sale, err := ts.sell(ts.ctx, stock()[1], p.ID)
		ts.must(err)
		ts.must(ts.print(ts.ctx, sale.ID))
		v, err := ts.till.Sale(ts.ctx, sale.ID)
		ts.must(err)
		if v.State == offline.Delivered {
			t.Errorf("%s: delivered, says the agent, to a cloud that never answered", name)
		}
	}
	workday("hanging")
	ts.shop.line.cut()
	ts.restart()
	_, err := ts.devicesReady(ts.ctx)
	ts.must(err)
	workday("dead")
}

// TestCaptivePortal stands where the cloud was: every answer is a page. The probe finds it before a sale does, so that
// sales stay queued instead of in doubt, and all arrive once when the portal is gone.
func TestCaptivePortal(t *testing.T) {
	t.Parallel()
	ts := openOnlineShop(t, nil)
	ts.shop.cloud.Fail(cloudsim.HTML, 0)
	ts.must(ts.until(ts.ctx, "the way is closed", func() (bool, error) {
		q, err := ts.admin.DrainQueue(ts.ctx, 0)
		return q.Connection == offline.Offline, err
	}))
	for i := range 5 {
		txn := fmt.Sprintf("C%d", i)
		if _, err := ts.till.PostSale(ts.ctx, "sale-"+txn, cashSale(txn, "1.99")); err != nil {
			t.Fatal(err)
		}
	}
	if q, err := ts.till.Queue(ts.ctx); err != nil || q.Queued != 5 || q.Parked+q.InDoubt != 0 {
		t.Errorf("behind the portal: %+v %v", q, err)
	}
	ts.must(ts.shop.cloud.SetFaults(cloudsim.Faults{Gzip: true}))
	ts.drain()
	if ran := ts.shop.cloud.Executions(); len(ran) != 5 {
		t.Errorf("the cloud has %v", ran)
	}
}

// TestAccessTokenEndsEarly makes the access token worthless at the cloud before its time: the agent gets a fresh one and
// delivers, without anybody.
func TestAccessTokenEndsEarly(t *testing.T) {
	t.Parallel()
	ts := openOnlineShop(t, nil)
	signIn := ts.shop.cloud.SignIn()
	before := signIn.Grants(cloudsim.GrantRefresh)
	signIn.ForgetAccess()
	got, err := ts.till.PostSale(ts.ctx, "sale-A", cashSale("A", "1.99"))
	ts.must(err)
	ts.saleState(got.ID, offline.Delivered)
	if signIn.Grants(cloudsim.GrantRefresh) == before {
		t.Error("delivered without a fresh token")
	}
	if n := ts.shop.cloud.Executions()["A"]; n != 1 {
		t.Errorf("the sale ran %d times", n)
	}
}

// TestSignInEnds takes the whole sign-in away: sales queue until a person signs in again, and then arrive once.
func TestSignInEnds(t *testing.T) {
	t.Parallel()
	ts := openOnlineShop(t, nil)
	ts.shop.cloud.SignIn().RevokeAll()
	got, err := ts.till.PostSale(ts.ctx, "sale-B", cashSale("B", "1.99"))
	ts.must(err)
	ts.must(ts.until(ts.ctx, "the agent knows that it is signed out", func() (bool, error) {
		st, err := ts.admin.SignInStatus(ts.ctx)
		return st.State == "signed_out", err
	}))
	ts.saleState(got.ID, offline.Queued) // an attempt that was under way finds out for itself
	ts.must(ts.signIn(ts.ctx))
	ts.saleState(got.ID, offline.Delivered)
	if n := ts.shop.cloud.Executions()["B"]; n != 1 {
		t.Errorf("the sale ran %d times", n)
	}
}

// TestSignOutIsSeen: the queue says signed_out once a person signed out, without waiting for a sale or the next probe.
func TestSignOutIsSeen(t *testing.T) {
	t.Parallel()
	ts := openOnlineShop(t, nil)
	ts.online()
	ts.must(ts.admin.SignOut(ts.ctx))
	soon, cancel := context.WithTimeout(ts.ctx, 45*time.Second) // the next probe may be a minute away
	defer cancel()
	ts.must(ts.until(soon, "the queue knows", func() (bool, error) {
		q, err := ts.admin.Queue(soon)
		return q.Connection == offline.SignedOut, err
	}))
}
