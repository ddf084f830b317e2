package register

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"sync"

	"storeagent/internal/journal"
)

// fingerprint is what makes two requests the same: method, path and JSON value.
func fingerprint(method, path string, c *call) [32]byte {
	var b bytes.Buffer
	b.WriteString(method + "\n" + path + "\n")
	if len(c.body) > 0 {
		c.value.canonical(&b)
	}
	return sha256.Sum256(b.Bytes())
}

// inFlight is the set of keys that are being worked on.
type inFlight struct {
	mu   sync.Mutex
	keys map[inFlightKey]struct{}
}

type inFlightKey struct{ pairing, text string }

func (f *inFlight) begin(k inFlightKey) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, busy := f.keys[k]; busy {
		return false
	}
	f.keys[k] = struct{}{}
	return true
}

func (f *inFlight) end(k inFlightKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.keys, k)
}

// captured holds a whole answer back until it is known whether it counts.
type captured struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *captured) Header() http.Header { return w.header }

func (w *captured) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *captured) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// once runs a request that bears a key: at most one at a time under that key, and never again once it was accepted.
func (s *Server) once(w http.ResponseWriter, r *http.Request, c *call) {
	k := inFlightKey{c.key.PairingID, c.key.Text}
	if !s.flights.begin(k) {
		refuse(http.StatusConflict, "in_progress", "The first request with this key is still being worked on.",
			"Wait a moment and send the same request again to get its answer.").write(w, c.id)
		return
	}
	defer s.flights.end(k)
	if s.replay(w, r, c) {
		return
	}
	cw := &captured{header: w.Header().Clone()}
	s.mux.ServeHTTP(cw, r)
	// A refusal may only mean that the same request was accepted meanwhile, under the same key.
	if cw.status >= http.StatusBadRequest && s.replay(w, r, c) {
		return
	}
	if cw.status/100 == 2 && !c.recorded {
		if s.record(r, c, cw) && s.replay(w, r, c) {
			return
		}
	}
	maps.Copy(w.Header(), cw.header)
	w.WriteHeader(cw.status)
	// An answer that cannot be written has no reader any more; the same key brings it back.
	_, _ = w.Write(cw.body.Bytes())
}

// record keeps the answer of a request that changed nothing in the database by itself. It reports whether another
// request took the key meanwhile.
func (s *Server) record(r *http.Request, c *call, cw *captured) bool {
	a := journal.Answer{Status: cw.status, Location: cw.header.Get("Location"), Fingerprint: c.key.Fingerprint}
	if !c.route.drawn {
		a.Body = bytes.Clone(bytes.TrimSpace(cw.body.Bytes()))
	}
	err := s.cfg.Keys.Record(durable(r.Context()), *c.key, a)
	if err == nil {
		return false
	}
	if errors.Is(err, journal.ErrKeyUsed) {
		return true
	}
	// What was asked for has happened; refusing now would say it had not.
	s.cfg.Log.WarnContext(r.Context(), "answer not recorded under its key", slog.String("requestId", c.id), slog.Any("error", err))
	return false
}

// replay answers from the record of an earlier request with this key. It reports whether it answered.
func (s *Server) replay(w http.ResponseWriter, r *http.Request, c *call) bool {
	a, err := s.cfg.Keys.Answer(r.Context(), c.key.PairingID, c.key.Text)
	switch {
	case errors.Is(err, journal.ErrNotFound):
		return false
	case err != nil:
		s.cfg.Log.ErrorContext(r.Context(), "request failed", slog.String("requestId", c.id), slog.Any("error", err))
		explain(err).write(w, c.id)
		return true
	case a.Fingerprint != c.key.Fingerprint:
		refuse(http.StatusUnprocessableEntity, "idempotency_key_reused", "This key was used before, for another request.",
			"Send a new key with a new request, and the old key only with exactly the old request.").write(w, c.id)
		return true
	}
	if c.route.drawn {
		w.Header().Set("Idempotent-Replayed", "true")
		r.Body = io.NopCloser(bytes.NewReader(c.body)) // the first run may have read it
		s.mux.ServeHTTP(w, r)
		return true
	}
	if c.route.live != nil && a.Location != "" {
		if now, err := c.route.live(r.Context(), s, a.Location); err == nil {
			a.Body = bytes.TrimSpace(encode(now))
		}
	}
	h := w.Header()
	h.Set("Idempotent-Replayed", "true")
	if a.Location != "" {
		h.Set("Location", a.Location)
	}
	if len(a.Body) == 0 {
		w.WriteHeader(a.Status)
		return true
	}
	h.Set("Content-Type", "application/json")
	w.WriteHeader(a.Status)
	_, _ = w.Write(append(bytes.Clone(a.Body), '\n')) // as in once
	return true
}
