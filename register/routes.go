package register

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"storeagent/internal/journal"
)

// bodyRule says what a route does with a body.
type bodyRule int

const (
	bodyNone   bodyRule = iota // no fields; an empty object is fine
	bodyMay                    // may be left out
	bodyNeeded                 // must be there
)

// route is one row of the API: what it is called, who may call it, and what it insists on. The access check, the
// OpenAPI document and the mux are all made of this table.
type route struct {
	method, path string
	id, section  string // operation id and OpenAPI tag
	summary      string
	roles        []journal.Role // nil: free of a token
	key          bool           // an idempotency key is required
	body         bodyRule
	bodyLimit    int64 // largest body in bytes; 0 is the contract's mebibyte
	cards        bool  // the body may hold the code and the PIN of a gift card
	judged       bool  // the body's fields are judged by the floor below, which knows more than a schema
	status       int   // of the usual answer
	problems     []int
	add          func(s *Server, api huma.API, op huma.Operation)

	// live, where set, says how what the first answer located stands now; a repeat hears that.
	live func(ctx context.Context, s *Server, location string) (any, error)

	// drawn marks an answer that is not kept, being no JSON or a secret: a repeat is made anew.
	drawn bool

	// Filled in by build.
	query  []string
	schema *huma.Schema
	names  func(string) string
}

// Who may call, in the words of the contract's section 1.
var (
	free       []journal.Role
	everybody  = []journal.Role{journal.RoleRegister, journal.RoleTechnician, journal.RoleObserver}
	selling    = []journal.Role{journal.RoleRegister, journal.RoleTechnician}
	technician = []journal.Role{journal.RoleTechnician}
	watching   = []journal.Role{journal.RoleObserver, journal.RoleTechnician}
)

// limit is the largest body that the route takes, in bytes.
func (r *route) limit() int64 { return max(maxBody, r.bodyLimit) }

// handle joins a handler to its route. The handler's error becomes a problem.
func handle[I, O any](f func(*Server, context.Context, *I) (*O, error)) func(*Server, huma.API, huma.Operation) {
	return func(s *Server, api huma.API, op huma.Operation) {
		huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
			out, err := f(s, ctx, in)
			if err != nil {
				return nil, s.fail(ctx, err)
			}
			return out, nil
		})
	}
}

// answer is a handler's result.
type answer[T any] struct {
	Status   int
	Location string `header:"Location"`
	Body     T
}

type nothing struct{}

func ok[T any](body T) *answer[T] { return &answer[T]{Status: http.StatusOK, Body: body} }

// table lists every route.
func table() []*route {
	return slices.Concat(saleRoutes(), queueRoutes(), upkeepRoutes(), paymentRoutes(), giftcardRoutes(), catalogueRoutes(), deviceRoutes(), counterRoutes(), drawerRoutes(), eventRoutes(), technicianRoutes(), statusRoutes())
}

func saleRoutes() []*route {
	return []*route{
		{method: "POST", path: "/v1/sales", id: "postSale", section: "sales", summary: "Hand over a completed sale",
			roles: selling, key: true, body: bodyNeeded, judged: true, status: 201, problems: []int{409, 503}, add: handle((*Server).postSale)},
		{method: "GET", path: "/v1/sales", id: "listSales", section: "sales", summary: "List sales, newest first",
			roles: selling, status: 200, add: handle((*Server).listSales)},
		{method: "GET", path: "/v1/sales/{id}", id: "getSale", section: "sales", summary: "One sale with its state and what was posted",
			roles: selling, status: 200, problems: []int{404}, add: handle((*Server).getSale)},
	}
}

func queueRoutes() []*route {
	return []*route{
		{method: "GET", path: "/v1/queue", id: "getQueue", section: "queue", summary: "What waits for the cloud, and how the way there stands",
			roles: everybody, status: 200, add: handle((*Server).getQueue)},
		{method: "GET", path: "/v1/queue/items", id: "listQueueItems", section: "queue", summary: "List operations",
			roles: everybody, status: 200, add: handle((*Server).listItems)},
		{method: "POST", path: "/v1/queue/items/{id}/resend", id: "resendItem", section: "queue", summary: "Send a parked operation again",
			roles: technician, body: bodyNeeded, status: 200, problems: []int{404, 409, 503}, add: handle((*Server).resend)},
		{method: "POST", path: "/v1/queue/items/{id}/settle", id: "settleItem", section: "queue", summary: "Say that a person saw a parked operation in the cloud",
			roles: technician, body: bodyNeeded, status: 200, problems: []int{404, 409, 503}, add: handle((*Server).settle)},
		{method: "POST", path: "/v1/queue/items/{id}/discard", id: "discardItem", section: "queue", summary: "Give a parked operation up",
			roles: technician, body: bodyNeeded, status: 200, problems: []int{404, 409, 503}, add: handle((*Server).discard)},
		{method: "POST", path: "/v1/queue/pause", id: "pauseQueue", section: "queue", summary: "Send nothing until resumed, also after a restart",
			roles: technician, status: 200, problems: []int{503}, add: handle((*Server).pause)},
		{method: "POST", path: "/v1/queue/resume", id: "resumeQueue", section: "queue", summary: "Send again",
			roles: technician, status: 200, problems: []int{503}, add: handle((*Server).resume)},
		{method: "POST", path: "/v1/queue/drain", id: "drainQueue", section: "queue", summary: "Try now and wait until nothing is queued or sending",
			roles: technician, status: 200, add: handle((*Server).drain)},
	}
}

