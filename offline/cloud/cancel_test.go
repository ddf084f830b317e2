package cloud

import (
	"strings"
	"testing"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
)

// TestHoldIsGivenBack at tenants that show a way, by whatever names, and only there.
func TestHoldIsGivenBack(t *testing.T) {
	for name, tc := range map[string]struct {
		o     cloudsim.Options
		learn bool
		class offline.Class
	}{
		"shown":            {cloudsim.Options{CardCancel: true}, true, offline.ClassDelivered},
		"odd names":        {cloudsim.Options{CardCancel: true, OddNames: true}, true, offline.ClassDelivered},
		"not shown":        {cloudsim.Options{}, true, offline.ClassUnsupported},
		"schema hidden":    {cloudsim.Options{CardCancel: true, NoIntrospection: true}, false, offline.ClassUnsupported},
		"never on a hunch": {cloudsim.Options{CardCancel: true}, false, offline.ClassUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.PINs = map[string]string{simCard: "4711"}
			sim := newSim(t, tc.o)
			c := newClient(t, serve(t, sim), nil)
			if tc.learn {
				if list, err := c.CheckSchema(t.Context()); err != nil || len(list) != 0 {
					t.Fatal(list, err)
				}
				notes := strings.Join(c.SchemaNotes(t.Context()), "\n")
				if strings.Contains(notes, "giftcardTransCancel") != (tc.class == offline.ClassDelivered) {
					t.Errorf("notes %q", notes)
				}
			}
			hold := c.Send(t.Context(), use(t, "-6.49", true))
			if hold.Class != offline.ClassDelivered || sim.Balance(simCard) != "18.51" {
				t.Fatalf("authorize: %+v %+v", hold, hold.Fault)
			}
			before := sim.Requests()
			v := c.CancelHold(t.Context(), hold.CloudID)
			if v.Class != tc.class {
				t.Fatalf("cancel: %+v %+v", v, v.Fault)
			}
			want := "18.51"
			if tc.class == offline.ClassDelivered {
				want = "25.00"
				if again := c.CancelHold(t.Context(), hold.CloudID); again.Class == offline.ClassDelivered || sim.Balance(simCard) != want {
					t.Errorf("again: %+v, balance %s", again, sim.Balance(simCard))
				}
			} else if sim.Requests() != before {
				t.Error("something was sent")
			}
			if got := sim.Balance(simCard); got != want {
				t.Errorf("balance %s, want %s", got, want)
			}
		})
	}
}

// TestOnlyAPlainCancelIsUsed: what wants more than the id of a transaction may do more than we know.
func TestOnlyAPlainCancelIsUsed(t *testing.T) {
	field := func(name string, required bool) Field { return Field{Name: name, Type: "String", Required: required} }
	for name, tc := range map[string]struct {
		op   Operation
		fits bool
	}{
		"id in an object":   {Operation{Argument: "trans", Fields: []Field{field("id", true)}, HasID: true}, true},
		"id by itself":      {Operation{Args: []Field{field("transId", true)}, HasID: true}, true},
		"a reason, not due": {Operation{Argument: "trans", Fields: []Field{field("id", true), field("reason", false)}, HasID: true}, true},
		"a reason is due":   {Operation{Argument: "trans", Fields: []Field{field("id", true), field("reason", true)}, HasID: true}, false},
		"the card's id":     {Operation{Args: []Field{field("giftcardId", true)}, HasID: true}, false},
		"nothing":           {Operation{HasID: true}, false},
		"no answer":         {Operation{Args: []Field{field("id", true)}}, false},
	} {
		if got := cancelFits(tc.op); got != tc.fits {
			t.Errorf("%s: fits %v", name, got)
		}
	}
}
