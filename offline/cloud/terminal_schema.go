package cloud

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"storeagent/payments"
)

// terminalField groups the vendor's terminal mutations (page "Make Terminal Payments").
const terminalField = "terminalPayment"

// role is what we use a member of an argument or a field of an answer for. The vendor's page gives no names below the
// mutations, so each role lists what it may be called.
type role string

const (
	roleTerminal     role = "terminal"
	roleType         role = "type"
	roleAmount       role = "amount"
	roleRef          role = "reference"
	roleContinuation role = "continuation"
	rolePayment      role = "payment"
	roleWait         role = "wait"
	roleStatus       role = "status"
	roleApproval     role = "approval code"
	roleBrand        role = "card brand"
	roleCard         role = "card"
)

// called lists the names by which a role goes in what kind of place, the likeliest first.
func called(r role) []string {
	return map[role][]string{
		roleTerminal:     {"terminalId", "terminal", "terminalCode", "deviceId"},
		roleType:         {"type", "paymentType", "transType"},
		roleAmount:       {"amount", "approvedAmount", "amountApproved"},
		roleRef:          {"refNo", "reference", "referenceNo", "externalReference"},
		roleContinuation: {"continuationId", "id", "continuationToken", "token"},
		rolePayment:      {"paymentId", "id", "transactionId"},
		roleWait:         {"waitMs", "waitMilliseconds", "waitSeconds", "delayMs", "delayMilliseconds", "delaySeconds", "wait", "delay"},
		roleStatus:       {"status", "state"},
		roleApproval:     {"authCode", "approvalCode", "authorizationCode"},
		roleBrand:        {"cardType", "cardBrand", "brand"},
		roleCard:         {"maskedCard", "maskedCardNumber", "cardLast4", "last4", "lastFour"},
	}[r]
}

// lane is one of the terminal mutations as the tenant has it.
type lane struct {
	name    string
	wrap    string            // its one argument, an object; "" where the members are the arguments
	typ     string            // of that argument
	types   map[string]string // of the arguments where there is no such object
	members map[role]string
	answer  string // what the document asks for
}

// terminalSchema is what introspection told of terminal payments.
type terminalSchema struct {
	start, next, capture *lane // capture is nil where the tenant has none
	words                map[payments.Kind]string
	payment, wait        map[role]string
}

// missingTerminalError says what the tenant lacks of terminal payments.
type missingTerminalError struct{ what string }

func (e *missingTerminalError) Error() string { return "the POS cloud " + e.what }

// terminalMember is a field with its arguments.
type terminalMember struct {
	Name string
	Type *typeRef
	Args []struct {
		Name string
		Type *typeRef
	}
}

type terminalType struct {
	Fields      []terminalMember
	InputFields []struct {
		Name         string
		DefaultValue *string
		Type         *typeRef
	}
	EnumValues []struct{ Name string }
}

// terminalSchema asks for the names of terminal payments. A *missingTerminalError says that this tenant cannot do them.
func (c *Client) terminalSchema(ctx context.Context) (*terminalSchema, error) {
	var root struct {
		Schema *struct {
			MutationType *struct {
				Fields []struct {
					Name string
					Type *typeRef
				}
			}
		} `json:"__schema"`
	}
	if err := c.read(ctx, "schema", nil, &root); err != nil {
		if errors.Is(err, errUnanswered) {
			return nil, err
		}
		return nil, &missingTerminalError{"does not show its schema (" + err.Error() + "), and terminal payments are used only where they are seen"}
	}
	group := ""
	if root.Schema != nil && root.Schema.MutationType != nil {
		for _, f := range root.Schema.MutationType.Fields {
			if f.Name == terminalField {
				group = f.Type.base()
			}
		}
	}
	if group == "" {
		return nil, &missingTerminalError{"offers no terminalPayment to this account"}
	}
	t, err := c.terminalType(ctx, group)
	if err != nil {
		return nil, err
	}
	s := &terminalSchema{}
	for _, f := range t.Fields {
		l := &lane{name: f.Name, types: map[string]string{}, members: map[role]string{}}
		for _, a := range f.Args {
			l.types[a.Name] = a.Type.String()
		}
		switch f.Name {
		case "start":
			s.start, err = l, c.arguments(ctx, l, s, roleTerminal, roleType, roleAmount, roleRef)
		case "continue":
			s.next, err = l, c.arguments(ctx, l, s, roleContinuation)
		case "capture":
			s.capture, err = l, c.arguments(ctx, l, s, rolePayment, roleAmount)
		default:
			continue
		}
		if err == nil {
			err = c.answers(ctx, l, f.Type.base(), s)
		}
		if err != nil {
			return nil, err
		}
	}
	if s.start == nil || s.next == nil {
		return nil, &missingTerminalError{"has terminalPayment without start or continue"}
	}
	return s, nil
}

