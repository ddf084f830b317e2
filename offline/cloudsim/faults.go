package cloudsim

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Mode is one way in which the cloud fails.
type Mode string

// The modes. Those that begin with "execute" run the operation first, so that the ledger has it.
const (
	Well                Mode = ""                       // no fault
	Down                Mode = "down"                   // the connection closes without an answer; sign-in too
	DownAfterReading    Mode = "down_after_reading"     // the request is read, then the connection closes
	ExecuteThenClose    Mode = "execute_then_close"     // executed, then the connection closes
	ExecuteThen502      Mode = "execute_then_502"       // executed, then a proxy's page
	ExecuteThenHalfBody Mode = "execute_then_half_body" // executed, then half the answer
	ExecuteThenBomb     Mode = "execute_then_gzip_bomb" // executed, then an answer of 64 MiB in little gzip
	ExecuteThenEmpty    Mode = "execute_then_empty"     // executed, then {}
	ExecuteThenNull     Mode = "execute_then_null"      // executed, then {"data":null}
	ExecuteThenError    Mode = "execute_then_error"     // executed, then FUSION_ERROR at the field
	RateLimited         Mode = "rate_limited"           // 429, Retry-After as set
	Unavailable         Mode = "unavailable"            // 503, Retry-After as set
	TooLarge            Mode = "too_large"              // 413
	Redirect            Mode = "redirect"               // 307 to the same path with ?again
	HTML                Mode = "html"                   // 200 with a page
	EmptyObject         Mode = "empty_object"           // 200 with {}, not executed
	NotAuthenticated    Mode = "not_authenticated"      // NOT_AUTHENTICATED as a GraphQL error without data
	Custom              Mode = "custom"                 // Answer, not executed
	ExecuteThenCustom   Mode = "execute_then_custom"    // executed, then Answer
)

func modes() []Mode {
	return []Mode{Well, Down, DownAfterReading, ExecuteThenClose, ExecuteThen502, ExecuteThenHalfBody, ExecuteThenBomb,
		ExecuteThenEmpty, ExecuteThenNull, ExecuteThenError, RateLimited, Unavailable, TooLarge, Redirect, HTML,
		EmptyObject, NotAuthenticated, Custom, ExecuteThenCustom}
}

// Answer is an HTTP answer to give as it stands.
type Answer struct {
	Status int               `json:"status"`
	Header map[string]string `json:"header,omitempty"`
	Body   string            `json:"body"`
}

// Faults are the switches. The zero value is a cloud that is well.
type Faults struct {
	Mode          Mode   `json:"mode"`
	Times         int    `json:"times"`         // how many requests fail; 0 means all until changed
	MutationsOnly bool   `json:"mutationsOnly"` // queries are answered as if nothing was wrong
	RetryAfter    string `json:"retryAfter"`    // header of 429 and 503, word for word; empty leaves it out
	DelayBeforeMs int    `json:"delayBeforeMs"` // before executing
	DelayAfterMs  int    `json:"delayAfterMs"`  // after executing
	RefuseTokens  bool   `json:"refuseTokens"`  // every bearer gets a bare 401
	Gzip          bool   `json:"gzip"`          // answers are compressed where the client takes it
	SkewSeconds   int    `json:"skewSeconds"`   // the Date header is that far ahead
	Answer        Answer `json:"answer"`        // for the custom modes
}

func (f Faults) skew() time.Duration { return time.Duration(f.SkewSeconds) * time.Second }

func (f Faults) isDown(mutation bool) bool {
	return f.Mode == Down && f.Times == 0 && (!f.MutationsOnly || mutation)
}

// Faults returns the switches as they stand.
func (s *Sim) Faults() Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.faults
}

