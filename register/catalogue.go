package register

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"storeagent/internal/carddata"
	"storeagent/offline/catalogue"
	"storeagent/register/wire"
)

// Catalogue looks things up in the local copy; *catalogue.Catalogue is one.
type Catalogue interface {
	FindItems(ctx context.Context, q catalogue.ItemQuery) ([]catalogue.ItemView, error)
	FindCustomers(ctx context.Context, q catalogue.CustomerQuery) ([]catalogue.Customer, error)
	Status() catalogue.Status // from memory
	// Look answers an on-demand query from the cloud or from what is kept of it.
	Look(ctx context.Context, kind string, f catalogue.Filter) (catalogue.Listing, error)
	SyncNow(full bool)
}

func catalogueRoutes() []*route {
	return []*route{
		{method: "GET", path: "/v1/items", id: "findItems", section: "catalog", summary: "Find items by scanned code, sku or words, in the local copy",
			roles: selling, status: 200, problems: []int{422}, add: handle((*Server).findItems)},
		{method: "GET", path: "/v1/customers", id: "findCustomers", section: "catalog", summary: "Find customers by member id, phone or words, in the local copy",
			roles: selling, status: 200, problems: []int{422}, add: handle((*Server).findCustomers)},
		{method: "GET", path: "/v1/catalog", id: "getCatalog", section: "catalog", summary: "How fresh the local copy is, and how much there is of it",
			roles: selling, status: 200, add: handle((*Server).getCatalog)},
		{method: "POST", path: "/v1/catalog/sync", id: "syncCatalog", section: "catalog", summary: "Look for changes at the cloud now",
			roles: technician, status: 200, add: handle((*Server).syncCatalog)},
		{method: "GET", path: "/v1/catalog/{kind}", id: "lookAtCatalog", section: "catalog", summary: "Locations, products, sale history and the like: from the cloud, or as it was last seen",
			roles: selling, status: 200, problems: []int{404, 422, 503}, add: handle((*Server).lookAtCatalog)},
	}
}

// catalog gives the catalogue, or says that there is none.
func (s *Server) catalog() (Catalogue, error) {
	if s.cfg.Catalogue == nil {
		return nil, refuse(http.StatusNotFound, "not_found", "This agent keeps no catalogue.", "Give it a cloud to fetch one from: [cloud] in storeagent.toml.")
	}
	return s.cfg.Catalogue, nil
}

// exactlyOne refuses a lookup without a question or with several.
func exactlyOne(names []string, values ...string) error {
	given := 0
	for _, v := range values {
		if strings.TrimSpace(v) != "" {
			given++
		}
	}
	if given == 1 {
		return nil
	}
	return invalid(field("query", "needs exactly one of "+strings.Join(names, ", ")))
}

// noCard keeps payment cards out of lookups: a wedge scanner types whatever it reads into the search field.
func (s *Server) noCard(location, text string) error {
	if !carddata.LooksLikeCard(text, s.cfg.GiftcardPrefixes) {
		return nil
	}
	no := refuse(http.StatusUnprocessableEntity, "card_data_refused", "The request holds card data, which this agent never takes.",
		"Payment cards go into the terminal: POST /v1/payments.")
	no.fields = []wire.FieldError{field(location, "looks like a card number")}
	return no
}

