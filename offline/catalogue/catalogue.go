// Package catalogue keeps a local copy of what a register looks up while it sells: items with prices and stock,
// serial numbers and lots, customers, recent sales. It fetches changes in the background and answers from the copy,
// so that a lookup never waits for the cloud; kinds that change rarely are fetched when somebody asks, and kept.
//
// It is run by cmd and called by register. It declares the interfaces that offline/cloud (Source) and offline/sqlite
// (Store) implement; it imports the root of its floor and never those rooms. It follows the vendor's pages on
// inventory, customers, sale history and since/until values, and GS1's forms of one GTIN.
package catalogue

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// Feed is a query whose changes are fetched in the background. Its text is the name of the cloud's query.
type Feed string

// The feeds.
const (
	Items     Feed = "item"
	Stock     Feed = "itemWarehouse" // prices and quantities change without the item changing (vendor page on inventory)
	Customers Feed = "customer"
	Lots      Feed = "itemSerialLot"
	Sales     Feed = "sale"
)

// Feeds lists all feeds, the most urgent first.
func Feeds() []Feed { return []Feed{Items, Stock, Customers, Lots, Sales} }

// Kinds lists what is fetched on demand and kept; each is the name of the cloud's query. Sales are both: recent ones
// are in the copy, any others are asked for.
func Kinds() []string {
	return []string{"location", "product", "productGroup", "productSection", "productBanner", "productNotice",
		"productSortOption", "sale", "environment"}
}

// Errors of a Source, by errors.Is; anything else is a passing fault.
var (
	// ErrNotAllowed means that the account may not see this.
	ErrNotAllowed = errors.New("the cloud account is not allowed to see this")
	// ErrUnsupported means that the tenant has no such query, or shows no schema where one is needed to ask.
	ErrUnsupported = errors.New("the cloud does not offer this")
)

// ErrAway means that neither the cloud nor the copy has an answer now.
var ErrAway = errors.New("the cloud cannot be asked and nothing is kept from before")

// ErrKind means that there is no such kind.
var ErrKind = errors.New("no such kind of catalogue data")

// Item is one article. Texts are as the cloud gave them; Codes are its barcodes, where the tenant's items have any.
type Item struct {
	SKU, Name, LongName string
	SaleUOM, StockUOM   string
	Codes               []string
	Stock               []Shelf
	AsOf                time.Time
}

// Shelf is an item's price and stock in one warehouse, decimal texts.
type Shelf struct {
	SKU       string    `json:"-"`
	Warehouse string    `json:"warehouse"`
	Price     string    `json:"price,omitempty"`
	Quantity  string    `json:"quantity,omitempty"`
	AsOf      time.Time `json:"asOf"`
}

// Customer is one customer as the API shows it.
type Customer struct {
	ID       string    `json:"id"`
	MemberID string    `json:"memberId,omitempty"`
	Status   string    `json:"status,omitempty"`
	FullName string    `json:"fullName,omitempty"`
	Phone    string    `json:"phone,omitempty"`
	Email    string    `json:"email,omitempty"`
	AsOf     time.Time `json:"asOf"`
}

// Record is a row of a feed that is kept as it came.
type Record struct {
	Key   string // unique within its feed
	Owner string // the sku of a lot, the customer id of a sale
	Day   string // of a sale, like 2026-03-14; "" where there is none
	Body  json.RawMessage
}

// Batch is rows to be written in one commit; each field that does not belong to the feed is empty.
type Batch struct {
	Items     []Item
	Stock     []Shelf
	Customers []Customer
	Records   []Record
	AsOf      time.Time // when the cloud was asked
}

// Query asks for one page of a feed.
type Query struct {
	Feed  Feed
	Since string // the mark of the last time; "" starts from the beginning and is sent as such
	First int    // rows wanted; the cloud may give fewer
	Skip  int
}

// Page is what the cloud gave.
type Page struct {
	Batch
	Keys    []string // of all rows received, in order, whether they could be used or not
	More    bool     // hasMoreResults
	Until   string   // the mark to pass as the next Since, "" where the query has none
	Limited bool     // limitedByPermission: rows may be missing
}

