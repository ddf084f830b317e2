// Package cloud is the POS cloud's GraphQL API as the forwarder uses it: it makes one attempt at an operation, says
// what the answer means, and learns the tenant's type names by introspection.
//
// It is wired by cmd as offline.Cloud. It is the only importer of hasura/go-graphql-client and never imports the
// other rooms of offline. It follows the GraphQL specification (October 2021), the vendor's public pages on purchases
// and errors, and RFC 9110 for what HTTP says.
package cloud

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	graphql "github.com/hasura/go-graphql-client"

	"storeagent/internal/trust"
	"storeagent/offline"
)

// Limits of one exchange.
const (
	dialTimeout   = 5 * time.Second
	tlsTimeout    = 5 * time.Second
	headerTimeout = 30 * time.Second
	totalTimeout  = 60 * time.Second
	bodyLimit     = 4 << 20 // bytes of an answer, unpacked
	headerLimit   = 64 << 10
)

// TokenSource gives access tokens. Implementations are safe for concurrent use and refresh once for all callers.
type TokenSource interface {
	// AccessToken returns a token that should be good now. It fails with offline.ErrSignedOut where only a person
	// can help, and with any other error where a later try may do.
	AccessToken(ctx context.Context) (string, error)
	// Refused says that the cloud refused that token although it should have been good. The source gets another
	// one, or returns nil at once where it already has. Errors as for AccessToken.
	Refused(ctx context.Context, token string) error
}

// Config is how the cloud is reached.
type Config struct {
	// Endpoint is the GraphQL URL: https, or http to a loopback address.
	Endpoint string
	// CAFile holds PEM roots that are trusted beside the system's. Empty means the system's alone.
	CAFile string
	// Token gives the bearer of every request.
	Token TokenSource
	// SchemaDir keeps what introspection taught. Empty means in memory only.
	SchemaDir string
	// OverrideDir holds .graphql files that replace the built-in ones of the same name. Empty means none.
	OverrideDir string
	// MaxConns is how many connections are kept between requests: as many as requests run side by side. 0 means 8.
	MaxConns int
	// Dial opens the connection, TLS comes on top. nil means TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Log hears about answers at debug level and about learned names. nil means nobody does.
	Log *slog.Logger
}

// Client is offline.Cloud over HTTP. Safe for concurrent use. Make it with New and end it with Close.
type Client struct {
	tokens    TokenSource
	gql       *graphql.Client
	transport *http.Transport
	docs      map[string]document
	readings  map[string]readingQuery // of the catalogue, by kind
	names     *schemaStore
	queries   querySchema
	log       *slog.Logger
	noEnv     atomic.Bool // the environment query did not work, probe without it

	mu   sync.Mutex
	skew skew
}

var _ offline.Cloud = (*Client)(nil)

// New makes a client without talking to anybody. It fails where the endpoint is not fit, a file cannot be read, or an
// override is not what it should be; the error names which.
func New(c Config) (*Client, error) {
	u, err := checkEndpoint(c.Endpoint)
	if err != nil {
		return nil, err
	}
	if c.Token == nil {
		return nil, errors.New("open cloud: no token source")
	}
	roots, err := trust.Roots(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("read cloud.ca_file: %w", err)
	}
	docs, err := readDocuments(c.OverrideDir)
	if err != nil {
		return nil, err
	}
	readings, err := parseReadings(docs)
	if err != nil {
		return nil, err
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.MaxConns <= 0 {
		c.MaxConns = 8
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{}).DialContext
	}
	d := dialer{dial: c.Dial, tls: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, NextProtos: []string{"http/1.1"}}}
	transport := &http.Transport{
		Proxy:                  nil, // no environment variable may lead sales elsewhere
		DialContext:            d.plain,
		DialTLSContext:         d.secure,
		DisableCompression:     true, // answers are unpacked by us, error bodies too
		MaxIdleConns:           c.MaxConns,
		MaxIdleConnsPerHost:    c.MaxConns,
		IdleConnTimeout:        50 * time.Second,
		ResponseHeaderTimeout:  headerTimeout,
		MaxResponseHeaderBytes: headerLimit,
	}
	cl := &Client{tokens: c.Token, transport: transport, docs: docs, readings: readings, queries: newQuerySchema(), log: c.Log}
	cl.names = openSchemaStore(c.SchemaDir, u.String(), c.Log)
	cl.gql = graphql.NewClient(u.String(), &doer{client: &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	return cl, nil
}

// Close drops the kept connections.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

func checkEndpoint(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("read cloud.endpoint: not a URL")
	}
	switch {
	case u.Host == "" || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, fmt.Errorf("cloud.endpoint must be like https://pos.example.com/api/graphql")
	case u.User != nil || u.Fragment != "":
		return nil, errors.New("cloud.endpoint may hold neither a user name nor a fragment")
	case u.Scheme == "http" && !trust.Loopback(u.Hostname()):
		return nil, errors.New("cloud.endpoint must be https, plain http is for loopback addresses only")
	}
	return u, nil
}

