package offline

import (
	"context"
	"fmt"
	"maps"
	"time"

	"storeagent/internal/journal"
)

// Problem is something a person should know about; GET /v1/status lists them.
type Problem struct {
	Code     string `json:"code"`
	Severity string `json:"severity" enum:"warning,error"`
	Message  string `json:"message"`
	Hint     string `json:"hint"`
}

// lateAfter is how old a queued operation may be before a person hears of it.
const lateAfter = 15 * time.Minute

// refresh reads the counts and wakes those who wait for a change. The store keeps them in memory.
func (f *Forwarder) refresh(ctx context.Context) {
	c, err := f.cfg.Store.Counts(ctx)
	if err != nil {
		if ctx.Err() == nil {
			f.storeFailed(ctx, actRead, err)
		}
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts = c
	close(f.changed)
	f.changed = make(chan struct{})
}

// Status is how the queue stood when it last changed, from memory.
func (f *Forwarder) Status() QueueStatus {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status(time.Now())
}

// status needs the lock.
func (f *Forwarder) status(now time.Time) QueueStatus {
	by := f.counts.ByState
	s := QueueStatus{
		Connection: f.connection(),
		Queued:     by[Queued], Sending: by[Sending], InDoubt: by[InDoubt], Parked: by[Parked], Delivered: by[Delivered],
		LastError: f.lastErr,
		Exposure:  Exposure{Amount: f.zero, Count: by[Queued] + by[Sending] + by[InDoubt] + by[Parked] - f.counts.Moved},
		Moved:     f.counts.Moved,
	}
	if sum, ok := f.counts.OpenAmounts[f.cfg.Currency]; ok {
		s.Exposure.Amount = sum
	}
	if at := f.counts.OldestQueuedAt; !at.IsZero() {
		s.OldestQueuedAt = &at
	}
	if at := f.counts.OldestOpenAt; !at.IsZero() {
		s.Exposure.OldestAgeSeconds = max(0, int64(now.Sub(at)/time.Second))
	}
	if at := f.nextAt; s.Queued > 0 && !at.IsZero() && !f.paused {
		s.NextAttemptAt = &at
	}
	return s
}

// connection needs the lock.
func (f *Forwarder) connection() Connection {
	switch {
	case f.paused:
		return PausedConn
	case f.way.signedOut:
		return SignedOut
	case f.way.outage || !f.way.known:
		return Offline
	}
	return Online
}

// Problems lists what a person should know about the queue, from memory.
func (f *Forwarder) Problems() []Problem {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := []Problem{}
	add := func(yes bool, code, severity, message, hint string) {
		if yes {
			out = append(out, Problem{code, severity, message, hint})
		}
	}
	conn := f.connection()
	kept := "sales are kept and"
	if e := f.status(time.Now()).Exposure; e.Count > 0 {
		kept = fmt.Sprintf("%d operations over %s %s are kept and", e.Count, e.Amount, f.cfg.Currency)
	}
	add(conn == PausedConn, "queue_paused", "warning", "The queue is paused; "+kept+" not sent.",
		"Run, when the reason is gone: storeagent queue resume")
	add(conn == SignedOut, "cloud_signed_out", "error", "The cloud wants a sign-in; "+kept+" not sent.",
		"Run: storeagent sign-in")
	add(conn == Offline && f.way.outage, "cloud_offline", "warning", "The cloud does not answer; "+kept+" sent later.",
		"Check the network cable and the internet line of the store; "+lastHint(f.lastErr))
	oldest := f.counts.OldestQueuedAt
	add(conn == Online && !oldest.IsZero() && time.Since(oldest) > lateAfter, "queue_late", "warning",
		fmt.Sprintf("The oldest unsent operation is from %s although the cloud answers.", oldest.Format(time.RFC3339)),
		"Run: storeagent queue list --state queued, and look at its error.")
	parked := f.counts.ByState[Parked] - f.counts.Moved
	add(parked > 0, "operations_parked", "warning", fmt.Sprintf("%d operations wait for a person's decision.", parked),
		"Run: storeagent queue list --state parked, then look each up in the admin console and resend, settle or discard it.")
	for _, t := range []OpType{Purchase, GiftcardTrans, GiftcardCapture} {
		s := f.stops[t]
		if s == nil {
			continue
		}
		if s.blocked {
			add(true, "permission_missing", "error", fmt.Sprintf("The cloud account may not do %s.", t),
				"Give the account's role the permission at the cloud ("+permission(t)+"); sending goes on by itself.")
		} else {
			add(s.fault != nil, "operation_unsupported", "error", fmt.Sprintf("The cloud has no operation for %s.", t),
				"Run: storeagent schema check")
		}
	}
	add(f.storeBad.fails > 0, "outbox_failing", "error", "The outbox cannot be written or read.",
		"Check free space and health of the disk that holds data.dir.")
	add(f.resends(), "unknown_outcome_resend", "warning",
		"Purchases in doubt are sent again and may count twice at the cloud; "+f.cfg.UnknownOutcomeBy+" answers for it.",
		"Set cloud.unknown_outcome = \"park\" to have a person look at each.")
	return out
}

func lastHint(fault *Fault) string {
	if fault == nil {
		return "it has not answered yet."
	}
	return "last error: " + faultText(fault)
}

// permission names what the vendor's pages call the permission of a kind.
func permission(t OpType) string {
	if t == Purchase {
		return "AddPurchase"
	}
	return "GiftCardTransUse and GiftCardTransAdd"
}

// told is what listeners of queue events heard last.
type told struct {
	at     time.Time
	conn   Connection
	counts map[State]int
}

// tellEvery is how often counts that merely move are told of.
const tellEvery = 5 * time.Second

// Attempts counts the attempts since the start by the word of their class.
func (f *Forwarder) Attempts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.ended)
}

