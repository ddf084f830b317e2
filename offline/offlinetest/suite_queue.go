package offlinetest

import (
	"context"
	"errors"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/payments/money"
)

func headsInOrder(s *suite) {
	var want []string
	for range 5 {
		want = append(want, s.acceptOp())
	}
	s.wantHeads(start.Add(time.Hour), want...)
	few, err := s.store.Heads(s.ctx, start.Add(time.Hour), 2, nil)
	if err != nil || len(few) != 2 || few[0].ID != want[0] || few[1].ID != want[1] {
		s.Errorf("Heads with limit 2: %v, %v", few, err)
	}
	if got := s.heads(start.Add(time.Hour), offline.Purchase); len(got) != 0 {
		s.Errorf("heads of a paused kind: %v", got)
	}
	if got := s.heads(start.Add(time.Hour), offline.GiftcardTrans); len(got) != 5 {
		s.Errorf("heads with another kind paused: %v", got)
	}
}

func headOfStreamBlocks(s *suite) {
	first, second, other := s.next(), s.next(), s.next()
	second.Operations[0].Stream = first.Operations[0].Stream
	s.accept(first)
	s.accept(second)
	s.accept(other)
	a, b, c := first.Operations[0].ID, second.Operations[0].ID, other.Operations[0].ID
	now := start.Add(time.Hour)
	s.wantHeads(now, a, c)
	s.begin(a, 1)
	s.wantHeads(now, c)
	s.finish(a, 1, offline.Result{State: offline.Queued, NotBefore: now.Add(time.Hour)})
	s.wantHeads(now, c) // waiting for its time, still ahead
	s.begin(a, 2)
	s.finish(a, 2, offline.Result{State: offline.InDoubt})
	s.wantHeads(now, c)
	if err := s.store.Settle(s.ctx, a, offline.Result{State: offline.Parked, Reason: offline.Unknown, FinishedAt: now}); err != nil {
		s.Fatal(err)
	}
	s.wantHeads(now, c)
	s.decide(a, offline.Discard)
	s.wantHeads(now, b, c)
	s.bring(b, offline.Result{State: offline.Delivered, CloudID: "P"})
	s.wantHeads(now, c)
}

func headsWaitForDependencies(s *suite) {
	a := s.next()
	capture := a.Operations[0]
	capture.ID, capture.Type, capture.Stream = newID(), offline.GiftcardCapture, newID()
	a.Operations[0].DependsOn = []string{capture.ID}
	a.Operations = []offline.Operation{capture, a.Operations[0]}
	s.accept(a)
	purchase := a.Operations[1].ID
	now := start.Add(time.Hour)
	if got := s.op(purchase).DependsOn; len(got) != 1 || got[0] != capture.ID {
		s.Errorf("dependencies read back as %v", got)
	}
	s.wantHeads(now, capture.ID)
	if got := s.heads(now, offline.GiftcardCapture); len(got) != 0 {
		s.Errorf("a paused kind still holds what depends on it: %v", got)
	}
	s.begin(capture.ID, 1)
	s.wantHeads(now)
	s.finish(capture.ID, 1, offline.Result{State: offline.InDoubt})
	s.wantHeads(now, purchase) // a capture in doubt does not hold the purchase
}

func headsNotBefore(s *suite) {
	id := s.acceptOp()
	now := start.Add(time.Hour)
	due := now.Add(30 * time.Second)
	if got, err := s.store.NextDue(s.ctx, now); err != nil || !got.IsZero() {
		s.Errorf("next due with nothing waiting: %v, %v", got, err)
	}
	s.bring(id, offline.Result{State: offline.Queued, NotBefore: due})
	s.wantHeads(now)
	s.wantHeads(due, id)
	got, err := s.store.NextDue(s.ctx, now)
	if err != nil || !got.Equal(due) {
		s.Errorf("next due %v, %v, want %v", got, err, due)
	}
	if got, err := s.store.NextDue(s.ctx, due); err != nil || !got.IsZero() {
		s.Errorf("next due once it is due: %v, %v", got, err)
	}
}

