package wireline

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestLimitNoticedTooLate: an owner that comes back seconds after its time limit still reads what the terminal said, for a
// little while; silence noticed in time is silence.
func TestLimitNoticedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		u := StartPump(ours)
		say := func(after time.Duration, text string) {
			go func() {
				<-time.After(after)
				_, _ = theirs.Write([]byte(text)) // fails only after the test
			}()
		}
		hear := func(until time.Time, want string) {
			t.Helper()
			b, err := u.Chunk(t.Context(), until, nil)
			if string(b) != want || (err == nil) != (want != "") || err != nil && !errors.Is(err, ErrSilent) {
				t.Errorf("%q, %v, want %q", b, err, want)
			}
		}
		say(200*time.Millisecond, "later")
		hear(time.Now().Add(100*time.Millisecond), "")
		hear(time.Now().Add(time.Minute), "later")

		missed := time.Now().Add(-6 * time.Second)
		say(300*time.Millisecond, "first")
		hear(missed, "first")
		say(300*time.Millisecond, "second")
		hear(missed, "second")
		say(time.Minute, "too late") // who only makes noise does not hold the owner for ever
		hear(missed, "")
		hear(missed, "")
		hear(time.Time{}, "too late")
		u.Stop()
		_ = theirs.Close()
	})
}
