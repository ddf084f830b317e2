package offline_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"storeagent/internal/journal"
	"storeagent/offline"
)

func TestCardAuthorizeAndCaptureWithTheSale(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newCardShop(t)
		s.start()
		defer func() { s.stop() }()
		v := s.use(offline.CardAuthorize, "6.49")
		if v.State != offline.CardAuthorized || v.Balance != "18.51" || v.GiftcardID != "30004" || v.ExpiresAt == nil {
			t.Fatalf("authorized: %+v %+v", v, v.Error)
		}
		if strings.Contains(v.SearchFor, cardCode) || !strings.Contains(v.SearchFor, v.ID) || !strings.Contains(v.SearchFor, "DALLAS/LANE-1") {
			t.Errorf("search for %q", v.SearchFor)
		}
		rec, err := s.pay(v.ID)
		if err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		got := s.wantCard(v.ID, offline.CardCompleted, "")
		if got.SaleID != rec.ID || got.CapturedAmount != "6.49" || s.cards.spent(v.ID) != 1 || s.cards.holds(cardCode) != "18.51" {
			t.Errorf("captured: %+v, balance %s", got, s.cards.holds(cardCode))
		}
		sold, err := s.desk.Sale(t.Context(), rec.ID)
		if err != nil || sold.State != offline.Delivered {
			t.Errorf("sale %s %v", sold.State, err)
		}
		if _, err := s.pay(v.ID); !isTender(err, "already_used") {
			t.Errorf("second sale: %v", err)
		}
		if _, err := s.gc.Capture(t.Context(), v.ID, "", noCardEntry); !errors.Is(err, offline.ErrState) {
			t.Errorf("second capture: %v", err)
		}
	})
}

func isTender(err error, why string) bool {
	var e *offline.TenderError
	return errors.As(err, &e) && e.Why == why
}

// TestCardStateMachine lets one attempt end in each way, and says how the transaction stands for the cashier and later.
func TestCardStateMachine(t *testing.T) {
	verdict := func(c offline.Class) *offline.Verdict {
		return &offline.Verdict{Class: c, Fault: &offline.Fault{Code: c.String()}}
	}
	strange := unknown("STRANGE")
	for name, tc := range map[string]struct {
		mode    offline.CardMode
		kind    offline.TransType
		reply   cardReply
		always  bool // every attempt, not only the first
		now     offline.GiftcardState
		later   offline.GiftcardState
		reason  offline.Reason
		balance string
		spent   int
	}{
		"use":                     {reply: cardReply{}, now: "completed", later: "completed", balance: "18.51", spent: 1},
		"add":                     {kind: "ADD", now: "completed", later: "completed", balance: "31.49", spent: 1},
		"refused":                 {reply: cardReply{verdict: verdict(offline.ClassRejected)}, now: "declined", later: "declined", balance: "25.00"},
		"barred":                  {reply: cardReply{verdict: verdict(offline.ClassBlocked)}, now: "declined", later: "declined", balance: "25.00"},
		"absent":                  {reply: cardReply{verdict: verdict(offline.ClassUnsupported)}, now: "declined", later: "declined", balance: "25.00"},
		"strange error, unmoved":  {reply: cardReply{verdict: &strange}, now: "declined", later: "declined", balance: "25.00"},
		"strange error, moved":    {reply: cardReply{verdict: &strange, partly: "-6.49"}, now: "completed", later: "completed", balance: "18.51"},
		"strange error, add done": {kind: "ADD", reply: cardReply{verdict: &strange, partly: "6.49"}, now: "completed", later: "completed", balance: "31.49"},
		"strange error, otherwise": {reply: cardReply{verdict: &strange, partly: "-1.00"}, now: "in_doubt", later: "parked",
			reason: offline.Unknown, balance: "24.00"},
		"answer lost, done":     {reply: cardReply{lose: true}, now: "completed", later: "completed", balance: "18.51", spent: 1},
		"answer lost, not done": {reply: cardReply{skip: true}, now: "in_doubt", later: "parked", reason: offline.Unknown, balance: "25.00"},
		"hold":                  {mode: offline.CardAuthorize, now: "authorized", later: "authorized", balance: "18.51"},
		"hold lost":             {mode: offline.CardAuthorize, reply: cardReply{lose: true}, now: "declined", later: "declined", balance: "18.51"},
		"hold refused":          {mode: offline.CardAuthorize, reply: cardReply{verdict: &strange}, now: "declined", later: "declined", balance: "25.00"},
		"slow down once":        {reply: cardReply{verdict: &busy.verdict}, now: "completed", later: "completed", balance: "18.51", spent: 1},
		"slow":                  {reply: cardReply{takes: 20 * time.Second}, now: "sending", later: "completed", balance: "18.51", spent: 1},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := newCardShop(t)
				s.rules = offline.GiftcardRules{}
				s.openCards()
				s.start()
				defer func() { s.stop() }()
				first := true
				s.cards.replies(func(offline.Operation, offline.CardPayload) cardReply {
					if first || tc.always {
						first = false
						return tc.reply
					}
					return cardReply{}
				})
				mode, kind := tc.mode, tc.kind
				if mode == "" {
					mode = offline.CardImmediate
				}
				if kind == "" {
					kind = offline.CardUse
				}
				v := s.do(s.request(kind, mode, "6.49"))
				if v.State != tc.now {
					t.Errorf("the cashier hears %s %+v, want %s", v.State, v.Error, tc.now)
				}
				pass(10 * time.Minute)
				s.wantCard(v.ID, tc.later, tc.reason)
				if got := s.cards.holds(cardCode); got != tc.balance {
					t.Errorf("balance %s, want %s", got, tc.balance)
				}
				if got := s.cards.spent(v.ID); got != tc.spent {
					t.Errorf("executed %d times, want %d", got, tc.spent)
				}
			})
		})
	}
}