func beginTwice(s *suite) {
	id := s.acceptOp()
	s.wantErr("Begin 2 of a fresh operation", s.store.Begin(s.ctx, id, 2, start), offline.ErrStale)
	s.begin(id, 1)
	op := s.op(id)
	if op.State != offline.Sending || op.Attempts != 1 || !op.LastAttemptAt.Equal(start.Add(time.Minute)) {
		s.Errorf("begun operation: %+v", op)
	}
	s.wantErr("Begin 1 again", s.store.Begin(s.ctx, id, 1, start), offline.ErrStale)
	s.wantErr("Begin 2 of a sending operation", s.store.Begin(s.ctx, id, 2, start), offline.ErrStale)
	s.finish(id, 1, offline.Result{State: offline.Queued})
	s.wantErr("Begin 1 after attempt 1", s.store.Begin(s.ctx, id, 1, start), offline.ErrStale)
	s.begin(id, 2)
	s.finish(id, 2, offline.Result{State: offline.Delivered, CloudID: "P"})
	s.wantErr("Begin of a delivered operation", s.store.Begin(s.ctx, id, 3, start), offline.ErrStale)
	if err := s.store.Begin(s.ctx, newID(), 1, start); err == nil {
		s.Error("Begin of an unknown operation succeeded")
	}
}

func beginOnePerStream(s *suite) {
	first, second := s.next(), s.next()
	second.Operations[0].Stream = first.Operations[0].Stream
	s.accept(first)
	s.accept(second)
	a, b := first.Operations[0].ID, second.Operations[0].ID
	s.begin(a, 1)
	s.wantErr("Begin beside one sending", s.store.Begin(s.ctx, b, 1, start), offline.ErrStale)
	s.finish(a, 1, offline.Result{State: offline.InDoubt})
	s.wantErr("Begin beside one in doubt", s.store.Begin(s.ctx, b, 1, start), offline.ErrStale)
	s.wantState(b, offline.Queued)
}

func racingBegins(s *suite) {
	id := s.acceptOp()
	won, lost := race(8, func(int) error { return s.store.Begin(s.ctx, id, 1, start) })
	for _, err := range lost {
		s.wantErr("losing begin", err, offline.ErrStale)
	}
	if won != 1 || s.op(id).Attempts != 1 {
		s.Errorf("%d of 8 begins won, %d attempts", won, s.op(id).Attempts)
	}
}

func finishStates(s *suite) {
	at := start.Add(5 * time.Minute)
	fault := &offline.Fault{Code: "VALIDATION", Message: "no such item"}
	for _, r := range []offline.Result{
		{State: offline.Delivered, CloudID: "P9", FinishedAt: at, HTTPStatus: 200, Class: "delivered"},
		{State: offline.Queued, NotBefore: at.Add(time.Minute), Error: fault, FinishedAt: at, HTTPStatus: 503, Class: "not_executed"},
		{State: offline.Parked, Reason: offline.Rejected, Error: fault, FinishedAt: at, HTTPStatus: 400, Class: "rejected"},
		{State: offline.InDoubt, Error: fault, FinishedAt: at, HTTPStatus: 502, Class: "doubt"},
	} {
		id := s.acceptOp()
		s.begin(id, 1)
		s.finish(id, 1, r)
		op := s.op(id)
		if op.State != r.State || op.Reason != r.Reason || op.CloudID != r.CloudID || !op.NotBefore.Equal(r.NotBefore) {
			s.Errorf("finished as %+v, operation is %+v", r, op)
		}
		if (op.Error == nil) != (r.Error == nil) || op.Error != nil && *op.Error != *r.Error {
			s.Errorf("finished with error %v, operation has %v", r.Error, op.Error)
		}
		if delivered := r.State == offline.Delivered; delivered != op.DeliveredAt.Equal(at) {
			s.Errorf("%s at %v", op.State, op.DeliveredAt)
		}
		v := s.sale(op.SaleID)
		if v.State != r.State || v.Reason != r.Reason || v.CloudID != r.CloudID || (v.DeliveredAt != nil) != (r.State == offline.Delivered) {
			s.Errorf("finished as %+v, sale is %+v", r, v)
		}
		if (v.Error == nil) != (r.Error == nil) || v.Error != nil && *v.Error != *r.Error {
			s.Errorf("finished with error %v, sale has %v", r.Error, v.Error)
		}
	}
	id := s.acceptOp() // a later success takes the earlier error away
	s.bring(id, offline.Result{State: offline.Queued, Error: fault})
	s.begin(id, 2)
	s.finish(id, 2, offline.Result{State: offline.Delivered, CloudID: "P"})
	if op := s.op(id); op.Error != nil || !op.NotBefore.IsZero() {
		s.Errorf("delivered operation: %+v", op)
	}
}

