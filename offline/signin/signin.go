// Package signin signs the store in at the POS cloud's OpenID Connect server and keeps it signed in: device
// authorization grant (RFC 8628) with PKCE (RFC 7636), authorization code on a loopback redirect (RFC 8252) or
// client credentials, one refresher, and the rotating refresh token sealed on disk.
//
// cmd makes it and runs it, register drives it as offline.SignIn, and offline/cloud takes access tokens from it.
// It never imports offline's other rooms or register. Nothing in the store waits for it: boot needs no network, and
// without a token sales are queued. It alone imports golang.org/x/oauth2.
package signin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"storeagent/internal/trust"
	"storeagent/offline"
)

// Flow is how the store signs in; the words of the configuration key cloud.flow.
type Flow string

// The flows.
const (
	FlowDevice  Flow = "device"
	FlowBrowser Flow = "browser"
	FlowClient  Flow = "client_credentials"
)

// Config says where and as whom to sign in.
type Config struct {
	Issuer       string // exactly as the server announces it; https, or http on a loopback address
	ClientID     string
	ClientSecret string // needed for FlowClient, optional elsewhere
	Scopes       []string
	Audience     string // sent as audience where set
	Flow         Flow   // empty means FlowDevice
	CAFile       string // PEM file of the store's own TLS root, trusted beside the system's

	// Dir is the data folder. Whoever calls holds it exclusively (the database's lock does), so that there is one
	// refresher per computer.
	Dir             string
	Store, Register string      // bind the sealed token to this register
	Keys            KeyProvider // nil means a key file in Dir

	Log *slog.Logger // nil means none; never sees a token or a code
	// Transport carries the requests; nil means an own one with time limits, no proxy and CAFile.
	Transport http.RoundTripper
	// OnChange hears, one call at a time and from Run, of what happened since New: when the state, the account, the scopes, the code to type or the
	// problem changed. A mere refresh is no change.
	OnChange func(offline.SignInStatus)
}

