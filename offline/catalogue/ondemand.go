package catalogue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
)

// fetchTimeout is how long a caller waits for the cloud before the kept answer will do.
const fetchTimeout = 10 * time.Second

// Listing is the answer of an on-demand query.
type Listing struct {
	Rows  json.RawMessage // a JSON array
	AsOf  time.Time       // zero for rows of the copy
	Stale bool            // the cloud could not be asked, this is from before
	Why   *offline.Fault  // why it could not
}

// demand lets one caller fetch what several ask for at the same time.
type demand struct {
	mu      sync.Mutex
	running map[string]chan struct{}
}

func newDemand() demand { return demand{running: map[string]chan struct{}{}} }

// keepFor is how long a kept answer is as good as a new one.
func keepFor(kind string) time.Duration {
	switch kind {
	case "sale":
		return time.Minute
	case "environment":
		return time.Hour
	}
	return 10 * time.Minute
}

// Look answers an on-demand query: from what is kept where that is young, else from the cloud, else from what is kept
// all the same. Stock, lots and recent sales come from the copy where the cloud cannot be asked.
// Errors: ErrKind, ErrAway, ErrNotAllowed, ErrUnsupported.
func (c *Catalogue) Look(ctx context.Context, kind string, f Filter) (Listing, error) {
	switch Feed(kind) {
	case Stock:
		return c.stockRows(ctx, f)
	case Lots:
		return c.records(ctx, Lots, RecordFilter{Owner: f["sku"]})
	}
	if !slices.Contains(Kinds(), kind) {
		return Listing{}, fmt.Errorf("%w: %s", ErrKind, kind)
	}
	query := spell(f)
	release, err := c.demand.take(ctx, kind+"?"+query)
	if err != nil {
		return Listing{}, err
	}
	defer release()
	kept, err := c.cfg.Store.Kept(ctx, kind, query)
	have := err == nil
	if err != nil && !errors.Is(err, journal.ErrNotFound) {
		return Listing{}, fmt.Errorf("read kept %s: %w", kind, err)
	}
	age := time.Since(kept.At)
	if have && age >= 0 && age < keepFor(kind) {
		return Listing{Rows: kept.Rows, AsOf: kept.At}, nil
	}
	rows, err := c.fetch(ctx, kind, f)
	if err == nil {
		fresh := Kept{Kind: kind, Query: query, At: time.Now().UTC().Truncate(time.Millisecond), Rows: rows}
		if err := c.cfg.Store.Keep(ctx, fresh); err != nil { // a full disk must not hide the answer
			c.cfg.Log.WarnContext(ctx, "answer of the cloud not kept", "kind", kind, "err", err)
		}
		return Listing{Rows: rows, AsOf: fresh.At}, nil
	}
	if ctx.Err() != nil {
		return Listing{}, ctx.Err()
	}
	if have {
		return Listing{Rows: kept.Rows, AsOf: kept.At, Stale: true, Why: fault(err)}, nil
	}
	if kind == string(Sales) {
		l, lerr := c.records(ctx, Sales, RecordFilter{Key: f["id"], Owner: f["customerId"], From: f["fromDate"], To: f["toDate"]})
		if lerr == nil && string(l.Rows) != "[]" {
			l.Stale, l.Why = true, fault(err)
			return l, nil
		}
	}
	if errors.Is(err, ErrNotAllowed) || errors.Is(err, ErrUnsupported) {
		return Listing{}, fmt.Errorf("ask for %s: %w", kind, err)
	}
	return Listing{}, fmt.Errorf("ask for %s: %w: %w", kind, ErrAway, err)
}

func (c *Catalogue) fetch(ctx context.Context, kind string, f Filter) (json.RawMessage, error) {
	if !c.cfg.Online() {
		return nil, errors.New("there is no way to the cloud now")
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	return c.cfg.Source.Fetch(ctx, kind, f)
}

// spell writes a filter in one way.
func spell(f Filter) string {
	v := url.Values{}
	for name, value := range f {
		v.Set(name, value)
	}
	return v.Encode() // sorted by name
}

// take waits for its turn at a query.
func (d *demand) take(ctx context.Context, query string) (release func(), err error) {
	for {
		d.mu.Lock()
		busy, taken := d.running[query]
		if !taken {
			done := make(chan struct{})
			d.running[query] = done
			d.mu.Unlock()
			return func() {
				d.mu.Lock()
				delete(d.running, query)
				d.mu.Unlock()
				close(done)
			}, nil
		}
		d.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// rowLimit bounds a listing of the copy.
const rowLimit = 1000

func (c *Catalogue) records(ctx context.Context, name Feed, f RecordFilter) (Listing, error) {
	f.Limit = rowLimit
	list, err := c.cfg.Store.Records(ctx, name, f)
	if err != nil {
		return Listing{}, fmt.Errorf("list %s: %w", name, err)
	}
	rows := make([]json.RawMessage, 0, len(list))
	for _, r := range list {
		rows = append(rows, r.Body)
	}
	return c.local(name, rows)
}

func (c *Catalogue) stockRows(ctx context.Context, f Filter) (Listing, error) {
	list, err := c.cfg.Store.Stock(ctx, f["sku"], f["warehouse"], rowLimit)
	if err != nil {
		return Listing{}, fmt.Errorf("list stock: %w", err)
	}
	type row struct {
		SKU string `json:"sku"`
		Shelf
	}
	rows := make([]row, 0, len(list))
	for _, s := range list {
		rows = append(rows, row{s.SKU, s})
	}
	return c.local(Stock, rows)
}

// local makes a listing of rows of the copy.
func (c *Catalogue) local(name Feed, rows any) (Listing, error) {
	raw, err := json.Marshal(rows)
	if err != nil {
		return Listing{}, fmt.Errorf("list %s: %w", name, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	f := c.feeds[name]
	return Listing{Rows: raw, AsOf: f.pos.CompletedAt, Stale: f.problem != nil}, nil
}
