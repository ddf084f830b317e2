package register_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"storeagent/devices"
	"storeagent/devices/printer"
	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/sale"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/register"
	"storeagent/register/receipt"
)

// memory stands in for the floors below: one lock, one set of idempotency records, one event log. A second Server over
// the same memory is a restart.
type memory struct {
	mu       sync.Mutex
	answers  map[[2]string]journal.Answer
	log      []journal.Event
	changed  chan struct{}
	pairings []journal.Pairing

	sales    []offline.SaleView
	items    []offline.Item
	paused   bool
	payments []payments.Payment
	jobs     []printer.Job
	devs     []devices.Info
	signIn   offline.SignInStatus
	ready    error
	full     bool          // the disk refuses
	gate     chan struct{} // where not nil, Accept waits for it
	entered  chan struct{} // where not nil, Accept and a waiting payment say that they began
	accepted int
}

func newMemory() *memory {
	yes := true
	return &memory{
		answers: map[[2]string]journal.Answer{}, changed: make(chan struct{}), signIn: offline.SignInStatus{State: "signed_out"},
		devs: []devices.Info{
			{Name: "front", Category: devices.POSPrinter, Driver: "escpos", Port: "file:/dev/usb/lp0", State: devices.Ready, Status: devices.Status{CoverOpen: &yes}},
			{Name: "gun", Category: devices.Scanner, Driver: "scanner", Port: "serial:/dev/ttyACM0", State: devices.Ready},
			{Name: "card", Category: devices.PaymentTerminal, Driver: "zvt", Port: "tcp:192.0.2.7:20007", State: devices.Ready},
		},
	}
}

// commit writes an entry as one change; the caller holds the lock.
func (m *memory) commit(e journal.Entry) error {
	if m.full {
		return fmt.Errorf("commit: %w", journal.ErrStorageFull)
	}
	if e.Key != nil {
		k := [2]string{e.Key.PairingID, e.Key.Text}
		if _, used := m.answers[k]; used {
			return fmt.Errorf("commit: %w", journal.ErrKeyUsed)
		}
		m.answers[k] = e.Answer
	}
	m.append(e.Events...)
	return nil
}

func (m *memory) append(events ...journal.Event) {
	for _, e := range events {
		e.ID = int64(len(m.log) + 1)
		m.log = append(m.log, e)
	}
	if len(events) > 0 {
		close(m.changed)
		m.changed = make(chan struct{})
	}
}

func (m *memory) Answer(_ context.Context, pairing, key string) (journal.Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a, ok := m.answers[[2]string{pairing, key}]
	if !ok {
		return a, journal.ErrNotFound
	}
	return a, nil
}

func (m *memory) Record(_ context.Context, k journal.Key, a journal.Answer) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commit(journal.Entry{Key: &k, Answer: a})
}

func (m *memory) Append(_ context.Context, events ...journal.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.commit(journal.Entry{Events: events})
}

func (m *memory) After(_ context.Context, after int64, types []string, limit int) ([]journal.Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []journal.Event
	for _, e := range m.log {
		if e.ID > after && (len(types) == 0 || slices.Contains(types, e.Type)) && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

func (m *memory) Last() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.log))
}

func (m *memory) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *memory) AddPairing(_ context.Context, p journal.Pairing, e journal.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.commit(e); err != nil {
		return err
	}
	m.pairings = append(m.pairings, p)
	return nil
}

func (m *memory) Pairings(context.Context) ([]journal.Pairing, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.pairings), nil
}

func (m *memory) RevokePairing(_ context.Context, id string, at time.Time, e journal.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.pairings {
		if m.pairings[i].ID == id {
			if err := m.commit(e); err != nil {
				return err
			}
			m.pairings[i].RevokedAt = at
			return nil
		}
	}
	return journal.ErrNotFound
}

// desk is the sales and queue side of a memory.
type desk struct{ *memory }

