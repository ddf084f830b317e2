package cloud

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"storeagent/offline"
)

var _ offline.GiftcardCloud = (*Client)(nil)

// authorizeGuess is what the switch of giftcardTransAdd that only holds the amount may be called; the vendor's page
// was not readable there.
const authorizeGuess = "authorizeOnly"

func giftcardTransAdd() spec {
	return spec{field: "giftcardTransAdd", arg: "trans", enums: []string{"codeType", "transType"},
		fields: []string{"codeType", "code", "pin", "transType", "amount", "sourceId", "refNo"}}
}

// giftcardTransCapture takes its argument by whatever name the tenant gives it.
func giftcardTransCapture() spec {
	return spec{field: "giftcardTransCapture", arg: "trans", anyArg: true, fields: []string{"id", "amount"}}
}

// giftcardTransCancel is documented by nobody and used only where the tenant's schema shows it.
func giftcardTransCancel() spec {
	return spec{field: "giftcardTransCancel", arg: "trans", anyArg: true, fields: []string{"id"}}
}

func giftcardAdd() spec {
	return spec{field: "giftcardAdd", arg: "giftcard", fields: []string{"physicalCode", "physicalPin"}}
}

// member is one member of a JSON object that keeps its order.
type member struct {
	name  string
	value any
}

func object(list []member) (json.RawMessage, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, m := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%q:%s", m.name, value) // names are GraphQL names
	}
	b.WriteByte('}')
	return json.RawMessage(b.String()), nil
}

// texts leaves out members without a text.
func texts(list ...member) []member {
	return slices.DeleteFunc(list, func(m member) bool { return m.value == "" })
}

func cardRejected(code, message string) offline.Verdict {
	return offline.Verdict{Class: offline.ClassRejected, Fault: &offline.Fault{Code: code, Message: message}}
}

// sendCard makes one attempt at an operation of a gift card.
func (c *Client) sendCard(ctx context.Context, op offline.Operation) offline.Verdict {
	var p offline.CardPayload
	if err := json.Unmarshal(op.Payload, &p); err != nil {
		return cardRejected("invalid_payload", "the payload is not a JSON object")
	}
	if op.Type == offline.GiftcardCapture {
		return c.capture(ctx, p)
	}
	sp := giftcardTransAdd()
	fields := texts(member{"codeType", p.CodeType}, member{"code", p.Code}, member{"pin", p.PIN}, member{"transType", p.TransType},
		member{"amount", p.Amount}, member{"sourceId", p.SourceID}, member{"refNo", p.RefNo})
	known, learned := c.names.operation(sp.field)
	if p.Authorize {
		name := authorizeGuess
		if learned {
			if name = authorizeSwitch(known.Fields); name == "" {
				return cardRejected("authorize_unsupported", "The cloud has no switch that only holds the amount; use mode immediate.")
			}
		}
		fields = append(fields, member{name, true})
	}
	v := c.mutate(ctx, sp, fields, p.Code, p.PIN)
	if p.Authorize && v.Class == offline.ClassUnsupported && !learned {
		return cardRejected("authorize_unsupported", "The cloud does not take the switch "+authorizeGuess+"; use mode immediate.")
	}
	return v
}

// authorizeSwitch finds the Boolean that only holds the amount.
func authorizeSwitch(fields []Field) string {
	for _, f := range fields {
		if strings.TrimSuffix(f.Type, "!") == "Boolean" && strings.Contains(strings.ToLower(f.Name), "auth") {
			return f.Name
		}
	}
	return ""
}

// mutate sends a mutation whose argument holds those members.
func (c *Client) mutate(ctx context.Context, sp spec, fields []member, secrets ...string) offline.Verdict {
	payload, err := object(fields)
	if err != nil {
		return cardRejected("invalid_payload", err.Error())
	}
	req, err := c.docs[sp.field].render(sp, payload, c.names.typeOf(sp))
	if err != nil {
		return cardRejected("invalid_payload", err.Error())
	}
	req.secrets = secretTexts(secrets)
	v := c.exchange(ctx, req, func(a answer) offline.Verdict { return judgeCard(a, sp, payload) })
	if req.variables != nil && requestRefused(v) {
		c.names.forget(sp.field)
	}
	return v
}

// secretTexts are those that messages must not repeat. A PIN of one or two digits is in every other text.
func secretTexts(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return len(s) < 3 })
}