func TestCardWrongPINAndNoFunds(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newCardShop(t)
		s.start()
		defer func() { s.stop() }()
		r := s.request(offline.CardUse, offline.CardImmediate, "1.00")
		r.PIN = "0000"
		if v := s.do(r); v.State != offline.CardDeclined || v.Error == nil || v.Error.Code != "WRONG_PIN" {
			t.Errorf("%s %+v", v.State, v.Error)
		}
		if v := s.use(offline.CardImmediate, "25.01"); v.State != offline.CardDeclined || v.Error == nil || v.Error.Code != "NO_FUNDS" {
			t.Errorf("%s %+v", v.State, v.Error)
		}
		if n := s.desk.Status(); n.Parked != 0 || n.Exposure.Count != 0 {
			t.Errorf("a decline leaves something behind: %+v", n)
		}
	})
}

// Refusals in codes that are not known here are settled by the balance: they are no sign of a cloud that swallows sales.
func TestCardRefusalsHoldNobodyUp(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newCardShop(t)
		s.start()
		defer func() { s.stop() }()
		wrong := unknown("PIN_OF_SOME_KIND")
		for range 12 {
			s.cards.replies(func(offline.Operation, offline.CardPayload) cardReply { return cardReply{verdict: &wrong} })
			for _, mode := range []offline.CardMode{offline.CardImmediate, offline.CardAuthorize} {
				if v := s.use(mode, "1.00"); v.State != offline.CardDeclined || v.Error == nil || v.Error.Code != "PIN_OF_SOME_KIND" {
					t.Fatalf("%s: %s %+v", mode, v.State, v.Error)
				}
			}
		}
		s.cards.replies(nil)
		if v := s.use(offline.CardAuthorize, "1.00"); v.State != offline.CardAuthorized {
			t.Errorf("the next card: %s %+v", v.State, v.Error)
		}
	})
}

// TestCardUnsentIsDecided cuts the line at the moment of the attempt: nothing may be left that would be sent later
// without anybody knowing.
func TestCardUnsentIsDecided(t *testing.T) {
	for name, allow := range map[string]bool{"allowed": true, "forbidden": false} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := newCardShop(t)
				s.rules.AllowUse = allow
				s.openCards()
				s.start()
				defer func() { s.stop() }()
				if _, err := s.gc.Lookup(t.Context(), offline.CardRef{Code: cardCode}); err != nil {
					t.Fatal(err)
				}
				s.cloud.probing(offline.ClassNotExecuted)
				s.cards.finds(&unsent.verdict)
				v := s.use(offline.CardImmediate, "6.49")
				if allow && (v.Error == nil || !strings.HasPrefix(v.Error.Message, "Nothing was sent")) {
					t.Errorf("error of what was not sent: %+v", v.Error)
				}
				if allow && (v.State != offline.CardQueued || !v.Offline) || !allow && (v.State != offline.CardCanceled || v.Error == nil || v.Error.Code != "offline_not_allowed") {
					t.Errorf("%+v %+v", v, v.Error)
				}
				s.back()
				pass(10 * time.Minute)
				want, n := offline.CardCanceled, 0
				if allow {
					want, n = offline.CardCompleted, 1
				}
				s.wantCard(v.ID, want, "")
				if got := s.cards.spent(v.ID); got != n {
					t.Errorf("spent %d times, want %d", got, n)
				}
			})
		})
	}
}

