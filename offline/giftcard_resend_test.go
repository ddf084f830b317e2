package offline_test

import (
	"context"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/offlinetest"
)

// TestCardIsSentAgainByAPerson: what a cashier waited for once and a person sends again is really sent.
func TestCardIsSentAgainByAPerson(t *testing.T) {
	for name, kind := range map[string]offline.TransType{"use": offline.CardUse, "add": offline.CardAdd} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := newCardShop(t)
				s.start()
				defer func() { s.stop() }()
				first := true
				s.cards.replies(func(offline.Operation, offline.CardPayload) cardReply {
					lost := first
					first = false
					return cardReply{skip: lost}
				})
				v := s.do(s.request(kind, offline.CardImmediate, "6.49"))
				pass(10 * time.Minute)
				s.wantCard(v.ID, offline.CardParked, offline.Unknown)
				d := offline.Decision{OpID: v.ID, Action: offline.Resend, Note: "not there"}
				if _, err := s.desk.Decide(t.Context(), d, journal.Entry{Actor: tech}); err != nil {
					t.Fatal(err)
				}
				pass(10 * time.Minute)
				v = s.tx(v.ID)
				if v.State != offline.CardCompleted || s.cards.spent(v.ID) != 1 {
					t.Errorf("%s %+v, executed %d times", v.State, v.Error, s.cards.spent(v.ID))
				}
			})
		})
	}
}

// listed is a store that does something between a listing of all open gift cards and the use of the list.
type listed struct {
	offline.Store
	then func()
}

func (l *listed) OpenGiftcards(ctx context.Context, stream string) ([]offline.Giftcard, error) {
	list, err := l.Store.OpenGiftcards(ctx, stream)
	if then := l.then; then != nil && stream == "" && len(list) > 0 {
		l.then = nil
		then()
	}
	return list, err
}

// TestCardAcceptedWhileTheWatchLooks: what the rules for outages accepted, so that the goods are gone, is not withdrawn as
// something that nobody waits for.
func TestCardAcceptedWhileTheWatchLooks(t *testing.T) {
	in(t, func(t *testing.T) {
		store := &listed{}
		s := newCardShop(t, func(c *offline.ForwarderConfig) { store.Store, c.Store = c.Store, store })
		g, op := offlinetest.NewGiftcard("card:1", offline.CardUse, offline.CardImmediate, "6.49", time.Now().Add(-time.Hour))
		if err := s.mem.AddGiftcard(t.Context(), g, op, journal.Entry{}); err != nil {
			t.Fatal(err)
		}
		if err := s.desk.Pause(t.Context(), tech); err != nil {
			t.Fatal(err)
		}
		store.then = func() {
			if err := s.mem.ChangeGiftcard(context.Background(), g.ID, offline.GiftcardChange{Offline: true}, journal.Entry{}); err != nil {
				t.Error(err)
			}
		}
		s.start()
		pass(time.Minute)
		if v := s.tx(g.ID); v.State != offline.CardQueued || !v.Offline {
			t.Errorf("%+v %+v", v, v.Error)
		}
		s.stop()
	})
}