// judgeCard is judgeMutation with what gift cards add: the balance after, and whether an error in doubt came as a whole
// answer, so that the balance may tell what it meant.
func judgeCard(a answer, sp spec, payload json.RawMessage) offline.Verdict {
	v := judgeMutation(a, sp, payload)
	v.Answered = v.Class == offline.ClassDoubt && a.broken == nil && len(a.errors) > 0
	if result, state := resultAt(a.data, sp.field); state == present {
		if fields, err := splitObject(result); err == nil {
			v.Balance, _ = decimalText(fields["balance"])
			v.GiftcardID, _ = idText(fields["giftcardId"])
		}
	}
	return v
}

var cardDecimal = regexp.MustCompile(`^-?[0-9]{1,15}(\.[0-9]{1,6})?$`)

// decimalText takes an amount as text or as a JSON number, by its digits.
func decimalText(raw json.RawMessage) (string, bool) {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = string(raw)
	}
	return text, cardDecimal.MatchString(text)
}

// capture captures what was authorized, by the names that the tenant's schema has.
func (c *Client) capture(ctx context.Context, p offline.CardPayload) offline.Verdict {
	sp := giftcardTransCapture()
	if p.CloudID == "" {
		return cardRejected("invalid_payload", "the payload names nothing to capture")
	}
	known, learned := c.names.operation(sp.field)
	if !learned && c.names.lacks(sp.field) {
		return offline.Verdict{Class: offline.ClassUnsupported, Fault: &offline.Fault{
			Code: "unsupported_operation", Message: "The cloud has no mutation giftcardTransCapture."}}
	}
	shape := captureShape(known, learned)
	fields := []member{{shape.id, p.CloudID}}
	if p.Partial {
		if shape.amount == "" {
			return cardRejected("partial_capture_unsupported", "The cloud captures whole authorizations only.")
		}
		fields = append(fields, member{shape.amount, p.Amount})
	}
	return c.settleHold(ctx, sp, known, shape, fields)
}

// settleHold captures or cancels what was authorized, in the shape that the tenant's schema has.
func (c *Client) settleHold(ctx context.Context, sp spec, known Operation, shape shape, fields []member) offline.Verdict {
	payload, err := object(fields)
	if err != nil {
		return cardRejected("invalid_payload", err.Error())
	}
	doc := c.docs[sp.field]
	if !doc.declares {
		value, err := literal(payload, nil)
		if err != nil {
			return cardRejected("invalid_payload", err.Error())
		}
		if shape.flat {
			value = strings.Trim(value, "{}")
		} else {
			value = shape.arg + ": " + value
		}
		doc.text = captureArg.ReplaceAllLiteralString(doc.text, value)
		if !slices.Contains(known.Result, "balance") {
			doc.text = balanceLine.ReplaceAllString(doc.text, "")
		}
	}
	req := request{document: doc.text, name: doc.name}
	if doc.declares {
		req.variables = map[string]any{sp.arg: payload}
	}
	v := c.exchange(ctx, req, func(a answer) offline.Verdict { return judgeCard(a, sp, payload) })
	if requestRefused(v) {
		c.names.forget(sp.field)
	}
	return v
}

var (
	captureArg  = regexp.MustCompile(`\btrans\s*:\s*\$trans\b`)
	balanceLine = regexp.MustCompile(`(?m)^\s*balance\s*$\n?`)
)

// shape is how giftcardTransCapture takes what it needs.
type shape struct {
	arg, id, amount string
	flat            bool // id and amount are arguments themselves
}

func captureShape(known Operation, learned bool) shape {
	s := shape{arg: "trans", id: "id", amount: "amount"}
	if !learned {
		return s
	}
	fields := known.Fields
	if s.arg = known.Argument; s.arg == "" {
		fields, s.flat = known.Args, true
	}
	s.id, s.amount = nameLike(fields, "id", "transId", "transactionId", "giftcardTransId"), nameLike(fields, "amount")
	if s.id == "" {
		for _, f := range fields {
			if strings.HasSuffix(strings.ToLower(f.Name), "id") {
				s.id = f.Name
				break
			}
		}
	}
	if s.id == "" {
		s.id = "id"
	}
	return s
}

