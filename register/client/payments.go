package client

import (
	"context"

	"storeagent/payments"
	"storeagent/register/wire"
)

// VoidPayment takes an approved payment back. The payment's operations tell how that goes.
func (c *Client) VoidPayment(ctx context.Context, key, id string) (payments.Payment, error) {
	return post[payments.Payment](ctx, c, "/v1/payments/"+seg(id)+"/void", key, nil)
}

// CapturePayment collects a preauth; an empty amount collects all of it.
func (c *Client) CapturePayment(ctx context.Context, key, id, amount string) (payments.Payment, error) {
	return post[payments.Payment](ctx, c, "/v1/payments/"+seg(id)+"/capture", key, wire.AmountRequest{Amount: amount})
}

// TipPayment adds a tip to an approved sale.
func (c *Client) TipPayment(ctx context.Context, key, id, amount string) (payments.Payment, error) {
	return post[payments.Payment](ctx, c, "/v1/payments/"+seg(id)+"/tip", key, wire.AmountRequest{Amount: amount})
}

// EndOfDay closes the terminal's day; it may take minutes. The key may be empty.
func (c *Client) EndOfDay(ctx context.Context, key, terminal string) (payments.Closing, error) {
	return post[payments.Closing](ctx, c, "/v1/terminals/"+seg(terminal)+"/end-of-day", key, nil)
}

// TerminalTotals compares the terminal's figures with the agent's and closes nothing.
func (c *Client) TerminalTotals(ctx context.Context, terminal string) (payments.Closing, error) {
	return post[payments.Closing](ctx, c, "/v1/terminals/"+seg(terminal)+"/totals", "", nil)
}

// DisplayOnTerminal shows lines to the customer.
func (c *Client) DisplayOnTerminal(ctx context.Context, terminal string, d wire.TerminalDisplay) error {
	_, err := post[wire.TerminalDisplay](ctx, c, "/v1/terminals/"+seg(terminal)+"/display", "", d)
	return err
}
