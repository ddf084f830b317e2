package catalogue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
)

// Sizes and times of fetching.
const (
	pageRows  = 500 // asked for; the cloud may give fewer
	batchRows = 200 // written in one commit, so that a sale never waits long for the writer
	overlap   = 10  // rows of a page that we have already, to see whether the listing moved
	tailRows  = 50  // keys kept to find our place again
	stepBack  = 200 // rows to go back where it moved by more than the overlap
	maxBack   = 20  // times in one pass; then it goes on and a full pass follows soon

	pagePause    = 250 * time.Millisecond // between two pages: first fetches are long, and the line is the sales'
	awayPause    = 200 * time.Millisecond // until the way to the cloud is looked at again
	yieldPause   = 100 * time.Millisecond // while sales wait
	yieldAtMost  = 20                     // pauses before one page; then a page comes between
	fullEvery    = 7 * 24 * time.Hour     // a full pass finds what was deleted
	recheckAfter = 24 * time.Hour         // until a full pass after one that could not be sure
	startSpread  = 30 * time.Second       // within which changes are looked for after a start
	askAgain     = time.Hour              // after a missing permission or query
	salesKept    = 90                     // days of sales in the copy
	markDoubted  = 10                     // failures in a row, some hours, after which a feed begins anew
	tellEvery    = 5 * time.Second        // between two events of progress
)

// EventLog takes the events of progress.
type EventLog interface {
	Append(ctx context.Context, events ...journal.Event) error
}

// Config is what a Catalogue needs. Source, Store and Log are required.
type Config struct {
	Source Source
	Store  Store
	Events EventLog // nil tells nobody
	Log    *slog.Logger

	// Every is the time between two looks for changes in opening hours, 15 minutes by default.
	Every    time.Duration
	Location *time.Location // of the store, for what night is; nil is UTC

	StoreCode string // the warehouse of that name is the one whose price is shown
	Currency  string

	// Online says whether the way to the cloud is open; nil means always.
	Online func() bool
	// Busy says whether sales wait to be sent: they go first. nil means never.
	Busy func() bool
}

// Catalogue keeps the copy fresh and answers from it. Safe for concurrent use; one Run at a time.
type Catalogue struct {
	cfg    Config
	wake   chan struct{}
	demand demand

	mu     sync.Mutex
	feeds  map[Feed]*feed
	counts map[Feed]int
	told   time.Time
}

// feed is one feed's place in the schedule.
type feed struct {
	pos     Position
	loaded  bool
	nextAt  time.Time
	fails   int
	problem error // of the last try
	full    bool  // somebody asked for a full pass
	again   bool  // somebody asked since the present pass began, which may be past what they mean
}

// New makes a Catalogue that fetches nothing until Run.
func New(c Config) (*Catalogue, error) {
	if c.Source == nil || c.Store == nil || c.Log == nil {
		return nil, errors.New("make catalogue: source, store and log are needed")
	}
	if c.Every <= 0 {
		c.Every = 15 * time.Minute
	}
	if c.Location == nil {
		c.Location = time.UTC
	}
	if c.Online == nil {
		c.Online = func() bool { return true }
	}
	if c.Busy == nil {
		c.Busy = func() bool { return false }
	}
	cat := &Catalogue{cfg: c, wake: make(chan struct{}, 1), feeds: map[Feed]*feed{}, counts: map[Feed]int{}, demand: newDemand()}
	for _, f := range Feeds() {
		cat.feeds[f] = &feed{}
	}
	return cat, nil
}

