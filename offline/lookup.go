package offline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"storeagent/internal/journal"
	"storeagent/payments/money"
)

// PurchaseFinder asks the cloud for purchases by their transaction id. The vendor documents no such query; some tenants
// may show one.
type PurchaseFinder interface {
	// FindPurchases gives the purchases of a store that bear a transaction id. Only ClassDelivered vouches for the
	// list: all of them are in it, and no others. ClassUnsupported means that the tenant has no query that fits,
	// ClassBlocked that the account may not see all.
	FindPurchases(ctx context.Context, storeCode, transactionID string) ([]CloudPurchase, Verdict)
}

// CloudPurchase is a purchase as the cloud shows it.
type CloudPurchase struct {
	ID     string
	Amount string // payAmount: a decimal text with its sign
}

// Times of looking for a purchase in doubt. All count from the first question that this run asked, by the monotonic
// clock, so that neither a clock that was set nor a restart shortens them.
const (
	lookupEvery  = time.Minute      // between questions about one purchase
	lookupSettle = 2 * time.Minute  // a request may still be on its way: longer than any time-out of ours
	lookupApart  = 5 * time.Minute  // between the two questions that an absence needs
	lookupFor    = 30 * time.Minute // then it is as if there were no lookup
	lookupsARow  = 20               // purchases asked about before sales get their turn again
)

// Faults of purchases that a lookup left for a person.
const (
	CodeNotAtCloud  = "not_at_cloud"
	CodeOtherAmount = "other_amount"
	CodeFoundTwice  = "found_twice"
)

// ActionEvidence is the audit's word for a doubt that the agent settled by what the cloud showed.
const ActionEvidence = "queue.evidence"

// AgentActor stands in the audit where the agent itself settled something: a name without a pairing or a role.
func AgentActor() journal.Actor { return journal.Actor{Name: "storeagent"} }

// lookups settles purchases in doubt by asking for them. Only the goroutine of Run uses it.
type lookups struct {
	store    Store
	cloud    PurchaseFinder
	searches map[string]search // by operation
	round    int               // questions since sales last had their turn
	restTill time.Time         // the cloud could not be asked
}

// search is what this run found out about one attempt in doubt.
type search struct {
	attempt int
	since   time.Time // the first question
	next    time.Time // the next one
	absent  time.Time // when it was first surely not there, zero for never
}

func newLookups(store Store, cloud PurchaseFinder) *lookups {
	if cloud == nil {
		return nil
	}
	return &lookups{store: store, cloud: cloud, searches: map[string]search{}}
}

// purchaseNames are what the cloud knows a purchase by.
type purchaseNames struct {
	StoreCode     string `json:"storeCode"`
	TransactionID string `json:"transactionId"`
}

// settlePurchase ends the doubt about a purchase by what the cloud shows, or leaves it for another look. What is there
// once with the right amount is delivered. What is not there is sent again only where the configuration sends again what
// is in doubt; otherwise a person does. Where the cloud cannot tell, settleBlind decides as if nobody could be asked.
func (f *Forwarder) settlePurchase(ctx context.Context, op Operation, atOnce bool) error {
	l, now := f.lookups, time.Now()
	var names purchaseNames
	if err := json.Unmarshal(op.Payload, &names); err != nil || names.StoreCode == "" || names.TransactionID == "" {
		return f.settleBlind(ctx, op)
	}
	f.mu.Lock()
	open, away := f.way.open(now), f.way.outage || f.way.signedOut || f.paused
	f.mu.Unlock()
	if atOnce { // the doubt itself has closed the way
		f.lookWithin(0)
		return nil
	}
	s := l.searches[op.ID]
	if s.attempt != op.Attempts {
		s = search{}
	}
	switch {
	case !open && away:
		f.lookWithin(idle)
		return nil
	case !open: // a probe is about to tell
		f.lookWithin(time.Second)
		return nil
	case now.Before(l.restTill), now.Before(s.next):
		f.lookWithin(max(l.restTill.Sub(now), s.next.Sub(now)))
		return nil
	case l.round >= lookupsARow:
		f.lookWithin(time.Second)
		return nil
	}
	l.round++
	if s.since.IsZero() {
		s = search{attempt: op.Attempts, since: now}
	}
	s.next = now.Add(lookupEvery)
	l.searches[op.ID] = s
	r, err := f.search(ctx, op, names)
	if err != nil || ctx.Err() != nil {
		f.lookWithin(recheckDoubt)
		return err
	}
	if r.State != "" {
		err = f.settleAs(ctx, op, r)
	} else if time.Since(s.since) >= lookupFor || r.Class == ClassUnsupported.String() {
		err = f.settleBlind(ctx, op)
	} else {
		f.lookWithin(lookupEvery)
		return nil
	}
	if err == nil {
		delete(l.searches, op.ID)
	}
	return err
}

