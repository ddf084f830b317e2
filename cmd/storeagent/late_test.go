package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"storeagent/devices"
	"storeagent/payments"
	"storeagent/payments/terminalsim"
	"storeagent/register/wire"
)

// TestLateAnswerAgainstAPerson: a terminal that cannot be asked charges while its line is cut, a person says that it
// did not, and then the terminal gets rid of its old answer. That stands beside the person's word, in an event and in
// the status; no money moves by it, and the person decides again.
func TestLateAnswerAgainstAPerson(t *testing.T) {
	t.Parallel()
	telium := rigs[slices.IndexFunc(rigs, func(r rig) bool { return r.driver == "telium" })]
	ts, sim, _ := openRig(t, telium)
	events := ts.listen()
	sim.SetScript([]terminalsim.Behaviour{{CutAt: terminalsim.StepHost}, {}})
	p := ts.payAt("lane", "pay-lost", "2.50")
	if p.State != payments.Unresolved {
		t.Fatalf("ended %s", p.State)
	}
	p, err := ts.admin.ResolvePayment(ts.ctx, p.ID, wire.Resolve{Outcome: wire.OutcomeNotCharged, Note: "no slip"})
	ts.must(err)
	ts.terminalIs("lane", devices.Ready)
	if next := ts.payAt("lane", "pay-next", "2.50"); next.State != payments.Approved {
		t.Fatalf("the next payment: %s %s", next.State, next.Problem)
	}
	ts.eventually("the terminal's late word is kept", func() bool {
		p, err = ts.till.Payment(ts.ctx, p.ID, 0)
		return err == nil && len(p.Evidence) > 0
	})
	if e := p.Evidence[0]; p.State != payments.Failed || !e.Contradicts || e.Outcome != payments.Approved || p.Resolution == nil || p.Resolution.Note != "no slip" {
		t.Errorf("%+v", p)
	}
	named := func() bool {
		st, err := ts.till.Status(ts.ctx)
		ts.must(err)
		return strings.Contains(fmt.Sprint(st.Problems), "payment_contradicted") && strings.Contains(fmt.Sprint(st.Problems), p.ID)
	}
	if !named() {
		t.Error("the status does not name it")
	}
	ts.eventually("an event tells it", func() bool {
		return slices.ContainsFunc(events.all(), func(e wire.Event) bool {
			return strings.Contains(string(e.Data), p.ID) && strings.Contains(string(e.Data), `"evidence"`)
		})
	})
	ts.restart()
	ts.eventually("the status names it after a restart too", named)
	p, err = ts.admin.ResolvePayment(ts.ctx, p.ID, wire.Resolve{Outcome: wire.OutcomeApproved, Note: "the bank has it"})
	if err != nil || p.State != payments.Approved || named() {
		t.Errorf("decided again: %s, %v", p.State, err)
	}
	if n := len(standing(sim)); n != 2 {
		t.Errorf("%d charges", n)
	}
}
