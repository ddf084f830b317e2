package cloudsim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// SignInOptions describe a simulated sign-in server. Zero fields take the default named with them.
type SignInOptions struct {
	// Issuer is announced word for word by discovery and may carry a path. Empty means "http://" and the Host of
	// each request, for a server whose port is not known beforehand.
	Issuer string
	// ClientID is the one client that is let in. Default "storeagent".
	ClientID string
	// ClientSecret makes the client a confidential one: every call that authenticates the client needs it. Empty
	// means a public client, which may not use client_credentials.
	ClientSecret string
	// AccessLifetime is how long an access token is good. Default 1 minute.
	AccessLifetime time.Duration
	// Interval is the shortest time between two polls. Default 5 s (RFC 8628 section 3.2).
	Interval time.Duration
	// CodeLifetime is how long a device code or an authorization code is good. Default 10 minutes.
	CodeLifetime time.Duration
	// ReuseWindow is how long a refresh token that was already used is answered with fresh tokens instead of
	// the end of its family. Default none.
	ReuseWindow time.Duration
	// NoDeviceEndpoint leaves the device grant out, like a server without RFC 8628.
	NoDeviceEndpoint bool
	// NoRotation leaves a refresh token good for ever and out of the answers to its use.
	NoRotation bool
	// NoRefreshToken answers without refresh tokens, like a server that was not asked for offline_access.
	NoRefreshToken bool
}

// SignInEndpoint names one part of the server, for faults and counters.
type SignInEndpoint string

// The endpoints. EndpointToken covers every grant at the token endpoint.
const (
	EndpointDiscovery SignInEndpoint = "discovery"
	EndpointKeys      SignInEndpoint = "keys"
	EndpointDevice    SignInEndpoint = "device"
	EndpointToken     SignInEndpoint = "token"
	EndpointAuthorize SignInEndpoint = "authorize"
	EndpointRevoke    SignInEndpoint = "revoke"
	EndpointUserInfo  SignInEndpoint = "userinfo"
)

// The grant types at the token endpoint: RFC 6749 sections 4.1.3, 4.4.2 and 6, RFC 8628 section 3.4.
const (
	GrantDevice  = "urn:ietf:params:oauth:grant-type:device_code"
	GrantRefresh = "refresh_token"
	GrantCode    = "authorization_code"
	GrantClient  = "client_credentials"
)

// SignIn is an OAuth 2.0 and OpenID Connect server with one client: discovery, device grant with enforced PKCE,
// authorization code with PKCE, rotating refresh tokens with reuse detection, revocation and userinfo. It keeps
// everything in memory. It follows RFC 6749, 7009, 7636, 8628 and OpenID Connect Core and Discovery 1.0 as far as
// a store's agent meets them. Safe for concurrent use.
type SignIn struct {
	opts SignInOptions
	base string // path of the issuer without trailing slash
	mux  *http.ServeMux
	key  *ecdsa.PrivateKey

	mu      sync.Mutex
	devices map[string]*deviceGrant // by device code
	codes   map[string]*codeGrant   // by authorization code
	access  map[string]accessToken
	refresh map[string]*refreshToken
	faults  []*armedFault
	counts  map[string]int
}

// family is one approval by a person and every token that came of it.
type family struct {
	account string
	scope   string
	nonce   string
	dead    bool
}

type accessToken struct {
	family *family
	until  time.Time
}

type refreshToken struct {
	family *family
	usedAt time.Time // zero while unused
}

