package offline_test

import (
	"context"
	"testing"

	"storeagent/offline"
)

// letting is a cloud that can give back what it holds.
type letting struct {
	*cardCloud
	class offline.Class
	asked []string
}

func (l *letting) CancelHold(_ context.Context, id string) offline.Verdict {
	l.asked = append(l.asked, id)
	return offline.Verdict{Class: l.class}
}

// TestCanceledHoldIsGivenBackWhereTheCloudCan: the cancel holds whatever the cloud says, and the cloud is asked only about
// holds, only while it is there.
func TestCanceledHoldIsGivenBackWhereTheCloudCan(t *testing.T) {
	for _, class := range []offline.Class{offline.ClassDelivered, offline.ClassUnsupported, offline.ClassDoubt} {
		in(t, func(t *testing.T) {
			l := &letting{class: class}
			s := newCardShop(t, func(c *offline.ForwarderConfig) {
				l.cardCloud = c.Giftcards.(*cardCloud)
				c.Giftcards = l
			})
			s.start()
			if _, err := s.gc.Lookup(t.Context(), offline.CardRef{Code: cardCode}); err != nil {
				t.Fatal(err)
			}
			hold := s.use(offline.CardAuthorize, "6.49")
			if v, err := s.gc.Cancel(t.Context(), hold.ID, noCardEntry); err != nil || v.State != offline.CardCanceled {
				t.Errorf("%+v %v", v, err)
			}
			if len(l.asked) != 1 || l.asked[0] == "" {
				t.Errorf("asked for %q", l.asked)
			}
			s.wantCard(hold.ID, offline.CardCanceled, "")
			if _, err := s.gc.Cancel(t.Context(), hold.ID, noCardEntry); err == nil || len(l.asked) != 1 {
				t.Errorf("again: %v, asked for %q", err, l.asked)
			}
			another := s.use(offline.CardAuthorize, "1.00")
			s.away()
			waits := s.use(offline.CardImmediate, "1.00")
			for _, id := range []string{another.ID, waits.ID} {
				if v, err := s.gc.Cancel(t.Context(), id, noCardEntry); err != nil || v.State != offline.CardCanceled {
					t.Errorf("%+v %v", v, err)
				}
			}
			if len(l.asked) != 1 {
				t.Errorf("asked for %q while the cloud was away", l.asked)
			}
			s.stop()
		})
	}
}