// SyncNow makes every feed look for changes at once, those that were refused too; with full it reads everything again,
// so that what was deleted goes and what the account may newly see comes.
func (c *Catalogue) SyncNow(full bool) {
	c.mu.Lock()
	for _, f := range c.feeds {
		f.nextAt, f.fails = time.Time{}, 0
		f.full, f.again = f.full || full, true
	}
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Run fetches until ctx ends. A pass that was interrupted goes on with the page it was at.
func (c *Catalogue) Run(ctx context.Context) error {
	c.recount(ctx)
	c.load(ctx)
	for ctx.Err() == nil {
		f, wait := c.due(time.Now())
		if wait == 0 && !c.cfg.Online() {
			wait = awayPause
		}
		if wait > 0 {
			c.pause(ctx, wait)
			continue
		}
		c.letSalesPass(ctx)
		c.step(ctx, f)
	}
	return nil
}

// load reads where all feeds stopped, so that the status is right also while there is no way to the cloud. What was
// fetched lately is not fetched again just because the agent was started; a chain that starts all at once spreads out.
func (c *Catalogue) load(ctx context.Context) {
	now := time.Now()
	for _, name := range Feeds() {
		c.mu.Lock()
		loaded := c.feeds[name].loaded
		c.mu.Unlock()
		pos, err := c.position(ctx, name)
		switch {
		case err != nil && ctx.Err() == nil:
			c.cfg.Log.WarnContext(ctx, "catalogue position not read", "feed", name, "err", err) // step tries again
		case err == nil && !loaded && !pos.Open && !pos.CompletedAt.IsZero():
			wait := min(c.cfg.Every-now.Sub(pos.CompletedAt), c.cfg.Every)
			if wait < startSpread {
				wait = rand.N(startSpread) //nolint:gosec // spreads load
			}
			c.mu.Lock()
			if f := c.feeds[name]; f.nextAt.IsZero() && !f.full {
				f.nextAt = now.Add(wait)
			}
			c.mu.Unlock()
		}
	}
}

// pause waits, or less where somebody asks to sync now.
func (c *Catalogue) pause(ctx context.Context, wait time.Duration) {
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-c.wake:
	case <-t.C:
	}
}

// letSalesPass waits while sales are to be sent, but not for ever: a queue that cannot be emptied must not stop prices.
func (c *Catalogue) letSalesPass(ctx context.Context) {
	for range yieldAtMost {
		if !c.cfg.Busy() || ctx.Err() != nil {
			return
		}
		t := time.NewTimer(yieldPause)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
}

// due returns the feed whose turn it is, or how long there is none.
func (c *Catalogue) due(now time.Time) (Feed, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var next Feed
	var at time.Time
	for _, name := range Feeds() {
		if f := c.feeds[name]; next == "" || f.nextAt.Before(at) {
			next, at = name, f.nextAt
		}
	}
	if wait := at.Sub(now); wait > 0 {
		return "", min(wait, time.Minute) // the clock may be set meanwhile
	}
	return next, 0
}

// step fetches one page of a feed and plans the next.
func (c *Catalogue) step(ctx context.Context, name Feed) {
	if ctx.Err() != nil {
		return
	}
	pos, err := c.position(ctx, name)
	if err == nil {
		c.mu.Lock()
		f := c.feeds[name]
		// A cloud that answers others and fails at our mark for hours may not know it any more.
		doubted := f.fails >= markDoubted && pos.Mark != ""
		if !pos.Open || doubted && pos.Since != "" {
			pos = begin(pos, name, time.Now(), f.full || doubted)
			f.again = false
		}
		c.mu.Unlock()
	}
	if err == nil {
		pos, err = c.page(ctx, name, pos)
	}
	if ctx.Err() != nil {
		return // whatever it was, Run ends
	}
	if err == nil && !pos.Open { // before it is shown as ended: its rows are shown with it
		c.recount(ctx)
	}
	c.mu.Lock()
	f := c.feeds[name]
	before := f.problem
	f.problem = err
	if err == nil {
		f.pos, f.fails = pos, 0
		f.full = f.full && !pos.Full
	}
	if f.nextAt = c.plan(time.Now(), f); err == nil && !pos.Open && f.again {
		f.nextAt = time.Time{}
	}
	c.mu.Unlock()
	switch {
	case err != nil && (before == nil || before.Error() != err.Error()):
		c.cfg.Log.WarnContext(ctx, "catalogue not fetched", "feed", name, "err", err)
	case err == nil && !pos.Open:
		c.cfg.Log.DebugContext(ctx, "catalogue fetched", "feed", name, "rows", pos.Received, "full", pos.Full)
	}
	c.tell(ctx, err != nil || !pos.Open && (pos.Full || pos.Received > 0))
}

// position reads where the feed stopped, once.
func (c *Catalogue) position(ctx context.Context, name Feed) (Position, error) {
	c.mu.Lock()
	f := c.feeds[name]
	pos, loaded := f.pos, f.loaded
	c.mu.Unlock()
	if loaded {
		return pos, nil
	}
	pos, err := c.cfg.Store.Position(ctx, name)
	if err != nil {
		return pos, fmt.Errorf("read position of %s: %w", name, err)
	}
	c.mu.Lock()
	f.pos, f.loaded = pos, true
	c.mu.Unlock()
	return pos, nil
}

// begin opens a pass: from the last mark, or from the beginning where there is none, where it is time to look for
// what was deleted, or where the last pass could not be sure.
func begin(p Position, name Feed, now time.Time, full bool) Position {
	age := now.Sub(p.FullAt)
	full = full || p.Mark == "" || p.Recheck && age > recheckAfter || name != Sales && age > fullEvery
	next := Position{Open: true, Full: full, Mark: p.Mark, StartedAt: now.UTC(), CompletedAt: p.CompletedAt, FullAt: p.FullAt, Recheck: p.Recheck}
	if !full {
		next.Since = p.Mark
	}
	return next
}

// page fetches and keeps one page, and ends the pass with the last.
//
// The listing lies at the cloud and moves while it is read: a row that changes goes to its end, and all behind it move
// up. So every page begins a few rows before the place we came to, and where none of the rows we had last are found
// there, we go back until they are.
func (c *Catalogue) page(ctx context.Context, name Feed, pos Position) (Position, error) {
	now := time.Now()
	pos.Tail = slices.Clone(pos.Tail)
	skip := max(0, pos.Next-pos.Lap)
	page, err := c.cfg.Source.Page(ctx, Query{Feed: name, Since: pos.Since, First: pageRows, Skip: skip})
	if err != nil {
		return pos, err
	}
	if page.More && len(page.Keys) == 0 {
		return pos, errors.New("the cloud gave an empty page and promised more")
	}
	if skip > 0 && pos.Lap > 0 && !pos.Suspect && !overlaps(pos.Tail, page.Keys) {
		pos.Back++
		pos.Suspect = pos.Back > maxBack
		pos.Next = max(0, skip-stepBack)
		return pos, c.cfg.Store.Put(ctx, name, Batch{}, &pos)
	}
	came := skip + len(page.Keys)
	pos.Lap = min(overlap, len(page.Keys)/2) // less than a page, or we would never come further
	pos.Received += max(0, came-max(pos.Next, skip))
	pos.Next = came
	pos.Tail = append(pos.Tail, page.Keys...)
	pos.Tail = pos.Tail[max(0, len(pos.Tail)-tailRows):]
	pos.Limited = pos.Limited || page.Limited
	if page.Until != "" {
		pos.Until = page.Until
	}
	if !page.More {
		pos = finish(pos, time.Now())
	}
	page.AsOf = now.UTC()
	if page.AsOf.Before(pos.StartedAt) { // the clock was set back: what this pass saw must not look older than it
		page.AsOf = pos.StartedAt
	}
	if name == Sales {
		page.Records = recent(page.Records, c.oldest(now))
	}
	if err := c.put(ctx, name, page.Batch, pos); err != nil {
		return pos, err
	}
	if !pos.Open {
		err = c.tidy(ctx, name, pos, now)
	}
	return pos, err
}

func overlaps(tail, keys []string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return slices.Contains(tail, k) })
}

