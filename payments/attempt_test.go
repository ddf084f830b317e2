package payments_test

import (
	"regexp"
	"testing"
	"time"

	"storeagent/payments"
)

// TestNewRef: ten characters that every protocol takes, and later ones sort behind earlier ones.
func TestNewRef(t *testing.T) {
	form := regexp.MustCompile(`^[0-9A-HJKMNP-TV-Z]{10}$`)
	at, before := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC), ""
	for range 1000 {
		ref := payments.NewRef(at)
		if !form.MatchString(ref) || ref <= before {
			t.Fatalf("%s after %s", ref, before)
		}
		at, before = at.Add(time.Second), ref
	}
}
