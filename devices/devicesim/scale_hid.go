package devicesim

import (
	"context"
	"strconv"
	"strings"
	"time"
)

// hidInterval is how often a HID scale tells its weight, whether it changed or not.
const hidInterval = 100 * time.Millisecond

// hidStatus are usages 71h to 78h of page 8Dh, from 1 on (USB-IF, HID Point of Sale Usage Tables 1.02).
const (
	hidZero     = 2
	hidMotion   = 3
	hidAtRest   = 4
	hidBelow    = 5
	hidTooHeavy = 6
)

// SetHIDStatus makes a HID scale say that status whatever lies on it, like 1 for a fault or 7 for lacking calibration; 0
// ends it.
func (s *Scale) SetHIDStatus(status byte) { s.set(func() { s.hidStatus = status }) }

// SetOnChange makes a HID scale talk only when something changed, or always.
func (s *Scale) SetOnChange(on bool) { s.set(func() { s.onChange = on }) }

// HIDReport is the weight report of a HID scale as it is now, with its id; false while the scale is deaf.
func (s *Scale) HIDReport() ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deaf {
		return nil, false
	}
	whole, fraction, _ := strings.Cut(s.weight, ".")
	n, err := strconv.ParseUint(whole+fraction, 10, 16)
	status := byte(hidAtRest)
	switch {
	case s.hidStatus != 0:
		status = s.hidStatus
	case s.motion:
		status = hidMotion
	case s.under:
		status = hidBelow
	case s.over || err != nil: // what two bytes cannot hold is too much
		status, n = hidTooHeavy, 0
	case n == 0:
		status = hidZero
	}
	unit := map[string]byte{"G": 2, "KG": 3, "OZ": 11, "LB": 12}[s.o.Unit]
	return []byte{3, status, unit, byte(-len(fraction)), byte(n), byte(n >> 8)}, true
}

// ServeReports sends reports to a program until that fails or ctx ends.
func (s *Scale) ServeReports(ctx context.Context, send func(report []byte) error) error {
	tick := time.NewTicker(hidInterval)
	defer tick.Stop()
	sent := ""
	for {
		s.mu.Lock()
		onChange := s.onChange
		s.mu.Unlock()
		if report, ok := s.HIDReport(); ok && (!onChange || string(report) != sent) {
			if err := send(report); err != nil {
				return err
			}
			sent = string(report)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}
