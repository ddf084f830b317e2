// Package journal holds the words that every floor uses when something is written down: who did it
// (Actor), under which idempotency key (Key), what the caller was told (Answer), what listeners hear
// (Event), and the bundle of these that joins a state change in one commit (Entry).
//
// It is called by every floor and imports nothing of this module.
package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Decisions that callers take by errors.Is. Implementations wrap them with detail.
var (
	// ErrStorageFull means that the disk refused the write and that nothing was recorded.
	ErrStorageFull = errors.New("storage is full")
	// ErrNotFound means that there is no record of that id.
	ErrNotFound = errors.New("not found")
	// ErrKeyUsed means that the idempotency key was recorded by an earlier commit.
	ErrKeyUsed = errors.New("idempotency key already used")
	// ErrCursor means that a listing was asked to go on from a cursor that it never gave out.
	ErrCursor = errors.New("cursor is not one of this listing")
)

// Role is what a pairing may do; see the API contract, section 1.
type Role string

// The three roles of the API.
const (
	RoleRegister   Role = "register"
	RoleTechnician Role = "technician"
	RoleObserver   Role = "observer"
)

// Actor is who asked for something: a pairing, by its id, name and role.
type Actor struct {
	PairingID string
	Name      string
	Role      Role
}

// Pairing is one caller that was let in. The token itself is shown once and never stored.
type Pairing struct {
	ID        string
	Name      string
	Role      Role
	Origin    string   // browser origin the token is bound to; empty for none
	TokenHash [32]byte // SHA-256 of the token
	CreatedAt time.Time
	RevokedAt time.Time // zero while valid
}

// Key is an idempotency key as one pairing sent it, with the fingerprint of the request it came with.
type Key struct {
	PairingID   string
	Text        string   // 1 to 255 visible ASCII characters
	Fingerprint [32]byte // SHA-256 over method, path and canonical JSON body
}

// Answer is what the caller was told when the request was accepted; a repeat gets it again.
type Answer struct {
	Status      int
	Location    string
	Body        json.RawMessage
	Fingerprint [32]byte // of the request that was answered, set when read back
}

// Event is one thing that happened, for listeners of the event stream. The store gives it its ID at commit.
type Event struct {
	ID      int64     // increases for ever, 0 until committed
	Type    string    // scan, payment, printJob, device, drawer, queue, sale, signin
	At      time.Time // UTC
	Scanner string    // set on scans: the scanner's name, for claims
	Owner   string    // set on scans of a claimed scanner: the only pairing that may see it
	Data    json.RawMessage
}

// NewEvent makes an event whose data is v as JSON. It panics only where v cannot be JSON at all, which is a
// programming error (all callers pass plain structs).
func NewEvent(typ string, at time.Time, v any) Event {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("journal: event %s: %v", typ, err))
	}
	return Event{Type: typ, At: at.UTC(), Data: data}
}

// Entry is what is written in the same commit as a state change.
type Entry struct {
	Key    *Key   // nil where the caller sent none
	Answer Answer // recorded under Key
	Events []Event
	Actor  Actor
}
