package register_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"storeagent/register"
)

var update = flag.Bool("update", false, "rewrite testdata/openapi.json")

// matrix is section 1 of the contract once more, written by hand: r register, t technician, o observer, - nobody needs
// a token.
var matrix = map[string]string{
	"POST /v1/sales": "rt", "GET /v1/sales": "rt", "GET /v1/sales/{id}": "rt",
	"GET /v1/queue": "rto", "GET /v1/queue/items": "rto", "POST /v1/queue/items/{id}/resend": "t", "POST /v1/queue/items/{id}/settle": "t",
	"POST /v1/queue/items/{id}/discard": "t", "POST /v1/queue/pause": "t", "POST /v1/queue/resume": "t", "POST /v1/queue/drain": "t",
	"GET /v1/queue/export": "t", "POST /v1/queue/move": "t", "GET /v1/queue/moves/{id}": "t", "POST /v1/queue/import": "t",
	"POST /v1/queue/findings/ack": "t", "POST /v1/schema/check": "t",
	"POST /v1/payments": "rt", "GET /v1/payments": "rt", "GET /v1/payments/{id}": "rt", "POST /v1/payments/{id}/cancel": "rt",
	"POST /v1/payments/{id}/void": "rt", "POST /v1/payments/{id}/capture": "rt", "POST /v1/payments/{id}/tip": "rt", "POST /v1/payments/{id}/resolve": "t",
	"POST /v1/terminals/{name}/end-of-day": "rt", "POST /v1/terminals/{name}/totals": "rt", "POST /v1/terminals/{name}/display": "rt",
	"POST /v1/giftcards/lookup": "rt", "POST /v1/giftcards/transactions": "rt", "GET /v1/giftcards/transactions/{id}": "rt",
	"POST /v1/giftcards/transactions/{id}/capture": "rt", "POST /v1/giftcards/transactions/{id}/cancel": "rt", "POST /v1/giftcards": "rt",
	"GET /v1/terminals": "rt", "POST /v1/terminals/{name}/status": "rt",
	"GET /v1/devices": "rto", "POST /v1/printers/{name}/jobs": "rt", "GET /v1/print-jobs/{id}": "rt", "POST /v1/print-jobs/{id}/reprint": "rt", "POST /v1/receipts/preview": "rt",
	"POST /v1/scanners/{name}/claim": "rt", "GET /v1/scanners/{name}/claim": "rt", "DELETE /v1/scanners/{name}/claim": "rt",
	"GET /v1/scales/{name}/weight": "rt", "POST /v1/displays/{name}": "rt", "POST /v1/drawers/{name}/open": "rt",
	"GET /v1/items": "rt", "GET /v1/customers": "rt", "GET /v1/catalog": "rt", "GET /v1/catalog/{kind}": "rt", "POST /v1/catalog/sync": "t",
	"GET /v1/events":   "rto",
	"POST /v1/sign-in": "t", "GET /v1/sign-in": "t", "DELETE /v1/sign-in": "t",
	"POST /v1/pairings": "t", "GET /v1/pairings": "t", "DELETE /v1/pairings/{id}": "t", "POST /v1/console-links": "t",
	"GET /v1/status": "rto", "GET /metrics": "to", "GET /healthz": "-", "GET /readyz": "-", "GET /openapi.json": "-", "GET /": "-",
}

func TestRoleMatrix(t *testing.T) {
	tokens := map[string]string{"r": registerToken, "t": technicianToken, "o": observerToken}
	s := newServer(t, newMemory())
	for route, may := range matrix {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{id}", "none", "{name}", "none").Replace(path)
		if path == "/v1/events" {
			path += "?lastEventId=x" // past the role check, a stream would not end
		}
		if w := (ask{method: method, path: path}).do(t, s); may != "-" && w.Code != 401 || may == "-" && w.Code != 200 {
			t.Errorf("%s without a token: %d", route, w.Code)
		}
		for letter, token := range tokens {
			w := ask{method: method, path: path, token: token, body: "{"}.do(t, s) // the body lets nothing happen
			refused := code(t, w) == "role_not_allowed"
			if allowed := may == "-" || strings.Contains(may, letter); allowed == refused {
				t.Errorf("%s as %s: %d %s", route, letter, w.Code, w.Body)
			}
		}
	}
}

