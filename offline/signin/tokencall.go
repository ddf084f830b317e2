package signin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// The grant types: RFC 8628 section 3.4, RFC 6749 sections 6, 4.1.3 and 4.4.2.
const (
	grantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
	grantRefresh = "refresh_token"
	grantCode    = "authorization_code"
	grantClient  = "client_credentials"
)

// answerError is an error answer of the token or device endpoint. It never holds the body: that is other people's
// text and may repeat what we sent.
type answerError struct {
	code       string // of RFC 6749 section 5.2; empty where the answer was none of OAuth
	status     int
	retryAfter time.Duration
}

func (e *answerError) Error() string {
	if e.code == "" {
		return fmt.Sprintf("the sign-in server answers %d", e.status)
	}
	return fmt.Sprintf("the sign-in server answers %d %s", e.status, e.code)
}

// transient tells whether the same call may go better later.
func (e *answerError) transient() bool {
	switch e.code {
	case "", "server_error", "temporarily_unavailable":
		return true
	}
	return e.status >= 500 || e.status == http.StatusTooManyRequests
}

var errTokenType = errors.New("token_type is not Bearer")

// askToken makes exactly one call to the token endpoint. The client-credentials source of x/oauth2 serves every
// grant, as it lets the grant type be set, and unlike the library's own loops it never repeats a call.
func (s *SignIn) askToken(ctx context.Context, md *metadata, params url.Values) (*oauth2.Token, error) {
	source := clientcredentials.Config{
		ClientID: s.cfg.ClientID, ClientSecret: s.cfg.ClientSecret, TokenURL: md.TokenURL,
		EndpointParams: params, AuthStyle: md.authStyle(s.cfg.ClientSecret),
	}
	tok, err := source.Token(context.WithValue(ctx, oauth2.HTTPClient, s.client))
	var re *oauth2.RetrieveError
	switch {
	case errors.As(err, &re):
		e := newAnswerError(re.Response, re.ErrorCode)
		if e.status == http.StatusNotFound || e.status == http.StatusMethodNotAllowed || e.status == http.StatusGone {
			s.meta.stale()
		}
		return nil, e
	case err != nil:
		return nil, transportError("ask the sign-in server for a token", err)
	case !strings.EqualFold(tok.Type(), "bearer"):
		return nil, &Error{Code: "token_type", Message: "the sign-in server gives tokens of a kind that is not supported; ask for bearer tokens", Err: errTokenType}
	}
	return tok, nil
}

func newAnswerError(resp *http.Response, code string) *answerError {
	e := &answerError{status: resp.StatusCode, retryAfter: retryAfter(resp.Header, time.Now())}
	if isErrorCode(code) {
		e.code = code
	}
	return e
}

// isErrorCode keeps anything that is not a plain word out of messages and logs.
func isErrorCode(code string) bool {
	if code == "" || len(code) > 64 {
		return false
	}
	return strings.Trim(code, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}

const retryAfterLimit = 10 * time.Minute

// retryAfter reads RFC 9110 section 10.2.3: seconds, or a date, which is measured against the server's own clock.
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	if v == "" {
		return 0
	}
	if n, err := strconv.Atoi(v); err == nil {
		if n > int(retryAfterLimit/time.Second) {
			return retryAfterLimit
		}
		return max(0, time.Duration(n)*time.Second)
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(retryAfterLimit, max(0, at.Sub(now)))
}

const shortestLifetime = 5 * time.Second

// newSet makes a token set of an answer. A server that does not rotate leaves the refresh token out; x/oauth2 then
// puts in the one we sent.
func (s *SignIn) newSet(tok *oauth2.Token, generation uint64) *tokenSet {
	granted, _ := tok.Extra("scope").(string)
	set := &tokenSet{
		Generation: generation, Refresh: tok.RefreshToken, Access: tok.AccessToken, Scopes: scopesOf(granted, s.cfg.Scopes),
	}
	// A lifetime of nothing, or less, is no lifetime: going by it would mean to refresh without end.
	if left := time.Until(tok.Expiry); left >= shortestLifetime {
		set.AccessExpiry, set.Lifetime = tok.Expiry, left
	}
	return set
}

// revoke tells the server that the tokens are not wanted any more (RFC 7009), for at most 10 s.
func (s *SignIn) revoke(ctx context.Context, set *tokenSet) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	md, err := s.meta.get(ctx)
	if err != nil {
		return err
	}
	if md.RevocationURL == "" {
		return errors.New("the sign-in server has no revocation endpoint")
	}
	token, hint := set.Refresh, "refresh_token"
	if token == "" {
		token, hint = set.Access, "access_token"
	}
	if token == "" {
		return nil
	}
	resp, err := s.postForm(ctx, md, md.RevocationURL, url.Values{"token": {token}, "token_type_hint": {hint}})
	if err != nil {
		return transportError("revoke the tokens at the sign-in server", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return newAnswerError(resp, "")
	}
	return nil
}

// postForm sends a form with the client's id, and its secret where there is one.
func (s *SignIn) postForm(ctx context.Context, md *metadata, to string, form url.Values) (*http.Response, error) {
	inHeader := md.authStyle(s.cfg.ClientSecret) == oauth2.AuthStyleInHeader
	if !inHeader {
		form.Set("client_id", s.cfg.ClientID)
		if s.cfg.ClientSecret != "" {
			form.Set("client_secret", s.cfg.ClientSecret)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	if inHeader {
		req.SetBasicAuth(url.QueryEscape(s.cfg.ClientID), url.QueryEscape(s.cfg.ClientSecret))
	}
	return s.client.Do(req)
}
