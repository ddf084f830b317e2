package signin

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/offline/cloudsim"
)

func TestDeviceFlowThroughSlowDownAndFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{CodeLifetime: time.Hour}, nil)
		s := w.open()
		w.run(s)
		w.wantState(s, "signed_out")
		w.wantSignedOut(s)

		st, err := s.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if st.State != "pending" || st.UserCode == "" || !strings.HasPrefix(st.VerificationURI, testIssuer) ||
			!strings.Contains(st.VerificationURIComplete, st.UserCode) || !st.ExpiresAt.Equal(time.Now().Add(time.Hour)) {
			t.Fatalf("Start = %+v", st)
		}
		if again, err := s.Start(t.Context()); err != nil || again.UserCode != st.UserCode {
			t.Fatalf("a second Start = %+v, %v; want the pending one", again, err)
		}
		w.sim.Fail(2, cloudsim.SignInFault{Grant: cloudsim.GrantDevice, Status: http.StatusServiceUnavailable})
		time.Sleep(time.Minute)
		w.sim.Fail(2, cloudsim.SignInFault{Grant: cloudsim.GrantDevice, Status: http.StatusTooManyRequests, RetryAfter: "90"})
		time.Sleep(5 * time.Minute)
		w.sim.Fail(2, cloudsim.SignInFault{Grant: cloudsim.GrantDevice, Refuse: true})
		time.Sleep(2 * time.Minute)
		w.sim.Fail(1, cloudsim.SignInFault{Grant: cloudsim.GrantDevice, Hang: true})
		time.Sleep(2 * time.Minute)
		w.way.cut(errors.New("network is unreachable"))
		time.Sleep(5 * time.Minute)
		w.way.cut(nil)
		w.sim.Fail(1, cloudsim.SignInFault{Grant: cloudsim.GrantDevice, Status: http.StatusBadRequest, Body: `{"error":"slow_down"}`})
		time.Sleep(5 * time.Minute)
		w.wantState(s, "pending")
		if err := w.sim.Approve(st.UserCode, "clerk"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		w.wantState(s, "signed_in")
		w.wantProblem(s, "")
		w.wantToken(s)
		if got := s.Status(); got.Account != "clerk" || got.AccessExpiresAt == nil || strings.Join(got.Scopes, " ") != "openid offline_access" || got.UserCode != "" {
			t.Errorf("Status = %+v", got)
		}
		if got := w.states(); got != "pending signed_in" {
			t.Errorf("OnChange heard %q", got)
		}
	})
}

// The simulated server makes a code slower for each poll before its time, so a client that obeys sees none.
func TestPollingKeepsTheInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{Interval: 7 * time.Second}, nil)
		s := w.open()
		w.run(s)
		if _, err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		if got := w.sim.Grants(cloudsim.GrantDevice); got != 41 {
			t.Errorf("%d polls in five minutes, want one each 7.25 s", got)
		}
		for _, body := range w.way.said {
			if strings.Contains(string(body), "slow_down") {
				t.Fatal("the server had to say slow_down")
			}
		}
	})
}

// After slow_down the interval is 5 s longer for good: RFC 8628 section 3.5.
func TestSlowDownLastsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, nil)
		s := w.open()
		w.run(s)
		if _, err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.sim.Fail(1, cloudsim.SignInFault{Grant: cloudsim.GrantDevice, Status: 400, Body: `{"error":"slow_down"}`})
		time.Sleep(6*time.Second + 10*10250*time.Millisecond)
		synctest.Wait()
		if got := w.sim.Grants(cloudsim.GrantDevice); got != 11 {
			t.Errorf("%d polls, want one after 5 s and ten each 10 s", got)
		}
	})
}

// Faults make the polls rarer: one a minute in the end, and never before Retry-After.
func TestPollingBacksOff(t *testing.T) {
	for _, tt := range []struct {
		retryAfter string
		polls      int // in the next 30 minutes
	}{{"", 32}, {"300", 6}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, cloudsim.SignInOptions{CodeLifetime: time.Hour}, nil)
			s := w.open()
			w.run(s)
			w.sim.Fail(-1, cloudsim.SignInFault{Grant: cloudsim.GrantDevice, Status: 503, RetryAfter: tt.retryAfter})
			if _, err := s.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(30 * time.Minute)
			synctest.Wait()
			if n := w.sim.Grants(cloudsim.GrantDevice); n != tt.polls {
				t.Errorf("Retry-After %q: %d polls, want %d", tt.retryAfter, n, tt.polls)
			}
			w.wantState(s, "pending")
		})
	}
}

