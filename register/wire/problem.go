package wire

import (
	"strconv"

	"storeagent/offline"
)

// FieldError is one thing wrong with a request. Location is a path into the body like "lineItems[2].quantity", or
// "query.limit". It never holds the value that was sent.
type FieldError struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// Problem is every refusal of the API: RFC 9457 application/problem+json with the fields of our contract.
type Problem struct { //nolint:errname // RFC 9457 calls it a problem
	Type      string       `json:"type" doc:"A URN made of the code; nothing to be fetched"`
	Title     string       `json:"title" doc:"The HTTP status in words"`
	Status    int          `json:"status"`
	Detail    string       `json:"detail" doc:"What is wrong, for a person"`
	Code      string       `json:"code" doc:"Stable, snake_case: what a program decides by"`
	Hint      string       `json:"hint,omitempty" doc:"What to do next, for a person"`
	RequestID string       `json:"requestId" doc:"Finds this request in the agent's log"`
	Errors    []FieldError `json:"errors,omitempty"`
	FirstID   string       `json:"firstId,omitempty" doc:"With duplicate_transaction: the sale accepted first"`

	Rule string `json:"rule,omitempty" doc:"With offline_not_allowed: the rule that fired"`

	Undelivered *offline.Exposure `json:"undelivered,omitempty" doc:"With undelivered: how much is still to be delivered"`
}

// Error gives code, detail, the fields that are wrong and hint in one line.
func (p *Problem) Error() string {
	text := strconv.Itoa(p.Status) + " " + p.Code + ": " + p.Detail
	for _, e := range p.Errors {
		text += " " + e.Location + ": " + e.Message + "."
	}
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	return text
}

// GetStatus is the HTTP status of the answer.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType turns JSON into the media type of RFC 9457.
func (p *Problem) ContentType(ct string) string {
	if ct == "application/json" {
		return ProblemType
	}
	return ct
}

// ProblemType is the media type of a Problem (RFC 9457, section 6.1).
const ProblemType = "application/problem+json"

// Page is every listing.
type Page[T any] struct {
	Items      []T    `json:"items" nullable:"false"`
	NextCursor string `json:"nextCursor" doc:"Pass it as cursor to get the next page; empty at the end"`
}
