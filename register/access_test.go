package register_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"storeagent/register"
)

func TestHost(t *testing.T) {
	s := newServer(t, newMemory())
	for host, want := range map[string]int{
		"127.0.0.1:8787": 200, "localhost:8787": 200, "[::1]:8787": 200, "LOCALHOST:8787": 200,
		"evil.example": 421, "evil.example:8787": 421, "127.0.0.1": 421, "127.0.0.1:80": 421, "127.0.0.2:8787": 421, "localhost.:8787": 421,
		"localhost.evil.example:8787": 421, "::1:8787": 421, "127.0.0.1:8787@evil.example": 421, "0.0.0.0:8787": 421, "[::1]": 421,
	} {
		for _, path := range []string{"/healthz", "/", "/v1/status", "/nowhere"} {
			w := ask{method: "GET", path: path, host: host, token: technicianToken}.do(t, s)
			if path == "/nowhere" && want == 200 {
				continue
			}
			if w.Code != want {
				t.Errorf("%s with Host %q: %d, want %d", path, host, w.Code, want)
			}
			if want == 421 && code(t, w) != "wrong_host" {
				t.Errorf("Host %q: %s", host, w.Body)
			}
		}
	}
}

func TestOrigin(t *testing.T) {
	s := newServer(t, newMemory())
	for origin, want := range map[string]int{
		allowedOrigin: 200, "http://127.0.0.1:8787": 200, "http://localhost:8787": 200, "http://[::1]:8787": 200,
		"null": 403, "https://evil.example": 403, "http://127.0.0.1:9999": 403, "https://127.0.0.1:8787": 403, "http://register.example.com": 403,
		allowedOrigin + ".evil.example": 403, allowedOrigin + ":443": 403, "HTTPS://register.example.com": 403, "": 403,
	} {
		for _, path := range []string{"/healthz", "/v1/status", "/v1/events"} {
			if path == "/v1/events" && want == 200 {
				continue // streams have their own tests
			}
			w := ask{method: "GET", path: path, token: technicianToken, header: map[string]string{"Origin": origin}}.do(t, s)
			if w.Code != want {
				t.Errorf("%s from %q: %d, want %d", path, origin, w.Code, want)
			}
			cors := w.Header().Get("Access-Control-Allow-Origin")
			if want == 200 && cors != origin || want == 403 && cors != "" {
				t.Errorf("%s from %q: Access-Control-Allow-Origin %q", path, origin, cors)
			}
			if !strings.Contains(w.Header().Get("Vary"), "Origin") {
				t.Errorf("%s: Vary %q", path, w.Header().Get("Vary"))
			}
		}
	}
	w := ask{method: "GET", path: "/healthz", header: map[string]string{"Origin": allowedOrigin}}.request(t)
	w.Header["Origin"] = []string{allowedOrigin, allowedOrigin}
	rec := httptest.NewRecorder()
	s.ServeHTTP(rec, w)
	if rec.Code != http.StatusForbidden {
		t.Errorf("two Origin headers: %d", rec.Code)
	}
}

