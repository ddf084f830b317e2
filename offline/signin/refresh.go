package signin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"storeagent/offline"
)

const (
	ownTries     = 4         // refreshes that fail in a row before only those who need a token have it tried again
	unaskedGap   = time.Hour // between refreshes that nobody asked for, after ownTries
	retryFirst   = time.Second
	retryCap     = 30 * time.Second
	retryRefused = 5 * time.Minute  // FlowClient: the server does not know us; somebody has to change something
	forcedGap    = 30 * time.Second // between two refreshes that the cloud's 401 asked for
)

// errOvertaken means that somebody signed out, or in anew, while an answer was on its way.
var errOvertaken = errors.New("the sign-in changed meanwhile")

// AccessToken gives a token for the cloud. It waits for a refresh where the last one is over, as long as ctx allows,
// which needs Run. It fails with offline.ErrSignedOut where a person has to sign in, and with another error where a token may
// come later; during a back-off it does so at once.
func (s *SignIn) AccessToken(ctx context.Context) (string, error) {
	s.mu.Lock()
	now := time.Now()
	if s.set != nil && s.set.usable(now) {
		defer s.mu.Unlock()
		return s.set.Access, nil
	}
	if err := s.refreshable(); err != nil {
		s.mu.Unlock()
		return "", err
	}
	if s.lastErr != nil && now.Before(s.retryAt) {
		defer s.mu.Unlock()
		return "", s.lastErr
	}
	f := s.want()
	s.mu.Unlock()
	if err := f.wait(ctx); err != nil {
		return "", err
	}
	return f.access, nil
}

// Refused reports that the cloud answered 401 to that token, and waits until there is another one: one refresh,
// however many report. nil means that AccessToken has a token the cloud has not refused yet.
func (s *SignIn) Refused(ctx context.Context, token string) error {
	s.mu.Lock()
	if s.set != nil && s.set.usable(time.Now()) && s.set.Access != token {
		s.mu.Unlock()
		return nil // somebody else was faster
	}
	epoch := s.epoch
	if s.set != nil && s.set.Refresh == "" && s.cfg.Flow != FlowClient {
		s.mu.Unlock()
		return s.drop(epoch, &Error{Code: "invalid_token", Message: "the cloud does not take the token any more, and there is no refresh token; sign in again"})
	}
	if err := s.refreshable(); err != nil {
		s.mu.Unlock()
		return err
	}
	now := time.Now()
	if s.wanted == nil && s.set != nil && s.set.Access == token {
		if !s.forcedAt.IsZero() && now.Sub(s.forcedAt) < forcedGap {
			s.mu.Unlock()
			err := &Error{Code: "token_refused", Message: "the cloud refuses a token that was just given; check cloud.audience, cloud.scopes, and that cloud.issuer is the cloud's own sign-in server"}
			s.noteAt(epoch, err)
			return err
		}
		s.forcedAt = now
		// Nobody is to use it meanwhile.
		set := *s.set
		set.Access, set.AccessExpiry = "", time.Time{}
		s.set = &set
	}
	if s.lastErr != nil && now.Before(s.retryAt) {
		defer s.mu.Unlock()
		return s.lastErr
	}
	f := s.want()
	s.mu.Unlock()
	return f.wait(ctx)
}

// refreshable fails with offline.ErrSignedOut where no refresh can give a token; the caller holds mu.
func (s *SignIn) refreshable() error {
	if s.cfg.Flow == FlowClient && !s.forgotten || s.set != nil && s.set.Refresh != "" {
		return nil
	}
	if s.problem != nil {
		return fmt.Errorf("%w: %s", offline.ErrSignedOut, s.problem.Message)
	}
	return offline.ErrSignedOut
}

// want joins the refresh that callers wait for, or asks for one; the caller holds mu.
func (s *SignIn) want() *flight {
	if s.wanted == nil {
		s.wanted = &flight{done: make(chan struct{})}
		poke(s.wake)
	}
	return s.wanted
}

func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// land tells everybody who waits how the refresh ended; the caller holds mu.
func (s *SignIn) land(access string, err error) {
	if s.wanted != nil {
		s.wanted.access, s.wanted.err = access, err
		close(s.wanted.done)
		s.wanted = nil
	}
}

