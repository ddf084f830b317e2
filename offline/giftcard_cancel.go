package offline

import "context"

// HoldCanceler is a GiftcardCloud that may be able to give back what it holds. The vendor documents no way to do so.
type HoldCanceler interface {
	// CancelHold cancels the authorization with that id of the cloud's. ClassUnsupported means that the tenant's schema
	// shows no way; then the hold lapses by itself. Canceling twice does no harm.
	CancelHold(ctx context.Context, cloudID string) Verdict
}

// letGo asks the cloud to give back a hold that was canceled here, once, while the cashier waits. It is a courtesy to the
// customer: what is canceled is never captured, so that a hold about which the cloud could not be asked lapses by itself.
func (d *GiftcardDesk) letGo(ctx context.Context, g Giftcard) {
	c, ok := d.f.cards.cloud.(HoldCanceler)
	if !ok || g.Trans.CloudID == "" || !d.f.online() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	v := c.CancelHold(ctx, g.Trans.CloudID)
	if v.Class != ClassDelivered {
		d.cfg.Log.InfoContext(ctx, "a canceled hold is left to lapse", "transaction", g.ID, "class", v.Class, "fault", faultText(v.Fault))
	}
}