// lookWithin lets Run settle what stands in doubt after a while, or earlier where that is planned.
func (f *Forwarder) lookWithin(after time.Duration) {
	at := time.Now().Add(after)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.unsure || at.Before(f.unsureAt) {
		f.unsure, f.unsureAt = true, at
	}
}

// search asks once. A result without a state leaves the doubt; its class says whether asking again makes sense.
func (f *Forwarder) search(ctx context.Context, op Operation, names purchaseNames) (Result, error) {
	found, v := f.askPurchases(ctx, names.StoreCode, names.TransactionID)
	switch v.Class {
	case ClassDelivered:
	case ClassUnsupported, ClassBlocked, ClassRejected:
		f.log.WarnContext(ctx, "the cloud cannot be asked for purchases", "class", v.Class, "fault", faultText(v.Fault))
		return Result{Class: ClassUnsupported.String()}, nil
	default:
		return Result{}, nil
	}
	rest, sure, err := f.lookups.unclaimed(ctx, op, names, found)
	if err != nil {
		return Result{}, err
	}
	now := time.Now()
	r := Result{State: Parked, Reason: Unknown, FinishedAt: now}
	var equal []CloudPurchase
	for _, p := range rest {
		if sameDecimal(p.Amount, op.Amount) {
			equal = append(equal, p)
		}
	}
	switch {
	case !sure:
		return Result{Class: ClassUnsupported.String()}, nil
	case len(equal) == 1:
		r.State, r.Reason, r.Class, r.CloudID = Delivered, "", "found", equal[0].ID
		r.Evidence = fmt.Sprintf("The cloud has transaction %s over %s as purchase %s.", op.Ref, op.Amount, r.CloudID)
		return r, nil
	case len(equal) > 1:
		r.Class = CodeFoundTwice
		r.Error = &Fault{CodeFoundTwice, fmt.Sprintf("The cloud has transaction %s over %s %d times. Have all but one voided, then settle it.", op.Ref, op.Amount, len(equal))}
		r.Evidence = r.Error.Message
		return r, nil
	}
	if sure, err := f.surelyAbsent(ctx, op); !sure || err != nil {
		return Result{}, err
	}
	if len(rest) > 0 {
		r.Class = CodeOtherAmount
		r.Error = &Fault{CodeOtherAmount, fmt.Sprintf("The cloud has transaction %s over %s, not over %s. Look whether that is another sale.", op.Ref, rest[0].Amount, op.Amount)}
		r.Evidence = r.Error.Message
		return r, nil
	}
	return f.absent(op, r), nil
}

// absent is the end of a purchase that the cloud surely does not have.
func (f *Forwarder) absent(op Operation, r Result) Result {
	r.Evidence = fmt.Sprintf("The cloud was asked for transaction %s twice, %s apart, and does not have it; it does show a purchase that was sent later.", op.Ref, lookupApart)
	r.Class, r.Error = CodeNotAtCloud, &Fault{CodeNotAtCloud, r.Evidence + " Send it again."}
	if f.resends() && (op.Error == nil || op.Error.Code != CodeReplaced) {
		r.State, r.Reason = Queued, ""
		r.NotBefore = r.FinishedAt.Add(backoff(op.Attempts))
	}
	return r
}

