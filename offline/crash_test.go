package offline_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/offlinetest"
)

// fault is where a disk gives up: at the nth change, before it is written or after it, for good or once.
type fault struct {
	at      int
	written bool
	once    bool
}

func (f fault) String() string {
	return fmt.Sprintf("change %d, written %t, once %t", f.at, f.written, f.once)
}

var errDisk = errors.New("disk gave up")

// disk is a Memory whose changes fail as told. A disk that failed for good does not even read: the process is gone
// as far as its data are concerned, and what its requests do at the cloud goes on.
type disk struct {
	*offlinetest.Memory
	mu      sync.Mutex
	fault   fault
	changes int
	dead    bool
	full    bool // every change fails before it is written, reading works
}

func (d *disk) change(apply func() error) error {
	d.mu.Lock()
	d.changes++
	hit := d.changes == d.fault.at
	if hit && !d.fault.once {
		defer func() { d.mu.Lock(); d.dead = true; d.mu.Unlock() }()
	}
	broken := d.dead || d.full || hit && !d.fault.written
	d.mu.Unlock()
	if broken {
		return errDisk
	}
	if err := apply(); err != nil || !hit {
		return err
	}
	return errDisk
}

func (d *disk) read() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead {
		return errDisk
	}
	return nil
}

func (d *disk) setFull(full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full = full
}

func (d *disk) Begin(ctx context.Context, id string, n int, at time.Time, e ...journal.Event) error {
	return d.change(func() error { return d.Memory.Begin(ctx, id, n, at, e...) })
}

func (d *disk) Finish(ctx context.Context, id string, n int, r offline.Result, e ...journal.Event) error {
	return d.change(func() error { return d.Memory.Finish(ctx, id, n, r, e...) })
}

func (d *disk) Settle(ctx context.Context, id string, r offline.Result, e ...journal.Event) error {
	return d.change(func() error { return d.Memory.Settle(ctx, id, r, e...) })
}

func (d *disk) Doubt(ctx context.Context, at time.Time) (ops []offline.Operation, err error) {
	err = d.change(func() error { ops, err = d.Memory.Doubt(ctx, at); return err })
	return ops, err
}

func (d *disk) Unblock(ctx context.Context, t offline.OpType, at time.Time, e ...journal.Event) (n int, err error) {
	err = d.change(func() error { n, err = d.Memory.Unblock(ctx, t, at, e...); return err })
	return n, err
}

func (d *disk) Heads(ctx context.Context, now time.Time, limit int, skip []offline.OpType) ([]offline.Operation, error) {
	if err := d.read(); err != nil {
		return nil, err
	}
	return d.Memory.Heads(ctx, now, limit, skip)
}

func (d *disk) Sale(ctx context.Context, id string) (offline.SaleView, error) {
	if err := d.read(); err != nil {
		return offline.SaleView{}, err
	}
	return d.Memory.Sale(ctx, id)
}

// runOn runs a forwarder on a disk for a while and ends it; a run that its disk stops at once is no error.
func (s *shop) runOn(d *disk, life time.Duration) {
	s.cfg.Store = d
	s.open()
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan error, 1)
	go func() { done <- s.f.Run(ctx) }()
	pass(life)
	cancel()
	if err := <-done; err != nil && !errors.Is(err, errDisk) {
		s.Errorf("Run: %v", err)
	}
}

// TestEveryCrashTimesEveryAnswer tries each answer of the cloud with a disk that gives up at each change, in the
// first life of the agent and in the second, and then lets a third life with a healthy cloud end it.
func TestEveryCrashTimesEveryAnswer(t *testing.T) {
	faults := []fault{{}}
	for at := 1; at <= 4; at++ {
		for _, written := range []bool{false, true} {
			faults = append(faults, fault{at, written, false}, fault{at, written, true})
		}
	}
	for name, r := range map[string]reply{
		"fine": fine, "lost": lost, "dropped": dropped, "unsent": unsent, "busy": busy, "refused": refused,
		"barred": barred, "signed out": who, "absent": absent,
	} {
		t.Run(name, func(t *testing.T) {
			for _, first := range faults {
				for _, second := range faults {
					in(t, func(t *testing.T) { crashTwice(t, r, first, second) })
				}
			}
		})
	}
}

func crashTwice(t *testing.T, r reply, first, second fault) {
	s := newShop(t)
	rec := s.sell("")
	id := s.op(rec).ID
	tries := 0
	s.cloud.answers(func(offline.Operation) reply {
		if tries++; tries == 1 {
			return r
		}
		return fine
	})
	s.runOn(&disk{Memory: s.mem, fault: first}, 20*time.Second)
	s.runOn(&disk{Memory: s.mem, fault: second}, 20*time.Second)
	s.runOn(&disk{Memory: s.mem}, 10*time.Minute)

	op, n := s.op(rec), s.cloud.executed(id)
	bad := n > 1 || // doubled
		op.State != offline.Delivered && op.State != offline.Parked || // lost sight of
		op.State == offline.Delivered && n != 1 || // a lie
		op.State == offline.Parked && op.Reason != offline.Unknown && n != 0 // refused, they said
	if bad {
		t.Errorf("after %v, then %v: %s %s with %d executions in %d attempts", first, second, op.State, op.Reason, n, op.Attempts)
	}
	if first == (fault{}) && second == (fault{}) {
		want := map[offline.Class]offline.State{offline.ClassDoubt: offline.Parked, offline.ClassRejected: offline.Parked}[r.verdict.Class]
		if want == "" {
			want = offline.Delivered
		}
		if op.State != want {
			t.Errorf("without any fault: %s %s, want %s", op.State, op.Reason, want)
		}
	}
}

func TestFullDisk(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newShop(t)
		d := &disk{Memory: s.mem, full: false}
		s.cfg.Store = d
		s.open()
		s.run()
		pass(time.Second)
		d.setFull(true)
		rec := s.sell("") // Memory itself still takes it
		pass(10 * time.Minute)
		if s.cloud.sent() != 0 {
			t.Errorf("%d sent although the attempt could not be written down", s.cloud.sent())
		}
		s.wantProblem("outbox_failing", true)
		d.mu.Lock()
		changes := d.changes
		d.mu.Unlock()
		if changes > 100 {
			t.Errorf("%d tries to write within ten minutes", changes)
		}
		d.setFull(false)
		pass(time.Minute)
		s.want(rec, offline.Delivered, "")
		s.wantProblem("outbox_failing", false)

		s.cloud.answers(func(offline.Operation) reply { d.setFull(true); return fine })
		second := s.sell("") // the answer comes while the disk is full
		pass(10 * time.Minute)
		s.want(second, offline.Sending, "")
		d.setFull(false)
		pass(time.Minute)
		s.want(second, offline.Delivered, "")
		s.stop()
	})
}
