package nexo

import "storeagent/payments"

// Error conditions of a failed answer (nexo Retailer 3.0, ErrorCondition) that decide something.
const (
	condAborted    = "Aborted"
	condBusy       = "Busy"
	condCancel     = "Cancel"
	condInProgress = "InProgress"
	condLoggedOut  = "LoggedOut"
	condNotFound   = "NotFound"
)

// conditions says what a failed payment means: its end, and its words for a person.
var conditions = map[string]struct {
	state payments.State
	text  string
}{
	condAborted:          {payments.Canceled, "stopped by the register"},
	condCancel:           {payments.Canceled, "stopped by the customer or at the terminal"},
	"DeviceOut":          {payments.Failed, "a part of the terminal is out of order"},
	"InsertedCard":       {payments.Failed, "a card is in the reader; take it out"},
	"InvalidCard":        {payments.Declined, "this card cannot be used here"},
	condLoggedOut:        {payments.Failed, "the register is not logged in at the terminal"},
	"MessageFormat":      {payments.Failed, "the terminal did not accept the message"},
	"NotAllowed":         {payments.Failed, "not allowed at this terminal"},
	condNotFound:         {payments.Failed, "the terminal does not know the original payment"},
	"PaymentRestriction": {payments.Declined, "the card does not allow this purchase"},
	"Refusal":            {payments.Declined, "declined"},
	"UnavailableDevice":  {payments.Failed, "a part of the terminal is not available"},
	"UnavailableService": {payments.Failed, "the terminal does not offer this"},
	"UnreachableHost":    {payments.Failed, "the terminal cannot reach the bank"},
	"WrongPIN":           {payments.Declined, "wrong PIN"},
}

// text words a failure for a person.
func (r result) text() string {
	text := "the terminal refused"
	if c, ok := conditions[r.ErrorCondition]; ok {
		text = c.text
	} else if r.ErrorCondition == condBusy {
		text = "the terminal is busy"
	}
	for _, key := range []string{"refusalReason", "message"} {
		if more := additional(r.AdditionalResponse, key); more != "" {
			return text + ": " + more
		}
	}
	return text
}

// entryModes names how a card was read (nexo Retailer 3.0, EntryMode) in our words.
var entryModes = map[string]string{
	"Contactless": "contactless", "Tapped": "contactless", "RFID": "contactless", "ICC": "chip", "SynchronousICC": "chip",
	"MagStripe": "magstripe", "Keyed": "manual", "Manual": "manual", "Mobile": "mobile", "Scanned": "scanned",
}
