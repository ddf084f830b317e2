package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"storeagent/offline/catalogue"
	"storeagent/offline/cloudsim"
	"storeagent/register/wire"
)

func moreGoods(n int) []cloudsim.Goods {
	var list []cloudsim.Goods
	for i := range n {
		sku, name, price := fmt.Sprintf("BULK-%05d", i), fmt.Sprintf("Bulk item %d", i), cloudsim.Number("0.99")
		list = append(list, cloudsim.Goods{SKU: sku, Name: &name, Warehouses: []cloudsim.Shelf{{WarehouseCode: "DALLAS", SKU: sku, BasePrice: &price}}})
	}
	return list
}

func (ts *testShop) feed(kind catalogue.Feed) catalogue.FeedStatus {
	st, err := ts.till.Catalog(ts.ctx)
	if err != nil {
		return catalogue.FeedStatus{} // the agent may just be away
	}
	for _, f := range st.Items {
		if f.Kind == kind {
			return f
		}
	}
	return catalogue.FeedStatus{}
}

func (ts *testShop) item(sku string) []catalogue.ItemView {
	page, err := ts.till.Items(ts.ctx, url.Values{"sku": {sku}})
	ts.must(err)
	return page.Items
}

// TestCatalogueSurvivesKillAndOutage: the power goes in the middle of the first fetch, which goes on where it was; what
// is here answers without the cloud, for lookups and for scans; changes come once the line is back.
func TestCatalogueSurvivesKillAndOutage(t *testing.T) {
	t.Parallel()
	const n = 2500
	ts := openTestShop(t, nil)
	for _, g := range moreGoods(n) {
		ts.shop.cloud.SetGoods(g)
	}
	ts.must(ts.signIn(ts.ctx))
	ts.eventually("the first page is here", func() bool { return ts.feed(catalogue.Items).Received >= 500 })
	ts.restart()
	complete := func() bool {
		return ts.feed(catalogue.Items).Complete && ts.feed(catalogue.Stock).Complete && ts.feed(catalogue.Customers).Complete
	}
	ts.eventually("the catalogue is here", complete)
	if f := ts.feed(catalogue.Items); f.Rows != n+len(cloudGoods()) {
		t.Errorf("%d items, want %d", f.Rows, n+len(cloudGoods()))
	}
	for _, i := range []int{0, 499, 500, n - 1} {
		if list := ts.item(fmt.Sprintf("BULK-%05d", i)); len(list) != 1 || list[0].Price != "0.99" {
			t.Errorf("item %d: %+v", i, list)
		}
	}
	if rows, err := ts.till.CatalogRows(ts.ctx, "location", nil); err != nil || !strings.Contains(string(rows.Items), "DALLAS") || rows.Stale {
		t.Errorf("locations: %+v, %v", rows, err)
	}

	ts.shop.line.cut()
	ts.restart() // cold, and without the cloud
	page, err := ts.till.Items(ts.ctx, url.Values{"code": {stock()[0].code}})
	if err != nil || len(page.Items) != 1 || page.Items[0].SKU != stock()[0].sku || page.Items[0].Price != stock()[0].price {
		t.Errorf("offline by code: %+v, %v", page.Items, err)
	}
	if people, err := ts.till.Customers(ts.ctx, url.Values{"q": {"ada"}}); err != nil || len(people.Items) != 1 {
		t.Errorf("offline by name: %+v, %v", people.Items, err)
	}
	if rows, err := ts.till.CatalogRows(ts.ctx, "location", nil); err != nil || !strings.Contains(string(rows.Items), "DALLAS") {
		t.Errorf("offline, locations: %+v, %v", rows, err)
	}
	if _, err := ts.till.CatalogRows(ts.ctx, "product", nil); problemOf(err) == nil || problemOf(err).Code != "cloud_away" {
		t.Errorf("offline, never asked before: %v", err)
	}
	_, err = ts.devicesReady(ts.ctx)
	ts.must(err)
	var ev wire.Event
	var scan wire.Scan
	ts.eventually("a scan names its item, for which it waits a quarter of a second only", func() bool {
		ev, err = ts.scan(ts.ctx, stock()[0])
		ts.must(err)
		scan = wire.Scan{}
		ts.must(json.Unmarshal(ev.Data, &scan))
		return scan.Item != nil
	})
	if scan.Item.SKU != stock()[0].sku || scan.Price != stock()[0].price {
		t.Errorf("scan: %s", ev.Data)
	}

	price := cloudsim.Number("1.09")
	ts.shop.cloud.SetShelf(cloudsim.Shelf{SKU: "BULK-00007", WarehouseCode: "DALLAS", BasePrice: &price})
	ts.must(ts.shop.line.mend(ts.ctx))
	ts.eventually("the new price is here", func() bool {
		if _, err := ts.admin.SyncCatalog(ts.ctx, false); err != nil {
			return false
		}
		list := ts.item("BULK-00007")
		return len(list) == 1 && list[0].Price == "1.09"
	})
}

func TestCatalogCommands(t *testing.T) {
	t.Parallel()
	ts := openOnlineShop(t, nil)
	if code, out := ts.command("catalog", "sync", "--wait", "1m"); code != exitOK || !strings.Contains(out, "item") || !strings.Contains(out, "fresh") {
		t.Errorf("sync: %d %s", code, out)
	}
	for _, tc := range []struct {
		want int
		has  string
		args []string
	}{
		{exitOK, "fresh", []string{"catalog"}}, {exitOK, `"complete":true`, []string{"catalog", "show", "--json"}},
		{exitOK, "4.50 USD", []string{"catalog", "find", "tea", "bags"}}, {exitOK, "TIS001", []string{"catalog", "find", "0036000291452"}},
		{exitFailed, "", []string{"catalog", "find", "nothing like it"}},
	} {
		if code, out := ts.command(tc.args...); code != tc.want || !strings.Contains(out, tc.has) {
			t.Errorf("%q: %d %s", tc.args, code, out)
		}
	}
	ts.command("queue", "pause")
	if code, out := ts.command("catalog", "sync", "--wait", "1m"); code != exitFailed || !strings.Contains(out, "queue resume") {
		t.Errorf("sync while paused: %d %s", code, out)
	}
	ts.command("queue", "resume")
	ts.shop.cloud.Deny(cloudsim.ViewCustomers)
	if code, out := ts.command("catalog", "sync", "--full", "--wait", "1m"); code != exitFailed || !strings.Contains(out, "paused") || !strings.Contains(out, "not allowed") {
		t.Errorf("sync without a permission: %d %s", code, out)
	}
	st, err := ts.till.Status(ts.ctx)
	ts.must(err)
	found := false
	for _, p := range st.Problems {
		found = found || p.Code == "catalog_not_allowed" && strings.Contains(p.Hint, "ViewCustomers")
	}
	if !found {
		t.Errorf("problems %+v", st.Problems)
	}
}

func TestProgressBar(t *testing.T) {
	for want, f := range map[string]catalogue.FeedStatus{
		"item           [============            ] 6,000 rows":  {Kind: catalogue.Items, State: catalogue.Syncing, Received: 6000},
		"item           [======                  ] 50,000 rows": {Kind: catalogue.Items, State: catalogue.Syncing, Received: 50000, Rows: 200000, Complete: true, Full: true},
		"waiting for the way to the cloud":                      {Kind: catalogue.Items, State: catalogue.Waiting},
	} {
		if got := bar(catalogue.Status{Items: []catalogue.FeedStatus{f}}); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