// nameLike finds the first of the names that is there, else the first field that ends in the last of them.
func nameLike(fields []Field, names ...string) string {
	for _, name := range names {
		for _, f := range fields {
			if strings.EqualFold(f.Name, name) {
				return f.Name
			}
		}
	}
	for _, f := range fields {
		if strings.HasSuffix(strings.ToLower(f.Name), strings.ToLower(names[len(names)-1])) {
			return f.Name
		}
	}
	return ""
}

var codeTypeArg = regexp.MustCompile(`,\s*codeType\s*:\s*\$codeType\b`)

// FindGiftcards implements offline.GiftcardCloud.
func (c *Client) FindGiftcards(ctx context.Context, code, codeType string) ([]offline.CloudCard, bool, offline.Verdict) {
	doc := c.docs["giftcard"]
	if codeType != "" && !graphQLName.MatchString(codeType) {
		return nil, false, cardRejected("invalid_code_type", "The code type is not one the cloud could have.")
	}
	req := request{name: doc.name, secrets: secretTexts([]string{code})}
	if doc.declares {
		req.document, req.variables = doc.text, map[string]any{"code": code}
		if codeType != "" {
			req.variables["codeType"] = codeType
		}
	} else {
		var quoted strings.Builder
		writeString(&quoted, code)
		text := doc.text
		if codeType == "" {
			text = codeTypeArg.ReplaceAllString(text, "")
		}
		text = variable("codeType").ReplaceAllLiteralString(text, codeType)
		req.document = variable("code").ReplaceAllLiteralString(text, quoted.String())
	}
	var page cardPage
	v := c.exchange(ctx, req, func(a answer) offline.Verdict {
		v := judgeQuery(a, "giftcard")
		if v.Class != offline.ClassDelivered {
			return v
		}
		var err error
		if page, err = readCards(a); err != nil {
			v.Class, v.Fault = offline.ClassDoubt, &offline.Fault{Code: "unreadable_answer", Message: "The cloud's answer about the gift card cannot be read."}
		}
		return v
	})
	cards := make([]offline.CloudCard, 0, len(page.Results))
	for _, r := range page.Results {
		cards = append(cards, r.card())
	}
	return cards, page.LimitedByPermission, v
}

// cardPage is the answer of the giftcard query.
type cardPage struct {
	LimitedByPermission bool         `json:"limitedByPermission"`
	Results             []cardResult `json:"results"`
}

type cardResult struct {
	ID      json.RawMessage `json:"id"`
	Balance json.RawMessage `json:"balance"`
	Codes   []struct {
		CodeType  string `json:"codeType"`
		Code      string `json:"code"`
		ExpiresOn string `json:"expiresOn"`
	} `json:"codes"`
}

func (r cardResult) card() offline.CloudCard {
	id, _ := idText(r.ID)
	card := offline.CloudCard{ID: id}
	if balance, ok := decimalText(r.Balance); ok {
		card.Balance = balance
	}
	for _, code := range r.Codes {
		card.Codes = append(card.Codes, offline.CardCode{CodeType: code.CodeType, Code: code.Code, ExpiresOn: code.ExpiresOn})
	}
	return card
}

func readCards(a answer) (cardPage, error) {
	var page cardPage
	raw, state := resultAt(a.data, "giftcard")
	if state != present {
		return page, errors.New("no answer at the field")
	}
	err := json.Unmarshal(raw, &page)
	return page, err
}

// AddGiftcard implements offline.GiftcardCloud.
func (c *Client) AddGiftcard(ctx context.Context, code, pin string) (offline.CloudCard, offline.Verdict) {
	sp := giftcardAdd()
	payload, err := object(texts(member{"physicalCode", code}, member{"physicalPin", pin}))
	if err != nil {
		return offline.CloudCard{}, cardRejected("invalid_payload", err.Error())
	}
	req, err := c.docs[sp.field].render(sp, payload, c.names.typeOf(sp))
	if err != nil {
		return offline.CloudCard{}, cardRejected("invalid_payload", err.Error())
	}
	req.secrets = secretTexts([]string{code, pin})
	var card offline.CloudCard
	v := c.exchange(ctx, req, func(a answer) offline.Verdict {
		v := judgeCard(a, sp, payload)
		if result, state := resultAt(a.data, sp.field); state == present {
			var r cardResult
			if json.Unmarshal(result, &r) == nil {
				card = r.card()
			}
		}
		return v
	})
	if req.variables != nil && requestRefused(v) && v.HTTPStatus != http.StatusUnauthorized {
		c.names.forget(sp.field)
	}
	return card, v
}
