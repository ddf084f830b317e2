package client

import (
	"context"

	"storeagent/register/wire"
)

// Weigh reads a scale that is at rest; a *Problem with code not_stable asks for another try.
func (c *Client) Weigh(ctx context.Context, scale string) (wire.Weight, error) {
	return get[wire.Weight](ctx, c, "/v1/scales/"+seg(scale)+"/weight", nil)
}

// Show writes up to two lines to a customer display.
func (c *Client) Show(ctx context.Context, display string, lines ...string) error {
	_, err := post[wire.DisplayRequest](ctx, c, "/v1/displays/"+seg(display), "", wire.DisplayRequest{Lines: lines})
	return err
}