func paymentRoutes() []*route {
	return []*route{
		{method: "POST", path: "/v1/payments", id: "postPayment", section: "payments", summary: "Start a card payment",
			roles: selling, key: true, body: bodyNeeded, status: 202, problems: []int{409, 503}, add: handle((*Server).postPayment)},
		{method: "GET", path: "/v1/payments", id: "listPayments", section: "payments", summary: "List payments, newest first",
			roles: selling, status: 200, add: handle((*Server).listPayments)},
		{method: "GET", path: "/v1/payments/{id}", id: "getPayment", section: "payments", summary: "One payment; wait for its end with wait=SECONDS",
			roles: selling, status: 200, problems: []int{404}, add: handle((*Server).getPayment)},
		{method: "POST", path: "/v1/payments/{id}/cancel", id: "cancelPayment", section: "payments", summary: "Ask the terminal to stop; the terminal decides",
			roles: selling, status: 202, problems: []int{404, 409}, add: handle((*Server).cancelPayment)},
		{method: "POST", path: "/v1/payments/{id}/void", id: "voidPayment", section: "payments", summary: "Take an approved payment back",
			roles: selling, key: true, status: 202, problems: []int{404, 409, 503}, add: handle((*Server).voidPayment)},
		{method: "POST", path: "/v1/payments/{id}/capture", id: "capturePayment", section: "payments", summary: "Collect a preauthorized amount",
			roles: selling, key: true, body: bodyMay, status: 202, problems: []int{404, 409, 503}, add: handle((*Server).capturePayment)},
		{method: "POST", path: "/v1/payments/{id}/tip", id: "tipPayment", section: "payments", summary: "Add a tip to an approved payment",
			roles: selling, key: true, body: bodyNeeded, status: 202, problems: []int{404, 409, 503}, add: handle((*Server).tipPayment)},
		{method: "POST", path: "/v1/payments/{id}/resolve", id: "resolvePayment", section: "payments", summary: "Say how a payment ended that the terminal could not tell",
			roles: technician, body: bodyNeeded, status: 200, problems: []int{404, 409, 503}, add: handle((*Server).resolvePayment)},
		{method: "GET", path: "/v1/terminals", id: "listTerminals", section: "payments", summary: "List card terminals and what they can do",
			roles: selling, status: 200, add: handle((*Server).listTerminals)},
		{method: "POST", path: "/v1/terminals/{name}/status", id: "askTerminal", section: "payments", summary: "Ask the terminal itself whether it is ready; no money moves",
			roles: selling, status: 200, problems: []int{404, 503}, add: handle((*Server).terminalStatus)},
		{method: "POST", path: "/v1/terminals/{name}/end-of-day", id: "endOfDay", section: "payments", summary: "Close the terminal's day and compare its figures with ours; may take minutes",
			roles: selling, status: 200, problems: []int{404, 409, 503}, add: handle((*Server).endOfDay)},
		{method: "POST", path: "/v1/terminals/{name}/totals", id: "terminalTotals", section: "payments", summary: "Compare the terminal's figures since its last end of day with ours",
			roles: selling, status: 200, problems: []int{404, 409, 503}, add: handle((*Server).terminalTotals)},
		{method: "POST", path: "/v1/terminals/{name}/display", id: "displayOnTerminal", section: "payments", summary: "Show lines to the customer",
			roles: selling, body: bodyNeeded, status: 200, problems: []int{404, 409, 503}, add: handle((*Server).displayOnTerminal)},
	}
}

