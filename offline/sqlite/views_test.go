package sqlite

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/devices/printer"
	"storeagent/internal/journal"
	"storeagent/offline"
)

var noon = time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC)

func TestFirstAnswerIsKept(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	mustAccept(t, s, 1)
	again := someEntry(1)
	again.Answer.Body = json.RawMessage(`{"other":true}`)
	if err := s.Outbox().AcceptSale(t.Context(), someSale(1), again); !errors.Is(err, journal.ErrKeyUsed) {
		t.Errorf("same key: %v, want ErrKeyUsed before any word of a duplicate", err)
	}
	if err := s.Keys().Record(t.Context(), *again.Key, again.Answer); !errors.Is(err, journal.ErrKeyUsed) {
		t.Errorf("record under a used key: %v", err)
	}
	other := *again.Key
	other.PairingID = "p2"
	if err := s.Keys().Record(t.Context(), other, journal.Answer{Status: 204}); err != nil {
		t.Errorf("same text of another pairing: %v", err)
	}
	closeIt(t, s)
	s = openIn(t, dir)
	defer closeIt(t, s)
	want := someEntry(1).Answer
	want.Fingerprint = sha256.Sum256(fmt.Append(nil, 1))
	if got, err := s.Keys().Answer(t.Context(), "p1", "key-1"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("answer %+v, %v, want %+v", got, err, want)
	}
	want = journal.Answer{Status: 204, Fingerprint: want.Fingerprint}
	if got, err := s.Keys().Answer(t.Context(), "p2", "key-1"); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("answer %+v, %v, want %+v", got, err, want)
	}
	if _, err := s.Keys().Answer(t.Context(), "p1", "key-9"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("unknown key: %v", err)
	}
}

func TestEventsReplay(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	ctx := t.Context()
	changed := s.Events().Changed()
	list := []journal.Event{
		{Type: "scan", At: noon, Scanner: "hand", Owner: "p1", Data: json.RawMessage(`{"n":1}`)},
		{Type: "queue", At: noon, Data: json.RawMessage(`{"n":2}`)},
		{Type: "scan", At: noon, Data: json.RawMessage(`{"n":3}`)},
	}
	if err := s.Events().Append(ctx, list...); err != nil {
		t.Fatal(err)
	}
	<-changed
	if err := s.Events().Append(ctx); err != nil {
		t.Fatal(err)
	}
	closeIt(t, s)
	s = openIn(t, dir)
	defer closeIt(t, s)
	if got := s.Events().Last(); got != 3 {
		t.Errorf("last event %d after a restart, want 3", got)
	}
	for i := range list {
		list[i].ID = int64(i + 1)
	}
	for _, tc := range []struct {
		after int64
		types []string
		limit int
		want  []journal.Event
	}{
		{0, nil, 10, list}, {1, nil, 10, list[1:]}, {0, nil, 2, list[:2]}, {3, nil, 10, nil},
		{0, []string{"scan"}, 10, []journal.Event{list[0], list[2]}}, {0, []string{"drawer", "queue"}, 10, list[1:2]},
	} {
		got, err := s.Events().After(ctx, tc.after, tc.types, tc.limit)
		if err != nil || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("after %d %v limit %d: %v, %v, want %v", tc.after, tc.types, tc.limit, got, err, tc.want)
		}
	}
}

func TestChangedOnlyForEvents(t *testing.T) {
	s := openTemp(t)
	changed := s.Events().Changed()
	if err := s.Settings().Set(t.Context(), "a", "b"); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changed:
		t.Error("a setting woke the listeners")
	default:
	}
}

func TestEventsArePrunedButNeverNumberedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		s := openIn(t, dir)
		ctx := t.Context()
		many := make([]journal.Event, pruneStep)
		add := func(batches int) {
			for i := range many {
				many[i] = journal.Event{Type: "scan", At: time.Now()}
			}
			for range batches {
				if err := s.Events().Append(ctx, many...); err != nil {
					t.Fatal(err)
				}
			}
		}
		first := func() int64 {
			list, err := s.Events().After(ctx, 0, nil, 1)
			if err != nil || len(list) != 1 {
				t.Fatalf("%d events, %v", len(list), err)
			}
			return list[0].ID
		}
		const kept = eventsKept / pruneStep
		add(kept + 2)
		if got := first(); got != 1 {
			t.Errorf("first event %d, want none pruned within 24 hours", got)
		}
		time.Sleep(eventsKeptFor + time.Minute) // the bubble's clock
		add(kept + 4)
		if err := s.Settings().Set(ctx, "a", "b"); err != nil { // what the last batch let go is pruned by now
			t.Fatal(err)
		}
		total := int64((2*kept + 6) * pruneStep)
		if got, want := first(), int64((kept+2)*pruneStep+1); got != want {
			t.Errorf("first event %d, want %d: old ones go, those of today stay", got, want)
		}
		closeIt(t, s)
		s = openIn(t, dir)
		defer closeIt(t, s)
		if err := s.Events().Append(ctx, many[0]); err != nil || s.Events().Last() != total+1 {
			t.Errorf("next event %d, %v, want %d", s.Events().Last(), err, total+1)
		}
	})
}

func TestPairings(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	p := journal.Pairing{ID: "p1", Name: "lane 3", Role: journal.RoleRegister, Origin: "https://register.example.com",
		TokenHash: sha256.Sum256([]byte("a")), CreatedAt: noon}
	if err := s.Pairings().AddPairing(ctx, p, someEntry(1)); err != nil {
		t.Fatal(err)
	}
	twin := p
	twin.ID = "p2"
	if err := s.Pairings().AddPairing(ctx, twin, someEntry(2)); primary(err) != codeConstraint {
		t.Errorf("same token: %v, want it refused", err)
	}
	if err := s.Pairings().RevokePairing(ctx, "p9", noon, someEntry(3)); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("unknown pairing: %v", err)
	}
	for _, at := range []time.Time{noon.Add(time.Hour), noon.Add(2 * time.Hour)} {
		if err := s.Pairings().RevokePairing(ctx, "p1", at, journal.Entry{}); err != nil {
			t.Error(err)
		}
	}
	p.RevokedAt = noon.Add(time.Hour)
	if list, err := s.Pairings().Pairings(ctx); err != nil || !reflect.DeepEqual(list, []journal.Pairing{p}) {
		t.Errorf("pairings %+v, %v, want %+v", list, err, p)
	}
	rows, _, err := s.Audit().List(ctx, 10, "")
	if err != nil || len(rows) != 2 || rows[0].Action != "pairing.revoke" || rows[1].Action != "pairing.add" {
		t.Errorf("audit %+v, %v", rows, err)
	}
}

func TestSettings(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	if _, err := s.Settings().Get(ctx, "queue"); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("never set: %v", err)
	}
	for _, v := range []string{"paused", ""} {
		if err := s.Settings().Set(ctx, "queue", v); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Settings().Get(ctx, "queue"); err != nil || got != v {
			t.Errorf("got %q, %v, want %q", got, err, v)
		}
	}
}

