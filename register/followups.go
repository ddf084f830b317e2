package register

import (
	"context"
	"errors"
	"net/http"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/register/wire"
)

// follow answers a void, capture or tip: 202 with the payment, on disk with its new operation.
func (s *Server) follow(ctx context.Context, do func(entry func(payments.Payment) journal.Entry) (payments.Payment, error)) (*answer[payments.Payment], error) {
	c := callOf(ctx)
	var out *answer[payments.Payment]
	_, err := do(func(p payments.Payment) journal.Entry {
		out = &answer[payments.Payment]{Status: http.StatusAccepted, Location: "/v1/payments/" + p.ID, Body: shown(p)}
		return c.entry(out.Status, out.Location, out.Body)
	})
	switch {
	case errors.Is(err, payments.ErrAmount):
		return nil, invalid(field("amount", "is more than was authorized"))
	case errors.Is(err, payments.ErrNoTerminal):
		no := refuse(http.StatusConflict, "terminal_gone", "The terminal of this payment is not configured any more.",
			"Configure it again under the same name, or make a refund at another terminal.")
		no.cause = err
		return nil, no
	case err != nil:
		return nil, err
	}
	return out, nil
}

func (s *Server) voidPayment(ctx context.Context, in *byID) (*answer[payments.Payment], error) {
	return s.follow(ctx, func(entry func(payments.Payment) journal.Entry) (payments.Payment, error) {
		return s.cfg.Payments.Void(durable(ctx), in.ID, entry)
	})
}

// amountInput is the path and body of capture and tip.
type amountInput struct {
	ID   string `path:"id" maxLength:"100"`
	Body *wire.AmountRequest
}

// amountOf reads the amount in the payment's currency; nil where none was sent.
func (s *Server) amountOf(ctx context.Context, in *amountInput) (*money.Amount, error) {
	p, err := s.cfg.Payments.Payment(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if in.Body == nil || in.Body.Amount == "" {
		return nil, nil
	}
	a, err := s.amount("amount", in.Body.Amount, p.Currency)
	return &a, err
}

func (s *Server) capturePayment(ctx context.Context, in *amountInput) (*answer[payments.Payment], error) {
	amount, err := s.amountOf(ctx, in)
	if err != nil {
		return nil, err
	}
	return s.follow(ctx, func(entry func(payments.Payment) journal.Entry) (payments.Payment, error) {
		return s.cfg.Payments.Capture(durable(ctx), in.ID, amount, entry)
	})
}

func (s *Server) tipPayment(ctx context.Context, in *amountInput) (*answer[payments.Payment], error) {
	amount, err := s.amountOf(ctx, in)
	if err != nil {
		return nil, err
	}
	if amount == nil {
		return nil, invalid(field("amount", "is required: the tip"))
	}
	return s.follow(ctx, func(entry func(payments.Payment) journal.Entry) (payments.Payment, error) {
		return s.cfg.Payments.Tip(durable(ctx), in.ID, *amount, entry)
	})
}

// unreachable explains what a terminal could not be asked.
func unreachable(err error) error {
	for _, decided := range []error{payments.ErrNoTerminal, payments.ErrUnsupported, payments.ErrTerminalBusy, payments.ErrTerminalInDoubt, journal.ErrStorageFull} {
		if errors.Is(err, decided) {
			return err
		}
	}
	no := refuse(http.StatusServiceUnavailable, "terminal_unreachable", "The terminal did not do it.",
		"Look at its display, its power and its cable; GET /v1/devices shows what it last said.")
	no.cause = err
	return no
}

func (s *Server) endOfDay(ctx context.Context, in *byName) (*answer[payments.Closing], error) {
	c := callOf(ctx)
	var out *answer[payments.Closing]
	_, err := s.cfg.Payments.EndOfDay(durable(ctx), in.Name, s.cfg.Currency, func(closing payments.Closing) journal.Entry {
		out = ok(closing)
		return c.entry(out.Status, "", out.Body)
	})
	if err != nil {
		return nil, unreachable(err)
	}
	return out, nil
}

func (s *Server) terminalTotals(ctx context.Context, in *byName) (*answer[payments.Closing], error) {
	closing, err := s.cfg.Payments.Totals(ctx, in.Name, s.cfg.Currency)
	if err != nil {
		return nil, unreachable(err)
	}
	return ok(closing), nil
}

func (s *Server) displayOnTerminal(ctx context.Context, in *struct {
	Name string `path:"name" maxLength:"100"`
	Body wire.TerminalDisplay
}) (*answer[wire.TerminalDisplay], error) {
	err := s.cfg.Payments.Display(ctx, in.Name, in.Body.Lines, time.Duration(in.Body.Seconds)*time.Second)
	if err != nil {
		return nil, unreachable(err)
	}
	return ok(in.Body), nil
}