func deviceRoutes() []*route {
	return []*route{
		{method: "GET", path: "/v1/devices", id: "listDevices", section: "devices", summary: "List configured devices and how they are",
			roles: everybody, status: 200, add: handle((*Server).listDevices)},
		{method: "POST", path: "/v1/printers/{name}/jobs", id: "postPrintJob", section: "printing", summary: "Print a document, a sale or raw bytes",
			roles: selling, key: true, body: bodyNeeded, status: 202, problems: []int{404, 503}, add: handle((*Server).postPrintJob)},
		{method: "GET", path: "/v1/print-jobs/{id}", id: "getPrintJob", section: "printing", summary: "One print job; wait for its end with wait=SECONDS",
			roles: selling, status: 200, problems: []int{404}, add: handle((*Server).getPrintJob)},
		{method: "POST", path: "/v1/print-jobs/{id}/reprint", id: "reprint", section: "printing", summary: "Print a job again, marked as a copy",
			roles: selling, key: true, status: 202, problems: []int{404, 503}, add: handle((*Server).reprint)},
		{method: "POST", path: "/v1/receipts/preview", id: "previewReceipt", section: "printing", summary: "Show what the paper will show, as text, PNG or SVG",
			roles: selling, body: bodyNeeded, drawn: true, status: 200, problems: []int{404, 406}, add: handle((*Server).preview)},
		{method: "POST", path: "/v1/scanners/{name}/claim", id: "claimScanner", section: "devices", summary: "Take or renew the exclusive use of a scanner's scans",
			roles: selling, status: 200, problems: []int{404, 409}, add: handle((*Server).postClaim)},
		{method: "GET", path: "/v1/scanners/{name}/claim", id: "getScannerClaim", section: "devices", summary: "Whether a scanner is claimed",
			roles: selling, status: 200, problems: []int{404}, add: handle((*Server).getClaim)},
		{method: "DELETE", path: "/v1/scanners/{name}/claim", id: "releaseScanner", section: "devices", summary: "Give a claimed scanner free",
			roles: selling, status: 204, problems: []int{404, 409}, add: handle((*Server).deleteClaim)},
	}
}

func eventRoutes() []*route {
	return []*route{
		{method: "GET", path: "/v1/events", id: "streamEvents", section: "events", summary: "Server-sent events, replayed from where you stopped",
			roles: everybody, status: 200, add: handle((*Server).events)},
	}
}

func technicianRoutes() []*route {
	return []*route{
		{method: "POST", path: "/v1/sign-in", id: "signIn", section: "sign-in", summary: "Start signing in to the POS cloud",
			roles: technician, status: 200, problems: []int{503}, add: handle((*Server).postSignIn)},
		{method: "GET", path: "/v1/sign-in", id: "getSignIn", section: "sign-in", summary: "How the sign-in stands",
			roles: technician, status: 200, add: handle((*Server).getSignIn)},
		{method: "DELETE", path: "/v1/sign-in", id: "signOut", section: "sign-in", summary: "Revoke the sign-in and forget it; refused while something is undelivered, unless forced after an export",
			roles: technician, status: 204, problems: []int{409, 503}, add: handle((*Server).deleteSignIn)},
		{method: "POST", path: "/v1/pairings", id: "pair", section: "pairings", summary: "Let a caller in: make a token, shown once",
			roles: technician, body: bodyNeeded, status: 201, problems: []int{503}, add: handle((*Server).postPairing)},
		{method: "GET", path: "/v1/pairings", id: "listPairings", section: "pairings", summary: "List who was let in",
			roles: technician, status: 200, add: handle((*Server).listPairings)},
		{method: "DELETE", path: "/v1/pairings/{id}", id: "unpair", section: "pairings", summary: "Revoke a token",
			roles: technician, status: 204, problems: []int{404, 503}, add: handle((*Server).deletePairing)},
		{method: "POST", path: "/v1/console-links", id: "makeConsoleLink", section: "pairings", summary: "Make a link that opens the console page once, without a token",
			roles: technician, drawn: true, status: 201, add: handle((*Server).postConsoleLink)},
	}
}

func statusRoutes() []*route {
	return []*route{
		{method: "GET", path: "/v1/status", id: "getStatus", section: "status", summary: "What works right now, from memory",
			roles: everybody, status: 200, add: handle((*Server).getStatus)},
		{method: "GET", path: "/metrics", id: "getMetrics", section: "status", summary: "Prometheus text",
			roles: watching, status: 200, add: handle((*Server).getMetrics)},
		{method: "GET", path: "/healthz", id: "healthz", section: "status", summary: "The process lives",
			roles: free, status: 200, add: handle((*Server).healthz)},
		{method: "GET", path: "/readyz", id: "readyz", section: "status", summary: "A sale would be accepted",
			roles: free, status: 200, problems: []int{503}, add: handle((*Server).readyz)},
		{method: "GET", path: "/openapi.json", id: "getOpenAPI", section: "status", summary: "This document",
			roles: free, status: 200, add: handle((*Server).getOpenAPI)},
		{method: "GET", path: "/", id: "getConsole", section: "status", summary: "A small page for people; it asks for a token, unless it was opened by a link",
			roles: free, status: 200, add: handle((*Server).getConsole)},
	}
}

// Routes lists every route as "METHOD /path", for documentation and tests.
func Routes() []string {
	var list []string
	for _, r := range table() {
		list = append(list, r.method+" "+r.path)
	}
	return list
}