func finishStale(s *suite) {
	id := s.acceptOp()
	done := offline.Result{State: offline.Delivered, CloudID: "P", FinishedAt: start}
	s.wantErr("Finish of a queued operation", s.store.Finish(s.ctx, id, 1, done), offline.ErrStale)
	s.begin(id, 1)
	s.wantErr("Finish of attempt 2 during attempt 1", s.store.Finish(s.ctx, id, 2, done), offline.ErrStale)
	s.finish(id, 1, offline.Result{State: offline.Queued})
	s.begin(id, 2)
	s.wantErr("Finish of attempt 1 during attempt 2", s.store.Finish(s.ctx, id, 1, done), offline.ErrStale)
	s.finish(id, 2, done)
	s.wantErr("Finish again", s.store.Finish(s.ctx, id, 2, offline.Result{State: offline.Queued}), offline.ErrStale)
	s.wantState(id, offline.Delivered)
}

func doubt(s *suite) {
	queued, sending, delivered := s.acceptOp(), s.acceptOp(), s.acceptOp()
	s.begin(sending, 1)
	s.bring(delivered, offline.Result{State: offline.Delivered, CloudID: "P"})
	changed, err := s.store.Doubt(s.ctx, start.Add(time.Hour))
	if err != nil || len(changed) != 1 || changed[0].ID != sending || changed[0].State != offline.InDoubt || changed[0].Attempts != 1 {
		s.Fatalf("Doubt changed %+v, %v", changed, err)
	}
	s.wantState(queued, offline.Queued)
	s.wantState(sending, offline.InDoubt)
	s.wantState(delivered, offline.Delivered)
	s.wantErr("Finish after the crash", s.store.Finish(s.ctx, sending, 1, offline.Result{State: offline.Delivered}), offline.ErrStale)
	if again, err := s.store.Doubt(s.ctx, start); err != nil || len(again) != 0 {
		s.Errorf("second Doubt changed %d, %v", len(again), err)
	}
}

func settle(s *suite) {
	for _, r := range []offline.Result{
		{State: offline.Delivered, CloudID: "P7"},
		{State: offline.Queued, NotBefore: start.Add(time.Hour)},
		{State: offline.Parked, Reason: offline.Unknown, Error: &offline.Fault{Code: "no_answer", Message: "sent, and no answer"}},
	} {
		id := s.acceptOp()
		s.bring(id, offline.Result{State: offline.InDoubt})
		r.FinishedAt = start.Add(10 * time.Minute)
		if err := s.store.Settle(s.ctx, id, r); err != nil {
			s.Fatalf("Settle: %v", err)
		}
		op := s.op(id)
		if op.State != r.State || op.Reason != r.Reason || op.CloudID != r.CloudID || !op.NotBefore.Equal(r.NotBefore) || op.Attempts != 1 {
			s.Errorf("settled as %+v, operation is %+v", r, op)
		}
		if err := s.store.Settle(s.ctx, id, r); err == nil {
			s.Errorf("settled twice as %s", r.State)
		}
	}
	id := s.acceptOp()
	if err := s.store.Settle(s.ctx, id, offline.Result{State: offline.Delivered}); err == nil {
		s.Error("settled an operation that was never in doubt")
	}
	s.wantState(id, offline.Queued)
}