func TestEveryRouteIsInTheMatrixAndTheDocument(t *testing.T) {
	s := newServer(t, newMemory())
	listed := register.Routes()
	for _, r := range listed {
		if matrix[r] == "" {
			t.Errorf("%s is not in the matrix", r)
		}
	}
	for r := range matrix {
		if !slices.Contains(listed, r) {
			t.Errorf("%s is not routed", r)
		}
	}
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
			Parameters  []struct {
				Name, In string
				Required bool
			}
			Responses map[string]struct {
				Content map[string]struct {
					Schema json.RawMessage
				}
			}
		}
	}
	w := ask{method: "GET", path: "/openapi.json"}.do(t, s)
	decode(t, w.Body, &doc)
	var documented []string
	for path, item := range doc.Paths {
		for method, op := range item {
			route := strings.ToUpper(method) + " " + path
			documented = append(documented, route)
			if free := matrix[route] == "-"; free != (len(op.Security) == 0) {
				t.Errorf("%s: security %v", route, op.Security)
			}
			if op.Responses["default"].Content["application/problem+json"].Schema == nil {
				t.Errorf("%s names no problem answer", route)
			}
			usual := 0
			for status, r := range op.Responses {
				if status[0] != '2' {
					continue
				}
				usual++
				if status != "204" && len(r.Content) == 0 {
					t.Errorf("%s: %s has no content", route, status)
				}
			}
			if usual != 1 {
				t.Errorf("%s has %d usual answers", route, usual)
			}
		}
	}
	slices.Sort(documented)
	if sorted := slices.Sorted(slices.Values(listed)); !slices.Equal(documented, sorted) {
		t.Errorf("documented %v\nrouted %v", documented, sorted)
	}
}

func TestOpenAPIDocument(t *testing.T) {
	w := ask{method: "GET", path: "/openapi.json"}.do(t, newServer(t, newMemory()))
	got := w.Body.Bytes()
	if *update {
		if err := os.WriteFile("testdata/openapi.json", got, 0o644); err != nil { //nolint:gosec // a golden file
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the API document changed; if it should, run: go test ./register -run TestOpenAPIDocument -update")
	}
	for _, url := range regexp.MustCompile(`[a-z]+://[^"\\ ]+`).FindAllString(string(got), -1) {
		if !strings.HasPrefix(url, "https://register.example.com") {
			t.Errorf("the API document names %s", url)
		}
	}
	var doc struct {
		OpenAPI    string
		Components struct{ Schemas map[string]json.RawMessage }
	}
	decode(t, w.Body, &doc)
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("version %s", doc.OpenAPI)
	}
	for _, ref := range regexp.MustCompile(`"\$ref": "#/components/schemas/([^"]+)"`).FindAllSubmatch(got, -1) {
		if doc.Components.Schemas[string(ref[1])] == nil {
			t.Errorf("reference to %s leads nowhere", ref[1])
		}
	}
	for _, none := range []string{"ErrorModel", "ErrorDetail", `"$schema"`} {
		if bytes.Contains(got, []byte(none)) {
			t.Errorf("the API document holds %s", none)
		}
	}
}

func TestConsolePage(t *testing.T) {
	w := ask{method: "GET", path: "/"}.do(t, newServer(t, newMemory()))
	policy := w.Header().Get("Content-Security-Policy")
	if w.Code != http.StatusOK || !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
		t.Fatalf("%d %v", w.Code, w.Header())
	}
	for _, part := range []string{"default-src 'none'", "script-src 'sha256-", "connect-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, part) {
			t.Errorf("policy %q lacks %s", policy, part)
		}
	}
	page := w.Body.String()
	for _, no := range []string{"unsafe-inline", "unsafe-eval", "http:", "https:", " style=", " onclick", "localStorage", "innerHTML"} {
		if strings.Contains(page+policy, no) {
			t.Errorf("page or policy holds %s", no)
		}
	}
}
