// Package cloudsim is a POS cloud and its sign-in server as one http.Handler: a GraphQL schema after the vendor's
// public pages, a ledger that does not deduplicate, and faults on demand.
//
// It is run by tests, by "storeagent simulate cloud" and by the demo, each of which listens for it. It never imports
// offline/cloud or offline/signin, so that one misreading cannot hide in both, and never imports testing.
//
// It follows the vendor's pages on purchases, inventory, customers, gift cards and errors. Where these are silent
// it does what Orchard Core does: HTTP 400 with any GraphQL error in the answer, a bare 401 for a refused bearer.
package cloudsim

import (
	"bytes"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	graphql "github.com/graph-gophers/graphql-go"
)

//go:embed schema.graphql
var schemaText string

// Path is where the GraphQL endpoint is served (Orchard Core's default path).
const Path = "/api/graphql"

const bodyLimit = 4 << 20 // bytes of one request

// Permission is a right of the account, by the vendor's name for it.
type Permission string

// The permissions that the simulated cloud asks for.
const (
	AddPurchase             Permission = "AddPurchase"
	ViewInventory           Permission = "ViewInventory"
	ViewCustomers           Permission = "ViewCustomers"
	FindGiftCardByCode      Permission = "FindGiftCardByCode"
	ExecuteGraphQLMutations Permission = "ExecuteGraphQLMutations"
	ViewEnvironment         Permission = "ViewEnvironment"
	ViewSales               Permission = "ViewSales"
	ViewLocations           Permission = "ViewLocations"
	ViewProducts            Permission = "ViewProducts"
)

// Tokens tells whose access token this is and whether it is good now. *SignIn is one.
type Tokens interface {
	Valid(access string) (account string, ok bool)
}

// Options describe a simulated cloud. Zero fields take the default named with them.
type Options struct {
	// SignIn is the sign-in server served beside the API. nil means one of its own with the default options.
	SignIn *SignIn
	// Tokens judges the bearer. nil means SignIn.
	Tokens Tokens
	// StoreCodes are the locations that exist. Empty means that every code does.
	StoreCodes []string
	// Goods, People and Cards are what the queries find. nil means a small stock of its own.
	Goods  []Goods
	People []Person
	Cards  []Card
	// Barcodes gives items a field of that name, which no public page shows.
	Barcodes bool
	// PageRows is how many rows a page has at most, silently, however many are asked for. 0 means 1000.
	PageRows int
	// PINs are those of the cards, by card id; a card without one needs none.
	PINs map[string]string
	// DelayPeriod is after which an authorization that nobody captured lapses. 0 means never.
	DelayPeriod time.Duration
	// OddNames gives other names to what the vendor does not document of the gift card mutations.
	OddNames bool
	// CardCancel adds the mutation giftcardTransCancel, which no page of the vendor names.
	CardCancel bool
	// NoGiftcards leaves the gift card mutations out of the schema.
	NoGiftcards bool
	// Terminals are the card terminals that terminalPayment knows. Empty leaves that mutation out of the schema.
	Terminals []string
	// OnTerminalStep hears of each step of a terminal payment, without a lock held. nil means nobody does.
	OnTerminalStep func(step string)
	// PurchaseQuery is the query that finds purchases, one of the Query constants. Empty leaves all of them out of the
	// schema, as the vendor documents none.
	PurchaseQuery string
	// PurchaseLag is how long that query does not show a new purchase.
	PurchaseLag time.Duration
	// ErrorsWithStatus200 answers GraphQL errors with HTTP 200 instead of 400.
	ErrorsWithStatus200 bool
	// NoIntrospection switches introspection off.
	NoIntrospection bool
	// Now is the clock of the ledger and the Date header. nil means time.Now.
	Now func() time.Time
}

// Sim is the simulated cloud. Safe for concurrent use.
type Sim struct {
	opts   Options
	schema *graphql.Schema

	mu       sync.Mutex
	books    books
	ledger   []Purchase
	vault    vault
	taken    []*terminalPayment
	play     TerminalPlay
	denied   map[Permission]bool
	faults   Faults
	requests int
	seen     []http.Header
}

type accountKey struct{}

// New makes a cloud. It fails only where its own sign-in server or schema cannot be made.
func New(o Options) (*Sim, error) {
	if o.SignIn == nil {
		signIn, err := NewSignIn(SignInOptions{})
		if err != nil {
			return nil, fmt.Errorf("make sign-in server: %w", err)
		}
		o.SignIn = signIn
	}
	if o.Tokens == nil {
		o.Tokens = o.SignIn
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Goods == nil {
		o.Goods = stock()
	}
	if o.People == nil {
		o.People = people()
	}
	if o.Cards == nil {
		o.Cards = cards()
	}
	if o.PageRows <= 0 {
		o.PageRows = 1000
	}
	s := &Sim{opts: o, denied: map[Permission]bool{}, vault: newVault(o.Cards, o.PINs)}
	s.stockUp()
	schema, err := graphql.ParseSchema(withBarcodes(o.schema(), o.Barcodes), &root{s}, graphql.UseFieldResolvers(), graphql.MaxDepth(20),
		graphql.RestrictIntrospection(func(context.Context) bool { return !o.NoIntrospection }))
	if err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	s.schema = schema
	return s, nil
}

// SignIn returns the sign-in server served beside the API.
func (s *Sim) SignIn() *SignIn { return s.opts.SignIn }

// Deny takes permissions from the account.
func (s *Sim) Deny(list ...Permission) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range list {
		s.denied[p] = true
	}
}