// SetFaults sets every switch at once. It fails on a mode it does not know.
func (s *Sim) SetFaults(f Faults) error {
	if !slices.Contains(modes(), f.Mode) {
		return fmt.Errorf("unknown mode %q, known are %q", f.Mode, modes())
	}
	if f.Times < 0 || f.DelayBeforeMs < 0 || f.DelayAfterMs < 0 {
		return fmt.Errorf("times and delays may not be negative")
	}
	if (f.Mode == Custom || f.Mode == ExecuteThenCustom) && (f.Answer.Status < 200 || f.Answer.Status > 599) {
		return fmt.Errorf("mode %q needs answer.status from 200 to 599", f.Mode)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
	return nil
}

func (s *Sim) change(set func(*Faults)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	set(&s.faults)
}

// Fail lets the next times requests fail that way, all of them with 0.
func (s *Sim) Fail(m Mode, times int) {
	s.change(func(f *Faults) { f.Mode, f.Times, f.MutationsOnly = m, times, false })
}

// FailMutations lets the next times mutations fail that way, all of them with 0, while queries are answered.
func (s *Sim) FailMutations(m Mode, times int) {
	s.change(func(f *Faults) { f.Mode, f.Times, f.MutationsOnly = m, times, true })
}

// Push answers 429 with that Retry-After header to the next times requests; an empty text leaves the header out.
func (s *Sim) Push(retryAfter string, times int) {
	s.change(func(f *Faults) {
		f.Mode, f.Times, f.MutationsOnly, f.RetryAfter = RateLimited, times, false, retryAfter
	})
}

// Say gives that answer to the next times requests, without executing them or after it.
func (s *Sim) Say(a Answer, executed bool, times int) {
	m := Custom
	if executed {
		m = ExecuteThenCustom
	}
	s.change(func(f *Faults) { f.Mode, f.Times, f.MutationsOnly, f.Answer = m, times, false, a })
}

// Delay waits before and after executing, to the millisecond.
func (s *Sim) Delay(before, after time.Duration) {
	s.change(func(f *Faults) {
		f.DelayBeforeMs, f.DelayAfterMs = int(before.Milliseconds()), int(after.Milliseconds())
	})
}

// RefuseTokens answers every bearer with a bare 401.
func (s *Sim) RefuseTokens(on bool) { s.change(func(f *Faults) { f.RefuseTokens = on }) }

// Gzip compresses answers where the client takes it.
func (s *Sim) Gzip(on bool) { s.change(func(f *Faults) { f.Gzip = on }) }

// Skew puts the Date header ahead by that much, to the second.
func (s *Sim) Skew(d time.Duration) { s.change(func(f *Faults) { f.SkewSeconds = int(d.Seconds()) }) }

// Heal puts every switch back.
func (s *Sim) Heal() { s.change(func(f *Faults) { *f = Faults{} }) }

// take returns the faults for one request and counts it against Times.
func (s *Sim) take(mutation bool) Faults {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.faults
	if f.Mode == Well {
		return f
	}
	if f.MutationsOnly && !mutation {
		f.Mode = Well
		return f
	}
	if s.faults.Times > 0 {
		s.faults.Times--
		if s.faults.Times == 0 {
			s.faults.Mode = Well
		}
	}
	return f
}

// wait passes the delay, or less where the client goes away.
func (f Faults) wait(ctx context.Context, ms int) {
	if ms == 0 {
		return
	}
	t := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// before plays the faults that come before execution and tells whether that was the whole answer.
func (f Faults) before(w http.ResponseWriter, r *http.Request) bool {
	switch f.Mode {
	case Down, DownAfterReading:
		panic(http.ErrAbortHandler)
	case RateLimited:
		f.push(w, http.StatusTooManyRequests)
	case Unavailable:
		f.push(w, http.StatusServiceUnavailable)
	case TooLarge:
		gatewayPage(w, http.StatusRequestEntityTooLarge)
	case Redirect:
		http.Redirect(w, r, Path+"?again", http.StatusTemporaryRedirect)
	case HTML:
		gatewayPage(w, http.StatusOK)
	case EmptyObject:
		plainJSON(w, http.StatusOK, `{}`)
	case NotAuthenticated:
		plainJSON(w, http.StatusBadRequest, `{"errors":[{"message":"Sign in first.","extensions":{"code":"NOT_AUTHENTICATED"}}]}`)
	case Custom:
		f.Answer.give(w)
	default:
		return false
	}
	return true
}

// after plays the faults that come after execution and tells whether that was the whole answer.
func (f Faults) after(w http.ResponseWriter, answer []byte) bool {
	switch f.Mode {
	case ExecuteThenClose:
		panic(http.ErrAbortHandler)
	case ExecuteThen502:
		gatewayPage(w, http.StatusBadGateway)
	case ExecuteThenHalfBody:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
		_, _ = w.Write(answer[:len(answer)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case ExecuteThenBomb:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(zipped(io.MultiReader(strings.NewReader(string(answer[:len(answer)-1])), io.LimitReader(blanks{}, 64<<20), strings.NewReader("}"))))
	case ExecuteThenEmpty:
		plainJSON(w, http.StatusOK, `{}`)
	case ExecuteThenNull:
		plainJSON(w, http.StatusOK, `{"data":null}`)
	case ExecuteThenError:
		plainJSON(w, http.StatusBadRequest, `{"data":{"purchaseAdd":null},"errors":[{"message":"Something went wrong.","path":["purchaseAdd"],"extensions":{"code":"FUSION_ERROR"}}]}`)
	case ExecuteThenCustom:
		f.Answer.give(w)
	default:
		return false
	}
	return true
}

func (f Faults) push(w http.ResponseWriter, status int) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	gatewayPage(w, status)
}

func (a Answer) give(w http.ResponseWriter) {
	for k, v := range a.Header {
		w.Header().Set(k, v)
	}
	w.WriteHeader(a.Status)
	_, _ = w.Write([]byte(a.Body))
}

// gatewayPage is what a load balancer says.
func gatewayPage(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	_, _ = w.Write([]byte("<html><body><h1>" + http.StatusText(status) + "</h1></body></html>"))
}

func plainJSON(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body))
}

// blanks reads as white space without end.
type blanks struct{}

func (blanks) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}
