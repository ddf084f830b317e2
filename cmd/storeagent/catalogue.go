package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"storeagent/offline"
	"storeagent/offline/catalogue"
	"storeagent/register/client"
)

// joinCatalogue makes the local copy of the cloud's catalogue. It stays behind the sales: it fetches while the way to
// the cloud is open, and lets what is queued go first.
func (a *agent) joinCatalogue() (err error) {
	a.catalogue, err = catalogue.New(catalogue.Config{
		Source: a.cloud, Store: a.store.Catalogue(), Events: a.store.Events(), Log: a.log,
		Every: a.cfg.Cloud.PollItemsEvery.Duration, Location: a.cfg.Store.Location, StoreCode: a.cfg.Store.Code, Currency: a.cfg.Store.Currency,
		Online: func() bool { return a.forwarder.Status().Connection == offline.Online },
		Busy: func() bool {
			q := a.forwarder.Status()
			return q.Queued+q.Sending > 0
		},
	})
	return err
}

type catalogCmd struct {
	Show catalogShowCmd `cmd:"" default:"withargs" help:"How fresh the local copy of items, prices and customers is."`
	Sync catalogSyncCmd `cmd:"" help:"Look for changes at the cloud now, and show how far it is."`
	Find catalogFindCmd `cmd:"" help:"Find items as a register would: by scanned code, sku or words."`
}

type catalogShowCmd struct {
	JSON bool `help:"As JSON."`
}

// Run shows the catalogue in numbers.
func (c catalogShowCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	st, err := a.Catalog(e.ctx)
	if err != nil {
		return err
	}
	return e.showCatalog(st, c.JSON)
}

func (e *env) showCatalog(st catalogue.Status, asJSON bool) error {
	if asJSON {
		return e.printJSON(st)
	}
	rows := [][]string{{"KIND", "STATE", "ROWS", "FETCHED", "NEXT", "PROBLEM"}}
	for _, f := range st.Items {
		problem := ""
		if f.Error != nil {
			problem = f.Error.Message
		}
		rows = append(rows, []string{string(f.Kind), string(f.State), grouped(f.Rows), when(f.SyncedAt), when(f.NextAt), problem})
	}
	return e.table(rows)
}

type catalogSyncCmd struct {
	Wait time.Duration `help:"How long to wait for the end." default:"30m"`
	Full bool          `help:"Read everything again, not just changes: finds what was deleted, and what the account may newly see."`
	JSON bool          `help:"The end as JSON."`
}

// Run looks for changes; exit 1 where a feed could not be fetched.
func (c catalogSyncCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	began := time.Now()
	st, err := a.SyncCatalog(e.ctx, c.Full)
	if err != nil {
		return err
	}
	show := e.progress(!c.JSON)
	for !synced(st, began) && time.Since(began) < c.Wait {
		if err := e.wayToCloud(a); err != nil {
			show("")
			return err
		}
		show(bar(st))
		select {
		case <-e.ctx.Done():
			return e.ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
		if st, err = a.Catalog(e.ctx); err != nil {
			return err
		}
	}
	show("")
	if err := e.showCatalog(st, c.JSON); err != nil {
		return err
	}
	if !synced(st, began) {
		return errors.New("the catalogue is not here yet; the agent goes on with it: storeagent catalog show")
	}
	for _, f := range st.Items {
		if f.Error != nil {
			return &exitError{code: exitFailed}
		}
	}
	return nil
}

// wayToCloud says what only a person can change about it: nothing is fetched before.
func (e *env) wayToCloud(a *client.Client) error {
	q, err := a.Queue(e.ctx)
	switch {
	case err != nil:
		return err
	case q.Connection == offline.SignedOut:
		return errors.New("nobody is signed in at the cloud, so nothing can be fetched; run: storeagent sign-in")
	case q.Connection == offline.PausedConn:
		return errors.New("the queue is paused, and nothing is fetched meanwhile; run: storeagent queue resume")
	}
	return nil
}

// synced tells that every feed has come to an end since then, a good one or not.
func synced(st catalogue.Status, since time.Time) bool {
	for _, f := range st.Items {
		done := f.SyncedAt != nil && !f.SyncedAt.Before(since) && f.State != catalogue.Syncing
		if !done && f.Error == nil {
			return false
		}
	}
	return true
}

// progress gives a function that shows one line in place of the last. Where nobody looks it shows nothing.
func (e *env) progress(wanted bool) func(string) {
	out, ok := e.stderr.(*os.File)
	if !wanted || !ok || !term.IsTerminal(int(out.Fd())) {
		return func(string) {}
	}
	return func(line string) { fmt.Fprintf(out, "\r%s\x1b[K", line) }
}

// bar draws what is being fetched. The cloud tells no total: a first fetch moves without an end in sight, a later one
// is measured against what there is.
func bar(st catalogue.Status) string {
	const width = 24
	for _, f := range st.Items {
		if f.State != catalogue.Syncing {
			continue
		}
		filled := f.Received / 500 % (width + 1)
		if f.Complete && f.Full && f.Rows > 0 {
			filled = min(width, f.Received*width/f.Rows)
		}
		return fmt.Sprintf("%-14s [%-*s] %s rows", f.Kind, width, strings.Repeat("=", filled), grouped(f.Received))
	}
	return "waiting for the way to the cloud"
}

// grouped writes a number with thousands apart.
func grouped(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

type catalogFindCmd struct {
	Text      []string `arg:"" help:"A code, a sku or words."`
	Warehouse string   `help:"Whose price to show."`
	JSON      bool     `help:"As JSON."`
}

// Run finds items by code, else by words; exit 1 where there is none.
func (c catalogFindCmd) Run(e *env) error {
	a, err := e.agent()
	if err != nil {
		return err
	}
	text := strings.Join(c.Text, " ")
	query := url.Values{"code": {text}}
	if c.Warehouse != "" {
		query.Set("warehouse", c.Warehouse)
	}
	found, err := a.Items(e.ctx, query)
	if err == nil && len(found.Items) == 0 {
		query.Del("code")
		query.Set("q", text)
		found, err = a.Items(e.ctx, query)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return e.printJSON(found.Items)
	}
	if len(found.Items) == 0 {
		return errors.New("no item has that code or these words; storeagent catalog show tells how fresh the copy is")
	}
	rows := [][]string{{"SKU", "NAME", "PRICE", "QUANTITY", "WAREHOUSE"}}
	for _, i := range found.Items {
		rows = append(rows, []string{i.SKU, i.Name, strings.TrimSpace(i.Price + " " + i.Currency), i.Quantity, i.Warehouse})
	}
	return e.table(rows)
}
