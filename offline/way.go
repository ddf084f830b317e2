package offline

import (
	"context"
	"math/rand/v2"
	"time"
)

// Times of the way to the cloud.
const (
	openFor      = time.Minute      // how long one success vouches for the way
	probeTimeout = 30 * time.Second // a cloud that takes longer is away
	maxProbeWait = 15 * time.Second // between probes of a cloud that is away: they are cheap, and it is found soon
	maxSlowProbe = 2 * time.Minute  // the same where a chain wants to come back slowly
)

// probeWait is how long to wait after n probes in a row without an answer. Whoever lets the first sale after an outage
// wait for long does so because of many others, whose probes add up, too: then a fifth of that time is between probes.
func probeWait(n int, jitter time.Duration) time.Duration {
	limit := max(maxProbeWait, min(maxSlowProbe, jitter/5))
	if n < 5 {
		limit = min(limit, max(time.Second, limit/16)<<n)
	}
	return limit/2 + rand.N(limit/2)
}

// way is what is known about the way to the cloud. The forwarder's lock guards it.
type way struct {
	openUntil   time.Time // a probe or a delivery succeeded within the minute before
	probeAt     time.Time // no probe before
	jitterUntil time.Time // after an outage the first sale waits, so that a chain's lanes do not all come at once
	fails       int       // probes in a row without an answer
	outage      bool      // a probe failed since the way was last open
	signedOut   bool
	known       bool      // it was open once since Run began; between probes it is taken to stay so
	hurry       bool      // a person waits: no jitter
	signedIn    bool      // somebody signed in since the last probe began, which may not have known
	since       time.Time // when it closed
}

func (w *way) open(now time.Time) bool { return now.Before(w.openUntil) }

// askNow makes the next step probe at once, for a person who waits.
func (w *way) askNow() {
	w.openUntil, w.probeAt, w.jitterUntil, w.hurry = time.Time{}, time.Time{}, time.Time{}, true
}

// works notes that the cloud answered a signed-in caller.
func (w *way) works(now time.Time) {
	w.openUntil = now.Add(openFor)
	w.fails, w.outage, w.signedOut, w.hurry, w.since = 0, false, false, false, time.Time{}
	w.known = true
}

// close makes the next sale wait for a probe.
func (w *way) close(now time.Time) {
	w.openUntil = time.Time{}
	if w.since.IsZero() {
		w.since = now
	}
}

// openWay returns 0 once the way is known to be open, probing where that is due; else how long to wait.
func (f *Forwarder) openWay(ctx context.Context) time.Duration {
	now := time.Now()
	f.mu.Lock()
	w := f.way
	ask := !w.open(now) && !now.Before(w.probeAt)
	if ask {
		f.way.signedIn = false
	}
	f.mu.Unlock()
	switch {
	case w.open(now):
		return max(0, w.jitterUntil.Sub(now))
	case !ask:
		return w.probeAt.Sub(now)
	}
	probing, cancel := context.WithTimeout(ctx, probeTimeout)
	v := f.cfg.Cloud.Probe(probing)
	cancel()
	if ctx.Err() != nil {
		return idle // Run ends
	}
	return f.probed(ctx, time.Now(), v)
}

// probed takes the answer of a probe.
func (f *Forwarder) probed(ctx context.Context, now time.Time, v Verdict) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := &f.way
	switch v.Class {
	case ClassDelivered, ClassBlocked, ClassRejected, ClassUnsupported: // whatever it said, the cloud said it to us
		if w.outage {
			f.log.InfoContext(ctx, "the cloud is back", "away", now.Sub(w.since).Round(time.Second))
			f.pace.restart(now)
			if f.cfg.ResumeJitter > 0 && !w.hurry {
				w.jitterUntil = now.Add(rand.N(f.cfg.ResumeJitter))
			}
		}
		w.works(now)
		f.lastErr = nil
		return max(0, w.jitterUntil.Sub(now))
	case ClassSignedOut:
		f.signedOut(ctx, now, v.Fault)
		return max(w.probeAt.Sub(now), time.Millisecond)
	}
	w.fails++
	w.signedOut = false // not what is wrong now
	if !w.outage {
		f.log.WarnContext(ctx, "the cloud is away", "fault", faultText(v.Fault))
	}
	w.close(now)
	w.outage, w.hurry = true, false
	f.lastErr = v.Fault
	f.live = nil
	wait := probeWait(w.fails, f.cfg.ResumeJitter)
	w.probeAt = now.Add(max(wait, min(v.RetryAfter, maxRetryAfter)))
	return w.probeAt.Sub(now)
}

// signedOut closes the way until a sign-in; a probe each minute finds one that nobody told us of, and one at once whether
// somebody signed in while the cloud still said no. The lock is held.
func (f *Forwarder) signedOut(ctx context.Context, now time.Time, fault *Fault) {
	if !f.way.signedOut {
		f.log.WarnContext(ctx, "the cloud wants a sign-in", "fault", faultText(fault))
	}
	f.way.close(now)
	f.way.signedOut, f.way.hurry = true, false
	f.way.probeAt = now.Add(idle)
	if f.way.signedIn {
		f.way.probeAt = now
	}
	f.lastErr = fault
}

func faultText(fault *Fault) string {
	if fault == nil {
		return ""
	}
	return fault.Code + ": " + fault.Message
}
