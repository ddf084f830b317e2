package terminalsim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LostAck is what a terminal does with an approval whose result the register did not acknowledge. Vendors differ.
type LostAck string

// The three ways: take the payment back, book it all the same, count it as declined without a trace.
const (
	Reverses LostAck = "reverses"
	Keeps    LostAck = "keeps"
	Declines LostAck = "declines"
)

// Steps of a payment, as Options.OnStep hears them and Behaviour.CutAt names them, in order.
const (
	StepReceived     = "pay-received"        // the command is here, nothing answered
	StepAccepted     = "pay-accepted"        // 80 00 00 went out
	StepCard         = "card-read"           // the prompts are over
	StepHost         = "host-approved"       // the money moved at the bank; the result is about to go out
	StepResultSent   = "result-sent"         // the register has the result, its answer is not here
	StepResultAck    = "result-acknowledged" // the register's 80 00 00 is here
	StepPrinted      = "slips-printed"       // all slip lines are acknowledged; the payment is booked
	StepEndSent      = "end-sent"            // the completion went out
	StepLastReceived = "last-received"       // asked for the last transaction
	StepLastSent     = "last-sent"           // its data went out
)

// Steps lists the steps of a payment in order.
func Steps() []string {
	return []string{
		StepReceived, StepAccepted, StepCard, StepHost, StepResultSent, StepResultAck, StepPrinted, StepEndSent,
	}
}

// Behaviour is what the simulated terminal, its customer and the line do during one payment. The zero Behaviour
// approves.
type Behaviour struct {
	Result      byte          // result code; 0 approves
	Partial     int64         // minor units approved instead of what was asked; 0: all
	Refuse      byte          // answer the command with 84 and this code
	Cancel      bool          // the customer presses stop
	WrongPIN    bool          // a wrong PIN first
	Slow        int           // so many progress messages, one a second
	Wait        bool          // no card comes: waits for the register's abort, or three minutes
	Race        bool          // the register's abort is taken, but the bank was faster
	Duplicate   bool          // the result is sent twice
	BadCRC      bool          // serial: the first result frame has a wrong CRC
	Noise       bool          // serial: noise before the result frame
	Stall       bool          // the result stops in the middle for a second
	NoResult    bool          // the result lacks its result code
	UnknownBMP  bool          // the result holds a field that nobody knows behind its code
	Nonsense    bool          // charged, but nonsense comes instead of the result
	Deaf        bool          // the command gets no answer and no charge
	Late        time.Duration // the result comes that much later
	FullPAN     bool          // the card number stands unmasked in result and slip, as it never should
	CutAt       string        // the line is cut at this step
	IgnoreAck   bool          // the acknowledgement of the result gets lost
	LostAck     LostAck       // with IgnoreAck: what follows; "" for the terminal's own way
	BareAbort   bool          // an abort comes without a result before it
	ApproveThen bool          // approves, then breaks off and takes it back
}

// ParseScript reads one behaviour per line; blank lines and what follows # do not count. A line is words parted by
// blanks:
//
//	approve  decline[=HEX]  partial=MINOR  refuse=HEX  cancel  bareabort  wrongpin  slow=N  wait  race  duplicate
//	badcrc  noise  stall  noresult  unknownbmp  nonsense  deaf  late=SECONDS  fullpan  cut=STEP
//	lostack[=reverses|keeps|declines]  approvethenabort
//
// The behaviours serve one payment each, in order; the last one serves all that follow.
func ParseScript(text string) ([]Behaviour, error) {
	var out []Behaviour
	for n, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		var b Behaviour
		for _, w := range words {
			if err := b.word(w); err != nil {
				return nil, fmt.Errorf("script line %d: %w", n+1, err)
			}
		}
		out = append(out, b)
	}
	return out, nil
}

func (b *Behaviour) word(w string) error {
	name, value, has := strings.Cut(w, "=")
	if flag := b.flag(name); flag != nil {
		if has {
			return fmt.Errorf("%q takes no value", name)
		}
		*flag = true
		return nil
	}
	var err error
	switch name {
	case "approve":
		b.Result = 0
	case "decline":
		b.Result = 0x05
		if has {
			b.Result, err = hexByte(value)
		}
	case "refuse":
		b.Refuse, err = hexByte(value)
	case "partial":
		b.Partial, err = strconv.ParseInt(value, 10, 64)
	case "slow":
		b.Slow, err = strconv.Atoi(value)
	case "late":
		var s int
		s, err = strconv.Atoi(value)
		b.Late = time.Duration(s) * time.Second
	case "cut":
		if !slices.Contains(Steps(), value) {
			return fmt.Errorf("cut at %q: want one of %s", value, strings.Join(Steps(), ", "))
		}
		b.CutAt = value
	case "lostack":
		b.IgnoreAck, b.LostAck = true, LostAck(value)
		if has && !slices.Contains([]LostAck{Reverses, Keeps, Declines}, b.LostAck) {
			return fmt.Errorf("lostack %q: want reverses, keeps or declines", value)
		}
	default:
		return fmt.Errorf("unknown word %q", w)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", w, err)
	}
	return nil
}

func (b *Behaviour) flag(name string) *bool {
	switch name {
	case "cancel":
		return &b.Cancel
	case "bareabort":
		return &b.BareAbort
	case "wrongpin":
		return &b.WrongPIN
	case "wait":
		return &b.Wait
	case "race":
		return &b.Race
	case "duplicate":
		return &b.Duplicate
	case "badcrc":
		return &b.BadCRC
	case "noise":
		return &b.Noise
	case "stall":
		return &b.Stall
	case "noresult":
		return &b.NoResult
	case "unknownbmp":
		return &b.UnknownBMP
	case "nonsense":
		return &b.Nonsense
	case "deaf":
		return &b.Deaf
	case "fullpan":
		return &b.FullPAN
	case "approvethenabort":
		return &b.ApproveThen
	}
	return nil
}

func hexByte(s string) (byte, error) {
	n, err := strconv.ParseUint(s, 16, 8)
	return byte(n), err
}