// Error is a problem with signing in, in words for a person. Code is stable.
type Error struct {
	Code    string
	Message string
	Err     error // the cause, free of secrets; may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// SignIn is the sign-in of one agent. It implements offline.SignIn. Safe for concurrent use.
type SignIn struct {
	cfg    Config
	log    *slog.Logger
	client *http.Client
	meta   *metadataSource
	vault  *vault

	starting chan struct{}        // holds one token: Start runs once at a time
	wake     chan struct{}        // the refresher looks again
	attempts chan struct{}        // a pending attempt waits to be run
	changed  chan struct{}        // OnChange may have something to hear
	heard    offline.SignInStatus // what OnChange knows; of changeLoop alone, after New

	// fileMu orders what is written to disk with what is in memory. Taken before mu, never after.
	fileMu sync.Mutex

	mu        sync.Mutex
	set       *tokenSet // nil while signed out; replaced, never changed
	pending   *attempt
	outcome   string // expired or denied: how the last attempt ended, while signed out
	problem   *offline.Fault
	epoch     uint64 // counts Forget, so that an answer that comes later is not taken
	forgotten bool   // FlowClient: a person signed out; do not sign in again by ourselves
	wanted    *flight
	unsure    bool // a refresh was begun and its answer never came
	failures  int
	retryAt   time.Time // no refresh before that
	unaskedAt time.Time // no refresh before that unless somebody waits for it
	lastErr   error
	forcedAt  time.Time // when the cloud last refused a token and we got another
}

// flight is one refresh that callers wait for.
type flight struct {
	done   chan struct{}
	access string // these two are set before done is closed
	err    error
}

var _ offline.SignIn = (*SignIn)(nil)

// New reads the sealed token, without any network. It fails on a configuration that cannot work; a token file that
// cannot be opened is no failure but a problem in Status.
func New(ctx context.Context, cfg Config) (*SignIn, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	client, err := newHTTPClient(cfg)
	if err != nil {
		return nil, err
	}
	d, err := openDisk(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if cfg.Keys == nil {
		cfg.Keys = &KeyFile{disk: d}
	}
	s := newSignIn(cfg, client, d)
	s.load(ctx)
	s.heard = s.Status()
	return s, nil
}

func newSignIn(cfg Config, client *http.Client, d *disk) *SignIn {
	s := &SignIn{
		cfg: cfg, log: cfg.Log, client: client,
		meta:     &metadataSource{issuer: cfg.Issuer, client: client, disk: d},
		vault:    &vault{disk: d, keys: cfg.Keys, binding: []string{cfg.Issuer, cfg.ClientID, cfg.Store, cfg.Register}},
		starting: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		attempts: make(chan struct{}, 1), changed: make(chan struct{}, 1),
	}
	return s
}

func (c *Config) check() error {
	if c.Flow == "" {
		c.Flow = FlowDevice
	}
	if err := secureURL(c.Issuer); err != nil {
		return fmt.Errorf("cloud.issuer: %w", err)
	}
	switch {
	case c.ClientID == "":
		return errors.New("cloud.client_id is missing")
	case c.Dir == "":
		return errors.New("data.dir is missing")
	case !slices.Contains([]Flow{FlowDevice, FlowBrowser, FlowClient}, c.Flow):
		return fmt.Errorf("cloud.flow is %q; use device, browser or client_credentials", c.Flow)
	case c.Flow == FlowClient && c.ClientSecret == "":
		return errors.New("cloud.client_secret is missing; the client_credentials flow needs it")
	}
	return nil
}

// secureURL wants https, or http on a loopback address, with a host and without fragment or user.
func secureURL(raw string) error {
	u, err := url.Parse(raw)
	if err != nil {
		return errors.New("it is not an address like https://pos.example.com/")
	}
	switch {
	case u.Host == "" || u.User != nil || u.Fragment != "":
		return fmt.Errorf("%q is not an address like https://pos.example.com/", u.Redacted())
	case u.Scheme == "https", u.Scheme == "http" && trust.Loopback(u.Hostname()):
		return nil
	}
	return fmt.Errorf("%q must begin with https:// (http:// only for a loopback address)", u.Redacted())
}

// load takes over what the last run sealed.
func (s *SignIn) load(ctx context.Context) {
	if s.cfg.Flow == FlowClient {
		return // nothing is kept: the secret is enough for a new token
	}
	s.log.Info("sign-in tokens are sealed", "key", s.cfg.Keys.Name())
	if w := s.cfg.Keys.Warning(); w != "" {
		s.log.Warn(w)
	}
	set, unsure, err := s.vault.open(ctx)
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Code: "token_file", Message: "the stored sign-in cannot be read; look at the data folder, then sign in again", Err: err}
		}
		s.problem = &offline.Fault{Code: e.Code, Message: e.Message}
		s.log.Error("open stored sign-in", "code", e.Code, "error", err)
		return
	}
	s.set, s.unsure = set, unsure
}

// Status answers from memory.
func (s *SignIn) Status() offline.SignInStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status()
}

// status is Status; the caller holds mu.
func (s *SignIn) status() offline.SignInStatus {
	st := offline.SignInStatus{State: "signed_out"}
	if s.problem != nil {
		p := *s.problem
		st.Problem = &p
	}
	if s.set != nil {
		st.State = "signed_in"
		st.Account, st.Scopes = s.set.Account, slices.Clone(s.set.Scopes)
		if !s.set.AccessExpiry.IsZero() {
			at := s.set.AccessExpiry.Round(0)
			st.AccessExpiresAt = &at
		}
	} else if s.outcome != "" {
		st.State = s.outcome
	}
	if p := s.pending; p != nil {
		st.State = "pending"
		st.UserCode, st.VerificationURI, st.VerificationURIComplete = p.userCode, p.uri, p.uriComplete
		at := p.expires.Round(0)
		st.ExpiresAt = &at
	}
	return st
}

