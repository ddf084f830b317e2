package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"golang.org/x/oauth2"
)

const (
	browserLifetime = 10 * time.Minute
	redirectPath    = "/signed-in"
	redirectLimit   = 30 * time.Second // for each step of the one request; nobody but this machine can make it
)

// redirectAnswer is what the browser brought back.
type redirectAnswer struct{ code, errorCode string }

// newBrowserAttempt opens a listener on this machine for the redirect and makes the address for the browser:
// authorization code with PKCE, state and nonce; RFC 8252 section 7.3, RFC 7636, OpenID Connect Core 1.0 section 3.1.
func (s *SignIn) newBrowserAttempt(ctx context.Context, md *metadata) (*attempt, error) {
	if md.AuthURL == "" {
		return nil, &Error{Code: "no_authorization_endpoint", Message: "the sign-in server announces no authorization endpoint; check cloud.issuer, or set cloud.flow = \"device\""}
	}
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, &Error{Code: "listen", Message: "no port on this machine for the browser's answer", Err: err}
	}
	verifier, state, nonce := oauth2.GenerateVerifier(), rand.Text(), rand.Text()
	redirect := fmt.Sprintf("http://%s%s", ln.Addr(), redirectPath)
	oc := oauth2.Config{
		ClientID: s.cfg.ClientID, RedirectURL: redirect, Scopes: s.cfg.Scopes,
		Endpoint: oauth2.Endpoint{AuthURL: md.AuthURL},
	}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", nonce)}
	if s.cfg.Audience != "" {
		options = append(options, oauth2.SetAuthURLParam("audience", s.cfg.Audience))
	}
	a := &attempt{
		uri: oc.AuthCodeURL(state, options...), expires: time.Now().Add(browserLifetime), gone: make(chan struct{}),
		cleanup: func() { _ = ln.Close() }, // already closed where the server took it
	}
	a.uriComplete = a.uri
	a.finish = func(ctx context.Context) (*oauth2.Token, string, error) {
		back, err := s.awaitRedirect(ctx, ln, state)
		if err != nil {
			return nil, "", err
		}
		if back.errorCode != "" {
			e := &answerError{status: http.StatusBadRequest, code: "invalid_request"}
			if isErrorCode(back.errorCode) {
				e.code = back.errorCode
			}
			return nil, "", e
		}
		tok, err := s.askToken(ctx, md, url.Values{
			"grant_type": {grantCode}, "code": {back.code}, "redirect_uri": {redirect}, "code_verifier": {verifier},
		})
		if err != nil {
			return nil, "", err
		}
		account, err := s.identify(ctx, md, tok, nonce)
		return tok, account, err
	}
	return a, nil
}

// awaitRedirect serves the listener until the browser comes with the right state, or ctx ends.
func (s *SignIn) awaitRedirect(ctx context.Context, ln net.Listener, state string) (redirectAnswer, error) {
	got := make(chan redirectAnswer, 1)
	srv := &http.Server{
		Handler:           s.redirectHandler(ln.Addr().String(), state, got),
		ReadHeaderTimeout: redirectLimit, ReadTimeout: redirectLimit, WriteTimeout: redirectLimit, MaxHeaderBytes: 16 << 10,
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = srv.Serve(ln) }) // ends by Shutdown or Close
	defer wg.Wait()
	select {
	case back := <-got:
		// The page is to reach the browser before the server goes.
		sctx, cancel := context.WithTimeout(ctx, redirectLimit)
		defer cancel()
		if err := srv.Shutdown(sctx); err != nil {
			_ = srv.Close()
		}
		return back, nil
	case <-ctx.Done():
		_ = srv.Close()
		return redirectAnswer{}, ctx.Err()
	}
}

// redirectHandler takes the one redirect with our state. Anything else on this machine that finds the port gets
// nothing and ends nothing.
func (s *SignIn) redirectHandler(host, state string, got chan<- redirectAnswer) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+redirectPath, func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		iss := q.Get("iss") // RFC 9207: where present it must be our server
		if r.Host != host || subtle.ConstantTimeCompare([]byte(q.Get("state")), []byte(state)) != 1 ||
			iss != "" && iss != s.cfg.Issuer || q.Get("code") == "" && q.Get("error") == "" {
			http.Error(w, "This is not the answer to the sign-in that was started.", http.StatusBadRequest)
			return
		}
		back := redirectAnswer{code: q.Get("code"), errorCode: q.Get("error")}
		if back.errorCode != "" {
			back.code = ""
		}
		select {
		case got <- back:
		default: // the browser asked twice
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write([]byte("Done. You can close this page and go back to the register.\n")) // the browser may be gone
	})
	return mux
}
