package wire_test

import (
	"testing"

	"storeagent/register/wire"
)

// TestProblemNamesTheFields shows a person at the command line which field is wrong, not only that one is.
func TestProblemNamesTheFields(t *testing.T) {
	p := &wire.Problem{Status: 422, Code: "validation_failed", Detail: "No.", Hint: "Correct it.", Errors: []wire.FieldError{{Location: "query.state", Message: "expected one of a, b"}}}
	if got, want := p.Error(), "422 validation_failed: No. query.state: expected one of a, b. (Correct it.)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
