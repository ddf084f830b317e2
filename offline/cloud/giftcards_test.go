package cloud

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"storeagent/offline"
	"storeagent/offline/cloudsim"
)

const simCode, simCard = "6006491000000001", "30004"

func cardOp(t *testing.T, kind offline.OpType, p offline.CardPayload) offline.Operation {
	t.Helper()
	raw, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	return offline.Operation{Type: kind, Payload: raw}
}

func use(t *testing.T, amount string, authorize bool) offline.Operation {
	return cardOp(t, offline.GiftcardTrans, offline.CardPayload{
		TransactionID: "tx", Code: simCode, PIN: "4711", CodeType: "PHYSICAL", TransType: "USE", Amount: amount,
		SourceID: "DALLAS/LANE-3", RefNo: "tx", Authorize: authorize,
	})
}

// TestGiftcardsByAnyNames takes the whole way of a card at tenants that name what is undocumented in one way or another,
// with and without introspection.
func TestGiftcardsByAnyNames(t *testing.T) {
	for name, tc := range map[string]struct {
		o     cloudsim.Options
		learn bool
	}{
		"guessed":       {cloudsim.Options{NoIntrospection: true}, false},
		"introspected":  {cloudsim.Options{}, true},
		"odd names":     {cloudsim.Options{OddNames: true}, true},
		"not yet asked": {cloudsim.Options{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.PINs = map[string]string{simCard: "4711"}
			sim := newSim(t, tc.o)
			c := newClient(t, serve(t, sim), nil)
			if tc.learn {
				if _, err := c.CheckSchema(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			v := c.Send(t.Context(), use(t, "-6.49", true))
			if v.Class != offline.ClassDelivered || v.Balance != "18.51" || v.GiftcardID != simCard {
				t.Fatalf("authorize: %+v %+v", v, v.Fault)
			}
			hold := v.CloudID
			if got := sim.CardLedger(); len(got) != 1 || got[0].State != "Authorized" || got[0].RefNo != "tx" || got[0].SourceID != "DALLAS/LANE-3" {
				t.Fatalf("ledger %+v", got)
			}
			v = c.Send(t.Context(), cardOp(t, offline.GiftcardCapture, offline.CardPayload{CloudID: hold, Amount: "-6.00", Partial: true}))
			if v.Class != offline.ClassDelivered || sim.Balance(simCard) != "19.00" {
				t.Fatalf("capture: %+v %+v, balance %s", v, v.Fault, sim.Balance(simCard))
			}
			v = c.Send(t.Context(), cardOp(t, offline.GiftcardCapture, offline.CardPayload{CloudID: hold, Amount: "-6.49"}))
			if v.Class != offline.ClassDoubt || !v.Answered || sim.Balance(simCard) != "19.00" {
				t.Errorf("second capture: %+v, balance %s", v, sim.Balance(simCard))
			}
			v = c.Send(t.Context(), use(t, "-9.00", false))
			if v.Class != offline.ClassDelivered || v.Balance != "10.00" {
				t.Errorf("immediate: %+v %+v", v, v.Fault)
			}
			v = c.Send(t.Context(), use(t, "-10.01", false))
			if v.Class != offline.ClassDoubt || !v.Answered || v.Fault.Code == "" {
				t.Errorf("no funds: %+v", v)
			}
		})
	}
}

func TestFindGiftcards(t *testing.T) {
	code, other, balance := simCode, "PERSONAL", cloudsim.Number("3.10")
	sim := newSim(t, cloudsim.Options{Cards: []cloudsim.Card{
		{ID: "1", Balance: &balance, Codes: []cloudsim.CardCode{{ID: "1", CodeType: "PHYSICAL", Code: &code}}},
		{ID: "2", Codes: []cloudsim.CardCode{{ID: "2", CodeType: other, Code: &code}}},
	}})
	c := newClient(t, serve(t, sim), nil)
	for _, tc := range []struct {
		code, codeType string
		want           int
	}{{simCode, "", 2}, {simCode, "PHYSICAL", 1}, {simCode, other, 1}, {"600649\"){x}", "", 0}} {
		cards, limited, v := c.FindGiftcards(t.Context(), tc.code, tc.codeType)
		if v.Class != offline.ClassDelivered || len(cards) != tc.want || limited {
			t.Errorf("%+v: %+v %v %+v", tc, cards, limited, v)
		}
	}
	cards, _, _ := c.FindGiftcards(t.Context(), simCode, "PHYSICAL")
	if cards[0].ID != "1" || cards[0].Balance != "3.10" || len(cards[0].Codes) != 1 {
		t.Errorf("%+v", cards[0])
	}
	if _, _, v := c.FindGiftcards(t.Context(), simCode, "A){"); v.Class != offline.ClassRejected {
		t.Errorf("odd type: %+v", v)
	}
	sim.Deny(cloudsim.FindGiftCardByCode)
	if cards, limited, v := c.FindGiftcards(t.Context(), simCode, ""); v.Class != offline.ClassDelivered || len(cards) != 0 || !limited {
		t.Errorf("hidden: %v %v %+v", cards, limited, v)
	}
}

func TestAddGiftcard(t *testing.T) {
	sim := newSim(t, cloudsim.Options{})
	c := newClient(t, serve(t, sim), nil)
	card, v := c.AddGiftcard(t.Context(), "6006495555", "12")
	if v.Class != offline.ClassDelivered || card.ID == "" || len(card.Codes) != 1 {
		t.Fatalf("%+v %+v %+v", card, v, v.Fault)
	}
	if _, v := c.AddGiftcard(t.Context(), "6006495555", ""); v.Class != offline.ClassDoubt || !v.Answered {
		t.Errorf("again: %+v", v)
	}
	sim.Deny(cloudsim.CreateGiftCard)
	if _, v := c.AddGiftcard(t.Context(), "6006496666", ""); v.Class != offline.ClassBlocked {
		t.Errorf("without permission: %+v", v)
	}
}

// TestCaptureArguments knows capture by other shapes than the simulated tenant has.
func TestCaptureArguments(t *testing.T) {
	var asked string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var q struct{ Query string }
		_ = json.NewDecoder(r.Body).Decode(&q)
		asked = strings.Join(strings.Fields(q.Query), " ")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"data":{"giftcardTransCapture":{"id":"7"}}}`))
	})
	for name, tc := range map[string]struct {
		op   Operation
		want string
	}{
		"other argument": {Operation{Argument: "capture", Fields: []Field{{Name: "transId"}, {Name: "captureAmount"}}},
			`giftcardTransCapture(capture: {transId: "7", captureAmount: "-1.00"}) { id }`},
		"flat": {Operation{Args: []Field{{Name: "giftcardTransactionId"}, {Name: "amount"}}, Result: []string{"id", "balance"}},
			`giftcardTransCapture(giftcardTransactionId: "7", amount: "-1.00") { id balance }`},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, serve(t, h), nil)
			c.names.schema = &Schema{LearnedAt: time.Now(), Operations: map[string]Operation{"giftcardTransCapture": tc.op}}
			v := c.Send(t.Context(), cardOp(t, offline.GiftcardCapture, offline.CardPayload{CloudID: "7", Amount: "-1.00", Partial: true}))
			if v.Class != offline.ClassDelivered || !strings.Contains(asked, tc.want) {
				t.Errorf("%+v, asked %s, want %s", v, asked, tc.want)
			}
		})
	}
	c := newClient(t, serve(t, h), nil)
	c.names.schema = &Schema{LearnedAt: time.Now(), Operations: map[string]Operation{}}
	if v := c.Send(t.Context(), cardOp(t, offline.GiftcardCapture, offline.CardPayload{CloudID: "7"})); v.Class != offline.ClassUnsupported {
		t.Errorf("a tenant without captures: %+v", v)
	}
	c.names.schema.Operations["giftcardTransAdd"] = Operation{Argument: "trans", Fields: []Field{{Name: "code", Type: "String"}}}
	if v := c.Send(t.Context(), use(t, "-1.00", true)); v.Class != offline.ClassRejected || v.Fault.Code != "authorize_unsupported" {
		t.Errorf("a tenant without holds: %+v", v)
	}
}