func (s *suite) decide(id string, a offline.Action) offline.Operation {
	s.Helper()
	op, err := s.store.Decide(s.ctx, offline.Decision{OpID: id, Action: a, CloudID: cloudIDFor(a), Note: "checked"}, journal.Entry{
		Actor: journal.Actor{PairingID: "pairing-9", Name: "Ana", Role: journal.RoleTechnician},
	})
	if err != nil {
		s.Fatalf("%s: %v", a, err)
	}
	return op
}

func cloudIDFor(a offline.Action) string {
	if a == offline.Settle {
		return "P-SEEN"
	}
	return ""
}

func (s *suite) parked(reason offline.Reason) string {
	s.Helper()
	id := s.acceptOp()
	s.bring(id, offline.Result{State: offline.Parked, Reason: reason, Error: &offline.Fault{Code: "X", Message: "no"}})
	return id
}

func decideResend(s *suite) {
	id := s.parked(offline.Unknown)
	op := s.decide(id, offline.Resend)
	if op.ID != id || op.State != offline.Queued || op.Reason != "" || op.Attempts != 1 || !op.NotBefore.IsZero() {
		s.Errorf("resent operation: %+v", op)
	}
	s.wantHeads(start.Add(time.Hour), id)
	s.begin(id, 2)
}

func decideSettle(s *suite) {
	id := s.parked(offline.Unknown)
	op := s.decide(id, offline.Settle)
	if op.State != offline.Delivered || op.CloudID != "P-SEEN" || op.Reason != "" || op.DeliveredAt.IsZero() {
		s.Errorf("settled operation: %+v", op)
	}
	if v := s.sale(op.SaleID); v.State != offline.Delivered || v.CloudID != "P-SEEN" || v.DeliveredAt == nil {
		s.Errorf("settled sale: %+v", v)
	}
}

func decideDiscard(s *suite) {
	for _, id := range []string{s.parked(offline.Rejected), s.acceptOp()} {
		if op := s.decide(id, offline.Discard); op.State != offline.Discarded {
			s.Errorf("discarded operation is %s", op.State)
		}
		if v := s.sale(s.op(id).SaleID); v.State != offline.Discarded {
			s.Errorf("its sale is %s", v.State)
		}
	}
	s.wantHeads(start.Add(time.Hour))
}

func decideMoved(s *suite) {
	id := s.parked(offline.Moved)
	_, err := s.store.Decide(s.ctx, offline.Decision{OpID: id, Action: offline.Resend, Note: "n"}, journal.Entry{})
	s.wantErr("resend of what was moved to another machine", err, offline.ErrState)
	s.wantState(id, offline.Parked)
}

func decideRefusals(s *suite) {
	all := []offline.Action{offline.Resend, offline.Settle, offline.Discard}
	queued, sending, delivered, inDoubt := s.acceptOp(), s.acceptOp(), s.acceptOp(), s.acceptOp()
	s.begin(sending, 1)
	s.bring(delivered, offline.Result{State: offline.Delivered, CloudID: "P"})
	s.bring(inDoubt, offline.Result{State: offline.InDoubt})
	for id, actions := range map[string][]offline.Action{
		queued: {offline.Resend, offline.Settle}, sending: all, delivered: all, inDoubt: all,
	} {
		before := s.op(id).State
		for _, a := range actions {
			_, err := s.store.Decide(s.ctx, offline.Decision{OpID: id, Action: a, Note: "n"}, journal.Entry{})
			s.wantErr(string(a)+" of one "+string(before), err, offline.ErrState)
			s.wantState(id, before)
		}
	}
	_, err := s.store.Decide(s.ctx, offline.Decision{OpID: newID(), Action: offline.Resend}, journal.Entry{})
	s.wantErr("Decide on an unknown id", err, journal.ErrNotFound)

	e := journal.Entry{Key: &journal.Key{PairingID: "p", Text: "k"}}
	if _, err := s.store.Decide(s.ctx, offline.Decision{OpID: s.parked(offline.Unknown), Action: offline.Discard}, e); err != nil {
		s.Fatal(err)
	}
	second := s.parked(offline.Unknown)
	_, err = s.store.Decide(s.ctx, offline.Decision{OpID: second, Action: offline.Discard}, e)
	s.wantErr("Decide under a used key", err, journal.ErrKeyUsed)
	s.wantState(second, offline.Parked)

	id := s.parked(offline.Unknown)
	won, lost := race(8, func(i int) error {
		_, err := s.store.Decide(s.ctx, offline.Decision{OpID: id, Action: offline.Settle, CloudID: "P", Note: "n"}, journal.Entry{})
		return err
	})
	if won != 1 || !errors.Is(errors.Join(lost...), offline.ErrState) {
		s.Errorf("%d of 8 racing decisions won: %v", won, lost)
	}
}

