package offline

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"storeagent/internal/journal"
)

// Decisions of callers who move a queue, by errors.Is.
var (
	// ErrNothing means that there is nothing undelivered to move.
	ErrNothing = errors.New("nothing is undelivered")
	// ErrPassphrase means that a moved queue cannot be opened: the passphrase is wrong, or the file was changed or cut.
	ErrPassphrase = errors.New("wrong passphrase, or the file was changed")
	// ErrMoveFile means that something is not the file of a moved queue at all.
	ErrMoveFile = errors.New("this is not a queue that was exported with --move")
)

// Carried is one undelivered operation with its sale, on its way to a person or to another machine.
type Carried struct {
	Operation Operation
	Sale      *Record   // nil for operations without one
	Card      *Giftcard // of gift card operations, with its operations as far as they matter

	code, pin string // of Card, in clear: only between the two seals
}

// Event tells listeners how the sale of an operation stands by it; ok is false where it has none.
func (c Carried) Event(at time.Time) (e journal.Event, ok bool) {
	if c.Sale == nil {
		return e, false
	}
	return saleEvent(at, saleView(*c.Sale, []Operation{c.Operation})), true
}

// MovedIn is what became of operations that another machine handed over.
type MovedIn struct {
	Taken     int      `json:"taken" doc:"Operations that are now this agent's"`
	Present   int      `json:"present" doc:"Operations that were here already; nothing was changed"`
	MovedAway int      `json:"movedAway,omitempty" doc:"Of those present: handed over from here before, and never sent from here again"`
	Sales     int      `json:"sales" doc:"Sales that came with them"`
	Refused   []string `json:"refused,omitempty" doc:"Transaction ids whose sale was accepted here too; they were not taken in"`
}

// Mover is the durable side of moving a queue; offline/sqlite implements it on the outbox. Moved operations count as
// undelivered nowhere but on the machine they went to.
type Mover interface {
	// Undelivered reads what is queued, sending, in doubt or parked, but not what was moved away, in Seq order after a
	// Seq.
	Undelivered(ctx context.Context, after int64, limit int) ([]Carried, error)
	// MoveOut parks everything undelivered as moved and keeps the file that seal makes of it, in one step: after a
	// crash either both are there or neither. ErrNothing, ErrState while something is being sent.
	MoveOut(ctx context.Context, id string, seal func([]Carried) ([]byte, error), e journal.Entry, note string) (int, error)
	// MoveFile reads the file of an earlier MoveOut; journal.ErrNotFound.
	MoveFile(id string) ([]byte, error)
	// MoveIn takes operations over. Those that are here already, moved away or not, are left alone.
	MoveIn(ctx context.Context, id string, list []Carried, e journal.Entry) (MovedIn, error)
	// NoteExported remembers that a person has a copy of everything undelivered up to a Seq.
	NoteExported(ctx context.Context, seq int64, by journal.Actor) error
	// Exported tells whether a person has a copy of everything that is undelivered now.
	Exported(ctx context.Context) (bool, error)
}

// Exported is one undelivered operation as GET /v1/queue/export shows it. It holds no codes and no PINs: the content
// is shown for purchases only.
type Exported struct {
	Item
	Sale json.RawMessage `json:"sale,omitempty" doc:"As posted"`
}

// Move is one queue that was packed up for another machine.
type Move struct {
	ID         string    `json:"id"`
	Operations int       `json:"operations"`
	At         time.Time `json:"at"`
	File       []byte    `json:"-"`
}

// Format of the file: a line of JSON (moveHead), then one line of base64 for each part. A part is AES-256-GCM over a
// JSON array of operations; its nonce is the number of the part and whether it is the last, so that parts cannot be
// swapped, dropped or cut off; the head is authenticated with each. The key is PBKDF2-HMAC-SHA256 (RFC 8018) of the
// passphrase.
const (
	moveFormat     = "storeagent-queue-1"
	moveIterations = 600_000  // OWASP Password Storage Cheat Sheet, PBKDF2-HMAC-SHA256
	moveMost       = 10 << 20 // iterations that a file may ask for
	movePart       = 512 << 10
)