// Without an ID token the account comes from userinfo, and is there after a restart too.
func TestAccountFromUserInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, func(c *Config) { c.Scopes = []string{"offline_access"} })
		w.sim.Fail(1, cloudsim.SignInFault{Endpoint: cloudsim.EndpointUserInfo, Status: 500})
		s := w.open()
		stop := w.run(s)
		w.signIn(s)
		if got := s.Status(); got.Account != "" || got.Problem != nil {
			t.Fatalf("without userinfo Status = %+v", got)
		}
		time.Sleep(time.Minute) // the next refresh asks again
		synctest.Wait()
		if got := s.Status().Account; got != "clerk" {
			t.Errorf("account is %q", got)
		}
		stop()
		if got := w.open().Status().Account; got != "clerk" {
			t.Errorf("after a restart the account is %q", got)
		}
		if got := w.states(); got != "pending signed_in signed_in" {
			t.Errorf("OnChange heard %q", got)
		}
	})
}

func TestDeviceFlowEnds(t *testing.T) {
	tests := []struct {
		name    string
		act     func(*world, string)
		state   string
		problem string
	}{
		{"denied", func(w *world, code string) { _ = w.sim.Deny(code) }, "denied", ""},
		{"expired by the server", func(w *world, _ string) {
			w.sim.Fail(1, cloudsim.SignInFault{Grant: cloudsim.GrantDevice, Status: 400, Body: `{"error":"expired_token"}`})
		}, "expired", ""},
		{"expired by the clock", func(*world, string) { time.Sleep(10 * time.Minute) }, "expired", ""},
		{"network gone to the end", func(w *world, _ string) {
			w.way.cut(errors.New("network is unreachable"))
			time.Sleep(10 * time.Minute)
		}, "expired", ""},
		{"answer lost", func(w *world, code string) {
			_ = w.sim.Approve(code, "clerk")
			w.sim.Fail(1, cloudsim.SignInFault{Grant: cloudsim.GrantDevice, Lose: true})
		}, "signed_out", "invalid_grant"},
		{"client not allowed", func(w *world, _ string) {
			w.sim.Fail(1, cloudsim.SignInFault{Grant: cloudsim.GrantDevice, Status: 400, Body: `{"error":"unauthorized_client"}`})
		}, "signed_out", "unauthorized_client"},
		{"strange kind of token", func(w *world, _ string) {
			w.sim.Fail(1, cloudsim.SignInFault{Grant: cloudsim.GrantDevice, Status: 200, Body: `{"access_token":"x","token_type":"mac"}`})
		}, "signed_out", "token_type"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, cloudsim.SignInOptions{}, nil)
				s := w.open()
				w.run(s)
				st, err := s.Start(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				tt.act(w, st.UserCode)
				time.Sleep(time.Minute)
				synctest.Wait()
				w.wantState(s, tt.state)
				w.wantProblem(s, tt.problem)
				w.wantSignedOut(s)
				w.way.cut(nil)
				w.signIn(s) // and a new one works
			})
		})
	}
}

// A sign-in that stands is not lost by a new one that fails, and is replaced and revoked by one that does not.
func TestSecondSignIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{AccessLifetime: time.Hour}, nil)
		s := w.open()
		w.run(s)
		w.signIn(s)
		first := w.wantToken(s)
		st, err := s.Start(t.Context())
		if err != nil || st.State != "pending" {
			t.Fatalf("Start = %+v, %v", st, err)
		}
		if got := w.wantToken(s); got != first {
			t.Error("the standing sign-in does not serve while the new one waits")
		}
		_ = w.sim.Deny(st.UserCode)
		time.Sleep(time.Minute)
		synctest.Wait()
		w.wantState(s, "signed_in")
		w.wantProblem(s, "denied")
		st, err = s.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = w.sim.Approve(st.UserCode, "manager")
		time.Sleep(time.Minute)
		synctest.Wait()
		if w.wantToken(s) == first || s.Status().Account != "manager" {
			t.Errorf("the new sign-in did not replace the old one: %+v", s.Status())
		}
		w.wantProblem(s, "")
		if _, ok := w.sim.Valid(first); ok {
			t.Error("the replaced sign-in was not revoked")
		}
	})
}

