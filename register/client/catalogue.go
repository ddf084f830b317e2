package client

import (
	"context"
	"net/http"
	"net/url"

	"storeagent/offline/catalogue"
	"storeagent/register/wire"
)

// Items finds items. The query takes exactly one of code, sku and q, and warehouse and limit.
func (c *Client) Items(ctx context.Context, query url.Values) (wire.Page[catalogue.ItemView], error) {
	return get[wire.Page[catalogue.ItemView]](ctx, c, "/v1/items", query)
}

// Customers finds customers. The query takes exactly one of memberId, phone and q, and limit.
func (c *Client) Customers(ctx context.Context, query url.Values) (wire.Page[catalogue.Customer], error) {
	return get[wire.Page[catalogue.Customer]](ctx, c, "/v1/customers", query)
}

// Catalog says how fresh the local copy is.
func (c *Client) Catalog(ctx context.Context) (catalogue.Status, error) {
	return get[catalogue.Status](ctx, c, "/v1/catalog", nil)
}

// CatalogRows gives rows of a kind; see GET /v1/catalog/{kind} for what the query takes.
func (c *Client) CatalogRows(ctx context.Context, kind string, query url.Values) (wire.CatalogRows, error) {
	return get[wire.CatalogRows](ctx, c, "/v1/catalog/"+seg(kind), query)
}

// SyncCatalog makes the agent look for changes now, or read everything again.
func (c *Client) SyncCatalog(ctx context.Context, full bool) (catalogue.Status, error) {
	r := request{method: http.MethodPost, path: "/v1/catalog/sync"}
	if full {
		r.query = url.Values{"full": {"true"}}
	}
	return call[catalogue.Status](ctx, c, r)
}