type moveHead struct {
	Format     string    `json:"format"`
	ID         string    `json:"id"`
	At         time.Time `json:"at"`
	From       string    `json:"from"`
	Operations int       `json:"operations"`
	Iterations int       `json:"iterations"`
	Salt       []byte    `json:"salt"`
}

// travelled is an operation in the file.
type travelled struct {
	Operation Operation `json:"operation"`
	Sale      *Record   `json:"sale,omitempty"`
	Same      bool      `json:"same,omitempty"` // the payload is the sale's body
	Card      *Giftcard `json:"card,omitempty"`
	Code      string    `json:"code,omitempty"`
	PIN       string    `json:"pin,omitempty"`
}

// MovePart is one part of a moved queue, as it is handed in: the head line and the part's line of the file.
type MovePart struct {
	Head       string
	Part       string
	Index      int // from 0
	Last       bool
	Passphrase string
}

// moveCipher makes the cipher of a file.
func moveCipher(h moveHead, passphrase string) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha256.New, passphrase, h.Salt, h.Iterations, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func moveNonce(index int, last bool) []byte {
	n := make([]byte, 12)
	binary.BigEndian.PutUint32(n[4:], uint32(index)) //nolint:gosec // counted from 0
	if last {
		n[11] = 1
	}
	return n
}

// sealMove packs operations up.
func sealMove(h moveHead, aead cipher.AEAD, list []Carried) ([]byte, error) {
	h.Operations = len(list)
	head, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	parts, err := splitMove(list)
	if err != nil {
		return nil, err
	}
	out := append(bytes.Clone(head), '\n')
	for i, p := range parts {
		line := aead.Seal(nil, moveNonce(i, i == len(parts)-1), p, head)
		out = base64.StdEncoding.AppendEncode(out, line)
		out = append(out, '\n')
	}
	return out, nil
}

// splitMove writes operations as JSON arrays of a manageable size.
func splitMove(list []Carried) ([][]byte, error) {
	var parts [][]byte
	part := []byte{'['}
	for _, c := range list {
		t := travelled{Operation: c.Operation, Sale: c.Sale, Card: c.Card, Code: c.code, PIN: c.pin}
		if c.Sale != nil && bytes.Equal(c.Sale.Body, c.Operation.Payload) {
			t.Same, t.Operation.Payload = true, nil
		}
		one, err := json.Marshal(t)
		if err != nil {
			return nil, err
		}
		if len(part) > 1 && len(part)+len(one) > movePart {
			parts, part = append(parts, append(part, ']')), []byte{'['}
		}
		if len(part) > 1 {
			part = append(part, ',')
		}
		part = append(part, one...)
	}
	return append(parts, append(part, ']')), nil
}

// OpenMove checks one part of a moved queue and unpacks it; id is the move's, total how many operations the whole file
// holds. Errors: ErrMoveFile, ErrPassphrase.
func OpenMove(p MovePart) (id string, total int, list []Carried, err error) {
	var h moveHead
	if err := json.Unmarshal([]byte(p.Head), &h); err != nil || h.Format != moveFormat || h.Iterations < 1 || h.Iterations > moveMost {
		return "", 0, nil, ErrMoveFile
	}
	if _, err := uuid.Parse(h.ID); err != nil {
		return "", 0, nil, ErrMoveFile
	}
	sealed, err := base64.StdEncoding.DecodeString(p.Part)
	if err != nil || p.Index < 0 {
		return "", 0, nil, ErrMoveFile
	}
	aead, err := moveCipher(h, p.Passphrase)
	if err != nil {
		return "", 0, nil, fmt.Errorf("open moved queue: %w", err)
	}
	plain, err := aead.Open(nil, moveNonce(p.Index, p.Last), sealed, []byte(p.Head))
	if err != nil {
		return "", 0, nil, ErrPassphrase
	}
	var in []travelled
	if err := json.Unmarshal(plain, &in); err != nil {
		return "", 0, nil, fmt.Errorf("open moved queue: %w", err)
	}
	for _, t := range in {
		if t.Same && t.Sale != nil {
			t.Operation.Payload = t.Sale.Body
		}
		if err := t.fits(); err != nil {
			return "", 0, nil, err
		}
		list = append(list, Carried{Operation: t.Operation, Sale: t.Sale, Card: t.Card, code: t.Code, pin: t.PIN})
	}
	return h.ID, h.Operations, list, nil
}

