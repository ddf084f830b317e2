package register

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/register/wire"
)

func (s *Server) postSignIn(ctx context.Context, _ *nothing) (*answer[offline.SignInStatus], error) {
	st, err := s.cfg.SignIn.Start(ctx)
	if err != nil {
		no := refuse(http.StatusServiceUnavailable, "sign_in_unreachable", "The sign-in server did not start a sign-in.",
			"Check the network and cloud.issuer in storeagent.toml; GET /v1/sign-in shows the problem.")
		no.cause = err
		return nil, no
	}
	return ok(st), nil
}

func (s *Server) getSignIn(context.Context, *nothing) (*answer[offline.SignInStatus], error) {
	return ok(s.cfg.SignIn.Status()), nil
}

func (s *Server) deleteSignIn(ctx context.Context, in *struct {
	Force bool `query:"force" doc:"Sign out although something is undelivered; wants an export of it before"`
}) (*nothing, error) {
	if err := s.mayLeave(durable(ctx), in.Force); err != nil {
		return nil, err
	}
	if err := s.cfg.SignIn.Forget(durable(ctx)); err != nil {
		return nil, err
	}
	return &nothing{}, nil
}

func (s *Server) postPairing(ctx context.Context, in *struct{ Body wire.PairingRequest }) (*answer[wire.Pairing], error) {
	if in.Body.Origin != "" && !isOrigin(in.Body.Origin) {
		return nil, invalid(field("origin", "is not a browser origin like https://register.example.com"))
	}
	token, hash, err := newToken(rand.Read)
	if err != nil {
		return nil, err
	}
	p := journal.Pairing{
		ID: uuid.NewString(), Name: in.Body.Name, Role: in.Body.Role, Origin: in.Body.Origin, TokenHash: hash,
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}
	out := &answer[wire.Pairing]{Status: http.StatusCreated, Location: "/v1/pairings/" + p.ID, Body: shownPairing(p)}
	// The record of the answer has no token: it is shown once and kept nowhere.
	if err := s.cfg.Pairings.AddPairing(durable(ctx), p, callOf(ctx).entry(out.Status, out.Location, out.Body)); err != nil {
		return nil, err
	}
	s.grants.add(p)
	out.Body.Token = token
	return out, nil
}

// isOrigin checks the form browsers send: scheme, host, port where it is not the scheme's, nothing else.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" && text == u.Scheme+"://"+strings.ToLower(u.Host)
}

func shownPairing(p journal.Pairing) wire.Pairing {
	out := wire.Pairing{ID: p.ID, Name: p.Name, Role: p.Role, Origin: p.Origin, CreatedAt: p.CreatedAt}
	if !p.RevokedAt.IsZero() {
		at := p.RevokedAt
		out.RevokedAt = &at
	}
	return out
}

func (s *Server) listPairings(ctx context.Context, _ *nothing) (*answer[wire.Page[wire.Pairing]], error) {
	list, err := s.cfg.Pairings.Pairings(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]wire.Pairing, len(list))
	for i, p := range list {
		out[i] = shownPairing(p)
	}
	return page(out, ""), nil
}

func (s *Server) deletePairing(ctx context.Context, in *byID) (*nothing, error) {
	if err := s.revoke(durable(ctx), in.ID, callOf(ctx).entry(http.StatusNoContent, "", nil)); err != nil {
		return nil, err
	}
	return &nothing{}, nil
}

// revoke ends a pairing on disk, then in memory, which ends its streams and claims.
func (s *Server) revoke(ctx context.Context, id string, e journal.Entry) error {
	e.Answer.Body = nil
	if err := s.cfg.Pairings.RevokePairing(ctx, id, time.Now().UTC().Truncate(time.Millisecond), e); err != nil {
		return err
	}
	s.grants.revoke(id)
	for _, name := range s.claims.dropPairing(id) {
		if d, err := s.scanner(name); err == nil {
			s.DeviceChanged(d)
		}
	}
	return nil
}

// technicianName is the name of the pairing whose token lies in the data folder.
const technicianName = "technician.token"

// EnsureTechnician makes sure that the file at path holds a valid technician token, so that commands on this computer
// can call the running agent. A file that is there is kept; its token is let in again where the database does not
// know it. Where the file was removed, its old token ends and a new one is made. The file is readable by its owner
// alone.
func (s *Server) EnsureTechnician(ctx context.Context, path string) error {
	if err := s.grants.load(ctx); err != nil {
		return err
	}
	data, err := os.ReadFile(path) //nolint:gosec // the path is the configuration's
	switch {
	case err == nil && strings.HasPrefix(strings.TrimSpace(string(data)), "sa_"):
		token := strings.TrimSpace(string(data))
		if err := os.Chmod(path, 0o600); err != nil {
			return fmt.Errorf("protect %s: %w", path, err)
		}
		if g := s.grants.find(token); g != nil {
			return nil
		}
		if known, err := s.wasRevoked(ctx, token); err != nil {
			return err
		} else if !known {
			return s.addTechnician(ctx, sha256.Sum256([]byte(token)))
		}
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read technician token: %w", err)
	}
	token, hash, err := newToken(rand.Read)
	if err != nil {
		return err
	}
	if err := s.retireTechnicians(ctx); err != nil {
		return err
	}
	if err := s.addTechnician(ctx, hash); err != nil {
		return err
	}
	if err := writeSecret(path, token); err != nil {
		return err
	}
	s.cfg.Log.InfoContext(ctx, "technician token written", slog.String("path", path))
	return nil
}

// wasRevoked tells a token that a person revoked from one the database never saw.
func (s *Server) wasRevoked(ctx context.Context, token string) (bool, error) {
	list, err := s.cfg.Pairings.Pairings(ctx)
	if err != nil {
		return false, fmt.Errorf("read pairings: %w", err)
	}
	sum := sha256.Sum256([]byte(token))
	for _, p := range list {
		if p.TokenHash == sum && !p.RevokedAt.IsZero() {
			return true, nil
		}
	}
	return false, nil
}

func (s *Server) addTechnician(ctx context.Context, hash [32]byte) error {
	p := journal.Pairing{
		ID: uuid.NewString(), Name: technicianName, Role: journal.RoleTechnician, TokenHash: hash,
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}
	if err := s.cfg.Pairings.AddPairing(ctx, p, journal.Entry{Actor: journal.Actor{Name: "storeagent"}}); err != nil {
		return fmt.Errorf("pair technician: %w", err)
	}
	s.grants.add(p)
	return nil
}

// retireTechnicians revokes the tokens of earlier files, copies of which may lie about.
func (s *Server) retireTechnicians(ctx context.Context) error {
	list, err := s.cfg.Pairings.Pairings(ctx)
	if err != nil {
		return fmt.Errorf("read pairings: %w", err)
	}
	for _, p := range list {
		if p.Name == technicianName && p.Role == journal.RoleTechnician && p.RevokedAt.IsZero() {
			if err := s.revoke(ctx, p.ID, journal.Entry{Actor: journal.Actor{Name: "storeagent"}}); err != nil {
				return fmt.Errorf("retire technician token: %w", err)
			}
		}
	}
	return nil
}

// writeSecret puts a file in place whole or not at all.
func writeSecret(path, text string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".technician-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write technician token: %w", err)
	}
	_, err = f.WriteString(text + "\n")
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write technician token: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
