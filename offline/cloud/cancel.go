package cloud

import (
	"context"

	"storeagent/offline"
)

var _ offline.HoldCanceler = (*Client)(nil)

// CancelHold implements offline.HoldCanceler. Only a mutation of just this name is used, and only where all that it demands
// is the id of a transaction: what else a mutation with "cancel" in its name may cancel, nobody knows.
func (c *Client) CancelHold(ctx context.Context, cloudID string) offline.Verdict {
	sp := giftcardTransCancel()
	known, learned := c.names.operation(sp.field)
	if !learned || !cancelFits(known) {
		return offline.Verdict{Class: offline.ClassUnsupported, Fault: &offline.Fault{
			Code: "unsupported_operation", Message: "The cloud shows no mutation giftcardTransCancel that takes the id of a transaction; the hold lapses by itself."}}
	}
	shape := captureShape(known, true)
	return c.settleHold(ctx, sp, known, shape, []member{{shape.id, cloudID}})
}

// cancelFits tells whether a mutation wants the id of a transaction and nothing else.
func cancelFits(op Operation) bool {
	shape, fields := captureShape(op, true), op.Fields
	if shape.flat {
		fields = op.Args
	}
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.Name)
		if f.Required && f.Name != shape.id {
			return false
		}
	}
	return likeName(names, "id", "transId", "transactionId", "giftcardTransId") == shape.id && shape.id != "" && op.HasID
}