// fits checks that an operation is whole and may wait here in its state.
func (t travelled) fits() error {
	op := t.Operation
	if sha256.Sum256(op.Payload) != op.ContentHash || (op.SaleID != "") != (t.Sale != nil) || t.Sale != nil && t.Sale.ID != op.SaleID ||
		(op.Type != Purchase) != (t.Card != nil) {
		return fmt.Errorf("open moved queue: operation %s is not whole", op.ID)
	}
	switch op.State {
	case Queued, InDoubt, Parked:
		return nil
	}
	return fmt.Errorf("open moved queue: operation %s is %s", op.ID, op.State)
}

// MoveOut packs everything undelivered up for another machine, encrypted under the passphrase, and parks it here for
// good. Attempts under way end first; none begins meanwhile. Errors: ErrNothing, ErrState where an attempt did not end
// before ctx did.
func (d *Desk) MoveOut(ctx context.Context, passphrase, note string, by journal.Actor) (Move, error) {
	if d.cfg.Moves == nil {
		return Move{}, errors.New("move the queue: this store cannot")
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Move{}, fmt.Errorf("move the queue: %w", err)
	}
	h := moveHead{Format: moveFormat, ID: id.String(), At: time.Now().UTC(), From: d.cfg.StoreCode + "/" + d.cfg.Register,
		Iterations: d.cfg.MoveIterations, Salt: make([]byte, 16)}
	if h.Iterations <= 0 {
		h.Iterations = moveIterations
	}
	if _, err := rand.Read(h.Salt); err != nil {
		return Move{}, fmt.Errorf("move the queue: %w", err)
	}
	aead, err := moveCipher(h, passphrase)
	if err != nil {
		return Move{}, fmt.Errorf("move the queue: %w", err)
	}
	defer d.f.still(ctx)()
	n, err := d.cfg.Moves.MoveOut(context.WithoutCancel(ctx), h.ID, func(list []Carried) ([]byte, error) {
		if err := d.unsealCards(ctx, list); err != nil {
			return nil, err
		}
		return sealMove(h, aead, list)
	}, journal.Entry{Actor: by}, note)
	if err != nil {
		return Move{}, err
	}
	d.f.refresh(context.WithoutCancel(ctx))
	d.cfg.Log.InfoContext(ctx, "the queue was moved away", "move", h.ID, "operations", n, "by", by.Name)
	return Move{ID: h.ID, Operations: n, At: h.At}, nil
}

var errNoCards = errors.New("there are gift cards in it, and this agent has no key for their codes")

// unsealCards opens the codes and PINs for the journey; the file is encrypted as a whole.
func (d *Desk) unsealCards(ctx context.Context, list []Carried) error {
	for i := range list {
		c := &list[i]
		if c.Card == nil {
			continue
		}
		if d.f.cards == nil {
			return errNoCards
		}
		g := *c.Card
		var err error
		if c.code, err = d.f.cards.seal.open(ctx, g.ID, "code", g.SealedCode); err != nil {
			return err
		}
		if c.pin, err = d.f.cards.seal.open(ctx, g.ID, "pin", g.SealedPIN); err != nil {
			return err
		}
		g.SealedCode, g.SealedPIN, g.Stream = nil, nil, ""
		c.Card = &g
	}
	return nil
}

