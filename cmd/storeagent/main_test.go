package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"storeagent/offline"
	"storeagent/register/wire"
)

// seedFlag repeats a run of the tests that draw lots: go test -run TestKillsUnderLoad -seed N.
var seedFlag = flag.Uint64("seed", 0, "seed of the tests that draw lots; 0 draws one")

// TestMain lets the test binary be the agent: the simulated store starts it as a process of its own, and the scripts
// run it by its name.
func TestMain(m *testing.M) {
	if os.Getenv("STOREAGENT_AS_PROGRAM") == "1" {
		main()
	}
	testscript.Main(sideBySide{m}, map[string]func(){"storeagent": main})
}

// sideBySide runs more tests at once than there are processors, unless told how many: they wait for agents, terminals
// and clouds far more than they compute.
type sideBySide struct{ *testing.M }

// Run implements testscript.TestingM.
func (s sideBySide) Run() int {
	lastPort.Store(uint32(rand.IntN(portCount)))
	flag.Parse()
	told := false
	flag.Visit(func(f *flag.Flag) { told = told || f.Name == "test.parallel" })
	if !told {
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
	}
	return s.M.Run()
}

// lastPort is the port picked last, less firstPort: a test binary hands each out once, so that no store takes another's
// while that is away. It begins anywhere, for the sake of other test binaries at the same time.
var lastPort atomic.Uint32

func ownPort() int { return firstPort + int(lastPort.Add(1)%portCount) }

// simulatedPAN is the card number that the simulated terminal sends where it misbehaves (Behaviour.FullPAN).
const simulatedPAN = "4111111111111111"

// testShop is an open store with a running agent, a paired till and a technician.
type testShop struct {
	*day
	tb      testing.TB
	ctx     context.Context
	bearers *bearers
}

// bearers remembers every secret that passed between agent and cloud.
type bearers struct {
	next http.Handler

	mu   sync.Mutex
	seen map[string]bool
}

// ServeHTTP implements http.Handler.
func (b *bearers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.note(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if strings.HasSuffix(r.URL.Path, "/token") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		w = &tokenWriter{ResponseWriter: w, b: b}
	}
	b.next.ServeHTTP(w, r)
}

func (b *bearers) note(secret string) {
	if secret == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen[secret] = true
}

func (b *bearers) all() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []string
	for s := range b.seen {
		list = append(list, s)
	}
	return list
}

// tokenWriter reads the tokens out of an answer of the token endpoint, which comes in one piece.
type tokenWriter struct {
	http.ResponseWriter
	b *bearers
}

func (w *tokenWriter) Write(p []byte) (int, error) {
	var tokens struct {
		Access  string `json:"access_token"`
		Refresh string `json:"refresh_token"`
	}
	if json.Unmarshal(p, &tokens) == nil {
		w.b.note(tokens.Access)
		w.b.note(tokens.Refresh)
	}
	return w.ResponseWriter.Write(p)
}

// openTestShop opens a store whose agent runs, with devices ready. onStep hears the card terminal; nil for none. At
// the end the files of the agent are searched for secrets.
func openTestShop(tb testing.TB, onStep func(step string)) *testShop {
	tb.Helper()
	program, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d := &day{out: io.Discard}
	d.shop, err = openShop(ctx, tb.TempDir(), []string{program}, ownPort, onStep)
	if err != nil {
		cancel()
		tb.Fatal(err)
	}
	ts := &testShop{day: d, tb: tb, ctx: ctx, bearers: &bearers{seen: map[string]bool{}}}
	d.shop.line.insert(func(next http.Handler) http.Handler {
		ts.bearers.next = next
		return ts.bearers
	})
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the agent's last words:\n%s", d.shop.log())
		}
		d.shop.close()
		ts.searchForSecrets()
		cancel()
	})
	ts.must(d.open(ctx))
	return ts
}

// openOnlineShop is openTestShop, signed in and connected.
func openOnlineShop(tb testing.TB, onStep func(step string)) *testShop {
	tb.Helper()
	ts := openTestShop(tb, onStep)
	ts.must(ts.signIn(ts.ctx))
	return ts
}

