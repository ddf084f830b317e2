package register

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"storeagent/internal/carddata"
	"storeagent/internal/journal"
	"storeagent/register/wire"
)

// Time limits of one request. The write limit covers the longest long poll; streams set their own.
const (
	bodyTimeout  = 10 * time.Second
	writeTimeout = maxWait*time.Second + 30*time.Second
)

// call is what is known about one request; it travels in its context.
type call struct {
	id    string
	host  string // as the caller names this agent
	route *route
	grant *grant
	actor journal.Actor
	key   *journal.Key // nil where none was sent
	body  []byte       // as sent
	value node         // the same, read strictly

	recorded bool // an entry with the key was handed to a floor below
}

type callKey struct{}

// callOf gives the call of a request's context; every handler runs behind ServeHTTP, which put it there.
func callOf(ctx context.Context) *call { return ctx.Value(callKey{}).(*call) }

// entry is the journal entry of a state change: the answer under the caller's key.
func (c *call) entry(status int, location string, answer any) journal.Entry {
	e := journal.Entry{Actor: c.actor, Answer: journal.Answer{Status: status, Location: location, Body: bytes.TrimSpace(encode(answer))}}
	if c.key != nil {
		k := *c.key
		e.Key = &k
		e.Answer.Fingerprint = k.Fingerprint
		c.recorded = true
	}
	return e
}

// durable is the context of a state change: once begun it ends, also when the caller hangs up.
func durable(ctx context.Context) context.Context { return context.WithoutCancel(ctx) }

// responder remembers whether an answer has begun, for the log and for panics.
type responder struct {
	http.ResponseWriter
	status int
}

func (w *responder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *responder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *responder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ServeHTTP checks every request in one fixed order and then runs its route: request id, Host, Origin, route, token,
// role, size, body, idempotency.
func (s *Server) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	started := time.Now()
	c := &call{id: uuid.NewString(), host: r.Host}
	w := &responder{ResponseWriter: rw}
	h := w.Header()
	h.Set("X-Request-Id", c.id)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	defer s.finish(w, r, c, started)

	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	if no := s.checkHost(r); no != nil {
		no.write(w, c.id)
		return
	}
	if no := s.checkOrigin(w, r); no != nil {
		no.write(w, c.id)
		return
	}
	if preflight(w, r) {
		return
	}
	if no := s.enter(w, r, c); no != nil {
		if no.status >= http.StatusInternalServerError {
			s.cfg.Log.ErrorContext(r.Context(), "request failed", slog.String("requestId", c.id), slog.Any("error", no))
		}
		no.write(w, c.id)
		return
	}
	if c.key != nil {
		s.once(w, r, c)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// enter checks everything from the route to the body.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, c *call) *refusal {
	no := s.findRoute(r, c)
	if no != nil {
		return no
	}
	if c.route.roles != nil {
		if no := s.checkToken(r, c); no != nil {
			return no
		}
		if no := checkRole(c); no != nil {
			return no
		}
	}
	rc := http.NewResponseController(w)
	// Recorders of tests have no deadlines; a real connection always does.
	_ = rc.SetWriteDeadline(time.Now().Add(writeTimeout))
	if no := s.checkQuery(r, c); no != nil {
		return no
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	if no := readBody(w, r, rc, c); no != nil {
		return no
	}
	if no := s.checkBody(c); no != nil {
		return no
	}
	return s.checkKey(r, c)
}

// findRoute looks the request up in the table. Paths must be spelled as they are in it.
func (s *Server) findRoute(r *http.Request, c *call) *refusal {
	pattern := ""
	if r.URL.Path == "/" || path.Clean(r.URL.Path) == r.URL.Path {
		_, pattern = s.mux.Handler(r)
	}
	if c.route = s.byPattern[pattern]; c.route != nil {
		return nil
	}
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, p := s.mux.Handler(other); s.byPattern[p] != nil {
			allowed = append(allowed, method)
		}
	}
	if allowed == nil || path.Clean(r.URL.Path) != r.URL.Path {
		return refuse(http.StatusNotFound, "not_found", "There is nothing at this path.", "GET /openapi.json lists every path.")
	}
	no := refuse(http.StatusMethodNotAllowed, "method_not_allowed", "This path does not take that method.",
		"It takes "+strings.Join(allowed, ", ")+".")
	no.header = http.Header{"Allow": {strings.Join(allowed, ", ")}}
	return no
}

// checkQuery refuses parameters the route does not have, so that a mistyped filter does not list everything.
func (s *Server) checkQuery(r *http.Request, c *call) *refusal {
	if r.URL.RawQuery == "" {
		return nil
	}
	for name, values := range r.URL.Query() {
		switch {
		case !slices.Contains(c.route.query, name):
			known := "it takes none"
			if len(c.route.query) > 0 {
				known = "known are " + strings.Join(c.route.query, ", ")
			}
			return invalid(field("query", "has a parameter that is not known here; "+known))
		case len(values) > 1:
			return invalid(field("query."+name, "is given twice"))
		}
	}
	return nil
}

// readBody takes the whole body within its limits of size and time, and puts it where huma finds it.
func readBody(w http.ResponseWriter, r *http.Request, rc *http.ResponseController, c *call) *refusal {
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout)) // as above
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, c.route.limit()))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return refuse(http.StatusRequestEntityTooLarge, "body_too_large", fmt.Sprintf("The body is over %d MiB.", c.route.limit()>>20), "Send less in one request.")
	case err != nil:
		no := refuse(http.StatusRequestTimeout, "body_incomplete", "The body did not arrive completely.", "Send the request again.")
		no.cause = err
		return no
	}
	_ = rc.SetReadDeadline(time.Time{})
	c.body = bytes.TrimSpace(body)
	if len(c.body) > 0 {
		if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); r.Header.Get("Content-Type") != "" && (err != nil || media != "application/json") {
			return refuse(http.StatusUnsupportedMediaType, "not_json", "The Content-Type of the body is not JSON.", "Send Content-Type: application/json.")
		}
	}
	r.Header.Set("Content-Type", "application/json")
	r.Body = io.NopCloser(bytes.NewReader(c.body))
	r.ContentLength = int64(len(c.body))
	return nil
}

