package cloud

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	graphql "github.com/hasura/go-graphql-client"
)

const maxRetryAfter = time.Hour // longer waits are nobody's meaning

type exchangeKey struct{}

// exchange is what we know about one HTTP request: what left, and what came back beside the body.
type exchange struct {
	token  string
	sentAt time.Time

	mu    sync.Mutex
	conns []*countedConn

	wrote      bool // some byte of the request may have left
	readable   bool // the answer was a GraphQL response and went on to the library
	status     int  // 0 where no answer came
	retryAfter time.Duration
	mayRetry   bool // Retry-After was there and could be read
	date       time.Time
	receivedAt time.Time
	requestID  string
}

// unreadable is an HTTP answer that is not a GraphQL response.
type unreadable struct{ why string }

func (e *unreadable) Error() string { return e.why }

// doer carries the library's requests. It adds the bearer, follows nothing, repeats nothing, and hands back only
// answers that are whole GraphQL responses, with status 200 so that the library reads their errors whatever the
// status was.
type doer struct{ client *http.Client }

// Do implements the library's client interface. The request's context carries an *exchange.
func (d *doer) Do(req *http.Request) (*http.Response, error) {
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		return nil, errors.New("request without an exchange")
	}
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{GotConn: x.gotConn}))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "storeagent")
	req.Header.Set("Authorization", "Bearer "+x.token)
	// With one of these net/http repeats a POST by itself on a dead connection (isReplayable).
	req.Header.Del("Idempotency-Key")
	req.Header.Del("X-Idempotency-Key")

	resp, err := d.client.Do(req)
	if err != nil {
		x.seal()
		return nil, err
	}
	defer resp.Body.Close()
	x.note(resp)
	body, err := readBody(resp)
	if err != nil {
		return nil, err
	}
	body, err = graphQLResponse(resp, body)
	if err != nil {
		return nil, err
	}
	x.readable = true
	return &http.Response{
		StatusCode: http.StatusOK, Status: "200 OK", Proto: resp.Proto, ProtoMajor: resp.ProtoMajor, ProtoMinor: resp.ProtoMinor,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)), Request: req,
	}, nil
}

// readBody unpacks the body within the limit.
func readBody(resp *http.Response) ([]byte, error) {
	r := io.LimitReader(resp.Body, bodyLimit+1)
	switch enc := strings.ToLower(strings.TrimSpace(resp.Header.Get("Content-Encoding"))); enc {
	case "", "identity":
	case "gzip", "x-gzip":
		zr, err := gzip.NewReader(r)
		if err != nil {
			return nil, &unreadable{"the answer says it is gzip and is not"}
		}
		r = io.LimitReader(zr, bodyLimit+1)
	default:
		return nil, &unreadable{"the answer has an encoding nobody asked for"}
	}
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > bodyLimit {
		return nil, &unreadable{"the answer is too large"}
	}
	return body, nil
}

// graphQLResponse checks that the answer is one and returns just its data and errors.
func graphQLResponse(resp *http.Response, body []byte) ([]byte, error) {
	switch s := resp.StatusCode; {
	case s == http.StatusOK, s == http.StatusCreated, s >= 400 && s < 500:
	default:
		return nil, &unreadable{"the answer has HTTP status " + strconv.Itoa(s)}
	}
	kind, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && kind != "application/graphql-response+json" {
		return nil, &unreadable{"the answer is not JSON"}
	}
	if cs := params["charset"]; cs != "" && !strings.EqualFold(cs, "utf-8") {
		return nil, &unreadable{"the answer is not UTF-8"}
	}
	fields, err := splitObject(body)
	if err != nil {
		return nil, &unreadable{"the answer is not a whole JSON object"}
	}
	data, hasData := fields["data"]
	errs, hasErrors := fields["errors"]
	if !hasData && !hasErrors {
		return nil, &unreadable{"the answer has neither data nor errors"}
	}
	var out bytes.Buffer
	out.WriteByte('{')
	if hasData {
		out.WriteString(`"data":`)
		out.Write(data)
	}
	if hasErrors {
		if hasData {
			out.WriteByte(',')
		}
		out.WriteString(`"errors":`)
		out.Write(errs)
	}
	out.WriteByte('}')
	return out.Bytes(), nil
}

