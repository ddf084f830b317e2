package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"storeagent/payments"
	"storeagent/payments/terminalsim"
	"storeagent/register/wire"
)

// BenchmarkAppendFdatasync is the baseline: what one durable write of 4 KiB costs on the disk that holds the database.
// No program that answers each caller after its own flush can be faster than this.
func BenchmarkAppendFdatasync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "append"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := bytes.Repeat([]byte{'x'}, 4096)
	b.ResetTimer()
	for range b.N {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := dataSync(f); err != nil {
			b.Fatal(err)
		}
	}
	perSecond(b, "writes/s")
}

func perSecond(b *testing.B, unit string) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), unit)
	b.ReportMetric(0, "ns/op") // the rate says it all
}

// BenchmarkSales is how many sales a second are accepted by a real agent over HTTP, each on disk before its answer.
// The cloud is away, so that the disk is theirs alone.
func BenchmarkSales(b *testing.B) {
	for _, callers := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			ts := openTestShop(b, nil)
			hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers, MaxConnsPerHost: callers}}
			defer hc.CloseIdleConnections()
			bodies := make([][]byte, b.N) // made before, so that the till's work is not measured
			for i := range bodies {
				body, err := json.Marshal(cashSale(fmt.Sprintf("B%09d", i), "1.99"))
				if err != nil {
					b.Fatal(err)
				}
				bodies[i] = body
			}
			var next atomic.Int64
			var tills sync.WaitGroup
			b.ResetTimer()
			for range callers {
				tills.Go(func() {
					for {
						i := int(next.Add(1)) - 1
						if i >= len(bodies) {
							return
						}
						if err := ts.postTimed(hc, fmt.Sprintf("b-%d", i), bodies[i]); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			tills.Wait()
			b.StopTimer()
			perSecond(b, "sales/s")
		})
	}
}

func (ts *testShop) postTimed(hc *http.Client, key string, body []byte) error {
	req, err := http.NewRequestWithContext(ts.ctx, http.MethodPost, ts.shop.url()+"/v1/sales", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+ts.token)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", key)
	resp, err := hc.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("%s: %s", resp.Status, answer)
	}
	return err
}

// BenchmarkScanToEvent is the time from the last byte of a scan on its cable to the event at a till, committed between.
func BenchmarkScanToEvent(b *testing.B) {
	ts := openTestShop(b, nil)
	ctx, cancel := context.WithCancel(ts.ctx)
	heard := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- ts.till.Events(ctx, []string{"scan"}, 0, func(wire.Event) error {
			heard <- struct{}{}
			return nil
		})
	}()
	ean := stock()[0].code
	if err := ts.shop.scanner.Scan("]E0", ean); err != nil { // the stream is open once the first is here
		b.Fatal(err)
	}
	<-heard
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		at := time.Now()
		if err := ts.shop.scanner.Scan("]E0", ean); err != nil {
			b.Fatal(err)
		}
		<-heard
		took = append(took, time.Since(at))
	}
	b.StopTimer()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		b.Error(err)
	}
	percentiles(b, took)
}

// BenchmarkPaymentCreate is the time of the 202 to POST /v1/payments: the payment is on disk by then. Its end at the
// terminal is waited for outside the measure, since a terminal takes one payment at a time.
func BenchmarkPaymentCreate(b *testing.B) {
	ts := openTestShop(b, nil)
	took := make([]time.Duration, 0, b.N)
	for i := range b.N {
		at := time.Now()
		p, err := ts.till.StartPayment(ts.ctx, fmt.Sprintf("pay-%d", i), wire.PaymentRequest{Type: payments.Sale, Amount: "1.00"})
		took = append(took, time.Since(at))
		ts.must(err)
		if p, err = ts.till.Payment(ts.ctx, p.ID, time.Minute); err != nil || p.State != payments.Approved {
			b.Fatalf("payment: %s %v", p.State, err)
		}
	}
	percentiles(b, took)
}

// percentiles reports the middle and the slow end.
func percentiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(took[len(took)/2]), "p50-ms")
	b.ReportMetric(ms(took[len(took)*99/100]), "p99-ms")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPaymentOverhead is the time that the agent adds to a payment: from the till's request until its answer that
// the payment is approved, less the time from the terminal's hearing of it until its last word.
func BenchmarkPaymentOverhead(b *testing.B) {
	var mu sync.Mutex
	var heard, ended time.Time
	ts := openTestShop(b, func(step string) {
		mu.Lock()
		defer mu.Unlock()
		switch step {
		case terminalsim.StepReceived:
			heard = time.Now()
		case terminalsim.StepEndSent:
			ended = time.Now()
		}
	})
	took := make([]time.Duration, 0, b.N)
	var terminal time.Duration
	for i := range b.N {
		at := time.Now()
		p, err := ts.pay(ts.ctx, fmt.Sprintf("pay-%d", i), "1.00")
		all := time.Since(at)
		if err != nil || p.State != payments.Approved {
			b.Fatalf("payment: %s %v", p.State, err)
		}
		mu.Lock()
		own := ended.Sub(heard)
		mu.Unlock()
		terminal += own
		took = append(took, all-own)
	}
	percentiles(b, took)
	b.ReportMetric(float64(terminal.Microseconds())/1000/float64(b.N), "terminal-ms")
}
