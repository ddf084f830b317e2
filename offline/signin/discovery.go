package signin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	discoveryFile = "discovery.json"
	discoveryAge  = 24 * time.Hour // after that it is fetched again, and the old one used where that fails
)

// metadata is what we use of the server's announcement; OpenID Connect Discovery 1.0 section 3, RFC 8414 section 2
// and RFC 8628 section 4.
type metadata struct {
	oidc.ProviderConfig
	RevocationURL string   `json:"revocation_endpoint"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
}

// cachedMetadata is the file in the data folder: public facts, so it is not sealed.
type cachedMetadata struct {
	Issuer    string          `json:"issuer"`
	FetchedAt time.Time       `json:"fetchedAt"`
	Document  json.RawMessage `json:"document"`
}

// metadataSource gives the announcement from memory, then disk, then the network.
type metadataSource struct {
	issuer string
	client *http.Client
	disk   *disk

	mu        sync.Mutex
	md        *metadata
	fetchedAt time.Time
	triedAt   time.Time
}

func (m *metadataSource) get(ctx context.Context) (*metadata, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.md == nil {
		m.fromDisk()
	}
	age := time.Since(m.fetchedAt)
	// A clock that was set back makes the age negative: fetch again then too, but not at each call.
	if m.md != nil && (age >= 0 && age < discoveryAge || time.Since(m.triedAt) < time.Hour && !m.triedAt.IsZero()) {
		return m.md, nil
	}
	m.triedAt = time.Now()
	md, doc, _, err := fetchMetadata(ctx, m.client, m.issuer)
	if err != nil {
		if m.md != nil {
			return m.md, nil
		}
		return nil, err
	}
	m.md, m.fetchedAt = md, time.Now()
	m.toDisk(doc)
	return md, nil
}

// stale makes the next get ask the network: the server seems to have moved its endpoints.
func (m *metadataSource) stale() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fetchedAt, m.triedAt = time.Time{}, time.Time{}
}

// fromDisk takes the cached announcement where it is for this issuer and still acceptable.
func (m *metadataSource) fromDisk() {
	data, err := m.disk.read(discoveryFile)
	if err != nil {
		return // none yet, or not readable: the network has it
	}
	var c cachedMetadata
	if json.Unmarshal(data, &c) != nil || c.Issuer != m.issuer {
		return
	}
	if md, err := decodeMetadata(c.Document, m.issuer); err == nil {
		m.md, m.fetchedAt = md, c.FetchedAt
	}
}

func (m *metadataSource) toDisk(doc []byte) {
	data, err := json.Marshal(cachedMetadata{Issuer: m.issuer, FetchedAt: m.fetchedAt.UTC(), Document: doc})
	if err != nil {
		return
	}
	// A copy only saves a request after the next boot: without it nothing breaks.
	_ = m.disk.write(discoveryFile, data)
}

// fetchMetadata asks the issuer, and also returns the document as sent and the answer's headers.
func fetchMetadata(ctx context.Context, client *http.Client, issuer string) (*metadata, []byte, http.Header, error) {
	at := strings.TrimSuffix(issuer, "/") + "/.well-known/openid-configuration"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("ask for discovery: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return nil, nil, nil, transportError("reach the sign-in server", err)
	}
	defer func() { _ = resp.Body.Close() }()
	doc, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, resp.Header, transportError("read what the sign-in server announces", err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, resp.Header, &Error{Code: "discovery", Message: fmt.Sprintf(
			"the sign-in server answers %d at %s; check cloud.issuer, and whether a guest network page is in the way", resp.StatusCode, at)}
	}
	md, err := decodeMetadata(doc, issuer)
	return md, doc, resp.Header, err
}

// decodeMetadata wants the issuer word for word and every address safe.
func decodeMetadata(doc []byte, issuer string) (*metadata, error) {
	var md metadata
	if err := json.Unmarshal(doc, &md); err != nil {
		return nil, &Error{Code: "discovery", Message: "what the sign-in server announces is not JSON; check cloud.issuer, and whether a guest network page is in the way"}
	}
	if md.IssuerURL != issuer {
		return nil, &Error{Code: "issuer_mismatch", Message: fmt.Sprintf(
			"cloud.issuer is %q, but the server calls itself %q; write it exactly like that, the last slash included, if that is the right server", issuer, clip(md.IssuerURL))}
	}
	if md.TokenURL == "" {
		return nil, &Error{Code: "discovery", Message: "the sign-in server announces no token endpoint"}
	}
	for _, u := range []string{md.TokenURL, md.AuthURL, md.DeviceAuthURL, md.UserInfoURL, md.JWKSURL, md.RevocationURL} {
		if u == "" {
			continue
		}
		if err := secureURL(u); err != nil {
			return nil, &Error{Code: "discovery", Message: "the sign-in server announces an address that is not safe: " + clip(err.Error())}
		}
	}
	return &md, nil
}

// authStyle says where the client's id and secret go. It is never left to be found out by trying twice: a second try
// with the same refresh token would end the sign-in. RFC 6749 section 2.3.1 makes the header the default.
func (md *metadata) authStyle(secret string) oauth2.AuthStyle {
	if secret == "" || slices.Contains(md.AuthMethods, "client_secret_post") && !slices.Contains(md.AuthMethods, "client_secret_basic") {
		return oauth2.AuthStyleInParams
	}
	return oauth2.AuthStyleInHeader
}

// clip keeps other people's text short and on one line.
func clip(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s)
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return s
}
