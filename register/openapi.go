package register

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"storeagent/register/wire"
)

// rootOnly keeps the console page from answering every unknown path: to net/http "GET /" means all of them.
type rootOnly struct{ *http.ServeMux }

// HandleFunc implements humago.Mux.
func (m rootOnly) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.ServeMux.HandleFunc(muxPattern(pattern), handler)
}

func muxPattern(pattern string) string {
	if pattern == "GET /" {
		return "GET /{$}"
	}
	return pattern
}

// build makes mux, OpenAPI document and lookup of the one table.
func (s *Server) build() error {
	s.api = humago.New(rootOnly{s.mux}, s.humaConfig())
	reg := s.api.OpenAPI().Components.Schemas
	problem := reg.Schema(reflect.TypeFor[wire.Problem](), true, "")
	sold := reg.Schema(reflect.TypeFor[wire.Sale](), true, "")
	s.byPattern = map[string]*route{}
	for _, r := range table() {
		op := operation(r, problem)
		op.SkipValidateBody = r.judged
		if r.id == "postSale" {
			op.RequestBody = saleBody(sold)
		}
		r.add(s, s.api, op)
		made := pick(s.api.OpenAPI().Paths[r.path], r.method)
		if made == nil {
			return fmt.Errorf("route %s %s is not in the API document", r.method, r.path)
		}
		s.complete(r, made)
		s.byPattern[muxPattern(r.method+" "+r.path)] = r
	}
	adjustSchemas(reg)
	var err error
	if s.openAPI, err = json.MarshalIndent(s.api.OpenAPI(), "", " "); err != nil {
		return fmt.Errorf("write the API document: %w", err)
	}
	return nil
}

func (s *Server) humaConfig() huma.Config {
	json := huma.DefaultJSONFormat
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "storeagent", Version: s.cfg.Version,
				Description: "The agent on the register's computer: it keeps sales until the POS cloud has them, takes card payments, " +
					"prints receipts and hands on scans. JSON in and out; amounts and quantities are decimal texts; errors are RFC 9457 " +
					"problem documents with a stable code and a hint. Repeat a request with its Idempotency-Key to get the first accepted " +
					"answer again, marked by the header Idempotent-Replayed.",
			},
			Servers: []*huma.Server{{URL: "/"}},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{
					"token": {Type: "http", Scheme: "bearer", Description: "Made by: storeagent pair --role register --name NAME"},
				},
			},
		},
		Formats:       map[string]huma.Format{"application/json": json, "json": json},
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{s.ownErrors},
	}
}

// schemaName keeps types of different floors apart that bear the same name.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.String() {
	case "wire.Sale":
		return "PostedSale"
	case "wire.SaleLine":
		return "PostedLine"
	case "offline.Item":
		return "QueueItem"
	case "offline.SaleView":
		return "Sale"
	case "devices.Info":
		return "Device"
	case "devices.Status":
		return "DeviceStatus"
	case "devices.Problem":
		return "DeviceProblem"
	case "wire.Op":
		return "PrintOperation"
	case "printer.Cell":
		return "PrintCell"
	case "catalogue.Status":
		return "Catalog"
	case "catalogue.FeedStatus":
		return "CatalogFeed"
	case "catalogue.ItemView":
		return "Item"
	case "printer.Job":
		return "PrintJob"
	}
	return huma.DefaultSchemaNamer(t, hint)
}

// operation is the part of the API document that the table tells.
func operation(r *route, problem *huma.Schema) huma.Operation {
	op := huma.Operation{
		OperationID: r.id, Method: r.method, Path: r.path, Summary: r.summary, Tags: []string{r.section}, DefaultStatus: r.status,
		// The gate has read the body within its own limits; huma's would cut long polls off.
		MaxBodyBytes: r.limit() + 1, BodyReadTimeout: -1,
		Responses: map[string]*huma.Response{},
	}
	problems := append([]int{}, r.problems...)
	if r.roles != nil {
		op.Security = []map[string][]string{{"token": {}}}
		problems = append(problems, http.StatusUnauthorized, http.StatusForbidden)
		names := make([]string, len(r.roles))
		for i, role := range r.roles {
			names[i] = string(role)
		}
		op.Description = "Roles: " + strings.Join(names, ", ") + "."
	} else {
		op.Description = "Needs no token."
	}
	if r.method != http.MethodGet {
		problems = append(problems, http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity)
		one, most := 1, 255
		op.Parameters = append(op.Parameters, &huma.Param{
			Name: "Idempotency-Key", In: "header", Required: r.key,
			Description: "Makes repeating safe: the same key with the same request gets the first accepted answer again.",
			Schema:      &huma.Schema{Type: "string", MinLength: &one, MaxLength: &most},
		})
	}
	for _, status := range problems {
		op.Responses[strconv.Itoa(status)] = problemResponse(http.StatusText(status), problem)
	}
	op.Responses["default"] = problemResponse("Any other refusal", problem)
	return op
}

