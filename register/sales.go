package register

import (
	"context"
	"net/http"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/sale"
	"storeagent/register/wire"
)

// byID is the path of one object.
type byID struct {
	ID string `path:"id" maxLength:"100"`
}

func page[T any](items []T, next string) *answer[wire.Page[T]] {
	if items == nil {
		items = []T{}
	}
	return ok(wire.Page[T]{Items: items, NextCursor: next})
}

func (s *Server) postSale(ctx context.Context, _ *nothing) (*answer[wire.SaleAccepted], error) {
	c := callOf(ctx)
	var out *answer[wire.SaleAccepted]
	_, err := s.cfg.Sales.Accept(durable(ctx), c.body, c.actor, func(r offline.Record) journal.Entry {
		out = &answer[wire.SaleAccepted]{Status: http.StatusCreated, Location: "/v1/sales/" + r.ID, Body: accepted(r)}
		return c.entry(out.Status, out.Location, out.Body)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func accepted(r offline.Record) wire.SaleAccepted {
	warnings := r.Warnings
	if warnings == nil {
		warnings = []sale.Warning{}
	}
	return wire.SaleAccepted{ID: r.ID, TransactionID: r.TransactionID, State: r.State, AcceptedAt: r.AcceptedAt, Warnings: warnings}
}

type saleQuery struct {
	State         offline.State `query:"state" enum:"queued,sending,delivered,in_doubt,parked,discarded"`
	TransactionID string        `query:"transactionId" maxLength:"200"`
	Since         time.Time     `query:"since" doc:"RFC 3339: accepted at or after"`
	Limit         int           `query:"limit" minimum:"1" maximum:"500" default:"100"`
	Cursor        string        `query:"cursor" maxLength:"200"`
}

func (s *Server) listSales(ctx context.Context, in *saleQuery) (*answer[wire.Page[offline.SaleView]], error) {
	list, next, err := s.cfg.Sales.Sales(ctx, offline.SaleFilter{
		State: in.State, TransactionID: in.TransactionID, Since: in.Since, Limit: in.Limit, Cursor: in.Cursor,
	})
	if err != nil {
		return nil, err
	}
	return page(list, next), nil
}

func (s *Server) getSale(ctx context.Context, in *byID) (*answer[offline.SaleView], error) {
	v, err := s.cfg.Sales.Sale(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return ok(v), nil
}

func (s *Server) getQueue(context.Context, *nothing) (*answer[offline.QueueStatus], error) {
	return ok(s.cfg.Queue.Status()), nil
}

type itemQuery struct {
	State  offline.State  `query:"state" enum:"queued,sending,delivered,in_doubt,parked,discarded"`
	Type   offline.OpType `query:"type" enum:"purchase,giftcardTrans,giftcardCapture"`
	Limit  int            `query:"limit" minimum:"1" maximum:"500" default:"100"`
	Cursor string         `query:"cursor" maxLength:"200"`
}

func (s *Server) listItems(ctx context.Context, in *itemQuery) (*answer[wire.Page[offline.Item]], error) {
	list, next, err := s.cfg.Queue.Items(ctx, offline.ItemFilter{State: in.State, Type: in.Type, Limit: in.Limit, Cursor: in.Cursor})
	if err != nil {
		return nil, err
	}
	return page(list, next), nil
}

type decisionInput struct {
	ID   string `path:"id" maxLength:"100"`
	Body wire.Decision
}

func (s *Server) resend(ctx context.Context, in *decisionInput) (*answer[wire.Decided], error) {
	return s.decide(ctx, offline.Decision{OpID: in.ID, Action: offline.Resend, Note: in.Body.Note}, offline.Queued)
}

func (s *Server) discard(ctx context.Context, in *decisionInput) (*answer[wire.Decided], error) {
	return s.decide(ctx, offline.Decision{OpID: in.ID, Action: offline.Discard, Note: in.Body.Note}, offline.Discarded)
}

func (s *Server) settle(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"100"`
	Body wire.Settle
}) (*answer[wire.Decided], error) {
	d := offline.Decision{OpID: in.ID, Action: offline.Settle, CloudID: in.Body.CloudID, Note: in.Body.Note}
	return s.decide(ctx, d, offline.Delivered)
}

// decide answers with where the decision leads, which is known before the commit that also keeps the answer.
func (s *Server) decide(ctx context.Context, d offline.Decision, leadsTo offline.State) (*answer[wire.Decided], error) {
	out := ok(wire.Decided{ID: d.OpID, Action: d.Action, State: leadsTo, At: time.Now().UTC().Truncate(time.Millisecond)})
	if _, err := s.cfg.Queue.Decide(durable(ctx), d, callOf(ctx).entry(out.Status, "", out.Body)); err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Server) pause(ctx context.Context, _ *nothing) (*answer[offline.QueueStatus], error) {
	if err := s.cfg.Queue.Pause(durable(ctx), callOf(ctx).actor); err != nil {
		return nil, err
	}
	return ok(s.cfg.Queue.Status()), nil
}

func (s *Server) resume(ctx context.Context, _ *nothing) (*answer[offline.QueueStatus], error) {
	if err := s.cfg.Queue.Resume(durable(ctx), callOf(ctx).actor); err != nil {
		return nil, err
	}
	return ok(s.cfg.Queue.Status()), nil
}

func (s *Server) drain(ctx context.Context, in *struct {
	Wait int `query:"wait" minimum:"0" maximum:"120" default:"30" doc:"Seconds to wait at most"`
}) (*answer[offline.QueueStatus], error) {
	ctx, cancel := s.waiting(ctx, in.Wait)
	defer cancel()
	return ok(s.cfg.Queue.Drain(ctx)), nil
}
