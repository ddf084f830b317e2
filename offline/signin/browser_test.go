package signin

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
)

// browserWorld runs outside synctest, as the redirect comes through a real port; the sign-in server stays in process.
func browserWorld(t *testing.T, o cloudsim.SignInOptions) (*world, *SignIn, <-chan offline.SignInStatus) {
	t.Helper()
	changes := make(chan offline.SignInStatus, 20)
	w := newWorld(t, o, func(c *Config) {
		c.Flow = FlowBrowser
		c.OnChange = func(st offline.SignInStatus) { changes <- st }
	})
	s := w.open()
	w.run(s)
	return w, s, changes
}

func awaitState(t *testing.T, changes <-chan offline.SignInStatus, states ...string) offline.SignInStatus {
	t.Helper()
	for {
		select {
		case st := <-changes:
			for _, want := range states {
				if st.State == want {
					return st
				}
			}
		case <-t.Context().Done():
			t.Fatalf("state never became %v", states)
		}
	}
}

func visit(t *testing.T, address string, host string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	req.Close = true
	resp, err := new(http.Transport).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func startBrowser(t *testing.T, s *SignIn) url.Values {
	t.Helper()
	st, err := s.Start(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(st.VerificationURI)
	if err != nil || st.State != "pending" || !strings.HasPrefix(st.VerificationURI, testIssuer+"connect/authorize?") {
		t.Fatalf("Start = %+v", st)
	}
	return u.Query()
}

func TestBrowserFlow(t *testing.T) {
	w, s, changes := browserWorld(t, cloudsim.SignInOptions{NoDeviceEndpoint: true})
	q := startBrowser(t, s)
	redirect := q.Get("redirect_uri")
	// Strangers who find the port change nothing.
	strangers := []struct{ address, host string }{
		{redirect, ""},
		{redirect + "?code=x&state=wrong", ""},
		{redirect + "?error=access_denied", ""},
		{redirect + "?state=" + q.Get("state"), ""},
		{redirect + "?code=x&state=" + q.Get("state"), "rebound.example:80"},
		{redirect + "?code=x&iss=https%3A%2F%2Fother.test&state=" + q.Get("state"), ""},
	}
	for _, st := range strangers {
		if status, _ := visit(t, st.address, st.host); status != http.StatusBadRequest {
			t.Errorf("%+v answered %d", st, status)
		}
	}
	to, err := w.sim.Authorize(q, "clerk")
	if err != nil {
		t.Fatal(err)
	}
	if status, page := visit(t, to, ""); status != http.StatusOK || !strings.Contains(page, "close this page") {
		t.Errorf("the browser got %d %q", status, page)
	}
	if st := awaitState(t, changes, "signed_in"); st.Account != "clerk" || st.Problem != nil {
		t.Errorf("Status = %+v", st)
	}
	w.wantToken(s)
}

func TestBrowserFlowDenied(t *testing.T) {
	w, s, changes := browserWorld(t, cloudsim.SignInOptions{})
	to, err := w.sim.Authorize(startBrowser(t, s), "")
	if err != nil {
		t.Fatal(err)
	}
	visit(t, to, "")
	awaitState(t, changes, "denied")
	w.wantSignedOut(s)
}

// The server binds the code to the challenge: one that was got for another challenge is refused.
func TestBrowserFlowStolenCode(t *testing.T) {
	w, s, changes := browserWorld(t, cloudsim.SignInOptions{})
	q := startBrowser(t, s)
	q.Set("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM") // the example of RFC 7636, appendix B
	to, err := w.sim.Authorize(q, "thief")
	if err != nil {
		t.Fatal(err)
	}
	visit(t, to, "")
	if st := awaitState(t, changes, "signed_in", "signed_out"); st.State != "signed_out" || st.Problem == nil || st.Problem.Code != "invalid_grant" {
		t.Errorf("Status = %+v", st)
	}
}

// The answer must carry our nonce, so that a code of another sign-in is of no use.
func TestBrowserFlowOtherNonce(t *testing.T) {
	w, s, changes := browserWorld(t, cloudsim.SignInOptions{})
	q := startBrowser(t, s)
	q.Set("nonce", "of another sign-in")
	to, err := w.sim.Authorize(q, "clerk")
	if err != nil {
		t.Fatal(err)
	}
	visit(t, to, "")
	if st := awaitState(t, changes, "signed_in", "signed_out"); st.State != "signed_out" || st.Problem == nil || st.Problem.Code != "nonce" {
		t.Errorf("Status = %+v", st)
	}
}

// whoever asks at an address, and gives what was answered, if anything was: the port may be somebody else's by now.
func whoever(t *testing.T, address string) string {
	t.Helper()
	client := http.Client{Timeout: 90 * time.Second}
	resp, err := client.Get(address)
	if err != nil {
		return ""
	}
	defer func() { _ = resp.Body.Close() }()
	page, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return ""
	}
	return string(page)
}

// Forget closes the port; so does the end of Run.
func TestBrowserFlowFreesItsPort(t *testing.T) {
	for _, how := range []string{"forget", "stop"} {
		w := newWorld(t, cloudsim.SignInOptions{}, func(c *Config) { c.Flow = FlowBrowser })
		s := w.open()
		stop := w.run(s)
		redirect := startBrowser(t, s).Get("redirect_uri")
		if _, page := visit(t, redirect, ""); !strings.Contains(page, "not the answer to the sign-in") {
			t.Errorf("%s: a stranger was told %q", how, page)
		}
		if how == "forget" {
			if err := s.Forget(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		if page := whoever(t, redirect); strings.Contains(page, "not the answer to the sign-in") {
			t.Errorf("%s: the port still answers", how)
		}
	}
}
