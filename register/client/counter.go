package client

import (
	"context"

	"storeagent/register/wire"
)

// Weigh reads a scale that is at rest; a *Problem with code not_stable asks for another try.
func (c *Client) Weigh(ctx context.Context, scale string) (wire.Weight, error) {
	return get[wire.Weight](ctx, c, "/v1/scales/"+seg(scale)+"/weight", nil)
}

// OpenDrawer opens a cash drawer; the reason goes into the audit. A *Problem says why it did not open.
func (c *Client) OpenDrawer(ctx context.Context, key, drawer, reason string) (wire.DrawerOpening, error) {
	return post[wire.DrawerOpening](ctx, c, "/v1/drawers/"+seg(drawer)+"/open", key, wire.DrawerRequest{Reason: reason})
}

// Show writes up to two lines to a customer display.
func (c *Client) Show(ctx context.Context, display string, lines ...string) error {
	_, err := post[wire.DisplayRequest](ctx, c, "/v1/displays/"+seg(display), "", wire.DisplayRequest{Lines: lines})
	return err
}
