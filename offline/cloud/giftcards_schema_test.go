package cloud

import (
	"slices"
	"strings"
	"testing"

	"storeagent/offline/cloudsim"
)

// TestCheckSchemaCoversGiftcards takes one thing after the other away from tenants that have all.
func TestCheckSchemaCoversGiftcards(t *testing.T) {
	for name, o := range map[string]cloudsim.Options{"plain": {}, "odd names": {OddNames: true}} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, serve(t, newSim(t, o)), nil)
			if list, err := c.CheckSchema(t.Context()); err != nil || len(list) != 0 {
				t.Fatalf("a whole schema: %q, %v", list, err)
			}
			whole := *c.Schema()
			for field, wants := range map[string]string{
				"giftcardTransAdd":     "cannot be used or filled",
				"giftcardTransCapture": "use mode immediate",
				"giftcardAdd":          "cannot be issued",
			} {
				wantProblem(t, without(whole, field, nil), field, wants)
			}
			drop := func(names ...string) func(*Operation) {
				return func(op *Operation) {
					op.Fields = slices.DeleteFunc(slices.Clone(op.Fields), func(f Field) bool { return slices.Contains(names, f.Name) })
				}
			}
			demand := func(op *Operation) {
				op.Fields = append(slices.Clone(op.Fields), Field{Name: "tillNumber", Type: "String!", Required: true})
				op.Args = append(slices.Clone(op.Args), Field{Name: "tillNumber", Type: "String!", Required: true})
			}
			held := authorizeSwitch(whole.Operations["giftcardTransAdd"].Fields)
			wantProblem(t, without(whole, "giftcardTransAdd", drop("pin")), "giftcardTransAdd", "giftcardTransAdd.trans.pin")
			wantProblem(t, without(whole, "giftcardTransAdd", drop(held)), "giftcardTransAdd", "no switch that only holds")
			wantProblem(t, without(whole, "giftcardTransAdd", func(op *Operation) { op.HasID = false }), "giftcardTransAdd", "without an id")
			wantProblem(t, without(whole, "giftcardAdd", func(op *Operation) { op.Argument = "" }), "giftcardAdd", "no argument giftcard")
			for _, field := range []string{"giftcardTransAdd", "giftcardTransCapture", "giftcardAdd"} {
				wantProblem(t, without(whole, field, demand), field, "tillNumber")
			}
			wantProblem(t, without(whole, "giftcardTransCapture", func(op *Operation) { op.Fields, op.Args = nil, nil }), "giftcardTransCapture", "looks like the id")
		})
	}
}

// without is a copy of a schema with one mutation changed, or gone.
func without(s Schema, field string, change func(*Operation)) *Schema {
	ops := map[string]Operation{}
	for name, op := range s.Operations {
		if name != field {
			ops[name] = op
			continue
		}
		if change != nil {
			change(&op)
			ops[name] = op
		}
	}
	s.Operations = ops
	return &s
}

func wantProblem(t *testing.T, s *Schema, field, text string) {
	t.Helper()
	list := cardProblems(s)
	if len(list) != 1 || !strings.Contains(list[0], field) || !strings.Contains(list[0], text) {
		t.Errorf("%s: %q, want one that says %q", field, list, text)
	}
}