// NewSignIn makes a server with its own signing key. It fails only where the issuer is no URL.
func NewSignIn(o SignInOptions) (*SignIn, error) {
	u, err := url.Parse(o.Issuer)
	if err != nil {
		return nil, fmt.Errorf("read issuer: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make signing key: %w", err)
	}
	if o.ClientID == "" {
		o.ClientID = "storeagent"
	}
	o.AccessLifetime = orElse(o.AccessLifetime, time.Minute)
	o.Interval = orElse(o.Interval, 5*time.Second)
	o.CodeLifetime = orElse(o.CodeLifetime, 10*time.Minute)
	s := &SignIn{
		opts: o, base: strings.TrimSuffix(u.Path, "/"), mux: http.NewServeMux(), key: key,
		devices: map[string]*deviceGrant{}, codes: map[string]*codeGrant{},
		access: map[string]accessToken{}, refresh: map[string]*refreshToken{}, counts: map[string]int{},
	}
	s.route("GET /.well-known/openid-configuration", EndpointDiscovery, s.serveDiscovery)
	s.route("GET /connect/jwks", EndpointKeys, s.serveKeys)
	s.route("POST /connect/token", EndpointToken, s.serveToken)
	s.route("POST /connect/revoke", EndpointRevoke, s.serveRevoke)
	s.route("GET /connect/userinfo", EndpointUserInfo, s.serveUserInfo)
	s.route("GET /connect/authorize", EndpointAuthorize, s.serveAuthorizePage)
	s.route("POST /connect/authorize", EndpointAuthorize, s.serveAuthorizeAnswer)
	if !o.NoDeviceEndpoint {
		s.route("POST /connect/device", EndpointDevice, s.serveDevice)
		s.mux.HandleFunc("GET "+s.base+"/device", s.serveDevicePage)
		s.mux.HandleFunc("POST "+s.base+"/device", s.serveDeviceAnswer)
	}
	return s, nil
}

func orElse(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}

// ServeHTTP answers as the server. A fault that closes the connection panics with http.ErrAbortHandler, which
// net/http understands.
func (s *SignIn) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Owns tells whether the path belongs to the sign-in server, for a handler that joins it with other things.
func (s *SignIn) Owns(path string) bool {
	rest, ok := strings.CutPrefix(path, s.base)
	return ok && (strings.HasPrefix(rest, "/connect/") || strings.HasPrefix(rest, "/.well-known/") || rest == "/device")
}

func (s *SignIn) issuer(r *http.Request) string {
	if s.opts.Issuer != "" {
		return s.opts.Issuer
	}
	return "http://" + r.Host
}

func (s *SignIn) serveDiscovery(w http.ResponseWriter, r *http.Request) {
	iss := s.issuer(r)
	at := strings.TrimSuffix(iss, "/")
	doc := map[string]any{
		"issuer":                                iss,
		"authorization_endpoint":                at + "/connect/authorize",
		"token_endpoint":                        at + "/connect/token",
		"jwks_uri":                              at + "/connect/jwks",
		"userinfo_endpoint":                     at + "/connect/userinfo",
		"revocation_endpoint":                   at + "/connect/revoke",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
		"code_challenge_methods_supported":      []string{"S256"},
		"token_endpoint_auth_methods_supported": []string{"none", "client_secret_post", "client_secret_basic"},
		"grant_types_supported":                 []string{GrantCode, GrantRefresh, GrantClient, GrantDevice},
	}
	if s.opts.NoDeviceEndpoint {
		doc["grant_types_supported"] = []string{GrantCode, GrantRefresh, GrantClient}
	} else {
		doc["device_authorization_endpoint"] = at + "/connect/device"
	}
	answerJSON(w, http.StatusOK, doc)
}

func (s *SignIn) serveKeys(w http.ResponseWriter, _ *http.Request) {
	pub, err := s.key.PublicKey.Bytes() // 0x04, X, Y: SEC 1 section 2.3.3
	if err != nil {
		http.Error(w, "no key", http.StatusInternalServerError)
		return
	}
	b64 := base64.RawURLEncoding
	answerJSON(w, http.StatusOK, map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "sim",
		"x": b64.EncodeToString(pub[1:33]), "y": b64.EncodeToString(pub[33:]),
	}}})
}

func (s *SignIn) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	account, ok := s.Valid(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	if !ok {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "token not valid", http.StatusUnauthorized)
		return
	}
	answerJSON(w, http.StatusOK, map[string]string{"sub": "id-" + account, "preferred_username": account})
}

