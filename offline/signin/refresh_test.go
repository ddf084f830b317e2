package signin

import (
	"context"
	"errors"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
)

// Four hours of one-minute tokens: each refresh token is used once, and a token is good whenever one is asked for.
func TestRotationOverHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, nil)
		s := w.open()
		stop := w.run(s)
		w.signIn(s)
		for range 240 {
			time.Sleep(time.Minute)
			w.wantToken(s)
		}
		w.wantProblem(s, "")
		// A minute's token is renewed 12 s before its end.
		if n := w.sim.Grants(cloudsim.GrantRefresh); n < 295 || n > 305 {
			t.Errorf("%d refreshes in four hours, want one each 48 s", n)
		}
		if got := w.states(); got != "pending signed_in" {
			t.Errorf("OnChange heard %q: a mere refresh is no change", got)
		}
		stop()
		// A boot with no network: the last token serves while it is good, and then nothing is lost.
		w.way.cut(&net.OpError{Op: "dial", Err: syscall.ENETUNREACH})
		s = w.open()
		w.wantState(s, "signed_in")
		if s.Status().Account != "clerk" {
			t.Errorf("after a restart Status = %+v", s.Status())
		}
		w.wantToken(s)
		stop = w.run(s)
		time.Sleep(time.Hour)
		if _, err := s.AccessToken(t.Context()); err == nil || errors.Is(err, offline.ErrSignedOut) {
			t.Errorf("without network AccessToken = %v", err)
		}
		w.wantState(s, "signed_in")
		w.wantProblem(s, "network")
		w.way.cut(nil)
		time.Sleep(time.Minute)
		w.wantToken(s)
		w.wantProblem(s, "")
		stop()
	})
}

func TestRefreshMeetsFaults(t *testing.T) {
	tests := []struct {
		name    string
		window  time.Duration
		fault   cloudsim.SignInFault
		n       int
		state   string
		problem string
	}{
		{"busy", 0, cloudsim.SignInFault{Status: 503, RetryAfter: "20"}, 3, "signed_in", ""},
		{"too many", 0, cloudsim.SignInFault{Status: 429}, 3, "signed_in", ""},
		{"gateway page", 0, cloudsim.SignInFault{Status: 502, Body: "<html>"}, 3, "signed_in", ""},
		{"redirect", 0, cloudsim.SignInFault{Status: 307}, 2, "signed_in", ""},
		{"not found", 0, cloudsim.SignInFault{Status: 404}, 2, "signed_in", ""},
		{"refused in words that prove nothing", 0, cloudsim.SignInFault{Status: 400, Body: `{"error":"invalid_scope"}`}, 2, "signed_in", ""},
		{"hanging", 0, cloudsim.SignInFault{Hang: true}, 2, "signed_in", ""},
		{"half a page with status 200", 0, cloudsim.SignInFault{Status: 200, Body: "{"}, 2, "signed_in", ""},
		{"lost answer within the reuse window", 20 * time.Second, cloudsim.SignInFault{Lose: true}, 1, "signed_in", ""},
		{"lost answer without one", 0, cloudsim.SignInFault{Lose: true}, 1, "signed_out", "refresh_lost"},
		{"revoked", 0, cloudsim.SignInFault{Status: 400, Body: `{"error":"invalid_grant"}`}, 1, "signed_out", "invalid_grant"},
		{"client deleted", 0, cloudsim.SignInFault{Status: 401, Body: `{"error":"invalid_client"}`}, 1, "signed_out", "invalid_client"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, cloudsim.SignInOptions{ReuseWindow: tt.window}, nil)
				s := w.open()
				w.run(s)
				w.signIn(s)
				tt.fault.Grant = cloudsim.GrantRefresh
				w.sim.Fail(tt.n, tt.fault)
				time.Sleep(5 * time.Minute)
				synctest.Wait()
				w.wantState(s, tt.state)
				w.wantProblem(s, tt.problem)
				if tt.state == "signed_in" {
					w.wantToken(s)
					return
				}
				w.wantSignedOut(s)
				if _, err := os.Stat(s.vault.disk.path(tokenFile)); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("dead tokens are still on disk: %v", err)
				}
				n := w.sim.Calls(cloudsim.EndpointToken)
				time.Sleep(time.Hour)
				if got := w.sim.Calls(cloudsim.EndpointToken); got != n {
					t.Errorf("%d calls with a dead token", got-n)
				}
				w.signIn(s)
				w.wantToken(s)
			})
		})
	}
}

