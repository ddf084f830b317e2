package offline

import (
	"math/rand/v2"
	"time"

	"golang.org/x/time/rate"
)

// Limits of pacing and waiting.
const (
	maxBackoff    = 300 * time.Second
	maxRetryAfter = time.Hour
	doubleEvery   = 5 * time.Second // the rate doubles after so long of clean answers
	growEvery     = 20              // successes for one request per second more, after the first push-back
	slowestRate   = 0.1             // requests per second, however often the cloud pushes back, unless even less is configured
)

// backoff is how long to wait after n failures: full jitter, a random part of min(300 s, 1 s · 2^n).
func backoff(n int) time.Duration {
	limit := maxBackoff
	if n < 9 {
		limit = min(limit, time.Second<<n)
	}
	return rand.N(limit)
}

// pacer is how fast sending may go: slow start, doubling until the cloud first pushes back, then additive increase
// and multiplicative decrease. The forwarder's lock guards it.
type pacer struct {
	start, max float64 // requests per second
	lim        *rate.Limiter
	pushedAt   time.Time // last push-back that counted, zero for none
	grownAt    time.Time // last doubling, or the first clean answer
	successes  int       // since the rate last grew
	holdUntil  time.Time // nothing is sent before
}

func newPacer(start, limit float64) *pacer {
	return &pacer{start: start, max: limit, lim: rate.NewLimiter(rate.Limit(start), 1)}
}

// restart begins again slowly, as after an outage.
func (p *pacer) restart(now time.Time) {
	p.lim.SetLimitAt(now, rate.Limit(p.start))
	p.pushedAt, p.grownAt, p.successes = time.Time{}, time.Time{}, 0
}

// wait is how long until the next request may go; 0 is now.
func (p *pacer) wait(now time.Time) time.Duration {
	if d := p.holdUntil.Sub(now); d > 0 {
		return d
	}
	missing := 1 - p.lim.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	// Rounded up, so that the token is there after the wait.
	return time.Duration(missing/float64(p.lim.Limit())*float64(time.Second)) + time.Millisecond
}

// take uses the permission that wait gave.
func (p *pacer) take(now time.Time) bool { return p.lim.AllowN(now, 1) }

// clean counts an answer without push-back.
func (p *pacer) clean(now time.Time) {
	if !p.pushedAt.IsZero() {
		if p.successes++; p.successes >= growEvery {
			p.successes = 0
			p.set(now, float64(p.lim.Limit())+1)
		}
		return
	}
	switch {
	case p.grownAt.IsZero():
		p.grownAt = now
	case now.Sub(p.grownAt) >= doubleEvery:
		p.grownAt = now
		p.set(now, float64(p.lim.Limit())*2)
	}
}

// push halves the rate. The answers of requests that were on their way together count once.
func (p *pacer) push(now time.Time, retryAfter time.Duration) {
	p.hold(now, retryAfter)
	if now.Sub(p.pushedAt) < time.Second {
		return
	}
	p.pushedAt, p.successes = now, 0
	p.set(now, float64(p.lim.Limit())/2)
}

// hold sends nothing for so long.
func (p *pacer) hold(now time.Time, d time.Duration) {
	if until := now.Add(min(d, maxRetryAfter)); until.After(p.holdUntil) {
		p.holdUntil = until
	}
}

func (p *pacer) set(now time.Time, perSecond float64) {
	p.lim.SetLimitAt(now, rate.Limit(min(p.max, max(slowestRate, perSecond))))
}
