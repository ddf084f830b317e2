package offline_test

import (
	"context"
	"maps"
	"sync"
	"testing"
	"time"

	"storeagent/offline"
)

// reply is what the scripted cloud does with one attempt.
type reply struct {
	execute bool // writes it into the ledger
	verdict offline.Verdict
	takes   time.Duration
	late    bool // takes longer than anybody waits at the end
}

var (
	fine    = reply{execute: true, verdict: offline.Verdict{Class: offline.ClassDelivered, CloudID: "P"}}
	lost    = reply{execute: true, verdict: offline.Verdict{Class: offline.ClassDoubt, Fault: &offline.Fault{Code: "no_answer"}}}
	dropped = reply{verdict: offline.Verdict{Class: offline.ClassDoubt, Fault: &offline.Fault{Code: "no_answer"}}}
	unsent  = reply{verdict: offline.Verdict{Class: offline.ClassNotExecuted, Fault: &offline.Fault{Code: "dial"}}}
	busy    = reply{verdict: offline.Verdict{Class: offline.ClassNotExecuted, PushBack: true, HTTPStatus: 429, RetryAfter: 3 * time.Second}}
	refused = reply{verdict: offline.Verdict{Class: offline.ClassRejected, Fault: &offline.Fault{Code: "VALIDATION"}}}
	barred  = reply{verdict: offline.Verdict{Class: offline.ClassBlocked, Fault: &offline.Fault{Code: "NOT_AUTHORIZED"}}}
	who     = reply{verdict: offline.Verdict{Class: offline.ClassSignedOut, Fault: &offline.Fault{Code: "NOT_AUTHENTICATED"}}}
	absent  = reply{verdict: offline.Verdict{Class: offline.ClassUnsupported, Fault: &offline.Fault{Code: "unknown_field"}}}
)

// cloud is a scripted POS cloud that keeps a ledger and never looks for duplicates.
type cloud struct {
	t testing.TB

	mu      sync.Mutex
	answer  func(op offline.Operation) reply
	probe   func() offline.Verdict
	ledger  map[string]int // executions by operation
	order   []string       // operations in the order their attempts began
	began   []time.Time
	probes  []time.Time
	streams map[string]int // attempts under way
	flying  int
	most    int // most attempts under way at once
}

func newCloud(t testing.TB) *cloud {
	return &cloud{
		t: t, ledger: map[string]int{}, streams: map[string]int{},
		answer: func(offline.Operation) reply { return fine },
		probe:  func() offline.Verdict { return offline.Verdict{Class: offline.ClassDelivered} },
	}
}

// answers changes how attempts are answered.
func (c *cloud) answers(f func(op offline.Operation) reply) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = f
}

// probing changes how probes are answered.
func (c *cloud) probing(class offline.Class) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probe = func() offline.Verdict {
		return offline.Verdict{Class: class, Fault: &offline.Fault{Code: class.String()}}
	}
}

func (c *cloud) Send(ctx context.Context, op offline.Operation) offline.Verdict {
	c.mu.Lock()
	r := c.answer(op)
	if op.State != offline.Sending || op.Attempts == 0 {
		c.t.Errorf("sent an operation that is %s at attempt %d", op.State, op.Attempts)
	}
	c.order, c.began = append(c.order, op.ID), append(c.began, time.Now())
	c.streams[op.Stream]++
	if c.streams[op.Stream] > 1 {
		c.t.Errorf("two attempts of stream %s under way", op.Stream)
	}
	c.flying++
	c.most = max(c.most, c.flying)
	if r.execute {
		c.ledger[op.ID]++
	}
	c.mu.Unlock()

	v := r.verdict
	select {
	case <-time.After(r.takes):
	case <-ctx.Done():
		v = dropped.verdict
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.streams[op.Stream]--
	c.flying--
	return v
}

func (c *cloud) Probe(context.Context) offline.Verdict {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.probes = append(c.probes, time.Now())
	return c.probe()
}

// sent is how many attempts there were.
func (c *cloud) sent() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.order)
}

func (c *cloud) probed() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.probes)
}

// executed is how often an operation was executed.
func (c *cloud) executed(id string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ledger[id]
}

// executions is that of all operations at one moment.
func (c *cloud) executions() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.ledger)
}
