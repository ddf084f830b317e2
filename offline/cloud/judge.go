package cloud

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	graphql "github.com/hasura/go-graphql-client"

	"storeagent/offline"
)

// Codes of the vendor's page "Handling Errors"; only these are documented.
const (
	codeNotAuthenticated = "NOT_AUTHENTICATED"
	codeNotAuthorized    = "NOT_AUTHORIZED"
	codeValidation       = "VALIDATION"
	codeFusion           = "FUSION_ERROR" // anything unexpected
)

// answer is what came back for one request.
type answer struct {
	wrote      bool            // some byte of the request may have left
	status     int             // HTTP status, 0 where no answer came
	retryAfter time.Duration   // as the cloud named it
	mayRetry   bool            // it named one
	data       json.RawMessage // nil where the response has no data key
	errors     []graphql.Error // as the cloud sent them
	broken     error           // why there is no GraphQL response
	secrets    []string        // texts that must not get into a message
}

// maybePermission tells a 401 that a permission rule may have caused from one about the bearer alone.
func (a answer) maybePermission() bool {
	if a.status != http.StatusUnauthorized || len(a.errors) == 0 {
		return false
	}
	for _, e := range a.errors {
		if codeOf(e) == codeNotAuthenticated {
			return false
		}
	}
	return true
}

// judgeMutation says what the answer to a mutation means. Everything that is not on a list here is in doubt.
func judgeMutation(a answer, spec spec, payload json.RawMessage) offline.Verdict {
	v := begin(a)
	if a.broken != nil {
		v.Class, v.Fault = judgeBroken(a), brokenFault(a)
		return v
	}
	result, state := resultAt(a.data, spec.field)
	switch {
	case state == unclear:
		v.Fault = &offline.Fault{Code: "unreadable_answer", Message: "The cloud's answer contradicts itself."}
	case state == present:
		judgeResult(&v, result, payload)
		if v.Class == offline.ClassDelivered && len(a.errors) > 0 {
			v.Fault = faultOf(a)
		}
	case len(a.errors) > 0:
		v.Class, v.Fault = judgeErrors(a, spec.field, spec.arg), faultOf(a)
	default:
		v.Class, v.Fault = judgeStatus(a), emptyAnswer()
	}
	return v
}

// judgeQuery is the same for a read-only question: any value at the field will do. A question that the cloud does not
// understand is Unsupported, whatever code it gives that, because asking another costs nothing.
func judgeQuery(a answer, field string) offline.Verdict {
	v := begin(a)
	switch {
	case a.broken != nil:
		v.Class, v.Fault = judgeBroken(a), brokenFault(a)
	case len(a.errors) > 0:
		v.Class, v.Fault = judgeErrors(a, field, ""), faultOf(a)
		refused := v.Class == offline.ClassDoubt || v.Class == offline.ClassNotExecuted && !v.PushBack
		if refused && a.data == nil && !somethingRan(a) && v.Fault.Code != codeFusion {
			v.Class = offline.ClassUnsupported
		}
	default:
		data, err := splitObject(a.data)
		value, ok := data[field]
		if err != nil || !ok || field == "__typename" && (string(value) == "null" || string(value) == `""`) {
			v.Class, v.Fault = judgeStatus(a), emptyAnswer()
			break
		}
		v.Class = offline.ClassDelivered
	}
	return v
}

// begin takes over what the head of the answer says.
func begin(a answer) offline.Verdict {
	push := a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable ||
		a.status == http.StatusRequestEntityTooLarge
	return offline.Verdict{HTTPStatus: a.status, RetryAfter: a.retryAfter, PushBack: push}
}

func emptyAnswer() *offline.Fault {
	return &offline.Fault{Code: "empty_answer", Message: "The cloud answered without a result and without an error."}
}

// judgeBroken is about answers without a GraphQL response, and about none at all.
func judgeBroken(a answer) offline.Class {
	if a.status == 0 {
		if a.wrote {
			return offline.ClassDoubt
		}
		return offline.ClassNotExecuted
	}
	return judgeStatus(a)
}

// judgeStatus knows the HTTP statuses that promise, without a result, that nothing ran.
func judgeStatus(a answer) offline.Class {
	switch {
	case a.status == http.StatusUnauthorized:
		return offline.ClassSignedOut
	case a.status == http.StatusTooManyRequests, a.status == http.StatusRequestEntityTooLarge,
		a.status == http.StatusServiceUnavailable && a.mayRetry:
		return offline.ClassNotExecuted
	}
	return offline.ClassDoubt
}

