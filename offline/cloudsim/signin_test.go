package cloudsim_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/offline/cloudsim"
)

const signInIssuer = "https://pos.test/tenant/"

func newSignIn(t *testing.T, o cloudsim.SignInOptions) *cloudsim.SignIn {
	t.Helper()
	o.Issuer = signInIssuer
	s, err := cloudsim.NewSignIn(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signInGet(t *testing.T, s http.Handler, path string) (int, map[string]any) {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://pos.test"+path, nil))
	return w.Code, signInAnswer(t, w)
}

func signInPost(t *testing.T, s http.Handler, path string, form ...string) (int, map[string]any) {
	t.Helper()
	v := url.Values{"client_id": {"storeagent"}}
	for i := 0; i < len(form); i += 2 {
		v.Set(form[i], form[i+1])
	}
	r := httptest.NewRequest(http.MethodPost, "https://pos.test"+path, strings.NewReader(v.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Code, signInAnswer(t, w)
}

func signInAnswer(t *testing.T, w *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	out := map[string]any{}
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		if err := json.Unmarshal(w.Body.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func challenge(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func startDevice(t *testing.T, s http.Handler) (code, user string) {
	t.Helper()
	status, d := signInPost(t, s, "/tenant/connect/device", "scope", "openid offline_access",
		"code_challenge", challenge("verifier"), "code_challenge_method", "S256")
	if status != http.StatusOK {
		t.Fatalf("device answered %d %v", status, d)
	}
	return d["device_code"].(string), d["user_code"].(string)
}

func pollDevice(t *testing.T, s http.Handler, code, verifier string) (int, map[string]any) {
	t.Helper()
	return signInPost(t, s, "/tenant/connect/token", "grant_type", cloudsim.GrantDevice, "device_code", code, "code_verifier", verifier)
}

func TestSignInDiscoveryNamesTheIssuerWordForWord(t *testing.T) {
	s := newSignIn(t, cloudsim.SignInOptions{})
	_, d := signInGet(t, s, "/tenant/.well-known/openid-configuration")
	if d["issuer"] != signInIssuer || d["device_authorization_endpoint"] != signInIssuer+"connect/device" {
		t.Errorf("discovery = %v", d)
	}
	s = newSignIn(t, cloudsim.SignInOptions{NoDeviceEndpoint: true})
	_, d = signInGet(t, s, "/tenant/.well-known/openid-configuration")
	if _, there := d["device_authorization_endpoint"]; there {
		t.Errorf("a server without device grant announces %v", d)
	}
}

func TestSignInDeviceGrant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSignIn(t, cloudsim.SignInOptions{})
		if status, d := signInPost(t, s, "/tenant/connect/device"); status != 400 || d["error"] != "invalid_request" {
			t.Errorf("a request without challenge answered %d %v", status, d)
		}
		code, user := startDevice(t, s)
		steps := []struct {
			wait     time.Duration
			verifier string
			want     string
			then     func() error
		}{
			{wait: 5 * time.Second, verifier: "verifier", want: "authorization_pending"},
			{wait: time.Second, verifier: "verifier", want: "slow_down"},
			{wait: 9 * time.Second, verifier: "verifier", want: "slow_down"},
			{wait: 15 * time.Second, verifier: "verifier", want: "authorization_pending", then: func() error { return s.Approve(strings.ToLower(user), "clerk") }},
			{wait: 15 * time.Second, verifier: "other", want: "invalid_grant"},
			{wait: 15 * time.Second, verifier: "", want: "invalid_grant"},
			{wait: 15 * time.Second, verifier: "verifier", want: ""},
			{wait: 15 * time.Second, verifier: "verifier", want: "invalid_grant"},
		}
		var token string
		for i, st := range steps {
			time.Sleep(st.wait)
			_, d := pollDevice(t, s, code, st.verifier)
			if got, _ := d["error"].(string); got != st.want {
				t.Fatalf("step %d answered %v, want %q", i, d, st.want)
			}
			if st.want == "" {
				token = d["access_token"].(string)
			}
			if st.then != nil {
				if err := st.then(); err != nil {
					t.Fatal(err)
				}
			}
		}
		// 15 s of the token's minute are over after the last step.
		if account, ok := s.Valid(token); !ok || account != "clerk" {
			t.Errorf("Valid = %q %v", account, ok)
		}
		time.Sleep(45 * time.Second)
		if _, ok := s.Valid(token); ok {
			t.Error("the token is still good after its minute")
		}
	})
}

func TestSignInDeniedExpiredAndUnknownCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSignIn(t, cloudsim.SignInOptions{})
		code, user := startDevice(t, s)
		if err := s.Deny(user); err != nil {
			t.Fatal(err)
		}
		if _, d := pollDevice(t, s, code, "verifier"); d["error"] != "access_denied" {
			t.Errorf("after Deny: %v", d)
		}
		code, user = startDevice(t, s)
		time.Sleep(10 * time.Minute)
		if _, d := pollDevice(t, s, code, "verifier"); d["error"] != "expired_token" {
			t.Errorf("after its time: %v", d)
		}
		if err := s.Approve(user, "clerk"); err == nil {
			t.Error("an expired code was approved")
		}
	})
}

func TestSignInRefreshReuseEndsTheFamily(t *testing.T) {
	for _, window := range []time.Duration{0, 10 * time.Second} {
		s := newSignIn(t, cloudsim.SignInOptions{ReuseWindow: window})
		code, user := startDevice(t, s)
		if err := s.Approve(user, "clerk"); err != nil {
			t.Fatal(err)
		}
		_, first := pollDevice(t, s, code, "verifier")
		refresh := func(from map[string]any) map[string]any {
			_, d := signInPost(t, s, "/tenant/connect/token", "grant_type", cloudsim.GrantRefresh, "refresh_token", from["refresh_token"].(string))
			return d
		}
		second := refresh(first)
		if second["access_token"] == nil || second["refresh_token"] == first["refresh_token"] {
			t.Fatalf("refresh answered %v", second)
		}
		again := refresh(first)
		_, alive := s.Valid(second["access_token"].(string))
		if window == 0 && (again["error"] != "invalid_grant" || alive || refresh(second)["error"] != "invalid_grant") {
			t.Errorf("a second use answered %v, tokens alive %v", again, alive)
		}
		if window > 0 && (again["access_token"] == nil || !alive) {
			t.Errorf("a second use within the window answered %v, tokens alive %v", again, alive)
		}
	}
}

func TestSignInClientAndRevocation(t *testing.T) {
	s := newSignIn(t, cloudsim.SignInOptions{ClientSecret: "not a real secret"})
	cc := []string{"grant_type", cloudsim.GrantClient}
	if status, d := signInPost(t, s, "/tenant/connect/token", cc...); status != 401 || d["error"] != "invalid_client" {
		t.Errorf("without secret: %d %v", status, d)
	}
	_, d := signInPost(t, s, "/tenant/connect/token", append(cc, "client_secret", "not a real secret")...)
	token, _ := d["access_token"].(string)
	if _, ok := s.Valid(token); !ok || d["refresh_token"] != nil {
		t.Fatalf("client credentials answered %v", d)
	}
	signInPost(t, s, "/tenant/connect/revoke", "token", token, "client_secret", "not a real secret")
	if _, ok := s.Valid(token); ok {
		t.Error("still good after revocation")
	}
}

func TestSignInPagesAreForPeople(t *testing.T) {
	s := newSignIn(t, cloudsim.SignInOptions{})
	code, user := startDevice(t, s)
	if status, _ := signInPost(t, s, "/tenant/device", "user_code", "nonsense", "account", "clerk", "action", "approve"); status != 404 {
		t.Errorf("a wrong code answered %d", status)
	}
	if status, _ := signInPost(t, s, "/tenant/device", "user_code", user, "account", "clerk", "action", "approve"); status != 200 {
		t.Errorf("the right code answered %d", status)
	}
	if _, d := pollDevice(t, s, code, "verifier"); d["access_token"] == nil {
		t.Errorf("after approval: %v", d)
	}
}

func TestSignInFaults(t *testing.T) {
	s := newSignIn(t, cloudsim.SignInOptions{})
	code, user := startDevice(t, s)
	if err := s.Approve(user, "clerk"); err != nil {
		t.Fatal(err)
	}
	s.Fail(1, cloudsim.SignInFault{Grant: cloudsim.GrantDevice, Status: 503, RetryAfter: "7"})
	if status, _ := pollDevice(t, s, code, "verifier"); status != 503 {
		t.Errorf("status %d", status)
	}
	s.Fail(1, cloudsim.SignInFault{Endpoint: cloudsim.EndpointToken, Lose: true})
	func() {
		defer func() {
			if err, ok := recover().(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				t.Error("the answer was not dropped")
			}
		}()
		pollDevice(t, s, code, "verifier")
	}()
	// The lost call did its work, so the code is gone.
	if _, d := pollDevice(t, s, code, "verifier"); d["error"] != "invalid_grant" {
		t.Errorf("after a lost answer: %v", d)
	}
	if s.Grants(cloudsim.GrantDevice) != 3 || s.Calls(cloudsim.EndpointDevice) != 1 {
		t.Errorf("counted %d polls and %d starts", s.Grants(cloudsim.GrantDevice), s.Calls(cloudsim.EndpointDevice))
	}
}