// askPurchases asks, and leaves the cloud alone for a while where it does not answer.
func (f *Forwarder) askPurchases(ctx context.Context, storeCode, transactionID string) ([]CloudPurchase, Verdict) {
	asking, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	found, v := f.lookups.cloud.FindPurchases(asking, storeCode, transactionID)
	now := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if v.PushBack {
		f.pace.push(now, v.RetryAfter)
	}
	if v.Class == ClassDoubt || v.Class == ClassNotExecuted || v.Class == ClassSignedOut {
		f.lookups.restTill = now.Add(max(lookupEvery, min(v.RetryAfter, maxRetryAfter)))
	}
	return found, v
}

// unclaimed leaves out the purchases that belong to other sales of ours: a refund may bear the transaction id of its sale.
// It is not sure where one of those has the same amount and its purchase is not known.
func (l *lookups) unclaimed(ctx context.Context, op Operation, names purchaseNames, found []CloudPurchase) (rest []CloudPurchase, sure bool, err error) {
	sales, more, err := l.store.Sales(ctx, SaleFilter{TransactionID: names.TransactionID, Limit: 100})
	if err != nil {
		return nil, false, fmt.Errorf("read sales of transaction %s: %w", op.Ref, err)
	}
	claimed := map[string]bool{}
	sure = more == ""
	for _, s := range sales {
		switch {
		case s.ID == op.SaleID || s.StoreCode != names.StoreCode:
		case s.CloudID != "":
			claimed[s.CloudID] = true
		case sameDecimal(s.PayAmount, op.Amount):
			sure = false
		}
	}
	for _, p := range found {
		if !claimed[p.ID] {
			rest = append(rest, p)
		}
	}
	return rest, sure, nil
}

// surelyAbsent tells whether an answer without the purchase can be believed: the request cannot be on its way any more,
// it was not there minutes ago either, and both times the same query found a purchase that the cloud confirmed after the
// attempt in doubt had ended. That shows that the query does what we think, and that what it reads from is not behind.
func (f *Forwarder) surelyAbsent(ctx context.Context, op Operation) (bool, error) {
	l := f.lookups
	s := l.searches[op.ID]
	if time.Since(s.since) < lookupSettle {
		return false, nil
	}
	shown, err := f.laterOneShown(ctx, s.since)
	if !shown || err != nil {
		return false, err
	}
	if s.absent.IsZero() {
		s.absent = time.Now()
		l.searches[op.ID] = s
		return false, nil
	}
	return time.Since(s.absent) >= lookupApart, nil
}

// laterOneShown tells whether the cloud shows a purchase that it confirmed after a moment.
func (f *Forwarder) laterOneShown(ctx context.Context, after time.Time) (bool, error) {
	sales, _, err := f.lookups.store.Sales(ctx, SaleFilter{State: Delivered, Limit: 20})
	if err != nil {
		return false, fmt.Errorf("read delivered sales: %w", err)
	}
	for _, s := range sales {
		if s.CloudID == "" || s.DeliveredAt == nil || !s.DeliveredAt.After(after) {
			continue
		}
		found, v := f.askPurchases(ctx, s.StoreCode, s.TransactionID)
		if v.Class != ClassDelivered {
			return false, nil
		}
		for _, p := range found {
			if p.ID == s.CloudID {
				return true, nil
			}
		}
		return false, nil
	}
	return false, nil
}

// sameDecimal compares decimal texts whatever zeros they end in. Texts that are none agree with nothing.
func sameDecimal(a, b string) bool {
	const scale = 6
	x, err1 := money.ParseDecimal(a, scale)
	y, err2 := money.ParseDecimal(b, scale)
	return errors.Join(err1, err2) == nil && x.Cmp(y) == 0
}
