package register

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"storeagent/devices/display"
	"storeagent/devices/scale"
	"storeagent/internal/carddata"
	"storeagent/register/wire"
)

// Counter reaches the customer displays and scales by name; cmd joins it.
type Counter interface {
	// Weigh asks the scale. Errors: ErrNoDevice, those of package scale.
	Weigh(ctx context.Context, name string) (scale.Reading, error)
	// Show writes lines to a display. Errors: ErrNoDevice, *display.TextError, display.ErrOffline.
	Show(ctx context.Context, name string, lines []string) error
}

// ErrNoDevice means that no device of that category has that name.
var ErrNoDevice = errors.New("no such device")

func counterRoutes() []*route {
	return []*route{
		{method: "GET", path: "/v1/scales/{name}/weight", id: "weigh", section: "devices", summary: "The weight on a scale at rest, read for this call",
			roles: selling, status: 200, problems: []int{404, 409, 503}, add: handle((*Server).weigh)},
		{method: "POST", path: "/v1/displays/{name}", id: "show", section: "devices", summary: "Show two lines of twenty characters to the customer",
			roles: selling, body: bodyNeeded, status: 200, problems: []int{404, 503}, add: handle((*Server).show)},
	}
}

func (s *Server) weigh(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*answer[wire.Weight], error) {
	r, err := s.cfg.Counter.Weigh(ctx, in.Name)
	if err != nil {
		return nil, explainCounter(err)
	}
	return ok(wire.Weight{Weight: r.Weight, Unit: r.Unit, At: r.At.UTC()}), nil
}

func (s *Server) show(ctx context.Context, in *struct {
	Name string `path:"name"`
	Body wire.DisplayRequest
}) (*answer[wire.DisplayRequest], error) {
	for i, line := range in.Body.Lines {
		if carddata.LooksLikeCard(line, nil) {
			no := refuse(http.StatusUnprocessableEntity, "card_data_refused", "The text holds what looks like a card number.",
				"Mask card numbers to their last four digits before showing them.")
			no.fields = append(no.fields, field(fmt.Sprintf("lines[%d]", i), "holds what looks like a card number"))
			return nil, no
		}
	}
	if err := s.cfg.Counter.Show(ctx, in.Name, in.Body.Lines); err != nil {
		return nil, explainCounter(err)
	}
	return ok(in.Body), nil
}

// explainCounter turns what scales and displays say into problems.
func explainCounter(err error) error {
	var text *display.TextError
	var no *refusal
	switch {
	case errors.As(err, &text):
		return invalid(field(text.Field, unquoted(text.Message)))
	case errors.Is(err, ErrNoDevice):
		no = refuse(http.StatusNotFound, "not_found", "No device of that kind has that name.", "GET /v1/devices lists them; they are configured as [[device]].")
	case errors.Is(err, scale.ErrNotStable):
		no = refuse(http.StatusConflict, "not_stable", "The scale is not at rest.", "Ask again in a moment.")
	case errors.Is(err, scale.ErrOverload):
		no = refuse(http.StatusConflict, "overload", "There is too much on the scale.", "Take something off and ask again.")
	case errors.Is(err, scale.ErrBelowZero):
		no = refuse(http.StatusConflict, "below_zero", "The scale is below zero.", "Take everything off, press the scale's zero key, and weigh again.")
	case errors.Is(err, scale.ErrFault):
		no = refuse(http.StatusServiceUnavailable, "device_error", "The scale reports a fault.", "Look at its display; GET /v1/devices says more.")
	case errors.Is(err, scale.ErrNoAnswer), errors.Is(err, display.ErrOffline):
		no = refuse(http.StatusServiceUnavailable, "device_offline", "The device does not answer.", "Check its power and cable; GET /v1/devices says more.")
	default:
		return err
	}
	no.cause = err
	return no
}
