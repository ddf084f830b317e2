package port

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Usage pages of human interface devices (USB-IF, HID Usage Tables 1.5, section 3; HID Point of Sale Usage Tables 1.02).
const (
	PageDesktop = 0x01 // mice, and with UsageKeyboard keyboards
	PageScanner = 0x8C // bar code scanners
	PageScale   = 0x8D // weighing devices
	pageVendor  = 0xFF00

	// UsageKeyboard is what a keyboard is on PageDesktop.
	UsageKeyboard = 0x06
)

// HIDUse is one thing that a human interface device is: the usage of an application collection.
type HIDUse struct{ Page, Usage uint16 }

// Items of a report descriptor (USB-IF, HID 1.11, section 6.2.2): tag and type, without the size in the lowest two bits.
const (
	itemInput         = 0x80
	itemCollection    = 0xA0
	itemEndCollection = 0xC0
	itemUsagePage     = 0x04
	itemReportSize    = 0x74
	itemReportID      = 0x84
	itemReportCount   = 0x94
	itemPush          = 0xA4
	itemPop           = 0xB4
	itemUsage         = 0x08

	longItem    = 0xFE
	application = 0x01
)

// hidGlobals are the values that hold until they are changed.
type hidGlobals struct{ page, size, count, id uint32 }

// HIDUses reads from a report descriptor what the device is, and how many bytes its longest input report has, with its
// id where the device has ids. What is behind a broken item is not read.
func HIDUses(descriptor []byte) (uses []HIDUse, longest int) {
	var g hidGlobals
	var saved []hidGlobals
	var usage uint32 // the first since the last main item, with its page where it has four bytes
	var depth int
	bits, ids := make(map[uint32]uint64), false
	for len(descriptor) > 0 {
		item, value, size := hidItem(descriptor)
		if size > len(descriptor) {
			break
		}
		descriptor = descriptor[size:]
		switch item {
		case itemUsagePage:
			g.page = value
		case itemReportSize:
			g.size = value
		case itemReportCount:
			g.count = value
		case itemReportID:
			g.id, ids = value, true
		case itemPush:
			saved = append(saved, g)
		case itemPop:
			if n := len(saved); n > 0 {
				g, saved = saved[n-1], saved[:n-1]
			}
		case itemUsage:
			if usage == 0 {
				if usage = value; size < 5 {
					usage |= g.page << 16
				}
			}
			continue
		case itemInput:
			bits[g.id] += uint64(g.size) * uint64(g.count)
		case itemCollection:
			if depth++; value == application {
				uses = append(uses, HIDUse{Page: uint16(usage >> 16), Usage: uint16(usage)})
			}
		case itemEndCollection:
			depth--
		}
		if item&0x0C == 0 { // a main item ends what was said for it alone
			usage = 0
		}
	}
	for _, n := range bits {
		longest = max(longest, int(min((n+7)/8, maxReport)))
	}
	if ids && longest > 0 {
		longest++
	}
	return uses, longest
}

// maxReport bounds what a nonsensical descriptor can ask for; the kernel's own bound is 16 KiB (include/linux/hid.h).
const maxReport = 16 << 10

// hidItem reads one item: its tag and type, its value, and how many bytes it has in all.
func hidItem(b []byte) (item byte, value uint32, size int) {
	if b[0] == longItem {
		if len(b) < 2 {
			return 0, 0, 2
		}
		return longItem, 0, 3 + int(b[1])
	}
	n := []int{0, 1, 2, 4}[b[0]&3]
	if len(b) > n {
		var v [4]byte
		copy(v[:], b[1:1+n])
		value = binary.LittleEndian.Uint32(v[:])
	}
	return b[0] &^ 3, value, 1 + n
}

// Reports is a port to a human interface device: each Read gives one input report.
type Reports interface {
	Port
	// Descriptor is how the device describes its reports, nil where that cannot be told.
	Descriptor() []byte
	// InputReport asks the device for a report as it is now (HID 1.11, section 7.2.1); b[0] is its id. It may take five
	// seconds, and not every device answers.
	InputReport(b []byte) (int, error)
}

var errWrongMode = errors.New("the device is in another mode")

// WantHID says what is wrong if p is a human interface device that is surely none of page: a scanner that is in keyboard
// mode, say. A device that describes itself in its maker's own words, or not at all, passes.
func WantHID(p Port, address string, page uint16, hint string) error {
	r, ok := p.(Reports)
	if !ok {
		return nil
	}
	uses, _ := HIDUses(r.Descriptor())
	if len(uses) == 0 || slices.ContainsFunc(uses, func(u HIDUse) bool { return u.Page == page || u.Page >= pageVendor }) {
		return nil
	}
	what := fmt.Sprintf("it is no %s but a %s", hidName(HIDUse{Page: page}), hidName(uses[0]))
	return &Error{Op: "open", Address: address, Kind: WrongMode, Hint: hint, Err: fmt.Errorf("%w: %s", errWrongMode, what)}
}

func hidName(u HIDUse) string {
	switch {
	case u.Page == PageScanner:
		return "bar code scanner in HID POS mode"
	case u.Page == PageScale:
		return "scale"
	case u == HIDUse{PageDesktop, UsageKeyboard}:
		return "keyboard"
	case u.Page == PageDesktop:
		return "mouse or the like"
	}
	return fmt.Sprintf("device of usage page %02X", u.Page)
}
