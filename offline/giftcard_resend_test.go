package offline_test

import (
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
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
