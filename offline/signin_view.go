package offline

import (
	"context"
	"errors"
	"time"
)

// ErrSignedOut means that nobody is signed in at the cloud, so that no request can be made in anybody's name until a
// technician signs in again. Sources of access tokens wrap it; offline/cloud asks for it by errors.Is.
var ErrSignedOut = errors.New("signed out")

// SignInStatus is how the agent stands with the cloud's sign-in server; GET /v1/sign-in shows it.
type SignInStatus struct {
	State                   string     `json:"state" enum:"signed_out,pending,signed_in,expired,denied"`
	UserCode                string     `json:"userCode,omitempty"`
	VerificationURI         string     `json:"verificationUri,omitempty"`
	VerificationURIComplete string     `json:"verificationUriComplete,omitempty"`
	ExpiresAt               *time.Time `json:"expiresAt,omitempty"`
	Account                 string     `json:"account,omitempty"`
	Scopes                  []string   `json:"scopes,omitempty"`
	AccessExpiresAt         *time.Time `json:"accessExpiresAt,omitempty"`
	Problem                 *Fault     `json:"problem,omitempty" doc:"Why signing in does not work, with the next step"`
}

// SignIn is the sign-in as the API drives it. Safe for concurrent use.
type SignIn interface {
	// Start begins a sign-in, or returns the pending one.
	Start(ctx context.Context) (SignInStatus, error)
	// Status answers from memory.
	Status() SignInStatus
	// Forget revokes at the server where it can be reached, and forgets locally in any case.
	Forget(ctx context.Context) error
}