func TestCardOfflineSaleIsDeliveredInOrder(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newCardShop(t)
		s.start()
		defer func() { s.stop() }()
		if _, err := s.gc.Lookup(t.Context(), offline.CardRef{Code: cardCode}); err != nil {
			t.Fatal(err)
		}
		s.away()
		now := s.use(offline.CardImmediate, "5.00")
		held := s.use(offline.CardAuthorize, "6.00")
		left, err := s.gc.Lookup(t.Context(), offline.CardRef{Code: cardCode})
		if err != nil || left.Source != "cache" || left.Balance != "25.00" || left.Available != "14.00" {
			t.Errorf("%+v %v", left, err)
		}
		first, err := s.pay(now.ID)
		if err != nil {
			t.Fatal(err)
		}
		second, err := s.pay(held.ID)
		if err != nil {
			t.Fatal(err)
		}
		if e := s.desk.Status().Exposure; e.Count != 5 || e.Amount != "37.00" { // 5 + 6 + 6, and 10 for each sale
			t.Errorf("exposure %+v, want two transactions, a capture and two purchases", e)
		}
		told := slices.ContainsFunc(s.desk.Problems(), func(p offline.Problem) bool {
			return p.Code == "cloud_offline" && strings.Contains(p.Message, "5 operations over 37.00 USD are kept")
		})
		if !told {
			t.Errorf("problems do not name the exposure: %+v", s.desk.Problems())
		}
		s.back()
		pass(10 * time.Minute)
		s.wantCard(now.ID, offline.CardCompleted, "")
		s.wantCard(held.ID, offline.CardCompleted, "")
		for _, rec := range []offline.Record{first, second} {
			if v, err := s.desk.Sale(t.Context(), rec.ID); err != nil || v.State != offline.Delivered {
				t.Errorf("sale %s: %s %v", rec.TransactionID, v.State, err)
			}
		}
		if s.cards.holds(cardCode) != "14.00" {
			t.Errorf("balance %s", s.cards.holds(cardCode))
		}
	})
}

// TestCardOfflineRefusalIsParked has goods gone on a card that somebody else emptied meanwhile.
func TestCardOfflineRefusalIsParked(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newCardShop(t)
		s.start()
		defer func() { s.stop() }()
		if _, err := s.gc.Lookup(t.Context(), offline.CardRef{Code: cardCode}); err != nil {
			t.Fatal(err)
		}
		s.away()
		v := s.use(offline.CardImmediate, "20.00")
		rec, err := s.pay(v.ID)
		if err != nil {
			t.Fatal(err)
		}
		s.cards.mu.Lock()
		s.cards.balance[cardCode] = "3.00"
		s.cards.mu.Unlock()
		s.back()
		pass(10 * time.Minute)
		s.wantCard(v.ID, offline.CardParked, offline.Rejected)
		sold, err := s.desk.Sale(t.Context(), rec.ID)
		if err != nil || sold.State != offline.Parked {
			t.Errorf("sale %s, want the parked transaction to show: %v", sold.State, err)
		}
		ops, _, err := s.mem.Operations(t.Context(), offline.ItemFilter{SaleID: rec.ID, Type: offline.Purchase})
		if err != nil || len(ops) != 1 || ops[0].State != offline.Delivered {
			t.Errorf("the purchase waits for a parked gift card: %+v %v", ops, err)
		}
		if _, err := s.gc.Transact(t.Context(), s.request(offline.CardUse, offline.CardImmediate, "1.00"), tech, noCardEntry); !errors.Is(err, offline.ErrCardInDoubt) {
			t.Errorf("more of that card: %v", err)
		}
	})
}

