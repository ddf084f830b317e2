package register

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"storeagent/devices"
	"storeagent/internal/journal"
	"storeagent/register/wire"
)

// claimTime is how long a claim lasts without renewal: long enough for a browser tab in the background, whose timers
// run once a minute, and short enough that a crashed register does not keep a scanner for long.
const claimTime = 2 * time.Minute

// claim is a scanner held by one pairing. Claims live in memory: a restarted agent has none, and registers renew.
type claim struct {
	id      string
	pairing string
	until   time.Time
}

type claims struct {
	mu   sync.Mutex
	held map[string]claim
}

// holder gives the claim of a scanner that is valid at now.
func (c *claims) holder(scanner string, now time.Time) (claim, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.held[scanner]
	return h, ok && now.Before(h.until)
}

// take gives the scanner to the pairing, or says false where another one holds it. fresh tells a first claim from a
// renewal.
func (c *claims) take(scanner, pairing string, now time.Time) (got claim, fresh, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, held := c.held[scanner]
	held = held && now.Before(h.until)
	if held && h.pairing != pairing {
		return claim{}, false, false
	}
	if !held {
		h = claim{id: uuid.NewString(), pairing: pairing}
	}
	h.until = now.Add(claimTime)
	c.held[scanner] = h
	return h, !held, true
}

// release frees the scanner if the pairing holds it, or whoever holds it where anyone is true. It reports whether a
// claim ended, and whether another pairing's stands in the way.
func (c *claims) release(scanner, pairing string, anyone bool, now time.Time) (ended, foreign bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, held := c.held[scanner]
	held = held && now.Before(h.until)
	if held && h.pairing != pairing && !anyone {
		return false, true
	}
	delete(c.held, scanner)
	return held, false
}

// dropPairing frees what a revoked pairing held and names those scanners.
func (c *claims) dropPairing(id string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var freed []string
	for name, h := range c.held {
		if h.pairing == id {
			delete(c.held, name)
			freed = append(freed, name)
		}
	}
	return freed
}

// deviceList is what the devices say of themselves, with the claims of this floor.
func (s *Server) deviceList() []devices.Info {
	list := slices.Clone(s.cfg.Devices.List())
	now := time.Now()
	for i := range list {
		list[i] = s.withClaim(list[i], now)
	}
	return list
}

func (s *Server) withClaim(d devices.Info, now time.Time) devices.Info {
	if _, held := s.claims.holder(d.Name, now); held && d.Category == devices.Scanner && d.State == devices.Ready {
		d.State = devices.Claimed
	}
	return d
}

func (s *Server) listDevices(context.Context, *nothing) (*answer[wire.Page[devices.Info]], error) {
	return page(s.deviceList(), ""), nil
}

// scanner finds a configured scanner.
func (s *Server) scanner(name string) (devices.Info, error) {
	for _, d := range s.cfg.Devices.List() {
		if d.Name == name && d.Category == devices.Scanner {
			return d, nil
		}
	}
	return devices.Info{}, refuse(http.StatusNotFound, "not_found", "No scanner has that name.",
		"GET /v1/devices lists the scanners; they are configured as [[device]].")
}

func errClaimed() *refusal {
	return refuse(http.StatusConflict, "claimed", "Another register holds this scanner.",
		"Let that register release it, or wait: a claim that is not renewed ends after two minutes.")
}

func (s *Server) postClaim(ctx context.Context, in *byName) (*answer[wire.Claim], error) {
	d, err := s.scanner(in.Name)
	if err != nil {
		return nil, err
	}
	got, fresh, free := s.claims.take(in.Name, callOf(ctx).actor.PairingID, time.Now())
	if !free {
		return nil, errClaimed()
	}
	if fresh {
		s.DeviceChanged(d)
	}
	return ok(wire.Claim{ClaimID: got.id, Scanner: in.Name, ExpiresAt: got.until.UTC()}), nil
}

func (s *Server) getClaim(ctx context.Context, in *byName) (*answer[wire.ClaimState], error) {
	if _, err := s.scanner(in.Name); err != nil {
		return nil, err
	}
	out := wire.ClaimState{Scanner: in.Name}
	if h, held := s.claims.holder(in.Name, time.Now()); held {
		until := h.until.UTC()
		out.Claimed, out.ExpiresAt = true, &until
		if h.pairing == callOf(ctx).actor.PairingID {
			out.Mine, out.ClaimID = true, h.id
		}
	}
	return ok(out), nil
}

// deleteClaim releases the caller's claim; a technician may release anybody's.
func (s *Server) deleteClaim(ctx context.Context, in *byName) (*nothing, error) {
	d, err := s.scanner(in.Name)
	if err != nil {
		return nil, err
	}
	actor := callOf(ctx).actor
	ended, foreign := s.claims.release(in.Name, actor.PairingID, actor.Role == journal.RoleTechnician, time.Now())
	if foreign {
		return nil, errClaimed()
	}
	if ended {
		s.DeviceChanged(d)
	}
	return &nothing{}, nil
}
