package signin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/oauth2"
)

const (
	defaultInterval = 5 * time.Second // RFC 8628 section 3.2
	slowDownStep    = 5 * time.Second // section 3.5
	pollPad         = 250 * time.Millisecond
	pollCap         = time.Minute
	longestCode     = 24 * time.Hour
)

// deviceAnswer is a device authorization response that passed every check; RFC 8628 section 3.2.
type deviceAnswer struct {
	deviceCode, userCode string
	uri, uriComplete     string
	lifetime, interval   time.Duration
}

// wholeSeconds takes 5, 5.0 and "5": servers write all of them.
type wholeSeconds struct {
	n   int64
	set bool
}

func (w *wholeSeconds) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if text == "null" {
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= -1e9 && f <= 1e9) {
		return errors.New("not a number of seconds")
	}
	w.n, w.set = int64(f), true
	return nil
}

// decodeDevice checks everything that would hurt later: x/oauth2's own decoder lets values pass that make its poll
// loop panic.
func decodeDevice(body []byte) (deviceAnswer, error) {
	var raw struct {
		DeviceCode  string       `json:"device_code"`
		UserCode    string       `json:"user_code"`
		URI         string       `json:"verification_uri"`
		URL         string       `json:"verification_url"` // a wide-spread misspelling
		URIComplete string       `json:"verification_uri_complete"`
		ExpiresIn   wholeSeconds `json:"expires_in"`
		Interval    wholeSeconds `json:"interval"`
	}
	var d deviceAnswer
	if err := json.Unmarshal(body, &raw); err != nil {
		return d, errors.New("it is not the JSON it should be")
	}
	d = deviceAnswer{deviceCode: raw.DeviceCode, userCode: raw.UserCode, uri: raw.URI, interval: defaultInterval}
	if d.uri == "" {
		d.uri = raw.URL
	}
	switch {
	case d.deviceCode == "":
		return deviceAnswer{}, errors.New("device_code is missing")
	case d.userCode == "" || len(d.userCode) > 64 || strings.ContainsFunc(d.userCode, func(r rune) bool { return !unicode.IsPrint(r) }):
		return deviceAnswer{}, errors.New("user_code cannot be shown to a person")
	case secureURL(d.uri) != nil:
		return deviceAnswer{}, errors.New("verification_uri is not an https address")
	case raw.ExpiresIn.n <= 0:
		return deviceAnswer{}, errors.New("expires_in is missing or not positive")
	case raw.Interval.set && (raw.Interval.n < 1 || raw.Interval.n > 60):
		return deviceAnswer{}, errors.New("interval is not between 1 and 60 seconds")
	}
	if raw.Interval.set {
		d.interval = time.Duration(raw.Interval.n) * time.Second
	}
	if secureURL(raw.URIComplete) == nil {
		d.uriComplete = raw.URIComplete
	}
	d.lifetime = min(time.Duration(raw.ExpiresIn.n)*time.Second, longestCode)
	return d, nil
}

// noDeviceEndpoint is the diagnosis for servers without RFC 8628, of which the POS cloud's stock server is one.
func noDeviceEndpoint(issuer string) *Error {
	return &Error{Code: "no_device_endpoint", Message: fmt.Sprintf("the sign-in server %s offers no device sign-in (it announces no device_authorization_endpoint); "+
		"set cloud.flow = \"browser\" and sign in with a browser on this machine, or ask the cloud's administrator to enable the device flow", issuer)}
}

// newDeviceAttempt asks for a code. The PKCE challenge always goes along: RFC 8628 does not know it, servers that do
// not either ignore it, and those that do bind the code to us.
func (s *SignIn) newDeviceAttempt(ctx context.Context, md *metadata) (*attempt, error) {
	if md.DeviceAuthURL == "" {
		return nil, noDeviceEndpoint(s.cfg.Issuer)
	}
	verifier := oauth2.GenerateVerifier()
	form := url.Values{"code_challenge": {oauth2.S256ChallengeFromVerifier(verifier)}, "code_challenge_method": {"S256"}}
	// RFC 8628 section 3.1 wants client_id in the form even where the header carries it too.
	form.Set("client_id", s.cfg.ClientID)
	if len(s.cfg.Scopes) > 0 {
		form.Set("scope", strings.Join(s.cfg.Scopes, " "))
	}
	if s.cfg.Audience != "" {
		form.Set("audience", s.cfg.Audience)
	}
	asked := time.Now()
	resp, err := s.postForm(ctx, md, md.DeviceAuthURL, form)
	if err != nil {
		return nil, transportError("ask the sign-in server for a code", err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, transportError("read the sign-in server's code", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, s.deviceRefused(resp, body)
	}
	d, err := decodeDevice(body)
	if err != nil {
		return nil, &Error{Code: "device_answer", Message: "the sign-in server's answer to the request for a code is not usable", Err: err}
	}
	a := &attempt{
		userCode: d.userCode, uri: d.uri, uriComplete: d.uriComplete, expires: asked.Add(d.lifetime), gone: make(chan struct{}),
	}
	a.finish = func(ctx context.Context) (*oauth2.Token, string, error) {
		tok, err := s.poll(ctx, md, d.deviceCode, verifier, d.interval)
		if err != nil {
			return nil, "", err
		}
		account, err := s.identify(ctx, md, tok, "")
		return tok, account, err
	}
	return a, nil
}

func (s *SignIn) deviceRefused(resp *http.Response, body []byte) error {
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusMethodNotAllowed {
		s.meta.stale()
	}
	var e struct {
		Error string `json:"error"`
	}
	_ = json.Unmarshal(body, &e) // a body that is none of OAuth has no code
	ae := newAnswerError(resp, e.Error)
	if ae.transient() {
		return &Error{Code: "server", Message: "the sign-in server gives no code now; try again in a minute", Err: ae}
	}
	return &Error{Code: ae.code, Message: "the sign-in server gives no code; check cloud.client_id, cloud.client_secret and cloud.scopes", Err: ae}
}

// poll asks for the tokens until the person is done or ctx ends. Faults on the way are waited out: RFC 8628 section
// 3.5 wants a client that backs off, not one that gives up.
func (s *SignIn) poll(ctx context.Context, md *metadata, deviceCode, verifier string, interval time.Duration) (*oauth2.Token, error) {
	params := url.Values{"grant_type": {grantDevice}, "device_code": {deviceCode}, "code_verifier": {verifier}}
	wait, faults := interval, 0
	for {
		if !sleep(ctx, wait+pollPad) {
			return nil, ctx.Err()
		}
		tok, err := s.askToken(ctx, md, params)
		if err == nil {
			return tok, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var ae *answerError
		isAnswer := errors.As(err, &ae)
		switch {
		case isAnswer && ae.code == "authorization_pending":
			wait, faults = interval, 0
			continue
		case isAnswer && ae.code == "slow_down":
			interval += slowDownStep
			wait, faults = max(interval, ae.retryAfter), 0
			continue
		case isAnswer && !ae.transient(), errors.Is(err, errTokenType):
			return nil, err
		}
		if faults == 0 {
			s.log.Info("polling for the sign-in meets a fault; going on", "error", err)
		}
		faults++
		wait = min(interval<<min(faults, 6), max(pollCap, interval))
		if isAnswer {
			wait = max(wait, ae.retryAfter)
		}
	}
}