// TestCardOfflineRules has one row for each rule.
func TestCardOfflineRules(t *testing.T) {
	type change = func(s *cardShop)
	for rule, tc := range map[string]struct {
		prepare change // while online
		before  change // once away
		kind    offline.TransType
		amount  string
	}{
		"allow_use":                  {prepare: func(s *cardShop) { s.rules.AllowUse = false }},
		"allow_add":                  {prepare: func(s *cardShop) { s.rules.AllowAdd = false }, kind: offline.CardAdd},
		"max_amount_per_transaction": {amount: "20.01"},
		"max_total_stored_amount":    {prepare: func(s *cardShop) { s.rules.MaxTotal = usd(s, "10") }, before: func(s *cardShop) { s.use(offline.CardImmediate, "9.00") }, amount: "1.01"},
		"max_stored_count": {before: func(s *cardShop) {
			for range 3 {
				s.use(offline.CardImmediate, "1.00")
			}
		}},
		"max_age_hours": {before: func(*cardShop) { pass(25 * time.Hour) }},
		"max_age_hours ": {before: func(s *cardShop) { // the oldest waits too long, the balance is fresh
			s.use(offline.CardImmediate, "1.00")
			pass(25 * time.Hour)
			k, err := s.mem.KnownBalance(s.Context(), s.stream())
			if err != nil {
				s.Fatal(err)
			}
			k.AsOf = time.Now()
			if err := s.mem.KeepBalance(s.Context(), k); err != nil {
				s.Fatal(err)
			}
		}},
		"known_balance": {prepare: func(s *cardShop) { s.cards.find = nil }},
		"balance":       {before: func(s *cardShop) { s.use(offline.CardImmediate, "15.00") }, amount: "10.01"},
		"":              {before: func(s *cardShop) { s.use(offline.CardImmediate, "15.00") }, amount: "10.00"},
		" ":             {kind: offline.CardAdd, amount: "500.00"},
	} {
		t.Run("rule "+rule, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := newCardShop(t)
				if tc.prepare != nil {
					tc.prepare(s)
				}
				s.openCards()
				s.start()
				defer func() { s.stop() }()
				if rule != "known_balance" {
					if _, err := s.gc.Lookup(t.Context(), offline.CardRef{Code: cardCode}); err != nil {
						t.Fatal(err)
					}
				}
				s.away()
				if tc.before != nil {
					tc.before(s)
				}
				kind, amount := tc.kind, tc.amount
				if kind == "" {
					kind = offline.CardUse
				}
				if amount == "" {
					amount = "2.00"
				}
				v, err := s.gc.Transact(t.Context(), s.request(kind, offline.CardImmediate, amount), tech, noCardEntry)
				var no *offline.OfflineError
				want := strings.TrimSpace(rule)
				if want == "" && (err != nil || v.State != offline.CardQueued || !v.Offline) {
					t.Errorf("refused: %+v %v", v, err)
				}
				if want != "" && (!errors.As(err, &no) || no.Rule != want || no.Detail == "") {
					t.Errorf("rule %+v %v, want %s", no, err, want)
				}
			})
		})
	}
}

// stream is that of the card that was used.
func (s *cardShop) stream() string {
	s.Helper()
	open, err := s.mem.OpenGiftcards(s.Context(), "")
	if err != nil || len(open) == 0 {
		s.Fatalf("open: %v %v", open, err)
	}
	return open[0].Stream
}