func TestPreflight(t *testing.T) {
	s := newServer(t, newMemory())
	head := map[string]string{"Origin": allowedOrigin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization", "Access-Control-Request-Private-Network": "true"}
	w := ask{method: "OPTIONS", path: "/v1/sales", header: head}.do(t, s)
	h := w.Header()
	if w.Code != 204 || h.Get("Access-Control-Allow-Origin") != allowedOrigin || h.Get("Access-Control-Allow-Private-Network") != "true" {
		t.Errorf("preflight: %d %v", w.Code, h)
	}
	for _, name := range []string{"Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"} {
		if !strings.Contains(h.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("preflight does not allow %s", name)
		}
	}
	if h.Get("Access-Control-Allow-Credentials") != "" {
		t.Error("preflight allows credentials")
	}
	head["Origin"] = "https://evil.example"
	if w := (ask{method: "OPTIONS", path: "/v1/sales", header: head}).do(t, s); w.Code != 403 || w.Header().Get("Access-Control-Allow-Private-Network") != "" {
		t.Errorf("foreign preflight: %d %v", w.Code, w.Header())
	}
	if w := (ask{method: "OPTIONS", path: "/v1/sales"}).do(t, s); w.Code != 405 {
		t.Errorf("OPTIONS that is no preflight: %d", w.Code)
	}
}

func TestToken(t *testing.T) {
	s := newServer(t, newMemory())
	for _, tt := range []struct{ authorization, code string }{
		{"", "token_missing"}, {"Bearer", "token_missing"}, {"Bearer ", "token_missing"}, {"Basic c2E6c2E=", "token_missing"},
		{"Bearer sa_wrong", "token_unknown"}, {"Bearer " + registerToken + "x", "token_unknown"}, {"Bearer " + registerToken, ""}, {"bearer " + registerToken, ""},
	} {
		a := ask{method: "GET", path: "/v1/status", header: map[string]string{"Authorization": tt.authorization}}
		w := a.do(t, s)
		if got := code(t, w); got != tt.code {
			t.Errorf("%q: %s, want %s", tt.authorization, got, tt.code)
		}
		if tt.code != "" && (w.Code != 401 || w.Header().Get("WWW-Authenticate") == "") {
			t.Errorf("%q: %d %v", tt.authorization, w.Code, w.Header())
		}
	}
}

func TestTokenBoundToOrigin(t *testing.T) {
	s := newServer(t, newMemory(), func(c *register.Config) {
		c.AllowedOrigins = append(c.AllowedOrigins, "https://other.example.com")
	})
	for origin, want := range map[string]int{allowedOrigin: 200, "https://other.example.com": 403, "-": 403} {
		a := ask{method: "GET", path: "/v1/status", token: pageToken, header: map[string]string{}}
		if origin != "-" {
			a.header["Origin"] = origin
		}
		if w := a.do(t, s); w.Code != want {
			t.Errorf("bound token from %q: %d, want %d", origin, w.Code, want)
		}
	}
}

func TestRevokedTokenIsGone(t *testing.T) {
	m := newMemory()
	s := newServer(t, m)
	if w := (ask{method: "DELETE", path: "/v1/pairings/p-register", token: technicianToken}).do(t, s); w.Code != 204 {
		t.Fatalf("revoke: %d %s", w.Code, w.Body)
	}
	for _, srv := range []http.Handler{s, newServer(t, m)} {
		if w := (ask{method: "GET", path: "/v1/status", token: registerToken}).do(t, srv); w.Code != 401 {
			t.Errorf("revoked token: %d", w.Code)
		}
	}
	if w := (ask{method: "DELETE", path: "/v1/pairings/nobody", token: technicianToken}).do(t, s); w.Code != 404 {
		t.Errorf("unknown pairing: %d", w.Code)
	}
}

func TestUnknownPathsAndMethods(t *testing.T) {
	s := newServer(t, newMemory())
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/v2/sales", 404, ""}, {"GET", "/v1/sales/", 404, ""}, {"GET", "//v1/sales", 404, ""}, {"GET", "/v1/../v1/sales", 404, ""}, {"GET", "/docs", 404, ""},
		{"GET", "/openapi.yaml", 404, ""}, {"GET", "/schemas/Sale.json", 404, ""}, {"GET", "/index.html", 404, ""},
		{"PUT", "/v1/sales", 405, "GET, POST"}, {"DELETE", "/v1/queue", 405, "GET"}, {"GET", "/v1/queue/pause", 405, "POST"}, {"TRACE", "/", 405, "GET"},
	} {
		w := ask{method: tt.method, path: tt.path, token: technicianToken}.do(t, s)
		if w.Code != tt.status || w.Header().Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q", tt.method, tt.path, w.Code, w.Header().Get("Allow"))
		}
		code(t, w)
	}
}
