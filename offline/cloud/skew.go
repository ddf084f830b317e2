package cloud

import "time"

// skewFresh is how long answers are joined to one estimate: clocks drift.
const skewFresh = time.Hour

// skew is how far the cloud's clock is ahead of ours: between least and most. A Date header names a whole second
// (RFC 9110, section 5.6.7) of some moment between request and answer, so that each answer bounds the difference to a
// second and the time that it took; answers from different parts of a second together bound it closer.
type skew struct {
	least, most time.Duration
	since, at   time.Time // of the first answer that was joined, and of the last
}

// note joins an answer. Where it contradicts the earlier ones a clock was set, and it counts alone.
func (s *skew) note(date, sent, received time.Time) {
	least, most := date.Sub(received), date.Add(time.Second).Sub(sent)
	joint := !s.since.IsZero() && received.Sub(s.since) < skewFresh && max(least, s.least) <= min(most, s.most)
	if joint {
		s.least, s.most = max(least, s.least), min(most, s.most)
	} else {
		s.least, s.most, s.since = least, most, received
	}
	s.at = received
}
