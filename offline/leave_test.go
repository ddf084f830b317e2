package offline

import (
	"errors"
	"strings"
	"testing"
)

func TestOneOperation(t *testing.T) {
	if got := MayLeave(1, "5.97 USD", false, false).Error(); got != "1 operation over 5.97 USD is not delivered yet" {
		t.Error(got)
	}
}

func TestMayLeave(t *testing.T) {
	for _, c := range []struct {
		name            string
		count           int
		exported, force bool
		hint            string // "" where leaving is fine
	}{
		{"nothing is owed", 0, false, false, ""},
		{"nothing is owed, forced", 0, false, true, ""},
		{"owed", 2, false, false, "queue drain"},
		{"owed and copied, not forced", 2, true, false, "queue drain"},
		{"owed and forced without a copy", 2, false, true, "Take a copy of all of it first"},
		{"owed, copied and forced", 2, true, true, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := MayLeave(c.count, "3.98 USD", c.exported, c.force)
			if c.hint == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var no *UndeliveredError
			if !errors.As(err, &no) || no.Error() != "2 operations over 3.98 USD are not delivered yet" || !strings.Contains(no.Hint(), c.hint) {
				t.Errorf("got %v", err)
			}
		})
	}
}
