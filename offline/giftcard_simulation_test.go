package offline_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
)

var (
	cardSeed  = flag.Int64("cardseed", -1, "run the gift card simulation with this seed only")
	cardSeeds = flag.Uint64("cardseeds", 11, "how many gift card simulations run; make test runs many without the race detector")
)

// TestCardSimulation lets seeded chance use, fill, hold, capture and cancel gift cards, break the cloud, and stop and
// start the agent, and then checks the promises: no transaction moves money twice, none that is called final is of
// another mind than the cloud, and every one ends or waits visibly for a person.
func TestCardSimulation(t *testing.T) {
	var seeds []uint64
	for seed := range *cardSeeds {
		seeds = append(seeds, seed)
	}
	if *cardSeed >= 0 {
		seeds = []uint64{uint64(*cardSeed)}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			in(t, func(t *testing.T) { simulateCards(t, seed, 150) })
		})
	}
}

type cardWorld struct {
	*cardShop
	rnd     *rand.Rand
	ids     []string
	resent  map[string]bool // a person said so
	settled map[string]bool
}

func simulateCards(t *testing.T, seed uint64, steps int) {
	w := &cardWorld{
		cardShop: newCardShop(t), rnd: rand.New(rand.NewPCG(seed, 11)), resent: map[string]bool{}, settled: map[string]bool{},
	}
	w.cards.balance[cardCode] = "5000.00"
	w.rules.MaxCount, w.rules.MaxTotal = 20, usd(t, "200")
	w.openCards()
	w.start()
	for range steps {
		w.step()
		w.check()
	}
	w.cloud.answers(always)
	w.back()
	pass(3 * time.Hour)
	w.check()
	parked := 0
	for _, id := range w.ids {
		switch v := w.tx(id); v.State {
		case offline.CardCompleted, offline.CardDeclined, offline.CardCanceled, offline.CardExpired:
		case offline.CardParked:
			parked++
		case offline.CardAuthorized, offline.CardQueued: // behind a parked one of the same card
			if parked == 0 && w.parkedCards() == 0 {
				t.Errorf("%s ends %s", id, v.State)
			}
		default:
			t.Errorf("%s ends %s %s", id, v.State, v.Reason)
		}
	}
	w.stop()
	t.Logf("%d transactions, %d at the cloud, %d parked", len(w.ids), len(w.cards.trans), parked)
}

func always(offline.Operation) reply { return fine }

func (w *cardWorld) parkedCards() int {
	ops, _, err := w.mem.Operations(w.Context(), offline.ItemFilter{State: offline.Parked, Limit: 1000})
	if err != nil {
		w.Fatal(err)
	}
	return len(ops)
}

func (w *cardWorld) step() {
	w.Helper()
	switch w.rnd.IntN(12) {
	case 0, 1, 2, 3:
		w.transact()
	case 4:
		w.capture()
	case 5:
		if len(w.ids) > 0 {
			_, err := w.gc.Cancel(w.Context(), w.ids[w.rnd.IntN(len(w.ids))], noCardEntry)
			if err != nil && !errors.Is(err, offline.ErrState) {
				w.Fatal(err)
			}
		}
	case 6, 7:
		w.weather()
	case 8:
		w.again()
	case 9:
		w.decide()
	case 10:
		if _, err := w.gc.Lookup(w.Context(), offline.CardRef{Code: cardCode}); err != nil && !errors.Is(err, offline.ErrCloudAway) {
			w.Fatal(err)
		}
	default:
		pass(time.Duration(w.rnd.IntN(300)) * time.Second)
	}
}