// Filter narrows an on-demand query; only arguments the tenant's query has are sent.
type Filter map[string]string

// Source asks the cloud. Implementations are safe for concurrent use, never repeat by themselves and honour ctx.
// Errors: ErrNotAllowed, ErrUnsupported, offline.ErrSignedOut, others.
type Source interface {
	Page(ctx context.Context, q Query) (Page, error)
	// Fetch returns all rows of an on-demand kind as a JSON array, following its pages.
	Fetch(ctx context.Context, kind string, f Filter) (json.RawMessage, error)
}

// Position is how far a feed has come. It is committed with the rows it speaks of, so that a restart goes on there.
type Position struct {
	Open        bool      `json:"open"`              // a pass is under way
	Full        bool      `json:"full"`              // it began at the beginning
	Since       string    `json:"since"`             // of the pass
	Next        int       `json:"next"`              // rows of the pass's listing that are behind us
	Tail        []string  `json:"tail,omitempty"`    // keys of the last of them
	Lap         int       `json:"lap,omitempty"`     // how many of them the next page repeats
	Until       string    `json:"until"`             // newest mark received
	Mark        string    `json:"mark"`              // where the next pass begins
	Received    int       `json:"received"`          // rows of the pass
	Back        int       `json:"back,omitempty"`    // how often the listing moved under us in the pass
	Suspect     bool      `json:"suspect,omitempty"` // it moved too often to be sure that nothing was missed
	Recheck     bool      `json:"recheck,omitempty"` // an earlier pass was, and no full one since
	Limited     bool      `json:"limited,omitempty"` // the cloud held rows back for lack of a permission
	StartedAt   time.Time `json:"startedAt"`
	CompletedAt time.Time `json:"completedAt"` // of the last pass that ended
	FullAt      time.Time `json:"fullAt"`      // of the last full one
}

// RecordFilter narrows a listing of records; empty fields don't. From and To are days, To exclusive.
type RecordFilter struct {
	Key, Owner, From, To string
	Limit                int
}

// Kept is the kept answer of an on-demand query.
type Kept struct {
	Kind, Query string // Query is the filter in one spelling
	At          time.Time
	Rows        json.RawMessage // a JSON array
}

// Store keeps the copy. Reads don't wait for writes. Safe for concurrent use.
type Store interface {
	// Position returns the zero Position where a feed was never fetched.
	Position(ctx context.Context, f Feed) (Position, error)
	// Put writes rows, and the position where one is given, in one commit. Rows replace those of the same key.
	Put(ctx context.Context, f Feed, b Batch, p *Position) error
	// Sweep removes up to limit rows of a feed that were last written before then, and returns how many.
	Sweep(ctx context.Context, f Feed, before time.Time, limit int) (int, error)
	// DropBefore removes up to limit records of a feed whose day is before that one, and returns how many.
	DropBefore(ctx context.Context, f Feed, day string, limit int) (int, error)
	Counts(ctx context.Context) (map[Feed]int, error)

	// ItemsBySKU and ItemsByCode return what has exactly one of those skus, or one of those barcodes.
	ItemsBySKU(ctx context.Context, skus []string) ([]Item, error)
	ItemsByCode(ctx context.Context, codes []string) ([]Item, error)
	// SearchItems returns up to limit items that have all words in their sku, names or barcodes, as whole words or,
	// with prefix, as beginnings of words; the same for customers.
	SearchItems(ctx context.Context, words []string, prefix bool, limit int) ([]Item, error)
	SearchCustomers(ctx context.Context, words []string, prefix bool, limit int) ([]Customer, error)
	CustomersByMember(ctx context.Context, memberID string) ([]Customer, error)
	// CustomersByPhone returns those whose number ends with these digits' last seven.
	CustomersByPhone(ctx context.Context, digits string) ([]Customer, error)
	Records(ctx context.Context, f Feed, r RecordFilter) ([]Record, error)
	Stock(ctx context.Context, sku, warehouse string, limit int) ([]Shelf, error)

	// Kept fails with journal.ErrNotFound where nothing was kept.
	Kept(ctx context.Context, kind, query string) (Kept, error)
	Keep(ctx context.Context, k Kept) error
}