func TestPrintJobs(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	jobs := []printer.Job{
		{ID: "j1", Printer: "front", State: printer.Queued, SaleID: "s1", Copies: 2, CreatedAt: noon, Document: json.RawMessage(`[{"op":"cut"}]`)},
		{ID: "j2", Printer: "back", State: printer.Queued, Copies: 1, CreatedAt: noon, Raw: []byte{0x1b, 0x40}},
		{ID: "j3", Printer: "front", State: printer.Queued, Copies: 1, CreatedAt: noon, ReprintOf: "j1", Document: json.RawMessage(`[]`)},
	}
	for i := range jobs {
		j, err := s.PrintJobs().Create(ctx, jobs[i], someEntry(i))
		if err != nil || j.Seq != int64(i+1) {
			t.Fatalf("create: seq %d, %v", j.Seq, err)
		}
		jobs[i] = j
		if got, err := s.PrintJobs().Get(ctx, j.ID); err != nil || !reflect.DeepEqual(got, j) {
			t.Errorf("got %+v, %v, want %+v", got, err, j)
		}
	}
	open := func() (ids string) {
		list, err := s.PrintJobs().Open(ctx, "front")
		if err != nil {
			t.Fatal(err)
		}
		for _, j := range list {
			ids += j.ID + " "
		}
		return ids
	}
	jobs[0].State, jobs[0].Reason = printer.Blocked, printer.CoverOpen
	if err := s.PrintJobs().Update(ctx, jobs[0]); err != nil || open() != "j1 j3 " {
		t.Errorf("open jobs %q, %v", open(), err)
	}
	at := noon.Add(time.Minute)
	jobs[0].State, jobs[0].Reason, jobs[0].FinishedAt, jobs[0].Error = printer.Unknown, "", &at, "line lost"
	if err := s.PrintJobs().Update(ctx, jobs[0], journal.NewEvent("printJob", at, jobs[0])); err != nil || open() != "j3 " {
		t.Errorf("open jobs %q, %v", open(), err)
	}
	if got, err := s.PrintJobs().Get(ctx, "j1"); err != nil || !reflect.DeepEqual(got, jobs[0]) {
		t.Errorf("got %+v, %v, want %+v", got, err, jobs[0])
	}
	if err := s.PrintJobs().Update(ctx, printer.Job{ID: "j9"}); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("update of nothing: %v", err)
	}
	if _, err := s.PrintJobs().Create(ctx, jobs[1], someEntry(9)); primary(err) != codeConstraint {
		t.Errorf("same id again: %v", err)
	}
}

