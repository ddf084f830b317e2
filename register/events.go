package register

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"storeagent/internal/journal"
)

const (
	heartbeat    = 15 * time.Second
	streamWrites = 10 * time.Second // a reader that takes longer is cut off
	replayPage   = 256
)

// eventTypes are the types of API contract, section 8, and who may hear them.
var eventTypes = []string{"scan", "payment", "printJob", "device", "drawer", "queue", "sale", "signin", "giftcard", "catalog"}

var observerTypes = []string{"device", "queue"}

type eventInput struct {
	Types       string `query:"types" maxLength:"200" doc:"Comma list of scan, payment, printJob, device, drawer, queue, sale, signin, giftcard and catalog; default: all the role may hear"`
	LastEventID string `header:"Last-Event-ID" doc:"Replay what came after this id"`
	After       string `query:"lastEventId" maxLength:"20" doc:"The same for callers that cannot set the header"`
}

type stream struct {
	Body func(huma.Context)
}

func (s *Server) events(ctx context.Context, in *eventInput) (*stream, error) {
	types, err := typesFor(callOf(ctx).actor.Role, in.Types)
	if err != nil {
		return nil, err
	}
	cursor, err := s.startOf(in)
	if err != nil {
		return nil, err
	}
	return &stream{func(hc huma.Context) {
		r, w := humago.Unwrap(hc)
		s.metrics.streams.Inc()
		defer s.metrics.streams.Dec()
		s.stream(r.Context(), w, types, cursor)
	}}, nil
}

// typesFor narrows the types asked for to those the role may hear.
func typesFor(role journal.Role, asked string) ([]string, error) {
	may := eventTypes
	if role == journal.RoleObserver {
		may = observerTypes
	}
	if asked == "" {
		if role == journal.RoleObserver {
			return observerTypes, nil
		}
		return nil, nil
	}
	var types []string
	for t := range strings.SplitSeq(asked, ",") {
		t = strings.TrimSpace(t)
		switch {
		case !slices.Contains(eventTypes, t):
			return nil, invalid(field("query.types", "holds a word that is not one of "+strings.Join(eventTypes, ", ")))
		case !slices.Contains(may, t):
			return nil, refuse(http.StatusForbidden, "role_not_allowed", "The role of this token does not allow these events.",
				"An observer hears device and queue.")
		case !slices.Contains(types, t):
			types = append(types, t)
		}
	}
	return types, nil
}

// startOf reads where the caller stopped. Without an id, or with one from the future of another database, a stream
// begins now.
func (s *Server) startOf(in *eventInput) (int64, error) {
	last := s.cfg.Events.Last()
	location, text := "header.Last-Event-ID", in.LastEventID
	if text == "" {
		location, text = "query.lastEventId", in.After
	}
	if text == "" {
		return last, nil
	}
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 0 {
		return 0, invalid(field(location, "is not the id of an event"))
	}
	return min(id, last), nil
}

// stream writes events until the caller hangs up or is too slow, its token is revoked, or the server ends.
func (s *Server) stream(ctx context.Context, w http.ResponseWriter, types []string, cursor int64) {
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	out := &sse{w: w, rc: http.NewResponseController(w)}
	// The id tells a listener that began at "now" where that was, so that it misses nothing when the line breaks
	// before its first event.
	if out.send(fmt.Sprintf("retry: 2000\nid: %d\n\n", cursor)) != nil {
		return
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	c := callOf(ctx)
	for {
		changed := s.cfg.Events.Changed()
		var err error
		if cursor, err = s.copyEvents(ctx, out, c, types, cursor); err != nil {
			return
		}
		select {
		case <-changed:
		case <-beat.C:
			if out.send(": still here\n\n") != nil {
				return
			}
		case <-c.grant.revoked:
			return
		case <-s.stop:
			return
		case <-ctx.Done():
			return
		}
	}
}

// copyEvents writes everything after cursor that the caller may see, and returns the id it has come to.
func (s *Server) copyEvents(ctx context.Context, out *sse, c *call, types []string, cursor int64) (int64, error) {
	for {
		list, err := s.cfg.Events.After(ctx, cursor, types, replayPage)
		if err != nil {
			if ctx.Err() == nil {
				s.cfg.Log.ErrorContext(ctx, "event stream ends", "requestId", c.id, "error", err)
			}
			return cursor, err
		}
		var b bytes.Buffer
		for _, e := range list {
			cursor = e.ID
			if s.mayHear(c, e) {
				writeEvent(&b, e)
			}
		}
		select {
		case <-c.grant.revoked:
			return cursor, errRevoked
		default:
		}
		if b.Len() > 0 {
			if err := out.send(b.String()); err != nil {
				return cursor, err
			}
		}
		if len(list) < replayPage {
			return cursor, nil
		}
	}
}

var errRevoked = errors.New("token revoked")

// mayHear keeps scans of a claimed scanner to the pairing that holds it: those it was given, and while its claim
// lasts the older ones too.
func (s *Server) mayHear(c *call, e journal.Event) bool {
	if e.Scanner == "" {
		return true
	}
	if e.Owner != "" {
		return e.Owner == c.actor.PairingID
	}
	h, held := s.claims.holder(e.Scanner, time.Now())
	return !held || h.pairing == c.actor.PairingID
}

// writeEvent spells one message (HTML standard, section 9.2.5). JSON holds no line feed but as white space.
func writeEvent(b *bytes.Buffer, e journal.Event) {
	fmt.Fprintf(b, "id: %d\nevent: %s\ndata: ", e.ID, e.Type)
	b.Write(bytes.ReplaceAll(bytes.ReplaceAll(e.Data, []byte("\r"), nil), []byte("\n"), nil))
	b.WriteString("\n\n")
}

// sse writes to one stream with a deadline on each write.
type sse struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (o *sse) send(text string) error {
	if err := o.rc.SetWriteDeadline(time.Now().Add(streamWrites)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := o.w.Write([]byte(text)); err != nil {
		return err
	}
	if err := o.rc.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}
