package cloud

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/govalues/decimal"

	"storeagent/offline/catalogue"
)

// splitRows is a page before its rows are read.
type splitRows struct {
	rows    []json.RawMessage
	more    bool
	until   string
	limited bool
}

// splitPage reads the frame of a page. What has no results is a single row, or a list of them.
func splitPage(raw json.RawMessage) (splitRows, error) {
	var p splitRows
	if b := bytes.TrimSpace(raw); len(b) > 0 && b[0] == '[' {
		if err := json.Unmarshal(b, &p.rows); err != nil {
			return p, errors.New("the answer is not a list")
		}
		return p, nil
	}
	fields, err := splitObject(raw)
	if err != nil {
		return p, err
	}
	results, paged := fields["results"]
	if !paged {
		p.rows = []json.RawMessage{raw}
		return p, nil
	}
	if err := json.Unmarshal(results, &p.rows); err != nil {
		return p, errors.New("results is not a list")
	}
	p.more = string(fields["hasMoreResults"]) == "true"
	p.limited = string(fields["limitedByPermission"]) == "true"
	p.until = textOf(fields["until"])
	return p, nil
}

// decodePage reads the rows of a feed. A row that cannot be used keeps its place in Keys, as paging counts it.
func decodePage(f catalogue.Feed, raw json.RawMessage) (catalogue.Page, error) {
	split, err := splitPage(raw)
	if err != nil {
		return catalogue.Page{}, err
	}
	page := catalogue.Page{More: split.more, Until: split.until, Limited: split.limited, Keys: make([]string, 0, len(split.rows))}
	for _, r := range split.rows {
		fields, err := splitObject(r)
		if err != nil {
			page.Keys = append(page.Keys, "")
			continue
		}
		page.Keys = append(page.Keys, readRow(f, fields, r, &page.Batch))
	}
	return page, nil
}

// readRow adds a row to the batch and returns its key, "" for one without.
func readRow(f catalogue.Feed, fields map[string]json.RawMessage, raw json.RawMessage, b *catalogue.Batch) string {
	switch f {
	case catalogue.Items:
		i := itemOf(fields)
		if i.SKU != "" {
			b.Items = append(b.Items, i)
		}
		return i.SKU
	case catalogue.Stock:
		s, ok := shelfOf(fields, "")
		if !ok {
			return ""
		}
		b.Stock = append(b.Stock, s)
		return s.SKU + "\x1f" + s.Warehouse
	case catalogue.Customers:
		c := customerOf(fields)
		if c.ID != "" {
			b.Customers = append(b.Customers, c)
		}
		return c.ID
	}
	r := recordOf(f, fields, raw)
	if r.Key != "" {
		b.Records = append(b.Records, r)
	}
	return r.Key
}

func itemOf(fields map[string]json.RawMessage) catalogue.Item {
	i := catalogue.Item{
		SKU: textOf(fields["sku"]), Name: textOf(fields["name"]), LongName: textOf(fields["longName"]),
		SaleUOM: textOf(fields["saleUom"]), StockUOM: textOf(fields["stockUom"]),
	}
	for _, name := range codeFields() {
		for _, code := range codesIn(fields[name], 0) {
			if !slices.Contains(i.Codes, code) {
				i.Codes = append(i.Codes, code)
			}
		}
	}
	var list []json.RawMessage
	if json.Unmarshal(fields["warehouses"], &list) == nil {
		for _, raw := range list {
			if w, err := splitObject(raw); err == nil {
				if s, ok := shelfOf(w, i.SKU); ok {
					i.Stock = append(i.Stock, s)
				}
			}
		}
	}
	return i
}

// codeFields are names that a barcode may have; none is documented. item.graphql asks for the same.
func codeFields() []string {
	return []string{"barcode", "barcodes", "upc", "gtin", "ean", "alternateCodes"}
}

// codesIn takes a barcode, a list of them, or objects that hold one.
func codesIn(raw json.RawMessage, depth int) []string {
	if len(raw) == 0 || depth > 2 {
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) == nil {
		var out []string
		for _, r := range list {
			out = append(out, codesIn(r, depth+1)...)
		}
		return out
	}
	if fields, err := splitObject(raw); err == nil {
		var out []string
		for _, name := range append([]string{"code", "value", "number"}, codeFields()...) {
			out = append(out, codesIn(fields[name], depth+1)...)
		}
		return out
	}
	if code := strings.TrimSpace(textOf(raw)); code != "" {
		return []string{code}
	}
	return nil
}

// shelfOf reads a price; within an item the item's own sku counts.
func shelfOf(fields map[string]json.RawMessage, sku string) (catalogue.Shelf, bool) {
	s := catalogue.Shelf{SKU: sku, Warehouse: textOf(fields["warehouseCode"]), Price: decimalOf(fields["basePrice"]), Quantity: decimalOf(fields["quantityAvailable"])}
	if s.SKU == "" {
		s.SKU = textOf(fields["sku"])
	}
	return s, s.SKU != "" && s.Warehouse != ""
}

func customerOf(fields map[string]json.RawMessage) catalogue.Customer {
	c := catalogue.Customer{
		ID: textOf(fields["id"]), MemberID: textOf(fields["memberId"]), Status: textOf(fields["status"]),
		FullName: textOf(fields["fullName"]), Email: textOf(fields["email"]),
	}
	if phone, err := splitObject(fields["phone"]); err == nil {
		c.Phone = textOf(phone["raw"])
	} else {
		c.Phone = textOf(fields["phone"])
	}
	return c
}

var day = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}`)

// recordOf keeps a row as it came. A sale is known by its id. What makes a lot that lot nobody documents: its id where
// it has one, else all of it that does not change by selling.
func recordOf(f catalogue.Feed, fields map[string]json.RawMessage, raw json.RawMessage) catalogue.Record {
	r := catalogue.Record{Key: textOf(fields["id"]), Body: raw}
	if f == catalogue.Sales {
		r.Owner = textOf(fields["customerId"])
		r.Day = day.FindString(textOf(fields["saleDate"])) // as the cloud writes it: the register's own date
		return r
	}
	r.Owner = textOf(fields["sku"])
	if r.Key == "" && r.Owner != "" {
		for _, name := range slices.Sorted(maps.Keys(fields)) {
			if !moves.MatchString(name) && name != "__typename" {
				r.Key += name + "=" + string(fields[name]) + "\x1f"
			}
		}
	}
	return r
}

var moves = regexp.MustCompile(`(?i)quantity|qty|available|onhand|price|cost|modified|updated|changed`)

// textOf takes text, or a number or a flag as it is written; "" for anything else.
func textOf(raw json.RawMessage) string {
	if len(raw) == 0 {
		return ""
	}
	switch c := raw[0]; {
	case c == '"':
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return ""
		}
		return s
	case c == '-' || c >= '0' && c <= '9', c == 't', c == 'f':
		return string(raw)
	}
	return ""
}

var plainDecimal = regexp.MustCompile(`^-?[0-9]{1,30}(\.[0-9]{1,30})?$`)

// decimalOf takes a decimal as text or as a number, as it is written and never through binary floating point; "" where
// it is none.
func decimalOf(raw json.RawMessage) string {
	text := strings.TrimSpace(textOf(raw))
	if plainDecimal.MatchString(text) {
		return text
	}
	if !strings.ContainsAny(text, "eE") {
		return ""
	}
	d, err := decimal.Parse(text)
	if err != nil {
		return ""
	}
	return d.String()
}
