package offline_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
)

// TestSimulation lets seeded chance sell, refund, break the cloud and the disk, stop and start the agent, and decide
// on what is parked, and then checks the promises: nothing lost, nothing doubled without a person's word, no
// delivery that never was.
func TestSimulation(t *testing.T) {
	if *oneSeed >= 0 {
		in(t, func(t *testing.T) { simulate(t, uint64(*oneSeed), *seedSteps) })
		return
	}
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			in(t, func(t *testing.T) { simulate(t, seed, 400) })
		})
	}
}

// A failing seed is run again with: go test ./offline -run 'TestSimulation$' -seed N -steps STEPS
var (
	oneSeed   = flag.Int64("seed", -1, "run the simulation with this seed only")
	seedSteps = flag.Int("steps", 400, "how many steps the simulation with -seed takes")
	manySeeds = flag.Int("seeds", 300, "how many short simulations run; make test runs thousands without the race detector")
)

// TestManyShortSimulations: a failure needs few steps and rare luck more often than many steps.
func TestManyShortSimulations(t *testing.T) {
	const steps = 15
	for seed := range uint64(*manySeeds) {
		in(t, func(t *testing.T) { simulate(t, 1000+seed, steps) })
		if t.Failed() {
			t.Fatalf("seed %d failed; again with: go test ./offline -run 'TestSimulation$' -seed %d -steps %d", 1000+seed, 1000+seed, steps)
		}
	}
}

// world is one simulated stretch of trade.
type world struct {
	*shop
	rnd     *rand.Rand
	disk    *disk
	recs    []offline.Record
	resent  map[string]int  // by operation: how often a person said so
	settled map[string]bool // by operation: a person said that it is there
	finder  *finder         // nil where purchases are not looked up
}

func simulate(t *testing.T, seed uint64, steps int) {
	w := &world{
		shop: newShop(t), rnd: rand.New(rand.NewPCG(seed, 7)), resent: map[string]int{}, settled: map[string]bool{},
	}
	if seed%3 == 2 { // a tenant that can be asked for purchases
		w.finder = &finder{}
		w.cfg.Purchases = w.finder
		w.cloud.answers(w.finder.seen(func(offline.Operation) reply { return fine }))
	}
	w.start(fault{})
	for range steps {
		w.step()
		w.check()
	}
	w.stopLife()
	w.answers(func(offline.Operation) reply { return fine })
	if w.finder != nil {
		w.finder.set(func(f *finder) { f.fault, f.lag = nil, 0 })
	}
	w.cloud.probing(offline.ClassDelivered)
	w.start(fault{})
	if err := w.desk.Resume(t.Context(), tech); err != nil {
		t.Fatal(err)
	}
	pass(3 * time.Hour)
	w.check()
	for _, rec := range w.recs {
		op := w.op(rec)
		if op.State == offline.Queued && w.behindParked(op) {
			continue
		}
		if op.State != offline.Delivered && op.State != offline.Parked && op.State != offline.Discarded {
			t.Errorf("%s ends %s %s after %d attempts", rec.TransactionID, op.State, op.Reason, op.Attempts)
		}
	}
	w.stopLife()
	w.checkEvents()
	if steps > 100 {
		t.Logf("%d sales, %d attempts: %+v", len(w.recs), w.cloud.sent(), w.desk.Status())
	}
}

// start begins a life of the agent on a disk with a fault.
func (w *world) start(f fault) {
	w.disk = &disk{Memory: w.mem, fault: f}
	w.cfg.Store = w.disk
	w.open()
	w.run()
}

// stopLife ends a life; a disk that was gone at its start may have ended it already.
func (w *world) stopLife() { w.stop() }

func (w *world) step() {
	w.Helper()
	switch w.rnd.IntN(16) {
	case 0, 1, 2:
		for range w.rnd.IntN(6) {
			w.recs = append(w.recs, w.sell(""))
		}
	case 3:
		if len(w.recs) > 0 {
			w.recs = append(w.recs, w.sell(w.recs[w.rnd.IntN(len(w.recs))].TransactionID))
		}
	case 4, 5:
		w.weather()
	case 6:
		w.stopLife()
		f := fault{}
		if w.rnd.IntN(2) == 0 { // its changes at the start are spared: a life that cannot begin is no life
			f = fault{at: 20 + w.rnd.IntN(40), written: w.rnd.IntN(2) == 0, once: w.rnd.IntN(2) == 0}
		}
		w.start(f)
	case 7, 8:
		w.decide()
	case 9:
		act := w.desk.Resume
		if w.rnd.IntN(3) == 0 {
			act = w.desk.Pause
		}
		if err := act(w.Context(), tech); err != nil {
			w.Fatal(err)
		}
	case 10:
		ctx, cancel := contextFor(w.T, 3*time.Second)
		w.desk.Drain(ctx)
		cancel()
	case 11:
		w.f.SignedIn()
	case 12:
		pass(time.Duration(w.rnd.IntN(600)) * time.Second)
	case 13: // overnight, or the clock is set forward
		pass(time.Duration(1+w.rnd.IntN(72)) * time.Hour)
	case 14:
		w.mem.SetClockBack(time.Duration(1+w.rnd.IntN(72)) * time.Hour)
	default:
		pass(time.Duration(w.rnd.IntN(5000)) * time.Millisecond)
	}
}