func (ts *testShop) must(err error) {
	ts.tb.Helper()
	if err != nil {
		ts.tb.Fatal(err)
	}
}

// eventually waits until done is true.
func (ts *testShop) eventually(what string, done func() bool) {
	ts.tb.Helper()
	ctx, cancel := context.WithTimeout(ts.ctx, patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ts.tb.Fatalf("waited in vain until %s", what)
		}
	}
}

// secrets are texts and bytes that may be nowhere on disk.
func (ts *testShop) secrets() map[string]string {
	packed := "\x41" + strings.Repeat("\x11", 7) // simulatedPAN as a terminal sends it, two digits a byte
	list := map[string]string{simulatedPAN: "the card number", packed: "the card number, packed", ts.token: "the till's token"}
	token, err := os.ReadFile(filepath.Join(ts.shop.dir, "data", technicianToken))
	if err != nil {
		ts.tb.Error(err)
	}
	list[strings.TrimSpace(string(token))] = "the technician's token"
	for _, s := range ts.bearers.all() {
		list[s] = "a token of the cloud"
	}
	return list
}

// searchForSecrets reads every file that the agent wrote: database, write-ahead log, high-water file, vault, log.
func (ts *testShop) searchForSecrets() {
	secrets := ts.secrets()
	files := 0
	err := filepath.WalkDir(ts.shop.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || e.Name() == technicianToken {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		for s, what := range secrets {
			if bytes.Contains(data, []byte(s)) {
				ts.tb.Errorf("%s holds %s", path, what)
			}
		}
		return nil
	})
	if err != nil {
		ts.tb.Errorf("search for secrets: %v", err)
	}
	if files < 4 { // configuration, log, database, high-water mark
		ts.tb.Errorf("only %d files were searched for secrets", files)
	}
}

// restart is a power cut and the boot after it.
func (ts *testShop) restart() {
	ts.tb.Helper()
	ts.shop.kill()
	ts.must(ts.shop.start(ts.ctx))
}

// online waits until the agent knows that the cloud answers.
func (ts *testShop) online() {
	ts.tb.Helper()
	ts.must(ts.until(ts.ctx, "the way to the cloud is open", func() (bool, error) {
		q, err := ts.admin.Queue(ts.ctx)
		return q.Connection == offline.Online && q.Queued == 0, err
	}))
}

// cashSale is a sale of one item for cash.
func cashSale(transactionID, price string) wire.Sale {
	return wire.Sale{
		TransactionID: transactionID, PurchasedOn: time.Now().Format(time.RFC3339), PayAmount: price, SaleDiscountAmount: "0",
		ItemDiscountAmount: "0", SubTotal: price, RefundAmount: "0", TaxAmount: "0",
		LineItems: []wire.SaleLine{{
			LineNumber: 1, SKU: "PEN001", UnitPrice: price, ExtPrice: price, ItemDiscountAmount: "0", SaleDiscountAmount: "0",
			Quantity: "1", UOM: "EA", Name: "Highlighter yellow",
		}},
		Tenders: []offline.Tender{{Type: "cash", Amount: price}},
	}
}

// cardSale is the same, paid by card.
func cardSale(transactionID, price, paymentID string) wire.Sale {
	s := cashSale(transactionID, price)
	s.Tenders = []offline.Tender{{Type: "card", PaymentID: paymentID}}
	return s
}

// saleState waits until a sale is in that state.
func (ts *testShop) saleState(id string, want offline.State) offline.SaleView {
	ts.tb.Helper()
	var v offline.SaleView
	ts.must(ts.until(ts.ctx, "sale "+id+" is "+string(want), func() (bool, error) {
		var err error
		v, err = ts.till.Sale(ts.ctx, id)
		return v.State == want, err
	}))
	return v
}

// problemOf is the API's refusal within an error, nil where it is something else.
func problemOf(err error) *wire.Problem {
	var p *wire.Problem
	if errors.As(err, &p) {
		return p
	}
	return nil
}
