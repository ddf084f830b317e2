package scale

import (
	"errors"
	"fmt"
	"strings"
)

// The weight report of a HID scale (USB-IF, HID Point of Sale Usage Tables 1.02, usage page 8Dh: Scale Data Report with
// Scale Status 70h, Weight Unit 50h, Data Scaling 41h and Data Weight 40h; the order is that of every scale known to us):
//
//	0     report id, 3; a few scales say 4
//	1     status
//	2     unit
//	3     exponent of ten, signed
//	4, 5  weight, low byte first
const (
	hidReport      = 3
	hidReportOther = 4
	hidReportSize  = 6
)

// Status of the weight report: usages 71h to 78h.
const (
	hidFault = iota + 1
	hidAtZero
	hidInMotion
	hidStable
	hidUnderZero
	hidOverLimit
	hidUncalibrated
	hidWantsZero
)

// hidUnits are the units of the weight report that something is sold by: usages 52h, 53h, 5Bh and 5Ch. Others are named for a
// person only.
var (
	hidUnits  = map[byte]string{2: "g", 3: "kg", 11: "oz", 12: "lb"}
	otherUnit = map[byte]string{1: "milligrams", 4: "carats", 5: "taels", 6: "grains", 7: "pennyweights", 8: "metric tons", 9: "short tons", 10: "troy ounces"}
)

// exponents that a counter scale can mean: from millionths to tons. Anything else is a broken report.
const hidExponentLow, hidExponentHigh = -6, 3

// errNoReport says that a report is none of a weight: scales have others, about themselves.
var errNoReport = errors.New("no weight report")

// parseHID reads a weight report with its id. The error says why it holds no weight: ErrNotStable and its kin, ErrFault, or
// errNoReport. A weight of zero at rest counts as a weight.
func parseHID(report []byte) (Reading, error) {
	if len(report) < hidReportSize || report[0] != hidReport && report[0] != hidReportOther {
		return Reading{}, errNoReport
	}
	status, unit, exponent, value := report[1], report[2], int(int8(report[3])), uint32(report[4])|uint32(report[5])<<8
	switch status {
	case hidAtZero, hidStable:
	case hidInMotion:
		return Reading{}, ErrNotStable
	case hidOverLimit:
		return Reading{}, ErrOverload
	case hidUnderZero, hidWantsZero:
		return Reading{}, ErrBelowZero
	case hidFault:
		return Reading{}, fmt.Errorf("%w: its own display says more", ErrFault)
	case hidUncalibrated:
		return Reading{}, fmt.Errorf("%w: it wants to be calibrated", ErrFault)
	default:
		return Reading{}, fmt.Errorf("%w: its status %d is not known", ErrFault, status)
	}
	name := hidUnits[unit]
	if name == "" {
		if other := otherUnit[unit]; other != "" {
			return Reading{}, fmt.Errorf("%w: it weighs in %s; set it to kg, g, lb or oz", ErrFault, other)
		}
		return Reading{}, fmt.Errorf("%w: its unit %d is not known", ErrFault, unit)
	}
	if exponent < hidExponentLow || exponent > hidExponentHigh {
		return Reading{}, fmt.Errorf("%w: its exponent %d cannot be", ErrFault, exponent)
	}
	if status == hidAtZero && value != 0 {
		return Reading{}, fmt.Errorf("%w: it says zero and a weight", ErrFault)
	}
	return Reading{Weight: scaled(value, exponent), Unit: name}, nil
}

// scaled is value times ten to the exponent as decimal text.
func scaled(value uint32, exponent int) string {
	digits := fmt.Sprint(value)
	switch {
	case exponent < 0:
		if n := 1 - exponent - len(digits); n > 0 {
			digits = strings.Repeat("0", n) + digits
		}
		point := len(digits) + exponent
		return digits[:point] + "." + digits[point:]
	case value == 0:
		return digits
	}
	return digits + strings.Repeat("0", exponent)
}