// arguments finds which member of a mutation has which role. All but the reference and a capture's amount are needed.
func (c *Client) arguments(ctx context.Context, l *lane, s *terminalSchema, roles ...role) error {
	types, required := map[string]*typeRef{}, []string{}
	for name, typ := range l.types {
		if len(l.types) > 1 {
			break
		}
		base := strings.Trim(typ, "[]!")
		t, err := c.terminalType(ctx, base)
		if err != nil {
			return err
		}
		if len(t.InputFields) == 0 {
			break
		}
		l.wrap, l.typ = name, typ
		for _, f := range t.InputFields {
			types[f.Name] = f.Type
			if f.Type != nil && f.Type.Kind == "NON_NULL" && f.DefaultValue == nil {
				required = append(required, f.Name)
			}
		}
	}
	if l.wrap == "" {
		for name, typ := range l.types {
			types[name] = &typeRef{Name: strings.Trim(typ, "[]!")}
			if strings.HasSuffix(typ, "!") {
				required = append(required, name)
			}
		}
	}
	for _, r := range roles {
		for _, name := range called(r) {
			if _, ok := types[name]; ok && l.members[r] == "" {
				l.members[r] = name
			}
		}
		if l.members[r] == "" && r != roleRef && (r != roleAmount || l.name != "capture") {
			return &missingTerminalError{fmt.Sprintf("has terminalPayment.%s without a member that names its %s", l.name, r)}
		}
	}
	for _, name := range required {
		if !slices.Contains(slices.Collect(maps.Values(l.members)), name) {
			return &missingTerminalError{fmt.Sprintf("demands %s of terminalPayment.%s, which this agent does not know", name, l.name)}
		}
	}
	if name := l.members[roleType]; name != "" {
		return c.typeWords(ctx, s, types[name].base())
	}
	return nil
}

// typeWords finds how the tenant spells sale, refund and authorization; only SALE is documented.
func (c *Client) typeWords(ctx context.Context, s *terminalSchema, name string) error {
	t, err := c.terminalType(ctx, name)
	if err != nil {
		return err
	}
	s.words = map[payments.Kind]string{}
	if len(t.EnumValues) == 0 { // a text
		s.words[payments.DoSale], s.words[payments.DoRefund], s.words[payments.DoPreauth] = "SALE", "REFUND", "AUTH"
		return nil
	}
	for _, v := range t.EnumValues {
		switch v.Name {
		case "SALE":
			s.words[payments.DoSale] = v.Name
		case "REFUND", "RETURN":
			s.words[payments.DoRefund] = v.Name
		case "AUTH", "AUTHORIZE", "AUTHORIZATION":
			s.words[payments.DoPreauth] = v.Name
		}
	}
	return nil
}

// answers finds the names of what a mutation gives back, and what to ask for.
func (c *Client) answers(ctx context.Context, l *lane, name string, s *terminalSchema) error {
	t, err := c.terminalType(ctx, name)
	if err != nil {
		return err
	}
	parts := map[string]map[role]string{}
	for _, f := range t.Fields {
		if f.Name != "payment" && f.Name != "continuation" {
			continue
		}
		sub, err := c.terminalType(ctx, f.Type.base())
		if err != nil {
			return err
		}
		roles := []role{rolePayment, roleStatus, roleAmount, roleApproval, roleBrand, roleCard}
		if f.Name == "continuation" {
			roles = []role{roleContinuation, roleWait}
		}
		parts[f.Name] = map[role]string{}
		var ask []string
		for _, r := range roles {
			for _, n := range called(r) {
				if slices.ContainsFunc(sub.Fields, func(x terminalMember) bool { return x.Name == n }) {
					parts[f.Name][r] = n
					ask = append(ask, n)
					break
				}
			}
		}
		l.answer += " " + f.Name + " { " + strings.Join(ask, " ") + " }"
	}
	if parts["payment"][rolePayment] == "" || parts["continuation"][roleContinuation] == "" {
		return &missingTerminalError{"answers terminalPayment." + l.name + " with neither a payment's nor a continuation's id"}
	}
	s.payment, s.wait = parts["payment"], parts["continuation"]
	return nil
}

func (c *Client) terminalType(ctx context.Context, name string) (terminalType, error) {
	var answer struct {
		Type *terminalType `json:"__type"`
	}
	if !graphQLName.MatchString(name) {
		return terminalType{}, &missingTerminalError{"shows a type of terminalPayment without a name"}
	}
	if err := c.read(ctx, "terminalType", map[string]any{"name": name}, &answer); err != nil {
		return terminalType{}, err
	}
	if answer.Type == nil {
		return terminalType{}, &missingTerminalError{"does not show its type " + name}
	}
	return *answer.Type, nil
}

// request writes the mutation.
func (l *lane) request(values map[role]string) (request, error) {
	members := map[string]any{}
	for r, v := range values {
		if name := l.members[r]; name != "" && v != "" {
			members[name] = v
		}
	}
	label := "AgentTerminal" + strings.ToUpper(l.name[:1]) + l.name[1:]
	var heads, args []string
	variables := map[string]any{}
	if l.wrap != "" {
		heads, args = []string{"$" + l.wrap + ": " + l.typ}, []string{l.wrap + ": $" + l.wrap}
		variables[l.wrap] = members
	} else {
		for name, v := range members {
			heads, args = append(heads, "$"+name+": "+l.types[name]), append(args, name+": $"+name)
			variables[name] = v
		}
		slices.Sort(heads)
		slices.Sort(args)
	}
	for _, h := range heads {
		name, typ, _ := strings.Cut(strings.TrimPrefix(h, "$"), ": ")
		if !graphQLName.MatchString(name) || !typeName.MatchString(typ) {
			return request{}, fmt.Errorf("terminalPayment.%s has an argument that GraphQL does not allow", l.name)
		}
	}
	text := fmt.Sprintf("mutation %s(%s) { %s { %s(%s) {%s } } }", label, strings.Join(heads, ", "), terminalField, l.name, strings.Join(args, ", "), l.answer)
	return request{document: text, name: label, variables: variables}, nil
}
