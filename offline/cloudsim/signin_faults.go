package cloudsim

import (
	"net/http"
	"strings"
)

// SignInFault is what goes wrong with a call to the sign-in server.
type SignInFault struct {
	// Endpoint is where; Grant narrows EndpointToken to one grant type. Empty matches all.
	Endpoint SignInEndpoint
	Grant    string
	// Status, where not 0, is answered instead of doing anything, with RetryAfter as header where set.
	Status     int
	RetryAfter string
	// Body is sent along with Status.
	Body string
	// Refuse drops the connection before anything is done.
	Refuse bool
	// Lose does the work and then drops the connection: the client cannot know.
	Lose bool
	// Hang does nothing until the client gives up.
	Hang bool
}

type armedFault struct {
	SignInFault
	left int
}

// Fail arms a fault for the next n matching calls; negative n means until Heal.
func (s *SignIn) Fail(n int, f SignInFault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &armedFault{SignInFault: f, left: n})
}

// Heal disarms every fault.
func (s *SignIn) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// Calls tells how many calls came to an endpoint, faulty ones included.
func (s *SignIn) Calls(e SignInEndpoint) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[string(e)]
}

// Grants tells how many calls with that grant type came to the token endpoint, faulty ones included.
func (s *SignIn) Grants(grant string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[grant]
}

// route serves one endpoint below the issuer's path, with faults and counters in front.
func (s *SignIn) route(pattern string, e SignInEndpoint, h http.HandlerFunc) {
	method, path, _ := strings.Cut(pattern, " ")
	s.mux.HandleFunc(method+" "+s.base+path, func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		f, hit := s.fault(e, r.PostFormValue("grant_type"))
		switch {
		case !hit:
			h(w, r)
		case f.Hang:
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		case f.Refuse:
			panic(http.ErrAbortHandler)
		case f.Lose:
			h(lostAnswer{http.Header{}}, r)
			panic(http.ErrAbortHandler)
		default:
			if f.RetryAfter != "" {
				w.Header().Set("Retry-After", f.RetryAfter)
			}
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(f.Status)
			_, _ = w.Write([]byte(f.Body))
		}
	})
}

func (s *SignIn) fault(e SignInEndpoint, grant string) (SignInFault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[string(e)]++
	if grant != "" {
		s.counts[grant]++
	}
	for _, f := range s.faults {
		if f.left == 0 || f.Endpoint != "" && f.Endpoint != e || f.Grant != "" && f.Grant != grant {
			continue
		}
		if f.left > 0 {
			f.left--
		}
		return f.SignInFault, true
	}
	return SignInFault{}, false
}

// lostAnswer takes an answer that nobody will get.
type lostAnswer struct{ h http.Header }

func (l lostAnswer) Header() http.Header         { return l.h }
func (l lostAnswer) Write(p []byte) (int, error) { return len(p), nil }
func (l lostAnswer) WriteHeader(int)             {}