// Send makes one attempt at op. Only an attempt that surely did not run because the bearer was refused is made a
// second time, with a fresh bearer.
func (c *Client) Send(ctx context.Context, op offline.Operation) offline.Verdict {
	spec, ok := specOf(op.Type)
	if !ok {
		return offline.Verdict{Class: offline.ClassUnsupported, Fault: &offline.Fault{
			Code: "unsupported_operation", Message: "This agent does not know how to send " + string(op.Type) + "."}}
	}
	if op.Type != offline.Purchase {
		return c.sendCard(ctx, op)
	}
	learned := c.names.typeOf(spec)
	req, err := c.docs[spec.field].render(spec, op.Payload, learned)
	if err != nil {
		return offline.Verdict{Class: offline.ClassRejected, Fault: &offline.Fault{Code: "invalid_payload", Message: err.Error()}}
	}
	req.secrets = secretsIn(op.Payload)
	v := c.exchange(ctx, req, func(a answer) offline.Verdict { return judgeMutation(a, spec, op.Payload) })
	if req.variables != nil && requestRefused(v) {
		// Perhaps the type got another name. The next attempt goes without it, and the next probe asks again.
		c.names.forget(spec.field)
	}
	return v
}

// Probe asks the environment query, or just for the type of the root where the tenant has none or the account may
// not use it. ClassDelivered means that the cloud answered it to a signed-in account. The first success makes it
// learn the tenant's type names, too.
func (c *Client) Probe(ctx context.Context) offline.Verdict {
	v := c.probe(ctx)
	if v.Class == offline.ClassDelivered && c.names.due(time.Now()) {
		c.learn(ctx)
	}
	return v
}

func (c *Client) probe(ctx context.Context) offline.Verdict {
	if !c.noEnv.Load() {
		req := request{document: c.docs["environment"].text, name: c.docs["environment"].name}
		v := c.exchange(ctx, req, func(a answer) offline.Verdict { return judgeQuery(a, "environment") })
		if v.Class != offline.ClassUnsupported && v.Class != offline.ClassBlocked {
			return v // no fallback for FUSION_ERROR and the like: a cloud that cannot even read is not open
		}
		c.noEnv.Store(true)
	}
	req := request{document: c.docs["alive"].text, name: c.docs["alive"].name}
	return c.exchange(ctx, req, func(a answer) offline.Verdict { return judgeQuery(a, "__typename") })
}

// Skew returns how far the cloud's clock is ahead of ours, and when it was heard last. Zero time where it never was. After
// one answer it is known to half a second, after several to about the time that an answer takes.
func (c *Client) Skew() (time.Duration, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ((c.skew.least + c.skew.most) / 2).Round(10 * time.Millisecond), c.skew.at
}

func (c *Client) noteClock(x *exchange) {
	if x.date.IsZero() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skew.note(x.date, x.sentAt, x.receivedAt)
}

// exchange asks with a bearer, and once more with a fresh one where the first was refused before anything ran.
func (c *Client) exchange(ctx context.Context, req request, judge func(answer) offline.Verdict) offline.Verdict {
	token, v, ok := c.bearer(ctx)
	if !ok {
		return v
	}
	a := c.ask(ctx, req, token)
	if v = judge(a); v.Class != offline.ClassSignedOut {
		return v
	}
	if err := c.tokens.Refused(ctx, token); err != nil {
		return c.noToken(err, v)
	}
	fresh, later, ok := c.bearer(ctx)
	if !ok {
		return later
	}
	if fresh == token {
		return v
	}
	a = c.ask(ctx, req, fresh)
	v = judge(a)
	if v.Class == offline.ClassSignedOut && a.maybePermission() {
		// Orchard Core says 401 for a missing permission, too; signing in again would not help.
		v.Class = offline.ClassBlocked
	}
	return v
}

func (c *Client) bearer(ctx context.Context) (string, offline.Verdict, bool) {
	token, err := c.tokens.AccessToken(ctx)
	if err != nil {
		return "", c.noToken(err, offline.Verdict{}), false
	}
	return token, offline.Verdict{}, true
}

// noToken says what it means that no bearer could be had: nothing was sent, or what was sent did not run.
func (c *Client) noToken(err error, v offline.Verdict) offline.Verdict {
	if errors.Is(err, offline.ErrSignedOut) {
		v.Class = offline.ClassSignedOut
		v.Fault = &offline.Fault{Code: "signed_out", Message: "Nobody is signed in at the cloud. Run: storeagent sign-in"}
		return v
	}
	v.Class = offline.ClassNotExecuted
	v.Fault = &offline.Fault{Code: "no_token", Message: clean("No access token: "+err.Error(), nil)}
	return v
}

// ask makes one HTTP exchange and reads the answer.
func (c *Client) ask(ctx context.Context, req request, token string) answer {
	ctx, cancel := context.WithTimeout(ctx, totalTimeout)
	defer cancel()
	x := &exchange{token: token, sentAt: time.Now()}
	data, err := c.gql.ExecRaw(context.WithValue(ctx, exchangeKey{}, x), req.document, req.variables, graphql.OperationName(req.name))
	a := x.answer(data, err)
	a.secrets = append([]string{token}, req.secrets...)
	if a.broken == nil {
		c.noteClock(x)
	}
	c.log.DebugContext(ctx, "cloud answered", "operation", req.name, "status", a.status, "wrote", a.wrote, "request_id", x.requestID)
	return a
}
