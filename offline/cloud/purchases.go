package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"storeagent/offline"
)

// purchaseDocument is an override without a built-in document: the vendor documents no query for purchases. It bears
// $transactionId and $storeCode where their texts belong, asks one query, and gives the fields the names used here, by
// aliases where the tenant calls them otherwise: id, transactionId and payAmount of each purchase, storeCode unless the
// query filters by it, the list itself as results (or the field is the list), and hasMoreResults and limitedByPermission
// where there are such.
const purchaseDocument = "purchase"

const purchaseRows = 20 // more purchases of one transaction id are no evidence anyway

// noLookupError says why a tenant cannot be asked for a purchase.
type noLookupError struct{ why string }

func (e *noLookupError) Error() string { return e.why }

// purchaseLookup is how a tenant is asked for a purchase.
type purchaseLookup struct {
	document
	field string // what the answer stands under
	query string // the tenant's name of it
	given bool   // by an override
}

var firstField = regexp.MustCompile(`\{\s*([_A-Za-z][_0-9A-Za-z]*)`)

var _ offline.PurchaseFinder = (*Client)(nil)

// FindPurchases implements offline.PurchaseFinder by an override called purchase.graphql, else by a query that the
// tenant's schema shows: see fitLookup.
func (c *Client) FindPurchases(ctx context.Context, storeCode, transactionID string) ([]offline.CloudPurchase, offline.Verdict) {
	l, err := c.purchaseLookup(ctx)
	var none *noLookupError
	switch {
	case errors.As(err, &none):
		return nil, offline.Verdict{Class: offline.ClassUnsupported, Fault: &offline.Fault{Code: "no_purchase_lookup", Message: none.why}}
	case err != nil:
		return nil, offline.Verdict{Class: offline.ClassNotExecuted, Fault: &offline.Fault{Code: "schema_unknown", Message: clean(err.Error(), nil)}}
	}
	req := request{document: l.text, name: l.name}
	if l.declares {
		req.variables = map[string]any{"transactionId": transactionID, "storeCode": storeCode}
	} else {
		text := variable("transactionId").ReplaceAllLiteralString(l.text, quoted(transactionID))
		req.document = variable("storeCode").ReplaceAllLiteralString(text, quoted(storeCode))
	}
	var found []offline.CloudPurchase
	v := c.exchange(ctx, req, func(a answer) offline.Verdict {
		v := judgeQuery(a, l.field)
		if v.Class == offline.ClassDelivered {
			found, v = l.read(a, v, storeCode, transactionID)
		}
		return v
	})
	if v.Class == offline.ClassUnsupported && !l.given {
		c.forgetQueries()
	}
	return found, v
}

// purchaseLookup finds how to ask. It fails with *noLookupError where the tenant cannot be asked, and otherwise where that
// is not known yet.
func (c *Client) purchaseLookup(ctx context.Context) (purchaseLookup, error) {
	if doc, ok := c.docs[purchaseDocument]; ok {
		return purchaseLookup{document: doc, field: firstField.FindStringSubmatch(doc.text)[1], query: purchaseDocument + ".graphql", given: true}, nil
	}
	roots, err := c.queryRoots(ctx)
	if err != nil {
		return purchaseLookup{}, err
	}
	if roots == nil {
		return purchaseLookup{}, &noLookupError{"The cloud does not show which queries it has."}
	}
	var lost error
	types := func(name string) *objectType {
		o, err := c.objectNamed(ctx, name)
		lost = errors.Join(lost, err)
		return o
	}
	why := "The cloud has no query for purchases."
	for _, name := range purchaseQueries(roots) {
		text, unfit := fitLookup(roots[name], types)
		if lost != nil {
			return purchaseLookup{}, lost
		}
		if unfit == "" {
			doc, err := parseDocument(purchaseDocument, text)
			return purchaseLookup{document: doc, field: name, query: name}, err
		}
		why = "The cloud has a query " + name + ", but " + unfit + "."
	}
	return purchaseLookup{}, &noLookupError{why}
}