func (x *exchange) gotConn(info httptrace.GotConnInfo) {
	x.mu.Lock()
	defer x.mu.Unlock()
	conn, ok := info.Conn.(*countedConn)
	if !ok { // not one of ours, so nobody counted
		x.wrote = true
		return
	}
	conn.lease()
	x.conns = append(x.conns, conn)
}

// seal closes what the request was given, so that no byte of it can leave from now on, and notes whether one had.
func (x *exchange) seal() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, c := range x.conns {
		if c.seal() {
			x.wrote = true
		}
	}
}

// note keeps what the head of the answer says.
func (x *exchange) note(resp *http.Response) {
	x.wrote = true
	x.status = resp.StatusCode
	x.receivedAt = time.Now()
	x.requestID = resp.Header.Get("X-Request-Id")
	if t, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		x.date = t
	}
	x.retryAfter, x.mayRetry = x.readRetryAfter(resp.Header.Get("Retry-After"))
}

// readRetryAfter reads seconds or a date (RFC 9110 section 10.2.3). A date is measured by the server's own clock
// where it told it.
func (x *exchange) readRetryAfter(text string) (time.Duration, bool) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, false
	}
	if strings.Trim(text, "0123456789") == "" {
		n, err := strconv.Atoi(text)
		if err != nil || n > int(maxRetryAfter/time.Second) {
			return maxRetryAfter, true
		}
		return time.Duration(n) * time.Second, true
	}
	at, err := http.ParseTime(text)
	if err != nil {
		return 0, false
	}
	now := x.receivedAt
	if !x.date.IsZero() {
		now = x.date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}

// answer joins what the library read with what we saw.
func (x *exchange) answer(data []byte, err error) answer {
	a := answer{wrote: x.wrote, status: x.status, retryAfter: x.retryAfter, mayRetry: x.mayRetry}
	var list graphql.Errors
	switch {
	case err == nil:
		a.data = data
		return a
	case !errors.As(err, &list) || !x.readable:
		a.broken = innermost(err)
		return a
	}
	for _, e := range list {
		if cause := e.Unwrap(); cause != nil { // the library's own complaint, the cloud's errors have no cause
			a.broken = &unreadable{"the answer's errors are not in GraphQL form"}
			return a
		}
	}
	a.data, a.errors = data, list
	return a
}

// innermost takes off the wrappings of the library and those that repeat the URL.
func innermost(err error) error {
	var list graphql.Errors
	if errors.As(err, &list) && len(list) > 0 && list[0].Unwrap() != nil {
		err = list[0].Unwrap()
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return err
}

// dialer opens connections whose writes are counted, with TLS below the counting.
type dialer struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	tls  *tls.Config
}

func (d dialer) open(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return d.dial(ctx, network, address)
}

func (d dialer) plain(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.open(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &countedConn{Conn: conn}, nil
}

func (d dialer) secure(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := d.open(ctx, network, address)
	if err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	config := d.tls.Clone()
	config.ServerName = host
	ctx, cancel := context.WithTimeout(ctx, tlsTimeout)
	defer cancel()
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("agree on TLS with %s: %w", host, errors.Join(err, conn.Close()))
	}
	return &countedConn{Conn: secured}, nil
}

var errSealed = errors.New("the request was given up")

// countedConn knows whether a byte of the present request has left. A TLS handshake happens before and does not
// count; a TLS record that did not leave whole cannot be read by the other side.
type countedConn struct {
	net.Conn

	mu      sync.Mutex
	sealed  bool
	wrote   bool
	writing int
}

// lease begins a request on the connection.
func (c *countedConn) lease() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrote = false
}

// seal ends the connection and tells whether any byte of the request may have left.
func (c *countedConn) seal() bool {
	c.mu.Lock()
	c.sealed = true
	wrote := c.wrote || c.writing > 0
	c.mu.Unlock()
	_ = c.Close() // it is given up, whatever Close says
	return wrote
}

// Write counts, and refuses on a sealed connection.
func (c *countedConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	if c.sealed {
		c.mu.Unlock()
		return 0, errSealed
	}
	c.writing++
	c.mu.Unlock()
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing--
	if n > 0 || err == nil {
		c.wrote = true
	}
	return n, err
}
