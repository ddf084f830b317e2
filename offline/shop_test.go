package offline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/offlinetest"
)

// shop is a register's side of the tests: a desk and a forwarder over a store in memory.
type shop struct {
	*testing.T
	mem   *offlinetest.Memory
	cloud *cloud
	cfg   offline.ForwarderConfig
	f     *offline.Forwarder
	desk  *offline.Desk
	stop  func()
	n     int
}

func newShop(t *testing.T, change ...func(*offline.ForwarderConfig)) *shop {
	s := &shop{T: t, mem: offlinetest.NewMemory(), cloud: newCloud(t)}
	s.cfg = offline.ForwarderConfig{
		Store: s.mem, Cloud: s.cloud, Settings: s.mem, Events: s.mem, Currency: "USD", ResumeJitter: 10 * time.Second,
		Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&s.cfg)
	}
	s.open()
	return s
}

// open makes a desk and a forwarder that does not run yet.
func (s *shop) open() {
	s.Helper()
	var err error
	if s.f, err = offline.NewForwarder(s.cfg); err != nil {
		s.Fatal(err)
	}
	s.desk, err = offline.NewDesk(offline.DeskConfig{
		Store: s.cfg.Store, Forwarder: s.f, Log: s.cfg.Log, StoreCode: "DALLAS", Register: "LANE-1", Currency: "USD",
		SendPurchases: true,
	})
	if err != nil {
		s.Fatal(err)
	}
}

// run starts the forwarder; stop ends it and waits.
func (s *shop) run() {
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan error, 1)
	go func() { done <- s.f.Run(ctx) }()
	s.stop = func() {
		s.Helper()
		cancel()
		if err := <-done; err != nil {
			s.Errorf("Run: %v", err)
		}
	}
}

// restart is a clean stop and a start.
func (s *shop) restart() {
	s.Helper()
	s.stop()
	s.open()
	s.run()
}

var tech = journal.Actor{PairingID: "p-1", Name: "Ana", Role: journal.RoleTechnician}

func body(transaction, amount string, refundOf string) json.RawMessage {
	line, refund := "null", "0"
	sign := ""
	if refundOf != "" {
		line, refund, sign = fmt.Sprintf("%q", refundOf), amount, "-"
	}
	return json.RawMessage(fmt.Sprintf(`{"transactionId":%q,"purchasedOn":"2026-03-07T09:00:00","payAmount":"%[3]s%[2]s",
"saleDiscountAmount":"0","itemDiscountAmount":"0","subTotal":"%[3]s%[2]s","refundAmount":%[5]q,"taxAmount":"0","lineItems":[
{"lineNumber":1,"sku":"A","isRefund":%[6]t,"unitPrice":%[2]q,"extPrice":"%[3]s%[2]s","itemDiscountAmount":"0","saleDiscountAmount":"0",
"quantity":"%[3]s1","uom":"EA","refundTransactionId":%[4]s}]}`, transaction, amount, sign, line, refund, refundOf != ""))
}

// sell accepts a sale and returns its record; refundOf makes it a refund of that transaction.
func (s *shop) sell(refundOf string) offline.Record {
	s.Helper()
	s.n++
	rec, err := s.desk.Accept(s.Context(), body(fmt.Sprintf("T%05d", s.n), "10.00", refundOf), tech,
		func(offline.Record) journal.Entry { return journal.Entry{} })
	if err != nil {
		s.Fatalf("accept: %v", err)
	}
	return rec
}

// op is the operation of a sale.
func (s *shop) op(rec offline.Record) offline.Operation {
	s.Helper()
	ops, _, err := s.mem.Operations(s.Context(), offline.ItemFilter{SaleID: rec.ID})
	if err != nil || len(ops) != 1 {
		s.Fatalf("operations of %s: %v, %v", rec.ID, ops, err)
	}
	return ops[0]
}

func (s *shop) want(rec offline.Record, state offline.State, reason offline.Reason) {
	s.Helper()
	if op := s.op(rec); op.State != state || op.Reason != reason {
		s.Errorf("%s is %s %s, want %s %s", rec.TransactionID, op.State, op.Reason, state, reason)
	}
}

func (s *shop) wantConnection(want offline.Connection) {
	s.Helper()
	if got := s.desk.Status().Connection; got != want {
		s.Errorf("connection is %s, want %s", got, want)
	}
}

func (s *shop) wantProblem(code string, want bool) {
	s.Helper()
	has := false
	for _, p := range s.desk.Problems() {
		has = has || p.Code == code
		if p.Message == "" || p.Hint == "" {
			s.Errorf("problem %s says nothing: %+v", p.Code, p)
		}
	}
	if has != want {
		s.Errorf("problem %s listed: %v, want %v: %+v", code, has, want, s.desk.Problems())
	}
}

// in runs f with fake time.
func in(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// pass lets fake time go by.
func pass(d time.Duration) {
	time.Sleep(d) // fake: synctest's clock
	synctest.Wait()
}

func contextFor(t *testing.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

func decode[T any](s *shop, raw []byte) (v T) {
	s.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		s.Fatal(err)
	}
	return v
}

// auditLog keeps what was audited.
type auditLog struct{ rows []string }

func (a *auditLog) Add(_ context.Context, by journal.Actor, action, subject, _ string) error {
	a.rows = append(a.rows, by.Name+" "+action+" "+subject)
	return nil
}
