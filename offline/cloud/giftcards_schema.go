package cloud

import (
	"slices"
	"strings"
)

// cardProblems names what the tenant's mutations lack of what gift cards need, one sentence each. A shop without gift
// cards need not care.
func cardProblems(known *Schema) []string {
	var list []string
	if op, ok := known.Operations[giftcardTransAdd().field]; !ok {
		list = append(list, "The cloud has no mutation giftcardTransAdd, so gift cards cannot be used or filled. Ask the vendor to enable it, "+
			"or for the account the permissions GiftCardTransUse and GiftCardTransAdd.")
	} else {
		list = append(list, memberProblems(giftcardTransAdd(), op)...)
		if !op.HasID {
			list = append(list, "The cloud's giftcardTransAdd answers without an id, so that nothing authorized could be captured.")
		}
		if authorizeSwitch(op.Fields) == "" {
			list = append(list, "The cloud's giftcardTransAdd has no switch that only holds the amount; gift cards take mode immediate only.")
		}
	}
	if op, ok := known.Operations[giftcardTransCapture().field]; !ok {
		list = append(list, "The cloud has no mutation giftcardTransCapture, so nothing authorized can be captured; use mode immediate.")
	} else {
		list = append(list, captureProblems(op)...)
	}
	if op, ok := known.Operations[giftcardAdd().field]; !ok {
		list = append(list, "The cloud has no mutation giftcardAdd, so gift cards cannot be issued here.")
	} else {
		list = append(list, memberProblems(giftcardAdd(), op)...)
	}
	return list
}

func memberProblems(sp spec, op Operation) []string {
	if op.Argument == "" {
		return []string{"The cloud's " + sp.field + " has no argument " + sp.arg + "."}
	}
	fields := op.Fields
	if name := authorizeSwitch(fields); sp.field == giftcardTransAdd().field && name != "" {
		// Documented by nobody, and sent where an amount is only held.
		fields = slices.DeleteFunc(slices.Clone(fields), func(f Field) bool { return f.Name == name && !f.Required })
	}
	return compare(sp.field+"."+sp.arg, sp.fields, fields)
}

// captureProblems judges an argument whose names nobody documented: it must name the authorization, and may ask for an
// amount, but for nothing else.
func captureProblems(op Operation) []string {
	shape, fields := captureShape(op, true), op.Fields
	if shape.flat {
		fields = op.Args
	}
	var list []string
	if !slices.ContainsFunc(fields, func(f Field) bool { return f.Name == shape.id }) {
		list = append(list, "The cloud's giftcardTransCapture takes nothing that looks like the id of what is to be captured.")
	}
	for _, f := range fields {
		switch {
		case !f.Required || f.Name == shape.id:
		case f.Name == shape.amount:
			list = append(list, "The cloud's giftcardTransCapture demands "+f.Name+", which the agent sends only where a part is captured.")
		default:
			list = append(list, "The cloud's giftcardTransCapture demands the field "+f.Name+" ("+strings.TrimSuffix(f.Type, "!")+"), which the agent does not send.")
		}
	}
	return list
}