// TestCardCaptures has captures end in each way.
func TestCardCaptures(t *testing.T) {
	strange := unknown("STRANGE")
	for name, tc := range map[string]struct {
		replies []cardReply
		lapse   bool
		kind    offline.TransType
		now     offline.GiftcardState
		later   offline.GiftcardState
		reason  offline.Reason
		spent   int
	}{
		"at once":                      {now: "completed", later: "completed", spent: 1},
		"add":                          {kind: offline.CardAdd, now: "completed", later: "completed", spent: 1},
		"lost and refused since":       {replies: []cardReply{{lose: true}}, later: "parked", reason: offline.Unknown, spent: 1},
		"lost before it ran":           {replies: []cardReply{{skip: true}}, later: "completed", spent: 1},
		"add lost and repeated":        {kind: offline.CardAdd, replies: []cardReply{{lose: true}}, later: "completed", spent: 1},
		"lost for ever":                {replies: []cardReply{{skip: true}, {skip: true}, {skip: true}, {skip: true}, {skip: true}, {skip: true}, {skip: true}, {skip: true}}, later: "parked", reason: offline.Unknown},
		"strange once":                 {replies: []cardReply{{verdict: &strange}}, later: "completed", spent: 1},
		"strange for ever":             {replies: []cardReply{{verdict: &strange}, {verdict: &strange}, {verdict: &strange}}, later: "parked", reason: offline.Unknown},
		"lost before it ran, strange":  {replies: []cardReply{{skip: true}, {verdict: &strange}, {verdict: &strange}}, later: "parked", reason: offline.Unknown},
		"lost, then strange":           {replies: []cardReply{{lose: true}, {verdict: &strange}, {verdict: &strange}}, later: "parked", reason: offline.Unknown, spent: 1},
		"add lost, then strange":       {kind: offline.CardAdd, replies: []cardReply{{lose: true}, {verdict: &strange}}, later: "completed", spent: 1},
		"hold gone":                    {lapse: true, now: "parked", later: "parked", reason: offline.Expired},
		"lost, and the hold then gone": {replies: []cardReply{{skip: true}}, lapse: true, later: "parked", reason: offline.Expired},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := newCardShop(t)
				s.start()
				defer func() { s.stop() }()
				kind := tc.kind
				if kind == "" {
					kind = offline.CardUse
				}
				v := s.do(s.request(kind, offline.CardAuthorize, "6.49"))
				if v.State != offline.CardAuthorized {
					t.Fatalf("%+v %+v", v, v.Error)
				}
				n := 0
				s.cards.replies(func(offline.Operation, offline.CardPayload) cardReply {
					n++
					if n <= len(tc.replies) {
						return tc.replies[n-1]
					}
					return cardReply{}
				})
				if tc.lapse {
					s.cards.lapse()
				}
				got, err := s.gc.Capture(t.Context(), v.ID, "", noCardEntry)
				if err != nil || tc.now != "" && got.State != tc.now {
					t.Errorf("the cashier hears %s %+v %v, want %s", got.State, got.Error, err, tc.now)
				}
				pass(time.Hour)
				s.wantCard(v.ID, tc.later, tc.reason)
				if got := s.cards.spent(v.ID); got != tc.spent {
					t.Errorf("spent %d times, want %d", got, tc.spent)
				}
			})
		})
	}
}

// TestCardHoldSettledByAPerson has an authorization end in the word of a person, who has to know its id; it lapses like
// any other.
func TestCardHoldSettledByAPerson(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newCardShop(t)
		s.start()
		defer func() { s.stop() }()
		s.use(offline.CardImmediate, "0.01") // so that a balance is known
		s.away()
		v := s.use(offline.CardAuthorize, "6.49")
		strange := unknown("STRANGE")
		s.cards.replies(func(offline.Operation, offline.CardPayload) cardReply { return cardReply{verdict: &strange} })
		s.cards.finds(nil)
		s.cloud.probing(offline.ClassDelivered)
		pass(2 * time.Minute)
		s.wantCard(v.ID, offline.CardParked, offline.Rejected)
		d := offline.Decision{OpID: v.ID, Action: offline.Settle, Note: "seen"}
		if _, err := s.desk.Decide(t.Context(), d, journal.Entry{Actor: tech}); !errors.Is(err, offline.ErrCloudID) {
			t.Errorf("settled without an id: %v", err)
		}
		d.CloudID = "H7"
		if _, err := s.desk.Decide(t.Context(), d, journal.Entry{Actor: tech}); err != nil {
			t.Fatal(err)
		}
		if got := s.wantCard(v.ID, offline.CardAuthorized, ""); got.ExpiresAt == nil {
			t.Error("the hold has no end")
		}
		pass(2 * time.Hour)
		s.wantCard(v.ID, offline.CardExpired, "")
	})
}

func TestCardPartialCaptureAmounts(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newCardShop(t)
		s.start()
		defer func() { s.stop() }()
		v := s.use(offline.CardAuthorize, "6.49")
		var no *offline.AmountError
		for _, bad := range []string{"0", "-1", "6.50", "x", "1.001"} {
			if _, err := s.gc.Capture(t.Context(), v.ID, bad, noCardEntry); !errors.As(err, &no) {
				t.Errorf("amount %q: %v", bad, err)
			}
		}
		var sent offline.CardPayload
		s.cards.replies(func(_ offline.Operation, p offline.CardPayload) cardReply { sent = p; return cardReply{} })
		if got, err := s.gc.Capture(t.Context(), v.ID, "5", noCardEntry); err != nil || got.CapturedAmount != "5.00" {
			t.Errorf("%+v %v", got, err)
		}
		if !sent.Partial || sent.Amount != "-5.00" || sent.CloudID == "" {
			t.Errorf("sent %+v", sent)
		}
	})
}

