package cloud

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
)

// bought sends vendor sales and returns the first one's transaction id and what FindPurchases should tell of it.
func bought(t *testing.T, c *Client, sim *cloudsim.Sim) (transaction string, want []offline.CloudPurchase) {
	t.Helper()
	for _, name := range []string{"minimal", "complete"} {
		raw := []byte(strings.Replace(string(vendorSale(t, name)), `"transactionId": "`, `"transactionId": "`+name, 1))
		if v := c.Send(t.Context(), purchase(raw)); v.Class != offline.ClassDelivered {
			t.Fatalf("%s: %+v %+v", name, v, v.Fault)
		}
	}
	p := sim.Ledger()[0]
	return p.TransactionID, []offline.CloudPurchase{{ID: p.ID, Amount: p.Input["payAmount"].(string)}}
}

func storeOf(sim *cloudsim.Sim) string { return sim.Ledger()[0].StoreCode }

func TestPurchasesAreFoundByWhateverQueryThereIs(t *testing.T) {
	for _, query := range []string{cloudsim.QueryPurchase, cloudsim.QueryPurchases, cloudsim.QueryPurchaseByTransaction} {
		t.Run(query, func(t *testing.T) {
			sim := newSim(t, cloudsim.Options{PurchaseQuery: query})
			c := newClient(t, serve(t, sim), nil)
			transaction, want := bought(t, c, sim)
			got, v := c.FindPurchases(t.Context(), storeOf(sim), transaction)
			if v.Class != offline.ClassDelivered || !reflect.DeepEqual(got, want) {
				t.Errorf("found %v, %+v %+v, want %v", got, v, v.Fault, want)
			}
			for _, other := range [][2]string{{storeOf(sim), "nothing"}, {"ELSEWHERE", transaction}} {
				if got, v := c.FindPurchases(t.Context(), other[0], other[1]); v.Class != offline.ClassDelivered || len(got) != 0 {
					t.Errorf("%v: found %v, %+v %+v", other, got, v, v.Fault)
				}
			}
			notes := c.SchemaNotes(t.Context())
			if len(notes) != 1 || !strings.Contains(notes[0], "the query "+query+";") {
				t.Errorf("notes %q", notes)
			}
		})
	}
}

func TestPurchasesThatCannotBeFound(t *testing.T) {
	for name, tc := range map[string]struct {
		o     cloudsim.Options
		class offline.Class
		code  string
		note  string
	}{
		"no such query":   {cloudsim.Options{}, offline.ClassUnsupported, "no_purchase_lookup", "no query for purchases"},
		"hidden schema":   {cloudsim.Options{PurchaseQuery: cloudsim.QueryPurchase, NoIntrospection: true}, offline.ClassUnsupported, "no_purchase_lookup", "does not show"},
		"it does not ask": {cloudsim.Options{PurchaseQuery: cloudsim.QueryPurchaseSearch}, offline.ClassUnsupported, "lookup_unfiltered", "purchaseSearch"},
	} {
		t.Run(name, func(t *testing.T) {
			sim := newSim(t, tc.o)
			c := newClient(t, serve(t, sim), nil)
			transaction, _ := bought(t, c, sim)
			got, v := c.FindPurchases(t.Context(), storeOf(sim), transaction)
			if len(got) != 0 || v.Class != tc.class || v.Fault == nil || v.Fault.Code != tc.code {
				t.Errorf("found %v, %+v %+v", got, v, v.Fault)
			}
			if notes := c.SchemaNotes(t.Context()); len(notes) != 1 || !strings.Contains(notes[0], tc.note) {
				t.Errorf("notes %q", notes)
			}
		})
	}
}

func TestPurchasesThatMayNotBeSeen(t *testing.T) {
	for _, query := range []string{cloudsim.QueryPurchase, cloudsim.QueryPurchases} {
		sim := newSim(t, cloudsim.Options{PurchaseQuery: query})
		c := newClient(t, serve(t, sim), nil)
		transaction, _ := bought(t, c, sim)
		sim.Deny(cloudsim.ViewPurchases)
		if got, v := c.FindPurchases(t.Context(), storeOf(sim), transaction); len(got) != 0 || v.Class != offline.ClassBlocked {
			t.Errorf("%s: found %v, %+v %+v", query, got, v, v.Fault)
		}
	}
}