func (d desk) Accept(_ context.Context, body json.RawMessage, by journal.Actor, entry func(offline.Record) journal.Entry) (offline.Record, error) {
	if d.entered != nil {
		d.entered <- struct{}{}
	}
	if d.gate != nil {
		<-d.gate
	}
	var posted struct {
		TransactionID string           `json:"transactionId"`
		PayAmount     string           `json:"payAmount"`
		Tenders       []offline.Tender `json:"tenders"`
	}
	if err := json.Unmarshal(body, &posted); err != nil || posted.TransactionID == "" {
		return offline.Record{}, &sale.FieldErrors{List: []sale.FieldError{{Location: "transactionId", Message: "is missing"}}}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.sales {
		if v.TransactionID == posted.TransactionID {
			return offline.Record{}, &offline.DuplicateError{FirstID: v.ID}
		}
	}
	for i, t := range posted.Tenders {
		if t.PaymentID != "" {
			return offline.Record{}, &offline.TenderError{Index: i, PaymentID: t.PaymentID, Why: "unknown"}
		}
	}
	r := offline.Record{ID: fmt.Sprintf("sale-%d", len(d.sales)+1), TransactionID: posted.TransactionID, AcceptedAt: time.Unix(1700000000, 0).UTC(), AcceptedBy: by.PairingID, Body: body, State: offline.Queued}
	if err := d.commit(entry(r)); err != nil {
		return offline.Record{}, err
	}
	d.accepted++
	d.sales = append(d.sales, offline.SaleView{ID: r.ID, TransactionID: r.TransactionID, PayAmount: posted.PayAmount, State: offline.Queued, Kind: sale.Sold,
		Currency: "USD", AcceptedAt: r.AcceptedAt, Warnings: []sale.Warning{}, Tenders: []offline.Tender{}, Sale: body})
	return r, nil
}

func (d desk) Sale(_ context.Context, id string) (offline.SaleView, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, v := range d.sales {
		if v.ID == id {
			return v, nil
		}
	}
	return offline.SaleView{}, journal.ErrNotFound
}

func (d desk) Sales(_ context.Context, f offline.SaleFilter) ([]offline.SaleView, string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []offline.SaleView
	for _, v := range d.sales {
		if f.TransactionID == "" || v.TransactionID == f.TransactionID {
			out = append(out, v)
		}
	}
	return out, "", nil
}

func (d desk) Status() offline.QueueStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	st := offline.QueueStatus{Connection: offline.Online, Queued: len(d.sales), Exposure: offline.Exposure{Amount: "0"}}
	if d.paused {
		st.Connection = offline.PausedConn
	}
	return st
}

func (d desk) Items(context.Context, offline.ItemFilter) ([]offline.Item, string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.items), "next", nil
}

func (d desk) Decide(_ context.Context, dec offline.Decision, e journal.Entry) (offline.Item, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.items {
		if d.items[i].ID == dec.OpID {
			if d.items[i].State != offline.Parked {
				return offline.Item{}, offline.ErrState
			}
			if err := d.commit(e); err != nil {
				return offline.Item{}, err
			}
			d.items[i].State = offline.Queued
			return d.items[i], nil
		}
	}
	return offline.Item{}, journal.ErrNotFound
}

func (d desk) Pause(context.Context, journal.Actor) error  { d.setPaused(true); return nil }
func (d desk) Resume(context.Context, journal.Actor) error { d.setPaused(false); return nil }

func (d desk) setPaused(v bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.paused = v
}

func (d desk) Drain(ctx context.Context) offline.QueueStatus {
	<-ctx.Done()
	return d.Status()
}

// till is the payments side of a memory, with one terminal named card.
type till struct{ *memory }

func (t till) Start(_ context.Context, r payments.Request, entry func(payments.Payment) journal.Entry) (payments.Payment, error) {
	if r.Terminal != "" && r.Terminal != "card" {
		return payments.Payment{}, payments.ErrNoTerminal
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range t.payments {
		switch {
		case p.State.Blocks():
			return payments.Payment{}, payments.ErrTerminalInDoubt
		case !p.State.Final():
			return payments.Payment{}, payments.ErrTerminalBusy
		}
	}
	if r.Tip != (money.Amount{}) && r.Terminal == "" { // only who names the terminal means one that takes tips
		return payments.Payment{}, payments.ErrUnsupported
	}
	p := payments.Payment{ID: fmt.Sprintf("pay-%d", len(t.payments)+1), Type: r.Type, State: payments.Created, Amount: r.Amount,
		Currency: r.Amount.Currency(), Terminal: "card", Reference: r.Reference}
	if r.Tip != (money.Amount{}) {
		p.TipAmount = &r.Tip
	}
	if err := t.commit(entry(p)); err != nil {
		return payments.Payment{}, err
	}
	t.payments = append(t.payments, p)
	return p, nil
}

func (t till) find(id string) (*payments.Payment, error) {
	for i := range t.payments {
		if t.payments[i].ID == id {
			return &t.payments[i], nil
		}
	}
	return nil, journal.ErrNotFound
}

func (t till) Payment(_ context.Context, id string) (payments.Payment, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, err := t.find(id)
	if err != nil {
		return payments.Payment{}, err
	}
	return *p, nil
}

func (t till) Wait(ctx context.Context, id string) (payments.Payment, error) {
	if p, err := t.Payment(ctx, id); err != nil || p.State.Final() {
		return p, err
	}
	if t.entered != nil {
		t.entered <- struct{}{}
	}
	<-ctx.Done()
	return t.Payment(ctx, id)
}

func (t till) Payments(context.Context, payments.Filter) ([]payments.Payment, string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.payments), "", nil
}