// judgeErrors is about GraphQL errors without a result at the field.
func judgeErrors(a answer, field, arg string) offline.Class {
	if c, ok := judgeCodes(a, field); ok {
		return c
	}
	if somethingRan(a) {
		return offline.ClassDoubt
	}
	if a.data == nil || string(a.data) == "null" {
		if c := judgeStatus(a); c != offline.ClassDoubt {
			return c
		}
	}
	if a.data != nil {
		return offline.ClassDoubt
	}
	class := offline.ClassNotExecuted
	for _, e := range a.errors {
		switch {
		case codeOf(e) != codeFusion && isUnknownHere(e, field, arg):
			class = offline.ClassUnsupported
		case !isRequestError(codeOf(e)):
			return offline.ClassDoubt
		}
	}
	return class
}

// somethingRan tells errors of fields, which have a path, from errors of the request, which have none (GraphQL
// specification, section "Errors").
func somethingRan(a answer) bool {
	for _, e := range a.errors {
		if len(e.Path) > 0 {
			return true
		}
	}
	return false
}

// judgeCodes looks for the documented codes. It answers only where every error has one of them, none of them lies
// below our field (there the mutation ran and only reading its result failed), and a VALIDATION that came with data
// names our field.
func judgeCodes(a answer, field string) (offline.Class, bool) {
	var signedOut, blocked bool
	for _, e := range a.errors {
		atField := len(e.Path) == 1 && e.Path[0] == any(field)
		if len(e.Path) > 0 && !atField {
			return 0, false
		}
		switch codeOf(e) {
		case codeNotAuthenticated:
			signedOut = true
		case codeNotAuthorized:
			blocked = true
		case codeValidation:
			if !atField && a.data != nil {
				return 0, false
			}
		default:
			return 0, false
		}
	}
	switch {
	case signedOut:
		return offline.ClassSignedOut, true
	case blocked:
		return offline.ClassBlocked, true
	}
	return offline.ClassRejected, true
}

// isRequestError knows the codes that servers give to a document they refuse before they run it: none at all, those of
// GraphQL.NET's document validation (below Orchard Core), and Apollo's.
func isRequestError(code string) bool {
	switch code {
	case "", "SYNTAX_ERROR", "VALIDATION_ERROR", "INVALID_OPERATION", "INVALID_VALUE", "INVALID_LITERAL",
		"ARGUMENTS_OF_CORRECT_TYPE", "FIELDS_ON_CORRECT_TYPE", "KNOWN_ARGUMENT_NAMES", "KNOWN_TYPE_NAMES",
		"PROVIDED_NON_NULL_ARGUMENTS", "SCALAR_LEAFS", "VARIABLES_ARE_INPUT_TYPES", "VARIABLES_IN_ALLOWED_POSITION",
		"GRAPHQL_PARSE_FAILED", "GRAPHQL_VALIDATION_FAILED":
		return true
	}
	return false
}

var unknownField = regexp.MustCompile(`(?i)unknown field|unrecogni[sz]ed input field|is not defined by type|not configured (?:for|to support) mutations`)

// isUnknownHere tells that the tenant's schema lacks what we use. Only messages tell, and these belong to no contract,
// so a message nobody foresaw just leaves the operation queued. With a code nobody knows, only a message that names
// our own field or argument is believed.
func isUnknownHere(e graphql.Error, field, arg string) bool {
	switch codeOf(e) {
	case "FIELDS_ON_CORRECT_TYPE", "KNOWN_ARGUMENT_NAMES":
		return true
	}
	m := strings.ToLower(strings.NewReplacer(`"`, "", `'`, "", "`", "").Replace(e.Message))
	return strings.Contains(m, "cannot query field "+strings.ToLower(field)+" ") ||
		arg != "" && strings.Contains(m, "unknown argument "+strings.ToLower(arg)+" ") ||
		isRequestError(codeOf(e)) && unknownField.MatchString(m)
}

// requestRefused tells that the cloud refused the document itself.
func requestRefused(v offline.Verdict) bool {
	return (v.Class == offline.ClassNotExecuted || v.Class == offline.ClassUnsupported) &&
		v.HTTPStatus != 0 && v.HTTPStatus != http.StatusUnauthorized && !v.PushBack
}

// presence is what stands at our field.
type presence int

const (
	absent presence = iota // no data, null data, no such field, or null
	present
	unclear // not what GraphQL allows
)

// resultAt looks for the field's value.
func resultAt(data json.RawMessage, field string) (json.RawMessage, presence) {
	if data == nil || string(data) == "null" {
		return nil, absent
	}
	fields, err := splitObject(data)
	if err != nil {
		return nil, unclear
	}
	value, ok := fields[field]
	if !ok || string(value) == "null" {
		return nil, absent
	}
	return value, present
}

