package cloudsim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/govalues/decimal"
)

// Permissions about gift cards.
const (
	CreateGiftCard   Permission = "CreateGiftCard"
	GiftCardTransAdd Permission = "GiftCardTransAdd"
	GiftCardTransUse Permission = "GiftCardTransUse"
)

// CardTrans is one execution of giftcardTransAdd. Two executions with one refNo are two transactions: the ledger does
// not deduplicate. Amounts are signed decimal texts.
type CardTrans struct {
	ID         string    `json:"id"`
	CardID     string    `json:"cardId"`
	TransType  string    `json:"transType"`
	Amount     string    `json:"amount"`
	Captured   string    `json:"captured"`
	State      string    `json:"state"` // Authorized, Completed or Cancelled, as the admin console words them
	SourceID   string    `json:"sourceId"`
	RefNo      string    `json:"refNo"`
	At         time.Time `json:"at"`
	Captures   int       `json:"captures"` // executions of giftcardTransCapture, refused ones not counted
	Account    string    `json:"account"`
	Authorized bool      `json:"authorized"` // it began as a hold
}

// vault is the money side of the gift cards; the simulator's lock guards it.
type vault struct {
	balance map[string]decimal.Decimal // by card id
	pins    map[string]string          // by card id; none needs none
	trans   []*CardTrans
}

func newVault(cards []Card, pins map[string]string) vault {
	v := vault{balance: map[string]decimal.Decimal{}, pins: map[string]string{}}
	for _, c := range cards {
		v.balance[c.ID] = decimal.Zero
		if c.Balance != nil {
			if b, err := decimal.Parse(string(*c.Balance)); err == nil {
				v.balance[c.ID] = b
			}
		}
		if pin := pins[c.ID]; pin != "" {
			v.pins[c.ID] = pin
		}
	}
	return v
}

// CardLedger returns every gift card transaction in the order of execution.
func (s *Sim) CardLedger() []CardTrans {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lapse()
	list := make([]CardTrans, 0, len(s.vault.trans))
	for _, t := range s.vault.trans {
		list = append(list, *t)
	}
	return list
}

// Balance returns what a card holds and is free to be used, by the card's id.
func (s *Sim) Balance(cardID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lapse()
	return money(s.vault.balance[cardID])
}

