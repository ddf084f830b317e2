package offline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments/money"
)

// Settings keeps small durable facts by name. Get fails with journal.ErrNotFound where nothing was set.
type Settings interface {
	Get(ctx context.Context, name string) (string, error)
	Set(ctx context.Context, name, value string) error
}

// EventLog takes events that belong to no other state change.
type EventLog interface {
	Append(ctx context.Context, events ...journal.Event) error
}

// Auditor writes down what a person decided about more than one operation.
type Auditor interface {
	Add(ctx context.Context, by journal.Actor, action, subject, note string) error
}

// settingPaused is "true" while a technician holds the queue.
const settingPaused = "queue.paused"

// Words of cloud.unknown_outcome.
const (
	ParkUnknown   = "park"
	ResendUnknown = "resend"
)

// ForwarderConfig is what a Forwarder needs. Store, Cloud and Settings are required.
type ForwarderConfig struct {
	Store    Store
	Cloud    Cloud
	Settings Settings
	Events   EventLog // for queue events; nil tells nobody
	Log      *slog.Logger

	Currency     string        // the store's, for the exposure
	MaxInFlight  int           // attempts side by side, 8 by default
	StartRate    float64       // requests per second after a start or an outage, 1 by default
	MaxRate      float64       // requests per second, 100 by default
	ResumeJitter time.Duration // after an outage the first sale waits a random part of it; 0 is none
	Grace        time.Duration // how long attempts may go on after Run was told to end, 5 s by default

	// UnknownOutcome is what becomes of a purchase in doubt: ParkUnknown (the default) leaves it to a person;
	// ResendUnknown sends it again. The cloud does not look for duplicates and cannot be asked, so with
	// ResendUnknown a purchase whose answer was lost counts twice there: twice the points, twice the sales figures.
	// It needs UnknownOutcomeBy, the name of who answers for that, and Audit, where each start writes it down.
	// Gift cards are never sent again by it.
	UnknownOutcome   string
	UnknownOutcomeBy string
	Audit            Auditor

	// Purchases settles purchases in doubt by asking the cloud for them; nil where that is not wanted.
	Purchases PurchaseFinder

	// Of gift cards. Without Giftcards none are taken, and what is left of them in the queue goes out as it is.
	Giftcards    GiftcardCloud
	Keys         KeyProvider   // seals codes and PINs; needed with Giftcards
	GiftcardHold time.Duration // after which the cloud drops an authorization nobody captured ("Delay Period"); 24 h by default
	Patience     time.Duration // how long a cashier is kept waiting for a gift card, 8 s by default
}

// Forwarder sends what the outbox holds, one attempt at a time per stream, and never risks a sale to find out that
// the cloud is away. Safe for concurrent use; Run may be called again after it returned.
type Forwarder struct {
	cfg  ForwarderConfig
	log  *slog.Logger
	wake chan struct{}
	zero string // no money in the store's currency

	pausing sync.Mutex // held from reading or writing the setting until paused follows it; taken before mu

	// deciding holds a token from reading what is parked to the commit that moves it, for people and for unblock: so the
	// events of the two come in the order of their commits.
	deciding chan struct{}

	mu       sync.Mutex
	paused   bool
	stilled  int // callers who want no attempt to begin
	way      way
	pace     *pacer
	stops    map[OpType]*stop
	flying   map[string]OpType // streams with an attempt under way, until its end is committed
	sending  int               // of them those without an answer yet: they fill the places
	live     []string          // fresh operations, each the first of its stream: they go ahead of the backlog
	hurryAt  time.Time         // back-off from attempts before this moment is over
	wideAt   time.Time         // when to look for operations that a clock jump put far into the future
	ended    map[string]int    // attempts since the start, by class
	doubts   int               // attempts in doubt since the last delivery
	shyUntil time.Time         // the cloud swallows sales: none is risked before
	unsure   bool              // operations in doubt may be left to settle
	unsureAt time.Time         // not before
	cards    *cards            // nil where no gift cards are taken
	lookups  *lookups          // nil where purchases are not looked up
	storeBad storeTrouble
	counts   Counts
	lastErr  *Fault
	nextAt   time.Time // when something is sent next, zero for not known
	told     told
	changed  chan struct{} // closed and renewed when counts were read
}

// storeTrouble is a disk that refuses.
type storeTrouble struct {
	fails   int
	until   time.Time
	reading bool // no commit has failed, only reading
}