func (t *tokenSet) usable(now time.Time) bool {
	if t.Access == "" {
		return false
	}
	// A lifetime that is longer than it was given shows that the clock was set back since.
	return t.AccessExpiry.IsZero() || now.Before(t.AccessExpiry.Add(-time.Second)) && t.AccessExpiry.Sub(now) <= t.Lifetime+time.Minute
}

// renewAt is a fifth of the lifetime (at least 5 s, at most a minute) before the end, and not within 5 s of the last
// refresh. ok is false where the server named no lifetime: then the cloud's 401 tells.
func (t *tokenSet) renewAt(now time.Time) (at time.Time, ok bool) {
	if t.AccessExpiry.IsZero() {
		return now, t.Access == ""
	}
	if !t.usable(now) {
		return now, true
	}
	lead := min(max(t.Lifetime/5, 5*time.Second), time.Minute)
	at = t.AccessExpiry.Add(-lead)
	if soonest := t.AccessExpiry.Add(-t.Lifetime + 5*time.Second); at.Before(soonest) {
		at = soonest
	}
	return at, true
}

// refreshLoop gives tokens when they are due or asked for, until ctx ends.
func (s *SignIn) refreshLoop(ctx context.Context) {
	for ctx.Err() == nil {
		at, ok := s.due(time.Now())
		if ok && !at.After(time.Now()) {
			s.renew(ctx)
			continue
		}
		wait := time.Hour // nothing is due: somebody pokes wake
		if ok {
			wait = time.Until(at)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.wake:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	s.mu.Lock()
	s.land("", errors.New("the agent is stopping"))
	s.mu.Unlock()
}

// due tells when the next refresh is to be made; ok is false where none is in sight.
func (s *SignIn) due(now time.Time) (at time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	client := s.cfg.Flow == FlowClient
	switch {
	case client && s.forgotten, !client && s.set == nil:
		return now, false
	case s.set == nil, s.wanted != nil, s.unsure:
		at, ok = now, true
	case s.set.Refresh == "" && !client: // nothing to renew it with
		return s.set.AccessExpiry, !s.set.AccessExpiry.IsZero()
	default:
		at, ok = s.set.renewAt(now)
	}
	if at.Before(s.retryAt) {
		at = s.retryAt
	}
	if s.wanted == nil && at.Before(s.unaskedAt) {
		at = s.unaskedAt
	}
	return at, ok
}

// renew makes one refresh and settles what came of it.
func (s *SignIn) renew(ctx context.Context) {
	s.mu.Lock()
	old, epoch, unsure := s.set, s.epoch, s.unsure
	s.mu.Unlock()
	if s.cfg.Flow != FlowClient && (old == nil || old.Refresh == "") {
		if old != nil {
			_ = s.drop(epoch, &Error{Code: "no_refresh_token", Message: "the access token is over and the server gave no refresh token; " +
				"add offline_access to cloud.scopes, then sign in again"})
		}
		return
	}
	err := s.renewOnce(ctx, old, epoch)
	var ae *answerError
	switch {
	case err == nil || errors.Is(err, errOvertaken):
	case errors.As(err, &ae) && (ae.code == "invalid_grant" || ae.code == "invalid_client") && s.cfg.Flow != FlowClient:
		_ = s.drop(epoch, refusedError(ae, unsure))
	default:
		s.postpone(epoch, err)
	}
}

// refusedError says why a person has to sign in again.
func refusedError(ae *answerError, unsure bool) *Error {
	switch {
	case ae.code == "invalid_client":
		return &Error{Code: ae.code, Err: ae, Message: "the sign-in server does not know this client; check cloud.client_id and cloud.client_secret, then sign in again"}
	case unsure:
		return &Error{Code: "refresh_lost", Err: ae, Message: "the answer to the last token refresh was lost and the server does not take the old token twice; " +
			"sign in again, and ask the cloud's administrator for a reuse window of some seconds on refresh tokens"}
	}
	return &Error{Code: ae.code, Err: ae, Message: "the sign-in server does not take the stored sign-in any more (revoked, unused for too long, or used on another machine); sign in again"}
}

// renewOnce asks for a token, seals it, and only then shows it to anybody.
func (s *SignIn) renewOnce(ctx context.Context, old *tokenSet, epoch uint64) error {
	// Neither a caller's context nor the end of the agent stops a refresh half way: an answer that is thrown away
	// is a rotated token lost. 30 s bound it.
	rctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestLimit)
	defer cancel()
	md, err := s.meta.get(rctx)
	if err != nil {
		return err
	}
	still := func() bool { return s.epoch == epoch }
	if s.cfg.Flow == FlowClient {
		tok, err := s.askToken(rctx, md, s.clientParams())
		if err != nil {
			return err
		}
		set := s.newSet(tok, 1)
		set.Refresh, set.Account = "", s.cfg.ClientID // RFC 6749 section 4.4.3: a refresh token should not be there
		return s.install(set, still)
	}
	if err := s.mark(old, still); err != nil {
		return err
	}
	tok, err := s.askToken(rctx, md, url.Values{"grant_type": {grantRefresh}, "refresh_token": {old.Refresh}})
	if err != nil {
		s.mu.Lock()
		s.unsure = still() && (s.unsure || doubtful(err))
		s.mu.Unlock()
		return err
	}
	set := s.newSet(tok, old.Generation+1)
	set.Account = old.Account
	if err := s.keep(ctx, set, still, func() { s.succeeded(set) }); err != nil {
		return err
	}
	s.log.Debug("access token refreshed", "generation", set.Generation, "expires", set.AccessExpiry)
	if set.Account == "" {
		s.findAccount(rctx, md, set, epoch)
	}
	return nil
}

func (s *SignIn) clientParams() url.Values {
	v := url.Values{"grant_type": {grantClient}}
	if len(s.cfg.Scopes) > 0 {
		v.Set("scope", strings.Join(s.cfg.Scopes, " "))
	}
	if s.cfg.Audience != "" {
		v.Set("audience", s.cfg.Audience)
	}
	return v
}

func (s *SignIn) mark(old *tokenSet, still func() bool) error {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	s.mu.Lock()
	ok := still()
	s.mu.Unlock()
	if !ok {
		return errOvertaken
	}
	if err := s.vault.mark(old); err != nil {
		return storageError(err)
	}
	return nil
}

func storageError(err error) *Error {
	return &Error{Code: "storage", Message: "the data folder cannot be written, so the sign-in cannot be kept; free some space or mend its permissions", Err: err}
}

// install takes a set that is not kept on disk.
func (s *SignIn) install(set *tokenSet, still func() bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !still() {
		return errOvertaken
	}
	s.succeeded(set)
	return nil
}

// succeeded takes a fresh set into use; the caller holds mu.
func (s *SignIn) succeeded(set *tokenSet) {
	s.set, s.problem, s.outcome = set, nil, ""
	s.calm()
	if set.Refresh == "" && s.cfg.Flow != FlowClient {
		s.problem = &offline.Fault{Code: "no_refresh_token", Message: "the server gave no refresh token, so this sign-in ends with its access token; " +
			"add offline_access to cloud.scopes, then sign in again"}
	}
	s.land(set.Access, nil)
	poke(s.changed)
	poke(s.wake)
}

// calm forgets failures of refreshes; the caller holds mu.
func (s *SignIn) calm() {
	s.unsure, s.failures, s.lastErr = false, 0, nil
	s.retryAt, s.unaskedAt = time.Time{}, time.Time{}
}

// keep seals the set, as often as it takes, and then runs install with mu held. The old token is dead by then, so a
// full disk must not end it: it goes on until ctx ends or still is false. Then the tokens are revoked.
func (s *SignIn) keep(ctx context.Context, set *tokenSet, still func() bool, install func()) error {
	for n := 1; ; n++ {
		err := s.sealAnd(ctx, set, still, install)
		if err == nil {
			return nil
		}
		if errors.Is(err, errOvertaken) {
			if rerr := s.revoke(context.WithoutCancel(ctx), set); rerr != nil {
				s.log.Warn("revoke tokens that nobody waits for", "error", rerr)
			}
			return err
		}
		problem := storageError(err)
		delay := backoff(n)
		s.mu.Lock()
		if still() {
			s.problem = faultOf(problem)
			s.lastErr, s.retryAt = problem, time.Now().Add(delay)
			s.land("", problem)
		}
		s.mu.Unlock()
		poke(s.changed)
		if n == 1 {
			s.log.Error("seal fresh tokens", "error", err)
		}
		if !sleep(ctx, delay) {
			return problem
		}
	}
}

// sealAnd seals and installs as one step towards Forget, which takes fileMu too.
func (s *SignIn) sealAnd(ctx context.Context, set *tokenSet, still func() bool, install func()) error {
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	s.mu.Lock()
	ok := still()
	s.mu.Unlock()
	if !ok {
		return errOvertaken
	}
	if err := s.vault.seal(context.WithoutCancel(ctx), set); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	install()
	return nil
}

// drop ends the sign-in because the server does not take it any more. It returns the problem as offline.ErrSignedOut.
func (s *SignIn) drop(epoch uint64, problem *Error) error {
	out := fmt.Errorf("%w: %s", offline.ErrSignedOut, problem.Message)
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	s.mu.Lock()
	if s.epoch != epoch {
		s.mu.Unlock()
		return offline.ErrSignedOut
	}
	s.epoch++
	s.set, s.problem = nil, faultOf(problem)
	s.calm()
	s.land("", out)
	s.mu.Unlock()
	poke(s.changed)
	s.log.Warn("signed out by the server", "code", problem.Code)
	if err := s.vault.discard(); err != nil {
		s.log.Warn("delete dead tokens", "error", err)
	}
	return out
}

// postpone plans the next try after a failure that proves nothing against the tokens. The first tries are its own, soon
// enough for a server's reuse window. In a longer outage it waits to be asked: those who ask in the background are the
// forwarder's probe and sends, so that refreshes keep to its pace, and a chain whose cloud returns does not come in
// the step of 50,000 back-offs.
func (s *SignIn) postpone(epoch uint64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return
	}
	s.failures++
	delay := backoff(s.failures)
	var ae *answerError
	var e *Error
	switch {
	case errors.As(err, &ae):
		delay = max(delay, ae.retryAfter)
		e = &Error{Code: "server", Message: "the sign-in server gives no token now; it is asked again by itself", Err: ae}
		if !ae.transient() {
			e = &Error{Code: ae.code, Message: "the sign-in server refuses to give a token (" + ae.code + "); check cloud.client_id, cloud.client_secret, cloud.scopes and cloud.audience", Err: ae}
		}
	case !errors.As(err, &e):
		e = &Error{Code: "sign_in", Message: "the sign-in could not be renewed", Err: err}
	}
	if s.failures == 1 {
		s.log.Warn("refresh access token", "error", e)
	}
	s.problem, s.lastErr = faultOf(e), e
	if s.cfg.Flow == FlowClient {
		if s.set != nil && !s.set.usable(time.Now()) {
			s.set = nil
		}
		if ae != nil && !ae.transient() {
			delay = retryRefused
			s.lastErr = fmt.Errorf("%w: %s", offline.ErrSignedOut, e.Message)
		}
	}
	s.retryAt = time.Now().Add(delay)
	if s.failures >= ownTries && s.cfg.Flow != FlowClient { // of these there is one
		s.unaskedAt = s.retryAt.Add(unaskedGap/2 + rand.N(unaskedGap/2))
	}
	s.land("", s.lastErr)
	poke(s.changed)
}

// doubtful tells whether the server may have worked on the call although no usable answer came.
func doubtful(err error) bool {
	var ae *answerError
	if errors.As(err, &ae) {
		return ae.status >= 500 && ae.status != http.StatusServiceUnavailable
	}
	var op *net.OpError
	var e *Error
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	return errors.As(err, &e) && e.Code == "network"
}

// backoff is how long to wait after failure n (from 1): half fixed, half by chance, so that a chain of stores does
// not come back all at once. The first is short, to stay within a server's reuse window.
func backoff(n int) time.Duration {
	d := retryCap
	if n < 6 {
		d = min(retryCap, retryFirst<<(n-1))
	}
	return d/2 + rand.N(d/2)
}

// sleep waits and tells whether ctx is still good.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// bearer makes a token source of one token.
func bearer(access string) oauth2.TokenSource {
	return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: access})
}
