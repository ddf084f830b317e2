package register

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"storeagent/internal/journal"
)

// grant is one valid pairing in memory. revoked is closed when it stops being valid, which ends its streams.
type grant struct {
	pairing journal.Pairing
	revoked chan struct{}
}

// grants knows who may call. It reads the pairings once and follows the changes made through this server, which is
// the only writer while it runs.
type grants struct {
	store Pairings

	mu     sync.Mutex
	loaded bool
	valid  []*grant
}

// load reads the pairings unless that was done.
func (g *grants) load(ctx context.Context) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.loaded {
		return nil
	}
	list, err := g.store.Pairings(ctx)
	if err != nil {
		return fmt.Errorf("read pairings: %w", err)
	}
	for _, p := range list {
		if p.RevokedAt.IsZero() {
			g.valid = append(g.valid, &grant{pairing: p, revoked: make(chan struct{})})
		}
	}
	g.loaded = true
	return nil
}

// find gives the pairing of a token. It compares SHA-256 digests in constant time and always all of them.
func (g *grants) find(token string) *grant {
	sum := sha256.Sum256([]byte(token))
	g.mu.Lock()
	defer g.mu.Unlock()
	var found *grant
	for _, each := range g.valid {
		if subtle.ConstantTimeCompare(sum[:], each.pairing.TokenHash[:]) == 1 {
			found = each
		}
	}
	return found
}

func (g *grants) add(p journal.Pairing) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.loaded { // else load will bring it
		g.valid = append(g.valid, &grant{pairing: p, revoked: make(chan struct{})})
	}
}

func (g *grants) revoke(id string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.valid = slices.DeleteFunc(g.valid, func(each *grant) bool {
		if each.pairing.ID != id {
			return false
		}
		close(each.revoked)
		return true
	})
}

// checkHost refuses requests that did not mean this computer by a loopback name: DNS rebinding brings foreign names.
func (s *Server) checkHost(r *http.Request) *refusal {
	if s.ownHost(r.Host) {
		return nil
	}
	return refuse(http.StatusMisdirectedRequest, "wrong_host", "The Host header is not a loopback name with this agent's port.",
		"Call it as http://127.0.0.1:"+strconv.Itoa(s.port())+".")
}

func (s *Server) ownHost(hostport string) bool {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil { // no port: that of the scheme
		host, port = strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]"), "80"
		if strings.Contains(host, ":") != strings.HasPrefix(hostport, "[") {
			return false
		}
	}
	if port != strconv.Itoa(s.port()) {
		return false
	}
	switch strings.ToLower(host) {
	case "127.0.0.1", "localhost", "::1":
		return true
	}
	return false
}

// checkOrigin lets browsers in by exact origin only, and gives those that are let in their CORS headers.
func (s *Server) checkOrigin(w http.ResponseWriter, r *http.Request) *refusal {
	h := w.Header()
	h.Add("Vary", "Origin")
	origins, sent := r.Header["Origin"]
	if !sent {
		return nil
	}
	if len(origins) != 1 || !s.allowedOrigin(origins[0]) {
		return refuse(http.StatusForbidden, "origin_not_allowed", "Pages of this origin may not call the agent.",
			"Add the page's origin to server.allowed_origins in storeagent.toml and start the agent again.")
	}
	h.Set("Access-Control-Allow-Origin", origins[0])
	h.Set("Access-Control-Expose-Headers", "X-Request-Id, Location, Idempotent-Replayed, Retry-After, X-Preview-Missing")
	return nil
}

func (s *Server) allowedOrigin(origin string) bool {
	if slices.Contains(s.cfg.AllowedOrigins, origin) && origin != "null" {
		return true
	}
	own, ok := strings.CutPrefix(origin, "http://")
	return ok && s.ownHost(own)
}

// preflight answers a browser's question before the request itself (Fetch standard, CORS-preflight). The private
// network header is what Chromium 104 to 141 asked for; later ones ignore it.
func preflight(w http.ResponseWriter, r *http.Request) bool {
	if r.Method != http.MethodOptions || r.Header.Get("Origin") == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, Accept")
	h.Set("Access-Control-Allow-Private-Network", "true")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// checkToken finds out who calls.
func (s *Server) checkToken(r *http.Request, c *call) *refusal {
	challenge := func(code, detail, header string) *refusal {
		no := refuse(http.StatusUnauthorized, code, detail,
			"Make a token with: storeagent pair --role register --name NAME. Send it as Authorization: Bearer TOKEN.")
		no.header = http.Header{"Www-Authenticate": {header}}
		return no
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return challenge("token_missing", "This call needs a token.", `Bearer realm="storeagent"`)
	}
	if err := s.grants.load(r.Context()); err != nil {
		return explain(err)
	}
	g := s.grants.find(token)
	if g == nil {
		return challenge("token_unknown", "This token is not valid, or it was revoked.", `Bearer realm="storeagent", error="invalid_token"`)
	}
	if g.pairing.Origin != "" && g.pairing.Origin != r.Header.Get("Origin") {
		return refuse(http.StatusForbidden, "origin_not_allowed", "This token is bound to one browser origin, and the request is not from there.",
			"Pair again without --origin for callers that are not that page.")
	}
	c.grant = g
	c.actor = journal.Actor{PairingID: g.pairing.ID, Name: g.pairing.Name, Role: g.pairing.Role}
	return nil
}

// checkRole compares the caller with the route's row of the access table.
func checkRole(c *call) *refusal {
	if slices.Contains(c.route.roles, c.actor.Role) {
		return nil
	}
	names := make([]string, len(c.route.roles))
	for i, role := range c.route.roles {
		names[i] = string(role)
	}
	return refuse(http.StatusForbidden, "role_not_allowed", "The role of this token does not allow this call.",
		"It needs the role "+strings.Join(names, " or ")+": storeagent pair --role "+names[0]+" --name NAME.")
}
