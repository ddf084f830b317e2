package sqlite

import (
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/offlinetest"
)

// TestGiftcardIsOfOneMoment lets a transaction end while it is being read: what is read of its row and of its operation
// belongs together, so that nothing delivered is seen without its balance.
func TestGiftcardIsOfOneMoment(t *testing.T) {
	s := openIn(t, t.TempDir())
	defer closeIt(t, s)
	ctx := t.Context()
	g, op := offlinetest.NewGiftcard("stream", offline.CardUse, offline.CardImmediate, "6.49", noon)
	if err := s.Outbox().AddGiftcard(ctx, g, op, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Outbox().Begin(ctx, g.ID, 1, noon); err != nil {
		t.Fatal(err)
	}
	err := s.read.at(ctx, func(m moment) error {
		before, err := scanCard(m.tx.QueryRowContext(ctx, qCard, g.ID))
		if err != nil {
			return err
		}
		end := offline.Result{State: offline.Delivered, CloudID: "9", Balance: "18.51", GiftcardID: "30004", FinishedAt: noon.Add(time.Second)}
		if err := s.Outbox().Finish(ctx, g.ID, 1, end); err != nil {
			return err
		}
		if err := join(&before, m.op); err != nil {
			return err
		}
		if before.Trans.State != offline.Sending || before.Balance != "" {
			t.Errorf("of two moments: %s with balance %q", before.Trans.State, before.Balance)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if now, err := s.Outbox().Giftcard(ctx, g.ID); err != nil || now.Trans.State != offline.Delivered || now.Balance != "18.51" || now.GiftcardID != "30004" {
		t.Errorf("%s with balance %q of %q, %v", now.Trans.State, now.Balance, now.GiftcardID, err)
	}
}
