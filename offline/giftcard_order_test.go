package offline_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"storeagent/offline"
)

// TestCardCaptureGoesBeforeItsPurchase: with the cloud there and after an outage, a purchase leaves only once the answer
// about the capture of its gift card is in; other sales do not wait for it.
func TestCardCaptureGoesBeforeItsPurchase(t *testing.T) {
	for _, when := range []string{"online", "after an outage"} {
		t.Run(when, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := newCardShop(t)
				var mu sync.Mutex
				var order []string
				sees := func(op offline.Operation) {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, fmt.Sprintf("%s %s", op.Type, op.SaleID))
				}
				slow := func(op offline.Operation, _ offline.CardPayload) cardReply {
					if op.Type != offline.GiftcardCapture {
						return cardReply{}
					}
					sees(op)
					return cardReply{takes: 5 * time.Second}
				}
				s.cards.replies(slow)
				s.cloud.answers(func(op offline.Operation) reply {
					sees(op)
					return fine
				})
				s.start()
				defer func() { s.stop() }()
				held := s.use(offline.CardAuthorize, "6.00")
				if held.State != offline.CardAuthorized {
					t.Fatalf("authorized: %+v", held)
				}
				if when != "online" {
					s.away()
				}
				rec, err := s.pay(held.ID)
				if err != nil {
					t.Fatal(err)
				}
				other := s.sell("")
				if when != "online" {
					s.cards.finds(nil)
					s.cards.replies(slow)
					s.cloud.probing(offline.ClassDelivered)
				} else {
					pass(2 * time.Second) // the capture is on its way
					mu.Lock()
					if slices.Contains(order, "purchase "+rec.ID) || !slices.Contains(order, "purchase "+other.ID) {
						t.Errorf("while the capture is on its way: %q", order)
					}
					mu.Unlock()
				}
				pass(10 * time.Minute)
				mu.Lock()
				defer mu.Unlock()
				capture, purchase := slices.Index(order, "giftcardCapture "+rec.ID), slices.Index(order, "purchase "+rec.ID)
				if capture < 0 || purchase < capture || len(order) != 3 {
					t.Errorf("sent in the order %q", order)
				}
			})
		})
	}
}
