package register

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"storeagent/devices/printer"
	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/sale"
	"storeagent/payments"
	"storeagent/register/wire"
)

// refusal is a decided answer to a request that is not carried out. It is what every handler and every gate returns;
// problem turns it into RFC 9457.
type refusal struct {
	status   int
	code     string
	detail   string
	hint     string
	fields   []wire.FieldError
	firstID  string
	rule     string // of offline_not_allowed
	exposure *offline.Exposure
	header   http.Header
	cause    error // goes to the log only
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return r.code + ": " + r.cause.Error()
	}
	return r.code + ": " + r.detail
}

func (r *refusal) Unwrap() error { return r.cause }

func refuse(status int, code, detail, hint string) *refusal {
	return &refusal{status: status, code: code, detail: detail, hint: hint}
}

// invalid is the refusal of single fields.
func invalid(fields ...wire.FieldError) *refusal {
	r := refuse(http.StatusUnprocessableEntity, "validation_failed", "The request has fields that cannot be taken as they are.",
		"Correct the fields named in errors and send it again.")
	r.fields = fields
	return r
}

func field(location, message string) wire.FieldError {
	return wire.FieldError{Location: location, Message: message}
}

// known is the one table from what the floors below say to what a caller is told. First match counts.
var known = []struct {
	is   error
	want refusal
}{
	{journal.ErrStorageFull, refusal{status: 503, code: "storage_full", detail: "The disk refused the write; nothing was recorded.",
		hint: "Free disk space on this computer, then send the same request with the same key again."}},
	{journal.ErrNotFound, refusal{status: 404, code: "not_found", detail: "There is no record of that id.",
		hint: "Check the id; the listing of the same path shows those there are."}},
	{journal.ErrCursor, refusal{status: 422, code: "invalid_cursor", detail: "The cursor is not one that this listing gave out.",
		hint: "Pass nextCursor of the page before, unchanged, or leave cursor out to begin anew."}},
	{journal.ErrKeyUsed, refusal{status: 409, code: "in_progress", detail: "This key was taken by another request a moment ago.",
		hint: "Send the same request again to get its answer."}},
	{payments.ErrTerminalInDoubt, refusal{status: 409, code: "terminal_in_doubt",
		detail: "An earlier payment of this terminal is in doubt, so no new money goes there.",
		hint:   "Wait until it is settled, or let a technician resolve it: GET /v1/terminals names it as blockingPaymentId."}},
	{payments.ErrTerminalBusy, refusal{status: 409, code: "terminal_busy", detail: "The terminal is working on another payment.",
		hint: "Wait for that payment to end or cancel it, then try again."}},
	{payments.ErrForeign, refusal{status: 422, code: "unsupported_by_terminal", detail: "This terminal does not work in that currency.",
		hint: "Send an amount in one of its currencies, as capabilities in GET /v1/terminals name them."}},
	{payments.ErrUnsupported, refusal{status: 422, code: "unsupported_by_terminal", detail: "This terminal cannot do that.",
		hint: "GET /v1/terminals lists what each terminal can do."}},
	{payments.ErrNoTerminal, refusal{status: 404, code: "not_found", detail: "No terminal has that name.",
		hint: "GET /v1/terminals lists the terminals; they are configured as [[device]]."}},
	{payments.ErrState, refusal{status: 409, code: "wrong_state", detail: "The payment is not in a state for that.",
		hint: "Read the payment again and decide by its state."}},
	{offline.ErrState, refusal{status: 409, code: "wrong_state", detail: "The operation is not in a state for that; a person decides about parked ones.",
		hint: "Read GET /v1/queue/items again and decide by its state."}},
	{offline.ErrCloudID, refusal{status: 422, code: "cloud_id_required", detail: "This is an authorization of a gift card: without the cloud's id of it nothing can capture it.",
		hint: "Send cloudId as the transaction's page in the cloud shows it; if it is not there, discard or resend."}},
	{offline.ErrStale, refusal{status: 409, code: "changed_meanwhile", detail: "The operation changed while you decided.",
		hint: "Read it again and decide once more."}},
	{offline.ErrNothing, refusal{status: 409, code: "nothing_to_move", detail: "Everything is delivered; there is nothing to move.",
		hint: "GET /v1/queue shows the counts."}},
	{offline.ErrMoveFile, refusal{status: 422, code: "not_a_moved_queue", detail: "This is not a queue that was exported with --move.",
		hint: "Make one on the other machine: storeagent queue export --move --passphrase-file FILE."}},
	{offline.ErrPassphrase, refusal{status: 422, code: "wrong_passphrase", detail: "The passphrase does not open this file, or the file was changed.",
		hint: "Use the passphrase file of the export, and copy the file again from the other machine."}},
	{printer.ErrNoPrinter, refusal{status: 404, code: "not_found", detail: "No printer has that name.",
		hint: "GET /v1/devices lists the printers; they are configured as [[device]]."}},
	{context.Canceled, refusal{status: 503, code: "stopped", detail: "The request ended before its answer was there.",
		hint: "Send it again; with the same key nothing happens twice."}},
	{context.DeadlineExceeded, refusal{status: 503, code: "timeout", detail: "The answer took too long.",
		hint: "Send it again; with the same key nothing happens twice."}},
}