// Start begins a sign-in and answers what a person has to do, or returns the pending one. A sign-in that stands
// goes on serving tokens until the new one replaces it. For FlowClient there is nothing to do for a person: it only
// asks for a token now.
func (s *SignIn) Start(ctx context.Context) (offline.SignInStatus, error) {
	select {
	case s.starting <- struct{}{}:
		defer func() { <-s.starting }()
	case <-ctx.Done():
		return offline.SignInStatus{}, ctx.Err()
	}
	s.mu.Lock()
	if s.pending != nil {
		defer s.mu.Unlock()
		return s.status(), nil
	}
	if s.cfg.Flow == FlowClient {
		defer s.mu.Unlock()
		s.forgotten, s.retryAt = false, time.Time{}
		poke(s.wake)
		return s.status(), nil
	}
	epoch := s.epoch
	s.mu.Unlock()

	a, err := s.newAttempt(ctx)
	if err != nil {
		s.note(err)
		return s.Status(), err
	}
	s.mu.Lock()
	if s.epoch != epoch {
		s.mu.Unlock()
		a.close()
		return s.Status(), errors.New("signed out while the sign-in was being started")
	}
	s.pending, s.outcome, s.problem = a, "", nil
	st := s.status()
	s.mu.Unlock()
	s.log.Info("sign-in started", "flow", s.cfg.Flow, "expires", a.expires)
	poke(s.attempts)
	poke(s.changed)
	return st, nil
}

// newAttempt asks the server for whatever the flow begins with.
func (s *SignIn) newAttempt(ctx context.Context) (*attempt, error) {
	md, err := s.meta.get(ctx)
	if err != nil {
		return nil, err
	}
	if s.cfg.Flow == FlowBrowser && md.AuthURL == "" || s.cfg.Flow == FlowDevice && md.DeviceAuthURL == "" {
		// Somebody may just have enabled it: a copy of yesterday is not enough to say no.
		s.meta.stale()
		if md, err = s.meta.get(ctx); err != nil {
			return nil, err
		}
	}
	if s.cfg.Flow == FlowBrowser {
		return s.newBrowserAttempt(ctx, md)
	}
	return s.newDeviceAttempt(ctx, md)
}

// Forget signs out: the tokens are deleted here in any case, and then revoked at the server, for at most 10 s. Where
// the server could not be told, Status carries the problem not_revoked. It fails only where the token file could not
// be deleted; memory is clean even then.
func (s *SignIn) Forget(ctx context.Context) error {
	s.fileMu.Lock()
	s.mu.Lock()
	old, pending := s.set, s.pending
	s.epoch++
	s.set, s.pending, s.outcome, s.problem = nil, nil, "", nil
	s.forgotten = true
	s.calm()
	s.land("", offline.ErrSignedOut)
	s.mu.Unlock()
	err := s.vault.discard()
	s.fileMu.Unlock()
	if pending != nil {
		pending.close()
	}
	poke(s.wake)
	poke(s.changed)
	s.log.Info("signed out")
	if old != nil {
		if rerr := s.revoke(ctx, old); rerr != nil {
			s.log.Warn("revoke tokens", "error", rerr)
			s.noteAt(s.currentEpoch(), &Error{Code: "not_revoked", Message: "signed out here, but the sign-in server could not be told; " +
				"end the store's session in the cloud's administration"})
		}
	}
	return err
}

func (s *SignIn) currentEpoch() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// note shows an error as the problem in Status.
func (s *SignIn) note(err error) { s.noteAt(s.currentEpoch(), err) }

// noteAt is note, unless somebody signed out since that epoch.
func (s *SignIn) noteAt(epoch uint64, err error) {
	f := faultOf(err)
	s.mu.Lock()
	if s.epoch == epoch {
		s.problem = f
	}
	s.mu.Unlock()
	poke(s.changed)
}

func faultOf(err error) *offline.Fault {
	var e *Error
	if errors.As(err, &e) {
		return &offline.Fault{Code: e.Code, Message: e.Message}
	}
	return &offline.Fault{Code: "sign_in", Message: err.Error()}
}

// poke leaves one token in a channel of one, where there is room.
func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

func scopesOf(granted string, asked []string) []string {
	// An answer without scope means that all that was asked for is granted: RFC 6749 section 5.1.
	if granted == "" {
		return slices.Clone(asked)
	}
	return strings.Fields(granted)
}