// judgeResult demands an id, and the transaction's own reference where the document asks for it back.
func judgeResult(v *offline.Verdict, result, payload json.RawMessage) {
	v.Fault = &offline.Fault{Code: "no_id", Message: "The cloud answered without the id of what it made."}
	fields, err := splitObject(result)
	if err != nil {
		return
	}
	id, ok := idText(fields["id"])
	if !ok {
		return
	}
	if echoed, ok := fields["transactionId"]; ok {
		sent, err := splitObject(payload)
		if err != nil || !sameText(echoed, sent["transactionId"]) {
			v.Fault = &offline.Fault{Code: "other_transaction", Message: "The cloud answered about another transaction."}
			return
		}
	}
	v.Class, v.CloudID, v.Fault = offline.ClassDelivered, id, nil
}

// idText takes an id as text, or as a whole number as some servers write it.
func idText(raw json.RawMessage) (string, bool) {
	var text string
	if json.Unmarshal(raw, &text) == nil && string(raw) != "null" {
		return text, strings.TrimSpace(text) != ""
	}
	var n int64
	if json.Unmarshal(raw, &n) == nil && string(raw) != "null" {
		return strconv.FormatInt(n, 10), true
	}
	return "", false
}

func sameText(a, b json.RawMessage) bool {
	var x, y *string
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x != nil && y != nil && *x == *y
}

func codeOf(e graphql.Error) string {
	code, _ := e.Extensions["code"].(string)
	return code
}

// faultOf takes the code and message of the first error that has a code, of the first otherwise.
func faultOf(a answer) *offline.Fault {
	e := a.errors[0]
	for _, other := range a.errors {
		if codeOf(other) != "" {
			e = other
			break
		}
	}
	f := &offline.Fault{Code: clean(codeOf(e), a.secrets), Message: clean(e.Message, a.secrets)}
	if f.Code == "" {
		f.Code = "graphql_error"
	}
	// The vendor's VALIDATION errors name the field; people need to know which.
	if data, ok := e.Extensions["data"].(map[string]any); ok {
		if property, ok := data["Property"].(string); ok && property != "" {
			f.Message = clean(property+": "+e.Message, a.secrets)
		}
	}
	return f
}

// brokenFault says in words what judgeBroken judged, with the next step where there is one.
func brokenFault(a answer) *offline.Fault {
	if a.status == 0 || isCut(a.broken) {
		return lostFault(a)
	}
	status := "HTTP " + strconv.Itoa(a.status) + " " + http.StatusText(a.status)
	f := &offline.Fault{Code: "http_" + strconv.Itoa(a.status)}
	switch {
	case a.status == http.StatusOK, a.status == http.StatusCreated:
		f.Code, f.Message = "unreadable_answer", status+": "+a.broken.Error()+"."
	case a.status >= 300 && a.status < 400:
		f.Message = status + ": the cloud sends us elsewhere, and the agent does not follow. Check cloud.endpoint."
	case a.status == http.StatusNotFound, a.status == http.StatusMethodNotAllowed:
		f.Message = status + ": there is no GraphQL at this address. Check cloud.endpoint."
	case a.status == http.StatusUnauthorized:
		f.Message = status + ": the cloud does not take the bearer."
	default:
		f.Message = status + ", without a GraphQL answer."
	}
	return f
}

// lostFault is about a request or an answer that broke off.
func lostFault(a answer) *offline.Fault {
	var timeout net.Error
	var unknown x509.UnknownAuthorityError
	switch {
	case !a.wrote && errors.As(a.broken, &unknown):
		return &offline.Fault{Code: "unreachable", Message: "The cloud's certificate is not by a root that this computer trusts. Set cloud.ca_file, or look for what sits between."}
	case !a.wrote:
		return &offline.Fault{Code: "unreachable", Message: clean("The cloud could not be reached: "+a.broken.Error(), a.secrets)}
	case errors.Is(a.broken, context.DeadlineExceeded), errors.As(a.broken, &timeout) && timeout.Timeout():
		return &offline.Fault{Code: "timeout", Message: "The request left, and no whole answer came in time."}
	case errors.Is(a.broken, context.Canceled):
		return &offline.Fault{Code: "interrupted", Message: "The request left, and the agent stopped waiting."}
	}
	return &offline.Fault{Code: "connection_lost", Message: clean("The request left, and the connection broke: "+a.broken.Error(), a.secrets)}
}

// isCut tells an answer that broke off from one that came whole and was not what it should be.
func isCut(err error) bool {
	var u *unreadable
	return !errors.As(err, &u)
}

const messageLimit = 200 // runes

// clean makes a text of the cloud fit for a person's eye and a log line: no secrets, no control characters, short.
func clean(text string, secrets []string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, "***")
		}
	}
	text = strings.ToValidUTF8(text, "?")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if utf8.RuneCountInString(text) > messageLimit {
		text = string([]rune(text)[:messageLimit]) + "…"
	}
	return text
}
