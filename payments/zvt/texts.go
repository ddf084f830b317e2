package zvt

import (
	"fmt"

	"storeagent/payments"
)

// Result codes of 04 0F and 06 1E that decide something (PA00P015, chapter 10).
const (
	resultOK      = 0x00
	resultHostMax = 0x63 // 01 to 63 come from the card's bank
	resultAborted = 0x6C
	resultBusy    = 0x9C
)

// resultState says how a payment with that result ended. Whatever is no approval moved no money.
func resultState(code byte) payments.State {
	switch {
	case code == resultOK:
		return payments.Approved
	case code == resultAborted:
		return payments.Canceled
	case code <= resultHostMax, code == 0x78, code == 0xC3, code == 0x6E:
		return payments.Declined
	}
	return payments.Failed
}

// decline explains a result code; the terminal's own text follows where it sent one.
func decline(code byte, own string) *payments.Decline {
	msg := resultText(code)
	if own != "" {
		msg += ": " + own
	}
	return &payments.Decline{Code: fmt.Sprintf("%02X", code), Message: msg}
}

// resultText gives the meaning of a result or error code, for a person.
func resultText(code byte) string {
	if code > 0 && code <= resultHostMax {
		return fmt.Sprintf("refused by the card's bank (code %02d)", code)
	}
	switch code {
	case resultOK:
		return "ok"
	case 0x64:
		return "the card cannot be read"
	case 0x65:
		return "the card has neither chip nor stripe data"
	case 0x66:
		return "the terminal could not process the card"
	case 0x6A:
		return "the terminal's memory is full; make an end of day"
	case 0x6B:
		return "the register is not registered at the terminal"
	case resultAborted:
		return "stopped at the terminal or timed out"
	case 0x6E:
		return "the card is blocked"
	case 0x6F:
		return "the terminal does not take this currency"
	case 0x77:
		return "end of day is not possible"
	case 0x78:
		return "the card has expired"
	case codeImpossible:
		return "not possible at the moment"
	case 0x85:
		return "the password is wrong"
	case 0x9A:
		return "the terminal did not understand the register"
	case resultBusy:
		return "the terminal is busy"
	case 0xA0:
		return "the terminal received something it does not know"
	case 0xA3:
		return "the terminal has no connection to its network"
	case 0xA5:
		return "refused by the card security rules"
	case 0xB1:
		return "the terminal's memory is full"
	case 0xB4:
		return "already reversed"
	case 0xB5:
		return "cannot be reversed"
	case 0xB8:
		return "pre-authorisation"
	case 0xC2:
		return "the terminal needs a diagnosis with its host"
	case 0xC3:
		return "the amount is too high"
	case codeNoPrinter:
		return "the printer is not ready"
	case 0xCD:
		return "cashback is not possible"
	case 0xF0:
		return "the terminal wants an end of day first"
	case 0xFF:
		return "system error in the terminal"
	}
	return fmt.Sprintf("terminal code %02X", code)
}

// Codes of API prompts.
const (
	promptInsert   = "insert_card"
	promptRemove   = "remove_card"
	promptPIN      = "enter_pin"
	promptWait     = "wait"
	promptWrongPIN = "wrong_pin"
	promptDeclined = "declined"
	promptOther    = "other"
)

// prompt turns a code of 04 FF into what cashier and customer see (PA00P015, command 04 FF). Codes 41 to 5D are 01
// to 1D with "and remove the card". The terminal's own text wins where it sent one.
func prompt(code byte, own string) payments.Prompt {
	kind, text := promptText(code)
	if code >= 0x41 && code <= 0x5D {
		kind, text = promptText(code - 0x40)
		text += "; remove the card"
	}
	if own != "" {
		text = own
	}
	return payments.Prompt{Code: kind, Text: text}
}

func promptText(code byte) (kind, text string) {
	switch code {
	case 0x00, 0x01:
		return promptOther, "confirm the amount at the terminal"
	case 0x02:
		return promptPIN, "follow the terminal's display"
	case 0x03:
		return promptOther, "not possible"
	case 0x04:
		return promptWait, "waiting for the bank"
	case 0x05:
		return promptWait, "the terminal takes a payment back"
	case 0x06:
		return promptWait, "the terminal sends bookings"
	case 0x07:
		return promptOther, "this card is not accepted"
	case 0x08:
		return promptOther, "the card is not known"
	case 0x09:
		return promptOther, "the card has expired"
	case 0x0A:
		return promptInsert, "insert or present the card"
	case 0x0B:
		return promptRemove, "remove the card"
	case 0x0C:
		return promptOther, "the card cannot be read"
	case 0x0D:
		return promptOther, "the terminal stopped"
	case 0x0E, 0x17:
		return promptWait, "please wait"
	case 0x0F:
		return promptWait, "the terminal makes its end of day"
	case 0x13:
		return promptOther, "payment is not possible"
	case 0x15:
		return promptWrongPIN, "wrong PIN, try again"
	case 0x18:
		return promptOther, "wrong PIN too often"
	case 0x1B, 0x1C:
		return promptOther, "approved"
	case 0x1D:
		return promptDeclined, "declined"
	}
	return promptOther, fmt.Sprintf("the terminal is working (code %02X)", code)
}

// statusText gives the meaning of the status byte of 06 0F after 05 01 (PA00P015, command 05 01); ready is true
// where a payment can start.
func statusText(code byte) (text string, ready bool) {
	switch code {
	case 0x00:
		return "ready", true
	case 0x51:
		return "the terminal must be initialised", false
	case 0x9C:
		return "the terminal is busy", false
	case 0xB1:
		return "the terminal's memory is full; make an end of day", false
	case 0xC2:
		return "the terminal needs a diagnosis with its host", false
	case 0xCC:
		return "the terminal's printer is not ready", false
	case 0xDC:
		return "a card is in the terminal", true
	case 0xF0:
		return "the terminal wants an end of day", false
	}
	return fmt.Sprintf("terminal status %02X", code), false
}