func (w *cardWorld) transact() {
	r := w.request([]offline.TransType{offline.CardUse, offline.CardUse, offline.CardAdd}[w.rnd.IntN(3)],
		[]offline.CardMode{offline.CardImmediate, offline.CardAuthorize}[w.rnd.IntN(2)], fmt.Sprintf("%d.%02d", 1+w.rnd.IntN(9), w.rnd.IntN(100)))
	v, err := w.gc.Transact(w.Context(), r, tech, noCardEntry)
	var no *offline.OfflineError
	if errors.As(err, &no) || errors.Is(err, offline.ErrCardInDoubt) {
		return
	}
	if err != nil {
		w.Fatal(err)
	}
	w.ids = append(w.ids, v.ID)
	if r.TransType == offline.CardUse && w.rnd.IntN(2) == 0 {
		var te *offline.TenderError
		if _, err := w.pay(v.ID); err != nil && !errors.As(err, &te) {
			w.Fatal(err)
		}
	}
}

func (w *cardWorld) capture() {
	if len(w.ids) == 0 {
		return
	}
	_, err := w.gc.Capture(w.Context(), w.ids[w.rnd.IntN(len(w.ids))], "", noCardEntry)
	if err != nil && !errors.Is(err, offline.ErrState) {
		w.Fatal(err)
	}
}

// weather changes how the cloud answers about cards.
func (w *cardWorld) weather() {
	strange := unknown("STRANGE")
	list := []cardReply{{}, {}, {}, {}, {lose: true}, {skip: true}, {verdict: &strange}, {verdict: &unsent.verdict}, {verdict: &busy.verdict},
		{verdict: &refused.verdict}, {lose: true, takes: 12 * time.Second}}
	share := w.rnd.IntN(len(list)) + 1
	picks := rand.New(rand.NewPCG(w.rnd.Uint64(), 3))
	w.cards.replies(func(offline.Operation, offline.CardPayload) cardReply { return list[picks.IntN(share)] })
	away := w.rnd.IntN(4) == 0
	w.cards.finds(nil)
	w.cloud.probing(offline.ClassDelivered)
	if away {
		w.cards.finds(&unsent.verdict)
		w.cloud.probing(offline.ClassNotExecuted)
	}
	pass(time.Duration(w.rnd.IntN(90)) * time.Second)
}

// decide lets a person look one parked operation up in the cloud.
func (w *cardWorld) decide() {
	ops, _, err := w.mem.Operations(w.Context(), offline.ItemFilter{State: offline.Parked, Limit: 1000})
	if err != nil {
		w.Fatal(err)
	}
	if len(ops) == 0 {
		return
	}
	op := ops[w.rnd.IntN(len(ops))]
	d := offline.Decision{OpID: op.ID, Note: "looked it up", Action: offline.Discard}
	if op.Type == offline.GiftcardTrans {
		w.cards.mu.Lock()
		for _, h := range w.cards.trans {
			if h.ref == op.ID {
				d.Action, d.CloudID = offline.Settle, h.id
			}
		}
		w.cards.mu.Unlock()
		if d.Action == offline.Discard && w.rnd.IntN(2) == 0 {
			d.Action = offline.Resend
			w.resent[op.ID] = true
		}
		w.settled[op.ID] = d.Action == offline.Settle
	}
	if _, err := w.desk.Decide(w.Context(), d, journal.Entry{Actor: tech}); err != nil {
		w.Errorf("%s: %v", d.Action, err)
	}
}

// check holds what the agent says against the cloud's book, at a moment at which nothing is under way.
func (w *cardWorld) check() {
	w.Helper()
	synctest.Wait()
	for _, id := range w.ids {
		v, n := w.tx(id), w.cards.spent(id)
		if n > 1 {
			w.Fatalf("%s moved money %d times", id, n)
		}
		if v.State == offline.CardCompleted && n == 0 && !w.settled[id] {
			w.Fatalf("%s is called completed and moved nothing: %+v", id, v)
		}
		if (v.State == offline.CardDeclined || v.State == offline.CardQueued) && n != 0 && !w.settled[id] {
			w.Fatalf("%s is %s and moved money: %+v %+v", id, v.State, v, v.Error)
		}
	}
}