func TestCardCancel(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newCardShop(t)
		s.start()
		defer func() { s.stop() }()
		if _, err := s.gc.Lookup(t.Context(), offline.CardRef{Code: cardCode}); err != nil {
			t.Fatal(err)
		}
		v := s.use(offline.CardAuthorize, "6.49")
		if got, err := s.gc.Cancel(t.Context(), v.ID, noCardEntry); err != nil || got.State != offline.CardCanceled {
			t.Errorf("%+v %v", got, err)
		}
		s.wantCard(v.ID, offline.CardCanceled, "")
		if _, err := s.gc.Cancel(t.Context(), v.ID, noCardEntry); !errors.Is(err, offline.ErrState) {
			t.Errorf("again: %v", err)
		}
		if _, err := s.gc.Capture(t.Context(), v.ID, "", noCardEntry); !errors.Is(err, offline.ErrState) {
			t.Errorf("capture of a canceled one: %v", err)
		}
		if _, err := s.pay(v.ID); !isTender(err, "not_approved") {
			t.Errorf("sale of a canceled one: %v", err)
		}
		done := s.use(offline.CardImmediate, "1.00")
		if _, err := s.gc.Cancel(t.Context(), done.ID, noCardEntry); !errors.Is(err, offline.ErrState) {
			t.Errorf("cancel of a completed one: %v", err)
		}
		s.away()
		waits := s.use(offline.CardImmediate, "1.00")
		if got, err := s.gc.Cancel(t.Context(), waits.ID, noCardEntry); err != nil || got.State != offline.CardCanceled {
			t.Errorf("%+v %v", got, err)
		}
		claimed := s.use(offline.CardImmediate, "1.00")
		if _, err := s.pay(claimed.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := s.gc.Cancel(t.Context(), claimed.ID, noCardEntry); !errors.Is(err, offline.ErrState) {
			t.Errorf("cancel of one that a sale relies on: %v", err)
		}
		s.back()
		pass(5 * time.Minute)
		if s.cards.spent(waits.ID) != 0 || s.cards.spent(claimed.ID) != 1 {
			t.Errorf("spent %d and %d", s.cards.spent(waits.ID), s.cards.spent(claimed.ID))
		}
		if _, err := s.gc.Cancel(t.Context(), "none", noCardEntry); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("unknown: %v", err)
		}
	})
}

func TestCardHoldLapsesAndALateCaptureIsFlagged(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newCardShop(t)
		s.start()
		defer func() { s.stop() }()
		idle, late := s.use(offline.CardAuthorize, "2.00"), s.use(offline.CardAuthorize, "3.00")
		s.away()
		if _, err := s.pay(late.ID); err != nil {
			t.Fatal(err)
		}
		if p := s.gc.Problems(); len(p) != 0 {
			t.Errorf("flagged too early: %+v", p)
		}
		pass(45 * time.Minute)
		p := s.gc.Problems()
		if len(p) != 1 || p[0].Code != "giftcard_capture_late" || !strings.Contains(p[0].Message, "3.00") || !strings.Contains(p[0].Message, "7897") || strings.Contains(p[0].Message, cardCode) {
			t.Errorf("problems %+v", p)
		}
		s.wantCard(late.ID, offline.CardAuthorized, "")
		events, err := s.mem.After(t.Context(), 0, []string{"giftcard"}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		flagged := 0
		for _, e := range events {
			if strings.Contains(string(e.Data), "giftcard_capture_late") {
				flagged++
			}
			if strings.Contains(string(e.Data), cardCode) || strings.Contains(string(e.Data), cardPIN) {
				t.Errorf("event holds a code: %s", e.Data)
			}
		}
		if flagged != 1 {
			t.Errorf("flagged %d times", flagged)
		}
		pass(time.Hour)
		s.wantCard(idle.ID, offline.CardExpired, "")
		s.cards.lapse()
		s.back()
		pass(time.Hour)
		s.wantCard(late.ID, offline.CardParked, offline.Expired)
		if _, err := s.pay(idle.ID); !isTender(err, "not_approved") {
			t.Errorf("sale by a lapsed hold: %v", err)
		}
	})
}