// In an outage the refresh leaves it to those who need a token to try again, so that it keeps to their pace.
func TestLongOutageIsNotAskedUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, nil)
		s := w.open()
		w.run(s)
		w.signIn(s)
		w.sim.Fail(-1, cloudsim.SignInFault{Grant: cloudsim.GrantRefresh, Status: 503})
		time.Sleep(30 * time.Minute) // the token was over after one
		synctest.Wait()
		if n := w.sim.Grants(cloudsim.GrantRefresh); n != ownTries {
			t.Errorf("%d refreshes within half an hour in which nobody asked, want %d", n, ownTries)
		}
		n := w.sim.Grants(cloudsim.GrantRefresh)
		if _, err := s.AccessToken(t.Context()); err == nil || errors.Is(err, offline.ErrSignedOut) {
			t.Errorf("AccessToken = %v", err)
		}
		if got := w.sim.Grants(cloudsim.GrantRefresh); got != n+1 {
			t.Errorf("%d refreshes for one who asked", got-n)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		// A refresh token that the server lets lapse unused is asked for all the same, seldom.
		if got := w.sim.Grants(cloudsim.GrantRefresh) - n; got < 24 || got > 50 {
			t.Errorf("%d refreshes in a day in which nobody asked", got)
		}
		w.sim.Heal()
		time.Sleep(retryCap) // one of those may just have failed
		w.wantToken(s)
		w.wantProblem(s, "")
		time.Sleep(10 * time.Minute) // renewed ahead of time again
		synctest.Wait()
		if got := w.sim.Grants(cloudsim.GrantRefresh) - n; got < 35 {
			t.Errorf("after the outage only %d refreshes", got)
		}
	})
}

// A back-off is never shorter than the server's Retry-After.
func TestRefreshObeysRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, nil)
		s := w.open()
		w.run(s)
		w.signIn(s)
		w.sim.Fail(-1, cloudsim.SignInFault{Grant: cloudsim.GrantRefresh, Status: 429, RetryAfter: "300"})
		time.Sleep(16 * time.Minute)
		synctest.Wait()
		if n := w.sim.Grants(cloudsim.GrantRefresh); n != 4 {
			t.Errorf("%d refreshes in a quarter of an hour, want 4", n)
		}
	})
}

// Each failure is one call: a second one by another way of naming the client would use the token twice.
func TestOneCallPerRefresh(t *testing.T) {
	for _, secret := range []string{"", "not a real secret"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, cloudsim.SignInOptions{ClientSecret: secret}, func(c *Config) { c.ClientSecret = secret })
			s := w.open()
			w.run(s)
			w.signIn(s)
			w.sim.Fail(-1, cloudsim.SignInFault{Grant: cloudsim.GrantRefresh, Status: 429, RetryAfter: "300"})
			time.Sleep(time.Minute)
			synctest.Wait()
			if n := w.sim.Grants(cloudsim.GrantRefresh); n != 1 {
				t.Errorf("%d calls for one refresh", n)
			}
		})
	}
}

// An answer that is over when it comes, or names no lifetime, is no reason to refresh without end.
func TestSenselessLifetimes(t *testing.T) {
	for _, lifetime := range []string{`,"expires_in":-1`, `,"expires_in":1`, `,"expires_in":0`, ``} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, cloudsim.SignInOptions{}, nil)
			s := w.open()
			w.run(s)
			w.signIn(s)
			w.sim.Fail(-1, cloudsim.SignInFault{Grant: cloudsim.GrantRefresh, Status: 200,
				Body: `{"access_token":"a","token_type":"Bearer","refresh_token":"r"` + lifetime + `}`})
			time.Sleep(time.Hour)
			if n := w.sim.Grants(cloudsim.GrantRefresh); n != 1 {
				t.Errorf("%s: %d refreshes in an hour", lifetime, n)
			}
			if tok, err := s.AccessToken(t.Context()); err != nil || tok != "a" || s.Status().AccessExpiresAt != nil {
				t.Errorf("%s: AccessToken = %q, %v", lifetime, tok, err)
			}
		})
	}
}