// serveRevoke ends the family of the token; RFC 7009 section 2.2 wants 200 for an unknown token too.
func (s *SignIn) serveRevoke(w http.ResponseWriter, r *http.Request) {
	if !s.client(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if t, ok := s.refresh[r.PostFormValue("token")]; ok {
		t.family.dead = true
	}
	if t, ok := s.access[r.PostFormValue("token")]; ok {
		t.family.dead = true
	}
	w.WriteHeader(http.StatusOK)
}

// client checks who calls, by RFC 6749 section 2.3.1, and answers invalid_client where it is somebody else.
func (s *SignIn) client(w http.ResponseWriter, r *http.Request) bool {
	id, secret := r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	if u, p, ok := r.BasicAuth(); ok {
		// RFC 6749 has both parts form-encoded before they are joined.
		var errID, errSecret error
		id, errID = url.QueryUnescape(u)
		secret, errSecret = url.QueryUnescape(p)
		if errID != nil || errSecret != nil {
			id, secret = "", ""
		}
	}
	sameID := subtle.ConstantTimeCompare([]byte(id), []byte(s.opts.ClientID)) == 1
	sameSecret := subtle.ConstantTimeCompare([]byte(secret), []byte(s.opts.ClientSecret)) == 1
	if !sameID || !sameSecret {
		oauthError(w, http.StatusUnauthorized, "invalid_client")
		return false
	}
	return true
}

// Valid tells whose access token this is, and whether the cloud would take it now.
func (s *SignIn) Valid(access string) (account string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.access[access]
	if !ok || t.family.dead || !time.Now().Before(t.until) {
		return "", false
	}
	return t.family.account, true
}

// RevokeAll ends every approval: no token given so far is taken any more, refresh tokens included.
func (s *SignIn) RevokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.refresh {
		t.family.dead = true
	}
	for _, t := range s.access {
		t.family.dead = true
	}
}

// ForgetAccess makes every access token given so far worthless and leaves the refresh tokens alone: the cloud
// answers 401 before the token's time is over.
func (s *SignIn) ForgetAccess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.access)
}

// issue makes the tokens of one answer. The caller holds the lock.
func (s *SignIn) issue(iss string, f *family, withRefresh bool) (map[string]any, error) {
	now := time.Now()
	if len(s.access) > 1000 {
		for k, t := range s.access {
			if now.After(t.until) {
				delete(s.access, k)
			}
		}
	}
	at := rand.Text()
	s.access[at] = accessToken{family: f, until: now.Add(s.opts.AccessLifetime)}
	out := map[string]any{
		"access_token": at, "token_type": "Bearer", "scope": f.scope,
		"expires_in": int(s.opts.AccessLifetime / time.Second),
	}
	if withRefresh && !s.opts.NoRefreshToken {
		rt := rand.Text()
		s.refresh[rt] = &refreshToken{family: f}
		out["refresh_token"] = rt
	}
	if slices.Contains(strings.Fields(f.scope), "openid") {
		id, err := s.idToken(iss, f, now)
		if err != nil {
			return nil, err
		}
		out["id_token"] = id
	}
	return out, nil
}

// idToken signs by ES256: the two halves of the signature, 32 bytes each (RFC 7518 section 3.4).
func (s *SignIn) idToken(iss string, f *family, now time.Time) (string, error) {
	claims := map[string]any{
		"iss": iss, "sub": "id-" + f.account, "aud": s.opts.ClientID, "preferred_username": f.account,
		"iat": now.Unix(), "exp": now.Add(s.opts.AccessLifetime).Unix(),
	}
	if f.nonce != "" {
		claims["nonce"] = f.nonce
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("write id token: %w", err)
	}
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString([]byte(`{"alg":"ES256","kid":"sim","typ":"JWT"}`)) + "." + b64.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, sum[:])
	if err != nil {
		return "", fmt.Errorf("sign id token: %w", err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	v.FillBytes(sig[32:])
	return text + "." + b64.EncodeToString(sig), nil
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func answerJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}

func oauthError(w http.ResponseWriter, status int, code string) {
	answerJSON(w, status, map[string]string{"error": code})
}

// isLoopback tells whether an address is of the kind RFC 8252 section 7.3 allows for an app on the same machine.
func isLoopback(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return ip != nil && ip.IsLoopback()
}
