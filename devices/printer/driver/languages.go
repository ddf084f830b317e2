package driver

import (
	"context"
	"errors"
	"time"

	"storeagent/devices/port"
)

// tryLimit is how long a printer may take to answer in the other language.
const tryLimit = 500 * time.Millisecond

// maxTried bounds what is looked at of its answer.
const maxTried = 1024

// TryStar asks a printer that did not answer whether it speaks a language of Star: ESC ACK SOH is answered by an
// automatic status, whose bytes hold to a pattern (STAR Line Mode Command Specifications, Appendix 2). ESC/POS printers
// do nothing on that. Its error says so, or is the port's.
func (s *Session) TryStar(ctx context.Context) error {
	return s.try(ctx, "\x1b\x06\x01", hasStarStatus, "a language of Star, not ESC/POS",
		`set driver = "starprnt" for this printer, or switch it to ESC/POS`)
}

// TryESCPOS asks a printer that did not answer whether it speaks ESC/POS: DLE EOT 1 is answered by one byte with fixed
// bits (Epson, ESC/POS command reference). Printers of Star do nothing on that. Its error says so, or is the port's.
func (s *Session) TryESCPOS(ctx context.Context) error {
	return s.try(ctx, "\x10\x04\x01", hasRealTimeStatus, "ESC/POS, not a language of Star",
		`set driver = "escpos" for this printer, or switch it to StarPRNT or Star Line Mode`)
}

func (s *Session) try(ctx context.Context, question string, answered func([]byte) bool, speaks, hint string) error {
	s.Locked(func() { s.trying, s.tried = true, nil })
	defer s.Locked(func() { s.trying, s.tried = false, nil })
	if err := s.Send(ctx, []byte(question)); err != nil {
		return err
	}
	other, err := s.Until(ctx, tryLimit, func() bool { return answered(s.tried) })
	if other {
		err = &port.Error{Op: "talk to", Address: "printer", Kind: port.Failed, Err: errors.New("it speaks " + speaks), Hint: hint}
	}
	return err
}

// hasStarStatus finds a whole automatic status: bit 0 is set in its first byte alone, bits 4 and 7 are never set but for
// bit 7 of the second, and the first tells its length.
func hasStarStatus(b []byte) bool {
	for i, header := range b {
		size := int(header>>1&0x07 | header>>2&0x18)
		if header&0x91 != 0x01 || size < 7 || len(b) < i+size || b[i+1]&0x11 != 0 {
			continue
		}
		sound := true
		for _, c := range b[i+2 : i+size] {
			sound = sound && c&0x91 == 0
		}
		if sound {
			return true
		}
	}
	return false
}

// hasRealTimeStatus tells an answer to DLE EOT; nothing else may come with it.
func hasRealTimeStatus(b []byte) bool {
	for _, c := range b {
		if c&0x93 != 0x12 {
			return false
		}
	}
	return len(b) > 0
}