// finish closes the pass.
func finish(pos Position, now time.Time) Position {
	pos.Open, pos.Next, pos.Tail = false, 0, nil
	pos.CompletedAt = now.UTC()
	if pos.Until != "" {
		pos.Mark = pos.Until
	}
	if pos.Full {
		pos.FullAt = now.UTC()
	}
	pos.Recheck = pos.Suspect || pos.Recheck && !pos.Full
	return pos
}

// put writes a page in small commits, the position with the last.
func (c *Catalogue) put(ctx context.Context, name Feed, b Batch, pos Position) error {
	for {
		part := Batch{AsOf: b.AsOf}
		part.Items, b.Items = cut(b.Items)
		part.Stock, b.Stock = cut(b.Stock)
		part.Customers, b.Customers = cut(b.Customers)
		part.Records, b.Records = cut(b.Records)
		if len(b.Items)+len(b.Stock)+len(b.Customers)+len(b.Records) == 0 {
			if err := c.cfg.Store.Put(ctx, name, part, &pos); err != nil {
				return fmt.Errorf("keep rows of %s: %w", name, err)
			}
			return nil
		}
		if err := c.cfg.Store.Put(ctx, name, part, nil); err != nil {
			return fmt.Errorf("keep rows of %s: %w", name, err)
		}
	}
}

func cut[T any](rows []T) (head, rest []T) {
	n := min(len(rows), batchRows)
	return rows[:n], rows[n:]
}