func TestAuditChain(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	ctx := t.Context()
	by := journal.Actor{PairingID: "p1", Name: "Ann", Role: journal.RoleTechnician}
	const n = pageLimit + 5 // more than one page
	if err := s.Audit().Add(ctx, by, "drawer.open", "0", "till check"); err != nil {
		t.Fatal(err)
	}
	err := s.change(ctx, func(t *tx) error {
		for i := 1; i < n; i++ {
			if err := t.audit(by, "drawer.open", fmt.Sprint(i), "till check"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Audit().Verify(ctx); err != nil {
		t.Fatal(err)
	}
	rows, next, err := s.Audit().List(ctx, 2, "")
	if err != nil || len(rows) != 2 || rows[0].Seq != n || rows[0].Actor != by || rows[0].Subject != fmt.Sprint(n-1) {
		t.Errorf("newest %+v, %v", rows, err)
	}
	if rows, _, err = s.Audit().List(ctx, 2, next); err != nil || len(rows) != 2 || rows[0].Seq != n-2 {
		t.Errorf("next page %+v, %v", rows, err)
	}
	closeIt(t, s)
	for _, tamper := range []struct{ do, undo, row string }{
		{`UPDATE audit SET note = 'x' WHERE seq = 7`, `UPDATE audit SET note = 'till check' WHERE seq = 7`, "row 7"},
		{`UPDATE audit SET at = at + 1 WHERE seq = 8`, `UPDATE audit SET at = at - 1 WHERE seq = 8`, "row 8"},
		{`UPDATE audit SET actor_name = 'An', actor_role = 'n' || actor_role WHERE seq = 9`,
			`UPDATE audit SET actor_name = 'Ann', actor_role = substr(actor_role, 2) WHERE seq = 9`, "row 9"},
		{`UPDATE audit SET seq = 100000 WHERE seq = 10`, `UPDATE audit SET seq = 10 WHERE seq = 100000`, "row 10"},
		{`DELETE FROM audit WHERE seq > 500`, ``, "rows 501 to 505 are gone"},
	} {
		meddle(t, dir, tamper.do)
		s := openIn(t, dir)
		if err := s.Audit().Verify(ctx); !errors.Is(err, ErrAudit) || !strings.Contains(err.Error(), tamper.row) {
			t.Errorf("after %s: %v, want %s", tamper.do, err, tamper.row)
		}
		closeIt(t, s)
		if tamper.undo != "" {
			meddle(t, dir, tamper.undo)
		}
	}
}

// meddle changes a closed database from outside.
func meddle(t *testing.T, dir, statement string) {
	t.Helper()
	db, err := openWriter(dir + "/" + DatabaseFile)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(statement)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestDecisionsAreAuditedInTheirCommit(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	for n, action := range []offline.Action{offline.Resend, offline.Settle, offline.Discard} {
		a := mustAccept(t, s, n)
		op := a.Operations[0].ID
		err := errors.Join(
			s.Outbox().Begin(ctx, op, 1, noon),
			s.Outbox().Finish(ctx, op, 1, offline.Result{State: offline.Parked, Reason: offline.Unknown, FinishedAt: noon}))
		if err != nil {
			t.Fatal(err)
		}
		e := someEntry(100 + n)
		if _, err := s.Outbox().Decide(ctx, offline.Decision{OpID: op, Action: action, Note: "seen"}, e); err != nil {
			t.Fatal(err)
		}
		rows, _, err := s.Audit().List(ctx, 1, "")
		if err != nil || rows[0].Action != "queue."+string(action) || rows[0].Subject != op || rows[0].Note != "seen" || rows[0].Actor != e.Actor {
			t.Errorf("audit %+v, %v", rows, err)
		}
	}
	if _, err := s.Outbox().Decide(ctx, offline.Decision{OpID: "nobody", Action: offline.Resend}, someEntry(200)); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("decision about nothing: %v", err)
	}
	if rows, _, err := s.Audit().List(ctx, 10, ""); err != nil || len(rows) != 3 {
		t.Errorf("%d audit rows, %v: a refused decision leaves none", len(rows), err)
	}
	if err := s.Audit().Verify(ctx); err != nil {
		t.Error(err)
	}
}

func TestAttemptLog(t *testing.T) {
	s := openTemp(t)
	ctx := t.Context()
	op := mustAccept(t, s, 1).Operations[0].ID
	fault := &offline.Fault{Code: "THROTTLED", Message: "later"}
	err := errors.Join(
		s.Outbox().Begin(ctx, op, 1, noon),
		s.Outbox().Finish(ctx, op, 1, offline.Result{State: offline.Queued, Class: "not_executed", HTTPStatus: 429, Error: fault, FinishedAt: noon.Add(time.Second)}),
		s.Outbox().Begin(ctx, op, 2, noon.Add(time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Outbox().Doubt(ctx, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	rows, err := s.read.db.Query(`SELECT n, boot, started_at, finished_at, class, http_status, code FROM attempts WHERE op_id = ? ORDER BY n`, op)
	if err != nil {
		t.Fatal(err)
	}
	got, err := collect(rows, func(row scanner) (string, error) {
		var n, started, finished, status int64
		var boot, class, code string
		err := row.Scan(&n, &boot, &started, &finished, &class, &status, &code)
		return fmt.Sprintln(n, boot == s.boot, finished-started, class, status, code), err
	})
	want := []string{"1 true 1000 not_executed 429 THROTTLED\n", "2 true 3540000 interrupted 0 THROTTLED\n"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("attempts %q, %v, want %q", got, err, want)
	}
}

func TestCountsAfterARestartAreTheSame(t *testing.T) {
	dir := t.TempDir()
	s := openIn(t, dir)
	ctx := t.Context()
	for n, r := range []offline.Result{
		{State: offline.Delivered}, {State: offline.Parked, Reason: offline.Rejected}, {State: offline.InDoubt}, {State: offline.Queued},
	} {
		a := someSale(n)
		a.Operations[0].Amount = fmt.Sprintf("-%d.5", n)
		op := a.Operations[0].ID
		r.FinishedAt = noon
		err := errors.Join(s.Outbox().AcceptSale(ctx, a, someEntry(n)), s.Outbox().Begin(ctx, op, 1, noon), s.Outbox().Finish(ctx, op, 1, r))
		if err != nil {
			t.Fatal(err)
		}
	}
	discarded := mustAccept(t, s, 10)
	if _, err := s.Outbox().Decide(ctx, offline.Decision{OpID: discarded.Operations[0].ID, Action: offline.Discard}, journal.Entry{}); err != nil {
		t.Fatal(err)
	}
	mustAccept(t, s, 11)
	before, err := s.Outbox().Counts(ctx)
	if err != nil {
		t.Fatal(err)
	}
	closeIt(t, s)
	s = openIn(t, dir)
	defer closeIt(t, s)
	after, err := s.Outbox().Counts(ctx)
	if err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("before %+v\nafter %+v, %v", before, after, err)
	}
	states := map[offline.State]int{offline.Delivered: 1, offline.Parked: 1, offline.InDoubt: 1, offline.Queued: 2, offline.Discarded: 1}
	if !reflect.DeepEqual(after.ByState, states) || after.OpenAmounts["USD"] != "20.00" { // 1.5 + 2.5 + 3.5 + 12.50
		t.Errorf("counts %+v, want %v and 20.00 open", after, states)
	}
}

// TestOpenWorkIsFoundWithoutScanning keeps the forwarder's questions off the delivered rows, of which there will be a
// million.
func TestOpenWorkIsFoundWithoutScanning(t *testing.T) {
	s := openTemp(t)
	for _, tc := range []struct {
		query string
		args  []any
	}{
		{qHeads, []any{1, "[]", 1}}, {qNextDue, []any{1}}, {qStreamTaken, []any{"s", "o", 1}}, {qOldest, nil}, {qOpsSending, nil},
		{qOpsBlocked, []any{"purchase"}}, {qSaleOps, []any{"[]"}}, {qCountOpen, nil}, {qPaymentBusy, []any{"t"}}, {qPaymentLast, []any{"t"}},
		{qPaymentOpLast, []any{"t"}}, {qPaymentOpen, nil}, {qPaymentsOf, []any{"t", 1}}, {qClosingLast, []any{"t"}}, {qPaymentThere, []any{"p"}},
		{qJobsOpen, []any{"p"}}, {qSaleStream, []any{"s", "t"}}, {qAnswer, []any{"p", "k"}},
		{qOp, []any{"o"}}, {qOpBegin, []any{"o", 1, 1}}, {qOpEnd, []any{"o", "queued", "", 0, nil, nil, "", 0}},
		{qAttemptEnd, []any{"o", 1, 1, "", 0, "", "", ""}}, {qSaleState, []any{"s"}}, {qSaleFirst, []any{"s", "t", "sale", nil}},
		{qPruneSales, []any{1, 1, 1}}, {qPruneOps, []any{1, 1, 1}}, {qOpsOpen, []any{1, 1}}, {qOpenLast, nil},
		{qCard, []any{"g"}}, {qCardsOpen, []any{""}}, {qCardOf, []any{"o"}}, {qCardThrough, []any{"g", "", "", 0, ""}}, {qCardCaptured, []any{"o", ""}},
		{qCardCapture, []any{"g", "o", "1"}}, {qCardSale, []any{"g", "s"}}, {qOpSale, []any{"g", "s"}}, {qBalance, []any{"c"}},
		{qPaymentClaim, []any{"p", "s"}}, {qEventsPrune, []any{1, 1, 1}}, {qEventsAfter, []any{1, "", 1}},
		{qSales + " WHERE " + salesSince + " ORDER BY seq DESC LIMIT 1", []any{1, 1}},
		{qSales + " WHERE state = ? AND state <> 'delivered' ORDER BY seq DESC LIMIT 1", []any{"queued"}},
		{qOps + " WHERE state = ? AND state <> 'delivered' ORDER BY seq LIMIT 1", []any{"queued"}},
		{qPayments + " WHERE " + paymentsSince + " ORDER BY seq DESC LIMIT 1", []any{1, 1}},
	} {
		rows, err := s.read.db.Query("EXPLAIN QUERY PLAN "+tc.query, tc.args...)
		if err != nil {
			t.Fatal(err)
		}
		plan, err := collect(rows, func(row scanner) (string, error) {
			var id, parent, unused int
			var detail string
			return detail, row.Scan(&id, &parent, &unused, &detail)
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s\n\t%s", tc.query, strings.Join(plan, "\n\t"))
		for _, step := range plan {
			table := strings.HasPrefix(step, "SCAN") && !strings.Contains(step, "_open") && !strings.Contains(step, "json_each") &&
				!strings.Contains(step, "CONSTANT") && !strings.Contains(step, "(subquery")
			if table || strings.Contains(step, "TEMP B-TREE FOR ORDER BY") && !strings.Contains(tc.query, "o.sale_id IN") && !strings.Contains(tc.query, "s.id") {
				t.Errorf("%s\nis answered by %q", tc.query, step)
			}
		}
	}
}
