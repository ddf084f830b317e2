package client

import (
	"context"

	"storeagent/offline"
	"storeagent/register/wire"
)

const giftcardPath = "/v1/giftcards/transactions"

// LookupGiftcard says what a gift card holds.
func (c *Client) LookupGiftcard(ctx context.Context, r wire.CardRef) (offline.CardBalance, error) {
	return post[offline.CardBalance](ctx, c, "/v1/giftcards/lookup", "", r)
}

// GiftcardTransact uses or fills a gift card; it waits a few seconds for the cloud.
func (c *Client) GiftcardTransact(ctx context.Context, key string, r wire.GiftcardTransaction) (offline.GiftcardView, error) {
	return post[offline.GiftcardView](ctx, c, giftcardPath, key, r)
}

// GiftcardTransaction gives one gift card transaction.
func (c *Client) GiftcardTransaction(ctx context.Context, id string) (offline.GiftcardView, error) {
	return get[offline.GiftcardView](ctx, c, giftcardPath+"/"+seg(id), nil)
}

// CaptureGiftcard collects an authorized amount, the whole of it where amount is empty.
func (c *Client) CaptureGiftcard(ctx context.Context, key, id, amount string) (offline.GiftcardView, error) {
	return post[offline.GiftcardView](ctx, c, giftcardPath+"/"+seg(id)+"/capture", key, wire.AmountRequest{Amount: amount})
}

// CancelGiftcard withdraws what is still queued, or lets a hold lapse.
func (c *Client) CancelGiftcard(ctx context.Context, key, id string) (offline.GiftcardView, error) {
	return post[offline.GiftcardView](ctx, c, giftcardPath+"/"+seg(id)+"/cancel", key, nil)
}

// IssueGiftcard makes an unfunded gift card.
func (c *Client) IssueGiftcard(ctx context.Context, key string, r wire.NewGiftcard) (offline.CardBalance, error) {
	return post[offline.CardBalance](ctx, c, "/v1/giftcards", key, r)
}
