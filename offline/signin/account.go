package signin

import (
	"context"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const accountLimit = 10 * time.Second

// names are the claims that may name a person; OpenID Connect Core 1.0 section 5.1.
type names struct {
	PreferredUsername string `json:"preferred_username"`
	Email             string `json:"email"`
	Name              string `json:"name"`
	Subject           string `json:"sub"`
}

// best gives the most readable name.
func (n names) best() string {
	for _, s := range []string{n.PreferredUsername, n.Email, n.Name, n.Subject} {
		if s != "" {
			return clip(s)
		}
	}
	return ""
}

// identify reads the account out of the ID token, where there is one that can be checked now: not without the
// server's keys, nor with a clock that is far off. It fails only where a good ID token carries another nonce, which
// means that the answer belongs to another request.
func (s *SignIn) identify(ctx context.Context, md *metadata, tok *oauth2.Token, nonce string) (string, error) {
	raw, _ := tok.Extra("id_token").(string)
	if raw == "" || md.JWKSURL == "" {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, s.client), accountLimit)
	defer cancel()
	verifier := oidc.NewVerifier(s.cfg.Issuer, oidc.NewRemoteKeySet(ctx, md.JWKSURL), &oidc.Config{
		ClientID: s.cfg.ClientID,
		// Never what the server or the token likes: no "none", no shared secret.
		SupportedSigningAlgs: []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA},
	})
	id, err := verifier.Verify(ctx, raw)
	if err != nil {
		s.log.Info("the ID token cannot be checked; asking for the account instead")
		return "", nil
	}
	if nonce != "" && id.Nonce != nonce {
		return "", &Error{Code: "nonce", Message: "the sign-in server's answer belongs to another sign-in; start it again"}
	}
	var n names
	if id.Claims(&n) != nil {
		return "", nil
	}
	return n.best(), nil
}

// findAccount asks the userinfo endpoint and adds the account to the set in use, best effort.
func (s *SignIn) findAccount(ctx context.Context, md *metadata, set *tokenSet, epoch uint64) {
	if md.UserInfoURL == "" {
		return
	}
	ctx, cancel := context.WithTimeout(oidc.ClientContext(ctx, s.client), accountLimit)
	defer cancel()
	info, err := md.NewProvider(ctx).UserInfo(ctx, bearer(set.Access))
	if err != nil {
		s.log.Info("the sign-in server does not tell the account")
		return
	}
	var n names
	if info.Claims(&n) != nil {
		return
	}
	s.fileMu.Lock()
	defer s.fileMu.Unlock()
	s.mu.Lock()
	if s.epoch != epoch || s.set == nil || s.set.Generation != set.Generation {
		s.mu.Unlock()
		return
	}
	named := *s.set
	named.Account = n.best()
	s.set = &named
	s.mu.Unlock()
	poke(s.changed)
	if err := s.vault.seal(ctx, &named); err != nil {
		s.log.Warn("seal tokens with their account", "error", err)
	}
}
