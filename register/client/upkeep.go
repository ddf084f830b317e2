package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"storeagent/offline"
	"storeagent/register/wire"
)

// ExportQueue copies everything undelivered to w, one line of JSON each, without codes and PINs.
func (c *Client) ExportQueue(ctx context.Context, w io.Writer) error {
	answer, err := c.send(ctx, request{method: http.MethodGet, path: "/v1/queue/export"})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(w, answer.Body); err != nil {
		return fmt.Errorf("read the export: %w", err)
	}
	return nil
}

// MoveQueue packs everything undelivered up for another machine. The agent keeps the file; CopyMove fetches it.
func (c *Client) MoveQueue(ctx context.Context, r wire.MoveRequest) (offline.Move, error) {
	return post[offline.Move](ctx, c, "/v1/queue/move", "", r)
}

// CopyMove copies the file of an earlier move to w.
func (c *Client) CopyMove(ctx context.Context, id string, w io.Writer) error {
	answer, err := c.send(ctx, request{method: http.MethodGet, path: "/v1/queue/moves/" + seg(id)})
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(w, answer.Body); err != nil {
		return fmt.Errorf("read the moved queue: %w", err)
	}
	return nil
}

// ImportQueue hands one part of a moved queue over. Repeating it changes nothing.
func (c *Client) ImportQueue(ctx context.Context, r wire.ImportRequest) (offline.MovedIn, error) {
	return post[offline.MovedIn](ctx, c, "/v1/queue/import", "", r)
}

// NoteFindings says that a person has taken note of what a start found wrong with the files.
func (c *Client) NoteFindings(ctx context.Context, note string) error {
	_, err := c.bytes(ctx, request{method: http.MethodPost, path: "/v1/queue/findings/ack", body: wire.Noted{Note: note}})
	return err
}

// CheckSchema compares what the cloud offers with what the agent needs.
func (c *Client) CheckSchema(ctx context.Context) (wire.SchemaCheck, error) {
	return post[wire.SchemaCheck](ctx, c, "/v1/schema/check", "", nil)
}

// SignOutForced signs out although something is undelivered; the agent insists on an export before.
func (c *Client) SignOutForced(ctx context.Context) error {
	_, err := c.bytes(ctx, request{method: http.MethodDelete, path: "/v1/sign-in", query: url.Values{"force": {"true"}}})
	return err
}
