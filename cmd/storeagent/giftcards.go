package main

import (
	"fmt"
	"time"

	"storeagent/installer/config"
	"storeagent/offline"
	"storeagent/payments/money"
)

// giftcardRules are the limits of [giftcard.offline]; a limit that is not set allows nothing.
func giftcardRules(cfg *config.Config) (offline.GiftcardRules, error) {
	g := cfg.Giftcard.Offline
	r := offline.GiftcardRules{
		AllowUse: g.AllowUse, AllowAdd: g.AllowAdd, MaxCount: g.MaxStoredCount, MaxAge: time.Duration(g.MaxAgeHours) * time.Hour,
	}
	for _, limit := range []struct {
		key, text string
		to        *money.Amount
	}{
		{"max_amount_per_transaction", g.MaxAmountPerTransaction, &r.MaxAmount},
		{"max_total_stored_amount", g.MaxTotalStoredAmount, &r.MaxTotal},
	} {
		text := limit.text
		if text == "" {
			text = "0"
		}
		a, err := money.Parse(text, cfg.Store.Currency)
		if err != nil {
			return r, fmt.Errorf("giftcard.offline.%s: %w", limit.key, err)
		}
		*limit.to = a
	}
	return r, nil
}

// joinGiftcards makes the gift card desk on the forwarder.
func (a *agent) joinGiftcards() error {
	rules, err := giftcardRules(a.cfg)
	if err != nil {
		return err
	}
	s := a.cfg.Store
	a.giftcards, err = offline.NewGiftcardDesk(offline.GiftcardConfig{
		Store: a.store.Outbox(), Forwarder: a.forwarder, Log: a.log, SourceID: s.Code + "/" + s.Register, Currency: s.Currency, Rules: rules,
	})
	return err
}
