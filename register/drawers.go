package register

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"storeagent/devices"
	"storeagent/devices/printer"
	"storeagent/internal/carddata"
	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/register/wire"
)

// Drawers reaches the cash drawers by name; cmd joins it.
type Drawers interface {
	// Open opens a drawer within seconds, and says whether it was seen open, nil where that does not show. Errors:
	// ErrNoDevice; else a *printer.NotReadyError or another one that says why the drawer did not open.
	Open(ctx context.Context, name string) (opened *bool, err error)
}

// Auditor writes down what a person did; it is in the audit when Add returns.
type Auditor = offline.Auditor

func drawerRoutes() []*route {
	return []*route{
		{method: "POST", path: "/v1/drawers/{name}/open", id: "openDrawer", section: "devices", summary: "Open a cash drawer, with a reason for the audit",
			roles: selling, key: true, body: bodyNeeded, status: 200, problems: []int{404, 409, 503}, add: handle((*Server).openDrawer)},
	}
}

func (s *Server) openDrawer(ctx context.Context, in *struct {
	Name string `path:"name" maxLength:"100"`
	Body wire.DrawerRequest
}) (*answer[wire.DrawerOpening], error) {
	reason := strings.TrimSpace(in.Body.Reason)
	if reason == "" {
		return nil, invalid(field("reason", "is blank"))
	}
	if carddata.LooksLikeCard(reason, nil) {
		no := refuse(http.StatusUnprocessableEntity, "card_data_refused", "The reason holds what looks like a card number.", "Leave card numbers out of it.")
		no.fields = []wire.FieldError{field("reason", "holds what looks like a card number")}
		return nil, no
	}
	c := callOf(ctx)
	ctx = durable(ctx)
	known := false
	for _, d := range s.cfg.Devices.List() {
		known = known || d.Name == in.Name && d.Category == devices.CashDrawer
	}
	if !known {
		return nil, explainDrawer(fmt.Errorf("drawer %q: %w", in.Name, ErrNoDevice))
	}
	// First the audit, then the drawer: none opens without a row, though a row may stand for a drawer that stayed closed.
	if err := s.cfg.Audit.Add(ctx, c.actor, "drawer.open", in.Name, reason); err != nil {
		return nil, err
	}
	opened, err := s.cfg.Drawers.Open(ctx, in.Name)
	if err != nil {
		if err := s.cfg.Audit.Add(ctx, c.actor, "drawer.not_opened", in.Name, unquoted(err.Error())); err != nil {
			s.cfg.Log.WarnContext(ctx, "audit of a drawer that did not open", slog.String("drawer", in.Name), slog.Any("error", err))
		}
		return nil, explainDrawer(err)
	}
	out := wire.DrawerOpening{Drawer: in.Name, Reason: reason, By: c.actor.Name, At: time.Now().UTC(), DrawerOpened: opened}
	if err := s.cfg.Events.Append(ctx, journal.NewEvent("drawer", out.At, out)); err != nil {
		// The drawer is open; refusing now would say that it is not.
		s.cfg.Log.WarnContext(ctx, "cannot write drawer event", slog.String("drawer", in.Name), slog.Any("error", err))
	}
	return ok(out), nil
}

// explainDrawer says why a drawer stayed closed, in the words of its printer.
func explainDrawer(err error) error {
	var blocked *printer.NotReadyError
	var no *refusal
	switch {
	case errors.Is(err, ErrNoDevice):
		no = refuse(http.StatusNotFound, "not_found", "No cash drawer has that name.", "GET /v1/devices lists them; they are configured as [[device]] with driver drawer.")
	case errors.As(err, &blocked) && blocked.Reason != printer.OfflineState:
		no = refuse(http.StatusConflict, "drawer_not_opened", sentence(blocked.Error()), "See to the printer and try again, or use the drawer's key. The drawer does not open by itself later.")
	case errors.As(err, &blocked):
		no = refuse(http.StatusServiceUnavailable, "device_offline", sentence(blocked.Error()), "Check the printer's power and cable, or use the drawer's key; GET /v1/devices says more.")
	default:
		return err
	}
	no.cause = err
	return no
}

func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }
