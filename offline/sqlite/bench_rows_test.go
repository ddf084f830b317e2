package sqlite

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"storeagent/offline"
)

// fillWithTrade puts delivered sales into the database, with their operations and answers, as years of trade leave them.
func fillWithTrade(b *testing.B, s *Store, rows int) {
	b.Helper()
	const count = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) `
	pad := fmt.Sprintf("%0800d", 0)
	for _, query := range []string{
		`INSERT INTO sales (id, store_code, transaction_id, kind, currency, amount, body, content_hash, warnings, tenders, accepted_at,
			accepted_by, state) ` + count + `SELECT printf('old-%012d', i), 'DALLAS', printf('OLD-%d', i), 'sale', 'USD', '12.50', CAST(?2 AS BLOB),
			randomblob(32), '[]', '[]', i, 'p1', 'delivered' FROM n`,
		`INSERT INTO operations (id, type, sale_id, stream, payload, content_hash, ref, amount, currency, lane, state, attempts, created_at,
			delivered_at) ` + count + `SELECT printf('op-%012d', i), 'purchase', printf('old-%012d', i), printf('old-%012d', i), CAST(?2 AS BLOB),
			randomblob(32), printf('OLD-%d', i), '12.50', 'USD', '', 'delivered', 1, i, i FROM n`,
		`INSERT INTO answers (pairing_id, key, fingerprint, status, location, body, at) ` + count + `SELECT 'p1', printf('old-%012d', i),
			randomblob(32), 201, '', CAST(substr(?2, 1, 120) AS BLOB), i FROM n`,
	} {
		err := s.change(context.Background(), func(t *tx) error {
			_, err := t.w.conn.ExecContext(t.w.ctx, query, rows, pad)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAcceptWithRows accepts sales one after the other, in turn into databases that hold few and many already, so
// that whatever else the machine does hurts all of them alike.
func BenchmarkAcceptWithRows(b *testing.B) {
	type shop struct {
		*Store
		rows int
		took []time.Duration
	}
	var shops []*shop
	for _, rows := range []int{1_000, 100_000, 1_000_000} {
		s := &shop{Store: openTemp(b), rows: rows}
		fillWithTrade(b, s.Store, rows)
		shops = append(shops, s)
	}
	ctx, n := context.Background(), 0
	accept := func() {
		n++
		for _, s := range shops {
			begun := time.Now()
			if err := s.Outbox().AcceptSale(ctx, someSale(n), someEntry(n)); err != nil {
				b.Fatal(err)
			}
			s.took = append(s.took, time.Since(begun))
		}
	}
	for range 200 { // the log of the filling is folded into the file meanwhile
		accept()
	}
	for _, s := range shops {
		s.took = nil
	}
	for b.Loop() {
		accept()
	}
	for _, s := range shops {
		slices.Sort(s.took)
		at := func(share float64) float64 {
			return float64(s.took[int(float64(len(s.took)-1)*share)]) / float64(time.Millisecond)
		}
		b.ReportMetric(at(0.5), fmt.Sprintf("p50-ms/rows=%d", s.rows))
		b.ReportMetric(at(0.99), fmt.Sprintf("p99-ms/rows=%d", s.rows))
	}
}

// slowCloud takes 50 ms for each request, however many there are, and says when it has taken as many as wanted.
type slowCloud struct {
	left atomic.Int64
	full context.CancelFunc
}

func (c *slowCloud) Send(ctx context.Context, op offline.Operation) offline.Verdict {
	select {
	case <-ctx.Done():
		return offline.Verdict{Class: offline.ClassDoubt}
	case <-time.After(50 * time.Millisecond):
	}
	if c.left.Add(-1) == 0 {
		c.full()
	}
	return offline.Verdict{Class: offline.ClassDelivered, CloudID: op.ID}
}

func (c *slowCloud) Probe(context.Context) offline.Verdict {
	return offline.Verdict{Class: offline.ClassDelivered}
}

// backlog is a queue that is drained a part at a time.
type backlog struct {
	*Store
	flying, operations int
	sent               int
	took               time.Duration
}

// drain sends a part of the backlog at least; what is in flight by then is sent, too, and counted.
func (s *backlog) drain(b *testing.B, part int) {
	b.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cloud := &slowCloud{full: cancel}
	cloud.left.Store(int64(part))
	f, err := offline.NewForwarder(offline.ForwarderConfig{
		Store: s.Outbox(), Cloud: cloud, Settings: s.Settings(), Log: slog.New(slog.DiscardHandler), Currency: "USD",
		MaxInFlight: s.flying, StartRate: 1e6, MaxRate: 1e6,
	})
	if err != nil {
		b.Fatal(err)
	}
	begun := time.Now()
	if err := f.Run(ctx); err != nil {
		b.Fatal(err)
	}
	s.took += time.Since(begun)
	s.sent += part - int(cloud.left.Load())
}

// BenchmarkDrain empties two backlogs at 50 ms a request without a rate limit: 500 operations one at a time, and 10,000 with
// eight in flight. They take turns, so that whatever else the machine does meanwhile hurts both alike.
func BenchmarkDrain(b *testing.B) {
	const turns = 10
	for b.Loop() {
		b.StopTimer()
		one, eight := &backlog{flying: 1, operations: 500}, &backlog{flying: 8, operations: 10_000}
		for _, s := range []*backlog{one, eight} {
			s.Store = openTemp(b)
			for n := range s.operations {
				mustAccept(b, s.Store, n)
			}
		}
		b.StartTimer()
		for range turns {
			for _, s := range []*backlog{one, eight} {
				s.drain(b, min(s.operations/turns, s.operations-s.sent))
			}
		}
		for _, s := range []*backlog{one, eight} {
			c, err := s.Outbox().Counts(context.Background())
			if err != nil || c.ByState[offline.Delivered] != s.operations || s.sent != s.operations {
				b.Errorf("%d sent of %d, left %v, %v", s.sent, s.operations, c.ByState, err)
			}
		}
		rate := func(s *backlog) float64 { return float64(s.sent) / s.took.Seconds() }
		b.ReportMetric(rate(one), "one/s")
		b.ReportMetric(rate(eight), "eight/s")
		b.ReportMetric(rate(eight)/rate(one), "times")
	}
}