func TestForgetWhilePending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, nil)
		s := w.open()
		w.run(s)
		st, err := s.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = w.sim.Approve(st.UserCode, "clerk")
		time.Sleep(time.Minute)
		synctest.Wait()
		w.wantState(s, "signed_out")
		if n := w.sim.Grants(cloudsim.GrantDevice); n != 0 {
			t.Errorf("%d polls after Forget", n)
		}
	})
}

func TestStartFailures(t *testing.T) {
	tests := []struct {
		name string
		opts cloudsim.SignInOptions
		do   func(*world)
		code string
	}{
		{"no device endpoint", cloudsim.SignInOptions{NoDeviceEndpoint: true}, func(*world) {}, "no_device_endpoint"},
		{"other issuer", cloudsim.SignInOptions{}, func(w *world) { w.cfg.Issuer = strings.TrimSuffix(testIssuer, "/") }, "issuer_mismatch"},
		{"no network", cloudsim.SignInOptions{}, func(w *world) { w.way.cut(errors.New("no route to host")) }, "network"},
		{"guest network page", cloudsim.SignInOptions{}, func(w *world) {
			w.sim.Fail(1, cloudsim.SignInFault{Endpoint: cloudsim.EndpointDiscovery, Status: 200, Body: "<html>Welcome!</html>"})
		}, "discovery"},
		{"redirect", cloudsim.SignInOptions{}, func(w *world) {
			w.sim.Fail(1, cloudsim.SignInFault{Endpoint: cloudsim.EndpointDiscovery, Status: 302})
		}, "discovery"},
		{"unusable answer", cloudsim.SignInOptions{}, func(w *world) {
			w.sim.Fail(1, cloudsim.SignInFault{Endpoint: cloudsim.EndpointDevice, Status: 200, Body: "null"})
		}, "device_answer"},
		{"endless answer", cloudsim.SignInOptions{}, func(w *world) {
			w.sim.Fail(1, cloudsim.SignInFault{Endpoint: cloudsim.EndpointDevice, Status: 200, Body: strings.Repeat(" ", 2<<20)})
		}, "network"},
		{"busy", cloudsim.SignInOptions{}, func(w *world) {
			w.sim.Fail(1, cloudsim.SignInFault{Endpoint: cloudsim.EndpointDevice, Status: 503})
		}, "server"},
		{"unknown client", cloudsim.SignInOptions{}, func(w *world) { w.cfg.ClientID = "somebody" }, "invalid_client"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tt.opts, nil)
				tt.do(w)
				s := w.open()
				w.run(s)
				st, err := s.Start(t.Context())
				var e *Error
				if !errors.As(err, &e) || e.Code != tt.code {
					t.Fatalf("Start = %+v, %v; want code %s", st, err, tt.code)
				}
				w.wantState(s, "signed_out")
				w.wantProblem(s, tt.code)
			})
		})
	}
}

// When the administrator has enabled the device flow, the next Start finds it.
func TestDeviceEndpointAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{NoDeviceEndpoint: true}, nil)
		s := w.open()
		w.run(s)
		if _, err := s.Start(t.Context()); err == nil {
			t.Fatal("Start went well without a device endpoint")
		}
		better, err := cloudsim.NewSignIn(cloudsim.SignInOptions{Issuer: testIssuer})
		if err != nil {
			t.Fatal(err)
		}
		w.sim, w.way.h = better, better
		w.signIn(s)
		w.wantToken(s)
	})
}

func TestNoDeviceEndpointNamesIssuerAndWayOut(t *testing.T) {
	e := noDeviceEndpoint(testIssuer)
	if !strings.Contains(e.Message, testIssuer) || !strings.Contains(e.Message, `cloud.flow = "browser"`) {
		t.Errorf("message is %q", e.Message)
	}
}