// NewForwarder checks the configuration and makes a Forwarder that does nothing until Run.
func NewForwarder(c ForwarderConfig) (*Forwarder, error) {
	if c.Store == nil || c.Cloud == nil || c.Settings == nil || c.Log == nil {
		return nil, errors.New("make forwarder: store, cloud, settings and log are needed")
	}
	switch c.UnknownOutcome {
	case "", ParkUnknown:
	case ResendUnknown:
		if c.UnknownOutcomeBy == "" || c.Audit == nil {
			return nil, errors.New("make forwarder: unknown_outcome = \"resend\" needs unknown_outcome_by, the name of who answers for it")
		}
	default:
		return nil, fmt.Errorf("make forwarder: unknown_outcome is %q, want park or resend", c.UnknownOutcome)
	}
	if c.MaxInFlight <= 0 {
		c.MaxInFlight = 8
	}
	if c.StartRate <= 0 {
		c.StartRate = 1
	}
	if c.MaxRate <= 0 {
		c.MaxRate = 100
	}
	if c.Grace <= 0 {
		c.Grace = 5 * time.Second
	}
	if c.GiftcardHold <= 0 {
		c.GiftcardHold = 24 * time.Hour
	}
	if c.Patience <= 0 {
		c.Patience = 8 * time.Second
	}
	if c.Giftcards != nil && c.Keys == nil {
		return nil, errors.New("make forwarder: gift cards need keys to seal their codes with")
	}
	zero, err := money.Parse("0", c.Currency)
	if err != nil {
		return nil, fmt.Errorf("make forwarder: %w", err)
	}
	f := &Forwarder{
		cfg: c, log: c.Log, zero: zero.String(), wake: make(chan struct{}, 1), changed: make(chan struct{}),
		deciding: make(chan struct{}, 1),
		pace:     newPacer(min(c.StartRate, c.MaxRate), c.MaxRate),
		stops:    map[OpType]*stop{}, flying: map[string]OpType{}, ended: map[string]int{},
		lookups: newLookups(c.Store, c.Purchases),
	}
	if c.Giftcards != nil {
		f.cards = &cards{
			store: c.Store, cloud: c.Giftcards, seal: sealer{c.Keys}, hold: c.GiftcardHold, useBy: c.Patience,
			doubts: map[string]doubt{},
		}
	}
	return f, nil
}