// tidy removes what a full pass did not see any more, and old sales. A pass that saw nothing, not everything, or
// could not be sure, removes nothing.
func (c *Catalogue) tidy(ctx context.Context, name Feed, pos Position, now time.Time) error {
	if pos.Full && !pos.Suspect && !pos.Limited && pos.Received > 0 && name != Sales {
		if err := drain(func() (int, error) { return c.cfg.Store.Sweep(ctx, name, pos.StartedAt, batchRows) }); err != nil {
			return fmt.Errorf("remove what is gone from %s: %w", name, err)
		}
	}
	if name == Sales {
		if err := drain(func() (int, error) { return c.cfg.Store.DropBefore(ctx, name, c.oldest(now), batchRows) }); err != nil {
			return fmt.Errorf("remove old sales: %w", err)
		}
	}
	return nil
}

func drain(remove func() (int, error)) error {
	for {
		n, err := remove()
		if err != nil || n < batchRows {
			return err
		}
	}
}

// oldest is the day before which sales are not kept.
func (c *Catalogue) oldest(now time.Time) string {
	return now.In(c.cfg.Location).AddDate(0, 0, -salesKept).Format(time.DateOnly)
}

func recent(rows []Record, day string) []Record {
	return slices.DeleteFunc(slices.Clone(rows), func(r Record) bool { return r.Day != "" && r.Day < day })
}

// plan says when a feed is looked at next. The caller holds the lock.
func (c *Catalogue) plan(now time.Time, f *feed) time.Time {
	switch {
	case errors.Is(f.problem, ErrNotAllowed), errors.Is(f.problem, ErrUnsupported):
		return now.Add(jitter(askAgain))
	case f.problem != nil:
		f.fails++
		return now.Add(jitter(min(15*time.Second<<min(f.fails, 8), 30*time.Minute)))
	case f.pos.Open:
		return now.Add(pagePause)
	}
	every := c.cfg.Every
	if f.pos.Mark == "" { // the cloud tells no changes: each look is a full one
		every = max(8*every, 6*time.Hour)
	}
	at := now.Add(jitter(every))
	local := now.In(c.cfg.Location)
	if open, shut := opens(local); shut {
		// At night one look in a long while, and the first of the morning before the shop opens.
		at = now.Add(jitter(max(8*every, 2*time.Hour)))
		if morning := open.Add(rand.N(15 * time.Minute)); at.After(morning) { //nolint:gosec // spreads load
			at = morning
		}
	}
	return at
}

// Hours of the night, in the store's time.
const (
	nightFrom = 23
	nightTo   = 6
)

// opens tells whether it is night and when that ends.
func opens(local time.Time) (time.Time, bool) {
	y, m, d := local.Date()
	switch h := local.Hour(); {
	case h >= nightFrom:
		return time.Date(y, m, d+1, nightTo, 0, 0, 0, local.Location()), true
	case h < nightTo:
		return time.Date(y, m, d, nightTo, 0, 0, 0, local.Location()), true
	}
	return time.Time{}, false
}

// jitter spreads a time by a tenth to either side, so that a chain's registers do not all come at once.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // spreads load
}

// recount reads how many rows there are.
func (c *Catalogue) recount(ctx context.Context) {
	counts, err := c.cfg.Store.Counts(ctx)
	if err != nil {
		if ctx.Err() == nil {
			c.cfg.Log.WarnContext(ctx, "catalogue not counted", "err", err)
		}
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts = counts
}

// tell writes an event of progress: at once where it matters, else every few seconds while rows come in.
func (c *Catalogue) tell(ctx context.Context, matters bool) {
	if c.cfg.Events == nil {
		return
	}
	now := time.Now()
	c.mu.Lock()
	open := false
	for _, f := range c.feeds {
		open = open || f.pos.Open
	}
	due := matters || open && now.Sub(c.told) >= tellEvery
	if due {
		c.told = now
	}
	c.mu.Unlock()
	if !due {
		return
	}
	if err := c.cfg.Events.Append(ctx, journal.NewEvent("catalog", now, c.Status())); err != nil && ctx.Err() == nil {
		c.cfg.Log.WarnContext(ctx, "catalogue event not written", "err", err)
	}
}

// signedOut is told apart for the status: it is not the feed's fault.
func signedOut(err error) bool { return errors.Is(err, offline.ErrSignedOut) }