// purchaseQueries lists the queries that may find a purchase, the likeliest first: purchase, purchases, and whatever else
// begins so.
func purchaseQueries(roots map[string]objectField) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(roots)) { // the shortest come first
		if strings.HasPrefix(strings.ToLower(name), "purchase") && graphQLName.MatchString(name) {
			list = append(list, name)
		}
	}
	return list
}

// fitLookup writes the query for a field of the schema, or says what it lacks. It must filter by transactionId, tell or
// filter by storeCode, and want no other argument. It answers with a list, with an object that holds one (results, items or
// nodes), or with one purchase; each has id, transactionId and an amount (payAmount, total or amount).
func fitLookup(f objectField, types lookup) (text, unfit string) {
	byID := likeName(f.args, "transactionId")
	if byID == "" {
		return "", "it does not filter by transactionId"
	}
	byStore := likeName(f.args, "storeCode", "locationCode")
	for _, name := range f.needs {
		if name != byID && name != byStore {
			return "", "it demands " + name
		}
	}
	outer := types(f.typ)
	if outer == nil {
		return "", "its result is not shown"
	}
	args := []string{byID + ": $transactionId"}
	if byStore != "" {
		args = append(args, byStore+": $storeCode")
	}
	if first := likeName(f.args, "first"); first != "" {
		args = append(args, fmt.Sprintf("%s: %d", first, purchaseRows))
	}
	row, open, end := outer, " {", " }"
	if !f.list {
		if list, ok := listIn(outer); ok {
			row = types(list.typ)
			if row == nil {
				return "", "its result is not shown"
			}
			open += plainNames(outer, "hasMoreResults", "limitedByPermission") + " " + aliased("results", list.name) + " {"
			end += " }"
		}
	}
	names := fieldNames(row)
	id, echoed, amount, store := likeName(names, "id"), likeName(names, "transactionId"), likeName(names, "payAmount", "total", "amount"),
		likeName(names, "storeCode", "locationCode")
	switch {
	case id == "" || echoed == "" || amount == "":
		return "", "it does not tell id, transactionId and amount of a purchase"
	case byStore == "" && store == "":
		return "", "it does not tell the store of a purchase"
	}
	fields := []string{aliased("id", id), aliased("transactionId", echoed), aliased("payAmount", amount)}
	if store != "" {
		fields = append(fields, aliased("storeCode", store))
	}
	return "query AgentPurchase {\n  " + f.name + "(" + strings.Join(args, ", ") + ")" + open + " " + strings.Join(fields, " ") + end + "\n}", ""
}

// likeName finds the first of the names that is there, in whatever capitals.
func likeName(has []string, names ...string) string {
	for _, name := range names {
		for _, h := range has {
			if strings.EqualFold(h, name) {
				return h
			}
		}
	}
	return ""
}

// fieldNames are the plain fields that want no argument.
func fieldNames(o *objectType) []string {
	var list []string
	for _, f := range o.fields {
		if !f.object && !f.hard {
			list = append(list, f.name)
		}
	}
	return list
}

// listIn finds the list of a page.
func listIn(o *objectType) (objectField, bool) {
	for _, name := range []string{"results", "items", "nodes"} {
		if f, ok := o.field(name); ok && f.list && f.object && !f.hard {
			return f, true
		}
	}
	return objectField{}, false
}

// plainNames writes those of the names that the type has.
func plainNames(o *objectType, names ...string) string {
	text := ""
	for _, name := range names {
		if f, ok := o.field(name); ok && !f.object && !f.hard {
			text += " " + name
		}
	}
	return text
}

func aliased(as, name string) string {
	if as == name {
		return name
	}
	return as + ": " + name
}

// read takes the purchases out of an answer. An answer that shows others than were asked for comes from a query that does
// not filter, so it is no evidence of anything.
func (l purchaseLookup) read(a answer, v offline.Verdict, storeCode, transactionID string) ([]offline.CloudPurchase, offline.Verdict) {
	unfit := func(class offline.Class, code, message string) ([]offline.CloudPurchase, offline.Verdict) {
		v.Class, v.Fault = class, &offline.Fault{Code: code, Message: message}
		return nil, v
	}
	raw, state := resultAt(a.data, l.field)
	if state == absent {
		return nil, v
	}
	rows, page, err := purchasesIn(raw)
	switch {
	case err != nil:
		return unfit(offline.ClassUnsupported, "lookup_unreadable", "The cloud's answer about a purchase is not of the form that the schema promised.")
	case page.Limited:
		return unfit(offline.ClassBlocked, "lookup_limited", "The account may not see all purchases.")
	case page.More:
		return unfit(offline.ClassUnsupported, "lookup_too_many", "The cloud shows more purchases of one transaction than there can be.")
	}
	ofStore := variable("storeCode").MatchString(l.text)
	var found []offline.CloudPurchase
	for _, row := range rows {
		id, ok := idText(row["id"])
		amount, isAmount := decimalText(row["payAmount"])
		switch store, told := idText(row["storeCode"]); {
		case !ok || !isAmount || !told && !ofStore:
			return unfit(offline.ClassUnsupported, "lookup_unreadable", "The cloud shows a purchase without its id, amount or store.")
		case !sameText(row["transactionId"], json.RawMessage(quoteJSON(transactionID))):
			return unfit(offline.ClassUnsupported, "lookup_unfiltered", "The cloud's query shows purchases of other transactions too.")
		case told && store != storeCode: // another store's numbers
		default:
			found = append(found, offline.CloudPurchase{ID: id, Amount: amount})
		}
	}
	return found, v
}

func quoteJSON(text string) []byte {
	b, err := json.Marshal(text)
	if err != nil { // a Go string always is a JSON text
		return nil
	}
	return b
}

// purchasePage is what a page says beside its rows.
type purchasePage struct {
	More    bool `json:"hasMoreResults"`
	Limited bool `json:"limitedByPermission"`
}

// purchasesIn takes a list, a page with one, or one purchase.
func purchasesIn(raw json.RawMessage) (rows []map[string]json.RawMessage, page purchasePage, err error) {
	if len(raw) > 0 && raw[0] == '[' {
		return rows, page, json.Unmarshal(raw, &rows)
	}
	object, err := splitObject(raw)
	if err != nil {
		return nil, page, err
	}
	list, isPage := object["results"]
	if !isPage {
		return []map[string]json.RawMessage{object}, page, nil
	}
	if err := json.Unmarshal(raw, &page); err != nil {
		return nil, page, err
	}
	err = json.Unmarshal(list, &rows)
	if err == nil && rows == nil { // null is no list
		err = errors.New("no list of purchases")
	}
	return rows, page, err
}

// SchemaNotes says what the cloud offers beyond what the agent needs, one sentence each. It goes by what CheckSchema
// has just learned.
func (c *Client) SchemaNotes(ctx context.Context) []string {
	list := c.purchaseNotes(ctx)
	if op, ok := c.names.operation(giftcardTransCancel().field); ok && cancelFits(op) {
		list = append(list, "Held amounts of gift cards can be given back by giftcardTransCancel; a cancel uses it.")
	}
	return list
}

func (c *Client) purchaseNotes(ctx context.Context) []string {
	l, err := c.purchaseLookup(ctx)
	var none *noLookupError
	switch {
	case errors.As(err, &none):
		return []string{none.why + " A purchase whose answer was lost waits for a person."}
	case err != nil:
		return nil
	case l.given:
		return []string{"Purchases can be looked up by the document purchase.graphql; cloud.purchase_lookup = true settles purchases in doubt by it."}
	}
	return []string{"Purchases can be looked up by the query " + l.query + "; cloud.purchase_lookup = true settles purchases in doubt by it."}
}
