package register

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/register/wire"
)

// Upkeep looks after what is undelivered as a whole; *offline.Desk is one.
type Upkeep interface {
	// Export hands over everything undelivered, without codes and PINs.
	Export(ctx context.Context, by journal.Actor, each func(offline.Exported) error) error
	// MoveOut packs everything undelivered up for another machine and parks it here for good. Errors:
	// offline.ErrNothing, offline.ErrState, journal.ErrStorageFull.
	MoveOut(ctx context.Context, passphrase, note string, by journal.Actor) (offline.Move, error)
	MoveFile(ctx context.Context, id string) ([]byte, error)
	// MoveIn takes over a part of what another machine packed up. Errors: offline.ErrMoveFile, offline.ErrPassphrase.
	MoveIn(ctx context.Context, p offline.MovePart, by journal.Actor) (offline.MovedIn, error)
	// Leaving says what would be left behind undelivered, and whether a person has a copy of all of it.
	Leaving(ctx context.Context) (offline.Exposure, bool, error)
	// Attempts counts the attempts since the start by how they ended.
	Attempts() map[string]int
}

// Findings are what starts found wrong with the files; *sqlite.Store keeps them. GET /v1/status lists them.
type Findings interface {
	// NoteFindings records that a person has taken note of all of them.
	NoteFindings(ctx context.Context, by journal.Actor, note string) error
}

// Schema asks the cloud what it offers; *cloud.Client is one.
type Schema interface {
	// CheckSchema names what the cloud offers otherwise than the agent needs it, one sentence each.
	CheckSchema(ctx context.Context) ([]string, error)
	// SchemaNotes says what the cloud offers beyond that, by what CheckSchema has just learned.
	SchemaNotes(ctx context.Context) []string
}

// moveWait is how long a move waits for attempts under way: longer than the cloud may take for one.
const moveWait = 90 * time.Second

// importLimit is the largest body of an import: one sale of a mebibyte, packed up.
const importLimit = 4 << 20

func upkeepRoutes() []*route {
	return []*route{
		{method: "GET", path: "/v1/queue/export", id: "exportQueue", section: "queue", summary: "Everything undelivered as lines of JSON, without codes and PINs: a copy to read",
			roles: technician, status: 200, problems: []int{503}, add: handle((*Server).exportQueue)},
		{method: "POST", path: "/v1/queue/move", id: "moveQueue", section: "queue", summary: "Pack everything undelivered up for another machine; it is never sent from here again",
			roles: technician, body: bodyNeeded, status: 201, problems: []int{409, 503}, add: handle((*Server).moveQueue)},
		{method: "GET", path: "/v1/queue/moves/{id}", id: "getMove", section: "queue", summary: "The file of an earlier move",
			roles: technician, status: 200, problems: []int{404}, add: handle((*Server).getMove)},
		{method: "POST", path: "/v1/queue/import", id: "importQueue", section: "queue", summary: "Take over one part of what another machine packed up; repeating it changes nothing",
			roles: technician, body: bodyNeeded, bodyLimit: importLimit, status: 200, problems: []int{503}, add: handle((*Server).importQueue)},
		{method: "POST", path: "/v1/queue/findings/ack", id: "noteFindings", section: "queue", summary: "Say that a person has taken note of what a start found wrong with the files",
			roles: technician, body: bodyNeeded, status: 204, problems: []int{503}, add: handle((*Server).noteFindings)},
		{method: "POST", path: "/v1/schema/check", id: "checkSchema", section: "status", summary: "Compare what the cloud offers with what this agent needs",
			roles: technician, status: 200, problems: []int{503}, add: handle((*Server).checkSchema)},
	}
}