// explain turns any error of the floors below into a refusal; what it does not know is a 500 without detail.
func explain(err error) *refusal {
	var (
		already   *refusal
		fields    *sale.FieldErrors
		duplicate *offline.DuplicateError
		tender    *offline.TenderError
		document  *printer.DocumentError
	)
	switch {
	case errors.As(err, &already):
		return already
	case errors.As(err, &fields):
		r := invalid()
		for _, f := range fields.List {
			r.fields = append(r.fields, wire.FieldError(f))
		}
		return r
	case errors.As(err, &duplicate):
		r := refuse(http.StatusConflict, "duplicate_transaction", "This transaction was accepted before, as sale "+duplicate.FirstID+".",
			"It is kept and will be sent: read that sale instead of posting it again.")
		r.firstID = duplicate.FirstID
		return r
	case errors.As(err, &tender):
		return explainTender(tender)
	case errors.As(err, &document):
		r := refuse(http.StatusUnprocessableEntity, "invalid_document", "The document cannot be printed as it is.",
			"Correct the operation named in errors and send it again.")
		r.fields = []wire.FieldError{field(document.Field, unquoted(document.Message))}
		return r
	}
	for _, k := range known {
		if errors.Is(err, k.is) {
			r := k.want
			r.cause = err
			return &r
		}
	}
	r := refuse(http.StatusInternalServerError, "internal", "Something went wrong inside the agent.",
		"Try again; if it stays, look for the requestId in the agent's log.")
	r.cause = err
	return r
}

// unquoted takes what a message quotes out of it: below us it is for a log, here it would echo what was sent.
func unquoted(message string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(message, `"`)
		b.WriteString(before)
		if !found {
			return strings.TrimSpace(b.String())
		}
		quoted, err := strconv.QuotedPrefix(`"` + after)
		if err != nil {
			return strings.TrimSpace(b.String())
		}
		if b.Len() > 0 {
			b.WriteString("…")
		}
		message = after[len(quoted)-1:]
	}
}

func explainTender(e *offline.TenderError) *refusal {
	why := map[string]string{
		"unknown":      "names a payment or gift card transaction that does not exist",
		"not_approved": "names a payment or gift card transaction that is not approved",
		"already_used": "names a payment or gift card transaction that another sale has claimed",
	}[e.Why]
	if why == "" {
		why = "names a payment or gift card transaction that cannot be claimed"
	}
	r := refuse(http.StatusUnprocessableEntity, "tender_not_usable", "A tender names a payment or gift card transaction that this sale cannot claim.",
		"GET /v1/payments?attached=false lists approved payments that no sale has claimed; GET /v1/giftcards/transactions/{id} tells how one stands.")
	r.fields = []wire.FieldError{field(fmt.Sprintf("tenders[%d]", e.Index), why)}
	return r
}

// problem is the refusal as it goes out.
func (r *refusal) problem(requestID string) *wire.Problem {
	return &wire.Problem{
		Type: "urn:storeagent:problem:" + r.code, Title: http.StatusText(r.status), Status: r.status, Detail: r.detail,
		Code: r.code, Hint: r.hint, RequestID: requestID, Errors: r.fields, FirstID: r.firstID, Rule: r.rule, Undelivered: r.exposure,
	}
}

// fail turns a handler's error into the problem to answer with, and logs what only the log may know.
func (s *Server) fail(ctx context.Context, err error) *wire.Problem {
	c := callOf(ctx)
	r := explain(err)
	if r.status >= http.StatusInternalServerError {
		s.cfg.Log.ErrorContext(ctx, "request failed", slog.String("requestId", c.id), slog.String("code", r.code), slog.Any("error", err))
	}
	return r.problem(c.id)
}

// write answers with the refusal outside of huma.
func (r *refusal) write(w http.ResponseWriter, requestID string) {
	h := w.Header()
	for name, values := range r.header {
		h[name] = values
	}
	h.Set("Content-Type", wire.ProblemType)
	w.WriteHeader(r.status)
	// An answer that cannot be written has no reader any more.
	_, _ = w.Write(encode(r.problem(requestID)))
}

// encode is the one JSON spelling of answers, so that a replayed answer is the first one byte for byte.
func encode(v any) []byte {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("register: encode %T: %v", v, err)) // plain structs only
	}
	return []byte(b.String())
}

// ownErrors replaces the errors huma makes itself (parameters, bodies against their schema) by ours, without the
// values huma would echo.
func (s *Server) ownErrors(ctx huma.Context, _ string, v any) (any, error) {
	model, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	c := callOf(ctx.Context())
	r := invalid()
	switch model.Status {
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		r.status = model.Status
		for _, e := range model.Errors {
			r.fields = append(r.fields, plainField(e))
		}
	default:
		r = explain(fmt.Errorf("huma: %d %s", model.Status, model.Detail))
		r.status = model.Status
		s.cfg.Log.ErrorContext(ctx.Context(), "request failed", slog.String("requestId", c.id), slog.Any("error", r))
	}
	return r.problem(c.id), nil
}

// plainField keeps only messages that are made of the schema; anything else could hold what was sent.
func plainField(e *huma.ErrorDetail) wire.FieldError {
	message := "is not valid here"
	for _, safe := range []string{"expected ", "required ", "unexpected property", "invalid integer", "invalid boolean", "invalid date/time"} {
		if strings.HasPrefix(e.Message, safe) {
			message = e.Message
		}
	}
	location := strings.TrimPrefix(e.Location, "body.")
	if message == "expected string" && isAmount(location) {
		message = `expected a decimal text like "12.50"; a JSON number would lose exactness`
	}
	return field(location, message)
}

func isAmount(location string) bool { return strings.HasSuffix(strings.ToLower(location), "amount") }
