package register_test

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/register"
)

// madeLink is the path and query of a new link, as a browser on this computer would ask for it.
func madeLink(t *testing.T, s *register.Server) string {
	t.Helper()
	w := ask{method: "POST", path: "/v1/console-links", token: technicianToken}.do(t, s)
	var link struct {
		URL       string
		ExpiresAt time.Time
	}
	if err := json.Unmarshal(w.Body.Bytes(), &link); err != nil || w.Code != 201 || !link.ExpiresAt.After(time.Now()) {
		t.Fatalf("%d %s: %v", w.Code, w.Body, err)
	}
	u, err := url.Parse(link.URL)
	if err != nil || u.Scheme != "http" || u.Host != "127.0.0.1:8787" || u.Path != "/" {
		t.Fatalf("%s: %v", link.URL, err)
	}
	return u.RequestURI()
}

// tokenOf is the token that a page brings along.
func tokenOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	m := regexp.MustCompile(`<meta name="token" content="([^"]*)">`).FindStringSubmatch(w.Body.String())
	if w.Code != 200 || m == nil {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return m[1]
}

func TestConsoleLinkOpensOnce(t *testing.T) {
	s := newServer(t, newMemory())
	if token := tokenOf(t, ask{method: "GET", path: "/"}.do(t, s)); token != "" {
		t.Error("a page without a link holds a token")
	}
	link := madeLink(t, s)
	token := tokenOf(t, ask{method: "GET", path: link}.do(t, s))
	if token == "" {
		t.Fatal("the link brought no token")
	}
	for _, path := range []string{"/v1/status", "/v1/queue/items", "/v1/devices"} {
		if w := (ask{method: "GET", path: path, token: token}).do(t, s); w.Code != 200 {
			t.Errorf("GET %s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{"/v1/sales", "/v1/queue/pause", "/v1/console-links"} {
		if w := (ask{method: "POST", path: path, token: token, key: "k", body: minimalSale}).do(t, s); w.Code != 403 {
			t.Errorf("POST %s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, path := range []string{link, "/?link=" + token, "/?link=sa_x"} {
		if token := tokenOf(t, ask{method: "GET", path: path}.do(t, s)); token != "" {
			t.Errorf("%s brought a token", path)
		}
	}
}

func TestConsoleLinkUnderAKeyIsNotKept(t *testing.T) {
	m := newMemory()
	s := newServer(t, m)
	a := ask{method: "POST", path: "/v1/console-links", token: technicianToken, key: "k"}
	first, again := a.do(t, s), a.do(t, s)
	if first.Code != 201 || again.Code != 201 || again.Header().Get("Idempotent-Replayed") != "true" || first.Body.String() == again.Body.String() {
		t.Errorf("%d %s, then %d %s", first.Code, first.Body, again.Code, again.Body)
	}
}

func TestConsoleLinkAndItsTokenEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, newMemory())
		late, link := madeLink(t, s), madeLink(t, s)
		token := tokenOf(t, ask{method: "GET", path: link}.do(t, s))
		time.Sleep(6 * time.Minute)
		if token := tokenOf(t, ask{method: "GET", path: late}.do(t, s)); token != "" {
			t.Error("a link opened after its time")
		}
		if w := (ask{method: "GET", path: "/v1/status", token: token}).do(t, s); w.Code != 200 {
			t.Errorf("in its time: %d", w.Code)
		}
		time.Sleep(12 * time.Hour)
		if w := (ask{method: "GET", path: "/v1/status", token: token}).do(t, s); w.Code != 401 {
			t.Errorf("after its time: %d", w.Code)
		}
	})
}