// publish tells listeners of a change: at once where the connection changed or something went to or from a person,
// else every few seconds. It returns when to look again.
func (f *Forwarder) publish(ctx context.Context) time.Duration {
	f.refresh(ctx)
	if f.cfg.Events == nil {
		return idle
	}
	now := time.Now()
	f.mu.Lock()
	s, counts, before := f.status(now), f.counts.ByState, f.told
	f.mu.Unlock()
	same := before.conn == s.Connection
	if same && maps.Equal(before.counts, counts) {
		return idle
	}
	urgent := !same || before.counts[Parked] != counts[Parked] || before.counts[InDoubt] != counts[InDoubt]
	if wait := before.at.Add(tellEvery).Sub(now); !urgent && wait > 0 {
		return wait
	}
	if err := f.cfg.Events.Append(ctx, journal.NewEvent("queue", now, s)); err != nil {
		f.storeFailed(ctx, "write a queue event", err)
		return tellEvery
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told = told{now, s.Connection, maps.Clone(counts)}
	return idle
}

// Pause holds the queue, also over restarts; what is under way ends.
func (f *Forwarder) Pause(ctx context.Context, by journal.Actor) error {
	return f.setPaused(ctx, by, "queue.pause", true)
}

// Resume lets the queue go on.
func (f *Forwarder) Resume(ctx context.Context, by journal.Actor) error {
	return f.setPaused(ctx, by, "queue.resume", false)
}

func (f *Forwarder) setPaused(ctx context.Context, by journal.Actor, action string, paused bool) error {
	f.pausing.Lock()
	defer f.pausing.Unlock()
	if err := f.cfg.Settings.Set(ctx, settingPaused, fmt.Sprint(paused)); err != nil {
		return fmt.Errorf("keep the queue's pause: %w", err)
	}
	if f.cfg.Audit != nil {
		if err := f.cfg.Audit.Add(ctx, by, action, "", ""); err != nil {
			return fmt.Errorf("audit %s: %w", action, err)
		}
	}
	f.mu.Lock()
	f.paused = paused
	f.mu.Unlock()
	f.Wake()
	return nil
}

// Drain ends back-off, the delay after an outage and the wait after doubts in a row, asks the cloud at once, tries stopped
// kinds again, and waits until nothing is queued or sending, or ctx ends. The pace stays, and so does a Retry-After.
func (f *Forwarder) Drain(ctx context.Context) QueueStatus {
	f.retryStopped()
	f.mu.Lock()
	f.hurryAt, f.shyUntil = time.Now(), time.Time{}
	f.way.askNow()
	f.mu.Unlock()
	f.refresh(ctx)
	f.Wake()
	for {
		f.mu.Lock()
		s, changed := f.status(time.Now()), f.changed
		f.mu.Unlock()
		if s.Queued+s.Sending == 0 {
			return s
		}
		select {
		case <-ctx.Done():
			return s
		case <-changed:
		}
	}
}