func (s *Server) findItems(ctx context.Context, in *struct {
	Code      string `query:"code" maxLength:"100" doc:"A scanned code. It is compared with sku and barcodes, a GTIN in all its lengths; the cloud documents no barcode field, so a code that is neither finds nothing"`
	SKU       string `query:"sku" maxLength:"100" doc:"Exactly this sku"`
	Q         string `query:"q" maxLength:"200" doc:"Words, or beginnings of words, of sku, name, long name and barcodes; all must be there"`
	Warehouse string `query:"warehouse" maxLength:"100" doc:"Whose price and quantity to show; default: the one named like the store, else the only one"`
	Limit     int    `query:"limit" minimum:"1" maximum:"200" default:"20"`
}) (*answer[wire.Page[catalogue.ItemView]], error) {
	cat, err := s.catalog()
	if err == nil {
		err = exactlyOne([]string{"code", "sku", "q"}, in.Code, in.SKU, in.Q)
	}
	if err == nil {
		err = errors.Join(s.noCard("query.code", in.Code), s.noCard("query.q", in.Q))
	}
	if err != nil {
		return nil, err
	}
	list, err := cat.FindItems(ctx, catalogue.ItemQuery{Code: in.Code, SKU: in.SKU, Text: in.Q, Warehouse: in.Warehouse, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	return page(list, ""), nil
}

func (s *Server) findCustomers(ctx context.Context, in *struct {
	MemberID string `query:"memberId" maxLength:"100"`
	Phone    string `query:"phone" maxLength:"40" doc:"Seven digits or more; country code and leading zero may be left out"`
	Q        string `query:"q" maxLength:"200" doc:"Beginnings of words of name, member id, email and phone; all must be there"`
	Limit    int    `query:"limit" minimum:"1" maximum:"200" default:"20"`
}) (*answer[wire.Page[catalogue.Customer]], error) {
	cat, err := s.catalog()
	if err == nil {
		err = exactlyOne([]string{"memberId", "phone", "q"}, in.MemberID, in.Phone, in.Q)
	}
	if err == nil {
		err = s.noCard("query.q", in.Q)
	}
	if err == nil && in.Phone != "" && catalogue.PhoneTail(catalogue.PhoneDigits(in.Phone)) == "" {
		err = invalid(field("query.phone", "needs at least seven digits"))
	}
	if err != nil {
		return nil, err
	}
	list, err := cat.FindCustomers(ctx, catalogue.CustomerQuery{MemberID: in.MemberID, Phone: in.Phone, Text: in.Q, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	return page(list, ""), nil
}

func (s *Server) getCatalog(context.Context, *nothing) (*answer[catalogue.Status], error) {
	cat, err := s.catalog()
	if err != nil {
		return nil, err
	}
	return ok(cat.Status()), nil
}

func (s *Server) syncCatalog(_ context.Context, in *struct {
	Full bool `query:"full" doc:"Read everything again, not just changes"`
}) (*answer[catalogue.Status], error) {
	cat, err := s.catalog()
	if err != nil {
		return nil, err
	}
	cat.SyncNow(in.Full)
	return ok(cat.Status()), nil
}

type catalogQuery struct {
	Kind       string `path:"kind" maxLength:"40" doc:"location, product, productGroup, productSection, productBanner, productNotice, productSortOption, sale, environment; and of the local copy itemWarehouse and itemSerialLot"`
	Code       string `query:"code" maxLength:"100" doc:"Of a location, product, productGroup or productSection"`
	ID         string `query:"id" maxLength:"100" doc:"Of a sale"`
	CustomerID string `query:"customerId" maxLength:"100" doc:"Whose sales"`
	FromDate   string `query:"fromDate" pattern:"^\\d{4}-\\d{2}-\\d{2}$" patternDescription:"a day like 2026-03-14" doc:"Sales of that day and later"`
	ToDate     string `query:"toDate" pattern:"^\\d{4}-\\d{2}-\\d{2}$" patternDescription:"a day like 2026-03-14" doc:"Sales before that day"`
	SKU        string `query:"sku" maxLength:"100" doc:"Of itemWarehouse and itemSerialLot"`
	Warehouse  string `query:"warehouse" maxLength:"100" doc:"Of itemWarehouse"`
}

// catalogFilters says which parameters a kind takes.
func catalogFilters(kind string) []string {
	switch kind {
	case "location", "product", "productGroup", "productSection":
		return []string{"code"}
	case "sale":
		return []string{"id", "customerId", "fromDate", "toDate"}
	case "itemWarehouse":
		return []string{"sku", "warehouse"}
	case "itemSerialLot":
		return []string{"sku"}
	}
	return nil
}

func (s *Server) lookAtCatalog(ctx context.Context, in *catalogQuery) (*answer[wire.CatalogRows], error) {
	cat, err := s.catalog()
	if err != nil {
		return nil, err
	}
	filter := catalogue.Filter{}
	for name, value := range map[string]string{"code": in.Code, "id": in.ID, "customerId": in.CustomerID, "fromDate": in.FromDate,
		"toDate": in.ToDate, "sku": in.SKU, "warehouse": in.Warehouse} {
		switch {
		case value == "":
		case !slices.Contains(catalogFilters(in.Kind), name):
			return nil, invalid(field("query."+name, "is not taken by this kind"))
		default:
			filter[name] = value
		}
	}
	l, err := cat.Look(ctx, in.Kind, filter)
	if err != nil {
		return nil, explainLook(err)
	}
	out := wire.CatalogRows{Items: l.Rows, Stale: l.Stale, Error: l.Why}
	if !l.AsOf.IsZero() {
		out.AsOf = &l.AsOf
	}
	return ok(out), nil
}

// explainLook tells a caller why there is no answer. Not being signed in, and the like, are parts of being away.
func explainLook(err error) error {
	var no *refusal
	switch {
	case errors.Is(err, catalogue.ErrKind):
		no = refuse(http.StatusNotFound, "not_found", "There is no catalogue data of that kind.",
			"GET /v1/catalog lists the kinds under onDemand; items are under /v1/items and customers under /v1/customers.")
	case errors.Is(err, catalogue.ErrNotAllowed):
		no = refuse(http.StatusServiceUnavailable, "cloud_not_allowed", "The cloud account is not allowed to see this; it may well exist.",
			"Give the account's role the permission at the cloud.")
	case errors.Is(err, catalogue.ErrUnsupported):
		no = refuse(http.StatusServiceUnavailable, "cloud_not_offered", "The cloud has no such query, or does not show how to ask it.",
			"Ask the vendor whether this edition serves it and lets the account see its schema.")
	case errors.Is(err, catalogue.ErrAway):
		no = refuse(http.StatusServiceUnavailable, "cloud_away", "The cloud cannot be asked now, and nothing is kept from before.",
			"Try again when GET /v1/status says online.")
	default:
		return err
	}
	no.cause = err
	return no
}

// itemPatience is how long a scan waits for its item; it usually takes a tenth of a millisecond.
const itemPatience = 250 * time.Millisecond

// describeItem adds what the local copy knows of a scanned code, by the first of codes that names an item. A scan must
// never wait or fail for it, so a lookup that fails is only logged; a code that fits several items names none.
func (s *Server) describeItem(ctx context.Context, out *wire.Scan, codes []string) {
	if s.cfg.Catalogue == nil || out.Kind == "giftcard" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, itemPatience)
	defer cancel()
	var list []catalogue.ItemView
	for _, code := range codes {
		if code == "" || len(code) > 100 {
			continue
		}
		var err error
		if list, err = s.cfg.Catalogue.FindItems(ctx, catalogue.ItemQuery{Code: code, Limit: 2}); err != nil {
			s.cfg.Log.WarnContext(ctx, "scanned code not looked up", "scanner", out.Scanner, "err", err)
			return
		}
		if len(list) > 0 {
			break
		}
	}
	if len(list) != 1 {
		return
	}
	out.Item = &list[0]
	if out.Kind == "unknown" {
		out.Kind = "item"
	}
	if out.Price == "" {
		out.Price = list[0].Price
	}
}