// A server that does not rotate leaves the refresh token out of its answers.
func TestWithoutRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{NoRotation: true}, nil)
		s := w.open()
		stop := w.run(s)
		w.signIn(s)
		for range 30 {
			time.Sleep(time.Minute)
			w.wantToken(s)
		}
		stop()
		time.Sleep(time.Hour)
		s = w.open()
		w.run(s)
		w.wantToken(s)
		w.wantProblem(s, "")
	})
}

// A refresh of the old sign-in that ends after a new one took its place changes nothing.
func TestNewSignInDuringRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, nil)
		s := w.open()
		w.run(s)
		w.signIn(s)
		time.Sleep(30 * time.Second)
		w.sim.Fail(1, cloudsim.SignInFault{Grant: cloudsim.GrantRefresh, Hang: true}) // soon, for 30 s
		st, err := s.Start(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(15 * time.Second)
		if n := w.sim.Grants(cloudsim.GrantRefresh); n != 1 {
			t.Fatalf("%d refreshes", n)
		}
		if err := w.sim.Approve(st.UserCode, "manager"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.wantState(s, "signed_in")
		for range 500 {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			w.wantProblem(s, "")
			w.wantToken(s)
		}
		if got := s.Status().Account; got != "manager" {
			t.Errorf("account is %q", got)
		}
	})
}

// A hundred callers, whose token was refused or ran out, cause one refresh.
func TestManyCallersOneRefresh(t *testing.T) {
	for _, refused := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, cloudsim.SignInOptions{AccessLifetime: time.Hour}, nil)
			s := w.open()
			stop := w.run(s)
			w.signIn(s)
			stale := w.wantToken(s)
			if refused {
				w.sim.ForgetAccess()
			} else {
				stop() // nobody renews meanwhile
				time.Sleep(2 * time.Hour)
				s = w.open()
			}
			before := w.sim.Grants(cloudsim.GrantRefresh)
			var wg sync.WaitGroup
			tokens := make([]string, 100)
			for i := range tokens {
				wg.Go(func() {
					if refused {
						if err := s.Refused(t.Context(), stale); err != nil {
							t.Errorf("Refused: %v", err)
						}
					}
					var err error
					if tokens[i], err = s.AccessToken(t.Context()); err != nil {
						t.Errorf("AccessToken: %v", err)
					}
				})
			}
			if !refused {
				w.run(s)
			}
			wg.Wait()
			for _, tok := range tokens {
				if tok != tokens[0] || tok == stale {
					t.Fatal("callers got different tokens, or the stale one")
				}
			}
			if n := w.sim.Grants(cloudsim.GrantRefresh) - before; n != 1 {
				t.Errorf("%d refreshes, want 1", n)
			}
			if err := s.Refused(t.Context(), stale); err != nil || w.sim.Grants(cloudsim.GrantRefresh)-before != 1 {
				t.Errorf("a late report of the old token: %v", err)
			}
		})
	}
}

// A cloud that refuses whatever it is shown does not make us refresh all day.
func TestRefusingCloudIsNotAskedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{AccessLifetime: time.Hour}, nil)
		s := w.open()
		w.run(s)
		w.signIn(s)
		before := w.sim.Grants(cloudsim.GrantRefresh)
		var last error
		for range 60 {
			tok, err := s.AccessToken(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			last = s.Refused(t.Context(), tok)
			time.Sleep(time.Second)
		}
		var e *Error
		if !errors.As(last, &e) || e.Code != "token_refused" {
			t.Errorf("Refused = %v", last)
		}
		w.wantProblem(s, "token_refused")
		if n := w.sim.Grants(cloudsim.GrantRefresh) - before; n > 3 {
			t.Errorf("%d refreshes in a minute", n)
		}
	})
}

func TestRefusedAfterRevocationSignsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{AccessLifetime: time.Hour}, nil)
		s := w.open()
		w.run(s)
		w.signIn(s)
		tok := w.wantToken(s)
		w.sim.RevokeAll()
		if err := s.Refused(t.Context(), tok); !errors.Is(err, offline.ErrSignedOut) {
			t.Errorf("Refused = %v", err)
		}
		synctest.Wait()
		w.wantState(s, "signed_out")
		w.wantProblem(s, "invalid_grant")
		if got := w.states(); got != "pending signed_in signed_out" {
			t.Errorf("OnChange heard %q", got)
		}
	})
}

// The context of whoever asks ends the asking, never the refresh.
func TestCallerHangingUpDoesNotStopTheRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, nil)
		s := w.open()
		stop := w.run(s)
		w.signIn(s)
		stop()
		time.Sleep(time.Hour)
		s = w.open()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := s.AccessToken(ctx)
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("AccessToken = %v", err)
		}
		w.run(s)
		synctest.Wait()
		w.wantToken(s)
	})
}

// Stopping in the middle of a refresh waits for its answer and keeps it.
func TestStopDuringRefreshKeepsTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{}, nil)
		s := w.open()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		w.signIn(s)
		// The power goes down while the marker is written, just before the request.
		w.hook(func(op string) error {
			if op == "write "+markerFile {
				cancel()
			}
			return nil
		})
		time.Sleep(2 * time.Minute)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n := w.sim.Grants(cloudsim.GrantRefresh); n != 1 {
			t.Fatalf("%d refreshes", n)
		}
		s = w.open()
		if s.unsure || s.set.Generation != 2 {
			t.Errorf("after the stop: generation %d, unsure %v", s.set.Generation, s.unsure)
		}
		w.run(s)
		w.wantToken(s)
	})
}

func TestForget(t *testing.T) {
	tests := []struct {
		name    string
		do      func(*world)
		problem string
		revoked bool
	}{
		{"reachable", func(*world) {}, "", true},
		{"no network", func(w *world) { w.way.cut(errors.New("no route to host")) }, "not_revoked", false},
		{"hanging", func(w *world) {
			w.sim.Fail(-1, cloudsim.SignInFault{Endpoint: cloudsim.EndpointRevoke, Hang: true})
		}, "not_revoked", false},
		{"refusing", func(w *world) {
			w.sim.Fail(-1, cloudsim.SignInFault{Endpoint: cloudsim.EndpointRevoke, Status: 503})
		}, "not_revoked", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, cloudsim.SignInOptions{AccessLifetime: time.Hour}, nil)
				s := w.open()
				w.run(s)
				w.signIn(s)
				tok := w.wantToken(s)
				tt.do(w)
				if err := s.Forget(t.Context()); err != nil {
					t.Fatal(err)
				}
				w.wantState(s, "signed_out")
				w.wantProblem(s, tt.problem)
				w.wantSignedOut(s)
				if _, ok := w.sim.Valid(tok); ok == tt.revoked {
					t.Errorf("at the server the token is good: %v", ok)
				}
				if st := w.open().Status(); st.State != "signed_out" {
					t.Errorf("after a restart the state is %s", st.State)
				}
				w.way.cut(nil)
				w.sim.Heal()
				w.signIn(s)
				w.wantToken(s)
			})
		})
	}
}