func unblock(s *suite) {
	a, b := s.parked(offline.Blocked), s.parked(offline.Blocked)
	rejected := s.parked(offline.Rejected)
	if n, err := s.store.Unblock(s.ctx, offline.GiftcardTrans, start); err != nil || n != 0 {
		s.Errorf("unblocking another kind changed %d, %v", n, err)
	}
	if n, err := s.store.Unblock(s.ctx, offline.Purchase, start); err != nil || n != 2 {
		s.Errorf("unblocked %d, %v, want 2", n, err)
	}
	for _, id := range []string{a, b} {
		if op := s.op(id); op.State != offline.Queued || op.Reason != "" || op.Attempts != 1 {
			s.Errorf("unblocked operation: %+v", op)
		}
	}
	s.wantState(rejected, offline.Parked)
	s.wantHeads(start.Add(time.Hour), a, b)
}

func counts(s *suite) {
	if c := s.counts(); len(c.ByState) != 0 && c.ByState[offline.Queued] != 0 || !c.OldestQueuedAt.IsZero() || !c.OldestOpenAt.IsZero() {
		s.Errorf("counts of an empty store: %+v", c)
	}
	var ids []string
	for _, amount := range []string{"5.79", "-3.98", "0.10", "0.20", "100", "7.00"} {
		s.n++
		ids = append(ids, s.accept(NewSale("C"+amount, amount, start.Add(time.Duration(s.n)*time.Second))).Operations[0].ID)
	}
	s.wantOpen("117.07") // the refund of 3.98 counts like a sale of as much
	s.bring(ids[0], offline.Result{State: offline.Parked, Reason: offline.Unknown})
	s.bring(ids[4], offline.Result{State: offline.Delivered, CloudID: "P"})
	s.begin(ids[2], 1)
	s.bring(ids[3], offline.Result{State: offline.InDoubt})
	s.decide(ids[5], offline.Discard)
	s.wantOpen("10.07")
	c := s.counts()
	for state, want := range map[offline.State]int{
		offline.Queued: 1, offline.Sending: 1, offline.Delivered: 1, offline.InDoubt: 1, offline.Parked: 1, offline.Discarded: 1,
	} {
		if c.ByState[state] != want {
			s.Errorf("%d %s, want %d", c.ByState[state], state, want)
		}
	}
	if !c.OldestQueuedAt.Equal(start.Add(2*time.Second)) || !c.OldestOpenAt.Equal(start.Add(time.Second)) {
		s.Errorf("oldest queued %v, oldest open %v", c.OldestQueuedAt, c.OldestOpenAt)
	}
	c.ByState[offline.Queued] = 99 // the caller's copy
	if s.counts().ByState[offline.Queued] != 1 {
		s.Error("counts share their map with the caller")
	}
}

func (s *suite) wantOpen(want string) {
	s.Helper()
	got, err := money.Parse(s.counts().OpenAmounts["USD"], "USD")
	sum, _ := money.Parse(want, "USD")
	if err != nil || got.Cmp(sum) != 0 {
		s.Errorf("open amount %v, %v, want %s", got, err, want)
	}
}

