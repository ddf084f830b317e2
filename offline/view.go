package offline

import (
	"time"

	"storeagent/internal/journal"
)

// badness orders the states of an undelivered operation; the worst is the state of its sale.
func badness(s State) int {
	switch s {
	case Queued:
		return 1
	case Sending:
		return 2
	case InDoubt:
		return 3
	case Parked:
		return 4
	}
	return 0
}

// Judge sets the state of a sale, and what goes with it, by all its operations: the worst of the undelivered ones,
// else delivered; discarded once every undelivered one is, and where there are none at all (cloud.send_purchases off).
func (v *SaleView) Judge(ops []Operation) {
	v.State, v.Reason, v.Error, v.CloudID, v.DeliveredAt = Delivered, "", nil, "", nil
	discarded := len(ops) == 0
	for _, op := range ops {
		if badness(op.State) > badness(v.State) {
			v.State, v.Reason, v.Error = op.State, op.Reason, op.Error
		}
		discarded = discarded || op.State == Discarded
		if op.Type == Purchase && op.State == Delivered {
			at := op.DeliveredAt.UTC().Truncate(time.Millisecond) // as it is kept: events say the same as later reads
			v.CloudID, v.DeliveredAt = op.CloudID, &at
		}
	}
	if discarded && v.State == Delivered {
		v.State = Discarded
	}
}

// saleView is the record with its operations as the API shows it.
func saleView(r Record, ops []Operation) SaleView {
	v := SaleView{
		ID: r.ID, TransactionID: r.TransactionID, StoreCode: r.StoreCode, Kind: r.Kind, Currency: r.Currency,
		PayAmount: r.Amount, AcceptedAt: r.AcceptedAt, Warnings: r.Warnings, Tenders: r.Tenders, Sale: r.Body,
	}
	v.Judge(ops)
	return v
}

// saleEvent tells listeners how a sale stands. The posted sale itself is left out: it does not change, may name a
// customer, and would fill the event log.
func saleEvent(at time.Time, v SaleView) journal.Event {
	v.Sale = nil
	return journal.NewEvent("sale", at, v)
}

// Item is the operation as the API shows it.
func (op Operation) Item() Item {
	it := Item{
		ID: op.ID, Type: op.Type, SaleID: op.SaleID, State: op.State, Reason: op.Reason, Attempts: op.Attempts,
		CreatedAt: op.CreatedAt, Error: op.Error, SearchFor: op.Ref, Amount: op.Amount, Currency: op.Currency,
		CloudID: op.CloudID,
	}
	if !op.LastAttemptAt.IsZero() {
		at := op.LastAttemptAt
		it.LastAttemptAt = &at
	}
	return it
}

// unknownFault is why an operation is parked as unknown: what its attempt said, or that it was cut short.
func unknownFault(op Operation) *Fault {
	if op.Error != nil {
		return op.Error
	}
	return &Fault{
		Code:    "stopped_while_sending",
		Message: "The agent stopped while this was on its way; whether the cloud has it is not known.",
	}
}
