package offlinetest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"storeagent/internal/journal"
	"storeagent/offline"
	"storeagent/offline/sale"
)

// Suite checks the contract of offline.Store. open gives an empty store for each test and sees to its closing.
//
// A store that also reads its events back (After, as register.Events has it) is checked for writing them in the
// commit they belong to; one that reads its idempotency records back (Answer, as register.Keys has it) likewise.
func Suite(t *testing.T, open func(t *testing.T) offline.Store) {
	for _, tc := range []struct {
		name string
		run  func(s *suite)
	}{
		{"AcceptedSaleReadsBack", acceptedSaleReadsBack},
		{"SaleWithoutOperationsIsDiscarded", saleWithoutOperations},
		{"DuplicateSale", duplicateSale},
		{"DuplicateRefund", duplicateRefund},
		{"KeyUsedOnce", keyUsedOnce},
		{"UnknownTender", unknownTender},
		{"RacingAccepts", racingAccepts},
		{"SaleStream", saleStream},
		{"SalesFilter", salesFilter},
		{"SalesCursor", salesCursor},
		{"OperationsFilter", operationsFilter},
		{"OperationsCursor", operationsCursor},
		{"HeadsInOrderOfAcceptance", headsInOrder},
		{"HeadOfStreamBlocks", headOfStreamBlocks},
		{"HeadsWaitForDependencies", headsWaitForDependencies},
		{"HeadsNotBeforeTheirTime", headsNotBefore},
		{"BeginTwice", beginTwice},
		{"BeginOneInFlightPerStream", beginOnePerStream},
		{"RacingBegins", racingBegins},
		{"FinishStates", finishStates},
		{"FinishStale", finishStale},
		{"Doubt", doubt},
		{"Settle", settle},
		{"DecideResend", decideResend},
		{"DecideSettle", decideSettle},
		{"DecideDiscard", decideDiscard},
		{"DecideMoved", decideMoved},
		{"DecideRefusals", decideRefusals},
		{"Unblock", unblock},
		{"Counts", counts},
		{"SaleStateIsTheWorst", saleStateWorst},
		{"EventsJoinTheirCommit", eventsJoin},
		{"GiftcardReadsBack", cardReadsBack},
		{"GiftcardForgetsItsPIN", cardForgetsItsPIN},
		{"OpenGiftcards", cardOpenList},
		{"GiftcardChanges", cardChanges},
		{"GiftcardSentAgain", cardSentAgain},
		{"GiftcardCapture", cardCapture},
		{"GiftcardTenders", cardTenders},
		{"GiftcardBalances", cardBalances},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.run(&suite{T: t, store: open(t), ctx: t.Context()})
		})
	}
}

type suite struct {
	*testing.T
	store offline.Store
	ctx   context.Context
	n     int
}

// start is when the suite's sales were accepted; whole seconds, so that no store can round them.
var start = time.Date(2026, 3, 7, 15, 4, 5, 0, time.UTC)

func newID() string { return uuid.Must(uuid.NewV7()).String() }

// NewSale makes a well-formed acceptance of one sale with one purchase of its own stream.
func NewSale(transactionID, amount string, at time.Time) offline.Acceptance {
	body := json.RawMessage(fmt.Sprintf(`{"transactionId":%q,"payAmount":%q}`, transactionID, amount))
	id := newID()
	return offline.Acceptance{
		Record: offline.Record{
			ID: id, StoreCode: "DALLAS", TransactionID: transactionID, Kind: sale.Sold, Currency: "USD", Amount: amount,
			Body: body, ContentHash: sha256.Sum256(body), AcceptedAt: at, AcceptedBy: "pairing-1",
		},
		Operations: []offline.Operation{{
			ID: newID(), Type: offline.Purchase, SaleID: id, Stream: newID(), Payload: body,
			ContentHash: sha256.Sum256(body), Ref: transactionID, Amount: amount, Currency: "USD",
			State: offline.Queued, CreatedAt: at,
		}},
	}
}

// next makes the acceptance of a sale of 10.00, each a second after the one before.
func (s *suite) next() offline.Acceptance {
	s.n++
	return NewSale(fmt.Sprintf("T%04d", s.n), "10.00", start.Add(time.Duration(s.n)*time.Second))
}

func (s *suite) accept(a offline.Acceptance) offline.Acceptance {
	s.Helper()
	if err := s.store.AcceptSale(s.ctx, a, journal.Entry{}); err != nil {
		s.Fatalf("AcceptSale: %v", err)
	}
	return a
}

// acceptOp accepts the next sale and gives its operation's id.
func (s *suite) acceptOp() string {
	s.Helper()
	return s.accept(s.next()).Operations[0].ID
}

func (s *suite) op(id string) offline.Operation {
	s.Helper()
	op, err := s.store.Operation(s.ctx, id)
	if err != nil {
		s.Fatalf("Operation: %v", err)
	}
	return op
}

func (s *suite) sale(id string) offline.SaleView {
	s.Helper()
	v, err := s.store.Sale(s.ctx, id)
	if err != nil {
		s.Fatalf("Sale: %v", err)
	}
	return v
}

func (s *suite) counts() offline.Counts {
	s.Helper()
	c, err := s.store.Counts(s.ctx)
	if err != nil {
		s.Fatalf("Counts: %v", err)
	}
	return c
}

func (s *suite) begin(id string, n int) {
	s.Helper()
	if err := s.store.Begin(s.ctx, id, n, start.Add(time.Minute)); err != nil {
		s.Fatalf("Begin %d: %v", n, err)
	}
}

func (s *suite) finish(id string, n int, r offline.Result) {
	s.Helper()
	if r.FinishedAt.IsZero() {
		r.FinishedAt = start.Add(2 * time.Minute)
	}
	if err := s.store.Finish(s.ctx, id, n, r); err != nil {
		s.Fatalf("Finish %d: %v", n, err)
	}
}

// bring takes a fresh operation to a state by attempt 1.
func (s *suite) bring(id string, r offline.Result) {
	s.Helper()
	s.begin(id, 1)
	s.finish(id, 1, r)
}

func (s *suite) wantState(id string, want offline.State) {
	s.Helper()
	if got := s.op(id).State; got != want {
		s.Errorf("operation is %s, want %s", got, want)
	}
}

func (s *suite) heads(now time.Time, skip ...offline.OpType) []string {
	s.Helper()
	ops, err := s.store.Heads(s.ctx, now, 100, skip)
	if err != nil {
		s.Fatalf("Heads: %v", err)
	}
	ids := []string{}
	for _, op := range ops {
		ids = append(ids, op.ID)
	}
	return ids
}

func (s *suite) wantHeads(now time.Time, want ...string) {
	s.Helper()
	got := s.heads(now)
	if fmt.Sprint(got) != fmt.Sprint(append([]string{}, want...)) {
		s.Errorf("heads are %v, want %v", got, want)
	}
}

func (s *suite) wantErr(act string, err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Errorf("%s: got error %v, want %v", act, err, want)
	}
}

// race runs n calls of f at once and returns how many gave nil, and the errors of the others.
func race(n int, f func(i int) error) (won int, lost []error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	for i := range n {
		wg.Go(func() {
			err := f(i)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else {
				lost = append(lost, err)
			}
		})
	}
	wg.Wait()
	return won, lost
}