func problemResponse(what string, problem *huma.Schema) *huma.Response {
	return &huma.Response{Description: what, Content: map[string]*huma.MediaType{wire.ProblemType: {Schema: problem}}}
}

// pick gives the operation of one of the three methods the API has.
func pick(item *huma.PathItem, method string) *huma.Operation {
	switch {
	case item == nil:
		return nil
	case method == http.MethodPost:
		return item.Post
	case method == http.MethodDelete:
		return item.Delete
	}
	return item.Get
}

// complete takes from the finished operation what the gate checks, and names the media types huma cannot know.
func (s *Server) complete(r *route, op *huma.Operation) {
	for _, p := range op.Parameters {
		if p.In == "query" {
			r.query = append(r.query, p.Name)
		}
	}
	if op.RequestBody != nil {
		r.schema = op.RequestBody.Content["application/json"].Schema
		op.RequestBody.Required = r.body == bodyNeeded
	}
	r.names = knownNames(r.schema, s.api.OpenAPI().Components.Schemas)
	media := map[string]string{
		"streamEvents": "text/event-stream", "getMetrics": "text/plain", "getConsole": "text/html",
		"exportQueue": "application/x-ndjson", "getMove": "application/octet-stream",
	}[r.id]
	if media != "" {
		op.Responses[strconv.Itoa(r.status)].Content = map[string]*huma.MediaType{media: {Schema: &huma.Schema{Type: "string"}}}
	}
	if r.status != http.StatusCreated && r.status != http.StatusAccepted {
		delete(op.Responses[strconv.Itoa(r.status)].Headers, "Location")
	}
	if r.id == "previewReceipt" {
		op.Responses["200"].Content = previewContent()
	}
	if r.id == "getOpenAPI" {
		op.Responses["200"].Content = map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{Type: "object"}}}
	}
}

// adjustSchemas corrects what cannot be told by a Go type: huma's own error types are never sent, and text is a flag
// on a barcode.
func adjustSchemas(reg huma.Registry) {
	delete(reg.Map(), "ErrorModel")
	delete(reg.Map(), "ErrorDetail")
	if op := reg.Map()["PrintOperation"]; op != nil {
		op.Properties["text"].Type = ""
		op.Properties["text"].OneOf = []*huma.Schema{{Type: "string"}, {Type: "boolean"}}
		op.Properties["text"].Description = "The text to print; on a barcode, true puts the digits below the bars"
		op.PrecomputeMessages()
	}
}

func saleBody(schema *huma.Schema) *huma.RequestBody {
	line := wire.SaleLine{
		LineNumber: 1, SKU: "TEA-250", UnitPrice: "4.50", ExtPrice: "9.00", ItemDiscountAmount: "1.00", SaleDiscountAmount: "0",
		Quantity: "2", UOM: "EA", Name: "Green tea 250 g",
	}
	sold := wire.Sale{
		TransactionID: "L3-000481", PurchasedOn: "2026-03-14T10:12:00", PayAmount: "8.00", SaleDiscountAmount: "0",
		ItemDiscountAmount: "1.00", SubTotal: "8.00", RefundAmount: "0", TaxAmount: "0", LineItems: []wire.SaleLine{line},
	}
	back, original, number := sold, sold.TransactionID, 1
	back.TransactionID, back.PurchasedOn, back.PayAmount, back.ItemDiscountAmount, back.SubTotal, back.RefundAmount =
		"L3-000502", "2026-03-15T16:40:00", "-4.00", "-0.50", "-4.00", "4.00"
	returned := line
	returned.IsRefund, returned.ExtPrice, returned.ItemDiscountAmount, returned.Quantity = true, "-4.50", "-0.50", "-1"
	returned.RefundTransactionID, returned.RefundLineNumber = &original, &number
	back.LineItems = []wire.SaleLine{returned}
	return &huma.RequestBody{
		Required: true, Description: "The add object of the cloud's purchaseAdd, field for field, with kind, currency and tenders beside it",
		Content: map[string]*huma.MediaType{"application/json": {Schema: schema, Examples: map[string]*huma.Example{
			"sale": {Summary: "Two packets of tea with a discount", Value: sold}, "refund": {Summary: "One of them comes back", Value: back},
		}}},
	}
}

type document struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *Server) getOpenAPI(context.Context, *nothing) (*document, error) {
	return &document{ContentType: "application/json", Body: s.openAPI}, nil
}