// checkBody reads the body strictly, before any decoder that is kinder.
func (s *Server) checkBody(c *call) *refusal {
	if len(c.body) == 0 {
		if c.route.body == bodyNeeded {
			return refuse(http.StatusBadRequest, "invalid_json", "The body is empty.", "Send a JSON object.")
		}
		return nil
	}
	value, no := parseJSON(c.body)
	if no != nil {
		return no
	}
	c.value = value
	var cards, found []wire.FieldError
	judged := value
	if c.route.cards {
		judged = value.withoutSecrets() // the handler looks at these
	}
	if judged.cardData("", c.route.names, &cards); len(cards) > 0 {
		no := refuse(http.StatusUnprocessableEntity, "card_data_refused", "The request holds card data, which this agent never takes.",
			"Leave card numbers, tracks, CVV and PIN out; card payments go through POST /v1/payments.")
		no.fields = cards
		return no
	}
	if value.kind != '{' {
		return invalid(field("body", "expected object"))
	}
	if value.doubles("", c.route.names, &found); len(found) > 0 {
		return invalid(found...)
	}
	if c.route.body == bodyNone && len(value.list) > 0 {
		return invalid(field("body", "this call takes no fields"))
	}
	if c.route.judged {
		return nil // the floor below looks at every field itself
	}
	if value.strange(c.route.schema, s.api.OpenAPI().Components.Schemas, "", &found); len(found) > 0 {
		no := invalid(found...)
		no.code, no.detail = "unknown_field", "The request has fields that this call does not know."
		return no
	}
	return nil
}

// checkKey takes the idempotency key, which some routes insist on.
func (s *Server) checkKey(r *http.Request, c *call) *refusal {
	sent := r.Header["Idempotency-Key"]
	if len(sent) == 0 || c.route.roles == nil {
		if c.route.key {
			return refuse(http.StatusBadRequest, "idempotency_key_required", "This call needs an Idempotency-Key header.",
				"Make one unique text per sale, payment or print job (a UUID, for instance) and send the same one when you repeat the call.")
		}
		return nil
	}
	text := sent[0]
	if len(sent) > 1 || len(text) < 1 || len(text) > 255 || strings.IndexFunc(text, func(r rune) bool { return r < '!' || r > '~' }) >= 0 {
		return refuse(http.StatusBadRequest, "idempotency_key_invalid", "The Idempotency-Key is not 1 to 255 visible ASCII characters.", "A UUID is fine.")
	}
	if carddata.LooksLikeCard(text, nil) {
		return refuse(http.StatusUnprocessableEntity, "card_data_refused", "The Idempotency-Key looks like a card number.", "A UUID is fine.")
	}
	c.key = &journal.Key{PairingID: c.actor.PairingID, Text: text, Fingerprint: fingerprint(r.Method, r.URL.Path, c)}
	if c.route.cards && s.cfg.Giftcards != nil { // a plain hash of a code and a PIN could be tried out
		sum, err := s.cfg.Giftcards.Blind(r.Context(), c.key.Fingerprint[:])
		if err != nil {
			return explain(err)
		}
		c.key.Fingerprint = sum
	}
	return nil
}

// finish turns a panic into a 500 and writes the request's line into the log: the route's pattern, never its path.
func (s *Server) finish(w *responder, r *http.Request, c *call, started time.Time) {
	if p := recover(); p != nil {
		if err, is := p.(error); is && errors.Is(err, http.ErrAbortHandler) {
			panic(p)
		}
		s.cfg.Log.ErrorContext(r.Context(), "request panicked", slog.String("requestId", c.id), slog.String("panic", fmt.Sprint(p)), slog.String("stack", string(debug.Stack())))
		if w.status != 0 {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
		explain(errors.New("panic")).write(w, c.id)
	}
	route := "none"
	if c.route != nil {
		route = c.route.path
	}
	took := time.Since(started)
	s.metrics.observe(route, r.Method, w.status, took)
	s.cfg.Log.DebugContext(r.Context(), "request", slog.String("requestId", c.id), slog.String("method", r.Method), slog.String("route", route),
		slog.Int("status", w.status), slog.Duration("took", took), slog.String("pairing", c.actor.Name))
}
