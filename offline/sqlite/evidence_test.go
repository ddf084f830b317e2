package sqlite

import (
	"testing"
	"time"

	"storeagent/offline"
)

// TestEvidenceIsAudited: what the agent settled by what the cloud showed is in the chain, in the same commit.
func TestEvidenceIsAudited(t *testing.T) {
	s := openTemp(t)
	for n, evidence := range []string{"", "The cloud has it as 70001."} {
		op := mustAccept(t, s, n).Operations[0]
		ctx, at := t.Context(), time.Now()
		if err := s.Outbox().Begin(ctx, op.ID, 1, at); err != nil {
			t.Fatal(err)
		}
		if err := s.Outbox().Finish(ctx, op.ID, 1, offline.Result{State: offline.InDoubt, FinishedAt: at}); err != nil {
			t.Fatal(err)
		}
		r := offline.Result{State: offline.Delivered, CloudID: "70001", FinishedAt: at, Evidence: evidence}
		if err := s.Outbox().Settle(ctx, op.ID, r); err != nil {
			t.Fatal(err)
		}
		rows, _, err := s.Audit().List(ctx, 10, "")
		if err != nil || len(rows) != n {
			t.Fatalf("%d: audit %v, %v", n, rows, err)
		}
		if n == 0 {
			continue
		}
		if a := rows[0]; a.Action != offline.ActionEvidence || a.Subject != op.ID || a.Note != evidence || a.Actor != offline.AgentActor() {
			t.Errorf("audit %+v", a)
		}
		if err := s.Outbox().Settle(ctx, op.ID, r); err == nil {
			t.Error("settled twice")
		}
		if rows, _, _ := s.Audit().List(ctx, 10, ""); len(rows) != n {
			t.Errorf("a refused settlement was audited: %v", rows)
		}
	}
	if err := s.Audit().Verify(t.Context()); err != nil {
		t.Error(err)
	}
}
