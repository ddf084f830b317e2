package cataloguetest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"storeagent/offline/catalogue"
)

// Cloud is a catalogue.Source whose listings move while they are read: by modification where a since mark is given,
// as the vendor's page says. Its marks say nothing about time or rows.
type Cloud struct {
	mu      sync.Mutex
	rows    map[catalogue.Feed][]row // oldest change first
	known   map[[2]string]bool       // feed and key
	changes int

	PageLimit int                                  // rows of a page at most, silently; 0 is no limit
	NoMarks   bool                                 // listings have no until
	Before    func(n int, q catalogue.Query) error // called before the n-th page is made, without the lock
	Answer    func(kind string, f catalogue.Filter) (json.RawMessage, error)
	Queries   []catalogue.Query
}

type row struct {
	key    string
	change int
	batch  catalogue.Batch
}

// NewCloud makes a cloud without rows.
func NewCloud() *Cloud { return &Cloud{rows: map[catalogue.Feed][]row{}, known: map[[2]string]bool{}} }

func mark(change int) string { return fmt.Sprintf("~%x!", change*7919+13) }

func unmark(text string) int {
	n, err := strconv.ParseInt(strings.Trim(text, "~!"), 16, 64)
	if err != nil {
		return 0
	}
	return (int(n) - 13) / 7919
}

// Set adds or changes a row, which moves it to the end of the listing.
func (c *Cloud) Set(f catalogue.Feed, key string, b catalogue.Batch) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(f, key)
	c.known[[2]string{string(f), key}] = true
	c.changes++
	c.rows[f] = append(c.rows[f], row{key: key, change: c.changes, batch: b})
}

// SetItem adds or changes an item.
func (c *Cloud) SetItem(sku, name string) {
	c.Set(catalogue.Items, sku, catalogue.Batch{Items: []catalogue.Item{{SKU: sku, Name: name}}})
}

// Delete removes a row; no listing of changes ever tells of that.
func (c *Cloud) Delete(f catalogue.Feed, key string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(f, key)
}

func (c *Cloud) remove(f catalogue.Feed, key string) {
	if at := [2]string{string(f), key}; c.known[at] {
		delete(c.known, at)
		c.rows[f] = slices.DeleteFunc(c.rows[f], func(r row) bool { return r.key == key })
	}
}

// Page implements catalogue.Source.
func (c *Cloud) Page(ctx context.Context, q catalogue.Query) (catalogue.Page, error) {
	c.mu.Lock()
	c.Queries = append(c.Queries, q)
	n := len(c.Queries)
	c.mu.Unlock()
	if c.Before != nil {
		if err := c.Before(n, q); err != nil {
			return catalogue.Page{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return catalogue.Page{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	since := 0
	if q.Since != "" {
		since = unmark(q.Since)
	}
	var list []row
	for _, r := range c.rows[q.Feed] {
		if r.change > since {
			list = append(list, r)
		}
	}
	list = list[min(q.Skip, len(list)):]
	first := q.First
	if c.PageLimit > 0 {
		first = min(first, c.PageLimit)
	}
	var p catalogue.Page
	p.More = len(list) > first
	for _, r := range list[:min(first, len(list))] {
		p.Keys = append(p.Keys, r.key)
		p.Items = append(p.Items, r.batch.Items...)
		p.Stock = append(p.Stock, r.batch.Stock...)
		p.Customers = append(p.Customers, r.batch.Customers...)
		p.Records = append(p.Records, r.batch.Records...)
	}
	if !c.NoMarks {
		p.Until = mark(c.changes)
	}
	return p, nil
}

// Fetch implements catalogue.Source.
func (c *Cloud) Fetch(ctx context.Context, kind string, f catalogue.Filter) (json.RawMessage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.Answer(kind, f)
}

// Asked returns the pages asked for so far.
func (c *Cloud) Asked() []catalogue.Query {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]catalogue.Query(nil), c.Queries...)
}