func TestCardLookupAndIssue(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newCardShop(t)
		s.start()
		defer func() { s.stop() }()
		got, err := s.gc.Lookup(t.Context(), offline.CardRef{Code: cardCode})
		if err != nil || got.Balance != "25.00" || got.Source != "cloud" || got.Codes[0].Code != "************7897" {
			t.Errorf("%+v %v", got, err)
		}
		if _, err := s.gc.Lookup(t.Context(), offline.CardRef{Code: "600649000"}); !errors.Is(err, offline.ErrNoSuchCard) {
			t.Errorf("unknown: %v", err)
		}
		if _, err := s.gc.Issue(t.Context(), offline.CardRef{Code: cardCode}); !errors.Is(err, offline.ErrCardExists) {
			t.Errorf("issue a known card: %v", err)
		}
		if got, err := s.gc.Issue(t.Context(), offline.CardRef{Code: "6006490001", PIN: "1"}); err != nil || got.GiftcardID != "30009" || got.Balance != "0.00" {
			t.Errorf("%+v %v", got, err)
		}
		s.away()
		if _, err := s.gc.Issue(t.Context(), offline.CardRef{Code: "6006490002"}); !errors.Is(err, offline.ErrCloudAway) {
			t.Errorf("issue while away: %v", err)
		}
		if _, err := s.gc.Lookup(t.Context(), offline.CardRef{Code: otherCode}); !errors.Is(err, offline.ErrCloudAway) {
			t.Errorf("lookup of a card never seen: %v", err)
		}
	})
}

// TestCardCrash stops the agent at each point of an attempt and looks what the next life makes of it.
func TestCardCrash(t *testing.T) {
	for name, tc := range map[string]struct {
		executed bool
		mode     offline.CardMode
		want     offline.GiftcardState
		reason   offline.Reason
	}{
		"sent and done":      {true, offline.CardImmediate, offline.CardCompleted, ""},
		"sent and not done":  {false, offline.CardImmediate, offline.CardParked, offline.Unknown},
		"hold sent and done": {true, offline.CardAuthorize, offline.CardDeclined, ""},
	} {
		t.Run(name, func(t *testing.T) {
			in(t, func(t *testing.T) {
				s := newCardShop(t, func(c *offline.ForwarderConfig) { c.Grace = time.Millisecond })
				s.start()
				s.cards.replies(func(offline.Operation, offline.CardPayload) cardReply {
					return cardReply{skip: !tc.executed, lose: true, takes: time.Hour}
				})
				s.cards.finds(nil)
				v := s.use(tc.mode, "6.49")
				if v.State != offline.CardSending {
					t.Fatalf("%s", v.State)
				}
				s.stop()
				s.cards.replies(nil)
				s.open()
				s.openCards()
				s.start()
				defer func() { s.stop() }()
				pass(10 * time.Minute)
				s.wantCard(v.ID, tc.want, tc.reason)
			})
		})
	}
}

// TestCardLeftQueuedIsNotSent is a crash between the commit of a transaction and its attempt.
func TestCardLeftQueuedIsNotSent(t *testing.T) {
	in(t, func(t *testing.T) {
		s := newCardShop(t, func(c *offline.ForwarderConfig) { c.Patience = 1000 * time.Hour }) // nobody decides after the crash
		s.start()
		s.cards.finds(&busy.verdict) // never gets to the attempt
		done := make(chan offline.GiftcardView, 1)
		go func() { done <- s.use(offline.CardImmediate, "6.49") }()
		pass(time.Second)
		open, err := s.mem.OpenGiftcards(t.Context(), "")
		if err != nil || len(open) != 1 || open[0].Trans.State != offline.Queued {
			t.Fatalf("%+v %v", open, err)
		}
		s.stop()
		s.cards.finds(nil)
		s.cfg.Patience = 0
		s.open()
		s.openCards()
		s.start()
		pass(5 * time.Minute)
		if got := s.tx(open[0].ID); got.State != offline.CardCanceled && got.State != offline.CardDeclined || s.cards.spent(got.ID) != 0 {
			t.Errorf("%+v, spent %d times", got, s.cards.spent(got.ID))
		}
		s.stop()
		<-done
	})
}