func saleStateWorst(s *suite) {
	results := map[offline.State]offline.Result{
		offline.Parked:    {State: offline.Parked, Reason: offline.Unknown},
		offline.InDoubt:   {State: offline.InDoubt},
		offline.Delivered: {State: offline.Delivered, CloudID: "P"},
	}
	bring := func(id string, to offline.State) {
		switch to {
		case offline.Queued:
		case offline.Sending:
			s.begin(id, 1)
		case offline.Discarded:
			s.decide(id, offline.Discard)
		default:
			s.bring(id, results[to])
		}
	}
	// From best to worst; discarded only hides behind delivered, and stands in for it.
	order := []offline.State{offline.Delivered, offline.Discarded, offline.Queued, offline.Sending, offline.InDoubt, offline.Parked}
	for i, one := range order {
		for j, two := range order {
			a := s.next()
			second := a.Operations[0]
			second.ID, second.Stream, second.Type = newID(), newID(), offline.GiftcardCapture
			a.Operations = append(a.Operations, second)
			s.accept(a)
			bring(a.Operations[0].ID, one)
			bring(a.Operations[1].ID, two)
			want := order[max(i, j)]
			v := s.sale(a.Record.ID)
			if v.State != want {
				s.Errorf("%s and %s make the sale %s, want %s", one, two, v.State, want)
			}
			if found, _, err := s.store.Sales(s.ctx, offline.SaleFilter{State: want, TransactionID: a.Record.TransactionID}); err != nil || len(found) != 1 {
				s.Errorf("%s and %s: listing by state %s found %d, %v", one, two, want, len(found), err)
			}
		}
	}
}

func eventsJoin(s *suite) {
	log, ok := s.store.(interface {
		After(ctx context.Context, after int64, types []string, limit int) ([]journal.Event, error)
	})
	if !ok {
		s.Log("this store does not read its events back")
		return
	}
	var want []string
	event := func(name string) journal.Event {
		return journal.NewEvent("sale", start, map[string]string{"step": name})
	}
	check := func(act string) {
		s.Helper()
		events, err := log.After(s.ctx, 0, []string{"sale"}, 100)
		if err != nil {
			s.Fatal(err)
		}
		var got []string
		last := int64(0)
		for _, e := range events {
			got = append(got, string(e.Data))
			if e.ID <= last {
				s.Errorf("event ids do not rise: %d after %d", e.ID, last)
			}
			last = e.ID
		}
		if len(got) != len(want) || len(got) > 0 && got[len(got)-1] != want[len(want)-1] {
			s.Errorf("after %s the log holds %v, want %v", act, got, want)
		}
	}
	step := func(act string, err error, e journal.Event) {
		s.Helper()
		if err != nil {
			s.Fatalf("%s: %v", act, err)
		}
		want = append(want, string(e.Data))
		check(act)
	}
	refuse := func(act string, err error) {
		s.Helper()
		if err == nil {
			s.Fatalf("%s succeeded", act)
		}
		check(act)
	}
	a := s.next()
	id := a.Operations[0].ID
	e := event("accept")
	step("AcceptSale", s.store.AcceptSale(s.ctx, a, journal.Entry{Events: []journal.Event{e}}), e)
	refuse("a duplicate", s.store.AcceptSale(s.ctx, NewSale(a.Record.TransactionID, "1.00", start), journal.Entry{Events: []journal.Event{event("no")}}))
	e = event("begin")
	step("Begin", s.store.Begin(s.ctx, id, 1, start, e), e)
	refuse("a stale Begin", s.store.Begin(s.ctx, id, 1, start, event("no")))
	refuse("a stale Finish", s.store.Finish(s.ctx, id, 2, offline.Result{State: offline.Queued}, event("no")))
	e = event("doubt")
	step("Finish", s.store.Finish(s.ctx, id, 1, offline.Result{State: offline.InDoubt}, e), e)
	e = event("settle")
	step("Settle", s.store.Settle(s.ctx, id, offline.Result{State: offline.Parked, Reason: offline.Blocked}, e), e)
	e = event("unblock")
	_, err := s.store.Unblock(s.ctx, offline.Purchase, start, e)
	step("Unblock", err, e)
	e = event("discard")
	_, err = s.store.Decide(s.ctx, offline.Decision{OpID: id, Action: offline.Discard, Note: "n"}, journal.Entry{Events: []journal.Event{e}})
	step("Decide", err, e)
	_, err = s.store.Decide(s.ctx, offline.Decision{OpID: id, Action: offline.Discard, Note: "n"}, journal.Entry{Events: []journal.Event{event("no")}})
	refuse("Decide again", err)
}
