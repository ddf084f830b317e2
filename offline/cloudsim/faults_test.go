package cloudsim

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// purchaseBody is a request that reports the vendor's smallest sale.
func purchaseBody(t *testing.T) []byte {
	t.Helper()
	body, err := json.Marshal(map[string]any{"query": add, "variables": map[string]any{"a": vendorSale(t, "minimal")}})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// TestModes plays each fault over TCP and looks at what a client gets and at what the ledger has.
func TestModes(t *testing.T) {
	played := map[Mode]bool{Custom: true, ExecuteThenCustom: true} // these are in TestSwitches
	for _, tt := range []struct {
		mode     Mode
		status   int // 0 is a connection that closes before an answer, -1 one that closes within it
		executed int
		body     string
	}{
		{Well, 200, 1, `"id":"70001"`},
		{Down, 0, 0, ""},
		{DownAfterReading, 0, 0, ""},
		{ExecuteThenClose, 0, 1, ""},
		{ExecuteThen502, 502, 1, "<html>"},
		{ExecuteThenHalfBody, -1, 1, ""},
		{ExecuteThenBomb, 200, 1, "\x1f\x8b"},
		{ExecuteThenEmpty, 200, 1, "{}"},
		{ExecuteThenNull, 200, 1, `{"data":null}`},
		{ExecuteThenError, 400, 1, "FUSION_ERROR"},
		{RateLimited, 429, 0, ""},
		{Unavailable, 503, 0, ""},
		{TooLarge, 413, 0, ""},
		{Redirect, 307, 0, ""},
		{HTML, 200, 0, "<html>"},
		{EmptyObject, 200, 0, "{}"},
		{NotAuthenticated, 400, 0, "NOT_AUTHENTICATED"},
	} {
		played[tt.mode] = true
		t.Run("mode "+string(tt.mode), func(t *testing.T) {
			s := newSim(t, Options{})
			s.Fail(tt.mode, 0)
			srv := httptest.NewServer(s)
			defer srv.Close()
			client := &http.Client{
				Transport:     &http.Transport{DisableCompression: true, DisableKeepAlives: true},
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}
			req, err := http.NewRequest(http.MethodPost, srv.URL+Path, bytes.NewReader(purchaseBody(t)))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer good")
			resp, err := client.Do(req)
			if (err != nil) != (tt.status == 0) {
				t.Fatal(err)
			}
			if err == nil {
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				if (err != nil) != (tt.status == -1) || tt.status > 0 && resp.StatusCode != tt.status || !strings.Contains(string(body), tt.body) {
					t.Errorf("%v %d %.200q", err, resp.StatusCode, body)
				}
				if len(body) > 1<<20 {
					t.Errorf("%d bytes on the wire", len(body))
				}
			}
			if n := len(s.Ledger()); n != tt.executed {
				t.Errorf("%d executions", n)
			}
		})
	}
	for _, m := range modes() {
		if !played[m] {
			t.Errorf("mode %q has no row here", m)
		}
	}
}

// post asks without a network and returns the answer as recorded.
func post(t *testing.T, s *Sim, header map[string]string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, Path, bytes.NewReader(purchaseBody(t)))
	r.Header.Set("Authorization", "Bearer good")
	for k, v := range header {
		r.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestSwitches(t *testing.T) {
	s := newSim(t, Options{})
	s.FailMutations(RateLimited, 2)
	if code, _ := ask(t, s, "# a query\n{ __typename }", nil); code != 200 {
		t.Error("a query failed with the mutations:", code)
	}
	for _, want := range []int{429, 429, 200} {
		if got := post(t, s, nil).Code; got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	s.Say(Answer{Status: 418, Header: map[string]string{"X-Odd": "1"}, Body: "tea"}, true, 1)
	if w := post(t, s, nil); w.Code != 418 || w.Body.String() != "tea" || w.Header().Get("X-Odd") != "1" || len(s.Ledger()) != 2 {
		t.Error(w.Code, w.Body, len(s.Ledger()))
	}
	s.RefuseTokens(true)
	if w := post(t, s, nil); w.Code != 401 || len(s.Ledger()) != 2 {
		t.Error(w.Code)
	}
	s.Heal()
	s.Gzip(true)
	w := post(t, s, map[string]string{"Accept-Encoding": "gzip"})
	zr, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(zr); err != nil || !strings.Contains(string(body), `"id"`) {
		t.Error(string(body), err)
	}
	if w := post(t, s, nil); w.Header().Get("Content-Encoding") != "" {
		t.Error("packed for a client that does not take it")
	}
	s.Skew(time.Hour)
	at, err := http.ParseTime(post(t, s, nil).Header().Get("Date"))
	if err != nil || time.Until(at) < 50*time.Minute {
		t.Error(at, err)
	}
	s.Deny(ExecuteGraphQLMutations)
	if w := post(t, s, nil); w.Code != 401 || !strings.Contains(w.Body.String(), "errors") {
		t.Error(w.Code, w.Body)
	}
	s.Grant(ExecuteGraphQLMutations)
	if w := post(t, s, nil); w.Code != 200 {
		t.Error(w.Code, w.Body)
	}
}

// TestDelays: the answer waits, and an operation that was read runs even if the client is gone.
func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSim(t, Options{})
		s.Delay(2*time.Second, 3*time.Second)
		began := time.Now()
		if w := post(t, s, nil); w.Code != 200 || time.Since(began) != 5*time.Second {
			t.Error(w.Code, time.Since(began))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodPost, Path, bytes.NewReader(purchaseBody(t)))
		r.Header.Set("Authorization", "Bearer good")
		s.ServeHTTP(httptest.NewRecorder(), r)
		if len(s.Ledger()) != 2 {
			t.Errorf("%d executions", len(s.Ledger()))
		}
	})
}

// TestSignInOpensTheAPI: a token of the sign-in server beside the API is good here until it is taken back.
func TestSignInOpensTheAPI(t *testing.T) {
	signIn, err := NewSignIn(SignInOptions{ClientSecret: "a test's secret"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Options{SignIn: signIn})
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{"grant_type": {GrantClient}, "client_id": {"storeagent"}, "client_secret": {"a test's secret"}}
	r := httptest.NewRequest(http.MethodPost, "/connect/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var given struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &given); err != nil || given.AccessToken == "" {
		t.Fatal(w.Code, w.Body, err)
	}
	with := map[string]string{"Authorization": "Bearer " + given.AccessToken}
	if w := post(t, s, with); w.Code != 200 || s.Ledger()[0].Account == "" {
		t.Error(w.Code, w.Body, s.Ledger())
	}
	signIn.ForgetAccess()
	if w := post(t, s, with); w.Code != 401 {
		t.Error(w.Code)
	}
	s.Fail(Down, 0)
	defer func() {
		if recover() == nil {
			t.Error("signing in works while the cloud is down")
		}
	}()
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/.well-known/openid-configuration", nil))
}
