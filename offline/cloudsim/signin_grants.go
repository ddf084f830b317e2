package cloudsim

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// deviceGrant is one device authorization request; RFC 8628 section 3.
type deviceGrant struct {
	userCode  string
	challenge string
	scope     string
	until     time.Time
	interval  time.Duration
	lastPoll  time.Time // zero before the first
	family    *family   // set by an approval
	denied    bool
}

// codeGrant is one authorization code; RFC 6749 section 4.1.2.
type codeGrant struct {
	family    *family
	challenge string
	redirect  string
	until     time.Time
}

// Approval errors, by errors.Is.
var (
	// ErrUserCode means that no pending sign-in has that code.
	ErrUserCode = errors.New("no pending sign-in with that code")
	// ErrAuthorize means that the authorization request lacks something this server insists on.
	ErrAuthorize = errors.New("authorization request refused")
)

// serveDevice starts a device grant. The challenge is required, and only S256 is taken: RFC 7636 section 4.2
// carried over to RFC 8628.
func (s *SignIn) serveDevice(w http.ResponseWriter, r *http.Request) {
	if !s.client(w, r) {
		return
	}
	challenge := r.PostFormValue("code_challenge")
	if challenge == "" || r.PostFormValue("code_challenge_method") != "S256" {
		oauthError(w, http.StatusBadRequest, "invalid_request")
		return
	}
	code, user := rand.Text(), rand.Text()
	user = user[:4] + "-" + user[4:8]
	s.mu.Lock()
	s.devices[code] = &deviceGrant{
		userCode: user, challenge: challenge, scope: r.PostFormValue("scope"),
		until: time.Now().Add(s.opts.CodeLifetime), interval: s.opts.Interval,
	}
	s.mu.Unlock()
	page := strings.TrimSuffix(s.issuer(r), "/") + "/device"
	answerJSON(w, http.StatusOK, map[string]any{
		"device_code": code, "user_code": user, "verification_uri": page,
		"verification_uri_complete": page + "?user_code=" + user,
		"expires_in":                int(s.opts.CodeLifetime / time.Second),
		"interval":                  int(s.opts.Interval / time.Second),
	})
}

// Approve says yes to the pending device sign-in with that code, as the person with that account.
func (s *SignIn) Approve(userCode, account string) error {
	return s.decide(userCode, func(g *deviceGrant) { g.family = &family{account: account, scope: g.scope} })
}

// Deny says no to the pending device sign-in with that code.
func (s *SignIn) Deny(userCode string) error {
	return s.decide(userCode, func(g *deviceGrant) { g.denied = true })
}

func (s *SignIn) decide(userCode string, how func(*deviceGrant)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	userCode = strings.ToUpper(strings.TrimSpace(userCode))
	for _, g := range s.devices {
		if g.userCode == userCode && g.family == nil && !g.denied && time.Now().Before(g.until) {
			how(g)
			return nil
		}
	}
	return ErrUserCode
}

func (s *SignIn) serveToken(w http.ResponseWriter, r *http.Request) {
	if !s.client(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var f *family
	var code string
	withRefresh := true
	switch r.PostFormValue("grant_type") {
	case GrantDevice:
		f, code = s.pollDevice(r.PostForm)
	case GrantRefresh:
		f, code = s.useRefresh(r.PostForm)
		withRefresh = !s.opts.NoRotation
	case GrantCode:
		f, code = s.useCode(r.PostForm)
	case GrantClient:
		withRefresh = false
		if s.opts.ClientSecret == "" {
			code = "unauthorized_client"
			break
		}
		f = &family{account: s.opts.ClientID, scope: r.PostFormValue("scope")}
	default:
		code = "unsupported_grant_type"
	}
	if code != "" {
		oauthError(w, http.StatusBadRequest, code)
		return
	}
	out, err := s.issue(s.issuer(r), f, withRefresh)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answerJSON(w, http.StatusOK, out)
}

// pollDevice is one poll; the error codes are those of RFC 8628 section 3.5. A poll before its time makes the
// interval 5 seconds longer for good.
func (s *SignIn) pollDevice(form url.Values) (*family, string) {
	id := form.Get("device_code")
	g, ok := s.devices[id]
	now := time.Now()
	if !ok {
		return nil, "invalid_grant"
	}
	if !now.Before(g.until) {
		delete(s.devices, id)
		return nil, "expired_token"
	}
	early := !g.lastPoll.IsZero() && now.Sub(g.lastPoll) < g.interval
	g.lastPoll = now
	switch {
	case early:
		g.interval += 5 * time.Second
		return nil, "slow_down"
	case g.denied:
		delete(s.devices, id)
		return nil, "access_denied"
	case challengeOf(form.Get("code_verifier")) != g.challenge:
		return nil, "invalid_grant"
	case g.family == nil:
		return nil, "authorization_pending"
	}
	delete(s.devices, id)
	return g.family, ""
}

// useRefresh takes a refresh token once. A second use outside the reuse window shows that two parties hold it,
// which ends the whole family (RFC 9700 section 4.14.2).
func (s *SignIn) useRefresh(form url.Values) (*family, string) {
	t, ok := s.refresh[form.Get("refresh_token")]
	if !ok || t.family.dead {
		return nil, "invalid_grant"
	}
	now := time.Now()
	if s.opts.NoRotation {
		return t.family, ""
	}
	if t.usedAt.IsZero() {
		t.usedAt = now
		return t.family, ""
	}
	if now.Sub(t.usedAt) < s.opts.ReuseWindow {
		return t.family, ""
	}
	t.family.dead = true
	return nil, "invalid_grant"
}

func (s *SignIn) useCode(form url.Values) (*family, string) {
	id := form.Get("code")
	g, ok := s.codes[id]
	if !ok {
		return nil, "invalid_grant"
	}
	delete(s.codes, id)
	if !time.Now().Before(g.until) || g.redirect != form.Get("redirect_uri") ||
		challengeOf(form.Get("code_verifier")) != g.challenge {
		return nil, "invalid_grant"
	}
	return g.family, ""
}

// Authorize answers an authorization request as the person with that account, and returns where the browser is
// sent; an empty account says no. It fails with ErrAuthorize where the request itself is not acceptable.
func (s *SignIn) Authorize(request url.Values, account string) (string, error) {
	redirect := request.Get("redirect_uri")
	if request.Get("response_type") != "code" || request.Get("client_id") != s.opts.ClientID || !isLoopback(redirect) ||
		request.Get("code_challenge") == "" || request.Get("code_challenge_method") != "S256" {
		return "", ErrAuthorize
	}
	to, err := url.Parse(redirect)
	if err != nil {
		return "", ErrAuthorize
	}
	q := to.Query()
	q.Set("state", request.Get("state"))
	if account == "" {
		q.Set("error", "access_denied")
	} else {
		code := rand.Text()
		s.mu.Lock()
		s.codes[code] = &codeGrant{
			family:    &family{account: account, scope: request.Get("scope"), nonce: request.Get("nonce")},
			challenge: request.Get("code_challenge"), redirect: redirect, until: time.Now().Add(s.opts.CodeLifetime),
		}
		s.mu.Unlock()
		q.Set("code", code)
	}
	to.RawQuery = q.Encode()
	return to.String(), nil
}
