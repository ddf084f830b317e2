package register

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments"
	"storeagent/payments/money"
	"storeagent/register/wire"
)

// amount reads a positive amount of a request.
func (s *Server) amount(location, text, currency string) (money.Amount, error) {
	if currency == "" {
		currency = s.cfg.Currency
	}
	a, err := money.Parse(text, currency)
	switch {
	case errors.Is(err, money.ErrCurrency):
		return a, invalid(field("currency", "is not an ISO 4217 code like USD"))
	case err != nil:
		digits, _ := money.Digits(currency) // Parse took the currency
		return a, invalid(field(location, fmt.Sprintf(`expected a decimal text like "12.50" with at most %d digits behind the point`, digits)))
	case a.Sign() <= 0:
		return a, invalid(field(location, "must be above zero; the type says which way the money goes"))
	}
	return a, nil
}

func (s *Server) postPayment(ctx context.Context, in *struct{ Body wire.PaymentRequest }) (*answer[payments.Payment], error) {
	c, body := callOf(ctx), in.Body
	amount, err := s.amount("amount", body.Amount, body.Currency)
	if err != nil {
		return nil, err
	}
	var tip money.Amount
	if body.TipAmount != "" {
		if tip, err = s.amount("tipAmount", body.TipAmount, body.Currency); err != nil {
			return nil, err
		}
		if body.Type != payments.Sale {
			return nil, invalid(field("tipAmount", "belongs to sales only"))
		}
		if _, err := amount.Add(tip); err != nil {
			return nil, invalid(field("tipAmount", "is too high"))
		}
	}
	if body.OriginalPaymentID != "" && body.Type != payments.Refund {
		return nil, invalid(field("originalPaymentId", "belongs to refunds only"))
	}
	var out *answer[payments.Payment]
	_, err = s.cfg.Payments.Start(durable(ctx), payments.Request{
		Type: body.Type, Amount: amount, Tip: tip, Terminal: body.Terminal, Reference: body.Reference, OriginalPaymentID: body.OriginalPaymentID,
	}, func(p payments.Payment) journal.Entry {
		out = &answer[payments.Payment]{Status: http.StatusAccepted, Location: "/v1/payments/" + p.ID, Body: shown(p)}
		return c.entry(out.Status, out.Location, out.Body)
	})
	switch {
	case errors.Is(err, payments.ErrOriginal):
		return nil, invalid(field("originalPaymentId", "names no approved payment that money can be given back of"))
	case errors.Is(err, payments.ErrAmount):
		return nil, invalid(field("amount", "is more than the original payment has"))
	case errors.Is(err, money.ErrCurrency):
		return nil, invalid(field("currency", "is not the currency of the original payment"))
	}
	if errors.Is(err, payments.ErrUnsupported) && !errors.Is(err, payments.ErrForeign) && tip != (money.Amount{}) {
		no := refuse(http.StatusUnprocessableEntity, "unsupported_by_terminal", "This terminal takes no tip along with the payment.",
			"Leave tipAmount out and add the tip afterwards with POST /v1/payments/{id}/tip, or to amount; capabilities in GET /v1/terminals say what it can do.")
		no.cause = err
		return nil, no
	}
	if errors.Is(err, payments.ErrNoTerminal) {
		no := invalid(field("terminal", "names no configured terminal; with several terminals it cannot be left out"))
		no.code, no.hint = "unknown_terminal", "GET /v1/terminals lists the terminals."
		return nil, no
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// shown has no null where the contract has a list.
func shown(p payments.Payment) payments.Payment {
	if p.Receipt.Customer == nil {
		p.Receipt.Customer = []string{}
	}
	if p.Receipt.Merchant == nil {
		p.Receipt.Merchant = []string{}
	}
	if p.Operations == nil {
		p.Operations = []payments.Operation{}
	}
	return p
}

type paymentQuery struct {
	State    payments.State `query:"state" enum:"created,processing,approved,declined,canceled,failed,in_doubt,unresolved,voided,reversed"`
	Attached string         `query:"attached" enum:"true,false" doc:"false: approvals that no sale has claimed"`
	Since    time.Time      `query:"since" doc:"RFC 3339: created at or after"`
	Limit    int            `query:"limit" minimum:"1" maximum:"500" default:"100"`
	Cursor   string         `query:"cursor" maxLength:"200"`
}

func (s *Server) listPayments(ctx context.Context, in *paymentQuery) (*answer[wire.Page[payments.Payment]], error) {
	f := payments.Filter{State: in.State, Since: in.Since, Limit: in.Limit, Cursor: in.Cursor}
	if in.Attached != "" {
		attached := in.Attached == "true"
		f.Attached = &attached
	}
	list, next, err := s.cfg.Payments.Payments(ctx, f)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i] = shown(list[i])
	}
	return page(list, next), nil
}

// waitInput is the path and query of a long poll.
type waitInput struct {
	ID   string `path:"id" maxLength:"100"`
	Wait int    `query:"wait" minimum:"0" maximum:"120" doc:"Seconds to wait for the end at most"`
}

func (s *Server) getPayment(ctx context.Context, in *waitInput) (*answer[payments.Payment], error) {
	var p payments.Payment
	var err error
	if in.Wait > 0 {
		waiting, cancel := s.waiting(ctx, in.Wait)
		defer cancel()
		p, err = s.cfg.Payments.Wait(waiting, in.ID)
	} else {
		p, err = s.cfg.Payments.Payment(ctx, in.ID)
	}
	if err != nil {
		return nil, err
	}
	return ok(shown(p)), nil
}

func (s *Server) cancelPayment(ctx context.Context, in *byID) (*answer[payments.Payment], error) {
	p, err := s.cfg.Payments.Cancel(durable(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	return &answer[payments.Payment]{Status: http.StatusAccepted, Location: "/v1/payments/" + p.ID, Body: shown(p)}, nil
}

func (s *Server) resolvePayment(ctx context.Context, in *struct {
	ID   string `path:"id" maxLength:"100"`
	Body wire.Resolve
}) (*answer[payments.Payment], error) {
	c := callOf(ctx)
	outcome := payments.Failed
	if in.Body.Outcome == wire.OutcomeApproved {
		outcome = payments.Approved
	}
	var out *answer[payments.Payment]
	_, err := s.cfg.Payments.Resolve(durable(ctx), in.ID, outcome, in.Body.Note, func(p payments.Payment) journal.Entry {
		out = ok(shown(p))
		return c.entry(out.Status, "", out.Body)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

func (s *Server) listTerminals(context.Context, *nothing) (*answer[wire.Page[payments.TerminalInfo]], error) {
	return page(s.cfg.Payments.Terminals(), ""), nil
}

// byName is the path of one device.
type byName struct {
	Name string `path:"name" maxLength:"100"`
}

func (s *Server) terminalStatus(ctx context.Context, in *byName) (*answer[payments.TerminalInfo], error) {
	info, err := s.cfg.Payments.TerminalStatus(ctx, in.Name)
	if err == nil {
		return ok(info), nil
	}
	if errors.Is(err, payments.ErrNoTerminal) {
		return nil, err
	}
	no := refuse(http.StatusServiceUnavailable, "terminal_unreachable", "The terminal did not answer.",
		"Check its power and its cable; GET /v1/devices shows what it last said.")
	no.cause = err
	return nil, no
}