// sealCards closes them again under this machine's key, by which the cards have other streams too.
func (d *Desk) sealCards(ctx context.Context, list []Carried) error {
	for i := range list {
		c := &list[i]
		if c.Card == nil {
			continue
		}
		if d.f.cards == nil {
			return errNoCards
		}
		seal, g := d.f.cards.seal, *c.Card
		var err error
		if g.Stream, err = seal.stream(ctx, c.code); err != nil {
			return err
		}
		if g.SealedCode, err = seal.seal(ctx, g.ID, "code", c.code); err != nil {
			return err
		}
		if g.SealedPIN, err = seal.seal(ctx, g.ID, "pin", c.pin); err != nil {
			return err
		}
		g.Trans.Stream, c.Operation.Stream = g.Stream, g.Stream
		c.Card, c.code, c.pin = &g, "", ""
	}
	return nil
}

// still lets no attempt begin and waits for those under way, or for ctx. The returned function lets them begin again.
func (f *Forwarder) still(ctx context.Context) func() {
	f.mu.Lock()
	f.stilled++
	f.mu.Unlock()
	goOn := func() {
		f.mu.Lock()
		f.stilled--
		f.mu.Unlock()
		f.Wake()
	}
	for {
		f.mu.Lock()
		flying, changed := len(f.flying), f.changed
		f.mu.Unlock()
		if flying == 0 {
			return goOn
		}
		select {
		case <-ctx.Done():
			return goOn
		case <-changed:
		}
	}
}

// MoveFile gives the file of an earlier MoveOut again, or journal.ErrNotFound.
func (d *Desk) MoveFile(_ context.Context, id string) ([]byte, error) {
	if d.cfg.Moves == nil {
		return nil, fmt.Errorf("read move: %w", journal.ErrNotFound)
	}
	return d.cfg.Moves.MoveFile(id)
}

// MoveIn takes one part of another machine's queue over. Done again it changes nothing. Errors: ErrMoveFile,
// ErrPassphrase, journal.ErrStorageFull.
func (d *Desk) MoveIn(ctx context.Context, p MovePart, by journal.Actor) (MovedIn, error) {
	if d.cfg.Moves == nil {
		return MovedIn{}, errors.New("take in a moved queue: this store cannot")
	}
	id, _, list, err := OpenMove(p)
	if err != nil {
		return MovedIn{}, err
	}
	if err := d.sealCards(ctx, list); err != nil {
		return MovedIn{}, fmt.Errorf("take in a moved queue: %w", err)
	}
	out, err := d.cfg.Moves.MoveIn(ctx, id, list, journal.Entry{Actor: by})
	if err != nil {
		return MovedIn{}, err
	}
	d.f.mu.Lock()
	d.f.unsure, d.f.unsureAt = true, time.Time{} // some may be in doubt
	d.f.mu.Unlock()
	d.f.refresh(context.WithoutCancel(ctx))
	d.f.Wake()
	return out, nil
}

// exportPage is how many operations are read at once.
const exportPage = 100

// Export hands over everything undelivered, oldest first, without codes and PINs, and remembers that a person has it
// once each has taken all of it.
func (d *Desk) Export(ctx context.Context, by journal.Actor, each func(Exported) error) error {
	if d.cfg.Moves == nil {
		return errors.New("export the queue: this store cannot")
	}
	after := int64(0)
	for {
		list, err := d.cfg.Moves.Undelivered(ctx, after, exportPage)
		if err != nil {
			return err
		}
		for _, c := range list {
			x := Exported{Item: c.Operation.Item()}
			if c.Operation.Type == Purchase && c.Sale != nil {
				x.Sale = c.Sale.Body
			}
			if err := each(x); err != nil {
				return err
			}
			after = c.Operation.Seq
		}
		if len(list) < exportPage {
			return d.cfg.Moves.NoteExported(ctx, after, by)
		}
	}
}

// Attempts counts the attempts since the start by the word of their class.
func (d *Desk) Attempts() map[string]int { return d.f.Attempts() }

// Leaving says what would be left behind undelivered, and whether a person has a copy of all of it.
func (d *Desk) Leaving(ctx context.Context) (Exposure, bool, error) {
	d.f.refresh(ctx)
	exposure := d.Status().Exposure
	if d.cfg.Moves == nil {
		return exposure, false, nil
	}
	exported, err := d.cfg.Moves.Exported(ctx)
	return exposure, exported, err
}