func (s *Server) exportQueue(ctx context.Context, _ *nothing) (*stream, error) {
	c := callOf(ctx)
	return &stream{func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		begun := false
		begin := func() {
			begun = true
			w.Header().Set("Content-Type", "application/x-ndjson")
			w.Header().Set("Content-Disposition", `attachment; filename="storeagent-queue.ndjson"`)
			w.WriteHeader(http.StatusOK)
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		err := s.cfg.Upkeep.Export(r.Context(), c.actor, func(x offline.Exported) error {
			if !begun {
				begin()
			}
			return enc.Encode(x)
		})
		switch {
		case err == nil && !begun:
			begin()
		case err != nil && !begun:
			s.cfg.Log.ErrorContext(ctx, "export failed", slog.String("requestId", c.id), slog.Any("error", err))
			explain(err).write(w, c.id)
		case err != nil:
			s.cfg.Log.ErrorContext(ctx, "export cut off", slog.String("requestId", c.id), slog.Any("error", err))
			panic(http.ErrAbortHandler) // half an export must not look like a whole one
		}
	}}, nil
}

func (s *Server) moveQueue(ctx context.Context, in *struct{ Body wire.MoveRequest }) (*answer[offline.Move], error) {
	wait, cancel := context.WithTimeout(durable(ctx), moveWait)
	defer cancel()
	m, err := s.cfg.Upkeep.MoveOut(wait, in.Body.Passphrase, in.Body.Note, callOf(ctx).actor)
	if err != nil {
		return nil, err
	}
	return &answer[offline.Move]{Status: http.StatusCreated, Location: "/v1/queue/moves/" + m.ID, Body: m}, nil
}

func (s *Server) getMove(ctx context.Context, in *byID) (*stream, error) {
	data, err := s.cfg.Upkeep.MoveFile(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &stream{func(hc huma.Context) {
		_, w := humago.Unwrap(hc)
		w.Header().Set("Content-Type", "application/octet-stream")
		// A reader that hung up asks again; the file stays.
		_, _ = w.Write(data)
	}}, nil
}

func (s *Server) importQueue(ctx context.Context, in *struct{ Body wire.ImportRequest }) (*answer[offline.MovedIn], error) {
	out, err := s.cfg.Upkeep.MoveIn(durable(ctx), offline.MovePart(in.Body), callOf(ctx).actor)
	if err != nil {
		return nil, err
	}
	return ok(out), nil
}

func (s *Server) noteFindings(ctx context.Context, in *struct{ Body wire.Noted }) (*nothing, error) {
	if err := s.cfg.Findings.NoteFindings(durable(ctx), callOf(ctx).actor, in.Body.Note); err != nil {
		return nil, err
	}
	return &nothing{}, nil
}

func (s *Server) checkSchema(ctx context.Context, _ *nothing) (*answer[wire.SchemaCheck], error) {
	problems, err := s.cfg.Schema.CheckSchema(ctx)
	if err != nil {
		no := refuse(http.StatusServiceUnavailable, "schema_unknown", "The cloud did not show its schema.",
			"Run storeagent check: it says whether the cloud answers and somebody is signed in. Some tenants hide their schema; then the agent goes by the vendor's pages.")
		no.cause = err
		return nil, no
	}
	return ok(wire.SchemaCheck{
		OK: len(problems) == 0, Problems: append([]string{}, problems...), Notes: append([]string{}, s.cfg.Schema.SchemaNotes(ctx)...),
	}), nil
}

// mayLeave refuses to cut the way to the cloud while something is undelivered, unless the caller insists and has a
// copy of it.
func (s *Server) mayLeave(ctx context.Context, force bool) error {
	left, exported, err := s.cfg.Upkeep.Leaving(ctx)
	if err != nil {
		return err
	}
	err = offline.MayLeave(left.Count, left.Amount+" "+s.cfg.Currency, exported, force)
	var owed *offline.UndeliveredError
	if !errors.As(err, &owed) {
		return err
	}
	no := refuse(http.StatusConflict, "undelivered", owed.Error()+".", owed.Hint())
	no.exposure = &left
	return no
}