func TestPurchaseLookupFails(t *testing.T) {
	sim := newSim(t, cloudsim.Options{PurchaseQuery: cloudsim.QueryPurchase})
	c := newClient(t, serve(t, sim), nil)
	transaction, _ := bought(t, c, sim)
	for range 2 { // before the schema was learned, and after it
		sim.Fail(cloudsim.ExecuteThenClose, 1)
		if got, v := c.FindPurchases(t.Context(), storeOf(sim), transaction); len(got) != 0 || v.Class == offline.ClassDelivered || v.Class == offline.ClassUnsupported {
			t.Errorf("found %v, %+v %+v", got, v, v.Fault)
		}
		if got, v := c.FindPurchases(t.Context(), storeOf(sim), transaction); len(got) != 1 || v.Class != offline.ClassDelivered {
			t.Errorf("after it found %v, %+v %+v", got, v, v.Fault)
		}
	}
}

// TestOverrideFindsPurchases: a technician names a query that the rules do not find, also where the schema is hidden.
func TestOverrideFindsPurchases(t *testing.T) {
	dir := t.TempDir()
	const text = "# our tenant's\nquery Ours {\n  it: purchase(transactionId: $transactionId, storeCode: $storeCode) { results { id transactionId payAmount } }\n}\n"
	if err := os.WriteFile(filepath.Join(dir, "purchase.graphql"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sim := newSim(t, cloudsim.Options{PurchaseQuery: cloudsim.QueryPurchase, NoIntrospection: true})
	c := newClient(t, serve(t, sim), func(c *Config) { c.OverrideDir = dir })
	transaction, want := bought(t, c, sim)
	if got, v := c.FindPurchases(t.Context(), storeOf(sim), transaction); v.Class != offline.ClassDelivered || !reflect.DeepEqual(got, want) {
		t.Errorf("found %v, %+v %+v, want %v", got, v, v.Fault, want)
	}
	if notes := c.SchemaNotes(t.Context()); len(notes) != 1 || !strings.Contains(notes[0], "purchase.graphql") {
		t.Errorf("notes %q", notes)
	}
	if err := os.WriteFile(filepath.Join(dir, "purchase.graphql"), []byte("query Ours { purchases { id } }"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Endpoint: "https://pos.example.com/", Token: &tokens{}, OverrideDir: dir}); err == nil {
		t.Error("an override that asks for no transaction was taken")
	}
}

// TestLookupIsFittedToTheSchema goes through forms that the simulated cloud does not have.
func TestLookupIsFittedToTheSchema(t *testing.T) {
	row := func(names ...string) *objectType {
		o := &objectType{}
		for _, n := range names {
			o.fields = append(o.fields, objectField{name: n})
		}
		return o
	}
	types := map[string]*objectType{
		"Page":  {fields: []objectField{{name: "nodes", typ: "Row", list: true, object: true}, {name: "hasMoreResults"}}},
		"Row":   row("id", "transactionId", "amount", "locationCode"),
		"Short": row("id", "transactionId"), "Anywhere": row("id", "transactionId", "payAmount"),
	}
	find := func(name string) *objectType { return types[name] }
	for name, tc := range map[string]struct {
		f           objectField
		text, unfit string
	}{
		"page of nodes": {objectField{name: "purchases", typ: "Page", args: []string{"transactionID", "first"}, needs: []string{"transactionID"}, object: true},
			"query AgentPurchase {\n  purchases(transactionID: $transactionId, first: 20) { hasMoreResults results: nodes { id transactionId payAmount: amount storeCode: locationCode } }\n}", ""},
		"no filter":      {objectField{name: "purchases", typ: "Page", args: []string{"first"}}, "", "does not filter"},
		"demands more":   {objectField{name: "purchases", typ: "Page", args: []string{"transactionId", "year"}, needs: []string{"year"}}, "", "demands year"},
		"no amount":      {objectField{name: "purchases", typ: "Short", list: true, args: []string{"transactionId"}}, "", "does not tell id"},
		"no store":       {objectField{name: "purchases", typ: "Anywhere", list: true, args: []string{"transactionId"}}, "", "the store"},
		"store is asked": {objectField{name: "purchases", typ: "Anywhere", list: true, args: []string{"transactionId", "storeCode"}}, "query AgentPurchase {\n  purchases(transactionId: $transactionId, storeCode: $storeCode) { id transactionId payAmount }\n}", ""},
		"hidden result":  {objectField{name: "purchases", typ: "Nobody", args: []string{"transactionId"}}, "", "not shown"},
	} {
		text, unfit := fitLookup(tc.f, find)
		if strings.Join(strings.Fields(text), " ") != strings.Join(strings.Fields(tc.text), " ") || !strings.Contains(unfit, tc.unfit) || (unfit == "") != (tc.unfit == "") {
			t.Errorf("%s: %q %q", name, text, unfit)
		}
	}
}

// TestAnswersAboutPurchasesAreReadStrictly: what is not surely about this transaction of this store is no evidence.
func TestAnswersAboutPurchasesAreReadStrictly(t *testing.T) {
	const one = `{"id":"7","transactionId":"T1","payAmount":"1.00","storeCode":"S"}`
	for raw, want := range map[string]struct {
		class offline.Class
		found int
	}{
		`null`:                      {offline.ClassDelivered, 0},
		one:                         {offline.ClassDelivered, 1},
		`[` + one + `,` + one + `]`: {offline.ClassDelivered, 2},
		`{"results":[` + one + `]}`: {offline.ClassDelivered, 1},
		`{"results":[{"id":7,"transactionId":"T1","payAmount":1.00,"storeCode":"S"}]}`:      {offline.ClassDelivered, 1},
		`{"results":[{"id":"7","transactionId":"T1","payAmount":"1.00","storeCode":"R"}]}`:  {offline.ClassDelivered, 0},
		`{"results":[{"id":"7","transactionId":"T1","payAmount":"1.00","storeCode":null}]}`: {offline.ClassUnsupported, 0},
		`{"results":[{"id":"7","transactionId":"T2","payAmount":"1.00","storeCode":"S"}]}`:  {offline.ClassUnsupported, 0},
		`{"results":[{"id":"7","transactionId":null,"payAmount":"1.00","storeCode":"S"}]}`:  {offline.ClassUnsupported, 0},
		`{"results":[{"id":null,"transactionId":"T1","payAmount":"1.00","storeCode":"S"}]}`: {offline.ClassUnsupported, 0},
		`{"results":[{"id":"7","transactionId":"T1","payAmount":"much","storeCode":"S"}]}`:  {offline.ClassUnsupported, 0},
		`{"results":null}`:                          {offline.ClassUnsupported, 0},
		`{"results":[],"hasMoreResults":true}`:      {offline.ClassUnsupported, 0},
		`{"results":[],"limitedByPermission":true}`: {offline.ClassBlocked, 0},
		`"nothing"`: {offline.ClassUnsupported, 0},
		`{"results":[` + one + `],"limitedByPermission":true}`: {offline.ClassBlocked, 0},
	} {
		l := purchaseLookup{field: "p"}
		got, v := l.read(answer{data: []byte(`{"p":` + raw + `}`)}, offline.Verdict{Class: offline.ClassDelivered}, "S", "T1")
		if v.Class != want.class || len(got) != want.found {
			t.Errorf("%s: %v %+v", raw, got, v)
		}
	}
}

// TestPurchasesAppearLate is the lag that makes one absence no evidence.
func TestPurchasesAppearLate(t *testing.T) {
	at := time.Date(2026, 3, 7, 9, 0, 0, 0, time.UTC)
	sim := newSim(t, cloudsim.Options{PurchaseQuery: cloudsim.QueryPurchase, PurchaseLag: time.Minute, Now: func() time.Time { return at }})
	c := newClient(t, serve(t, sim), nil)
	transaction, _ := bought(t, c, sim)
	if got, v := c.FindPurchases(t.Context(), storeOf(sim), transaction); v.Class != offline.ClassDelivered || len(got) != 0 {
		t.Errorf("at once: %v %+v", got, v)
	}
	at = at.Add(time.Minute)
	if got, v := c.FindPurchases(t.Context(), storeOf(sim), transaction); v.Class != offline.ClassDelivered || len(got) != 1 {
		t.Errorf("after a minute: %v %+v", got, v)
	}
}
