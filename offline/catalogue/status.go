package catalogue

import (
	"errors"
	"fmt"
	"time"

	"storeagent/offline"
)

// State is how a feed stands.
type State string

// The states of a feed.
const (
	Waiting State = "waiting" // nothing fetched yet
	Syncing State = "syncing" // a pass is under way
	Fresh   State = "fresh"
	Stale   State = "stale"  // the last looks failed, or there was no way to the cloud for long
	Paused  State = "paused" // the account may not see it, or the tenant has no such query
)

// FeedStatus is one feed in GET /v1/catalog.
type FeedStatus struct {
	Kind     Feed           `json:"kind" enum:"item,itemWarehouse,customer,itemSerialLot,sale"`
	State    State          `json:"state" enum:"waiting,syncing,fresh,stale,paused"`
	Complete bool           `json:"complete" doc:"A first pass has ended, so that what is not here does not exist"`
	Rows     int            `json:"rows" doc:"In the local copy"`
	Received int            `json:"received" doc:"Rows of the present or last pass; the cloud tells no total"`
	Full     bool           `json:"full" doc:"That pass reads everything, not just changes"`
	SyncedAt *time.Time     `json:"syncedAt,omitempty" doc:"When the last pass ended"`
	NextAt   *time.Time     `json:"nextAt,omitempty" doc:"When changes are looked for next"`
	Error    *offline.Fault `json:"error,omitempty"`
}

// Status is GET /v1/catalog and the data of catalog events.
type Status struct {
	Complete bool         `json:"complete" doc:"Items and their prices are here in full"`
	Items    []FeedStatus `json:"items" nullable:"false"`
	OnDemand []string     `json:"onDemand" nullable:"false" doc:"Kinds that GET /v1/catalog/{kind} asks the cloud for"`
}

// Status tells how fresh the copy is, from memory.
func (c *Catalogue) Status() Status {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	st := Status{OnDemand: Kinds()}
	for _, name := range Feeds() {
		st.Items = append(st.Items, c.feedStatus(name, now))
	}
	st.Complete = st.Items[0].Complete && st.Items[1].Complete
	return st
}

func (c *Catalogue) feedStatus(name Feed, now time.Time) FeedStatus {
	f := c.feeds[name]
	s := FeedStatus{Kind: name, State: Fresh, Complete: !f.pos.CompletedAt.IsZero(), Rows: c.counts[name], Received: f.pos.Received, Full: f.pos.Full}
	if f.pos.Open { // counted when the pass ends; the rows of a first pass are those received
		s.Rows = max(s.Rows, f.pos.Received)
	}
	if at := f.pos.CompletedAt; s.Complete {
		s.SyncedAt = &at
	}
	if at := f.nextAt; !at.IsZero() && !f.pos.Open {
		s.NextAt = &at
	}
	switch {
	case errors.Is(f.problem, ErrNotAllowed), errors.Is(f.problem, ErrUnsupported):
		s.State = Paused
	case f.pos.Open && f.problem == nil:
		s.State = Syncing
	case !s.Complete:
		s.State = Waiting
	case f.problem != nil, now.Sub(f.pos.CompletedAt) > 3*max(8*c.cfg.Every, 2*time.Hour):
		s.State = Stale
	}
	if f.problem != nil {
		s.Error = fault(f.problem)
	}
	return s
}

func fault(err error) *offline.Fault {
	code := "fetch_failed"
	switch {
	case errors.Is(err, ErrNotAllowed):
		code = "not_allowed"
	case errors.Is(err, ErrUnsupported):
		code = "not_offered"
	case signedOut(err):
		code = "signed_out"
	}
	return &offline.Fault{Code: code, Message: err.Error()}
}

// Problems lists what a person should see to, from memory.
func (c *Catalogue) Problems() []offline.Problem {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []offline.Problem{}
	for _, name := range Feeds() {
		err := c.feeds[name].problem
		switch {
		case errors.Is(err, ErrNotAllowed):
			out = append(out, offline.Problem{Code: "catalog_not_allowed", Severity: "warning",
				Message: fmt.Sprintf("The cloud account may not read %s; that part of the catalogue stays as it is.", name),
				Hint:    "Give the account's role the permission " + permission(name) + " at the cloud; it is tried again every hour, or now by: storeagent catalog sync."})
		case errors.Is(err, ErrUnsupported) && (name == Items || name == Stock):
			out = append(out, offline.Problem{Code: "catalog_not_offered", Severity: "warning",
				Message: fmt.Sprintf("The cloud has no query %s.", name), Hint: "Ask the vendor whether this edition serves it; the register can still sell."})
		}
	}
	return out
}

// permission names what the vendor's pages ask for.
func permission(f Feed) string {
	switch f {
	case Customers:
		return "ViewCustomers"
	case Sales:
		return "ViewSales"
	}
	return "ViewInventory"
}