// weather changes how the cloud answers, mostly for the better.
func (w *world) weather() {
	late := fine // answers, when nobody listens any more
	late.late = true
	replies := []reply{fine, fine, fine, fine, fine, fine, lost, dropped, late, unsent, busy, refused, barred, who, absent}
	share := w.rnd.IntN(len(replies)) + 1
	picks := rand.New(rand.NewPCG(w.rnd.Uint64(), 1))
	if w.finder != nil {
		w.finder.set(func(f *finder) {
			f.lag = time.Duration(picks.IntN(4)) * 40 * time.Second
			f.fault = nil
			if picks.IntN(4) == 0 {
				f.fault = &offline.Verdict{Class: []offline.Class{offline.ClassDoubt, offline.ClassNotExecuted, offline.ClassBlocked}[picks.IntN(3)]}
			}
		})
	}
	w.answers(func(offline.Operation) reply {
		r := replies[picks.IntN(share)]
		r.takes = time.Duration(picks.IntN(3000)) * time.Millisecond
		if r.late {
			r.takes += time.Minute
		}
		return r
	})
	w.cloud.probing([]offline.Class{
		offline.ClassDelivered, offline.ClassDelivered, offline.ClassDelivered, offline.ClassNotExecuted, offline.ClassSignedOut, offline.ClassDoubt,
	}[w.rnd.IntN(6)])
}

// answers changes how attempts are answered, and shows what was executed to whoever looks purchases up.
func (w *world) answers(next func(offline.Operation) reply) {
	if w.finder != nil {
		next = w.finder.seen(next)
	}
	w.cloud.answers(next)
}

// decide lets a person look at one parked operation.
func (w *world) decide() {
	ops, _, err := w.mem.Operations(w.Context(), offline.ItemFilter{State: offline.Parked, Limit: 1000})
	if err != nil {
		w.Fatal(err)
	}
	if len(ops) == 0 {
		return
	}
	op := ops[w.rnd.IntN(len(ops))]
	d := offline.Decision{OpID: op.ID, Note: "simulated"}
	switch {
	case op.Reason != offline.Unknown && w.rnd.IntN(2) == 0:
		d.Action = offline.Discard
	case w.cloud.executed(op.ID) > 0:
		d.Action, d.CloudID = offline.Settle, "P"
	default:
		d.Action = offline.Resend
	}
	_, err = w.desk.Decide(w.Context(), d, journal.Entry{Actor: tech})
	released := op.Reason == offline.Blocked && errors.Is(err, offline.ErrState) // by the forwarder, which was faster
	switch {
	case err != nil && !released && !w.disk.gone():
		w.Errorf("%s: %v", d.Action, err)
	case err == nil && d.Action == offline.Settle:
		w.settled[op.ID] = true
	case err == nil && d.Action == offline.Resend:
		w.resent[op.ID]++
	}
}

func (d *disk) gone() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// check holds the promises against every sale so far. The forwarder goes on meanwhile, so what was executed is read before
// the states that must allow it, and again after those that tell of it.
func (w *world) check() {
	w.Helper()
	before := w.cloud.executions()
	open := map[string]string{} // by stream: the first sale that is not through
	for _, rec := range w.recs {
		op := w.op(rec) // fails where it is lost
		n := w.cloud.executed(op.ID)
		if first := open[op.Stream]; first != "" && before[op.ID] > 0 {
			w.Fatalf("%s was executed before %s of its stream was through", rec.TransactionID, first)
		}
		if op.State != offline.Delivered && op.State != offline.Discarded && open[op.Stream] == "" {
			open[op.Stream] = rec.TransactionID
		}
		if n > 1+w.resent[op.ID] {
			w.Fatalf("%s was executed %d times, %d of them asked for", rec.TransactionID, n, w.resent[op.ID])
		}
		if op.State == offline.Delivered && n == 0 && !w.settled[op.ID] {
			w.Fatalf("%s is called delivered and never was executed", rec.TransactionID)
		}
	}
}

// checkEvents holds what listeners heard last of each sale against how it stands.
func (w *world) checkEvents() {
	w.Helper()
	events, err := w.mem.After(w.Context(), 0, []string{"sale"}, 1<<30)
	if err != nil {
		w.Fatal(err)
	}
	heard := map[string]offline.SaleView{}
	for _, e := range events {
		v := decode[offline.SaleView](w.shop, e.Data)
		heard[v.ID] = v
	}
	for _, rec := range w.recs {
		v, err := w.mem.Sale(w.Context(), rec.ID)
		if err != nil {
			w.Fatal(err)
		}
		if h := heard[rec.ID]; h.State != v.State || h.Reason != v.Reason || h.CloudID != v.CloudID {
			w.Errorf("%s is %s %s %s, listeners heard %s %s %s last", rec.TransactionID, v.State, v.Reason, v.CloudID, h.State, h.Reason, h.CloudID)
		}
	}
}

// behindParked tells whether an earlier operation of the stream waits for a person.
func (w *world) behindParked(op offline.Operation) bool {
	parked, _, err := w.mem.Operations(w.Context(), offline.ItemFilter{State: offline.Parked, Limit: 10000})
	if err != nil {
		w.Fatal(err)
	}
	for _, p := range parked {
		if p.Stream == op.Stream && p.Seq < op.Seq {
			return true
		}
	}
	return false
}