// Signing out while a refresh is on its way: its answer is not taken, and revoked.
func TestForgetDuringRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{AccessLifetime: time.Hour}, nil)
		s := w.open()
		w.run(s)
		w.signIn(s)
		held := make(chan struct{})
		// The disk holds the fresh token back, so Forget comes in between by its own lock only.
		first := true
		w.hook(func(op string) error {
			if op == "create "+tokenFile && first {
				first = false
				close(held)
				return syscall.ENOSPC
			}
			return nil
		})
		tok := w.wantToken(s)
		refused := make(chan error, 1)
		go func() { refused <- s.Refused(t.Context(), tok) }()
		<-held
		if err := <-refused; err == nil {
			t.Error("Refused is content although the token is not kept")
		}
		if err := s.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		w.wantState(s, "signed_out")
		if _, err := os.Stat(s.vault.disk.path(tokenFile)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the forgotten sign-in came back to disk: %v", err)
		}
		if n := w.sim.Calls(cloudsim.EndpointRevoke); n != 2 {
			t.Errorf("%d revocations, want the old and the fresh token", n)
		}
	})
}

// Nobody waits on for a token that will not come.
func TestForgetSendsWaitersAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{AccessLifetime: time.Hour}, nil)
		s := w.open()
		w.run(s)
		w.signIn(s)
		w.sim.Fail(-1, cloudsim.SignInFault{Grant: cloudsim.GrantRefresh, Hang: true})
		tok := w.wantToken(s)
		refused := make(chan error, 1)
		go func() { refused <- s.Refused(t.Context(), tok) }()
		synctest.Wait()
		begun := time.Now()
		if err := s.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		// Under synctest the clock stands still unless all wait for it.
		if err := <-refused; !errors.Is(err, offline.ErrSignedOut) || !time.Now().Equal(begun) {
			t.Errorf("Refused = %v after %v", err, time.Since(begun))
		}
	})
}

func TestWithoutRefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{NoRefreshToken: true}, nil)
		s := w.open()
		w.run(s)
		w.signIn(s)
		w.wantProblem(s, "no_refresh_token")
		w.wantToken(s)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.wantState(s, "signed_out")
		w.wantProblem(s, "no_refresh_token")
		w.wantSignedOut(s)
	})
}

func TestClientCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{ClientSecret: "not a real secret"}, func(c *Config) {
			c.Flow, c.ClientSecret = FlowClient, "not a real secret"
		})
		w.way.cut(errors.New("no route to host"))
		s := w.open()
		w.run(s)
		time.Sleep(time.Minute)
		w.wantState(s, "signed_out")
		w.wantProblem(s, "network")
		w.way.cut(nil)
		time.Sleep(time.Minute)
		w.wantState(s, "signed_in")
		w.wantToken(s)
		for range 60 {
			time.Sleep(time.Minute)
			w.wantToken(s)
		}
		w.sim.ForgetAccess()
		tok, err := s.AccessToken(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Refused(t.Context(), tok); err != nil {
			t.Fatal(err)
		}
		w.wantToken(s)
		if err := s.Forget(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.wantSignedOut(s)
		time.Sleep(time.Hour)
		w.wantState(s, "signed_out")
		if _, err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		w.wantToken(s)
		entries, err := os.ReadDir(w.cfg.Dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), "token") {
				t.Errorf("%s is on disk although the secret is enough", e.Name())
			}
		}
	})
}

func TestClientCredentialsWrongSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.SignInOptions{ClientSecret: "not a real secret"}, func(c *Config) {
			c.Flow, c.ClientSecret = FlowClient, "another one"
		})
		s := w.open()
		w.run(s)
		time.Sleep(time.Hour)
		w.wantState(s, "signed_out")
		w.wantProblem(s, "invalid_client")
		w.wantSignedOut(s)
		if n := w.sim.Grants(cloudsim.GrantClient); n > 30 {
			t.Errorf("%d tries in an hour", n)
		}
	})
}

// A clock that is set back does not make an old token look good for years.
func TestClockSetBack(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	set := &tokenSet{Access: "a", Refresh: "r", Lifetime: time.Hour, AccessExpiry: now.Add(time.Hour)}
	for _, tt := range []struct {
		at     time.Time
		usable bool
	}{{now, true}, {now.Add(59 * time.Minute), true}, {now.Add(time.Hour), false}, {now.AddDate(-5, 0, 0), false}, {now.AddDate(5, 0, 0), false}} {
		if got := set.usable(tt.at); got != tt.usable {
			t.Errorf("at %v usable is %v", tt.at, got)
		}
	}
}
