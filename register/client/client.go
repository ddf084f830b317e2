// Package client calls the API of a running agent: typed methods for its routes, problems as errors, and the event
// stream with resumption.
//
// It is called by the commands of cmd and by any other Go program. It imports wire and the floors' types it hands out,
// never the server. Standards: RFC 9457 for problems, the HTML standard's section 9.2 for server-sent events.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"storeagent/devices"
	"storeagent/devices/printer"
	"storeagent/offline"
	"storeagent/payments"
	"storeagent/register/wire"
)

// Problem is a refusal of the API; errors.As finds it in the errors of all methods.
type Problem = wire.Problem //nolint:errname // RFC 9457 calls it a problem

// maxAnswer bounds what is read of one answer, in bytes.
const maxAnswer = 16 << 20

// Client calls one agent with one token. It is safe for concurrent use.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New makes a client for an agent like "http://127.0.0.1:8787". hc nil means one of its own that follows no redirects
// and uses no proxy. The client sets no time limit; contexts do.
func New(baseURL, token string, hc *http.Client) *Client {
	if hc == nil {
		hc = &http.Client{
			Transport:     &http.Transport{Proxy: nil, ResponseHeaderTimeout: 0, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return &Client{base: strings.TrimSuffix(baseURL, "/"), token: token, http: hc}
}

// request is one call.
type request struct {
	method, path string
	query        url.Values
	key          string
	body         any // nil for none
	accept       string
	header       http.Header
}

// seg spells a name or id as one path segment.
func seg(s string) string { return url.PathEscape(s) }

func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		data, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, err)
	}
	for name, values := range r.header {
		req.Header[name] = values
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call the agent: %w", err)
	}
	if answer.StatusCode/100 != 2 {
		defer answer.Body.Close()
		return nil, fmt.Errorf("%s %s: %w", r.method, r.path, problem(answer))
	}
	return answer, nil
}

// problem reads a refusal, also one that something else on the port made.
func problem(answer *http.Response) error {
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("status %d, and no body: %w", answer.StatusCode, err)
	}
	if media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type")); media == wire.ProblemType {
		var p Problem
		if json.Unmarshal(data, &p) == nil && p.Code != "" {
			return &p
		}
	}
	return fmt.Errorf("status %d without a problem document; is that storeagent?", answer.StatusCode)
}

func (c *Client) bytes(ctx context.Context, r request) ([]byte, error) {
	answer, err := c.send(ctx, r)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err := errors.Join(err, answer.Body.Close()); err != nil {
		return nil, fmt.Errorf("%s %s: read answer: %w", r.method, r.path, err)
	}
	return data, nil
}

func call[T any](ctx context.Context, c *Client, r request) (T, error) {
	var out T
	data, err := c.bytes(ctx, r)
	if err != nil {
		return out, err
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return out, fmt.Errorf("%s %s: read answer: %w", r.method, r.path, err)
	}
	return out, nil
}

func get[T any](ctx context.Context, c *Client, path string, query url.Values) (T, error) {
	return call[T](ctx, c, request{method: http.MethodGet, path: path, query: query})
}

func post[T any](ctx context.Context, c *Client, path, key string, body any) (T, error) {
	return call[T](ctx, c, request{method: http.MethodPost, path: path, key: key, body: body})
}

func (c *Client) del(ctx context.Context, path string) error {
	_, err := c.bytes(ctx, request{method: http.MethodDelete, path: path})
	return err
}

func waitQuery(wait time.Duration) url.Values {
	if wait <= 0 {
		return nil
	}
	return url.Values{"wait": {strconv.Itoa(int((wait + time.Second - 1) / time.Second))}}
}

// PostSale hands over a completed sale: a wire.Sale, a json.RawMessage, or anything else that is one as JSON.
func (c *Client) PostSale(ctx context.Context, key string, sale any) (wire.SaleAccepted, error) {
	return post[wire.SaleAccepted](ctx, c, "/v1/sales", key, sale)
}

// Sale gives one sale.
func (c *Client) Sale(ctx context.Context, id string) (offline.SaleView, error) {
	return get[offline.SaleView](ctx, c, "/v1/sales/"+seg(id), nil)
}

// Sales lists sales. The query takes state, transactionId, since, limit and cursor.
func (c *Client) Sales(ctx context.Context, query url.Values) (wire.Page[offline.SaleView], error) {
	return get[wire.Page[offline.SaleView]](ctx, c, "/v1/sales", query)
}