// The caller's context ends Start and leaves nothing pending.
func TestStartObeysItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, nil)
		w.sim.Fail(-1, cloudsim.SignInFault{Endpoint: cloudsim.EndpointDevice, Hang: true})
		s := w.open()
		w.run(s)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Start(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Start = %v", err)
		}
		w.wantState(s, "signed_out")
	})
}

// What the server enforces is what the client sends: the same poll without the verifier is refused.
func TestPKCEIsSentAndEnforced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, nil)
		s := w.open()
		md, err := s.meta.get(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		a, err := s.newDeviceAttempt(t.Context(), md)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.sim.Approve(a.userCode, "clerk"); err != nil {
			t.Fatal(err)
		}
		var d deviceAnswer
		for _, body := range w.way.said {
			if got, err := decodeDevice(body); err == nil {
				d = got
			}
		}
		var ae *answerError
		if _, err := s.poll(t.Context(), md, d.deviceCode, "", d.interval); !errors.As(err, &ae) || ae.code != "invalid_grant" {
			t.Fatalf("a poll without verifier ended with %v", err)
		}
		if _, _, err := a.finish(t.Context()); err != nil {
			t.Fatalf("the poll with verifier ended with %v", err)
		}
	})
}

func TestDecodeDevice(t *testing.T) {
	const good = `"device_code":"d","user_code":"U","verification_uri":"https://pos.test/device"`
	tests := []struct {
		body     string
		interval time.Duration // 0 means refused
	}{
		{`{` + good + `,"expires_in":600}`, 5 * time.Second},
		{`{` + good + `,"expires_in":"600","interval":"7"}`, 7 * time.Second},
		{`{` + good + `,"expires_in":600.0,"interval":60.0}`, time.Minute},
		{`{` + good + `,"expires_in":600,"interval":null}`, 5 * time.Second},
		{`{"device_code":"d","user_code":"U","verification_url":"http://127.0.0.1:1/device","expires_in":1}`, 5 * time.Second},
		{`{` + good + `}`, 0},
		{`{` + good + `,"expires_in":0}`, 0},
		{`{` + good + `,"expires_in":-5}`, 0},
		{`{` + good + `,"expires_in":600,"interval":-1}`, 0},
		{`{` + good + `,"expires_in":600,"interval":0}`, 0},
		{`{` + good + `,"expires_in":600,"interval":61}`, 0},
		{`{` + good + `,"expires_in":1e300}`, 0},
		{`{` + good + `,"expires_in":"NaN"}`, 0},
		{`{"user_code":"U","verification_uri":"https://pos.test/device","expires_in":600}`, 0},
		{`{"device_code":"d","verification_uri":"https://pos.test/device","expires_in":600}`, 0},
		{`{"device_code":"d","user_code":"U\u0007","verification_uri":"https://pos.test/device","expires_in":600}`, 0},
		{`{"device_code":"d","user_code":"U","verification_uri":"http://pos.test/device","expires_in":600}`, 0},
		{`{"device_code":"d","user_code":"U","verification_uri":"javascript:alert(1)","expires_in":600}`, 0},
		{`null`, 0}, {`[]`, 0}, {``, 0}, {`{}`, 0},
	}
	for _, tt := range tests {
		d, err := decodeDevice([]byte(tt.body))
		if (err == nil) != (tt.interval > 0) || d.interval != tt.interval && err == nil {
			t.Errorf("%s: %+v, %v; want interval %v", tt.body, d, err, tt.interval)
		}
	}
}

func FuzzDecodeDevice(f *testing.F) {
	f.Add([]byte(`{"device_code":"d","user_code":"U","verification_uri":"https://pos.test/device","expires_in":600,"interval":5}`))
	f.Add([]byte(`{"device_code":"d","user_code":"U","verification_url":"http://[::1]/d","expires_in":"1e3","interval":1.5,"verification_uri_complete":"x:"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, body []byte) {
		d, err := decodeDevice(body)
		if err != nil {
			return
		}
		if d.deviceCode == "" || d.userCode == "" || secureURL(d.uri) != nil || d.lifetime <= 0 || d.lifetime > longestCode ||
			d.interval < time.Second || d.interval > time.Minute || d.uriComplete != "" && secureURL(d.uriComplete) != nil {
			t.Errorf("accepted %+v", d)
		}
	})
}
