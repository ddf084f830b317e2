package register

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"storeagent/devices"
	"storeagent/devices/scanner"
	"storeagent/internal/carddata"
	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/register/wire"
)

var _ scanner.Sink = (*Server)(nil)

// Scanned commits a scan as an event and so hands it to the streams that may see it. What looks like a payment card
// is refused here too, whatever the driver let through. It returns once the event is on disk.
func (s *Server) Scanned(ctx context.Context, scan scanner.Scan) error {
	if carddata.LooksLikeCard(string(scan.Data), s.cfg.GiftcardPrefixes) {
		s.Refused(ctx, scan.Scanner, len(scan.Data), scan.At)
		return nil
	}
	described := s.describe(scan)
	s.describeItem(ctx, &described, s.describeMeasured(&described, scan))
	e := journal.NewEvent("scan", scan.At, described)
	e.Scanner = scan.Scanner
	if h, held := s.claims.holder(scan.Scanner, time.Now()); held {
		e.Owner = h.pairing
	}
	return s.cfg.Events.Append(ctx, e)
}

// describe is the data of a scan event; API contract, section 8.
func (s *Server) describe(scan scanner.Scan) wire.Scan {
	out := wire.Scan{
		Scanner: scan.Scanner, Symbology: scan.Symbology, AIM: scan.AIM,
		Data: strings.ToValidUTF8(string(scan.Data), "\uFFFD"), DataBase64: scan.Data,
		GTIN: scan.GTIN, Kind: "unknown", At: scan.At.UTC(),
	}
	switch {
	case s.isGiftcard(string(scan.Data)):
		// Codes are money: they are neither broadcast nor kept in the event log.
		out.Kind, out.Data, out.DataBase64, out.GTIN = "giftcard", offline.MaskCode(string(scan.Data)), nil, ""
		out.CodeRef = s.codeRefs.put(string(scan.Data), time.Now())
	case scan.Link:
		out.Kind = "digitalLink"
		describeGS1(&out, scan)
	case scan.GTIN != "":
		out.Kind = "item"
		describeGS1(&out, scan)
	default:
		describeGS1(&out, scan)
	}
	return out
}

// describeGS1 adds what the code says in GS1's language.
func describeGS1(out *wire.Scan, scan scanner.Scan) {
	out.GS1, out.GS1Errors, out.GS1Warnings = scan.GS1, scan.GS1Errors, scan.GS1Warnings
	out.Weight, out.Price = scan.Weight, scan.Price
}

func (s *Server) isGiftcard(data string) bool {
	for _, p := range s.cfg.GiftcardPrefixes {
		if p != "" && strings.HasPrefix(data, p) {
			return true
		}
	}
	return false
}

// Refused tells of a read that looked like a payment card: a device event with its length and nothing else.
func (s *Server) Refused(ctx context.Context, name string, length int, at time.Time) {
	d := devices.Info{Name: name, Category: devices.Scanner, State: devices.Ready}
	for _, each := range s.cfg.Devices.List() {
		if each.Name == name {
			d = s.withClaim(each, at)
		}
	}
	d.LastError = &devices.Problem{
		Code: "card_data_refused", Message: "the code looked like a payment card and was dropped",
		Hint: "Payment cards go into the terminal. If this is a gift card, add its prefix to giftcard.prefixes.", Length: length, At: at.UTC(),
	}
	if err := s.cfg.Events.Append(ctx, journal.NewEvent("device", at, d)); err != nil {
		s.cfg.Log.WarnContext(ctx, "refused scan not reported", slog.String("scanner", name), slog.Any("error", err))
	}
}

// changePause is the shortest time between two writes of device changes: a flapping cable makes at most four events
// a second, each with the newest state.
const changePause = 250 * time.Millisecond

// changes gathers device changes until they are written.
type changes struct {
	mu      sync.Mutex
	pending map[string]devices.Info
	order   []string
	wake    chan struct{} // holds at most one token
	told    map[string]devices.Info
}

func newChanges() changes {
	return changes{pending: map[string]devices.Info{}, told: map[string]devices.Info{}, wake: make(chan struct{}, 1)}
}

// DeviceChanged notes that a device changed; it becomes a device event. It never blocks. Changes of one device that
// come faster than they are written become one event with the newest state.
func (s *Server) DeviceChanged(d devices.Info) {
	d = s.withClaim(d, time.Now())
	s.changes.mu.Lock()
	if _, waiting := s.changes.pending[d.Name]; !waiting {
		s.changes.order = append(s.changes.order, d.Name)
	}
	s.changes.pending[d.Name] = d
	s.changes.mu.Unlock()
	select {
	case s.changes.wake <- struct{}{}:
	default: // woken already
	}
}

// flushChanges writes device changes until ctx ends.
func (s *Server) flushChanges(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changes.wake:
		}
		if events := s.changes.drain(time.Now()); len(events) > 0 {
			if err := s.cfg.Events.Append(ctx, events...); err != nil && ctx.Err() == nil {
				s.cfg.Log.WarnContext(ctx, "device changes not reported", slog.Int("count", len(events)), slog.Any("error", err))
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(changePause):
		}
	}
}

// drain takes what is pending and leaves out what says nothing new.
func (c *changes) drain(now time.Time) []journal.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	var events []journal.Event
	for _, name := range c.order {
		d := c.pending[name]
		if last, told := c.told[name]; told && sameHealth(last, d) {
			continue
		}
		c.told[name] = d
		events = append(events, journal.NewEvent("device", now, d))
	}
	clear(c.pending)
	c.order = c.order[:0]
	return events
}

// sameHealth compares what a listener of device events can see.
func sameHealth(a, b devices.Info) bool {
	return a.State == b.State && a.Model == b.Model && a.Serial == b.Serial && sameStatus(a.Status, b.Status) && sameProblem(a.LastError, b.LastError)
}

func sameStatus(a, b devices.Status) bool {
	return sameFlag(a.CoverOpen, b.CoverOpen) && sameFlag(a.RecEmpty, b.RecEmpty) && sameFlag(a.RecNearEnd, b.RecNearEnd) &&
		sameFlag(a.DrawerOpened, b.DrawerOpened) && a.Text == b.Text
}

func sameFlag(a, b *bool) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }

func sameProblem(a, b *devices.Problem) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Code == b.Code && a.Message == b.Message)
}