// Queue says what waits for the cloud.
func (c *Client) Queue(ctx context.Context) (offline.QueueStatus, error) {
	return get[offline.QueueStatus](ctx, c, "/v1/queue", nil)
}

// QueueItems lists operations. The query takes state, type, limit and cursor.
func (c *Client) QueueItems(ctx context.Context, query url.Values) (wire.Page[offline.Item], error) {
	return get[wire.Page[offline.Item]](ctx, c, "/v1/queue/items", query)
}

// Decide resends, settles or discards an operation; the note goes into the audit.
func (c *Client) Decide(ctx context.Context, d offline.Decision) (wire.Decided, error) {
	path := "/v1/queue/items/" + seg(d.OpID) + "/" + string(d.Action)
	if d.Action == offline.Settle {
		return post[wire.Decided](ctx, c, path, "", wire.Settle{CloudID: d.CloudID, Note: d.Note})
	}
	return post[wire.Decided](ctx, c, path, "", wire.Decision{Note: d.Note})
}

// PauseQueue stops sending.
func (c *Client) PauseQueue(ctx context.Context) (offline.QueueStatus, error) {
	return post[offline.QueueStatus](ctx, c, "/v1/queue/pause", "", nil)
}

// ResumeQueue sends again.
func (c *Client) ResumeQueue(ctx context.Context) (offline.QueueStatus, error) {
	return post[offline.QueueStatus](ctx, c, "/v1/queue/resume", "", nil)
}

// DrainQueue tries now and waits until nothing is queued or sending, at most that long (up to two minutes).
func (c *Client) DrainQueue(ctx context.Context, wait time.Duration) (offline.QueueStatus, error) {
	return call[offline.QueueStatus](ctx, c, request{method: http.MethodPost, path: "/v1/queue/drain", query: waitQuery(wait)})
}

// StartPayment starts a card payment.
func (c *Client) StartPayment(ctx context.Context, key string, r wire.PaymentRequest) (payments.Payment, error) {
	return post[payments.Payment](ctx, c, "/v1/payments", key, r)
}

// Payment gives one payment, after waiting for its end at most that long (up to two minutes).
func (c *Client) Payment(ctx context.Context, id string, wait time.Duration) (payments.Payment, error) {
	return get[payments.Payment](ctx, c, "/v1/payments/"+seg(id), waitQuery(wait))
}

// Payments lists payments. The query takes state, attached, since, limit and cursor.
func (c *Client) Payments(ctx context.Context, query url.Values) (wire.Page[payments.Payment], error) {
	return get[wire.Page[payments.Payment]](ctx, c, "/v1/payments", query)
}

// CancelPayment asks the terminal to stop.
func (c *Client) CancelPayment(ctx context.Context, id string) (payments.Payment, error) {
	return post[payments.Payment](ctx, c, "/v1/payments/"+seg(id)+"/cancel", "", nil)
}

// ResolvePayment says how a payment ended that the terminal could not tell.
func (c *Client) ResolvePayment(ctx context.Context, id string, r wire.Resolve) (payments.Payment, error) {
	return post[payments.Payment](ctx, c, "/v1/payments/"+seg(id)+"/resolve", "", r)
}

// Terminals lists card terminals.
func (c *Client) Terminals(ctx context.Context) ([]payments.TerminalInfo, error) {
	p, err := get[wire.Page[payments.TerminalInfo]](ctx, c, "/v1/terminals", nil)
	return p.Items, err
}

// TerminalStatus asks the terminal itself; no money moves.
func (c *Client) TerminalStatus(ctx context.Context, name string) (payments.TerminalInfo, error) {
	return post[payments.TerminalInfo](ctx, c, "/v1/terminals/"+seg(name)+"/status", "", nil)
}

// Devices lists configured devices.
func (c *Client) Devices(ctx context.Context) ([]devices.Info, error) {
	p, err := get[wire.Page[devices.Info]](ctx, c, "/v1/devices", nil)
	return p.Items, err
}

// Print submits a print job.
func (c *Client) Print(ctx context.Context, key, printerName string, r wire.PrintRequest) (wire.JobAccepted, error) {
	return post[wire.JobAccepted](ctx, c, "/v1/printers/"+seg(printerName)+"/jobs", key, r)
}