// Grant gives permissions back.
func (s *Sim) Grant(list ...Permission) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range list {
		delete(s.denied, p)
	}
}

func (s *Sim) granted(p Permission) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.denied[p]
}

// Requests returns how many requests reached the GraphQL path, refused ones included.
func (s *Sim) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Headers returns the headers of the last hundred requests that reached the GraphQL path, without Authorization.
func (s *Sim) Headers() []http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// ServeHTTP answers as the cloud. Faults that close the connection panic with http.ErrAbortHandler, which net/http
// understands.
func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/_sim/"):
		s.serveAdmin(w, r)
	case s.Faults().isDown(false):
		panic(http.ErrAbortHandler)
	case s.opts.SignIn.Owns(r.URL.Path):
		s.opts.SignIn.ServeHTTP(w, r)
	case r.URL.Path == Path:
		s.serveAPI(w, r)
	default:
		http.NotFound(w, r)
	}
}

// question is one GraphQL request over HTTP.
type question struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
}

func (s *Sim) serveAPI(w http.ResponseWriter, r *http.Request) {
	s.note(r)
	w.Header().Set("Date", s.opts.Now().Add(s.Faults().skew()).UTC().Format(http.TimeFormat))
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyLimit))
	if err != nil {
		http.Error(w, "request too large or cut off", http.StatusRequestEntityTooLarge)
		return
	}
	var q question
	if json.Unmarshal(body, &q) != nil || q.Query == "" {
		http.Error(w, "no GraphQL request", http.StatusBadRequest)
		return
	}
	fault := s.take(isMutation(q.Query))
	if fault.before(w, r) {
		return
	}
	account, ok := s.opts.Tokens.Valid(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if !ok || fault.RefuseTokens {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	fault.wait(r.Context(), fault.DelayBeforeMs)
	// Like a server behind a proxy, it runs what it has read whether or not the client is still there.
	ctx := context.WithValue(context.WithoutCancel(r.Context()), accountKey{}, account)
	status, answer := s.execute(ctx, q)
	fault.wait(r.Context(), fault.DelayAfterMs)
	if fault.after(w, answer) {
		return
	}
	s.reply(w, r, status, answer, fault.Gzip)
}

// execute runs one operation and returns the HTTP status and the JSON that the platform would answer.
func (s *Sim) execute(ctx context.Context, q question) (int, []byte) {
	if isMutation(q.Query) && !s.granted(ExecuteGraphQLMutations) {
		return http.StatusUnauthorized, []byte(`{"errors":[{"message":"You do not have permission to execute mutations."}]}`)
	}
	res := s.schema.Exec(ctx, q.Query, q.OperationName, q.Variables)
	if len(res.Errors) > 0 && string(res.Data) == "{}" {
		// The engine finds a bad argument value only when it collects the fields; the platform finds it before
		// anything runs, and then there is no data at all (GraphQL specification, "Request errors").
		res.Data = nil
	}
	answer, err := json.Marshal(res)
	if err != nil {
		return http.StatusInternalServerError, []byte(`{}`)
	}
	if len(res.Errors) > 0 && !s.opts.ErrorsWithStatus200 {
		return http.StatusBadRequest, answer
	}
	return http.StatusOK, answer
}

func (s *Sim) reply(w http.ResponseWriter, r *http.Request, status int, body []byte, zip bool) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if zip && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
		w.Header().Set("Content-Encoding", "gzip")
		body = zipped(bytes.NewReader(body))
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

func zipped(r io.Reader) []byte {
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	_, _ = io.Copy(zw, r) // a bytes.Buffer takes everything
	_ = zw.Close()
	return buf.Bytes()
}

func (s *Sim) note(r *http.Request) {
	h := r.Header.Clone()
	h.Del("Authorization")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests++
	if len(s.seen) >= 100 {
		s.seen = s.seen[1:]
	}
	s.seen = append(s.seen, h)
}

// isMutation tells by the first word of the document, past white space, commas and comments.
func isMutation(doc string) bool {
	for {
		doc = strings.TrimLeft(doc, " \t\r\n,\ufeff")
		if !strings.HasPrefix(doc, "#") {
			return strings.HasPrefix(doc, "mutation")
		}
		_, doc, _ = strings.Cut(doc, "\n")
	}
}
