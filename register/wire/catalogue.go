package wire

import (
	"encoding/json"
	"time"

	"storeagent/offline"
)

// CatalogRows is GET /v1/catalog/{kind}: rows as the cloud has them, with the fields that this tenant's schema has.
type CatalogRows struct {
	Items      json.RawMessage `json:"items" doc:"A list of objects; their fields are the cloud's"`
	NextCursor string          `json:"nextCursor" doc:"Always empty: the listing is whole, up to 5000 rows"`
	AsOf       *time.Time      `json:"asOf,omitempty" doc:"When the cloud told this"`
	Stale      bool            `json:"stale" doc:"The cloud could not be asked, this is from before"`
	Error      *offline.Fault  `json:"error,omitempty" doc:"Why it could not"`
}
