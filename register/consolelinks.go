package register

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/uuid"

	"storeagent/internal/journal"
	"storeagent/register/wire"
)

const (
	linkFor    = 5 * time.Minute // how long a link waits to be opened
	consoleFor = 12 * time.Hour  // how long a page opened by a link may read
)

// consoleLinks are the links to the console page that nobody has opened yet, by the digest of their code. They live in
// memory: a restart ends them.
type consoleLinks struct {
	mu    sync.Mutex
	until map[[32]byte]time.Time
}

func (l *consoleLinks) add(hash [32]byte, now, until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	maps.DeleteFunc(l.until, func(_ [32]byte, until time.Time) bool { return now.After(until) })
	l.until[hash] = until
}

// spend ends a link. It reports whether it was good until now.
func (l *consoleLinks) spend(code string, now time.Time) bool {
	hash := sha256.Sum256([]byte(code))
	l.mu.Lock()
	defer l.mu.Unlock()
	until, known := l.until[hash]
	delete(l.until, hash)
	return known && !now.After(until)
}

func (s *Server) postConsoleLink(ctx context.Context, _ *nothing) (*answer[wire.ConsoleLink], error) {
	code, hash, err := newToken(rand.Read)
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	until := now.Add(linkFor)
	s.links.add(hash, now, until)
	link := url.URL{Scheme: "http", Host: callOf(ctx).host, Path: "/", RawQuery: url.Values{"link": {code}}.Encode()}
	return &answer[wire.ConsoleLink]{Status: http.StatusCreated, Body: wire.ConsoleLink{URL: link.String(), ExpiresAt: until}}, nil
}

func (s *Server) getConsole(ctx context.Context, in *struct {
	Link string `query:"link" doc:"Code of a one-time link: the page then needs no token"`
}) (*consolePage, error) {
	token := ""
	if in.Link != "" && s.links.spend(in.Link, time.Now()) {
		var err error
		if token, err = s.letConsoleIn(ctx); err != nil {
			return nil, err
		}
	}
	return &consolePage{ContentType: "text/html; charset=utf-8", Policy: s.page.policy, Frames: "DENY", Body: s.page.with(token)}, nil
}

// letConsoleIn makes the token of one opened page. It may only look, is known to this run alone, and ends by itself.
func (s *Server) letConsoleIn(ctx context.Context) (token string, err error) {
	if err := s.grants.load(ctx); err != nil {
		return "", err
	}
	token, hash, err := newToken(rand.Read)
	if err != nil {
		return "", err
	}
	p := journal.Pairing{ID: uuid.NewString(), Name: "console", Role: journal.RoleObserver, TokenHash: hash, CreatedAt: time.Now().UTC()}
	s.grants.add(p)
	time.AfterFunc(consoleFor, func() { s.grants.revoke(p.ID) })
	return token, nil
}
