package signin

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"time"

	"golang.org/x/oauth2"

	"storeagent/offline"
)

// attempt is one sign-in that waits for a person.
type attempt struct {
	userCode, uri, uriComplete string
	expires                    time.Time
	// finish waits until the person is done and gives the tokens and, where the server told, the account.
	finish  func(ctx context.Context) (*oauth2.Token, string, error)
	gone    chan struct{} // closed when nobody waits for it any more
	once    sync.Once
	cleanup func() // may be nil
}

func (a *attempt) close() {
	a.once.Do(func() {
		close(a.gone)
		if a.cleanup != nil {
			a.cleanup()
		}
	})
}

// Run refreshes tokens, finishes pending sign-ins and calls OnChange, until ctx ends; then it returns after all of
// that has stopped. A refresh under way is let finish, at most 30 s. It is called once.
func (s *SignIn) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { s.refreshLoop(ctx) })
	wg.Go(func() { s.attemptLoop(ctx) })
	wg.Go(func() { s.changeLoop(ctx) })
	wg.Wait()
	s.mu.Lock()
	pending := s.pending
	s.pending = nil
	s.mu.Unlock()
	if pending != nil {
		pending.close()
	}
	s.client.CloseIdleConnections()
	return nil
}

// changeLoop calls OnChange, once per change a person would notice.
func (s *SignIn) changeLoop(ctx context.Context) {
	for {
		select {
		case <-s.changed:
		case <-ctx.Done():
			return
		}
		now := s.Status()
		if s.cfg.OnChange != nil && !reflect.DeepEqual(noticed(s.heard), noticed(now)) {
			s.cfg.OnChange(now)
		}
		s.heard = now
	}
}

// noticed leaves out what changes at each refresh.
func noticed(st offline.SignInStatus) offline.SignInStatus {
	st.AccessExpiresAt = nil
	return st
}

func (s *SignIn) attemptLoop(ctx context.Context) {
	for {
		select {
		case <-s.attempts:
		case <-ctx.Done():
			return
		}
		s.mu.Lock()
		a := s.pending
		s.mu.Unlock()
		if a != nil {
			s.finishAttempt(ctx, a)
		}
	}
}

// finishAttempt sees one attempt to its end.
func (s *SignIn) finishAttempt(ctx context.Context, a *attempt) {
	defer a.close()
	actx, cancel := context.WithDeadline(ctx, a.expires)
	defer cancel()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		select {
		case <-a.gone:
			cancel()
		case <-stop:
		}
	})
	tok, account, err := a.finish(actx)
	expired := errors.Is(actx.Err(), context.DeadlineExceeded)
	close(stop)
	wg.Wait()
	if ctx.Err() != nil && err != nil {
		return
	}
	if err != nil {
		s.fail(a, err, expired)
		return
	}
	s.adopt(ctx, a, tok, account)
}

// fail ends the attempt in words.
func (s *SignIn) fail(a *attempt, err error, expired bool) {
	var ae *answerError
	code := ""
	if errors.As(err, &ae) {
		code = ae.code
	}
	outcome := ""
	var problem *Error
	switch {
	case code == "access_denied":
		outcome, problem = "denied", &Error{Code: "denied", Message: "the new sign-in was denied; the earlier one still stands"}
	case code == "expired_token", code == "" && expired:
		outcome, problem = "expired", &Error{Code: "expired", Message: "nobody approved the new sign-in in time; the earlier one still stands"}
	case code == "invalid_grant":
		problem = &Error{Code: code, Message: "the sign-in server took back the code; start the sign-in again"}
	case code == "invalid_client", code == "unauthorized_client", code == "unsupported_grant_type":
		problem = &Error{Code: code, Message: "the sign-in server does not let this client sign in like this (" + code + "); check cloud.client_id, cloud.client_secret and cloud.flow"}
	case code != "":
		problem = &Error{Code: code, Message: "the sign-in server refused the sign-in (" + code + "); check cloud.scopes and cloud.audience, then start again"}
	default:
		if !errors.As(err, &problem) {
			problem = &Error{Code: "sign_in", Message: "the sign-in did not end well; start it again", Err: err}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending != a {
		return
	}
	s.pending = nil
	if s.set == nil {
		s.outcome = outcome
	}
	if s.set != nil || outcome == "" {
		s.problem = faultOf(problem)
	}
	s.log.Warn("sign-in ended without tokens", "code", problem.Code)
	poke(s.changed)
}

// adopt seals the tokens of a finished attempt and lets them replace what was there.
func (s *SignIn) adopt(ctx context.Context, a *attempt, tok *oauth2.Token, account string) {
	set := s.newSet(tok, 1)
	set.Account = account
	var epoch uint64
	var old *tokenSet
	err := s.keep(ctx, set, func() bool { return s.pending == a }, func() {
		old = s.set
		s.pending = nil
		s.epoch++
		epoch = s.epoch
		s.succeeded(set)
	})
	if err != nil {
		return // overtaken, or the agent stops: keep has said so
	}
	s.log.Info("signed in", "account", set.Account)
	wctx := context.WithoutCancel(ctx)
	if old != nil {
		if err := s.revoke(wctx, old); err != nil {
			s.log.Warn("revoke the replaced sign-in", "error", err)
		}
	}
	if set.Account == "" {
		if md, err := s.meta.get(wctx); err == nil {
			s.findAccount(wctx, md, set, epoch)
		}
	}
}