func (t till) Cancel(_ context.Context, id string) (payments.Payment, error) {
	return t.end(id, payments.Canceled, nil)
}

func (t till) Resolve(_ context.Context, id string, outcome payments.State, _ string, e func(payments.Payment) journal.Entry) (payments.Payment, error) {
	return t.end(id, outcome, e)
}

func (t till) end(id string, state payments.State, e func(payments.Payment) journal.Entry) (payments.Payment, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, err := t.find(id)
	if err != nil {
		return payments.Payment{}, err
	}
	if p.State.Final() && p.State != payments.Unresolved {
		return *p, payments.ErrState
	}
	after := *p
	after.State = state
	if e != nil {
		if err := t.commit(e(after)); err != nil {
			return *p, err
		}
	}
	*p = after
	return after, nil
}

func (t till) Terminals() []payments.TerminalInfo {
	return []payments.TerminalInfo{{Name: "card", Driver: "zvt", State: devices.Ready, Capabilities: payments.Caps{Sale: true, Refund: true, LastQuery: "lastOnly"}}}
}

func (t till) TerminalStatus(_ context.Context, name string) (payments.TerminalInfo, error) {
	if name != "card" {
		return payments.TerminalInfo{}, payments.ErrNoTerminal
	}
	return t.Terminals()[0], nil
}

// spooler is the printing side of a memory, with one printer named front.
type spooler struct{ *memory }

func (p spooler) Submit(_ context.Context, r printer.Request, entry func(printer.Job) journal.Entry) (printer.Job, error) {
	if r.Printer != "front" {
		return printer.Job{}, printer.ErrNoPrinter
	}
	if r.Raw == nil {
		if err := printer.Check(r.Document, 42); err != nil {
			return printer.Job{}, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	doc, err := json.Marshal(r.Document)
	if err != nil {
		return printer.Job{}, err
	}
	j := printer.Job{ID: fmt.Sprintf("job-%d", len(p.jobs)+1), Printer: r.Printer, State: printer.Queued, SaleID: r.SaleID, Copies: r.Copies, Document: doc, Raw: r.Raw}
	if err := p.commit(entry(j)); err != nil {
		return printer.Job{}, err
	}
	p.jobs = append(p.jobs, j)
	return j, nil
}

func (p spooler) Job(_ context.Context, id string) (printer.Job, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, j := range p.jobs {
		if j.ID == id {
			return j, nil
		}
	}
	return printer.Job{}, journal.ErrNotFound
}

func (p spooler) Wait(ctx context.Context, id string) (printer.Job, error) { return p.Job(ctx, id) }

func (p spooler) Reprint(ctx context.Context, id string, entry func(printer.Job) journal.Entry) (printer.Job, error) {
	first, err := p.Job(ctx, id)
	if err != nil {
		return printer.Job{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	first.ID, first.ReprintOf = fmt.Sprintf("job-%d", len(p.jobs)+1), id
	if err := p.commit(entry(first)); err != nil {
		return printer.Job{}, err
	}
	p.jobs = append(p.jobs, first)
	return first, nil
}

func (p spooler) Columns(name string) (int, error) {
	if name != "front" {
		return 0, printer.ErrNoPrinter
	}
	return 42, nil
}

// List makes a memory a register.Devices.
func (m *memory) List() []devices.Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.devs)
}

// cloudDoor is the sign-in side of a memory.
type cloudDoor struct{ *memory }

func (c cloudDoor) Start(context.Context) (offline.SignInStatus, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signIn = offline.SignInStatus{State: "pending", UserCode: "ABCD-EFGH", VerificationURI: "https://pos.example.com/device"}
	return c.signIn, nil
}

func (c cloudDoor) Status() offline.SignInStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.signIn
}

func (c cloudDoor) Forget(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signIn = offline.SignInStatus{State: "signed_out"}
	return nil
}

// Tokens of the three roles, and one bound to a browser origin.
const (
	registerToken   = "sa_register"
	technicianToken = "sa_technician"
	observerToken   = "sa_observer"
	secondToken     = "sa_second"
	pageToken       = "sa_page"
	allowedOrigin   = "https://register.example.com"
)

func seed(m *memory) {
	for token, p := range map[string]journal.Pairing{
		registerToken: {ID: "p-register", Role: journal.RoleRegister}, technicianToken: {ID: "p-technician", Role: journal.RoleTechnician},
		observerToken: {ID: "p-observer", Role: journal.RoleObserver}, secondToken: {ID: "p-second", Role: journal.RoleRegister},
		pageToken: {ID: "p-page", Role: journal.RoleRegister, Origin: allowedOrigin},
	} {
		p.Name, p.TokenHash = p.ID, sha256.Sum256([]byte(token))
		m.pairings = append(m.pairings, p)
	}
}

func newServer(t testing.TB, m *memory, change ...func(*register.Config)) *register.Server {
	t.Helper()
	if m.pairings == nil {
		seed(m)
	}
	receipts, err := receipt.NewForm(receipt.Options{Store: receipt.Store{Name: "Corner Shop", Address: []string{"1 Main Street", "Dallas"}}, Currency: "USD"})
	if err != nil {
		t.Fatal(err)
	}
	c := register.Config{
		Port: 8787, AllowedOrigins: []string{allowedOrigin}, Version: "1.2.3", StoreCode: "DALLAS", Register: "LANE-3", Currency: "USD",
		Receipts: receipts, GiftcardPrefixes: []string{"600649"},
		Keys: m, Events: m, Pairings: m, Sales: desk{m}, Queue: desk{m}, Payments: till{m}, Printing: spooler{m}, Devices: m, Counter: counter{}, Drawers: &drawers{}, Audit: &drawers{}, SignIn: cloudDoor{m},
		Upkeep: &keeper{}, Findings: &keeper{}, Schema: &keeper{},
		Status: func() register.Extra { return register.Extra{FreeBytes: 1 << 30} },
		Ready:  func(context.Context) error { m.mu.Lock(); defer m.mu.Unlock(); return m.ready },
		Log:    slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(&c)
	}
	s, err := register.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// ask is one request of a test.
type ask struct {
	method, path, token, key, body string
	header                         map[string]string
	host                           string
}

func (a ask) request(t testing.TB) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), a.method, a.path, strings.NewReader(a.body))
	r.Host = "127.0.0.1:8787"
	if a.host != "" {
		r.Host = a.host
	}
	if a.token != "" {
		r.Header.Set("Authorization", "Bearer "+a.token)
	}
	if a.key != "" {
		r.Header.Set("Idempotency-Key", a.key)
	}
	for k, v := range a.header {
		r.Header.Set(k, v)
	}
	return r
}