// PrintJob gives one print job, after waiting for its end at most that long (up to two minutes).
func (c *Client) PrintJob(ctx context.Context, id string, wait time.Duration) (printer.Job, error) {
	return get[printer.Job](ctx, c, "/v1/print-jobs/"+seg(id), waitQuery(wait))
}

// Reprint prints a job again, marked as a copy.
func (c *Client) Reprint(ctx context.Context, key, id string) (wire.JobAccepted, error) {
	return post[wire.JobAccepted](ctx, c, "/v1/print-jobs/"+seg(id)+"/reprint", key, nil)
}

// Preview shows as text what the paper will show.
func (c *Client) Preview(ctx context.Context, r wire.PreviewRequest) (string, error) {
	data, err := c.bytes(ctx, request{method: http.MethodPost, path: "/v1/receipts/preview", body: r, accept: "text/plain"})
	return string(data), err
}

// Picture draws what the paper will show; media is image/png or image/svg+xml.
func (c *Client) Picture(ctx context.Context, r wire.PreviewRequest, media string) ([]byte, error) {
	return c.bytes(ctx, request{method: http.MethodPost, path: "/v1/receipts/preview", body: r, accept: media})
}

// ClaimScanner takes or renews the exclusive use of a scanner's scans.
func (c *Client) ClaimScanner(ctx context.Context, name string) (wire.Claim, error) {
	return post[wire.Claim](ctx, c, "/v1/scanners/"+seg(name)+"/claim", "", nil)
}

// ScannerClaim says whether a scanner is claimed.
func (c *Client) ScannerClaim(ctx context.Context, name string) (wire.ClaimState, error) {
	return get[wire.ClaimState](ctx, c, "/v1/scanners/"+seg(name)+"/claim", nil)
}

// ReleaseScanner gives a claimed scanner free.
func (c *Client) ReleaseScanner(ctx context.Context, name string) error {
	return c.del(ctx, "/v1/scanners/"+seg(name)+"/claim")
}

// SignIn starts signing in to the cloud, or gives the pending sign-in.
func (c *Client) SignIn(ctx context.Context) (offline.SignInStatus, error) {
	return post[offline.SignInStatus](ctx, c, "/v1/sign-in", "", nil)
}

// SignInStatus says how the sign-in stands.
func (c *Client) SignInStatus(ctx context.Context) (offline.SignInStatus, error) {
	return get[offline.SignInStatus](ctx, c, "/v1/sign-in", nil)
}

// SignOut revokes the sign-in and forgets it.
func (c *Client) SignOut(ctx context.Context) error { return c.del(ctx, "/v1/sign-in") }

// Pair lets a caller in. The answer holds its token, which is shown this once.
func (c *Client) Pair(ctx context.Context, r wire.PairingRequest) (wire.Pairing, error) {
	return post[wire.Pairing](ctx, c, "/v1/pairings", "", r)
}

// Pairings lists who was let in.
func (c *Client) Pairings(ctx context.Context) ([]wire.Pairing, error) {
	p, err := get[wire.Page[wire.Pairing]](ctx, c, "/v1/pairings", nil)
	return p.Items, err
}

// ConsoleLink makes a link that opens the console page once.
func (c *Client) ConsoleLink(ctx context.Context) (wire.ConsoleLink, error) {
	return post[wire.ConsoleLink](ctx, c, "/v1/console-links", "", nil)
}

// Unpair revokes a token.
func (c *Client) Unpair(ctx context.Context, id string) error {
	return c.del(ctx, "/v1/pairings/"+seg(id))
}

// Status says what works right now.
func (c *Client) Status(ctx context.Context) (wire.Status, error) {
	return get[wire.Status](ctx, c, "/v1/status", nil)
}

// Healthy reports whether the process lives; it needs no token.
func (c *Client) Healthy(ctx context.Context) (wire.Health, error) {
	return get[wire.Health](ctx, c, "/healthz", nil)
}

// Ready reports whether a sale would be accepted; it needs no token.
func (c *Client) Ready(ctx context.Context) (wire.Health, error) {
	return get[wire.Health](ctx, c, "/readyz", nil)
}

// Metrics gives the Prometheus text.
func (c *Client) Metrics(ctx context.Context) (string, error) {
	data, err := c.bytes(ctx, request{method: http.MethodGet, path: "/metrics"})
	return string(data), err
}
