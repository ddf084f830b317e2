package offline

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"storeagent/internal/journal"
	"storeagent/offline/sale"
)

// DeskConfig is what a Desk needs; all but Moves, MoveIterations and Location are required.
type DeskConfig struct {
	Store     Store
	Forwarder *Forwarder
	Moves     Mover // nil: the queue can be neither exported nor moved
	// MoveIterations is how often a moved queue's passphrase is hashed; 0 is 600,000. Fewer only where time counts more
	// than secrecy: in tests.
	MoveIterations int
	Log            *slog.Logger

	StoreCode string         // for sales that name none
	Register  string         // this lane's name, for the log
	Currency  string         // ISO 4217, for sales that name none
	Location  *time.Location // of the store, nil is UTC

	// SendPurchases is false where another path already reports this register's sales to the cloud, which does not
	// look for duplicates. A sale is then kept for receipts, refunds and tender claims, gets no operation, is
	// discarded from the start rather than queued or delivered, and says so by the warning not_sent. Purchases that
	// were queued before the setting changed are still sent: their register was told that they would be.
	SendPurchases bool
}

// Desk accepts sales into the outbox, shows them, and steers the queue. Safe for concurrent use.
type Desk struct {
	cfg DeskConfig
	f   *Forwarder
}

// NewDesk checks the configuration.
func NewDesk(c DeskConfig) (*Desk, error) {
	if c.Store == nil || c.Forwarder == nil || c.Log == nil || c.StoreCode == "" {
		return nil, errors.New("make sales desk: store, forwarder, log and store code are needed")
	}
	c.Log = c.Log.With("register", c.Register)
	return &Desk{cfg: c, f: c.Forwarder}, nil
}

// Accept decodes, checks and commits a posted sale with its operation, and leaves sending to the forwarder. entry is
// called with the record to be written and gives answer and key of the same commit. Errors: *sale.FieldErrors,
// *DuplicateError, *TenderError, journal.ErrStorageFull, journal.ErrKeyUsed.
func (d *Desk) Accept(ctx context.Context, body json.RawMessage, by journal.Actor, entry func(Record) journal.Entry) (Record, error) {
	s, err := sale.Decode(body, sale.Defaults{StoreCode: d.cfg.StoreCode, Currency: d.cfg.Currency, Location: d.cfg.Location})
	if err != nil {
		return Record{}, err
	}
	rec, err := d.record(s, by)
	if err != nil {
		return Record{}, err
	}
	a := Acceptance{Record: rec}
	if err := d.captures(ctx, &a); err != nil {
		return Record{}, err
	}
	if len(a.Operations) > 0 { // captures go out also where purchases do not
		a.Record.State = Queued
	}
	rec = a.Record
	first := false
	if d.cfg.SendPurchases {
		var op Operation
		if op, first, err = d.purchase(ctx, rec, s.RefundOf()); err != nil {
			return Record{}, err
		}
		op.DependsOn = a.waitsFor
		a.Operations = append(a.Operations, op)
	}
	e := entry(rec)
	e.Events = append(e.Events, saleEvent(rec.AcceptedAt, saleView(rec, a.Operations)))
	if err := d.cfg.Store.AcceptSale(ctx, a, e); err != nil {
		return Record{}, fmt.Errorf("accept sale: %w", err)
	}
	d.cfg.Log.DebugContext(ctx, "sale accepted", "sale", rec.ID, "transaction", rec.TransactionID, "kind", rec.Kind)
	d.f.refresh(context.WithoutCancel(ctx))
	if last := len(a.Operations) - 1; first && len(a.waitsFor) == 0 { // of its stream
		d.f.accepted(a.Operations[last].ID)
	}
	d.f.Wake()
	return rec, nil
}

func (d *Desk) record(s sale.Sale, by journal.Actor) (Record, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Record{}, fmt.Errorf("make sale id: %w", err)
	}
	rec := Record{
		ID: id.String(), StoreCode: s.StoreCode, TransactionID: s.TransactionID, Kind: s.Kind, Currency: s.Currency,
		Amount: s.PayAmount, Body: s.Body, ContentHash: s.ContentHash, Warnings: s.Warnings, Tenders: []Tender{},
		AcceptedAt: time.Now().UTC().Truncate(time.Millisecond), AcceptedBy: by.PairingID, State: Queued,
	}
	for _, t := range s.Tenders {
		rec.Tenders = append(rec.Tenders, Tender(t))
	}
	if !d.cfg.SendPurchases {
		rec.State = Discarded
		rec.Warnings = append(rec.Warnings, sale.Warning{
			Code: "not_sent", Message: "the sale is kept here and not sent to the cloud: cloud.send_purchases is off",
		})
	}
	return rec, nil
}

