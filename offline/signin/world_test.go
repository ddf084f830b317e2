package signin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
)

const testIssuer = "https://pos.test/tenant/"

// inProcess carries requests straight into a handler, as synctest cannot wait for sockets. A handler that drops the
// connection becomes an error, as on a wire.
type inProcess struct {
	h    http.Handler
	mu   sync.Mutex
	down error // the way itself, where not nil
	seen []*http.Request
	said [][]byte // bodies of both directions
}

func (p *inProcess) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	p.mu.Lock()
	down := p.down
	p.seen = append(p.seen, r)
	p.said = append(p.said, body)
	p.mu.Unlock()
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	if down != nil {
		return nil, down
	}
	defer func() {
		if v := recover(); v != nil {
			if verr, ok := v.(error); !ok || !errors.Is(verr, http.ErrAbortHandler) {
				panic(v)
			}
			resp, err = nil, io.ErrUnexpectedEOF
			if r.Context().Err() != nil {
				err = r.Context().Err()
			}
		}
	}()
	in := r.Clone(r.Context())
	in.Body = io.NopCloser(bytes.NewReader(body))
	in.Host, in.RequestURI = r.URL.Host, r.URL.RequestURI()
	w := httptest.NewRecorder()
	p.h.ServeHTTP(w, in)
	p.mu.Lock()
	p.said = append(p.said, w.Body.Bytes())
	p.mu.Unlock()
	resp = w.Result()
	resp.Request = r
	return resp, nil
}

func (p *inProcess) cut(err error) {
	p.mu.Lock()
	p.down = err
	p.mu.Unlock()
}

// lockedBuffer is a log that may be read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is one register and one sign-in server.
type world struct {
	t    *testing.T
	sim  *cloudsim.SignIn
	way  *inProcess
	cfg  Config
	logs *lockedBuffer

	mu      sync.Mutex
	changes []offline.SignInStatus

	diskMu sync.Mutex
	onDisk func(op string) error // hears of each disk operation, with diskMu held
}

// hook sets what happens to disk operations from now on.
func (w *world) hook(f func(op string) error) {
	w.diskMu.Lock()
	defer w.diskMu.Unlock()
	w.onDisk = f
}

func (w *world) diskStep(op string) error {
	w.diskMu.Lock()
	defer w.diskMu.Unlock()
	if w.onDisk == nil {
		return nil
	}
	return w.onDisk(op)
}

func newWorld(t *testing.T, o cloudsim.SignInOptions, edit func(*Config)) *world {
	t.Helper()
	o.Issuer = testIssuer
	sim, err := cloudsim.NewSignIn(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, sim: sim, way: &inProcess{h: sim}, logs: &lockedBuffer{}}
	w.cfg = Config{
		Issuer: testIssuer, ClientID: "storeagent", Scopes: []string{"openid", "offline_access"},
		Dir: t.TempDir(), Store: "DALLAS", Register: "LANE-3", Transport: w.way,
		Log: slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnChange: func(st offline.SignInStatus) {
			w.mu.Lock()
			w.changes = append(w.changes, st)
			w.mu.Unlock()
		},
	}
	if edit != nil {
		edit(&w.cfg)
	}
	return w
}

// open makes the sign-in of this register, as after a boot.
func (w *world) open() *SignIn {
	w.t.Helper()
	s, err := New(w.t.Context(), w.cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	s.vault.disk.before = w.diskStep
	return s
}

// run runs s until the returned stop is called or the test ends.
func (w *world) run(s *SignIn) (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// signIn goes through the device flow with a person who approves at once.
func (w *world) signIn(s *SignIn) {
	w.t.Helper()
	st, err := s.Start(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if err := w.sim.Approve(st.UserCode, "clerk"); err != nil {
		w.t.Fatal(err)
	}
	time.Sleep(10 * time.Second)
	synctest.Wait()
	w.wantState(s, "signed_in")
}

func (w *world) wantState(s *SignIn, state string) {
	w.t.Helper()
	if st := s.Status(); st.State != state {
		w.t.Fatalf("state is %q (problem %+v), want %q", st.State, st.Problem, state)
	}
}

func (w *world) wantProblem(s *SignIn, code string) {
	w.t.Helper()
	st := s.Status()
	switch {
	case code == "" && st.Problem != nil:
		w.t.Fatalf("unexpected problem %+v", st.Problem)
	case code != "" && (st.Problem == nil || st.Problem.Code != code):
		w.t.Fatalf("problem is %+v, want %q", st.Problem, code)
	case code != "" && len(st.Problem.Message) < 20:
		w.t.Fatalf("problem %q has no words for a person: %q", code, st.Problem.Message)
	}
}

// wantToken takes a token and shows it to the cloud.
func (w *world) wantToken(s *SignIn) string {
	w.t.Helper()
	tok, err := s.AccessToken(w.t.Context())
	if err != nil {
		w.t.Fatalf("AccessToken: %v", err)
	}
	if _, ok := w.sim.Valid(tok); !ok {
		w.t.Fatalf("the cloud does not take the token")
	}
	return tok
}

func (w *world) wantSignedOut(s *SignIn) {
	w.t.Helper()
	if tok, err := s.AccessToken(w.t.Context()); !errors.Is(err, offline.ErrSignedOut) || tok != "" {
		w.t.Fatalf("AccessToken = %q, %v; want offline.ErrSignedOut", tok, err)
	}
}

// states lists what OnChange heard.
func (w *world) states() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, c := range w.changes {
		out = append(out, c.State)
	}
	return strings.Join(out, " ")
}

// secrets lists everything secret that went over the wire, with a word for what it is. The code a person types is
// among them; it has no business in a log either.
func (w *world) secrets() map[string]string {
	out := map[string]string{}
	add := func(name, v string) {
		switch name {
		case "access_token", "refresh_token", "device_code", "code_verifier", "user_code", "id_token", "client_secret", "token", "code":
			if v != "" {
				out[v] = name
			}
		}
	}
	w.way.mu.Lock()
	defer w.way.mu.Unlock()
	for _, body := range w.way.said {
		var doc map[string]any
		if json.Unmarshal(body, &doc) == nil {
			for k, v := range doc {
				if text, ok := v.(string); ok {
					add(k, text)
				}
			}
			continue
		}
		if form, err := url.ParseQuery(string(body)); err == nil {
			for k := range form {
				add(k, form.Get(k))
			}
		}
	}
	for _, r := range w.way.seen {
		if _, p, ok := r.BasicAuth(); ok {
			add("client_secret", p)
		}
	}
	return out
}
