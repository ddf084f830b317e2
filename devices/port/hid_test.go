package port

import (
	"encoding/hex"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
)

// Descriptors of things at a counter.
const (
	hexKeyboard = "05010906a101050719e029e71500250175019508810295017508810195067508150025650507190029658100c0"
	hexScanner  = "058c0902a1010912a1028502150026ff00750895010501093b81029538058c09fe820201950306 66ff0904 8102c0c0"
	// report 3: status, unit, exponent, and a weight of two bytes
	hexScale = "058d0920a1010932a102850375089501150125080970a10209710978810 0c0150 1250c0950a102095109 5c8100c0094115812 57f8102094015 0027ffff0000751081 02c0c0"
)

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHIDUses(t *testing.T) {
	for name, c := range map[string]struct {
		descriptor string
		uses       []HIDUse
		longest    int
	}{
		"keyboard":           {hexKeyboard, []HIDUse{{1, 6}}, 8},
		"scanner":            {hexScanner, []HIDUse{{0x8C, 2}}, 61},
		"scale":              {hexScale, []HIDUse{{0x8D, 0x20}}, 6},
		"keyboard and wheel": {hexKeyboard + "050c0901a1018501c0", []HIDUse{{1, 6}, {0x0C, 1}}, 9},
		"usage with page":    {"0b20008d00a101c0", []HIDUse{{0x8D, 0x20}}, 0},
		"page after usage":   {"0920058da101c0", []HIDUse{{0, 0x20}}, 0},
		"push and pop":       {"058da4058cb40920a101c0", []HIDUse{{0x8D, 0x20}}, 0},
		"pop of nothing":     {"058db40920a101c0", []HIDUse{{0x8D, 0x20}}, 0},
		"long item":          {"fe03aabbccdd058d0920a101c0", []HIDUse{{0x8D, 0x20}}, 0},
		"cut":                {"058d0920a101058c0902a1", []HIDUse{{0x8D, 0x20}}, 0},
		"cut long item":      {"058d0920a101fe", []HIDUse{{0x8D, 0x20}}, 0},
		"vast":               {"058d0920a10177ffffffff97ffffffff8102c0", []HIDUse{{0x8D, 0x20}}, maxReport},
		"nothing":            {"", nil, 0},
	} {
		if uses, longest := HIDUses(unhex(t, c.descriptor)); !reflect.DeepEqual(uses, c.uses) || longest != c.longest {
			t.Errorf("%s: %v, %d", name, uses, longest)
		}
	}
}

func FuzzHIDUses(f *testing.F) {
	for _, text := range []string{hexKeyboard, hexScanner, hexScale, "fe03aabbccdd", "77ffffffff97ffffffff81028501"} {
		f.Add(unhex(f, text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if uses, longest := HIDUses(b); len(uses) > len(b) || longest < 0 || longest > maxReport+1 {
			t.Errorf("%d uses, %d bytes", len(uses), longest)
		}
	})
}

// described is a pipe with a descriptor.
type described struct {
	net.Conn
	descriptor []byte
}

func (d described) Descriptor() []byte              { return d.descriptor }
func (d described) InputReport([]byte) (int, error) { return 0, errors.ErrUnsupported }

func TestWantHID(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if err := WantHID(near, "tcp:x", PageScanner, ""); err != nil {
		t.Errorf("a port without a descriptor: %v", err)
	}
	for name, c := range map[string]struct {
		descriptor string
		page       uint16
		want       string // "" passes
	}{
		"scanner":            {hexScanner, PageScanner, ""},
		"scale":              {hexScale, PageScale, ""},
		"says nothing":       {"", PageScanner, ""},
		"in its maker's way": {"0600ff0901a101c0", PageScanner, ""},
		"keyboard":           {hexKeyboard, PageScanner, "it is no bar code scanner in HID POS mode but a keyboard"},
		"mouse":              {"05010902a101c0", PageScale, "it is no scale but a mouse"},
		"scanner as a scale": {hexScanner, PageScale, "but a bar code scanner"},
		"keyboard and page":  {hexKeyboard + hexScanner, PageScanner, ""},
		"card reader":        {"058e0901a101c0", PageScale, "usage page 8E"},
	} {
		err := WantHID(described{near, unhex(t, c.descriptor)}, "hidraw:x", c.page, "scan the code")
		var pe *Error
		switch {
		case c.want == "" && err == nil:
		case !errors.As(err, &pe) || c.want == "" || pe.Kind != WrongMode || pe.Hint != "scan the code" || !strings.Contains(err.Error(), c.want):
			t.Errorf("%s: %v", name, err)
		}
	}
}