// Wake makes Run look at the outbox now.
func (f *Forwarder) Wake() {
	select {
	case f.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// SignedIn tells that a sign-in succeeded: where the way is closed the cloud is asked at once.
func (f *Forwarder) SignedIn() {
	f.mu.Lock()
	f.way.probeAt, f.way.signedIn = time.Time{}, true
	f.mu.Unlock()
	f.Wake()
}

// SignedOut tells that nobody is signed in any more: the status says so now, and nothing is sent before a sign-in.
func (f *Forwarder) SignedOut() {
	f.mu.Lock()
	now := time.Now()
	f.way.close(now)
	f.way.signedOut, f.way.signedIn, f.way.hurry, f.way.probeAt = true, false, false, now.Add(idle)
	f.lastErr = &Fault{Code: "signed_out", Message: "Nobody is signed in at the cloud. Run: storeagent sign-in"}
	f.mu.Unlock()
	f.Wake() // a queue event tells of it
}

// accepted puts a fresh operation, the first of its stream and depending on none, ahead of the backlog. While the way is closed all
// that comes is backlog.
func (f *Forwarder) accepted(id string) {
	const atMost = 64 // a burst beyond that waits its turn
	f.mu.Lock()
	if f.way.open(time.Now()) && len(f.live) < atMost {
		f.live = append(f.live, id)
	}
	f.mu.Unlock()
	f.Wake()
}

// run is what the attempts of one Run share. Attempts outlive the context of Run a little, so that an answer that
// is already on its way is not thrown away.
type run struct {
	wg         sync.WaitGroup
	send       context.Context // for talking to the cloud
	stopSend   context.CancelFunc
	commit     context.Context // for the store, so that what was learned can be written down after send ended
	stopCommit context.CancelFunc
}

// Run sends until ctx ends. What was being sent when the agent last stopped is settled first. It returns after all
// attempts ended: they get Grace to finish, then their request is broken off and they stand in doubt.
func (f *Forwarder) Run(ctx context.Context) error {
	if err := f.begin(ctx); err != nil {
		if ctx.Err() != nil { // told to end before it began: the next Run does it
			return nil
		}
		return fmt.Errorf("start forwarder: %w", err)
	}
	r := &run{}
	r.send, r.stopSend = context.WithCancel(context.WithoutCancel(ctx))
	r.commit, r.stopCommit = context.WithCancel(context.WithoutCancel(ctx))
	defer f.end(r)
	for ctx.Err() == nil {
		wait := f.step(ctx, r)
		wait = min(wait, f.publish(ctx), f.untilLook())
		t := time.NewTimer(max(wait, time.Millisecond))
		select {
		case <-ctx.Done():
		case <-f.wake:
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

// begin settles what the last run left behind.
func (f *Forwarder) begin(ctx context.Context) error {
	if f.resends() {
		by := journal.Actor{Name: f.cfg.UnknownOutcomeBy, Role: journal.RoleTechnician}
		const note = "purchases in doubt are sent again by configuration; each may count twice at the cloud"
		if err := f.cfg.Audit.Add(ctx, by, "queue.resend_unknown", string(Purchase), note); err != nil {
			return fmt.Errorf("audit unknown_outcome: %w", err)
		}
		f.log.WarnContext(ctx, "purchases in doubt are sent again", "by", f.cfg.UnknownOutcomeBy)
	}
	doubtful, err := f.cfg.Store.Doubt(ctx, time.Now())
	if err != nil {
		return fmt.Errorf("mark interrupted attempts: %w", err)
	}
	for _, op := range doubtful {
		f.log.WarnContext(ctx, "the agent stopped while sending", "operation", op.ID, "type", op.Type, "attempt", op.Attempts)
	}
	stops, err := f.blockedKinds(ctx)
	if err != nil {
		return err
	}
	f.pausing.Lock() // a pause or resume at this moment comes before or after, never in between
	defer f.pausing.Unlock()
	value, err := f.cfg.Settings.Get(ctx, settingPaused)
	if err != nil && !errors.Is(err, journal.ErrNotFound) {
		return err
	}
	f.mu.Lock()
	f.paused, f.stops = value == "true", stops
	if f.cards != nil {
		f.cards.began = time.Now().Truncate(time.Millisecond)
	}
	f.way, f.unsure, f.unsureAt, f.wideAt = way{}, true, time.Time{}, time.Time{}
	f.mu.Unlock()
	f.refresh(ctx)
	return nil
}

func (f *Forwarder) end(r *run) {
	broken := time.AfterFunc(f.cfg.Grace, r.stopSend)
	given := time.AfterFunc(2*f.cfg.Grace, r.stopCommit) // what could not be written by then is in doubt at the next start
	r.wg.Wait()
	broken.Stop()
	given.Stop()
	r.stopSend()
	r.stopCommit()
}

func (f *Forwarder) resends() bool { return f.cfg.UnknownOutcome == ResendUnknown }

// idle is the longest that Run sleeps: the way to the cloud is looked at once a minute.
const idle = time.Minute

// step does what can be done now and returns how long there is nothing more to do.
func (f *Forwarder) step(ctx context.Context, r *run) time.Duration {
	f.mu.Lock()
	paused, bad := f.paused, time.Until(f.storeBad.until)
	f.nextAt = time.Time{}
	f.mu.Unlock()
	if bad > 0 {
		return bad
	}
	if err := f.settleLeft(ctx); err != nil {
		return f.storeFailed(ctx, "settle operations in doubt", err)
	}
	if paused {
		return idle
	}
	if wait := f.openWay(ctx); wait > 0 {
		return f.next(wait)
	}
	if err := f.tryStopped(ctx); err != nil {
		return f.storeFailed(ctx, "release blocked operations", err)
	}
	wait, err := f.dispatch(ctx, r)
	if err != nil {
		return f.storeFailed(ctx, actRead, err)
	}
	return wait
}

// next notes for the status that something is tried after a wait.
func (f *Forwarder) next(wait time.Duration) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nextAt = time.Now().Add(wait)
	return wait
}

// untilLook is how long there is until doubts are looked at again.
func (f *Forwarder) untilLook() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.unsure || f.storeBad.fails > 0 {
		return idle
	}
	return max(0, time.Until(f.unsureAt))
}

// actRead is the act whose trouble reading ends.
const actRead = "read the outbox"

// storeFailed notes that the disk refuses and returns how long to leave it alone. It is logged once per trouble.
func (f *Forwarder) storeFailed(ctx context.Context, act string, err error) time.Duration {
	if ctx.Err() != nil {
		return idle // not the disk: Run ends
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.storeBad.fails++
	wait := min(100*time.Millisecond<<min(f.storeBad.fails, 10), 30*time.Second)
	f.storeBad.until = time.Now().Add(wait)
	f.storeBad.reading = act == actRead && (f.storeBad.reading || f.storeBad.fails == 1)
	if f.storeBad.fails == 1 {
		f.log.ErrorContext(ctx, "the outbox does not work", "act", act, "err", err)
	}
	return wait
}

// storeWorks ends the trouble. A full disk can still be read, so reading ends only the trouble that reading had.
func (f *Forwarder) storeWorks(written bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if written || f.storeBad.reading {
		f.storeBad = storeTrouble{}
	}
}

// dispatch starts attempts as far as pace and places allow, and returns how long there is nothing to start.
func (f *Forwarder) dispatch(ctx context.Context, r *run) (time.Duration, error) {
	now := time.Now()
	f.mu.Lock()
	full := f.full()
	f.mu.Unlock()
	if full {
		return idle, nil
	}
	ops, err := f.candidates(ctx, now)
	if err != nil {
		return 0, err
	}
	f.storeWorks(false)
	for _, op := range ops {
		started, wait := f.start(now, op)
		if wait > 0 {
			return wait, nil
		}
		if started {
			r.wg.Go(func() { f.attempt(r, op) })
		}
	}
	due, err := f.cfg.Store.NextDue(ctx, now)
	if err != nil {
		return 0, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	wait := min(idle, f.way.openUntil.Sub(now))
	if !due.IsZero() {
		wait = min(wait, due.Sub(now))
		f.nextAt = due
	}
	for _, s := range f.stops {
		if d := s.tryAt.Sub(now); d > 0 {
			wait = min(wait, d)
		}
	}
	return wait, nil
}

// start takes a place for an attempt at op. wait is how long no attempt at all may start.
func (f *Forwarder) start(now time.Time, op Operation) (started bool, wait time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full() {
		return false, idle // an answer or a landing wakes Run
	}
	if f.stilled > 0 {
		return false, idle // its end wakes Run
	}
	if f.paused || !f.way.open(now) {
		return false, time.Millisecond
	}
	if _, busy := f.flying[op.Stream]; busy || f.held(op.Type) {
		return false, 0
	}
	if wait := max(f.shyUntil.Sub(now), f.pace.wait(now)); wait > 0 {
		f.nextAt = now.Add(wait)
		return false, wait
	}
	if !f.pace.take(now) {
		return false, time.Millisecond
	}
	f.flying[op.Stream] = op.Type
	f.sending++
	return true, 0
}

// full tells whether all places are taken. An attempt gives up its place when it has its answer, so that the commit of its
// end goes into one flush with the commit of the next one's begin; on a slow disk these ends wait, and no more than as many
// again. The lock is held.
func (f *Forwarder) full() bool {
	places := f.cfg.MaxInFlight
	if f.doubts > 0 {
		places = 1 // until the cloud has taken one again
	}
	return f.sending >= places || len(f.flying) >= 2*places
}

// answered gives up the place of an attempt.
func (f *Forwarder) answered() {
	f.mu.Lock()
	f.sending--
	f.mu.Unlock()
	f.Wake()
}

// farFuture is beyond every time that an operation may wait for.
const farFuture = 200 * 365 * 24 * time.Hour

// candidates lists what may be sent now: fresh sales first, then the backlog in order of acceptance.
func (f *Forwarder) candidates(ctx context.Context, now time.Time) ([]Operation, error) {
	f.mu.Lock()
	live, hurryAt := f.live, f.hurryAt
	f.live = nil
	skip := f.skipped()
	wide := !hurryAt.IsZero() || !now.Before(f.wideAt)
	f.mu.Unlock()

	fresh, keep, err := f.fresh(ctx, live)
	if err != nil {
		f.keepLive(live)
		return nil, err
	}
	f.keepLive(keep)
	upTo, limit := now, 2*f.cfg.MaxInFlight // some of the heads may just be starting
	if wide {
		upTo, limit = now.Add(farFuture), 1000
	}
	heads, err := f.cfg.Store.Heads(ctx, upTo, limit, skip)
	if err != nil {
		return nil, err
	}
	if !wide {
		return append(fresh, heads...), nil
	}
	hurried := false
	for _, op := range heads {
		soon := op.NotBefore.After(now) && op.LastAttemptAt.Before(hurryAt)
		// A longer wait than any there is: the clock was set back meanwhile.
		jumped := op.NotBefore.After(now.Add(maxRetryAfter)) || op.LastAttemptAt.After(now.Add(time.Minute))
		if soon || jumped || !op.NotBefore.After(now) {
			fresh = append(fresh, op)
			hurried = hurried || soon
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wideAt = now.Add(idle)
	if !hurried && f.hurryAt.Equal(hurryAt) {
		f.hurryAt = time.Time{}
	}
	return fresh, nil
}

// fresh reads the live operations that still can go ahead; keep lists those to look at again.
func (f *Forwarder) fresh(ctx context.Context, live []string) (ops []Operation, keep []string, err error) {
	for _, id := range live {
		op, err := f.cfg.Store.Operation(ctx, id)
		if errors.Is(err, journal.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if op.State == Queued && op.Attempts == 0 {
			ops, keep = append(ops, op), append(keep, id)
		}
	}
	return ops, keep, nil
}

func (f *Forwarder) keepLive(ids []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.live = append(ids, f.live...)
}