// Spend moves a card's balance from elsewhere, another register for instance.
func (s *Sim) Spend(cardID, amount string) error {
	d, err := decimal.Parse(amount)
	if err != nil {
		return fmt.Errorf("spend %q: %w", amount, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.move(cardID, d.Neg())
}

// move changes a balance. The lock is held.
func (s *Sim) move(cardID string, by decimal.Decimal) error {
	sum, err := s.vault.balance[cardID].Add(by)
	if err != nil {
		return fmt.Errorf("move a balance: %w", err)
	}
	s.vault.balance[cardID] = sum
	return nil
}

func money(d decimal.Decimal) string { return d.Pad(2).String() }

// lapse cancels authorizations older than the Delay Period. The lock is held.
func (s *Sim) lapse() {
	if s.opts.DelayPeriod <= 0 {
		return
	}
	for _, t := range s.vault.trans {
		if t.State == "Authorized" && s.opts.Now().Sub(t.At) >= s.opts.DelayPeriod {
			t.State = "Cancelled"
			if amount, err := decimal.Parse(t.Amount); err == nil && amount.IsNeg() {
				_ = s.move(t.CardID, amount.Neg()) // amounts this small always add up
			}
		}
	}
}

// fields is an input object with everything that came.
type fields map[string]any

// ImplementsGraphQLType tells the schema which input types are kept this way.
func (fields) ImplementsGraphQLType(name string) bool {
	return name == "SimNewCard" || name == "SimCardEntry" || name == "SimCardCapture"
}

// UnmarshalGraphQL takes the argument as the query engine read it.
func (f *fields) UnmarshalGraphQL(input any) error {
	m, ok := input.(map[string]any)
	if !ok {
		return fmt.Errorf("the argument must be an object, not %T", input)
	}
	if amount, there := m["amount"]; there && amount != nil {
		if t, ok := amount.(string); !ok || !number.MatchString(t) {
			return fmt.Errorf("amount has an invalid value")
		}
	}
	*f = m
	return nil
}

// entry is what the mutations about transactions answer.
type entry struct {
	ID, GiftcardID *string
	Balance        *Number
}

// The codes of refusals about gift cards are this simulator's own: the vendor's are not known, so nobody may build on them.
const (
	codeNoCard   = "SIM_CARD_UNKNOWN"
	codePIN      = "SIM_PIN"
	codeFunds    = "SIM_FUNDS"
	codeNoTrans  = "SIM_TRANS_UNKNOWN"
	codeNotHeld  = "SIM_TRANS_STATE"
	codeTaken    = "SIM_CODE_TAKEN"
	codeManyhits = "SIM_CODE_AMBIGUOUS"
)

// GiftcardAdd makes an unfunded card.
func (w writes) GiftcardAdd(args struct{ Giftcard fields }) (*Card, error) {
	s := w.sim
	if err := s.need(CreateGiftCard); err != nil {
		return nil, err
	}
	code, pin := text(args.Giftcard, "physicalCode"), text(args.Giftcard, "physicalPin")
	if code == "" {
		return nil, invalid("PhysicalCode", "NotEmptyValidator", "'Physical Code' must not be empty.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.opts.Cards {
		if c.has(code, "PHYSICAL") {
			return nil, &refusal{codeTaken, "There is a card with this code.", nil}
		}
	}
	card := Card{ID: strconv.Itoa(30005 + len(s.opts.Cards)), Codes: []CardCode{{ID: strconv.Itoa(900 + len(s.opts.Cards)), CodeType: "PHYSICAL", Code: &code}}}
	s.opts.Cards = append(slices.Clone(s.opts.Cards), card)
	s.vault.balance[card.ID] = decimal.Zero
	if pin != "" {
		s.vault.pins[card.ID] = pin
	}
	zero := Number("0.00")
	card.Balance = &zero
	return &card, nil
}

func (c Card) has(code, codeType string) bool {
	return slices.ContainsFunc(c.Codes, func(each CardCode) bool {
		return each.Code != nil && *each.Code == code && (codeType == "" || each.CodeType == codeType)
	})
}

// GiftcardTransAdd moves money on a card, or holds it. The sign is the caller's job: a use is negative.
func (w writes) GiftcardTransAdd(ctx context.Context, args struct{ Trans fields }) (*entry, error) {
	s, in := w.sim, args.Trans
	account, _ := ctx.Value(accountKey{}).(string)
	kind := text(in, "transType")
	permission := map[string]Permission{"ADD": GiftCardTransAdd, "USE": GiftCardTransUse}[kind]
	if permission == "" {
		return nil, invalid("TransType", "EnumValidator", "This simulator knows ADD and USE.")
	}
	if err := s.need(permission); err != nil {
		return nil, err
	}
	amount, err := decimal.Parse(text(in, "amount"))
	if err != nil || amount.IsZero() || amount.IsNeg() != (kind == "USE") {
		return nil, invalid("Amount", "SignValidator", "'Amount' has the wrong sign for its type.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lapse()
	card, no := s.cardOf(in)
	if no != nil {
		return nil, no
	}
	hold, _ := in[s.opts.authorizeName()].(bool)
	left, err := s.vault.balance[card].Add(amount)
	if err != nil || left.IsNeg() {
		return nil, &refusal{codeFunds, "The card does not have enough.", nil}
	}
	t := &CardTrans{
		ID: strconv.Itoa(80001 + len(s.vault.trans)), CardID: card, TransType: kind, Amount: money(amount), State: "Completed",
		SourceID: text(in, "sourceId"), RefNo: text(in, "refNo"), At: s.opts.Now().UTC(), Account: account, Authorized: hold,
	}
	if hold {
		t.State = "Authorized"
	} else {
		t.Captured = t.Amount
	}
	if !hold || amount.IsNeg() {
		s.vault.balance[card] = left
	}
	s.vault.trans = append(s.vault.trans, t)
	return s.entryOf(t), nil
}

// cardOf finds the one card of a transaction and checks its PIN. The lock is held.
func (s *Sim) cardOf(in fields) (string, *refusal) {
	var found []string
	for _, c := range s.opts.Cards {
		if c.has(text(in, "code"), text(in, "codeType")) {
			found = append(found, c.ID)
		}
	}
	switch {
	case len(found) == 0:
		return "", &refusal{codeNoCard, "There is no card with this code.", nil}
	case len(found) > 1:
		return "", &refusal{codeManyhits, "Several cards have this code.", nil}
	case s.vault.pins[found[0]] != "" && s.vault.pins[found[0]] != text(in, "pin") && text(in, "transType") == "USE":
		return "", &refusal{codePIN, "The PIN is not that of the card.", nil}
	}
	return found[0], nil
}

func (s *Sim) entryOf(t *CardTrans) *entry {
	balance := Number(money(s.vault.balance[t.CardID]))
	id, card := t.ID, t.CardID
	return &entry{ID: &id, GiftcardID: &card, Balance: &balance}
}

// GiftcardTransCapture completes what was authorized, in part where an amount is named. A second capture is refused.
func (w writes) GiftcardTransCapture(args struct{ Trans fields }) (*entry, error) {
	s := w.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lapse()
	i := slices.IndexFunc(s.vault.trans, func(t *CardTrans) bool { return t.ID == text(args.Trans, s.opts.captureName()) })
	if i < 0 {
		return nil, &refusal{codeNoTrans, "There is no such transaction.", nil}
	}
	t := s.vault.trans[i]
	if t.State != "Authorized" {
		return nil, &refusal{codeNotHeld, "The transaction is " + strings.ToLower(t.State) + ".", nil}
	}
	held, err := decimal.Parse(t.Amount)
	if err != nil {
		return nil, err
	}
	amount := held
	if part := text(args.Trans, "amount"); part != "" {
		if amount, err = decimal.Parse(part); err != nil || amount.IsNeg() != held.IsNeg() || amount.Abs().Cmp(held.Abs()) > 0 {
			return nil, invalid("Amount", "RangeValidator", "'Amount' is not within what is held.")
		}
	}
	by := amount
	if held.IsNeg() { // the whole is held already: give back the rest
		if by, err = amount.Sub(held); err != nil {
			return nil, err
		}
	}
	if err := s.move(t.CardID, by); err != nil {
		return nil, err
	}
	t.State, t.Captured, t.Captures = "Completed", money(amount), t.Captures+1
	return s.entryOf(t), nil
}

// GiftcardTransCancel gives back what was held. What is not held any more is refused.
func (w writes) GiftcardTransCancel(args struct{ Trans fields }) (*entry, error) {
	s := w.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lapse()
	i := slices.IndexFunc(s.vault.trans, func(t *CardTrans) bool { return t.ID == text(args.Trans, s.opts.captureName()) })
	if i < 0 {
		return nil, &refusal{codeNoTrans, "There is no such transaction.", nil}
	}
	t := s.vault.trans[i]
	if t.State != "Authorized" {
		return nil, &refusal{codeNotHeld, "The transaction is " + strings.ToLower(t.State) + ".", nil}
	}
	held, err := decimal.Parse(t.Amount)
	if err == nil && held.IsNeg() {
		err = s.move(t.CardID, held.Neg())
	}
	if err != nil {
		return nil, err
	}
	t.State = "Cancelled"
	return s.entryOf(t), nil
}

// authorizeName and captureName are what nobody documents; Options.OddNames gives them others.
func (o Options) authorizeName() string {
	if o.OddNames {
		return "isAuthorization"
	}
	return "authorizeOnly"
}

func (o Options) captureName() string {
	if o.OddNames {
		return "giftcardTransId"
	}
	return "id"
}

// schema is the text of the schema as the options want it.
func (o Options) schema() string {
	text := withPurchases(schemaText, o.PurchaseQuery)
	if !o.CardCancel {
		text = strings.Replace(text, "  giftcardTransCancel(trans: SimCardCapture!): SimCardReceipt\n", "", 1)
	}
	if o.NoGiftcards {
		var kept []string
		for line := range strings.Lines(text) {
			if !strings.HasPrefix(line, "  giftcardAdd(") && !strings.HasPrefix(line, "  giftcardTrans") {
				kept = append(kept, line)
			}
		}
		text = strings.Join(kept, "")
	}
	if len(o.Terminals) == 0 {
		text = strings.Replace(text, "  terminalPayment: SimLaneWrites\n", "", 1)
	}
	text = strings.Replace(text, "authorizeOnly", o.authorizeName(), 1)
	return strings.Replace(text, "captureById", o.captureName(), 1)
}