// purchase makes the operation of a sale. One that refers to an earlier sale goes behind it in its stream, so that
// the cloud never hears of a refund before its sale; first tells that it opens a stream of its own.
func (d *Desk) purchase(ctx context.Context, rec Record, refundOf string) (op Operation, first bool, err error) {
	stream := ""
	if refundOf != "" {
		if stream, err = d.cfg.Store.SaleStream(ctx, rec.StoreCode, refundOf); err != nil {
			return Operation{}, false, fmt.Errorf("find the refunded sale: %w", err)
		}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Operation{}, false, fmt.Errorf("make operation id: %w", err)
	}
	if first = stream == ""; first {
		stream = rec.ID
	}
	return Operation{
		ID: id.String(), Type: Purchase, SaleID: rec.ID, Stream: stream, Payload: rec.Body,
		ContentHash: sha256.Sum256(rec.Body), Ref: rec.TransactionID, Amount: rec.Amount, Currency: rec.Currency,
		State: Queued, CreatedAt: rec.AcceptedAt,
	}, first, nil
}

// Sale shows one sale, or fails with journal.ErrNotFound.
func (d *Desk) Sale(ctx context.Context, id string) (SaleView, error) {
	return d.cfg.Store.Sale(ctx, id)
}

// Sales lists sales and gives the cursor of the next page, "" on the last.
func (d *Desk) Sales(ctx context.Context, f SaleFilter) ([]SaleView, string, error) {
	return d.cfg.Store.Sales(ctx, f)
}

// Status is how the queue stands, from memory.
func (d *Desk) Status() QueueStatus { return d.f.Status() }

// Problems lists what a person should know about the queue, from memory.
func (d *Desk) Problems() []Problem { return d.f.Problems() }

// Items lists operations in order of acceptance and gives the cursor of the next page, "" on the last.
func (d *Desk) Items(ctx context.Context, f ItemFilter) ([]Item, string, error) {
	ops, next, err := d.cfg.Store.Operations(ctx, f)
	if err != nil {
		return nil, "", err
	}
	items := make([]Item, 0, len(ops))
	for _, op := range ops {
		items = append(items, op.Item())
	}
	return items, next, nil
}

// Decide commits a person's decision about one operation. Errors: ErrState, ErrCloudID, journal.ErrNotFound, journal.ErrKeyUsed,
// journal.ErrStorageFull.
func (d *Desk) Decide(ctx context.Context, dec Decision, e journal.Entry) (Item, error) {
	op, blocked, err := d.decide(ctx, dec, e)
	if err != nil {
		return Item{}, err
	}
	d.cfg.Log.InfoContext(ctx, "a person decided", "operation", op.ID, "action", dec.Action, "by", e.Actor.Name)
	if blocked && dec.Action == Resend {
		d.f.retryStopped()
	}
	d.f.refresh(context.WithoutCancel(ctx))
	d.f.Wake()
	return op.Item(), nil
}

// decide commits the decision and tells whether the operation was parked for want of a permission.
func (d *Desk) decide(ctx context.Context, dec Decision, e journal.Entry) (op Operation, blocked bool, err error) {
	select {
	case d.f.deciding <- struct{}{}:
		defer func() { <-d.f.deciding }()
	case <-ctx.Done():
		return op, false, ctx.Err()
	}
	if op, err = d.cfg.Store.Operation(ctx, dec.OpID); err != nil {
		return op, false, err
	}
	blocked = op.Reason == Blocked
	now := time.Now()
	op.Reason = ""
	switch dec.Action {
	case Resend:
		op.State, op.Error = Queued, nil
	case Settle:
		if dec.ExpiresAt, err = d.f.seen(op, dec); err != nil {
			return op, false, fmt.Errorf("decide on %s: %w", dec.OpID, err)
		}
		op.State, op.CloudID, op.DeliveredAt = Delivered, dec.CloudID, now
	case Discard:
		op.State = Discarded
	default:
		return op, false, fmt.Errorf("decide on %s: no action %q", dec.OpID, dec.Action)
	}
	events, err := opEvents(ctx, d.cfg.Store, now, op, Result{ExpiresAt: dec.ExpiresAt})
	if err != nil {
		return op, false, err
	}
	e.Events = append(e.Events, events...)
	if op, err = d.cfg.Store.Decide(ctx, dec, e); err != nil {
		return op, false, fmt.Errorf("decide on %s: %w", dec.OpID, err)
	}
	return op, blocked, nil
}

// Pause holds the queue, also over restarts; what is under way ends.
func (d *Desk) Pause(ctx context.Context, by journal.Actor) error { return d.f.Pause(ctx, by) }

// Resume lets the queue go on.
func (d *Desk) Resume(ctx context.Context, by journal.Actor) error { return d.f.Resume(ctx, by) }

// Drain tries now and waits until nothing is queued or sending, or ctx ends.
func (d *Desk) Drain(ctx context.Context) QueueStatus { return d.f.Drain(ctx) }
