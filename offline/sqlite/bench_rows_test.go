package sqlite

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
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

// slowCloud takes 50 ms for each request, however many there are.
type slowCloud struct{}

func (slowCloud) Send(ctx context.Context, op offline.Operation) offline.Verdict {
	select {
	case <-ctx.Done():
		return offline.Verdict{Class: offline.ClassDoubt}
	case <-time.After(50 * time.Millisecond):
		return offline.Verdict{Class: offline.ClassDelivered, CloudID: op.ID}
	}
}

func (slowCloud) Probe(context.Context) offline.Verdict {
	return offline.Verdict{Class: offline.ClassDelivered}
}

// BenchmarkDrain empties a backlog at 50 ms a request without a rate limit: 500 operations one at a time, and 10,000
// with eight in flight.
func BenchmarkDrain(b *testing.B) {
	for _, tc := range []struct{ flying, operations int }{{1, 500}, {8, 10_000}} {
		b.Run(fmt.Sprintf("flying=%d", tc.flying), func(b *testing.B) {
			sent := 0
			for b.Loop() {
				b.StopTimer()
				s := openTemp(b)
				for n := range tc.operations {
					mustAccept(b, s, n)
				}
				b.StartTimer()
				drainAll(b, s, tc.flying)
				sent += tc.operations
			}
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "operations/s")
		})
	}
}

func drainAll(b *testing.B, s *Store, flying int) {
	b.Helper()
	f, err := offline.NewForwarder(offline.ForwarderConfig{
		Store: s.Outbox(), Cloud: slowCloud{}, Settings: s.Settings(), Log: slog.New(slog.DiscardHandler), Currency: "USD",
		MaxInFlight: flying, StartRate: 1e6, MaxRate: 1e6,
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	if st := f.Drain(ctx); st.Queued+st.Sending+st.InDoubt+st.Parked > 0 {
		b.Errorf("left: %+v", st)
	}
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}