func (a ask) do(t testing.TB, h http.Handler) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, a.request(t))
	return w
}

// words is an answer without the number of its request: that is made by chance, so any few digits may stand in it.
func words(w *httptest.ResponseRecorder) string {
	return strings.ReplaceAll(w.Body.String(), w.Header().Get("X-Request-Id"), "")
}

// code gives the problem code of an answer and fails where a refusal is no problem document.
func code(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	if w.Code < 400 {
		return ""
	}
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("status %d with content type %q: %s", w.Code, got, w.Body)
	}
	var p struct {
		Code, Hint, RequestID, Title, Type, Detail string
		Status                                     int
	}
	decode(t, w.Body, &p)
	if p.Status != w.Code || p.RequestID == "" || p.RequestID != w.Header().Get("X-Request-Id") || p.Title == "" || p.Type == "" || p.Detail == "" || p.Hint == "" {
		t.Errorf("incomplete problem: %s", w.Body)
	}
	return p.Code
}

func decode(t testing.TB, b *bytes.Buffer, v any) {
	t.Helper()
	if err := json.Unmarshal(b.Bytes(), v); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
}

func mustAmount(t testing.TB, text string) money.Amount {
	t.Helper()
	a, err := money.Parse(text, "USD")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

const minimalSale = `{"transactionId":"T-1","purchasedOn":"2026-03-14T10:12:00","payAmount":"1.99","saleDiscountAmount":"0","itemDiscountAmount":"0","subTotal":"1.99","refundAmount":"0","taxAmount":"0","lineItems":[{"lineNumber":1,"sku":"GUM","isRefund":false,"unitPrice":"1.99","extPrice":"1.99","itemDiscountAmount":"0","saleDiscountAmount":"0","quantity":"1","uom":"EA"}]}`

// failing is a sign-in whose Forget fails, or panics where there is no error to fail with.
type failing struct {
	cloudDoor
	err error
}

func (f failing) Forget(context.Context) error {
	if f.err == nil {
		panic("sign-in broke with a secret")
	}
	return f.err
}

// judging puts the real decoder before the desk of a memory.
type judging struct{ desk }

func (j judging) Accept(ctx context.Context, body json.RawMessage, by journal.Actor, entry func(offline.Record) journal.Entry) (offline.Record, error) {
	s, err := sale.Decode(body, sale.Defaults{StoreCode: "DALLAS", Currency: "USD"})
	if err != nil {
		return offline.Record{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	r := offline.Record{ID: fmt.Sprintf("sale-%d", j.accepted+1), TransactionID: s.TransactionID, State: offline.Queued, Warnings: s.Warnings, AcceptedBy: by.PairingID}
	if err := j.commit(entry(r)); err != nil {
		return r, err
	}
	j.accepted++
	return r, nil
}
